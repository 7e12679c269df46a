"""``--with-code``: the bundle has the captured scripts and notebooks as they ran, and no other files."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datajoint as dj
import jsonschema
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.errors import BundleError
from dj_sqlspy.journal import programs
from dj_sqlspy.paper.bundle import Bundle
from tests.test_launch import CONNECT, finish, kernel, notebook, place, python, write
from tests.test_publish import manifest_schema

# nothing here depends on the server
pytestmark = pytest.mark.flavor("mariadb")

__all__ = ["kernel", "place", "python"]

OUTPUT = "a row of another project"


@pytest.fixture
def read(prefix: str, dj_conn: Any) -> Callable[[int], str]:
    """Code that reads a row."""
    schema = dj.Schema(f"{prefix}lab", connection=dj_conn)

    @schema
    class Subject(dj.Manual):
        definition = "subject : int"

    Subject.insert((n,) for n in range(5))
    name = Subject().full_table_name
    return lambda n: f"len(dj.FreeTable(dj.conn(), {name!r}) & 'subject = {n}')"


def commit(folder: Path) -> str:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "1"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()


def test_the_code_of_a_paper(
    python: Path, place: Any, tmp_path: Path, home: Path, read: Any, kernel: Any, capsys: Any
) -> None:
    work = tmp_path / "work"
    one = write(tmp_path, "a/fig.py", CONNECT, "import helper", read(1))
    write(tmp_path, "a/helper.py", "# imported, and no program")
    other = write(
        tmp_path,
        "b/fig.py",
        CONNECT,
        "import dj_sqlspy",
        f"with dj_sqlspy.export('p', 'two'):\n    {read(2)}",
    )
    pages = notebook(work / "pages.ipynb", CONNECT, read(3))
    text = json.loads(pages.read_text())
    text["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": OUTPUT}]
    pages.write_text(json.dumps(text))
    head = commit(work)
    run = [python.parent / "dj-sqlspy", "run", "--paper", "p"]
    for command in ([*run, "--analysis", "one", one], [python, other], [*run, "--analysis", "three", pages]):
        code, _, err = finish(place(*command, env=kernel))
        assert code == 0, err

    folder = tmp_path / "bundle"
    assert main(["write", "p", "-o", str(folder), "--with-code"]) == 0
    assert "Code: code/fig.py (as it ran)" in capsys.readouterr().out
    manifest = Bundle(folder).manifest
    jsonschema.Draft202012Validator(manifest_schema()).validate(manifest)
    found = {entry["path"]: entry for entry in manifest["code"]}
    assert {path: entry["analyses"] for path, entry in found.items()} == {
        "code/fig.py": ["one"],
        "code/fig-2.py": ["two"],
        "code/pages.ipynb": ["three"],
    }
    assert {file.name for file in (folder / "code").iterdir()} == {"fig.py", "fig-2.py", "pages.ipynb"}
    assert (folder / "code" / "fig.py").read_bytes() == one.read_bytes()
    copied = (folder / "code" / "pages.ipynb").read_text()
    assert OUTPUT not in copied and json.loads(copied)["cells"][1]["source"] == text["cells"][1]["source"]
    crate = {
        entry["@id"]: entry for entry in json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    }
    for path, entry in found.items():
        assert entry["sha256"] == hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert (entry["state"], entry["git"]) == ("as it ran", {"commit": head, "dirty": False})
        assert (
            crate[path]["@type"] == ["File", "SoftwareSourceCode"]
            and crate[path]["sha256"] == entry["sha256"]
        )
        assert f"`{path}`" in (folder / "README.md").read_text()
        assert path in (folder / "report.html").read_text()

    # written again: a program that was changed since, one that is gone
    one.write_text(one.read_text() + "# changed")
    other.unlink()
    again = sqlspy.Paper("p").write(folder, with_code=True)
    states = {entry["path"]: entry["state"] for entry in again.manifest["code"]}
    assert states == {"code/fig.py": "changed", "code/fig-2.py": "missing", "code/pages.ipynb": "as it ran"}
    assert again.manifest["code"][0]["git"] is None or again.manifest["code"][0]["git"]["dirty"]
    assert not (folder / "code" / "fig-2.py").exists()
    assert "Code of the analyses is not here as it ran." in (folder / "report.html").read_text()
    (folder / "code" / "mine.py").write_text("")
    with pytest.raises(BundleError, match=r"not dj-sqlspy's: code/mine\.py"):
        again = sqlspy.Paper("p").write(folder)
    (folder / "code" / "mine.py").unlink()
    assert sqlspy.Paper("p").write(folder).manifest["code"] == [] and not (folder / "code").exists()


def test_what_is_no_program_of_the_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert programs.current() is None  # pytest
    module = type(programs)("__main__")
    monkeypatch.setitem(__import__("sys").modules, "__main__", module)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert programs.current() is None  # python without a file
    assert programs.name() == "interactive"
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "open.ipynb"))
    assert programs.current() == {"path": str(tmp_path / "open.ipynb"), "sha256": None}
    assert programs.name() == "open"  # so that a capture by settings does not replace another notebook's
    module.__file__ = str(tmp_path / "gone.py")
    assert programs.current() is None and programs.name() == "gone"
