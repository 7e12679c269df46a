"""A bundle from an older MariaDB, loaded and verified with the programs of a newer one; and the other way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

from dj_sqlspy import servers
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import Server
from tests.conftest import MACHINE, drop_schemas
from tests.test_cross import make
from tests.test_dump import bundle_of, options, same
from tests.test_verify import as_text

# It is about the servers alone, and of MySQL there is only one version to be had.
pytestmark = [pytest.mark.slow, pytest.mark.flavor("mariadb"), pytest.mark.line("2.x")]


def version(server: Server) -> tuple[int, ...]:
    return tuple(int(number) for number in server.version.split("-")[0].split("."))


@pytest.fixture(scope="module")
def pair() -> Iterator[list[tuple[Server, Path]]]:
    """An older and a newer server, each with the folder of its programs: this machine's, and that of another Debian."""
    with servers.private_server("mariadb") as own:
        suite = "bookworm" if version(own) > (11,) else "trixie"
        command = [sys.executable, str(MACHINE), "mariadb", suite]
        root = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        with servers.private_server("mariadb", root=root) as other:
            found = servers.find_server("mariadb")
            assert found is not None and version(own)[:2] != version(other)[:2]
            both = [(own, found.path.parent), (other, servers.root_programs(root))]
            yield sorted(both, key=lambda each: version(each[0]))


def verified(server: Server, path: Path, statements: Sequence[str]) -> tuple[Bundle, Any]:
    """A bundle with its dump, equal to its source, and a connection to that."""
    source = dj.Connection(server.host, server.user, server.password, port=server.port, use_tls=False)
    bundle = bundle_of(server, path, *statements)
    bundle.dump(options(server))
    report = bundle.verify(source)
    assert report.equal and report.complete and report.from_source, as_text(report)
    return bundle, source


def test_older_to_newer(
    pair: list[tuple[Server, Path]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (older, its_programs), (newer, programs) = pair
    path = os.environ["PATH"]
    make(
        older,
        "CREATE TABLE cross_lab.`#kind` (kind VARCHAR(20) PRIMARY KEY, note JSON, u UUID) COMMENT 'it''s text'",
        "CREATE TABLE cross_lab.item (id INT AUTO_INCREMENT PRIMARY KEY, kind VARCHAR(20) NOT NULL, f FLOAT,"
        " b LONGBLOB, ts TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP, e ENUM('ä', 'b') DEFAULT 'b',"
        " whole INT AS (FLOOR(d)) STORED, name VARCHAR(40) COLLATE utf8mb4_unicode_520_ci AS (UPPER(kind)) VIRTUAL,"
        " d DECIMAL(9, 4), CHECK (d < 100), FOREIGN KEY (kind) REFERENCES cross_lab.`#kind` (kind))",
        "INSERT INTO cross_lab.`#kind` VALUES ('it''s \\\\ 😀 %', '{\"a\": [1, 2.5]}', UUID()), ('other', NULL, NULL)",
        "INSERT INTO cross_lab.item (kind, f, b, d) VALUES"
        " ('it''s \\\\ 😀 %', 1.23456789, X'00FF', 99.5), ('other', 2, NULL, 1)",
        "CREATE VIEW cross_lab.seen AS SELECT id, kind FROM cross_lab.item WHERE kind <> 'x'",
    )
    statements = (
        "SELECT * FROM cross_lab.item JOIN cross_lab.seen USING (id) WHERE id = 1",
        "SELECT COUNT(*), MAX(JSON_VALUE(note, '$.a[1]')) FROM cross_lab.`#kind` WHERE u IS NOT NULL",
        "SELECT kind FROM cross_lab.`#kind` WHERE kind NOT IN (SELECT kind FROM cross_lab.item WHERE d > 50)",
    )
    monkeypatch.setenv("PATH", f"{its_programs}{os.pathsep}{path}")
    bundle, _ = verified(older, tmp_path / "b", statements)

    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{path}")
    assert "every foreign key finds its row" in bundle.restore(options(newer))
    same(
        older,
        newer,
        "SELECT id, HEX(kind), f * 1e0, HEX(b), UNIX_TIMESTAMP(ts), e, d, whole, name FROM cross_lab.item WHERE id = 1",
        "SELECT HEX(kind), JSON_EXTRACT(note, '$.a[1]'), u FROM cross_lab.`#kind`",
        *statements,
    )
    report = bundle.verify(alone=True)  # by a reader, whose private server is the newer one
    assert report.equal and report.complete and not report.from_source, as_text(report)


def test_newer_to_older(
    pair: list[tuple[Server, Path]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A statement with a function that the older one lacks cannot be compared there; it is no error.

    On the newer side no program is named mysql, only mariadb and mariadb-dump.
    """
    (older, programs), (newer, its_programs) = pair
    path = os.environ["PATH"]
    for server in (older, newer):
        drop_schemas(server, ["cross_lab"])
    make(
        newer,
        "CREATE TABLE cross_lab.t (id INT PRIMARY KEY, j JSON)",
        "INSERT INTO cross_lab.t VALUES (1, '[1, 2]'), (2, '[3]')",
    )
    statements = (
        "SELECT id, JSON_ARRAY_INTERSECT(j, '[2, 3]') AS c FROM cross_lab.t WHERE id < 3",
        "SELECT j FROM cross_lab.t WHERE id = 1",
    )
    (others := tmp_path / "bin").mkdir()
    for folder in reversed(os.get_exec_path()):
        for program in Path(folder).glob("*"):
            (others / program.name).unlink(missing_ok=True)
            if not program.name.startswith(("mysql", "maria")):
                (others / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", f"{its_programs}{os.pathsep}{others}")
    assert shutil.which("mysql") is None and shutil.which("mysqldump") is None
    bundle, source = verified(newer, tmp_path / "b", statements)
    drop_schemas(older, ["cross_lab"])
    bundle.restore(options(older))
    drop_schemas(older, ["cross_lab"])

    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{path}")
    for report in (bundle.verify(source), bundle.verify(alone=True)):
        assert report.equal and not report.complete, as_text(report)
        assert [result.state for result in report.statements] == ["unchecked", "equal"]
        assert "JSON_ARRAY_INTERSECT does not exist" in report.unchecked[0]
        assert f"The source ran on {newer.version}, and this was checked on" in as_text(report)
    bundle.restore(options(older))
    same(newer, older, statements[1])
