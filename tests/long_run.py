"""A long run of random statements: the trials of `test_lineage_random`, without a limit and without shrinking.

On PostgreSQL those of `test_postgresql_random`.

In: how many sets of raw SELECTs to try, a seed and a server. Out: what became of them, a line every minute; each
failure with the Python that makes it again, in a file. Exit code 0 only if there was none. A set that takes longer
than `LONGEST` seconds is given up, counted and described, too.

    export SQLSPY_MYSQL_ROOT=$(python tests/machine.py mysql)
    python -m tests.long_run --sets 25000 --seed 7 --server mysql --failures failures.txt
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg2
import pymysql

from dj_sqlspy import servers
from tests import test_lineage_random, test_postgresql_random
from tests.test_lineage_random import SCHEMAS, Case
from tests.trial import Bench
from tests.trial_postgresql import PostgreSQLBench

# Why a statement may fall back; None: it may not.
Expected = Callable[[str], str | None]
LONGEST = 120
# The server may be gone, and then so is the rest.
LOST = (pymysql.err.OperationalError, psycopg2.InterfaceError)


class TooLong(Exception):
    """A set takes too long."""


def give_up(number: int, frame: Any) -> None:
    """Between two queries; the server stops one that takes too long itself."""
    raise TooLong


def trial(bench: Bench, case: Case, totals: Counter[str], expected: Expected) -> None:
    """One set of statements; raises where the promise is broken or a statement falls back that should not."""
    outcome = bench.trial(case.schema, case.rows, case.statements, parts=case.parts)
    totals.update(outcome.counts)
    for reason, statement in outcome.fallbacks:
        totals[f"fall-back: {expected(reason)}"] += 1
        assert expected(reason), f"an unexpected fall-back ({reason}) for\n{statement}"


def run(server: Any, sets: int, seed: int, failures: Path) -> Counter[str]:
    """Try ``sets`` sets; what is counted under "failed" is described in ``failures``."""
    totals: Counter[str] = Counter()
    postgresql = server.flavor == "postgresql"
    make_bench = PostgreSQLBench if postgresql else Bench
    bench = make_bench(server, "long")
    expected = test_postgresql_random.expected if postgresql else test_lineage_random.expected
    signal.signal(signal.SIGALRM, give_up)
    started = told = time.monotonic()
    for number in range(sets):
        source = random.Random(f"{seed} {number}")
        schema = number * SCHEMAS // max(sets, SCHEMAS) + SCHEMAS * seed
        if postgresql:
            case = test_postgresql_random.make_case(source, schema)
        else:
            case = test_lineage_random.make_case(source, schema, server.flavor)
        try:
            signal.alarm(LONGEST)
            trial(bench, case, totals, expected)
        except Exception as error:
            signal.alarm(0)
            totals["given up" if isinstance(error, TooLong) else "failed"] += 1
            with failures.open("a") as file:
                file.write(f"##### set {number}\n{case!r}\n{''.join(traceback.format_exception(error))}\n")
            if isinstance(error, LOST):
                raise
            if isinstance(error, TooLong):
                bench = make_bench(server, f"long{number}_")
        signal.alarm(0)
        totals["tried"] += 1
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"{told - started:.0f} s", dict(totals.most_common()), flush=True)
    bench.close()
    totals["seconds"] = round(time.monotonic() - started)
    return totals


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", choices=("mysql", "mariadb", "postgresql"), default="mariadb")
    parser.add_argument("--failures", type=Path, default=Path("failures.txt"))
    options = parser.parse_args(arguments)
    root = os.environ.get("SQLSPY_MYSQL_ROOT")
    if options.server == "mysql" and root:
        os.environ["PATH"] = f"{servers.root_programs(root)}{os.pathsep}{os.environ['PATH']}"
    postgresql = options.server == "postgresql"
    with servers.private_postgresql() if postgresql else servers.private_server(options.server) as server:
        totals = run(server, options.sets, options.seed, options.failures)
    print(dict(totals.most_common()))
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
