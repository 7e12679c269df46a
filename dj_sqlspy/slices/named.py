"""Named: the tables that captured statements name, and the catalog for them.

In: shapes, and a snapshot. Out: the `Catalog` of all schemas that the statements name, directly or through views, and
the statements whose tables are unknown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from ..cascade.leaves import Unanswered
from ..cascade.options import Bound, Options
from ..errors import LineageError
from ..lineage import NamesOf, named_tables
from ..lineage.levels import Texts
from ..names import split_full_name
from ..servers.catalog import Catalog
from ..servers.expressions import Syntax
from ..servers.snapshot import Snapshot
from ..servers.syntaxes import syntax_of
from ..shapes import Shape

# Schema (None: not given) and table.
Names = set[tuple[str | None, str]]


def catalog_of(
    shapes: Sequence[Shape], snapshot: Snapshot, options: Options, texts: Texts
) -> tuple[Catalog, Names, list[Unanswered]]:
    """The catalog, the tables that statements and bounds name, and the statements whose tables are unknown.

    The catalog has the columns of all schemas that the statements can lead to.
    """
    names, guessed, unanswered = _named(shapes, snapshot, texts)
    syntax = texts.syntax
    bounding = {name for bound in (*options.only, *options.guard) for name in _of_bound(bound, syntax)}
    schemas = {schema for schema, _ in names | guessed | bounding if schema is not None}
    catalog = _read_catalog(snapshot, schemas, names | guessed | bounding, options)
    named = {catalog.dialect.full_name(schema, name) for schema, name in names if schema is not None}
    if named <= catalog.tables.keys():
        catalog.read_columns(catalog.ancestors(named))
    return catalog, names, unanswered


def _named(
    shapes: Iterable[Shape], snapshot: Snapshot, texts: Texts
) -> tuple[Names, Names, list[Unanswered]]:
    """The tables that statements name (in the schema of USE if they give none), and those that they may name.

    The latter come from statements that cannot be parsed: each ``x.y`` in which x is a schema, and names in the schema
    of USE.
    """
    names: Names = set()
    guessed: Names = set()
    unanswered: list[Unanswered] = []
    syntax, read = texts.syntax, NamesOf(texts)
    for shape in shapes:
        modes, found = snapshot.session(shape.state).modes, None
        # first the one that is analysed, so that it is parsed once
        alone = len(shape.bindings) == 1 and texts.split(shape.marked, modes) is None
        forms = (shape.marked, shape.first.sql)
        for text in forms[::-1] if alone else forms:
            with contextlib.suppress(LineageError):
                found = found or read.of(text, modes)
        if found is None:
            try:
                schema = shape.database or None
                told = named_tables(shape.first.sql, modes=modes, syntax=syntax, default_schema=schema)
                guessed.update(told)
            except LineageError as error:
                unanswered += [Unanswered(tuple(each), str(error)) for each in shape.bindings.values()]
        else:
            names.update((schema or shape.database or None, name) for schema, name in found)
    if guessed:
        schemas = snapshot.schema_names()
        guessed = {(schema, name) for schema, name in guessed if schema and schema.lower() in schemas}
    return names, guessed, unanswered


def _of_bound(bound: Bound, syntax: Syntax) -> Names:
    with contextlib.suppress(LineageError):  # `cascade.inside` reports it
        return {split_full_name(bound.table), *named_tables(bound.sql, syntax=syntax)}
    return {split_full_name(bound.table)}


def _read_catalog(snapshot: Snapshot, schemas: set[str], names: Names, options: Options) -> Catalog:
    """The catalog of all named schemas, and of those that views among the tables read."""
    while True:
        catalog = snapshot.read_catalog(schemas, options.virtual, options.down)
        more = _behind_views(catalog, {name for _, name in names})
        if more <= schemas:
            return catalog
        schemas = schemas | more


def _behind_views(catalog: Catalog, names: Iterable[str]) -> set[str]:
    """The schemas that views of these names read, directly or through other views."""
    views: dict[str, list[str]] = {}
    for table in catalog.tables.values():
        if table.view_sql:
            views.setdefault(table.name.lower(), []).append(table.view_sql)
    todo, done, schemas = {name.lower() for name in names}, set[str](), set[str]()
    while todo:
        name = todo.pop()
        done.add(name)
        for sql in views.get(name, ()):
            found = named_tables(sql, syntax=syntax_of(catalog.dialect))
            schemas |= {schema for schema, _ in found if schema is not None}
            todo |= {other.lower() for _, other in found} - done
    return schemas
