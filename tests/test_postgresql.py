"""Private clusters of PostgreSQL, connections to it, and what is refused there."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Any

import datajoint as dj
import pytest

from dj_sqlspy import servers
from dj_sqlspy.errors import ServerError
from dj_sqlspy.servers.postgresql import connect, told
from dj_sqlspy.servers.snapshot import ConnectionLost, Interrupted, Refused

# DataJoint 0.14 has no PostgreSQL
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("postgresql")]


@pytest.fixture
def table(dj_conn: Any, prefix: str) -> Iterator[Any]:
    """A table with two rows."""
    schema = dj.Schema(f"{prefix}mice", connection=dj_conn)

    @schema
    class Mouse(dj.Manual):
        definition = """
        mouse : int32
        ---
        name : varchar(20)
        """

    Mouse.insert([(1, "x"), (2, "y")])
    yield Mouse


def test_outside_of_a_session_it_is_left_alone(table: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    assert len(table & "mouse>1") == 1
    table.connection.query("SET search_path TO public")
    assert not [each for each in caplog.records if each.name == "dj_sqlspy"]
    table.connection.query("RESET search_path")


def test_a_private_cluster_ends_with_its_block_and_lets_a_bundle_do_little(server: Any) -> None:
    with servers.private_postgresql(["max_connections=7"]) as other:
        limited = other.limited_to(["lab"])
        with contextlib.closing(limited.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW max_connections")
            assert cursor.fetchone() == ("7",)
            cursor.execute("CREATE SCHEMA lab")
            for forbidden in (
                "COPY (SELECT 1) TO PROGRAM 'cat'",
                "COPY (SELECT 1) TO '/tmp/x'",
                "CREATE ROLE a",
            ):
                with pytest.raises(Refused) as refused, told.told():
                    cursor.execute(forbidden)
                assert refused.value.denied
        with pytest.raises(ServerError, match="schema pg_catalog: it is the server's own"):
            other.limited_to(["pg_catalog"])
        kept = other.connect()
        with pytest.raises(Exception, match="authentication failed"):
            other.connect(password="another")
    assert not other.datadir.exists()
    with pytest.raises(ConnectionLost), told.told():
        kept.cursor().execute("SELECT 1")


def test_another_connection_has_the_server_the_account_and_no_conversions(dj_conn: Any, server: Any) -> None:
    with contextlib.closing(connect.raw_connection(dj_conn, plain=True)) as raw, raw.cursor() as cursor:
        cursor.execute(r"SELECT 1.50::numeric, '\x00'::bytea, true, '[1]'::jsonb, array[1, 2], NULL")
        assert cursor.fetchone() == ("1.50", r"\x00", "t", "[1]", "{1,2}", None)
        assert connect.address(raw) == f"{server.host}:{server.port}"
        for sql, kind in {
            "SELECT * FROM nothing": Refused,
            "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(9)": Interrupted,
            "SELECT pg_terminate_backend(pg_backend_pid())": ConnectionLost,
            "SELECT 1": ConnectionLost,
        }.items():
            with pytest.raises(kind) as error, told.told():
                cursor.execute(sql)
            assert "\n" not in str(error.value)
    with (
        contextlib.closing(connect.raw_connection(dj_conn)) as raw,
        contextlib.closing(connect.raw_connection(raw)) as again,
    ):
        assert again.autocommit and connect.address(again) == f"{server.host}:{server.port}"


def test_a_client_program_gets_the_account_and_no_argument_tells_the_password(account: Any) -> None:
    server = account("a b", "CREATE ON DATABASE postgres")
    with (
        contextlib.closing(server.connect(password="of a b 1")) as raw,
        connect.client_options(raw) as options,
    ):
        assert not any("of a b" in option for option in options)
        with (
            contextlib.closing(server.connect(password="of a b 1", sslpassword="x")) as keyed,
            pytest.raises(ServerError, match="has an sslpassword"),
        ):
            connect.client_options(keyed).__enter__()
        query = [server.programs / "psql", "-XAtwc", "SELECT current_user, current_database()", *options]
        said = subprocess.run(query, capture_output=True, text=True)
        assert (said.stdout, said.stderr) == ("a b|postgres\n", "")
