"""The settings of a statement's connection, and the digest of its result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import datajoint as dj
import pymysql
import pytest
import xxhash

import dj_sqlspy as sqlspy
from dj_sqlspy.journal import Statement
from dj_sqlspy.servers import Server


@pytest.fixture
def table(server: Server, prefix: str, home: Any) -> Iterator[str]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{prefix}s` CHARACTER SET utf8mb4")
        cursor.execute(
            f"CREATE TABLE `{prefix}s`.t (id INT PRIMARY KEY, s VARCHAR(20) NULL, x DOUBLE NULL, b BLOB NULL)"
        )
        cursor.execute(
            f"INSERT INTO `{prefix}s`.t VALUES (1, 'a', 0.1, X'00ff'), (2, NULL, 0.2, NULL), (3, 'ü', 0.3, ''),"
            " (4, 'a', NULL, NULL)"
        )
    yield f"`{prefix}s`.t"


def captured(*texts: str | tuple[str, Any], connection: Any = None) -> list[Statement]:
    connection = connection or dj.conn()
    with sqlspy.export("paper", "fig") as session:
        for text in texts:
            connection.query(*(text if isinstance(text, tuple) else (text,)))
    assert session.complete
    return session.statements


# ---------------------------------------------------------------- what a connection had set


def test_what_was_set_belongs_to_what_follows(dj_conn: Any, table: str) -> None:
    fresh = sqlspy.compat.second_connection(dj_conn)
    fresh.query("SET time_zone = '+02:00'")  # also before the session
    with sqlspy.export("paper", "fig") as session:
        fresh.query(f"SELECT id FROM {table}")
        fresh.query("set @@session.sql_mode='ANSI_QUOTES'")
        fresh.query("SET @limit := %s", (3,))
        fresh.query(f"SELECT id FROM {table} WHERE id < @limit")
        fresh.query("SET time_zone = '+03:00'")  # takes the place of the first
        fresh.query(f" /* any */ SELECT s FROM {table}")
        dj_conn.query(f"SELECT x FROM {table}")  # another connection
        fresh.connect()  # gone with the connection
        fresh.query(f"SELECT b FROM {table}")
    states = [statement.state for statement in session.statements]
    zone, modes, limit = "SET time_zone = '+02:00'", "set @@session.sql_mode='ANSI_QUOTES'", "SET @limit := 3"
    assert states == [(zone,), (zone, modes, limit), (modes, limit, "SET time_zone = '+03:00'"), (), ()]
    fresh.close()


@pytest.mark.parametrize(
    "text",
    [
        "SET autocommit = 1",
        "/* once */ SET SESSION autocommit = 1",
        "SET /* for all */ GLOBAL max_connections = 100",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET @@session.autocommit = 1",
        "SET SESSION wait_timeout = 1000",
    ],
)
def test_what_changes_no_meaning_is_not_kept(dj_conn: Any, table: str, text: str) -> None:
    fresh = sqlspy.compat.second_connection(dj_conn)
    assert [s.state for s in captured(text, f"SELECT id FROM {table}", connection=fresh)] == [()]
    fresh.close()


def test_what_failed_is_not_kept(dj_conn: Any, table: str) -> None:
    fresh = sqlspy.compat.second_connection(dj_conn)
    with sqlspy.export("paper", "fig") as session:
        with pytest.raises(pymysql.MySQLError):
            fresh.query("SET time_zone = 'nowhere'")
        fresh.query(f"SELECT id FROM {table}")
    assert [s.state for s in session.statements] == [()]
    fresh.close()


def test_a_password_is_not_kept(dj_conn: Any, server: Server, table: str) -> None:
    fresh = sqlspy.compat.second_connection(dj_conn)
    with sqlspy.export("paper", "fig") as session:
        fresh.query(
            f"-- mine\nSET /* new */ PASSWORD = '{server.password}'"
            if server.flavor == "mysql"
            else f"/* mine */ SET PASSWORD = PASSWORD('{server.password}')"
        )
        fresh.query(f"SELECT id FROM {table}")
    assert [s.state for s in session.statements] == [()]
    assert server.password not in "".join(p.read_text() for p in session.journal.folder.iterdir())
    fresh.close()


def test_temporary_tables_and_assignments_are_kept(dj_conn: Any, table: str) -> None:
    fresh = sqlspy.compat.second_connection(dj_conn)
    schema = table.split(".")[0]
    made = f"CREATE TEMPORARY TABLE {schema}.u (id INT)"
    assigned = f"SELECT MAX(id) INTO @most FROM {table}"
    found = captured(
        made,
        assigned,
        f"SELECT u.id FROM {schema}.u",
        f"SELECT id FROM {table} WHERE id = @most",
        connection=fresh,
    )
    assert [s.state for s in found] == [(made,), (made, assigned), (made, assigned)]
    fresh.close()


def test_what_a_loop_repeats_is_kept_once(dj_conn: Any, table: str) -> None:
    fresh = sqlspy.compat.second_connection(dj_conn)
    schema = table.split(".")[0]
    made, dropped = (
        f"/* mine */ CREATE /* own */ TEMPORARY TABLE {schema}.u (id INT)",
        f"DROP TEMPORARY TABLE {schema}.u",
    )
    *_, last = captured(*3 * (made, dropped), made, f"SELECT id FROM {table}", connection=fresh)
    assert last.state == (dropped, made)
    counted = "SET @n = @n + 1"  # which is another value each time
    *_, last = captured(counted, counted, f"SELECT id FROM {table}", connection=fresh)
    assert last.state == (dropped, made, counted, counted)
    fresh.close()


# ---------------------------------------------------------------- digests


def expected(rows: list[list[bytes | None]]) -> str:
    """The digest as its definition says, written again."""
    total = 0
    for row in rows:
        text = b"".join(b"\xfb" if v is None else bytes([len(v)]) + v for v in row)
        total += int.from_bytes(xxhash.xxh3_64(text).digest(), "big")
    return f"{total % 2**64:016x}"


def test_the_digest_is_as_it_is_defined(dj_conn: Any, table: str) -> None:
    (found,) = captured(f"SELECT id, s, x, b FROM {table}")
    rows: list[list[bytes | None]] = [
        [b"1", b"a", b"0.1", b"\x00\xff"],
        [b"2", None, b"0.2", None],
        [b"3", "ü".encode(), b"0.3", b""],
        [b"4", b"a", None, None],
    ]
    assert found.digest == expected(rows) and found.rows == 4
    assert [name for name, _, _ in found.columns] == ["id", "s", "x", "b"]


def test_the_order_of_rows_does_not_matter_and_each_row_does(dj_conn: Any, table: str) -> None:
    up, down, twice, fewer = captured(
        f"SELECT id, s FROM {table} ORDER BY id",
        f"SELECT id, s FROM {table} ORDER BY id DESC",
        f"SELECT id, s FROM {table} UNION ALL SELECT id, s FROM {table}",
        f"SELECT id, s FROM {table} WHERE id > 1",
    )
    assert up.digest == down.digest
    assert len({up.digest, twice.digest, fewer.digest}) == 3


def test_computed_floats_are_rounded(dj_conn: Any, table: str) -> None:
    """0.1 + 0.2 + 0.3 depends on the order: 0.6 or 0.6000000000000001."""
    one, other, stored, else_ = captured(
        f"SELECT SUM(x) AS v FROM (SELECT x FROM {table} ORDER BY x LIMIT 10) q",
        "SELECT 0.6e0 AS v",
        f"SELECT x FROM {table} WHERE id = 3",
        f"SELECT x + 0 FROM {table} WHERE id = 3",
    )
    assert one.digest == other.digest == expected([[b"%.11e" % 0.6]])
    assert stored.digest == expected([[b"0.3"]]) != else_.digest


def test_every_form_of_a_read_has_a_digest(dj_conn: Any, table: str) -> None:
    found = captured(
        f"SELECT id FROM {table}",
        f"select id from {table}",
        f"WITH q AS (SELECT id FROM {table}) SELECT id FROM q",
        (f"SELECT id FROM {table} WHERE id > %s", (0,)),
    )
    assert len({s.digest for s in found}) == 1 and None not in {s.digest for s in found}
    with sqlspy.export("paper", "fig") as session:
        dj_conn.query(f"SELECT id FROM {table}", as_dict=True)
    assert [s.digest for s in session.statements] == [found[0].digest]


def test_long_values_and_many_rows(dj_conn: Any, table: str, server: Server) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET b = REPEAT('x', 60000) WHERE id = 1")
    (found,) = captured(f"SELECT b, REPEAT('y', 300), REPEAT('z', 17000000) FROM {table} WHERE id = 1")
    row = b"".join(
        (b"\xfc" + (60_000).to_bytes(2, "little") + b"x" * 60_000,
         b"\xfc" + (300).to_bytes(2, "little") + b"y" * 300,
         b"\xfe" + (17_000_000).to_bytes(8, "little") + b"z" * 17_000_000)
    )  # fmt: skip
    assert found.digest == xxhash.xxh3_64(row).hexdigest()


def test_digests_can_be_switched_off(dj_conn: Any, table: str) -> None:
    sqlspy.settings.checked("digests", "off")
    dj.config["sqlspy.digests"] = False
    try:
        assert [s.digest for s in captured(f"SELECT id FROM {table}")] == [None]
    finally:
        dj.config["sqlspy.digests"] = True
    assert None not in [s.digest for s in captured(f"SELECT id FROM {table}")]


def test_the_analysis_gets_what_it_got(dj_conn: Any, table: str) -> None:
    text = f"SELECT * FROM {table} ORDER BY id"
    before = dj_conn.query(text).fetchall()
    with sqlspy.export("paper", "fig"):
        cursor = dj_conn.query(text)
        assert (cursor.rowcount, cursor.fetchall()) == (4, before)
        assert type(cursor._result).__mro__[1].__name__ == "MySQLResult"
    assert (
        hashlib.sha256(repr(dj_conn.query(text).fetchall()).encode()).digest()
        == hashlib.sha256(repr(before).encode()).digest()
    )
