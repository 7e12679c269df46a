"""Show: a slice in a terminal and a notebook.

In: the tables and the reports of a `Slice`. Out: text, rich tables and HTML. It computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from markupsafe import Markup
from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from ..cascade.leaves import StatementReport
from ..display import COLOURS, count, first, html_table, one_line
from ..names import class_name, split_full_name, tier_of
from ..rules import LEFT_OUT, NOT_SENT, SKIPPED
from .tables import TableSlice

Tables = Mapping[str, TableSlice]


def lines(tables: Tables, reports: Sequence[StatementReport]) -> Iterable[RenderableType]:
    """A slice for a terminal: its tables, then its warnings."""
    table = RichTable(box=None, pad_edge=False)
    table.add_column("table", overflow="fold", ratio=4)
    for heading in ("rows", "of"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=4)
    for name, entry in tables.items():
        schema, short = split_full_name(name)
        label = Text(f"{schema}.", style="dim") + Text(class_name(short), style=COLOURS[tier_of(short)][1])
        if not entry.rows:
            label.stylize("dim")
        table.add_row(label, f"{entry.rows:,}", f"{entry.total_rows:,}", Text(entry.why))
    yield table
    yield Text(summary(tables, reports), style="bold")
    yield from (Text(line) for line in warnings(reports))


def html(tables: Tables, reports: Sequence[StatementReport]) -> str:
    """A slice for a notebook."""
    rows = [
        (_label(entry), f"{entry.rows:,}", f"{entry.total_rows:,}", entry.why) for entry in tables.values()
    ]
    notes = Markup("").join(Markup("<div>{}</div>").format(line) for line in warnings(reports))
    table = html_table(("table", "rows", "of", "why"), rows)
    return Markup("<div><b>{}</b>{}{}</div>").format(summary(tables, reports), table, notes)


def _label(entry: TableSlice) -> Markup:
    schema, short = split_full_name(entry.name)
    return Markup(
        '<span title="{}"><span style="color:{}">{}</span> <small>{}.</small>'
        + ("{}" if entry.rows else "<i>{}</i>")
        + "</span>"
    ).format(entry.name, COLOURS[tier_of(short)][0], "■" if entry.rows else "□", schema, class_name(short))


def summary(tables: Tables, reports: Sequence[StatementReport]) -> str:
    """The size of a slice in words."""
    rows, total = sum(t.rows for t in tables.values()), sum(t.total_rows for t in tables.values())
    filled = sum(t.rows > 0 for t in tables.values())
    empty = len(tables) - filled
    structure = f", and {empty:,} for their structure" if empty else ""
    return (
        f"{rows:,} of {total:,} rows in {count(filled, 'table')}{structure};"
        f" {count(len(reports), 'statement')}"
    )


def warnings(reports: Sequence[StatementReport]) -> list[str]:
    """What a user should know before writing the slice."""
    told = []
    cut = [report for report in reports if LEFT_OUT in report.marks]
    marked = [report for report in reports if report.marks - {LEFT_OUT, NOT_SENT, SKIPPED}]
    skipped = [report for report in reports if SKIPPED in report.marks]
    unsent = [report for report in reports if NOT_SENT in report.marks]
    fallbacks = [report for report in reports if report.fallback]
    drifted = [report for report in reports if report.drifted]
    for members, what, detail in (
        (skipped, "left out of the slice, as asked for", "unsent"),
        (cut, f"that {'needs' if len(cut) == 1 else 'need'} rows which are left out", "marks"),
        (fallbacks, "not analysed, all rows of their tables (inside of bounds) are in the slice", "fallback"),
        (unsent, f"that {'is' if len(unsent) == 1 else 'are'} not sent again, and not replayed", "unsent"),
        (drifted, "with another result than when captured", "drift"),
        (marked, f"whose result can change by {'itself' if len(marked) == 1 else 'themselves'}", "marks"),
    ):
        if members:
            told.append(f"{count(len(members), 'statement')} {what}:")
        told += [f"    {text}" for text in first(members, partial(_told, detail))]
    return told


def _told(detail: str, report: StatementReport) -> str:
    said = {
        "fallback": report.fallback,
        "drift": report.change,
        "unsent": report.unsent,
        "marks": ", ".join(sorted(report.marks)),
    }[detail]
    return f"{report.statement.number} ({said}): {one_line(report.sql)}"
