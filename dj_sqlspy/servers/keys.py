"""Keys: primary keys of rows as Python tuples.

In: rows as the server sent them. Out: tuples that can be compared, counted and written back as SQL. Integers and bits
are ``int``, bytes are ``bytes``, anything else is the text that the server printed. So a key read from one table equals
the same key read from another, and no value is rounded. It does not decide which rows are needed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from .columns import INTEGER_TYPES, Column
from .dialect import Key as Key
from .tables import Table


def key_columns(table: Table) -> tuple[Column, ...]:
    """The columns that identify a row of a table."""
    return tuple(table.column(name) for name in table.key)


def convert(columns: Sequence[Column], values: Sequence[Any]) -> Key | None:
    """A key from the values of one row. None for a row of NULLs, which means that there is no row.

    ``values`` are as PyMySQL gives them without decoders: text, bytes or None.
    """
    if all(value is None for value in values):
        return None
    return tuple(converted(column, value) for column, value in zip(columns, values, strict=True))


def converted(column: Column, value: Any) -> Any:
    """One value of a key, from what PyMySQL returns without decoders."""
    if value is not None and column.data_type in INTEGER_TYPES:
        return int(value)
    if column.data_type == "bit" and isinstance(value, bytes):
        return int.from_bytes(value, "big")  # in MariaDB, bits never equal a byte string
    return value


def from_python(column: Column, value: Any) -> Any:
    """One value of a key, from what DataJoint returns (uuid.UUID, datetime, Decimal, str, int)."""
    if isinstance(value, uuid.UUID):
        return str(value) if column.data_type == "uuid" else value.bytes
    if column.data_type == "bytea" and value is not None:
        return f"\\x{bytes(value).hex()}"
    if column.data_type == "boolean" and isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes) or value is None:
        return converted(column, value)
    if column.data_type in INTEGER_TYPES or column.data_type == "bit":
        return int(value)
    return str(value)
