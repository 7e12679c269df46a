"""Dialect: the interface to a server's way of writing SQL.

Each kind of server has one (`mysql.dialect`). Every `Table` and `Catalog` carries its dialect, so no room above quotes
a name or writes a literal itself. `Spelling` is what they have in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

from .columns import INTEGER_TYPES, Column
from .session import Session

# A primary key: integers and bits as int, bytes as bytes, anything else as the text that the server prints (`keys`).
Key: TypeAlias = "tuple[Any, ...]"

# Bytes of one list of keys. MySQL's max_allowed_packet is at least 1 MiB (default: MariaDB 16 MiB, MySQL 64 MiB).
# Parse time grows with the list, so longer lists gain nothing.
LIST_BYTES = 400_000
# Rows that are worth more than one way to count them (`Dialect.few`).
MANY = 10_000


@dataclass(frozen=True)
class Literals:
    """Where a text has literals.

    Attributes
    ----------
    tokens : re.Pattern
        Splits a text at its literals, quoted names and comments.
    string : str
        A pattern for strings.
    quote : str
        The quotation mark of names.
    aliases : str
        A pattern for what stands before the number in the aliases that DataJoint numbers.
    untold : re.Pattern or None
        In a text with this, the literals are not told by the patterns.
    """

    tokens: re.Pattern[str]
    string: str
    quote: str
    aliases: str
    untold: re.Pattern[str] | None = None

    @cached_property
    def numbered(self) -> re.Pattern[str]:
        """An alias that DataJoint numbers; its group is what stands before the number."""
        return re.compile(f"{self.quote}({self.aliases})[0-9a-f]+{self.quote}")

    @cached_property
    def pieces(self) -> re.Pattern[str]:
        """Splits a template at literals and such aliases."""
        return re.compile(rf"(\0[snx]|{self.quote}(?:{self.aliases})[0-9a-f]+{self.quote})")

    def lifts(self, sql: str) -> bool:
        """Whether the literals of a text are told by the patterns."""
        return self.untold is None or self.untold.search(sql) is None


class Dialect(Protocol):
    """How a server writes names, literals and conditions on keys."""

    @property
    def name(self) -> str:
        """The name of the backend."""

    @property
    def system_schemas(self) -> frozenset[str]:
        """The server's own schemas, in lower case."""

    @property
    def described_in(self) -> str:
        """The server's schema that describes tables."""

    @property
    def snapshot(self) -> str:
        """The statement that begins a snapshot."""

    @property
    def literals(self) -> Literals:
        """Where statements have literals (`shapes`)."""

    @property
    def whole_rows(self) -> bool:
        """Whether the name of a table can stand for a row of it in an expression."""

    @property
    def key_texts(self) -> frozenset[str]:
        """The types of texts that a key can have."""

    @property
    def key_uuid(self) -> str:
        """The type of UUIDs, as DataJoint stores them."""

    @property
    def endless(self) -> Session:
        """The session in which a recursive query may take any number of rounds."""

    @property
    def not_hashed(self) -> frozenset[str]:
        """Types of which no recursive query can hold values."""

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

    def few(self, table: str) -> str:
        """A query for the number of rows of a table, by its full name. If it says `MANY`, there can be more."""

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


class Spelling(Dialect):
    """Conditions on columns and keys, from a dialect's names and literals.

    Attributes
    ----------
    null_safe : str
        The operator by which NULL equals NULL.
    before_rows : str
        What stands before the rows of a list.
    """

    null_safe: str
    before_rows = ""
    not_hashed: frozenset[str] = frozenset()

    def columns(self, names: Iterable[str], alias: str | None = None) -> str:
        """Comma-separated quoted column names.

        >>> from dj_sqlspy.servers.mysql.dialect import MYSQL
        >>> MYSQL.columns(["a", "b"]), MYSQL.columns(["a"], "t0")
        ('`a`, `b`', '`t0`.`a`')
        """
        prefix = f"{self.quote(alias)}." if alias else ""
        return ", ".join(prefix + self.quote(name) for name in names)

    def few(self, table: str) -> str:
        return f"SELECT COUNT(*) FROM {table}"

    def equal(self, columns: Sequence[str], alias: str, others: Sequence[str], other_alias: str) -> str:
        """The condition that columns of two tables are equal, pair by pair: the ON of a foreign key.

        >>> from dj_sqlspy.servers.mysql.dialect import MYSQL
        >>> MYSQL.equal(["a", "b"], "c", ["x", "y"], "p")
        '`c`.`a` = `p`.`x` AND `c`.`b` = `p`.`y`'
        """
        own = [self.columns([column], alias) for column in columns]
        theirs = [self.columns([column], other_alias) for column in others]
        return " AND ".join(f"{one} = {other}" for one, other in zip(own, theirs, strict=True))

    def returned(self, names: str, rows: Sequence[str]) -> str:
        """The condition that some expressions have the values of one of some rows, which are written as SQL.

        >>> from dj_sqlspy.servers.mysql.dialect import MYSQL
        >>> MYSQL.returned("`a`, `b`", ["(1, 2)", "(3, 4)"])
        '(`a`, `b`) IN ((1, 2), (3, 4))'
        """
        before = self.before_rows if rows[0].startswith("(") else ""
        return f"({names}) IN ({before}{', '.join(rows)})"

    def expressions(self, columns: Iterable[Column], alias: str | None = None) -> str:
        """`expression` of several columns, comma-separated."""
        return ", ".join(self.expression(column, alias) for column in columns)

    def condition(self, names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
        """The condition that the expressions ``names`` equal one of ``keys``.

        Keys with a NULL (of rows that a LEFT JOIN filled) are compared with `null_safe`.
        """
        plain = [key for key in keys if None not in key]
        parts = [self.among(names, columns, plain)] if plain else []
        left = names.split(", ")
        for key in keys if len(plain) < len(keys) else ():
            if None in key:
                values = zip(left, columns, key, strict=True)
                equal = [
                    f"{name} {self.null_safe} {self.literal(column, value)}" for name, column, value in values
                ]
                parts.append(f"({' AND '.join(equal)})")
        return "(" + " OR ".join(parts) + ")" if parts else "FALSE"

    def among(self, names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
        """The condition that the expressions ``names`` equal one of ``keys``, which contain no NULLs.

        >>> from dj_sqlspy.servers.mysql.dialect import MYSQL
        >>> MYSQL.among("`n`", [Column("n", "int", "int", False, None, "")], [(3,), (4,)])
        '`n` IN (3, 4)'
        """
        single, literal = len(columns) == 1, self.literal
        before = "" if single or len(keys) == 1 else self.before_rows
        if all(column.data_type in INTEGER_TYPES for column in columns):  # written alike in Python and SQL
            text = str([key[0] for key in keys] if single else list(keys))[1:-1]
        elif single:
            text = ", ".join([literal(columns[0], key[0]) for key in keys])
        else:
            text = ", ".join(
                [f"({', '.join([literal(c, v) for c, v in zip(columns, key, strict=True)])})" for key in keys]
            )
        return f"{names if single else f'({names})'} IN ({before}{text})"

    def chunks(
        self, columns: Sequence[Column], keys: Iterable[Key], most_bytes: int = LIST_BYTES
    ) -> Iterator[list[Key]]:
        """Keys in lists of at least one key, each about ``most_bytes`` of SQL at most."""
        chunk: list[Key] = []
        size, literal = 0, self.literal
        integers = all(column.data_type in INTEGER_TYPES for column in columns)
        for key in keys:
            if integers:
                length = 2 + len(str(key))
            else:
                length = 4 + sum([2 + len(literal(c, v)) for c, v in zip(columns, key, strict=True)])
            if chunk and size + length > most_bytes:
                yield chunk
                chunk, size = [], 0
            chunk.append(key)
            size += length
        if chunk:
            yield chunk
