"""The record on disk: what it survives, and what it reports otherwise."""

from __future__ import annotations

import gc
import json
import os
import stat
import subprocess
import tempfile
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.errors import JournalError, SpyError
from dj_sqlspy.gc_pause import gc_paused
from dj_sqlspy.journal import INCOMPLETE, SUFFIX, Journal, encode_name, places, reading, runs, writer
from tests.lab import make_lab, rows, run_script

# nothing here depends on the server
pytestmark = pytest.mark.flavor("mariadb")

POLICIES = {"preview": "ignore", "count": "rows", "exists": "witness"}


@pytest.fixture
def lab(prefix: str, dj_conn: Any, home: Path) -> SimpleNamespace:
    made = make_lab(prefix + "lab", dj_conn)
    rows(made.Subject & "subject = 0")
    return made


@pytest.fixture(autouse=True)
def _forget_failures() -> Iterator[None]:
    yield
    writer.failures.clear()


def written(home: Path, statements: list[str], analysis: str = "fig", end: bool = True) -> Journal:
    """A journal of these statements."""
    made = Journal(home, "paper", analysis, POLICIES)
    made.start()
    for sql in statements:
        made.statement(sql, 1, "data", "host:3306", 0)
    if end:
        made.end()
    return made


def line(record: dict[str, Any]) -> bytes:
    body = json.dumps(record).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def texts(found: list[Any]) -> list[str]:
    return [statement.sql for statement in found]


# --- format ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["fig2", "Fig. 2 (ä/ß) 🐁", "..", ".hidden", "a\\b:c*?\n\0", "100%", "%41", "CON", "~", "-rf", " "],
)
def test_names_are_safe_and_come_back(home: Path, name: str) -> None:
    encoded = encode_name(name)
    assert encoded.isascii() and encoded.isprintable()
    assert not set(encoded) & set("/\\ :*?\0") and not encoded.startswith(".")
    made = Journal(home, name, name, POLICIES)
    made.start()
    made.end()
    assert made.folder.parent.parent.parent == home
    (paper,) = sqlspy.papers(home)
    assert paper.name == name and [a.name for a in paper.analyses] == [name]


@pytest.mark.parametrize("name", ["", "x" * 241, None, 3, "\ud800"])
def test_names_that_are_none(name: Any) -> None:
    with pytest.raises(SpyError, match="name"):
        encode_name(name)


def test_only_the_user_can_read(home: Path) -> None:
    made = written(home, ["SELECT 1"])
    assert made.path is not None and stat.S_IMODE(made.path.stat().st_mode) == 0o600
    for folder in (made.folder, made.folder.parent, made.folder.parent.parent, home):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_format_as_documented(home: Path) -> None:
    made = written(home, ["SELECT 'ä\n🐁\udc80'"])
    assert made.path is not None
    lines = made.path.read_bytes().splitlines()
    assert all(int(line[:8], 16) == zlib.crc32(line[9:]) and line.isascii() for line in lines)
    header, environment, statement, modules, end = (json.loads(line[9:]) for line in lines)
    versions = ["format", "dj_sqlspy", "datajoint", "python"]
    where = ["paper", "analysis", "run", "process", "pid", "host", "user", "time", "started", "policies"]
    assert [*header][:14] == versions + where and {*header} <= {*versions, *where, "git"}
    assert list(environment) == ["environment", "about"]
    assert (header["format"], header["paper"], header["analysis"]) == (2, "paper", "fig")
    assert (header["process"], header["pid"], header["run"]) == ("first", os.getpid(), made.folder.name)
    assert header["policies"] == POLICIES
    assert list(statement) == ["number", "time", "rows", "kind", "server", "transaction", "sql"]
    assert statement["sql"] == "SELECT 'ä\n🐁\udc80'"
    assert list(modules) == ["modules"] and list(end) == ["end", "error"]


def test_numbers_of_rows_come_later_and_in_any_order(home: Path) -> None:
    made = Journal(home, "paper", "fig", POLICIES)
    about = (None, "data", "host:3306", 0)
    for number in range(1, 4):
        assert made.statement(f"SELECT {number}", *about, has_ended=False) == number
    made.ended(2, 20)
    made.ended(1, 10)
    made.statement("SELECT 'ä\"4'", *about, has_ended=False)
    made.ended(4, 40)
    made.statement("SELECT 5", 50, *about[1:])
    made.statement("SELECT 6", *about, has_ended=False)
    made.failed(6)
    made.statement("SELECT 7", *about)
    made.statement("SELECT 8", *about, has_ended=False)
    found = [(int(s.sql.strip("'")[-1]), s.rows) for s in sqlspy.Paper("paper", home).statements]
    assert found == [(1, 10), (2, 20), (3, None), (4, 40), (5, 50), (7, None), (8, None)]
    made.ended(8, 80)
    made.ended(3, 30)
    made.end()
    paper = sqlspy.Paper("paper", home)
    found = [(int(s.sql.strip("'")[-1]), s.rows) for s in paper.statements]
    assert found == [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50), (7, None), (8, 80)]
    assert [analysis.statements for analysis in paper.analyses] == [7]


def test_the_newest_run_counts_also_where_the_clock_went_backwards(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import datetime, timezone

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2001, 1, 1, tzinfo=timezone.utc)

    written(home, ["SELECT 1"])
    with monkeypatch.context() as patch:
        patch.setattr(places, "datetime", Clock)
        second = written(home, ["SELECT 2"])
    assert "-20010101T" in second.folder.name
    assert texts(sqlspy.Paper("paper", home).statements) == ["SELECT 2"]


def test_order_over_files_and_a_clock_that_goes_backwards(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Journal(home, "paper", "fig", POLICIES)
    second = Journal(home, "paper", "fig", POLICIES, run=first.folder.name)
    times = iter([10.0, 11.0, 5.0, 12.0, 10.5, 13.0])
    with monkeypatch.context() as patch:
        first.start(), second.start()
        patch.setattr(writer.time, "time", lambda: next(times))
        for sql in ("a1", "a2", "a3", "a4"):
            first.statement(sql, 1, "data", "", 7)
        second.statement("b1", 1, "data", "", 7), second.statement("b2", 1, "data", "", 0)
    first.end(), second.end()
    found = sqlspy.Paper("paper", home).statements
    assert texts(found) == ["a1", "b1", "a2", "a3", "a4", "b2"]
    assert [s.number for s in found] == [1, 2, 3, 4, 5, 6]
    assert [s.transaction for s in found] == [1, 2, 1, 1, 1, 0]  # the two processes were in two transactions


# --- damage ------------------------------------------------------------------------------------------------


def test_a_last_record_that_is_cut_off_is_left_out_and_reported(home: Path) -> None:
    made = written(home, ["SELECT 1", "SELECT 2", "SELECT 3"], end=False)
    assert made.path is not None
    data = made.path.read_bytes()
    last = len(data.splitlines(keepends=True)[-1])
    for missing in range(1, last):
        made.path.write_bytes(data[:-missing])
        paper = sqlspy.Paper("paper", home)
        assert texts(paper.statements) == ["SELECT 1", "SELECT 2"]
        assert len(paper.problems) == 1 and "cut off" in paper.problems[0]
        assert paper.complete  # what was cut off had not reached the analysis


def test_a_damaged_line_is_left_out_and_reported(home: Path) -> None:
    made = written(home, [f"SELECT {n}" for n in range(10)])
    assert made.path is not None
    lines = made.path.read_bytes().splitlines(keepends=True)
    for number, damaged in (
        (6, lines[6].replace(b"SELECT", b"SELECX")),
        (7, b"\0" * 100 + b"\n"),
        (8, b"x\n"),
    ):
        made.path.write_bytes(b"".join([*lines[:number], damaged, *lines[number + 1 :]]))
        paper = sqlspy.Paper("paper", home)
        assert len(paper.statements) == 9 and f"SELECT {number - 2}" not in texts(paper.statements)
        assert len(paper.problems) == 1 and f"line {number + 1} is damaged" in paper.problems[0]
        assert not paper.complete
        with pytest.raises(JournalError, match="is damaged"):
            paper.require_complete()


def test_a_damaged_header_loses_no_statement(home: Path) -> None:
    made = written(home, ["SELECT 1"])
    assert made.path is not None
    lines = made.path.read_bytes().splitlines(keepends=True)
    made.path.write_bytes(b"".join([b"damaged\n", *lines[1:]]))
    paper = sqlspy.Paper("paper", home)
    assert texts(paper.statements) == ["SELECT 1"] and paper.statements[0].analysis == "fig"
    assert not paper.complete and any("header" in problem for problem in paper.problems)
    assert paper.policies == {"fig": {}}


def test_files_of_others_in_the_folder_are_left(home: Path) -> None:
    made = written(home, ["SELECT 1"])
    (made.folder / ".nfs0001").write_bytes(b"\0")
    (made.folder.parent / "notes").mkdir()
    (home / "README").write_text("mine")
    (home / "paper" / "README").write_text("mine")
    (paper,) = sqlspy.papers(home)
    assert texts(paper.statements) == ["SELECT 1"] and paper.complete


def test_a_newer_format_is_refused(home: Path) -> None:
    made = written(home, ["SELECT 1"])
    assert made.path is not None
    made.path.write_bytes(line({"format": 3, "dj_sqlspy": "9.1"}) + line({"something": "new"}))
    paper = sqlspy.Paper("paper", home)
    for read in (lambda: paper.statements, lambda: paper.analyses, lambda: paper.complete):
        with pytest.raises(JournalError, match=r"dj-sqlspy 9\.1 wrote it in format 3.*Install a newer"):
            read()


# As the first version wrote it, byte for byte: every later one has to read this.
FIRST_VERSION = r"""
347850f5 {"format":1,"dj_sqlspy":"0.1.0","datajoint":"0.14.10","python":"3.11.7","paper":"paper","analysis":"fig",\
"run":"000001-20260102T030405678901-ab12","process":"first","pid":4711,"host":"desk","user":"ann","time":1767323045.5,\
"started":"2026-01-02T03:04:05+00:00","policies":{"preview":"ignore","count":"ignore","exists":"witness"}}
ca65f100 {"number":1,"time":1767323046.25,"rows":2,"kind":"data","server":"db:3306","transaction":0,\
"sql":"SELECT * FROM `l`.`t`"}
aef45929 {"number":2,"time":1767323047.0,"rows":null,"kind":"count","server":"db:3306","transaction":3,\
"sql":"SELECT \u00e4 \"x\" FROM t","database":"l","sessions":[0,77]}
457dd597 {"end":1767323048.0,"error":null}
"""


def test_a_journal_of_the_first_version_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a dj-sqlspy whose own format is a later one."""
    lines = FIRST_VERSION.strip().replace("\\\n", "").splitlines()
    folder = home / "paper" / "fig" / "000001-20260102T030405678901-ab12"
    folder.mkdir(parents=True)
    (folder / "4711-0a1b2c3d.journal").write_text("\n".join(lines) + "\n")
    for newest in (2, 3):
        monkeypatch.setattr(reading, "FORMAT", newest)
        paper = sqlspy.Paper("paper", home)
        assert paper.complete and paper.problems == []
        first, second = paper.statements
        assert first[:9] == ("SELECT * FROM `l`.`t`", 2, 1767323046.25, "data", "db:3306", 0, "fig", 1, "")
        assert first[9:] == second[9:] == ((), None, (), "mysql")
        assert second[:9] == ('SELECT ä "x" FROM t', None, 1767323047.0, "count", "db:3306", 1, "fig", 2, "l")
        (analysis,) = paper.analyses
        assert (analysis.state, analysis.policies["count"]) == ("ended", "ignore")
        assert analysis.started is not None and analysis.started.isoformat()[:19] == "2026-01-02T03:04:05"


KILLED = """
    import random, signal
    import dj_sqlspy as sqlspy
    generator = random.Random(int(os.environ["SEED"]))
    lab = open_lab()
    for round_ in range(int(os.environ["ROUNDS"])):
        reader, writer = os.pipe()
        wanted = generator.randrange(0, 60)
        child = os.fork()
        if not child:
            connection = lab.connection
            connection.connect()
            with sqlspy.export("paper", "fig"):
                for number in range(10**9):
                    found = connection.query(f"SELECT {number} FROM `{lab.name}`.subject").fetchall()
                    os.write(writer, b"%d\\n" % found[0])
        os.close(writer)
        with open(reader) as lines:
            received = [lines.readline() for _ in range(wanted)]
            if not wanted:
                import time; time.sleep(generator.random() / 50)
            os.kill(child, signal.SIGKILL)
            received += lines.readlines()
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        paper = sqlspy.Paper("paper")
        captured = [int(s.sql.split()[1]) for s in paper.statements]
        expected = [int(line) for line in received]
        assert captured[:len(expected)] == expected, (captured, expected)
        assert len(captured) - len(expected) <= 1  # recorded, and killed before it could say so
        assert paper.complete
        if paper.analyses:
            assert [a.state for a in paper.analyses] == ["interrupted"]
            paper.forget()
        else:
            assert not expected
    print("survived", round_ + 1)
"""


@pytest.mark.parametrize("rounds", [30, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.line("2.x")])])
def test_killed_at_random_points_loses_nothing_that_was_received(
    lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path, rounds: int
) -> None:
    """The analysis writes each result that it received to a pipe; a real SIGKILL ends it anywhere."""
    environment = {"ROUNDS": str(rounds), "SEED": str(rounds)}
    out = run_script(KILLED, server, lab.name, home, tmp_path, environment=environment)
    assert out.split() == ["survived", str(rounds)]


# --- faults of the disk ------------------------------------------------------------------------------------


def test_a_home_that_cannot_be_written(lab: SimpleNamespace, home: Path) -> None:
    home.write_text("a file, not a folder")  # also root cannot make a folder in it
    with pytest.warns(RuntimeWarning, match="incomplete") as caught, sqlspy.export("paper", "fig") as opened:
        for _ in range(3):
            assert len(rows(lab.Subject & "subject = 1")) == 1
    assert len([w for w in caught if w.category is RuntimeWarning]) == 1
    assert not opened.complete and "Not a directory" in opened.problems[0]
    assert opened.statements == []
    paper = sqlspy.Paper("paper")
    assert not paper.complete and "Not a directory" in paper.problems[0]
    with pytest.raises(JournalError, match="incomplete"):
        paper.require_complete()


def test_warnings_that_are_errors_do_not_break_the_analysis(lab: SimpleNamespace, home: Path) -> None:
    home.write_text("a file, not a folder")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with sqlspy.export("paper", "fig") as opened:
            lab.connection.query("SELECT 1 FROM DUAL")
    assert not opened.complete


def test_a_run_that_failed_hides_the_complete_one_before(lab: SimpleNamespace, home: Path) -> None:
    written(home, ["SELECT 1"])
    assert sqlspy.Paper("paper").complete
    folder = home / "paper" / "fig"
    kept = folder.rename(home / "kept")
    folder.write_text("a file in its place")
    with pytest.warns(RuntimeWarning), sqlspy.export("paper", "fig"):
        lab.connection.query("SELECT 1 FROM DUAL")
    folder.unlink()
    kept.rename(folder)
    assert not sqlspy.Paper("paper").complete


FILL = """
    import resource, signal
    import dj_sqlspy as sqlspy
    connection = connect()
    full = os.environ["FULL"]
    if full == "limit":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    results = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with sqlspy.export("paper", "fig") as opened:
            for number in range(400):
                found = connection.query(f"SELECT {number} /* {'x' * 400} */").fetchall()
                results.append(found[0][0])
    paper = sqlspy.Paper("paper")
    print(json.dumps({
        "results": results, "warned": [str(w.message) for w in caught if w.category is RuntimeWarning],
        "session": [opened.complete, opened.problems], "paper": [paper.complete, paper.problems],
        "captured": [s.sql.split()[1] for s in opened.statements]}))
"""


def check_full(found: dict[str, Any], home: Path) -> None:
    assert found["results"] == list(range(400))  # the analysis went on
    assert len(found["warned"]) == 1 and "incomplete" in found["warned"][0]
    assert not found["session"][0] and not found["paper"][0]
    captured = [int(number) for number in found["captured"]]
    assert 0 < len(captured) < 400
    assert captured == list(range(len(captured)))
    paper = sqlspy.Paper("paper", home)  # another process sees it on the disk
    assert not paper.complete
    with pytest.raises(JournalError, match="incomplete"):
        paper.require_complete()


def test_a_file_that_cannot_grow(lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path) -> None:
    out = run_script(FILL, server, lab.name, home, tmp_path, environment={"FULL": "limit"})
    check_full(json.loads(out), home)
    assert list(home.rglob("*" + INCOMPLETE)) and not list(home.rglob("*" + SUFFIX))


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of 32 KB, where this machine lets us mount one."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=32k", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


with tempfile.TemporaryDirectory() as _folder, small_disk(Path(_folder) / "small") as CAN_MOUNT:
    pass


if CAN_MOUNT:

    def test_a_full_disk(lab: SimpleNamespace, server: Any, tmp_path: Path) -> None:
        with small_disk(tmp_path / "small") as mounted:
            assert mounted
            environment = {"FULL": "disk"}
            out = run_script(FILL, server, lab.name, tmp_path / "small", tmp_path, environment=environment)
            check_full(json.loads(out), tmp_path / "small")
            assert list((tmp_path / "small").rglob("*" + INCOMPLETE))

    def test_a_home_that_is_read_only(lab: SimpleNamespace, tmp_path: Path) -> None:
        """Earlier captures can be read. A failed capture is reported, and the analysis goes on."""
        place = tmp_path / "small"
        with small_disk(place) as mounted:
            assert mounted
            written(place, ["SELECT 1"])
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
            before = sqlspy.Paper("paper", place)
            assert texts(before.statements) == ["SELECT 1"] and before.complete
            with pytest.warns(RuntimeWarning, match="Read-only file system"):
                with sqlspy.export("paper", "fig", home=place) as opened:
                    assert len(rows(lab.Subject & "subject = 1")) == 1
                with sqlspy.export("paper", "named", home=place, append="4711"):
                    assert len(rows(lab.Subject & "subject = 1")) == 1
            assert not opened.complete and not sqlspy.Paper("paper", place).complete
            with pytest.raises(JournalError, match="Read-only file system"):
                sqlspy.Paper("paper", place).forget("fig")


def test_a_disk_that_has_room_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that was cut off spoils no later one, and the run stays incomplete."""
    made = written(home, ["SELECT 1"], end=False)
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(writer.os, "write", lambda descriptor, data: real(descriptor, data[:50]))
        with pytest.raises(OSError, match="may be full"):
            made.statement("SELECT 2", 1, "data", "", 0)
    with pytest.warns(RuntimeWarning):
        made.fault("a reason")
    made.statement("SELECT 3", 1, "data", "", 0)
    made.end()
    writer.failures.clear()
    run = runs.read_run(made.folder)
    assert texts(runs.combine([run])) == ["SELECT 1", "SELECT 3"]
    assert any("a reason" in problem for problem in run.problems)


def test_a_statement_that_cannot_be_recorded(lab: SimpleNamespace, home: Path) -> None:
    """What the spy cannot understand marks the session, and the next statement is recorded again."""

    class Odd:
        """As a driver that we do not know: its cursor does not tell the SQL."""

        conn_info = lab.connection.conn_info
        _conn = None

    from dj_sqlspy.spy import observe as spy

    with sqlspy.export("paper", "fig") as opened:
        with pytest.warns(RuntimeWarning, match="AttributeError"):
            spy.observe(Odd(), "SELECT 1 FROM x", (), object())
        rows(lab.Subject & "subject = 1")
    assert len(opened.statements) == 1
    assert not opened.complete and "AttributeError" in opened.problems[0]
    assert not sqlspy.Paper("paper").complete


def test_closed_descriptors(lab: SimpleNamespace, home: Path, tmp_path: Path) -> None:
    """A daemon closes all files and reuses the numbers. The journal is opened again; the other file is untouched."""
    with sqlspy.export("paper", "fig") as opened:
        rows(lab.Subject & "subject = 1")
        descriptor = opened.journal._descriptor
        assert descriptor is not None
        os.close(descriptor)
        rows(lab.Subject & "subject = 2")
        descriptor = opened.journal._descriptor
        assert descriptor is not None
        mine = os.open(tmp_path / "mine", os.O_CREAT | os.O_WRONLY)
        os.dup2(mine, descriptor)
        rows(lab.Subject & "subject = 3")
        os.close(descriptor), os.close(mine)
    assert len(opened.statements) == 3 and opened.complete
    assert (tmp_path / "mine").read_bytes() == b""


def test_a_journal_that_was_deleted(lab: SimpleNamespace, home: Path) -> None:
    with sqlspy.export("paper", "fig") as opened:
        rows(lab.Subject & "subject = 1")
        assert opened.journal.path is not None
        opened.journal.path.unlink()
        with pytest.warns(RuntimeWarning, match="was deleted"):
            rows(lab.Subject & "subject = 2")
    assert not opened.complete


def test_faults_of_a_child_are_seen_by_its_parent(
    lab: SimpleNamespace, server: Any, home: Path, tmp_path: Path
) -> None:
    out = run_script(
        """
        import resource, signal
        import dj_sqlspy as sqlspy
        lab = open_lab()
        with sqlspy.export("paper", "fig") as opened:
            rows(lab.Subject)
            child = os.fork()
            if not child:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
                lab.connection.connect()
                rows(lab.Subject)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        print(opened.complete, sqlspy.Paper("paper").complete)
        """,
        server,
        lab.name,
        home,
        tmp_path,
    )
    assert out.split() == ["False", "False"]


def test_threads_leave_the_garbage_collector_as_it_was() -> None:
    before, inside = gc.get_threshold(), threading.Barrier(2)

    def first() -> None:
        with gc_paused():
            inside.wait()
            left.wait()

    def second() -> None:
        inside.wait()
        with gc_paused():
            left.set()
            one.join()
            assert gc.get_threshold() != before

    left = threading.Event()
    one = threading.Thread(target=first)
    one.start()
    second()
    assert gc.get_threshold() == before
