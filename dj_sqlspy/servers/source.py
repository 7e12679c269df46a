"""Source: what a dump needs to know of the server besides the tables of the slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .tables import Table


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema of the source."""

    name: str
    charset: str
    collation: str


@dataclass(frozen=True, slots=True)
class View:
    """A view that a statement names."""

    full_name: str
    schema: str
    name: str
    definition: str


class Thing(NamedTuple):
    """A table, view, function or sequence: its ``kind`` (as in DROP) and names."""

    kind: str
    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class Created:
    """The statement that creates a table, view, function or sequence, with its ``kind`` (as in DROP) and names.

    ``before`` are statements that set the session for it. ``needs`` are the views and functions that it reads or calls.
    ``calls`` are the calls of the server's functions in the body of a function, with NULL for its variables.
    ``collations`` are those that a view or function names, and that of its texts. ``traits`` say whether a function is
    deterministic, and what it reads.
    """

    kind: str
    schema: str
    name: str
    sql: str
    before: tuple[str, ...] = ()
    needs: tuple[Thing, ...] = ()
    calls: tuple[str, ...] = ()
    collations: tuple[str, ...] = ()
    traits: str = ""

    @property
    def thing(self) -> Thing:
        return Thing(self.kind, self.schema, self.name)


class Demand(NamedTuple):
    """What a server must support, in words, and a query that then returns a row (none: no such server does).

    ``of`` is the view or function that a server without it can go without.
    """

    what: str
    query: str = ""
    of: Thing | None = None


@dataclass(frozen=True, slots=True)
class Structure:
    """The structure of a slice, for servers of one flavor.

    Attributes
    ----------
    flavor : str
    created : tuple of Created
        In the order to run them.
    finish : tuple of str
        Statements to run after the rows are loaded.
    collations : tuple of tuples of str
        A collation, then its replacements, the best first; none if such servers have nothing equal.
    demands : tuple of Demand
    refused : tuple of str
        Why no such server can load the slice, in words.
    notes : tuple of str
        What is changed or left out, in words.
    other_values : tuple of Demand
        What such a server computes otherwise than the source, unless the query returns a row.
    """

    flavor: str
    created: tuple[Created, ...]
    finish: tuple[str, ...] = ()
    collations: tuple[tuple[str, ...], ...] = ()
    demands: tuple[Demand, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    other_values: tuple[Demand, ...] = ()


class Computed(NamedTuple):
    """A generated column: how its values are summed up in SQL, and the sum over the slice's rows in the source."""

    table: str
    column: str
    checksum: str
    total: int


@dataclass(frozen=True, slots=True)
class Texts:
    """The distinct literals (their values), names, comments and possible secrets in an SQL text."""

    literals: tuple[str, ...]
    names: tuple[str, ...]
    comments: tuple[str, ...]
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table that are dumped. The ``conditions`` are disjoint and together select ``rows`` rows.

    ``contents`` maps a column to the SQL that is selected instead of it. ``checksum`` is that of the rows, if known.
    ``negative_zeros`` are the columns that hold one.
    """

    table: Table
    rows: int
    conditions: tuple[str, ...]
    contents: Mapping[str, str] = field(default_factory=dict)
    checksum: int | None = None
    negative_zeros: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Source:
    """What the scripts need to know of the source besides the slice.

    Attributes
    ----------
    flavor : "mysql", "mariadb" or "postgresql"
    version : str
        From ``SELECT VERSION()``.
    schemas : tuple of Schema
        Schemas of the tables and views of the slice.
    lineage : tuple of Rows
        Rows of ``~lineage`` tables that are about tables of the slice.
    views : tuple of View
        Views that statements name, each after those that it reads.
    structures : tuple of Structure
        For servers of the source's flavor first, then for the others.
    settings : dict of str to str
        Settings of the session in which statements are replayed.
    views_left_out : tuple of str
        Full names of views that statements name and that the slice cannot hold.
    functions_left_out : mapping
        By schema and name, why a stored function that statements call is not in the slice.
    generated : mapping
        By full table name, the generated columns with values that do not change by themselves.
    definitions : mapping
        By full table name, a digest of its definition, where the dump checks it (PostgreSQL).
    """

    flavor: str
    version: str
    schemas: tuple[Schema, ...]
    lineage: tuple[Rows, ...] = ()
    views: tuple[View, ...] = ()
    structures: tuple[Structure, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    views_left_out: tuple[str, ...] = ()
    functions_left_out: Mapping[tuple[str, str], str] = field(default_factory=dict)
    generated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)
