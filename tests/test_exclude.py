"""Excluded columns: what replaces their contents, what is refused, and which statements cannot be replayed."""

from __future__ import annotations

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
from dj_sqlspy.errors import SliceError
from dj_sqlspy.external import File, Row
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.connect import client_options
from tests.test_dump import account, cut, lab, options, rows
from tests.test_publish import manifest_schema
from tests.test_verify import as_text

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
    assert "reads excluded columns, not replayed" in as_text(report)
    assert "`person`.`name`: DEFAULT(`name`); read by 2 statements (2, 3)" in as_text(report)
    digests = json.loads((bundle.path / DIGESTS_FILE).read_text())
    assert sorted(n for one in digests["statements"] for n in one["numbers"]) == [1, 4, 5]
    alone = bundle.verify(alone=True)
    assert alone.equal and alone.complete, as_text(alone)
    readme = (bundle.path / "README.md").read_text()
    assert "## What was left out" in readme and f"`{people.name}.person.name`" in readme
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
    assert f"Contents left out: {Subject().full_table_name}.`person`: NULL; read by 1 statement (1)" in said
    assert main(["dump", folder]) == 0 and main(["verify", folder]) == 0
    assert main(["verify", "--alone", folder]) == 0
    assert main(["write", "paper", "-o", folder, "--exclude", f"{prefix}lab.Subject.dob"]) == 1
    assert "NOT NULL" in capsys.readouterr().err
    again = sqlspy.Paper("paper").write(folder, exclude=[f"{Subject().full_table_name}.`person`"])
    assert SECRET not in (again.path / "manifest.json").read_text()
    assert exclude.contents(again.manifest) == {Subject().full_table_name: {"person": "NULL"}}


def test_files_of_an_excluded_column_are_not_needed() -> None:
    one, other = Row("`s`.`t`", "raw", (("id", 1),)), Row("`s`.`t`", "video", (("id", 1),))
    files = [File("disk", "a", "blob", needed_by=(one,)), File("disk", "b", "blob", needed_by=(one, other))]
    kept = exclude.needed_files(files, [exclude.Excluded("`s`.`t`", "raw", "NULL")])
    assert [(file.path, file.needed_by) for file in kept] == [("b", (other,))]
