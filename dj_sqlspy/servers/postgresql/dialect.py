"""Dialect: how PostgreSQL writes names, literals and conditions on keys.

In: names, columns and values of keys. Out: SQL that means the same in any session with
``standard_conforming_strings``, for any value. It does not parse and asks no server.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ... import names
from ..columns import Column
from ..dialect import Literals, Spelling
from ..session import PLAIN

# A name of more bytes is cut by the server.
LONGEST_NAME = 63

ZONED = "timestamp with time zone"

# Literals, and the tokens that may contain quotes or digits without being literals (PostgreSQL's manual, section 4.1).
_TOKENS = re.compile(
    r"""(
      "(?:[^"]|"")*"                                         # quoted identifier
    | [eE](?<![\w$].)'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'    # strings
    | [0-9](?<![\w$.@"].)(?:[\d_]*\.?[\d_]*(?:[eE][+-]?[\d_]+)?|(?<=0)[xXoObB][0-9a-fA-F_]+)(?![\w$"])
    | \.(?<![\w$.@"].)[\d_]+(?:[eE][+-]?[\d_]+)?(?![\w$"])
    | /\*.*?\*/ | --[^\n]*\n?                               # comments
    )""",
    re.VERBOSE | re.DOTALL,
)
_LITERALS = Literals(
    _TOKENS,
    r"""((?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')""",
    '"',
    r"\$|_u|_aggr",
    re.compile(r"\$\w*\$|/\*.*?/\*", re.DOTALL),  # strings with $$, comments in comments
)


class PostgreSQLDialect(Spelling):
    """The `Dialect` of PostgreSQL.

    >>> columns = [Column("n", "integer", "integer", False, None, ""), Column("t", "text", "text", False, None, "")]
    >>> POSTGRESQL.among('"n"', columns[:1], [(3,), (4,)])
    '"n" IN (3, 4)'
    >>> POSTGRESQL.among('"n", "t"', columns, [(3, "x"), (4, "y")])
    '("n", "t") IN (VALUES (3, \\'x\\'::TEXT), (4, \\'y\\'::TEXT))'
    >>> POSTGRESQL.returned('"a"', ["1", "2"]), POSTGRESQL.returned('"a", "b"', ["(1, 2)", "(3, 4)"])
    ('("a") IN (1, 2)', '("a", "b") IN (VALUES (1, 2), (3, 4))')
    """

    name = "postgresql"
    system_schemas = frozenset({"information_schema", "pg_catalog", "pg_toast"})
    described_in = "pg_catalog"
    snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    literals = _LITERALS
    whole_rows = True
    key_texts = frozenset({"character varying", "character", "text"})
    key_uuid = "uuid"
    endless = PLAIN  # a recursive query may take any number of rounds
    not_hashed = frozenset(
        kind + suffix
        for kind in ("bit", "bit varying", "money", "tsquery", "tsvector")
        for suffix in ("", "[]")
    )
    null_safe = "IS NOT DISTINCT FROM"
    # IN with a list of row constructors takes time that grows with the square of its length, and more than the stack
    # from some 30,000 rows; VALUES is hashed
    before_rows = "VALUES "

    def quote(self, name: str) -> str:
        """Quote one identifier.

        >>> POSTGRESQL.quote("session"), POSTGRESQL.quote('a"b')
        ('"session"', '"a""b"')
        """
        return names.quoted(name, '"')

    @staticmethod
    @lru_cache(maxsize=10_000)
    def full_name(schema: str, table: str) -> str:
        """Quoted, schema-qualified table name, as DataJoint's ``full_table_name``.

        >>> POSTGRESQL.full_name("lab", "#species")
        '"lab"."#species"'
        """
        return f"{names.quoted(schema, chr(34))}.{names.quoted(table, chr(34))}"

    def returned_by(self, query: str, expressions: str) -> str:
        """The condition that the values of some expressions are a row of a query's result."""
        return f"({expressions}) IN ({query})"

    def exists(self, values: str, query: str) -> str:
        """A query that returns a row if some values are a row of a query's result."""
        return f'SELECT 1 WHERE ({values}) IN (SELECT * FROM ({query}) AS "read~")'

    def string(self, value: str) -> str:
        r"""A string literal that means the same in any session and in a shell script.

        >>> POSTGRESQL.string("it's"), POSTGRESQL.string("a\\b")
        ("'it''s'", "E'a\\x5cb'")
        """
        if value.isprintable() and "\\" not in value:
            return "'" + value.replace("'", "''") + "'"
        escaped = "".join(
            f"\\x{ord(c):02x}" if c == "\\" or (c.isascii() and not c.isprintable()) else c for c in value
        )
        return "E'" + escaped.replace("'", "''") + "'"

    def bytes(self, value: bytes) -> str:
        r"""A binary string literal.

        >>> POSTGRESQL.bytes(b"\x00a")
        "E'\\x5cx0061'::BYTEA"
        """
        return f"E'\\x5cx{value.hex()}'::BYTEA"

    def literal(self, column: Column, value: Any) -> str:
        """A literal of the column's type that equals one value of a key in any session.

        >>> POSTGRESQL.literal(Column("n", "integer", "integer", False, None, ""), 3)
        '3'
        >>> POSTGRESQL.literal(Column("d", "date", "date", False, None, ""), "2026-01-31")
        "'2026-01-31'::DATE"
        """
        if value is None:
            return f"NULL::{self.type_of(column)}"
        if isinstance(value, int):
            return str(value)
        if isinstance(value, bytes):
            return self.bytes(value)
        return f"{self.string(value)}::{self.type_of(column)}"

    def type_of(self, column: Column) -> str:
        """The type in which a key is compared (`expression`).

        Names of the server's types are in upper case, since DataJoint takes words in lower case for attributes.
        """
        kind = "timestamp without time zone" if column.data_type == ZONED else column.column_type
        return kind if '"' in kind else kind.upper()

    def expression(self, column: Column, alias: str | None = None) -> str:
        """The SQL that reads and compares a key column: a moment with a time zone is read in UTC."""
        name = (self.quote(alias) + "." if alias else "") + self.quote(column.name)
        return f"({name} AT TIME ZONE 'UTC')" if column.data_type == ZONED else name


POSTGRESQL = PostgreSQLDialect()
