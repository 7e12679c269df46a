"""Pseudonyms: replaces the values of columns that refer to each other, on a server of one's own.

In: a connection to a private server with a loaded slice, the columns, and the pseudonym of each value. Out: the same
rows with pseudonyms. It changes these columns and nothing else. It refuses values that the columns'
collation finds equal though they are written differently: then no two pseudonyms could be right.

An integer can be the pseudonym of another one that is still there. So the rows of a table are put aside, deleted, and
inserted again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..columns import TEXT_TYPES, Column
from ..snapshot import Refused
from ..tables import Table
from .dialect import MYSQL
from .told import told

_MAP = "~sqlspy pseudonyms"
_ASIDE = "~sqlspy aside"
_AT_ONCE = 1000  # values in one statement


def values_in(connection: Any, columns: Sequence[tuple[Table, str]]) -> set[str]:
    """The values of columns of texts, integers or UUIDs, in each spelling. NULL is left out."""
    values: set[str] = set()
    with told(), connection.cursor() as cursor:
        for table, name in columns:
            values.update(_distinct(cursor, table, name))
    return values


def _distinct(cursor: Any, table: Table, name: str) -> list[str]:
    """The distinct values of a column as texts, in each spelling. NULL is left out."""
    column = MYSQL.quote(name)
    binary = table.column(name).binary
    # in hexadecimal, since DISTINCT would merge spellings
    read = f"HEX({column if binary else f'CONVERT({column} USING utf8mb4)'})"
    cursor.execute(f"SELECT DISTINCT {read} FROM {table.full_name} WHERE {column} IS NOT NULL")
    found = [bytes.fromhex(text) for (text,) in cursor.fetchall()]
    return [str(uuid.UUID(bytes=value)) if binary else value.decode() for value in found]


def replace_values(
    connection: Any, columns: Sequence[tuple[Table, str]], pseudonyms: Mapping[str, str]
) -> None:
    """Give each value of the columns its pseudonym.

    Parameters
    ----------
    connection : pymysql connection
        To a private server.
    columns : sequence of (Table, str)
        Columns of texts with one character set and collation, of integers, or of UUIDs. NULL stays NULL.
    pseudonyms : mapping
        By value, in ASCII.

    Raises
    ------
    Refused
        If two values have one pseudonym, two spellings are equal to the collation, or a CHECK does not hold.
    """
    if len(set(pseudonyms.values())) < len(pseudonyms):
        raise Refused(f"two of its {len(pseudonyms):,} values would have one pseudonym")
    names: dict[Table, list[str]] = {}
    for table, name in columns:
        names.setdefault(table, []).append(name)
    with told(), connection.cursor() as cursor:
        cursor.execute(
            "SET SESSION foreign_key_checks = 0, sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO',"
            " time_zone = '+00:00'"
        )
        given = _fill_map(cursor, columns, pseudonyms)
        for table, each in names.items():
            _rewrite(cursor, table, each, given)
        cursor.execute(f"DROP TABLE {given}")


def _fill_map(cursor: Any, columns: Sequence[tuple[Table, str]], found: Mapping[str, str]) -> str:
    """A table of values and pseudonyms, and its name."""
    table, name = columns[0]
    first = table.column(name)
    full_name = MYSQL.full_name(table.schema, _MAP)
    if first.binary:
        was = now = "BINARY(16)"
    elif first.numeric:
        was = now = "DECIMAL(20)"  # signed or not, of any size
    else:
        of_value = f"CHARACTER SET {first.charset} COLLATE {first.collation}"
        longest = max((len(value) for value in found), default=1)
        was, now = f"VARCHAR({max(1, longest)}) {of_value}", f"VARCHAR(64) {of_value}"
    cursor.execute(f"CREATE TABLE {full_name} (was {was} NOT NULL, now {now} NOT NULL, PRIMARY KEY (was))")
    pairs = list(found.items())
    for start in range(0, len(pairs), _AT_ONCE):
        rows = ", ".join(
            f"({_literal(value, first)}, {_literal(now, first)})"
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


def _literal(value: str, column: Column) -> str:
    """SQL for a value of a column."""
    if column.binary:
        return f"X'{uuid.UUID(value).hex}'"
    if column.numeric:
        return str(int(value))
    return f"CONVERT(_utf8mb4 X'{value.encode().hex()}' USING {column.charset})"


def _rewrite(cursor: Any, table: Table, names: Sequence[str], given: str) -> None:
    """Replace the values of some columns of a table. All other columns keep theirs."""
    quote = MYSQL.quote
    for name in names:
        cursor.execute(
            f"SELECT COUNT(*) FROM {table.full_name} AS t LEFT JOIN {given} AS m ON t.{quote(name)} = m.was"
            f" WHERE t.{quote(name)} IS NOT NULL AND m.was IS NULL"
        )
        if left := int(cursor.fetchone()[0]):
            raise Refused(f"{left:,} rows of {table.full_name} would keep their value in {quote(name)}")
    stored = [column.name for column in table.columns if not column.generated]
    aside = MYSQL.full_name(table.schema, _ASIDE)
    listed = ", ".join(map(quote, stored))
    cursor.execute(f"CREATE TEMPORARY TABLE {aside} SELECT {listed} FROM {table.full_name}")
    cursor.execute(f"DELETE FROM {table.full_name}")
    joins = [f"LEFT JOIN {given} AS m{i} ON t.{quote(name)} = m{i}.was" for i, name in enumerate(names)]
    values = [f"m{names.index(name)}.now" if name in names else f"t.{quote(name)}" for name in stored]
    cursor.execute(
        f"INSERT INTO {table.full_name} ({listed}) SELECT {', '.join(values)} FROM {aside} AS t {' '.join(joins)}"
    )
    cursor.execute(f"DROP TEMPORARY TABLE {aside}")


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
