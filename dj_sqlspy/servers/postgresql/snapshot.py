"""Snapshot: queries on one connection to PostgreSQL, in one consistent read-only snapshot.

In: a connection, SQL, and a session for it. Out: rows as the server printed them, or a digest of them. An error of the
server is raised as `Refused`, a lost connection as `ConnectionLost`. A refused query would end the transaction, so each
one goes back to a savepoint.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..catalog import Catalog
from ..results import Answer, Column, Sums, digest_text
from ..session import PLAIN, Session
from ..snapshot import ConnectionLost, Counting, Refused, Rows, ServerState
from ..tables import ForeignKey
from . import wire
from .catalog import read_catalog
from .dialect import POSTGRESQL
from .driver import driver
from .state import PRINTED, Keeper
from .told import require_reading, told

# Rows in one block of an answer.
_BLOCK = 10_000

# Values are printed in these forms, whatever the account or the database has set.
_FORMS = {
    "DateStyle": "ISO",  # a date as 02/01/2026 in a statement is read as the session does: the order of the parts stays
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    # a cursor's query is planned for all of its rows
    "cursor_tuple_fraction": "1",
    "jit": "off",
}


class PostgreSQLSnapshot(Counting):
    """Queries in one consistent read-only snapshot of one connection. The SELECT privilege is enough.

    Parameters
    ----------
    connection : psycopg2 connection
        It returns values as texts (`connect.return_texts`). It is not closed.
    """

    dialect = POSTGRESQL

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._names = itertools.count(1)
        self._keeper = Keeper(connection)
        self._defaults: dict[str, str] = {}  # of `PRINTED`, where values are printed in another form

    def __enter__(self) -> PostgreSQLSnapshot:
        self.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        # a connection whose answer was not read to its end (Ctrl-C) cannot be used again
        if error is None or (isinstance(error, Exception) and not isinstance(error, ConnectionLost)):
            with told():
                self.connection.rollback()

    def start(self) -> None:
        """Begin the snapshot with the settings that rewritten queries need."""
        self._keeper.forget()
        with told():
            if self.connection.info.transaction_status != driver().extensions.TRANSACTION_STATUS_IDLE:
                self.connection.rollback()
            self.connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
            with self.connection.cursor() as cursor:
                names = ("standard_conforming_strings", *PRINTED)
                cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
                found = dict(zip(names, cursor.fetchone(), strict=True))
                strings, intervals = found["standard_conforming_strings"], found["intervalstyle"]
                self._defaults = {name: found[name] for name in PRINTED if not PRINTED[name](found[name])}
                for name, value in _FORMS.items():
                    cursor.execute(f"SET {name} TO '{value}'")
                cursor.execute("SAVEPOINT before")
        if intervals == "sql_standard":
            raise Refused(
                "IntervalStyle is sql_standard, in which the interval '-1 2:00' is another one. Set it to postgres, as "
                "it is by default"
            )
        if strings != "on":
            raise Refused(
                "standard_conforming_strings is off, so that a backslash in a string means something else. Set it "
                "on, as it is by default"
            )

    def session(self, texts: Sequence[str]) -> Session:
        session = self._keeper.session(texts)
        if not self._defaults:
            return session
        printed = ", ".join(f"{name} = {value}" for name, value in self._defaults.items())
        return replace(session, printed=printed)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """In a block, a query that is refused leaves the transaction as it was."""
        with told():
            try:
                yield
            except (driver().Error, Refused):
                self._keeper.forget()
                info = self.connection.info
                if (
                    not self.connection.closed
                    and info.transaction_status == driver().extensions.TRANSACTION_STATUS_INERROR
                ):
                    with self.connection.cursor() as cursor:
                        cursor.execute("ROLLBACK TO SAVEPOINT before")
                raise

    def answer(self, sql: str, session: Session, *, own: bool) -> Answer:
        if own and self._defaults:  # as its connection printed values
            settings = dict(text.split("=", 1) for text in session.settings)
            settings = {**self._defaults, **settings}
            session = replace(session, settings=tuple(f"{name}={value}" for name, value in settings.items()))
        sums, columns = self.answers(sql, session)
        rows, total = sums.get(b"", (0, 0))
        return Answer(rows, digest_text(total), columns)

    def answers(self, sql: str, session: Session, first: int = 0) -> tuple[Sums, tuple[Column, ...]]:
        with self._asking():
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT 1")  # begins a transaction, if there is none
            self._keeper.use(session)
            require_reading(self.connection)
            with self.connection.cursor(f"answer{next(self._names)}") as cursor:
                cursor.itersize = _BLOCK
                cursor.execute(sql)
                return wire.sums_of(cursor, first)

    def rows(self, sql: str, arguments: Sequence[Any] | None = None, session: Session = PLAIN) -> Rows:
        with self._asking(), self.connection.cursor() as cursor:
            self._keeper.use(session)
            cursor.execute(sql, arguments)
            result: Rows = cursor.fetchall()
            return result

    def blocks(self, sql: str, session: Session = PLAIN) -> Iterator[Rows]:
        with self._asking(), self.connection.cursor(f"blocks{next(self._names)}") as cursor:
            self._keeper.use(session)
            cursor.execute(sql)
            while rows := cursor.fetchmany(_BLOCK):
                yield rows
                self._keeper.use(session)  # another query may have had another one

    def read_catalog(self, schemas: Iterable[str], virtual: Sequence[ForeignKey], down: bool) -> Catalog:
        """The part of the catalog of some schemas, with the columns."""
        with self._asking():
            return read_catalog(self.connection, schemas, virtual, down=down, partial=True)

    def schema_names(self) -> set[str]:
        return {row[0].lower() for row in self.rows("SELECT nspname FROM pg_catalog.pg_namespace")}

    def state(self) -> ServerState:
        return ServerState(
            *self.rows(
                "SELECT current_setting('server_version'), 'postgresql', current_setting('server_encoding'),"
                " current_setting('TimeZone')"
            )[0]
        )

    def account(self) -> str:
        return POSTGRESQL.quote(str(self.rows("SELECT current_user")[0][0]))
