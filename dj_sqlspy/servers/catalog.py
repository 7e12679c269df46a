"""Catalog: the tables of a slice and the foreign keys between them.

In: tables, columns and keys from a server's own catalog (`servers.mysql.catalog` reads it). Out: a `Catalog`: tables by
full name, and the graph of foreign keys: parents, children, parts and their masters, an order with parents first; and
which schemas are read for one (`follow`). It asks no server and does not need DataJoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import networkx as nx

from ..errors import CatalogError, SliceError
from ..names import find_table, split_full_name
from .dialect import Dialect
from .mysql.dialect import MYSQL
from .tables import ForeignKey, Table


@dataclass(frozen=True)
class Catalog:
    """Tables by full name, and the foreign keys between them.

    Attributes
    ----------
    tables : mapping of full table name to `Table`
    foreign_keys : tuple of `ForeignKey`
    folds_table_names : bool
        True where the server compares table names without case (``lower_case_table_names`` of 1 or 2).
    hidden : tuple of `ForeignKey`
        Foreign keys whose parent this account cannot see.
    dialect : Dialect
        How its server spells SQL.
    reads_only : callable
        Whether the stored function of a schema (or "") and a name is known to only read.
    """

    tables: Mapping[str, Table]
    foreign_keys: tuple[ForeignKey, ...]
    folds_table_names: bool = False
    hidden: tuple[ForeignKey, ...] = ()
    dialect: Dialect = field(default=MYSQL, repr=False, compare=False)
    reads_only: Callable[[str, str], bool] = field(
        default=lambda schema, name: False, repr=False, compare=False
    )
    _read_columns: Callable[[set[str]], None] | None = field(default=None, repr=False, compare=False)

    def read_columns(self, names: Iterable[str]) -> None:
        """Read the columns of the given tables, and of all others in their schemas, at once."""
        if self._read_columns is not None:
            self._read_columns({self.tables[name].schema for name in names})

    @cached_property
    def graph(self) -> nx.MultiDiGraph:
        """Foreign keys as edges from child to parent, each with its `ForeignKey` as ``fk``."""
        graph = nx.MultiDiGraph()
        graph.add_nodes_from(name for name, table in self.tables.items() if not table.is_view)
        for fk in self.foreign_keys:
            graph.add_edge(fk.child, fk.parent, key=fk.name, fk=fk)
        return graph

    @cached_property
    def _by_child(self) -> dict[str, tuple[ForeignKey, ...]]:
        return _grouped(self.foreign_keys, lambda fk: fk.child)

    def parents(self, name: str) -> tuple[ForeignKey, ...]:
        """Foreign keys of the table ``name``."""
        return self._by_child.get(name, ())

    @cached_property
    def _by_parent(self) -> dict[str, tuple[ForeignKey, ...]]:
        return _grouped(self.foreign_keys, lambda fk: fk.parent)

    def children(self, name: str) -> tuple[ForeignKey, ...]:
        """Foreign keys of tables in the catalog that refer to the table ``name``."""
        return self._by_parent.get(name, ())

    @cached_property
    def masters(self) -> dict[str, ForeignKey]:
        """For each part table, the foreign key to its master.

        A table is a part if its name is the name of a master in the same schema, two underscores and a word, and it
        has a foreign key to that master (DataJoint ``user_tables.Part``). If the key goes through another part, the
        two keys are composed. Of several possible masters the longest name counts, so that parts of parts work.
        """
        out: dict[str, ForeignKey] = {}
        for name, table in self.tables.items():
            positions = [i for i in range(1, len(table.name) - 2) if table.name.startswith("__", i)]
            for position in reversed(positions):
                master = self.dialect.full_name(table.schema, table.name[:position])
                key = self._key_to_master(name, master)
                if key is not None:
                    out[name] = key
                    break
        return out

    def _key_to_master(
        self, name: str, master: str, below: frozenset[str] = frozenset()
    ) -> ForeignKey | None:
        """The foreign key of a table to its master, direct or composed through parts that are not in ``below``."""
        below |= {name}
        keys = [fk for fk in self.parents(name) if fk.parent == master and not fk.virtual]
        if not keys:
            for fk in self.parents(name):
                if fk.virtual or fk.parent in below or not fk.parent.startswith(f"{master[:-1]}__"):
                    continue
                up = self._key_to_master(fk.parent, master, below)
                own = dict(zip((c.lower() for c in fk.parent_columns), fk.columns, strict=True))
                if up is not None and all(c.lower() in own for c in up.columns):
                    columns = tuple(own[c.lower()] for c in up.columns)
                    keys.append(ForeignKey(fk.name, name, columns, master, up.parent_columns))
        # a part refers to its master with its primary key, so of several keys prefer that one
        primary = set(self.tables[name].primary_key)
        return min(keys, key=lambda fk: (not set(fk.columns) <= primary, fk.name), default=None)

    @cached_property
    def _parts(self) -> dict[str, tuple[ForeignKey, ...]]:
        return _grouped(self.masters.values(), lambda fk: fk.parent)

    def parts(self, name: str) -> tuple[ForeignKey, ...]:
        """Foreign keys of the parts of master ``name``, each from the part to the master."""
        return self._parts.get(name, ())

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """The tables and everything that they refer to, directly or not."""
        out: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in out:
                out.add(name)
                todo += [fk.parent for fk in self.parents(name)]
        return out

    def in_order(self, names: Iterable[str]) -> list[str]:
        """The given tables, parents before children; tables of a cycle are adjacent."""
        wanted = set(names)
        return [name for name in self._order if name in wanted]

    def position(self, name: str) -> int:
        """The place of a table in the order of `in_order`, from 0."""
        return self._positions[name]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self._order)}

    @cached_property
    def _order(self) -> tuple[str, ...]:
        """All tables in the order of `in_order`; ties are broken by name."""
        groups = nx.condensation(self.graph)  # the tables of a cycle are one group
        members = {group: sorted(names) for group, names in groups.nodes(data="members")}
        order = nx.lexicographical_topological_sort(
            groups.reverse(copy=False), lambda group: members[group][0]
        )
        return tuple(name for group in order for name in members[group])

    def find(self, schema: str | None, name: str, default_schema: str | None = None) -> Table | None:
        """The table that a statement names, or None."""
        schema = schema or default_schema
        if schema is None:
            matches = [table for table in self.tables.values() if self._same(table.name, name)]
            return matches[0] if len(matches) == 1 else None
        found = self.tables.get(self.dialect.full_name(schema, name))
        if found is None and self.folds_table_names:
            return next(
                (
                    t
                    for t in self.tables.values()
                    if self._same(t.schema, schema) and self._same(t.name, name)
                ),
                None,
            )
        return found

    def name_of(self, name: str) -> str:
        """The catalog's spelling of a full table name; an unknown name stays as it is."""
        if name in self.tables or not self.folds_table_names:
            return name
        found = self.find(*split_full_name(name))
        return name if found is None else found.full_name

    def _same(self, one: str, other: str) -> bool:
        return one.lower() == other.lower() if self.folds_table_names else one == other


def _grouped(
    foreign_keys: Iterable[ForeignKey], name: Callable[[ForeignKey], str]
) -> dict[str, tuple[ForeignKey, ...]]:
    out: dict[str, list[ForeignKey]] = {}
    for fk in foreign_keys:
        out.setdefault(name(fk), []).append(fk)
    return {table: tuple(fks) for table, fks in out.items()}


# ---------------------------------------------------------------- reading one


def follow(
    schemas: Iterable[str],
    virtual: Sequence[ForeignKey],
    read: Callable[[Sequence[str]], tuple[list[Table], list[ForeignKey]]],
    referring: Callable[[Sequence[str]], Iterable[str]] | None,
    tables: dict[str, Table],
    folded: Callable[[str], str] = str,
) -> tuple[list[ForeignKey], list[ForeignKey]]:
    """Read schemas, and those that foreign keys lead to, into ``tables``.

    Parameters
    ----------
    schemas : iterable of str
    virtual : sequence of ForeignKey
        Declared references, which are followed, too.
    read : callable
        Reads the tables of schemas, and their foreign keys.
    referring : callable or None
        The schemas that refer to some, if these shall be read, too.
    tables : dict
        By full name; what is read is added.
    folded : callable
        The name of a schema as the server compares it.

    Returns
    -------
    foreign_keys, virtual : list of ForeignKey
        Those of all schemas that were read.
    """
    wanted = set(schemas)
    done: set[str] = set()
    foreign_keys: list[ForeignKey] = []
    while batch := sorted(wanted - done):
        found, keys = read(batch)
        tables.update((table.full_name, table) for table in found)
        foreign_keys += keys
        done |= set(batch)
        declared = [key for key in virtual if folded(split_full_name(key.child)[0]) in done]
        parents = {key.parent for key in (*keys, *declared)} - tables.keys()
        wanted |= {folded(split_full_name(parent)[0]) for parent in parents}
        if referring is not None:
            wanted |= {folded(schema) for schema in referring(batch)}
    return foreign_keys, [key for key in virtual if folded(split_full_name(key.child)[0]) in done]


def of_tables(key: ForeignKey, tables: Mapping[str, Table]) -> ForeignKey:
    """A virtual reference with the full names of its tables, which may be given by their classes."""

    def meant(name: str) -> str:
        return name if name in tables else find_table(tables, ".".join(split_full_name(name)), _SEEN)

    try:
        return replace(key, child=meant(key.child), parent=meant(key.parent))
    except SliceError as error:
        raise CatalogError(f"The virtual reference {key.name!r}: {error} {CORRECT}") from None


_SEEN = "that is in the database and visible to this account"
# What to do about a virtual reference.
CORRECT = "Correct it in sqlspy.references, or where it was given as virtual=… (--virtual)."


def require_columns(virtual: Iterable[ForeignKey], tables: Mapping[str, Table]) -> None:
    """Raise `CatalogError` if a virtual reference names a column that its table does not have."""
    for key in virtual:
        for name, names in ((key.child, key.columns), (key.parent, key.parent_columns)):
            if any(c.lower() not in tables[name].by_name for c in names):
                raise CatalogError(
                    f"The virtual reference {key.name!r} names {name} ({', '.join(names)}), which has the columns "
                    f"{', '.join(column.name for column in tables[name].columns)}. {CORRECT}"
                )
