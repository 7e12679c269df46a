"""Batches: one query for all bindings of a shape.

In: the query tree of a shape written with markers. Out: a `Batch` where each marker stands in a condition
``column = marker`` on the rows of the outermost SELECT. The rows behind all bindings together are then those with
``(columns) IN (bindings)``. Any other shape is asked once for each binding; then the outcome is the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp

from ..servers.columns import BINARY_TYPES, INTEGER_TYPES, NUMERIC_TYPES, TEXT_TYPES
from ..servers.mysql.syntax import Expr
from ..servers.tables import Table
from ..shapes import markers
from .derivation import fresh, rows_behind
from .generate import expression_sql, to_sql
from .predicates import demanded_occurrences, standalone
from .tree import Base, Block, Derived, Output, Query, conjuncts, has_subquery, sources, windows_of
from .witness import keys_here


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
        SQL that counts the rows of all bindings together, the marker as above; None if ``single``.
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


def batch(query: Query) -> Batch | str:
    """The batch of a shape's query, or why its bindings must be asked for one by one.

    >>> from dj_sqlspy.lineage.example import tree
    >>> marker = 77100000000000000177
    >>> batch(tree(f"SELECT * FROM a WHERE x = {marker}")).leaves
    ('SELECT DISTINCT `t1`.`id` AS `t1.0` FROM `s`.`a` AS `t1` WHERE (`KEYS~HERE`)',)
    >>> batch(tree(f"SELECT * FROM a WHERE x > {marker}"))
    'a value stands elsewhere than in `column = value`'
    """
    reason = _alone(query)
    if reason is not None:
        return reason
    assert isinstance(query, Block)
    compared: dict[int, Expr] = {}
    alike = True
    rest: list[Expr] = []
    for condition in (part for where in query.where for part in conjuncts(where)):
        found = _comparison(condition)
        if found is None or found[0] in compared:
            rest.append(condition)
        else:
            compared[found[0]] = found[1]
            alike = alike and _compares_alike(query, condition)
    asked = replace(query, where=(*rest, keys_here()), order=())
    values = sorted(markers(to_sql(replace(query, order=()))))
    if not compared or values != sorted(compared) or markers(to_sql(asked)):
        return "a value stands elsewhere than in `column = value`"
    single = query.group == () and not query.rollup
    if single and not alike:
        return "a column and a value are of different types, and no number of rows would tell"
    plain = query.group is None and not query.distinct
    count = _count(asked, tuple(compared.values())) if plain or alike else None
    if count is None and not single:
        return "the rows of several cannot be counted together"
    leaves = tuple(to_sql(rows_behind(asked, base)) for base in demanded_occurrences(asked))
    return Batch(
        ", ".join(map(expression_sql, compared.values())),
        tuple(compared),
        leaves,
        count,
        single,
        len(leaves) == 1 and rows_of_one_table(query) is not None,
        None if rest else _point(query, compared),
    )


def _alone(query: Query) -> str | None:
    """What keeps a query from being asked for many bindings at once, if anything does."""
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
    if not isinstance(condition, exp.EQ) or has_subquery(condition):
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
