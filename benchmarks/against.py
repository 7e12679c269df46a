"""Against: the rows of slices from this build and from another commit, compared, and the time that each takes.

Both builds capture the same statements on one server: the 22 queries of TPC-H, each as an analysis of its own, the
analysis of `shapes`, and the semijoins of `nested`. They make a slice of each analysis, and of all of a paper together.
They use names only that both have. Times are the shortest of three.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import nested, shapes
from .measure import Place, duration, times

HERE = Path(__file__).resolve().parent.parent
# Tables of `nested`: earlier commits end with RecursionError for 10.
NESTED = 6
# Runs with the modules of one build. Its input: where the server is, and the statements of each paper, by analysis. It
# prints the keys of each slice, and the seconds that the slice of each paper took.
SLICING = """
import hashlib, json, sys, time
import datajoint as dj
import dj_sqlspy as sqlspy

task = json.load(sys.stdin)
assert sqlspy.__file__.startswith(task["folder"]), sqlspy.__file__
for name in ("host", "port", "user", "password"):
    dj.config[f"database.{name}"] = task["place"][name]
dj.config["database.use_tls"] = None if task["place"]["flavor"] == "mysql" else False
connection = dj.conn()
found, seconds = {}, {}
for paper, analyses in task["papers"].items():
    if paper == "tpch":
        connection.query("USE tpch")
    for analysis, texts in analyses.items():
        with sqlspy.export(paper, analysis, home=task["home"]):
            for text in texts:
                connection.query(text.replace("%", "%%")).fetchall()
    for chosen in [*([analysis] for analysis in analyses), None]:
        taken = []
        for _ in range(3 if chosen is None else 1):
            started = time.perf_counter()
            cut = sqlspy.Paper(paper, home=task["home"], analyses=chosen).slice()
            taken.append(time.perf_counter() - started)
        seconds[paper] = min(taken)
        assert not cut.fallbacks, cut.fallbacks
        for table in cut.tables:
            keys = sorted(map(repr, cut.keys(table)))
            digest = hashlib.sha256("\\n".join(keys).encode()).hexdigest()
            found[f"{'all of ' + paper if chosen is None else chosen[0]} {table}"] = [len(keys), digest]
print(json.dumps([found, seconds]))
"""


def differences(place: Place, commit: str) -> Iterator[str]:
    """Lines about what the two builds have not in common, and a last line that says how much was compared."""
    sys.path.insert(0, str(HERE))
    from tests.tpc import SCALE, TPCH, Source

    source = Source(TPCH, SCALE)
    with place.connect() as opened, opened.cursor() as cursor:
        source.create(cursor, "tpch")
        source.fill(cursor, "tpch")
    queries = source.queries(place.flavor)
    tables = shapes.declare(place, place.datajoint())
    papers = {
        "tpch": {f"q{number}": [text] for number, text in queries.items()},
        "shapes": {"shapes": [expression.make_sql() for expression in shapes.expressions(tables)]},
        "nested": {"nested": nested.texts(NESTED)},
    }
    nested.fill(place, NESTED)
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder, "build")
        build.mkdir()
        archive = subprocess.run(
            ["git", "archive", commit, "dj_sqlspy"], cwd=HERE, capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", str(build)], input=archive.stdout, check=True)
        (now, seconds), (then, before) = (sliced(place, each, papers, folder) for each in (HERE, build))
    for name in sorted({*now, *then}):
        one, other = (each.get(name, [0, ""]) for each in (now, then))
        if one != other and (one[0] or other[0]):
            yield f"{name}: {one[0]} rows, {other[0]} in {commit}{'' if one[0] != other[0] else ', others'}"
    rows = sum(number for number, _ in now.values())
    statements = sum(len(texts) for analyses in papers.values() for texts in analyses.values())
    yield f"{statements} statements: {len(now)} sets of keys, {rows:,} rows compared with {commit}" + "".join(
        f"; {paper}: {duration(taken)}, {duration(before[paper])} in {commit} ({times(taken / before[paper])})"
        for paper, taken in seconds.items()
    )


def sliced(
    place: Place, build: Path, papers: dict[str, dict[str, list[str]]], folder: str
) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(dir=folder) as home:
        task = {"place": asdict(place), "papers": papers, "home": home, "folder": str(build)}
        made = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SLICING],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(build)},
        )
    if made.returncode:
        raise RuntimeError(f"slicing with {build} ended with code {made.returncode}:\n{made.stderr}")
    found: list[dict[str, Any]] = json.loads(made.stdout.splitlines()[-1])
    return found
