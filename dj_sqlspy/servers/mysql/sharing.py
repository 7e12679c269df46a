"""Sharing: what a shared log needs of MySQL and MariaDB.

In: connections, and the names of its schema and tables. Out: their types and rights, locks, transactions and rows. What
a shared log is, `paper.sharedlog` says.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pymysql.cursors import SSCursor

from .dialect import MYSQL
from .told import told

# Words of a definition for a number that the server gives, other numbers, and bytes.
TYPES = {"number": "int auto_increment", "int": "int", "bigint": "bigint", "bytes": "longblob"}


def rights(schema: str) -> tuple[str, str]:
    """What the account that declares the tables needs, and what all others need, in words."""
    where = f"ON {MYSQL.quote(schema)}.*"
    return (
        f"GRANT CREATE, ALTER, REFERENCES, SELECT, INSERT, UPDATE, DELETE {where}",
        f"GRANT SELECT, INSERT, DELETE {where}",
    )


def table_names(connection: Any, schema: str) -> set[str]:
    """The tables and views of a schema that the account sees. Also takes a DataJoint connection."""
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
    if hasattr(connection, "cursor"):
        with connection.cursor() as cursor:
            cursor.execute(query, (schema,))
            return {name for (name,) in cursor.fetchall()}
    return {name for (name,) in connection.query(query, (schema,)).fetchall()}


def settle_columns(connection: Any, schema: str, tables: Collection[str]) -> None:
    """Make texts binary in tables that DataJoint declared, and make the tables readable for both of its lines.

    A DataJoint definition cannot name the collation of a text. 2.x writes types into comments, which 0.14 refuses.
    """
    found = connection.query(
        "SELECT table_name, column_name, column_type, data_type, column_comment FROM information_schema.columns"
        " WHERE table_schema = %s AND data_type IN ('varchar', 'datetime', 'bigint', 'int', 'longblob')"
        " AND column_name <> 'export_id'",
        (schema,),
    ).fetchall()
    changes: dict[str, list[str]] = {}
    for table, column, type_, kind, comment in found:
        if table in tables:
            text = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if kind == "varchar" else ""
            comment = MYSQL.string(re.sub(r"^:[^:]*:", "", comment))
            changes.setdefault(table, []).append(
                f"MODIFY {MYSQL.quote(column)} {type_}{text} NOT NULL COMMENT {comment}"
            )
    for table, columns in changes.items():
        connection.query(f"ALTER TABLE {MYSQL.full_name(schema, table)} {', '.join(columns)}")


@contextlib.contextmanager
def locked(connection: Any, name: str, seconds: int) -> Iterator[bool]:
    """Hold a lock of the server's in this block; gives whether this connection got it."""
    with told(), connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, %s)", (name, seconds))
        got = cursor.fetchone()[0] == 1
    try:
        yield got
    finally:
        if got and connection.open:
            with told(), connection.cursor() as cursor:
                cursor.execute("SELECT RELEASE_LOCK(%s)", (name,))


@contextlib.contextmanager
def transaction(connection: Any) -> Iterator[None]:
    """In a block, what is written is stored as a whole at its end, or not at all."""
    with told():
        connection.begin()
        try:
            yield
            connection.commit()
        except Exception:
            if connection.open:
                connection.rollback()
            raise


def insert_numbered(connection: Any, table: str, row: Mapping[str, Any], number: str) -> int:
    """Insert a row. Returns the number that the server gave it in the column ``number``."""
    with told(), connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(row))
        cursor.execute(f"INSERT INTO {table} ({MYSQL.columns(row)}) VALUES ({marks})", tuple(row.values()))
        return int(cursor.lastrowid)


def stream(connection: Any, sql: str, arguments: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of a query as they arrive."""
    with told(), connection.cursor(SSCursor) as cursor:
        cursor.execute(sql, arguments)
        yield from cursor
