"""What a terminal and a notebook show of papers and slices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.cli.publish import key_of
from dj_sqlspy.display import as_text
from dj_sqlspy.errors import SliceError
from dj_sqlspy.names import find_table
from dj_sqlspy.servers import Server
from tests.lab import make_lab, rows
from tests.reported import make_cut
from tests.test_report import Page

pytestmark = pytest.mark.separately


@pytest.fixture
def paper(dj_conn: Any, prefix: str, home: Path) -> sqlspy.Paper:
    lab = make_lab(f"{prefix}lab", dj_conn)
    with sqlspy.export("a <b>", "fig1"):
        rows(lab.Session & "subject = 1")
        rows(lab.Session & "subject < NOW()" & {"subject": 2})
        rows(lab.Copy())
    return sqlspy.Paper("a <b>")


def test_a_slice_in_a_terminal(paper: sqlspy.Paper, prefix: str) -> None:
    cut = paper.slice()
    text = str(cut)
    assert f"{prefix}lab.Session" in text and f"{prefix}lab.Copy" in text
    assert "6 of 18 rows in 2 tables, and 1 for their structure; 3 statements" in text
    assert "1 statement whose result can change by itself:" in text and "(now)" in text
    assert repr(cut).startswith("<Slice: 6 rows")
    for width in (60, 100):
        narrow = as_text(list(cut.lines())[:1], width)
        assert max(map(len, narrow.splitlines())) <= width
    entry = cut.tables[f"`{prefix}lab`.`session`"]
    assert str(entry).splitlines()[0] == f"{prefix}lab.Session: 4 of 12 rows"
    assert "read by a statement: 4" in str(entry) and "WHERE" in str(entry)


def test_notebooks(paper: sqlspy.Paper, prefix: str) -> None:
    cut = paper.slice()
    for shown, words in (
        (cut, ("Session", "structure only", "6 of 18 rows")),
        (cut.tables[f"`{prefix}lab`.`session`"], ("4 of 12 rows", "read by a statement")),
        (paper, ("a <b>", "fig1", "ended", "complete")),
    ):
        page = Page(shown._repr_html_())
        for word in words:
            assert word in page.text


def test_everything_is_escaped(server: Server, prefix: str) -> None:
    cut = make_cut(server, prefix)
    html = cut._repr_html_() + "".join(entry._repr_html_() for entry in cut.tables.values())
    assert "<script>" not in html and "<script>" in Page(html).text and '<b>"name"' not in html
    assert "[dim]" not in str(cut)


def test_the_command_line(
    paper: sqlspy.Paper, prefix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["slice", "a <b>", "--parts", "referenced"]) == 0
    out = capsys.readouterr().out
    assert f"{prefix}lab.Session" in out and "6 of 18 rows" in out
    assert main(["why", "a <b>", "Subject", "subject=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "refers to it" in lines[0] and "statement 1" in lines[-1]
    for wrong, said in (
        (["Subject", "subject=5"], "not in the slice"),
        (["Subjects", "subject=1"], "no table"),
        (["Subject", "subject"], "COLUMN=VALUE"),
    ):
        assert main(["why", "a <b>", *wrong]) == 1
        assert said in capsys.readouterr().err
    monkeypatch.setitem(os.environ, "COLUMNS", "60")
    assert main(["slice", "a <b>", "--strict"]) == 0


def test_names_that_people_type(server: Server, prefix: str) -> None:
    cut = make_cut(server, prefix)
    name = f"`{prefix}lab`"
    for text in ("Subject.Line", "subject__line", f"{prefix}lab.Subject.Line", f"{name}.`subject__line`"):
        assert find_table(cut.tables, text) == f"{name}.`subject__line`"
    with pytest.raises(SliceError, match="several"):
        find_table(["`a`.`x`", "`b`.`x`"], "X")


def test_keys_that_people_type(server: Server, connection: Any, prefix: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{prefix}k`")
        cursor.execute(f"CREATE TABLE `{prefix}k`.a (id BINARY(16), n INT, PRIMARY KEY (id, n))")
        cursor.execute(f"INSERT INTO `{prefix}k`.a VALUES (X'000102030405060708090A0B0C0D0E0F', 1)")
    cut = make_cut(server, prefix, [f"SELECT * FROM `{prefix}k`.a"])
    table = cut.tables[f"`{prefix}k`.`a`"].table
    for text in ("00010203-0405-0607-0809-0a0b0c0d0e0f", "0x000102030405060708090a0b0c0d0e0f"):
        assert cut.why(table.full_name, key_of(table, {"id": text, "n": "1"}))
