"""A server that closes connections, in the middle of a session and of a cascade. Each is a real KILL."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pymysql
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cascade import Reader
from dj_sqlspy.errors import SliceError
from dj_sqlspy.servers import backend_of
from dj_sqlspy.servers.columns import Column
from dj_sqlspy.servers.mysql import catalog
from dj_sqlspy.servers.mysql.session import in_utc
from dj_sqlspy.servers.mysql.snapshot import MySQLSnapshot, plain_decoders
from dj_sqlspy.servers.mysql.told import told
from dj_sqlspy.servers.snapshot import ConnectionLost
from dj_sqlspy.servers.tables import Table
from dj_sqlspy.slices import Slice
from dj_sqlspy.slices.making import on_server
from tests.lab import make_lab, rows


@pytest.fixture
def lab(prefix: str, dj_conn: Any, home: Path) -> SimpleNamespace:
    made = make_lab(prefix + "lab", dj_conn)
    rows(made.Session & "subject = 0")
    return made


def kill(connection: Any, number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("KILL %s", (number,))
        # it is gone when the list of processes says so
        while cursor.execute("SELECT 1 FROM information_schema.processlist WHERE id = %s", (number,)):
            time.sleep(0.001)


# --- the session ---------------------------------------------------------------------------------------------


def test_a_statement_that_was_running_is_recorded_once(lab: SimpleNamespace, connection: Any) -> None:
    """DataJoint sends it again on a new connection, and gets its rows once."""
    slow = f"SELECT subject, SLEEP(0.2) FROM `{lab.name}`.subject WHERE subject < 2"
    victim = lab.connection._conn.thread_id()
    killer = threading.Timer(0.1, kill, (connection, victim))
    with sqlspy.export("paper", "fig") as opened:
        killer.start()
        assert len(lab.connection.query(slow, reconnect=True).fetchall()) == 2
        killer.join()
        assert lab.connection._conn.thread_id() != victim
        rows(lab.Subject & "subject = 3")
    assert [s.rows for s in opened.statements] == [2, 1]
    assert opened.complete


def test_a_transaction_that_was_lost(lab: SimpleNamespace, connection: Any) -> None:
    """Statements before the loss are recorded; the one that failed is not."""
    with sqlspy.export("paper", "fig") as opened:
        with pytest.raises(dj.errors.LostConnectionError), lab.connection.transaction:
            rows(lab.Subject & "subject = 1")
            kill(connection, lab.connection._conn.thread_id())
            rows(lab.Subject & "subject = 2")
        lab.connection.connect()
        lab.connection._in_transaction = False
        rows(lab.Subject & "subject = 3")
    numbers = [s.sql.rsplit("subject = ", 1)[1][0] for s in opened.statements]
    assert numbers == ["1", "3"]
    assert opened.complete


@pytest.mark.flavor("mariadb")
def test_a_row_that_changed_since_the_transaction_read_it(lab: SimpleNamespace, connection: Any) -> None:
    """Error 1020 is the analysis' own (innodb_snapshot_isolation, MariaDB 11.8's default); capture goes on."""
    locked = f"SELECT label FROM `{lab.name}`.subject WHERE subject = 1 LOCK IN SHARE MODE"
    lab.connection.query("SET SESSION innodb_snapshot_isolation = ON")
    try:
        with sqlspy.export("paper", "fig") as opened:
            with (
                pytest.raises(Exception, match="Record has changed since last read"),
                lab.connection.transaction,
            ):
                rows(lab.Subject & "subject = 1")
                with connection.cursor() as cursor:
                    cursor.execute(f"UPDATE `{lab.name}`.subject SET label = 'new' WHERE subject = 1")
                lab.connection.query(locked).fetchall()
            lab.connection.query(locked).fetchall()
        assert [s.rows for s in opened.statements] == [1, 1] and opened.complete
        assert held(sqlspy.Paper("paper").slice())[f"`{lab.name}`.`subject`"] == {(1,)}
    finally:
        lab.connection.query("SET SESSION innodb_snapshot_isolation = DEFAULT")


# --- the cascade ---------------------------------------------------------------------------------------------


def held(cut: Slice) -> dict[str, set[Any]]:
    return {name: cut.keys(name) for name in cut.tables}


def killing(monkeypatch: pytest.MonkeyPatch, connection: Any, when: Callable[[int], bool]) -> list[int]:
    """Have the cascade's connection killed before those of its queries that ``when`` says; the queries so far."""
    asked: list[int] = []

    def before(opened: Any) -> None:
        asked.append(opened.thread_id())
        if when(len(asked)):
            kill(connection, opened.thread_id())

    ask, read = MySQLSnapshot.send, catalog._rows

    def send(self: Any, *arguments: Any) -> Any:
        before(self.connection)
        return ask(self, *arguments)

    def read_rows(cursor: Any, *arguments: Any) -> Any:
        before(cursor.connection)
        return read(cursor, *arguments)

    monkeypatch.setattr(MySQLSnapshot, "send", send)
    monkeypatch.setattr(catalog, "_rows", read_rows)
    return asked


def test_killed_before_each_query_of_the_cascade(
    lab: SimpleNamespace, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slice is the same, and no statement counts as unanalysed or drifted because of it."""
    with sqlspy.export("paper", "fig"):
        rows(lab.Session & "subject = 2")
        rows(lab.Subject - (lab.Session & "score > 30"))
        for number in range(3):
            lab.connection.query(f"SELECT * FROM `{lab.name}`.subject WHERE subject = {number}")
    expected = held(sqlspy.Paper("paper").slice())
    with monkeypatch.context() as patch:
        asked = killing(patch, connection, lambda _: False)
        sqlspy.Paper("paper").slice()
        queries = len(asked)
    assert queries > 10
    for number in range(1, queries + 1):
        with monkeypatch.context() as patch:
            asked = killing(patch, connection, lambda count, number=number: count == number)
            cut = sqlspy.Paper("paper").slice()
        assert held(cut) == expected and len(asked) == number + queries
        assert not cut.fallbacks and not cut.drifted


def test_killed_each_time(lab: SimpleNamespace, connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlspy.export("paper", "fig"):
        rows(lab.Session & "subject = 2")
    with monkeypatch.context() as patch:
        asked = killing(patch, connection, lambda _: True)
        with pytest.raises(SliceError, match=r"closed the connection 3 times.*wait_timeout"):
            sqlspy.Paper("paper").slice()
    assert len(set(asked)) == 3
    assert len(sqlspy.slice([lab.Session & "subject = 2"]).keys(lab.Session.full_table_name)) == 2


def test_hand_picked_slices(lab: SimpleNamespace, connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (sqlspy.slice([lab.Session & f"subject = {n}"]) for n in (1, 2))
    makes: list[Callable[[], Slice]] = [
        lambda: sqlspy.slice([lab.Session & "subject = 1"]), lambda: one + two, lambda: one - two
    ]  # fmt: skip
    for make in makes:
        expected = held(make())
        with monkeypatch.context() as patch:
            killing(patch, connection, lambda count: count == 3)
            assert held(make()) == expected


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_killed_while_an_answer_is_read(server: Any, connection: Any) -> None:
    """The rest of a streamed answer is lost with the connection, and nothing waits for it."""
    table = Table("s", "t", (Column("a", "char", "char(150)", False, None, ""),), ("a",))
    counted = "WITH RECURSIVE d AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM d WHERE n < 300000)"
    with server.connect(conv=plain_decoders()) as victim, victim.cursor() as cursor:
        most = "cte_max_recursion_depth" if server.flavor == "mysql" else "max_recursive_iterations"
        cursor.execute(f"SET SESSION {most} = 1000000")
        asker = Reader(MySQLSnapshot(victim))
        read, pieces = asker.coder.read, []

        def read_then_kill(*arguments: Any) -> Any:
            pieces.append(len(arguments[1]))
            if len(pieces) == 1:
                kill(connection, victim.thread_id())
            return read(*arguments)

        asker.coder.read = read_then_kill  # type: ignore[method-assign]
        with pytest.raises(ConnectionLost):
            asker.keys(table, f"{counted} SELECT CONCAT(REPEAT('x', 140), n) FROM d")
        assert 1 <= len(pieces) < 30
        del asker
        gc.collect()


def test_a_table_that_is_changed_meanwhile(lab: SimpleNamespace, connection: Any) -> None:
    """ALTER by another client after the snapshot began: its first query fails, and all is done again."""
    table, snapshots = f"`{lab.name}`.subject", []

    def work(raw: Any) -> int:
        with MySQLSnapshot(raw) as snapshot:
            snapshots.append(snapshot)
            if len(snapshots) == 1:
                with connection.cursor() as cursor:
                    cursor.execute(f"ALTER TABLE {table} COMMENT = 'changed', ALGORITHM = COPY")
            return snapshot.count(f"SELECT COUNT(*) FROM {table}")

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
        (expected,) = cursor.fetchone()
    assert on_server(lab.connection, work) == expected
    assert len(snapshots) == 2


@pytest.mark.parametrize("after", [0.05, 0.15, 0.3])
def test_interrupted_while_settings_are_changed(lab: SimpleNamespace, after: float) -> None:
    """Ctrl-C stays one, though the connection that it broke cannot take its settings back."""
    backend, work_done = backend_of(lab.connection), []

    def work(raw: Any) -> None:
        with told(), in_utc(raw), backend.one_moment(raw), raw.cursor() as cursor:
            cursor.execute("SELECT SLEEP(20)")
        work_done.append(raw)

    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(after, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        on_server(lab.connection, work)
    timer.join()
    assert not work_done


@pytest.mark.parametrize("rows_before", [0, 3])
def test_interrupted_while_an_answer_is_read(server: Any, rows_before: int) -> None:
    """Ctrl-C between two rows: the connection is open, but what it reads next is the rest of the answer."""

    def interrupted(self: Any, packet: Any, found: list[Any] = []) -> Any:  # noqa: B006
        found.append(packet)
        if len(found) > rows_before:
            raise KeyboardInterrupt
        return ()

    with (
        server.connect() as raw,
        pytest.raises(KeyboardInterrupt),
        told(),
        in_utc(raw),
        raw.cursor() as cursor,
    ):
        many = (
            "WITH RECURSIVE d AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM d WHERE n < 500) SELECT n FROM d"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pymysql.connections.MySQLResult, "_read_row_from_packet", interrupted)
            cursor.execute(many)
