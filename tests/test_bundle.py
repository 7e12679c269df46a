"""Writing bundles from papers: by the API and the command line, complete or not, drifted or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy import atomic
from dj_sqlspy.bundle.folder import FILES
from dj_sqlspy.cli import main
from dj_sqlspy.errors import BundleError, SpyError
from dj_sqlspy.paper.bundle import Bundle, write_bundle

pytestmark = pytest.mark.separately


@pytest.fixture
def table(dj_conn: Any, prefix: str) -> Any:
    schema = dj.Schema(f"{prefix}lab", connection=dj_conn)

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        ---
        name : varchar(30)
        """

    Subject.insert((n, f"subject {n}") for n in range(5))
    return Subject


@pytest.fixture
def paper(table: Any, home: Path) -> sqlspy.Paper:
    with sqlspy.export("paper", "fig1"):
        assert len(table & "subject < 2") == 2
    with sqlspy.export("paper", "fig 2 😀"):
        assert (table & {"name": "subject 4"}).fetch1("subject") == 4
    return sqlspy.Paper("paper")


def test_paper_write(paper: sqlspy.Paper, table: Any, tmp_path: Path) -> None:
    bundle = paper.write(tmp_path / "deep" / "paper")
    assert bundle == Bundle(tmp_path / "deep" / "paper")
    manifest = bundle.manifest
    assert (manifest["paper"], manifest["complete"], manifest["drift"]) == ("paper", True, [])
    assert {entry["analysis"] for entry in manifest["statements"]} == {"fig1", "fig 2 😀"}
    assert manifest["tables"][0]["name"] == table.full_table_name
    assert (manifest["tables"][0]["rows"], manifest["tables"][0]["total_rows"]) == (3, 5)
    assert sum(manifest["tables"][0]["reasons"].values()) == 3
    assert [schema["charset"] for schema in manifest["schemas"]] == ["utf8mb4"]
    assert bundle.dump().exists()


def test_write_and_verify_on_the_command_line(paper: sqlspy.Paper, tmp_path: Path, capsys: Any) -> None:
    folder = str(tmp_path / "paper")
    assert main(["write", "paper", "-o", folder]) == 0
    assert main(["dump", folder]) == 0
    assert main(["verify", folder]) == 0
    said = capsys.readouterr().out
    assert "read by a statement" in said and "fig1" in said and "NOT EQUAL" not in said
    assert main(["write", "nobody's", "-o", folder]) == 1


def test_drift_is_refused_unless_accepted(
    paper: sqlspy.Paper, table: Any, tmp_path: Path, capsys: Any
) -> None:
    (table & "subject = 4").delete_quick()
    with pytest.raises(BundleError, match="1 rows then, 0 now"):
        paper.write(tmp_path / "paper")
    assert not (tmp_path / "paper").exists()
    assert main(["write", "paper", "-o", str(tmp_path / "paper")]) == 1
    assert "--accept-drift" in capsys.readouterr().err
    assert main(["write", "paper", "-o", str(tmp_path / "paper"), "--accept-drift"]) == 0
    assert [entry["then"] for entry in Bundle(tmp_path / "paper").manifest["drift"]] == [1]
    assert Bundle(tmp_path / "paper").verify().equal


def test_an_incomplete_capture_is_refused_unless_allowed(
    paper: sqlspy.Paper, home: Path, tmp_path: Path, capsys: Any
) -> None:
    journal = max((file for file in home.rglob("*") if file.is_file()), key=lambda file: file.stat().st_mtime)
    damaged = bytearray(journal.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    journal.write_bytes(damaged)
    paper = sqlspy.Paper("paper")
    assert not paper.complete
    with pytest.raises(SpyError, match="incomplete"):
        paper.write(tmp_path / "paper")
    with pytest.raises(BundleError, match="incomplete"):
        write_bundle(paper.slice(), tmp_path / "paper", paper=paper)
    assert main(["write", "paper", "-o", str(tmp_path / "paper")]) == 1
    assert not (tmp_path / "paper").exists()
    assert main(["write", "paper", "-o", str(tmp_path / "paper"), "--allow-incomplete"]) == 0
    manifest = Bundle(tmp_path / "paper").manifest
    assert manifest["complete"] is False and manifest["problems"]


def test_no_path_of_the_author_is_in_a_bundle(paper: sqlspy.Paper, tmp_path: Path) -> None:
    journal = next(paper.home.glob("paper/fig1/*/*"))
    journal.write_bytes(journal.read_bytes() + b"00000000 damaged\n")
    bundle = sqlspy.Paper("paper").write(tmp_path / "bundle", allow_incomplete=True)
    (problem,) = bundle.manifest["problems"]
    assert problem.startswith("paper/fig1/") and "is damaged" in problem
    for file in bundle.path.iterdir():
        assert str(paper.home).encode() not in file.read_bytes(), file


@pytest.mark.parametrize("displays", [0, 2])
def test_a_paper_that_exports_nothing_is_not_written(
    table: Any, home: Path, tmp_path: Path, displays: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlspy.export("paper", "fig"):
        for _ in range(displays):
            repr(table & "subject < 3")
    folder = tmp_path / "bundle"
    assert main(["write", "paper", "-o", str(folder)]) == 1
    said = capsys.readouterr().err
    assert "nothing that the analyses of paper 'paper' read is exported" in said and not folder.exists()
    assert ('preview="rows"' in said) == bool(displays)
    with sqlspy.export("paper", "fig", preview="rows"):
        repr(table & "subject < 3")
    assert sqlspy.Paper("paper").write(folder).manifest["tables"][0]["rows"] == 3


def test_a_name_that_ends_with_a_backtick_is_found_again(
    dj_conn: Any, prefix: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema, name = f"{prefix}lab`", f"`{prefix}lab```.`odd```"
    dj_conn.query(f"CREATE DATABASE `{schema.replace('`', '``')}`")
    dj_conn.query(f"CREATE TABLE {name} (id INT PRIMARY KEY, `x``` INT)")
    dj_conn.query(f"INSERT INTO {name} VALUES (1, 10), (2, 20), (3, 30)")
    with sqlspy.export("paper", "fig"):
        dj_conn.query(f"SELECT `x``` FROM {name} WHERE id < 3").fetchall()
    paper = sqlspy.Paper("paper")
    assert paper.slice().keys(name) == {(1,), (2,)}
    assert main(["why", "paper", name, "id=2"]) == 0 and "read by" in capsys.readouterr().out
    bundle = paper.write(tmp_path / "bundle", exclude=[f"{name}.`x```"])
    bundle.dump()
    found = bundle.verify()
    assert found.equal and not found.different_tables, str(found)


def test_drift_names_a_statement_once(paper: sqlspy.Paper, table: Any, tmp_path: Path) -> None:
    with sqlspy.export("paper", "loop"):
        for number in range(3):
            (table & {"subject": number}).fetch1("name")
        (table & {"subject": 1}).fetch1("name")
    (table & {"subject": 1}).delete_quick()
    table.insert1((1, "another"))
    with pytest.raises(BundleError, match="2 of its statements") as error:
        sqlspy.Paper("paper").only("loop").write(tmp_path / "bundle")
    listed = [line for line in str(error.value).splitlines() if "other values" in line]
    assert len(listed) == len(set(listed)) == 2


def test_what_a_killed_process_left_does_not_stop_a_write(paper: sqlspy.Paper, tmp_path: Path) -> None:
    bundle = paper.write(tmp_path / "paper")
    (bundle.path / f"{atomic.PARTIAL}abc").write_text("half of a repo")
    paper.write(tmp_path / "paper")
    assert {path.name for path in bundle.path.iterdir()} <= FILES
    for path in bundle.path.iterdir():
        assert path.stat().st_mode & 0o777 == (0o700 if path.suffix == ".sh" else 0o600)
    (bundle.path / "notes").write_text("of the lab")
    with pytest.raises(BundleError, match="notes"):
        paper.write(tmp_path / "paper")


def test_a_newer_format_is_refused(paper: sqlspy.Paper, tmp_path: Path) -> None:
    bundle = paper.write(tmp_path / "paper")
    text = (bundle.path / "manifest.json").read_text().replace('"format_version": 1', '"format_version": 99')
    (bundle.path / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="format version is 99"):
        Bundle(bundle.path)
