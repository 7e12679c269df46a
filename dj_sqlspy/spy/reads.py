"""Reads: which statements read rows, told from their text without parsing it.

In: the text of a statement. Out: its first word, whether it may hold a SELECT, whether it reads only books
that DataJoint and the server keep. If the text does not tell, the statement counts as one that reads data:
lineage has a parser and decides later. It is called for each statement of a session. So common statements take a fast
way, and strings are searched only if a word that matters is in the text.
"""

from __future__ import annotations

import re

# The first word, after white space, opening parentheses and comments. The text of /*! … */ is executed.
_HEAD = re.compile(
    r"(?:[\s(;]+|--[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|/\*M?!\d*|\*/|/\*(?!M?!).*?\*/)*([A-Za-z]+)", re.DOTALL
)
# A procedure or a prepared statement can read; the stage of lineage says what it can make of it.
READS = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "CALL", "EXECUTE", "HANDLER"})
MAY_READ = frozenset({"INSERT", "REPLACE", "CREATE", "SET", "DO"})

_NOT_SQL = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|(`(?:[^`]|``)*`)|/\*(?!M?!).*?\*/|--\s[^\n]*|#[^\n]*",
    re.DOTALL,
)
_SUBSELECT = re.compile(r"\bSELECT\b|^\W*(?:INSERT|REPLACE)\b.*\bTABLE\b", re.IGNORECASE | re.DOTALL)
_CHANGES_COUNT = re.compile(r"\bIGNORE\b|\bON\s+DUPLICATE\b", re.IGNORECASE)

# SELECTs of DataJoint's own that name no table.
_SESSION_STATE = re.compile(
    r"\s*SELECT\s+(?:(?:1|ROW_COUNT\(\)|CONNECTION_ID\(\)|(?:CURRENT_)?USER(?:\(\))?|DATABASE\(\)|VERSION\(\)"
    r"|@@[\w.]+|(?:CURRENT_TIMESTAMP|NOW)(?:\(\d*\))?(?:\s*[+-]\s*INTERVAL\s+\S+\s+\w+)?)\s*[,;]?\s*)+$",
    re.IGNORECASE,
)
_NAME = r"(`(?:[^`]|``)*`|[\w$]+)"
# The table after FROM or JOIN, and whether a comma follows it and its alias.
_TABLE = re.compile(
    rf"\b(?:FROM|JOIN|STRAIGHT_JOIN)\s+{_NAME}(?:\s*\.\s*{_NAME})?(?=(\s*,|\s+(?:AS\s+)?[`\w$]+\s*,)?)",
    re.IGNORECASE,
)
_SYSTEM_SCHEMAS = frozenset({"information_schema", "performance_schema", "mysql", "sys"})
_BOOKKEEPING_TABLES = frozenset({"~log", "~jobs", "~lineage"})
_LOG_TABLE = re.compile(r"`(export_selection(__(statement|table|file))?|__export(__(table|file))?)`")
# Only where one of these is found are the tables looked at.
_BOOKKEEPING_MARKS = (
    *("nformation_schema", "NFORMATION_SCHEMA", "erformance_schema", "ERFORMANCE_SCHEMA"),
    *("`~log`", "`~jobs`", "`~lineage`", "`~~", "mysql.", "`mysql`", "sys.", "`sys`"),
)


def head(query: str) -> str:
    """The first word of a statement, in upper case; empty where there is none.

    >>> head("/* mine */ (select 1)"), head("/*!50000 SELECT */ 1"), head("")
    ('SELECT', 'SELECT', '')
    """
    match = _HEAD.match(query)
    return match.group(1).upper() if match else ""


def _without_literals(sql: str) -> str:
    """The text without strings and comments; quoted identifiers stay."""
    return _NOT_SQL.sub(lambda match: match.group(1) or " ", sql)


def reads_inside(query: str) -> bool:
    """Whether an INSERT, REPLACE, CREATE TABLE, SET or DO may hold a SELECT (a superset of those that do).

    >>> reads_inside("INSERT INTO a (x) SELECT x FROM b"), reads_inside("INSERT INTO a VALUES ('SELECT')")
    (True, False)
    """
    upper = query.upper()
    if "SELECT" not in upper and "TABLE" not in upper:
        return False
    return _SUBSELECT.search(re.sub(r"`(?:[^`]|``)*`", "x", _without_literals(query))) is not None


def is_bookkeeping(sql: str) -> bool:
    """Whether a SELECT reads nothing but DataJoint's or the server's own books.

    Where a statement names any other table, or could (a comma join), it is not.

    >>> is_bookkeeping("SELECT * FROM `lab`.`~log`"), is_bookkeeping("SELECT * FROM `lab`.`~external_raw`")
    (True, False)
    >>> is_bookkeeping("SELECT ROW_COUNT()"), is_bookkeeping("SELECT my_function()")
    (True, False)
    >>> is_bookkeeping("SELECT * FROM a WHERE note = 'FROM information_schema.tables'")
    False
    """
    if " FROM " not in sql and len(sql) < 200 and _SESSION_STATE.match(sql):
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
    if not any(mark in sql for mark in _BOOKKEEPING_MARKS):
        return False
    tables = _TABLE.findall(_without_literals(sql))
    return bool(tables) and all(
        not comma
        and (
            (second and first.strip("`").lower() in _SYSTEM_SCHEMAS)
            or (name := (second or first).strip("`")) in _BOOKKEEPING_TABLES
            or name.startswith("~~")
        )
        for first, second, comma in tables
    )


def is_of_log(sql: str, schema: str) -> bool:
    """Whether a SELECT reads nothing but the shared log in a schema.

    >>> is_of_log("SELECT * FROM `log`.`export_selection`", "log"), is_of_log("SELECT * FROM `log`.`trial`", "log")
    (True, False)
    """
    if "`export_selection" not in sql and "`__export" not in sql:
        return False
    tables = _TABLE.findall(_without_literals(sql))
    return bool(tables) and all(
        not comma and first.strip("`") == schema and _LOG_TABLE.fullmatch(second)
        for first, second, comma in tables
    )


def counts_rows_read(query: str) -> bool:
    """Whether the number of rows that an INSERT … SELECT changed is that of the rows that it read.

    >>> counts_rows_read("INSERT INTO a SELECT 1"), counts_rows_read("REPLACE INTO a SELECT 1")
    (True, False)
    """
    return head(query) == "INSERT" and _CHANGES_COUNT.search(query) is None


def tables(sql: str, database: str = "") -> set[tuple[str, str]]:
    """Schema and name of the tables after FROM and JOIN, as the text has them; to count with, not to export by.

    >>> sorted(tables("SELECT * FROM `lab`.`a` JOIN (SELECT 'FROM x' FROM b) y USING (n)", "mine"))
    [('lab', 'a'), ('mine', 'b')]
    """
    text = _without_literals(sql) if "'" in sql or '"' in sql or "/*" in sql else sql
    return {
        (first.strip("`"), second.strip("`")) if second else (database, first.strip("`"))
        for first, second, _ in _TABLE.findall(text)
    }
