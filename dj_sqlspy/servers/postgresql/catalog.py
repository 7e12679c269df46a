"""Catalog: tables and foreign keys from the pg_catalog of a PostgreSQL server.

In: a connection and the names of schemas. Out: a `Catalog`, closed over the foreign keys (upstream, across schemas).
pg_catalog shows every account all tables and constraints; information_schema shows a SELECT-only account none.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...errors import CatalogError
from ..catalog import Catalog, follow, of_tables, require_columns
from ..columns import Column
from ..tables import ForeignKey, Table
from .dialect import POSTGRESQL

# Kinds of tables whose rows a slice cannot hold yet, by what `_TABLES` says of them (`Table.refused`).
REFUSED = {
    kind: f"{what}, which is not supported on PostgreSQL yet"
    for kind, what in {
        "m": "a materialized view",
        "p": "a partitioned table",
        "f": "a foreign table",
        "i": "a table that inherits or is inherited from",
        "s": "a table with row-level security",
    }.items()
}

# Types of which values that compare equal are printed alike; others have 1.0 and 1.00, or '1 day' and '24:00:00'.
_EXACT = frozenset(
    {
        *(
            "smallint",
            "integer",
            "bigint",
            "boolean",
            "text",
            "character varying",
            "character",
            "bytea",
            "uuid",
        ),
        *(
            "date",
            "time without time zone",
            "timestamp without time zone",
            "timestamp with time zone",
            "name",
        ),
    }
)

_TABLES = """
SELECT json_build_array(n.nspname, c.relname, c.oid::text,
    CASE WHEN c.relkind = 'v' THEN 'v'
         WHEN c.relkind <> 'r' THEN c.relkind::text
         WHEN EXISTS (SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent)) THEN 'i'
         WHEN c.relrowsecurity THEN 's'
         ELSE 'r' END,
    coalesce(obj_description(c.oid, 'pg_class'), ''),
    CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END)::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
ORDER BY n.nspname, c.relname
"""

# A domain has the type below it as its data type.
_COLUMNS = """
SELECT json_build_array(c.oid::text, a.attname, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL),
    format_type(a.atttypid, a.atttypmod), tn.nspname, t.typname, a.attnotnull, t.typtype,
    CASE WHEN NOT o.collisdeterministic THEN o.collname END,
    a.attgenerated <> '', pg_get_expr(d.adbin, d.adrelid), coalesce(col_description(c.oid, a.attnum), ''))::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_namespace AS tn ON tn.oid = t.typnamespace
LEFT JOIN pg_collation AS o ON o.oid = a.attcollation
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.oid, a.attnum
"""

_KEYS = """
SELECT json_build_array(k.contype, k.conname, c.oid::text, n.nspname, c.relname, pn.nspname, p.relname,
    (SELECT json_agg(a.attname ORDER BY place) FROM unnest(k.conkey) WITH ORDINALITY AS u(number, place)
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = u.number),
    (SELECT json_agg(a.attname ORDER BY place) FROM unnest(k.confkey) WITH ORDINALITY AS u(number, place)
        JOIN pg_attribute AS a ON a.attrelid = p.oid AND a.attnum = u.number))::text
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_class AS p ON p.oid = k.confrelid LEFT JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE n.nspname = ANY(%s) AND (k.contype = 'p' OR (k.contype = 'f' AND k.conparentid = 0))
ORDER BY n.nspname, c.relname, k.conname
"""

_REFERRING = """
SELECT DISTINCT n.nspname
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS p ON p.oid = k.confrelid JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE k.contype = 'f' AND pn.nspname = ANY(%s)
"""


def read_catalog(
    connection: Any,
    schemas: Iterable[str],
    virtual: Sequence[ForeignKey] = (),
    down: bool = False,
    partial: bool = False,
) -> Catalog:
    """Read the catalog of the given schemas and of every schema that they refer to.

    Parameters
    ----------
    connection : psycopg2 connection
        No privilege is needed.
    schemas : iterable of str
        Unquoted schema names. Schemas that their foreign keys refer to are added.
    virtual : sequence of ForeignKey
        Declared references, treated as foreign keys. Those of schemas that are not read are left out.
    down : bool
        Also add the schemas that refer to these.
    partial : bool
        Accept schemas without tables.

    Raises
    ------
    CatalogError
        If a schema does not exist.
    """
    tables: dict[str, Table] = {}
    wanted = [schema for schema in schemas if schema not in POSTGRESQL.system_schemas]
    with connection.cursor() as cursor, _qualified(cursor):

        def read(batch: Sequence[str]) -> tuple[list[Table], list[ForeignKey]]:
            found = _read_schemas(cursor, batch)
            if not partial:
                _require_seen(batch, {table.schema for table in found[0]})
            return found

        def referring(batch: Sequence[str]) -> list[str]:
            cursor.execute(_REFERRING, (list(batch),))
            return [schema for (schema,) in cursor.fetchall()]

        foreign_keys, declared = follow(wanted, virtual, read, referring if down else None, tables)
    references = [of_tables(key, tables) for key in declared]
    require_columns(references, tables)
    return Catalog(tables, (*foreign_keys, *references), dialect=POSTGRESQL)


@contextlib.contextmanager
def _qualified(cursor: Any) -> Iterator[None]:
    """In a block, the server prints the names of types and tables with their schemas."""
    cursor.execute("SELECT current_setting('search_path')")
    (path,) = cursor.fetchone()
    cursor.execute("SELECT set_config('search_path', 'pg_catalog', false)")
    try:
        yield
    finally:
        if not cursor.connection.closed and cursor.connection.info.transaction_status != _FAILED:
            cursor.execute("SELECT set_config('search_path', %s, false)", (path,))


_FAILED = 3  # PQTRANS_INERROR: what was set in this transaction is undone with it


def _require_seen(schemas: Iterable[str], seen: set[str]) -> None:
    for schema in schemas:
        if schema not in seen:
            raise CatalogError(
                f"Reading the catalog: the schema {POSTGRESQL.quote(schema)} has no table in this database. Is this "
                "the database of the analysis (dj.config['database.name'])?"
            )


def _rows(cursor: Any, sql: str, schemas: Sequence[str]) -> list[list[Any]]:
    cursor.execute(sql, (list(schemas),))
    return [json.loads(text) for (text,) in cursor.fetchall()]


def _read_schemas(cursor: Any, schemas: Sequence[str]) -> tuple[list[Table], list[ForeignKey]]:
    """The tables and views of schemas, and the foreign keys of these tables."""
    columns: dict[str, list[Column]] = {}
    for table, *column in _rows(cursor, _COLUMNS, schemas):
        columns.setdefault(table, []).append(_column(*column))
    primary: dict[str, tuple[str, ...]] = {}
    foreign_keys: list[ForeignKey] = []
    for kind, name, table, schema, child, parent_schema, parent, own, theirs in _rows(cursor, _KEYS, schemas):
        if kind == "p":
            primary[table] = tuple(own)
        else:
            ends = POSTGRESQL.full_name(schema, child), POSTGRESQL.full_name(parent_schema, parent)
            foreign_keys.append(ForeignKey(name, ends[0], tuple(own), ends[1], tuple(theirs)))
    tables = [
        Table(
            schema,
            name,
            tuple(columns.get(table, ())),
            primary.get(table, ()),
            refused=REFUSED.get(kind, ""),
            view_sql=definition.rstrip().rstrip(";") if kind == "v" else None,
            comment=comment,
            dialect=POSTGRESQL,
        )
        for schema, name, table, kind, comment, definition in _rows(cursor, _TABLES, schemas)
    ]
    return tables, foreign_keys


def _column(
    name: str,
    data_type: str,
    declared: str,
    schema: str,
    type_name: str,
    not_null: bool,
    kind: str,
    folding: str | None,
    generated: bool,
    default: str | None,
    comment: str,
) -> Column:
    known = data_type in _EXACT or kind == "e"
    return Column(
        name,
        data_type,
        declared if schema == "pg_catalog" else POSTGRESQL.full_name(schema, type_name),
        not not_null,
        folding or (None if known else f"the equality of {data_type}"),
        "GENERATED" if generated else "",
        None if generated else default,
        comment=comment,
        generation=(default or "") if generated else "",
    )
