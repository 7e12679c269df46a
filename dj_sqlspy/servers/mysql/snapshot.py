"""Snapshot: queries on one connection to a MySQL or MariaDB, in one consistent read-only snapshot.

In: a connection, SQL, and a session for it. Out: rows as the server printed them, or a digest of them. An error of the
server is raised as `Refused`, a lost connection as `ConnectionLost`. Only `answer` sends the text of a statement. Its
caller took the text through `gate`, and `answer` checks that the transaction cannot write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

import pymysql
from pymysql.cursors import SSCursor

from ..catalog import Catalog
from ..results import Answer, Column, Sums, digest_text
from ..session import PLAIN, Session
from ..snapshot import ConnectionLost, Counting, Rows, ServerState
from ..tables import ForeignKey
from . import wire
from .catalog import read_catalog
from .dialect import MYSQL
from .routines import reads_only
from .state import Keeper
from .told import require_reading
from .told import told as told

T = TypeVar("T")

# Rows in one block of an answer.
_BLOCK = 10_000


def plain_decoders() -> dict[Any, Any]:
    """PyMySQL converters that return every value as the server printed it."""
    return {key: value for key, value in pymysql.converters.conversions.items() if isinstance(key, type)}


class _Pieces(SSCursor):  # type: ignore[misc]  # which has no types
    """A cursor that streams an answer, and can be closed after the connection is lost."""

    connection: Any

    def close(self) -> None:
        if self.connection is not None and not self.connection.open:
            # PyMySQL would read the rest of the answer
            if self._result is not None:
                self._result.unbuffered_active = False
            self.connection = None
        super().close()

    __del__ = close


class MySQLSnapshot(Counting):
    """The `Snapshot` of a MySQL or MariaDB, which says what its methods do.

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
        # a connection whose answer was not read to its end (Ctrl-C) cannot be used again
        if error is None or (isinstance(error, Exception) and not isinstance(error, ConnectionLost)):
            with told(), self.connection.cursor() as cursor:
                cursor.execute("ROLLBACK")

    def start(self) -> None:
        """Begin the snapshot with the settings that rewritten queries need."""
        with told(), self.connection.cursor() as cursor:
            # rewritten queries need not pass the check that DataJoint's sql_mode turns on
            cursor.execute("SET SESSION sql_mode = REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', '')")
            # A rule can join two hundred tables: all that a statement and its subqueries read. This limits how many
            # tables ahead a server plans; each further one takes MySQL seven times as long. The switch is a comment
            # for MySQL: MariaDB's lateral derived tables lose the group of NULL that <=> would find.
            cursor.execute(
                "SET SESSION optimizer_search_depth = 4 /*M!, optimizer_switch = 'split_materialized=off' */"
            )
            begin(cursor)

    def session(self, texts: Sequence[str]) -> Session:
        return self._keeper.session(texts)

    def send(self, run: Callable[[bytes], T], sql: str, encoding: str = "utf-8") -> T:
        # bytes in a statement that are not valid text were decoded to surrogates
        return run(sql.encode(encoding, "surrogateescape"))

    def answer(self, sql: str, session: Session, *, own: bool) -> Answer:
        sums, columns = self.answers(sql, session, own=own)
        rows, total = sums.get(b"", (0, 0))
        return Answer(rows, digest_text(total), columns)

    def answers(
        self, sql: str, session: Session, first: int = 0, *, own: bool = False
    ) -> tuple[Sums, tuple[Column, ...]]:
        with told():
            self._keeper.use(session, rewritten=not own)
            require_reading(self.connection)
            return self.send(
                lambda text: wire.sums_of(self.connection, text, first),
                sql,
                session.encoding if own else "utf-8",
            )

    def rows(self, sql: str, arguments: Sequence[Any] | None = None, session: Session = PLAIN) -> Rows:
        with told(), self.connection.cursor() as cursor:
            self._keeper.use(session, rewritten=True)
            if arguments is None:
                self.send(cursor.execute, sql)
            else:
                cursor.execute(sql, arguments)
            result: Rows = cursor.fetchall()
            return result

    def blocks(self, sql: str, session: Session = PLAIN) -> Iterator[Rows]:
        with told(), self.connection.cursor(_Pieces) as cursor:
            self._keeper.use(session, rewritten=True)
            self.send(cursor.execute, sql)
            while rows := cursor.fetchmany(_BLOCK):
                yield rows

    def read_catalog(self, schemas: Iterable[str], virtual: Sequence[ForeignKey], down: bool) -> Catalog:
        """The part of the catalog that the account can see. Columns are read later."""
        with told():
            found = read_catalog(self.connection, schemas, virtual, down=down, partial=True, columns=False)
            return replace(found, reads_only=reads_only(self.connection))

    def schema_names(self) -> set[str]:
        return {row[0].lower() for row in self.rows("SELECT schema_name FROM information_schema.schemata")}

    def state(self) -> ServerState:
        version, comment = self.rows("SELECT @@version, @@version_comment")[0]
        charset, zone = self.rows("SELECT @@character_set_server, @@time_zone")[0]
        return ServerState(version, flavor_of(version + comment), charset, zone)

    def account(self) -> str:
        user, _, host = str(self.rows("SELECT CURRENT_USER()")[0][0]).rpartition("@")
        return "@".join("'" + part.replace("'", "''") + "'" for part in (user, host))


def begin(cursor: Any) -> None:
    """Begin a consistent read-only snapshot."""
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    cursor.execute(MYSQL.snapshot)


def flavor_of(version: str) -> Literal["mysql", "mariadb"]:
    """The flavor of a server, from its version.

    >>> flavor_of("10.11.19-MariaDB-0+deb12u1"), flavor_of("9.7.4")
    ('mariadb', 'mysql')
    """
    return "mariadb" if "mariadb" in version.lower() else "mysql"
