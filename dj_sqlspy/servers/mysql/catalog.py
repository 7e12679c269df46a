"""Catalog: tables and foreign keys from the information_schema of a MySQL or MariaDB server.

In: a connection and the names of schemas. Out: a `Catalog`, closed over the foreign keys (upstream, across schemas).
It does not use ``dj.Dependencies``, which leaves out ``~external_*`` tables and represents renamed foreign keys
differently on the two lines of DataJoint.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from operator import itemgetter
from typing import Any

import pymysql

from ...errors import CatalogError
from ...gc_pause import gc_paused
from ..catalog import Catalog, follow, of_tables, require_columns
from ..columns import Column
from ..snapshot import Refused
from ..tables import ForeignKey, Table
from .definition import without_rollup_calls
from .dialect import MYSQL
from .told import text_of, told


@gc_paused()
def read_catalog(
    connection: Any,
    schemas: Iterable[str],
    virtual: Sequence[ForeignKey] = (),
    down: bool = False,
    partial: bool = False,
    columns: bool = True,
) -> Catalog:
    """Read the catalog of the given schemas and of every schema that they refer to.

    Parameters
    ----------
    connection : pymysql connection
        The SELECT privilege is enough.
    schemas : iterable of str
        Unquoted schema names. Schemas that their foreign keys refer to are added.
    virtual : sequence of ForeignKey
        Declared references, treated as foreign keys. Those of schemas that are not read are left out.
    down : bool
        Also add the schemas that refer to these.
    partial : bool
        Accept that this account cannot see everything; `slices.access` deals with the rest.
    columns : bool
        False: read columns later on the same connection, by `Catalog.read_columns` or on first use.

    Raises
    ------
    CatalogError
        If a schema does not exist or is not visible to this account.
    """
    tables: dict[str, Table] = {}
    later = _Columns(connection, tables)
    with connection.cursor() as cursor, _long_texts(cursor):
        cursor.execute("SELECT @@lower_case_table_names")
        folds = int(cursor.fetchone()[0]) != 0

        def folded(schema: str) -> str:
            return schema.lower() if folds else schema

        def read(batch: Sequence[str]) -> tuple[list[Table], list[ForeignKey]]:
            found = _read_schemas(cursor, batch, later)
            if not partial:
                _require_seen(batch, {folded(table.schema) for table in found[0]})
            return found

        wanted = {folded(schema) for schema in schemas if schema.lower() not in MYSQL.system_schemas}
        referring = functools.partial(_referring_schemas, cursor) if down else None
        foreign_keys, virtual = follow(wanted, virtual, read, referring, tables, folded)
    if folds:  # a foreign key may spell its parent in another case
        stored = {name.lower(): name for name in tables}
        virtual = [_as_stored(key, stored) for key in virtual]
        foreign_keys = [_as_stored(key, stored) for key in foreign_keys]
    virtual = [of_tables(key, tables) for key in virtual]
    if columns:
        later.read({table.schema for table in tables.values()})
    require_columns(virtual, tables)
    hidden = tuple(key for key in foreign_keys if key.parent not in tables)
    if hidden and not partial:
        key = hidden[0]
        raise CatalogError(
            f"Following foreign key `{key.name}` of {key.child}: its parent {key.parent} is not visible to "
            f"this account. Ask for GRANT SELECT ON {key.parent}."
        )
    visible = (key for key in foreign_keys if key.parent in tables)
    return Catalog(tables, (*visible, *virtual), folds, hidden, MYSQL, _read_columns=later.read)


def _require_seen(schemas: Iterable[str], seen: set[str]) -> None:
    for schema in schemas:
        if schema not in seen:
            raise CatalogError(
                f"Reading the catalog: schema `{schema}` has no table that this account can see. "
                f"Either it does not exist on this server, or the account needs "
                f"GRANT SELECT ON `{schema}`.* (ask the administrator for it)."
            )


def _marks(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values))


# Limit of a schema's columns as one text, in bytes. max_allowed_packet, which also applies, is 1 GiB at most.
_LONGEST = 1 << 30


def _rows(
    cursor: Any, source: str, columns: str, schemas: Sequence[str], condition: str = "TRUE"
) -> list[list[Any]]:
    """Rows of an information_schema table for the given schemas.

    The rows of a schema are sent as one JSON array, because the driver would take longer to read thousands of short
    rows than the server to find them. If the server cuts the text at its limit, the rows are read one by one.
    """
    where = f"FROM information_schema.{source} WHERE table_schema IN ({_marks(schemas)}) AND {condition}"
    cursor.execute(
        f"SELECT COUNT(*), GROUP_CONCAT(JSON_ARRAY({columns})) {where} GROUP BY table_schema", schemas
    )
    out: list[list[Any]] = []
    for count, text in cursor.fetchall():
        try:
            rows = json.loads(f"[{text_of(text)}]")
        except ValueError:
            rows = []
        if len(rows) != int(count):
            cursor.execute(f"SELECT JSON_ARRAY({columns}) {where}", schemas)
            return [json.loads(text_of(row)) for (row,) in cursor.fetchall()]
        out += rows
    return out


def _by_table(rows: Iterable[Sequence[Any]]) -> dict[tuple[str, str], list[Sequence[Any]]]:
    """Rows grouped by their first two values, schema and table, and ordered by the others."""
    out: dict[tuple[str, str], list[Sequence[Any]]] = {}
    for row in rows:
        out.setdefault((row[0], row[1]), []).append(row)
    for members in out.values():
        members.sort(key=itemgetter(2, 3))
    return out


@contextmanager
def _long_texts(cursor: Any) -> Iterator[None]:
    """In a block, allow long GROUP_CONCAT texts. The setting is restored, since results can depend on it."""
    cursor.execute("SELECT @@group_concat_max_len")
    longest = int(cursor.fetchone()[0])
    cursor.execute(f"SET SESSION group_concat_max_len = {_LONGEST}")
    try:
        yield
    finally:
        if cursor.connection.open:
            cursor.execute(f"SET SESSION group_concat_max_len = {longest}")


class _Columns:
    """Reads the columns of the tables of whole schemas, each schema once."""

    def __init__(self, connection: Any, tables: Mapping[str, Table]) -> None:
        self._connection = connection
        self._tables = tables
        self._done: set[str] = set()

    def read_schema(self, schema: str) -> None:
        self.read({schema})

    def read(self, schemas: set[str]) -> None:
        wanted = sorted(schemas - self._done)
        if not wanted:
            return
        try:
            with self._connection.cursor() as cursor, _long_texts(cursor):
                rows = _rows(
                    cursor,
                    "columns",
                    "table_schema, table_name, ordinal_position, column_name, data_type, column_type, is_nullable,"
                    " collation_name, extra, column_default, character_set_name, column_comment,"
                    " generation_expression",
                    wanted,
                )
        except pymysql.InterfaceError as error:
            raise CatalogError(
                f"Reading the columns of {', '.join(wanted)}: the connection that the catalog was read on is closed. "
                "A slice knows those of its own tables only."
            ) from error
        columns = _by_table(rows)
        for table in self._tables.values():
            if table.schema in schemas and table.schema not in self._done:
                own = columns.get((table.schema, table.name), ())
                table.__dict__["columns"] = tuple([_column(row) for row in own])
                table.__dict__.pop("_read", None)
        self._done.update(wanted)


def _read_schemas(
    cursor: Any, schemas: Sequence[str], later: _Columns
) -> tuple[list[Table], list[ForeignKey]]:
    """The tables and views of the given schemas, without their columns, and the foreign keys of these tables."""
    heads = _rows(
        cursor,
        "tables",
        "table_schema, table_name, table_type, engine, table_comment, table_collation",
        schemas,
        "table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')",
    )
    keys = _by_table(
        _rows(
            cursor,
            "key_column_usage",
            "table_schema, table_name, constraint_name, ordinal_position, column_name, referenced_table_schema,"
            " referenced_table_name, referenced_column_name",
            schemas,
            "(constraint_name = 'PRIMARY' OR referenced_table_name IS NOT NULL)",
        )
    )
    views: dict[tuple[str, str], str] = {}
    if any(kind == "VIEW" for _, _, kind, *_ in heads):
        views = _views(cursor, schemas)
    ends = _row_ends(cursor, schemas) if any(kind == "SYSTEM VERSIONED" for _, _, kind, *_ in heads) else {}
    tables: list[Table] = []
    foreign_keys: list[ForeignKey] = []
    for schema, name, kind, engine, comment, collation in sorted(heads, key=itemgetter(0, 1)):
        primary, foreign = _keys_of(MYSQL.full_name(schema, name), keys.get((schema, name), ()))
        if (
            kind == "SYSTEM VERSIONED"
        ):  # MariaDB adds the end of the row's time to the key, which users do not see as a part of it
            end = ends.get((schema, name), "row_end")
            primary = tuple(column for column in primary if column.lower() != end.lower())
        about = {
            "schema": schema,
            "name": name,
            "primary_key": primary,
            "engine": engine,
            "view_sql": views.get((schema, name), "") if kind == "VIEW" else None,
            "comment": comment if kind != "VIEW" else "",  # the server writes VIEW there
            "collation": collation,
        }
        tables.append(Table.without_columns(later.read_schema, **about))
        foreign_keys += foreign
    return tables, foreign_keys


_QUOTED = "`(?:[^`]|``)*`"
# What stands before the definition of a view, as SHOW CREATE VIEW prints it; and behind it.
_VIEW = re.compile(
    rf"CREATE (?:ALGORITHM=\w+ )?(?:DEFINER={_QUOTED}@{_QUOTED} )?(?:SQL SECURITY \w+ )?VIEW {_QUOTED}(?:\.{_QUOTED})?"
    rf" (?:\({_QUOTED}(?:,{_QUOTED})*\) )?AS (.*?)(?: WITH (?:LOCAL|CASCADED) CHECK OPTION)?",
    re.DOTALL,
)


def _views(cursor: Any, schemas: Sequence[str]) -> dict[tuple[str, str], str]:
    """By schema and view, its definition; "" where the account does not see it.

    information_schema has ``?`` in the place of each character of four bytes, or of each byte of one.
    """
    cursor.execute(
        f"SELECT table_schema, table_name, view_definition FROM information_schema.views"
        f" WHERE table_schema IN ({_marks(schemas)})",
        schemas,
    )
    views = {(schema, table): text_of(sql or "") for schema, table, sql in cursor.fetchall()}
    for (schema, table), sql in views.items():
        if "?" in sql:
            with suppress(Refused), told():  # a view that is broken is told of by those who read it
                cursor.execute(f"SHOW CREATE VIEW {MYSQL.full_name(schema, table)}")
                found = _VIEW.fullmatch(text_of(cursor.fetchone()[1]))
                views[schema, table] = found[1] if found else sql
    return {name: without_rollup_calls(sql) for name, sql in views.items()}


def _row_ends(cursor: Any, schemas: Sequence[str]) -> dict[tuple[str, str], str]:
    """The column with the end of a row's time, by schema and table, where it is declared explicitly."""
    cursor.execute(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns"
        f" WHERE table_schema IN ({_marks(schemas)}) AND generation_expression = 'ROW END'",
        schemas,
    )
    return {(schema, table): name for schema, table, name in cursor.fetchall()}


def _column(row: Sequence[Any]) -> Column:
    name, data_type, column_type, nullable, collation, extra, default, charset, comment, generation = row[3:]
    return Column(
        name,
        data_type.lower(),
        column_type,
        nullable == "YES",
        collation,
        extra or "",
        default,
        charset,
        comment or "",
        generation or "",
    )


def _keys_of(table: str, rows: Iterable[Sequence[Any]]) -> tuple[tuple[str, ...], list[ForeignKey]]:
    """The primary key and the foreign keys of a table, from its rows of key_column_usage in order."""
    primary: list[str] = []
    foreign: dict[tuple[str, str, str], tuple[list[str], list[str]]] = {}
    for _, _, name, _, column, parent_schema, parent, parent_column in rows:
        if parent is None:
            primary.append(column)
        else:
            pairs = foreign.setdefault((name, parent_schema, parent), ([], []))
            pairs[0].append(column)
            pairs[1].append(parent_column)
    keys = [
        ForeignKey(name, table, tuple(own), MYSQL.full_name(schema, parent), tuple(theirs))
        for (name, schema, parent), (own, theirs) in foreign.items()
    ]
    return tuple(primary), keys


def _as_stored(key: ForeignKey, stored: Mapping[str, str]) -> ForeignKey:
    child, parent = (stored.get(name.lower(), name) for name in (key.child, key.parent))
    return replace(key, child=child, parent=parent)


def _referring_schemas(cursor: Any, schemas: Sequence[str]) -> set[str]:
    cursor.execute(
        "SELECT DISTINCT table_schema FROM information_schema.key_column_usage"
        f" WHERE referenced_table_schema IN ({_marks(schemas)})",
        schemas,
    )
    return {schema for (schema,) in cursor.fetchall()}
