"""Wire: a digest of a result, made while PyMySQL reads it.

In: the packets of rows, as the server sends them. Out: for each result its digest and its columns. Nothing of the
result is held, and what the caller gets is what PyMySQL makes of it.

The digest of a result
----------------------
The sum, modulo 2 to the power of 64, of the XXH3 (64 bits) of each row, so that the order of rows does not matter. A
row is hashed as the text protocol has it: for each value its length as a length-encoded integer and its bytes, or 0xFB
for NULL (MySQL: "Text Resultset Row"). Servers print stored values alike, so the digest is the same wherever the rows
are. A DOUBLE or FLOAT that a statement computes can differ in its last digits with the order in which rows are added
up: such a value is hashed as ``%.11e`` prints it. A result that was not read to its end has no digest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import xxhash
from pymysql.connections import MySQLResult
from pymysql.constants import FIELD_TYPE

MODULUS = 1 << 64
_FLOATS = frozenset({FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE})
_hash = xxhash.xxh3_64_intdigest
_EOF = 0xFE  # the first byte of the packet behind the last row, and of a row whose first value is over 16 MB

# Name, type (a number of the protocol) and number of decimals of a column.
Column = tuple[str, int, int]


class Received(NamedTuple):
    """What a result was.

    Attributes
    ----------
    digest : str
        16 hexadecimal digits.
    columns : tuple of (name, type, decimals)
    """

    digest: str
    columns: tuple[Column, ...]


class _Digested(MySQLResult):  # type: ignore[misc]  # which has no types
    """A result that is digested while it is read."""

    connection: Any
    digest: int | None = None

    def _read_rowdata_packet(self) -> None:
        # as PyMySQL's own, with a look at each packet; it is called for each row, hence the local names
        read, make = self.connection._read_packet, self._read_row_from_packet
        ends, hashed = self._check_packet_is_eof, _row_hash(self.fields)
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


def _row_hash(fields: Sequence[Any]) -> Callable[[bytes], int]:
    """The hash of a row; floats that the statement computes are rounded, which takes longer."""
    computed = {i for i, field in enumerate(fields) if field.type_code in _FLOATS and not field.org_table}
    if not computed:
        return _hash

    def rounded(data: bytes) -> int:
        parts = []
        for index, value in enumerate(values_of(data)):
            if value is not None and index in computed:
                value = b"%.11e" % (float(value) + 0.0)  # zero without a sign
            parts.append(b"\xfb" if value is None else _length(value) + value)
        return _hash(b"".join(parts))

    return rounded


def values_of(row: bytes) -> list[bytes | None]:
    """The values of a row of the text protocol.

    >>> values_of(b"\\x011\\xfb\\x02ab")
    [b'1', None, b'ab']
    """
    values: list[bytes | None] = []
    place = 0
    while place < len(row):
        length = row[place]
        place += 1
        if length == 0xFB:
            values.append(None)
            continue
        if length > 0xFB:
            size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[length]
            length = int.from_bytes(row[place : place + size], "little")
            place += size
        values.append(row[place : place + length])
        place += length
    return values


def _length(value: bytes) -> bytes:
    """A length as the protocol encodes it.

    >>> _length(b"ab"), _length(b"a" * 300)
    (b'\\x02', b'\\xfc,\\x01')
    """
    size = len(value)
    if size < 0xFB:
        return bytes((size,))
    for mark, width in ((0xFC, 2), (0xFD, 3), (0xFE, 8)):
        if size < 1 << 8 * width:
            return bytes((mark,)) + size.to_bytes(width, "little")
    raise ValueError(f"a value of {size} bytes")


def reader_of(raw: Any) -> Callable[..., Any]:
    """What stands in for ``_read_query_result`` of a PyMySQL connection, so that what it reads is digested."""

    def _read_query_result(unbuffered: bool = False) -> Any:
        raw._result = None  # as PyMySQL's own, with another class of result
        result = _Digested(raw)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        raw._result = result
        if result.server_status is not None:
            raw.server_status = result.server_status
        return result.affected_rows

    return _read_query_result


def received(raw: Any) -> Received | None:
    """What the last result of a connection was; None where it was not digested, or has no rows at all."""
    result = raw._result
    if type(result) is not _Digested or result.digest is None:
        return None
    return Received(
        f"{result.digest:016x}",
        tuple([(field.name, field.type_code, field.scale) for field in result.fields]),
    )
