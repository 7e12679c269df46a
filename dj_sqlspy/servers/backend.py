"""Backend: the interface that each kind of server implements for the rooms above.

`servers.backend_of` chooses one from a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from .catalog import Catalog
from .columns import Column
from .dialect import Dialect
from .results import Difference, Digest, Forms
from .session import Session
from .snapshot import Snapshot
from .source import Computed, Created, Rows, Source, Texts
from .tables import ForeignKey, Table


class Replayer(Protocol):
    """Replays statements of a manifest, each in its session. It sends only reads."""

    def digest(
        self,
        connection: Any,
        sql: str,
        state: Sequence[str] = ...,
        *,
        own: bool = ...,
        digits: int | None = ...,
        forms: Forms | None = ...,
        instead: Mapping[int, Mapping[bytes, bytes]] | None = ...,
    ) -> Digest:
        """Send a statement and digest its result. Raises `Refused`, `Interrupted` and `ConnectionLost`."""

    def result(self, connection: Any, sql: str, state: Sequence[str] = ..., *, own: bool = ...) -> Any:
        """Send a statement: an iterable of its rows as sent, with `ResultColumn` objects and a digest."""

    def session(self, connection: Any, state: Sequence[str]) -> Session:
        """The session of a statement whose connection had set this."""

    def close(self) -> None:
        """Restore the connections' own settings."""


class Backend(Protocol):
    """One kind of server."""

    @property
    def name(self) -> str:
        """DataJoint's name of it."""

    @property
    def dialect(self) -> Dialect:
        """How it spells SQL."""

    @property
    def long_lists(self) -> bool:
        """Whether one run of the client program takes a list of keys of any length, so that no table of keys helps."""

    def address(self, connection: Any) -> str:
        """Host and port of the server of a driver's connection."""

    def connect(
        self, dj_connection: Any = None, *, plain: bool = False, seconds: int | None = None, **overrides: Any
    ) -> Any:
        """A new connection of the driver, with the server and the account of a DataJoint connection.

        ``plain``: it returns values as the server prints them. ``seconds``: time limit of each answer.
        """

    def client_options(
        self, connection: Any, tls: Mapping[str, Any] = ...
    ) -> AbstractContextManager[list[str]]:
        """Options that connect a client program to the same server with the same account."""

    def tls_options(self, dj_connection: Any = None) -> dict[str, Any]:
        """The TLS settings of a DataJoint connection, often none."""

    def snapshot(self, connection: Any) -> Snapshot:
        """A snapshot on a ``plain`` connection."""

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
        """What a dump of tables needs to know of the server besides the tables."""

    def stored_functions(
        self, connection: Any, names: Iterable[tuple[str, str]]
    ) -> Mapping[tuple[str, str], Created | str]:
        """For each stored function (schema, name), the statement that creates it, or why a slice cannot hold it."""

    def unique_columns(self, connection: Any, table: Table) -> list[tuple[str, str]]:
        """Pairs of a unique key's name and one of its columns or expressions, without the primary key."""

    def default_value(self, connection: Any, column: Column) -> str | None:
        """SQL for the default of a column; None if it has none that is the same whenever it is asked for."""

    def texts_held(self, connection: Any, table: Table, column: Column, texts: Iterable[str]) -> set[str]:
        """Which of some texts, given in lower case, are values of a column, in any row and any case."""

    def stored_value(self, connection: Any, column: Column, value: str | bytes) -> str:
        """What a column holds once a value was written to it, as SQL; nothing is written. Raises `Refused`."""

    def broken_check(
        self, connection: Any, table: Table, contents: Mapping[str, str], conditions: Sequence[str]
    ) -> tuple[str, int] | None:
        """A CHECK that rows would break with SQL in the place of the contents of columns, and how many of them."""

    def values_in(self, connection: Any, columns: Sequence[tuple[Table, str]]) -> set[str]:
        """The values of columns of texts, integers or UUIDs, as texts; NULL left out."""

    def replace_values(
        self, connection: Any, columns: Sequence[tuple[Table, str]], pseudonyms: Mapping[str, str]
    ) -> None:
        """Replace each value of columns of a private server by its pseudonym. Raises `Refused`."""

    def texts_in(self, connection: Any, table: Table, without: frozenset[str]) -> Iterator[tuple[str, str]]:
        """The distinct texts in a table, with their columns, but for some columns (in lower case)."""

    def holds(self, column_type: str) -> str:
        """Whether a column of a type holds ``text`` or ``bytes``; "" for anything else."""

    def values_of(
        self, connection: Any, table: str, column: str, column_type: str, left_out: str | None, most: int
    ) -> Iterator[tuple[str, int]]:
        """The distinct values of a column as texts, but for one, and their numbers of rows."""

    def matches(self, column: str, pattern: str, hexadecimal: bool) -> str:
        """SQL for whether a text, or the hexadecimal digits of bytes, has the form of a pattern."""

    def fill_key_table(
        self, connection: Any, name: str, table: Table, conditions: Sequence[str], rows: int
    ) -> int:
        """Create a table of the keys of some rows, and return its number of rows. Raises `Refused`."""

    def longest_condition(self, table: Table, contents: Mapping[str, str]) -> int:
        """The longest condition on a table that the dump script can use, in bytes."""

    def with_checksums(self, connection: Any, parts: Sequence[Rows]) -> list[Rows]:
        """The parts with their checksums and present numbers of rows."""

    def computed(
        self, connection: Any, parts: Sequence[Rows], generated: Mapping[str, Sequence[str]]
    ) -> list[Computed]:
        """The sums of generated columns, given by table, over the parts."""

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
        computed: Sequence[Computed] = ...,
    ) -> str:
        """The text of ``restore.sh``."""

    def change_mark(self, connection: Any) -> object | None:
        """A value that is another one after each change of the server's tables, definitions and grants.

        It says nothing of tables of other engines than InnoDB. None if there is no such value.
        """

    def require_condition(self, condition: str) -> None:
        """Raise `Refused` unless a text from a stranger is one condition of WHERE that only reads."""

    def analyze(self, connection: Any, tables: Sequence[str]) -> None:
        """Make the statistics of tables that were just loaded, by which the server plans its queries."""

    def read_catalog(self, connection: Any, schemas: Iterable[str]) -> Catalog:
        """The catalog of schemas and of those that they refer to."""

    def end_others(self, connection: Any) -> None:
        """End what the account's other connections are doing."""

    def missing_tables(self, connection: Any, names: Sequence[str]) -> list[str]:
        """Full names of the tables and views that the account does not see."""

    def texts_of(self, sql: str) -> Texts:
        """The literals, names, comments and possible secrets in an SQL text."""

    def without_names(self, sql: str, names: Collection[str]) -> str:
        """The text with question marks in place of these names (given in lower case)."""

    def structure_texts(
        self, connection: Any, tables: Iterable[str]
    ) -> Iterable[tuple[str, str, tuple[str, ...]]]:
        """Texts in the structure of tables: where each is, what it is, and its values."""

    def told(self) -> AbstractContextManager[None]:
        """In a block, turn the driver's errors into `ConnectionLost`, `Interrupted` or `Refused`."""

    # ---------------------------------------------------------------- shared log

    @property
    def log_types(self) -> Mapping[str, str]:
        """Words of a definition: a ``number`` that the server gives, an ``int``, a ``bigint``, and ``bytes``."""

    def log_rights(self, schema: str) -> tuple[str, str]:
        """What the account that declares the tables needs, and what all others need, in words."""

    def table_names(self, connection: Any, schema: str) -> set[str]:
        """The tables and views of a schema that the account sees. Also takes a DataJoint connection."""

    def settle_columns(self, connection: Any, schema: str, tables: Collection[str]) -> None:
        """Make texts of tables that DataJoint declared tell case and accents apart, and both its lines read them."""

    def locked(self, connection: Any, name: str, seconds: int) -> AbstractContextManager[bool]:
        """Hold a named lock of the server in a block; gives whether the connection got it within that time."""

    def transaction(self, connection: Any) -> AbstractContextManager[None]:
        """In a block, what is written is stored as a whole at its end, or not at all."""

    def insert_numbered(self, connection: Any, table: str, row: Mapping[str, Any], number: str) -> int:
        """Insert a row. Returns the number that the server gave it in the column ``number``."""

    def stream(self, connection: Any, sql: str, arguments: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Rows of a query as they arrive, in `one_moment`."""

    # ---------------------------------------------------------------- replay

    @property
    def session_settings(self) -> tuple[str, ...]:
        """Session settings that a result can depend on."""

    def as_sent(self, connection: Any) -> AbstractContextManager[None]:
        """In a block, results of a connection are bytes, exactly as the server sends them."""

    def match_sessions(self, source: Any, loaded: Any) -> list[str]:
        """Copy the session settings of the source to the slice. Returns those it refuses, in words."""

    def one_moment(self, connection: Any) -> AbstractContextManager[None]:
        """In a block, read one consistent state of the database."""

    def reading_tables(self, connection: Any) -> None:
        """Set the session as the dump program does."""

    def set_session(self, connection: Any, settings: Mapping[str, str]) -> list[str]:
        """Restore recorded session settings. Returns those that this server does not know, in words."""

    def fixed_session(self, connection: Any) -> dict[str, str]:
        """The session settings in a form that another machine understands."""

    def replayer(self, *connections: Any) -> Replayer:
        """A `Replayer` for some connections."""

    def number(self, connection: Any, sql: str) -> int:
        """The number that a query returns."""

    def digest(
        self, connection: Any, sql: str, digits: int | None = None, forms: Forms | None = None
    ) -> Digest:
        """Run a statement and digest its result. Raises `Refused`, `Interrupted` and `ConnectionLost`."""

    def difference(self, one: Any, other: Any, sql: str) -> tuple[Difference, Difference]:
        """For a statement, the rows that only the first and that only the second connection returns."""
