"""The environment of the analyses: recorded at the capture, compared and told; git runs nothing of a stranger."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import datajoint as dj
import jsonschema
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.bundle import environment as environments
from dj_sqlspy.bundle.environment import differences
from dj_sqlspy.bundle.privacy import told_of
from dj_sqlspy.cli import main
from dj_sqlspy.journal import environment, journal_line
from dj_sqlspy.journal.git import git_state
from dj_sqlspy.paper.bundle import Bundle
from tests.lab import PRELUDE, ROOT, start_script
from tests.test_programs import commit
from tests.test_publish import manifest_schema

# nothing here depends on the line and the kind of server
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("mariadb")]

# An analysis, of which one has a process of its own that reads too, and another is killed.
ANALYSIS = """
import multiprocessing
import helper
import dj_sqlspy as sqlspy

def read(number):
    connect()
    return len(dj.FreeTable(dj.conn(), os.environ["TABLE"]) & {"subject": number})

if __name__ == "__main__":
    with sqlspy.export("p", os.environ["ANALYSIS"]):
        read(1)
        if os.environ["ANALYSIS"] == "two":
            os.kill(os.getpid(), 9)
        process = multiprocessing.get_context("spawn").Process(target=read, args=(2,))
        process.start()
        process.join()
"""


def wheel(folder: Path, name: str, version: str) -> Path:
    """A package without code, as an index has it."""
    path, notes = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            f"{notes}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: x"
        )
        file.writestr(f"{notes}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{notes}/RECORD", f"{notes}/METADATA,,\n{notes}/WHEEL,,\n{notes}/RECORD,,\n")
    return path


def test_two_environments(
    server: Any, home: Path, tmp_path: Path, prefix: str, dj_conn: Any, capsys: Any
) -> None:
    schema = dj.Schema(f"{prefix}lab", connection=dj_conn)

    @schema
    class Subject(dj.Manual):
        definition = "subject : int"

    Subject.insert((n,) for n in range(5))
    wheels, work = tmp_path / "wheels", tmp_path / "work"
    wheels.mkdir(), work.mkdir()
    own = wheel(wheels, "lab_tools", "0.1")
    for version in ("1.0", "2.0"):
        wheel(wheels, "Plotting", version)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-qq",
            "--no-index",
            "--no-deps",
            "--find-links",
            wheels,
        ]
        subprocess.run([*pip, "--target", tmp_path / version, f"plotting=={version}", own], check=True)
    (work / "helper.py").write_text("")
    (work / "script.py").write_text(PRELUDE + ANALYSIS)
    head = commit(work)
    for analysis, version, change, code in (
        ("one", "1.0", "", 0),
        ("two", "2.0", "changed = 1", -signal.SIGKILL),
    ):
        (work / "helper.py").write_text(change)
        told = {"ANALYSIS": analysis, "TABLE": Subject().full_table_name}
        told["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(tmp_path / version)])
        ended = start_script(ANALYSIS, server, "", home, work, environment=told)
        _, err = ended.communicate()
        assert ended.returncode == code, err

    paper = sqlspy.Paper("p")
    files = [file.read_text() for file in paper.newest()["one"].glob("*.journal")]
    assert (
        len(files) == 2 and sum('"about":' in text for text in files) == 1
    )  # each environment once in a run
    assert {each.what: dict(each.values) for each in paper.environment_differences} == {
        "git commit": {head[:12]: ("one",), f"{head[:12]} and changes": ("two",)},
        "Plotting": {"1.0": ("one",), "2.0": ("two",)},
    }
    one, two = paper.environments
    assert one["packages"]["datajoint"] == two["packages"]["datajoint"] == dj.__version__
    assert one["python"] == ".".join(map(str, sys.version_info[:3])) and "lab_tools" in one["own"]
    (version,) = one["analyses"][0]["servers"]
    assert dj_conn.query("SELECT VERSION()").fetchone() == (version,)
    for text in (str(tmp_path), str(Path.home()), server.host):
        assert text not in json.dumps(paper.environments)

    said = "The analyses did not run in the same environment: "
    said += f"git commit {head[:12]} (one), {head[:12]} and changes (two); Plotting 1.0 (one), 2.0 (two).\n"
    for command in (
        ["show", "p"],
        ["slice", "p"],
        ["write", "p", "-o", str(tmp_path / "bundle"), "--allow-unfinished"],
    ):
        assert main(command) == 0
        assert said in capsys.readouterr().out
    bundle = Bundle(tmp_path / "bundle")
    jsonschema.Draft202012Validator(manifest_schema()).validate(bundle.manifest)
    assert bundle.manifest["environments"] == paper.environments
    for file, analysis, version in (("requirements.txt", "one", "1.0"), ("requirements-2.txt", "two", "2.0")):
        lines = (bundle.path / file).read_text().splitlines()
        assert lines[0] == f"# the environment of {analysis}" and f"Plotting=={version}" in lines
        assert f"datajoint=={dj.__version__}" in lines and "# not from an index: lab_tools==0.1" in lines
        assert not any(line.startswith("lab_tools") for line in lines)
        assert f"(`{file}`); git commit `{head}`" in (bundle.path / "README.md").read_text()
    assert "Plotting: 1.0 (one), 2.0 (two)" in (bundle.path / "report.html").read_text()

    found = {each.what: each.examples for each in told_of(bundle.manifest["environments"])}
    assert head in found["git commit"] and "lab_tools" in found["package of a folder or repository"]

    bundle = paper.write(tmp_path / "bundle", leave_out=["environment"], allow_unfinished=True)
    assert bundle.manifest["environments"] == [] and not (bundle.path / "requirements.txt").exists()
    assert not any(b"lab_tools" in file.read_bytes() for file in bundle.path.iterdir())

    # a journal of a dj-sqlspy that did not record it
    statements = paper.statements
    for file in paper.newest()["two"].glob("*.journal"):
        kept = [json.loads(line[9:]) for line in file.read_bytes().splitlines()]
        kept = [each for each in kept if next(iter(each)) not in ("environment", "server", "modules")]
        kept[0].pop("git", None)
        file.write_bytes(b"".join(map(journal_line, kept)))
    older = sqlspy.Paper("p")
    assert older.statements == statements and older.complete and not older.environment_differences
    assert main(["show", "p"]) == 0
    assert "The environment is not on record of two." in capsys.readouterr().out


def test_many_differences(capsys: Any) -> None:
    """They are a table."""
    from dj_sqlspy.cli.terminal import print_environments

    common = {"implementation": "CPython", "system": "Linux x86_64", "own": []}
    record = [{"name": "mkl", "version": "1", "build": "h", "channel": "c"}]
    entries = [
        {
            **common,
            "python": "3.11.7",
            "packages": {"A_b": "1", "numpy": "1"},
            "conda": record,
            "analyses": [],
        },
        {**common, "python": "3.12", "packages": {"a-b": "1"}, "conda": None, "analyses": []},
    ]
    for names, entry in zip((["f1", "f2", "f3", "f4"], ["g"]), entries, strict=True):
        entry["analyses"] = [{"name": name, "git": [], "servers": [], "imported": None} for name in names]
    assert [each.what for each in differences(entries)] == ["Python", "mkl (conda)", "numpy"]
    print_environments(entries, ["g"])
    said = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert said[0] == "The analyses did not run in the same environment: 3 differences."
    for entry in entries:
        entry["packages"]["pytest"] = entry["python"]
        for one in entry["analyses"]:
            one["imported"] = ["numpy"]
    assert [each.what for each in differences(entries)] == ["Python", "numpy", "mkl (conda)", "pytest"]
    print_environments(entries, ["g"])
    assert capsys.readouterr().out == (
        "The analyses did not run in the same environment: Python 3.11.7 (f1, f2, f3, and 1 more), 3.12 (g); "
        "numpy 1 (f1, f2, f3, and 1 more), not installed (g); 2 differences in packages that they did not import.\n"
    )
    assert said[2] == "Python       3.11.7 (f1, f2, f3, and 1 more), 3.12 (g)"


def test_conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = tmp_path / "conda-meta"
    notes.mkdir()
    for name, channel in (
        ("python", "https://conda.anaconda.org/conda-forge/linux-64"),
        ("lib-mkl", "defaults"),
    ):
        about = {"name": name, "version": "1.2", "build": "h1", "channel": channel, "subdir": "linux-64"}
        (notes / f"{name}-1.2-h1.json").write_text(json.dumps(about, indent=2))
    secret = {"arch": None, "channel": "https://user:t0ken@lab.org/t/x/ours", "files": ["f" * 50] * 200}
    (notes / "own-1-0.json").write_text(json.dumps(secret, indent=2))
    (notes / "history").write_text("")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(environment, "_answers", {})
    (entry,) = environments.own_environment()
    text = environments.texts([entry])["environment.yml"]
    assert '  - "conda-forge"\n' in text and '  - "python=1.2=h1"\n' in text and '  - "ours"\n' in text
    assert '  - "lib-mkl=1.2=h1"\n' in text
    assert "t0ken" not in text and "lab.org" not in json.dumps(entry)


GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "protocol.file.allow=always"]


def git(folder: Path, *command: str) -> None:
    subprocess.run([*GIT, *command], cwd=folder, check=True, capture_output=True)


def test_the_state_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, other = tmp_path / "work", tmp_path / "other"
    for folder in (work, other):
        (folder / "sub").mkdir(parents=True)
        assert git_state(folder) is None  # no repository
        git(folder, "init", "-q")
        assert git_state(folder) is None  # no commit
        (folder / "a.py").write_text(folder.name)
    head, _ = commit(work), commit(other)
    clean = {"commit": head, "dirty": False}
    (work / "notes").write_text("git does not know this file")
    assert git_state(work) == git_state(work / "sub") == clean
    # in a hook of another repository
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert git_state(work) == clean
    monkeypatch.delenv("GIT_DIR"), monkeypatch.delenv("GIT_INDEX_FILE")
    # a work tree of it, and a module in another repository
    git(work, "worktree", "add", "-q", str(tmp_path / "tree"))
    git(other, "submodule", "add", "-q", str(work), "module")
    assert git_state(tmp_path / "tree") == git_state(other / "module") == clean
    (work / "a.py").write_text("2")
    assert git_state(work) == {**clean, "dirty": True}
    # git in the current folder is not the user's; one that hangs is not waited for
    real, fake = shutil.which("git"), tmp_path / "bin" / "git"
    fake.parent.mkdir()
    for words, found in (
        ("exec sleep 60", None),
        (f'case "$*" in *status*) exec sleep 60; esac; exec {real} "$@"', {**clean, "dirty": None}),
    ):
        fake.write_text(f"#!/bin/sh\n{words}\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        assert git_state(work, 0.5) == found
    monkeypatch.setenv("PATH", ".")
    monkeypatch.chdir(fake.parent)
    assert git_state(work) is None
    monkeypatch.undo()
    (work / ".git" / "config").write_text("[broken")
    assert git_state(work) is None


def test_nothing_of_a_repository_is_run(tmp_path: Path) -> None:
    """Monitors, hooks and filters that a repository names in its configuration, which is a stranger's."""
    work, ran = tmp_path / "work", tmp_path / "ran"
    work.mkdir()
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\necho "$0 $*" >> {ran}\nexec cat\n')
    script.chmod(0o755)
    for name in ("a.py", "b.dat", "c.nb"):
        (work / name).write_text("1\n")
    (work / ".gitattributes").write_text("*.dat filter=one\n*.nb filter=two.three\n")
    head = commit(work)
    hooks = work / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    shutil.copy(script, hooks / "post-index-change")
    (work / ".git" / "more").write_text(f'[filter "two.three"]\n  process = {script}\n  required\n')
    for name, value in (
        ("core.fsmonitor", script),
        ("core.pager", script),
        ("diff.external", script),
        ("filter.one.clean", script),
        ("include.path", "more"),
    ):
        git(work, "config", name, str(value))

    def touch() -> None:
        for number, name in enumerate(("a.py", "b.dat", "c.nb")):
            os.utime(work / name, (number, number))  # so that git has to look into them

    touch()
    assert git_state(work) == {"commit": head, "dirty": False}
    # only a filter could tell whether it has changed
    (work / "b.dat").write_text("2\n")
    assert git_state(work) == {"commit": head, "dirty": None}
    (work / "a.py").write_text("2\n")
    assert git_state(work) == {"commit": head, "dirty": True}
    assert not ran.exists()
    touch()
    subprocess.run(["git", "status", "--porcelain"], cwd=work, capture_output=True)
    assert ran.exists()  # git by itself runs them
    ran.unlink()
    git(work, "config", "filter.a=b.clean", str(script))  # one that cannot be switched off
    assert git_state(work) == {"commit": head, "dirty": None} and not ran.exists()
