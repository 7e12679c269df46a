"""Reads: finds the statements that read rows, from their tokens, without a parser.

In: the text of a statement. Out: its first word, whether it may contain a SELECT, whether it reads only bookkeeping
tables of DataJoint or the server. In doubt a statement counts as reading data; lineage, which has a parser, decides
later. This runs for each statement of a session, so it first searches for short texts, and tokenizes only if it finds
one that matters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import LineageError
from ..servers.mysql.dialect import MYSQL
from ..servers.mysql.functions import SERVER_FUNCTIONS

# The first word, after white space, opening parentheses and comments. The text of /*! … */ is executed.
_HEAD = re.compile(
    r"(?:[\s(;]+|--[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|/\*M?!\d*|\*/|/\*(?!M?!).*?\*/)*([A-Za-z]+)", re.DOTALL
)
_EXECUTED = re.compile(r"/\*M?!\d*(.*?)\*/", re.DOTALL)
_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
# Procedures and prepared statements can read. Lineage says later whether it can analyse them.
READS = _QUERIES | {"CALL", "EXECUTE", "HANDLER"}
# Compound statements can read too. MariaDB accepts them outside of procedures.
_COMPOUND = frozenset({"BEGIN", "CASE", "FOR", "IF", "LOOP", "REPEAT", "WHILE"})
MAY_READ = _COMPOUND | {"INSERT", "REPLACE", "CREATE", "SET", "DO"}

_BOOKKEEPING_TABLES = frozenset({"~log", "~jobs", "~lineage"})
_LOG_TABLE = re.compile(r"export_selection(__(statement|table|file))?|__export(__(table|file))?")
# The tables of a statement are looked at only if it contains one of these.
_BOOKKEEPING_MARKS = (
    *("nformation_schema", "NFORMATION_SCHEMA", "erformance_schema", "ERFORMANCE_SCHEMA"),
    *("`~log`", "`~jobs`", "`~lineage`", "`~~", "mysql.", "`mysql`", "sys.", "`sys`"),
)
# Parts of DataJoint's own SELECTs that name no table.
_SESSION_STATE = frozenset(
    """
CONNECTION_ID CURRENT_TIMESTAMP CURRENT_USER DATABASE INTERVAL NOW ROW_COUNT SELECT USER VERSION
MICROSECOND SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR
( ) , ; + - @@
""".split()  # noqa: SIM905
)


def head(query: str) -> str:
    """The first word of a statement, in upper case; empty if there is none.

    >>> head("/* mine */ (select 1)"), head("/*!50000 SELECT */ 1"), head("")
    ('SELECT', 'SELECT', '')
    """
    match = _HEAD.match(query)
    return match.group(1).upper() if match else ""


def without_comments(query: str) -> str:
    """A statement with a space instead of each comment; the text of ``/*! … */`` is executed and stays.

    >>> without_comments("/* a */ USE/* b */lab # c"), without_comments("/*!40101 SET @a = '--' */")
    (' USE lab', "  SET @a = '--'")
    """
    if "/*" not in query and "--" not in query and "#" not in query:
        return query
    query = _EXECUTED.sub(r" \1 ", query)
    parts, end = [], 0
    for token in tokens_of(query) or ():
        if token.start < end:  # what follows a command is one token, wherever it says that it stands
            return query
        gap = query[end : token.start]
        parts += [" " if gap.strip() else gap, query[token.start : token.end + 1]]
        end = token.end + 1
    return "".join(parts) or query


def reads_inside(query: str) -> bool:
    """Whether a statement of `MAY_READ` may contain a SELECT. True for all that do, and for some others.

    >>> reads_inside("INSERT INTO a (x) SELECT x FROM b"), reads_inside("INSERT INTO a VALUES ('SELECT')")
    (True, False)
    """
    upper = query.upper()
    if "SELECT" not in upper and "TABLE" not in upper:
        return False
    if "/*!" in query or "/*M!" in query:
        return True
    tokens = tokens_of(query)
    if tokens is None:
        return True
    words = [word_of(token) for token in tokens]
    if "CREATE" in words[:1] and "TABLE" in words:
        words.remove("TABLE")  # that of CREATE TABLE
    return "SELECT" in words or "TABLE" in words


def is_bookkeeping(sql: str) -> bool:
    """Whether a SELECT reads only bookkeeping tables of DataJoint or the server.

    False if the statement names any other table, or could.

    >>> is_bookkeeping("SELECT * FROM `lab`.`~log`"), is_bookkeeping("SELECT * FROM `lab`.`~external_raw`")
    (True, False)
    >>> is_bookkeeping("SELECT ROW_COUNT()"), is_bookkeeping("SELECT my_function()")
    (True, False)
    >>> is_bookkeeping("SELECT * FROM a WHERE note = 'FROM information_schema.tables'")
    False
    >>> is_bookkeeping("SELECT * FROM (`lab`.`~log` JOIN a)"), is_bookkeeping("SELECT 1 FROM `lab`.`~log`, a")
    (False, False)
    """
    if " FROM " not in sql and len(sql) < 200 and _is_session_state(sql):
        return True
    # a search for short texts is fast even in a long statement, and nearly always decides
    if (
        "`~" not in sql
        and "chema" not in sql
        and "CHEMA" not in sql
        and "sys" not in sql
        and "mysql" not in sql
    ):
        return False
    return any(mark in sql for mark in _BOOKKEEPING_MARKS) and _reads_only(sql, _is_book)


def is_of_log(sql: str, schema: str) -> bool:
    """Whether a SELECT reads only the shared log in a schema.

    >>> is_of_log("SELECT * FROM `log`.`export_selection`", "log"), is_of_log("SELECT * FROM `log`.`trial`", "log")
    (True, False)
    """
    if "`export_selection" not in sql and "`__export" not in sql:
        return False
    return _reads_only(sql, lambda name: is_log_table(name, schema))


def is_log_table(name: Name, schema: str) -> bool:
    """Whether a table is one of the shared log in a schema."""
    return name.schema == schema and bool(_LOG_TABLE.fullmatch(name.table))


def counts_rows_read(query: str) -> bool:
    """Whether the number of rows that an INSERT … SELECT changed equals the number that it read.

    >>> counts_rows_read("INSERT INTO a SELECT 1"), counts_rows_read("REPLACE INTO a SELECT 1")
    (True, False)
    """
    upper = query.upper()
    return head(query) == "INSERT" and "IGNORE" not in upper and "DUPLICATE" not in upper


def tables(sql: str, database: str = "") -> set[tuple[str, str]]:
    """Schema and name of the tables that a SELECT reads, as written. For counts only, not for an export.

    >>> sorted(tables("SELECT * FROM `lab`.`a` JOIN (SELECT 'FROM x' FROM b) y USING (n)", "mine"))
    [('lab', 'a'), ('mine', 'b')]
    """
    return {(name.schema or database, name.table) for name in _names(sql)}


@lru_cache(maxsize=10_000)
def _names(sql: str) -> frozenset[Name]:
    """The names of the tables that a query reads, of those that are told."""
    return frozenset(name for name in tables_of(tokens_of(sql) or []) if name is not None)


# --- tokens ---------------------------------------------------------------------------------------------------


class Name(NamedTuple):
    """A table as a statement names it; ``schema`` is empty if not given."""

    schema: str
    table: str


def tokens_of(sql: str, dialect: str = "mysql") -> list[Any] | None:
    """The tokens of a text; None if a quote is not closed. The first call imports sqlglot, which has the dialect."""
    with suppress(LineageError):  # its compiled build was imported before, whose tokens are the same
        from ..servers import interpreted as interpreted
    from sqlglot.dialects.dialect import Dialect
    from sqlglot.errors import SqlglotError

    written = Dialect.get_or_raise(dialect)
    try:
        found = list(written.tokenize(sql))
    except SqlglotError:
        return None
    # one token is all the rest of REPLACE, up to a semicolon
    if len(found) > 1 and found[0].token_type in written.tokenizer_class.COMMANDS:
        rest = tokens_of(found[1].text, dialect)
        return None if rest is None else [found[0], *rest, *found[2:]]
    return found


def word_of(token: Any) -> str:
    """A token in upper case; empty for a literal and for a quoted name."""
    kind = token.token_type.name
    return "" if kind == "IDENTIFIER" or kind.endswith("STRING") else token.text.upper()


def _is_name(token: Any) -> bool:
    return token.token_type.name in ("IDENTIFIER", "VAR")


def _is_session_state(sql: str) -> bool:
    """Whether a SELECT only asks for the state of the session."""
    words = [word_of(token) for token in tokens_of(sql) or ()]
    before = ["", *words]
    return (
        words[:1] == ["SELECT"]
        and words.count("SELECT") == 1
        and all(
            word in _SESSION_STATE
            or (last == "@@" or last == "." or (word == "." and "@@" in words))
            or (word.isdecimal() and (word == "1" or last in ("(", "INTERVAL", "-")))
            for last, word in zip(before, words, strict=False)
        )
    )


def _is_book(name: Name) -> bool:
    return (
        name.schema.lower() in MYSQL.system_schemas
        or name.table in _BOOKKEEPING_TABLES
        or name.table.startswith("~~")
    )


def _reads_only(sql: str, meets: Any) -> bool:
    """Whether all tables that a query reads are known and meet a condition."""
    if head(sql) not in _QUERIES or "/*!" in sql or "/*M!" in sql:
        return False
    # with NO_BACKSLASH_ESCAPES a backslash is an ordinary character
    for text in (sql, sql.replace("\\", "")) if "\\" in sql else (sql,):
        tokens = tokens_of(text)
        found = [None] if tokens is None else list(tables_of(tokens))
        if not found or not all(name is not None and meets(name) for name in found):
            return False
    return True


# A table, or parentheses with tables or a query, follow one of these.
_BEFORE_TABLES = frozenset({"FROM", "JOIN", "STRAIGHT_JOIN", "TABLE"})
# These end the list of FROM, in which a table follows each comma.
_AFTER_FROM = frozenset(
    """
SELECT WHERE HAVING LIMIT OFFSET FETCH WINDOW UNION EXCEPT MINUS INTERSECT VALUES
""".split()  # noqa: SIM905
) | {"GROUP BY", "ORDER BY"}
# Index hints name ORDER BY and GROUP BY, {oj …} is another way to join, and ; begins another statement.
_NOT_TOLD = frozenset({"USE", "FORCE", "IGNORE", "{", ";"})


def tables_of(tokens: list[Any], functions: Collection[str] = SERVER_FUNCTIONS) -> Iterator[Name | None]:
    """The tables that a query reads. None for anything that may read others: stored functions, unknown syntax."""
    in_from, expected = False, False
    around: list[bool] = []  # for each open parenthesis, whether it is in FROM
    place, end = 0, len(tokens)
    if tokens and tokens[-1].token_type.name == "SEMICOLON":
        end -= 1
    while place < end:
        token, word = tokens[place], word_of(tokens[place])
        following = tokens[place + 1].text if place + 1 < end else ""
        place += 1
        if word == "(":
            around.append(in_from)
            in_from = expected  # joined tables, unless a query follows
        elif word == ")":
            if expected or not around:
                yield None
            in_from, expected = bool(around) and around.pop(), False
        elif word in _BEFORE_TABLES:
            in_from = expected = True
        elif word in _AFTER_FROM or word == "WITH":
            in_from = expected = False
        elif word == "," and in_from:
            expected = True
        elif word == "LATERAL":
            continue
        elif word in _NOT_TOLD:
            yield None
        elif expected:
            expected = False
            if not _is_name(token):
                yield None
            elif following == "." and place + 1 < end:
                yield Name(token.text, tokens[place + 1].text)
                place += 2
            elif following == "(":
                if word != "JSON_TABLE":
                    yield None
            else:
                yield Name("", token.text)
        elif (
            _is_name(token) and following == "(" and (word not in functions or _after_dot(tokens, place - 1))
        ):
            yield None
    if expected or around:
        yield None


def _after_dot(tokens: list[Any], place: int) -> bool:
    return place > 0 and bool(tokens[place - 1].text == ".")
