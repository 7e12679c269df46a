"""Why: the chain of rules that brought one row into a slice.

In: the key sets of a cascade and the key of a row. Out: the row, the row that brought it, and so on to a row that a
statement read (why-provenance: Buneman, Khanna and Tan, ICDT 2001; of several chains a shortest one). What a foreign
key says beside the primary key is asked of the server, which the cascade did not keep. It decides nothing.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ..cascade import PARENT, PART, READ, KeySets, Reason
from ..cascade.demands import StatementReport
from ..cascade.keys import Key, condition, convert, expression, expressions, from_python, key_columns
from ..catalog import Catalog, ForeignKey, Table
from ..errors import SliceError
from ..sql import quote, short
from .readers import Ask, readers

Row: TypeAlias = "tuple[str, Key]"

# Rows that are followed from one row: a master can have a million parts, and any of them will do.
_MOST = 20

# Statements that are named for a row.
_SHOWN = 5


def stored_key(table: Table, key: Mapping[str, Any], rows: Mapping[Key, int], ask: Ask) -> Key:
    """The key of a row of the slice, from values as DataJoint gives them.

    Raises
    ------
    SliceError
        If a column is missing, or the row is not in the slice.
    """
    columns = key_columns(table)
    given = {name.lower(): value for name, value in key.items()}
    missing = [column.name for column in columns if column.name.lower() not in given]
    if missing:
        raise SliceError(f"Explaining a row of {table.full_name}: the key lacks {', '.join(missing)}.")
    values = [given[column.name.lower()] for column in columns]
    wanted = tuple(from_python(column, value) for column, value in zip(columns, values, strict=True))
    if wanted in rows:
        return wanted
    # the server prints some values otherwise than Python does, and finds texts equal that are not the same
    equal = " AND ".join(
        f"CAST({quote(c.name)} AS CHAR) = %s" if c.data_type == "float" else f"{quote(c.name)} = %s"
        for c in columns
    )
    arguments = [value.bytes if isinstance(value, uuid.UUID) else value for value in values]
    for row in ask(f"SELECT {expressions(columns)} FROM {table.full_name} WHERE {equal}", arguments):
        found = convert(columns, row)
        if found is not None and found in rows:
            return found
    raise SliceError(f"Explaining a row of {table.full_name}: {dict(key)!r} is not in the slice.")


def explain(
    catalog: Catalog, sets: KeySets, reports: Sequence[StatementReport], ask: Ask, name: str, key: Key
) -> list[str]:
    """The chain of a row, one line a step.

    Parameters
    ----------
    catalog, sets, reports
        Of the slice.
    ask : callable
        Asks the server; it may return nothing, which can cut the chain short.
    name, key
        The row.
    """
    texts = {report.statement.number: report.statement.sql for report in reports}
    chain = _chain(catalog, sets, ask, (name, key))
    last = catalog.tables[chain[-1][0]]
    lines = []
    for row in chain:
        reason = _reason(sets, *row)
        numbers: Sequence[int] = reason.statements
        if reason.rule == READ and last.primary_key:
            numbers = readers(reports, catalog, ask, last, row[1], _SHOWN + 1) or numbers
        lines.append(f"{_show(catalog, *row)}: {_rule(reason, numbers, texts)}")
    return lines


def _reason(sets: KeySets, name: str, key: Key) -> Reason:
    return sets.reasons[sets.keys[name][key]]


def _chain(catalog: Catalog, sets: KeySets, ask: Ask, start: Row) -> list[Row]:
    """A shortest chain to a row that no foreign key brought; where none is found, the row alone."""
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
    on = " AND ".join(
        f"{expression(child.column(c), 'child')} = {expression(parent.column(p), 'parent')}"
        for c, p in zip(fk.columns, fk.parent_columns, strict=True)
    )
    columns = key_columns(given)
    where = condition(expressions(columns, own), columns, [key])
    for values in ask(
        f"SELECT {expressions(key_columns(wanted), its)}"
        f" FROM {child.full_name} AS `child` JOIN {parent.full_name} AS `parent` ON {on} WHERE {where}"
    ):
        one = convert(key_columns(wanted), values)
        if one is not None:
            yield one


def _show(catalog: Catalog, name: str, key: Key) -> str:
    columns = catalog.tables[name].key
    return f"{name} ({', '.join(f'{c}={v!r}' for c, v in zip(columns, key, strict=True))})"


def _rule(reason: Reason, numbers: Sequence[int], texts: Mapping[int, str]) -> str:
    fk = reason.foreign_key
    if fk is not None:
        if reason.rule == PARENT:
            return f"{fk.child} refers to it"
        return f"part of {fk.parent}" if reason.rule == PART else f"refers to {fk.parent}"
    if not numbers:
        return reason.rule
    shown = ", ".join(str(number) for number in numbers[:_SHOWN])
    more = " and more" if len(numbers) > _SHOWN else ""
    word = "statement" if len(numbers) == 1 else "statements"
    return f"{reason.rule} ({word} {shown}{more}: {short(texts.get(numbers[0], ''), 200)})"
