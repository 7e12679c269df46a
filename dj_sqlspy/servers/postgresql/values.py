"""Values: the result of a statement as files and pages have it.

In: a statement, on a connection that returns texts (`session.as_sent`). Out: what its columns are, and its rows: bytes
as bytes, a UUID as its 16 bytes, a time with a zone in UTC, and everything else as the server prints it. The digest is
that of the values as sent (`results.Result`).
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..results import ALL_DIGITS, ResultColumn, in_lists
from .dialect import POSTGRESQL, ZONED
from .driver import driver
from .results import Result
from .told import told

BYTES, UUID = "bytea", "uuid"
_NUMBERS = frozenset({"smallint", "integer", "bigint", "real", "double precision", "numeric"})
_DIGITS = {"real": 6, "double precision": ALL_DIGITS}  # significant ones that count
_PLACES = {"smallint": 0, "integer": 0, "bigint": 0}
# Of a numeric. For one without a precision, or with less than 0 places, psycopg2 has larger numbers.
_MOST_PLACES = 1000
# Types whose text depends on the session's DateStyle.
_DATED = frozenset({"date", "timestamp without time zone", ZONED})

_TYPES = """
SELECT oid::text, CASE WHEN typtype = 'e' THEN 'enum' ELSE format_type(oid, NULL) END
FROM pg_catalog.pg_type WHERE oid = ANY (%s)
"""
_COLUMNS = """
SELECT c.oid::text, n.nspname, c.relname, a.attnum::text, a.attname
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid WHERE c.oid = ANY (%s)
"""


class Names:
    """The names of the types, tables and columns of a database, which it gives results by numbers."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._types: dict[int, str] = {}
        self._columns: dict[int, dict[int, tuple[str, str]]] = {}

    def type(self, number: int) -> str:
        """The name of a type, without its length; ``enum`` for all enumerations."""
        return self._types[number]

    def column(self, table: int, place: int) -> tuple[str, str]:
        """The full name of a table, and the name of one of its columns; empty for what is no column of a table."""
        return self._columns.get(table, {}).get(place, ("", ""))

    def learn(self, fields: Sequence[Any]) -> None:
        """Ask the database for what is not known yet of the columns of a result."""
        types = {field.type_code for field in fields} - self._types.keys()
        tables = {field.table_oid for field in fields if field.table_oid} - self._columns.keys()
        with told(), self._connection.cursor() as cursor:
            if types:
                cursor.execute(_TYPES, (list(types),))
                self._types |= {int(number): name for number, name in cursor.fetchall()}
            if tables:
                self._columns |= {table: {} for table in tables}
                cursor.execute(_COLUMNS, (list(tables),))
                for table, schema, name, place, column in cursor.fetchall():
                    full_name = POSTGRESQL.full_name(schema, name)
                    self._columns[int(table)][int(place)] = full_name, column


class Values(Result):
    """The result of a statement that was sent.

    Attributes
    ----------
    columns : tuple of ResultColumn
        What its columns are.
    """

    def __init__(self, connection: Any, sql: str, names: Names) -> None:
        super().__init__(connection, sql)
        names.learn(self.fields)
        iso = str(connection.info.parameter_status("DateStyle")).startswith("ISO")
        self.columns = tuple(_column(field, names, iso) for field in self.fields)

    def __iter__(self) -> Iterator[Sequence[bytes | None]]:
        converted = {
            place: _CONVERTED[column.declared]
            for place, column in enumerate(self.columns)
            if column.declared in _CONVERTED
        }
        for sent in super().__iter__():
            row = list(sent)
            for place, convert in converted.items():
                if (value := row[place]) is not None:
                    row[place] = convert(value)
            yield row

    def blocks(self, size: int) -> Iterator[list[Sequence[bytes | None]]]:
        """Its rows in lists of about ``size`` bytes."""
        return in_lists(self, size)


def _column(field: Any, names: Names, iso: bool) -> ResultColumn:
    kind = declared = names.type(field.type_code)
    table, column = names.column(field.table_oid, field.table_column) if field.table_oid else ("", "")
    places, digits = _PLACES.get(kind), _DIGITS.get(kind)
    if kind == "numeric" and field.precision <= _MOST_PLACES and field.scale <= _MOST_PLACES:
        declared, places = f"numeric({field.precision},{field.scale})", field.scale
    if kind in _DATED and not iso:
        declared = "text"  # such as 31.12.2026, which says no date to a program
    what = "number" if kind in _NUMBERS else "bytes" if kind in (BYTES, UUID) else "text"
    return ResultColumn(
        field.name, what, table, column, places, digits, declared=declared, dialect=POSTGRESQL.name
    )


def as_bytes(value: bytes) -> bytes:
    r"""The bytes that a text of the type bytea means, in either form (``bytea_output``).

    >>> as_bytes(b"\\x00ff"), as_bytes(b"a\\\\\\001")
    (b'\x00\xff', b'a\\\x01')
    """
    return bytes(driver().BINARY(value.decode(), None))


def in_utc(value: bytes) -> bytes:
    """A time with the offset of its zone, in UTC. One that is not of the years 1 to 9999 stays as it is.

    >>> in_utc(b"2024-01-01 01:00:00.5+01"), in_utc(b"1800-01-01 00:09:21+00:09:21"), in_utc(b"-infinity")
    (b'2024-01-01 00:00:00.5+00', b'1800-01-01 00:00:00+00', b'-infinity')
    """
    text = value.decode()
    if text.endswith("+00"):
        return value
    place = max(text.rfind("+"), text.rfind("-"))
    clock, _, fraction = text[:place].partition(".")
    hours, *smaller = text[place + 1 :].split(":")
    try:
        parts = [int(hours), *map(int, smaller), 0, 0]
        offset = datetime.timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])
        at = datetime.datetime.fromisoformat(clock) - (-offset if text[place] == "-" else offset)
    except (ValueError, OverflowError):  # infinity, BC, or a year of five digits
        return value
    return f"{at.isoformat(' ')}{'.' * bool(fraction)}{fraction}+00".encode()


_CONVERTED: dict[str, Callable[[bytes], bytes]] = {
    BYTES: as_bytes,
    UUID: lambda value: uuid.UUID(value.decode()).bytes,
    ZONED: in_utc,
}
