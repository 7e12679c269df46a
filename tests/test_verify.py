"""Verify on real servers: by the author, who writes digests, and by a reader who has only the bundle."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest
from rich.console import Console

import dj_sqlspy
from dj_sqlspy.bundle.folder import DIGESTS_FILE, DUMP_FILE
from dj_sqlspy.cli import main
from dj_sqlspy.errors import BundleError
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.replay.digests import measure_tables, read_catalog
from dj_sqlspy.replay.structure import structure
from dj_sqlspy.replay.verify import Verification
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.multisets import float_form, json_form
from dj_sqlspy.servers.mysql.results import digest
from dj_sqlspy.servers.mysql.session import as_sent
from dj_sqlspy.servers.results import ALL_DIGITS, RESULT_DIGITS
from tests.lab import V2
from tests.test_dump import bundle_of, lab, options
from tests.test_replay import trials

pytestmark = pytest.mark.separately

__all__ = ["lab", "trials"]

PACKAGE = str(Path(dj_sqlspy.__file__).parent.parent)


@pytest.fixture
def bundle(trials: Any, server: Server, dj_conn: Any, tmp_path: Path) -> Bundle:
    """Written, and dumped."""
    made = bundle_of(server, tmp_path / "b", *trials.statements)
    made.dump()
    return made


@pytest.fixture
def published(bundle: Bundle) -> Bundle:
    """Verified by the author."""
    report = bundle.verify()
    assert report.equal and report.complete and report.from_source, as_text(report)
    return bundle


def as_text(report: Verification) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report)
    return console.export_text()


def edit_dump(bundle: Bundle, old: bytes, new: bytes) -> None:
    text = gzip.decompress(bundle.dump_file.read_bytes())
    assert text.count(old) == 1
    bundle.dump_file.write_bytes(gzip.compress(text.replace(old, new)))


def recorded(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle.path / DIGESTS_FILE).read_text())
    return found


def table_states(report: Verification) -> dict[str, str]:
    return {table.name.rpartition(".")[2].strip("`"): table.state for table in report.tables}


def test_a_reader_finds_what_the_author_found(published: Bundle) -> None:
    before = {path.name: path.read_bytes() for path in published.path.iterdir()}
    report = published.verify(alone=True)
    assert report.equal and report.complete and not report.from_source, as_text(report)
    assert [result.state for result in report.statements] == ["equal"] * 5
    assert table_states(report) == dict.fromkeys(("subject", "session", "session__trial"), "equal")
    assert {path.name: path.read_bytes() for path in published.path.iterdir()} == before
    assert "compared with digests.json of " in as_text(report)


def test_on_a_machine_that_has_never_seen_the_source(published: Bundle, tmp_path: Path) -> None:
    away = tmp_path / "reader"
    shutil.copytree(published.path, away / "bundle")
    settings = {name: value for name, value in os.environ.items() if not name.startswith("DJ_")}
    (away / "home").mkdir()
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dj_sqlspy", "verify", "bundle"],
        cwd=away,
        env={**settings, "HOME": str(away / "home"), "XDG_CACHE_HOME": str(cache()), "PYTHONPATH": PACKAGE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "equal: 5 distinct statements, 2 foreign keys, 0 orphans, 3 tables with 9 rows" in ended.stdout


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def test_a_row_that_was_tampered_with(published: Bundle, capsys: Any) -> None:
    edit_dump(published, b"'Ann'", b"'Eve'")
    report = published.verify(alone=True)
    assert not report.equal
    assert table_states(report) == {"subject": "differs", "session": "equal", "session__trial": "equal"}
    assert not report.different  # no statement reads the name
    assert "dump.sql.gz is not the file that digests.json was made from" in as_text(report)
    assert main(["verify", str(published.path), "--alone"]) == 1
    said = capsys.readouterr().out
    assert (
        "as many rows on the slice as in digests.json (2), but not the same" in said and "NOT EQUAL" in said
    )
    report = published.verify()  # the author's side sees it too
    assert table_states(report)["subject"] == "differs" and report.from_source


def test_a_value_that_a_statement_reads(published: Bundle) -> None:
    edit_dump(published, b"20.125", b"20.126")
    report = published.verify(alone=True)
    assert [result.numbers for result in report.different] == [(3,)]
    assert table_states(report)["subject"] == "differs"


def test_a_row_that_is_missing(published: Bundle, server: Server) -> None:
    text = gzip.decompress(published.dump_file.read_bytes()).decode()
    row = next(part for part in ("(2,1,1,-1.000,0x78)", "(2,1,1,-1.000,'x')") if part in text)
    edit_dump(published, b",\n" + row.encode() if f",\n{row}" in text else f",{row}".encode(), b"")
    with pytest.raises(BundleError, match="session__trial`: 3 rows instead of 4"):
        published.verify(alone=True)


def test_a_result_that_is_another(published: Bundle) -> None:
    found = recorded(published)
    found["statements"][1]["digest"] = "0" * 64
    found["statements"][3]["ordered_digest"] = "0" * 64
    (published.path / DIGESTS_FILE).write_text(json.dumps(found))
    report = published.verify(alone=True)
    assert {result.numbers: result.message for result in report.different} == {
        (2, 6): "as many rows, but not the same",
        (4,): "the same rows in another order",
    }
    report = published.verify()
    assert {result.numbers for result in report.different} == {(2, 6), (4,)}
    assert all(
        result.message == "equal to the source, but not to digests.json" for result in report.different
    )
    assert recorded(published) == found  # of the same dump: not replaced


def test_the_author_is_told_that_the_source_is_down(published: Bundle, monkeypatch: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        if V2:
            monkeypatch.setattr(dj.instance, "_singleton_connection", None)
        else:
            monkeypatch.delattr(dj.conn, "connection")
        monkeypatch.setitem(dj.config, "database.port", unused.getsockname()[1])
        report = published.verify()
    assert report.equal and not report.from_source
    assert "with digests.json, not with the source: the server of dj.config cannot be reached" in as_text(
        report
    )


def test_without_source_and_digests(bundle: Bundle, capsys: Any) -> None:
    report = bundle.verify(alone=True)
    assert report.equal and not report.complete
    assert {result.state for result in report.statements} == {"unchecked"}
    assert set(table_states(report).values()) == {"unchecked"}
    assert not (bundle.path / DIGESTS_FILE).exists()
    assert main(["verify", str(bundle.path), "--alone"]) == 1
    said = capsys.readouterr().out
    assert "NOT CHECKED: the contents of the rows and of the results" in said
    assert "no difference found, but NOT ALL WAS CHECKED" in said
    bundle.dump_file.unlink()
    with pytest.raises(BundleError, match=r"there is no dump.sql.gz"):
        bundle.verify(alone=True)


def test_a_new_dump_gets_new_digests(published: Bundle, trials: Any, server: Server) -> None:
    before = recorded(published)
    trials("UPDATE lab.subject SET name = 'Zoe' WHERE id = 1")
    report = published.verify()
    assert table_states(report)["subject"] == "differs"  # the dump is older than the source
    assert recorded(published) == before
    with pytest.raises(BundleError, match="other values in its"):  # dump.sh is older too
        published.dump()
    published = bundle_of(server, published.path, *trials.statements)
    published.dump()
    assert published.verify().equal
    changed = recorded(published)
    assert changed["dump"] != before["dump"] and changed["statements"] == before["statements"]
    assert published.verify(alone=True).equal


def test_a_server_that_holds_the_slice_is_no_source(
    published: Bundle, trials: Any, server: Server, dj_conn: Any, clean_scratch: Server, tmp_path: Path
) -> None:
    (published.path / DIGESTS_FILE).unlink()
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        cursor.execute(f"DROP DATABASE `{trials.name}`")
    report = published.verify()
    assert "has no `" in report.unchecked[0] and not report.from_source
    published.restore(options(server))
    report = published.verify()
    assert "holds a loaded slice" in report.unchecked[0] and not report.from_source
    assert not (published.path / DIGESTS_FILE).exists()


def test_structure_that_is_another(bundle: Bundle, trials: Any, clean_scratch: Server) -> None:
    bundle.restore(options(clean_scratch))

    def differences() -> str:
        with clean_scratch.connect() as loaded:
            return "\n".join(structure(bundle.manifest, read_catalog(loaded, bundle.manifest)))

    def change(sql: str) -> None:
        with clean_scratch.connect() as loaded, loaded.cursor() as cursor:
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
            cursor.execute(sql.replace("lab.", f"`{trials.name}`."))

    assert differences() == ""
    change("ALTER TABLE lab.subject MODIFY name VARCHAR(30)")
    assert "column name is varchar(30), and should be varchar(20)" in differences()
    change("ALTER TABLE lab.session__trial DROP FOREIGN KEY session__trial_ibfk_1")
    assert "there is no foreign key session__trial_ibfk_1" in differences()
    change("ALTER TABLE lab.session__trial DROP PRIMARY KEY, ADD PRIMARY KEY (t, id, n)")
    assert "its primary key is (t, id, n), and should be (id, n, t)" in differences()
    change("ALTER TABLE lab.session__trial DROP COLUMN b")
    assert "its columns are id, n, t, v, and should be id, n, t, v, b" in differences()
    change("DROP TABLE lab.session__trial")
    assert "there is no such table" in differences()


# ---------------------------------------------------------------- digests


def test_digests_are_what_their_definition_says(published: Bundle, trials: Any) -> None:
    """Computed once more from rows written out here, as the documentation of the format says."""

    def row(*values: bytes | None) -> int:
        text = b"".join(b"n" if value is None else b"v%d:%s" % (len(value), value) for value in values)
        return int(hashlib.sha256(text).hexdigest(), 16)

    tables = {entry["name"]: entry for entry in recorded(published)["tables"]}
    subject = tables[f"`{trials.name}`.`subject`"]
    assert (subject["columns"], subject["forms"]) == (["id", "name", "weight"], ["text", "text", "float"])
    rows = row(b"1", b"Ann", b"2.0125000000000000e+01"), row(b"2", b"Bob", b"1.1000000238418579e+00")
    assert subject["digest"] == f"{sum(rows) % 2**256:064x}"
    trial = tables[f"`{trials.name}`.`session__trial`"]
    rows = (
        row(b"1", b"1", b"1", b"1.500", b"\x00\xff"),
        row(b"1", b"1", b"2", b"2.000", None),
        row(b"1", b"2", b"1", b"0.000", b""),
        row(b"2", b"1", b"1", b"-1.000", b"x"),
    )
    assert trial["digest"] == f"{sum(rows) % 2**256:064x}"
    by_number = {entry["numbers"][0]: entry for entry in recorded(published)["statements"]}
    assert by_number[1]["digest"] == trial["digest"] and by_number[1]["ordered_digest"] is None
    whole = hashlib.sha256()
    for one in ((b"1", b"2"), (b"1", b"1"), (b"2", b"1")):
        whole.update(row(*one).to_bytes(32, "big"))
    assert by_number[4]["ordered_digest"] == whole.hexdigest()
    assert by_number[2]["numbers"] == [2, 6]
    assert by_number[3]["forms"][0] == "float"
    dumped = (published.path / DUMP_FILE).read_bytes()
    assert recorded(published)["dump"] == {"size": len(dumped), "sha256": hashlib.sha256(dumped).hexdigest()}


def test_json_as_either_server_keeps_it() -> None:
    written = b'{"b": 1.0, "a": [1e2, -0, 18446744073709551616, "\xc3\xa4\\/", null], "b": 2.50}'
    parsed = b'{"a": [100.0, 0, 1.8446744073709552e19, "\xc3\xa4/", null], "b": 2.5}'
    assert json_form(written) == json_form(parsed)
    assert json_form(b"not JSON") == b"not JSON"
    assert json_form(b"9007199254740993") != json_form(b"9007199254740992")


def test_the_last_digits_of_a_sum_do_not_count_in_results() -> None:
    one, other = str(0.1 + 0.2 + 0.3).encode(), str(0.3 + 0.2 + 0.1).encode()
    assert one != other
    assert float_form(one, RESULT_DIGITS) == float_form(other, RESULT_DIGITS)
    assert float_form(one, ALL_DIGITS) != float_form(other, ALL_DIGITS)


def test_digests_do_not_depend_on_the_session(
    lab: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    lab(
        "CREATE TABLE lab.v (k INT PRIMARY KEY, ts TIMESTAMP(3) NULL, dt DATETIME, j JSON, d DOUBLE, f FLOAT,"
        " c CHAR(5), t TEXT, bits BIT(10), g INT AS (k + 1))",
        "INSERT INTO lab.v (k, ts, dt, j, d, f, c, t, bits) VALUES"
        " (1, '2024-03-31 02:30:00.125', '2024-03-31 02:30', '{\"b\": 1.50, \"a\": null}', 1e-310, 16777216, 'x',"
        " '😀', 513), (2, NULL, NULL, NULL, -0.1, 1e-3, '', '', NULL)",
    )
    bundle = bundle_of(server, tmp_path / "b", f"SELECT * FROM `{lab.name}`.v")
    bundle.dump(options(server))
    bundle.restore(options(clean_scratch))
    found = []
    for where, zone in ((server, "-03:00"), (clean_scratch, "+05:30")):
        with where.connect(
            init_command=f"SET time_zone = '{zone}', sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'"
        ) as opened:
            catalog = read_catalog(opened, bundle.manifest)
            with as_sent(opened):
                found.append(measure_tables(opened, catalog, bundle.manifest, None))
    assert found[0] == found[1] and found[0][0]["rows"] == 2
    assert "g" not in found[0][0]["columns"]


def test_the_order_and_number_of_rows(server: Server) -> None:
    with server.connect(conv={}, use_unicode=False) as one:
        twice = digest(one, "SELECT 1 UNION ALL SELECT 1")
        assert twice.multiset == 2 * digest(one, "SELECT 1").multiset % 2**256
