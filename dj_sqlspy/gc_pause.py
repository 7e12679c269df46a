"""GC pause: raise the thresholds of Python's garbage collector while many long-lived objects are built.

The collector scans all objects again and again while their number grows: half of the time that reading a long journal
takes. Young objects are still scanned, less often, so cycles are found.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

_NEVER = 1 << 30
_SELDOM = 50_000  # new objects between two scans of the young generation; Python's default is 700

_lock = threading.Lock()
_blocks = 0  # number of running blocks, in all threads
_before = (0, 0, 0)  # thresholds before the first of them


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Run a block or a decorated function without full collections and with few collections of young objects."""
    global _blocks, _before
    with _lock:
        if not _blocks:
            _before = young, middle, _ = gc.get_threshold()
            gc.set_threshold(max(young, _SELDOM), middle, _NEVER)
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks:
                gc.set_threshold(*_before)
