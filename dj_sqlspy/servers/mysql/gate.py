"""Gate: decides which texts may be sent to a server. It checks every text that somebody wrote, whoever that was.

In: a text from a capture, a manifest, a journal or a shared log. Out: its expression if it is one statement that reads,
else `NotARead` with the reason. A statement that reads and does more is reduced to its reading part: SELECT … INTO and
SELECT … FOR UPDATE lose these words, and of CREATE … AS SELECT, INSERT … SELECT, REPLACE … SELECT, SET and DO only the
SELECT is left. Nothing is sent here.

A function that is not built in may write. It passes only if it is declared to only read. Since a declaration can be
wrong, statements are sent in a transaction that cannot write (`snapshot`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from .. import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp

from ..expressions import QUANTIFIERS, nodes, read_part, require_single, together
from ..expressions import NotARead as NotARead
from ..expressions import Read as Read
from ..expressions import ReadsOnly as ReadsOnly
from ..expressions import none_known as none_known
from ..snapshot import Refused
from .functions import SERVER_FUNCTIONS
from .syntax import LITERALS, Expr, Unsupported, function_name, parse, tokens_of

# Built-in functions that lock, wait for others, change a sequence or the session, or read files.
_EFFECTS = frozenset(
    """
BENCHMARK GET_LOCK LASTVAL LOAD_FILE MASTER_GTID_WAIT MASTER_POS_WAIT NEXTVAL RELEASE_ALL_LOCKS RELEASE_LOCK
REMOVE_DD_PROPERTY_KEY SETVAL SOURCE_POS_WAIT WAIT_FOR_EXECUTED_GTID_SET WSREP_SYNC_WAIT_UPTO_GTID
""".split()  # noqa: SIM905
)


def read_of(
    sql: str,
    modes: Collection[str] = (),
    reads_only: ReadsOnly = none_known,
    parsed: Expr | None = None,
) -> Read:
    """The reading part of a text.

    Parameters
    ----------
    sql : str
    modes : collection of str
        Words of the session's sql_mode that change how the text is parsed.
    reads_only : callable, optional
        Asked for each stored function.
    parsed : expression, optional
        What `parse` makes of the text, if that is known. It may be changed.

    Raises
    ------
    NotARead
        If neither the text nor a part of it may be sent.
    Unsupported
        If it cannot be parsed.

    Examples
    --------
    >>> read_of("SELECT a FROM t").own, read_of("INSERT INTO u SELECT a FROM t").query.sql("mysql")
    (True, 'SELECT a FROM t')
    >>> read_of("SELECT a INTO @a FROM t FOR UPDATE").query.sql("mysql")
    'SELECT a FROM t'
    >>> read_of("SELECT @a := a FROM t")
    Traceback (most recent call last):
        ...
    dj_sqlspy.servers.expressions.NotARead: it assigns a variable
    """
    statement = _single(sql, modes, parsed)
    return read_part(statement, query_of(statement, modes), lambda query: _effects(query, reads_only))


def require_read(sql: str, modes: Collection[str] = (), reads_only: ReadsOnly = none_known) -> None:
    """Raise unless a text may be sent as it is.

    Raises
    ------
    NotARead, Unsupported
    """
    if not read_of(sql, modes, reads_only).own:
        raise NotARead("it does more than read")


def require_condition(condition: str) -> None:
    """Raise unless a text is one condition that only reads, without a query in it.

    >>> require_condition("`id` IN (1, 2) OR `id` BETWEEN 5 AND 7")
    >>> require_condition("TRUE) UNION (SELECT 1")
    Traceback (most recent call last):
        ...
    dj_sqlspy.servers.snapshot.Refused: it is no condition that only reads: it is no single condition
    >>> require_condition("TRUE) HAVING (a = 1")
    Traceback (most recent call last):
        ...
    dj_sqlspy.servers.snapshot.Refused: it is no condition that only reads: it is no single condition

    Raises
    ------
    Refused
    """
    try:
        require_single(condition, read_of(f"SELECT 1 FROM t WHERE ({condition})"), tokens_of, exp.Query)
    except Unsupported as error:
        raise Refused(f"it is no condition that only reads: {error}") from error


class Gate:
    """Checks texts, and parses only one of those that differ in literals only.

    Parameters
    ----------
    reads_only : callable
        Asked for each stored function.
    """

    def __init__(self, reads_only: ReadsOnly) -> None:
        self._reads_only = reads_only
        self._known: dict[Any, str] = {}  # tokens without literals: why they do not pass

    def require(self, sql: str, modes: frozenset[str] = frozenset()) -> None:
        """Raise `NotARead` or `Unsupported` unless a text may be sent as it is."""
        tokens = [
            (t.token_type, None if t.token_type in LITERALS else t.text, *t.comments)
            for t in tokens_of(sql, modes)
        ]
        key = modes, tuple(tokens)
        if key not in self._known:
            try:
                require_read(sql, modes, self._reads_only)
                self._known[key] = ""
            except Unsupported as error:
                self._known[key] = str(error)
        if self._known[key]:
            raise NotARead(self._known[key])


def _single(sql: str, modes: Collection[str], parsed: Expr | None) -> Expr:
    # a text without these has no comment that the server runs, or that is none to the server
    for token in tokens_of(sql, modes) if "/*" in sql or "{#" in sql else ():
        for comment in token.comments:
            if comment.lstrip().startswith(("!", "M!")) and not _is_hint(comment):  # the server executes it
                raise NotARead("a comment in it is run by the server")
            if "{#" in sql:  # sqlglot reads it as the start of a comment
                raise NotARead("a comment in it may not be a comment for the server")
    return parse(sql, modes) if parsed is None else parsed


# Words in executed comments that change no result.
_HINTS = frozenset(
    {
        "STRAIGHT_JOIN",
        "SQL_NO_CACHE",
        "HIGH_PRIORITY",
        "SQL_SMALL_RESULT",
        "SQL_BIG_RESULT",
        "SQL_BUFFER_RESULT",
    }
)


def _is_hint(comment: str) -> bool:
    """Whether an executed comment contains only words that change no result.

    >>> _is_hint("!40001 SQL_NO_CACHE "), _is_hint("! + 1")
    (True, False)
    """
    words = comment.strip().lstrip("M").lstrip("!").upper().split()
    words = words[1:] if words and words[0].isdecimal() else words
    return bool(words) and _HINTS.issuperset(words)


def query_of(statement: Expr, modes: Collection[str] = ()) -> Expr | None:
    """The statement or the part of it that reads; None if nothing does. Raises `NotARead`."""
    if isinstance(statement, (exp.Query, exp.Values)):
        return statement
    if isinstance(statement, exp.Insert):
        source = statement.expression
        if isinstance(source, exp.Values):
            return together(source)
        if statement.args.get("with_") is not None and isinstance(source, exp.Query):
            source = source.copy()
            source.set("with_", statement.args["with_"].copy())
        return source if isinstance(source, exp.Query) else None
    if isinstance(statement, exp.Create):
        return statement.expression if isinstance(statement.expression, exp.Query) else None
    if isinstance(statement, exp.Set) or function_name(statement) == "DO":
        return together(statement)
    if isinstance(statement, exp.Command):
        head = statement.name.upper()
        if head == "REPLACE":
            # sqlglot does not parse REPLACE, which reads like the INSERT with the same words
            return query_of(parse(f"INSERT {statement.expression.name}", modes), modes)
        raise NotARead(f"it is a {head} statement")
    raise NotARead(f"it is a {type(statement).__name__.upper()} statement")


def _effects(query: Expr, reads_only: ReadsOnly) -> Iterator[str]:
    """Why a query does more than read."""
    for node in nodes(query):
        if isinstance(node, exp.PropertyEQ):
            yield "it assigns a variable"
        elif isinstance(node, (exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Drop)):
            yield f"it holds {type(node).__name__.upper()}"
        elif isinstance(node, exp.Command):
            yield "a part of it cannot be parsed"
        name = function_name(node)
        if name is None or name in QUANTIFIERS or node.find_ancestor(exp.Hint) is not None:
            continue
        schema = node.parent.this.name if isinstance(node.parent, exp.Dot) else ""
        if not schema and name in _EFFECTS:
            yield f"the function {name} does more than read"
        elif not schema and name == "LAST_INSERT_ID" and node.expressions:
            yield "LAST_INSERT_ID(…) sets a value"
        elif (schema or name not in SERVER_FUNCTIONS) and not reads_only(schema, name):
            yield f"the stored function {schema and f'{schema}.'}{name.lower()} may write"
