"""Results: compare what two servers return for one statement, without holding it in memory.

In: connections whose results come as bytes, just as the server sends them, so that no conversion hides a
difference. Out: a `Digest` of a result, and the rows of one result that the other lacks. A result is
streamed and kept as its number of rows and a sum of digests of its rows (a multiset hash: Clarke et al.,
2003); only where two of these differ both results are read again to find the rows, with 8 bytes of memory a
row. It does not know what the statements are for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from pymysql.cursors import SSCursor

# Rows shown of a result that differs, and the characters shown of a value.
ROWS_SHOWN = 5
VALUE_SHOWN = 40

Row: TypeAlias = "tuple[bytes | None, ...]"
Counts: TypeAlias = "tuple[Any, Any]"  # distinct digests, sorted, and how often each is there


@dataclass(frozen=True)
class Digest:
    """A result, small.

    Attributes
    ----------
    columns : tuple of str
    rows : int
    multiset : int
        Sum of the digests of the rows: the same for the same rows in any order.
    ordered : bytes
        Digest of the rows in their order.
    """

    columns: tuple[str, ...]
    rows: int
    multiset: int
    ordered: bytes


@dataclass(frozen=True)
class Difference:
    """Rows of one result that another lacks: how many (duplicates counted), and some of them as text."""

    rows: int
    shown: tuple[str, ...]


def _stream(connection: Any, sql: str) -> Iterator[Row]:
    """Rows of a result as they arrive. The first item is the row of column names."""
    with connection.cursor(SSCursor) as cursor:
        # older PyMySQL writes bytes that are no text into a statement as lone surrogates
        cursor.execute(sql.encode(errors="surrogateescape"))
        yield tuple(column[0] for column in cursor.description or ())
        yield from cursor.fetchall_unbuffered()


def digest(connection: Any, sql: str) -> Digest:
    """Run a statement and digest its result."""
    result = _stream(connection, sql)
    columns = tuple(map(as_text, next(result)))
    rows, total, ordered = 0, 0, hashlib.blake2b(digest_size=16)
    for row in result:
        one = _row_digest(row)
        rows += 1
        total += int.from_bytes(one, "little")
        ordered.update(one)
    return Digest(columns, rows, total % (1 << 128), ordered.digest())


def _row_digest(row: Row) -> bytes:
    parts = []
    for value in row:
        if value is None:
            parts.append(b"n")
        else:
            parts += (b"v%d:" % len(value), value)
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def difference(one: Any, other: Any, sql: str) -> tuple[Difference, Difference]:
    """Rows that only the first, and rows that only the second connection returns for a statement."""
    here, there = _counted(one, sql), _counted(other, sql)
    return _described(one, sql, _subtract(here, there)), _described(other, sql, _subtract(there, here))


def _short_digest(row: Row) -> int:
    return int.from_bytes(_row_digest(row)[:8], "little")


def _counted(connection: Any, sql: str) -> Counts:
    rows = _stream(connection, sql)
    next(rows)
    return np.unique(np.fromiter(map(_short_digest, rows), dtype=np.uint64), return_counts=True)


def _subtract(one: Counts, other: Counts) -> dict[int, int]:
    """What is in the one more often than in the other; memory only for what differs."""
    digests, counts = one
    positions: Any = np.searchsorted(other[0], digests)
    positions[positions == len(other[0])] = 0
    found = other[0][positions] == digests if len(other[0]) else np.zeros(len(digests), bool)
    taken = np.where(found, other[1][positions] if len(other[1]) else 0, 0)
    left = counts - taken
    return {int(digest): int(count) for digest, count in zip(digests[left > 0], left[left > 0], strict=True)}


def _described(connection: Any, sql: str, wanted: Mapping[int, int]) -> Difference:
    if not wanted:
        return Difference(0, ())
    rows = _stream(connection, sql)
    columns = [as_text(name) for name in next(rows)]
    shown: list[str] = []
    left = dict(wanted)
    for row in rows:  # to the end, or the connection could not be used again
        key = _short_digest(row)
        if len(shown) < ROWS_SHOWN and left.get(key):
            left[key] -= 1
            shown.append(", ".join(f"{c}={as_text(v)}" for c, v in zip(columns, row, strict=True)))
    return Difference(sum(wanted.values()), tuple(shown))


def as_text(value: bytes | str | None) -> str:
    """A value as a person reads it; bytes that are no text in hexadecimal."""
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
