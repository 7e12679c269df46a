"""Dialect: the interface to a server's way of writing SQL.

Each kind of server has one (`mysql.dialect`). Every `Table` and `Catalog` carries its dialect, so no room above quotes
a name or writes a literal itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from .columns import Column
from .session import Session

# A primary key: integers and bits as int, bytes as bytes, anything else as the text that the server prints (`keys`).
Key: TypeAlias = "tuple[Any, ...]"

# Bytes of one list of keys. MySQL's max_allowed_packet is at least 1 MiB (default: MariaDB 16 MiB, MySQL 64 MiB).
# Parse time grows with the list, so longer lists gain nothing.
LIST_BYTES = 400_000


class Dialect(Protocol):
    """How a server writes names, literals and conditions on keys."""

    @property
    def name(self) -> str:
        """The name of the backend."""

    @property
    def system_schemas(self) -> frozenset[str]:
        """The server's own schemas, in lower case."""

    @property
    def endless(self) -> Session:
        """The session in which a recursive query may take any number of rounds."""

    def quote(self, name: str) -> str:
        """One identifier, quoted."""

    def full_name(self, schema: str, table: str) -> str:
        """The name of a table with its schema, as DataJoint's ``full_table_name``."""

    def columns(self, names: Iterable[str], alias: str | None = None) -> str:
        """Comma-separated quoted column names."""

    def equal(self, columns: Sequence[str], alias: str, others: Sequence[str], other_alias: str) -> str:
        """The condition that columns of two tables are equal, pair by pair: the ON of a foreign key."""

    def returned_by(self, query: str, expressions: str) -> str:
        """The condition that the values of some expressions are a row of a query's result."""

    def returned(self, names: str, rows: Sequence[str]) -> str:
        """The condition that some expressions have the values of one of some rows, which are written as SQL."""

    def exists(self, values: str, query: str) -> str:
        """A query that returns a row if some values are a row of a query's result."""

    def string(self, value: str) -> str:
        """A string literal that means the same in any session and in a shell script."""

    def literal(self, column: Column, value: Any) -> str:
        """A literal that equals one value of a key in any session."""

    def expression(self, column: Column, alias: str | None = None) -> str:
        """The SQL that reads and compares a key column."""

    def expressions(self, columns: Iterable[Column], alias: str | None = None) -> str:
        """`expression` of several columns, comma-separated."""

    def condition(self, names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
        """The condition that the expressions ``names`` equal one of ``keys``, which may contain NULLs."""

    def among(self, names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
        """As `condition`, for keys without NULLs."""

    def chunks(
        self, columns: Sequence[Column], keys: Iterable[Key], most_bytes: int = LIST_BYTES
    ) -> Iterator[list[Key]]:
        """Keys in lists of at least one key, each about ``most_bytes`` of SQL at most."""
