"""FROM: resolves the sources of a SELECT and the joins between them.

In: a FROM clause and its `Place`. Out: a join tree in which NATURAL and USING have become ON, RIGHT JOINs have become
LEFT JOINs, and CTEs and views have become derived tables. The columns are added to the scope of the place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlglot import exp

from ..servers.expressions import JOIN_WORDS, Expr, Unsupported, identifier, is_row, written
from ..servers.tables import Table
from .expressions import expression
from .rewrite import apart, cross
from .scope import Cte, Place, Scope, Visible, distinct_names, named_in, renamed
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
    conjuncts,
    expressions_of,
    has_window,
    lateral_references,
    occurrences,
    outer_references,
    subqueries,
    subquery,
    tree_aliases,
)


def from_clause(first: Expr, joins: Sequence[exp.Join], place: Place) -> Tree:
    """The tree of a FROM clause, or of parentheses in one.

    A comma binds less tightly than a JOIN: NATURAL, USING and RIGHT see only the sources between two commas.
    """
    scope = place.scope
    enclosing, scope.star = scope.star, []
    scope.enclosing.append(enclosing)
    tree: Tree | None = None
    group = _source(first, place)
    for node in joins:
        if any(node.args.get(word) for word in JOIN_WORDS):
            group = _join(group, node, place)
        else:  # a comma
            tree = cross(tree, group)
            enclosing += scope.star
            scope.star = []
            group = _source(node.this, place)
    scope.star = enclosing + scope.star
    scope.enclosing.pop()
    return cross(tree, group)


def _join(left: Tree, node: exp.Join, place: Place) -> Tree:
    side, method, kind = node.side.upper(), node.method.upper(), node.kind.upper()
    if (
        (side == "FULL" and not place.syntax.full_join)
        or method not in ("", "NATURAL")
        or kind not in ("", "INNER", "CROSS", "OUTER", "STRAIGHT_JOIN", "STRAIGHT")
    ):
        raise Unsupported(f"a {method} {side} {kind} JOIN is not analysed".replace("  ", " "))
    scope = place.scope
    before = list(scope.star)
    right = _source(node.this, place)
    after = scope.star[len(before) :]
    using = [each.name for each in node.args.get("using") or ()]
    if method == "NATURAL":
        theirs = {visible.name.lower() for visible in after if not visible.hidden}
        using = [v.name for v in before if v.name.lower() in theirs and not v.hidden]
    on: list[Expr] = []
    if using:
        on = _merge(
            scope, before, after, using, keep_right=side == "RIGHT", right_first=place.syntax.right_first
        )
    if node.args.get("on") is not None:
        on += conjuncts(expression(node.args["on"], place))
    for visible in {"LEFT": after, "RIGHT": before}.get(side, []):
        visible.expr.meta.pop("not_null", None)
    if side == "FULL":
        return _full_join(left, right, tuple(on), len(using), place)
    if side == "RIGHT":
        return Join(right, left, tuple(on), left_outer=True)
    return Join(left, right, tuple(on), left_outer=side == "LEFT")


def _full_join(left: Tree, right: Tree, on: tuple[Expr, ...], merged: int, place: Place) -> Tree:
    """``a FULL JOIN b ON c``: the rows of a LEFT JOIN, and those of b without a match.

    It becomes a derived table, to whose columns the names in the scope then refer. The first ``merged`` columns of
    ``SELECT *`` are those of USING: the value of the side that has one.
    """
    if lateral_references(left) | lateral_references(right):
        raise Unsupported("a FULL JOIN with LATERAL is not analysed")
    scope, alias = place.scope, place.alias()
    known = tree_aliases(left) | tree_aliases(right)
    columns: dict[str, Output] = {}

    def kept(expression: Expr) -> exp.Column:
        """The column of the derived table that has the value of an expression."""
        text = written(expression, place.syntax)
        if text not in columns:
            columns[text] = Output(f"full~{len(columns)}", expression)
        return column(alias, columns[text].name)

    for number, visible in enumerate(scope.star):
        value = visible.expr
        if number < merged:
            value = exp.Anonymous(
                this="COALESCE", expressions=[on[number].this.copy(), on[number].expression.copy()]
            )
        if _is_of(value, known):
            scope.star[number] = replace(visible, expr=kept(value))
    for name, found in list(scope.qualified.items()):
        if _is_of(found, known):
            scope.qualified[name] = kept(found)
    if not columns:
        kept(exp.Literal.number(1))
    outputs, never = tuple(columns.values()), (exp.Boolean(this=False),)
    one = (Output("one", exp.Literal.number(1)),)
    match = apart(Block(one, left, on), place.alias)
    matched = exp.Not(this=exp.Exists(this=subquery(match)))
    rest = apart(Block(outputs, Join(right, left, never, left_outer=True), (matched,)), place.alias)
    made = Union((Block(outputs, Join(left, right, on, left_outer=True)), rest), distinct=False)
    if len(made.aliases) > _MOST_IN_FULL:
        raise Unsupported("so many FULL JOINs in each other are not analysed")
    return Derived(alias, made)


# Sources of a FULL JOIN, which has those of its sides three times. Of more there would be thousands of queries.
_MOST_IN_FULL = 100


def _is_of(expression: Expr, aliases: Collection[str]) -> bool:
    """Whether an expression is about these sources."""
    return any(node.table in aliases for node in expression.find_all(exp.Column))


def _merge(
    scope: Scope,
    before: list[Visible],
    after: list[Visible],
    using: list[str],
    keep_right: bool,
    right_first: bool,
) -> list[Expr]:
    """Merge the columns of NATURAL or USING into one visible column each, first in ``SELECT *``."""
    on: list[Expr] = []
    merged: list[Visible] = []
    for name in using:
        ours = [visible for visible in before if visible.name.lower() == name.lower()]
        theirs = [visible for visible in after if visible.name.lower() == name.lower()]
        if len(ours) != 1 or len(theirs) != 1:
            raise Unsupported(f"the join column {name!r} is missing on one side or ambiguous")
        if ours[0].hidden or theirs[0].hidden:  # MySQL shows it in SELECT *, and MariaDB does not
            raise Unsupported(f"a join USING the invisible column {name!r} is not analysed")
        on.append(exp.EQ(this=ours[0].expr.copy(), expression=theirs[0].expr.copy()))
        merged.append(Visible(ours[0].name, (theirs if keep_right else ours)[0].expr, ""))
    names = {visible.name.lower() for visible in merged}
    first, second = (after, before) if keep_right and right_first else (before, after)
    scope.star = merged + [v for v in [*first, *second] if v.name.lower() not in names]
    return on


# ---------------------------------------------------------------- sources


def _source(node: Expr, place: Place) -> Tree:
    """One source with the joins attached to it."""
    if node.args.get("joins"):
        alone = node.copy()
        alone.set("joins", None)
        return from_clause(alone, node.args["joins"], place)
    if node.args.get("sample") or node.args.get("pivots"):
        raise Unsupported("TABLESAMPLE and PIVOT are not analysed")
    match node:
        case exp.Subquery(this=exp.Table() | exp.Lateral() as joined):
            return _source(joined, place)  # parentheses around joined tables
        case exp.Subquery(this=exp.Subquery() as inner) if not node.alias:
            return _source(inner, place)
        case exp.Subquery():
            # MySQL lets it refer to outer queries; beside their sources it is then LATERAL
            query = place.outside().query(node.this)
            return _subquery(query, node, place, lateral=bool(outer_references(query)))
        case exp.Lateral(this=exp.Anonymous() | exp.Unnest()) | exp.Unnest():
            return _functions([node.this if isinstance(node, exp.Lateral) else node], node, place)
        case exp.Table(this=exp.Anonymous()):
            return _functions([node.this], node, place)
        case exp.Table(this=None) if node.args.get("rows_from"):
            each = node.args["rows_from"]
            return _functions([one.this if isinstance(one, exp.Table) else one for one in each], node, place)
        case exp.Lateral():
            inner = node.this.this if isinstance(node.this, exp.Subquery) else node.this
            return _subquery(place.query(inner), node, place, lateral=True)
        case exp.Values():
            return _values(node, node, place)
        case exp.Table(this=exp.Values() as rows):  # in parentheses
            return _values(rows, node, place)
        case exp.Table(this=exp.JSONTable()):
            return _json_table(node, place)
        case exp.Table(this=exp.Identifier()):
            return _named(node, place)
        case exp.Table():
            raise Unsupported(f"a table function {type(node.this).__name__} is not analysed")
    raise Unsupported(f"a source of the form {type(node).__name__} is not analysed")


def _subquery(query: Query, node: Expr, place: Place, lateral: bool) -> Derived:
    given = _given_names(node)
    query = distinct_names(renamed(query, given))
    return derived(query, node, node.alias, place, not_null=_never_null(query), lateral=lateral)


def derived(
    query: Query,
    node: Expr,
    shown: str,
    place: Place,
    schema: str | None = None,
    not_null: Collection[str] = (),
    lateral: bool = False,
) -> Derived:
    """A derived table for a query that was parsed from ``node``; the scope names it ``shown``."""
    alias = place.alias()
    place.scope.show(shown or alias, alias, query.names, schema, not_null, _computed(query, node))
    return Derived(alias, query, lateral)


def _values(node: exp.Values, named: Expr, place: Place) -> Tree:
    if not _is_of_literals(node):
        query = place.outside().query(node)
        return _subquery(query, named, place, lateral=bool(outer_references(query)))
    rows = [_row(row) for row in node.expressions]
    names = _given_names(named) or _names_of_values(node, place)
    union: Expr | None = None
    for row in rows:
        items = zip(names, row, strict=True)
        select = exp.Select(
            expressions=[exp.Alias(this=value.copy(), alias=identifier(name)) for name, value in items]
        )
        union = select if union is None else exp.Union(this=union, expression=select, distinct=False)
    assert union is not None
    opaque = Opaque(place.alias(), exp.Subquery(this=union), tuple(names))
    place.scope.show(named.alias or opaque.alias, opaque.alias, opaque.columns)
    return opaque


def values(node: exp.Values, place: Place) -> Query:
    """VALUES as a UNION ALL of SELECTs, because MySQL writes VALUES ROW (…) and MariaDB VALUES (…)."""
    inside, names = place.inside(), _names_of_values(node, place)
    blocks = tuple(
        Block(
            tuple(Output(name, expression(item, inside)) for name, item in zip(names, _row(row), strict=True))
        )
        for row in node.expressions
    )
    return blocks[0] if len(blocks) == 1 else Union(blocks, distinct=False)


def _names_of_values(node: exp.Values, place: Place) -> list[str]:
    return [place.syntax.value_name(i) for i in range(len(_row(node.expressions[0])))]


def _is_of_literals(node: exp.Values) -> bool:
    return node.find(exp.Column, exp.Query) is None and not any(
        node.args.get(word) for word in exp.QUERY_MODIFIERS
    )


def _row(row: Expr) -> list[Expr]:
    items = list(row.expressions) if isinstance(row, exp.Tuple) else [row]
    if len(items) == 1 and is_row(items[0]):
        items = list(items[0].expressions)
    return items


def _json_table(node: exp.Table, place: Place) -> Opaque:
    names = [definition.name for definition in node.this.find_all(exp.JSONColumnDef) if definition.name]
    alias = place.alias()
    call = expression(node.this, place)
    place.scope.show(node.alias or alias, alias, names)
    return Opaque(alias, exp.Table(this=call), tuple(names))


def _functions(calls: Sequence[Expr], node: Expr, place: Place) -> Opaque:
    """Functions that return rows (PostgreSQL), several with ROWS FROM; they see what stands left of them."""
    offset = node.args.get("ordinality") or next((call.args.get("offset") for call in calls), None)
    names: list[str] = []
    for call in calls:
        own = place.syntax.columns_of(call)
        if own is None or (len(calls) > 1 and call.args.get("offset")):
            raise Unsupported(f"a table function {written(call, place.syntax)} is not analysed")
        names += own if len(calls) == 1 else (name or _called(call) for name in own)
    given = _given_names(node)
    shown = node.alias or _called(calls[0])
    columns = [name or shown for name in names]
    if offset:
        columns.append("ordinality")
        given += [offset.name] if isinstance(offset, exp.Identifier) else []
    if len(given) > len(columns):
        raise Unsupported(f"{len(given)} column names are given for {len(columns)} columns")
    columns[: len(given)] = given
    if len(set(columns)) < len(columns):
        raise Unsupported(
            f"a table function {written(node, place.syntax)} with columns of one name is not analysed"
        )
    made: list[Expr] = [
        exp.Anonymous(this=_called(call), expressions=[expression(e, place) for e in call.expressions])
        for call in calls
    ]
    alias = place.alias()
    place.scope.show(shown, alias, columns)
    if len(columns) == 1 and columns[0].lower() != shown.lower():
        # the name of the source is its row, which is its only value
        place.scope.star.append(Visible(shown, column(alias, columns[0]), shown.lower(), hidden=True))
    return Opaque(alias, _rows_from(made, bool(offset)), tuple(columns), named=True)


def _called(call: Expr) -> str:
    return str(call.this).lower() if isinstance(call, exp.Anonymous) else "unnest"


def _rows_from(calls: Sequence[Expr], ordinality: bool = False) -> exp.Table:
    if len(calls) == 1:
        return exp.Table(this=calls[0], ordinality=ordinality)
    return exp.Table(rows_from=[exp.Table(this=call) for call in calls], ordinality=ordinality)


def with_sets(tree: Tree | None, scope: Scope) -> Tree | None:
    """FROM, with the functions that return rows in SELECT as a last source: ``ROWS FROM (f (…), …)`` of each row."""
    if not scope.sets:
        return tree
    names = tuple(f"set~{number}" for number in range(len(scope.sets)))
    return cross(tree, Opaque(scope.sets_alias, _rows_from(scope.sets), names, named=True))


def _named(node: exp.Table, place: Place) -> Tree:
    for argument, what in (("partition", "PARTITION (…)"), ("version", "FOR SYSTEM_TIME")):
        if node.args.get(argument):
            raise Unsupported(f"{what} on table {node.name} is not analysed")
    shown, given = node.alias or node.name, _given_names(node)
    if not node.db and node.name.lower() in place.ctes:
        cte = place.ctes[node.name.lower()]
        return _recursive(cte, shown, given, place) if cte.recursive else _cte(cte, shown, given, place)
    table = place.catalog.find(node.db or None, node.name, place.default_schema)
    if table is None:
        where = f"`{node.db}`.`{node.name}`" if node.db else f"`{node.name}`"
        raise Unsupported(f"table {where} is not in the catalog")
    names = [c.name for c in table.columns]
    place.require_spelled(names)
    if table.is_view:
        return _view(table, shown, given, place)
    if len(given) > len(names):
        raise Unsupported(f"{len(given)} column names are given for {len(names)} columns")
    if len({*given, *names[len(given) :]}) < len(names):
        raise Unsupported(f"an alias of {node.name} that gives two columns one name is not analysed")
    alias = place.alias()
    not_null = {c.name for c in table.columns if not c.nullable}
    hidden = {c.name for c in table.columns if c.invisible}
    place.scope.show(shown, alias, names, table.schema, not_null, hidden=hidden, given=given)
    return Base(alias, table)


def _view(view: Table, shown: str, given: Sequence[str], place: Place) -> Derived:
    if not view.view_sql:
        raise Unsupported(
            f"the definition of view {view.full_name} is not visible to this account (GRANT SHOW VIEW)"
        )
    if view.full_name in place.views:
        raise Unsupported(f"view {view.full_name} refers to itself")
    node = place.syntax.parse(view.view_sql)
    place.syntax.require_known(node)
    place.require_spelled(named_in(node))
    within = replace(place.closed({}), default_schema=view.schema, views=(*place.views, view.full_name))
    query = renamed(within.query(node), [c.name for c in view.columns])
    return derived(distinct_names(renamed(query, given)), node, shown, place, view.schema)


def _cte(cte: Cte, shown: str, given: Sequence[str], place: Place) -> Derived:
    query = renamed(place.closed(cte.visible).query(cte.node), cte.columns)
    return derived(distinct_names(renamed(query, given)), cte.node, shown, place)


# ---------------------------------------------------------------- recursive CTEs


def _recursive(cte: Cte, shown: str, given: Sequence[str], place: Place) -> Opaque:
    """A recursive CTE: its unchanged text, and all rows of the tables that it reads.

    Each step of the recursion depends on all rows of the earlier steps.
    """
    names = cte.columns
    if not names:
        first = cte.node
        while isinstance(first, (exp.SetOperation, exp.Subquery)):
            first = first.this
        names = place.closed(cte.visible).query(first).names
    definitions, whole = [], list[Base]()
    for each in _with_those_read(cte):
        definition, tables = _definition(each, place)
        definitions.append(definition)
        whole += tables
    text = exp.select("*").from_(exp.Table(this=identifier(cte.name)))
    text.set("with_", exp.With(expressions=definitions, recursive=True))
    alias = place.alias()
    place.scope.show(shown, alias, names, given=given)
    sql = written(text, place.syntax)
    return Opaque(alias, exp.Table(this=exp.Var(this=f"({sql})")), tuple(names), tuple(whole), text)


def _definition(cte: Cte, place: Place) -> tuple[exp.CTE, list[Base]]:
    """The text of a CTE with the schemas of its tables, and these tables."""
    body = cte.node.copy()
    known = {*cte.visible, cte.name.lower(), *(c.alias.lower() for c in body.find_all(exp.CTE))}
    whole = list[Base]()
    for table in list(body.find_all(exp.Table)):
        if isinstance(table.this, exp.Identifier) and (table.db or table.name.lower() not in known):
            alone = table.copy()
            alone.set("joins", None)
            found = Block((), _source(alone, place.closed({})))
            whole += [replace(base, whole=True) for base in occurrences(found)]
            if not table.db:
                read = place.catalog.find(None, table.name, place.default_schema)
                assert read is not None
                table.set("db", identifier(read.schema))
    alias = exp.TableAlias(this=identifier(cte.name), columns=[identifier(name) for name in cte.columns])
    return exp.CTE(this=body, alias=alias), whole


def _with_those_read(cte: Cte) -> list[Cte]:
    """A CTE after those that it reads, directly or not; MySQL ignores the others."""
    found: dict[str, Cte] = {}

    def visit(each: Cte) -> None:
        own = each.name.lower()
        for table in each.node.find_all(exp.Table):
            name = table.name.lower()
            other = None if table.db or (each.recursive and name == own) else each.visible.get(name)
            if other is not None and found.get(name) is not other:
                visit(other)
        if own in found:
            raise Unsupported(f"a recursive CTE that reads two CTEs named {each.name!r} is not analysed")
        found[own] = each

    visit(cte)
    return list(found.values())


# ---------------------------------------------------------------- what a derived table shows


def _never_null(query: Query) -> set[str]:
    """Outputs that are NOT NULL columns."""
    if isinstance(query, Union) or query.rollup:
        return set()
    return {output.name for output in query.outputs if output.expr.meta.get("not_null")}


def _computed(query: Query, node: Expr) -> set[str]:
    """Outputs of a derived table that become expressions when MySQL merges it into the outer query."""
    while isinstance(node, (exp.Lateral, exp.Subquery)):
        node = node.this
    if (
        isinstance(query, Union)
        or query.tree is None
        or query.group is not None
        or query.distinct
        or query.limit is not None
        or node.args.get("having") is not None
        or any(has_window(expression) for expression in expressions_of(query))
        or any(outer_references(inner) for output in query.outputs for inner in subqueries(output.expr))
    ):
        return set()  # it is not merged
    return {
        output.name
        for output in query.outputs
        if not isinstance(output.expr.unnest(), exp.Column) or output.expr.unnest().meta.get("computed")
    }


def _given_names(node: Expr) -> list[str]:
    """The column names in an alias."""
    alias = node.args.get("alias")
    return [] if alias is None else [c.name for c in alias.args.get("columns") or ()]
