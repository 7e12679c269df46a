"""Snapshot: queries on one connection to a MySQL or MariaDB, in one consistent read-only snapshot.

In: a connection, SQL, and the session that it is asked in. Out: rows as the server printed them, or a digest of them.
What the server answers an error to is raised as `Refused`, a connection that is gone as `ConnectionLost`. The text of
a statement is sent by `answer` alone: its caller has it from `gate`, and the transaction is seen to be one that cannot
write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

import pymysql
from pymysql.cursors import SSCursor

from ..catalog import Catalog
from ..dialect import LIST_BYTES
from ..results import Answer, Column, Sums
from ..session import PLAIN, Session
from ..snapshot import ConnectionLost, Rows, ServerState
from ..tables import ForeignKey
from . import wire
from .catalog import read_catalog
from .dialect import MYSQL
from .routines import reads_only
from .state import Keeper
from .told import require_reading
from .told import told as told

T = TypeVar("T")

# Rows of an answer that are given at once.
_BLOCK = 10_000

# Counts that are asked for in one query: enough to make the way to the server cheap, few enough to show progress.
_TOGETHER = 16


def plain_decoders() -> dict[Any, Any]:
    """PyMySQL converters that leave every value as the server printed it."""
    return {key: value for key, value in pymysql.converters.conversions.items() if isinstance(key, type)}


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


class MySQLSnapshot:
    """The `Snapshot` of a MySQL or MariaDB; its queries see one state of the database inside of a ``with`` block.

    Parameters
    ----------
    connection : pymysql connection
        Opened with ``conv=plain_decoders()``. It is not closed.
    """

    dialect = MYSQL

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._keeper = Keeper(connection)

    def __enter__(self) -> MySQLSnapshot:
        self.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        # a connection whose answer was not awaited, as by Ctrl-C, is of no more use
        if error is None or (isinstance(error, Exception) and not isinstance(error, ConnectionLost)):
            with told(), self.connection.cursor() as cursor:
                cursor.execute("ROLLBACK")

    def start(self) -> None:
        """Begin the snapshot, with the settings that rewritten queries need."""
        with told(), self.connection.cursor() as cursor:
            # rewritten queries keep their meaning without the check that DataJoint's sql_mode asks for
            cursor.execute("SET SESSION sql_mode = REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', '')")
            # A rule joins what a statement and its subqueries read, which can be two hundred tables. Servers look so
            # many tables ahead for the best order as this says; each further one takes MySQL seven times as long.
            # A comment for MySQL: MariaDB's lateral derived tables lose the group of NULL that <=> would find.
            cursor.execute(
                "SET SESSION optimizer_search_depth = 4 /*M!, optimizer_switch = 'split_materialized=off' */"
            )
            begin(cursor)

    def session(self, texts: Sequence[str]) -> Session:
        """The session that a connection had which had sent these texts."""
        return self._keeper.session(texts)

    def send(self, run: Callable[[bytes], T], sql: str, encoding: str = "utf-8") -> T:
        """Run a query."""
        # a statement may hold bytes that are no text, which the driver decoded to surrogates
        return run(sql.encode(encoding, "surrogateescape"))

    def answer(self, sql: str, session: Session, *, own: bool) -> Answer:
        """What the server answers the text of a statement, which passed the gate."""
        sums, columns = self.answers(sql, session, own=own)
        rows, total = sums.get(b"", (0, 0))
        return Answer(rows, wire.digest_text(total), columns)

    def answers(
        self, sql: str, session: Session, first: int = 0, *, own: bool = False
    ) -> tuple[Sums, tuple[Column, ...]]:
        """The rows of a query, summed up by the first of their values, and the columns behind these."""
        with told():
            self._keeper.use(session, rewritten=not own)
            require_reading(self.connection)
            return self.send(
                lambda text: wire.sums_of(self.connection, text, first),
                sql,
                session.encoding if own else "utf-8",
            )

    def rows(self, sql: str, arguments: Sequence[Any] | None = None, session: Session = PLAIN) -> Rows:
        """What a query returns."""
        with told(), self.connection.cursor() as cursor:
            self._keeper.use(session, rewritten=True)
            if arguments is None:
                self.send(cursor.execute, sql)
            else:
                cursor.execute(sql, arguments)
            result: Rows = cursor.fetchall()
            return result

    def blocks(self, sql: str, session: Session = PLAIN) -> Iterator[Rows]:
        """What a query returns, in pieces."""
        with told(), self.connection.cursor(_Pieces) as cursor:
            self._keeper.use(session, rewritten=True)
            self.send(cursor.execute, sql)
            while rows := cursor.fetchmany(_BLOCK):
                yield rows

    def count(self, sql: str, session: Session = PLAIN) -> int:
        """The number that a query returns."""
        return int(self.rows(sql, session=session)[0][0])

    def counts(self, queries: Iterable[str]) -> Iterator[int]:
        """The numbers that many queries return, some of them asked for together."""
        waiting: list[str] = []
        size = 0
        for sql in queries:
            if waiting and (len(waiting) == _TOGETHER or size + len(sql) > LIST_BYTES):
                yield from self._together(waiting)
                waiting, size = [], 0
            waiting.append(sql)
            size += len(sql)
        if waiting:
            yield from self._together(waiting)

    def _together(self, queries: Sequence[str]) -> list[int]:
        return [int(number) for number in self.rows(f"SELECT {', '.join(f'({sql})' for sql in queries)}")[0]]

    def require_accepted(self, sql: str, session: Session = PLAIN) -> None:
        """Raise `Refused` where the server does not take a query; it is explained, and not run."""
        self.rows(f"EXPLAIN {sql}", session=session)

    def read_catalog(self, schemas: Iterable[str], virtual: Sequence[ForeignKey], down: bool) -> Catalog:
        """The catalog of schemas as far as the account can see it, its columns left for later."""
        with told():
            found = read_catalog(self.connection, schemas, virtual, down=down, partial=True, columns=False)
            return replace(found, reads_only=reads_only(self.connection))

    def schema_names(self) -> set[str]:
        """The schemas that the account can see, in lower case."""
        return {row[0].lower() for row in self.rows("SELECT schema_name FROM information_schema.schemata")}

    def state(self) -> ServerState:
        """What the server says of itself."""
        version, comment = self.rows("SELECT @@version, @@version_comment")[0]
        charset, zone = self.rows("SELECT @@character_set_server, @@time_zone")[0]
        return ServerState(version, flavor_of(version + comment), charset, zone)

    def account(self) -> str:
        """The account, as GRANT names it."""
        user, _, host = str(self.rows("SELECT CURRENT_USER()")[0][0]).rpartition("@")
        return "@".join("'" + part.replace("'", "''") + "'" for part in (user, host))


def begin(cursor: Any) -> None:
    """Begin a consistent snapshot that only reads."""
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


def flavor_of(version: str) -> Literal["mysql", "mariadb"]:
    """Which of the two a server is, from what it says of its version.

    >>> flavor_of("10.11.19-MariaDB-0+deb12u1"), flavor_of("9.7.4")
    ('mariadb', 'mysql')
    """
    return "mariadb" if "mariadb" in version.lower() else "mysql"
