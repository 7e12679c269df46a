"""A long run of random statements: the trials of `test_lineage_random`, without a limit and without shrinking.

In: how many sets of raw SELECTs to try, a seed and a server. Out: what became of them, a line every minute; each
failure with the Python that makes it again, in a file. Exit code 0 only if there was none.

    export SQLSPY_MYSQL_ROOT=$(python tests/machine.py mysql)
    python -m tests.long_run --sets 25000 --seed 7 --server mysql --failures failures.txt
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pymysql

from dj_sqlspy import servers
from tests.test_lineage_random import SCHEMAS, Case, expected, make_case
from tests.trial import Bench


def trial(bench: Bench, case: Case, totals: Counter[str]) -> None:
    """One set of statements; raises where the promise is broken or a statement falls back that should not."""
    outcome = bench.trial(case.schema, case.rows, case.statements, parts=case.parts)
    totals.update(outcome.counts)
    for reason, statement in outcome.fallbacks:
        totals[f"fall-back: {expected(reason)}"] += 1
        assert expected(reason), f"an unexpected fall-back ({reason}) for\n{statement}"


def run(server: servers.Server, sets: int, seed: int, failures: Path) -> Counter[str]:
    """Try ``sets`` sets; what is counted under "failed" is described in ``failures``."""
    totals: Counter[str] = Counter()
    bench = Bench(server, "long")
    started = told = time.monotonic()
    for number in range(sets):
        source = random.Random(f"{seed} {number}")
        case = make_case(source, number * SCHEMAS // max(sets, SCHEMAS) + SCHEMAS * seed, server.flavor)
        try:
            trial(bench, case, totals)
        except Exception as error:
            totals["failed"] += 1
            with failures.open("a") as file:
                file.write(f"##### set {number}\n{case!r}\n{''.join(traceback.format_exception(error))}\n")
            if isinstance(
                error, pymysql.err.OperationalError
            ):  # the server may be gone, and then so is the rest
                raise
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
    parser.add_argument("--server", choices=("mysql", "mariadb"), default="mariadb")
    parser.add_argument("--failures", type=Path, default=Path("failures.txt"))
    options = parser.parse_args(arguments)
    root = os.environ.get("SQLSPY_MYSQL_ROOT")
    if options.server == "mysql" and root:
        os.environ["PATH"] = f"{servers.root_programs(root)}{os.pathsep}{os.environ['PATH']}"
    with servers.private_server(options.server) as server:
        totals = run(server, options.sets, options.seed, options.failures)
    print(dict(totals.most_common()))
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
