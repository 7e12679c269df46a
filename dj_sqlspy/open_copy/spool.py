"""Spool: the rows of a result on disk, so that several files are made from the same rows.

In: rows as the server sends them. Out: the same rows, as often as they are wanted. No more than one row is in memory. A
statement that fails at a late row has then made no file at all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from ..servers.results import ResultColumn

_NULL = -1  # in place of the length of a value

Row = Sequence["bytes | None"]


class Spool:
    """Rows of a result, in a file.

    Parameters
    ----------
    file : binary file
        Empty, open for reading and writing.
    columns : sequence of ResultColumn
        Texts are kept in UTF-8, whatever their encoding.
    rows : iterable of sequence of bytes or None

    Attributes
    ----------
    rows : int
        Number of rows.
    """

    def __init__(self, file: BinaryIO, columns: Sequence[ResultColumn], rows: Iterable[Row]) -> None:
        self._file, self._lengths = file, struct.Struct(f"<{len(columns)}q")
        others = {
            place: column.encoding
            for place, column in enumerate(columns)
            if column.kind == "text" and column.encoding != "utf-8"
        }
        self.rows = 0
        for row in rows:
            if others:
                row = [
                    value if value is None or place not in others else _utf8(value, others[place])
                    for place, value in enumerate(row)
                ]
            lengths = [_NULL if value is None else len(value) for value in row]
            file.write(self._lengths.pack(*lengths) + b"".join(filter(None, row)))
            self.rows += 1

    def __iter__(self) -> Iterator[Row]:
        self._file.seek(0)
        for _ in range(self.rows):
            lengths = self._lengths.unpack(self._file.read(self._lengths.size))
            yield [None if length == _NULL else self._file.read(length) for length in lengths]


def _utf8(value: bytes, encoding: str) -> bytes:
    """
    >>> _utf8(b"caf\\xe9", "cp1252").decode()
    'café'
    """
    return value.decode(encoding, "surrogateescape").encode("utf-8", "surrogateescape")
