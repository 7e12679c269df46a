"""What a slice exports, as rows that a test can name, and whether it is enough.

In: slices and bundles. Out: the keys of the rows that their conditions select, written as short as tests write
them; the same statements replayed on a copy of the slice beside the source (`Twin`: fast, for each case of many),
or on another server after a real dump and load (`whole_way`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datajoint as dj

import dj_sqlspy as sqlspy
from dj_sqlspy.names import split_full_name
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.replay import ReplayReport, describe, replay
from dj_sqlspy.servers import backend_of
from dj_sqlspy.servers.catalog import Catalog
from dj_sqlspy.slices import Slice
from tests.lab import V2

Rows = set[tuple[Any, ...]]


def keyed(text: str | Iterable[tuple[Any, ...]]) -> Rows:
    """Keys as tests write them: a word for each row, its parts joined by dots; numbers are integers.

    >>> sorted(keyed("a.1 b.2"))
    [('a', 1), ('b', 2)]
    """
    if not isinstance(text, str):
        return set(text)
    return {tuple(int(p) if p.lstrip("-").isdigit() else p for p in word.split(".")) for word in text.split()}


def expected(tables: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, Rows]:
    """Rows by class name to rows by full table name; ``tables`` has the classes (or full names)."""
    named = {name: getattr(tables[name], "full_table_name", tables[name]) for name in rows}
    return {named[name]: keyed(text) for name, text in rows.items() if keyed(text)}


def selected(connection: Any, cut: Slice, most_bytes: int = 100_000) -> dict[str, Rows]:
    """Keys of the rows that the conditions of a slice select, by full table name; tables without rows left out."""
    found: dict[str, Rows] = {}
    columns = backend_of(connection).dialect.columns
    with connection.cursor() as cursor:
        for name, table in cut.tables.items():
            rows: list[tuple[Any, ...]] = []
            for condition in table.conditions(most_bytes):
                cursor.execute(f"SELECT {columns(table.table.key)} FROM {name} WHERE {condition}")
                rows += map(hashable, cursor.fetchall())
            assert len(rows) == table.rows, f"{name}: {table.restriction}"
            assert len(set(rows)) == len(rows) or not table.table.primary_key, f"{name}: {table.restriction}"
            if rows:
                found[name] = set(rows)
    return found


def fetched(connection: Any, names: Iterable[str], catalog: Catalog) -> dict[str, Rows]:
    """Keys of all rows that tables hold, by full table name; empty tables left out."""
    found: dict[str, Rows] = {}
    columns = backend_of(connection).dialect.columns
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"SELECT {columns(catalog.tables[name].key)} FROM {name}")
            rows = set(map(hashable, cursor.fetchall()))
            if rows:
                found[name] = rows
    return found


def hashable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row in which lists and dicts, which have no hash, and NaN, which equals nothing, are texts."""
    return tuple(repr(value) if isinstance(value, (dict, list)) or value != value else value for value in row)


def sliced(paper: str, home: Path, *analyses: str, **options: Any) -> Slice:
    """The slice of some analyses of a paper (none named: all)."""
    return sqlspy.Paper(paper, home=home, analyses=analyses or None).slice(**options)


def whole_way(
    cut: Slice, server: Any, scratch: Any, path: Path, paper: Any = None
) -> tuple[Bundle, ReplayReport]:
    """Write the bundle, dump with the real client, load into another server, replay; all must be equal there."""
    from dj_sqlspy.paper.bundle import write_bundle

    with contextlib.closing(server.connect()) as source, contextlib.closing(scratch.connect()) as loaded:
        backend = backend_of(source)
        bundle = write_bundle(cut, path, paper=paper, connection=source)
        for connection, run in ((source, bundle.dump), (loaded, bundle.restore)):
            with backend.client_options(connection) as options:
                run(options)
        backend.analyze(loaded, list(cut.tables))  # as `verify` does
        report = replay(bundle.manifest, source, loaded)
        assert report.equal, "\n".join(map(describe, report.different)) or report.broken_keys
        assert fetched(loaded, cut.tables, cut.catalog) == selected(source, cut)
    return bundle, report


class Twin:
    """A copy of schemas' tables on the same server, in schemas of other names, for the rows of one slice.

    Its foreign keys are as those of the source, and checked by the server.
    """

    SUFFIX = "_twin"

    def __init__(self, connection: Any, schemas: Sequence[str]) -> None:
        self.connection = connection
        self.schemas = list(schemas)
        backend = backend_of(connection)
        self.dialect = backend.dialect
        self.catalog = backend.read_catalog(connection, schemas)
        self.tables = self.catalog.in_order(n for n, t in self.catalog.tables.items() if not t.is_view)
        with connection.cursor() as cursor:
            self.copy_structure(cursor)

    def copy_structure(self, cursor: Any) -> None:
        """Create the schemas and their empty tables."""
        cursor.execute("SET SESSION foreign_key_checks = 0")
        for schema in self.schemas:
            cursor.execute(f"CREATE DATABASE {self.quoted(schema)}")
        for name in self.tables:
            cursor.execute(f"SHOW CREATE TABLE {name}")
            create = cursor.fetchone()[1]
            cursor.execute(f"USE {self.quoted(split_full_name(name)[0])}")
            cursor.execute(self.renamed(create))
        cursor.execute("SET SESSION foreign_key_checks = 1")

    def quoted(self, schema: str) -> str:
        """The name of a schema's copy."""
        return self.dialect.quote(schema + self.SUFFIX)

    def renamed(self, text: str) -> str:
        """A text with the names of the schemas replaced."""
        for schema in self.schemas:
            text = text.replace(self.dialect.quote(schema), self.quoted(schema))
        return text

    def load(self, cut: Slice) -> dict[str, Rows]:
        """Put the rows of a slice in the place of what is there; the keys of them, by the source's names."""
        with self.connection.cursor() as cursor:
            for name in reversed(self.tables):
                cursor.execute(f"DELETE FROM {self.renamed(name)}")
            for name, table in cut.tables.items():
                stored = self.dialect.columns(
                    column.name for column in table.table.columns if not column.generated
                )
                for condition in table.conditions(100_000):
                    cursor.execute(
                        f"INSERT INTO {self.renamed(name)} ({stored})"
                        f" SELECT {stored} FROM {name} WHERE {condition}"
                    )
            found: dict[str, Rows] = {}
            for name in self.tables:
                cursor.execute(
                    f"SELECT {self.dialect.columns(self.catalog.tables[name].key)} FROM {self.renamed(name)}"
                )
                rows = set(cursor.fetchall())
                if rows:
                    found[name] = rows
        return found

    def differences(self, cut: Slice) -> list[str]:
        """Statements of a slice that return something else here than on the source, with both results."""
        bad = []
        with backend_of(self.connection).as_sent(self.connection), self.connection.cursor() as cursor:
            for report in cut.statements:
                results = []
                for sql in (report.sql, self.renamed(report.sql)):
                    cursor.execute(sql)
                    results.append(list(cursor.fetchall()))
                there, here = results
                if there != here if report.ordered else Counter(there) != Counter(here):
                    bad.append(f"{report.sql}\n  on the source: {there}\n  on the slice: {here}")
        return bad

    def drop(self) -> None:
        """Drop the copies."""
        with self.connection.cursor() as cursor:
            cursor.execute("SET SESSION foreign_key_checks = 0")
            for schema in self.schemas:
                cursor.execute(f"DROP DATABASE IF EXISTS {self.quoted(schema)}")


class PostgreSQLTwin(Twin):
    """The same within one database of PostgreSQL."""

    def copy_structure(self, cursor: Any) -> None:
        for schema in self.schemas:
            cursor.execute(f"CREATE SCHEMA {self.quoted(schema)}")
        for name in self.tables:
            cursor.execute(f"CREATE TABLE {self.renamed(name)} (LIKE {name} INCLUDING ALL)")
        cursor.execute(
            "SET quote_all_identifiers = on;"
            " SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND connamespace = ANY (%s::text[]::regnamespace[])",
            (self.schemas,),
        )
        for table, definition in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {self.renamed(table)} ADD {self.renamed(definition)}")

    def drop(self) -> None:
        with self.connection.cursor() as cursor:
            for schema in self.schemas:
                cursor.execute(f"DROP SCHEMA IF EXISTS {self.quoted(schema)} CASCADE")


def new_schema(name: str, connection: Any) -> Any:
    """Make a schema, with the class that each line has for it."""
    return (dj.Schema if V2 else dj.schema)(name, connection=connection)
