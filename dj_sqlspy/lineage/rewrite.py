"""Rewriting: small steps with which passes build new trees.

A tree is never changed in place. Unchanged parts are shared with the old tree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from operator import is_
from typing import Any, TypeVar, overload

from sqlglot import exp

from ..servers.expressions import Expr, copied, identifier, rebuilt
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

T = TypeVar("T")


def map_block(
    block: Block, f: Callable[[Expr], Expr], inside: Callable[[Query], Query] | None = None
) -> Block:
    """Apply ``f`` to a block's own expressions, and ``inside`` to the queries of its derived tables.

    If that changes nothing, it is the same block.
    """
    new: dict[str, Any] = {
        "outputs": _kept(block.outputs, lambda output: _with(output, f(output.expr))),
        "tree": None if block.tree is None else _map_tree(block.tree, f, inside),
        "where": _kept(block.where, f),
        "group": None if block.group is None else _kept(block.group, f),
        "having": _kept(block.having, f),
        "order": _kept(block.order, f),
    }
    return block if all(getattr(block, name) is part for name, part in new.items()) else replace(block, **new)


def _kept(old: tuple[T, ...], f: Callable[[T], T]) -> tuple[T, ...]:
    """``f`` of each, and the same tuple if that changes none."""
    new = tuple([f(each) for each in old])
    return old if all(map(is_, old, new)) else new


def _with(output: Output, expression: Expr) -> Output:
    return output if output.expr is expression else Output(output.name, expression)


def _map_tree(tree: Tree, f: Callable[[Expr], Expr], inside: Callable[[Query], Query] | None) -> Tree:
    if isinstance(tree, Join):
        left, right = _map_tree(tree.left, f, inside), _map_tree(tree.right, f, inside)
        on = _kept(tree.on, f)
        if left is tree.left and right is tree.right and on is tree.on:
            return tree
        return replace(tree, left=left, right=right, on=on)
    if isinstance(tree, Derived) and inside is not None:
        query = inside(tree.query)
        return tree if query is tree.query else replace(tree, query=query)
    if isinstance(tree, Opaque):
        node = f(tree.node)
        return tree if node is tree.node else replace(tree, node=node)
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


def with_new_aliases(expression: Expr, new: Callable[[], str]) -> Expr:
    """A copy of an expression in which every source of its subqueries has a new alias.

    It is needed if an expression is used twice (an alias in HAVING), because aliases must be unique.
    """
    names = {alias: new() for query in subqueries(expression) for alias in query.aliases}
    return _with_aliases(expression, names) if names else copied(expression)


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
