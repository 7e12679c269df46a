"""Stored: what a column would hold, and whether its table would take it, as `mysql.stored` tells it.

In: a column and a value; a table and what is to stand in the place of its contents. Out: the value as the column
holds it, as SQL; its default; the columns of unique keys; the CHECK that a row would break; the texts that a column
holds. Nothing is written: a cast stores a value in a type, and a derived table has the contents of rows replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..columns import Column
from ..expressions import Unsupported
from ..snapshot import Refused
from ..tables import Table
from .dialect import POSTGRESQL
from .session import as_sent
from .syntax import Exact, parse
from .transaction import parts, reading

# isort: split
from sqlglot import exp

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric"})

# Of which defaults may be made: literals with their types, and the time.
_PLAIN = (
    exp.Select,
    exp.Literal,
    exp.Cast,
    exp.DataType,
    exp.DataTypeParam,
    exp.Identifier,
    exp.Dot,
    exp.Neg,
    exp.Paren,
    exp.Boolean,
    exp.Array,
    exp.CurrentDate,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.Localtime,
    exp.Localtimestamp,
)

# Rows of one part of an answer.
_PART = 10_000


def default_value(connection: Any, column: Column) -> str | None:
    """SQL for the default of a column; None if it has none, or one that is computed.

    A default that asks for the time becomes the time of writing, so that two dumps are the same.
    """
    if column.default is None:
        return None
    try:
        parsed = parse(f"SELECT {column.default}")
    except Unsupported:
        return None
    for node in parsed.walk():
        time = isinstance(node, exp.Anonymous) and node.name.upper() == "NOW" and not node.expressions
        if not isinstance(node, _PLAIN) and not time:
            return None
    (value,) = parsed.expressions
    return _held(connection, column, value.sql(Exact))[0]


def stored_value(connection: Any, column: Column, value: str | bytes) -> str:
    """What a column holds once a value was written to it, as SQL that a server prints just as it prints the column.

    Parameters
    ----------
    connection : psycopg2 connection
    column : Column
    value : str or bytes
        Bytes for a column of bytes.

    Raises
    ------
    Refused
        If the column cannot hold the value as it is.
    """
    given = POSTGRESQL.bytes(value) if isinstance(value, bytes) else _literal(value)
    found, same, text = _held(connection, column, given)
    if not same:
        raise Refused(f"it would become {text}")
    return found


def _held(connection: Any, column: Column, value: str) -> tuple[str, bool, str]:
    """A value as a column of a type holds it, as SQL; whether a cast leaves it as it is; and its text."""
    kind = column.column_type
    # without a length, to which a cast would cut it
    whole = re.sub(r"\(\d+(?:,-?\d+)?\)", "", kind) if '"' not in kind else kind
    if column.data_type == "character":
        whole = "text"
    equal = f"CAST({value} AS {kind})::text = CAST({value} AS {whole})::text"
    if column.data_type == "numeric":
        equal = f"CAST({value} AS {kind}) = CAST({value} AS {whole})"
    elif column.data_type == "character":
        equal = f"CAST({value} AS {kind})::text = rtrim({value}::text)"
    with as_sent(connection), reading(connection) as cursor:
        cursor.execute(f"SELECT CAST({value} AS {kind}), {equal}")
        ((text, same),) = cursor.fetchall()
    if text is None:
        raise Refused("it would become NULL")
    number = column.data_type in _NUMBERS and _NUMBER.fullmatch(text)
    return text if number else _literal(text), same == "t", text


def _literal(text: str) -> str:
    r"""A string in printable ASCII.

    >>> _literal("it's"), _literal("\\x00"), _literal("é")
    ("'it''s'", "E'\\x5cx00'", "E'\\u00e9'")
    """
    escaped = "".join(
        c
        if c.isascii() and c.isprintable() and c != "\\"
        else f"\\x{ord(c):02x}"
        if c.isascii()
        else f"\\u{ord(c):04x}"
        if ord(c) < 1 << 16
        else f"\\U{ord(c):08x}"
        for c in text
    )
    return ("E'" if escaped != text else "'") + escaped.replace("'", "''") + "'"


def unique_columns(connection: Any, table: Table) -> list[tuple[str, str]]:
    """Pairs of a unique key's name and one of the columns that it or its condition reads, without the primary key."""
    with reading(connection) as cursor:
        cursor.execute(
            "SELECT DISTINCT i.relname, a.attname FROM pg_catalog.pg_index AS x"
            " JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid"
            " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum > 0"
            f" WHERE x.indrelid = {POSTGRESQL.string(table.full_name)}::pg_catalog.regclass"
            " AND (x.indisunique OR x.indisexclusion) AND NOT x.indisprimary AND (a.attnum = ANY(x.indkey)"
            # an expression of a whole row depends on no column
            " OR concat(x.indexprs, x.indpred) LIKE '%:varattno 0 %' OR EXISTS ("
            "SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
            " AND d.objid = i.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
            " AND d.refobjid = x.indrelid AND d.refobjsubid = a.attnum)) ORDER BY 1, 2"
        )
        return [(str(index), str(column)) for index, column in cursor.fetchall()]


def broken_check(
    connection: Any, table: Table, contents: Mapping[str, str], conditions: Sequence[str]
) -> tuple[str, int] | None:
    """A CHECK that rows would break, and how many of them; None where all is well. Parameters are those of MySQL's."""
    columns = ", ".join(
        f"CAST({contents[column.name]} AS {column.column_type}) AS {quoted}"
        if column.name in contents
        else quoted
        for column in table.columns
        for quoted in [POSTGRESQL.quote(column.name)]
    )
    with reading(connection) as cursor:
        cursor.execute(
            "SELECT conname, pg_catalog.pg_get_expr(conbin, conrelid) FROM pg_catalog.pg_constraint WHERE contype = 'c'"
            f" AND conrelid = {POSTGRESQL.string(table.full_name)}::pg_catalog.regclass ORDER BY 1"
        )
        for name, check in cursor.fetchall():
            broken = 0
            for condition in conditions:
                rows = f"SELECT {columns} FROM {table.full_name} WHERE {condition}"
                cursor.execute(
                    f"SELECT pg_catalog.count(*) FROM ({rows}) AS {POSTGRESQL.quote(table.name)} WHERE NOT ({check})"
                )
                broken += int(cursor.fetchone()[0])
            if broken:
                return str(name), broken
    return None


def texts_held(connection: Any, table: Table, column: Column, texts: Iterable[str]) -> set[str]:
    """Which of these texts, in lower case, are values of a column, in any row and any case. Of bytes and JSON none is.

    Values are compared here, since what is one letter in two cases is decided by each database.
    """
    asked = frozenset(texts)
    if not asked or column.binary or column.data_type in ("json", "jsonb"):
        return set()
    quoted = POSTGRESQL.quote(column.name)
    found: set[str] = set()
    with reading(connection) as cursor:
        sql = (
            f'SELECT DISTINCT {quoted}::pg_catalog.text COLLATE "C" FROM {table.full_name}'
            f" WHERE {quoted} IS NOT NULL"
        )
        for rows in parts(cursor, sql, _PART):
            found.update(lower for (text,) in rows if (lower := text.lower()) in asked)
    return found
