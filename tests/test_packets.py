"""Packets: rows in blocks are those that PyMySQL reads, whatever their size, and a result may be left half read."""

from __future__ import annotations

import doctest
import warnings
from typing import Any

import pymysql
import pytest

from dj_sqlspy.servers.mysql import packets
from dj_sqlspy.servers.mysql.session import as_sent
from dj_sqlspy.servers.mysql.wire import values_of

pytestmark = pytest.mark.line("2.x")  # nothing here depends on the line of DataJoint

# Around which the protocol writes a length otherwise; the last two: a packet that is full, and a row of two packets.
LENGTHS = (0, 250, 251, 65_535, 65_536, (1 << 24) - 5, (1 << 24) + 9)


def test_rows_of_every_length(connection: Any) -> None:
    parts = [f"SELECT REPEAT('{number}', {length}) AS a" for number, length in enumerate(LENGTHS)]
    many = "SELECT CONCAT('n', seq) FROM (SELECT a.c * 10 + b.c AS seq FROM (%s) a, (%s) b) n"
    digits = " UNION ALL ".join(f"SELECT {number} AS c" for number in range(10))
    sql = " UNION ALL ".join(["SELECT NULL", *parts, many % (digits, digits)])
    with as_sent(connection):
        with connection.cursor() as cursor:
            cursor.execute(sql)
            expected = [row[0] for row in cursor.fetchall()]
        for size in (64, 100_000):
            found: list[bytes | None] = []
            sent = packets.send(connection, sql.encode())
            for block in sent.blocks(size):
                (spans,) = block.columns(1)
                values = [
                    block.data[start : start + length].tobytes()
                    for start, length in zip(spans.starts, spans.sizes, strict=True)
                ]
                nulls = [False] * len(values) if spans.nulls is None else spans.nulls
                found += [None if null else value for value, null in zip(values, nulls, strict=True)]
            assert found == expected
        assert [values_of(row) for row in packets.send(connection, sql.encode()).packets()] == [
            [value] for value in expected
        ]


def test_a_result_that_is_left(connection: Any) -> None:
    """The next query gets its own answer; an error in the middle of a result is told."""
    sql = b"SELECT REPEAT('x', 3000) FROM information_schema.columns a LIMIT 500"
    for read in (0, 1, 3):
        sent = packets.send(connection, sql)
        for _, block in zip(range(read), sent.blocks(10_000), strict=False):
            assert block.starts
        with warnings.catch_warnings(), connection.cursor() as cursor:
            warnings.simplefilter("ignore")  # PyMySQL says that it reads on
            cursor.execute("SELECT 7")
            assert cursor.fetchall() == ((7,),)
    two = "SELECT m FROM (SELECT 1 AS m UNION ALL SELECT 2) two WHERE m >= n"
    late = f"SELECT n, ({two}) FROM (SELECT 2 AS n UNION ALL SELECT 1) one".encode()
    with pytest.raises(pymysql.MySQLError, match="more than 1 row"):
        list(packets.send(connection, late).packets())
    with connection.cursor() as cursor:
        cursor.execute("SELECT 8")
        assert cursor.fetchall() == ((8,),)


def test_the_examples_in_docstrings() -> None:
    assert doctest.testmod(packets).failed == 0
