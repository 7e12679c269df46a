"""The log that people share in the database: what is stored, what counts, and that it never disturbs."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy import cli
from dj_sqlspy.journal import run_folders
from dj_sqlspy.paper import describe, sharedlog
from dj_sqlspy.rules import POLICIES
from dj_sqlspy.servers import Server, backend_of
from dj_sqlspy.spy import session
from tests import test_files as files_lab
from tests.conftest import POSTGRESQL, user_schemas
from tests.lab import make_lab, rows, run_script, start_script

pytestmark = [pytest.mark.separately, pytest.mark.flavor("mariadb", "mysql", "postgresql")]


@pytest.fixture
def lab(prefix: str, dj_conn: Any, home: Path) -> SimpleNamespace:
    return make_lab(f"{prefix}lab", dj_conn)


@pytest.fixture
def log(prefix: str) -> Iterator[str]:
    """The setting, with a schema that is not there yet."""
    dj.config["sqlspy.schema"] = f"{prefix}log"
    yield f"{prefix}log"
    dj.config["sqlspy.schema"] = None
    dj.conn().__dict__.pop("_dj_sqlspy_tables", None)
    assert not session.open_sessions


def subjects_of(paper: sqlspy.Paper, lab: SimpleNamespace) -> set[int]:
    """The subjects in the slice of a paper."""
    return {key[0] for key in paper.slice().keys(lab.Subject.full_table_name)}


def read(lab: SimpleNamespace, analysis: str, *subjects: int, home: Path | None = None) -> None:
    with sqlspy.export("paper", analysis, home=home):
        for subject in subjects:
            rows(lab.Session & {"subject": subject})


# --- two people --------------------------------------------------------------------------------------------

READ = """
import dj_sqlspy as sqlspy
from dj_sqlspy.servers import backend_of
connection = connect()
sessions = backend_of(connection).dialect.full_name(json.loads(os.environ["LAB_SERVER"])[4], "session")
def run(analysis, subjects):
    with sqlspy.export("paper", analysis):
        for subject in subjects:
            rows(dj.FreeTable(connection, sessions) & {"subject": subject})
"""

# from now on, this machine's clock is a day behind
SLOW_CLOCK = (
    "import datetime as d, dj_sqlspy.journal as j; "
    "j.datetime = type('Slow', (d.datetime,), {'now': classmethod("
    "lambda cls, zone=None: d.datetime.now(zone) - d.timedelta(1))})"
)

OWNER = "CREATE, ALTER, REFERENCES, SELECT, INSERT, UPDATE, DELETE"
OTHERS = "SELECT, INSERT, DELETE"


def granted(schema: str, rights: str = "SELECT") -> list[str]:
    """What a GRANT says to give rights on all tables of a schema."""
    if not POSTGRESQL:
        return [f"{rights} ON `{schema}`.*"]
    numbers = [f'USAGE ON ALL SEQUENCES IN SCHEMA "{schema}"'] if rights == OTHERS else []
    return [f'USAGE ON SCHEMA "{schema}"', f'{rights} ON ALL TABLES IN SCHEMA "{schema}"', *numbers]


FOLLOW = """
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Person:
    """A process on a machine of its own, with an account of its own."""

    def __init__(self, account: Server, lab: SimpleNamespace, log: str, folder: Path) -> None:
        folder.mkdir()
        self.home = folder / "home"
        self.process = start_script(
            READ + FOLLOW,
            *(account, lab.name, self.home, folder),
            stdin=subprocess.PIPE,
            environment={"DJ_SQLSPY_SCHEMA": log},
        )

    def does(self, code: str) -> None:
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n", self.process.communicate()[1]

    def leaves(self) -> None:
        _, err = self.process.communicate()
        assert self.process.returncode == 0 and not err, err


def test_two_people_build_one_paper(
    lab: SimpleNamespace, log: str, account: Callable[..., Server], home: Path, tmp_path: Path
) -> None:
    """Three analyses of two accounts, one run again, one deleted: what is left is exactly their union."""
    first = [f"CREATE ON DATABASE {dj.config['database.name']}"] if POSTGRESQL else granted(log, OWNER)
    ann = Person(account("ann", *granted(lab.name), *first), lab, log, tmp_path / "ann")

    def seen() -> list[set[int]]:
        return [subjects_of(sqlspy.Paper("paper", home=place), lab) for place in (home, ann.home, bob.home)]

    ann.does("run('fig1', [0, 1])")
    # on PostgreSQL rights on a table can be given only once it is there
    bob = Person(account("bob", *granted(lab.name), *granted(log, OTHERS)), lab, log, tmp_path / "bob")
    bob.does("run('fig2', [1, 2, 3])")
    ann.does("run('fig3', [4])")
    assert seen() == [{0, 1, 2, 3, 4}] * 3
    found = [sqlspy.Paper("paper", home=place).environments for place in (home, ann.home, bob.home)]
    assert found == [found[0]] * 3 and [each["name"] for each in found[0][0]["analyses"]] == [
        *("fig1", "fig2", "fig3")
    ]
    bob.does("run('fig2', [3])")
    assert seen() == [{0, 1, 3, 4}] * 3
    bob.does("(sqlspy.ExportSelection & {'analysis_id': 'fig3'}).delete()")
    assert seen() == [{0, 1, 3}] * 3  # also for ann, in whose home the journal of fig3 still is
    bob.does(SLOW_CLOCK)
    bob.does("run('fig1', [5])")  # of another person before; later, whatever the clock of this machine says
    assert seen() == [{3, 5}] * 3
    assert {row["user"] for row in rows(sqlspy.ExportSelection())} == {"bob"}
    ann.does("sqlspy.Paper('paper').share('fig1')")
    assert seen() == [{0, 1, 3}] * 3  # asked for by name, the earlier run counts again
    ann.leaves()
    bob.leaves()


def test_an_account_that_may_not_is_told_and_the_analysis_goes_on(
    lab: SimpleNamespace, server: Server, log: str, account: Any, home: Path, tmp_path: Path
) -> None:
    eve = account("eve", *granted(lab.name))
    told = {"DJ_SQLSPY_SCHEMA": log}
    script = start_script(
        READ + "run('fig1', [1])\nprint('went on')", eve, lab.name, home, tmp_path, environment=told
    )
    out, err = script.communicate(timeout=60)
    assert (script.returncode, out) == (0, "went on\n")
    assert "not in the shared log yet" in err and "GRANT" in err and "dj-sqlspy share paper" in err
    assert log not in user_schemas(server)
    assert subjects_of(sqlspy.Paper("paper"), lab) == {1}  # of this home
    assert sqlspy.Paper("paper").share() == ["fig1"]
    assert subjects_of(sqlspy.Paper("paper", home=tmp_path / "elsewhere"), lab) == {1}
    # one that may only read
    joe = account("joe", *granted(lab.name), *granted(log))
    opened = dj.Connection(joe.host, joe.user, joe.password, joe.port, use_tls=False)
    with contextlib.closing(opened) as reading:
        there = sqlspy.Paper("paper", home=tmp_path / "elsewhere", connection=reading)
        assert subjects_of(there, lab) == {1}
        with pytest.raises(sqlspy.SpyError, match="GRANT SELECT, INSERT, DELETE"):
            sqlspy.Paper("paper", connection=reading).share("fig1")


def test_another_process_is_waited_for_only_a_while(
    lab: SimpleNamespace, log: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read(lab, "fig1", 1)
    monkeypatch.setattr(sharedlog, "LOCK_SECONDS", 1)
    with sharedlog.opened(lab.connection) as other, caplog.at_level(logging.WARNING):
        assert other is not None
        with sharedlog._alone(other, "paper", "fig1"):
            read(lab, "fig1", 2)
    assert "Another process has been storing paper fig1 for 1 seconds" in caplog.text
    assert sqlspy.Paper("paper").share() == ["fig1"]


# --- what is stored ------------------------------------------------------------------------------------------


def test_nothing_is_created_without_the_setting(lab: SimpleNamespace, server: Server) -> None:
    before = user_schemas(server)
    table_names = backend_of(lab.connection).table_names
    tables = table_names(lab.connection, lab.name)
    read(lab, "fig1", 1)
    assert subjects_of(sqlspy.Paper("paper"), lab) == {1}
    assert user_schemas(server) == before
    assert table_names(lab.connection, lab.name) == tables
    for needs_it in (lambda: sqlspy.ExportSelection, sqlspy.Paper("paper").share):
        with pytest.raises(sqlspy.SpyError, match=r"sqlspy\.schema"):
            needs_it()


def test_the_slice_is_that_of_the_home(lab: SimpleNamespace, log: str, home: Path, tmp_path: Path) -> None:
    with sqlspy.export("Paper Ä", "Fig. 2/b", count="ignore"):
        rows(lab.Subject & "label LIKE '%1'")
        len(lab.Session())
    read(lab, "fig1", 3)
    shared = sqlspy.Paper("Paper Ä", home=tmp_path / "empty")
    assert sorted(paper.name for paper in sqlspy.papers(tmp_path / "empty")) == ["Paper Ä", "paper"]
    both = sqlspy.Paper("Paper Ä")
    dj.config["sqlspy.schema"] = None
    local = sqlspy.Paper("Paper Ä")
    statements, policies, analyses = local.statements, local.policies, local.analyses
    cut = local.slice()
    dj.config["sqlspy.schema"] = log
    for paper in (shared, both):
        assert paper.statements == statements
        assert paper.policies == policies == {"Fig. 2/b": {**POLICIES, "count": "ignore"}}
        assert [dataclasses.replace(a, folder=home) for a in paper.analyses] == [
            dataclasses.replace(a, folder=home) for a in analyses
        ]
        found = paper.slice()
        assert {name: table.keys for name, table in found.tables.items()}.keys() == cut.tables.keys()
        assert all(found.keys(name) == cut.keys(name) for name in cut.tables)
    assert len(sqlspy.papers()) == 2


def test_names_differ_in_case_and_accents(lab: SimpleNamespace, log: str, tmp_path: Path) -> None:
    for number, analysis in enumerate(("fig", "Fig", "fíg")):
        read(lab, analysis, number)
    paper = sqlspy.Paper("paper", home=tmp_path / "empty")
    assert {a.name: subjects_of(paper.only(a.name), lab) for a in paper.analyses} == {
        "fig": {0},
        "Fig": {1},
        "fíg": {2},
    }


def test_a_large_log_is_stored_in_compressed_blocks(
    lab: SimpleNamespace, log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharedlog, "BLOCK", 20_000)
    with sqlspy.export("paper", "fig1") as captured:
        for _ in range(2000):
            lab.connection.query(f"SELECT label FROM {lab.Subject.full_table_name} WHERE subject = 1")
        journal = captured.journal.path
    table = sqlspy.ExportSelection.Statement().full_table_name
    size, count, blocks, stored = lab.connection.query(
        f"SELECT SUM(size), SUM(statements), COUNT(*), SUM(LENGTH(contents)) FROM {table}"
    ).fetchone()
    assert (size, count) == (journal.stat().st_size, 2000)
    assert blocks > sharedlog.BATCH and stored < size / 4
    assert len(sqlspy.Paper("paper", home=tmp_path / "empty").statements) == 2000
    contents = sqlspy.ExportSelection.Statement() & "start = 0"
    assert b'{"number":1,' in dj.blob.unpack(raw(contents, "contents"))


def raw(expression: Any, attribute: str) -> bytes:
    """A blob as the database has it, which 0.14 would unpack."""
    ((value,),) = expression.connection.query(expression.proj(attribute).make_sql(["contents"])).fetchall()
    return bytes(value)


def test_a_run_goes_on_and_runs_are_replaced(
    lab: SimpleNamespace, log: str, home: Path, tmp_path: Path
) -> None:
    shared = sqlspy.Paper("paper", home=tmp_path / "empty")
    read(lab, "fig1", 1)
    first = shared.statements
    with sqlspy.export("paper", "fig1", append=True):
        rows(lab.Session & {"subject": 2})
    assert len(shared.statements) == len(first) + 1
    assert len(sqlspy.ExportSelection()) == 1
    (number,) = {row["export_id"] for row in rows(sqlspy.ExportSelection())}
    read(lab, "fig1", 3)
    assert subjects_of(shared, lab) == {3}
    assert {row["export_id"] for row in rows(sqlspy.ExportSelection())} == {number + 1}
    # the first run comes late: it was replaced
    old, _ = run_folders(home / "paper" / "fig1")
    assert not sharedlog.store(old, "paper", "fig1")
    assert subjects_of(shared, lab) == {3}


def test_independent_processes_make_one_run(lab: SimpleNamespace, log: str, tmp_path: Path) -> None:
    for number in range(3):  # with homes of their own, as on machines that share no folder
        with sqlspy.export("paper", "fig1", home=tmp_path / str(number), append="4711"):
            rows(lab.Session & {"subject": number})
    for place in ("1", "empty"):
        assert subjects_of(sqlspy.Paper("paper", home=tmp_path / place), lab) == {0, 1, 2}


SHARE = """
import dj_sqlspy as sqlspy
connect()
paper = sqlspy.Paper("paper")
print("ready", flush=True)
for line in sys.stdin:
    what, *names = line.split()
    try:
        getattr(paper, what)(*names)
    except sqlspy.SpyError as error:
        print("refused", error, flush=True)
    else:
        print("done", flush=True)
"""


def test_several_processes_share_one_paper_at_once(
    lab: SimpleNamespace, server: Server, log: str, home: Path, tmp_path: Path
) -> None:
    """The first of them declare the tables; then each run replaces the other one, again and again."""
    dj.config["sqlspy.schema"] = None
    other = tmp_path / "other"
    read(lab, "fig1", 1, home=other)
    for analysis, subject in (("fig1", 2), ("fig2", 3), ("fig3", 4)):
        read(lab, analysis, subject)
    dj.config["sqlspy.schema"] = log
    people = []
    for number, place in enumerate((home, home, other, other, tmp_path / "none")):
        (tmp_path / str(number)).mkdir()
        people.append(
            start_script(
                *(SHARE, server, lab.name, place, tmp_path / str(number)),
                stdin=subprocess.PIPE,
                environment={"DJ_SQLSPY_SCHEMA": log},
            )
        )
    rounds = 1 if POSTGRESQL else 4
    together = [["share"] * 4, *[["share fig1"] * 4] * rounds, ["share", "share fig1", "share fig1", "share"]]
    forgets = [["share fig1", "share", "share fig1", "share", "forget"]] * rounds
    assert [process.stdout.readline() for process in people] == ["ready\n"] * 5
    for words in [*together, *forgets, ["share fig1", "share fig2", "share"], ["share fig3"]]:
        for process, word in zip(people, words, strict=False):
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
        answers = [process.stdout.readline() for process, _ in zip(people, words, strict=False)]
        if "forget" in words:  # where it is forgotten meanwhile, there can be nothing any more
            assert all(a == "done\n" or ("refused" in a and "othing" in a) for a in answers), answers
        else:
            assert answers == ["done\n"] * len(words), words
    for process in people:
        assert process.communicate() == ("", "")
    for row in rows(sqlspy.ExportSelection()):
        alone = sqlspy.Paper("paper", home=tmp_path / "empty", analyses=[row["analysis_id"]])
        described = rows(sqlspy.ExportSelection.Table() & {"export_id": row["export_id"]})
        assert [(each["table_name"], each["restriction"]) for each in described] == [
            (each["table_name"], each["restriction"]) for each in describe.table_rows(alone.preview())
        ]
    assert subjects_of(sqlspy.Paper("paper", home=tmp_path / "empty"), lab) == {2, 3, 4}


@pytest.mark.flavor("mariadb", "mysql")  # the server makes no difference
def test_workers_are_stored_with_their_parent(
    lab: SimpleNamespace, server: Server, log: str, tmp_path: Path
) -> None:
    code = """
    import multiprocessing
    import dj_sqlspy as sqlspy
    lab = open_lab()
    def work(subject):
        dj.conn(reset=True)
        lab = open_lab()
        return len(rows(lab.Session & {"subject": subject}))
    with sqlspy.export("paper", "fig1"):
        with multiprocessing.get_context("fork").Pool(3) as pool:
            pool.map(work, range(6), chunksize=1)
            pool.close()
            pool.join()
    """
    run_script(code, server, lab.name, tmp_path / "home", tmp_path, environment={"DJ_SQLSPY_SCHEMA": log})
    assert subjects_of(sqlspy.Paper("paper", home=tmp_path / "empty"), lab) == set(range(6))


@pytest.mark.flavor("mariadb", "mysql")  # the server makes no difference
def test_killed_and_then_shared(
    lab: SimpleNamespace,
    server: Server,
    log: str,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = """
    import dj_sqlspy as sqlspy
    lab = open_lab()
    with sqlspy.export("paper", "fig1"):
        rows(lab.Session & {"subject": 3})
        print("read", flush=True)
        sys.stdin.read()
    """
    script = start_script(
        code, server, lab.name, home, tmp_path, stdin=subprocess.PIPE, environment={"DJ_SQLSPY_SCHEMA": log}
    )
    assert script.stdout.readline() == "read\n"
    script.send_signal(signal.SIGKILL)
    script.communicate()
    elsewhere = sqlspy.Paper("paper", home=tmp_path / "empty")
    assert elsewhere.statements == []
    assert len(sqlspy.Paper("paper").statements) == 1  # of this home
    assert cli.main(["share", "paper"]) == 0
    assert capsys.readouterr().out == "In the shared log: fig1.\n"
    assert [analysis.state for analysis in elsewhere.analyses] == ["interrupted"]
    assert subjects_of(elsewhere, lab) == {3}
    assert cli.main(["share", "paper"]) == 0  # again stores nothing again
    assert len(elsewhere.statements) == len(sqlspy.Paper("paper").statements) == 1


def test_forget_deletes_from_the_shared_log(lab: SimpleNamespace, log: str, tmp_path: Path) -> None:
    read(lab, "fig1", 1)
    read(lab, "fig2", 2)
    elsewhere = sqlspy.Paper("paper", home=tmp_path / "empty")
    elsewhere.forget("fig2")
    assert [analysis.name for analysis in elsewhere.analyses] == ["fig1"]
    assert [analysis.name for analysis in sqlspy.Paper("paper").analyses] == ["fig1"]
    assert sqlspy.Paper("paper").share() == ["fig1"]  # deleted stays deleted
    sqlspy.Paper("paper").forget()
    assert len(sqlspy.ExportSelection()) == 0
    with pytest.raises(sqlspy.SpyError, match="nothing to forget"):
        elsewhere.forget()


def test_a_missing_block_is_reported(
    lab: SimpleNamespace, log: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sharedlog, "BLOCK", 500)
    read(lab, "fig1", *range(6))
    paper = sqlspy.Paper("paper", home=tmp_path / "empty")
    assert paper.complete and len(paper.statements) == 6
    starts = sorted(row["start"] for row in rows(sqlspy.ExportSelection.Statement().proj()))
    (sqlspy.ExportSelection.Statement() & {"start": starts[1]}).delete_quick()
    assert not paper.complete and len(paper.statements) < 6


# --- what Spyglass users call --------------------------------------------------------------------------------


def test_methods(lab: SimpleNamespace, log: str) -> None:
    selection = sqlspy.ExportSelection()
    selection.start_export("paper", "fig1")
    rows(lab.Session & {"subject": 1})
    assert [t.full_table_name for t in selection.preview_tables(paper_id="paper")] == [
        lab.Session.full_table_name
    ]
    selection.stop_export()
    ((table_name, restriction),) = {
        (row["table_name"], row["restriction"]) for row in rows(sqlspy.ExportSelection.Table())
    }
    assert len(dj.FreeTable(lab.connection, table_name) & restriction) == 2
    assert len(sqlspy.ExportSelection.File()) == 0
    read(lab, "fig2", 2, 3)
    (number,) = {row["export_id"] for row in rows(selection & {"analysis_id": "fig2"})}
    for key in ({"export_id": number}, {"paper_id": "paper", "analysis_id": "fig2"}):
        tables = selection.show_all_tables(**key)
        assert {t.full_table_name: len(t) for t in tables} == {
            lab.Subject.full_table_name: 2,
            lab.Session.full_table_name: 4,
        }
    assert selection.list_file_paths({"paper_id": "paper"}) == []
    with pytest.raises(sqlspy.SpyError, match="names 0 papers"):
        selection.show_all_tables(export_id=-1)

    result = sqlspy.Export()
    result.populate_paper("paper")
    assert [(row["export_id"], row["paper_id"]) for row in rows(result)] == [(number, "paper")]
    counts = {
        row["table_name"]: len(dj.FreeTable(lab.connection, row["table_name"]) & row["restriction"])
        for row in rows(result.Table())
    }
    assert counts == {lab.Subject.full_table_name: 3, lab.Session.full_table_name: 6}
    read(lab, "fig1", 5)  # replaces an older one: what was computed does not hold any more
    assert len(sqlspy.Export()) == 0
    result.populate()
    assert len(result) == 1 and len(result.Table()) == 2
    with pytest.raises(sqlspy.SpyError, match="Nothing of the paper 'none'"):
        result.populate_paper("none")


file_stores = files_lab.stores


@pytest.mark.flavor("mysql")  # as of test_files
def test_files_of_a_paper(
    prefix: str, dj_conn: Any, file_stores: dict[str, Any], log: str, home: Path, tmp_path: Path
) -> None:
    table = files_lab.declare(f"{prefix}lab", dj_conn)
    files_lab.fill(table, file_stores, tmp_path)
    with sqlspy.export("paper", "fig1"):
        dj_conn.query(f"SELECT * FROM {table.full_table_name} WHERE recording >= 1")
    sqlspy.Paper("paper").share()
    listed = {row["file_path"] for row in rows(sqlspy.ExportSelection.File())}
    assert listed == set(sqlspy.ExportSelection().list_file_paths({"paper_id": "paper"}, as_dict=False))
    assert len(listed) == sum(files_lab.EXPECTED.values())
    assert all(Path(path).is_file() for path in listed)


def test_a_long_restriction_has_several_rows(
    lab: SimpleNamespace, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describe, "RESTRICTION", 60)
    read(lab, "fig1", 0, 2, 5)
    sqlspy.Paper("paper").share()
    found = [row["restriction"] for row in rows(sqlspy.ExportSelection.Table())]
    assert len(found) > 1
    assert len(lab.Session & found) == 6


# --- it never disturbs ---------------------------------------------------------------------------------------


def test_its_own_traffic_is_not_captured(lab: SimpleNamespace, log: str) -> None:
    with sqlspy.export("other", "all") as captured:
        read(lab, "fig1", 1)
        rows(sqlspy.ExportSelection() * sqlspy.ExportSelection.Statement().proj("size"))
        sqlspy.Export().populate_paper("paper")
        sqlspy.ExportSelection().preview_tables(export_id=1)
        bool(sqlspy.ExportSelection() & "paper_id = 'paper'")
    assert all(log not in statement.sql for statement in captured.statements)
    assert any(lab.name in statement.sql for statement in captured.statements)


def test_tables_of_the_lab_in_its_schema_are_captured(lab: SimpleNamespace, log: str) -> None:
    dj.config["sqlspy.schema"] = lab.name
    with sqlspy.export("paper", "fig1") as captured:
        rows(lab.Session & {"subject": 1})
    assert len(captured.statements) == 1
    assert subjects_of(sqlspy.Paper("paper"), lab) == {1}


def test_a_fault_of_it_is_told_and_the_analysis_goes_on(
    lab: SimpleNamespace,
    log: str,
    home: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise driver.OperationalError("Can't connect")

    driver = __import__("psycopg2" if POSTGRESQL else "pymysql")
    with caplog.at_level(logging.WARNING), monkeypatch.context() as patch:
        patch.setattr(driver, "connect", refuse)
        read(lab, "fig1", 1)
    assert "dj-sqlspy share paper" in caplog.text and "Can't connect" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(driver, "connect", refuse)
        with pytest.raises(sqlspy.SpyError, match=r"unset sqlspy\.schema"):
            _ = sqlspy.Paper("paper").statements
    assert sqlspy.Paper("paper").share() == ["fig1"]


def test_a_transaction_of_the_analysis_is_left(lab: SimpleNamespace, log: str) -> None:
    with lab.connection.transaction:
        lab.Copy.insert1((1, "new"))
        read(lab, "fig1", 1)
        assert lab.connection.in_transaction
        lab.connection.cancel_transaction()
        lab.connection.start_transaction()
    assert len(lab.Copy()) == 0
    assert len(sqlspy.ExportSelection()) == 1


def test_locked_tables_do_not_hold_up_the_end(lab: SimpleNamespace, log: str, connection: Any) -> None:
    """What ends a session reads no table of the lab, which the analysis itself may have locked."""
    read(lab, "fig1", 1)
    lock, unlock = ("LOCK TABLE", "COMMIT") if POSTGRESQL else ("LOCK TABLES", "UNLOCK TABLES")
    lab.connection.query("BEGIN")
    lab.connection.query(f"{lock} {lab.Session.full_table_name}{' WRITE' * (not POSTGRESQL)}")
    try:
        with sqlspy.export("paper", "fig2"):
            lab.connection.query(f"SELECT * FROM {lab.Session.full_table_name}")
    finally:
        lab.connection.query(unlock)
    assert len(sqlspy.ExportSelection()) == 2


@pytest.mark.flavor("mariadb", "mysql")  # the server makes no difference
def test_settings_alone(lab: SimpleNamespace, server: Server, log: str, home: Path, tmp_path: Path) -> None:
    """The settings alone, and an analysis that ends with its process."""
    asked = {"SCHEMA": log, "ENABLED": "1", "PAPER": "paper", "ANALYSIS": "a"}
    told = {f"DJ_SQLSPY_{name}": value for name, value in asked.items()}
    code = "import dj_sqlspy\nlab = open_lab()\nrows(lab.Session & {'subject': 4})\n"
    run_script(code, server, lab.name, home, tmp_path, environment=told)
    assert 4 in subjects_of(sqlspy.Paper("paper", home=tmp_path / "empty"), lab)
