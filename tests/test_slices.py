"""Slices: why a row is there, restricted tables, reports, drift, policies, previews."""

from __future__ import annotations

import datetime
import re
import time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.errors import SliceError
from dj_sqlspy.names import shown_name
from dj_sqlspy.rules import PARENT, PART, READ
from dj_sqlspy.servers import Server
from tests.exported import new_schema
from tests.lab import keys, rows

pytestmark = pytest.mark.separately


@pytest.fixture
def lab(prefix: str, dj_conn: Any) -> SimpleNamespace:
    """Rigs; subjects; sessions, each on a rig (not in its key), with trials as parts; bad sessions."""
    schema = new_schema(f"{prefix}lab", dj_conn)

    @schema
    class Rig(dj.Manual):
        definition = """
        rig : int
        """

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : varchar(8)
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int
        ---
        -> [nullable] Rig
        """

        class Trial(dj.Part):
            definition = """
            -> master
            trial : int
            """

    @schema
    class Bad(dj.Manual):
        definition = """
        -> Session
        """

    Rig.insert({"rig": n} for n in (1, 2, 3))
    Subject.insert({"subject": s} for s in "abc")
    Session.insert(
        {"subject": s, "session": n, "rig": rig}
        for s, n, rig in [("a", 1, 1), ("a", 2, 2), ("b", 1, None), ("c", 1, 3)]
    )
    Session.Trial.insert({"subject": s, "session": 1, "trial": t} for s in "ac" for t in (1, 2))
    Bad.insert([{"subject": "a", "session": 2}])
    return SimpleNamespace(Rig=Rig, Subject=Subject, Session=Session, Trial=Session.Trial, Bad=Bad)


def capture(home: Path, *calls: Any, **policies: str) -> sqlspy.Paper:
    with sqlspy.export("paper", "fig", home=home, **policies):
        for call in calls:
            call()
    return sqlspy.Paper("paper", home=home)


def counts(cut: Any) -> dict[str, int]:
    return {name.split("`")[3]: table.rows for name, table in cut.tables.items() if table.rows}


# ---------------------------------------------------------------- once


def test_a_slice_is_made_once_while_nothing_changes(lab: SimpleNamespace, home: Path) -> None:
    """A server that writes on its own makes it again; a row, a table, a choice or a record always does."""
    paper = capture(home, lambda: rows(lab.Session & "session < 3"))
    deadline = time.monotonic() + 60
    while (cut := paper.slice()) is not paper.slice():
        assert time.monotonic() < deadline
    schema = lab.Session.database

    def again(*statements: str) -> Any:
        for sql in statements:
            lab.Session.connection.query(sql.replace("lab.", f"`{schema}`."))
        before, made = cut, paper.slice()
        assert made is not before
        return made

    assert paper.slice(parts="referenced") is not cut
    for number in range(5, 15):  # at once after the commit
        cut = again(f"INSERT INTO lab.`rig` VALUES ({number})")
        assert cut.tables[lab.Rig.full_table_name].total_rows == number - 1
    cut = again("START TRANSACTION", "UPDATE lab.`session` SET rig = 3 WHERE session = 1", "COMMIT")
    assert [str(report.change) for report in cut.drifted] == ["other values in 4 rows now"]
    cut = again("CREATE VIEW lab.`v` AS SELECT 1")
    paper = capture(home, lambda: rows(lab.Session & "session < 3"), lambda: rows(lab.Bad))
    cut = again()
    with sqlspy.export("paper", "more", home=home):
        rows(lab.Subject)
    assert len(again().statements) == len(cut.statements) + 1
    paper = capture(home, lambda: rows(lab.Session & "SECOND(NOW(6)) < 60"))
    assert not any(paper.slice() is paper.slice() for _ in range(9))  # its rows can depend on the time
    paper = capture(home, lambda: rows(lab.Session & "session < 3"))
    bound = lab.Session & "SECOND(NOW(6)) < 60"
    assert not any(paper.slice(only=bound) is paper.slice(only=bound) for _ in range(9))


# ---------------------------------------------------------------- why


def test_why_a_row_was_read(lab: SimpleNamespace, home: Path) -> None:
    cut = capture(home, lambda: rows(lab.Subject & {"subject": "b"})).slice()
    name = shown_name(lab.Subject.full_table_name)
    (line,) = cut.why(name, {"subject": "b"})
    assert line.startswith(f"{name} (subject='b'): {READ} (statement 1: SELECT ")
    assert cut.why(name, {"SUBJECT": "b"}) == [line]  # as the server compares names


def test_why_names_all_statements_that_read_a_row(lab: SimpleNamespace, home: Path) -> None:
    """Of all shapes, and of a loop those alone whose binding reads it."""
    calls = [lambda n=n: rows(lab.Trial & {"subject": "a", "session": 1, "trial": n}) for n in (1, 2, 2)]
    cut = capture(
        home,
        *calls,
        lambda: rows(lab.Trial & "trial = 2"),
        lambda: rows(lab.Session),
        lambda: bool(lab.Trial & "trial = 2" & {"subject": "c"}),
        lambda: rows(lab.Session * lab.Trial & {"subject": "a"}),
    ).slice()

    def numbers(table: Any, **key: Any) -> str:
        (line,) = cut.why(table.full_table_name, key)
        return re.search(r" \(statements? ([\d, ]+):", line)[1]

    assert numbers(lab.Trial, subject="a", session=1, trial=1) == "1, 7"
    assert numbers(lab.Trial, subject="a", session=1, trial=2) == "2, 3, 4, 7"
    assert numbers(lab.Trial, subject="c", session=1, trial=2) == "4, 6"
    assert numbers(lab.Session, subject="a", session=1) == "5, 7"
    assert numbers(lab.Session, subject="b", session=1) == "5"


def test_why_of_a_long_loop(lab: SimpleNamespace, home: Path) -> None:
    """The one binding of many that read a row is found by halves; of many that read it, five are named."""
    lab.Rig.insert({"rig": n} for n in range(10, 50))
    calls = [lambda n=n: rows(lab.Rig & {"rig": n}) for n in range(10, 50)]
    cut = capture(home, *calls, *[lambda n=n: rows(lab.Rig & f"rig < {n}") for n in range(20, 28)]).slice()
    name = lab.Rig.full_table_name
    assert " (statement 40: " in cut.why(name, {"rig": 49})[0]
    assert " (statements 17, 48: " in cut.why(name, {"rig": 26})[0]
    assert " (statements 3, 41, 42, 43, 44 and more: " in cut.why(name, {"rig": 12})[0]


def test_why_leads_to_the_statement(lab: SimpleNamespace, home: Path) -> None:
    """Up a key, up beside a key, and down to a part: each chain ends with a statement."""
    cut = capture(home, lambda: rows(lab.Session & {"subject": "a", "session": 1})).slice()
    tables = (lab.Session, lab.Rig, lab.Subject, lab.Trial)
    session, rig, subject, trial = (shown_name(table.full_table_name) for table in tables)
    last = cut.why(session, {"subject": "a", "session": 1})
    assert len(last) == 1 and READ in last[0]
    assert cut.why(subject, {"subject": "a"}) == [f"{subject} (subject='a'): {session} refers to it", *last]
    assert cut.why(rig, {"rig": 1}) == [f"{rig} (rig=1): {session} refers to it", *last]
    assert cut.why(trial, {"subject": "a", "session": 1, "trial": 2}) == [
        f"{trial} (subject='a', session=1, trial=2): part of {session}",
        *last,
    ]


def test_why_through_several_tables(lab: SimpleNamespace, home: Path) -> None:
    """A part was read; its master has a rig, and the rig's chain goes back over the master to the part."""
    cut = capture(home, lambda: rows(lab.Trial & {"subject": "c", "trial": 1})).slice()
    chain = cut.why(lab.Rig.full_table_name, {"rig": 3})
    assert [line.split(" (")[0] for line in chain] == [
        shown_name(table.full_table_name) for table in (lab.Rig, lab.Session, lab.Trial)
    ]
    assert READ in chain[-1]
    other = cut.why(lab.Trial.full_table_name, {"subject": "c", "session": 1, "trial": 2})
    assert len(other) == 3 and READ in other[-1] and "trial=1" in other[-1]


def test_why_a_witness(lab: SimpleNamespace, home: Path) -> None:
    cut = capture(
        home, lambda: rows(lab.Session - lab.Bad), lambda: rows(lab.Session & {"subject": "a", "session": 2})
    ).slice()
    (line,) = cut.why(lab.Bad.full_table_name, {"subject": "a", "session": 2})
    assert "keeps a row rejected (anti-join) (statement 1: " in line


def test_why_of_every_row(lab: SimpleNamespace, home: Path) -> None:
    """Each chain ends with a statement, and each of its steps names a row of the slice."""
    cut = capture(
        home,
        lambda: rows(lab.Session - lab.Bad),
        lambda: rows(lab.Trial & {"subject": "c", "trial": 1}),
        lambda: rows((lab.Session & "rig IS NULL").proj()),
        lambda: rows(lab.Rig & "rig = 2"),
    ).slice()
    seen = 0
    for name, table in cut.tables.items():
        for key in cut.keys(name):
            chain = cut.why(name, dict(zip(table.table.key, key, strict=True)))
            assert chain[0].startswith(f"{shown_name(name)} (") and "(statement" in chain[-1]
            assert not any("(statement" in line for line in chain[:-1])
            assert {line.split(" (")[0] for line in chain} <= set(map(shown_name, cut.tables))
            seen += 1
    assert seen == sum(table.rows for table in cut.tables.values()) > 10


def test_why_not(lab: SimpleNamespace, home: Path) -> None:
    cut = capture(home, lambda: rows(lab.Session & {"subject": "a"})).slice()
    name = lab.Session.full_table_name
    with pytest.raises(SliceError, match=r"`gone`\.`t` is not in the slice"):
        cut.why("`gone`.`t`", {})
    with pytest.raises(SliceError, match="the key lacks session"):
        cut.why(name, {"subject": "a"})
    with pytest.raises(SliceError, match="is not in the slice"):
        cut.why(name, {"subject": "b", "session": 1})


def test_why_with_keys_as_datajoint_fetches_them(prefix: str, dj_conn: Any, home: Path) -> None:
    """Fractions of a second, decimals, zones and texts that a collation finds equal."""
    schema = new_schema(f"{prefix}types", dj_conn)

    @schema
    class Moment(dj.Manual):
        definition = """
        at : datetime(3)
        seen : timestamp
        weight : decimal(8, 3)
        day : date
        name : varchar(9)
        """

    Moment.insert1(
        {
            "at": datetime.datetime(2020, 1, 2, 3, 4, 5, 500_000),
            "seen": datetime.datetime(2021, 1, 1),
            "weight": Decimal("1.5"),
            "day": datetime.date(2020, 2, 3),
            "name": "Ann",
        }
    )
    cut = capture(home, lambda: rows(Moment)).slice()
    (key,) = keys(Moment)
    (line,) = cut.why(Moment.full_table_name, key)
    assert READ in line
    key["name"] = key["name"].lower()
    folds = cut.tables[Moment.full_table_name].table.column("name").folds
    if folds:
        assert cut.why(Moment.full_table_name, key) == [line]


# ---------------------------------------------------------------- tables and reports


def test_free_tables(lab: SimpleNamespace, home: Path) -> None:
    cut = capture(home, lambda: rows(lab.Session & {"subject": "a"})).slice()
    tables = {table.full_table_name: table for table in cut.free_tables()}
    order = list(tables)
    assert order.index(lab.Subject.full_table_name) < order.index(lab.Session.full_table_name)
    assert order.index(lab.Session.full_table_name) < order.index(lab.Trial.full_table_name)
    assert set(tables) == {t.full_table_name for t in (lab.Rig, lab.Subject, lab.Session, lab.Trial)}
    assert rows(tables[lab.Session.full_table_name]) == rows(lab.Session & {"subject": "a"})
    # they are ordinary tables: the algebra goes on
    assert len(tables[lab.Trial.full_table_name] & "trial = 2") == 1


def test_rows_and_reasons(lab: SimpleNamespace, home: Path) -> None:
    cut = capture(home, lambda: rows(lab.Session & {"subject": "a"})).slice()
    assert counts(cut) == {"rig": 2, "subject": 1, "session": 2, "session__trial": 2}
    assert [
        cut.tables[t.full_table_name].reasons for t in (lab.Rig, lab.Subject, lab.Session, lab.Trial)
    ] == [
        {PARENT: 2},
        {PARENT: 1},
        {READ: 2},
        {PART: 2},
    ]
    assert cut.tables[lab.Session.full_table_name].total_rows == 4
    assert repr(cut) == "<Slice: 7 rows of 4 tables>"
    assert cut.keys(lab.Session.full_table_name) == {("a", 1), ("a", 2)}


def test_reports_name_every_statement_in_order(lab: SimpleNamespace, home: Path) -> None:
    paper = capture(
        home,
        lambda: rows(lab.Session & {"subject": "a"}, order_by="KEY"),
        lambda: len(lab.Trial()),
        lambda: repr(lab.Rig()),
        lambda: {"subject": "b"} in lab.Subject(),
    )
    cut = paper.slice()
    assert [report.statement.kind for report in cut.statements] == ["data", "count", "exists"]
    assert [report.rows_then for report in cut.statements] == [2, 1, 1]
    assert [report.rows_now for report in cut.statements] == [2, 1, 1]
    assert [report.ordered for report in cut.statements] == [True, True, True]
    assert [report.tables for report in cut.statements] == [
        (lab.Session.full_table_name,),
        (lab.Trial.full_table_name,),
        (lab.Subject.full_table_name,),
    ]
    numbers = [report.statement.number for report in cut.statements]
    assert numbers == sorted(numbers)


def test_drift(lab: SimpleNamespace, home: Path) -> None:
    paper = capture(home, lambda: rows(lab.Subject), lambda: rows(lab.Rig & "rig = 1"))
    assert not paper.slice().drifted
    lab.Subject.insert1({"subject": "new"})
    (report,) = paper.slice().drifted
    assert (report.rows_then, report.rows_now) == (3, 4)
    assert "`subject`" in report.sql


# ---------------------------------------------------------------- policies


@pytest.mark.parametrize(
    ("policies", "rigs", "subjects", "sessions"),
    [
        ({}, 0, 3, 1),  # a preview exports nothing, a count its rows, a test one witness
        ({"preview": "rows"}, 3, 3, 1),
        ({"count": "ignore"}, 0, 1, 1),  # the subject of the witness
        ({"exists": "rows"}, 2, 3, 2),  # with their rigs
        ({"exists": "ignore"}, 0, 3, 0),
    ],
)
def test_policies(
    lab: SimpleNamespace, home: Path, policies: dict[str, str], rigs: int, subjects: int, sessions: int
) -> None:
    cut = capture(
        home,
        lambda: repr(lab.Rig()),
        lambda: len(lab.Subject()),
        lambda: bool(lab.Session & {"subject": "a"}),
        **policies,
    ).slice()
    found = counts(cut)
    # the witness is session a.1, on rig 1
    assert found.get("session", 0) == sessions
    assert found.get("subject", 0) == subjects
    assert found.get("rig", 0) == max(rigs, 1 if sessions else 0)


def test_populate_exports_what_make_fetches(prefix: str, dj_conn: Any, home: Path) -> None:
    """The key source, what is there already and the progress are bookkeeping."""
    schema = new_schema(f"{prefix}made", dj_conn)

    @schema
    class Cell(dj.Manual):
        definition = """
        cell : int
        ---
        rate : int
        """

    @schema
    class Doubled(dj.Computed):
        definition = """
        -> Cell
        ---
        rate : int
        """

        def make(self, key: dict[str, Any]) -> None:
            self.insert1({**key, "rate": 2 * (Cell & key).fetch1("rate")})

    Cell.insert({"cell": n, "rate": 10 * n} for n in range(1, 6))
    paper = capture(
        home, lambda: Doubled.populate("cell IN (2, 4)", display_progress=False), lambda: Doubled.progress()
    )
    cut = paper.slice()
    assert counts(cut) == {"cell": 2}
    assert cut.keys(Cell.full_table_name) == {(2,), (4,)}
    assert {report.statement.kind for report in cut.statements} == {"data"}


def test_a_policy_that_is_none(lab: SimpleNamespace, home: Path, server: Server) -> None:
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.slices import make_slice

    statements = capture(home, lambda: rows(lab.Rig)).statements
    with (
        server.connect(conv=plain_decoders()) as connection,
        pytest.raises(SliceError, match="'count' must be"),
    ):
        make_slice(statements, connection, policies={"fig": {"count": "some"}})
    with (
        server.connect(conv=plain_decoders()) as connection,
        pytest.raises(SliceError, match="parts must be"),
    ):
        make_slice(statements, connection, parts="some")


# ---------------------------------------------------------------- before the cascade


def test_preview_and_leaves(lab: SimpleNamespace, home: Path) -> None:
    paper = capture(home, lambda: rows(lab.Session & {"subject": "a"}))
    assert counts(paper.preview()) == {"session": 2}
    (leaf,) = paper.leaves()
    assert leaf.full_table_name == lab.Session.full_table_name and len(leaf) == 2
    with sqlspy.export("other", "fig", home=home) as session:
        rows(lab.Rig & "rig > 1")
    (leaf,) = session.leaves()
    assert sorted(key["rig"] for key in keys(leaf)) == [2, 3]
    assert counts(session.preview()) == {"rig": 2}


def test_a_reference_to_a_row_that_is_not_there_is_refused(
    connection: Any, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise another row could be exported instead of the missing one, with an equal count."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {prefix}orphans")
        cursor.execute(f"CREATE TABLE {prefix}orphans.p (id INT PRIMARY KEY)")
        cursor.execute(
            f"CREATE TABLE {prefix}orphans.c (id INT, k INT, PRIMARY KEY (id, k),"
            f" FOREIGN KEY (id) REFERENCES {prefix}orphans.p (id))"
        )
        cursor.execute(f"INSERT INTO {prefix}orphans.p VALUES (1), (2)")
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        cursor.execute(f"INSERT INTO {prefix}orphans.c VALUES (1, 1), (99, 1)")
        cursor.execute("SET FOREIGN_KEY_CHECKS = 1")
    with pytest.raises(
        SliceError, match=r"1 of its rows that .*`c` refers to are not in the database.*id=99"
    ):
        sqlspy.slice([{"table_name": f"`{prefix}orphans`.`c`"}])
    with connection.cursor() as cursor:
        folding = "VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
        cursor.execute(f"CREATE TABLE {prefix}orphans.person (name {folding} PRIMARY KEY)")
        cursor.execute(
            f"CREATE TABLE {prefix}orphans.visit (name {folding}, n INT, PRIMARY KEY (n, name),"
            f" FOREIGN KEY (name) REFERENCES {prefix}orphans.person (name))"
        )
        cursor.execute(f"INSERT INTO {prefix}orphans.person VALUES ('Ann'), ('Bob')")
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        cursor.execute(f"INSERT INTO {prefix}orphans.visit VALUES ('ann', 1), ('ANN', 2), ('Joe', 3)")
        cursor.execute("SET FOREIGN_KEY_CHECKS = 1")
    with pytest.raises(SliceError, match=r"1 of its rows that .*`visit` refers to are not .*name='Joe'"):
        sqlspy.slice([{"table_name": f"`{prefix}orphans`.`visit`"}])
    # of many keys, the rows with the same leading columns are read instead: all, or those that begin alike
    monkeypatch.setattr("dj_sqlspy.slices.orphans._MANY", 1)
    one_of_two = r"1 of its rows that .*refers to are not .*{}"
    with pytest.raises(SliceError, match=one_of_two.format("id=99")):
        sqlspy.slice([{"table_name": f"`{prefix}orphans`.`c`"}])
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {prefix}orphans.day (name {folding}, n INT, PRIMARY KEY (name, n))")
        cursor.execute(
            f"CREATE TABLE {prefix}orphans.trial (name {folding}, n INT, k INT, PRIMARY KEY (name, n, k),"
            f" FOREIGN KEY (name, n) REFERENCES {prefix}orphans.day (name, n))"
        )
        cursor.execute(
            f"INSERT INTO {prefix}orphans.day VALUES"
            " ('Ann', 1), ('Ann', 2), ('Ann', 3), ('Ann', 4), ('Ann', 5), ('Bob', 1), ('Bob', 2), ('Bob', 3)"
        )
        cursor.execute(
            f"INSERT INTO {prefix}orphans.trial SELECT name, n, 7 FROM {prefix}orphans.day WHERE n < 5"
        )
    trials = {"table_name": f"`{prefix}orphans`.`trial`", "restriction": "name = 'Ann'"}
    assert counts(sqlspy.slice([trials])) == {"day": 4, "trial": 4}
    with connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        cursor.execute(f"DELETE FROM {prefix}orphans.day WHERE name = 'Ann' AND n = 4")
        cursor.execute("SET FOREIGN_KEY_CHECKS = 1")
    with pytest.raises(SliceError, match=one_of_two.format("name='Ann', n=4")):
        sqlspy.slice([trials])
