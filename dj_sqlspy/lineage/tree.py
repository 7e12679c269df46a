"""Query trees: what a SELECT means once every name in it is resolved, and back to SQL text.

A `Query` is a `Block` (one SELECT) or a `Union`. A block reads from a join tree of sources; every source has
an alias that is unique in the whole statement, every column is written ``alias.column``, and subqueries in
expressions are placeholders that carry a `Query`. Scalar expressions stay sqlglot expressions. Nodes are
immutable: the passes build new ones. `to_sql` is the way back to text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlglot import exp

from ..servers.mysql.syntax import Exact, Expr

if TYPE_CHECKING:
    from ..servers.tables import Table


class _Immutable:
    """Trees are shared, never copied: sqlglot copies the ``meta`` of a node deeply."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


@dataclass(frozen=True, eq=False)
class Base(_Immutable):
    """One occurrence of a base table. ``whole`` asks for all of its rows, whatever they are read for."""

    alias: str
    table: Table
    whole: bool = False


@dataclass(frozen=True, eq=False)
class Derived(_Immutable):
    """A derived table (also a view, a CTE reference or a LATERAL subquery)."""

    alias: str
    query: Query
    lateral: bool = False


@dataclass(frozen=True, eq=False)
class Opaque(_Immutable):
    """A source that is not looked into: JSON_TABLE, VALUES, a recursive CTE.

    ``whole`` are the tables that it reads, of which all rows are demanded, so that it stays as it is; ``hidden`` is
    its text as an expression where ``node`` does not show it.
    """

    alias: str
    node: Expr
    columns: tuple[str, ...]
    whole: tuple[Base, ...] = ()
    hidden: Expr | None = None


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


@dataclass(frozen=True, eq=False)
class Block(_Immutable):
    """One SELECT. ``group`` is None without aggregation, ``()`` for an aggregate over all rows."""

    outputs: tuple[Output, ...]
    tree: Tree | None = None
    where: tuple[Expr, ...] = ()
    group: tuple[Expr, ...] | None = None
    rollup: bool = False
    having: tuple[Expr, ...] = ()
    distinct: bool = False
    order: tuple[Expr, ...] = ()
    limit: int | None = None
    offset: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(output.name for output in self.outputs)

    @property
    def totals(self) -> bool:
        """True if it has a row about all rows, even about none: without GROUP BY, or (MySQL) by WITH ROLLUP."""
        return self.group == () or self.rollup


@dataclass(frozen=True, eq=False)
class Union(_Immutable):
    """Branches with equally many columns; ``distinct`` removes duplicate rows.

    ``operator`` says what it is of: `resolve` leaves an EXCEPT or INTERSECT as it is where it cannot be rewritten.
    """

    branches: tuple[Query, ...]
    distinct: bool = True
    order: tuple[Expr, ...] = ()
    limit: int | None = None
    offset: int = 0
    operator: type[exp.SetOperation] = exp.Union

    @property
    def adds_up(self) -> bool:
        """True if each row of a branch is one of its rows, whatever else there is."""
        return self.operator is exp.Union and self.limit is None

    @property
    def names(self) -> tuple[str, ...]:
        return self.branches[0].names


Query: TypeAlias = "Block | Union"


# ---------------------------------------------------------------- expressions


def column(alias: str, name: str) -> exp.Column:
    """``alias.name``, quoted."""
    return exp.Column(
        this=exp.Identifier(this=name, quoted=True), table=exp.Identifier(this=alias, quoted=True)
    )


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


def is_true(condition: Expr) -> Expr:
    return exp.Is(this=exp.Paren(this=condition), expression=exp.Boolean(this=True))


def is_not_true(condition: Expr) -> Expr:
    return exp.Not(this=is_true(condition))


def is_not_false(condition: Expr) -> Expr:
    return exp.Not(this=exp.Is(this=exp.Paren(this=condition), expression=exp.Boolean(this=False)))


def same(left: Expr, right: Expr) -> Expr:
    """Equality under which NULL equals NULL."""
    return exp.NullSafeEQ(this=exp.Paren(this=left.copy()), expression=exp.Paren(this=right.copy()))


def conjuncts(condition: Expr | None) -> tuple[Expr, ...]:
    """Split a condition at its top-level ANDs."""
    if condition is None:
        return ()
    if isinstance(condition, exp.Paren):
        return conjuncts(condition.this)
    if isinstance(condition, exp.And):
        return conjuncts(condition.this) + conjuncts(condition.expression)
    return (condition,)


def substitute(node: Expr, mapping: Any) -> Expr:
    """Copy of an expression with each column ``c`` replaced by ``mapping(c)`` where that is not None.

    Columns inside of subqueries (outer references) are replaced too.
    """

    def visit(item: Expr) -> Expr:
        if isinstance(item, exp.Column):
            new = mapping(item)
            return item if new is None else new
        query = query_of(item)
        if query is not None:
            return subquery(map_query(query, lambda e: substitute(e, mapping)))
        return item

    result: Expr = node.copy().transform(visit, copy=False)
    return result


def map_query(query: Query, f: Any) -> Query:
    """Apply ``f`` to every expression of a query, also within its derived tables."""
    if isinstance(query, Union):
        return replace(
            query,
            branches=tuple(map_query(branch, f) for branch in query.branches),
            order=tuple(f(e) for e in query.order),
        )
    return replace(
        query,
        outputs=tuple(Output(output.name, f(output.expr)) for output in query.outputs),
        tree=None if query.tree is None else map_tree(query.tree, f),
        where=tuple(f(e) for e in query.where),
        group=None if query.group is None else tuple(f(e) for e in query.group),
        having=tuple(f(e) for e in query.having),
        order=tuple(f(e) for e in query.order),
    )


def supplied(tree: Tree | None, alias: str, inside: bool = False) -> bool:
    """Whether a source is on the side of a LEFT JOIN that is filled with NULLs."""
    if isinstance(tree, Join):
        return supplied(tree.left, alias, inside) or supplied(tree.right, alias, inside or tree.left_outer)
    return tree is not None and tree.alias == alias and inside


def put(tree: Tree, alias: str, new: Tree | None) -> Tree:
    """The tree with another source in the place of the one of that alias."""
    if isinstance(tree, Join):
        return replace(tree, left=put(tree.left, alias, new), right=put(tree.right, alias, new))
    assert new is not None
    return new if tree.alias == alias else tree


def with_names(query: Query, names: Collection[str]) -> Query:
    """The same query with other names of its outputs."""
    if isinstance(query, Union):
        return replace(query, branches=tuple(with_names(branch, names) for branch in query.branches))
    outputs = zip(names, query.outputs, strict=True)
    return replace(query, outputs=tuple(Output(name, output.expr) for name, output in outputs))


def map_expressions(block: Block, f: Callable[[Expr], Expr]) -> Block:
    """Apply ``f`` to the expressions of a block itself, not to those of its derived tables."""
    return replace(
        block,
        outputs=tuple(Output(output.name, f(output.expr)) for output in block.outputs),
        tree=None if block.tree is None else _map_on(block.tree, f),
        where=tuple(f(e) for e in block.where),
        group=None if block.group is None else tuple(f(e) for e in block.group),
        having=tuple(f(e) for e in block.having),
        order=tuple(f(e) for e in block.order),
    )


def _map_on(tree: Tree, f: Callable[[Expr], Expr]) -> Tree:
    if isinstance(tree, Join):
        return Join(
            _map_on(tree.left, f), _map_on(tree.right, f), tuple(f(e) for e in tree.on), tree.left_outer
        )
    if isinstance(tree, Opaque):
        return replace(tree, node=f(tree.node))
    return tree


def with_new_aliases(expression: Expr, new: Callable[[], str]) -> Expr:
    """Copy of an expression in which every source of its subqueries has another alias.

    An expression that stands in a second place (an alias in HAVING) needs them to be told apart.
    """
    mapping: dict[str, str] = {}
    for query in subqueries(expression):
        mapping |= {alias: new() for alias in all_aliases(query)}
    return _realiased(expression, mapping) if mapping else expression.copy()


def _realiased(expression: Expr, mapping: dict[str, str]) -> Expr:
    def visit(node: Expr) -> Expr:
        if isinstance(node, exp.Column) and node.table in mapping:
            node = node.copy()
            node.set("table", exp.Identifier(this=mapping[node.table], quoted=True))
            return node
        query = query_of(node)
        return node if query is None else subquery(_realiased_query(query, mapping))

    result: Expr = expression.copy().transform(visit, copy=False)
    return result


def _realiased_query(query: Query, mapping: dict[str, str]) -> Query:
    if isinstance(query, Union):
        branches = tuple(_realiased_query(branch, mapping) for branch in query.branches)
        return replace(query, branches=branches, order=tuple(_realiased(e, mapping) for e in query.order))
    block = map_expressions(query, lambda e: _realiased(e, mapping))
    return replace(block, tree=None if block.tree is None else _realiased_tree(block.tree, mapping))


def _realiased_tree(tree: Tree, mapping: dict[str, str]) -> Tree:
    if isinstance(tree, Join):
        left, right = _realiased_tree(tree.left, mapping), _realiased_tree(tree.right, mapping)
        return replace(tree, left=left, right=right)
    if isinstance(tree, Derived):
        return Derived(mapping[tree.alias], _realiased_query(tree.query, mapping), tree.lateral)
    return replace(tree, alias=mapping[tree.alias])


def map_tree(tree: Tree, f: Any) -> Tree:
    if isinstance(tree, Join):
        return Join(
            map_tree(tree.left, f), map_tree(tree.right, f), tuple(f(e) for e in tree.on), tree.left_outer
        )
    if isinstance(tree, Derived):
        return Derived(tree.alias, map_query(tree.query, f), tree.lateral)
    if isinstance(tree, Opaque):
        return replace(tree, node=f(tree.node))
    return tree


# ---------------------------------------------------------------- walking


def sources(tree: Tree | None) -> Iterator[Base | Derived | Opaque]:
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


def block_expressions(block: Block) -> Iterator[Expr]:
    """The expressions of a block itself, not those of its derived tables."""
    for join in joins(block.tree):
        yield from join.on
    for source in sources(block.tree):
        if isinstance(source, Opaque):
            yield source.node
    yield from block.where
    yield from block.group or ()
    yield from block.having
    yield from (output.expr for output in block.outputs)
    yield from block.order


def subqueries(expression: Expr) -> Iterator[Query]:
    """The queries that stand directly in an expression."""
    for node in expression.walk():
        query = query_of(node)
        if query is not None:
            yield query


def children(query: Query) -> Iterator[Query]:
    """The queries directly inside of a query: branches, derived tables, subqueries of its expressions."""
    if isinstance(query, Union):
        yield from query.branches
        return
    for source in sources(query.tree):
        if isinstance(source, Derived):
            yield source.query
    for expression in block_expressions(query):
        yield from subqueries(expression)


def occurrences(query: Query) -> Iterator[Base]:
    """Every base-table occurrence anywhere in a query."""
    if isinstance(query, Block):
        for source in sources(query.tree):
            if isinstance(source, Base):
                yield source
            elif isinstance(source, Opaque):
                yield from source.whole
    for child in children(query):
        yield from occurrences(child)


def tree_aliases(tree: Tree | None) -> frozenset[str]:
    return frozenset(source.alias for source in sources(tree))


def all_aliases(query: Query) -> Iterator[str]:
    """Aliases of every source anywhere in a query."""
    if isinstance(query, Block):
        yield from tree_aliases(query.tree)
    for child in children(query):
        yield from all_aliases(child)


def references(item: Expr | Query) -> frozenset[str]:
    """The aliases that an expression, or a query with all that is in it, refers to."""
    if isinstance(item, (Block, Union)):
        found: set[str] = set()
        expressions = block_expressions(item) if isinstance(item, Block) else iter(item.order)
        for expression in expressions:
            found |= references(expression)
        nested = (
            item.branches
            if isinstance(item, Union)
            else [source.query for source in sources(item.tree) if isinstance(source, Derived)]
        )
        for query in nested:
            found |= references(query)
        return frozenset(found)
    found = {node.table for node in item.find_all(exp.Column) if node.table}
    for query in subqueries(item):
        found |= references(query)
    return frozenset(found)


def outer_references(query: Query) -> frozenset[str]:
    """The aliases of outer queries that a query refers to (empty: it is not correlated)."""
    return references(query) - frozenset(all_aliases(query))


def lateral_references(tree: Tree) -> frozenset[str]:
    """The aliases that the sources of a tree refer to, of those beside it in FROM."""
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
    """True where an expression holds an aggregate function outside of a subquery and of a window."""
    return any(is_aggregate(n) for n in expression.walk(prune=lambda n: isinstance(n, exp.Window)))


# Aggregate functions of MySQL and MariaDB that sqlglot keeps as anonymous functions.
AGGREGATE_NAMES = frozenset(
    [
        "BIT_AND",
        "BIT_OR",
        "BIT_XOR",
        "JSON_ARRAYAGG",
        "JSON_OBJECTAGG",
        "STD",
        "STDDEV",
        "STDDEV_POP",
        "STDDEV_SAMP",
        "VAR_POP",
        "VAR_SAMP",
        "VARIANCE",
        "ANY_VALUE",
        "GROUP_CONCAT",
        "MEDIAN",
        "PERCENTILE_CONT",
        "PERCENTILE_DISC",
        "ST_COLLECT",
    ]
)


def has_window(expression: Expr) -> bool:
    return expression.find(exp.Window) is not None


# ---------------------------------------------------------------- back to SQL


def _table_node(source: Base) -> Expr:
    return exp.Table(
        this=exp.Identifier(this=source.table.name, quoted=True),
        db=exp.Identifier(this=source.table.schema, quoted=True),
        alias=exp.TableAlias(this=exp.Identifier(this=source.alias, quoted=True)),
    )


def _expression(node: Expr) -> Expr:
    def visit(item: Expr) -> Expr:
        query = query_of(item)
        return item if query is None else exp.Subquery(this=to_ast(query))

    copied = node.copy()
    # a subquery within EXISTS stands without parentheses of its own
    for exists in list(copied.find_all(exp.Exists)):
        query = query_of(exists.this)
        if query is not None:
            exists.set("this", to_ast(query))
    result: Expr = copied.transform(visit, copy=False)
    return result


def _and(conditions: Sequence[Expr]) -> Expr | None:
    if not conditions:
        return None
    parts = [exp.Paren(this=_expression(condition)) for condition in conditions]
    result: Expr = parts[0]
    for part in parts[1:]:
        result = exp.And(this=result, expression=part)
    return result


def _source_ast(tree: Tree) -> Expr:
    if isinstance(tree, Base):
        return _table_node(tree)
    if isinstance(tree, Opaque):
        node = _expression(tree.node)
        node.set(
            "alias", exp.TableAlias(this=exp.Identifier(this=tree.alias, quoted=True), **_alias_columns(tree))
        )
        return node
    if isinstance(tree, Derived):
        alias = exp.TableAlias(this=exp.Identifier(this=tree.alias, quoted=True))
        if tree.lateral:
            return exp.Lateral(this=exp.Subquery(this=to_ast(tree.query)), alias=alias)
        return exp.Subquery(this=to_ast(tree.query), alias=alias)
    raise TypeError(tree)


def _alias_columns(tree: Opaque) -> dict[str, Any]:
    if isinstance(tree.node, exp.Values):
        return {"columns": [exp.Identifier(this=name, quoted=True) for name in tree.columns]}
    return {}


def _from(tree: Tree) -> tuple[Expr, list[Expr]]:
    """First source, and the joins that follow it; a join on the right is put in parentheses."""
    if not isinstance(tree, Join):
        return _source_ast(tree), []
    first, rest = _from(tree.left)
    if isinstance(tree.right, Join):
        head, tail = _from(tree.right)
        head.set("joins", tail)
        right: Expr = exp.Subquery(this=head)
    else:
        right = _source_ast(tree.right)
    on = _and(tree.on)
    if tree.left_outer:
        rest.append(exp.Join(this=right, side="LEFT", on=on if on is not None else exp.Boolean(this=True)))
    elif on is None:
        rest.append(exp.Join(this=right, kind="CROSS"))
    else:
        rest.append(exp.Join(this=right, on=on))
    return first, rest


def to_ast(query: Query) -> Expr:
    """The sqlglot expression of a query tree."""
    if isinstance(query, Union):
        node: Expr = _branch(query.branches[0], query, first=True)
        for branch in query.branches[1:]:
            node = query.operator(this=node, expression=_branch(branch, query), distinct=query.distinct)
    else:
        select = exp.Select(
            expressions=[
                exp.Alias(this=_expression(output.expr), alias=exp.Identifier(this=output.name, quoted=True))
                for output in query.outputs
            ]
        )
        if query.distinct:
            select.set("distinct", exp.Distinct())
        if query.tree is not None:
            first, rest = _from(query.tree)
            select.set("from_", exp.From(this=first))
            select.set("joins", rest)
        where = _and(query.where)
        if where is not None:
            select.set("where", exp.Where(this=where))
        if query.group:
            group = exp.Group(expressions=[_no_position(_expression(e)) for e in query.group])
            if query.rollup:
                group.set("rollup", [exp.Rollup()])
            select.set("group", group)
        having = _and(query.having)
        if having is not None:
            select.set("having", exp.Having(this=having))
        node = select
    order = [_expression(e) for e in query.order if not isinstance(e.this, exp.Literal)]
    if order:
        node.set("order", exp.Order(expressions=order))
    if query.limit is not None:
        node.set("limit", exp.Limit(expression=exp.Literal.number(query.limit)))
        if query.offset:
            node.set("offset", exp.Offset(expression=exp.Literal.number(query.offset)))
    return node


def _no_position(expression: Expr) -> Expr:
    """A number in GROUP BY would be read as a position; as a string it is the constant that it stands for."""
    if isinstance(expression, exp.Literal) and not expression.is_string:
        return exp.Literal.string(expression.this)
    return expression


def _branch(query: Query, around: Union, first: bool = False) -> Expr:
    """A branch of a set operation; one that is a set operation itself without parentheses where it is the same.

    Of parentheses MariaDB makes a derived table, which can refer to no query around it.
    """
    node = to_ast(query)
    if isinstance(query, Union) and not query.order and query.limit is None:
        binds = [each.operator is exp.Intersect for each in (query, around)]
        if binds == [True, False] or (first and binds[0] == binds[1]):
            return node
    return exp.Subquery(this=node)


def to_sql(query: Query) -> str:
    """SQL text of a query tree, with every identifier quoted."""
    return to_ast(query).sql(dialect=Exact, identify=True, comments=False, copy=False)


def expression_sql(expression: Expr) -> str:
    return _expression(expression).sql(dialect=Exact, identify=True, comments=False, copy=False)
