"""Follow: goes from rows of one table to those of another, along a foreign key.

In: the `Catalog` and a foreign key. Out: a `Follow`: a projection of keys in memory, or the text of a query. The
cascade sends the queries, and its plan prints them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..lineage.witness import KEYS, with_keys
from ..servers.catalog import Catalog
from ..servers.columns import Column
from ..servers.dialect import Dialect, Key
from ..servers.keys import key_columns
from ..servers.tables import ForeignKey, Table


@dataclass(frozen=True)
class Follow:
    """One way from rows of a table to rows of another.

    Attributes
    ----------
    dialect : Dialect
    projection : tuple of int or None
        If the key of the other table is part of the key: the positions of its columns. Then no query is sent.
    columns : tuple of Column
        Columns of the given keys.
    names : str
        Expressions to compare with these keys.
    sql : str
        The query, with `KEYS` in place of the condition.
    stored : bool
        Whether the resulting keys are as the other table stores them. If not, `Cascade._stored` looks them up.
    """

    dialect: Dialect
    projection: tuple[int, ...] | None
    columns: tuple[Column, ...]
    names: str = ""
    sql: str = ""
    stored: bool = True

    def ask(self, keys: Sequence[Key]) -> str:
        """The query for given keys."""
        return with_keys(self.sql, self.dialect.condition(self.names, self.columns, keys))


def _targets(fk: ForeignKey) -> dict[str, str]:
    """For each column of the parent, in lower case, the column of the child that refers to it."""
    return dict(zip((c.lower() for c in fk.parent_columns), fk.columns, strict=True))


def _refers_to_key(child: Table, parent: Table, target: Mapping[str, str]) -> bool:
    """Whether the values of a foreign key are the key of the parent, as it is written.

    PostgreSQL allows foreign keys between types, as virtual references are anywhere.
    """
    return set(target) == {c.lower() for c in parent.key} and all(
        child.column(target[column.name.lower()]).form == column.form for column in key_columns(parent)
    )


def _refers(dialect: Dialect, fk: ForeignKey) -> str:
    """The condition that a row ``child`` refers to a row: a NULL refers to none."""
    return " AND ".join(f"{dialect.columns([name], 'child')} IS NOT NULL" for name in fk.columns)


def to_parent(catalog: Catalog, fk: ForeignKey) -> Follow:
    """From rows of the child to their parents."""
    child, parent, dialect = catalog.tables[fk.child], catalog.tables[fk.parent], catalog.dialect
    target = _targets(fk)
    refers_to_key = _refers_to_key(child, parent, target)
    positions = {name.lower(): i for i, name in enumerate(child.key)}
    columns = key_columns(child)
    if refers_to_key and all(target[c.lower()].lower() in positions for c in parent.key):
        order = tuple(positions[target[c.lower()].lower()] for c in parent.key)
        return Follow(dialect, order, columns, stored=False)
    source = f"{fk.child} AS {dialect.quote('child')}"
    if refers_to_key:
        select = dialect.expressions((child.column(target[c.lower()]) for c in parent.key), "child")
    else:
        select = dialect.expressions(key_columns(parent), "parent")
        on = dialect.equal(fk.columns, "child", fk.parent_columns, "parent")
        source = f"{source} JOIN {fk.parent} AS {dialect.quote('parent')} ON {on}"
    sql = f"SELECT DISTINCT {select} FROM {source} WHERE `{KEYS}` AND {_refers(dialect, fk)}"
    return Follow(
        dialect, None, columns, dialect.expressions(columns, "child"), sql, stored=not refers_to_key
    )


def has_chains(catalog: Catalog, fk: ForeignKey) -> bool:
    """Whether a foreign key leads from row to row of one table, so that `to_ancestors` can follow it."""
    table, not_hashed = catalog.tables[fk.child], catalog.dialect.not_hashed
    return (
        fk.child == fk.parent
        and bool(table.primary_key)
        and to_parent(catalog, fk).projection is None
        and not any(table.column(name).data_type in not_hashed for name in fk.columns)
    )


def to_ancestors(catalog: Catalog, fk: ForeignKey) -> Follow:
    """From rows of a table that refers to itself to all rows that they refer to, directly or through others.

    The query needs the session `Dialect.endless`.
    """
    table, dialect = catalog.tables[fk.child], catalog.dialect
    columns = key_columns(table)
    up, own, above = map(dialect.quote, ("up", "child", "parent"))

    def step(where: str, source: str = "") -> str:
        return (
            f"SELECT {dialect.columns(fk.columns, 'child')} FROM {source}{table.full_name} AS {own}"
            f" WHERE {where} AND {_refers(dialect, fk)}"
        )

    again = step(dialect.equal(fk.columns, "up", fk.parent_columns, "child"), f"{up} CROSS JOIN ")
    on = dialect.equal(fk.columns, "up", fk.parent_columns, "parent")
    sql = (
        f"WITH RECURSIVE {up} AS ({step(f'`{KEYS}`')} UNION {again})"
        f" SELECT DISTINCT {dialect.expressions(columns, 'parent')}"
        f" FROM {up} JOIN {table.full_name} AS {above} ON {on}"
    )
    return Follow(dialect, None, columns, dialect.expressions(columns, "child"), sql)


def to_children(catalog: Catalog, fk: ForeignKey, rows: str | None = None) -> Follow:
    """From rows of the parent to the rows of the child that refer to them.

    ``rows`` replaces the child in FROM if only some of its rows count (`inside`).
    """
    child, parent, dialect = catalog.tables[fk.child], catalog.tables[fk.parent], catalog.dialect
    target = _targets(fk)
    columns = key_columns(parent)
    select = dialect.expressions(key_columns(child), "part")
    source = f"{rows or fk.child} AS {dialect.quote('part')}"
    if _refers_to_key(child, parent, target):
        names = dialect.expressions((child.column(target[c.lower()]) for c in parent.key), "part")
    else:
        on = dialect.equal(fk.columns, "part", fk.parent_columns, "master")
        source = f"{source} JOIN {fk.parent} AS {dialect.quote('master')} ON {on}"
        names = dialect.expressions(columns, "master")
    return Follow(dialect, None, columns, names, f"SELECT {select} FROM {source} WHERE `{KEYS}`")


def whole_keys(table: Table, rows: str | None = None) -> str:
    """The query for the keys of all rows of a table, or of the ``rows`` that replace it in FROM."""
    source = table.full_name if rows is None else f"{rows} AS {table.dialect.quote('inside~')}"
    return f"SELECT {table.dialect.expressions(key_columns(table))} FROM {source}"


def keys_among(table: Table, keys: Sequence[Key]) -> str:
    """The query for the given keys that a table has, as it stores them."""
    return f"{whole_keys(table)} WHERE {is_among(table, keys)}"


def is_among(table: Table, keys: Sequence[Key]) -> str:
    """The condition that the key of a row is one of these."""
    columns = key_columns(table)
    return table.dialect.condition(table.dialect.expressions(columns), columns, keys)
