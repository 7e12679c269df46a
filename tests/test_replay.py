"""Replay on real servers: equal results are found equal, and every kind of difference is found and shown."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.journal import Statement
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.replay import ReplayReport, replay
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.connect import raw_connection
from dj_sqlspy.servers.mysql.results import difference, digest
from dj_sqlspy.servers.mysql.session import match_sessions, set_session
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.servers.results import Difference
from dj_sqlspy.slices import StatementReport, make_slice
from tests.test_dump import bundle_of, lab, options

pytestmark = pytest.mark.separately

__all__ = ["lab"]


@pytest.fixture
def trials(lab: Any) -> Any:
    """Subjects with trials (a part of session) and statements that read some."""
    lab(
        "CREATE TABLE lab.subject (id INT PRIMARY KEY, name VARCHAR(20), weight FLOAT)",
        "CREATE TABLE lab.session (id INT, n INT, room VARCHAR(9) NULL, PRIMARY KEY (id, n),"
        " FOREIGN KEY (id) REFERENCES lab.subject (id))",
        "CREATE TABLE lab.session__trial (id INT, n INT, t INT, v DECIMAL(8,3), b LONGBLOB,"
        " PRIMARY KEY (id, n, t), FOREIGN KEY (id, n) REFERENCES lab.session (id, n))",
        "INSERT INTO lab.subject VALUES (1, 'Ann', 20.125), (2, 'Bob', 1.1), (3, 'Cyd', NULL)",
        "INSERT INTO lab.session VALUES (1, 1, NULL), (1, 2, 'a'), (2, 1, ''), (3, 1, 'a')",
        "INSERT INTO lab.session__trial VALUES (1, 1, 1, 1.5, X'00FF'), (1, 1, 2, 2, NULL), (1, 2, 1, 0, ''),"
        " (2, 1, 1, -1, 'x'), (3, 1, 1, 9, 'y')",
    )
    lab.statements = [
        f"SELECT * FROM `{lab.name}`.`session__trial` WHERE id < 3",
        f"SELECT room FROM `{lab.name}`.`session` WHERE id < 3",
        f"SELECT AVG(weight), COUNT(*) FROM `{lab.name}`.`subject` WHERE id < 3",
        f"SELECT id, n FROM `{lab.name}`.`session` WHERE id < 3 ORDER BY id, n DESC",
        f"SELECT * FROM `{lab.name}`.`subject` WHERE name = 'nobody'",
        f"SELECT room FROM `{lab.name}`.`session` WHERE id < 3",
    ]
    return lab


@pytest.fixture
def replayed(
    trials: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> Callable[..., ReplayReport]:
    """Loads the bundle of the trials, runs statements on the loaded slice, replays."""
    bundle = bundle_of(server, tmp_path / "b", *trials.statements)
    bundle.dump(options(server))
    bundle.restore(options(clean_scratch))

    def run(*changes: str) -> ReplayReport:
        with clean_scratch.connect() as loaded, server.connect() as source:
            with loaded.cursor() as cursor:
                cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
                for change in changes:
                    cursor.execute(change.replace("lab.", f"`{trials.name}`."))
            return replay(bundle.manifest, source, loaded)

    return run


def as_text(report: ReplayReport) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report)
    return console.export_text()


def test_an_untouched_slice_is_equal(replayed: Callable[..., ReplayReport]) -> None:
    report = replayed()
    assert report.equal and not report.different and not report.orphans
    assert [result.state for result in report.statements] == ["equal"] * 5
    assert report.statements[1].numbers == (2, 6)  # one text, replayed once
    assert report.statements[0].source_rows == report.statements[0].slice_rows == 4
    assert "equal: 5 distinct statements, 2 foreign keys, 0 orphans" in as_text(report)


def test_a_missing_row_is_found_and_shown(replayed: Callable[..., ReplayReport]) -> None:
    report = replayed("DELETE FROM lab.session__trial WHERE id = 1 AND t = 2")
    (result,) = report.different
    assert (result.numbers, result.missing, result.extra) == ((1,), 1, 0)
    assert result.missing_rows == ("id=1, n=1, t=2, v=2.000, b=NULL",)
    assert [key.lost for key in report.broken_keys] == [1]
    text = as_text(report)
    assert "id=1, n=1, t=2, v=2.000, b=NULL" in text and "NOT EQUAL" in text
    assert "Session.Trial: 1 row of masters in the slice" in text


def test_a_row_too_many_is_found_and_shown(replayed: Callable[..., ReplayReport]) -> None:
    report = replayed("INSERT INTO lab.session__trial VALUES (2, 1, 7, 1, 'more')")
    (result,) = report.different
    assert (result.missing, result.extra, result.extra_rows) == (0, 1, ("id=2, n=1, t=7, v=1.000, b=more",))
    assert not report.broken_keys


def test_null_is_not_an_empty_string_and_duplicates_count(replayed: Callable[..., ReplayReport]) -> None:
    report = replayed("UPDATE lab.session SET room = '' WHERE id = 1 AND n = 1")
    (result,) = report.different
    assert result.missing_rows == ("room=NULL",) and result.extra_rows == ("room=",)
    assert (result.source_rows, result.slice_rows, result.missing, result.extra) == (3, 3, 1, 1)


def test_bytes_of_a_blob_that_differ(replayed: Callable[..., ReplayReport]) -> None:
    report = replayed("UPDATE lab.session__trial SET b = X'01FF' WHERE b = X'00FF'")
    (result,) = report.different
    assert "b=0x00ff" in result.missing_rows[0] and "b=0x01ff" in result.extra_rows[0]


def test_the_last_bits_of_a_float(replayed: Callable[..., ReplayReport]) -> None:
    report = replayed("UPDATE lab.subject SET weight = 1.1000001 WHERE id = 2")
    assert [result.numbers for result in report.different] == [(3,)]


def test_orphans_are_counted(replayed: Callable[..., ReplayReport]) -> None:
    report = replayed("DELETE FROM lab.subject WHERE id = 1")
    assert report.orphans == 2 and not report.equal
    assert "2 rows whose session_ibfk_1 finds no row" in as_text(report)


def test_a_statement_that_the_slice_cannot_run(replayed: Callable[..., ReplayReport]) -> None:
    report = replayed("ALTER TABLE lab.session DROP COLUMN room")
    (result,) = report.different
    assert result.state == "error" and "error on the slice" in result.message and "room" in result.message
    assert "error on the slice" in as_text(report)


def test_columns_that_have_another_name(replayed: Callable[..., ReplayReport]) -> None:
    report = replayed("ALTER TABLE lab.session__trial RENAME COLUMN v TO w")
    (result,) = report.different
    assert "other columns" in result.message


def test_statements_with_marks_are_reported_apart(
    trials: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    bundle = bundle_of(
        server,
        tmp_path / "b",
        f"SELECT id, RAND() AS r FROM `{trials.name}`.`subject`",
        f"SELECT id, UUID() AS u FROM `{trials.name}`.`session`",
    )
    bundle.dump(options(server))
    bundle.restore(options(clean_scratch))
    with clean_scratch.connect() as loaded, server.connect() as source:
        report = replay(bundle.manifest, source, loaded)
    assert [result.state for result in report.statements] == ["differs", "differs"]
    assert all(result.marks for result in report.statements)
    assert report.equal and not report.different
    assert "can change by itself" in as_text(report)


def test_order_counts_only_where_the_statement_orders(
    trials: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    bundle = bundle_of(server, tmp_path / "b", *trials.statements)
    ordered = {entry["number"]: entry["ordered"] for entry in bundle.manifest["statements"]}
    assert ordered[4] and not ordered[2]
    bundle.dump(options(server))
    bundle.restore(options(clean_scratch))
    # the same rows backwards, on the one side only: a view of the same name as the table it replaces
    manifest = dict(bundle.manifest, foreign_keys=[])
    with clean_scratch.connect() as loaded, server.connect() as source:
        with loaded.cursor() as cursor:
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
            cursor.execute(f"RENAME TABLE `{trials.name}`.`session` TO `{trials.name}`.`kept`")
            cursor.execute(
                f"CREATE VIEW `{trials.name}`.`session` AS SELECT 3 - id AS id, 3 - n AS n, room"
                f" FROM `{trials.name}`.`kept` WHERE id < 3"
            )
            cursor.execute(f"DELETE FROM `{trials.name}`.`kept` WHERE (id, n) NOT IN ((1, 1), (2, 1))")
        results = {result.numbers: result for result in replay(manifest, source, loaded).statements}
    assert results[4,].state == "differs"


def test_difference_of_multisets(lab: Any, server: Server) -> None:
    def values(*numbers: int) -> str:
        return " UNION ALL ".join(f"SELECT {number} AS n" for number in numbers)

    with (
        server.connect(conv={}, use_unicode=False) as one,
        server.connect(conv={}, use_unicode=False) as other,
    ):
        for left, right in [((1, 1, 2), (2, 1, 1)), ((5,), (5,))]:
            assert digest(one, values(*left)).multiset == digest(other, values(*right)).multiset
        assert digest(one, values(1, 2)).ordered != digest(one, values(2, 1)).ordered
        assert digest(one, values(1, 1)).multiset != digest(one, values(2)).multiset
        table = f"`{lab.name}`.numbers"
        with one.cursor() as cursor, other.cursor() as second:
            cursor.execute(f"CREATE TEMPORARY TABLE {table} (n INT NULL)")
            second.execute(f"CREATE TEMPORARY TABLE {table} (n INT NULL)")
            cursor.execute(f"INSERT INTO {table} VALUES (1), (1), (1), (2), (NULL)")
            second.execute(f"INSERT INTO {table} VALUES (1), (3), (3), (NULL), (NULL)")
        sql = f"SELECT n FROM {table} ORDER BY n"
        assert difference(one, other, sql) == (
            Difference(3, ("n=1", "n=1", "n=2")),
            Difference(3, ("n=NULL", "n=3", "n=3")),
        )
        with other.cursor() as second:
            second.execute(f"DELETE FROM {table}")
        assert difference(one, other, sql)[0].rows == 5
        assert difference(other, one, sql)[0] == Difference(0, ())


def test_the_session_on_the_slice_has_the_settings_of_the_source(server: Server, scratch: Server) -> None:
    settings = (
        "SELECT @@SESSION.sql_mode, @@SESSION.group_concat_max_len, @@SESSION.collation_connection,"
        " FROM_UNIXTIME(1), @@SESSION.lc_time_names"
    )
    raw: Any = {"conv": {}, "use_unicode": False}
    with (
        server.connect(**raw) as source,
        scratch.connect(**raw) as loaded,
        source.cursor() as ask,
        loaded.cursor() as tell,
    ):
        for zone in ("-07:30", "+13:00", "SYSTEM", "+00:00"):
            ask.execute(
                "SET SESSION sql_mode = 'ANSI_QUOTES', group_concat_max_len = 77, lc_time_names = 'de_DE',"
                f" collation_connection = 'latin1_bin', time_zone = '{zone}'"
            )
            match_sessions(source, loaded)
            ask.execute(settings)
            tell.execute(settings)
            assert ask.fetchone() == tell.fetchone()


def test_a_recorded_setting_is_a_value_and_no_sql(server: Server) -> None:
    evil = "\\' IS NULL, sql_select_limit = 7 -- "
    with server.connect() as connection, connection.cursor() as cursor:
        (refused,) = set_session(connection, {"div_precision_increment": evil})
        cursor.execute("SELECT @@SESSION.sql_select_limit <> 7, @@SESSION.div_precision_increment")
        assert cursor.fetchone() == (1, 4) and refused.startswith("div_precision_increment")


def test_large_results_do_not_fill_the_memory(lab: Any, server: Server) -> None:
    import tracemalloc

    lab("CREATE TABLE lab.n (n INT PRIMARY KEY, pad CHAR(200))")
    with lab.connection.cursor() as cursor:
        for start in range(0, 40_000, 10_000):
            values = ", ".join(f"({n}, REPEAT('x', 200))" for n in range(start, start + 10_000))
            cursor.execute(f"INSERT INTO `{lab.name}`.n VALUES {values}")
    with server.connect(conv={}, use_unicode=False) as connection:
        tracemalloc.start()
        result = digest(connection, f"SELECT * FROM `{lab.name}`.n")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert result.rows == 40_000
    assert peak < 2_000_000  # the rows are 8 MB


def test_statements_with_bytes_that_are_no_text(
    trials: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        sql = cursor.mogrify(f"SELECT * FROM `{trials.name}`.`session__trial` WHERE b = %s", (b"\x00\xff",))
    bundle = bundle_of(server, tmp_path / "b", sql)
    (entry,) = Bundle(bundle.path).manifest["statements"]
    assert entry["sql"] == sql and entry["rows_now"] == 1
    bundle.dump(options(server))
    bundle.restore(options(clean_scratch))
    with clean_scratch.connect() as loaded, server.connect() as source:
        report = replay(bundle.manifest, source, loaded)
    assert report.equal and report.statements[0].slice_rows == 1
    assert "1 distinct" in as_text(report)


# ---------------------------------------------------------------- the whole way


def test_captured_written_dumped_restored_and_replayed(
    dj_conn: Any, home: Path, tmp_path: Path, prefix: str
) -> None:
    import datajoint as dj

    schema = dj.Schema(f"{prefix}lab", connection=dj_conn)

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        ---
        name : varchar(30)
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int
        ---
        score : float
        """

        class Trial(dj.Part):
            definition = """
            -> master
            trial : int
            """

    Subject.insert((n, f"it's {n} %") for n in range(1, 7))
    Session.insert((n, 1, n / 7) for n in range(1, 5))
    Session.Trial.insert((n, 1, t) for n in range(1, 5) for t in range(3))
    with sqlspy.export("paper", "fig"):
        assert len((Session * Session.Trial & "score > 0.5").fetch("KEY")) == 3
        assert [key["subject"] for key in (Subject - Session).fetch("KEY", order_by="subject")] == [5, 6]
        assert (Subject & {"name": "it's 5 %"}).fetch1("subject") == 5
        assert len(Subject & "subject < 3") == 2
    paper = sqlspy.Paper("paper")
    cut = make_slice(paper.statements, raw_connection(conv=plain_decoders()))
    bundle = write_bundle(cut, tmp_path / "bundle", paper=paper)
    assert bundle.manifest["paper"] == "paper" and bundle.manifest["complete"]
    assert {entry["analysis"] for entry in bundle.manifest["statements"]} == {"fig"}
    report = Bundle(tmp_path / "bundle").verify()  # dumps by itself, as nobody has
    assert report.equal, as_text(report)
    assert len(report.statements) >= 4 and set(report.seconds) >= {"dump", "restore", "replay"}
    counts = {table["name"]: table["rows"] for table in bundle.manifest["tables"]}
    assert counts == {
        f"`{prefix}lab`.`subject`": 5,  # 1 and 2 counted, 4 of the session, 5 and 6 without one
        f"`{prefix}lab`.`session`": 3,  # 4 was read; 1 and 2 keep their subjects out of the anti-join
        f"`{prefix}lab`.`session__trial`": 9,
    }


def test_reports_of_statements_hold_what_the_manifest_needs(
    trials: Any, server: Server, tmp_path: Path
) -> None:
    captured = Statement(
        sql=f"INSERT INTO x SELECT name FROM `{trials.name}`.`subject`",
        rows=3,
        kind="data",
        analysis="a",
        number=7,
    )
    with server.connect(conv=plain_decoders()) as connection:
        cut = make_slice([captured], connection)
    assert isinstance(cut.statements[0], StatementReport)
    with server.connect() as connection:
        bundle = write_bundle(cut, tmp_path / "b", connection=connection)
    (entry,) = bundle.manifest["statements"]
    assert entry["captured"] == captured.sql and entry["sql"].startswith("SELECT") and entry["number"] == 7


# ---------------------------------------------------------------- the command line


def test_commands(
    trials: Any, server: Server, clean_scratch: Server, dj_conn: Any, tmp_path: Path, capsys: Any
) -> None:
    bundle = bundle_of(server, tmp_path / "b", *trials.statements)
    folder = str(bundle.path)
    assert main(["restore", folder, *options(clean_scratch)]) == 1
    assert "there is no" in capsys.readouterr().err
    assert main(["dump", folder, *options(server)]) == 0
    assert main(["restore", folder, *options(clean_scratch)]) == 0
    assert "every foreign key finds its row" in capsys.readouterr().out
    assert main(["restore", folder, *options(clean_scratch)]) == 1
    assert f"`{trials.name}`.`session`" in capsys.readouterr().err
    assert main(["dump", folder, "--jobs", "2"]) == 0  # the server of dj.config
    assert main(["verify", folder]) == 0
    assert "equal: 5 distinct statements" in capsys.readouterr().out
    trials("INSERT INTO lab.subject VALUES (4, 'nobody', 1)")
    assert main(["verify", folder]) == 1
    said = capsys.readouterr().out
    assert "1 missing, such as:" in said and "id=4, name=nobody" in said
    assert main(["verify", str(tmp_path)]) == 1
    assert "no manifest.json" in capsys.readouterr().err
