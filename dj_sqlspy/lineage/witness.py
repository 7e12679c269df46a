"""Negative witnesses: what must come along so that a rejected row stays rejected.

In: a resolved `Query`. Out: `Witness` rules. A slice can hold rows that one statement rejects and another one
reads. Where the rejection can be undone by rows that are missing, a rule names the rows that must then be there:

- a subquery under a negation (NOT IN, NOT EXISTS, ALL, EXCEPT): the first row that it rejects by;
- a LEFT JOIN: the first match of a row that would otherwise be extended with NULLs and pass; and what its ON
  rejects a pair of rows by;
- a subquery with an unknown effect (scalar, CASE): all rows that its value is computed from;
- a group or a window partition of which the slice holds a row and whose value the statement goes on to test:
  all rows of it.

Each rule is about combinations of rows of the *outer* occurrences that the slice holds; the cascade evaluates
the rules to a fixpoint, asking only for rows that are new (semi-naive). By induction over the tree, a block then
accepts a combination that the slice holds if and only if it accepts it in the source (docs/semantics.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from ..servers.mysql.syntax import Expr
from .demand import (
    Input,
    Keys,
    Predicate,
    any_row,
    attach,
    carry,
    cross,
    demanded_occurrences,
    fresh,
    from_occurrences,
    inputs,
    is_plain,
    key_name,
    predicates,
    query_occurrences,
    rowless,
    windows_of,
)
from .tree import (
    Base,
    Block,
    Derived,
    Join,
    Opaque,
    Output,
    Query,
    Tree,
    Union,
    column,
    expression_sql,
    is_not_true,
    joins,
    lateral_references,
    outer_references,
    references,
    same,
    sources,
    subqueries,
    substitute,
    to_sql,
    tree_aliases,
)

# Stands in a rule's SQL for the condition that restricts it to keys that are new.
KEYS = "KEYS~HERE"


def with_keys(sql: str, condition: str) -> str:
    """A rule's SQL, or that of a batch, with a condition in the place of `KEYS`."""
    return sql.replace(f"`{KEYS}`", condition)


@dataclass(frozen=True)
class Witness:
    """Rows of ``wanted`` that must be there for combinations of rows of ``outer`` that are there.

    Attributes
    ----------
    reason : str
        What the rule is for, in plain words.
    outer, wanted : tuple of Base
        Occurrences whose keys the query returns, in this order.
    asks : tuple of (str, str)
        For each outer occurrence: SQL with the marker `KEYS`, and the comma-separated key columns that the
        condition put there is about. Without outer occurrences: one SQL to be asked once.
    group_sql, group_columns : str
        For groups: the rows of the groups of given combinations, asked for in a second step.
    rowless : bool
        True if a combination can be of no rows at all: no new key asks for it, so it is asked for at the start.
    """

    reason: str
    outer: tuple[Base, ...]
    wanted: tuple[Base, ...]
    asks: tuple[tuple[str, str], ...]
    group_sql: str = ""
    group_columns: str = ""
    group_keys: int = 0
    rowless: bool = False


@dataclass(frozen=True, eq=False)
class _Context:
    """The rows of outer blocks that a correlated subquery is evaluated for."""

    read: Input
    outer: tuple[Base, ...] = ()

    def rowless(self, tree: Tree | None) -> bool:
        """True if a combination of its rows with those of ``tree`` can be of no rows."""
        return rowless(self.read.tree) and rowless(tree)


_NOWHERE = _Context(Input(None))


def witnesses(query: Query, root: bool = True) -> Iterator[Witness]:
    """All rules that a query needs. ``root``: all rows of the query are demanded."""
    yield from _query(query, root, _NOWHERE)


def standalone(query: Query) -> Iterator[Query]:
    """Queries inside of a query whose whole result is demanded whatever the outer query does with it.

    LIMIT below the top (which rows are first must not change), aggregates over all rows in a derived table
    (they have a value even of no rows) and scalar subqueries that are not correlated.
    """
    if isinstance(query, Block) and query.totals and query.having:
        yield replace(query, having=())
    yield from _standalone_inside(query)


def _standalone_inside(query: Query) -> Iterator[Query]:
    if isinstance(query, Union):
        for branch in query.branches:
            yield from _standalone_at(branch)
        return
    for source in sources(query.tree):
        if isinstance(source, Derived):
            yield from _standalone_at(source.query)
    for expression in _expressions(query):
        for predicate in predicates(expression):
            if predicate.standalone:
                yield _of_all_rows(predicate.query)
                yield from _standalone_inside(predicate.query)
            else:
                yield from _standalone_at(predicate.query)


def _standalone_at(query: Query) -> Iterator[Query]:
    if not outer_references(query) and (
        query.limit is not None or (isinstance(query, Block) and query.totals)
    ):
        yield _of_all_rows(query)
    yield from _standalone_inside(query)


def _of_all_rows(query: Query) -> Query:
    """An aggregate over all rows without its HAVING: also one that is rejected is computed from them."""
    return replace(query, having=()) if isinstance(query, Block) and query.totals else query


def _expressions(block: Block) -> Iterator[Expr]:
    for join in joins(block.tree):
        yield from join.on
    yield from block.where
    yield from block.having
    yield from (output.expr for output in block.outputs)
    yield from block.group or ()
    yield from block.order


def _query(query: Query, root: bool, context: _Context) -> Iterator[Witness]:
    if isinstance(query, Union):
        for branch in query.branches:
            yield from _query(branch, root and query.adds_up, context)
        return
    yield from _block(query, root, context)


def _block(block: Block, root: bool, context: _Context) -> Iterator[Witness]:
    outer = context.outer + tuple(from_occurrences(block.tree))
    tree, keys = carry(block.tree, {base.alias for base in outer})
    stable = tuple(condition for condition in block.where if is_stable(condition))
    here = Input(cross(context.read.tree, tree), context.read.where + stable, {**context.read.keys, **keys})
    free = context.rowless(block.tree)
    yield from (replace(rule, rowless=free) for rule in _conditions(block, root, here, outer))
    yield from _left_joins(block, context)
    yield from _lateral(block, context)
    yield from (replace(rule, rowless=free) for rule in _groups(block, root, here, outer))
    # what keeps a positive subquery untrue must be there also where it is untrue: it does not narrow its own rules
    monotone = tuple(condition for condition in block.where if is_monotone(condition))
    inner = Input(here.tree, context.read.where + monotone, here.keys)
    yield from _inside(block, root, _Context(inner, outer), context)


def is_stable(condition: Expr) -> bool:
    """True for a condition that, false in the source, cannot become true in a slice that keeps all rules."""
    return all(predicate.polarity == "+" for predicate in predicates(condition))


def is_monotone(condition: Expr) -> bool:
    """True for a condition that, false in the source, cannot become true by leaving any rows out."""
    return all(
        predicate.polarity == "+" and _is_monotone(predicate.query) for predicate in predicates(condition)
    )


def _is_monotone(query: Query) -> bool:
    if isinstance(query, Union):
        return query.adds_up and all(map(_is_monotone, query.branches))
    return (
        is_plain(query)
        and not any(join.left_outer for join in joins(query.tree))
        and all(_is_monotone(each.query) for each in sources(query.tree) if isinstance(each, Derived))
        and all(map(is_monotone, _expressions(query)))
    )


def _inside(block: Block, root: bool, inner: _Context, context: _Context) -> Iterator[Witness]:
    for source in sources(block.tree):
        if isinstance(source, Derived):
            lateral = bool(outer_references(source.query))
            limited = source.query.limit is not None and not lateral
            # nothing around it picks among its rows: all of them are demanded
            passed = root and block.tree is source and not (block.where or block.having or block.limit)
            yield from _query(
                source.query, limited or passed, _of_lateral(block, source, context) if lateral else _NOWHERE
            )
    for join in joins(block.tree):
        for expression in join.on:
            beside = _beside(block, join, context)
            yield from _inside_expression(expression, _of_join(block, join, beside, is_monotone))
    for expression in _expressions(replace(block, tree=None)):
        yield from _inside_expression(expression, inner)


def _inside_expression(expression: Expr, inner: _Context) -> Iterator[Witness]:
    for predicate in predicates(expression):
        query = predicate.query
        if not outer_references(query):
            yield from _query(query, predicate.standalone, _NOWHERE)
        else:
            yield from _query(query, False, inner)


# ---------------------------------------------------------------- conditions with subqueries


def _conditions(block: Block, root: bool, here: Input, outer: tuple[Base, ...]) -> Iterator[Witness]:
    for condition in block.where:
        for predicate in predicates(condition):
            if predicate.polarity == "-":
                yield from _rejecting(here, outer, condition, predicate)
            elif predicate.polarity == "~":
                yield from _whole_value(here, outer, predicate)
    others: list[Expr] = [*block.having, *(block.group or ())]
    if not root or block.limit is not None:
        others += [output.expr for output in block.outputs]
        others += block.order
    for expression in others:
        for predicate in predicates(expression):
            if predicate.polarity != "+" or expression not in block.having:
                yield from _whole_value(here, outer, predicate)


def _rejecting(
    here: Input, outer: tuple[Base, ...], condition: Expr, predicate: Predicate
) -> Iterator[Witness]:
    """The first row of a negated subquery for each combination that the condition rejects.

    With it come all rows that make the conditions of the subquery true for it. Each of those has a rule of its own:
    under OR the row can be there without them.
    """
    reason = "keeps a row rejected (anti-join)"
    apart = _apart(here.tree)
    for branch in _branches(predicate):
        query = branch.query
        rejected = Input(here.tree, (*here.where, is_not_true(condition)), here.keys)
        direct = tuple(from_occurrences(query.tree)) if is_plain(query) else ()
        first: Input | None = None
        if direct:
            first = attach(rejected, branch, {base.alias for base in direct})
            yield from _rule(reason, first, outer, direct, first=True, apart=apart)
        known = {base.alias for base in direct}
        for base in demanded_occurrences(query):
            if base.alias in known:
                continue
            read = attach(rejected, branch, known | {base.alias})
            if first is not None:
                read = _of_first(read, first, outer, direct, apart)
            yield from _rule(reason, read, outer, (base,), first=False)


def _of_first(
    read: Input,
    first: Input,
    outer: tuple[Base, ...],
    wanted: tuple[Base, ...],
    apart: tuple[Output, ...],
) -> Input:
    """What is read, of the first row of ``wanted`` for each combination only."""
    left, right = _outputs(first.keys, outer, "o"), _outputs(first.keys, wanted, "w")
    number = Output("n", _row_number(left + apart, right))
    where = (*first.where, _marker()) if outer else first.where
    alias = fresh("f")
    numbered = Derived(alias, Block((*left, *apart, *right, number), first.tree, where))
    here = (*_outputs(read.keys, outer, "o"), *apart, *_outputs(read.keys, wanted, "w"))
    same_row = tuple(same(output.expr, column(alias, output.name)) for output in here)
    is_first = exp.EQ(this=column(alias, "n"), expression=exp.Literal.number(1))
    return Input(cross(read.tree, numbered), (*read.where, *same_row, is_first), read.keys)


def _apart(tree: Tree | None) -> tuple[Output, ...]:
    """Columns that tell rows of a FROM clause apart which are made of the same rows of tables.

    Those of sources that are made of no table (VALUES, JSON_TABLE), or have several rows for one of a table (ROLLUP,
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


def _whole_value(here: Input, outer: tuple[Base, ...], predicate: Predicate) -> Iterator[Witness]:
    """All rows that the value of a subquery is computed from, for each combination that is there."""
    if predicate.standalone:
        return
    for branch in _branches(predicate):
        for base in demanded_occurrences(branch.query):
            read = attach(here, branch, {base.alias})
            yield from _rule("a value that is compared (subquery)", read, outer, (base,), first=False)


def _branches(predicate: Predicate) -> Iterator[Predicate]:
    query = predicate.query
    if isinstance(query, Union) and query.limit is None:
        for branch in query.branches:
            yield from _branches(Predicate(branch, predicate.polarity, predicate.match, predicate.scalar))
    else:
        yield predicate


# ---------------------------------------------------------------- LEFT JOIN


def _left_joins(block: Block, context: _Context) -> Iterator[Witness]:
    for join in joins(block.tree):
        if join.left_outer:
            beside = _beside(block, join, context)
            yield from _matched(block, join, beside)
            yield from _not_matched(block, join, beside)


def _without_subqueries(block: Block, part: Tree, visible: frozenset[str]) -> tuple[Expr, ...]:
    """The conditions of WHERE that have no subquery and are about these sources alone, for a part of FROM.

    Not those about a side of a LEFT JOIN that the part stands in: in the place of its rows, NULLs may pass.
    """
    visible -= _filled(block.tree, part)
    return tuple(
        condition
        for condition in block.where
        if not any(True for _ in subqueries(condition)) and references(condition) <= visible
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


def _lateral(block: Block, context: _Context) -> Iterator[Witness]:
    """All rows that a derived table which groups or limits is made of, for each row beside it that it refers to."""
    for source in sources(block.tree):
        if not isinstance(source, Derived) or is_plain(source.query) or not outer_references(source.query):
            continue
        beside = _of_lateral(block, source, context)
        value = Predicate(source.query, "~", any_row, True)
        free = rowless(beside.read.tree)
        yield from (replace(rule, rowless=free) for rule in _whole_value(beside.read, beside.outer, value))


def _of_lateral(block: Block, source: Derived, context: _Context) -> _Context:
    """The rows that a derived table is evaluated for: of what stands beside it, also those that it has no row for."""
    beside = _beside(block, source, context)
    where = _without_subqueries(block, source, tree_aliases(beside.read.tree))
    read = Input(beside.read.tree, beside.read.where + where, beside.read.keys)
    return _Context(read, beside.outer)


def _beside(block: Block, part: Tree, context: _Context) -> _Context:
    """The context of a part of FROM, with what stands left of it where its sources refer to that (LATERAL)."""
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
    if found is None:
        return context
    outer = context.outer + tuple(from_occurrences(found))
    tree, keys = carry(found, {base.alias for base in outer})
    read = context.read
    return _Context(Input(cross(read.tree, tree), read.where, {**read.keys, **keys}), outer)


def _matched(block: Block, join: Join, context: _Context) -> Iterator[Witness]:
    """The first match of each row on the kept side, where the NULLs in its place would pass the conditions.

    With it come all rows that make the conditions of its derived tables and of ON true.
    """
    reason = "keeps a LEFT JOIN matched"
    kept = context.outer + tuple(from_occurrences(join.left))
    wanted = tuple(from_occurrences(join.right))
    supplied = tree_aliases(join.right)
    visible = tree_aliases(join.left) | supplied | tree_aliases(context.read.tree)
    passing = tuple(
        _with_nulls(condition, supplied) for condition in _without_subqueries(block, join, visible)
    )
    matches = replace(join, left_outer=False)
    apart = (*_apart(context.read.tree), *_apart(join.left))

    def read(*more: Base) -> Input:
        tree, keys = carry(matches, {base.alias for base in (*kept, *wanted, *more)})
        where = context.read.where + passing
        return Input(cross(context.read.tree, tree), where, {**context.read.keys, **keys})

    def rules() -> Iterator[Witness]:
        first = read()
        yield from _rule(reason, first, kept, wanted, first=True, apart=apart)
        known = {base.alias for base in wanted}
        for source in sources(join.right):
            for base in demanded_occurrences(source.query) if isinstance(source, Derived) else ():
                if base.alias not in known:
                    of_first = _of_first(read(base), first, kept, wanted, apart)
                    yield from _rule(reason, of_first, kept, (base,), first=False)
        for condition in (on for each in (*joins(join.right), join) for on in each.on):
            for predicate in predicates(condition):
                if predicate.polarity == "-" or predicate.standalone:
                    continue
                for branch in _branches(predicate):
                    for base in demanded_occurrences(branch.query):
                        of_first = _of_first(attach(first, branch, {base.alias}), first, kept, wanted, apart)
                        yield from _rule(reason, of_first, kept, (base,), first=False)

    free = context.rowless(join.left)
    yield from (replace(rule, rowless=free) for rule in rules())


def _not_matched(block: Block, join: Join, context: _Context) -> Iterator[Witness]:
    """For each row of the kept side with each of the other that ON rejects: what it is rejected by."""
    here = _of_join(block, join, context)
    free = context.rowless(join.left) and rowless(join.right)
    for condition in join.on:
        for predicate in predicates(condition):
            rules: Iterator[Witness] = iter(())
            if predicate.polarity == "-":
                rules = _rejecting(here.read, here.outer, condition, predicate)
            elif predicate.polarity == "~":
                rules = _whole_value(here.read, here.outer, predicate)
            yield from (replace(rule, rowless=free) for rule in rules)


def _of_join(
    block: Block, join: Join, context: _Context, keeps: Callable[[Expr], bool] = is_stable
) -> _Context:
    """The rows of both sides of a LEFT JOIN, also those that it does not join.

    That is, those that pass the stable conditions of ON (``keeps`` says which), and of WHERE those about the kept side.
    """
    outer = context.outer + tuple(from_occurrences(join))
    on = tuple(condition for condition in join.on if keeps(condition))
    tree, keys = carry(Join(join.left, join.right, on), {base.alias for base in outer})
    visible = tree_aliases(join.left) | tree_aliases(context.read.tree)
    where = _without_subqueries(block, join, visible)
    read = Input(cross(context.read.tree, tree), context.read.where + where, {**context.read.keys, **keys})
    return _Context(read, outer)


def _with_nulls(condition: Expr, aliases: Collection[str]) -> Expr:
    return substitute(condition, lambda c: exp.Null() if c.table in aliases else None)


# ---------------------------------------------------------------- groups and windows


def _groups(block: Block, root: bool, here: Input, outer: tuple[Base, ...]) -> Iterator[Witness]:
    """All rows of each group (or window partition) that the slice holds a row of."""
    if outer_references(block):
        return  # all rows that it could read are demanded for each outer row, see `_whole_value`
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
        yield from _group(block, here, outer, partition)


def _group(
    block: Block, here: Input, outer: tuple[Base, ...], partition: Sequence[Expr]
) -> Iterator[Witness]:
    wanted = demanded_occurrences(block)
    for base in wanted:
        read = inputs(block, {base.alias} | {o.alias for o in from_occurrences(block.tree)})
        values = [Output(f"v.{i}", expression) for i, expression in enumerate(partition)]
        all_rows = Block((*values, *_outputs(read.keys, [base], "w")), read.tree, read.where, distinct=True)
        keys = _outputs(here.keys, outer, "o")
        # one group of rows of no table has neither a value nor a key
        some = (*keys, *values) or (Output("one", exp.Literal.number(1)),)
        some_rows = Block(some, here.tree, here.where, distinct=True)
        left, right = fresh("s"), fresh("w")
        names = [output.name for output in values]
        joined = Block(
            tuple(Output(f"w.{i}", column(right, f"w.{i}")) for i in range(len(base.table.key))),
            Join(
                Derived(left, some_rows),
                Derived(right, all_rows),
                tuple(same(column(left, name), column(right, name)) for name in names),
            ),
            (_marker(),),
            distinct=True,
        )
        columns = ", ".join(expression_sql(column(left, f"o.{i}")) for i in range(_width(outer)))
        asks = _asks(some_rows, here, outer)
        yield Witness(
            "completes a group that is tested",
            outer,
            (base,),
            asks,
            to_sql(joined),
            columns,
            len(values),
        )


# ---------------------------------------------------------------- rules as SQL


def _width(bases: Sequence[Base]) -> int:
    return sum(len(base.table.key) for base in bases)


def _outputs(keys: Keys, bases: Sequence[Base], prefix: str) -> tuple[Output, ...]:
    expressions = [expression for base in bases for expression in keys[base.alias]]
    return tuple(Output(f"{prefix}.{i}", expression) for i, expression in enumerate(expressions))


def _marker() -> Expr:
    return exp.Column(this=exp.Identifier(this=KEYS, quoted=True))


def _asks(block: Block, read: Input, outer: tuple[Base, ...]) -> tuple[tuple[str, str], ...]:
    if not outer:
        return ((to_sql(block), ""),)
    restricted = to_sql(Block(block.outputs, block.tree, (*block.where, _marker()), distinct=block.distinct))
    return tuple(
        (restricted, ", ".join(expression_sql(expression) for expression in read.keys[base.alias]))
        for base in outer
    )


def _row_number(partition: tuple[Output, ...], order: tuple[Output, ...]) -> Expr:
    ordered = [exp.Ordered(this=output.expr.copy(), desc=False, nulls_first=True) for output in order]
    return exp.Window(
        this=exp.RowNumber(),
        partition_by=[output.expr.copy() for output in partition],
        order=exp.Order(expressions=ordered) if ordered else None,  # rows of no table have no first one
        over="OVER",
    )


def _rule(
    reason: str,
    read: Input,
    outer: tuple[Base, ...],
    wanted: tuple[Base, ...],
    first: bool,
    apart: tuple[Output, ...] = (),
) -> Iterator[Witness]:
    if not wanted:
        return
    left, right = _outputs(read.keys, outer, "o"), _outputs(read.keys, wanted, "w")
    pairs = Block(left + right, read.tree, read.where, distinct=True)
    if not first:
        yield Witness(reason, outer, wanted, _asks(pairs, read, outer))
        return
    number = _row_number(left + apart, right)
    numbered = Block((*left, *right, Output("n", number)), read.tree, read.where)
    asks = []
    for sql_columns in _asks(numbered, read, outer):
        names = ", ".join(f"`{output.name}`" for output in left + right)
        asks.append((f"SELECT {names} FROM ({sql_columns[0]}) AS `ranked~` WHERE `n` = 1", sql_columns[1]))
    yield Witness(reason, outer, wanted, tuple(asks))


__all__ = [
    "KEYS",
    "Opaque",
    "Witness",
    "key_name",
    "query_occurrences",
    "standalone",
    "with_keys",
    "witnesses",
]
