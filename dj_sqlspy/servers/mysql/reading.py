"""Reading: the `Syntax` of MySQL and MariaDB for the lineage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .. import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.tokens import Token  # type: ignore[attr-defined]

from ..columns import Column
from ..expressions import Expr, copied
from . import gate, probes, syntax
from .functions import SERVER_FUNCTIONS
from .syntax import Exact

# What can stand before a table.
_BEFORE_A_TABLE = frozenset({"FROM", "JOIN", "STRAIGHT_JOIN", "TABLE", "OJ", ",", "("})


def _is_literal(token: Token) -> bool:
    return token.token_type.name.endswith(("STRING", "NUMBER"))


class MySQLSyntax:
    """The `Syntax` of MySQL and MariaDB."""

    written = Exact
    functions = SERVER_FUNCTIONS
    merges_levels = True
    aliases_in_having = True
    right_first = True
    exact_names = False
    full_join = False
    grouping_sets = False
    with_ties = False
    places: frozenset[str] = frozenset()

    parse = staticmethod(syntax.parse)
    tokens_of = staticmethod(syntax.tokens_of)
    query_of = staticmethod(gate.query_of)
    read_of = staticmethod(gate.read_of)
    called = staticmethod(probes.called)

    def name_of(self, token: Token) -> str:
        return str(token.text)

    def without_schema(self, tokens: Sequence[Token], default_schema: str | None) -> Iterator[str]:
        """Each name in a place where a table can stand; it can also be a column or a CTE."""
        texts = ["", *(token.text for token in tokens), ""]
        for before, token, after in zip(texts, tokens, texts[2:], strict=False):
            if before.upper() in _BEFORE_A_TABLE and after not in (".", "(") and not _is_literal(token):
                yield token.text

    def require_known(self, query: Expr, default_schema: str | None = None) -> None:
        """All constructs that the lineage knows are MySQL's."""

    def output_name(self, expression: Expr) -> str:
        if isinstance(expression, exp.Column):
            return expression.name
        name: str = copied(expression).sql(dialect=Exact, comments=False, copy=False)
        return name[:64].strip() or "column"

    def value_name(self, place: int) -> str:
        return f"column_{place}"

    def columns_of(self, call: Expr) -> None:
        """JSON_TABLE names its columns itself."""

    def key(self, node: exp.Column, column: Column) -> Expr:
        """TIMESTAMP as UTC seconds, FLOAT as the equal DOUBLE."""
        if column.data_type == "timestamp":
            return exp.Anonymous(this="UNIX_TIMESTAMP", expressions=[node])
        if column.data_type == "float":
            return exp.Cast(this=node, to=exp.DataType.build("double"))
        return node

    def null(self, column: Column) -> Expr:
        return exp.Null()

    def grouped(self, key: Expr) -> Expr:
        """Write a number in GROUP BY as a string, or it would be read as a position."""
        if isinstance(key, exp.Literal) and not key.is_string:
            return exp.Literal.string(key.this)
        return key


MYSQL_SYNTAX = MySQLSyntax()
