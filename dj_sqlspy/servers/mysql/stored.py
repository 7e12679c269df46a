"""Stored: what a column would hold, and whether its table would take it, for an account that may only SELECT.

In: a column and a value; a table and what is to stand in the place of its contents. Out: the value as the column
holds it, as SQL; its default; the CHECK that a row would break; the texts that a column holds. Nothing is written:
JSON_TABLE stores a value in a column of any type, on both servers, and in a derived table the contents of rows are
replaced.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..columns import FLOAT_TYPES, INTEGER_TYPES, TEXT_TYPES, Column
from ..snapshot import Refused
from ..tables import Table
from .definition import text_of
from .dialect import MYSQL
from .session import in_utc
from .structure import read_definition
from .told import told

_STRICT = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE"
_DEPRECATED = 1681  # of a width such as in TINYINT(1); says nothing of the value
# Types whose values are rounded or folded without a word, and can be compared afterwards.
_EXACT = INTEGER_TYPES | {"decimal", "double", "date", "datetime", "timestamp", "time"}
_MOST_BYTES = {"tinyblob": 2**8 - 1, "blob": 2**16 - 1, "mediumblob": 2**24 - 1, "longblob": 2**32 - 1}
# Neither BIT nor geometries, vectors and what MariaDB has of its own (UUID, INET6): JSON_TABLE takes none of these.
_TYPES = _EXACT | TEXT_TYPES | _MOST_BYTES.keys() | {"float", "json", "binary", "varbinary"}

_TIME = re.compile(r"\(*(?:current_timestamp|now|localtime|localtimestamp)\b", re.IGNORECASE)
_AT_ONCE = 1000  # texts in one query


def default_value(connection: Any, column: Column) -> str | None:
    """SQL for the default of a column; None if it has none, or one that is computed.

    A default that asks for the time becomes the time of writing, so that two dumps are the same.
    """
    default = column.default or ""
    if _TIME.match(default) and column.data_type in ("datetime", "timestamp"):
        digits = re.search(r"\(\d\)", column.column_type)
        now = datetime.datetime.now(datetime.timezone.utc)
        return f"CAST('{now:%Y-%m-%d %H:%M:%S}' AS DATETIME{digits[0] if digits else ''})"
    # MySQL says where a default is an expression; MariaDB writes literals so that they can be told
    literal = re.fullmatch(r"(?:[bx]?'.*'|[-+]?[\d.]+(?:e[-+]?\d+)?)", default, re.IGNORECASE | re.DOTALL)
    computed = "DEFAULT_GENERATED" in column.extra.upper()
    if column.default is None or computed or (not literal and default.endswith(")")):
        return None
    return f"DEFAULT({MYSQL.quote(column.name)})"


def texts_held(connection: Any, table: Table, column: Column, texts: Iterable[str]) -> set[str]:
    """Which of these texts, in lower case, are values of a column, in any row and case. Of bytes and JSON none is."""
    if column.binary or column.data_type == "json":
        return set()
    asked, found = sorted(texts), set[str]()
    contents = f"LOWER(CAST({MYSQL.quote(column.name)} AS CHAR))"
    with connection.cursor() as cursor:
        for start in range(0, len(asked), _AT_ONCE):
            among = ", ".join(map(MYSQL.string, asked[start : start + _AT_ONCE]))
            cursor.execute(f"SELECT DISTINCT {contents} FROM {table.full_name} WHERE {contents} IN ({among})")
            found.update(str(text) for (text,) in cursor.fetchall())
    return found


def stored_value(connection: Any, column: Column, value: str | bytes) -> str:
    """What a column holds once a value was written to it, as SQL that a server prints just as it prints the column.

    Time stamps are in UTC. Of a FLOAT it is the number that the column holds, with all digits.

    Parameters
    ----------
    connection : pymysql connection
        Its session is as it was afterwards.
    column : Column
    value : str or bytes
        Bytes for a column of bytes.

    Raises
    ------
    Refused
        If the column cannot hold the value as it is, or no value of its type can be told.
    """
    if column.data_type not in _TYPES:
        raise Refused("no server tells that of such a type without writing")
    if isinstance(value, bytes):
        return _bytes(column, value)
    with told(), in_utc(connection, _STRICT), connection.cursor() as cursor:
        if column.data_type in ("enum", "set"):
            return _members(cursor, column, value)
        return _text(cursor, column, value)


def _bytes(column: Column, value: bytes) -> str:
    length = re.search(r"\((\d+)\)", column.column_type)
    most = int(length[1]) if length else _MOST_BYTES[column.data_type]
    if len(value) > most:
        raise Refused(f"{len(value):,} bytes are more than {most:,}")
    return MYSQL.bytes(value.ljust(most, b"\0") if column.data_type == "binary" else value)


def _members(cursor: Any, column: Column, value: str) -> str:
    """The members of an ENUM or SET; MariaDB's JSON_TABLE has no such columns."""
    members = column.column_type[len(column.data_type) + 1 : -1]
    if column.data_type == "enum":
        cursor.execute(f"SELECT ELT(FIELD({MYSQL.string(value)}, {members}), {members})")
        found = cursor.fetchone()[0]
    else:
        each = [f"FIELD({MYSQL.string(one)}, {members})" for one in value.split(",") if value]
        bits = " | ".join(f"IF({place}, 1 << ({place} - 1), NULL)" for place in each) or "0"
        cursor.execute(f"SELECT MAKE_SET({bits}, {members})")
        found = cursor.fetchone()[0]
    if found is None:
        raise Refused(f"it has {members}")
    return MYSQL.string(str(found))


def _text(cursor: Any, column: Column, value: str) -> str:
    type_, given = column.column_type, MYSQL.string(value)
    name = MYSQL.quote(column.name)  # messages of the server name it
    if column.collation is not None:
        type_ += f" CHARACTER SET {column.charset} COLLATE {column.collation}"
    # as text a DOUBLE lacks its last digits on MySQL; times 1e0 a FLOAT is one
    read = f"{name} * 1e0" if column.data_type in FLOAT_TYPES else f"CAST({name} AS CHAR)"
    same = f"{name} = {given}" if column.data_type in _EXACT else "TRUE"
    element = f"CAST({given} AS JSON)" if column.data_type == "json" else given
    cursor.execute(
        f"SELECT {read}, {same} FROM JSON_TABLE(JSON_ARRAY({element}), '$[*]'"
        f" COLUMNS ({name} {type_} PATH '$' ERROR ON ERROR)) AS held"
    )
    ((found, equal),) = cursor.fetchall()
    cursor.execute("SHOW WARNINGS")
    said = [str(text) for _, code, text in cursor.fetchall() if int(code) != _DEPRECATED]
    if said or not equal or found is None:
        raise Refused(said[0] if said else f"it would become {found}")
    if "zerofill" in column.column_type:
        width = re.search(r"\d+", column.column_type)
        return MYSQL.string(str(found).zfill(int(width[0]) if width else 0))
    return str(found) if column.numeric else MYSQL.string(str(found))


def broken_check(
    connection: Any, table: Table, contents: Mapping[str, str], conditions: Sequence[str]
) -> tuple[str, int] | None:
    """A CHECK that rows would break, and how many of them; None where all is well.

    Parameters
    ----------
    connection : pymysql connection
    table : Table
    contents : mapping
        By column, SQL that stands in the place of its contents.
    conditions : sequence of str
        Which rows.
    """
    with told(), connection.cursor() as cursor:
        definition = read_definition(cursor, table.full_name)
        checks = [
            (key.name, key.parts[0])
            for key in definition.keys
            if key.kind == "CHECK" and "NOT" not in (token.word for token in key.rest)  # NOT ENFORCED
        ]
        for column in definition.columns:
            clause = column.get("CHECK")
            if clause is not None:
                checks.append((column.name, clause.tokens[1:]))
        instead = {MYSQL.quote(name).lower() for name in contents}
        columns = ", ".join(
            f"{contents.get(column.name, MYSQL.quote(column.name))} AS {MYSQL.quote(column.name)}"
            for column in table.columns
        )
        for name, check in checks:
            if instead.isdisjoint(token.text.lower() for token in check):
                continue
            broken = 0
            for condition in conditions:
                rows = f"SELECT {columns} FROM {table.full_name} WHERE {condition}"
                cursor.execute(f"SELECT COUNT(*) FROM ({rows}) AS held WHERE NOT ({text_of(check)})")
                broken += int(cursor.fetchone()[0])
            if broken:
                return name, broken
    return None
