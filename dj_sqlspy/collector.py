"""Collector: hold off Python's search for garbage among old objects where a great many are made that all stay.

The search goes through all objects that there are, again and again while their number grows, which is half of the
time that it takes to read a long journal. Young objects are looked through less often, but are: cycles are still
found.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_NEVER = 1 << 30
_SELDOM = 50_000  # objects made between two searches among the young; Python's default is 700


@contextlib.contextmanager
def held_off() -> Iterator[None]:
    """Run a block, or a decorated function, without full collections, and with few of young objects."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(max(young, _SELDOM), middle, _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
