"""Subsume: rows that need not be asked for by their keys, since a wider statement brings them.

In: shapes with their lineage, and the keys of the rows that statements about one table return. Out: the bindings of
a loop over primary keys that are among them. Integers only: there a row is told by its key without the server, which
alone knows what a collation finds equal. It asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..lineage import Lineage
from ..lineage.batch import Batch, rows_of_one_table
from ..shapes import Shape
from .keys import Key

Binding = tuple[str, ...]


def key_of(binding: Binding, found: Batch) -> Key | None:
    """The primary key that a binding of a loop is; None where that takes the server to tell."""
    if found.point is None or not all(binding[i].isdecimal() for i in found.point):
        return None
    return tuple(int(binding[i]) for i in found.point)


class Known:
    """Keys of rows that statements have brought, of the tables that loops over their primary keys read as well."""

    def __init__(self) -> None:
        self._keys: dict[str, set[Key]] = {}

    def watch(self, lineage: Lineage, found: Batch) -> None:
        """Keep the keys of the table that a loop reads by its primary key, if it is such a loop."""
        table = rows_of_one_table(lineage.query)
        if found.point is not None and table is not None:
            self._keys.setdefault(table.full_name, set())

    def add(self, name: str, keys: Iterable[Key]) -> None:
        """Rows of a table that a statement returns."""
        if name in self._keys:
            self._keys[name].update(keys)

    def among(self, lineage: Lineage, found: Batch, shape: Shape) -> list[Binding]:
        """The bindings of a shape whose row is known."""
        table = rows_of_one_table(lineage.query)
        keys = None if table is None else self._keys.get(table.full_name)
        if not keys:
            return []
        return [binding for binding in shape.bindings if key_of(binding, found) in keys]
