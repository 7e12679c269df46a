"""Very many scattered keys: dump.sh contains them all if the account may only SELECT, or uses a table of keys."""

from __future__ import annotations

import doctest
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.dump import keytables as module
from dj_sqlspy.errors import BundleError
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql import structure
from dj_sqlspy.servers.mysql.connect import client_options
from tests.lab import make_lab, rows
from tests.test_dump import account, cut, options, same

pytestmark = pytest.mark.separately

PASSWORD = "only reads"


@pytest.fixture
def schemas(connection: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """A schema of the lab's, and one for tables of keys."""
    with connection.cursor() as cursor:
        for name in ("lab", "scratch"):
            cursor.execute(f"CREATE DATABASE `{prefix}{name}`")
    yield f"{prefix}lab", f"{prefix}scratch"


def commands(bundle: Bundle) -> list[int]:
    """For each table whose rows are dumped, with how many commands."""
    lines = (
        (bundle.path / "dump.sh").read_text().partition("\nrows() {\n")[2].partition("\n}")[0].splitlines()
    )
    return [line.count(" IN (") + line.count(" BETWEEN ") for line in lines]


def dump_as_reader(bundle: Bundle, server: Server, *names: str, engine: str = "mysqldump") -> None:
    grants = [f"SELECT ON `{name}`.*" for name in names]
    with (
        account(server, PASSWORD, *grants) as user,
        server.connect(user=user, password=PASSWORD) as opened,
        client_options(opened) as own,
    ):
        bundle.dump(own, engine=engine)


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0


def test_keys_of_every_type(
    server: Server,
    clean_scratch: Server,
    connection: Any,
    schemas: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
) -> None:
    lab, keys = schemas
    kinds = {
        "text": (
            "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
            ["'it''s'", "'ä'", "'b '", "'%\\\\'"],
        ),
        "bytes": ("BINARY(4)", ["X'00270A5C'", "X'FF000000'", "'abcd'", "X'24602722'"]),
        "at": ("TIMESTAMP(3)", [f"'2024-03-{day} 02:30:00.125'" for day in (10, 11, 12, 13)]),
        "single": ("FLOAT", ["0.1", "16777216", "-1e-20", "3"]),
        "exact": ("DECIMAL(20, 9)", ["1.000000001", "2", "-3.5", "12345678901.5"]),
    }
    with connection.cursor() as cursor:
        for name, (kind, values) in kinds.items():
            cursor.execute(
                f"CREATE TABLE `{lab}`.`#{name}` (k {kind} NOT NULL, n INT, v INT, PRIMARY KEY (k, n))"
            )
            for (number, value), n in itertools.product(enumerate(values), range(40)):
                cursor.execute(
                    f"INSERT INTO `{lab}`.`#{name}` VALUES ({value}, {n}, {(number * 7 + n * n) % 5})"
                )
    monkeypatch.setattr(module, "WORTH", 500)
    texts = [f"SELECT * FROM `{lab}`.`#{name}` WHERE v < 2" for name in kinds]
    bundle = write_bundle(cut(server, *texts), tmp_path / "b", connection=connection, scratch=keys)
    script = (bundle.path / "dump.sh").read_text()
    assert commands(bundle) == [1] * len(kinds)
    assert script.count(f"FROM `{keys}`.`sqlspy_") == len(kinds) == script.count("can be dropped afterwards")
    again = write_bundle(cut(server, *texts), tmp_path / "again", connection=connection, scratch=keys)
    assert (again.path / "dump.sh").read_text() == script  # the same tables
    dump_as_reader(bundle, server, lab, keys, engine=engine)
    bundle.restore(options(clean_scratch))
    same(server, clean_scratch, *texts)
    for name in kinds:
        with clean_scratch.connect() as opened, opened.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM `{lab}`.`#{name}` WHERE v >= 2")
            assert cursor.fetchone() == (0,)


def test_where_it_cannot_be(
    server: Server, connection: Any, schemas: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, keys = schemas
    monkeypatch.setattr(module, "WORTH", 100)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE `{lab}`.t (a VARCHAR(9), b INT, PRIMARY KEY (a, b))")
        cursor.executemany(f"INSERT INTO `{lab}`.t VALUES (%s, %s)", [(f"x{n}", n % 3) for n in range(99)])
    made = cut(server, f"SELECT * FROM `{lab}`.t WHERE b = 1")
    with pytest.raises(BundleError, match=r"sqlspy.scratch.*GRANT CREATE"):
        write_bundle(made, tmp_path / "b", connection=connection, scratch="not_there")
    with (
        account(server, PASSWORD, f"SELECT ON `{lab}`.*", f"SELECT ON `{keys}`.*") as user,
        server.connect(user=user, password=PASSWORD) as reader,
    ):
        with pytest.raises(BundleError, match="GRANT CREATE"):
            write_bundle(made, tmp_path / "b", connection=reader, scratch=keys)
        write_bundle(made, tmp_path / "b", connection=reader)  # needs no such table
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM `{lab}`.t WHERE a = 'x4'")
    with pytest.raises(BundleError, match="32 of the 33 rows"):
        write_bundle(made, tmp_path / "c", connection=connection, scratch=keys)


def test_the_setting(
    dj_conn: Any,
    prefix: str,
    schemas: tuple[str, str],
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = make_lab(f"{prefix}other", dj_conn)
    with sqlspy.export("paper", "fig"):
        rows(lab.Session & "session = 1" & "subject < 5")
    monkeypatch.setattr(module, "WORTH", 10)
    without = sqlspy.Paper("paper").write(tmp_path / "without")
    assert "sqlspy_" not in (without.path / "dump.sh").read_text()
    try:
        dj.config["sqlspy.scratch"] = schemas[1]
        bundle = sqlspy.Paper("paper").write(tmp_path / "b")
    finally:
        dj.config["sqlspy.scratch"] = None
    assert f"`{schemas[1]}`.`sqlspy_" in (bundle.path / "dump.sh").read_text()
    bundle.dump()
    assert bundle.manifest["tables"] == without.manifest["tables"]


@pytest.mark.slow
@pytest.mark.line("2.x")
@pytest.mark.flavor("mysql")
def test_a_million_scattered_keys(
    server: Server, clean_scratch: Server, connection: Any, schemas: tuple[str, str], tmp_path: Path
) -> None:
    lab, keys = schemas
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE `{lab}`.t (id INT PRIMARY KEY, v INT NOT NULL)")
        cursor.execute(f"INSERT INTO `{lab}`.t VALUES (0, 0)")
        for power in range(21):
            cursor.execute(f"INSERT INTO `{lab}`.t SELECT id + {1 << power}, 0 FROM `{lab}`.t")
        cursor.execute(f"UPDATE `{lab}`.t SET v = CRC32(id) % 2")
        cursor.execute(f"SELECT COUNT(*) FROM `{lab}`.t WHERE v = 1")
        (count,) = cursor.fetchone()
    assert count > 1_000_000
    made = cut(server, f"SELECT * FROM `{lab}`.t WHERE v = 1")
    bundle = write_bundle(made, tmp_path / "b", connection=connection)
    longest = max(map(len, (bundle.path / "dump.sh").read_text().split("'")))
    assert sum(commands(bundle)) > 20 and longest < 128 * 1024
    dump_as_reader(bundle, server, lab)
    bundle.restore(options(clean_scratch))
    with clean_scratch.connect() as opened, opened.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*), SUM(v) FROM `{lab}`.t")
        assert tuple(map(int, cursor.fetchone())) == (count, count)
    short = write_bundle(made, tmp_path / "short", connection=connection, scratch=keys)
    assert commands(short) == [1] and (short.path / "dump.sh").stat().st_size < 40_000
    dump_as_reader(short, server, lab, keys)
    assert short.dump_file.stat().st_size < 1.5 * bundle.dump_file.stat().st_size


@pytest.mark.flavor("mariadb")
def test_rows_that_change_while_their_keys_are_written(
    connection: Any, server: Server, schemas: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With innodb_snapshot_isolation, MariaDB 11.8's default, a row that changed since the snapshot is error 1020."""
    lab, scratch = schemas
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE `{lab}`.t (id INT PRIMARY KEY, x INT)")
        cursor.execute(f"INSERT INTO `{lab}`.t VALUES (1, 1), (2, 2), (3, 3)")
    table = cut(server, f"SELECT * FROM `{lab}`.t").tables[f"`{lab}`.`t`"].table
    count = structure._count

    def counted(cursor: Any, name: str) -> int:
        found = count(cursor, name)
        with connection.cursor() as other:
            other.execute(f"UPDATE `{lab}`.t SET x = x + 1")
        return found

    monkeypatch.setattr(structure, "_count", counted)
    with server.connect(autocommit=False) as opened:
        with opened.cursor() as cursor:
            cursor.execute("SET SESSION innodb_snapshot_isolation = ON")
        assert structure.fill_key_table(opened, f"`{scratch}`.k", table, ["id < 2", "id > 2"], 2) == 2
