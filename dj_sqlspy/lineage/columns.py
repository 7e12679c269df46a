"""Columns: finds the columns of base tables on which the result of a query depends.

In: a resolved and simplified query tree. Out: (full table name, column name) pairs. A column of a derived table counts
if the query above uses it: ``SELECT COUNT(*) FROM (SELECT * FROM t) AS x`` reads none. It goes down the tree from the
outputs, as demand does. All columns of an unresolved source count. `columns_beside_values` finds those that a text
tells something of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from sqlglot import exp

from ..servers.expressions import Expr, Syntax, Unsupported, nodes
from ..servers.syntaxes import MYSQL_SYNTAX
from .tree import (
    Base,
    Block,
    Derived,
    Opaque,
    Query,
    Source,
    all_sources,
    expressions_of,
    queries,
    query_of,
    sources,
)


def columns_read(query: Query) -> set[tuple[str, str]]:
    """Full table name and lower-case name of each column.

    >>> from dj_sqlspy.lineage.example import tree
    >>> sorted(columns_read(tree("SELECT COUNT(*) FROM (SELECT * FROM a) AS d WHERE x > 1")))
    [('`s`.`a`', 'x')]
    """
    reader = _Reader()
    reader.query(query, None)
    return reader.found


class _Reader:
    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()
        self._sources: dict[str, Source] = {}
        self._done: set[tuple[int, int | None]] = set()

    def query(self, query: Query, wanted: Iterable[int] | None) -> None:
        """Read what some outputs of a query need, by position; None for all."""
        if isinstance(query, Block):
            self._block(query, None if query.distinct else wanted)
            return
        positions = None if query.distinct or query.order or not query.adds_up else wanted
        for branch in query.branches:
            self.query(branch, positions)

    def _block(self, block: Block, wanted: Iterable[int] | None) -> None:
        if self._is_new(block, -1):
            for source in sources(block.tree):
                self._sources[source.alias] = source
            for source in sources(block.tree):
                if isinstance(source, Derived):
                    self.query(source.query, ())  # its conditions decide which rows exist
                elif isinstance(source, Opaque):
                    for base in source.whole:
                        self.found.update((base.table.full_name, name) for name in base.table.by_name)
            for expression in expressions_of(replace(block, outputs=())):
                self._expression(expression)
        for position in range(len(block.outputs)) if wanted is None else wanted:
            if self._is_new(block, position):
                self._expression(block.outputs[position].expr)

    def _is_new(self, block: Block, position: int) -> bool:
        key = (id(block), position)
        new = key not in self._done
        self._done.add(key)
        return new

    def _expression(self, expression: Expr) -> None:
        for node in nodes(expression):
            inner = query_of(node)
            if inner is not None:
                self.query(inner, () if isinstance(node.parent, exp.Exists) else None)
            elif isinstance(node, exp.Column):
                self._column(node.table, node.name.lower())

    def _column(self, alias: str, name: str) -> None:
        source = self._sources.get(alias)
        if isinstance(source, Base):
            self.found.add((source.table.full_name, name))
        elif isinstance(source, Derived):
            names = [output.lower() for output in source.query.names]
            self.query(source.query, [position for position, one in enumerate(names) if one == name])


# What a text writes out, or sets elsewhere.
_VALUES = (exp.Literal, exp.National, exp.HexString, exp.BitString, exp.Parameter, exp.SessionParameter)


def columns_beside_values(query: Query) -> set[tuple[str, str]]:
    """Full table name and lower-case name of each column that stands in one expression with a value.

    A value is a literal or a variable. Conditions are split at AND, OR and NOT, so that only the column that is
    compared with a value counts. A column or value of a derived table counts where the table is used. In a UNION a
    value stands in one expression with what the other branches have in its place.

    >>> from dj_sqlspy.lineage.example import tree
    >>> sorted(columns_beside_values(tree("SELECT b.y FROM a JOIN b ON a.id = b.id WHERE x > 1")))
    [('`s`.`a`', 'x')]
    >>> sorted(columns_beside_values(tree("SELECT 1 FROM (SELECT x AS y FROM a) AS d WHERE y LIKE 'A%'")))
    [('`s`.`a`', 'x')]
    >>> sorted(columns_beside_values(tree("SELECT x FROM (SELECT x FROM a UNION SELECT 'A') AS d")))
    [('`s`.`a`', 'x')]
    """
    aliases = {source.alias: source for source in all_sources(query)}
    found: set[tuple[str, str]] = set()
    for one in queries(query):
        for expression in expressions_of(one):
            for part in _parts(expression):
                columns, values = _inside(part, aliases)
                if values:
                    found |= columns
        if not isinstance(one, Block):
            for outputs in zip(
                *([output.expr for output in block.outputs] for block in _blocks(one)), strict=True
            ):
                inside = [_inside(output, aliases) for output in outputs]
                if any(values for _, values in inside):
                    found.update(*(columns for columns, _ in inside))
    return found


def literals_in(query: Query) -> set[str]:
    """The literals in a query tree, which lacks those of parts that no result depends on.

    >>> from dj_sqlspy.lineage.example import tree
    >>> literals_in(tree("SELECT id FROM (SELECT id, t LIKE 'A%' AS y FROM a WHERE t > 'b') AS d"))
    {'b'}
    """
    return {
        str(node.this)
        for one in queries(query)
        for expression in expressions_of(one)
        for node in expression.find_all(exp.Literal, exp.National)
    }


def has_other_literal(
    sql: str, modes: Collection[str], known: Collection[str], syntax: Syntax = MYSQL_SYNTAX
) -> bool:
    """Whether a text has a literal that is none of these, no LIMIT, and no output of its own.

    >>> has_other_literal("SELECT 1 FROM a WHERE x > 2 LIMIT 3", (), {"2"})
    False
    >>> has_other_literal("SELECT x = 4 FROM a", (), {"2"})
    True
    """
    try:
        parsed = syntax.parse(sql, modes)
    except Unsupported:
        return True
    for node in parsed.find_all(exp.Literal):
        inside = node.find_ancestor(exp.Limit, exp.Offset)
        if not inside and str(node.this) not in known:
            beside = node.parent.parent if isinstance(node.parent, exp.Alias) else node.parent
            if not isinstance(beside, exp.Select):
                return True
    return False


def columns_shown(query: Query) -> tuple[frozenset[tuple[str, str]], ...]:
    """For each output, the full table name and lower-case name of the columns whose bare values it is.

    An output that is computed in any branch is none.

    >>> from dj_sqlspy.lineage.example import tree
    >>> columns_shown(tree("SELECT y, y + 1 FROM (SELECT x AS y FROM a) AS d"))
    (frozenset({('`s`.`a`', 'x')}), frozenset())
    """
    return tuple(_shown(query, place) for place in range(len(query.names)))


def _shown(query: Query, place: int) -> frozenset[tuple[str, str]]:
    if not isinstance(query, Block):
        found = [_shown(branch, place) for branch in query.branches]
        return frozenset().union(*found) if all(found) else frozenset()
    expression = query.outputs[place].expr
    while isinstance(expression, exp.Paren):
        expression = expression.this
    if isinstance(expression, exp.Column):
        name = expression.name.lower()
        for source in sources(query.tree):
            if source.alias != expression.table:
                continue
            if isinstance(source, Base):
                return frozenset({(source.table.full_name, name)})
            if isinstance(source, Derived):
                names = [one.lower() for one in source.query.names]
                return _shown(source.query, names.index(name)) if names.count(name) == 1 else frozenset()
    return frozenset()


def _parts(expression: Expr) -> Iterable[Expr]:
    """The conditions that AND, OR and NOT connect."""
    if isinstance(expression, (exp.Paren, exp.Not)):
        yield from _parts(expression.this)
    elif isinstance(expression, exp.Connector):
        yield from _parts(expression.this)
        yield from _parts(expression.expression)
    else:
        yield expression


def _inside(expression: Expr, aliases: dict[str, Source]) -> tuple[set[tuple[str, str]], bool]:
    """The columns of base tables in an expression, and whether it has a value."""
    found: set[tuple[str, str]] = set()
    values = False
    todo = [expression]
    done: set[tuple[str, str]] = set()
    while todo:
        for node in nodes(todo.pop()):
            values = values or isinstance(node, _VALUES)
            inner = query_of(node)
            if inner is not None and not isinstance(node.parent, exp.Exists):
                todo += _outputs(inner)
            elif isinstance(node, exp.Column) and (node.table, node.name.lower()) not in done:
                name = node.name.lower()
                done.add((node.table, name))
                source = aliases.get(node.table)
                if isinstance(source, Base):
                    found.add((source.table.full_name, name))
                elif isinstance(source, Derived):
                    todo += _outputs(source.query, name)
                else:  # an unresolved source can hold anything
                    values = True
                    whole = source.whole if source is not None else ()
                    found.update((base.table.full_name, one) for base in whole for one in base.table.by_name)
    return found, values


def _outputs(query: Query, name: str | None = None) -> list[Expr]:
    """The expressions of a query's outputs, or of those with a name, in all branches."""
    places = [place for place, one in enumerate(query.names) if name in (None, one.lower())]
    return [block.outputs[place].expr for block in _blocks(query) for place in places]


def _blocks(query: Query) -> list[Block]:
    """The SELECTs whose rows a query returns."""
    blocks, todo = [], [query]
    while todo:
        one = todo.pop()
        if isinstance(one, Block):
            blocks.append(one)
        else:
            todo += one.branches
    return blocks
