"""Servers as administrators run them: TLS only, read-only, with names that ignore case. Each is a real one."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import pymysql
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy import servers
from dj_sqlspy.cli import main
from dj_sqlspy.errors import BundleError, SliceError
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import Server
from tests import certificates, kinds
from tests.conftest import FLAVOR, user_schemas


@contextlib.contextmanager
def running(*options: str) -> Iterator[Server]:
    with servers.private_server(FLAVOR, options=options) as server:  # type: ignore[arg-type]
        yield server


def sql(server: Server, *statements: str) -> list[Any]:
    """Run statements on the server itself; the rows of the last."""
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


# what DataJoint 0.14 has to be told of a server without TLS
CLEAR = None if FLAVOR == "mysql" else False

pytestmark = pytest.mark.slow


def connect(server: Server, user: str = "", password: str = "", use_tls: Any = CLEAR) -> Any:
    return dj.Connection(
        server.host, user or server.user, password or server.password, port=server.port, use_tls=use_tls
    )


LAB = (
    "CREATE DATABASE lab",
    "CREATE TABLE lab.subject (subject INT PRIMARY KEY, label VARCHAR(20))",
    "CREATE TABLE lab.session (subject INT, session INT, PRIMARY KEY (subject, session),"
    " FOREIGN KEY (subject) REFERENCES lab.subject (subject))",
    "INSERT INTO lab.subject VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    "INSERT INTO lab.session VALUES (1, 1), (2, 1), (2, 2), (3, 1)",
)


def capture(connection: Any, statement: str = "SELECT * FROM lab.session WHERE subject = 2") -> sqlspy.Paper:
    with sqlspy.export("paper", "fig"):
        connection.query(statement).fetchall()
    return sqlspy.Paper("paper", connection=connection)


def written(paper: sqlspy.Paper, folder: Path) -> Bundle:
    """The bundle of a paper, dumped and compared with its source."""
    bundle = paper.write(folder)
    bundle.dump(source=paper.connection)
    report = bundle.verify(source=paper.connection)
    assert report.equal and report.complete and report.from_source, str(report)
    return bundle


def held(paper: sqlspy.Paper) -> dict[str, set[Any]]:
    cut = paper.slice()
    return {name: cut.keys(name) for name in cut.tables}


# --- TLS -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def server_with_tls(place: Path) -> Iterator[Server]:
    """A laboratory on a server with these certificates, and accounts: one for TLS only, one that must show its own."""
    files = [f"--ssl-ca={place / 'ca.pem'}", f"--ssl-cert={place / 'server.pem'}"]
    with running(*files, f"--ssl-key={place / 'server-key.pem'}") as server:
        sql(
            server,
            *LAB,
            "CREATE USER 'plain'@'%' IDENTIFIED BY 'of plain 1' REQUIRE SSL",
            "CREATE USER 'shown'@'%' IDENTIFIED BY 'of shown 1' REQUIRE X509",
            "GRANT SELECT ON lab.* TO 'plain'@'%'",
            "GRANT SELECT ON lab.* TO 'shown'@'%'",
        )
        yield server


def test_tls(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes no connection in the clear, and an account that must show a certificate."""
    monkeypatch.delenv("MYSQL", raising=False)
    place, other = certificates.make(tmp_path / "tls"), certificates.make(tmp_path / "other", "another")
    with server_with_tls(place) as server:
        checked: dict[str, str] = {"ca": str(place / "ca.pem")}
        shows = checked | {"cert": str(place / "client.pem"), "key": str(place / "client-key.pem")}
        for number, (user, use_tls) in enumerate(
            [("plain", None), ("plain", True), ("plain", False), ("plain", checked), ("shown", shows)]
        ):
            connection = connect(server, user, f"of {user} 1", use_tls)
            (_, cipher) = connection.query("SHOW STATUS LIKE 'Ssl_cipher'").fetchone()
            assert cipher
            paper = capture(connection)
            if use_tls in (None, shows):
                bundle = written(paper, tmp_path / f"bundle {number}")
            else:
                paper.write(tmp_path / f"bundle {number}").dump(source=connection)
        assert "PRIVATE KEY" not in "".join(
            file.read_text(errors="replace") for file in bundle.path.iterdir()
        )
        # the server's certificate is checked where a CA is named, also by the programs of the client
        connection.conn_info["ssl_input"] = shows | {"ca": str(other / "ca.pem")}
        with pytest.raises(Exception, match=r"(?i)certificate"):
            servers.backend_of(connection).connect(connection)
        own = [f"--host={server.host}", f"--port={server.port}", "--protocol=TCP", "--user=plain"]
        (tmp_path / "client.cnf").write_text("[client]\npassword='of plain 1'\n")
        verifies = "--ssl-mode=VERIFY_IDENTITY" if FLAVOR == "mysql" else "--ssl-verify-server-cert"
        defaults = f"--defaults-file={tmp_path / 'client.cnf'}"
        bundle.dump([defaults, *own, verifies, f"--ssl-ca={place / 'ca.pem'}"])
        with pytest.raises(BundleError, match=r"(?i)cannot reach the server"):
            bundle.dump([defaults, *own, verifies, f"--ssl-ca={other / 'ca.pem'}"])


@pytest.mark.flavor("mariadb")
@pytest.mark.line("2.x")
def test_a_client_that_verifies_by_itself(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MariaDB 11.8's programs verify the server's certificate unless they are told otherwise."""
    monkeypatch.setenv("MYSQL", "mariadb")  # `mysql` would be that of this machine
    place, other = certificates.make(tmp_path / "tls"), certificates.make(tmp_path / "other", "another")
    (tmp_path / "client.cnf").write_text("[client]\npassword='of plain 1'\n")
    with kinds.programs_first(kinds.NEW), server_with_tls(place) as server:
        connection = connect(server, "plain", "of plain 1", None)
        bundle = written(capture(connection), tmp_path / "bundle")  # not verified, as by DataJoint
        own = [f"--host={server.host}", f"--port={server.port}", "--protocol=TCP", "--user=plain"]
        defaults = f"--defaults-file={tmp_path / 'client.cnf'}"
        bundle.dump([defaults, *own, f"--ssl-ca={place / 'ca.pem'}"])
        bundle.dump([defaults, *own, "--skip-ssl-verify-server-cert"])
        with pytest.raises(BundleError, match=r"(?is)certificate.*cannot reach the server"):
            bundle.dump([defaults, *own, f"--ssl-ca={other / 'ca.pem'}"])
    # a server without TLS, which this client does not talk to by itself
    with kinds.programs_first(kinds.NEW), running("--skip-ssl") as server:
        sql(server, *LAB)
        bundle = written(capture(connect(server)), tmp_path / "in the clear")
        (tmp_path / "client.cnf").write_text(f"[client]\npassword='{server.password}'\n")
        own = [f"--host={server.host}", f"--port={server.port}", "--protocol=TCP", f"--user={server.user}"]
        with pytest.raises(BundleError, match=r"for a server without TLS also --skip-ssl"):
            bundle.dump([defaults, *own])
        bundle.dump([defaults, *own, "--skip-ssl"])


@pytest.mark.mydumper
def test_mydumper_with_tls(home: Path, tmp_path: Path) -> None:
    """Rows are read over TLS as well, and not at all where the server's certificate is to be verified."""
    place = certificates.make(tmp_path / "tls")
    with server_with_tls(place) as server:
        connection = connect(server, "plain", "of plain 1", None)
        bundle = written(capture(connection), tmp_path / "bundle")
        bundle.dump(source=connection, engine="mydumper")
        assert bundle.verify(source=connection).equal
        connection.conn_info["ssl_input"] = {"ca": str(place / "ca.pem")}
        with pytest.raises(BundleError, match="certificate is to be verified"):
            bundle.dump(source=connection, engine="mydumper")


# --- read replicas -------------------------------------------------------------------------------------------


GTID = ("--gtid-mode=ON", "--enforce-gtid-consistency=ON") if FLAVOR == "mysql" else ()


def follow(replica: Server, primary: Server) -> None:
    """Let one server have all that the other has, from its first statement on."""
    where = (
        f"HOST='127.0.0.1', {{0}}_PORT={primary.port}, {{0}}_USER='root', {{0}}_PASSWORD='{primary.password}'"
    )
    if FLAVOR == "mysql":
        change = "CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION=1, SOURCE_SSL=1, SOURCE_" + where.format(
            "SOURCE"
        )
        sql(replica, change, "START REPLICA")
    else:
        sql(
            replica,
            "CHANGE MASTER TO MASTER_USE_GTID=slave_pos, MASTER_" + where.format("MASTER"),
            "START SLAVE",
        )


@pytest.mark.line("2.x")
def test_a_read_replica(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was captured on the primary is sliced, dumped and compared on a replica, which is read-only."""
    with (
        running("--log-bin=log", "--server-id=1", *GTID) as primary,
        running("--log-bin=log", "--server-id=2", "--read-only=ON", *GTID) as replica,
    ):
        follow(replica, primary)
        sql(
            primary,
            *LAB,
            "CREATE USER 'reader'@'%' IDENTIFIED BY 'of reader 1'",
            "GRANT SELECT, INSERT ON lab.* TO 'reader'@'%'",
        )
        capture(connect(primary, "reader", "of reader 1"))
        reader = dataclasses.replace(replica, user="reader", password="of reader 1")
        wait_for(lambda: sql(reader, "SELECT COUNT(*) FROM lab.session") == [(4,)])
        connection = connect(reader)
        with pytest.raises(Exception, match=r"read.only"):
            connection.query("INSERT INTO lab.subject VALUES (4, 'd')")
        paper = sqlspy.Paper("paper", connection=connection)
        with pytest.raises(
            SliceError, match=r"sent to another server.*\n.*: 1 statement, such as 1 \(SELECT"
        ):
            paper.slice()
        names = sorted(f"{server.host}:{server.port}" for server in (primary, replica))
        monkeypatch.setenv("DJ_SQLSPY_SAME_SERVER", " ".join(names))
        bundle = written(paper, tmp_path / "bundle")
        assert bundle.manifest["tables"][0]["rows"] == 1
        with sqlspy.export("paper", "fig"):  # and captured there
            connection.query("SELECT * FROM lab.subject").fetchall()
            connect(primary, "reader", "of reader 1").query("SELECT * FROM lab.subject").fetchall()
        assert held(paper) == {"`lab`.`subject`": {(1,), (2,), (3,)}}
        bundle = written(paper, tmp_path / "bundle")
        assert bundle.manifest["server"]["names"] == ", ".join(names)
        assert ", ".join(names) in (bundle.path / "report.html").read_text()
        (found,) = (one for one in bundle.inspect().findings if one.where == "manifest.json: server")
        assert found.examples == tuple(names)
        assert main(["show", "paper", "--statements"]) == 0
        shown = capsys.readouterr().out
        assert all(name in shown for name in names)
        load_with_a_log(tmp_path / "to load", primary)


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(pymysql.MySQLError):
            if happened():
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def load_with_a_log(place: Path, server: Server) -> None:
    """A stored function wants more of an account where changes are logged: that is named before."""
    sql(
        server,
        "CREATE FUNCTION lab.twice(x INT) RETURNS INT DETERMINISTIC NO SQL RETURN 2 * x",
        "CREATE USER 'loader'@'%' IDENTIFIED BY 'of loader 1'",
        "GRANT ALL ON lab.* TO 'loader'@'%'",
    )
    with sqlspy.export("calls", "fig"):
        connect(server).query("SELECT lab.twice(subject) FROM lab.subject").fetchall()
    bundle = written(sqlspy.Paper("calls", connection=connect(server)), place)
    loader = connect(server, "loader", "of loader 1")
    raw = servers.backend_of(loader).connect(loader)
    with contextlib.closing(raw), servers.backend_of(loader).client_options(raw) as options:
        for there in ([], ["CREATE DATABASE lab"]):
            sql(server, "DROP DATABASE IF EXISTS lab", *there)
            with pytest.raises(
                BundleError, match=r"(?s)may not load.*`lab`: .*SUPER privilege.*nothing was loaded"
            ):
                bundle.restore(options)
            assert sql(server, "SHOW TABLES FROM lab") == [] if there else "lab" not in user_schemas(server)
        sql(server, "SET GLOBAL log_bin_trust_function_creators = ON")
        bundle.restore(options)
        assert sql(server, "SELECT lab.twice(4)") == [(8,)]


# --- names that ignore case ----------------------------------------------------------------------------------


@pytest.mark.line("2.x")
def test_names_that_ignore_case(home: Path, tmp_path: Path) -> None:
    """lower_case_table_names=1, as on Windows and in many a copy of a lab's server."""
    with running("--lower-case-table-names=1") as server:
        sql(server, *(statement.replace("lab", "MyLab") for statement in LAB))
        sql(server, "CREATE VIEW MyLab.Late AS SELECT * FROM MyLab.Session WHERE session > 1")
        connection = connect(server)
        asked = "SELECT * FROM `MyLab`.`Session` JOIN MyLab.late USING (subject, session)"
        paper = capture(connection, asked)
        expected = {"`mylab`.`session`": {(2, 2)}, "`mylab`.`subject`": {(2,)}}
        assert held(paper) == expected
        session, subject = (dj.FreeTable(connection, f"`MyLab`.`{name}`") for name in ("Session", "Subject"))
        cut = paper.slice()
        assert cut.keys(session.full_table_name) == {(2, 2)}
        assert cut.why("`MyLab`.`Session`", {"subject": 2, "session": 2})
        assert held(paper) == {
            name: paper.slice(only=[subject & "subject = 2"]).keys(name) for name in expected
        }
        assert not paper.slice(only=[subject & "subject = 1"]).keys("`mylab`.`session`")
        with pytest.raises(SliceError, match="outside of the guard"):
            paper.slice(guard=[subject & "subject = 1"])
        late = {"table_name": "`MyLab`.`Session`", "restriction": "session = 2"}
        picked = sqlspy.slice([late], connection=connection)
        assert picked.keys("`mylab`.`session`") == {(2, 2)}
        written(paper, tmp_path / "bundle")
