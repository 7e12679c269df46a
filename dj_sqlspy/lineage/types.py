"""Types: do two queries that INTERSECT or EXCEPT compares have columns of one type?

In: resolved queries. Out: whether ``<=>`` compares their columns as a set operation does, which first makes one type
of both: of a number and a text it makes texts, where ``<=>`` makes numbers of both. It knows what a column of a table
is, and the value of simple expressions; anything else can be of any type.
"""

from __future__ import annotations

from sqlglot import exp

from ..servers.columns import BINARY_TYPES, NUMERIC_TYPES, TEXT_TYPES, Column
from ..servers.mysql.syntax import Expr
from .tree import Base, Block, Derived, Query, Union, sources

_NUMBERS = (
    *(exp.Count, exp.Sum, exp.Avg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.IntDiv, exp.Neg),
    *(exp.Predicate, exp.Not, exp.Boolean),
)
_ANY = frozenset({"number", "text", "bytes", "moment"})


def alike(left: Query, right: Query) -> bool:
    """Whether each column of one query is known to have the type of that of the other in its place."""
    return all(len(_of_output(left, i) | _of_output(right, i)) < 2 for i in range(len(left.names)))


def _of_output(query: Query, position: int) -> frozenset[str]:
    """The classes that a column of a query can have values of."""
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
            return frozenset()  # of the type of the other
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


def _of_column(column: Column) -> str:
    if column.data_type in ("binary", "bit"):
        return (
            column.column_type
        )  # padded to its length; bits are bytes beside bytes and numbers beside numbers
    if column.data_type in BINARY_TYPES:
        return "bytes"
    if column.data_type in NUMERIC_TYPES:
        return "number"
    if column.data_type in TEXT_TYPES:
        return "text"
    return "moment" if column.data_type in ("date", "datetime", "timestamp") else column.data_type


__all__ = ["alike"]
