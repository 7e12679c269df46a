"""Dialect: how MySQL and MariaDB write names, literals and conditions on keys.

In: names, columns and values of keys. Out: SQL that means the same on both servers, for any value. It does not parse
and asks no server.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ... import names
from ..columns import Column
from ..dialect import MANY, Literals, Spelling
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


class MySQLDialect(Spelling):
    """The `Dialect` of MySQL and MariaDB."""

    name = "mysql"
    system_schemas = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
    described_in = "information_schema"
    snapshot = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
    null_safe = "<=>"
    literals = _LITERALS
    whole_rows = False
    key_texts = frozenset({"char", "varchar"})
    key_uuid = "binary(16)"
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

    def returned_by(self, query: str, expressions: str) -> str:
        """The condition that the values of some expressions are a row of a query's result.

        The hint prevents a semijoin: on the inner side of a LEFT JOIN, MySQL 9.7 would return rows that the subquery
        excludes. MariaDB reads the hint as a comment.

        >>> MYSQL.returned_by("SELECT x, y FROM t", "a, b")
        '(a, b) IN (SELECT /*+ NO_SEMIJOIN() */ x, y FROM t)'
        """
        return f"({expressions}) IN ({query.replace('SELECT ', 'SELECT /*+ NO_SEMIJOIN() */ ', 1)})"

    def exists(self, values: str, query: str) -> str:
        """A query that returns a row if some values are a row of a query's result."""
        return f"SELECT 1 FROM DUAL WHERE ({values}) IN (SELECT * FROM ({query}) AS `read~`)"

    def few(self, table: str) -> str:
        """A query for the number of rows of a table.

        MySQL 8.0.14 and later start threads for COUNT(*) of a table, which takes 5 ms. For it the comments are none,
        and some rows are counted without threads. MariaDB counts the table.

        >>> MYSQL.few("`lab`.`subject`")
        'SELECT COUNT(*) FROM /*!80014 (SELECT 1 FROM */ `lab`.`subject` /*!80014 LIMIT 10000) AS few */'
        """
        return f"SELECT COUNT(*) FROM /*!80014 (SELECT 1 FROM */ {table} /*!80014 LIMIT {MANY}) AS few */"

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


MYSQL = MySQLDialect()
