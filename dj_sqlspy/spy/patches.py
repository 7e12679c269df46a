"""Patches: every change that is made to DataJoint and to Python's threads and processes, in one place.

In: the installed DataJoint. Out: calls of `observe` for each query, with its kind; sessions that threads, processes
and tasks inherit; ``dj.config`` that accepts ``sqlspy.…``. A patch records nothing itself.
"""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing.process
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import datajoint
import datajoint.autopopulate
import datajoint.connection
import datajoint.expression
import datajoint.jobs
import datajoint.settings
import datajoint.table
import pymysql
from pymysql.constants.COMMAND import COM_QUERY

from .. import settings
from ..compat import IS_V2
from ..servers.mysql import wire
from . import clusters, observe, session, state


def install() -> None:
    """Apply every patch, once (called by ``import dj_sqlspy``)."""
    if not hasattr(datajoint.Connection.query, "_dj_sqlspy"):
        _patch_query()
        _patch_connect()
        _patch_entry_points()
        _patch_populate()
        _patch_threads()
        _patch_processes()
        session.on_open += [_patch_pools, clusters.patch]
        # a pool module that was loaded in a session may serve later sessions, so patch it too
        session.on_end.append(lambda _: _patch_pools())


def attach_config() -> None:
    """Make ``dj.config`` accept ``sqlspy.…``, once, and apply the values that are set there."""
    _attach_config_v2() if IS_V2 else _attach_config_v014()


def _patch(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    """Replace a method by ``wrapper(method)``, if this line of DataJoint has it."""
    original = vars(owner).get(name)
    if original is not None:
        replacement: Any = functools.wraps(original)(wrapper(original))
        replacement._dj_sqlspy = True
        setattr(owner, name, replacement)


def _patch_query() -> None:
    """The one seam: both lines send everything through it, on every connection."""

    def wrapper(original: Any) -> Any:
        def query(self: Any, query: str, args: Any = (), **options: Any) -> Any:
            if session.open_sessions:
                cursor = _observed(original, self, query, args, options)
            else:
                cursor = original(self, query, args, **options)
            if state.may_matter(query):  # for later statements, perhaps in a session
                observe.note(self, query, args, cursor)
            return cursor

        return query

    _patch(datajoint.Connection, "query", wrapper)


def _patch_connect() -> None:
    """A program that connects to PostgreSQL sends other statements that matter (`state`). No other pays for it."""

    def wrapper(original: Any) -> Any:
        def connect(self: Any, *args: Any, **options: Any) -> Any:
            state.follow_postgresql()
            return original(self, *args, **options)

        return connect

    adapters = sys.modules.get("datajoint.adapters")
    if adapters is not None:
        _patch(adapters.PostgreSQLAdapter, "connect", wrapper)


def _observed(original: Any, connection: Any, query: str, args: Any, options: Any) -> Any:
    """Send a query in a session and record it."""
    raw = connection._conn
    if type(raw) is not pymysql.connections.Connection:
        state.follow_postgresql()
        cursor = original(connection, query, args, **options)
        observe.observe_other(connection, query, args, cursor)
        return cursor
    sending = None
    if observe.digests:
        raw._read_query_result = wire.reader_of(raw)
    if isinstance(query, str) and query.startswith("SELECT "):
        raw._execute_command = sending = _Sending(connection, raw)
    try:
        cursor = original(connection, query, args, **options)
    except BaseException:
        if sending is not None:
            observe.failed(sending.recorded)
        raise
    finally:
        raw.__dict__.pop("_execute_command", None)
        raw.__dict__.pop("_read_query_result", None)
    if sending is not None and sending.recorded:
        observe.ended(sending.recorded, connection, cursor)
    else:
        observe.observe(connection, query, args, cursor)
    return cursor


class _Sending:
    """Replaces PyMySQL's ``_execute_command`` during one query, and announces the SELECT that it sends.

    The server works meanwhile, so recording costs the analysis nothing.
    """

    __slots__ = ("connection", "raw", "recorded", "send")

    def __init__(self, connection: Any, raw: Any) -> None:
        self.connection, self.raw, self.send = connection, raw, raw._execute_command
        self.recorded: observe.Recorded = []

    def __call__(self, command: int, sql: Any) -> None:
        self.send(command, sql)
        if command == COM_QUERY and not self.recorded:
            try:
                self.recorded = observe.announce(self.connection, sql)
            except BaseException:
                # for example Ctrl-C. Close, as PyMySQL does, or the next query would get this one's answer
                self.raw._force_close()
                raise


def _patch_entry_points() -> None:
    """The method that the user called gives the kind of a read, not the text of the statement.

    ``dj.U().aggr(T, n="count(*)")`` and ``len(T)`` send nearly the same text, and the first is data. The outermost
    method counts: a preview that asks for the number of rows is still a preview.
    """

    def reads_for(kind: str) -> Callable[[Any], Any]:
        def wrapper(original: Any) -> Any:
            def entry(self: Any, *args: Any, **options: Any) -> Any:
                if not session.open_sessions or observe.purpose.get() is not None:
                    return original(self, *args, **options)
                with observe.for_purpose(kind):
                    return original(self, *args, **options)

            return entry

        return wrapper

    expression, table = datajoint.expression, datajoint.table.Table
    for owner in (expression.QueryExpression, expression.Aggregation, expression.Union):
        _patch(owner, "__len__", reads_for("count"))
        _patch(owner, "__bool__", reads_for("exists"))
    for name in ("__repr__", "_repr_html_", "preview"):
        _patch(expression.QueryExpression, name, reads_for("preview"))
    # describe() is not patched: it reads no rows, and inspects its caller's frame
    for name in ("delete", "delete_quick", "drop", "drop_quick"):
        _patch(table, name, reads_for("preview"))
    _patch(datajoint.autopopulate.AutoPopulate, "progress", reads_for("preview"))
    # importing a pipeline declares it: DataJoint counts each Lookup table and compares it with its contents
    for schema in datajoint.Schema.__mro__[:-1]:
        _patch(schema, "_decorate_table", reads_for("metadata"))
    if hasattr(datajoint.jobs, "Job"):  # the job tables of 2.x
        _patch(datajoint.jobs.Job, "refresh", reads_for("metadata"))


# The table for which populate is about to call make. Its next query tests whether the row already exists.
_about_to_make: ContextVar[Any] = ContextVar("dj_sqlspy_about_to_make", default=None)


def _patch_populate() -> None:
    """Queries of populate are bookkeeping, except those for one key; of these the first one is bookkeeping too."""

    def bookkeeping(original: Any) -> Any:
        def populate(self: Any, *args: Any, **options: Any) -> Any:
            if not session.open_sessions:
                return original(self, *args, **options)
            with observe.for_purpose("metadata"):
                return original(self, *args, **options)

        return populate

    def one_key(original: Any) -> Any:
        def _populate1(self: Any, *args: Any, **options: Any) -> Any:
            if not session.open_sessions:
                return original(self, *args, **options)
            token = _about_to_make.set(self if IS_V2 else self.target)
            try:
                with observe.for_purpose(None):
                    return original(self, *args, **options)
            finally:
                _about_to_make.reset(token)

        return _populate1

    def is_made(original: Any) -> Any:
        def __contains__(self: Any, item: Any) -> Any:
            if _about_to_make.get() is not self:
                return original(self, item)
            _about_to_make.set(None)
            with observe.for_purpose("metadata"):
                return original(self, item)

        return __contains__

    populated = datajoint.autopopulate.AutoPopulate
    if "_populate1" in vars(
        populated
    ):  # without it, bookkeeping and the fetches of make look alike, so all is data
        _patch(populated, "populate", bookkeeping)
        _patch(populated, "_populate1", one_key)
        _patch(datajoint.expression.QueryExpression, "__contains__", is_made)


def _patch_threads() -> None:
    """A thread belongs to the sessions of its starter, a task in a pool to those of its submitter."""

    def start(original: Any) -> Any:
        def start(self: threading.Thread, *args: Any, **options: Any) -> Any:
            if session.open_sessions:
                self._dj_sqlspy_scope = session.scope_for_thread()  # type: ignore[attr-defined]
            return original(self, *args, **options)

        return start

    _patch(threading.Thread, "start", start)


def _patch_processes() -> None:
    """A process that does not inherit its parent's memory joins the parent's sessions."""

    def start(original: Any) -> Any:
        def start(self: Any) -> Any:
            if session.open_sessions:
                self._dj_sqlspy_passenger = _Passenger(session.as_environment(session.receivers()))
            return original(self)

        return start

    _patch(multiprocessing.process.BaseProcess, "start", start)


class _Passenger:
    """Part of a pickled Process (spawn, forkserver); joins the sessions when it is unpickled."""

    def __init__(self, sessions: str) -> None:
        self.sessions = sessions

    def __reduce__(self) -> Any:
        return session.join, (self.sessions,)


def _patch_pools() -> None:
    """A task belongs to the sessions of its submitter, even if the pool is older than they are.

    Called when a session opens. The module of an older pool is loaded by then, so this needs to load none.
    """

    def patch(owner: Any, names: Sequence[str], task: Any) -> None:
        def wrapper(original: Any) -> Any:
            def give(self: Any, *args: Any, **options: Any) -> Any:
                if args:  # also after the session: a worker that joined it must know that this task has none
                    args = (task(self, args[0]), *args[1:])
                elif "func" in options:
                    options["func"] = task(self, options["func"])
                return original(self, *args, **options)

            return give

        for name in names:
            if not hasattr(getattr(owner, name), "_dj_sqlspy"):
                _patch(owner, name, wrapper)

    threads = sys.modules.get("concurrent.futures.thread")
    processes = sys.modules.get("concurrent.futures.process")
    pool = sys.modules.get("multiprocessing.pool")
    if threads is not None:
        patch(threads.ThreadPoolExecutor, ["submit"], lambda _, function: _TaskForThread(function))
    if processes is not None:
        patch(processes.ProcessPoolExecutor, ["submit"], lambda _, function: _TaskForProcess(function))
    if pool is not None:

        def task(owner: Any, function: Any) -> Any:
            return (_TaskForThread if isinstance(owner, pool.ThreadPool) else _TaskForProcess)(function)

        patch(pool.Pool, ["apply_async", "_map_async", "imap", "imap_unordered"], task)


class _TaskForThread:
    """A function that runs in the scope in which it was submitted to a pool."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.scope = session.current_scope() or session.Scope(None)

    def __call__(self, /, *args: Any, **options: Any) -> Any:
        with session.within(self.scope):
            return self.function(*args, **options)


class _TaskForProcess:
    """A function that runs for the sessions in which it was submitted to a pool; pickled with their names."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.sessions = session.as_environment(session.receivers())

    def __call__(self, /, *args: Any, **options: Any) -> Any:
        with session.visiting(self.sessions):
            return self.function(*args, **options)


def _attach_config_v014() -> None:
    """0.14 accepts any key. This checks ours, and follows their changes."""
    config = datajoint.settings.config
    kind = type(config)

    def is_ours(key: Any) -> bool:
        return isinstance(key, str) and key.startswith("sqlspy.")

    def setitem(original: Any) -> Any:
        def __setitem__(self: Any, item: Any, value: Any) -> None:
            original(self, item, settings.checked(item[7:], value) if is_ours(item) else value)
            if is_ours(item):
                settings.changed()

        return __setitem__

    def delitem(original: Any) -> Any:
        def __delitem__(self: Any, key: Any) -> None:
            original(self, key)
            if is_ours(key):
                settings.changed()

        return __delitem__

    def load(original: Any) -> Any:
        def load(self: Any, filename: Any) -> None:
            original(self, filename)
            settings.changed()

        return load

    def temporarily(original: Any) -> Any:
        @contextlib.contextmanager
        def __call__(self: Any, **options: Any) -> Iterator[Any]:
            try:
                with original(self, **options) as changed:
                    settings.changed()
                    yield changed
            finally:
                settings.changed()

        return __call__

    def read(name: str) -> Any:
        return config.get(f"sqlspy.{name}", settings.DEFAULTS[name])

    def write(name: str, value: Any) -> None:
        config[f"sqlspy.{name}"] = value
        kind.instance._conf[f"sqlspy.{name}"] = value  # lasts beyond a ``with config(…)`` that is open now

    if not hasattr(kind.__setitem__, "_dj_sqlspy"):
        _patch(kind, "__setitem__", setitem)
        _patch(kind, "__delitem__", delitem)
        _patch(kind, "load", load)
        _patch(kind, "__call__", temporarily)
        settings.attach(read, write)


def _attach_config_v2() -> None:
    """2.x refuses unknown groups, but accepts an attribute of its class as a group.

    So all instances share the group (`dj.Instance` too). The file was read before, so read it again for ours.
    """
    if hasattr(datajoint.settings.Config, "sqlspy"):
        return
    group = settings.Settings()
    datajoint.settings.Config.sqlspy = group
    datajoint.settings.ENV_VAR_MAPPING.update(
        {f"sqlspy.{n}": settings.variable(n) for n in settings.DEFAULTS}
    )
    path = datajoint.settings.config._config_path
    found: dict[str, Any] = {}
    if path is not None:
        with contextlib.suppress(OSError, ValueError):  # DataJoint has reported it
            contents = json.loads(path.read_text())
            found = {k[7:]: v for k, v in contents.items() if k.startswith("sqlspy.")} | contents.get(
                "sqlspy", {}
            )
    # unchecked here, as on 0.14: `attach` checks them, and reports errors without breaking the import
    group.__dict__.update({name: value for name, value in found.items() if name in settings.DEFAULTS})

    def write(name: str, value: Any) -> None:
        setattr(group, name, value)

    settings.attach(group.__dict__.__getitem__, write)
