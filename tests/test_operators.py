"""DataJoint's operators: the exact rows that each call of an analysis exports.

Each case is one call (or a few that bear on each other), captured as its own analysis. Its slice must hold exactly
the rows written beside it, and must give every captured statement the result that the source gives. The cases of
a group then make one paper, which goes the whole way: dumped with the real client, loaded into another server,
replayed there.

The lab (`make_operator_lab`)::

    species   mouse, rat, fly
    subject   a mouse F 20.50 | b mouse M no weight | c rat F 30.25 | d no species U 18.00
    session   a.1 good | a.2 | a.3 good | b.1 good | b.2 | c.1 good
    trial     a.1.1 1.5 hit | a.1.2 2.5 miss | a.1.3 0.5 hit | a.2.1 4 miss | b.1.1 3 hit | b.1.2 1 miss | c.1.1 9 hit
    bad       a.2, b.1 (sessions)
    probe     P1, P2, P3 (UUIDs)
    recording a.1.P1 1.500 | a.2.P1 no rate | b.1.P2 0.125
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import numpy as np
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.servers import Server, backend_of
from tests.conftest import FLAVOR, POSTGRESQL, drop_schemas
from tests.exported import PostgreSQLTwin, Twin, expected, new_schema, whole_way
from tests.lab import V2, aggr, arrays, frame, keys, rows, typed

SCHEMA = "operators"
P1, P2, P3 = (uuid.UUID(int=number << 96 | 0x27_5C_00_25) for number in (1, 2, 3))
# As the server has them. DataJoint 2.3 neither inserts nor fetches UUIDs on PostgreSQL, so they are texts there.
K1, K2, K3 = (str(probe) if POSTGRESQL else probe.bytes for probe in (P1, P2, P3))
NASTY = 'it\'s 100% "fine" %s \\ ok'


def spelled(mysql: str, postgresql: str) -> str:
    """The spelling of the server that is tested."""
    return postgresql if POSTGRESQL else mysql


def quoted(condition: str) -> str:
    """A condition with texts in double quotes, which are names on PostgreSQL."""
    return spelled(condition, condition.replace('"', "'"))


GOOD, NOT_GOOD = spelled("good = 1", "good"), spelled("good = 0", "NOT good")


def make_operator_lab(name: str, connection: Any) -> SimpleNamespace:
    """Declare and fill the lab of this module."""
    schema = new_schema(name, connection)

    @schema
    class Species(dj.Lookup):
        definition = """
        species : varchar(20)
        ---
        legs : int
        """
        contents = [("mouse", 4), ("rat", 4), ("fly", 6)]

    @schema
    class Subject(dj.Manual):
        definition = """
        subject : varchar(8)
        ---
        -> [nullable] Species
        sex : enum('F', 'M', 'U')
        born : date
        weight = null : decimal(5, 2)
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int
        ---
        started : datetime
        note : varchar(60)
        good : bool
        """

    @schema
    class Trial(dj.Manual):
        definition = """
        -> Session
        trial : int
        ---
        x : float
        outcome : enum('hit', 'miss')
        """

    @schema
    class Bad(dj.Manual):
        definition = """
        -> Session
        """

    @schema
    class Probe(dj.Manual):
        definition = typed(f"""
        probe : {spelled("uuid", "varchar(36)")}
        ---
        label : varchar(20)
        meta = null : json
        wave : longblob
        """)

    @schema
    class Recording(dj.Manual):
        definition = """
        -> Session
        -> Probe
        ---
        rate = null : decimal(8, 3)
        """

    @schema
    class Copy(dj.Manual):
        definition = """
        subject : varchar(8)
        session : int
        """

    Subject.insert(
        dict(zip(("subject", "species", "sex", "born", "weight"), row, strict=True))
        for row in [
            ("a", "mouse", "F", "2020-01-01", Decimal("20.50")),
            ("b", "mouse", "M", "2020-02-01", None),
            ("c", "rat", "F", "2021-01-01", Decimal("30.25")),
            ("d", None, "U", "2021-06-01", Decimal("18.00")),
        ]
    )
    Session.insert(
        dict(zip(("subject", "session", "started", "note", "good"), row, strict=True))
        for row in [
            ("a", 1, "2023-01-01 10:00:00", NASTY, True),
            ("a", 2, "2023-01-02 10:00:00", "", False),
            ("a", 3, "2023-01-03 10:00:00", "100 percent", True),
            ("b", 1, "2023-02-01 09:30:00", "plain", True),
            ("b", 2, "2023-02-02 09:30:00", "back\\slash", False),
            ("c", 1, "2023-03-01 00:00:00", "emoji 😀", True),
        ]
    )
    Trial.insert(
        {"subject": s, "session": n, "trial": t, "x": x, "outcome": outcome}
        for s, n, t, x, outcome in [
            ("a", 1, 1, 1.5, "hit"),
            ("a", 1, 2, 2.5, "miss"),
            ("a", 1, 3, 0.5, "hit"),
            ("a", 2, 1, 4, "miss"),
            ("b", 1, 1, 3, "hit"),
            ("b", 1, 2, 1, "miss"),
            ("c", 1, 1, 9, "hit"),
        ]
    )
    Bad.insert([{"subject": "a", "session": 2}, {"subject": "b", "session": 1}])
    for n, (p, label) in enumerate([(K1, "left"), (K2, "right"), (K3, "spare")]):
        connection.query(
            f"INSERT INTO {Probe.full_table_name} (probe, label, wave) VALUES (%s, %s, %s)",
            args=(p, label, dj.blob.pack(np.arange(n))),
        )
    # MariaDB keeps JSON as text, and then 0.14 does not know it for JSON: written as SQL, it is the same on all
    for label, meta in [
        ("left", '{"kind": "silicon", "channels": 32}'),
        ("right", '{"kind": "tetrode", "channels": 4}'),
    ]:
        connection.query(f"UPDATE {Probe.full_table_name} SET meta = %s WHERE label = %s", args=(meta, label))
    for row in [("a", 1, K1, "1.500"), ("a", 2, K1, None), ("b", 1, K2, "0.125")]:
        connection.query(f"INSERT INTO {Recording.full_table_name} VALUES (%s, %s, %s, %s)", args=row)
    tables = {t.__name__: t for t in (Species, Subject, Session, Trial, Bad, Probe, Recording, Copy)}
    return SimpleNamespace(schema=schema, name=name, classes=tables, **tables)


@dataclass(frozen=True)
class Case:
    """A call, and the rows that it must export by class name."""

    group: str
    name: str
    call: Callable[[Any], Any]
    rows: dict[str, Any]
    only: str = ""  # a DataJoint line, a server or NOT_POSTGRESQL, where it is not for all

    @property
    def full_name(self) -> str:
        return f"{self.group}: {self.name}"

    @property
    def here(self) -> bool:
        return self.only in ("", "2.x" if V2 else "0.14", FLAVOR, spelled(NOT_POSTGRESQL, ""))


NOT_POSTGRESQL = "not postgresql"
CASES: list[Case] = []


def case(group: str, name: str, call: Callable[[Any], Any], only: str = "", **exported: Any) -> None:
    CASES.append(Case(group, name, call, exported, only))


def all_of(*calls: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Several calls in one analysis."""

    def run(lab: Any) -> None:
        for call in calls:
            call(lab)

    return run


def sql(lab: Any, query: str) -> Any:
    """Send SQL as a user does, on DataJoint's connection."""
    return lab.schema.connection.query(query.replace("{s}", spelled(f"`{lab.name}`", lab.name))).fetchall()


# The sessions of a subject, and who they belong to.
A = {"Species": "mouse", "Subject": "a", "Session": "a.1 a.2 a.3"}
ALL_SESSIONS = {"Species": "mouse rat", "Subject": "a b c", "Session": "a.1 a.2 a.3 b.1 b.2 c.1"}
ALL_TRIALS = "a.1.1 a.1.2 a.1.3 a.2.1 b.1.1 b.1.2 c.1.1"

# ---------------------------------------------------------------- restriction

case("restriction", "whole table", lambda lab: rows(lab.Session), **ALL_SESSIONS)
case(
    "restriction",
    "dict",
    lambda lab: rows(lab.Session & {"subject": "a", "session": 1}),
    Species="mouse",
    Subject="a",
    Session="a.1",
)
case(
    "restriction",
    "dict of other attributes",  # those that the table does not have are left out by DataJoint
    lambda lab: rows(lab.Subject & {"sex": "F", "session": 1, "nonsense": 2}),
    Species="mouse rat",
    Subject="a c",
)
case(
    "restriction",
    "string",
    lambda lab: rows(lab.Session & "session > 1"),
    Species="mouse",
    Subject="a b",
    Session="a.2 a.3 b.2",
)
case(
    "restriction",
    "list",
    lambda lab: rows(lab.Session & ["session = 3", {"subject": "c"}]),
    Species="mouse rat",
    Subject="a c",
    Session="a.3 c.1",
)
case(
    "restriction",
    "list of keys",
    lambda lab: rows(lab.Session & [{"subject": "a", "session": 1}, {"subject": "b", "session": 2}]),
    Species="mouse",
    Subject="a b",
    Session="a.1 b.2",
)
case("restriction", "empty list", lambda lab: rows(lab.Session & []))
case("restriction", "False", lambda lab: rows(lab.Session & False))
case(
    "restriction",
    "AndList",
    lambda lab: rows(lab.Session & dj.AndList(["session > 1", {"subject": "a"}])),
    Species="mouse",
    Subject="a",
    Session="a.2 a.3",
)
case(
    "restriction",
    "several one after another",
    lambda lab: rows(lab.Session & "session > 1" & {"subject": "a"} & GOOD),
    Species="mouse",
    Subject="a",
    Session="a.3",
)
case(
    "restriction",
    "Not",
    lambda lab: rows(lab.Session & dj.Not("session = 1")),
    Species="mouse",
    Subject="a b",
    Session="a.2 a.3 b.2",
)
case(
    "restriction",
    "Not of a list",
    lambda lab: rows(lab.Session & dj.Not(["session = 1", "session = 3"])),
    Species="mouse",
    Subject="a b",
    Session="a.2 b.2",
)
case(
    "restriction",
    "table",
    lambda lab: rows(lab.Session & lab.Bad),
    Species="mouse",
    Subject="a b",
    Session="a.2 b.1",
    Bad="a.2 b.1",
)
case(
    "restriction",
    "query expression",
    lambda lab: rows(lab.Session & (lab.Trial & "x > 3")),
    Species="mouse rat",
    Subject="a c",
    Session="a.2 c.1",
    Trial="a.2.1 c.1.1",
)
case(
    "restriction",
    "query expression on fewer attributes",
    lambda lab: rows(lab.Subject & (lab.Session & GOOD)),
    Species="mouse rat",
    Subject="a b c",
    Session="a.1 a.3 b.1 c.1",
)
case(
    "restriction",
    "list of query expressions",
    lambda lab: rows(lab.Session & [lab.Bad, lab.Trial & "x = 9"]),
    Species="mouse rat",
    Subject="a b c",
    Session="a.2 b.1 c.1",
    Trial="c.1.1",
    Bad="a.2 b.1",
)
case(
    "restriction",
    "projection",
    lambda lab: rows(lab.Species & lab.Subject.proj("species")),
    Species="mouse rat",
    Subject="a b c",  # the species of d is NULL and equals none
)
case(
    "restriction",
    "expression without a common attribute",  # DataJoint asks whether it is empty
    lambda lab: rows(lab.Species & lab.Probe),
    Species="mouse rat fly",
    Probe={(K1,)},
)
case(
    "restriction",
    "records and frames of pandas",
    lambda lab: rows(lab.Session & arrays(lab.Bad & {"subject": "a"}) & frame(lab.Bad)),
    Species="mouse",
    Subject="a b",
    Session="a.2 b.1",
    Bad="a.2 b.1",
)
case(
    "restriction",
    "SQL with a subquery",  # DataJoint takes the table's name in a string for an attribute; its users send SQL
    lambda lab: sql(
        lab,
        "SELECT * FROM {s}.session WHERE subject IN"
        " (SELECT s.subject FROM {s}.subject AS s WHERE s.sex = 'M') AND session = 2",
    ),
    Species="mouse",
    Subject="b",
    Session="b.2",
)
case(
    "restriction",
    "SQL with a correlated subquery",
    lambda lab: sql(
        lab,
        "SELECT note FROM {s}.session AS s WHERE EXISTS (SELECT 1 FROM {s}.trial AS t"
        " WHERE t.subject = s.subject AND t.session = s.session AND t.x > 3)",
    ),
    Species="mouse rat",
    Subject="a c",
    Session="a.2 c.1",
    Trial="a.2.1 c.1.1",
)

# ---------------------------------------------------------------- antijoin

case(
    "difference",
    "minus table",
    lambda lab: rows(lab.Session - lab.Bad),
    Species="mouse rat",
    Subject="a b c",
    Session="a.1 a.3 b.2 c.1",
)
case(
    "difference",
    "minus table, rejected rows read elsewhere",  # a.2 comes along, and so what keeps it rejected; b.1 does not
    all_of(lambda lab: rows(lab.Session - lab.Bad), lambda lab: rows(lab.Session & {"subject": "a"})),
    Bad="a.2",
    **ALL_SESSIONS | {"Session": "a.1 a.2 a.3 b.2 c.1"},
)
case(
    "difference",
    "minus query expression",
    lambda lab: rows(lab.Session - (lab.Trial & "x > 3")),
    Species="mouse",
    Subject="a b",
    Session="a.1 a.3 b.1 b.2",
)
case(
    "difference",
    "minus dict",
    lambda lab: rows(lab.Session - {"subject": "a"}),
    Species="mouse rat",
    Subject="b c",
    Session="b.1 b.2 c.1",
)
case(
    "difference",
    "minus string",
    lambda lab: rows(lab.Session - "session = 1"),
    Species="mouse",
    Subject="a b",
    Session="a.2 a.3 b.2",
)
case(
    "difference",
    "minus list",
    lambda lab: rows(lab.Session - ["session = 1", lab.Bad]),
    Species="mouse",
    Subject="a b",
    Session="a.3 b.2",
)
case(
    "difference",
    "minus a difference",  # subjects all of whose sessions are bad: d has none at all
    lambda lab: rows(lab.Subject - (lab.Session - lab.Bad)),
    Subject="d",
)
case(
    "difference",
    "minus a difference, with a row between read elsewhere",
    # subjects all of whose sessions have trials: c and d; were c.1 there without its trial, c would be lost
    all_of(
        lambda lab: rows(lab.Subject - (lab.Session - lab.Trial)),
        lambda lab: rows(lab.Session & {"subject": "c"}),
    ),
    Species="rat",
    Subject="c d",
    Session="c.1",
    Trial="c.1.1",
)
case(
    "difference",
    "what remains to be computed",  # as populate asks
    lambda lab: keys(lab.Session.proj() - lab.Trial.proj()),
    Species="mouse",
    Subject="a b",
    Session="a.3 b.2",
)
case(
    "difference",
    "minus, of which nothing is left",
    all_of(
        lambda lab: rows((lab.Session & {"subject": "b", "session": 1}) - lab.Bad),
        lambda lab: rows(lab.Session & {"subject": "b"}),
    ),
    Species="mouse",
    Subject="b",
    Session="b.1 b.2",
    Bad="b.1",
)

# ---------------------------------------------------------------- join

case(
    "join",
    "restricted by the right side",
    lambda lab: rows(lab.Session * lab.Trial & "x > 2"),
    Species="mouse rat",
    Subject="a b c",
    Session="a.1 a.2 b.1 c.1",
    Trial="a.1.2 a.2.1 b.1.1 c.1.1",
)
case(
    "join",
    "restricted by the left side",
    lambda lab: rows(lab.Subject * lab.Session & {"sex": "M"}),
    Species="mouse",
    Subject="b",
    Session="b.1 b.2",
)
case(
    "join",
    "three tables",
    lambda lab: rows(lab.Subject * lab.Session * lab.Trial & quoted('outcome = "miss"') & {"sex": "F"}),
    Species="mouse",
    Subject="a",
    Session="a.1 a.2",
    Trial="a.1.2 a.2.1",
)
case(
    "join",
    "on a secondary attribute",
    lambda lab: rows(lab.Species * lab.Subject & "legs = 4"),
    Species="mouse rat",
    Subject="a b c",
)
case(
    "join",
    "without a common attribute",
    lambda lab: rows((lab.Species & "legs = 6") * (lab.Probe & {"label": "left"}).proj("label")),
    Species="fly",
    Probe={(K1,)},
)
case(
    "join",
    "with itself, renamed",
    lambda lab: rows(lab.Session.proj(later="session") * lab.Session.proj() & "later = session + 2"),
    Species="mouse",
    Subject="a",
    Session="a.1 a.3",
)
case(
    "join",
    "with a restricted operand",
    lambda lab: rows((lab.Session & NOT_GOOD) * lab.Bad),
    Species="mouse",
    Subject="a",
    Session="a.2",
    Bad="a.2",
)
case(
    "join",
    "with an aggregation",
    lambda lab: rows(lab.Subject * aggr(lab.Subject, lab.Session, n="count(*)") & "n = 2"),
    Species="mouse",
    Subject="b",
    Session="b.1 b.2",
)
case(
    "join",
    "left",
    lambda lab: rows(lab.Subject.join(lab.Species, left=True)),
    Species="mouse rat",
    Subject="a b c d",
)
case(
    "join",
    "left, restricted",
    lambda lab: rows(lab.Subject.join(lab.Species, left=True) & quoted('subject > "b"')),
    Species="rat",
    Subject="c d",
)
case(
    "join",
    "left, unmatched only",
    lambda lab: rows(lab.Subject.join(lab.Species, left=True) & "legs IS NULL"),
    Subject="d",
)
case(
    "join",
    "left, with computed attributes",
    lambda lab: rows(
        (lab.Trial & {"subject": "b"}).join(lab.Session.proj(day="date(started)"), left=True).proj("x", "day")
    ),
    Species="mouse",
    Subject="b",
    Session="b.1",
    Trial="b.1.1 b.1.2",
)
case(
    "join",
    "extend",
    lambda lab: rows((lab.Trial & "trial = 3").extend(lab.Session)),
    only="2.x",
    Species="mouse",
    Subject="a",
    Session="a.1",
    Trial="a.1.3",
)
case(
    "join",
    "permissive",
    lambda lab: rows(lab.Bad.join(lab.Recording, semantic_check=False) if V2 else lab.Bad @ lab.Recording),
    Species="mouse",
    Subject="a b",
    Session="a.2 b.1",
    Bad="a.2 b.1",
    Probe={(K1,), (K2,)},
    Recording={("a", 2, K1), ("b", 1, K2)},
)

# ---------------------------------------------------------------- union

case(
    "union",
    "of keys",
    lambda lab: rows(
        (lab.Subject & quoted('subject = "a"')).proj() + (lab.Subject & quoted('sex = "U"')).proj()
    ),
    Species="mouse",
    Subject="a d",
)
case(
    "union",
    "of three",
    lambda lab: rows(
        lab.Bad.proj() + (lab.Session & "session = 3").proj() + (lab.Session & {"subject": "c"}).proj()
    ),
    Species="mouse rat",
    Subject="a b c",
    Session="a.2 a.3 b.1 c.1",
    Bad="a.2 b.1",
)
case(
    "union",
    "with other attributes",  # a left join, and what the left side lacks
    lambda lab: rows((lab.Session & {"subject": "a"}).proj("note") + lab.Bad),
    Bad="a.2 b.1",
    Species="mouse",
    Subject="a b",
    Session="a.1 a.2 a.3 b.1",
)
case(
    "union",
    "restricted",
    lambda lab: rows((lab.Bad.proj() + (lab.Session & "session = 3").proj()) & {"subject": "a"}),
    Species="mouse",
    Subject="a",
    Session="a.2 a.3",
    Bad="a.2",
)
case(
    "union",
    "counted",
    lambda lab: len(lab.Bad.proj() + (lab.Session & "session = 3").proj()),
    Species="mouse",
    Subject="a b",
    Session="a.2 a.3 b.1",
    Bad="a.2 b.1",
)

# ---------------------------------------------------------------- projection

case("projection", "of the key", lambda lab: rows(lab.Session.proj()), **ALL_SESSIONS)
case(
    "projection",
    "of attributes",
    lambda lab: rows((lab.Session & {"subject": "c"}).proj("note", "good")),
    Species="rat",
    Subject="c",
    Session="c.1",
)
case(
    "projection",
    "all but one",
    lambda lab: rows((lab.Session & {"subject": "c"}).proj(..., "-note")),
    Species="rat",
    Subject="c",
    Session="c.1",
)
case(
    "projection",
    "renamed, restricted by the new name",
    lambda lab: rows(lab.Session.proj(run="session") & "run = 3"),
    Species="mouse",
    Subject="a",
    Session="a.3",
)
case(
    "projection",
    "duplicated",
    lambda lab: rows(lab.Session.proj(..., run="(session)") & {"run": 2, "session": 2}),
    Species="mouse",
    Subject="a b",
    Session="a.2 b.2",
)
case(
    "projection",
    "expression",
    lambda lab: rows(lab.Trial.proj(twice="x * 2") & "twice > 5"),
    Species="mouse rat",
    Subject="a b c",
    Session="a.2 b.1 c.1",
    Trial="a.2.1 b.1.1 c.1.1",
)
case(
    "projection",
    "expression of an expression",
    lambda lab: rows(lab.Trial.proj(y="x + 1").proj(z="y * 2") & "z > 8"),
    Species="mouse rat",
    Subject="a c",
    Session="a.2 c.1",
    Trial="a.2.1 c.1.1",
)
case(
    "projection",
    "restricted by what is renamed",
    lambda lab: rows(
        (lab.Session.proj(..., run="session") & "run > 1").proj("good", last="run") & "last = 3"
    ),
    only=NOT_POSTGRESQL,  # DataJoint 2.3 quotes the name as MySQL does
    Species="mouse",
    Subject="a",
    Session="a.3",
)
case(
    "projection",
    "constant",
    lambda lab: rows((lab.Subject & {"sex": "U"}).proj(one="1", text="'it''s'", none="NULL")),
    Subject="d",
)
case(
    "projection",
    "renamed and joined again",
    lambda lab: rows(lab.Session.proj(first="session") * lab.Subject.proj("sex") & {"first": 2, "sex": "M"}),
    Species="mouse",
    Subject="b",
    Session="b.2",
)
case(
    "projection",
    "nested derived tables",
    lambda lab: rows(
        (
            (
                (lab.Session.proj(day="date(started)") & "day > '2023-01-01'")
                * lab.Trial.proj(double_x="x * 2")
            )
            & "double_x >= 6"
        ).proj(half="double_x / 4")
        & "half < 3"
    ),
    Species="mouse",
    Subject="a b",
    Session="a.2 b.1",
    Trial="a.2.1 b.1.1",
)

# ---------------------------------------------------------------- aggregation

case("aggregation", "count", lambda lab: rows(aggr(lab.Subject, lab.Session, n="count(*)")), **ALL_SESSIONS)
case(
    "aggregation",
    "HAVING on an alias",
    lambda lab: rows(aggr(lab.Subject, lab.Session, n="count(*)") & "n > 2"),
    **A,
)
case(
    "aggregation",
    "HAVING on an alias and the key",
    lambda lab: rows(aggr(lab.Subject, lab.Session, n="count(*)") & "n > 1" & {"subject": "b"}),
    Species="mouse",
    Subject="b",
    Session="b.1 b.2",
)
case(
    "aggregation",
    "HAVING on an alias that is also a column",  # the alias counts: 4 of a, 9 of c
    lambda lab: rows(aggr(lab.Subject, lab.Trial, x="max(x)") & "x > 3"),
    Species="mouse rat",
    Subject="a c",
    Session="a.1 a.2 c.1",
    Trial="a.1.1 a.1.2 a.1.3 a.2.1 c.1.1",
)
case(
    "aggregation",
    "with attributes of the left side",
    lambda lab: rows(aggr(lab.Session, lab.Trial, "note", "good", n="count(*)", top="max(x)") & NOT_GOOD),
    only="mysql",  # MariaDB does not see that the key determines them (ONLY_FULL_GROUP_BY)
    Species="mouse",
    Subject="a",
    Session="a.2",
    Trial="a.2.1",
)
case(
    "aggregation",
    "of a restricted group",
    lambda lab: rows(aggr(lab.Subject, lab.Session & GOOD, n="count(*)") & "n = 2"),
    Species="mouse",
    Subject="a",
    Session="a.1 a.3",
)
case(
    "aggregation",
    "of a join",
    lambda lab: rows(
        aggr(lab.Subject & {"sex": "F"}, lab.Session * lab.Trial & GOOD, top="max(x)") & "top > 5"
    ),
    Species="rat",
    Subject="c",
    Session="c.1",
    Trial="c.1.1",
)
case(
    "aggregation",
    "unmatched rows kept",
    lambda lab: rows(aggr(lab.Subject, lab.Session, unmatched=True, n="count(session)")),
    **ALL_SESSIONS | {"Subject": "a b c d"},
)
case(
    "aggregation",
    "unmatched rows only",
    lambda lab: rows(aggr(lab.Subject, lab.Session, unmatched=True, n="count(session)") & "n = 0"),
    Subject="d",
)
case(
    "aggregation",
    "unmatched rows only, a matched row read elsewhere",  # the group of a stays whole
    all_of(
        lambda lab: rows(aggr(lab.Subject, lab.Session, unmatched=True, n="count(session)") & "n = 0"),
        lambda lab: rows(lab.Subject & {"subject": "a"}),
    ),
    **A | {"Subject": "a d"},
)
case(
    "aggregation",
    "unmatched rows of a join",
    lambda lab: rows(
        aggr(lab.Session & {"subject": "a"}, lab.Trial * lab.Session.proj(), unmatched=True, n="count(trial)")
    ),
    **A,
    Trial="a.1.1 a.1.2 a.1.3 a.2.1",
)
case(
    "aggregation",
    "a group that HAVING rejects, part of it read elsewhere",
    all_of(
        lambda lab: rows(aggr(lab.Subject, lab.Session, n="count(*)") & "n < 2"),
        lambda lab: rows(lab.Session & {"subject": "a", "session": 1}),
    ),
    Species="mouse rat",
    Subject="a c",
    Session="a.1 a.2 a.3 c.1",
)
case(
    "aggregation",
    "of an aggregation",
    lambda lab: rows(
        aggr(lab.Subject, aggr(lab.Session, lab.Trial, n="count(*)"), trials="sum(n)") & "trials = 2"
    ),
    Species="mouse",
    Subject="b",
    Session="b.1",
    Trial="b.1.1 b.1.2",
)
case(
    "aggregation",
    "projected",
    lambda lab: rows(aggr(lab.Subject, lab.Trial, m="avg(x)").proj(twice="m * 2") & "twice = 4"),
    Species="mouse",
    Subject="b",
    Session="b.1",
    Trial="b.1.1 b.1.2",
)
case(
    "aggregation",
    "as a restriction",
    lambda lab: rows(lab.Subject & (aggr(lab.Subject, lab.Trial, m="avg(x)") & "m > 5")),
    Species="rat",
    Subject="c",
    Session="c.1",
    Trial="c.1.1",
)
case(
    "aggregation",
    "subtracted",
    all_of(
        lambda lab: rows(lab.Subject - (aggr(lab.Subject, lab.Trial, m="avg(x)") & "m > 2")),
        lambda lab: rows(lab.Subject & {"subject": "c"}),
    ),
    Species="mouse rat",
    Subject="b c d",  # c is read by the other call, and its trial keeps it out of the first
    Session="c.1",
    Trial="c.1.1",
)

# ---------------------------------------------------------------- dj.U

case(
    "U",
    "distinct values",
    lambda lab: rows(dj.U("species") & lab.Subject),
    Species="mouse rat",
    Subject="a b c d",
)
case(
    "U",
    "distinct values of a restricted table",
    lambda lab: rows(dj.U("sex", "species") & (lab.Subject & quoted('born < "2021-01-01"'))),
    Species="mouse",
    Subject="a b",
)
case(
    "U",
    "aggr",
    lambda lab: rows(dj.U("sex").aggr(lab.Subject, n="count(*)") & "n > 1"),
    Species="mouse rat",
    Subject="a c",
)
case(
    "U",
    "aggr over everything",
    lambda lab: rows(dj.U().aggr(lab.Trial & quoted('outcome = "hit"'), n="count(*)", top="max(x)")),
    Species="mouse rat",
    Subject="a b c",
    Session="a.1 b.1 c.1",
    Trial="a.1.1 a.1.3 b.1.1 c.1.1",
)
case(
    "U",
    "aggr of a join",
    lambda lab: rows(dj.U("sex").aggr(lab.Subject * lab.Session & NOT_GOOD, n="count(*)")),
    Species="mouse",
    Subject="a b",
    Session="a.2 b.2",
)
case(
    "U",
    "distinct values, counted",
    lambda lab: len(dj.U("sex") & (lab.Subject & "weight > 19")),
    Species="mouse rat",
    Subject="a c",
)
case(
    "U",
    "times",
    lambda lab: rows(dj.U("sex") * lab.Subject & {"sex": "M"}),
    only="0.14",
    Species="mouse",
    Subject="b",
)
case(
    "U",
    "as a restriction",
    lambda lab: rows((lab.Subject & dj.U("sex")) & {"sex": "M"}),
    Species="mouse",
    Subject="b",
)

# ---------------------------------------------------------------- order, limit, offset, Top

case(
    "order",
    "order_by",
    lambda lab: rows(lab.Session & "session = 1", order_by="started DESC"),
    Species="mouse rat",
    Subject="a b c",
    Session="a.1 b.1 c.1",
)
case(
    "order",
    "limit by key",
    lambda lab: rows(lab.Trial, order_by="KEY", limit=2),
    Species="mouse",
    Subject="a",
    Session="a.1",
    Trial="a.1.1 a.1.2",
)
case(
    "order",
    "limit and offset",  # which rows are skipped is part of the result
    lambda lab: rows(lab.Trial, order_by=["x DESC", "KEY"], limit=1, offset=2),
    Species="mouse rat",
    Subject="a b c",
    Session="a.2 b.1 c.1",
    Trial="a.2.1 b.1.1 c.1.1",
)
case(
    "order",
    "limit of a restricted join",
    lambda lab: rows(lab.Session * lab.Trial & GOOD, order_by="KEY DESC", limit=2),
    Species="mouse rat",
    Subject="b c",
    Session="b.1 c.1",
    Trial="b.1.2 c.1.1",
)
case(
    "order",
    "limit with rows before it read elsewhere",
    all_of(
        lambda lab: rows(lab.Subject, order_by="born DESC", limit=1),
        lambda lab: rows(lab.Subject & {"subject": "a"}),
    ),
    Species="mouse",
    Subject="a d",
)
case(
    "order",
    "Top",
    lambda lab: rows(lab.Trial & dj.Top(limit=2, order_by="x DESC")),
    Species="mouse rat",
    Subject="a c",
    Session="a.2 c.1",
    Trial="a.2.1 c.1.1",
)
case(
    "order",
    "Top with offset",
    lambda lab: rows(lab.Trial & dj.Top(limit=1, order_by="x DESC", offset=1)),
    Species="mouse rat",
    Subject="a c",
    Session="a.2 c.1",
    Trial="a.2.1 c.1.1",
)
case(
    "order",
    "Top, then restricted",  # the first three are those of the source only while all three are there
    lambda lab: rows((lab.Trial & dj.Top(limit=3, order_by="x DESC")) & quoted('outcome = "hit"')),
    Species="mouse rat",
    Subject="a b c",
    Session="a.2 b.1 c.1",
    Trial="a.2.1 b.1.1 c.1.1",
)
case(
    "order",
    "restricted, then Top",
    lambda lab: rows((lab.Trial & quoted('outcome = "hit"')) & dj.Top(limit=2, order_by="x DESC")),
    Species="mouse rat",
    Subject="b c",
    Session="b.1 c.1",
    Trial="b.1.1 c.1.1",
)
case(
    "order",
    "Top, counted",
    lambda lab: len(lab.Trial & dj.Top(limit=3, order_by="KEY")),
    Species="mouse",
    Subject="a",
    Session="a.1",
    Trial="a.1.1 a.1.2 a.1.3",
)
case(
    "order",
    "Top of an aggregation",
    lambda lab: rows(aggr(lab.Subject, lab.Trial, m="avg(x)") & dj.Top(limit=1, order_by="m DESC")),
    Species="rat",
    Subject="c",
    Session="c.1",
    Trial="c.1.1",
)
case(
    "order",
    "Top joined",  # DataJoint forgets the Top of an operand
    lambda lab: rows((lab.Session & dj.Top(limit=2, order_by="KEY DESC")) * lab.Subject.proj("sex")),
    **ALL_SESSIONS,
)
case(
    "order",
    "head",
    lambda lab: lab.Session.head(2),
    Species="mouse",
    Subject="a",
    Session="a.1 a.2",
)
case(
    "order",
    "tail",
    lambda lab: lab.Session.tail(2),
    Species="mouse rat",
    Subject="b c",
    Session="b.2 c.1",
)

# ---------------------------------------------------------------- the ways to fetch

case(
    "fetch",
    "len",
    lambda lab: len(lab.Session & GOOD),
    Species="mouse rat",
    Subject="a b c",
    Session="a.1 a.3 b.1 c.1",
)
case(
    "fetch",
    "len of a join",
    lambda lab: len(lab.Session * lab.Trial & "x < 1.2"),
    Species="mouse",
    Subject="a b",
    Session="a.1 b.1",
    Trial="a.1.3 b.1.2",
)
case(
    "fetch",
    "len of an aggregation",
    lambda lab: len(aggr(lab.Subject, lab.Session, n="count(*)") & "n > 2"),
    **A,
)
case(
    "fetch",
    "len of a left join",
    lambda lab: len(lab.Subject.join(lab.Species, left=True) & quoted('subject > "b"')),
    Species="rat",
    Subject="c d",
)
case(
    "fetch",
    "bool, true",  # one row is enough: the first by key
    lambda lab: bool(lab.Trial & "x > 2"),
    Species="mouse",
    Subject="a",
    Session="a.1",
    Trial="a.1.2",
)
case("fetch", "bool, false", lambda lab: bool(lab.Trial & "x > 100"))
case(
    "fetch",
    "bool of a difference",
    lambda lab: bool((lab.Session & {"subject": "b"}) - lab.Bad),
    Species="mouse",
    Subject="b",
    Session="b.2",
)
case(
    "fetch",
    "bool of a difference, false, its rows read elsewhere",
    all_of(
        lambda lab: bool((lab.Session & {"subject": "b", "session": 1}) - lab.Bad),
        lambda lab: rows(lab.Session & "session = 1" & {"subject": "b"}),
    ),
    Species="mouse",
    Subject="b",
    Session="b.1",
    Bad="b.1",
)
case(
    "fetch",
    "bool of a join",
    lambda lab: bool(lab.Session * lab.Trial & "x > 2" & NOT_GOOD),
    Species="mouse",
    Subject="a",
    Session="a.2",
    Trial="a.2.1",
)
case(
    "fetch",
    "in, true",
    lambda lab: {"subject": "b", "session": 1} in lab.Bad(),
    Species="mouse",
    Subject="b",
    Session="b.1",
    Bad="b.1",
)
case("fetch", "in, false", lambda lab: {"subject": "a", "session": 1} in lab.Bad())
case(
    "fetch",
    "in a class",  # Python iterates over it until the row is found, or to the end
    lambda lab: {"subject": "a", "session": 1} in lab.Bad,
    Species="mouse",
    Subject="a b",
    Session="a.2 b.1",
    Bad="a.2 b.1",
)
case(
    "fetch",
    "fetch1",
    lambda lab: (lab.Session & {"subject": "a", "session": 2}).fetch1(),
    Species="mouse",
    Subject="a",
    Session="a.2",
)
case(
    "fetch",
    "fetch1 of attributes",
    lambda lab: (lab.Session & {"subject": "a", "session": 2}).fetch1("note", "good", "KEY"),
    Species="mouse",
    Subject="a",
    Session="a.2",
)
case(
    "fetch",
    "fetch1 in a loop",
    lambda lab: [(lab.Session & {"subject": "a", "session": n}).fetch1("note") for n in (1, 2, 3)],
    **A,
)
case(
    "fetch",
    "KEY",
    lambda lab: keys(lab.Session & NOT_GOOD),
    Species="mouse",
    Subject="a b",
    Session="a.2 b.2",
)
case(
    "fetch",
    "KEY in a loop",
    lambda lab: [rows(lab.Trial & key) for key in keys(lab.Session & {"subject": "b"})],
    Species="mouse",
    Subject="b",
    Session="b.1 b.2",
    Trial="b.1.1 b.1.2",
)
case(
    "fetch",
    "frame",
    lambda lab: frame(lab.Subject & quoted('sex = "F"')),
    Species="mouse rat",
    Subject="a c",
)
case(
    "fetch",
    "arrays",
    lambda lab: arrays(lab.Trial & {"subject": "b"}, "x", "outcome"),
    Species="mouse",
    Subject="b",
    Session="b.1",
    Trial="b.1.1 b.1.2",
)
case(
    "fetch",
    "recarray",
    lambda lab: arrays(lab.Trial & {"subject": "c"}),
    Species="rat",
    Subject="c",
    Session="c.1",
    Trial="c.1.1",
)
case(
    "fetch",
    "iteration",
    lambda lab: [row["note"] for row in lab.Session & {"subject": "b"}],
    Species="mouse",
    Subject="b",
    Session="b.1 b.2",
)
case("fetch", "preview", lambda lab: repr(lab.Session()))
case(
    "fetch",
    "INSERT SELECT",
    lambda lab: lab.Copy.insert((lab.Session & {"subject": "c"}).proj()),
    Species="rat",
    Subject="c",
    Session="c.1",
)

# ---------------------------------------------------------------- literals

case(
    "literals",
    "quote, percent and backslash in a dict",
    lambda lab: rows(lab.Session & [{"note": "100 percent"}, {"note": "back\\slash"}, {"note": "it's %s"}]),
    Species="mouse",
    Subject=spelled("a b", "a"),
    Session=spelled("a.3 b.2", "a.3"),  # DataJoint 2.3 doubles the backslash for PostgreSQL, too
)
case(
    "literals",
    "both quotes, percent and backslash in a string",
    lambda lab: rows(
        lab.Session
        & spelled(r"""note = 'it''s 100% "fine" %s \\ ok' """, r"""note = 'it''s 100% "fine" %s \ ok' """)
    ),
    Species="mouse",
    Subject="a",
    Session="a.1",
)
case(
    "literals",
    "both quotes, percent and backslash in a dict",  # 0.14 does not escape the double quote
    lambda lab: rows(lab.Session & {"note": NASTY}),
    only="2.x",
    Species=spelled("mouse", ""),
    Subject=spelled("a", ""),
    Session=spelled("a.1", ""),
)
case(
    "literals",
    "LIKE with percent",
    lambda lab: rows(lab.Session & "note LIKE '100 %' OR note LIKE '%fine%'"),
    Species="mouse",
    Subject="a",
    Session="a.1 a.3",
)
case(
    "literals",
    "empty string",
    lambda lab: rows(lab.Session & {"note": ""}),
    Species="mouse",
    Subject="a",
    Session="a.2",
)
case(
    "literals",
    "emoji",
    lambda lab: rows(lab.Session & {"note": "emoji 😀"}),
    Species="rat",
    Subject="c",
    Session="c.1",
)
case(
    "literals",
    "UUID",
    lambda lab: rows(lab.Probe & {"probe": P2}),
    only=NOT_POSTGRESQL,
    Probe={(K2,)},
)
case(
    "literals",
    "UUIDs in a list, one as text",
    lambda lab: rows(lab.Probe & [{"probe": P2}, {"probe": str(P3)}]),
    only=NOT_POSTGRESQL,
    Probe={(K2,), (K3,)},
)
case(
    "literals",
    "UUID in a join",
    lambda lab: rows(lab.Recording * lab.Probe & {"probe": P1} & "rate IS NULL"),
    only=NOT_POSTGRESQL,
    Species="mouse",
    Subject="a",
    Session="a.2",
    Probe={(K1,)},
    Recording={("a", 2, K1)},
)
case(
    "literals",
    "JSON path",
    lambda lab: rows(lab.Probe & {"meta.kind": "silicon"}),
    Probe={(K1,)},
)
case(
    "literals",
    "JSON path, typed",  # MariaDB's JSON_VALUE has no RETURNING
    lambda lab: rows(lab.Probe.proj(channels="meta.channels:unsigned") & "channels < 10"),
    only="mysql",
    Probe={(K2,)},
)
case(
    "literals",
    "JSON value projected",
    lambda lab: rows(
        lab.Probe.proj(kind=spelled("json_value(meta, '$.kind')", "meta->>'kind'")) & {"kind": "tetrode"}
    ),
    Probe={(K2,)},
)
case(
    "literals",
    "NULL in JSON",
    lambda lab: rows(lab.Probe & {"meta": None}),
    Probe={(K3,)},
)
case(
    "literals",
    "blob fetched",
    lambda lab: (lab.Probe & {"label": "right"}).fetch1("wave"),
    Probe={(K2,)},
)
case(
    "literals",
    "blob compared",
    lambda lab: rows(
        (
            lab.Probe
            & spelled("length(wave) > 0 AND wave <> X'00FF'", r"length(wave) > 0 AND wave <> '\x00FF'")
        ).proj("label")
        & {"label": "spare"}
    ),
    Probe={(K3,)},
)
case(
    "literals",
    "decimal",
    lambda lab: rows(lab.Subject & {"weight": Decimal("20.50")}),
    Species="mouse",
    Subject="a",
)
case(
    "literals",
    "decimal in a string",
    lambda lab: rows(lab.Recording & "rate BETWEEN 0.1 AND 1.25e0"),
    Species="mouse",
    Subject="b",
    Session="b.1",
    Probe={(K2,)},
    Recording={("b", 1, K2)},
)
case(
    "literals",
    "datetime",
    lambda lab: rows(lab.Session & {"started": datetime.datetime(2023, 1, 2, 10)}),
    Species="mouse",
    Subject="a",
    Session="a.2",
)
case(
    "literals",
    "datetime in a string",
    lambda lab: rows(
        lab.Session
        & spelled(
            "started >= '2023-02-01' + INTERVAL 10 HOUR", "started >= DATE '2023-02-01' + INTERVAL '10 HOUR'"
        )
    ),
    Species="mouse rat",
    Subject="b c",
    Session="b.2 c.1",
)
case(
    "literals",
    "date",
    lambda lab: rows(lab.Subject & {"born": datetime.date(2021, 6, 1)}),
    Subject="d",
)
case(
    "literals",
    "enum",
    lambda lab: rows(lab.Subject & ["sex = 'M'", {"sex": "U"}]),
    Species="mouse",
    Subject="b d",
)
case("literals", "NULL", lambda lab: rows(lab.Subject & {"species": None}), Subject="d")
case(
    "literals",
    "NULL in a string",
    lambda lab: rows(lab.Subject & "weight IS NULL OR species IS NULL"),
    Species="mouse",
    Subject="b d",
)
case(
    "literals",
    "not NULL",
    lambda lab: rows(lab.Subject - {"species": None} & "weight IS NOT NULL"),
    Species="mouse rat",
    Subject="a c",
)
case(
    "literals",
    "boolean",
    lambda lab: rows(lab.Session & {"good": False}),
    Species="mouse",
    Subject="a b",
    Session="a.2 b.2",
)
case(
    "literals",
    "a column as a condition",
    lambda lab: rows(lab.Session & "good" & "TRUE" & {"subject": "b"}),
    Species="mouse",
    Subject="b",
    Session="b.1",
)
case(
    "literals",
    "IN",
    lambda lab: rows(lab.Subject & "subject IN ('a', 'b') AND subject NOT IN ('b', 'x')"),
    Species="mouse",
    Subject="a",
)
case(
    "literals",
    "negative, hexadecimal and arithmetic",
    lambda lab: rows(
        lab.Trial
        & spelled(
            "x - 10 > -8 AND trial = 0x01 AND session % 2 = 1",
            "x - 10 > -8 AND trial = 1e0 AND session % 2 = 1",
        )
    ),
    Species="mouse rat",
    Subject="b c",
    Session="b.1 c.1",
    Trial="b.1.1 c.1.1",
)


# ---------------------------------------------------------------- the tests

HERE = [one for one in CASES if one.here]
GROUPS = list(dict.fromkeys(one.group for one in HERE))
PAPER = "operators"

pytestmark = pytest.mark.flavor("mariadb", "mysql", "postgresql")


@pytest.fixture(scope="module")
def lab(server: Server, dj_conn: Any) -> Iterator[Any]:
    yield make_operator_lab(SCHEMA, dj_conn)
    drop_schemas(server, [SCHEMA])


@pytest.fixture(scope="module")
def twin(lab: Any) -> Iterator[Twin]:
    connection = backend_of(dj.conn()).connect(dj.conn())
    made = (PostgreSQLTwin if POSTGRESQL else Twin)(connection, [SCHEMA])
    yield made
    made.drop()
    connection.close()


@pytest.fixture(scope="module")
def paper_of(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., sqlspy.Paper]:
    """Captures cases, each once and as an analysis of its own; the paper of them."""
    home = tmp_path_factory.mktemp("operators")
    done: set[str] = set()

    def capture(*cases: Case) -> sqlspy.Paper:
        for one in cases:
            if one.full_name not in done:
                done.add(one.full_name)
                with sqlspy.export(PAPER, one.full_name, home=home):
                    one.call(lab)
        return sqlspy.Paper(PAPER, home=home, analyses=[one.full_name for one in cases])

    return capture


@pytest.mark.parametrize("one", HERE, ids=lambda one: one.full_name)
def test_rows_of_a_call(one: Case, lab: Any, paper_of: Callable[..., sqlspy.Paper], twin: Twin) -> None:
    paper = paper_of(one)
    assert paper.statements  # a call that sends nothing would test nothing
    cut = paper.slice()
    assert not cut.fallbacks and not cut.drifted
    assert twin.load(cut) == expected(lab.classes, one.rows)
    assert not twin.differences(cut)


@pytest.mark.parametrize("group", GROUPS)
def test_dumped_loaded_and_replayed(
    group: str,
    paper_of: Callable[..., sqlspy.Paper],
    server: Server,
    clean_scratch: Server,
    tmp_path: Path,
) -> None:
    members = [one for one in HERE if one.group == group]
    paper = paper_of(*members)
    bundle, report = whole_way(paper.slice(), server, clean_scratch, tmp_path / "bundle", paper)
    assert bundle.manifest["complete"]
    replayed = {analysis for result in report.statements for analysis in result.analyses}
    assert replayed == {one.full_name for one in members if one.name != "preview"}


def test_all_calls_as_one_paper(lab: Any, paper_of: Callable[..., sqlspy.Paper], twin: Twin) -> None:
    """What one statement brings does not change the result of another."""
    cut = paper_of(*HERE).slice()
    loaded = twin.load(cut)
    assert not twin.differences(cut)
    for one in HERE:
        for name, wanted in expected(lab.classes, one.rows).items():
            assert wanted <= loaded[name], one.full_name
