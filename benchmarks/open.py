"""Open: rows as Parquet files and as a DuckDB database, beside a plain read of them.

Baseline: PyMySQL reads the same rows as they arrive (SSCursor) and keeps none. The bytes of the blobs are the server's
RANDOM_BYTES, which nothing makes smaller. Each part runs in a process of its own, which shows its memory. Loading the
bundle, which `dump` measures, is not in it.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from .data import fresh_schema, numbers
from .measure import Figure, Place, in_process, peak_memory

SCHEMA = "bench_open"
LARGEST_MEMORY = 350  # MB


def run(place: Place) -> list[Figure]:
    small, large = 2_000, 16_000_000  # bytes of a blob
    sizes = (
        [(2_000, small, 1)]
        if place.quick
        else [(10_000, small, 3), (100_000, small, 3), (1_000_000, small, 1)]
    )
    sizes += [(4, large, 1)] if place.quick else [(10, large, 3), (100, large, 3)]
    found = []
    for number, (rows, size, rounds) in enumerate(sizes):
        fill(place, rows, size)
        last = not place.quick and (number + 1 == len(sizes) or sizes[number + 1][1] != size)
        plain, parquet, duckdb = [], [], []
        for _ in range(rounds):
            plain.append(in_process("open:read", place))
            parquet.append(in_process("open:copy", place, duckdb=False))
            duckdb.append(in_process("open:copy", place, duckdb=True))
        work = f"{rows:,} rows of {f'{size // 1000} KB' if size < 10**6 else f'{size // 10**6} MB'}"
        # for small rows the processor's time, which is what another program waits for
        unit, most = ("cpu", 1.5) if size == small else ("seconds", 2.0)
        words = "processor time" if unit == "cpu" else "time"
        found += [
            figure(f"Parquet, {words}", work, plain, parquet, unit, rows, most if last else None),
            figure(f"Parquet and DuckDB, {words}", work, plain, duckdb, unit, rows),
        ]
    with place.connect() as opened, opened.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {SCHEMA}")
    return found


def figure(
    what: str,
    work: str,
    plain: list[dict[str, Any]],
    ours: list[dict[str, Any]],
    unit: str,
    size: int,
    most: float | None = None,
) -> Figure:
    ratio = statistics.median(two[unit] / one[unit] for one, two in zip(plain, ours, strict=True))
    memory = max(one["memory"] for one in ours)
    small = unit == "cpu"
    goal = f"at most {most} times" + f" and {LARGEST_MEMORY} MB" * small
    return Figure(
        what,
        work,
        statistics.median(one[unit] for one in plain),
        statistics.median(one[unit] for one in ours),
        goal if most else "",
        ratio <= most and (not small or memory <= LARGEST_MEMORY * 10**6) if most else None,
        ratio,
        memory,
        f"plain read: {max(one['memory'] for one in plain) / 2**20:,.0f} MiB",
        size,
    )


def fill(place: Place, rows: int, size: int) -> None:
    """A table of rows with a blob each."""
    with place.connect() as opened, opened.cursor() as cursor:
        fresh_schema(cursor, SCHEMA)
        numbers(cursor, SCHEMA, rows)
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.spike (spike INT PRIMARY KEY, note VARCHAR(40), waveform LONGBLOB)"
        )
        blob = f"CONCAT({', '.join(['RANDOM_BYTES(1000)'] * (size // 1000))})"
        for start in range(0, rows, 100_000):
            cursor.execute(
                f"INSERT INTO {SCHEMA}.spike SELECT n, CONCAT('spike ', n), {blob} FROM {SCHEMA}.numbers"
                f" WHERE n BETWEEN {start} AND {start + 99_999}"
            )


def read(place: Place) -> dict[str, float]:
    """Read the rows, and keep none."""
    from pymysql.cursors import SSCursor

    with place.connect(cursorclass=SSCursor) as opened, opened.cursor() as cursor:
        start, cpu = time.perf_counter(), time.process_time()
        cursor.execute(f"SELECT * FROM {SCHEMA}.spike")
        for _ in cursor:
            pass
        return measured(start, cpu)


def copy(place: Place, duckdb: bool) -> dict[str, float]:
    """Write them as Parquet, and into a DuckDB database if asked."""
    from dj_sqlspy.open_copy.database import Database
    from dj_sqlspy.open_copy.writing import TableCopies
    from dj_sqlspy.servers import backend_of

    with (
        tempfile.TemporaryDirectory() as folder,
        place.connect() as opened,
        contextlib.closing(Database(Path(folder))) as database,
    ):
        backend = backend_of(opened)
        table = backend.read_catalog(opened, [SCHEMA]).tables[f"`{SCHEMA}`.`spike`"]
        with backend.as_sent(opened):
            backend.reading_tables(opened)
            with backend.one_moment(opened), contextlib.closing(backend.replayer(opened)) as replayer:
                copies = TableCopies(replayer, opened, backend.dialect, Path(folder), database, {})
                start, cpu = time.perf_counter(), time.process_time()
                copies.copy(table, (SCHEMA, "spike") if duckdb else None)
                return measured(start, cpu)


def measured(start: float, cpu: float) -> dict[str, float]:
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "memory": peak_memory(),
    }
