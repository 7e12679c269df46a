"""Inside: the same query for a database with only some rows of some tables.

In: a resolved `Query`, and for bounded tables the SQL of the rows that count. Out: the query with this SQL instead of
each occurrence of such a table. Aliases, names and structure stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlglot import exp

from ..servers.expressions import Expr, identifier, written
from ..servers.syntaxes import syntax_of
from .rewrite import map_block, substitute
from .tree import Base, Join, Opaque, Query, Tree, Union, has_subquery


def narrowed(query: Query, rows: Mapping[str, str]) -> Query:
    """The query for the rows that count.

    >>> from dj_sqlspy.lineage.example import show, tree
    >>> show(narrowed(tree("SELECT x FROM a NATURAL JOIN b"), {"`s`.`b`": "(SELECT * FROM s.b LIMIT 9)"}))
    SELECT t1.x AS x FROM s.a AS t1 JOIN (SELECT * FROM s.b LIMIT 9) AS t2 ON (t1.id = t2.id)

    Parameters
    ----------
    query : Query
    rows : mapping
        By full table name, a query in parentheses.
    """

    def expression(node: Expr) -> Expr:
        return substitute(node, lambda c: None, inside) if has_subquery(node) else node

    def inside(inner: Query) -> Query:
        return narrowed(inner, rows)

    if isinstance(query, Union):
        branches = tuple(map(inside, query.branches))
        return replace(query, branches=branches, order=tuple(map(expression, query.order)))
    block = map_block(query, expression, inside)
    return replace(block, tree=None if block.tree is None else _tree(block.tree, rows))


def _tree(tree: Tree, rows: Mapping[str, str]) -> Tree:
    if isinstance(tree, Join):
        return replace(tree, left=_tree(tree.left, rows), right=_tree(tree.right, rows))
    if isinstance(tree, Base):
        return replace(tree, rows=rows.get(tree.table.full_name))
    if isinstance(tree, Opaque) and tree.hidden is not None:
        return _recursive(tree, tree.hidden, rows)
    return tree


def _recursive(tree: Opaque, hidden: Expr, rows: Mapping[str, str]) -> Opaque:
    """A recursive CTE, which is kept as text, with the SQL inserted into its text."""
    named = {(base.table.schema, base.table.name): rows.get(base.table.full_name) for base in tree.whole}
    text = hidden.copy()
    for table in list(text.find_all(exp.Table)):
        sql = named.get((table.db, table.name))
        if sql is not None:
            alias = exp.TableAlias(this=identifier(table.alias or table.name))
            table.replace(exp.Table(this=exp.Var(this=sql), alias=alias, joins=table.args.get("joins")))
    syntax = syntax_of(tree.whole[0].table.dialect)
    return replace(tree, node=exp.Table(this=exp.Var(this=f"({written(text, syntax)})")), hidden=text)
