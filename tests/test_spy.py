"""What is captured, and for which session; DataJoint behaves the same as without dj-sqlspy."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pymysql
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.servers.mysql.connect import raw_connection
from dj_sqlspy.spy import observe, session
from tests.lab import SUBJECTS, V2, make_lab, rows, run_script


@pytest.fixture
def lab(prefix: str, dj_conn: Any, home: Path) -> Iterator[SimpleNamespace]:
    made = make_lab(prefix + "lab", dj_conn)
    rows(made.Subject & "subject = 0"), rows(made.Session & "subject = 0")  # headings are loaded
    yield made
    assert not session.open_sessions


def subjects(statements: list[Any]) -> list[int]:
    """The numbers that statements of `read` ask for, in order."""
    return [int(s.sql.rsplit("subject = ", 1)[1].split(")")[0]) for s in statements]


def read(lab: SimpleNamespace, number: int) -> list[dict[str, Any]]:
    """One statement that names ``number``."""
    return rows(lab.Subject & f"subject = {number}")


def kinds(opened: sqlspy.Session) -> list[str]:
    return [statement.kind for statement in opened.statements]


# --- from when to when -------------------------------------------------------------------------------------


def test_context_manager(lab: SimpleNamespace) -> None:
    read(lab, 0)
    with sqlspy.export("paper", "fig") as opened:
        read(lab, 1)
        assert subjects(opened.statements) == [1]
        read(lab, 2)
    read(lab, 3)
    assert subjects(opened.statements) == [1, 2]
    one, two = opened.statements
    assert (one.rows, one.kind, one.analysis, one.transaction, one.number) == (1, "data", "fig", 0, 1)
    assert two.number == 2 and two.time >= one.time
    host, port = one.server.split(":")
    assert (host, int(port)) == (lab.connection.conn_info["host"], lab.connection.conn_info["port"])
    assert opened.complete and opened.problems == []


def test_decorator_of_every_kind_of_function(lab: SimpleNamespace) -> None:
    decorate = sqlspy.export("paper", "fig")

    @decorate
    def plain(number: int) -> int:
        """Doc."""
        return len(read(lab, number))

    @decorate
    def generator(number: int) -> Iterator[int]:
        yield len(read(lab, number))
        yield len(read(lab, number + 1))

    @decorate
    async def coroutine(number: int) -> int:
        await asyncio.sleep(0)
        return len(read(lab, number))

    @decorate
    async def asynchronous(number: int) -> Any:
        yield len(read(lab, number))

    async def consume() -> list[int]:
        return [item async for item in asynchronous(5)]

    def captured() -> list[int]:
        return subjects(sqlspy.Paper("paper").statements)

    assert plain(1) == 1 and captured() == [1]
    assert (plain.__name__, plain.__doc__) == ("plain", "Doc.")
    assert list(generator(2)) == [1, 1] and captured() == [2, 3]
    assert asyncio.run(coroutine(4)) == 1 and captured() == [4]
    assert asyncio.run(consume()) == [1] and captured() == [5]


def test_recursion_and_calls_inside_of_the_same_analysis_add_to_one_run(lab: SimpleNamespace) -> None:
    @sqlspy.export("paper", "fig")
    def analyse(number: int) -> None:
        read(lab, number)
        if number:
            analyse(number - 1)

    analyse(2)
    assert subjects(sqlspy.Paper("paper").statements) == [2, 1, 0]
    with sqlspy.export("paper", "fig"):
        for number in (3, 4):
            analyse(number)
    assert subjects(sqlspy.Paper("paper").statements) == [3, 2, 1, 0, 4, 3, 2, 1, 0]


def test_start_and_stop(lab: SimpleNamespace) -> None:
    opened = sqlspy.start_export("paper", "fig")
    read(lab, 1)
    assert sqlspy.start_export("paper", "fig") is opened  # a notebook cell that ran twice
    read(lab, 2)
    other = sqlspy.start_export("paper", "other")
    read(lab, 3)
    assert sqlspy.stop_export() is other
    read(lab, 4)
    assert sqlspy.stop_export() is opened
    read(lab, 5)
    assert subjects(opened.statements) == [1, 2, 3, 4]
    assert subjects(other.statements) == [3]
    with pytest.raises(sqlspy.SpyError, match="start_export"):
        sqlspy.stop_export()


def test_running_again_replaces(lab: SimpleNamespace) -> None:
    for number in (1, 2):
        with sqlspy.export("paper", "fig"):
            read(lab, number)
        with sqlspy.export("paper", f"only {number}"):
            read(lab, 10 * number)
    assert sorted(subjects(sqlspy.Paper("paper").statements)) == [2, 10, 20]


def test_wrong_arguments(home: Path) -> None:
    with pytest.raises(sqlspy.SpyError, match="paper and an analysis"):
        sqlspy.export("paper")
    with pytest.raises(sqlspy.SpyError, match="too long"):
        sqlspy.export("paper", "x" * 300)
    with pytest.raises(sqlspy.SpyError, match="count='maybe'"):
        sqlspy.export("paper", "fig", count="maybe")
    with pytest.raises(TypeError, match="colour"):
        sqlspy.start_export("paper", "fig", colour="red")
    assert not home.exists()


def test_paused(lab: SimpleNamespace) -> None:
    def in_a_thread(number: int) -> None:
        thread = threading.Thread(target=read, args=(lab, number))
        thread.start()
        thread.join()

    @sqlspy.paused()
    def not_counted() -> None:
        read(lab, 5)

    with sqlspy.export("paper", "fig") as opened:
        read(lab, 1)
        with sqlspy.paused():
            read(lab, 2)
            in_a_thread(2)
            with sqlspy.export("paper", "inner") as inner:
                read(lab, 3)
            not_counted()
        read(lab, 4)
        with pytest.raises(ZeroDivisionError), sqlspy.paused():
            1 / 0  # noqa: B018
        in_a_thread(4)
    assert subjects(opened.statements) == [1, 4, 4]
    assert subjects(inner.statements) == [3]


def test_exception_propagates_and_what_was_captured_is_kept(lab: SimpleNamespace) -> None:
    with pytest.raises(KeyError, match="mine"), sqlspy.export("paper", "fig") as opened:
        read(lab, 1)
        raise KeyError("mine")
    assert subjects(opened.statements) == [1]
    assert opened.complete
    assert [a.state for a in sqlspy.Paper("paper").analyses] == ["failed"]


def test_a_statement_that_fails_is_not_recorded(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "fig") as opened:
        with pytest.raises(dj.errors.UnknownAttributeError):
            lab.connection.query(f"SELECT nothing FROM `{lab.name}`.subject")
        read(lab, 1)
    assert subjects(opened.statements) == [1]
    assert opened.complete


# --- which session -----------------------------------------------------------------------------------------


def test_a_select_is_recorded_before_its_answer(lab: SimpleNamespace) -> None:
    """While the server works on it; how many rows it returned, and that it failed, is known later."""
    connection, count = lab.connection, len(lab.Session())
    with sqlspy.export("paper", "fig") as session:
        sql = f"SELECT SLEEP(0.2), n.* FROM `{lab.name}`.session AS n"
        slow = threading.Thread(target=connection.query, args=(sql,))
        slow.start()
        while slow.is_alive() and not session.statements:
            time.sleep(0.01)
        assert slow.is_alive()
        assert [statement.rows for statement in session.statements] == [None]
        slow.join()
        assert [statement.rows for statement in session.statements] == [count]
        with pytest.raises(Exception, match="doesn't exist"):
            connection.query(f"SELECT * FROM `{lab.name}`.missing")
        rows(lab.Subject)
        assert "_execute_command" not in vars(connection._conn)
    assert [statement.rows for statement in session.statements] == [count, SUBJECTS]
    (analysis,) = sqlspy.Paper("paper").analyses
    assert analysis.statements == 2


def test_interrupted_between_statement_and_answer(
    lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come while a statement is recorded: its answer is not taken for that of the next one."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    connection = lab.connection
    with sqlspy.export("paper", "fig") as session:
        with monkeypatch.context() as patch:
            patch.setattr(observe, "announce", interrupted)
            with pytest.raises(KeyboardInterrupt):
                connection.query("SELECT 1 AS lost FROM DUAL")
        assert not connection._conn.open
        assert connection.query("SELECT 2 AS found FROM DUAL", reconnect=True).fetchall() == ((2,),)
    assert [statement.sql for statement in session.statements] == ["SELECT 2 AS found FROM DUAL"]


def test_nested_sessions_each_see_their_statements(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "outer") as outer:
        read(lab, 1)
        with sqlspy.export("other paper", "inner") as inner:
            read(lab, 2)
            with sqlspy.export("paper", "outer") as same:
                read(lab, 3)
        read(lab, 4)
    assert subjects(outer.statements) == [1, 2, 3, 4]
    assert subjects(inner.statements) == [2, 3]
    assert subjects(same.statements) == [3]
    assert subjects(sqlspy.Paper("paper").statements) == [1, 2, 3, 4]
    assert [a.processes for a in sqlspy.Paper("paper").analyses] == [1]


def test_sessions_in_different_threads_stay_apart(lab: SimpleNamespace, server: Any) -> None:
    barrier = threading.Barrier(3)
    opened: dict[int, sqlspy.Session] = {}

    def analyse(thread: int) -> None:
        connection = dj.Connection(server.host, server.user, server.password, port=server.port, use_tls=False)
        with sqlspy.export("paper", f"fig {thread}") as opened[thread]:
            for round_ in range(5):
                barrier.wait()
                connection.query(f"SELECT {thread}, '(subject = {round_})' FROM `{lab.name}`.subject")

    threads = [threading.Thread(target=analyse, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        statements = opened[number].statements
        assert [s.sql.split(",")[0] for s in statements] == [f"SELECT {number}"] * 5
        assert opened[number].complete


def test_threads_of_an_analysis_are_captured(lab: SimpleNamespace) -> None:
    with ThreadPoolExecutor(1) as older:
        older.submit(read, lab, 0).result()  # its thread is there before the session
        with sqlspy.export("paper", "fig") as opened:
            thread = threading.Thread(target=read, args=(lab, 1))
            thread.start()
            thread.join()
            with ThreadPoolExecutor(1) as pool:
                pool.submit(read, lab, 2).result()
                assert list(pool.map(lambda n: len(read(lab, n)), [3])) == [1]
                with sqlspy.export("paper", "inner") as inner:
                    pool.submit(read, lab, 4).result()
            older.submit(read, lab, 5).result()
        older.submit(read, lab, 6).result()
    assert subjects(opened.statements) == [1, 2, 3, 4, 5]
    assert subjects(inner.statements) == [4]


def test_a_thread_that_is_older_than_the_session_is_captured(lab: SimpleNamespace) -> None:
    work, done = threading.Event(), threading.Event()

    def wait() -> None:
        work.wait(30)
        read(lab, 1)
        done.set()

    thread = threading.Thread(target=wait)
    thread.start()
    with sqlspy.export("paper", "fig") as opened:
        work.set()
        assert done.wait(30)
    thread.join()
    assert subjects(opened.statements) == [1]


def test_a_thread_sees_sessions_opened_inside_of_that_it_was_started_in(lab: SimpleNamespace) -> None:
    steps = [threading.Event() for _ in range(4)]

    def serve() -> None:
        steps[0].wait(30), read(lab, 1), steps[1].set()
        steps[2].wait(30), read(lab, 2), steps[3].set()

    with sqlspy.export("paper", "outer") as outer:
        server = threading.Thread(target=serve)
        server.start()
        steps[0].set(), steps[1].wait(30)
        with sqlspy.export("paper", "inner") as inner:
            steps[2].set(), steps[3].wait(30)
        server.join()
    assert subjects(outer.statements) == [1, 2]
    assert subjects(inner.statements) == [2]


def test_work_in_a_shared_pool_belongs_to_who_gave_it(lab: SimpleNamespace) -> None:
    barrier = threading.Barrier(2)
    opened: dict[int, sqlspy.Session] = {}
    lock = threading.Lock()  # one DataJoint connection is not for two threads at once

    def locked(number: int) -> None:
        with lock:
            read(lab, number)

    with ThreadPoolExecutor(2) as pool:

        def analyse(number: int) -> None:
            with sqlspy.export("paper", f"fig {number}") as opened[number]:
                barrier.wait()
                for _ in range(3):
                    pool.submit(locked, number).result()
                barrier.wait()

        threads = [threading.Thread(target=analyse, args=(number,)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert subjects(opened[1].statements) == [1, 1, 1]
    assert subjects(opened[2].statements) == [2, 2, 2]


def test_asyncio_tasks_stay_apart(lab: SimpleNamespace) -> None:
    opened: dict[int, sqlspy.Session] = {}

    async def analyse(number: int) -> None:
        with sqlspy.export("paper", f"fig {number}") as opened[number]:
            for _ in range(3):
                await asyncio.sleep(0.001)
                read(lab, number)
            await asyncio.to_thread(read, lab, number)

    async def both() -> None:
        await analyse(1)
        await asyncio.gather(*(analyse_without_thread(number) for number in (2, 3)))

    async def analyse_without_thread(number: int) -> None:
        with sqlspy.export("paper", f"fig {number}") as opened[number]:
            for _ in range(3):
                await asyncio.sleep(0.001)
                read(lab, number)

    asyncio.run(both())
    assert [subjects(opened[number].statements) for number in (1, 2, 3)] == [[1] * 4, [2] * 3, [3] * 3]


# --- other processes ---------------------------------------------------------------------------------------


def test_fork(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "fig") as opened:
        read(lab, 0)
        children = []
        for number in (1, 2):
            child = os.fork()
            if not child:
                code = 1
                try:
                    lab.connection.connect()  # a connection cannot be shared with the parent
                    read(lab, number)
                    code = 0
                finally:
                    os._exit(code)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
        read(lab, 3)
    assert sorted(subjects(opened.statements)) == [0, 1, 2, 3]
    assert opened.complete
    (analysis,) = sqlspy.Paper("paper").analyses
    assert (analysis.processes, analysis.state, analysis.statements) == (3, "ended", 4)


def test_fork_in_a_session_that_the_child_leaves(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "fig") as opened:
        read(lab, 0)
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
    if not child:
        os._exit(0 if not session.open_sessions else 1)
    assert subjects(opened.statements) == [0]
    assert [a.processes for a in sqlspy.Paper("paper").analyses] == [1]


def test_populate_with_several_processes(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "fig") as opened:
        lab.Mean.populate(processes=2)
    made = [s for s in opened.statements if s.kind == "data"]
    assert len(made) == SUBJECTS and all("score" in s.sql for s in made)
    assert Counter(kinds(opened)) == {
        "metadata": 1 + SUBJECTS,
        "data": SUBJECTS,
        "count": SUBJECTS,
        "exists": SUBJECTS,
    }
    assert opened.complete


@pytest.mark.flavor("mariadb")  # nothing in these three depends on the server
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes(lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path, method: str) -> None:
    """Workers of a script that says `import dj_sqlspy` only in its main part."""
    run_script(
        f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        def work(number):
            if multiprocessing.current_process().name != "MainProcess":
                dj.conn(reset=True) if {method!r} == "fork" else None
            lab = open_lab()
            return len(rows(lab.Subject & f"subject = {{number}}"))

        if __name__ == "__main__":
            import dj_sqlspy as sqlspy
            context = multiprocessing.get_context({method!r})
            connect()
            with sqlspy.export("paper", "fig"):
                later = context.Pool(1)  # its worker joins, and works for others when the session has ended
                with context.Pool(2) as pool:
                    assert pool.map(work, [1, 2]) == [1, 1]
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    assert list(pool.map(work, [3])) == [1]
                process = context.Process(target=work, args=(4,))
                process.start()
                process.join()
            assert later.map(work, [5]) == [1]
            later.close()
            later.join()
        """,
        server,
        lab.name,
        home,
        tmp_path,
    )
    paper = sqlspy.Paper("paper")
    found = [s for s in paper.statements if "subject = " in s.sql]
    assert sorted(subjects(found)) == [1, 2, 3, 4]
    assert paper.complete
    assert [a.state for a in paper.analyses] == ["ended"]


@pytest.mark.flavor("mariadb")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_that_are_older_than_the_session(
    lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path, method: str
) -> None:
    run_script(
        f"""
        import multiprocessing, pickle
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing.pool import ThreadPool

        labs = {{}}
        def work(number):
            if os.getpid() not in labs:
                if multiprocessing.current_process().name != "MainProcess" and {method!r} == "fork":
                    dj.conn(reset=True)
                labs[os.getpid()] = open_lab()
            if number is None:
                raise KeyError("mine")
            return len(rows(labs[os.getpid()].Subject & f"subject = {{number}}"))

        if __name__ == "__main__":
            import dj_sqlspy as sqlspy
            context = multiprocessing.get_context({method!r})
            connect()
            with context.Pool(1) as pool, ProcessPoolExecutor(1, mp_context=context) as executor:
                threads = ThreadPool(1)
                pools = (pool, threads)
                assert [p.apply(work, (0,)) for p in pools] + list(executor.map(work, [0])) == [1, 1, 1]
                with sqlspy.export("paper", "fig"):
                    assert [p.map(work, [1, 2]) for p in pools] == [[1, 1]] * 2
                    assert [p.apply_async(func=work, args=(3,)).get() for p in pools] == [1, 1]
                    assert [p.starmap(work, [(4,)]) for p in pools] == [[1]] * 2
                    assert [list(p.imap(work, [1, 2], chunksize=n)) for p in pools for n in (1, 2)] == [[1, 1]] * 4
                    with sqlspy.export("paper", "inner"):
                        assert [list(p.imap_unordered(work, [5])) for p in pools] == [[1]] * 2
                    assert list(executor.map(work, [1, 2], chunksize=2)) == [1, 1]
                    with sqlspy.paused():
                        assert [p.apply(work, (0,)) for p in pools] == [1, 1]
                    for call in (lambda: pool.apply(work, (None,)), lambda: executor.submit(work, None).result()):
                        try:
                            call()
                        except KeyError as error:
                            assert error.args == ("mine",)
                        else:
                            raise AssertionError("no error")
                    for call in (lambda: pool.apply(lambda: 1), lambda: executor.submit(lambda: 1).result()):
                        try:
                            call()
                        except (pickle.PicklingError, AttributeError) as error:
                            assert "lambda" in str(error)
                        else:
                            raise AssertionError("no error")
                assert [p.apply(work, (0,)) for p in pools] + list(executor.map(work, [0])) == [1, 1, 1]
        """,
        server,
        lab.name,
        home,
        tmp_path,
    )
    paper = sqlspy.Paper("paper")
    found = [s for s in paper.statements if "subject = " in s.sql]
    by_analysis = Counter((s.analysis, number) for s, number in zip(found, subjects(found), strict=True))
    assert by_analysis == {
        ("fig", 1): 7, ("fig", 2): 7, ("fig", 3): 2, ("fig", 4): 2, ("fig", 5): 2, ("inner", 5): 2,
    }  # fmt: skip
    assert paper.complete
    assert {a.name: a.processes for a in paper.analyses} == {"fig": 3, "inner": 2}


@pytest.mark.flavor("mariadb")
def test_subprocess_joins_the_run(lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path) -> None:
    run_script(
        """
        import subprocess, sys
        if len(sys.argv) > 1:
            import dj_sqlspy
            lab = open_lab()
            rows(lab.Subject & f"subject = {sys.argv[1]}")
        else:
            import dj_sqlspy as sqlspy
            with sqlspy.export("paper", "fig"), sqlspy.export("paper", "other"):
                subprocess.run([sys.executable, __file__, "1"], check=True)
            subprocess.run([sys.executable, __file__, "2"], check=True)
        """,
        server,
        lab.name,
        home,
        tmp_path,
    )
    for analysis in ("fig", "other"):
        paper = sqlspy.Paper("paper", analyses=[analysis])
        assert subjects([s for s in paper.statements if "subject = " in s.sql]) == [1]
        assert [a.state for a in paper.analyses] == ["ended"]
        assert [a.processes for a in paper.analyses] == [2]


# --- which statements --------------------------------------------------------------------------------------


def test_every_connection(lab: SimpleNamespace, server: Any) -> None:
    connections = [dj.Connection(server.host, server.user, server.password, port=server.port, use_tls=False)]
    if V2:
        instance = dj.Instance(server.host, server.user, server.password, port=server.port, use_tls=False)
        connections.append(instance.connection)
    with sqlspy.export("paper", "fig") as opened:
        for number, connection in enumerate(connections):
            read(SimpleNamespace(Subject=dj.FreeTable(connection, f"`{lab.name}`.`subject`")), number)
    assert subjects(opened.statements) == list(range(len(connections)))


def test_dict_and_tuple_cursors_and_iteration(lab: SimpleNamespace) -> None:
    query = f"SELECT subject FROM `{lab.name}`.subject ORDER BY subject"
    with sqlspy.export("paper", "fig") as opened:
        as_dict = lab.connection.query(query, as_dict=True)
        assert as_dict.fetchone() == {"subject": 0} and as_dict.rowcount == SUBJECTS
        assert [row["subject"] for row in as_dict] == list(range(1, SUBJECTS))
        as_tuple = lab.connection.query(query)
        assert as_tuple.fetchmany(2) == ((0,), (1,)) and len(as_tuple.fetchall()) == SUBJECTS - 2
        before = len(opened.statements)
        found = []
        for row in (
            lab.Subject & "subject < 3"
        ):  # in a comprehension, Python 3.13 asks twice for what it iterates over
            found.append(row["subject"])
        assert len(found) == 3
    assert before == 2
    iteration = opened.statements[2:]
    assert [s.rows for s in opened.statements[:2]] == [SUBJECTS] * 2
    assert [s.rows for s in iteration] == ([3] if V2 else [3, 1, 1, 1])
    assert {s.kind for s in iteration} == {"data"}


def test_insert_select(lab: SimpleNamespace) -> None:
    copy, table, text = f"`{lab.name}`.copy", f"`{lab.name}`.subject", "SELECT that is only text"
    with sqlspy.export("paper", "fig") as opened:
        lab.Subject.insert1((100, text))
        lab.Subject.insert([(101, "x"), (102, text)])
        lab.connection.query(f"INSERT INTO {table} VALUES (103, 'SELECT'), (104, \"SELECT\") -- SELECT")
        lab.connection.query(f"UPDATE {table} SET label = %s WHERE subject = 3", args=("SELECT",))
        assert opened.statements == []
        lab.Copy.insert(lab.Subject & "subject < 3")
        lab.Copy.insert(lab.Subject & "subject < 3", skip_duplicates=True)
        lab.connection.query(f"REPLACE INTO {copy} SELECT subject, 'new' FROM {table} WHERE subject = 2")
        lab.connection.query(
            f"insert into {copy} (select 300 + subject, label from {table} where subject < 2)"
        )
        lab.connection.query(f"CREATE TEMPORARY TABLE `{lab.name}`.t AS SELECT subject FROM {table}")
    heads = [s.sql.split()[0].upper() for s in opened.statements]
    assert heads == ["INSERT", "INSERT", "REPLACE", "INSERT", "CREATE"]
    assert [s.rows for s in opened.statements] == [3, None, None, 2, None]
    assert {s.kind for s in opened.statements} == {"data"}


def test_query_cache(lab: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    before = dj.config["query_cache"] if V2 else None
    dj.config["query_cache"] = str(tmp_path / "cache")
    values = ("it's 1%", 3)
    query = f"SELECT subject FROM `{lab.name}`.subject WHERE label <> %s AND subject > %s"
    try:
        lab.connection.set_query_cache("mine")
        with sqlspy.export("paper", "fig") as opened:
            missed = lab.connection.query(query, args=values).fetchall()
            assert list((tmp_path / "cache").iterdir())
            hit = lab.connection.query(query, args=values).fetchall()
            assert len(rows(lab.Subject & "subject < 3")) == 3
            assert len(rows(lab.Subject & "subject < 3")) == 3
    finally:
        lab.connection.set_query_cache(None)
        dj.config["query_cache"] = before
    assert [tuple(row) for row in hit] == [tuple(row) for row in missed] == [(4,), (5,)]
    first, second, third, fourth = opened.statements
    assert (first.sql, first.rows) == (second.sql, second.rows)
    assert first.sql.endswith(r"WHERE label <> 'it\'s 1%' AND subject > 3") and first.rows == 2
    assert third.rows == fourth.rows == 3
    assert opened.complete


AWKWARD = [
    "plain",
    "it's",
    'say "hi"',
    "100%",
    "%s %d %%s",
    "back\\slash \\n",
    "a\nb\r\tc",
    "\0 nul",
    "$HOME `x` #no -- no /* no */ ;",
    "ß é 中",  # the log of MariaDB holds no emoji
    "SELECT '' FROM `~log`",
]


def test_arguments_are_merged_as_the_server_receives_them(lab: SimpleNamespace, connection: Any) -> None:
    """The oracle is the server's own log of what it received."""
    query = f"SELECT subject FROM `{lab.name}`.subject WHERE label = %s /* 100%% */"
    by_name = f"SELECT subject FROM `{lab.name}`.subject WHERE label = %(x)s OR subject = %(y)s"
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE mysql.general_log")
        cursor.execute("SET GLOBAL log_output = 'TABLE'")
        cursor.execute("SET GLOBAL general_log = 1")
        try:
            with sqlspy.export("paper", "fig") as opened:
                for value in AWKWARD:
                    lab.connection.query(query, args=(value,))
                    lab.connection.query(by_name, args={"x": value, "y": 1.5})
                lab.connection.query(
                    f"SELECT label FROM `{lab.name}`.subject WHERE label LIKE '100%'", args=None
                )
                rows(lab.Subject & {"label": "100%"})
                rows(lab.Subject & 'label = "100%%"' if not V2 else lab.Subject & 'label = "100%"')
        finally:
            cursor.execute("SET GLOBAL general_log = 0")
        cursor.execute(
            "SELECT CONVERT(argument USING binary) FROM mysql.general_log WHERE command_type = 'Query'"
            " AND thread_id = %s",
            (lab.connection._conn.thread_id(),),
        )
        logged = [bytes(argument) for (argument,) in cursor.fetchall()]
    captured = [s.sql.encode("utf-8", "surrogateescape") for s in opened.statements]
    assert len(captured) == 2 * len(AWKWARD) + 3
    assert [line for line in logged if line.startswith(b"SELECT")] == captured


def test_bytes_come_back(lab: SimpleNamespace, connection: Any) -> None:
    """The statement as captured gives what it gave, whatever bytes it was made of."""
    values = [
        bytes(range(256)),
        bytes([0xD0, 0x80, 0xFF]),
        "ß".encode("latin1"),
        b"\xed\xa0\x80\xed\xb0\x80",
        "🐁",
    ]
    with sqlspy.export("paper", "fig") as opened:
        then = [
            lab.connection.query("SELECT HEX(_binary %s), x.* FROM (SELECT 1) x", [v]).fetchall()
            for v in values
        ]
    with connection.cursor() as cursor:
        for statement, expected in zip(opened.statements, then, strict=True):
            cursor.execute(statement.sql)
            assert cursor.fetchall() == expected


def test_the_schema_of_names_without_one(lab: SimpleNamespace, server: Any) -> None:
    connection = dj.Connection(server.host, server.user, server.password, port=server.port, use_tls=False)
    connection.query(f"USE `{lab.name}`")  # before the session
    with sqlspy.export("paper", "fig") as opened:
        connection.query("SELECT * FROM subject")
        read(lab, 1)
        with pytest.raises(pymysql.Error):
            connection.query("USE nowhere")
        connection.query("SELECT * FROM subject")
        for use in ("  use mysql;", "/* there */ Use `mysql`", "\n\tUSE mysql"):
            connection.query(use)
            connection.query(f"SELECT * FROM `{lab.name}`.subject")
            connection.query(f"USE `{lab.name}`")
        connection.query("  use mysql;")
        connection.query(f"SELECT * FROM `{lab.name}`.subject")
        connection.connect()
        connection.query(f"SELECT * FROM `{lab.name}`.subject")
    assert [s.database for s in opened.statements] == [lab.name, "", lab.name, *3 * ["mysql"], "mysql", ""]


def test_transactions_have_numbers(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "fig") as opened:
        read(lab, 0)
        with lab.connection.transaction:
            read(lab, 1), read(lab, 2)
        with pytest.raises(ZeroDivisionError), lab.connection.transaction:
            read(lab, 3)
            1 / 0  # noqa: B018
        read(lab, 4)
        lab.connection.query("BEGIN")
        read(lab, 5)
        lab.connection.query("COMMIT")
    assert [s.transaction for s in opened.statements] == [0, 1, 1, 2, 0, 3]


def test_kinds(lab: SimpleNamespace) -> None:
    """The kind is told by what was called, not by how the statement looks."""

    def one(call: Any) -> list[str]:
        with sqlspy.export("paper", "kind") as opened:
            call()
        return kinds(opened)

    subject, per_subject = lab.Subject(), lab.Subject.aggr(lab.Session, n="count(*)")
    union = (lab.Subject & "subject = 1").proj() + (lab.Subject & "subject = 2").proj()
    table = f"`{lab.name}`.subject"
    assert one(lambda: len(subject)) == one(lambda: len(per_subject)) == one(lambda: len(union)) == ["count"]
    assert (
        one(lambda: bool(subject)) == one(lambda: bool(per_subject)) == one(lambda: bool(union)) == ["exists"]
    )
    assert one(lambda: {"subject": 1} in subject) == ["exists"]
    assert one(lambda: dj.U().aggr(lab.Subject, n="count(*)").fetch1("n")) == ["data"]
    assert one(lambda: lab.connection.query(f"SELECT count(*) FROM {table}")) == ["data"]
    assert one(lambda: lab.connection.query(f"SELECT EXISTS(SELECT 1 FROM {table})")) == ["data"]
    assert one(lambda: repr(subject)) == ["preview"] * 2
    assert (
        one(subject._repr_html_) == one(subject.preview) == one(lambda: str(per_subject)) == ["preview"] * 2
    )
    assert set(one(lab.Mean().progress)) == {"preview"}
    assert one(lambda: lab.Subject.describe()) == []
    assert one(lambda: rows(lab.Subject * lab.Session)) == ["data"]
    assert one(
        lambda: lab.Subject.fetch1("KEY") if SUBJECTS == 1 else (lab.Subject & "subject=1").fetch1()
    ) == ["data"]


def test_declaring_tables_reads_nothing_for_the_analysis(lab: SimpleNamespace) -> None:
    """As when a script under ``dj-sqlspy run`` imports its pipeline."""

    def declare() -> Any:
        schema = dj.Schema(lab.name, connection=lab.connection)

        @schema
        class Color(dj.Lookup):
            definition = "color : varchar(10)"
            contents = (
                [("red",), ("blue",)] if dj.__version__ < "2" else [{"color": "red"}, {"color": "blue"}]
            )

        return Color

    for expected in (2, 2):  # declared and filled, then found as it is
        with sqlspy.export("paper", "declare") as opened:
            color = declare()
        assert kinds(opened) in ([], ["metadata"])
        assert len(color()) == expected


def test_deletes_own_reads_are_previews(lab: SimpleNamespace) -> None:
    """2.x counts what it is about to delete or drop where it asks for confirmation; here the answer is no."""
    answers = iter(["no", "no"])
    with pytest.MonkeyPatch.context() as patch, sqlspy.export("paper", "fig") as opened:
        patch.setattr(dj.table, "user_choice", lambda *_, **__: next(answers))
        patch.setitem(dj.settings.config, "safemode", True) if not V2 else None
        (lab.Session & "session = 2").delete(**({"prompt": True} if V2 else {"safemode": True}))
        lab.Copy.drop(**({"prompt": True} if V2 else {}))
    assert set(kinds(opened)) == {"preview"}
    assert len(lab.Session & "session = 2") == SUBJECTS
    with sqlspy.export("paper", "fig") as opened:
        (lab.Session & "session = 2").delete()
    assert set(kinds(opened)) <= {"preview"}
    assert len(lab.Session & "session = 2") == 0


def test_populate_reads_are_bookkeeping_and_what_make_fetches_is_data(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "fig") as opened:
        lab.Mean.populate()
    assert kinds(opened) == ["metadata"] + ["metadata", "data", "count", "exists"] * SUBJECTS
    with sqlspy.export("paper", "fig") as opened:
        lab.Total.populate(max_calls=2)  # fetched twice each, before and inside of the transaction
    assert kinds(opened) == ["metadata"] + ["metadata", "data", "data"] * 2
    with sqlspy.export("paper", "fig") as opened:
        lab.Mean.populate()
    assert kinds(opened) == ["metadata"]
    with sqlspy.export("paper", "fig") as opened:
        read(lab, 1)  # the purpose of populate ends with it
    assert kinds(opened) == ["data"]


def test_populate_with_jobs(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "fig") as opened:
        lab.Mean.populate(reserve_jobs=True)
        if V2:
            lab.Total.jobs.refresh()
        rows(lab.Mean.jobs) if V2 else rows(lab.schema.jobs)
        rows(lab.Mean)
    found = Counter(kinds(opened))
    assert (found["data"], found["count"], found["exists"]) == (SUBJECTS + 1, SUBJECTS, SUBJECTS)
    assert not [s for s in opened.statements if s.kind == "data" and "`~" in s.sql]


def test_bookkeeping_is_not_captured(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "fig") as opened:
        make_lab(lab.name + "_two", lab.connection).Subject.heading  # noqa: B018
        lab.connection.query("SHOW TABLES IN information_schema")
        lab.connection.query("SELECT table_name FROM information_schema.tables")
        lab.connection.query("SELECT @@version")
        lab.connection.get_user()
        if not V2:
            rows(lab.schema.log)
        lab.Subject.parents(), lab.Subject.children()
    assert opened.statements == []
    lab.connection.query(f"DROP DATABASE `{lab.name}_two`")


def test_policies_are_kept(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "a", preview="rows", exists="ignore"), sqlspy.export("paper", "b"):
        read(lab, 1)
    assert sqlspy.Paper("paper").policies == {
        "a": {"preview": "rows", "count": "rows", "exists": "ignore"},
        "b": {"preview": "ignore", "count": "rows", "exists": "witness"},
    }


# --- DataJoint behaves as without --------------------------------------------------------------------------

PROBE = """
    import contextlib
    mode = os.environ["PROBE"]
    if mode != "without":
        import dj_sqlspy as sqlspy
    connect().query(f"DROP DATABASE {json.loads(os.environ['LAB_SERVER'])[4]}")
    lab = open_lab()
    connection = lab.connection
    seen = []

    def note(call):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = call()
                if hasattr(result, "fetchall"):
                    state = [result.rowcount, result.rownumber, repr(result.description), result.lastrowid,
                             type(result).__name__]
                    result = [state, [list(map(repr, row)) for row in result.fetchall()]]
            except BaseException as error:
                result = [type(error).__name__, repr(error.args)]
        raw = connection._conn
        seen.append([repr(result), [(w.category.__name__, str(w.message)) for w in caught],
                     connection.in_transaction, raw.server_status, raw.affected_rows(), raw.insert_id()])

    def probe():
        table = f"`{lab.name}`.subject"
        query = connection.query
        note(lambda: query(f"SELECT * FROM {table} ORDER BY subject"))
        note(lambda: query(f"SELECT subject, 1/0 FROM {table} WHERE subject < %s", args=(2,)))
        note(lambda: query(f"SELECT CAST('x' AS SIGNED) FROM {table}", suppress_warnings=False))
        note(lambda: query(f"SELECT * FROM {table} WHERE subject = %s", 1, suppress_warnings=False))
        note(lambda: query(f"SELECT * FROM {table} WHERE subject = %s", args={"a": 1}))
        note(lambda: query(f"SELECT * FROM {table} WHERE label LIKE '%'", args=(1,)))
        note(lambda: query("SELEC 1"))
        note(lambda: query("SELECT * FROM nowhere.nothing"))
        note(lambda: query(args=None, query="SELECT 1"))
        note(lambda: query())
        note(lambda: query("SELECT 1", (), True))
        note(lambda: query("SELECT 1", nonsense=True))
        note(lambda: query(b"SELECT 1"))
        note(lambda: rows(lab.Subject & "subject < 3"))
        note(lambda: (len(lab.Subject()), bool(lab.Subject()), {"subject": 1} in lab.Subject()))
        note(lambda: repr(lab.Subject()) + lab.Subject()._repr_html_() + lab.Subject.describe())
        note(lambda: (lab.Subject & "subject = 1").fetch1())
        note(lambda: lab.Subject().fetch1())
        note(lambda: lab.Subject.insert1((50, "x")))
        note(lambda: lab.Subject.insert1((50, "x")))
        note(lambda: lab.Session.insert1((77, 1, 1)))
        def transaction():
            with connection.transaction:
                note(lambda: query(f"SELECT * FROM {table}"))
                lab.Subject.insert1((51, "rolled back"))
                raise KeyError("mine")
        note(transaction)
        note(lambda: len(lab.Subject()))
        note(lambda: (lab.Subject & "subject >= 50").delete())
        note(lambda: lab.Mean.populate())
        note(lambda: rows(lab.Mean))
        note(lambda: lab.Mean().progress())
        note(lambda: lab.Mean.delete_quick() if hasattr(lab.Mean, "delete_quick") else lab.Mean().delete_quick())
        note(lambda: query(f"SELECT count(*) FROM {table}"))

    if mode == "inside":
        with sqlspy.export("paper", "fig") as opened:
            probe()
        assert opened.statements and opened.complete
    else:
        probe()
    print(json.dumps(seen))
"""


def test_datajoint_behaves_the_same(lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path) -> None:
    """Results, exceptions, warnings, transactions, counts, connection state: without us, outside, inside."""
    seen = {
        mode: json.loads(run_script(PROBE, server, lab.name, home, tmp_path, environment={"PROBE": mode}))
        for mode in ("without", "outside", "inside")
    }
    assert len(seen["without"]) > 25
    for mode in ("outside", "inside"):
        for step, (expected, found) in enumerate(zip(seen["without"], seen[mode], strict=True)):
            assert found == expected, f"{mode}, step {step}"


def test_reconnecting_counts_a_statement_once(lab: SimpleNamespace, connection: Any) -> None:
    with sqlspy.export("paper", "fig") as opened:
        read(lab, 1)
        with connection.cursor() as cursor:
            cursor.execute("KILL %s", (lab.connection._conn.thread_id(),))
        assert len(read(lab, 2)) == 1
    assert subjects(opened.statements) == [1, 2]


def test_import_is_lazy_and_quick() -> None:
    code = (
        "import sys, datajoint; before = set(sys.modules); import dj_sqlspy;"
        "print([m for m in set(sys.modules) - before if m.split('.')[0] in ('sqlglot', 'networkx', 'rich')"
        " or m in ('dj_sqlspy.spy.postgresql', 'dj_sqlspy.servers.postgresql.private')])"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_raw_connection(lab: SimpleNamespace) -> None:
    with sqlspy.export("paper", "fig") as opened:
        with raw_connection(lab.connection) as raw, raw.cursor() as cursor:
            cursor.execute("SELECT @@sql_mode, @@autocommit, @@character_set_client, DATABASE()")
            mode, autocommit, charset, database = cursor.fetchone()
            cursor.execute(f"SELECT count(*) FROM `{lab.name}`.subject")
            assert cursor.fetchone() == (SUBJECTS,)
        with raw_connection(lab.connection, cursorclass=pymysql.cursors.DictCursor) as raw:
            assert raw.cursorclass is pymysql.cursors.DictCursor
    assert (autocommit, charset, database) == (1, "utf8mb4", None)
    assert mode == lab.connection.query("SELECT @@sql_mode").fetchone()[0]
    assert opened.statements == []
