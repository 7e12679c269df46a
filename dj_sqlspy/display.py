"""Display: papers and slices as a terminal and a notebook show them.

In: a `Paper`, a `Slice`, a `TableSlice`. Out: text, rich tables and HTML, and the table that a person means by a
name. Every text of the database is escaped. It computes nothing that is not in what it shows.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from .catalog import class_name, tier_of
from .errors import SliceError
from .sql import split_full_name

if TYPE_CHECKING:
    from .catalog import Table
    from .paper import Paper
    from .slices import Slice, TableSlice

# DataJoint's colours of the tiers: of what is drawn, and of names in a terminal
COLOURS = {
    "manual": ("#00c000", "green"),
    "lookup": ("#808080", "default"),
    "imported": ("#5050c0", "blue"),
    "computed": ("#d04040", "red"),
    "hidden": ("#b09000", "yellow"),
}
SHOWN = 10  # statements that are named one by one before they are only counted
SQL_SHOWN = 200


def size_text(count: float) -> str:
    """
    >>> size_text(512), size_text(2048), size_text(5_000_000)
    ('512 B', '2.0 KB', '4.8 MB')
    """
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GB"


# ---------------------------------------------------------------- terminal


def slice_lines(cut: Slice) -> Iterable[RenderableType]:
    """A slice for a terminal: its tables, then what to know of it."""
    table = RichTable(box=None, pad_edge=False)
    table.add_column("table", overflow="fold", ratio=4)
    for heading in ("rows", "of"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=4)
    for name, entry in cut.tables.items():
        schema, short = split_full_name(name)
        label = Text(f"{schema}.", style="dim") + Text(class_name(short), style=COLOURS[tier_of(short)][1])
        if not entry.rows:
            label.stylize("dim")
        table.add_row(label, f"{entry.rows:,}", f"{entry.total_rows:,}", Text(_why(entry)))
    yield table
    yield Text(summary(cut), style="bold")
    yield from (Text(line) for line in warnings(cut))


def summary(cut: Slice) -> str:
    """The size of a slice in words."""
    tables = cut.tables.values()
    rows, total = sum(t.rows for t in tables), sum(t.total_rows for t in tables)
    filled = sum(t.rows > 0 for t in tables)
    empty = len(tables) - filled
    structure = f", and {empty:,} for their structure" if empty else ""
    statements = len(cut.statements)
    return (
        f"{rows:,} of {total:,} rows in {_count(filled, 'table')}{structure};"
        f" {_count(statements, 'statement')}"
    )


def warnings(cut: Slice) -> list[str]:
    """What to know of a slice before it is written."""
    lines = []
    marked = [report for report in cut.statements if report.marks]
    for reports, what, detail in (
        (cut.fallbacks, "not analysed, all rows of their tables are in the slice", "fallback"),
        (cut.drifted, "with another number of rows than when captured", "drift"),
        (marked, f"whose result can change by {'itself' if len(marked) == 1 else 'themselves'}", "marks"),
    ):
        if reports:
            lines.append(f"{_count(len(reports), 'statement')} {what}:")
        for report in reports[:SHOWN]:
            said = {
                "fallback": report.fallback,
                "drift": f"{report.rows_then} then, {report.rows_now} now",
                "marks": ", ".join(sorted(report.marks)),
            }[detail]
            lines.append(f"    {report.statement.number} ({said}): {_one_line(report.sql)}")
        if len(reports) > SHOWN:
            lines.append(f"    and {len(reports) - SHOWN:,} more")
    return lines


def as_text(lines: Iterable[RenderableType], width: int = 100) -> str:
    """What a terminal of some width would show, without colours."""
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, legacy_windows=False)
    for line in lines:
        console.print(line, soft_wrap=isinstance(line, Text))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def slice_text(cut: Slice) -> str:
    """``str(cut)``."""
    return as_text(slice_lines(cut))


def table_text(entry: TableSlice) -> str:
    """``str(table)``."""
    lines = [f"{entry.name}: {entry.rows:,} of {entry.total_rows:,} rows"]
    lines += [f"    {rule}: {rows:,}" for rule, rows in entry.reasons.items()]
    return "\n".join([*lines, f"    WHERE {_one_line(entry.restriction, 400)}"])


# ---------------------------------------------------------------- notebook

_STYLE = "text-align:left;padding:2px 12px 2px 0"
_NUMBER = "text-align:right;padding:2px 12px 2px 0;font-variant-numeric:tabular-nums"


def slice_html(cut: Slice) -> str:
    """A slice for a notebook."""
    rows = [_table_cells(entry) for entry in cut.tables.values()]
    notes = "".join(f"<div>{escape(line)}</div>" for line in warnings(cut))
    return (
        f"<div><b>{escape(summary(cut))}</b>{_html_table(('table', 'rows', 'of', 'why'), rows)}{notes}</div>"
    )


def table_html(entry: TableSlice) -> str:
    """A table of a slice for a notebook."""
    reasons = [(escape(rule), f"{rows:,}") for rule, rows in entry.reasons.items()]
    return (
        f"<div><b>{escape(entry.name)}</b>: {entry.rows:,} of {entry.total_rows:,} rows"
        f"{_html_table(('why', 'rows'), reasons, numbers=(1,)) if reasons else ''}"
        f"<pre>WHERE {escape(_one_line(entry.restriction, 2000))}</pre></div>"
    )


def paper_html(paper: Paper) -> str:
    """A paper for a notebook: its analyses."""
    rows = [
        (
            escape(analysis.name),
            escape(analysis.state),
            f"{analysis.statements:,}",
            "" if analysis.started is None else f"{analysis.started.astimezone():%Y-%m-%d %H:%M}",
            "complete" if analysis.complete else "<b>incomplete</b>",
        )
        for analysis in paper.analyses
    ]
    problems = "".join(f"<div>{escape(problem)}</div>" for problem in paper.problems)
    headings = ("analysis", "state", "statements", "started", "record")
    table = _html_table(headings, rows, numbers=(2,)) if rows else "<div>Nothing was captured yet.</div>"
    return f"<div><b>{escape(paper.name)}</b>{table}{problems}</div>"


def _table_cells(entry: TableSlice) -> tuple[str, ...]:
    schema, short = split_full_name(entry.name)
    colour = COLOURS[tier_of(short)][0]
    dot = f'<span style="color:{colour}">{"&#9632;" if entry.rows else "&#9633;"}</span>'
    label = escape(class_name(short)) if entry.rows else f"<i>{escape(class_name(short))}</i>"
    name = f'<span title="{escape(entry.name)}">{dot} <small>{escape(schema)}.</small>{label}</span>'
    return name, f"{entry.rows:,}", f"{entry.total_rows:,}", escape(_why(entry))


def _html_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = (1, 2)
) -> str:
    """An HTML table; the cells are HTML already."""

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="{_NUMBER if i in numbers else _STYLE}">{text}</{tag}>'
            for i, text in enumerate(texts)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', headings)}</tr></thead><tbody>{body}</tbody></table>"


# ---------------------------------------------------------------- what a person types


def find_table(names: Iterable[str], text: str) -> str:
    """The full name of the table that a person means.

    >>> names = ["`lab`.`subject`", "`lab`.`_ephys__unit`"]
    >>> [find_table(names, t) for t in ("`lab`.`subject`", "lab.subject", "Subject", "lab.Ephys.Unit")]
    ['`lab`.`subject`', '`lab`.`subject`', '`lab`.`subject`', '`lab`.`_ephys__unit`']

    Raises
    ------
    SliceError
        If no table has this name, or several have.
    """
    found = []
    for name in names:
        schema, table = split_full_name(name)
        known = {name, table, class_name(table)}
        if text in known | {f"{schema}.{table}", f"{schema}.{class_name(table)}"}:
            found.append(name)
    if len(found) != 1:
        what = f"several tables: {', '.join(found)}" if found else "no table of the slice"
        raise SliceError(f"{text!r} names {what}. Name it as `schema`.`table` or schema.ClassName.")
    return found[0]


def key_of(table: Table, texts: Mapping[str, str]) -> dict[str, Any]:
    """A primary key from the texts that a person typed for its values."""
    out: dict[str, Any] = {}
    for name, text in texts.items():
        column = table.by_name.get(name.lower())
        out[name] = text
        if column is not None and column.binary:
            try:
                out[name] = uuid.UUID(text)
            except ValueError:
                out[name] = bytes.fromhex(text.removeprefix("0x"))
    return out


# ---------------------------------------------------------------- small texts


def _why(entry: TableSlice) -> str:
    reasons = [
        rule if len(entry.reasons) == 1 else f"{rule}: {rows:,}" for rule, rows in entry.reasons.items()
    ]
    return "; ".join(reasons) or "structure only"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _one_line(text: str, length: int = SQL_SHOWN) -> str:
    line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= length else f"{line[:length]} …"
