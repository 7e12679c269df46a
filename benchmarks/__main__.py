"""Run the benchmarks: ``python -m benchmarks [--quick] [--only TOPIC] [--write]``.

Each topic has a private server of its own, and runs in a process of its own. What it measured is printed as soon as
it is done; then all of it as tables, with the machine, the versions and the seed of the data. A goal that was missed
is printed as such and is no failure; an exception is one.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dj_sqlspy.servers import NAMES, private_postgresql, private_server

from .against import differences
from .data import SEED
from .measure import Figure, Place, figures, give_room, growth, line, table

TOPICS = {
    "capture": "What capture costs an analysis",
    "journal_read": "Reading a journal",
    "sessions": "The ten thousandth session",
    "loop": "A loop of single rows",
    "nested": "Nested semijoins",
    "shapes": "Many shapes of statements",
    "list": "A long list of keys",
    "graph": "Many tables, few rows",
    "cascade": "Many rows, twelve tables deep",
    "chain": "A long chain of rows of one table",
    "tables": "A laboratory of many small tables",
    "dump": "Dump and restore",
    "open": "Parquet files and a DuckDB database",
}
README = Path(__file__).with_name("README.md")
PACKAGES = ("dj-sqlspy", "datajoint", "pymysql", "sqlglot", "networkx")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the topics one after the other."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.server == "postgresql" and (options.against or options.only != ["capture"]):
        parser.error("on PostgreSQL there is one topic: --server postgresql --only capture")
    if options.against:
        return compared(options.against, options.server)
    report = []
    for topic in options.only or TOPICS:
        print(f"== {topic}: {TOPICS[topic]}", flush=True)
        started = time.monotonic()
        found, conditions = measure(topic, options.server, options.quick)
        for one in found:
            print(f"   {line(one)}")
        print(f"   ({time.monotonic() - started:.0f} s)", flush=True)
        report.append((topic, found, conditions))
    for topic, found, conditions in report:
        print(f"\n{section(topic, found, conditions)}")
    goals = [one.met for _, found, _ in report for one in found if one.met is not None]
    if goals:
        print(f"\n{sum(goals)} of {len(goals)} goals met")
    if options.write:
        text = README.read_text()
        for topic, found, conditions in report:
            place = topic if options.server == "mariadb" else f"{topic} on {NAMES[options.server]}"
            text = between(text, place, section(topic, found, conditions))
        README.write_text(text)
    return 0


def compared(commit: str, flavor: Any) -> int:
    """Print where the slices of another commit have other rows; 1 if there is such a place."""
    with private_server(flavor) as server:
        place = Place(server.host, server.port, server.user, server.password, server.flavor, server.version)
        found = list(differences(place, commit))
    print("\n".join(found))
    return 1 if len(found) > 1 else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, to see that all of it runs; no goals"
    )
    parser.add_argument("--only", choices=TOPICS, action="append", help="this topic (several times: these)")
    parser.add_argument("--write", action="store_true", help="write the tables into benchmarks/README.md")
    parser.add_argument(
        "--server",
        choices=("mariadb", "mysql", "postgresql"),
        default="mariadb",
        help="which one to start (PostgreSQL: --only capture)",
    )
    parser.add_argument(
        "--against",
        metavar="COMMIT",
        help="only compare the rows of slices, and the time for them, with those of another commit",
    )
    return parser


def measure(topic: str, flavor: Any, quick: bool) -> tuple[list[Figure], str]:
    """What a topic measured, and under which conditions."""
    before = os.getloadavg()[0]
    with private_postgresql() if flavor == "postgresql" else private_server(flavor) as server:
        give_room(server)
        where = server.host, server.port, server.user, server.password, server.flavor, server.version
        place = Place(*where, quick, getattr(server, "database", ""))
        found = figures(f"{topic}:run", place)
        about = f"{NAMES[flavor]} {server.version}"
    if quick:  # the goals are for sizes of their own
        found = [replace(one, goal="", met=None) for one in found]
    load = f"load average {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    return found, f"{time.strftime('%Y-%m-%d')}; {machine()}; {load}; {about}; {versions()}; seed {SEED}"


def machine() -> str:
    """The processor, its cores and the memory."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [text for text in cpuinfo.read_text().splitlines() if text.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{platform.system()}, {os.cpu_count()} × {model}, {memory:.0f} GiB"


def versions() -> str:
    """Python and the packages that have a part in it."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
    )


def section(topic: str, found: Sequence[Figure], conditions: str) -> str:
    """A topic in Markdown: its table, how it grows, where it was measured."""
    headings = ["what", "work", "baseline", "ours", "ratio", "goal", "met", "peak memory", ""]
    parts = [f"### {TOPICS[topic]} (`{topic}`)", markdown(headings, table(found))]
    grown = growth(found)
    if grown:
        parts.append(markdown(["how it grows", "work", "ours", "baseline"], grown))
    return "\n\n".join([*parts, f"Measured {conditions}."])


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns that are empty in every row."""
    kept = [i for i, _ in enumerate(headings) if any(row[i] for row in rows)]
    lines = [[headings[i] for i in kept], ["---"] * len(kept), *([row[i] for i in kept] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def between(text: str, topic: str, new: str) -> str:
    """Text with a new part between its marks; a part without marks comes at the end.

    >>> print(between("a\\n<!-- begin x -->\\nold\\n<!-- end x -->\\nb", "x", "new"))
    a
    <!-- begin x -->
    new
    <!-- end x -->
    b
    """
    begin, end = f"<!-- begin {topic} -->", f"<!-- end {topic} -->"
    if begin not in text:
        text += f"\n{begin}\n{end}\n"
    before, rest = text.split(begin)
    return f"{before}{begin}\n{new}\n{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    sys.exit(main())
