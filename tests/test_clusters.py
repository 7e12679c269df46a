"""Workers of Dask and Ray, from PyPI: what they capture is what a single process captures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import dj_sqlspy as sqlspy
from tests.lab import make_lab, start_script

pytestmark = [pytest.mark.slow, pytest.mark.flavor("mariadb"), pytest.mark.line("2.x")]  # test_ways has both

WORK = """
    import logging, subprocess, time

    def work(number):
        import datajoint as dj
        import json, os
        host, port, user, password, name = json.loads(os.environ["LAB_SERVER"])
        connection = dj.Connection(host, user, password, port=port, use_tls=False)
        time.sleep(0.02)  # so that all workers get something to do
        for _ in range(2):
            rows = connection.query(f"SELECT * FROM `{name}`.subject WHERE subject = {number}").fetchall()
        return len(rows)
"""

SINGLE = """
    import dj_sqlspy as sqlspy
    with sqlspy.export("paper", "single"):
        assert [work(number) for number in range(8)] == [1, 1, 1, 1, 1, 1, 0, 0]
"""

DASK = """
    def main():
        import dask
        from dask.distributed import Client, LocalCluster
        from dj_sqlspy.journal import runs
        import dj_sqlspy as sqlspy

        def cluster():
            return LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None)

        def given(client, *numbers):
            return client.gather(client.map(work, numbers, pure=False))

        with cluster() as older, Client(older) as client:
            given(client, 100)
            with sqlspy.export("paper", "older"):
                given(client, 0, 1, 2)
                client.submit(work, 3).result()
                dask.compute(dask.delayed(work)(4), dask.delayed(work)(5))
                with sqlspy.paused():
                    given(client, 101)
                with sqlspy.export("paper", "inner"):
                    given(client, 6)
                assert given(client, 7) == [0]
            given(client, 102)
            with sqlspy.export("paper", "next"):
                given(client, *range(8))
            given(client, 103)
            subprocess.run([sys.executable, __file__, older.scheduler_address], check=True)
        with sqlspy.export("paper", "inside"):
            younger = cluster()
            client = Client(younger)
            given(client, *range(8))
        given(client, 104)
        client.close()
        younger.close()

    def late(address):
        import dj_sqlspy as sqlspy
        with sqlspy.export("paper", "late"):
            from dask.distributed import Client
            with Client(address) as client:
                client.gather(client.map(work, range(8)))

    if __name__ == "__main__":
        main() if len(sys.argv) == 1 else late(sys.argv[1])
"""

ASYNCHRONOUS = """
    def main():
        import asyncio
        from dask.distributed import Client, LocalCluster
        import dj_sqlspy as sqlspy
        from dj_sqlspy.spy import clusters

        def cluster():
            return LocalCluster(n_workers=1, processes=True, dashboard_address=None, asynchronous=True)

        async def given(cluster, *numbers):
            async with Client(cluster, asynchronous=True) as client:
                await client.gather(client.map(work, numbers, pure=False))

        async def older():
            async with cluster() as workers:
                await given(workers, 100)
                with sqlspy.export("paper", "older"):
                    await given(workers, *range(8))
                await given(workers, 101)

        async def inside():
            with sqlspy.export("paper", "inside"):
                async with cluster() as workers:
                    await given(workers, *range(8))

        async def lacking():
            async with cluster() as workers:
                with sqlspy.export("paper", "lacking"):
                    clusters._plugin = lambda: None  # as where the workers have no dj-sqlspy: it is refused
                    await given(workers, 0)

        asyncio.run(older())
        asyncio.run(inside())
        asyncio.run(lacking())

    if __name__ == "__main__":
        main()
"""

RAY = """
    def main():
        import ray
        import dj_sqlspy as sqlspy

        task = ray.remote(work)

        class Reader:
            def __init__(self, number):
                work(number)

            def read(self, number):
                return work(number)

        actor = ray.remote(Reader)

        def given(*numbers):
            return ray.get([task.remote(number) for number in numbers])

        # one worker for each kind of task: Ray takes seconds to start one
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        given(100)
        with sqlspy.export("paper", "older"):
            given(0, 1, 2, 3)
            ray.get(task.options(num_cpus=0.5).remote(number=4))
            reader = actor.options(runtime_env={"env_vars": {"MINE": "1"}}).remote(5)
            assert ray.get(reader.read.remote(6)) == 0
            with sqlspy.paused():
                given(101)
            assert given(7) == [0]
        given(102)
        ray.shutdown()

    if __name__ == "__main__":
        main()
"""


@pytest.fixture
def lab(prefix: str, dj_conn: Any, home: Path) -> SimpleNamespace:
    return make_lab(prefix + "lab", dj_conn)


def captured(analysis: str) -> Counter[tuple[str, int | None, str]]:
    paper = sqlspy.Paper("paper", analyses=[analysis])
    assert paper.complete and [each.state for each in paper.analyses] == ["ended"]
    return Counter((s.sql, s.rows, s.kind) for s in paper.statements)


def worked(statements: Counter[tuple[str, int | None, str]]) -> Counter[tuple[str, int | None, str]]:
    """Without what DataJoint asks when it connects: how many workers of a cluster do so is up to its scheduler."""
    return Counter({key: count for key, count in statements.items() if key[0] != "SELECT @@version"})


def run(code: str, lab: SimpleNamespace, server: Any, home: Path, folder: Path) -> None:
    process = start_script(WORK + code, server, lab.name, home, folder)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err


def test_workers_of_dask(lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path) -> None:
    """Clusters older than the session, of other programs, and started in it. Tasks from outside do not count."""
    run(SINGLE, lab, server, home, tmp_path)
    run(DASK, lab, server, home, tmp_path)
    single = captured("single")
    assert single.total() == 16
    for analysis in ("older", "next", "late", "inside"):
        assert worked(captured(analysis)) == worked(single)
        (found,) = sqlspy.Paper("paper", analyses=[analysis]).analyses
        assert found.processes == 3
    assert {sql.rsplit(" ", 1)[1] for sql, _, _ in captured("inner")} == {"6"}


def test_asynchronous_clients_of_dask(lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path) -> None:
    """Their tasks wait until the workers have the plugin. If that fails, the record says so."""
    run(SINGLE, lab, server, home, tmp_path)
    run(ASYNCHRONOUS, lab, server, home, tmp_path)
    assert worked(captured("older")) == worked(captured("inside")) == worked(captured("single"))
    lacking = sqlspy.Paper("paper", analyses=["lacking"])
    assert not lacking.complete and "workers of Dask cannot capture" in lacking.problems[0]


def test_workers_of_ray(lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path) -> None:
    run(SINGLE, lab, server, home, tmp_path)
    run(RAY, lab, server, home, tmp_path)
    assert worked(captured("older")) == worked(captured("single"))
    (found,) = sqlspy.Paper("paper", analyses=["older"]).analyses
    assert found.processes >= 3  # the driver, a worker or more, as Ray likes, and an actor
