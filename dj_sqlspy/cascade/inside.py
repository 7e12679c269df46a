"""Inside: the SQL of the rows inside of the bounds of a slice.

In: the `Catalog` and `Bound`s. Out: for each table that bounds affect, the SQL of its rows inside. A row is *outside*
if its table is bounded and no bound on it names the row, or if it refers to a row that is outside. NULLs refer to
nothing. A part can be outside although its master is inside, because it may refer to further rows.

A foreign key can lead to a primary key that is a foreign key itself: a trial refers to its session, and by the same
columns to the session's parents. Such a way becomes one condition on the trial's own columns, however many tables it
passes. Ways with equal conditions are merged. Tables in a circle of references are followed row by row, to a fixpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import networkx as nx

from ..errors import LineageError, SliceError
from ..lineage import analyse
from ..lineage.derivation import rows_behind
from ..lineage.generate import to_sql
from ..lineage.predicates import from_occurrences
from ..lineage.tree import Block
from ..servers.catalog import Catalog
from ..servers.columns import Column
from ..servers.keys import key_columns
from ..servers.snapshot import Refused
from ..servers.tables import ForeignKey, Table
from .follow import is_among, to_children, whole_keys
from .keysets import Columns, KeySet, chosen, length
from .options import Bound
from .reader import Reader

# Columns of a table, in lower case, that refer to a primary key, and the full name of the table with this key.
_Way: TypeAlias = "tuple[tuple[str, ...], str]"


class Inside(Mapping[str, str]):
    """For each table that bounds affect, by full name: the SQL that replaces it in FROM by its rows inside.

    Parameters
    ----------
    catalog : Catalog
    bounds : sequence of Bound
        Bounds on one table add up; bounds on several tables must all hold.
    reader : Reader

    Raises
    ------
    SliceError
        If a bound cannot be kept.
    """

    def __init__(self, catalog: Catalog, bounds: Sequence[Bound], reader: Reader) -> None:
        self._catalog, self._reader = catalog, reader
        self._named: dict[
            str, list[str]
        ] = {}  # for each bounded table, queries for the keys that its bounds name
        for bound in bounds:
            table = _bounded(catalog, bound)
            self._named.setdefault(table.full_name, []).append(_keys_named(catalog, bound, table, reader))
        below = nx.DiGraph((fk.parent, fk.child) for fk in catalog.foreign_keys)
        self._tables = set(self._named)
        for name in self._named:
            self._tables |= nx.descendants(below, name) if name in below else set()
        self._circles = {
            name: frozenset(group)
            for group in nx.strongly_connected_components(below.subgraph(self._tables))
            for name in group
            if len(group) > 1 or below.has_edge(name, name)
        }
        self._rows: dict[str, str] = {}
        self._ways: dict[str, dict[_Way, None]] = {}
        self._deciding: dict[str, list[str]] = {}
        self._outside: dict[str, KeySet] = {}  # of tables in circles

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __getitem__(self, name: str) -> str:
        if name not in self._tables:
            raise KeyError(name)
        if name not in self._rows:
            table = self._catalog.tables[name]
            columns = table.dialect.columns(column.name for column in table.columns)
            self._rows[name] = (
                f"(SELECT {columns} FROM {self._from(name)} WHERE {_all(self._conditions(name))})"
            )
        return self._rows[name]

    # -------------------------------------------------- rows

    def among(self, table: Table, keys: Columns) -> Columns:
        """The given keys whose rows are inside."""
        if table.full_name not in self:
            return keys
        there, sql = KeySet(table, self._reader.coder), whole_keys(table, self[table.full_name])
        for chunk in self._reader.lists(table, keys):
            there.add(self._reader.keys(table, f"{sql} WHERE {is_among(table, chunk)}"), 0)
        return chosen(keys, there.among(keys))

    def follows(self, fk: ForeignKey) -> bool:
        """Whether a row of the child is always inside if its parent by this foreign key is."""
        leading = [other for other in self._catalog.parents(fk.child) if other.parent in self]
        return fk.child not in self or (leading == [fk] and fk.child not in self._named)

    def columns(self, name: str) -> tuple[tuple[Column, ...], str]:
        """For a table without a primary key, the references that decide whether a row is inside.

        Returns
        -------
        columns : tuple of Column
        sql : str
            A query for the distinct values of these columns in rows inside.
        """
        table = self._catalog.tables[name]
        names = [c.lower() for fk in self._catalog.parents(name) if fk.parent in self for c in fk.columns]
        columns = tuple(table.column(each) for each in dict.fromkeys(names))
        selected = table.dialect.expressions(columns)
        return columns, f"SELECT DISTINCT {selected} FROM {self[name]} AS {table.dialect.quote('inside~')}"

    # -------------------------------------------------- conditions

    def _alias(self, name: str) -> str:
        return f"in~{self._catalog.position(name)}"

    def _from(self, name: str) -> str:
        return f"{name} AS {self._catalog.dialect.quote(self._alias(name))}"

    def _conditions(self, name: str) -> list[str]:
        """The conditions that a row inside meets."""
        return [*self._own(name), *(self._meets(name, way) for way in self._above(name))]

    def _own(self, name: str) -> list[str]:
        """The conditions of `_conditions` that are not about a way up."""
        table, alias = self._catalog.tables[name], self._alias(name)
        dialect, columns = table.dialect, key_columns(table)
        key = dialect.expressions(columns, alias)
        found = []
        if name in self._named:
            found.append(_any(dialect.returned_by(sql, key) for sql in self._named[name]))
        for fk in self._leading(name):
            if not self._to_key(fk):
                on = dialect.equal(fk.columns, alias, fk.parent_columns, self._alias(fk.parent))
                outside = f"NOT ({_all(self._conditions(fk.parent))})"
                found.append(f"NOT EXISTS (SELECT 1 FROM {self._from(fk.parent)} WHERE {on} AND {outside})")
        outside_keys = list(self._in_circle(name))
        if outside_keys:
            found.append(f"NOT ({dialect.condition(key, columns, outside_keys)})")
        return found

    def _leading(self, name: str) -> Iterator[ForeignKey]:
        """The foreign keys of a table that lead to bounds, except those in a circle."""
        for fk in self._catalog.parents(name):
            if fk.parent in self and fk.parent not in self._circles.get(name, ()):
                yield fk

    def _to_key(self, fk: ForeignKey) -> bool:
        """Whether a foreign key always refers to exactly one row, by its primary key."""
        key = self._catalog.tables[fk.parent].primary_key
        return not fk.virtual and sorted(map(str.lower, fk.parent_columns)) == sorted(map(str.lower, key))

    def _above(self, name: str) -> dict[_Way, None]:
        """The ways from a table to tables in which not only the primary key decides whether a row is inside."""
        if name in self._ways:
            return self._ways[name]
        found = self._ways[name] = {}
        for fk in self._leading(name):
            if not self._to_key(fk):
                continue
            target = dict(zip(map(str.lower, fk.parent_columns), map(str.lower, fk.columns), strict=True))
            if self._own(fk.parent) or self._beside_key(fk.parent):
                key = self._catalog.tables[fk.parent].primary_key
                found[tuple(target[c.lower()] for c in key), fk.parent] = None
            for columns, other in self._above(fk.parent):
                if target.keys() >= set(columns):
                    found[tuple(target[c] for c in columns), other] = None
        return found

    def _beside_key(self, name: str) -> list[_Way]:
        """The ways that start outside of the primary key, whose columns a referring table does not have."""
        key = set(map(str.lower, self._catalog.tables[name].primary_key))
        return [way for way in self._above(name) if not key.issuperset(way[0])]

    def _meets(self, name: str, way: _Way) -> str:
        """The condition that a row refers to a row inside, or to none."""
        columns, other = way
        table, dialect, alias = self._catalog.tables[name], self._catalog.dialect, self._alias(name)
        own = [table.column(column) for column in columns]
        nulls = [f"{dialect.columns([column.name], alias)} IS NULL" for column in own if column.nullable]
        key = dialect.expressions(own, alias)
        return _any([*nulls, *(dialect.returned_by(sql, key) for sql in self._decided(other))])

    def _decided(self, name: str) -> list[str]:
        """Queries for the keys of rows inside, without the conditions on the primary key alone."""
        if name not in self._deciding:
            own, ways = self._own(name), self._beside_key(name)
            if name in self._named and len(own) == 1 and not ways:
                self._deciding[name] = self._named[name]
            else:
                table = self._catalog.tables[name]
                keys = table.dialect.expressions(key_columns(table), self._alias(name))
                where = _all([*own, *(self._meets(name, way) for way in ways)])
                self._deciding[name] = [f"SELECT {keys} FROM {self._from(name)} WHERE {where}"]
        return self._deciding[name]

    # -------------------------------------------------- circles

    def _in_circle(self, name: str) -> Iterable[tuple[object, ...]]:
        """The keys of rows outside of a table that refers to itself, directly or not."""
        if name in self._circles and name not in self._outside:
            self._follow_circle(self._circles[name])
        return self._outside.get(name, ())

    def _follow_circle(self, circle: Iterable[str]) -> None:
        catalog, reader = self._catalog, self._reader
        tables = {name: catalog.tables[name] for name in sorted(circle)}
        found = {name: KeySet(table, reader.coder) for name, table in tables.items()}
        self._outside.update(found)  # still empty, so conditions are those from above the circle
        pending: list[tuple[str, Columns]] = []

        def add(name: str, sql: str) -> None:
            new = found[name].add(reader.keys(tables[name], sql), 0)
            if length(new):
                pending.append((name, new))

        asked = []
        for name, table in tables.items():
            keys = table.dialect.expressions(key_columns(table), self._alias(name))
            where = f"NOT ({_all(self._conditions(name))})"
            asked.append((name, f"SELECT {keys} FROM {self._from(name)} WHERE {where}"))
        for name, sql in asked:
            add(name, sql)
        while pending:
            name, keys_of = pending.pop()
            for fk in catalog.children(name):
                if fk.child in tables:
                    follow = to_children(catalog, fk)
                    for chunk in reader.lists(tables[name], keys_of):
                        add(fk.child, follow.ask(chunk))


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "TRUE"


def _any(conditions: Iterable[str]) -> str:
    found = list(conditions)
    return found[0] if len(found) == 1 else f"({' OR '.join(found)})"


def _bounded(catalog: Catalog, bound: Bound) -> Table:
    """The table of a bound."""
    table = catalog.tables.get(catalog.name_of(bound.table))
    if table is None:
        why = "there is no such table in the database, or this account may not see it"
    elif table.is_view:
        why = "it is a view, which has no rows of its own. Give the table whose rows it shows"
    elif not table.primary_key:
        why = "it has no primary key, so that nothing tells its rows apart. Give a table that it refers to"
    else:
        return table
    raise SliceError(f"Bounding a slice by {bound.table}: {why}.")


def _keys_named(catalog: Catalog, bound: Bound, table: Table, reader: Reader) -> str:
    """A query for the keys of the rows that a bound names."""
    about = f"Bounding a slice by {bound.table}"
    try:
        lineage = analyse(bound.sql, catalog)
    except LineageError as error:
        raise SliceError(f"{about}: {error}") from error
    if lineage.query is None:
        raise SliceError(f"{about}: the restriction is not analysed: {lineage.fallback}")
    rows = from_occurrences(lineage.query.tree) if isinstance(lineage.query, Block) else []
    if len(rows) != 1 or rows[0].table is not table:
        raise SliceError(
            f"{about}: its restriction does not select among the rows of this table:\n{bound.sql}"
        )
    sql = to_sql(rows_behind(lineage.query, rows[0]), table.dialect)
    try:
        reader.snapshot.require_accepted(sql)
    except Refused as error:
        raise SliceError(f"{about}: the server refuses it: {error}\n{sql}") from error
    if not lineage.marks:
        return sql
    # a bound that can change by itself is evaluated once
    keys = list(reader.coder.keys(table, reader.keys(table, sql)))
    return f"{whole_keys(table)} WHERE {is_among(table, keys)}"
