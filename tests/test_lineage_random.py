"""Random statements keep the promise: sufficient and intact, on a real server.

`SQLSPY_RANDOM_SETS` says how many sets of statements to try (500 by default), `SQLSPY_RANDOM_SEED` where to start.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.random_schema import Choices, Rows, Schema, random_rows, random_schema
from tests.random_sql import Grammar, looped
from tests.trial import Bench

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


def run(bench: Bench, case: Case, totals: Counter[str]) -> None:
    outcome = bench.trial(case.schema, case.rows, case.statements, parts=case.parts)
    totals.update(outcome.counts)
    for reason, _ in outcome.fallbacks:
        totals[f"fall-back: {reason}"] += 1


@pytest.mark.parametrize("chunk", range((SETS + CHUNK - 1) // CHUNK))
def test_raw_sql(bench: Bench, server: Any, chunk: int) -> None:
    totals: Counter[str] = Counter()

    @seed(SEED * 1000 + chunk)
    @settings(
        max_examples=min(CHUNK, SETS),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(st.randoms(use_true_random=False), st.integers(0, SCHEMAS - 1))
    def trial(source: random.Random, number: int) -> None:
        case = make_case(source, number + SCHEMAS * (SEED * 1000 + chunk), server.flavor)
        try:
            run(bench, case, totals)
        except Exception:
            print(case)
            raise

    start = time.time()
    trial()
    totals["seconds"] = round(time.time() - start)
    print(dict(totals.most_common()))
