"""All steps from the slice on: slice, bundle, dump, load, replay, source data, open copy, and a table of the outcome.

In: a paper with captured analyses. Out: an `Outcome`, which prints as a table: rows exported of rows in the database,
statements with equal results, orphans, rows of other projects, seconds for each step. It captures nothing and knows no
pipeline.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datajoint
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..bundle.guide import SOURCE_DATA
from ..names import shown_name
from ..open_copy.result import EXTRA, OpenCopy, lacks
from ..open_copy.sourcedata import SourceData
from ..paper import Paper
from ..paper.bundle import Bundle, write_bundle
from ..replay import ReplayReport
from ..servers import backend_of
from ..slices import Slice


class Steps(dict[str, float]):
    """Seconds of each step, and a line on the terminal after each."""

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self[name] = time.perf_counter() - start
        print(f"{self[name]:7.1f} s  {name}", flush=True)


@dataclass(frozen=True)
class Outcome:
    """The outcome of an export.

    Attributes
    ----------
    cut : Slice
    bundle : Bundle
    report : ReplayReport or None
        None if there was no program for a second server.
    source_data : list of SourceData
        Empty if there was no such program.
    opened : OpenCopy or None
        None if there was no such program, or the packages of the extra ``open`` are not installed.
    captured : mapping of str to int
        Number of captured statements of each kind.
    totals : mapping of str to int
        Number of rows in the database, for each table of the pipeline's schemas.
    of_others : int
        Number of rows of other projects in the slice.
    steps : mapping of str to float
        Seconds.
    """

    cut: Slice
    bundle: Bundle
    report: ReplayReport | None
    source_data: list[SourceData]
    opened: OpenCopy | None
    captured: Mapping[str, int]
    totals: Mapping[str, int]
    of_others: int
    steps: Mapping[str, float]

    @property
    def good(self) -> bool:
        """Whether the slice is sufficient, intact and minimal according to this run."""
        return self.report is not None and self.report.equal and not self.of_others

    def __rich__(self) -> RenderableType:
        return Group(self._tables(), Text(), self._summary(), Text(), self._seconds())

    def _tables(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("table", no_wrap=True, overflow="fold")
        for heading in ("rows exported", "rows in the database"):
            table.add_column(heading, justify="right")
        totals = {name: entry.total_rows for name, entry in self.cut.tables.items()} | dict(self.totals)
        for name in sorted(totals, key=shown_name):
            entry = self.cut.tables.get(name)
            rows = "-" if entry is None else f"{entry.rows:,}" if entry.rows else "structure only"
            table.add_row(shown_name(name), rows, f"{totals[name]:,}")
        exported = sum(entry.rows for entry in self.cut.tables.values())
        table.add_row(f"{len(totals)} tables", f"{exported:,}", f"{sum(totals.values()):,}", style="bold")
        return table

    def _summary(self) -> Table:
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column()
        table.add_column(justify="right")
        table.add_row("statements captured", f"{sum(self.captured.values()):,}")
        for kind, count in sorted(self.captured.items()):
            note = " (DataJoint's own bookkeeping: exports nothing)" if kind == "metadata" else ""
            table.add_row(f"  {kind}{note}", f"{count:,}")
        if self.report is None:
            table.add_row("statements replayed", "none: no program for a second server")
        else:
            results = self.report.statements
            equal = [result for result in results if result.state == "equal"]
            table.add_row("statements replayed", f"{sum(len(result.numbers) for result in results):,}")
            table.add_row("  equal after replay", f"{sum(len(result.numbers) for result in equal):,}")
            table.add_row("foreign keys checked", f"{len(self.report.keys):,}")
            table.add_row("  orphans", f"{self.report.orphans:,}")
        made = [one for one in self.source_data if one.formats]
        if made:
            formats = ", ".join(made[0].formats)
            table.add_row(f"results in source-data ({formats})", f"{len(made):,}")
            as_received = sum(one.received is True for one in made)
            table.add_row("  as the analysis received them", f"{as_received:,}")
        if self.opened is not None:
            count = sum(one.count for one in self.opened.statements)
            table.add_row("statements in the open copy (Parquet, slice.duckdb)", f"{count:,}")
            table.add_row("  DuckDB answers as the server did", f"{self.opened.equal:,}")
        elif missing := lacks(EXTRA, "open"):
            table.add_row(f"open copy: none, without {missing}", "-")
        table.add_row("rows of other projects in the slice", f"{self.of_others:,}")
        size = self.bundle.dump_file.stat().st_size if self.bundle.dump_file.exists() else 0
        table.add_row("dump", f"{size / 1e6:,.1f} MB")
        return table

    def _seconds(self) -> Text:
        return Text("seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.steps.items()))


def connect(server: Any) -> Any:
    """Set ``dj.config`` to a private server, and return ``dj.conn()`` to it."""
    for name in ("host", "port", "user", "password"):
        datajoint.config[f"database.{name}"] = getattr(server, name)
    if server.flavor == "postgresql":  # which only DataJoint 2.x has
        datajoint.config["database.backend"], datajoint.config["database.name"] = (
            "postgresql",
            server.database,
        )
    datajoint.config["database.use_tls"] = False
    datajoint.config["safemode"] = False
    datajoint.logger.setLevel("WARNING")  # without a line for each connection
    return datajoint.conn(reset=True)


def row_counts(connection: Any, prefix: str) -> dict[str, int]:
    """Number of rows of each table in the schemas with ``prefix``, without DataJoint's own tables."""
    full_name = backend_of(connection).dialect.full_name
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE LEFT(table_schema, %s) = %s AND table_type = 'BASE TABLE' AND table_name NOT LIKE '~%%'",
            (len(prefix), prefix),
        )
        names = cursor.fetchall()
        counts = {}
        for schema, table in names:
            cursor.execute(f"SELECT COUNT(*) FROM {full_name(schema, table)}")
            counts[full_name(schema, table)] = int(cursor.fetchone()[0])
        return counts


def beside(folder: Path) -> Path:
    """The folder of the open copy of a bundle in a folder."""
    return folder.with_name(f"{folder.name}-open")


def tell_places(outcome: Outcome) -> None:
    """Print where the bundle and the open copy are, which are kept."""
    folder = outcome.bundle.path
    print(f"\nThe bundle is in {folder}. Look at {folder / 'report.html'}.")
    if outcome.opened is not None:
        folder = outcome.opened.path
        print(f"The open copy is in {folder}. Look at {folder / 'README.md'}.")


def show(
    paper: Paper,
    folder: Path,
    totals: Mapping[str, int],
    count_of_others: Callable[[Slice], int],
    steps: Steps,
    *,
    replay: bool = True,
) -> Outcome:
    """Export a paper's slice, load it elsewhere, replay its statements, and print the outcome.

    Parameters
    ----------
    paper : Paper
    folder : Path
        Folder for the bundle. The open copy stands beside it, in the folder ``…-open``.
    totals : mapping of str to int
        From `row_counts`.
    count_of_others : callable
        Counts the rows of a slice that belong to other projects than the paper's.
    steps : Steps
        The previous steps.
    replay : bool
        False if no second server can be started.

    Raises
    ------
    SpyError
        If a step fails.
    """
    with steps("slice"):
        cut = paper.slice()
    with steps("write"):
        bundle = write_bundle(cut, folder, paper=paper)
    report, source_data, opened = None, list[SourceData](), None
    if replay:
        with steps("dump"):
            bundle.dump(source=paper.connection)
        with steps("load and replay"):
            report = bundle.verify(source=paper.connection)
        with steps("source data"):
            source_data = bundle.source_data(bundle.path / SOURCE_DATA)
        if not lacks(EXTRA, "open"):
            with steps("open copy"):
                opened = bundle.open_copy(beside(bundle.path))
    captured = Counter(statement.kind for statement in paper.statements)
    outcome = Outcome(
        cut, bundle, report, source_data, opened, captured, totals, count_of_others(cut), dict(steps)
    )
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = 200  # a file has no width of its own
    console.print()
    console.print(outcome, markup=False, highlight=False)
    if report is not None and not report.equal:
        console.print(report, markup=False, highlight=False)
    return outcome
