"""Results: reads the result of one statement on PostgreSQL as sent, in parts, and digests it.

In: a connection that returns texts (`session.as_sent`). Out: a `Digest`, rows of one result that are not in another,
rows as they arrive. PostgreSQL sends a whole result unless a cursor asks for parts, so each is read by a cursor.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..multisets import as_text, difference_of, digest_of
from ..results import Difference, Digest, Forms, digest_text
from . import wire
from .driver import driver
from .told import told

# Forms of columns by the number of the type. All others are "text", unchanged.
FORM_OF_TYPE = {700: "float", 701: "float", 114: "json", 3802: "json"}

# Rows of one part of a result, and about how many characters it has.
_PART, _FIRST_PART = 1_000, 10
_PART_SIZE = 8 << 20

_numbers = itertools.count(1)


class Result:
    """The result of a statement that was sent: its rows as they arrive, as sent (bytes or None).

    Attributes
    ----------
    fields : sequence
        psycopg2's descriptions of its columns.
    received : str
        The digest that the capture makes while an analysis reads (`wire`), once all rows were read.
    """

    def __init__(self, connection: Any, sql: str) -> None:
        # no method: it would hold this object, so that only the garbage collector ended both, in a later transaction
        self._rows = _read(connection, sql)
        self.fields: Sequence[Any] = next(self._rows)
        self.received = ""

    def __iter__(self) -> Iterator[Sequence[bytes | None]]:
        total, hashed = 0, wire.row_hash(self.fields)
        for row in self._rows:
            total += hashed(wire.row_bytes(row))
            yield [None if value is None else value.encode() for value in row]
        self.received = digest_text(total)


def _read(connection: Any, sql: str) -> Iterator[Any]:
    """The columns of a statement's result, then its rows. It ends with what it opened as soon as nobody holds it."""
    name = f"dj_sqlspy_{next(_numbers)}"
    idle = driver().extensions.TRANSACTION_STATUS_IDLE
    with told(), connection.cursor() as cursor:
        own = connection.info.transaction_status == idle
        cursor.execute("BEGIN READ ONLY" if own else f"SAVEPOINT {name}")
        try:
            cursor.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {sql}")
            cursor.execute(f"FETCH {_FIRST_PART} FROM {name}")
            yield cursor.description or ()
            while rows := cursor.fetchall():
                size = sum(len(value) for row in rows for value in row if value)
                yield from rows
                more = max(1, min(_PART, _PART_SIZE * len(rows) // (size or 1)))
                cursor.execute(f"FETCH {more} FROM {name}")
        finally:
            if not connection.closed:
                cursor.execute("ROLLBACK" if own else f"ROLLBACK TO SAVEPOINT {name}")


def digest(
    connection: Any,
    sql: str,
    digits: int | None = None,
    forms: Forms | None = None,
    instead: Mapping[int, Mapping[bytes, bytes]] | None = None,
) -> Digest:
    """Run a statement and digest its result; the parameters are those of MySQL's."""
    return digest_of(Result(connection, sql), FORM_OF_TYPE, digits, forms, instead)


def difference(one: Any, other: Any, sql: str) -> tuple[Difference, Difference]:
    """For a statement, the rows that only the first and that only the second connection returns."""
    return difference_of(lambda: _stream(one, sql), lambda: _stream(other, sql))


def _stream(connection: Any, sql: str) -> Iterator[Any]:
    result = Result(connection, sql)
    yield tuple(as_text(field.name) for field in result.fields)
    yield from result
