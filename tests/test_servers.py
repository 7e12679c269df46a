"""Private servers: they start, they are private, and they leave nothing behind."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import datajoint as dj
import pymysql
import pytest

from dj_sqlspy.errors import ServerError
from dj_sqlspy.servers import Server, private
from dj_sqlspy.servers.mysql import private as servers

from .conftest import FLAVOR, MYSQL_ROOT, user_schemas

# nothing here depends on the line of DataJoint
pytestmark = pytest.mark.line("2.x")


def wait_until(condition: Any, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def query(server: Server, sql: str) -> Any:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_it_is_the_flavor_that_was_asked_for(server: Server) -> None:
    assert server.flavor == FLAVOR
    ((version,),) = query(server, "SELECT VERSION()")
    assert version == server.version
    assert ("MariaDB" in version) == (FLAVOR == "mariadb")


def test_schemas_are_utf8mb4(server: Server) -> None:
    assert query(server, "SELECT @@character_set_server") == (("utf8mb4",),)


def test_the_client_option_file_is_private_and_works(server: Server) -> None:
    path = server.defaults_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    client = "mysql" if FLAVOR == "mysql" else "mariadb"
    answer = subprocess.run(
        [client, f"--defaults-file={path}", "-N", "-e", "SELECT VERSION()"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == server.version


def test_a_wrong_password_is_refused(server: Server) -> None:
    for password in ("", "guess"):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            server.connect(password=password)


def test_the_password_is_in_no_argument_list(server: Server) -> None:
    lists = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert str(server.datadir) in lists
    assert server.password not in lists
    assert server.password not in repr(server)


def test_datajoint_is_connected_to_it(dj_conn: Any, server: Server, prefix: str) -> None:
    schema = dj.Schema(prefix + "one")
    assert schema.is_activated()
    assert prefix + "one" in user_schemas(server)


def test_each_server_is_on_its_own(server: Server, clean_scratch: Server) -> None:
    assert server.port != clean_scratch.port
    assert server.datadir != clean_scratch.datadir
    query(clean_scratch, "CREATE DATABASE only_here")
    assert "only_here" not in user_schemas(server)


@pytest.mark.needs_server
def test_nothing_is_left_when_the_block_ends() -> None:
    with servers.private_server(FLAVOR) as own:
        assert listens(own.port)
        assert stat.S_IMODE(own.datadir.parent.stat().st_mode) == 0o700
    assert not listens(own.port)
    assert not own.datadir.parent.exists()


@pytest.mark.needs_server
def test_nothing_is_left_when_the_block_raises() -> None:
    with pytest.raises(ZeroDivisionError), servers.private_server(FLAVOR) as own:
        raise ZeroDivisionError
    assert not listens(own.port)
    assert not own.datadir.parent.exists()


@pytest.mark.needs_server
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_process_is_killed(number: int) -> None:
    program = (
        "import signal, time\n"
        "from dj_sqlspy.servers import private_server\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # what a shell has in the background ignores it
        f"with private_server({FLAVOR!r}) as own:\n"
        "    print(own.port, own.datadir.parent, flush=True)\n"
        "    while True:\n"
        "        time.sleep(0.05)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        port, place = process.stdout.readline().split()
        assert listens(int(port))
        process.send_signal(number)
        process.wait(timeout=30)
    assert wait_until(lambda: not listens(int(port)) and not Path(place).exists())


@pytest.mark.needs_server
def test_a_forked_child_does_not_stop_it() -> None:
    program = (
        "import os, sys\n"
        "from dj_sqlspy.servers import private_server\n"
        f"with private_server({FLAVOR!r}) as own:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        sys.exit(0)\n"  # leaves the block in the child, through every `finally`
        "    os.waitpid(child, 0)\n"
        "    own.connect().ping()\n"
        "    assert own.datadir.is_dir()\n"
        "    print(own.port, own.datadir.parent, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"  # what watches over the server must also have stayed
    )
    answer = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    port, place = answer.stdout.split()
    assert wait_until(lambda: not listens(int(port)) and not Path(place).exists())


@pytest.mark.needs_server
def test_a_port_that_is_taken_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program takes the free port first: the first port looked up is one that is in use."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free, ports = private.free_port, [other.getsockname()[1]]
        monkeypatch.setattr(private, "free_port", lambda: ports.pop() if ports else free())
        with servers.private_server(FLAVOR) as own:
            assert not ports
            assert own.port != other.getsockname()[1]


@pytest.mark.needs_server
def test_a_server_that_does_not_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "OPTIONS", (*servers.OPTIONS, "--no-such-option=1"))
    with pytest.raises(ServerError, match="no-such-option"), servers.private_server(FLAVOR):
        pytest.fail("it started")


@pytest.mark.needs_server
def test_a_folder_with_a_long_path_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (deep := tmp_path / ("long" * 25)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with (
        pytest.raises(ServerError, match=r"socket .* longer than 10[37] bytes.*Set TMPDIR"),
        servers.private_server(FLAVOR),  # type: ignore[arg-type]
    ):
        pass
    assert list(deep.iterdir()) == []


@pytest.mark.needs_server
def test_a_folder_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with (
        pytest.raises(ServerError, match=r"nowhere/dj-sqlspy-.*Set TMPDIR"),
        servers.private_server(FLAVOR),  # type: ignore[arg-type]
    ):
        pass


def test_where_there_is_no_program_it_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "SERVER_FOLDERS", ())
    assert servers.find_server() is None
    with pytest.raises(ServerError, match="apt-get install mariadb-server"), servers.private_server():
        pytest.fail("it started")


def test_a_root_without_mysql_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="debootstrap"):
        servers.root_programs(tmp_path)


@pytest.mark.needs_server
def test_a_root_of_mysql_needs_no_path() -> None:
    with servers.private_server(root=MYSQL_ROOT) as own:
        assert own.flavor == "mysql"


@pytest.mark.needs_server
def test_an_unusable_template_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(servers.SIZE_OPTIONS, FLAVOR, ("--no-such-option=1",))
    program = servers.find_server(FLAVOR)
    assert program is not None
    with pytest.raises(ServerError, match="no-such-option"):
        servers.template(program)
    assert list((tmp_path / "dj-sqlspy" / "templates").iterdir()) == []
