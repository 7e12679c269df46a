"""Capture: open and end export sessions.

In: the names of a paper and an analysis, in code or in ``dj.config``. Out: a `Session` that is open for a block or a
function, until `stop_export`, or while the settings ask for it. `spy` does the recording.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import settings
from .errors import SpyError
from .journal import programs
from .journal.places import encode_name
from .rules import POLICIES
from .spy import session
from .spy.session import Scope, end_session, open_session, own_sessions

if TYPE_CHECKING:
    from .paper import Paper

logger = logging.getLogger("dj_sqlspy")

F = TypeVar("F", bound=Callable[..., Any])


class Session(session.Session):
    """One captured run of an analysis, with shortcuts to its paper and leaves."""

    def as_paper(self, connection: Any = None) -> Paper:
        """The paper with this analysis only. ``connection`` is that of `Paper`."""
        from .paper import Paper

        return Paper(self.paper, home=self.home, connection=connection, analyses=[self.analysis])

    def leaves(self) -> Any:
        """The restricted tables that the statements read, before the cascade (`Paper.leaves`)."""
        return self.as_paper().leaves()

    def preview(self) -> Any:
        """What was touched, as a table to look at (`Paper.preview`)."""
        return self.as_paper().preview()


def _named(
    paper: str | None, analysis: str | None, home: str | os.PathLike[str] | None
) -> tuple[str, str, Path]:
    paper = settings.get("paper") if paper is None else paper
    analysis = settings.get("analysis") if analysis is None else analysis
    if not paper or not analysis:
        raise SpyError(
            "An export session needs the names of a paper and an analysis: give them to export(), or set "
            'dj.config["sqlspy.paper"] and dj.config["sqlspy.analysis"].'
        )
    encode_name(paper), encode_name(analysis)  # raises if one is not valid
    return paper, analysis, settings.home(home)


def _append(append: bool | str | None) -> bool | str:
    found: bool | str = settings.get("append") if append is None else settings.checked("append", append)
    if isinstance(found, str):
        encode_name(found)
    return found


def _policies(given: Mapping[str, str | None]) -> dict[str, str]:
    """What the statements of each kind export: as given, else as the settings say."""
    chosen = {kind: given.get(kind) for kind in POLICIES}
    return {
        kind: settings.get(kind) if policy is None else settings.checked(kind, policy)
        for kind, policy in chosen.items()
    }


class export:
    """Capture what runs in a ``with`` block, or in the decorated function, as the analysis of a paper.

    The analysis is not changed. Running it again replaces the previous run. Inside of an open session of the same
    paper and analysis, it adds to that session.

    Parameters
    ----------
    paper, analysis : str, optional
        Default: ``dj.config["sqlspy.paper"]`` and ``dj.config["sqlspy.analysis"]``.
    preview : {"ignore", "rows"}, optional
        What the display of a table, a progress report or a delete exports. Default: ``dj.config["sqlspy.preview"]``,
        ignore.
    count : {"rows", "ignore"}, optional
        What ``len(table)`` exports. Default: ``dj.config["sqlspy.count"]``, rows.
    exists : {"witness", "rows", "ignore"}, optional
        What ``bool(table)`` and ``key in table`` export; a witness is one row. Default:
        ``dj.config["sqlspy.exists"]``, witness.
    home : path, optional
        Where the journal lives; default `settings.home`.
    append : bool or str, optional
        Add to the previous run instead of replacing it, for independent processes such as the tasks of a SLURM
        array. A str names the run: processes that give the same name form one run, and the first process with a
        new name starts a new run. Default: ``dj.config["sqlspy.append"]``.

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
        preview: str | None = None,
        count: str | None = None,
        exists: str | None = None,
        home: str | os.PathLike[str] | None = None,
        append: bool | str | None = None,
    ) -> None:
        self.paper, self.analysis, self.home = _named(paper, analysis, home)
        self.append = _append(append)
        self.policies = _policies({"preview": preview, "count": count, "exists": exists})

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
    """Open a session that records all threads until `stop_export` or the end of the process.

    If it is already open (a notebook cell run twice), it continues.

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
        if (
            isinstance(each, Session)
            and each.opened_by is start_export
            and each.is_of(folder, paper, analysis)
        ):
            logger.info("%r is open already and goes on.", each)
            return each
    opened = Session(
        paper,
        analysis,
        folder,
        _policies(policies),
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
    started = [
        each for each in session.open_sessions if isinstance(each, Session) and each.opened_by is start_export
    ]
    if not started:
        raise SpyError(
            "stop_export(): no session of start_export() is open. Call start_export(paper, analysis) first."
        )
    end_session(started[-1])
    return started[-1]


# The session that the settings ask for.
_configured: session.Session | None = None


def follow_settings() -> None:
    """Open, change or end the session that ``dj.config`` asks for (`settings.on_change`).

    Its first statement creates its journal, so settings can be set one after the other. A session that this process
    joined from its parent is not opened again.
    """
    global _configured
    paper = settings.get("paper") if settings.get("enabled") else None
    analysis = settings.get("analysis") or programs.name() if paper else ""
    home = settings.home() if paper else Path()
    policies = _policies({}) if paper else {}
    if _configured is not None and _configured in session.open_sessions:
        begun = _configured.journal.path is not None
        if paper and _configured.is_of(home, paper, analysis) and (begun or _configured.policies == policies):
            return
        end_session(_configured)
    _configured = None
    joined = [each for each in session.open_sessions if each.opened_by is session.join]
    if not paper or any(each.is_of(home, paper, analysis) for each in joined):
        return
    _configured = session.Session(
        paper,
        analysis,
        home,
        policies,
        everywhere=True,
        opened_by=follow_settings,
        append=_append(settings.get("append")),
    )
    open_session(_configured)


def _share(ended: session.Session) -> None:
    """Store a session that has ended in the shared log, if there is one. Raises nothing."""
    if _has_log():
        from .paper import sharedlog

        sharedlog.after_session(ended)


def _has_log() -> bool:
    try:
        return settings.get("schema") is not None
    except SpyError:  # the shared log says which setting is not valid
        return True


def _import_log() -> None:
    """Import the shared log where there is one, and not at the end of a process.

    Python forgets there that Ctrl-C ended the program, and with it the exit code, if a module is imported that runs
    code by `exec`, as dataclasses do (`run_eval_code_obj` of CPython 3.11).
    """
    if _has_log():
        from .paper import sharedlog  # noqa: F401


_installed = False


def install() -> None:
    """Make DataJoint's connections observable: an import of the package does, and each command of the command line."""
    global _installed
    if _installed:
        return
    _installed = True
    from .spy import observe, patches

    patches.install()
    session.on_end.append(_share)
    session.join(os.environ.get(session.ENVIRONMENT))  # before the settings: what they ask for may be this
    settings.on_change += [observe.follow_settings, _import_log, follow_settings]
    patches.attach_config()
