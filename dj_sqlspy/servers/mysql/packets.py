"""Packets: the rows of a result in blocks, as they lie in memory.

In: a PyMySQL connection and a query. Out: its result: PyMySQL's descriptions of the columns, and `Block` objects, each
some whole rows of the text protocol, and where each begins and ends. Nothing is converted. PyMySQL makes an object for
each row, which takes longer than all else that is done with it. So rows are read here, many at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pymysql
from pymysql.connections import MySQLResult
from pymysql.constants import COMMAND, CR

from ..results import LENGTHS, NULL

BLOCK_BYTES = 64 << 10  # of a block of a result that nobody asks for in larger ones
# First byte of the packet after the last row, and of one with an error. A row that begins with 16 MB has 0xFE, too.
_EOF, _ERROR = 0xFE, 0xFF
_LONGEST = 0xFFFFFF  # bytes of a packet; a longer row goes on in the next one
_HEADER = struct.Struct("<I")  # three bytes of length and one of its number
_WIDTHS = np.zeros(256, np.int64)
for _mark, _width in LENGTHS.items():
    _WIDTHS[_mark] = _width


class Spans(NamedTuple):
    """Where the values of a column lie in a block.

    Attributes
    ----------
    starts, sizes : array of int64
    nulls : array of bool or None
        None if no value is NULL.
    """

    starts: Any
    sizes: Any
    nulls: Any


class Block(NamedTuple):
    """Neighbouring rows of a result.

    Attributes
    ----------
    data : array of uint8
    starts, ends : list of int
        Of each row in ``data``.
    """

    data: Any
    starts: list[int]
    ends: list[int]

    def rows(self) -> Iterator[bytes]:
        """Each row as sent."""
        data = memoryview(self.data)
        for start, end in zip(self.starts, self.ends, strict=True):
            yield bytes(data[start:end])

    def columns(self, count: int) -> Iterator[Spans]:
        """Where the values of each of so many columns lie.

        >>> rows = np.frombuffer(b"\\x012\\xfb\\x0210\\x01x", np.uint8)
        >>> [spans.sizes.tolist() for spans in Block(rows, [0, 3], [3, 8]).columns(2)]
        [[1, 2], [0, 1]]

        Raises
        ------
        pymysql.InternalError
            If rows have other values than these.
        """
        place = np.array(self.starts, np.int64)
        for _ in range(count):
            spans = _spans(self.data, place)
            yield spans
            place = spans.starts + spans.sizes
        if not np.array_equal(place, self.ends):
            raise pymysql.InternalError(f"The server sent a row that has not {count} values")


def _spans(data: Any, place: Any) -> Spans:
    """The values whose lengths are at these places."""
    sizes = data[place].astype(np.int64)
    if sizes.max(initial=0) < NULL:
        return Spans(place + 1, sizes, None)
    first = sizes.copy()
    for mark, width in LENGTHS.items():
        long = np.flatnonzero(first == mark)
        if len(long):
            sizes[long] = sum(
                data[place[long] + 1 + byte].astype(np.int64) << 8 * byte for byte in range(width)
            )
    nulls = first == NULL
    sizes[nulls] = 0
    return Spans(place + 1 + _WIDTHS[first], sizes, nulls if nulls.any() else None)


def send(raw: Any, sql: bytes) -> Streamed:
    """Send a query; its result, of which no row was read."""
    raw._execute_command(COMMAND.COM_QUERY, sql)
    result = Streamed(raw)
    result.init_unbuffered_query()
    raw._result = result
    return result


class Streamed(MySQLResult):  # type: ignore[misc]  # which has no types
    """A result whose rows are read in blocks.

    Attributes
    ----------
    fields : sequence
        PyMySQL's descriptions of its columns.
    """

    connection: Any
    fields: Sequence[Any] = ()
    _held: Any = None  # what was read after the last block

    def blocks(self, size: int) -> Iterator[Block]:
        """Its rows in blocks of about ``size`` bytes; a longer row is a block of its own."""
        while self.unbuffered_active:
            block = self._next(size)
            if block.starts:
                yield block

    def packets(self) -> Iterator[bytes]:
        """Each of its rows as sent."""
        for block in self.blocks(BLOCK_BYTES):
            yield from block.rows()

    def _finish_unbuffered_query(self) -> None:
        # PyMySQL calls it before the next query if nobody has read to the end
        while self.unbuffered_active:
            self._next(BLOCK_BYTES)

    def _next(self, size: int) -> Block:
        try:
            if self._held is None:
                self._held = self._buffered()
            length = _header(self._held)[0] if len(self._held) >= _HEADER.size else 0
            if length == _LONGEST:
                return self._joined()
            return self._block(max(size, len(self._held), _HEADER.size + length))
        except pymysql.MySQLError:
            self.unbuffered_active = False  # else PyMySQL reads on when the result is deleted
            raise
        except BaseException:
            self.unbuffered_active = False
            self.connection._force_close()  # what was read is lost
            raise

    def _block(self, size: int) -> Block:
        """The packets that are whole in so many bytes."""
        raw, data = self.connection, np.empty(size, np.uint8)
        view, filled, place = data.data, len(self._held), 0
        view[:filled] = self._held
        starts: list[int] = []
        ends: list[int] = []
        unpack, number = _HEADER.unpack_from, raw._next_seq_id
        more = True
        while more:
            while filled >= place + 4:  # as `_header`, without a call
                (header,) = unpack(view, place)
                length = header & _LONGEST
                end = place + 4 + length
                if end > filled or length == _LONGEST:
                    more = end <= size and length != _LONGEST
                    break
                if header >> 24 != number:
                    raise self._lost(f"packet {header >> 24} instead of {number}")
                number = number + 1 & 0xFF
                starts.append(place + 4)
                ends.append(end)
                place = end
            if starts and self._is_last(view[starts[-1] : place]):  # nothing follows it
                starts.pop()
                ends.pop()
                break
            more = more and filled < size
            if more:
                filled += self._read(view[filled:])
        raw._next_seq_id = number
        self._held = view[place:filled]
        return Block(data, starts, ends)

    def _joined(self) -> Block:
        """A row that lies in several packets."""
        parts: list[Any] = []
        length = _LONGEST
        while length == _LONGEST:
            length, number = _header(self._taken(_HEADER.size))
            if number != self.connection._next_seq_id:
                raise self._lost(f"packet {number} instead of {self.connection._next_seq_id}")
            self.connection._next_seq_id = number + 1 & 0xFF
            parts.append(self._taken(length))
        data = np.concatenate(parts)
        return Block(data, [0], [len(data)])

    def _taken(self, count: int) -> Any:
        """The next bytes."""
        data = np.empty(count, np.uint8)
        view, filled = data.data, min(count, len(self._held))
        view[:filled] = self._held[:filled]
        self._held = self._held[filled:]
        while filled < count:
            filled += self._read(view[filled:])
        return data

    def _buffered(self) -> bytes:
        """What PyMySQL has read after the descriptions, of which it keeps some kilobytes."""
        file = self.connection._rfile
        try:
            return bytes(file.read(len(file.peek())))
        except OSError as error:
            raise self._lost(str(error)) from error

    def _read(self, view: Any) -> int:
        """Read what has arrived; the number of bytes."""
        try:
            # readinto1 waits for more than it has buffered
            count: int = self.connection._rfile.raw.readinto(view)
        except OSError as error:
            raise self._lost(str(error)) from error
        if not count:
            raise self._lost("it closed the connection")
        return count

    def _lost(self, why: str) -> pymysql.OperationalError:
        self.connection._force_close()
        return pymysql.OperationalError(
            CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query ({why})"
        )

    def _is_last(self, packet: Any) -> bool:
        """Whether a packet ends the result."""
        if packet[0] == _ERROR:
            pymysql.err.raise_mysql_exception(bytes(packet))
        if packet[0] != _EOF or len(packet) >= 9:
            return False
        self.connection.server_status = int.from_bytes(packet[3:5], "little")
        self.unbuffered_active, self.connection = False, None
        return True


def _header(packet: Any) -> tuple[int, int]:
    """The length and the number of a packet."""
    (header,) = _HEADER.unpack_from(packet)
    return header & _LONGEST, header >> 24
