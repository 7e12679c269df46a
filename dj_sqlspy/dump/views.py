"""Views: the views that captured statements name, and whether the slice can contain them.

In: a `Slice`. Out: the views, each after those that it reads; and those that read a table outside of the slice.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from ..errors import LineageError
from ..lineage import names_or_guesses
from ..servers.syntaxes import syntax_of
from ..servers.tables import Table
from ..shapes import lift
from ..slices import Slice


@dataclass(frozen=True)
class Views:
    """Full names of views.

    Attributes
    ----------
    whole : tuple of str
        Views whose tables are all in the slice, in the order to create them.
    left_out : tuple of str
        The other views.
    """

    whole: tuple[str, ...]
    left_out: tuple[str, ...]


def needed_views(cut: Slice) -> Views:
    """The views that statements name, directly or through another view."""
    if not any(table.is_view for table in cut.catalog.tables.values()):
        return Views((), ())
    known: dict[str, bool] = {}  # each after those that it reads

    def is_whole(view: Table) -> bool:
        if view.full_name not in known:
            used = named(cut, view.view_sql or "", view.schema) if view.view_sql else [None]
            whole = [table is not None and is_held(table) for table in used]
            known[view.full_name] = all(whole)
        return known[view.full_name]

    def is_held(table: Table) -> bool:
        return is_whole(table) if table.is_view else table.full_name in cut.tables

    # statements that differ only in literals name the same tables
    kind = cut.catalog.dialect.literals
    for report in {(lift(r.sql, kind)[0], r.statement.database): r for r in cut.statements}.values():
        for table in named(cut, report.sql, report.statement.database or None):
            if table is not None and table.is_view:
                is_whole(table)
    whole = tuple(name for name, is_one in known.items() if is_one)
    return Views(whole, tuple(name for name, is_one in known.items() if not is_one))


def named(cut: Slice, sql: str, schema: str | None) -> list[Table | None]:
    """The tables and views that a statement or view names; None for one that is not in the catalog.

    Of one that cannot be parsed, those of the catalog that it can name.
    """
    with suppress(LineageError):  # of which lineage has told already
        names, guessed = names_or_guesses(sql, syntax_of(cut.catalog.dialect), schema)
        found = [cut.catalog.find(own, name, schema) for own, name in names]
        return [table for table in found if table is not None or not guessed]
    return []
