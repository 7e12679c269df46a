"""What is captured on PostgreSQL: the text as sent, rows, digests, transactions, and what is bookkeeping."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.journal import Statement
from dj_sqlspy.servers.postgresql import connect, wire
from dj_sqlspy.servers.results import digest_text

# DataJoint 0.14 has no PostgreSQL
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("postgresql")]


@pytest.fixture
def table(dj_conn: Any, prefix: str, home: Path) -> Iterator[Any]:
    """A table with three rows."""
    schema = dj.Schema(f"{prefix}mice", connection=dj_conn)

    @schema
    class Mouse(dj.Manual):
        definition = """
        mouse : int32
        ---
        name = null : varchar(20)
        weight : float64
        """

    Mouse.insert([(1, "x", 0.1), (2, "100%", 0.2), (3, None, 0.3)])
    len(Mouse())  # asks for its heading
    yield Mouse
    if dj_conn.in_transaction:
        dj_conn.cancel_transaction()


def captured(block: Any) -> list[Statement]:
    with sqlspy.export("paper", "fig") as session:
        block()
        return session.statements


def digest_again(connection: Any, sql: str) -> tuple[int, str]:
    """Rows and digest of a statement as a replay reads them: as texts, in blocks."""
    with contextlib.closing(connect.raw_connection(connection, plain=True)) as raw:
        raw.autocommit = False
        with raw.cursor("again") as cursor:
            cursor.execute(sql)
            rows, total = wire.sums_of(cursor)[0].get(b"", (0, 0))
            return rows, digest_text(total)


def test_a_statement_is_recorded_as_sent(table: Any, dj_conn: Any, server: Any) -> None:
    def block() -> None:
        assert (table & "name LIKE '100%'").fetch1("mouse") == 2
        assert len(table()) == 3
        dj_conn.query("SELECT %s::text AS a, '%%' AS b", ("it's \\ 100%",))

    percent, counted, merged = captured(block)
    assert percent.sql.endswith("WHERE ( (name LIKE '100%'))") and percent.rows == 1
    assert (counted.kind, counted.rows) == ("count", 1)
    assert merged.sql == "SELECT 'it''s \\ 100%'::text AS a, '%' AS b"
    assert merged.columns == (("a", 25, -1), ("b", 25, -1))
    for each in (percent, counted, merged):
        assert (each.server, each.backend) == (f"{server.host}:{server.port}/{server.database}", "postgresql")
        assert (each.transaction, each.database, each.state) == (0, "", ())
    paper = sqlspy.Paper("paper")
    assert paper.complete and {each.backend for each in paper.statements} == {"postgresql"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM {t} ORDER BY mouse",
        "SELECT sum(weight), avg(weight), NULL::float8 FROM {t}",
        "SELECT 1 WHERE false",
        "SELECT name, '', NULL FROM {t}",
        "SELECT b''::varbit, ''::tsvector, ''::xml, ''::int2vector, ''::bytea, NULL::varbit, NULL::xml, 1",
        r"SELECT E'\n', 1 UNION ALL SELECT E'\nb', 2",
        r"SELECT '\xff00'::bytea, 'é🎈', true, '[1]'::jsonb, 'NaN'::float8, '-0'::float8, ARRAY[1, NULL]",
        "SELECT g, CASE WHEN mod(g, 3) = 0 THEN NULL WHEN mod(g, 3) = 1 THEN '' END FROM generate_series(1, 1000) AS g",
    ],
)
def test_a_replay_has_the_same_digest(
    table: Any, dj_conn: Any, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = sql.format(t=table().full_table_name)
    found: list[Any] = []
    (one,) = captured(lambda: found.extend(dj_conn.query(sql).fetchall()))
    assert len(found) == one.rows  # the analysis gets its rows
    assert (one.rows, one.digest) == digest_again(dj_conn, sql)
    monkeypatch.setattr(wire, "_AT_ONCE", 0)  # as of a large result
    (large,) = captured(lambda: dj_conn.query(sql))
    assert (large.rows, large.digest, large.columns) == (one.rows, one.digest, one.columns)


def test_what_is_no_plain_select_is_seen(table: Any, dj_conn: Any, prefix: str) -> None:
    name = table().full_table_name
    seen = [
        f"DECLARE c CURSOR WITH HOLD FOR SELECT * FROM {name}",
        "FETCH 2 FROM c",
        f"UPDATE {name} SET weight = 1 WHERE mouse = 1 RETURNING weight",
        f"WITH gone AS (DELETE FROM {name} WHERE mouse = 3 RETURNING mouse) SELECT * FROM gone",
        f"COPY (SELECT * FROM {name}) TO PROGRAM 'cat >/dev/null'",
        f"TABLE {name}",
        f"/* a /* b */ */ VALUES ((SELECT count(*) FROM {name}))",
        f"CREATE TABLE {prefix}mice.copy AS SELECT * FROM {name}",
        f"INSERT INTO {prefix}mice.copy SELECT mouse + 10, name, weight FROM {name}",
        f"DO $$ BEGIN PERFORM 1 FROM {name}; END $$",
        "EXECUTE p(1)",
    ]
    unseen = [
        "CLOSE c",
        f"INSERT INTO {name} VALUES (9, 'SELECT', 1)",
        f"UPDATE {name} SET weight = 2",
        "SHOW search_path",
        f"EXPLAIN SELECT * FROM {name}",
        "SELECT pg_backend_pid()",
        "SELECT nspname FROM pg_namespace",
        f'SELECT * FROM {prefix}mice."~lineage"',
    ]

    def block() -> None:
        dj_conn.query(f"PREPARE p AS SELECT * FROM {name} WHERE mouse = $1")
        for sql in seen + unseen:
            dj_conn.query(sql)
        with pytest.raises(Exception, match="nothing"):
            dj_conn.query("SELECT * FROM nothing")
        dj_conn.query("DEALLOCATE p")

    found = captured(block)
    assert [each.sql for each in found] == seen
    rows = [each.rows for each in found]
    assert rows[1:4] == [2, 1, 1] and rows[8] == 2


def test_transactions_and_settings_are_told(table: Any, dj_conn: Any, prefix: str) -> None:
    name = table().full_table_name
    query = f"SELECT count(*) FROM {name}"

    def block() -> None:
        for sql in ("SET TIME ZONE 'Asia/Tokyo'", "SET statement_timeout = 60000", "SET DateStyle TO german"):
            dj_conn.query(sql)
        dj_conn.query("SHOW datestyle; RESET datestyle")  # what is first does not matter
        with dj_conn.transaction:
            dj_conn.query(query)
            dj_conn.query("SET LOCAL extra_float_digits = 0")
            dj_conn.query(query)
        with contextlib.suppress(KeyError), dj_conn.transaction:
            dj_conn.query(f"SET search_path TO {prefix}mice")
            dj_conn.query("SELECT count(*) FROM mouse")
            raise KeyError
        dj_conn.query(query)
        dj_conn.query(f"SET search_path TO {prefix}mice")
        dj_conn.query("SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)")
        dj_conn.query("SELECT set_config('timezone', 'UTC', false)")
        dj_conn.query(query)
        dj_conn.query("RESET ALL")
        dj_conn.query(query)
        dj_conn.query("CREATE TEMP TABLE chosen AS SELECT 1 AS mouse")
        dj_conn.query("DISCARD ALL")
        dj_conn.query(query)

    first, second, third, fourth, set_, reset, made, last = captured(block)
    zone = ("SET TIME ZONE 'Asia/Tokyo'",)
    assert first.state == zone and first.transaction == second.transaction != 0
    assert second.state == (*zone, "SET LOCAL extra_float_digits = 0")
    assert (third.state, third.database) == (zone, f"{prefix}mice")
    assert third.transaction not in (0, first.transaction)
    assert (fourth.state, fourth.database, fourth.transaction) == (zone, "", 0)
    configured = "SELECT {}set_config('{}', '{}', false)".format
    path, zone_too = configured("pg_catalog.", "search_path", "pg_catalog"), configured("", "timezone", "UTC")
    assert (set_.state, set_.database) == ((path, zone_too), "")
    assert (reset.state, reset.database) == ((), "")
    assert made.sql.startswith("CREATE TEMP") and last.state == ()


def test_what_is_captured_makes_a_slice_and_tells_of_drift(table: Any, dj_conn: Any) -> None:
    def block() -> None:
        assert (table & "mouse < 3").to_dicts()
        (table & "mouse = 1").fetch1()

    captured(block)
    cut = sqlspy.Paper("paper").slice()
    ((name, part),) = cut.tables.items()
    assert (name, part.rows, cut.drifted) == (table().full_table_name, 2, [])
    dj_conn.query(f"UPDATE {name} SET weight = 9 WHERE mouse = 2")
    (moved,) = sqlspy.Paper("paper").slice().drifted
    assert "mouse < 3" in moved.statement.sql
