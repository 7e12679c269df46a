"""Restrictions: the shortest condition that selects exactly the slice's rows of a table.

In: a table, the keys of its rows in the slice, and a way to count. Out: a `Restriction`: none (all rows), a condition
on leading key columns, or a list of keys. Every row of the slice meets the condition on leading columns. It is used
only if the server counts as many rows for it as the slice has, which makes it exact. Runs of consecutive integers are
written as BETWEEN, but only long ones if there are many.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..cascade.keysets import KeySet
from ..servers.columns import INTEGER_TYPES, Column
from ..servers.dialect import LIST_BYTES, Dialect, Key
from ..servers.keys import converted, key_columns
from ..servers.tables import Table

# A condition on leading columns with more values than this share of the rows saves too little to be worth a query.
_WORTH = 0.8
# A run of _RUN integers is shorter as BETWEEN. Servers need time that grows with the square of the number of ranges
# joined with OR, but not for a list. So of more than _MANY_RUNS runs, only those of _LONG_RUN become ranges.
_RUN, _LONG_RUN, _MANY_RUNS = 3, 64, 200
# The longest list that is tried as a condition on leading columns.
_LONGEST = 20_000


@dataclass(frozen=True)
class Restriction:
    """A set of keys over some leading key columns. Without columns it means all rows, or none.

    For a table without a primary key it uses other columns, which may be NULL (``nullable``).
    """

    dialect: Dialect
    columns: tuple[Column, ...]
    keys: Collection[Key]
    everything: bool = False
    nullable: bool = False

    @property
    def text(self) -> str:
        conditions = self.conditions(1 << 62)
        return conditions[0] if conditions else "FALSE"

    def conditions(self, max_bytes: int) -> list[str]:
        """Disjoint conditions, each at most ``max_bytes`` long."""
        if self.everything:
            return ["TRUE"]
        if not self.keys:
            return []
        if len(self.columns) == 1 and self.columns[0].data_type in INTEGER_TYPES and not self.nullable:
            return list(_joined(self._name, sorted(key[0] for key in self.keys), max_bytes))
        overhead = len(self._name.encode()) + 20
        lists = self.dialect.chunks(self.columns, self.keys, max_bytes - overhead)
        one_of = self.dialect.condition if self.nullable else self.dialect.among
        return [one_of(self._name, self.columns, keys) for keys in lists]

    @property
    def _name(self) -> str:
        return self.dialect.expressions(self.columns)


def shortest(table: Table, keys: KeySet, total: int, count: Callable[[str], int]) -> Restriction:
    """The shortest restriction of ``table`` that selects exactly ``keys``.

    Parameters
    ----------
    table : Table
    keys : KeySet
        Keys of the rows in the slice.
    total : int
        Number of rows of the table.
    count : callable
        Runs a ``SELECT COUNT(*)`` and returns its number.
    """
    dialect, columns = table.dialect, key_columns(table)
    if not keys:
        return Restriction(dialect, (), ())
    if len(keys) == total or not table.primary_key:
        return Restriction(dialect, (), (), everything=True)
    for width in range(1, len(columns)):
        prefixes = keys.prefixes(width, min(_LONGEST, _WORTH * len(keys)))
        if prefixes is None:
            break
        candidate = Restriction(dialect, columns[:width], sorted(prefixes, key=repr))
        counted = sum(
            count(f"SELECT COUNT(*) FROM {table.full_name} WHERE {condition}")
            for condition in candidate.conditions(LIST_BYTES)
        )
        if counted == len(keys):
            return candidate
    return Restriction(dialect, columns, keys)


def by_columns(
    table: Table,
    columns: tuple[Column, ...],
    values: Iterable[Sequence[Any]],
    total: int,
    count: Callable[[str], int],
) -> tuple[Restriction, int]:
    """For a table without a primary key, the restriction by values of some columns, and its number of rows.

    Parameters
    ----------
    table : Table
    columns : tuple of Column
    values : iterable of sequence
        Distinct values of these columns, as the server sent them.
    total, count
        As of `shortest`.
    """
    keys = [tuple(map(converted, columns, row)) for row in values]
    found = Restriction(table.dialect, columns, keys, nullable=True)
    rows = count(f"SELECT COUNT(*) FROM {table.full_name} WHERE {found.text}")
    return (Restriction(table.dialect, (), (), everything=True) if rows == total else found), rows


def _runs(name: str, values: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """Consecutive integers as conditions; True marks a single value."""
    starts = [i for i, value in enumerate(values) if not i or value != values[i - 1] + 1]
    runs = list(zip(starts, [*starts[1:], len(values)], strict=True))
    many = sum(end - start >= _RUN for start, end in runs) > _MANY_RUNS
    for start, end in runs:
        if end - start >= (_LONG_RUN if many else _RUN):
            yield f"{name} BETWEEN {values[start]} AND {values[end - 1]}", False
        else:
            yield from ((str(value), True) for value in values[start:end])


def _joined(name: str, values: Sequence[int], max_bytes: int) -> Iterator[str]:
    """Runs and single values joined with OR and IN, in conditions of at most ``max_bytes``."""
    singles: list[str] = []
    ranges: list[str] = []
    size = 0
    for text, single in _runs(name, values):
        length = len(text) + 4
        if size and size + length + 200 > max_bytes:
            yield _or(name, singles, ranges)
            singles, ranges, size = [], [], 0
        if single:
            singles.append(text)
        else:
            ranges.append(text)
        size += length
    if singles or ranges:
        yield _or(name, singles, ranges)


def _or(name: str, singles: Sequence[str], ranges: Sequence[str]) -> str:
    parts = list(ranges)
    if singles:
        parts.append(f"{name} IN ({', '.join(singles)})" if len(singles) > 1 else f"{name} = {singles[0]}")
    return parts[0] if len(parts) == 1 else "(" + " OR ".join(parts) + ")"
