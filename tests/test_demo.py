"""The demonstration that ships with the package, run as a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import datajoint as dj
import pytest

from dj_sqlspy import servers
from dj_sqlspy.cli import main
from dj_sqlspy.servers import Server

from .conftest import user_schemas
from .lab import forked

# What the paper on the project "memory" stands on, counted by hand: its 4 animals, their 12 sessions with 40 trials
# each, of which 2 are excluded; the crossings of the 400 trials that are not.
EXPORTED = {
    "demo_lab.Project": (1, 3),
    "demo_lab.Animal": (4, 12),
    "demo_recording.Threshold": (1, 2),
    "demo_recording.Response": (400, 400),
    "demo_recording.Exclusion": (2, 6),
    "demo_recording.Session": (12, 36),
    "demo_recording.Session.Trial": (480, 1440),
}


POSTGRESQL = [pytest.mark.flavor("postgresql"), pytest.mark.line("2.x")]


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "dj_sqlspy", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def table(text: str) -> dict[str, tuple[int, int]]:
    found = re.findall(r"^(\S+\.\S+)\s+([\d,]+)\s+([\d,]+)$", text, re.MULTILINE)
    return {name: (int(rows.replace(",", "")), int(total.replace(",", ""))) for name, rows, total in found}


@pytest.mark.needs_server
@pytest.mark.parametrize(
    "words",
    [
        (),  # on PostgreSQL only what is marked so
        pytest.param(("--server", "postgresql"), marks=POSTGRESQL),
    ],
    ids=["the server that is here", "postgresql"],
)
def test_it_ends_with_everything_equal(words: tuple[str, ...], tmp_path: Path) -> None:
    answer = demo("-o", str(tmp_path / "bundle"), *words)
    assert answer.returncode == 0, answer.stderr
    assert table(answer.stdout) == EXPORTED
    replayed, equal = re.findall(
        r"^(?:statements replayed|  equal after replay)\s+(\d+)$", answer.stdout, re.M
    )
    assert int(replayed) == int(equal) > 400
    assert re.search(r"^  orphans\s+0$", answer.stdout, re.M)
    assert re.search(r"^rows of other projects in the slice\s+0$", answer.stdout, re.M)
    received, made = (
        re.search(rf"^{words} +([\d,]+)$", answer.stdout, re.M)[1]  # type: ignore[index]
        for words in ("  as the analysis received them", r"results in source-data \(.*\)")
    )
    assert received == made
    views, answered = (
        re.search(rf"^{words} +([\d,]+)$", answer.stdout, re.M)[1]  # type: ignore[index]
        for words in (r"statements in the open copy \(.*\)", "  DuckDB answers as the server did")
    )
    assert views == answered == equal
    assert (tmp_path / "bundle-open" / "slice.duckdb").exists()
    files = {path.name for path in (tmp_path / "bundle").iterdir()}
    assert {"dump.sh", "restore.sh", "manifest.json"} <= files


def test_without_a_server_program_it_uses_the_configured_server_and_cleans_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, dj_conn: object, capsys: pytest.CaptureFixture[str]
) -> None:
    from dj_sqlspy.demo.run import run

    before = user_schemas(server)
    monkeypatch.setattr(servers, "find_server", lambda flavor=None: None)
    outcome = run()
    assert outcome.report is None and not outcome.of_others
    assert sorted(outcome.captured) == ["count", "data", "metadata"]
    assert [entry.rows for name, entry in outcome.cut.tables.items() if "__response" in name] == [400]
    assert "apt-get install mariadb-server" in capsys.readouterr().out
    assert user_schemas(server) == before


def test_without_any_server_it_says_how_to_get_one() -> None:
    def program() -> None:
        servers.find_server = lambda flavor=None: None
        dj.config["database.user"] = None
        sys.exit(main(["demo"]))

    answer = forked(program)
    assert answer.returncode == 1
    assert "apt-get install mariadb-server" in answer.stderr
    assert "Traceback" not in answer.stderr
