"""Random DataJoint schemas, expressions and fetches, on either line.

In: `Choices`. Out: declared tables (also as a `random_schema.Schema`, for contents and checks), and source text
of fetches from random expressions: restrictions by condition, dict, list, expression and `dj.Not`, joins,
projections with renaming and computing, aggregations, `dj.U`, `dj.Top`, unions. Text, so that a failure can be
read and kept; `run` evaluates it. What DataJoint itself refuses is not generated.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import datajoint as dj

from tests.conftest import POSTGRESQL
from tests.random_schema import DOMAIN, Choices, Column, Reference, Schema, Table

V2 = not dj.__version__.startswith("0.")
SQL_TYPES = {"int": "int", "txt": "varchar(12)", "day": "date", "dec": "decimal(6,2)"}


# ---------------------------------------------------------------- schemas


def random_definitions(choices: Choices) -> tuple[Schema, dict[str, str]]:
    """Tables, and DataJoint's definition of each by its class name (``M0``, part ``M0.P1``)."""
    tables: list[Table] = []
    definitions: dict[str, str] = {}
    for number in range(3 + choices.upto(1)):
        _define(choices, tables, definitions, f"m{number}", None)
        # a part is declared with its master, and refers to what was declared before
        if number and choices.chance(50):
            _define(choices, tables, definitions, f"m{number}__p0", tables[-1])
    return Schema(tuple(tables)), definitions


def class_name(table: str) -> str:
    return ".".join(part.upper() for part in table.split("__"))


def _define(
    choices: Choices, tables: list[Table], definitions: dict[str, str], name: str, master: Table | None
) -> None:
    columns: list[Column] = []
    references: list[Reference] = []
    lines: list[str] = []

    def refer(parent: Table, renamed: bool, nullable: bool) -> None:
        taken = {column.name for column in columns}
        renamed = renamed or (bool(taken & set(parent.key)) and choices.chance(60))
        names = [f"{c}_{len(references)}" if renamed else c for c in parent.key]
        if nullable and set(names) & taken:
            return
        renaming = ", ".join(f"{n}='{c}'" for n, c in zip(names, parent.key, strict=True))
        target = "master" if parent is master else class_name(parent.name)
        lines.append(f"-> {'[nullable] ' * nullable}{target}{f'.proj({renaming})' * renamed}")
        columns.extend(
            Column(n, parent.column(c).type, nullable)
            for n, c in zip(names, parent.key, strict=True)
            if n not in taken
        )
        references.append(Reference(tuple(names), parent.name, parent.key))

    def attribute(prefix: str, type_: str, nullable: bool) -> None:
        names = [f"{prefix}{i}" for i in range(3) if f"{prefix}{i}" not in {c.name for c in columns}]
        column = Column(choices.one(names), type_, nullable)
        columns.append(column)
        lines.append(f"{column.name}{'=null' * nullable} : {SQL_TYPES[type_]}")

    if master is not None:
        refer(master, False, False)
    elif tables and choices.chance(60):
        refer(choices.one(tables), choices.chance(20), False)
    if master is not None or not columns or choices.chance(50):
        attribute(choices.one("kkkn"), choices.one(["int", "int", "int", "txt"]), False)
    key = tuple(column.name for column in columns)
    lines.append("---")
    for _ in range(choices.upto(2)):
        if tables:
            refer(choices.one([t for t in tables if t is not master]), choices.chance(60), choices.chance(60))
    for _ in range(1 + choices.upto(1)):
        attribute(choices.one("xyz"), choices.one(["int", "int", "txt", "day", "dec"]), choices.chance(70))
    tables.append(Table(name, "A", tuple(columns), key, tuple(references), (), master and master.name))
    definitions[class_name(name)] = "\n".join(lines)


def declare(definitions: dict[str, str], database: str, connection: Any) -> SimpleNamespace:
    """Declare the tables in one database schema."""
    schema = (dj.Schema if V2 else dj.schema)(database, connection=connection)
    if not POSTGRESQL:  # texts that differ in case or in spaces at the end are equal, on both servers
        connection.query(f"ALTER DATABASE `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    masters: dict[str, dict[str, Any]] = {}
    for name, definition in definitions.items():
        head, _, part = name.partition(".")
        if part:
            masters[head][part] = type(part, (dj.Part,), {"definition": definition})
        else:
            masters[head] = {"definition": definition}
    made: dict[str, Any] = {}
    for head, body in masters.items():
        made[head] = schema(type(head, (dj.Manual,), body), context=made)
    return SimpleNamespace(**made)


# ---------------------------------------------------------------- expressions


class Expressions:
    """Expressions over declared tables, as text and evaluated."""

    def __init__(self, choices: Choices, tables: SimpleNamespace, schema: Schema) -> None:
        self.choices, self.schema = choices, schema
        self.scope = {**vars(tables), "dj": dj, "rows": rows, "keys": keys, "first": first}
        self.names = [class_name(table.name) for table in schema.tables]
        self.kinds = {column.name: column.kind for table in schema.tables for column in table.columns}
        self.count = 0

    def evaluate(self, text: str) -> Any:
        return eval(text.replace("`", r"\"") if POSTGRESQL else text, self.scope)

    def fetch(self) -> str:
        """One fetch of a random expression."""
        choices = self.choices
        text = self.expression(choices.upto(3))
        form = choices.upto(99)
        if form < 50:
            return f"rows({text})"
        if form < 60:
            return f"keys({text})"
        if form < 70:
            return f"len({text})"
        if form < 80:
            return f"bool({text})"
        if form < 88:
            return f"first({text}, {choices.upto(3)})"
        if form < 94:
            return f"repr({text})"
        return f"{self.row(self.evaluate(text))} in ({text})"

    def expression(self, depth: int) -> str:
        """Text of an expression that DataJoint accepts."""
        choices = self.choices
        base = f"{choices.one(self.names)}()"
        text = base
        for _ in range(depth):
            grown = self.grown(text, depth)
            try:
                self.evaluate(grown).make_sql()
            except Exception:  # DataJoint refuses it, in one of its many ways; the operand stays
                continue
            text = grown
        return text

    def grown(self, text: str, depth: int) -> str:
        choices = self.choices
        expression = self.evaluate(text)
        names, key = list(expression.heading.names), list(expression.primary_key)
        other = self.expression(choices.upto(max(0, depth - 1)))
        form = choices.upto(99)
        if form < 25:
            return f"({text} & {self.condition(expression)})"
        if form < 33:
            return f"({text} & {other})"
        if form < 43:
            return f"({text} - {choices.one([other, self.condition(expression)])})"
        if form < 47:
            return f"({text} & dj.Not({other}))"
        if form < 60:
            return f"({text} * {other})"
        if form < 72:
            return f"{text}.proj({self.projection(names, key)})"
        if form < 84:
            self.count += 1
            attribute = choices.one(list(self.evaluate(other).heading.names))
            function = choices.one(
                ["count(*)", "max(`{}`)", "min(`{}`)", "count(`{}`)", "count(DISTINCT `{}`)"]
            )
            keep = ", keep_all_rows=True" if choices.chance(30) else ""
            if choices.chance(30):
                text = f"dj.U({', '.join(repr(n) for n in choices.some(names, 0))})"
            return f"{text}.aggr({other}, a{self.count}={function.format(attribute)!r}{keep})"
        if form < 89:
            return f"(dj.U({', '.join(repr(n) for n in choices.some(names))}) & {text})"
        if form < 95:
            order = ", ".join(repr(f"{n}{choices.one(['', ' desc'])}") for n in key)
            offset = f", offset={1 + choices.upto(1)}" if choices.chance(30) else ""
            return f"({text} & dj.Top({1 + choices.upto(3)}, [{order}]{offset}))"
        return f"({text}.proj() + {other}.proj())"

    def projection(self, names: list[str], key: list[str]) -> str:
        choices = self.choices
        self.count += 1
        secondary = [name for name in names if name not in key]
        parts = [repr(name) for name in choices.some(secondary, 0)]
        if choices.chance(30):
            parts = ["..."]
        if choices.chance(40):
            parts.append(f"r{self.count}={choices.one(names)!r}")
        if choices.chance(30):
            computed = choices.one(
                ["coalesce(`{}`, `{}`)", "`{}` is null", "concat(`{}`, 'x')", "length(`{}`)"]
            )
            parts.append(f"c{self.count}={computed.format(*[choices.one(names)] * 2)!r}")
        return ", ".join(parts)

    def literal(self, name: str) -> str:
        kind = self.kinds.get(name, "i")
        literals = next((known for _, its, known in DOMAIN.values() if its == kind), ("0", "1", "2"))
        return self.choices.one(literals)

    def condition(self, expression: Any) -> str:
        choices = self.choices
        names = list(expression.heading.names)
        name = choices.one(names)
        form = choices.upto(9)
        if form < 4:
            return repr(f"`{name}` {choices.one(['=', '>', '<', '<>', '>='])} {self.literal(name)}")
        if form < 5:
            return repr(f"`{name}` is {choices.one(['', 'not '])}null")
        if form < 6:
            table = choices.one(self.schema.tables)
            column = choices.one(table.columns)
            return repr(
                f"`{name}` {choices.one(['', 'not '])}in"
                f" (select `{column.name}` from `SCHEMA_A`.`{table.name}` where `{column.name}` is not null)"
            )
        if form < 7:
            return f"[{self.row(expression)}, {self.row(expression)}]"
        if form < 8:
            return f"dj.AndList([{self.row(expression)}, {f'`{name}` is not null'!r}])"
        return self.row(expression)

    def row(self, expression: Any) -> str:
        """A dict of some attributes, as a key is."""
        names = self.choices.some(list(expression.primary_key) or list(expression.heading.names))
        return "{" + ", ".join(f"{name!r}: {self.literal(name)}" for name in names) + "}"


def rows(expression: Any) -> Any:
    return expression.to_dicts() if V2 else expression.fetch(as_dict=True)


def keys(expression: Any) -> Any:
    return expression.keys() if V2 else expression.fetch("KEY")


def first(expression: Any, limit: int) -> Any:
    order = list(expression.primary_key) or None
    if V2:
        return expression.to_dicts(order_by=order, limit=limit)
    return expression.fetch(as_dict=True, order_by=order, limit=limit)
