"""Journals of several machines in one home, and runs that count again."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.errors import JournalError
from dj_sqlspy.journal import Journal, upkeep, writer

# nothing here depends on the server
pytestmark = pytest.mark.flavor("mariadb")

POLICIES = {"preview": "ignore", "count": "rows", "exists": "witness"}


def write(
    home: Path,
    *statements: str,
    monkeypatch: pytest.MonkeyPatch,
    host: str = "laptop",
    at: float = 1000.0,
    analysis: str = "fig",
    append: str | bool = False,
    end: bool = True,
) -> Journal:
    """A journal as this machine at this time wrote it, by the process 4711."""
    with monkeypatch.context() as patch:
        patch.setattr(writer.socket, "gethostname", lambda: host)
        patch.setattr(writer.time, "time", lambda: at)
        patch.setattr(writer.os, "getpid", lambda: 4711)
        made = Journal(home, "p", analysis, POLICIES, append=append)
        made.start()
        for sql in statements:
            made.statement(sql, 1, "data", "", 0)
        if end:
            made.end()
    return made


def texts(home: Path, **options: Any) -> list[str]:
    return [s.sql for s in sqlspy.Paper("p", home, **options).statements]


def files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*.journal")}


def test_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines, one pid; the run that started last counts, whatever the runs' numbers are."""
    here, there = tmp_path / "here", tmp_path / "there"
    for number in range(3):
        write(here, f"here {number}", at=1000.0 + number, monkeypatch=monkeypatch, host="desk")
    write(there, "old", at=500, monkeypatch=monkeypatch)
    write(there, "new", at=2000, monkeypatch=monkeypatch)
    write(there, "other", analysis="only there", monkeypatch=monkeypatch)
    before = files(there)
    merged = upkeep.merge(there, here)
    assert files(there) == before
    assert [(m.analysis, m.files, m.counts) for m in merged] == [
        ("fig", 1, False), ("fig", 1, True), ("only there", 1, True),
    ]  # fmt: skip
    assert texts(here, analyses=["fig"]) == ["new"] and texts(here, analyses=["only there"]) == ["other"]
    assert len(upkeep.runs_of("p", "fig", here)) == 5
    after = files(here)
    assert [m.files for m in upkeep.merge(there, here)] == [0, 0, 0]
    assert files(here) == after
    for path in here.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_an_older_run_does_not_replace_a_newer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, "newer", at=2000, monkeypatch=monkeypatch)
    for at in (500, 600, 700):
        write(there, f"at {at}", at=at, monkeypatch=monkeypatch)
    assert not any(m.counts for m in upkeep.merge(there, here))
    assert texts(here) == ["newer"]
    assert upkeep.recover("p", "fig", 0, here).statements == 1


def test_a_run_under_one_name_on_two_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, "a", at=1000, append="job", monkeypatch=monkeypatch, host="one")
    running = write(there, "b", at=900, append="job", monkeypatch=monkeypatch, host="two", end=False)
    upkeep.merge(there, here)
    assert texts(here) == ["b", "a"]
    running.statement("c", 1, "data", "", 0)
    running.end()
    assert [m.files for m in upkeep.merge(there, here)] == [1]  # it had grown
    assert sorted(texts(here)) == ["a", "b", "c"]
    (analysis,) = sqlspy.Paper("p", here).analyses
    assert (analysis.processes, analysis.state, analysis.complete) == (2, "ended", True)


def test_what_merge_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    with pytest.raises(JournalError, match="no journal"):
        upkeep.merge(there, here)
    made = write(there, "a", monkeypatch=monkeypatch)
    shutil.copytree(there, here)
    assert made.path is not None
    made.path.write_bytes(b"x" + made.path.read_bytes()[1:])
    with pytest.raises(JournalError, match="other contents"):
        upkeep.merge(there, here)
    assert texts(here) == ["a"]


def test_recover(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        write(home, f"run {number}", at=1000.0 * number, monkeypatch=monkeypatch)
    assert main(["recover", "p", "fig"]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]] == ["replaced"] * 2 + [
        "counts"
    ]
    assert main(["recover", "p", "fig", "--run", "1"]) == 0
    assert texts(home) == ["run 1"]
    assert [run.statements for run in upkeep.runs_of("p", "fig", home)] == [1, 1, 1]
    assert upkeep.recover("p", "fig", 4, home).state == "ended" and texts(home) == ["run 1"]  # counts already
    write(home, "run 5", monkeypatch=monkeypatch)
    assert texts(home) == ["run 5"]
    for wrong, text in ((("p", "fig", 9), "there is none"), (("p", "none", 1), "never captured")):
        with pytest.raises(JournalError, match=text):
            upkeep.recover(*wrong, home)
    with sqlspy.export("p", "fig"), pytest.raises(JournalError, match="running now"):
        upkeep.recover("p", "fig", 2, home)
    assert os.listdir(home) == ["p"]


def test_merge_command(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "there", "a", monkeypatch=monkeypatch)
    assert main(["merge", str(tmp_path / "there")]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-2:] == ["1", "counts"]
    assert texts(home) == ["a"]
    assert main(["merge", str(tmp_path / "none")]) == 1
    assert "no journal" in capsys.readouterr().err


# --- which runs stay -------------------------------------------------------------------------------------------


def numbers(home: Path) -> list[int]:
    """The runs of the analysis that are on disk."""
    return [int(run.name[:6]) for run in sorted((home / "p" / "fig").iterdir())]


def test_old_runs_do_not_pile_up(home: Path) -> None:
    for number in range(1, 40):
        with sqlspy.export("p", "fig"):
            pass
        assert numbers(home) == list(range(max(1, number - upkeep.KEPT), number + 1))
    assert upkeep.recover("p", "fig", 30, home).complete


def test_the_last_good_run_stays(home: Path) -> None:
    with sqlspy.export("p", "fig") as good:
        pass
    del good
    for _ in range(30):
        with pytest.raises(ZeroDivisionError), sqlspy.export("p", "fig"):
            _ = 1 / 0
    assert numbers(home) == [1, *range(21, 32)]
    with sqlspy.export("p", "fig"):
        pass
    assert numbers(home) == list(range(22, 33))


def test_runs_that_are_needed_stay(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that this process holds, one that a process writes, one of another machine that may be going on."""
    with sqlspy.export("p", "fig") as held:
        pass
    with monkeypatch.context() as patch:  # by a process that is not this one and runs
        patch.setattr(writer.os, "getpid", lambda: os.getppid())
        running = Journal(home, "p", "fig", POLICIES)
        running.start()
    elsewhere = write(home, "a", host="cluster", monkeypatch=monkeypatch, end=False)
    gone = write(home, "a", host="cluster", monkeypatch=monkeypatch, end=False)
    killed = subprocess.Popen(["true"])
    killed.wait()
    with monkeypatch.context() as patch:
        patch.setattr(writer.os, "getpid", lambda: killed.pid)
        Journal(home, "p", "fig", POLICIES).start()
    assert gone.path is not None and elsewhere.path is not None
    os.utime(gone.path, (0, time.time() - upkeep.FORGOTTEN - 60))
    for _ in range(20):
        with sqlspy.export("p", "fig"):
            pass
    assert numbers(home) == [1, 2, 3, *range(15, 26)]
    assert held.statements == []
    running.statement("SELECT 1", 1, "data", "", 0)
    running.end()
    del held
    with sqlspy.export("p", "fig"):
        pass
    assert numbers(home) == [3, *range(16, 27)]


def test_many_that_have_piled_up_go_in_pieces(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(150):
        write(home, "a", monkeypatch=monkeypatch)
    left = home / "p" / "fig" / f"{upkeep._PRUNED}000001-x"  # as of a process that was killed
    left.mkdir()
    for runs in (51, 11):
        with sqlspy.export("p", "fig"):
            pass
        assert len(numbers(home)) == runs


def test_what_cannot_be_deleted_does_not_disturb(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(upkeep.Path, "rename", refused)
    for _ in range(15):
        with sqlspy.export("p", "fig"):
            pass
    assert len(numbers(home)) == 15 and sqlspy.Paper("p", home).complete
