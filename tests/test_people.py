"""What a person sees on the command line; and it can do what the library can."""

from __future__ import annotations

import argparse
import contextlib
import doctest
import inspect
import os
import pty
import re
import runpy
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import argcomplete
import datajoint as dj
import jsonschema
import nbformat
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import launch, main, terminal
from dj_sqlspy.cli.main import GROUPS, _parser
from dj_sqlspy.demo.run import run as demo
from dj_sqlspy.errors import SliceError
from dj_sqlspy.journal import upkeep
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import backend_of
from dj_sqlspy.slices import Slice

from .lab import ROOT, forked, rows
from .test_dump import options
from .test_pick import held, projects
from .test_progress import in_terminal
from .test_publish import manifest_schema

pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("mariadb")]  # nothing here depends on them

__all__ = ["projects"]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line as it is typed behind ``dj-sqlspy``; its exit code, output and errors."""

    def run(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(shlex.split(line))
        except SystemExit as ended:
            code = int(ended.code or 0)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


# ---------------------------------------------------------------- the command line is the library

# Parameters that are no choice of a user at a terminal, or that every command has.
_NOT_TYPED = {"self", "progress", "connection", "home"}
_SLICE = (sqlspy.Paper, sqlspy.Paper.slice)
_COMMANDS: dict[str, tuple[tuple[Any, ...], dict[str, str], set[str]]] = {
    # command: what of the library it does; names that differ; options that only show or store
    "run": (
        (launch.run, sqlspy.export),
        {"module": "program", "append_to": "append"},
        set(),
    ),
    "papers": ((sqlspy.papers,), {}, set()),
    "show": ((sqlspy.Paper,), {"paper": "name", "analysis": "analyses"}, {"statements"}),
    "slice": (_SLICE, {"paper": "name", "analysis": "analyses"}, {"plan"}),
    "preview": ((sqlspy.Paper, sqlspy.Paper.preview), {"paper": "name", "analysis": "analyses"}, set()),
    "why": ((*_SLICE, Slice.why), {"paper": "name", "analysis": "analyses"}, set()),
    "write": (
        (*_SLICE, sqlspy.Paper.write),
        {"paper": "name", "analysis": "analyses", "output": "path"},
        set(),
    ),
    "files": (
        (*_SLICE, sqlspy.Paper.files, sqlspy.Paper.dandi),
        {"paper": "name", "analysis": "analyses", "dandi": "path"},
        {"copy", "no_link", "list", "all"},
    ),
    "share": ((sqlspy.Paper.share,), {}, {"paper"}),
    "forget": ((sqlspy.Paper.forget,), {}, {"paper", "yes"}),
    "dump": ((Bundle, Bundle.dump), {"bundle": "path"}, set()),
    "restore": ((Bundle, Bundle.restore), {"bundle": "path"}, set()),
    "verify": ((Bundle, Bundle.verify), {"bundle": "path"}, {"source"}),
    "inspect": ((Bundle, Bundle.inspect), {"bundle": "path"}, {"fail_on"}),
    "source-data": ((Bundle, Bundle.source_data), {"bundle": "path", "output": "path"}, set()),
    "open": ((Bundle, Bundle.open_copy), {"bundle": "path", "output": "path"}, set()),
    "report": ((Bundle, Bundle.report), {"bundle": "path"}, set()),
    "merge": ((upkeep.merge,), {}, set()),
    "recover": ((upkeep.recover,), {}, set()),
    "demo": ((demo,), {"output": "folder"}, set()),
}
# What the command line leaves to Python: a connection is the account of dj.config there.
_ONLY_IN_PYTHON = {"share": {"describe"}, "verify": {"source"}, "dump": {"source"}}
# What is behind the arguments of a command goes to the client, as the argument `options`.
_FOR_CLIENT = ("dump", "restore")
# Methods that no command is named after.
_ELSEWHERE = {"of": "--analysis", "only": "--analysis", "plan": "slice --plan", "leaves": "preview"}
_ELSEWHERE |= {"forgettable": "forget", "newest": "show", "require_any": "", "require_complete": ""}
_ELSEWHERE |= {
    "require_finished": "",
    "read_once": "",
    "load": "verify",
    "open_copy": "open",
    "dandi": "files --dandi",
}


def _parsers() -> dict[str, argparse.ArgumentParser]:
    found = next(a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def test_every_command_is_compared_and_every_method_has_one() -> None:
    assert set(_COMMANDS) == set(_parsers())
    for kind in (sqlspy.Paper, Bundle):
        methods = {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"}
        assert {name.replace("_", "-") for name in methods - set(_ELSEWHERE)} <= set(_COMMANDS), kind


@pytest.mark.parametrize("command", _COMMANDS)
def test_the_command_line_is_the_library(command: str) -> None:
    methods, renamed, shown = _COMMANDS[command]
    arguments = [argument for method in methods for argument in inspect.signature(method).parameters.values()]
    wanted = {argument.name for argument in arguments if argument.kind is not argument.VAR_KEYWORD}
    typed = {a.dest for a in _parsers()[command]._actions if a.dest != "help"} - shown
    typed |= {"options"} if command in _FOR_CLIENT else set()
    left = _NOT_TYPED | _ONLY_IN_PYTHON.get(command, set())
    assert {renamed.get(name, name) for name in typed} == wanted - left


@pytest.mark.parametrize("command", _COMMANDS)
def test_an_option_and_its_argument_have_one_default(command: str) -> None:
    """What is not typed is what is not given in Python."""
    methods, renamed, shown = _COMMANDS[command]
    arguments = [argument for method in methods for argument in inspect.signature(method).parameters.values()]
    defaults = {each.name: each.default for each in arguments if each.default is not each.empty}
    for action in _parsers()[command]._actions:
        name = renamed.get(action.dest, action.dest)
        if action.option_strings and name in defaults and action.dest not in shown:
            assert (action.default or None) == (defaults[name] or None), action.dest


# ---------------------------------------------------------------- a terminal


class Terminal:
    """A command at a pseudo-terminal, with the account of ``dj.config``."""

    def __init__(self, line: str) -> None:
        account = {"DJ_HOST": dj.config["database.host"], "DJ_PORT": str(dj.config["database.port"])}
        account |= {"DJ_USER": dj.config["database.user"], "DJ_PASS": dj.config["database.password"]}
        account |= {"PYTHONPATH": ROOT, "DJ_USE_TLS": "false"}
        self.child, self.place = pty.fork()
        if self.child == 0:
            words = [sys.executable, "-W", "ignore", "-c", _NO_TLS, *shlex.split(line)]
            os.execve(sys.executable, words, os.environ | account)
        self.said = ""

    def wait_for(self, text: str) -> None:
        while text not in self.said:
            self.said += self._read()

    def _read(self) -> str:
        if not select.select([self.place], [], [], 100)[0]:
            os.kill(self.child, signal.SIGKILL)
        return os.read(self.place, 1024).decode()

    def type(self, keys: str) -> None:
        os.write(self.place, keys.encode())

    def end(self) -> int:
        with contextlib.suppress(OSError):  # how the end of a terminal looks on Linux
            while chunk := self._read():
                self.said += chunk
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


_NO_TLS = """
import os, sys, datajoint
datajoint.config["database.port"] = int(os.environ["DJ_PORT"])  # which 0.14 does not read
datajoint.config["database.use_tls"] = False
from dj_sqlspy.cli import main
sys.exit(main())
"""


def test_forget_asks_and_says_what_it_deleted(figures: SimpleNamespace, typed: Any) -> None:
    code, _, err = typed("forget paper fig1")  # no terminal
    assert code == 1 and "say --yes" in err and len(sqlspy.Paper("paper").analyses) == 2
    asked = Terminal("forget paper fig1")
    asked.wait_for("[y/N] ")
    asked.type("n\n")
    assert asked.end() == 0 and "Nothing was deleted." in asked.said
    assert len(sqlspy.Paper("paper").analyses) == 2
    asked = Terminal("forget paper fig1")
    asked.wait_for("[y/N] ")
    assert "fig1: 1 run, 1 statement" in asked.said and "captured for fig1 of paper?" in asked.said
    asked.type("y\n")
    assert asked.end() == 0 and "Deleted: fig1: 1 run, 1 statement" in asked.said
    assert [a.name for a in sqlspy.Paper("paper").analyses] == ["fig2"]
    for words in ("forget paper fig1 --yes", "forget paper fig1"):
        code, _, err = typed(words)
        assert code == 1 and "It has fig2." in err


def test_forget_refuses_while_another_process_runs_it(
    projects: SimpleNamespace, home: Path, typed: Any
) -> None:
    program = "import sys, dj_sqlspy; dj_sqlspy.start_export('paper', 'fig'); print(1, flush=True); sys.stdin.read()"
    environment = os.environ | {"PYTHONPATH": ROOT}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program], env=environment, **pipes
    ) as running:
        assert running.stdout.readline() == b"1\n"
        code, _, err = typed("forget paper --yes")
        assert code == 1 and "'fig' of 'paper' is running now" in err
        running.communicate(b"")
    assert typed("forget paper --yes")[:2] == (0, "Deleted: fig: 1 run, 0 statements\n")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder with a short path: the socket of a private server has at most 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextlib.contextmanager
def _held(server: Any, statement: str) -> Iterator[Callable[[], bool]]:
    """In a block, a lock on a server; yields what says whether another connection waits for it."""
    with server.connect() as connection, connection.cursor() as cursor:

        def awaited() -> bool:
            cursor.execute("SHOW PROCESSLIST")
            return any("lock" in str(row[6]).lower() for row in cursor.fetchall())

        deadline = time.monotonic() + 60
        while awaited():  # the server has not yet noticed that an earlier command is gone
            assert time.monotonic() < deadline
            time.sleep(0.1)
        cursor.execute(statement)
        yield awaited


def test_ctrl_c_is_one_line_and_leaves_nothing(
    figures: SimpleNamespace,
    server: Any,
    clean_scratch: Any,
    typed: Any,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a step waits for the server or for a client program that does, or starts a server of its own."""
    for name in ("there", "dumped"):
        assert typed(f"write paper -o {tmp_path}/{name}")[0] == 0
    assert typed(f"dump {tmp_path}/dumped")[0] == 0
    monkeypatch.setenv("TMPDIR", str(temporary))
    before = {path.name for path in tmp_path.rglob("*")}
    table = figures.Session.full_table_name
    reads = (
        "slice paper",
        "preview paper",
        f"why paper {figures.name}.Session session=1",
        f"files paper --copy {tmp_path}/copies",
        f"write paper -o {tmp_path}/b/c",
        f"dump {tmp_path}/there",
        f"verify {tmp_path}/dumped",
    )
    for line in reads:
        with _held(server, f"LOCK TABLES {table} WRITE") as awaited:
            _interrupt(line, awaited)
    _interrupt(f"inspect {tmp_path}/dumped", lambda: any(temporary.iterdir()))
    restore = shlex.join(["restore", f"{tmp_path}/dumped", *options(clean_scratch)])
    with _held(clean_scratch, "FLUSH TABLES WITH READ LOCK") as awaited:
        _interrupt(restore, awaited)
    assert {path.name for path in tmp_path.rglob("*")} == before
    assert not list(temporary.iterdir())
    with clean_scratch.connect() as connection, connection.cursor() as cursor:
        assert not cursor.execute(f"SHOW DATABASES LIKE '{figures.name}'")


def _interrupt(line: str, ready: Callable[[], bool]) -> None:
    """Type Ctrl-C once a command waits."""
    stopped = Terminal(line)
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline, line
        time.sleep(0.1)
    stopped.type("\x03")
    assert stopped.end() == 130, (line, stopped.said)
    stays = stopped.said.rpartition("\x1b[2K")[2]  # after a progress bar was taken away
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stays.replace("^C", ""))
    lines = [said for said in plain.splitlines() if said.strip()]
    lines = [said for said in lines if "connected to" not in said]  # DataJoint's own
    assert lines == ["dj-sqlspy: interrupted."], (line, stopped.said)


# ---------------------------------------------------------------- no traceback, no false message


def test_why_with_a_value_of_a_wrong_type(figures: SimpleNamespace, typed: Any) -> None:
    table = f"{figures.name}.Session"
    code, _, err = typed(f"why paper {table} session=abc")
    assert code == 1 and err == "dj-sqlspy: session=abc: that is no value for a column of type int" + (
        "(11).\n" if "(11)" in err else ".\n"
    )
    code, _, err = typed(f"why paper {table} project=X")
    assert code == 1 and "has no project in its primary key; that is session." in err
    assert typed(f"why paper {table} session=1")[0] == 0
    assert "session" in typed(f"why paper '{figures.Session.full_table_name}' session=1")[1]


def test_what_is_missing_is_said_before_the_work(
    figures: SimpleNamespace, typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for place, message in (
        (f"{tmp_path}/file/b", "no folder can be made in"),
        (f"{tmp_path}/file", "not a folder"),
    ):
        code, out, err = typed(f"write paper -o {place} --only nonsense")  # which is looked at later
        assert code == 1 and message in err and out == ""
    assert typed(f"write paper -o {tmp_path}/b")[0] == 0
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("dj_sqlspy.servers.mysql.private.SERVER_FOLDERS", ())
    code, _, err = typed(f"verify {tmp_path}/b")
    assert code == 1 and "no MySQL or MariaDB server program was found" in err
    assert not Bundle(tmp_path / "b").dump_file.exists()


def test_what_the_description_for_archives_needs_is_said(
    figures: SimpleNamespace, typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "rocrate" not in typed(f"write paper -o {tmp_path}/a")[1]
    monkeypatch.setitem(sys.modules, "rocrate", None)  # as if it were not installed
    code, out, _ = typed(f"write paper -o {tmp_path}/b")
    assert code == 0 and "Without ro-crate-metadata.json" in out and "pip install rocrate" in out
    assert (tmp_path / "a" / "ro-crate-metadata.json").exists()
    assert not (tmp_path / "b" / "ro-crate-metadata.json").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("slice paper --skip-statements x", "'x' is not a list of numbers, such as 3,5"),
        ("write paper -o b --mode rwx", "'rwx' is not a mode, such as 750"),
        ("write paper -o b --replace lab.subject.name", "is not of the form schema.table.column=VALUE"),
        ("recover paper fig --run last", "invalid int value: 'last'"),
    ],
)
def test_a_value_of_an_option_that_is_wrong(line: str, message: str, typed: Any) -> None:
    code, out, err = typed(line)
    assert (code, out) == (2, "") and message in err and "_numbers" not in err and "lambda" not in err


def test_a_home_that_does_not_exist(home: Path, typed: Any, tmp_path: Path) -> None:
    for command in ("papers", "show paper", "slice paper", "forget paper --yes"):
        code, _, err = typed(f"--home {tmp_path}/nowhere {command}")
        assert code == 1 and err == f"dj-sqlspy: --home {tmp_path}/nowhere: there is no such folder.\n"


def test_a_kernel_that_is_not_there(home: Path, typed: Any, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook()
    nbformat.write(notebook, tmp_path / "a.ipynb")
    for chosen, name in (("--kernel julia-9", "julia-9"), ("", "r-4")):
        notebook.metadata["kernelspec"] = {"name": "r-4", "display_name": "R"}
        nbformat.write(notebook, tmp_path / "a.ipynb")
        code, _, err = typed(f"run --paper p {chosen} {tmp_path}/a.ipynb")
        assert code == 1 and f"there is no kernel {name!r} here; there is " in err and "--kernel" in err
    code, _, err = typed(f"run --paper p --kernel python3 {tmp_path}/a.py")
    assert code == 1 and "--kernel is for a notebook" in err


# ---------------------------------------------------------------- a paper is never half in silence


def _run(projects: SimpleNamespace, session: int, error: bool = False) -> None:
    """An analysis that reads a session, and then ends or fails."""
    with contextlib.suppress(KeyError), sqlspy.export("paper", "fig"):
        rows(projects.Session & f"session={session}")
        if error:
            raise KeyError(session)


def test_a_run_that_failed_is_not_written_in_silence(
    projects: SimpleNamespace, home: Path, typed: Any, tmp_path: Path
) -> None:
    _run(projects, 1, error=True)
    code, _, err = typed(f"write paper -o {tmp_path}/b")
    assert code == 1 and not (tmp_path / "b").exists()
    assert (
        "fig failed: 1 statement since 20" in err and "--allow-unfinished" in err and "Traceback" not in err
    )
    code, out, _ = typed(f"write paper -o {tmp_path}/b --allow-unfinished")
    assert code == 0 and "NOT FINISHED: fig (failed, 1 statement)" in out
    manifest = Bundle(tmp_path / "b").manifest
    jsonschema.Draft202012Validator(manifest_schema()).validate(manifest)
    assert [(one["analysis"], one["state"], one["statements"]) for one in manifest["unfinished"]] == [
        ("fig", "failed", 1)
    ]
    report = (tmp_path / "b" / "report.html").read_text()
    first = report.index("1 analysis did not come to an end")
    assert (
        "Nothing to warn about" not in report
        and first == report.index("<b>", report.index("To know first</h2>")) + 3
    )
    assert "**Not all analyses came to their end** (fig)" in (tmp_path / "b" / "README.md").read_text()


def test_a_run_that_failed_does_not_replace_one_that_ended(
    projects: SimpleNamespace, home: Path, typed: Any, tmp_path: Path
) -> None:
    _run(projects, 1)
    _run(projects, 2, error=True)
    paper = sqlspy.Paper("paper")
    assert held(paper.slice())["session"] == {1}
    code, out, _ = typed("show paper")
    assert code == 0 and "fig: the newer run 2 failed, and does not count" in out
    assert typed(f"write paper -o {tmp_path}/b")[0] == 0
    assert any("run 2 failed" in line for line in Bundle(tmp_path / "b").manifest["problems"])
    code, out, _ = typed("recover paper fig")
    assert [line.split()[-1] for line in out.splitlines()[1:]] == ["counts", "count"]
    # asked for, it counts, and is not written in silence
    assert typed("recover paper fig --run 2")[0] == 0
    assert held(paper.slice())["session"] == {2}
    code, _, err = typed(f"write paper -o {tmp_path}/c")
    assert code == 1 and "To take that: dj-sqlspy recover paper fig --run 1" in err
    assert typed("recover paper fig --run 1")[0] == 0
    assert held(paper.slice())["session"] == {1} and typed(f"write paper -o {tmp_path}/c")[0] == 0
    _run(projects, 3)
    assert held(paper.slice())["session"] == {3}


def test_a_run_that_is_open_or_was_killed_is_not_written_in_silence(
    projects: SimpleNamespace, home: Path, typed: Any, tmp_path: Path
) -> None:
    _run(projects, 1)
    with sqlspy.export("paper", "fig"):
        rows(projects.Session & "session=2")
        code, _, err = typed(f"write paper -o {tmp_path}/b")
        assert code == 1 and "fig is still running: 1 statement" in err and "recover paper fig --run 1" in err
    account = {"DJ_HOST": dj.config["database.host"], "DJ_PORT": str(dj.config["database.port"])}
    account |= {"DJ_USER": dj.config["database.user"], "DJ_PASS": dj.config["database.password"]}
    program = (
        "import os, signal, datajoint as dj, dj_sqlspy\n"
        "dj.config['database.use_tls'] = False; dj.config['database.port'] = int(os.environ['DJ_PORT'])\n"
        "dj_sqlspy.start_export('paper', 'fig')\n"
        f"len(dj.FreeTable(dj.conn(), {projects.Session.full_table_name!r}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], env=os.environ | account, check=False)
    code, _, err = typed(f"write paper -o {tmp_path}/b")
    assert code == 1 and "fig was interrupted: 1 statement" in err and "recover paper fig --run 2" in err
    assert not (tmp_path / "b").exists()


# ---------------------------------------------------------------- "share Figure 2"


@pytest.fixture
def figures(projects: SimpleNamespace, home: Path) -> SimpleNamespace:
    """Two analyses: one of a session of project X, one that also reads project Y."""
    with sqlspy.export("paper", "fig1"):
        rows(projects.Session & "session=1")
    with sqlspy.export("paper", "fig2"):
        rows(projects.Trial & "session in (2, 3)")
    projects.name = projects.Session.full_table_name.split("`")[1]
    return projects


def _rows_of(bundle: Path) -> dict[str, int]:
    return {
        one["name"].split("`")[3]: one["rows"] for one in Bundle(bundle).manifest["tables"] if one["rows"]
    }


def test_share_figure_2(figures: SimpleNamespace, typed: Any, tmp_path: Path) -> None:
    table = f"{figures.name}.Session"
    assert typed(f"write paper -o {tmp_path}/one --analysis fig1")[0] == 0
    assert _rows_of(tmp_path / "one") == {"session": 1, "session__member": 1}
    code, out, _ = typed(f"write paper -o {tmp_path}/two --analysis fig2 --only \"{table}: project='X'\"")
    assert code == 0 and ".Trial" in out
    assert _rows_of(tmp_path / "two") == {"session": 1, "trial": 2, "#probe": 2}
    assert {s["analysis"] for s in Bundle(tmp_path / "two").manifest["statements"]} == {"fig2"}
    code, _, err = typed(f"write paper -o {tmp_path}/three --guard \"{table}: project='X'\"")
    assert code == 1 and "outside of the guard" in err and "session=3" in err
    assert not (tmp_path / "three").exists()
    assert typed(f"write paper -o {tmp_path}/three --analysis fig1 --guard \"{table}: project='X'\"")[0] == 0
    project = f"\"{table}: project='X'\""
    for command in ("slice", "preview", "files", "slice --plan"):
        assert typed(f"{command} paper --analysis fig2 --only {project}")[0] == 0, command
    for command in ("slice", "files", "preview"):
        code, _, err = typed(f"{command} paper --guard {project}")
        assert code == 1 and "outside of the guard" in err and "session=3" in err, command
        assert typed(f"{command} paper --analysis fig1 --guard {project}")[0] == 0, command
    code, out, _ = typed("preview paper --analysis fig2")
    assert code == 0 and ".Trial" in out and ".Session" not in out
    assert typed("files paper --analysis fig1")[1] == "No row of the slice needs a file.\n"


def test_every_form_of_a_bound_means_the_same(figures: SimpleNamespace) -> None:
    paper = sqlspy.Paper("paper")
    wanted = held(paper.slice(only=[figures.Session & "project='X'"]))
    name = figures.Session.full_table_name
    for form in (
        figures.Session & "project='X'",
        f"{name}: project='X'",
        f"{name.replace('`', '')}: project = 'X'",
        [f"{figures.name}.Session:project='X'"],
        {"table_name": name, "restriction": {"project": "X"}},
    ):
        assert held(paper.slice(only=form)) == wanted
    assert held(paper.slice(guard=figures.Session)) == held(paper.slice())
    for wrong, message in (
        ("Session: project='X'", "not of the form schema.Table: restriction"),
        (f"{figures.name}.Nothing: x=1", "no table in the schema"),
        ("`lab.Session: x=1", "not of the form"),
        (f"{figures.name}.Session project='X'", "not of the form"),
        (
            f"{figures.name}.Session: projekt='X'",
            "`projekt` is not found .* Its columns are session, project",
        ),
    ):
        with pytest.raises(SliceError, match=message):
            paper.slice(only=wrong)
    assert {s.analysis for s in paper.of("fig1").statements} == {"fig1"}
    assert sqlspy.Paper("paper", analyses="fig1").statements == paper.only("fig1").statements


@pytest.mark.parametrize(
    ("table", "class_", "key"),
    [("session", "Session", "session=1"), ("session__member", "Session.Member", "session=1 member=1")],
)
def test_every_name_that_is_printed_is_accepted(
    figures: SimpleNamespace, typed: Any, tmp_path: Path, table: str, class_: str, key: str
) -> None:
    """A table under all of its names, at each option and argument that takes one."""
    name = figures.name
    shown = typed("slice paper")[1]
    assert f"{name}.{class_}" in shown
    cut = sqlspy.Paper("paper").slice()
    values = dict(pair.split("=") for pair in key.split())
    answers = set()
    for form in (f"`{name}`.`{table}`", f"{name}.{table}", f"{name}.{class_}"):
        code, out, err = typed(f"why paper '{form}' {key}")
        assert code == 0, err
        for option in (f"--only '{form}: session=1'", f"--guard '{form}: session in (1, 2, 3)'"):
            code, cut_, err = typed(f"slice paper {option}")
            assert code == 0, err
            out += cut_
        code, _, err = typed(f"write paper -o {tmp_path}/b --exclude '{form}.nothing'")
        assert code == 1 and "nothing" in err and "several" not in err and "no table" not in err
        answers.add((out, *cut.why(form, values)))
    assert len(answers) == 1


def test_things_print_as_a_person_reads_them(figures: SimpleNamespace, tmp_path: Path) -> None:
    paper = sqlspy.Paper("paper")
    assert re.fullmatch(
        r"fig1: ended, 1 statement, started 20\d\d-[-\d: ]+, complete", repr(paper.analyses[0])
    )
    assert "<b>fig1</b>: ended" in paper.analyses[0]._repr_html_()
    bundle = paper.of("fig1").write(tmp_path / "b")
    said = "paper paper; 2 of 6 rows in 2 tables; 1 statement; not dumped yet"
    assert repr(bundle) == f"Bundle('{tmp_path}/b'): {said}"
    assert said.replace("; ", "<br>") in bundle._repr_html_()


@pytest.mark.slow
def test_verify_says_what_it_compared(figures: SimpleNamespace, typed: Any, tmp_path: Path) -> None:
    table = f"{figures.name}.Session"
    assert typed(f"write paper -o {tmp_path}/b --analysis fig2 --only \"{table}: project='X'\"")[0] == 0
    code, out, _ = typed(f"verify {tmp_path}/b")
    assert code == 0 and "\nrows equal; 0 of 1 statements could be compared" in out and "\nequal" not in out
    assert "needs rows that were left out" in out and "can change by itself" not in out
    guide = (tmp_path / "b" / "README.md").read_text()
    assert "None of the captured queries could be compared" in guide and "gave the same result" not in guide
    report = Bundle(tmp_path / "b").verify()
    assert "rows equal; 0 of 1 statements" in repr(report) and "<pre>" in report._repr_html_()
    assert typed(f"write paper -o {tmp_path}/c --only \"{table}: project='X'\"")[0] == 0
    assert "\nrows equal; 1 of 2 statements could be compared" in typed(f"verify {tmp_path}/c")[1]
    assert "(but for 1, whose results cannot be compared)" in (tmp_path / "c" / "README.md").read_text()


def test_a_statement_has_one_number_whichever_analyses_are_chosen(
    figures: SimpleNamespace, typed: Any, tmp_path: Path
) -> None:
    """``show``, ``slice``, ``why``, ``write`` and what they refuse count alike: fig2 has the second statement."""

    def listed(words: str) -> list[list[str]]:
        lines = [line.split() for line in typed(f"show paper --statements {words}")[1].splitlines()]
        return [line[:2] for line in lines if line and line[0].isdigit()]

    assert listed("") == [["1", "fig1"], ["2", "fig2"]] and listed("--analysis fig2") == [["2", "fig2"]]
    assert [s.number for s in sqlspy.Paper("paper").of("fig2").statements] == [2]
    key = f"{figures.name}.Trial session=2 trial=1"
    for chosen in ("", "--analysis fig2"):
        assert "(statement 2: " in typed(f"why paper {chosen} {key}")[1], chosen
        code, out, _ = typed(f"slice paper {chosen} --skip-statements 2")
        assert code == 0 and ".Trial" not in out, chosen
    code, _, err = typed("slice paper --analysis fig2 --skip-statements 1")
    assert code == 1 and "no statement of the chosen analyses that exports rows has this number" in err
    assert typed(f"write paper -o {tmp_path}/b --analysis fig2")[0] == 0
    assert [s["number"] for s in Bundle(tmp_path / "b").manifest["statements"]] == [2]


def test_an_analysis_that_the_paper_does_not_have(
    figures: SimpleNamespace, typed: Any, tmp_path: Path
) -> None:
    for command in ("slice", "preview", "files", "show", f"write -o {tmp_path}/b"):
        code, _, err = typed(f"{command} paper --analysis fig9")
        assert (
            code == 1 and err == "dj-sqlspy: The paper 'paper' has no analysis 'fig9'; it has fig1, fig2.\n"
        )
    code, _, err = typed("show nothing")
    assert code == 1 and "Nothing was captured for the paper 'nothing'" in err and "which has paper. " in err


def test_one_text_is_a_list_of_one(figures: SimpleNamespace, tmp_path: Path) -> None:
    paper = sqlspy.Paper("paper")
    member = f"{figures.name}.session__member (member) -> {figures.name}.trial (trial)"
    with pytest.raises(sqlspy.SpyError, match=r"session__member"):
        paper.slice(virtual=member + " nonsense")
    with pytest.raises(SliceError, match="nothing"):
        paper.write(tmp_path / "b", exclude=f"{figures.name}.Session.nothing")


def test_virtual_and_scratch_are_typed_as_in_python(
    figures: SimpleNamespace, typed: Any, tmp_path: Path
) -> None:
    name = figures.name
    reference = f"{name}.session (session) -> {name}.pair (pair)"
    code, out, _ = typed(f"slice paper --analysis fig1 --virtual '{reference}'")
    assert code == 0 and ".Pair" in out
    for child, parent in (
        (f"{name}.Session", f"{name}.Pair"),
        (f"`{name}`.`session`", f"{name}.Pair"),
        (f"{name}.Session", f"{name}.pair"),
    ):
        line = f"slice paper --analysis fig1 --virtual '{child} (session) -> {parent} (pair)'"
        assert typed(line)[:2] == (0, out), line
    part = f"{name}.Session.Member (member) -> {name}.Pair (pair)"  # session 1 has the part 1
    assert ".Pair" in typed(f"slice paper --analysis fig1 --virtual '{part}'")[1]
    for wrong, message in (
        (f"{name}.Sesion (session) -> {name}.Pair (pair)", f"Do you mean {name}.Session or "),
        (f"{name}.Session (sesion) -> {name}.Pair (pair)", "has the columns session, project."),
        (f"{name}.Session (session) -> nowhere.Pair (pair)", "'nowhere.Pair' names no table that"),
    ):
        code, _, err = typed(f"slice paper --analysis fig1 --virtual '{wrong}'")
        assert code == 1 and message in err and "Correct it in sqlspy.references" in err, err
    assert ".Pair" not in typed("slice paper --analysis fig1")[1]
    assert typed(f"write paper -o {tmp_path}/b --scratch {figures.name}")[0] == 0
    code, _, err = typed("slice paper --virtual nonsense")
    assert code == 1 and "cannot be read" in err


# ---------------------------------------------------------------- scripts are kind


def test_scripts_are_kind(figures: SimpleNamespace, server: Any, typed: Any, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    assert typed(f"write paper -o {folder}")[0] == 0

    def script(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    for name in ("dump.sh", "restore.sh"):
        ended = script("dash", name, "--host=nowhere")
        assert (ended.returncode, ended.stderr) == (2, f"{name}: run me with bash: bash {name}\n")
        for help_ in (script(f"./{name}", "--help"), script(f"./{name}", "--host=nowhere", "--help")):
            assert help_.returncode == 0 and f"bash {name} --host=HOST" in help_.stdout
    assert script("./dump.sh", "--jobs").stderr == "dump.sh: --jobs needs a value.\n"
    with server.connect() as connection, backend_of(connection).client_options(connection) as account:
        ended = script("./dump.sh", "--jobs", "2", "--file", f"{tmp_path}/rows.gz", *account)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "rows.gz").stat().st_size > 0 and not (folder / "dump.sql.gz").exists()
    for command in ("dump", "restore"):
        code, out, _ = typed(f"{command} {folder} --help")
        assert code == 0 and f"dj-sqlspy {command}" in out
    assert not (folder / "dump.sql.gz").exists()


def test_a_folder_for_the_group(figures: SimpleNamespace, server: Any, typed: Any, tmp_path: Path) -> None:
    """Its files have one mode, also those that come later; without the option all is for the owner."""
    (tmp_path / "fig1.py").write_text("1")
    for words, of_folder in (("", 0o700), ("--mode 750", 0o750), ("--mode 755", 0o755), ("", 0o700)):
        folder = tmp_path / "b"
        assert typed(f"write paper -o {folder} {words} --code {tmp_path}/fig1.py")[0] == 0
        assert typed(f"dump {folder}")[0] == 0 and typed(f"report {folder}")[0] == 0
        found = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
        assert {"dump.sql.gz", "dump.sql.gz.cksum", "report.html", "README.md", "fig1.py"} <= set(found)
        for name, mode in found.items():
            runs = name in ("b", "code") or name.endswith(".sh")
            assert mode == (of_folder if runs else of_folder & 0o666), (words, name)
    code, _, err = typed(f"write paper -o {tmp_path}/c --mode 777")
    assert code == 1 and "777: it can have 700, 750, 755" in err and not (tmp_path / "c").exists()


# ---------------------------------------------------------------- notebooks


def test_code_that_is_not_known_is_named(figures: SimpleNamespace, typed: Any, tmp_path: Path) -> None:
    code, out, _ = typed(f"write paper -o {tmp_path}/b --with-code")
    assert code == 0 and "Code: none of fig1;" in out and "--code FILE" in out and "none of fig2" in out
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="a row of another project")]
    nbformat.write(notebook, tmp_path / "fig1.ipynb")
    code, out, _ = typed(f"write paper -o {tmp_path}/b --code {tmp_path}/fig1.ipynb")
    assert code == 0 and "Code: code/fig1.ipynb (as it is now" in out
    copied = (tmp_path / "b" / "code" / "fig1.ipynb").read_text()
    assert "1 + 1" in copied and "another project" not in copied
    jsonschema.Draft202012Validator(manifest_schema()).validate(Bundle(tmp_path / "b").manifest)
    code, _, err = typed(f"write paper -o {tmp_path}/c --code {tmp_path}/nowhere.py")
    assert code == 1 and "there is no file" in err and not (tmp_path / "c").exists()


# ---------------------------------------------------------------- help


def test_each_command_has_an_example_that_is_right_and_what_comes_next(typed: Any) -> None:
    commands = next(a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    grouped = [name for group in GROUPS.values() for name in group]
    assert sorted(grouped) == sorted(commands.choices)
    for group in GROUPS.values():
        for name, (example, after) in group.items():
            for line in (example, after):
                options, rest = _parser().parse_known_args(shlex.split(line))  # exits where it is wrong
                assert not rest or options.for_client, line
            code, out, _ = typed(f"{name} --help")
            assert code == 0 and f"Example: dj-sqlspy {example}\nNext:    dj-sqlspy {after}\n" in out
    assert "several machines: merge, share" in typed("--help")[1]


def test_no_command(typed: Any) -> None:
    code, out, err = typed("")
    assert code == 2 and not out and all(f"\n    {command} " in err for command in ("run", "verify"))


def test_each_option_says_its_default() -> None:
    """Where it takes a value; one without a value is off unless it is typed."""
    for name, parser in _parsers().items():
        for action in parser._actions:
            if action.option_strings and action.nargs != 0 and not action.required:
                assert "default: " in (action.help or ""), (name, action.dest)


def test_help_loads_little_and_has_no_warning(tmp_path: Path) -> None:
    """It loads no DataJoint, and is what the command line with DataJoint says."""
    script = tmp_path / "dj-sqlspy"  # as pip writes it
    script.write_text("import sys\nfrom dj_sqlspy.cli import main\nsys.exit(main())\n")
    for program in (["-m", "dj_sqlspy"], [str(script)]):
        for words in (["--help"], ["write", "--help"], ["--version"]):
            ran = subprocess.run(
                [sys.executable, "-X", "importtime", *program, *words],
                env=os.environ | {"PYTHONPATH": ROOT, "PYTHONWARNINGS": "default"},
                capture_output=True,
                text=True,
            )
            assert ran.returncode == 0 and "dj-sqlspy" in ran.stdout
            said = [line for line in ran.stderr.splitlines() if not line.startswith("import time:")]
            assert said == [] and "dj_sqlspy.cli.main" in ran.stderr and "datajoint" not in ran.stderr


def test_tables_fit_60_columns(
    figures: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for line in (
        "papers",
        "show paper",
        "show paper --statements",
        "recover paper fig1",
        "slice paper",
        "preview paper",
        f"write paper -o {tmp_path}/b",
    ):
        shown = Terminal(line)
        assert shown.end() == 0, shown.said
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.said).splitlines()
        lines = [each for each in plain if not each.startswith(("Written:", "[20"))]
        assert lines and max(map(len, lines)) <= 60, (line, [each for each in lines if len(each) > 60])
        if "--statements" in line:
            last = lines[-2]  # before the server
            assert "fig2" in last and "data" in last and "…" in last, lines
        else:
            assert "…" not in "".join(lines), lines  # no name and no number is cut


def test_a_table_of_many_columns_in_60_columns() -> None:
    """Words are whole; headings of numbers are shortened. In a wide terminal, nothing is."""
    assert doctest.testmod(terminal).failed == 0
    headings = ("analysis", "started", "state", "processes", "statements", "tables", "size", "record")
    row = ("figure 2", "2026-11-28 00:39", "ended", 1, 1234, 12, "3.4 KB", "complete")

    def show() -> None:
        terminal.print_table(headings, [row], right=(3, 4, 5, 6))

    lines = in_terminal(show, COLUMNS="60")[1].splitlines()
    assert [line.split() for line in lines] == [
        ["analysis", "started", "state", "proc.", "stat.", "tabl.", "size", "record"],
        ["figure", "2", "2026-11-28", "ended", "1", "1,234", "12", "3.4", "KB", "complete"],
        ["00:39"],
    ]
    assert max(map(len, lines)) <= 60
    for shown in (in_terminal(show, COLUMNS="100")[1], forked(show).stdout):
        assert shown.splitlines()[0].split() == [*headings] and len(shown.splitlines()) == 2


def test_the_command_line_still_installs_itself(tmp_path: Path) -> None:
    """What is quick for its help is done for a command, and for a program of that name that imports the package."""
    script = tmp_path / "dj-sqlspy"
    script.write_text(
        "import sys, datajoint as dj, dj_sqlspy as sqlspy\nfrom dj_sqlspy.cli import main\n"
        "assert hasattr(dj.Connection.query, '_dj_sqlspy')\n"
    )
    late = tmp_path / "late" / "dj-sqlspy"
    late.parent.mkdir()
    late.write_text(
        "import sys, dj_sqlspy as sqlspy\nassert 'datajoint' not in sys.modules\nsqlspy.export\n"
        "import datajoint as dj\nassert hasattr(dj.Connection.query, '_dj_sqlspy')\n"
    )
    for program in (script, late):
        ran = forked(lambda program=str(program): fresh(program))
        assert ran.returncode == 0, ran.stderr


def fresh(program: str) -> None:
    """Run a program in this process as if neither DataJoint nor the package had been imported."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("datajoint", "dj_sqlspy"):
            del sys.modules[name]
    sys.argv = [program]
    runpy.run_path(program, run_name="__main__")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("sh", {"show", "share"}),
        ("show --st", {"--statements"}),
        ("show pa", {"paper"}),
        ("show paper --analysis fi", {"fig1", "fig2"}),
        ("forget paper fi", {"fig1", "fig2"}),
        ("files paper --check ", {"size", "contents"}),
        ("why paper NAME.", {"NAME.Session", "NAME.Trial"}),
        ("why paper --analysis fig2 NAME.", {"NAME.Trial"}),
        ("why paper NAME.S", {"NAME.Session"}),
    ],
)
def test_the_tab_key(
    figures: SimpleNamespace, home: Path, tmp_path: Path, line: str, wanted: set[str]
) -> None:
    line, wanted = line.replace("NAME", figures.name), {one.replace("NAME", figures.name) for one in wanted}
    script = tmp_path / "dj-sqlspy"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom dj_sqlspy.cli import main\n"
        "sys.modules['datajoint'] = None  # too slow for the Tab key: its import fails\n"
        "sys.exit(main())\n"
    )
    script.chmod(0o755)
    words = ["dj-sqlspy", *line.split(), *([""] if line.endswith(" ") else [])]
    code = argcomplete.shellcode(["dj-sqlspy"]) + (
        f"\nCOMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1} COMP_TYPE=9"
        f" COMP_LINE={shlex.quote(f'dj-sqlspy {line}')} COMP_POINT={len(line) + 10}\n"
        "_python_argcomplete dj-sqlspy\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environment = {
        "PYTHONPATH": ROOT,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "DJ_SQLSPY_HOME": str(home),
    }
    ran = subprocess.run(["bash", "-c", code], env=os.environ | environment, capture_output=True, text=True)
    assert {word.strip() for word in ran.stdout.split()} == wanted, ran.stderr


@pytest.mark.slow
def test_inspect_fails_on_findings(figures: SimpleNamespace, typed: Any, tmp_path: Path) -> None:
    figures.Session.insert1((9, "a@b.org"))
    with sqlspy.export("mail", "fig"):
        rows(figures.Session & "session=9")
    for paper in ("paper", "mail"):
        assert typed(f"write {paper} -o {tmp_path}/{paper}")[0] == 0
        assert typed(f"dump {tmp_path}/{paper}")[0] == 0
    found = typed(f"inspect {tmp_path}/mail")
    assert found[0] == 0 and "0 findings" not in found[1]
    assert typed(f"inspect {tmp_path}/mail --fail-on findings")[0] == 1
