"""Syntax: converts SQL text to a sqlglot expression and back without changing its meaning in PostgreSQL.

In: the text of a statement. Out: its expression in the dialect `Exact`, in which each name is quoted as the server
reads it: one without quotes in lower case. It has no catalog and resolves no name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .. import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.parser import binary_range_parser
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from ..expressions import CommaJoins, Expr, Unsupported, nesting


class Arrow(exp.Expression, exp.Binary):
    """``a -> b``; sqlglot's own node changes some keys to paths."""


class DoubleArrow(exp.Expression, exp.Binary):
    """``a ->> b``"""


class HashArrow(exp.Expression, exp.Binary):
    """``a #> b``"""


class DoubleHashArrow(exp.Expression, exp.Binary):
    """``a #>> b``"""


class Matches(exp.Expression, exp.Binary):
    """``a @@ b``; sqlglot's own node is that of MATCH … AGAINST."""


_ARROWS: dict[TokenType, type[exp.Expression]] = {
    TokenType.ARROW: Arrow,
    TokenType.DARROW: DoubleArrow,
    TokenType.HASH_ARROW: HashArrow,
    TokenType.DHASH_ARROW: DoubleHashArrow,
}
_WORDS = {Arrow: "->", DoubleArrow: "->>", HashArrow: "#>", DoubleHashArrow: "#>>", Matches: "@@"}

# Functions that lineage or the grammar must know. All others keep their names and arguments: sqlglot would replace many
# of them by one that it considers equal.
_KNOWN_FUNCTIONS = frozenset({"AVG", "COUNT", "MAX", "MIN", "SUM"})
_KNOWN_SYNTAX = frozenset({"CAST", "EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM"})

# Words after INTERVAL '…' that say what its number counts.
_FIELDS = frozenset({"YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"})


class Exact(Postgres):
    """sqlglot's dialect for PostgreSQL, written so that the server reads the meaning that was parsed."""

    class Parser(CommaJoins, Postgres.Parser):  # type: ignore[misc, valid-type]
        FUNCTIONS = {name: f for name, f in Postgres.Parser.FUNCTIONS.items() if name in _KNOWN_FUNCTIONS}
        FUNCTION_PARSERS = {n: f for n, f in Postgres.Parser.FUNCTION_PARSERS.items() if n in _KNOWN_SYNTAX}

        RANGE_PARSERS = Postgres.Parser.RANGE_PARSERS | {TokenType.DAT: binary_range_parser(Matches)}
        # f(a -> b) is no function of a here
        LAMBDAS = {token: f for token, f in Postgres.Parser.LAMBDAS.items() if token != TokenType.ARROW}

        def _parse_interval(self, *args: Any, **kwargs: Any) -> Expr | None:
            """Read INTERVAL '…' as a cast: sqlglot would leave out the word after a number and a unit."""
            ahead = [token for token in (self._curr, self._next) if token is not None]
            if [token.token_type for token in ahead] == [TokenType.INTERVAL, TokenType.STRING]:
                after = self._tokens[self._index + 2 : self._index + 3]
                if not any(token.text.upper() in _FIELDS for token in after):
                    self._advance(2)
                    text = exp.Literal.string(ahead[1].text)
                    return exp.Cast(this=text, to=exp.DataType(this=exp.DType.INTERVAL))
            found: Expr | None = super()._parse_interval(*args, **kwargs)
            return found

        JSON_OPERATORS = Postgres.Parser.JSON_OPERATORS | {
            token: lambda self, this, other, node=node: self.expression(node(this=this, expression=other))
            for token, node in _ARROWS.items()
        }

    class Generator(Postgres.Generator):  # type: ignore[misc, valid-type]
        MULTI_ARG_DISTINCT = True  # of string_agg(DISTINCT a, ',')
        # without the rewriting of other databases' SELECTs
        TRANSFORMS = {node: f for node, f in Postgres.Generator.TRANSFORMS.items() if node is not exp.Select}
        TRANSFORMS |= {node: lambda self, e: self.binary(e, _WORDS[type(e)]) for node in _WORDS}

        def nullsafeeq_sql(self, expression: exp.NullSafeEQ) -> str:
            """Compare values of one type as arrays, which the server can hash."""
            one, other = (self.sql(expression, side) for side in ("this", "expression"))
            if expression.meta.get("alike"):
                return f"ARRAY[{one}] = ARRAY[{other}]"
            return f"{one} IS NOT DISTINCT FROM {other}"


_TEXTS = frozenset({TokenType.BYTE_STRING, TokenType.HEREDOC_STRING})


def tokens_of(sql: str, modes: Collection[str] = ()) -> list[Token]:
    """The tokens of a text, each with the comments around it; E'…' and $$…$$ are strings.

    Raises
    ------
    Unsupported
        If a quote is not closed.
    """
    try:
        found: list[Token] = Exact().tokenize(sql)
    except SqlglotError as error:
        raise Unsupported(f"sqlglot cannot read it: {str(error).splitlines()[0]}") from error
    return [_string(token) if token.token_type in _TEXTS else token for token in found]


def _string(token: Token) -> Token:
    where = token.line, token.col, token.start, token.end
    return Token(TokenType.STRING, token.text, *where, comments=token.comments)


@nesting()
def parse(sql: str, modes: Collection[str] = ()) -> Expr:
    """Parse one statement as PostgreSQL.

    >>> parse('SELECT A, "B" FROM Lab.T WHERE m->>\\'x.y\\' = E\\'a\\\\\\\\b\\'').sql(Exact)
    'SELECT "a", "B" FROM "lab"."t" WHERE "m" ->> \\'x.y\\' = \\'a\\\\b\\''

    Raises
    ------
    Unsupported
        If it cannot be parsed, or is not one statement.
    """
    try:
        parsed = Exact.Parser(dialect=Exact()).parse(tokens_of(sql), sql)
    except SqlglotError as error:
        raise Unsupported(f"sqlglot cannot parse it: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise Unsupported("it is nested too deeply") from error
    statements: list[Expr] = [statement for statement in parsed if statement is not None]
    if len(statements) != 1:
        raise Unsupported(f"it holds {len(statements)} statements")
    for name in statements[0].find_all(exp.Identifier):
        if not name.quoted:
            name.set("this", folded(name.this))
            name.set("quoted", True)
    return statements[0]


def folded(name: str) -> str:
    """A name without quotes as the server reads it: letters of ASCII in lower case."""
    return "".join(c.lower() if c.isascii() else c for c in name)
