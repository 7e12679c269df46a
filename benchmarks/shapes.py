"""Shapes: an analysis that sends hardly any statement twice, to a slice.

Baseline: the analysis itself. Every pair of eleven tables under ``*``, ``&`` and ``-``, with ``aggr`` where DataJoint
allows it, and with ``dj.U`` of the attributes that both have.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from typing import Any

from .data import fresh_schema
from .measure import Figure, Place, pairs, peak_memory

SCHEMA = "bench_shapes"
SUBJECTS = 6
DEFINITIONS = {
    "Species": ("Lookup", "species : int \n--- \n species_name : varchar(20)"),
    "Task": ("Lookup", "task : int \n--- \n task_name : varchar(20)"),
    "Probe": ("Lookup", "probe : int \n--- \n probe_type : varchar(20)"),
    "Subject": ("Manual", "subject : int \n--- \n -> Species \n weight : double"),
    "Session": ("Manual", "-> Subject \n session : int \n--- \n -> Task \n score : int"),
    "Note": ("Manual", "-> Session \n--- \n note : varchar(40)"),
    "Excluded": ("Manual", "-> Session \n--- \n why : varchar(40)"),
    "Trial": ("Manual", "-> Session \n trial : int \n--- \n outcome : varchar(8)"),
    "Recording": ("Manual", "-> Session \n -> Probe \n--- \n rate : double"),
    "Unit": ("Manual", "-> Recording \n unit : int \n--- \n depth : double"),
    "Quality": ("Manual", "-> Unit \n--- \n quality : double"),
}


def run(place: Place) -> list[Figure]:
    import dj_sqlspy
    from dj_sqlspy.paper import Paper
    from dj_sqlspy.servers.mysql.snapshot import plain_decoders
    from dj_sqlspy.shapes import group
    from dj_sqlspy.slices import make_slice

    connection = place.datajoint()
    tables = declare(place, connection)
    if place.quick:
        tables = tables[-3:]
    with tempfile.TemporaryDirectory() as home:
        with dj_sqlspy.export("bench", "shapes", home=home):
            analysis(tables)
        captured = Paper("bench", home=home, connection=connection).statements
    slicing = place.connect(conv=plain_decoders())

    def ours() -> None:
        cut = make_slice(captured, slicing)
        assert not cut.fallbacks and not any(report.drifted for report in cut.statements)

    found = pairs(lambda: analysis(tables), ours, rounds=2 if place.quick else 5)
    slicing.close()
    with place.connect() as opened, opened.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {SCHEMA}")
    return [
        Figure(
            "an analysis of many shapes, to a slice",
            f"{len(captured)} statements of {len(group(captured))} shapes",
            found.baseline,
            found.ours,
            "at most 0.5 times",
            found.ratio <= 0.5,
            found.ratio,
            peak_memory(),
        )
    ]


def declare(place: Place, connection: Any) -> list[Any]:
    """The eleven tables, with rows."""
    import datajoint

    with place.connect() as opened, opened.cursor() as cursor:
        fresh_schema(cursor, SCHEMA)
    schema = datajoint.Schema(SCHEMA, connection=connection)
    made: dict[str, Any] = {}
    for name, (tier, definition) in DEFINITIONS.items():
        made[name] = schema(type(name, (getattr(datajoint, tier),), {"definition": definition}), context=made)
    lookups = range(4)
    sessions = [(subject, session) for subject in range(SUBJECTS) for session in range(3)]
    recordings = [(*key, probe) for key in sessions for probe in range(2) if key[1]]
    units = [(*key, unit) for key in recordings for unit in range(4)]
    rows: dict[str, list[tuple[Any, ...]]] = {
        **{name: [(n, f"{name} {n}") for n in lookups] for name in ("Species", "Task", "Probe")},
        "Subject": [(n, n % 3, 20.5 + n) for n in range(SUBJECTS)],
        "Session": [(*key, sum(key) % 4, sum(key)) for key in sessions],
        "Note": [(*key, "as usual") for key in sessions[::2]],
        "Excluded": [(*key, "too short") for key in sessions[::5]],
        "Trial": [(*key, n, "hit" if n % 2 else "miss") for key in sessions for n in range(5)],
        "Recording": [(*key, 30_000.0) for key in recordings],
        "Unit": [(*key, 10.0 * key[-1]) for key in units],
        "Quality": [(*key, 0.5) for key in units[::2]],
    }
    for name, contents in rows.items():
        made[name].insert(contents)
    return [table() for table in made.values()]


def analysis(tables: list[Any]) -> None:
    for expression in expressions(tables):
        expression.to_dicts() if hasattr(expression, "to_dicts") else expression.fetch(as_dict=True)


def expressions(tables: list[Any]) -> Iterator[Any]:
    import datajoint

    for one, other in itertools.permutations(tables, 2):
        yield from (one * other, one & other, one - other)
        if set(one.primary_key) <= set(other.heading.names):
            yield one.aggr(other, n="count(*)")
        if both := [name for name in one.heading.names if name in other.heading.names]:
            yield from (datajoint.U(*both) & other, datajoint.U(*both).aggr(other, n="count(*)"))
            yield datajoint.U(*both) & (other & one)
