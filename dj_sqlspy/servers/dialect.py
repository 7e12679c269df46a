"""Dialect: what the rooms above may ask of a server's way to write SQL.

Each server has one (`mysql.dialect`). A `Table` and a `Catalog` hand theirs on, so that no room above quotes a name or
writes a literal by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from .columns import Column

# A primary key: integers and bits as int, bytes as bytes, anything else the text that the server prints (`keys`).
Key: TypeAlias = "tuple[Any, ...]"

# The bytes of one list of keys; MySQL's max_allowed_packet is at least 1 MiB (MariaDB 16 MiB, MySQL 64 MiB default)
# and parse time grows with the list, so that longer lists gain nothing.
LIST_BYTES = 400_000


class Dialect(Protocol):
    """How a server writes names, literals and conditions on keys."""

    @property
    def name(self) -> str:
        """Of the backend."""

    @property
    def system_schemas(self) -> frozenset[str]:
        """The server's own schemas, in lower case."""

    def quote(self, name: str) -> str:
        """One identifier, quoted."""

    def full_name(self, schema: str, table: str) -> str:
        """The name of a table with its schema, as DataJoint's ``full_table_name``."""

    def columns(self, names: Iterable[str], alias: str | None = None) -> str:
        """Comma-separated quoted column names."""

    def equal(self, columns: Sequence[str], alias: str, others: Sequence[str], other_alias: str) -> str:
        """The condition that columns of two tables are equal, pair by pair: the ON of a foreign key."""

    def returned_by(self, query: str, expressions: str) -> str:
        """The condition that some expressions are a row of what a query returns."""

    def string(self, value: str) -> str:
        """A string literal that holds in any session and survives a shell file."""

    def literal(self, column: Column, value: Any) -> str:
        """One value of a key as a literal that equals it in any session."""

    def expression(self, column: Column, alias: str | None = None) -> str:
        """The SQL under which a key column is read and compared."""

    def expressions(self, columns: Iterable[Column], alias: str | None = None) -> str:
        """`expression` of several columns, comma-separated."""

    def condition(self, names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
        """The condition that the expressions ``names`` equal one of ``keys``, in which NULLs may stand."""

    def among(self, names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
        """As `condition`, for keys without a NULL."""

    def chunks(
        self, columns: Sequence[Column], keys: Iterable[Key], most_bytes: int = LIST_BYTES
    ) -> Iterator[list[Key]]:
        """Keys in lists whose SQL text is at most about ``most_bytes`` long, at least one key each."""
