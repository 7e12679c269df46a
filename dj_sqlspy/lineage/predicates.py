"""Predicates: how a query depends on the rows of its subqueries, and what it demands.

In: a resolved tree. Out: a `Predicate` for each subquery in an expression; the occurrences of base tables whose rows
are demanded; the queries that are demanded for themselves. `derivation` builds the queries for the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from ..servers.expressions import Expr, is_row, nodes, nodes_of
from ..servers.lists import Listed
from ..servers.tables import Table
from .tree import (
    Base,
    Block,
    Derived,
    Join,
    Query,
    Tree,
    Union,
    all_sources,
    children,
    expressions_of,
    is_not_false,
    is_not_true,
    is_plain,
    joins,
    occurrences,
    outer_references,
    query_of,
    remembered,
    sources,
)


@dataclass(frozen=True, eq=False)
class Predicate:
    """A subquery in an expression, and how the expression depends on it.

    Attributes
    ----------
    query : Query
    polarity : {"+", "-", "~"}
        "+": more rows of the subquery can only make the expression true (EXISTS, IN). "-": they can only make it
        untrue (NOT EXISTS, NOT IN, ALL). "~": both are possible.
    match : callable
        From the outputs of one row of the subquery, the condition under which the row matters; None if always.
    scalar : bool
        True if its value is used, False if only the existence of rows is.
    """

    query: Query
    polarity: str
    match: Callable[[Sequence[Expr]], Expr | None]
    scalar: bool = False

    @property
    def standalone(self) -> bool:
        """True for a scalar subquery with one value for all rows, which is demanded for itself."""
        return self.scalar and not outer_references(self.query)

    @property
    def branches(self) -> Iterator[Predicate]:
        """A predicate for each branch of a UNION, without its LIMIT; for any other subquery, itself."""
        if isinstance(self.query, Union) and self.query.limit is None:
            for branch in self.query.branches:
                yield from replace(self, query=branch).branches
        else:
            yield self


def any_row(_: Sequence[Expr]) -> Expr | None:
    """No condition (`Predicate.match`): any row of the subquery matters."""
    return None


_FLIP = {"+": "-", "-": "+", "~": "~"}


def values(expression: Expr) -> list[Predicate]:
    """The subqueries of an expression whose value counts, and not only whether it is true: an output, a key.

    Then IN is NULL because of some rows, and false because of others that are not there.

    >>> from dj_sqlspy.lineage.example import tree
    >>> block = tree("SELECT x IN (SELECT y FROM b), NOT EXISTS (SELECT id FROM c) FROM a")
    >>> [predicate.polarity for output in block.outputs for predicate in values(output.expr)]
    ['~', '~']
    """
    found: list[Predicate] = []
    _collect(expression, "~", found)
    return found


def predicates(expression: Expr) -> list[Predicate]:
    """The subqueries of an expression, each with its polarity.

    AND, OR and parentheses keep the polarity, NOT reverses it. Anything else makes it unknown ("~"): comparisons with
    a scalar subquery, CASE, functions, IS, XOR.

    >>> from dj_sqlspy.lineage.example import tree
    >>> block = tree("SELECT x FROM a WHERE id IN (SELECT id FROM b) OR NOT (id IN (SELECT id FROM c))")
    >>> [predicate.polarity for predicate in predicates(block.where[0])]
    ['+', '-']
    """
    found: list[Predicate] = []
    _collect(expression, "+", found)
    return found


def _collect(expression: Expr, polarity: str, found: list[Predicate]) -> None:
    if isinstance(expression, (exp.Column, exp.Literal)):
        return
    if isinstance(expression, (exp.And, exp.Or)):
        _collect(expression.this, polarity, found)
        _collect(expression.expression, polarity, found)
    elif isinstance(expression, exp.Paren):
        _collect(expression.this, polarity, found)
    elif isinstance(expression, exp.Not):
        _collect(expression.this, _FLIP[polarity], found)
    elif isinstance(expression, exp.Exists):
        query = query_of(expression.this)
        if query is not None:
            found.append(_correlated(Predicate(query, polarity, any_row)))
    elif (here := _in(expression, polarity) or _quantified(expression, polarity)) is not None:
        _collect(expression.this, "~", found)
        found.append(_correlated(here))
    elif (query := query_of(expression)) is not None:
        found.append(Predicate(query, "~", any_row, scalar=True))
    else:
        for child in expression.iter_expressions():
            _collect(child, "~", found)


def _correlated(predicate: Predicate) -> Predicate:
    """The polarity of a correlated subquery that groups or limits is unknown: it needs all rows it could read."""
    if _only_selects(predicate.query) or not outer_references(predicate.query):
        return predicate
    return replace(predicate, polarity="~")


def _only_selects(query: Query) -> bool:
    if isinstance(query, Union):
        return query.adds_up and all(_only_selects(branch) for branch in query.branches)
    return is_plain(query)


def _in(expression: Expr, polarity: str) -> Predicate | None:
    """``x IN (SELECT …)``"""
    query = _inner(expression.args.get("query")) if isinstance(expression, exp.In) else None
    if query is None:
        return None
    return Predicate(query, polarity, lambda outputs: _equal(expression.this, outputs, polarity))


def _quantified(expression: Expr, polarity: str) -> Predicate | None:
    """``x > ANY (SELECT …)`` or ``x > ALL (SELECT …)``"""
    if not isinstance(expression, (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)):
        return None
    quantifier = expression.expression
    query = _inner(quantifier.this) if isinstance(quantifier, (exp.Any, exp.All)) else None
    if query is None:
        return None
    universal = isinstance(quantifier, exp.All)
    turned = _FLIP[polarity] if universal else polarity

    def match(outputs: Sequence[Expr]) -> Expr | None:
        values = [output.copy() for output in outputs]
        other = values[0] if len(values) == 1 else exp.Tuple(expressions=values)
        compared: Expr = type(expression)(this=expression.this.copy(), expression=other)
        if universal:
            # a row y makes x > ALL (…) untrue if x > y is not true
            return exp.Not(this=exp.Paren(this=compared)) if turned == "+" else is_not_true(compared)
        return compared if turned == "+" else is_not_false(compared)

    return Predicate(query, turned, match)


def _inner(node: Expr | None) -> Query | None:
    while isinstance(node, (exp.Paren, exp.Subquery)):
        node = node.this
    return query_of(node)


def _equal(left: Expr, outputs: Sequence[Expr], polarity: str) -> Expr | None:
    """The condition that a row of an IN subquery equals the left side (negated: may equal it)."""
    condition: Expr | None = None
    for one, other in zip(components(left), outputs, strict=True):
        equal: Expr = exp.EQ(this=exp.Paren(this=one.copy()), expression=exp.Paren(this=other.copy()))
        # if neither side can be NULL, a plain comparison is enough, and it can use an index
        if polarity != "+" and not (_never_null(one) and _never_null(other)):
            equal = is_not_false(equal)
        condition = equal if condition is None else exp.And(this=condition, expression=equal)
    return condition


def components(expression: Expr) -> list[Expr]:
    """The components of a row constructor; for any other expression, itself."""
    if isinstance(expression, exp.Paren):
        return components(expression.this)
    return (
        list(expression.expressions)
        if isinstance(expression, exp.Tuple) or is_row(expression)
        else [expression]
    )


def _never_null(expression: Expr) -> bool:
    if isinstance(expression, exp.Paren):
        return _never_null(expression.this)
    return bool(expression.meta.get("not_null")) or isinstance(expression, exp.Literal)


@remembered
def predicates_of(query: Query) -> tuple[tuple[Expr, Predicate], ...]:
    """The subqueries of a query's own expressions, each with the expression."""
    tested: list[Expr] = []
    if isinstance(query, Block):
        tested = [*query.where, *query.having, *(on for join in joins(query.tree) for on in join.on)]
    conditions = set(map(id, tested))
    return tuple(
        [
            (expression, found)
            for expression in expressions_of(query)
            for found in (predicates if id(expression) in conditions else values)(expression)
        ]
    )


def is_semijoin(condition: Expr) -> bool:
    """True for a condition that is nothing but IN, EXISTS or ANY of a subquery."""
    found = predicates(condition)
    composed = isinstance(condition.unnest(), (exp.And, exp.Or, exp.Not))
    return not composed and len(found) == 1 and found[0].polarity == "+"


def is_monotone(condition: Expr) -> bool:
    """True for a condition that is false in the source and cannot become true by leaving out rows."""
    return all(
        predicate.polarity == "+" and _is_monotone(predicate.query) for predicate in predicates(condition)
    )


@remembered
def _is_monotone(query: Query) -> bool:
    if isinstance(query, Union):
        return query.adds_up and all(map(_is_monotone, query.branches))
    return (
        is_plain(query)
        and not any(join.left_outer for join in joins(query.tree))
        and all(_is_monotone(each.query) for each in sources(query.tree) if isinstance(each, Derived))
        and all(p.polarity == "+" and _is_monotone(p.query) for _, p in predicates_of(query))
    )


@remembered
def has_no_rules(query: Query) -> bool:
    """True for a SELECT from base tables, with semijoins of such in its conditions, so that it rejects by them only."""
    return (
        _is_monotone(query)
        and isinstance(query, Block)
        and all(isinstance(source, Base) for source in sources(query.tree))
        and all(any(e is condition for condition in query.where) for e, _ in predicates_of(query))
        and all(map(has_no_rules, children(query)))
    )


# Conditions that compare columns and values.
_COMPARING = (
    exp.Connector,
    exp.Not,
    exp.Paren,
    exp.EQ,
    exp.NEQ,
    exp.LT,
    exp.LTE,
    exp.GT,
    exp.GTE,
    exp.In,
    Listed,
    exp.Tuple,
)
_COMPARED = (exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Placeholder, exp.Exists, exp.Ordered)
_COUNTED = (exp.Count, exp.Star)


@remembered
def only_compares(query: Query) -> bool:
    """True for a SELECT from joined tables that compares columns with values and with the rows of other such SELECTs.

    It may count the rows of groups.

    >>> from dj_sqlspy.lineage.example import tree
    >>> [only_compares(tree(f"SELECT x FROM a WHERE {where}")) for where in ("id IN (SELECT id FROM b)", "SIN(x) > 0")]
    [True, False]

    A server that takes it also takes every query that is made of its parts.
    """
    return (
        isinstance(query, Block)
        and not query.having
        and not query.rollup
        and all(isinstance(source, (Base, Derived)) for source in sources(query.tree))
        and not any(isinstance(source, Derived) and source.lateral for source in sources(query.tree))
        and all(
            isinstance(node, (*_COMPARING, *_COMPARED, *_COUNTED))
            for expression in expressions_of(query)
            for node in nodes(expression)
        )
        and all(map(only_compares, children(query)))
    )


# ---------------------------------------------------------------- what is demanded of a query


def from_occurrences(tree: Tree | None) -> list[Base]:
    """Base tables behind the rows of a FROM clause, also through derived tables."""
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


@remembered
def demanded_occurrences(query: Query) -> tuple[Base, ...]:
    """Base tables of which demanded rows need rows: all except those below a negation.

    >>> from dj_sqlspy.lineage.example import tree
    >>> query = tree("SELECT x FROM a WHERE id IN (SELECT id FROM b) AND id NOT IN (SELECT id FROM c)")
    >>> [base.table.name for base in demanded_occurrences(query)]
    ['a', 'b']
    """
    if isinstance(query, Union):
        return tuple([base for branch in query.branches for base in demanded_occurrences(branch)])
    found = [source for source in sources(query.tree) if isinstance(source, Base)]
    for source in sources(query.tree):
        if isinstance(source, Derived):
            found += demanded_occurrences(source.query)
    for _, predicate in predicates_of(query):
        if predicate.polarity != "-" and not predicate.standalone:
            found += demanded_occurrences(predicate.query)
    return tuple(found)


def whole_tables(query: Query) -> Iterator[Table]:
    """Tables of which all rows are demanded in any case, each once.

    The relevance of MATCH … AGAINST depends on all rows of the table: on how many contain a word.

    >>> from dj_sqlspy.lineage.example import tree
    >>> query = tree("SELECT b.y FROM a JOIN b USING (id) WHERE MATCH (x) AGAINST ('one')")
    >>> [table.name for table in whole_tables(query)]
    ['a']
    """
    found = [base for base in occurrences(query) if base.whole]
    by_alias = {source.alias: source for source in all_sources(query)} if _matched(query) else {}
    for alias in _matched(query):
        source = by_alias.get(alias)
        if isinstance(source, Base):
            found.append(source)
        elif isinstance(source, Derived):
            found += occurrences(source.query)
    yield from {base.table.full_name: base.table for base in found}.values()


@remembered
def _matched(query: Query) -> frozenset[str]:
    """The aliases of the columns in MATCH … AGAINST."""
    matches = (match for each in expressions_of(query) for match in nodes_of(each, exp.MatchAgainst))
    own = frozenset(column.table for match in matches for column in nodes_of(match, exp.Column))
    return own.union(*map(_matched, children(query)))


def rowless(tree: Tree | None) -> bool:
    """True if FROM can have a row without any row of a table: one of VALUES, or COUNT(*) over no rows."""
    if isinstance(tree, Join):
        return rowless(tree.left) and (tree.left_outer or rowless(tree.right))
    if isinstance(tree, Derived):
        return _rowless_query(tree.query)
    return not isinstance(tree, Base)


def _rowless_query(query: Query) -> bool:
    if isinstance(query, Union):
        return any(_rowless_query(branch) for branch in query.branches)
    return query.totals or rowless(query.tree)


def standalone(query: Query) -> Iterator[Query]:
    """Queries that are demanded for themselves.

    These are queries with LIMIT below the top (their first rows must not change), aggregates over all rows in a
    derived table (they have a value even for no rows), and uncorrelated scalar subqueries.

    >>> from dj_sqlspy.lineage.example import show, tree
    >>> for query in standalone(tree("SELECT x FROM a WHERE x > (SELECT MAX(y) FROM b)")):
    ...     show(query)
    SELECT MAX(t2.y) AS MAX(y) FROM s.b AS t2
    """
    if isinstance(query, Block) and query.totals and query.having:
        yield _of_all_rows(query)
    yield from _inside(query)


@remembered
def _inside(query: Query) -> tuple[Query, ...]:
    found: list[Query] = []
    if isinstance(query, Union):
        for branch in query.branches:
            found += _at(branch)
        return tuple(found)
    for source in sources(query.tree):
        if isinstance(source, Derived):
            found += _at(source.query)
    for _, predicate in predicates_of(query):
        if predicate.standalone:
            found += (_of_all_rows(predicate.query), *_inside(predicate.query))
        else:
            found += _at(predicate.query)
    return tuple(found)


def _at(query: Query) -> Iterator[Query]:
    totals = isinstance(query, Block) and query.totals
    if (query.limit is not None or totals) and not outer_references(query):
        yield _of_all_rows(query)
    yield from _inside(query)


def _of_all_rows(query: Query) -> Query:
    """An aggregate over all rows without its HAVING, because a rejected value also depends on the rows."""
    return replace(query, having=()) if isinstance(query, Block) and query.totals else query
