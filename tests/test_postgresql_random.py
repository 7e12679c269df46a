"""Random statements keep the promise on PostgreSQL: sufficient, intact and minimal.

`SQLSPY_RANDOM_SETS` says how many sets of statements to try (30 by default), `SQLSPY_RANDOM_SEED` where to start.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import dj_sqlspy as sqlspy
from tests.random_algebra import FLAT, Trees
from tests.random_dj import Expressions, declare, random_definitions
from tests.random_postgresql import PostgreSQLGrammar
from tests.random_schema import Choices, Schema, random_rows, random_schema
from tests.reference_sql import PostgreSQLWriter
from tests.test_lineage_random import Case, chunks, profile
from tests.test_minimality import sliced
from tests.trial import Outcome, random_sets, totals_of
from tests.trial_postgresql import PostgreSQLBench, spelled_alike

# DataJoint 0.14 has no PostgreSQL
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("postgresql")]

SETS = int(os.environ.get("SQLSPY_RANDOM_SETS", "30"))
SEED = int(os.environ.get("SQLSPY_RANDOM_SEED", "1"))
SCHEMAS = 25


@pytest.fixture(scope="module")
def bench(server: Any) -> Iterator[PostgreSQLBench]:
    bench = PostgreSQLBench(server, "rnd")
    yield bench
    bench.close()


def plain(schema: Schema) -> Schema:
    """The schema without what only MySQL has."""
    return replace(schema, tables=tuple(replace(table, extras=()) for table in schema.tables))


def make_case(source: random.Random, number: int) -> Case:
    choices = Choices(source)
    schema = plain(random_schema(Choices(random.Random(number))))
    rows = random_rows(choices, schema)
    statements = []
    if choices.chance(40):  # they bring in rows that the others reject
        statements += [f"SELECT * FROM {table.full}" for table in schema.tables if choices.chance(50)]
    for _ in range(1 + choices.upto(3 if not statements else 1)):
        statements.append(
            PostgreSQLGrammar(choices, schema, "postgresql").statement(choices.one([0, 1, 1, 2]))
        )
    return Case(schema, rows, tuple(statements), choices.one(["all", "all", "all", "referenced"]))


@pytest.mark.parametrize("chunk", chunks(SETS))
def test_raw_sql(bench: PostgreSQLBench, chunk: int) -> None:
    totals: Counter[str] = Counter()
    start = time.time()

    @profile(chunk, SETS)
    @given(st.randoms(use_true_random=False), st.integers(0, SCHEMAS - 1))
    def trial(source: random.Random, number: int) -> None:
        case = make_case(source, number + SCHEMAS * (SEED * 1000 + chunk))
        note(repr(case))
        outcome = bench.trial(case.schema, case.rows, case.statements, parts=case.parts)
        totals.update(outcome.counts)
        for reason, statement in outcome.fallbacks:
            totals[f"fall-back: {expected(reason)}"] += 1
            assert expected(reason), f"an unexpected fall-back ({reason}) for\n{statement}"

    trial()
    totals_of(totals, start)


def test_minimal(bench: PostgreSQLBench) -> None:
    """A slice has exactly the rows of the rules in docs/semantics.md, which `tests.reference` evaluates."""
    totals: Counter[str] = Counter()
    start = time.time()

    @random_sets(SETS, SEED)
    @given(st.randoms(use_true_random=False), st.integers(0, SCHEMAS - 1))
    def trial(source: random.Random, number: int) -> None:
        choices = Choices(source)
        other = plain(random_schema(Choices(random.Random(number + SCHEMAS * SEED))))
        schema = FLAT if choices.chance(60) else other
        rows = spelled_alike(schema, random_rows(choices, schema))
        statements = Trees(choices, schema).statements()
        parts = choices.one(["all", "all", "referenced"])
        writer = PostgreSQLWriter(schema)
        note("\n".join([f"{schema}", f"{rows}", parts, *map(writer.statement, statements)]))
        sliced(bench, schema, rows, statements, parts, totals, PostgreSQLWriter)

    trial()
    totals_of(totals, start)


def test_datajoint(bench: PostgreSQLBench, dj_conn: Any, tmp_path_factory: Any) -> None:
    """Fetches from random expressions, captured by an export session as a user's are."""
    totals: Counter[str] = Counter()
    start = time.time()
    home = tmp_path_factory.mktemp("home")
    declared = []
    for number in range(3):
        schema, definitions = random_definitions(Choices(random.Random(SEED * 100 + number)))
        made: list[SimpleNamespace] = []
        bench.place(schema, lambda name: made.append(declare(definitions, name, dj_conn)))  # noqa: B023
        declared.append((schema, made[0]))

    @random_sets(SETS // 3, SEED)
    @given(st.randoms(use_true_random=False), st.integers(0, len(declared) - 1))
    def trial(source: random.Random, number: int) -> None:
        choices = Choices(source)
        schema, tables = declared[number]
        database = bench.names(schema, False)["A"]
        bench.fill(schema, random_rows(choices, schema))
        grammar = Expressions(choices, tables, schema)
        texts = [grammar.fetch() for _ in range(1 + choices.upto(2))]
        note("\n".join(texts))
        with sqlspy.export("random", "set", home=home) as session:
            for text in texts:
                try:
                    grammar.evaluate(text.replace("SCHEMA_A", database))
                except Exception as error:  # DataJoint or the server refuses it, and so it does not count
                    totals[f"refused {type(error).__name__}"] += 1
        assert session.complete, session.problems
        captured = [
            (statement, statement.sql.replace(database, "SCHEMA_A"), bench.rows(statement.sql))
            for statement in session.statements
        ]
        outcome = Outcome()
        bench.judge(schema, captured, outcome, choices.one(["all", "all", "referenced"]))
        totals.update(outcome.counts)
        totals["fetches"] += len(texts)
        assert not outcome.fallbacks, f"fell back: {outcome.fallbacks}"

    trial()
    totals_of(totals, start)


# Why a statement may fall back to whole tables. Everything else in the grammar is analysed.
FALLBACKS = (
    "a function that returns rows, elsewhere than in FROM",
    # a text or NULL without a type is of type text once it stands in a derived table
    "the server refuses the rewritten statement: operator does not exist",
    "the server refuses the rewritten statement: operator is not unique",
    "the server refuses the rewritten statement: for SELECT DISTINCT, ORDER BY expressions must appear in select list",
    "sqlglot cannot parse it",
)


def expected(reason: str) -> str | None:
    return next((known for known in FALLBACKS if known in reason), None)
