"""Observe: what is recorded of each statement, and when.

In: every call of ``datajoint.Connection.query`` that returned (`patches` calls `observe`). Out: statements in
the journals of their sessions (`session` says which). It does not parse SQL, does not use the database, and raises
nothing into user code. A fault of its own marks the session as incomplete and warns once.

A SELECT is recorded between sending and the first answer, while the server works (`announce`, `ended`, `failed`). Any
other statement is recorded after it has ended, before the analysis gets its result.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from .. import compat, settings
from ..errors import SpyError
from ..journal import Journal
from ..servers.mysql import wire
from ..servers.postgresql.driver import is_connection
from ..servers.results import Received
from . import reads, session, state
from .session import Session

logger = logging.getLogger("dj_sqlspy")

# The kind of the statements that an entry point of DataJoint sends; set by `patches`.
purpose: ContextVar[str | None] = ContextVar("dj_sqlspy_purpose", default=None)

# The schema of the shared log, whose own tables are bookkeeping.
_shared_schema: str | None = None

# Whether to compute digests of results while the analysis reads them.
digests = True


def follow_settings() -> None:
    """Note the schema of the shared log, and whether to digest (`settings.on_change`)."""
    global _shared_schema, digests
    _shared_schema, digests = settings.get("schema"), settings.get("digests")


_BOUNDARY = frozenset({"START", "BEGIN", "COMMIT", "ROLLBACK", "SET", "XA"})
_IN_TRANSACTION = 1  # SERVER_STATUS_IN_TRANS


@contextlib.contextmanager
def for_purpose(kind: str | None) -> Iterator[None]:
    """Run a block whose statements are of this kind (None: no fixed kind)."""
    before = purpose.get()
    purpose.set(kind)
    try:
        yield
    finally:
        purpose.set(before)


def final_sql(connection: Any, query: str, args: Any, cursor: Any) -> str:
    """The statement as the server received it, with the arguments merged by the driver.

    PyMySQL stores it. The cursor of DataJoint's query cache does not, so there the driver merges the arguments again,
    which needs no server.
    """
    executed = getattr(cursor, "_executed", None)
    if executed is None:
        if args is not None and not isinstance(args, (tuple, list, dict)):
            args = (args,)  # PyMySQL accepts a single argument with a warning, which the user got before
        executed = connection._conn.cursor().mogrify(query, args)
    return executed if isinstance(executed, str) else bytes(executed).decode("utf-8", "surrogateescape")


_transactions = itertools.count(1)


def _transaction(connection: Any) -> int:
    """The number of the transaction that the connection is in."""
    number: int = connection.__dict__.get("_dj_sqlspy_transaction", 0)
    if not number:
        number = connection._dj_sqlspy_transaction = next(_transactions)
    return number


def note(connection: Any, query: str, args: Any, cursor: Any) -> None:
    """Note how a successful statement changes the meaning of later ones. Also called outside of sessions.

    Raises nothing: a fault marks the open sessions as incomplete.
    """
    try:
        if is_connection(connection._conn):
            from . import postgresql  # only where there is such a server, as below

            postgresql.note(connection, postgresql.text_sent(connection, query, args, cursor))
        else:
            state.note(connection._conn, final_sql(connection, query, args, cursor))
    except Exception as error:
        _fault(session.open_sessions, error)


def observe(connection: Any, query: str, args: Any, cursor: Any) -> None:
    """Record a statement that has returned, if it reads. Called in a session; raises nothing."""
    sessions: Sequence[Session] = session.open_sessions
    try:
        head = "SELECT"
        if not query.startswith("SELECT "):
            head = reads.head(query)
            if head in _BOUNDARY:
                connection.__dict__.pop("_dj_sqlspy_transaction", None)
            if head not in reads.READS and (head not in reads.MAY_READ or not reads.reads_inside(query)):
                return
        sessions = session.receivers()
        if not sessions:
            return
        sql = getattr(cursor, "_executed", None)
        if type(sql) is not str:
            sql = final_sql(connection, query, args, cursor)
        if _is_of_books(sql):
            return
        reading = head in reads.READS
        rows = cursor.rowcount if reading or reads.counts_rows_read(query) else None
        received = _received(connection._conn, cursor) if reading else None
        _record([], sessions, connection, sql, rows, received=received)
    except Exception as error:
        _fault(sessions, error)


def observe_other(connection: Any, query: str, args: Any, cursor: Any) -> None:
    """As `observe`, for a connection of another driver than PyMySQL. Raises nothing."""
    from ..servers.postgresql import wire as postgresql_wire
    from . import postgresql

    if compat.backend_of(connection) != postgresql.NAME:
        observe(connection, query, args, cursor)
        return
    sessions: Sequence[Session] = session.open_sessions
    try:
        raw = connection._conn
        sql = postgresql.text_sent(connection, query, args, cursor)
        head = postgresql.head(sql)
        in_transaction = postgresql.in_transaction(raw)
        if head in postgresql.BOUNDARY or not in_transaction:
            connection.__dict__.pop("_dj_sqlspy_transaction", None)
        returned = getattr(cursor, "description", sql) is not None  # the query cache keeps rows only
        if not postgresql.reads_rows(head, sql, returned):
            return
        sessions = session.receivers()
        if not sessions or postgresql.is_bookkeeping(sql):
            return
        if _shared_schema and postgresql.is_of_log(sql, _shared_schema):
            return
        rows = cursor.rowcount if returned or postgresql.counts_rows_read(head, sql) else None
        known = postgresql.sent_by(connection)
        _write(
            [],
            sessions,
            connection,
            known.server,
            sql,
            rows,
            _transaction(connection) if in_transaction else 0,
            known.schema,
            True,
            postgresql.state_of(connection),
            postgresql_wire.received(raw, cursor) if digests and returned else None,
        )
    except Exception as error:
        _fault(sessions, error)


def _is_of_books(sql: str) -> bool:
    return reads.is_bookkeeping(sql) or bool(_shared_schema and reads.is_of_log(sql, _shared_schema))


# The journals that have a statement, and its number there.
Recorded = list[tuple[Journal, int]]


def announce(connection: Any, sent: bytes) -> Recorded:
    """Record a SELECT that was just sent and has no answer yet. Called in a session; raises nothing.

    If recording fails, `observe` is called for the statement later and reports the fault.
    """
    recorded: Recorded = []
    try:
        sessions = session.receivers()
        if sessions and sent.startswith(b"SELECT "):
            sql = sent.decode(connection._conn.encoding, "surrogateescape")
            if not _is_of_books(sql):
                _record(recorded, sessions, connection, sql, None, has_ended=False)
    except Exception as error:
        logger.debug("A statement could not be recorded before its answer: %s", error)
        failed(recorded)  # the statement may be in some of the journals
        return []
    return recorded


def ended(recorded: Recorded, connection: Any, cursor: Any) -> None:
    """Note the result of an announced statement. Raises nothing."""
    for journal, number in recorded:
        try:
            journal.ended(number, cursor.rowcount, _received(connection._conn, cursor))
        except Exception as error:
            journal.fault(f"the result of a statement could not be noted: {type(error).__name__}: {error}")


def _received(raw: Any, cursor: Any) -> Received | None:
    """What a cursor received, if its result is the connection's last and has a digest."""
    if getattr(cursor, "_result", None) is None or cursor._result is not getattr(raw, "_result", None):
        return None
    return wire.received(raw)


def failed(recorded: Recorded) -> None:
    """Take back an announced statement that has no result. Raises nothing."""
    for journal, number in recorded:
        try:
            journal.failed(number)
        except Exception as error:
            journal.fault(f"a statement that failed could not be taken back: {type(error).__name__}: {error}")


def _record(
    recorded: Recorded,
    sessions: Sequence[Session],
    connection: Any,
    sql: str,
    rows: int | None,
    has_ended: bool = True,
    received: Received | None = None,
) -> None:
    info, raw = connection.conn_info, connection._conn
    in_transaction = getattr(raw, "server_status", 0) & _IN_TRANSACTION
    _write(
        recorded,
        sessions,
        connection,
        (f"{info['host']}:{info['port']}", getattr(raw, "server_version", "")),
        sql,
        rows,
        _transaction(connection) if in_transaction else 0,
        state.database(raw),
        has_ended,
        state.of(raw),
        received,
    )


def _write(
    recorded: Recorded,
    sessions: Sequence[Session],
    connection: Any,
    server: tuple[str, ...],
    sql: str,
    rows: int | None,
    transaction: int,
    database: str,
    has_ended: bool,
    texts: tuple[str, ...],
    received: Received | None,
) -> None:
    """Write a statement into the journals of its sessions; ``server`` is its name, its version and its kind."""
    numbers: dict[Journal, tuple[int, ...]] = {}
    for each in sessions:
        each.connection = connection
        numbers[each.journal] = (*numbers.get(each.journal, ()), each.number)
    name = server[0]
    for journal, found in numbers.items():
        journal.server(*server)
        number = journal.statement(
            sql,
            rows,
            purpose.get() or "data",
            name,
            transaction,
            database,
            found,
            has_ended,
            texts,
            received,
        )
        if number:
            recorded.append((journal, number))


def _fault(sessions: Sequence[Session], error: Exception) -> None:
    why = str(error) if isinstance(error, SpyError) else f"{type(error).__name__}: {error}"
    reason = f"a statement could not be recorded: {why}"
    for each in sessions:
        try:
            each.journal.fault(reason)
        except Exception:  # whatever it is, the analysis goes on
            logger.exception("The session %r could not be marked as incomplete", each)
