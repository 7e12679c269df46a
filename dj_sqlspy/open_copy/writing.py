"""Writing: the folder of an open copy.

In: a bundle with its dump, and a path. Out: the folder, whole or not at all: ``tables/`` with a Parquet file for each
table, ``decoded/`` with the values of its blobs, ``slice.duckdb``, a ``README.md`` that says how to open them and what
they do not have, a ``report.html`` to look at, and descriptions for programs (`package`). Everything is read from a
private server that has nothing but the loaded slice; each row is read once, and of a table with dates once before, to
count those that are none. First rows (`firstrows`) are read again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import atomic, compat
from ..bundle.folder import BundleFolder
from ..bundle.manifest import Replayed, not_replayable, replayable
from ..bundle.render import render
from ..bundle.texts import REPORT_FILE
from ..errors import BundleError
from ..external.needed import declared_type
from ..replay.digests import read_catalog, read_digests, session_of
from ..replay.loaded import loaded_slice, new_file, new_folder
from ..replay.statements import as_received, why_apart
from ..servers import backend_of
from ..servers.backend import Replayer
from ..servers.dialect import Dialect
from ..servers.snapshot import ConnectionLost, Interrupted, Refused
from ..servers.tables import Table
from . import answers, parquet, postgresql
from .blobs import LARGEST as LARGEST_BLOB
from .columns import Kept, kept
from .database import LARGEST, Database, Different, dotted, relations_of
from .decoded import Seen, is_blob, maker, write_decoded
from .firstrows import first_rows
from .package import describe
from .page import page_html
from .result import DATABASE_FILE, CopiedStatement, CopiedTable, DecodedColumn, OpenCopy
from .titles import distinct, file_name, title_of
from .translate import Copied, Relation, Untranslated, translate

TABLES, DECODED = "tables", "decoded"
OTHERS = {
    DATABASE_FILE: (
        "the tables, and a view for each query that DuckDB answers as the server did",
        "application/vnd.duckdb",
    ),
    "README.md": ("what this is and how to use it", "text/markdown"),
    REPORT_FILE: ("the tables and queries to look at", "text/html"),
}
LISTED = 100  # statements in a list of README.md

Progress = Callable[[int, int], None]


def write_open_copy(
    bundle: BundleFolder, path: Path, progress: Progress | None = None, codecs: Iterable[str] = ()
) -> OpenCopy:
    """Write the slice of a bundle into a new folder (`Bundle.open_copy`)."""
    manifest = bundle.manifest
    as_spark = {}
    for name in codecs:
        try:
            as_spark[name] = compat.spark_decoder(name, LARGEST_BLOB)
        except ValueError as error:
            raise BundleError(f"Writing an open copy into {path}: {error}.") from error
    with contextlib.ExitStack() as stack:
        fresh = stack.enter_context(new_folder(f"Writing an open copy into {path}", bundle, path))
        loaded = stack.enter_context(loaded_slice(bundle, fresh))
        backend = backend_of(loaded)
        catalog = read_catalog(loaded, manifest)
        stack.enter_context(backend.as_sent(loaded))
        database = stack.enter_context(contextlib.closing(Database(fresh)))
        names = [entry["name"] for entry in manifest["tables"] if not catalog.tables[entry["name"]].is_view]
        tables = [catalog.tables[name] for name in names]
        named = [(one.full_name, one.schema, one.name) for one in tables if _is_told_apart(one)]
        relations = relations_of(named)
        total = len(tables) + len(replayable(manifest))
        told = progress or (lambda done, of: None)

        backend.reading_tables(loaded)
        with backend.one_moment(loaded), contextlib.closing(backend.replayer(loaded)) as replayer:
            copying = TableCopies(replayer, loaded, backend.dialect, fresh, database, as_spark)
            made = []
            for table in tables:
                made.append(copying.copy(table, relations.get(table.full_name)))
                told(len(made), total)

        copied = Copied(catalog, relations, copying.columns)
        recorded = read_digests(bundle.path)
        backend.set_session(loaded, session_of(manifest, recorded, backend))
        database.lock()
        with backend.one_moment(loaded), contextlib.closing(backend.replayer(loaded)) as replayer:
            asking = _Statements(replayer, loaded, copied, database)
            statements = []
            for one, entries in replayable(manifest).items():
                statements.append(asking.copy(one, entries))
                told(len(tables) + len(statements), total)
        rows = first_rows(loaded, catalog, manifest, recorded) if manifest.get("first_rows") else None
        statements += _not_replayed(manifest)
        statements.sort(key=lambda one: one.numbers)

        database.insert_own("_statements", [_row_of(one) for one in statements])
        database.insert_own("_columns", list(_columns_of(made, copying.columns)))
        database.insert_own("_decoded", list(_decoded_of(made)))
        database.insert_own("_keys", list(_keys_of(manifest, relations)))
        found = OpenCopy(path, tuple(made), tuple(statements))
        text = render(
            "open-copy.md.j2",
            paper=manifest["paper"],
            copy=found,
            file=DATABASE_FILE,
            decoded=[(table, one) for table in made for one in table.decoded],
            maker=maker(),
            example=_example(made),
            lacking=[one for one in statements if not one.view],
            careful=[one for one in statements if one.view and one.cautions],
            most=LISTED,
        )
        atomic.write(fresh / "README.md", text)
        atomic.write(fresh / REPORT_FILE, page_html(manifest, found, rows))
        database.close()  # its file is whole then
        written = [(one, catalog.tables[one.name], copying.columns[one.name]) for one in made]
        describe(fresh, manifest, written, OTHERS)
    return found


class TableCopies:
    """Copies tables, one after the other."""

    def __init__(
        self,
        replayer: Replayer,
        loaded: Any,
        dialect: Dialect,
        folder: Path,
        database: Database,
        as_spark: Mapping[str, Callable[[bytes], Any]],
    ) -> None:
        self._replayer, self._loaded, self._dialect = replayer, loaded, dialect
        self._folder, self._database = folder / TABLES, database
        self._folder.mkdir(0o700)
        self._decoded_folder, self._as_spark = folder / DECODED, as_spark
        self._files: set[str] = set()
        self._decoded_files: set[str] = set()
        self.columns: dict[str, tuple[Kept, ...]] = {}

    def copy(self, table: Table, relation: Relation | None) -> CopiedTable:
        columns = tuple(self._kept(table))
        file = f"{_new_name(f'{table.schema}.{table.name}', self._files)}.parquet"
        rows, sizes, blobs = self._write(table, columns, self._folder / file)
        if relation is not None:
            large = {place for place, size in enumerate(sizes.largest) if size > LARGEST}
            columns = tuple(
                one.without_values() if place in large else one for place, one in enumerate(columns)
            )
            with self._database.filling(table.full_name):
                room = max((size for size in sizes.largest if size <= LARGEST), default=0)
                self._database.make_room(len(columns), room)
                self._database.create(relation, table.comment, columns)
                self._database.insert(relation, columns, self._folder / file)
        self.columns[table.full_name] = columns
        return CopiedTable(
            table.full_name,
            f"{TABLES}/{file}",
            "" if relation is None else dotted(relation),
            rows,
            tuple((one.column.name, one.note) for one in columns if one.note),
            tuple(self._decoded(table, columns, self._folder / file, blobs)),
        )

    def _decoded(
        self, table: Table, columns: Sequence[Kept], file: Path, blobs: Mapping[str, Seen]
    ) -> Iterator[DecodedColumn]:
        """Write the decoded values of the columns of blobs."""
        for one in columns:
            seen = blobs.get(one.column.name)
            if seen is None or not seen.values:
                continue
            as_spark = self._as_spark.get(declared_type(one.column.comment))
            if as_spark is None and not seen.decodable:
                yield DecodedColumn(one.column.name, "", "", seen.values, seen.values)
                continue
            self._decoded_folder.mkdir(0o700, exist_ok=True)
            name = _new_name(f"{table.schema}.{table.name}.{one.column.name}", self._decoded_files)
            found = write_decoded(file, self._decoded_folder / name, table.primary_key, one, as_spark)
            yield replace(found, path=found.path and f"{DECODED}/{found.path}")

    def _write(
        self, table: Table, columns: Sequence[Kept], path: Path
    ) -> tuple[int, parquet.Sizes, dict[str, Seen]]:
        """Write a table's file; the number of its rows, how large they are, and what its columns of blobs have."""
        schema = parquet.schema_of(columns, _about(table))
        read = ", ".join(one.selected(self._dialect) for one in columns)
        rows, sizes = 0, parquet.Sizes()
        blobs = {place: Seen() for place, one in enumerate(columns) if is_blob(one)}
        new_file(path).close()
        with parquet.Writer(path, schema, parquet.long_names(columns)) as writer:
            found = self._rows(f"SELECT {read} FROM {table.full_name}", table)
            blocks = found.blocks(parquet.BATCH_BYTES)
            for batch in parquet.batches(table.full_name, blocks, columns, schema):
                writer.add(batch)
                sizes.add(batch)
                rows += batch.num_rows
                for place, seen in blobs.items():
                    seen.add(batch.column(place))
        return rows, sizes, {columns[place].column.name: seen for place, seen in blobs.items()}

    def _kept(self, table: Table) -> Iterator[Kept]:
        read = ", ".join(self._dialect.quote(column.name) for column in table.columns)
        kinds = self._rows(f"SELECT {read} FROM {table.full_name} LIMIT 0", table).columns
        without_date = self._without_date(table)
        for column, kind in zip(table.columns, kinds, strict=True):
            yield kept(column, without_date.get(column.name, 0), kind.kind, self._dialect.name)

    def _without_date(self, table: Table) -> dict[str, int]:
        """By column of dates, how many values are no date of the calendar: parts are zero, or the month is shorter.

        On PostgreSQL, how many the type in Parquet does not have, of any column that can have such.
        """
        if self._dialect.name == postgresql.NAME:
            conditions = {
                one.name: condition
                for one in table.columns
                if (condition := postgresql.lacking_in(one, self._dialect.quote(one.name)))
            }
            return self._counted(table, conditions)
        dated = [one.name for one in table.columns if one.data_type in ("date", "datetime", "timestamp")]
        conditions = {
            one: f"{name} IS NOT NULL AND (YEAR({name}) = 0 OR MONTH({name}) = 0 OR DAYOFMONTH({name}) = 0"
            f" OR COALESCE(DAYOFMONTH({name}) > DAYOFMONTH(LAST_DAY({name})), TRUE))"
            for one, name in zip(dated, map(self._dialect.quote, dated), strict=True)
        }
        return self._counted(table, conditions)

    def _counted(self, table: Table, conditions: Mapping[str, str]) -> dict[str, int]:
        """For each column, the number of rows that a condition holds for."""
        if not conditions:
            return {}
        counts = ", ".join(f"COUNT(CASE WHEN {one} THEN 1 END)" for one in conditions.values())
        (found,) = self._rows(f"SELECT {counts} FROM {table.full_name}", table)
        return dict(zip(conditions, map(int, found), strict=True))

    def _rows(self, sql: str, table: Table) -> Any:
        try:
            return self._replayer.result(self._loaded, sql)
        except (ConnectionLost, Refused, Interrupted) as error:
            raise BundleError(f"Reading {table.full_name} of the loaded slice: {error}") from error


def _is_told_apart(table: Table) -> bool:
    """Whether no two columns differ in case only, which DuckDB does not tell apart."""
    return len({column.name.lower() for column in table.columns}) == len(table.columns)


def _new_name(text: str, taken: set[str]) -> str:
    """The name of a file for a text, which is then taken too."""
    (name,) = distinct([file_name(text)], taken)
    taken.add(name)
    return name


class _Statements:
    """Runs statements on the server and in DuckDB."""

    def __init__(self, replayer: Replayer, loaded: Any, copied: Copied, database: Database) -> None:
        self._replayer, self._loaded = replayer, loaded
        self._copied, self._database = copied, database

    def copy(self, one: Replayed, entries: Sequence[Mapping[str, Any]]) -> CopiedStatement:
        first = entries[0]
        numbers = tuple(entry["number"] for entry in entries)
        about = CopiedStatement(numbers, first["analysis"], first["kind"], one.sql)
        try:
            result = self._replayer.result(self._loaded, one.sql, one.state, own=one.own)
            columns = result.columns
            answer = answers.as_sent(columns, result)
        except ConnectionLost as error:
            raise BundleError(f"Running statement {numbers[0]}: the server is gone ({error}).") from error
        except (Refused, Interrupted) as error:
            return replace(about, why_not=f"this server does not run it: {error}")
        about = replace(about, rows=answer.rows, received=as_received(entries, result.received))
        modes = self._replayer.session(self._loaded, one.state).modes if one.own else ()
        try:
            found = translate(one.sql, modes, self._copied)
        except Untranslated as error:
            return replace(about, why_not=str(error))
        cautions = (*found.cautions, *(["no row to compare"] if not answer.rows else []))
        about = replace(about, cautions=cautions, duckdb=found.sql)
        name = f"{first['analysis']}_{first['number']}_{title_of(first['tables'])}"
        comment = f"Statement {first['number']} of {first['analysis']} ({first['kind']})"
        try:
            ordered = all(entry["ordered"] for entry in entries)
            view = self._database.view(name, found.sql, columns, answer, ordered, comment)
        except Different as error:
            apart = why_apart({mark for entry in entries for mark in entry["marks"]})
            return replace(about, why_not=f"{error} ({apart})" if apart else str(error))
        return replace(about, view=view)


def _not_replayed(manifest: Mapping[str, Any]) -> list[CopiedStatement]:
    """The statements that cannot run on the slice, and why."""
    return [
        CopiedStatement(
            (entry["number"],),
            entry["analysis"],
            entry["kind"],
            entry["sql"],
            why_not=why_apart(entry["marks"]),
        )
        for entry in not_replayable(manifest)
    ]


def _about(table: Table) -> dict[str, str]:
    """What the file of a table says about it."""
    found = {"table": table.full_name, "comment": table.comment, "primary_key": ", ".join(table.primary_key)}
    return {name: text for name, text in found.items() if text}


def _row_of(one: CopiedStatement) -> tuple[Any, ...]:
    """A row of ``_statements``."""
    return (
        *(one.numbers[0], list(one.numbers), one.analysis, one.kind),
        *(one.view or None, one.why_not or None, list(one.cautions), one.rows, one.received),
        *(one.sql.encode(errors="replace").decode(), one.duckdb or None),
    )


def _columns_of(
    tables: Sequence[CopiedTable], columns: Mapping[str, Sequence[Kept]]
) -> Iterator[tuple[Any, ...]]:
    """Rows of ``_columns``."""
    for table in tables:
        for one in columns[table.name]:
            name, declared = one.column.name, one.column.column_type
            yield table.relation or None, table.path, name, declared, one.arrow, one.note or None


def _decoded_of(tables: Sequence[CopiedTable]) -> Iterator[tuple[Any, ...]]:
    """Rows of ``_decoded``."""
    for table in tables:
        for one in table.decoded:
            yield (
                table.relation or None,
                one.column,
                one.path or None,
                one.what or None,
                one.values,
                one.undecoded,
            )


def _keys_of(manifest: Mapping[str, Any], relations: Mapping[str, Relation]) -> Iterator[tuple[Any, ...]]:
    """Rows of ``_keys``."""
    for table in manifest["tables"]:
        if table["name"] in relations and table["primary_key"]:
            yield "primary", dotted(relations[table["name"]]), table["primary_key"], None, None
    for key in manifest["foreign_keys"]:
        if key["child"] in relations and key["parent"] in relations:
            child, parent = dotted(relations[key["child"]]), dotted(relations[key["parent"]])
            yield "foreign", child, key["columns"], parent, key["parent_columns"]


def _example(tables: Sequence[CopiedTable]) -> str:
    """A query that shows how the copy is opened, as a text in Python: of the last table with rows."""
    relation = next((one.relation for one in reversed(tables) if one.relation and one.rows), "_columns")
    return repr(f"SELECT * FROM {relation}")
