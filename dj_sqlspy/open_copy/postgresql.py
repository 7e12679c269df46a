"""PostgreSQL: how a column of PostgreSQL is kept in Parquet and in DuckDB, and what cannot be kept.

In: a column of the catalog, or of a result, whose values are read by `servers.postgresql.values`. Out: a `Kept`, and a
condition in SQL for the values that its type in Parquet does not have. Types that are not known here are kept as the
text that the server prints.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from ..servers.columns import Column
from ..servers.mysql.definition import beside_type
from ..servers.postgresql.dialect import POSTGRESQL, ZONED
from ..servers.results import ResultColumn
from .kept import MOST_DIGITS, Form, Kept, beside_note, is_date

NAME = POSTGRESQL.name

_LAST = {"date": "9999-12-31"}  # of the calendar; else with a time
_INTEGERS = {"smallint": "int16", "integer": "int32", "bigint": "int64"}
_TEXTS = frozenset({"text", "character varying", "character", "name", '"char"'})
_SIZES = re.compile(r"numeric\((\d+),(-?\d+)\)")


class _Lacking(NamedTuple):
    """What the type of a column in Parquet does not have: in words, to tell, and as a condition."""

    many: str
    beside: str
    holds: Callable[[bytes], bool]
    condition: str


def _is_in_calendar(value: bytes) -> bool:
    """
    >>> [_is_in_calendar(text) for text in (b"2024-02-29", b"infinity", b"0044-03-15 BC", b"10000-01-01 00:00:00")]
    [True, False, False, False]
    """
    return is_date(value) and value[10:11] in (b"", b" ") and not value.endswith(b"BC")


_YEARS = _Lacking(
    "beyond the years 1 to 9999",
    "no date of the years 1 to 9999",
    _is_in_calendar,
    "NOT {0} BETWEEN '0001-01-01' AND '{1}'",
)
_NUMBERS = _Lacking("NaN", "no number", lambda value: value[:1] not in b"NI", "{0} = 'NaN'")
_CLOCK = _Lacking("24:00:00", "24:00:00", lambda value: value != b"24:00:00", "{0} = '24:00:00'")

# Form, types in Parquet and in DuckDB, what is not kept, and what the type in Parquet lacks.
_OTHERS: dict[str, tuple[Form, str, str, str, _Lacking | None]] = {
    "boolean": ("boolean", "bool", "BOOLEAN", "", None),
    "real": ("float", "float", "FLOAT", "", None),
    "double precision": ("float", "double", "DOUBLE", "", None),
    "date": ("date", "date32", "DATE", "", _YEARS),
    "timestamp without time zone": ("datetime", "timestamp[us]", "TIMESTAMP", "", _YEARS),
    ZONED: ("datetime", "timestamp[us, UTC]", "TIMESTAMP", "in UTC", _YEARS),
    "time without time zone": ("clock", "time64[us]", "TIME", "", _CLOCK),
    "uuid": ("uuid", "uuid", "UUID", "", None),
    "bytea": ("bytes", "binary", "BLOB", "", None),
}


def kept(column: Column, lacking: int) -> Kept:
    """How a column is kept.

    Parameters
    ----------
    column : Column
    lacking : int
        Number of its values that Parquet's type does not have.

    Examples
    --------
    >>> def of(type, lacking=0):
    ...     found = kept(Column("c", type.partition("(")[0], type, True, None, ""), lacking)
    ...     return found.arrow, found.duckdb, found.note
    >>> of("integer"), of("numeric(10,2)")
    (('int32', 'BIGINT', ''), ('decimal128(10, 2)', 'DECIMAL(10, 2)', ''))
    >>> of("numeric"), of("integer[]")
    (('string', 'VARCHAR', 'NUMERIC without a precision: text'), ('string', 'VARCHAR', 'INTEGER[]: text'))
    >>> of("date", 2)[2]
    '2 values beyond the years 1 to 9999: NULL, and a column of texts in Parquet'
    """
    form, arrow, duckdb, note, lacks = _form(column)
    kind = column.data_type
    if _is_enum(column):  # for `translate`, too
        column = column._replace(data_type="enum", collation=None)
        note = "ENUM: text"
    elif kind in _TEXTS:
        note = _of_texts(column)
    else:  # the catalog has one for types of which equal values are printed in several ways
        column = column._replace(collation=None)
    otherwise = bool(note) and column.data_type != "enum"
    if lacking and lacks is not None:
        note = "; ".join(filter(None, (note, beside_note(lacking, lacks.many))))
    return Kept(
        column,
        form,
        arrow,
        duckdb,
        note,
        text_beside=bool(lacking) and lacks is not None,
        otherwise=otherwise,
        by_locale=kind in _TEXTS,
        holds=None if lacks is None else lacks.holds,
        beside="" if lacks is None else lacks.beside,
    )


def _form(column: Column) -> tuple[Form, str, str, str, _Lacking | None]:
    kind = column.data_type
    if kind in _INTEGERS:
        return "integer", _INTEGERS[kind], "BIGINT", "", None
    if kind == "numeric":
        sizes = _SIZES.fullmatch(column.column_type)
        if sizes is None:
            return "text", "string", "VARCHAR", "NUMERIC without a precision: text", None
        digits, places = int(sizes[1]), int(sizes[2])
        if not 0 <= places <= digits <= MOST_DIGITS:
            why = f"with more than {MOST_DIGITS} digits" if digits > MOST_DIGITS else "with other places"
            return "text", "string", "VARCHAR", f"NUMERIC {why}: text", None
        return "decimal", f"decimal128({digits}, {places})", f"DECIMAL({digits}, {places})", "", _NUMBERS
    return _OTHERS.get(kind) or ("text", "string", "VARCHAR", f"{kind.upper()}: text", None)


def _is_enum(column: Column) -> bool:
    """Whether it is of an enumeration: no other type of a user is in a bundle, but arrays of one."""
    return column.data_type == "enum" or (
        column.column_type.startswith('"') and not column.data_type.endswith(("[]", '"char"'))
    )


def _of_texts(column: Column) -> str:
    notes = ["CHARACTER: the blanks at its end count"] * (column.data_type == "character")
    if column.folds:
        notes.append(f"the collation {column.collation} finds other texts equal, too")
    return "; ".join(notes)


def of_result(column: ResultColumn, name: str, source: Column | None, lacking: int) -> Kept:
    """How a column of a result is kept; the parameters are those of `columns.of_result`.

    >>> found = of_result(ResultColumn("n", "number", "", "", declared="numeric(12,0)", dialect=NAME), "n", None, 0)
    >>> found.arrow, found.column.column_type
    ('decimal128(12, 0)', 'numeric(12,0)')
    """
    declared = column.declared
    sent = Column(name, "numeric" if declared.startswith("numeric(") else declared, declared, True, None, "")
    found = kept(sent, lacking)
    comment = "" if source is None else beside_type(source.comment)
    shown = declared if source is None else source.column_type
    return replace(found, column=found.column._replace(column_type=shown, comment=comment))


def lacking_in(column: Column, quoted: str) -> str:
    """A condition on a row: its value of a column is none of the type in Parquet; "" if all are.

    >>> lacking_in(Column("n", "numeric", "numeric(5,2)", True, None, ""), '"n"')
    '"n" = \\'NaN\\''
    """
    lacks = _form(column)[-1]
    last = _LAST.get(column.data_type, "9999-12-31 23:59:59.999999")
    return "" if lacks is None else lacks.condition.format(quoted, last)
