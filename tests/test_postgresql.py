"""A connection of DataJoint to PostgreSQL: its first statement tells, and no paper is made of a part."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.errors import SpyError
from tests.machine import postgresql

# DataJoint 0.14 has no PostgreSQL
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("mariadb"), pytest.mark.needs_server]
SECONDS = 60.0


@contextlib.contextmanager
def cluster() -> Iterator[int]:
    """A PostgreSQL of this test's own; yields its port. It refuses to run as root."""
    programs = postgresql()
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        folder = Path(name)
        folder.chmod(0o777)  # for the other user
        data = folder / "data"
        words = ["--pgdata", str(data), "--username=tester", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        subprocess.run([programs / "initdb", *words], user=user, cwd="/", check=True, capture_output=True)
        options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"]
        log = folder / "log"
        with (
            log.open("w") as out,
            subprocess.Popen(
                [programs / "postgres", *options], user=user, cwd="/", stdout=out, stderr=out
            ) as run,
        ):
            try:
                deadline = time.monotonic() + SECONDS
                while subprocess.run(
                    [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
                ).returncode:
                    assert run.poll() is None and time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
                yield port
            finally:
                run.send_signal(signal.SIGINT)  # its fast shutdown, which waits for no client


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A table with two rows on PostgreSQL. The server that DataJoint is connected to stays the same."""
    with cluster() as port:
        for name, value in {
            "backend": "postgresql",
            "host": "127.0.0.1",
            "port": port,
            "name": "postgres",
        }.items():
            monkeypatch.setattr(dj.config.database, name, value)
        connection = dj.Connection("127.0.0.1", "tester", "pw", port=port, use_tls=False)
        schema = dj.Schema("mice", connection=connection)

        @schema
        class Mouse(dj.Manual):
            definition = """
            mouse : int32
            ---
            name : varchar(20)
            """

        Mouse.insert([(1, "x"), (2, "y")])
        monkeypatch.undo()
        yield Mouse
        connection.close()


def test_it_tells_at_the_first_statement(
    table: Any, dj_conn: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with sqlspy.export("paper", "fig"):
        caplog.clear()
        assert (table & "mouse=1").to_dicts() == [{"mouse": 1, "name": "x"}]
        (told,) = [each.getMessage() for each in caplog.records if each.name == "dj_sqlspy"]
        assert "a server of the kind 'postgresql'; dj-sqlspy works with MySQL and MariaDB" in told
        assert "Error:" not in told
        assert len(table()) == 2  # and the analysis goes on
    paper = sqlspy.Paper("paper")
    assert not paper.complete
    caplog.clear()
    assert not paper.slice().tables
    assert "is incomplete" in caplog.text and "'postgresql'" in caplog.text
    with pytest.raises(SpyError, match="'postgresql'"):
        paper.write(tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_outside_of_a_session_it_is_left_alone(table: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    assert len(table & "mouse>1") == 1
    table.connection.query("SET search_path TO mice")
    assert not [each for each in caplog.records if each.name == "dj_sqlspy"]
