"""Demand: from the rows that a query returns to the base rows behind them.

In: a resolved `Query` and the occurrences of base tables that are wanted. Out: a query that returns, for every
derivation of every output row, the keys of the wanted occurrences (the rewriting of Perm: Glavic and Alonso,
ICDE 2009; the semantics is lineage, Cui and Widom, VLDB 2000). Demand goes down the tree by the table of
DESIGN.md: see `annotate` for blocks and `attach` for subqueries in conditions. Which rows must come along so
that rejected rows stay rejected is not decided here: see `witness`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from sqlglot import exp

from ..servers.mysql.syntax import Expr, is_row
from .tree import (
    Base,
    Block,
    Derived,
    Join,
    Output,
    Query,
    Tree,
    Union,
    aggregates,
    block_expressions,
    children,
    column,
    has_window,
    is_not_false,
    is_not_true,
    joins,
    outer_references,
    put,
    query_of,
    same,
    sources,
    substitute,
    supplied,
    to_ast,
)

Keys = dict[str, tuple[Expr, ...]]
_ROWS = "g"  # aliases of what `_joined_back` joins with the rows behind it
_fresh = itertools.count(1)


def fresh(prefix: str) -> str:
    """An alias that no statement has."""
    return f"{prefix}~{next(_fresh)}"


def key_name(alias: str, index: int) -> str:
    """The output that carries column ``index`` of the key of occurrence ``alias``."""
    return f"{alias}.{index}"


# ---------------------------------------------------------------- subqueries in conditions


@dataclass(frozen=True, eq=False)
class Predicate:
    """A subquery in an expression, and how the expression depends on it.

    ``polarity`` is "+" where more rows of the subquery can only turn the expression towards true (EXISTS, IN),
    "-" where they can only turn it away (NOT EXISTS, NOT IN, ALL), "~" where both are possible.
    ``match`` gives the condition under which one row of the subquery matters, None if each does.
    """

    query: Query
    polarity: str
    match: Callable[[Sequence[Expr]], Expr | None]
    scalar: bool = False

    @property
    def standalone(self) -> bool:
        """A scalar subquery whose value is one for all rows: it is demanded for itself."""
        return self.scalar and not outer_references(self.query)


def any_row(_: Sequence[Expr]) -> Expr | None:
    """No condition (`Predicate.match`): any row of the subquery matters."""
    return None


_FLIP = {"+": "-", "-": "+", "~": "~"}


def predicates(expression: Expr, polarity: str = "+") -> Iterator[Predicate]:
    """The subqueries of an expression, each with its polarity.

    Polarity passes through AND, OR and parentheses, is turned by NOT, and is lost ("~") in anything else:
    comparisons with a scalar subquery, CASE, functions, IS, XOR.
    """
    if isinstance(expression, (exp.And, exp.Or)):
        yield from predicates(expression.this, polarity)
        yield from predicates(expression.expression, polarity)
    elif isinstance(expression, exp.Paren):
        yield from predicates(expression.this, polarity)
    elif isinstance(expression, exp.Not):
        yield from predicates(expression.this, _FLIP[polarity])
    elif isinstance(expression, exp.Exists):
        query = query_of(expression.this)
        if query is not None:
            yield _correlated(Predicate(query, polarity, any_row))
    elif isinstance(expression, exp.In) and query_of(_unwrapped(expression.args.get("query"))) is not None:
        yield from predicates(expression.this, "~")
        left = expression.this
        query = query_of(_unwrapped(expression.args["query"]))
        assert query is not None
        yield _correlated(Predicate(query, polarity, lambda outputs: _equal(left, outputs, polarity)))
    elif _quantified(expression) is not None:
        quantifier = expression.expression
        query = query_of(_unwrapped(quantifier.this))
        assert query is not None
        yield from predicates(expression.this, "~")
        universal = isinstance(quantifier, exp.All)
        turned = _FLIP[polarity] if universal else polarity

        def match(outputs: Sequence[Expr]) -> Expr | None:
            compared: Expr = type(expression)(this=expression.this.copy(), expression=outputs[0].copy())
            if universal:
                # x > ALL (…) fails by a row for which x > y is not true
                return exp.Not(this=exp.Paren(this=compared)) if turned == "+" else is_not_true(compared)
            return compared if turned == "+" else is_not_false(compared)

        yield _correlated(Predicate(query, turned, match))
    else:
        query = query_of(expression)
        if query is not None:
            yield Predicate(query, "~", any_row, scalar=True)
            return
        for child in expression.iter_expressions():
            yield from predicates(child, "~")


def _correlated(predicate: Predicate) -> Predicate:
    """A correlated subquery that groups or limits is asked for all rows it could read: its polarity is lost."""
    if _only_selects(predicate.query) or not outer_references(predicate.query):
        return predicate
    return replace(predicate, polarity="~")


def _only_selects(query: Query) -> bool:
    if isinstance(query, Union):
        return query.adds_up and all(_only_selects(branch) for branch in query.branches)
    return is_plain(query)


def _unwrapped(node: Expr | None) -> Expr | None:
    while isinstance(node, (exp.Paren, exp.Subquery)):
        node = node.this
    return node


def _quantified(expression: Expr) -> Expr | None:
    if isinstance(expression, (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)):
        right = expression.expression
        if isinstance(right, (exp.Any, exp.All)) and query_of(_unwrapped(right.this)) is not None:
            return right
    return None


def row(expression: Expr) -> list[Expr]:
    """The components of a row constructor; of any other expression, itself."""
    if isinstance(expression, exp.Paren):
        return row(expression.this)
    if isinstance(expression, exp.Tuple):
        return list(expression.expressions)
    if is_row(expression):
        return list(expression.expressions)
    return [expression]


def _equal(left: Expr, outputs: Sequence[Expr], polarity: str) -> Expr | None:
    """The condition that a row of an IN subquery equals the left side (or, negated, is not known to differ)."""
    condition: Expr | None = None
    for one, other in zip(row(left), outputs, strict=True):
        equal: Expr = exp.EQ(this=exp.Paren(this=one.copy()), expression=exp.Paren(this=other.copy()))
        if polarity != "+":
            equal = maybe_equal(one, other)
        condition = equal if condition is None else exp.And(this=condition, expression=equal)
    return condition


def maybe_equal(one: Expr, other: Expr) -> Expr:
    """``x = y`` that also holds where it is unknown; kept usable for an index where neither can be NULL."""
    equal = exp.EQ(this=exp.Paren(this=one.copy()), expression=exp.Paren(this=other.copy()))
    return equal if _never_null(one) and _never_null(other) else is_not_false(equal)


def _never_null(expression: Expr) -> bool:
    if isinstance(expression, exp.Paren):
        return _never_null(expression.this)
    return bool(expression.meta.get("not_null")) or isinstance(expression, exp.Literal)


# ---------------------------------------------------------------- blocks


@dataclass(frozen=True, eq=False)
class Input:
    """What a block reads before it groups: joined sources, conditions, and the keys that they carry."""

    tree: Tree | None
    where: tuple[Expr, ...] = ()
    keys: Keys = field(default_factory=dict)


def is_plain(query: Query) -> TypeGuard[Block]:
    """True for a SELECT that maps each row that it reads to one row (or, with DISTINCT, value)."""
    return (
        isinstance(query, Block)
        and query.group is None
        and query.limit is None
        and not any(has_window(output.expr) for output in query.outputs)
    )


def windows_of(block: Block) -> list[tuple[Expr, ...]]:
    """The partitions of a block's window functions, each once."""
    found: dict[str, tuple[Expr, ...]] = {}
    for expression in [*(output.expr for output in block.outputs), *block.order]:
        for window in expression.find_all(exp.Window):
            keys = tuple(window.args.get("partition_by") or ())
            found.setdefault(", ".join(key.sql() for key in keys), keys)
    return list(found.values())


def from_occurrences(tree: Tree | None) -> list[Base]:
    """Base tables that the rows of a FROM clause are made of, through derived tables."""
    found: list[Base] = []
    for source in sources(tree):
        if isinstance(source, Base):
            found.append(source)
        elif isinstance(source, Derived):
            found += query_occurrences(source.query)
    return found


def rowless(tree: Tree | None) -> bool:
    """True if a row of a FROM clause can be made of no row of any table: of VALUES, of COUNT(*) over nothing."""
    if isinstance(tree, Join):
        return rowless(tree.left) and (tree.left_outer or rowless(tree.right))
    if isinstance(tree, Derived):
        pending: list[Query] = [tree.query]
        while pending:
            query = pending.pop()
            if isinstance(query, Union):
                pending += query.branches
            elif query.totals or rowless(query.tree):
                return True
        return False
    return not isinstance(tree, Base)


def query_occurrences(query: Query) -> list[Base]:
    """Base tables that the rows of a query are made of (not those of subqueries in its conditions)."""
    if isinstance(query, Union):
        return [base for branch in query.branches for base in query_occurrences(branch)]
    return from_occurrences(query.tree)


def demanded_occurrences(query: Query) -> list[Base]:
    """Base tables that demanded rows need rows of: all but those below a negation."""
    if isinstance(query, Union):
        return [base for branch in query.branches for base in demanded_occurrences(branch)]
    found = [source for source in sources(query.tree) if isinstance(source, Base)]
    for source in sources(query.tree):
        if isinstance(source, Derived):
            found += demanded_occurrences(source.query)
    for expression in block_expressions(query):
        for predicate in predicates(expression):
            if predicate.polarity != "-" and not predicate.standalone:
                found += demanded_occurrences(predicate.query)
    return found


def cross(left: Tree | None, right: Tree | None, on: tuple[Expr, ...] = ()) -> Tree | None:
    """Both trees side by side; a left-deep right tree is unrolled so that its ON may refer to the left."""
    if left is None or right is None:
        return left if right is None else right
    if isinstance(right, Join) and not isinstance(right.right, Join):
        return Join(_known(cross(left, right.left)), right.right, right.on, right.left_outer)
    return Join(left, right, on)


def _known(tree: Tree | None) -> Tree:
    assert tree is not None
    return tree


def key_expression(base: Base, name: str) -> Expr:
    """A key column as `keys.expression` reads it: TIMESTAMP in seconds of UTC, FLOAT as the double it stands for."""
    node = column(base.alias, name)
    data_type = base.table.column(name).data_type
    if data_type == "timestamp":
        return exp.Anonymous(this="UNIX_TIMESTAMP", expressions=[node])
    if data_type == "float":
        return exp.Cast(this=node, to=exp.DataType.build("double"))
    return node


def carry(tree: Tree | None, wanted: Collection[str]) -> tuple[Tree | None, Keys]:
    """The same join tree, with the keys of wanted occurrences carried out of derived tables."""
    if tree is None:
        return None, {}
    if isinstance(tree, Join):
        left, left_keys = carry(tree.left, wanted)
        right, right_keys = carry(tree.right, wanted)
        return Join(_known(left), _known(right), tree.on, tree.left_outer), {**left_keys, **right_keys}
    if isinstance(tree, Base):
        if tree.alias in wanted:
            return tree, {tree.alias: tuple(key_expression(tree, name) for name in tree.table.key)}
        return tree, {}
    if isinstance(tree, Derived):
        inner = [base for base in demanded_occurrences(tree.query) if base.alias in wanted]
        if not inner:
            return tree, {}
        query = annotate(tree.query, {base.alias for base in inner})
        keys: Keys = {
            base.alias: tuple(column(tree.alias, key_name(base.alias, i)) for i in range(len(base.table.key)))
            for base in inner
        }
        return replace(tree, query=query), keys
    return tree, {}


def inputs(block: Block, wanted: Collection[str]) -> Input:
    """What a block reads, carrying the keys of wanted occurrences of its sources and of its subqueries."""
    tree, keys = carry(block.tree, wanted)
    result = Input(tree, block.where, keys)
    for expression in block_expressions(block):
        for predicate in predicates(expression):
            if predicate.polarity == "-" or predicate.standalone:
                continue
            if any(base.alias in wanted for base in demanded_occurrences(predicate.query)):
                result = attach(result, predicate, wanted)
    return result


def attach(outer: Input, predicate: Predicate, wanted: Collection[str]) -> Input:
    """Join the rows of a subquery that matter for a row of the outer block to that row.

    A subquery that only selects is merged into the outer FROM clause. One that groups or limits becomes a
    derived table where it is not correlated; where it is, all rows that it could read for the outer row count, as
    they do of EXCEPT and INTERSECT that were not rewritten.
    """
    query = predicate.query
    if isinstance(query, Union) and (query.limit is None or outer_references(query)):
        branch = next(
            b for b in query.branches if any(base.alias in wanted for base in demanded_occurrences(b))
        )
        matters = predicate.match if query.adds_up else any_row
        return attach(outer, replace(predicate, query=branch, match=matters), wanted)
    match: Expr | None = None
    if isinstance(query, Block) and (is_plain(query) or outer_references(query)):
        inner = inputs(query, wanted)
        where = inner.where
        if is_plain(query):
            match = predicate.match([output.expr for output in query.outputs])
        tree, keys = inner.tree, inner.keys
    else:
        alias = fresh("s")
        bases = [base for base in demanded_occurrences(query) if base.alias in wanted]
        tree = Derived(alias, annotate(query, {base.alias for base in bases}))
        keys = {
            base.alias: tuple(column(alias, key_name(base.alias, i)) for i in range(len(base.table.key)))
            for base in bases
        }
        match = predicate.match([column(alias, name) for name in query.names])
        where = ()
    if match is not None and not aggregates(match):
        where = (*where, match)
    return Input(cross(outer.tree, tree), outer.where + where, {**outer.keys, **keys})


def key_outputs(keys: Keys) -> tuple[Output, ...]:
    return tuple(
        Output(key_name(alias, i), expression)
        for alias, expressions in keys.items()
        for i, expression in enumerate(expressions)
    )


def annotate(query: Query, wanted: Collection[str]) -> Query:
    """The query with the keys of wanted occurrences as further outputs, one row for each derivation.

    | block | rows |
    |---|---|
    | plain | the same rows; DISTINCT then tells rows by their keys too: all rows behind a value |
    | aggregate | each demanded group joined with all rows that it was made of |
    | window | each row joined with all rows of its partitions |
    | LIMIT | the first offset + limit rows |
    | UNION | all branches |
    | EXCEPT, INTERSECT | each row joined with the equal ones of all branches |
    """
    if not wanted:
        return query
    if isinstance(query, Union):
        return _annotate_union(query, wanted)
    read = inputs(query, wanted)
    partitions = windows_of(query)
    if partitions:
        keys_of_each = partitions if query.group is None else [()]
        parts = [_joined_back(query, keys, read) for keys in keys_of_each]
        return parts[0] if len(parts) == 1 else Union(tuple(parts), distinct=False)
    if query.group is not None:
        return _joined_back(query, () if query.rollup else query.group, read)
    if query.limit is None:
        return Block(query.outputs + key_outputs(read.keys), read.tree, read.where, distinct=query.distinct)
    direct = {source.alias for source in sources(query.tree) if isinstance(source, Base)}
    if not query.distinct and set(read.keys) <= direct:
        return replace(
            query, outputs=query.outputs + key_outputs(read.keys), limit=query.limit + query.offset, offset=0
        )
    group = tuple(output.expr for output in query.outputs)
    # rows with the same values differ in what they were made of; DISTINCT takes them for one
    return _joined_back(query, group if query.distinct else group + _identity(query.tree), read)


def _identity(tree: Tree | None) -> tuple[Expr, ...]:
    """What tells the rows of a FROM clause apart: the keys of tables, and all values of derived ones."""
    found: list[Expr] = []
    for source in sources(tree):
        if isinstance(source, Base):
            found += [column(source.alias, name) for name in source.table.key]
        elif isinstance(source, Derived):
            found += [column(source.alias, name) for name in source.query.names]
    return tuple(found)


def _joined_back(block: Block, group: Sequence[Expr], read: Input) -> Block:
    """Rows of the block joined with the rows that it read, on the values that group them.

    An aggregate over all rows has a value even of none: its row is there without keys then.
    """
    left, right = fresh(_ROWS), fresh("r")
    names = [f"{left}.{i}" for i in range(len(group))]
    extra = tuple(Output(name, expression) for name, expression in zip(names, group, strict=True))
    grouped = replace(
        block,
        outputs=block.outputs + extra,
        limit=None if block.limit is None else block.limit + block.offset,
        offset=0,
        order=block.order if block.limit is not None else (),
    )
    rows = Block(extra + key_outputs(read.keys), read.tree, read.where)
    return Block(
        tuple(Output(name, column(left, name)) for name in block.names)
        + tuple(Output(output.name, column(right, output.name)) for output in key_outputs(read.keys)),
        Join(
            Derived(left, grouped),
            Derived(right, rows),
            tuple(same(column(left, name), column(right, name)) for name in names),
            left_outer=block.totals,
        ),
    )


def _annotate_union(query: Union, wanted: Collection[str]) -> Query:
    bases = [base for base in demanded_occurrences(query) if base.alias in wanted]
    branches: list[Query] = []
    for branch in query.branches:
        present = {base.alias for base in demanded_occurrences(branch)}
        inner = annotate(branch, {base.alias for base in bases if base.alias in present})
        alias = fresh("u")
        outputs = [Output(query.names[i], column(alias, name)) for i, name in enumerate(branch.names)]
        for base in bases:
            for i in range(len(base.table.key)):
                name = key_name(base.alias, i)
                outputs.append(Output(name, column(alias, name) if base.alias in present else exp.Null()))
        branches.append(Block(tuple(outputs), Derived(alias, inner)))
    rows = Union(tuple(branches), distinct=False)
    if query.adds_up:
        return rows
    left, right = fresh("g"), fresh("r")
    limited = query if query.limit is None else replace(query, limit=query.limit + query.offset, offset=0)
    keys = [key_name(base.alias, i) for base in bases for i in range(len(base.table.key))]
    return Block(
        tuple(Output(name, column(left, name)) for name in query.names)
        + tuple(Output(name, column(right, name)) for name in keys),
        Join(
            Derived(left, limited),
            Derived(right, rows),
            tuple(same(column(left, name), column(right, name)) for name in query.names),
        ),
    )


def rows_behind(query: Query, alias: str) -> Block:
    """The keys of one occurrence behind all rows that a query returns, each once."""
    read: Input
    if is_plain(query) or (
        isinstance(query, Block)
        and query.group is not None
        and not query.having
        and query.limit is None
        and not windows_of(query)
    ):
        assert isinstance(query, Block)
        read = inputs(query, {alias})
    else:
        whole = annotate(query, {alias})
        inner = fresh("q")
        names = [name for name in whole.names if name.startswith(f"{alias}.")]
        read = Input(Derived(inner, whole), (), {alias: tuple(column(inner, name) for name in names)})
    return _once_a_partition(
        Block(key_outputs({alias: read.keys[alias]}), read.tree, read.where, distinct=True)
    )


def _once_a_partition(block: Block) -> Block:
    """The same keys, where they are those of the rows of a window's partitions: of each partition once.

    >>> SELECT DISTINCT x.k FROM (SELECT g.*, r.k FROM g JOIN r ON g.p <=> r.p) AS x, y       # doctest: +SKIP
    SELECT DISTINCT r.k FROM (SELECT DISTINCT x.p FROM g AS x, y) AS d JOIN r ON d.p <=> r.p

    The join of each row with all rows of its partition has as many rows as the square of the partition's. Where the
    window may be filled with NULLs by a LEFT JOIN, its missing row would find the partition of NULL: that is left.
    """
    if block.tree is None:
        return block
    aliases = {o.expr.table if isinstance(o.expr, exp.Column) else None for o in block.outputs}
    found = next((source for source in sources(block.tree) if {source.alias} == aliases), None)
    if not isinstance(found, Derived) or found.lateral or supplied(block.tree, found.alias):
        return block
    query = found.query
    if not (
        isinstance(query, Block) and isinstance(query.tree, Join) and isinstance(query.tree.left, Derived)
    ):
        return block
    rows, joined = query.tree.left, query.tree
    if not (rows.alias.startswith(f"{_ROWS}~") and isinstance(rows.query, Block) and windows_of(rows.query)):
        return block
    if joined.left_outer:
        return block
    alias = fresh("d")
    names = sorted({c.name for on in joined.on for c in on.find_all(exp.Column) if c.table == rows.alias})
    partitions = Block(
        tuple(Output(name, column(found.alias, name)) for name in names)
        or (Output("any", exp.Literal.number(1)),),
        put(block.tree, found.alias, replace(rows, alias=found.alias)),
        block.where,
        distinct=True,
    )
    behind = {output.name: output.expr for output in query.outputs}
    return Block(
        tuple(Output(output.name, behind[output.expr.name]) for output in block.outputs),
        Join(
            Derived(alias, partitions),
            joined.right,
            tuple(
                substitute(on, lambda c: column(alias, c.name) if c.table == rows.alias else None)
                for on in joined.on
            ),
        ),
        distinct=True,
    )


__all__ = [
    "Input",
    "Predicate",
    "annotate",
    "attach",
    "carry",
    "children",
    "demanded_occurrences",
    "from_occurrences",
    "inputs",
    "joins",
    "predicates",
    "query_occurrences",
    "rowless",
    "rows_behind",
    "to_ast",
]
