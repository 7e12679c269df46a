"""A reference for minimality: the rules of docs/semantics.md, evaluated by definition on lists.

In: rows as lists of Python values, and statements as trees of a small algebra of its own. Out: for each table the
set of its rows that a slice must hold. It reads no SQL, asks no server and imports nothing of the project: nested
loops and three-valued logic. A rule becomes implications "if the slice holds these rows, then also those", all of them
found in the whole database; `Reference.slice` closes the demanded rows under them.

Demand, closure and negative witnesses are three parts of `Reference`, in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

# ---------------------------------------------------------------- the algebra


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a source, by the alias of the source; aliases differ in the whole statement."""

    source: str
    name: str


@dataclass(frozen=True, eq=False)
class Value:
    """A constant; ``sql`` is its literal."""

    value: Any
    sql: str


@dataclass(frozen=True, eq=False)
class Aggregate:
    """``function`` is count, count distinct, min, max or sum; ``of`` None counts rows."""

    function: str
    of: Column | None = None


@dataclass(frozen=True, eq=False)
class Scalar:
    """The value of a subquery of at most one row."""

    query: Query


@dataclass(frozen=True, eq=False)
class Compare:
    """``op`` is =, <>, <, <=, >, >=."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True, eq=False)
class IsNull:
    of: Expression


@dataclass(frozen=True, eq=False)
class IsTruth:
    """``(of) IS TRUE``, ``IS FALSE`` or ``IS UNKNOWN`` (None)."""

    of: Condition
    truth: bool | None


@dataclass(frozen=True, eq=False)
class Not:
    of: Condition


@dataclass(frozen=True, eq=False)
class And:
    of: tuple[Condition, ...]


@dataclass(frozen=True, eq=False)
class Or:
    of: tuple[Condition, ...]


@dataclass(frozen=True, eq=False)
class Exists:
    query: Query


@dataclass(frozen=True, eq=False)
class In:
    left: Expression
    query: Query


@dataclass(frozen=True, eq=False)
class All:
    """``left op ALL (query)``."""

    op: str
    left: Expression
    query: Query


@dataclass(frozen=True, eq=False)
class Base:
    alias: str
    table: str


@dataclass(frozen=True, eq=False)
class Derived:
    alias: str
    query: Query


@dataclass(frozen=True, eq=False)
class Join:
    """An inner join, or with ``outer`` a LEFT JOIN."""

    left: Source
    right: Source
    on: tuple[Condition, ...] = ()
    outer: bool = False


@dataclass(frozen=True, eq=False)
class Select:
    """One SELECT. ``group`` is None without aggregation, () for an aggregate over all rows."""

    outputs: tuple[tuple[str, Expression], ...]
    source: Source | None = None
    where: tuple[Condition, ...] = ()
    group: tuple[Column, ...] | None = None
    having: tuple[Condition, ...] = ()
    distinct: bool = False
    order: tuple[tuple[Expression, bool], ...] = ()  # and whether it descends
    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True, eq=False)
class Union:
    branches: tuple[Query, ...]
    distinct: bool = True


Expression: TypeAlias = "Column | Value | Aggregate | Scalar"
Condition: TypeAlias = "Compare | IsNull | IsTruth | Not | And | Or | Exists | In | All"
Source: TypeAlias = "Base | Derived | Join"
Query: TypeAlias = "Select | Union"
Row: TypeAlias = "tuple[str, int]"  # a row of a table, by its place in the list
Env: TypeAlias = "dict[str, dict[str, Any]]"  # by alias, the values of the current row


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key of the database: the child's columns hold values of the parent's."""

    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    part: bool = False  # the child is a part of the parent


@dataclass(frozen=True)
class Database:
    """Tables with their primary keys (() for none), rows, and foreign keys."""

    keys: dict[str, tuple[str, ...]]
    rows: dict[str, list[dict[str, Any]]]
    references: tuple[ForeignKey, ...] = ()


@dataclass(frozen=True)
class Statement:
    """A query; with ``exists`` it is ``SELECT EXISTS (query)`` of kind exists, which needs one row of it."""

    query: Query
    exists: bool = False


# ---------------------------------------------------------------- walking


def walk(node: Any) -> Iterator[Any]:
    """All nodes of a tree."""
    if isinstance(node, tuple):
        for item in node:
            yield from walk(item)
    elif is_dataclass(node):
        yield node
        for field in fields(node):
            yield from walk(getattr(node, field.name))


def rebuilt(node: Any, change: Callable[[Any], Any]) -> Any:
    """The tree with each node replaced by what ``change`` makes of it, leaves first."""
    if isinstance(node, tuple):
        return tuple(rebuilt(item, change) for item in node)
    if is_dataclass(node) and not isinstance(node, type):
        changed = {f.name: rebuilt(getattr(node, f.name), change) for f in fields(node)}
        return change(type(node)(**changed))
    return node


@lru_cache(10_000)
def correlated(query: Query) -> bool:
    """True for a query that refers to a source outside of it."""
    nodes = list(walk(query))
    known = {node.alias for node in nodes if isinstance(node, (Base, Derived))}
    return any(isinstance(node, Column) and node.source not in known for node in nodes)


def sources(source: Source | None) -> list[Base | Derived]:
    if source is None:
        return []
    return sources(source.left) + sources(source.right) if isinstance(source, Join) else [source]


def joins(source: Source | None) -> list[Join]:
    return [*joins(source.left), *joins(source.right), source] if isinstance(source, Join) else []


def expressions(select: Select) -> list[Any]:
    """What stands in a SELECT itself, its derived tables apart."""
    return [
        *(on for join in joins(select.source) for on in join.on),
        *select.where,
        *(select.group or ()),
        *select.having,
        *(expression for _, expression in select.outputs),
        *(expression for expression, _ in select.order),
    ]


def aggregates(expression: Any) -> bool:
    """True where an expression aggregates, the subqueries in it apart."""
    if isinstance(expression, tuple):
        return any(aggregates(item) for item in expression)
    if isinstance(expression, (Select, Union)) or not is_dataclass(expression):
        return False
    if isinstance(expression, Aggregate):
        return True
    return any(aggregates(getattr(expression, field.name)) for field in fields(expression))


@lru_cache(10_000)
def has_subquery(expression: Any) -> bool:
    return any(isinstance(node, (Select, Union)) for node in walk(expression))


def plain(query: Query) -> bool:
    """True for a SELECT that makes one row (or, with DISTINCT, value) of each row that it reads."""
    return isinstance(query, Select) and query.group is None and query.limit is None


def branches(query: Query) -> list[Select]:
    return [b for branch in query.branches for b in branches(branch)] if isinstance(query, Union) else [query]


# ---------------------------------------------------------------- blocks


def blocks(query: Query) -> Query:
    """The query with its SELECTs put together to the blocks that the rules are about.

    A derived table that only selects columns is part of the SELECT around it, unless a LEFT JOIN fills it with NULLs.
    A condition in HAVING about columns of GROUP BY alone is one of WHERE, an ON condition with a subquery one of the
    WHERE or of the LEFT JOIN around it. The ANDs of a condition are conditions of their own.
    """
    result: Query = rebuilt(query, lambda node: _block(node) if isinstance(node, Select) else node)
    return result


def _conjuncts(conditions: Iterable[Condition]) -> Iterator[Condition]:
    for condition in conditions:
        if isinstance(condition, And):
            yield from _conjuncts(condition.of)
        else:
            yield condition


def _block(select: Select) -> Select:
    where, having = list(_conjuncts(select.where)), list(_conjuncts(select.having))
    if select.group:
        moved = [c for c in having if not aggregates(c) and not has_subquery(c)]
        where, having = where + moved, [c for c in having if c not in moved]
    source, lifted = (None, []) if select.source is None else _lifted(select.source)
    select = replace(select, source=source, where=(*where, *lifted), having=tuple(having))
    filled = {s.alias for join in joins(source) if join.outer for s in sources(join.right)}
    for inner in sources(source):
        if isinstance(inner, Derived) and inner.alias not in filled and _only_selects(inner.query):
            select = _merged(select, inner)
    return select


def _lifted(source: Source) -> tuple[Source, list[Condition]]:
    if not isinstance(source, Join):
        return source, []
    left, of_left = _lifted(source.left)
    right, of_right = _lifted(source.right)
    on = list(_conjuncts(source.on))
    if source.outer:
        return Join(left, right, (*on, *of_right), True), of_left
    own = [c for c in on if has_subquery(c)]
    return Join(left, right, tuple(c for c in on if c not in own)), [*of_left, *of_right, *own]


def _only_selects(query: Query) -> bool:
    return (
        isinstance(query, Select)
        and plain(query)
        and query.source is not None
        and not query.distinct
        and not correlated(query)
        and all(isinstance(expression, Column) for _, expression in query.outputs)
    )


def _merged(select: Select, derived: Derived) -> Select:
    inner = derived.query
    assert isinstance(inner, Select)
    shown = dict(inner.outputs)

    def change(node: Any) -> Any:
        if isinstance(node, Column) and node.source == derived.alias:
            return shown[node.name]
        return inner.source if isinstance(node, Derived) and node.alias == derived.alias else node

    outer: Select = rebuilt(select, change)
    return replace(outer, where=inner.where + outer.where)


# ---------------------------------------------------------------- subqueries in conditions


@dataclass(frozen=True)
class Subquery:
    """A subquery in an expression.

    ``polarity``: "+" where more rows of it can only make the expression true, "-" where they can only make it not
    true, "~" where both is possible, or all rows that it could read are taken for a row. ``stands`` is the polarity
    of its place alone.
    """

    node: Any
    polarity: str
    stands: str

    @property
    def query(self) -> Query:
        query: Query = self.node.query
        return query

    @property
    def alone(self) -> bool:
        """A scalar subquery that is not correlated: its value is demanded for itself."""
        return isinstance(self.node, Scalar) and not correlated(self.query)


_TURNED = {"+": "-", "-": "+", "~": "~"}


@lru_cache(10_000)
def subqueries(node: Any) -> tuple[Subquery, ...]:
    """The subqueries that stand directly in an expression."""
    return tuple(_subqueries(node, "+"))


def _subqueries(node: Any, polarity: str) -> Iterator[Subquery]:
    if isinstance(node, tuple):
        for item in node:
            yield from _subqueries(item, polarity)
    elif isinstance(node, (And, Or)):
        yield from _subqueries(node.of, polarity)
    elif isinstance(node, Not):
        yield from _subqueries(node.of, _TURNED[polarity])
    elif isinstance(node, (Exists, In, All)):
        if not isinstance(node, Exists):
            yield from _subqueries(node.left, "~")
        own = _TURNED[polarity] if isinstance(node, All) else polarity
        simple = all(plain(branch) for branch in branches(node.query))
        yield Subquery(node, own if simple or not correlated(node.query) else "~", own)
    elif isinstance(node, Scalar):
        yield Subquery(node, "~", "~")
    elif is_dataclass(node):
        for field in fields(node):
            yield from _subqueries(getattr(node, field.name), "~")


@lru_cache(10_000)
def stable(condition: Condition) -> bool:
    """True for a condition that leaving rows out cannot turn true."""
    return all(subquery.polarity == "+" for subquery in subqueries(condition))


# ---------------------------------------------------------------- evaluation


@dataclass(frozen=True)
class Derivation:
    """Rows that a result row can be made of: those of the FROM clause in order (None: filled with NULLs), and all
    rows that must be there for it, which are these and the rows that make its subqueries true."""

    made: tuple[Row | None, ...]
    needed: frozenset[Row]

    @property
    def rows(self) -> frozenset[Row]:
        return frozenset(row for row in self.made if row is not None)


@dataclass
class Out:
    """A row of a result, and each way to derive it."""

    values: dict[str, Any]
    derivations: list[Derivation]
    order: tuple[Any, ...] = ()


@dataclass
class Joined:
    """A row of a FROM clause."""

    env: Env
    derivations: list[Derivation]


class _Nulls(dict[str, Any]):
    def __missing__(self, key: str) -> None:
        return None


Implication: TypeAlias = "tuple[frozenset[Row], frozenset[Row]]"
NOTHING: frozenset[Row] = frozenset()


def negated(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def compared(op: str, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    result: bool = {
        "=": lambda: left == right,
        "<>": lambda: left != right,
        "<": lambda: left < right,
        "<=": lambda: left <= right,
        ">": lambda: left > right,
        ">=": lambda: left >= right,
    }[op]()
    return result


def ordinal(value: Any) -> tuple[Any, ...]:
    """NULL before all values."""
    return (0,) if value is None else (1, value)


class _Descending:
    def __init__(self, value: tuple[Any, ...]) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        return other.value < self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and other.value == self.value


class Evaluation:
    """Values of queries and conditions over a database, with the derivations of each result row."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.known: dict[int, tuple[Query, list[Out]]] = {}

    # -------------------------------------------------- expressions

    def value(self, node: Any, env: Env, group: Sequence[Env] | None = None) -> Any:
        if isinstance(node, Column):
            return env[node.source][node.name]
        if isinstance(node, Value):
            return node.value
        if isinstance(node, Aggregate):
            assert group is not None
            return self.aggregate(node, group)
        assert isinstance(node, Scalar), node
        found = self.result(node.query, env)
        assert len(found) <= 1, "a scalar subquery of several rows"
        return next(iter(found[0].values.values())) if found else None

    def aggregate(self, node: Aggregate, group: Sequence[Env]) -> Any:
        if node.of is None:
            return len(group)
        values = [v for env in group if (v := self.value(node.of, env)) is not None]
        if node.function == "count":
            return len(values)
        if node.function == "count distinct":
            return len(set(values))
        return {"min": min, "max": max, "sum": sum}[node.function](values) if values else None

    def truth(self, node: Any, env: Env, group: Sequence[Env] | None = None) -> bool | None:
        if isinstance(node, Compare):
            return compared(node.op, self.value(node.left, env, group), self.value(node.right, env, group))
        if isinstance(node, IsNull):
            return self.value(node.of, env, group) is None
        if isinstance(node, IsTruth):
            return self.truth(node.of, env, group) is node.truth
        if isinstance(node, Not):
            return negated(self.truth(node.of, env, group))
        if isinstance(node, (And, Or)):
            found = {self.truth(item, env, group) for item in node.of}
            decides = isinstance(node, Or)
            return decides if decides in found else None if None in found else not decides
        if isinstance(node, Exists):
            return bool(self.result(node.query, env))
        left = self.value(node.left, env, group)
        outs = self.result(node.query, env)
        if isinstance(node, In):
            return self._any(compared("=", left, next(iter(out.values.values()))) for out in outs)
        assert isinstance(node, All), node
        every = (negated(compared(node.op, left, next(iter(out.values.values())))) for out in outs)
        return negated(self._any(every))

    @staticmethod
    def _any(truths: Iterable[bool | None]) -> bool | None:
        found = set(truths)
        return True if True in found else None if None in found else False

    # -------------------------------------------------- queries

    def result(self, query: Query, env: Env) -> list[Out]:
        """The rows that a query returns."""
        outs = self.demanded(query, env)
        return outs[query.offset :] if isinstance(query, Select) else outs

    def demanded(self, query: Query, env: Env) -> list[Out]:
        """The rows that it returns and, with LIMIT, those before them."""
        if correlated(query):
            return self._outs(query, env)
        if id(query) not in self.known:
            self.known[id(query)] = (query, self._outs(query, {}))  # the query, so that its id stays its own
        return self.known[id(query)][1]

    def _outs(self, query: Query, env: Env) -> list[Out]:
        if isinstance(query, Union):
            return self._union(query, env)
        passing = [
            joined
            for joined in self.joined(query.source, env)
            if all(self.truth(condition, joined.env) is True for condition in query.where)
        ]
        groups = (
            [[joined] for joined in passing] if query.group is None else self._groups(query, passing, env)
        )
        outs = []
        for group in groups:
            first = group[0].env if group else env
            envs = None if query.group is None else [joined.env for joined in group]
            if not all(self.truth(condition, first, envs) is True for condition in query.having):
                continue
            values = {name: self.value(e, first, envs) for name, e in query.outputs}
            order = tuple(
                _Descending(ordinal(self.value(e, first, envs)))
                if descending
                else ordinal(self.value(e, first, envs))
                for e, descending in query.order
            )
            outs.append(Out(values, self.derivations(query, group), order))
        if query.distinct:
            outs = _each_once(outs)
        if query.limit is None:
            return outs
        return sorted(outs, key=lambda out: out.order)[: query.offset + query.limit]

    def _groups(self, select: Select, rows: list[Joined], env: Env) -> list[list[Joined]]:
        if not select.group:
            return [rows]
        found: dict[tuple[Any, ...], list[Joined]] = {}
        for joined in rows:
            found.setdefault(self.group_key(select, joined.env), []).append(joined)
        return list(found.values())

    def group_key(self, select: Select, env: Env) -> tuple[Any, ...]:
        return tuple(self.value(column, env) for column in select.group or ())

    def derivations(self, select: Select, group: Iterable[Joined]) -> list[Derivation]:
        """Of each row of the group, with the rows that its subqueries need."""
        found = []
        for joined in group:
            extra = self.behind_subqueries(expressions(select), joined.env)
            found += [Derivation(d.made, d.needed | extra) for d in joined.derivations]
        return found or [Derivation((None,) * width(select), NOTHING)]

    def _union(self, union: Union, env: Env) -> list[Out]:
        widths = [width(branch) for branch in union.branches]
        names = [name for name, _ in branches(union)[0].outputs]
        outs = []
        for i, branch in enumerate(union.branches):
            before, after = (None,) * sum(widths[:i]), (None,) * sum(widths[i + 1 :])
            for out in self.demanded(branch, env):
                made = [Derivation((*before, *d.made, *after), d.needed) for d in out.derivations]
                outs.append(Out(dict(zip(names, out.values.values(), strict=True)), made))
        return _each_once(outs) if union.distinct else outs

    def joined(self, source: Source | None, env: Env) -> list[Joined]:
        """The rows of a FROM clause."""
        if source is None:
            return [Joined(env, [Derivation((), NOTHING)])]
        if isinstance(source, Base):
            return [
                Joined({**env, source.alias: row}, [Derivation((row_,), frozenset([row_]))])
                for row_, row in self.table(source.table)
            ]
        if isinstance(source, Derived):
            return [
                Joined({**env, source.alias: out.values}, out.derivations)
                for out in self.result(source.query, env)
            ]
        found = []
        for left in self.joined(source.left, env):
            matches = self.matches(source, left)
            if source.outer and not matches:
                matches = [self.filled(source.right, left)]
            found += matches
        return found

    def matches(self, join: Join, left: Joined) -> list[Joined]:
        """What a row of the left side is joined with."""
        both = (
            Joined(right.env, crossed(left.derivations, right.derivations))
            for right in self.joined(join.right, left.env)
        )
        return [row for row in both if all(self.truth(on, row.env) is True for on in join.on)]

    def filled(self, source: Source, left: Joined) -> Joined:
        """NULLs in place of a match."""
        env = {**left.env, **{s.alias: _Nulls() for s in sources(source)}}
        return Joined(env, crossed(left.derivations, [Derivation((None,) * width_of(source), NOTHING)]))

    def table(self, name: str) -> Iterator[tuple[Row, dict[str, Any]]]:
        for index, row in enumerate(self.database.rows[name]):
            yield (name, index), row

    # -------------------------------------------------- rows behind subqueries

    def behind_subqueries(self, nodes: Iterable[Any], env: Env) -> frozenset[Row]:
        """The rows that make subqueries true, or that their values are computed from, negated ones apart."""
        found: frozenset[Row] = NOTHING
        for node in nodes:
            for subquery in subqueries(node):
                if subquery.polarity != "-" and not subquery.alone:
                    found |= self.behind(subquery, env)
        return found

    def behind(self, subquery: Subquery, env: Env) -> frozenset[Row]:
        found: frozenset[Row] = NOTHING
        for branch in branches(subquery.query):
            for derivation in self.mattering(subquery, branch, env):
                found |= derivation.needed
        return found

    def mattering(self, subquery: Subquery, branch: Select, env: Env) -> list[Derivation]:
        """The derivations of a branch of a subquery that matter for a row of the query around it."""
        if not plain(branch) and correlated(branch):
            rows = [
                joined
                for joined in self.joined(branch.source, env)
                if all(self.truth(condition, joined.env) is True for condition in branch.where)
            ]
            return self.derivations(branch, rows)
        return [
            derivation
            for out in self.demanded(branch, env)
            if self._matters(subquery, next(iter(out.values.values())), env)
            for derivation in out.derivations
        ]

    def _matters(self, subquery: Subquery, value: Any, env: Env) -> bool:
        node = subquery.node
        if isinstance(node, (Exists, Scalar)) or aggregates(node.left):
            return True
        left = self.value(node.left, env)
        if isinstance(node, In):
            equal = compared("=", left, value)
            return equal is True if subquery.stands == "+" else equal is not False
        holds = compared(node.op, left, value)
        return holds is False if subquery.stands == "+" else holds is not True


def width(query: Query) -> int:
    """How many occurrences of tables the rows of a query are made of."""
    return sum(width_of(branch.source) for branch in branches(query))


def width_of(source: Source | None) -> int:
    return sum(width(s.query) if isinstance(s, Derived) else 1 for s in sources(source))


def crossed(left: Sequence[Derivation], right: Sequence[Derivation]) -> list[Derivation]:
    return [Derivation(a.made + b.made, a.needed | b.needed) for a in left for b in right]


def _each_once(outs: Iterable[Out]) -> list[Out]:
    found: dict[tuple[Any, ...], Out] = {}
    for out in outs:
        values = tuple(out.values.values())
        if values in found:
            found[values].derivations.extend(out.derivations)
        else:
            found[values] = replace(out, derivations=list(out.derivations))
    return list(found.values())


# ---------------------------------------------------------------- the slice


class Reference:
    """The slice of a database that statements need, by definition."""

    def __init__(self, database: Database, statements: Iterable[Statement], parts: str = "all") -> None:
        self.database = database
        self.evaluation = Evaluation(database)
        self.parts = parts
        self.start: frozenset[Row] = NOTHING
        self.implications: list[Implication] = list(self.closure())
        for statement in statements:
            query = blocks(statement.query)
            if statement.exists:
                query = self.first(query)
            self.demand(query)
            self.implications += self.rules(query, True)
            for inner in alone(query):
                self.demand(inner)
                self.implications += self.rules(inner, True)

    def slice(self) -> dict[str, set[int]]:
        """For each table the places of its rows in the slice: the least fixpoint."""
        rows, left = self.start, self.implications
        while True:
            met = [then for given, then in left if given <= rows]
            left = [(given, then) for given, then in left if not given <= rows]
            more = rows.union(*met)
            if more == rows:
                break
            rows = more
        return {name: {index for table, index in rows if table == name} for name in self.database.keys}

    # -------------------------------------------------- demand

    def demand(self, query: Query) -> None:
        """All rows behind the result; tables without a key that they could be of, as wholes."""
        for out in self.evaluation.demanded(query, {}):
            for derivation in out.derivations:
                self.start |= derivation.needed
        for name in demanded_tables(query):
            if not self.database.keys[name]:
                self.start |= {row for row, _ in self.evaluation.table(name)}

    def first(self, query: Query) -> Query:
        """The first row of a query by the keys of what it reads: one is enough for EXISTS."""
        assert isinstance(query, Select) and query.limit is None
        if query.group == ():
            return query
        if query.group is None:
            keys = [
                Column(source.alias, name)
                for source in sources(query.source)
                for name in self._identity(source)
            ]
        else:
            keys = list(query.group)
        return replace(
            query,
            outputs=tuple((f"k{i}", key) for i, key in enumerate(keys)),
            distinct=False,
            order=tuple((key, False) for key in keys),
            limit=1,
        )

    def _identity(self, source: Base | Derived) -> tuple[str, ...]:
        assert isinstance(source, Base)
        return self.database.keys[source.table]

    # -------------------------------------------------- closure

    def closure(self) -> Iterator[Implication]:
        """Parents, parts, and of a table without a key one row brings all."""
        for fk in self.database.references:
            parents = list(self.evaluation.table(fk.parent))
            for child, row in self.evaluation.table(fk.child):
                values = [row[c] for c in fk.columns]
                if None in values:
                    continue
                for parent, other in parents:
                    if [other[c] for c in fk.parent_columns] == values:
                        yield frozenset([child]), frozenset([parent])
                        if fk.part and self.parts == "all":
                            yield frozenset([parent]), frozenset([child])
        for name, key in self.database.keys.items():
            if not key:
                rows = [row for row, _ in self.evaluation.table(name)]
                yield from ((frozenset([row]), frozenset(rows)) for row in rows)

    # -------------------------------------------------- negative witnesses

    def rules(self, query: Query, root: bool) -> Iterator[Implication]:
        """The rules of a query that is not correlated and of all in it; ``root``: all its rows are demanded."""
        yield from self.query_rules(query, root, {}, [NOTHING])
        yield from self.inside(query, root)

    def inside(self, query: Query, root: bool) -> Iterator[Implication]:
        """The rules of derived tables and of subqueries that are not correlated: they hold by themselves."""
        for select in branches(query):
            for source in sources(select.source):
                if isinstance(source, Derived):
                    limited = isinstance(source.query, Select) and source.query.limit is not None
                    picks = (
                        select.source is not source
                        or select.where
                        or select.having
                        or select.limit is not None
                    )
                    yield from self.rules(source.query, limited or (root and not picks))
            for subquery in all_subqueries(select):
                if correlated(subquery.query):
                    yield from self.inside(subquery.query, False)
                else:
                    yield from self.rules(subquery.query, subquery.alone)

    def query_rules(
        self, query: Query, root: bool, env: Env, given: list[frozenset[Row]]
    ) -> Iterator[Implication]:
        """The rules of a query and of its correlated subqueries, for one row of the queries around it.

        ``given``: the ways in which the slice can hold that row.
        """
        for select in branches(query):
            held = self.held(select, env, given)
            for joined, ways in held:
                then = self.of_conditions(select, root, joined.env)
                yield from ((way, then) for way in ways)
                for subquery in all_subqueries(replace(select, source=None)):
                    if correlated(subquery.query):
                        yield from self.query_rules(subquery.query, False, joined.env, ways)
            yield from self.of_left_joins(select, env, given)
            yield from self.of_groups(select, root, held)

    def held(
        self, select: Select, env: Env, given: list[frozenset[Row]]
    ) -> list[tuple[Joined, list[frozenset[Row]]]]:
        """Rows of the FROM clause that pass all stable conditions, and the ways in which the slice can hold them."""
        evaluation = self.evaluation
        return [
            (joined, [way | d.rows for way in given for d in joined.derivations])
            for joined in evaluation.joined(select.source, env)
            if all(evaluation.truth(c, joined.env) is True for c in select.where if stable(c))
        ]

    def of_conditions(self, select: Select, root: bool, env: Env) -> frozenset[Row]:
        """What must come along with a row of the FROM clause so that its conditions are decided as they are."""
        evaluation = self.evaluation
        then = self.of_condition(select.where, env)
        others: list[Any] = [*(select.group or ())]
        if not root or select.limit is not None:
            others += [*(e for _, e in select.outputs), *(e for e, _ in select.order)]
        for node, also_true in [*((n, True) for n in others), *((n, False) for n in select.having)]:
            for subquery in subqueries(node):
                if not subquery.alone and (also_true or subquery.polarity != "+"):
                    then |= evaluation.behind(subquery, env)
        return then

    def of_condition(self, conditions: Iterable[Condition], env: Env) -> frozenset[Row]:
        then: frozenset[Row] = NOTHING
        for condition in conditions:
            for subquery in subqueries(condition):
                if subquery.polarity == "-" and self.evaluation.truth(condition, env) is not True:
                    then |= self.rejecting(subquery, env)
                elif subquery.polarity == "~" and not subquery.alone:
                    then |= self.evaluation.behind(subquery, env)
        return then

    def rejecting(self, subquery: Subquery, env: Env) -> frozenset[Row]:
        """Of each branch the first row by key that the condition fails by; of one that groups or limits, all."""
        then: frozenset[Row] = NOTHING
        for branch in branches(subquery.query):
            found = self.evaluation.mattering(subquery, branch, env)
            if found and plain(branch):
                found = self.first_of(found)
            then = then.union(*(d.needed for d in found))
        return then

    def first_of(self, derivations: Iterable[Derivation]) -> list[Derivation]:
        """The first by key, with all that is needed for it."""
        found = sorted(derivations, key=lambda d: self.place(d.made))
        return [d for d in found if d.made == found[0].made]

    def place(self, made: Sequence[Row | None]) -> tuple[Any, ...]:
        return tuple((0,) if row is None else (1, *self.key_of(row)) for row in made)

    def key_of(self, row: Row) -> tuple[Any, ...]:
        name, index = row
        values = self.database.rows[name][index]
        return tuple(ordinal(values[c]) for c in self.database.keys[name] or values)

    def of_left_joins(self, select: Select, env: Env, given: list[frozenset[Row]]) -> Iterator[Implication]:
        for join in joins(select.source):
            if join.outer:
                yield from self.matched(select, join, env, given)
                yield from self.not_matched(select, join, env, given)

    def matched(
        self, select: Select, join: Join, env: Env, given: list[frozenset[Row]]
    ) -> Iterator[Implication]:
        """The first match of a row that would pass the conditions with NULLs in its place."""
        evaluation = self.evaluation
        on = [condition for each in (*joins(join.right), join) for condition in each.on]
        for left in evaluation.joined(join.left, env):
            with_nulls = evaluation.filled(join.right, left).env
            if not self.passes(select, join, with_nulls):
                continue
            matches = [
                Derivation(d.made, d.needed | evaluation.behind_subqueries(on, right.env))
                for right in evaluation.joined(join.right, left.env)
                if all(evaluation.truth(condition, right.env) is True for condition in join.on)
                for d in right.derivations
            ]
            if matches:
                then = NOTHING.union(*(d.needed for d in self.first_of(matches)))
                yield from ((way | kept.rows, then) for way in given for kept in left.derivations)

    def not_matched(
        self, select: Select, join: Join, env: Env, given: list[frozenset[Row]]
    ) -> Iterator[Implication]:
        """What ON rejects a pair of rows by, and the rules of its correlated subqueries for the pair."""
        evaluation = self.evaluation
        if not any(has_subquery(condition) for condition in join.on):
            return
        for left in evaluation.joined(join.left, env):
            if not self.passes(select, join, left.env):
                continue
            for right in evaluation.joined(join.right, left.env):
                if not all(evaluation.truth(on, right.env) is True for on in join.on if stable(on)):
                    continue
                ways = [way | d.rows for way in given for d in crossed(left.derivations, right.derivations)]
                then = self.of_condition(join.on, right.env)
                yield from ((way, then) for way in ways)
                for subquery in subqueries(join.on):
                    if correlated(subquery.query):
                        yield from self.query_rules(subquery.query, False, right.env, ways)

    def passes(self, select: Select, join: Join, env: Env) -> bool:
        """True where all conditions of WHERE hold that have no subquery and are about these sources alone.

        Not of those that another LEFT JOIN around the join fills with NULLs, which may pass in their place.
        """
        aliases = set(env) - filled_around(select.source, join)
        conditions = [c for c in select.where if not has_subquery(c) and refers_to(c) <= aliases]
        return all(self.evaluation.truth(c, env) is True for c in conditions)

    def of_groups(
        self, select: Select, root: bool, held: list[tuple[Joined, list[frozenset[Row]]]]
    ) -> Iterator[Implication]:
        """All rows of a group that a row belongs to, where the value of the group is tested."""
        if correlated(select) or not select.group:
            return
        if root and select.limit is None and not select.having:
            return
        evaluation = self.evaluation
        members: dict[tuple[Any, ...], frozenset[Row]] = {}
        for joined in evaluation.joined(select.source, {}):
            if all(evaluation.truth(c, joined.env) is True for c in select.where):
                key = evaluation.group_key(select, joined.env)
                needed = (d.needed for d in evaluation.derivations(select, [joined]))
                members[key] = members.get(key, NOTHING).union(*needed)
        for joined, ways in held:
            then = members.get(evaluation.group_key(select, joined.env), NOTHING)
            yield from ((way, then) for way in ways)


def all_subqueries(select: Select) -> Iterator[Subquery]:
    for node in expressions(select):
        yield from subqueries(node)


def filled_around(source: Source | None, join: Join) -> set[str]:
    """The sources on the side that a LEFT JOIN around a join fills with NULLs."""
    found: set[str] = set()
    for each in joins(source):
        if each.outer and any(inner is join for inner in joins(each.right)):
            found |= {inner.alias for inner in sources(each.right)}
    return found


def refers_to(node: Any) -> set[str]:
    return {item.source for item in walk(node) if isinstance(item, Column)}


def alone(query: Query) -> Iterator[Query]:
    """Queries in a query that are demanded as wholes, whatever it does with them.

    Those that no row of the query around decides: scalar subqueries, LIMIT below the top, aggregates over all rows
    (before HAVING, since also the one that is rejected is computed from all rows).
    """
    if isinstance(query, Select) and query.group == () and query.having:
        yield _before_having(query)
    yield from _alone_inside(query)


def _alone_inside(query: Query) -> Iterator[Query]:
    if isinstance(query, Union):
        for branch in query.branches:
            yield from _alone_at(branch, False)
        return
    for source in sources(query.source):
        if isinstance(source, Derived):
            yield from _alone_at(source.query, False)
    for subquery in all_subqueries(query):
        yield from _alone_at(subquery.query, subquery.alone)


def _alone_at(query: Query, whole: bool) -> Iterator[Query]:
    if whole or (
        isinstance(query, Select) and not correlated(query) and (query.limit is not None or query.group == ())
    ):
        yield _before_having(query)
    yield from _alone_inside(query)


def _before_having(query: Query) -> Query:
    return replace(query, having=()) if isinstance(query, Select) and query.group == () else query


def demanded_tables(query: Query) -> Iterator[str]:
    """Tables that rows can be demanded of: all but those that are only read under a negation."""
    for select in branches(query):
        for source in sources(select.source):
            if isinstance(source, Base):
                yield source.table
            else:
                yield from demanded_tables(source.query)
        for subquery in all_subqueries(select):
            if subquery.polarity != "-" and not subquery.alone:
                yield from demanded_tables(subquery.query)
