"""Multisets: compares results of statements without holding them in memory, whatever server sent them.

In: rows as a server sent them (bytes or None). Out: a `Digest`, and the rows of one result that are not in another. The
number of rows and the sum of the digests of the rows are kept (a multiset hash: Clarke et al., 2003). If two of these
differ, both results are read again to find the rows, with 8 bytes of memory a row.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from .results import ALL_DIGITS, Difference, Digest, Forms

# How many differing rows are shown, and how many characters of a value.
ROWS_SHOWN = 5
VALUE_SHOWN = 40

# Modulus of the sum of the rows' SHA-256 digests.
MODULUS = 1 << 256

Row: TypeAlias = "tuple[bytes | None, ...]"
Counts: TypeAlias = "tuple[Any, Any]"  # distinct digests, sorted, and the number of times each occurs
Read: TypeAlias = "Callable[[], Iterator[Any]]"  # the names of a result's columns, then its rows


class Result(Protocol):
    """A result that a server sends: its rows as they arrive.

    Attributes
    ----------
    fields : sequence
        The driver's descriptions of its columns, each with a name and a type.
    received : str
        The digest that the capture makes, once all rows were read.
    """

    fields: Sequence[Any]
    received: str

    def __iter__(self) -> Iterator[Sequence[bytes | None]]: ...


def digest_of(
    result: Result,
    form_of_type: Mapping[int, str],
    digits: int | None,
    forms: Forms | None,
    instead: Mapping[int, Mapping[bytes, bytes]] | None,
) -> Digest:
    """The digest of the rows of a result.

    Parameters
    ----------
    result : Result
    form_of_type : mapping of int to str
        Forms of columns by the number of their type. All others are "text", unchanged.
    digits : int or None
        First convert values to their fixed form, floats with this many significant digits. None: as sent.
    forms : sequence of str or None
        Forms of the columns. None: those of their types.
    instead : mapping or None
        By position of a column, values that count as others.
    """
    names = tuple([field.name for field in result.fields])
    if forms is None:
        forms = [form_of_type.get(field.type_code, "text") for field in result.fields]
    fixed = {} if digits is None else _fixed(forms, digits)
    for place, others in (instead or {}).items():
        fixed[place] = functools.partial(_other, others)
    rows, total, ordered = 0, 0, hashlib.sha256()
    for row in result:
        if fixed:
            row = [_in_form(value, fixed.get(i)) for i, value in enumerate(row)]
        one = row_digest(row)
        rows += 1
        total += int.from_bytes(one, "big")
        ordered.update(one)
    return Digest(names, rows, total % MODULUS, ordered.digest(), tuple(forms), result.received)


def row_digest(row: Sequence[bytes | None]) -> bytes:
    """SHA-256 of a row. A value is ``n`` if it is NULL, else ``v``, its length in bytes, ``:`` and its bytes.

    >>> row_digest([b"12", None]) == hashlib.sha256(b"v2:12n").digest()
    True
    """
    parts = []
    for value in row:
        if value is None:
            parts.append(b"n")
        else:
            parts += (b"v%d:" % len(value), value)
    return hashlib.sha256(b"".join(parts)).digest()


def _fixed(forms: Forms, digits: int) -> dict[int, Callable[[bytes], bytes]]:
    to_form = {"float": lambda value: float_form(value, digits), "json": json_form}
    return {i: to_form[form] for i, form in enumerate(forms) if form in to_form}


def _other(others: Mapping[bytes, bytes], value: bytes) -> bytes:
    return others.get(value, value)


def _in_form(value: bytes | None, to_form: Callable[[bytes], bytes] | None) -> bytes | None:
    return value if value is None or to_form is None else to_form(value)


def float_form(value: bytes, digits: int) -> bytes:
    """A float printed with ``%.{digits - 1}e``, zero without a sign.

    >>> float_form(b"1e22", 17), float_form(b"-0", 4)
    (b'1.0000000000000000e+22', b'0.000e+00')
    """
    return b"%.*e" % (digits - 1, float(value) + 0.0)


def json_form(value: bytes) -> bytes:
    """JSON with sorted keys and no blanks, in ASCII. Numbers that are not 64-bit integers are as in `float_form`.

    MySQL stores JSON parsed, MariaDB as written. Invalid JSON stays unchanged.

    >>> json_form(b'{"b": [1.50, 2], "a": "x"}')
    b'{"a":"x","b":[1.5000000000000000e+00,2]}'
    """
    try:
        return _json_text(json.loads(value, parse_int=_json_integer)).encode()
    except (ValueError, RecursionError):
        return value


def _json_integer(text: str) -> int | float:
    number = int(text) if len(text) <= 20 else 1 << 64
    return number if -(1 << 63) <= number < 1 << 64 else float(text)


def _json_text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_json_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json_text, value)) + "]"
    if isinstance(value, float):
        return float_form(str(value).encode(), ALL_DIGITS).decode()
    return json.dumps(value)


def difference_of(one: Read, other: Read) -> tuple[Difference, Difference]:
    """The rows that only the first and that only the second result has; each can be read again."""
    here, there = _counted(one), _counted(other)
    return _described(one, _subtract(here, there)), _described(other, _subtract(there, here))


def _short_digest(row: Row) -> int:
    return int.from_bytes(row_digest(row)[:8], "big")


def _counted(read: Read) -> Counts:
    rows = read()
    next(rows)
    return np.unique(np.fromiter(map(_short_digest, rows), dtype=np.uint64), return_counts=True)


def _subtract(one: Counts, other: Counts) -> dict[int, int]:
    """What occurs more often in the first than in the second. It needs memory only for differences."""
    digests, counts = one
    positions: Any = np.searchsorted(other[0], digests)
    positions[positions == len(other[0])] = 0
    found = other[0][positions] == digests if len(other[0]) else np.zeros(len(digests), bool)
    taken = np.where(found, other[1][positions] if len(other[1]) else 0, 0)
    left = counts - taken
    return {int(digest): int(count) for digest, count in zip(digests[left > 0], left[left > 0], strict=True)}


def _described(read: Read, wanted: Mapping[int, int]) -> Difference:
    if not wanted:
        return Difference(0, ())
    rows = read()
    columns = next(rows)
    shown: list[str] = []
    left = dict(wanted)
    for row in rows:  # to the end, so that the connection can be used again
        key = _short_digest(row)
        if len(shown) < ROWS_SHOWN and left.get(key):
            left[key] -= 1
            shown.append(", ".join(f"{c}={as_text(v)}" for c, v in zip(columns, row, strict=True)))
    return Difference(sum(wanted.values()), tuple(shown))


def as_text(value: bytes | str | None) -> str:
    """A value as readable text; bytes that are not valid text in hexadecimal."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return value
    try:
        text = value.decode()
        text = text if text.isprintable() else "0x" + value.hex()
    except UnicodeDecodeError:
        text = "0x" + value.hex()
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}… ({len(value)} bytes)"
