"""Combinations: the rows that a condition is evaluated for, one of each source in scope.

In: a part of a resolved tree, and the `Combinations` of the queries around it. Out: the `Combinations` that this part
is evaluated for. The rules of `rejection` are about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..servers.mysql.syntax import Expr
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
        The sources joined, the conditions that the combinations meet, and the keys that they carry.
    bases : tuple of Base
        The occurrences of which a combination is known by its keys.
    rowless : bool
        True if a combination can be made of no row of any table.
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
        """Each combination with each row of another FROM clause. They carry the keys of ``also`` too."""
        bases = (*self.bases, *from_occurrences(tree))
        carried, keys = carry(tree, {base.alias for base in (*bases, *also)})
        read = Input(cross(self.read.tree, carried), self.read.where + where, {**self.read.keys, **keys})
        return Combinations(read, bases, self.rowless and rowless(tree))

    def meeting(self, *conditions: Expr) -> Combinations:
        """Those that meet more conditions."""
        return replace(self, read=replace(self.read, where=(*self.read.where, *conditions)))

    def attached(self, predicate: Predicate, bases: Iterable[Base]) -> Combinations:
        """Each with the rows of a subquery that matter for it, which carry the keys of ``bases``."""
        return replace(self, read=attach(self.read, predicate, {base.alias for base in bases}))


def beside(block: Block, part: Tree, around: Combinations) -> Combinations:
    """Those that a part of FROM is evaluated for: with what stands left of it, where it refers to that (LATERAL)."""
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
    """Those that a source is evaluated for: of the rows beside it, also where it has no row for them."""
    found = beside(block, source, around)
    return found.meeting(*without_subqueries(block, source, found.aliases))


def of_join(block: Block, join: Join, around: Combinations, keeps: Callable[[Expr], bool]) -> Combinations:
    """Those that ON is evaluated for: rows of both sides, also those that it does not join.

    They meet the conditions of ON that ``keeps`` says, and of WHERE those about the kept side.
    """
    found = beside(block, join, around)
    on = tuple(condition for condition in join.on if keeps(condition))
    where = without_subqueries(block, join, tree_aliases(join.left) | found.aliases)
    return found.joined(Join(join.left, join.right, on), where)


def without_subqueries(block: Block, part: Tree, visible: frozenset[str]) -> tuple[Expr, ...]:
    """The conditions of WHERE that have no subquery and are about the ``visible`` sources alone, for a part of FROM.

    Conditions on the side of a LEFT JOIN that the part stands in are left out: NULLs in the place of its rows may pass.
    """
    visible -= _filled(block.tree, part)
    return tuple(
        condition
        for condition in block.where
        if not has_subquery(condition) and references(condition) <= visible
    )


def _filled(tree: Tree | None, part: Tree) -> frozenset[str]:
    """The sources of the side of a LEFT JOIN around a part of FROM that NULLs can stand in the place of."""
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
    """Columns that tell apart rows of a FROM clause that are made of the same rows of tables.

    These are columns of sources that are made of no table (VALUES, JSON_TABLE), or that have several rows for one of a
    table (ROLLUP, windows).
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
    """True where the rows that a row of a query is made of are those of no other."""
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
