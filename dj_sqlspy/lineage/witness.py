"""Witnesses: SQL of the rules that add rows to a slice so that a rejected row stays rejected.

In: a FROM clause that carries keys (`derivation.Input`), and the occurrences of a rule. Out: a `Witness`. `rejection`
decides which rules a query needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from ..servers.expressions import Expr
from ..servers.session import PLAIN, Session
from ..servers.syntaxes import syntax_of
from .combinations import Combinations
from .derivation import Along, Input, fresh
from .generate import expression_sql, to_sql
from .rewrite import cross
from .tree import Base, Block, Derived, Join, Output, column, same

# The place in a rule's SQL for the condition that restricts it to new keys.
KEYS = "KEYS~HERE"


def with_keys(sql: str, condition: str) -> str:
    """The SQL of a rule or batch with a condition in place of `KEYS`."""
    return sql.replace(f"`{KEYS}`", condition)


def keys_here() -> Expr:
    """`KEYS` as a condition in a tree."""
    return exp.Var(this=f"`{KEYS}`")


@dataclass(frozen=True)
class Witness:
    """Rows of ``wanted`` that the slice needs for its combinations of rows of ``outer``.

    Attributes
    ----------
    reason : str
        The purpose of the rule, in words.
    outer, wanted : tuple of Base
        Occurrences whose keys the query returns, in this order.
    asks : tuple of (str, str)
        For each outer occurrence: SQL with the marker `KEYS`, and the comma-separated key columns for the condition
        there. Without outer occurrences: one SQL that is sent once.
    group_sql, group_columns : str
        For groups: the second query, for the rows of the groups of given combinations.
    rowless : bool
        True if a combination can exist without rows. No new key leads to it, so it is queried at the start.
    inside : Witness or None
        The same rule for a database with only the rows that count (`Leaf.inside`).
    session : Session
        Session for the queries.
    along : tuple of Along
        Further wanted occurrences, whose keys are parts of those of ``wanted``.
    """

    reason: str
    outer: tuple[Base, ...]
    wanted: tuple[Base, ...]
    asks: tuple[tuple[str, str], ...]
    group_sql: str = ""
    group_columns: str = ""
    rowless: bool = False
    inside: Witness | None = None
    session: Session = PLAIN
    along: tuple[Along, ...] = ()


def in_session(rule: Witness, session: Session) -> Witness:
    """The rule with a session for its queries."""
    inside = None if rule.inside is None else in_session(rule.inside, session)
    return replace(rule, inside=inside, session=session)


def rule(reason: str, here: Combinations, wanted: tuple[Base, ...]) -> Witness:
    """All rows of ``wanted`` beside each combination."""
    pairs = Block(
        _outputs(here.read, here.bases, "o") + _outputs(here.read, wanted, "w"),
        here.read.tree,
        here.read.where,
        distinct=True,
    )
    return Witness(reason, here.bases, wanted, _asks(pairs, here, wanted[0]), rowless=here.rowless)


def first_rule(
    reason: str,
    here: Combinations,
    wanted: tuple[Base, ...],
    apart: tuple[Output, ...],
    along: tuple[Along, ...] = (),
) -> Witness:
    """The first row of ``wanted``, by key, beside each combination. ``apart`` distinguishes those with equal keys."""
    left, right = _outputs(here.read, here.bases, "o"), _outputs(here.read, wanted, "w")
    number = Output("n", _row_number(left + apart, right))
    numbered = Block((*left, *right, number), here.read.tree, here.read.where)
    dialect = wanted[0].table.dialect
    names, alias = dialect.columns(output.name for output in left + right), dialect.quote("ranked~")
    asks = tuple(
        (f"SELECT {names} FROM ({sql}) AS {alias} WHERE {dialect.quote('n')} = 1", columns)
        for sql, columns in _asks(numbered, here, wanted[0])
    )
    return Witness(reason, here.bases, wanted, asks, rowless=here.rowless, along=along)


def of_first(
    here: Combinations, first: Combinations, wanted: tuple[Base, ...], apart: tuple[Output, ...]
) -> Combinations:
    """Combinations with rows of ``wanted``, restricted to the rows that `first_rule` chooses."""
    left, right = _outputs(first.read, here.bases, "o"), _outputs(first.read, wanted, "w")
    number = Output("n", _row_number(left + apart, right))
    where = (*first.read.where, keys_here()) if here.bases else first.read.where
    alias = fresh("f")
    numbered = Derived(alias, Block((*left, *apart, *right, number), first.read.tree, where))
    own = (*_outputs(here.read, here.bases, "o"), *apart, *_outputs(here.read, wanted, "w"))
    is_first = exp.EQ(this=column(alias, "n"), expression=exp.Literal.number(1))
    conditions = (*(same(output.expr, column(alias, output.name), alike=True) for output in own), is_first)
    read = replace(here.read, tree=cross(here.read.tree, numbered))
    return replace(here, read=read).meeting(*conditions)


def group_rule(
    reason: str, here: Combinations, partition: Sequence[Expr], read: Input, base: Base
) -> Witness:
    """All rows of ``base`` in the group of each combination: those with equal ``partition`` that are read."""
    values = tuple(Output(f"v.{i}", expression) for i, expression in enumerate(partition))
    rows = Block((*values, *_outputs(read, (base,), "w")), read.tree, read.where, distinct=True)
    # a single group of rows without tables has neither a value nor a key
    some = (*_outputs(here.read, here.bases, "o"), *values) or (Output("one", exp.Literal.number(1)),)
    groups = Block(some, here.read.tree, here.read.where, distinct=True)
    left, right = fresh("s"), fresh("w")
    on = tuple(same(column(left, value.name), column(right, value.name), alike=True) for value in values)
    joined = Block(
        tuple(Output(f"w.{i}", column(right, f"w.{i}")) for i in range(len(base.table.key))),
        Join(Derived(left, groups), Derived(right, rows), on),
        (keys_here(),),
        distinct=True,
    )
    width = sum(len(each.table.key) for each in here.bases)
    columns = ", ".join(
        expression_sql(column(left, f"o.{i}"), syntax_of(base.table.dialect)) for i in range(width)
    )
    return Witness(
        reason,
        here.bases,
        (base,),
        _asks(groups, here, base),
        to_sql(joined, base.table.dialect),
        columns,
        rowless=here.rowless,
    )


def _outputs(read: Input, bases: Sequence[Base], prefix: str) -> tuple[Output, ...]:
    expressions = [expression for base in bases for expression in read.keys[base.alias]]
    return tuple(Output(f"{prefix}.{i}", expression) for i, expression in enumerate(expressions))


def _asks(block: Block, here: Combinations, wanted: Base) -> tuple[tuple[str, str], ...]:
    dialect = wanted.table.dialect
    if not here.bases:
        return ((to_sql(block, dialect), ""),)
    restricted = to_sql(replace(block, where=(*block.where, keys_here())), dialect)
    syntax = syntax_of(dialect)
    return tuple(
        (restricted, ", ".join(expression_sql(key, syntax) for key in here.read.keys[base.alias]))
        for base in here.bases
    )


def _row_number(partition: tuple[Output, ...], order: tuple[Output, ...]) -> Expr:
    ordered = [exp.Ordered(this=output.expr.copy(), desc=False, nulls_first=True) for output in order]
    return exp.Window(
        this=exp.RowNumber(),
        partition_by=[output.expr.copy() for output in partition],
        order=exp.Order(expressions=ordered) if ordered else None,  # without tables, no row is the first
        over="OVER",
    )
