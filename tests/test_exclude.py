"""Excluded columns: what replaces their contents, what is refused, and which statements cannot be replayed."""

from __future__ import annotations

import datetime
import gzip
import json
import re
from pathlib import Path
from typing import Any

import datajoint as dj
import jsonschema
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.bundle.folder import DIGESTS_FILE
from dj_sqlspy.cli import main
from dj_sqlspy.dump import exclude
from dj_sqlspy.errors import BundleError, SliceError
from dj_sqlspy.external import File, Row
from dj_sqlspy.names import shown_column
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.connect import client_options
from tests.test_dump import account, cut, lab, options, rows
from tests.test_publish import manifest_schema
from tests.test_verify import as_text

pytestmark = pytest.mark.line("2.x")  # nothing here depends on it

__all__ = ["lab"]

SECRET = "Wq7Zk"

# Column, type, and what stands in its place: as both servers send it.
TYPES = [
    ("name", "VARCHAR(20) NOT NULL DEFAULT 'it''s'", b"it's"),
    ("note", "TEXT NULL", None),
    ("bin", "VARBINARY(8) NOT NULL DEFAULT 'ab'", b"ab"),
    ("code", "BINARY(4) NOT NULL DEFAULT X'00FF0102'", b"\0\xff\1\2"),
    ("bits", "BIT(11) NOT NULL DEFAULT b'10100000001'", b"\5\1"),
    ("kind", "ENUM('x', 'y') NOT NULL DEFAULT 'y'", b"y"),
    ("tags", "SET('p', 'q') NOT NULL DEFAULT 'p,q'", b"p,q"),
    ("f", "FLOAT NOT NULL DEFAULT 16777217.5", b"16777200"),
    ("f2", "FLOAT NULL", None),
    ("dc", "DECIMAL(20,6) NOT NULL DEFAULT -1.5", b"-1.500000"),
    ("big", "BIGINT UNSIGNED NOT NULL DEFAULT 18446744073709551615", b"18446744073709551615"),
    ("d", "DATE NOT NULL DEFAULT '2020-01-01'", b"2020-01-01"),
    ("ts", "TIMESTAMP NOT NULL DEFAULT '2020-01-01 01:02:03'", b"2020-01-01 01:02:03"),
    ("dt", "DATETIME(3) NOT NULL DEFAULT '2020-01-01 01:02:03.25'", b"2020-01-01 01:02:03.250"),
    ("y", "YEAR NOT NULL DEFAULT 2021", b"2021"),
    ("z", "INT(5) ZEROFILL NOT NULL DEFAULT 7", b"00007"),
    ("j", "JSON NULL", None),
    ("bb", "LONGBLOB NULL", None),
    ("l", "VARCHAR(9) CHARACTER SET latin1 NOT NULL DEFAULT 'é'", "é".encode()),
]


@pytest.fixture
def people(lab: Any) -> Any:
    """People, of which each column but the key can be left out, and visits that refer to them."""
    columns = ", ".join(f"{name} {kind}" for name, kind, _ in TYPES)
    lab(
        f"CREATE TABLE lab.person (id INT PRIMARY KEY, {columns}, seen TIMESTAMP(2) NOT NULL DEFAULT"
        " CURRENT_TIMESTAMP(2), must VARCHAR(9) NOT NULL, sure INT NOT NULL, mail VARCHAR(20) NULL, refers INT NULL,"
        " twice INT GENERATED ALWAYS AS (sure * 2) STORED, UNIQUE KEY `by mail` (mail),"
        " FOREIGN KEY `to person` (refers) REFERENCES lab.person (id))",
        "CREATE TABLE lab.visit (id INT, n INT, what VARCHAR(20) NULL, PRIMARY KEY (id, n),"
        " FOREIGN KEY (id) REFERENCES lab.person (id))",
        "CREATE TABLE lab.no_key (a INT, b VARCHAR(9) NULL)",
        "CREATE VIEW lab.names AS SELECT id, name FROM lab.person",
        "INSERT INTO lab.no_key VALUES (1, 'x')",
    )
    for number in range(1, 5):
        lab(
            "INSERT INTO lab.person (id, name, note, bin, code, f, f2, dc, d, ts, j, bb, l, must, sure, mail) VALUES"
            f" ({number}, '{SECRET}{number}', '{SECRET}', '{SECRET}', 'w{number}', 1.1, 2.5, {number}, '2001-01-01',"
            f""" '2001-01-01 01:01:01', '{{"a": "{SECRET}"}}', '{SECRET}', '{SECRET}', 'm', {number}, 'm{number}')""",
            f"INSERT INTO lab.visit VALUES ({number}, 1, 'came'), ({number}, 2, NULL)",
        )
    return lab


def write(people: Any, server: Server, path: Path, *statements: str, **options: Any) -> Bundle:
    named = [statement.replace("lab.", f"`{people.name}`.") for statement in statements]
    with server.connect() as connection:
        return write_bundle(cut(server, *named), path, connection=connection, **options)


def numbers(people: Any, server: Server, column: str, *statements: str) -> list[int]:
    """The statements that read a column."""
    named = [statement.replace("lab.", f"`{people.name}`.") for statement in statements]
    with server.connect() as connection:
        (found,) = exclude.exclude(cut(server, *named), [f"{people.name}.{column}"], connection)
    return list(found.statements)


STATEMENTS = (
    "SELECT id, sure FROM lab.person WHERE id < 4",
    f"SELECT id FROM lab.person WHERE name = '{SECRET}2' /* {SECRET} */",
    "SELECT * FROM lab.person WHERE id = 1",
    "SELECT COUNT(*) FROM (SELECT * FROM lab.person WHERE id < 3) AS x",
    "SELECT id, n FROM lab.visit NATURAL JOIN lab.person WHERE sure = 3",
    f"SELECT id, COUNT(*) AS n FROM lab.person GROUP BY id, note HAVING note = '{SECRET}' AND id < 3",
)


def test_contents_stay_at_the_lab(
    people: Any, server: Server, clean_scratch: Server, tmp_path: Path, dj_conn: Any
) -> None:
    names = [f"`{people.name}`.`person`.{name}" for name, _, _ in TYPES] + [f"{people.name}.Person.`seen`"]
    bundle = write(people, server, tmp_path / "b", *STATEMENTS, exclude=names)
    jsonschema.Draft202012Validator(manifest_schema()).validate(bundle.manifest)
    with (
        account(server, "secret", f"SELECT ON `{people.name}`.*") as user,
        server.connect(user=user, password="secret") as connection,
        client_options(connection) as own,
    ):
        bundle.dump(own)
    bundle.restore(options(clean_scratch))
    columns = ", ".join(name for name, _, _ in TYPES)
    with clean_scratch.connect() as there, there.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(DISTINCT seen), COUNT(*) FROM `{people.name}`.person")
        assert cursor.fetchone() == (1, 3)
    loaded = rows(clean_scratch, f"SELECT {columns} FROM `{people.name}`.person")
    assert loaded == [tuple(value for _, _, value in TYPES)] * 3
    assert rows(clean_scratch, f"SELECT f * 1e0 FROM `{people.name}`.person")[0] == (b"16777218",)
    assert len(rows(clean_scratch, f"SELECT sure, twice, must, mail FROM `{people.name}`.person")) == 3

    report = bundle.verify()
    assert report.equal and report.complete and report.from_source, as_text(report)
    assert [result.state for result in report.statements] == ["equal"] * 3 + ["excluded"] * 3
    first = json.loads((bundle.path / "first-rows.json").read_text())
    assert {number for one in first["results"] for number in one["numbers"]} == {1, 4, 5}
    assert first["tables"] and SECRET not in json.dumps(first) + (bundle.path / "report.html").read_text()
    assert "reads excluded columns, not replayed" in as_text(report)
    assert ".Person.name: DEFAULT(`name`); read by 2 statements (2, 3)" in as_text(report)
    digests = json.loads((bundle.path / DIGESTS_FILE).read_text())
    assert sorted(n for one in digests["statements"] for n in one["numbers"]) == [1, 4, 5]
    alone = bundle.verify(alone=True)
    assert alone.equal and alone.complete, as_text(alone)
    readme = (bundle.path / "README.md").read_text()
    assert "## What was left out" in readme and f"`{people.name}.Person.name`" in readme
    assert "(but for 3, which read columns without contents)" in readme
    assert "without contents: statements that read them" in (bundle.path / "report.html").read_text()
    for file in bundle.path.iterdir():
        contents = file.read_bytes()
        if file.suffix == ".gz":
            contents = gzip.decompress(contents)
            assert b"m2" in contents
        assert SECRET.encode() not in contents and SECRET.encode().hex().encode() not in contents.lower(), (
            file
        )


# Column, the value that is given for it, and what is in its place: as both servers send it.
VALUES = [
    ("name", "it's `m` \\ $H\n; %s", b"it's `m` \\ $H\n; %s"),
    ("note", "", b""),
    ("bin", "0x00ff27", b"\0\xff'"),
    ("code", b"ab", b"ab\0\0"),
    ("kind", "X", b"x"),
    ("tags", "q", b"q"),
    ("f", 0.1, b"0.1"),
    ("f2", "16777217.5", b"16777200"),
    ("dc", "-0.50", b"-0.500000"),
    ("big", 18446744073709551615, b"18446744073709551615"),
    ("d", datetime.date(2000, 2, 29), b"2000-02-29"),
    ("ts", "2038-01-19 03:14:07", b"2038-01-19 03:14:07"),
    ("dt", datetime.datetime(1000, 1, 1, 1, 2, 3, 250000), b"1000-01-01 01:02:03.250"),
    ("y", 2155, b"2155"),
    ("z", 8, b"00008"),
    ("j", '{"b": [1.5, "é"], "a": null}', None),
    ("bb", "0x", b""),
    ("l", "ÿ'", "ÿ'".encode()),
    ("must", "日本'", "日本'".encode()),
    ("sum", 0.1 + 0.2, b"0.30000000000000004"),
    ("least", "-2.2250738585072014e-308", b"-2.2250738585072014e-308"),
    ("seen", "2001-02-03 04:05:06.78", b"2001-02-03 04:05:06.78"),
]


def test_values_stand_in_the_place_of_contents(
    people: Any, server: Server, clean_scratch: Server, tmp_path: Path, dj_conn: Any
) -> None:
    """A value of each type: refused by none, loaded as the column holds it, equal on both sides, found by inspect."""
    people(
        "ALTER TABLE lab.person MODIFY must VARCHAR(9) CHARACTER SET utf8mb4 NOT NULL,"
        " ADD sum DOUBLE NOT NULL, ADD least DOUBLE NULL"
    )
    replace = {f"`{people.name}`.`person`.{name}": value for name, value, _ in VALUES}
    bundle = write(people, server, tmp_path / "b", *STATEMENTS, replace=replace)
    assert len(bundle.manifest["excluded"]) == len(VALUES)
    jsonschema.Draft202012Validator(manifest_schema()).validate(bundle.manifest)
    with (
        account(server, "secret", f"SELECT ON `{people.name}`.*") as user,
        server.connect(user=user, password="secret") as connection,
        client_options(connection) as own,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT @@SESSION.sql_mode, @@SESSION.time_zone")
        session = cursor.fetchone()
        asked = exclude.exclude(cut(server, f"SELECT * FROM `{people.name}`.person"), [], connection, replace)
        assert {(one.column, one.value) for one in asked} == {
            (one["column"], one["value"]) for one in bundle.manifest["excluded"]
        }
        cursor.execute("SELECT @@SESSION.sql_mode, @@SESSION.time_zone")
        assert cursor.fetchone() == session
        bundle.dump(own)
    bundle.restore(options(clean_scratch))
    columns = ", ".join(name for name, _, _ in VALUES if name != "j")
    loaded = rows(clean_scratch, f"SELECT {columns} FROM `{people.name}`.person")
    assert loaded == [tuple(value for name, _, value in VALUES if name != "j")] * 3
    assert rows(clean_scratch, f"SELECT f * 1e0, f2 * 1e0 FROM `{people.name}`.person")[0] == (
        b"0.10000000149011612",
        b"16777218",
    )
    ((text,), *_) = rows(clean_scratch, f"SELECT j FROM `{people.name}`.person")
    assert json.loads(text) == {"b": [1.5, "é"], "a": None}
    assert len(rows(clean_scratch, f"SELECT sure, twice, mail FROM `{people.name}`.person")) == 3

    report = bundle.verify()
    assert report.equal and report.complete and report.from_source, as_text(report)
    assert [result.state for result in report.statements] == ["equal"] * 3 + ["excluded"] * 3
    assert "Contents left out: " in as_text(report) and ".Person.kind: 'x'; read by" in as_text(report)
    alone = bundle.verify(alone=True)
    assert alone.equal and alone.complete, as_text(alone)
    found = [
        one for one in bundle.inspect().findings if one.where.endswith(("`name`", "`must`", "`j`", "`l`"))
    ]
    assert {one.what for one in found} <= {"default"}, found
    assert "contents left out: &#39;x&#39;" in (bundle.path / "report.html").read_text()
    assert f"`{people.name}.Person.must`" in (bundle.path / "README.md").read_text()
    for file in bundle.path.iterdir():
        contents = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        assert SECRET.encode() not in contents and SECRET.encode().hex().encode() not in contents.lower(), (
            file
        )


def test_inspect_finds_what_was_to_be_left_out(people: Any, server: Server, tmp_path: Path) -> None:
    """A manifest that says less than the truth: the contents are there, and `inspect` says so."""
    name = f"`{people.name}`.`person`"
    bundle = write(people, server, tmp_path / "b", "SELECT id FROM lab.person")
    bundle.dump(options(server))
    told = {"table": name, "column": "must", "value": "'x'", "statements": [], "held": []}
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    manifest["excluded"] = [told, {**told, "column": "note", "value": "NULL"}]
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    found = {(one.where, one.what): one.rows for one in Bundle(bundle.path).inspect().findings}
    what = "contents that were to be left out"
    assert {where: rows for (where, each), rows in found.items() if each == what} == {
        f"{name}.`must`": 4,
        f"{name}.`note`": 4,
    }
    for value in ("(SELECT 1)", "'x' OR TRUE", "'a\\", "NULL -- ", "DEFAULT(`x`), SLEEP(1)"):
        manifest["excluded"][0]["value"] = value  # what a stranger says is sent to no server
        (bundle.path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(BundleError, match="does not have the form"):
            Bundle(bundle.path).inspect()


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("person.id", 1, "primary key"),
        ("visit.what", "x" * 21, "no value for a column of type varchar(20)"),
        ("person.refers", 1, "part of the foreign key"),
        ("person.mail", "x", "part of the unique key `by mail`, so that no two rows can have one value"),
        ("person.twice", 1, "generated from other columns"),
        ("person.sure", 1, "the column `twice` is generated from it"),
        ("person.must", None, "None is no value"),
        ("person.must", b"a", "it holds no bytes"),
        ("person.bits", 1, "no server tells that of such a type"),
        ("person.l", "日", "no value for a column of type varchar(9)"),
        ("person.kind", "z", "no value for a column of type enum('x','y')"),
        ("person.kind", "1", "no value for a column of type enum('x','y')"),
        ("person.tags", "p,z", "no value for a column of type set('p','q')"),
        ("person.bin", b"123456789", "9 bytes are more than 8"),
        ("person.z", 1.5, "no value for a column of type int"),
        ("person.z", "abc", "no value for a column of type int"),
        ("person.big", -1, "no value for a column of type bigint"),
        ("person.y", 1900, "no value for a column of type year"),
        ("person.dc", "1.2345678", "no value for a column of type decimal(20,6)"),
        ("person.f", "nan", "no value for a column of type float"),
        ("person.d", "2001-02-29", "no value for a column of type date"),
        ("person.dt", "2001-02-28 01:02:03.0004", "no value for a column of type datetime(3)"),
        ("person.ts", "2039-01-01", "no value for a column of type timestamp"),
        ("person.j", '{"a": ', ""),
        ("no_key.b", "x", "has no primary key"),
        ("person.nonsense", 1, "has no column 'nonsense'; it has id, name"),
    ],
)
def test_values_that_cannot_stand_there(
    people: Any, server: Server, tmp_path: Path, column: str, value: Any, why: str
) -> None:
    statements = ("SELECT * FROM lab.visit", "SELECT * FROM lab.no_key", "SELECT * FROM lab.person")
    with pytest.raises(SliceError, match=f"(?s)^(Replacing|Leaving out).*{re.escape(why)}"):
        write(people, server, tmp_path / "b", *statements, replace={f"{people.name}.{column}": value})
    assert not (tmp_path / "b").exists()


def test_a_unique_key_of_one_row_and_checks(people: Any, server: Server, tmp_path: Path) -> None:
    unchecked = ", CONSTRAINT later CHECK (low > 100) NOT ENFORCED" if server.flavor == "mysql" else ""
    people(
        "CREATE TABLE lab.dose (id INT PRIMARY KEY, low INT NOT NULL, high INT NOT NULL DEFAULT 5, mail VARCHAR(9) NOT"
        " NULL UNIQUE, CONSTRAINT `in order` CHECK (low < high AND mail <> 'it''s'),"
        f" other INT NOT NULL DEFAULT 1{unchecked})",
        "INSERT INTO lab.dose VALUES (1, 2, 9, 'a', 1), (2, 8, 10, 'b', 1)",
    )
    one, both = "SELECT id FROM lab.dose WHERE id = 1", "SELECT id FROM lab.dose"
    dose = f"{people.name}.dose"
    with pytest.raises(SliceError, match=r"high = 7 the CHECK `in order` does not hold for 1 of its 2 rows"):
        write(people, server, tmp_path / "b", both, replace={f"{dose}.high": 7})
    with pytest.raises(SliceError, match=r"the CHECK `in order` does not hold for 1 of its 2 rows"):
        write(people, server, tmp_path / "b", both, exclude=[f"{dose}.high"])
    with pytest.raises(SliceError, match="the CHECK `in order` does not hold for 1 of its 1 rows"):
        write(people, server, tmp_path / "b", one, replace={f"{dose}.mail": "it's"})
    with pytest.raises(SliceError, match="unique key"):
        write(people, server, tmp_path / "b", both, replace={f"{dose}.mail": "x"})
    values = {f"{dose}.low": 9, f"{dose}.high": 10, f"{dose}.mail": "x"}
    bundle = write(people, server, tmp_path / "b", one, replace=values)
    bundle.dump(options(server))
    report = bundle.verify(alone=True)
    assert report.equal, as_text(report)


def test_a_column_is_named_once(people: Any, server: Server, tmp_path: Path) -> None:
    names = f"{people.name}.person.name", f"{people.name}.Person.`name`"
    with pytest.raises(SliceError, match="named twice"):
        write(people, server, tmp_path / "b", *STATEMENTS, replace=dict.fromkeys(names, "x"))
    with pytest.raises(SliceError, match="named twice"):
        write(people, server, tmp_path / "b", *STATEMENTS, exclude=names[:1], replace={names[1]: "x"})
    bundle = write(people, server, tmp_path / "b", *STATEMENTS, replace={"*.WHAT": "x", names[0]: "y"})
    assert {(one["column"], one["value"]) for one in bundle.manifest["excluded"]} == {
        ("what", "'x'"),
        ("name", "'y'"),
    }


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("person.id", "primary key"),
        ("visit.n", "primary key"),
        ("person.refers", "part of the foreign key"),
        ("person.mail", "part of the unique key `by mail`"),
        ("person.twice", "generated from other columns"),
        ("person.sure", "the column `twice` is generated from it"),
        ("person.must", "NOT NULL and has no default"),
        ("no_key.b", "has no primary key"),
        ("names.name", "names no table of the slice"),
        ("person.nonsense", "has no column 'nonsense'; it has id, name"),
        ("nonsense.name", "names no table of the slice"),
    ],
)
def test_what_the_structure_does_not_allow(
    people: Any, server: Server, tmp_path: Path, column: str, why: str
) -> None:
    statements = ("SELECT * FROM lab.visit", "SELECT * FROM lab.names", "SELECT * FROM lab.no_key")
    with pytest.raises(SliceError, match=re.escape(why)):
        write(people, server, tmp_path / "b", *statements, exclude=[f"{people.name}.{column}"])
    assert not (tmp_path / "b").exists()


@pytest.mark.flavor("mysql")
def test_what_mysql_has_of_its_own(people: Any, server: Server, tmp_path: Path) -> None:
    people(
        "CREATE TABLE lab.t (id INT PRIMARY KEY, a VARCHAR(9) NULL, b CHAR(36) NOT NULL DEFAULT (UUID()),"
        " UNIQUE KEY u ((LOWER(a))))"
    )
    for column, why in (("a", "unique key `u`"), ("b", "no default that could stand in its place")):
        with pytest.raises(SliceError, match=why):
            write(
                people, server, tmp_path / "b", "SELECT * FROM lab.t", exclude=[f"{people.name}.t.{column}"]
            )


READS = [
    "SELECT note FROM lab.person",
    "SELECT * FROM lab.person",
    "SELECT id FROM lab.person WHERE note IS NULL",
    "SELECT id FROM lab.person ORDER BY note",
    "SELECT note, COUNT(*) FROM lab.person GROUP BY note",
    "SELECT id FROM lab.person GROUP BY id HAVING MAX(note) > 'a'",
    "SELECT v.id FROM lab.visit v JOIN lab.person p ON v.what = p.note",
    "SELECT id FROM lab.visit WHERE what IN (SELECT note FROM lab.person)",
    "SELECT id FROM lab.visit v WHERE EXISTS (SELECT 1 FROM lab.person p WHERE p.note = v.what)",
    "SELECT x.b FROM (SELECT id AS a, note AS b FROM lab.person) AS x",
    "SELECT COUNT(*) FROM (SELECT DISTINCT note FROM lab.person) AS x",
    "SELECT id FROM lab.person UNION SELECT note FROM lab.person",
    "WITH w AS (SELECT * FROM lab.person) SELECT note FROM w",
    "SELECT EXISTS (SELECT 1 FROM lab.person WHERE note = 'x')",
    "SELECT id, ROW_NUMBER() OVER (ORDER BY note) FROM lab.person",
    "SELECT lab.shout(note) FROM lab.person",
]
READS_NOT = [
    "SELECT id, name FROM lab.person",
    "SELECT COUNT(*) FROM lab.person",
    "SELECT COUNT(*) FROM (SELECT * FROM lab.person) AS x",
    "SELECT x.a FROM (SELECT id AS a, note AS b FROM lab.person) AS x",
    "SELECT id FROM lab.visit WHERE EXISTS (SELECT note FROM lab.person)",
    "SELECT n.name FROM lab.names n",
    "WITH w AS (SELECT * FROM lab.person) SELECT id FROM w",
    "SELECT id, 'note' AS `a` FROM lab.person",
    "SELECT lab.shout(name) FROM lab.person",
]


def test_which_statements_read_a_column(people: Any, server: Server) -> None:
    people(
        "CREATE FUNCTION lab.shout(a TEXT) RETURNS TEXT DETERMINISTIC RETURN CONCAT(a, '!')",
    )
    assert numbers(people, server, "person.note", *READS) == list(range(1, len(READS) + 1))
    assert numbers(people, server, "person.note", *READS_NOT) == []


def test_on_the_command_line(
    server: Server, dj_conn: Any, prefix: str, home: Path, tmp_path: Path, capsys: Any
) -> None:
    schema = dj.Schema(f"{prefix}lab", connection=dj_conn)

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int
        ---
        person = null : varchar(30)
        dob : date
        """

    Subject.insert((n, f"{SECRET}{n}", "2020-01-01") for n in range(5))
    with sqlspy.export("paper", "fig1"):
        assert len(Subject & f'person = "{SECRET}1"') == 1
        assert len(Subject & "subject < 3") == 3
        assert len((Subject & "subject < 3").fetch("subject", "dob")) == 2
    folder = str(tmp_path / "b")
    assert main(["write", "paper", "-o", folder, "--exclude", f"{prefix}lab.Subject.person"]) == 0
    said = capsys.readouterr().out
    assert (
        f"Contents left out: {shown_column(Subject().full_table_name, 'person')}: NULL; read by 1 statement (1)"
        in said
    )
    assert main(["dump", folder]) == 0 and main(["verify", folder]) == 0
    assert main(["verify", "--alone", folder]) == 0
    assert main(["write", "paper", "-o", folder, "--exclude", f"{prefix}lab.Subject.dob"]) == 1
    assert "NOT NULL" in capsys.readouterr().err
    dob = f"{prefix}lab.Subject.dob"
    assert main(["write", "paper", "-o", folder, "--replace", f"{dob}=2020-02-30"]) == 1
    assert f"{Subject().full_table_name}.`dob`: '2020-02-30' is no value for" in capsys.readouterr().err
    assert (
        main(["write", "paper", "-o", folder, "--replace", f"{dob}=2000-01-01", "--replace", f"{dob}=x"]) == 1
    )
    assert "names a column twice" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["write", "paper", "-o", folder, "--replace", dob])
    assert "COLUMN=VALUE" in capsys.readouterr().err
    assert main(["write", "paper", "-o", folder, "--replace", f"{dob}=2000-01-01"]) == 0
    said = capsys.readouterr().out
    assert (
        f"Contents left out: {shown_column(Subject().full_table_name, 'dob')}: '2000-01-01'; read by 1 statement (3)"
        in said
    )
    assert main(["dump", folder]) == 0 and main(["verify", folder]) == 0
    assert ".dob: '2000-01-01'; read by" in capsys.readouterr().out
    assert main(["inspect", folder]) == 0 and "date of birth" not in capsys.readouterr().out
    assert main(["files", "paper", "--replace", f"{dob}=2000-01-01"]) == 0
    again = sqlspy.Paper("paper").write(folder, exclude=[f"{Subject().full_table_name}.`person`"])
    assert SECRET not in (again.path / "manifest.json").read_text()
    assert exclude.contents(again.manifest) == {Subject().full_table_name: {"person": "NULL"}}


def test_files_of_an_excluded_column_are_not_needed() -> None:
    one, other = Row("`s`.`t`", "raw", (("id", 1),)), Row("`s`.`t`", "video", (("id", 1),))
    files = [File("disk", "a", "blob", needed_by=(one,)), File("disk", "b", "blob", needed_by=(one, other))]
    kept = exclude.needed_files(files, [exclude.Excluded("`s`.`t`", "raw", "NULL")])
    assert [(file.path, file.needed_by) for file in kept] == [("b", (other,))]
