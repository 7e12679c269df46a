"""Checksums: detect changed rows of a slice with the SELECT privilege only.

In: the rows of tables. Out: for each table an SQL expression of a row's checksum, and the sum of the checksums. The
server computes the sum, which does not depend on the order of rows. A row's checksum is PostgreSQL's 64-bit hash of the
row's text. Generated and excluded columns are left out. The values of each generated column have a sum of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..source import Computed, Rows
from ..tables import Table
from .dialect import POSTGRESQL
from .transaction import reading


def with_checksums(connection: Any, parts: Sequence[Rows]) -> list[Rows]:
    """The parts with their checksums and present numbers of rows, all read in one snapshot."""
    found = []
    with reading(connection) as cursor:
        for part in parts:
            rows, total = _sums(cursor, part, ["1", row_checksum(part.table, part.contents)])
            found.append(replace(part, rows=rows, checksum=total))
    return found


def computed(
    connection: Any, parts: Sequence[Rows], generated: Mapping[str, Sequence[str]]
) -> list[Computed]:
    """The sums of generated columns, given by table, over the rows of a slice."""
    found = []
    with reading(connection) as cursor:
        for part in parts:
            names = generated.get(part.table.full_name, ())
            values = [_hashed(POSTGRESQL.quote(name)) for name in names]
            totals = _sums(cursor, part, values) if names else []
            table = part.table.full_name
            found += [Computed(table, *one) for one in zip(names, values, totals, strict=True)]
    return found


def _sums(cursor: Any, part: Rows, values: Sequence[str]) -> list[int]:
    """The sum of each value, given as SQL, over some rows of a table."""
    totals = [0] * len(values)
    words = ", ".join(f"COALESCE(pg_catalog.sum({value}), 0)::pg_catalog.text" for value in values)
    for condition in part.conditions:
        cursor.execute(f"SELECT {words} FROM {part.table.full_name} WHERE {condition}")
        totals = [total + int(more) for total, more in zip(totals, cursor.fetchone(), strict=True)]
    return totals


def row_checksum(table: Table, contents: Mapping[str, str]) -> str:
    """The SQL expression of a row's checksum.

    >>> from ..columns import Column
    >>> row_checksum(Table("s", "t", (Column("a", "integer", "integer", False, None, ""),), ("a",)), {})
    'pg_catalog.hashtextextended(ROW("a")::pg_catalog.text COLLATE "C", 0)'
    """
    kept = [c.name for c in table.columns if not c.generated and c.name not in contents]
    return _hashed(f"ROW({POSTGRESQL.columns(kept)})")


def _hashed(value: str) -> str:
    return f'pg_catalog.hashtextextended({value}::pg_catalog.text COLLATE "C", 0)'
