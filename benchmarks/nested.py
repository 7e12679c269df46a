"""Nested: semijoins as Spyglass's long-distance restrictions and RestrGraph nest them, to a slice.

Baseline: the analysis itself. A chain of tables, each referring to the one before. For each pair of them an EXISTS
whose levels alternate a table with itself by its own primary key, as DataJoint writes ``A & (B & (C & …))``; for every
third pair also the rows of one restriction that another one rejects.
"""

from __future__ import annotations

from .data import fresh_schema
from .measure import Figure, Place, pairs, peak_memory

SCHEMA = "bench_nested"


def run(place: Place) -> list[Figure]:
    return [nested(place, tables) for tables in ((4,) if place.quick else (6, 8, 10, 14))]


def nested(place: Place, tables: int) -> Figure:
    from dj_sqlspy.journal import Statement
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.slices import make_slice

    fill(place, tables)
    statements = texts(tables)
    opened, slicing = place.connect(), place.connect(conv=plain_decoders())
    captured = [Statement(sql, 1, number=number) for number, sql in enumerate(statements, 1)]

    def without() -> None:
        with opened.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
                assert len(cursor.fetchall()) == 1

    def ours() -> None:
        cut = make_slice(captured, slicing)
        assert not cut.fallbacks and len(cut.tables) == tables

    found = pairs(without, ours, rounds=2 if place.quick else 3)
    last = tables == 14
    for connection in (opened, slicing):
        connection.close()
    return Figure(
        "nested semijoins, to a slice",
        f"{len(statements)} statements on {tables} tables",
        found.baseline,
        found.ours,
        "at most 5 times" if last else "",
        found.ratio <= 5 if last else None,
        found.ratio,
        peak_memory(),
        size=tables,
    )


def fill(place: Place, tables: int) -> None:
    with place.connect() as opened, opened.cursor() as cursor:
        fresh_schema(cursor, SCHEMA)
        rows = ", ".join(f"('file{f:02d}_.nwb', {k}, {f + k})" for f in range(20) for k in range(20))
        for number in range(tables):
            refers = f", FOREIGN KEY (f, k) REFERENCES {SCHEMA}.t{number - 1} (f, k)" if number else ""
            cursor.execute(
                f"CREATE TABLE {SCHEMA}.t{number} (f VARCHAR(40), k INT, v INT, PRIMARY KEY (f, k){refers})"
            )
            cursor.execute(f"INSERT INTO {SCHEMA}.t{number} VALUES {rows}")


def restriction(top: int, bottom: int, value: int) -> str:
    """The keys of table ``top`` that lead to the rows of one file in table ``bottom``."""
    sql = f"SELECT `f`,`k` FROM `{SCHEMA}`.`t{bottom}` WHERE (`f`='file{value:02d}_.nwb')"
    step = 1 if bottom < top else -1
    for number in range(bottom, top + step, step):
        table = f"`{SCHEMA}`.`t{number}`"
        itself = f"SELECT `f`,`k` FROM {table} WHERE ((`f`,`k`) in ({sql}))"
        sql = f"SELECT `f`,`k` FROM {table} WHERE ((`f`,`k`) in ({itself}))"
    return sql


def texts(tables: int) -> list[str]:
    found = []
    ways = [(top, bottom) for top in range(tables) for bottom in range(tables) if top != bottom]
    for number, (top, bottom) in enumerate(ways):
        one, other = (restriction(top, bottom, n % 20) for n in (number, number + 1))
        found.append(f"SELECT EXISTS({one} LIMIT 1)")
        if number % 3 == 0:
            rows = f"SELECT 1 FROM `{SCHEMA}`.`t{top}` WHERE (`f`,`k`) in ({one}) AND(NOT ((`f`,`k`) in ({other})))"
            found.append(f"SELECT EXISTS({rows})")
    return found
