"""Columns: finds the columns of base tables on which the result of a query depends.

In: a resolved and simplified query tree. Out: (full table name, column name) pairs. A column of a derived table counts
if the query above uses it: ``SELECT COUNT(*) FROM (SELECT * FROM t) AS x`` reads none. It goes down the tree from the
outputs, as demand does. All columns of an unresolved source count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlglot import exp

from ..servers.mysql.syntax import Expr
from .tree import Base, Block, Derived, Opaque, Query, Source, expressions_of, query_of, sources


def columns_read(query: Query) -> set[tuple[str, str]]:
    """Full table name and lower-case name of each column.

    >>> from dj_sqlspy.lineage.example import tree
    >>> sorted(columns_read(tree("SELECT COUNT(*) FROM (SELECT * FROM a) AS d WHERE x > 1")))
    [('`s`.`a`', 'x')]
    """
    reader = _Reader()
    reader.query(query, None)
    return reader.found


class _Reader:
    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()
        self._sources: dict[str, Source] = {}
        self._done: set[tuple[int, int | None]] = set()

    def query(self, query: Query, wanted: Iterable[int] | None) -> None:
        """Read what some outputs of a query need, by position; None for all."""
        if isinstance(query, Block):
            self._block(query, None if query.distinct else wanted)
            return
        positions = None if query.distinct or query.order or not query.adds_up else wanted
        for branch in query.branches:
            self.query(branch, positions)

    def _block(self, block: Block, wanted: Iterable[int] | None) -> None:
        if self._is_new(block, -1):
            for source in sources(block.tree):
                self._sources[source.alias] = source
            for source in sources(block.tree):
                if isinstance(source, Derived):
                    self.query(source.query, ())  # its conditions decide which rows exist
                elif isinstance(source, Opaque):
                    for base in source.whole:
                        self.found.update((base.table.full_name, name) for name in base.table.by_name)
            for expression in expressions_of(replace(block, outputs=())):
                self._expression(expression)
        for position in range(len(block.outputs)) if wanted is None else wanted:
            if self._is_new(block, position):
                self._expression(block.outputs[position].expr)

    def _is_new(self, block: Block, position: int) -> bool:
        key = (id(block), position)
        new = key not in self._done
        self._done.add(key)
        return new

    def _expression(self, expression: Expr) -> None:
        for node in expression.walk():
            inner = query_of(node)
            if inner is not None:
                self.query(inner, () if isinstance(node.parent, exp.Exists) else None)
            elif isinstance(node, exp.Column):
                self._column(node.table, node.name.lower())

    def _column(self, alias: str, name: str) -> None:
        source = self._sources.get(alias)
        if isinstance(source, Base):
            self.found.add((source.table.full_name, name))
        elif isinstance(source, Derived):
            names = [output.lower() for output in source.query.names]
            self.query(source.query, [position for position, one in enumerate(names) if one == name])
