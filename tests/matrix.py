"""The test suite on the whole matrix: each DataJoint line against each server.

In: a machine as `machine.py` describes it. Out: a table with the tests that passed, failed and were skipped
in each cell, and exit code 0 only if every cell ran and nothing failed or was skipped. Only the standard
library is used. Arguments that are not its own go to pytest.

    python3 tests/matrix.py                            # what `make test` runs
    python3 tests/matrix.py --slow                     # the tests marked slow, and only those
    python3 tests/matrix.py --cell 2.x-mysql -k dump   # one cell, some tests
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import machine

RESULTS = machine.CHECKOUT / "build" / "tests"
FLAVORS = ("mariadb", "mysql")
ROOM = 6 << 30  # bytes of /dev/shm that the servers of all cells cannot fill
LONGEST = 2400  # seconds that a cell may take
TELL = 60  # seconds between two words of how far a cell is
NO_TESTS = 5  # pytest's exit code where none was selected


@dataclass(frozen=True)
class Cell:
    """A DataJoint line on a server."""

    line: str
    flavor: str

    @property
    def name(self) -> str:
        return f"{self.line}-{self.flavor}"


CELLS = (*(Cell(line, flavor) for flavor in FLAVORS for line in machine.LINES), Cell("2.x", "postgresql"))


@dataclass(frozen=True)
class Outcome:
    """What a cell gave; `problem` is empty only if it is as it should be."""

    cell: Cell
    datajoint: str
    server: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    problem: str


def server_version(flavor: str, mysql_root: Path) -> str:
    """As the program says: the MySQL of the root is run by the root's own loader, as the tests run it."""
    if flavor == "mysql":
        code = "import sys; from dj_sqlspy import servers; print(servers.root_programs(sys.argv[1]))"
        folder = ask(machine.python("2.x"), "-W", "ignore", "-c", code, mysql_root)
        return "MySQL " + ask(Path(folder, "mysqld"), "--version").split("Ver ")[1].split("-")[0]
    if flavor == "postgresql":
        return "PostgreSQL " + ask(machine.postgresql() / "postgres", "--version").split(") ")[1].split()[0]
    return "MariaDB " + ask(machine.mariadb(), "--version").split("Ver ")[1].split("-")[0]


def ask(*command: str | Path) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def fast_folder() -> Iterator[dict[str, str]]:
    """The environment that has temporary files in memory where there is plenty of it, else none.

    Making and dropping schemas, which tests do all the time, is ten times as fast there.
    """
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < ROOM:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="dj-sqlspy-tests-", dir=memory) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL, which runs as another user for root, has to pass
        yield {"TMPDIR": folder}


def run_cell(
    cell: Cell, mysql_root: Path, slow: bool, arguments: Sequence[str], extra: Mapping[str, str]
) -> Outcome:
    """Run pytest in one cell; what it prints goes into a file beside its results."""
    interpreter = machine.python(cell.line)
    report, log = RESULTS / f"{cell.name}.xml", RESULTS / f"{cell.name}.log"
    report.unlink(missing_ok=True)
    command = [str(interpreter), "-m", "pytest", f"--junitxml={report}", "-p", "no:cacheprovider"]
    command += ["-m", "slow" if slow else "not slow", *arguments]
    environment = {
        **os.environ,
        **extra,
        "PATH": f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}",
        "SQLSPY_TEST_SERVER": cell.flavor,
        "SQLSPY_MYSQL_ROOT": str(mysql_root),
    }
    # hundreds of processes that tests start import DataJoint three times as fast once it is compiled
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.monotonic()
    with (
        log.open("w") as out,
        subprocess.Popen(
            command, cwd=machine.CHECKOUT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        ) as process,
    ):
        code = None
        while code is None:
            try:
                code = process.wait(timeout=TELL)
            except subprocess.TimeoutExpired:
                machine.say(f"{cell.name}: {share_done(log)}")
                if time.monotonic() - started > LONGEST:
                    process.kill()
                    code = process.wait()
                    out.write(f"\n(stopped after {LONGEST} s)\n")
    seconds = time.monotonic() - started
    passed, failed, skipped = read_report(report)
    if not report.exists():
        problem = f"did not run (pytest ended with code {code})"
    elif code == NO_TESTS and slow:
        problem = ""
    elif code:
        problem = "failed" if failed else f"pytest ended with code {code}"
    elif skipped:
        problem = "tests were skipped"
    elif not passed:
        problem = "no test ran"
    else:
        problem = ""
    question = "import datajoint; print(datajoint.__version__)"
    datajoint = ask(interpreter, "-W", "ignore", "-c", question)
    server = server_version(cell.flavor, mysql_root)
    return Outcome(cell, datajoint, server, passed, failed, skipped, seconds, problem)


def share_done(log: Path) -> str:
    """How far pytest is, by the share and the file that it wrote last."""
    text = log.read_text(errors="replace")
    shares = [part.strip() for part in text.split("[") if "%]" in part]
    files = [line.split()[0] for line in text.splitlines() if line.startswith("tests/") and ".py " in line]
    return f"{shares[-1].partition(']')[0] if shares else '0%'}, {files[-1] if files else 'starting'}"


def read_report(report: Path) -> tuple[int, int, int]:
    """Tests that passed, failed (or broke) and were skipped."""
    if not report.exists():
        return 0, 0, 0
    counts = [0, 0, 0]
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        counts[0] += int(suite.get("tests", 0)) - bad - skipped
        counts[1] += bad
        counts[2] += skipped
    return counts[0], counts[1], counts[2]


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as text."""
    head = ("DataJoint", "server", "passed", "failed", "skipped", "seconds", "")
    rows = [
        (
            o.datajoint,
            o.server,
            str(o.passed),
            str(o.failed),
            str(o.skipped),
            f"{o.seconds:.0f}",
            o.problem or "ok",
        )
        for o in outcomes
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            text.ljust(width) if i in (0, 1, 6) else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])


def main(arguments: Sequence[str]) -> int:
    """Run the cells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cell", action="append", choices=[cell.name for cell in CELLS], help="only this cell"
    )
    parser.add_argument("--slow", action="store_true", help="the tests marked slow instead of the others")
    options, pytest_arguments = parser.parse_known_args(arguments)
    cells = [cell for cell in CELLS if not options.cell or cell.name in options.cell]
    try:
        machine.mariadb()
        machine.tools()
        machine.postgresql()
        machine.need_venv()
        # what is left waits for the network most of the time
        with ThreadPoolExecutor() as pool:
            environments = [pool.submit(machine.python, line) for line in machine.LINES]
            mysql_root = machine.mysql()
            for environment in environments:
                environment.result()
    except machine.Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    RESULTS.mkdir(parents=True, exist_ok=True)

    def run(cell: Cell) -> Outcome:
        machine.say(f"{cell.name}: running")
        outcome = run_cell(cell, mysql_root, options.slow, pytest_arguments, extra)
        machine.say(f"{cell.name}: {outcome.problem or 'ok'}")
        return outcome

    # all at once: half of the time a cell waits, for servers that start and processes that end
    with fast_folder() as extra, ThreadPoolExecutor(len(CELLS)) as pool:
        outcomes = list(pool.map(run, cells))
    for outcome in outcomes:
        if outcome.problem:
            log = RESULTS / f"{outcome.cell.name}.log"
            print(f"\n===== {outcome.cell.name}: {outcome.problem} ({log}) =====")
            print("\n".join(log.read_text(errors="replace").splitlines()[-200:]))
    print(f"\n{table(outcomes)}")
    good = [outcome for outcome in outcomes if not outcome.problem]
    print(f"\n{len(good)} of {len(cells)} cells passed, {sum(o.passed for o in outcomes)} tests in all.")
    return 0 if len(good) == len(cells) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
