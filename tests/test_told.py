"""What structure, statements and hidden columns reveal: it is found with its place, and can be left out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import jsonschema
import pytest

from dj_sqlspy.bundle.privacy import Inspection
from dj_sqlspy.cascade.options import Bound
from dj_sqlspy.errors import BundleError, SliceError
from dj_sqlspy.journal import Statement
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.rules import LEAVE_OUT
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.slices import Slice, make_slice
from tests.conftest import FLAVOR
from tests.test_publish import manifest_schema
from tests.test_verify import as_text

pytestmark = pytest.mark.line("2.x")  # nothing here depends on it

LAB = "told_lab"

TABLES = """
CREATE TABLE session (session INT AUTO_INCREMENT PRIMARY KEY, project ENUM('memory', 'rig of Babbage') NOT NULL,
 place VARCHAR(20) NOT NULL DEFAULT 'room of Ada', name VARCHAR(20) NULL COMMENT 'as Grace says', score INT,
 kind VARCHAR(40) NULL COMMENT ':uuid:of Turing', _prov JSON NULL, _job_start_time DATETIME(3) NULL,
 _job_version VARCHAR(64) NOT NULL DEFAULT '', moved INT GENERATED ALWAYS AS (score + 4711) VIRTUAL,
 CONSTRAINT score_is CHECK (score <> 31337)) COMMENT 'kept for Charles' AUTO_INCREMENT = 778899;
CREATE TABLE day (day INT PRIMARY KEY, what VARCHAR(20), KEY by_what (what) COMMENT 'key of Emmy')
 PARTITION BY LIST (day)
 (PARTITION of_ada VALUES IN (1, 2) COMMENT 'of Sofja', PARTITION of_babbage VALUES IN (3, 1871));
CREATE VIEW seen AS SELECT session FROM session WHERE place <> 'room of Hilbert';
CREATE FUNCTION moved(n INT) RETURNS INT DETERMINISTIC RETURN n + 1815;
INSERT INTO session (session, project, place, name, score, _prov, _job_start_time, _job_version) VALUES
 (1, 'memory', 'here', 'Grace', 1, '{"user": "noether@rig7"}', '2024-01-01', 'commit-of-noether'),
 (2, 'memory', 'here', 'Hopper', 2, NULL, NULL, ''), (3, 'rig of Babbage', 'there', 'Lovelace', 3, NULL, NULL, '');
INSERT INTO day VALUES (1, 'x'), (3, 'y')
"""

STATEMENTS = (
    "SELECT session FROM lab.session WHERE place <> 'the place of Gauss'",  # of all: session 3 lies outside
    "SELECT session AS `Grace` FROM lab.session WHERE session = 1",
    "SELECT session FROM lab.session WHERE session = 1 AND place <> 'Hopper'",
    "SELECT name AS `Lovelace` FROM lab.session WHERE session = 1 AND score < 99173",
    "SELECT session FROM lab.session WHERE session = 2 AND AES_DECRYPT(place, 'key of Enigma') IS NULL",
    "SELECT session FROM lab.session WHERE session = 2 /* password: bletchley */",
    "SELECT session FROM lab.seen WHERE session = 1",
    "SELECT lab.moved(session) FROM lab.session WHERE session = 1",  # is not analysed, so it needs all rows
    "SELECT * FROM lab.day WHERE day = 1",
)


def finding(where: str, what: str, *values: str) -> tuple[str, str, tuple[str, ...]]:
    return where.replace("lab.", f"`{LAB}`."), what, values


# kind: the place, what it is called, and values that stand there
KINDS = {
    "partitions": finding("lab.`day`", "partitions", "of_babbage"),
    "values of ENUM": finding("lab.`session`.`project`", "values of a type", "rig of Babbage"),
    "defaults": finding("lab.`session`.`place`", "default", "room of Ada"),
    "CHECK": finding("lab.`session`", "condition", "31337"),
    "generated columns": finding("lab.`session`.`moved`", "generated column", "4711"),
    "comments": finding("lab.`session`", "comments", "kept for Charles", "as Grace says", "of Turing"),
    "comments of keys and partitions": finding("lab.`day`", "comments", "key of Emmy", "of Sofja"),
    "views": finding("lab.`seen`", "view", "room of Hilbert"),
    "stored functions": finding("lab.`moved`", "stored function", "1815"),
    "total rows": finding("manifest.json: tables", "rows at the lab", f"`{LAB}`.`session`: 3"),
    "values about rows outside": finding(
        "manifest.json: statements 1, 8", "values, about rows left out", "the place of Gauss"
    ),
    "values and aliases that are contents": finding(
        "manifest.json: statements 2, 3", "values, of an excluded column", "Grace"
    ),
    "who made a row": finding("lab.`session`.`_prov`", "hidden column", '{"user": "noether@rig7"}'),
    "what made a row": finding("lab.`session`.`_job_version`", "hidden column", "commit-of-noether"),
    "when a row was made": finding("lab.`session`.`_job_start_time`", "hidden column"),
    "secrets": finding("manifest.json: statements 5, 6", "secret", "AES_DECRYPT", "password: bletchley"),
    "comments of statements": finding("manifest.json: statement 6", "comment", "password: bletchley"),
}

if FLAVOR == "mysql":  # MariaDB has no such keys
    TABLES += ";\nALTER TABLE session ADD KEY by_sum ((score + 1912))"
    KINDS["keys of expressions"] = finding("lab.`session`", "generated column", "1912")


@pytest.fixture(scope="module")
def cut(server: Server, dj_conn: Any) -> Iterator[Slice]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {LAB}")
        cursor.execute(f"USE {LAB}")
        for statement in TABLES.split(";\n"):
            cursor.execute(statement)
    captured = [
        Statement(sql=sql.replace("lab.", f"{LAB}."), number=n, analysis="a", kind="data", rows=1)
        for n, sql in enumerate(STATEMENTS, 1)
    ]
    session = f"`{LAB}`.`session`"
    only = (Bound(session, f"SELECT * FROM {session} WHERE session < 3"),)
    with server.connect(conv=plain_decoders()) as opened:
        yield make_slice(captured, opened, only=only)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {LAB}")


def written(cut: Slice, server: Server, path: Path, **options: Any) -> Bundle:
    with server.connect() as connection:
        bundle = write_bundle(cut, path, connection=connection, accept_drift=True, **options)
    bundle.dump([f"--defaults-file={server.defaults_file()}"])
    jsonschema.Draft202012Validator(manifest_schema()).validate(bundle.manifest)
    return bundle


@pytest.fixture(scope="module")
def told(cut: Slice, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle that has all of it but the contents of a column, and what `inspect` finds there."""
    bundle = written(cut, server, tmp_path_factory.mktemp("told") / "b", exclude=[f"{LAB}.session.name"])
    return SimpleNamespace(bundle=bundle, found=bundle.inspect())


def places(found: Inspection) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(one.where, one.what): one.examples for one in found.findings}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_with_its_place(told: Any, kind: str) -> None:
    where, what, values = KINDS[kind]
    examples = places(told.found)[where, what]
    assert set(values) <= set(examples)
    # the report says where, and no value is in what is noted
    noted = (told.bundle.path / "inspection.json").read_text()
    assert {(one["where"], one["what"]) for one in json.loads(noted)["findings"]} == set(places(told.found))
    page = (told.bundle.path / "report.html").read_text()
    section = page.partition('<section id="privacy">')[2].partition("</section>")[0]
    assert f"<td>{what}</td>" in section
    assert not [value for value in values if value in section or value in noted]


def test_what_is_not_needed_is_not_written(told: Any) -> None:
    """How many rows a table had, contents that are excluded as aliases too, values beside them."""
    texts = [path.read_bytes() for path in told.bundle.path.iterdir() if path.suffix != ".gz"]
    texts.append(gzip.decompress(told.bundle.dump_file.read_bytes()))
    for word in ("778899", "AUTO_INCREMENT=", "Lovelace", "99173"):
        assert not [text for text in texts if word.encode() in text], word
    # in the place of the alias and of the value
    (statement,) = [one for one in told.bundle.manifest["statements"] if one["number"] == 4]
    assert statement["sql"] == f"SELECT name AS ? FROM {LAB}.session WHERE session = ? AND score < ?"


LEFT = {
    "total rows",
    "comments",
    "comments of keys and partitions",
    "values about rows outside",
    "values and aliases that are contents",
}
LEFT |= {"who made a row", "what made a row", "when a row was made"}


def test_what_can_be_left_out(
    cut: Slice, server: Server, tmp_path: Path, told: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    names = [f"{LAB}.session.name", "*._prov", "*._job_*"]
    bundle = written(cut, server, tmp_path / "b", exclude=names, leave_out=LEAVE_OUT)
    found = places(bundle.inspect())
    for kind, (where, what, values) in KINDS.items():
        assert ((where, what) in found) == (kind not in LEFT), kind
        if kind in LEFT:
            files = [path.read_bytes() for path in bundle.path.iterdir() if path.suffix != ".gz"]
            files.append(gzip.decompress(bundle.dump_file.read_bytes()))
            assert not [v for v in values for text in files if v.encode() in text], kind
    # what DataJoint keeps in a comment stays, and the manifest says which statements lost their values
    assert "COMMENT ':uuid:'" in (bundle.path / "dump.sh").read_text()
    marks = {one["number"]: one["marks"] for one in bundle.manifest["statements"]}
    assert {n for n, each in marks.items() if "withheld" in each} == {1, 2, 3, 8}
    assert {n for n, each in marks.items() if "excluded" in each} == {4}
    assert {table["total_rows"] for table in bundle.manifest["tables"]} == {None}
    assert "analyses of the paper read: 3 rows of 2 tables" in (bundle.path / "README.md").read_text()
    assert "3 rows in 2 tables" in repr(bundle)
    report = bundle.verify()
    assert report.equal and report.complete, as_text(report)
    assert not (bundle.path / "first-rows.json").exists()
    assert "stands without its values, not replayed" in as_text(report)
    alone = bundle.verify(alone=True)
    assert alone.equal and alone.complete, as_text(alone)


def test_what_cannot_be_left_out(cut: Slice, server: Server, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="Leaving out rows: what can be is totals, comments, values"):
        written(cut, server, tmp_path / "b", leave_out=["rows"])
    with pytest.raises(SliceError, match="no table of the slice has such a column"):
        written(cut, server, tmp_path / "b", exclude=["*._job_duration"])
    with pytest.raises(SliceError, match="it is part of the primary key"):
        written(cut, server, tmp_path / "b", exclude=["*.session"])
    assert not (tmp_path / "b").exists()


@pytest.mark.line("2.x")  # 0.14 has no hidden columns
def test_hidden_columns_of_datajoint(dj_conn: Any, server: Server, prefix: str, tmp_path: Path) -> None:
    """What DataJoint itself writes beside a row: found, and left out by name."""
    with dj.config.override(provenance__capture=True, jobs__add_job_metadata=True):
        schema = dj.Schema(f"{prefix}lab", connection=dj_conn)

        @schema
        class Animal(dj.Manual):
            definition = "animal : int32"

        @schema
        class Weight(dj.Computed):
            definition = "-> Animal\n---\nweight : float32"

            def make(self, key: Any) -> None:
                self.insert1({**key, "weight": 1.5})

        Animal.insert1({"animal": 1})
        Weight.populate()
    sql = (Animal() * Weight()).make_sql() % ()
    captured = [Statement(sql=sql, number=1, analysis="a", kind="data", rows=1)]
    with server.connect(conv=plain_decoders()) as opened:
        cut = make_slice(captured, opened)
    bundle = written(cut, server, tmp_path / "a")
    hidden = {(where, what) for where, what in places(bundle.inspect()) if what == "hidden column"}
    lab = f"`{prefix}lab`"
    assert {where for where, _ in hidden} == {
        f"{lab}.`animal`.`_prov`",
        f"{lab}.`__weight`.`_job_start_time`",
        f"{lab}.`__weight`.`_job_duration`",
    }
    bundle = written(cut, server, tmp_path / "b", exclude=["*._prov", "*._job_*"])
    assert "hidden column" not in {one.what for one in bundle.inspect().findings}
    assert {tuple(one["statements"]) for one in bundle.manifest["excluded"]} == {()}
    report = bundle.verify()
    assert report.equal and report.complete, as_text(report)
    first = json.loads((bundle.path / "first-rows.json").read_text())
    assert sorted(one["hidden"] for one in first["tables"]) == [1, 3] and "_prov" not in json.dumps(first)
