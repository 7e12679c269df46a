"""Bounds are exact, whatever the schema, the bounds and the statements.

The oracle reads no SQL of the project: which rows are outside it works out on lists, row by row and foreign key by
foreign key (`outside`); what a bounded slice holds is what `tests.reference` selects of a database without these rows,
less what statements read only there. Then the slice is loaded: foreign keys hold, and a statement that is not marked
``left-out`` returns what it did.

`SQLSPY_RANDOM_SETS` says how many sets to try (15 by default, a third as many of DataJoint's), `SQLSPY_RANDOM_SEED`
where to start.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, TypeAlias

import pymysql
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import dj_sqlspy as sqlspy
from dj_sqlspy.cascade.options import Bound
from dj_sqlspy.errors import SliceError
from dj_sqlspy.servers.tables import ForeignKey as Virtual
from dj_sqlspy.slices import Slice
from dj_sqlspy.slices.bounds import bounds_of
from tests import reference
from tests.lab import V2
from tests.random_algebra import FLAT, Trees
from tests.random_dj import Expressions, declare, random_definitions
from tests.random_schema import Choices, Schema, Table, random_rows, random_schema
from tests.random_sql import Grammar, Source, looped
from tests.reference import Database, Reference
from tests.reference_sql import Writer, database, place
from tests.trial import Bench, Outcome, random_sets, totals_of

SETS = int(os.environ.get("SQLSPY_RANDOM_SETS", "15"))
SEED = int(os.environ.get("SQLSPY_RANDOM_SEED", "1")) + 100 * V2  # each line of DataJoint tries others
SCHEMAS = 25

Places: TypeAlias = "dict[str, set[int]]"  # by table, rows by their place in its list


# ---------------------------------------------------------------- the oracle


def outside(known: Database, named: Mapping[str, set[int]]) -> Places:
    """The rows outside: those that a bound on their table does not name, and those that refer to one."""
    found: Places = {name: set() for name in known.rows}
    for name, places in named.items():
        found[name] = set(range(len(known.rows[name]))) - places
    while True:
        more = 0
        for fk in known.references:
            lost = [[known.rows[fk.parent][p][c] for c in fk.parent_columns] for p in found[fk.parent]]
            for place_, row in enumerate(known.rows[fk.child]):
                values = [row[c] for c in fk.columns]
                if place_ not in found[fk.child] and None not in values and values in lost:
                    found[fk.child].add(place_)
                    more += 1
        if not more:
            return found


def expected(known: Database, lost: Places, statements: Sequence[reference.Statement], parts: str) -> Places:
    """What the rules of docs/semantics.md select inside of bounds."""
    kept = {name: [p for p in range(len(rows)) if p not in lost[name]] for name, rows in known.rows.items()}
    inside = replace(known, rows={name: [known.rows[name][p] for p in kept[name]] for name in known.rows})
    of_inside, of_all = Reference(inside, statements, parts), Reference(known, statements, parts)
    read = {(name, kept[name].index(p)) for name, p in of_all.start if p not in lost[name]}
    of_inside.start &= read
    return {name: {kept[name][p] for p in places} for name, places in of_inside.slice().items()}


def justified(
    schema: Schema, known: Database, held: Places, read: set[str], parts: str, lost: Places
) -> Places:
    """Of the rows of a slice, those that stand in a table that a statement reads, and what these bring along."""
    found = {name: set(places) if name in read else set() for name, places in held.items()}
    while True:
        before = sum(map(len, found.values()))
        for fk in known.references:
            for child, row in enumerate(known.rows[fk.child]):
                values = [row[c] for c in fk.columns]
                for parent, other in enumerate(known.rows[fk.parent]):
                    if None in values or [other[c] for c in fk.parent_columns] != values:
                        continue
                    if child in found[fk.child]:
                        found[fk.parent].add(parent)
                    if fk.part and parts == "all" and parent in found[fk.parent]:
                        found[fk.child] |= {child} - lost[fk.child]
        if sum(map(len, found.values())) == before:
            return found


# ---------------------------------------------------------------- what is tried


def references(choices: Choices, schema: Schema, known: Database) -> tuple[Database, list[Virtual]]:
    """Now and then a reference that the database does not declare; it may close a circle, and may find nothing."""
    if not choices.chance(30):
        return known, []
    child, parent = choices.one(schema.tables), choices.one([table for table in schema.tables if table.key])
    free = [
        [c.name for c in child.columns if c.type == parent.column(k).type and c.kind != "j"]
        for k in parent.key
    ]
    if not all(free):
        return known, []
    columns = tuple(map(choices.one, free))
    if len(set(columns)) < len(columns):
        return known, []
    key = reference.ForeignKey(child.name, columns, parent.name, parent.key)
    virtual = Virtual("declared", child.full, columns, parent.full, parent.key, virtual=True)
    return replace(known, references=(*known.references, key)), [virtual]


def bounds(choices: Choices, schema: Schema, flavor: str) -> list[tuple[Table, str]]:
    """One or two bounds, on one table or on two: lists of keys, or any condition."""
    found = []
    for _ in range(choices.one([1, 1, 2])):
        table = choices.one([table for table in schema.tables if table.key])
        condition = ""
        if choices.chance(35):
            columns = [(column.name, column.kind) for column in table.columns]
            source = Source("b", columns, list(table.key), table)
            condition = Grammar(choices, schema, flavor).condition([source], None, choices.upto(1))
        found.append((table, condition))
    return found


def written(
    bench: Bench, choices: Choices, schema: Schema, rows: Any, known: Database, chosen: Any
) -> tuple[list[Bound], Places]:
    """The bounds as SELECTs, and the rows that they name, as the server says."""
    made, named = [], dict[str, set[int]]()
    for table, condition in chosen:
        if not condition:
            keys = [
                ", ".join(row[[c.name for c in table.columns].index(k)] for k in table.key)
                for row in rows[table.name]
                if choices.chance(60)
            ]
            condition = f"({', '.join(f'`{k}`' for k in table.key)}) IN ({', '.join(f'({k})' for k in keys)})"
            condition = condition if keys else "FALSE"
        sql = bench.text(schema, f"SELECT * FROM {table.full} AS b WHERE {condition}")
        key = ", ".join(
            f"UNIX_TIMESTAMP(`{k}`)" if table.column(k).type == "ts" else f"`{k}`" for k in table.key
        )
        there = {place_of(table, known, row) for row in bench.rows(f"SELECT {key} FROM ({sql}) AS `named`")}
        named.setdefault(table.name, set()).update(there)
        made.append(Bound(bench.text(schema, table.full), sql))
    return made, named


def place_of(table: Table, known: Database, row: Sequence[Any]) -> int:
    """The place of a row by its key as the server prints it."""
    types = [table.column(k).type for k in table.key]
    return place(
        table, known, tuple(int(v) if t in ("int", "big") else v for t, v in zip(types, row, strict=True))
    )


def placed(bench: Bench, schema: Schema, known: Database, cut: Slice) -> Places:
    """The rows of a slice; of a table without a primary key what its condition selects."""
    found: Places = {}
    for table in schema.tables:
        name = bench.text(schema, table.full)
        if table.key:
            found[table.name] = {place(table, known, key) for key in cut.keys(name)}
            continue
        entry, rows = cut.tables.get(name), known.rows[table.name]
        condition = entry.restriction if entry is not None and entry.rows else "FALSE"
        columns = [c for c in table.columns if c.type in ("int", "txt")]
        shown = ", ".join(f"`{c.name}`" for c in columns)
        there = {
            tuple(
                v if v is None else int(v) if c.type == "int" else v.casefold().rstrip(" ")
                for c, v in zip(columns, row, strict=True)
            )
            for row in bench.rows(f"SELECT {shown} FROM {name} WHERE {condition}")
        }
        found[table.name] = {i for i, row in enumerate(rows) if tuple(row[c.name] for c in columns) in there}
    return found


def virtual_in(bench: Bench, schema: Schema, virtual: Sequence[Virtual]) -> tuple[Virtual, ...]:
    return tuple(
        replace(fk, child=bench.text(schema, fk.child), parent=bench.text(schema, fk.parent))
        for fk in virtual
    )


def count(totals: Counter[str], cut: Slice | None, outcome: Outcome, lost: Places) -> None:
    totals.update(outcome.counts)
    totals["fall-backs"] += len(outcome.fallbacks)
    totals["rows outside"] += sum(map(len, lost.values()))
    if cut is not None:
        marked = [report for report in cut.statements if "left-out" in report.marks]
        totals["marked"] += len(marked)
        totals["unmarked"] += len(cut.statements) - len(marked)
        totals["rows in slices"] += sum(table.rows for table in cut.tables.values())
        if not any(lost.values()):
            assert not marked and not cut.left_out


# ---------------------------------------------------------------- exact: the reference


@pytest.mark.line("2.x")  # nothing here depends on it
def test_exact(bench: Bench, server: Any) -> None:
    totals: Counter[str] = Counter()
    start = time.time()

    @random_sets(SETS, SEED)
    @given(st.randoms(use_true_random=False), st.integers(0, SCHEMAS - 1))
    def trial(source: random.Random, number: int) -> None:
        choices = Choices(source)
        drawn = random_schema(Choices(random.Random(number + SCHEMAS * SEED)))
        schema = FLAT if choices.chance(25) else drawn
        rows = random_rows(choices, schema)
        statements = Trees(choices, schema).statements()
        parts = choices.one(["all", "all", "referenced"])
        bench.fill(schema, rows)
        known, virtual = references(choices, schema, database(schema, rows))
        chosen = bounds(choices, schema, server.flavor)
        writer, outcome = Writer(schema), Outcome()
        texts = [writer.statement(statement) for statement in statements]
        note("\n".join([f"{schema}", f"{rows}", parts, f"{virtual}", *texts]))
        taken, templates = [], []
        for statement, text in zip(statements, texts, strict=True):
            if bench.captured(schema, [text], outcome):
                taken.append(statement)
                templates.append(text)
        try:
            only, named = written(bench, choices, schema, rows, known, chosen)
        except pymysql.MySQLError as error:
            totals[f"bound refused {error.args[0]}"] += 1
            return
        note("\n".join(map(str, only)))
        lost = outside(known, named)
        captured = bench.captured(schema, templates, outcome)
        try:
            cut = bench.judge(
                schema, captured, outcome, parts, only=tuple(only), virtual=virtual_in(bench, schema, virtual)
            )
        except SliceError as error:
            assert "Bounding a slice" in str(error) and any(condition for _, condition in chosen), error
            totals["bound not analysed"] += 1
            return
        if cut is not None:
            assert not cut.fallbacks, cut.fallbacks
            found, wanted = placed(bench, schema, known, cut), expected(known, lost, taken, parts)
            for name in known.rows:
                assert found[name] == wanted[name], (
                    f"{name}: too many {[known.rows[name][p] for p in found[name] - wanted[name]]},"
                    f" too few {[known.rows[name][p] for p in wanted[name] - found[name]]}"
                )
        count(totals, cut, outcome, lost)

    trial()
    totals_of(totals, start)


# ---------------------------------------------------------------- any SELECT


@pytest.mark.line("2.x")
def test_raw_sql(bench: Bench, server: Any) -> None:
    totals: Counter[str] = Counter()
    start = time.time()

    @random_sets(SETS, SEED)
    @given(st.randoms(use_true_random=False), st.integers(0, SCHEMAS - 1))
    def trial(source: random.Random, number: int) -> None:
        choices = Choices(source)
        schema = random_schema(Choices(random.Random(number + SCHEMAS * (SEED * 1000))))
        rows = random_rows(choices, schema)
        statements = looped(choices, schema) if choices.chance(30) else []
        if choices.chance(30):
            statements += [f"SELECT * FROM {table.full}" for table in schema.tables if choices.chance(50)]
        for _ in range(1 + choices.upto(1)):
            statements.append(Grammar(choices, schema, server.flavor).statement(choices.one([0, 1, 1, 2])))
        parts = choices.one(["all", "all", "referenced"])
        bench.fill(schema, rows)
        known, virtual = references(choices, schema, database(schema, rows))
        chosen = bounds(choices, schema, server.flavor)
        note("\n".join([f"{schema}", f"{rows}", parts, f"{virtual}", *statements]))
        try:
            only, named = written(bench, choices, schema, rows, known, chosen)
        except pymysql.MySQLError as error:
            totals[f"bound refused {error.args[0]}"] += 1
            return
        note("\n".join(map(str, only)))
        outcome, lost = Outcome(), outside(known, named)
        captured = bench.captured(schema, statements, outcome)
        try:
            cut = bench.judge(
                schema, captured, outcome, parts, only=tuple(only), virtual=virtual_in(bench, schema, virtual)
            )
        except SliceError as error:
            assert "Bounding a slice" in str(error) and any(condition for _, condition in chosen), error
            totals["bound not analysed"] += 1
            return
        if cut is not None:
            inside_and_justified(bench, schema, known, cut, lost, parts)
        count(totals, cut, outcome, lost)

    trial()
    totals_of(totals, start)


def inside_and_justified(
    bench: Bench, schema: Schema, known: Database, cut: Slice, lost: Places, parts: str
) -> None:
    found = placed(bench, schema, known, cut)
    names = {bench.text(schema, table.full): table.name for table in schema.tables}
    read = {names[name] for report in cut.statements for name in report.tables}
    why = justified(schema, known, found, read, parts, lost)
    for name in known.rows:
        assert not found[name] & lost[name], (
            f"{name}: {[known.rows[name][p] for p in found[name] & lost[name]]}"
        )
        assert found[name] == why[name], f"{name}: {[known.rows[name][p] for p in found[name] ^ why[name]]}"


# ---------------------------------------------------------------- DataJoint


@pytest.fixture(scope="module")
def declared(bench: Bench, dj_conn: Any) -> list[tuple[Schema, SimpleNamespace]]:
    """A few random schemas, declared with the line of DataJoint that is installed."""
    out = []
    for number in range(4):
        schema, definitions = random_definitions(Choices(random.Random(SEED * 100 + number)))
        made: list[SimpleNamespace] = []
        bench.place(schema, lambda name: made.append(declare(definitions, name, dj_conn)))  # noqa: B023
        out.append((schema, made[0]))
    return out


def test_datajoint(bench: Bench, declared: Any, dj_conn: Any, tmp_path_factory: Any) -> None:
    """Bounds and fetches as users write them."""
    totals: Counter[str] = Counter()
    start = time.time()
    home = tmp_path_factory.mktemp("home")

    @random_sets(max(1, SETS // 3), SEED)
    @given(st.randoms(use_true_random=False), st.integers(0, len(declared) - 1))
    def trial(source: random.Random, number: int) -> None:
        choices = Choices(source)
        schema, tables = declared[number]
        names = bench.names(schema, False)["A"]
        rows = random_rows(choices, schema)
        bench.fill(schema, rows)
        grammar = Expressions(choices, tables, schema)
        texts = [grammar.fetch() for _ in range(1 + choices.upto(2))]
        chosen = []
        for _ in range(choices.one([1, 1, 2])):
            table = choices.one(schema.tables)
            text = f"{'.'.join(part.upper() for part in table.name.split('__'))}()"
            made = grammar.evaluate(text)
            restriction = choices.one(
                [grammar.condition(made), grammar.condition(made), grammar.expression(1)]
            )
            chosen.append((table, f"{text} & {restriction}"))
        note("\n".join([*texts, *(text for _, text in chosen)]))
        with sqlspy.export("random", "set", home=home) as session:
            for text in texts:
                try:
                    grammar.evaluate(text.replace("SCHEMA_A", names))
                except Exception as error:  # DataJoint or the server refuses it, and so it does not count
                    totals[f"refused {type(error).__name__}"] += 1
        known, named, only = database(schema, rows), dict[str, set[int]](), []
        for table, text in chosen:
            try:
                made = grammar.evaluate(text.replace("SCHEMA_A", names))
                bound = bounds_of([made])
                key = ", ".join(f"`{k}`" for k in table.key)
                there = bench.rows(f"SELECT {key} FROM ({bound[0].sql}) AS `named`")
            except Exception as error:
                totals[f"bound refused {type(error).__name__}"] += 1
                continue
            only += bound
            named.setdefault(table.name, set()).update(place_of(table, known, row) for row in there)
        outcome, lost = Outcome(), outside(known, named)
        captured = [
            (statement, statement.sql.replace(names, "SCHEMA_A"), bench.rows(statement.sql))
            for statement in session.statements
        ]
        parts = choices.one(["all", "all", "referenced"])
        cut = bench.judge(schema, captured, outcome, parts, only=tuple(only))
        if cut is not None:
            inside_and_justified(bench, schema, known, cut, lost, parts)
        count(totals, cut, outcome, lost)
        assert not outcome.fallbacks, f"fell back: {outcome.fallbacks}"

    trial()
    totals_of(totals, start)
