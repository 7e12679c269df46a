"""Session: the open export sessions, and to which of them a thread, task or process belongs.

In: sessions opened and ended, threads and processes started. Out: the sessions that record a statement. It knows
neither SQL nor DataJoint.

Which sessions a statement belongs to
-------------------------------------
- Sessions of `start_export`, of ``dj.config`` and of a parent process get every statement of the process.
- In a ``with export(…)`` block (or decorated function): the sessions that were opened around it in this
  thread or asyncio task, the innermost and those it is nested in.
- A thread without a session of its own belongs to the sessions of the thread that started it, and to those that
  the starter opened inside of them since. Work for a ``ThreadPoolExecutor`` belongs to the submitter's sessions.
- If no rule applies (the thread is older than the session): to every open session of the process.
- Inside ``paused()``: to none.

So sessions in different threads stay apart. An ambiguous statement is recorded for every open session.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import secrets
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SpyError
from ..journal import Journal, Statement, analysis_folder, runs, upkeep

logger = logging.getLogger("dj_sqlspy")

# The environment variable with the sessions for child processes (JSON; `as_environment`).
ENVIRONMENT = "DJ_SQLSPY_SESSION"

# --- sessions -----------------------------------------------------------------------------------------------


class Session:
    """One captured run of an analysis, named by (paper, analysis).

    Attributes
    ----------
    paper, analysis : str
    home : Path
        Where its journal lives.
    policies : dict
        Kind to policy (`rules.POLICY_CHOICES`).
    everywhere : bool
        Whether it records the statements of all threads.
    """

    def __init__(
        self,
        paper: str,
        analysis: str,
        home: Path,
        policies: Mapping[str, str],
        *,
        everywhere: bool = False,
        opened_by: object = None,
        run: str | None = None,
        number: int | None = None,
        append: str | bool = False,
    ) -> None:
        self.paper = paper
        self.analysis = analysis
        self.home = home
        self.policies = dict(policies)
        self.everywhere = everywhere
        self.opened_by = opened_by
        self.connection: Any = None  # the DataJoint connection of its last statement
        self.thread = threading.get_ident()
        self.inside = own_sessions(current_scope())
        twin = next((each for each in open_sessions if each.is_of(home, paper, analysis)), None)
        self.journal = self._journal(twin, run, append)
        # sessions that share a journal have different numbers, which no other process of the run uses
        _sessions.add(self)
        self.number = number if number is not None else secrets.randbits(40) + 1 if twin else 0

    def _journal(self, twin: Session | None, run: str | None, append: str | bool) -> Journal:
        """A new journal, or that of ``twin`` if the analysis is already open, since it is the same run."""
        if twin is None:
            return Journal(self.home, self.paper, self.analysis, self.policies, run, append)
        if twin.policies != self.policies:
            logger.warning("%r is open with other policies, and these hold for it: %s", twin, twin.policies)
        known = twin.journal
        if run is None or known.path is not None or known.folder.name == run:
            return known
        # the settings opened the session that the parent process has open, so write to the parent's run
        journal = Journal(self.home, self.paper, self.analysis, self.policies, run, append)
        for each in open_sessions:
            if each.journal is known:
                each.journal = journal
        return journal

    def __repr__(self) -> str:
        state = "open" if self in open_sessions else "ended"
        return f"<{state} export session {self.paper!r}, {self.analysis!r}>"

    def is_of(self, home: Path, paper: str, analysis: str) -> bool:
        """Whether it is a session of this analysis."""
        return (self.home, self.paper, self.analysis) == (home, paper, analysis)

    @property
    def statements(self) -> list[Statement]:
        """The statements captured so far by all processes, in order, read from the journal."""
        with contextlib.suppress(OSError):  # at worst some numbers of rows are missing
            self.journal.flush()
        return runs.combine([self._run], session=self.number)

    @property
    def _run(self) -> runs.Run:
        return runs.read_run(self.journal.folder)

    @property
    def problems(self) -> list[str]:
        """Statements that could not be recorded, and why."""
        found = self._run.problems
        return found or ([self.journal.problem] if self.journal.problem else [])

    @property
    def complete(self) -> bool:
        """Whether every statement was recorded."""
        return not self.problems


# The open sessions of this process. Outside of sessions, the wrapper of Connection.query tests only this.
open_sessions: tuple[Session, ...] = ()
_lock = threading.RLock()

# All sessions that this process still references.
_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


# Called when a session opens, before it records statements, and after a session and its journal have ended.
on_open: list[Callable[[], None]] = []
on_end: list[Callable[[Session], None]] = []


def open_session(session: Session) -> None:
    """Let a session record statements."""
    global open_sessions
    for prepare in on_open:
        prepare()
    with _lock:
        open_sessions = (*open_sessions, session)
        _publish()


def end_session(session: Session, error: BaseException | None = None) -> None:
    """End a session, and its journal if no other session writes to it. It cannot be opened again."""
    global open_sessions
    with _lock:
        if session not in open_sessions:
            return
        open_sessions = tuple(other for other in open_sessions if other is not session)
        _publish()
        if any(other.journal is session.journal for other in open_sessions):
            return
        session.journal.end(type(error).__name__ if error is not None else None)
    for finish in on_end:
        finish(session)
    session.connection = None
    if session.journal.process == "first":
        _prune(session, error)


def _prune(session: Session, error: BaseException | None) -> None:
    """Delete runs of its analysis that are not needed any more, as far as possible."""
    held = {each.journal.folder for each in _sessions}
    try:
        upkeep.prune(session.journal.folder.parent, held, error is None and session.journal.problem is None)
    except (OSError, SpyError) as failure:
        logger.info("Older runs of %r were not deleted: %s", session, failure)


def end_all() -> None:
    """End all sessions at the end of the process, which an exception may have ended."""
    error = _last_error() if open_sessions else None
    for session in reversed(open_sessions):
        end_session(session, error)


def _last_error() -> BaseException | None:
    """The exception that ended this process, or in IPython its last cell."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        result = shell.last_execution_result
        return result and (result.error_before_exec or result.error_in_exec)  # type: ignore[no-any-return]
    return None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)


atexit.register(end_all)


# --- scope: which of them a thread or task belongs to -------------------------------------------------------


class Scope(NamedTuple):
    """The sessions of a context.

    Attributes
    ----------
    sessions : tuple of Session, or None
        Sessions opened around it. None if unknown; then all open ones count.
    paused : bool
        Sessions opened outside record nothing.
    inherited : bool
        From the thread that started this one.
    """

    sessions: tuple[Session, ...] | None
    paused: bool = False
    inherited: bool = False


scope: ContextVar[Scope | None] = ContextVar("dj_sqlspy_scope", default=None)


def current_scope() -> Scope | None:
    """The scope of this context, or else of this thread."""
    return scope.get() or getattr(threading.current_thread(), "_dj_sqlspy_scope", None)


def scope_for_thread() -> Scope | None:
    """The scope for a thread that is started here."""
    current = current_scope()
    return current and current._replace(inherited=True)


def own_sessions(of: Scope | None) -> tuple[Session, ...]:
    """The sessions that were opened around a context."""
    return () if of is None or of.sessions is None else of.sessions


def receivers() -> Sequence[Session]:
    """The sessions to which a statement of this context belongs now."""
    scope = current_scope()
    if scope is None:
        return open_sessions
    sessions = scope.sessions
    if sessions == open_sessions:  # nearly always
        return open_sessions
    if sessions is None or (sessions and not scope.paused and not any(s in open_sessions for s in sessions)):
        return open_sessions  # its sessions have ended, so record the statement for every open one
    return [
        s
        for s in open_sessions
        if s in sessions
        or (s.everywhere and not scope.paused)
        or (scope.inherited and any(outer in sessions and outer.thread == s.thread for outer in s.inside))
    ]


@contextlib.contextmanager
def within(other: Scope | None) -> Iterator[None]:
    """Run a block in another scope."""
    before = scope.get()
    scope.set(other)
    try:
        yield
    finally:
        scope.set(before)  # not reset(token): a generator may be closed in another context


def paused() -> contextlib.AbstractContextManager[None]:
    """Do not record reads in this block for sessions that were opened outside of it.

    This holds for this thread or task, and for threads started in it. It is also a decorator.

    Examples
    --------
    >>> with paused():  # doctest: +SKIP
    ...     Session.fetch()
    """
    return within(Scope((), paused=True))


# --- other processes ----------------------------------------------------------------------------------------


def as_environment(sessions: Sequence[Session]) -> str:
    """A text with which another process can `join` these sessions."""
    return json.dumps(
        [[str(s.home), s.paper, s.analysis, s.journal.folder.name, s.policies, s.number] for s in sessions]
    )


def _publish() -> None:
    """Put the open sessions into the environment for child processes."""
    if open_sessions:
        os.environ[ENVIRONMENT] = as_environment(open_sessions)
    else:
        os.environ.pop(ENVIRONMENT, None)


# Sessions of other processes for which this one has worked. They are kept so that each has one journal here.
_visited: dict[tuple[Path, int], Session] = {}

# The number of threads that work for such a session now, if it is open for no other reason.
_visits: dict[Session, int] = {}


def _of_parent(value: str | None) -> list[Session]:
    found = []
    try:
        for home, paper, analysis, run, policies, number in json.loads(value or "[]"):
            name = analysis_folder(Path(home), paper, analysis) / run, number
            known = [each for each in open_sessions if (each.journal.folder, each.number) == name]
            if not known and name not in _visited:
                options = {"everywhere": True, "opened_by": join, "run": run, "number": number}
                _visited[name] = Session(paper, analysis, Path(home), policies, **options)
            found.append(known[0] if known else _visited[name])
    except (ValueError, TypeError, SpyError) as error:
        logger.error("The sessions of the parent process cannot be joined: %s", error)
    return found


def join(value: str | None) -> None:
    """Join the sessions of the parent process until the end of this process.

    Parameters
    ----------
    value : str or None
        From `as_environment`. An unreadable value is logged and ignored.
    """
    for each in _of_parent(value):
        if each not in open_sessions:
            open_session(each)


@contextlib.contextmanager
def visiting(value: str) -> Iterator[None]:
    """In a block, work for the sessions of another process: one task of a process pool.

    Parameters
    ----------
    value : str
        From `as_environment`.
    """
    global open_sessions
    with _lock:
        found = _of_parent(value)
        for each in found:
            if each in _visits or each not in open_sessions:
                _visits[each] = _visits.get(each, 0) + 1
            if each not in open_sessions:
                open_session(each)
        visited = [each for each in found if each in _visits]
    try:
        with within(Scope(tuple(found), paused=True)):  # these and no others
            yield
    finally:
        with _lock:  # closed, not ended: the next task may be for them again
            for each in visited:
                _visits[each] -= 1
                if not _visits[each]:
                    del _visits[each]
            gone = [each for each in visited if each not in _visits]
            open_sessions = tuple(each for each in open_sessions if each not in gone)
            _publish()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    for each in {s.journal for s in (*open_sessions, *_visited.values())}:
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
