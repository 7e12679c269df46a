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
    """A view that a statement names."""

    full_name: str
    schema: str
    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class Created:
    """What creates a table, view, function or sequence: its ``kind`` as DROP names it, its names, the statement.

    ``before`` are statements that set the session for it.
    """

    kind: str
    schema: str
    name: str
    sql: str
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Structure:
    """The structure of a slice, as servers of one flavor take it.

    Attributes
    ----------
    flavor : str
    created : tuple of Created
        In the order to run them.
    finish : tuple of str
        Statements to run once the rows are there.
    collations : tuple of tuples of str
        Each collation, and what to take, the best first; nothing where such servers have none like it.
    demands : tuple of (str, str)
        What a server must have, in words, and a query that it then answers with a row.
    refused : tuple of str
        What no such server can be given, in words; then it cannot load the slice.
    notes : tuple of str
        What becomes something else, or is left out, in words.
    """

    flavor: str
    created: tuple[Created, ...]
    finish: tuple[str, ...] = ()
    collations: tuple[tuple[str, ...], ...] = ()
    demands: tuple[tuple[str, str], ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Texts:
    """What a text in SQL says, each once: its literals as they are meant, names, comments, and what may be secret."""

    literals: tuple[str, ...]
    names: tuple[str, ...]
    comments: tuple[str, ...]
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table that are dumped: ``conditions`` are disjoint and select ``rows`` rows together.

    ``contents`` is SQL that is selected in the place of a column, by its name. ``checksum`` is that of the rows, if it
    was made.
    """

    table: Table
    rows: int
    conditions: tuple[str, ...]
    contents: Mapping[str, str] = field(default_factory=dict)
    checksum: int | None = None


@dataclass(frozen=True)
class Source:
    """What the scripts need to know of the source beside the slice.

    Attributes
    ----------
    flavor : "mysql" or "mariadb"
    version : str
        As ``SELECT VERSION()`` says.
    schemas : tuple of Schema
        Those of the tables and views of the slice.
    lineage : tuple of Rows
        Rows of ``~lineage`` tables that are about tables of the slice.
    views : tuple of View
        Views that statements name, a view after those that it reads.
    structures : tuple of Structure
        For servers of the source's flavor first, then for the others.
    settings : dict of str to str
        Of the session that the statements are replayed in.
    views_left_out : tuple of str
        Full names of views that statements name and that the slice cannot hold.
    functions_left_out : mapping
        By schema and name, why a stored function that statements call cannot be brought.
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
