"""Structure: what dumps need to know of a MySQL or MariaDB beside the tables of a slice.

In: a connection to the source, and the tables. Out: a `Source`: schemas, definitions of views, rows of DataJoint's
``~lineage``, collations, settings of the session. It reads no row of the lab's tables.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from ...names import split_full_name
from ..catalog import Catalog
from ..source import Rows, Schema, Source, View
from ..tables import Table
from .dialect import MYSQL
from .generated import generated_columns
from .snapshot import flavor_of, told

# DataJoint 2.x describes a schema's tables in this one: its structure, and the rows about exported tables.
LINEAGE_TABLE = "~lineage"

# What is noted of the session that the statements are replayed in.
SETTINGS = (
    "sql_mode",
    "time_zone",
    "system_time_zone",
    "character_set_server",
    "collation_connection",
    "group_concat_max_len",
    "lower_case_table_names",
)


def read_source(
    connection: Any, tables: Sequence[Table], catalog: Catalog, views: Sequence[str], filled: Collection[str]
) -> Source:
    """Read what the scripts need to know of the source.

    Parameters
    ----------
    connection : pymysql connection to the source
    tables : sequence of Table
        The base tables of the slice.
    catalog : Catalog
    views : sequence of str
        Views to create, each after those that it reads.
    filled : collection of str
        Full names of the tables that have rows in the slice.
    """
    schemas = sorted({table.schema for table in tables})
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT VERSION(), {', '.join(f'@@{name}' for name in SETTINGS)}")
        version, *settings = map(str, cursor.fetchone())
        cursor.execute(
            "SELECT schema_name, default_character_set_name, default_collation_name FROM information_schema.schemata"
            f" WHERE schema_name IN ({', '.join(['%s'] * len(schemas))}) ORDER BY 1",
            schemas,
        )
        found = tuple(Schema(*map(str, row)) for row in cursor.fetchall())
        lineage = _lineage_rows(cursor, tables, catalog, schemas)
        flavor = flavor_of(version)
        with_rows = [table for table in tables if table.full_name in filled]
        generated = generated_columns(cursor, with_rows) if flavor == "mariadb" else ()
        read_views = tuple(_view(cursor, catalog.tables[name]) for name in views)
    of_tables = [*tables, *(rows.table for rows in lineage)]
    collations = {table.collation for table in of_tables}
    collations |= {column.collation for table in of_tables for column in table.columns}
    collations |= {schema.collation for schema in found} | {view.collation for view in read_views}
    return Source(
        flavor,
        version,
        found,
        lineage,
        read_views,
        tuple(sorted(filter(None, collations))),
        dict(zip(SETTINGS, settings, strict=True)),
        generated,
    )


def _lineage_rows(
    cursor: Any, tables: Sequence[Table], catalog: Catalog, schemas: Sequence[str]
) -> tuple[Rows, ...]:
    held = {table.full_name for table in tables}
    out = []
    for schema in schemas:
        table = catalog.tables.get(MYSQL.full_name(schema, LINEAGE_TABLE))
        if table is None or table.full_name in held:
            continue
        names = sorted(one.name for one in tables if one.schema == schema)
        batches = [names[i : i + 500] for i in range(0, len(names), 500)]
        conditions = [f"`table_name` IN ({', '.join(map(MYSQL.string, batch))})" for batch in batches]
        rows = []
        for condition in conditions:
            cursor.execute(f"SELECT COUNT(*) FROM {table.full_name} WHERE {condition}")
            rows.append(int(cursor.fetchone()[0]))
        kept = tuple(condition for condition, count in zip(conditions, rows, strict=True) if count)
        out.append(Rows(table, sum(rows), kept))
    return tuple(out)


def _view(cursor: Any, view: Table) -> View:
    cursor.execute(
        "SELECT collation_connection FROM information_schema.views WHERE table_schema = %s AND table_name = %s",
        (view.schema, view.name),
    )
    return View(view.full_name, view.schema, view.name, str(cursor.fetchone()[0]), view.view_sql or "")


def unique_columns(connection: Any, table: Table) -> list[tuple[str, str]]:
    """Name of each unique key of a table but the primary one, with each of its columns (or expressions, of MySQL)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        maria = flavor_of(str(cursor.fetchone()[0])) == "mariadb"
        on = "column_name" if maria else "COALESCE(column_name, expression)"
        cursor.execute(
            f"SELECT index_name, {on} FROM information_schema.statistics"
            " WHERE table_schema = %s AND table_name = %s AND non_unique = 0 AND index_name <> 'PRIMARY'",
            (table.schema, table.name),
        )
        return [(str(index), str(on)) for index, on in cursor.fetchall()]


def fill_key_table(connection: Any, name: str, table: Table, conditions: Sequence[str], rows: int) -> int:
    """Make a table of the keys of rows, unless one with as many rows is there; how many rows it has.

    Parameters
    ----------
    connection : pymysql connection
    name : str
        Of the table of keys.
    table : Table
        Whose keys; each of ``conditions`` selects some of its rows, and all together ``rows``.

    Raises
    ------
    Refused
        If the server refuses it.
    """
    keys = MYSQL.columns(table.primary_key)
    with told(), connection.cursor() as cursor:
        # of the same types, character sets and collations as there
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {name} (PRIMARY KEY ({keys})) SELECT {keys} FROM {table.full_name} LIMIT 0"
        )
        if _count(cursor, name) != rows:
            cursor.execute(f"DELETE FROM {name}")
            for condition in conditions:
                cursor.execute(f"INSERT INTO {name} SELECT {keys} FROM {table.full_name} WHERE {condition}")
            connection.commit()
        return _count(cursor, name)


def missing_tables(connection: Any, names: Sequence[str]) -> list[str]:
    """Those of tables or views, by full name, that the account does not see."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            f" WHERE table_schema IN ({', '.join(['%s'] * len(names))})",
            [split_full_name(name)[0] for name in names],
        )
        seen = {MYSQL.full_name(schema, table).lower() for schema, table in cursor.fetchall()}
    return [name for name in names if name.lower() not in seen]


def table_names(connection: Any, schema: str) -> set[str]:
    """The tables and views of a schema that the account sees; on a connection of DataJoint too."""
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
    if hasattr(connection, "cursor"):
        with connection.cursor() as cursor:
            cursor.execute(query, (schema,))
            return {name for (name,) in cursor.fetchall()}
    return {name for (name,) in connection.query(query, (schema,)).fetchall()}


def settle_columns(connection: Any, schema: str, tables: Collection[str]) -> None:
    """Let texts differ in case and accents in tables that DataJoint declared, and let both of its lines read them.

    The types of texts cannot name a collation in a definition; 2.x puts them into comments that 0.14 refuses.
    """
    found = connection.query(
        "SELECT table_name, column_name, column_type, data_type, column_comment FROM information_schema.columns"
        " WHERE table_schema = %s AND data_type IN ('varchar', 'datetime', 'bigint', 'int', 'longblob')"
        " AND column_name <> 'export_id'",
        (schema,),
    ).fetchall()
    changes: dict[str, list[str]] = {}
    for table, column, type_, kind, comment in found:
        if table in tables:
            text = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if kind == "varchar" else ""
            comment = MYSQL.string(re.sub(r"^:[^:]*:", "", comment))
            changes.setdefault(table, []).append(
                f"MODIFY {MYSQL.quote(column)} {type_}{text} NOT NULL COMMENT {comment}"
            )
    for table, columns in changes.items():
        connection.query(f"ALTER TABLE {MYSQL.full_name(schema, table)} {', '.join(columns)}")


def _count(cursor: Any, name: str) -> int:
    cursor.execute(f"SELECT COUNT(*) FROM {name}")
    return int(cursor.fetchone()[0])
