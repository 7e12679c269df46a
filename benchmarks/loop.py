"""Loop: an analysis that fetches one row after another, from its journal to the slice.

Baseline: one SELECT of the same keys, sent by the same driver.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from .data import SEED, fresh_schema, numbers
from .measure import Figure, Place, in_process, peak_memory, seconds

SCHEMA = "bench_loop"


def run(place: Place) -> list[Figure]:
    sizes = [500] if place.quick else [1_000, 10_000, 100_000]
    with place.connect() as opened, opened.cursor() as cursor:
        fresh_schema(cursor, SCHEMA)
        numbers(cursor, SCHEMA, 3 * sizes[-1])
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.unit (unit INT PRIMARY KEY, rate DOUBLE NOT NULL, note VARCHAR(40) NOT NULL)"
        )
        cursor.execute(f"INSERT INTO {SCHEMA}.unit SELECT n, n / 7, CONCAT('unit ', n) FROM {SCHEMA}.numbers")
    found = []
    for count in sizes:
        with tempfile.TemporaryDirectory() as home:
            in_process("loop:write", place, home=home, count=count, of=3 * sizes[-1])
            baseline = in_process("loop:one_select", place, count=count, of=3 * sizes[-1])
            ours = in_process("loop:slice", place, home=home, count=count)
        last = count == sizes[-1] and not place.quick
        found.append(
            Figure(
                "a loop of fetch1, to a slice",
                f"{count:,} statements",
                baseline,
                ours["seconds"],
                "at most 3 times" if last else "",
                ours["seconds"] <= 3 * baseline if last else None,
                memory=ours["memory"],
                note=f"{ours['read']:.2f} s to read the journal before",
                size=count,
            )
        )
    return found


def keys(count: int, of: int) -> list[int]:
    return random.Random(SEED).sample(range(of), count)


def write(place: Place, home: str, count: int, of: int) -> int:
    """The journal that the loop leaves."""
    from dj_sqlspy.journal import Journal

    journal = Journal(Path(home), "bench", "loop", {})
    journal.start()
    for key in keys(count, of):
        sql = f"SELECT `unit`,`rate`,`note` FROM `{SCHEMA}`.`unit` WHERE ( (`unit`={key}))"
        number = journal.statement(sql, None, "data", f"{place.host}:{place.port}", 0, has_ended=False)
        journal.ended(number, 1)
    journal.end()
    return count


def one_select(place: Place, count: int, of: int) -> float:
    """Seconds for one SELECT of the same rows."""
    chosen = ", ".join(map(str, keys(count, of)))

    def once() -> None:
        with place.connect() as opened, opened.cursor() as cursor:
            cursor.execute(f"SELECT `unit`,`rate`,`note` FROM `{SCHEMA}`.`unit` WHERE `unit` IN ({chosen})")
            assert len(cursor.fetchall()) == count

    return statistics.median(seconds(once) for _ in range(5))


def slice(place: Place, home: str, count: int) -> dict[str, float]:
    """From the journal to the slice."""
    from dj_sqlspy.paper import Paper

    connection = place.datajoint()
    times: list[tuple[float, float]] = []

    def once() -> None:
        paper = Paper("bench", home=home, connection=connection)
        read = seconds(lambda: paper.statements)
        held: list[Any] = []
        made = seconds(lambda: held.append(paper.slice()))
        assert held[0].tables[f"`{SCHEMA}`.`unit`"].rows == count
        times.append((read, made))

    once()
    memory = peak_memory()
    for _ in range(4):
        once()
    return {
        "read": statistics.median(read for read, _ in times),
        "seconds": statistics.median(made for _, made in times),
        "memory": memory,
    }
