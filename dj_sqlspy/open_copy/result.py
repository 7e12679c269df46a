"""Result: what an open copy has, and what it does not have.

In: nothing. Out: the dataclasses that `writing` fills, and the check that the packages for it are installed. It needs
neither of them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import BundleError

EXTRA = ("pyarrow", "duckdb")
PACKAGE_FILE = "datapackage.json"
DATABASE_FILE = "slice.duckdb"


@dataclass(frozen=True)
class DecodedColumn:
    """The decoded values of a column of blobs.

    Attributes
    ----------
    column : str
        Its name.
    path : str
        The Parquet file with them, below the folder; "" if none is decoded.
    what : str
        How the file has them.
    values : int
        Number of its values.
    undecoded : int
        Number of those that are not decoded, which the file of the table has as bytes.
    """

    column: str
    path: str
    what: str
    values: int
    undecoded: int


@dataclass(frozen=True)
class CopiedTable:
    """A table of an open copy.

    Attributes
    ----------
    name : str
        Its full name in the bundle.
    path : str
        Its Parquet file, below the folder.
    relation : str
        Its name in ``slice.duckdb``, quoted; "" if it is not there.
    rows : int
    notes : tuple of (str, str)
        Columns that are not kept unchanged, and how they are kept.
    decoded : tuple of DecodedColumn
        Its columns of blobs that have values.
    """

    name: str
    path: str
    relation: str
    rows: int
    notes: tuple[tuple[str, str], ...] = ()
    decoded: tuple[DecodedColumn, ...] = ()


@dataclass(frozen=True)
class CopiedStatement:
    """A captured statement of an open copy.

    Attributes
    ----------
    numbers : tuple of int
        The statements of the bundle with this text.
    analysis, kind : str
        Of the first of them.
    sql : str
        As the bundle has it.
    view : str
        The view in ``slice.duckdb`` that returns what the server returned; "" if there is none.
    why_not : str
        Why there is no view.
    cautions : tuple of str
        What in it is known to differ between the servers and DuckDB, although the results are equal.
    rows : int or None
        Number of rows of the server's result; None if it was not asked.
    received : bool or None
        True if the server returned what the analysis received; None if that is unknown.
    duckdb : str
        What the view runs; "" if the statement could not be translated.
    """

    numbers: tuple[int, ...]
    analysis: str
    kind: str
    sql: str
    view: str = ""
    why_not: str = ""
    cautions: tuple[str, ...] = ()
    rows: int | None = None
    received: bool | None = None
    duckdb: str = ""

    @property
    def count(self) -> int:
        """Number of captured statements with this text."""
        return len(self.numbers)


@dataclass(frozen=True)
class OpenCopy:
    """A folder with Parquet files and ``slice.duckdb``.

    Attributes
    ----------
    path : Path
    tables : tuple of CopiedTable
    statements : tuple of CopiedStatement
    """

    path: Path
    tables: tuple[CopiedTable, ...]
    statements: tuple[CopiedStatement, ...]

    @property
    def equal(self) -> int:
        """Number of captured statements with a view, which DuckDB answers as the server did."""
        return sum(one.count for one in self.statements if one.view)


def lacks(packages: Sequence[str], extra: str) -> str:
    """What to install for an extra with these packages, in words; "" if all are there."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    them = "it" if len(missing) == 1 else "them"
    return f'{" and ".join(missing)}. Install {them}: pip install "dj-sqlspy[{extra}]"'


def require_extra(doing: str, packages: Sequence[str] = EXTRA, extra: str = "open") -> None:
    """Raise `BundleError` unless the packages of an extra are installed."""
    if missing := lacks(packages, extra):
        raise BundleError(f"{doing}: it needs {missing}")
