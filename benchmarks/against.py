"""Against: the rows of slices from this build and from another commit, compared.

Both builds capture the 22 queries of TPC-H on one server, each query as an analysis, and make a slice of each and of
all together. They use names only that both have. Times are not measured.
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

from .measure import Place

HERE = Path(__file__).resolve().parent.parent
# Runs with the modules of one build. Its input: where the server is, and the queries. It prints the keys of each slice.
SLICING = """
import hashlib, json, sys
import datajoint as dj
import dj_sqlspy as sqlspy

task = json.load(sys.stdin)
assert sqlspy.__file__.startswith(task["folder"]), sqlspy.__file__
for name in ("host", "port", "user", "password"):
    dj.config[f"database.{name}"] = task["place"][name]
dj.config["database.use_tls"] = None if task["place"]["flavor"] == "mysql" else False
connection = dj.conn()
connection.query("USE tpch")
for number, text in task["queries"].items():
    with sqlspy.export("tpch", f"q{number}", home=task["home"]):
        connection.query(text.replace("%", "%%")).fetchall()
found = {}
for analyses in [*([f"q{number}"] for number in task["queries"]), None]:
    cut = sqlspy.Paper("tpch", home=task["home"], analyses=analyses).slice()
    assert not cut.fallbacks, cut.fallbacks
    for table in cut.tables:
        keys = sorted(map(repr, cut.keys(table)))
        digest = hashlib.sha256("\\n".join(keys).encode()).hexdigest()
        found[f"{'all' if analyses is None else analyses[0]} {table}"] = [len(keys), digest]
print(json.dumps(found))
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
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder, "build")
        build.mkdir()
        archive = subprocess.run(
            ["git", "archive", commit, "dj_sqlspy"], cwd=HERE, capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", str(build)], input=archive.stdout, check=True)
        now, then = (sliced(place, each, queries, folder) for each in (HERE, build))
    for name in sorted({*now, *then}):
        one, other = (each.get(name, [0, ""]) for each in (now, then))
        if one != other and (one[0] or other[0]):
            yield f"{name}: {one[0]} rows, {other[0]} in {commit}{'' if one[0] != other[0] else ', others'}"
    rows = sum(number for number, _ in now.values())
    yield f"{len(queries)} queries, alone and together: {len(now)} sets of keys, {rows:,} rows compared with {commit}"


def sliced(place: Place, build: Path, queries: dict[int, str], folder: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder) as home:
        task = {"place": asdict(place), "queries": queries, "home": home, "folder": str(build)}
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
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found
