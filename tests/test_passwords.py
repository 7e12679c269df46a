"""How people log in: typed passwords, option files, login paths, at a real terminal if there is one."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.connect import client_options
from tests.conftest import FLAVOR, no_tls, user_schemas
from tests.lab import ROOT, V2, make_lab, rows

COMMAND = [sys.executable, "-W", "ignore", "-m", "dj_sqlspy"]


@pytest.fixture
def lab(prefix: str, dj_conn: Any, home: Path) -> SimpleNamespace:
    made = make_lab(prefix + "lab", dj_conn)
    with sqlspy.export("paper", "fig"):
        rows(made.Session & "subject = 2")
    return made


@pytest.fixture
def place(tmp_path: Path, server: Server, home: Path) -> Callable[..., dict[str, str]]:
    """Makes the environment of a user whose configuration names a server and perhaps an account, and no password."""

    def make(user: str | None) -> dict[str, str]:
        values: dict[str, Any] = {"host": server.host, "port": server.port, "user": user}
        if FLAVOR == "mariadb":
            values["use_tls"] = False
        values = {name: value for name, value in values.items() if value is not None}
        flat = {f"database.{name}": value for name, value in values.items()}
        text = json.dumps({"database": values} if V2 else flat)
        (tmp_path / ("datajoint.json" if V2 else "dj_local_conf.json")).write_text(text)
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        return kept | {"DJ_SQLSPY_HOME": str(home), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    return make


def at_terminal(
    command: list[Any], folder: Path, environment: Mapping[str, str], answers: list[tuple[str, str]]
) -> tuple[int, str]:
    """Run a command at a terminal and answer what it asks, in this order; its code and what it said."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(str(command[0]), [str(word) for word in command], dict(environment))
    said, pending = "", list(answers)
    with contextlib.suppress(OSError):  # how the end of a terminal looks on Linux
        while chunk := os.read(terminal, 4096):
            said += chunk.decode(errors="replace")
            if pending and said.endswith(pending[0][0]):
                os.write(terminal, pending.pop(0)[1].encode() + b"\n")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(terminal)
    assert not pending, said
    return code, said


@pytest.mark.slow
@pytest.mark.flavor("mariadb")
def test_the_commands_ask_for_a_password_once(
    lab: SimpleNamespace, place: Any, account: Callable[..., Server], tmp_path: Path
) -> None:
    """Where the configuration lacks one, at a terminal; and only those that need the server."""
    reader = account("reader", f"SELECT ON `{lab.name}`.*")
    user, password = f"User at {reader.host}: ", f"Password of reader at {reader.host}: "
    environment = place(None)
    for words, code in ((["show", "paper"], 0), (["slice", "none"], 1)):
        ended, said = at_terminal([*COMMAND, *words], tmp_path, environment, [])
        assert ended == code and "Password" not in said and "User" not in said, said
    answers = [(user, "reader"), (password, reader.password)]
    ended, said = at_terminal([*COMMAND, "write", "paper", "-o", "bundle"], tmp_path, environment, answers)
    assert ended == 0 and said.count("Password") == 1 and reader.password not in said, said
    environment = place("reader")
    for words in (["dump", "bundle"], ["verify", "bundle"]):
        ended, said = at_terminal([*COMMAND, *words], tmp_path, environment, answers[1:])
        assert ended == 0 and said.count("Password") == 1 and reader.password not in said, said
    for file in (tmp_path / "bundle").iterdir():
        assert reader.password.encode() not in file.read_bytes()
    # without a terminal, what is wrong is said in a line
    options: dict[str, Any] = {
        "cwd": tmp_path,
        "stdin": subprocess.DEVNULL,
        "capture_output": True,
        "text": True,
    }
    ended = subprocess.run([*COMMAND, "slice", "paper"], env=environment | {"DJ_PASS": "wrong"}, **options)
    assert ended.returncode == 1 and "Access denied" in ended.stderr and "Traceback" not in ended.stderr


def test_without_a_terminal(
    lab: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    known = {name: dj.config[f"database.{name}"] for name in ("user", "password")}
    try:
        for missing, text in (
            (["user", "password"], "no user and no password"),
            (["password"], "no password"),
        ):
            for name, value in known.items():
                dj.config[f"database.{name}"] = None if name in missing else value
            assert main(["slice", "paper"]) == 1
            assert f"has {text}. Set them there" in capsys.readouterr().err
            assert main(["papers"]) == 0
    finally:
        for name, value in known.items():
            dj.config[f"database.{name}"] = value


# --- option files and login paths, which are the clients' own ------------------------------------------------


@pytest.fixture
def bundle(lab: SimpleNamespace, tmp_path: Path) -> Bundle:
    return sqlspy.Paper("paper").write(tmp_path / "bundle")


def both_scripts(bundle: Bundle, source: list[str], target: list[str], **settings: Any) -> None:
    """dump.sh and restore.sh with options of the client."""
    for script, options in (("dump.sh", source), ("restore.sh", target)):
        ended = subprocess.run(
            ["bash", bundle.path / script, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **settings,
        )
        assert ended.returncode == 0, ended.stderr


def test_option_files(
    bundle: Bundle,
    account: Callable[..., Server],
    clean_scratch: Server,
    tmp_path: Path,
    lab: SimpleNamespace,
) -> None:
    """A group of the user's own file and a relative path; the first of several wins as with the client itself."""
    reader = account("reader", f"SELECT ON `{lab.name}`.*")

    def text(group: str, of: Server, *lines: str) -> str:
        where = (f"host={of.host}", f"port={of.port}", "protocol=TCP")
        return (
            "\n".join([f"[{group}]", *where, f"user={of.user}", f'password="{of.password}"', *lines]) + "\n"
        )

    (tmp_path / ".my.cnf").write_text(text("client_lab", reader) + text("client_scratch", clean_scratch))
    (tmp_path / "extra.cnf").write_text(text("client", clean_scratch))
    environment = os.environ | {"HOME": str(tmp_path)}
    suffix = "--defaults-group-suffix=_lab"
    own, scratch = no_tls(reader), no_tls(clean_scratch)
    extra = "--defaults-extra-file=extra.cnf"
    both_scripts(bundle, [suffix, *own], [extra, *scratch], cwd=tmp_path, env=environment)
    assert lab.name in user_schemas(clean_scratch)


def test_a_password_that_is_asked_for_is_in_no_file(
    bundle: Bundle, account: Callable[..., Server], tmp_path: Path, lab: SimpleNamespace, place: Any
) -> None:
    """At a terminal by the script and by dj-sqlspy; and a script that is killed leaves none behind."""
    reader = account("reader", f"SELECT ON `{lab.name}`.*")
    address = [f"--host={reader.host}", f"--port={reader.port}", "--protocol=TCP", "--user=reader", "-p"]
    words = [*address, *no_tls(reader)]
    for command in (["bash", bundle.path / "dump.sh"], [*COMMAND, "dump", bundle.path]):
        bundle.dump_file.unlink(missing_ok=True)
        ended, said = at_terminal(
            [*command, *words], tmp_path, {**os.environ, **place(None)}, [("Password: ", reader.password)]
        )
        assert ended == 0 and bundle.dump_file.exists(), said
    ended = subprocess.run(
        [*COMMAND, "restore", bundle.path, "-p"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1 and "no terminal to ask for a password at" in ended.stderr, ended.stderr
    ended = subprocess.run(
        ["bash", bundle.path / "restore.sh", "-p"], start_new_session=True, capture_output=True, text=True
    )
    assert ended.returncode == 1 and ended.stderr.startswith(
        "restore.sh: -p asks for the password, and there is no"
    )
    (tmp_path / "tmp").mkdir()
    (tmp_path / "asked").write_text(f"{reader.password}\n")
    settings = {"TMPDIR": str(tmp_path / "tmp"), "DJ_SQLSPY_PASSWORD_AT": str(tmp_path / "asked")}
    seen = 0
    for number in range(12):
        script = subprocess.Popen(
            ["bash", bundle.path / "dump.sh", *words], env={**os.environ, **settings}, start_new_session=True
        )
        time.sleep(0.04 * number)
        os.killpg(script.pid, signal.SIGKILL)
        script.wait()
        for file in (path for path in (tmp_path / "tmp").rglob("*") if path.is_file()):
            seen += 1
            assert reader.password.encode() not in file.read_bytes()
    assert seen  # it was killed while it ran


def test_unix_sockets(
    bundle: Bundle, server: Server, clean_scratch: Server, tmp_path: Path, lab: SimpleNamespace
) -> None:
    """By options of the scripts, and by those that dj-sqlspy makes of a connection that it has."""
    for name, of in (("source", server), ("target", clean_scratch)):
        (tmp_path / f"{name}.cnf").write_text(f'[client]\nuser=root\npassword="{of.password}"\n')
    source, target = (f"--defaults-file={tmp_path / name}.cnf" for name in ("source", "target"))
    both_scripts(
        bundle,
        [source, "--socket", server.socket, *no_tls(server)],
        [target, f"--socket={clean_scratch.socket}", *no_tls(clean_scratch)],
    )
    assert lab.name in user_schemas(clean_scratch)
    with server.connect(unix_socket=server.socket) as connection, client_options(connection) as own:
        assert "SOCKET" in Path(own[0].partition("=")[2]).read_text()
        bundle.dump(own)


@pytest.mark.flavor("mysql")  # MariaDB has no login paths
def test_login_paths(
    bundle: Bundle,
    account: Callable[..., Server],
    clean_scratch: Server,
    tmp_path: Path,
    lab: SimpleNamespace,
) -> None:
    """As mysql_config_editor has written them into .mylogin.cnf."""
    reader = account("reader", f"SELECT ON `{lab.name}`.*")
    environment = {**os.environ, "MYSQL_TEST_LOGIN_FILE": str(tmp_path / "mylogin.cnf")}
    editor = shutil.which("mysql_config_editor")
    assert editor is not None
    for name, of in (("lab", reader), ("scratch", clean_scratch)):
        words = [
            f"--login-path={name}",
            f"--host={of.host}",
            f"--port={of.port}",
            f"--user={of.user}",
            "--password",
        ]
        code, said = at_terminal(
            [editor, "set", *words], tmp_path, environment, [("Enter password: ", of.password)]
        )
        assert code == 0, said
    tcp = "--protocol=TCP"
    both_scripts(bundle, ["--login-path=lab", tcp], ["--login-path=scratch", tcp], env=environment)
    assert lab.name in user_schemas(clean_scratch)
