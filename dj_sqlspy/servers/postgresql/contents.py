"""Contents: what the columns of a loaded slice hold, for who looks for private values, as `mysql.contents` tells it.

In: a connection to a database with the slice, names and types of columns. Out: which columns hold texts or bytes, their
distinct values, all texts of a table, SQL for whether a value has a form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..tables import Table
from .dialect import POSTGRESQL
from .transaction import parts, reading

# Types that hold no texts; all others may, as enumerations, arrays and JSON do.
_WITHOUT_TEXTS = frozenset(
    """
bool boolean smallint integer bigint real numeric bytea uuid date interval bit inet cidr macaddr macaddr8
""".split()  # noqa: SIM905
) | {
    "double precision",
    "bit varying",
    "time without time zone",
    "time with time zone",
    "timestamp without time zone",
    "timestamp with time zone",
}

# Rows of one part of an answer.
_PART = 1_000


def holds(column_type: str) -> str:
    """Whether a column of a type holds ``text`` or ``bytes``; "" for anything else.

    >>> holds("character varying(20)"), holds("bytea"), holds("timestamp(0) with time zone"), holds('"lab"."sex"')
    ('text', 'bytes', '', 'text')
    """
    kind = re.sub(r"\([\d,]+\)", "", column_type)
    return "bytes" if kind == "bytea" else "" if kind in _WITHOUT_TEXTS else "text"


def values_of(
    connection: Any, table: str, column: str, column_type: str, left_out: str | None, most: int
) -> Iterator[tuple[str, int]]:
    """The distinct values of a column as texts, and their numbers of rows, the most frequent first.

    The parameters are those of MySQL's.
    """
    quoted = POSTGRESQL.quote(column)
    where = f"{quoted} IS NOT NULL"
    if left_out is not None:  # as the server prints it, which a cast to a text is not of each type
        where += f" AND pg_catalog.format('%s', {quoted}) IS DISTINCT FROM ({left_out})::text"
    with reading(connection) as cursor:
        sql = (
            f'SELECT {quoted}::text COLLATE "C", count(*) FROM {table} WHERE {where}'
            f" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {most}"
        )
        for rows in parts(cursor, sql, _PART):
            yield from ((str(value), int(count)) for value, count in rows)


def texts_in(connection: Any, table: Table, without: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The distinct texts in a table, also those in JSON and in arrays, with the name of their column.

    Parameters
    ----------
    connection : psycopg2 connection
    table : Table
    without : frozenset of str
        Columns to leave out, in lower case.
    """
    for column in table.columns:
        if column.name.lower() in without or holds(column.column_type) != "text":
            continue
        with reading(connection) as cursor:
            texts = distinct(cursor, table, column.name)
        for text in texts:
            yield column.name, text


def distinct(cursor: Any, table: Table, name: str) -> list[str]:
    """The distinct values of a column as texts. NULL is left out."""
    column = POSTGRESQL.quote(name)
    cursor.execute(
        f'SELECT DISTINCT {column}::text COLLATE "C" FROM {table.full_name} WHERE {column} IS NOT NULL'
    )
    return [str(text) for (text,) in cursor.fetchall()]


def matches(column: str, pattern: str, hexadecimal: bool) -> str:
    """SQL for whether a text, or the hexadecimal digits of a UUID, has the form of a pattern."""
    if hexadecimal:
        return f"upper(replace({column}::text, '-', '')) COLLATE \"C\" ~ '{pattern}'"
    return f"{column}::text COLLATE \"C\" ~ '{pattern}'"
