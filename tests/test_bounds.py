"""Bounds: the exact rows of bounded slices, and the statements that are marked.

One lab for all. Sessions 1 and 3 are of project P, sessions 2 and 4 of project X; only=[session & "project='P'"].
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cascade.options import Bound
from dj_sqlspy.errors import SliceError
from dj_sqlspy.paper.bundle import write_bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.slices import Slice
from dj_sqlspy.slices.making import make_slice, on_server
from tests.exported import keyed, selected, whole_way

pytestmark = pytest.mark.separately

TABLES = """
project (project VARCHAR(8) PRIMARY KEY);
subject (subject VARCHAR(8) PRIMARY KEY, note VARCHAR(20));
rig (rig INT PRIMARY KEY);
session (session INT PRIMARY KEY, subject VARCHAR(8) NOT NULL, project VARCHAR(8) NOT NULL, rig INT, score INT,
 FOREIGN KEY (subject) REFERENCES subject (subject), FOREIGN KEY (project) REFERENCES project (project));
session__pair (session INT, n INT, other INT, PRIMARY KEY (session, n),
 FOREIGN KEY (session) REFERENCES session (session), FOREIGN KEY (other) REFERENCES session (session));
trial (session INT, trial INT, PRIMARY KEY (session, trial), FOREIGN KEY (session) REFERENCES session (session));
fit (fit INT PRIMARY KEY, session INT NOT NULL, trial INT NOT NULL,
 FOREIGN KEY (session, trial) REFERENCES trial (session, trial));
reason (reason INT PRIMARY KEY);
excluded (session INT PRIMARY KEY, reason INT NOT NULL, FOREIGN KEY (session) REFERENCES session (session),
 FOREIGN KEY (reason) REFERENCES reason (reason));
by_hand (session INT, text VARCHAR(8), FOREIGN KEY (session) REFERENCES session (session));
node (node INT PRIMARY KEY, above INT, session INT, FOREIGN KEY (above) REFERENCES node (node),
 FOREIGN KEY (session) REFERENCES session (session));
sheet (sheet INT PRIMARY KEY, session INT)
"""

ROWS = """
project VALUES ('P'), ('X');
subject VALUES ('mine', 'm'), ('theirs', 't'), ('both', 'b'), ('none', 'n');
rig VALUES (1), (2), (3), (4);
session VALUES (1, 'mine', 'P', 1, 5), (2, 'theirs', 'X', 2, 6), (3, 'both', 'P', 3, 7), (4, 'both', 'X', 4, 8);
session__pair VALUES (1, 1, 3), (2, 1, 1), (3, 1, 2), (3, 2, NULL);
trial VALUES (1, 1), (2, 1), (3, 1), (3, 2), (4, 1);
fit VALUES (1, 1, 1), (2, 2, 1), (3, 3, 2);
reason VALUES (1), (2), (3);
excluded VALUES (1, 1), (4, 2);
by_hand VALUES (1, 'came'), (1, 'came'), (2, 'came'), (NULL, 'door'), (4, 'left');
node VALUES (1, NULL, 1), (2, 1, NULL), (3, NULL, 2), (4, 3, NULL), (5, 4, 1), (6, NULL, NULL);
sheet VALUES (1, 1), (2, 2), (3, NULL), (9, 9)
"""


@pytest.fixture(scope="module")
def lab(dj_conn: Any, server: Server) -> Any:
    name = "bounds_lab"
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"USE {name}")
        for statement in TABLES.split(";"):
            cursor.execute(f"CREATE TABLE {statement}")
        for statement in ROWS.split(";"):
            cursor.execute(f"INSERT INTO {statement}")
        cursor.execute(
            "CREATE VIEW sessions_seen AS SELECT s.session, u.note FROM session s JOIN subject u USING (subject)"
        )
        cursor.execute("CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n")
        # two tables that refer to each other
        cursor.execute("CREATE TABLE hand (hand INT PRIMARY KEY, glove INT, session INT)")
        cursor.execute("CREATE TABLE glove (glove INT PRIMARY KEY, hand INT)")
        cursor.execute("INSERT INTO hand VALUES (1, NULL, 1), (2, NULL, 2), (3, 2, NULL), (4, 1, NULL)")
        cursor.execute("INSERT INTO glove VALUES (1, 1), (2, 2), (3, 3)")
        cursor.execute(
            "ALTER TABLE hand ADD FOREIGN KEY (glove) REFERENCES glove (glove),"
            " ADD FOREIGN KEY (session) REFERENCES session (session)"
        )
        cursor.execute("ALTER TABLE glove ADD FOREIGN KEY (hand) REFERENCES hand (hand)")
    yield SimpleNamespace(
        name=name, connection=dj_conn, table=lambda short: dj.FreeTable(dj_conn, f"`{name}`.`{short}`")
    )
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        cursor.execute(f"DROP DATABASE {name}")


def captured(lab: Any, *statements: str) -> sqlspy.Paper:
    with sqlspy.export("paper", "analysis"):
        for statement in statements:
            lab.connection.query(statement.replace("lab.", f"{lab.name}.")).fetchall()
    return sqlspy.Paper("paper")


def held(server: Server, cut: Slice) -> dict[str, Any]:
    with server.connect() as connection:
        return {name.split("`")[3]: rows for name, rows in selected(connection, cut).items()}


def left_out(cut: Slice) -> dict[str, int]:
    return {name.split("`")[3]: count for name, count in cut.left_out.items()}


def marked(cut: Slice) -> list[int]:
    return [report.statement.number for report in cut.statements if "left-out" in report.marks]


SESSIONS = {"session": "1 3", "subject": "mine both", "project": "P", "session__pair": "1.1 3.2"}

# name: statements, the rows in the slice, rows left out by table, numbers of the statements that need them
EXAMPLES: dict[str, tuple[tuple[str, ...], dict[str, Any], dict[str, int], list[int]]] = {
    "parents of rows left out": (
        ("SELECT * FROM lab.session",),
        SESSIONS,
        {"session": 2, "session__pair": 1},
        [1],
    ),
    "grandparents": (
        ("SELECT * FROM lab.trial",),
        {**SESSIONS, "trial": "1.1 3.1 3.2"},
        {"trial": 2, "session__pair": 1},
        [1],
    ),
    "a reference beside the key": (
        ("SELECT * FROM lab.fit",),
        {**SESSIONS, "fit": "1 3", "trial": "1.1 3.2"},
        {"fit": 1, "session__pair": 1},
        [1],
    ),
    "a statement about rows inside": (
        ("SELECT * FROM lab.session WHERE session = 1", "SELECT * FROM lab.trial WHERE session IN (1, 3)"),
        {**SESSIONS, "trial": "1.1 3.1 3.2"},
        {"session__pair": 1},
        [],
    ),
    "no bound is about them": (
        ("SELECT * FROM lab.subject", "SELECT * FROM lab.reason"),
        {"subject": [("mine",), ("theirs",), ("both",), ("none",)], "reason": "1 2 3"},
        {},
        [],
    ),
    # what a statement reads beside a row outside, it reads for its sake
    "joined with rows left out": (
        ("SELECT * FROM lab.subject NATURAL JOIN lab.session",),
        SESSIONS,
        {"session": 2, "subject": 1, "session__pair": 1},
        [1],
    ),
    "restricted by rows left out": (
        ("SELECT * FROM lab.subject WHERE subject IN (SELECT subject FROM lab.session)",),
        SESSIONS,
        {"session": 2, "subject": 1, "session__pair": 1},
        [1],
    ),
    "joined where they have rows": (
        ("SELECT u.subject, s.session FROM lab.subject AS u LEFT JOIN lab.session AS s USING (subject)",),
        {**SESSIONS, "subject": "mine both none theirs"},  # which it returns also where they have none
        {"session": 2, "session__pair": 1},
        [1],
    ),
    "grouped with rows left out": (
        ("SELECT subject, COUNT(*) FROM lab.subject NATURAL JOIN lab.session GROUP BY subject",),
        SESSIONS,
        {"session": 2, "subject": 1, "session__pair": 1},
        [1],
    ),
    "in a group that is one only with a row left out": (
        ("SELECT subject FROM lab.session GROUP BY subject HAVING COUNT(*) > 1",),
        {},
        {"session": 2},  # 3 lies inside, and is read for being one of two
        [1],
    ),
    "the first ones": (
        ("SELECT * FROM lab.session ORDER BY session DESC LIMIT 2",),
        {**SESSIONS, "session": "3", "subject": "both", "session__pair": "3.2"},
        {"session": 1, "session__pair": 1},
        [1],
    ),
    "whether there is one": (
        ("SELECT EXISTS (SELECT 1 FROM lab.session WHERE project = 'X')",),
        {},
        {"session": 2},
        [1],
    ),
    "what keeps a row rejected": (
        (
            "SELECT * FROM lab.subject WHERE subject NOT IN (SELECT subject FROM lab.session)",
            "SELECT * FROM lab.subject",
        ),
        {**SESSIONS, "subject": "mine theirs both none"},
        {"session": 1, "session__pair": 1},  # what keeps "theirs" rejected
        [1],
    ),
    "what keeps a row rejected lies inside": (
        (
            "SELECT * FROM lab.session WHERE session NOT IN (SELECT session FROM lab.excluded)",
            "SELECT * FROM lab.session WHERE project = 'P'",
        ),
        {**SESSIONS, "excluded": "1", "reason": "1"},
        {"session": 1, "session__pair": 1},  # session 2, which the first statement reads
        [1],
    ),
    "all rows of a statement that is not analysed": (
        ("SELECT lab.twice(session) FROM lab.excluded",),
        {**SESSIONS, "excluded": "1", "reason": "1"},  # the part of session 1 refers to session 3
        {"excluded": 1, "session__pair": 1},
        [1],
    ),
    "a view": (
        ("SELECT * FROM lab.sessions_seen",),
        SESSIONS,
        {"session": 2, "subject": 1, "session__pair": 1},
        [1],
    ),
    "a table without a primary key": (
        ("SELECT * FROM lab.by_hand",),
        {**SESSIONS, "session": "1 3", "by_hand": [(1, "came"), (None, "door")]},
        {"by_hand": 2, "session__pair": 1},
        [1],
    ),
    "a table without a primary key, of which rows inside are read": (
        ("SELECT * FROM lab.by_hand WHERE session = 1",),
        {**SESSIONS, "session": "1 3", "by_hand": [(1, "came"), (None, "door")]},
        {"session__pair": 1},
        [],
    ),
    "a table that refers to itself": (
        ("SELECT * FROM lab.node",),
        {**SESSIONS, "node": "1 2 6"},
        {"node": 3, "session__pair": 1},
        [1],
    ),
    "tables in a circle": (
        ("SELECT * FROM lab.glove", "SELECT * FROM lab.hand WHERE hand = 4"),
        {**SESSIONS, "hand": "1 4", "glove": "1"},
        {"glove": 2, "session__pair": 1},
        [1],
    ),
    "a recursion": (
        (
            "WITH RECURSIVE chain AS (SELECT node FROM lab.node WHERE above IS NULL UNION ALL SELECT n.node"
            " FROM lab.node AS n JOIN chain AS c ON n.above = c.node) SELECT s.* FROM lab.reason AS s JOIN chain"
            " ON chain.node = s.reason",
        ),
        {**SESSIONS, "node": "1 2 6", "reason": "1 2"},
        {"node": 3, "reason": 1, "session__pair": 1},
        [1],
    ),
    "a loop": (
        tuple(f"SELECT * FROM lab.session WHERE session = {n}" for n in (1, 2, 3, 4)),
        SESSIONS,
        {"session": 2, "session__pair": 1},
        [2, 4],
    ),
    "a loop over what was read": (
        ("SELECT * FROM lab.session", *(f"SELECT * FROM lab.session WHERE session = {n}" for n in (1, 2, 3))),
        SESSIONS,
        {"session": 2, "session__pair": 1},
        [1, 3],
    ),
    "a loop over joins": (
        tuple(
            f"SELECT * FROM lab.trial NATURAL JOIN lab.session WHERE subject = '{n}'"
            for n in ("mine", "both", "theirs")
        ),
        {**SESSIONS, "trial": "1.1 3.1 3.2"},
        {"session": 2, "trial": 2, "session__pair": 1},
        [2, 3],
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples(lab: Any, server: Server, home: Path, example: str) -> None:
    statements, rows, missing, numbers = EXAMPLES[example]
    cut = captured(lab, *statements).slice(only=[lab.table("session") & "project='P'"])
    assert held(server, cut) == {name: keyed(text) for name, text in rows.items()}
    assert (left_out(cut), marked(cut)) == (missing, numbers)


@pytest.mark.parametrize(
    "example", ["joined with rows left out", "a table without a primary key", "tables in a circle"]
)
def test_examples_load(
    lab: Any, server: Server, clean_scratch: Server, home: Path, tmp_path: Path, example: str
) -> None:
    """Dumped by the real client and loaded into another server, foreign keys hold, and parts are not missed."""
    paper = captured(lab, *EXAMPLES[example][0])
    cut = paper.slice(only=[lab.table("session") & "project='P'"])
    bundle, report = whole_way(cut, server, clean_scratch, tmp_path / "bundle", paper)
    assert bundle.manifest["parts"] == "inside"
    assert {result.numbers: result.marks for result in report.statements}[(1,)] == {"left-out"}


def bounded(lab: Any, server: Server, statements: tuple[str, ...], only: list[Any], **options: Any) -> Any:
    return held(server, captured(lab, *statements).slice(only=only, **options))


def test_bounds_on_one_table_add_up(lab: Any, server: Server, home: Path) -> None:
    session = lab.table("session")
    both = [session & "session = 1", session & "session > 3"]
    assert bounded(lab, server, ("SELECT * FROM lab.trial",), both)["trial"] == {(1, 1), (4, 1)}


def test_bounds_on_two_tables_must_hold_both(lab: Any, server: Server, home: Path) -> None:
    both = [lab.table("session") & "project = 'P'", lab.table("subject") & "subject = 'both'"]
    assert bounded(lab, server, ("SELECT * FROM lab.trial",), both)["trial"] == {(3, 1), (3, 2)}
    above = [lab.table("project") & "project = 'X'", lab.table("session") & "score < 8"]
    assert bounded(lab, server, ("SELECT * FROM lab.fit",), above)["fit"] == {(2,)}


def test_a_bound_on_a_part_and_on_a_descendant(lab: Any, server: Server, home: Path) -> None:
    rows = bounded(lab, server, ("SELECT * FROM lab.session",), [lab.table("session__pair") & "n = 2"])
    assert rows["session"] == {(1,), (2,), (3,), (4,)} and rows["session__pair"] == {(3, 2)}
    rows = bounded(lab, server, ("SELECT * FROM lab.fit",), [lab.table("trial") & "trial = 2"])
    assert (rows["fit"], rows["trial"], rows["subject"]) == (
        {(3,)},
        {(3, 2)},
        {("both",), ("theirs",), ("mine",)},
    )


def test_parts_that_are_referenced_only(lab: Any, server: Server, home: Path) -> None:
    only = [lab.table("session") & "project='P'"]
    read = ("SELECT * FROM lab.session",)
    expected = {"session": {(1,), (3,)}, "subject": {("mine",), ("both",)}, "project": {("P",)}}
    assert bounded(lab, server, read, only, parts="referenced") == expected


def test_virtual_references(lab: Any, server: Server, home: Path) -> None:
    """They are followed to what rows inside refer to, and a row that refers to one outside by them is outside."""
    virtual = [
        f"{lab.name}.session (rig) -> {lab.name}.rig (rig)",
        f"{lab.name}.sheet (session) -> {lab.name}.session (session)",
    ]
    only = [lab.table("session") & "project='P'"]
    rows = bounded(lab, server, ("SELECT * FROM lab.sheet",), only, virtual=virtual)
    assert rows["sheet"] == {(1,), (3,), (9,)}  # 9 refers to a session that is not there
    assert (rows["session"], rows["rig"]) == ({(1,), (3,)}, {(1,), (3,)})
    rows = bounded(
        lab, server, ("SELECT * FROM lab.session",), [lab.table("rig") & "rig = 4"], virtual=virtual
    )
    assert (rows["session"], rows["rig"]) == ({(4,)}, {(4,)})


def test_a_bound_may_read_other_tables(lab: Any, server: Server, home: Path) -> None:
    """Rows that its restriction reads are not named by it, also where they are of the same table."""
    node, session, excluded = (f"`{lab.name}`.`{name}`" for name in ("node", "session", "excluded"))

    def within(table: str, condition: str, statement: str) -> Any:  # DataJoint takes no subquery as text
        read, only = (
            captured(lab, statement).statements,
            (Bound(table, f"SELECT * FROM {table} WHERE {condition}"),),
        )
        return held(server, on_server(lab.connection, lambda raw: make_slice(read, raw, only=only)))

    condition = f"node - 1 IN (SELECT node FROM {node} WHERE session = 1)"
    assert within(node, condition, "SELECT * FROM lab.node") == {"node": {(6,)}}  # 2 refers to 1
    rows = within(session, f"session IN (SELECT session FROM {excluded})", "SELECT * FROM lab.trial")
    assert rows["trial"] == {(1, 1), (4, 1)}


def test_a_bound_that_changes_by_itself_is_asked_once(lab: Any, server: Server, home: Path) -> None:
    some = lab.table("session") & "RAND() < 0.5"
    for _ in range(8):
        cut = captured(
            lab, "SELECT * FROM lab.session NATURAL JOIN lab.trial", "SELECT * FROM lab.fit"
        ).slice(only=[some])
        rows = held(server, cut)
        sessions = rows.get("session", set())
        assert {(s,) for s, _ in rows.get("trial", set())} <= sessions
        assert len(sessions) + left_out(cut).get("session", 0) == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("by_hand", "no primary key"),
        ("sessions_seen", "it is a view"),
        ("sesion", "no such table"),
    ],
)
def test_what_cannot_bound(lab: Any, home: Path, name: str, message: str) -> None:
    full = f"`{lab.name}`.`{name}`"
    bound = (Bound(full, f"SELECT * FROM {full}"),)
    statements = captured(lab, "SELECT * FROM lab.session").statements
    with pytest.raises(SliceError, match=f"Bounding a slice by {full}: .*{message}"):
        on_server(lab.connection, lambda raw: make_slice(statements, raw, only=bound))
    with pytest.raises(SliceError, match=f"Bounding a slice by {full}: .*{message}"):
        on_server(lab.connection, lambda raw: make_slice(statements, raw, guard=bound))


def test_why_tells_no_row_outside(lab: Any, home: Path) -> None:
    cut = captured(lab, "SELECT * FROM lab.trial").slice(only=[lab.table("session") & "project='P'"])
    lines = cut.why(f"`{lab.name}`.`subject`", {"subject": "both"})
    assert [line.split(":")[0].removeprefix(f"{lab.name}.") for line in lines] == [
        "Subject (subject='both')",
        "Session (session=3)",
        "Trial (session=3, trial=1)",
    ]


def test_guard_is_the_same_outside(lab: Any, home: Path) -> None:
    paper = captured(lab, "SELECT * FROM lab.fit")
    inside = [lab.table("session") & "project='P'"]
    with pytest.raises(SliceError) as refused:
        paper.slice(guard=inside)
    said = str(refused.value)
    # the fit, its trial, its session and that session's part; and a part of session 3
    assert (
        "5 rows lie outside of the guard" in said and "(session=2)" in said and "read by a statement" in said
    )
    assert said.count("SELECT * FROM") == 1  # told once
    assert paper.slice(only=inside, guard=inside).tables


def test_slices_of_bounded_slices(lab: Any, server: Server, home: Path) -> None:
    paper = captured(lab, "SELECT * FROM lab.trial", "SELECT * FROM lab.subject")
    only = [lab.table("session") & "project='P'"]
    one, two = (paper.slice(only=only) for _ in range(2))
    assert held(server, one + two) == held(server, one)
    assert left_out(one + two) == left_out(one)
    assert held(server, one & two) == held(server, one)
    assert held(server, one - two) == {}
    with pytest.raises(SliceError, match="different bounds"):
        one + paper.slice()


def test_the_report_says_it(lab: Any, server: Server, home: Path, tmp_path: Path) -> None:
    statements = "SELECT * FROM lab.session", "SELECT lab.twice(session) FROM lab.excluded"
    cut = captured(lab, *statements).slice(only=[lab.table("session") & "project='P'"])
    assert cut.tables[f"`{lab.name}`.`excluded`"].reasons == {"all rows inside (statement not analysed)": 1}
    assert "2 statements that need rows which are left out" in str(cut)
    with server.connect() as connection:
        bundle = write_bundle(cut, tmp_path / "bundle", paper=None, connection=connection)
    report = (bundle.path / "report.html").read_text()
    assert "all rows of the tables named there are here, but for those outside of a boundary." in report
    assert "a master brings its parts, but for those outside of a boundary" in report
    assert "and what only they need" in (bundle.path / "README.md").read_text()
