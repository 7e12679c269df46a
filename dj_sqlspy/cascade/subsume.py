"""Subsume: rows that need not be asked for by their keys, since a wider statement brings them.

In: shapes with their lineage, and the keys of the rows that statements about one table return. Out: the bindings of
a loop over primary keys that are among them. Integers only: there a row is told by its key without the server, which
alone knows what a collation finds equal. It asks nothing.
"""

from __future__ import annotations

from ..catalog import Table
from ..lineage import Lineage
from ..lineage.batch import Batch, rows_of_one_table
from ..shapes import Shape
from .keys import Key
from .keysets import Coder, Columns, KeySet

Binding = tuple[str, ...]


def key_of(binding: Binding, found: Batch) -> Key | None:
    """The primary key that a binding of a loop is; None where that takes the server to tell."""
    if found.point is None or not all(binding[i].isdecimal() for i in found.point):
        return None
    return tuple(int(binding[i]) for i in found.point)


class Known:
    """Keys of rows that statements have brought, of the tables that loops over their primary keys read as well."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self._keys: dict[str, KeySet] = {}

    def watch(self, lineage: Lineage, found: Batch) -> None:
        """Keep the keys of the table that a loop reads by its primary key, if it is such a loop."""
        table = rows_of_one_table(lineage.query)
        if found.point is not None and table is not None:
            self._keys.setdefault(table.full_name, KeySet(table, self._coder))

    def add(self, table: Table, keys: Columns) -> None:
        """Rows of a table that a statement returns."""
        if table.full_name in self._keys:
            self._keys[table.full_name].add(keys, 0)

    def among(self, lineage: Lineage, found: Batch, shape: Shape) -> list[Binding]:
        """The bindings of a shape whose row is known."""
        table = rows_of_one_table(lineage.query)
        known = None if table is None else self._keys.get(table.full_name)
        if table is None or not known:
            return []
        keyed = [(key, binding) for binding in shape.bindings if (key := key_of(binding, found)) is not None]
        there = known.among(self._coder.of(table, [key for key, _ in keyed]))
        return [binding for (_, binding), is_there in zip(keyed, there, strict=True) if is_there]
