"""Name resolution: SQL text and a catalog to a query tree.

In: one statement and the `Catalog`. Out: a `Query` in which every table occurrence has an alias of its own,
every column names its source, stars are expanded, NATURAL and USING have become ON, RIGHT joins LEFT joins,
CTEs and views derived tables, INTERSECT and EXCEPT semijoins and antijoins, and aliases in GROUP BY, HAVING
and ORDER BY the expressions that they stand for (by MySQL's rules of precedence). It decides nothing about
which rows are needed.

Anything that it does not know raises `Unsupported` with a reason, never a guess.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot import exp

from ..servers.catalog import Catalog
from ..servers.mysql.functions import SERVER_FUNCTIONS
from ..servers.mysql.syntax import Exact, Expr, UnknownTable, Unsupported, is_row, parse
from .demand import cross, is_plain
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
    aggregates,
    block_expressions,
    column,
    conjuncts,
    has_window,
    is_aggregate,
    occurrences,
    outer_references,
    same,
    subqueries,
    subquery,
    with_names,
    with_new_aliases,
)
from .types import alike

# ---------------------------------------------------------------- scopes


@dataclass
class _Visible:
    """One column that a scope shows: its name, where it may be qualified with, and what it is."""

    name: str
    expr: Expr
    source: str  # alias as the user wrote it, lower case; "" for a merged column
    hidden: bool = False  # an invisible column, which only its name shows


@dataclass
class _Scope:
    """The columns of one SELECT's sources. ``star`` is the order of ``SELECT *``, with those that it hides."""

    parent: _Scope | None
    qualified: dict[tuple[str, str], Expr] = field(default_factory=dict)  # (source, column) -> expression
    star: list[_Visible] = field(default_factory=list)
    sources: dict[str, list[str]] = field(default_factory=dict)  # source -> its columns in order
    schemas: dict[str, str] = field(default_factory=dict)  # source -> schema, of base tables
    # columns of sources around the part of the FROM clause that is being resolved; LATERAL sees them
    enclosing: list[list[_Visible]] = field(default_factory=list)

    def lookup(self, name: str, table: str | None) -> Expr | None:
        """The expression of a column of this scope, or None. Raises where it is ambiguous."""
        key = name.lower()
        if table is not None:
            return self.qualified.get((table.lower(), key))
        matches = [visible for visible in self.star if visible.name.lower() == key]
        for around in reversed(self.enclosing):
            matches = matches or [visible for visible in around if visible.name.lower() == key]
        if len(matches) > 1:
            raise Unsupported(f"column {name!r} is ambiguous")
        return matches[0].expr if matches else None


@dataclass
class _Cte:
    name: str
    node: Expr
    columns: tuple[str, ...]
    visible: Mapping[str, _Cte]
    recursive: bool


# ---------------------------------------------------------------- resolution


def resolve(node: Expr, catalog: Catalog, default_schema: str | None = None) -> Query:
    """Resolve the names of a parsed SELECT.

    >>> from dj_sqlspy.lineage.tree import to_sql
    >>> to_sql(resolve(parse("SELECT * FROM s.a NATURAL JOIN s.b"), catalog))  # doctest: +SKIP
    'SELECT `t1`.`id` AS `id`, … FROM `s`.`a` AS `t1` JOIN `s`.`b` AS `t2` ON (`t1`.`id` = `t2`.`id`)'

    Raises
    ------
    Unsupported
        Where a construct is not analysed; `UnknownTable` where a table is not in the catalog.
    """
    return _distinct_names(_Resolver(catalog, default_schema).query(node, None, {}))


class _Resolver:
    def __init__(self, catalog: Catalog, default_schema: str | None) -> None:
        self.catalog = catalog
        self.default_schema = default_schema
        self.count = 0
        self.expanding: tuple[str, ...] = ()  # views being expanded

    def alias(self) -> str:
        self.count += 1
        return f"t{self.count}"

    # -------------------------------------------------- queries

    def query(self, node: Expr, parent: _Scope | None, ctes: Mapping[str, _Cte]) -> Query:
        with_ = node.args.get("with_")
        if with_ is not None:
            visible = dict(ctes)
            for cte in with_.expressions:
                names = tuple(c.name for c in cte.args["alias"].args.get("columns") or ())
                recursive = bool(with_.args.get("recursive")) and any(
                    not table.db and table.name.lower() == cte.alias.lower()
                    for table in cte.this.find_all(exp.Table)
                )
                visible[cte.alias.lower()] = _Cte(cte.alias, cte.this, names, dict(visible), recursive)
            ctes = visible
        if isinstance(node, exp.Select):
            return self.select(node, parent, ctes)
        if isinstance(node, exp.SetOperation):
            return self.set_operation(node, parent, ctes)
        if isinstance(node, exp.Subquery):
            inner = self.query(node.this, parent, ctes)
            if node.args.get("order") or node.args.get("limit") or node.args.get("offset"):
                return self.ordered_over(inner, node, parent, ctes)
            return inner
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            return self.select(exp.select("*").from_(node.copy()), parent, ctes)
        if isinstance(node, exp.Values):
            return self.values_query(node)
        raise Unsupported(f"a query of the form {type(node).__name__} is not analysed")

    def values_query(self, node: exp.Values) -> Block:
        alias = self.alias()
        opaque = self.values(node, alias)
        return Block(tuple(Output(name, column(alias, name)) for name in opaque.columns), opaque)

    def values(self, node: exp.Values, alias: str) -> Opaque:
        rows = [self._row(row) for row in node.expressions]
        given = [c.name for c in (node.args.get("alias") or exp.TableAlias()).args.get("columns") or ()]
        names = tuple(given or [f"column_{i}" for i in range(len(rows[0]))])
        # VALUES ROW(…) is MySQL's, VALUES (…) MariaDB's; a UNION ALL of SELECTs means the same on both
        union: Expr | None = None
        for row in rows:
            select = exp.Select(
                expressions=[
                    exp.Alias(this=value.copy(), alias=exp.Identifier(this=name, quoted=True))
                    for name, value in zip(names, row, strict=True)
                ]
            )
            union = select if union is None else exp.Union(this=union, expression=select, distinct=False)
        assert union is not None
        return Opaque(alias, exp.Subquery(this=union), names)

    @staticmethod
    def _row(row: Expr) -> list[Expr]:
        items = list(row.expressions) if isinstance(row, exp.Tuple) else [row]
        if len(items) == 1 and is_row(items[0]):
            items = list(items[0].expressions)
        for item in items:
            if item.find(exp.Column, exp.Query) is not None:
                raise Unsupported("VALUES with anything but literals is not analysed")
        return items

    def ordered_over(
        self, inner: Query, node: Expr, parent: _Scope | None, ctes: Mapping[str, _Cte]
    ) -> Query:
        alias = self.alias()
        scope = _Scope(parent)
        correlated = bool(outer_references(inner))
        if correlated and inner.limit is None:  # in a derived table it could not be
            if isinstance(inner, Block):
                return self._with_order(inner, node, scope, ctes)
            named = Block(
                tuple(Output(x, exp.Column(this=exp.to_identifier(x, quoted=True))) for x in inner.names)
            )
            ordered = self._with_order(named, node, scope, ctes)
            return replace(inner, order=ordered.order, limit=ordered.limit, offset=ordered.offset)
        self._show(scope, alias, alias, inner.names, None, (), _computed(inner, node))
        outputs = tuple(Output(visible.name, visible.expr.copy()) for visible in scope.star)
        block = Block(outputs, Derived(alias, inner, lateral=correlated))
        return self._with_order(block, node, scope, ctes)

    def set_operation(self, node: exp.SetOperation, parent: _Scope | None, ctes: Mapping[str, _Cte]) -> Query:
        left = self.query(node.left, parent, ctes)
        right = self.query(node.right, parent, ctes)
        if len(left.names) != len(right.names):
            raise Unsupported("the branches of a set operation have different numbers of columns")
        distinct = bool(node.args.get("distinct"))
        result: Query
        if isinstance(node, exp.Union):
            branches: tuple[Query, ...] = (left, right)
            if isinstance(left, Union) and left.distinct == distinct and left.adds_up:
                branches = (*left.branches, right)
            result = Union(branches, distinct)
        else:
            result = self._compared(node, _distinct_names(left), _distinct_names(right))
        return self._limited(result, node, parent, ctes)

    def _compared(self, node: exp.SetOperation, left: Query, right: Query) -> Query:
        """EXCEPT and INTERSECT as a condition on the rows of the left side.

        >>> a EXCEPT b          # doctest: +SKIP
        SELECT DISTINCT x FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE a.x <=> b.x)

        A query that refers to one around it can be no derived table: where it only selects, the condition is put
        into it. Where it does not, or each of equal rows counts, the set operation stays as it is.
        """
        distinct, similar = bool(node.args.get("distinct")), alike(left, right)
        if not outer_references(left) | outer_references(right):
            if not similar:
                left, right = self._of_one_type(left, right), self._of_one_type(right, left)
            if not distinct:
                return self._of_multisets(node, left, right)
            similar = True
        rows, others = self._plain_blocks(left), self._plain_blocks(right)
        if not (distinct and similar and rows and others):
            return Union((left, right), distinct, operator=type(node))
        found: list[Query] = []
        for row in rows:
            equal = [_equal_rows(row, other) for other in others]
            matching: Query = equal[0] if len(equal) == 1 else Union(tuple(equal), distinct=False)
            exists: Expr = exp.Exists(this=with_new_aliases(subquery(matching), self.alias))
            if isinstance(node, exp.Except):
                exists = exp.Not(this=exists)
            found.append(replace(row, where=(*row.where, exists), distinct=True, order=()))
        return found[0] if len(found) == 1 else Union(tuple(found))

    def _plain_blocks(self, query: Query) -> tuple[Block, ...]:
        """Blocks that only select and whose rows are those of the query, as a set; none if there are no such."""
        if not outer_references(query):
            alias = self.alias()
            return (Block(tuple(Output(x, column(alias, x)) for x in query.names), Derived(alias, query)),)
        if isinstance(query, Union) and query.adds_up:
            blocks = [self._plain_blocks(branch) for branch in query.branches]
            return tuple(itertools.chain(*blocks)) if all(blocks) else ()
        return (query,) if is_plain(query) else ()

    def _of_one_type(self, query: Query, other: Query) -> Query:
        """The query with the types that a set operation with another one makes of its columns.

        >>> a                                          # doctest: +SKIP
        SELECT x FROM a UNION ALL SELECT y FROM b WHERE FALSE
        """
        alias = self.alias()
        (copied,) = subqueries(with_new_aliases(subquery(other), self.alias))
        outputs = tuple(Output(name, column(alias, name)) for name in copied.names)
        return Union((query, Block(outputs, Derived(alias, copied), (exp.false(),))), distinct=False)

    def _limited(self, result: Query, node: Expr, parent: _Scope | None, ctes: Mapping[str, _Cte]) -> Query:
        if node.args.get("order") or node.args.get("limit") or node.args.get("offset"):
            if isinstance(result, Union):
                result = _distinct_names(result)
            return self.ordered_over(result, node, parent, ctes)
        return result

    def _of_multisets(self, node: Expr, left: Query, right: Query) -> Block:
        """EXCEPT ALL and INTERSECT ALL by numbers: the n-th of equal rows is compared with how many there are.

        >>> a EXCEPT ALL b      # doctest: +SKIP
        SELECT x FROM (SELECT x, ROW_NUMBER() OVER (PARTITION BY x) AS n FROM a) AS a
        WHERE n > (SELECT COUNT(*) FROM b WHERE b.x <=> a.x)
        """
        inner, a, b = self.alias(), self.alias(), self.alias()
        number = exp.Window(
            this=exp.RowNumber(), partition_by=[column(inner, x) for x in left.names], over="OVER"
        )
        outputs = tuple(Output(x, column(inner, x)) for x in left.names)
        numbered = Block((*outputs, Output("number~", number)), Derived(inner, left))
        counted = Block(
            (Output("n", exp.Count(this=exp.Star())),),
            Derived(b, right),
            tuple(same(column(a, x), column(b, y)) for x, y in zip(left.names, right.names, strict=True)),
            group=(),
        )
        compare = exp.GT if isinstance(node, exp.Except) else exp.LTE
        return Block(
            tuple(Output(x, column(a, x)) for x in left.names),
            Derived(a, numbered),
            (compare(this=column(a, "number~"), expression=subquery(counted)),),
        )

    def select(self, node: exp.Select, parent: _Scope | None, ctes: Mapping[str, _Cte]) -> Block:
        for unknown, what in (("into", "SELECT INTO"), ("laterals", "LATERAL VIEW"), ("qualify", "QUALIFY")):
            if node.args.get(unknown):
                raise Unsupported(f"{what} is not analysed")
        scope = _Scope(parent)
        tree: Tree | None = None
        from_ = node.args.get("from_")
        if from_ is not None and not _is_dual(from_.this):
            tree = self.from_clause(from_.this, node.args.get("joins") or (), scope, parent, ctes)
        windows = {window.name.lower(): window for window in node.args.get("windows") or ()}

        def in_from(expression: Expr) -> Expr:
            return self.expression(expression, scope, ctes, windows)

        where = node.args.get("where")
        conditions = conjuncts(in_from(where.this)) if where is not None else ()
        outputs = tuple(self.outputs(node, scope, in_from))
        group, rollup = self.group(node, scope, ctes, outputs, in_from)
        having: tuple[Expr, ...] = ()
        if node.args.get("having") is not None:
            having = conjuncts(
                self.having(node.args["having"].this, scope, ctes, outputs, group or (), windows)
            )
        if group is None and (
            any(aggregates(output.expr) for output in outputs) or any(aggregates(e) for e in having)
        ):
            group = ()
        if group is None and having:
            # HAVING without aggregation restricts rows, as WHERE does
            conditions, having = conditions + having, ()
        distinct_arg = node.args.get("distinct")
        if distinct_arg is not None and distinct_arg.args.get("on"):
            raise Unsupported("DISTINCT ON is not MySQL's")
        block = Block(outputs, tree, conditions, group, rollup, having, distinct_arg is not None)
        return self._with_order(block, node, scope, ctes, windows)

    # -------------------------------------------------- the FROM clause

    def from_clause(
        self, first: Expr, joins: Any, scope: _Scope, parent: _Scope | None, ctes: Mapping[str, _Cte]
    ) -> Tree:
        """Sources and joins of a FROM clause, or of parentheses in one; their columns are added to the scope.

        A comma binds less than a JOIN: NATURAL, USING and RIGHT see only the sources between two commas.
        """
        enclosing, scope.star = scope.star, []
        scope.enclosing.append(enclosing)
        tree: Tree | None = None
        group = self.source(first, scope, parent, ctes)
        for node in joins:
            if _is_comma(node):
                tree = cross(tree, group)
                enclosing += scope.star
                scope.star = []
                group = self.source(node.this, scope, parent, ctes)
            else:
                group = self.join(group, node, scope, parent, ctes)
        tree = cross(tree, group)
        assert tree is not None
        scope.star = enclosing + scope.star
        scope.enclosing.pop()
        return tree

    def source(self, node: Expr, scope: _Scope, parent: _Scope | None, ctes: Mapping[str, _Cte]) -> Tree:
        """Resolve one source with the joins that hang on it, and add their columns to the scope."""
        if node.args.get("joins"):
            alone = node.copy()
            alone.set("joins", None)
            return self.from_clause(alone, node.args["joins"], scope, parent, ctes)
        return self._one_source(node, scope, parent, ctes)

    def _one_source(self, node: Expr, scope: _Scope, parent: _Scope | None, ctes: Mapping[str, _Cte]) -> Tree:
        if node.args.get("sample") or node.args.get("pivots"):
            raise Unsupported("TABLESAMPLE and PIVOT are not MySQL's")
        if isinstance(node, exp.Subquery):
            joined = isinstance(node.this, (exp.Table, exp.Lateral))
            if joined or (isinstance(node.this, exp.Subquery) and not node.alias):
                return self.source(node.this, scope, parent, ctes)  # parentheses around joined tables
            # MySQL lets it refer to the queries around its own; next to their sources it is LATERAL then
            query = self.query(node.this, scope.parent, ctes)
            return self._derived(query, node, scope, lateral=bool(outer_references(query)))
        if isinstance(node, exp.Lateral):
            inner = node.this
            query = self.query(inner.this if isinstance(inner, exp.Subquery) else inner, scope, ctes)
            return self._derived(query, node, scope, lateral=True)
        if isinstance(node, exp.Values):
            alias = self.alias()
            opaque = self.values(node, alias)
            self._show(scope, node.alias or alias, alias, opaque.columns)
            return opaque
        if isinstance(node, exp.Table):
            if isinstance(node.this, exp.Values):  # VALUES in parentheses of its own
                rows = node.this.copy()
                rows.set("alias", node.args.get("alias"))
                return self._one_source(rows, scope, parent, ctes)
            if isinstance(node.this, exp.JSONTable):
                return self._json_table(node, scope, ctes)
            if not isinstance(node.this, exp.Identifier):
                raise Unsupported(f"a table function {type(node.this).__name__} is not analysed")
            for argument, what in (("partition", "PARTITION (…)"), ("version", "FOR SYSTEM_TIME")):
                if node.args.get(argument):
                    raise Unsupported(f"{what} on table {node.name} is not analysed")
            if not node.db and node.name.lower() in ctes:
                return self._cte(node, ctes[node.name.lower()], scope)
            return self._table(node, scope)
        raise Unsupported(f"a source of the form {type(node).__name__} is not analysed")

    def _table(self, node: exp.Table, scope: _Scope) -> Tree:
        table = self.catalog.find(node.db or None, node.name, self.default_schema)
        if table is None:
            where = f"`{node.db}`.`{node.name}`" if node.db else f"`{node.name}`"
            raise UnknownTable(f"table {where} is not in the catalog")
        alias = self.alias()
        shown = node.alias or node.name
        names = [c.name for c in table.columns]
        if table.is_view:
            if not table.view_sql:
                raise Unsupported(
                    f"the definition of view {table.full_name} is not visible to this account (GRANT SHOW VIEW)"
                )
            if table.full_name in self.expanding:
                raise Unsupported(f"view {table.full_name} refers to itself")
            self.expanding = (*self.expanding, table.full_name)
            schema, self.default_schema = self.default_schema, table.schema
            view = parse(table.view_sql)
            query = _renamed(self.query(view, None, {}), names)
            self.default_schema, self.expanding = schema, self.expanding[:-1]
            self._show(scope, shown, alias, names, table.schema, (), _computed(query, view))
            return Derived(alias, query)
        not_null = {c.name for c in table.columns if not c.nullable}
        hidden = {c.name for c in table.columns if c.invisible}
        self._show(scope, shown, alias, names, table.schema, not_null, hidden=hidden)
        return Base(alias, table)

    def _cte(self, node: exp.Table, cte: _Cte, scope: _Scope) -> Tree:
        if cte.recursive:
            return self._recursive(node, cte, scope)
        query = self.query(cte.node, None, cte.visible)
        query = _renamed(query, cte.columns) if cte.columns else query
        query = _distinct_names(query)
        alias = self.alias()
        self._show(scope, node.alias or node.name, alias, query.names, None, (), _computed(query, cte.node))
        return Derived(alias, query)

    def _recursive(self, node: exp.Table, cte: _Cte, scope: _Scope) -> Opaque:
        """A recursive CTE: its text as it is, and all rows of the tables that it reads.

        Which rows a step of the recursion adds depends on all that the steps before it added.
        """
        names = cte.columns
        if not names:
            first = cte.node
            while isinstance(first, (exp.SetOperation, exp.Subquery)):
                first = first.this
            names = self.query(first, None, cte.visible).names
        definitions, whole = [], list[Base]()
        for each in _read(cte):
            body = each.node.copy()
            known = {*each.visible, each.name.lower(), *(c.alias.lower() for c in body.find_all(exp.CTE))}
            for table in list(body.find_all(exp.Table)):
                if not isinstance(table.this, exp.Identifier):
                    continue
                if table.db or table.name.lower() not in known:
                    found = self._one_source(table.copy(), _Scope(None), None, {})
                    whole += [replace(b, whole=True) for b in occurrences(_all_of(found))]
                    if not table.db:
                        shown = self.catalog.find(None, table.name, self.default_schema)
                        assert shown is not None
                        table.set("db", exp.Identifier(this=shown.schema, quoted=True))
            columns = [exp.Identifier(this=name, quoted=True) for name in each.columns]
            alias = exp.TableAlias(this=exp.Identifier(this=each.name, quoted=True), columns=columns)
            definitions.append(exp.CTE(this=body, alias=alias))
        text = exp.select("*").from_(exp.Table(this=exp.Identifier(this=cte.name, quoted=True)))
        text.set("with_", exp.With(expressions=definitions, recursive=True))
        alias_name = self.alias()
        self._show(scope, node.alias or node.name, alias_name, names)
        sql = text.sql(dialect=Exact, comments=False)
        return Opaque(alias_name, exp.Table(this=exp.Var(this=f"({sql})")), tuple(names), tuple(whole), text)

    def _derived(self, query: Query, node: Expr, scope: _Scope, lateral: bool) -> Derived:
        alias_node = node.args.get("alias")
        given = [c.name for c in alias_node.args.get("columns") or ()] if alias_node is not None else []
        query = _renamed(query, given) if given else _distinct_names(query)
        alias = self.alias()
        shown, never_null, computed = node.alias or alias, _never_null(query), _computed(query, node)
        self._show(scope, shown, alias, query.names, None, never_null, computed)
        return Derived(alias, query, lateral)

    def _json_table(self, node: exp.Table, scope: _Scope, ctes: Mapping[str, _Cte]) -> Opaque:
        names = [definition.name for definition in node.this.find_all(exp.JSONColumnDef) if definition.name]
        alias = self.alias()
        call = self.expression(node.this, scope, ctes, {}, lateral=True)
        self._show(scope, node.alias or alias, alias, names)
        return Opaque(alias, exp.Table(this=call), tuple(names))

    @staticmethod
    def _show(
        scope: _Scope,
        shown: str,
        alias: str,
        names: Any,
        schema: str | None = None,
        not_null: Collection[str] = (),
        computed: Collection[str] = (),
        hidden: Collection[str] = (),
    ) -> None:
        key = shown.lower()
        if key in scope.sources:
            if scope.schemas.get(key) == schema:
                raise Unsupported(f"the table name {shown!r} stands twice in one FROM clause")
            # the same table name of two schemas: only schema.table.column can tell them apart
            raise Unsupported(f"two tables named {shown!r} of different schemas stand in one FROM clause")
        scope.sources[key] = [name for name in names if name not in hidden]
        if schema is not None:
            scope.schemas[key] = schema
        for name in names:
            expr = column(alias, name)
            if name in not_null:
                expr.meta["not_null"] = True
            if name in computed:
                expr.meta["computed"] = True
            scope.qualified[(key, name.lower())] = expr
            scope.star.append(_Visible(name, expr, key, name in hidden))

    def join(
        self, left: Tree, node: exp.Join, scope: _Scope, parent: _Scope | None, ctes: Mapping[str, _Cte]
    ) -> Tree:
        side, method, kind = node.side.upper(), node.method.upper(), node.kind.upper()
        if (
            side == "FULL"
            or method not in ("", "NATURAL")
            or kind not in ("", "INNER", "CROSS", "OUTER", "STRAIGHT_JOIN", "STRAIGHT")
        ):
            raise Unsupported(f"a {method} {side} {kind} JOIN is not MySQL's".replace("  ", " "))
        before = list(scope.star)
        right = self.source(node.this, scope, parent, ctes)
        after = scope.star[len(before) :]
        using = [identifier.name for identifier in node.args.get("using") or ()]
        if method == "NATURAL":
            theirs = {visible.name.lower() for visible in after if not visible.hidden}
            using = [v.name for v in before if v.name.lower() in theirs and not v.hidden]
        on: list[Expr] = []
        if using:
            on = self._merge(scope, before, after, using, keep_right=side == "RIGHT")
        if node.args.get("on") is not None:
            on += conjuncts(self.expression(node.args["on"], scope, ctes, {}))
        for visible in {"LEFT": after, "RIGHT": before}.get(side, []):
            visible.expr.meta.pop("not_null", None)
        if side == "RIGHT":
            return Join(right, left, tuple(on), left_outer=True)
        return Join(left, right, tuple(on), left_outer=side == "LEFT")

    @staticmethod
    def _merge(
        scope: _Scope, before: list[_Visible], after: list[_Visible], using: list[str], keep_right: bool
    ) -> list[Expr]:
        """Columns that NATURAL and USING join by: one visible column each, first in ``SELECT *``."""
        on: list[Expr] = []
        merged: list[_Visible] = []
        for name in using:
            ours = [visible for visible in before if visible.name.lower() == name.lower()]
            theirs = [visible for visible in after if visible.name.lower() == name.lower()]
            if len(ours) != 1 or len(theirs) != 1:
                raise Unsupported(f"the join column {name!r} is missing on one side or ambiguous")
            if ours[0].hidden or theirs[0].hidden:  # MySQL shows it in SELECT *, and MariaDB does not
                raise Unsupported(f"a join USING the invisible column {name!r} is not analysed")
            on.append(exp.EQ(this=ours[0].expr.copy(), expression=theirs[0].expr.copy()))
            merged.append(_Visible(ours[0].name, (theirs if keep_right else ours)[0].expr, ""))
        names = {visible.name.lower() for visible in merged}
        first, second = (after, before) if keep_right else (before, after)
        scope.star = merged + [v for v in [*first, *second] if v.name.lower() not in names]
        return on

    # -------------------------------------------------- SELECT list, GROUP BY, HAVING, ORDER BY

    def outputs(self, node: exp.Select, scope: _Scope, in_from: Callable[[Expr], Expr]) -> Iterator[Output]:
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
            else:
                name = item.alias if isinstance(item, exp.Alias) else _natural_name(item)
                yield Output(name, in_from(item.this if isinstance(item, exp.Alias) else item))

    def group(
        self,
        node: exp.Select,
        scope: _Scope,
        ctes: Mapping[str, _Cte],
        outputs: tuple[Output, ...],
        in_from: Callable[[Expr], Expr],
    ) -> tuple[tuple[Expr, ...] | None, bool]:
        group = node.args.get("group")
        if group is None:
            return None, False
        items, rollup = list(group.expressions), bool(group.args.get("rollup"))
        if len(items) == 1 and isinstance(items[0], exp.Rollup):
            # GROUP BY ROLLUP (a, b), of MySQL 9, is GROUP BY a, b WITH ROLLUP
            items, rollup = list(items[0].expressions), True
        unknown = ("cube", "grouping_sets", "all")
        if any(group.args.get(name) for name in unknown) or any(isinstance(i, _GROUPINGS) for i in items):
            raise Unsupported("GROUP BY with CUBE or GROUPING SETS is not analysed")
        keys: list[Expr] = []
        for item in items:
            plain = item.this if isinstance(item, exp.Ordered) else item
            position = _position(plain, outputs)
            if position is not None:
                keys.append(with_new_aliases(position, self.alias))
            elif isinstance(plain, exp.Column) and not plain.table and not _shows(scope, plain.name):
                # a column comes before an alias, but an alias before an error that the column is ambiguous
                named = _named(outputs, plain.name)
                keys.append(in_from(plain) if named is None else with_new_aliases(named, self.alias))
            else:
                keys.append(in_from(plain))
        return tuple(keys), rollup

    def having(
        self,
        node: Expr,
        scope: _Scope,
        ctes: Mapping[str, _Cte],
        outputs: tuple[Output, ...],
        keys: tuple[Expr, ...],
        windows: Mapping[str, Expr],
    ) -> Expr:
        def alias(name: str) -> Expr | None:
            # a GROUP BY column comes first, also of a name that is ambiguous in FROM; then the select list; then
            # (MariaDB, and inside aggregates) FROM. MySQL sees no column there that merging made an expression.
            output = _named(outputs, name)
            seen = [key for key in keys if output is None or not key.meta.get("computed")]
            grouped = [k for k in seen if isinstance(k, exp.Column) and k.name.lower() == name.lower()]
            if len(grouped) == 1:
                return grouped[0]
            found = scope.lookup(name, None) if _shows(scope, name) else None
            if found is not None and any(found == key for key in seen):
                return found
            return output

        return self.expression(node, scope, ctes, windows, alias=alias)

    def _with_order(
        self,
        block: Block,
        node: Expr,
        scope: _Scope,
        ctes: Mapping[str, _Cte],
        windows: Mapping[str, Expr] | None = None,
    ) -> Block:
        limit, offset = _number(node.args.get("limit")), _number(node.args.get("offset"))
        order: list[Expr] = []
        if node.args.get("order") is not None:
            for item in node.args["order"].expressions:
                plain = item.this if isinstance(item, exp.Ordered) else item
                desc = isinstance(item, exp.Ordered) and bool(item.args.get("desc"))
                resolved = _position(plain, block.outputs)
                if resolved is None and isinstance(plain, exp.Column) and not plain.table:
                    resolved = _named(block.outputs, plain.name)
                if resolved is None:
                    resolved = self.expression(
                        plain,
                        scope,
                        ctes,
                        windows or {},
                        fallback=lambda name: _named(block.outputs, name),
                    )
                resolved = with_new_aliases(resolved, self.alias)
                order.append(exp.Ordered(this=resolved, desc=desc, nulls_first=not desc))
        return replace(block, order=tuple(order), limit=limit, offset=offset or 0)

    # -------------------------------------------------- expressions

    def expression(
        self,
        node: Expr,
        scope: _Scope,
        ctes: Mapping[str, _Cte],
        windows: Mapping[str, Expr],
        alias: Callable[[str], Expr | None] | None = None,
        fallback: Callable[[str], Expr | None] | None = None,
        lateral: bool = False,
    ) -> Expr:
        """Copy of an expression with its columns resolved and its subqueries as placeholders.

        ``alias`` is asked before the FROM clause for names outside of aggregates, ``fallback`` after it.
        """

        def visit(item: Any, in_aggregate: bool) -> Any:
            if isinstance(item, list):
                return [visit(element, in_aggregate) for element in item]
            if not isinstance(item, exp.Expr):
                return item
            if isinstance(item, exp.Column) and not isinstance(item.this, exp.Star):
                return self._column(item, scope, None if in_aggregate else alias, fallback)
            if isinstance(item, exp.Column):
                return item.copy()
            if isinstance(item, (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)):
                if isinstance(item, exp.Subquery) and not isinstance(item.this, (exp.Query, exp.Table)):
                    return visit(item.this, in_aggregate)
                return subquery(_distinct_names(self.query(item, scope, ctes)))
            if isinstance(item, exp.Window):
                item = _window(item, windows)
            if isinstance(item, exp.Anonymous) and str(item.this).upper() in _QUANTIFIERS:
                # sqlglot reads EXISTS ((SELECT …) UNION (SELECT …)) as the call of a function
                return _QUANTIFIERS[str(item.this).upper()](this=visit(item.expressions[0], in_aggregate))
            _refuse_stored(item)
            aggregate = in_aggregate or is_aggregate(item)
            return type(item)(**{key: visit(value, aggregate) for key, value in item.args.items()})

        result: Expr = visit(node, False)
        return result

    def _column(
        self,
        item: exp.Column,
        scope: _Scope,
        alias: Callable[[str], Expr | None] | None,
        fallback: Callable[[str], Expr | None] | None,
    ) -> Expr:
        name, table = item.name, item.table or None
        if table is None and alias is not None:
            found = alias(name)
            if found is not None:
                return self._wrapped(found)
        at: _Scope | None = scope
        while at is not None:
            found = at.lookup(name, table)
            if found is not None and item.db and at.schemas.get((table or "").lower(), item.db) != item.db:
                raise Unsupported(f"column {item.sql('mysql')} names another schema than its table")
            if found is None and at is scope and table is None and fallback is not None:
                found = fallback(name)
            if found is not None:
                return self._wrapped(found)
            at = at.parent
        raise Unsupported(f"column {item.sql('mysql')!r} is in none of the tables that it could refer to")

    def _wrapped(self, found: Expr) -> Expr:
        """A copy of what a name stands for, to stand in its place."""
        copied = with_new_aliases(found, self.alias)
        return copied if isinstance(copied, (exp.Column, exp.Literal, exp.Func)) else exp.Paren(this=copied)


def _equal_rows(row: Block, other: Block) -> Block:
    """The rows of one block that equal a row of another one, NULL for NULL."""
    equal = (same(x.expr, y.expr) for x, y in zip(row.outputs, other.outputs, strict=True))
    return Block((Output("one", exp.Literal.number(1)),), other.tree, (*other.where, *equal))


def _read(cte: _Cte) -> list[_Cte]:
    """A CTE, after those that it reads, itself or through others; MySQL does not look into the rest."""
    found: dict[str, _Cte] = {}

    def visit(each: _Cte) -> None:
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


def _never_null(query: Query) -> set[str]:
    """Outputs that are columns which cannot be NULL."""
    if isinstance(query, Union) or query.rollup:
        return set()
    return {output.name for output in query.outputs if output.expr.meta.get("not_null")}


def _computed(query: Query, node: Expr) -> set[str]:
    """Outputs of a derived table that are expressions once MySQL has merged it into the query around it."""
    while isinstance(node, (exp.Lateral, exp.Subquery)):
        node = node.this
    if (
        isinstance(query, Union)
        or query.tree is None
        or query.group is not None
        or query.distinct
        or query.limit is not None
        or node.args.get("having") is not None
        or any(has_window(expression) for expression in block_expressions(query))
        or any(outer_references(inner) for output in query.outputs for inner in subqueries(output.expr))
    ):
        return set()  # it is not merged
    return {
        output.name
        for output in query.outputs
        if not isinstance(output.expr.unnest(), exp.Column) or output.expr.unnest().meta.get("computed")
    }


_GROUPINGS = (exp.Rollup, exp.Cube, exp.GroupingSets)
_QUANTIFIERS = {"EXISTS": exp.Exists, "ANY": exp.Any, "SOME": exp.Any, "ALL": exp.All}


def _refuse_stored(item: Expr) -> None:
    """Raise for the call of a stored function: what it reads cannot be told from the statement."""
    if isinstance(item, exp.Dot):
        raise Unsupported(
            f"what the stored function {item.sql('mysql')} reads cannot be told from the statement"
        )
    if isinstance(item, exp.Anonymous) and str(item.this).upper() not in SERVER_FUNCTIONS:
        raise Unsupported(
            f"{item.this} is no function of the server's own, and what a stored one reads cannot be told from the "
            "statement"
        )


def _shows(scope: _Scope, name: str) -> bool:
    return sum(visible.name.lower() == name.lower() for visible in scope.star) == 1


def _window(item: exp.Window, windows: Mapping[str, Expr]) -> exp.Window:
    """A window with the named window that it refers to filled in."""
    named = item.args.get("alias")
    if named is None:
        return item
    definition = windows.get(named.name.lower())
    if definition is None:
        raise Unsupported(f"the window {named.name!r} is not defined")
    merged: exp.Window = item.copy()
    merged.set("alias", None)
    for argument in ("partition_by", "order", "spec"):
        if merged.args.get(argument) is None and definition.args.get(argument) is not None:
            value = definition.args[argument]
            merged.set(argument, [v.copy() for v in value] if isinstance(value, list) else value.copy())
    if definition.args.get("alias") is not None:
        merged.set("alias", definition.args["alias"].copy())
        return _window(merged, windows)
    return merged


def _natural_name(item: Expr) -> str:
    if isinstance(item, exp.Column):
        return item.name
    name: str = item.sql(dialect="mysql", comments=False)
    return name[:64].strip() or "column"


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
    if isinstance(value, exp.Literal) and not value.is_string and str(value.this).isdigit():
        return int(value.this)
    raise Unsupported("LIMIT or OFFSET is not a plain number")


def _all_of(tree: Tree) -> Block:
    """A query that reads a source, to walk through it."""
    return Block((), tree)


def _is_comma(node: exp.Join) -> bool:
    return not any(node.args.get(word) for word in ("on", "using", "method", "side", "kind"))


def _is_dual(node: Expr) -> bool:
    return isinstance(node, exp.Table) and not node.db and node.name.lower() == "dual"


def _distinct_names(query: Query) -> Query:
    """The same query with output names that differ (as a derived table needs)."""
    seen: dict[str, int] = {}
    names = []
    for name in query.names:
        key = name.lower()
        seen[key] = seen.get(key, 0) + 1
        names.append(name if seen[key] == 1 else f"{name}~{seen[key]}")
    return query if tuple(names) == query.names else _renamed(query, names)


def _renamed(query: Query, names: Collection[str]) -> Query:
    if len(names) != len(query.names):
        raise Unsupported(f"{len(names)} column names are given for {len(query.names)} columns")
    return with_names(query, names)
