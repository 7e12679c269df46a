"""Replayer: sends the statements of a manifest again.

In: connections to databases with a slice or its source, and texts from an untrusted source. Out: digests of answers.
Only reads are sent (`gate`), in a transaction that cannot write, each in the session of its capture (`state`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..expressions import Unsupported
from ..results import Digest, Forms
from ..session import PLAIN, Session
from ..snapshot import Refused
from . import results
from .gate import read_of
from .state import Keeper
from .told import require_reading
from .values import Names, Values


class PostgreSQLReplayer:
    """Sends statements on some connections.

    Parameters
    ----------
    *connections : psycopg2 connection
        Their own settings apply.
    """

    def __init__(self, *connections: Any) -> None:
        self._sides = [(one, Keeper(one), Names(one)) for one in connections]

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
        """Send a statement and digest its result (`results.digest`). The gate can refuse it, too."""
        self._prepare(connection, sql, state)
        return results.digest(connection, sql, digits, forms, instead)

    def result(self, connection: Any, sql: str, state: Sequence[str] = (), *, own: bool = True) -> Values:
        """Send a statement; its columns and rows (`values`)."""
        self._prepare(connection, sql, state)
        return Values(connection, sql, self._side(connection)[1])

    def session(self, connection: Any, state: Sequence[str]) -> Session:
        """The session of a statement whose connection had set this."""
        return self._side(connection)[0].session(state)

    def _side(self, connection: Any) -> tuple[Keeper, Names]:
        return next((keeper, names) for one, keeper, names in self._sides if one is connection)

    def _prepare(self, connection: Any, sql: str, state: Sequence[str]) -> None:
        keeper, _ = self._side(connection)
        session = keeper.session(state)
        if session.problem:
            raise Refused(f"its session cannot be set again: {session.problem}", unknown=True)
        try:
            read = read_of(sql)
        except Unsupported as error:
            raise Refused(f"it is not sent: {error}") from error
        if read.query is None or not read.own:
            raise Refused("it is not sent: it does more than read")
        require_reading(connection)
        keeper.use(session)

    def close(self) -> None:
        """Restore the connections' own settings."""
        for _, keeper, _ in self._sides:
            keeper.use(PLAIN)
