"""GC pause: raise the thresholds of Python's garbage collector while many long-lived objects are built.

The collector scans all objects again and again while their number grows: half of the time that reading a long journal
takes. Young objects are still scanned, less often, so cycles are found. `while_any` is for any setting of the process.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

_NEVER = 1 << 30
_SELDOM = 50_000  # new objects between two scans of the young generation; Python's default is 700

T = TypeVar("T")


def while_any(
    change: Callable[[], T], restore: Callable[[T], None]
) -> Callable[[], contextlib._GeneratorContextManager[None]]:
    """A context manager for a setting of the process, which is changed as long as any of its blocks runs.

    Parameters
    ----------
    change : callable
        Called before the first block, in any thread; returns the setting until then.
    restore : callable
        Called with that after the last block.
    """
    lock = threading.Lock()
    before: list[T] = []  # for each running block, the setting before the first of them

    @contextlib.contextmanager
    def block() -> Iterator[None]:
        with lock:
            before.append(before[0] if before else change())
        try:
            yield
        finally:
            with lock:
                first = before.pop()
                if not before:
                    restore(first)

    return block


def _pause() -> tuple[int, int, int]:
    before = young, middle, _ = gc.get_threshold()
    gc.set_threshold(max(young, _SELDOM), middle, _NEVER)
    return before


# Runs a block or a decorated function without full collections and with few collections of young objects.
gc_paused = while_any(_pause, lambda before: gc.set_threshold(*before))
