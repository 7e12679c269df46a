"""Open copy: each type of a column has the server's value in Parquet and in DuckDB, on each line and server."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.servers import Server
from tests.conftest import drop_schemas
from tests.every_type import COLUMNS, KINDS, make_kinds, opened


@pytest.fixture(scope="module")
def copy(server: Server, dj_conn: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The open copy of tables of all types."""
    place = tmp_path_factory.mktemp("types")
    make_kinds(dj_conn)
    dj_conn.connect()  # another connection, which has set nothing
    with sqlspy.export("paper", "figure", home=place / "home"):
        for name in ("every", "odd"):
            dj_conn.query(f"SELECT * FROM {KINDS}.{name}").fetchall()
    bundle = sqlspy.Paper("paper", home=place / "home").write(place / "bundle")
    bundle.dump()
    yield bundle.open_copy(place / "copy").path
    drop_schemas(server, [KINDS])


def test_every_type(copy: Path) -> None:
    file = copy / "tables" / f"{KINDS}.every.parquet"
    arrow = pq.read_table(file)
    with opened(copy) as database:
        mine = database.execute(f"SELECT * FROM {KINDS}.every ORDER BY id").fetchall()
        named = {f"c{n}": kind for n, kind in enumerate(COLUMNS)}
        # DuckDB's client shows a UTC time only with another package, and DuckDB takes durations for integers
        shown = [
            f"make_timestamp(epoch_us({name}))"
            if kind.startswith("timestamp")
            else f"to_microseconds({name})"
            if kind.startswith("time")
            else name
            for name, kind in named.items()
        ]
        read = database.execute(
            f"SELECT {', '.join(shown)} FROM read_parquet(?) ORDER BY id", [str(file)]
        ).fetchall()
    for number, (kind, values) in enumerate(COLUMNS.items()):
        expected = [values[row][1] if row < len(values) else None for row in range(3)]
        assert [row[number + 1] for row in mine] == expected, kind
        assert [row[number] for row in read] == expected, kind
        if kind.startswith("timestamp"):
            expected = [value and value.replace(tzinfo=datetime.timezone.utc) for value in expected]
        assert arrow.column(f"c{number}").to_pylist() == expected, kind
    assert arrow.schema.metadata[b"comment"] == b"it's all"
    assert arrow.schema.field("c15").metadata == {b"type": b"double"}
    assert {str(field.type) for field in list(arrow.schema)[1:8]} == {
        f"{sign}int{width}" for sign in ("", "u") for width in (8, 16, 32)
    } | {"int32"}


def test_values_that_are_no_date(copy: Path) -> None:
    table = pq.read_table(copy / "tables" / f"{KINDS}.odd.parquet")
    day = datetime.date(2024, 2, 29)
    assert table.column("on").to_pylist() == [None, day]
    assert table.column("on as stored").to_pylist() == ["0000-00-00", None]
    assert table.column("at as stored").to_pylist() == ["2024-00-10 01:02:03.5", None]
    assert "no as stored" not in table.column_names
    with opened(copy) as database:
        assert database.execute(f'SELECT "on" FROM {KINDS}.odd ORDER BY id').fetchall() == [(None,), (day,)]
        notes = dict(database.execute("SELECT name, note FROM _columns WHERE note IS NOT NULL").fetchall())
    assert (
        notes["on"].startswith("1 value without a date: NULL")
        and notes["c13"] == "DECIMAL with more than 38 digits, as text"
    )
