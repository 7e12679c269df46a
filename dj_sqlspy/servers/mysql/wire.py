"""Wire: a digest of a result, made while PyMySQL reads it.

In: the packets of rows, as the server sends them. Out: for each result its digest and its columns. Nothing of the
result is held. A user's connection gets what PyMySQL makes of it all the same (`reader_of`); where only the digest is
asked for, no row is made (`sums_of`).

The digest of a result
----------------------
The sum, modulo 2 to the power of 64, of the XXH3 (64 bits) of each row, so that the order of rows does not matter. A
row is hashed as the text protocol has it: for each value its length as a length-encoded integer and its bytes, or 0xFB
for NULL (MySQL: "Text Resultset Row"). Servers print stored values alike, so the digest is the same wherever the rows
are. A DOUBLE or FLOAT that a statement computes can differ in its last digits with the order in which rows are added
up: such a value is hashed as ``%.11e`` prints it. A result that was not read to its end has no digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import xxhash
from pymysql.connections import MySQLResult
from pymysql.constants import COMMAND, FIELD_TYPE

from ..results import Column, Sums

MODULUS = 1 << 64
_FLOATS = frozenset({FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE})
_hash = xxhash.xxh3_64_intdigest
_SIZES = {0xFC: 2, 0xFD: 3, 0xFE: 8}  # bytes of a length, by the byte before it
_EOF = 0xFE  # the first byte of the packet behind the last row, and of a row whose first value is over 16 MB


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


def stream(raw: Any, sql: bytes) -> Iterator[Any]:
    """Send a query, and read its result as it comes: first the fields of its columns, then each row as it is sent."""
    raw._execute_command(COMMAND.COM_QUERY, sql)
    result = MySQLResult(raw)
    result.init_unbuffered_query()
    raw._result = result
    yield result.fields if result.unbuffered_active else ()
    while result.unbuffered_active:
        data = raw._read_packet()._data
        if data[0] == _EOF and len(data) < 9:
            raw.server_status = int.from_bytes(data[3:5], "little")
            result.unbuffered_active, result.connection = False, None
            return
        yield data


def sums_of(raw: Any, sql: bytes, first: int = 0) -> tuple[Sums, tuple[Column, ...]]:
    """Send a query, and read its result: the sums of its rows, and its columns behind the first ones.

    Parameters
    ----------
    raw : pymysql connection
        Its ``server_status`` is what the server says behind the last row.
    sql : bytes
    first : int
        Rows are told apart by so many of their first values, which are not hashed.
    """
    packets = stream(raw, sql)
    fields = next(packets)[first:]
    hashed = row_hash(fields)
    sums: Sums = {}
    for row in packets:
        place = _end_of(row, first)
        rows, total = sums.get(row[:place], (0, 0))
        sums[row[:place]] = rows + 1, (total + hashed(row[place:] if place else row)) % MODULUS
    return sums, _columns(fields)


def digest_text(total: int) -> str:
    """A digest as it is written."""
    return f"{total:016x}"


def first_values(values: Sequence[bytes]) -> bytes:
    """How a row begins that has these values first.

    >>> first_values([b"3", b"ab"])
    b'\\x013\\x02ab'
    """
    return b"".join([_length(value) + value for value in values])


def _end_of(row: bytes, values: int) -> int:
    """Where so many values of a row end."""
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
    while place < len(row):
        start, place = _span(row, place)
        values.append(None if start is None else row[start:place])
    return values


def _span(row: bytes, place: int) -> tuple[int | None, int]:
    """Where the value starts whose length stands at a place, and where it ends; NULL starts nowhere."""
    length = row[place]
    place += 1
    if length == 0xFB:
        return None, place
    if length > 0xFB:
        size = _SIZES[length]
        length = int.from_bytes(row[place : place + size], "little")
        place += size
    return place, place + length


def _length(value: bytes) -> bytes:
    """A length as the protocol encodes it.

    >>> _length(b"ab"), _length(b"a" * 300)
    (b'\\x02', b'\\xfc,\\x01')
    """
    size = len(value)
    if size < 0xFB:
        return bytes((size,))
    for mark, width in _SIZES.items():
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
    return Received(digest_text(result.digest), _columns(result.fields))


def _columns(fields: Sequence[Any]) -> tuple[Column, ...]:
    return tuple([(field.name, field.type_code, field.scale) for field in fields])
