"""Bounds: rows that must not leave, whatever the statements read.

In: the key sets of a cascade and `Bound`s, each the rows of one table that may leave. Out: the rows of the slice
that lie outside, which are the rows of a bounded table that its bound does not name, and all rows that descend from
such rows through foreign keys. Leaving them out keeps every foreign key: a row whose parent is left out is left
out too. It asks the server only where a foreign key does not lie in the child's primary key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..cascade import Demand, KeySets, Reader
from ..cascade.follow import to_children
from ..cascade.keysets import chosen
from ..cascade.options import Bound
from ..compat import as_expression, sql_of
from ..errors import SliceError
from ..lineage import analyse
from ..servers.catalog import Catalog
from ..servers.dialect import Key
from ..servers.tables import ForeignKey


def bounds_of(items: Iterable[Any]) -> tuple[Bound, ...]:
    """Bounds from restricted DataJoint tables, such as ``Session & "project='X'"``.

    Raises
    ------
    SliceError
        For anything that is not a table, restricted or not.
    """
    found = []
    for item in items:
        table = as_expression(item, None)
        name = getattr(table, "full_table_name", None)
        if not isinstance(name, str):
            raise SliceError(
                f"Bounding a slice: {item!r} is not a restricted table but a computed expression. Give the table "
                "whose rows bound the slice, with the expression as its restriction: `Session & expression`."
            )
        found.append(Bound(name, sql_of(table)))
    return tuple(found)


def outside(catalog: Catalog, sets: KeySets, bounds: Sequence[Bound], reader: Reader) -> dict[str, set[Key]]:
    """Rows of the slice outside of the bounds, by full table name.

    Bounds on one table add up; bounds on several tables must all hold.
    """
    allowed: dict[str, set[Key]] = {}
    for bound in bounds:
        name = catalog.name_of(bound.table)
        if name not in catalog.tables:
            continue  # the slice has nothing to do with that table
        table = catalog.tables[name]
        names = allowed.setdefault(name, set())
        lineage = analyse(bound.sql, catalog)
        if lineage.fallback:
            raise SliceError(
                f"Bounding a slice by {bound.table}: the restriction is not analysed: {lineage.fallback}"
            )
        for leaf in lineage.leaves:
            if leaf.table.full_name == name and leaf.sql is not None:
                names.update(reader.coder.keys(table, reader.keys(table, leaf.sql)))
    found: dict[str, set[Key]] = {}
    pending = []
    for name, inside in allowed.items():
        rows = set(sets.rows(name)) - inside
        if rows:
            found[name] = rows
            pending.append((name, rows))
    while pending:
        name, rows = pending.pop()
        for fk in catalog.children(name):
            known = found.setdefault(fk.child, set())
            new = _children(catalog, sets, fk, rows, reader) - known
            if new:
                known |= new
                pending.append((fk.child, new))
    return {name: rows for name, rows in found.items() if rows}


def _children(catalog: Catalog, sets: KeySets, fk: ForeignKey, rows: set[Key], reader: Reader) -> set[Key]:
    """Rows of the slice in ``fk.child`` that refer to one of ``rows``."""
    held = sets.rows(fk.child)
    if not held:
        return set()
    follow = to_children(catalog, fk)
    found: set[Key] = set()
    for chunk in catalog.dialect.chunks(follow.columns, rows):
        keys = reader.keys(held.table, follow.ask(chunk))
        found.update(reader.coder.keys(held.table, chosen(keys, held.among(keys))))
    return found


def without(sets: KeySets, left_out: Mapping[str, set[Key]]) -> KeySets:
    """The key sets without the rows that are left out."""
    return KeySets(
        sets.catalog,
        sets.coder,
        {
            name: keys.without(left_out[name]) if name in left_out else keys
            for name, keys in sets.keys.items()
        },
        sets.reasons,
    )


def affected(demands: Iterable[Demand], left_out: Mapping[str, set[Key]], reader: Reader) -> set[int]:
    """Numbers of the statements that read a row that is left out, or that one keeps a row rejected for."""
    numbers: set[int] = set()
    for demand in demands:
        for leaf in demand.leaves:
            rows = left_out.get(leaf.table.full_name)
            if not rows:
                continue
            if leaf.sql is None or not rows.isdisjoint(
                reader.coder.keys(leaf.table, reader.keys(leaf.table, leaf.sql))
            ):
                numbers.update(demand.numbers)
                break
        if any(base.table.full_name in left_out for rule in demand.witnesses for base in rule.wanted):
            numbers.update(demand.numbers)
    return numbers
