"""Witnesses: a rule that adds rows to a slice so that a rejected row stays rejected, as SQL.

In: a FROM clause that carries keys (`derivation.Input`), and the occurrences that a rule is about. Out: a `Witness`.
Which rules a query needs is decided in `rejection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from ..servers.mysql.syntax import Expr
from .combinations import Combinations
from .derivation import Input, fresh
from .generate import expression_sql, to_sql
from .rewrite import cross
from .tree import Base, Block, Derived, Join, Output, column, same

# Stands in a rule's SQL for the condition that restricts it to keys that are new.
KEYS = "KEYS~HERE"


def with_keys(sql: str, condition: str) -> str:
    """A rule's SQL, or that of a batch, with a condition in the place of `KEYS`."""
    return sql.replace(f"`{KEYS}`", condition)


def keys_here() -> Expr:
    """The condition that `KEYS` stands for in a tree."""
    return exp.Column(this=exp.Identifier(this=KEYS, quoted=True))


@dataclass(frozen=True)
class Witness:
    """Rows of ``wanted`` that must be there for combinations of rows of ``outer`` that are there.

    Attributes
    ----------
    reason : str
        What the rule is for, in plain words.
    outer, wanted : tuple of Base
        Occurrences whose keys the query returns, in this order.
    asks : tuple of (str, str)
        For each outer occurrence: SQL with the marker `KEYS`, and the comma-separated key columns that the
        condition put there is about. Without outer occurrences: one SQL to be asked once.
    group_sql, group_columns : str
        For groups: the rows of the groups of given combinations, asked for in a second step.
    rowless : bool
        True if a combination can be of no rows at all: no new key asks for it, so it is asked for at the start.
    inside : Witness or None
        The same rule about a database without the rows that do not count (`Leaf.inside`).
    """

    reason: str
    outer: tuple[Base, ...]
    wanted: tuple[Base, ...]
    asks: tuple[tuple[str, str], ...]
    group_sql: str = ""
    group_columns: str = ""
    rowless: bool = False
    inside: Witness | None = None


def rule(reason: str, here: Combinations, wanted: tuple[Base, ...]) -> Witness:
    """All rows of ``wanted`` that stand beside each combination."""
    pairs = Block(
        _outputs(here.read, here.bases, "o") + _outputs(here.read, wanted, "w"),
        here.read.tree,
        here.read.where,
        distinct=True,
    )
    return Witness(reason, here.bases, wanted, _asks(pairs, here), rowless=here.rowless)


def first_rule(
    reason: str, here: Combinations, wanted: tuple[Base, ...], apart: tuple[Output, ...]
) -> Witness:
    """The first row of ``wanted``, by key, beside each combination. ``apart`` tells combinations of one key apart."""
    left, right = _outputs(here.read, here.bases, "o"), _outputs(here.read, wanted, "w")
    number = Output("n", _row_number(left + apart, right))
    numbered = Block((*left, *right, number), here.read.tree, here.read.where)
    names = ", ".join(f"`{output.name}`" for output in left + right)
    asks = tuple(
        (f"SELECT {names} FROM ({sql}) AS `ranked~` WHERE `n` = 1", columns)
        for sql, columns in _asks(numbered, here)
    )
    return Witness(reason, here.bases, wanted, asks, rowless=here.rowless)


def of_first(
    here: Combinations, first: Combinations, wanted: tuple[Base, ...], apart: tuple[Output, ...]
) -> Combinations:
    """Of combinations with rows of ``wanted`` beside them, those with the row that `first_rule` takes."""
    left, right = _outputs(first.read, here.bases, "o"), _outputs(first.read, wanted, "w")
    number = Output("n", _row_number(left + apart, right))
    where = (*first.read.where, keys_here()) if here.bases else first.read.where
    alias = fresh("f")
    numbered = Derived(alias, Block((*left, *apart, *right, number), first.read.tree, where))
    own = (*_outputs(here.read, here.bases, "o"), *apart, *_outputs(here.read, wanted, "w"))
    is_first = exp.EQ(this=column(alias, "n"), expression=exp.Literal.number(1))
    conditions = (*(same(output.expr, column(alias, output.name)) for output in own), is_first)
    read = replace(here.read, tree=cross(here.read.tree, numbered))
    return replace(here, read=read).meeting(*conditions)


def group_rule(
    reason: str, here: Combinations, partition: Sequence[Expr], read: Input, base: Base
) -> Witness:
    """All rows of ``base`` that are read, of each group that a combination is in: one of equal ``partition``."""
    values = tuple(Output(f"v.{i}", expression) for i, expression in enumerate(partition))
    rows = Block((*values, *_outputs(read, (base,), "w")), read.tree, read.where, distinct=True)
    # one group of rows of no table has neither a value nor a key
    some = (*_outputs(here.read, here.bases, "o"), *values) or (Output("one", exp.Literal.number(1)),)
    groups = Block(some, here.read.tree, here.read.where, distinct=True)
    left, right = fresh("s"), fresh("w")
    on = tuple(same(column(left, value.name), column(right, value.name)) for value in values)
    joined = Block(
        tuple(Output(f"w.{i}", column(right, f"w.{i}")) for i in range(len(base.table.key))),
        Join(Derived(left, groups), Derived(right, rows), on),
        (keys_here(),),
        distinct=True,
    )
    width = sum(len(each.table.key) for each in here.bases)
    columns = ", ".join(expression_sql(column(left, f"o.{i}")) for i in range(width))
    return Witness(
        reason, here.bases, (base,), _asks(groups, here), to_sql(joined), columns, rowless=here.rowless
    )


def _outputs(read: Input, bases: Sequence[Base], prefix: str) -> tuple[Output, ...]:
    expressions = [expression for base in bases for expression in read.keys[base.alias]]
    return tuple(Output(f"{prefix}.{i}", expression) for i, expression in enumerate(expressions))


def _asks(block: Block, here: Combinations) -> tuple[tuple[str, str], ...]:
    if not here.bases:
        return ((to_sql(block), ""),)
    restricted = to_sql(replace(block, where=(*block.where, keys_here())))
    return tuple(
        (restricted, ", ".join(map(expression_sql, here.read.keys[base.alias]))) for base in here.bases
    )


def _row_number(partition: tuple[Output, ...], order: tuple[Output, ...]) -> Expr:
    ordered = [exp.Ordered(this=output.expr.copy(), desc=False, nulls_first=True) for output in order]
    return exp.Window(
        this=exp.RowNumber(),
        partition_by=[output.expr.copy() for output in partition],
        order=exp.Order(expressions=ordered) if ordered else None,  # rows of no table have no first one
        over="OVER",
    )
