"""Key sets: the keys of the rows of one table in a slice, a few bytes each.

In: keys, as rows of a server's answer or as tuples. Out: sets that are added to, looked up and gone through, each key
with a number (the cascade's reason). It asks nothing and knows no rules.

Keys are held as Arrow holds dictionary-encoded columns: 64-bit integers for each column of the key, where a value that
is no integer is its number in a dictionary that all tables of a slice share (`Coder`). In a set the columns are packed
into one integer a key, each as wide as its values ask for, and these integers are sorted: 12 bytes a key with its
number. A tuple in a dict takes 150 to 300. Keys that ask for more than 63 bits are numbered as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..servers.columns import INTEGER_TYPES, Column
from ..servers.dialect import Key
from ..servers.keys import convert, converted, key_columns
from ..servers.tables import Table

Integers: TypeAlias = "npt.NDArray[np.int64]"
Mask: TypeAlias = "npt.NDArray[np.bool_]"
# The keys of some rows of a table: the values of each column of the key, coded. All are as long as there are rows.
Columns: TypeAlias = "tuple[Integers, ...]"

# Keys that are made tuples at a time.
_BLOCK = 10_000
# Bits of a packed key, and the largest: the integers are signed.
_BITS = 63
_MOST = (1 << _BITS) - 1


def length(keys: Columns) -> int:
    """How many keys these are."""
    return len(keys[0])


def chosen(keys: Columns, which: Mask) -> Columns:
    """Those of the keys that are marked."""
    return tuple(column[which] for column in keys)


def joined(parts: Sequence[Columns]) -> Columns:
    """Lists of keys of one table, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


class _Numbers(dict[Any, int]):
    """Numbers values in the order in which they are first asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.by_number: list[Any] = []

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self)
        self.by_number.append(value)
        return number


class Coder:
    """Makes integers of the values of keys, and values of integers."""

    def __init__(self) -> None:
        self._numbers = _Numbers()

    def plain(self, table: Table) -> tuple[bool, ...]:
        """For each column of the key, whether its values are integers that stand for themselves."""
        return tuple(bool(table.primary_key) and _fits(column) for column in key_columns(table))

    def read(self, table: Table, rows: Sequence[Sequence[Any]]) -> Columns:
        """The keys that rows of a server's answer are; a row of NULLs is none, where the table has a primary key."""
        columns, plain = key_columns(table), self.plain(table)
        if not table.primary_key:
            nothing = (None,) * len(columns)  # a row that holds nothing
            return self.of(table, [convert(columns, row) or nothing for row in rows])
        if any(row[0] is None for row in rows):
            rows = [row for row in rows if row[0] is not None]
        if all(plain):
            flat = _integers([",".join(row) for row in rows], len(rows) * len(columns))
            return tuple(np.ascontiguousarray(column) for column in flat.reshape(-1, len(columns)).T)
        number = self._numbers.__getitem__
        return tuple(
            _integers([row[i] for row in rows], len(rows))
            if plain[i]
            else np.array([number(converted(column, row[i])) for row in rows], np.int64)
            for i, column in enumerate(columns)
        )

    def of(self, table: Table, keys: Iterable[Key]) -> Columns:
        """Given keys."""
        keys, number = list(keys), self._numbers.__getitem__
        return tuple(
            np.array([key[i] if plain else number(key[i]) for key in keys], np.int64)
            for i, plain in enumerate(self.plain(table))
        )

    def keys(self, table: Table, columns: Columns) -> Iterator[Key]:
        """The keys as tuples."""
        value = self._numbers.by_number.__getitem__
        plain = self.plain(table)
        for start in range(0, length(columns), _BLOCK):
            lists = [column[start : start + _BLOCK].tolist() for column in columns]
            yield from zip(
                *(one if each else map(value, one) for one, each in zip(lists, plain, strict=True)),
                strict=True,
            )

    def projected(self, child: Table, keys: Columns, places: Sequence[int], parent: Table) -> Columns:
        """The keys of another table that columns of keys are (those at ``places``); a NULL refers to none."""
        plain = self.plain(child)
        if child.primary_key and tuple(plain[place] for place in places) == self.plain(parent):
            return tuple(keys[place] for place in places)
        tuples = (tuple(key[place] for place in places) for key in self.keys(child, keys))
        return self.of(parent, [key for key in tuples if None not in key])

    def known(self, table: Table, key: Key) -> Columns | None:
        """One key; None where it holds a value that no key has had."""
        found = [
            value if plain else self._numbers.get(value)
            for value, plain in zip(key, self.plain(table), strict=True)
        ]
        if not all(isinstance(number, int) and -_MOST - 1 <= number <= _MOST for number in found):
            return None
        return tuple(np.array([number], np.int64) for number in found)

    def numbered(self, columns: Columns) -> Integers:
        """A number for each key as a whole."""
        number = self._numbers.__getitem__
        tuples = zip(*(column.tolist() for column in columns), strict=True)
        return np.array([number(key) for key in tuples], np.int64)

    def parts(self, numbers: Integers, width: int) -> Columns:
        """The columns of keys that were numbered as a whole."""
        value = self._numbers.by_number.__getitem__
        keys = np.array([value(number) for number in numbers.tolist()], np.int64).reshape(-1, width)
        return tuple(np.ascontiguousarray(column) for column in keys.T)


def _fits(column: Column) -> bool:
    return column.data_type in INTEGER_TYPES and not (
        column.data_type == "bigint" and "unsigned" in column.column_type.lower()
    )


def _integers(texts: Sequence[str], count: int) -> Integers:
    """The integers in texts, of which some may hold several with commas between."""
    found = np.fromstring(",".join(texts), np.int64, sep=",") if texts else np.empty(0, np.int64)
    if len(found) != count:
        raise ValueError(f"{count} integers were expected in {texts[:3]}")
    return found


class KeySet(Mapping[Key, int]):
    """Keys of rows of one table, each with a number.

    Parameters
    ----------
    table : Table
    coder : Coder
        That of the slice.
    """

    def __init__(self, table: Table, coder: Coder) -> None:
        self.table, self.coder = table, coder
        self._codes = np.empty(0, np.int64)  # sorted, all different
        self._values = np.empty(0, np.int32)
        # of each column the values that there is room for; None: keys are numbered as a whole
        self._room: list[range] | None = [range(0)] * len(table.key)

    @classmethod
    def of(cls, table: Table, coder: Coder, keys: Iterable[Key]) -> KeySet:
        """A set of given keys, all with the number 0."""
        made = cls(table, coder)
        made.add(coder.of(table, keys), 0)
        return made

    def add(self, keys: Columns, value: int) -> Columns:
        """Add keys with a number; those that are there keep theirs. Returns the new ones, each once and in order."""
        if not length(keys):
            return keys
        self._make_room(keys)
        codes = _distinct(self._packed(keys))
        if len(self._codes):
            places = np.searchsorted(self._codes, codes)
            new = self._codes[np.minimum(places, len(self._codes) - 1)] != codes
            codes, places = codes[new], places[new]
            self._codes = np.insert(self._codes, places, codes)
            self._values = np.insert(self._values, places, value)
        else:
            self._codes, self._values = codes, np.full(len(codes), value, np.int32)
        return self._unpacked(codes)

    def among(self, keys: Columns) -> Mask:
        """Which of the keys are in the set."""
        if not length(keys) or not len(self._codes):
            return np.zeros(length(keys), np.bool_)
        codes = self._packed(keys)
        places = np.searchsorted(self._codes, codes)
        found: Mask = self._codes[np.minimum(places, len(self._codes) - 1)] == codes
        for column, room in zip(keys, self._room or (), strict=self._room is not None):
            # out-of-range values alias packed codes: mask them out
            found &= (column >= room.start) & (column <= min(room.stop - 1, _MOST))
        return found

    def columns(self, value: int | None = None) -> Columns:
        """The keys, or those with one number."""
        codes = self._codes if value is None else self._codes[self._values == value]
        return self._unpacked(codes)

    def prefixes(self, width: int, most: float) -> list[Key] | None:
        """What the leading columns of the keys hold, each once; None where that is more than ``most``."""
        if self._room is None:
            found = {key[:width] for key in self}
            return list(found) if len(found) <= most else None
        differs = _differs(self._codes >> sum(map(_bits, self._room[width:])))
        if np.count_nonzero(differs) > most:
            return None
        return [key[:width] for key in self.coder.keys(self.table, self._unpacked(self._codes[differs]))]

    def counts(self) -> dict[int, int]:
        """How many keys each number has."""
        counted = np.bincount(self._values) if len(self._values) else np.empty(0, np.int64)
        return {value: int(count) for value, count in enumerate(counted) if count}

    def without(self, keys: Iterable[Key]) -> KeySet:
        """The set less some keys."""
        left = KeySet(self.table, self.coder)
        stays = ~KeySet.of(self.table, self.coder, keys).among(self.columns())
        left._codes, left._values = self._codes[stays], self._values[stays]
        left._room = self._room
        return left

    # ---------------------------------------------- as a mapping

    def __len__(self) -> int:
        return len(self._codes)

    def __iter__(self) -> Iterator[Key]:
        for start in range(0, len(self._codes), _BLOCK):
            yield from self.coder.keys(self.table, self._unpacked(self._codes[start : start + _BLOCK]))

    def __getitem__(self, key: Key) -> int:
        place = self._place(key)
        if place is None:
            raise KeyError(key)
        return int(self._values[place])

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and self._place(key) is not None

    def _place(self, key: Key) -> int | None:
        found = self.coder.known(self.table, key)
        if found is None or not self.among(found)[0]:
            return None
        return int(np.searchsorted(self._codes, self._packed(found))[0])

    # ---------------------------------------------- packing

    def _make_room(self, keys: Columns) -> None:
        """See to it that keys can be packed with those that are there."""
        if self._room is None:
            return
        asked = [range(int(column.min()), int(column.max()) + 1) for column in keys]
        if all(_within(one, room) for one, room in zip(asked, self._room, strict=True)):
            return
        there = self.columns()
        room = [_both(one, room) for one, room in zip(asked, self._room, strict=True)]
        if sum(map(_bits, room)) > _BITS and len(self):  # room for twice as many values may be too much
            held = [range(int(column.min()), int(column.max()) + 1) for column in there]
            room = [_both(one, other) for one, other in zip(asked, held, strict=True)]
        self._room = None if sum(map(_bits, room)) > _BITS else [_rounded(one) for one in room]
        self._codes = self._packed(there)  # in the same order, unless they are numbered now
        if self._room is None:
            order = np.argsort(self._codes)
            self._codes, self._values = self._codes[order], self._values[order]

    def _packed(self, keys: Columns) -> Integers:
        if self._room is None:
            return self.coder.numbered(keys)
        codes = np.zeros(length(keys), np.int64)
        for column, room in zip(keys, self._room, strict=True):
            codes = (codes << _bits(room)) | (column - room.start)
        return codes

    def _unpacked(self, codes: Integers) -> Columns:
        if self._room is None:
            return self.coder.parts(codes, len(self.table.key))
        columns = []
        for room in reversed(self._room):
            bits = _bits(room)
            columns.append((codes & ((1 << bits) - 1)) + room.start)
            codes = codes >> bits
        return tuple(reversed(columns))


def _bits(room: range) -> int:
    return max(room.stop - room.start - 1, 0).bit_length()


def _rounded(room: range) -> range:
    """Room for as many values as its bits can tell apart."""
    return range(room.start, room.start + (1 << _bits(room)))


def _within(one: range, other: range) -> bool:
    return other.start <= one.start and one.stop <= other.stop


def _both(one: range, other: range) -> range:
    if not other:
        return one
    return range(min(one.start, other.start), max(one.stop, other.stop))


def _distinct(codes: Integers) -> Integers:
    """Sorted, each once (`numpy.unique` hashes, which takes ten times as long)."""
    codes = np.sort(codes)
    return codes[_differs(codes)]


def _differs(codes: Integers) -> Mask:
    """Which of sorted integers differ from the one before."""
    differs = np.ones(len(codes), np.bool_)
    np.not_equal(codes[1:], codes[:-1], out=differs[1:])
    return differs
