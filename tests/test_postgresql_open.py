"""What is made of a bundle from PostgreSQL: source data, first rows, the open copy; each type by its values."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.open_copy.result import OpenCopy
from dj_sqlspy.open_copy.sourcedata import SourceData
from dj_sqlspy.paper.bundle import Bundle
from tests.conftest import drop_schemas
from tests.every_type import opened

pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("postgresql")]

UTC = datetime.timezone.utc
LAB = "open_pg"
WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)


@dataclass(frozen=True)
class Type:
    """A column: values as SQL, and as pyarrow and DuckDB read them. A text beside is what Parquet's type has not."""

    declared: str
    values: tuple[tuple[str, Any], ...]
    beside: tuple[str | None, ...] = ()


def same(declared: str, *values: str) -> Type:
    """Kept as the text that the server prints; these are without the quotes around."""
    return Type(declared, tuple((f"'{value}'", value.replace("''", "'")) for value in values))


TYPES = (
    Type("smallint", (("-32768", -32768), ("32767", 32767))),
    Type("integer", (("-2147483648", -(2**31)), ("2147483647", 2**31 - 1))),
    Type("bigint", (("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1))),
    Type(
        "numeric(38,10)",
        (
            ("-" + "9" * 28 + "." + "9" * 10, decimal.Decimal("-" + "9" * 28 + "." + "9" * 10)),
            ("'NaN'", None),
        ),
        (None, "NaN"),
    ),
    same("numeric(60,30)", "9" * 30 + "." + "9" * 30),
    same("numeric(3,-2)", "99900"),
    same("numeric", "NaN", "-Infinity"),
    same("numeric", "1" * 60 + "." + "0" * 59 + "1"),
    Type("real", (("0.1", float(np.float32(0.1))), ("'-Infinity'", -np.inf))),
    Type("double precision", (("1.7976931348623157e308", 1.7976931348623157e308), ("5e-324", 5e-324))),
    Type("boolean", (("true", True), ("false", False))),
    Type(
        "date",
        (("'0001-01-01'", datetime.date(1, 1, 1)), ("'infinity'", None), ("'0044-03-15 BC'", None)),
        (None, "infinity", "0044-03-15 BC"),
    ),
    Type(
        "timestamp without time zone",
        (
            ("'9999-12-31 23:59:59.999999'", datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)),
            ("'10000-01-01 00:00:00.5'", None),
            ("'-infinity'", None),
        ),
        (None, "10000-01-01 00:00:00.5", "-infinity"),
    ),
    Type(
        "timestamp(3) with time zone",
        (
            ("'2024-05-01 12:00:00.1254+02'", datetime.datetime(2024, 5, 1, 10, 0, 0, 125000)),
            ("'1500-01-01 12:00:00+00 BC'", None),
        ),
        (None, "1500-01-01 12:00:00+00 BC"),
    ),
    Type(
        "time without time zone",
        (("'23:59:59.000001'", datetime.time(23, 59, 59, 1)), ("'24:00:00'", None)),
        (None, "24:00:00"),
    ),
    same("time with time zone", "10:00:00+02"),
    same("interval", "1 mon -2 days +04:05:06.5", "00:00:00"),
    Type("character varying(8)", (("'é☃'", "é☃"), ("''", ""))),
    Type("character(4)", (("'a'", "a   "),)),
    Type("text", (("repeat('x', 100000)", "x" * 100000), (r"'\x00'", r"\x00"))),
    same(f'"{LAB}"."mood"', "low", "it''s"),
    same("json", '{"b": 1,  "a": [1.50]}'),
    same("jsonb", '{"a": [1.50], "b": "é"}'),
    Type("uuid", ((f"'{uuid.UUID(int=7)}'", uuid.UUID(int=7)),)),
    Type("bytea", ((r"'\x00ff5c'", b"\x00\xff\\"), ("''", b""))),
    same("integer[]", "{1,NULL,-3}", "{{1,2},{3,4}}"),
    same("bit(3)", "101"),
    same("bit varying", "1"),
    same("inet", "192.168.0.1/24", "::1"),
    same("macaddr", "08:00:2b:01:02:03"),
    same("int4range", "[1,5)"),
    same("point", "(1,2.5)"),
    same("tsvector", "''a'':1"),
)
NAMES = [f"c{number}" for number in range(len(TYPES))]
UUID, BYTES, ZONED = (
    next(name for name, one in zip(NAMES, TYPES, strict=True) if one.declared == kind)
    for kind in ("uuid", "bytea", "timestamp(3) with time zone")
)

# SELECTs that DuckDB answers as PostgreSQL does, and beginnings of what is told of them.
ALIKE: dict[str, set[str]] = {
    f"SELECT id FROM {LAB}.every WHERE {UUID} = '{uuid.UUID(int=7)}'": set(),
    rf"SELECT id FROM {LAB}.every WHERE {BYTES} = '\x00ff5c'": set(),
    rf"SELECT id FROM {LAB}.every WHERE {BYTES} = '\x00ff5c'::bytea": {"CAST"},
    f"SELECT id, c0, c1, c2, c8, c9, c10, c17, c19, c20, {UUID}, {BYTES} FROM {LAB}.every ORDER BY id": set(),
    f"SELECT {ZONED}, c14, c11, c12 FROM {LAB}.every WHERE id = 1": {ZONED, "c14", "c11", "c12"},
    f"SELECT name FROM {LAB}.mouse WHERE name LIKE 'a\\%%' OR name ILIKE 'B%%'": set(),
    f"SELECT DISTINCT ON (sex) sex, name FROM {LAB}.mouse ORDER BY sex, name": {
        "ENUM, SET",
        "order of texts",
    },
    f"SELECT sum(c1) AS s, count(*) FILTER (WHERE c10) AS n, bool_or(c10) AS b FROM {LAB}.every": {
        "LOGICAL_OR()"
    },
    f'SELECT "Odd", odd.mouse AS m FROM {LAB}.odd NATURAL JOIN {LAB}.mouse': set(),
    f"SELECT mouse, name, max(day) AS d FROM {LAB}.mouse JOIN {LAB}.mouse__weight USING (mouse)"
    " GROUP BY mouse.mouse": set(),
    f"SELECT weight FROM {LAB}.mouse__weight ORDER BY weight DESC": set(),
    f"SELECT mouse, avg(weight) AS w FROM {LAB}.mouse__weight GROUP BY mouse": {"AVG"},
}
# SELECTs that it does not answer, and why there is no view.
OTHERWISE = {
    f"SELECT avg(c1) AS a FROM {LAB}.every WHERE id < 3": "other values of a",
    f"SELECT c11 FROM {LAB}.every": "other values of c11",
    f"SELECT id FROM {LAB}.every WHERE c5 > 1": "DuckDB",
    f"SELECT name FROM {LAB}.twice": "is not in slice.duckdb",
    f"SELECT c12 - '1 day'::interval AS t, c16 * 2 AS i FROM {LAB}.every WHERE id = 1": "DuckDB",
}


@dataclass(frozen=True)
class Written:
    """A bundle from PostgreSQL, what was made of it, and how many rows each statement returned, by its text."""

    bundle: Bundle
    copy: OpenCopy
    source_data: list[SourceData]
    received: dict[str, int]
    place: Path


@pytest.fixture(scope="module")
def written(server: Any, dj_conn: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    place = tmp_path_factory.mktemp("open")
    schema = dj.Schema(LAB, connection=dj_conn)

    @schema
    class Mouse(dj.Manual):
        definition = """
        mouse : int32   # of the cage
        ---
        name : varchar(20)
        sex : enum('M', 'F')
        trace = null : <blob>   # what was seen
        """

        class Weight(dj.Part):
            definition = """
            -> master
            day : int16
            ---
            weight = null : float64
            """

    names = ("a%", "Bob", "ann", "other")
    traces = (WEIGHTS, {"gain": [1, 2.5]}, None, np.zeros(3))
    for number, (name, trace) in enumerate(zip(names, traces, strict=True), 1):
        Mouse.insert1({"mouse": number, "name": name, "sex": "MF"[number % 2], "trace": trace})
        for day in range(1, 4):
            Mouse.Weight.insert1({"mouse": number, "day": day, "weight": None if day == 2 else number / day})
    declared = ", ".join(f"{name} {one.declared}" for name, one in zip(NAMES, TYPES, strict=True))
    rows = (
        ", ".join(one.values[row][0] if row < len(one.values) else "NULL" for one in TYPES)
        for row in range(4)
    )
    dj_conn.query(
        f"CREATE TYPE {LAB}.mood AS ENUM ('low', 'it''s');"
        f" CREATE TABLE {LAB}.every (id int PRIMARY KEY, {declared});"
        f" COMMENT ON TABLE {LAB}.every IS 'it''s all';"
        + "".join(f"INSERT INTO {LAB}.every VALUES ({n}, {row});" for n, row in enumerate(rows, 1))
        + f'CREATE TABLE {LAB}.odd ("Odd" int PRIMARY KEY, mouse int); INSERT INTO {LAB}.odd VALUES (1, 2);'
        f'CREATE TABLE {LAB}.twice (name int PRIMARY KEY, "Name" int); INSERT INTO {LAB}.twice VALUES (1, 2);'
        f"COMMENT ON COLUMN {LAB}.twice.name IS 'the lower one'"
    )
    received = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJ_SQLSPY_HOME", str(place / "home"))
        with sqlspy.export("paper", "by hand"):
            for text in (*ALIKE, *OTHERWISE):
                received[text.replace("%%", "%")] = dj_conn.query(text).rowcount
        with sqlspy.export("paper", "fig"):
            assert len((Mouse & "mouse < 4").to_dicts(order_by="mouse")) == 3
            # psycopg2 makes no objects of dates before Christ
            assert dj_conn.query(f"SELECT * FROM {LAB}.every ORDER BY id").rowcount == 4
            totals = Mouse.aggr(Mouse.Weight, total="sum(weight)").to_dicts(order_by="mouse")
            assert [row["total"] for row in totals] == [1 / 1 + 1 / 3, 2 + 2 / 3, 4.0, 4 + 4 / 3]
        dj_conn.query("SET timezone = 'Asia/Kolkata'")
        with sqlspy.export("paper", "elsewhere"):
            assert dj_conn.query(f"SELECT id, {ZONED} FROM {LAB}.every").rowcount == 4
        dj_conn.query("RESET timezone")
        paper = sqlspy.Paper("paper", connection=dj_conn)
        bundle = paper.write(place / "bundle", source_data=True)
        made = paper.source_data(place / "source-data", formats=["csv", "parquet", "xlsx"])
        yield Written(bundle, bundle.open_copy(place / "copy"), made, received, place)
    drop_schemas(server, [LAB])


def expected(one: Type, rows: int = 4) -> list[Any]:
    """The values of a column, of which the last row is NULL."""
    return [one.values[row][1] if row < len(one.values) else None for row in range(rows)]


def require_types(table: pa.Table) -> None:
    """Compare a Parquet file with each value of each type."""
    for name, one in zip(NAMES, TYPES, strict=True):
        values = expected(one)
        if "with time zone" in one.declared and one.declared.startswith("timestamp"):
            values = [value and value.replace(tzinfo=UTC) for value in values]
        assert table.column(name).to_pylist() == values, one.declared
        beside = [*one.beside, *[None] * 4][:4]
        found = table.column(f"{name} as stored").to_pylist() if one.beside else [None] * 4
        assert found == beside, one.declared


def test_source_data_is_what_was_received(written: Written) -> None:
    made = {one.path: one for one in written.source_data}
    assert all(one.received and one.formats for one in made.values()), made
    assert made["fig/01-mouse"].formats == ("csv", "parquet", "xlsx")
    folder = written.place / "source-data" / "fig"
    inside = written.bundle.path / "source-data" / "fig"
    assert (inside / "01-mouse.csv").read_bytes() == (folder / "01-mouse.csv").read_bytes()
    with (folder / "01-mouse.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["mouse"], row["name"], row["sex"], row["trace"]) for row in rows] == [
        ("1", "a%", "F", "1.npy"),
        ("2", "Bob", "M", "2.json"),
        ("3", "ann", "F", ""),
    ]
    with np.load(folder / "01-mouse-4.npz") as archive:
        np.testing.assert_array_equal(archive["1"], WEIGHTS)
        assert archive["1"].dtype == WEIGHTS.dtype and json.loads(archive["2.json"]) == {"gain": [1, 2.5]}
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert f"| `mouse` | `integer, int32` | `{LAB}.mouse.mouse` | of the cage |" in readme
    require_types(pq.read_table(folder / "02-every.parquet"))
    with (folder.parent / "elsewhere" / "01-every.csv").open(encoding="utf-8") as file:
        at = [row[ZONED] for row in csv.DictReader(file)]
    assert at == ["2024-05-01 10:00:00.125+00", "1500-01-01 17:53:28+05:53:28 BC", "", ""]
    assert "the lower one" in (folder.parent / "by%20hand" / "README.md").read_text(encoding="utf-8")
    assert "NUMERIC without a precision: text" in readme


def test_every_type_of_the_open_copy(written: Written) -> None:
    file = written.copy.path / "tables" / f"{LAB}.every.parquet"
    table = pq.read_table(file)
    require_types(table)
    assert table.schema.metadata[b"comment"] == b"it's all"
    with opened(written.copy.path) as database:
        rows = database.execute(f"SELECT * FROM {LAB}.every ORDER BY id").fetchall()
    for place, one in enumerate(TYPES, 1):
        assert [row[place] for row in rows] == expected(one), one.declared


def test_a_view_returns_what_the_server_returned(written: Written) -> None:
    statements = {one.sql: one for one in written.copy.statements}
    with opened(written.copy.path) as database:
        for text, cautions in ALIKE.items():
            one = statements[text.replace("%%", "%")]
            assert one.view and one.received, (text, one.why_not)
            assert {words.partition(":")[0] for words in one.cautions} == cautions, (text, one.cautions)
            rows = database.execute(f'SELECT * FROM "{one.view}"').fetchall()
            assert len(rows) == written.received[text.replace("%%", "%")], text
    for text, why in OTHERWISE.items():
        one = statements[text]
        assert not one.view and why in one.why_not, (text, one.why_not)
    assert all(one.view for one in statements.values() if one.analysis == "fig" and "every" not in one.sql)


def test_the_copy_is_checked_and_described(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(written.copy.path)]) == 0
    package = json.loads((written.copy.path / "datapackage.json").read_text(encoding="utf-8"))
    (every,) = [one for one in package["resources"] if one["path"] == f"tables/{LAB}.every.parquet"]
    fields = {
        field["name"]: (field["type"], field["sqlType"]) for field in every["schema"]["fields"][: len(TYPES)]
    }
    assert fields["c10"] == ("any", "boolean") and fields["c16"] == ("string", "interval")
    assert fields["c12"] == ("datetime", "timestamp without time zone") and fields["c3"][0] == "number"
    decoded = pq.read_table(written.copy.path / "decoded" / f"{LAB}.mouse.trace.parquet")
    assert decoded.to_pydict() == {"mouse": [1, 2, 3, 4], "trace decoded": ["1.npy", "2.json", None, "4.npy"]}
    with np.load(written.copy.path / "decoded" / f"{LAB}.mouse.trace.npz") as archive:
        np.testing.assert_array_equal(archive["1"], WEIGHTS)


def test_first_rows(written: Written, dj_conn: Any) -> None:
    assert written.bundle.verify(dj_conn).equal
    found = json.loads((written.bundle.path / "first-rows.json").read_text(encoding="utf-8"))
    tables = {one["name"]: one for one in found["tables"]}
    mouse = tables[f'"{LAB}"."mouse"']
    assert [row[:3] for row in mouse["rows"]][:2] == [["1", "a%", "F"], ["2", "Bob", "M"]]
    first, second, third = (row[3] for row in mouse["rows"][:3])
    assert first["text"] == "float32, 2 × 3" and first["line"]["high"] == 2.0  # along the longest axis
    assert second == {"text": '{"gain": [1, 2.5]}'} and third is None
    weights = tables[f'"{LAB}"."mouse__weight"']
    assert weights["of"] == 12 and weights["columns"][2]["histogram"]["high"] == 4.0
    results = {number: one for one in found["results"] for number in one["numbers"]}
    assert results[18]["of"] == 3 and results[19]["rows"][0][0] == "1"
    # statements of different tables are not taken for one
    assert len(results) == len(written.copy.statements)
    assert "float32, 2 × 3" in (written.bundle.path / "report.html").read_text(encoding="utf-8")
    assert "float32, 2 × 3" in (written.copy.path / "report.html").read_text(encoding="utf-8")
