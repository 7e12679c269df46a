"""``%sqlspy`` in IPython's own shell, and in a notebook whose kernel is killed."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

import dj_sqlspy as sqlspy
from dj_sqlspy.spy import session
from tests.lab import PRELUDE, ROOT

# nothing here depends on the server
pytestmark = pytest.mark.flavor("mariadb")


@pytest.fixture
def shell(dj_conn: Any, home: Path) -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    made.run_cell("%load_ext dj_sqlspy")
    made.push({"conn": dj_conn})
    yield made
    session.end_all()
    assert not session.open_sessions


def numbers(paper: str, analysis: str) -> list[int]:
    return [int(s.sql.split()[1]) for s in sqlspy.Paper(paper, analyses=[analysis]).statements]


def run(shell: InteractiveShell, cell: str) -> Any:
    return shell.run_cell(textwrap.dedent(cell).strip())


def test_a_cell(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, "conn.query('SELECT 1 FROM DUAL')").raise_error()
    done = run(
        shell,
        """
        %%sqlspy "my paper" fig --count ignore
        n = 2
        _ = conn.query(f'SELECT {n} FROM DUAL')
        %time conn.query('SELECT 3 FROM DUAL').fetchall()
        """,
    )
    done.raise_error()
    assert "((3,),)" in capsys.readouterr().out and shell.user_ns["n"] == 2
    run(shell, "conn.query('SELECT 4 FROM DUAL')").raise_error()
    assert numbers("my paper", "fig") == [2, 3]
    (analysis,) = sqlspy.Paper("my paper").analyses
    assert (analysis.state, analysis.policies["count"]) == ("ended", "ignore")


def test_an_error_in_a_cell_is_shown_once(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = (("1 / 0", ZeroDivisionError, "division by zero"), ("1 +", SyntaxError, "invalid syntax"))
    for code, error, text in wrong:
        done = run(shell, f"%%sqlspy paper fig\n{code}")
        assert isinstance(done.error_in_exec or done.error_before_exec, error)
        shown = capsys.readouterr()
        assert (shown.out + shown.err).count(text) == 1
    assert "showtraceback" not in vars(shell) and not session.open_sessions
    assert [a.state for a in sqlspy.Paper("paper").analyses] == ["failed"]


def test_start_and_stop(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, "%sqlspy").raise_error()
    assert "No export session" in capsys.readouterr().out
    run(shell, "%sqlspy start paper fig").raise_error()
    run(shell, "conn.query('SELECT 1 FROM DUAL')").raise_error()
    run(shell, "1 / 0")
    run(shell, "%sqlspy start paper fig").raise_error()  # the cell was run again
    run(shell, "conn.query('SELECT 2 FROM DUAL')").raise_error()
    run(shell, "%sqlspy").raise_error()
    assert "'fig'>: 2 statements" in capsys.readouterr().out
    run(shell, "%sqlspy stop").raise_error()
    run(shell, "conn.query('SELECT 3 FROM DUAL')").raise_error()
    assert numbers("paper", "fig") == [1, 2]
    run(shell, "%sqlspy start paper fig --append").raise_error()
    run(shell, "conn.query('SELECT 4 FROM DUAL')").raise_error()
    run(shell, "%sqlspy stop").raise_error()
    assert numbers("paper", "fig") == [1, 2, 4]


@pytest.mark.parametrize("line", ["begin", "start a b c", "start a b --colour red", "stop now", "start 'a"])
def test_wrong_lines(shell: InteractiveShell, line: str) -> None:
    assert isinstance(run(shell, f"%sqlspy {line}").error_in_exec, sqlspy.SpyError)
    assert not session.open_sessions


def test_a_notebook_whose_kernel_is_killed(
    server: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("LAB_SERVER", json.dumps((server.host, server.port, server.user, server.password)))
    read = "_ = dj.conn().query('SELECT {} FROM DUAL')"
    cells = [
        f"%load_ext dj_sqlspy\n{PRELUDE}\n_ = connect()",
        f"%%sqlspy paper cell\n{read.format(1)}",
        "%sqlspy start paper open",
        read.format(2),
        read.format(3),
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.raises(nbclient.exceptions.DeadKernelError):
        nbclient.NotebookClient(made, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert numbers("paper", "cell") == [1] and numbers("paper", "open") == [2, 3]
    assert {a.name: a.state for a in sqlspy.Paper("paper").analyses} == {
        "cell": "ended",
        "open": "interrupted",
    }
    assert sqlspy.Paper("paper").complete


@pytest.mark.parametrize("last, state", [("1 / 0", "failed"), ("n = 2", "ended")])
def test_the_last_cell_of_a_notebook(
    server: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, state: str
) -> None:
    """A session without `stop` ends with the kernel; an error that a later cell has mended does not count."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("LAB_SERVER", json.dumps((server.host, server.port, server.user, server.password)))
    cells = [
        f"%load_ext dj_sqlspy\n{PRELUDE}\n_ = connect()\n%sqlspy start paper fig",
        "_ = dj.conn().query('SELECT 1 FROM DUAL')\n1 / 0",
        last,
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.cells[1].metadata["tags"] = ["raises-exception"]
    client = nbclient.NotebookClient(made, resources={"metadata": {"path": str(tmp_path)}})
    if state == "failed":
        with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
            client.execute()
    else:
        client.execute()
    assert [(a.name, a.state, a.statements) for a in sqlspy.Paper("paper").analyses] == [("fig", state, 1)]
