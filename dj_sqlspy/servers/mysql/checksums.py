"""Checksums: detect changed rows of a slice with the SELECT privilege only.

In: the rows of tables. Out: for each table an SQL expression of a row's checksum, and the sum of the checksums. The
server computes the sum, which does not depend on the order of rows. A row's checksum is the CRC32 of the CRC32s of its
values, so one change in four billion goes unnoticed. Generated and excluded columns are left out. Values are read as
mysqldump reads them: without sql_mode, TIMESTAMPs in UTC. The values of each generated column have a sum of their own,
the same on every server that computes the same values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..columns import FLOAT_TYPES, Column
from ..source import Computed, Rows
from ..sums import computed_sums, sums
from ..tables import Table
from .dialect import MYSQL
from .session import in_utc, one_moment
from .told import told

# Types of places and shapes.
GEOMETRY = frozenset(
    """
geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection geomcollection
""".split()  # noqa: SIM905
)


def with_checksums(connection: Any, parts: Sequence[Rows]) -> list[Rows]:
    """The parts with their checksums, present numbers of rows and negative zeros, all read in one snapshot.

    Parameters
    ----------
    connection : pymysql connection
        Its session settings are restored.
    parts : sequence of Rows
    """
    found = []
    with told(), in_utc(connection), one_moment(connection), connection.cursor() as cursor:
        for part in parts:
            floats = [
                c.name
                for c in part.table.columns
                if c.data_type in FLOAT_TYPES and c.name not in part.contents
            ]
            zeros = [_negative_zero(MYSQL.quote(name)) for name in floats]
            checksum = row_checksum(part.table, part.contents)
            rows, total, *counts = sums(cursor, part, [_sum(value) for value in ("1", checksum, *zeros)])
            negative = frozenset(name for name, count in zip(floats, counts, strict=True) if count)
            found.append(replace(part, rows=rows, checksum=total, negative_zeros=negative))
    return found


def _negative_zero(name: str) -> str:
    """SQL that is true for a zero with a sign. MySQL stores one, MariaDB does not."""
    return f"{name} = 0 AND LEFT(CAST({name} AS CHAR), 1) = '-'"


def computed(
    connection: Any, parts: Sequence[Rows], generated: Mapping[str, Sequence[str]]
) -> list[Computed]:
    """The sums of generated columns, given by table, over the rows of a slice. Session settings are restored."""
    with told(), in_utc(connection), one_moment(connection), connection.cursor() as cursor:
        return computed_sums(cursor, parts, generated, _computed_value, _sum)


def _sum(value: str) -> str:
    return f"COALESCE(SUM({value}), 0)"


def _computed_value(column: Column) -> str:
    """SQL for the checksum of a generated value. Of JSON only the length: servers print it each in its own way."""
    if column.data_type == "json":
        return f"IFNULL(CHAR_LENGTH(REPLACE({MYSQL.quote(column.name)}, ' ', '')), 0)"
    value = f"{MYSQL.quote(column.name)} + 0" if column.data_type == "bit" else _value(column)
    return f"IFNULL(CRC32({value}), 1)"


def row_checksum(table: Table, contents: Mapping[str, str]) -> str:
    """The SQL expression of a row's checksum.

    >>> from ..columns import FLOAT_TYPES, Column
    >>> row_checksum(Table("s", "t", (Column("a", "int", "int", False, None, ""),), ("a",)), {})
    "CRC32(CONCAT_WS(',', IFNULL(CRC32(`a`), 'N')))"
    """
    kept = (c for c in table.columns if not c.generated and c.name not in contents)
    values = [f"IFNULL(CRC32({_value(column)}), 'N')" for column in kept]
    return f"CRC32(CONCAT_WS(',', {', '.join(values) or '0'}))"


def _value(column: Column) -> str:
    """SQL for a value as text or bytes, without loss."""
    name = MYSQL.quote(column.name)
    if column.data_type == "float":  # servers print it with six digits
        return f"{name} * 1e0"
    if column.data_type in GEOMETRY:
        return f"ST_AsBinary({name})"
    return f"HEX({name})" if column.data_type == "vector" else name
