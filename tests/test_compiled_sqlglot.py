"""With sqlglot's compiled build, lineage works or says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.lab import ROOT

# it is the same on every cell, and downloads 10 MB
pytestmark = [pytest.mark.slow, pytest.mark.line("2.x"), pytest.mark.flavor("mariadb")]

ANALYSE = """
from dj_sqlspy.servers.catalog import Catalog
from dj_sqlspy.servers.columns import Column
from dj_sqlspy.servers.tables import Table
from dj_sqlspy.lineage import analyse
table = Table("lab", "subject", (Column("subject", "int", "int", False, None, ""),), ("subject",))
lineage = analyse("SELECT * FROM lab.subject WHERE subject = 3", Catalog({table.full_name: table}, ()))
print(lineage.fallback, len(lineage.leaves))
import sqlglot.generators.mysql, sqlglot.optimizer.qualify
print(sqlglot.parser.__file__)
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sqlglot that is installed here, compiled."""
    folder = tmp_path_factory.mktemp("compiled")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    packages = [f"{name}=={version('sqlglot')}" for name in ("sqlglot", "sqlglotc")]
    subprocess.run([*command, *packages], check=True)
    assert list((folder / "sqlglot").glob("parser.*.so"))
    return folder


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_its_sources_are_imported(compiled: Path) -> None:
    done = run(ANALYSE, compiled)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["None", "1", str(compiled / "sqlglot" / "parser.py")]


def test_compiled_and_imported_before(compiled: Path) -> None:
    done = run(f"import sqlglot\n{ANALYSE}", compiled)
    assert done.returncode == 1
    assert "LineageError: Analysing statements: sqlglot's compiled build" in done.stderr
    assert "pip uninstall sqlglotc" in done.stderr
