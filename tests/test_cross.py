"""Bundles from one server loaded into the other: MySQL to MariaDB and back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
import pytest
from pymysql.converters import escape_string

import dj_sqlspy as sqlspy
from dj_sqlspy import servers
from dj_sqlspy.bundle.folder import DUMP_FILE
from dj_sqlspy.errors import BundleError
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.replay.digests import measure_statements, measure_tables, read_catalog
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.session import as_sent, set_session
from tests.conftest import MYSQL_ROOT, drop_schemas, user_schemas
from tests.test_dump import bundle_of, cut, options, rows, same
from tests.test_verify import as_text

# In the cells with MySQL both servers are there.
pytestmark = [pytest.mark.flavor("mysql"), pytest.mark.separately, pytest.mark.usefixtures("dj_conn")]


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Server]:
    with servers.private_server("mariadb") as running:
        yield running


@pytest.fixture(params=["from mysql", "from mariadb"])
def both(request: Any, server: Server, mariadb: Server) -> Iterator[tuple[Server, Server]]:
    """The source, and where to load."""
    pair = (server, mariadb) if request.param == "from mysql" else (mariadb, server)
    yield pair
    for each in pair:
        drop_schemas(each, ["cross_lab"])


def make(source: Server, *statements: str) -> None:
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE cross_lab")
        for statement in statements:
            cursor.execute(statement)


def test_text_keys_and_numbers_cross(both: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = both
    make(
        source,
        "CREATE TABLE cross_lab.`#kind` (kind VARCHAR(20) PRIMARY KEY, note JSON) COMMENT 'utf8mb4 text'",
        "CREATE TABLE cross_lab.item (id INT AUTO_INCREMENT PRIMARY KEY, kind VARCHAR(20) NOT NULL, f FLOAT,"
        " u BINARY(16), b LONGBLOB, ts TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP, e ENUM('ä', 'b') DEFAULT 'b',"
        " d DECIMAL(9, 4), CHECK (d < 100), FOREIGN KEY (kind) REFERENCES cross_lab.`#kind` (kind))",
        "INSERT INTO cross_lab.`#kind` VALUES ('it''s \\\\ 😀 %', '{\"a\": [1, 2.5]}'), ('other', NULL)",
        "INSERT INTO cross_lab.item (kind, f, u, b, d) VALUES"
        " ('it''s \\\\ 😀 %', 1.23456789, X'00112233445566778899AABBCCDDEEFF', X'00FF', 99.5)",
        "CREATE VIEW cross_lab.seen AS SELECT id, kind FROM cross_lab.item WHERE kind <> 'x'",
    )
    statement = "SELECT * FROM cross_lab.item JOIN cross_lab.seen USING (id)"
    with source.connect() as connection:
        bundle = write_bundle(
            cut(source, statement, "SELECT * FROM cross_lab.seen"), tmp_path / "b", connection=connection
        )
    bundle.dump(options(source))
    said = bundle.restore(options(target))
    assert "every foreign key finds its row" in said
    same(
        source,
        target,
        "SELECT id, HEX(kind), f * 1e0, HEX(u), HEX(b), UNIX_TIMESTAMP(ts), e, d FROM cross_lab.item",
        "SELECT HEX(kind), JSON_EXTRACT(note, '$.a[1]') FROM cross_lab.`#kind` WHERE kind <> 'other'",
        "SELECT * FROM cross_lab.seen",
    )
    # what the author's side would record, and a reader with the other server would find
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM cross_lab.`#kind` WHERE kind = 'other'")  # it is not in the slice
    recorded = digests(source, bundle.manifest, None)
    assert digests(target, bundle.manifest, recorded) == recorded
    assert [table["rows"] for table in recorded["tables"]] == [1, 1]
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("""UPDATE cross_lab.`#kind` SET note = '{"a": [1, 2.25]}'""")
    assert digests(source, bundle.manifest, recorded)["tables"][0] != recorded["tables"][0]


def test_generated_columns_cross(both: tuple[Server, Server], tmp_path: Path) -> None:
    """Stored and virtual, of numbers and of text, with an index, a comment and awkward names."""
    source, target = both
    smile = "😀" if source.flavor == "mariadb" else "ü"  # MySQL prints none in a definition
    make(
        source,
        "CREATE TABLE cross_lab.t (a INT PRIMARY KEY, `od``d` VARCHAR(60), `tw``ice` INT AS (a * 2) STORED COMMENT"
        " 'it''s 2 * (a) STORED?', v INT AS (a + 1) VIRTUAL, s VARCHAR(90) AS (CONCAT(`od``d`, ' (%s) é')) STORED,"
        " w VARCHAR(60) AS (UPPER(`od``d`)) VIRTUAL, last INT,"
        " e ENUM('it''s', 'x') AS (IF(a = 1, 'it''s', 'x')) VIRTUAL,"
        f" x VARCHAR(90) AS (CONCAT(s, '\\\\ {smile}')) VIRTUAL,"
        " KEY k (s), UNIQUE KEY u (`tw``ice`), KEY kv (v, w(5)))",
        "INSERT INTO cross_lab.t (a, `od``d`, last) VALUES (1, 'x GENERATED ALWAYS AS (1) STORED', 7), (2, NULL, 8)",
    )
    with source.connect() as connection:
        bundle = write_bundle(cut(source, "SELECT * FROM cross_lab.t"), tmp_path / "b", connection=connection)
    bundle.dump(options(source))
    bundle.restore(options(target))
    same(
        source,
        target,
        "SELECT a, HEX(`od``d`), `tw``ice`, v, HEX(s), HEX(w), last, e, HEX(x) FROM cross_lab.t ORDER BY a",
    )
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE cross_lab.t SET `od``d` = 'y' WHERE a = 2")
        cursor.execute(
            "SELECT * FROM cross_lab.t WHERE a = 2"
        )  # the columns are generated, and in their places
        assert cursor.fetchone() == (2, "y", 4, 3, "y (%s) é", "Y", 8, "x", f"y (%s) é\\ {smile}")
        cursor.execute("SHOW INDEX FROM cross_lab.t")
        assert {row[2] for row in cursor.fetchall()} == {"PRIMARY", "k", "u", "kv"}


def test_other_values_are_told(
    both: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of generated columns after the load, of places on the globe before it. Nothing is left, unless it is accepted."""
    source, target = both
    globe = "ST_GeomFromText('POINT(10 50)', 4326)"
    make(
        source,
        "CREATE TABLE cross_lab.t (a INT PRIMARY KEY, d DOUBLE, j VARCHAR(60) AS (JSON_ARRAY(d)) STORED,"
        " twice DOUBLE AS (d * 2) VIRTUAL, t DATETIME(3), cut DATETIME AS (t) VIRTUAL)",
        "INSERT INTO cross_lab.t (a, d, t) VALUES (1, 2, '2024-01-01 10:00:00.7'), (2, 0.1, NULL)",
        "CREATE TABLE cross_lab.place (a INT PRIMARY KEY, p POINT)",
        f"INSERT INTO cross_lab.place VALUES (1, {globe}), (2, POINT(1, 2)), (3, NULL)",
    )

    def restored(read: str, *more: str) -> str:
        with source.connect() as connection:
            bundle = write_bundle(cut(source, read), tmp_path / "b", connection=connection)
        bundle.dump(options(source))
        return bundle.restore([*options(target), *more])

    place, generated = "SELECT * FROM cross_lab.place WHERE a < 3", "SELECT * FROM cross_lab.t WHERE a < 3"
    with pytest.raises(BundleError) as found:
        restored(place)
    message = str(found.value)
    assert "`cross_lab`.`place` `p`: places with the SRID 4326" in message and "nothing was loaded" in message
    assert "cross_lab" not in user_schemas(target)
    restored(place, "--accept-other-values")
    same(source, target, "SELECT a, HEX(p), ST_SRID(p) FROM cross_lab.place WHERE a < 3")
    drop_schemas(target, ["cross_lab"])
    restored("SELECT * FROM cross_lab.place WHERE a > 1")  # no such place is in it
    drop_schemas(target, ["cross_lab"])
    with pytest.raises(BundleError) as found:
        restored(generated)
    message = str(found.value)
    named = [line.strip() for line in message.splitlines() if "other values on this server" in line]
    assert [line.rpartition("`cross_lab`.`t` ")[2][:5] for line in named] == ["`j`: ", "`cut`"], message
    assert "has been removed again" in message and "--accept-other-values" in message
    assert "cross_lab" not in user_schemas(target)
    said = restored(generated, "--accept-other-values")
    assert said.count("Other values: `cross_lab`.`t` `") == 2
    same(source, target, "SELECT a, d, twice, t FROM cross_lab.t WHERE a < 3")
    bundle = Bundle(tmp_path / "b")
    assert bundle.verify(alone=True).equal
    if source.flavor == "mysql":
        leave_mariadb_alone(monkeypatch)
        report = bundle.verify(alone=True)
        assert not report.equal and "`j`: generated, with other values on this server" in as_text(report)


@pytest.mark.line("2.x")  # 0.14 has no hidden columns
def test_hidden_columns_of_datajoint_cross(
    both: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``_prov``, who made a row, is there with its values, and DataJoint reads and writes the loaded tables."""
    source, target = both
    monkeypatch.setenv("DJ_SQLSPY_HOME", str(tmp_path / "home"))

    def declared(server: Server) -> tuple[Any, Any]:
        use_tls = None if server.tls else False
        connection = dj.Connection(
            server.host, server.user, server.password, port=server.port, use_tls=use_tls
        )
        schema = dj.Schema("cross_lab", connection=connection)

        @schema
        class Animal(dj.Manual):
            definition = "animal : int32\n---\nname : varchar(20)"

        @schema
        class Weighing(dj.Manual):
            definition = "-> Animal\nday : date\n---\nweight : float64"

        return Animal(), Weighing()

    with dj.config.override(provenance__capture=True, safemode=False):
        animals, weighings = declared(source)
        animals.insert([(1, "it's"), (2, "é"), (3, "left out")])
        weighings.insert([(1, "2024-01-01", 0.1), (2, "2024-02-29", 1e-300), (3, "2024-01-01", 1)])
        with sqlspy.export("paper", "fig"):
            read = (animals * weighings & "animal < 3").to_dicts()
        paper = sqlspy.Paper("paper", connection=animals.connection)
        bundle = paper.write(tmp_path / "b")
        bundle.dump(options(source))
        bundle.restore(options(target))
        there, here = (
            rows(server, "SELECT animal, JSON_EXTRACT(_prov, '$') FROM cross_lab.animal WHERE animal < 3")
            for server in both
        )
        assert [json.loads(row[1]) for row in here] == [json.loads(row[1]) for row in there]
        assert all(json.loads(row[1]) for row in here)
        others, their_weighings = declared(target)
        assert (others * their_weighings).to_dicts() == read
        others.insert1((4, "new"))
        assert len(rows(target, "SELECT 1 FROM cross_lab.animal WHERE _prov IS NOT NULL")) == 3
    assert bundle.verify().equal


@pytest.mark.line("2.x")  # 0.14 has neither
def test_stores_and_job_tables_of_datajoint_cross(
    both: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in stores is fetched through the loaded tables. A queue of jobs, ``~~``, is bookkeeping and stays."""
    source, target = both
    monkeypatch.setenv("DJ_SQLSPY_HOME", str(tmp_path / "home"))
    stores = {name: {"protocol": "file", "location": str(tmp_path / name)} for name in ("raw", "other")}
    for name in stores:
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("it's")

    def declared(server: Server) -> Any:
        use_tls = None if server.tls else False
        connection = dj.Connection(
            server.host, server.user, server.password, port=server.port, use_tls=use_tls
        )
        # as in test_files: on MariaDB, DataJoint 2.3 hands the driver a dict
        connection._conn.encoders[dict] = lambda value, _: f"'{escape_string(json.dumps(value))}'"
        schema = dj.Schema("cross_lab", connection=connection)

        @schema
        class Recording(dj.Manual):
            definition = """
            recording : int32
            ---
            waves : <blob@raw>
            notes : <attach@raw>
            array : <npy@raw>
            single : <object@raw>
            extra=null : <blob@>
            """

        @schema
        class Mean(dj.Computed):
            definition = "-> Recording\n---\nmean : float64"

            def make(self, key: Any) -> None:
                self.insert1({**key, "mean": (Recording & key).fetch1("waves").mean()})

        return Recording(), Mean()

    with dj.config.override(stores={**stores, "default": "other"}):
        recordings, means = declared(source)
        for number in range(3):
            recordings.insert1(
                {
                    "recording": number,
                    "waves": np.arange(5.0) + number,
                    "notes": str(tmp_path / "notes.txt"),
                    "array": np.ones(3) * number,
                    "single": str(tmp_path / "notes.txt"),
                }
            )
        means.populate("recording < 2", reserve_jobs=True)
        means.jobs.refresh()
        assert rows(source, "SELECT recording FROM cross_lab.`~~mean`") == [(b"2",)] and len(means) == 2

        def analysis(recordings: Any, means: Any) -> list[Any]:
            one = recordings & "recording = 1"
            return [
                one.fetch1("waves").tolist(),
                Path(one.fetch1("notes")).read_text(),
                np.asarray(one.fetch1("array")).tolist(),
                one.fetch1("single").read(),
                one.fetch1("extra"),
                (means & "recording < 2").to_dicts(),
            ]

        with sqlspy.export("paper", "fig"):
            read = analysis(recordings, means)
            means.jobs.to_dicts()
        paper = sqlspy.Paper("paper", connection=recordings.connection)
        bundle = paper.write(tmp_path / "b")
        assert {file["store"] for file in bundle.manifest["files"]} == {"raw"}
        bundle.dump(options(source))
        bundle.restore(options(target))
        found = rows(target, "SHOW TABLES FROM cross_lab")
        assert [name for (name,) in found] == [b"__mean", b"recording", b"~lineage"]
        assert analysis(*declared(target)) == read
        assert bundle.verify().equal


def digests(server: Server, manifest: Any, recorded: Any) -> dict[str, Any]:
    with server.connect() as opened:
        catalog = read_catalog(opened, manifest)
        with as_sent(opened):
            tables = measure_tables(opened, catalog, manifest, recorded)
            set_session(opened, {"time_zone": "+00:00", "sql_mode": "STRICT_TRANS_TABLES"})
            return {"tables": tables, "statements": measure_statements(opened, manifest, recorded)}


def test_how_only_mariadb_generates_is_said_before(
    server: Server, mariadb: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    make(
        mariadb,
        "CREATE TABLE cross_lab.t (a INT PRIMARY KEY, b VARCHAR(9) AS (NVL2(a, 'x', 'y')) STORED)",
        "INSERT INTO cross_lab.t (a) VALUES (1)",
    )
    try:
        with mariadb.connect() as connection:
            bundle = write_bundle(
                cut(mariadb, "SELECT * FROM cross_lab.t"), tmp_path / "b", connection=connection
            )
        bundle.dump(options(mariadb))
        with pytest.raises(
            BundleError, match=r"has not all .*\n    `cross_lab`\.`t` `b`: its expression \(nvl2"
        ):
            bundle.restore(options(clean_scratch))
        with clean_scratch.connect() as connection, connection.cursor() as cursor:
            assert cursor.execute("SHOW DATABASES LIKE 'cross_lab'") == 0
    finally:
        drop_schemas(mariadb, ["cross_lab"])


def test_vectors_need_mysqls_own_program(server: Server, clean_scratch: Server, tmp_path: Path) -> None:
    """MariaDB's would write the bytes of a vector as a text, which are other bytes when they are loaded."""
    make(
        server,
        "CREATE TABLE cross_lab.t (id INT PRIMARY KEY, v VECTOR(3) NOT NULL, w VECTOR(2))",
        "CREATE TABLE cross_lab.with_float (id INT PRIMARY KEY, v VECTOR(2), f FLOAT)",
        "INSERT INTO cross_lab.t VALUES (1, STRING_TO_VECTOR('[1, 2.5, -3e10]'), NULL),"
        " (2, STRING_TO_VECTOR('[0.1, 0, -0.0]'), STRING_TO_VECTOR('[7, 8]'))",
        "INSERT INTO cross_lab.with_float VALUES (1, STRING_TO_VECTOR('[0.1, -7]'), 16777216)",
    )
    try:
        reads = ("SELECT * FROM cross_lab.t", "SELECT * FROM cross_lab.with_float")
        bundle = bundle_of(server, tmp_path / "b", *reads)
        theirs = shutil.which("mariadb-dump")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MYSQLDUMP", theirs or "")
            with pytest.raises(BundleError, match=r"is MariaDB's, and writes a VECTOR of MySQL as a text"):
                bundle.dump(options(server))
        assert not (bundle.path / DUMP_FILE).exists()
        bundle.dump(options(server))
        bundle.restore(options(clean_scratch))
        same(
            server,
            clean_scratch,
            "SELECT id, HEX(v), HEX(w) FROM cross_lab.t",
            "SELECT id, HEX(v), f * 1e0 FROM cross_lab.with_float",
        )
        assert bundle.verify().equal
    finally:
        drop_schemas(server, ["cross_lab"])


def test_what_mysql_does_not_print_is_refused(server: Server, tmp_path: Path) -> None:
    """Of an expression with a character of four bytes: nothing is written."""
    make(
        server,
        "CREATE TABLE cross_lab.t (a INT PRIMARY KEY, b VARCHAR(9) AS (CONCAT(a, '😀')))",
        "INSERT INTO cross_lab.t (a) VALUES (1)",
    )
    try:
        with server.connect() as connection, pytest.raises(BundleError, match=r"`t` `b`: .* no emoji"):
            write_bundle(cut(server, "SELECT * FROM cross_lab.t"), tmp_path / "b", connection=connection)
        assert not (tmp_path / "b").exists()
    finally:
        drop_schemas(server, ["cross_lab"])


def test_what_cannot_cross_is_said_before(both: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = both
    if source.flavor == "mariadb":
        make(
            source,
            "CREATE TABLE cross_lab.t (u UUID PRIMARY KEY, i INET6, c VARCHAR(9) COLLATE utf8mb4_general_nopad_ci)",
            "INSERT INTO cross_lab.t (u) VALUES ('123e4567-e89b-12d3-a456-426655440000')",
        )
        reason = (
            r"`t` `c`: the collation utf8mb4_general_nopad_ci, of which MySQL has none .*\n"
            r" *`cross_lab`\.`t` `u`: the type UUID\n *`cross_lab`\.`t` `i`: the type INET6\n"
        )
    else:
        make(
            source,
            "CREATE TABLE cross_lab.t (u VARCHAR(9) COLLATE utf8mb4_ja_0900_as_cs_ks PRIMARY KEY)",
            "INSERT INTO cross_lab.t VALUES ('x')",
        )
        reason = (
            r"`t` `u`: the collation utf8mb4_ja_0900_as_cs_ks, of which MariaDB has none that finds the same"
        )
    with source.connect() as connection:
        bundle = write_bundle(cut(source, "SELECT * FROM cross_lab.t"), tmp_path / "b", connection=connection)
    bundle.dump(options(source))
    with pytest.raises(BundleError, match=reason):
        bundle.restore(options(target))
    with target.connect() as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW DATABASES LIKE 'cross_lab'") == 0


ONLY = (
    "SELECT * FROM cross_lab.t JOIN cross_lab.kind USING (name) WHERE name = 'A' AND f > 0.25",
    "SELECT name, COUNT(*) FROM cross_lab.t WHERE name LIKE 'B%' GROUP BY name ORDER BY name",
    "SELECT 'a' = 'a ' AS pads, id, JSON_EXTRACT(j, '$.a'), f FROM cross_lab.t",
    "SELECT id FROM cross_lab.t WHERE name COLLATE utf8mb4_ja_0900_as_cs = 'b'",
    "SELECT id, REGEXP_LIKE(name, 'b') FROM cross_lab.t",
)


def leave_mariadb_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH without the programs of MySQL."""
    folders = os.environ["PATH"].split(os.pathsep)
    without = [folder for folder in folders if folder != str(servers.root_programs(MYSQL_ROOT))]
    monkeypatch.setenv("PATH", os.pathsep.join(without))


def test_verify_where_only_mariadb_is(
    server: Server,
    dj_conn: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A source with MySQL is compared wherever MariaDB can, and what it cannot is named; so for a reader too."""
    make(
        server,
        "CREATE TABLE cross_lab.kind (name VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY)",
        "CREATE TABLE cross_lab.t (id INT PRIMARY KEY, name VARCHAR(20) COLLATE utf8mb4_0900_ai_ci NOT NULL, j JSON,"
        " f FLOAT, FOREIGN KEY (name) REFERENCES cross_lab.kind (name))",
        "INSERT INTO cross_lab.kind VALUES ('Ä'), ('b '), ('b'), ('C')",
        """INSERT INTO cross_lab.t VALUES (1, 'ä', '{"a": [1, 2.50]}', 1.1)""",
        "INSERT INTO cross_lab.t VALUES (2, 'b', NULL, 2), (3, 'b ', '[1]', NULL)",
    )
    leave_mariadb_alone(monkeypatch)
    try:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci")
            bundle = write_bundle(cut(server, *ONLY), tmp_path / "b", connection=connection)
        assert "verify will take MariaDB" in caplog.text and "put the server program of MySQL" in caplog.text
        report = bundle.verify()
        assert report.from_source and report.equal and not report.complete, as_text(report)
        assert [result.state for result in report.statements] == ["equal"] * 3 + ["unchecked"] * 2
        assert [table.state for table in report.tables] == ["equal"] * 2
        assert [("statement 4" in text, "statement 5" in text) for text in report.unchecked] == [
            (True, False),
            (False, True),
        ]
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE cross_lab.t SET f = 1.2 WHERE id = 1")
        changed = bundle.verify()
        assert [result.state for result in changed.statements[:3]] == ["differs", "equal", "differs"]
        assert not changed.equal and "`t`: as many rows" in as_text(changed)
        reader = bundle.verify(alone=True)
        assert reader.equal and not reader.complete and len(reader.unchecked) == 2, as_text(reader)
        assert [result.state for result in reader.statements] == ["equal"] * 3 + ["unchecked"] * 2
    finally:
        drop_schemas(server, ["cross_lab"])


def test_write_names_what_only_the_source_can_hold(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make(
        server,
        "CREATE TABLE cross_lab.t (u VARCHAR(9) COLLATE utf8mb4_ja_0900_as_cs_ks PRIMARY KEY)",
        "INSERT INTO cross_lab.t VALUES ('x')",
    )
    leave_mariadb_alone(monkeypatch)
    try:
        with server.connect() as connection:
            write_bundle(cut(server, "SELECT * FROM cross_lab.t"), tmp_path / "b", connection=connection)
        assert (
            "verify will need a MySQL, since no MariaDB can hold this slice: `cross_lab`.`t` `u`"
            in caplog.text
        )
    finally:
        drop_schemas(server, ["cross_lab"])


@pytest.mark.parametrize("without", ["a view", "a function"])
def test_the_rest_loads_without_what_a_server_refuses(
    server: Server,
    mariadb: Server,
    without: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A view or function with a function that the target lacks is named; so is a view that needs it; the rest loads."""
    refused = {
        "a view": "CREATE VIEW cross_lab.needed AS SELECT a, GROUPING(a) AS g FROM cross_lab.t GROUP BY a WITH ROLLUP",
        "a function": "CREATE FUNCTION cross_lab.needed(x INT) RETURNS INT DETERMINISTIC NO SQL RETURN IS_UUID(x)",
    }[without]
    reads = "a FROM cross_lab.needed" if without == "a view" else "cross_lab.needed(a) AS a FROM cross_lab.t"
    make(
        server,
        "SET GLOBAL log_bin_trust_function_creators = ON",
        "CREATE TABLE cross_lab.t (id INT PRIMARY KEY, a INT)",
        "INSERT INTO cross_lab.t VALUES (1, 10), (2, 20), (3, 20)",
        refused,
        f"CREATE VIEW cross_lab.above AS SELECT {reads}",
        "CREATE VIEW cross_lab.kept AS SELECT id FROM cross_lab.t",
    )
    statements = (f"SELECT {reads}", "SELECT * FROM cross_lab.above", "SELECT * FROM cross_lab.kept")
    try:
        with server.connect() as connection:
            bundle = write_bundle(cut(server, *statements), tmp_path / "b", connection=connection)
        bundle.dump(options(server))
        own = bundle.verify(alone=True)
        assert own.equal and {one.state for one in own.statements} == {"unchecked"}, as_text(own)
        with pytest.raises(BundleError) as found:
            bundle.restore(options(mariadb))
        message = str(found.value)
        assert "`cross_lab`.`needed`: its" in message and "`cross_lab`.`above`" in message, message
        assert "nothing was loaded" in message and "--skip-refused" in message
        assert "cross_lab" not in user_schemas(mariadb)
        said = bundle.restore([*options(mariadb), "--skip-refused"])
        assert "Loaded: 1 tables, 3 rows" in said and "Left out: `cross_lab`.`needed`: its" in said
        same(server, mariadb, "SELECT * FROM cross_lab.t", "SELECT * FROM cross_lab.kept")
        views = "SELECT table_name FROM information_schema.views WHERE table_schema = 'cross_lab'"
        assert rows(mariadb, views) == [(b"kept",)]
        functions = "SELECT 1 FROM information_schema.routines WHERE routine_schema = 'cross_lab'"
        assert rows(mariadb, functions) == []
        leave_mariadb_alone(monkeypatch)
        report = bundle.verify()
        assert report.equal and not report.complete, as_text(report)
        assert [one.state for one in report.statements] == ["unchecked", "unchecked", "equal"]
        assert "the view `cross_lab`.`above`, which this server refuses" in report.unchecked
        assert "NOT ALL WAS CHECKED" in as_text(report)
    finally:
        drop_schemas(server, ["cross_lab"])
        drop_schemas(mariadb, ["cross_lab"])
