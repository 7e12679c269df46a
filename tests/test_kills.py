"""Kills at random points of the commands leave nothing behind (`tests.kills` has 200)."""

from __future__ import annotations

import pytest
from rich.console import Console

from tests.conftest import FLAVOR, POSTGRESQL
from tests.kills import as_table, run


@pytest.mark.slow
@pytest.mark.flavor("mariadb", "mysql", "postgresql")
@pytest.mark.line("2.x")  # nothing here depends on it
def test_kills_leave_nothing_behind(server: object) -> None:
    counts, faults = run(FLAVOR, 6 if POSTGRESQL else 12, 1)
    Console(width=120).print(as_table(counts))
    assert faults == []
    assert sum(found["killed"] for found in counts.values()) >= 3
