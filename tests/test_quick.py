"""``make quick``: with ``--no-server`` the tests that start a server are left out, and none can start one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.lab import ROOT, forked

pytestmark = pytest.mark.line("2.x")

TESTS = """
import subprocess
import pytest

def test_it_needs_none():
    assert subprocess.run(["true"]).returncode == 0

def test_it_has_a_fixture(server):
    raise AssertionError("never run")

@pytest.mark.needs_server
def test_it_is_marked():
    raise AssertionError("never run")

def test_it_starts_one_without_a_mark():
    subprocess.run(["mariadbd", "--version"])
    raise AssertionError("never run")
"""


def test_no_server_can_start(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    words = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml")]
    ended = forked(lambda: sys.exit(pytest.main([*words, "--no-server", str(tmp_path)])))
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed, 2 deselected" in ended.stdout, ended.stdout + ended.stderr
    assert "no test may start a server; mark this one needs_server" in ended.stdout
