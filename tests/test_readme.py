"""README.md: every example in it is run as printed, and prints what it says there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dj_sqlspy.servers import Server

from . import readme

EXAMPLES = readme.examples(readme.README.read_text(encoding="utf-8"))
# These set up environments and run all tests: CI runs them, and compares what they print (.ci/run).
BY_CI = ("make demo", "make test")
MARK = "-- the next example --"


@pytest.fixture
def shell(server: Server, dj_conn: Any, tmp_path: Path) -> dict[str, Any]:
    """What a user's terminal has: a folder, DataJoint set to the lab's server, this Python's programs on PATH."""
    (tmp_path / "dj_local_conf.json").write_text(json.dumps({"database.use_tls": False}))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DJ_HOST": f"{server.host}:{server.port}",
        "DJ_USER": server.user,
        "DJ_PASS": server.password,
        "DJ_LOG_LEVEL": "ERROR",
        "DJ_SQLSPY_HOME": str(tmp_path / "home"),
        "PYTHONWARNINGS": "ignore",
    }
    return {"cwd": tmp_path, "env": environment, "text": True, "stdout": subprocess.PIPE}


@pytest.mark.flavor("mariadb")  # of which Debian has a server
def test_the_examples_print_what_readme_says(shell: dict[str, Any], server: Server) -> None:
    programs = [example for example in EXAMPLES if example.language == "python"]
    commands = [
        example
        for example in EXAMPLES
        if example.language == "console" and example.source.startswith("dj-sqlspy")
    ]
    assert programs and commands
    script = f"\nprint({MARK!r}, flush=True)\n".join(example.source for example in programs)
    ended = subprocess.run([sys.executable, "-c", script], **shell)
    assert ended.returncode == 0
    for example, printed in zip(programs, ended.stdout.split(f"{MARK}\n"), strict=True):
        assert not readme.differs(example.output, printed)
    for example in commands:
        ended = subprocess.run(["bash", "-c", example.source], **shell)
        assert ended.returncode == 0, example.source
        assert not readme.differs(example.output, ended.stdout)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for schema in ("demo_lab", "demo_recording"):
            cursor.execute(f"DROP DATABASE {schema}")


def test_no_command_is_left_out() -> None:
    others = {
        example.source
        for example in EXAMPLES
        if example.language == "console" and not example.source.startswith("dj-sqlspy")
    }
    assert others == {*BY_CI, "pip install ."}


def test_a_difference_is_found() -> None:
    assert readme.differs("a\n…\nb   2 s", "a\nx\ny\nb 7 s") is None
    assert readme.differs("a …", "a b c") is None
    assert "README.md says:\nb" in (readme.differs("a\nb", "a\nc") or "")
    assert "README.md says:\nb" in (readme.differs("a\n…\nb", "a\nc") or "")
    assert "nothing more" in (readme.differs("a", "a\nb") or "")
    assert "(nothing more)" in (readme.differs("a\nb", "a") or "")
