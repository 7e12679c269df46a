"""README.md: every example in it is run as printed, and prints what it says there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dj_sqlspy.servers import Server

from . import pages, readme

EXAMPLES = readme.examples(readme.README.read_text(encoding="utf-8"))
# These set up environments and run all tests: CI runs them, and compares what they print (.ci/run).
BY_CI = ("make demo", "make test")


@pytest.mark.flavor("mariadb")  # of which Debian has a server
def test_the_examples_print_what_readme_says(server: Server, dj_conn: Any, tmp_path: Path) -> None:
    shown = [e for e in EXAMPLES if e.language != "console" or e.source.startswith("dj-sqlspy")]
    assert {example.language for example in shown} == {"python", "file", "console"}
    for example, printed in zip(shown, pages.run(shown, server, tmp_path), strict=True):
        assert not readme.differs(example.output, printed), example.source
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
    assert others == set(BY_CI)


def test_the_readme_is_short() -> None:
    assert len(readme.README.read_text(encoding="utf-8").splitlines()) < 150


def test_a_difference_is_found() -> None:
    assert readme.differs("a\n…\nb   2 s", "a\nx\ny\nb 7 s") is None
    assert readme.differs("a …", "a b c") is None
    assert "README.md says:\nb" in (readme.differs("a\nb", "a\nc") or "")
    assert "README.md says:\nb" in (readme.differs("a\n…\nb", "a\nc") or "")
    assert "nothing more" in (readme.differs("a", "a\nb") or "")
    assert "(nothing more)" in (readme.differs("a\nb", "a") or "")
