"""Simplification: rewritings that make demand more precise and the queries shorter, and change no result.

- an ON condition with a subquery moves to WHERE, or to the LEFT JOIN around it, where its rules are;
- a HAVING condition about the group's own key restricts rows, not groups: it moves to WHERE;
- a derived table that only selects is merged into the SELECT around it;
- an output under the name of two columns of GROUP BY gets a name of its own.

Each is stated with the case in which it is safe; anything else is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlglot import exp

from ..servers.mysql.syntax import Expr
from .order import changes, closure, column_ids
from .tree import (
    Base,
    Block,
    Derived,
    Join,
    Opaque,
    Output,
    Query,
    Tree,
    Union,
    aggregates,
    block_expressions,
    column,
    has_window,
    map_expressions,
    map_query,
    outer_references,
    put,
    query_of,
    sources,
    subqueries,
    subquery,
    substitute,
    supplied,
    with_names,
)


def simplify(query: Query) -> Query:
    """Simplify a query, innermost blocks first."""
    if isinstance(query, Union):
        return replace(query, branches=tuple(simplify(branch) for branch in query.branches))
    block = replace(query, tree=None if query.tree is None else _tree(query.tree))
    block = map_expressions(block, _expression)
    return tell_apart(merge_derived(having_to_where(on_to_where(block))))


def _tree(tree: Tree) -> Tree:
    if isinstance(tree, Join):
        return replace(tree, left=_tree(tree.left), right=_tree(tree.right))
    if isinstance(tree, Derived):
        return replace(tree, query=simplify(tree.query))
    return tree


def _expression(expression: Expr) -> Expr:
    if not any(True for _ in subqueries(expression)):
        return expression

    def visit(node: Expr) -> Expr:
        query = query_of(node)
        return node if query is None else subquery(_with_own_names(simplify(query)))

    result: Expr = expression.copy().transform(visit, copy=False)
    return result


def on_to_where(block: Block) -> Block:
    """Move ON conditions of inner joins that hold a subquery to WHERE.

    Below the side of a LEFT JOIN that is filled with NULLs they move to ON of that join: ``a LEFT JOIN (b JOIN c ON x)
    ON y`` means ``a LEFT JOIN (b CROSS JOIN c) ON y AND x``.
    """
    if block.tree is None:
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
    own = tuple(on for on in tree.on if any(True for _ in subqueries(on)))
    kept = tuple(on for on in tree.on if on not in own)
    return replace(tree, left=left, right=right, on=kept), of_left + of_right + own


def having_to_where(block: Block) -> Block:
    """Move conditions that are constant within each group from HAVING to WHERE.

    A condition without aggregates is so if the key of the group determines its columns: then all rows of a group
    meet it or none does. ``SELECT id, n, COUNT(*) … GROUP BY id HAVING n > 3`` with ``id`` the primary key of the
    table of ``n`` is the form that DataJoint sends. Not with ROLLUP, whose extra rows have other keys.
    """
    if not block.group or block.rollup or not block.having:
        return block
    known = closure(_grouped(block), block)
    moved = tuple(
        condition
        for condition in block.having
        if not aggregates(condition)
        and not any(True for _ in subqueries(condition))
        and column_ids(condition) <= known
    )
    kept = tuple(condition for condition in block.having if condition not in moved)
    return replace(block, where=block.where + moved, having=kept)


def merge_derived(block: Block) -> Block:
    """Merge derived tables that only select into the block.

    Safe where the derived table is neither on the side of a LEFT JOIN that is filled with NULLs (its conditions
    would have to move into ON) nor computes anything that changes from call to call or that GROUP BY and ORDER BY
    would read as a position.
    """
    for source in list(sources(block.tree)):
        if (
            isinstance(source, Derived)
            and _mergeable(source)
            and not supplied(block.tree, source.alias)
            and not _in_having(block, source)
        ):
            assert isinstance(source.query, Block)
            inner = source.query
            outputs = {output.name.lower(): output.expr for output in inner.outputs}

            def replaced(
                node: Expr, alias: str = source.alias, known: dict[str, Expr] = outputs
            ) -> Expr | None:
                if node.args.get("table") is None or node.table != alias:  # type: ignore[attr-defined]
                    return None
                expression = known[node.name.lower()].copy()
                return expression if isinstance(expression, exp.Column) else exp.Paren(this=expression)

            # also in LATERAL sources, which may refer to it
            mapped = map_query(block, lambda e, f=replaced: substitute(e, f))
            assert isinstance(mapped, Block)
            if _twice_in_having(mapped):
                continue
            block = replace(
                mapped,
                tree=None if mapped.tree is None else put(mapped.tree, source.alias, inner.tree),
                where=inner.where + mapped.where,
            )
    return block


def tell_apart(block: Block) -> Block:
    """Give an output of a derived table another name where its GROUP BY has two columns of that name.

    MariaDB moves a condition on such an output into HAVING by its name, and finds it ambiguous there:
    ``SELECT * FROM (SELECT COUNT(*) AS c FROM a JOIN b ON a.x = b.x GROUP BY a.c, b.c) AS d WHERE d.c > 1``.
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
        replace(block, tree=tree),
        lambda e: substitute(e, lambda c: names.get((c.table, c.name.lower()))),
    )
    assert isinstance(mapped, Block)
    return mapped


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
    return {i for key in block.group or () for i in column_ids(key, alone=True)}


def _in_having(block: Block, source: Derived) -> bool:
    """True where HAVING names an output that is no column: MySQL finds only columns of GROUP BY there."""
    assert isinstance(source.query, Block)
    computed = {o.name.lower() for o in source.query.outputs if not isinstance(o.expr, exp.Column)}
    return any(
        alias == source.alias and name in computed
        for condition in block.having
        for alias, name in column_ids(condition)
    )


def _twice_in_having(block: Block) -> bool:
    """True where HAVING names a column of which GROUP BY has two by that name: MariaDB finds neither there."""
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


__all__ = ["Base", "Opaque", "Output", "block_expressions", "simplify"]
