"""Fixtures: real servers, a DataJoint connection to one, names that no two tests share.

Which flavor the servers are comes from the environment variable SQLSPY_TEST_SERVER (mariadb, the default, mysql, or
postgresql for the tests that are marked so); which DataJoint line is tested is that of the Python environment that
runs pytest. ``make test`` runs all combinations that there are. Of PostgreSQL it is the version on PATH:

    PATH=$(python tests/machine.py postgresql trixie):$PATH SQLSPY_TEST_SERVER=postgresql python -m pytest
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

from dj_sqlspy import guarded, servers
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.dialect import MYSQL
from dj_sqlspy.servers.mysql.snapshot import MySQLSnapshot
from dj_sqlspy.servers.postgresql import private as postgresql_private

quote = MYSQL.quote

# DuckDB is only in the environment of 2.x (`machine.LINES`), as its mark `line` says.
collect_ignore = ["test_open_copy.py", "test_postgresql_open.py"] if dj.__version__.startswith("0.") else []

FLAVOR = os.environ.get("SQLSPY_TEST_SERVER", "mariadb")
MACHINE = Path(__file__).with_name("machine.py")
MYSQL_ROOT = Path(os.environ.get("SQLSPY_MYSQL_ROOT") or servers.cache_folder() / "mysql-root")
MYDUMPER = os.environ.get("SQLSPY_TEST_MYDUMPER")  # one of 1.0 or later, which Debian does not have
SERVER_PROGRAMS = {"mysqld", "mariadbd", "postgres"}
SYSTEM_SCHEMAS = {"information_schema", "mysql", "performance_schema", "sys"}
POSTGRESQL = FLAVOR == "postgresql"

if FLAVOR not in ("mysql", "mariadb", "postgresql"):
    raise pytest.UsageError(f"SQLSPY_TEST_SERVER is {FLAVOR!r}; say mariadb, mysql or postgresql")
if FLAVOR == "mysql" and MYSQL_ROOT.is_dir():
    # the mysqldump and mysql that the dump and restore scripts find are then MySQL's own, like the server
    os.environ["PATH"] = f"{servers.root_programs(MYSQL_ROOT)}{os.pathsep}{os.environ['PATH']}"
if MYDUMPER is not None:
    os.environ["MYDUMPER"] = MYDUMPER

# a home for tests that have none of their own: nothing is written into the user's
_home = guarded.Folder()
os.environ["DJ_SQLSPY_HOME"] = str(_home.path)

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-server", action="store_true", help="only the tests that start no server (make quick)"
    )


def pytest_configure(config: pytest.Config) -> None:
    # a shell starts what runs in the background with SIGINT ignored, and programs of the tests would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--no-server"):
        sys.addaudithook(refuse_servers)


def refuse_servers(event: str, arguments: tuple[Any, ...]) -> None:
    """Fail a test that starts a server although ``--no-server`` selected it."""
    if (
        event == "subprocess.Popen"
        and {Path(os.fsdecode(word)).name for word in arguments[1]} & SERVER_PROGRAMS
    ):
        raise pytest.UsageError("with --no-server no test may start a server; mark this one needs_server")


def needs_server(item: pytest.Item) -> bool:
    """Whether a test uses the fixtures that start a server, or is marked to start one by itself."""
    uses = set(getattr(item, "fixturenames", ())) & {"server", "scratch"}
    return bool(uses) or item.get_closest_marker("needs_server") is not None


def pytest_report_header() -> str:
    program = postgresql_private.find_server() if POSTGRESQL else servers.find_server(FLAVOR)  # type: ignore[arg-type]
    return f"datajoint {dj.__version__}, server {program}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are about another line or server, so that a skipped test is always a fault."""
    serverless = config.getoption("--no-server")
    line = "0.14" if dj.__version__.startswith("0.") else "2.x"
    kept, left_out = [], []
    for item in items:
        named = [(mark.args[0], line) for mark in item.iter_markers("line")]
        named += [(True, FLAVOR in mark.args) for mark in item.iter_markers("flavor")]
        named += [(False, (line, FLAVOR) == ("0.14", "mysql")) for _ in item.iter_markers("separately")]
        # of PostgreSQL only the tests that name it
        named += [(False, POSTGRESQL)] * (item.get_closest_marker("flavor") is None)
        named += [("1", os.environ.get("SQLSPY_TEST_BROWSER")) for _ in item.iter_markers("browser")]
        named += [(True, MYDUMPER is not None) for _ in item.iter_markers("mydumper")]
        named += [(True, not needs_server(item))] * serverless
        # without a server it matters not which
        named += [("mariadb", FLAVOR)] * (not needs_server(item) and not item.get_closest_marker("slow"))
        (kept if all(wanted == here for wanted, here in named) else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def no_tls(server: Server) -> list[str]:
    """What MariaDB's clients from 11.4 on must be told: they ask for TLS, which the tests' servers do not have."""
    return ["--skip-ssl"] if server.flavor == "mariadb" else []


def user_schemas(server: Server) -> list[str]:
    """Names of all schemas that are not the server's own."""
    if POSTGRESQL:
        with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname <> ALL (%s) AND nspname NOT LIKE 'pg\\_%%'",
                [["information_schema", "public"]],
            )
            return [name for (name,) in cursor.fetchall()]
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW DATABASES")
        return [name for (name,) in cursor.fetchall() if name.lower() not in SYSTEM_SCHEMAS]


@pytest.fixture(scope="module")
def bench(server: Server) -> Iterator[Any]:
    """Where trials of the promise are made on the lab's server."""
    from tests.trial import Bench

    with contextlib.closing(Bench(server, "rnd")) as bench:
        yield bench


def drop_schemas(server: Server, names: list[str]) -> None:
    """Drop schemas whatever refers to them."""
    if POSTGRESQL:
        with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
            for name in names:
                cursor.execute('DROP SCHEMA "{}" CASCADE'.format(name.replace('"', '""')))
        return
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for name in names:
            cursor.execute(f"DROP DATABASE IF EXISTS {quote(name)}")


def private_server() -> contextlib.AbstractContextManager[Any]:
    """A server of the flavor that is tested."""
    return servers.private_postgresql() if POSTGRESQL else servers.private_server(FLAVOR)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The lab's server: the one that DataJoint is connected to."""
    with private_server() as running:
        yield running


@pytest.fixture(scope="session")
def scratch() -> Iterator[Server]:
    """A second server of the same flavor, that slices are loaded into."""
    with private_server() as running:
        yield running


@pytest.fixture
def clean_scratch(scratch: Server) -> Server:
    """The second server, with no user schema in it."""
    drop_schemas(scratch, user_schemas(scratch))
    return scratch


@pytest.fixture(params=["mysqldump", pytest.param("mydumper", marks=pytest.mark.mydumper)])
def engine(request: pytest.FixtureRequest) -> str:
    """What reads the rows of a dump."""
    return str(request.param)


@pytest.fixture(scope="session")
def dj_conn(server: Server) -> Any:
    """DataJoint's own connection (``dj.conn()``), set to the lab's server."""
    dj.config["database.host"] = server.host
    dj.config["database.port"] = server.port
    dj.config["database.user"] = server.user
    dj.config["database.password"] = server.password
    dj.config["database.use_tls"] = False
    if POSTGRESQL:
        dj.config["database.backend"], dj.config["database.name"] = "postgresql", server.database
    dj.config["safemode"] = False
    dj.config["loglevel"] = "WARNING"
    dj.logger.setLevel("WARNING")
    return dj.conn(reset=True)


@pytest.fixture
def connection(server: Server) -> Iterator[Any]:
    """A plain connection of the driver to the lab's server."""
    with contextlib.closing(server.connect()) as opened:
        yield opened


@pytest.fixture
def account(server: Server) -> Iterator[Callable[..., Server]]:
    """Make accounts with exactly the rights that are named; the server as such an account reaches it."""
    made = []
    named, password = ('"{}"', "PASSWORD") if POSTGRESQL else ("'{}'@'%'", "IDENTIFIED BY")

    def make(name: str, *grants: str) -> Server:
        with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE USER {named.format(name)} {password} 'of {name} 1'")
            made.append(name)
            for grant in grants:
                cursor.execute(f"GRANT {grant} TO {named.format(name)}")
        return dataclasses.replace(server, user=name, password=f"of {name} 1")

    yield make
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        for name in made:
            if POSTGRESQL:
                cursor.execute(f"DROP OWNED BY {named.format(name)}")
            cursor.execute(f"DROP USER {named.format(name)}")


@pytest.fixture
def prefix(server: Server, dj_conn: Any) -> Iterator[str]:
    """A prefix for schema names that no other test has; its schemas are dropped when the test ends."""
    text = f"t{next(_numbers)}_"
    yield text
    if dj_conn.in_transaction:
        dj_conn.cancel_transaction()
    drop_schemas(server, [name for name in user_schemas(server) if name.startswith(text)])
    for name in [name for name in dj_conn.schemas if name.startswith(text)]:
        del dj_conn.schemas[name]
    dj_conn.dependencies.clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What snapshots of MySQL and MariaDB ask the server from now on, in order."""
    texts: list[str] = []
    send = MySQLSnapshot.send

    def noted(self: MySQLSnapshot, run: Any, sql: str, *more: Any) -> Any:
        texts.append(sql)
        return send(self, run, sql, *more)

    monkeypatch.setattr(MySQLSnapshot, "send", noted)
    return texts


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own where journals are written."""
    place = tmp_path / "sqlspy-home"
    monkeypatch.setenv("DJ_SQLSPY_HOME", str(place))
    return place


@pytest.fixture(scope="session")
def corpus() -> list[Path]:
    """Files of statements that DataJoint really sends: the project's shared ones, else the copy of them."""
    tests = Path(__file__).resolve().parent
    for folder in (tests.parent.parent / "shared" / "corpus", tests / "corpus"):
        files = sorted(folder.glob("*.jsonl"))
        if files:
            return files
    pytest.fail(
        "the corpus of statements is missing: neither ../shared/corpus nor tests/corpus holds *.jsonl"
    )
