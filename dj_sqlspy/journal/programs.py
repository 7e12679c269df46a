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
    named = told or _file()
    if named is not None:
        return _noted(os.path.abspath(named))
    notebook = _notebook()
    return None if notebook is None else {"path": os.path.abspath(notebook), "sha256": None}


def name() -> str:
    """The name of the script, package or notebook that runs; ``interactive`` where there is none of them."""
    path = Path(_file() or _notebook() or "interactive")
    return (path.parent.name if path.stem == "__main__" else path.stem) or "interactive"


def _file() -> str | None:
    return getattr(sys.modules.get("__main__"), "__file__", None)


def _notebook() -> str | None:
    """The notebook that a kernel is for, as Jupyter and VS Code say."""
    shell = sys.modules.get("__main__")
    named = getattr(shell, "__vsc_ipynb_file__", None) or os.environ.get("JPY_SESSION_NAME")
    return str(named) if named is not None and str(named).endswith(NOTEBOOK) else None


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
