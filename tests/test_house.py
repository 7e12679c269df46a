"""The house: no module imports one from a higher floor, at any place in the module."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import ROOT

# nothing here depends on the line of DataJoint or on a server
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("mariadb")]


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the package in a folder."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


def test_every_contract_is_kept() -> None:
    found = contracts(ROOT)
    assert found.returncode == 0, found.stdout
    assert " 0 broken." in found.stdout


def test_the_table_in_the_readme_is_the_order_of_the_contract() -> None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # comes with import-linter

    with (ROOT / "pyproject.toml").open("rb") as file:
        contract = tomllib.load(file)["tool"]["importlinter"]["contracts"][0]
    development = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Development\n")[2]
    rows = [line for line in development.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == contract["layers"]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("journal/runs.py", "def late() -> None:\n    from ..paper import Paper\n"),
        ("names.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .slices import Slice\n"),
        ("cascade/keysets.py", "def late() -> None:\n    from .fixpoint import Cascade\n"),
        ("servers/tables.py", "def late() -> None:\n    from .mysql.snapshot import MySQLSnapshot\n"),
    ],
)
def test_an_import_that_runs_back_is_found(module: str, line: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "dj_sqlspy", tmp_path / "dj_sqlspy", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / "dj_sqlspy" / module
    file.write_text(f"{file.read_text()}\n\n{line}")
    found = contracts(tmp_path)
    assert found.returncode == 1
    assert f"dj_sqlspy.{module[:-3].replace('/', '.')} -> " in found.stdout


def test_no_module_imports_the_package_that_it_is_in() -> None:
    """A facade gathers names for those outside; inside, each module names where a thing is."""
    import grimp  # comes with import-linter, which only this line's environment has

    graph = grimp.build_graph("dj_sqlspy")
    back = [
        f"{module} imports {package}"
        for package in graph.modules
        for module in graph.find_descendants(package)
        if package in graph.find_modules_directly_imported_by(module)
    ]
    assert back == []
