"""Random statements in the reference's algebra.

In: `Choices` and a `random_schema.Schema`. Out: statements of `tests.reference` over its tables, small enough for
nested loops. Columns are compared with columns and literals of their own type only, and LIMIT stands with a total
order, so that a statement means the same to the server and to the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.random_schema import DOMAIN, Choices, Reference, Schema, Table
from tests.random_schema import Column as Column_
from tests.reference import (
    Aggregate,
    All,
    Base,
    Column,
    Compare,
    Condition,
    Derived,
    Exists,
    Expression,
    In,
    IsNull,
    IsTruth,
    Join,
    Not,
    Or,
    Query,
    Scalar,
    Select,
    Source,
    Statement,
    Union,
    Value,
    branches,
    joins,
    sources,
)
from tests.reference_sql import value


def _flat() -> Schema:
    """Few types and few references: what a condition reads seldom comes along for another reason."""
    numbers = (Column_("x", "int", True), Column_("y", "int", True), Column_("s", "txt", True))
    return Schema(
        (
            Table("a", "A", (Column_("id", "int"), *numbers), ("id",)),
            Table("b", "A", (Column_("id", "int"), Column_("k", "int"), *numbers), ("id", "k")),
            Table(
                "c",
                "A",
                (Column_("id", "int"), Column_("up", "int", True), *numbers),
                ("id",),
                (Reference(("up",), "a", ("id",)),),
            ),
            Table(
                "c__part",
                "A",
                (Column_("id", "int"), Column_("n", "int"), Column_("x", "int", True)),
                ("id", "n"),
                (Reference(("id",), "c", ("id",)),),
                (),
                "c",
            ),
            Table("d", "A", (Column_("s", "txt"), Column_("x", "int", True)), ("s",)),
        )
    )


FLAT = _flat()
OPERATORS = ("=", "=", "=", "<>", "<", "<=", ">", ">=")
LITERALS = ("int", "dec", "txt", "day", "enm")  # types whose literals equal the values that are stored
ORDERED = ("int", "dec", "txt", "day")  # types that MIN and MAX keep


@dataclass(frozen=True)
class Seen:
    """A column that an expression may refer to, and its type."""

    column: Column
    type: str


@dataclass(frozen=True)
class From:
    """A FROM clause: its columns, and those that tell its rows apart (None where none do)."""

    source: Source
    seen: tuple[Seen, ...]
    key: tuple[Column, ...] | None


class Trees:
    """Random trees over one schema."""

    def __init__(self, choices: Choices, schema: Schema) -> None:
        self.choices, self.schema = choices, schema
        self.count = 0

    def alias(self) -> str:
        self.count += 1
        return f"q{self.count}"

    def statement(self) -> Statement:
        form = self.choices.one(["plain", "plain", "plain", "plain", "exists", "query", "query"])
        if form == "exists":
            return Statement(self.one_of_exists(), True)
        return Statement(self.plain(2, ())[0] if form == "plain" else self.query(2)[0])

    def statements(self) -> list[Statement]:
        """A set: one or two statements of any form, and some that bring rows which these may reject."""
        found = [self.statement() for _ in range(1 + self.choices.chance(25))]
        read = {table for statement in found for table in tables_of(statement.query)}
        for table in self.schema.tables:
            if self.choices.chance(70 if table.name in read else 10):
                base = self.base(table)
                where = (self.simple(base.seen, ()),) if self.choices.chance(60) else ()
                outputs = tuple((s.column.name, s.column) for s in base.seen)
                found.append(Statement(Select(outputs, base.source, where)))
        return found

    def one_of_exists(self) -> Query:
        """What SELECT EXISTS can be asked about and of which the first row is known."""
        source = self.source(2, (), derived=False)
        select = Select((("one", Value(1, "1")),), source.source, self.where(2, source.seen, ()))
        if source.key is None:
            return Select((("n", Aggregate("count")),), select.source, select.where, ())
        return select

    # -------------------------------------------------- queries

    def query(self, depth: int) -> tuple[Query, tuple[str, ...]]:
        """Any query that is not correlated, and the types of its columns."""
        form = self.choices.one(["plain", "distinct", "group", "group", "total", "limit", "union"])
        if form == "union":
            return self.union(depth)
        if form == "group":
            return self.grouped(depth, ())
        if form == "total":
            return self.total(depth, (), None)
        select, types = self.plain(depth, ())
        if form == "plain":
            return select, types
        if form == "distinct":
            order: tuple[tuple[Expression, bool], ...] = ()
            limit = None
            if self.choices.chance(25):
                order = tuple((e, self.choices.chance(30)) for _, e in select.outputs)
                limit = 1 + self.choices.upto(2)
            return Select(select.outputs, select.source, select.where, None, (), True, order, limit), types
        return self.limited(depth)

    def limited(self, depth: int) -> tuple[Query, tuple[str, ...]]:
        source = self.source(depth, (), derived=False)
        outputs, types = self.outputs(source.seen)
        where = self.where(depth, source.seen, ())
        if source.key is None:
            return Select(outputs, source.source, where), types
        first = [c for c in source.key if self.choices.chance(30)]
        some = self.choices.one(source.seen).column
        order = [*first, some, *source.key]
        ordered = tuple((c, self.choices.chance(30)) for c in order)
        return Select(
            outputs, source.source, where, None, (), False, ordered, 1 + self.choices.upto(2), self.offset()
        ), types

    def offset(self) -> int:
        return self.choices.upto(2) if self.choices.chance(20) else 0

    def plain(
        self, depth: int, outer: Sequence[Seen], type_: str | None = None
    ) -> tuple[Select, tuple[str, ...]]:
        """A SELECT that only selects; with ``type_`` its only column is of that type."""
        source = self.source(depth, (), type_=type_)
        outputs, types = self.outputs(source.seen, type_)
        where = self.where(depth, source.seen, outer)
        filled = [s for join in joins(source.source) if join.outer for s in sources(join.right)]
        if filled and self.choices.chance(50):
            alias = self.choices.one(filled).alias
            column = self.choices.one([s.column for s in source.seen if s.column.source == alias])
            where = (*where[:1], IsNull(column))
        return Select(outputs, source.source, where), types

    def outputs(
        self, seen: Sequence[Seen], type_: str | None = None
    ) -> tuple[tuple[tuple[str, Expression], ...], tuple[str, ...]]:
        if type_ is not None:
            chosen = [self.choices.one([s for s in seen if s.type == type_])]
        else:
            chosen = self.choices.some(list(seen))[:3]
        return tuple((f"c{i}", s.column) for i, s in enumerate(chosen)), tuple(s.type for s in chosen)

    def union(
        self, depth: int, outer: Sequence[Seen] = (), type_: str | None = None
    ) -> tuple[Query, tuple[str, ...]]:
        first, types = self.plain(depth - 1, outer, type_)
        outputs = first.outputs[:1]
        branches = [Select(outputs, first.source, first.where)]
        for _ in range(1 + self.choices.chance(20)):
            branches.append(self.plain(depth - 1, outer, types[0])[0])
        return Union(tuple(branches), self.choices.chance(70)), types[:1]

    def grouped(
        self, depth: int, outer: Sequence[Seen], type_: str | None = None
    ) -> tuple[Select, tuple[str, ...]]:
        source = self.source(depth, (), type_=type_)
        keys, types = self.outputs(source.seen, type_)
        keys, types = keys[:2], types[:2]
        group = tuple(column for _, column in keys if isinstance(column, Column))
        outputs = keys if type_ is not None else (*keys, ("n", Aggregate("count")))
        having = []
        for _ in range(self.choices.one([0, 1, 1, 2])):
            if self.choices.chance(25):
                having.append(self.simple([Seen(c, t) for c, t in zip(group, types, strict=True)], ()))
            else:
                having.append(self.on_aggregate(source.seen))
        where = self.where(depth, source.seen, outer)
        order: tuple[tuple[Expression, bool], ...] = ()
        limit = None
        if type_ is None and not outer and self.choices.chance(15):
            order, limit = tuple((c, self.choices.chance(30)) for c in group), 1 + self.choices.upto(1)
        select = Select(outputs, source.source, where, group, tuple(having), False, order, limit)
        return select, types if type_ is not None else (*types, "int")

    def total(self, depth: int, outer: Sequence[Seen], type_: str | None) -> tuple[Select, tuple[str, ...]]:
        """An aggregate over all rows."""
        type_ = type_ if type_ in ORDERED else "int"
        source = self.source(depth, ())
        of_type = [s.column for s in source.seen if s.type == type_]
        if type_ == "int" and (not of_type or self.choices.chance(50)):
            output = Aggregate("count") if self.choices.chance(60) else self.aggregate(source.seen)
        else:
            function = self.choices.one(["min", "max"])
            output = Aggregate(function, self.choices.one(of_type)) if of_type else Aggregate("count")
            type_ = type_ if of_type else "int"
        having = (self.on_aggregate(source.seen),) if not outer and self.choices.chance(15) else ()
        where = self.where(depth, source.seen, outer)
        return Select((("n", output),), source.source, where, (), having), (type_,)

    def aggregate(self, seen: Sequence[Seen]) -> Aggregate:
        numbers = [s.column for s in seen if s.type == "int"]
        form = self.choices.one(["rows", "rows", "count", "count distinct", "sum", "max"])
        if form in ("sum", "max") and numbers:
            return Aggregate(form, self.choices.one(numbers))
        if form.startswith("count"):
            return Aggregate(form, self.choices.one(seen).column)
        return Aggregate("count")

    def on_aggregate(self, seen: Sequence[Seen]) -> Condition:
        number = self.choices.one([1, 1, 2, 2, 3])
        return Compare(self.choices.one(OPERATORS), self.aggregate(seen), Value(number, str(number)))

    # -------------------------------------------------- FROM

    def source(
        self, depth: int, outer: Sequence[Seen], derived: bool = True, type_: str | None = None
    ) -> From:
        made = self._one(depth, derived, type_)
        for _ in range(self.choices.one([0, 0, 0, 1, 1] if depth > 1 else [0, 0, 0, 1])):
            right = self._one(depth, derived, None)
            seen = (*made.seen, *right.seen)
            pairs = [(a, b) for a in made.seen for b in right.seen if a.type == b.type]
            on: list[Condition] = []
            if pairs:
                one, other = self.choices.one(pairs)
                on.append(Compare("=", one.column, other.column))
            if not pairs or self.choices.chance(15):
                on.append(self.simple(seen, ()))
            if depth > 0 and self.choices.chance(15):
                on.append(self.with_subquery(depth - 1, seen, ()))
            join = Join(made.source, right.source, tuple(on), self.choices.chance(35))
            key = None if made.key is None or right.key is None else (*made.key, *right.key)
            made = From(join, seen, key)
        return made

    def _one(self, depth: int, derived: bool, type_: str | None) -> From:
        if derived and depth > 0 and type_ is None and self.choices.chance(25):
            query, types = self.query(depth - 1)
            alias = self.alias()
            names = [name for name, _ in (query.branches[0] if isinstance(query, Union) else query).outputs]  # type: ignore[union-attr]
            seen = tuple(Seen(Column(alias, n), t) for n, t in zip(names, types, strict=True))
            return From(Derived(alias, query), seen, None)
        tables = [t for t in self.schema.tables if type_ is None or any(c.type == type_ for c in t.columns)]
        return self.base(self.choices.one(tables))

    def base(self, table: Table) -> From:
        alias = self.alias()
        seen = tuple(Seen(Column(alias, c.name), c.type) for c in table.columns if c.kind != "j")
        return From(Base(alias, table.name), seen, tuple(Column(alias, c) for c in table.key) or None)

    # -------------------------------------------------- conditions

    def where(self, depth: int, seen: Sequence[Seen], outer: Sequence[Seen]) -> tuple[Condition, ...]:
        found = []
        if outer and self.choices.chance(75):
            pairs = [(a, b) for a in seen for b in outer if a.type == b.type]
            if pairs:
                one, other = self.choices.one(pairs)
                found.append(Compare(self.choices.one(OPERATORS), one.column, other.column))
        if depth > 1 and self.choices.chance(50):
            found.append(self.with_subquery(depth, seen, outer))
        for _ in range(self.choices.one([0, 0, 1, 1, 2] if depth > 0 else [0, 0, 0, 1])):
            found.append(self.condition(depth, seen, outer))
        return tuple(found)

    def condition(self, depth: int, seen: Sequence[Seen], outer: Sequence[Seen]) -> Condition:
        form = self.choices.upto(9)
        if depth <= 0 or form < 3:
            return self.simple(seen, outer)
        if form == 3:
            return Not(self.condition(depth - 1, seen, outer))
        if form == 4:
            return Or(tuple(self.condition(depth - 1, seen, outer) for _ in range(2)))
        if form == 5 and self.choices.chance(30):
            kind = self.choices.one([True, False, None])
            return IsTruth(self.condition(depth - 1, seen, outer), kind)
        return self.with_subquery(depth, seen, outer)

    def simple(self, seen: Sequence[Seen], outer: Sequence[Seen]) -> Condition:
        one = self.choices.one(seen)
        others = [s for s in (*seen, *outer) if s.type == one.type and s != one]
        form = self.choices.upto(9)
        if form == 0 or (one.type not in LITERALS and not others):
            null = IsNull(one.column)
            return Not(null) if self.choices.chance(50) else null
        if one.type not in LITERALS or (others and form < 4):
            return Compare(self.choices.one(OPERATORS), one.column, self.choices.one(others).column)
        literal = self.choices.one(DOMAIN[one.type][2])
        return Compare(self.choices.one(OPERATORS), one.column, Value(value(one.type, literal), literal))

    def with_subquery(self, depth: int, seen: Sequence[Seen], outer: Sequence[Seen]) -> Condition:
        left = self.choices.one(seen)
        inner = (*seen, *outer) if self.choices.chance(50) else ()
        form = self.choices.one(["in", "in", "in", "exists", "exists", "all", "scalar"])
        made: Condition
        if form == "scalar":
            query, types = self.total(depth - 1, inner, left.type)
            alike = [s for s in seen if s.type == types[0]]
            if not alike:
                number = self.choices.one([0, 1, 2])
                return Compare(
                    self.choices.one(OPERATORS),
                    Scalar(self.counting(depth, inner)),
                    Value(number, str(number)),
                )
            return Compare(self.choices.one(OPERATORS), self.choices.one(alike).column, Scalar(query))
        query_ = self.of_type(depth - 1, inner, left.type if form != "exists" else None)
        if form == "exists":
            made = Exists(query_)
        elif form == "all":
            made = All(self.choices.one(OPERATORS), left.column, query_)
        else:
            made = In(left.column, query_)
        return Not(made) if form != "all" and self.choices.chance(50) else made

    def counting(self, depth: int, outer: Sequence[Seen]) -> Select:
        source = self.source(depth - 1, ())
        return Select(
            (("n", Aggregate("count")),), source.source, self.where(depth - 1, source.seen, outer), ()
        )

    def of_type(self, depth: int, outer: Sequence[Seen], type_: str | None) -> Query:
        """A subquery whose only column is of a type."""
        form = self.choices.upto(9)
        if form == 0:
            return self.grouped(depth, outer, type_ or self.any_type())[0]
        if form == 1:
            return self.union(depth, outer, type_ or self.any_type())[0]
        select, _ = self.plain(depth, outer, type_ or self.any_type())
        if form == 2:
            return Select(select.outputs, select.source, select.where, distinct=True)
        return select

    def any_type(self) -> str:
        table = self.choices.one(self.schema.tables)
        return self.choices.one([c for c in table.columns if c.kind != "j"]).type


def tables_of(query: Query) -> set[str]:
    """The tables that the rows of a query are made of."""
    found: set[str] = set()
    for select in branches(query):
        for source in sources(select.source):
            found |= {source.table} if isinstance(source, Base) else tables_of(source.query)
    return found
