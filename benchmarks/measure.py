"""Measuring: times and memory of two ways to do the same work, in one run.

In: functions that do the same work, one of them with dj-sqlspy. Out: `Figure` objects, a line of the table each.
Times are wall-clock seconds, ratios are taken between calls that follow each other, and what is kept is the
median. It knows no benchmark.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pymysql

# What a benchmark's servers get beside what `servers` gives every private one: room for data of some gigabytes.
SETTINGS: dict[str, dict[str, int]] = {
    "postgresql": {},
    "mariadb": {
        "innodb_buffer_pool_size": 2 << 30,
        "innodb_log_file_size": 1 << 30,
        "max_session_mem_used": 4 << 30,
    },
    "mysql": {"innodb_buffer_pool_size": 2 << 30, "innodb_redo_log_capacity": 1 << 30},
}


@dataclass(frozen=True)
class Place:
    """The server that a benchmark runs on, and how large its data are."""

    host: str
    port: int
    user: str
    password: str
    flavor: str
    version: str
    quick: bool = False
    database: str = ""  # on PostgreSQL

    def connect(self, **options: Any) -> Any:
        """Open a connection of the driver, pymysql or psycopg2."""
        if self.flavor == "postgresql":
            import psycopg2

            opened = psycopg2.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                dbname=self.database,
                **options,
            )
            opened.autocommit = True
            return opened
        settings: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "charset": "utf8mb4",
            "autocommit": True,
            # MySQL wants a secure channel for the first login of an account
            **({"ssl": {"check_hostname": False}} if self.flavor == "mysql" else {"ssl_disabled": True}),
        }
        return pymysql.connect(**{**settings, **options})

    def datajoint(self) -> Any:
        """Point DataJoint to the server; its connection."""
        import datajoint

        datajoint.config["database.host"] = self.host
        datajoint.config["database.port"] = self.port
        datajoint.config["database.user"] = self.user
        datajoint.config["database.password"] = self.password
        datajoint.config["database.use_tls"] = False
        datajoint.config["safemode"] = False
        if self.flavor == "postgresql":
            datajoint.config["database.backend"], datajoint.config["database.name"] = (
                self.flavor,
                self.database,
            )
        datajoint.logger.setLevel("ERROR")
        return datajoint.conn()


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes
    ----------
    what, work : str
        What is measured, and how much of it.
    baseline, ours : float or None, float
        Seconds.
    goal : str
        In words.
    met : bool or None
        None where there is no goal.
    ratio : float or None
        Ours to baseline; the median of ratios in pairs where there are pairs.
    memory : int or None
        Peak memory of the process that did our part, bytes.
    note : str
    size : int
        How much work it is, in units of its own: lines of the same ``what`` show how it grows.
    """

    what: str
    work: str
    baseline: float | None
    ours: float
    goal: str = ""
    met: bool | None = None
    ratio: float | None = None
    memory: int | None = None
    note: str = ""
    size: int = 0


@dataclass(frozen=True)
class Pairs:
    """Medians over rounds of seconds a call."""

    baseline: float
    ours: float
    ratio: float
    added: float
    cpu: float | None = None


def pairs(
    baseline: Callable[[], Any], ours: Callable[[], Any], rounds: int, calls: int = 1, warm: int = 1
) -> Pairs:
    """Time two functions in turns, the first one changing with every round."""
    for _ in range(warm):
        baseline()
        ours()
    found: list[tuple[float, float]] = []
    for number in range(rounds):
        seconds = {}
        for function in (baseline, ours) if number % 2 else (ours, baseline):
            gc.collect()
            start = time.perf_counter()
            for _ in range(calls):
                function()
            seconds[function] = (time.perf_counter() - start) / calls
        found.append((seconds[baseline], seconds[ours]))
    return Pairs(
        statistics.median(one for one, _ in found),
        statistics.median(other for _, other in found),
        statistics.median(other / one for one, other in found),
        statistics.median(other - one for one, other in found),
    )


def short_pairs(
    call: Callable[[], Any],
    without: Callable[[], AbstractContextManager[Any]],
    rounds: int,
    calls: int = 10,
    warm: int = 3,
) -> Pairs:
    """Time a call of less than a millisecond as it is, and inside of ``without()``, in short turns.

    What else the machine does comes and goes in milliseconds, and would drown a difference of microseconds
    between two long turns. So each call is timed alone, a turn counts with the median of its calls, and turns
    are compared with their neighbours. The first ``warm`` calls of a turn are not timed: changing a class empties
    Python's caches of it. ``cpu`` is the processor time that a call takes more, which no other process adds to
    but by emptying the processor's caches.
    """

    def turn() -> tuple[float, float]:
        for _ in range(warm):
            call()
        times = []
        cpu = time.process_time()
        for _ in range(calls):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return statistics.median(times), (time.process_time() - cpu) / calls

    found = []
    gc.collect()
    for number in range(rounds):
        if number % 2:
            ours = turn()
        with without():
            baseline = turn()
        if not number % 2:
            ours = turn()
        found.append((baseline, ours))
    return Pairs(
        statistics.median(one for (one, _), _ in found),
        statistics.median(other for _, (other, _) in found),
        statistics.median(other / one for (one, _), (other, _) in found),
        statistics.median(other - one for (one, _), (other, _) in found),
        statistics.median(other - one for (_, one), (_, other) in found),
    )


def seconds(function: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_memory() -> int:
    """The most memory that this process ever held, bytes."""
    try:
        # ru_maxrss also holds what the parent had before exec
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def in_process(function: str, place: Place, **arguments: Any) -> Any:
    """Call a function of the benchmarks in a process of its own, which starts with nothing in memory.

    Parameters
    ----------
    function : str
        ``module:name``; it takes the place and the arguments, and returns what JSON can hold, or figures.
    """
    with tempfile.TemporaryFile("w+") as out:
        task = json.dumps({"function": function, "place": asdict(place), "arguments": arguments})
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.child"]
        process = subprocess.run(command, input=task, stdout=out, text=True, cwd=Path(__file__).parent.parent)
        out.seek(0)
        lines = out.read().splitlines()
    if process.returncode or not lines:
        raise RuntimeError(f"{function} ended with code {process.returncode}")
    return json.loads(lines[-1])


def figures(function: str, place: Place, **arguments: Any) -> list[Figure]:
    """`in_process` for a function that returns figures."""
    return [Figure(**one) for one in in_process(function, place, **arguments)]


def give_room(server: Any) -> None:
    """Set what `SETTINGS` says on a running server."""
    with server.connect() as opened, opened.cursor() as cursor:
        for name, value in SETTINGS[server.flavor].items():
            cursor.execute(f"SET GLOBAL {name} = {value}")


def table(found: Sequence[Figure]) -> list[list[str]]:
    """The figures as rows of text: what, work, baseline, ours, ratio, goal, met, memory, note."""
    out = []
    for one in found:
        ratio = one.ratio
        if ratio is None and one.baseline:
            ratio = one.ours / one.baseline
        out.append(
            [
                one.what,
                one.work,
                "" if one.baseline is None else duration(one.baseline),
                duration(one.ours),
                "" if ratio is None else times(ratio),
                one.goal,
                {True: "yes", False: "no", None: ""}[one.met],
                "" if one.memory is None else f"{one.memory / 2**20:,.0f} MiB",
                one.note,
            ]
        )
    return out


def line(one: Figure) -> str:
    """A figure as one line for people."""
    names = ("baseline", "ours", "ratio", "goal", "met", "peak memory", "")
    what, work, *rest = table([one])[0]
    return f"{what} ({work}): " + "; ".join(
        f"{name} {text}".strip() for name, text in zip(names, rest, strict=True) if text
    )


def growth(found: Sequence[Figure]) -> list[list[str]]:
    """How time grows with work, for what was measured in several sizes, as rows of text.

    Each size is compared with the smallest one; times that grow no faster than the work are linear or better.

    >>> growth([Figure("a", "1 row", 1.0, 1.0, size=1), Figure("a", "10 rows", 20.0, 9.5, size=10)])
    [['a', '× 1 → × 10', '× 1 → × 9.5', '× 1 → × 20']]
    """
    out = []
    for what in dict.fromkeys(one.what for one in found):
        same = [one for one in found if one.what == what and one.size]
        if len(same) > 1:
            columns: list[Sequence[float | None]] = [
                [one.size for one in same],
                [one.ours for one in same],
                [one.baseline for one in same],
            ]
            out.append([what, *map(_grown, columns)])
    return out


def _grown(values: Sequence[float | None]) -> str:
    first = values[0]
    return " → ".join(
        f"× {value / first:.2g}" if value / first < 10 else f"× {value / first:.0f}"
        for value in values
        if value and first
    )


def times(ratio: float) -> str:
    """
    >>> times(1.0123), times(0.02)
    ('1.012 ×', '1/50')
    """
    return f"1/{1 / ratio:.0f}" if 0 < ratio < 0.1 else f"{ratio:.3f} ×" if ratio < 10 else f"{ratio:.0f} ×"


def duration(value: float) -> str:
    """
    >>> duration(0.00000123), duration(0.0123), duration(1.5)
    ('1.23 µs', '12.3 ms', '1.50 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(value) >= size or unit == "µs":
            number = value / size
            digits = 2 if abs(number) < 10 else 1 if abs(number) < 100 else 0
            return f"{number:.{digits}f} {unit}"
    raise AssertionError
