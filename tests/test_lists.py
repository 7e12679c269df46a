"""Lists of keys: conditions of many terms keep their meaning, and take linear time."""

from __future__ import annotations

import doctest
import random
import re
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.lineage import analyse
from dj_sqlspy.lineage.example import CATALOG
from dj_sqlspy.lineage.generate import to_sql
from dj_sqlspy.servers import Server, lists
from dj_sqlspy.servers.lists import Listed
from dj_sqlspy.servers.mysql import syntax
from dj_sqlspy.servers.mysql.catalog import read_catalog
from dj_sqlspy.servers.mysql.dialect import MYSQL
from dj_sqlspy.servers.mysql.state import read_session
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
    "dicts of 2.x": ("( ( (~)))", "(`a`={})AND(`b`='{}')", " OR ", True),
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
    assert leaf.sql is not None and set(map(str, range(3_000))) <= set(re.findall(r"\d+", leaf.sql))


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


def test_a_long_or_is_sent_again_only_if_its_result_has_changed(
    table: Any, server: Server, home: Path
) -> None:
    """Servers compare each row with each of its terms."""
    with sqlspy.export("lists", "keys"):
        rows(table & keys_of(2_000))
    with server.connect() as connection, connection.cursor() as cursor:

        def report() -> Any:
            cursor.execute("TRUNCATE mysql.general_log")
            cursor.execute("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1")
            (found,) = sliced("lists", home, "keys").statements
            cursor.execute("SET GLOBAL general_log = 0, GLOBAL log_output = DEFAULT")
            cursor.execute("SELECT SUM(argument LIKE '%%(`day`=1)%%'), COUNT(*) FROM mysql.general_log")
            told, every = cursor.fetchone()
            assert every > 1
            return found, int(told)

        same, sent = report()
        assert (same.change, sent) == ("", 0)
        assert (same.digest_now, same.rows_now) == (same.statement.digest, same.statement.rows)
        table.connection.query(f"DELETE FROM {table.full_table_name} WHERE subject = 7")
        other, sent = report()
        assert (other.change, sent) == ("8 rows then, 7 now", 1)


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


TEXT = ["'a'", "'A'", "'a '", "''", "'ab'", "'1'", "'01'", "'ss'", "'Z_%'", "'x''y'"]
BEYOND = [*TEXT, "'é'", "'e'", "'ß'", "'ä'"]
DAYS = [f"'2019-0{month}-{day}'" for month in (1, 2) for day in ("01", "28")]
TIMES = [f"{day[:-1]} 10:00:0{second}'" for day in DAYS for second in (0, 1)]
BYTES = ["x'00'", "x'61'", "x'6100'", "x''"]
DECIMALS = ["1.5", "1.50", "-1.5", "0.1", "2", "1.4999"]
INTEGERS = ["0", "1", "2", "-2", "127", "128", "999999999999999999"]
# Types of columns, and literals of which a list compares as each alone; those of a table stand together.
ALIKE = [
    {"BIGINT": INTEGERS, "VARCHAR(8) COLLATE utf8mb4_general_ci": BEYOND, "DATETIME": TIMES},
    {"TINYINT UNSIGNED": INTEGERS, "CHAR(8) COLLATE utf8mb4_unicode_ci": BEYOND, "VARBINARY(8)": BYTES},
    {"DECIMAL(8,3)": DECIMALS, "VARCHAR(8) CHARACTER SET latin1": TEXT, "DATE": DAYS},
    {"ENUM('a','ab','1')": TEXT, "BINARY(2)": BYTES[:3], "VARCHAR(8) COLLATE utf8mb4_bin": BEYOND},
    {
        "DATETIME(3)": [*TIMES, "'2019-01-01 10:00:00.500'", "'2019-01-01 10:00:00.5'"],
        "INT": [*"012345678", "-9"],
    },
]
# Types and literals of which a list may compare otherwise.
OTHERWISE = {
    "INT": ["1.5", "2", "0.4"],
    "VARCHAR(8) CHARACTER SET latin1": [*TEXT, "'é'"],
    "BIGINT UNSIGNED": ["1", "18446744073709551615"],
    "YEAR": ["2019", "19", "2000"],
    "DOUBLE": ["0.1", "1"],
    "VARCHAR(9)": ["1", "0", "2"],
    "TIME": ["'10:00:00'", "'10:00'"],
    "DATE": ["'2019-01-01'", "'2019-1-1'"],
}


def test_keys_have_the_same_value_as_a_list_of_rows(server: Server, prefix: str) -> None:
    """Of each row the condition that is written is true, false or NULL as the one that was sent."""
    chance = random.Random(18)
    schema = f"{prefix}alike"
    cases = [(each, True) for each in ALIKE] + [({t: each}, False) for t, each in OTHERWISE.items()]
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{schema}` CHARACTER SET utf8mb4")
        for number, (columns, _) in enumerate(cases):
            names = [f"c{place}" for place, _ in enumerate(columns)]
            typed = ", ".join(f"{name} {type_}" for name, type_ in zip(names, columns, strict=True))
            rows = (
                f"({n}, {', '.join(chance.choice([*each, 'NULL']) for each in columns.values())})"
                for n in range(100)
            )
            name = f"`{schema}`.`t{number}`"
            cursor.execute(f"CREATE TABLE {name} (n INT PRIMARY KEY, {typed}, KEY ({', '.join(names)}))")
            cursor.execute(f"INSERT IGNORE INTO {name} VALUES {', '.join(rows)}")
        catalog = read_catalog(connection, [schema])
        for number, (columns, alike) in enumerate(cases):
            # MariaDB makes a subquery of a list with more than 1,000 rows
            keys = [
                "AND".join(
                    f"(`c{place}`={chance.choice(each[alike:])})"
                    for place, each in enumerate(columns.values())
                )
                for _ in range((700, 1_400)[number % 2] if alike else 140)
            ]
            for form in ("({})", "NOT ({})") if alike else ("({})",):
                sql = (
                    f"SELECT n FROM `{schema}`.`t{number}` WHERE {form.format(' OR '.join(keys))} ORDER BY n"
                )
                query = analyse(sql, catalog).query
                assert query is not None
                assert (" IN (" in to_sql(query, MYSQL), "` = " in to_sql(query, MYSQL)) == (
                    alike,
                    not alike,
                ), columns
                if alike:
                    cursor.execute(sql)
                    expected = cursor.fetchall()
                    cursor.execute(to_sql(query, MYSQL))
                    assert cursor.fetchall() == expected and expected, columns
        # in a session of another character set, texts may compare otherwise
        latin = read_session(["SET NAMES latin1"])
        found = analyse(
            f"SELECT n FROM `{schema}`.t0 WHERE {' OR '.join(['(c0=3)'] * 140)}", catalog, session=latin
        )
        assert " IN (" not in str(found.leaves[0].sql)
        cursor.execute(f"DROP DATABASE `{schema}`")
