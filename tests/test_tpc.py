"""TPC-H and TPC-DS: statements that nobody wrote for this project, captured, sliced, loaded and replayed.

TPC-H runs with rows, in its 22 analyses of one paper, the whole way through the dump; each analysis alone is loaded
into a copy of the tables, where what is left out is most. Of TPC-DS, each text gets a lineage, and the server takes
every query of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.lineage import Lineage, analyse
from dj_sqlspy.lineage.witness import KEYS
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.catalog import read_catalog
from dj_sqlspy.servers.mysql.dialect import MYSQL
from dj_sqlspy.servers.mysql.snapshot import MySQLSnapshot as Asker
from tests.conftest import drop_schemas
from tests.exported import Twin, whole_way
from tests.tpc import SCALE, TPCDS, TPCH, Source

full_name, quote = MYSQL.full_name, MYSQL.quote

pytestmark = [pytest.mark.slow, pytest.mark.line("2.x")]  # how a SELECT by hand is captured does not differ

LINEITEM = full_name("tpch", "lineitem")
# Its WHERE is all that decides: the rows of lineitem are those that it selects, and no other.
FORECAST = 6
# Selects by a brand and a container that meet in no part at this scale; its result is a sum of nothing.
EMPTY = 17
# Sums up all that was shipped by a day near the end.
SUMMARY = 1


@pytest.fixture(scope="module")
def tpch(server: Server) -> Iterator[Source]:
    """The tables of TPC-H with rows, in the schema ``tpch``."""
    source = Source(TPCH, SCALE)
    with server.connect() as connection, connection.cursor() as cursor:
        source.create(cursor, "tpch")
        source.fill(cursor, "tpch")
        connection.commit()
    yield source
    drop_schemas(server, ["tpch"])


@pytest.fixture
def paper(tpch: Source, server: Server, dj_conn: Any, home: Path) -> Iterator[sqlspy.Paper]:
    """Each query sent by hand over DataJoint's connection, in an analysis of its own."""
    dj_conn.query("USE tpch")
    for number, text in tpch.queries(server.flavor).items():
        with sqlspy.export("tpch", f"q{number}", home=home):
            rows = dj_conn.query(text.replace("%", "%%")).fetchall()
        assert len(rows) == len(tpch.rows(tpch.text(number))) > 0, f"query {number}"
    yield sqlspy.Paper("tpch", home=home)
    dj_conn.connect()  # another connection, which is in no schema


def lineitems(cut: Any) -> int:
    return cut.tables[LINEITEM].rows if LINEITEM in cut.tables else 0


def test_tpch_the_whole_way(
    paper: sqlspy.Paper, server: Server, clean_scratch: Server, tmp_path: Path
) -> None:
    """All 22 as one paper, and the paper without the query that reads nearly everything."""
    for name, analyses in (("all", None), ("selective", [f"q{n}" for n in range(2, 23)])):
        cut = sqlspy.Paper("tpch", home=paper.home, analyses=analyses).slice()
        assert len(cut.statements) == (21 if analyses else 22)
        assert not cut.fallbacks and not cut.drifted
        drop_schemas(clean_scratch, ["tpch"])
        bundle, report = whole_way(cut, server, clean_scratch, tmp_path / name)
        # also those that stop at ties, and are marked
        assert [each.state for each in report.statements] == ["equal"] * len(cut.statements)
        assert report.keys and not report.broken_keys
        assert bundle.open_copy(tmp_path / f"{name}-open").equal == len(cut.statements)  # by DuckDB


def test_tpch_each_query_alone(paper: sqlspy.Paper, tpch: Source, server: Server) -> None:
    (total,) = tpch.rows("SELECT COUNT(*) FROM lineitem")[0]
    with server.connect() as connection:
        connection.autocommit(True)
        twin = Twin(connection, ["tpch"])
        try:
            for number in range(1, 23):
                cut = sqlspy.Paper("tpch", home=paper.home, analyses=[f"q{number}"]).slice()
                twin.load(cut)
                connection.select_db("tpch")
                assert twin.differences(cut) == [], f"query {number}"
                (report,) = cut.statements
                assert report.fallback is None and report.marks <= {"limit"}
                if number != SUMMARY:
                    assert lineitems(cut) < total * 0.06, f"query {number}: {lineitems(cut)}"
                if number == FORECAST:
                    where = tpch.text(FORECAST).lower().partition("where")[2].rstrip("; \n")
                    assert (lineitems(cut),) == tpch.rows(f"SELECT COUNT(*) FROM lineitem WHERE {where}")[0]
                if number == EMPTY:
                    assert not any(table.rows for table in cut.tables.values())
        finally:
            twin.drop()


# What MariaDB does not have, by query: the function GROUPING.
REFUSED = {"mysql": set[int](), "mariadb": {70, 86}}


def questions(lineage: Lineage) -> Iterator[str]:
    """Each query that a lineage may ask a server, a rule's for all keys."""
    for leaf in lineage.leaves:
        if leaf.sql is not None:
            yield leaf.sql
    for rule in lineage.witnesses:
        for sql in {*(sql for sql, _ in rule.asks), rule.group_sql} - {""}:
            yield sql.replace(quote(KEYS), "TRUE")


def test_tpcds_has_a_lineage(server: Server) -> None:
    """Each of the 99 is analysed, none falls back, and the server takes each query for keys."""
    source = Source(TPCDS, 0)
    asked = 0
    with server.connect() as connection, connection.cursor() as cursor:
        try:
            source.create(cursor, "tpcds")
            cursor.execute("USE tpcds")
            Asker(connection).start()  # the settings that the cascade asks with
            catalog = read_catalog(connection, ["tpcds"])
            texts = source.queries(server.flavor)
            refused, fallbacks = set(), {}
            for number, text in texts.items():
                lineage = analyse(text, catalog, default_schema="tpcds")
                if lineage.fallback is not None:
                    fallbacks[number] = lineage.fallback
                assert lineage.leaves and lineage.tables
                try:
                    cursor.execute(f"EXPLAIN {text}")
                except pymysql.MySQLError:
                    refused.add(number)
                    continue
                for sql in questions(lineage):
                    cursor.execute(f"EXPLAIN {sql}")
                    asked += 1
        finally:
            connection.rollback()
            cursor.execute("DROP DATABASE tpcds")
    assert (len(texts), fallbacks, refused) == (99, {}, REFUSED[server.flavor])
    assert asked > 1000
