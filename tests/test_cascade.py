"""Foreign keys and parts: the exact rows that each form of them brings into the slice.

Each test declares tables (with DataJoint where it can, else with SQL), captures a real DataJoint call, and compares
the rows of the slice with those written here. Then the slice goes the whole way: dumped with the real client, loaded
into another server, where each foreign key must find its row, and replayed there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cascade import fixpoint
from dj_sqlspy.names import split_full_name
from dj_sqlspy.paper.bundle import write_bundle
from dj_sqlspy.rules import PARENT, PART, READ
from dj_sqlspy.servers import Server, backend_of
from dj_sqlspy.servers.mysql.connect import client_options, raw_connection
from dj_sqlspy.servers.mysql.dialect import MYSQL
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.servers.postgresql.dialect import POSTGRESQL as POSTGRESQL_DIALECT
from dj_sqlspy.servers.tables import ForeignKey
from dj_sqlspy.slices import Slice, make_slice
from tests.conftest import POSTGRESQL, drop_schemas, user_schemas
from tests.exported import Rows, hashable, keyed, new_schema, selected, whole_way
from tests.lab import keys, rows

full_name = (POSTGRESQL_DIALECT if POSTGRESQL else MYSQL).full_name

# of types, accounts and clients that only these have; for PostgreSQL see test_postgresql_slice.py
of_mysql = pytest.mark.flavor("mariadb", "mysql")

pytestmark = [pytest.mark.separately, pytest.mark.flavor("mariadb", "mysql", "postgresql")]


# What this file writes for MySQL, and how PostgreSQL spells it.
SPELLINGS = {
    "`": '"',
    "CREATE DATABASE": "CREATE SCHEMA",
    "SET FOREIGN_KEY_CHECKS = 0": "SET session_replication_role = replica",
    "DATETIME": "TIMESTAMP",
}


class Lab:
    """Schemas of one test, and what is captured on them."""

    def __init__(self, prefix: str, connection: Any, server: Server, scratch: Server, home: Path) -> None:
        self.prefix, self.connection, self.server, self.scratch, self.home = (
            prefix,
            connection,
            server,
            scratch,
            home,
        )

    def schema(self, name: str = "lab") -> Any:
        """A schema as Python activates it."""
        return new_schema(self.prefix + name, self.connection)

    def sql(self, *statements: str) -> None:
        """Run statements past DataJoint; ``{lab}`` stands for the schema ``lab``."""
        with contextlib.closing(self.server.connect()) as opened, opened.cursor() as cursor:
            for statement in statements:
                cursor.execute(self.named(statement))

    def named(self, text: str) -> str:
        """A text with the names of the schemas, as the server that is tested spells it."""
        for name in ("lab", "one", "two", "three"):
            text = text.replace("{" + name + "}", f"`{self.prefix}{name}`")
        if POSTGRESQL:
            for mysql, postgresql in SPELLINGS.items():
                text = text.replace(mysql, postgresql)
        return text

    def table(self, name: str, schema: str = "lab") -> Any:
        """A table that has no class."""
        return dj.FreeTable(self.connection, full_name(self.prefix + schema, name))

    def read(self, name: str, condition: str) -> Any:
        """Rows by SQL on DataJoint's connection; DataJoint does not know all types."""
        return self.connection.query(self.named(f"SELECT * FROM {{lab}}.{name} WHERE {condition}")).fetchall()

    def capture(self, *calls: Callable[[], Any]) -> None:
        with sqlspy.export("paper", "analysis", home=self.home):
            for call in calls:
                call()

    @property
    def paper(self) -> sqlspy.Paper:
        return sqlspy.Paper("paper", home=self.home)

    def rows(self, cut: Slice) -> dict[str, Rows]:
        """The rows of a slice by the names of the tables (of other schemas than ``lab``: ``schema.table``)."""
        with contextlib.closing(self.server.connect()) as opened:
            found = selected(opened, cut)
        short = {name: ".".join(split_full_name(name)).removeprefix(self.prefix) for name in found}
        return {short[name].removeprefix("lab."): keys for name, keys in found.items()}

    def check(self, wanted: dict[str, Any], path: Path | None = None, **options: Any) -> Slice:
        """Slice; compare with the rows wanted by table name; go the whole way."""
        cut = self.paper.slice(**options)
        drop_schemas(self.scratch, user_schemas(self.scratch))
        assert self.rows(cut) == {name: keyed(text) for name, text in wanted.items()}
        assert not cut.fallbacks
        whole_way(cut, self.server, self.scratch, path or self.home / "bundle", self.paper)
        return cut


@pytest.fixture
def lab(prefix: str, dj_conn: Any, server: Server, scratch: Server, home: Path) -> Lab:
    return Lab(prefix, dj_conn, server, scratch, home)


@pytest.fixture
def raw(lab: Lab) -> Lab:
    """A lab whose schema ``lab`` was made with SQL."""
    lab.sql("CREATE DATABASE {lab}")
    return lab


# ---------------------------------------------------------------- references in the key and beside it


def test_renamed_and_several_between_the_same_tables(lab: Lab) -> None:
    schema = lab.schema()

    @schema
    class Person(dj.Manual):
        definition = """
        person : varchar(8)
        """

    @schema
    class Match(dj.Manual):
        definition = """
        -> Person.proj(white='person')
        -> Person.proj(black='person')
        ---
        -> Person.proj(referee='person')
        -> [nullable] Person.proj(second='person')
        """

    Person.insert({"person": name} for name in "abcdefg")
    Match.insert(
        dict(zip(("white", "black", "referee", "second"), row, strict=True))
        for row in [("a", "b", "c", None), ("b", "a", "d", "e"), ("f", "f", "f", "g")]
    )
    lab.capture(lambda: rows(Match & {"white": "a"}))
    lab.check({"person": "a b c", "match": "a.b"})
    lab.capture(lambda: rows(Match & {"white": "b"}))
    assert lab.rows(lab.paper.slice()) == {"person": keyed("a b d e"), "match": keyed("b.a")}


def test_nullable_references_need_no_parent(lab: Lab) -> None:
    schema = lab.schema()

    @schema
    class Room(dj.Manual):
        definition = """
        floor : int
        room : int
        """

    @schema
    class Rig(dj.Manual):
        definition = """
        rig : int
        ---
        -> [nullable] Room
        """

    Room.insert([{"floor": 1, "room": n} for n in (1, 2, 3)])
    Rig.insert([{"rig": 1, "floor": 1, "room": 2}, {"rig": 2, "floor": None, "room": None}])
    # one NULL of two: MATCH SIMPLE asks for no parent, even if there is none
    lab.sql("INSERT INTO {lab}.rig VALUES (3, 9, NULL)")
    lab.capture(lambda: rows(Rig & "rig > 1"))
    cut = lab.check({"rig": "2 3"})
    room = cut.tables[Room.full_table_name]  # there for its structure
    assert (room.rows, room.total_rows, room.restriction, room.conditions(99)) == (0, 3, "FALSE", [])
    lab.capture(lambda: rows(Rig))
    assert lab.rows(lab.paper.slice()) == {"rig": keyed("1 2 3"), "room": keyed("1.2")}


def test_composite_references_in_any_order(raw: Lab) -> None:
    raw.sql(
        "CREATE TABLE {lab}.parent (a INT, b INT, code CHAR(2) NOT NULL, PRIMARY KEY (a, b), UNIQUE (code))",
        "CREATE TABLE {lab}.inside (y INT, x INT, n INT, PRIMARY KEY (y, x, n),"
        " FOREIGN KEY (x, y) REFERENCES {lab}.parent (a, b))",
        "CREATE TABLE {lab}.across (x INT, n INT, y INT, PRIMARY KEY (x, n),"
        " FOREIGN KEY (x, y) REFERENCES {lab}.parent (a, b))",
        "CREATE TABLE {lab}.by_code (id INT PRIMARY KEY, code CHAR(2),"
        " FOREIGN KEY (code) REFERENCES {lab}.parent (code))",
        "INSERT INTO {lab}.parent VALUES (1, 2, 'p'), (2, 1, 'q'), (3, 3, 'r'), (4, 4, 's')",
        "INSERT INTO {lab}.inside VALUES (2, 1, 7), (1, 2, 7), (3, 3, 1)",
        "INSERT INTO {lab}.across VALUES (2, 7, 1), (1, 7, 2), (3, 7, NULL)",
        "INSERT INTO {lab}.by_code VALUES (1, 'r'), (2, NULL), (3, 'p')",
    )
    raw.capture(lambda: rows(raw.table("inside") & {"y": 2}))
    raw.check({"parent": "1.2", "inside": "2.1.7"}, raw.home / "a")
    raw.capture(
        lambda: rows(raw.table("across") & "n = 7 AND x > 1"),
        lambda: rows(raw.table("by_code") & "id < 3"),
    )
    assert raw.rows(raw.paper.slice()) == {
        "parent": keyed("2.1 3.3"),
        "across": keyed("2.7 3.7"),
        "by_code": keyed("1 2"),
    }


def test_a_table_that_refers_to_itself(raw: Lab) -> None:
    raw.sql(
        "CREATE TABLE {lab}.node (id INT PRIMARY KEY, up INT NULL, FOREIGN KEY (up) REFERENCES {lab}.node (id))",
        "SET FOREIGN_KEY_CHECKS = 0",
        # a chain 5 -> 2 -> 4 -> 1, its own parent 6, two that refer to each other 7 and 8, another chain 9 -> 3
        "INSERT INTO {lab}.node VALUES (1, NULL), (4, 1), (2, 4), (5, 2), (6, 6), (7, 8), (8, 7), (3, NULL), (9, 3)",
    )
    raw.capture(lambda: rows(raw.table("node") & "id IN (2, 6, 7)"))
    raw.check({"node": "2 4 1 6 7 8"})


def test_long_chains_in_a_table_that_refers_to_itself(raw: Lab) -> None:
    """More levels than servers allow a recursive query; texts that differ in case from the row that they mean."""
    text, mark = (
        ("VARCHAR(9)", "n")
        if POSTGRESQL
        else ("VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "N")
    )
    # 1500 -> 1499 -> … -> 1 -> 3 (a circle at the end), 2000 -> 1990 -> … -> 1500, and 3000 -> 2999 -> … -> 2001
    up = {n: n - 1 for n in range(2, 1501)} | {n: n - 10 for n in range(1510, 2001, 10)} | {1: 3, 2001: None}
    up |= {n: n - 1 for n in range(2002, 3001)}
    nodes = [f"('n{n}', {'NULL' if before is None else repr(f'{mark}{before}')})" for n, before in up.items()]
    raw.sql(
        f"CREATE TABLE {{lab}}.node (id {text} PRIMARY KEY, up {text}, FOREIGN KEY (up) REFERENCES {{lab}}.node (id))",
        "SET FOREIGN_KEY_CHECKS = 0",
        f"INSERT INTO {{lab}}.node VALUES {', '.join(nodes)}",
    )
    raw.capture(lambda: rows(raw.table("node") & "id IN ('n2000', 'n700', 'n2030')"))
    members = {f"n{n}" for n in [*range(1, 1501), *range(1510, 2001, 10), *range(2001, 2031)]}
    cut = raw.check({"node": [(member,) for member in members]})
    chain = cut.why(raw.named("{lab}.`node`"), {"id": "n2001"})
    assert len(chain) == 12 and "… 19 more rows" in chain[5] and READ in chain[-1]


def test_a_table_that_refers_to_itself_in_its_key(raw: Lab) -> None:
    raw.sql(
        "CREATE TABLE {lab}.step (run INT, n INT, before_n INT NULL, PRIMARY KEY (run, n),"
        " FOREIGN KEY (run, before_n) REFERENCES {lab}.step (run, n))",
        "INSERT INTO {lab}.step VALUES (1, 1, NULL), (1, 2, 1), (1, 3, 2), (1, 4, 2), (2, 1, NULL), (2, 2, 1)",
    )
    raw.capture(lambda: (raw.table("step") & {"run": 1, "n": 4}).fetch1())
    raw.check({"step": "1.4 1.2 1.1"})


def test_across_schemas_that_python_never_activated(lab: Lab) -> None:
    lab.sql(
        "CREATE DATABASE {one}",
        "CREATE DATABASE {two}",
        "CREATE DATABASE {three}",
        "CREATE TABLE {one}.lab (lab INT PRIMARY KEY)",
        "CREATE TABLE {two}.`#user` (`user` INT PRIMARY KEY, lab INT, FOREIGN KEY (lab) REFERENCES {one}.lab (lab))",
        "CREATE TABLE {three}.animal (animal INT PRIMARY KEY, `user` INT NULL,"
        " FOREIGN KEY (`user`) REFERENCES {two}.`#user` (`user`))",
        "CREATE TABLE {three}.unread (id INT PRIMARY KEY, animal INT,"
        " FOREIGN KEY (animal) REFERENCES {three}.animal (animal))",
        "INSERT INTO {one}.lab VALUES (1), (2)",
        "INSERT INTO {two}.`#user` VALUES (10, 1), (20, 2), (30, 2)",
        "INSERT INTO {three}.animal VALUES (100, 10), (200, 20), (300, NULL)",
        "INSERT INTO {three}.unread VALUES (1, 100)",
    )
    lab.capture(lambda: rows(lab.table("animal", "three") & "animal > 100"))
    cut = lab.check({"one.lab": "2", "two.#user": "20", "three.animal": "200 300"})
    assert not any("unread" in name for name in cut.tables)  # what refers to a row does not come with it
    assert list(cut.tables) == [lab.named(n) for n in ("{one}.`lab`", "{two}.`#user`", "{three}.`animal`")]


@of_mysql
def test_external_tables(raw: Lab) -> None:
    """As 0.14 makes them: ``dj.Dependencies`` leaves them out, the catalog does not."""
    raw.sql(
        "CREATE TABLE {lab}.`~external_raw` (hash BINARY(16) PRIMARY KEY, size BIGINT UNSIGNED NOT NULL,"
        " attachment_name VARCHAR(255) NULL, filepath VARCHAR(1000) NULL, contents_hash BINARY(16) NULL,"
        " timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
        "CREATE TABLE {lab}.image (id INT PRIMARY KEY, pixels BINARY(16) NOT NULL COMMENT ':blob@raw:',"
        " mask BINARY(16) NULL COMMENT ':blob@raw:',"
        " FOREIGN KEY (pixels) REFERENCES {lab}.`~external_raw` (hash),"
        " FOREIGN KEY (mask) REFERENCES {lab}.`~external_raw` (hash))",
        "INSERT INTO {lab}.`~external_raw` (hash, size) VALUES (X'27005C00250A60242B00000000000000', 1),"
        " (X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00', 2), (X'00000000000000000000000000000000', 3), (X'0001', 4)",
        "INSERT INTO {lab}.image VALUES (1, X'27005C00250A60242B00000000000000', NULL),"
        " (2, X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00', X'00000000000000000000000000000000'), (3, X'0001', NULL)",
    )
    raw.capture(lambda: keys(raw.table("image") & "id < 3"))
    first, second = bytes.fromhex("27005C00250A60242B00000000000000"), bytes.fromhex("FF" * 15 + "00")
    raw.check({"image": "1 2", "~external_raw": [(first,), (second,), (bytes(16),)]})


@of_mysql
def test_texts_that_a_collation_finds_equal(raw: Lab) -> None:
    raw.sql(
        "CREATE TABLE {lab}.person (name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY)",
        "CREATE TABLE {lab}.visit (name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, n INT,"
        " PRIMARY KEY (name, n), FOREIGN KEY (name) REFERENCES {lab}.person (name))",
        "CREATE TABLE {lab}.note (id INT PRIMARY KEY,"
        " name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NULL,"
        " FOREIGN KEY (name) REFERENCES {lab}.person (name))",
        "INSERT INTO {lab}.person VALUES ('Ann'), ('BOB'), ('José'), ('end'), ('Zoe')",
        "INSERT INTO {lab}.visit VALUES ('ann', 1), ('ANN', 2), ('bob', 1), ('Zoe', 1)",
        "INSERT INTO {lab}.note VALUES (1, 'JOSE'), (2, 'End '), (3, 'zoe')",
    )
    raw.capture(lambda: rows(raw.table("visit") & {"name": "aNN"}))
    raw.check({"person": "Ann", "visit": "ann.1 ANN.2"}, raw.home / "a")
    raw.capture(
        lambda: rows(raw.table("note") & "id < 3"), lambda: rows(raw.table("visit") & {"name": "ann", "n": 2})
    )
    assert raw.rows(raw.paper.slice()) == {
        "person": {("Ann",), ("José",), ("end",)},
        "visit": keyed("ANN.2"),
        "note": keyed("1 2"),
    }


@of_mysql
def test_a_reference_to_a_unique_key_that_folds(raw: Lab) -> None:
    raw.sql(
        "CREATE TABLE {lab}.strain (id INT PRIMARY KEY, name VARCHAR(9) CHARACTER SET utf8mb4"
        " COLLATE utf8mb4_general_ci UNIQUE)",
        "CREATE TABLE {lab}.mouse (mouse INT PRIMARY KEY, strain VARCHAR(9) CHARACTER SET utf8mb4"
        " COLLATE utf8mb4_general_ci NULL, FOREIGN KEY (strain) REFERENCES {lab}.strain (name))",
        "INSERT INTO {lab}.strain VALUES (1, 'C57'), (2, 'balb'), (3, NULL)",
        "INSERT INTO {lab}.mouse VALUES (1, 'BALB'), (2, 'c57'), (3, NULL)",
    )
    raw.capture(lambda: rows(raw.table("mouse") & "mouse <> 2"))
    raw.check({"strain": "2", "mouse": "1 3"})


# the type of a parent's key, of the column that refers to it, the parent's value, and another one that is equal
EQUAL = {
    "utf8mb4_bin": ("VARCHAR(9) {utf8mb4}", "VARCHAR(9) {utf8mb4}", "'a'", "'a  '"),
    "latin1_bin": ("VARCHAR(9) {latin1}", "VARCHAR(9) {latin1}", "'a'", "'a '"),
    "char": ("CHAR(4) {utf8mb4}", "VARCHAR(9) {utf8mb4}", "'a'", "'a '"),
    "binary": ("VARBINARY(4)", "BINARY(4)", "X'61000000'", "'a'"),
    "double": ("DOUBLE", "DOUBLE", "'0'", "'-0.0'"),
    "float": ("FLOAT", "FLOAT", "'-0'", "'0'"),
}
if POSTGRESQL:
    EQUAL = {
        "float8": ("FLOAT8", "FLOAT8", "'0'", "'-0'"),
        "numeric": ("NUMERIC", "NUMERIC", "1.0", "1.00"),
        "integer": ("NUMERIC(6,2)", "INT", "1.00", "1"),
        "interval": ("INTERVAL", "INTERVAL", "'1 day'", "'24:00:00'"),
        "jsonb": ("JSONB", "JSONB", "'[1.0]'", "'[1.00]'"),
        "char": ("CHAR(4)", "CHAR(6)", "'a'", "'a '"),
    }


@pytest.mark.parametrize("kind", EQUAL)
def test_references_that_equal_a_key_and_are_not_the_same(raw: Lab, kind: str) -> None:
    parent, child, value, other = EQUAL[kind]
    binary = {name: f"CHARACTER SET {name} COLLATE {name}_bin" for name in ("utf8mb4", "latin1")}
    raw.sql(
        f"CREATE TABLE {{lab}}.parent (k {parent.format(**binary)} PRIMARY KEY)",
        f"INSERT INTO {{lab}}.parent VALUES ({value}), ('7777')",
        f"CREATE TABLE {{lab}}.child (id INT PRIMARY KEY, k {child.format(**binary)},"
        " FOREIGN KEY (k) REFERENCES {lab}.parent (k))",
        f"INSERT INTO {{lab}}.child VALUES (1, {other}), (2, {value}), (3, NULL)",
        f"CREATE TABLE {{lab}}.part (k {child.format(**binary)}, id INT, PRIMARY KEY (k, id),"
        " FOREIGN KEY (k) REFERENCES {lab}.parent (k))",
        f"INSERT INTO {{lab}}.part VALUES ({other}, 1), ({value}, 2)",
    )
    with contextlib.closing(raw.server.connect()) as opened, opened.cursor() as cursor:
        cursor.execute(raw.named(f"SELECT k FROM {{lab}}.parent WHERE k = {value}"))
        stored = [hashable(row) for row in cursor.fetchall()]
    raw.capture(lambda: raw.read("child", "id = 1"))
    raw.check({"parent": stored, "child": "1"}, raw.home / "one")
    raw.capture(lambda: raw.read("child", "id < 3"), lambda: raw.read("part", "id > 0"))
    cut = raw.paper.slice()
    assert {name: len(keys) for name, keys in raw.rows(cut).items()} == {"parent": 1, "child": 2, "part": 2}
    found = raw.rows(cut)
    assert all(entry.rows == len(found[split_full_name(name)[1]]) for name, entry in cut.tables.items())
    drop_schemas(raw.scratch, user_schemas(raw.scratch))
    whole_way(cut, raw.server, raw.scratch, raw.home / "bundle", raw.paper)


@of_mysql
def test_dates_that_are_none_stay_as_they_are(raw: Lab) -> None:
    raw.sql(
        "CREATE TABLE {lab}.day (id INT PRIMARY KEY, d DATE, e DATETIME(3), f FLOAT)",
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'",
        "INSERT INTO {lab}.day VALUES (1, '2024-02-31', '2023-02-30 01:02:03.004', 0.1),"
        " (2, '0000-00-00', '0000-00-00', 0.2), (3, '2024-00-10', '2024-01-00', 0.3)",
        "SET SESSION sql_mode = DEFAULT",
    )
    raw.capture(lambda: raw.connection.query(raw.named("SELECT * FROM {lab}.day")).fetchall())
    raw.check({"day": "1 2 3"})


@of_mysql
def test_negative_zeros_keep_their_sign(raw: Lab) -> None:
    """MySQL stores them, and mysqldump loses the sign. MariaDB stores none."""
    raw.sql(
        "CREATE TABLE {lab}.fit (id INT PRIMARY KEY, d DOUBLE, f FLOAT, g DOUBLE(8,2), h FLOAT(8,2),"
        " t DOUBLE AS (-f) STORED, v DOUBLE AS (-g) VIRTUAL, note VARCHAR(9) NOT NULL)",
        "INSERT INTO {lab}.fit (id, d, f, g, h, note) VALUES (1, '-0.0', '-0.0', '-0.0', '-0.0', 'ü -0'),"
        " (2, '0.1', 16777217, 1.25, 0.1, ''), (3, 1.7976931348623157e308, 3.4028234e38, -1, -0.5, '-0'),"
        " (4, 5e-324, NULL, NULL, NULL, 'x')",
    )
    raw.capture(lambda: raw.table("fit").fetch(), lambda: dj.U().aggr(raw.table("fit"), s="SUM(f)").fetch())
    raw.check({"fit": "1 2 3 4"})


# ---------------------------------------------------------------- types of keys

TYPES = {
    # type: three values of which the second and third are read
    "TIMESTAMP(6)": ("'2023-01-01 00:00:00'", "'2023-03-26 01:30:00.000001'", "'2023-10-29 00:30:00'"),
    "DATETIME(6)": ("'2023-01-01'", "'2023-01-01 00:00:00.000001'", "'1999-12-31 23:59:59.5'"),
    "DATE": ("'2023-01-01'", "'2023-01-02'", "'1000-01-01'"),
    "TIME(3)": ("'00:00:00'", "'-838:59:58.999'", "'12:00:00.001'"),
    "YEAR": ("2000", "2001", "1970"),
    "FLOAT": ("0.5", "0.1", "16777217.3"),
    "DOUBLE": ("0.5", "0.1", "1.7976931348623157e308"),
    "DECIMAL(20,10)": ("0.5", "0.1000000000", "-1234567890.0123456789"),
    "BIGINT UNSIGNED": ("1", "18446744073709551615", "9007199254740993"),
    "TINYINT": ("0", "-128", "127"),
    "BINARY(16)": ("'0123456789abcdef'", "X'27005C00250A60242B000000000000AA'", "REPEAT(X'FF', 16)"),  # UUIDs
    "VARBINARY(40)": ("X'61'", "X'00275C22600A25'", "''"),
    "ENUM('a','it''s','ü')": ("'a'", "'it''s'", "'ü'"),
    "SET('a','b')": ("'a'", "'a,b'", "''"),
    "CHAR(12)": ("'a'", "'it''s \"\\\\ %'", "'😀'"),
    "VARCHAR(30)": ("'a'", "'line\\nbreak $HOME'", "''"),
    "BIT(12)": ("b'1'", "b'101010101010'", "b'0'"),
    "BOOLEAN": ("2", "0", "1"),
}
TYPES_OF_POSTGRESQL = {
    "TIMESTAMPTZ(6)": ("'2023-01-01 00:00:00Z'", "'2023-03-26 01:30:00.000001Z'", "'0044-03-15 12:00+00'"),
    "TIMESTAMP(6)": ("'2023-01-01'", "'2023-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'"),
    "DATE": ("'2023-01-01'", "'2023-01-02'", "'0001-01-01'"),
    "TIME(3)": ("'00:00:00'", "'23:59:59.999'", "'12:00:00.001'"),
    "TIMETZ": ("'00:00:00Z'", "'01:00:00+01:30'", "'12:00:00.001-05'"),
    "INTERVAL": ("'1 day'", "'1 mon -2 days 00:00:00.000001'", "'-1 year'"),
    "REAL": ("0.5", "0.1", "'NaN'"),
    "FLOAT8": ("0.5", "0.1", "1.7976931348623157e308"),
    "NUMERIC(20,10)": ("0.5", "0.1000000000", "-1234567890.0123456789"),
    "NUMERIC": ("1.50", "'NaN'", "1e-300"),
    "BIGINT": ("1", "-9223372036854775808", "9007199254740993"),
    "SMALLINT": ("0", "-32768", "32767"),
    "UUID": (
        "'00000000-0000-0000-0000-000000000001'",
        "'27005c00-250a-6024-2b00-0000000000aa'",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    ),
    "BYTEA": (r"'\x61'", r"'\x00275C22600A25'", "''"),
    "{lab}.mood": ("'a'", "'it''s'", "'ü'"),
    "CHAR(12)": ("'a'", "'it''s \"\\ %'", "'😀'"),
    "VARCHAR(30)": ("'a'", r"E'line\nbreak $HOME \\.'", "''"),
    'TEXT COLLATE "C"': ("'a'", "'a '", "'A'"),
    "BIT(12)": ("b'000000000001'", "b'101010101010'", "b'000000000000'"),
    "VARBIT": ("b'1'", "b'01'", "b''"),
    "INET": ("'10.0.0.1'", "'10.0.0.1/8'", "'::1'"),
    "JSONB": ("'1'", """'{"a": [1.0, null], "ü": "it''s"}'""", "'null'"),
    "INT[]": ("'{1}'", "'{1,NULL}'", "'[0:1]={1,2}'"),
    "INT4RANGE": ("'[1,2)'", "'empty'", "'(,5)'"),
}
if POSTGRESQL:
    TYPES = TYPES_OF_POSTGRESQL
STRICT = (
    ("SET timezone = '+01:00'", "CREATE TYPE {lab}.mood AS ENUM ('a', 'it''s', 'ü')")
    if POSTGRESQL
    else ("SET SESSION sql_mode = 'STRICT_ALL_TABLES'", "SET time_zone = '+01:00'")
)


def test_types_of_keys(raw: Lab) -> None:
    """References in the key (projected in memory) and beside it (asked for), by keys of every type."""
    statements, columns = [], []
    for number, (column_type, values) in enumerate(TYPES.items()):
        statements += [
            f"CREATE TABLE {{lab}}.up{number} (k {column_type} NOT NULL PRIMARY KEY)",
            f"CREATE TABLE {{lab}}.own{number} (k {column_type} NOT NULL, n INT, PRIMARY KEY (k, n),"
            f" FOREIGN KEY (k) REFERENCES {{lab}}.up{number} (k))",
            f"INSERT INTO {{lab}}.up{number} VALUES " + ", ".join(f"({value})" for value in values),
            f"INSERT INTO {{lab}}.own{number} VALUES ({values[0]}, 1), ({values[1]}, 2), ({values[0]}, 3)",
        ]
        columns.append(
            f"k{number} {column_type} NULL, FOREIGN KEY (k{number}) REFERENCES {{lab}}.up{number} (k)"
        )
    first, third = (", ".join(values[i] for values in TYPES.values()) for i in (0, 2))
    raw.sql(
        *STRICT,
        *statements,
        f"CREATE TABLE {{lab}}.side (id INT PRIMARY KEY, {', '.join(columns)})",
        f"INSERT INTO {{lab}}.side VALUES (1, {first}), (2, {third}), (3{', NULL' * len(TYPES)})",
    )
    raw.capture(
        *(lambda n=n: raw.read(f"own{n}", "n = 2") for n in range(len(TYPES))),
        lambda: raw.read("side", "id > 1"),
    )
    cut = raw.paper.slice()
    drop_schemas(raw.scratch, user_schemas(raw.scratch))
    wrong = {}
    with contextlib.closing(raw.server.connect()) as opened, opened.cursor() as cursor:
        cursor.execute(STRICT[0] if POSTGRESQL else STRICT[1])

        def found(name: str, columns: str) -> list[Any]:
            table = cut.tables[raw.named(f"{{lab}}.`{name}`")]
            for condition in table.conditions(100_000):
                cursor.execute(f"SELECT {columns} FROM {table.name} WHERE {condition}")
            return cursor.fetchall()  # type: ignore[no-any-return]

        with backend_of(opened).as_sent(opened):  # values of some types do not compare in Python
            assert [int(number) for (number,) in sorted(found("side", "id"))] == [2, 3]
            for number, (column_type, values) in enumerate(TYPES.items()):
                up, own = found(f"up{number}", "k"), [int(n) for (n,) in found(f"own{number}", "n")]
                cursor.execute(raw.named(f"SELECT k FROM {{lab}}.up{number} WHERE k <> {values[0]}"))
                if (sorted(up), own) != (sorted(cursor.fetchall()), [2]):
                    wrong[column_type] = up, own
    assert not wrong
    whole_way(cut, raw.server, raw.scratch, raw.home / "bundle", raw.paper)


def test_chains_by_keys_of_every_type(raw: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """One query for a whole chain finds the rows that a query for each level finds."""
    statements = []
    for number, (column_type, (first, second, third)) in enumerate(TYPES.items()):
        statements += [
            f"CREATE TABLE {{lab}}.node{number} (k {column_type} NOT NULL PRIMARY KEY, up {column_type} NULL,"
            f" FOREIGN KEY (up) REFERENCES {{lab}}.node{number} (k), n INT)",
            f"INSERT INTO {{lab}}.node{number} VALUES ({first}, NULL, 1)",
            f"INSERT INTO {{lab}}.node{number} VALUES ({second}, {first}, 2)",
            f"INSERT INTO {{lab}}.node{number} VALUES ({third}, {second}, 3)",
        ]
    raw.sql(*STRICT, *statements)
    raw.capture(*(lambda n=n: raw.read(f"node{n}", "n = 3") for n in range(len(TYPES))))
    by_level = raw.rows(raw.paper.slice())
    assert {len(found) for found in by_level.values()} == {3}
    monkeypatch.setattr(fixpoint, "LEVELS", 0)
    assert raw.rows(raw.paper.slice()) == by_level


# ---------------------------------------------------------------- parts


def parts_lab(lab: Lab) -> None:
    schema = lab.schema()

    @schema
    class Session(dj.Manual):
        definition = """
        session : int
        """

        class Trial(dj.Part):
            definition = """
            -> master
            trial : int
            """

        class Unit(dj.Part):
            definition = """
            -> master
            unit : int
            """

        class Spike(dj.Part):
            definition = """
            -> Session.Unit
            -> Session.Trial
            spike : int
            """

    Session.insert({"session": n} for n in (1, 2, 3))
    Session.Trial.insert({"session": n, "trial": t} for n in (1, 2) for t in (1, 2))
    Session.Unit.insert({"session": n, "unit": u} for n in (1, 2) for u in (1, 2))
    Session.Spike.insert(
        {"session": n, "unit": u, "trial": t, "spike": 1} for n in (1, 2) for u in (1, 2) for t in (1,)
    )
    lab.Session = Session  # type: ignore[attr-defined]


ALL_PARTS_OF_2 = {
    "session": "2",
    "session__trial": "2.1 2.2",
    "session__unit": "2.1 2.2",
    "session__spike": "2.1.1.1 2.2.1.1",
}


def test_a_master_brings_its_parts(lab: Lab) -> None:
    parts_lab(lab)
    session = lab.Session  # type: ignore[attr-defined]
    lab.capture(lambda: rows(session & "session > 1"))
    cut = lab.check(ALL_PARTS_OF_2 | {"session": "2 3"})
    assert cut.tables[session.full_table_name].reasons == {READ: 2}
    assert cut.tables[session.Trial.full_table_name].reasons == {PART: 2}


def test_a_part_brings_its_master_and_all_its_parts(lab: Lab) -> None:
    parts_lab(lab)
    session = lab.Session  # type: ignore[attr-defined]
    lab.capture(lambda: rows(session.Trial & {"session": 2, "trial": 2}))
    cut = lab.check(ALL_PARTS_OF_2)
    assert cut.tables[session.full_table_name].reasons == {PARENT: 1}
    assert cut.tables[session.Trial.full_table_name].reasons == {READ: 1, PART: 1}


def test_parts_that_are_referenced_only(lab: Lab) -> None:
    parts_lab(lab)
    session = lab.Session  # type: ignore[attr-defined]
    lab.capture(lambda: rows(session.Spike & {"session": 2, "unit": 1}))
    lab.check(
        {"session": "2", "session__trial": "2.1", "session__unit": "2.1", "session__spike": "2.1.1.1"},
        parts="referenced",
    )


def test_parts_of_parts(raw: Lab) -> None:
    """By their names, as DataJoint's tiers go; DataJoint itself declares no part of a part."""
    raw.sql(
        "CREATE TABLE {lab}.a (a INT PRIMARY KEY)",
        "CREATE TABLE {lab}.a__b (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES {lab}.a (a))",
        "CREATE TABLE {lab}.a__b__c (a INT, b INT, c INT, PRIMARY KEY (a, b, c),"
        " FOREIGN KEY (a, b) REFERENCES {lab}.a__b (a, b))",
        # named like a part, but it refers to no master: not one
        "CREATE TABLE {lab}.a__loose (a INT PRIMARY KEY)",
        # a part of a computed table, whose name starts with underscores itself
        "CREATE TABLE {lab}.__calc (a INT PRIMARY KEY, FOREIGN KEY (a) REFERENCES {lab}.a (a))",
        "CREATE TABLE {lab}.__calc__value (a INT, v INT, PRIMARY KEY (a, v),"
        " FOREIGN KEY (a) REFERENCES {lab}.__calc (a))",
        "INSERT INTO {lab}.a VALUES (1), (2)",
        "INSERT INTO {lab}.a__b VALUES (1, 1), (1, 2), (2, 1)",
        "INSERT INTO {lab}.a__b__c VALUES (1, 1, 1), (1, 2, 1), (1, 2, 2), (2, 1, 1)",
        "INSERT INTO {lab}.a__loose VALUES (1)",
        "INSERT INTO {lab}.__calc VALUES (1), (2)",
        "INSERT INTO {lab}.__calc__value VALUES (1, 1), (1, 2), (2, 1)",
    )
    raw.capture(lambda: (raw.table("a__b__c") & {"a": 1, "b": 1, "c": 1}).fetch1())
    raw.check({"a": "1", "a__b": "1.1 1.2", "a__b__c": "1.1.1 1.2.1 1.2.2"}, raw.home / "one")
    raw.capture(lambda: keys(raw.table("__calc") & {"a": 2}))
    assert raw.rows(raw.paper.slice()) == {
        "a": keyed("2"),
        "a__b": keyed("2.1"),
        "a__b__c": keyed("2.1.1"),
        "__calc": keyed("2"),
        "__calc__value": keyed("2.1"),
    }


def test_parts_that_refer_to_other_masters_in_a_cycle(lab: Lab) -> None:
    schema = lab.schema()

    @schema
    class Left(dj.Manual):
        definition = """
        left_id : int
        """

    @schema
    class Right(dj.Manual):
        definition = """
        right_id : int
        """

        class ToLeft(dj.Part):
            definition = """
            -> master
            -> Left
            """

    # the part of Left refers to Right: together a cycle, which DataJoint can declare only in two steps
    lab.sql(
        "CREATE TABLE {lab}.left__to_right (left_id INT, right_id INT, PRIMARY KEY (left_id, right_id),"
        " FOREIGN KEY (left_id) REFERENCES {lab}.left (left_id),"
        " FOREIGN KEY (right_id) REFERENCES {lab}.right (right_id))"
    )
    Left.insert({"left_id": n} for n in range(1, 8))
    Right.insert({"right_id": n} for n in range(1, 8))
    lab.sql("INSERT INTO {lab}.left__to_right VALUES (1, 1), (2, 2), (3, 3), (5, 5)")
    Right.ToLeft.insert({"right_id": r, "left_id": n} for r, n in [(1, 2), (2, 3), (4, 4), (5, 6)])
    # 1 -> right 1 -> left 2 -> right 2 -> left 3 -> right 3; and 4, 5, 6 stay
    lab.capture(lambda: rows(Left & {"left_id": 1}))
    lab.check(
        {
            "left": "1 2 3",
            "right": "1 2 3",
            "left__to_right": "1.1 2.2 3.3",
            "right__to_left": "1.2 2.3",
        }
    )
    referenced = lab.paper.slice(parts="referenced")
    assert lab.rows(referenced) == {"left": keyed("1")}


# ---------------------------------------------------------------- what only 2.x has


@pytest.mark.line("2.x")
def test_singletons_and_hidden_columns(lab: Lab) -> None:
    schema = lab.schema()

    @schema
    class Settings(dj.Manual):
        definition = """
        ---
        gain : float
        """

    @schema
    class Unread(dj.Manual):
        definition = """
        ---
        gain : float
        """

    Settings.insert1({"gain": 2.5})
    Unread.insert1({"gain": 3.5})
    # what refers to a singleton: DataJoint's own definitions can't
    lab.sql(
        "CREATE TABLE {lab}.session (session INT PRIMARY KEY, _settings BOOLEAN NOT NULL DEFAULT TRUE,"
        " FOREIGN KEY (_settings) REFERENCES {lab}.settings (_singleton))",
        "INSERT INTO {lab}.session (session) VALUES (1), (2)",
    )
    lab.capture(lambda: rows(lab.table("session") & {"session": 2}))
    lab.check({"settings": "1", "session": "2"}, lab.home / "one")
    lab.capture(lambda: Settings.fetch1("gain"), lambda: rows(Unread & "gain > 5"))
    cut = lab.check({"settings": "1"}, lab.home / "two")
    assert cut.tables[Settings.full_table_name].table.primary_key == ("_singleton",)


@pytest.mark.line("2.x")
def test_hidden_columns_of_computed_tables(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dj.config.jobs, "add_job_metadata", True)
    schema = lab.schema()

    @schema
    class Session(dj.Manual):
        definition = """
        session : int
        """

    @schema
    class Twice(dj.Computed):
        definition = """
        -> Session
        ---
        twice : int
        """

        def make(self, key: dict[str, Any]) -> None:
            self.insert1({**key, "twice": 2 * key["session"]})

    Session.insert({"session": n} for n in (1, 2, 3))
    Twice.populate()
    lab.capture(lambda: rows(Twice & {"session": 3}), lambda: rows(Session - Twice))
    lab.check({"session": "3", "__twice": "3"})
    query = lab.named("SELECT * FROM {lab}.`__twice` WHERE session = 3")
    with lab.server.connect() as source, lab.scratch.connect() as loaded:
        here, there = source.cursor(), loaded.cursor()
        here.execute(query)
        there.execute(query)
        names = [column[0] for column in here.description]
        assert here.fetchall() == there.fetchall()
    assert {"_job_start_time", "_job_duration", "_job_version"} <= set(names)


# ---------------------------------------------------------------- negative witnesses


def test_witnesses_to_a_fixpoint(lab: Lab) -> None:
    """A row that is read brings the row that rejects it elsewhere, which brings its own witness, and so on."""
    schema = lab.schema()

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        """

    @schema
    class Room(dj.Manual):
        definition = """
        room : int
        """

    @schema
    class Dead(dj.Manual):
        definition = """
        -> Subject
        ---
        -> Room
        """

    @schema
    class Doubted(dj.Manual):
        definition = """
        -> Dead
        """

    @schema
    class Closed(dj.Manual):
        definition = """
        -> Room
        """

    Subject.insert({"subject": n} for n in (1, 2, 3, 4))
    Room.insert({"room": n} for n in (7, 8, 9))
    Dead.insert([{"subject": 1, "room": 7}, {"subject": 2, "room": 8}])
    Doubted.insert([{"subject": 1}, {"subject": 2}])
    Closed.insert([{"room": 7}, {"room": 8}])
    alive = [lambda: rows(Subject - Dead), lambda: rows(Dead - Doubted), lambda: rows(Room - Closed)]
    lab.capture(*alive)
    lab.check({"subject": "3 4", "room": "9"}, lab.home / "one")
    lab.capture(*alive, lambda: rows(Subject & {"subject": 1}))
    cut = lab.check(
        {"subject": "1 3 4", "dead": "1", "doubted": "1", "room": "7 9", "closed": "7"}, lab.home / "two"
    )
    assert cut.tables[Dead.full_table_name].reasons == {"keeps a row rejected (anti-join)": 1}
    assert cut.tables[Closed.full_table_name].reasons == {"keeps a row rejected (anti-join)": 1}
    # the rows of 2 stay in the lab
    assert not any((2,) in keys for name, keys in lab.rows(cut).items() if name != "room")


def test_a_witness_brings_its_parents_and_parts(lab: Lab) -> None:
    schema = lab.schema()

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        """

    @schema
    class Reason(dj.Manual):
        definition = """
        reason : int
        """

    @schema
    class Excluded(dj.Manual):
        definition = """
        -> Subject
        n : int
        ---
        -> Reason
        """

        class Note(dj.Part):
            definition = """
            -> master
            note : int
            """

    Subject.insert({"subject": n} for n in (1, 2))
    Reason.insert({"reason": n} for n in (5, 6))
    Excluded.insert({"subject": 1, "n": n, "reason": r} for n, r in [(1, 5), (2, 6)])
    Excluded.Note.insert({"subject": 1, "n": n, "note": 1} for n in (1, 2))
    lab.capture(lambda: rows(Subject.proj() - Excluded.proj()), lambda: rows(Subject))
    # one witness is enough: the first by its key
    lab.check({"subject": "1 2", "excluded": "1.1", "excluded__note": "1.1.1", "reason": "5"})


# ---------------------------------------------------------------- virtual references, accounts, snapshots


def test_virtual_references(raw: Lab) -> None:
    raw.sql(
        "CREATE DATABASE {one}",
        "CREATE TABLE {one}.rig (rig INT PRIMARY KEY, site INT NULL)",
        "CREATE TABLE {one}.site (site INT PRIMARY KEY)",
        "CREATE TABLE {lab}.session (id INT PRIMARY KEY, rig INT NULL)",
        "INSERT INTO {one}.site VALUES (1), (2)",
        "INSERT INTO {one}.rig VALUES (10, 1), (20, 2), (30, NULL)",
        "INSERT INTO {lab}.session VALUES (1, 10), (2, 20), (3, NULL), (4, 99), (5, 30)",
    )
    session, rig, site = (raw.named(n) for n in ("{lab}.`session`", "{one}.`rig`", "{one}.`site`"))
    virtual = [
        ForeignKey("rig of session", session, ("rig",), rig, ("rig",), virtual=True),
        ForeignKey("site of rig", rig, ("site",), site, ("site",), virtual=True),
    ]
    raw.capture(lambda: rows(raw.table("session") & "id > 1"))
    assert raw.rows(raw.paper.slice()) == {"session": keyed("2 3 4 5")}
    # 4 refers to a rig that is not there: that is how the database is
    found = {"session": "2 3 4 5", "one.rig": "20 30", "one.site": "2"}
    raw.check(found, virtual=virtual)
    texts = [f"{session} (rig) -> {rig} (rig)", f"{rig} (site) -> {site} (site)"]
    expected = raw.rows(raw.paper.slice(virtual=virtual))
    assert raw.rows(raw.paper.slice(virtual=texts)) == expected
    elsewhere = "not_read.a (b) -> not_there.c (d)"  # of a pipeline that this paper has nothing of
    dj.config["sqlspy.references"] = [*texts, elsewhere]
    try:
        assert raw.rows(raw.paper.slice()) == expected
        assert raw.rows(sqlspy.slice([raw.table("session") & "id > 1"])) == expected
    finally:
        dj.config["sqlspy.references"] = None
    assert raw.rows(raw.paper.slice()) == {"session": keyed("2 3 4 5")}


@of_mysql
def test_virtual_references_between_types(raw: Lab) -> None:
    """They lead to the rows that equal as the server compares."""
    raw.sql(
        "CREATE DATABASE {one}",
        "CREATE TABLE {one}.rig (rig INT PRIMARY KEY)",
        "CREATE TABLE {one}.day (day DATE PRIMARY KEY)",
        "CREATE TABLE {lab}.session (code VARCHAR(9) PRIMARY KEY, rig VARCHAR(9) NULL, at DATETIME)",
        "INSERT INTO {one}.rig VALUES (1), (2), (3)",
        "INSERT INTO {one}.day VALUES ('2026-01-02'), ('2026-01-03')",
        "INSERT INTO {lab}.session VALUES ('01', '2.0', '2026-01-02'), ('x', NULL, '2026-01-03 10:00:00')",
    )
    session, rig, day = (raw.named(n) for n in ("{lab}.`session`", "{one}.`rig`", "{one}.`day`"))
    raw.capture(lambda: rows(raw.table("session")))
    whole = {("01",), ("x",)}
    for column, expected in (("code", {"one.rig": {(1,)}}), ("rig", {"one.rig": {(2,)}})):
        found = raw.rows(raw.paper.slice(virtual=[f"{session} ({column}) -> {rig} (rig)"]))
        assert found == {"session": whole, **expected}
    found = raw.rows(raw.paper.slice(virtual=[f"{session} (at) -> {day} (day)"]))
    assert found == {"session": whole, "one.day": {(date(2026, 1, 2),)}}


@of_mysql
def test_an_account_that_may_only_select(lab: Lab, tmp_path: Path) -> None:
    schema = lab.schema()

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int
        """

        class Trial(dj.Part):
            definition = """
            -> master
            trial : int
            """

    @schema
    class Bad(dj.Manual):
        definition = """
        -> Session
        """

    @schema
    class Private(dj.Manual):
        definition = """
        -> Session
        """

    Subject.insert({"subject": n} for n in (1, 2))
    Session.insert({"subject": n, "session": s} for n in (1, 2) for s in (1, 2))
    Session.Trial.insert({"subject": n, "session": s, "trial": 1} for n in (1, 2) for s in (1, 2))
    Bad.insert([{"subject": 1, "session": 1}, {"subject": 2, "session": 1}])
    lab.capture(lambda: rows(Session - Bad & {"subject": 1}), lambda: rows(Subject & {"subject": 1}))
    readable = [Subject, Session, Session.Trial, Bad]
    user, password = f"{lab.prefix}reader", "only' \"select\\"
    lab.sql(
        f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password.translate({39: chr(39) * 2, 92: chr(92) * 2})}'"
    )
    try:
        lab.sql(*(f"GRANT SELECT ON {table.full_table_name} TO '{user}'@'%'" for table in readable))
        with lab.server.connect(user=user, password=password, conv=plain_decoders()) as reader:
            cut = make_slice(lab.paper.statements, reader)
        assert lab.rows(cut) == {
            "subject": keyed("1"),
            "session": keyed("1.2"),
            "session__trial": keyed("1.2.1"),
        }
        with lab.server.connect(user=user, password=password) as reader:
            bundle = write_bundle(cut, tmp_path / "bundle", connection=reader)
            with client_options(reader) as options:
                bundle.dump(options)
        bundle.restore([f"--defaults-file={lab.scratch.defaults_file()}"])
    finally:
        lab.sql(f"DROP USER '{user}'@'%'")


@of_mysql
def test_one_snapshot(lab: Lab) -> None:
    """Rows that others write while the slice is made change nothing in it."""
    schema = lab.schema()

    @schema
    class Master(dj.Manual):
        definition = """
        id : int
        ---
        note : varchar(10)
        """

        class Part(dj.Part):
            definition = """
            -> master
            n : int
            """

    Master.insert({"id": n, "note": "old"} for n in (1, 2, 3))
    Master.Part.insert({"id": n, "n": 1} for n in (1, 2, 3))
    lab.capture(lambda: rows(Master & "note = 'old' AND id < 3"), lambda: len(Master & "note = 'old'"))
    changes = iter(
        [
            "INSERT INTO {lab}.master VALUES (4, 'old'), (0, 'old')",
            "INSERT INTO {lab}.master__part VALUES (1, 2), (4, 1), (0, 1)",
            "DELETE FROM {lab}.master__part WHERE id = 2",
            "DELETE FROM {lab}.master WHERE id = 2",
            "UPDATE {lab}.master SET note = 'new'",
        ]
    )
    seen = []

    def progress(what: str, count: int) -> None:
        seen.append(what)
        for change in changes:
            lab.sql(change)

    connection = raw_connection(lab.connection, conv=plain_decoders())
    cut = make_slice(lab.paper.statements, connection, progress=progress)
    connection.close()
    assert seen
    master, part = cut.tables[Master.full_table_name], cut.tables[Master.Part.full_table_name]
    assert (master.rows, master.total_rows, part.rows, part.total_rows) == (3, 3, 3, 3)
    assert set(master.keys) == {(1,), (2,), (3,)} and set(part.keys) == {(1, 1), (2, 1), (3, 1)}
    assert not cut.drifted and master.restriction == part.restriction == "TRUE"
    drifted = lab.paper.slice()  # and one made now sees them
    assert [report.rows_now for report in drifted.statements] == [0, 1]
    assert [report.change for report in drifted.drifted] == [
        "2 rows then, 0 now",
        "other values in 1 row now",
    ]


def test_a_table_without_a_primary_key(raw: Lab) -> None:
    raw.sql(
        "CREATE TABLE {lab}.parent (id INT PRIMARY KEY)",
        "CREATE TABLE {lab}.log (id INT NULL, text VARCHAR(9), FOREIGN KEY (id) REFERENCES {lab}.parent (id))",
        "INSERT INTO {lab}.parent VALUES (1), (2), (3)",
        "INSERT INTO {lab}.log VALUES (1, 'a'), (1, 'a'), (1, 'b'), (2, 'a'), (NULL, 'a'), (NULL, NULL)",
    )
    raw.capture(lambda: rows(raw.table("log").proj("text") & "text = 'b'"))
    cut = raw.paper.slice()
    log = cut.tables[raw.named("{lab}.`log`")]
    assert (log.restriction, log.rows, log.total_rows) == (
        "TRUE",
        6,
        6,
    )  # its rows have no names: all of them
    assert set(cut.tables[raw.named("{lab}.`parent`")].keys) == {(1,), (2,)}
    drop_schemas(raw.scratch, user_schemas(raw.scratch))
    whole_way(cut, raw.server, raw.scratch, raw.home / "bundle", raw.paper)
