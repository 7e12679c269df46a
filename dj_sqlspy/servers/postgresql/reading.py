"""Reading: the `Syntax` of PostgreSQL for the lineage.

A construct that the lineage knows for MySQL is analysed only if it stands in `_KNOWN`: there it means the same. All
others fall back to whole tables.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from ...errors import LineageError
from ..columns import Column
from ..expressions import (
    Expr,
    Unsupported,
    function_name,
    functions_called,
    names_cte,
    nodes,
)
from . import gate, syntax
from .dialect import POSTGRESQL, ZONED
from .functions import FUNCTIONS, SETS
from .own import CATALOG
from .syntax import Arrow, DoubleArrow, DoubleHashArrow, Exact, HashArrow, Matches, folded

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
        *(exp.Values, exp.Rollup, exp.Cube, exp.GroupingSets, exp.Unnest),
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
        *(exp.NullSafeNEQ, exp.Tuple, exp.SimilarTo, exp.RegexpILike, exp.Escape),
        *(exp.ArrayContainsAll, exp.ArrayContainedBy, exp.ArrayOverlaps, exp.JSONBContainsAnyTopKeys),
        *(exp.JSONBPathExists, exp.JSONBContainsTopKey, exp.JSONBContainsAllTopKeys, exp.StartsWith),
        *(exp.Overlaps, Matches),
        *(exp.Adjacent, exp.ExtendsLeft, exp.ExtendsRight),
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
        *(exp.Bracket, exp.Slice, exp.AtTimeZone, exp.Collate, exp.JSONBDeleteAtPath),
        *(exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseLeftShift),
        *(exp.BitwiseRightShift,),
        *(exp.Cast, exp.DataType, exp.DataTypeParam, exp.Case, exp.If, exp.Array, exp.Var),
        *(Arrow, DoubleArrow, HashArrow, DoubleHashArrow),
        # functions
        *(
            exp.Anonymous,
            exp.Kwarg,
            exp.Count,
            exp.Sum,
            exp.Avg,
            exp.Min,
            exp.Max,
            exp.Filter,
            exp.WithinGroup,
        ),
        *(exp.Window, exp.WindowSpec, exp.Extract, exp.Overlay, exp.Substring, exp.StrPosition, exp.Trim),
        *(
            exp.Localtime,
            exp.Localtimestamp,
            exp.CurrentDate,
            exp.CurrentTimestamp,
            exp.CurrentTime,
            exp.CurrentUser,
            exp.SessionUser,
        ),
    }
)
# The parts of these that are known.
_PARTS: dict[type[Expr], frozenset[str]] = {
    exp.Select: frozenset(
        "with_ expressions from_ joins where group having order limit offset distinct windows".split()  # noqa: SIM905
    ),
    # a table that is inherited from is refused with its rows, so that ONLY means nothing
    exp.Table: frozenset({"this", "db", "alias", "joins", "only", "ordinality", "rows_from"}),
    exp.Group: frozenset({"expressions"}),
    exp.With: frozenset({"expressions", "recursive"}),
    exp.Lateral: frozenset({"this", "alias", "ordinality"}),
    exp.Join: frozenset({"this", "side", "kind", "on", "using", "method"}),
    exp.Between: frozenset({"this", "low", "high", "symmetric"}),
    exp.Subquery: frozenset({"this", "alias", "with_", "joins", "order", "limit", "offset"}),
}
_TYPES = frozenset(
    {
        *(exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT, exp.DType.DECIMAL, exp.DType.DOUBLE),
        *(exp.DType.FLOAT, exp.DType.BOOLEAN, exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.VARBINARY),
        *(exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.JSON, exp.DType.JSONB),
        *(exp.DType.UUID, exp.DType.TIME, exp.DType.INTERVAL, exp.DType.CHAR, exp.DType.BPCHAR),
        *(exp.DType.INT4RANGE, exp.DType.INT8RANGE, exp.DType.NUMRANGE, exp.DType.DATERANGE),
        *(exp.DType.TSRANGE, exp.DType.TSTZRANGE, exp.DType.INT4MULTIRANGE, exp.DType.INT8MULTIRANGE),
        *(exp.DType.NUMMULTIRANGE, exp.DType.DATEMULTIRANGE, exp.DType.TSMULTIRANGE),
        *(exp.DType.TSTZMULTIRANGE,),
    }
)

# The columns of functions that return rows and name them; those of all others are named as the source.
_COLUMNS = {
    **dict.fromkeys(
        (
            "JSONB_ARRAY_ELEMENTS",
            "JSONB_ARRAY_ELEMENTS_TEXT",
            "JSON_ARRAY_ELEMENTS",
            "JSON_ARRAY_ELEMENTS_TEXT",
        ),
        ("value",),
    ),
    **dict.fromkeys(("JSONB_EACH", "JSONB_EACH_TEXT", "JSON_EACH", "JSON_EACH_TEXT"), ("key", "value")),
}

_BEGIN_A_CTE = frozenset({"(", "MATERIALIZED", "NOT"})
_BEFORE_A_SOURCE = frozenset({"FROM", "JOIN", "TABLE", ",", "("})
_FROM_IN_FUNCTIONS = frozenset({"EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM"})
_AFTER_FROM = frozenset(
    "SELECT WHERE GROUP HAVING WINDOW ORDER LIMIT OFFSET FETCH FOR UNION EXCEPT INTERSECT".split()  # noqa: SIM905
)
# Words that name no table without quotes: what is reserved (by pg_get_keywords() of 15), and what begins a source.
_NO_NAMES = frozenset(
    """
    ALL ANALYSE ANALYZE AND ANY ARRAY AS ASC ASYMMETRIC AUTHORIZATION BINARY BOTH CASE CAST CHECK COLLATE
    COLLATION COLUMN CONCURRENTLY CONSTRAINT CREATE CROSS CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE
    CURRENT_SCHEMA CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DEFAULT DEFERRABLE DESC DISTINCT DO ELSE END
    EXCEPT FALSE FETCH FOR FOREIGN FREEZE FROM FULL GRANT GROUP HAVING ILIKE IN INITIALLY INNER INTERSECT INTO
    IS ISNULL JOIN LATERAL LEADING LEFT LIKE LIMIT LOCALTIME LOCALTIMESTAMP NATURAL NOT NOTNULL NULL OFFSET ON
    ONLY OR ORDER OUTER OVERLAPS PLACING PRIMARY REFERENCES RETURNING RIGHT SELECT SESSION_USER SIMILAR SOME
    SYMMETRIC TABLE TABLESAMPLE THEN TO TRAILING TRUE UNION UNIQUE USER USING VARIADIC VERBOSE WHEN
    WHERE WINDOW WITH
    ROWS VALUES
    """.split()  # noqa: SIM905
)


def _without_schema(name: str) -> LineageError:
    return LineageError(
        f"its table {name} has no schema, and is in one of several of the search_path. Write schema.{name}, or set a"
        " search_path of one schema"
    )


def _is_in(default_schema: str | None, name: str) -> bool:
    """Whether a name without a schema is that of a table of the only schema of the search_path, if it is one."""
    return bool(default_schema) and name not in CATALOG


class PostgreSQLSyntax:
    """The `Syntax` of PostgreSQL."""

    written = Exact
    functions = FUNCTIONS
    merges_levels = False
    aliases_in_having = False
    right_first = False
    exact_names = True
    full_join = True
    grouping_sets = True
    with_ties = True
    places = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})

    parse = staticmethod(syntax.parse)
    tokens_of = staticmethod(syntax.tokens_of)
    query_of = staticmethod(gate.query_of)
    read_of = staticmethod(gate.read_of)

    def name_of(self, token: Token) -> str:
        return (
            token.text if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING) else folded(token.text)
        )

    def without_schema(self, tokens: Sequence[Token], default_schema: str | None) -> list[str]:
        """Names without a schema where one of a table can stand.

        >>> text = "SELECT 1 FROM a, ONLY b JOIN (WITH c (x) AS (TABLE d) TABLE c) AS c ON x IS DISTINCT FROM y"
        >>> POSTGRESQL_SYNTAX.without_schema(syntax.tokens_of(text), "lab")
        ['a', 'b', 'd']
        """
        found = []
        texts = [self.name_of(token) for token in tokens]
        words = [
            "" if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING) else token.text.upper()
            for token in tokens
        ]
        follow = [*words[1:], "", ""]
        ctes = set()
        for i in range(1, len(words)):
            if words[i] == "AS" and follow[i] in _BEGIN_A_CTE:
                name = i - 1
                if words[name] == ")":  # behind the names of its columns
                    name = next((j - 1 for j in range(name, 0, -1) if words[j] == "("), name)
                ctes.add(texts[name])
        listed = [False]  # for each open parenthesis, whether what follows a comma is a source
        functions = [False]
        before = ""
        for i, word in enumerate(words):
            if word == "ONLY":  # FROM ONLY t, TABLE ONLY t
                continue
            if word == "(":
                listed.append(listed[-1] and before in _BEFORE_A_SOURCE)
                functions.append(before in _FROM_IN_FUNCTIONS)
            elif word == ")" and len(listed) > 1:
                listed.pop()
                functions.pop()
            elif word == "FROM" and (functions[-1] or before == "DISTINCT"):
                word = ""  # of an operator or a function: no source follows
            elif word == "FROM":
                listed[-1] = True
            elif word in _AFTER_FROM:
                listed[-1] = False
            elif before in _BEFORE_A_SOURCE and (before in ("JOIN", "TABLE") or listed[-1]):
                literal = tokens[i].token_type in (TokenType.NUMBER, TokenType.STRING)
                source = word not in _NO_NAMES and follow[i] not in (".", "(") and texts[i] not in ctes
                source = source and not literal
                if source and texts[i]:
                    if not _is_in(default_schema, texts[i]):
                        raise _without_schema(texts[i])
                    found.append(texts[i])
            before = word
        return found

    def called(self, sql: str, schema: str | None) -> set[tuple[str, str]]:
        """Only names that no function of the server has: it looks in pg_catalog first."""
        try:
            statement = syntax.parse(sql)
        except Unsupported:  # lineage has reported it
            return set()
        found = functions_called(statement, schema, FUNCTIONS | SETS)
        return {name for name in found if name[0] != "pg_catalog"}

    def require_known(self, query: Expr, default_schema: str | None = None) -> None:
        for node in nodes(query):
            kind = type(node)
            if node.args.get("sample"):
                raise Unsupported("which rows TABLESAMPLE takes depends on where they are stored")
            if kind not in _KNOWN:
                raise Unsupported(f"{kind.__name__} is not analysed on PostgreSQL yet")
            for part in node.args.keys() - _PARTS.get(kind, node.args.keys()):
                if node.args[part]:
                    raise Unsupported(f"{kind.__name__} with {part} is not analysed on PostgreSQL yet")
            if isinstance(node, exp.DataType) and node.this is exp.DType.ARRAY and node.expressions:
                continue  # of a type that is looked at, too
            if isinstance(node, exp.DataType) and (node.this not in _TYPES or node.args.get("nested")):
                raise Unsupported(f"the type {node.sql(Exact)} is not analysed on PostgreSQL yet")
            if (
                isinstance(node, exp.Table)
                and isinstance(node.this, exp.Identifier)
                and not node.db
                and not names_cte(node)
                and not _is_in(default_schema, node.name)
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
        if isinstance(node, (exp.Array, exp.Unnest)):
            return type(node).__name__.lower()
        if isinstance(node, (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Exists)):
            return type(node).__name__.lower()
        return "?column?"

    def value_name(self, place: int) -> str:
        return f"column{place + 1}"

    def columns_of(self, call: Expr) -> Sequence[str] | None:
        if isinstance(call, exp.Unnest):
            return [""] if len(call.expressions) == 1 else ["unnest"] * len(call.expressions)
        return _COLUMNS.get(str(call.this).upper(), ("",)) if function_name(call) in SETS else None

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
