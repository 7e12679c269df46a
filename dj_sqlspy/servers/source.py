"""Source: what a dump needs to know of its server beside the tables of the slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .tables import Table


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as the source has it."""

    name: str
    charset: str
    collation: str


@dataclass(frozen=True, slots=True)
class View:
    """A view that a statement names; ``collation`` is that of the literals in its definition."""

    full_name: str
    schema: str
    name: str
    collation: str
    definition: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table that are dumped: ``conditions`` are disjoint and select ``rows`` rows together.

    ``contents`` is SQL that is selected in the place of a column, by its name.
    """

    table: Table
    rows: int
    conditions: tuple[str, ...]
    contents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated column. ``change`` is what ALTER TABLE does, ``probe`` a SELECT that MySQL must understand for it."""

    schema: str
    table: str
    column: str
    change: str
    probe: str


@dataclass(frozen=True)
class Source:
    """What the scripts need to know of the source beside the slice.

    Attributes
    ----------
    flavor : "mysql" or "mariadb"
    version : str
        As ``SELECT VERSION()`` says.
    schemas : tuple of Schema
        Those of the tables of the slice.
    lineage : tuple of Rows
        Rows of ``~lineage`` tables that are about tables of the slice.
    views : tuple of View
        Views that statements name, a view after those that it reads.
    collations : tuple of str
        All that columns, tables and schemas of the slice have.
    settings : dict of str to str
        Of the session that the statements are replayed in.
    generated : tuple of Generated
        Generated columns of MariaDB that MySQL can be given.
    """

    flavor: str
    version: str
    schemas: tuple[Schema, ...]
    lineage: tuple[Rows, ...] = ()
    views: tuple[View, ...] = ()
    collations: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    generated: tuple[Generated, ...] = ()
