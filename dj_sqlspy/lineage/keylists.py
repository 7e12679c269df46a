"""Key lists: writes an OR of conjunctions of equalities, as DataJoint sends for ``table & keys``, as IN of rows.

In: a resolved `Query`. Out: one with the same result in which ``(a = 1 AND b = 2) OR (a = 1 AND b = 3) OR …`` is
``(a, b) IN ((1, 2), (1, 3), …)``. Servers compare each row with every term of a long OR; they look up a row in a list.
Both conditions have the same value, also where a column is NULL, only if a list compares each literal as ``=`` does. So
the types and literals in `_fitting` are written so, and no others: servers compare a list of rows by the type of the
column, which rounds 1.5 for an integer, and reads the year 19 as none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

from sqlglot import exp

from ..servers.columns import INTEGER_TYPES, Column
from ..servers.expressions import Expr, rebuilt
from ..servers.lists import Listed, Terms
from ..servers.session import PLAIN, Session
from ..shapes import markers
from .rewrite import map_block
from .tree import (
    Base,
    Block,
    Derived,
    Query,
    Tree,
    Union,
    conjuncts,
    joins,
    query_of,
    remembered,
    sources,
    subquery,
)

_CHARSETS = frozenset({"utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"})
_INTEGER = re.compile(r"\d{1,18}")
_DECIMAL = re.compile(r"\d{1,18}(?:\.\d{1,18})?")
_TIMES = {
    "date": re.compile(r"'(\d{4}-\d\d-\d\d)'"),
    "datetime": re.compile(r"'(\d{4}-\d\d-\d\d) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?'"),
}


# Session variables that do not change what compares alike.
_HARMLESS = frozenset({"group_concat_max_len", "sql_select_limit", "time_zone"})


def with_key_lists(query: Query, session: Session = PLAIN) -> Query:
    """Write long ORs of conjunctions of equalities over the same columns as IN, everywhere in a query.

    >>> from dj_sqlspy.lineage.example import tree
    >>> from dj_sqlspy.lineage.generate import to_sql
    >>> from dj_sqlspy.servers.mysql.dialect import MYSQL
    >>> keys = " OR ".join(f"(id = {number}) AND (n = 7)" for number in range(64))
    >>> to_sql(with_key_lists(tree(f"SELECT y FROM b WHERE {keys}")), MYSQL)[52:95]
    '(`t1`.`id`, `t1`.`n`) IN ((0, 7), (1, 7), ('
    """
    return _written(query) if session.names <= _HARMLESS and _has_list(query) else query


@remembered
def _has_list(query: Query) -> bool:
    own: tuple[Expr, ...] = ()
    if isinstance(query, Block):
        own = (*query.where, *query.having, *(on for join in joins(query.tree) for on in join.on))
    return any(map(_listed, own)) or any(map(_has_list, query.children))


def _written(query: Query) -> Query:
    if not _has_list(query):
        return query
    if isinstance(query, Union):
        return replace(query, branches=tuple(map(_written, query.branches)))
    tree = query.tree

    def written(node: Expr) -> Expr | None:
        if isinstance(node, Listed):
            return _as_rows(node, tree)
        inner = query_of(node)
        return None if inner is None else subquery(_written(inner))

    return map_block(query, lambda expression: rebuilt(expression, written), _written)


def _listed(condition: Expr) -> bool:
    """Whether there is a list in a condition, below AND, OR and NOT only."""
    if isinstance(condition, (exp.Paren, exp.Not)):
        return _listed(condition.this)
    if isinstance(condition, exp.Connector):
        return _listed(condition.this) or _listed(condition.expression)
    return isinstance(condition, Listed)


def _as_rows(node: Listed, tree: Tree | None) -> Expr | None:
    """The list as IN; None if that may have another value."""
    terms: Terms = node.args["terms"]
    if terms.word != "OR":
        return None
    places: list[int] = []
    columns: list[exp.Column] = []
    values: list[Expr] = []
    fitting: list[Callable[[str], bool]] = []
    for condition in conjuncts(node.this):
        if not isinstance(condition, exp.EQ):
            return None
        name, value = condition.this.unnest(), condition.expression.unnest()
        literal = value.this if isinstance(value, exp.Neg) else value
        marker = literal.sql("mysql")
        column = _column(tree, name) if isinstance(name, exp.Column) else None
        if column is None or marker not in terms.markers:
            return None
        fits = _fitting(column)
        if fits is None:
            return None
        places.append(terms.markers.index(marker))
        columns.append(name)
        values.append(value)
        fitting.append(fits)
    if len(set(places)) < len(terms.markers) or len({(c.table, c.name.lower()) for c in columns}) < len(
        columns
    ):
        return None
    for place, fits in zip(places, fitting, strict=True):
        if not all(fits(row[place]) for row in terms.rows()):
            return None
    one = len(columns) == 1
    listed = Listed(this=values[0] if one else exp.Tuple(expressions=values), terms=replace(terms, word=","))
    left = columns[0] if one else exp.Tuple(expressions=columns)
    return exp.Paren(this=exp.In(this=left, expressions=[listed]))


def _column(tree: Tree | None, name: exp.Column) -> Column | None:
    """The column of a base table that a name in a block means; None for any other value."""
    for source in sources(tree):
        if source.alias != name.table:
            continue
        if isinstance(source, Base):
            return source.table.column(name.name)
        if isinstance(source, Derived) and isinstance(source.query, Block):
            for output in source.query.outputs:
                if output.name.lower() == name.name.lower() and isinstance(output.expr, exp.Column):
                    return _column(source.query.tree, output.expr)
    return None


# ---------------------------------------------------------------- what compares alike


def _fitting(column: Column) -> Callable[[str], bool] | None:
    """Whether a literal compares with a column in a list as it does alone; None if no literal does."""
    kind = column.data_type
    if kind in INTEGER_TYPES - {"year"}:
        return lambda literal: _INTEGER.fullmatch(literal) is not None
    if kind == "decimal":
        return lambda literal: _DECIMAL.fullmatch(literal) is not None
    if kind in ("char", "varchar", "enum") and column.charset in _CHARSETS:
        every = column.charset == "utf8mb4"
        return lambda literal: literal[0] == "'" and (every or literal.isascii()) and not markers(literal)
    if kind in ("binary", "varbinary"):
        return lambda literal: literal[0] == "x" and not markers(literal)
    if kind in _TIMES:
        return lambda literal: _is_time(literal, _TIMES[kind])
    return None


def _is_time(literal: str, form: re.Pattern[str]) -> bool:
    """Whether a literal has a form, and a day that exists."""
    found = form.fullmatch(literal)
    if found is None:
        return False
    try:
        date.fromisoformat(found[1])
    except ValueError:
        return False
    return True
