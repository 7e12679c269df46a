"""Scopes: what the names in a statement can refer to.

A `Scope` has the columns of one SELECT's FROM clause. A `Place` is passed down while a statement is resolved: it has
the scope, the visible CTEs and windows, and what is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from ..servers.catalog import Catalog
from ..servers.expressions import Expr, Syntax, Unsupported, nodes_of
from ..servers.syntaxes import syntax_of
from .rewrite import apart, with_names
from .tree import Query, column


@dataclass(frozen=True)
class Visible:
    """One column in a scope."""

    name: str
    expr: Expr
    source: str  # its qualifier in lower case; "" for a column that NATURAL or USING merged
    hidden: bool = False  # an invisible column, not in SELECT *


@dataclass
class Scope:
    """The columns of one SELECT's sources. They are added while its FROM clause is resolved."""

    parent: Scope | None  # of the outer query
    qualified: dict[tuple[str, str], Expr] = field(
        default_factory=dict
    )  # by source and column, in lower case
    star: list[Visible] = field(
        default_factory=list
    )  # the columns in order, also those that are not in SELECT *
    sources: dict[str, Sequence[str]] = field(default_factory=dict)  # the columns of each source in order
    schemas: dict[str, str] = field(default_factory=dict)  # of sources that are tables or views
    # columns of sources outside of the part of FROM that is being resolved, which LATERAL can use
    enclosing: list[list[Visible]] = field(default_factory=list)
    # the calls of functions that return rows in its SELECT (PostgreSQL), and the alias of the source that they become
    sets: list[Expr] = field(default_factory=list)
    sets_alias: str = ""

    def lookup(self, name: str, table: str | None) -> Expr | None:
        """The expression of a column of this scope, or None. Raises `Unsupported` if it is ambiguous."""
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
        """True if ``SELECT *`` has exactly one column of that name."""
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
        given: Sequence[str] = (),
    ) -> None:
        """Add the columns of a source that is named ``shown`` in the statement and ``alias`` in the tree.

        The statement names the first of its columns as ``given``.
        """
        key = shown.lower()
        called = dict(zip(names, given, strict=False))
        if key in self.sources:
            if self.schemas.get(key) == schema:
                raise Unsupported(f"the table name {shown!r} stands twice in one FROM clause")
            # two schemas with the same table name: only schema.table.column would be unique
            raise Unsupported(f"two tables named {shown!r} of different schemas stand in one FROM clause")
        self.sources[key] = [called.get(name, name) for name in names if name not in hidden]
        if schema is not None:
            self.schemas[key] = schema
        for name in names:
            expr = column(alias, name)
            if name in not_null:
                expr.meta["not_null"] = True
            if name in computed:
                expr.meta["computed"] = True
            visible = called.get(name, name)
            self.qualified[(key, visible.lower())] = expr
            self.star.append(Visible(visible, expr, key, name in hidden))

    def set_column(self, call: Expr, new: Callable[[], str]) -> Expr:
        """The column of the source that calls of functions that return rows in SELECT become."""
        if any(node.table == self.sets_alias for node in nodes_of(call, exp.Column)):
            raise Unsupported("a function that returns rows, of the rows of another, is not analysed")
        self.sets_alias = self.sets_alias or new()
        if call not in self.sets:
            self.sets.append(call)
        return column(self.sets_alias, f"set~{self.sets.index(call)}")


@dataclass(frozen=True, eq=False)
class Cte:
    """A common table expression: its query, its column names if given, and the CTEs visible in it."""

    name: str
    node: Expr
    columns: tuple[str, ...]
    visible: Mapping[str, Cte]
    recursive: bool


@dataclass(frozen=True, eq=False)
class Place:
    """A place in a statement, and the names that are visible there."""

    catalog: Catalog
    alias: Callable[[], str]  # makes an alias that no other source of the statement has
    resolve: Callable[[Expr, Place], Query]  # resolves a query, for the modules below `resolve`
    default_schema: str | None  # of table names without one
    whole: Expr | None = None  # the whole statement, or level of one
    views: tuple[str, ...] = ()  # full names of the enclosing views
    ctes: Mapping[str, Cte] = field(default_factory=dict)  # visible ones, by lower-case name
    scope: Scope = field(default_factory=lambda: Scope(None))
    windows: Mapping[str, Expr] = field(default_factory=dict)  # named ones, by lower-case name
    held: Mapping[str, Query] = field(default_factory=dict)  # resolved already (`levels`)
    given: set[str] = field(default_factory=set)  # those of them that stand in the tree
    spelled: dict[str, str] = field(default_factory=dict)  # all names, by themselves in lower case

    @property
    def syntax(self) -> Syntax:
        """How statements for the server are written."""
        return syntax_of(self.catalog.dialect)

    def require_spelled(self, names: Iterable[str]) -> None:
        """Raise `Unsupported` if the server tells one of these names from another one, and the lineage does not."""
        if self.syntax.exact_names:
            for name in names:
                if self.spelled.setdefault(name.lower(), name) != name:
                    raise Unsupported(f"names in it differ in upper and lower case only: {name}")

    def resolved(self, name: str) -> Query:
        """A query that is held. A CTE that is used twice has it twice."""
        found = apart(self.held[name], self.alias) if name in self.given else self.held[name]
        self.given.add(name)
        return found

    def query(self, node: Expr) -> Query:
        """The tree of a query at this place."""
        return self.resolve(node, self)

    def inside(self, windows: Mapping[str, Expr] | None = None) -> Place:
        """The place inside of a SELECT here; its scope is empty."""
        return replace(self, scope=Scope(self.scope), windows=windows or {})

    def outside(self) -> Place:
        """The place around this SELECT, in which its derived tables look up names."""
        return replace(self, scope=self.scope.parent or Scope(None))

    def closed(self, ctes: Mapping[str, Cte]) -> Place:
        """A place where no column is visible: in a CTE or a view."""
        return replace(self, ctes=ctes, scope=Scope(None), windows={})


def named_in(node: Expr) -> Iterator[str]:
    """All names in a parsed statement."""
    for identifier in nodes_of(node, exp.Identifier):
        yield identifier.name


def distinct_names(query: Query) -> Query:
    """The same query with distinct output names, as a derived table needs."""
    seen: dict[str, int] = {}
    names = []
    for name in query.names:
        key = name.lower()
        seen[key] = seen.get(key, 0) + 1
        names.append(name if seen[key] == 1 else f"{name}~{seen[key]}")
    return query if tuple(names) == query.names else renamed(query, names)


def renamed(query: Query, names: Sequence[str]) -> Query:
    """The same query with output names from the statement. PostgreSQL lets it name the first ones only."""
    if len(names) > len(query.names):
        raise Unsupported(f"{len(names)} column names are given for {len(query.names)} columns")
    return with_names(query, (*names, *query.names[len(names) :]))
