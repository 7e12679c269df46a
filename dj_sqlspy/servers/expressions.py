"""Expressions: what the syntaxes of all servers have in common.

In and out: sqlglot expressions. `Syntax` is the interface to a server's way of parsing, checking and writing SQL;
`syntaxes.syntax_of` chooses one by a dialect. It has no catalog and resolves no name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from ..gc_pause import while_any
from . import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect as Written
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from .columns import Column

Expr: TypeAlias = exp.Expr


class Unsupported(Exception):
    """A construct that lineage cannot analyse; the message says which and why."""


class NotARead(Unsupported):
    """A text that is not one statement that only reads; the message says why."""


# Frames for parsing and walking a statement. sqlglot's parser uses about 40 for one subquery in another; Python's
# default of 1,000 is enough for 20. 4,000 need about 2 MB of the stack, of which a thread has 8 MB.
_FRAMES = 4_000


def _allow_frames() -> int:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    return before


# Runs a block or a decorated function that walks nested subqueries, with enough frames.
nesting = while_any(_allow_frames, sys.setrecursionlimit)

# Parts of a JOIN that a comma does not have.
JOIN_WORDS = ("on", "using", "method", "side", "kind")


class CommaJoins:
    """A part of a parser, before sqlglot's own."""

    _curr: Any

    def _parse_join(self, *args: Any, **kwargs: Any) -> exp.Join | None:
        """Read a JOIN without a condition as CROSS JOIN, to distinguish it from a comma."""
        comma = self._curr is not None and self._curr.token_type == TokenType.COMMA
        join: exp.Join | None = super()._parse_join(*args, **kwargs)  # type: ignore[misc]
        if join is not None and not comma and not any(join.args.get(k) for k in JOIN_WORDS):
            join.set("kind", "CROSS")
        return join


def identifier(name: str) -> exp.Identifier:
    """A name in an expression, which is quoted in its SQL."""
    return exp.Identifier(this=name, quoted=True)


ExprT = TypeVar("ExprT", bound=Expr)


def nodes(expression: Expr) -> list[Expr]:
    """An expression and all expressions in it, outer ones first, as `Expr.walk` in a third of its time.

    >>> [type(node).__name__ for node in nodes(exp.column("a").eq(1))]
    ['EQ', 'Column', 'Literal', 'Identifier']
    """
    found = [expression]
    for node in found:
        if node.is_primitive:  # only texts are in it
            continue
        for value in node.args.values():
            if isinstance(value, Expr):
                found.append(value)
            elif type(value) is list:
                found += [each for each in value if isinstance(each, Expr)]
    return found


def nodes_of(expression: Expr, kind: type[ExprT]) -> list[ExprT]:
    """The nodes of one type in an expression, itself included."""
    return [node for node in nodes(expression) if isinstance(node, kind)]


def rebuilt(node: Expr, other: Callable[[Expr], Expr | None]) -> Expr:
    """A copy of an expression, with ``other(part)`` in place of each part for which that is not None.

    `Expr.copy` and `transform` take several times as long.
    """
    new = other(node)
    if new is not None:
        return new
    arguments: dict[str, Any] = {}
    for name, value in node.args.items():
        if isinstance(value, Expr):
            arguments[name] = rebuilt(value, other)
        elif type(value) is list:
            arguments[name] = [rebuilt(each, other) if isinstance(each, Expr) else each for each in value]
        else:
            arguments[name] = value
    made = type(node)(**arguments)
    if node._meta:
        made.meta.update(node._meta)
    return made


def copied(node: Expr) -> Expr:
    """A copy of an expression."""
    return rebuilt(node, lambda _: None)


def functions_called(statement: Expr, schema: str | None, known: Collection[str]) -> set[tuple[str, str]]:
    """Schema and name of each function that a statement calls, but for calls of ``known`` ones without a schema.

    Parameters
    ----------
    statement : expression
    schema : str or None
        Of functions without one. None: they are left out.
    known : collection of str
        The server's own, in upper case.
    """
    found = set()
    for node in nodes_of(statement, exp.Anonymous):
        if isinstance(node.parent, exp.Dot) and node.arg_key == "expression":
            found.add((node.parent.this.name, node.name))
        elif schema and node.name.upper() not in known:
            found.add((schema, node.name))
    return found


def is_row(node: Expr) -> bool:
    """Whether a node is a row constructor with the word ROW."""
    return isinstance(node, exp.Anonymous) and str(node.this).upper() == "ROW"


def function_name(node: Expr) -> str | None:
    """The name, in upper case, of a function that sqlglot does not know; None for any other node."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).upper()
    return None


# Words before a query in parentheses that sqlglot reads as the name of a function.
QUANTIFIERS = frozenset({"EXISTS", "ANY", "SOME", "ALL"})


def table_names(statement: Expr) -> list[tuple[str | None, str]]:
    """Schema and name of every table that a parsed statement names, without CTEs."""
    names: dict[tuple[str | None, str], None] = {}
    for table in nodes_of(statement, exp.Table):
        if isinstance(table.this, exp.Identifier) and (table.db or not names_cte(table)):
            names[(table.db or None, table.name)] = None
    return list(names)


def names_cte(table: exp.Table) -> bool:
    """Whether a table without a schema is a CTE of a query around it, and not one that is defined later.

    >>> statement = exp.maybe_parse("WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a, b")
    >>> [(table.name, names_cte(table)) for table in statement.find_all(exp.Table)]
    [('a', True), ('b', True), ('b', False)]
    """
    inside: list[Expr] = []
    above: Any = table.parent
    while above is not None:
        with_ = above.args.get("with_")
        for cte in with_.expressions if with_ is not None else ():
            if any(cte is each for each in inside) and not with_.args.get("recursive"):
                break
            if cte.alias.lower() == table.name.lower():
                return True
        inside.append(above)
        above = above.parent
    return False


# ---------------------------------------------------------------- what a text reads


# Whether a stored function only reads, by its schema ("" where the text names none) and its name.
ReadsOnly: TypeAlias = "Callable[[str, str], bool]"


def none_known(schema: str, name: str) -> bool:
    """No stored function is known to read only."""
    return False


class Read(NamedTuple):
    """The reading part of a text.

    Attributes
    ----------
    query : expression or None
        None for a statement that reads nothing.
    own : bool
        Whether the text is nothing but this query, so that the text itself may be sent.
    answers : bool
        Whether the query returns what the text returns. It does not if the text stores some of the rows.
    """

    query: Expr | None
    own: bool
    answers: bool


def read_part(statement: Expr, query: Expr | None, effects: Callable[[Expr], Iterator[str]]) -> Read:
    """The `Read` of a statement whose reading part is a query; `effects` says why that does more than read.

    Raises
    ------
    NotARead
        If it does.
    """
    if query is None:
        return Read(None, own=False, answers=False)
    own = answers = query is statement
    for node in nodes_of(query, exp.Query):
        if node.args.get("into") is not None:
            node.set("into", None)
            own = answers = False
        if node.args.get("locks"):
            node.set("locks", None)
            own = False
    reason = next(effects(query), None)
    if reason is not None:
        raise NotARead(reason)
    return Read(query, own, answers)


# What a comment begins with on some server.
_COMMENTS = ("--", "/*", "#")


def require_single(
    condition: str, read: Read, tokens_of: Callable[[str], list[Token]], *without: type[Expr]
) -> None:
    """Raise `NotARead` unless a text is one condition, without a comment.

    Parameters
    ----------
    condition : str
    read : Read
        Of SELECT … WHERE (``condition``).
    tokens_of : callable
        The tokens of a text.
    *without : types of expressions
        What does not stand in it.
    """
    query = read.query if read.own and isinstance(read.query, exp.Select) else exp.Select()
    parts = {name for name, part in query.args.items() if part}
    where = query.args["where"].this if "where" in parts else None
    commented = any(mark in condition for mark in _COMMENTS) and any(
        token.comments for token in tokens_of(condition)
    )
    if (
        commented
        or parts - {"expressions", "from_", "where"}
        or not isinstance(where, exp.Paren)
        or where.find(*without) is not None
    ):
        raise NotARead("it is no single condition")


def together(statement: Expr) -> Expr | None:
    """One SELECT of all subqueries in a statement that is not itself a query."""
    asked = [
        (exp.Exists if isinstance(node.parent, exp.Exists) else exp.Subquery)(this=node.unnest().copy())
        for node in nodes_of(statement, exp.Query)
        if _is_outermost(node, statement)
    ]
    return exp.select(*asked) if asked else None


def _is_outermost(node: Expr, statement: Expr) -> bool:
    above = node.parent
    while above is not None and above is not statement:
        if isinstance(above, exp.Query):
            return False
        above = above.parent
    return node is not statement


# ---------------------------------------------------------------- the interface


class Syntax(Protocol):
    """How a kind of server writes statements, and where its rules of names and order differ."""

    @property
    def written(self) -> type[Written]:
        """sqlglot's dialect in which expressions are written."""

    @property
    def functions(self) -> frozenset[str]:
        """The server's own functions that return one value and read no table, in upper case."""

    @property
    def merges_levels(self) -> bool:
        """Whether `lineage.levels` can split its texts."""

    @property
    def aliases_in_having(self) -> bool:
        """Whether HAVING can name outputs, and restricts rows where nothing is grouped (MySQL)."""

    @property
    def right_first(self) -> bool:
        """Whether ``*`` shows the right side of a RIGHT JOIN with USING first (MySQL)."""

    @property
    def exact_names(self) -> bool:
        """Whether two names that differ in upper and lower case only are two names (PostgreSQL)."""

    @property
    def full_join(self) -> bool:
        """Whether the server has FULL JOIN (PostgreSQL)."""

    @property
    def grouping_sets(self) -> bool:
        """Whether an element of GROUP BY can be ROLLUP, CUBE, GROUPING SETS or (a, b) (PostgreSQL)."""

    @property
    def with_ties(self) -> bool:
        """Whether FETCH … WITH TIES is written as it was parsed (PostgreSQL)."""

    @property
    def places(self) -> frozenset[str]:
        """The columns of every table that tell where its rows are stored, and when they were (PostgreSQL)."""

    def value_name(self, place: int) -> str:
        """The name of a column of VALUES."""

    def columns_of(self, call: Expr) -> Sequence[str] | None:
        """The columns of a function in FROM, "" for one that is named as its source; None if that is not known."""

    def parse(self, sql: str, modes: Collection[str] = ()) -> Expr:
        """Parse one statement. Raises `Unsupported`."""

    def tokens_of(self, sql: str, modes: Collection[str] = ()) -> list[Token]:
        """The tokens of a text. Raises `Unsupported`."""

    def name_of(self, token: Token) -> str:
        """The name that a token is, as the server reads it; the text of any other token."""

    def without_schema(self, tokens: Sequence[Token], default_schema: str | None) -> Iterable[str]:
        """Names in a text that cannot be parsed that can be those of tables without a schema.

        Raises `LineageError` if there is one and its schema is not known (PostgreSQL).
        """

    def query_of(self, statement: Expr, modes: Collection[str] = ()) -> Expr | None:
        """The statement or the part of it that reads; None if nothing does. Raises `NotARead`."""

    def read_of(
        self,
        sql: str,
        modes: Collection[str] = (),
        reads_only: ReadsOnly = none_known,
        parsed: Expr | None = None,
    ) -> Read:
        """The reading part of a text, which may be ``parsed`` already. Raises `NotARead` and `Unsupported`."""

    def require_known(self, query: Expr, default_schema: str | None = None) -> None:
        """Raise `Unsupported` for a construct whose meaning the lineage does not know on this server."""

    def called(self, sql: str, schema: str | None) -> set[tuple[str, str]]:
        """Schema and name of each stored function that a statement calls; without a schema it is in ``schema``."""

    def output_name(self, expression: Expr) -> str:
        """The name of an output without an alias."""

    def key(self, node: exp.Column, column: Column) -> Expr:
        """The expression that reads a key column, as `Dialect.expression`."""

    def null(self, column: Column) -> Expr:
        """NULL in the place of a key column."""

    def grouped(self, key: Expr) -> Expr:
        """A key of GROUP BY, which must not be read as a position."""


def written(expression: Expr, syntax: Syntax, **options: Any) -> str:
    """An expression as SQL, without comments."""
    text: str = expression.sql(dialect=syntax.written, comments=False, **options)
    return text
