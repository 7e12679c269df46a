"""Snapshot: the interface for queries in one consistent state of the database.

Each kind of server has one (`mysql.snapshot`). A snapshot ends with its connection. If the server closes the
connection, the work is done again from the start (`reconnecting`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar

from ..errors import SliceError, SpyError
from .catalog import Catalog
from .dialect import LIST_BYTES, MANY, Dialect
from .mysql.errors import DRIVER_ERRORS
from .results import Answer, Column, Sums
from .session import PLAIN, Session
from .tables import ForeignKey

logger = logging.getLogger("dj_sqlspy")

_ATTEMPTS = 3

# Counts in one query: enough to save round trips, few enough to show progress.
_TOGETHER = 16

T = TypeVar("T")
Rows = Sequence[tuple[Any, ...]]


class ConnectionLost(SliceError):
    """The server closed the connection, which ended the snapshot (`reconnecting`). No statement is at fault."""


class Refused(SpyError):
    """The server refuses a query.

    Attributes
    ----------
    denied : bool
        The account lacks a privilege on something that the query names.
    missing : bool
        Something that the query names does not exist.
    writes : bool
        The query would write or lock in a read-only transaction.
    unknown : bool
        The server does not know a word, a function or a collation of the query; another flavor or version may.
    conflict : bool
        A row has this key already, or what a foreign key needs is not there: another process was quicker.
    """

    def __init__(
        self,
        reason: str,
        *,
        denied: bool = False,
        missing: bool = False,
        writes: bool = False,
        unknown: bool = False,
        conflict: bool = False,
    ) -> None:
        super().__init__(reason)
        self.denied, self.missing, self.writes, self.unknown = denied, missing, writes, unknown
        self.conflict = conflict

    @property
    def lacking(self) -> bool:
        """The server does not have something that the query names or uses."""
        return self.missing or self.unknown


class Interrupted(SpyError):
    """The server ended a query: it was killed, exceeded a time limit or lost a deadlock.

    It says nothing about the query itself.
    """

    lacking = False


def retell(error: BaseException, text: str, *, lost: bool, interrupted: bool, **what: bool) -> NoReturn:
    """Raise an error of a driver as what it tells: `ConnectionLost`, `Interrupted`, or a `Refused` with attributes."""
    interrupt = _interrupt_before(error)
    if interrupt is not None:
        raise interrupt from None
    if lost:
        raise ConnectionLost(text or "it is closed") from error
    if interrupted:
        raise Interrupted(text) from error
    raise Refused(text, **what) from error


def _interrupt_before(error: BaseException) -> BaseException | None:
    """The Ctrl-C after which an error came: a connection that was interrupted cannot take its settings back."""
    before = error.__context__
    while before is not None and isinstance(before, Exception):
        before = before.__context__
    return before


class ServerState(NamedTuple):
    """Version and settings that a server reports."""

    version: str
    flavor: str
    charset: str
    time_zone: str


class Snapshot(Protocol):
    """Queries that all see the database as it was when the snapshot began. The SELECT privilege is enough."""

    @property
    def dialect(self) -> Dialect:
        """How the server spells SQL."""

    def __enter__(self) -> Snapshot: ...

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any, /) -> None: ...

    def session(self, texts: Sequence[str]) -> Session:
        """The session of a connection that had sent these texts."""

    def answer(self, sql: str, session: Session, *, own: bool) -> Answer:
        """The server's answer to a statement. Raises `Refused` and `ConnectionLost`.

        Parameters
        ----------
        sql : str
            A text that passed the gate (`gate.read_of`).
        session : Session
        own : bool
            True for the text as captured, False for a rewritten one.
        """

    def answers(self, sql: str, session: Session, first: int) -> tuple[Sums, tuple[Column, ...]]:
        """The rows of a query, summed up by their ``first`` values, and the columns after these."""

    def rows(self, sql: str, arguments: Sequence[Any] | None = None, session: Session = PLAIN) -> Rows:
        """The rows of a query, values as the server prints them. Raises `Refused` and `ConnectionLost`."""

    def blocks(self, sql: str, session: Session = PLAIN) -> Iterator[Rows]:
        """As `rows`, in blocks, since an answer can be large."""

    def count(self, sql: str, session: Session = PLAIN) -> int:
        """The number that a query returns."""

    def counts(self, queries: Iterable[str]) -> Iterator[int]:
        """The numbers that many queries return; several are sent as one."""

    def totals(self, tables: Sequence[str]) -> Iterator[int]:
        """The number of rows of each table, by full names."""

    def require_accepted(self, sql: str, session: Session = PLAIN) -> None:
        """Raise `Refused` if the server would not run a query. The query is not run."""

    def read_catalog(self, schemas: Iterable[str], virtual: Sequence[ForeignKey], down: bool) -> Catalog:
        """The part of the catalog that the account can see. Columns are read later."""

    def schema_names(self) -> set[str]:
        """The schemas that the account can see, in lower case."""

    def state(self) -> ServerState:
        """Version and settings that the server reports."""

    def account(self) -> str:
        """The account, as GRANT names it."""


class Counting(Snapshot):
    """What every snapshot does by `rows` alone."""

    def count(self, sql: str, session: Session = PLAIN) -> int:
        return int(self.rows(sql, session=session)[0][0])

    def counts(self, queries: Iterable[str]) -> Iterator[int]:
        waiting: list[str] = []
        size = 0
        for sql in queries:
            if waiting and (len(waiting) == _TOGETHER or size + len(sql) > LIST_BYTES):
                yield from self._together(waiting)
                waiting, size = [], 0
            waiting.append(sql)
            size += len(sql)
        if waiting:
            yield from self._together(waiting)

    def totals(self, tables: Sequence[str]) -> Iterator[int]:
        few = self.counts(map(self.dialect.few, tables))
        for name, number in zip(tables, few, strict=True):
            yield self.count(f"SELECT COUNT(*) FROM {name}") if number == MANY else number

    def _together(self, queries: Sequence[str]) -> list[int]:
        return [int(number) for number in self.rows(f"SELECT {', '.join(f'({sql})' for sql in queries)}")[0]]

    def require_accepted(self, sql: str, session: Session = PLAIN) -> None:
        """Raise `Refused` if the server would not run a query. It is only explained."""
        self.rows(f"EXPLAIN {sql}", session=session)


@contextlib.contextmanager
def closed_after(connection: Any) -> Iterator[Any]:
    """Close a connection at the end of a block, even if it is lost by then."""
    try:
        yield connection
    finally:
        with contextlib.suppress(*DRIVER_ERRORS):
            connection.close()


def reconnecting(connect: Callable[[], Any], work: Callable[[Any], T]) -> T:
    """Do work that needs one snapshot. If the server closes the connection, start again.

    Parameters
    ----------
    connect : callable
        Opens a connection, which is closed at the end.
    work : callable
        Called with the connection.

    Raises
    ------
    SliceError
        If the server closes it each time.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        with closed_after(connect()) as connection:
            try:
                return work(connection)
            except ConnectionLost as error:
                if attempt == _ATTEMPTS:
                    raise SliceError(
                        f"Making a slice: the server closed the connection {_ATTEMPTS} times ({error}). It may end "
                        "connections that are idle or run long; ask its administrator for wait_timeout, "
                        "net_write_timeout and max_execution_time."
                    ) from error
                logger.warning(
                    "The snapshot is lost (%s). The slice is computed again.",
                    error,
                )
    raise AssertionError("not reached")
