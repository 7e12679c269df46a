"""``dj.config["sqlspy.…"]`` and ``DJ_SQLSPY_…``, on both lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy import settings
from dj_sqlspy.spy import session
from tests.lab import ROOT, V2, make_lab, rows

# nothing here depends on the server
pytestmark = pytest.mark.flavor("mariadb")


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    for name in settings.DEFAULTS:
        dj.config[f"sqlspy.{name}"] = None
    assert not session.open_sessions


def test_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.home() == home  # the environment, also where it was set after the import
    assert settings.home("~/x") == Path.home() / "x"
    dj.config["sqlspy.home"] = str(tmp_path / "by code")
    assert settings.home() == tmp_path / "by code"
    monkeypatch.setenv("DJ_SQLSPY_HOME", str(tmp_path / "later"))
    assert settings.home() == tmp_path / "later"
    monkeypatch.delenv("DJ_SQLSPY_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert settings.home() == tmp_path / "data" / "dj-sqlspy"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert settings.home() == Path.home() / ".local" / "share" / "dj-sqlspy"
    monkeypatch.chdir(tmp_path)
    assert settings.home("relative") == tmp_path / "relative"


def test_values_by_attribute_and_key() -> None:
    assert dj.config["sqlspy.enabled"] is False and dj.config["sqlspy.paper"] is None
    dj.config["sqlspy.paper"] = "paper"
    assert dj.config["sqlspy.paper"] == "paper"
    if V2:
        assert dj.config.sqlspy.paper == "paper"
        dj.config.sqlspy.paper = "other"
        assert dj.config["sqlspy.paper"] == "other"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enabled", "maybe"),
        ("enabled", 2),
        ("paper", 3),
        ("paper", ""),
        ("home", 1),
        ("colour", "red"),
        ("references", 5),
        ("references", [5]),
        ("references", "lab.session (rig) -> rig"),
        ("references", ["lab.session (rig) -> lab.rig (rig, site)"]),
    ],
)
def test_wrong_values_are_told_when_they_are_set(name: str, value: Any) -> None:
    with pytest.raises(sqlspy.SpyError, match=f"sqlspy.{name}"):
        dj.config[f"sqlspy.{name}"] = value
    assert dj.config["sqlspy.enabled"] is False and dj.config["sqlspy.paper"] is None


def test_references_are_a_list_or_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = ["lab.session (rig) -> lab.rig (rig)", "lab.rig (site) -> `lab`.`#site` (site)"]
    assert settings.get("references") == ()
    dj.config["sqlspy.references"] = declared
    assert list(settings.get("references")) == declared
    monkeypatch.setenv("DJ_SQLSPY_REFERENCES", f"{declared[1]}\n\n  {declared[0]}\n")
    assert list(settings.get("references")) == declared[::-1]


def test_export_takes_its_names_from_the_settings(prefix: str, dj_conn: Any, home: Path) -> None:
    dj.config["sqlspy.paper"] = "paper"
    dj.config["sqlspy.analysis"] = "fig"
    with sqlspy.export() as opened:
        pass
    assert (opened.paper, opened.analysis) == ("paper", "fig")


def test_enabled_in_code(prefix: str, dj_conn: Any, home: Path) -> None:
    lab = make_lab(prefix + "lab", dj_conn)
    rows(lab.Subject)
    dj.config["sqlspy.enabled"] = True
    rows(lab.Subject & "subject = 1")
    dj.config["sqlspy.paper"] = "paper"
    dj.config["sqlspy.analysis"] = "fig"
    assert not home.exists()  # nothing was read yet
    rows(lab.Subject & "subject = 2")
    dj.config["sqlspy.analysis"] = "other"
    rows(lab.Subject & "subject = 3")
    with sqlspy.export("paper", "inner"):
        rows(lab.Subject & "subject = 4")
    dj.config["sqlspy.enabled"] = False
    rows(lab.Subject & "subject = 5")
    paper = sqlspy.Paper("paper")
    found = {a.name: [s.sql[-3] for s in paper.statements if s.analysis == a.name] for a in paper.analyses}
    assert {name: [n for n in "".join(numbers)] for name, numbers in found.items()} == {
        "fig": ["2"],
        "other": ["3", "4"],
        "inner": ["4"],
    }
    assert {a.state for a in paper.analyses} == {"ended"}


def test_enabled_for_a_while(prefix: str, dj_conn: Any, home: Path) -> None:
    lab = make_lab(prefix + "lab", dj_conn)
    rows(lab.Subject)
    options = {"sqlspy__enabled": True, "sqlspy__paper": "paper", "sqlspy__analysis": "fig"}
    with dj.config.override(**options) if V2 else dj.config(**options):
        rows(lab.Subject & "subject = 1")
    rows(lab.Subject & "subject = 2")
    (statement,) = sqlspy.Paper("paper").statements
    assert "subject = 1" in statement.sql
    assert [a.name for a in sqlspy.Paper("paper").analyses] == ["fig"]


def run(code: str, folder: Path, server: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script in a folder that may hold a configuration."""
    prelude = (
        "import datajoint as dj\n"
        "import dj_sqlspy as sqlspy\n"
        f"dj.config['database.host'], dj.config['database.port'] = {server.host!r}, {server.port}\n"
        f"dj.config['database.user'], dj.config['database.password'] = {server.user!r}, {server.password!r}\n"
        "dj.config['database.use_tls'] = False\n"
    )
    (folder / "my_figure.py").write_text(prelude + code)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJ_", "XDG_"))}
    return subprocess.run(
        [sys.executable, "my_figure.py"],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )


READ = "dj.conn().query('SELECT 1 FROM DUAL').fetchall()\n"


def test_environment(tmp_path: Path, server: Any) -> None:
    home = tmp_path / "home"
    done = run(
        READ, tmp_path, server, DJ_SQLSPY_ENABLED="true", DJ_SQLSPY_PAPER="p", DJ_SQLSPY_HOME=str(home)
    )
    assert done.returncode == 0, done.stderr
    (analysis,) = sqlspy.Paper("p", home).analyses
    assert (analysis.name, analysis.statements, analysis.state) == ("my_figure", 1, "ended")


@pytest.mark.parametrize("form", ["flat", "nested"] if V2 else ["flat"])
def test_configuration_file(tmp_path: Path, server: Any, form: str) -> None:
    home = tmp_path / "home"
    values = {"enabled": True, "paper": "p", "analysis": "fig", "home": str(home)}
    contents: Any = {"sqlspy": values} if form == "nested" else {f"sqlspy.{k}": v for k, v in values.items()}
    (tmp_path / ("datajoint.json" if V2 else "dj_local_conf.json")).write_text(json.dumps(contents))
    done = run(READ, tmp_path, server)
    assert done.returncode == 0, done.stderr
    assert [(a.name, a.statements) for a in sqlspy.Paper("p", home).analyses] == [("fig", 1)]
    # the environment goes before the file, and code before both
    done = run(f"dj.config['sqlspy.analysis'] = 'by code'\n{READ}", tmp_path, server, DJ_SQLSPY_PAPER="q")
    assert done.returncode == 0, done.stderr
    assert [(a.name, a.statements) for a in sqlspy.Paper("q", home).analyses] == [("by code", 1)]


def test_loading_a_file(tmp_path: Path, server: Any) -> None:
    (tmp_path / "mine.json").write_text(
        json.dumps({"sqlspy.enabled": True, "sqlspy.paper": "p", "sqlspy.home": str(tmp_path / "home")})
    )
    done = run(f"dj.config.load('mine.json')\n{READ}", tmp_path, server)
    assert done.returncode == 0, done.stderr
    assert len(sqlspy.Paper("p", tmp_path / "home").statements) == 1


def test_a_wrong_environment_does_not_break_the_import(tmp_path: Path, server: Any) -> None:
    done = run(f"{READ}print('went on')", tmp_path, server, DJ_SQLSPY_ENABLED="maybe", DJ_SQLSPY_PAPER="p")
    assert done.returncode == 0 and "went on" in done.stdout
    assert "DJ_SQLSPY_ENABLED" in done.stderr and "maybe" in done.stderr


@pytest.mark.line("2.x")
def test_thread_safe_mode_and_instances(tmp_path: Path, server: Any) -> None:
    code = (
        "import datajoint as dj, dj_sqlspy as sqlspy\n"
        f"one = dj.Instance({server.host!r}, {server.user!r}, {server.password!r}, port={server.port}, use_tls=False)\n"
        "one.config['sqlspy.paper'] = 'p'\n"
        "one.config['sqlspy.enabled'] = True\n"
        "one.connection.query('SELECT 1 FROM DUAL')\n"
        "with sqlspy.export('q', 'fig'):\n"
        "    one.connection.query('SELECT 2 FROM DUAL')\n"
        "    one.connection.query('SELECT 3 FROM DUAL')\n"
    )
    (tmp_path / "script.py").write_text(code)
    environment = os.environ | {
        "DJ_THREAD_SAFE": "true",
        "DJ_SQLSPY_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(sqlspy.Paper("p", tmp_path / "home").statements) == 3
    assert len(sqlspy.Paper("q", tmp_path / "home").statements) == 2
