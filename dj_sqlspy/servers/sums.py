"""Sums: adds up values over the rows of a slice, on the server.

In: a cursor, the rows of tables, and the SQL of values. Out: their sums, which do not depend on the order of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .columns import Column
from .source import Computed, Rows


def sums(cursor: Any, part: Rows, words: Sequence[str]) -> list[int]:
    """Sums over some rows of a table, each given as SQL."""
    totals = [0] * len(words)
    for condition in part.conditions:
        cursor.execute(f"SELECT {', '.join(words)} FROM {part.table.full_name} WHERE {condition}")
        totals = [total + int(more) for total, more in zip(totals, cursor.fetchone(), strict=True)]
    return totals


def computed_sums(
    cursor: Any,
    parts: Sequence[Rows],
    generated: Mapping[str, Sequence[str]],
    value_of: Callable[[Column], str],
    sum_of: Callable[[str], str],
) -> list[Computed]:
    """The sums of generated columns over the rows of a slice.

    Parameters
    ----------
    cursor : cursor of the driver
    parts : sequence of Rows
    generated : mapping
        By full table name, the names of the columns.
    value_of : callable
        The SQL of a column's values, as numbers.
    sum_of : callable
        The SQL of the sum of values.
    """
    found = []
    for part in parts:
        names = generated.get(part.table.full_name, ())
        values = [value_of(part.table.column(name)) for name in names]
        totals = sums(cursor, part, [sum_of(value) for value in values]) if names else []
        table = part.table.full_name
        found += [Computed(table, *one) for one in zip(names, values, totals, strict=True)]
    return found
