"""Papers: what was captured for them, and forgetting it; the commands for it."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import zlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy import cli
from dj_sqlspy.errors import JournalError
from dj_sqlspy.journal import Journal
from tests.lab import ROOT, forked

pytestmark = pytest.mark.separately


def write(
    home: Path, paper: str, analysis: str, *statements: str, end: bool = True, error: str | None = None
) -> Journal:
    """One run of an analysis."""
    made = Journal(home, paper, analysis, {"preview": "ignore", "count": "rows", "exists": "witness"})
    made.start()
    for sql in statements:
        made.statement(sql, 3, "data", "host:3306", 0)
    if end:
        made.end(error)
    return made


def test_analyses(home: Path) -> None:
    write(home, "paper", "fig1", "old")
    write(home, "paper", "fig1", "a", "b")
    write(home, "paper", "fig 2/ä", "c", error="KeyError")
    write(home, "other", "fig1", "d")
    paper = sqlspy.Paper("paper")
    one, two = sorted(paper.analyses, key=lambda analysis: analysis.name, reverse=True)
    assert (one.name, one.state, one.statements, one.processes, one.complete) == ("fig1", "ended", 2, 1, True)
    assert (two.name, two.state, two.statements) == ("fig 2/ä", "failed", 1)
    assert one.size == sum(path.stat().st_size for path in one.folder.iterdir())
    now = datetime.now(timezone.utc)
    assert one.started is not None and one.ended is not None
    assert now - timedelta(minutes=1) < one.started <= one.ended <= now
    assert [(s.sql, s.analysis, s.number) for s in paper.statements] == [
        ("a", "fig1", 1),
        ("b", "fig1", 2),
        ("c", "fig 2/ä", 3),
    ]
    assert paper.complete and paper.problems == []
    assert [p.name for p in sqlspy.papers()] == ["other", "paper"]
    assert [s.sql for s in sqlspy.Paper("paper", analyses=["fig1"]).statements] == ["a", "b"]


def test_states(home: Path) -> None:
    running = write(home, "paper", "fig", "a", end=False)
    paper = sqlspy.Paper("paper")
    assert [(a.state, a.ended) for a in paper.analyses] == [("open", None)]
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert running.path is not None
    record = running.path.read_bytes()
    header = json.loads(record.splitlines()[0][9:]) | {"pid": child.pid}
    body = json.dumps(header, separators=(",", ":")).encode()
    running.path.write_bytes(
        b"%08x %s\n" % (zlib.crc32(body), body) + b"\n".join(record.splitlines()[1:]) + b"\n"
    )
    assert [(a.state, a.complete) for a in paper.analyses] == [("interrupted", True)]
    assert [s.sql for s in paper.statements] == ["a"]


def test_a_paper_is_read_again_only_where_it_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "paper", "fig1", "a")
    paper = sqlspy.Paper("paper")
    first = paper.runs
    assert paper.runs is first
    write(home, "paper", "fig2", "b")
    assert len(paper.statements) == 2


def test_nothing_was_captured(home: Path) -> None:
    paper = sqlspy.Paper("paper")
    assert (paper.analyses, paper.statements, paper.problems, sqlspy.papers()) == ([], [], [], [])
    with pytest.raises(JournalError, match="Nothing was captured"):
        paper.require_complete()
    with pytest.raises(sqlspy.SpyError, match="nothing to forget"):
        paper.forget()
    assert not home.exists()


def test_forget(home: Path) -> None:
    for analysis in ("fig1", "fig2"):
        write(home, "paper", analysis, "a")
        write(home, "paper", analysis, "b")
    write(home, "other", "fig1", "c")
    paper = sqlspy.Paper("paper")
    with pytest.raises(sqlspy.SpyError, match=r"fig3.*never captured"):
        paper.forget("fig3")
    paper.forget("fig1")
    assert [a.name for a in paper.analyses] == ["fig2"]
    with sqlspy.export("paper", "fig3"), pytest.raises(sqlspy.SpyError, match="is open"):
        paper.forget()
    paper.forget()
    assert paper.analyses == [] and [p.name for p in sqlspy.papers()] == ["other"]
    sqlspy.Paper("other").forget("fig1")
    assert sqlspy.papers() == [] and list(home.iterdir()) == []


# --- command line ------------------------------------------------------------------------------------------


def test_commands(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["papers"]) == 0
    assert "Nothing was captured" in capsys.readouterr().out
    write(home, "paper", "fig [1]", "SELECT a,\n  b FROM `lab`.`[session]`")
    assert cli.main(["papers"]) == 0
    assert "paper" in (line := capsys.readouterr().out.splitlines()[1]) and "complete" in line
    write(
        home, "paper", "other", "SELECT * FROM `lab`.`[session]` JOIN `lab`.`#x` USING (x)", "SELECT 1 FROM y"
    )
    assert cli.main(["papers"]) == 0
    head, line = (text.split() for text in capsys.readouterr().out.splitlines())
    assert head[:5] == ["paper", "analyses", "statements", "tables", "size"] and line[:4] == [
        "paper",
        "2",
        "3",
        "3",
    ]
    assert cli.main(["show", "paper"]) == 0
    *shown_lines, where = capsys.readouterr().out.splitlines()[1:]
    assert [text.split()[5:7] for text in shown_lines] == [["1", "1"], ["2", "3"]]
    assert where.startswith("Server: ")
    assert cli.main(["forget", "paper", "other", "--yes"]) == 0
    assert capsys.readouterr().out == "Deleted: other: 1 run, 2 statements\n"
    assert cli.main(["show", "paper", "--statements"]) == 0
    out = capsys.readouterr().out
    assert "fig [1]" in out and "SELECT a, b FROM `lab`.`[session]`" in out
    assert cli.main(["forget", "paper", "fig [1]", "--yes"]) == 0
    assert cli.main(["show", "paper"]) == 1
    shown = capsys.readouterr()
    assert "Nothing was captured for the paper 'paper'" in shown.err and "Traceback" not in shown.err
    with pytest.raises(SystemExit) as caught:
        cli.main(["nonsense"])
    assert caught.value.code == 2


def test_command_line_of_the_package(home: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "paper", "fig", *("SELECT " + "x, " * 200 + "1",) * 3)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        def program() -> None:
            sys.argv = ["dj_sqlspy", "--home", str(tmp_path / "elsewhere"), *arguments]
            runpy.run_module("dj_sqlspy", run_name="__main__", alter_sys=True)

        return forked(program)

    shown = run("show", "paper", "--statements")
    assert shown.returncode == 0 and shown.stdout.count("x, " * 200 + "1") == 3
    assert run("forget", "no such", "--yes").returncode == 1
    command = [sys.executable, "-W", "ignore", "-m", "dj_sqlspy", "--version"]
    told = subprocess.check_output(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, cwd=tmp_path
    )
    assert told.strip() == f"dj-sqlspy {sqlspy.__version__}"
