"""Reading: a long journal, its statements grouped into shapes, and the lineage of each shape.

Baseline: what it would cost to have sqlglot parse each statement, from a sample of them.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .data import SEED
from .measure import Figure, Place, in_process

TABLES = 50


def run(place: Place) -> list[Figure]:
    sizes = [(2_000, 50)] if place.quick else [(10_000, 1_000), (100_000, 1_000), (1_000_000, 1_000)]
    found = []
    for count, shapes in sizes:
        last = (count, shapes) == sizes[-1]
        with tempfile.TemporaryDirectory() as home:
            in_process("journal_read:write", place, home=home, count=count, shapes=shapes)
            size = sum(path.stat().st_size for path in Path(home).rglob("*.journal"))
            ours = in_process("journal_read:read", place, home=home)
        if (ours["statements"], ours["shapes"]) != (count, shapes):
            raise RuntimeError(f"{count} statements in {shapes} shapes were read as {ours}")
        each = in_process("journal_read:parse", place, count=200 if place.quick else 4_000, shapes=shapes)
        goal = "1/30, under 1 GB and 90 s" if last and not place.quick else ""
        fast = ours["seconds"] * 30 <= each * count
        found.append(
            Figure(
                "reading a journal, and lineage",
                f"{count:,} statements, {shapes:,} shapes",
                each * count,
                ours["seconds"],
                goal,
                (fast and ours["memory"] < 1e9 and ours["seconds"] < 90) if goal else None,
                memory=ours["memory"],
                note=f"file {size / 2**20:,.0f} MiB; read {ours['read']:.1f} s, lift {ours['lift']:.1f} s,"
                f" lineage {ours['lineage']:.1f} s; baseline from a sample",
                size=count,
            )
        )
    return found


def catalog() -> Any:
    """Fifty tables in a chain of foreign keys, made without a server."""
    from dj_sqlspy.servers.catalog import Catalog
    from dj_sqlspy.servers.columns import Column
    from dj_sqlspy.servers.tables import ForeignKey, Table

    tables = {}
    keys = []
    for number in range(TABLES):
        names = [f"key{i}" for i in range(max(0, number - 2), number + 1)]
        columns = [Column(name, "int", "int(11)", False, None, "") for name in names]
        columns += [Column(f"value{i}", "double", "double", True, None, "") for i in range(20)]
        columns += [Column("note", "varchar", "varchar(64)", False, "utf8mb4_general_ci", "")]
        table = Table("lab", f"table{number}", tuple(columns), tuple(names), "InnoDB")
        tables[table.full_name] = table
        if number:
            shared = tuple(names[:-1])
            parent = f"`lab`.`table{number - 1}`"
            keys.append(ForeignKey(f"fk{number}", table.full_name, shared, parent, shared))
    return Catalog(tables, tuple(keys))


def statements(count: int, shapes: int) -> Iterator[str]:
    """Statements as DataJoint 2.3 sends them, in the given number of shapes, each with literals of its own."""
    chooser = random.Random(SEED)
    templates = [template for _, template in zip(range(shapes), _templates(chooser), strict=False)]
    for number in range(count):
        one, other, third = number, chooser.randrange(10**6), chooser.random()
        yield templates[number % shapes].format(n=one, m=other, x=third)


def _templates(chooser: random.Random) -> Iterator[str]:
    seen = set()
    while True:
        number = chooser.randrange(1, TABLES)
        columns = chooser.sample(range(20), chooser.randint(1, 6))
        names = ",".join(f"`value{i}`" for i in sorted(columns))
        key = [f"`key{i}`" for i in range(max(0, number - 2), number + 1)]
        table, parent = f"`lab`.`table{number}`", f"`lab`.`table{number - 1}`"
        own, shared = ",".join(key), ",".join(key[:-1])
        where = f"( ({key[-1]}={{n}})AND({key[0]}={{m}}))"
        text = chooser.choice(
            [
                f"SELECT {own},{names} FROM {table} WHERE {where}",
                f"SELECT {own},{names} FROM {table} WHERE {where}AND( (`value1`>{{x}}))AND( (`note`='day {{m}}'))",
                f"SELECT {own},{names} FROM {table} WHERE (({shared}) in (SELECT {shared} FROM {parent}"
                f" WHERE ( ({key[0]}={{n}}))))",
                f"SELECT {own},{names} FROM {table} JOIN (SELECT {shared} FROM {parent} WHERE ( ({key[0]}={{n}})))"
                f" as `$1` USING ({shared}) WHERE ( (`value2`<{{x}}))",
                f"SELECT {shared},count(*) as `n`,avg(`value{columns[0]}`) as `mean` FROM {table} WHERE {where}"
                f" GROUP BY {shared}",
                f"SELECT count(*) FROM (SELECT DISTINCT {own} FROM {table} WHERE {where}) AS distinct_count",
            ]
        )
        if text not in seen:
            seen.add(text)
            yield text


def write(place: Place, home: str, count: int, shapes: int) -> int:
    """Write a journal as a session does."""
    from dj_sqlspy.journal import Journal

    journal = Journal(Path(home), "bench", "reading", {})
    journal.start()
    for sql in statements(count, shapes):
        number = journal.statement(sql, None, "data", "localhost:3306", 0, has_ended=False)
        journal.ended(number, 1)
    journal.end()
    return count


def parse(place: Place, count: int, shapes: int) -> float:
    """Seconds that sqlglot takes for a statement."""
    import sqlglot

    texts = list(statements(count, shapes))
    sqlglot.parse_one(texts[0], dialect="mysql")
    start = time.perf_counter()
    for text in texts:
        sqlglot.parse_one(text, dialect="mysql")
    return (time.perf_counter() - start) / len(texts)


def read(place: Place, home: str) -> dict[str, float]:
    """Read it back."""
    from dj_sqlspy.lineage import analyse
    from dj_sqlspy.paper import Paper
    from dj_sqlspy.shapes import group

    from .measure import peak_memory

    known = catalog()
    start = time.perf_counter()
    captured = Paper("bench", home=home).statements
    read = time.perf_counter()
    shapes = group(captured)
    lifted = time.perf_counter()
    for shape in shapes:
        if analyse(shape.marked, known, kind=shape.kind).fallback:
            raise RuntimeError(f"not analysed: {shape.template}")
    end = time.perf_counter()
    return {
        "statements": len(captured),
        "shapes": len(shapes),
        "seconds": end - start,
        "read": read - start,
        "lift": lifted - read,
        "lineage": end - lifted,
        "memory": peak_memory(),
    }
