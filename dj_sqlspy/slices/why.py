"""Why: the chain of rules that brought one row into a slice.

In: the key sets of a cascade and the key of a row. Out: the row, the row that brought it, and so on to a row that a
statement read (why-provenance: Buneman, Khanna and Tan, ICDT 2001), by a shortest chain. The cascade stores only
primary keys, so a query reads the other columns of a foreign key. The cascade stores one reason for a row, and queries
all statements of a shape together. So further queries find the statements that read this one row.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, TypeAlias

from ..cascade import KeySets, Reason
from ..cascade.follow import whole_keys
from ..cascade.leaves import StatementReport, loop_of, parts
from ..display import short
from ..errors import SliceError
from ..journal import Statement
from ..lineage import analyse
from ..lineage.witness import with_keys
from ..names import shown_name
from ..rules import PARENT, PART, READ
from ..servers.catalog import Catalog
from ..servers.dialect import Key
from ..servers.keys import convert, from_python, key_columns
from ..servers.session import Session
from ..servers.tables import ForeignKey, Table
from ..shapes import Binding, Shape, group

# Sends a query; may return nothing.
Ask: TypeAlias = "Callable[..., Sequence[tuple[Any, ...]]]"
Row: TypeAlias = "tuple[str, Key]"

# Number of rows that are followed from one row. A master can have a million parts, and any of them will do.
_MOST = 20

# Statements that are named for a row, and rows at each end of a long chain.
_SHOWN = 5


def stored_key(table: Table, key: Mapping[str, Any], rows: Mapping[Key, int], ask: Ask) -> Key:
    """The stored key of a row of the slice, from DataJoint's values.

    Raises
    ------
    SliceError
        If a column is missing, or the row is not in the slice.
    """
    columns = key_columns(table)
    given = {name.lower(): value for name, value in key.items()}
    missing = [column.name for column in columns if column.name.lower() not in given]
    if missing:
        raise SliceError(
            f"Explaining a row of {shown_name(table.full_name)}: the key lacks {', '.join(missing)}."
        )
    values = [given[column.name.lower()] for column in columns]
    wanted = tuple(from_python(column, value) for column, value in zip(columns, values, strict=True))
    if wanted in rows:
        return wanted
    # the server prints some values differently from Python, and different texts can be equal
    quote = table.dialect.quote
    equal = " AND ".join(
        f"CAST({quote(c.name)} AS CHAR) = %s" if c.data_type == "float" else f"{quote(c.name)} = %s"
        for c in columns
    )
    arguments = [
        from_python(column, value) if isinstance(value, uuid.UUID) else value
        for column, value in zip(columns, values, strict=True)
    ]
    for row in ask(f"{whole_keys(table)} WHERE {equal}", arguments):
        found = convert(columns, row)
        if found is not None and found in rows:
            return found
    raise SliceError(f"Explaining a row of {shown_name(table.full_name)}: {dict(key)!r} is not in the slice.")


def explain(
    catalog: Catalog,
    sets: KeySets,
    reports: Sequence[StatementReport],
    ask: Ask,
    name: str,
    key: Key,
    texts: dict[int, str] | None = None,
) -> list[str]:
    """The chain of a row, one line a step.

    Parameters
    ----------
    catalog, sets, reports
        Those of the slice.
    ask : callable
        Sends a query. If it returns nothing, the chain can be shorter.
    name, key
        The row.
    texts : dict, optional
        Texts of statements, by number (default: of all). One that is shown is taken out, so that each is shown once.
    """
    if texts is None:
        texts = texts_of(reports)
    chain = _chain(catalog, sets, ask, (name, key))
    last = catalog.tables[chain[-1][0]]
    lines: list[tuple[str, Reason, str]] = []
    for row in chain:
        reason = _reason(sets, *row)
        numbers: Sequence[int] = reason.statements
        if reason.rule == READ and last.primary_key:
            numbers = _readers(reports, catalog, ask, last, row[1], _SHOWN + 1) or numbers
        lines.append((row[0], reason, f"{_show(catalog, *row)}: {_rule(reason, numbers, texts)}"))
    return [line for _, same in groupby(lines, lambda step: step[:2]) for line in _shortened(list(same))]


def _shortened(steps: Sequence[tuple[str, Reason, str]]) -> list[str]:
    """The lines of steps of one kind; of very many (a table that refers to itself) the first and the last ones."""
    lines = [line for _, _, line in steps]
    if len(lines) <= 3 * _SHOWN:
        return lines
    more = f"… {len(lines) - 2 * _SHOWN:,} more rows of {shown_name(steps[0][0])}, each for the same reason"
    return [*lines[:_SHOWN], more, *lines[-_SHOWN:]]


def texts_of(reports: Iterable[StatementReport]) -> dict[int, str]:
    """The texts of statements, by number."""
    return {report.statement.number: report.statement.sql for report in reports}


def _reason(sets: KeySets, name: str, key: Key) -> Reason:
    return sets.reasons[sets.keys[name][key]]


def _chain(catalog: Catalog, sets: KeySets, ask: Ask, start: Row) -> list[Row]:
    """A shortest chain to a row that no foreign key brought; if none is found, the row alone."""
    before: dict[Row, Row | None] = {start: None}
    waiting = deque([start])
    while waiting:
        row = waiting.popleft()
        reason = _reason(sets, *row)
        if reason.foreign_key is None:
            chain = [row]
            while (up := before[chain[-1]]) is not None:
                chain.append(up)
            return chain[::-1]
        for source in _sources(catalog, sets, ask, row, reason.foreign_key, reason.rule):
            if source not in before:
                before[source] = row
                waiting.append(source)
    return [start]


def _sources(catalog: Catalog, sets: KeySets, ask: Ask, row: Row, fk: ForeignKey, rule: str) -> list[Row]:
    """Rows of the slice at the other end of the foreign key that brought a row."""
    other = fk.child if rule == PARENT else fk.parent
    rows = sets.rows(other)
    found = [key for key in _related(catalog, rows, ask, row[1], fk, rule) if key in rows]
    # a row that a statement read ends the chain
    found.sort(key=lambda key: sets.reasons[rows[key]].foreign_key is not None)
    return [(other, key) for key in found[:_MOST]]


def _related(
    catalog: Catalog, rows: Mapping[Key, int], ask: Ask, key: Key, fk: ForeignKey, rule: str
) -> Iterator[Key]:
    child, parent = catalog.tables[fk.child], catalog.tables[fk.parent]
    refers_by = dict(
        zip((c.lower() for c in fk.parent_columns), (c.lower() for c in fk.columns), strict=True)
    )
    places = {column.lower(): place for place, column in enumerate(child.key)}
    if all(refers_by.get(column.lower()) in places for column in parent.key):
        projected = [places[refers_by[column.lower()]] for column in parent.key]
        if rule != PARENT:
            yield tuple(key[place] for place in projected)
            return
        found = [one for one in rows if tuple(one[place] for place in projected) == key]
        if found:
            yield from found
            return
    ends = ((child, "child"), (parent, "parent"))
    (wanted, its), (given, own) = ends if rule == PARENT else ends[::-1]
    dialect = catalog.dialect
    on = dialect.equal(fk.columns, "child", fk.parent_columns, "parent")
    columns = key_columns(given)
    where = dialect.condition(dialect.expressions(columns, own), columns, [key])
    for values in ask(
        f"SELECT {dialect.expressions(key_columns(wanted), its)}"
        f" FROM {child.full_name} AS {dialect.quote('child')} JOIN {parent.full_name} AS {dialect.quote('parent')}"
        f" ON {on} WHERE {where}"
    ):
        one = convert(key_columns(wanted), values)
        if one is not None:
            yield one


def _show(catalog: Catalog, name: str, key: Key) -> str:
    columns = catalog.tables[name].key
    return f"{shown_name(name)} ({', '.join(f'{c}={v!r}' for c, v in zip(columns, key, strict=True))})"


def _rule(reason: Reason, numbers: Sequence[int], texts: dict[int, str]) -> str:
    fk = reason.foreign_key
    if fk is not None:
        if reason.rule == PARENT:
            return f"{shown_name(fk.child)} refers to it"
        parent = shown_name(fk.parent)
        return f"part of {parent}" if reason.rule == PART else f"refers to {parent}"
    if not numbers:
        return reason.rule
    shown = ", ".join(str(number) for number in numbers[:_SHOWN])
    more = " and more" if len(numbers) > _SHOWN else ""
    word = "statement" if len(numbers) == 1 else "statements"
    text = texts.pop(numbers[0], "")
    return f"{reason.rule} ({word} {shown}{more}{text and f': {short(text, 200)}'})"


# ---------------------------------------------------------------- the statements that read one row


def _readers(
    reports: Iterable[StatementReport], catalog: Catalog, ask: Ask, table: Table, key: Key, most: int
) -> list[int]:
    """The numbers of at most ``most`` statements that read a row, in order.

    Parameters
    ----------
    reports
        Reports of the statements. Those about other tables are not queried.
    catalog, ask
        As of `explain`.
    table, key
        The row.
    """
    reports = [r for r in reports if table.full_name in r.tables]
    # statements that were not analysed export all rows of their tables
    found = [r.statement.number for r in reports if r.fallback is not None]
    analysed = [r.statement for r in reports if r.fallback is None]
    sessions = {r.statement.state: r.session for r in reports}
    for shape in group(
        analysed, lambda s: "exists" if s.kind == "exists" else "data", catalog.dialect.literals
    ):
        if len(found) < most:
            session = sessions[shape.state]
            found += islice(_of_shape(shape, session, catalog, ask, table, key), most - len(found))
    return sorted(found)[:most]


def _of_shape(
    shape: Shape, session: Session, catalog: Catalog, ask: Ask, table: Table, key: Key
) -> Iterator[int]:
    loop = loop_of(shape, catalog, session)

    def some_read(bindings: Sequence[Binding]) -> bool:
        if isinstance(loop, str):
            return True
        lineage, found = loop
        return any(
            _reads(ask, table, key, with_keys(sql, part.condition), session)
            for leaf, sql in zip(lineage.leaves, found.leaves, strict=True)
            if leaf.table is table
            for part in parts(bindings, found)
        )

    waiting: list[Sequence[Binding]] = [list(shape.bindings)]
    while waiting:
        bindings = waiting.pop()
        if len(bindings) == 1:
            members = shape.bindings[bindings[0]]
            if _statement_reads(members[0], shape, session, catalog, ask, table, key):
                yield from (statement.number for statement in members)
        elif some_read(bindings):
            middle = len(bindings) // 2
            waiting += [bindings[middle:], bindings[:middle]]


def _statement_reads(
    statement: Statement,
    shape: Shape,
    session: Session,
    catalog: Catalog,
    ask: Ask,
    table: Table,
    key: Key,
) -> bool:
    lineage = analyse(
        statement.sql, catalog, kind=shape.kind, default_schema=shape.database or None, session=session
    )
    return any(
        leaf.own_sql is None or _reads(ask, table, key, leaf.own_sql, session)
        for leaf in lineage.leaves
        if leaf.table is table
    )


def _reads(ask: Ask, table: Table, key: Key, sql: str, session: Session) -> bool:
    """Whether a query for keys of the table returns this one."""
    columns = key_columns(table)
    row = ", ".join(table.dialect.literal(column, value) for column, value in zip(columns, key, strict=True))
    return bool(ask(table.dialect.exists(row, sql), None, session))
