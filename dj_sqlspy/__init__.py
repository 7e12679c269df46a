"""dj-sqlspy: export exactly the rows that a DataJoint analysis stands on.

Importing this package makes DataJoint's connections observable; nothing is recorded until a session is open.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import SpyError
from .version import __version__

if TYPE_CHECKING:
    from .capture import Session, export, start_export, stop_export
    from .paper import Paper, papers
    from .paper.bundle import Bundle, check_open_copy
    from .shared_tables import Export, ExportSelection
    from .slices.pick import slice
    from .spy.session import paused

__all__ = [
    "Bundle",
    "Export",
    "ExportSelection",
    "Paper",
    "Session",
    "SpyError",
    "__version__",
    "check_open_copy",
    "export",
    "papers",
    "paused",
    "slice",
    "start_export",
    "stop_export",
]

# These need sqlglot, networkx or rich, so they are imported on first use.
_LAZY = {
    "Bundle": "paper.bundle",
    "check_open_copy": "paper.bundle",
    "Paper": "paper",
    "papers": "paper",
    "slice": "slices.pick",
    "Export": "shared_tables",
    "ExportSelection": "shared_tables",
    "Session": "capture",
    "export": "capture",
    "start_export": "capture",
    "stop_export": "capture",
    "paused": "spy.session",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    from .capture import install

    install()
    return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext dj_sqlspy``: the magics of `cli.notebook`."""
    from .cli import notebook

    notebook.load(shell)


def _is_command_line() -> bool:
    """Whether this process is ``dj-sqlspy`` or ``python -m dj_sqlspy``: that loads DataJoint after its arguments."""
    words: list[str] = getattr(sys, "argv", None) or [""]
    as_module = words[0] == "-m" and sys.orig_argv[-len(words) - 1 :][:2] == ["-m", __name__]
    as_script = Path(words[0]).name in ("dj-sqlspy", "dj-sqlspy.exe")
    return (as_module or as_script) and "datajoint" not in sys.modules


if not _is_command_line():
    from .capture import install

    install()
