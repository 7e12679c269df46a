"""Lists of keys: conditions of many terms keep their meaning, and take linear time."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.lineage import analyse
from dj_sqlspy.lineage.example import CATALOG
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql import lists, syntax
from dj_sqlspy.servers.mysql.lists import Listed
from dj_sqlspy.servers.mysql.syntax import Exact, parse
from tests.exported import sliced, whole_way
from tests.lab import rows

pytestmark = pytest.mark.separately

TEXTS = ["a", "it''s", "{0}", "b\\\\c", "%s", "x y", "Ä"]
TERMS = {
    "OR of dicts": " OR ".join(f"(`a`={i})AND(`b`='{TEXTS[i % 7]}')" for i in range(200)),
    "NOT of them": "NOT (" + " OR ".join(f"(`a`={i})AND(`b`='{TEXTS[i % 7]}')" for i in range(200)) + ")",
    "AND": " AND ".join(f"(NOT (`a`={i} and b='{TEXTS[i % 7]}'))" for i in range(100)),
    "of several kinds": " OR ".join(
        ["a = -3", "b = X'6162'", "a IS NULL", "a IN (SELECT 5)", "UPPER(b) = 'A'"]
        + [f"a = {i} OR (a, b) = ({-i}, 'a') OR b = X'{i:04x}'" for i in range(100)]
    ),
    "IN": "a IN (" + ", ".join(map(str, range(100))) + ")",
    "IN of rows": "(a, b) NOT IN (" + ", ".join(f"({i}, '{TEXTS[i % 7]}')" for i in range(100)) + ")",
    "before AND": "(" + " OR ".join(f"a={i}" for i in range(100)) + ") AND b <> 'a' OR a = 150",
}


def test_examples() -> None:
    assert doctest.testmod(lists).failed == 0


@pytest.mark.parametrize("name", TERMS)
def test_means_the_same(name: str, server: Server) -> None:
    """The server finds the same rows by what is written of a list."""
    rows = " UNION ALL ".join(
        f"SELECT {i} AS a, '{text}' AS b"
        for i in (-3, -1, 0, 1, 2, 5, 99, 150, 205)
        for text in (*TEXTS, "ab")
    )
    sql = f"SELECT a, b FROM ({rows} UNION ALL SELECT NULL, 'a') AS t WHERE {TERMS[name]} ORDER BY a, b"
    statement = parse(sql)
    assert statement.find(Listed) is not None
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        expected = cursor.fetchall()
        cursor.execute(statement.copy().sql(dialect=Exact, comments=False))
        assert cursor.fetchall() == expected
    assert expected


# Long conditions: the text around the terms, a term, what is between terms; and whether terms are cut out to be parsed.
LONG = {
    "tuples": ("(a, b) IN (~)", "({}, 'x {}')", ",", True),
    "not in": ("a NOT IN (~) AND b = 3", "{}.5", ", ", True),
    "hex": ("(a, b) IN (~)", "(X'{:04x}', -{}.25)", ", ", True),
    "dicts": ("( (~))", '((`a`={}) AND (`b`="{}"))', " OR ", True),
    "dicts of 0.14": ("( ((~)))", '(`a`={})AND(`b`="{}")', ") OR (", True),
    "twice": ("(~) AND NOT (~)", "(a={})", " OR ", True),
    "NOT": ("~", "(NOT (a={}))", " AND ", True),
    "OR beside AND": ("~ AND b = 3", "(a={})", " OR ", True),
    "in a subquery": ("id IN (SELECT id FROM s.b WHERE (~))", "(n={})", " OR ", True),
    "a text": ("b = 'IN (~)' AND a IN (3)", "{}", ", ", False),
    "a comment": ("a = 3 /* IN (~) */", "{}", ", ", False),
    "texts of two parts": ("b IN (~)", "'{}' 'x'", ", ", False),
    "introducers": ("b IN (~)", "_utf8mb4'{}'", ", ", False),
    "comments in terms": ("a IN (~)", "(1 -- {}\n)", ", ", False),
    "identifiers": ("a IN (~)", '"{}"', ", ", False),
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_text_is_read_as_a_whole_one(name: str) -> None:
    around, term, between, fits = LONG[name]
    terms = between.join(term.format(i, i) for i in range(1_500))
    sql = f"SELECT * FROM s.b WHERE {around.replace('~', terms)}"
    modes = {"ANSI_QUOTES"} if name == "identifiers" else set()
    short, cuts = lists.shortened(sql)
    assert cuts and len(short) < len(sql) / 2
    assert (syntax._statements_of(short, modes, cuts) is not None) == fits
    (whole,) = syntax._statements_of(sql, modes, ()) or ()
    assert parse(sql, modes).sql(dialect=Exact) == whole.sql(dialect=Exact)


@pytest.mark.parametrize("terms", ["(`id`={})AND(`n`=3)", "NOT (`id`={})", "id={} and n=3"])
@pytest.mark.parametrize("word", [" OR ", " AND "])
def test_many_keys(terms: str, word: str) -> None:
    condition = word.join(f"({terms.format(i)})" for i in range(3_000))
    found = analyse(f"SELECT * FROM s.b WHERE ({condition})", CATALOG)
    assert found.fallback is None
    (leaf,) = found.leaves
    assert leaf.sql is not None and leaf.sql.count("`id`") >= 3_000


def test_many_that_are_not_alike() -> None:
    condition = " AND ".join(f"id NOT IN (SELECT id FROM s.a WHERE x = {i})" for i in range(150))
    found = analyse(f"SELECT * FROM s.b WHERE {condition}", CATALOG)
    assert (found.fallback, len(found.leaves), len(found.witnesses)) == (None, 1, 150)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM s.a WHERE " + "(" * 300 + "id = 1" + ")" * 300,
        "SELECT id FROM s.a WHERE " + "+".join(["id"] * 2000) + " = 3",
        " UNION ".join(["SELECT id FROM s.a"] * 1000),
    ],
    ids=["parentheses", "sum", "UNION"],
)
def test_nested_too_deeply(sql: str) -> None:
    found = analyse(sql, CATALOG)
    assert found.fallback == "it is nested too deeply"
    assert [(leaf.table.name, leaf.sql) for leaf in found.leaves] == [("a", None)]


# Each form in which DataJoint takes a list of keys.
FORMS = {
    "keys": lambda table, keys: table & keys,
    "without keys": lambda table, keys: table - keys,
    "part of a key": lambda table, keys: table & [{"subject": key["subject"]} for key in keys],
    "texts": lambda table, keys: table & [f"subject = {key['subject']}" for key in keys],
    "AndList": lambda table, keys: table & dj.AndList([f"subject <> {key['subject']}" for key in keys]),
    "IN": lambda table, keys: table & f"subject IN ({', '.join(str(key['subject']) for key in keys)})",
    "a key at a time": lambda table, keys: without_each(table, keys[:300]),
}
FEW = range(7, 5_000, 250)  # subjects that the table has


def without_each(table: Any, keys: list[dict[str, int]]) -> Any:
    for key in keys:
        table = table - [
            key
        ]  # DataJoint negates only the first column of a bare key (findings/datajoint-minus-a-key)
    return table


@pytest.fixture
def table(dj_conn: Any, prefix: str) -> Any:
    name = f"`{prefix}lists`"
    dj_conn.query(f"CREATE DATABASE {name}")
    dj_conn.query(f"CREATE TABLE {name}.session (subject INT, day INT, PRIMARY KEY (subject, day))")
    values = ", ".join(f"({subject}, {subject % 3})" for subject in FEW)
    dj_conn.query(f"INSERT INTO {name}.session VALUES {values}")
    return dj.FreeTable(dj_conn, f"{name}.session")


def keys_of(number: int) -> list[dict[str, int]]:
    return [{"subject": subject, "day": subject % 3} for subject in range(number)]


def test_each_form_the_whole_way(
    table: Any, server: Server, clean_scratch: Server, home: Path, tmp_path: Path
) -> None:
    """2,000 keys in each form: only the rows that are needed, which are loaded elsewhere and replayed."""
    keys = keys_of(2_000)
    inside = {subject for subject in FEW if subject < 2_000}
    outside = set(FEW) - inside
    needed = {form: outside if form in ("without keys", "AndList") else inside for form in FORMS}
    needed["a key at a time"] = {subject for subject in FEW if subject >= 300}
    for form, restrict in FORMS.items():
        with sqlspy.export("lists", form):
            assert {row["subject"] for row in rows(restrict(table, keys))} == needed[form]
        cut = sliced("lists", home, form)
        assert {key[0] for key in cut.keys(table.full_table_name)} == needed[form]
        assert not cut.fallbacks
    bundle, _ = whole_way(
        sliced("lists", home, "keys", "AndList"), server, clean_scratch, tmp_path / "bundle"
    )
    assert bundle.manifest["tables"][0]["rows"] == len(FEW)
