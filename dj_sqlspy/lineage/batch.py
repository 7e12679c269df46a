"""Batches: one query for all bindings of a shape.

In: the query tree of a shape with markers. Out: a `Batch` if each marker occurs in a condition ``column = marker`` on
rows of the outermost SELECT. Then the rows behind all bindings are those with ``(columns) IN (bindings)``. Any other
shape needs one query for each binding; then the result is the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp

from ..servers.columns import BINARY_TYPES, INTEGER_TYPES, NUMERIC_TYPES, TEXT_TYPES
from ..servers.dialect import Dialect
from ..servers.expressions import Expr, Syntax
from ..servers.syntaxes import syntax_of
from ..servers.tables import Table
from ..shapes import markers
from .derivation import rows_behind
from .generate import expression_sql, to_sql
from .predicates import demanded_occurrences, standalone
from .tree import Base, Block, Output, Query, conjuncts, has_subquery, sources, windows_of
from .witness import keys_here


@dataclass(frozen=True)
class Batch:
    """How to query all bindings of a shape at once.

    Attributes
    ----------
    dialect : Dialect
    columns : str
        The compared columns, comma-separated.
    order : tuple of int
        For each compared column, the number of the marker that it is compared with.
    leaves : tuple of str
        For each demanded occurrence, SQL with `witness.KEYS` in place of the condition on the columns.
    answers : str
        SQL, also with `witness.KEYS`, for the results of all bindings: before each row the values of the compared
        columns, which identify the binding.
    nothing : str
        SQL for the result of a binding that finds no row; "" if that is empty.
    point : tuple of int or None
        If each binding is an integer primary key and there is no other condition: for each key column, in order, the
        number of its marker.
    """

    dialect: Dialect
    columns: str
    order: tuple[int, ...]
    leaves: tuple[str, ...]
    answers: str
    nothing: str = ""
    point: tuple[int, ...] | None = None


def rows_of_one_table(query: Query | None) -> Table | None:
    """The table whose rows a statement returns unchanged, each once; None if it does anything else."""
    if not isinstance(query, Block) or not isinstance(query.tree, Base) or query.limit is not None:
        return None
    if query.group is not None or query.distinct or query.having or query.rollup or windows_of(query):
        return None
    return query.tree.table if query.tree.table.primary_key else None


def batch(query: Query, dialect: Dialect) -> Batch | str:
    """The batch of a shape's query, or why each binding needs its own query.

    >>> from dj_sqlspy.lineage.example import tree
    >>> from dj_sqlspy.servers.mysql.dialect import MYSQL
    >>> marker = 77100000000000000177
    >>> batch(tree(f"SELECT * FROM a WHERE x = {marker}"), MYSQL).leaves
    ('SELECT `t1`.`id` AS `t1.0` FROM `s`.`a` AS `t1` WHERE (`KEYS~HERE`)',)
    >>> batch(tree(f"SELECT * FROM a WHERE x > {marker}"), MYSQL)
    'a value stands elsewhere than in `column = value`'
    """
    reason = _alone(query)
    if reason is not None:
        return reason
    assert isinstance(query, Block)
    syntax = syntax_of(dialect)
    compared: dict[int, Expr] = {}
    alike = True
    rest: list[Expr] = []
    for condition in (part for where in query.where for part in conjuncts(where)):
        found = _comparison(condition, syntax)
        if found is None or found[0] in compared:
            rest.append(condition)
        else:
            compared[found[0]] = found[1]
            alike = alike and _compares_alike(query, condition)
    asked = replace(query, where=(*rest, keys_here()), order=())
    values = sorted(markers(to_sql(replace(query, order=()), dialect)))
    if not compared or values != sorted(compared) or markers(to_sql(asked, dialect)):
        return "a value stands elsewhere than in `column = value`"
    if query.rollup or (query.group is not None and query.distinct):
        return "the results of several values cannot be separated"
    if not alike and (query.group is not None or query.distinct):
        return "a column and a value are of different types, so that rows of several values can be one"
    return Batch(
        dialect,
        ", ".join(expression_sql(each, syntax) for each in compared.values()),
        tuple(compared),
        tuple(to_sql(rows_behind(asked, base), dialect) for base in demanded_occurrences(asked)),
        to_sql(_answers(asked, tuple(compared.values())), dialect),
        to_sql(replace(query, where=(exp.false(),), order=()), dialect) if query.group == () else "",
        None if rest else _point(query, compared),
    )


def _alone(query: Query) -> str | None:
    """Why a query cannot be batched, or None."""
    if not isinstance(query, Block):
        return "it is a set operation"
    if query.limit is not None:
        return "it has LIMIT"
    if query.having:
        return "it has HAVING"
    if windows_of(query):
        return "it has window functions"
    if any(True for _ in standalone(query)):
        return "a query in it (an aggregate over all rows, a scalar subquery, one with LIMIT) is needed for itself"
    return None


def _point(query: Block, compared: dict[int, Expr]) -> tuple[int, ...] | None:
    table = rows_of_one_table(query)
    if table is None or len(compared) != len(table.primary_key):
        return None
    markers_of = {expr.name.lower(): number for number, expr in compared.items()}
    if any(table.column(name).data_type not in INTEGER_TYPES for name in table.primary_key):
        return None
    found = [markers_of.get(name.lower()) for name in table.primary_key]
    return None if None in found else tuple(number for number in found if number is not None)


def _answers(asked: Block, compared: tuple[Expr, ...]) -> Block:
    """A query for the results of all bindings: compared columns first, distinct and grouped for each binding."""
    first = tuple(Output(f"b~{i}", expression.copy()) for i, expression in enumerate(compared))
    group = None if asked.group is None else (*compared, *asked.group)
    return replace(asked, outputs=(*first, *asked.outputs), group=group)


def _comparison(condition: Expr, syntax: Syntax) -> tuple[int, Expr] | None:
    """(marker, column) of a condition ``column = marker``."""
    if not isinstance(condition, exp.EQ) or has_subquery(condition):
        return None
    for one, other in ((condition.this, condition.expression), (condition.expression, condition.this)):
        if isinstance(one, exp.Column) and isinstance(other, (exp.Literal, exp.HexString)):
            found = markers(expression_sql(other, syntax))
            if len(found) == 1:
                return found[0], one
    return None


# Types that compare with a fitting literal in a list as they do with the literal alone. Other comparisons differ on
# some servers: a YEAR of two digits, a text with a number, an unsigned BIGINT with a text, an ENUM with a number.
_TEMPORAL = frozenset({"date", "datetime", "timestamp", "time"})
_ALIKE: dict[str, frozenset[str]] = {
    "number": NUMERIC_TYPES - {"year"},
    "text": (TEXT_TYPES | BINARY_TYPES | _TEMPORAL) - {"bit", "geometry"},
    "bytes": (TEXT_TYPES | BINARY_TYPES) - {"bit", "geometry", "enum", "set"},
}


def _compares_alike(query: Block, condition: Expr) -> bool:
    """True if ``column = literal`` and ``column IN (literal, …)`` mean the same for all literals."""
    assert isinstance(condition, exp.EQ)
    name, literal = condition.this, condition.expression
    if not isinstance(name, exp.Column):
        name, literal = literal, name
    kind = "bytes" if isinstance(literal, exp.HexString) else "text" if literal.is_string else "number"
    tables = {source.alias: source.table for source in sources(query.tree) if isinstance(source, Base)}
    table = tables.get(name.table)
    return table is not None and table.column(name.name).data_type in _ALIKE[kind]
