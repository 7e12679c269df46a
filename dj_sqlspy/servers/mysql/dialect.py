"""Dialect: how MySQL and MariaDB write names, literals and conditions on keys.

In: names, columns and values of keys. Out: SQL that means the same on both servers, for any value. It does not parse
and asks no server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from ... import names
from ..columns import INTEGER_TYPES, Column
from ..dialect import LIST_BYTES, Key, Literals
from ..session import Session

# Marks the character set of the driver itself, in which it writes texts, among what a connection has set.
DRIVER = "/* the driver */"

# Literals, and the tokens that may contain quotes or digits without being literals (comments, quoted identifiers).
# MySQL 9 reference manual, sections 11.1 (literals), 11.7 (comments). Each alternative names its first characters, so
# the search can skip all others.
_TOKENS = re.compile(
    r"""(
      `[^`]*`                                                # quoted identifier; of one with `` each half
    | '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*"            # strings
    | [0-9](?<![\w$.@`].)(?:
          (?<=0)x[0-9a-fA-F]+(?![\w$])
        | \d*\.?\d*(?:[eE][+-]?\d+)?(?![\w$`])
      )                                                      # numbers
    | \.(?<![\w$.@`].)\d+(?:[eE][+-]?\d+)?(?![\w$`])
    | [xX](?<![\w$].)'[0-9a-fA-F]*'
    | /\*.*?\*/ | --[ \t][^\n]*\n? | \#[^\n]*\n?             # comments
    )""",
    re.VERBOSE | re.DOTALL,
)
_LITERALS = Literals(
    _TOKENS,
    r"""(?!.?.\$)('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")""",  # no JSON path
    "`",
    r"\$|_u",
)


class MySQLDialect:
    """The `Dialect` of MySQL and MariaDB."""

    name = "mysql"
    system_schemas = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
    literals = _LITERALS
    # after 1,000 rounds, MySQL ends with an error, and MariaDB with the rows so far and a warning
    endless = Session(
        settings=(
            "SET SESSION /*!80000 cte_max_recursion_depth */ /*M! max_recursive_iterations */ = 4294967295",
        )
    )

    def quote(self, name: str) -> str:
        """Quote one identifier.

        >>> MYSQL.quote("session"), MYSQL.quote("a`b")
        ('`session`', '`a``b`')
        """
        return names.quoted(name, "`")

    @staticmethod
    @lru_cache(maxsize=10_000)
    def full_name(schema: str, table: str) -> str:
        """Quoted, schema-qualified table name, as DataJoint's ``full_table_name``.

        >>> MYSQL.full_name("lab", "#species")
        '`lab`.`#species`'
        """
        return f"{names.quoted(schema, '`')}.{names.quoted(table, '`')}"

    def columns(self, names: Iterable[str], alias: str | None = None) -> str:
        """Comma-separated quoted column names.

        >>> MYSQL.columns(["a", "b"]), MYSQL.columns(["a"], "t0")
        ('`a`, `b`', '`t0`.`a`')
        """
        prefix = f"{self.quote(alias)}." if alias else ""
        return ", ".join(prefix + self.quote(name) for name in names)

    def equal(self, columns: Sequence[str], alias: str, others: Sequence[str], other_alias: str) -> str:
        """The condition that columns of two tables are equal, pair by pair: the ON of a foreign key.

        >>> MYSQL.equal(["a", "b"], "c", ["x", "y"], "p")
        '`c`.`a` = `p`.`x` AND `c`.`b` = `p`.`y`'
        """
        own = [self.columns([column], alias) for column in columns]
        theirs = [self.columns([column], other_alias) for column in others]
        return " AND ".join(f"{one} = {other}" for one, other in zip(own, theirs, strict=True))

    def returned_by(self, query: str, expressions: str) -> str:
        """The condition that the values of some expressions are a row of a query's result.

        The hint prevents a semijoin: on the inner side of a LEFT JOIN, MySQL 9.7 would return rows that the subquery
        excludes. MariaDB reads the hint as a comment.

        >>> MYSQL.returned_by("SELECT x, y FROM t", "a, b")
        '(a, b) IN (SELECT /*+ NO_SEMIJOIN() */ x, y FROM t)'
        """
        return f"({expressions}) IN ({query.replace('SELECT ', 'SELECT /*+ NO_SEMIJOIN() */ ', 1)})"

    def returned(self, names: str, rows: Sequence[str]) -> str:
        """The condition that some expressions have the values of one of some rows, which are written as SQL.

        >>> MYSQL.returned("`a`, `b`", ["(1, 2)", "(3, 4)"])
        '(`a`, `b`) IN ((1, 2), (3, 4))'
        """
        return f"({names}) IN ({', '.join(rows)})"

    def exists(self, values: str, query: str) -> str:
        """A query that returns a row if some values are a row of a query's result."""
        return f"SELECT 1 FROM DUAL WHERE ({values}) IN (SELECT * FROM ({query}) AS `read~`)"

    def string(self, value: str) -> str:
        r"""A string literal that means the same in every ``sql_mode`` and in a shell script.

        Printable ASCII without backslash stays readable. Anything else is written as the hexadecimal bytes of its
        UTF-8 form with an introducer, so neither NO_BACKSLASH_ESCAPES nor the client's charset matters.

        >>> MYSQL.string("it's")
        "'it''s'"
        >>> MYSQL.string("a\\b")
        "_utf8mb4 X'615C62'"
        """
        if value.isascii() and value.isprintable() and "\\" not in value:
            return "'" + value.replace("'", "''") + "'"
        return f"_utf8mb4 {self.bytes(value.encode())}"

    def bytes(self, value: bytes) -> str:
        r"""A binary string literal.

        >>> MYSQL.bytes(b"\x00a")
        "X'0061'"
        """
        return f"X'{value.hex().upper()}'"

    def literal(self, column: Column, value: Any) -> str:
        """An SQL literal that equals one value of a key in any session.

        >>> MYSQL.literal(Column("n", "int", "int", False, None, ""), 3)
        '3'
        """
        if value is None:
            return "NULL"
        if isinstance(value, int):
            return str(value)
        if isinstance(value, bytes):
            return self.bytes(value)
        if column.numeric or column.data_type == "timestamp":
            return str(value)
        text = self.string(value)
        if text[0] == "_" and column.charset is not None and not column.charset.startswith("utf8"):
            # MariaDB finds no rows for a list of row literals that it must convert itself
            return f"CONVERT({text} USING {column.charset})"
        return text

    def expression(self, column: Column, alias: str | None = None) -> str:
        """The SQL that reads and compares a key column.

        It is the column itself, except for types whose printed form depends on the session or is rounded: TIMESTAMP
        is read as UTC seconds, FLOAT as the equal DOUBLE.
        """
        name = (self.quote(alias) + "." if alias else "") + self.quote(column.name)
        if column.data_type == "timestamp":
            return f"UNIX_TIMESTAMP({name})"
        if column.data_type == "float":
            return f"CAST({name} AS DOUBLE)"
        return name

    def expressions(self, columns: Iterable[Column], alias: str | None = None) -> str:
        """`expression` of several columns, comma-separated."""
        return ", ".join(self.expression(column, alias) for column in columns)

    def condition(self, names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
        """The condition that the expressions ``names`` equal one of ``keys``.

        Keys with a NULL (of rows that a LEFT JOIN filled) are compared with ``<=>``.
        """
        plain = [key for key in keys if None not in key]
        parts = [self.among(names, columns, plain)] if plain else []
        left = names.split(", ")
        for key in keys if len(plain) < len(keys) else ():
            if None in key:
                values = zip(left, columns, key, strict=True)
                equal = [f"{name} <=> {self.literal(column, value)}" for name, column, value in values]
                parts.append(f"({' AND '.join(equal)})")
        return "(" + " OR ".join(parts) + ")" if parts else "FALSE"

    def among(self, names: str, columns: Sequence[Column], keys: Sequence[Key]) -> str:
        """The condition that the expressions ``names`` equal one of ``keys``, which contain no NULLs.

        >>> MYSQL.among("`n`", [Column("n", "int", "int", False, None, "")], [(3,), (4,)])
        '`n` IN (3, 4)'
        """
        single, literal = len(columns) == 1, self.literal
        if all(column.data_type in INTEGER_TYPES for column in columns):  # written alike in Python and SQL
            text = str([key[0] for key in keys] if single else list(keys))[1:-1]
        elif single:
            text = ", ".join([literal(columns[0], key[0]) for key in keys])
        else:
            text = ", ".join(
                [f"({', '.join([literal(c, v) for c, v in zip(columns, key, strict=True)])})" for key in keys]
            )
        return f"{names if single else f'({names})'} IN ({text})"

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


MYSQL = MySQLDialect()
