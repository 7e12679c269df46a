"""Invisible columns are no part of ``*``, NATURAL JOIN, and what compares rows of ``*``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dj_sqlspy.servers import Server
from tests.exported import Twin, selected
from tests.test_dump import cut, dumped_and_loaded, same

# nothing here depends on the line of DataJoint
pytestmark = [pytest.mark.line("2.x"), pytest.mark.usefixtures("dj_conn")]

# For each statement the keys of t and of u that it needs.
READS = {
    "SELECT id, a FROM S.t NATURAL JOIN S.u": ({1}, {1}),
    "SELECT * FROM S.t EXCEPT SELECT * FROM S.u": ({2, 3}, set()),
    "SELECT * FROM S.t INTERSECT SELECT * FROM S.u": ({1}, {1}),
    "SELECT * FROM S.t WHERE id = 2": ({2}, set()),
    "SELECT t.* FROM S.t AS t JOIN S.u AS u USING (id) WHERE u.k = 9": ({1}, {1}),
    "SELECT * FROM S.t WHERE (id, a) IN (SELECT * FROM S.u)": ({1}, {1}),
    "SELECT k FROM S.t WHERE k = 8": ({2, 3}, set()),
    "SELECT * FROM (SELECT * FROM S.t) AS x WHERE a > 3": ({3}, set()),
}


@pytest.fixture
def schema(connection: Any, prefix: str) -> str:
    name = f"{prefix}lab"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        for table in "tu":
            cursor.execute(f"CREATE TABLE {name}.{table} (id INT PRIMARY KEY, a INT, k INT INVISIBLE)")
        cursor.execute(f"INSERT INTO {name}.t (id, a, k) VALUES (1, 2, 7), (2, 3, 8), (3, 4, 8)")
        cursor.execute(f"INSERT INTO {name}.u (id, a, k) VALUES (1, 2, 9), (2, 5, 8)")
    return name


@pytest.mark.parametrize("read", READS)
def test_what_is_needed(read: str, schema: str, connection: Any, server: Server) -> None:
    made = cut(server, read.replace("S.", f"{schema}."))
    (report,) = made.statements
    assert report.fallback is None
    found = selected(connection, made)
    expected = {
        f"`{schema}`.`{name}`": {(k,) for k in keys} for name, keys in zip("tu", READS[read], strict=True)
    }
    assert found == {name: keys for name, keys in expected.items() if keys}
    twin = Twin(connection, [schema])
    try:
        twin.load(made)
        assert not twin.differences(made)
    finally:
        twin.drop()


def test_using_an_invisible_column(schema: str, server: Server) -> None:
    """MySQL shows it in ``*``, and MariaDB does not: the statement is not analysed."""
    (report,) = cut(server, f"SELECT * FROM {schema}.t JOIN {schema}.u USING (k)").statements
    assert "invisible column 'k'" in str(report.fallback)


@pytest.mark.flavor("mysql")
def test_a_generated_invisible_key(
    server: Server, connection: Any, prefix: str, clean_scratch: Server, tmp_path: Path
) -> None:
    """``my_row_id`` of two tables joins nothing, and is compared with nothing."""
    name = f"{prefix}lab"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute("SET SESSION sql_generate_invisible_primary_key = ON")
        for table in "tu":
            cursor.execute(f"CREATE TABLE {name}.{table} (a INT, b INT)")
        cursor.execute("SET SESSION sql_generate_invisible_primary_key = OFF")
        cursor.execute(f"INSERT INTO {name}.t (a, b) VALUES (1, 2), (2, 3), (3, 4)")
        cursor.execute(f"INSERT INTO {name}.u (a, b) VALUES (9, 9), (3, 4), (2, 5)")
    reads = {
        "SELECT a FROM S.t NATURAL JOIN S.u": ({(3,)}, {(2,)}),
        "SELECT * FROM S.t INTERSECT SELECT * FROM S.u": ({(3,)}, {(2,)}),
        "SELECT * FROM S.t EXCEPT SELECT * FROM S.u WHERE a = 3": ({(1,), (2,)}, set()),
        "SELECT * FROM S.t WHERE (a, b) IN (SELECT * FROM S.u)": ({(3,)}, {(2,)}),
        "SELECT * FROM S.t WHERE my_row_id = 1": ({(1,)}, set()),
    }
    for read, keys in reads.items():
        found = cut(server, read.replace("S.", f"{name}."))
        assert not found.fallbacks
        assert tuple(found.keys(f"`{name}`.`{table}`") for table in "tu") == keys, read
    texts = [read.replace("S.", f"{name}.") for read in reads]
    dumped_and_loaded(server, clean_scratch, tmp_path / "b", *texts)
    same(server, clean_scratch, *texts, f"SELECT my_row_id, a FROM {name}.t")


def test_they_come_back(schema: str, server: Server, clean_scratch: Server, tmp_path: Path) -> None:
    read = f"SELECT * FROM {schema}.t WHERE id > 1"
    dumped_and_loaded(server, clean_scratch, tmp_path / "b", read)
    same(server, clean_scratch, read, f"SELECT id, k FROM {schema}.t WHERE id > 1")
