"""Told: translates errors and the transaction state of MySQL and MariaDB for the rooms above."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pymysql

from ..snapshot import Interrupted, retell
from .errors import CONFLICT, DENIED, INTERRUPTED, LOST, MISSING, READ_ONLY, REDEFINED, UNKNOWN, code_of


@contextlib.contextmanager
def told() -> Iterator[None]:
    """In a block, turn the driver's errors into `ConnectionLost`, `Interrupted` or `Refused`."""
    try:
        yield
    except pymysql.MySQLError as error:
        code, text = code_of(error), str(error.args[-1]) if error.args else ""
        retell(
            error,
            text,
            lost=code in LOST | REDEFINED,
            interrupted=2000 <= code < 3000 or code in INTERRUPTED,
            denied=code in DENIED,
            missing=code in MISSING,
            writes=code == READ_ONLY,
            unknown=code in UNKNOWN,
            conflict=code in CONFLICT,
        )


def text_of(value: Any) -> str:
    """A text value, also from a connection that returns bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


# Status flags in each answer: a transaction is open, and it is read-only.
_READING = 0x0001 | 0x2000


def require_reading(raw: Any) -> None:
    """Raise `Interrupted` unless the connection is in a read-only transaction."""
    if raw.server_status & _READING != _READING:
        raise Interrupted("the transaction that cannot write has ended")
