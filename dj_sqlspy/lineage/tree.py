"""Query trees: a SELECT with all names resolved.

A `Query` is a `Block` (one SELECT) or a `Union`. A block reads from a join tree of sources. Every source has an alias
that is unique in the whole statement, every column is written ``alias.column``, and a subquery in an expression is a
placeholder with a `Query`. Scalar expressions are sqlglot expressions. Nodes are immutable: passes build new ones
(`rewrite`). This module has the nodes, small expressions for passes, and walks over a tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeAlias, TypeGuard, TypeVar

from sqlglot import exp

from ..servers.expressions import Expr, identifier, nodes, nodes_of
from ..servers.tables import Table


class _Immutable:
    """Prevents copies: trees are shared, but sqlglot deep-copies the ``meta`` of a node."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


@dataclass(frozen=True, eq=False)
class Base(_Immutable):
    """One occurrence of a base table.

    ``whole`` demands all of its rows in any case. ``rows`` is SQL that replaces it in FROM if only some of its rows
    count (`inside`).
    """

    alias: str
    table: Table
    whole: bool = False
    rows: str | None = None


@dataclass(frozen=True, eq=False)
class Derived(_Immutable):
    """A derived table (also a view, a CTE reference or a LATERAL subquery)."""

    alias: str
    query: Query
    lateral: bool = False


@dataclass(frozen=True, eq=False)
class Opaque(_Immutable):
    """A source that is not analysed further: JSON_TABLE, VALUES, a recursive CTE.

    ``whole`` are the tables that it reads; all of their rows are demanded, so its result stays the same. ``hidden`` is
    its parsed text if ``node`` has it only as SQL. ``named``: its alias gives the names of its columns.
    """

    alias: str
    node: Expr
    columns: tuple[str, ...]
    whole: tuple[Base, ...] = ()
    hidden: Expr | None = None
    named: bool = False


@dataclass(frozen=True, eq=False)
class Join(_Immutable):
    """``left JOIN right ON on``; ``left_outer`` keeps rows of ``left`` without a match."""

    left: Tree
    right: Tree
    on: tuple[Expr, ...] = ()
    left_outer: bool = False


Source: TypeAlias = "Base | Derived | Opaque"
Tree: TypeAlias = "Base | Derived | Opaque | Join"


@dataclass(frozen=True, eq=False)
class Output(_Immutable):
    """One column of a result."""

    name: str
    expr: Expr


T = TypeVar("T")


def remembered(function: Callable[[Query], T]) -> Callable[[Query], T]:
    """The function, which computes its (immutable) value once for each query: nested ones are shared, asked often."""

    @wraps(function)
    def value(query: Query) -> T:
        if function not in query.known:
            query.known[function] = function(query)
        found: T = query.known[function]
        return found

    return value


class _Query(_Immutable):
    """A query, with what passes ask of it again and again."""

    order: tuple[Expr, ...]

    @cached_property
    def known(self) -> dict[object, Any]:
        """Values of `remembered` functions, and the text in a syntax (`generate`)."""
        return {}

    @cached_property
    def aliases(self) -> tuple[str, ...]:
        """Aliases of every source anywhere in it."""
        own = [source.alias for source in sources(self.tree)] if isinstance(self, Block) else []
        return (*own, *(alias for child in self.children for alias in child.aliases))

    @cached_property
    def references(self) -> frozenset[str]:
        """The aliases to which it refers anywhere."""
        own = {alias for each in expressions_of(self) for alias in _named(each)}
        return frozenset(own).union(*(child.references for child in self.children))

    @property
    def children(self) -> tuple[Query, ...]:
        """The queries directly inside of it."""
        assert isinstance(self, (Block, Union))
        return children(self)


@dataclass(frozen=True, eq=False)
class Block(_Query):
    """One SELECT.

    ``group`` is None without aggregation, ``()`` for an aggregate over all rows. With ``rollup`` some rows aggregate
    more rows than a group has; ``sets`` are then PostgreSQL's grouping sets, as places in ``group``. With ``ties`` the
    rows that ORDER BY finds equal to the last row of LIMIT are there, too. ``picks``: it chooses among rows as it
    likes, for another reason than LIMIT.
    """

    outputs: tuple[Output, ...]
    tree: Tree | None = None
    where: tuple[Expr, ...] = ()
    group: tuple[Expr, ...] | None = None
    rollup: bool = False
    sets: tuple[tuple[int, ...], ...] = ()
    having: tuple[Expr, ...] = ()
    distinct: bool = False
    order: tuple[Expr, ...] = ()
    limit: int | None = None
    offset: int = 0
    ties: bool = False
    picks: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(output.name for output in self.outputs)

    @cached_property
    def windowed(self) -> bool:
        """True if an output has a window function."""
        return any(has_window(output.expr) for output in self.outputs)

    @property
    def totals(self) -> bool:
        """True if it returns a row even for no input: an aggregate without GROUP BY, or (MySQL) WITH ROLLUP."""
        return self.group == () or self.rollup


@dataclass(frozen=True, eq=False)
class Union(_Query):
    """Branches with equally many columns; ``distinct`` removes duplicate rows.

    It is an EXCEPT or INTERSECT (``operator``) if `set_operations` could not rewrite it.
    """

    branches: tuple[Query, ...]
    distinct: bool = True
    order: tuple[Expr, ...] = ()
    limit: int | None = None
    offset: int = 0
    operator: type[exp.SetOperation] = exp.Union

    @property
    def adds_up(self) -> bool:
        """True if each row of each branch is one of its rows: a UNION without LIMIT."""
        return self.operator is exp.Union and self.limit is None

    @property
    def names(self) -> tuple[str, ...]:
        return self.branches[0].names


Query: TypeAlias = "Block | Union"


# ---------------------------------------------------------------- expressions


def column(alias: str, name: str) -> exp.Column:
    """``alias.name``, quoted."""
    return exp.Column(this=identifier(name), table=identifier(alias))


def subquery(query: Query) -> exp.Placeholder:
    """A placeholder in an expression that stands for ``query``."""
    node = exp.Placeholder()
    node.meta["query"] = query
    return node


def query_of(node: Any) -> Query | None:
    """The query that a placeholder stands for, or None for any other node."""
    if isinstance(node, exp.Placeholder) and "query" in node.meta:
        query: Query = node.meta["query"]
        return query
    return None


def is_not_true(condition: Expr) -> Expr:
    return exp.Not(this=exp.Is(this=exp.Paren(this=condition), expression=exp.Boolean(this=True)))


def is_not_false(condition: Expr) -> Expr:
    return exp.Not(this=exp.Is(this=exp.Paren(this=condition), expression=exp.Boolean(this=False)))


def same(left: Expr, right: Expr, alike: bool = False) -> Expr:
    """Equality with NULL equal to NULL. ``alike``: both are certainly of one type."""
    node = exp.NullSafeEQ(this=exp.Paren(this=left.copy()), expression=exp.Paren(this=right.copy()))
    if alike:
        node.meta["alike"] = True
    return node


def conjuncts(condition: Expr | None) -> tuple[Expr, ...]:
    """Split a condition at its top-level ANDs."""
    if condition is None:
        return ()
    if isinstance(condition, exp.Paren):
        return conjuncts(condition.this)
    if isinstance(condition, exp.And):
        return conjuncts(condition.this) + conjuncts(condition.expression)
    return (condition,)


# ---------------------------------------------------------------- walking


def sources(tree: Tree | None) -> Iterator[Source]:
    """The sources of a join tree, left to right."""
    if isinstance(tree, Join):
        yield from sources(tree.left)
        yield from sources(tree.right)
    elif tree is not None:
        yield tree


def joins(tree: Tree | None) -> Iterator[Join]:
    """The joins of a tree, inner ones first."""
    if isinstance(tree, Join):
        yield from joins(tree.left)
        yield from joins(tree.right)
        yield tree


def supplied(tree: Tree | None, alias: str, inside: bool = False) -> bool:
    """Whether a source is on the filled side of a LEFT JOIN, where rows can become NULLs."""
    if isinstance(tree, Join):
        return supplied(tree.left, alias, inside) or supplied(tree.right, alias, inside or tree.left_outer)
    return tree is not None and tree.alias == alias and inside


def expressions_of(query: _Query) -> Iterator[Expr]:
    """The expressions of a query itself, not those of its branches and derived tables."""
    if isinstance(query, Block):
        for join in joins(query.tree):
            yield from join.on
        for source in sources(query.tree):
            if isinstance(source, Opaque):
                yield source.node
        yield from query.where
        yield from query.group or ()
        yield from query.having
        yield from (output.expr for output in query.outputs)
    yield from query.order


def subqueries(expression: Expr) -> Iterator[Query]:
    """The queries directly in an expression."""
    for node in nodes(expression):
        query = query_of(node)
        if query is not None:
            yield query


def has_subquery(expression: Expr) -> bool:
    return any(True for _ in subqueries(expression))


@remembered
def children(query: Query) -> tuple[Query, ...]:
    """The queries directly inside of a query: branches, derived tables, subqueries of its expressions."""
    found: list[Query] = []
    if isinstance(query, Union):
        found += query.branches
    else:
        found += (source.query for source in sources(query.tree) if isinstance(source, Derived))
    for expression in expressions_of(query):
        found += subqueries(expression)
    return tuple(found)


def queries(query: Query) -> Iterator[Query]:
    """A query and all queries inside of it."""
    yield query
    for child in children(query):
        yield from queries(child)


@remembered
def all_sources(query: Query) -> tuple[Source, ...]:
    """Every source anywhere in a query."""
    own = sources(query.tree) if isinstance(query, Block) else ()
    return (*own, *(source for child in children(query) for source in all_sources(child)))


def occurrences(query: Query) -> Iterator[Base]:
    """Every base-table occurrence anywhere in a query."""
    for source in all_sources(query):
        if isinstance(source, Base):
            yield source
        elif isinstance(source, Opaque):
            yield from source.whole


def tree_aliases(tree: Tree | None) -> frozenset[str]:
    return frozenset(source.alias for source in sources(tree))


def _named(expression: Expr) -> Iterator[str]:
    """The sources of the columns in an expression itself, not in its subqueries."""
    return (node.table for node in nodes_of(expression, exp.Column) if node.table)


def references(expression: Expr) -> frozenset[str]:
    """The aliases to which an expression refers."""
    return frozenset(_named(expression)).union(*(query.references for query in subqueries(expression)))


def outer_references(query: Query) -> frozenset[str]:
    """The aliases of outer queries to which a query refers; empty if it is not correlated."""
    return query.references.difference(query.aliases)


def lateral_references(tree: Tree) -> frozenset[str]:
    """The aliases beside a tree in FROM to which its sources refer."""
    found: set[str] = set()
    for source in sources(tree):
        if isinstance(source, Opaque):
            found |= references(source.node)
        elif isinstance(source, Derived):
            found |= outer_references(source.query)
    return frozenset(found - tree_aliases(tree))


def is_aggregate(node: Expr) -> bool:
    """True for the call of an aggregate function."""
    return isinstance(node, exp.AggFunc) or (
        isinstance(node, exp.Anonymous) and str(node.this).upper() in AGGREGATE_NAMES
    )


def aggregates(expression: Expr) -> bool:
    """True if an expression has an aggregate function outside of subqueries and windows."""
    if not has_window(expression):
        return any(map(is_aggregate, nodes(expression)))
    return any(is_aggregate(n) for n in expression.walk(prune=lambda n: isinstance(n, exp.Window)))


# Aggregate functions of MySQL, MariaDB and PostgreSQL that are parsed as anonymous functions.
AGGREGATE_NAMES = frozenset(
    """
ANY_VALUE BIT_AND BIT_OR BIT_XOR GROUP_CONCAT JSON_ARRAYAGG JSON_OBJECTAGG MEDIAN PERCENTILE_CONT PERCENTILE_DISC STD
STDDEV STDDEV_POP STDDEV_SAMP ST_COLLECT VARIANCE VAR_POP VAR_SAMP
ARRAY_AGG BOOL_AND BOOL_OR CORR COVAR_POP COVAR_SAMP EVERY JSONB_AGG JSONB_OBJECT_AGG JSON_AGG JSON_OBJECT_AGG MODE
RANGE_AGG RANGE_INTERSECT_AGG REGR_AVGX REGR_AVGY REGR_COUNT REGR_INTERCEPT REGR_R2 REGR_SLOPE REGR_SXX REGR_SXY
REGR_SYY STRING_AGG XMLAGG
""".split()  # noqa: SIM905
)


def has_window(expression: Expr) -> bool:
    return any(isinstance(node, exp.Window) for node in nodes(expression))


def windows_of(block: Block) -> list[tuple[Expr, ...]]:
    """The partitions of a block's window functions, each once."""
    found: dict[str, tuple[Expr, ...]] = {}
    for expression in [*(output.expr for output in block.outputs), *block.order]:
        for window in nodes_of(expression, exp.Window):
            keys = tuple(window.args.get("partition_by") or ())
            found.setdefault(", ".join(key.sql() for key in keys), keys)
    return list(found.values())


def is_plain(query: Query) -> TypeGuard[Block]:
    """True for a SELECT that returns one row for each row that it reads (DISTINCT merges equal ones)."""
    return isinstance(query, Block) and query.group is None and query.limit is None and not query.windowed
