"""Reader: reads keys of rows in one snapshot.

In: a `Snapshot`, and queries for keys. Out: the keys in the form of `keysets`. It knows nothing of slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from ..servers.dialect import Key
from ..servers.keys import key_columns
from ..servers.session import PLAIN, Session
from ..servers.snapshot import Snapshot
from ..servers.tables import Table
from .keysets import Coder, Columns, joined

# An EXISTS that is true.
EXISTING = "SELECT EXISTS (SELECT 1)"


class Reader:
    """Reads keys with one coder, so that keys of several queries can be compared.

    Attributes
    ----------
    snapshot : Snapshot
    coder : Coder
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.coder = Coder()
        self._totals: dict[str, int] = {}

    def keys(self, table: Table, sql: str, session: Session = PLAIN) -> Columns:
        """The keys that a query returns."""
        return joined(self.blocks(table, sql, session)) or self.coder.read(table, ())

    def blocks(self, table: Table, sql: str, session: Session = PLAIN) -> Iterator[Columns]:
        """As `keys`, in blocks, since the answer can be large."""
        return (self.coder.read(table, rows) for rows in self.snapshot.blocks(sql, session))

    def together(self, tables: Sequence[Table], sql: str, session: Session = PLAIN) -> list[Columns]:
        """The keys of several tables that a query returns side by side, for each table."""
        parts: list[list[Columns]] = [[self.coder.read(table, ())] for table in tables]
        for rows in self.snapshot.blocks(sql, session):
            start = 0
            for table, found in zip(tables, parts, strict=True):
                end = start + len(table.key)
                found.append(self.coder.read(table, [row[start:end] for row in rows]))
                start = end
        return [joined(found) for found in parts]

    @cached_property
    def digest_of_true(self) -> str | None:
        """The digest of the result of ``SELECT EXISTS (…)`` where there is a row."""
        return self.snapshot.answer(EXISTING, PLAIN, own=False).digest

    def total(self, name: str, beside: Iterable[str] = ()) -> int:
        """The number of rows of a table in the database. If it is counted now, so are the tables ``beside`` it."""
        if name not in self._totals:
            for _ in self.totals({name, *beside}):
                pass
        return self._totals[name]

    def totals(self, names: Iterable[str]) -> Iterator[int]:
        """The number of rows of each table in the database, counted once."""
        names = list(names)
        unknown = [name for name in names if name not in self._totals]
        counted = self.snapshot.totals(unknown)
        for name in names:
            if name not in self._totals:
                self._totals[name] = next(counted)
            yield self._totals[name]

    def lists(self, table: Table, keys: Columns) -> Iterator[list[Key]]:
        """The keys as tuples, in lists that fit into a query."""
        return table.dialect.chunks(key_columns(table), self.coder.keys(table, keys))
