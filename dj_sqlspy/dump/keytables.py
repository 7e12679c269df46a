"""Key tables: write many scattered keys into a table, so that one mysqldump is enough instead of hundreds.

In: a `Slice`, a connection whose account may create tables in one schema, and the name of that schema. Out: tables with
primary keys of the slice's rows, and for each the condition that selects these rows. Nothing is created elsewhere.
Without a schema nothing is created, and ``dump.sh`` contains all keys. The tables must exist while ``dump.sh`` runs.
The script says which can be dropped afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import BundleError
from ..servers import backend_of
from ..servers.dialect import LIST_BYTES
from ..servers.snapshot import Refused
from ..servers.tables import Table
from ..slices import Slice, TableSlice

# Restrictions longer than this, in bytes, get a key table: they would need at least four commands.
WORTH = 512 * 1024


@dataclass(frozen=True)
class KeyTable:
    """The keys of some rows of ``table``, in the table ``name`` (full name)."""

    name: str
    table: str
    condition: str


def key_tables(cut: Slice, schema: str, connection: Any) -> list[KeyTable]:
    """Create a key table for each table of the slice whose restriction is long.

    Its name contains a digest of its contents, so a table for the same rows is used again.

    Parameters
    ----------
    cut : Slice
    schema : str
        An existing schema for the key tables.
    connection : pymysql connection
        To the source, with ``GRANT CREATE, INSERT, DELETE, SELECT`` on the schema.

    Raises
    ------
    BundleError
        If the server refuses it, or the rows have changed since the slice was made.
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
    lists = entry.conditions(LIST_BYTES)
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
