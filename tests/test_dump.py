"""dump.sh and restore.sh on real servers: every value comes back, and a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import pty
import re
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dj_sqlspy.atomic import PARTIAL
from dj_sqlspy.bundle.folder import DUMP_FILE, FILES
from dj_sqlspy.errors import BundleError
from dj_sqlspy.journal import Statement
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.connect import client_options
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.slices import Slice, make_slice
from tests.conftest import drop_schemas, no_tls

# nothing here depends on the line of DataJoint
pytestmark = pytest.mark.line("2.x")

NASTY = [
    "it's",
    'say "hi"',
    "back\\slash",
    "\\",
    "\\'; DROP TABLE x; -- ",
    "100 %",
    "%s %(a)s",
    "$HOME ${HOME} $(id)",
    "`id`",
    "line\nbreak\r\nand\ttab",
    "# not a comment",
    "/* nor this */",
    "nul\0byte",
    "emoji 😀 and ümläut",
    "\x1a\x7f",
    "NULL",
    "",
    "\\N",
    "*/ !999999\\- ",
]


@pytest.fixture
def lab(connection: Any, prefix: str) -> Iterator[Any]:
    """Runs statements in a schema of the test's own; ``lab.name`` is that schema."""
    name = f"{prefix}lab"

    def run(*statements: str) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement.replace("lab.", f"`{name}`."))

    run(f"CREATE DATABASE `{name}`")
    run.name = name  # type: ignore[attr-defined]
    run.connection = connection  # type: ignore[attr-defined]
    yield run


def cut(server: Server, *statements: str) -> Slice:
    """The slice that statements need, as if they had been captured."""
    captured = [Statement(sql=sql, number=number) for number, sql in enumerate(statements, 1)]
    with server.connect(conv=plain_decoders()) as connection:
        return make_slice(captured, connection)


def bundle_of(server: Server, path: Path, *statements: str) -> Bundle:
    with server.connect() as connection:
        return write_bundle(cut(server, *statements), path, connection=connection)


def options(server: Server) -> list[str]:
    return [f"--defaults-file={server.defaults_file()}"]


def run_script(script: Path, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(script), *arguments], capture_output=True, text=True, **settings)


def rows(server: Server, sql: str) -> list[tuple[Any, ...]]:
    """Rows just as the server sends them, as bytes."""
    with server.connect(conv={}, use_unicode=False) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return sorted(cursor.fetchall(), key=repr)


def same(one: Server, other: Server, *queries: str) -> None:
    for query in queries:
        assert rows(one, query) == rows(other, query)


def dumped_and_loaded(
    server: Server, scratch: Server, path: Path, *statements: str, engine: str = "mysqldump"
) -> Bundle:
    bundle = bundle_of(server, path, *statements)
    bundle.dump(options(server), engine=engine)
    bundle.restore(options(scratch))
    return bundle


# ---------------------------------------------------------------- values


def test_nasty_strings_come_back_byte_for_byte(
    lab: Any, server: Server, clean_scratch: Server, tmp_path: Path, engine: str
) -> None:
    odd = ", `q``'\"\\$HOME %` VARCHAR(40) DEFAULT 'it''s'"
    lab(
        *(
            f"CREATE TABLE lab.{name} (k VARCHAR(40) NOT NULL, b VARBINARY(40) NOT NULL, t TEXT, z LONGBLOB{column},"
            " PRIMARY KEY (k, b))"
            for name, column in (("`#odd~name`", odd), ("plain", ""))
        )
    )
    tables = [f"`{lab.name}`.`#odd~name`", f"`{lab.name}`.plain"]
    with lab.connection.cursor() as cursor:
        for (number, text), table in itertools.product(enumerate(NASTY), tables):
            values = (text[:38] + str(number), text.encode()[:30], text, bytes(range(256)) + text.encode())
            insert = f"INSERT INTO {table} (k, b, t, z) VALUES (%s, %s, %s, %s)"
            cursor.execute(insert, values)
            cursor.execute(insert, (f"other{number}", b"", None, b""))
    statements = [f"SELECT * FROM {table} WHERE t IS NOT NULL" for table in tables]
    dumped_and_loaded(server, clean_scratch, tmp_path / "b", *statements, engine=engine)
    for table in tables:
        assert len(rows(clean_scratch, f"SELECT * FROM {table}")) == len(NASTY)
    same(server, clean_scratch, *statements)


def test_names_that_break_careless_scripts(
    connection: Any, prefix: str, server: Server, clean_scratch: Server, tmp_path: Path, engine: str
) -> None:
    schemas = [f"`{prefix}it's $HOME ``x`` \\ %s`", f"`{prefix}plain`"]
    names = [
        "`-no-data`",
        "`a b'c\"d`",
        "`back\\slash`",
        "`new\nline`",
        "`tick``s`",
        "`täble😀`".replace("😀", "ß"),
        "`#a~b`",
        "`mydumper_0`",
    ]
    tables = [f"{schema}.{name}" for schema in schemas for name in names]
    with connection.cursor() as cursor:
        for schema in schemas:
            cursor.execute(f"CREATE DATABASE {schema}")
        for number, table in enumerate(tables):
            cursor.execute(f"CREATE TABLE {table} (`i'd` INT PRIMARY KEY)")
            cursor.execute(f"INSERT INTO {table} VALUES ({number // 4}), (100)")
    statements = [f"SELECT * FROM {table} WHERE `i'd` < 100" for table in tables]
    bundle = dumped_and_loaded(server, clean_scratch, tmp_path / "it's a $HOME", *statements, engine=engine)
    assert len(bundle.manifest["tables"]) == len(tables)
    for number, table in enumerate(tables):
        assert rows(clean_scratch, f"SELECT * FROM {table}") == [(str(number // 4).encode(),)]
    if engine == "mysqldump":  # one process reads the tables of a schema with the same condition
        text = gzip.decompress(bundle.dump_file.read_bytes()).decode()
        assert text.partition("\n-- Rows.\n")[2].count("\nUSE ") == 4 < len(tables)
        drop_schemas(clean_scratch, [schema[1:-1].replace("``", "`") for schema in schemas])
        bundle.dump_file.write_bytes(gzip.compress(text.replace("\n-- The", "\nno SQL;\n-- The").encode()))
        with pytest.raises(BundleError, match=r"(?s)the load failed.*has been removed again"):
            bundle.restore(options(clean_scratch))
        assert not rows(clean_scratch, f"SHOW DATABASES LIKE '{prefix}%'")


def test_every_type_comes_back_exactly(
    lab: Any, server: Server, clean_scratch: Server, tmp_path: Path, engine: str
) -> None:
    lab(
        "CREATE TABLE lab.t (id INT AUTO_INCREMENT PRIMARY KEY, f FLOAT, f2 FLOAT(7,3), d DOUBLE,"
        " b VARBINARY(10), bb LONGBLOB, e ENUM('a', 'b'), j JSON, bits BIT(11), ts TIMESTAMP NULL,"
        " v VARCHAR(20), dc DECIMAL(20,6), g BIGINT GENERATED ALWAYS AS (dc * 2) VIRTUAL,"
        " gs BIGINT GENERATED ALWAYS AS (dc * 3) STORED, y YEAR, tm TIME(6), dt DATETIME(3),"
        " st SET('p', 'q'), z INT(5) ZEROFILL, bi BINARY(4), mt MEDIUMTEXT, hidden INT INVISIBLE DEFAULT 7,"
        " u BIGINT UNSIGNED, ch CHAR(3), l VARCHAR(9) CHARACTER SET latin1)",
        "INSERT INTO lab.t (f, f2, d, b, bb, e, j, bits, ts, v, dc, y, tm, dt, st, z, bi, mt, u, ch, l,"
        " hidden) VALUES (1.23456789, 1.2345, 0.1e0 + 0.2e0, X'00FF27', X'00FF0A0D275C', 'b', '{\"a\": 1.5}',"
        " b'10100000001', '2024-10-27 01:30:00', '😀', 12345.678901, 2024, '-12:00:00.123456',"
        " '2024-01-01 00:00:00.123', 'p,q', 7, 'a', 'text', 18446744073709551615, 'a', 'é', 9)",
        "INSERT INTO lab.t (f, d, b, bb) VALUES (-1e-45, 1.7976931348623157e308, '', '')",
        "INSERT INTO lab.t (f, d, bits, j) VALUES (16777217, -2.2250738585072014e-308, 0, '[]')",
        "INSERT INTO lab.t (f) VALUES (3.4028234e38)",
    )
    dumped_and_loaded(server, clean_scratch, tmp_path / "b", f"SELECT * FROM `{lab.name}`.t", engine=engine)
    same(
        server,
        clean_scratch,
        f"SELECT *, hidden, f * 1e0, f2 * 1e0, HEX(bits), HEX(j), HEX(l) FROM `{lab.name}`.t",
        f"SELECT SUM(f), AVG(f * f), SUM(d) FROM `{lab.name}`.t",
    )


def test_timestamps_do_not_depend_on_the_time_zones(
    lab: Any, server: Server, clean_scratch: Server, tmp_path: Path, engine: str
) -> None:
    lab(
        "SET time_zone = '-07:30'",
        "CREATE TABLE lab.t (ts TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) PRIMARY KEY, n INT)",
        "INSERT INTO lab.t VALUES ('2024-03-31 02:30:00.125', 1), ('2024-10-27 01:30:00', 2)",
        "INSERT INTO lab.t VALUES ('2000-01-01', 3)",
    )
    statement = f"SELECT * FROM `{lab.name}`.t WHERE n < 3"
    dumped_and_loaded(server, clean_scratch, tmp_path / "b", statement, engine=engine)
    same(server, clean_scratch, f"SELECT UNIX_TIMESTAMP(ts), n FROM `{lab.name}`.t WHERE n < 3")
    assert len(rows(clean_scratch, f"SELECT * FROM `{lab.name}`.t")) == 2


def test_keys_in_other_character_sets(
    lab: Any, server: Server, clean_scratch: Server, tmp_path: Path, engine: str
) -> None:
    lab(
        "CREATE TABLE lab.t (e ENUM('ä', 'it''s', '\\\\') COLLATE utf8mb4_bin, u VARCHAR(9) CHARACTER SET utf8mb3,"
        " b VARCHAR(9) COLLATE utf8mb4_bin, l VARCHAR(9) CHARACTER SET latin1, n INT, PRIMARY KEY (e, u, b, l))",
        "INSERT INTO lab.t VALUES ('ä', 'ß', '😀', 'é', 1), ('ä', 'ß', '😀', 'y', 2), ('it''s', '', 'A', 'é', 3),"
        " ('it''s', '', 'a', 'x', 4), ('\\\\', '', 'a', 'it''s', 5), ('ä', 'ss', 'x', 'x', 6)",
    )
    statement = f"SELECT * FROM `{lab.name}`.t WHERE n IN (1, 3, 5)"
    dumped_and_loaded(server, clean_scratch, tmp_path / "b", statement, engine=engine)
    same(server, clean_scratch, statement)
    assert len(rows(clean_scratch, f"SELECT * FROM `{lab.name}`.t")) == 3


# ---------------------------------------------------------------- tables


@pytest.fixture
def family(lab: Any, connection: Any, prefix: str) -> Any:
    """Tables that refer to each other in every way; statements that read a part of them."""
    other = f"`{prefix}other`"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {other} CHARACTER SET latin1 COLLATE latin1_general_ci")
        cursor.execute(f"CREATE TABLE {other}.`#species` (species VARCHAR(9) PRIMARY KEY)")
        cursor.execute(f"INSERT INTO {other}.`#species` VALUES ('mouse'), ('rat'), ('finch')")
        cursor.execute(f"CREATE TABLE {other}.unused (id INT PRIMARY KEY)")
    lab(
        "CREATE TABLE lab.subject (id INT AUTO_INCREMENT PRIMARY KEY,"
        " species VARCHAR(9) CHARACTER SET latin1 COLLATE latin1_general_ci NOT NULL, mother INT NULL,"
        f" FOREIGN KEY (species) REFERENCES {other}.`#species` (species),"
        " FOREIGN KEY (mother) REFERENCES lab.subject (id)) AUTO_INCREMENT = 777",
        "CREATE TABLE lab.room (room INT PRIMARY KEY)",
        "CREATE TABLE lab.session (id INT, day DATE, room INT NULL, PRIMARY KEY (id, day),"
        " FOREIGN KEY (id) REFERENCES lab.subject (id), FOREIGN KEY (room) REFERENCES lab.room (room))",
        "CREATE TABLE lab.head (head INT PRIMARY KEY, best INT NULL)",
        "CREATE TABLE lab.tail (tail INT PRIMARY KEY, head INT NOT NULL,"
        " FOREIGN KEY (head) REFERENCES lab.head (head))",
        "ALTER TABLE lab.head ADD FOREIGN KEY (best) REFERENCES lab.tail (tail)",
        "INSERT INTO lab.subject VALUES (9, 'mouse', NULL), (3, 'mouse', 9), (1, 'mouse', 3)",
        "INSERT INTO lab.subject VALUES (2, 'rat', NULL)",
        "INSERT INTO lab.session VALUES (1, '2024-01-01', NULL), (1, '2024-01-02', NULL)",
        "INSERT INTO lab.session VALUES (2, '2024-01-01', NULL)",
        "INSERT INTO lab.room VALUES (1), (2)",
        "INSERT INTO lab.head VALUES (1, NULL), (2, NULL)",
        "INSERT INTO lab.tail VALUES (10, 1), (20, 2)",
        "UPDATE lab.head SET best = head * 10",
        "CREATE TABLE lab.`~lineage` (table_name VARCHAR(64), attribute_name VARCHAR(64),"
        " lineage VARCHAR(255), PRIMARY KEY (table_name, attribute_name))",
        "INSERT INTO lab.`~lineage` VALUES ('session', 'id', 'lab.subject.id')",
        "INSERT INTO lab.`~lineage` VALUES ('secret', 'x', 'lab.secret.x')",
    )
    lab.statements = [
        f"SELECT * FROM `{lab.name}`.`session` WHERE id = 1",
        f"SELECT * FROM `{lab.name}`.`head` WHERE head = 1",
    ]
    return lab


def test_references_load_whichever_way_they_point(
    family: Any, server: Server, clean_scratch: Server, tmp_path: Path, prefix: str, engine: str
) -> None:
    bundle = dumped_and_loaded(server, clean_scratch, tmp_path / "b", *family.statements, engine=engine)
    counts = {table["name"].split(".")[1]: table["rows"] for table in bundle.manifest["tables"]}
    assert counts == {
        "`#species`": 1,
        "`subject`": 3,
        "`room`": 0,
        "`session`": 2,
        "`head`": 1,
        "`tail`": 1,
    }
    for table, number in counts.items():
        schema = f"`{prefix}other`" if table == "`#species`" else f"`{family.name}`"
        assert len(rows(clean_scratch, f"SELECT * FROM {schema}.{table}")) == number
    assert rows(clean_scratch, f"SELECT table_name FROM `{family.name}`.`~lineage`") == [(b"session",)]
    assert not rows(clean_scratch, "SELECT 1 FROM information_schema.tables WHERE table_name = 'unused'")
    charsets = (
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata"
        f" WHERE schema_name IN ('{prefix}other', '{family.name}')"
    )
    same(server, clean_scratch, charsets)


def test_foreign_keys_are_in_force_after_loading(
    family: Any, server: Server, clean_scratch: Server, tmp_path: Path, engine: str
) -> None:
    dumped_and_loaded(server, clean_scratch, tmp_path / "b", *family.statements, engine=engine)
    with clean_scratch.connect() as connection, pytest.raises(pymysql.err.IntegrityError):
        connection.cursor().execute(f"INSERT INTO `{family.name}`.session VALUES (555, '2024-01-01', NULL)")


def test_two_dumps_are_the_same_bytes_and_tell_nothing_of_the_others(
    family: Any, server: Server, tmp_path: Path
) -> None:
    first = bundle_of(server, tmp_path / "a", *family.statements)
    second = bundle_of(server, tmp_path / "b", *family.statements)
    one, two = first.dump(options(server)).read_bytes(), second.dump(options(server)).read_bytes()
    assert one == two
    text = gzip.decompress(one).decode()
    assert "777" not in text and "AUTO_INCREMENT=" not in text  # how many rows there were, or have been
    assert "DEFINER" not in text and "rat" not in text and "secret" not in text


def test_tables_dumped_at_once_give_the_same_bytes(family: Any, server: Server, tmp_path: Path) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    one = bundle.dump(options(server), jobs=1).read_bytes()
    bundle.dump_file.unlink()
    for jobs in (None, 2, 9):
        assert bundle.dump(options(server), jobs=jobs).read_bytes() == one
        assert left_over(bundle) == [DUMP_FILE]
    for wrong in ("0", "x", "-1", ""):
        ended = run_script(bundle.path / "dump.sh", f"--jobs={wrong}", *options(server))
        assert ended.returncode != 0 and "how many tables" in ended.stderr
    for wrong in ("--jobs=2", "--engine=mydumper"):
        ended = run_script(bundle.path / "restore.sh", wrong, *options(server))
        assert ended.returncode != 0 and "of dump.sh only" in ended.stderr


@pytest.mark.parametrize("how", ["one is killed", "all is stopped"])
def test_tables_dumped_at_once_of_which_one_fails(
    how: str, large: Bundle, server: Server, lab: Any, engine: str
) -> None:
    lab("CREATE TABLE lab.other LIKE lab.big", "INSERT INTO lab.other SELECT id, b FROM lab.big")
    statements = [f"SELECT id FROM `{lab.name}`.{name}" for name in ("big", "other")]
    bundle = bundle_of(server, large.path.parent / "two", *statements)
    running, pid = while_dumping(bundle, server, "--jobs=2", f"--engine={engine}")
    own = [pid for pid, _ in descendants(running.pid)]
    os.kill(pid, signal.SIGKILL) if how == "one is killed" else running.terminate()
    said = running.communicate(timeout=60)[1]
    assert running.returncode != 0 and "nothing was written" in said
    assert not left_over(bundle)
    deadline = time.monotonic() + 10
    while alive := [pid for pid in own if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.05)


def test_a_restriction_longer_than_one_command(
    lab: Any, server: Server, clean_scratch: Server, tmp_path: Path, engine: str
) -> None:
    lab("CREATE TABLE lab.t (a VARCHAR(60), b INT, f FLOAT, PRIMARY KEY (a, b))")
    with lab.connection.cursor() as cursor:
        for batch in range(0, 12_000, 1000):
            values = ", ".join(
                f"('{'x' * 30}{n * 7919 % 12_000:06d}', {n % 3}, {n / 7})" for n in range(batch, batch + 1000)
            )
            cursor.execute(f"INSERT INTO `{lab.name}`.t VALUES {values}")
    bundle = dumped_and_loaded(
        server,
        clean_scratch,
        tmp_path / "b",
        f"SELECT * FROM `{lab.name}`.t WHERE b <> 1 AND f > 50",
        engine=engine,
    )
    (table,) = bundle.manifest["tables"]
    assert len(table["restriction"]) > 256 * 1024
    same(server, clean_scratch, f"SELECT a, b, f * 1e0 FROM `{lab.name}`.t WHERE b <> 1 AND f > 50")
    assert len(rows(clean_scratch, f"SELECT * FROM `{lab.name}`.t")) == table["rows"] > 7000


@pytest.mark.mydumper
@pytest.mark.parametrize("key", ["id", "kind, id", "id, kind", "name"])
def test_a_table_read_in_pieces(
    key: str, lab: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    lab(
        "CREATE TABLE lab.t (id BIGINT, kind TINYINT UNSIGNED, name VARCHAR(30), b VARBINARY(30),"
        f" PRIMARY KEY ({key}))"
    )
    with lab.connection.cursor() as cursor:
        for batch in range(0, 50_000, 10_000):
            values = ", ".join(
                f"({n * n - 10**9}, {n % 3}, '{n * 7919 % 50_000:05d} it''s ü', 'b')"
                for n in range(batch, batch + 10_000)
            )
            cursor.execute(f"INSERT INTO `{lab.name}`.t VALUES {values}")
    for number, condition in enumerate(["kind <> 1", "TRUE", "id % 97 = 3"]):
        drop_schemas(clean_scratch, [lab.name])
        statement = f"SELECT * FROM `{lab.name}`.t WHERE {condition}"
        path = tmp_path / f"b{number}"
        bundle = dumped_and_loaded(server, clean_scratch, path, statement, engine="mydumper")
        same(server, clean_scratch, statement)
        if (key, condition) == ("id", "TRUE"):
            # its pieces, and parts for the beginning, the schema, the end
            assert bundle.dump_file.read_bytes().count(b"\x1f\x8b\x08\x00") > 4
        loaded = rows(clean_scratch, f"SELECT * FROM `{lab.name}`.t")
        assert len(loaded) == bundle.manifest["tables"][0]["rows"]


def test_engines_that_cannot_be_used(family: Any, server: Server, tmp_path: Path) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    with pytest.raises(BundleError, match="there are mysqldump, which is the default, and mydumper"):
        bundle.dump(options(server), engine="xtrabackup")
    for program, says in (("/no/such", "found no /no/such"), ("mysqldump", "is not mydumper 1.0")):
        environment = os.environ | {"MYDUMPER": program}
        ended = run_script(bundle.path / "dump.sh", "--engine=mydumper", *options(server), env=environment)
        assert ended.returncode == 1 and says in ended.stderr and "1.0 or later" in ended.stderr
    assert not left_over(bundle)


def test_views_that_statements_name(
    family: Any, server: Server, clean_scratch: Server, tmp_path: Path, engine: str
) -> None:
    family(
        "CREATE VIEW lab.mice AS SELECT id, CONCAT(species, ' it''s \\\\ é') AS text FROM lab.subject"
        " WHERE species = 'mouse'",
        "CREATE VIEW lab.old_mice AS SELECT * FROM lab.mice WHERE id > 1",
        "CREATE VIEW lab.other AS SELECT * FROM lab.room",
    )
    statement = f"SELECT * FROM `{family.name}`.`old_mice`"
    bundle = dumped_and_loaded(server, clean_scratch, tmp_path / "b", statement, engine=engine)
    assert [view["name"] for view in bundle.manifest["views"]] == [
        f"`{family.name}`.`mice`",
        f"`{family.name}`.`old_mice`",
    ]
    same(server, clean_scratch, statement)


# ---------------------------------------------------------------- accounts and passwords


@contextlib.contextmanager
def account(server: Server, password: str, *grants: str) -> Iterator[str]:
    name = f"u{time.time_ns() % 10**9}"
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER '{name}'@'%%' IDENTIFIED BY %s", (password,))
        for grant in grants:
            cursor.execute(f"GRANT {grant} TO '{name}'@'%'")
    try:
        yield name
    finally:
        with server.connect() as connection:
            connection.cursor().execute(f"DROP USER '{name}'@'%'")


PASSWORD = 'it\'s "a" #back\\slash\\n;'


@contextlib.contextmanager
def options_of_account(server: Server, rights: str, *schemas: str) -> Iterator[list[str]]:
    """What a script is given to connect as an account that has some rights on schemas, and no others."""
    with (
        account(server, PASSWORD, *(f"{rights} ON `{schema}`.*" for schema in schemas)) as user,
        server.connect(user=user, password=PASSWORD) as connection,
        client_options(connection) as own,
    ):
        yield own


def test_an_account_that_may_only_select(
    family: Any, server: Server, clean_scratch: Server, tmp_path: Path, prefix: str, engine: str
) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    with options_of_account(server, "SELECT", family.name, f"{prefix}other") as own:
        bundle.dump(own, engine=engine)
    bundle.restore(options(clean_scratch))


def test_p_asks_once(family: Any, server: Server, tmp_path: Path, engine: str) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    with account(server, PASSWORD, "SELECT ON *.*") as user:
        command = ["bash", str(bundle.path / "dump.sh"), "--socket", server.socket, "-u", user, "-p"]
        command += [f"--engine={engine}", *no_tls(server)]
        child, terminal = pty.fork()
        if child == 0:
            os.execvp(command[0], command)
        said = b""
        with contextlib.suppress(OSError):  # how the end of a terminal looks on Linux
            while chunk := os.read(terminal, 1024):
                said += chunk
                if said.endswith(b"Password: "):
                    os.write(terminal, PASSWORD.encode() + b"\n")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
    assert said.count(b"Password") == 1
    assert bundle.dump_file.exists()


def test_no_password_on_a_command_line_or_in_the_folder(family: Any, server: Server, tmp_path: Path) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    for given in ("-psecret", "--password=secret", "--pass=secret"):
        ended = run_script(bundle.path / "dump.sh", "--host=127.0.0.1", given)
        assert ended.returncode == 1 and "secret" not in ended.stderr and "command line" in ended.stderr
        with pytest.raises(BundleError):
            bundle.dump([given])
    bundle.dump(options(server))
    assert bundle.path.stat().st_mode & 0o777 == 0o700
    for file in bundle.path.iterdir():
        assert file.stat().st_mode & 0o777 == (0o700 if file.suffix == ".sh" else 0o600)
        assert server.password.encode() not in file.read_bytes()


# ---------------------------------------------------------------- dumps that fail


def test_a_wrong_port_leaves_no_output(family: Any, server: Server, tmp_path: Path) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    ended = run_script(
        bundle.path / "dump.sh", "--no-defaults", "--host=127.0.0.1", "--port=1", "--protocol=TCP"
    )
    assert ended.returncode != 0
    assert "cannot reach the server" in ended.stderr
    assert not left_over(bundle)
    with pytest.raises(BundleError, match="cannot reach the server"):
        bundle.dump(["--no-defaults", "--host=127.0.0.1", "--port=1", "--protocol=TCP"])


def left_over(bundle: Bundle) -> list[str]:
    return sorted({file.name for file in bundle.path.iterdir()} - (FILES - {DUMP_FILE}))


@pytest.fixture
def large(lab: Any, server: Server, tmp_path: Path) -> Bundle:
    """A slice that takes seconds to dump, since its rows cannot be compressed."""
    lab("CREATE TABLE lab.big (id INT PRIMARY KEY, b LONGBLOB)")
    with lab.connection.cursor() as cursor:
        for number in range(40):
            cursor.execute(f"INSERT INTO `{lab.name}`.big VALUES ({number}, %s)", (os.urandom(1_000_000),))
    return bundle_of(server, tmp_path / "b", f"SELECT id FROM `{lab.name}`.big")


def while_dumping(bundle: Bundle, server: Server, *more: str) -> tuple[subprocess.Popen[str], int]:
    """Start dump.sh; return it, and the process id of what reads the rows once some have been written."""
    running = subprocess.Popen(
        ["bash", str(bundle.path / "dump.sh"), *more, *options(server)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and running.poll() is None:
        files = [*bundle.path.glob(f"{PARTIAL}*"), *bundle.path.glob(f"{PARTIAL}*/*.gz")]
        partial = [file for file in files if file.stat().st_size > 1_000_000]
        found = [
            pid
            for pid, command in descendants(running.pid)
            if re.search("--no-(create-info|schemas)", command)
        ]
        if partial and found:
            return running, found[0]
        time.sleep(0.01)
    raise AssertionError(f"no reader of rows was seen: {running.communicate()}")


def descendants(root: int) -> Iterator[tuple[int, str]]:
    answer = subprocess.run(
        ["ps", "-eww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    parents, commands = {}, {}
    for line in answer.stdout.splitlines():
        pid, parent, command = line.split(None, 2)
        parents[int(pid)], commands[int(pid)] = int(parent), command
    for pid, command in commands.items():
        above: int | None = pid
        while above and above != root:
            above = parents.get(above)
        if above == root:
            yield pid, command


def test_a_reader_killed_half_way(large: Bundle, server: Server, engine: str) -> None:
    running, pid = while_dumping(large, server, f"--engine={engine}")
    os.kill(pid, signal.SIGKILL)
    said = running.communicate(timeout=60)[1]
    assert running.returncode != 0
    assert "nothing was written" in said
    assert not left_over(large)


def test_rows_that_come_while_dumping(large: Bundle, server: Server, lab: Any, engine: str) -> None:
    running, _ = while_dumping(large, server, f"--engine={engine}")
    lab("INSERT INTO lab.big VALUES (1000, '')")
    said = running.communicate(timeout=60)[1]
    assert running.returncode != 0
    assert f"`{lab.name}`.`big`: 40 rows in the slice, 41 now" in said
    assert not left_over(large)


def test_a_disk_that_is_full(large: Bundle, server: Server, engine: str) -> None:
    def little_space() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write over the limit fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    large.dump_file.write_bytes(b"an older dump")
    ended = run_script(
        large.path / "dump.sh", f"--engine={engine}", *options(server), preexec_fn=little_space
    )
    assert ended.returncode != 0
    assert "nothing was written" in ended.stderr
    assert left_over(large) == ["dump.sql.gz"] and large.dump_file.read_bytes() == b"an older dump"


@pytest.mark.parametrize("engine", ["InnoDB", "MyISAM"])
def test_the_relevance_of_words(
    engine: str, server: Server, connection: Any, clean_scratch: Server, tmp_path: Path, prefix: str
) -> None:
    """It depends on all rows of the table, also where few are read."""
    name = f"`{prefix}words`"
    texts = (
        "apple pear",
        "apple plum",
        "cherry pie",
        "banana split",
        "grape juice",
        "kiwi",
        "melon",
        "lemon",
    )
    values = ", ".join(f"({number}, '{text}')" for number, text in enumerate(texts))
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute(f"CREATE TABLE {name}.t (id INT PRIMARY KEY, s TEXT, FULLTEXT (s)) ENGINE={engine}")
        cursor.execute(f"INSERT INTO {name}.t VALUES {values}")
        connection.commit()
    reads = (
        f"SELECT id, MATCH (s) AGAINST ('apple') AS score FROM {name}.t WHERE id = 1",
        f"SELECT id FROM {name}.t WHERE MATCH (s) AGAINST ('apple') > 0.1",
    )
    bundle = dumped_and_loaded(server, clean_scratch, tmp_path / "b", *reads)
    assert [table["rows"] for table in bundle.manifest["tables"]] == [len(texts)]
    same(server, clean_scratch, *reads)


def test_a_database_that_has_changed(family: Any, server: Server, tmp_path: Path) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    family("INSERT INTO lab.session VALUES (1, '2024-01-03', NULL)")
    with pytest.raises(BundleError, match=r"(?s)has changed.*`session`: 2 rows in the slice, 3 now"):
        bundle.dump(options(server))
    assert not left_over(bundle)
    family("DELETE FROM lab.session WHERE day = '2024-01-03'")
    bundle.dump(options(server))
    before = bundle.dump_file.read_bytes()
    bundle.dump(options(server))
    assert bundle.dump_file.read_bytes() == before


def test_values_that_have_changed(family: Any, server: Server, tmp_path: Path, prefix: str) -> None:
    """The number of rows is the same. The values show the change, for an account that may only SELECT."""
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    family("UPDATE lab.session SET room = 1 WHERE id = 1 AND day = '2024-01-02'")
    with options_of_account(server, "SELECT", family.name, f"{prefix}other") as own:
        with pytest.raises(BundleError, match=r"(?s)has changed.*`session`: other values in its 2 rows"):
            bundle.dump(own)
        assert not left_over(bundle)
        family("UPDATE lab.session SET room = NULL")
        bundle.dump(own)


def test_values_that_change_while_dumping(large: Bundle, server: Server, lab: Any, engine: str) -> None:
    """A transaction between the snapshots of two tables, or while one is read: there is no dump."""
    running, _ = while_dumping(large, server, f"--engine={engine}")
    lab("UPDATE lab.big SET b = 'other' WHERE id = 39")
    said = running.communicate(timeout=60)[1]
    assert running.returncode != 0
    assert "changed while it was read" in said and f"`{lab.name}`.`big`: other values in its 40 rows" in said
    assert not left_over(large)


def test_help(family: Any, server: Server, tmp_path: Path) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    for script in ("dump.sh", "restore.sh"):
        ended = run_script(bundle.path / script, "--help")
        assert ended.returncode == 0 and f"bash {script} --host=HOST" in ended.stdout


# ---------------------------------------------------------------- restores that fail


def test_a_server_that_holds_a_table_is_not_touched(
    family: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    bundle.dump(options(server))
    with clean_scratch.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{family.name}`")
        cursor.execute(f"CREATE TABLE `{family.name}`.`session` (mine INT)")
        cursor.execute(f"INSERT INTO `{family.name}`.`session` VALUES (1)")
    everything = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE 't%'"
    before = rows(clean_scratch, everything)
    with pytest.raises(
        BundleError, match=rf"(?s)already holds.*`{family.name}`\.`session`\n.*nothing was loaded"
    ):
        bundle.restore(options(clean_scratch))
    assert rows(clean_scratch, everything) == before
    assert rows(clean_scratch, f"SELECT * FROM `{family.name}`.`session`") == [(b"1",)]


@pytest.mark.flavor("mariadb")  # MySQL has no sequences
def test_a_sequence_that_is_in_the_way(
    lab: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    """As a sequence of the slice, as a table of it, or a table where the slice has a sequence: named, and it stays."""
    lab(
        "CREATE SEQUENCE lab.numbers",
        f"CREATE TABLE lab.t (id INT NOT NULL DEFAULT NEXTVAL(`{lab.name}`.numbers) PRIMARY KEY)",
        "INSERT INTO lab.t VALUES (1)",
    )
    bundle = bundle_of(server, tmp_path / "b", f"SELECT * FROM `{lab.name}`.t")
    bundle.dump(options(server))
    for made, name in (("SEQUENCE", "numbers"), ("SEQUENCE", "t"), ("TABLE", "numbers")):
        drop_schemas(clean_scratch, [lab.name])
        contents = " START WITH 7" if made == "SEQUENCE" else " AS SELECT 7 AS mine"
        with clean_scratch.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{lab.name}`")
            cursor.execute(f"CREATE {made} `{lab.name}`.`{name}`{contents}")
        with pytest.raises(
            BundleError, match=rf"(?s)already holds[^\n]*\n *`{lab.name}`\.`{name}`\n.*nothing was loaded"
        ):
            bundle.restore(options(clean_scratch))
        read = f"NEXTVAL(`{lab.name}`.`{name}`)" if made == "SEQUENCE" else f"mine FROM `{lab.name}`.`{name}`"
        assert rows(clean_scratch, f"SELECT {read}") == [(b"7",)]
        assert rows(clean_scratch, f"SHOW TABLES FROM `{lab.name}`") == [(name.encode(),)]


def schemas_of(server: Server) -> list[tuple[Any, ...]]:
    return rows(
        server, "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE 't%'"
    ) + rows(server, "SELECT schema_name FROM information_schema.schemata")


def test_a_load_that_fails_leaves_nothing(
    family: Any, server: Server, clean_scratch: Server, tmp_path: Path, prefix: str
) -> None:
    """Neither a table nor a view; a schema that was there stays, with its table."""
    family("CREATE VIEW lab.mice AS SELECT id FROM lab.subject WHERE species = 'mouse'")
    bundle = bundle_of(server, tmp_path / "b", *family.statements, f"SELECT * FROM `{family.name}`.mice")
    bundle.dump(options(server))
    with clean_scratch.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{family.name}`")
        cursor.execute(f"CREATE TABLE `{family.name}`.own (mine INT)")
    before = schemas_of(clean_scratch)
    whole = gzip.decompress(bundle.dump_file.read_bytes())
    for there, instead, message in (
        (b"\n-- The slice ends", b"\nINSERT INTO no.such VALUES (1);\n-- The slice ends", "the load failed"),
        (b"SQL SECURITY INVOKER", b"SQL SECURITY NOBODY", rf"failed at VIEW `{family.name}`\.`mice`"),
    ):
        assert whole.count(there) == 1
        bundle.dump_file.write_bytes(gzip.compress(whole.replace(there, instead)))
        with pytest.raises(BundleError, match=rf"(?s){message}.*has been removed again"):
            bundle.restore(options(clean_scratch))
        assert schemas_of(clean_scratch) == before
    bundle.dump_file.write_bytes(gzip.compress(whole))
    bundle.restore(options(clean_scratch))


def test_rights_and_settings_are_asked_before(
    family: Any, server: Server, clean_scratch: Server, tmp_path: Path, prefix: str
) -> None:
    """An account that lacks one, a server that is read-only or wants primary keys: named, and nothing is made."""
    family(
        "CREATE VIEW lab.mice AS SELECT id FROM lab.subject WHERE species = 'mouse'",
        "CREATE TABLE lab.bare (x INT)",
    )
    reads = (f"SELECT * FROM `{family.name}`.mice", f"SELECT * FROM `{family.name}`.bare")
    bundle = bundle_of(server, tmp_path / "b", *family.statements, *reads)
    bundle.dump(options(server))
    rights = ["CREATE", "DROP", "SELECT", "INSERT", "REFERENCES", "CREATE VIEW"]
    settings = {"read_only": "read.only"}
    if server.flavor == "mysql":
        settings |= {"sql_require_primary_key": rf"`{family.name}`\.`bare`: a table without a primary key"}
    else:
        rights.remove("REFERENCES")  # MariaDB does not ask for it
    before = schemas_of(clean_scratch)
    schemas = family.name, f"{prefix}other"
    for lacking in rights:
        less = ", ".join(right for right in rights if right != lacking)
        message = rf"(?s)may not load.*`{family.name}`: {lacking} command denied.*nothing was loaded"
        with (
            options_of_account(clean_scratch, less, *schemas) as own,
            pytest.raises(BundleError, match=message),
        ):
            bundle.restore(own)
        assert schemas_of(clean_scratch) == before
    with options_of_account(clean_scratch, ", ".join(rights), *schemas) as own:
        for setting, message in settings.items():
            rows(clean_scratch, f"SET GLOBAL {setting} = ON")
            try:
                with pytest.raises(BundleError, match=rf"(?s){message}.*nothing was loaded"):
                    bundle.restore(own)
            finally:
                rows(clean_scratch, f"SET GLOBAL {setting} = OFF")
            assert schemas_of(clean_scratch) == before
        bundle.restore(own)


@pytest.mark.parametrize("heard", [True, False])
def test_a_load_that_is_interrupted_leaves_nothing(
    heard: bool, large: Bundle, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    """Also if nobody reads what it says, as when the program that started it was killed."""
    large.dump(options(server))
    before = schemas_of(clean_scratch)
    command = ["bash", str(large.path / "restore.sh"), *options(clean_scratch)]
    (work := tmp_path / "work").mkdir()
    own = {**os.environ, "TMPDIR": str(work)}
    for number in (signal.SIGINT, signal.SIGTERM):
        running = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=own,
        )
        deadline = time.monotonic() + 30
        while len(schemas_of(clean_scratch)) == len(before):
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.005)
        if heard:
            os.killpg(running.pid, number)  # as a terminal does
            said = running.communicate(timeout=60)[1]
            assert running.returncode == 128 + number and "has been removed again" in said, said[:2000]
        else:
            assert running.stdout and running.stderr
            running.stdout.close()
            running.stderr.close()
            os.killpg(running.pid, number)
            assert running.wait(timeout=60)
        assert schemas_of(clean_scratch) == before
        assert not list(work.iterdir())


def test_nobody_hears_which_command_has_ended(family: Any, server: Server, tmp_path: Path) -> None:
    """bash itself says which of its commands a signal has ended, which ends bash if nobody reads it."""
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    os.mkfifo(dump := tmp_path / "dump")
    (tmp_path / "dump.cksum").touch()
    (work := tmp_path / "work").mkdir()
    with subprocess.Popen(
        ["bash", str(bundle.path / "restore.sh"), *options(server), f"--file={dump}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(work)},
    ) as running:
        assert running.stdout and running.stderr
        with dump.open("wb"):  # once `cksum` reads it
            running.stdout.close()
            running.stderr.close()
            os.killpg(running.pid, signal.SIGTERM)
            assert running.wait(timeout=60)
    assert not list(work.iterdir())


def test_a_damaged_dump_is_not_loaded(
    family: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    with pytest.raises(BundleError, match="there is no"):
        bundle.restore(options(clean_scratch))
    whole = bundle.dump(options(server)).read_bytes()
    last_part = whole.rindex(b"\x1f\x8b\x08")
    damages = [whole[:-20], whole[:last_part], whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:], b""]
    for damaged in damages:
        bundle.dump_file.write_bytes(damaged)
        with pytest.raises(BundleError, match="is damaged"):
            bundle.restore(options(clean_scratch))
    (bundle.path / "dump.sql.gz.cksum").unlink()
    for damaged in damages:
        bundle.dump_file.write_bytes(damaged)
        with pytest.raises(BundleError, match="is damaged"):
            bundle.restore(options(clean_scratch))
    assert not rows(
        clean_scratch, f"SELECT 1 FROM information_schema.schemata WHERE schema_name = '{family.name}'"
    )


def test_a_dump_with_rows_missing_is_noticed(
    family: Any, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    text = gzip.decompress(bundle.dump(options(server)).read_bytes()).decode()
    without = re.sub(r"(?s)INSERT INTO `#species`.*?;\n", "", text)
    assert without != text
    bundle.dump_file.write_bytes(gzip.compress(without.encode()))
    with pytest.raises(BundleError) as caught:
        bundle.restore(options(clean_scratch))
    assert "`#species`: 0 rows instead of 1" in str(caught.value)
    assert "`subject`: 3 rows whose foreign key" in str(caught.value)
    assert "has been removed again" in str(caught.value)
    assert not rows(
        clean_scratch, f"SELECT 1 FROM information_schema.schemata WHERE schema_name = '{family.name}'"
    )


# ---------------------------------------------------------------- the folder


def test_write_refuses_what_is_not_a_bundle(family: Any, server: Server, tmp_path: Path) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    bundle = bundle_of(server, place, *family.statements)  # an empty folder will do
    first = bundle.dump(options(server))
    bundle_of(server, place, *family.statements)  # an older bundle is replaced, with its dump
    assert not first.exists()
    assert sorted(entry.name for entry in tmp_path.iterdir() if "sqlspy" not in entry.name) == ["mine"]
    (place / "thesis.tex").write_text("years of work")
    with pytest.raises(BundleError, match=r"thesis\.tex"):
        bundle_of(server, place, *family.statements)
    (place / "manifest.json").unlink()
    with pytest.raises(BundleError, match="neither empty nor a bundle"):
        bundle_of(server, place, *family.statements)
    assert (place / "thesis.tex").read_text() == "years of work"
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        Bundle(place)


def test_drift_is_refused_unless_accepted(family: Any, server: Server, tmp_path: Path) -> None:
    captured = [
        Statement(sql=sql, rows=3 - number, number=number) for number, sql in enumerate(family.statements, 1)
    ]
    family("INSERT INTO lab.session VALUES (1, '2024-01-03', NULL)")
    with server.connect(conv=plain_decoders()) as connection:
        changed = make_slice(captured, connection)
    with server.connect() as connection:
        with pytest.raises(BundleError, match=r"2 rows then, 3 now: SELECT \* FROM"):
            write_bundle(changed, tmp_path / "b", connection=connection)
        assert not (tmp_path / "b").exists()
        bundle = write_bundle(changed, tmp_path / "b", connection=connection, accept_drift=True)
    assert bundle.manifest["drift"] == [{"number": 1, "then": 2, "now": 3, "change": "2 rows then, 3 now"}]


def test_the_scripts_are_plain_bash(family: Any, server: Server, tmp_path: Path) -> None:
    bundle = bundle_of(server, tmp_path / "b", *family.statements)
    for script in ("dump.sh", "restore.sh"):
        subprocess.run(["bash", "-n", str(bundle.path / script)], check=True)
        text = (bundle.path / script).read_text()
        assert "@" not in re.sub(r"\$@|\[@\]|@@", "", text)  # every placeholder is filled in
