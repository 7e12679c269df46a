"""``dj-sqlspy run`` and the start-up hook: programs without dj-sqlspy in their code, in separate processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from tests.installed import clean_environment, environment
from tests.lab import V2

CONNECT = """
import datajoint as dj
import json, os, sys
host, port, user, password = json.loads(os.environ["LAB_SERVER"])
dj.config["database.host"] = host
dj.config["database.port"] = port
dj.config["database.user"], dj.config["database.password"] = user, password
dj.config["database.use_tls"] = False
dj.logger.setLevel("ERROR")
def read(number):
    return dj.conn().query(f"SELECT {number} AS n FROM DUAL").fetchall()
"""

# nothing here depends on the server
pytestmark = pytest.mark.flavor("mariadb")

# what a program sees of how it was started
PROBE = """
import json, os, signal, sys
print(json.dumps({
    "argv": sys.argv, "path": sys.path[0], "name": __name__, "file": globals().get("__file__"),
    "package": __package__, "spec": getattr(__spec__, "name", None), "doc": __doc__,
    "main": sorted(k for k in vars(sys.modules["__main__"])), "flags": str(sys.flags),
    "sigint": str(signal.getsignal(signal.SIGINT)), "sigpipe": str(signal.getsignal(signal.SIGPIPE)),
    "hook": sys.excepthook is sys.__excepthook__, "stdin": sys.stdin.read(), "cwd": os.getcwd(),
    "datajoint": "datajoint" in sys.modules, "threads": len(sys._current_frames()),
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def place(tmp_path: Path, home: Path, server: Any) -> Callable[..., Any]:
    """Runs commands in an empty folder, with the server in the environment."""
    (tmp_path / "work").mkdir()

    def start(*command: Any, **options: Any) -> subprocess.Popen[str]:
        where = json.dumps((server.host, server.port, server.user, server.password))
        env = clean_environment() | {"LAB_SERVER": where, "DJ_SQLSPY_HOME": str(home)}
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=tmp_path / "work",
            env=env | options.pop("env", {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


def write(tmp_path: Path, name: str, *parts: str) -> Path:
    path = tmp_path / "work" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(textwrap.dedent(part) for part in parts))
    return path


def finish(process: subprocess.Popen[str], text: str = "") -> tuple[int, str, str]:
    out, err = process.communicate(text, timeout=120)
    return process.returncode, out, re.sub(r"\[\d{4}-\d\d-\d\d [\d:,]+\]", "[time]", err)  # DataJoint's log


def numbers(paper: str, home: Path, **options: Any) -> list[int]:
    found = sqlspy.Paper(paper, home, **options).statements
    return [int(s.sql.split()[1]) for s in found if s.sql.endswith("FROM DUAL")]


# --- run ---------------------------------------------------------------------------------------------------

NOTHING = "dj-sqlspy: nothing was captured. Did the program read through DataJoint?"
ARGUMENTS = ["--paper", "x", "--h", "-m", "--", "", "a b", "-", "--append"]


@pytest.mark.line("2.x")  # nothing here depends on it
@pytest.mark.parametrize("form", ["script", "folder", "module", "package", "missing"])
def test_a_program_sees_what_it_sees_without(
    python: Path, place: Any, tmp_path: Path, home: Path, form: str
) -> None:
    write(tmp_path, "sub/probe.py", '"""Doc."""', PROBE)
    write(tmp_path, "pack/__init__.py", "")
    write(tmp_path, "pack/__main__.py", PROBE)
    write(tmp_path, "pack/inner.py", PROBE)
    program = {
        "script": ["sub/probe.py"],
        "folder": ["pack"],
        "module": ["-m", "pack.inner"],
        "package": ["-m", "pack"],
        "missing": ["nowhere.py"],
    }[form] + ARGUMENTS
    plain = finish(place(python, *program), "from\nstdin")
    ours = finish(place(python.parent / "dj-sqlspy", "run", "--paper", "p", *program), "from\nstdin")
    assert ours == (*plain[:2], f"{plain[2]}{NOTHING}\n")
    assert plain[0] == (2 if form == "missing" else 0)


@pytest.mark.line("2.x")  # nothing here depends on it
def test_a_program_that_reads_nothing(python: Path, place: Any, tmp_path: Path, home: Path) -> None:
    """That is said at its end; not if it, or a process of it, reads."""
    write(tmp_path, "reads.py", CONNECT, "read(1)")
    write(tmp_path, "fig.py", "import os, datajoint\nassert 'DJ_SQLSPY_RUN' not in os.environ")
    write(tmp_path, "parent.py", "import subprocess, sys\nsubprocess.run([sys.executable, 'reads.py'])")
    command = [python.parent / "dj-sqlspy", "run", "--paper", "p"]
    assert finish(place(*command, "fig.py")) == (0, "", f"{NOTHING}\n")
    for program in ("reads.py", "parent.py"):
        assert finish(place(*command, "--analysis", "fig", program)) == (0, "", "")
    assert finish(place(*command, "fig.py")) == (0, "", f"{NOTHING} What was captured before stays.\n")
    assert numbers("p", home, analyses=["fig"]) == [1]


def test_run_takes_the_policies(python: Path, place: Any, tmp_path: Path, home: Path) -> None:
    """As an argument, as a setting, and as DataJoint's two lines keep it."""
    write(tmp_path, "a.py", CONNECT, "read(1)")
    command = [python.parent / "dj-sqlspy", "run", "--paper", "p"]
    for words, told, wanted in (
        (["--count", "ignore", "--preview=rows"], {}, ("ignore", "witness", "rows")),
        (["--exists", "rows"], {"DJ_SQLSPY_COUNT": "ignore"}, ("ignore", "rows", "ignore")),
        ([], {}, ("rows", "witness", "ignore")),
    ):
        assert finish(place(*command, *words, "a.py", env=told)) == (0, "", "")
        found = sqlspy.Paper("p", home).policies["a"]
        assert (found["count"], found["exists"], found["preview"]) == wanted
    assert finish(place(*command, "--count", "some", "a.py"))[0] == 2


@pytest.mark.line("2.x")  # nothing here depends on it
@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("sys.exit(7)", "ended"),
        ("sys.exit('a word')", "ended"),
        ("raise KeyError('mine')", "failed"),
        ("os.kill(os.getpid(), 15)", "interrupted"),
        ("os._exit(3)", "interrupted"),
        ("raise KeyboardInterrupt", "failed"),
        ("import atexit; atexit.register(read, 2)", "ended"),
    ],
)
def test_exit_codes_are_kept(
    python: Path, place: Any, tmp_path: Path, home: Path, code: str, state: str
) -> None:
    script = write(tmp_path, "script.py", CONNECT, "read(1)", code)
    plain = finish(place(python, script))
    assert sqlspy.papers(home) == []
    ours = finish(place(python.parent / "dj-sqlspy", "run", "--paper", "p", "--analysis", "a", script))
    assert ours == plain
    (analysis,) = sqlspy.Paper("p", home).analyses
    assert (analysis.name, analysis.state, analysis.complete) == ("a", state, True)
    assert numbers("p", home) == ([1, 2] if "atexit" in code else [1])


@pytest.mark.line("2.x")  # nothing here depends on it
def test_signals_reach_the_program(python: Path, place: Any, tmp_path: Path, home: Path) -> None:
    script = write(
        tmp_path,
        "script.py",
        CONNECT,
        """
        import signal, time
        signal.signal(signal.SIGUSR1, lambda *_: (read(2), sys.exit(9)))
        read(1)
        print("ready", flush=True)
        for _ in range(1200):
            time.sleep(0.05)
        """,
    )
    process = place(python.parent / "dj-sqlspy", "run", "--paper", "p", script)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    assert finish(process)[0] == 9
    assert numbers("p", home, analyses=["script"]) == [1, 2]


@pytest.mark.line("2.x")  # nothing here depends on it
def test_processes_of_a_program(python: Path, place: Any, tmp_path: Path, home: Path) -> None:
    """Children of every kind add to the one run, though they too find the settings in the environment."""
    script = write(
        tmp_path,
        "script.py",
        CONNECT,
        """
        import multiprocessing, subprocess
        def work(number):
            dj.conn(reset=True)
            read(number)
        if __name__ == "__main__" and len(sys.argv) == 1:
            context = multiprocessing.get_context("forkserver")
            context.Process(target=work, args=(0,)).run()
            read(1)
            for number, method in enumerate(["fork", "spawn", "forkserver"], 2):
                process = multiprocessing.get_context(method).Process(target=work, args=(number,))
                process.start(), process.join()
            subprocess.run([sys.executable, __file__, "5"], check=True)
        elif __name__ == "__main__":
            read(int(sys.argv[1]))
        """,
    )
    assert finish(place(python.parent / "dj-sqlspy", "run", "--paper", "p", script)) == (0, "", "")
    assert sorted(numbers("p", home)) == [0, 1, 2, 3, 4, 5]
    (analysis,) = sqlspy.Paper("p", home).analyses
    assert (analysis.state, analysis.processes) == ("ended", 5)
    assert len(list(analysis.folder.parent.glob("0*"))) == 1


@pytest.mark.line("2.x")  # nothing here depends on it
def test_a_subprocess_that_reads_first(python: Path, place: Any, tmp_path: Path, home: Path) -> None:
    script = write(
        tmp_path,
        "script.py",
        CONNECT,
        """
        import subprocess
        if len(sys.argv) == 1:
            subprocess.run([sys.executable, __file__, "1"], check=True)
            read(2)
        else:
            read(int(sys.argv[1]))
        """,
    )
    assert finish(place(python.parent / "dj-sqlspy", "run", "--paper", "p", script)) == (0, "", "")
    assert sorted(numbers("p", home)) == [1, 2]


@pytest.mark.line("2.x")  # nothing here depends on it
def test_what_run_refuses(
    python: Path, place: Any, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["run", "x.py"], ["run", "--paper", "p"], ["run", "--paper", "p", "-m"]):
        assert main(words) == 1
        assert "needs a paper and a program" in capsys.readouterr().err
    assert main(["run", "--paper", "p" * 300, "x.py"]) == 1
    assert "too long" in capsys.readouterr().err
    off = place(python.parent / "dj-sqlspy", "run", "--paper", "p", "x.py", env={"DJ_SQLSPY_STARTUP": "off"})
    code, _, err = finish(off)
    assert code == 1 and "DJ_SQLSPY_STARTUP=off" in err
    script = write(tmp_path, "fig.py", "print('ran')")
    (tmp_path / "file").touch()
    for variable, value in (
        ("DJ_SQLSPY_COUNT", "some"),
        ("DJ_SQLSPY_DIGESTS", "perhaps"),
        ("DJ_SQLSPY_SAME_SERVER", "x"),
        ("DJ_SQLSPY_HOME", str(tmp_path / "file" / "home")),
    ):
        command = (python.parent / "dj-sqlspy", "run", "--paper", "p", script)
        code, out, err = finish(place(*command, env={variable: value}))
        assert (code, out) == (1, "") and value in err and "Traceback" not in err
        assert all(line.count("The environment variable") <= 1 for line in err.splitlines())


# --- the hook alone ----------------------------------------------------------------------------------------


def test_the_environment_alone(python: Path, place: Any, tmp_path: Path, home: Path) -> None:
    script = write(tmp_path, "fig.py", CONNECT, "read(1)")
    assert finish(place(python, script, env={"DJ_SQLSPY_ENABLED": "1", "DJ_SQLSPY_PAPER": "p"}))[0] == 0
    assert numbers("p", home, analyses=["fig"]) == [1]
    off = {"DJ_SQLSPY_ENABLED": "1", "DJ_SQLSPY_PAPER": "q", "DJ_SQLSPY_STARTUP": "off"}
    assert finish(place(python, script, env=off))[0] == 0
    assert [paper.name for paper in sqlspy.papers(home)] == ["p"]


@pytest.mark.parametrize("form", ["nested", "flat"] if V2 else ["flat"])
def test_a_configuration_file_alone(python: Path, place: Any, tmp_path: Path, home: Path, form: str) -> None:
    values = {"enabled": True, "paper": "p", "analysis": "by file"}
    contents: Any = {"sqlspy": values} if form == "nested" else {f"sqlspy.{k}": v for k, v in values.items()}
    write(tmp_path, "datajoint.json" if V2 else "dj_local_conf.json", json.dumps(contents))
    script = write(tmp_path, "fig.py", CONNECT, "read(1)")
    assert finish(place(python, script))[0] == 0
    assert numbers("p", home, analyses=["by file"]) == [1]


@pytest.mark.line("2.x")  # nothing here depends on it
def test_wrong_settings_do_not_break_a_program(python: Path, place: Any, tmp_path: Path, home: Path) -> None:
    script = write(tmp_path, "fig.py", CONNECT, "read(1)", "print('went on')")
    code, out, err = finish(
        place(python, script, env={"DJ_SQLSPY_ENABLED": "perhaps", "DJ_SQLSPY_PAPER": "p"})
    )
    assert (code, out) == (0, "went on\n") and "DJ_SQLSPY_ENABLED" in err
    assert sqlspy.papers(home) == []


@pytest.mark.line("2.x")  # nothing here depends on it
def test_nothing_is_loaded_where_it_is_not_asked_for(python: Path, place: Any, tmp_path: Path) -> None:
    script = write(
        tmp_path,
        "fig.py",
        """
        import sys
        hooked = "dj_sqlspy_startup" in sys.modules
        early = [m for m in sys.modules if m.split(".")[0] in ("datajoint", "dj_sqlspy", "json", "logging")]
        import importlib.util
        assert importlib.util.find_spec("datajoint") is not None
        import datajoint, inspect
        print(hooked, early, "dj_sqlspy" in sys.modules, [f for f in sys.meta_path if "sqlspy" in str(f)])
        assert "Connection" in inspect.getsource(datajoint)
        assert datajoint.__spec__.loader.get_code("datajoint") and not vars(datajoint.__loader__).get("exec_module")
        """,
    )
    code, out, err = finish(place(python, script))
    assert (code, out) == (0, "True [] False []\n"), err


@pytest.mark.line("2.x")  # nothing here depends on it
def test_the_hook_costs_nothing_to_measure(python: Path, place: Any, tmp_path: Path) -> None:
    """Of a start of Python (10 to 20 ms), and of each import (more than 50 µs)."""
    packages = next((python.parent.parent / "lib").glob("python*")) / "site-packages"
    code = f"""
    import sys, time
    sys.modules.pop("dj_sqlspy_startup")
    sys.path.insert(0, {str(packages)!r})
    start = time.perf_counter()
    import dj_sqlspy_startup
    loaded = time.perf_counter() - start
    finder = sys.meta_path[0]
    start = time.perf_counter()
    for _ in range(10000):
        finder.find_spec("numpy.core")
    print(loaded, (time.perf_counter() - start) / 10000)
    """
    script = write(tmp_path, "fig.py", textwrap.dedent(code))
    runs = [finish(place(python, script)) for _ in range(5)]
    loaded, each = (min(float(out.split()[n]) for _, out, _ in runs) for n in (0, 1))
    assert loaded < 0.005 and each < 5e-6


# --- independent processes ---------------------------------------------------------------------------------


@pytest.mark.line("2.x")  # nothing here depends on it
def test_an_array_of_independent_processes(python: Path, place: Any, tmp_path: Path, home: Path) -> None:
    """Tasks of an array that start at once add to one run; the next array replaces it."""
    script = write(tmp_path, "task.py", CONNECT, "read(int(sys.argv[1]))")
    command = [python.parent / "dj-sqlspy", "run", "--paper", "p"]
    for job in ("job 1", "job 2"):
        tasks = [place(*command, "--append-to", job, script, number) for number in range(3)]
        assert [finish(task)[0] for task in tasks] == [0] * 3
        assert sorted(numbers("p", home)) == [0, 1, 2]
    (analysis,) = sqlspy.Paper("p", home).analyses
    assert (analysis.state, analysis.processes, analysis.folder.name[-8:]) == ("ended", 3, "+job%202")
    assert finish(place(*command, "--append", script, 3))[0] == 0
    assert sorted(numbers("p", home)) == [0, 1, 2, 3]
    # a task of the first job that comes late does not count any more, nor does it hide the second
    assert finish(place(*command, "--append-to", "job 1", script, 7))[0] == 0
    assert sorted(numbers("p", home)) == [0, 1, 2, 3]
    assert finish(place(*command, script, 8))[0] == 0
    assert numbers("p", home) == [8]


def test_append_in_code(home: Path, dj_conn: Any) -> None:
    def captured(number: int, **options: Any) -> list[int]:
        with sqlspy.export("p", "fig", **options):
            dj_conn.query(f"SELECT {number} FROM DUAL")
        return numbers("p", home)

    assert captured(1, append=True) == [1]
    assert captured(2, append=True) == [1, 2]
    assert captured(3, append="named") == [3]
    assert captured(4, append="named") == [3, 4]
    assert captured(5) == [5]
    opened = sqlspy.start_export("p", "fig", append=True)
    dj_conn.query("SELECT 6 FROM DUAL")
    sqlspy.stop_export()
    assert numbers("p", home) == [5, 6] and opened.complete
    for wrong in (3, ""):
        with pytest.raises(sqlspy.SpyError, match="append"):
            sqlspy.export("p", "fig", append=wrong)  # type: ignore[arg-type]


# --- notebooks ---------------------------------------------------------------------------------------------


def notebook(path: Path, *cells: str) -> Path:
    import nbformat

    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(c)) for c in cells])
    nbformat.write(made, path)
    return path


@pytest.fixture
def kernel(python: Path) -> dict[str, str]:
    """A kernel that is the Python with the hook, under two names."""
    kernels = python.parent.parent / "share" / "jupyter" / "kernels"
    words = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    about = {"argv": words, "display_name": "Python 3", "language": "python"}
    for name in ("python3", "lab-3"):
        (kernels / name).mkdir(parents=True, exist_ok=True)
        (kernels / name / "kernel.json").write_text(json.dumps(about | {"env": {"KERNEL": name}}))
    return {"JUPYTER_PATH": str(kernels.parent)}


def test_a_notebook(python: Path, place: Any, tmp_path: Path, home: Path, kernel: Any) -> None:
    path = notebook(
        tmp_path / "work" / "fig.ipynb", CONNECT, "read(1)", "import os; assert os.path.exists('fig.ipynb')"
    )
    before = path.read_bytes()
    command = [python.parent / "dj-sqlspy", "run", "--paper", "p"]
    code, _, err = finish(place(*command, path, env=kernel))
    assert code == 0, err
    assert numbers("p", home, analyses=["fig"]) == [1] and path.read_bytes() == before
    failing = notebook(tmp_path / "work" / "failing.ipynb", CONNECT, "read(2)", "1 / 0", "read(3)")
    code, _, err = finish(place(*command, failing, env=kernel))
    assert code == 1 and "ZeroDivisionError" in err
    assert numbers("p", home, analyses=["failing"]) == [2]
    assert {a.name: a.state for a in sqlspy.Paper("p", home=home).analyses} == {
        "fig": "ended",
        "failing": "failed",
    }
    of_another = notebook(
        tmp_path / "work" / "named.ipynb", CONNECT, "assert os.environ['KERNEL'] == 'lab-3'; read(4)"
    )
    code, _, err = finish(place(*command, "--kernel", "lab-3", of_another, env=kernel))
    assert code == 0 and numbers("p", home, analyses=["named"]) == [4], err
    waiting = notebook(
        tmp_path / "work" / "waiting.ipynb",
        CONNECT,
        "read(5); print(os.getpid(), file=open('pid', 'w')); import time; [time.sleep(0.05) for _ in range(2000)]",
    )
    process = place(*command, waiting, env=kernel, start_new_session=True)
    pid = tmp_path / "work" / "pid"
    while not pid.exists() or not pid.read_text().endswith("\n"):
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    code, _, err = finish(process)
    lines = [line for line in err.splitlines() if "IPKernelApp" not in line]  # that it uses TCP
    assert code == 130 and lines == ["dj-sqlspy: interrupted."], err
    assert not Path("/proc", pid.read_text().strip()).exists()  # its kernel has ended
    assert sqlspy.Paper("p", home=home, analyses=["waiting"]).analyses[0].state == "failed"
    code, _, err = finish(place(*command, path, "argument", env=kernel))
    assert code == 1 and "takes no arguments" in err
    code, _, err = finish(place(*command, tmp_path / "none.ipynb", env=kernel))
    assert code == 1 and "none.ipynb" in err
