"""Programs: the script or notebook of an analysis, noted at its capture.

In: the captured process. Out: path and checksum for the header of its journal. Files in Python's own folders (pytest, a
kernel, a console script) do not count as programs of the lab.
"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

NOTEBOOK = ".ipynb"
LARGEST = 32 << 20  # bytes; larger files do not count as programs

# The program of a process whose __main__ does not tell it (`cli.launch` runs notebooks).
told: Path | None = None


def current() -> dict[str, Any] | None:
    """The program of this process, for the header of its journal.

    Returns
    -------
    dict or None
        ``path`` and the present ``sha256`` of the file (None for a notebook that is being edited, which is saved
        later). None if there is no file, as in an interactive session.
    """
    shell = sys.modules.get("__main__")
    named = told or getattr(shell, "__file__", None)
    if named is None:  # a kernel: Jupyter and VS Code name its notebook
        named = getattr(shell, "__vsc_ipynb_file__", None) or os.environ.get("JPY_SESSION_NAME")
        if named is None or not str(named).endswith(NOTEBOOK):
            return None
        return {"path": os.path.abspath(named), "sha256": None}
    return _noted(os.path.abspath(named))


@cache
def _noted(path: str) -> dict[str, Any] | None:
    # on an error nothing is noted, and the analysis goes on
    with suppress(OSError, ValueError):
        if not _is_python_s_own(path) and os.path.getsize(path) <= LARGEST:
            return {"path": path, "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
    return None


def _is_python_s_own(path: str) -> bool:
    names = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
    folders = {os.path.realpath(folder) for name in names if (folder := sysconfig.get_path(name))}
    return any(os.path.commonpath([os.path.realpath(path), folder]) == folder for folder in folders)
