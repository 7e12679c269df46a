"""Pseudonyms: replaces the values of columns that refer to each other, on a server of one's own, as on MySQL.

In: a connection to a private server with a loaded slice, as the owner of its tables; the columns, and the pseudonym of
each value. Out: the same rows with pseudonyms. It changes these columns and nothing else.

An integer can be the pseudonym of another one that is still there, and a foreign key refers to a value before it is
replaced. So foreign keys are dropped, the rows of a table are put aside, deleted and inserted again, and the foreign
keys are made again, which the server checks. All is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..snapshot import Refused
from ..tables import Table
from .contents import distinct
from .dialect import POSTGRESQL
from .objects import names_of
from .told import told
from .transaction import SET, reading

_MAP, _ASIDE = 'pg_temp."sqlspy pseudonyms"', 'pg_temp."sqlspy aside"'
_AT_ONCE = 1000  # values in one statement


def values_in(connection: Any, columns: Sequence[tuple[Table, str]]) -> set[str]:
    """The values of columns of texts or integers. NULL is left out, and blanks at the end of a CHAR."""
    values: set[str] = set()
    with reading(connection) as cursor:
        for table, name in columns:
            values.update(distinct(cursor, table, name))
    return values


def replace_values(
    connection: Any, columns: Sequence[tuple[Table, str]], pseudonyms: Mapping[str, str]
) -> None:
    """Give each value of the columns its pseudonym.

    Parameters
    ----------
    connection : psycopg2 connection
        To a private server, autocommit on.
    columns : sequence of (Table, str)
        Columns of texts or integers. NULL stays NULL.
    pseudonyms : mapping
        By value, in ASCII.

    Raises
    ------
    Refused
        If two values have one pseudonym, or a CHECK or a key does not hold. Then nothing is changed.
    """
    if len(set(pseudonyms.values())) < len(pseudonyms):
        raise Refused(f"two of its {len(pseudonyms):,} values would have one pseudonym")
    names: dict[Table, list[str]] = {}
    for table, name in columns:
        names.setdefault(table, []).append(name)
    with told(), connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {SET}")
        try:
            keys = _foreign_keys(cursor, list(names))
            for on, key, _ in keys:
                cursor.execute(f"ALTER TABLE {on} DROP CONSTRAINT {key}")
            _fill_map(cursor, pseudonyms)
            for table, each in names.items():
                _rewrite(cursor, table, each)
            for on, key, definition in keys:
                cursor.execute(f"ALTER TABLE {on} ADD CONSTRAINT {key} {definition}")
            cursor.execute(f"DROP TABLE {_MAP}; COMMIT")
        finally:
            if not connection.closed:
                cursor.execute("ROLLBACK")  # does nothing after COMMIT


def _foreign_keys(cursor: Any, tables: Sequence[Table]) -> list[tuple[str, str, str]]:
    """Table, name and definition of each foreign key from and to the tables, as SQL."""
    named = ", ".join(map(names_of, tables))
    cursor.execute(
        "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(k.oid) FROM pg_constraint AS k"
        " WHERE contype = 'f' AND EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        f" WHERE c.oid IN (conrelid, confrelid) AND (n.nspname, c.relname) IN (VALUES {named}))"
    )
    return [(str(table), str(name), str(text)) for table, name, text in cursor.fetchall()]


def _fill_map(cursor: Any, pseudonyms: Mapping[str, str]) -> None:
    """Make the table of values and pseudonyms."""
    cursor.execute(f'CREATE TABLE {_MAP} (was text COLLATE "C" PRIMARY KEY, now text NOT NULL)')
    pairs = list(pseudonyms.items())
    for start in range(0, len(pairs), _AT_ONCE):
        rows = ", ".join(
            f"({POSTGRESQL.string(was)}, {POSTGRESQL.string(now)})"
            for was, now in pairs[start : start + _AT_ONCE]
        )
        cursor.execute(f"INSERT INTO {_MAP} VALUES {rows}")
    cursor.execute(f"ANALYZE {_MAP}")


def _rewrite(cursor: Any, table: Table, names: Sequence[str]) -> None:
    """Replace the values of some columns of a table. All other columns keep theirs."""
    quote = POSTGRESQL.quote
    for name in names:
        cursor.execute(
            f"SELECT count(*) FROM {table.full_name} AS t LEFT JOIN {_MAP} AS m ON t.{quote(name)}::text = m.was"
            f" WHERE t.{quote(name)} IS NOT NULL AND m.was IS NULL"
        )
        if left := int(cursor.fetchone()[0]):
            raise Refused(f"{left:,} rows of {table.full_name} would keep their value in {quote(name)}")
    stored = [column.name for column in table.columns if not column.generated]
    listed = ", ".join(map(quote, stored))
    cursor.execute(f"CREATE TABLE {_ASIDE} AS SELECT {listed} FROM {table.full_name}")
    cursor.execute(f"DELETE FROM {table.full_name}")
    joins = [f"LEFT JOIN {_MAP} AS m{i} ON t.{quote(name)}::text = m{i}.was" for i, name in enumerate(names)]
    values = [
        f"m{names.index(name)}.now::{table.column(name).column_type}" if name in names else f"t.{quote(name)}"
        for name in stored
    ]
    cursor.execute(
        f"INSERT INTO {table.full_name} ({listed}) OVERRIDING SYSTEM VALUE"
        f" SELECT {', '.join(values)} FROM {_ASIDE} AS t {' '.join(joins)}"
    )
    cursor.execute(f"DROP TABLE {_ASIDE}")
