"""Batches: one query for all bindings of a shape.

In: the query tree of a shape written with markers. Out: a `Batch` where each marker stands in a condition
``column = marker`` on the rows of the outermost SELECT: then the rows behind all bindings together are those with
``(columns) IN (bindings)``. Any other shape is asked once for each binding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp

from ..servers.columns import BINARY_TYPES, INTEGER_TYPES, NUMERIC_TYPES, TEXT_TYPES
from ..servers.mysql.syntax import Expr, Unsupported
from ..servers.tables import Table
from ..shapes import markers
from .demand import demanded_occurrences, fresh, rows_behind, windows_of
from .tree import (
    Base,
    Block,
    Derived,
    Output,
    Query,
    conjuncts,
    expression_sql,
    sources,
    subqueries,
    to_sql,
)
from .witness import KEYS, standalone


@dataclass(frozen=True)
class Batch:
    """How to ask for all bindings of a shape at once.

    Attributes
    ----------
    columns : str
        The compared columns, comma-separated.
    order : tuple of int
        For each compared column, the number of the marker that it is compared with.
    leaves : tuple of str
        For each demanded occurrence, SQL with `witness.KEYS` in place of the condition on the columns.
    count : str or None
        SQL that counts the rows of all bindings together, the marker as above; None where it cannot.
    single : bool
        True if each binding returns one row whatever the data (an aggregate over all rows).
    counted_by_leaf : bool
        True if the only leaf returns as many keys as the statements return rows.
    point : tuple of int or None
        Where each binding is the primary key of a row, all integers, and there is no other condition: for each key
        column in the order of the key, the number of the marker.
    """

    columns: str
    order: tuple[int, ...]
    leaves: tuple[str, ...]
    count: str | None
    single: bool
    counted_by_leaf: bool
    point: tuple[int, ...] | None = None


def rows_of_one_table(query: Query | None) -> Table | None:
    """The table whose rows a statement returns as they are, each once; None if it does anything else."""
    if not isinstance(query, Block) or not isinstance(query.tree, Base) or query.limit is not None:
        return None
    if query.group is not None or query.distinct or query.having or query.rollup or windows_of(query):
        return None
    return query.tree.table if query.tree.table.primary_key else None


def batch(query: Query) -> Batch | None:
    """The batch of a shape's query, or None if its bindings must be asked for one by one."""
    if not isinstance(query, Block) or query.limit is not None or query.having or windows_of(query):
        return None
    if any(True for _ in standalone(query)):
        return None
    compared: dict[int, Expr] = {}
    rest: list[Expr] = []
    conditions = [part for where in query.where for part in conjuncts(where)]
    for condition in conditions:
        found = _comparison(condition)
        if found is None or found[0] in compared:
            rest.append(condition)
        else:
            compared[found[0]] = found[1]
    if not compared:
        return None
    marker = exp.Column(this=exp.Identifier(this=KEYS, quoted=True))
    asked = replace(query, where=(*rest, marker), order=())
    if sorted(markers(to_sql(replace(query, order=())))) != sorted(compared) or markers(to_sql(asked)):
        return None  # a marker stands somewhere else too
    try:
        leaves = tuple(to_sql(rows_behind(asked, base.alias)) for base in demanded_occurrences(asked))
    except (Unsupported, NotImplementedError):
        return None
    alike = all(_compares_alike(query, condition) for condition in conditions if condition not in rest)
    single = query.group == () and not query.rollup
    if single and not alike:
        return None  # and no number of rows would tell
    plain = query.group is None and not query.distinct
    return Batch(
        ", ".join(map(expression_sql, compared.values())),
        tuple(compared),
        leaves,
        _count(asked, tuple(compared.values())) if plain or alike else None,
        single,
        len(leaves) == 1 and rows_of_one_table(query) is not None,
        None if rest else _point(query, compared),
    )


def _point(query: Block, compared: dict[int, Expr]) -> tuple[int, ...] | None:
    table = rows_of_one_table(query)
    if table is None or len(compared) != len(table.primary_key):
        return None
    markers_of = {expr.name.lower(): number for number, expr in compared.items()}
    if any(table.column(name).data_type not in INTEGER_TYPES for name in table.primary_key):
        return None
    found = [markers_of.get(name.lower()) for name in table.primary_key]
    return None if None in found else tuple(number for number in found if number is not None)


def _count(asked: Block, compared: tuple[Expr, ...]) -> str | None:
    """SQL that counts the rows of all bindings: each value and each group counts once for each binding."""
    number = (Output("n", exp.Count(this=exp.Star())),)
    if asked.group is None and not asked.distinct:
        return to_sql(replace(asked, outputs=number))
    if asked.rollup or asked.group == () or (asked.group is not None and asked.distinct):
        return None
    expressions = (*(output.expr for output in asked.outputs if asked.distinct), *compared)
    each = replace(
        asked,
        outputs=tuple(Output(f"c{i}", expression) for i, expression in enumerate(expressions)),
        group=None if asked.group is None else (*asked.group, *compared),
    )
    return to_sql(Block(number, Derived(fresh("b"), each)))


def _comparison(condition: Expr) -> tuple[int, Expr] | None:
    """(marker, column) of a condition ``column = marker``."""
    if not isinstance(condition, exp.EQ) or any(True for _ in subqueries(condition)):
        return None
    for one, other in ((condition.this, condition.expression), (condition.expression, condition.this)):
        if isinstance(one, exp.Column) and isinstance(other, (exp.Literal, exp.HexString)):
            found = markers(expression_sql(other))
            if len(found) == 1:
                return found[0], one
    return None


# Types that are compared with a literal of the kind in a list as they are alone. Others are not on every server: a
# YEAR of two digits, a text with a number, an unsigned BIGINT with a text, an ENUM with a number.
_TEMPORAL = frozenset({"date", "datetime", "timestamp", "time"})
_ALIKE: dict[str, frozenset[str]] = {
    "number": NUMERIC_TYPES - {"year"},
    "text": (TEXT_TYPES | BINARY_TYPES | _TEMPORAL) - {"bit", "geometry"},
    "bytes": (TEXT_TYPES | BINARY_TYPES) - {"bit", "geometry", "enum", "set"},
}


def _compares_alike(query: Block, condition: Expr) -> bool:
    """True if ``column = literal`` and ``column IN (literal, …)`` mean the same whatever the literals are."""
    assert isinstance(condition, exp.EQ)
    name, literal = condition.this, condition.expression
    if not isinstance(name, exp.Column):
        name, literal = literal, name
    kind = "bytes" if isinstance(literal, exp.HexString) else "text" if literal.is_string else "number"
    tables = {source.alias: source.table for source in sources(query.tree) if isinstance(source, Base)}
    table = tables.get(name.table)
    return table is not None and table.column(name.name).data_type in _ALIKE[kind]
