"""Source data: what each analysis received, as files that its reader opens without a server."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import uuid
import zlib
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.errors import BundleError
from dj_sqlspy.journal import encode_name
from dj_sqlspy.open_copy import blobs
from dj_sqlspy.open_copy.result import EXTRA
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers.mysql.results import Result
from tests.conftest import FLAVOR
from tests.lab import V2, rows

pytestmark = pytest.mark.separately
FORMATS = ("csv", "parquet") if V2 else ("csv",)  # for what the environment of 0.14 has not
TRACE = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def lab(dj_conn: Any, prefix: str) -> Any:
    schema = dj.Schema(f"{prefix}lab", connection=dj_conn)
    blob = "<blob>" if V2 else "longblob"

    @schema
    class Trial(dj.Manual):
        definition = f"""
        trial : int
        ---
        note = null : varchar(60)  # words, as said
        weight : double            # g
        started : datetime
        seen : uuid                # by whom
        trace = null : {blob}      # mV
        """

    @schema
    class Other(dj.Manual):
        definition = """
        other : int
        """

    names = ("trial", "note", "weight", "started", "seen", "trace")
    rows = [
        (1, 'a "b",\nc', 0.1, "2026-01-02 03:04:05", uuid.UUID(int=7), TRACE),
        (2, "", 1e-300, "2026-01-02 03:04:06", uuid.UUID(int=8), {"gain": [1, 2.5], "on": True}),
        (3, None, -2.0, "2026-01-02 03:04:07", uuid.UUID(int=9), None),
        (4, "not of the paper", 0.0, "2026-01-02 03:04:08", uuid.UUID(int=9), (1, 2)),
    ]
    Trial.insert(dict(zip(names, row, strict=True)) for row in rows)
    return Trial


@pytest.fixture
def bundle(lab: Any, home: Path, tmp_path: Path) -> Bundle:
    with sqlspy.export("paper", "fig/1"):
        assert len(rows(lab & "trial < 4", order_by="trial")) == 3
        for _ in range(2):
            assert (lab & "trial = 4").fetch1("trace") == (1, 2)
        dj.conn().query(f"SELECT trial FROM {lab.full_table_name} WHERE trial = 1 OR RAND() < 0.5").fetchall()
    for name in ("FIG2", "README.md", ".."):  # folders beside each other, one named as a file is
        with sqlspy.export("paper", name):
            dj.conn().query(f"SELECT MAX(trial) FROM {lab.full_table_name}").fetchall()
    with sqlspy.export("paper", "fig2"):
        assert lab.proj(number="trial").fetch("number", order_by="number").tolist() == [1, 2, 3, 4]
    bundle = sqlspy.Paper("paper").write(tmp_path / "bundle")
    bundle.dump()
    return bundle


def test_each_analysis_has_what_it_received(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "source-data"
    made = {one.path: one for one in bundle.source_data(out, formats="csv")}
    by_chance = made.pop("fig%2F1/03-trial")
    assert by_chance.note == "can change by itself"
    assert {path: (one.rows, one.received, one.ordered) for path, one in made.items()} == {
        "fig%2F1/01-trial": (3, True, True),
        "fig%2F1/02-trial": (1, True, True),
        "FIG2/01-trial": (1, True, True),
        "README.md_2/01-trial": (1, True, True),
        "%2E./01-trial": (1, True, True),
        "fig2_2/01-trial": (4, True, True),
    }
    assert made["fig%2F1/01-trial"].undecoded == () and by_chance.undecoded == ()
    assert made["fig%2F1/02-trial"].undecoded == ()
    folder = out / "fig%2F1"
    text = (folder / "01-trial.csv").read_bytes().decode()
    assert text.splitlines()[0] == '"trial","note","weight","started","seen","trace"'
    assert '\r\n2,"",1e-300,' in text and "\r\n3,,-2," in text
    first = next(iter(csv.DictReader(text.splitlines(keepends=True))))
    assert first == {
        "trial": "1",
        "note": 'a "b",\nc',
        "weight": "0.1",
        "started": "2026-01-02 03:04:05",
        "seen": str(uuid.UUID(int=7)),
        "trace": "1.npy",
    }
    with np.load(folder / "01-trial-6.npz") as archive:
        np.testing.assert_array_equal(archive["1"], TRACE)
        assert archive["1"].dtype == TRACE.dtype
        assert json.loads(archive["2.json"]) == {"gain": [1, 2.5], "on": True}
    with np.load(folder / "02-trial-2.npz") as archive:
        assert json.loads(archive["1.json"]) == {"@tuple": [1, 2]}
    *_, sent = (folder / "01-trial.sql").read_text().splitlines()  # the connection's settings stand before it
    assert sent.startswith("SELECT ")
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "| words, as said |" in readme
    digest = made["fig%2F1/01-trial"].digest
    assert f"| `01-trial` (csv) | 1 | 3 | fixed | yes | `{digest}` |" in readme
    assert "## Columns of 02-trial\n" in readme
    assert "| fig2 | `fig2_2` | 1 | 1 |" in (out / "README.md").read_text(encoding="utf-8")
    assert all(path.stat().st_mode & 0o077 == 0 for path in [out, *out.rglob("*")])
    listed = {line.split("  ")[1] for line in (out / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert listed == there - {"SHA256SUMS"}
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=out, check=True)


def test_a_bundle_with_its_source_data(bundle: Bundle, lab: Any, tmp_path: Path, capsys: Any) -> None:
    """``write --source-data`` and `Paper.source_data` give the same; a file of another in it is kept."""
    place = tmp_path / "with"
    for _ in range(2):  # the second replaces the first
        assert main(["write", "paper", "-o", str(place), "--source-data", "--mode", "750"]) == 0
    assert f"Source data: {place}/source-data" in capsys.readouterr().out
    assert "| `source-data/` |" in (place / "README.md").read_text()
    modes = {path.stat().st_mode & 0o777 for path in (place / "source-data").rglob("*")}
    assert modes == {0o640, 0o750}
    paper = sqlspy.Paper("paper")
    made = paper.source_data(tmp_path / "alone", formats=["csv"], leave_out=["comments"])
    assert [one.path for one in made] == [
        one.path for one in bundle.source_data(tmp_path / "x", formats="csv")
    ]
    for name in ("fig2_2/01-trial.csv", "fig%2F1/01-trial.csv", "fig%2F1/01-trial.sql"):
        assert (place / "source-data" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    (place / "source-data" / "fig2_2" / "mine.txt").write_text("x")
    with pytest.raises(BundleError, match=r"not dj-sqlspy's: source-data/fig2_2/mine.txt"):
        paper.write(place)


def test_a_format_without_its_package(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("pyarrow", "xlsxwriter"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    for form, extra in (("parquet", "open"), ("xlsx", "excel"), ("ods", "csv, parquet, xlsx")):
        with pytest.raises(BundleError, match=extra):
            bundle.source_data(tmp_path / "out", formats=["csv", form])
    assert {one.formats for one in bundle.source_data(tmp_path / "out")} == {("csv",)}
    assert 'pyarrow. Install it: pip install "dj-sqlspy[open]"' in caplog.text


@pytest.mark.line("0.14")  # whose environment has no DuckDB
def test_an_open_copy_without_its_packages(
    bundle: Bundle, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in EXTRA:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["open", str(bundle.path), "-o", str(tmp_path / "copy")]) == 1
    assert 'pyarrow and duckdb. Install them: pip install "dj-sqlspy[open]"' in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_what_the_values_of_a_column_are(connection: Any) -> None:
    """By the type and the character set that the server sends, also of types that PyMySQL does not know."""
    expected = {
        "1": "number",
        "1.5e0": "number",
        "CAST(1 AS DECIMAL(5, 2))": "number",
        "'é'": "text",
        "JSON_OBJECT('a', 1)": "text",
        "CURRENT_TIMESTAMP(3)": "text",
        "CAST('-25:00:00' AS TIME)": "text",
        "X'00ff'": "bytes",
        "ST_GeomFromText('POINT(1 2)')": "bytes",
    }
    if FLAVOR == "mysql":
        expected["STRING_TO_VECTOR('[1, 2]')"] = "bytes"
    result = Result(connection, f"SELECT {', '.join(expected)}")
    (row,) = result
    declared = [column.declared for column in result.columns]
    assert declared[1:3] == ["double", "decimal(5,2)"] and declared[7] == "longblob"
    assert [column.kind for column in result.columns] == list(expected.values())
    assert list(row[3:5]) == ["é".encode(), b'{"a": 1}'] and not any(
        column.origin for column in result.columns
    )


def test_a_bundle_of_a_stranger(
    bundle: Bundle, lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in its manifest, files stay in their folder, and large blobs packed."""
    monkeypatch.setattr(blobs, "LARGEST", 1 << 20)
    packed = dj.blob.pack(np.zeros(1 << 21, np.uint8))
    again = b"ZL123\0" + len(packed).to_bytes(8, "little") + zlib.compress(packed)
    no_end = b"dj0\0F\3\0\0\0ab"  # DataJoint's decoder would go on at its beginning, as often as it is told
    longer = np.zeros(3, [("a", "u1")]), np.zeros(1, [("b", "u1")])  # and would repeat this field
    field = b"".join(dj.blob.pack(each)[len(b"dj0\0F\1\0\0\0a\0") :] for each in longer)
    table = np.array([(1, 2.5), (2, 3.5)], [("a", "<i4"), ("b", "<f8")])
    made_up = (packed, again, no_end, b"dj0\0F\2\0\0\0a\0b\0" + field, dj.blob.pack(table), packed[:-9])
    path = bundle.path / "manifest.json"
    manifest = json.loads(path.read_text())
    for column in manifest["tables"][0]["columns"]:
        column["comment"] = ":uuid:"
    first = next(one for one in manifest["statements"] if one["analysis"] == "fig2")
    lab_name = lab.full_table_name
    for analysis, sql in (
        ("../../x", f"SELECT {', '.join(f'0x{blob.hex()} AS `b{n}`' for n, blob in enumerate(made_up))}"),
        (" .", f"SELECT trace, seen FROM {lab_name} WHERE trial = 2"),
        ("<img src=x>|\x1b[31m", f"SELECT trial, (SELECT 1 FROM {lab_name} AS b WHERE b.trial <= a.trial)"
         f" AS `=1+1` FROM {lab_name} AS a"),
        ("/", f"SELECT 1 INTO OUTFILE '{tmp_path}/mark'"),
    ):  # fmt: skip
        names = [f"`a`.`../../{'ü' * 50}{n}`" for n in range(3)]
        more = {"number": len(manifest["statements"]) + 1, "analysis": analysis, "sql": sql, "tables": names}
        manifest["statements"].append({**first, **more})
    path.write_text(json.dumps(manifest))
    before = {file for file in tmp_path.rglob("*") if "out" not in file.parts}
    made = {one.analysis: one for one in Bundle(bundle.path).source_data(tmp_path / "out", formats=FORMATS)}
    assert {file for file in tmp_path.rglob("*") if "out" not in file.parts} == before
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "out").rglob("*"))
    folders = {name: tmp_path / "out" / encode_name(name) for name in made}
    folders |= {name: tmp_path / "out" / f"{name}_2" for name in ("fig2", "README.md")}
    texts = {tmp_path / "out" / name for name in ("README.md", "SHA256SUMS")}
    assert set((tmp_path / "out").iterdir()) == texts | set(folders.values())
    assert made["/"].why_not and "Subquery returns more" in made["<img src=x>|\x1b[31m"].why_not
    failed = folders["<img src=x>|\x1b[31m"]  # after its first row
    assert list(failed.iterdir()) == [failed / "README.md"]
    (rows,) = folders["../../x"].glob("*.csv")
    assert rows.read_text().splitlines()[-1] == '"1.bin","1.bin","1.bin","1.bin","1.npy","1.bin"'
    with np.load(rows.with_name(f"{rows.stem}-1.npz")) as archive:
        assert archive["1.bin"] == packed
    with np.load(rows.with_name(f"{rows.stem}-5.npz")) as archive:
        np.testing.assert_array_equal(archive["1"], table)
    (rows,) = folders[" ."].glob("*.csv")
    assert rows.read_text().split()[-1] == f'"1.json","{uuid.UUID(int=8)}"'
    for readme in (tmp_path / "out").rglob("README.md"):
        assert readme.is_dir() or "<img" not in readme.read_text()


def test_a_folder_with_files_is_not_touched(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("x")
    with pytest.raises(BundleError, match="it exists"):
        bundle.source_data(tmp_path / "there")
    bundle.dump_file.unlink()
    with pytest.raises(BundleError, match="dj-sqlspy dump"):
        bundle.source_data(tmp_path / "new")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["mine"]
    assert not (tmp_path / "new").exists()


def test_what_was_left_out_has_no_file(bundle: Bundle, lab: Any, tmp_path: Path, capsys: Any) -> None:
    """No value of an excluded column, and no row outside of a bound, is in a file."""
    written = sqlspy.Paper("paper").write(
        tmp_path / "less", exclude=[f"{lab.full_table_name}.note"], only=lab & "trial < 3"
    )
    written.dump()
    assert main(["source-data", str(written.path), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "reads excluded columns, not replayed" in said
    assert "no: needs rows that were left out" in " ".join(said.replace("│", " ").split())
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"trial" in everything and b'a ""b""' not in everything
    numbers = tmp_path / "out" / "fig2_2" / "01-trial.csv"
    assert numbers.read_text().split() == ['"number"', "1", "2"]
