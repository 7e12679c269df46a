"""Programs, folders and secrets end with the process that made them, even if it is killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dj_sqlspy import guarded
from tests.lab import ROOT

# nothing here depends on a server
pytestmark = pytest.mark.flavor("mariadb")

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def child(code: str, **settings: str) -> subprocess.Popen[str]:
    # nohup had SIGHUP ignored; one long sleep could begin just after Python has noted a SIGINT, and would not end
    before = (
        "import signal, sys, time, guarded\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "def wait():\n    while True:\n        time.sleep(0.05)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", f"{before}{code}"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "dj_sqlspy"),
            **settings,
        },  # it alone, which starts quickly
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str], number: int) -> None:
    process.send_signal(number)
    process.communicate()


def becomes(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# --- programs --------------------------------------------------------------------------------------------------

# a program, with one that it has started; it takes away what it has made when it is asked to end
PROGRAM = """
trap 'rm -f "$1"; exit 143' TERM
: >"$1"
sleep 600 &
echo $$ $!
wait
"""


def test_a_program_that_ends_by_itself() -> None:
    with guarded.started(
        ["sh", "-c", "cat; echo said; echo wrong >&2; exit 3"], stdout=-1, stderr=-1
    ) as made:
        assert made.communicate() == (b"said\n", b"wrong\n")
    assert made.returncode == 3


@pytest.mark.parametrize("number", SIGNALS)
def test_a_program_ends_with_its_process_and_cleans_up(number: int, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"""
with guarded.started(["bash", "-c", {PROGRAM!r}, "bash", {str(mark)!r}], stdout=-1, text=True) as made:
    print(made.stdout.readline().strip(), flush=True)
    wait()
"""
    process = child(code)
    pids = [int(word) for word in line(process).split()]
    assert mark.exists() and all(map(runs, pids))
    end(process, number)
    assert becomes(lambda: not any(map(runs, pids))) and becomes(lambda: not mark.exists())


def test_a_program_ends_with_its_block(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = ["bash", "-c", PROGRAM, "bash", str(mark)]
    with (
        contextlib.suppress(KeyboardInterrupt),
        guarded.started(command, stdout=subprocess.PIPE, text=True) as made,
    ):
        pids = [int(word) for word in made.stdout.readline().split()]
        raise KeyboardInterrupt
    assert not mark.exists() and becomes(lambda: not any(map(runs, pids)))


def test_what_does_not_end_when_it_is_asked_is_killed() -> None:
    code = """
with guarded.started(["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 1; done"],
                     ending="KILL", stdout=-1, text=True) as made:
    print(made.stdout.readline().strip(), flush=True)
    wait()
"""
    process = child(code)
    pid = int(line(process))
    end(process, signal.SIGKILL)
    assert becomes(lambda: not runs(pid))


def test_a_forked_child_ends_no_program() -> None:
    def leave() -> None:
        stack.close()

    with contextlib.ExitStack() as stack:
        made = stack.enter_context(guarded.started(["sleep", "600"]))
        forked = multiprocessing.get_context("fork").Process(target=leave)
        forked.start()
        forked.join()
        assert forked.exitcode == 0 and made.poll() is None
    assert made.returncode == -signal.SIGTERM


# --- folders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", SIGNALS)
def test_a_folder_ends_with_its_process(number: int, tmp_path: Path) -> None:
    process = child(
        "folder = guarded.Folder()\n(folder.path / 'a').write_text('x')\nprint(folder.path, flush=True)\n"
        "wait()",
        TMPDIR=str(tmp_path),
    )
    folder = Path(line(process))
    assert (folder / "a").exists() and folder.stat().st_mode & 0o777 == 0o700
    end(process, number)
    assert becomes(lambda: os.listdir(tmp_path) == [])


def test_a_kill_while_folders_are_made_leaves_none(tmp_path: Path) -> None:
    for number in range(20):
        process = child("while True:\n    guarded.Folder()\n    print(flush=True)", TMPDIR=str(tmp_path))
        for _ in range(3):
            line(process)
        time.sleep(number / 2000)
        end(process, signal.SIGKILL)
    assert becomes(lambda: os.listdir(tmp_path) == [])


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"Making the folder .*/nowhere/dj-sqlspy-.*No such file"):
        guarded.Folder(tmp_path / "nowhere")


def test_a_folder_ends_with_its_block_or_object(tmp_path: Path) -> None:
    with guarded.Folder(tmp_path) as folder:
        (folder / "a").write_text("x")
    assert os.listdir(tmp_path) == []
    made = guarded.Folder(tmp_path)
    assert made.path.is_dir()
    del made
    assert os.listdir(tmp_path) == []


# --- secrets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_secret_is_read_as_often_as_one_likes(
    in_memory: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    if not in_memory:  # as on a system without it
        monkeypatch.delattr(os, "memfd_create")
    with guarded.secret("grün \udcff") as path:
        for _ in range(2):
            assert subprocess.check_output(["cat", path]) == b"gr\xc3\xbcn \xff"
        assert path.stat().st_mode & 0o777 == 0o600
        assert (os.listdir(tmp_path) == []) is in_memory
    assert not path.exists() and os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_secret_ends_with_its_process(number: int, in_memory: bool, tmp_path: Path) -> None:
    code = f"""
import os
if not {in_memory}:
    del os.memfd_create
with guarded.secret("x") as path:
    print(path, flush=True)
    wait()
"""
    process = child(code, TMPDIR=str(tmp_path))
    path = Path(line(process))
    assert path.read_text() == "x"
    end(process, number)
    assert becomes(lambda: not path.exists() and os.listdir(tmp_path) == [])


def test_a_server_that_ignores_quit_at_first_is_ended() -> None:
    """As PostgreSQL does where QUIT was ignored, which is so in the background of a shell."""
    code = (
        "from signal import *; signal(SIGQUIT, SIG_IGN); print(1, flush=True); import time; time.sleep(0.3)"
    )
    code += "; signal(SIGQUIT, SIG_DFL); time.sleep(600)"
    with guarded.started([sys.executable, "-c", code], ending="QUIT", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
    assert process.returncode == -signal.SIGQUIT  # not KILL, after a minute
