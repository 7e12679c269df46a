"""Trials of the promise on PostgreSQL: `trial.Bench`, and random schemas as this server has them.

In: schemas of `random_schema` and text in which names stand in the quotes of MySQL. Out: what `trial` says. The two
database schemas and their twins are schemas of one database.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg2

from dj_sqlspy.servers.postgresql.connect import raw_connection
from dj_sqlspy.servers.postgresql.dialect import POSTGRESQL
from tests.random_schema import Rows, Schema
from tests.trial import Bench

# How the types of `random_schema.DOMAIN` are declared; all others as there. Some literals differ, too.
TYPES = {
    "big": "numeric(20)",
    "dec": "numeric(6,2)",
    "txt": "varchar(12)",
    "flt": "double precision",
    "bin": "bytea",
    "enm": "rnd_types.enm",
    "jsn": "jsonb",
    "int": "integer",
    "day": "date",
    "ts": "timestamp(3)",
}
_BYTES = re.compile(r"X'([0-9A-F]*)'")


def create_sql(schema: Schema) -> list[str]:
    """Statements that create the tables and views."""
    out = []
    for table in schema.tables:
        lines = [f"`{c.name}` {TYPES[c.type]}{' NOT NULL' * (not c.nullable)}" for c in table.columns]
        lines += [
            f"{word} ({', '.join(f'`{c}`' for c in key)})"
            for word, key in (("PRIMARY KEY", table.key), ("UNIQUE", table.unique))
            if key
        ]
        for reference in table.references:
            own, theirs = (
                ", ".join(f"`{c}`" for c in names) for names in (reference.columns, reference.parent_columns)
            )
            lines.append(f"FOREIGN KEY ({own}) REFERENCES {schema.table(reference.parent).full} ({theirs})")
        out.append(f"CREATE TABLE {table.full} ({', '.join(lines)})")
    return [*out, *(f"CREATE VIEW {view.full} AS {view.sql}" for view in schema.views)]


def spelled_alike(schema: Schema, rows: Rows) -> Rows:
    """The rows without the texts that only MySQL's collations find equal."""

    def alike(literal: str) -> str:
        return f"{literal[:-1].rstrip()}'".lower() if literal != "NULL" else literal

    return {
        table.name: [
            tuple(
                alike(literal) if column.type == "txt" else literal
                for column, literal in zip(table.columns, row, strict=True)
            )
            for row in rows[table.name]
        ]
        for table in schema.tables
    }


class PostgreSQLBench(Bench):
    """The same on PostgreSQL."""

    def __init__(self, server: Any, prefix: str) -> None:
        super().__init__(server, prefix)
        # of one type are the columns of a schema and those of its twin
        self.cursor.execute("DROP SCHEMA IF EXISTS rnd_types CASCADE; CREATE SCHEMA rnd_types")
        self.cursor.execute("CREATE TYPE rnd_types.enm AS ENUM ('p', 'q', 'r', 's', 't')")

    error = psycopg2.Error
    full_name = staticmethod(POSTGRESQL.full_name)
    create_sql = staticmethod(create_sql)

    def _connect(self) -> Any:
        connection = raw_connection(self.server.connect(), plain=True, options="-c statement_timeout=60000")
        return connection

    def close(self) -> None:
        for schema in list(self.placed):
            self._remove(schema)
        self.cursor.execute("DROP SCHEMA rnd_types CASCADE")
        super().close()

    def code(self, error: Exception) -> Any:
        assert isinstance(error, psycopg2.Error)
        return error.pgcode

    def text(self, schema: Schema, sql: str, twin: bool = False) -> str:
        return _BYTES.sub(r"'\\x\1'::bytea", super().text(schema, sql, twin).replace("`", '"'))

    def make_schema(self, name: str) -> None:
        self.cursor.execute(f'CREATE SCHEMA "{name}"')

    def drop_schema(self, name: str) -> None:
        self.cursor.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')

    @contextlib.contextmanager
    def unchecked(self) -> Iterator[None]:
        self.cursor.execute("SET session_replication_role = replica")
        yield
        self.cursor.execute("SET session_replication_role = origin")

    def execute(self, texts: Iterable[str]) -> None:
        """Run statements that return nothing, all at once."""
        if together := ";\n".join(texts):
            self.cursor.execute(together)

    def use(self, schema: Schema, twin: bool) -> None:
        """Statements name their schemas."""

    def fill(self, schema: Schema, rows: Rows) -> None:
        super().fill(schema, spelled_alike(schema, rows))

    def rows(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Rows as texts. Of zeros that are equal the server may show either."""
        return [tuple("0" if value == "-0" else value for value in row) for row in super().rows(sql)]
