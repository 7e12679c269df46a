"""The dump of PostgreSQL: what is loaded is what was read, all or nothing; what cannot be held is refused by name."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.errors import BundleError, SpyError
from dj_sqlspy.names import split_full_name
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers.catalog import Catalog
from dj_sqlspy.servers.columns import Column
from dj_sqlspy.servers.postgresql import checksums, connect, scripts, structure
from dj_sqlspy.servers.postgresql.dialect import POSTGRESQL
from dj_sqlspy.servers.postgresql.private import Server
from dj_sqlspy.servers.source import Rows
from dj_sqlspy.servers.tables import ForeignKey, Table

# DataJoint 0.14 has no PostgreSQL
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("postgresql")]

ODD = "it's \"odd\" \\ $x `y`\n%s :a :'b' $$ --"

LAB = f"""
CREATE SCHEMA lab;
CREATE TYPE lab.enum_sex AS ENUM ('it''s', 'F', '$(x)');
CREATE TABLE lab."#{ODD.replace('"', '""')}" (
    name varchar(40) COLLATE "C" PRIMARY KEY, sex lab.enum_sex, sexes lab.enum_sex[], data jsonb DEFAULT '{{}}',
    raw bytea,
    number double precision, "when" timestamptz, wait interval, exact numeric, "order" int[], boss varchar(40)
);
ALTER TABLE lab."#{ODD.replace('"', '""')}" ADD FOREIGN KEY (boss) REFERENCES lab."#{ODD.replace('"', '""')}";
COMMENT ON COLUMN lab."#{ODD.replace('"', '""')}".name IS ':varchar(40):of Bob';
CREATE TABLE lab.mouse (
    id int GENERATED ALWAYS AS IDENTITY, name varchar(40) NOT NULL REFERENCES lab."#{ODD.replace('"', '""')}",
    code serial, twice int GENERATED ALWAYS AS (half * 2) STORED, half int DEFAULT 3 CHECK (half > 0),
    PRIMARY KEY (id, name)
);
CREATE INDEX ON lab.mouse (lower(name)) WHERE half > 1;
CREATE VIEW lab.heavy AS SELECT id, twice FROM lab.mouse WHERE twice > 5;
CREATE TABLE lab.secret (a int);
CREATE FUNCTION lab.changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER watch BEFORE UPDATE ON lab.mouse EXECUTE FUNCTION lab.changed();
INSERT INTO lab."#{ODD.replace('"', '""')}" VALUES
    (E'a''\\\\\\n\\t$x`', 'it''s', '{{F,NULL,"$(x)"}}', '{{"a": [1, "\\\\u00fc"]}}', '\\x00ff5c', '-0', 'infinity',
        '1 mon -2 days', 1e-20,
        '{{1,NULL}}', '\\.'),
    ('\\.', 'F', NULL, NULL, '', 'NaN', '0044-03-15 12:00:00+01 BC', '-1 year', 'NaN', '{{}}', E'a''\\\\\\n\\t$x`'),
    ('', NULL, NULL, 'null', NULL, 1e-300, '2026-01-01 12:00:00.000001+02', NULL, NULL, NULL, NULL),
    ('of another project', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO lab.mouse (name, half) VALUES ('', 1), ('\\.', 4), (E'a''\\\\\\n\\t$x`', 3), ('of another project', 3);
CREATE ROLE reader LOGIN PASSWORD 'se:cr\\et';
ALTER ROLE reader SET timezone = 'Asia/Tokyo';
GRANT USAGE ON SCHEMA lab TO reader;
GRANT SELECT ON lab."#{ODD.replace('"', '""')}", lab.mouse, lab.heavy TO reader;
"""


@pytest.fixture(scope="module")
def lab(server: Server) -> Iterator[Server]:
    """The lab's server, with the tables above."""
    run(server, LAB)
    yield server
    run(server, "DROP SCHEMA lab CASCADE; DROP ROLE reader")


def run(server: Server, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
    with contextlib.closing(server.connect(dbname=database)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def table_of(server: Server, name: str, key: tuple[str, ...] = (), schema: str = "lab") -> Table:
    columns = run(
        server,
        "SELECT attname, format_type(atttypid, atttypmod), attgenerated <> '' FROM pg_attribute WHERE attnum > 0 AND"
        f" attrelid = {POSTGRESQL.string(POSTGRESQL.full_name(schema, name))}::regclass ORDER BY attnum",
    )
    made = [Column(c, t, t, True, None, "STORED GENERATED" if g else "") for c, t, g in columns]
    return Table(schema, name, tuple(made), key, dialect=POSTGRESQL)


class Slice:
    """A slice of the lab, written by hand, with its folder."""

    def __init__(self, server: Server, path: Path, **reading: Any) -> None:
        self.server, self.path = server, path
        spec, mouse = table_of(server, f"#{ODD}", ("name",)), table_of(server, "mouse", ("id", "name"))
        view = table_of(server, "heavy")
        self.keys = [
            ForeignKey("mouse_name_fkey", mouse.full_name, ("name",), spec.full_name, ("name",)),
        ]
        catalog = Catalog(
            {each.full_name: each for each in (spec, mouse, view)}, tuple(self.keys), dialect=POSTGRESQL
        )
        names = "'', '\\.', E'a''\\x5c\\x0a\\x09$x`'"
        parts = [
            Rows(spec, 3, (f'"name" IN ({names})',)),
            Rows(mouse, 3, ("\"name\" = ''", f'"id" > 1 AND "name" IN ({names})')),
        ]
        with contextlib.closing(server.connect(user="reader", password="se:cr\\et")) as connection:
            self.parts = checksums.with_checksums(connection, parts)
            self.source = structure.read_source(
                connection, [spec, mouse], catalog, [view.full_name], [], {}, **reading
            )
            computed = checksums.computed(connection, self.parts, self.source.generated)
        path.mkdir()
        texts = {
            "dump.sh": scripts.dump_script(self.parts, self.source, "lab", "2 tables, 6 rows"),
            "restore.sh": scripts.restore_script(
                self.parts, self.source, self.keys, "lab", "2 tables, 6 rows", computed
            ),
        }
        for name, text in texts.items():
            assert scripts.is_own(name, text) and not scripts.is_own(name, f"{text}\ntouch x\n")
            (path / name).write_text(text)

    @property
    def dump(self) -> Path:
        return self.path / "dump.sql.gz"

    def script(self, name: str, *options: str, **login: Any) -> subprocess.CompletedProcess[str]:
        with (
            contextlib.closing(self.server.connect(**login)) as connection,
            connect.client_options(connection) as own,
        ):
            command = ["bash", str(self.path / name), *own, *options]
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert not list(self.path.glob(".dj*")), done  # nothing half is left
        return done

    def dumped(self) -> subprocess.CompletedProcess[str]:
        return self.script("dump.sh", user="reader", password="se:cr\\et")

    def restored(self, *options: str, database: str) -> subprocess.CompletedProcess[str]:
        return self.script("restore.sh", *options, dbname=database)


@pytest.fixture(scope="module")
def made(lab: Server, tmp_path_factory: pytest.TempPathFactory) -> Slice:
    """A slice with its dump, which no test changes."""
    found = Slice(lab, tmp_path_factory.mktemp("postgresql") / "it's a \\ folder")
    done = found.dumped()
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture
def empty(lab: Server) -> Iterator[str]:
    run(lab, "CREATE DATABASE empty TEMPLATE template0")
    yield "empty"
    run(lab, "DROP DATABASE empty WITH (FORCE)")


def tables_in(lab: Server, database: str) -> list[tuple[Any, ...]]:
    query = "SELECT count(*) FROM pg_class WHERE oid >= 16384"
    return [
        *run(lab, query, database),
        *run(lab, "SELECT 1 FROM pg_namespace WHERE nspname = 'lab'", database),
    ]


NOTHING = [(0,)]


def test_what_is_loaded_is_what_was_read(lab: Server, made: Slice, empty: str) -> None:
    done = made.restored(database=empty)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Loaded: 2 tables, 6 rows.")
    assert "without the trigger" in done.stderr
    assert made.source.settings["timezone"] == "Asia/Tokyo"  # not that in which the rows are read
    odd = POSTGRESQL.full_name("lab", f"#{ODD}")
    for query in (
        f"SELECT t::text FROM {odd} AS t WHERE name <> 'of another project' ORDER BY 1",
        "SELECT t::text FROM lab.mouse AS t WHERE name <> 'of another project' ORDER BY 1",
        "SELECT t::text FROM lab.heavy AS t WHERE id < 4 ORDER BY 1",
        f"SELECT col_description('{odd.replace(chr(39), chr(39) * 2)}'::regclass, 1)",
        "SELECT string_agg(pg_get_constraintdef(oid), ' ' ORDER BY conname) FROM pg_constraint WHERE conrelid >= 16384",
        "SELECT string_agg(indexdef, ', ' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'lab'",
    ):
        assert run(lab, query, empty) == run(lab, query), query
    assert run(lab, f"SELECT count(*) FROM {odd}", empty) == [(3,)]
    run(lab, "INSERT INTO lab.mouse (name) VALUES ('')", empty)  # a new number, not one of the slice
    again = made.restored(database=empty)
    assert again.returncode == 1 and '"lab"."mouse"' in again.stderr and "already" in again.stderr
    assert run(lab, "SELECT count(*) FROM lab.mouse", empty) == [(4,)]


def test_a_load_that_fails_leaves_nothing(lab: Server, made: Slice, empty: str, tmp_path: Path) -> None:
    text = gzip.decompress(made.dump.read_bytes()).decode()
    rows = text.index('COPY "lab"."mouse"')
    parent = text.index("\na'", text.index('COPY "lab"."#'))
    for changed, why in (
        (text[: text.index("\n", rows) + 1], "is damaged"),  # cut in the rows
        (text[: text.rindex("--\n-- Name")], "is damaged"),  # cut between statements
        (text[:parent] + text[text.index("\n", parent + 1) :], "foreign key"),  # without a parent
        (text[: text.index("\n", rows) + 1] + text[text.index("\n\\.\n", rows) + 1 :], "0 rows instead of 3"),
        (text.replace("-- Rows.", "\\! touch here"), "restricted"),  # a command of psql
    ):
        file = tmp_path / "dump.sql.gz"
        file.write_bytes(gzip.compress(changed.encode()))
        done = made.restored(f"--file={file}", database=empty)
        assert done.returncode == 1 and why in done.stderr, (why, done.stderr)
        assert "Loaded" not in done.stdout and tables_in(lab, empty) == NOTHING
    file.write_bytes(made.dump.read_bytes()[:-40])
    assert "is damaged" in made.restored(f"--file={file}", database=empty).stderr
    assert not Path("here").exists() and not (made.path / "here").exists()


def test_a_database_that_compares_texts_otherwise_is_told(lab: Server, made: Slice) -> None:
    run(lab, "CREATE DATABASE other TEMPLATE template0 LOCALE 'C'")
    try:
        refused = made.restored(database="other")
        assert refused.returncode == 1 and "the source has libc C.UTF-8" in refused.stderr
        assert tables_in(lab, "other") == NOTHING
        done = made.restored("--accept-other-values", database="other")
        assert done.returncode == 0 and "Other values: the order and the cases of texts" in done.stdout
    finally:
        run(lab, "DROP DATABASE other WITH (FORCE)")


def test_a_change_since_the_slice_ends_the_dump(lab: Server, made: Slice, tmp_path: Path) -> None:
    cut = Slice(lab, tmp_path / "cut")
    for change, back, told in (
        (
            "UPDATE lab.mouse SET half = 9 WHERE id = 2",
            "UPDATE lab.mouse SET half = 4 WHERE id = 2",
            "other values in its 3",
        ),
        (
            "INSERT INTO lab.mouse OVERRIDING SYSTEM VALUE VALUES (9, '\\.')",
            "DELETE FROM lab.mouse WHERE id = 9",
            "3 rows in the slice, 4 now",
        ),
        (
            "ALTER TABLE lab.mouse ALTER half SET DEFAULT 4",
            "ALTER TABLE lab.mouse ALTER half SET DEFAULT 3",
            "another definition",
        ),
    ):
        run(lab, change)
        done = cut.dumped()
        run(lab, back)
        assert done.returncode == 1 and told in done.stderr and "has changed" in done.stderr, done.stderr
        assert "3" in done.stderr or "lab.mouse" in done.stderr
        assert not cut.dump.exists()
    done = cut.dumped()
    assert done.returncode == 0 and cut.dump.read_bytes() == made.dump.read_bytes(), done.stderr


def test_no_password_on_a_command_line_or_on_the_disk(lab: Server, made: Slice, tmp_path: Path) -> None:
    for option in (
        "--password=x",
        "--dbname=host=a password = x",
        "--dbname=postgresql://a:b@c/d",
        "--dbname=postgres://c/d?password=x",
    ):
        done = made.script("dump.sh", option)
        assert done.returncode == 1 and "can be read by every user" in done.stderr, option
    asked = tmp_path / "asked"
    asked.write_text("se:cr\\et\n")
    folder = tmp_path / "tmp"
    folder.mkdir()
    words = [f"--host={lab.host}", "-p", str(lab.port), "-U", "reader", "-d", "postgres", "-W"]
    wrong = subprocess.run(
        ["bash", str(made.path / "dump.sh"), *words, f"--file={tmp_path / 'x.gz'}"],
        env={**os.environ, "DJ_SQLSPY_PASSWORD_AT": "/dev/null", "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 1 and not (tmp_path / "x.gz").exists()
    done = subprocess.run(
        ["bash", str(made.path / "dump.sh"), *words, f"--file={tmp_path / 'x.gz'}"],
        env={**os.environ, "DJ_SQLSPY_PASSWORD_AT": str(asked), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.gz").read_bytes() == made.dump.read_bytes()
    assert (tmp_path / "x.gz").stat().st_mode & 0o777 == 0o600 and not list(folder.iterdir())


def test_a_dump_that_is_stopped_leaves_nothing(lab: Server, made: Slice, tmp_path: Path) -> None:
    """Another session holds a lock on a table, so the script waits when the signal comes."""
    copied = Path(shutil.copytree(made.path, tmp_path / "copy"))
    (copied / "dump.sql.gz").unlink()
    folder = tmp_path / "tmp"
    folder.mkdir()
    with contextlib.closing(lab.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE lab.mouse IN ACCESS EXCLUSIVE MODE")
        with connect.client_options(holder) as own:
            for sent in (signal.SIGTERM, signal.SIGINT):
                process = subprocess.Popen(
                    ["bash", str(copied / "dump.sh"), *own],
                    env={**os.environ, "TMPDIR": str(folder)},
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    text=True,
                )
                waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                deadline = time.monotonic() + 30
                while not run(lab, waiting) and time.monotonic() < deadline:
                    time.sleep(0.02)
                os.killpg(process.pid, sent)
                assert "nothing was written" in process.communicate(timeout=30)[1]
                assert process.returncode not in (0, None)
                assert sorted(each.name for each in copied.iterdir()) == ["dump.sh", "restore.sh"]
                assert not list(folder.iterdir())
                # the server has not seen yet that nobody waits any more
                run(
                    lab,
                    "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
                )


# a definition, and what is said of it
REFUSED = {
    "CREATE TABLE no.t (a int) PARTITION BY LIST (a)": "partitioned",
    "CREATE TABLE no.u (a int); CREATE TABLE no.t () INHERITS (no.u)": "inherits",
    "CREATE TABLE no.t (a int); ALTER TABLE no.t ENABLE ROW LEVEL SECURITY": "row-level security",
    "CREATE TABLE no.t (a int); CREATE RULE r AS ON DELETE TO no.t DO INSTEAD NOTHING": 'the rule "r"',
    "CREATE TABLE no.t (a oid)": "the type oid",
    "CREATE TABLE no.t (a money)": "the type money",
    "CREATE DOMAIN no.d AS int; CREATE TABLE no.t (a no.d)": "the type no.d",
    "CREATE TYPE no.c AS (x int); CREATE TABLE no.t (a no.c[])": r"the type no.c\[\]",
    "CREATE FUNCTION no.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';"
    " CREATE TABLE no.t (a int DEFAULT no.f())": "it needs function no.f",
    "CREATE FUNCTION no.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE TABLE no.t (a int);"
    " CREATE INDEX i ON no.t (no.f(a))": "it needs function no.f",
    "CREATE SEQUENCE no.s; CREATE TABLE no.t (a int DEFAULT nextval('no.s'))": "it needs sequence no.s",
    "CREATE COLLATION no.l (provider = icu, locale = 'de');"
    " CREATE TABLE no.t (a text COLLATE no.l)": "it needs collation no.l",
    "CREATE TABLE no.t (a int); INSERT INTO no.t VALUES (-1);"
    " ALTER TABLE no.t ADD CHECK (a > 0) NOT VALID": "NOT VALID",
    "CREATE MATERIALIZED VIEW no.t AS SELECT 1 AS a": "a materialized view",
}


def test_what_a_slice_cannot_hold_is_refused_by_name(lab: Server) -> None:
    with contextlib.closing(lab.connect()) as connection, connection.cursor() as cursor:
        for definition, told in REFUSED.items():
            cursor.execute(f"CREATE SCHEMA no; {definition}")
            table = table_of(lab, "t", schema="no")
            catalog = Catalog({table.full_name: table}, (), dialect=POSTGRESQL)
            with pytest.raises(BundleError, match=told):
                structure.read_source(connection, [table], catalog, [], [], {})
            cursor.execute("SET client_min_messages = warning; DROP SCHEMA no CASCADE")


def test_without_comments_datajoint_s_types_stay(lab: Server, tmp_path: Path) -> None:
    cut = Slice(lab, tmp_path / "cut", comments=False)
    text = (cut.path / "dump.sh").read_text()
    assert ":varchar(40):" in text and "Bob" not in text


def test_the_whole_way(
    server: Server, dj_conn: Any, prefix: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the analysis to the loaded slice, whose statements return what the analysis received."""
    monkeypatch.setenv("PGPASSWORD", "of another server")  # libpq prefers it to a password file
    schema = dj.Schema(f"{prefix}whole", connection=dj_conn)

    @schema
    class Mouse(dj.Manual):
        definition = """
        mouse : int32
        ---
        sex : enum('F', 'M')
        born=null : datetime
        note : json
        """

        class Weight(dj.Part):
            definition = """
            -> master
            day : int16
            ---
            weight : float64
            """

    Mouse.insert([(1, "F", "2026-01-01 10:00", {"a": 1}), (2, "M", None, {}), (3, "F", None, [1])])
    Mouse.Weight.insert([(1, 1, 0.1), (1, 2, 0.2), (3, 1, 1e300)])
    with sqlspy.export("whole", "fig"):
        assert len((Mouse * Mouse.Weight & "weight < 1").to_dicts()) == 2
        assert (Mouse & {"sex": "M"}).fetch1("mouse") == 2
        Mouse.aggr(Mouse.Weight, total="sum(weight)").to_dicts(order_by="mouse")
        assert len(Mouse & "mouse < 3") == 2
    paper = sqlspy.Paper("whole")
    bundle = paper.write(tmp_path / "bundle")
    assert "psql" in (bundle.path / "dump.sh").read_text()
    readme = (bundle.path / "README.md").read_text()
    assert f"postgres:{server.version.partition('.')[0]}" in readme
    assert "apt-get install\npostgresql" in readme and "MariaDB" not in readme
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    for said, here in (
        ('"127.0.0.1"', repr(server.host)),
        ("5432", str(server.port)),
        ('"postgres"', repr(server.database)),
        ('"postgres"', repr(server.user)),
        ('"simple"', repr(server.password)),
    ):
        assert said in code
        code = code.replace(said, here, 1)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert "born" in ran.stdout, (code, ran)
    page = (bundle.path / "report.html").read_text()
    assert re.search(rf"<dd>postgresql {re.escape(server.version)}.*, UTF8</dd>", page)
    report = bundle.verify(dj_conn)
    assert report.equal and report.complete and report.from_source, report
    assert [result.state for result in report.statements] == ["equal"] * len(report.statements)
    assert all(result.received for result in report.statements), report
    rows = {split_full_name(table.name)[1]: table.rows for table in report.tables}
    assert (rows["mouse"], rows["mouse__weight"], rows["~lineage"] > 0) == (3, 3, True)
    alone = bundle.verify(alone=True)
    assert alone.equal and not alone.from_source, alone
    for refused in (
        lambda path: bundle.dump(source=dj_conn, jobs=2),
        lambda path: bundle.dump(source=dj_conn, engine="mydumper"),
    ):
        with pytest.raises(SpyError, match="not supported on PostgreSQL yet"):
            refused(tmp_path / "refused")
        assert not (tmp_path / "refused").exists()
    with pytest.raises(BundleError, match="one command takes keys of any number"):
        paper.write(tmp_path / "refused", scratch="keys")
    assert not (tmp_path / "refused").exists()
    with dj.config.override(sqlspy__scratch="keys"):  # of a lab that has a MySQL, too
        paper.write(tmp_path / "with keys")
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    assert manifest["server"]["database_collate"] == "C.UTF-8"
    # names with other marks would end where the server sees no end
    manifest["tables"][0]["name"] = manifest["tables"][0]["name"].replace('"', "`")
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="must match pattern"):
        Bundle(bundle.path).manifest  # noqa: B018
    schema.drop(prompt=False)
