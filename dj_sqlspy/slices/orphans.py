"""Orphans: finds rows whose parents the database does not have.

In: the key sets of a cascade. Out: nothing, or an error that names such rows. The cascade derives keys of parents from
keys of children without a query. If a foreign key was violated while FOREIGN_KEY_CHECKS was off, a parent is missing.
Then the count of the parent's table would be too high, and a condition could select another row instead.

Keys are looked up in lists. Of many keys that is slow, so where few other rows have the same leading columns, all these
rows are read instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import tee

import numpy as np

from ..cascade import KeySets, Reader
from ..cascade.follow import is_among, keys_among, whole_keys
from ..errors import SliceError
from ..progress import Progress
from ..rules import PARENT
from ..servers.dialect import LIST_BYTES, Key
from ..servers.keys import key_columns
from ..servers.tables import Table
from .restrict import Restriction

# From this number of keys on, rows may be read instead of a lookup, and at most so many for each key.
_MANY, _READ = 10_000, 2


def refuse_orphans(reader: Reader, tables: Iterable[Table], sets: KeySets, progress: Progress) -> None:
    """Raise if a row of the slice refers to a row that does not exist."""

    def lists() -> Iterator[tuple[Table, list[Key]]]:
        for table in tables:
            keys, counts = sets.rows(table.full_name), sets.rows(table.full_name).counts()
            reasons = [reason for reason in counts if sets.reasons[reason].rule == PARENT]
            number = sum(counts[reason] for reason in reasons)
            if number >= _MANY and _are_there(reader, table, sets, _READ * number):
                progress("keys looked up", number)
                continue
            for reason in reasons:
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


def _are_there(reader: Reader, table: Table, sets: KeySets, most: int) -> bool:
    """Whether a table has all keys of the slice, seen by reading at most ``most`` rows; False if that is too few."""
    keys, columns, plain = sets.rows(table.full_name), key_columns(table), reader.coder.plain(table)
    if not table.primary_key or len(keys) > most:
        return False
    for width in range(len(columns)):
        if not all(plain[width:]):
            continue  # values of other rows would be numbered
        if width == 0:
            if reader.total(table.full_name) > most:
                continue
            prefixes: list[Key] | None = [()]
        else:
            prefixes = keys.prefixes(width, len(keys) / _READ)
        if prefixes is None:
            break
        alike = Restriction(table.dialect, columns[:width], prefixes, everything=not width)
        read = found = 0
        for condition in alike.conditions(LIST_BYTES):
            asked = f"{whole_keys(table)} WHERE {condition} LIMIT {most + 1 - read}"
            for block in reader.blocks(table, asked):
                there = keys.among(block)
                read += len(there)
                found += int(np.count_nonzero(there))
            if read > most:
                break
        if read <= most:
            return found == len(keys)
    return False


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
