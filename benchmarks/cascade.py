"""Cascade: many rows, twelve tables deep.

Baseline: SQL written by hand for this one schema, a SELECT DISTINCT of the keys for each table, read by the same
driver into a list.
"""

from __future__ import annotations

import statistics
from typing import Any

from .data import fresh_schema, numbers
from .measure import Figure, Place, in_process, peak_memory, seconds

SCHEMA = "bench_deep"

# Of each table: its name, its own key column, whether the key of the table before is part of its key ("P") or refers
# to it from outside ("S"), and how many of its rows there are for each row of the table before.
TABLES = [
    ("subject", "subject VARCHAR(16)", "", 1),
    ("session", "session INT", "P", 4),
    ("recording", "recording TINYINT", "P", 2),
    ("sorting", "sorting_id INT", "S", 2),
    ("unit", "unit INT", "P", 2),
    ("segment", "segment INT", "P", 2),
    ("analysis", "analysis_id BINARY(16)", "S", 2),
    ("epoch", "epoch INT", "P", 2),
    ("fit", "fit_id INT", "S", 2),
    ("fold", "fold INT", "P", 4),
    ("sample", "sample INT", "P", 4),
    ("value", "k INT", "P", 2),
]
ROWS_PER_SUBJECT = 27_645  # of all tables
WHERE = "fit_id % 10 = 3"
READ = f"SELECT `fit_id`,`fold`,`sample`,`k`,`score` FROM `{SCHEMA}`.`value` WHERE ( ({WHERE}))"


def run(place: Place) -> list[Figure]:
    sizes = [2] if place.quick else [4, 36, 362]
    found = []
    for subjects in sizes:
        fill(place, subjects)
        last = subjects == sizes[-1] and not place.quick
        rounds = 1 if place.quick else 3
        by_hand = [in_process("cascade:by_hand", place) for _ in range(rounds)]
        ours = [in_process("cascade:slice", place) for _ in range(rounds)]
        if ours[0]["rows"] != by_hand[0]["rows"]:
            raise RuntimeError(f"the slice and SQL by hand differ: {ours[0]['rows']} {by_hand[0]['rows']}")
        baseline = statistics.median(one["seconds"] for one in by_hand)
        middle = statistics.median(one["seconds"] for one in ours)
        memory = max(one["memory"] for one in ours)
        rows = sum(ours[0]["rows"].values())
        found.append(
            Figure(
                "cascade, 12 tables deep",
                f"{rows:,} keys of {subjects * ROWS_PER_SUBJECT:,} rows",
                baseline,
                middle,
                "at most 2 times" if last else "",
                middle <= 2 * baseline if last else None,
                memory=memory,
                note=f"by hand: {max(one['memory'] for one in by_hand) / 2**20:,.0f} MiB",
                size=subjects,
            )
        )
    with place.connect() as opened, opened.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {SCHEMA}")
    return found


def fill(place: Place, subjects: int) -> None:
    with place.connect() as opened, opened.cursor() as cursor:
        fresh_schema(cursor, SCHEMA)
        numbers(cursor, SCHEMA, subjects * 16_384)
        cursor.execute("SET unique_checks = 0, foreign_key_checks = 0")
        rows, before, key = subjects, "", dict[str, str]()
        for name, own, kind, each in TABLES:
            rows *= each
            column, _ = own.split()
            value = {
                "subject": "CONCAT('mouse', LPAD({n}, 6, '0'))",
                "analysis_id": "UNHEX(MD5({n}))",
            }.get(column, "{n}" if column.endswith("_id") else f"{{n}} % {each}")
            inherited = {c: v.replace("{n}", f"({{n}} DIV {each})") for c, v in key.items()}
            key = {**inherited, column: value} if kind == "P" else {column: value}
            values = {**inherited, **key}
            types = {c: t for _, one, _, _ in TABLES for c, t in [one.split()]}
            parts = [f"{c} {types[c]} NOT NULL" for c in values]
            parts += ["score DOUBLE NOT NULL", f"PRIMARY KEY ({', '.join(key)})"]
            if before:
                names = ", ".join(inherited)
                parts.append(f"FOREIGN KEY ({names}) REFERENCES {SCHEMA}.{before} ({names})")
            cursor.execute(f"CREATE TABLE {SCHEMA}.{name} ({', '.join(parts)})")
            computed = ", ".join(v.replace("{n}", "n") for v in values.values())
            cursor.execute(
                f"INSERT INTO {SCHEMA}.{name} SELECT {computed}, n / 7 FROM {SCHEMA}.numbers WHERE n < {rows}"
            )
            before = name
        cursor.execute("SET unique_checks = 1, foreign_key_checks = 1")
        names = ", ".join(f"{SCHEMA}.{name}" for name, *_ in TABLES)
        cursor.execute(f"ANALYZE TABLE {names}")


def hand_written() -> dict[str, str]:
    """A SELECT DISTINCT for each table."""
    value = f"{SCHEMA}.value"
    fit = f"{value} JOIN {SCHEMA}.fit USING (fit_id)"
    analysis = f"{fit} JOIN {SCHEMA}.analysis USING (analysis_id)"
    sorting = f"{analysis} JOIN {SCHEMA}.sorting USING (sorting_id)"
    columns = {
        "value": ("value.fit_id, value.fold, value.sample, value.k", value),
        "sample": ("value.fit_id, value.fold, value.sample", value),
        "fold": ("value.fit_id, value.fold", value),
        "fit": ("value.fit_id", value),
        "epoch": ("fit.analysis_id, fit.epoch", fit),
        "analysis": ("fit.analysis_id", fit),
        "segment": ("analysis.sorting_id, analysis.unit, analysis.segment", analysis),
        "unit": ("analysis.sorting_id, analysis.unit", analysis),
        "sorting": ("analysis.sorting_id", analysis),
        "recording": ("sorting.subject, sorting.session, sorting.recording", sorting),
        "session": ("sorting.subject, sorting.session", sorting),
        "subject": ("sorting.subject", sorting),
    }
    return {
        name: f"SELECT DISTINCT {selected} FROM {source} WHERE value.{WHERE}"
        for name, (selected, source) in columns.items()
    }


def by_hand(place: Place) -> dict[str, Any]:
    held: dict[str, Any] = {}

    def once() -> None:
        with place.connect() as opened, opened.cursor() as cursor:
            for name, sql in hand_written().items():
                cursor.execute(sql)
                held[name] = cursor.fetchall()

    taken = seconds(once)
    return {
        "seconds": taken,
        "rows": {name: len(rows) for name, rows in sorted(held.items())},
        "memory": peak_memory(),
    }


def slice(place: Place) -> dict[str, Any]:
    from dj_sqlspy.journal import Statement
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.slices import make_slice

    with place.connect() as opened, opened.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {SCHEMA}.value WHERE {WHERE}")
        (count,) = cursor.fetchone()
    held: list[Any] = []

    def once() -> None:
        with place.connect(conv=plain_decoders()) as opened:
            held.append(make_slice([Statement(READ, count, number=1)], opened))

    taken = seconds(once)
    cut = held[0]
    return {
        "seconds": taken,
        "rows": {table.table.name: table.rows for _, table in sorted(cut.tables.items())},
        "restrictions": {table.table.name: len(table.restriction) for table in cut.tables.values()},
        "memory": peak_memory(),
    }
