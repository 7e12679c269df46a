"""Simplification: rewrites queries without changing results, for more precise demand and shorter SQL.

In: a resolved `Query`. Out: one with the same result. `PASSES` lists the passes. Each takes a block, says when it is
safe, and otherwise changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from sqlglot import exp

from ..servers.expressions import Expr, identifier, rebuilt
from .order import changes, closure, column_id, column_ids
from .predicates import components, is_monotone, is_semijoin, predicates
from .rewrite import map_block, map_query, put, substitute, with_names
from .tree import (
    Base,
    Block,
    Derived,
    Join,
    Query,
    Tree,
    Union,
    aggregates,
    column,
    has_subquery,
    has_window,
    is_plain,
    joins,
    outer_references,
    sources,
    subqueries,
    supplied,
)


def simplify(query: Query) -> Query:
    """Simplify a query by all `PASSES`, innermost blocks first, so that inner blocks are already simplified."""
    if simplify in query.known:
        return query
    simple: Query
    if isinstance(query, Union):
        simple = replace(query, branches=tuple(simplify(branch) for branch in query.branches))
    else:
        simple = map_block(query, _subqueries, simplify)
        for rewrite in PASSES:
            simple = rewrite(simple)
    simple.known[simplify] = True
    return simple


def _subqueries(expression: Expr) -> Expr:
    if all(simplify in query.known and _with_own_names(query) is query for query in subqueries(expression)):
        return expression
    return substitute(expression, lambda _: None, lambda query: _with_own_names(simplify(query)))


def on_to_where(block: Block) -> Block:
    """Move ON conditions with a subquery from inner joins to WHERE, where `rejection` looks for them.

    >>> from dj_sqlspy.lineage.example import resolved, show
    >>> query = resolved("SELECT x FROM a JOIN b ON a.id = b.id AND EXISTS (SELECT id FROM c)")
    >>> show(on_to_where(query))
    SELECT t1.x AS x FROM s.a AS t1 JOIN s.b AS t2 ON (t1.id = t2.id) WHERE (EXISTS(SELECT t3.id AS
    id FROM s.c AS t3))

    On the filled side of a LEFT JOIN they move to its ON: ``a LEFT JOIN (b JOIN c ON x) ON y`` means ``a LEFT JOIN (b
    CROSS JOIN c) ON y AND x``.
    """
    if block.tree is None or not any(has_subquery(on) for join in joins(block.tree) for on in join.on):
        return block
    tree, moved = _lifted(block.tree)
    return replace(block, tree=tree, where=block.where + moved)


def _lifted(tree: Tree) -> tuple[Tree, tuple[Expr, ...]]:
    if not isinstance(tree, Join):
        return tree, ()
    left, of_left = _lifted(tree.left)
    right, of_right = _lifted(tree.right)
    if tree.left_outer:
        return replace(tree, left=left, right=right, on=tree.on + of_right), of_left
    own = tuple(on for on in tree.on if has_subquery(on))
    kept = tuple(on for on in tree.on if not has_subquery(on))
    return replace(tree, left=left, right=right, on=kept), of_left + of_right + own


def having_to_where(block: Block) -> Block:
    """Move conditions that are constant within each group from HAVING to WHERE.

    >>> from dj_sqlspy.lineage.example import resolved, show
    >>> show(having_to_where(resolved("SELECT id, x, COUNT(*) AS n FROM a GROUP BY id HAVING x > 3 AND n > 1")))
    SELECT t1.id AS id, t1.x AS x, COUNT(*) AS n FROM s.a AS t1 WHERE (t1.x > 3) GROUP BY t1.id
    HAVING (COUNT(*) > 1)

    A condition without aggregates is constant if the key of the group determines its columns, beside the expressions
    that are keys: all rows of a group meet it, or none. DataJoint sends this form. It is not safe with ROLLUP, whose
    extra rows have other keys.

    >>> show(having_to_where(resolved("SELECT x + 1 AS y FROM a GROUP BY y HAVING y > 3")))
    SELECT t1.x + 1 AS y FROM s.a AS t1 WHERE ((t1.x + 1) > 3) GROUP BY t1.x + 1
    """
    if not block.group or block.rollup or not block.having:
        return block
    known = closure(_grouped(block), block)
    keys = [
        key.unnest() for key in block.group if not has_subquery(key) and not any(map(changes, key.walk()))
    ]

    def of_key(node: Expr) -> Expr | None:
        return exp.Null() if node in keys else None

    moved = tuple(
        condition
        for condition in block.having
        if not aggregates(condition)
        and not has_subquery(condition)
        and column_ids(rebuilt(condition, of_key)) <= known
    )
    kept = tuple(condition for condition in block.having if condition not in moved)
    return replace(block, where=block.where + moved, having=kept)


def merge_derived(block: Block) -> Block:
    """Merge derived tables that only select into the outer block.

    >>> from dj_sqlspy.lineage.example import resolved, show
    >>> show(merge_derived(resolved("SELECT y FROM (SELECT x + 1 AS y FROM a WHERE x > 1) AS d WHERE y < 9")))
    SELECT (t1.x + 1) AS y FROM s.a AS t1 WHERE (t1.x > 1) AND ((t1.x + 1) < 9)

    It is not safe on the filled side of a LEFT JOIN (conditions would have to move into ON), nor if the derived table
    computes something that changes from call to call or that GROUP BY and ORDER BY would read as a position.
    """
    for source in list(sources(block.tree)):
        if (
            isinstance(source, Derived)
            and _mergeable(source)
            and not supplied(block.tree, source.alias)
            and not _in_having(block, source)
        ):
            merged = _merged(block, source)
            if not _twice_in_having(merged):
                block = merged
    return block


def _merged(block: Block, source: Derived) -> Block:
    inner = source.query
    assert isinstance(inner, Block)
    outputs = {output.name.lower(): output.expr for output in inner.outputs}

    def of_inner(node: exp.Column) -> Expr | None:
        if node.table != source.alias:
            return None
        expression = outputs[node.name.lower()].copy()
        return expression if isinstance(expression, exp.Column) else exp.Paren(this=expression)

    # also in LATERAL sources, which may refer to it
    mapped = map_query(block, lambda e: substitute(e, of_inner))
    assert isinstance(mapped, Block) and mapped.tree is not None and inner.tree is not None
    tree = put(mapped.tree, source.alias, inner.tree)
    return replace(mapped, tree=tree, where=inner.where + mapped.where)


def tell_apart(block: Block) -> Block:
    """Rename an output of a derived table if its GROUP BY has two columns of that name.

    >>> from dj_sqlspy.lineage.example import resolved, show
    >>> grouped = "SELECT a.id AS id, COUNT(*) AS n FROM a JOIN b ON a.x = b.y GROUP BY a.id, b.id"
    >>> show(tell_apart(resolved(f"SELECT n FROM ({grouped}) AS d WHERE id > 1")))
    SELECT t3.n AS n FROM (SELECT t1.id AS id~, COUNT(*) AS n FROM s.a AS t1 JOIN s.b AS t2 ON (t1.x
    = t2.y) GROUP BY t1.id, t2.id) AS t3 WHERE (t3.id~ > 1)

    MariaDB moves a condition on such an output into HAVING by its name, and finds it ambiguous there.
    """
    names: dict[tuple[str, str], Expr] = {}
    tree = block.tree
    for source in sources(block.tree):
        if isinstance(source, Derived) and tree is not None:
            query = _with_own_names(source.query)
            for old, new in zip(source.query.names, query.names, strict=True):
                if old != new:
                    names[(source.alias, old.lower())] = column(source.alias, new)
            tree = put(tree, source.alias, replace(source, query=query))
    if not names:
        return block
    mapped = map_query(
        replace(block, tree=tree), lambda e: substitute(e, lambda c: names.get((c.table, c.name.lower())))
    )
    assert isinstance(mapped, Block)
    return mapped


def merge_itself(block: Block) -> Block:
    """Replace a semijoin of a table with itself by the condition in it.

    >>> from dj_sqlspy.lineage.example import resolved, show
    >>> itself = "SELECT id, n FROM b WHERE y > 3 AND id IN (SELECT id FROM c)"
    >>> show(merge_itself(resolved(f"SELECT y FROM b WHERE (id, n) IN ({itself})")))
    SELECT t1.y AS y FROM s.b AS t1 WHERE (t1.y > 3) AND (t1.id IN (SELECT t3.id AS id FROM s.c AS
    t3))

    DataJoint sends this form for ``A & (A & condition)``. If the whole primary key is compared, the row that matches is
    the row itself. It is merged only if its condition has no rules (`predicates.is_monotone`), and only in WHERE of a
    SELECT from that table alone: below NOT, or beside other sources, rules would be about other combinations.
    """
    base = block.tree
    if not isinstance(base, Base) or base.whole or not base.table.primary_key:
        return block
    if any(base.table.column(name).data_type in _AMBIGUOUS for name in base.table.primary_key):
        return block
    where: list[Expr] = []
    merged = False
    for condition in block.where:
        inner = _itself(base, condition)
        merged = merged or inner is not None
        where += (condition,) if inner is None else map(_of(base, inner.tree), inner.where)
    return replace(block, where=tuple(where)) if merged else block


# Types of which two different values of a unique key can be equal in a comparison: an hour that a change of the clock
# repeats; members of an ENUM.
_AMBIGUOUS = frozenset({"timestamp", "enum", "set"})


def _itself(base: Base, condition: Expr) -> Block | None:
    """The subquery of a condition if it is the semijoin of a table with itself, and has no rules."""
    bare = condition.unnest()
    if not isinstance(bare, exp.In) or not is_semijoin(bare) or not is_monotone(bare):
        return None
    inner, left = predicates(bare)[0].query, components(bare.this)
    if not is_plain(inner) or not isinstance(inner.tree, Base) or len(left) != len(inner.outputs):
        return None
    if inner.tree.table is not base.table or inner.tree.whole:
        return None
    pairs = [
        (column_id(one), column_id(output.expr)) for one, output in zip(left, inner.outputs, strict=True)
    ]
    key = {name.lower() for name in base.table.primary_key}
    return inner if set(pairs) == {((base.alias, name), (inner.tree.alias, name)) for name in key} else None


def repeats(query: Query) -> bool:
    """True for a query that is the same with its own text once more around it, as it would be by `merge_itself`.

    >>> from dj_sqlspy.lineage.example import resolved
    >>> [repeats(resolved(f"SELECT {key} FROM b WHERE (id, n) IN (SELECT 1, 2)")) for key in ("id, n", "n, id")]
    [True, False]

    It selects just the primary key of a table, where that is among the rows of a subquery.
    """
    if not is_plain(query) or query.distinct or len(query.where) != 1 or not isinstance(query.tree, Base):
        return False
    base, condition = query.tree, query.where[0].unnest()
    if not isinstance(condition, exp.In) or not is_semijoin(condition) or not is_monotone(condition):
        return False
    left = [column_id(one) for one in components(condition.this)]
    own = {(base.alias, name.lower()) for name in base.table.primary_key}
    return (
        not base.whole
        and set(left) == own
        and left == [column_id(output.expr) for output in query.outputs]
        and not any(base.table.column(name).data_type in _AMBIGUOUS for name in base.table.primary_key)
    )


def _of(base: Base, inner: Tree | None) -> Callable[[Expr], Expr]:
    """Conditions of an occurrence of a table, about another occurrence of it."""
    assert isinstance(inner, Base)

    def named(node: exp.Column) -> Expr | None:
        if node.table != inner.alias:
            return None
        renamed = node.copy()
        renamed.set("table", identifier(base.alias))
        return renamed

    def inside(query: Query) -> Query:
        if inner.alias not in query.references:
            return query
        return map_query(query, lambda condition: substitute(condition, named, inside))

    return lambda condition: substitute(condition, named, inside)


# The passes over one block, in their order.
PASSES: tuple[Callable[[Block], Block], ...] = (
    on_to_where,
    having_to_where,
    merge_derived,
    tell_apart,
    merge_itself,
)


def _with_own_names(query: Query) -> Query:
    grouped = [name for each in _branches(query) for _, name in _grouped(each)]
    names = list(query.names)
    for i, name in enumerate(names):
        if grouped.count(name.lower()) > 1:
            while name.lower() in (*grouped, *map(str.lower, names)):
                name += "~"
            names[i] = name
    return query if tuple(names) == query.names else with_names(query, names)


def _branches(query: Query) -> Iterator[Block]:
    if isinstance(query, Union):
        for branch in query.branches:
            yield from _branches(branch)
    else:
        yield query


def _grouped(block: Block) -> set[tuple[str, str]]:
    """The columns of GROUP BY."""
    return {found for key in block.group or () if (found := column_id(key)) is not None}


def _in_having(block: Block, source: Derived) -> bool:
    """True if HAVING names an output that is not a column: MySQL finds only columns of GROUP BY there."""
    assert isinstance(source.query, Block)
    computed = {o.name.lower() for o in source.query.outputs if not isinstance(o.expr, exp.Column)}
    return any(
        alias == source.alias and name in computed
        for condition in block.having
        for alias, name in column_ids(condition)
    )


def _twice_in_having(block: Block) -> bool:
    """True if HAVING names a column whose name occurs twice in GROUP BY: MariaDB finds neither."""
    names = [name for _, name in _grouped(block)]
    return any(names.count(name) > 1 for condition in block.having for _, name in column_ids(condition))


def _mergeable(source: Derived) -> bool:
    query = source.query
    return (
        isinstance(query, Block)
        and not source.lateral
        and query.tree is not None
        and query.group is None
        and not query.distinct
        and query.limit is None
        and not outer_references(query)
        and all(
            not has_window(output.expr)
            and output.expr.find(exp.Column) is not None
            and not any(changes(node) for node in output.expr.walk())
            for output in query.outputs
        )
    )
