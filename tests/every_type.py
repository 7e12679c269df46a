"""A column of every type, with its smallest and largest values, and values that are no date.

In: a connection. Out: tables in the schema `KINDS`, and what their values are in Python; and the database of
any open copy.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import sys
import uuid
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

KINDS = "open_kinds"
WIDE = "é" * 60  # in the name of a file each takes six characters

# Declaration: values as SQL, and as pyarrow and DuckDB read them.
INT = {
    "tinyint": (-128, 127),
    "tinyint unsigned": (0, 255),
    "smallint": (-32768, 32767),
    "smallint unsigned": (0, 65535),
    "mediumint": (-8388608, 8388607),
    "mediumint unsigned": (0, 16777215),
    "int": (-(2**31), 2**31 - 1),
    "int unsigned": (0, 2**32 - 1),
    "bigint": (-(2**63), 2**63 - 1),
    "bigint unsigned": (0, 2**64 - 1),
    "int(5) unsigned zerofill": (0, 42),
    "year": (1901, 2155),
}
LONG = "9" * 35 + "." + "9" * 30
COLUMNS: dict[str, tuple[tuple[str, Any], ...]] = {
    **{kind: tuple((str(value), value) for value in values) for kind, values in INT.items()},
    "decimal(38,10)": tuple(
        (text, decimal.Decimal(text)) for text in ("-" + "9" * 28 + "." + "9" * 10, "0.0000000001")
    ),
    "decimal(65,30)": ((f"'{LONG}'", LONG), ("0", "0." + "0" * 30)),
    "float": (("16777216", 16777216.0), ("0.1", float(np.float32(0.1)))),
    "double": (("1.7976931348623157e308", sys.float_info.max), ("5e-324", 5e-324)),
    "date": (("'1000-01-01'", datetime.date(1000, 1, 1)), ("'9999-12-31'", datetime.date(9999, 12, 31))),
    "datetime": (("'1000-01-01 00:00:00'", datetime.datetime(1000, 1, 1)),),
    "datetime(6)": (
        ("'9999-12-31 23:59:59.999999'", datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ("'2024-02-29 00:00:00.000001'", datetime.datetime(2024, 2, 29, 0, 0, 0, 1)),
    ),
    "timestamp(3) null": (("'2024-05-01 12:00:00.125'", datetime.datetime(2024, 5, 1, 12, 0, 0, 125000)),),
    "time(6)": (
        ("'-838:59:58.999999'", -datetime.timedelta(hours=838, minutes=59, seconds=58, microseconds=999999)),
        ("'00:00:00.000001'", datetime.timedelta(microseconds=1)),
    ),
    "bit(9)": (("b'100000001'", 257), ("0", 0)),
    "char(4)": (("'a'", "a"), ("''", "")),
    "varchar(20)": (("'é\\0☃'", "é\0☃"), ("'a  '", "a  ")),
    "varchar(20) character set latin1": (("'é'", "é"),),
    "varchar(20) character set utf8mb4 collate utf8mb4_bin": (("'😀'", "😀"),),
    "longtext": ((f"REPEAT('x', {1 << 20})", "x" * (1 << 20)),),
    "enum('low','high')": (("'high'", "high"),),
    "set('a','b')": (("'b,a'", "a,b"), ("''", "")),
    "json": (("'[1, \"é\"]'", '[1, "é"]'),),
    "binary(16) comment ':uuid:of it'": ((f"X'{uuid.UUID(int=7).hex}'", uuid.UUID(int=7)),),
    "binary(3)": (("X'00ff'", b"\0\xff\0"),),
    "varbinary(9)": (("X'00'", b"\0"), ("''", b"")),
    "longblob": (("X'6a00ff'", b"j\0\xff"),),
    "point": (
        (
            "ST_GeomFromText('POINT(1 2)')",
            bytes(4) + bytes.fromhex("0101000000000000000000f03f0000000000000040"),
        ),
    ),
}


def opened(path: Path) -> Any:
    """The database of an open copy, in a block."""
    return contextlib.closing(duckdb.connect(str(path / "slice.duckdb"), read_only=True))


def make_kinds(connection: Any) -> None:
    """A table of every type, and one with values that are no date."""
    connection.query(f"CREATE DATABASE {KINDS}")
    declared = ", ".join(f"c{n} {kind}" for n, kind in enumerate(COLUMNS))
    connection.query(f"CREATE TABLE {KINDS}.every (id INT PRIMARY KEY, {declared}) COMMENT 'it''s all'")
    for row in range(3):  # the last is NULL in each column
        values = [values[row][0] if row < len(values) else "NULL" for values in COLUMNS.values()]
        connection.query(f"INSERT INTO {KINDS}.every VALUES ({row}, {', '.join(values)})")
    mode = connection.query("SELECT @@sql_mode").fetchone()[0]
    connection.query("SET SESSION sql_mode = ''")
    connection.query(f"CREATE TABLE {KINDS}.odd (id INT PRIMARY KEY, `on` DATE, at DATETIME(1), no DATE)")
    connection.query(
        f"INSERT INTO {KINDS}.odd VALUES (1, '0000-00-00', '2024-00-10 01:02:03.5', NULL),"
        " (2, '2024-02-29', '2024-02-29 01:02:03.5', '2024-01-01')"
    )
    connection.query(f"SET SESSION sql_mode = '{mode}'")
    connection.query(f"CREATE TABLE {KINDS}.`{WIDE}` (id INT PRIMARY KEY)")
    connection.query(f"INSERT INTO {KINDS}.`{WIDE}` VALUES (1)")
