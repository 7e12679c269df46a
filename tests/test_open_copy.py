"""Open copy: the slice in Parquet and DuckDB has the server's values, and its views the server's answers."""

from __future__ import annotations

import contextlib
import csv
import datetime
import decimal
import doctest
import hashlib
import importlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import datajoint as dj
import mlcroissant
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy import compat, open_copy
from dj_sqlspy.cli import main
from dj_sqlspy.demo.pipeline import declare, fill
from dj_sqlspy.errors import BundleError
from dj_sqlspy.open_copy import answers, excel, parquet
from dj_sqlspy.open_copy.columns import kept
from dj_sqlspy.open_copy.database import Database, Different
from dj_sqlspy.open_copy.decoded import write_decoded
from dj_sqlspy.open_copy.result import DecodedColumn, OpenCopy
from dj_sqlspy.open_copy.resultfiles import shown_columns, write_result
from dj_sqlspy.open_copy.spool import Spool
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.columns import Column
from dj_sqlspy.servers.results import ResultColumn
from tests.conftest import drop_schemas
from tests.every_type import COLUMNS, KINDS, LONG, WIDE, make_kinds, opened
from tests.lab import ROOT

pytestmark = pytest.mark.line("2.x")  # what is in a bundle does not depend on the line

LAB, RECORDING = "open_lab", "open_recording"
ID = next(f"c{number}" for number, kind in enumerate(COLUMNS) if "uuid" in kind)
LATIN1 = next(f"c{number}" for number, kind in enumerate(COLUMNS) if kind.endswith("latin1"))
LONGEST = next(f"c{number}" for number, kind in enumerate(COLUMNS) if kind == "decimal(65,30)")

# SELECTs that DuckDB answers as the servers do, with what is told of them.
ALIKE = {
    f"SELECT animal FROM {LAB}.animal WHERE project = 'MÉMORY' ORDER BY animal": {"order of texts"},
    f"SELECT reason FROM {RECORDING}.exclusion WHERE reason LIKE '%(50\\%)'": set(),
    f"SELECT project, animal, COUNT(*) AS n FROM {LAB}.animal NATURAL JOIN {RECORDING}.session GROUP BY animal": set(),
    f"SELECT project, threshold FROM {LAB}.`#project` NATURAL JOIN {RECORDING}.`#threshold`": set(),
    f"SELECT animal, AVG(trial) AS mean FROM {RECORDING}.session__trial GROUP BY animal": {"AVG"},
    f"SELECT a.project, b.project FROM {LAB}.animal a JOIN {LAB}.`#project` b ON a.project = b.project"
    " WHERE a.animal = _utf8mb4'M001'": set(),
    f"SELECT id, c0 FROM {KINDS}.every WHERE {ID} = X'{uuid.UUID(int=7).hex}'": set(),
    f"SELECT trace FROM {RECORDING}.session__trial WHERE trial > 1000": {"no row to compare"},
    f"SELECT UPPER(animal) AS a FROM {LAB}.animal": {"UPPER()"},
    f"SELECT id FROM {KINDS}.`{WIDE}`": set(),
    f"SELECT MAX(sex) AS s FROM {LAB}.animal": {"ENUM, SET"},
}
# SELECTs that it does not answer as they do, and why there is no view.
OTHERWISE = {
    f"SELECT animal, DAYOFWEEK(session_date) AS d FROM {RECORDING}.session": "other values of d",
    f"SELECT animal FROM {LAB}.animal WHERE animal REGEXP '^m'": "0 rows, the server 4",
    f"SELECT sex FROM {LAB}.animal WHERE animal < 'B' ORDER BY FIELD(sex, 'M', 'F')": "field",
    f"SELECT animal FROM {LAB}.animal WHERE ~0 < 0": "more rows than the server",
    f"SELECT `on` FROM {KINDS}.odd": "other values of on",
    f"SELECT {LONGEST} FROM {KINDS}.every": f"other values of {LONGEST}",
    f"SELECT animal FROM {LAB}.animal WHERE animal = @mine": "variable @mine",
}


@dataclass(frozen=True)
class Written:
    """A bundle, its open copy, and what the analysis received by the text of its statement."""

    bundle: Bundle
    copy: OpenCopy
    received: dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def written(server: Server, dj_conn: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Tables of all types, a small laboratory, and analyses of both."""
    place = tmp_path_factory.mktemp("open")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJ_SQLSPY_HOME", str(place / "home"))
        make_kinds(dj_conn)
        lab = declare(dj_conn, "open_")
        fill(lab)
        received = {}
        with dj.config.override(connection__charset="latin1"):
            dj_conn.connect()
        with sqlspy.export("paper", "figure-1"):
            dj_conn.query(f"SELECT {LATIN1} FROM {KINDS}.every").fetchall()
        dj_conn.connect()
        mode = dj_conn.query("SELECT @@sql_mode").fetchone()[0]
        dj_conn.query(f"SET SESSION sql_mode = '{mode.replace('ONLY_FULL_GROUP_BY', '')}'")
        with sqlspy.export("paper", "by hand"):
            for text in (*ALIKE, *OTHERWISE):
                received[text] = list(dj_conn.query(text.replace("%", "%%")).fetchall())
        dj_conn.query(f"SET SESSION sql_mode = '{mode}'")
        with sqlspy.export("paper", "figure-2"):
            memory = lab.Animal & 'project = "memory"'
            usable = (lab.Session & memory) - lab.Exclusion
            hits = usable.aggr(lab.Session.Trial & 'outcome = "hit"', ..., hits="count(*)", last="max(trial)")
            assert len(usable) == 10 and len(hits.to_dicts()) == 10
            (lab.Session.Trial & 'animal = "M001"' & "trial < 3").to_dicts()
        bundle = sqlspy.Paper("paper").write(place / "bundle")
        bundle.dump()
        yield Written(bundle, bundle.open_copy(place / "copy"), received)
    dj_conn.connect()
    drop_schemas(server, [KINDS, LAB, RECORDING])


def test_a_view_returns_what_the_server_returned(written: Written) -> None:
    statements = written.copy.statements
    assert all(one.view and one.received for one in statements if one.analysis != "by hand")
    by_hand = {one.sql: one for one in statements if one.analysis == "by hand"}
    with opened(written.copy.path) as database:
        for sql, cautions in ALIKE.items():
            one = by_hand[sql]
            assert one.view and one.received, (sql, one.why_not)
            rows = database.execute(f'SELECT * FROM "{one.view}"').fetchall()
            assert Counter(rows) == Counter(written.received[sql]), sql
            assert {words.partition(":")[0] for words in one.cautions} == cautions, sql
            comment = "SELECT comment FROM duckdb_views() WHERE view_name = ?"
            assert database.execute(comment, [one.view]).fetchone()[0].endswith("by hand (data)")
    assert written.copy.equal == len(statements) - len(OTHERWISE)


def test_a_statement_without_a_view_is_named_with_the_reason(written: Written) -> None:
    readme = (written.copy.path / "README.md").read_text(encoding="utf-8")
    with opened(written.copy.path) as database:
        rows = database.execute("SELECT sql, why_not, number FROM _statements WHERE view IS NULL").fetchall()
        views = database.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    assert {sql for sql, _, _ in rows} == set(OTHERWISE)
    for sql, why_not, number in rows:
        assert OTHERWISE[sql] in why_not, sql
        assert f"- Statement {number} of by hand: " in readme
    assert {view for (view,) in views} == {one.view for one in written.copy.statements if one.view}
    total = sum(len(one.numbers) for one in written.copy.statements)
    assert f"The analyses sent {total} queries. {written.copy.equal} of them have a view" in readme


def test_the_readme_opens_it(written: Written) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (written.copy.path / "README.md").read_text(), re.DOTALL)
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=written.copy.path, capture_output=True, text=True
    )
    assert ended.returncode == 0 and "animal" in ended.stdout, ended.stderr
    paths = [written.copy.path, *written.copy.path.rglob("*")]
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths)
    described = {"datapackage.json", "croissant.json", "ro-crate-metadata.json"}
    assert {path.name for path in written.copy.path.iterdir()} == {
        "README.md",
        "report.html",
        "slice.duckdb",
        "tables",
        "decoded",
    } | described


def test_the_package_says_what_is_in_the_folder(written: Written) -> None:
    package = json.loads((written.copy.path / "datapackage.json").read_text(encoding="utf-8"))
    described = {one["path"]: one for one in package["resources"]}
    blobs = {one.path for table in written.copy.tables for one in table.decoded if one.path}
    tables = {one.path for one in written.copy.tables}
    pages = {"README.md", "report.html", "croissant.json"}
    assert {*described} == tables | blobs | pages | {"slice.duckdb"}
    schema = described[f"tables/{RECORDING}.session__trial.parquet"]["schema"]
    assert schema["primaryKey"] == ["animal", "session_date", "trial"]
    key = {"resource": f"{RECORDING}.session", "fields": ["animal", "session_date"]}
    assert schema["foreignKeys"] == [{"fields": key["fields"], "reference": key}]
    every = described[f"tables/{KINDS}.every.parquet"]
    assert every["description"] == "it's all" and every["rows"] == 3
    kinds = {field["sqlType"].split()[0]: field["type"] for field in every["schema"]["fields"]}
    assert kinds["decimal(38,10)"] == "number" and kinds["datetime(6)"] == "datetime"
    assert kinds["longblob"] == kinds["time(6)"] == "any" and kinds["enum('low','high')"] == "string"
    crate = json.loads((written.copy.path / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    files = {one["name"]: one["sha256"] for one in crate["@graph"] if "sha256" in one}
    assert {f"sha256:{files[path]}" for path in described} == {one["hash"] for one in described.values()}


def test_croissant_reads_it(written: Written) -> None:
    """Its own reader accepts the description, and reads the rows by it."""
    copy = mlcroissant.Dataset(jsonld=str(written.copy.path / "croissant.json"))
    assert not copy.metadata.ctx.issues.errors
    read = list(copy.records(f"rows-decoded-{RECORDING}.session__trial.trace"))
    (table,) = (one for one in written.copy.tables if one.name.endswith("`session__trial`"))
    assert len(read) == table.rows
    arrow = pq.read_table(written.copy.path / "decoded" / f"{RECORDING}.session__trial.trace.parquet")
    first, names = arrow.slice(0, 1).to_pylist()[0], {name.rpartition("/")[2]: name for name in read[0]}
    assert read[0][names["trace"]] == first["trace"] and read[0][names["trial"]] == first["trial"]


def test_a_changed_copy_is_found(written: Written, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(written.copy.path, folder)
    assert sqlspy.check_open_copy(folder) == [] and main(["verify", str(folder)]) == 0
    trial, animal, every = (
        folder / "tables" / f"{name}.parquet"
        for name in (f"{RECORDING}.session__trial", f"{LAB}.animal", f"{KINDS}.every")
    )
    contents = trial.read_bytes()
    trial.write_bytes(contents[:100] + bytes([contents[100] ^ 1]) + contents[101:])
    animal.unlink()
    (folder / "tables" / "more.parquet").write_bytes(b"")
    with (folder / "slice.duckdb").open("ab") as file:
        file.write(b"1")
    # a checksum that fits does not hide other columns and rows
    pq.write_table(pq.read_table(every).drop(["c0"]).slice(1), every)
    package = json.loads((folder / "datapackage.json").read_text())
    (resource,) = (one for one in package["resources"] if one["path"] == f"tables/{every.name}")
    resource["size"] = every.stat().st_size
    resource["hash"] = f"sha256:{hashlib.sha256(every.read_bytes()).hexdigest()}"
    (folder / "datapackage.json").write_text(json.dumps(package))
    found = dict(line.split(": ", 1) for line in sqlspy.check_open_copy(folder) if every.name not in line)
    size = (folder / "slice.duckdb").stat().st_size
    assert found == {
        f"tables/{trial.name}": "its contents have changed: it has another SHA-256",
        f"tables/{animal.name}": "it is missing",
        "tables/more.parquet": "datapackage.json does not name it",
        "slice.duckdb": f"it has {size:,} bytes, not {size - 1:,}",
    }
    capsys.readouterr()
    assert main(["verify", str(folder)]) == 1
    said = capsys.readouterr().out
    assert f"{every.name}: it has 2 rows, not 3" in said and "it has other columns: c0" in said
    # nor does one of croissant.json hide what that says
    described = json.loads((folder / "croissant.json").read_text())
    described["distribution"].pop()
    described["distribution"][0]["sha256"] = "0" * 64
    described["recordSet"][1]["field"].pop()
    (folder / "croissant.json").write_text(json.dumps(described))
    (entry,) = (one for one in package["resources"] if one["path"] == "croissant.json")
    contents = (folder / "croissant.json").read_bytes()
    entry |= {"size": len(contents), "hash": f"sha256:{hashlib.sha256(contents).hexdigest()}"}
    (folder / "datapackage.json").write_text(json.dumps(package))
    told = [line for line in sqlspy.check_open_copy(folder) if line.startswith("croissant.json")]
    first, second = (one["path"] for one in package["resources"][:2])
    assert told == [
        f"croissant.json: it has another checksum or size of {first}",
        f"croissant.json: it has other columns of {second}",
        "croissant.json: it does not name report.html",
    ]
    resource["path"] = "../secret"
    (folder / "datapackage.json").write_text(json.dumps(package))
    with pytest.raises(BundleError, match="does not have the form"):
        sqlspy.check_open_copy(folder)


def test_blobs_are_decoded_beside_the_bytes(written: Written) -> None:
    path = written.copy.path
    decoded = {
        f"{table.name.replace('`', '')}.{one.column}": one
        for table in written.copy.tables
        for one in table.decoded
    }
    blob = f"c{list(COLUMNS).index('longblob')}"
    assert decoded[f"{KINDS}.every.{blob}"] == DecodedColumn(blob, "", "", 1, 1)
    one = decoded[f"{RECORDING}.session__trial.trace"]
    assert one.path == f"decoded/{RECORDING}.session__trial.trace.parquet" and not one.undecoded
    stored = pq.read_table(path / "tables" / f"{RECORDING}.session__trial.parquet")
    arrow = pq.read_table(path / one.path)
    assert arrow.schema.metadata[b"decoded"].decode() == f"trace, by DataJoint {dj.__version__}, decoding 1"
    keys = ["animal", "session_date", "trial"]
    assert arrow.column_names == [*keys, "trace", "trace shape"] and arrow.select(keys) == stored.select(keys)
    for row, packed in zip(arrow.to_pylist(), stored.column("trace").to_pylist(), strict=True):
        value = dj.blob.unpack(packed)
        items = np.array(row["trace"], arrow.schema.field("trace").metadata[b"dtype"].decode())
        np.testing.assert_array_equal(items.reshape(row["trace shape"]), value, strict=True)
    readme = (path / "README.md").read_text(encoding="utf-8")
    assert (
        f"| `{one.path}`: arrays of float64, flat" in readme
        and f"decoded by DataJoint {dj.__version__}" in readme
    )
    with opened(path) as database:
        told = database.execute("SELECT values, undecoded FROM _decoded WHERE file IS NULL").fetchall()
    assert told == [(1, 1)]


class Sparse(dj.Codec, register=False):
    """A codec such as a plugin has: pairs of place and value."""

    name = "sqlspy_sparse"

    def get_dtype(self, is_store: bool) -> str:
        return "<blob>"

    def encode(self, value: Any, *, key: Any = None, store_name: Any = None) -> Any:
        return value

    def decode(self, stored: Any, *, key: Any = None) -> Any:
        return dict(stored)

    def to_spark(self, decoded: Any, *, key: Any = None) -> Any:
        return [{"place": place, "value": value} for place, value in decoded.items()]


def test_blobs_of_several_types(tmp_path: Path) -> None:
    """The first row group has arrays of one type, which does not decide what the others have."""
    values = [np.arange(3.0), None, np.arange(2), {"a": [TRACE], "b": None}, 1 + 2j, [(1, 2.5), (7, 0.5)]]
    packed = [value if value is None else dj.blob.pack(value) for value in values] + [
        b"\x80\x04N.",
        b"mYm\0A",
    ]
    columns = [
        kept(Column(name, kind, kind, True, None, ""), 0, "bytes")
        for name, kind in (("id", "int"), ("b", "blob"))
    ]
    schema = parquet.schema_of(columns, {})
    with parquet.Writer(tmp_path / "t.parquet", schema, parquet.long_names(columns)) as writer:
        for number, value in enumerate(packed, 1):
            rows = [(str(number).encode(), value)]
            for batch in parquet.batches("t", [rows], columns, schema):
                writer.add(batch)
                writer._write()  # a row group of its own
    found = write_decoded(tmp_path / "t.parquet", tmp_path / "t.b", ["id"], columns[1])
    assert (found.path, found.values, found.undecoded) == ("t.b.parquet", 7, 2)
    names = ["1.npy", None, "3.npy", "4.json", "5.json", "6.json", None, None]
    assert pq.read_table(tmp_path / "t.b.parquet").to_pydict() == {
        "id": list(range(1, 9)),
        "b decoded": names,
    }
    with np.load(tmp_path / "t.b.npz") as archive:
        np.testing.assert_array_equal(archive["3"], values[2], strict=True)
        np.testing.assert_array_equal(archive["4.1"], TRACE, strict=True)
        assert json.loads(archive["4.json"]) == {"a": [{"@array": 1}], "b": None}
        assert json.loads(archive["5.json"]) == {"@complex": [1.0, 2.0]}

    with pytest.raises(ValueError, match="sqlspy_sparse"):
        compat.spark_decoder(Sparse.name, 1 << 20)
    with pytest.raises(ValueError, match="has no to_spark"):
        compat.spark_decoder("blob", 1 << 20)
    codecs = dj.codecs._codec_registry
    codecs[Sparse.name] = Sparse()
    try:
        decoder = compat.spark_decoder(Sparse.name, 1 << 20)
    finally:
        del codecs[Sparse.name]
    pq.write_table(pq.read_table(tmp_path / "t.parquet").slice(5, 1), tmp_path / "s.parquet")
    found = write_decoded(tmp_path / "s.parquet", tmp_path / "s.b", ["id"], columns[1], decoder)
    assert pq.read_table(tmp_path / "s.b.parquet").column("b").to_pylist() == [
        [{"place": 1, "value": 2.5}, {"place": 7, "value": 0.5}]
    ]
    with pytest.raises(BundleError, match="with its codec"):
        write_decoded(tmp_path / "t.parquet", tmp_path / "u.b", ["id"], columns[1], decoder)


def test_nothing_is_left_of_a_copy_that_fails(written: Written, tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written.bundle.open_copy(tmp_path / "copy", stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BundleError, match="it exists"):
        written.bundle.open_copy(written.copy.path)


def test_a_statement_reaches_nothing_outside_of_the_database(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    with contextlib.closing(Database(tmp_path)) as database:
        database.lock()
        column = ResultColumn("content", "text", "", "")
        answer = answers.as_sent([column], [[b"mine"]])
        for sql in (f"SELECT content FROM read_text('{secret}')", "SELECT 'mine' FROM secret"):
            with pytest.raises(Different, match=r"DuckDB: (Permission|Catalog) Error"):
                database.view("v", sql, [column], answer, False, "")


def test_a_column_that_is_too_large_for_duckdb_is_null_there(tmp_path: Path) -> None:
    column = kept(Column("b", "longblob", "longblob", True, None, ""), 0, "bytes").without_values()
    with contextlib.closing(Database(tmp_path)) as database:
        database.create(("lab", "t"), "", [column])
        pq.write_table(pa.table({"b": pa.array([b"1"], pa.binary())}), tmp_path / "b.parquet")
        database.insert(("lab", "t"), [column], tmp_path / "b.parquet")
    with opened(tmp_path) as found:
        assert found.execute("SELECT b FROM lab.t").fetchall() == [(None,)]
    assert column.changed and column.note == "too large for DuckDB: NULL there, and in Parquet"


def test_a_table_of_a_thousand_columns(tmp_path: Path) -> None:
    columns = [kept(Column(f"c{n}", "int", "int", True, None, ""), 0, "number") for n in range(1000)]
    numbers = pa.array(np.random.default_rng(1).integers(0, 1 << 30, 40_000))
    rows = pa.table([numbers] * 1000, names=[one.column.name for one in columns])
    with contextlib.closing(Database(tmp_path)) as database:
        database.make_room(len(columns), 0)
        database.create(("lab", "t"), "", columns)
        pq.write_table(rows, tmp_path / "t.parquet")
        database.insert(("lab", "t"), columns, tmp_path / "t.parquet")
    with opened(tmp_path) as found:
        assert found.execute("SELECT COUNT(*), SUM(c999) FROM lab.t").fetchone() == (
            40_000,
            sum(numbers.to_pylist()),
        )


def test_the_table_of_types_in_the_documentation() -> None:
    page = (ROOT / "docs" / "open.md").read_text(encoding="utf-8").partition("### PostgreSQL")[0]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    types = [row for row in rows if len(row) >= 3 and row[2].strip("`").split("(")[0].isupper()]
    assert len(types) == 25
    for declared, arrow, duck, *note in types:
        kind = declared.split("`")[1]
        comment = ":uuid:" if "uuid" in declared else ""
        collation = "utf8mb4_0900_ai_ci" if kind.split("(")[0] in ("varchar", "enum", "set") else None
        column = Column("c", kind.split("(")[0].split()[0], kind, True, collation, "", comment=comment)
        found = kept(column, 0, "text" if kind == "json" else "bytes")
        shown = [found.arrow, found.duckdb, found.note]
        assert shown == [arrow.strip("`"), duck.strip(" |`"), "".join(note).strip(" |")], declared


def test_the_table_of_types_of_postgresql_in_the_documentation() -> None:
    page = (ROOT / "docs" / "open.md").read_text(encoding="utf-8")
    lines = page.partition("### PostgreSQL")[2].partition("\n- ")[0].splitlines()
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")
    ]
    assert len(rows) == 24
    for declared, arrow, duck, note in rows:
        enum = declared.startswith("enum")
        kind = "enum" if enum else re.sub(r"\(.*?\)", "", declared)
        found = kept(Column("c", kind, declared, True, None, ""), 0, "text", "postgresql")
        assert [found.arrow, found.duckdb, found.note] == [arrow, duck, note], declared


# ---------------------------------------------------------------- source data, with the same rules


def sheet_of(path: Path) -> list[list[Any]]:
    """The cells of a workbook: texts, floats, and None where a cell is empty or not there."""
    with zipfile.ZipFile(path) as book:
        root = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    space = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    rows: list[list[Any]] = []
    for row in root.iterfind(".//x:row", space):
        rows += [[None] * 26] * (int(row.attrib["r"]) - 1 - len(rows))  # those without a cell
        cells: dict[str, Any] = {}
        for cell in row.iterfind("x:c", space):
            assert cell.find("x:f", space) is None  # a formula
            number, text = cell.find("x:v", space), cell.find(".//x:t", space)
            place = cell.attrib["r"].rstrip("0123456789")
            cells[place] = text.text if text is not None else float(number.text)
        rows.append([cells.get(chr(65 + place)) for place in range(26)])
    return rows


def test_source_data_has_the_values_of_every_type(written: Written, dj_conn: Any, tmp_path: Path) -> None:
    kinds = {f"c{number}": kind for number, kind in enumerate(COLUMNS)}
    plain = [
        name for name, kind in kinds.items() if kind.split("(")[0] in ("bigint unsigned", "decimal", "double")
    ]
    with sqlspy.export("types", "figure"):
        for columns in ("*", f"{', '.join(plain)}, '=1+1' AS f, id, 1.0 * id AS ID"):
            dj_conn.query(f"SELECT {columns} FROM {KINDS}.every ORDER BY id").fetchall()
        dj_conn.query(f"SELECT * FROM {KINDS}.odd ORDER BY id").fetchall()
    made = sqlspy.Paper("types").source_data(tmp_path / "out", formats=["csv", "parquet", "xlsx"])
    assert [(one.received, one.ordered) for one in made] == [(True, True)] * 3
    assert "has the control character U+0000" in dict(made[0].lacking)["xlsx"]
    folder = tmp_path / "out" / "figure"
    arrow = pq.read_table(folder / "01-every.parquet")
    with (folder / "01-every.csv").open(newline="", encoding="utf-8") as file:
        csv.field_size_limit(1 << 21)
        fields = list(csv.DictReader(file))
    for name, (kind, values) in zip(kinds, COLUMNS.items(), strict=True):
        expected = [values[row][1] if row < len(values) else None for row in range(3)]
        if kind == "float":
            expected = [16777200.0, 0.1, None]  # as the analysis received them
        found = arrow.column(name).to_pylist()
        assert found == expected, kind
        if isinstance(expected[0], (int, str, uuid.UUID)):
            texts = [row[name] for row in fields]
            assert [text.lstrip("0") if "zerofill" in kind else text for text in texts] == [
                "" if value is None or (value == 0 and "zerofill" in kind) else str(value)
                for value in expected
            ], kind
    assert {str(field.type) for field in list(arrow.schema)[1:8]} == {
        f"{sign}int{width}" for sign in ("", "u") for width in (8, 16, 32)
    } | {"int32"}
    assert arrow.schema.field(ID).metadata == {b"type": b"binary(16)", b"comment": b"of it"}
    odd = pq.read_table(folder / "03-odd.parquet")
    assert odd.column("on as stored").to_pylist() == ["0000-00-00", None]
    header, first, second, _ = sheet_of(folder / "02-every.xlsx")
    assert header[: len(plain) + 3] == [*plain, "f", "id", "ID_2"]
    assert first[:6] == [0.0, "-" + "9" * 28 + "." + "9" * 10, LONG, "1.7976931348623157e308", "=1+1", 0.0]
    assert second[:4] == ["18446744073709551615", 1e-10, 0.0, "5e-324"]


TRACE = np.arange(4, dtype=np.float32).reshape(2, 2)
MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)
CELL = np.array([[None], ["x"]], object).view(dj.blob.MatCell)
CELL[0, 0] = TRACE


def test_blobs_of_source_data(tmp_path: Path) -> None:
    """Arrays of one type are lists with shapes; all else stays bytes, and has a name in the archive."""
    kinds = {
        "flat": [np.arange(3, dtype=np.int16), np.zeros(0, np.int16), None],
        "grid": [
            np.arange(6.0).reshape(2, 3),
            np.asfortranarray(np.arange(6.0).reshape(3, 2)),
            np.zeros((1, 0)),
        ],
        "flags": [np.array([True, False]), None, np.zeros((0, 2), bool)],
        "mixed": [np.arange(2.0), np.arange(2, dtype=np.int8), {"a": [1, None]}],
        "complex": [np.array([1 + 2j]), None, None],
        "none": [None, None, None],
        "text": ["=1+1", {"@x": (1, {2}), 3: [TRACE, {"b": TRACE * 1j}]}, 2**70],
        "other": [uuid.UUID(int=7), MOMENT, decimal.Decimal("1.50")],
        "matlab": [CELL, float("nan"), b"\0\xff"],
    }
    columns = [ResultColumn(name, "bytes", "", "", declared="longblob") for name in (*kinds, "key")]
    packed = [
        [None if value is None else dj.blob.pack(value) for value in values] for values in kinds.values()
    ]
    packed.append([b"dj0\0", b"", b"\x80\x04N."])  # the last one is a pickle
    with (tmp_path / "spool").open("w+b") as file:
        rows = Spool(file, columns, list(zip(*packed, strict=True)))
        made = write_result(
            tmp_path,
            "01-t",
            shown_columns(columns, [None] * len(columns)),
            rows,
            ["csv", "parquet"],
            tmp_path,
        )
    assert made.undecoded == (("key", "3 of 3 values"),) and not made.lacking
    arrow = pq.read_table(tmp_path / "01-t.parquet")
    for name in ("flat", "grid", "flags"):
        pairs = zip(arrow.column(name).to_pylist(), arrow.column(f"{name} shape").to_pylist(), strict=True)
        kind = np.dtype(arrow.schema.field(name).metadata[b"dtype"].decode())
        for (items, shape), value in zip(pairs, kinds[name], strict=True):
            if value is None:
                assert items is None and shape is None
            else:
                np.testing.assert_array_equal(np.array(items, kind).reshape(shape), value, strict=True)
    with (tmp_path / "01-t.csv").open(newline="") as file:
        fields = list(csv.DictReader(file))
    names = ["1.npy", "2.npy", "3.json"]
    assert [row["mixed"] for row in fields] == arrow.column("mixed decoded").to_pylist() == names
    assert arrow.column("mixed").to_pylist() == packed[3]
    with np.load(tmp_path / "01-t-4.npz") as archive:
        np.testing.assert_array_equal(archive["2"], kinds["mixed"][1], strict=True)
    assert arrow.column("complex decoded").to_pylist() == ["1.npy", None, None]
    assert arrow.column("text decoded").to_pylist() == ["1.json", "2.json", "3.json"]
    for place in (7, 8, 9):
        with np.load(tmp_path / f"01-t-{place}.npz") as archive:
            found = [json.loads(archive[f"{row}.json"]) for row in (1, 2, 3)]
            if place == 7:
                assert found[1] == {
                    "@dict": [
                        ["@x", {"@tuple": [1, {"@set": [2]}]}],
                        [3, [{"@array": 1}, {"b": {"@array": 2}}]],
                    ]
                }
                assert (found[0], found[2]) == ("=1+1", 2**70)
                np.testing.assert_array_equal(archive["2.1"], TRACE, strict=True)
                np.testing.assert_array_equal(archive["2.2"], TRACE * 1j, strict=True)
            elif place == 8:
                texts = (
                    {"@uuid": str(uuid.UUID(int=7))},
                    {"@datetime": MOMENT.isoformat()},
                    {"@decimal": "1.50"},
                )
                assert found == list(texts)
            else:
                assert found == [
                    {"@cell": [{"@array": 1}, "x"], "shape": [2, 1]},
                    {"@float": "nan"},
                    {"@bytes": "AP8="},
                ]
    assert arrow.column("key").to_pylist() == packed[-1] and "key decoded" not in arrow.column_names
    assert not (tmp_path / "01-t-6.npz").exists()


@pytest.mark.parametrize(
    ("names", "rows", "why"),
    [
        (["a"], [[b"=1+1"], [None], [b"@x"]], ""),
        (["a"], [[b"x" * 32_767]], ""),
        (["a"], [["😀".encode() * 16_384]], "row 1 of a has 32,768 characters"),
        (["a"], [[b"x"], [b"x\x1b[0m"]], "row 2 of a has the control character U+001B"),
        (["a"], [["\uffff".encode()]], "U+FFFF, which is no character"),
        (["a"], [[b"x"]] * 5, "more than 4 rows"),
        (["c"] * 16_385, [], "16,385 columns, and a sheet has 16,384"),
    ],
)
def test_what_excel_cannot_hold(
    names: list[str],
    rows: list[list[bytes | None]],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(excel, "MOST_ROWS", 5)
    columns = [ResultColumn(name, "text", "", "", declared="longtext") for name in names]
    with (tmp_path / "spool").open("w+b") as file:
        shown = shown_columns(columns, [None] * len(columns))
        made = write_result(tmp_path, "t", shown, Spool(file, columns, rows), ["csv", "xlsx"], tmp_path)
    assert why in dict(made.lacking).get("xlsx", "") and (tmp_path / "t.csv").exists()
    assert (tmp_path / "t.xlsx").exists() is not bool(why) and made.formats == (
        ("csv",) if why else ("csv", "xlsx")
    )
    if not why:
        texts = [None if row[0] is None else row[0].decode() for row in rows]
        assert [row[0] for row in sheet_of(tmp_path / "t.xlsx")] == ["a", *texts]


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(open_copy.__path__)])
def test_the_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"dj_sqlspy.open_copy.{name}")).failed == 0


def test_the_command(written: Written, tmp_path: Path, capsys: Any) -> None:
    assert main(["open", str(written.bundle.path), "-o", str(tmp_path / "copy")]) == 0
    said = capsys.readouterr().out
    total = sum(len(one.numbers) for one in written.copy.statements)
    assert f"{written.copy.equal} of {total} statements have a view" in said and "README.md" in said
