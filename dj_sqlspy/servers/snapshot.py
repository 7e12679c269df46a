"""Snapshot: what the rooms above may ask of a server, in one consistent state of its database.

Each server has one (`mysql.snapshot`). A snapshot is gone with its connection, so where the server closes that, what
needs the snapshot is computed again from the start (`reconnecting`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from ..errors import SliceError, SpyError
from .catalog import Catalog
from .dialect import Dialect
from .mysql.errors import DRIVER_ERRORS
from .results import Answer, Column, Sums
from .session import PLAIN, Session
from .tables import ForeignKey

logger = logging.getLogger("dj_sqlspy")

_ATTEMPTS = 3

T = TypeVar("T")
Rows = Sequence[tuple[Any, ...]]


class ConnectionLost(SliceError):
    """The server has closed the connection, and with it the snapshot (`reconnecting`). No error of a statement."""


class Refused(SpyError):
    """The server refuses a query.

    Attributes
    ----------
    denied : bool
        The account may not do this with what the query names.
    missing : bool
        What the query names is not there.
    writes : bool
        The query would write or lock, and the transaction only reads.
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


class Interrupted(SpyError):
    """The server ended a query that was killed, ran into a limit of time or was the victim of a deadlock.

    It says nothing about the query itself.
    """


class ServerState(NamedTuple):
    """What a server says of itself."""

    version: str
    flavor: str
    charset: str
    time_zone: str


class Snapshot(Protocol):
    """Queries that all see the database as it was when the snapshot began. It needs no right but SELECT."""

    @property
    def dialect(self) -> Dialect:
        """How the server spells SQL."""

    def __enter__(self) -> Snapshot: ...

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any, /) -> None: ...

    def session(self, texts: Sequence[str]) -> Session:
        """The session that a connection had which had sent these texts."""

    def answer(self, sql: str, session: Session, *, own: bool) -> Answer:
        """What the server answers the text of a statement. Raises `Refused` and `ConnectionLost`.

        Parameters
        ----------
        sql : str
            It passed the gate (`gate.read_of`).
        session : Session
        own : bool
            It is the text as captured; False if it was written anew.
        """

    def answers(self, sql: str, session: Session, first: int) -> tuple[Sums, tuple[Column, ...]]:
        """The rows of a query, summed up by the ``first`` of their values, and the columns behind these."""

    def rows(self, sql: str, arguments: Sequence[Any] | None = None, session: Session = PLAIN) -> Rows:
        """What a query returns, values as the server prints them. Raises `Refused` and `ConnectionLost`."""

    def blocks(self, sql: str, session: Session = PLAIN) -> Iterator[Rows]:
        """As `rows`, in pieces, since an answer can be large."""

    def count(self, sql: str, session: Session = PLAIN) -> int:
        """The number that a query returns."""

    def counts(self, queries: Iterable[str]) -> Iterator[int]:
        """The numbers that many queries return, asked for together."""

    def require_accepted(self, sql: str, session: Session = PLAIN) -> None:
        """Raise `Refused` where the server does not take a query. The query is not run."""

    def read_catalog(self, schemas: Iterable[str], virtual: Sequence[ForeignKey], down: bool) -> Catalog:
        """The catalog of schemas as far as the account can see it, its columns left for later."""

    def schema_names(self) -> set[str]:
        """The schemas that the account can see, in lower case."""

    def state(self) -> ServerState:
        """What the server says of itself."""

    def account(self) -> str:
        """The account, as GRANT names it."""


@contextlib.contextmanager
def closed_after(connection: Any) -> Iterator[Any]:
    """Close a connection at the end of a block, also where it is gone by then."""
    try:
        yield connection
    finally:
        with contextlib.suppress(*DRIVER_ERRORS):
            connection.close()


def reconnecting(connect: Callable[[], Any], work: Callable[[Any], T]) -> T:
    """Do what needs one snapshot, and again from the start where the server closes the connection meanwhile.

    Parameters
    ----------
    connect : callable
        Opens a connection, which is closed in the end.
    work : callable
        Gets the connection.

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
