"""Wire: computes the digest of a result of PostgreSQL from its values as the server sent them.

In: the result that psycopg2 holds after it sent a statement (`received`), or rows of texts (`sums_of`). Out: the digest
and the columns. Both ways give the same digest of the same rows.

The digest of a result
----------------------
It is the sum, modulo 2**64, of the 64-bit XXH3 of each row, so the order of rows does not matter. A row is hashed as
its values in UTF-8, a byte 0xFF between them, which no UTF-8 contains. NULL is nothing; a row with NULLs ends with
0xFF and their positions, from 0, with commas. The last digits of a computed float can depend on the order in which rows
are added up, so such a value is hashed as ``%.11e`` prints it.

psycopg2 gives no access to the values as sent but the address of libpq's result. libpq prints them all at once
(``PQdisplayTuples``), which takes half of the time in which psycopg2 makes objects of them. No memory of libpq is
read but by its functions.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import xxhash

from ..results import MODULUS, Column, Received, Sums, digest_text, length_encoded
from .driver import driver

_hash = xxhash.xxh3_64_intdigest
_END = b"\xff"
_FLOATS = frozenset({700, 701})  # float4 and float8
# Types of which no value is an empty text, so that one is a NULL: numbers, times, boolean, uuid, json, jsonb.
_NEVER_EMPTY = frozenset(
    {16, 20, 21, 23, 26, 114, 700, 701, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802}
)
_BUILT_IN = 16384  # types of users and of extensions have this number or a higher one
# Results of up to this many bytes are printed at once, others value by value.
_AT_ONCE = 1 << 26


def received(raw: Any, cursor: Any) -> Received | None:
    """Digest and columns of a cursor's result, before or after its rows are fetched.

    None if the cursor has no rows, is one of the server (they come in parts), or is not sent UTF-8.

    Parameters
    ----------
    raw : psycopg2 connection
    cursor : psycopg2 cursor
        Just after ``execute``.
    """
    address = getattr(cursor, "pgresult_ptr", None)
    if not address or cursor.description is None or cursor.name is not None or raw.encoding != "UTF8":
        return None
    library = _library()
    if library is None:
        return None
    fields = cursor.description
    total = sum(map(row_hash(fields), library.rows(address, fields)))
    return Received(digest_text(total), columns_of(fields))


def sums_of(rows: Any, first: int = 0) -> tuple[Sums, tuple[Column, ...]]:
    """Read a result: the sums of its rows, and the columns after the ``first``.

    Parameters
    ----------
    rows : psycopg2 cursor
        Its rows are texts (`connect.return_texts`).
    first : int
        Rows are grouped by this many first values, which are not hashed.
    """
    sums: Sums = {}
    hashed: Callable[[bytes], int] | None = None
    for row in rows:
        if hashed is None:  # a cursor of the server tells its columns with the first rows
            hashed = row_hash(rows.description[first:])
        begin = b"".join(map(_first, row[:first]))
        count, total = sums.get(begin, (0, 0))
        sums[begin] = count + 1, (total + hashed(row_bytes(row[first:] if first else row))) % MODULUS
    return sums, columns_of((rows.description or ())[first:])


def row_bytes(values: Sequence[str | None]) -> bytes:
    """A row as it is hashed.

    >>> row_bytes(["1", "ab"]), row_bytes(["1", None, "", None])
    (b'1\\xffab', b'1\\xff\\xff\\xff\\xff1,3')
    """
    if None in values:
        nulls = [place for place, value in enumerate(values) if value is None]
        return _packed([b"" if value is None else value.encode() for value in values], nulls)
    return "\0".join(values).encode().replace(b"\0", _END)  # type: ignore[arg-type]  # no value contains it


def _first(value: str | None) -> bytes:
    return length_encoded(None if value is None else value.encode())


def encoding_of(raw: Any) -> str:
    """The encoding in which a connection sends texts, by Python's name."""
    return str(driver().extensions.encodings.get(raw.encoding, "utf-8"))


def _packed(values: Iterable[bytes], nulls: Iterable[int]) -> bytes:
    told = ",".join(map(str, nulls)).encode()
    return _END.join([*values, told] if told else values)


def columns_of(fields: Iterable[Any]) -> tuple[Column, ...]:
    """Columns by psycopg2's descriptions. A type that is not built in has another number in each database, so 0."""
    return tuple(
        [
            (
                field.name,
                field.type_code if field.type_code < _BUILT_IN else 0,
                -1 if field.scale is None else field.scale,
            )
            for field in fields
        ]
    )


def row_hash(fields: Sequence[Any]) -> Callable[[bytes], int]:
    """The function that hashes a row. It rounds computed floats, which takes longer."""
    computed = [i for i, field in enumerate(fields) if field.type_code in _FLOATS and not field.table_oid]
    if not computed:
        return _hash

    def rounded(row: bytes) -> int:
        values = row.split(_END)
        for place in computed:
            if values[place]:  # no NULL
                values[place] = b"%.11e" % (float(values[place]) + 0.0)  # zero without a sign
        return _hash(_END.join(values))

    return rounded


@functools.lru_cache(maxsize=1)
def _library() -> _Library | None:
    """The libpq of psycopg2; None if it cannot be asked, for example because it is a part of psycopg2."""
    try:
        return _Library(driver()._psycopg.__file__)
    except (OSError, AttributeError):
        return None


class _Library:
    """The functions of libpq and of C that are called."""

    def __init__(self, path: str) -> None:
        pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
        # the handle of psycopg2's module finds the functions of the libraries that it was loaded with
        quick, slow = ctypes.PyDLL(path), ctypes.CDLL(path)
        self.count = _function(quick.PQntuples, number, pointer)
        self.size = _function(quick.PQresultMemorySize, ctypes.c_size_t, pointer)
        self.is_null = _function(quick.PQgetisnull, number, pointer, number, number)
        self.value = _function(quick.PQgetvalue, text, pointer, number, number)
        self.open = _function(
            quick.open_memstream,
            pointer,
            *(ctypes.POINTER(pointer), ctypes.POINTER(ctypes.c_size_t)),
        )
        self.close = _function(quick.fclose, number, pointer)
        self.free = _function(quick.free, None, pointer)
        self.display = _function(
            slow.PQdisplayTuples, None, pointer, pointer, number, text, number, number
        )  # other threads go on meanwhile

    def rows(self, result: int, fields: Sequence[Any]) -> Iterable[bytes]:
        """The rows of a result as they are hashed."""
        count, width = self.count(result), len(fields)
        if not count or not width:
            return [b""] * count
        if self.size(result) > _AT_ONCE:
            return self._one_by_one(result, count, width)
        printed = self._printed(result)
        rows = printed.split(_END + b"\n")
        if len(rows) != count + 1:  # a value begins with a line break
            return self._one_by_one(result, count, width)
        del rows[-1]
        if _END + _END in printed or printed.startswith(_END) or b"\n" + _END in printed or b"" in rows:
            return self._with_nulls(result, fields, rows)
        return rows

    def _printed(self, result: int) -> bytes:
        """All values, 0xFF after each, and a line break after each row."""
        text, size = ctypes.c_void_p(), ctypes.c_size_t()
        stream = self.open(ctypes.byref(text), ctypes.byref(size))
        if not stream:
            raise MemoryError("a stream in memory cannot be opened")
        self.display(result, stream, 0, _END, 0, 1)
        self.close(stream)
        try:
            return ctypes.string_at(text, size.value)
        finally:
            self.free(text)

    def _with_nulls(self, result: int, fields: Sequence[Any], rows: list[bytes]) -> Iterable[bytes]:
        """Add the positions of NULLs, which are printed as nothing."""
        may_be_empty = [field.type_code not in _NEVER_EMPTY for field in fields]
        for number, row in enumerate(rows):
            values = row.split(_END)
            if b"" in values:
                nulls = [
                    place
                    for place, value in enumerate(values)
                    if not value and (not may_be_empty[place] or self.is_null(result, number, place))
                ]
                yield _packed(values, nulls)
            else:
                yield row

    def _one_by_one(self, result: int, count: int, width: int) -> Iterable[bytes]:
        for number in range(count):
            values = [self.value(result, number, place) for place in range(width)]
            nulls = [
                place
                for place, value in enumerate(values)
                if not value and self.is_null(result, number, place)
            ]
            yield _packed(values, nulls)


def _function(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function
