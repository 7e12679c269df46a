"""Restrictions: exactly the rows, in conditions that are disjoint, short and plain ASCII."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dj_sqlspy.cascade.keysets import Coder, KeySet
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.columns import Column
from dj_sqlspy.servers.dialect import Key
from dj_sqlspy.servers.mysql.catalog import read_catalog
from dj_sqlspy.servers.tables import Table
from dj_sqlspy.slices.restrict import shortest
from tests.conftest import drop_schemas

# nothing here depends on the line of DataJoint
pytestmark = pytest.mark.line("2.x")

SCHEMA = "restrict_lab"
NAMES = ["a", "it's", "100%", "back\\slash", "ü 😀", "x y", "", "`q`", "$HOME"]


@pytest.fixture(scope="module")
def cursor(server: Server) -> Iterator[Any]:
    with server.connect() as connection, connection.cursor() as opened:
        opened.execute(f"CREATE DATABASE {SCHEMA}")
        opened.execute(
            f"CREATE TABLE {SCHEMA}.t (a INT, name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,"
            " b VARBINARY(4), PRIMARY KEY (a, name, b))"
        )
        opened.execute(f"CREATE TABLE {SCHEMA}.one (id BIGINT PRIMARY KEY)")
        rows = [(a, name, bytes([b])) for a in (-3, 0, 7) for name in NAMES for b in (0, 255)]
        opened.executemany(f"INSERT INTO {SCHEMA}.t VALUES (%s, %s, %s)", rows)
        opened.executemany(f"INSERT INTO {SCHEMA}.one VALUES (%s)", [(n,) for n in range(-20, 60)])
        yield opened
    drop_schemas(server, [SCHEMA])


@pytest.fixture(scope="module")
def tables(cursor: Any) -> dict[str, tuple[Table, list[Key]]]:
    catalog = read_catalog(cursor.connection, [SCHEMA])
    found = {}
    for name in ("t", "one"):
        table = catalog.tables[f"`{SCHEMA}`.`{name}`"]
        cursor.execute(f"SELECT * FROM {table.full_name}")
        found[name] = table, list(cursor.fetchall())
    return found


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["t", "one"]), most=st.sampled_from([60, 300, 100_000]))
def test_conditions_select_exactly_the_rows(
    data: Any, name: str, most: int, cursor: Any, tables: Any
) -> None:
    table, every = tables[name]
    if name == "t" and data.draw(st.booleans()):
        # whole groups of leading columns
        groups = data.draw(st.sets(st.sampled_from([(key[0], key[1]) for key in every])))
        chosen = {key for key in every if key[:2] in groups}
    else:
        chosen = data.draw(st.sets(st.sampled_from(every)))

    def count(sql: str) -> int:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])

    restriction = shortest(table, KeySet.of(table, Coder(), chosen), len(every), count)
    found: list[Key] = []
    for condition in restriction.conditions(most):
        assert condition.isascii() and "\n" not in condition
        assert len(condition) <= max(most, 200)  # one key can be longer than what is asked for
        cursor.execute(f"SELECT * FROM {table.full_name} WHERE {condition}")
        found += cursor.fetchall()
    assert sorted(found) == sorted(chosen)
    cursor.execute(f"SELECT COUNT(*) FROM {table.full_name} WHERE {restriction.text}")
    assert cursor.fetchone() == (len(chosen),)


def integers(*names: str) -> Table:
    columns = tuple(Column(name, "int", "int", False, None, "") for name in names)
    return Table("s", "t", columns, names)


def text_of(keys: set[Key], every: set[Key]) -> str:
    """The restriction, where the server counts in ``every``."""
    width = len(next(iter(every)))
    table = integers(*"abc"[:width])

    def count(sql: str) -> int:
        condition = (
            sql.partition(" WHERE ")[2].replace("`", "").replace(" AND ", "~").replace("BETWEEN", "in_")
        )
        named = {f"in_ {x}~{y}": None for x in range(20) for y in range(20)}
        for text in named:
            low, high = text[4:].split("~")
            condition = condition.replace(text, f"in range({low}, {int(high) + 1})")
        condition = condition.replace(" IN ", " in ").replace(" OR ", " or ").replace(" = ", " == ")
        return sum(
            bool(eval(condition, {}, dict(zip("abc", key, strict=False))))  # a condition of our own
            for key in every
        )

    return shortest(table, KeySet.of(table, Coder(), keys), len(every), count).text


GRID = {(a, b) for a in range(4) for b in range(4)}


@pytest.mark.parametrize(
    ("keys", "every", "text"),
    [
        (set(), GRID, "FALSE"),
        (GRID, GRID, "TRUE"),
        ({(1, b) for b in range(4)}, GRID, "`a` = 1"),
        ({(a, b) for a in (1, 3) for b in range(4)}, GRID, "`a` IN (1, 3)"),
        ({(a, b) for a in (1, 2, 3) for b in range(4)}, GRID, "`a` BETWEEN 1 AND 3"),
        ({(1, 1), (2, 2)}, GRID, "(`a`, `b`) IN ((1, 1), (2, 2))"),
        (
            {(n,) for n in (1, 2, 3, 5, 8, 9)},
            {(n,) for n in range(20)},
            "(`a` BETWEEN 1 AND 3 OR `a` IN (5, 8, 9))",
        ),
        ({(7,)}, {(n,) for n in range(20)}, "`a` = 7"),
    ],
)
def test_the_shortest(keys: set[Key], every: set[Key], text: str) -> None:
    assert text_of(keys, every) == text


def test_of_many_runs_only_long_ones_are_ranges() -> None:
    """Ranges joined with OR cost servers the square of their number."""
    keys = {(10 * n + i,) for n in range(300) for i in range(4)} | {(n,) for n in range(5000, 5100)}
    text = shortest(integers("a"), KeySet.of(integers("a"), Coder(), keys), 9999, lambda sql: 0).text
    assert text.startswith("(`a` BETWEEN 5000 AND 5099 OR `a` IN (0, 1, 2, 3, 10, 11,")
    assert text.count("BETWEEN") == 1 and text.count(",") == 4 * 300 - 1


def test_a_table_without_a_key_is_taken_whole() -> None:
    table = Table("s", "t", integers("a").columns, ())
    assert shortest(table, KeySet.of(table, Coder(), [(1,)]), 9, lambda sql: 0).conditions(99) == ["TRUE"]
    assert shortest(table, KeySet(table, Coder()), 9, lambda sql: 0).conditions(99) == []
