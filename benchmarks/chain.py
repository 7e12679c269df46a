"""Chain: a table that refers to itself, from the last row to the first.

Baseline: one recursive query written by hand for this table, read by the same driver into a list.
"""

from __future__ import annotations

import statistics
from typing import Any

from dj_sqlspy.servers.mysql.dialect import MYSQL

from .data import fresh_schema, numbers
from .measure import Figure, Place, in_process, peak_memory, seconds

SCHEMA = "bench_chain"
READ = f"SELECT `session`,`after`,`score` FROM `{SCHEMA}`.`session` WHERE ( (score = 0))"
BY_HAND = (
    f"WITH RECURSIVE found AS (SELECT session, after FROM {SCHEMA}.session WHERE score = 0 UNION"
    f" SELECT up.session, up.after FROM found JOIN {SCHEMA}.session AS up ON up.session = found.after)"
    " SELECT session FROM found"
)


def run(place: Place) -> list[Figure]:
    sizes = [500] if place.quick else [1_000, 10_000, 100_000]
    found = []
    for levels in sizes:
        fill(place, levels)
        rounds = 1 if place.quick else 3
        by_hand = [in_process("chain:by_hand", place) for _ in range(rounds)]
        ours = [in_process("chain:slice", place) for _ in range(rounds)]
        if not ours[0]["rows"] == by_hand[0]["rows"] == levels:
            raise RuntimeError(f"of {levels} rows, {ours[0]['rows']} and {by_hand[0]['rows']} were found")
        middle = statistics.median(one["seconds"] for one in ours)
        last = levels == sizes[-1] and not place.quick
        found.append(
            Figure(
                "a table that refers to itself",
                f"{levels:,} levels",
                statistics.median(one["seconds"] for one in by_hand),
                middle,
                "at most 10 s" if last else "",
                middle <= 10 if last else None,
                memory=max(one["memory"] for one in ours),
                size=levels,
            )
        )
    with place.connect() as opened, opened.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {SCHEMA}")
    return found


def fill(place: Place, levels: int) -> None:
    with place.connect() as opened, opened.cursor() as cursor:
        fresh_schema(cursor, SCHEMA)
        numbers(cursor, SCHEMA, levels)
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.session (session INT PRIMARY KEY, after INT NULL, score INT NOT NULL, KEY (score),"
            f" FOREIGN KEY (after) REFERENCES {SCHEMA}.session (session))"
        )
        cursor.execute("SET foreign_key_checks = 0")
        cursor.execute(
            f"INSERT INTO {SCHEMA}.session SELECT n, IF(n, n - 1, NULL), {levels} - 1 - n FROM {SCHEMA}.numbers"
        )
        cursor.execute("SET foreign_key_checks = 1")
        cursor.execute(f"ANALYZE TABLE {SCHEMA}.session")


def by_hand(place: Place) -> dict[str, Any]:
    held: list[Any] = []

    def once() -> None:
        with place.connect() as opened, opened.cursor() as cursor:
            cursor.execute(*MYSQL.endless.settings)
            cursor.execute(BY_HAND)
            held.append(cursor.fetchall())

    return {"seconds": seconds(once), "rows": len(held[0])}


def slice(place: Place) -> dict[str, Any]:
    from dj_sqlspy.journal import Statement
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.slices import make_slice

    held: list[Any] = []

    def once() -> None:
        with place.connect(conv=plain_decoders()) as opened:
            held.append(make_slice([Statement(READ, 1, number=1)], opened))

    taken = seconds(once)
    return {"seconds": taken, "rows": sum(t.rows for t in held[0].tables.values()), "memory": peak_memory()}
