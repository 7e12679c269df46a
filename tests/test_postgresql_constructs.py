"""Every construct of SELECT on PostgreSQL: analysed as the documentation says, and replayed equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.constructs import CONSTRUCTS, NONE, Construct
from tests.small_lab import ROWS, SCHEMA
from tests.test_constructs import check
from tests.trial_postgresql import PostgreSQLBench

# DataJoint 0.14 has no PostgreSQL
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("postgresql")]


@pytest.fixture(scope="module")
def bench(server: Any) -> Iterator[PostgreSQLBench]:
    bench = PostgreSQLBench(server, "constructs")
    bench.fill(SCHEMA, ROWS)
    yield bench
    bench.close()


@pytest.mark.parametrize("construct", CONSTRUCTS, ids=lambda construct: construct.name)
def test_construct(bench: PostgreSQLBench, server: Any, construct: Construct) -> None:
    # the table is about the PostgreSQL of Debian 12; 17 has JSON_TABLE
    newer = NONE if server.version.startswith("15.") else "JSONTable is not analysed"
    check(bench, construct, construct.postgresql, newer)
