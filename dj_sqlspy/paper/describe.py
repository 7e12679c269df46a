"""Describe: the tables and files of an export in the shared log."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import datajoint

from .. import settings
from ..errors import FilesError
from ..external import File
from ..external.stores import Stores
from ..servers import backend_of
from ..slices import Slice
from ..spy.session import paused
from .sharedschema import RESTRICTION, SELECTION


def table_rows(cut: Slice) -> list[dict[str, Any]]:
    """Rows for a part `Table`, from a slice or from the tables that were read."""
    found = [(name, part) for name, t in cut.tables.items() for part in t.conditions(RESTRICTION)]
    return [
        {"table_id": number, "table_name": name, "restriction": restriction}
        for number, (name, restriction) in enumerate(found)
    ]


def file_rows(files: Iterable[File], connection: Any) -> list[dict[str, Any]]:
    """Rows for a part `File`."""
    stores = Stores(connection)
    rows = []
    for number, file in enumerate(files):
        address = file.path
        with suppress(FilesError):  # a store that is not configured here
            address = stores[file.store].address(file.path)
        rows.append({"file_id": number, "store": file.store, "file_path": address})
    return rows


def describe(connection: Any, paper: str, analysis: str, read: Slice, files: Iterable[File]) -> None:
    """Replace the parts `Table` and `File` of an analysis in the shared log."""
    full_name, schema = backend_of(connection).dialect.full_name, settings.get("schema")

    def table(name: str) -> Any:
        return datajoint.FreeTable(connection, full_name(schema, name))

    with paused():
        named = table(SELECTION) & {"paper_id": paper, "analysis_id": analysis}
        key = {"export_id": int(named.fetch1("export_id"))}
        for part, rows in (
            (f"{SELECTION}__table", table_rows(read)),
            (f"{SELECTION}__file", file_rows(files, connection)),
        ):
            (table(part) & key).delete_quick()
            table(part).insert([{**key, **row} for row in rows])
