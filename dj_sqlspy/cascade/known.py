"""Known: rows that need not be asked for by their keys, since a wider statement brings them.

In: shapes with their lineage, and the keys of the rows that statements about one table return. Out: the bindings of
a loop over primary keys that are among them. Integers only: there a row is told by its key without the server, which
alone knows what a collation finds equal. It asks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..lineage import Lineage
from ..lineage.batch import Batch, rows_of_one_table
from ..servers.tables import Table
from ..shapes import Shape
from .keysets import Coder, Columns, KeySet

Binding = tuple[str, ...]


# Digits that a 64-bit integer surely has room for.
_DIGITS = 18


def _told(texts: Sequence[str]) -> bool:
    """Whether all of these are integers as Python and the server write them."""
    together = "".join(texts)
    return together.isascii() and together.isdecimal() and max(map(len, texts)) <= _DIGITS


def keys_of(bindings: Sequence[Binding], found: Batch, table: Table, coder: Coder) -> Columns | None:
    """The primary keys that bindings of a loop are; None where that of one of them takes the server to tell."""
    if found.point is None or not bindings:
        return None
    columns = [[binding[place] for binding in bindings] for place in found.point]
    return coder.read(table, list(zip(*columns, strict=True))) if all(map(_told, columns)) else None


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
        bindings = list(shape.bindings)
        keys = keys_of(bindings, found, table, self._coder)
        if keys is None:
            bindings = [each for each in bindings if keys_of([each], found, table, self._coder) is not None]
            keys = keys_of(bindings, found, table, self._coder)
        if keys is None:
            return []
        return [binding for binding, there in zip(bindings, known.among(keys), strict=True) if there]
