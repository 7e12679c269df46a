"""Generation: writes a query tree as SQL with quoted identifiers.

In: a `Query`, or an expression of one. Out: SQL in the dialect of its tables.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from ..servers.expressions import Expr, Syntax, identifier, written
from ..servers.lists import balanced
from ..servers.syntaxes import syntax_of
from .rewrite import rebuilt
from .tree import Base, Block, Derived, Join, Query, Source, Tree, Union, dialect_of, query_of


def to_sql(query: Query) -> str:
    """SQL text of a query tree."""
    return _sql(query, syntax_of(dialect_of(query)))


def expression_sql(expression: Expr, syntax: Syntax) -> str:
    """SQL text of an expression of a query tree."""
    return written(_Writer(syntax).expression(expression), syntax, identify=True, copy=False)


def _sql(query: Query, syntax: Syntax) -> str:
    known = query.known.get(to_sql)
    if known is None or known[0] is not syntax:
        text = written(_Writer(syntax).query(query), syntax, identify=True, copy=False)
        known = query.known[to_sql] = (syntax, text)
    return str(known[1])


class _Writer:
    """Makes expressions of query trees in a syntax."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax

    def query(self, query: Query) -> Expr:
        node = self._set_operation(query) if isinstance(query, Union) else self._select(query)
        order = [self.expression(e) for e in query.order if not isinstance(e.this, exp.Literal)]
        if order:
            node.set("order", exp.Order(expressions=order))
        if query.limit is not None:
            count = exp.Literal.number(query.limit)
            limit: Expr = exp.Limit(expression=count)
            if isinstance(query, Block) and query.ties:
                ties = exp.LimitOptions(rows=True, with_ties=True)
                limit = exp.Fetch(direction="FIRST", count=count, limit_options=ties)
            node.set("limit", limit)
            if query.offset:
                node.set("offset", exp.Offset(expression=exp.Literal.number(query.offset)))
        return node

    def _set_operation(self, query: Union) -> Expr:
        node = self._branch(query.branches[0], query, first=True)
        for branch in query.branches[1:]:
            node = query.operator(this=node, expression=self._branch(branch, query), distinct=query.distinct)
        return node

    def _branch(self, query: Query, around: Union, first: bool = False) -> Expr:
        """A branch of a set operation.

        An inner set operation is written without parentheses if that means the same. MariaDB makes a derived table of
        parentheses, which cannot refer to the outer query.
        """
        node = self.query(query)
        if isinstance(query, Union) and not query.order and query.limit is None:
            binds = [each.operator is exp.Intersect for each in (query, around)]
            if binds == [True, False] or (first and binds[0] == binds[1]):
                return node
        return exp.Subquery(this=node)

    def _select(self, block: Block) -> Expr:
        select = exp.Select(
            expressions=[
                exp.Alias(this=self.expression(output.expr), alias=identifier(output.name))
                for output in block.outputs
            ]
        )
        if block.distinct:
            select.set("distinct", exp.Distinct())
        if block.tree is not None:
            first, joins = self._from(block.tree)
            select.set("from_", exp.From(this=first))
            select.set("joins", joins)
        if block.where:
            select.set("where", exp.Where(this=self._and(block.where)))
        if block.group:
            rollup = [exp.Rollup()] if block.rollup and not block.sets else None
            keys: list[Expr] = [self.syntax.grouped(self.expression(e)) for e in block.group]
            if block.sets:
                sets = [exp.Tuple(expressions=[keys[place].copy() for place in each]) for each in block.sets]
                keys = [exp.GroupingSets(expressions=sets)]
            select.set("group", exp.Group(expressions=keys, rollup=rollup))
        if block.having:
            select.set("having", exp.Having(this=self._and(block.having)))
        return select

    def _from(self, tree: Tree) -> tuple[Expr, list[Expr]]:
        """The first source and the joins after it; a join on the right gets parentheses."""
        if not isinstance(tree, Join):
            return self._source(tree), []
        first, joins = self._from(tree.left)
        if isinstance(tree.right, Join):
            head, tail = self._from(tree.right)
            head.set("joins", tail)
            right: Expr = exp.Subquery(this=head)
        else:
            right = self._source(tree.right)
        on = self._and(tree.on) if tree.on else None
        if tree.left_outer:
            joins.append(exp.Join(this=right, side="LEFT", on=exp.Boolean(this=True) if on is None else on))
        elif on is None:
            joins.append(exp.Join(this=right, kind="CROSS"))
        else:
            joins.append(exp.Join(this=right, on=on))
        return first, joins

    def _source(self, source: Source) -> Expr:
        alias = exp.TableAlias(this=identifier(source.alias))
        if isinstance(source, Base) and source.rows is not None:
            return exp.Table(this=exp.Var(this=source.rows), alias=alias)
        if isinstance(source, Base):
            return exp.Table(
                this=identifier(source.table.name), db=identifier(source.table.schema), alias=alias
            )
        if isinstance(source, Derived):
            query = self.query(source.query)
            if source.lateral:
                return exp.Lateral(this=exp.Subquery(this=query), alias=alias)
            return exp.Subquery(this=query, alias=alias)
        node = self.expression(source.node)
        if source.named:
            alias.set("columns", [identifier(name) for name in source.columns])
        node.set("alias", alias)
        return node

    def expression(self, node: Expr) -> Expr:
        def written(item: Expr) -> Expr | None:
            query = query_of(item)
            if query is not None:
                return exp.Var(this=f"({_sql(query, self.syntax)})")
            query = query_of(item.this) if isinstance(item, exp.Exists) else None
            # a subquery in EXISTS has no further parentheses
            return None if query is None else exp.Exists(this=exp.Var(this=_sql(query, self.syntax)))

        return rebuilt(node, written)

    def _and(self, conditions: Sequence[Expr]) -> Expr:
        return balanced(exp.And, [exp.Paren(this=self.expression(condition)) for condition in conditions])
