"""Readers: the captured statements that read one row.

In: the reports of the statements of a slice, and the key of a row. Out: their numbers. A cascade keeps one reason for a
row, and asks for all statements of one shape together; so each statement about the table is asked again here, for this
row only. Of a loop, the half that reads the row is asked for its halves, and so on. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

from ..cascade.demands import StatementReport, loop_of, parts
from ..cascade.keys import Key, key_columns, literal
from ..cascade.subsume import Binding
from ..catalog import Catalog, Table
from ..journal import Statement
from ..lineage import analyse
from ..lineage.witness import with_keys
from ..shapes import Shape, group

Ask: TypeAlias = "Callable[..., Sequence[tuple[Any, ...]]]"


def readers(
    reports: Iterable[StatementReport], catalog: Catalog, ask: Ask, table: Table, key: Key, most: int
) -> list[int]:
    """The numbers of the statements that read a row, in order; no more than ``most`` are looked for.

    Parameters
    ----------
    reports
        Of the statements; of those about other tables nothing is asked.
    catalog, ask
        As of `why.explain`.
    table, key
        The row.
    """
    reports = [r for r in reports if table.full_name in r.tables]
    # those that were not analysed export all rows of their tables
    found = [r.statement.number for r in reports if r.fallback is not None]
    analysed = [r.statement for r in reports if r.fallback is None]
    for shape in group(analysed, lambda s: "exists" if s.kind == "exists" else "data"):
        if len(found) < most:
            found += islice(_of_shape(shape, catalog, ask, table, key), most - len(found))
    return sorted(found)[:most]


def _of_shape(shape: Shape, catalog: Catalog, ask: Ask, table: Table, key: Key) -> Iterator[int]:
    loop = loop_of(shape, catalog)

    def some_read(bindings: Sequence[Binding]) -> bool:
        if isinstance(loop, str):
            return True
        lineage, found = loop
        return any(
            _reads(ask, table, key, with_keys(sql, part.condition))
            for leaf, sql in zip(lineage.leaves, found.leaves, strict=True)
            if leaf.table is table
            for part in parts(bindings, found)
        )

    waiting: list[Sequence[Binding]] = [list(shape.bindings)]
    while waiting:
        bindings = waiting.pop()
        if len(bindings) == 1:
            members = shape.bindings[bindings[0]]
            if _statement_reads(members[0], shape, catalog, ask, table, key):
                yield from (statement.number for statement in members)
        elif some_read(bindings):
            middle = len(bindings) // 2
            waiting += [bindings[middle:], bindings[:middle]]


def _statement_reads(
    statement: Statement, shape: Shape, catalog: Catalog, ask: Ask, table: Table, key: Key
) -> bool:
    lineage = analyse(statement.sql, catalog, kind=shape.kind, default_schema=shape.database or None)
    return any(
        leaf.sql is None or _reads(ask, table, key, leaf.sql)
        for leaf in lineage.leaves
        if leaf.table is table
    )


def _reads(ask: Ask, table: Table, key: Key, sql: str) -> bool:
    """Whether a query for keys of the table returns this one."""
    columns = key_columns(table)
    row = ", ".join(literal(column, value) for column, value in zip(columns, key, strict=True))
    return bool(ask(f"SELECT 1 FROM DUAL WHERE ({row}) IN (SELECT * FROM ({sql}) AS `read~`)"))
