"""Told: translates errors and the transaction state of PostgreSQL for the rooms above.

In: errors of psycopg2, whose SQLSTATE tells what happened. Out: `ConnectionLost`, `Interrupted` or `Refused`.
PostgreSQL's documentation, appendix A, lists the codes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..snapshot import Interrupted, retell
from .driver import driver

# The connection is gone: an administrator ended it, the server stops, or it was idle too long in a transaction.
LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})

# The statement was ended, lost a deadlock, waited too long for a lock, or follows such a one in its transaction.
INTERRUPTED = frozenset({"57014", "40001", "40003", "40P01", "55P03", "25P02"})

DENIED = frozenset({"42501"})
READ_ONLY = "25006"
MISSING = frozenset({"42P01", "3F000", "3D000"})  # a table, a schema, a database
# The server does not know a word, a function, or an object such as a collation; another version may.
UNKNOWN = frozenset({"42601", "42883", "42704", "0A000"})
# Another process was quicker: a unique key, a foreign key (23001 from 18 on where it says RESTRICT).
CONFLICT = frozenset({"23505", "23503", "23001"})

# Classes of codes: a connection failed, the server lacks memory, room or connections, or it fails itself.
_LOST_CLASS = "08"
_INTERRUPTED_CLASSES = ("53", "58", "XX")


@contextlib.contextmanager
def told() -> Iterator[None]:
    """In a block, turn the driver's errors into `ConnectionLost`, `Interrupted` or `Refused`."""
    try:
        yield
    except driver().Error as error:
        code, text = error.pgcode or "", text_of(error)
        retell(
            error,
            text,
            lost=code in LOST or code.startswith(_LOST_CLASS) or (not code and _is_closed(error)),
            interrupted=code in INTERRUPTED or code.startswith(_INTERRUPTED_CLASSES),
            denied=code in DENIED,
            missing=code in MISSING,
            writes=code == READ_ONLY,
            unknown=code in UNKNOWN,
            conflict=code in CONFLICT,
        )


def _is_closed(error: Any) -> bool:
    """Whether an error without a code is of a connection that is gone; the driver says it by the class alone."""
    return isinstance(error, (driver().InterfaceError, driver().OperationalError))


def text_of(error: BaseException) -> str:
    """The message of an error, without the lines that repeat the statement."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return str(primary or (str(error).strip().splitlines() or [""])[0])


def require_reading(connection: Any) -> None:
    """Raise `Interrupted` unless the connection is in a transaction that is whole.

    Whether it is read-only the server keeps: it began with READ ONLY, which no later statement can change once it has
    read.
    """
    if connection.info.transaction_status != driver().extensions.TRANSACTION_STATUS_INTRANS:
        raise Interrupted("the transaction that cannot write has ended")
