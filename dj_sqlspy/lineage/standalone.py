"""Standalone: the queries inside of a query that are demanded for themselves.

In: a resolved tree. Out: the queries in it whose whole result is demanded, whatever the query around them does with
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .predicates import predicates
from .tree import Block, Derived, Query, Union, expressions_of, outer_references, sources


def standalone(query: Query) -> Iterator[Query]:
    """Queries that are demanded for themselves.

    Those with LIMIT below the top (which rows are first must not change), aggregates over all rows in a derived table
    (they have a value even of no rows), and scalar subqueries that are not correlated.

    >>> from dj_sqlspy.lineage.example import show, tree
    >>> for query in standalone(tree("SELECT x FROM a WHERE x > (SELECT MAX(y) FROM b)")):
    ...     show(query)
    SELECT MAX(t2.y) AS MAX(y) FROM s.b AS t2
    """
    if isinstance(query, Block) and query.totals and query.having:
        yield _of_all_rows(query)
    yield from _inside(query)


def _inside(query: Query) -> Iterator[Query]:
    if isinstance(query, Union):
        for branch in query.branches:
            yield from _at(branch)
        return
    for source in sources(query.tree):
        if isinstance(source, Derived):
            yield from _at(source.query)
    for expression in expressions_of(query):
        for predicate in predicates(expression):
            if predicate.standalone:
                yield _of_all_rows(predicate.query)
                yield from _inside(predicate.query)
            else:
                yield from _at(predicate.query)


def _at(query: Query) -> Iterator[Query]:
    totals = isinstance(query, Block) and query.totals
    if (query.limit is not None or totals) and not outer_references(query):
        yield _of_all_rows(query)
    yield from _inside(query)


def _of_all_rows(query: Query) -> Query:
    """An aggregate over all rows without its HAVING: also one that is rejected is computed from them."""
    return replace(query, having=()) if isinstance(query, Block) and query.totals else query
