"""Reading: the `Syntax` of PostgreSQL for the lineage.

A construct that the lineage knows for MySQL is analysed only if it stands in `_KNOWN`: there it means the same. All
others fall back to whole tables.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..mysql import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from ...errors import LineageError
from ..columns import Column
from ..expressions import Expr, Read, ReadsOnly, Unsupported, names_cte, nodes, none_known
from .dialect import POSTGRESQL, ZONED
from .functions import FUNCTIONS
from .gate import query_of, read_of
from .syntax import Arrow, DoubleArrow, DoubleHashArrow, Exact, HashArrow, folded, parse, tokens_of

_KNOWN = frozenset(
    {
        # queries
        *(
            exp.Select,
            exp.From,
            exp.Join,
            exp.Where,
            exp.Group,
            exp.Having,
            exp.Order,
            exp.Ordered,
            exp.Limit,
        ),
        *(
            exp.Offset,
            exp.Fetch,
            exp.LimitOptions,
            exp.Distinct,
            exp.Subquery,
            exp.Table,
            exp.TableAlias,
            exp.Union,
            exp.Except,
        ),
        *(exp.Intersect, exp.With, exp.CTE, exp.Alias, exp.Star, exp.Column, exp.Identifier, exp.Lateral),
        # conditions
        *(
            exp.And,
            exp.Or,
            exp.Not,
            exp.Paren,
            exp.EQ,
            exp.NEQ,
            exp.LT,
            exp.LTE,
            exp.GT,
            exp.GTE,
            exp.In,
            exp.Is,
        ),
        *(exp.Between, exp.Like, exp.ILike, exp.RegexpLike, exp.Exists, exp.Any, exp.All, exp.NullSafeEQ),
        *(exp.NullSafeNEQ, exp.Tuple),
        # values
        *(
            exp.Literal,
            exp.Null,
            exp.Boolean,
            exp.Add,
            exp.Sub,
            exp.Mul,
            exp.Div,
            exp.Mod,
            exp.Neg,
            exp.DPipe,
        ),
        *(exp.Cast, exp.DataType, exp.DataTypeParam, exp.Case, exp.If, exp.Array, exp.Var),
        *(Arrow, DoubleArrow, HashArrow, DoubleHashArrow),
        # functions
        *(exp.Anonymous, exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Filter, exp.WithinGroup),
        *(exp.Window, exp.WindowSpec, exp.Extract, exp.Substring, exp.StrPosition, exp.Trim),
        *(exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.CurrentUser, exp.SessionUser),
    }
)
# The parts of these that are known.
_PARTS: dict[type[Expr], frozenset[str]] = {
    exp.Select: frozenset(
        "with_ expressions from_ joins where group having order limit offset distinct windows".split()  # noqa: SIM905
    ),
    exp.Table: frozenset({"this", "db", "alias", "joins"}),
    exp.Group: frozenset({"expressions"}),
    exp.With: frozenset({"expressions"}),
    exp.Lateral: frozenset({"this", "alias"}),
    exp.Join: frozenset({"this", "side", "kind", "on", "using", "method"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Subquery: frozenset({"this", "alias", "with_", "joins", "order", "limit", "offset"}),
}
_TYPES = frozenset(
    {
        *(exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT, exp.DType.DECIMAL, exp.DType.DOUBLE),
        *(exp.DType.FLOAT, exp.DType.BOOLEAN, exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.VARBINARY),
        *(exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.JSON, exp.DType.JSONB),
        *(exp.DType.UUID,),
    }
)


_BEGIN_A_CTE = frozenset({"(", "MATERIALIZED", "NOT"})
_BEFORE_A_SOURCE = frozenset({"FROM", "JOIN", ",", "("})
_FROM_IN_FUNCTIONS = frozenset({"EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM"})
_AFTER_FROM = frozenset(
    "SELECT WHERE GROUP HAVING WINDOW ORDER LIMIT OFFSET FETCH FOR UNION EXCEPT INTERSECT".split()  # noqa: SIM905
)
_NO_NAMES = frozenset({"LATERAL", "ONLY", "ROWS", "VALUES"})


def _without_schema(name: str) -> LineageError:
    return LineageError(
        f"its table {name} has no schema, and the search_path is not followed on PostgreSQL yet. Write schema.{name}"
    )


class PostgreSQLSyntax:
    """The `Syntax` of PostgreSQL."""

    written = Exact
    functions = FUNCTIONS
    merges_levels = False
    aliases_in_having = False
    right_first = False
    exact_names = True

    def parse(self, sql: str, modes: Collection[str] = ()) -> Expr:
        return parse(sql, modes)

    def tokens_of(self, sql: str, modes: Collection[str] = ()) -> list[Token]:
        return tokens_of(sql, modes)

    def name_of(self, token: Token) -> str:
        return (
            token.text if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING) else folded(token.text)
        )

    def without_schema(self, tokens: Sequence[Token]) -> tuple[()]:
        texts = [self.name_of(token) for token in tokens]
        words = [
            "" if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING) else token.text.upper()
            for token in tokens
        ]
        follow = [*words[1:], "", ""]
        ctes = {texts[i] for i in range(len(texts)) if follow[i] == "AS" and follow[i + 1] in _BEGIN_A_CTE}
        listed = [False]  # for each open parenthesis, whether what follows a comma is a source
        functions = [False]
        before = ""
        for i, word in enumerate(words):
            if word == "(":
                listed.append(listed[-1] and before in _BEFORE_A_SOURCE)
                functions.append(before in _FROM_IN_FUNCTIONS)
            elif word == ")" and len(listed) > 1:
                listed.pop()
                functions.pop()
            elif word == "FROM" and not functions[-1] and before != "DISTINCT":
                listed[-1] = True
            elif word in _AFTER_FROM:
                listed[-1] = False
            elif before in _BEFORE_A_SOURCE and (before == "JOIN" or listed[-1]):
                source = word not in _NO_NAMES and follow[i] not in (".", "(") and texts[i] not in ctes
                if source and texts[i]:
                    raise _without_schema(texts[i])
            before = word
        return ()

    def query_of(self, statement: Expr, modes: Collection[str] = ()) -> Expr | None:
        return query_of(statement, modes)

    def read_of(
        self,
        sql: str,
        modes: Collection[str] = (),
        reads_only: ReadsOnly = none_known,
        parsed: Expr | None = None,
    ) -> Read:
        return read_of(sql, modes, reads_only, parsed)

    def require_known(self, query: Expr) -> None:
        for node in nodes(query):
            kind = type(node)
            if kind not in _KNOWN:
                raise Unsupported(f"{kind.__name__} is not analysed on PostgreSQL yet")
            for part in node.args.keys() - _PARTS.get(kind, node.args.keys()):
                if node.args[part]:
                    raise Unsupported(f"{kind.__name__} with {part} is not analysed on PostgreSQL yet")
            if isinstance(node, exp.DataType) and (node.this not in _TYPES or node.args.get("nested")):
                raise Unsupported(f"the type {node.sql(Exact)} is not analysed on PostgreSQL yet")
            if isinstance(node, exp.Query) and node.args.get("offset") and not node.args.get("limit"):
                raise Unsupported("OFFSET without LIMIT is not analysed")
            if (
                isinstance(node, exp.Table)
                and isinstance(node.this, exp.Identifier)
                and not node.db
                and not names_cte(node)
            ):
                raise _without_schema(node.name)

    def output_name(self, expression: Expr) -> str:
        node = expression.unnest()
        if isinstance(node, exp.Column):
            return node.name
        if isinstance(node, exp.Cast):
            return self.output_name(node.this)
        if isinstance(node, exp.Anonymous):
            return str(node.this).lower()
        if isinstance(node, (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Exists)):
            return type(node).__name__.lower()
        return "?column?"

    def key(self, node: exp.Column, column: Column) -> Expr:
        """A moment with a time zone is read in UTC."""
        if column.data_type == ZONED:
            return exp.Paren(this=exp.AtTimeZone(this=node, zone=exp.Literal.string("UTC")))
        return node

    def null(self, column: Column) -> Expr:
        """NULL with its type: those of a UNION are found pair by pair."""
        return exp.Var(this=f"CAST(NULL AS {POSTGRESQL.type_of(column)})")

    def grouped(self, key: Expr) -> Expr:
        """Write a number in GROUP BY as a sum, or it would be read as a position."""
        if isinstance(key, exp.Literal) and not key.is_string:
            return exp.Add(this=key, expression=exp.Literal.number(0))
        return key


POSTGRESQL_SYNTAX = PostgreSQLSyntax()
