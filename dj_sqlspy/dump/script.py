"""Script: a slice becomes the text of two shell scripts, ``dump.sh`` and ``restore.sh``.

In: a `Slice`, and the `Source` from its server. Out: text. The server's backend writes the scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import BundleError
from ..servers import backend_of
from ..servers.dialect import LIST_BYTES
from ..servers.source import Rows, Source
from ..servers.tables import ForeignKey
from ..slices import Slice, TableSlice
from .functions import called_functions, without_functions
from .keytables import KeyTable


def read_source(connection: Any, cut: Slice, comments: bool = True) -> Source:
    """Read what the scripts need to know about the source.

    Parameters
    ----------
    connection : connection of the driver, to the source
    cut : Slice
    comments : bool
        Whether to keep comments of tables, columns, keys and partitions.

    Raises
    ------
    BundleError
        If a table of the slice refers to one that is not in it.
    """
    for name, entry in cut.tables.items():
        for fk in cut.catalog.parents(name):
            if fk.parent not in cut.tables and not fk.virtual and not entry.table.is_view:
                raise BundleError(
                    f"Writing the slice: {name} refers to {fk.parent} (`{fk.name}`), which is not in it."
                )
    tables = [entry.table for entry in cut.tables.values() if not entry.table.is_view]
    if not tables:
        raise BundleError("Writing the slice: it holds no table, so there is nothing to dump.")
    filled = {name: entry.conditions for name, entry in cut.tables.items() if entry.rows}
    backend = backend_of(connection)
    functions = backend.stored_functions(connection, called_functions(cut))
    missing = {name: found for name, found in functions.items() if isinstance(found, str)}
    brought = [found for found in functions.values() if not isinstance(found, str)]
    views = without_functions(cut, missing)
    source = backend.read_source(connection, tables, cut.catalog, views.whole, brought, filled, comments)
    return replace(source, views_left_out=views.left_out, functions_left_out=missing)


def dump_script(
    cut: Slice,
    source: Source,
    title: str,
    contents: Mapping[str, Mapping[str, str]],
    connection: Any,
    keys: Sequence[KeyTable] = (),
    mode: int = 0o600,
) -> str:
    """The text of ``dump.sh``.

    Parameters
    ----------
    cut : Slice
    source : Source
    title : str
        What is dumped, in words.
    contents : mapping
        By full table name and column, SQL to select instead of the column (see `exclude`).
    connection : connection of the driver, to the source
        Reads the checksums of the rows.
    keys : sequence of KeyTable, optional
        Tables of keys that replace long restrictions (see `keytables`).
    mode : int
        Permissions of the dump.

    Raises
    ------
    BundleError
        If the conditions for a table do not fit into commands, or the rows have changed since the slice was made.
    """
    backend, short = backend_of(connection), {one.table: one.condition for one in keys}
    parts = []
    for entry in _base(cut):
        instead = contents.get(entry.name, {})
        longest = backend.longest_condition(entry.table, instead)
        conditions = [short[entry.name]] if entry.name in short else entry.conditions(longest)
        too_long = [c for c in conditions if len(c.encode()) > longest]
        if too_long or bool(entry.rows) != bool(conditions):
            raise BundleError(
                f"Writing dump.sh: the conditions for the {entry.rows} rows of {entry.name} cannot"
                f" be used ({len(conditions)} conditions, {len(too_long)} too long for one command)."
            )
        parts.append(Rows(entry.table, entry.rows, tuple(conditions), instead))
    checked = backend.with_checksums(connection, parts)
    for part, now in zip(parts, checked, strict=True):
        if part.rows != now.rows:
            raise BundleError(
                f"Writing dump.sh: the database changed since the slice was made: {part.table.full_name} has"
                f" {now.rows} of its {part.rows} rows. Write it again."
            )
    tables = [(one.table, one.name) for one in keys]
    return backend.dump_script(checked, source, title, summary(cut), tables, mode)


def restore_script(cut: Slice, source: Source, title: str, connection: Any) -> str:
    """The text of ``restore.sh``. ``title`` says what is loaded, in words; ``connection`` is that of the source."""
    backend = backend_of(connection)
    parts = []
    for entry in _base(cut):
        conditions = entry.conditions(LIST_BYTES) if source.generated.get(entry.name) else ()
        parts.append(Rows(entry.table, entry.rows, tuple(conditions)))
    computed = backend.computed(connection, parts, source.generated)
    return backend.restore_script(parts, source, foreign_keys(cut), title, summary(cut), computed)


def _base(cut: Slice) -> list[TableSlice]:
    return [entry for entry in cut.tables.values() if not entry.table.is_view]


def foreign_keys(cut: Slice) -> list[ForeignKey]:
    """The foreign keys of the slice's tables, without virtual ones."""
    return [fk for name in cut.tables for fk in cut.catalog.parents(name) if not fk.virtual]


def summary(cut: Slice) -> str:
    """The size of a slice in words."""
    rows = sum(entry.rows for entry in cut.tables.values())
    return f"{len(cut.tables):,} tables, {rows:,} rows"
