"""A trial of the promise on a real server: slice, load into twins of the schemas, replay, compare.

In: a `random_schema.Schema` with rows, and statements as text with ``SCHEMA_A`` and ``SCHEMA_B`` in it. Out: an
`Outcome`, or an AssertionError that shows all of it. The twin schemas lie on the same server: the rows of the slice
are copied with INSERT … SELECT under the conditions that `TableSlice.conditions` gives. What is compared with what
is read here directly from the server, not through the project.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pymysql
from hypothesis import HealthCheck, Phase, seed, settings

from dj_sqlspy.journal import Statement
from dj_sqlspy.servers.mysql import wire
from dj_sqlspy.servers.mysql.dialect import MYSQL
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.servers.results import Received
from dj_sqlspy.slices import Slice, make_slice
from tests.random_schema import Rows, Schema, create_sql, insert_sql

# As DataJoint sets it.
SQL_MODE = (
    "NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,"
    "ONLY_FULL_GROUP_BY"
)
KEPT = 30  # pairs of schemas that stay on the server for the next trial


class Answered(NamedTuple):
    """What a statement returned, and what capture notes of it."""

    rows: Sequence[tuple[Any, ...]]
    noted: Received | None


# A statement, its text with SCHEMA_A and SCHEMA_B in it, and what the server answered.
Captured = tuple[Statement, str, Sequence[tuple[Any, ...]]]


def random_sets(number: int, start: int) -> Callable[[Any], Any]:
    """Settings of one run of hypothesis: so many sets; another start gives others."""

    def decorate(function: Any) -> Any:
        chosen = settings(
            max_examples=number,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
        )
        return seed(start)(chosen(function))

    return decorate


def totals_of(totals: Counter[str], start: float) -> None:
    """Print what a run counted, and how long it took."""
    totals["seconds"] = round(time.time() - start)
    print(dict(totals.most_common()))


@dataclass
class Outcome:
    """What became of the statements of one trial: counted, by what it was."""

    counts: Counter[str] = field(default_factory=Counter)
    fallbacks: list[tuple[str, str]] = field(default_factory=list)  # reason, statement
    refused: list[tuple[str, str]] = field(default_factory=list)  # error, statement


def answer(rows: Iterable[Sequence[Any]], ordered: bool) -> Any:
    """Rows in a form that can be compared: of texts that a collation finds equal either can be the one shown."""
    plain = [tuple(v.casefold().rstrip(" ") if isinstance(v, str) else v for v in row) for row in rows]
    return plain if ordered else Counter(plain)


class Bench:
    """Connections to one server, and the schemas that trials put there."""

    error: type[Exception] = pymysql.MySQLError  # what the driver says where the server refuses a statement
    full_name = staticmethod(MYSQL.full_name)
    create_sql = staticmethod(create_sql)

    def __init__(self, server: Any, prefix: str) -> None:
        self.prefix = prefix
        self.server = server
        self.connection = self._connect()
        self.slicer = self._connect()
        self.cursor = self.connection.cursor()
        self.placed: dict[Schema, int] = {}
        self.count = 0

    def _connect(self) -> Any:
        connection = pymysql.connect(
            host=self.server.host,
            port=self.server.port,
            user=self.server.user,
            password=self.server.password,
            charset="utf8mb4",
            autocommit=True,
            conv=plain_decoders(),
            sql_mode=SQL_MODE,
            # a slow plan for a table of six rows is none; MySQL's exhaustive search for the best one can take hours
            init_command="SET SESSION optimizer_search_depth = 4",
        )
        return connection

    def close(self) -> None:
        for schema in list(self.placed):
            self._remove(schema)
        self.connection.close()
        self.slicer.close()

    def code(self, error: Exception) -> Any:
        """The number of an error."""
        return error.args[0]

    # -------------------------------------------------- schemas

    def names(self, schema: Schema, twin: bool) -> dict[str, str]:
        number = self.placed[schema]
        return {side: f"{self.prefix}{number}{side.lower()}{'_twin' * twin}" for side in "AB"}

    def text(self, schema: Schema, sql: str, twin: bool = False) -> str:
        for side, name in self.names(schema, twin).items():
            sql = sql.replace(f"SCHEMA_{side}", name)
        return sql

    def place(self, schema: Schema, create: Callable[[str], None] | None = None) -> None:
        """Create the schemas and their twins, unless they are there from another trial.

        With ``create``, the tables are what it makes in the database schema that it is given.
        """
        if schema in self.placed:
            self.placed[schema] = self.placed.pop(schema)  # the one used last comes last
            return
        while len(self.placed) >= KEPT:
            self._remove(next(iter(self.placed)))
        self.count += 1
        self.placed[schema] = self.count
        for twin in (False, True):
            for name in self.names(schema, twin).values():
                self.make_schema(name)
            if create is not None:
                create(self.names(schema, twin)["A"])
                continue
            self.execute(self.text(schema, sql, twin) for sql in self.create_sql(schema))

    def _remove(self, schema: Schema) -> None:
        with self.unchecked():
            for twin in (False, True):
                for name in self.names(schema, twin).values():
                    self.drop_schema(name)
        del self.placed[schema]

    def make_schema(self, name: str) -> None:
        self.cursor.execute(f"CREATE DATABASE `{name}`")

    def drop_schema(self, name: str) -> None:
        self.cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")

    @contextlib.contextmanager
    def unchecked(self) -> Iterator[None]:
        """In a block, no foreign key is checked."""
        self.cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        yield
        self.cursor.execute("SET FOREIGN_KEY_CHECKS = 1")

    def use(self, schema: Schema, twin: bool) -> None:
        """Make a schema the one of names without a schema."""
        self.connection.select_db(self.names(schema, twin)["A"])

    def clear(self, schema: Schema, twin: bool) -> None:
        self.use(schema, twin)
        with self.unchecked():
            self.execute([self.text(schema, f"DELETE FROM {table.full}", twin) for table in schema.tables])

    def fill(self, schema: Schema, rows: Rows) -> None:
        self.place(schema)
        self.clear(schema, twin=False)
        self.execute([self.text(schema, sql) for sql in insert_sql(schema, rows)])

    def execute(self, texts: Iterable[str]) -> None:
        """Run statements that return nothing."""
        for sql in texts:
            self.cursor.execute(sql)

    def rows(self, sql: str) -> Sequence[tuple[Any, ...]]:
        self.cursor.execute(sql)
        result: Sequence[tuple[Any, ...]] = self.cursor.fetchall()
        return result

    def rows_in(self, state: Sequence[str], database: str, sql: str) -> Answered:
        """What a statement returns on a connection of its own, after these texts; and the digest of a capture."""
        with contextlib.closing(self._connect()) as connection, connection.cursor() as cursor:
            connection.select_db(database)
            for text in state:
                cursor.execute(text)
            connection._read_query_result = wire.reader_of(connection)
            cursor.execute(sql)
            return Answered(cursor.fetchall(), wire.received(connection))

    # -------------------------------------------------- trials

    def trial(self, schema: Schema, rows: Rows, statements: Sequence[str], *, parts: str = "all") -> Outcome:
        """Fill the schemas, run the statements, and `judge`."""
        self.fill(schema, rows)
        outcome = Outcome()
        self.judge(schema, self.captured(schema, statements, outcome), outcome, parts)
        return outcome

    def captured(self, schema: Schema, statements: Sequence[str], outcome: Outcome) -> list[Captured]:
        """The statements that the server takes, with its answers."""
        captured: list[Captured] = []
        for template in statements:
            sql = self.text(schema, template)
            try:
                result = self.rows(sql)
            except self.error as error:
                outcome.counts[f"refused {self.code(error)}"] += 1
                outcome.refused.append((str(error.args), template))
                continue
            kind = "exists" if template.startswith("SELECT EXISTS") else "data"
            captured.append(
                (Statement(sql, len(result), kind=kind, number=len(captured) + 1), template, result)
            )
        return captured

    def judge(
        self, schema: Schema, captured: Sequence[Captured], outcome: Outcome, parts: str, **options: Any
    ) -> Slice | None:
        """Slice, load and replay; raises AssertionError where the promise is broken.

        Of parts it says nothing where the slice has bounds (``only``): those outside are not there.
        """
        cut = make_slice([statement for statement, _, _ in captured], self.slicer, parts=parts, **options)
        if not cut.statements:
            outcome.counts["empty sets"] += 1
            return None
        self.load(schema, cut)
        self.check_counts(schema, cut)
        self.check_intact(schema, "referenced" if options.get("only") else parts)
        self.replay(schema, cut, captured, outcome)
        outcome.counts["sets"] += 1
        return cut

    def load(self, schema: Schema, cut: Slice) -> None:
        self.clear(schema, twin=True)
        source, target = self.names(schema, False), self.names(schema, True)
        twins = {source[side]: target[side] for side in "AB"}
        with self.unchecked():
            self.execute(
                f"INSERT INTO {self.full_name(twins[table.table.schema], table.table.name)}"
                f" SELECT * FROM {name} WHERE {condition}"
                for name, table in cut.tables.items()
                for condition in table.conditions(100_000)
            )

    def check_counts(self, schema: Schema, cut: Slice) -> None:
        asked = [(name, table) for name, table in cut.tables.items()]
        source, target = self.names(schema, False), self.names(schema, True)
        twins = {source[side]: target[side] for side in "AB"}
        counts = " UNION ALL ".join(
            f"SELECT {i}, COUNT(*) FROM {self.full_name(twins[table.table.schema], table.table.name)}"
            for i, (_, table) in enumerate(asked)
        )
        for index, count in self.rows(counts) if asked else ():
            name, table = asked[int(index)]
            assert int(count) == table.rows, f"{name}: the slice says {table.rows} rows, {count} were loaded"

    def check_intact(self, schema: Schema, parts: str) -> None:
        """No orphan for any foreign key; with all parts asked for, no master without one that it has."""
        questions: dict[str, str] = {}
        for table in schema.tables:
            for reference in table.references:
                parent = schema.table(reference.parent)
                on = " AND ".join(
                    f"p.`{p}` = c.`{c}`"
                    for c, p in zip(reference.columns, reference.parent_columns, strict=True)
                )
                present = " AND ".join(f"c.`{c}` IS NOT NULL" for c in reference.columns)
                sql = (
                    f"SELECT COUNT(*) FROM {table.full} AS c LEFT JOIN {parent.full} AS p ON {on}"
                    f" WHERE {present} AND p.`{reference.parent_columns[0]}` IS NULL"
                )
                what = f"orphans of {table.name} {reference}"
                questions[what] = self.text(schema, sql, twin=True)
                if parts == "all" and table.master == parent.name and reference == table.references[0]:
                    twin = self.text(schema, parent.full, twin=True)
                    part_twin = self.text(schema, table.full, twin=True)
                    same = " AND ".join(f"t.`{k}` = c.`{k}`" for k in table.key)
                    missing = (
                        f"SELECT COUNT(*) FROM {self.text(schema, table.full)} AS c JOIN {twin} AS p ON {on}"
                        f" LEFT JOIN {part_twin} AS t ON {same} WHERE t.`{table.key[0]}` IS NULL"
                    )
                    questions[f"parts of {parent.name} missing in {table.name}"] = self.text(schema, missing)
        if not questions:
            return
        whats = list(questions)
        asked = " UNION ALL ".join(f"SELECT {i}, ({questions[what]})" for i, what in enumerate(whats))
        for index, count in self.rows(asked):
            assert int(count) == 0, f"{count} {whats[int(index)]}"

    def replay(
        self,
        schema: Schema,
        cut: Slice,
        captured: Sequence[Captured],
        outcome: Outcome,
    ) -> None:
        reports = {report.statement.number: report for report in cut.statements}
        for statement, template, result in captured:
            self.use(schema, True)
            report = reports.get(statement.number)
            if report is None:
                outcome.counts[f"kind {statement.kind}, exports nothing"] += 1
                continue
            assert not report.drifted, (
                f"{report.rows_then} rows became {report.rows_now} though nothing changed: {template}"
            )
            if report.fallback:
                outcome.fallbacks.append((report.fallback, template))
            text = self.text(schema, template, twin=True)
            again = (
                self.rows_in(statement.state, self.names(schema, True)["A"], text).rows
                if statement.state
                else self.rows(text)
            )
            then, now = answer(result, report.ordered), answer(again, report.ordered)
            if then == now:
                outcome.counts["equal"] += 1
            elif report.marks:
                outcome.counts[f"differs, marked {'+'.join(sorted(report.marks))}"] += 1
            else:
                bag, other = Counter(answer(result, False)), Counter(answer(again, False))
                raise AssertionError(
                    f"replayed with another result (ordered: {report.ordered}, fallback: {report.fallback}):\n"
                    f"{template}\nmissing: {bag - other}\nextra: {other - bag}"
                )
