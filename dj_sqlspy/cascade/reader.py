"""Reader: keys of rows, read in one snapshot.

In: a `Snapshot`, and queries for keys. Out: the keys as `keysets` holds them. It knows nothing of slices.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..servers.dialect import Key
from ..servers.keys import key_columns
from ..servers.session import PLAIN, Session
from ..servers.snapshot import Snapshot
from ..servers.tables import Table
from .keysets import Coder, Columns, joined


class Reader:
    """Reads keys, all with one coder, so that keys of several queries can be compared.

    Attributes
    ----------
    snapshot : Snapshot
    coder : Coder
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.coder = Coder()

    def keys(self, table: Table, sql: str, session: Session = PLAIN) -> Columns:
        """The keys that a query returns; its answer is read in pieces, since it can be large."""
        parts = [self.coder.read(table, rows) for rows in self.snapshot.blocks(sql, session)]
        return joined(parts) if parts else self.coder.read(table, ())

    def lists(self, table: Table, keys: Columns) -> Iterator[list[Key]]:
        """The keys as tuples, in lists that a query can hold."""
        return table.dialect.chunks(key_columns(table), self.coder.keys(table, keys))
