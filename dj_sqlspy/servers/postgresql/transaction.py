"""Transaction: one transaction in which values are read and printed in one way, whatever the session had set.

In: a psycopg2 connection. Out: a cursor in a read-only transaction, with the settings with which ``dump.sh`` reads. It
decides nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .dialect import POSTGRESQL
from .told import told

# So that a text is read as it is written here, and a value printed whole. With row_security off, a table some of whose
# rows are hidden from the account is an error.
SETTINGS = {
    "search_path": "",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    "row_security": "off",
    "transform_null_equals": "off",
}
SET = "".join(f"SET LOCAL {name} = '{value}'; " for name, value in SETTINGS.items()).strip()
BEGIN = f"{POSTGRESQL.snapshot};"


def parts(cursor: Any, sql: str, rows: int) -> Iterator[list[Any]]:
    """The rows of a query in lists of so many, so that not all are held at once. One query at a time."""
    cursor.execute(f"DECLARE sqlspy_parts NO SCROLL CURSOR FOR {sql}")
    fetch = f"FETCH {rows} FROM sqlspy_parts"
    cursor.execute(fetch)
    while part := cursor.fetchall():
        yield part
        cursor.execute(fetch)
    cursor.execute("CLOSE sqlspy_parts")


@contextlib.contextmanager
def reading(connection: Any) -> Iterator[Any]:
    """A cursor in a transaction that sees one state of the database and cannot write; errors are `told`."""
    with told(), connection.cursor() as cursor:
        cursor.execute(f"{BEGIN} {SET}")
        try:
            yield cursor
        finally:
            if not connection.closed:
                cursor.execute("ROLLBACK")
