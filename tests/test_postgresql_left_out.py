"""PostgreSQL: what a bundle leaves out. Contents of columns are replaced, and do not leave in any other file."""

from __future__ import annotations

import contextlib
import gzip
import hmac
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dj_sqlspy.errors import SliceError
from dj_sqlspy.journal import Statement
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import backend_of
from dj_sqlspy.servers.postgresql.private import Server
from dj_sqlspy.slices import make_slice
from tests.test_postgresql_dump import run
from tests.test_verify import as_text

pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("postgresql")]

SECRET = "Wq7Zk"

# Column, type, the contents, and what stands in their place, as the server prints it.
TYPES = [
    ("name", "varchar(20) NOT NULL DEFAULT 'it''s \\ é'", f"'{SECRET}'", "it's \\ é"),
    ("note", "text", f"'{SECRET}'", None),
    ("sex", "lab_out.sex NOT NULL DEFAULT 'F'", "'M'", "F"),
    ("code", "char(4) NOT NULL DEFAULT 'ab'", "'Wq7Z'", "ab  "),
    ("raw", "bytea NOT NULL DEFAULT '\\x00ff5c'", f"'{SECRET}'", "\\x00ff5c"),
    ("f", "float4 NOT NULL DEFAULT 16777217.5", "1.25", "1.6777218e+07"),
    ("d", "double precision NOT NULL DEFAULT -0.1", "1.25", "-0.1"),
    ("dc", "numeric(20,6) NOT NULL DEFAULT -1.5", "3", "-1.500000"),
    ("big", "bigint NOT NULL DEFAULT 9223372036854775807", "4711", "9223372036854775807"),
    ("ok", "boolean NOT NULL DEFAULT true", "false", "t"),
    ("at", "timestamptz NOT NULL DEFAULT '2020-01-01 01:02:03+01'", "'2001-02-03'", "2020-01-01 00:02:03+00"),
    ("j", "jsonb NOT NULL DEFAULT '{\"a\": [1]}'", f"'\"{SECRET}\"'", '{"a": [1]}'),
    ("list", "int[] NOT NULL DEFAULT '{1,2}'", "'{4711}'", "{1,2}"),
    ("u", "uuid", f"'{uuid.UUID(int=7)}'", None),
]
NAMES = ", ".join(name for name, *_ in TYPES)

STATEMENTS = (
    "SELECT id, sure FROM lab_out.person WHERE id < 4",
    f"SELECT id FROM lab_out.person WHERE name = $${SECRET}$$ /* {SECRET} */",
    "SELECT * FROM lab_out.person WHERE id = 1",
    "SELECT count(*) FROM (SELECT * FROM lab_out.person WHERE id < 3) AS x",
    "SELECT p FROM lab_out.person AS p WHERE id = 2",  # a row of it
    "SELECT row_to_json(p) FROM lab_out.person AS p WHERE id = 2",
    "SELECT DISTINCT ON (name) id FROM lab_out.person ORDER BY name, id",
    "SELECT id FROM lab_out.person, unnest(list) AS x WHERE x > 3",
    f"SELECT id AS \"{SECRET.upper()}\" FROM lab_out.visit WHERE what = '{SECRET.lower()}'",
)


@pytest.fixture(scope="module")
def people(server: Server) -> Iterator[Server]:
    """People, of which each column but the keys can be left out, and visits that refer to them."""
    columns = ", ".join(f"{name} {kind}" for name, kind, *_ in TYPES)
    values = ", ".join(value for _, _, value, _ in TYPES)
    run(
        server,
        f"""
        CREATE SCHEMA lab_out;
        CREATE TYPE lab_out.sex AS ENUM ('F', 'M');
        CREATE TABLE lab_out.person (id int PRIMARY KEY, {columns}, seen timestamp(0) NOT NULL DEFAULT now(),
            must varchar(9) NOT NULL CHECK (must <> 'no'), sure int NOT NULL, mail varchar(20), refers int
            REFERENCES lab_out.person, twice int GENERATED ALWAYS AS (sure * 2) STORED);
        CREATE TABLE lab_out.odd (id int PRIMARY KEY, tel text, "Tel" text);
        CREATE UNIQUE INDEX by_mail ON lab_out.person (lower(mail)) WHERE refers IS NULL;
        CREATE TABLE lab_out.visit (id int REFERENCES lab_out.person, n int, what varchar(20), PRIMARY KEY (id, n));
        INSERT INTO lab_out.person (id, {NAMES}, must, sure, mail)
            SELECT i, {values}, 'm', i, 'm' || i FROM generate_series(1, 5) AS i;
        INSERT INTO lab_out.visit SELECT i, 1, 'came' FROM generate_series(1, 4) AS i;
        """,
    )
    yield server
    run(server, "DROP SCHEMA lab_out CASCADE")


def write(server: Server, path: Path, *statements: str, **options: Any) -> Bundle:
    captured = [Statement(sql, number=number) for number, sql in enumerate(statements, 1)]
    with contextlib.closing(server.connect()) as connection:
        with contextlib.closing(backend_of(connection).connect(connection, plain=True)) as raw:
            cut = make_slice(captured, raw)
        return write_bundle(cut, path, connection=connection, **options)


def dump(server: Server, bundle: Bundle) -> None:
    with contextlib.closing(server.connect()) as there, backend_of(there).client_options(there) as own:
        bundle.dump(own)


@contextlib.contextmanager
def loaded(server: Server, bundle: Bundle) -> Iterator[str]:
    """A database with the bundle."""
    run(server, "CREATE DATABASE out TEMPLATE template0")
    try:
        with (
            contextlib.closing(server.connect(dbname="out")) as there,
            backend_of(there).client_options(there) as own,
        ):
            bundle.restore(own)
        yield "out"
    finally:
        run(server, "DROP DATABASE out WITH (FORCE)")


def everything(bundle: Bundle) -> dict[str, str]:
    """The text of each file of a bundle."""
    found = {path.name: path.read_bytes() for path in bundle.path.rglob("*") if path.is_file()}
    return {
        name: (gzip.decompress(data) if name.endswith(".gz") else data).decode(errors="replace")
        for name, data in found.items()
    }


def test_contents_stay_at_the_lab(people: Server, tmp_path: Path) -> None:
    names = [f'"lab_out"."person"."{name}"' for name, *_ in TYPES] + ["lab_out.Person.seen"]
    bundle = write(
        people, tmp_path / "b", *STATEMENTS, exclude=names, replace={"*.must": "é"}, leave_out=["values"]
    )
    dump(people, bundle)
    with loaded(people, bundle) as database:
        shown = ", ".join(
            f"to_jsonb({name}) #>> '{{}}'" if name == "j" else f"{name}::text" for name, *_ in TYPES
        )
        run(people, "ALTER DATABASE out SET timezone = 'UTC'")
        rows = run(people, f"SELECT DISTINCT {shown}, must FROM lab_out.person", database)
        by_text = {"code": "ab", "ok": "true"}  # a cast to text is not the printed form
        assert rows == [(*(by_text.get(name, value) for name, _, _, value in TYPES), "é")]
        assert run(
            people, "SELECT count(DISTINCT seen), count(*), sum(twice) FROM lab_out.person", database
        ) == [
            (1, 5, 30)  # a row as a whole takes all of them
        ]
    with contextlib.closing(people.connect()) as source:
        report = bundle.verify(source)
    assert report.equal and report.complete and report.from_source, as_text(report)
    states = {number: result.state for result in report.statements for number in result.numbers}
    assert {number for number, state in states.items() if state == "equal"} == {1, 4}, as_text(report)
    alone = bundle.verify(alone=True)
    assert alone.equal and alone.complete, as_text(alone)
    for name, text in everything(bundle).items():
        assert SECRET.lower() not in text.lower(), name
    left = "contents that were to be left out"
    assert left not in {one.what for one in bundle.inspect().findings}
    text = gzip.decompress(bundle.dump_file.read_bytes()).decode()
    bundle.dump_file.write_bytes(gzip.compress(text.replace("\tab  \t", "\tZed\t", 1).encode()))
    assert [one.where for one in bundle.inspect().findings if one.what == left] == [
        '"lab_out"."person"."code"'
    ]


def test_what_cannot_be_left_out(people: Server, tmp_path: Path) -> None:
    def column(name: str) -> str:
        return f"lab_out.{name}" if "." in name else f"lab_out.person.{name}"

    for options, told in (
        ({"exclude": "id"}, "part of the primary key"),
        ({"exclude": "mail"}, 'unique key "by_mail"'),
        ({"exclude": "refers"}, "part of the foreign key"),
        ({"exclude": "sure"}, 'the column "twice" is generated from it'),
        ({"exclude": "twice"}, "generated from other columns"),
        ({"exclude": "must"}, "NOT NULL and has no default"),
        ({"exclude": "odd.tel"}, "upper and lower case only"),
        ({"replace": {"must": "no"}}, 'the CHECK "person_must_check" does not hold for 5'),
        ({"replace": {"must": "longer than nine"}}, "would become longer th"),
        ({"replace": {"dc": "1.23456789"}}, "would become 1.234568"),
        ({"replace": {"sex": "x"}}, "invalid input value for enum"),
        ({"replace": {"at": "2020-01-32"}}, "out of range"),
        ({"replace": {"name": b"x"}}, "holds no bytes"),
    ):
        given = {
            kind: {column(name): value for name, value in what.items()}
            if isinstance(what, dict)
            else [column(what)]
            for kind, what in options.items()
        }
        with pytest.raises(SliceError, match=told):
            write(people, tmp_path / "b", *STATEMENTS, "SELECT id FROM lab_out.odd", **given)
        assert not (tmp_path / "b").exists()


KEY = "a key that is long enough: 4fe1"
WHO = ["Zoe Quux", "adalovelace", "Bob", "o'Neil", "émile"]
IDS = [4711, 1, 2, 12, 9000]

# Each statement, and what becomes of it: "equal", "shown" (equal but for pseudonyms), "marked" with its text, or
# "withheld" without its values.
WITH_PSEUDONYMS = [
    ("SELECT count(*) FROM lab_key.scan JOIN lab_key.animal USING (id) WHERE hit", "equal"),
    (
        "SELECT sex, count(DISTINCT s.who) FROM lab_key.person JOIN lab_key.scan AS s USING (who) GROUP BY sex",
        "equal",
    ),
    ("SELECT n, hit FROM lab_key.scan WHERE n = 1", "equal"),
    ("SELECT * FROM lab_key.person", "shown"),
    ("SELECT id, mother FROM lab_key.animal", "shown"),
    ("SELECT d.x, count(*) FROM (SELECT who AS x FROM lab_key.scan) AS d GROUP BY d.x", "shown"),
    ("SELECT who FROM lab_key.person ORDER BY who", "marked"),
    ("SELECT sex, max(id) FROM lab_key.person, lab_key.animal GROUP BY sex", "marked"),
    ("SELECT sex FROM lab_key.person WHERE who = 'adalovelace'", "withheld"),
    ("SELECT n FROM lab_key.scan WHERE who LIKE $$adalo%$$", "withheld"),
    ("SELECT n FROM lab_key.scan WHERE id + 1 = 4712", "withheld"),
    ("SELECT row_to_json(p) FROM lab_key.person AS p", "marked"),
    ("SELECT sex FROM lab_key.person JOIN (VALUES ('adalo')) AS v(x) ON who > x", "withheld"),
    ("SELECT sex FROM lab_key.person, unnest(ARRAY['adalo']) AS u(x) WHERE who >= x", "withheld"),
    ("SELECT DISTINCT ON (who > 'adalo') sex FROM lab_key.person ORDER BY who > 'adalo', sex", "withheld"),
    ("SELECT sex FROM lab_key.person FULL JOIN (SELECT 'adalo' AS x) AS d ON who = x", "withheld"),
    ("SELECT sex FROM lab_key.person WHERE who BETWEEN SYMMETRIC 'adalz' AND 'adalo'", "withheld"),
    ("SELECT n FROM lab_key.cage", "equal"),
    ("SELECT u FROM lab_key.cage", "shown"),
    ("SELECT n FROM lab_key.cage WHERE u = '00000000-0000-4000-8000-000000004711'", "withheld"),
    ("SELECT code FROM lab_key.cage", "marked"),  # with blanks at its end
    ("SELECT name FROM lab_key.rig WHERE name = 'rig of Zoe Quux'", "withheld"),
    ('SELECT name AS "Zoe Quux" FROM lab_key.rig', "withheld"),
]


@pytest.fixture
def animals(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Persons and animals, which refer to each other and are named by texts and by integers."""
    monkeypatch.setenv("DJ_SQLSPY_SECRET", KEY)
    run(
        server,
        """
        CREATE SCHEMA lab_key;
        CREATE TABLE lab_key.person (who varchar(30) PRIMARY KEY, sex "char" NOT NULL, mentor varchar(30)
            REFERENCES lab_key.person ON UPDATE CASCADE ON DELETE SET NULL);
        CREATE TABLE lab_key.animal (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mother int REFERENCES
            lab_key.animal DEFERRABLE, at timestamptz NOT NULL DEFAULT '2020-01-01', tags text[],
            twice float8 GENERATED ALWAYS AS (cardinality(tags)) STORED);
        CREATE TABLE lab_key.scan (id bigint, n int, who text NOT NULL REFERENCES lab_key.person ON UPDATE CASCADE
            ON DELETE CASCADE, hit boolean NOT NULL, PRIMARY KEY (id, n), UNIQUE (who, id, n),
            FOREIGN KEY (id) REFERENCES lab_key.animal ON UPDATE CASCADE);
        CREATE TABLE lab_key.cage (code char(12) PRIMARY KEY, n int NOT NULL, u uuid UNIQUE);
        INSERT INTO lab_key.cage VALUES ('cage of Ada', 1, '00000000-0000-4000-8000-000000004711');
        CREATE TABLE lab_key.rig (name text PRIMARY KEY, note text NOT NULL DEFAULT 'as adalovelace did');
        COMMENT ON CONSTRAINT scan_id_fkey ON lab_key.scan IS 'of the animal';
        INSERT INTO lab_key.rig VALUES ('rig 1', 'made by Bob');
        """,
    )
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        for number, (who, id_) in enumerate(zip(WHO, IDS, strict=True)):
            cursor.execute(
                "INSERT INTO lab_key.person VALUES (%s, %s, %s)",
                (who, "mf"[number % 2], WHO[number - 1] if number else None),
            )
            cursor.execute(
                "INSERT INTO lab_key.animal (id, mother, tags) OVERRIDING SYSTEM VALUE VALUES (%s, %s, '{x}')",
                (id_, IDS[number - 1] if number else None),
            )
            cursor.execute("INSERT INTO lab_key.scan VALUES (%s, 1, %s, %s)", (id_, who, bool(number % 2)))
    yield server
    run(server, "DROP SCHEMA lab_key CASCADE")


def test_keys_become_keyed_hashes_everywhere(animals: Server, dj_conn: Any, tmp_path: Path) -> None:
    """Texts and integers, in all tables that refer to each other; no file but the named ones has a true one."""
    names = ["lab_key.person.who", "lab_key.animal.id", "lab_key.cage.code", "lab_key.cage.u"]
    bundle = write(animals, tmp_path / "b", *(sql for sql, _ in WITH_PSEUDONYMS), pseudonym=names)
    manifest = bundle.manifest
    forms = {
        (one["table"].split('"')[3], one["column"]): (one.get("digits"), one.get("range"))
        for one in manifest["pseudonyms"]["columns"]
    }
    ints = (None, [-(2**31), 2**31 - 1])
    assert forms == {
        ("cage", "code"): (12, None),
        ("cage", "u"): (None, None),
        ("person", "who"): (24, None),
        ("person", "mentor"): (24, None),
        ("scan", "who"): (24, None),
        ("animal", "id"): ints,
        ("animal", "mother"): ints,
        ("scan", "id"): ints,
    }
    outcome = {}
    for entry in manifest["statements"]:
        marked = "pseudonym" in entry["marks"]
        plain = "shown" if entry["number"] in manifest["pseudonyms"]["shown"] else "equal"
        outcome[entry["number"]] = ("withheld" if "?" in entry["sql"] else "marked") if marked else plain
    assert outcome == {number: what for number, (_, what) in enumerate(WITH_PSEUDONYMS, 1)}
    held = {one["where"] for one in manifest["pseudonyms"]["held"]}
    assert held == {'"lab_key"."rig"."note"', "dump.sql.gz"}
    assert not (bundle.path / "dump.sh").exists()
    files = everything(bundle)
    for name, text in files.items():
        seen = text.replace("made by Bob", "").replace("as adalovelace did", "")
        assert not [word for word in (KEY, "8000-000000004711", "adalo") if word in seen], name
        for who in WHO:
            assert who not in seen and who.replace("'", "''") not in seen, (name, who)
    with loaded(animals, bundle) as database:
        hashed = {who: hmac.new(KEY.encode(), who.encode(), "sha256").hexdigest()[:24] for who in WHO}
        found = run(animals, "SELECT who, sex::text, mentor FROM lab_key.person", database)
        assert set(found) == {
            (hashed[who], "mf"[i % 2], hashed[WHO[i - 1]] if i else None) for i, who in enumerate(WHO)
        }
        code = hmac.new(KEY.encode(), b"cage of Ada", "sha256").hexdigest()[:12]
        known = hmac.new(KEY.encode(), b"00000000-0000-4000-8000-000000004711", "sha256").digest()[:16]
        hidden = str(uuid.UUID(bytes=known, version=4))
        assert run(animals, "SELECT code, n, u::text FROM lab_key.cage", database) == [(code, 1, hidden)]
        ids = {row[0] for row in run(animals, "SELECT id FROM lab_key.animal", database)}
        assert len(ids) == 5 and not ids & set(IDS)
        joined = "SELECT count(*), sum(hit::int) FROM lab_key.scan JOIN lab_key.animal USING (id) JOIN lab_key.person"
        assert run(animals, f"{joined} USING (who)", database) == [(5, 2)]
        for sql in (
            "SELECT at, tags, twice FROM lab_key.animal ORDER BY mother IS NULL",
            "SELECT string_agg(pg_get_constraintdef(oid), ' ' ORDER BY conname) FROM pg_constraint WHERE conrelid IN"
            " ('lab_key.person'::regclass, 'lab_key.animal'::regclass, 'lab_key.scan'::regclass)",
            "SELECT obj_description(oid) FROM pg_constraint WHERE conname = 'scan_id_fkey'",
        ):
            assert run(animals, sql, database) == run(animals, sql), sql
    with contextlib.closing(animals.connect()) as source:
        report = bundle.verify(source)
    assert report.equal and report.complete and report.from_source, as_text(report)
    alone = bundle.verify(alone=True)
    assert alone.equal and alone.complete, as_text(alone)
    other = "values that have pseudonyms elsewhere"
    found_in = {one.where for one in bundle.inspect().findings if one.what == other}
    assert found_in - {"first-rows.json", "report.html"} == held  # these show rows with the note
    text = files["dump.sql.gz"].replace(hashed["Bob"], "Bob")
    bundle.dump_file.write_bytes(gzip.compress(text.encode()))
    without = [one for one in bundle.inspect().findings if one.what == "values without a pseudonym"]
    assert {(one.where.split(".")[1], one.values) for one in without} == {('"person"', 1), ('"scan"', 1)}
    for column, told in (
        ("lab_key.animal.at", "of type timestamp with time zone"),
        ("lab_key.animal.tags", "of type text"),
        ("lab_key.animal.twice", "of type double precision"),
    ):
        with pytest.raises(SliceError, match=told):
            write(animals, tmp_path / "no", "SELECT * FROM lab_key.animal", pseudonym=column.split())
    run(animals, "ALTER TABLE lab_key.rig ADD CHECK (name LIKE 'rig%')")
    with pytest.raises(SliceError, match="rig_name_check"):
        write(animals, tmp_path / "no", "SELECT * FROM lab_key.rig", pseudonym=["lab_key.rig.name"])
    run(animals, "CREATE VIEW lab_key.v AS SELECT name FROM lab_key.rig WHERE name <> 'rig 2'")
    with pytest.raises(SliceError, match="compares such a column with a value"):
        write(animals, tmp_path / "no", "SELECT * FROM lab_key.v", pseudonym=["lab_key.rig.name"])
    assert not (tmp_path / "no").exists()


def test_inspect(server: Server, tmp_path: Path) -> None:
    """What a bundle reveals: in values, in the structure, in statements."""
    run(
        server,
        """
        CREATE SCHEMA lab_look;
        CREATE TYPE lab_look.kind AS ENUM ('of Ada', 'x');
        CREATE TABLE lab_look.session (experimenter text PRIMARY KEY, mail varchar(60), notes jsonb, place text[],
            date_of_birth date, kind lab_look.kind, data bytea,
            score int DEFAULT 17 CHECK (score <> 4711), level int DEFAULT 1,
            word text GENERATED ALWAYS AS (experimenter || ' of rig 3') STORED);
        CREATE INDEX ON lab_look.session ((mail || 'me@my.org')) WHERE kind <> 'x';
        CREATE VIEW lab_look.v AS SELECT experimenter FROM lab_look.session WHERE mail <> 'no@no.org';
        COMMENT ON COLUMN lab_look.session.score IS ':int32:as Bob said';
        COMMENT ON COLUMN lab_look.session.level IS ':int32:';
        INSERT INTO lab_look.session VALUES
            ('ada', 'ada@lab.org', '{"to": "cb@lab.org"}', '{/home/ada/1.nwb}', '1815-12-10', 'of Ada', 'x'),
            ('cb', NULL, NULL, NULL, NULL, NULL, NULL);
        """,
    )
    try:
        bundle = write(
            server,
            tmp_path / "b",
            "SELECT * FROM lab_look.v WHERE experimenter = 'ada'",
            leave_out=["environment"],
        )
        dump(server, bundle)
        found = {
            (one.where.replace('"', ""), one.what): (one.values, one.rows)
            for one in bundle.inspect().findings
        }
        table = "lab_look.session"
        assert found == {
            (f"{table}.experimenter", "person"): (1, 1),
            (f"{table}.mail", "person"): (1, 1),
            (f"{table}.notes", "e-mail address"): (1, 1),
            (f"{table}.place", "path"): (1, 1),
            (f"{table}.date_of_birth", "date of birth"): (1, 1),
            (f"{table}.kind", "values of a type"): (2, None),
            (f"{table}.score", "default"): (1, None),
            (f"{table}.word", "generated column"): (1, None),
            (table, "condition"): (2, None),
            (table, "generated column"): (1, None),
            (table, "comments"): (1, None),
            ("lab_look.v", "view"): (1, None),
            ("manifest.json: tables", "rows at the lab"): (1, None),
        }
        assert [name.replace('"', "") for name in bundle.inspect().unread] == [f"{table}.data"]
        report = (bundle.path / "report.html").read_text()
        assert "cb@lab.org" not in report and "date of birth" in report
    finally:
        run(server, "DROP SCHEMA lab_look CASCADE")
