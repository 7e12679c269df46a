"""Set operations: rewrites EXCEPT and INTERSECT as conditions on rows.

In: the two resolved sides. Out: a query with the same rows, in which the other side is a subquery or is counted; or a
`Union` with that operator if there is no such query.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from ..servers.columns import BINARY_TYPES, NUMERIC_TYPES, TEXT_TYPES, Column
from ..servers.expressions import Expr
from .rewrite import with_new_aliases
from .tree import (
    Base,
    Block,
    Derived,
    Output,
    Query,
    Union,
    column,
    is_plain,
    outer_references,
    same,
    sources,
    subqueries,
    subquery,
)


def compared(
    operator: type[exp.SetOperation], distinct: bool, left: Query, right: Query, alias: Callable[[], str]
) -> Query:
    """EXCEPT and INTERSECT as a condition on the rows of the left side.

    >>> from dj_sqlspy.lineage.example import resolved, show
    >>> show(resolved("SELECT x FROM a EXCEPT SELECT x FROM c"))
    SELECT DISTINCT t3.x AS x FROM (SELECT t1.x AS x FROM s.a AS t1) AS t3 WHERE (NOT EXISTS(SELECT
    1 AS one FROM (SELECT t6.x AS x FROM s.c AS t6) AS t5 WHERE ((t3.x) <=> (t5.x))))

    A correlated query cannot become a derived table. If it only selects, the condition is added to it. Otherwise, and
    for ALL, the set operation stays as it is.
    """
    similar = _alike(left, right)
    if not outer_references(left) | outer_references(right):
        if not similar:
            left, right = _of_one_type(left, right, alias), _of_one_type(right, left, alias)
        if not distinct:
            return _of_multisets(operator, left, right, alias)
        similar = True
    rows, others = _plain_blocks(left, alias), _plain_blocks(right, alias)
    if not (distinct and similar and rows and others):
        return Union((left, right), distinct, operator=operator)
    found: list[Query] = []
    for row in rows:
        equal = [_equal_rows(row, other) for other in others]
        matching: Query = equal[0] if len(equal) == 1 else Union(tuple(equal), distinct=False)
        exists: Expr = exp.Exists(this=with_new_aliases(subquery(matching), alias))
        if operator is exp.Except:
            exists = exp.Not(this=exists)
        found.append(replace(row, where=(*row.where, exists), distinct=True, order=()))
    return found[0] if len(found) == 1 else Union(tuple(found))


def _plain_blocks(query: Query, alias: Callable[[], str]) -> tuple[Block, ...]:
    """Blocks that only select and together have the same set of rows as the query; none if impossible."""
    if not outer_references(query):
        return (_around(query, alias()),)
    if isinstance(query, Union) and query.adds_up:
        blocks = [_plain_blocks(branch, alias) for branch in query.branches]
        return tuple(itertools.chain(*blocks)) if all(blocks) else ()
    return (query,) if is_plain(query) else ()


def _around(query: Query, alias: str, where: tuple[Expr, ...] = ()) -> Block:
    """``SELECT * FROM (query) AS alias WHERE …``"""
    return Block(tuple(Output(x, column(alias, x)) for x in query.names), Derived(alias, query), where)


def _equal_rows(row: Block, other: Block) -> Block:
    """The rows of one block that equal a row of another one, with NULL equal to NULL."""
    equal = (same(x.expr, y.expr) for x, y in zip(row.outputs, other.outputs, strict=True))
    return Block((Output("one", exp.Literal.number(1)),), other.tree, (*other.where, *equal))


def _of_one_type(query: Query, other: Query, alias: Callable[[], str]) -> Query:
    """The query with the column types that it has in a set operation with another one.

    >>> from dj_sqlspy.lineage.example import resolved, show
    >>> a, b = resolved("SELECT x FROM a"), resolved("SELECT t FROM a")
    >>> show(_of_one_type(a, b, iter(["p", "q"]).__next__))
    (SELECT t1.x AS x FROM s.a AS t1) UNION ALL (SELECT p.t AS t FROM (SELECT q.t AS t FROM s.a AS
    q) AS p WHERE (FALSE))
    """
    outer = alias()
    (copied,) = subqueries(with_new_aliases(subquery(other), alias))
    return Union((query, _around(copied, outer, (exp.false(),))), distinct=False)


def _of_multisets(
    operator: type[exp.SetOperation], left: Query, right: Query, alias: Callable[[], str]
) -> Block:
    """EXCEPT ALL and INTERSECT ALL by row numbers: the n-th of equal rows is compared with the other side's count.

    >>> from dj_sqlspy.lineage.example import resolved, show
    >>> show(resolved("SELECT x FROM a EXCEPT ALL SELECT x FROM c"))
    SELECT t4.x AS x FROM (SELECT t3.x AS x, ROW_NUMBER() OVER (PARTITION BY t3.x) AS number~ FROM
    (SELECT t1.x AS x FROM s.a AS t1) AS t3) AS t4 WHERE (t4.number~ > (SELECT COUNT(*) AS n FROM
    (SELECT t2.x AS x FROM s.c AS t2) AS t5 WHERE ((t4.x) <=> (t5.x))))
    """
    inner, a, b = alias(), alias(), alias()
    number = exp.Window(
        this=exp.RowNumber(), partition_by=[column(inner, x) for x in left.names], over="OVER"
    )
    rows = _around(left, inner)
    numbered = replace(rows, outputs=(*rows.outputs, Output("number~", number)))
    equal = (same(column(a, x), column(b, y)) for x, y in zip(left.names, right.names, strict=True))
    counted = Block((Output("n", exp.Count(this=exp.Star())),), Derived(b, right), tuple(equal), group=())
    compare = exp.GT if operator is exp.Except else exp.LTE
    outputs = tuple(Output(x, column(a, x)) for x in left.names)
    condition = compare(this=column(a, "number~"), expression=subquery(counted))
    return Block(outputs, Derived(a, numbered), (condition,))


# ---------------------------------------------------------------- types of columns

_NUMBERS = (
    *(exp.Count, exp.Sum, exp.Avg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.IntDiv, exp.Neg),
    *(exp.Predicate, exp.Not, exp.Boolean),
)
_ANY = frozenset({"number", "text", "bytes", "moment"})


def _alike(left: Query, right: Query) -> bool:
    """Whether corresponding columns of two queries are known to have the same type.

    Then ``<=>`` compares them like a set operation. A set operation first converts both to one type: it converts a
    number and a text to texts, but ``<=>`` converts them to numbers. The type of a column is unknown unless it is a
    table's column or a simple expression of some.
    """
    return all(len(_of_output(left, i) | _of_output(right, i)) < 2 for i in range(len(left.names)))


def _of_output(query: Query, position: int) -> frozenset[str]:
    """The possible classes of a query's column."""
    if isinstance(query, Union):
        return frozenset[str]().union(*(_of_output(branch, position) for branch in query.branches))
    return _of(query.outputs[position].expr, query)


def _of(expression: Expr, block: Block) -> frozenset[str]:
    match expression:
        case exp.Paren() | exp.Max() | exp.Min():
            return _of(expression.this, block)
        case exp.Case():
            results = [each.args["true"] for each in expression.args["ifs"]]
            return _of_results([*results, expression.args.get("default")], block)
        case exp.If():
            return _of_results([expression.args["true"], expression.args.get("false")], block)
        case exp.Coalesce():
            return _of_results([expression.this, *expression.expressions], block)
        case exp.Null():
            return frozenset()  # it takes the type of the other
        case exp.Introducer() if expression.name in ("DATE", "TIMESTAMP"):
            return frozenset({"moment"})
        case exp.Literal():
            return frozenset({"text" if expression.is_string else "number"})
        case exp.Column():
            return _of_source(expression, block)
    moment = any(isinstance(operand, exp.Interval) for operand in expression.iter_expressions())
    return frozenset({"number"}) if isinstance(expression, _NUMBERS) and not moment else _ANY


def _of_results(results: list[Expr | None], block: Block) -> frozenset[str]:
    return frozenset[str]().union(*(_of(each, block) for each in results if each is not None))


def _of_source(item: exp.Column, block: Block) -> frozenset[str]:
    source = next((s for s in sources(block.tree) if s.alias == item.table), None)
    if isinstance(source, Base):
        return frozenset({_of_column(source.table.column(item.name))})
    if isinstance(source, Derived):
        names = [name.lower() for name in source.query.names]
        return _of_output(source.query, names.index(item.name.lower()))
    return _ANY


def _of_column(item: Column) -> str:
    if item.data_type in ("binary", "bit"):
        # BINARY is padded to its length; BIT acts as bytes with bytes, as a number with numbers
        return item.column_type
    if item.data_type in BINARY_TYPES:
        return "bytes"
    if item.data_type in NUMERIC_TYPES:
        return "number"
    if item.data_type in TEXT_TYPES:
        return "text"
    return "moment" if item.data_type in ("date", "datetime", "timestamp") else item.data_type
