"""Generation: writes a query tree as SQL with quoted identifiers.

In: a `Query`, or an expression of one. Out: SQL in a dialect. What occurs in every statement (SELECT,
joins, columns, comparisons) is written here, because that takes a fifth of the time; sqlglot writes all else.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from ..servers.dialect import Dialect
from ..servers.expressions import Expr, Syntax, copied, identifier, rebuilt, written
from ..servers.syntaxes import syntax_of
from .tree import Base, Block, Derived, Join, Query, Source, Tree, Union, is_aggregate, query_of

# Operators that all dialects write alike.
_OPERATORS: dict[type[Expr], str] = {
    exp.And: "AND",
    exp.Or: "OR",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}


def to_sql(query: Query, dialect: Dialect) -> str:
    """SQL text of a query tree."""
    return _Writer(syntax_of(dialect)).known(query)


def expression_sql(expression: Expr, syntax: Syntax) -> str:
    """SQL text of an expression of a query tree."""
    return _Writer(syntax).expression(expression)


class _Writer:
    """Writes query trees in a syntax."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self._start, self._end = syntax.written.IDENTIFIER_START, syntax.written.IDENTIFIER_END

    def known(self, query: Query) -> str:
        """The text of a query, which is kept."""
        found = query.known.get(self.syntax)
        if found is None:
            found = query.known[self.syntax] = self._query(query)
        return str(found)

    def _query(self, query: Query) -> str:
        text = self._set_operation(query) if isinstance(query, Union) else self._select(query)
        order = [self.expression(e) for e in query.order if not isinstance(e.this, exp.Literal)]
        if order:
            text += f" ORDER BY {', '.join(order)}"
        if query.limit is not None:
            if isinstance(query, Block) and query.ties:
                return f"{text} OFFSET {query.offset or 0} FETCH FIRST {query.limit} ROWS WITH TIES"
            text += f" LIMIT {query.limit}"
            if query.offset:
                text += f" OFFSET {query.offset}"
        return text

    def _set_operation(self, query: Union) -> str:
        word = f" {query.operator.key.upper()}{'' if query.distinct else ' ALL'} "
        branches = (self._branch(branch, query, not number) for number, branch in enumerate(query.branches))
        return word.join(branches)

    def _branch(self, query: Query, around: Union, first: bool) -> str:
        """A branch of a set operation.

        An inner set operation is written without parentheses if that means the same. MariaDB makes a derived table of
        parentheses, which cannot refer to the outer query.
        """
        text = self._query(query)
        if isinstance(query, Union) and not query.order and query.limit is None:
            binds = [each.operator is exp.Intersect for each in (query, around)]
            if binds == [True, False] or (first and binds[0] == binds[1]):
                return text
        return f"({text})"

    def _select(self, block: Block) -> str:
        outputs = [
            f"{self.expression(output.expr)} AS {self._quoted(output.name)}" for output in block.outputs
        ]
        text = f"SELECT {'DISTINCT ' if block.distinct else ''}{', '.join(outputs)}"
        if block.tree is not None:
            text += f" FROM {self._from(block.tree)}"
        if block.where:
            text += f" WHERE {self._and(block.where)}"
        if block.group:
            keys = [self.expression(self.syntax.grouped(e)) for e in block.group]
            if block.sets:
                sets = (f"({', '.join(keys[place] for place in each)})" for each in block.sets)
                keys = [f"GROUPING SETS ({', '.join(sets)})"]
            text += f" GROUP BY {', '.join(keys)}{' WITH ROLLUP' if block.rollup and not block.sets else ''}"
        if block.having:
            text += f" HAVING {self._and(self._having(block))}"
        return text

    def _having(self, block: Block) -> Sequence[Expr]:
        """HAVING, in which an expression that is a key has the name of its output: MySQL knows no other there."""
        if not self.syntax.aliases_in_having:
            return block.having
        keys = [key.unnest() for key in block.group or ()]
        columns = [key.name.lower() for key in keys if isinstance(key, exp.Column)]
        shown = [output.name.lower() for output in block.outputs]
        names = [
            (output.expr.unnest(), output.name)
            for output, name in zip(block.outputs, shown, strict=True)
            if output.expr.unnest() in keys and name not in columns and shown.count(name) == 1
        ]

        def named(node: Expr) -> Expr | None:
            if is_aggregate(node):
                return copied(node)
            name = next((name for key, name in names if key == node), None)
            return None if name is None or isinstance(node, exp.Column) else exp.Column(this=identifier(name))

        return [rebuilt(condition, named) for condition in block.having] if names else block.having

    def _from(self, tree: Tree) -> str:
        """The sources with their joins; a join on the right gets parentheses."""
        if not isinstance(tree, Join):
            return self._source(tree)
        left, right = self._from(tree.left), self._from(tree.right)
        if isinstance(tree.right, Join):
            right = f"({right})"
        if tree.on:
            return f"{left} {'LEFT ' if tree.left_outer else ''}JOIN {right} ON {self._and(tree.on)}"
        return f"{left} LEFT JOIN {right} ON TRUE" if tree.left_outer else f"{left} CROSS JOIN {right}"

    def _source(self, source: Source) -> str:
        alias = self._quoted(source.alias)
        if isinstance(source, Base):
            table = source.table
            return f"{source.rows or f'{self._quoted(table.schema)}.{self._quoted(table.name)}'} AS {alias}"
        if isinstance(source, Derived):
            return f"{'LATERAL ' if source.lateral else ''}({self._query(source.query)}) AS {alias}"
        node = rebuilt(source.node, self._inner)
        names = [identifier(name) for name in source.columns] if source.named else None
        node.set("alias", exp.TableAlias(this=identifier(source.alias), columns=names))
        return self._written(node)

    def expression(self, node: Expr) -> str:
        """An expression, with the subqueries in it."""
        kind = type(node)
        if kind is exp.Column:
            source, name = node.args.get("table"), node.args["this"]
            if len(node.args) == 2 and type(source) is type(name) is exp.Identifier:
                return f"{self._quoted(source.this)}.{self._quoted(name.this)}"
        elif kind is exp.Paren:
            return f"({self.expression(node.this)})"
        elif kind in _OPERATORS:
            return f"{self.expression(node.this)} {_OPERATORS[kind]} {self.expression(node.expression)}"
        elif kind is exp.Not:
            return f"NOT {self.expression(node.this)}"
        elif kind is exp.Tuple:
            return f"({', '.join(map(self.expression, node.expressions))})"
        elif kind is exp.In and query_of(node.args.get("query")) is not None:
            return f"{self.expression(node.this)} IN {self.expression(node.args['query'])}"
        elif kind is exp.Var or (kind is exp.Literal and not node.is_string):
            return str(node.this)
        elif (query := query_of(node)) is not None:
            return f"({self.known(query)})"
        return self._written(rebuilt(node, self._inner))

    def _inner(self, item: Expr) -> Expr | None:
        """A node with the text of a subquery, in place of the subquery itself."""
        query = query_of(item)
        if query is not None:
            return exp.Var(this=f"({self.known(query)})")
        query = query_of(item.this) if isinstance(item, exp.Exists) else None
        # a subquery in EXISTS has no further parentheses
        return None if query is None else exp.Exists(this=exp.Var(this=self.known(query)))

    def _and(self, conditions: Sequence[Expr]) -> str:
        return " AND ".join([f"({self.expression(condition)})" for condition in conditions])

    def _quoted(self, name: str) -> str:
        return f"{self._start}{name.replace(self._end, self._end * 2)}{self._end}"

    def _written(self, node: Expr) -> str:
        return written(node, self.syntax, identify=True, copy=False)
