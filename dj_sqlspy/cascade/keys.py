"""Keys: the rows of one table, named by their primary keys.

In: rows as the server sent them. Out: tuples that can be compared, counted and written back as SQL. Integers and
bits are ``int``, bytes ``bytes``, anything else the text that the server printed, so that a key read from one table
equals the same key read from another, and no value is rounded on the way. It does not decide which rows are needed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from ..catalog import INTEGER_TYPES, Column, Table
from ..sql import bytes_literal, quote, string_literal

Key: TypeAlias = "tuple[Any, ...]"

# The bytes of one list of keys; MySQL's max_allowed_packet is at least 1 MiB (MariaDB 16 MiB, MySQL 64 MiB default)
# and parse time grows with the list, so that longer lists gain nothing.
LIST_BYTES = 400_000


def key_columns(table: Table) -> tuple[Column, ...]:
    return tuple(table.column(name) for name in table.key)


def convert(columns: Sequence[Column], values: Sequence[Any]) -> Key | None:
    """A key from the values of one row, or None where a row of NULLs stands for no row.

    ``values`` are as PyMySQL gives them without decoders: text, bytes or None.
    """
    if all(value is None for value in values):
        return None
    return tuple(converted(column, value) for column, value in zip(columns, values, strict=True))


def converted(column: Column, value: Any) -> Any:
    """One value of a key, as PyMySQL gives it without decoders, in the form that keys have."""
    if value is not None and column.data_type in INTEGER_TYPES:
        return int(value)
    if column.data_type == "bit" and isinstance(value, bytes):
        return int.from_bytes(value, "big")  # compared with a string of bytes, MariaDB finds no bits equal
    return value


def from_python(column: Column, value: Any) -> Any:
    """A value as DataJoint gives it (uuid.UUID, datetime, Decimal, str, int) in the form that keys have."""
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, bytes) or value is None:
        return converted(column, value)
    if column.data_type in INTEGER_TYPES or column.data_type == "bit":
        return int(value)
    return str(value)


def literal(column: Column, value: Any) -> str:
    """One value of a key as an SQL literal that equals it in any session.

    >>> literal(Column("n", "int", "int", False, None, ""), 3)
    '3'
    """
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return bytes_literal(value)
    if column.numeric or column.data_type == "timestamp":
        return str(value)
    text = string_literal(value)
    if text[0] == "_" and column.charset is not None and not column.charset.startswith("utf8"):
        # MariaDB finds nothing for a list of rows whose literals it would have to convert itself
        return f"CONVERT({text} USING {column.charset})"
    return text


def expression(column: Column, alias: str | None = None) -> str:
    """The SQL under which a key column is read and compared.

    The column itself, but for types whose printed form depends on the session or is rounded: TIMESTAMP is
    read as seconds of UTC, FLOAT as the double that it stands for.
    """
    name = (quote(alias) + "." if alias else "") + quote(column.name)
    if column.data_type == "timestamp":
        return f"UNIX_TIMESTAMP({name})"
    if column.data_type == "float":
        return f"CAST({name} AS DOUBLE)"
    return name


def expressions(columns: Iterable[Column], alias: str | None = None) -> str:
    return ", ".join(expression(column, alias) for column in columns)


def condition(names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
    """The condition that the expressions ``names`` equal one of ``keys``.

    Keys with a NULL in them (of rows that a LEFT JOIN filled) are compared with ``<=>``.
    """
    plain = [key for key in keys if None not in key]
    parts: list[str] = []
    if plain:
        parts.append(among(names, columns, plain))
    if len(plain) < len(keys):
        left = names.split(", ")
        parts += [
            "("
            + " AND ".join(f"{n} <=> {literal(c, v)}" for n, c, v in zip(left, columns, key, strict=True))
            + ")"
            for key in keys
            if None in key
        ]
    return "(" + " OR ".join(parts) + ")" if parts else "FALSE"


def among(names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
    """The condition that the expressions ``names`` equal one of ``keys``, in which there is no NULL.

    >>> among("`n`", [Column("n", "int", "int", False, None, "")], [(3,), (4,)])
    '`n` IN (3, 4)'
    """
    single = len(columns) == 1
    if all(column.data_type in INTEGER_TYPES for column in columns):  # Python writes integers as SQL does
        text = str([key[0] for key in keys] if single else list(keys))[1:-1]
    elif single:
        text = ", ".join([literal(columns[0], key[0]) for key in keys])
    else:
        text = ", ".join(
            [f"({', '.join([literal(c, v) for c, v in zip(columns, key, strict=True)])})" for key in keys]
        )
    return f"{names if single else f'({names})'} IN ({text})"


def chunks(
    columns: Sequence[Column], keys: Iterable[Key], most_bytes: int = LIST_BYTES
) -> Iterator[list[Key]]:
    """Keys in lists whose SQL text is at most about ``most_bytes`` long, at least one key each."""
    chunk: list[Key] = []
    size = 0
    integers = all(column.data_type in INTEGER_TYPES for column in columns)
    for key in keys:
        if integers:
            length = 2 + len(str(key))
        else:
            length = 4 + sum([2 + len(literal(c, v)) for c, v in zip(columns, key, strict=True)])
        if chunk and size + length > most_bytes:
            yield chunk
            chunk, size = [], 0
        chunk.append(key)
        size += length
    if chunk:
        yield chunk
