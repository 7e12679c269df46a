"""Keys: values that compare and come back unrounded, as lists of any length."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest

from dj_sqlspy.servers.columns import Column
from dj_sqlspy.servers.keys import convert, from_python
from dj_sqlspy.servers.mysql.dialect import MYSQL

chunks, condition, expression = MYSQL.chunks, MYSQL.condition, MYSQL.expression
expressions, literal = MYSQL.expressions, MYSQL.literal

# nothing here depends on the line of DataJoint
pytestmark = pytest.mark.line("2.x")


def column(name: str, data_type: str, collation: str | None = None) -> Column:
    return Column(name, data_type, data_type, False, collation, "")


N, T, B = column("n", "int"), column("t", "varchar", "utf8mb4_general_ci"), column("b", "varbinary")
BITS, SECONDS, SMALL = column("bits", "bit"), column("s", "timestamp"), column("f", "float")


@pytest.mark.parametrize(
    ("columns", "values", "key"),
    [
        ((N, T), ("3", "a"), (3, "a")),
        ((N, T), (3, ""), (3, "")),
        ((column("n", "bigint"),), ("18446744073709551615",), (18446744073709551615,)),
        ((column("n", "decimal"),), ("0.10",), ("0.10",)),
        ((B,), (b"\x00\xff",), (b"\x00\xff",)),
        ((BITS,), (b"\x0a\xaa",), (0xAAA,)),
        ((N, T), (None, None), None),
        ((N, T), ("1", None), (1, None)),
    ],
)
def test_convert(columns: tuple[Column, ...], values: tuple[Any, ...], key: Any) -> None:
    assert convert(columns, values) == key


@pytest.mark.parametrize(
    ("of", "value", "key"),
    [
        (N, 3, 3),
        (N, True, 1),
        (N, "3", 3),
        (B, uuid.UUID(int=1), b"\0" * 15 + b"\1"),
        (T, "it's", "it's"),
        (column("d", "date"), datetime.date(2020, 1, 2), "2020-01-02"),
        (column("d", "datetime"), datetime.datetime(2020, 1, 2, 3), "2020-01-02 03:00:00"),
        (column("n", "decimal"), Decimal("1.50"), "1.50"),
        (BITS, b"\x0a\xaa", 0xAAA),
        (BITS, 7, 7),
        (T, None, None),
    ],
)
def test_from_python(of: Column, value: Any, key: Any) -> None:
    assert from_python(of, value) == key


def test_literals() -> None:
    assert [literal(N, 3), literal(BITS, 5), literal(N, None)] == ["3", "5", "NULL"]
    assert literal(T, "it's 5 %") == "'it''s 5 %'"
    assert literal(T, "a\nb") == "_utf8mb4 X'610A62'"
    assert literal(B, b"\0a") == "X'0061'"
    assert literal(column("n", "decimal"), "0.10") == "0.10"
    assert literal(SECONDS, "1577836800.000000") == "1577836800.000000"
    assert [expression(c) for c in (N, SECONDS, SMALL)] == [
        "`n`",
        "UNIX_TIMESTAMP(`s`)",
        "CAST(`f` AS DOUBLE)",
    ]
    assert expression(N, "a`b") == "`a``b`.`n`"


def test_conditions() -> None:
    assert condition("`n`", (N,), [(1,), (2,)]) == "(`n` IN (1, 2))"
    assert condition("`n`, `t`", (N, T), [(1, "a")]) == "((`n`, `t`) IN ((1, 'a')))"
    assert condition("`n`, `t`", (N, T), [(1, None)]) == "((`n` <=> 1 AND `t` <=> NULL))"
    assert condition("`n`", (N,), []) == "FALSE"


def test_chunks_hold_each_key_once_and_are_short() -> None:
    keys = [(n, "x" * (n % 50)) for n in range(500)]
    found = list(chunks((N, T), keys, 1000))
    assert [key for chunk in found for key in chunk] == keys
    names = expressions((N, T))
    assert max(len(condition(names, (N, T), chunk)) for chunk in found) < 1100
    assert len(found) < 40
    assert list(chunks((N, T), [(1, "x" * 5000)], 1000)) == [[(1, "x" * 5000)]]  # one key is never split
    assert list(chunks((N,), [])) == []
