"""Progress is shown where a person waits: in a terminal and in a notebook, after two seconds, and nowhere else."""

from __future__ import annotations

import doctest
import os
import pty
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import dj_sqlspy as sqlspy
from dj_sqlspy import progress
from tests.lab import ROOT, fork, forked, make_lab, rows
from tests.test_dump import bundle_of, options

# what is shown does not depend on the line of DataJoint or the server
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("mariadb")]

SLOW = """
    import sys, time
    from dj_sqlspy import progress
    with progress.shown() as told:
        told.expect("tables", 4)
        for _ in range(4):
            time.sleep(float(sys.argv[1]))
            told("tables")
    print("done")
"""


def in_terminal(command: list[str] | Callable[[], object], **environment: str) -> tuple[int, str]:
    """Run a command or a function in a terminal of its own; its exit code, and all that the terminal got."""
    ours, theirs = pty.openpty()
    environment = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", **environment}
    process: Any
    if callable(command):
        process = fork(lambda: (os.environ.update(environment), command()), [theirs] * 3)
    else:
        process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **environment}
        )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end has closed it
            break
        if not part:
            break
        shown += part
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode("utf-8", "replace"))
    if callable(command):
        process.join()
        return process.exitcode, text
    return process.wait(), text


def script(seconds: str) -> Callable[[], object]:
    return lambda: exec(textwrap.dedent(SLOW).replace("float(sys.argv[1])", seconds), {})


def test_examples() -> None:
    assert doctest.testmod(progress).failed == 0


def test_a_step_that_takes_long_in_a_terminal() -> None:
    code, text = in_terminal(script("0.8"))
    assert code == 0 and text.rstrip().endswith("done")
    assert "tables" in text and "3/4" in text
    assert re.search(r"0:00:0[0-9]", text)  # what is left, from what was counted


def test_a_step_that_does_not() -> None:
    assert in_terminal(script("0.1")) == (0, "done\r\n")


def test_where_nobody_looks() -> None:
    ended = forked(script("0.8"))
    assert (ended.stdout, ended.stderr) == ("done\n", "")


def test_a_slice_in_a_terminal(dj_conn: Any, server: Any, prefix: str, home: Path) -> None:
    """One query that takes long is enough: nothing has been counted yet when it is shown."""
    lab = make_lab(f"{prefix}lab", dj_conn)
    with sqlspy.export("paper", "fig"):
        for number in range(3):
            rows(lab.Subject & f"subject = {number}")
        dj_conn.query(
            f"SELECT subject FROM `{prefix}lab`.`subject` WHERE subject < 4 AND SLEEP(0.8) = 0"
        ).fetchall()
    start = (
        "import sys; from tests.lab import connect; from dj_sqlspy.cli import main;"
        f" connect({server.host!r}, {server.port}, {server.user!r}, {server.password!r}); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", start, "slice", "paper"]
    code, text = in_terminal(command, DJ_SQLSPY_HOME=str(home))
    assert code == 0, text
    assert re.search(r"statements[^\n]*\b0/4", text) and "tables counted" not in text.splitlines()[-1]
    assert "4 of 6" in text.replace(",", "") or "rows in" in text


def test_in_a_notebook(tmp_path: Path) -> None:
    cell = textwrap.dedent(SLOW).replace("float(sys.argv[1])", "SECONDS")
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_code_cell(
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{cell.replace('SECONDS', s)}"
        )
        for s in ("0.1", "0.8")
    ]
    shown: list[Any] = []

    class Client(NotebookClient):
        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            if msg["msg_type"] in ("display_data", "update_display_data"):
                shown.append((cell_index, msg["content"]["data"]["text/plain"]))
            return super().process_message(msg, cell, cell_index)

    Client(book, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert shown[0][0] == 1 and "tables: " in shown[0][1] and "left" in shown[0][1]
    assert shown[-1] == (1, "")
    assert not [output for output in book.cells[0].outputs if output.output_type != "stream"]


def slowly(path: Path, program: str, option: str, seconds: float) -> str:
    """The real program, which takes its time where it is given an option."""
    path.write_text(f'#!/bin/sh\ncase "$*" in *{option}*) sleep {seconds} ;; esac\nexec {program} "$@"\n')
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_dump_in_a_terminal(server: Any, connection: Any, prefix: str, tmp_path: Path, jobs: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{prefix}lab`")
        for number in range(4):
            cursor.execute(f"CREATE TABLE `{prefix}lab`.t{number} (id INT PRIMARY KEY, b CHAR(1))")
            cursor.executemany(
                f"INSERT INTO `{prefix}lab`.t{number} VALUES (%s, 'x')", [(n,) for n in range(15)]
            )
    texts = [f"SELECT * FROM `{prefix}lab`.t{n} WHERE id >= {n} AND id < {n} + 10" for n in range(4)]
    bundle = bundle_of(server, tmp_path / "b", *texts)
    real = shutil.which("mariadb-dump") or shutil.which("mysqldump")
    slow = slowly(tmp_path / "slow-dump", str(real), "--no-create-info", 1.2)
    command = ["bash", str(bundle.path / "dump.sh"), f"--jobs={jobs}", *options(server)]
    code, text = in_terminal(command, MYSQLDUMP=slow)
    assert code == 0 and "4 tables, 40 rows" in text.splitlines()[-1], text
    told = [
        (int(n), int(percent))
        for n, percent in re.findall(r"(\d) of 4 tables, \d+ of 40 rows \((\d+) %\)", text)
    ]
    assert told == sorted(told) and all(percent == 25 * n for n, percent in told)
    assert told[-1:] == [(4, 100)], text  # it takes more than two seconds
    quiet = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MYSQLDUMP": slow})
    assert quiet.returncode == 0 and quiet.stderr == ""


@pytest.mark.mydumper
def test_a_dump_by_mydumper_in_a_terminal(server: Any, connection: Any, prefix: str, tmp_path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{prefix}lab`")
        cursor.execute(f"CREATE TABLE `{prefix}lab`.t (id INT PRIMARY KEY)")
        cursor.execute(f"INSERT INTO `{prefix}lab`.t VALUES (1), (2)")
    bundle = bundle_of(server, tmp_path / "b", f"SELECT * FROM `{prefix}lab`.t WHERE id < 2")
    slow = slowly(tmp_path / "slow", os.environ["MYDUMPER"], "--no-schemas", 3)
    command = ["bash", str(bundle.path / "dump.sh"), "--engine=mydumper", *options(server)]
    code, text = in_terminal(command, MYDUMPER=slow)
    assert code == 0 and "mydumper, 0 MB written" in text, text
    assert "1 tables, 1 rows" in text.splitlines()[-1], text
