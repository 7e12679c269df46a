"""Name resolution: turns a parsed SELECT and a catalog into a query tree.

In: one statement and the `Catalog`. Out: a `Query` in which every table occurrence has its own alias, every column
names its source, stars are expanded, and aliases in GROUP BY, HAVING and ORDER BY are replaced by their expressions (by
MySQL's rules of precedence). `from_clause` resolves FROM, `set_operations` EXCEPT and INTERSECT. It does not decide
which rows are needed. For anything unknown it raises `Unsupported` with a reason and never guesses.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlglot import exp

from ..servers.catalog import Catalog
from ..servers.expressions import Expr, Unsupported, identifier, written
from .expressions import expression
from .from_clause import derived, from_clause, values, with_sets
from .order import determined
from .rewrite import with_new_aliases
from .scope import Cte, Place, Scope, distinct_names, named_in
from .set_operations import compared
from .tree import (
    Block,
    Derived,
    Output,
    Query,
    Tree,
    Union,
    aggregates,
    column,
    conjuncts,
    has_window,
    outer_references,
)


def resolve(
    node: Expr,
    catalog: Catalog,
    default_schema: str | None = None,
    held: Mapping[str, Query] = MappingProxyType({}),
    alias: Callable[[], str] | None = None,
) -> Query:
    """Resolve the names of a parsed SELECT.

    Parameters
    ----------
    node : expression
    catalog : Catalog
    default_schema : str, optional
        Schema of table names without one.
    held : mapping, optional
        Resolved queries for the ``SELECT name`` in it, by name (`levels`).
    alias : callable, optional
        Makes the aliases of its sources, for what is known to be shallow; by default t1, t2, …

    >>> from dj_sqlspy.lineage.example import resolved, show
    >>> show(resolved("SELECT * FROM a NATURAL JOIN c"))
    SELECT t1.id AS id, t1.x AS x, t1.t AS t FROM s.a AS t1 JOIN s.c AS t2 ON (t1.id = t2.id) AND
    (t1.x = t2.x)

    Raises
    ------
    Unsupported
        If a construct is unknown, or a table is not in the catalog.
    """
    if alias is None:
        require_shallow(node)
    numbers = itertools.count(1)
    place = Place(catalog, alias or (lambda: f"t{next(numbers)}"), _query, default_schema, node, held=held)
    place.require_spelled(named_in(node))
    return distinct_names(_query(node, place))


# Levels of an expression that all passes can walk (`nesting`): five for one subquery in another.
_DEEPEST = 200


def require_shallow(node: Expr) -> None:
    """Raise `Unsupported` for an expression that is nested too deeply."""
    if _depth(node) > _DEEPEST:
        raise Unsupported("it is nested too deeply")


def _depth(node: Expr) -> int:
    """The levels of an expression."""
    level, count = [node], 0
    while level:
        level, count = [child for each in level for child in each.iter_expressions()], count + 1
    return count


def _query(node: Expr, place: Place) -> Query:
    place = _with_ctes(node, place)
    match node:
        case exp.Select(expressions=[exp.Column(this=exp.Identifier(this=name))]) if name in place.held:
            return place.resolved(name)
        case exp.Select():
            return _select(node, place)
        case exp.SetOperation():
            return _set_operation(node, place)
        case exp.Subquery():
            return _ordered(_query(node.this, place), node, place)
        case exp.Table(this=exp.Identifier()):
            return _select(exp.select("*").from_(node.copy()), place)
        case exp.Values():
            return _ordered(values(node, place), node, place)
    raise Unsupported(f"a query of the form {type(node).__name__} is not analysed")


def _with_ctes(node: Expr, place: Place) -> Place:
    """The place of a query, with the CTEs of its WITH."""
    with_ = node.args.get("with_")
    if with_ is None:
        return place
    ctes = dict(place.ctes)
    for cte in with_.expressions:
        key = cte.alias.lower()
        names = tuple(c.name for c in cte.args["alias"].args.get("columns") or ())
        recursive = bool(with_.args.get("recursive")) and any(
            not table.db and table.name.lower() == key for table in cte.this.find_all(exp.Table)
        )
        ctes[key] = Cte(cte.alias, cte.this, names, dict(ctes), recursive)
    return replace(place, ctes=ctes)


def _set_operation(node: exp.SetOperation, place: Place) -> Query:
    left, right = _query(node.left, place), _query(node.right, place)
    if len(left.names) != len(right.names):
        raise Unsupported("the branches of a set operation have different numbers of columns")
    distinct = bool(node.args.get("distinct"))
    if not isinstance(node, exp.Union):
        left, right = distinct_names(left), distinct_names(right)
        return _ordered(compared(type(node), distinct, left, right, place.alias), node, place)
    branches: tuple[Query, ...] = (left, right)
    if isinstance(left, Union) and left.distinct == distinct and left.adds_up:
        branches = (*left.branches, right)
    return _ordered(Union(branches, distinct), node, place)


def _ordered(query: Query, node: Expr, place: Place) -> Query:
    """The query with the ORDER BY and LIMIT after its parentheses or set operation."""
    if not any(node.args.get(word) for word in ("order", "limit", "offset")):
        return query
    if isinstance(query, Union) and not isinstance(node, exp.Subquery):
        query = distinct_names(query)
    place = place.inside()
    correlated = bool(outer_references(query))
    if not correlated or query.limit is not None:
        source = derived(query, node, "", place, lateral=correlated)
        outputs = tuple(Output(visible.name, visible.expr.copy()) for visible in place.scope.star)
        return _with_order(Block(outputs, source), node, place)
    # it cannot become a derived table
    if isinstance(query, Block):
        return _with_order(query, node, place)
    names = tuple(Output(x, exp.Column(this=identifier(x))) for x in query.names)
    ordered = _with_order(Block(names), node, place)
    if ordered.ties:
        raise Unsupported(
            "FETCH … WITH TIES after a set operation that refers to the query around is not analysed"
        )
    return replace(query, order=ordered.order, limit=ordered.limit, offset=ordered.offset)


def _select(node: exp.Select, place: Place) -> Block:
    for unknown, what in (("into", "SELECT INTO"), ("laterals", "LATERAL VIEW"), ("qualify", "QUALIFY")):
        if node.args.get(unknown):
            raise Unsupported(f"{what} is not analysed")
    distinct = node.args.get("distinct")
    place = place.inside({window.name.lower(): window for window in node.args.get("windows") or ()})
    tree: Tree | None = None
    from_ = node.args.get("from_")
    if from_ is not None and not _is_dual(from_.this):
        tree = from_clause(from_.this, node.args.get("joins") or (), place)
    where, having = node.args.get("where"), node.args.get("having")
    conditions = conjuncts(expression(where.this, place)) if where is not None else ()
    outputs = tuple(_outputs(node, place))
    group, rollup, sets = _group(node, place, outputs)
    tested = conjuncts(_having(having.this, place, outputs, group or ())) if having is not None else ()
    grouped = any(map(aggregates, (*(output.expr for output in outputs), *tested)))
    if group is None and (grouped or (having is not None and not place.syntax.aliases_in_having)):
        group = ()
    if group is None:
        # HAVING without aggregation restricts rows, like WHERE
        conditions, tested = conditions + tested, ()
    on = None if distinct is None else distinct.args.get("on")
    tree = with_sets(tree, _require_first(place.scope, outputs, group, on))
    block = Block(outputs, tree, conditions, group, rollup, sets, tested, distinct is not None and on is None)
    return _with_order(block, node, place) if on is None else _first_of_each(block, on, node, place)


def _require_first(
    scope: Scope, outputs: Sequence[Output], group: Sequence[Expr] | None, on: Expr | None
) -> Scope:
    """Raise `Unsupported` if rows that functions return in SELECT are made after windows or groups are."""
    if not scope.sets:
        return scope
    made = {
        node.name
        for key in group or ()
        for node in key.find_all(exp.Column)
        if node.table == scope.sets_alias
    }
    if group is not None and len(made) < len(scope.sets):
        raise Unsupported("a function that returns rows for each group is not analysed")
    if on is not None or any(has_window(output.expr) for output in outputs):
        raise Unsupported(
            "a function that returns rows beside a window function or DISTINCT ON is not analysed"
        )
    return scope


def _first_of_each(block: Block, on: Expr, node: Expr, place: Place) -> Block:
    """DISTINCT ON as the rows with the number 1 among those of equal keys, in the order of ORDER BY."""
    ordered = _with_order(block, node, place)
    keys = [_shown(item, block, place) for item in on.expressions]

    def again(item: Expr) -> Expr:
        return with_new_aliases(item, place.alias)

    number = exp.Window(
        this=exp.Anonymous(this="ROW_NUMBER", expressions=[]),
        partition_by=keys,
        order=exp.Order(expressions=list(map(again, ordered.order))) if ordered.order else None,
    )
    shown = distinct_names(block)
    hidden = [Output(f"order~{i}", again(item.this)) for i, item in enumerate(ordered.order)]
    assert isinstance(shown, Block)
    inner = replace(shown, outputs=(*shown.outputs, *hidden, Output("row~", number)))
    alias = place.alias()
    order = tuple(
        exp.Ordered(**{**item.args, "this": column(alias, output.name)})
        for item, output in zip(ordered.order, hidden, strict=True)
    )
    return Block(
        tuple(Output(o.name, column(alias, n)) for o, n in zip(block.outputs, shown.names, strict=True)),
        Derived(alias, inner, bool(outer_references(inner))),
        (exp.EQ(this=column(alias, "row~"), expression=exp.Literal.number(1)),),
        order=order,
        limit=ordered.limit,
        offset=ordered.offset,
        ties=ordered.ties,
        picks=not determined(
            replace(block, order=(*ordered.order, *(exp.Ordered(this=key) for key in keys)))
        ),
    )


def _shown(item: Expr, block: Block, place: Place) -> Expr:
    """A key of DISTINCT ON, as one of ORDER BY: an output by position or name, else an expression."""

    def after(name: str) -> Expr | None:
        return _named(block.outputs, name)

    shown = _position(item, block.outputs)
    if shown is None and isinstance(item, exp.Column) and not item.table:
        shown = _named(block.outputs, item.name)
    return with_new_aliases(expression(item, place, after=after) if shown is None else shown, place.alias)


def _is_dual(node: Expr) -> bool:
    return isinstance(node, exp.Table) and not node.db and node.name.lower() == "dual"


# Parts of a SELECT that can name its outputs.
_NAMING = ("group", "having", "order")


def _outputs(node: exp.Select, place: Place) -> Iterator[Output]:
    scope = place.scope
    for item in node.expressions:
        if isinstance(item, exp.Star):
            shown = (visible for visible in scope.star if not visible.hidden)
            yield from (Output(visible.name, visible.expr.copy()) for visible in shown)
        elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            key = item.table.lower()
            if key not in scope.sources:
                raise Unsupported(f"{item.table}.* names no source of its SELECT")
            for name in scope.sources[key]:
                yield Output(name, scope.qualified[(key, name.lower())].copy())
        elif isinstance(item, exp.Alias):
            yield Output(item.alias, expression(item.this, place))
        elif isinstance(item, exp.Exists) and node is place.whole and not any(map(node.args.get, _NAMING)):
            # nothing can name it, and the text of a long query takes long to write
            yield Output("EXISTS", expression(item, place))
        else:
            yield Output(place.syntax.output_name(item), expression(item, place))


def _group(
    node: exp.Select, place: Place, outputs: tuple[Output, ...]
) -> tuple[tuple[Expr, ...] | None, bool, tuple[tuple[int, ...], ...]]:
    """The keys of GROUP BY (None without one), whether it has WITH ROLLUP, and PostgreSQL's grouping sets."""
    group = node.args.get("group")
    if group is None:
        return None, False, ()
    if place.syntax.grouping_sets:
        return _in_sets(_grouping_sets(group), place, outputs)
    items, rollup = list(group.expressions), bool(group.args.get("rollup"))
    if len(items) == 1 and isinstance(items[0], exp.Rollup):
        # MySQL 9's GROUP BY ROLLUP (a, b) is GROUP BY a, b WITH ROLLUP
        items, rollup = list(items[0].expressions), True
    if any(group.args.get(name) for name in ("cube", "grouping_sets", "all")) or any(
        isinstance(item, _GROUPING) for item in items
    ):
        raise Unsupported("GROUP BY with CUBE or GROUPING SETS is not analysed")
    return tuple(_key(item, place, outputs) for item in items), rollup, ()


_GROUPING = (exp.Rollup, exp.Cube, exp.GroupingSets)


def _key(item: Expr, place: Place, outputs: tuple[Output, ...]) -> Expr:
    """A key of GROUP BY."""
    plain = item.this if isinstance(item, exp.Ordered) else item
    shown = _position(plain, outputs)
    if shown is None and isinstance(plain, exp.Column) and not plain.table:
        # a column has precedence over an alias, unless the column is ambiguous
        shown = None if place.scope.shows(plain.name) else _named(outputs, plain.name)
    return expression(plain, place) if shown is None else with_new_aliases(shown, place.alias)


def _in_sets(
    sets: list[list[Expr]], place: Place, outputs: tuple[Output, ...]
) -> tuple[tuple[Expr, ...], bool, tuple[tuple[int, ...], ...]]:
    """The keys of grouping sets, and, if there is more than one set, the places of its keys among them."""
    texts = [[written(item, place.syntax) for item in each] for each in sets]
    items = {
        text: item
        for each, names in zip(sets, texts, strict=True)
        for text, item in zip(names, each, strict=True)
    }
    keys = tuple(_key(item, place, outputs) for item in items.values())
    if len(sets) == 1:
        return keys, False, ()
    if not keys:
        raise Unsupported("more than one empty grouping set is not analysed")
    places = {text: number for number, text in enumerate(items)}
    return keys, True, tuple(tuple(places[text] for text in dict.fromkeys(names)) for names in texts)


# More grouping sets than anybody means.
_MOST_SETS = 256


def _grouping_sets(group: Expr) -> list[list[Expr]]:
    """The sets by which PostgreSQL groups: each of those of the first element with each of the second …"""
    if group.args.get("all") is not None:  # GROUP BY DISTINCT has each set once
        raise Unsupported("GROUP BY ALL or DISTINCT is not analysed")
    sets: list[list[Expr]] = [[]]
    for item in group.expressions:
        sets = [[*one, *other] for one in sets for other in _sets_of(item)]
        if len(sets) > _MOST_SETS:
            raise Unsupported(f"more than {_MOST_SETS} grouping sets are not analysed")
    return sets


def _sets_of(item: Expr) -> list[list[Expr]]:
    if isinstance(item, exp.GroupingSets):
        return [each for part in item.expressions for each in _sets_of(part)]
    if isinstance(item, (exp.Rollup, exp.Cube)):
        parts = [_parts(part) for part in item.expressions]
        if isinstance(item, exp.Rollup):
            kept = [range(number) for number in range(len(parts), -1, -1)]
            return [[each for place in places for each in parts[place]] for places in kept]
        if 2 ** len(parts) > _MOST_SETS:
            raise Unsupported(f"more than {_MOST_SETS} grouping sets are not analysed")
        chosen = itertools.product((True, False), repeat=len(parts))
        return [
            [each for part, wanted in zip(parts, which, strict=True) if wanted for each in part]
            for which in chosen
        ]
    return [_parts(item)]


def _parts(item: Expr) -> list[Expr]:
    """The keys of one element of GROUP BY; `(a, b)` is two."""
    if isinstance(item, exp.Tuple):
        return list(item.expressions)
    return [item.unnest()] if isinstance(item, exp.Paren) else [item]


def _having(node: Expr, place: Place, outputs: tuple[Output, ...], keys: tuple[Expr, ...]) -> Expr:
    def before(name: str) -> Expr | None:
        # precedence: GROUP BY columns, even if ambiguous in FROM; then the select list; then (MariaDB, and inside
        # aggregates) FROM. MySQL does not find columns there that became expressions when a table was merged.
        output = _named(outputs, name)
        seen = [key for key in keys if output is None or not key.meta.get("computed")]
        grouped = [k for k in seen if isinstance(k, exp.Column) and k.name.lower() == name.lower()]
        if len(grouped) == 1:
            return grouped[0]
        found = place.scope.lookup(name, None) if place.scope.shows(name) else None
        return found if found is not None and any(found == key for key in seen) else output

    return expression(node, place, before if place.syntax.aliases_in_having else None)


def _with_order(block: Block, node: Expr, place: Place) -> Block:
    """The block with the ORDER BY, LIMIT and OFFSET of a node."""
    if not any(node.args.get(word) for word in ("order", "limit", "offset")):
        return block

    def after(name: str) -> Expr | None:
        return _named(block.outputs, name)

    order: list[Expr] = []
    sets = len(place.scope.sets)
    for item in node.args["order"].expressions if node.args.get("order") is not None else ():
        plain = item.this if isinstance(item, exp.Ordered) else item
        desc = isinstance(item, exp.Ordered) and bool(item.args.get("desc"))
        nulls_first = bool(item.args.get("nulls_first")) if isinstance(item, exp.Ordered) else not desc
        shown = _position(plain, block.outputs)
        if shown is None and isinstance(plain, exp.Column) and not plain.table:
            shown = _named(block.outputs, plain.name)
        key = with_new_aliases(expression(plain, place, after=after) if shown is None else shown, place.alias)
        order.append(exp.Ordered(this=key, desc=desc, nulls_first=nulls_first))
    if len(place.scope.sets) > sets or (sets and any(map(has_window, order))):
        raise Unsupported("ORDER BY a function that returns rows, or by a window beside one, is not analysed")
    limit, offset = _number(node.args.get("limit")), _number(node.args.get("offset"))
    ties = _has_ties(node)
    if ties and not place.syntax.with_ties:
        raise Unsupported("FETCH … WITH TIES is not analysed")
    if ties and limit and all(isinstance(item.this, exp.Literal) for item in order):
        limit, ties = None, False  # all rows are alike
    if limit is None and offset:
        limit = _ALL
    return replace(block, order=tuple(order), limit=limit, offset=offset or 0, ties=ties)


# OFFSET without LIMIT: more rows than there are, to which any offset can be added.
_ALL = 1 << 62


def _has_ties(node: Expr) -> bool:
    """Whether a node has FETCH … WITH TIES."""
    options = node.args["limit"].args.get("limit_options") if node.args.get("limit") is not None else None
    return options is not None and bool(options.args.get("with_ties"))


def _position(item: Expr, outputs: tuple[Output, ...]) -> Expr | None:
    if isinstance(item, exp.Literal) and not item.is_string and str(item.this).isdigit():
        index = int(item.this)
        if not 1 <= index <= len(outputs):
            raise Unsupported(f"position {index} is not in the select list")
        return outputs[index - 1].expr
    return None


def _named(outputs: tuple[Output, ...], name: str) -> Expr | None:
    return next((output.expr for output in outputs if output.name.lower() == name.lower()), None)


def _number(node: Any) -> int | None:
    if node is None:
        return None
    value = node.expression
    if isinstance(node, exp.Fetch):  # FETCH FIRST ROW ONLY is LIMIT 1
        options = node.args.get("limit_options")
        if options is not None and options.args.get("percent"):
            raise Unsupported("FETCH … PERCENT is not analysed")
        value = node.args.get("count") or exp.Literal.number(1)
    if isinstance(value, exp.Literal) and not value.is_string and str(value.this).isdigit():
        return int(value.this)
    raise Unsupported("LIMIT or OFFSET is not a plain number")
