"""Combinations: the rows for which a condition is evaluated, one of each source in scope.

In: a part of a resolved tree, and the `Combinations` of the queries around it. Out: the `Combinations` for which this
part is evaluated. The rules of `rejection` are about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..servers.expressions import Expr
from .derivation import Input, attach, carry
from .predicates import Predicate, from_occurrences, rowless
from .rewrite import cross
from .tree import (
    Base,
    Block,
    Derived,
    Join,
    Opaque,
    Output,
    Query,
    Source,
    Tree,
    Union,
    column,
    has_subquery,
    joins,
    lateral_references,
    references,
    sources,
    tree_aliases,
    windows_of,
)


@dataclass(frozen=True, eq=False)
class Combinations:
    """Combinations of one row of each source of some FROM clauses.

    Attributes
    ----------
    read : Input
        The joined sources, the conditions that the combinations meet, and the keys that they carry.
    bases : tuple of Base
        The occurrences whose keys identify a combination.
    rowless : bool
        True if a combination can exist without any row of a table.
    """

    read: Input = field(default_factory=lambda: Input(None))
    bases: tuple[Base, ...] = ()
    rowless: bool = True

    @property
    def aliases(self) -> frozenset[str]:
        return tree_aliases(self.read.tree)

    def joined(
        self, tree: Tree | None, where: tuple[Expr, ...] = (), also: Iterable[Base] = ()
    ) -> Combinations:
        """Each combination with each row of another FROM clause, also carrying the keys of ``also``."""
        bases = (*self.bases, *from_occurrences(tree))
        carried, keys = carry(tree, {base.alias for base in (*bases, *also)})
        read = Input(cross(self.read.tree, carried), self.read.where + where, {**self.read.keys, **keys})
        return Combinations(read, bases, self.rowless and rowless(tree))

    def meeting(self, *conditions: Expr) -> Combinations:
        """The combinations that also meet some conditions."""
        return replace(self, read=replace(self.read, where=(*self.read.where, *conditions)))

    def attached(self, predicate: Predicate, bases: Iterable[Base]) -> Combinations:
        """Each combination with the subquery's rows that matter for it, which carry the keys of ``bases``."""
        return replace(self, read=attach(self.read, predicate, {base.alias for base in bases}))


def beside(block: Block, part: Tree, around: Combinations) -> Combinations:
    """The combinations for a part of FROM, with the sources on its left if it refers to them (LATERAL)."""
    left: list[Tree] = []
    tree = block.tree
    while isinstance(tree, Join) and tree is not part:
        if _holds(tree.left, part):
            tree = tree.left
        else:
            left.append(tree.left)
            tree = tree.right
    needed = lateral_references(part)
    found: Tree | None = None
    for each in reversed(left):
        if needed & tree_aliases(each):
            needed |= lateral_references(each)
            found = cross(each, found)
    return around if found is None else around.joined(found)


def of_lateral(block: Block, source: Source, around: Combinations) -> Combinations:
    """The combinations of rows beside a source, also those for which the source has no row."""
    found = beside(block, source, around)
    return found.meeting(*without_subqueries(block, source, found.aliases))


def of_join(block: Block, join: Join, around: Combinations, keeps: Callable[[Expr], bool]) -> Combinations:
    """The combinations for an ON: rows of both sides, also those that it does not join.

    They meet the conditions of ON for which ``keeps`` is true, and the conditions of WHERE about the kept side.
    """
    found = beside(block, join, around)
    on = tuple(condition for condition in join.on if keeps(condition))
    where = without_subqueries(block, join, tree_aliases(join.left) | found.aliases)
    return found.joined(Join(join.left, join.right, on), where)


def without_subqueries(block: Block, part: Tree, visible: frozenset[str]) -> tuple[Expr, ...]:
    """For a part of FROM, the conditions of WHERE without subqueries about ``visible`` sources only.

    If the part is on the filled side of a LEFT JOIN, conditions on that side are left out, since NULLs may pass them.
    """
    visible -= _filled(block.tree, part)
    return tuple(
        condition
        for condition in block.where
        if not has_subquery(condition) and references(condition) <= visible
    )


def _filled(tree: Tree | None, part: Tree) -> frozenset[str]:
    """The sources on the filled side of a LEFT JOIN, if a part of FROM is on that side."""
    while isinstance(tree, Join) and tree is not part:
        if not _holds(tree.right, part):
            tree = tree.left
        elif tree.left_outer:
            return tree_aliases(tree.right)
        else:
            tree = tree.right
    return frozenset()


def _holds(tree: Tree, part: Tree) -> bool:
    return any(each is part for each in (*joins(tree), *sources(tree)))


def apart(tree: Tree | None) -> tuple[Output, ...]:
    """Columns that distinguish rows of a FROM clause which come from the same rows of tables.

    They belong to sources without a table (VALUES, JSON_TABLE), or with several rows for one row of a table (ROLLUP,
    windows).
    """
    found: list[Output] = []
    for source in sources(tree):
        names: Sequence[str] = ()
        if isinstance(source, Opaque):
            names = source.columns
        elif isinstance(source, Derived) and not _told_by_keys(source.query):
            names = source.query.names
        found += [Output(f"{source.alias}.{name}", column(source.alias, name)) for name in names]
    return tuple(found)


def _told_by_keys(query: Query) -> bool:
    """True if no two rows of a query are made of the same base rows."""
    if isinstance(query, Union):
        return all(_told_by_keys(branch) for branch in query.branches)
    return (
        query.tree is not None
        and not query.rollup
        and not windows_of(query)
        and all(
            isinstance(source, Base) or (isinstance(source, Derived) and _told_by_keys(source.query))
            for source in sources(query.tree)
        )
    )
