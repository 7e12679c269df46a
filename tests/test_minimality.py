"""Random statements bring no row too many: a slice has exactly the rows of the rules in docs/semantics.md.

The rules are evaluated by `tests.reference` on lists. `SQLSPY_RANDOM_SETS` says how many sets of statements to try
(200 by default), `SQLSPY_RANDOM_SEED` where to start.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from dj_sqlspy import journal
from dj_sqlspy.slices import make_slice
from tests.random_algebra import FLAT, Trees
from tests.random_schema import Choices, Rows, Schema, random_rows, random_schema
from tests.reference import Reference, Statement
from tests.reference_sql import Writer, database, place
from tests.trial import Bench, random_sets

# nothing here depends on the line of DataJoint
pytestmark = pytest.mark.line("2.x")

SETS = int(os.environ.get("SQLSPY_RANDOM_SETS", "200"))
SEED = int(os.environ.get("SQLSPY_RANDOM_SEED", "1"))
SCHEMAS = 25


def sliced(
    bench: Bench,
    schema: Schema,
    rows: Rows,
    statements: Sequence[Statement],
    parts: str,
    totals: Counter[str],
    writer: type[Writer] = Writer,
) -> None:
    """Make the slice of the statements that the server takes, and compare it with the reference's."""
    bench.fill(schema, rows)
    known, texts = database(schema, rows), writer(schema)
    captured, taken = [], []
    for statement in statements:
        template = texts.statement(statement)
        sql = bench.text(schema, template)
        try:
            result = bench.rows(sql)
        except bench.error as error:
            totals[f"refused {bench.code(error)}"] += 1
            continue
        taken.append(statement)
        kind = "exists" if statement.exists else "data"
        captured.append(journal.Statement(sql, len(result), kind=kind, number=len(captured) + 1))
    cut = make_slice(captured, bench.slicer, parts=parts)
    assert not cut.fallbacks, cut.fallbacks
    assert not any(report.marks or report.drifted for report in cut.statements)
    expected = Reference(known, taken, parts).slice()
    for table in schema.tables:
        found = cut.keys(bench.text(schema, table.full))
        if not table.key:  # rows that nothing tells apart are in the slice all or none
            assert bool(found) == bool(expected[table.name]), f"{table.name}: {found}"
            continue
        places = {place(table, known, key) for key in found}
        keys = {
            place_: [known.rows[table.name][place_][c] for c in table.key]
            for place_ in places | expected[table.name]
        }
        assert places == expected[table.name], (
            f"{table.name}: too many {[keys[p] for p in places - expected[table.name]]},"
            f" too few {[keys[p] for p in expected[table.name] - places]}"
        )
    totals["rows"] += sum(map(len, expected.values()))
    totals["left out"] += sum(map(len, known.rows.values())) - sum(map(len, expected.values()))
    totals["sets"] += bool(taken)
    totals["statements"] += len(taken)


def test_random(bench: Bench) -> None:
    totals: Counter[str] = Counter()
    start = time.time()

    @random_sets(SETS, SEED)
    @given(st.randoms(use_true_random=False), st.integers(0, SCHEMAS - 1))
    def trial(source: random.Random, number: int) -> None:
        choices = Choices(source)
        schema = (
            FLAT if choices.chance(60) else random_schema(Choices(random.Random(number + SCHEMAS * SEED)))
        )
        rows = random_rows(choices, schema)
        statements = Trees(choices, schema).statements()
        parts = choices.one(["all", "all", "referenced"])
        writer = Writer(schema)
        note("\n".join([f"{schema}", f"{rows}", parts, *map(writer.statement, statements)]))
        sliced(bench, schema, rows, statements, parts, totals)

    trial()
    totals["seconds"] = round(time.time() - start)
    print(dict(totals.most_common()))
