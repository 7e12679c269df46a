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
from ..sums import computed_sums, sums
from ..tables import Table
from .dialect import POSTGRESQL
from .transaction import reading


def with_checksums(connection: Any, parts: Sequence[Rows]) -> list[Rows]:
    """The parts with their checksums and present numbers of rows, all read in one snapshot."""
    found = []
    with reading(connection) as cursor:
        for part in parts:
            rows, total = sums(cursor, part, [_sum("1"), _sum(row_checksum(part.table, part.contents))])
            found.append(replace(part, rows=rows, checksum=total))
    return found


def computed(
    connection: Any, parts: Sequence[Rows], generated: Mapping[str, Sequence[str]]
) -> list[Computed]:
    """The sums of generated columns, given by table, over the rows of a slice."""
    with reading(connection) as cursor:
        return computed_sums(
            cursor, parts, generated, lambda column: _hashed(POSTGRESQL.quote(column.name)), _sum
        )


def _sum(value: str) -> str:
    return f"COALESCE(pg_catalog.sum({value}), 0)::pg_catalog.text"


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
