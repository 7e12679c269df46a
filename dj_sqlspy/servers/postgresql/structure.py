"""Structure: what a dump needs to know of a PostgreSQL source besides the tables of the slice.

In: a connection to the source, and the tables. Out: a `Source`: the statements that create tables, types and views,
rows of DataJoint's ``~lineage``, what the database says of its texts, settings of the session. ``pg_dump`` writes the
definitions, in the snapshot of the transaction that has read the rest. What a slice cannot hold is refused by name. Of
the lab's rows it reads none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ..catalog import Catalog
from ..shellwords import fixed_part
from ..source import Created, Rows, Schema, Source, Structure, View
from ..tables import Table
from .database import RECORDED, SETTINGS, demands, locale, read_database
from .definitions import definitions
from .dialect import POSTGRESQL
from .objects import Objects, names_of
from .session import settings_of
from .transaction import reading

LINEAGE_TABLE = "~lineage"


def read_source(
    connection: Any,
    tables: Sequence[Table],
    catalog: Catalog,
    views: Sequence[str],
    functions: Sequence[Created],
    filled: Mapping[str, Callable[[int], Sequence[str]]],
    comments: bool = True,
) -> Source:
    """Read what the scripts need to know about the source; the parameters are those of the MySQL one.

    Raises
    ------
    BundleError
        If a table has something that a slice cannot hold, or ``pg_dump`` cannot write its definition.
    """
    seen = [catalog.tables[name] for name in views]
    settings = settings_of(connection, (*SETTINGS, "server_encoding"))  # which `reading` changes
    with reading(connection) as cursor:
        database = read_database(cursor)
        schemas = sorted({table.schema for table in (*tables, *seen)})
        lineage = _lineage_rows(cursor, tables, catalog, schemas)
        described = [*tables, *(part.table for part in lineage)]
        found = Objects(cursor, described, seen)
        found.require_whole()
        cursor.execute("SELECT pg_export_snapshot()")
        ((snapshot,),) = cursor.fetchall()
        created, finish = definitions(connection, found, str(snapshot))
        structure = Structure(
            "postgresql",
            (*found.types(), Created("SECTION", "", "pre-data", created)),
            tuple(
                filter(
                    None,
                    (
                        finish,
                        *found.comments(comments),
                        *found.sequence_values(),
                        *(v.sql for v in found.views),
                    ),
                )
            ),
            demands=(*demands(database), *found.collations(True)),
            other_values=(locale(database), *found.collations(False)),
            notes=tuple(found.left_out()),
        )
        digests = definition_digests(cursor, described)
    return Source(
        flavor="postgresql",
        version=database["version"],
        schemas=tuple(Schema(name, database["encoding"], database["collate"]) for name in schemas),
        lineage=lineage,
        views=tuple(View(view.full_name, view.schema, view.name, view.view_sql or "") for view in seen),
        structures=(structure,),
        settings={**settings, **{f"{RECORDED}{name}": text for name, text in database.items() if text}},
        generated={
            table.full_name: names
            for table in tables
            if (names := tuple(column.name for column in table.columns if column.generated))
        },
        definitions=digests,
    )


def stored_functions(
    connection: Any, names: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], Created | str]:
    """For each stored function (schema, name), why a slice cannot hold it."""
    return {name: "stored functions are not supported on PostgreSQL yet" for name in names}


def definition_digests(cursor: Any, tables: Sequence[Table]) -> dict[str, str]:
    """By full table name, a digest of what the catalog says of its columns, constraints and indexes."""
    values = ", ".join(names_of(table) for table in tables)
    query = fixed_part(__package__, "definitions.sql")
    cursor.execute(f"WITH asked (schema, name) AS (VALUES {values}) {query}")
    return {POSTGRESQL.full_name(schema, name): str(digest) for schema, name, digest in cursor.fetchall()}


# ---------------------------------------------------------------- DataJoint's own table


def _lineage_rows(
    cursor: Any, tables: Sequence[Table], catalog: Catalog, schemas: Collection[str]
) -> tuple[Rows, ...]:
    held = {table.full_name for table in tables}
    out = []
    for schema in schemas:
        table = catalog.tables.get(POSTGRESQL.full_name(schema, LINEAGE_TABLE))
        if table is None or table.full_name in held:
            continue
        cursor.execute(f"SELECT has_table_privilege({POSTGRESQL.string(table.full_name)}, 'SELECT')::text")
        if cursor.fetchone()[0] != "true":
            continue
        names = sorted(one.name for one in tables if one.schema == schema)
        condition = f'"table_name" IN ({", ".join(map(POSTGRESQL.string, names))})'
        cursor.execute(f"SELECT count(*)::text FROM {table.full_name} WHERE {condition}")
        rows = int(cursor.fetchone()[0])
        out.append(Rows(table, rows, (condition,) if rows else ()))
    return tuple(out)
