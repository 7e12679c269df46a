"""Derivation: from the rows that a query returns to the base rows behind them.

In: a resolved `Query` and the occurrences of base tables that are wanted. Out: a query that returns, for every
derivation of every output row, the keys of the wanted occurrences. This is the rewriting of Perm (Glavic and Alonso,
ICDE 2009); the semantics is lineage (Cui and Widom, VLDB 2000). Demand goes down the tree by the table of
docs/semantics.md: `annotate` is about blocks, `attach` about subqueries in conditions. `rejection` decides which rows
must come along so that rejected rows stay rejected.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard, TypeVar, overload

from sqlglot import exp

from ..servers.columns import INTEGER_TYPES
from ..servers.expressions import Expr
from ..servers.syntaxes import syntax_of
from .predicates import Predicate, any_row, components, demanded_occurrences, is_semijoin, predicates_of
from .rewrite import cross, put, substitute
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
    column,
    is_plain,
    outer_references,
    remembered,
    same,
    sources,
    supplied,
    windows_of,
)

Keys = dict[str, tuple[Expr, ...]]  # by the alias of an occurrence
QueryT = TypeVar("QueryT", bound=Query)
_fresh = itertools.count(1)


def fresh(prefix: str) -> str:
    """An alias that no statement uses."""
    return f"{prefix}~{next(_fresh)}"


@dataclass(frozen=True, eq=False)
class Input:
    """The input of a block before grouping: joined sources, conditions, and the keys that they carry."""

    tree: Tree | None
    where: tuple[Expr, ...] = ()
    keys: Keys = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RowsBehind(Join):
    """Rows of a SELECT (left), each joined with the rows from which it was made (right)."""

    left: Derived
    right: Derived


# ---------------------------------------------------------------- keys


def key_outputs(keys: Keys) -> tuple[Output, ...]:
    """The outputs that carry keys."""
    return tuple(
        Output(f"{alias}.{i}", expression)
        for alias, expressions in keys.items()
        for i, expression in enumerate(expressions)
    )


def _carried(source: str, columns: Mapping[str, Sequence[object]]) -> Keys:
    """The keys that a derived table carries, with as many columns for each occurrence as in ``columns``."""
    return {
        alias: tuple(column(source, f"{alias}.{i}") for i in range(len(key)))
        for alias, key in columns.items()
    }


def _among(query: Query, wanted: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The key columns, by alias, of the wanted occurrences of which a query demands rows."""
    return {base.alias: base.table.key for base in demanded_occurrences(query) if base.alias in wanted}


def _key_expression(base: Base, name: str) -> Expr:
    """A key column as the cascade reads it, the same in every session."""
    return syntax_of(base.table.dialect).key(column(base.alias, name), base.table.column(name))


# ---------------------------------------------------------------- what a block reads


@overload
def carry(tree: Tree, wanted: Collection[str]) -> tuple[Tree, Keys]: ...
@overload
def carry(tree: None, wanted: Collection[str]) -> tuple[None, Keys]: ...
def carry(tree: Tree | None, wanted: Collection[str]) -> tuple[Tree | None, Keys]:
    """The same join tree, in which derived tables return the keys of wanted occurrences."""
    if isinstance(tree, Join):
        left, left_keys = carry(tree.left, wanted)
        right, right_keys = carry(tree.right, wanted)
        return Join(left, right, tree.on, tree.left_outer), {**left_keys, **right_keys}
    if isinstance(tree, Base) and tree.alias in wanted:
        return tree, {tree.alias: tuple(_key_expression(tree, name) for name in tree.table.key)}
    if isinstance(tree, Derived) and (own := _among(tree.query, wanted)):
        return replace(tree, query=annotate(tree.query, own)), _carried(tree.alias, own)
    return tree, {}


def inputs(block: Block, wanted: Collection[str]) -> Input:
    """The input of a block, with the keys of wanted occurrences of its sources and subqueries."""
    tree, keys = carry(block.tree, wanted)
    result = Input(tree, block.where, keys)
    for expression, predicate in predicates_of(block):
        if predicate.polarity != "-" and not predicate.standalone and _among(predicate.query, wanted):
            result = attach(result, predicate, wanted)
            if is_semijoin(expression) and isinstance(predicate.query, Block) and is_plain(predicate.query):
                # the rows of the subquery that were joined meet the condition
                where = tuple(condition for condition in result.where if condition is not expression)
                result = replace(result, where=where)
    return result


def attach(outer: Input, predicate: Predicate, wanted: Collection[str]) -> Input:
    """Join each row of the outer block with the rows of a subquery that matter for it.

    A subquery that only selects is merged into the outer FROM clause. One that groups or limits becomes a derived
    table if it is not correlated. If it is correlated, or an EXCEPT or INTERSECT that was not rewritten, all rows that
    it could read for the outer row count.
    """
    query, match = predicate.query, predicate.match
    if isinstance(query, Union) and (query.limit is None or outer_references(query)):
        branch = next(branch for branch in query.branches if _among(branch, wanted))
        return attach(
            outer, replace(predicate, query=branch, match=match if query.adds_up else any_row), wanted
        )
    condition: Expr | None = None
    if isinstance(query, Block) and (is_plain(query) or outer_references(query)):
        read = inputs(query, wanted)
        if is_plain(query):
            condition = match([output.expr for output in query.outputs])
    else:
        alias = fresh("s")
        own = _among(query, wanted)
        read = Input(Derived(alias, annotate(query, own)), (), _carried(alias, own))
        condition = match([column(alias, name) for name in query.names])
    where = outer.where + read.where
    if condition is not None and not aggregates(condition):
        where = (*where, condition)
    return Input(cross(outer.tree, read.tree), where, {**outer.keys, **read.keys})


# ---------------------------------------------------------------- queries that carry keys


def annotate(query: Query, wanted: Collection[str]) -> Query:
    """The query with the keys of wanted occurrences as further outputs, one row for each derivation.

    | block | rows |
    |---|---|
    | plain | the same rows; DISTINCT then includes the keys: all rows behind a value |
    | aggregate | each demanded group joined with all its rows |
    | window | each row joined with all rows of its partitions |
    | LIMIT | the first offset + limit rows |
    | UNION | all branches |
    | EXCEPT, INTERSECT | each row joined with the equal ones of all branches |

    >>> from dj_sqlspy.lineage.example import show, tree
    >>> show(annotate(tree("SELECT DISTINCT x FROM a"), {"t1"}))
    SELECT DISTINCT t1.x AS x, t1.id AS t1.0 FROM s.a AS t1
    >>> show(annotate(tree("SELECT id, SUM(y) AS y FROM b GROUP BY id"), {"t1"}))
    SELECT g1.id AS id, g1.y AS y, r2.t1.0 AS t1.0, r2.t1.1 AS t1.1 FROM (SELECT t1.id AS id,
    SUM(t1.y) AS y, t1.id AS g1.0 FROM s.b AS t1 GROUP BY t1.id) AS g1 JOIN (SELECT t1.id AS g1.0,
    t1.id AS t1.0, t1.n AS t1.1 FROM s.b AS t1) AS r2 ON ((g1.g1.0) <=> (r2.g1.0))
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
    outputs = query.outputs + key_outputs(read.keys)
    if query.limit is None:
        return Block(outputs, read.tree, read.where, distinct=query.distinct)
    direct = {source.alias for source in sources(query.tree) if isinstance(source, Base)}
    if not query.distinct and set(read.keys) <= direct:
        return replace(_from_the_first(query), outputs=outputs)
    group = tuple(output.expr for output in query.outputs)
    # rows with equal values come from different base rows; DISTINCT merges them
    return _joined_back(query, group if query.distinct else group + _identity(query.tree), read)


def _identity(tree: Tree | None) -> tuple[Expr, ...]:
    """What distinguishes the rows of a FROM clause: keys of tables, and all columns of derived tables."""
    found: list[Expr] = []
    for source in sources(tree):
        if isinstance(source, Base):
            found += [column(source.alias, name) for name in source.table.key]
        elif isinstance(source, Derived):
            found += [column(source.alias, name) for name in source.query.names]
    return tuple(found)


def _joined_back(block: Block, group: Sequence[Expr], read: Input) -> Block:
    """Rows of the block joined with the rows that it read, on the grouping values.

    An aggregate over no rows still has a value. Its row is then returned without keys.
    """
    alias = fresh("g")
    values = tuple(Output(f"{alias}.{i}", expression) for i, expression in enumerate(group))
    order = block.order if block.limit is not None else ()
    rows = replace(_from_the_first(block), outputs=block.outputs + values, order=order)
    behind = Block(values + key_outputs(read.keys), read.tree, read.where)
    equal = [value.name for value in values]
    return _with_rows_behind(Derived(alias, rows), behind, block.names, equal, read.keys, block.totals)


def _annotate_union(query: Union, wanted: Collection[str]) -> Query:
    keys = _among(query, wanted)
    bases = {base.alias: base for base in demanded_occurrences(query)}
    branches: list[Query] = []
    for branch in query.branches:
        alias, own = fresh("u"), _among(branch, keys)
        carried = {name: _nulls(bases[name]) for name in keys} | _carried(alias, own)
        outputs = (
            Output(new, column(alias, old)) for new, old in zip(query.names, branch.names, strict=True)
        )
        branches.append(Block((*outputs, *key_outputs(carried)), Derived(alias, annotate(branch, own))))
    rows = Union(tuple(branches), distinct=False)
    if query.adds_up:
        return rows
    shown = Derived(fresh("g"), _from_the_first(query))
    return _with_rows_behind(shown, rows, query.names, query.names, keys)


def _nulls(base: Base) -> tuple[Expr, ...]:
    """NULLs in the place of a key."""
    null = syntax_of(base.table.dialect).null
    return tuple(null(base.table.column(name)) for name in base.table.key)


def _with_rows_behind(
    rows: Derived,
    behind: Query,
    names: Sequence[str],
    equal: Sequence[str],
    keys: Mapping[str, Sequence[object]],
    left_outer: bool = False,
) -> Block:
    """Rows under their names, each with the keys of the rows behind it, which have equal values."""
    right = fresh("r")
    on = tuple(same(column(rows.alias, name), column(right, name), alike=True) for name in equal)
    return Block(
        (*(Output(name, column(rows.alias, name)) for name in names), *key_outputs(_carried(right, keys))),
        RowsBehind(rows, Derived(right, behind), on, left_outer),
    )


def _from_the_first(query: QueryT) -> QueryT:
    """A query with LIMIT and OFFSET, extended by the rows that OFFSET skips."""
    return query if query.limit is None else replace(query, limit=query.limit + query.offset, offset=0)


# ---------------------------------------------------------------- the rows behind a query


def rows_behind(query: Query, base: Base) -> Block:
    """The distinct keys of one occurrence behind all rows of a query."""
    if _shows_what_it_reads(query):
        read = inputs(query, {base.alias})
    else:
        alias = fresh("q")
        whole = annotate(query, {base.alias})
        read = Input(Derived(alias, whole), (), _carried(alias, {base.alias: base.table.key}))
    keys = key_outputs({base.alias: read.keys[base.alias]})
    # a server may sort for DISTINCT although the primary key of one table is distinct anyway
    once = isinstance(read.tree, Base) and bool(read.tree.table.primary_key) and read.tree.rows is None
    return _once_a_partition(Block(keys, read.tree, read.where, distinct=not once))


def one_behind_each(query: Query) -> TypeGuard[Block]:
    """True if each row that a query reads has one row behind it in each table of which it demands rows.

    It selects from one table, and its subqueries are semijoins by the whole primary key of another, of the same form.
    Then one query returns the keys of all of them.

    >>> from dj_sqlspy.lineage.example import tree
    >>> [one_behind_each(tree(f"SELECT y FROM b WHERE {key} IN (SELECT {key} FROM a)")) for key in ("id", "y")]
    [True, False]
    """
    if not isinstance(query, Block) or query.distinct or query.group is not None or query.windowed:
        return False
    demanded = _demanded(query)
    if query.tree is None:  # SELECT EXISTS (…)
        return len(demanded) == 1 and one_behind_each(demanded[0][1].query)
    if not isinstance(query.tree, Base) or not query.tree.table.primary_key:
        return False
    return all(
        any(condition is expression for condition in query.where)
        and is_semijoin(expression)
        and _by_key(predicate.query)
        for expression, predicate in demanded
    )


def _demanded(query: Query) -> list[tuple[Expr, Predicate]]:
    """The expressions of a query, with their subqueries of which it demands rows."""
    return [
        (expression, predicate)
        for expression, predicate in predicates_of(query)
        if predicate.polarity != "-" and not predicate.standalone and demanded_occurrences(predicate.query)
    ]


@remembered
def _by_key(query: Query) -> bool:
    """True if the outputs of a query have the whole primary key of its table, and it has `one_behind_each`."""
    if not one_behind_each(query) or query.limit is not None or not isinstance(query.tree, Base):
        return False
    shown = {(c.table, c.name.lower()) for c in (o.expr for o in query.outputs) if isinstance(c, exp.Column)}
    return {(query.tree.alias, name.lower()) for name in query.tree.table.primary_key} <= shown


@dataclass(frozen=True, eq=False)
class Along:
    """An occurrence of a table whose keys are parts of the keys of another occurrence: ``places`` in its columns."""

    base: Base
    places: tuple[int, ...]


def along(query: Block) -> tuple[Base, tuple[Along, ...]] | None:
    """The table of a query that has `one_behind_each`, and what stands along each of its keys.

    >>> from dj_sqlspy.lineage.example import tree
    >>> base, others = along(tree("SELECT y FROM b WHERE id IN (SELECT id FROM a WHERE id IN (SELECT id FROM c))"))
    >>> base.table.name, [(other.base.table.name, other.places) for other in others]
    ('b', [('a', (0,)), ('c', (0,))])

    The row of a table that matches by its whole primary key has the values that it was compared with. It exists, since
    the condition is true. None if the values are not in the key of the query's own table.
    """
    asked: Query = query if query.tree is not None else _demanded(query)[0][1].query  # of SELECT EXISTS (…)
    found = _named_below(asked)
    if found is None or not isinstance(asked, Block) or not isinstance(asked.tree, Base):
        return None
    places = {name.lower(): place for place, name in enumerate(asked.tree.table.key)}
    if not all(name in places for _, names in found for name in names):
        return None
    return asked.tree, tuple(Along(base, tuple(places[name] for name in names)) for base, names in found)


@remembered
def _named_below(query: Query) -> tuple[tuple[Base, tuple[str, ...]], ...] | None:
    """For each demanded occurrence below a query, the columns of the query's table that have its key."""
    if not isinstance(query, Block) or not isinstance(query.tree, Base):
        return None
    found: list[tuple[Base, tuple[str, ...]]] = []
    for condition, predicate in _demanded(query):
        inner, below, compared = predicate.query, _named_below(predicate.query), condition.unnest()
        if below is None or not isinstance(inner, Block) or not isinstance(inner.tree, Base):
            return None
        if not isinstance(compared, exp.In):
            return None
        told = _equal_columns(query.tree, compared, inner)
        own = (inner.tree, tuple(name.lower() for name in inner.tree.table.key))
        for base, names in (own, *below):
            if not all(name in told for name in names):
                return None
            found.append((base, tuple(told[name] for name in names)))
    return tuple(found)


# Types of which a value in one column is that of an equal value in another, but for what a collation finds equal.
_SAME = INTEGER_TYPES | {
    *("decimal", "char", "varchar", "binary", "varbinary", "date", "datetime", "time"),
    *("character", "character varying", "text", "uuid", "bytea", "boolean", "timestamp without time zone"),
}


def _equal_columns(base: Base, condition: exp.In, inner: Block) -> dict[str, str]:
    """Columns of the table of an IN subquery, and the columns of the same type that they are compared with."""
    assert isinstance(inner.tree, Base)
    found: dict[str, str] = {}
    for one, output in zip(components(condition.this), inner.outputs, strict=False):
        left, right = one.unnest(), output.expr.unnest()
        if not isinstance(left, exp.Column) or not isinstance(right, exp.Column):
            continue
        if left.table == base.alias and right.table == inner.tree.alias:
            ours, theirs = base.table.column(left.name), inner.tree.table.column(right.name)
            types = {(c.data_type, c.column_type, c.collation, c.charset) for c in (ours, theirs)}
            if len(types) == 1 and ours.data_type in _SAME:
                found[right.name.lower()] = left.name.lower()
    return found


def rows_behind_all(query: Block, bases: Sequence[Base]) -> Block:
    """The keys of all demanded occurrences behind each row of a query that has `one_behind_each`."""
    wanted = {base.alias: base.table.key for base in bases}
    if query.limit is None:
        read = inputs(query, wanted)
    else:
        alias = fresh("q")
        read = Input(Derived(alias, annotate(query, wanted)), (), _carried(alias, wanted))
    return Block(key_outputs({alias: read.keys[alias] for alias in wanted}), read.tree, read.where)


def _shows_what_it_reads(query: Query) -> TypeGuard[Block]:
    """True if each row that a SELECT reads is behind a row of its result."""
    if not isinstance(query, Block) or query.group is None:
        return is_plain(query)
    return not query.having and query.limit is None and not windows_of(query)


def _once_a_partition(block: Block) -> Block:
    """The same keys; keys of a window's partitions are read only once for each partition.

    >>> from dj_sqlspy.lineage.example import show, tree
    >>> query = tree("SELECT x FROM (SELECT x, MAX(x) OVER (PARTITION BY t) AS most FROM a) AS w WHERE x = most")
    >>> show(rows_behind(query, demanded_occurrences(query)[0]))
    SELECT DISTINCT r1.t1.0 AS t1.0 FROM (SELECT DISTINCT t2.g2.0 AS g2.0 FROM (SELECT t1.x AS x,
    MAX(t1.x) OVER (PARTITION BY t1.t) AS most, t1.t AS g2.0 FROM s.a AS t1) AS t2 WHERE (t2.x =
    t2.most)) AS d3 JOIN (SELECT t1.t AS g2.0, t1.id AS t1.0 FROM s.a AS t1) AS r1 ON ((d3.g2.0) <=>
    (r1.g2.0))

    If each row of a partition is joined with all of its n rows, the result has n² rows. So the partitions are made
    distinct first. This is not done if a LEFT JOIN can fill the window's rows with NULLs, which would match the
    partition of NULL.
    """
    found = _window_source(block)
    if block.tree is None or found is None:
        return block
    source, joined = found
    rows, alias = joined.left, fresh("d")
    values = dict.fromkeys(
        c.name for on in joined.on for c in on.find_all(exp.Column) if c.table == rows.alias
    )
    partitions = Block(
        tuple(Output(name, column(source.alias, name)) for name in values)
        or (Output("any", exp.Literal.number(1)),),
        put(block.tree, source.alias, replace(rows, alias=source.alias)),
        block.where,
        distinct=True,
    )
    on = (
        substitute(e, lambda c: column(alias, c.name) if c.table == rows.alias else None) for e in joined.on
    )
    return Block(
        tuple(Output(output.name, column(joined.right.alias, output.name)) for output in block.outputs),
        Join(Derived(alias, partitions), joined.right, tuple(on)),
        distinct=True,
    )


def _window_source(block: Block) -> tuple[Derived, RowsBehind] | None:
    """The source of all keys, if it joins rows that have windows with the rows behind them."""
    aliases = {o.expr.table if isinstance(o.expr, exp.Column) else None for o in block.outputs}
    for source in sources(block.tree):
        if {source.alias} == aliases and isinstance(source, Derived) and isinstance(source.query, Block):
            joined = source.query.tree
            if (
                isinstance(joined, RowsBehind)
                and not joined.left_outer
                and not source.lateral
                and not supplied(block.tree, source.alias)
                and isinstance(joined.left.query, Block)
                and windows_of(joined.left.query)
            ):
                return source, joined
    return None
