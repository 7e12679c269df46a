"""Describe: the tables and files of an export in the shared log."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ..errors import FilesError
from ..external import File
from ..external.stores import Stores
from ..slices import Slice
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


def parts_of(read: Slice, files: Iterable[File], connection: Any) -> dict[str, list[dict[str, Any]]]:
    """The rows of the parts `Table` and `File` of an export, by the names of these tables."""
    return {f"{SELECTION}__table": table_rows(read), f"{SELECTION}__file": file_rows(files, connection)}
