"""Backend: all that a kind of server must bring, as the rooms above are handed it.

`servers.backend_of` chooses one from a connection. What it reads is handed on with the catalog and the snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from .catalog import Catalog
from .dialect import Dialect
from .results import Difference, Digest, Forms
from .snapshot import Snapshot
from .source import Created, Rows, Source, Texts
from .tables import ForeignKey, Table


class Replayer(Protocol):
    """Sends statements of a manifest again: nothing but reads, each in its session."""

    def digest(
        self,
        connection: Any,
        sql: str,
        state: Sequence[str] = ...,
        *,
        own: bool = ...,
        digits: int | None = ...,
        forms: Forms | None = ...,
    ) -> Digest:
        """Send a statement and digest its result. Raises `Refused`, `Interrupted` and `ConnectionLost`."""

    def close(self) -> None:
        """Give the connections their own settings again."""


class Backend(Protocol):
    """One kind of server."""

    @property
    def name(self) -> str:
        """As DataJoint names it."""

    @property
    def dialect(self) -> Dialect:
        """How it spells SQL."""

    def address(self, connection: Any) -> str:
        """Host and port of the server of a connection of the driver."""

    def connect(self, dj_connection: Any = None, *, plain: bool = False, **overrides: Any) -> Any:
        """A new connection of the driver, to the server and with the account of a DataJoint connection.

        ``plain``: it leaves values as the server prints them.
        """

    def client_options(
        self, connection: Any, tls: Mapping[str, Any] = ...
    ) -> AbstractContextManager[list[str]]:
        """Options with which a client program reaches the server of a connection, as the same account."""

    def tls_options(self, dj_connection: Any = None) -> dict[str, Any]:
        """What a DataJoint connection was told of TLS; often nothing."""

    def snapshot(self, connection: Any) -> Snapshot:
        """A snapshot to enter, on a connection that leaves values as the server prints them."""

    def read_source(
        self,
        connection: Any,
        tables: Sequence[Table],
        catalog: Catalog,
        views: Sequence[str],
        functions: Sequence[Created],
        filled: Mapping[str, Callable[[int], Sequence[str]]],
        comments: bool = ...,
    ) -> Source:
        """What dumps of tables need to know of their server beside the tables themselves."""

    def stored_functions(
        self, connection: Any, names: Iterable[tuple[str, str]]
    ) -> Mapping[tuple[str, str], Created | str]:
        """What creates each stored function, by schema and name, or why a slice cannot have it."""

    def unique_columns(self, connection: Any, table: Table) -> list[tuple[str, str]]:
        """Name of each unique key of a table but the primary one, with each of its columns or expressions."""

    def fill_key_table(
        self, connection: Any, name: str, table: Table, conditions: Sequence[str], rows: int
    ) -> int:
        """Make a table of the keys of rows; how many rows it has. Raises `Refused`."""

    def longest_condition(self, table: Table, contents: Mapping[str, str]) -> int:
        """Bytes that a condition on rows of a table may have in the dump script."""

    def with_checksums(self, connection: Any, parts: Sequence[Rows]) -> list[Rows]:
        """Rows of tables with their checksums, and the numbers of rows that are there now."""

    def dump_script(
        self,
        rows: Sequence[Rows],
        source: Source,
        title: str,
        summary: str,
        key_tables: Iterable[tuple[str, str]] = ...,
        mode: int = ...,
    ) -> str:
        """The text of ``dump.sh``."""

    def restore_script(
        self,
        rows: Sequence[Rows],
        source: Source,
        foreign_keys: Iterable[ForeignKey],
        title: str,
        summary: str,
    ) -> str:
        """The text of ``restore.sh``."""

    def orphans(self, fk: ForeignKey) -> str:
        """The rows that have no parent, as FROM and WHERE of a SELECT."""

    def read_catalog(self, connection: Any, schemas: Iterable[str]) -> Catalog:
        """The catalog of schemas, and of those that they refer to."""

    def missing_tables(self, connection: Any, names: Sequence[str]) -> list[str]:
        """Those of tables or views, by full name, that the account does not see."""

    def texts_of(self, sql: str) -> Texts:
        """What a text in SQL says: literals, names, comments, and what may be secret."""

    def without_names(self, sql: str, names: Collection[str]) -> str:
        """The text with a question mark in the place of these names (in lower case)."""

    def structure_texts(
        self, connection: Any, tables: Iterable[str]
    ) -> Iterable[tuple[str, str, tuple[str, ...]]]:
        """What the structure on a server says: the place, what it is, and the values that stand there."""

    def told(self) -> AbstractContextManager[None]:
        """Raise in a block what the server says as `ConnectionLost`, `Interrupted` or `Refused`."""

    # ---------------------------------------------------------------- shared log

    def table_names(self, connection: Any, schema: str) -> set[str]:
        """The tables and views of a schema that the account sees; on a connection of DataJoint too."""

    def settle_columns(self, connection: Any, schema: str, tables: Collection[str]) -> None:
        """Let texts differ in case and accents in tables that DataJoint declared."""

    def locked(self, connection: Any, name: str, seconds: int) -> AbstractContextManager[bool]:
        """Hold a lock of the server's in a block; gives whether the connection got it within that time."""

    def stream(self, connection: Any, sql: str, arguments: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Rows of a query as they arrive."""

    # ---------------------------------------------------------------- replay

    @property
    def session_settings(self) -> tuple[str, ...]:
        """Settings of a session that a result can depend on."""

    def as_sent(self, connection: Any) -> AbstractContextManager[None]:
        """Results of a connection as bytes, just as the server sends them, in a block."""

    def match_sessions(self, source: Any, loaded: Any) -> list[str]:
        """Give the session on the slice the settings of that on the source; those that it does not take, in words."""

    def one_moment(self, connection: Any) -> AbstractContextManager[None]:
        """Read from one moment of the database, in a block."""

    def reading_tables(self, connection: Any) -> None:
        """Set the session as the dump program does."""

    def set_session(self, connection: Any, settings: Mapping[str, str]) -> list[str]:
        """Set the session as it was recorded; the settings that this server does not know, in words."""

    def fixed_session(self, connection: Any) -> dict[str, str]:
        """The settings of a session, so that another machine can have them."""

    def replayer(self, *connections: Any) -> Replayer:
        """What sends statements again on some connections."""

    def number(self, connection: Any, sql: str) -> int:
        """The number that a query returns."""

    def digest(
        self, connection: Any, sql: str, digits: int | None = None, forms: Forms | None = None
    ) -> Digest:
        """Run a statement and digest its result. Raises `Refused`, `Interrupted` and `ConnectionLost`."""

    def difference(self, one: Any, other: Any, sql: str) -> tuple[Difference, Difference]:
        """Rows that only the first, and rows that only the second connection returns for a statement."""
