"""Scopes: what the names in a statement can refer to.

A `Scope` holds the columns that the FROM clause of one SELECT shows. A `Place` is what is handed down while a
statement is resolved: the scope, the CTEs and the windows that can be named there, and what is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..servers.catalog import Catalog
from ..servers.mysql.syntax import Expr, Unsupported
from .rewrite import with_names
from .tree import Query, column


@dataclass(frozen=True)
class Visible:
    """One column that a scope shows."""

    name: str
    expr: Expr
    source: str  # the name that can qualify it, in lower case; "" for a column that NATURAL or USING merged
    hidden: bool = False  # an invisible column, which only its name shows


@dataclass
class Scope:
    """The columns of one SELECT's sources. They come in while its FROM clause is resolved."""

    parent: Scope | None  # that of the query around
    qualified: dict[tuple[str, str], Expr] = field(
        default_factory=dict
    )  # by source and column, in lower case
    star: list[Visible] = field(
        default_factory=list
    )  # the columns in their order, with those that SELECT * hides
    sources: dict[str, Sequence[str]] = field(
        default_factory=dict
    )  # the columns of each source in their order
    schemas: dict[str, str] = field(default_factory=dict)  # of sources that are tables or views
    # columns of the sources around the part of FROM that is being resolved: LATERAL sees them
    enclosing: list[list[Visible]] = field(default_factory=list)

    def lookup(self, name: str, table: str | None) -> Expr | None:
        """The expression of a column of this scope, or None. Raises `Unsupported` where it is ambiguous."""
        key = name.lower()
        if table is not None:
            return self.qualified.get((table.lower(), key))
        matches = [visible for visible in self.star if visible.name.lower() == key]
        for around in reversed(self.enclosing):
            matches = matches or [visible for visible in around if visible.name.lower() == key]
        if len(matches) > 1:
            raise Unsupported(f"column {name!r} is ambiguous")
        return matches[0].expr if matches else None

    def shows(self, name: str) -> bool:
        """True if ``SELECT *`` has one column of that name."""
        return sum(visible.name.lower() == name.lower() for visible in self.star) == 1

    def show(
        self,
        shown: str,
        alias: str,
        names: Sequence[str],
        schema: str | None = None,
        not_null: Collection[str] = (),
        computed: Collection[str] = (),
        hidden: Collection[str] = (),
    ) -> None:
        """Add the columns of a source, which the statement calls ``shown`` and the tree ``alias``."""
        key = shown.lower()
        if key in self.sources:
            if self.schemas.get(key) == schema:
                raise Unsupported(f"the table name {shown!r} stands twice in one FROM clause")
            # the same table name of two schemas: only schema.table.column can tell them apart
            raise Unsupported(f"two tables named {shown!r} of different schemas stand in one FROM clause")
        self.sources[key] = [name for name in names if name not in hidden]
        if schema is not None:
            self.schemas[key] = schema
        for name in names:
            expr = column(alias, name)
            if name in not_null:
                expr.meta["not_null"] = True
            if name in computed:
                expr.meta["computed"] = True
            self.qualified[(key, name.lower())] = expr
            self.star.append(Visible(name, expr, key, name in hidden))


@dataclass(frozen=True, eq=False)
class Cte:
    """A common table expression: its query, the names of its columns if it gives any, and the CTEs that it sees."""

    name: str
    node: Expr
    columns: tuple[str, ...]
    visible: Mapping[str, Cte]
    recursive: bool


@dataclass(frozen=True, eq=False)
class Place:
    """A place in a statement, and what can be named there."""

    catalog: Catalog
    alias: Callable[[], str]  # makes an alias that no other source of the statement has
    resolve: Callable[[Expr, Place], Query]  # resolves a query; modules below `resolve` reach it by this
    default_schema: str | None  # of table names without one
    views: tuple[str, ...] = ()  # full names of the views around
    ctes: Mapping[str, Cte] = field(default_factory=dict)  # in sight, by name in lower case
    scope: Scope = field(default_factory=lambda: Scope(None))
    windows: Mapping[str, Expr] = field(default_factory=dict)  # named ones, by name in lower case

    def query(self, node: Expr) -> Query:
        """The tree of a query that stands here."""
        return self.resolve(node, self)

    def inside(self, windows: Mapping[str, Expr] | None = None) -> Place:
        """In a SELECT that stands here; its scope shows nothing yet."""
        return replace(self, scope=Scope(self.scope), windows=windows or {})

    def outside(self) -> Place:
        """Around the SELECT that this is in: where its derived tables look names up."""
        return replace(self, scope=self.scope.parent or Scope(None))

    def closed(self, ctes: Mapping[str, Cte]) -> Place:
        """Where no column is in sight: in a CTE or a view."""
        return replace(self, ctes=ctes, scope=Scope(None), windows={})


def distinct_names(query: Query) -> Query:
    """The same query with output names that differ, as a derived table needs them."""
    seen: dict[str, int] = {}
    names = []
    for name in query.names:
        key = name.lower()
        seen[key] = seen.get(key, 0) + 1
        names.append(name if seen[key] == 1 else f"{name}~{seen[key]}")
    return query if tuple(names) == query.names else renamed(query, names)


def renamed(query: Query, names: Collection[str]) -> Query:
    """The same query with output names that the statement gives."""
    if len(names) != len(query.names):
        raise Unsupported(f"{len(names)} column names are given for {len(query.names)} columns")
    return with_names(query, names)
