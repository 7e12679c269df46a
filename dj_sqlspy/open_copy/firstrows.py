"""First rows: reads what the page of a bundle shows of tables and results (`bundle.firstrows`).

In: a private server that has nothing but the loaded slice. Out: the contents of ``first-rows.json``. All that is in it
is in the dump, or was computed from it. Columns that DataJoint hides, its own tables, and results that tell of the
server, the time or chance are left out. Values are cut, and the whole is bounded whatever the slice has.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..bundle.firstrows import BINS, CHARACTERS, COLUMNS, ENTRIES, POINTS, ROWS, THOUSAND
from ..bundle.manifest import Replayed, now, replayable
from ..dump.pseudonyms import with_pseudonyms
from ..errors import BundleError
from ..replay.digests import session_of
from ..servers import backend_of
from ..servers.backend import Replayer
from ..servers.catalog import Catalog
from ..servers.columns import Column
from ..servers.dialects import dialect_of
from ..servers.results import ResultColumn
from ..servers.snapshot import ConnectionLost, Interrupted, Refused
from ..servers.tables import Table
from ..shapes import lift
from .blobs import decode
from .columns import of_result, source_of

LOOKED_AT = 10_000  # rows, for a histogram
ROOM = 1_000_000  # characters for all tables, and as many for all results
LARGEST = 8 << 20  # bytes of a value that is decoded
SMALL = 16  # bytes that are shown as they are, such as a hash; items of an array
# marks of results that are not of the rows alone
TELLING = frozenset({"now", "rand", "session", "variable", "place"})


def first_rows(
    loaded: Any, catalog: Catalog, manifest: Mapping[str, Any], recorded: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The contents of ``first-rows.json``.

    Parameters
    ----------
    loaded : connection of the driver
        To the server with the loaded slice; its results are bytes, as sent.
    catalog : Catalog
        Of that server.
    manifest : mapping
    recorded : mapping, optional
        The contents of ``digests.json``, for the session in which statements run.

    Raises
    ------
    BundleError
        If a table cannot be read.
    """
    backend = backend_of(loaded)
    with_rows, wanted = _with_rows(catalog, manifest), _wanted(manifest)
    looking = _Looking(loaded, catalog, manifest)
    backend.reading_tables(loaded)
    with backend.one_moment(loaded), contextlib.closing(backend.replayer(loaded)) as replayer:
        tables = [looking.table(replayer, one) for one in with_rows[:ENTRIES]]
    backend.set_session(loaded, session_of(manifest, recorded, backend))
    with backend.one_moment(loaded), contextlib.closing(backend.replayer(loaded)) as replayer:
        results = [looking.result(replayer, *one) for one in wanted[:ENTRIES]]
    shown, over = _bounded(tables)
    also, more = _bounded([one for one in results if one is not None])
    passed = max(0, len(with_rows) - ENTRIES) + max(0, len(wanted) - ENTRIES)
    return {"created": now(), "tables": shown, "results": also, "left_out": over + more + passed}


def _with_rows(catalog: Catalog, manifest: Mapping[str, Any]) -> list[Table]:
    """The tables to show: if there are too many, those that were read come first."""
    found = [
        one
        for one in manifest["tables"]
        if one["rows"]
        and one["name"] in catalog.tables
        and not catalog.tables[one["name"]].name.startswith("~")
    ]
    found.sort(key=lambda one: "read by a statement" not in one["reasons"])
    return [catalog.tables[one["name"]] for one in found]


def _wanted(manifest: Mapping[str, Any]) -> list[tuple[Replayed, Sequence[Mapping[str, Any]]]]:
    """For each analysis, of its data statements that differ only in values the first, with their entries."""
    literals = dialect_of(manifest["server"]["flavor"]).literals
    seen: set[tuple[str, str]] = set()
    found: list[tuple[Replayed, Sequence[Mapping[str, Any]]]] = []
    for one, entries in replayable(manifest).items():
        data = [entry for entry in entries if entry["kind"] == "data"]
        forms = {(entry["analysis"], lift(one.sql, literals)[0]) for entry in data} - seen
        if forms and TELLING.isdisjoint(mark for entry in data for mark in entry["marks"]):
            seen |= forms
            found.append((one, data))
    return found


def _bounded(entries: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The first entries that have room, and how many have none.

    >>> shown, more = _bounded([{"rows": [["x" * CHARACTERS] * COLUMNS] * ROWS}] * 1000)
    >>> len(json.dumps(shown)) < 1.1 * ROOM, len(shown) + more
    (True, 1000)
    """
    sizes = itertools.accumulate(len(json.dumps(one)) for one in entries)
    held = sum(size <= ROOM for size in sizes)
    return list(entries[:held]), len(entries) - held


class _Shown(NamedTuple):
    """A column that is shown."""

    place: int  # in the result
    column: ResultColumn
    is_uuid: bool
    counted: bool  # whether it has a histogram


class _Looking:
    """Reads first rows."""

    def __init__(self, loaded: Any, catalog: Catalog, manifest: Mapping[str, Any]) -> None:
        self._loaded, self._catalog = loaded, catalog
        self._hashed = with_pseudonyms(manifest)
        self._rows = {one["name"]: one["rows"] for one in manifest["tables"]}

    def table(self, replayer: Replayer, table: Table) -> dict[str, Any]:
        quote = backend_of(self._loaded).dialect.quote
        key = ", ".join(map(quote, table.primary_key))
        order = f" ORDER BY {key}" if key else ""
        names = [column.name for column in table.columns if not column.name.startswith("_")]
        read = ", ".join(map(quote, names[:COLUMNS])) or "1"
        numbers = [one.name for one in table.columns if _counts(one) and one.name in names[:COLUMNS]]
        try:
            sql = f"SELECT {read} FROM {table.full_name}{order}"
            entry = self._entry(replayer.result(self._loaded, f"{sql} LIMIT {ROWS}"))
            if numbers:
                read = ", ".join(map(quote, numbers))
                result = replayer.result(
                    self._loaded, f"SELECT {read} FROM {table.full_name}{order} LIMIT {LOOKED_AT}"
                )
                drawn = {one["name"]: one for one in self._entry(result)["columns"]}
                entry["columns"] = [drawn.get(one["name"], one) for one in entry["columns"]]
        except (ConnectionLost, Refused, Interrupted) as error:
            raise BundleError(
                f"Reading the first rows of {table.full_name} of the loaded slice: {error}"
            ) from error
        return {
            "name": table.full_name,
            **entry,
            "of": self._rows[table.full_name],
            "hidden": len(table.columns) - len(names),
            "more": max(0, len(names) - COLUMNS),
        }

    def result(
        self, replayer: Replayer, one: Replayed, entries: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any] | None:
        """The first rows of a result; None if this server does not run it, as its replay says."""
        numbers = [entry["number"] for entry in entries]
        try:
            return {
                "numbers": numbers,
                **self._entry(replayer.result(self._loaded, one.sql, one.state, own=one.own)),
            }
        except ConnectionLost as error:
            raise BundleError(f"Running statement {numbers[0]}: the server is gone ({error}).") from error
        except (Refused, Interrupted):
            return None

    def _entry(self, result: Any) -> dict[str, Any]:
        """What is shown of a result, which is read to its end."""
        sent: Sequence[ResultColumn] = result.columns
        plain = [(place, one) for place, one in enumerate(sent) if not _is_hidden(one)]
        shown = [self._shown(place, one) for place, one in plain[:COLUMNS]]
        values: dict[int, list[float]] = {place: [] for place, _, _, counted in shown if counted}
        rows: list[list[Any]] = []
        number = 0
        for row in result:
            number += 1
            if number <= ROWS:
                rows.append([_cell(one, row[one.place]) for one in shown])
            if number <= LOOKED_AT:
                for place, found in values.items():
                    if (value := row[place]) is not None:
                        found.append(float(value))
        return {
            "columns": [
                {
                    "name": one.column.name[:300],
                    **_histogram(values.get(one.place, ()), min(number, LOOKED_AT)),
                }
                for one in shown
            ],
            "rows": rows,
            "of": number,
            "hidden": len(sent) - len(plain),
            "more": len(plain) - len(shown),
        }

    def _shown(self, place: int, column: ResultColumn) -> _Shown:
        source = source_of(self._catalog, column)
        hashed = column.column in self._hashed.get(column.table, ())
        form = of_result(column, column.name, source, 0).form
        return _Shown(place, column, form == "uuid", column.kind == "number" and not hashed)


def _counts(column: Column) -> bool:
    """Whether a column of a table may hold numbers."""
    return column.numeric or column.data_type == "double precision"


def _is_hidden(column: ResultColumn) -> bool:
    """Whether DataJoint hides it, also by another name."""
    return column.name.startswith("_") or column.column.startswith("_")


def _cut(text: str) -> str:
    """A text as JSON can have it, that fits into a cell."""
    cut = text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]} …"
    return cut.encode("utf-8", "replace").decode()


# ---------------------------------------------------------------- cells


def _cell(shown: _Shown, value: bytes | None) -> str | dict[str, Any] | None:
    if value is None:
        return None
    kind = shown.column.kind
    if kind == "bits":
        return str(int.from_bytes(value, "big"))
    if kind != "bytes":
        return _cut(value.decode(shown.column.encoding, "replace"))
    if shown.is_uuid and len(value) == 16:
        return str(uuid.UUID(bytes=value))
    return _decoded(value)


def _decoded(value: bytes) -> str | dict[str, Any]:
    """Bytes: what DataJoint's decoder finds, else how many there are.

    >>> _decoded(b"ab"), _decoded(bytes(100))
    ('0x6162', '100 bytes')
    """
    found = decode(value) if len(value) <= LARGEST else None
    if found is None or found.ending == "bin":
        return f"0x{value.hex()}" if len(value) <= SMALL else f"{len(value):,} bytes"
    if found.ending == "json":
        text = found.contents.decode()
        if len(text) <= 10 * CHARACTERS:  # a long one keeps its escapes
            text = json.dumps(json.loads(text), ensure_ascii=False)
        return {"text": _cut(text)}
    drawn = array_line(found.contents)
    return {"text": array_text(found.contents), **({} if drawn is None else {"line": drawn})}


def array_text(array: Any) -> str:
    """
    >>> array_text(np.zeros((2, 50))), array_text(np.array([1.5, 2], "f4"))
    ('float64, 2 × 50', '1.5, 2 (float32)')
    """
    shape = " \N{MULTIPLICATION SIGN} ".join(f"{size:,}" for size in array.shape)
    if array.dtype.names is not None or array.size > SMALL or array.ndim > 1:
        return _cut(f"{array.dtype}, {shape}" if shape else str(array.dtype))
    items = (f"{one:.6g}" if isinstance(one, float) else str(one) for one in array.ravel().tolist())
    return _cut(f"{', '.join(items)} ({array.dtype})")


# ---------------------------------------------------------------- pictures


def array_line(array: Any) -> dict[str, Any] | None:
    """A line of the values along the longest axis, at the first place of the others; None if there is none.

    Of many values, the smallest and the largest of each stretch are drawn, in their order.

    >>> array_line(np.array([1, 2, 5]))
    {'low': 1.0, 'high': 5.0, 'points': [0, 250, 1000]}
    >>> array_line(np.array([[np.nan, 7, 7]]))["points"], array_line(np.array([1j, 2]))
    ([None, 500, 500], None)
    """
    if array.dtype.kind not in "biuf" or not array.size:
        return None
    longest = int(np.argmax(array.shape)) if array.ndim else 0
    one = array[tuple(slice(None) if axis == longest else 0 for axis in range(array.ndim))]
    values = np.atleast_1d(np.asarray(one)).astype(np.float64)
    there = values[np.isfinite(values)]
    if len(there) < 2:
        return None
    low, high = float(there.min()), float(there.max())
    if not math.isfinite(high - low):
        return None
    if len(values) > POINTS:
        values = np.concatenate([_ends(part) for part in np.array_split(values, POINTS // 2)])
    points = [
        (None if not math.isfinite(value) else round(THOUSAND * (value - low) / (high - low)))
        if high > low or not math.isfinite(value)
        else THOUSAND // 2
        for value in values.tolist()
    ]
    return {"low": low, "high": high, "points": points}


def _ends(part: Any) -> Any:
    """The smallest and the largest value of a stretch, in their order; a gap if there is none."""
    there = part[np.isfinite(part)]
    if not len(there):
        return np.array([np.nan, np.nan])
    return there[sorted((int(there.argmin()), int(there.argmax())))]


def _histogram(values: Iterable[float], rows: int) -> dict[str, Any]:
    """A histogram as a column has it; nothing if all rows are shown, or all values are the same.

    Of whole numbers, each bin has as many.

    >>> _histogram([1, 1, 1, 2, 2, 4], 6)
    {'histogram': {'low': 1.0, 'high': 4.0, 'width': 1.0, 'counts': [3, 2, 0, 1], 'rows': 6}}
    >>> found = _histogram(range(40), 40)["histogram"]
    >>> found["width"], set(found["counts"]), len(found["counts"])
    (2.0, {2}, 20)
    >>> _histogram([3.0] * 6, 6), _histogram([-1.7e308, 1.7e308] * 3, 6), _histogram([1, 2], 2)
    ({}, {}, {})
    """
    if rows <= ROWS:
        return {}
    found = np.fromiter(values, np.float64)
    found = found[np.isfinite(found)]
    if not len(found):
        return {}
    low, high = float(found.min()), float(found.max())
    span = high - low
    if not (0 < span < math.inf):
        return {}
    whole = bool((found == np.floor(found)).all())
    width = float(math.ceil((span + 1) / BINS)) if whole else span / BINS
    bins = min(BINS, int(span // width) + 1)
    places = np.minimum((found - low) // width, bins - 1).astype(int)
    counts = np.bincount(places, minlength=bins).tolist()
    return {"histogram": {"low": low, "high": high, "width": width, "counts": counts, "rows": rows}}
