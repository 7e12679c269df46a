"""The plan of a cascade lists the queries that are then sent, in order, and sends none of them."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cascade.options import Options
from dj_sqlspy.cascade.plan import NEVER, ONCE, Plan, plan
from dj_sqlspy.cli import main
from dj_sqlspy.journal import Statement
from dj_sqlspy.lineage.example import CATALOG
from dj_sqlspy.servers.mysql.connect import raw_connection
from dj_sqlspy.servers.mysql.snapshot import MySQLSnapshot as Asker
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.servers.session import PLAIN
from dj_sqlspy.shapes import group
from dj_sqlspy.slices import make_plan, make_slice
from tests.lab import make_lab, rows

SETUP = """
CREATE DATABASE lab;
CREATE TABLE lab.subject (subject INT PRIMARY KEY);
CREATE TABLE lab.session (subject INT, session INT, PRIMARY KEY (subject, session),
 FOREIGN KEY (subject) REFERENCES lab.subject (subject));
CREATE TABLE lab.session__trial (subject INT, session INT, trial INT, PRIMARY KEY (subject, session, trial),
 FOREIGN KEY (subject, session) REFERENCES lab.session (subject, session));
CREATE TABLE lab.fit (fit INT PRIMARY KEY, subject INT NOT NULL, session INT NOT NULL,
 FOREIGN KEY (subject, session) REFERENCES lab.session (subject, session));
CREATE TABLE lab.excluded (subject INT PRIMARY KEY);
INSERT INTO lab.subject VALUES (1), (2), (3);
INSERT INTO lab.session VALUES (1, 1), (1, 2), (2, 1), (3, 1);
INSERT INTO lab.session__trial SELECT subject, session, 1 FROM lab.session;
INSERT INTO lab.fit VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 3, 1);
INSERT INTO lab.excluded VALUES (2)
"""


@pytest.fixture
def name(connection: Any, prefix: str) -> str:
    with connection.cursor() as cursor:
        for statement in (
            SETUP.replace("lab.", f"`{prefix}lab`.").replace("E lab;", f"E `{prefix}lab`;").split(";\n")
        ):
            cursor.execute(statement)
    return f"`{prefix}lab`"


def captured(name: str) -> list[Statement]:
    texts = [
        *(f"SELECT * FROM {name}.`fit` WHERE fit = {n}" for n in (1, 3)),
        f"SELECT * FROM {name}.`subject` WHERE subject NOT IN (SELECT subject FROM {name}.`excluded`)",
    ]
    return [Statement(text, 1 if "fit" in text else 2, number=number) for number, text in enumerate(texts, 1)]


def pattern(sql: str) -> re.Pattern[str]:
    """Matches what a query of a plan becomes once values stand in it."""
    return re.compile(".*".join(map(re.escape, sql.split("…"))), re.DOTALL)


@pytest.mark.line("2.x")
def test_what_is_planned_is_what_is_asked(name: str, dj_conn: Any, asked: list[str]) -> None:
    raw = raw_connection(dj_conn, conv=plain_decoders())
    planned = make_plan(captured(name), raw)
    assert not asked
    make_slice(captured(name), raw)
    raw.close()
    sent = [
        sql
        for sql in asked
        if not sql.startswith("EXPLAIN") and not any(mark in sql for mark in ("@@", "BETWEEN", "`asked`"))
    ]
    expected = [pattern(sql) for step in planned.steps[2:] for sql in step.sql]
    together = [sql for sql in sent if sql.startswith("SELECT (SELECT COUNT(*)")]
    assert together  # counts that stand in the plan one by one
    counted = [
        f"SELECT COUNT(*){part}" for sql in together for part in sql[:-1].split("(SELECT COUNT(*)")[1:]
    ]
    for sql in [*(one.removesuffix("), ") for one in counted), *(sql for sql in sent if sql not in together)]:
        found = [number for number, one in enumerate(expected) if one.fullmatch(sql) or one.match(sql)]
        assert found, f"not planned: {sql}"
    closing = [sql for sql in sent if " AS `child`" in sql or " AS `part`" in sql]
    order = [next(n for n, one in enumerate(expected) if one.fullmatch(sql)) for sql in closing]
    assert order and order == sorted(order)
    assert len(closing) == len(set(order))  # every key was asked about at once


@pytest.mark.line("2.x")
def test_exists_is_not_asked_again_where_a_key_answers(
    name: str, dj_conn: Any, connection: Any, asked: list[str]
) -> None:
    text = f"SELECT EXISTS(SELECT 1 FROM {name}.`fit` WHERE subject = 1)"

    def sliced(digest: str, kind: str = "exists") -> Any:
        asked.clear()
        statement = Statement(text, 1, kind=kind, number=1, digest=digest)
        raw = raw_connection(dj_conn, conv=plain_decoders())
        (planned,) = [s for s in make_plan([statement], raw).steps if "EXISTS (SELECT 1)" in "".join(s.sql)]
        assert planned.how_often == ONCE
        (report,) = make_slice([statement], raw).statements
        raw.close()
        return report

    changed = sliced("0" * 16)
    assert changed.drifted and text in asked
    same = sliced(changed.digest_now)
    assert not same.drifted and same.rows_now == 1 and text not in asked
    all_of_them = sliced(changed.digest_now, "data")
    assert not all_of_them.drifted and text not in asked
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {name}.`fit` WHERE subject = 1")
    connection.commit()
    gone = sliced(changed.digest_now)
    assert gone.drifted and text in asked


@pytest.mark.line("2.x")
def test_tables_that_are_complete_are_not_asked(
    name: str, connection: Any, dj_conn: Any, asked: list[str]
) -> None:
    whole = Statement(f"SELECT * FROM {name}.`excluded`", 1, number=4)
    raw = raw_connection(dj_conn, conv=plain_decoders())
    counts = []
    for statements in (captured(name), [*captured(name), whole]):
        asked.clear()
        cut = make_slice(statements, raw)
        assert cut.keys(f"{name}.`excluded`") == {(2,)}
        counts.append(sum("`o.0`" in sql for sql in asked))
    assert counts[0] > counts[1] == 0
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name}.numbers (n INT PRIMARY KEY)")
        for low, high in ((0, 9_998), (9_999, 9_999), (10_000, 10_000)):
            listed = ", ".join(f"({number})" for number in range(low, high + 1))
            cursor.execute(f"INSERT INTO {name}.numbers VALUES {listed}")
            connection.commit()
            with Asker(raw) as snapshot:
                assert list(snapshot.totals([f"{name}.numbers", f"{name}.`fit`"])) == [high + 1, 4]
    raw.close()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT * FROM s.a WHERE x = {n} LIMIT 2", "it has LIMIT"),
        ("SELECT * FROM s.a WHERE x > {n}", "a value stands elsewhere than in `column = value`"),
        ("SELECT COUNT(*) FROM s.a WHERE t = {n}", "a column and a value are of different types"),
        ("SELECT DISTINCT t FROM s.a WHERE t = {n}", "a column and a value are of different types"),
        ("SELECT RANK() OVER (ORDER BY id) FROM s.a WHERE t = '{n}'", "it has window functions"),
        (
            "SELECT * FROM s.a WHERE x = {n} AND id NOT IN (SELECT id FROM s.b)",
            "rules keep other rows rejected",
        ),
        ("SELECT * FROM s.a WHERE x = {n} UNION SELECT * FROM s.a", "it is a set operation"),
        ("SELECT * FROM s.a WHERE x = {n} AND id > (SELECT MAX(id) FROM s.b)", "is needed for itself"),
        ("INSERT INTO s.c SELECT id, x FROM s.a WHERE x = {n}", "its SELECT stands in another statement"),
        ("SELECT myfunction(x) FROM s.a WHERE x = {n}", "may write"),
    ],
)
def test_why_a_loop_is_asked_one_by_one(sql: str, reason: str) -> None:
    shapes = group(Statement(sql.format(n=n), 1, number=n) for n in (1, 2))
    (often,) = (
        s.how_often
        for s in plan(shapes, CATALOG, Options(), lambda shape: PLAIN).steps
        if s.what.startswith("rows that 2 statements")
    )
    assert often.startswith("once for each of its 2 lists of values (") and reason in often


@pytest.mark.line("2.x")
def test_what_a_plan_says(name: str, dj_conn: Any) -> None:
    raw = raw_connection(dj_conn, conv=plain_decoders())
    planned = make_plan(captured(name), raw)
    referenced = make_plan(captured(name), raw, parts="referenced")
    raw.close()
    how = {step.what: step.how_often for step in planned.steps}
    assert (
        how[f"{name}.`session` refers to {name}.`subject` (`session_ibfk_1`), whose key is part of its own"]
        == NEVER
    )
    fit = next(step for step in planned.steps if step.what.startswith(f"{name}.`fit` refers to"))
    assert "new keys" in fit.how_often and fit.sql[0].startswith("SELECT DISTINCT `child`.`subject`")
    loop = next(step for step in planned.steps if step.what.startswith("rows that 2 statements"))
    assert "2 lists of values" in loop.how_often and len(loop.sql) == 1
    assert any(step.what.startswith("rule of statement 3") for step in planned.steps)
    assert any(what.startswith(f"parts of {name}.`session`") for what in how)
    assert not any(step.what.startswith("parts") for step in referenced.steps)
    counted = [step.what for step in planned.steps if step.what.startswith("count `")]
    assert len(counted) == 5 and counted.index(f"count {name}.`subject`") < counted.index(
        f"count {name}.`session`"
    )
    assert how[f"count {name}.`subject`"] == "together with others"
    assert how["open a snapshot"] == ONCE


def test_on_the_command_line(
    dj_conn: Any, prefix: str, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab: SimpleNamespace = make_lab(f"{prefix}lab", dj_conn)
    with sqlspy.export("paper", "fig"):
        rows(lab.Session & "subject = 1")
        dj_conn.query(f"SELECT `\x1b[31m`.* FROM {prefix}lab.session AS `\x1b[31m`").fetchall()
    monkeypatch.setattr(Asker, "send", lambda self, run, sql, *more: pytest.fail(f"asked: {sql}"))
    assert main(["slice", "paper", "--plan"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("  1. read information_schema") and "`session` refers to" in out
    assert "\\x1b[31m" in out and "\x1b" not in out
    assert isinstance(sqlspy.Paper("paper").plan(), Plan)
