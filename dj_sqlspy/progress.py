"""Progress: shows the current step and how far it is, once a person has waited for two seconds.

In: the steps of a slice, a bundle or a verification, with their totals where known. Out: a bar on the standard error
if that is a terminal, a line in a notebook, else nothing. No result depends on it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

# Seconds before anything is shown, and between two updates of a notebook's line.
DELAY = 2.0
INTERVAL = 0.5


class Progress:
    """Receives progress. This base class passes it on to a function, or ignores it.

    Parameters
    ----------
    told : callable, optional
        Called with the name of the step and the number of parts that were done just now.
    """

    def __init__(self, told: Callable[[str, int], None] | None = None) -> None:
        self._told = told

    def __call__(self, what: str, count: int = 1) -> None:
        """``count`` more parts of a step are done."""
        if self._told is not None:
            self._told(what, count)

    def expect(self, what: str, total: int) -> None:
        """A step starts, or starts again, with ``total`` parts."""

    def at(self, what: str, done: int, of: int) -> None:
        """``done`` of the parts of a step are done in all."""

    def finish(self) -> None:
        """Nothing more is done."""


class _Steps(Progress):
    """Keeps count of the steps, and calls `_show` when it is time to display them."""

    def __init__(self) -> None:
        super().__init__()
        self.started = time.monotonic()
        self.steps: dict[str, tuple[int, int | None, float]] = {}  # done, of, seconds at the start

    def __call__(self, what: str, count: int = 1) -> None:
        done, of, since = self.steps.get(what, (0, None, time.monotonic()))
        self.steps[what] = (done + count, of, since)
        self._show(what)

    def expect(self, what: str, total: int) -> None:
        self.steps[what] = (0, total, time.monotonic())
        self._show(what)

    def at(self, what: str, done: int, of: int) -> None:
        self.steps[what] = (done, of, self.steps.get(what, (0, None, self.started))[2])
        self._show(what)

    def _show(self, what: str) -> None:
        raise NotImplementedError


class _Terminal(_Steps):
    """A bar for each step, with the time left if the total is known; removed at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        # a separate thread, since a single query can take long
        self._timer: threading.Timer | None = threading.Timer(DELAY, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with self._lock:
            if self._timer is None:
                return
            self._bar = Bar(
                "{task.description}", BarColumn(), *columns, console=Console(stderr=True), transient=True
            )
            self._bar.start()
            for what in list(self.steps):
                self._update(what)

    def _show(self, what: str) -> None:
        if self._bar is not None:
            with self._lock:
                if self._bar is not None:
                    self._update(what)

    def _update(self, what: str) -> None:
        done, of, _ = self.steps[what]
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=of)
        self._bar.update(self._tasks[what], completed=done, total=of)

    def finish(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            if self._bar is not None:
                self._bar.stop()
            self._bar = None


class _Notebook(_Steps):
    """One line below the cell, empty at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None
        self._shown = self.started + DELAY - INTERVAL

    def _show(self, what: str) -> None:
        now = time.monotonic()
        if now - self._shown >= INTERVAL:
            self._shown = now
            self._put(line(what, *self.steps[what], now))

    def _put(self, text: str) -> None:
        from IPython.display import display

        data = {"text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        elif hasattr(self._handle, "update"):
            self._handle.update(data, raw=True)

    def finish(self) -> None:
        if self._handle is not None:
            self._put("")


def line(what: str, done: int, of: int | None, since: float, now: float) -> str:
    """What a notebook shows of a step.

    >>> line("keys", 1200, None, 0.0, 4.0), line("tables", 30, 40, 0.0, 6.0)
    ('keys: 1,200', 'tables: 30 of 40, about 2 s left')
    """
    if of is None:
        return f"{what}: {done:,}"
    left = f", about {(now - since) * (of - done) / done:.0f} s left" if 0 < done < of else ""
    return f"{what}: {done:,} of {of:,}{left}"


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextlib.contextmanager
def shown(told: Callable[[str, int], None] | None = None) -> Iterator[Progress]:
    """Show what a block does.

    Parameters
    ----------
    told : callable, optional
        Called instead: a `Progress`, or a function of the step and the number of parts that were done just now.
    """
    if told is not None:
        yield told if isinstance(told, Progress) else Progress(told)
        return
    progress: Progress
    if _in_notebook():
        progress = _Notebook()
    elif sys.stderr is not None and sys.stderr.isatty():
        progress = _Terminal()
    else:
        progress = Progress()
    try:
        yield progress
    finally:
        progress.finish()


@contextlib.contextmanager
def counting(
    what: str, told: Callable[[int, int], None] | None = None
) -> Iterator[Callable[[int, int], None]]:
    """As `shown`, for one step: yields a function of the number of parts done and the total.

    Parameters
    ----------
    what : str
    told : callable, optional
        Called instead.
    """
    if told is not None:
        yield told
        return
    with shown() as progress:
        yield lambda done, of: progress.at(what, done, of)
