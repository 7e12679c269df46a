"""Spy: what is recorded of each statement that DataJoint sends, and from when to when.

In: every call of ``datajoint.Connection.query`` that returned (`compat` calls `observe`). Out: statements in
the journals of the sessions that they belong to (`session` says which). It does not parse SQL, does not touch
the database, and raises nothing into user code: a fault of its own marks the session as incomplete and warns
once.

A SELECT is recorded while the server works on it, when the analysis would wait (`announce`, `ended`, `failed`);
any other statement once it has ended, before the analysis gets its result.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from ..errors import SpyError
from ..journal import Journal, encode_name
from ..policies import POLICIES, POLICY_CHOICES
from . import reads, session
from .session import Scope, Session, end_session, open_session, own_sessions, within

logger = logging.getLogger("dj_sqlspy")

F = TypeVar("F", bound=Callable[..., Any])

# --- start and stop -----------------------------------------------------------------------------------------


def _named(
    paper: str | None, analysis: str | None, home: str | os.PathLike[str] | None
) -> tuple[str, str, Path]:
    from .. import settings

    paper = settings.get("paper") if paper is None else paper
    analysis = settings.get("analysis") if analysis is None else analysis
    if not paper or not analysis:
        raise SpyError(
            "An export session needs the names of a paper and an analysis: give them to export(), or set "
            'dj.config["sqlspy.paper"] and dj.config["sqlspy.analysis"].'
        )
    encode_name(paper), encode_name(analysis)  # raise now what is wrong with them
    return paper, analysis, settings.home(home)


def _append(append: bool | str | None) -> bool | str:
    from .. import settings

    found: bool | str = settings.get("append") if append is None else settings.checked("append", append)
    if isinstance(found, str):
        encode_name(found)
    return found


def _checked(policies: Mapping[str, str]) -> dict[str, str]:
    for kind, policy in policies.items():
        if policy not in POLICY_CHOICES[kind]:
            choices = " or ".join(map(repr, POLICY_CHOICES[kind]))
            raise SpyError(f"{kind}={policy!r}: the policy for statements of this kind is {choices}.")
    return {**POLICIES, **policies}


def paused() -> contextlib.AbstractContextManager[None]:
    """Reads in this block do not count: they belong to no session that was opened outside of it.

    Holds for this thread or task, and for threads started in it. Also a decorator.

    Examples
    --------
    >>> with paused():  # doctest: +SKIP
    ...     Session.fetch()
    """
    return within(Scope((), paused=True))


class export:
    """Capture what runs in a ``with`` block, or in the decorated function, as the analysis of a paper.

    The analysis is not changed. Running it again replaces what was captured before; inside of an open session
    of the same paper and analysis it adds to that one.

    Parameters
    ----------
    paper, analysis : str, optional
        Default: ``dj.config["sqlspy.paper"]`` and ``dj.config["sqlspy.analysis"]``.
    preview : {"ignore", "rows"}
        What the display of a table, a progress report or a delete exports.
    count : {"rows", "ignore"}
        What ``len(table)`` exports.
    exists : {"witness", "rows", "ignore"}
        What ``bool(table)`` and ``key in table`` export; a witness is one row.
    home : path, optional
        Where the journal lives; default `settings.home`.
    append : bool or str, optional
        For independent processes, such as the tasks of a SLURM array: do not replace what was captured before,
        but add to it. A str names the run that is added to: all processes that give the same name make one
        run, and the first of another name starts a new one. Default: ``dj.config["sqlspy.append"]``.

    Raises
    ------
    SpyError
        If a name or a policy is not valid. Later faults never raise.

    Examples
    --------
    >>> with export("paper1", "fig2") as session:  # doctest: +SKIP
    ...     analyse()
    >>> @export("paper1", "fig2")  # doctest: +SKIP
    ... def analyse(): ...
    """

    def __init__(
        self,
        paper: str | None = None,
        analysis: str | None = None,
        *,
        preview: str = POLICIES["preview"],
        count: str = POLICIES["count"],
        exists: str = POLICIES["exists"],
        home: str | os.PathLike[str] | None = None,
        append: bool | str | None = None,
    ) -> None:
        self.paper, self.analysis, self.home = _named(paper, analysis, home)
        self.append = _append(append)
        self.policies = _checked({"preview": preview, "count": count, "exists": exists})

    def __enter__(self) -> Session:
        opened = Session(
            self.paper, self.analysis, self.home, self.policies, opened_by=self, append=self.append
        )
        opened.journal.start()
        open_session(opened)
        around = session.current_scope() or Scope(())
        session.scope.set(Scope((*own_sessions(around), opened), paused=around.paused))
        return opened

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        around = session.scope.get()
        mine = [each for each in own_sessions(around) if each.opened_by is self]
        if around is not None and mine:
            left = tuple(each for each in own_sessions(around) if each is not mine[-1])
            session.scope.set(around._replace(sessions=left) if left or around.paused else None)
        else:  # entered in another context, such as another thread
            mine = [each for each in session.open_sessions if each.opened_by is self]
        if mine:
            end_session(mine[-1], error)

    def __call__(self, function: F) -> F:
        """Decorate a function, a coroutine function, or a generator function of either kind."""
        wrapper: Any
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **options: Any) -> Any:
                with self:
                    async for item in function(*args, **options):
                        yield item

        elif inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **options: Any) -> Any:
                with self:
                    return await function(*args, **options)

        elif inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapper(*args: Any, **options: Any) -> Any:
                with self:
                    return (yield from function(*args, **options))

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **options: Any) -> Any:
                with self:
                    return function(*args, **options)

        return wrapper  # type: ignore[no-any-return]


def start_export(
    paper: str | None = None,
    analysis: str | None = None,
    *,
    home: str | os.PathLike[str] | None = None,
    append: bool | str | None = None,
    **policies: str,
) -> Session:
    """Open a session that gets the statements of all threads until `stop_export`, or the end of the process.

    Where it is open already (a notebook cell run twice), it goes on.

    Parameters
    ----------
    paper, analysis, home, append, **policies
        As of `export`.

    Returns
    -------
    Session
    """
    unknown = sorted(set(policies) - set(POLICIES))
    if unknown:
        raise TypeError(f"start_export() got unexpected arguments: {', '.join(unknown)}")
    paper, analysis, folder = _named(paper, analysis, home)
    for each in session.open_sessions:
        if each.opened_by is start_export and each.is_of(folder, paper, analysis):
            logger.info("%r is open already and goes on.", each)
            return each
    opened = Session(
        paper,
        analysis,
        folder,
        _checked(policies),
        everywhere=True,
        opened_by=start_export,
        append=_append(append),
    )
    opened.journal.start()
    open_session(opened)
    return opened


def stop_export() -> Session:
    """End the session that `start_export` opened last.

    Raises
    ------
    SpyError
        If none is open.
    """
    started = [each for each in session.open_sessions if each.opened_by is start_export]
    if not started:
        raise SpyError(
            "stop_export(): no session of start_export() is open. Call start_export(paper, analysis) first."
        )
    end_session(started[-1])
    return started[-1]


_configured: Session | None = None


def follow_settings(paper: str | None, analysis: str | None, home: Path, append: bool | str = False) -> None:
    """Open, change or end the session that ``dj.config`` asks for; ``paper`` None: none is asked for.

    Its journal is made by its first statement, so that settings can be set one after the other. What the
    parent process has open and this one has joined is not opened again.
    """
    global _configured
    if _configured is not None and _configured in session.open_sessions:
        if paper is not None and analysis is not None and _configured.is_of(home, paper, analysis):
            return
        end_session(_configured)
    _configured = None
    joined = [each for each in session.open_sessions if each.opened_by is session.join]
    if paper is None or analysis is None or any(each.is_of(home, paper, analysis) for each in joined):
        return
    _configured = Session(
        paper,
        analysis,
        home,
        POLICIES,
        everywhere=True,
        opened_by=follow_settings,
        append=_append(append),
    )
    open_session(_configured)


# --- statements --------------------------------------------------------------------------------------------

# What a statement is for, where the entry point of DataJoint tells; set by the patches in `compat`.
purpose: ContextVar[str | None] = ContextVar("dj_sqlspy_purpose", default=None)

# The schema of the shared log, whose own tables are bookkeeping; set by `settings`.
shared_schema: str | None = None

_BOUNDARY = frozenset({"START", "BEGIN", "COMMIT", "ROLLBACK", "SET", "XA"})
_IN_TRANSACTION = 1  # SERVER_STATUS_IN_TRANS


@contextlib.contextmanager
def for_purpose(kind: str | None) -> Iterator[None]:
    """Run a block whose statements are of this kind (None: as they come)."""
    before = purpose.get()
    purpose.set(kind)
    try:
        yield
    finally:
        purpose.set(before)


def final_sql(connection: Any, query: str, args: Any, cursor: Any) -> str:
    """The statement as the server received it, with the arguments merged as the driver merges them.

    PyMySQL keeps it. DataJoint's query cache gives a cursor of its own that does not; there the driver merges
    them again, which needs no server.
    """
    executed = getattr(cursor, "_executed", None)
    if executed is None:
        if args is not None and not isinstance(args, (tuple, list, dict)):
            args = (args,)  # PyMySQL takes one argument as it is, and warns: the user was warned already
        executed = connection._conn.cursor().mogrify(query, args)
    return executed if isinstance(executed, str) else bytes(executed).decode("utf-8", "surrogateescape")


_transactions = itertools.count(1)


def _transaction(connection: Any) -> int:
    """The number of the transaction that the connection is in."""
    number: int = connection.__dict__.get("_dj_sqlspy_transaction", 0)
    if not number:
        number = connection._dj_sqlspy_transaction = next(_transactions)
    return number


_USE = re.compile(r"\W*USE\s+(`(?:[^`]|``)*`|[^\s;]+)", re.IGNORECASE)


def note_use(connection: Any, query: str) -> None:
    """Remember the schema of a ``USE schema`` that has succeeded, with the connection to the server.

    The server would have to be asked otherwise. It is gone with the connection, as on the server.
    """
    match = _USE.match(query)
    if match is not None:
        name = match.group(1)
        name = name[1:-1].replace("``", "`") if name.startswith("`") else name
        with contextlib.suppress(AttributeError):  # a driver whose connections hold no attributes
            connection._conn._dj_sqlspy_database = name


def _database(raw: Any) -> str:
    found = getattr(raw, "_dj_sqlspy_database", None) or getattr(raw, "db", None) or ""
    return found if isinstance(found, str) else bytes(found).decode("utf-8", "surrogateescape")


def observe(connection: Any, query: str, args: Any, cursor: Any) -> None:
    """Record a statement that has returned, if it reads. Called while a session is open; raises nothing."""
    sessions: Sequence[Session] = session.open_sessions
    try:
        head = "SELECT"
        if not query.startswith("SELECT "):
            head = reads.head(query)
            if head == "USE":
                note_use(connection, query)
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
        rows = cursor.rowcount if head in reads.READS or reads.counts_rows_read(query) else None
        _record([], sessions, connection, sql, rows)
    except Exception as error:
        _fault(sessions, error)


def _is_of_books(sql: str) -> bool:
    return reads.is_bookkeeping(sql) or bool(shared_schema and reads.is_of_log(sql, shared_schema))


# The journals that have a statement, and its number there.
Recorded = list[tuple[Journal, int]]


def announce(connection: Any, sent: bytes) -> Recorded:
    """Record a SELECT that was sent just now and has no answer yet. Called in a session; raises nothing.

    Records nothing where it can't: `observe` is called for the statement then, and says what is wrong.
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
        failed(recorded)  # in one of several journals
        return []
    return recorded


def ended(recorded: Recorded, rows: int) -> None:
    """Note how many rows a statement returned that was announced."""
    for journal, number in recorded:
        journal.ended(number, rows)


def failed(recorded: Recorded) -> None:
    """Take back a statement that was announced: it has no result. Raises nothing."""
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
) -> None:
    info, raw = connection.conn_info, connection._conn
    in_transaction = getattr(raw, "server_status", 0) & _IN_TRANSACTION
    numbers: dict[Journal, tuple[int, ...]] = {}
    for each in sessions:
        each.connection = connection
        numbers[each.journal] = (*numbers.get(each.journal, ()), each.number)
    for journal, found in numbers.items():
        number = journal.statement(
            sql,
            rows,
            purpose.get() or "data",
            f"{info['host']}:{info['port']}",
            _transaction(connection) if in_transaction else 0,
            _database(raw),
            found,
            has_ended,
        )
        if number:
            recorded.append((journal, number))


def _fault(sessions: Sequence[Session], error: Exception) -> None:
    reason = f"a statement could not be recorded: {type(error).__name__}: {error}"
    for each in sessions:
        try:
            each.journal.fault(reason)
        except Exception:  # whatever it is, the analysis goes on
            logger.exception("The session %r could not be marked as incomplete", each)
