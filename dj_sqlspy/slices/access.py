"""Access: finds all grants that this account lacks for a slice, before any row is read.

In: the part of the catalog that the account can see, and the tables that a slice starts from. Out: nothing, or one
error that lists the missing grants: for tables that statements name, for those that foreign keys lead to, and for
definitions of views. It reads no row.

information_schema names the parents of each table that the account may read, also those that it may not read. It does
not tell the parents of these. Parts that the account may not read are missing without a warning.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from ..cascade.options import Options
from ..errors import CatalogError, LineageError
from ..lineage import names_or_guesses
from ..names import split_full_name
from ..servers.catalog import Catalog
from ..servers.snapshot import Refused, Snapshot
from ..servers.syntaxes import syntax_of
from ..servers.tables import Table

# Number of tables in one query.
_AT_ONCE = 50


def require_access(
    catalog: Catalog,
    names: Iterable[tuple[str | None, str]],
    snapshot: Snapshot,
    options: Options,
) -> None:
    """Raise if the account may not read everything that the slice can contain.

    Parameters
    ----------
    catalog : Catalog
        Read with ``partial=True``.
    names : iterable of (schema or None, table)
        The tables and views that the slice starts from. Lineage deals with names without a schema.
    snapshot : Snapshot
    options : Options

    Raises
    ------
    CatalogError
        The message lists the grants to ask for.
    """
    missing: dict[str, str] = {}  # a grant, and why it is needed
    tables: list[str] = []
    for table, name, view in _behind(catalog, names, snapshot):
        if table is None:
            if _denied(snapshot, name):
                missing[_select_on(name, catalog)] = (
                    f"{view} reads {name}" if view else "a statement reads it"
                )
        elif table.is_view:
            if not table.view_sql:
                missing[f"SHOW VIEW ON {name}"] = "a statement reads this view, and its definition is needed"
                if _denied(snapshot, name):
                    missing[f"SELECT ON {name}"] = "a statement reads this view"
        else:
            tables.append(name)
    needed = _reachable(catalog, tables, options) if options.closed else dict.fromkeys(tables)
    for name in needed:
        if name in catalog.tables and catalog.tables[name].refused:
            raise CatalogError(
                f"Reading what the slice needs: {name} is {catalog.tables[name].refused}. Leave out the statements that"
                " lead to it (docs/servers.md)."
            )
    for fk in catalog.hidden:
        if options.closed and fk.child in needed:
            missing[_select_on(fk.parent, catalog)] = f"{fk.child} refers to {fk.parent}"
    for name in _unreadable(snapshot, [name for name in needed if name in catalog.tables]):
        missing[f"SELECT ON {name}"] = "the slice takes whole rows, with all columns"
    if missing:
        raise CatalogError(_message(missing, snapshot))


def _behind(
    catalog: Catalog, names: Iterable[tuple[str | None, str]], snapshot: Snapshot
) -> Iterator[tuple[Table | None, str, str]]:
    """Named tables and views, also those that views read: entry (None: not visible), full name, and that view."""
    pending = [(schema, name, "") for schema, name in sorted(names, key=str)]
    seen = set()
    while pending:
        schema, name, view = pending.pop(0)
        table = catalog.find(schema, name)
        known = (
            table.full_name
            if table is not None
            else catalog.dialect.full_name(schema, name)
            if schema
            else None
        )
        if known is None or known in seen or (schema or "").lower() in catalog.dialect.system_schemas:
            continue
        seen.add(known)
        yield table, known, view
        if table is not None and table.view_sql:
            with contextlib.suppress(LineageError):  # lineage reports it, with the statement
                inner, guessed = names_or_guesses(table.view_sql, syntax_of(catalog.dialect))
                if guessed:  # each ``x.y``, which is a table only if x is a schema
                    schemas = snapshot.schema_names()
                    inner = [(own, name) for own, name in inner if own and own.lower() in schemas]
                pending += [(own or table.schema, name, known) for own, name in inner]


def _reachable(catalog: Catalog, tables: Iterable[str], options: Options) -> dict[str, None]:
    """The tables and all that the cascade can reach from them."""
    found: dict[str, None] = {}
    pending = list(tables)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found[name] = None
        pending += [fk.parent for fk in catalog.parents(name)]
        if options.parts == "all":
            pending += [fk.child for fk in catalog.parts(name)]
        if options.down:
            pending += [fk.child for fk in catalog.children(name)]
    return found


def _select_on(name: str, catalog: Catalog) -> str:
    """The grant for a table. If its schema is invisible, ask for all of it, since it may hold parents as well."""
    schema, _ = split_full_name(name)
    seen = any(table.schema == schema for table in catalog.tables.values())
    return f"SELECT ON {name}" if seen else f"SELECT ON {catalog.dialect.quote(schema)}.*"


def _denied(snapshot: Snapshot, name: str) -> bool:
    """Whether the account may not read a table; False if it does not exist."""
    try:
        snapshot.rows(_no_row_of(name, snapshot))
    except Refused as error:
        return error.denied
    return False


def _unreadable(snapshot: Snapshot, names: Sequence[str]) -> Iterator[str]:
    """Tables with columns that the account may not read."""
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        asked = (f"({_no_row_of(name, snapshot)})" for name in some)
        try:
            snapshot.rows(" UNION ALL ".join(asked))
        except Refused:
            yield from (name for name in some if _denied(snapshot, name))


def _no_row_of(name: str, snapshot: Snapshot) -> str:
    """A query that needs all columns of a table and returns nothing."""
    return f"SELECT 1 FROM (SELECT * FROM {name} LIMIT 0) AS {snapshot.dialect.quote('asked')}"


def _message(missing: dict[str, str], snapshot: Snapshot) -> str:
    account = snapshot.account()
    grants = [f"    GRANT {grant} TO {account};  -- {why}" for grant, why in missing.items()]
    return (
        f"Reading what the slice needs: the account {account} may not read all of it, and nothing was written. Ask "
        "the administrator for:\n"
        + "\n".join(grants)
        + "\nAfter this grant, run it again: more may be asked for. A grant on a schema covers all of its tables."
    )
