"""Import sqlglot from its Python sources, even if its compiled build (``sqlglot[c]``) is installed.

`mysql.syntax.Exact` subclasses sqlglot's MySQL parser and generator, which their compiled forms do not allow (sqlglot's
issue 7923). Both forms are in the same folder. The sources are slower and otherwise the same. This module must be
imported before any other that imports sqlglot.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import LineageError


def import_sources() -> None:
    """Make sure that sqlglot is, or will be, imported from its sources.

    Raises
    ------
    LineageError
        If its compiled build was imported already.
    """
    if "sqlglot.parser" in sys.modules:
        if _is_compiled(sys.modules["sqlglot.parser"]):
            raise LineageError(
                "Analysing statements: sqlglot's compiled build (sqlglotc) was imported before dj_sqlspy needed "
                "sqlglot, and it cannot be refined. Make the slice in a separate process (`dj-sqlspy slice PAPER`, "
                "`dj-sqlspy write PAPER`), or `pip uninstall sqlglotc`."
            )
        return
    spec = find_spec("sqlglot")
    if spec is None or spec.origin is None:
        return  # the next import reports it
    folder = Path(spec.origin).parent
    if any((folder / f"parser{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
        sys.path_hooks.insert(0, _SourcesOf(folder))


def _is_compiled(module: Any) -> bool:
    return str(module.__file__).endswith(tuple(EXTENSION_SUFFIXES))


class _SourcesOf:
    """A path hook that finds Python sources only, in one package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, path: str) -> FileFinder:
        if not Path(path).is_relative_to(self.folder):
            raise ImportError("another hook's")
        return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))


import_sources()
