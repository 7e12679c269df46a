"""Asker: the queries of a cascade, on one connection and in one snapshot.

In: a connection, and SQL. Out: rows as the server printed them, or the keys that they are. A snapshot is gone with its
connection, so where the server closes that, what is made of it is made again from the start (`reconnecting`). It knows
nothing of slices.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pymysql
from pymysql.cursors import SSCursor

from ..catalog import Table
from ..errors import SliceError
from .keysets import Coder, Columns, joined

logger = logging.getLogger("dj_sqlspy")

# The connection is gone: CR_SERVER_GONE_ERROR, CR_SERVER_LOST, CR_SERVER_LOST_EXTENDED, ER_SERVER_SHUTDOWN,
# ER_CONNECTION_KILLED (MariaDB), ER_CLIENT_INTERACTION_TIMEOUT; PyMySQL says 0 for one that it had closed itself.
_LOST = frozenset({0, 2006, 2013, 2055, 1053, 1927, 4031})
_ATTEMPTS = 3

# Rows of an answer that are read before they are made keys.
_BLOCK = 10_000


def plain_decoders() -> dict[Any, Any]:
    """PyMySQL converters that leave every value as the server printed it."""
    return {key: value for key, value in pymysql.converters.conversions.items() if isinstance(key, type)}


class ConnectionLost(SliceError):
    """The server has closed the connection, and with it the snapshot (`reconnecting`). No error of a statement."""


T = TypeVar("T")


def reconnecting(connect: Callable[[], Any], work: Callable[[Any], T]) -> T:
    """Do what needs one snapshot, from the start again where the server closes the connection meanwhile.

    Parameters
    ----------
    connect : callable
        Opens a connection, which is closed in the end.
    work : callable
        Gets the connection, and asks through an `Asker`.

    Raises
    ------
    SliceError
        If the server closes it each time.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        connection = connect()
        try:
            return work(connection)
        except ConnectionLost as error:
            if attempt == _ATTEMPTS:
                raise SliceError(
                    f"Making a slice: the server closed the connection {_ATTEMPTS} times ({error}). It may end "
                    "connections that are idle or run long; ask its administrator for wait_timeout, "
                    "net_write_timeout and max_execution_time."
                ) from error
            logger.warning(
                "The server closed the connection (%s); the slice is made again from the start.", error
            )
        finally:
            with contextlib.suppress(pymysql.Error):  # it is closed already
                connection.close()
    raise AssertionError("not reached")


class _Pieces(SSCursor):  # type: ignore[misc]  # which has no types
    """A cursor that reads an answer as it comes, and can be closed also where the connection is gone."""

    connection: Any

    def close(self) -> None:
        if self.connection is not None and not self.connection.open:
            # PyMySQL would read the rest of the answer
            if self._result is not None:
                self._result.unbuffered_active = False
            self.connection = None
        super().close()

    __del__ = close


class Asker:
    """Runs the cascade's queries on one connection, in one consistent read-only snapshot."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.coder = Coder()
        self.queries = 0

    def start(self) -> None:
        with noticing_loss(), self.connection.cursor() as cursor:
            # rewritten queries keep their meaning without the check that DataJoint's sql_mode asks for
            cursor.execute("SET SESSION sql_mode = REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', '')")
            # A rule joins what a statement and its subqueries read, which can be two hundred tables. Servers look so
            # many tables ahead for the best order as this says; each further one takes MySQL seven times as long.
            # A comment for MySQL: MariaDB's lateral derived tables lose the group of NULL that <=> would find.
            cursor.execute(
                "SET SESSION optimizer_search_depth = 4 /*M!, optimizer_switch = 'split_materialized=off' */"
            )
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def stop(self) -> None:
        with noticing_loss(), self.connection.cursor() as cursor:
            cursor.execute("ROLLBACK")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """A block whose queries all see the database as it is now."""
        self.start()
        try:
            with noticing_loss():  # also by what does not ask through this one, such as the catalog
                yield
        finally:
            self.stop()

    def rows(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """What a query returns."""
        with noticing_loss(), self.connection.cursor() as cursor:
            self.send(cursor, sql)
            result: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return result

    def keys(self, table: Table, sql: str) -> Columns:
        """The keys that a query returns; its answer is read in pieces, since it can be large."""
        parts = []
        with noticing_loss(), self.connection.cursor(_Pieces) as cursor:
            self.send(cursor, sql)
            while rows := cursor.fetchmany(_BLOCK):
                parts.append(self.coder.read(table, rows))
        return joined(parts) if parts else self.coder.read(table, ())

    def send(self, cursor: Any, sql: str) -> None:
        """Run a query."""
        self.queries += 1
        # a statement may hold bytes that are no UTF-8, which the driver decoded to surrogates
        cursor.execute(sql.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def noticing_loss() -> Iterator[None]:
    """Raise `ConnectionLost` where the connection is lost in this block."""
    try:
        yield
    except pymysql.MySQLError as error:
        if error.args and error.args[0] in _LOST:
            raise ConnectionLost(str(error.args[-1]) or "it is closed") from error
        raise
