"""Collector: hold Python's garbage collector off where a great many objects are made that all stay.

It looks for cycles, and goes through all objects that there are again and again while their number grows: half of
the time that it takes to read a long journal. What is done meanwhile must make no cycles.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def held_off() -> Iterator[None]:
    """Run a block, or a decorated function, without the search for cycles."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
