"""Replayer: sends the statements of a manifest again, each in the session of its capture.

In: connections to servers with a slice or its source, and texts from an untrusted source. Out: digests of the answers.
Only reads are sent (`gate`), in a transaction that cannot write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..results import Digest, Forms
from ..session import PLAIN, Session
from ..snapshot import Refused
from . import results
from .gate import Gate
from .routines import reads_only
from .state import Keeper
from .syntax import Unsupported
from .told import require_reading, told


class MySQLReplayer:
    """Sends statements on some connections.

    Parameters
    ----------
    *connections : pymysql connection
        Their own settings apply to a statement whose connection had set nothing.
    """

    def __init__(self, *connections: Any) -> None:
        self._sides = [(one, Keeper(one), Gate(reads_only(one))) for one in connections]

    def digest(
        self,
        connection: Any,
        sql: str,
        state: Sequence[str] = (),
        *,
        own: bool = True,
        digits: int | None = None,
        forms: Forms | None = None,
        instead: Mapping[int, Mapping[bytes, bytes]] | None = None,
    ) -> Digest:
        """Send a statement on one of the connections given, and digest its result (`results.digest`).

        ``state`` is what the statement's connection had set. ``own`` is True for the text as captured, False for one
        that was rewritten for a session without modes. The gate can refuse it, too.
        """
        encoding = self._prepare(connection, sql, state, own)
        return results.digest(connection, sql, digits, forms, encoding, instead)

    def result(
        self, connection: Any, sql: str, state: Sequence[str] = (), *, own: bool = True
    ) -> results.Result:
        """Send a statement; its columns and rows as sent. Arguments as of `digest`."""
        return results.Result(connection, sql, self._prepare(connection, sql, state, own))

    def session(self, connection: Any, state: Sequence[str]) -> Session:
        """The session of a statement whose connection had set this."""
        return next(keeper for one, keeper, _ in self._sides if one is connection).session(state)

    def _prepare(self, connection: Any, sql: str, state: Sequence[str], own: bool) -> str:
        """Check that a statement only reads, and set its session; the encoding to send it in."""
        keeper, gate = next((keeper, gate) for one, keeper, gate in self._sides if one is connection)
        session = keeper.session(state)
        if session.problem:
            raise Refused(f"its session cannot be set again: {session.problem}", unknown=True)
        modes = session.modes if own else frozenset()
        try:
            gate.require(sql, modes)
        except Unsupported as error:
            raise Refused(f"it is not sent: {error}", unknown=_reads_with_functions(sql, modes)) from error
        with told():
            keeper.use(session, rewritten=not own)
        require_reading(connection)
        return session.encoding if own else "utf-8"

    def close(self) -> None:
        """Restore the connections' own settings."""
        for _, keeper, _ in self._sides:
            with told():
                keeper.use(PLAIN, rewritten=False)


def _reads_with_functions(sql: str, modes: frozenset[str]) -> bool:
    """Whether a text only reads if its stored functions do, which a server may not have."""
    try:
        Gate(lambda schema, name: True).require(sql, modes)
    except Unsupported:
        return False
    return True
