"""Leaves: from statements to what the cascade is asked for.

In: shapes of captured statements, the `Catalog` and a `Reader`. Out: for each statement a `StatementReport`, and the
`Demand`s of all: leaves and witness rules that the server has accepted. Lineage is compiled once for a shape and,
where it can be, asked in one query for all of its bindings. It closes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..errors import LineageError
from ..journal import Statement
from ..lineage import Leaf, Lineage, analyse
from ..lineage.batch import Batch, batch, rows_of_one_table
from ..lineage.generate import to_sql
from ..lineage.inside import narrowed
from ..lineage.tree import Block, Output, Query, Union
from ..lineage.witness import with_keys
from ..progress import Progress
from ..servers.catalog import Catalog
from ..servers.dialect import LIST_BYTES
from ..servers.snapshot import Refused
from ..servers.tables import Table
from ..shapes import Shape
from .fixpoint import Demand
from .inside import Inside
from .keysets import Columns, KeySet, length
from .known import Binding, Known, keys_of
from .reader import Reader


class StatementReport(NamedTuple):
    """What became of one captured statement.

    Attributes
    ----------
    statement : Statement
        As captured.
    sql : str
        The SELECT to replay (of INSERT … SELECT, its SELECT part).
    marks : frozenset of str
        Why its result can change by itself (``now``, ``rand``, ``session``, ``variable``, ``limit``).
    ordered : bool
        True if it orders its result totally: a replay is compared as a list.
    fallback : str or None
        Why it was not analysed and all rows of its tables are exported.
    rows_then, rows_now : int or None
        Rows that it returned when it was captured, and now.
    tables : tuple of str
        Full names of the base tables that it reads.
    """

    statement: Statement
    sql: str
    marks: frozenset[str] = frozenset()
    ordered: bool = False
    fallback: str | None = None
    rows_then: int | None = None
    rows_now: int | None = None
    tables: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """True where it returns another number of rows now than it did when it was captured."""
        return (
            self.rows_then is not None
            and self.rows_now is not None
            and self.rows_then != self.rows_now
            and not self.marks
        )


def analyse_all(
    shapes: Sequence[Shape],
    catalog: Catalog,
    reader: Reader,
    strict: bool,
    progress: Progress,
    inside: Inside,
) -> tuple[list[StatementReport], list[Demand]]:
    """Lineage of all statements: compiled once for a shape, asked in one query for its bindings where possible."""
    reports: list[StatementReport] = []
    demands: list[Demand] = []
    progress.expect("statements", sum(len(members) for s in shapes for members in s.bindings.values()))
    known = Known(reader.coder)
    loops = [loop_of(shape, catalog) for shape in shapes]
    for loop in loops:
        if not isinstance(loop, str):
            known.watch(*loop)
    # what is not asked for all bindings at once comes first, since it can make bindings redundant
    alone: list[Iterable[_Made] | None] = [
        [_one_by_one(shape, binding, catalog, reader, known, inside) for binding in shape.bindings]
        if isinstance(loop, str)
        else None
        for shape, loop in zip(shapes, loops, strict=True)
    ]
    for shape, loop, one_by_one in zip(shapes, loops, alone, strict=True):
        made = (
            one_by_one
            if isinstance(loop, str)
            else _whole_shape(shape, *loop, catalog, reader, known, inside)
        )
        if made is None:
            made = (_one_by_one(shape, binding, catalog, reader, known, inside) for binding in shape.bindings)
        for lineage, demand, counted in made:
            progress("statements", len(demand.numbers))
            if lineage.fallback and strict:
                raise LineageError(
                    f"Statement {demand.numbers[0]} cannot be analysed: {lineage.fallback}. With strict=True this is "
                    f"an error; without, all rows of {', '.join(t.full_name for t in lineage.tables)} are "
                    f"exported:\n{lineage.sql}"
                )
            demands.append(demand)
            if lineage.sql:
                reports += _reports(lineage, counted)
    return sorted(reports, key=lambda report: report.statement.number), demands


_Made = tuple[Lineage, Demand, "list[tuple[Statement, int | None]]"]


def _reports(lineage: Lineage, counted: Iterable[tuple[Statement, int | None]]) -> Iterator[StatementReport]:
    whole = lineage.reads_whole
    own = whole and not lineage.qualified
    about = (lineage.marks, lineage.ordered, lineage.fallback)
    tables = tuple(table.full_name for table in lineage.tables)
    for statement, now in counted:
        rows = (statement.rows, now) if whole else (None, None)
        yield StatementReport._make((statement, statement.sql if own else lineage.sql, *about, *rows, tables))


def _one_by_one(
    shape: Shape,
    binding: tuple[str, ...],
    catalog: Catalog,
    reader: Reader,
    known: Known,
    inside: Inside,
) -> _Made:
    members = shape.bindings[binding]
    lineage = analyse(
        members[0].sql, catalog, kind=shape.kind, default_schema=shape.database or None, inside=inside
    )
    numbers = tuple(s.number for s in members)
    if (read := _read(lineage, shape.kind, reader)) is not None:
        leaf, keys = read
        if leaf.inside is None:
            known.add(leaf.table, keys)
        return lineage, Demand(numbers, (leaf,), ()), [(s, length(keys)) for s in members]
    lineage, now = _checked(lineage, reader, members[0].rows)
    return lineage, Demand(numbers, lineage.leaves, lineage.witnesses), [(s, now) for s in members]


def only_leaf(lineage: Lineage, kind: str) -> Leaf | None:
    """The leaf of a statement that returns rows of one table as they are: its keys are as many as the rows."""
    table = rows_of_one_table(lineage.query)
    if table is None or kind == "exists" or lineage.witnesses or not lineage.reads_whole:
        return None
    found = [leaf for leaf in lineage.leaves if leaf.sql is not None and leaf.table is table]
    return found[0] if len(found) == len(lineage.leaves) == 1 else None


def _read(lineage: Lineage, kind: str, reader: Reader) -> tuple[Leaf, Columns] | None:
    """The `only_leaf` of a statement and its keys; None where there is none, or the server refuses the query."""
    leaf = only_leaf(lineage, kind)
    if leaf is None:
        return None
    try:
        keys = reader.keys(leaf.table, str(leaf.sql))
    except Refused:
        return None  # `_checked` tells what is wrong with it
    return dataclasses.replace(leaf, keys=keys), keys


def loop_of(shape: Shape, catalog: Catalog) -> tuple[Lineage, Batch] | str:
    """The lineage of a shape and how to ask for all of its bindings at once, or why that cannot be."""
    if len(shape.bindings) < 2 or not next(iter(shape.bindings)):
        return "there is one binding"
    try:
        lineage = analyse(shape.marked, catalog, kind=shape.kind, default_schema=shape.database or None)
    except LineageError as error:
        return str(error)
    if lineage.fallback or lineage.query is None:
        return lineage.fallback or "it reads nothing"
    if lineage.witnesses:
        return "rules keep other rows rejected"
    if not lineage.reads_whole:
        return "its SELECT stands in another statement"
    found = batch(lineage.query)
    return found if isinstance(found, str) else (lineage, found)


def _whole_shape(
    shape: Shape,
    lineage: Lineage,
    found: Batch,
    catalog: Catalog,
    reader: Reader,
    known: Known,
    inside: Inside,
) -> list[_Made] | None:
    """The lineage of a loop, asked for all bindings at once; None if they must be asked one by one."""
    within: Batch | None = None
    if lineage.query is not None and any(table.full_name in inside for table in lineage.tables):
        asked_inside = batch(narrowed(lineage.query, inside))
        if isinstance(asked_inside, str):
            return None
        within = asked_inside
    redundant = known.among(lineage, found, shape) if within is None else []
    made: list[_Made] = []
    if redundant:
        # their rows are there, and each returns its row
        table = lineage.leaves[0].table
        leaves = [
            Leaf(table, with_keys(found.leaves[0], part.condition), reader.coder.of(table, ()))
            for part in parts(redundant, found)
        ]
        members = [s for binding in redundant for s in shape.bindings[binding]]
        demand = Demand(tuple([s.number for s in members]), tuple(leaves), ())
        made.append((lineage, demand, [(s, 1) for s in members]))
        left = shape.bindings.keys() - set(redundant)
        bindings = {binding: members for binding, members in shape.bindings.items() if binding in left}
        shape = dataclasses.replace(shape, bindings=bindings)
        if not bindings:
            return made
    try:
        if found.leaves:
            # one binding is like another, and to explain a long list takes the server as long as to answer it
            example = next(parts([next(iter(shape.bindings))], found)).condition
            reader.snapshot.require_accepted(with_keys(found.leaves[0], example))
        agreeing = _agreeing(shape, lineage, found, reader)
        whole = [(part, _leaves_of(part, lineage, found)) for part in agreeing]
        apart = [] if within is None else list(_apart(agreeing, lineage, found, within, reader))
    except Refused:
        return None
    for some in [whole] if within is None else apart:
        members = [s for part, _ in some for binding in part.bindings for s in shape.bindings[binding]]
        leaves = [leaf for _, leaves_of_part in some for leaf in leaves_of_part]
        demand = Demand(tuple([s.number for s in members]), tuple(leaves), ())
        made.append((lineage, demand, [(s, 1 if found.single else s.rows) for s in members]))
    if sum(len(part.bindings) for part in agreeing) < len(shape.bindings):
        asked = {binding for part in agreeing for binding in part.bindings}
        left = shape.bindings.keys() - asked
        made += [
            _one_by_one(shape, binding, catalog, reader, known, inside)
            for binding in shape.bindings
            if binding in left
        ]
    return made


def _leaves_of(part: Part, lineage: Lineage, found: Batch) -> list[Leaf]:
    return [
        Leaf(leaf.table, with_keys(sql, part.condition), part.keys)
        for leaf, sql in zip(lineage.leaves, found.leaves, strict=True)
    ]


def _apart(
    agreeing: Sequence[Part], lineage: Lineage, found: Batch, within: Batch, reader: Reader
) -> Iterator[list[tuple[Part, list[Leaf]]]]:
    """The bindings whose statements depend on rows inside alone, and each of the others by itself.

    A list of bindings of which some depend on other rows is halved until it is known which.
    """
    kept: list[tuple[Part, list[Leaf]]] = []
    pending = list(agreeing)[::-1]
    while pending:
        part = pending.pop()
        leaves, whole = [], True
        for leaf, sql in zip(_leaves_of(part, lineage, found), within.leaves, strict=True):
            keys = reader.keys(leaf.table, str(leaf.sql)) if leaf.keys is None else leaf.keys
            asked = with_keys(sql, part.condition)
            there = KeySet(leaf.table, reader.coder)
            there.add(reader.keys(leaf.table, asked), 0)
            whole = whole and bool(there.among(keys).all())
            leaves.append(
                dataclasses.replace(leaf, keys=keys if leaf.table.primary_key else None, inside=asked)
            )
        if whole:
            kept.append((part, [dataclasses.replace(leaf, inside=None) for leaf in leaves]))
        elif len(part.bindings) == 1:
            yield [(part, leaves)]
        else:
            middle = len(part.bindings) // 2
            for half in (part.bindings[middle:], part.bindings[:middle]):
                pending += parts(half, found)
    if kept:
        yield kept


class Part(NamedTuple):
    """Some bindings of a shape: the condition that names them, and the keys of its only leaf if they were read."""

    condition: str
    bindings: list[Binding]
    keys: Columns | None = None


def parts(bindings: Iterable[Binding], found: Batch) -> Iterator[Part]:
    """The bindings in lists of at most about `LIST_BYTES`."""
    rows: list[str] = []
    named: list[Binding] = []
    size = 0
    single = found.order[0] if len(found.order) == 1 else None
    for binding in bindings:
        row = binding[single] if single is not None else f"({', '.join([binding[i] for i in found.order])})"
        if rows and size + len(row) > LIST_BYTES:
            yield Part(f"({found.columns}) IN ({', '.join(rows)})", named)
            rows, named, size = [], [], 0
        rows.append(row)
        named.append(binding)
        size += len(row) + 2
    if rows:
        yield Part(f"({found.columns}) IN ({', '.join(rows)})", named)


def _agreeing(shape: Shape, lineage: Lineage, found: Batch, reader: Reader) -> list[Part]:
    """The bindings whose statements return as many rows now as they did, told from sums over many of them.

    A sum that differs is halved until it is known which bindings it is about.
    """
    if found.single:
        return list(parts(shape.bindings, found))
    then: dict[Binding, int] = {}
    for binding, members in shape.bindings.items():
        rows = members[0].rows
        if rows is not None and (len(members) == 1 or all(member.rows == rows for member in members)):
            then[binding] = rows
    agreeing: list[Part] = []
    pending = list(parts(then, found))[::-1]
    by_leaf = found.counted_by_leaf
    while pending:
        part = pending.pop()
        if by_leaf:
            keys = _keys_of(part, then, lineage.leaves[0].table, found, reader)
            part, now = part._replace(keys=keys), length(keys)
        else:
            now = reader.snapshot.count(with_keys(str(found.count), part.condition))
        if now == sum(map(then.__getitem__, part.bindings)):
            agreeing.append(part)
        elif len(part.bindings) > 1:
            middle = len(part.bindings) // 2
            for half in (part.bindings[middle:], part.bindings[:middle]):
                pending += parts(half, found)
    return agreeing


def _keys_of(part: Part, then: dict[Binding, int], table: Table, found: Batch, reader: Reader) -> Columns:
    """The keys that the only leaf returns.

    Where each binding is the primary key of a row, and as many rows are there as bindings, they are these.
    """
    if found.count is not None and all(then[binding] == 1 for binding in part.bindings):
        keys = keys_of(part.bindings, found, table, reader.coder)
        if keys is not None and reader.snapshot.count(with_keys(found.count, part.condition)) == length(keys):
            return keys
    return reader.keys(table, with_keys(found.leaves[0], part.condition))


# Rows of a result that is read again where the server counts another number: servers miscount some (MySQL those of
# ROLLUP over one constant row), and would let a statement seem to have changed.
_READ_AGAIN = 10_000


def _checked(lineage: Lineage, reader: Reader, then: int | None = None) -> tuple[Lineage, int | None]:
    """The lineage after the server has accepted its queries, and the number of rows of the statement now.

    A query that the server refuses was rewritten wrongly: the statement falls back to whole tables, with the
    server's word as the reason.
    """
    if not lineage.sql:
        return lineage, None
    try:
        for leaf in lineage.leaves:
            if leaf.sql is not None:
                reader.snapshot.require_accepted(leaf.sql)
        for rule in lineage.witnesses:
            for sql, _ in rule.asks:
                reader.snapshot.require_accepted(_without_keys(sql))
            if rule.group_sql:
                reader.snapshot.require_accepted(_without_keys(rule.group_sql))
        if lineage.query is not None:
            now = reader.snapshot.count(counting(lineage.query))
            if then is not None and now != then <= _READ_AGAIN and lineage.reads_whole and not lineage.marks:
                now = len(reader.snapshot.rows(lineage.sql))
            return lineage, now
    except Refused as error:
        whole = tuple(Leaf(table, None) for table in lineage.tables)
        reason = f"the server refuses the rewritten statement: {error}"
        lineage = dataclasses.replace(lineage, leaves=whole, witnesses=(), fallback=reason, query=None)
    try:
        return lineage, len(reader.snapshot.rows(lineage.sql))
    except Refused as error:
        if error.writes:
            return lineage, None  # FOR UPDATE; its rows are not counted then
        raise LineageError(
            f"Running a captured statement again: the server refuses it now ({error}). A table or column "
            f"may have been changed since the analysis ran:\n{lineage.sql}"
        ) from error


def _without_keys(sql: str) -> str:
    return with_keys(sql, "TRUE")


def counting(query: Query) -> str:
    """SQL for the number of rows of a statement: its output names are made to differ, to be a derived table."""

    def renamed(inner: Query) -> Query:
        if isinstance(inner, Union):
            return dataclasses.replace(inner, branches=tuple(renamed(branch) for branch in inner.branches))
        assert isinstance(inner, Block)
        outputs = tuple(Output(f"c{i}", output.expr) for i, output in enumerate(inner.outputs))
        return dataclasses.replace(inner, outputs=outputs)

    return f"SELECT COUNT(*) FROM ({to_sql(renamed(query))}) AS `counted`"
