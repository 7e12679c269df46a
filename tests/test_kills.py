"""Kills at random points of the commands leave nothing behind (`tests.kills` has 200)."""

from __future__ import annotations

import pytest
from rich.console import Console

from tests.conftest import FLAVOR
from tests.kills import as_table, run

# nothing here depends on the line
pytestmark = [pytest.mark.slow, pytest.mark.line("2.x")]


def test_kills_leave_nothing_behind(server: object) -> None:
    leaves_nothing(12)


@pytest.mark.flavor("postgresql")
def test_kills_leave_nothing_behind_on_postgresql(server: object) -> None:
    leaves_nothing(10)


def leaves_nothing(kills: int) -> None:
    counts, faults = run(FLAVOR, kills, 1)
    Console(width=120).print(as_table(counts))
    assert faults == []
    assert sum(found["killed"] for found in counts.values()) >= 3
