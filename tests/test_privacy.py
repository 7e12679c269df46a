"""What `inspect` finds in a bundle, and what it leaves alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from dj_sqlspy.bundle.privacy import Finding, inspect_bundle
from dj_sqlspy.cli import main
from dj_sqlspy.errors import BundleError
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import Server
from tests.filled import FIRST_ROWS, INSPECTION
from tests.reported import make_cut

pytestmark = pytest.mark.separately

ROWS = [
    # user, who, mail, folder, host, born, notes, region, doi, data
    (
        "ada",
        "Ada Lovelace",
        "ada@lab.org",
        "/home/ada/raw/1.nwb",
        "10.1.2.3",
        "1815-12-10",
        "short",
        "CA1 left",
    ),
    ("cb", "Charles Babbage", "", "D:\\data\\x.bin", "nas.lab.edu", "1791-12-26", "long " * 30, "CA3 left"),
    ("gh", "Grace B. Hopper", "", "s3://bucket/x", "rig3", "1906-12-09", "see cb@lab.org", "1.2.3"),
]


@pytest.fixture
def bundle(server: Server, connection: Any, prefix: str, tmp_path: Path) -> Bundle:
    name = f"`{prefix}lab`"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(
            f"CREATE TABLE {name}.session (experimenter VARCHAR(20) PRIMARY KEY, who VARCHAR(60), mail VARCHAR(60),"
            " folder VARCHAR(255), host VARCHAR(60), date_of_birth DATE, notes TEXT, region VARCHAR(20), data LONGBLOB)"
        )
        for row in ROWS:
            cursor.execute(f"INSERT INTO {name}.session VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'x')", row)
        cursor.execute(f"CREATE TABLE {name}.other (other INT PRIMARY KEY, mail VARCHAR(60))")
        cursor.execute(f"INSERT INTO {name}.other VALUES (1, 'someone@else.org')")
    cut = make_cut(server, prefix, [f"SELECT * FROM {name}.session WHERE mail <> 'me@my.org'"])
    with server.connect() as opened:
        return write_bundle(cut, tmp_path / "bundle", connection=opened, accept_drift=True)


def test_findings(bundle: Bundle, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BundleError):
        inspect_bundle(bundle)
    bundle.dump([f"--defaults-file={server.defaults_file()}"])
    before = {path.name: path.read_bytes() for path in bundle.path.iterdir()}
    seen: list[tuple[int, int]] = []
    found = inspect_bundle(bundle, lambda done, of: seen.append((done, of)))
    assert {path.name: path.read_bytes() for path in bundle.path.iterdir()} == before
    assert seen[-1] == (8, 8) and found.columns == 8
    by_column: dict[str, dict[str, Finding]] = {}
    for finding in found.findings:
        by_column.setdefault(finding.where.rpartition(".")[2].strip("`"), {})[finding.what] = finding
    by_column.pop("json: environments", None)  # of this checkout
    assert {column: set(what) for column, what in by_column.items()} == {
        "experimenter": {"person"},
        "who": {"person"},
        "mail": {"person"},
        "folder": {"path", "address of a machine"},
        "host": {"identifier of a person or machine", "address of a machine"},
        "date_of_birth": {"date of birth"},
        "notes": {"e-mail address", "free text"},
        "json: statements": {"e-mail address"},
    }
    assert by_column["folder"]["path"].values == 2 and by_column["folder"]["path"].rows == 2
    assert "/home/ada/raw/1.nwb" in by_column["folder"]["path"].examples
    assert by_column["who"]["person"].values == 3
    assert by_column["json: statements"]["e-mail address"].examples == ("me@my.org",)
    assert [text.rpartition(".")[2] for text in found.unread] == ["`data`"]
    assert not any("someone@else.org" in finding.examples for finding in found.findings)
    assert "Nobody has looked yet" in (bundle.path / "report.html").read_text()
    assert main(["inspect", str(bundle.path)]) == 0
    out = capsys.readouterr().out
    assert "Ada Lovelace" in out and "findings in 8 columns" in out and "hold bytes" in out
    # the report has where and how much, and no value
    noted = (bundle.path / "inspection.json").read_text()
    assert set(json.loads(noted)) == set(INSPECTION)
    assert set(json.loads(noted)["findings"][0]) == set(INSPECTION["findings"][0])
    section = (bundle.path / "report.html").read_text().partition('<section id="privacy">')[2]
    section = section.partition("</section>")[0]
    assert len(json.loads(noted)["findings"]) == len(found.findings) == section.count("<tr><td>")
    for text in ("8 columns of text", "<code>who</code></td><td>person</td>", "<code>data</code>"):
        assert text in section
    for one in found.findings:
        told = [text for text in one.examples if len(text) > 2]  # "gh" is in "through"
        assert told or one.what == "person"
        assert not [text for text in told if text in noted or text in section]


def test_hosts_in_paths_of_files(bundle: Bundle, server: Server) -> None:
    """The list of files of a bundle is published too: what its paths tell of machines is among the findings."""
    bundle.dump([f"--defaults-file={server.defaults_file()}"])
    path = bundle.path / "manifest.json"
    manifest = json.loads(path.read_text())
    about = {"kind": "blob", "size": 1, "checksum": None, "state": "ok", "columns": [], "rows": 0}
    rows = copy.deepcopy(FIRST_ROWS)  # the report shows what is in a blob, and what a statement computes
    rows["tables"][0]["rows"][0][0] = {"text": '{"by": "ada@lab.org"}'}
    rows["results"][0]["rows"][0][0] = "/home/ada/raw"
    (bundle.path / "first-rows.json").write_text(json.dumps(rows))
    manifest["files"] = [
        {"store": "raw", "path": "rig3.ephys.lab.edu/ada/1.nwb", **about},
        {"store": "raw", "path": "sessions/2.nwb", **about},
    ]
    path.write_text(json.dumps(manifest))
    found = inspect_bundle(Bundle(bundle.path)).findings
    of_files = {one.what: one.examples for one in found if one.where == "manifest.json: files"}
    assert of_files["path"] == ("raw/rig3.ephys.lab.edu/ada/1.nwb", "raw/sessions/2.nwb")
    assert of_files["address of a machine"] == ("rig3.ephys.lab.edu",)
    shown = {one.what: one.examples for one in found if one.where == "first-rows.json"}
    assert shown == {"e-mail address": ("ada@lab.org",), "path": ("/home/ada/raw",)}
