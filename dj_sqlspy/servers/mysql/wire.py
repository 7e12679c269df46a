"""Wire: computes the digest of a result while PyMySQL reads it.

In: the packets of rows, as the server sends them. Out: for each result its digest and its columns. The result is not
stored. On a user's connection PyMySQL returns its rows as usual (`reader_of`). If only the digest is needed, no rows
are built (`sums_of`).

The digest of a result
----------------------
It is the sum, modulo 2**64, of the 64-bit XXH3 of each row, so the order of rows does not matter. A row is hashed as in
the text protocol: for each value its length as a length-encoded integer and its bytes, or 0xFB for NULL (MySQL: "Text
Resultset Row"). All servers print stored values alike, so their digests agree. The last digits of a computed DOUBLE or
FLOAT can depend on the order in which rows are added up, so such a value is hashed as ``%.11e`` prints it. A result
that was not read to its end has no digest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any

import xxhash
from pymysql.connections import MySQLResult
from pymysql.constants import FIELD_TYPE

from ..results import LENGTHS, MODULUS, NULL, Column, Received, Sums, digest_text, length_encoded
from . import packets

_FLOATS = frozenset({FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE})
_hash = xxhash.xxh3_64_intdigest
_EOF = 0xFE  # first byte of the packet after the last row, and of a row whose first value is over 16 MB


class _Digested(MySQLResult):  # type: ignore[misc]  # which has no types
    """A result whose digest is computed while it is read."""

    connection: Any
    digest: int | None = None

    def _read_rowdata_packet(self) -> None:
        # like PyMySQL's method, but it hashes each packet; local names make the loop faster
        read, make = self.connection._read_packet, self._read_row_from_packet
        ends, hashed = self._check_packet_is_eof, row_hash(self.fields)
        rows: list[Any] = []
        add, total = rows.append, 0
        while True:
            packet = read()
            data = packet._data
            if data[0] == _EOF and ends(packet):
                self.connection = None
                break
            total += hashed(data)
            add(make(packet))
        self.affected_rows = len(rows)
        self.rows = tuple(rows)
        self.digest = total % MODULUS


def row_hash(fields: Sequence[Any]) -> Callable[[bytes], int]:
    """The function that hashes a row. It rounds computed floats, which takes longer."""
    computed = {i for i, field in enumerate(fields) if field.type_code in _FLOATS and not field.org_table}
    if not computed:
        return _hash

    def rounded(data: bytes) -> int:
        parts = []
        for index, value in enumerate(values_of(data)):
            if value is not None and index in computed:
                value = b"%.11e" % (float(value) + 0.0)  # zero without a sign
            parts.append(length_encoded(value))
        return _hash(b"".join(parts))

    return rounded


def sums_of(raw: Any, sql: bytes, first: int = 0) -> tuple[Sums, tuple[Column, ...]]:
    """Send a query and read its result: the sums of its rows, and the columns after the ``first``.

    Parameters
    ----------
    raw : pymysql connection
        Its ``server_status`` is set from the packet after the last row.
    sql : bytes
    first : int
        Rows are grouped by this many first values, which are not hashed.
    """
    result = packets.send(raw, sql)
    fields = result.fields[first:]
    hashed = row_hash(fields)
    sums: Sums = {}
    for row in result.packets():
        place = _end_of(row, first)
        rows, total = sums.get(row[:place], (0, 0))
        sums[row[:place]] = rows + 1, (total + hashed(row[place:] if place else row)) % MODULUS
    return sums, _columns(fields)


def _end_of(row: bytes, values: int) -> int:
    """The position after this many values of a row."""
    place = 0
    for _ in range(values):
        _, place = _span(row, place)
    return place


def values_of(row: bytes) -> list[bytes | None]:
    """The values of a row of the text protocol.

    >>> values_of(b"\\x011\\xfb\\x02ab")
    [b'1', None, b'ab']
    """
    values: list[bytes | None] = []
    place = 0
    end = len(row)
    while place < end:
        length = row[place]
        if length < NULL:  # without a call: most values are short
            start, place = place + 1, place + 1 + length
            values.append(row[start:place])
        elif length == NULL:
            values.append(None)
            place += 1
        else:
            start, place = _long_span(row, place)
            values.append(row[start:place])
    return values


def _span(row: bytes, place: int) -> tuple[int | None, int]:
    """Start (None for NULL) and end of the value whose length is at a position."""
    length = row[place]
    if length == NULL:
        return None, place + 1
    if length > NULL:
        return _long_span(row, place)
    return place + 1, place + 1 + length


def _long_span(row: bytes, place: int) -> tuple[int, int]:
    """Start and end of a value whose length has more than one byte."""
    start = place + 1 + LENGTHS[row[place]]
    return start, start + int.from_bytes(row[place + 1 : start], "little")


def reader_of(raw: Any) -> Callable[..., Any]:
    """A replacement of a PyMySQL connection's ``_read_query_result`` that computes digests."""
    return MethodType(_read_query_result, raw)


def _read_query_result(raw: Any, unbuffered: bool = False) -> Any:
    raw._result = None  # like PyMySQL's method, with another class of result
    result = _Digested(raw)
    if unbuffered:
        result.init_unbuffered_query()
    else:
        result.read()
    raw._result = result
    if result.server_status is not None:
        raw.server_status = result.server_status
    return result.affected_rows


def received(raw: Any) -> Received | None:
    """Digest and columns of a connection's last result; None if it has no digest or is no set of rows."""
    result = raw._result
    if type(result) is not _Digested or result.digest is None:
        return None
    return Received(digest_text(result.digest), _columns(result.fields))


def _columns(fields: Sequence[Any]) -> tuple[Column, ...]:
    return tuple([(field.name, field.type_code, field.scale) for field in fields])
