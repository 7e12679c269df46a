"""Slices on PostgreSQL: the rows of DataJoint's operators by hand, what differs from MySQL, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.errors import CatalogError, LineageError, SpyError
from dj_sqlspy.journal import Statement
from dj_sqlspy.servers import backend_of
from dj_sqlspy.slices import make_slice

pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("postgresql")]

# Rows of each table; the key stands first.
SPECIES = [("mouse", 1), ("rat", 1), ("fish", 0)]
SUBJECTS = [
    (1, "mouse", "ann", 10.0),
    (2, "mouse", "it's \\", None),
    (3, "rat", "Cid", 30.0),
    (4, "fish", "dan", None),
]
SESSIONS = [
    (1, 1, "a", "2026-01-01 10:00", {"x": 1}),
    (1, 2, "b", "2026-01-02 10:00", {"x": 2}),
    (2, 1, "a", "2026-01-03 10:00", None),
    (3, 1, "b", "2026-01-04 10:00", {"x": 2}),
]
TRIALS = [
    (1, 1, 1, 0.5, True),
    (1, 1, 2, None, False),
    (1, 2, 1, 0.9, True),
    (2, 1, 1, 0.1, False),
    (3, 1, 1, 0.7, True),
]


@pytest.fixture(scope="module")
def lab(dj_conn: Any) -> Iterator[Any]:
    schema = dj.Schema("lab_slice", connection=dj_conn)

    @schema
    class Species(dj.Lookup):
        definition = """
        species : varchar(12)
        ---
        legs : int16
        """
        contents = SPECIES

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : int32
        ---
        -> Species
        name : varchar(20)
        weight=null : float64
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int16
        ---
        kind : enum('a', 'b')
        at : datetime
        meta=null : json
        """

        class Trial(dj.Part):
            definition = """
            -> master
            trial : int16
            ---
            rt=null : float64
            ok : bool
            """

    Subject.insert(SUBJECTS)
    Session.insert(SESSIONS)
    Session.Trial.insert(TRIALS)
    yield SimpleNamespace(
        Species=Species, Subject=Subject, Session=Session, Trial=Session.Trial, connection=dj_conn
    )
    schema.drop(prompt=False)


def rows_of(cut: Any) -> dict[str, set[Any]]:
    """The keys of the rows in a slice, by table; those of one column without a tuple."""
    found = {
        name.split(".")[1].strip('"'): {key[0] if len(key) == 1 else key for key in table.keys}
        for name, table in cut.tables.items()
    }
    return {name: keys for name, keys in found.items() if keys}


def cut_of(lab: Any, *texts: str, **options: Any) -> Any:
    """The slice of statements, as they would be captured."""
    texts = tuple(text.replace("LAB", "lab_slice") for text in texts)
    with contextlib.closing(backend_of(lab.connection).connect(lab.connection, plain=True)) as raw:
        return make_slice([Statement(text, number=i) for i, text in enumerate(texts, 1)], raw, **options)


# For each expression, the rows that its result depends on, without their parents, and how that is said.
OPERATORS: dict[str, tuple[Callable[[Any], list[Any]], dict[str, set[Any]]]] = {
    "restriction by a text": (lambda lab: [lab.Subject & "subject > 2"], {"subject": {3, 4}}),
    "restriction by a dict": (lambda lab: [lab.Session & {"kind": "a"}], {"session": {(1, 1), (2, 1)}}),
    "restriction by a path in JSON": (
        lambda lab: [lab.Session & "meta->>'x' = '2'"],
        {"session": {(1, 2), (3, 1)}},
    ),
    "semijoin": (
        lambda lab: [lab.Subject & (lab.Trial & "rt > 0.6")],
        {"subject": {1, 3}, "session__trial": {(1, 2, 1), (3, 1, 1)}},
    ),
    "antijoin": (lambda lab: [lab.Subject - lab.Session], {"subject": {4}}),
    "antijoin beside all rows, of which each needs one that rejects it": (
        lambda lab: [lab.Subject(), lab.Subject - lab.Session],
        {"subject": {1, 2, 3, 4}, "session": {(1, 1), (2, 1), (3, 1)}},
    ),
    "join": (
        lambda lab: [lab.Session * lab.Trial & "ok"],
        {"session": {(1, 1), (1, 2), (3, 1)}, "session__trial": {(1, 1, 1), (1, 2, 1), (3, 1, 1)}},
    ),
    "projection": (lambda lab: [lab.Session.proj(twice="session * 2") & "twice = 4"], {"session": {(1, 2)}}),
    "aggregation": (
        lambda lab: [(lab.Subject & "subject < 3").aggr(lab.Session, n="count(kind)")],
        {"subject": {1, 2}, "session": {(1, 1), (1, 2), (2, 1)}},
    ),
    "restriction of an aggregation": (
        lambda lab: [lab.Subject.aggr(lab.Session, n="count(kind)") & "n > 1"],
        {"subject": {1}, "session": {(1, 1), (1, 2)}},
    ),
    "union": (
        lambda lab: [(lab.Subject & "subject = 1").proj() + (lab.Subject & "subject = 4").proj()],
        {"subject": {1, 4}},
    ),
    "unique values": (
        lambda lab: [dj.U("kind") & (lab.Session & "kind = 'b'")],
        {"session": {(1, 2), (3, 1)}},
    ),
    "the first rows: NULLs come last": (
        lambda lab: [lab.Subject & dj.Top(limit=2, order_by=["weight", "subject"])],
        {"subject": {1, 3}},
    ),
    "the last rows: NULLs come first": (
        lambda lab: [lab.Subject & dj.Top(limit=2, order_by=["weight desc", "subject"])],
        {"subject": {2, 4}},
    ),
}


def with_parents(rows: dict[str, set[Any]]) -> dict[str, set[Any]]:
    """The rows and those that they refer to."""
    found = {name: set(keys) for name, keys in rows.items()}
    for child, parent in (("session__trial", "session"), ("session", "subject")):
        for key in found.get(child, ()):
            above = key[:-1]
            found.setdefault(parent, set()).add(above[0] if len(above) == 1 else above)
    species = {species for subject, species, *_ in SUBJECTS if subject in found.get("subject", ())}
    return {**found, "#species": found.get("#species", set()) | species}


@pytest.mark.parametrize("name", OPERATORS)
def test_rows_of_an_operator(lab: Any, name: str) -> None:
    call, rows = OPERATORS[name]
    cut = sqlspy.slice(call(lab), parts="referenced", connection=lab.connection)
    assert not cut.fallbacks
    assert rows_of(cut) == with_parents(rows)


def test_parts_reasons_and_tables_of_a_slice(lab: Any) -> None:
    cut = sqlspy.slice([lab.Session & "subject = 1 and session = 1"], connection=lab.connection)
    assert rows_of(cut)["session__trial"] == {(1, 1, 1), (1, 1, 2)}  # a master brings its parts
    assert [len(table) for table in cut.free_tables()] == [1, 1, 1, 2]
    name = lab.Subject.full_table_name
    assert name == '"lab_slice"."subject"' and cut.tables[name].restriction == '"subject" = 1'
    assert [line.partition(":")[0] for line in cut.why(name, {"subject": 1})] == [
        "lab_slice.Subject (subject=1)",
        "lab_slice.Session (subject=1, session=1)",
    ]
    bounded = sqlspy.slice([lab.Session()], connection=lab.connection, down=True)
    assert len(rows_of(bounded)["session__trial"]) == len(TRIALS)


def test_a_paper_whose_connection_is_closed(lab: Any, home: Path) -> None:
    """It is sliced by another one to the same database. The plan before shows what this server is asked."""
    with sqlspy.export("paper", "fig"):
        (lab.Subject & "subject = 3").to_dicts()
    plan = str(sqlspy.Paper("paper").plan())
    assert (
        "read pg_catalog of lab_slice:" in plan and "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" in plan
    )
    lab.connection.close()
    try:
        assert rows_of(sqlspy.Paper("paper").slice()) == with_parents({"subject": {3}})
    finally:
        lab.connection.connect()


def test_a_loop_over_what_has_no_table(lab: Any, home: Path) -> None:
    """The query for all of its values is one that the server takes."""
    with sqlspy.export("paper", "fig"):
        for number in (2, 3):
            lab.connection.query(
                f"SELECT q.c FROM generate_series(1, 4) AS q (c) WHERE q.c = {number}"
            ).fetchall()
        for number in (1, 3):
            lab.connection.query(f"SELECT name FROM lab_slice.subject WHERE subject = {number}").fetchall()
    paper = sqlspy.Paper("paper")
    cut = paper.slice()
    assert not cut.fallbacks and not cut.drifted
    assert rows_of(cut) == with_parents({"subject": {1, 3}})
    assert not [text for step in paper.plan().steps for text in step.sql if "`" in text]


# Statements that are not DataJoint's, and the rows that they need, without parents.
WRITTEN = {
    "names without quotes": ('SELECT S.Name FROM LAB.Subject AS S WHERE S."subject" = 1', {"subject": {1}}),
    "quotes and backslashes": (
        r"SELECT weight FROM LAB.subject WHERE name IN ('it''s \', E'it\'s \\', $$it's \$$)",
        {"subject": {2}},
    ),
    "FILTER": (
        "SELECT subject, count(*) FILTER (WHERE kind = 'a') FROM LAB.session WHERE subject = 1 GROUP BY subject",
        {"session": {(1, 1), (1, 2)}},
    ),
    "a window": (
        "SELECT * FROM (SELECT subject, session, row_number() OVER (PARTITION BY subject ORDER BY at) AS n"
        " FROM LAB.session) AS w WHERE n = 2",
        {"session": {(1, 1), (1, 2)}},
    ),
    "HAVING names a column, not an output": (
        "SELECT max(subject) AS subject FROM LAB.subject GROUP BY subject HAVING subject > 3",
        {"subject": {4}},
    ),
    "a branch without tables": (
        "SELECT subject FROM LAB.subject INTERSECT SELECT q.c FROM (VALUES (3, 1)) AS q (d, c) WHERE NOT EXISTS"
        " (SELECT 1 AS one FROM LAB.session AS s WHERE s.subject = q.c GROUP BY s.kind HAVING count(s.at) > 1"
        " OR s.kind > 'b') GROUP BY q.c",
        {"subject": {1}, "session": {(1, 1), (1, 2)}},
    ),
    "EXCEPT": (
        'SELECT species FROM LAB.subject EXCEPT SELECT species FROM LAB."#species" WHERE legs = 1',
        {"subject": {4}},
    ),
    "a common table expression": (
        "WITH best AS (SELECT subject, max(rt) AS rt FROM LAB.session__trial WHERE subject = 1 GROUP BY subject)"
        " SELECT t.* FROM LAB.session__trial AS t JOIN best USING (subject, rt)",
        {"session__trial": {(1, 1, 1), (1, 1, 2), (1, 2, 1)}},
    ),
    "DISTINCT in an aggregate of two arguments": (
        "SELECT string_agg(DISTINCT name, ',') FROM LAB.subject WHERE subject = 3",
        {"subject": {3}},
    ),
    "DISTINCT ON: all rows of a key, of which the first counts": (
        "SELECT * FROM (SELECT DISTINCT ON (subject) subject, session, rt FROM LAB.session__trial"
        " ORDER BY subject, rt DESC, session, trial) AS d WHERE subject = 2",
        {"session__trial": {(2, 1, 1)}},
    ),
    "FULL JOIN: rows of both sides, matched or not": (
        "SELECT u.subject, s.kind FROM LAB.subject AS u FULL JOIN (SELECT * FROM LAB.session WHERE session = 2) AS s"
        " ON s.subject = u.subject WHERE u.subject > 2 OR s.kind = 'b'",
        {"subject": {1, 3, 4}, "session": {(1, 2)}},
    ),
    "GROUPING SETS: all rows that are read": (
        "SELECT species, count(*) FROM LAB.subject WHERE subject < 3 GROUP BY CUBE (species)",
        {"subject": {1, 2}},
    ),
    "WITH TIES: the rows that are equal to the last one": (
        "SELECT kind FROM LAB.session WHERE subject < 3 ORDER BY kind FETCH FIRST 1 ROW WITH TIES",
        {"session": {(1, 1), (2, 1)}},
    ),
    "a function that returns rows": (
        "SELECT name FROM LAB.subject, generate_series(1, 2) AS n WHERE n = subject AND n > 1",
        {"subject": {2}},
    ),
    "names for columns: those of other columns": (
        "SELECT name FROM LAB.subject AS s(subject, name, species) WHERE name = 'mouse'",
        {"subject": {1, 2}},
    ),
    "a function that returns rows in SELECT: the rows that WHERE leaves": (
        "SELECT subject, unnest(ARRAY[subject, 3]) + 1 FROM LAB.subject WHERE weight > 5",
        {"subject": {1, 3}},
    ),
    "GROUP BY a function that returns rows: of a group, and those of another one that keep it too large": (
        "SELECT unnest(ARRAY[session, 2]) AS n, count(*) FROM LAB.session GROUP BY n HAVING count(*) < 4",
        {"session": {(1, 1), (1, 2), (2, 1), (3, 1)}},
    ),
    "a key in a document": (
        "SELECT subject FROM LAB.session WHERE meta ? 'x' AND kind = 'b'",
        {"session": {(1, 2), (3, 1)}},
    ),
    "an array of a subquery: all of its rows": (
        "SELECT s.kind FROM LAB.session AS s WHERE s.session = 2"
        " AND 0.9 = ANY (ARRAY(SELECT t.rt FROM LAB.session__trial AS t WHERE t.subject = s.subject))",
        {"session": {(1, 2), (1, 1)}, "session__trial": {(1, 1, 1), (1, 1, 2), (1, 2, 1)}},
    ),
    "an explicit order of NULLs": (
        "SELECT name FROM LAB.subject ORDER BY weight NULLS FIRST, subject LIMIT 1",
        {"subject": {2}},
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_rows_of_a_written_statement(lab: Any, name: str) -> None:
    text, rows = WRITTEN[name]
    cut = cut_of(lab, text, parts="referenced")
    assert not cut.fallbacks
    assert rows_of(cut) == with_parents(rows)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT jsonb_each(meta) FROM LAB.session JOIN LAB.subject USING (subject)", "as one value"),
        ("SELECT s FROM LAB.subject AS s WHERE subject = 1", "in none of the tables"),
        (
            "SELECT count(*) FROM LAB.subject AS s"
            + "".join(
                f" FULL JOIN (SELECT subject FROM LAB.session) AS s{number} USING (subject)"
                for number in range(4)
            ),
            "so many FULL JOINs",
        ),
        ("SELECT species FROM LAB.subject GROUP BY DISTINCT ROLLUP (species)", "ALL or DISTINCT"),
        (
            'SELECT "N", n FROM (SELECT name AS n, weight AS "N" FROM LAB.subject) AS d',
            "upper and lower case",
        ),
        ("SELECT a FROM LAB.subject AS s(a, b, b) WHERE a = 1", "two columns one name"),
        ("SELECT name FROM LAB.subject, unnest(ARRAY[1], ARRAY[2]) AS n", "columns of one name"),
        ("SELECT name FROM LAB.Subject JOIN LAB.Session USING (subject) AS j", "cannot parse"),
        (
            "SELECT name FROM LAB.subject AS s JOIN (LATERAL (SELECT 1 AS one) AS l JOIN LAB.session AS t"
            " ON t.kind::text IS DISTINCT FROM CASE WHEN one = 2 THEN 'a' END) ON s.subject = t.subject",
            "cannot parse",
        ),
        (
            "SELECT s.name FROM LAB.subject AS s JOIN ((WITH one AS (SELECT 1 AS x) SELECT x FROM one) AS l"
            " JOIN (LATERAL (TABLE LAB.session) AS t JOIN LAB.session AS u USING (subject, session)) ON TRUE) ON TRUE",
            "cannot parse",
        ),
        ("SELECT ctid FROM LAB.subject", "ctid"),
    ],
)
def test_what_is_not_analysed_takes_whole_tables(lab: Any, text: str, why: str) -> None:
    cut = cut_of(lab, text)
    (report,) = cut.statements
    assert why in report.fallback
    assert rows_of(cut)["subject"] == {1, 2, 3, 4}


def test_foreign_keys_and_virtual_references_between_types(lab: Any, home: Path) -> None:
    """They lead to the rows that equal as the server compares. What it does not compare is told."""
    for text in (
        "CREATE TABLE lab_slice.amount (a numeric(6,2) PRIMARY KEY)",
        "CREATE TABLE lab_slice.sale (id int PRIMARY KEY, a int REFERENCES lab_slice.amount, kind text)",
        "INSERT INTO lab_slice.amount VALUES (1.00), (2.00)",
        "INSERT INTO lab_slice.sale VALUES (1, 1, 'mouse'), (2, 2, 'rat')",
    ):
        lab.connection.query(text)
    try:
        with sqlspy.export("paper", "fig"):
            lab.connection.query("SELECT * FROM lab_slice.sale WHERE id = 1").fetchall()
            lab.connection.query("SELECT a FROM lab_slice.amount WHERE a = 1").fetchall()
        paper = sqlspy.Paper("paper")
        sale = {"sale": {1}, "amount": {"1.00"}}
        assert rows_of(paper.slice()) == sale
        found = paper.slice(virtual=['"lab_slice"."sale" (kind) -> "lab_slice"."#species" (species)'])
        assert rows_of(found) == {**sale, "#species": {"mouse"}}
        with pytest.raises(CatalogError, match=r"the virtual reference.*does not compare its columns"):
            paper.slice(virtual="lab_slice.sale (kind) -> lab_slice.Subject (subject)")
    finally:
        lab.connection.query("DROP TABLE lab_slice.sale, lab_slice.amount")


def test_names_that_differ_in_case_and_the_order_of_a_date(lab: Any, server: Any, home: Path) -> None:
    database = f'"{server.database}"'
    lab.connection.query(
        'CREATE TABLE lab_slice.odd (id int PRIMARY KEY, n int, "N" int, "SUBJECT" int, day date)'
    )
    lab.connection.query(
        "INSERT INTO lab_slice.odd VALUES (1, 1, 2, 9, '2026-02-01'), (2, 2, 1, 9, '2026-01-02')"
    )
    lab.connection.query(
        f"ALTER DATABASE {database} SET datestyle = 'ISO, DMY'"
    )  # as initdb does in many countries
    try:
        for text in (
            "SELECT id FROM LAB.odd AS o WHERE o.n = 1",
            "SELECT name FROM LAB.subject WHERE subject IN (SELECT subject FROM LAB.odd)",  # the outer subject
        ):
            cut = cut_of(lab, text)
            assert "upper and lower case" in cut.statements[0].fallback and rows_of(cut)["odd"] == {1, 2}
        lab.connection.query('ALTER TABLE lab_slice.odd DROP "N"')
        assert rows_of(cut_of(lab, "SELECT id FROM LAB.odd WHERE day = '01/02/2026'")) == {"odd": {1}}
        for setting in ("bytea_output = 'escape'", "intervalstyle = 'iso_8601'", "datestyle = 'German, DMY'"):
            lab.connection.query(f"ALTER DATABASE {database} SET {setting}")
        with dj.Connection(server.host, server.user, server.password, server.port, use_tls=False) as other:
            with sqlspy.export("forms", "fig"):  # psycopg2 sets ISO
                assert other.query(
                    "SELECT id FROM lab_slice.odd WHERE day::text = '2026-02-01'"
                ).fetchall() == [(1,)]
                assert (
                    other.query("SELECT id, '\\x00ff'::bytea, '1h'::interval FROM lab_slice.odd").rowcount
                    == 2
                )
                other.query("RESET datestyle")
                assert (
                    other.query("SELECT id FROM lab_slice.odd WHERE day::text = '02.01.2026'").rowcount == 1
                )
            paper = sqlspy.Paper("forms", connection=other)
            with pytest.raises(LineageError, match=r"(?s)statement 3 .*German, DMY.*in another form"):
                paper.slice()
            cut = paper.slice(skip_statements=[3])
            first, second = cut.statements[:2]
            assert "intervalstyle = iso_8601, bytea_output = escape" in first.fallback and not second.fallback
            assert not cut.drifted
        lab.connection.query(f"ALTER DATABASE {database} SET intervalstyle = 'sql_standard'")
        with pytest.raises(SpyError, match="IntervalStyle is sql_standard"):
            cut_of(lab, "SELECT id FROM LAB.odd")
    finally:
        lab.connection.query(f"ALTER DATABASE {database} RESET ALL")
        lab.connection.query("DROP TABLE lab_slice.odd")


def test_what_is_refused(lab: Any) -> None:
    for text, why in {
        "SELECT * FROM subject": "one of several of the search_path",
        "WITH a AS (SELECT 1) SELECT * FROM a, LAB.session JOIN subject USING (subject) AS j": "its table subject",
        "WITH a AS (SELECT * FROM species), species AS (SELECT 1) SELECT * FROM a": "its table species",
        "SELECT * FROM LAB.gone": "is not in the database",
        "SELECT relname FROM pg_catalog.pg_class": "describes the server",
    }.items():
        with pytest.raises(LineageError, match=why):
            cut_of(lab, text)
    lab.connection.query("CREATE TABLE lab_slice.apart (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    with pytest.raises(CatalogError, match="a partitioned table, which is not supported on PostgreSQL yet"):
        cut_of(lab, "SELECT * FROM LAB.apart")
    lab.connection.query("DROP TABLE lab_slice.apart")


def test_an_account_that_may_only_select(lab: Any, account: Any) -> None:
    server = account("reader", "USAGE ON SCHEMA lab_slice", "SELECT ON lab_slice.subject")
    with contextlib.closing(server.connect()) as plain:
        backend = backend_of(plain)
        with contextlib.closing(backend.connect(plain, plain=True)) as raw:
            with raw.cursor() as cursor:  # the query of a process that was killed does not go on
                cursor.execute("SHOW client_connection_check_interval")
                assert cursor.fetchone() == ("5s",)
            statements = [Statement("SELECT * FROM lab_slice.subject WHERE subject = 3", number=1)]
            with pytest.raises(CatalogError, match=r'GRANT SELECT ON "lab_slice"."#species" TO "reader"'):
                make_slice(statements, raw)
            lab.connection.query('GRANT SELECT ON ALL TABLES IN SCHEMA lab_slice TO "reader"')
            assert rows_of(make_slice(statements, raw)) == with_parents({"subject": {3}})


@pytest.fixture
def zoned(lab: Any) -> Iterator[Any]:
    lab.connection.query(
        "CREATE TABLE lab_slice.zoned (id int PRIMARY KEY, at timestamptz, day date, name text);"
        "CREATE VIEW lab_slice.names AS SELECT string_agg(name, ',') AS names FROM lab_slice.zoned WHERE id = 4;"
        "INSERT INTO lab_slice.zoned VALUES (1, '2026-01-01 10:00+00', '2026-02-01', 'a'),"
        " (2, '2026-01-02 09:00+00', '2026-01-02', 'b'), (3, '2026-01-02 10:00+00', NULL, 'c'), (4, NULL, NULL, 'd')"
    )
    yield lab
    lab.connection.query("DROP VIEW lab_slice.names; DROP TABLE lab_slice.zoned")


def test_settings_are_those_of_the_capture(zoned: Any, home: Path, tmp_path: Path) -> None:
    """Rows by hand, and a replay that returns what the analysis received."""
    query, statements = zoned.connection.query, "SELECT id FROM lab_slice.zoned WHERE"
    with sqlspy.export("zones", "fig"):
        query("SET TIME ZONE 'Pacific/Kiritimati'")  # 14 hours before UTC
        assert query(f"{statements} at::date = '2026-01-02' AND id < 2").fetchall() == [(1,)]
        assert query("SELECT at FROM lab_slice.zoned WHERE at < '2026-01-02 00:00:01'").rowcount == 1
        query("SELECT pg_catalog.set_config('timezone', 'UTC', false)")
        assert query(f"{statements} at::date = '2026-01-02' AND id < 3").fetchall() == [(2,)]
        query("SET work_mem = '8MB'; SET datestyle TO iso, dmy;")
        assert query(f"{statements} day = '01/02/2026'").fetchall() == [(1,)]
        query("SET search_path TO Lab_Slice")
        query("SET enable_seqscan = off")
        query("CREATE TEMP TABLE mine AS SELECT 1 AS n")
        assert (
            query(
                "SELECT z.name, s.weight FROM zoned AS z JOIN subject AS s USING (name) WHERE id = 4"
            ).rowcount
            == 0
        )
        assert query("SELECT * FROM names").fetchall() == [("d",)]
        assert query("SELECT id FROM lab_slice.zoned WHERE name = 'd'").fetchall() == [(4,)]
    query("DISCARD ALL")
    paper = sqlspy.Paper("zones")
    cut = paper.slice()
    assert rows_of(cut)["zoned"] == {1, 2, 4}
    assert not cut.drifted and len(cut.statements) == 8
    bundle = paper.write(tmp_path / "bundle")
    report = bundle.verify(zoned.connection)
    assert report.equal and report.complete and report.from_source, report
    assert {one.state for one in report.statements} == {"equal"}
    assert sum(bool(one.received) for one in report.statements) == 5  # those that are sent as captured
    alone = bundle.verify(alone=True)
    assert alone.equal and alone.complete, alone


@pytest.mark.parametrize(
    ("state", "text", "why"),
    [
        ("SET DateStyle = 'German'", "SELECT id FROM LAB.zoned", "printed in another form"),
        ("SET extra_float_digits = 0", "SELECT id FROM LAB.zoned", "in another form"),
        ("SET search_path TO lab_slice, pg_catalog", "SELECT id FROM LAB.zoned", "before the server's own"),
        ("SET ROLE tester", "SELECT id FROM LAB.zoned", "is not followed"),
        ("DO $$ BEGIN SET TIME ZONE 'UTC'; END $$", "SELECT id FROM LAB.zoned", "is not followed"),
        ("CREATE TEMP TABLE IF NOT EXISTS mine (a int)", "SELECT a FROM mine", "temporary table"),
        ("SET TIME ZONE 'Nowhere/At_all'", "SELECT id FROM LAB.zoned", "does not accept a setting"),
    ],
)
def test_settings_that_are_not_followed(zoned: Any, state: str, text: str, why: str) -> None:
    statement = Statement(text.replace("LAB", "lab_slice"), number=1, state=(state,), database="lab_slice")
    with (
        contextlib.closing(backend_of(zoned.connection).connect(zoned.connection, plain=True)) as raw,
        pytest.raises(SpyError, match=why),
    ):
        make_slice([statement], raw)
