"""Sharing: what a shared log needs of PostgreSQL.

In: connections, and the names of its schema and tables. Out: their types and rights, locks, transactions and rows. What
a shared log is, `paper.sharedlog` says.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from .dialect import POSTGRESQL
from .driver import driver
from .told import told
from .transaction import parts

# Words of a definition for a number that the server gives, other numbers, and bytes. The server knows no
# auto_increment, and DataJoint calls its own types by these names.
TYPES = {"number": "serial", "int": "int32", "bigint": "int64", "bytes": "bytes"}

# A relation of these kinds has rows to read.
_KINDS = "'r', 'v', 'm', 'p', 'f'"

_LOCK_NOT_AVAILABLE = "55P03"


def rights(schema: str) -> tuple[str, str]:
    """What the account that declares the tables needs, and what all others need, in words."""
    name = POSTGRESQL.quote(schema)
    return (
        f"GRANT CREATE ON DATABASE, by which it creates the schema {name}, or it owns that schema",
        f"GRANT USAGE ON SCHEMA {name}; GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA {name}; "
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {name}",
    )


def table_names(connection: Any, schema: str) -> set[str]:
    """The tables and views of a schema. Also takes a DataJoint connection."""
    sql = (
        "SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = %s AND c.relkind IN ({_KINDS})"
    )
    if hasattr(connection, "query"):
        return {name for (name,) in connection.query(sql, (schema,)).fetchall()}
    with told(), connection.cursor() as cursor:
        cursor.execute(sql, (schema,))
        return {name for (name,) in cursor.fetchall()}


def settle_columns(connection: Any, schema: str, tables: Collection[str]) -> None:
    """Nothing: no database compares texts but by all their characters, and only DataJoint 2.x reads the tables."""


@contextlib.contextmanager
def locked(connection: Any, name: str, seconds: int) -> Iterator[bool]:
    """Hold a lock of the database's in this block; gives whether this connection got it."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with told(), connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{int(seconds)}s'")
        try:
            cursor.execute("SELECT pg_advisory_lock(%s)", (number,))
            got = True
        except driver().Error as error:
            if error.pgcode != _LOCK_NOT_AVAILABLE:
                raise
            got = False
        cursor.execute("RESET lock_timeout")
    try:
        yield got
    finally:
        if got and not connection.closed:
            with told(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (number,))


@contextlib.contextmanager
def transaction(connection: Any) -> Iterator[None]:
    """In a block, what is written is stored as a whole at its end, or not at all.

    The driver begins one there even though the connection has autocommit.
    """
    with told(), connection:
        yield


def insert_numbered(connection: Any, table: str, row: Mapping[str, Any], number: str) -> int:
    """Insert a row. Returns the number that the server gave it in the column ``number``."""
    with told(), connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(row))
        cursor.execute(
            f"INSERT INTO {table} ({POSTGRESQL.columns(row)}) VALUES ({marks}) RETURNING {POSTGRESQL.quote(number)}",
            tuple(row.values()),
        )
        return int(cursor.fetchone()[0])


def stream(connection: Any, sql: str, arguments: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of a query one by one, in a transaction, since an answer is otherwise held as a whole."""
    with told(), connection.cursor() as cursor:
        for rows in parts(cursor, cursor.mogrify(sql, arguments).decode(), 1):
            for row in rows:
                yield tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
