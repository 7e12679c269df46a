"""Start-up hook: captures a process that only says ``import datajoint``, if its settings ask for it.

In: the environment, and DataJoint's configuration. Out: ``import dj_sqlspy`` after ``import datajoint``, or nothing.
``dj_sqlspy.pth`` imports this module whenever Python starts. So it imports neither DataJoint nor dj_sqlspy, and is not
part of the package, whose import would import DataJoint. ``DJ_SQLSPY_STARTUP=off`` turns it off. If ``dj-sqlspy run``
started this process and nothing was captured, it says so at the end.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any

# ``dj-sqlspy run`` puts the folder of the analysis here. This process takes it out before the program sees it.
RUN = "DJ_SQLSPY_RUN"


def wanted(datajoint: Any) -> bool:
    """Whether the settings name us. dj_sqlspy itself reads and checks their values."""
    if os.environ.get("DJ_SQLSPY_ENABLED") or os.environ.get("DJ_SQLSPY_SESSION"):
        return True
    config = sys.modules[datajoint.__name__ + ".settings"].config  # dj.config refuses in thread-safe mode
    path = getattr(config, "_config_path", None)  # 2.x: it refuses keys that it does not know
    if path is not None:
        return b'"sqlspy' in path.read_bytes()
    return not hasattr(config, "_config_path") and bool(config.get("sqlspy.enabled"))  # 0.14 keeps them


class Finder:
    """Leaves finding datajoint to the other finders, and looks at the module after it is loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "datajoint":
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and spec.origin is not None:
                    self.follow(spec.loader)
                return spec
        return None

    def follow(self, loader: Any) -> None:
        """Make the loader of this import call us after the module is loaded."""
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            del loader.exec_module
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            try:
                if wanted(module):
                    import dj_sqlspy  # noqa: F401
            except Exception as error:  # whatever it is, the analysis goes on
                print(f"dj-sqlspy captures nothing: {type(error).__name__}: {error}", file=sys.stderr)

        loader.exec_module = exec_module


def journals(folder: str) -> dict[str, int]:
    """The journals in a folder, with their sizes."""
    from contextlib import suppress

    found = {}
    for place, _, names in os.walk(folder):
        for path in (os.path.join(place, name) for name in names):
            with suppress(OSError):  # old runs are deleted meanwhile
                found[path] = os.path.getsize(path)
    return found


def watch(folder: str) -> None:
    """Say at the end of this process if nothing has come into the folder of its analysis."""
    before, process = journals(folder), os.getpid()

    def tell() -> None:
        if process == os.getpid() and sys.stderr is not None and journals(folder) == before:
            earlier = " What was captured before stays." if before else ""
            print(
                f"dj-sqlspy: nothing was captured. Did the program read through DataJoint?{earlier}",
                file=sys.stderr,
            )

    atexit.register(tell)


if RUN in os.environ:
    watch(os.environ.pop(RUN))
sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
