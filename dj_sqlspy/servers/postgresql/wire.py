"""Wire: the digest of a result of PostgreSQL, from its values as texts."""

from __future__ import annotations

from typing import Any

import xxhash

from ..mysql.wire import MODULUS, first_values
from ..mysql.wire import digest_text as digest_text
from ..results import Column, Sums

_hash = xxhash.xxh3_64_intdigest


def _row(values: Any) -> bytes:
    return b"".join([b"\xfb" if value is None else first_values([value.encode()]) for value in values])


def sums_of(cursor: Any, first: int = 0) -> tuple[Sums, tuple[Column, ...]]:
    """Read a result: the sums of its rows, and the columns after the ``first``."""
    sums: Sums = {}
    for row in cursor:
        begin = _row(row[:first])
        rows, total = sums.get(begin, (0, 0))
        sums[begin] = rows + 1, (total + _hash(_row(row[first:]))) % MODULUS
    columns = tuple([(c.name, c.type_code, -1) for c in (cursor.description or ())[first:]])
    return sums, columns
