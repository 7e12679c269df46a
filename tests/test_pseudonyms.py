"""Pseudonyms: keyed hashes in the place of keys, the same in all tables, and no true key in any file of the bundle."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datajoint as dj
import jsonschema
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.bundle.folder import DIGESTS_FILE
from dj_sqlspy.cli import main
from dj_sqlspy.dump import hashes, pseudonyms
from dj_sqlspy.errors import BundleError, SliceError
from dj_sqlspy.journal import Statement
from dj_sqlspy.names import shown_column
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.servers.tables import ForeignKey
from dj_sqlspy.slices import make_slice
from tests.test_dump import account, lab, options, rows
from tests.test_publish import manifest_schema
from tests.test_verify import as_text

pytestmark = pytest.mark.line("2.x")  # nothing here depends on it

__all__ = ["lab"]

KEY = "a key that is long enough: 4fe1"
NAMES = ["Zoe Quux", "adalovelace", "Bob", "o'Neil", "émile"]
DIGITS = 20


def hashed(name: str, digits: int = DIGITS) -> str:
    return hmac.new(KEY.encode(), name.encode(), hashlib.sha256).hexdigest()[:digits]


@pytest.fixture(autouse=True)
def key(monkeypatch: Any) -> None:
    monkeypatch.setenv("DJ_SQLSPY_SECRET", KEY)


@pytest.fixture
def people(lab: Any) -> Iterator[Any]:
    """Subjects with their sessions, trials and mothers, and weighings that refer to them without a foreign key."""
    lab(
        "CREATE TABLE lab.subject (subject VARCHAR(30) PRIMARY KEY, sex CHAR(1) NOT NULL, mother VARCHAR(30) NULL,"
        " FOREIGN KEY `to mother` (mother) REFERENCES lab.subject (subject) ON UPDATE CASCADE)",
        "CREATE TABLE lab.session (animal VARCHAR(30), id INT, f FLOAT NOT NULL, note VARCHAR(40) NULL,"
        " changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, PRIMARY KEY (animal, id),"
        " FOREIGN KEY (animal) REFERENCES lab.subject (subject) ON UPDATE CASCADE)",
        "CREATE TABLE lab.session__trial (animal VARCHAR(30), id INT, n INT, hit INT NOT NULL,"
        " PRIMARY KEY (animal, id, n), FOREIGN KEY (animal, id) REFERENCES lab.session (animal, id))",
        f"CREATE TABLE lab.weighing (w INT PRIMARY KEY, who CHAR({DIGITS}) NOT NULL, grams INT NOT NULL)",
        "CREATE TABLE lab.rig (rig INT PRIMARY KEY, name VARCHAR(30) NOT NULL)",
    )
    with lab.connection.cursor() as cursor:
        for number, name in enumerate(NAMES):
            mother = NAMES[number - 1] if number else None
            cursor.execute(
                f"INSERT INTO `{lab.name}`.subject VALUES (%s, %s, %s)", (name, "mf"[number % 2], mother)
            )
            cursor.execute(
                f"INSERT INTO `{lab.name}`.weighing VALUES (%s, %s, %s)", (number, name, 10 + number)
            )
            cursor.execute(f"INSERT INTO `{lab.name}`.rig VALUES (%s, %s)", (number, f"rig {number}"))
            for session in (1, 2):
                cursor.execute(
                    f"INSERT INTO `{lab.name}`.session (animal, id, f, changed) VALUES (%s, %s, 16777217.5,"
                    " '2001-02-03 04:05:06')",
                    (name, session),
                )
                cursor.execute(
                    f"INSERT INTO `{lab.name}`.session__trial VALUES (%s, %s, 1, %s), (%s, %s, 2, 0)",
                    (name, session, number % 2, name, session),
                )
    yield lab


# Each statement, and what becomes of it: "equal", "shown" (equal but for pseudonyms), "marked" with its text, or
# "withheld" without its values.
STATEMENTS = [
    ("SELECT COUNT(*) FROM lab.session__trial NATURAL JOIN lab.session WHERE hit = 1", "equal"),
    (
        "SELECT sex, COUNT(DISTINCT animal) FROM lab.subject JOIN lab.session ON subject = animal GROUP BY sex",
        "equal",
    ),
    (
        "SELECT sex FROM lab.subject s WHERE EXISTS (SELECT 1 FROM lab.session e WHERE e.animal = s.subject)",
        "equal",
    ),
    ("SELECT grams FROM lab.weighing JOIN lab.subject ON who = subject WHERE sex = 'm'", "equal"),
    ("SELECT id, n, hit FROM lab.session__trial WHERE n = 1", "equal"),
    ("SELECT COUNT(*) FROM (SELECT DISTINCT animal FROM lab.session) AS d", "equal"),
    ("SELECT name FROM lab.rig WHERE rig < 3", "equal"),
    ("SELECT * FROM lab.subject", "shown"),
    ("SELECT DISTINCT mother FROM lab.subject", "shown"),
    ("SELECT d.x, COUNT(*) FROM (SELECT animal AS x FROM lab.session) AS d GROUP BY d.x", "shown"),
    ("SELECT subject FROM lab.subject UNION SELECT who FROM lab.weighing", "shown"),
    ("SELECT subject FROM lab.subject ORDER BY subject", "marked"),
    ("SELECT sex, MIN(subject) FROM lab.subject GROUP BY sex", "marked"),
    ("SELECT sex FROM lab.subject ORDER BY subject", "marked"),
    ("SELECT name FROM lab.rig, lab.subject WHERE sex = 'm' AND name < subject", "marked"),
    ("SELECT sex FROM lab.subject WHERE subject = 'adalovelace'", "withheld"),
    ("SELECT id FROM lab.session WHERE animal LIKE 'adalo%' AND id = 1", "withheld"),
    (
        "SELECT COUNT(*) FROM (SELECT animal AS x FROM lab.session) AS d WHERE x IN ('Bob', 'o''Neil')",
        "withheld",
    ),
    ("SELECT grams FROM lab.weighing WHERE who BETWEEN 'adal' AND 'adam'", "withheld"),
    ("SELECT CONCAT(subject, '-adalo') FROM lab.subject", "withheld"),
    ("SELECT COUNT(*) FROM (SELECT sex, subject LIKE 'adalo%' AS x FROM lab.subject) AS d", "withheld"),
    ("SELECT COUNT(*) FROM (SELECT sex FROM lab.subject ORDER BY FIELD(subject, 'adalo')) AS d", "withheld"),
    ("SELECT sex FROM lab.subject JOIN (SELECT 'adalo%' AS p) AS d ON subject NOT LIKE p", "withheld"),
    ("SELECT COUNT(*), MAX('the') FROM lab.session WHERE EXISTS (SELECT 'x y' FROM lab.rig)", "equal"),
    ("SELECT rig FROM lab.rig WHERE name = 'adalovelace'", "withheld"),
    ("SELECT rig FROM lab.rig WHERE name = 'rig of adalovelace'", "withheld"),
    ("SELECT rig AS adalovelace FROM lab.rig /* Zoe Quux */", "withheld"),
]


def write(people: Any, server: Server, path: Path, *statements: str, **given: Any) -> Bundle:
    weighing, subject = (f"`{people.name}`.`{name}`" for name in ("weighing", "subject"))
    virtual = ForeignKey("who", weighing, ("who",), subject, ("subject",), virtual=True)
    captured = [
        Statement(sql=sql.replace("lab.", f"`{people.name}`."), number=number)
        for number, sql in enumerate(statements, 1)
    ]
    with server.connect(conv=plain_decoders()) as connection:
        cut = make_slice(captured, connection, virtual=given.pop("virtual", [virtual]))
    given.setdefault("pseudonym", [f"{people.name}.subject.subject"])
    with server.connect() as connection:
        return write_bundle(cut, path, connection=connection, **given)


def files_of(bundle: Bundle) -> dict[str, str]:
    """The text of each file of a bundle, dumps unpacked."""
    out = {}
    for file in bundle.path.rglob("*"):
        if file.is_file():
            contents = file.read_bytes()
            contents = gzip.decompress(contents) if file.suffix == ".gz" else contents
            out[file.relative_to(bundle.path).as_posix()] = contents.decode("utf-8", "replace")
    return out


def require_hidden(bundle: Bundle, *names: str) -> None:
    for file, text in files_of(bundle).items():
        assert KEY not in text and KEY.encode().hex() not in text.lower(), file
        for name in names or NAMES:
            assert name not in text and name.replace("'", "''") not in text, (file, name)
            assert name.encode().hex() not in text.lower(), (file, name)


def test_a_key_becomes_a_keyed_hash_everywhere(
    people: Any, server: Server, clean_scratch: Server, tmp_path: Path, dj_conn: Any
) -> None:
    bundle = write(people, server, tmp_path / "b", *(sql for sql, _ in STATEMENTS))
    manifest = bundle.manifest
    jsonschema.Draft202012Validator(manifest_schema()).validate(manifest)
    require_hidden(bundle)
    assert "adalo" not in files_of(bundle)["manifest.json"]
    assert not (bundle.path / "dump.sh").exists() and (bundle.path / DIGESTS_FILE).exists()

    found = {
        (one["table"].split("`")[3], one["column"], one["digits"])
        for one in manifest["pseudonyms"]["columns"]
    }
    assert found == {
        ("subject", "subject", DIGITS),
        ("subject", "mother", DIGITS),
        ("session", "animal", DIGITS),
        ("session__trial", "animal", DIGITS),
        ("weighing", "who", DIGITS),
    }
    outcome = {}
    for entry in manifest["statements"]:
        marked = "pseudonym" in entry["marks"]
        plain = "shown" if entry["number"] in manifest["pseudonyms"]["shown"] else "equal"
        outcome[entry["number"]] = ("withheld" if "?" in entry["sql"] else "marked") if marked else plain
        assert "digest" not in entry or not marked
    assert outcome == {number: what for number, (_, what) in enumerate(STATEMENTS, 1)}

    bundle.restore(options(clean_scratch))
    here = f"`{people.name}`"
    assert {name for (name,) in rows(clean_scratch, f"SELECT subject FROM {here}.subject")} == {
        hashed(name).encode() for name in NAMES
    }
    mothers = [(hashed(name).encode(), hashed(NAMES[i]).encode()) for i, name in enumerate(NAMES[1:])]
    assert rows(
        clean_scratch, f"SELECT subject, mother FROM {here}.subject WHERE mother IS NOT NULL"
    ) == sorted(mothers, key=repr)
    for sql in (
        "SELECT id, n, hit, f * 1e0, changed FROM lab.session__trial NATURAL JOIN lab.session",
        "SELECT sex, COUNT(mother) FROM lab.subject GROUP BY sex",
    ):
        assert rows(server, sql.replace("lab.", f"{here}.")) == rows(
            clean_scratch, sql.replace("lab.", f"{here}.")
        )

    for alone in (False, True):
        report = bundle.verify(alone=alone)
        assert report.equal and report.complete, as_text(report)
        assert report.from_source is not alone
        assert {table.state for table in report.tables} == {"equal"}, as_text(report)
        states = {number: result.state for result in report.statements for number in result.numbers}
        assert states == {
            n: "equal" if what in ("equal", "shown") else "excluded" for n, what in outcome.items()
        }
        assert "depends on values that have pseudonyms, not replayed" in as_text(report)
        assert (
            f"Pseudonyms: {here.strip('`')}.Session.animal: pseudonyms of 20 hexadecimal digits"
            in as_text(report)
        )
    require_hidden(bundle)
    with pytest.raises(BundleError, match="its keys are pseudonyms"):
        bundle.dump(options(server))
    inspected = bundle.inspect()
    assert not [one for one in inspected.findings if "pseudonym" in one.what]
    readme, page = ((bundle.path / name).read_text() for name in ("README.md", "report.html"))
    assert f"- `{people.name}.Session.animal`" in readme and "dump.sh" not in readme
    made = bundle.source_data(bundle.path / "source-data", formats="csv")
    notes = {number: one.note for one in made if one.path for number in one.numbers}
    assert notes == {
        n: "has pseudonyms" if what == "shown" else ""
        for n, what in outcome.items()
        if what in ("equal", "shown")
    }
    assert "5 columns have pseudonyms" in page and "15 statements depend on such values" in page
    require_hidden(bundle)


IDS = [-4711, -1, 0, *range(1, 60), 4711, 32767]
UUIDS = [uuid.UUID(int=(number << 100) + number) for number in range(1, 5)]

NUMBERED = [
    ("SELECT COUNT(*) FROM lab.scan JOIN lab.animal USING (id) WHERE n = 4711 LIMIT 3", "equal"),
    ("SELECT EXISTS(SELECT 1 FROM lab.animal WHERE f > 7)", "equal"),
    ("SELECT COUNT(DISTINCT mother) FROM lab.animal WHERE note = 'x'", "equal"),
    ("SELECT n FROM lab.scan JOIN lab.file USING (u) WHERE n < 30", "equal"),
    ("SELECT * FROM lab.animal", "shown"),
    ("SELECT id, u, n FROM lab.scan", "shown"),
    ("SELECT id FROM lab.animal ORDER BY id", "marked"),
    ("SELECT SUM(id) FROM lab.animal", "marked"),
    ("SELECT place FROM lab.animal WHERE id = 4711", "withheld"),
    ("SELECT place FROM lab.animal WHERE mother IN ('12', 13)", "withheld"),
    ("SELECT id + 17 FROM lab.animal", "withheld"),
    ("SELECT id FROM lab.animal UNION SELECT 4711", "withheld"),
    ("SELECT COUNT(*) FROM (SELECT place, id > 4711 AS x FROM lab.animal) AS d", "withheld"),
    (f"SELECT n FROM lab.scan WHERE u = X'{UUIDS[1].hex}'", "withheld"),
    ("SELECT n FROM lab.scan WHERE n > 3 /* 4711 was ill */", "withheld"),
    (f"SELECT n FROM lab.scan WHERE '{UUIDS[2]}' > 'a'", "withheld"),
]


def test_integers_and_uuids(
    people: Any, server: Server, clean_scratch: Server, tmp_path: Path, dj_conn: Any
) -> None:
    """A pseudonym of one can be another one that is there, so no two may meet, not even for a moment."""
    people(
        "CREATE TABLE lab.animal (id SMALLINT AUTO_INCREMENT PRIMARY KEY, mother SMALLINT NULL, place TINYINT UNSIGNED"
        " UNIQUE NOT NULL, f FLOAT, note VARCHAR(40), twice FLOAT AS (f * 2), changed TIMESTAMP NOT NULL"
        " DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, FOREIGN KEY (mother) REFERENCES lab.animal (id))",
        "CREATE TABLE lab.file (u BINARY(16) PRIMARY KEY)",
        "CREATE TABLE lab.scan (id SMALLINT, u BINARY(16), n INT NOT NULL, PRIMARY KEY (id, u),"
        " FOREIGN KEY (id) REFERENCES lab.animal (id), FOREIGN KEY (u) REFERENCES lab.file (u))",
    )
    here = f"`{people.name}`"
    with people.connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'")
        cursor.executemany(f"INSERT INTO {here}.file VALUES (%s)", [[one.bytes] for one in UUIDS])
        for rank, number in enumerate(IDS):
            mother = IDS[rank - 1] if rank else None
            cursor.execute(
                f"INSERT INTO {here}.animal (id, mother, place, f, note, changed) VALUES (%s, %s, %s, 16777217.5, 'x',"
                " '2001-02-03 04:05:06')",
                (number, mother, rank),
            )
            cursor.execute(
                f"INSERT INTO {here}.scan VALUES (%s, %s, %s)",
                (number, UUIDS[rank % 4].bytes, 4711 if rank == 3 else rank),
            )
        cursor.execute(f"UPDATE {here}.animal SET note = 'mother of 4711', changed = changed WHERE id = 12")
    bundle = write(
        people,
        server,
        tmp_path / "b",
        *(sql for sql, _ in NUMBERED),
        pseudonym=[f"{people.name}.animal.mother", f"{people.name}.scan.u", f"{people.name}.animal.place"],
    )
    manifest = bundle.manifest
    jsonschema.Draft202012Validator(manifest_schema()).validate(manifest)
    require_hidden(bundle, *map(str, UUIDS))
    forms = {one["column"]: hashes.form_of(one) for one in manifest["pseudonyms"]["columns"]}
    assert forms["id"] == forms["mother"] == hashes.Form("integer", least=-32768, most=32767)
    assert forms["u"] == hashes.Form("uuid") and forms["place"] == hashes.Form("integer", least=0, most=255)
    outcome = {}
    for entry in manifest["statements"]:
        marked = "pseudonym" in entry["marks"]
        plain = "shown" if entry["number"] in manifest["pseudonyms"]["shown"] else "equal"
        outcome[entry["number"]] = ("withheld" if "?" in entry["sql"] else "marked") if marked else plain
    assert outcome == {number: what for number, (_, what) in enumerate(NUMBERED, 1)}
    assert manifest["pseudonyms"]["held"] == [{"where": f"{here}.`animal`.`note`", "values": 1}]

    bundle.restore(options(clean_scratch))
    now = {number: int(forms["id"].pseudonym(KEY.encode(), str(number))) for number in IDS}
    assert all((now[number] < 0) == (number < 0) for number in IDS)
    puts = {number: int(forms["place"].pseudonym(KEY.encode(), str(number))) for number in range(len(IDS))}
    assert set(puts.values()) & puts.keys()  # they meet
    loaded = {
        tuple(map(int, row))
        for row in rows(clean_scratch, f"SELECT id, IFNULL(mother, 99999), place FROM {here}.animal")
    }
    assert loaded == {(now[n], now[IDS[i - 1]] if i else 99999, puts[i]) for i, n in enumerate(IDS)}
    assert {bytes(u) for (u,) in rows(clean_scratch, f"SELECT u FROM {here}.scan")} == {
        uuid.UUID(forms["u"].pseudonym(KEY.encode(), str(one))).bytes for one in UUIDS
    }
    rest = f"SELECT n, f * 1e0, note, changed FROM {here}.animal NATURAL JOIN {here}.scan"
    assert rows(server, rest) == rows(clean_scratch, rest)
    for alone in (False, True):
        report = bundle.verify(alone=alone)
        assert report.equal and report.complete, as_text(report)
    assert f"{here.strip('`')}.Scan.u: UUIDs as pseudonyms" in as_text(report)
    assert f"{here.strip('`')}.Animal.place: pseudonyms from 0 to 255" in as_text(report)
    found = [(one.where, one.what) for one in bundle.inspect().findings if "pseudonym" in one.what]
    assert found == [(f"{here}.`animal`.`note`", "values that have pseudonyms elsewhere")]
    (bundle.path / "manifest.json").write_text(
        json.dumps(manifest | {"pseudonyms": {**manifest["pseudonyms"], "held": []}})
    )
    found = [one.where for one in Bundle(bundle.path).inspect().findings if "pseudonym" in one.what]
    assert found == [f"{here}.`animal`.`note`"]  # seen with the key

    people("ALTER TABLE lab.weighing MODIFY w TINYINT")
    refers = ForeignKey("w", f"{here}.`weighing`", ("w",), f"{here}.`animal`", ("id",), virtual=True)
    given = {"pseudonym": [f"{people.name}.animal.id"], "virtual": [refers]}
    with pytest.raises(SliceError, match=r"3 of its 64 values are not from -128 to 127, which all columns"):
        write(
            people, server, tmp_path / "c", "SELECT * FROM lab.weighing", "SELECT * FROM lab.animal", **given
        )


def test_rows_stand_in_the_order_of_pseudonyms(people: Any, server: Server, tmp_path: Path) -> None:
    bundle = write(people, server, tmp_path / "b", "SELECT * FROM lab.subject")
    text = files_of(bundle)["dump.sql.gz"]
    order = re.findall(r"\('([0-9a-f]{24})',", text[text.index("INSERT INTO `subject`") :])
    assert order == sorted(hashed(name, 24) for name in NAMES)
    assert order != [hashed(name, 24) for name in sorted(NAMES)]


def test_another_dump_is_found(people: Any, server: Server, tmp_path: Path, dj_conn: Any) -> None:
    """A pseudonym that is changed in the dump: its table, its foreign key and what shows it differ."""
    statements = ("SELECT * FROM lab.session", "SELECT COUNT(*) FROM lab.session")
    bundle = write(people, server, tmp_path / "b", *statements)
    text = gzip.decompress(bundle.dump_file.read_bytes())
    place = text.index(hashed("Bob", 24).encode(), text.index(b"INSERT INTO `session`"))
    changed = text[:place] + hashed("Bob", 24).encode()[::-1] + text[place + 24 :]
    bundle.dump_file.write_bytes(gzip.compress(changed))
    (bundle.path / "dump.sql.gz.cksum").unlink()
    with pytest.raises(BundleError, match=r"rows whose|without|orphan"):
        bundle.verify(alone=True)
    pair = hashed("Bob", 24).encode(), hashed("émile", 24).encode()
    swapped = re.sub(b"|".join(pair), lambda match: pair[1 - pair.index(match[0])], text)
    bundle.dump_file.write_bytes(gzip.compress(swapped))
    report = bundle.verify(alone=True)
    assert not report.equal and "subject" in str([table.name for table in report.different_tables])


def test_a_view_that_names_a_value(people: Any, server: Server, tmp_path: Path, dj_conn: Any) -> None:
    people(
        "CREATE VIEW lab.some AS SELECT subject, sex FROM lab.subject WHERE subject LIKE 'adal%'",
        "CREATE VIEW lab.males AS SELECT subject, sex FROM lab.subject WHERE sex = 'm'",
    )
    with pytest.raises(SliceError, match="`some` compares such a column with a value"):
        write(people, server, tmp_path / "b", "SELECT sex FROM lab.some")
    bundle = write(people, server, tmp_path / "b", "SELECT * FROM lab.males")
    assert bundle.manifest["pseudonyms"]["shown"] == [1]
    assert bundle.verify().equal and bundle.verify(alone=True).equal
    require_hidden(bundle)


def test_a_random_key_is_forgotten(people: Any, server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("DJ_SQLSPY_SECRET")
    one, other = (write(people, server, tmp_path / name, "SELECT * FROM lab.subject") for name in "ab")
    found = [set(re.findall("[0-9a-f]{24}", files_of(each)["dump.sql.gz"])) for each in (one, other)]
    assert len(found[0]) == len(found[1]) == len(NAMES) and found[0].isdisjoint(found[1])
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv("DJ_SQLSPY_SECRET_FILE", str(tmp_path / "key"))
    third = write(people, server, tmp_path / "c", "SELECT * FROM lab.subject")
    assert hashed(NAMES[0], 24) in files_of(third)["dump.sql.gz"]


@pytest.mark.parametrize(
    ("column", "change", "why"),
    [
        ("session.f", "", "it is of type float"),
        (
            "weighing.w",
            "ALTER TABLE lab.weighing MODIFY w DECIMAL(5)",
            "Give the key other values in a copy of the database",
        ),
        ("session.changed", "", "Leave out its contents: replace=… (--replace)"),
        ("rig.nonsense", "", "has no column 'nonsense'"),
        (
            "names.subject",
            "CREATE VIEW lab.names AS SELECT subject FROM lab.subject",
            "names no table of the slice",
        ),
        (
            "session.note",
            "ALTER TABLE lab.session ADD loud VARCHAR(50) GENERATED ALWAYS AS (UPPER(note)) STORED",
            "the column `loud` is generated from it",
        ),
        ("subject.sex", "", "a pseudonym has at least 8 characters, and it has room for 1"),
        (
            "subject.subject",
            "ALTER TABLE lab.weighing MODIFY who CHAR(20) CHARACTER SET latin1 NOT NULL",
            "more than one character set or collation",
        ),
        (
            "subject.subject",
            "ALTER TABLE lab.weighing MODIFY who CHAR(4) NOT NULL",
            "it has room for 4",
        ),
        (
            "subject.subject",
            "ALTER TABLE lab.weighing MODIFY who INT NOT NULL",
            "are of different types: int",
        ),
        (
            "rig.name",
            "INSERT INTO lab.rig VALUES (10, 'RIG 1')",
            "1 of its 6 values differ from others only in their spelling",
        ),
        (
            "rig.name",
            "INSERT INTO lab.rig VALUES (10, 'rig 1 ')",
            "differ from others only in their spelling",
        ),
        ("rig.name", "ALTER TABLE lab.rig ADD CONSTRAINT c CHECK (name LIKE 'rig%')", "Pseudonyms for"),
    ],
)
def test_what_cannot_have_pseudonyms(
    people: Any, server: Server, tmp_path: Path, column: str, change: str, why: str
) -> None:
    # two spellings are equal where a collation folds case and ignores blanks at the end
    people(
        "ALTER TABLE lab.rig MODIFY name VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL"
    )
    people(
        *(["DELETE FROM lab.weighing"] if "who INT" in change or "CHAR(4)" in change else []),
        *([change] if change else []),
    )
    statements = [f"SELECT * FROM lab.{name}" for name in ("weighing", "session", "rig", "subject")]
    statements += ["SELECT * FROM lab.names"] if "names" in column else []
    with pytest.raises(SliceError, match=re.escape(why)):
        write(people, server, tmp_path / "b", *statements, pseudonym=[f"{people.name}.{column}"])
    assert not (tmp_path / "b").exists()


def test_a_short_key_and_a_column_named_twice(
    people: Any, server: Server, tmp_path: Path, monkeypatch: Any
) -> None:
    given = {"pseudonym": [f"{people.name}.session.note"], "exclude": [f"{people.name}.session.note"]}
    with pytest.raises(SliceError, match="its contents are left out or replaced"):
        write(people, server, tmp_path / "b", "SELECT * FROM lab.session", **given)
    for value, why in (("short", "has 5 bytes"), ("", "the file is empty")):
        monkeypatch.delenv("DJ_SQLSPY_SECRET", raising=False)
        (tmp_path / "key").write_text(value)
        monkeypatch.setenv("DJ_SQLSPY_SECRET_FILE", str(tmp_path / "key"))
        with pytest.raises(SliceError, match=why):
            write(people, server, tmp_path / "b", "SELECT * FROM lab.subject")


def test_where_a_true_value_stands_is_said(
    people: Any, server: Server, tmp_path: Path, dj_conn: Any, caplog: Any
) -> None:
    """A note names a subject, and a comment of a table: both are told, in the manifest, the report and by `inspect`."""
    people(
        "UPDATE lab.session SET note = 'as adalovelace did', changed = changed WHERE animal = 'Bob' AND id = 1",
        "ALTER TABLE lab.rig COMMENT 'made by Bob'",
    )
    bundle = write(people, server, tmp_path / "b", "SELECT * FROM lab.session", "SELECT * FROM lab.rig")
    held = {one["where"]: one["values"] for one in bundle.manifest["pseudonyms"]["held"]}
    note = f"`{people.name}`.`session`.`note`"
    assert held == {note: 1, "restore.sh": 1, "dump.sql.gz": 1, "manifest.json": 1}
    assert f"stand in {note} of the bundle" in caplog.text
    found = {
        one.where for one in bundle.inspect().findings if one.what == "values that have pseudonyms elsewhere"
    }
    assert found == {*held, "report.html"}  # the last is made from the manifest
    assert "4 places hold a value that has a pseudonym" in (bundle.path / "report.html").read_text()


def test_inspect_finds_a_value_without_a_pseudonym(
    people: Any, server: Server, tmp_path: Path, dj_conn: Any
) -> None:
    """A manifest that says more than the truth: the true values are there, and `inspect` says so."""
    bundle = write(people, server, tmp_path / "b", "SELECT * FROM lab.rig", "SELECT * FROM lab.subject")
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    rig = f"`{people.name}`.`rig`"
    manifest["pseudonyms"]["columns"].append({"table": rig, "column": "name", "digits": 24})
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    found = [
        one for one in Bundle(bundle.path).inspect().findings if one.what == "values without a pseudonym"
    ]
    assert [(one.where, one.values, one.rows) for one in found] == [(f"{rig}.`name`", 5, 5)]
    manifest["pseudonyms"]["columns"][-1]["column"] = "nonsense"
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="a column that no table in it has"):
        Bundle(bundle.path)


def test_inspect_looks_itself_where_the_key_is_known(
    people: Any, server: Server, tmp_path: Path, dj_conn: Any, monkeypatch: Any
) -> None:
    """A manifest that says nothing of the true values that stand in a note, a statement and a file."""
    people("UPDATE lab.session SET note = 'Zoe Quux' WHERE animal = 'Bob'")
    bundle = write(people, server, tmp_path / "b", "SELECT * FROM lab.session", "SELECT * FROM lab.subject")
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    manifest["pseudonyms"]["held"] = []
    manifest["statements"][0]["sql"] += " WHERE note = 'o''Neil'"
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    (bundle.path / "requirements.txt").write_text("adalovelace==1.0")

    def found() -> set[str]:
        told = Bundle(bundle.path).inspect().findings
        return {one.where for one in told if one.what == "values that have pseudonyms elsewhere"}

    assert found() == {
        f"`{people.name}`.`session`.`note`",
        "manifest.json",
        "requirements.txt",
    }
    monkeypatch.setenv("DJ_SQLSPY_SECRET", "the key of another lab")
    assert found() == set()


def test_an_account_that_may_only_select(people: Any, server: Server, tmp_path: Path, dj_conn: Any) -> None:
    with (
        account(server, "secret", f"SELECT ON `{people.name}`.*") as user,
        server.connect(user=user, password="secret", conv=plain_decoders()) as plain,
        server.connect(user=user, password="secret") as connection,
    ):
        cut = make_slice([Statement(sql=f"SELECT * FROM `{people.name}`.session", number=1)], plain)
        bundle = write_bundle(
            cut,
            tmp_path / "b",
            connection=connection,
            pseudonym=[f"{people.name}.subject.mother"],
            replace={f"{people.name}.session.note": "none"},
        )
    assert bundle.verify().equal
    require_hidden(bundle)


def test_on_the_command_line(
    server: Server, dj_conn: Any, prefix: str, home: Path, tmp_path: Path, capsys: Any, clean_scratch: Server
) -> None:
    schema = dj.Schema(f"{prefix}lab", connection=dj_conn)

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : varchar(20)
        ---
        sex : char(1)
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : decimal(5,0)
        """

    @schema
    class Scan(dj.Computed):
        definition = """
        -> Session.proj(animal="subject")
        ---
        n : int
        """

    Subject.insert((name, "m") for name in NAMES)
    Session.insert((name, n) for name in NAMES for n in range(2))
    Scan.insert(((name, n, n) for name in NAMES for n in range(2)), allow_direct_insert=True)
    with sqlspy.export("paper", "fig1"):
        assert len(Session & "session = 1") == 5
        assert len((Subject * Session & {"subject": "Bob"}).fetch()) == 2
        assert (Scan & "n = 1").fetch("n").tolist() == [1] * 5
    folder = str(tmp_path / "b")
    column = f"{prefix}lab.Subject.subject"
    assert main(["write", "paper", "-o", folder, "--pseudonym", column]) == 0
    said = capsys.readouterr().out
    assert (
        f"Pseudonyms: {shown_column(Scan().full_table_name, 'animal')}: pseudonyms of 20 hexadecimal digits"
        in said
    )
    assert "1 statement (2) depends on the values or their order, and cannot be compared" in said
    assert "1 statement returned the same but for the pseudonyms in the result" in said
    assert f"Next: dj-sqlspy verify {folder}" in said
    assert main(["verify", folder]) == 0 and main(["verify", "--alone", folder]) == 0
    assert f"Pseudonyms: {shown_column(Subject().full_table_name, 'subject')}" in capsys.readouterr().out
    assert main(["inspect", folder]) == 0 and "pseudonym" not in capsys.readouterr().out
    require_hidden(Bundle(Path(folder)))
    for file in (path for path in home.rglob("*") if path.is_file()):
        assert KEY.encode() not in file.read_bytes(), file  # neither the journal nor a note has the key
    assert main(["dump", folder]) == 1
    assert "its keys are pseudonyms" in capsys.readouterr().err
    again = sqlspy.Paper("paper").write(folder, pseudonym=column)
    assert again.manifest["pseudonyms"]["columns"][0]["table"] == Subject().full_table_name
    assert main(["write", "paper", "-o", folder, "--pseudonym", f"{prefix}lab.Session.session"]) == 1
    said = capsys.readouterr().err
    assert (
        "only CHAR, VARCHAR, integers and BINARY(16) can have" in said
        and "docs/semantics.md, Pseudonyms" in said
    )
    Bundle(Path(folder)).restore(options(clean_scratch))
    with clean_scratch.connect() as connection, connection.cursor() as cursor:  # what is said there to do
        cursor.execute(f"UPDATE {Session().full_table_name} SET session = 1000 + session")
        cursor.execute(f"SELECT MIN(session) FROM {Scan().full_table_name}")
        assert cursor.fetchone() == (1001,)


def test_no_argument_of_a_program_has_the_key(
    people: Any, server: Server, tmp_path: Path, monkeypatch: Any
) -> None:
    """A `mysqldump` that writes down its arguments, and then is the real one."""
    program = "mariadb-dump" if server.flavor == "mariadb" else "mysqldump"
    real = next(
        Path(folder, program)
        for folder in os.environ["PATH"].split(os.pathsep)
        if os.access(Path(folder, program), os.X_OK)
    )
    spy = tmp_path / "spy"
    spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path / "arguments"}\nexec {real} "$@"\n')
    spy.chmod(0o700)
    monkeypatch.setenv("MYSQLDUMP", str(spy))
    write(people, server, tmp_path / "b", "SELECT * FROM lab.subject WHERE subject = 'Bob'")
    told = (tmp_path / "arguments").read_text()
    assert "Bob" in told and KEY not in told and KEY.encode().hex() not in told.lower()


def test_the_key_is_read_as_it_is(monkeypatch: Any) -> None:
    assert pseudonyms.read_secret() == KEY.encode()
    assert pseudonyms.random_secret() != pseudonyms.random_secret()
