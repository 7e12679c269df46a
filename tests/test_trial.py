"""The checks of a trial find faults: an orphan, a missing part, a row too few or too many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dj_sqlspy.journal import Statement
from dj_sqlspy.slices import make_slice
from tests.small_lab import ROWS, SCHEMA
from tests.trial import Bench, Captured, Outcome

pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("mariadb")]

STATEMENTS = (
    "SELECT * FROM SCHEMA_A.`session` WHERE subject = 3",
    "SELECT p.probe FROM SCHEMA_A.probe AS p WHERE p.owner NOT IN (SELECT subject FROM SCHEMA_A.`session`)",
)


@pytest.fixture(scope="module")
def bench(server: Any) -> Iterator[Bench]:
    bench = Bench(server, "trial")
    bench.fill(SCHEMA, ROWS)
    yield bench
    bench.close()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("DELETE FROM SCHEMA_A.subject WHERE subject = 3", "orphans of subject__note"),
        ("DELETE FROM SCHEMA_A.`#species` WHERE species = 'rat'", "orphans of subject "),
        ("DELETE FROM SCHEMA_A.subject__note WHERE subject = 3", "parts of subject missing in subject__note"),
        ("DELETE FROM SCHEMA_A.`session` WHERE session = 2", r"missing: Counter\(\{"),
        ("INSERT INTO SCHEMA_A.`session` VALUES (3, 9, NULL, NULL)", r"extra: Counter\(\{"),
    ],
)
def test_what_is_broken_is_found(bench: Bench, change: str, found: str) -> None:
    captured: list[Captured] = []
    for number, template in enumerate(STATEMENTS, 1):
        sql = bench.text(SCHEMA, template)
        rows = bench.rows(sql)
        captured.append((Statement(sql, len(rows), number=number), template, rows))
    cut = make_slice([statement for statement, _, _ in captured], bench.slicer)

    def checks() -> None:
        bench.check_intact(SCHEMA, "all")
        bench.replay(SCHEMA, cut, captured, Outcome())

    bench.load(SCHEMA, cut)
    checks()
    bench.cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
    bench.cursor.execute(bench.text(SCHEMA, change, twin=True))
    with pytest.raises(AssertionError, match=found):
        checks()


def test_a_row_that_the_slice_does_not_have_is_found(bench: Bench) -> None:
    """What was loaded is counted against the slice."""
    sql = bench.text(SCHEMA, STATEMENTS[0])
    cut = make_slice([Statement(sql, len(bench.rows(sql)), number=1)], bench.slicer)
    bench.load(SCHEMA, cut)
    bench.check_counts(SCHEMA, cut)
    bench.cursor.execute(bench.text(SCHEMA, "DELETE FROM SCHEMA_A.subject__note", twin=True))
    with pytest.raises(AssertionError, match="the slice says 1 rows, 0 were loaded"):
        bench.check_counts(SCHEMA, cut)
