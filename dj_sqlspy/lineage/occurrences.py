"""Occurrences: which occurrences of base tables the rows of a query are made of, and which are demanded.

In: a resolved tree. Out: the `Base` nodes below it. A table that a statement names twice occurs twice.
"""

from __future__ import annotations

from .predicates import predicates
from .tree import Base, Derived, Join, Query, Tree, Union, expressions_of, sources


def from_occurrences(tree: Tree | None) -> list[Base]:
    """Base tables that the rows of a FROM clause are made of, through derived tables."""
    found: list[Base] = []
    for source in sources(tree):
        if isinstance(source, Base):
            found.append(source)
        elif isinstance(source, Derived):
            found += _query_occurrences(source.query)
    return found


def _query_occurrences(query: Query) -> list[Base]:
    if isinstance(query, Union):
        return [base for branch in query.branches for base in _query_occurrences(branch)]
    return from_occurrences(query.tree)


def demanded_occurrences(query: Query) -> list[Base]:
    """Base tables that demanded rows need rows of: all but those below a negation.

    >>> from dj_sqlspy.lineage.example import tree
    >>> query = tree("SELECT x FROM a WHERE id IN (SELECT id FROM b) AND id NOT IN (SELECT id FROM c)")
    >>> [base.table.name for base in demanded_occurrences(query)]
    ['a', 'b']
    """
    if isinstance(query, Union):
        return [base for branch in query.branches for base in demanded_occurrences(branch)]
    found = [source for source in sources(query.tree) if isinstance(source, Base)]
    for source in sources(query.tree):
        if isinstance(source, Derived):
            found += demanded_occurrences(source.query)
    for expression in expressions_of(query):
        for predicate in predicates(expression):
            if predicate.polarity != "-" and not predicate.standalone:
                found += demanded_occurrences(predicate.query)
    return found


def rowless(tree: Tree | None) -> bool:
    """True if a row of a FROM clause can be made of no row of any table: of VALUES, of COUNT(*) over nothing."""
    if isinstance(tree, Join):
        return rowless(tree.left) and (tree.left_outer or rowless(tree.right))
    if isinstance(tree, Derived):
        return _rowless_query(tree.query)
    return not isinstance(tree, Base)


def _rowless_query(query: Query) -> bool:
    if isinstance(query, Union):
        return any(_rowless_query(branch) for branch in query.branches)
    return query.totals or rowless(query.tree)
