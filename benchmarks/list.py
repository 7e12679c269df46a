"""List: one statement with a list of 200,000 keys, to a slice.

Baseline: the statement itself, on DataJoint's connection.
"""

from __future__ import annotations

import random
import tempfile
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
        with tempfile.TemporaryDirectory() as home:
            made = {"bytes": in_process("list:capture", place, keys=keys, of=2 * sizes[-1], home=home)}
            for without in (False, True):
                made |= in_process("list:beside", place, keys=keys, home=home, without=without)
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
    return (
        f"SELECT `session`,`trial`,`score` FROM `{SCHEMA}`.`trial` WHERE ((`session`,`trial`) in ({listed}))"
    )


def capture(place: Place, keys: int, of: int, home: str) -> int:
    import dj_sqlspy

    sql, connection = statement(keys, of), place.datajoint()
    with dj_sqlspy.export("bench", "list", home=home):
        assert len(connection.query(sql).fetchall()) == keys
    return len(sql)


def beside(place: Place, keys: int, home: str, without: bool) -> dict[str, Any]:
    """The slice, perhaps beside the statement; memory is that of a process without the statement's rows."""
    from dj_sqlspy.paper import Paper
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.slices import make_slice

    connection = place.datajoint()
    captured = Paper("bench", home=home, connection=connection).statements
    slicing = place.connect(conv=plain_decoders())

    def statement() -> None:
        assert len(connection.query(captured[0].sql).fetchall()) == keys

    def ours() -> None:
        cut = make_slice(captured, slicing)
        assert not cut.fallbacks and not any(report.drifted for report in cut.statements)
        assert sum(table.rows for table in cut.tables.values()) == keys

    if not without:
        ours()
        return {"memory": peak_memory()}
    found = pairs(statement, ours, rounds=3)
    return {"baseline": found.baseline, "ours": found.ours, "ratio": found.ratio}
