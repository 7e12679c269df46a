"""Reads: which statements read rows, told from their tokens without parsing them.

In: the text of a statement. Out: its first word, whether it may hold a SELECT, whether it reads only books
that DataJoint and the server keep. If the text does not tell, the statement counts as one that reads data:
lineage has a parser and decides later. It is called for each statement of a session. So a search for short texts comes
first, and the text is split into tokens only where a word that matters is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
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
# A procedure or a prepared statement can read; the stage of lineage says what it can make of it.
READS = _QUERIES | {"CALL", "EXECUTE", "HANDLER"}
# So can compound statements, which MariaDB takes outside of procedures.
_COMPOUND = frozenset({"BEGIN", "CASE", "FOR", "IF", "LOOP", "REPEAT", "WHILE"})
MAY_READ = _COMPOUND | {"INSERT", "REPLACE", "CREATE", "SET", "DO"}

_BOOKKEEPING_TABLES = frozenset({"~log", "~jobs", "~lineage"})
_LOG_TABLE = re.compile(r"export_selection(__(statement|table|file))?|__export(__(table|file))?")
# Only where one of these is found are the tables looked at.
_BOOKKEEPING_MARKS = (
    *("nformation_schema", "NFORMATION_SCHEMA", "erformance_schema", "ERFORMANCE_SCHEMA"),
    *("`~log`", "`~jobs`", "`~lineage`", "`~~", "mysql.", "`mysql`", "sys.", "`sys`"),
)
# What SELECTs of DataJoint's own hold that name no table.
_SESSION_STATE = frozenset(
    """
CONNECTION_ID CURRENT_TIMESTAMP CURRENT_USER DATABASE INTERVAL NOW ROW_COUNT SELECT USER VERSION
MICROSECOND SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR
( ) , ; + - @@
""".split()  # noqa: SIM905
)


def head(query: str) -> str:
    """The first word of a statement, in upper case; empty where there is none.

    >>> head("/* mine */ (select 1)"), head("/*!50000 SELECT */ 1"), head("")
    ('SELECT', 'SELECT', '')
    """
    match = _HEAD.match(query)
    return match.group(1).upper() if match else ""


def without_comments(query: str) -> str:
    """A statement with a space for each comment; what ``/*! … */`` executes stays.

    >>> without_comments("/* a */ USE/* b */lab # c"), without_comments("/*!40101 SET @a = '--' */")
    (' USE lab', "  SET @a = '--'")
    """
    if "/*" not in query and "--" not in query and "#" not in query:
        return query
    query = _EXECUTED.sub(r" \1 ", query)
    parts, end = [], 0
    for token in _tokens(query) or ():
        if token.start < end:  # what follows a command is one token, wherever it says that it stands
            return query
        gap = query[end : token.start]
        parts += [" " if gap.strip() else gap, query[token.start : token.end + 1]]
        end = token.end + 1
    return "".join(parts) or query


def reads_inside(query: str) -> bool:
    """Whether a statement of `MAY_READ` may hold a SELECT (a superset of those that do).

    >>> reads_inside("INSERT INTO a (x) SELECT x FROM b"), reads_inside("INSERT INTO a VALUES ('SELECT')")
    (True, False)
    """
    upper = query.upper()
    if "SELECT" not in upper and "TABLE" not in upper:
        return False
    if "/*!" in query or "/*M!" in query:
        return True
    tokens = _tokens(query)
    if tokens is None:
        return True
    words = [_word(token) for token in tokens]
    if "CREATE" in words[:1] and "TABLE" in words:
        words.remove("TABLE")  # that of CREATE TABLE
    return "SELECT" in words or "TABLE" in words


def is_bookkeeping(sql: str) -> bool:
    """Whether a SELECT reads nothing but DataJoint's or the server's own books.

    Where a statement names any other table, or could, it is not.

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
    # searches for short texts are fast also in a long statement, and nearly always end it here
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
    """Whether a SELECT reads nothing but the shared log in a schema.

    >>> is_of_log("SELECT * FROM `log`.`export_selection`", "log"), is_of_log("SELECT * FROM `log`.`trial`", "log")
    (True, False)
    """
    if "`export_selection" not in sql and "`__export" not in sql:
        return False
    return _reads_only(sql, lambda name: name.schema == schema and bool(_LOG_TABLE.fullmatch(name.table)))


def counts_rows_read(query: str) -> bool:
    """Whether the number of rows that an INSERT … SELECT changed is that of the rows that it read.

    >>> counts_rows_read("INSERT INTO a SELECT 1"), counts_rows_read("REPLACE INTO a SELECT 1")
    (True, False)
    """
    upper = query.upper()
    return head(query) == "INSERT" and "IGNORE" not in upper and "DUPLICATE" not in upper


def tables(sql: str, database: str = "") -> set[tuple[str, str]]:
    """Schema and name of the tables that a SELECT reads, as the text has them; to count with, not to export by.

    >>> sorted(tables("SELECT * FROM `lab`.`a` JOIN (SELECT 'FROM x' FROM b) y USING (n)", "mine"))
    [('lab', 'a'), ('mine', 'b')]
    """
    tokens = _tokens(sql) or []
    return {(name.schema or database, name.table) for name in _tables(tokens) if name is not None}


# --- tokens ---------------------------------------------------------------------------------------------------


class _Name(NamedTuple):
    """A table as a statement names it; ``schema`` is empty where it names none."""

    schema: str
    table: str


def _tokens(sql: str) -> list[Any] | None:
    """The tokens of a text, None where a quote is not closed. sqlglot is imported when the first text needs it."""
    with suppress(LineageError):  # only its compiled build is there, whose tokens are the same
        from ..servers.mysql import interpreted as interpreted
    from sqlglot.dialects.mysql import MySQL
    from sqlglot.errors import SqlglotError

    try:
        found = list(MySQL().tokenize(sql))
    except SqlglotError:
        return None
    if (
        len(found) > 1 and found[0].token_type in MySQL.Tokenizer.COMMANDS
    ):  # one token is all the rest of REPLACE
        rest = _tokens(found[1].text)
        return None if rest is None else [found[0], *rest]
    return found


def _word(token: Any) -> str:
    """A token in upper case; empty for a literal and for a quoted name."""
    kind = token.token_type.name
    return "" if kind == "IDENTIFIER" or kind.endswith("STRING") else token.text.upper()


def _is_name(token: Any) -> bool:
    return token.token_type.name in ("IDENTIFIER", "VAR")


def _is_session_state(sql: str) -> bool:
    """Whether a SELECT asks for nothing but what the session is."""
    words = [_word(token) for token in _tokens(sql) or ()]
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


def _is_book(name: _Name) -> bool:
    return (
        name.schema.lower() in MYSQL.system_schemas
        or name.table in _BOOKKEEPING_TABLES
        or name.table.startswith("~~")
    )


def _reads_only(sql: str, meets: Any) -> bool:
    """Whether all tables that a query reads can be told, and meet a condition."""
    if head(sql) not in _QUERIES or "/*!" in sql or "/*M!" in sql:
        return False
    # a backslash is a character like any other where the session says NO_BACKSLASH_ESCAPES
    for text in (sql, sql.replace("\\", "")) if "\\" in sql else (sql,):
        tokens = _tokens(text)
        found = [None] if tokens is None else list(_tables(tokens))
        if not found or not all(name is not None and meets(name) for name in found):
            return False
    return True


# After one of these a table is named, or parentheses hold tables or a query.
_BEFORE_TABLES = frozenset({"FROM", "JOIN", "STRAIGHT_JOIN", "TABLE"})
# Up to one of these a comma of FROM is followed by a table.
_AFTER_FROM = frozenset(
    """
SELECT WHERE HAVING LIMIT OFFSET FETCH WINDOW UNION EXCEPT MINUS INTERSECT VALUES
""".split()  # noqa: SIM905
) | {"GROUP BY", "ORDER BY"}
# Index hints name ORDER BY and GROUP BY, {oj …} is another way to join, and ; begins another statement.
_NOT_TOLD = frozenset({"USE", "FORCE", "IGNORE", "{", ";"})


def _tables(tokens: list[Any]) -> Iterator[_Name | None]:
    """The tables that a query reads; None for what may read others: stored functions, and what is not understood."""
    in_from, expected = False, False
    around: list[bool] = []  # for each open parenthesis, whether it stands in FROM
    place, end = 0, len(tokens)
    if tokens and tokens[-1].token_type.name == "SEMICOLON":
        end -= 1
    while place < end:
        token, word = tokens[place], _word(tokens[place])
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
                yield _Name(token.text, tokens[place + 1].text)
                place += 2
            elif following == "(":
                if word != "JSON_TABLE":
                    yield None
            else:
                yield _Name("", token.text)
        elif (
            _is_name(token)
            and following == "("
            and (word not in SERVER_FUNCTIONS or _after_dot(tokens, place - 1))
        ):
            yield None
    if expected or around:
        yield None


def _after_dot(tokens: list[Any], place: int) -> bool:
    return place > 0 and bool(tokens[place - 1].text == ".")
