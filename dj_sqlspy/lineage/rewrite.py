"""Rewriting: small steps with which passes build new trees.

A tree is never changed in place. Unchanged parts are shared with the old tree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, overload

from sqlglot import exp

from ..servers.expressions import Expr, identifier
from .tree import (
    Block,
    Derived,
    Join,
    Opaque,
    Output,
    Query,
    Tree,
    Union,
    query_of,
    subqueries,
    subquery,
)


def map_block(
    block: Block, f: Callable[[Expr], Expr], inside: Callable[[Query], Query] | None = None
) -> Block:
    """Apply ``f`` to a block's own expressions, and ``inside`` to the queries of its derived tables."""
    return replace(
        block,
        outputs=tuple(Output(output.name, f(output.expr)) for output in block.outputs),
        tree=None if block.tree is None else _map_tree(block.tree, f, inside),
        where=tuple(f(e) for e in block.where),
        group=None if block.group is None else tuple(f(e) for e in block.group),
        having=tuple(f(e) for e in block.having),
        order=tuple(f(e) for e in block.order),
    )


def _map_tree(tree: Tree, f: Callable[[Expr], Expr], inside: Callable[[Query], Query] | None) -> Tree:
    if isinstance(tree, Join):
        left, right = _map_tree(tree.left, f, inside), _map_tree(tree.right, f, inside)
        return replace(tree, left=left, right=right, on=tuple(f(e) for e in tree.on))
    if isinstance(tree, Derived) and inside is not None:
        return replace(tree, query=inside(tree.query))
    if isinstance(tree, Opaque):
        return replace(tree, node=f(tree.node))
    return tree


def map_query(query: Query, f: Callable[[Expr], Expr]) -> Query:
    """Apply ``f`` to every expression of a query, also within its derived tables."""
    if isinstance(query, Union):
        branches = tuple(map_query(branch, f) for branch in query.branches)
        return replace(query, branches=branches, order=tuple(f(e) for e in query.order))
    return map_block(query, f, lambda inner: map_query(inner, f))


def substitute(
    node: Expr,
    mapping: Callable[[exp.Column], Expr | None],
    inside: Callable[[Query], Query] | None = None,
) -> Expr:
    """A copy of an expression with each column ``c`` replaced by ``mapping(c)`` unless that is None.

    ``inside`` makes the new query of a subquery. By default its columns are replaced too.
    """

    def other(item: Expr) -> Expr | None:
        if isinstance(item, exp.Column):
            return mapping(item)
        query = query_of(item)
        if query is None:
            return None
        return subquery(inside(query) if inside else map_query(query, lambda e: substitute(e, mapping)))

    return rebuilt(node, other)


def rebuilt(node: Expr, other: Callable[[Expr], Expr | None]) -> Expr:
    """A copy of an expression, with ``other(part)`` in place of each part for which that is not None.

    `Expr.copy` and `transform` take several times as long.
    """
    new = other(node)
    if new is not None:
        return new
    arguments: dict[str, Any] = {}
    for name, value in node.args.items():
        if isinstance(value, list):
            arguments[name] = [rebuilt(each, other) if isinstance(each, exp.Expr) else each for each in value]
        else:
            arguments[name] = rebuilt(value, other) if isinstance(value, exp.Expr) else value
    copied = type(node)(**arguments)
    if node.meta:
        copied.meta.update(node.meta)
    return copied


def with_new_aliases(expression: Expr, new: Callable[[], str]) -> Expr:
    """A copy of an expression in which every source of its subqueries has a new alias.

    It is needed if an expression is used twice (an alias in HAVING), because aliases must be unique.
    """
    names = {alias: new() for query in subqueries(expression) for alias in query.aliases}
    return _with_aliases(expression, names) if names else rebuilt(expression, lambda _: None)


def _with_aliases(expression: Expr, names: dict[str, str]) -> Expr:
    def column(node: exp.Column) -> Expr | None:
        if node.table not in names:
            return None
        renamed = node.copy()
        renamed.set("table", identifier(names[node.table]))
        return renamed

    def inside(query: Query) -> Query:
        if isinstance(query, Union):
            order = tuple(_with_aliases(e, names) for e in query.order)
            return replace(query, branches=tuple(inside(branch) for branch in query.branches), order=order)
        block = map_block(query, lambda e: _with_aliases(e, names), inside)
        return replace(block, tree=None if block.tree is None else source(block.tree))

    def source(tree: Tree) -> Tree:
        if isinstance(tree, Join):
            return replace(tree, left=source(tree.left), right=source(tree.right))
        return replace(tree, alias=names[tree.alias])

    return substitute(expression, column, inside)


def apart(query: Query, new: Callable[[], str]) -> Query:
    """The same query with aliases of its own, so that it can stand in a tree twice."""
    found = query_of(with_new_aliases(subquery(query), new))
    assert found is not None
    return found


def with_names(query: Query, names: Collection[str]) -> Query:
    """The same query with other output names."""
    if isinstance(query, Union):
        return replace(query, branches=tuple(with_names(branch, names) for branch in query.branches))
    outputs = zip(names, query.outputs, strict=True)
    return replace(query, outputs=tuple(Output(name, output.expr) for name, output in outputs))


def put(tree: Tree, alias: str, new: Tree) -> Tree:
    """The tree with another source in place of the one with that alias."""
    if isinstance(tree, Join):
        return replace(tree, left=put(tree.left, alias, new), right=put(tree.right, alias, new))
    return new if tree.alias == alias else tree


@overload
def cross(left: Tree | None, right: Tree) -> Tree: ...
@overload
def cross(left: Tree | None, right: None) -> Tree | None: ...
def cross(left: Tree | None, right: Tree | None) -> Tree | None:
    """The CROSS JOIN of both trees. A left-deep right tree is unrolled, so that its ON may refer to the left."""
    if left is None or right is None:
        return left if right is None else right
    if isinstance(right, Join) and not isinstance(right.right, Join):
        return replace(right, left=cross(left, right.left))
    return Join(left, right)
