"""State: what a connection has sent that changes the meaning of its later statements.

In: successful statements, also outside of export sessions. Out: for each connection, in order, the texts of ``SET``, of
temporary tables and of what may assign a user variable, and the schema of ``USE``. They belong to the connection and
end with it, as on the server. It never asks the server and parses nothing; `servers.mysql.state` parses the texts when
the journal is read.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from ..servers.mysql.dialect import DRIVER
from . import reads

# First words of statements that may matter, their letters, and characters that can stand before the first word.
_HEADS = frozenset({"USE", "SET", "CREATE", "DROP", "CALL", "EXECUTE", "PREPARE"})
_LETTERS = frozenset(head[:3] for head in _HEADS)
_BEFORE_HEAD = frozenset(" \t\r\n(/-#;")

_USE = re.compile(r"\W*USE\s+(`(?:[^`]|``)*`|[^\s;]+)", re.IGNORECASE)
# Settings that change no statement's meaning, and those with a password, which must not be stored.
_IRRELEVANT = re.compile(
    r"\W*SET\s+(?:GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|(?:DEFAULT\s+)?ROLE|RESOURCE|(?:(?:SESSION|LOCAL)\s+)?TRANSACTION"
    r"|STATEMENT|@@(?:global|persist)|(?:(?:SESSION|LOCAL)\s+|@@(?:(?:session|local)\.)?)?(?:autocommit|foreign_key_checks"
    r"|unique_checks|sql_log_bin|wait_timeout|lock_wait_timeout|innodb_lock_wait_timeout)\b)",
    re.IGNORECASE,
)
_TEMPORARY = re.compile(r"\W*(?:CREATE\s+(?:OR\s+REPLACE\s+)?|DROP\s+)TEMPORARY\b", re.IGNORECASE)
_ASSIGNS = re.compile(r":=|\bINTO\s+@", re.IGNORECASE)
# One variable is set to a constant. A later setting of the same name replaces it.
_SIMPLE = re.compile(
    r"\s*SET\s+((?:(?:SESSION|LOCAL)\s+)?@{0,2}(?:(?:session|local)\.)?\w+)\s*:?=\s*(?:'[^'\\]*'|[\w.+-]+)\s*;?\s*",
    re.IGNORECASE,
)
_LONGEST = 20_000  # characters of a text that are kept; of CREATE TEMPORARY TABLE only the name matters
_DATAJOINT_CHARSET = "utf8mb4"


def _may_matter(query: Any) -> bool:
    """Whether a statement may have to be noted (`note`). It must be fast: it runs for every statement."""
    return isinstance(query, str) and (
        query[:3].upper() in _LETTERS or query[:1] in _BEFORE_HEAD or "@" in query
    )


may_matter = _may_matter


def follow_postgresql() -> None:
    """From now on there may be connections to PostgreSQL: more statements may matter (`postgresql.note`)."""
    global may_matter, _LETTERS
    if may_matter is _may_matter:
        from . import postgresql  # other programs need not wait for it

        _LETTERS |= postgresql.LETTERS
        may_matter = lambda query: _may_matter(query) or postgresql.may_matter(query)  # noqa: E731


def note(raw: Any, sql: str) -> None:
    """Note a successful statement on the driver's connection ``raw``, if it matters."""
    head = reads.head(sql)
    if head not in _HEADS and not (head in reads.READS and (":=" in sql or "INTO" in sql.upper())):
        return  # nearly always, and before the text is split into tokens
    bare = reads.without_comments(sql)
    if head == "USE":
        match = _USE.match(bare)
        if match is not None:
            name = match.group(1)
            name = name[1:-1].replace("``", "`") if name.startswith("`") else name
            with suppress(AttributeError):  # a driver whose connections take no attributes
                raw._dj_sqlspy_database = name
        return
    matters = (
        (head == "SET" and not _IRRELEVANT.match(bare))
        or (head in ("CREATE", "DROP") and _TEMPORARY.match(bare) is not None)
        or head in ("CALL", "EXECUTE", "PREPARE")
        or (head in reads.READS and _ASSIGNS.search(bare) is not None)
    )
    if not matters:
        return
    simple = _SIMPLE.fullmatch(sql)
    before, text = of(raw), sql[:_LONGEST]
    if simple is not None:
        name = simple.group(1).lower()
        before = tuple(other for other in before if not _is_of(other, name))
    elif head != "SET":  # in a loop the last one counts
        before = tuple(other for other in before if other != text)
    with suppress(AttributeError):
        raw._dj_sqlspy_state = (*before, text)


def _is_of(text: str, name: str) -> bool:
    match = _SIMPLE.fullmatch(text)
    return match is not None and match.group(1).lower() == name


def of(raw: Any) -> tuple[str, ...]:
    """What a connection has sent that matters, in order."""
    found: tuple[str, ...] | None = getattr(raw, "_dj_sqlspy_state", None)
    if found is None:
        found = _at_start(raw)
        with suppress(AttributeError):
            raw._dj_sqlspy_state = found
    return found


def _at_start(raw: Any) -> tuple[str, ...]:
    """What the driver set when it connected, besides what DataJoint always sets."""
    charset, command = getattr(raw, "charset", None), getattr(raw, "init_command", None)
    texts = [f"SET NAMES {charset} {DRIVER}"] if charset and charset != _DATAJOINT_CHARSET else []
    return (*texts, command) if isinstance(command, str) and command else tuple(texts)


def database(raw: Any) -> str:
    """The default schema, or "" if it is unknown."""
    found = getattr(raw, "_dj_sqlspy_database", None) or getattr(raw, "db", None) or ""
    return found if isinstance(found, str) else bytes(found).decode("utf-8", "surrogateescape")
