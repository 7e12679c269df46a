"""State: what a connection has sent that changes the meaning of what it sends later.

In: statements that have succeeded, also outside of export sessions. Out: for each connection the texts of ``SET``, of
temporary tables and of what may assign a user variable, in order, and the schema of ``USE``. They are kept with the
connection and end with it, as on the server. The server is never asked. Nothing is parsed here: `servers.mysql.state`
does that when the journal is read.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from . import reads

# The first letters of statements that may matter, and of those whose first word cannot be told so quickly.
_LETTERS = frozenset({"USE", "SET", "CRE", "DRO", "CAL", "EXE", "PRE"})
_BEFORE_HEAD = frozenset(" \t\r\n(/-#;")

_USE = re.compile(r"\W*USE\s+(`(?:[^`]|``)*`|[^\s;]+)", re.IGNORECASE)
# Of these no statement changes its meaning, and a password must not be kept.
_IRRELEVANT = re.compile(
    r"\W*SET\s+(?:GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|(?:DEFAULT\s+)?ROLE|RESOURCE|(?:(?:SESSION|LOCAL)\s+)?TRANSACTION"
    r"|STATEMENT|@@(?:global|persist)|(?:(?:SESSION|LOCAL)\s+|@@(?:(?:session|local)\.)?)?(?:autocommit|foreign_key_checks"
    r"|unique_checks|sql_log_bin|wait_timeout|lock_wait_timeout|innodb_lock_wait_timeout)\b)",
    re.IGNORECASE,
)
_TEMPORARY = re.compile(r"\W*(?:CREATE\s+(?:OR\s+REPLACE\s+)?|DROP\s+)TEMPORARY\b", re.IGNORECASE)
_ASSIGNS = re.compile(r":=|\bINTO\s+@", re.IGNORECASE)
# One variable that is given a constant: a later one of the same name takes its place.
_SIMPLE = re.compile(
    r"\s*SET\s+((?:(?:SESSION|LOCAL)\s+)?@{0,2}(?:(?:session|local)\.)?\w+)\s*:?=\s*(?:'[^'\\]*'|[\w.+-]+)\s*;?\s*",
    re.IGNORECASE,
)
_LONGEST = 20_000  # characters of a text that are kept: of CREATE TEMPORARY TABLE the name matters
_DATAJOINT_CHARSET = "utf8mb4"
# Behind the character set that the driver itself was given, which it writes texts in.
DRIVER = "/* the driver */"


def may_matter(query: Any) -> bool:
    """Whether a statement may have to be noted (`note`); quick, since it is asked for every statement."""
    return isinstance(query, str) and (
        query[:3].upper() in _LETTERS or query[:1] in _BEFORE_HEAD or "@" in query
    )


def note(raw: Any, sql: str) -> None:
    """Note a statement that has succeeded, with the connection ``raw`` to the server, if it matters."""
    head, bare = reads.head(sql), reads.without_comments(sql)
    if head == "USE":
        match = _USE.match(bare)
        if match is not None:
            name = match.group(1)
            name = name[1:-1].replace("``", "`") if name.startswith("`") else name
            with suppress(AttributeError):  # a driver whose connections hold no attributes
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
    """What a connection had sent that matters, in order."""
    found: tuple[str, ...] | None = getattr(raw, "_dj_sqlspy_state", None)
    if found is None:
        found = _at_start(raw)
        with suppress(AttributeError):
            raw._dj_sqlspy_state = found
    return found


def _at_start(raw: Any) -> tuple[str, ...]:
    """What the driver was told to set when it connected, beside what DataJoint sets always."""
    charset, command = getattr(raw, "charset", None), getattr(raw, "init_command", None)
    texts = [f"SET NAMES {charset} {DRIVER}"] if charset and charset != _DATAJOINT_CHARSET else []
    return (*texts, command) if isinstance(command, str) and command else tuple(texts)


def database(raw: Any) -> str:
    """The schema that names without one are looked up in, where it is known; else empty."""
    found = getattr(raw, "_dj_sqlspy_database", None) or getattr(raw, "db", None) or ""
    return found if isinstance(found, str) else bytes(found).decode("utf-8", "surrogateescape")
