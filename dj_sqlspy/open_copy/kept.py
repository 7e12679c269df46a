"""Kept: how a column is kept in Parquet and in DuckDB.

In: nothing. Out: the dataclass that `columns` and `postgresql` make.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from ..display import count
from ..servers.columns import Column
from ..servers.dialect import Dialect

Form = Literal[
    "integer",
    "decimal",
    "float",
    "date",
    "datetime",
    "time",
    "bits",
    "uuid",
    "text",
    "bytes",
    "array",
    "boolean",
    "clock",
]


MOST_DIGITS = 38  # of a decimal in DuckDB, and of decimal128


def is_date(value: bytes) -> bool:
    """Whether a date that a server sent is one of the calendar.

    >>> [is_date(text) for text in (b"2024-02-29", b"2024-00-10", b"0000-00-00 00:00:00", b"2023-02-29 10:00:00")]
    [True, False, False, False]
    """
    try:
        datetime.date.fromisoformat(value[:10].decode())
    except ValueError:
        return False
    return True


def beside_note(number: int, what: str) -> str:
    """What is told of values that Parquet's type does not have.

    >>> beside_note(1, "without a date")
    '1 value without a date: NULL, and a column of texts in Parquet'
    """
    return f"{count(number, 'value')} {what}: NULL, and a column of texts in Parquet"


@dataclass(frozen=True)
class Kept:
    """How a column is kept.

    Attributes
    ----------
    column : Column
    form : str
        How values that the server sends are read; of an "array", the bytes of its items, one after the other.
    arrow : str
        Its type in Parquet, by pyarrow's name; of a decimal with precision and scale, of a list with numpy's name of
        its items' type.
    duckdb : str
        Its type in DuckDB, with the collation.
    note : str
        What is not as on the server; "" if nothing.
    text_beside : bool
        True if Parquet has a second column with the texts of values that its type does not have.
    too_large : bool
        True if it is NULL in DuckDB because of its size.
    otherwise : bool
        True if its values are compared otherwise than on the server.
    by_locale : bool
        True if its texts are in the order of the database's locale.
    holds : callable or None
        Whether the type in Parquet has a value that the server sent; None if it has all.
    beside : str
        What a value is that it does not have, for the comment of the second column.
    """

    column: Column
    form: Form
    arrow: str
    duckdb: str
    note: str = ""
    text_beside: bool = False
    too_large: bool = False
    otherwise: bool = False
    by_locale: bool = False
    holds: Callable[[bytes], bool] | None = None
    beside: str = "no date"

    @property
    def changed(self) -> bool:
        """True if some of its values are others in DuckDB: texts, or NULL, or compared otherwise."""
        decimal = self.column.data_type in ("decimal", "numeric")
        return self.text_beside or self.too_large or self.otherwise or (decimal and self.form == "text")

    def without_values(self) -> Kept:
        """The same column, NULL in DuckDB."""
        note = "; ".join(filter(None, (self.note, "too large for DuckDB: NULL there, and in Parquet")))
        return replace(self, note=note, too_large=True)

    def selected(self, dialect: Dialect) -> str:
        """SQL that reads it from the server."""
        name = dialect.quote(self.column.name)
        short = self.form == "float" and dialect.name == "mysql"  # which prints a FLOAT with six digits
        return f"{name} * 1e0 AS {name}" if short else name
