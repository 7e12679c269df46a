"""Functions: the stored functions that captured statements and their views call.

In: a `Slice`. Out: the names of the functions; views that are left out for lack of a function; a mark on each statement
that calls a function which is not in the bundle. The server's backend says which functions a bundle can have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from ..rules import ROUTINE
from ..servers.syntaxes import syntax_of
from ..shapes import lift
from ..slices import Slice
from .views import Views, named, needed_views

Name = tuple[str, str]


def called_functions(cut: Slice) -> list[Name]:
    """The stored functions that statements call, directly or through a view."""
    called = syntax_of(cut.catalog.dialect).called
    found = {name for _, names in _callers(cut) for name in names}
    for view in needed_views(cut).whole:
        table = cut.catalog.tables[view]
        found |= called(table.view_sql or "", table.schema)
    return sorted(found)


def without_functions(cut: Slice, missing: Collection[Name]) -> Views:
    """The views that a slice can contain without some stored functions."""
    views, called = needed_views(cut), syntax_of(cut.catalog.dialect).called
    left_out: set[str] = set()
    for view in views.whole:  # each after those that it reads
        table = cut.catalog.tables[view]
        reads = {
            other.full_name for other in named(cut, table.view_sql or "", table.schema) if other is not None
        }
        if called(table.view_sql or "", table.schema) & set(missing) or reads & left_out:
            left_out.add(view)
    whole = tuple(view for view in views.whole if view not in left_out)
    return Views(whole, (*views.left_out, *(view for view in views.whole if view in left_out)))


def note(manifest: dict[str, Any], cut: Slice, missing: Collection[Name]) -> list[int]:
    """Mark statements of a manifest that cannot be replayed for lack of a function. Returns their numbers."""
    if not missing:
        return []
    views = set(without_functions(cut, missing).left_out) - set(needed_views(cut).left_out)
    bad = {number for number, names in _callers(cut) if names & set(missing)}
    for report in cut.statements:
        tables = named(cut, report.sql, report.statement.database or None) if views else ()
        if any(table is not None and table.full_name in views for table in tables):
            bad.add(report.statement.number)
    for entry in manifest["statements"]:
        if entry["number"] in bad:
            entry["marks"] = sorted({*entry["marks"], ROUTINE})
    return sorted(bad)


def _callers(cut: Slice) -> Iterator[tuple[int, set[Name]]]:
    """The number of each statement that calls stored functions, and these."""
    called = syntax_of(cut.catalog.dialect).called
    known: dict[tuple[str, str], set[Name]] = {}  # by template, since literals do not matter
    for report in cut.statements:
        key = lift(report.sql, cut.catalog.dialect.literals)[0], report.statement.database
        if key not in known:
            known[key] = called(report.sql, report.statement.database or None)
        if known[key]:
            yield report.statement.number, known[key]
