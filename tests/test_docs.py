"""The pages in docs/ name only what is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.bundle import Bundle
from dj_sqlspy.cli import main
from dj_sqlspy.slices import Slice
from tests.lab import ROOT

PAGES = [ROOT / "docs" / name for name in ("capture.md", "coming-from-spyglass.md")]
OWNERS: dict[str, Any] = {"sqlspy": sqlspy, "paper": sqlspy.Paper, "bundle": Bundle, "cut": Slice}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_in_a_page_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = page.read_text()
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        ast.parse(code)
    for owner, name in re.findall(r"\b(sqlspy|paper|bundle|cut)\.([a-z_]+|Paper)\b", text):
        settings = owner == "sqlspy" and name in sqlspy.compat.settings.DEFAULTS
        assert settings or hasattr(OWNERS[owner], name) or name == "tables", f"{owner}.{name}"
    for command in {found for found in re.findall(r"dj-sqlspy ([a-z]+) [^a-z]*[-A-Za-z]", text)}:
        if command in ("run", "merge", "recover", "show", "forget", "write", "files"):
            with pytest.raises(SystemExit) as stopped:
                main([command, "--help"])
            assert stopped.value.code == 0
            shown = capsys.readouterr().out
            line = "".join(re.findall(rf"dj-sqlspy {command} (.*)", text))
            for option in re.findall(r"(?<![\w-])--[a-z-]+", line):
                assert option in shown or option == "--speed", f"{command} {option}"
