"""Slice: the exact set of rows to export, and why.

In: the key sets of a cascade, with the number of rows of each table and the conditions that select them. Out: a
`Slice`, and for each row the reason that it is there. It copies no row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import datajoint
from rich.console import RenderableType

from ..cascade import KeySets
from ..cascade.leaves import StatementReport
from ..cascade.options import Bound
from ..display import as_text
from ..errors import SliceError
from ..names import find_table
from ..servers import backend_of
from ..servers.catalog import Catalog
from ..servers.dialect import Key
from ..servers.session import PLAIN, Session
from . import show
from .tables import TableSlice
from .why import Ask, explain, stored_key


class Maker(Protocol):
    """Implements the operators of `Slice`."""

    def union(self, one: Slice, other: Slice) -> Slice:
        """The slice of the statements of both."""

    def rows_of(self, cut: Slice, keys: Mapping[str, Iterable[Key]]) -> Slice:
        """Some rows of a slice and what they refer to."""


class Slice:
    """The result of a cascade, from `Paper.slice` or `dj_sqlspy.slice`.

    Attributes
    ----------
    tables : dict of str to TableSlice
        By full table name, parents before children. It includes tables of which only the structure is needed.
    catalog : Catalog
    statements : list of StatementReport
        Every captured statement of a kind that exports rows, in order.
    only : tuple of Bound
        The bounds that it keeps.
    left_out : dict of str to int
        Number of rows, by full table name, that statements, rules or masters need and that are outside of ``only``.
        The statements that need them are marked ``left-out``.
    """

    def __init__(
        self,
        catalog: Catalog,
        sets: KeySets,
        tables: Mapping[str, TableSlice],
        statements: Sequence[StatementReport],
        server: Mapping[str, str],
        maker: Maker,
        *,
        parts: str = "all",
        only: tuple[Bound, ...] = (),
        left_out: Mapping[str, int] = MappingProxyType({}),
        connection: Any = None,
    ) -> None:
        self.catalog = catalog
        self.tables = dict(tables)
        self.statements = list(statements)
        self.server = dict(server)
        self.parts = parts
        self.only = only
        self.left_out = dict(left_out)
        self.connection = connection
        self._sets = sets
        self._maker = maker

    def __repr__(self) -> str:
        rows = sum(table.rows for table in self.tables.values())
        return f"<Slice: {rows} rows of {sum(t.rows > 0 for t in self.tables.values())} tables>"

    def __str__(self) -> str:
        return as_text(self.lines())

    def _repr_html_(self) -> str:
        return show.html(self.tables, self.statements)

    def lines(self) -> Iterable[RenderableType]:
        """The slice for a terminal: its tables, then its warnings."""
        return show.lines(self.tables, self.statements)

    @property
    def fallbacks(self) -> list[StatementReport]:
        """Statements that could not be analysed; their tables are exported whole."""
        return [report for report in self.statements if report.fallback]

    @property
    def drifted(self) -> list[StatementReport]:
        """Statements whose results have changed since they were captured."""
        return [report for report in self.statements if report.drifted]

    def free_tables(self) -> list[Any]:
        """Restricted ``dj.FreeTable`` objects, parents first, of the tables that have rows in the slice."""
        connection = self.connection or datajoint.conn()
        return [
            datajoint.FreeTable(connection, name) & table.restriction
            for name, table in self.tables.items()
            if table.rows
        ]

    # -------------------------------------------------- algebra

    def keys(self, name: str) -> set[Key]:
        """The primary keys of a table's rows in the slice (integers, texts as the server prints them, bytes)."""
        return set(self._sets.keys.get(self.catalog.name_of(name), ()))

    def __add__(self, other: Slice) -> Slice:
        """The slice of the statements of both."""
        return self._maker.union(self, other)

    def __and__(self, other: Slice) -> Slice:
        """The rows that are in both, and what they refer to."""
        return self._maker.rows_of(self, {name: self.keys(name) & other.keys(name) for name in self.tables})

    def __sub__(self, other: Slice) -> Slice:
        """The rows that are not in the other slice, and what they refer to."""
        return self._maker.rows_of(self, {name: self.keys(name) - other.keys(name) for name in self.tables})

    # -------------------------------------------------- why

    def why(self, table: str, key: Mapping[str, Any]) -> list[str]:
        """The chain of rules that brought a row into the slice, the row itself first.

        Parameters
        ----------
        table : str
            As it is printed: ```schema`.`table```, ``schema.table`` or ``schema.ClassName``.
        key : dict
            Primary key of the row.

        Returns
        -------
        list of str
            One line a step: the row and the rule that brought it. The last line names at most five statements that
            read the row.

        Raises
        ------
        SliceError
            If the table or the row is not in the slice.
        """
        table = (
            self.catalog.name_of(table) if table.startswith(("`", '"')) else find_table(self.tables, table)
        )
        if table not in self.tables:
            raise SliceError(
                f"Explaining a row: {table} is not in the slice, which has {', '.join(self.tables)}."
            )
        with self._asking() as ask:
            return self.explain(table, stored_key(self.tables[table].table, key, self._sets.rows(table), ask))

    def explain(self, name: str, found: Key, texts: dict[int, str] | None = None) -> list[str]:
        """`why` for a key of a set. A statement in ``texts`` is taken out where its text is shown (default: all)."""
        with self._asking() as ask:
            return explain(self.catalog, self._sets, self.statements, ask, name, found, texts)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Ask]:
        """A function that queries the server and connects on its first use. Without a connection it returns no rows."""
        opened: list[Any] = []

        def ask(
            sql: str, arguments: Sequence[Any] | None = None, session: Session = PLAIN
        ) -> Sequence[tuple[Any, ...]]:
            if self.connection is None:
                return ()
            if not opened:
                backend = backend_of(self.connection)
                connection = backend.connect(self.connection, plain=True)
                stack.enter_context(contextlib.closing(connection))
                opened.append(backend.snapshot(connection))
            return opened[0].rows(sql, arguments, session)  # type: ignore[no-any-return]

        with contextlib.ExitStack() as stack:
            yield ask
