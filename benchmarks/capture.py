"""Capture: what an analysis pays for being recorded, and for having dj-sqlspy imported at all.

Baseline: the same calls with the methods of DataJoint that dj-sqlspy wraps put back for that time.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from .data import fresh_schema, numbers
from .measure import Figure, Pairs, Place, in_process, pairs, peak_memory, short_pairs

SCHEMA = "bench_capture"


def run(place: Place) -> list[Figure]:
    sizes = [2_000] if place.quick else [1_000, 10_000, 100_000]
    connection = place.datajoint()
    prepare(place, rows=sizes[-1])
    joins = [join(place, connection, rows, last=rows == sizes[-1]) for rows in sizes]
    digests = [digest_of_fetch1(place, connection), digest_of_join(place, connection, sizes[-1])]
    return [fetch1(place, connection), outside(place, connection), *joins, *digests, imports(place)]


def prepare(place: Place, rows: int) -> None:
    """A table of sessions and one of their trials."""
    postgresql = place.flavor == "postgresql"
    with place.connect() as opened, opened.cursor() as cursor:
        if postgresql:
            cursor.execute(f"CREATE SCHEMA {SCHEMA}")
            cursor.execute(
                f"CREATE TABLE {SCHEMA}.numbers AS SELECT n FROM generate_series(0, {rows - 1}) AS n"
            )
        else:
            fresh_schema(cursor, SCHEMA)
            numbers(cursor, SCHEMA, rows)
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.session (session INT PRIMARY KEY, subject VARCHAR(20) NOT NULL,"
            f" weight DOUBLE PRECISION NOT NULL, note VARCHAR(200) NOT NULL)"
        )
        cursor.execute(
            f"INSERT INTO {SCHEMA}.session SELECT n, CONCAT('mouse', n % 97), n / 7.0, 'as usual'"
            f" FROM {SCHEMA}.numbers WHERE n < {rows // 100}"
        )
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.trial (session INT, trial INT, choice SMALLINT NOT NULL,"
            f" PRIMARY KEY (session, trial), FOREIGN KEY (session) REFERENCES {SCHEMA}.session (session))"
        )
        cursor.execute(
            f"INSERT INTO {SCHEMA}.trial SELECT FLOOR(n / 100), n % 100, n % 2 FROM {SCHEMA}.numbers"
        )


def tables(connection: Any) -> tuple[Any, Any]:
    import datajoint

    from dj_sqlspy.servers import backend_of

    full_name = backend_of(connection).dialect.full_name
    return tuple(datajoint.FreeTable(connection, full_name(SCHEMA, name)) for name in ("session", "trial"))


@contextlib.contextmanager
def session(folder: str) -> Iterator[Any]:
    import dj_sqlspy

    with dj_sqlspy.export("bench", "capture", home=folder) as opened:
        yield opened


@contextlib.contextmanager
def unwrapped() -> Iterator[None]:
    """DataJoint as it was before dj-sqlspy wrapped its methods."""
    import threading
    from concurrent.futures import ThreadPoolExecutor

    import datajoint
    import datajoint.autopopulate
    import datajoint.expression
    import datajoint.table

    import dj_sqlspy  # noqa: F401

    expression = datajoint.expression
    owners = [datajoint.Connection, threading.Thread, ThreadPoolExecutor, datajoint.table.Table]
    owners += [expression.QueryExpression, expression.Aggregation, expression.Union]
    owners += [datajoint.autopopulate.AutoPopulate]
    wrapped = [
        (owner, name, method)
        for owner in owners
        for name, method in list(vars(owner).items())
        if hasattr(method, "_dj_sqlspy")
    ]
    assert any(name == "query" for _, name, _ in wrapped)
    for owner, name, method in wrapped:
        setattr(owner, name, method.__wrapped__)
    try:
        yield
    finally:
        for owner, name, method in wrapped:
            setattr(owner, name, method)


def fetch1(place: Place, connection: Any) -> Figure:
    found, work = fetch1_beside(place, connection, unwrapped)
    met = found.ratio <= 1.02 and found.added <= 10e-6
    return _short("a fetch1 in an export session", work, found, "at most 1.02 times and 10 µs more", met)


def digest_of_fetch1(place: Place, connection: Any) -> Figure:
    found, work = fetch1_beside(place, connection, undigested)
    what = "the digest of a fetch1, beside capture without it"
    return _short(what, work, found, "at most 1.03 times", found.ratio <= 1.03)


def fetch1_beside(
    place: Place, connection: Any, without: Callable[[], AbstractContextManager[Any]]
) -> tuple[Pairs, str]:
    """A fetch1 in an export session, and inside of ``without()``; and how much was done."""
    sessions, _ = tables(connection)
    rows = len(sessions)
    rounds = 4 if place.quick else 600
    counter = iter(range(10**9))

    def call() -> None:
        (sessions & {"session": next(counter) % rows}).fetch1("note", "weight")

    with tempfile.TemporaryDirectory() as folder, session(folder):
        return short_pairs(call, without, rounds), f"{rounds} × 10 calls"


def outside(place: Place, connection: Any) -> Figure:
    rounds = 4 if place.quick else 600
    found = short_pairs(lambda: connection.query("SELECT 1"), unwrapped, rounds, calls=50)
    return _short(
        "a query outside of any session",
        f"{rounds} × 50 calls",
        found,
        "at most 1 µs more",
        found.added <= 1e-6,
    )


@contextlib.contextmanager
def undigested() -> Iterator[None]:
    """Capture as it is with ``sqlspy.digests`` switched off."""
    from dj_sqlspy.spy import observe

    observe.digests = False
    try:
        yield
    finally:
        observe.digests = True


def _short(what: str, work: str, found: Pairs, goal: str, met: bool) -> Figure:
    note = f"{found.added * 1e6:+.2f} µs a call; of processor time {(found.cpu or 0) * 1e6:+.2f} µs"
    return Figure(what, work, found.baseline, found.ours, goal, met, found.ratio, note=note)


def join(place: Place, connection: Any, rows: int, last: bool) -> Figure:
    found, work = join_beside(place, connection, rows, 3 if place.quick else 15 if last else 30, unwrapped)
    memory = [in_process("capture:memory_of_join", place, rows=rows, captured=flag) for flag in (False, True)]
    return Figure(
        "a join in an export session",
        work,
        found.baseline,
        found.ours,
        "at most 1.02 times, no copy of the result held" if last else "",
        (found.ratio <= 1.02 and memory[1] <= memory[0] * 1.02) if last else None,
        found.ratio,
        memory[1],
        f"peak without dj-sqlspy {memory[0] / 2**20:,.0f} MiB; {found.added * 1e6:+.0f} µs",
        rows,
    )


def digest_of_join(place: Place, connection: Any, rows: int) -> Figure:
    found, work = join_beside(place, connection, rows, 3 if place.quick else 15, undigested)
    return Figure(
        "the digest of a join, beside capture without it",
        work,
        found.baseline,
        found.ours,
        "at most 1.05 times",
        found.ratio <= 1.05,
        found.ratio,
        note=f"{found.added * 1e6:+.0f} µs",
    )


def join_beside(
    place: Place, connection: Any, rows: int, rounds: int, without: Callable[[], AbstractContextManager[Any]]
) -> tuple[Pairs, str]:
    """A join in an export session, and inside of ``without()``; and how much was done."""
    sessions, trials = tables(connection)
    wanted = sessions.proj("weight") * (trials & f"session < {rows // 100}")

    def ours() -> None:
        assert len(wanted.fetch()) == rows

    def baseline() -> None:
        with without():
            ours()

    with tempfile.TemporaryDirectory() as folder, session(folder):
        return pairs(baseline, ours, rounds), f"{rows:,} rows, {rounds} calls"


def memory_of_join(place: Place, rows: int, captured: bool) -> int:
    sessions, trials = tables(place.datajoint())
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            session(stack.enter_context(tempfile.TemporaryDirectory())) if captured else unwrapped()
        )
        kept = (sessions.proj("weight") * (trials & f"session < {rows // 100}")).fetch()
        assert len(kept) == rows
    return peak_memory()


IMPORT = """
import time, datajoint
start = time.perf_counter()
import dj_sqlspy
seconds = time.perf_counter() - start
import sys
assert "sqlglot" not in sys.modules
print(seconds)
"""


def imports(place: Place) -> Figure:
    """The import of a package whose modules are compiled, as an installer leaves it."""
    rounds = 1 if place.quick else 11
    command = [sys.executable, "-W", "ignore", "-c", IMPORT]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        found = [
            subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
            for _ in range(rounds + 1)
        ]
    middle = statistics.median(float(text.split()[-1]) for text in found[1:])  # the first one compiled them
    return Figure(
        "import dj_sqlspy after datajoint",
        f"{rounds} processes",
        None,
        middle,
        "at most 60 ms",
        middle <= 0.06,
    )
