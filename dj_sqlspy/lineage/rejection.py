"""Rejection: finds the rows that keep a rejected row rejected.

In: a resolved `Query`. Out: `Witness` rules. A slice can contain rows that one statement rejects and another one
reads. If missing rows could undo the rejection, a rule names the rows that must come along:

- a subquery under a negation (NOT IN, NOT EXISTS, ALL, EXCEPT): the first row that causes the rejection;
- a LEFT JOIN: the first match of a row that would otherwise be filled with NULLs and pass; and the rows because of
  which ON rejects a pair of rows;
- a subquery with an unknown effect (scalar, CASE): all rows from which its value is computed;
- a group or window partition with a row in the slice, if the statement tests its value: all of its rows.

Each rule is about combinations of rows in the slice (`Combinations`). The cascade applies the rules until nothing is
new, and asks only for new rows (semi-naive). By induction over the tree, a block then accepts a combination of rows in
the slice if and only if it accepts it in the source (docs/semantics.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sqlglot import exp

from ..servers.expressions import Expr
from .combinations import Combinations, apart, beside, of_join, of_lateral, without_subqueries
from .derivation import along, inputs, one_behind_each
from .predicates import (
    Predicate,
    any_row,
    demanded_occurrences,
    from_occurrences,
    has_no_rules,
    is_monotone,
    predicates,
    rowless,
    standalone,
    values,
)
from .rewrite import substitute
from .tree import (
    Base,
    Block,
    Derived,
    Join,
    Opaque,
    Query,
    expressions_of,
    has_subquery,
    is_not_true,
    is_plain,
    joins,
    outer_references,
    sources,
    tree_aliases,
    windows_of,
)
from .witness import Witness, first_rule, group_rule, of_first, rule

_NOWHERE = Combinations()  # for a query that refers to no outer query


def witnesses(query: Query) -> tuple[Witness, ...]:
    """All rules that a query needs, each once.

    >>> from dj_sqlspy.lineage.example import tree
    >>> for rule in witnesses(tree("SELECT x FROM a WHERE NOT EXISTS (SELECT 1 FROM c WHERE c.id = a.id)")):
    ...     print(rule.reason, [base.table.name for base in rule.outer], [base.table.name for base in rule.wanted])
    keeps a row rejected (anti-join) ['a'] ['c']
    """
    found = (each for demanded in (query, *standalone(query)) for each in _query(demanded, True, _NOWHERE))
    return tuple({(each.asks, each.group_sql): each for each in found}.values())


def _query(query: Query, root: bool, around: Combinations) -> Iterator[Witness]:
    """The rules of a query that is evaluated for ``around``. ``root``: all of its rows are demanded."""
    if has_no_rules(query):
        return
    if isinstance(query, Block):
        yield from _block(query, root, around)
        return
    for branch in query.branches:
        yield from _query(branch, root and query.adds_up, around)


def _block(block: Block, root: bool, around: Combinations) -> Iterator[Witness]:
    joined = around.joined(block.tree)
    here = joined.meeting(*(condition for condition in block.where if is_stable(condition)))
    yield from _conditions(block, root, here)
    yield from _left_joins(block, around)
    yield from _lateral(block, around)
    yield from _groups(block, root, here)
    # rules inside of a positive subquery also apply if it is untrue, and keep it untrue
    inner = joined.meeting(*(condition for condition in block.where if is_monotone(condition)))
    yield from _inside(block, root, inner, around)


def is_stable(condition: Expr) -> bool:
    """True for a condition that is false in the source and cannot become true in a slice that keeps all rules."""
    return all(predicate.polarity == "+" for predicate in predicates(condition))


def _inside(block: Block, root: bool, here: Combinations, around: Combinations) -> Iterator[Witness]:
    """The rules of the queries inside of a block."""
    for source in sources(block.tree):
        if isinstance(source, Derived):
            # if nothing outside selects among its rows, all of them are demanded
            passed = root and block.tree is source and not (block.where or block.having or block.limit)
            if outer_references(source.query):
                yield from _query(source.query, passed, of_lateral(block, source, around))
            else:
                yield from _query(source.query, passed or source.query.limit is not None, _NOWHERE)
        elif isinstance(source, Opaque) and has_subquery(source.node):
            yield from _inside_expression(source.node, of_lateral(block, source, around))
    for join in joins(block.tree):
        if any(map(has_subquery, join.on)):
            pairs = of_join(block, join, around, is_monotone)
            for condition in join.on:
                yield from _inside_expression(condition, pairs)
    for expression in expressions_of(replace(block, tree=None)):
        yield from _inside_expression(expression, here)


def _inside_expression(expression: Expr, here: Combinations) -> Iterator[Witness]:
    for predicate in predicates(expression):
        correlated = bool(outer_references(predicate.query))
        yield from _query(predicate.query, predicate.standalone, here if correlated else _NOWHERE)


# ---------------------------------------------------------------- conditions with subqueries


def _conditions(block: Block, root: bool, here: Combinations) -> Iterator[Witness]:
    for condition in block.where:
        yield from _rejected(here, condition)
    for condition in block.having:
        for predicate in predicates(condition):
            if predicate.polarity != "+":
                yield from _whole_value(here, predicate)
    others = list(block.group or ())
    if not root or block.limit is not None:
        others += [output.expr for output in block.outputs]
        others += block.order
    for expression in others:
        for predicate in values(expression):
            yield from _whole_value(here, predicate)


def _rejected(here: Combinations, condition: Expr) -> Iterator[Witness]:
    """The rules for rows because of which a condition rejects combinations."""
    for predicate in predicates(condition):
        if predicate.polarity == "-":
            yield from _rejecting(here, condition, predicate)
        elif predicate.polarity == "~":
            yield from _whole_value(here, predicate)


def _rejecting(here: Combinations, condition: Expr, predicate: Predicate) -> Iterator[Witness]:
    """The first row of a negated subquery for each combination that the condition rejects.

    All rows that make the subquery's conditions true for this row come along. Each of them has its own rule, because
    under OR the row can be in the result without them.
    """
    reason = "keeps a row rejected (anti-join)"
    rejected, told = here.meeting(is_not_true(condition)), apart(here.read.tree)
    if _only_negates(condition) and is_plain(predicate.query):
        rejected = here  # each combination that has such a row is rejected
    for branch in predicate.branches:
        direct = tuple(from_occurrences(branch.query.tree)) if is_plain(branch.query) else ()
        first = rejected.attached(branch, direct) if direct else None
        found = along(branch.query) if one_behind_each(branch.query) else None
        if first is not None:
            yield first_rule(reason, first, direct, told, () if found is None else found[1])
        known = {base.alias for base in direct}
        others = tuple(base for base in demanded_occurrences(branch.query) if base.alias not in known)
        if first is not None and found is not None:
            others = ()
        together = [others] if others and one_behind_each(branch.query) else [(base,) for base in others]
        for bases in together:
            read = rejected.attached(branch, (*direct, *bases))
            if first is not None:
                read = of_first(read, first, direct, told)
            yield rule(reason, read, bases)


def _only_negates(condition: Expr) -> bool:
    """True for NOT IN (SELECT …), and NOT EXISTS, alone."""
    bare = condition.unnest()
    return isinstance(bare, exp.Not) and isinstance(bare.this.unnest(), (exp.In, exp.Exists))


def _whole_value(here: Combinations, predicate: Predicate) -> Iterator[Witness]:
    """All rows from which the value of a subquery is computed, for each combination in the slice."""
    if predicate.standalone:
        return
    for branch in predicate.branches:
        for base in demanded_occurrences(branch.query):
            yield rule("a value that is compared (subquery)", here.attached(branch, (base,)), (base,))


# ---------------------------------------------------------------- FROM


def _lateral(block: Block, around: Combinations) -> Iterator[Witness]:
    """The rows from which a source is computed, for each row beside it to which it refers.

    These are all rows of a derived table that groups or limits, and of the subqueries in JSON_TABLE.
    """
    for source in sources(block.tree):
        computed: Iterable[Predicate] = ()
        if isinstance(source, Opaque):
            computed = values(source.node)
        elif isinstance(source, Derived) and not is_plain(source.query) and outer_references(source.query):
            computed = [Predicate(source.query, "~", any_row, scalar=True)]
        for value in computed:
            yield from _whole_value(of_lateral(block, source, around), value)


def _left_joins(block: Block, around: Combinations) -> Iterator[Witness]:
    for join in joins(block.tree):
        if join.left_outer:
            yield from _matched(block, join, beside(block, join, around))
            if any(map(has_subquery, join.on)):
                # for each pair of rows that ON rejects, the rows that cause the rejection
                pairs = of_join(block, join, around, is_stable)
                for condition in join.on:
                    yield from _rejected(pairs, condition)


def _matched(block: Block, join: Join, left: Combinations) -> Iterator[Witness]:
    """The first match of each row on the kept side, if NULLs instead of it would pass the conditions.

    All rows that make the conditions of its derived tables and of ON true come along. The join is evaluated for the
    combinations ``left``.
    """
    reason = "keeps a LEFT JOIN matched"
    filled = tree_aliases(join.right)
    visible = tree_aliases(join) | left.aliases
    passing = tuple(
        substitute(condition, lambda c: exp.Null() if c.table in filled else None)
        for condition in without_subqueries(block, join, visible)
    )
    wanted = tuple(from_occurrences(join.right))
    told = (*apart(left.read.tree), *apart(join.left))

    def with_match(*also: Base) -> Combinations:
        """Each row of the kept side with each of its matches."""
        both = left.joined(replace(join, left_outer=False), passing, also)
        kept = (*left.bases, *from_occurrences(join.left))
        return replace(both, bases=kept, rowless=left.rowless and rowless(join.left))

    first = with_match()
    if wanted:
        yield first_rule(reason, first, wanted, told)
    more = [(base, with_match(base)) for base in _below(join, wanted)]
    for condition in (on for each in (*joins(join.right), join) for on in each.on):
        for predicate in predicates(condition):
            if predicate.polarity != "-" and not predicate.standalone:
                for branch in predicate.branches:
                    bases = demanded_occurrences(branch.query)
                    more += [(base, first.attached(branch, (base,))) for base in bases]
    for base, read in more:
        yield rule(reason, of_first(read, first, wanted, told), (base,))


def _below(join: Join, known: tuple[Base, ...]) -> Iterator[Base]:
    """What the derived tables on the right side of a join demand besides the tables behind their rows."""
    aliases = {base.alias for base in known}
    for source in sources(join.right):
        for base in demanded_occurrences(source.query) if isinstance(source, Derived) else ():
            if base.alias not in aliases:
                yield base


# ---------------------------------------------------------------- groups and windows


def _groups(block: Block, root: bool, here: Combinations) -> Iterator[Witness]:
    """All rows of each group or window partition that has a row in the slice."""
    if outer_references(block):
        return  # `_whole_value` demands all rows that it could read for each outer row
    tested = not root or block.limit is not None
    partitions: list[tuple[Expr, ...]] = []
    if block.group and (tested or block.having or windows_of(block)):
        partitions.append(() if block.rollup else block.group)
    elif block.group is not None and not block.group and block.having:
        partitions.append(())
    if tested:
        partitions += windows_of(block) if block.group is None else [()] if windows_of(block) else []
    for partition in partitions:
        if not partition and block.group == () and not block.having:
            continue  # demanded for itself, see `standalone`
        for base in demanded_occurrences(block):
            read = inputs(block, {each.alias for each in (base, *from_occurrences(block.tree))})
            yield group_rule("completes a group that is tested", here, partition, read, base)
