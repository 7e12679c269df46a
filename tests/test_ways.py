"""Every way in which a lab runs code, with real processes, captures the same as a single process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import dj_sqlspy as sqlspy
from tests.lab import make_lab, rows, run_script

pytestmark = [pytest.mark.slow, pytest.mark.flavor("mariadb")]

WAYS = """
    import asyncio, multiprocessing, subprocess, threading
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    NUMBERS = list(range(8))
    labs, lock = {}, threading.Lock()

    def work(number):
        with lock:  # one DataJoint connection is not for two threads at once
            if os.getpid() not in labs:
                dj.conn(reset=True) if labs else None
                host, port, user, password, name = json.loads(os.environ["LAB_SERVER"])
                connection = connect()
                labs.clear()
                labs[os.getpid()] = [dj.FreeTable(connection, f"`{name}`.`{t}`") for t in ("subject", "session")]
            subject, session = labs[os.getpid()]
            found = rows(subject & {"subject": number})
            rows((subject * session) & f"subject = {number}")
            len(session & f"subject = {number} AND score % 2 = 1")
            bool(session & f"subject = {number}")
            return len(found)

    def threads():
        started = [threading.Thread(target=work, args=(n,)) for n in NUMBERS]
        [t.start() for t in started], [t.join() for t in started]

    def in_pool(method):
        with multiprocessing.get_context(method).Pool(3) as pool:
            pool.map(work, NUMBERS, chunksize=1)

    def processes(method):
        started = [multiprocessing.get_context(method).Process(target=work, args=(n,)) for n in NUMBERS]
        [p.start() for p in started], [p.join() for p in started]

    def in_executor(executor):
        with executor:
            list(executor.map(work, NUMBERS))

    async def tasks():
        await asyncio.gather(*(asyncio.to_thread(work, n) for n in NUMBERS[:4]))
        async def one(n):
            await asyncio.sleep(0)
            work(n)
        await asyncio.gather(*map(one, NUMBERS[4:]))

    def programs():
        started = [subprocess.Popen([sys.executable, __file__, str(n)]) for n in NUMBERS[:2]]
        assert [p.wait() for p in started] == [0, 0]
        [work(n) for n in NUMBERS[2:]]

    def forks():
        children = []
        for n in NUMBERS:
            child = os.fork()
            if not child:
                work(n)
                os._exit(0)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(NUMBERS)

    def main():
        import dj_sqlspy as sqlspy
        spawn = multiprocessing.get_context("spawn")
        work(0)  # headings are loaded in none of the others
        labs.clear()
        ways = {
            "single": lambda: [work(n) for n in NUMBERS],
            "threads": threads,
            "forks": forks,
            "processes, fork": lambda: processes("fork"),
            "pool, fork": lambda: in_pool("fork"),
            "pool, spawn": lambda: in_pool("spawn"),
            "pool, forkserver": lambda: in_pool("forkserver"),
            "executor of threads": lambda: in_executor(ThreadPoolExecutor(3)),
            "executor of processes": lambda: in_executor(ProcessPoolExecutor(2, mp_context=spawn)),
            "asyncio": lambda: asyncio.run(tasks()),
            "programs": programs,
        }
        for name, way in ways.items():
            with sqlspy.export("paper", name):
                way()

    if __name__ == "__main__":
        main() if len(sys.argv) == 1 else work(int(sys.argv[1]))
"""

MANY = {
    "forks": 8,
    "processes, fork": 8,
    "programs": 3,
}  # of processes that read; the first only starts others


@pytest.fixture
def lab(prefix: str, dj_conn: Any, home: Path) -> SimpleNamespace:
    return make_lab(prefix + "lab", dj_conn)


def captured(analysis: str) -> Counter[tuple[Any, ...]]:
    """All but when, in which order and in which transactions it came."""
    paper = sqlspy.Paper("paper", analyses=[analysis])
    assert paper.complete and [found.state for found in paper.analyses] == ["ended"]
    return Counter((s.sql, s.rows, s.kind, s.server, s.database) for s in paper.statements)


def test_every_way(lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path) -> None:
    run_script(WAYS, server, lab.name, home, tmp_path)
    single = captured("single")
    assert single.total() == 8 * 4 and {kind for _, _, kind, _, _ in single} == {"data", "count", "exists"}
    names = [analysis.name for analysis in sqlspy.Paper("paper").analyses]
    assert len(names) == 11
    for name in names:
        assert captured(name) == single, name
        (analysis,) = sqlspy.Paper("paper", analyses=[name]).analyses
        assert analysis.processes >= MANY.get(name, 1)
    whole = sqlspy.Paper("paper", analyses=["single"]).slice()
    for name in names:
        cut = sqlspy.Paper("paper", analyses=[name]).slice()
        assert {table: cut.keys(table) for table in cut.tables} == {
            table: whole.keys(table) for table in whole.tables
        }


def test_populate_with_processes(lab: SimpleNamespace) -> None:
    """populate(processes=3) captures what populate() does."""
    for name, options in (("single", {}), ("processes", {"processes": 3})):
        with sqlspy.export("paper", name):
            for table in (lab.Mean, lab.Total):
                table.populate(**options)
        for table in (lab.Mean, lab.Total):
            assert len(rows(table)) == 6
            table().delete_quick()
    assert captured("processes") == captured("single")
    processes = {a.name: a.processes for a in sqlspy.Paper("paper").analyses}
    assert processes["single"] == 1 < processes["processes"] <= 7
