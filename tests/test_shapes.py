"""Shapes: literals lifted out and filled in again; a loop in one query gives the same as one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dj_sqlspy.journal import Statement
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.shapes import Shape, fill, group, lift, markers
from dj_sqlspy.slices import Slice, make_slice
from tests.exported import Rows, keyed, selected

# nothing here depends on the line of DataJoint
pytestmark = pytest.mark.line("2.x")

PIECES = st.sampled_from(
    [
        *(
            "SELECT",
            "a1",
            "`t 1`",
            "`it's`",
            "FROM",
            "WHERE",
            "=",
            "(",
            ")",
            ",",
            "+",
            "--1",
            "x.`y`",
            "a.1b",
        ),
        *(
            "1",
            "-2",
            "3.5",
            ".5",
            "1e-3",
            "0x1F",
            "X'00ff'",
            "'it''s'",
            "'a\\'b'",
            '"say ""x"""',
            "'%s `q` #'",
        ),
        *(
            "/* 'no' 1 */",
            "-- it's 1\n",
            "# 2 'x\n",
            "LIMIT 5",
            "OFFSET 2",
            "GROUP BY 1",
            "`a->'b'`",
            "'é😀'",
        ),
        *("json_value(`c`, _utf8mb4'$.a.b')", "`c`->>'$.x'", "IN ('a', 'b')", "_utf8mb4'x'", "t1", "`$3`"),
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=12), st.lists(PIECES, max_size=12))
def test_a_binding_filled_into_the_shape_gives_the_statement(one: list[str], other: list[str]) -> None:
    texts = [" ".join(one), " ".join(other)]
    for text in texts:
        template, literals = lift(text)
        shape = Shape(template, "data")
        assert len(markers(shape.marked)) == len(literals)
        assert lift(fill(shape.marked, literals)) == (template, literals)
        if "`$" not in text:
            assert fill(shape.marked, literals) == text
    assert (lift(texts[0]) == lift(texts[1])) == (texts[0] == texts[1]) or any("`$" in t for t in texts)


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        ("SELECT * FROM `t1` WHERE a = 3", ("3",)),
        ("SELECT `a1` FROM `x2`.`y3` WHERE `b4`=-5", ("5",)),
        ('WHERE (`s`="it\'s")AND(`n`=1e5)', ('"it\'s"', "1e5")),
        ("WHERE u = X'27005C' AND v = 0x01", ("X'27005C'", "0x01")),
        ("a IN (1, 2) ORDER BY 1 LIMIT 5 OFFSET 6", ("1", "2")),
        ("json_value(`c`, _utf8mb4'$.k') = 'v'", ("'v'",)),
        ("c->>'$.k' = 'v'", ("'v'",)),
        ("c -> '$.k' = 4", ()),  # what follows an arrow can be a position
        ("/* 1 'x' */ a = 2 -- 3\n AND b = 4 # 5", ("2", "4")),
        ("`t`.`1` = 'a\\'; -- 2'", ("'a\\'; -- 2'",)),
        ("t.1a = 5 AND a$1 = 6", ("5", "6")),
    ],
)
def test_what_is_a_literal(text: str, literals: tuple[str, ...]) -> None:
    assert lift(text)[1] == literals


def test_what_is_the_same_in_all_bindings_is_no_marker() -> None:
    texts = [f"SELECT a FROM t WHERE a = {n} AND b = 'x' AND c > 5" for n in (1, 2)]
    (shape,) = group([Statement(sql=text) for text in texts])
    assert len(markers(shape.marked)) == 1 and shape.marked.endswith("AND b = 'x' AND c > 5")
    assert [fill(shape.marked, binding) for binding in shape.bindings] == texts


def test_grouping() -> None:
    texts = ["SELECT 1 FROM a WHERE x = 1", "SELECT 1 FROM a WHERE x = 22", "SELECT 1 FROM a WHERE x = 'y'"]
    statements = [
        Statement(sql=sql, number=number, kind=kind)
        for number, (sql, kind) in enumerate(
            [*((t, "data") for t in texts), (texts[0], "data"), (texts[0], "exists")], 1
        )
    ]
    shapes = group(statements)
    assert [(shape.kind, shape.numbers) for shape in shapes] == [
        ("data", (1, 4, 2)),
        ("data", (3,)),
        ("exists", (5,)),
    ]
    assert list(shapes[0].bindings) == [("1", "1"), ("1", "22")]


# ---------------------------------------------------------------- loops, on a server


@pytest.fixture
def table(connection: Any, prefix: str) -> Iterator[str]:
    name = f"`{prefix}loop`.`t`"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{prefix}loop`")
        cursor.execute(
            f"CREATE TABLE {name} (id INT PRIMARY KEY, y YEAR, t VARCHAR(9), e ENUM('a','b'), d DATE,"
            " dt DATETIME, n DECIMAL(9,3), f FLOAT, u BIGINT UNSIGNED)"
        )
        cursor.execute(
            f"INSERT INTO {name} VALUES"
            " (1, 2020, '1', 'a', '2020-01-01', '2020-01-01', 1.5, 0.5, 18446744073709551615),"
            " (2, 2021, '2', 'b', '2020-01-02', '2020-01-02 10:00:00', 2.5, 1.5, 2),"
            " (3, 1999, 'Ab', 'a', '2020-01-03', '2020-01-03', 3.5, 2.5, 3),"
            " (4, 1998, '04', 'b', NULL, NULL, NULL, NULL, NULL)"
        )
    yield name


def sliced(server: Server, *texts: str) -> Slice:
    with server.connect(conv=plain_decoders()) as connection:
        with connection.cursor() as cursor:
            rows = [cursor.execute(text) for text in texts]
        captured = [
            Statement(sql=t, rows=n, number=i) for i, (t, n) in enumerate(zip(texts, rows, strict=True), 1)
        ]
        return make_slice(captured, connection)


def ids(server: Server, cut: Slice) -> Rows:
    with server.connect() as connection:
        return next(iter(selected(connection, cut).values()), set())


@pytest.mark.parametrize("select", ["SELECT *", "SELECT COUNT(*)", "SELECT MAX(id), SUM(f)"])
@pytest.mark.parametrize(
    ("condition", "values", "rows"),
    [
        ("id = {}", ["1", "3"], "1 3"),
        ("id = {} AND t = 'Ab'", ["1", "3"], "3"),
        ("id = {}", ["'1'", "'3x'"], "1 3"),
        ("y = {}", ["'20'", "'99'"], "1 3"),  # a YEAR of two digits equals alone what it does not in a list
        ("y = {} AND id < 9", ["20", "99"], "1 3"),
        ("t = {} AND id < 9", ["1", "4"], "1 4"),  # a text compared with a number
        ("t = {}", ["'aB'", "'AB'"], "3"),  # two bindings that find the same row
        ("e = {} AND id < 3", ["1", "2"], "1 2"),  # an ENUM by its number
        ("e = {}", ["'A'", "'x'"], "1 3"),
        ("d = {}", ["'2020-1-1'", "'20200103'"], "1 3"),
        ("dt = {} AND id > 0", ["'2020-01-01'", "'2020-1-2 10:00'"], "1 2"),
        ("n = {}", ["'1.50'", "'3.5'"], "1 3"),
        ("n = {}", ["1.5", "35e-1"], "1 3"),
        ("f = {}", ["0.5", "2.5"], "1 3"),
        ("u = {}", ["18446744073709551615", "3"], "1 3"),
        ("u = {}", ["'18446744073709551615'", "'3'"], "1 3"),
        ("{} = id", ["1", "3"], "1 3"),
        ("id > {}", ["1", "3"], "2 3 4"),
        ("id = {} OR t = '2'", ["1", "3"], "1 2 3"),
        ("id IN (SELECT MAX(id) FROM {{t}} WHERE id < {})", ["2", "4"], "1 2 3"),
    ],
)
def test_a_loop(
    table: str, server: Server, select: str, condition: str, values: list[str], rows: str
) -> None:
    """The statements of a loop need the same rows together as alone."""
    texts = [
        f"{select} FROM {table} WHERE {condition.format(value).replace('{t}', table)}" for value in values
    ]
    together = sliced(server, *texts)
    alone = set().union(*(ids(server, sliced(server, text)) for text in texts))
    assert ids(server, together) == alone == keyed(rows)
    assert not together.fallbacks and not together.drifted
    assert len(together.statements) == len(texts)


def test_a_long_loop_is_asked_for_at_once(table: str, server: Server, asked: list[str]) -> None:
    cut = sliced(server, *(f"SELECT t, e FROM {table} WHERE id = {n} AND t <> 'x'" for n in range(400)))
    assert ids(server, cut) == keyed("1 2 3 4")
    assert len(asked) < 20
    assert [report.rows_now for report in cut.statements] == [0, 1, 1, 1, 1, *[0] * 395]
    assert not any(report.marks or report.fallback for report in cut.statements)


def test_keys_of_a_loop_are_not_read(table: str, server: Server, connection: Any, asked: list[str]) -> None:
    """Where each binding is the key of a row that is there; else the keys that are there are read."""

    def of(*captured: tuple[str, int]) -> Slice:
        asked.clear()
        with server.connect(conv=plain_decoders()) as opened:
            return make_slice(
                [
                    Statement(sql=f"SELECT t, e FROM {table} WHERE id = {key}", rows=number, number=i)
                    for i, (key, number) in enumerate(captured, 1)
                ],
                opened,
            )

    def read_keys() -> bool:
        return any(sql.startswith("SELECT `t1`.`id` AS `t1.0`") and " IN (1, " in sql for sql in asked)

    cut = of(("1", 1), ("2", 1), ("4", 1))
    assert ids(server, cut) == keyed("1 2 4") and not cut.drifted and not read_keys()
    cut = of(("1", 1), ("01", 1), ("3", 1))  # two bindings of one row
    assert ids(server, cut) == keyed("1 3") and not cut.drifted
    cut = of(("1", 1), ("2", 1), ("9", 0))
    assert ids(server, cut) == keyed("1 2") and not cut.drifted and read_keys()
    with connection.cursor() as cursor:  # as many rows as then, and others
        cursor.execute(f"UPDATE {table} SET id = 9 WHERE id = 2")
    cut = of(("1", 1), ("2", 1), ("9", 0), ("3", 1))
    assert ids(server, cut) == keyed("1 3 9")
    cut = of(("1", 1), ("2", 1), ("3", 1))
    assert ids(server, cut) == keyed("1 3")
    assert [report.statement.number for report in cut.drifted] == [2]


def test_a_row_that_is_gone_is_noticed_also_where_a_wider_statement_is_there(
    table: str, server: Server, connection: Any
) -> None:
    texts = [f"SELECT t FROM {table}", *(f"SELECT t, e FROM {table} WHERE id = {n}" for n in (1, 2, 3))]
    captured = [Statement(sql=sql, rows=4 if n == 1 else 1, number=n) for n, sql in enumerate(texts, 1)]
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE id = 2")
    with server.connect(conv=plain_decoders()) as opened:
        cut = make_slice(captured, opened)
    assert [(r.statement.number, r.rows_then, r.rows_now) for r in cut.drifted] == [(1, 4, 3), (3, 1, 0)]
