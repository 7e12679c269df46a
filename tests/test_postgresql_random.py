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
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.random_algebra import FLAT, Trees
from tests.random_postgresql import PostgreSQLGrammar
from tests.random_schema import Choices, Schema, random_rows, random_schema
from tests.reference_sql import PostgreSQLWriter
from tests.test_lineage_random import Case, chunks, declared_on, fetches, profile
from tests.test_minimality import sliced
from tests.trial import random_sets, totals_of
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


def test_datajoint(bench: PostgreSQLBench, dj_conn: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    declared = declared_on(bench, dj_conn, SEED, 3)
    fetches(bench, declared, tmp_path_factory.mktemp("home"), random_sets(SETS // 3, SEED))


# Why a statement may fall back to whole tables. Everything else in the grammar is analysed.
FALLBACKS = (
    "a function that returns rows beside a window function or DISTINCT ON",
    "a function that returns rows for each group",
    # a text or NULL without a type is of type text once it stands in a derived table
    "the server refuses the rewritten statement: operator does not exist",
    "the server refuses the rewritten statement: operator is not unique",
    "the server refuses the rewritten statement: for SELECT DISTINCT, ORDER BY expressions must appear in select list",
    "a FULL JOIN with LATERAL is not analysed",
    "so many FULL JOINs in each other are not analysed",
    # parentheses in FROM that begin with LATERAL or a function
    "sqlglot cannot parse it",
)


def expected(reason: str) -> str | None:
    return next((known for known in FALLBACKS if known in reason), None)
