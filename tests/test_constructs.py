"""Every construct of SELECT: analysed as the documentation says, and replayed equal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dj_sqlspy.journal import Statement
from dj_sqlspy.slices import make_slice
from tests.constructs import CONSTRUCTS, EXACT, NONE, Construct, page
from tests.small_lab import ROWS, SCHEMA
from tests.trial import Bench, Captured, Outcome

# nothing here depends on the line of DataJoint
pytestmark = pytest.mark.line("2.x")

PAGE = Path(__file__).resolve().parent.parent / "docs" / "constructs.md"

# What other analyses of the paper read: rows that the construct may have rejected come into the slice.
OTHERS = (
    "SELECT * FROM lab.subject WHERE subject > 1",
    "SELECT * FROM lab.session WHERE subject = 3",
    "SELECT * FROM lab.probe WHERE probe > 2",
)


@pytest.fixture(scope="module")
def bench(server: Any) -> Iterator[Bench]:
    bench = Bench(server, "constructs")
    bench.fill(SCHEMA, ROWS)
    yield bench
    bench.close()


def captured(bench: Bench, examples: list[str]) -> list[Captured]:
    out = []
    for number, example in enumerate(examples, 1):
        template = example.replace("`lab`.", "SCHEMA_A.").replace("lab.", "SCHEMA_A.")
        sql = bench.text(SCHEMA, template)
        database = bench.names(SCHEMA, False)["A"]
        bench.use(SCHEMA, False)
        rows = bench.rows(sql)
        kind = "exists" if sql.startswith("SELECT EXISTS") else "data"
        out.append((Statement(sql, len(rows), kind=kind, number=number, database=database), template, rows))
    return out


@pytest.mark.parametrize("construct", CONSTRUCTS, ids=lambda construct: construct.name)
def test_construct(bench: Bench, server: Any, construct: Construct) -> None:
    # the table is about the MariaDB of Debian 12; a newer one that has it is no worse
    newer = server.flavor == "mariadb" and not server.version.startswith("10.")
    check(bench, construct, construct.expected(server.flavor), EXACT if newer else NONE)


def check(bench: Bench, construct: Construct, expected: str, newer: str = NONE) -> None:
    """Raise unless a construct is analysed as expected, and replayed equal, alone and with others.

    ``newer`` is what is expected of a server that has more constructs than the table says.
    """
    if expected == NONE:
        try:
            captured(bench, [construct.example])
        except bench.error:
            return
        assert newer != NONE, "it is no error"
        expected = newer
    for examples in ([construct.example], [construct.example, *OTHERS]):
        outcome = Outcome()
        cut = bench.judge(SCHEMA, captured(bench, examples), outcome, "all")
        assert cut is not None
        report = cut.statements[0]
        if expected.startswith("marked"):
            assert (report.fallback, "marked " + "+".join(sorted(report.marks))) == (None, expected)
        elif expected == EXACT:
            assert (report.fallback, report.marks) == (None, frozenset())
        else:
            assert report.fallback is not None
            database = bench.names(SCHEMA, False)["A"]
            assert report.fallback.replace(f"{database}.", "lab.").startswith(expected)


def test_strict(bench: Bench, server: Any) -> None:
    """With strict=True a statement that is not analysed is an error."""
    example = next(each.example for each in CONSTRUCTS if each.name == "stored function")
    statements = [statement for statement, _, _ in captured(bench, [example])]
    with pytest.raises(Exception, match="stored function"):
        make_slice(statements, bench.slicer, strict=True)


def test_procedure(bench: Bench) -> None:
    """The tables of CALL are unknown: an error that says what to do."""
    statement = Statement(bench.text(SCHEMA, "CALL SCHEMA_A.report()"), 5, number=1)
    with pytest.raises(Exception, match="CALL"):
        make_slice([statement], bench.slicer)


def test_page() -> None:
    """docs/constructs.md is what this list gives; SQLSPY_WRITE_DOCS=1 writes it."""
    if os.environ.get("SQLSPY_WRITE_DOCS"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page()
