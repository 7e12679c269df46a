"""List: one statement with a list of 200,000 keys, to a slice; and one as DataJoint sends it for ``table & keys``.

Baseline: the statement itself, on DataJoint's connection.
"""

from __future__ import annotations

import random
import tempfile
from typing import Any

from .data import SEED, fresh_schema, numbers
from .measure import Figure, Place, in_process, pairs, peak_memory, seconds

SCHEMA = "bench_list"


def run(place: Place) -> list[Figure]:
    sizes = [2_000] if place.quick else [2_000, 20_000, 200_000]
    few = [2_000] if place.quick else [2_000, 20_000]
    cases = [("trial", keys) for keys in sizes] + [("few", keys) for keys in few]
    with place.connect() as opened, opened.cursor() as cursor:
        fresh_schema(cursor, SCHEMA)
        numbers(cursor, SCHEMA, 2 * sizes[-1])
        for name, rows in (("trial", 2 * sizes[-1]), ("few", 2 * few[-1])):
            cursor.execute(
                f"CREATE TABLE {SCHEMA}.{name} (session VARCHAR(20), trial INT, score INT NOT NULL,"
                " PRIMARY KEY (session, trial))"
            )
            cursor.execute(
                f"INSERT INTO {SCHEMA}.{name} SELECT CONCAT('session ', n DIV 1000), n, n % 7"
                f" FROM {SCHEMA}.numbers WHERE n < {rows}"
            )
            cursor.execute(f"ANALYZE TABLE {SCHEMA}.{name}")
    found = []
    for name, keys in cases:
        with tempfile.TemporaryDirectory() as home:
            made = {"bytes": in_process("list:capture", place, name=name, keys=keys, home=home)}
            for without in (False, True):
                made |= in_process("list:beside", place, keys=keys, home=home, without=without)
        most = 3 if name == "trial" else 1.1
        last = keys == max(each for other, each in cases if other == name) and not place.quick
        met = made["ratio"] <= most and made["memory"] <= 200 << 20
        found.append(
            Figure(
                f"one statement with {'a list' if name == 'trial' else 'an OR'} of keys, to a slice",
                f"{keys:,} keys, {made['bytes'] / 2**20:.1f} MiB",
                made["baseline"],
                made["ours"],
                f"at most {most} times, 200 MiB" if last else "",
                met if last else None,
                made["ratio"],
                made["memory"],
                size=keys,
            )
        )
    with place.connect() as opened, opened.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {SCHEMA}")
    return found


def statement(name: str, keys: int, of: int) -> str:
    chosen = random.Random(SEED).sample(range(of), keys)
    if name == "few":  # what DataJoint sends for a table and a list of keys
        terms = " OR ".join(f"(`session`='session {n // 1000}')AND(`trial`={n})" for n in chosen)
        return f"SELECT `session`,`trial`,`score` FROM `{SCHEMA}`.`few` WHERE ( ({terms}))"
    listed = ",".join(f"('session {n // 1000}', {n})" for n in chosen)
    return (
        f"SELECT `session`,`trial`,`score` FROM `{SCHEMA}`.`trial` WHERE ((`session`,`trial`) in ({listed}))"
    )


def capture(place: Place, name: str, keys: int, home: str) -> int:
    import dj_sqlspy

    connection = place.datajoint()
    of = connection.query(f"SELECT COUNT(*) FROM {SCHEMA}.{name}").fetchone()[0]
    sql = statement(name, keys, of)
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
    found = pairs(statement, ours, rounds=1 if seconds(statement) > 10 else 3, warm=0)
    return {"baseline": found.baseline, "ours": found.ours, "ratio": found.ratio}
