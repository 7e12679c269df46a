"""List: one statement with a list of 200,000 keys, to a slice.

Baseline: the statement itself. Memory is what the slice adds to the process, beside the text of the statement.
"""

from __future__ import annotations

import random
from typing import Any

from .data import SEED, fresh_schema, numbers
from .measure import Figure, Place, in_process, pairs, peak_memory

SCHEMA = "bench_list"


def run(place: Place) -> list[Figure]:
    sizes = [2_000] if place.quick else [2_000, 20_000, 200_000]
    with place.connect() as opened, opened.cursor() as cursor:
        fresh_schema(cursor, SCHEMA)
        numbers(cursor, SCHEMA, 2 * sizes[-1])
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.trial (session VARCHAR(20), trial INT, score INT NOT NULL,"
            " PRIMARY KEY (session, trial))"
        )
        cursor.execute(
            f"INSERT INTO {SCHEMA}.trial SELECT CONCAT('session ', n DIV 1000), n, n % 7 FROM {SCHEMA}.numbers"
        )
        cursor.execute(f"ANALYZE TABLE {SCHEMA}.trial")
    found = []
    for keys in sizes:
        made = in_process("list:beside", place, keys=keys, of=2 * sizes[-1])
        last = keys == sizes[-1] and not place.quick
        met = made["ratio"] <= 3 and made["memory"] <= 200 << 20
        found.append(
            Figure(
                "one statement with a list of keys, to a slice",
                f"{keys:,} keys, {made['bytes'] / 2**20:.1f} MiB",
                made["baseline"],
                made["ours"],
                "at most 3 times, 200 MiB" if last else "",
                met if last else None,
                made["ratio"],
                made["memory"],
                size=keys,
            )
        )
    with place.connect() as opened, opened.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {SCHEMA}")
    return found


def statement(keys: int, of: int) -> str:
    chosen = random.Random(SEED).sample(range(of), keys)
    listed = ",".join(f"('session {n // 1000}', {n})" for n in chosen)
    return f"SELECT `session`,`trial`,`score` FROM `{SCHEMA}`.`trial` WHERE ((`session`,`trial`) in ({listed}))"


def beside(place: Place, keys: int, of: int) -> dict[str, Any]:
    from dj_sqlspy.journal import Statement
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.slices import make_slice

    sql = statement(keys, of)
    opened, slicing = place.connect(), place.connect(conv=plain_decoders())

    def without() -> None:
        with opened.cursor() as cursor:
            cursor.execute(sql)
            assert len(cursor.fetchall()) == keys

    def ours() -> None:
        cut = make_slice([Statement(sql, keys, number=1)], slicing)
        assert not cut.fallbacks and sum(table.rows for table in cut.tables.values()) == keys

    found = pairs(without, ours, rounds=1 if keys > 100_000 else 3, warm=0)
    return {
        "baseline": found.baseline,
        "ours": found.ours,
        "ratio": found.ratio,
        "bytes": len(sql),
        "memory": peak_memory(),
    }
