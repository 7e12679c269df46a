"""Random statements keep the promise: sufficient and intact, on a real server.

`SQLSPY_RANDOM_SETS` says how many sets of statements to try (500 by default), `SQLSPY_RANDOM_SEED` where to start.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

import dj_sqlspy as sqlspy
from tests.random_dj import Expressions, declare, random_definitions
from tests.random_schema import Choices, Rows, Schema, random_rows, random_schema
from tests.random_sql import Grammar, looped
from tests.trial import Bench, Outcome

SETS = int(os.environ.get("SQLSPY_RANDOM_SETS", "500"))
SEED = int(os.environ.get("SQLSPY_RANDOM_SEED", "1"))
CHUNK = 500  # sets that one run of hypothesis makes, over SCHEMAS schemas
SCHEMAS = 25


@dataclass(frozen=True)
class Case:
    """A set of statements on a database. Its repr is Python that makes it again."""

    schema: Schema
    rows: Rows
    statements: tuple[str, ...]
    parts: str = "all"


def make_case(source: random.Random, number: int, flavor: str) -> Case:
    choices = Choices(source)
    schema = random_schema(Choices(random.Random(number)))
    rows = random_rows(choices, schema)
    statements = looped(choices, schema) if choices.chance(12) else []
    for _ in range(1 + choices.upto(3 if not statements else 1)):
        statements.append(Grammar(choices, schema, flavor).statement(choices.one([0, 1, 1, 2])))
    return Case(schema, rows, tuple(statements), choices.one(["all", "all", "all", "referenced"]))


@pytest.fixture(scope="module")
def bench(server: Any) -> Iterator[Bench]:
    bench = Bench(server, "rnd")
    yield bench
    bench.close()


def totals_of(totals: Counter[str], start: float) -> None:
    totals["seconds"] = round(time.time() - start)
    print(dict(totals.most_common()))


def chunks(sets: int) -> range:
    return range((sets + CHUNK - 1) // CHUNK)


def profile(chunk: int, sets: int) -> Callable[[Any], Any]:
    """Settings of one run of hypothesis; each run has a seed, and so other cases, of its own."""

    def decorate(function: Any) -> Any:
        phases = (Phase.explicit, Phase.generate, Phase.shrink)
        chosen = settings(
            max_examples=min(CHUNK, sets),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=phases,
        )
        return seed(SEED * 1000 + chunk)(chosen(function))

    return decorate


@pytest.mark.parametrize("chunk", chunks(SETS))
def test_raw_sql(bench: Bench, server: Any, chunk: int) -> None:
    totals: Counter[str] = Counter()
    start = time.time()

    @profile(chunk, SETS)
    @given(st.randoms(use_true_random=False), st.integers(0, SCHEMAS - 1))
    def trial(source: random.Random, number: int) -> None:
        case = make_case(source, number + SCHEMAS * (SEED * 1000 + chunk), server.flavor)
        note(repr(case))
        outcome = bench.trial(case.schema, case.rows, case.statements, parts=case.parts)
        totals.update(outcome.counts)
        for reason, statement in outcome.fallbacks:
            totals[f"fall-back: {expected(reason)}"] += 1
            assert expected(reason), f"an unexpected fall-back ({reason}) for\n{statement}"

    trial()
    totals_of(totals, start)


# Why a statement may fall back to whole tables. Everything else in the grammar is analysed.
FALLBACKS = {
    # sqlglot 30 does not read a LATERAL that is the first in parentheses of joined tables
    "sqlglot cannot parse it": ("LATERAL",),
    # a literal that becomes a column of a derived table loses its coercibility
    "Illegal mix of collations": (),
    # the optimizer had removed the part that MySQL does not support from the statement itself
    "This version of MySQL doesn't yet support": (),
}


def expected(reason: str) -> str | None:
    return next((known for known in FALLBACKS if known in reason), None)


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


@pytest.mark.parametrize("chunk", chunks(SETS // 4))
def test_datajoint(bench: Bench, declared: Any, dj_conn: Any, tmp_path_factory: Any, chunk: int) -> None:
    """Fetches from random expressions, captured by an export session as a user's are."""
    totals: Counter[str] = Counter()
    start = time.time()
    home = tmp_path_factory.mktemp("home")

    @profile(chunk, SETS // 4)
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
