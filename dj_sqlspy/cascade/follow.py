"""Follow: how the cascade gets from rows of one table to those of another, along a foreign key.

In: the `Catalog` and a foreign key. Out: a `Follow`: a projection of keys in memory, or the text of a query. It runs
no query; the cascade does, and its plan prints them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..catalog import Catalog, Column, ForeignKey
from ..lineage.witness import KEYS, with_keys
from .keys import Key, condition, expression, expressions, key_columns


@dataclass(frozen=True)
class Follow:
    """One way from rows to rows.

    Attributes
    ----------
    projection : tuple of int or None
        Where the key of the other table is part of the key: the positions of its columns. Then no query is sent.
    columns : tuple of Column
        Those that the keys asked about have.
    names : str
        What is compared with these keys.
    sql : str
        With `KEYS` in the place of the condition.
    stored : bool
        Whether the keys that come out are those that the other table stores (`Cascade._stored` looks them up else).
    """

    projection: tuple[int, ...] | None
    columns: tuple[Column, ...]
    names: str = ""
    sql: str = ""
    stored: bool = True

    def ask(self, keys: Sequence[Key]) -> str:
        """The query for given keys."""
        return with_keys(self.sql, condition(self.names, self.columns, keys))


def _targets(fk: ForeignKey) -> dict[str, str]:
    """The columns of the child by those of the parent that they refer to, in lower case."""
    return dict(zip((c.lower() for c in fk.parent_columns), fk.columns, strict=True))


def to_parent(catalog: Catalog, fk: ForeignKey) -> Follow:
    """From rows of the child to those that they refer to."""
    child, parent = catalog.tables[fk.child], catalog.tables[fk.parent]
    target = _targets(fk)
    refers_to_key = set(target) == {c.lower() for c in parent.key}
    positions = {name.lower(): i for i, name in enumerate(child.key)}
    columns = key_columns(child)
    if refers_to_key and all(target[c.lower()].lower() in positions for c in parent.key):
        order = tuple(positions[target[c.lower()].lower()] for c in parent.key)
        return Follow(order, columns, stored=False)
    if refers_to_key:
        select = ", ".join(expression(child.column(target[c.lower()]), "child") for c in parent.key)
        source = f"{fk.child} AS `child`"
    else:
        select = expressions(key_columns(parent), "parent")
        on = " AND ".join(
            f"`child`.{expression(child.column(c))} = `parent`.{expression(parent.column(p))}"
            for c, p in zip(fk.columns, fk.parent_columns, strict=True)
        )
        source = f"{fk.child} AS `child` JOIN {fk.parent} AS `parent` ON {on}"
    not_null = " AND ".join(f"{expression(child.column(c), 'child')} IS NOT NULL" for c in fk.columns)
    sql = f"SELECT DISTINCT {select} FROM {source} WHERE `{KEYS}` AND {not_null}"
    return Follow(None, columns, expressions(columns, "child"), sql, stored=not refers_to_key)


def to_children(catalog: Catalog, fk: ForeignKey) -> Follow:
    """From rows of the parent to those of the child that refer to them."""
    child, parent = catalog.tables[fk.child], catalog.tables[fk.parent]
    target = _targets(fk)
    columns = key_columns(parent)
    select = expressions(key_columns(child), "part")
    if set(target) == {c.lower() for c in parent.key}:
        source = f"{fk.child} AS `part`"
        names = ", ".join(expression(child.column(target[c.lower()]), "part") for c in parent.key)
    else:
        on = " AND ".join(
            f"{expression(child.column(c), 'part')} = {expression(parent.column(p), 'master')}"
            for c, p in zip(fk.columns, fk.parent_columns, strict=True)
        )
        source = f"{fk.child} AS `part` JOIN {fk.parent} AS `master` ON {on}"
        names = expressions(columns, "master")
    return Follow(None, columns, names, f"SELECT {select} FROM {source} WHERE `{KEYS}`")
