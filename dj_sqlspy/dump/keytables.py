"""Key tables, so that very many scattered keys need one mysqldump and not hundreds.

In: a `Slice`, a connection whose account may create tables in one schema, and the name of that schema. Out: tables in
it that hold the primary keys of the slice's rows, and for each the condition that reads these rows. Nothing is made
anywhere else. If no schema is named, nothing is made and ``dump.sh`` holds all keys. The tables must be there while
``dump.sh`` runs. It says which can be dropped afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import BundleError
from ..servers import backend_of
from ..servers.snapshot import Refused
from ..servers.tables import Table
from ..slices import Slice, TableSlice

# Restrictions of more bytes than this are worth a key table: they would take four commands and more.
WORTH = 512 * 1024
_LIST_BYTES = 400_000


@dataclass(frozen=True)
class KeyTable:
    """Keys of the rows of ``table``, in the table ``name`` (full)."""

    name: str
    table: str
    condition: str


def key_tables(cut: Slice, schema: str, connection: Any) -> list[KeyTable]:
    """Make a key table for each table of the slice whose restriction is long.

    Its name tells its contents, so one that was made for the same rows before is used again.

    Parameters
    ----------
    cut : Slice
    schema : str
        Where they are made; it must exist.
    connection : pymysql connection
        To the source, with ``GRANT CREATE, INSERT, SELECT, DROP`` on the schema.

    Raises
    ------
    BundleError
        If the server refuses it, or the rows are not the slice's any more.
    """
    made = []
    for entry in cut.tables.values():
        if entry.table.is_view or not entry.table.primary_key or entry.rows in (0, entry.total_rows):
            continue
        if len(entry.conditions(WORTH)) > 1:
            made.append(_make(entry, schema, connection))
    return made


def _make(entry: TableSlice, schema: str, connection: Any) -> KeyTable:
    table, dialect = entry.table, entry.table.dialect
    lists = entry.conditions(_LIST_BYTES)
    name = dialect.full_name(schema, f"sqlspy_{_digest([table.full_name, *lists])}")
    try:
        found = backend_of(connection).fill_key_table(connection, name, table, lists, entry.rows)
    except Refused as error:
        raise BundleError(
            f"Writing the keys of {table.full_name} into a table of `{schema}` (sqlspy.scratch): {error}. "
            f"The schema must exist and the account needs GRANT CREATE, INSERT, DELETE, SELECT ON `{schema}`.*; "
            "without sqlspy.scratch no such table is needed."
        ) from error
    if found != entry.rows:
        raise BundleError(
            f"Writing the keys of {table.full_name}: {found:,} of the {entry.rows:,} rows of the slice are there "
            "now. The database has changed since the slice was made; make it again."
        )
    return KeyTable(name, table.full_name, _condition(table, name))


def _condition(table: Table, name: str) -> str:
    """The condition that the key of a row is in a table of keys.

    >>> from ..servers.columns import Column
    >>> columns_of_t = tuple(Column(n, "int", "int", False, None, "") for n in "ab")
    >>> print(_condition(Table("s", "t", columns_of_t, ("a", "b")), "`tmp`.`k`"))
    (`a`, `b`) IN (SELECT `k`.`a`, `k`.`b` FROM `tmp`.`k` AS `k`)
    """
    columns = table.dialect.columns
    own, theirs = columns(table.primary_key), columns(table.primary_key, "k")
    return f"({own}) IN (SELECT {theirs} FROM {name} AS {table.dialect.quote('k')})"


def _digest(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:24]
