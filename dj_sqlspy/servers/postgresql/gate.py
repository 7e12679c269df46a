"""Gate: decides which texts may be sent to a PostgreSQL server, as `mysql.gate` does for the others.

In: a text that somebody wrote. Out: its expression if it is one statement that reads, else `NotARead` with the reason.
SELECT … INTO and SELECT … FOR UPDATE lose these words; of CREATE … AS SELECT and INSERT … SELECT only the SELECT is
left. A function that is not one of the server's that read nothing and change nothing does not pass. Statements are sent
in a transaction that cannot write (`snapshot`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .. import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp

from ..expressions import (
    QUANTIFIERS,
    Expr,
    NotARead,
    Read,
    ReadsOnly,
    Unsupported,
    function_name,
    nodes,
    none_known,
    read_part,
    require_single,
    together,
)
from ..snapshot import Refused
from .functions import FUNCTIONS, SETS
from .syntax import parse, tokens_of

_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Copy, exp.Command)


def read_of(
    sql: str,
    modes: Collection[str] = (),
    reads_only: ReadsOnly = none_known,
    parsed: Expr | None = None,
) -> Read:
    """The reading part of a text, which may be ``parsed`` already (and is changed then).

    >>> read_of("SELECT a FROM t").own, read_of("INSERT INTO u SELECT a FROM t").query.sql("postgres")
    (True, 'SELECT "a" FROM "t"')
    >>> read_of("WITH d AS (DELETE FROM t RETURNING a) SELECT * FROM d")
    Traceback (most recent call last):
        ...
    dj_sqlspy.servers.expressions.NotARead: it holds DELETE

    Raises
    ------
    NotARead, Unsupported
    """
    statement = _single(sql, parsed)
    return read_part(statement, query_of(statement, modes), lambda query: _effects(query, reads_only))


def _single(sql: str, parsed: Expr | None) -> Expr:
    if "{#" in sql and any(token.comments for token in tokens_of(sql)):  # sqlglot reads it as a comment
        raise NotARead("a comment in it may not be a comment for the server")
    return parse(sql) if parsed is None else parsed


def query_of(statement: Expr, modes: Collection[str] = ()) -> Expr | None:
    """The statement or the part of it that reads; None if nothing does. Raises `NotARead`."""
    if isinstance(statement, (exp.Query, exp.Values)):
        return statement
    if isinstance(statement, exp.Insert):
        source = statement.expression
        if statement.args.get("returning") or statement.args.get("with_") is not None:
            raise NotARead("it is an INSERT statement with WITH or RETURNING")
        return together(source) if isinstance(source, exp.Values) else _query(source)
    if isinstance(statement, exp.Create):
        return _query(statement.expression)
    if isinstance(statement, exp.Command):
        raise NotARead(f"it is a {statement.name.upper()} statement")
    raise NotARead(f"it is a {type(statement).__name__.upper()} statement")


def _query(node: Expr | None) -> Expr | None:
    return node if isinstance(node, exp.Query) else None


def require_condition(condition: str) -> None:
    """Raise unless a text is one condition that only reads, without a query in it but VALUES.

    >>> require_condition('("a", "b") IN (VALUES (1, 2), (3, 4))')
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
        require_single(condition, read_of(f"SELECT 1 WHERE ({condition})"), tokens_of, *_QUERIES)
    except Unsupported as error:
        raise Refused(f"it is no condition that only reads: {error}") from error


_QUERIES = (exp.Select, exp.SetOperation, exp.Table)


def _effects(query: Expr, reads_only: ReadsOnly) -> Iterator[str]:
    """Why a query does more than read."""
    for node in nodes(query):
        if isinstance(node, _WRITES):
            yield f"it holds {type(node).__name__.upper()}"
        name = function_name(node)
        if name is None or name in QUANTIFIERS:
            continue
        schema = node.parent.this.name if isinstance(node.parent, exp.Dot) else ""
        if (schema or name not in FUNCTIONS | SETS) and not reads_only(schema, name):
            yield f"the function {schema and f'{schema}.'}{name.lower()} is not known to only read"
