"""Types: do two queries that INTERSECT or EXCEPT compares have columns of one type?

In: resolved queries. Out: whether ``<=>`` compares their columns as a set operation does, which first makes one type
of both: of a number and bytes it makes bytes, where ``<=>`` makes numbers of both. It knows what a column of a table
is, and the value of simple expressions; of anything else it knows nothing, and takes it for alike.
"""

from __future__ import annotations

from sqlglot import exp

from ..catalog import BINARY_TYPES, NUMERIC_TYPES, TEXT_TYPES, Column
from .syntax import Expr
from .tree import Base, Block, Derived, Query, Union, sources

_NUMBERS = (exp.Count, exp.Sum, exp.Avg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.IntDiv, exp.Neg)


def alike(left: Query, right: Query) -> bool:
    """True unless a column of one query is known to have another type than that of the other in its place."""
    return all(len(_of_output(left, i) | _of_output(right, i)) < 2 for i in range(len(left.names)))


def _of_output(query: Query, position: int) -> set[str]:
    """The classes that a column of a query is known to have values of."""
    if isinstance(query, Union):
        return set[str]().union(*(_of_output(branch, position) for branch in query.branches))
    return _of(query.outputs[position].expr, query)


def _of(expression: Expr, block: Block) -> set[str]:
    if isinstance(expression, exp.Paren):
        return _of(expression.this, block)
    if isinstance(expression, (exp.Max, exp.Min)):
        return _of(expression.this, block)
    if isinstance(expression, _NUMBERS):
        return {"number"}
    if isinstance(expression, exp.Literal):
        return {"text" if expression.is_string else "number"}
    if isinstance(expression, exp.Column):
        source = next((s for s in sources(block.tree) if s.alias == expression.table), None)
        if isinstance(source, Base):
            return {_of_column(source.table.column(expression.name))}
        if isinstance(source, Derived):
            names = [name.lower() for name in source.query.names]
            return _of_output(source.query, names.index(expression.name.lower()))
    return set()


def _of_column(column: Column) -> str:
    if column.data_type == "binary":
        return column.column_type  # padded to its length
    if column.data_type in BINARY_TYPES:
        return "bytes"
    if column.data_type in NUMERIC_TYPES:
        return "number"
    if column.data_type in TEXT_TYPES:
        return "text"
    return "moment" if column.data_type in ("date", "datetime", "timestamp") else column.data_type


__all__ = ["alike"]
