"""Contents: what the columns of a loaded slice hold, for who looks for private values (`bundle.privacy`).

In: a connection to a server with the slice, names and types of columns. Out: which columns hold texts or bytes, their
distinct values, SQL for whether a value has a form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pymysql.cursors import SSCursor

from ..columns import BINARY_TYPES, TEXT_TYPES
from .dialect import MYSQL


def _kind(column_type: str) -> str:
    return re.split(r"[^a-z]", column_type.lower(), maxsplit=1)[0]


def holds(column_type: str) -> str:
    """Whether a column of a type holds ``text`` or ``bytes``; "" for anything else.

    >>> holds("varchar(20)"), holds("longblob"), holds("int unsigned"), holds("binary(16)")
    ('text', 'bytes', '', '')
    """
    kind = _kind(column_type)
    if kind in TEXT_TYPES or kind == "json":
        return "text"
    return "bytes" if kind in BINARY_TYPES and kind not in ("bit", "binary") else ""


def values_of(
    connection: Any, table: str, column: str, column_type: str, left_out: str | None, most: int
) -> Iterator[tuple[str, int]]:
    """The distinct values of a column as texts, and their numbers of rows, the most frequent first.

    Parameters
    ----------
    connection : pymysql connection
    table : str
        Full name.
    column, column_type : str
    left_out : str or None
        SQL of a value that stands in the place of contents, and is left out.
    most : int
        How many values are enough.
    """
    quoted, kind = MYSQL.quote(column), _kind(column_type)
    sql = f"SELECT CAST({quoted} AS CHAR), COUNT(*) FROM {table} WHERE {quoted} IS NOT NULL"
    if left_out is not None:
        sql += f" AND NOT ({_compared(quoted, kind)} <=> {_compared(left_out, kind)})"
    with connection.cursor(SSCursor) as cursor:
        cursor.execute(f"{sql} GROUP BY 1 ORDER BY 2 DESC LIMIT {most}")
        for value, count in cursor.fetchall_unbuffered():
            yield str(value), int(count)


def _compared(sql: str, kind: str) -> str:
    """SQL that is equal for equal values of a column of a kind."""
    if kind == "json":  # MySQL finds no JSON equal to a text
        return f"CAST({sql} AS CHAR)"
    return f"{sql} * 1e0" if kind == "float" else sql


def matches(column: str, pattern: str, hexadecimal: bool) -> str:
    """SQL for whether a text, or the hexadecimal digits of bytes, has the form of a pattern."""
    if hexadecimal:
        return f"HEX({column}) REGEXP '{pattern}'"
    return f"CONVERT({column} USING utf8mb4) COLLATE utf8mb4_bin REGEXP '{pattern}'"
