"""Key sets: stores the keys of a table's rows in a few bytes each.

In: keys, as rows of a server's answer or as tuples. Out: sets for adding, lookup and iteration, in which each key has
a number (the cascade's reason). It sends no query and knows no rules.

Keys are stored like dictionary-encoded columns of Arrow: each column of the key is an array of integers of as many
bytes as its values need. A value that is not an integer is represented by its number in a dictionary that all tables of
a slice share (`Coder`). A set packs the columns of a key into one integer, each as wide as its values need, and sorts
these integers: at most 12 bytes a key with its number. A tuple in a dict takes 150 to 300. Keys that need more than 63
bits are numbered as a whole. Integers of 64 bits are made of some keys at a time, not of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..servers.columns import INTEGER_TYPES, Column
from ..servers.dialect import Key
from ..servers.keys import convert, converted, key_columns
from ..servers.tables import Table

Integers: TypeAlias = "npt.NDArray[np.signedinteger[Any]]"
Mask: TypeAlias = "npt.NDArray[np.bool_]"
# The keys of some rows of a table: for each column of the key, an array with the coded value of each row.
Columns: TypeAlias = "tuple[Integers, ...]"

# Number of keys that are converted to tuples at a time, and to integers of 64 bits.
_BLOCK, _LARGE_BLOCK = 10_000, 1 << 16
# Bits of a packed key, and its largest value; the integers are signed.
_BITS = 63
_MOST = (1 << _BITS) - 1
# Types of integers, the narrowest first.
_TYPES = [np.dtype(name) for name in ("int8", "int16", "int32", "int64")]


def length(keys: Columns) -> int:
    """The number of keys."""
    return len(keys[0])


def chosen(keys: Columns, which: Mask) -> Columns:
    """The marked keys."""
    return tuple(column[which] for column in keys)


def joined(parts: Iterable[Columns]) -> Columns:
    """Concatenated lists of keys of one table; () if there is none. Of parts that are made here, none is held twice."""
    columns = [list(column) for column in zip(*parts, strict=True)]
    found = []
    while columns:
        column = columns.pop(0)
        found.append(column[0] if len(column) == 1 else np.concatenate(column))
    return tuple(found)


class _Numbers(dict[Any, int]):
    """Numbers values in the order of their first lookup."""

    def __init__(self) -> None:
        super().__init__()
        self.by_number: list[Any] = []

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self)
        self.by_number.append(value)
        return number


class Coder:
    """Converts the values of keys to integers and back."""

    def __init__(self) -> None:
        self._numbers = _Numbers()

    def plain(self, table: Table) -> tuple[bool, ...]:
        """For each column of the key, whether its integers are the values themselves."""
        return tuple(bool(table.primary_key) and _fits(column) for column in key_columns(table))

    def read(self, table: Table, rows: Sequence[Sequence[Any]]) -> Columns:
        """The keys in rows of a server's answer. With a primary key, a row of NULLs is not a key."""
        columns, plain = key_columns(table), self.plain(table)
        if not table.primary_key:
            nothing = (None,) * len(columns)
            return self.of(table, [convert(columns, row) or nothing for row in rows])
        if any(row[0] is None for row in rows):
            rows = [row for row in rows if row[0] is not None]
        if all(plain):
            flat = _integers([",".join(row) for row in rows], len(rows) * len(columns))
            return tuple(_narrow(column) for column in flat.reshape(-1, len(columns)).T)
        number = self._numbers.__getitem__
        return tuple(
            _narrow(
                _integers([row[i] for row in rows], len(rows))
                if plain[i]
                else np.array([number(converted(column, row[i])) for row in rows], np.int64)
            )
            for i, column in enumerate(columns)
        )

    def of(self, table: Table, keys: Iterable[Key]) -> Columns:
        """The given keys, coded."""
        keys, number = list(keys), self._numbers.__getitem__
        return tuple(
            _narrow(np.array([key[i] if plain else number(key[i]) for key in keys], np.int64))
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
        """The keys of another table in the columns at ``places``, without those that contain a NULL."""
        plain = self.plain(child)
        if child.primary_key and tuple(plain[place] for place in places) == self.plain(parent):
            return tuple(keys[place] for place in places)
        tuples = (tuple(key[place] for place in places) for key in self.keys(child, keys))
        return self.of(parent, [key for key in tuples if None not in key])

    def known(self, table: Table, key: Key) -> Columns | None:
        """One key, coded; None if it contains a value that no key has had."""
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
        return tuple(_narrow(column) for column in keys.T)


def _fits(column: Column) -> bool:
    return column.data_type in INTEGER_TYPES and not (
        column.data_type == "bigint" and "unsigned" in column.column_type.lower()
    )


def _integers(texts: Sequence[str], count: int) -> Integers:
    """The integers in texts. A text may contain several, separated by commas."""
    found = np.fromstring(",".join(texts), np.int64, sep=",") if texts else np.empty(0, np.int64)
    if len(found) != count:
        raise ValueError(f"{count} integers were expected in {texts[:3]}")
    return found


def _type_of(least: int, most: int) -> np.dtype[Any]:
    """The narrowest type of all integers from ``least`` to ``most``."""
    return next(kind for kind in _TYPES if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max)


def _narrow(column: Integers) -> Integers:
    """Integers in the narrowest type that has them."""
    kind = _type_of(int(column.min()), int(column.max())) if len(column) else _TYPES[0]
    return np.ascontiguousarray(column, kind)


def _blocks(count: int) -> Iterator[slice]:
    """The places of some of so many keys at a time."""
    return (slice(start, start + _LARGE_BLOCK) for start in range(0, count, _LARGE_BLOCK))


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
        self._codes: Integers = np.empty(0, _TYPES[0])  # sorted, distinct
        self._values: Integers = np.empty(0, _TYPES[0])
        # for each column the range of values that fit; None: keys are numbered as a whole
        self._room: list[range] | None = [range(0)] * len(table.key)

    @classmethod
    def of(cls, table: Table, coder: Coder, keys: Iterable[Key]) -> KeySet:
        """A set of given keys, all with the number 0."""
        made = cls(table, coder)
        made.add(coder.of(table, keys), 0)
        return made

    def add(self, keys: Columns, value: int | Integers) -> Columns:
        """Add keys with a number (or one for each); known keys, and those that come again, keep theirs.

        Returns the new keys, distinct and in order.
        """
        if not length(keys):
            return keys
        self._make_room(keys)
        codes = self._packed(keys)
        in_order = bool((codes[1:] > codes[:-1]).all())
        if isinstance(value, int):
            codes = _distinct(codes)
            values: Integers = np.full(len(codes), value, _type_of(0, value))
        else:
            codes, first = np.unique(codes, return_index=True)
            values = _narrow(value[first])
        if len(self._codes):
            places = np.searchsorted(self._codes, codes)
            new = self._codes[np.minimum(places, len(self._codes) - 1)] != codes
            codes, places, values = codes[new], places[new], values[new]
            self._codes = np.insert(self._codes, places, codes)
            widened = self._values.astype(np.promote_types(self._values.dtype, values.dtype), copy=False)
            self._values = np.insert(widened, places, values)
        else:
            self._codes, self._values = codes, values
        return keys if in_order and len(codes) == length(keys) else self._unpacked(codes)

    def among(self, keys: Columns) -> Mask:
        """Which of the keys are in the set."""
        found: Mask = np.zeros(length(keys), np.bool_)
        for some in _blocks(length(keys) if len(self._codes) else 0):
            found[some] = self._among(tuple(column[some] for column in keys))
        return found

    def _among(self, keys: Columns) -> Mask:
        fits: Mask = np.ones(length(keys), np.bool_)
        for column, room in zip(keys, self._room or (), strict=self._room is not None):
            fits &= (column >= room.start) & (column <= min(room.stop - 1, _MOST))
        codes = self._packed(chosen(keys, fits))  # others have no code of their own
        places = np.searchsorted(self._codes, codes)
        fits[fits] = self._codes[np.minimum(places, len(self._codes) - 1)] == codes
        return fits

    def columns(self, value: int | None = None) -> Columns:
        """The keys, or those with one number."""
        codes = self._codes if value is None else self._codes[self._values == value]
        return self._unpacked(codes)

    def prefixes(self, width: int, most: float) -> list[Key] | None:
        """The distinct values of the keys' leading columns; None if there are more than ``most``."""
        if self._room is None:
            found = {key[:width] for key in self}
            return list(found) if len(found) <= most else None
        differs = _differs(self._codes >> sum(map(_bits, self._room[width:])))
        if np.count_nonzero(differs) > most:
            return None
        return [key[:width] for key in self.coder.keys(self.table, self._unpacked(self._codes[differs]))]

    def counts(self) -> dict[int, int]:
        """The number of keys for each number."""
        counted: Counter[int] = Counter()
        for some in _blocks(len(self._values)):
            counted.update(dict(enumerate(np.bincount(self._values[some]).tolist())))
        return {value: count for value, count in sorted(counted.items()) if count}

    def without(self, keys: Iterable[Key]) -> KeySet:
        """The set without some keys."""
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
        """Widen the columns so that new keys can be packed with the present ones."""
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
        self._codes = self._packed(there)  # in the same order, unless they are now numbered as a whole
        if self._room is None:
            order = np.argsort(self._codes)
            self._codes, self._values = self._codes[order], self._values[order]

    def _packed(self, keys: Columns) -> Integers:
        if self._room is None:
            return self.coder.numbered(keys)
        packed = np.empty(length(keys), _type_of(0, (1 << sum(map(_bits, self._room))) - 1))
        for some in _blocks(length(keys)):
            codes = np.zeros(len(packed[some]), np.int64)
            for column, room in zip(keys, self._room, strict=True):
                codes = (codes << _bits(room)) | (column[some].astype(np.int64) - room.start)
            packed[some] = codes
        return packed

    def _unpacked(self, codes: Integers) -> Columns:
        if self._room is None:
            return self.coder.parts(codes, len(self.table.key))
        columns = [
            np.empty(len(codes), _type_of(room.start, min(room.stop - 1, _MOST))) for room in self._room
        ]
        for some in _blocks(len(codes)):
            left = codes[some].astype(np.int64)
            for column, room in zip(reversed(columns), reversed(self._room), strict=True):
                bits = _bits(room)
                column[some] = (left & ((1 << bits) - 1)) + room.start
                left >>= bits
        return tuple(columns)


def _bits(room: range) -> int:
    return max(room.stop - room.start - 1, 0).bit_length()


def _rounded(room: range) -> range:
    """A range extended to all values that its bits can represent."""
    return range(room.start, room.start + (1 << _bits(room)))


def _within(one: range, other: range) -> bool:
    return other.start <= one.start and one.stop <= other.stop


def _both(one: range, other: range) -> range:
    if not other:
        return one
    return range(min(one.start, other.start), max(one.stop, other.stop))


def _distinct(codes: Integers) -> Integers:
    """Sorted distinct integers, sorted in place. `numpy.unique` hashes, which takes ten times as long."""
    codes.sort()
    differs = _differs(codes)
    return codes if differs.all() else codes[differs]


def _differs(codes: Integers) -> Mask:
    """Which of the sorted integers differ from their predecessor."""
    differs = np.ones(len(codes), np.bool_)
    np.not_equal(codes[1:], codes[:-1], out=differs[1:])
    return differs
