"""Pseudonyms: replaces the values of columns that refer to each other, on a server of one's own.

In: a connection to a private server with a loaded slice, the columns, and the pseudonym of each value. Out: the same
rows with pseudonyms. It changes these columns and nothing else. It refuses values that the columns'
collation finds equal though they are written differently: then no two pseudonyms could be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..columns import TEXT_TYPES
from ..snapshot import Refused
from ..tables import Table
from .dialect import MYSQL
from .told import told

_MAP = "~sqlspy pseudonyms"
_AT_ONCE = 1000  # values in one statement


def values_in(connection: Any, columns: Sequence[tuple[Table, str]]) -> set[str]:
    """The values of columns of texts, in each spelling. NULL is left out."""
    values: set[str] = set()
    with told(), connection.cursor() as cursor:
        for table, name in columns:
            values.update(_distinct(cursor, table, name))
    return values


def _distinct(cursor: Any, table: Table, name: str) -> list[str]:
    """The distinct texts of a column, in each spelling. NULL is left out."""
    column = MYSQL.quote(name)
    # in hexadecimal, since DISTINCT would merge spellings
    cursor.execute(
        f"SELECT DISTINCT HEX(CONVERT({column} USING utf8mb4)) FROM {table.full_name} WHERE {column} IS NOT NULL"
    )
    return [bytes.fromhex(text).decode() for (text,) in cursor.fetchall()]


def replace_values(
    connection: Any, columns: Sequence[tuple[Table, str]], pseudonyms: Mapping[str, str]
) -> None:
    """Give each value of the columns its pseudonym.

    Parameters
    ----------
    connection : pymysql connection
        To a private server.
    columns : sequence of (Table, str)
        Columns of texts with one character set and collation. NULL stays NULL.
    pseudonyms : mapping
        By value, in ASCII.

    Raises
    ------
    Refused
        If two values have one pseudonym, two spellings are equal to the collation, or a CHECK does not hold.
    """
    if len(set(pseudonyms.values())) < len(pseudonyms):
        raise Refused(f"two of its {len(pseudonyms):,} values would have one pseudonym")
    with told(), connection.cursor() as cursor:
        cursor.execute(
            "SET SESSION foreign_key_checks = 0, sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00'"
        )
        name = _fill_map(cursor, columns, pseudonyms)
        for table, column in columns:
            _update(cursor, table, column, name)
        cursor.execute(f"DROP TEMPORARY TABLE {name}")


def _fill_map(cursor: Any, columns: Sequence[tuple[Table, str]], found: Mapping[str, str]) -> str:
    """A temporary table of values and pseudonyms, and its name."""
    table, name = columns[0]
    first = table.column(name)
    of_value = f"CHARACTER SET {first.charset} COLLATE {first.collation}"
    full_name = MYSQL.full_name(table.schema, _MAP)
    longest = max((len(value) for value in found), default=1)
    cursor.execute(
        f"CREATE TEMPORARY TABLE {full_name} (was VARCHAR({max(1, longest)}) {of_value} NOT NULL,"
        f" now VARCHAR(64) {of_value} NOT NULL, PRIMARY KEY (was), KEY (now))"
    )
    pairs = list(found.items())
    for start in range(0, len(pairs), _AT_ONCE):
        rows = ", ".join(
            f"(CONVERT(_utf8mb4 X'{value.encode().hex()}' USING {first.charset}), '{now}')"
            for value, now in pairs[start : start + _AT_ONCE]
        )
        cursor.execute(f"INSERT IGNORE INTO {full_name} VALUES {rows}")
    cursor.execute(f"SELECT COUNT(*) FROM {full_name}")
    kept = int(cursor.fetchone()[0])
    if kept < len(found):
        raise Refused(
            f"{len(found) - kept:,} of its {len(found):,} values differ from others only in their spelling, which"
            f" {first.collation} finds equal"
        )
    return full_name


def _update(cursor: Any, table: Table, name: str, pseudonyms: str) -> None:
    """Replace the values of one column. Columns that the server sets on an update keep their values."""
    column = MYSQL.quote(name)
    kept = [
        f"t.{MYSQL.quote(one.name)} = t.{MYSQL.quote(one.name)}"
        for one in table.columns
        if "on update" in one.extra.lower()
    ]
    changes = ", ".join([f"t.{column} = m.now", *kept])
    cursor.execute(
        f"UPDATE {table.full_name} AS t JOIN {pseudonyms} AS m ON t.{column} = m.was SET {changes}"
    )
    cursor.execute(
        f"SELECT COUNT(*) FROM {table.full_name} AS t WHERE t.{column} IS NOT NULL AND NOT EXISTS"
        f" (SELECT 1 FROM {pseudonyms} AS m WHERE m.now = t.{column})"
    )
    if left := int(cursor.fetchone()[0]):
        raise Refused(f"{left:,} rows of {table.full_name} kept their value in {column}")


def texts_in(connection: Any, table: Table, without: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The distinct texts in a table, with the name of their column.

    Parameters
    ----------
    connection : pymysql connection
    table : Table
    without : frozenset of str
        Columns to leave out, in lower case.
    """
    for column in table.columns:
        if column.name.lower() in without or column.data_type not in TEXT_TYPES | {"json"}:
            continue
        with told(), connection.cursor() as cursor:
            texts = _distinct(cursor, table, column.name)
        for text in texts:
            yield column.name, text
