"""GC pause: raise the thresholds of Python's garbage collector while many long-lived objects are built.

The collector looks through all objects again and again while their number grows. That is half of the time that it
takes to read a long journal. Young objects are still looked through, less often, so cycles are found.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_NEVER = 1 << 30
_SELDOM = 50_000  # objects made between two searches among the young; Python's default is 700


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Run a block, or a decorated function, without full collections, and with few of young objects."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(max(young, _SELDOM), middle, _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
