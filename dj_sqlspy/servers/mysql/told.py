"""Told: what MySQL and MariaDB say of an error and of a transaction, as the rooms above know it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pymysql

from ..snapshot import ConnectionLost, Interrupted, Refused
from .errors import CONFLICT, DENIED, INTERRUPTED, LOST, MISSING, READ_ONLY, REDEFINED, UNKNOWN, code_of


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Raise in this block what the server says as `ConnectionLost`, `Interrupted` or `Refused`."""
    try:
        yield
    except pymysql.MySQLError as error:
        code, text = code_of(error), str(error.args[-1]) if error.args else ""
        if code in LOST | REDEFINED:
            raise ConnectionLost(text or "it is closed") from error
        if 2000 <= code < 3000 or code in INTERRUPTED:
            raise Interrupted(text) from error
        raise Refused(
            text,
            denied=code in DENIED,
            missing=code in MISSING,
            writes=code == READ_ONLY,
            unknown=code in UNKNOWN,
            conflict=code in CONFLICT,
        ) from error


def text_of(value: Any) -> str:
    """A value that is text, also where the connection leaves bytes as they are sent."""
    return value.decode() if isinstance(value, bytes) else str(value)


# What a server says of itself with each answer: a transaction is open, and it cannot write.
_READING = 0x0001 | 0x2000


def require_reading(raw: Any) -> None:
    """Raise `Interrupted` where the connection is not in a transaction that cannot write."""
    if raw.server_status & _READING != _READING:
        raise Interrupted("the transaction that cannot write has ended")
