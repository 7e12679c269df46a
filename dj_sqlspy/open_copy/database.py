"""Database: ``slice.duckdb``, with the tables of the slice and a view for each statement that DuckDB answers alike.

In: Parquet files, and statements in DuckDB's SQL with the server's answers. Out: the file. A view whose answer differs
is not made. Texts of a bundle are a stranger's: before the first one is run, DuckDB loses its access to files,
networks, extensions and this process' variables, and each has `LONGEST` seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from ..errors import BundleError
from ..servers.results import ResultColumn
from . import answers
from .columns import Kept
from .parquet import TOGETHER
from .result import DATABASE_FILE
from .titles import distinct
from .translate import Relation

LONGEST = 60  # seconds of a statement
MEMORY = 150 << 20  # for a table of small values; more goes to the disk
COLUMN_MEMORY = 512 << 10  # for each of its columns, of which DuckDB holds two blocks
# Most bytes of a column that lie close together (`parquet.Sizes`). They take twice that memory.
LARGEST = 400 << 20
# Rows of a row group, which DuckDB has in memory while it fills it (usually 122,880).
GROUP_ROWS = 4 * TOGETHER
READ_BY = "v1.2.0"  # the oldest DuckDB that reads the file
_RESERVED = frozenset({"slice", "system", "temp", "information_schema", "pg_catalog"})
_LOCKED = (
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET lock_configuration = true",
)
_OWN_TABLES = {
    "_statements": "number BIGINT, numbers BIGINT[], analysis VARCHAR, kind VARCHAR, view VARCHAR, why_not VARCHAR,"
    " cautions VARCHAR[], rows BIGINT, as_received BOOLEAN, sql VARCHAR, duckdb VARCHAR",
    "_columns": "relation VARCHAR, file VARCHAR, name VARCHAR, type VARCHAR, kept_as VARCHAR, note VARCHAR",
    "_decoded": "relation VARCHAR, name VARCHAR, file VARCHAR, kept_as VARCHAR, values BIGINT, undecoded BIGINT",
    "_keys": "kind VARCHAR, relation VARCHAR, columns VARCHAR[], refers_to VARCHAR, refers_to_columns VARCHAR[]",
}


class Different(Exception):
    """A statement that DuckDB does not answer as the server did; the message says how."""


def quote(name: str) -> str:
    """A name in DuckDB's SQL.

    >>> quote('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def dotted(relation: Relation) -> str:
    """Schema and name in DuckDB's SQL."""
    return ".".join(map(quote, relation))


def relations_of(tables: Sequence[tuple[str, str, str]]) -> dict[str, Relation]:
    """The schema and name in DuckDB of tables, given as full name, schema and name.

    DuckDB compares names without case, so of two that differ in nothing else the second is left out.

    >>> relations_of([("a", "lab", "T1"), ("b", "lab", "t1"), ("c", "slice", "t")])
    {'a': ('lab', 'T1'), 'c': ('slice_', 't')}
    """
    found: dict[str, Relation] = {}
    taken = {("main", name) for name in _OWN_TABLES}
    schemas = {schema.lower() for _, schema, _ in tables}
    for full_name, schema, name in tables:
        place = schema
        while place.lower() in _RESERVED or (place != schema and place.lower() in schemas):
            place += "_"
        if (place.lower(), name.lower()) not in taken:
            taken.add((place.lower(), name.lower()))
            found[full_name] = place, name
    return found


class Database:
    """A new ``slice.duckdb`` in a folder."""

    def __init__(self, folder: Path) -> None:
        path = folder / DATABASE_FILE
        self._connection = duckdb.connect()
        kept = f"STORAGE_VERSION '{READ_BY}', ROW_GROUP_SIZE {GROUP_ROWS}"
        self._run(f"ATTACH {_text(str(path))} AS slice ({kept})")
        self._run("USE slice")
        self._run("DETACH memory")  # which a schema can have as its name
        path.chmod(0o600)
        self._run("SET threads = 1")  # each takes memory of its own
        self._run("SET temp_directory = ?", [str(folder / "spilled")])
        for name, columns in _OWN_TABLES.items():
            self._run(f"CREATE TABLE main.{quote(name)} ({columns})")
        self._views: set[str] = set()

    @contextlib.contextmanager
    def filling(self, name: str) -> Iterator[None]:
        """In a block, errors of DuckDB say with which table."""
        try:
            yield
        except duckdb.Error as error:
            raise BundleError(
                f"Writing {name} into {DATABASE_FILE}: {error}. Nothing was written. See that the disk has room, or use"
                " another version of DuckDB."
            ) from error

    def close(self) -> None:
        """Write everything into the file."""
        self._connection.close()

    def _run(self, sql: str, arguments: Sequence[Any] | None = None) -> Any:
        return self._connection.execute(sql, arguments)

    # ---------------------------------------------------------------- tables

    def create(self, relation: Relation, comment: str, columns: Sequence[Kept]) -> None:
        """Create a table, with the comments of the server's, before rows are added to it."""
        self._run(f"CREATE SCHEMA IF NOT EXISTS {quote(relation[0])}")
        declared = ", ".join(f"{quote(one.column.name)} {one.duckdb}" for one in columns)
        self._run(f"CREATE TABLE {dotted(relation)} ({declared})")
        if comment:
            self._run(f"COMMENT ON TABLE {dotted(relation)} IS {_text(comment)}")
        for one in columns:
            if one.column.comment:
                name = f"{dotted(relation)}.{quote(one.column.name)}"
                self._run(f"COMMENT ON COLUMN {name} IS {_text(one.column.comment)}")

    def make_room(self, columns: int, size: int = LARGEST) -> None:
        """Allow the memory for a table of so many columns, and so many bytes of one of them that lie close together."""
        self._run(f"SET memory_limit = '{MEMORY + columns * COLUMN_MEMORY + 2 * size}B'")

    def insert(self, relation: Relation, columns: Sequence[Kept], file: Path) -> None:
        """Add the rows of a Parquet file to a table, all at once: after each commit DuckDB writes the last rows again.

        DuckDB reads it itself: with record batches it takes twice the memory.
        """
        values = ", ".join(map(_inserted, columns))
        path = "".join(f"[{one}]" if one in "*?[" else one for one in str(file))  # else a pattern
        read = f"read_parquet({_text(path)}, hive_partitioning = false)"
        self._run(f"INSERT INTO {dotted(relation)} SELECT {values} FROM {read}")

    def insert_own(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows to one of the tables about the copy."""
        if rows:
            places = ", ".join("?" * len(rows[0]))
            self._connection.executemany(f"INSERT INTO main.{quote(table)} VALUES ({places})", rows)

    # ---------------------------------------------------------------- views

    def lock(self) -> None:
        """Take the access to anything but this database away."""
        self.make_room(0)
        for sql in _LOCKED:
            self._run(sql)

    def view(
        self,
        name: str,
        sql: str,
        columns: Sequence[ResultColumn],
        answer: answers.Answer,
        ordered: bool,
        comment: str,
    ) -> str:
        """Make a view of a statement, and return its name, if it gives the server's answer.

        Raises
        ------
        Different
            If it does not, or DuckDB cannot run it.
        """
        name = self._free(re.sub(r"\W+", "_", name).strip("_"))
        try:
            with self._in_time():
                types = [row[1] for row in self._run(f"DESCRIBE {sql}").fetchall()]
                if len(types) != len(columns):
                    raise Different(f"DuckDB returns {len(types)} columns, the server {len(columns)}")
                self._run(f"CREATE VIEW main.{quote(name)} AS {_as_on_server(sql, columns, types)}")
                try:
                    self._compare(name, columns, answer, ordered)
                except BaseException:
                    self._run(f"DROP VIEW main.{quote(name)}")
                    raise
                self._run(f"COMMENT ON VIEW main.{quote(name)} IS {_text(comment)}")
        except (
            duckdb.FatalException,
            duckdb.InternalException,
        ) as error:  # the database cannot be used any more
            raise BundleError(
                f"Running {comment} in DuckDB: {str(error).splitlines()[0]}. Leave the statement out of the bundle"
                " (write --skip-statements), or use another version of DuckDB."
            ) from error
        except duckdb.InterruptException as error:
            raise Different(f"DuckDB needs more than {LONGEST} seconds") from error
        except duckdb.Error as error:
            raise Different(f"DuckDB: {str(error).splitlines()[0]}") from error
        self._views.add(name.lower())
        return name

    def _compare(
        self, name: str, columns: Sequence[ResultColumn], answer: answers.Answer, ordered: bool
    ) -> None:
        cursor = self._run(f"SELECT * FROM main.{quote(name)}")
        found = answers.as_returned(columns, itertools.islice(_fetched(cursor), answer.rows + 1))
        if how := answers.difference(columns, answer, found, ordered):
            raise Different(how)

    def _free(self, name: str) -> str:
        while name.lower() in self._views:
            name += "_"
        return name

    @contextlib.contextmanager
    def _in_time(self) -> Iterator[None]:
        timer = threading.Timer(LONGEST, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _inserted(one: Kept) -> str:
    name = quote(one.column.name)
    if one.too_large:
        return "NULL"
    if one.form == "time":
        return f"to_microseconds({name})"
    # without a zone: what shows a TIMESTAMPTZ depends on who looks
    return f"make_timestamp(epoch_us({name}))" if one.arrow.endswith("UTC]") else name


def _fetched(cursor: Any) -> Iterator[Sequence[Any]]:
    while rows := cursor.fetchmany(1000):
        yield from rows


def _as_on_server(sql: str, columns: Sequence[ResultColumn], types: Sequence[str]) -> str:
    """The statement with the names of the server's columns, and its types of numbers where DuckDB has others."""
    names = distinct([column.name for column in columns])
    inner = [f"c{number}" for number in range(1, len(columns) + 1)]
    shown = [
        f"{_number(place, column, kind)} AS {quote(name)}"
        for place, column, kind, name in zip(inner, columns, types, names, strict=True)
    ]
    return f"SELECT {', '.join(shown)} FROM ({sql}) AS q({', '.join(inner)})"


def _number(place: str, column: ResultColumn, kind: str) -> str:
    """A column of a result as the kind of number that the server returns.

    >>> def of(kind, **more):
    ...     return _number("c1", ResultColumn("n", "number", "", "", **more), kind)
    >>> of("BIGINT", decimals=0), of("BOOLEAN", decimals=0), of("DOUBLE", decimals=4), of("DECIMAL(9,2)", digits=17)
    ('c1', 'CAST(c1 AS BIGINT)', 'CAST(c1 AS DECIMAL(38, 4))', 'CAST(c1 AS DOUBLE)')
    """
    if column.kind != "number" or not (kind in _INTEGERS or kind in _OTHERS or kind.startswith("DECIMAL(")):
        return place
    if column.declared == "numeric":  # of PostgreSQL, with any number of decimals
        return place
    if column.digits is not None:
        wanted, same = "DOUBLE", kind == "DOUBLE"
    elif column.decimals:
        wanted = f"DECIMAL(38, {min(column.decimals, 38)})"
        same = kind.endswith(f",{column.decimals})")
    else:
        wanted = "BIGINT" if kind == "BOOLEAN" else "DECIMAL(38, 0)"
        same = kind in _INTEGERS or kind.endswith(",0)")
    return place if same else f"CAST({place} AS {wanted})"


_INTEGERS = frozenset(
    f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
)
_OTHERS = frozenset({"BOOLEAN", "FLOAT", "DOUBLE"})
