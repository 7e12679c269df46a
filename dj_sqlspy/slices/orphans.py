"""Orphans: finds rows whose parents the database does not have.

In: the key sets of a cascade. Out: nothing, or an error that names such rows. The cascade derives keys of parents from
keys of children without a query. If a foreign key was violated while FOREIGN_KEY_CHECKS was off, a parent is missing.
Then the count of the parent's table would be too high, and a condition could select another row instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import tee

from ..cascade import KeySets, Reader
from ..cascade.follow import is_among, keys_among
from ..errors import SliceError
from ..progress import Progress
from ..rules import PARENT
from ..servers.dialect import Key
from ..servers.keys import key_columns
from ..servers.tables import Table


def refuse_orphans(reader: Reader, tables: Iterable[Table], sets: KeySets, progress: Progress) -> None:
    """Raise if a row of the slice refers to a row that does not exist."""

    def lists() -> Iterator[tuple[Table, list[Key]]]:
        for table in tables:
            keys = sets.rows(table.full_name)
            for reason in keys.counts():
                if sets.reasons[reason].rule == PARENT:
                    followed = reader.lists(table, keys.columns(reason))
                    yield from ((table, chunk) for chunk in followed)

    def counted(table: Table, keys: Sequence[Key]) -> str:
        return f"SELECT COUNT(*) FROM {table.full_name} WHERE {is_among(table, keys)}"

    asked, found = tee(lists())
    for (table, keys), number in zip(
        found, reader.snapshot.counts(counted(*one) for one in asked), strict=True
    ):
        progress("keys looked up", len(keys))
        if number != len(keys):
            _refuse(reader, table, keys, sets)


def _refuse(reader: Reader, table: Table, keys: Sequence[Key], sets: KeySets) -> None:
    stored = set(reader.coder.keys(table, reader.keys(table, keys_among(table, keys))))
    missing = [key for key in keys if key not in stored]
    fk = sets.reasons[sets.rows(table.full_name)[missing[0]]].foreign_key
    example = ", ".join(f"{c.name}={v!r}" for c, v in zip(key_columns(table), missing[0], strict=True))
    raise SliceError(
        f"Following foreign keys to {table.full_name}: {len(missing)} of its rows that {fk.child if fk else '?'} "
        f"refers to are not in the database, such as ({example}). The foreign key is violated there already (rows "
        "were changed while FOREIGN_KEY_CHECKS was off). Repair these rows, or forget the statements that read "
        "them."
    )
