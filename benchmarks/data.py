"""Data: schemas filled with generated rows, the same in every run.

In: a cursor and sizes. Out: tables on the server. Rows are computed by the server from row numbers, and choices by
`random.Random` with `SEED`.
"""

from __future__ import annotations

from typing import Any

from dj_sqlspy.servers.mysql.dialect import MYSQL

quote = MYSQL.quote

SEED = 20240607


def fresh_schema(cursor: Any, name: str) -> None:
    """An empty schema of this name."""
    cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
    cursor.execute(f"DROP DATABASE IF EXISTS {quote(name)}")
    cursor.execute("SET FOREIGN_KEY_CHECKS = 1")
    cursor.execute(f"CREATE DATABASE {quote(name)}")


def numbers(cursor: Any, schema: str, count: int) -> None:
    """A table ``numbers`` with n from 0 to count - 1."""
    cursor.execute(f"CREATE TABLE {quote(schema)}.numbers (n INT PRIMARY KEY)")
    cursor.execute(f"INSERT INTO {quote(schema)}.numbers VALUES (0)")
    have = 1
    while have < count:
        cursor.execute(
            f"INSERT INTO {quote(schema)}.numbers SELECT n + {have} FROM {quote(schema)}.numbers"
            f" WHERE n + {have} < {count}"
        )
        have = min(2 * have, count)
