"""Reading: the `Syntax` of PostgreSQL for the lineage.

A construct that the lineage knows for MySQL is analysed only if it stands in `_KNOWN`: there it means the same. All
others fall back to whole tables.
"""

from __future__ import annotations

from collections.abc import Collection

from ..mysql import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.tokens import Token  # type: ignore[attr-defined]

from ...errors import LineageError
from ..columns import Column
from ..expressions import Expr, Read, ReadsOnly, Unsupported, none_known
from .dialect import POSTGRESQL, ZONED
from .functions import FUNCTIONS
from .gate import query_of, read_of
from .syntax import Arrow, DoubleArrow, DoubleHashArrow, Exact, HashArrow, parse, tokens_of

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


class PostgreSQLSyntax:
    """The `Syntax` of PostgreSQL."""

    written = Exact
    functions = FUNCTIONS
    merges_levels = False
    aliases_in_having = False
    right_first = False

    def parse(self, sql: str, modes: Collection[str] = ()) -> Expr:
        return parse(sql, modes)

    def tokens_of(self, sql: str, modes: Collection[str] = ()) -> list[Token]:
        return tokens_of(sql, modes)

    def query_of(self, statement: Expr, modes: Collection[str] = ()) -> Expr | None:
        return query_of(statement, modes)

    def read_of(self, sql: str, modes: Collection[str] = (), reads_only: ReadsOnly = none_known) -> Read:
        return read_of(sql, modes, reads_only)

    def require_known(self, query: Expr) -> None:
        names: dict[str, str] = {}
        for node in query.walk():
            kind = type(node)
            if kind not in _KNOWN:
                raise Unsupported(f"{kind.__name__} is not analysed on PostgreSQL yet")
            for part in node.args.keys() - _PARTS.get(kind, node.args.keys()):
                if node.args[part]:
                    raise Unsupported(f"{kind.__name__} with {part} is not analysed on PostgreSQL yet")
            if (
                isinstance(node, exp.Identifier)
                and names.setdefault(node.name.lower(), node.name) != node.name
            ):
                raise Unsupported(f"names in it differ in upper and lower case only: {node.name}")
            if isinstance(node, exp.DataType) and (node.this not in _TYPES or node.args.get("nested")):
                raise Unsupported(f"the type {node.sql(Exact)} is not analysed on PostgreSQL yet")
            if isinstance(node, exp.Query) and node.args.get("offset") and not node.args.get("limit"):
                raise Unsupported("OFFSET without LIMIT is not analysed")
            if isinstance(node, exp.Table) and not node.db and not self._is_cte(node):
                raise LineageError(
                    f"its table {node.name} has no schema, and the search_path is not followed on PostgreSQL yet. Write"
                    f" schema.{node.name}"
                )

    @staticmethod
    def _is_cte(table: exp.Table) -> bool:
        """Whether a query around a table has a CTE of its name."""
        around = table.parent
        while around is not None:
            with_ = around.args.get("with_")
            if with_ is not None and any(cte.alias == table.name for cte in with_.expressions):
                return True
            around = around.parent
        return False

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
