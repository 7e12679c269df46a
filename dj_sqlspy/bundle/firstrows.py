"""First rows: some rows of each table and of each result, as the page of a bundle shows them.

In: the contents of ``first-rows.json``, which can come from an untrusted source. Out: for each entry, what the page
shows: names, cells, and pictures as paths of SVG. `open_copy.firstrows` makes the file from the loaded slice.

Format, version 1. An object with

==========  ========================================================================================
created     when, ISO 8601 in UTC
tables      name (full), columns, rows, of (number of rows), hidden (number of columns that DataJoint hides),
            more (number of further columns)
results     numbers (of the statements that have this result), columns, rows, of, hidden, more
left_out    number of tables and results that had no room
==========  ========================================================================================

A column has a name, and a histogram if it holds numbers: low, high, width (of a bin), counts, rows (that were looked
at, from the first on). A cell is null, a text, or, if bytes were decoded, an object: text, and for an array the
line: low, high, points (in thousandths of the way from low to high; null is a gap). Texts are cut.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import BundleError
from .render import count, whole

FIRST_ROWS_FILE = "first-rows.json"
SCHEMA = "first-rows-1"

# How much is shown; the JSON Schema of the file has the same bounds.
ROWS = 5
COLUMNS = 24
CHARACTERS = 80  # of a value
ENTRIES = 400  # tables, and as many results
BINS = 24
POINTS = 100  # of a line
THOUSAND = 1000

WIDE, HIGH = 120, 30  # of a picture, in pixels


def shown_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``tables`` or ``results`` as the page shows it.

    Raises
    ------
    BundleError
        If a number is none.
    """
    shown, of = len(entry["rows"]), whole(entry["of"])
    return {
        "caption": count(of, "row", "rows") if of == shown else f"The first {shown:,} of {of:,} rows",
        "columns": [{"name": one["name"], "picture": _histogram(one, of)} for one in entry["columns"]],
        "rows": [[_cell(one) for one in row] for row in entry["rows"]],
        "drawn": any("histogram" in one for one in entry["columns"]),
        "hidden": whole(entry["hidden"]),
        "more": whole(entry["more"]),
    }


def shown_tables(contents: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The tables as a page shows them, by full name."""
    return {one["name"]: shown_entry(one) for one in (contents or {}).get("tables", ())}


def shown_results(
    contents: Mapping[str, Any] | None, groups: Iterable[Sequence[int]]
) -> Iterator[dict[str, Any] | None]:
    """For each group of statements, the result of the first that has one, as a page shows it.

    The caption names the statement if there are several. A bundle can name a result any number of times, so no more
    than `ENTRIES` are shown.
    """
    known = {whole(number): one for one in (contents or {}).get("results", ()) for number in one["numbers"]}
    left = ENTRIES
    for numbers in groups:
        number = next((one for one in numbers if one in known), None)
        if number is None or not left:
            yield None
            continue
        left -= 1
        entry = shown_entry(known[number])
        if len(numbers) > 1:
            entry["caption"] += f" of statement {number}"
        yield entry


def texts_of(contents: Mapping[str, Any]) -> Iterator[str]:
    """The texts in it that no column of text of a table has: what was decoded, and what statements computed."""
    for kind in ("tables", "results"):
        for cell in (cell for entry in contents[kind] for row in entry["rows"] for cell in row):
            if isinstance(cell, Mapping):
                yield cell["text"]
            elif cell is not None and kind == "results":
                yield cell


def _cell(cell: str | Mapping[str, Any] | None) -> dict[str, Any]:
    if not isinstance(cell, Mapping):
        return {"text": cell, "picture": None}
    return {"text": cell["text"], "picture": _line(cell["line"]) if "line" in cell else None}


def _number(value: Any) -> float:
    """A number from a bundle, as it is."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise BundleError(
            f"Making the report of a bundle: {value!r:.60} is not a number. The bundle is damaged, or was made by"
            " something else."
        )
    return float(value)


def number_text(value: float) -> str:
    """
    >>> number_text(20240.0), number_text(-0.123456), number_text(1e22)
    ('20240', '-0.1235', '1e+22')
    """
    return f"{value:.6g}" if value.is_integer() else f"{value:.4g}"


def _histogram(column: Mapping[str, Any], of: int) -> dict[str, Any] | None:
    if "histogram" not in column:
        return None
    found = column["histogram"]
    low, high, width = (_number(found[name]) for name in ("low", "high", "width"))
    counts = [whole(one) for one in found["counts"]]
    most = max(counts)
    where = counts.index(most)
    first, last = low + width * where, low + width * (where + 1)
    if all(
        one.is_integer() for one in (low, high, width)
    ):  # of whole numbers, which a bin has from first to last
        last = min(last - 1, high)
    often = number_text(first) if first == last else f"{number_text(first)} to {number_text(last)}"
    ends = number_text(low), number_text(high)
    rows = whole(found["rows"])
    return {
        "kind": "histogram",
        "path": bars(counts),
        "ends": ends,
        "label": f"Histogram{f' of the first {rows:,} rows' if rows < of else ''}: "
        f"{count(sum(counts), 'value', 'values')} from {ends[0]} to {ends[1]}, most often {often} ({most:,})",
    }


def _line(found: Mapping[str, Any]) -> dict[str, Any]:
    ends = number_text(_number(found["low"])), number_text(_number(found["high"]))
    points = [None if one is None else whole(one) for one in found["points"]]
    return {
        "kind": "line",
        "path": line(points),
        "ends": ends,
        "label": f"Line of the values, from {ends[0]} to {ends[1]}",
    }


def bars(counts: Sequence[int]) -> str:
    """The path of a histogram; a bin with few values has a bar that can be seen.

    >>> bars([1, 0, 2])
    'M0 30V15H39V30ZM80 30V0H119V30Z'
    """
    most, wide = max(counts) or 1, WIDE / len(counts)
    return "".join(
        f"M{place * wide:.4g} {HIGH}V{HIGH - max(1, HIGH * number / most):.4g}H{(place + 1) * wide - 1:.4g}V{HIGH}Z"
        for place, number in enumerate(counts)
        if number
    )


def line(points: Sequence[int | None]) -> str:
    """The path of a line, with gaps.

    >>> line([0, 1000, None, 500, 250])
    'M0 29L30 1M90 15L120 22'
    """
    step = WIDE / max(1, len(points) - 1)
    placed = [
        None if value is None else f"{place * step:.4g} {HIGH - 1 - (HIGH - 2) * value / THOUSAND:.4g}"
        for place, value in enumerate(points)
    ]
    runs = [list(run) for there, run in itertools.groupby(placed, key=lambda one: one is not None) if there]
    return "".join(f"M{'L'.join(run if len(run) > 1 else run * 2)}" for run in runs)  # type: ignore[arg-type]
