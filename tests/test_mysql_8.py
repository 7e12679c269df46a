"""Statements in MySQL 8.0's syntax, also parts that are now deprecated: captured, with the rows behind each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dj_sqlspy as sqlspy

pytestmark = [pytest.mark.flavor("mysql"), pytest.mark.line("2.x")]

# the rows of t are 1 apple, 2 pear, 3 fig and 4 Apple; x is 1, 1, 2 and NULL
STATEMENTS: list[tuple[str, set[int]]] = [
    ("SELECT SQL_CALC_FOUND_ROWS * FROM t ORDER BY id LIMIT 1", {1}),
    ("SELECT HIGH_PRIORITY SQL_SMALL_RESULT SQL_BUFFER_RESULT SQL_NO_CACHE id FROM t WHERE id = 1", {1}),
    ("SELECT DISTINCTROW x FROM t WHERE id < 3", {1, 2}),
    ("SELECT /*! STRAIGHT_JOIN */ id FROM t WHERE id = 3", {3}),
    ("SELECT * FROM t USE INDEX (PRIMARY) WHERE id > 1", {2, 3, 4}),
    ("SELECT * FROM t FORCE INDEX (PRIMARY) WHERE id > 2", {3, 4}),
    ("SELECT * FROM t WHERE id = 2 LOCK IN SHARE MODE", {2}),
    ("SELECT * FROM t WHERE id = 2 FOR SHARE OF t SKIP LOCKED", {2}),
    ("SELECT * FROM t WHERE 1 MEMBER OF(j)", {1, 3}),
    ("SELECT * FROM t WHERE JSON_OVERLAPS(j, '[3]')", {2}),
    ("SELECT id, j->>'$[0]' FROM t WHERE j->'$[0]' = 3", {2}),
    ("SELECT * FROM t, JSON_TABLE(j, '$[*]' COLUMNS (n INT PATH '$')) k WHERE k.n = 2", {1}),
    ("SELECT * FROM t WHERE REGEXP_LIKE(s, '^a')", {1, 4}),
    ("SELECT * FROM t WHERE s RLIKE '^p' || s SOUNDS LIKE 'fig'", {2, 3}),
    ("SELECT * FROM t WHERE s = 'apple' && NOT s = BINARY 'Apple'", {1}),
    ("SELECT id FROM t WHERE s = 'apple' COLLATE utf8mb4_0900_as_cs", {1}),
    ("SELECT _utf8'x', _utf8mb3'y', N'z', X'4D', 0x4D, b'1', id FROM t WHERE id = 1", {1}),
    ("SELECT id DIV 2, id MOD 2, x ^ 1, x << 1, ~x, !x, id <=> NULL FROM t WHERE id = 1 XOR x = 2", {1, 3}),
    ("SELECT * FROM t WHERE (id, x) = ROW(1, 1)", {1}),
    ("SELECT * FROM t ORDER BY id LIMIT 1, 1", {1, 2}),
    ("SELECT x, GROUPING(x), COUNT(*) FROM t WHERE id < 4 GROUP BY x WITH ROLLUP", {1, 2, 3}),
    ("SELECT ANY_VALUE(s), x FROM t GROUP BY x HAVING x = 2", {3}),
    ("SELECT x, GROUP_CONCAT(s ORDER BY s DESC SEPARATOR '|') FROM t WHERE id < 3 GROUP BY x", {1, 2}),
    ("SELECT BIT_AND(x), JSON_ARRAYAGG(id) FROM t WHERE id < 3", {1, 2}),
    ("SELECT id, SUM(x) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WHERE id < 3", {1, 2}),
    ("SELECT id, FIRST_VALUE(s) OVER w FROM t WHERE id > 2 WINDOW w AS (PARTITION BY x ORDER BY id)", {3, 4}),
    ("WITH RECURSIVE n AS (SELECT 1 k UNION ALL SELECT k+1 FROM n WHERE k < 2) SELECT id FROM t, n WHERE id=k", {1, 2}),
    ("SELECT a.id FROM t a, LATERAL (SELECT b.id FROM t b WHERE b.id = a.x) c WHERE a.id = 3", {2, 3}),
    ("(SELECT id FROM t WHERE id = 1) UNION DISTINCT (SELECT id FROM t WHERE id = 2) ORDER BY 1 LIMIT 1", {1}),
    ("SELECT id FROM t WHERE id < 3 AND (id, 1) IN (VALUES ROW(1, 1), ROW(3, 1))", {1}),
    ("TABLE t ORDER BY id LIMIT 2", {1, 2}),
    ("SELECT DATE_ADD('2020-01-01', INTERVAL id DAY), ST_AsText(POINT(x, 1)) FROM t WHERE id = 1", {1}),
]  # fmt: skip


@pytest.fixture
def table(prefix: str, dj_conn: Any, home: Path) -> Iterator[str]:
    name = f"`{prefix}lab`.`t`"
    dj_conn.query(f"CREATE DATABASE `{prefix}lab`")
    dj_conn.query(f"CREATE TABLE {name} (id INT PRIMARY KEY, x INT, s VARCHAR(20), j JSON)")
    dj_conn.query(
        f"INSERT INTO {name} VALUES (1, 1, 'apple', '[1, 2]'), (2, 1, 'pear', '[3]'), (3, 2, 'fig', '[1]'),"
        " (4, NULL, 'Apple', NULL)"
    )
    yield name
    dj_conn.connect()  # in no schema again


def test_statements_of_mysql_8(table: str, dj_conn: Any) -> None:
    dj_conn.query(f"USE {table.split('.')[0]}")
    found = {}
    for sql, _ in STATEMENTS:
        with sqlspy.export("paper", "fig") as opened:
            dj_conn.query(sql).fetchall()
        (statement,) = opened.statements
        assert statement.sql == sql
        cut = sqlspy.Paper("paper").slice()
        assert not cut.fallbacks and not cut.drifted, sql
        found[sql] = {key for (key,) in cut.keys(table)}
    assert found == dict(STATEMENTS)


def test_an_assignment_takes_its_table_whole(table: str, dj_conn: Any) -> None:
    with sqlspy.export("paper", "fig"):
        dj_conn.query(f"SELECT @v := id FROM {table} WHERE id = 1").fetchall()
    cut = sqlspy.Paper("paper").slice()
    assert [report.fallback for report in cut.fallbacks] == ["it assigns a variable"]
    assert cut.keys(table) == {(1,), (2,), (3,), (4,)} and not cut.drifted
