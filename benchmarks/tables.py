"""Tables: slice, write and dump of a laboratory of many small tables.

Baseline: one ``mysqldump | gzip`` of all the schemas. Each table's key extends that of a table before it, as DataJoint
declares them, and one in six tables is a lookup that others refer to. For each table a statement reads the rows of two
subjects; every fifth reads a part of them.
"""

from __future__ import annotations

import gzip
import itertools
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .data import fresh_schema
from .dump import client_file, ours_dump, program, shell
from .measure import Figure, Place, in_process, peak_memory, seconds

PREFIX = "bench_tables"
SUBJECTS = 6


@dataclass(frozen=True)
class Made:
    """A table of the laboratory: its full name, its key, and how many rows of it each subject has (0: a lookup)."""

    name: str
    key: tuple[str, ...]
    rows: int


def run(place: Place) -> list[Figure]:
    sizes = [(11, 3)] if place.quick else [(11, 3), (140, 10), (500, 36)]
    return [figure for tables, schemas in sizes for figure in in_turns(place, tables, schemas)]


def in_turns(place: Place, tables: int, schemas: int) -> list[Figure]:
    fill(place, tables, schemas)
    rounds = 2 if place.quick else 3 if tables > 200 else 9
    with tempfile.TemporaryDirectory() as folder:
        made = in_process("tables:bundle", place, folder=folder, tables=tables, schemas=schemas)
        options = client_file(place, folder, "source")
        dumps = [(plain(place, options, folder, schemas), ours_dump(options, folder)) for _ in range(rounds)]
        found = reads(Path(folder, "bundle", "dump.sql.gz"))
    with place.connect() as opened, opened.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for number in range(schemas):
            cursor.execute(f"DROP DATABASE {PREFIX}{number}")
    work = f"{tables} tables in {schemas} schemas"
    ratio = statistics.median(ours / baseline for baseline, ours in dumps)
    goal, most = ("at most 5 s", 5.0) if tables == 500 else ("", None)
    return [
        *(
            Figure(
                what,
                work,
                None,
                made[what],
                goal,
                None if most is None else made[what] <= most,
                size=tables,
                memory=memory,
            )
            for what, memory in (("slice", None), ("write", made["memory"]))
        ),
        Figure(
            "dump",
            work,
            statistics.median(baseline for baseline, _ in dumps),
            statistics.median(ours for _, ours in dumps),
            goal or "at most 2 times",
            statistics.median(ours for _, ours in dumps) <= most if most else ratio <= 2,
            ratio,
            None,
            f"{found} mysqldumps",
            tables,
        ),
    ]


def reads(dump: Path) -> int:
    """How many mysqldumps read the rows: dump.sh prints a USE before each."""
    text = gzip.decompress(dump.read_bytes()).partition(b"\n-- Rows.\n")[2]
    return text.count(b"\nUSE `")


def plain(place: Place, options: str, folder: str, schemas: int) -> float:
    names = " ".join(f"{PREFIX}{number}" for number in range(schemas))
    dumper = program(*(["mysqldump"] if place.flavor == "mysql" else ["mariadb-dump", "mysqldump"]))
    return shell(
        f"{dumper} {options} --single-transaction --hex-blob --no-tablespaces --databases {names}"
        f" | gzip -n > {folder}/plain.sql.gz"
    )


def layout(tables: int, schemas: int) -> list[Made]:
    made: list[Made] = []
    for number in range(tables):
        schema, own = f"`{PREFIX}{number * schemas // tables}`", f"id{number}"
        if number % 6 == 5:
            made.append(Made(f"{schema}.`#lookup{number}`", (own,), 0))
            continue
        before = [table for table in made if table.rows]
        parent = before[number * 7 % len(before)] if before else None
        key = ("subject",) if parent is None else parent.key[:3]
        rows = 1 if parent is None else 2 if number % 3 else parent.rows
        made.append(Made(f"{schema}.`table{number}`", (*key, own) if rows == 2 and parent else key, rows))
    return made


def fill(place: Place, tables: int, schemas: int) -> None:
    by_key: dict[tuple[str, ...], Made] = {}
    lookup: Made | None = None
    with place.connect() as opened, opened.cursor() as cursor:
        for number in range(schemas):
            fresh_schema(cursor, f"{PREFIX}{number}")
        for table in layout(tables, schemas):
            parts = [f"`{column}` INT NOT NULL" for column in table.key]
            if table.rows:
                above = [by_key[key] for key in prefixes(table.key) if key in by_key]
                for parent in above[:1]:
                    names = ", ".join(parent.key)
                    parts.append(f"FOREIGN KEY ({names}) REFERENCES {parent.name} ({names})")
                if lookup is not None:
                    parts.append("`kind` INT NOT NULL DEFAULT 3")
                    parts.append(f"FOREIGN KEY (kind) REFERENCES {lookup.name} ({lookup.key[0]})")
                by_key.setdefault(table.key, table)
                keys = itertools.product(range(SUBJECTS), *[range(2)] * (len(table.key) - 1))
            else:
                lookup, keys = table, itertools.product(range(20))
            parts += ["`note` VARCHAR(40) NOT NULL", f"PRIMARY KEY ({', '.join(table.key)})"]
            values = [f"({', '.join(map(str, key))}, 'text')" for key in keys]
            cursor.execute(f"CREATE TABLE {table.name} ({', '.join(parts)})")
            cursor.execute(
                f"INSERT INTO {table.name} ({', '.join(table.key)}, note) VALUES {', '.join(values)}"
            )


def prefixes(key: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A key and its beginnings, the longest first."""
    return [key[:width] for width in range(len(key), 0, -1)]


def statements(tables: int, schemas: int) -> list[str]:
    found = []
    for number, table in enumerate(layout(tables, schemas)):
        condition = "`subject` IN (1, 4)" if table.rows else f"`{table.key[0]}` IN (2, 3)"
        if number % 5 == 4 and table.rows:
            condition += f" AND `{table.key[-1]}` = 1"
        found.append(f"SELECT * FROM {table.name} WHERE ({condition})")
    return found


def bundle(place: Place, folder: str, tables: int, schemas: int) -> dict[str, Any]:
    """Slice and write; seconds of each."""
    from dj_sqlspy.journal import Statement
    from dj_sqlspy.paper.bundle import write_bundle
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.slices import make_slice

    captured = [Statement(sql, None, number=n) for n, sql in enumerate(statements(tables, schemas), 1)]
    cuts = []
    with place.connect(conv=plain_decoders()) as opened, place.connect() as connection:
        sliced = seconds(lambda: cuts.append(make_slice(captured, opened)))
        written = seconds(lambda: write_bundle(cuts[0], Path(folder, "bundle"), connection=connection))
    assert len(cuts[0].tables) == tables
    return {"slice": sliced, "write": written, "memory": peak_memory()}
