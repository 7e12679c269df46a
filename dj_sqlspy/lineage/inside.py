"""Inside: the same query of a database that holds only some rows of some tables.

In: a resolved `Query`, and for tables of which only some rows count the SQL of these rows. Out: the query with that
SQL in the place of each occurrence of such a table. Nothing else about it changes: aliases, names and structure stay.

>>> SELECT a.x FROM lab.session AS a                                                          # doctest: +SKIP
SELECT a.x FROM (SELECT … FROM lab.session WHERE project = 'X') AS a
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlglot import exp

from .syntax import Exact, Expr
from .tree import (
    Base,
    Derived,
    Join,
    Opaque,
    Query,
    Tree,
    Union,
    map_expressions,
    query_of,
    subqueries,
    subquery,
)


def narrowed(query: Query, rows: Mapping[str, str]) -> Query:
    """The query about the rows that count.

    Parameters
    ----------
    query : Query
    rows : mapping
        By full table name, a query in parentheses.
    """
    if isinstance(query, Union):
        return replace(
            query,
            branches=tuple(narrowed(branch, rows) for branch in query.branches),
            order=tuple(_expression(e, rows) for e in query.order),
        )
    block = map_expressions(query, lambda e: _expression(e, rows))
    return replace(block, tree=None if block.tree is None else _tree(block.tree, rows))


def _expression(expression: Expr, rows: Mapping[str, str]) -> Expr:
    if not any(True for _ in subqueries(expression)):
        return expression

    def visit(node: Expr) -> Expr:
        query = query_of(node)
        return node if query is None else subquery(narrowed(query, rows))

    result: Expr = expression.copy().transform(visit, copy=False)
    return result


def _tree(tree: Tree, rows: Mapping[str, str]) -> Tree:
    if isinstance(tree, Join):
        return replace(tree, left=_tree(tree.left, rows), right=_tree(tree.right, rows))
    if isinstance(tree, Base):
        return replace(tree, rows=rows.get(tree.table.full_name))
    if isinstance(tree, Derived):
        return replace(tree, query=narrowed(tree.query, rows))
    return tree if tree.hidden is None else _recursive(tree, rows)


def _recursive(tree: Opaque, rows: Mapping[str, str]) -> Opaque:
    """A recursive CTE, which is kept as text, with that SQL in its text."""
    assert tree.hidden is not None
    named = {(base.table.schema, base.table.name): base.table.full_name for base in tree.whole}
    text = tree.hidden.copy()
    for table in list(text.find_all(exp.Table)):
        full_name = named.get((table.db, table.name))
        if full_name is not None and full_name in rows:
            alias = exp.TableAlias(this=exp.Identifier(this=table.alias or table.name, quoted=True))
            table.replace(exp.Table(this=exp.Var(this=rows[full_name]), alias=alias))
    sql = text.sql(dialect=Exact, comments=False)
    return replace(tree, node=exp.Table(this=exp.Var(this=f"({sql})")), hidden=text)
