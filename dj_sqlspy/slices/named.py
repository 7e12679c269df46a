"""Named: the tables that captured statements name, and the catalog that they can lead to.

In: shapes, and a snapshot. Out: the `Catalog` of all schemas that the statements name, themselves or through views.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from ..cascade.options import Bound, Options
from ..errors import LineageError
from ..lineage import named_tables
from ..names import split_full_name
from ..servers.catalog import Catalog
from ..servers.snapshot import Snapshot
from ..shapes import Shape

# Schema (None: not named) and table.
Names = set[tuple[str | None, str]]


def catalog_of(shapes: Sequence[Shape], snapshot: Snapshot, options: Options) -> tuple[Catalog, Names]:
    """The catalog, with the columns of the schemas that the statements can lead to; and the tables that they name.

    It has the tables that bounds name as well.
    """
    names, guessed = _named(shapes, snapshot)
    bounding = {name for bound in (*options.only, *options.guard) for name in _of_bound(bound)}
    schemas = {schema for schema, _ in names | guessed | bounding if schema is not None}
    catalog = _read_catalog(snapshot, schemas, names | guessed | bounding, options)
    named = {catalog.dialect.full_name(schema, name) for schema, name in names if schema is not None}
    if named <= catalog.tables.keys():
        catalog.read_columns(catalog.ancestors(named))
    return catalog, names


def _named(shapes: Iterable[Shape], snapshot: Snapshot) -> tuple[Names, Names]:
    """The tables that statements name, in the schema of USE where they name none; and those that they may name.

    The latter are, of a statement that cannot be parsed, ``x.y`` where x is a schema.
    """
    names: Names = set()
    guessed: Names = set()
    for shape in shapes:
        found = None
        for text in (shape.marked, shape.first.sql):
            with contextlib.suppress(LineageError):
                found = found or named_tables(text, guess=False)
        if found is None:
            guessed.update(named_tables(shape.first.sql))
        else:
            names.update((schema or shape.database or None, name) for schema, name in found)
    if guessed:
        schemas = snapshot.schema_names()
        guessed = {(schema, name) for schema, name in guessed if schema and schema.lower() in schemas}
    return names, guessed


def _of_bound(bound: Bound) -> Names:
    with contextlib.suppress(LineageError):  # `cascade.inside` says what is wrong with it
        return {split_full_name(bound.table), *named_tables(bound.sql)}
    return {split_full_name(bound.table)}


def _read_catalog(snapshot: Snapshot, schemas: set[str], names: Names, options: Options) -> Catalog:
    """The catalog of all named schemas, and of those that views among the tables name in turn."""
    while True:
        catalog = snapshot.read_catalog(schemas, options.virtual, options.down)
        more = _behind_views(catalog, {name for _, name in names})
        if more <= schemas:
            return catalog
        schemas = schemas | more


def _behind_views(catalog: Catalog, names: Iterable[str]) -> set[str]:
    """The schemas that the views of these names read, themselves or through other views."""
    views: dict[str, list[str]] = {}
    for table in catalog.tables.values():
        if table.view_sql:
            views.setdefault(table.name.lower(), []).append(table.view_sql)
    todo, done, schemas = {name.lower() for name in names}, set[str](), set[str]()
    while todo:
        name = todo.pop()
        done.add(name)
        for sql in views.get(name, ()):
            found = named_tables(sql)
            schemas |= {schema for schema, _ in found if schema is not None}
            todo |= {other.lower() for _, other in found} - done
    return schemas
