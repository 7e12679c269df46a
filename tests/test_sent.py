"""What is sent to a server again: only reads, each in its session, with compared results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import pymysql
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.errors import LineageError, SliceError
from dj_sqlspy.journal import Statement
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.rules import NOT_SENT, SKIPPED
from dj_sqlspy.servers import Server, snapshot_of
from dj_sqlspy.servers.mysql.gate import Gate, none_known
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.servers.mysql.state import MEANING, Keeper, read_session
from dj_sqlspy.servers.mysql.syntax import Unsupported
from dj_sqlspy.servers.snapshot import Interrupted
from dj_sqlspy.slices import make_slice
from tests.conftest import FLAVOR

SETUP = """
CREATE DATABASE `{s}` CHARACTER SET utf8mb4
CREATE DATABASE `{s}own` CHARACTER SET utf8mb4
CREATE TABLE `{s}`.t (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL, x DOUBLE NULL, n INT UNSIGNED NOT NULL,
 at TIMESTAMP NOT NULL, b BLOB NULL)
CREATE TABLE `{s}`.log (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(20) NOT NULL)
CREATE TABLE `{s}`.other (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL)
CREATE TABLE `{s}own`.kept (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL)
INSERT INTO `{s}`.t VALUES (1, 'Ann', 0.1, 5, '2024-01-02 23:30:00', X'00ff'),
 (2, 'b', 0.2, 7, '2024-05-06 01:00:00', NULL),
 (3, 'a"b', NULL, 9, '2024-07-08 12:00:00', '')
INSERT INTO `{s}`.other VALUES (1, 'one'), (2, 'two'), (5, 'five')
INSERT INTO `{s}own`.kept VALUES (1, 'old')
CREATE FUNCTION `{s}`.writes(v INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA
 BEGIN INSERT INTO `{s}`.log (note) VALUES ('w'); RETURN v; END
CREATE FUNCTION `{s}`.hides(v INT) RETURNS INT DETERMINISTIC READS SQL DATA
 BEGIN INSERT INTO `{s}`.log (note) VALUES ('h'); RETURN v; END
CREATE FUNCTION `{s}`.looks(v INT) RETURNS INT DETERMINISTIC READS SQL DATA
 RETURN (SELECT COUNT(*) FROM `{s}`.other WHERE id > v)
CREATE FUNCTION `{s}`.twice(v INT) RETURNS INT DETERMINISTIC NO SQL RETURN 2 * v
CREATE PROCEDURE `{s}`.run() INSERT INTO `{s}`.log (note) VALUES ('p')
CREATE VIEW `{s}`.seen AS SELECT id, name FROM `{s}`.t WHERE id < 3
"""


@pytest.fixture
def s(connection: Any, prefix: str, home: Path) -> Iterator[str]:
    with connection.cursor() as cursor:
        with contextlib.suppress(
            pymysql.MySQLError
        ):  # MySQL's own, for functions that say nothing of themselves
            cursor.execute("SET GLOBAL log_bin_trust_function_creators = 1")
        for text in SETUP.strip().replace("{s}", f"{prefix}lab").replace("\n ", " ").split("\n"):
            cursor.execute(text)
    connection.commit()
    yield f"{prefix}lab"


def captured(*texts: str, connection: Any = None) -> list[Statement]:
    with sqlspy.export("paper", "fig") as session:
        for text in texts:
            (connection or dj.conn()).query(text).fetchall()
    return session.statements


def sliced(server: Server, statements: list[Statement], **options: Any) -> Any:
    with server.connect(conv=plain_decoders()) as opened:
        return make_slice(statements, opened, **options)


def state_of(connection: Any, s: str) -> dict[str, Any]:
    """Everything that the schemas hold, and what the server is set to."""
    found: dict[str, Any] = {}
    connection.rollback()
    with connection.cursor() as cursor:
        schemas = (s, f"{s}own")
        for what, name, schema in (
            ("tables", "table_name", "table_schema"),
            ("views", "table_name", "table_schema"),
            ("routines", "routine_name", "routine_schema"),
            ("triggers", "trigger_name", "trigger_schema"),
            ("events", "event_name", "event_schema"),
        ):
            cursor.execute(
                f"SELECT {schema}, {name} FROM information_schema.{what} WHERE {schema} IN (%s, %s)", schemas
            )
            found[what] = sorted(cursor.fetchall())
        for schema, table in found["tables"]:
            cursor.execute(f"CHECKSUM TABLE `{schema}`.`{table}`")
            found[f"{schema}.{table}"] = cursor.fetchall()
            cursor.execute(f"SELECT * FROM `{schema}`.`{table}`")
            found[f"rows of {schema}.{table}"] = sorted(cursor.fetchall(), key=repr)
        cursor.execute("SHOW GLOBAL VARIABLES")
        found["variables"] = {
            n: v for n, v in cursor.fetchall() if not n.startswith(("gtid", "innodb_buffer"))
        }
    return found


# each kind of statement that DataJoint, its users and the cases send
KINDS = [
    "SELECT * FROM `{s}`.t WHERE id < 3",
    "SELECT COUNT(*) FROM `{s}`.t",
    "SELECT EXISTS (SELECT 1 FROM `{s}`.t)",
    "SELECT * FROM `{s}`.seen",
    "(SELECT id FROM `{s}`.t) UNION (SELECT id FROM `{s}`.other)",
    "WITH w AS (SELECT id FROM `{s}`.t) SELECT * FROM w",
    "CREATE TABLE `{s}own`.made AS SELECT id, name FROM `{s}`.t",
    "CREATE TABLE IF NOT EXISTS `{s}own`.kept AS SELECT id, name FROM `{s}`.t",
    "CREATE VIEW `{s}own`.v AS SELECT id FROM `{s}`.t",
    "CREATE OR REPLACE VIEW `{s}own`.v AS SELECT id, name FROM `{s}`.t",
    "CREATE TEMPORARY TABLE `{s}own`.mine AS SELECT id FROM `{s}`.t",
    "INSERT INTO `{s}own`.kept SELECT id + 100, name FROM `{s}`.t",
    "INSERT INTO `{s}own`.kept (id, name) VALUES ((SELECT MAX(id) + 500 FROM `{s}`.t), 'max')",
    "REPLACE INTO `{s}own`.kept SELECT id, name FROM `{s}`.other",
    "UPDATE `{s}own`.kept SET name = 'new' WHERE id IN (SELECT id FROM `{s}`.t)",
    "DELETE FROM `{s}own`.kept WHERE id IN (SELECT id + 100 FROM `{s}`.t)",
    "SELECT id FROM `{s}`.t WHERE id = 1 FOR UPDATE",
    "SELECT id FROM `{s}`.t WHERE id = 2 LOCK IN SHARE MODE",
    "SELECT MAX(id) FROM `{s}`.t INTO @most",
    "SELECT @n := id FROM `{s}`.t",
    "SET @few = (SELECT MIN(id) FROM `{s}`.t)",
    "DO (SELECT MAX(id) FROM `{s}`.other)",
    "SELECT `{s}`.writes(id) FROM `{s}`.t",
    "SELECT `{s}`.hides(id) FROM `{s}`.t",
    "SELECT `{s}`.looks(id) FROM `{s}`.t",
    "SELECT `{s}`.twice(id) FROM `{s}`.t",
    "SELECT GET_LOCK('{s}', 0), id FROM `{s}`.t",
    "SELECT LAST_INSERT_ID(77), id FROM `{s}`.t",
    "SELECT id, SLEEP(0) FROM `{s}`.t",
]
OF_ONE_SERVER = {
    "mariadb": [
        "CREATE OR REPLACE TABLE `{s}own`.kept AS SELECT id, name FROM `{s}`.t",
        "INSERT INTO `{s}`.log (note) SELECT name FROM `{s}`.t RETURNING id",
        "VALUES (1), ((SELECT MAX(id) FROM `{s}`.t))",
    ],
    "mysql": ["TABLE `{s}`.other", "VALUES ROW(1), ROW((SELECT MAX(id) FROM `{s}`.t))"],
}


def test_the_source_is_as_it_was(s: str, connection: Any, dj_conn: Any, tmp_path: Path) -> None:
    """Captured statements of every kind are run once, by the analysis, and change nothing afterwards."""
    texts = [text.replace("{s}", s) for text in (*KINDS, *OF_ONE_SERVER[FLAVOR])]
    with sqlspy.export("paper", "fig"):
        for text in texts:
            dj_conn.query(text)
    paper = sqlspy.Paper("paper", connection=dj_conn)
    with connection.cursor() as cursor:  # what the lab entered since
        cursor.execute(f"INSERT INTO `{s}own`.kept VALUES (9999, 'later')")
        cursor.execute(f"INSERT INTO `{s}`.log (note) VALUES ('later')")
    connection.commit()
    before = state_of(connection, s)
    cut = paper.slice()
    assert state_of(connection, s) == before
    bundle = paper.write(tmp_path / "bundle", accept_drift=True)
    assert state_of(connection, s) == before
    bundle.dump()
    assert state_of(connection, s) == before
    found = bundle.verify(dj_conn)
    assert state_of(connection, s) == before
    assert found.equal, str(found)
    marks = {report.statement.sql: report.marks for report in cut.statements}
    for text in texts:
        more_than_reads = any(
            word in text for word in (":=", "writes(", "hides(", "GET_LOCK", "LAST_INSERT_ID(")
        )
        if text in marks:
            assert (NOT_SENT in marks[text]) == more_than_reads, text
    assert sum(NOT_SENT in each for each in marks.values()) == 5
    # its tables come whole, since it is not known what it read of them
    assert cut.tables[f"`{s}`.`t`"].rows == 3
    html = (bundle.path / "report.html").read_text()
    assert "nothing but a read is sent to a server again" in html


def test_a_manifest_of_a_stranger_is_not_believed(
    s: str, connection: Any, dj_conn: Any, tmp_path: Path
) -> None:
    """The gate stands before what a manifest says too: a table of the reader's stays as it is."""
    captured(f"SELECT * FROM `{s}`.t")
    bundle = sqlspy.Paper("paper", connection=dj_conn).write(tmp_path / "bundle")
    bundle.dump()
    path = bundle.path / "manifest.json"
    text = path.read_text().replace(f'"sql": "SELECT * FROM `{s}`.t"', f'"sql": "DELETE FROM `{s}`.other"')
    assert "DELETE" in text
    path.write_text(text)
    before = state_of(connection, s)
    found = Bundle(bundle.path).verify(dj_conn)
    assert not found.equal
    assert "it is not sent: it is a DELETE statement" in found.different[0].message
    assert state_of(connection, s) == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT 1; SELECT 2", "it holds 2 statements"),
        ("SELECT 1 /*! + 1 */", "a comment in it is run by the server"),
        ("SELECT 1 /*M!100100 + 1 */", "a comment in it is run by the server"),
        ("SELECT a FROM t INTO OUTFILE 'x'", "sqlglot cannot parse it"),
        ("SELECT nextval(s)", "NEXTVAL does more than read"),
        ("SELECT f(1)", "the stored function f may write"),
        ("SELECT a.f(1)", "the stored function a.f may write"),
        ("CALL p()", "it is a CALL statement"),
        ("LOAD DATA INFILE 'x' INTO TABLE t", "sqlglot cannot parse it"),
        ("DELETE FROM t", "it is a DELETE statement"),
    ],
)
def test_what_does_not_pass_the_gate(text: str, reason: str) -> None:
    gate = Gate(none_known)
    for _ in range(2):  # also the second time, when it is known
        with pytest.raises(Unsupported) as error:
            gate.require(text)
        assert reason in str(error.value)


def test_a_gate_parses_once_what_differs_in_literals(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(none_known)
    gate.require("SELECT a FROM t WHERE b = 'x' LIMIT 3")
    monkeypatch.setattr("dj_sqlspy.servers.mysql.gate.require_read", lambda *_: pytest.fail("parsed again"))
    gate.require("SELECT a FROM t WHERE b = 'y; DELETE FROM t' LIMIT 4")
    with pytest.raises(pytest.fail.Exception, match="parsed again"):
        gate.require("SELECT a FROM t WHERE c = 'y' LIMIT 4")


def test_a_transaction_that_ended_is_noticed(s: str, server: Server) -> None:
    with server.connect(conv=plain_decoders()) as opened, snapshot_of(opened) as snapshot:
        text = f"SELECT * FROM `{s}`.t"
        assert snapshot.answer(text, snapshot.session(()), own=True).rows == 3
        with opened.cursor() as cursor:
            cursor.execute("COMMIT")
        with pytest.raises(Interrupted, match="has ended"):
            snapshot.answer(text, snapshot.session(()), own=True)


# ---------------------------------------------------------------- sessions

SESSIONS: list[tuple[list[str], str]] = [
    (["SET time_zone = '+09:00'"], "SELECT id FROM `{s}`.t WHERE HOUR(at) < 12"),
    (["SET time_zone = '-11:00'"], "SELECT id, at FROM `{s}`.t WHERE DATE(at) = '2024-01-02'"),
    (["SET sql_mode = 'ANSI_QUOTES'"], 'SELECT "id" FROM "{s}"."t" WHERE "name" = \'Ann\''),
    (
        ["SET sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')"],
        "SELECT id FROM `{s}`.t WHERE name || 'x' = 'bx'",
    ),
    (["SET sql_mode = 'NO_BACKSLASH_ESCAPES'"], "SELECT id, '\\' FROM `{s}`.t WHERE name <> '\\'"),
    (["SET sql_mode = 'HIGH_NOT_PRECEDENCE'"], "SELECT id FROM `{s}`.t WHERE NOT id BETWEEN 0 AND 1"),
    (["SET sql_mode = 'NO_UNSIGNED_SUBTRACTION'"], "SELECT id FROM `{s}`.t WHERE n - 8 < 0"),
    (
        ["SET sql_mode = (SELECT REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', ''))"],
        "SELECT name, MAX(id) FROM `{s}`.t WHERE id = 2",
    ),
    (["SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'"], "SELECT name FROM `{s}`.t WHERE id = 1"),
    (["SET NAMES latin1"], "SELECT name, 'x' FROM `{s}`.t WHERE id = 1"),
    (["SET collation_connection = 'utf8mb4_bin'"], "SELECT id FROM `{s}`.t WHERE CONCAT('a', '') = 'A'"),
    (["SET group_concat_max_len = 4"], "SELECT GROUP_CONCAT(name ORDER BY id) FROM `{s}`.t"),
    (["SET div_precision_increment = 12"], "SELECT id FROM `{s}`.t WHERE CONCAT(id / 3) = '0.333333333333'"),
    (["SET default_week_format = 3"], "SELECT id FROM `{s}`.t WHERE WEEK(at) = 1"),
    (["SET lc_time_names = 'de_DE'"], "SELECT id FROM `{s}`.t WHERE MONTHNAME(at) = 'Mai'"),
    (["SET sql_select_limit = 1"], "SELECT id FROM `{s}`.t ORDER BY id DESC"),
    (["USE `{s}`"], "SELECT id FROM t WHERE id > 1"),
    (
        ["SET @least = 2", "SET @most := @least + 1"],
        "SELECT id FROM `{s}`.t WHERE id BETWEEN @least AND @most",
    ),
    (["SET timestamp = 1700000000"], "SELECT id FROM `{s}`.t WHERE at > NOW()"),
    ([], "SELECT id, name, x, n, at, b FROM `{s}`.t"),
]


def test_each_statement_in_its_session(s: str, dj_conn: Any, tmp_path: Path) -> None:
    """Sliced, replayed on the source and on the loaded slice, and compared with what the analysis received."""
    opened = []
    with sqlspy.export("paper", "fig") as session:
        for settings, text in SESSIONS:
            fresh = sqlspy.compat.second_connection(dj_conn)
            opened.append(fresh)
            for setting in settings:
                fresh.query(setting.replace("{s}", s))
            fresh.query(text.replace("{s}", s)).fetchall()
    for fresh in opened:
        fresh.close()
    paper = sqlspy.Paper("paper", connection=dj_conn)
    cut = paper.slice()
    assert [(r.statement.sql, r.change) for r in cut.statements if r.change] == []
    assert not [r.unsent for r in cut.statements if r.unsent]
    bundle = paper.write(tmp_path / "bundle")
    bundle.dump()
    found = bundle.verify(dj_conn)
    assert found.equal, str(found)
    read = [r for r in session.statements if r.sql in {text.replace("{s}", s) for _, text in SESSIONS}]
    assert len(read) == len(SESSIONS)
    results = {sql_: r for r in found.statements for sql_ in [r.sql]}
    assert all(result.received is not False for result in results.values()), str(found)
    assert "returns what the analysis received" in str(found)
    alone = bundle.verify(alone=True)
    assert alone.equal and alone.complete, str(alone)


def test_rows_of_a_statement_are_those_of_its_session(s: str, server: Server, dj_conn: Any) -> None:
    """In another time zone other rows are read, and these are in the slice."""
    ids = {}
    for zone in ("+00:00", "+09:00"):
        fresh = sqlspy.compat.second_connection(dj_conn)
        fresh.query(f"SET time_zone = '{zone}'")
        statements = captured(f"SELECT id FROM `{s}`.t WHERE HOUR(at) < 12", connection=fresh)
        with server.connect() as opened, opened.cursor() as cursor:
            cursor.execute(f"SET time_zone = '{zone}'")
            cursor.execute(f"SELECT id FROM `{s}`.t WHERE HOUR(at) < 12")
            wanted = {key for (key,) in cursor.fetchall()}
        ids[zone] = {key for (key,) in sliced(server, statements).keys(f"`{s}`.`t`")}
        assert ids[zone] == wanted
        fresh.close()
    assert ids["+00:00"] != ids["+09:00"]


def test_a_keeper_gives_back_what_it_found(s: str, server: Server) -> None:
    def variables(connection: Any) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SHOW SESSION VARIABLES")
            return {name: value for name, value in cursor.fetchall() if name in MEANING - {"timestamp"}}

    texts = tuple(
        text.replace("{s}", s) for settings, _ in SESSIONS for text in settings if text.startswith("SET")
    )
    with server.connect() as opened:
        before = variables(opened)
        keeper = Keeper(opened)
        session = keeper.session(texts)
        assert not session.problem and session.limit == 1
        for rewritten in (False, True):
            keeper.use(session, rewritten=rewritten)
            assert variables(opened) != before
        keeper.use(read_session(()), rewritten=False)
        assert variables(opened) == before
        with opened.cursor() as cursor:
            cursor.execute("SELECT @least")
            assert cursor.fetchone() == (None,)


# ---------------------------------------------------------------- what changed


@pytest.mark.parametrize(
    ("change", "odd"),
    [
        ("UPDATE `{s}`.t SET x = 0.25 WHERE id = 2", {"SELECT * FROM `{s}`.t", "x of 2"}),
        ("UPDATE `{s}`.t SET name = 'c' WHERE id = 3", {"SELECT * FROM `{s}`.t", "names"}),
        ("DELETE FROM `{s}`.other WHERE id = 5", {"other", "count of other"}),
        ("INSERT INTO `{s}`.other VALUES (7, 'seven')", {"other", "count of other"}),
        ("ALTER TABLE `{s}`.other RENAME COLUMN name TO label", {"other"}),
        ("UPDATE `{s}`.t SET id = 4 WHERE id = 1", {"SELECT * FROM `{s}`.t", "x of 1"}),
    ],
)
def test_drift_is_told_by_value_and_by_statement(
    s: str, server: Server, connection: Any, dj_conn: Any, change: str, odd: set[str]
) -> None:
    texts = {
        "SELECT * FROM `{s}`.t": f"SELECT * FROM `{s}`.t",
        **{f"x of {n}": f"SELECT x FROM `{s}`.t WHERE ( (`id`={n}))" for n in range(1, 4)},
        "names": f"SELECT name, COUNT(*) FROM `{s}`.t GROUP BY name ORDER BY name",
        "other": f"SELECT * FROM `{s}`.other",
        "count of other": f"SELECT COUNT(*) FROM `{s}`.other",
    }
    statements = captured(*texts.values())
    assert not sliced(server, statements).drifted
    with connection.cursor() as cursor:
        cursor.execute(change.replace("{s}", s))
    connection.commit()
    drifted = {report.statement.sql for report in sliced(server, statements).drifted}
    assert drifted == {texts[name] for name in odd}


def test_a_loop_whose_sum_stays_is_seen_to_have_changed(s: str, server: Server, connection: Any) -> None:
    """One row is deleted and another inserted, so the number of rows over the loop is the same."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO `{s}`.other VALUES (%s, %s)", [(n, f"n{n}") for n in range(100, 400)]
        )
    connection.commit()
    loop = [f"SELECT name FROM `{s}`.other WHERE ( (`id`={n}))" for n in range(100, 402)]
    statements = captured(*loop)
    assert not sliced(server, statements).drifted
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE `{s}`.other SET id = 400 WHERE id = 150")
        cursor.execute(f"UPDATE `{s}`.other SET name = 'other' WHERE id = 151")
    connection.commit()
    cut = sliced(server, statements)
    changed = {report.statement.sql: report.change for report in cut.drifted}
    assert changed == {
        loop[50]: "1 rows then, 0 now",
        loop[51]: "other values in 1 row now",
        loop[300]: "0 rows then, 1 now",
    }


def test_names_that_a_collation_finds_equal(s: str, server: Server, connection: Any) -> None:
    """The answer to many names at once holds rows of other names too: each statement has its own all the same."""
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO `{s}`.other VALUES (10, 'Bob'), (11, 'BOB'), (12, 'eve'), (13, 'bob ')")
    connection.commit()
    loop = [
        f"SELECT id FROM `{s}`.other WHERE ( (`name`='{name}'))"
        for name in ("bob", "eve", "Bob", "one", "nobody", "EVE")
    ]
    statements = captured(*loop)
    cut = sliced(server, statements)
    assert not cut.drifted
    now = {report.statement.sql: report.rows_now for report in cut.statements}
    assert [now[text] for text in loop] == [statement.rows for statement in statements]
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO `{s}`.other VALUES (14, 'BoB')")
    connection.commit()
    drifted = {report.statement.sql for report in sliced(server, statements).drifted}
    assert drifted == {loop[0], loop[2]}


# ---------------------------------------------------------------- what stops one statement only

STOPPING: list[tuple[str, Callable[[str], list[str]], str]] = [
    (
        "temporary",
        lambda s: [
            f"CREATE TEMPORARY TABLE `{s}own`.mine AS SELECT * FROM `{s}`.t",
            f"SELECT * FROM `{s}own`.mine",
        ],
        "reads the temporary table `mine`",
    ),
    (
        "schema",
        lambda s: [f"SELECT COUNT(*) FROM `{s}`.t WHERE EXISTS (SELECT * FROM information_schema.tables)"],
        "describes the server",
    ),
    (
        "session",
        lambda s: ["SET time_zone = (SELECT '+01:00' FROM DUAL)", f"SELECT id FROM `{s}`.t WHERE id = 1"],
        "its session cannot be set again: SET time_zone = (SELECT '+01:00' FROM DUAL): it was set from a result",
    ),
]


def test_statements_that_cannot_be_exported_are_named_together(
    s: str,
    server: Server,
    connection: Any,
    dj_conn: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE `{s}`.gone (id INT PRIMARY KEY)")
    with sqlspy.export("paper", "fig") as session:
        dj_conn.query(f"SELECT id FROM `{s}`.other").fetchall()
        for _, texts, _ in STOPPING:
            fresh = sqlspy.compat.second_connection(dj_conn)
            for text in texts(s):
                fresh.query(text).fetchall()
            fresh.close()
        dj_conn.query(f"SELECT * FROM `{s}`.gone").fetchall()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE `{s}`.gone")
    with pytest.raises(LineageError) as error:
        sliced(server, session.statements)
    said = str(error.value)
    for reason in (*(reason for *_, reason in STOPPING), "`gone` is not in the database"):
        assert reason in said
    bad = [
        st.number
        for st in session.statements
        if any(word in st.sql.split("FROM")[-1] for word in ("mine", "information", "gone", "id = 1"))
    ]
    listed = ",".join(map(str, sorted(bad)))
    assert f"--skip-statements {listed}" in said and "fig, 20" in said
    cut = sliced(server, session.statements, skip_statements=bad)
    assert {r.statement.number for r in cut.statements if SKIPPED in r.marks} == set(bad)
    folder = tmp_path / "bundle"
    assert main(["write", "paper", "-o", str(folder)]) == 1
    assert "--skip-statements" in capsys.readouterr().err and not folder.exists()
    assert main(["write", "paper", "-o", str(folder), "--skip-statements", listed]) == 0
    for path in folder.iterdir():  # what is not here has no values here
        assert b"id = 1" not in path.read_bytes(), path
    warnings = (folder / "report.html").read_text().partition('id="warnings"')[2]
    assert warnings.index("not part of this slice") < warnings.index("not replayed")
    with pytest.raises(SliceError, match="Leaving out statement 99"):
        sqlspy.Paper("paper").slice(skip_statements=99)
    assert cut.tables[f"`{s}`.`other`"].rows == 3


def test_values_of_a_session_tell_as_those_of_its_statement_do(
    s: str, connection: Any, dj_conn: Any, tmp_path: Path
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE `{s}`.t SET x = 4711.25 WHERE id = 1")
    connection.commit()
    fresh = sqlspy.compat.second_connection(dj_conn)
    fresh.query("SET @weight = '4711.25'")
    (statement,) = (
        x
        for x in captured(f"SELECT id FROM `{s}`.t WHERE @weight > id", connection=fresh)
        if "t WHERE" in x.sql
    )
    fresh.close()
    paper = sqlspy.Paper("paper", connection=dj_conn)
    excluded = [f"`{s}`.`t`.x"]
    bundle = paper.write(tmp_path / "told", exclude=excluded)
    assert bundle.manifest["excluded"][0]["held"] == [statement.number]
    bundle.dump()
    told = {found.what: found.examples for found in bundle.inspect().findings}
    assert "4711.25" in told["values, of an excluded column"]
    bundle = paper.write(tmp_path / "untold", exclude=excluded, leave_out=["values"])
    assert not [path for path in bundle.path.iterdir() if b"4711.25" in path.read_bytes()]


def test_a_variable_from_a_result_is_not_guessed(s: str, server: Server, dj_conn: Any) -> None:
    fresh = sqlspy.compat.second_connection(dj_conn)
    statements = captured(
        f"SELECT MAX(id) FROM `{s}`.other INTO @most",
        f"SELECT * FROM `{s}`.t WHERE id < @most",
        f"SELECT * FROM `{s}`.t WHERE id = 1",
        connection=fresh,
    )
    fresh.close()
    cut = sliced(server, statements)
    by_text = {report.statement.sql: report for report in cut.statements}
    report = by_text[f"SELECT * FROM `{s}`.t WHERE id < @most"]
    assert NOT_SENT in report.marks and "@most is not known: it was assigned from a result" in report.unsent
    assert not by_text[f"SELECT * FROM `{s}`.t WHERE id = 1"].marks
