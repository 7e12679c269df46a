"""Statements of the reference's algebra as SQL text, and databases of `random_schema` as its rows.

In: trees of `tests.reference`, a `random_schema.Schema` with rows. Out: text with ``SCHEMA_A`` and ``SCHEMA_B`` in it,
and a `reference.Database`. `place` finds a key that a slice gives among the rows.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.random_schema import Rows, Schema, Table
from tests.reference import (
    All,
    And,
    Base,
    Column,
    Compare,
    Condition,
    Database,
    Derived,
    Exists,
    Expression,
    ForeignKey,
    In,
    IsNull,
    IsTruth,
    Join,
    Not,
    Or,
    Query,
    Scalar,
    Source,
    Statement,
    Union,
    Value,
)

TRUTH = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}


class Writer:
    """Text of trees over the tables of one schema."""

    ascending, descending = "", " DESC"

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def statement(self, statement: Statement) -> str:
        text = self.query(statement.query)
        return f"SELECT EXISTS({text})" if statement.exists else text

    def query(self, query: Query) -> str:
        if isinstance(query, Union):
            word = " UNION " if query.distinct else " UNION ALL "
            return word.join(f"({self.query(branch)})" for branch in query.branches)
        outputs = ", ".join(f"{self.expression(e)} AS `{name}`" for name, e in query.outputs)
        text = f"SELECT {'DISTINCT ' * query.distinct}{outputs}"
        if query.source is not None:
            text += f" FROM {self.source(query.source)}"
        if query.where:
            text += f" WHERE {self.conditions(query.where)}"
        if query.group:
            text += f" GROUP BY {', '.join(self.expression(key) for key in query.group)}"
        if query.having:
            text += f" HAVING {self.conditions(query.having)}"
        if query.order:
            words = (
                f"{self.expression(e)}{self.descending if descending else self.ascending}"
                for e, descending in query.order
            )
            text += f" ORDER BY {', '.join(words)}"
        if query.limit is not None:
            text += f" LIMIT {query.limit}" + f" OFFSET {query.offset}" * bool(query.offset)
        return text

    def source(self, source: Source) -> str:
        if isinstance(source, Base):
            return f"{self.schema.table(source.table).full} AS `{source.alias}`"
        if isinstance(source, Derived):
            return f"({self.query(source.query)}) AS `{source.alias}`"
        right = self.source(source.right)
        if isinstance(source.right, Join):
            right = f"({right})"
        word = "LEFT JOIN" if source.outer else "JOIN"
        return f"{self.source(source.left)} {word} {right} ON {self.conditions(source.on) or 'TRUE'}"

    def conditions(self, conditions: tuple[Condition, ...]) -> str:
        return " AND ".join(self.condition(condition) for condition in conditions)

    def condition(self, node: Condition) -> str:
        if isinstance(node, Compare):
            return f"{self.expression(node.left)} {node.op} {self.expression(node.right)}"
        if isinstance(node, IsNull):
            return f"{self.expression(node.of)} IS NULL"
        if isinstance(node, IsTruth):
            return f"({self.condition(node.of)}) IS {TRUTH[node.truth]}"
        if isinstance(node, Not):
            if isinstance(node.of, In):
                return f"{self.expression(node.of.left)} NOT IN ({self.query(node.of.query)})"
            if isinstance(node.of, Exists):
                return f"NOT EXISTS ({self.query(node.of.query)})"
            return f"NOT ({self.condition(node.of)})"
        if isinstance(node, (And, Or)):
            word = " AND " if isinstance(node, And) else " OR "
            return f"({word.join(self.condition(item) for item in node.of)})"
        if isinstance(node, Exists):
            return f"EXISTS ({self.query(node.query)})"
        if isinstance(node, In):
            return f"{self.expression(node.left)} IN ({self.query(node.query)})"
        assert isinstance(node, All)
        return f"{self.expression(node.left)} {node.op} ALL ({self.query(node.query)})"

    def expression(self, node: Expression) -> str:
        if isinstance(node, Column):
            return f"`{node.source}`.`{node.name}`"
        if isinstance(node, Value):
            return node.sql
        if isinstance(node, Scalar):
            return f"({self.query(node.query)})"
        function, _, distinct = node.function.partition(" ")
        of = "*" if node.of is None else self.expression(node.of)
        return f"{function.upper()}({'DISTINCT ' * bool(distinct)}{of})"


class PostgreSQLWriter(Writer):
    """NULLs come first, as the reference has them."""

    ascending, descending = " NULLS FIRST", " DESC NULLS LAST"


# ---------------------------------------------------------------- rows


def value(type_: str, literal: str) -> Any:
    """What a literal of `random_schema.DOMAIN` stands for; texts that the collation finds equal are equal."""
    if literal == "NULL":
        return None
    if type_ in ("int", "big"):
        return int(literal)
    if type_ == "dec":
        return Decimal(literal)
    if type_ == "flt":
        return float(literal.strip("'"))
    if type_ == "bin":
        return bytes.fromhex(literal[2:-1])
    text = literal[1:-1].replace("''", "'")
    return text[:10] if type_ == "ts" else text.casefold().rstrip(" ")


def stored(type_: str, found: Any) -> Any:
    """The same for a value of a key of a slice: integers, bytes, and text as the server prints it."""
    if type_ in ("int", "big"):  # PostgreSQL prints what is too big for its integers
        return int(found)
    if type_ == "dec":
        return Decimal(found)
    if type_ == "flt":
        return round(float(found), 3)
    if type_ == "bin" and isinstance(found, str):  # as PostgreSQL prints it
        return bytes.fromhex(found[2:])
    if type_ == "ts" and "-" in found:
        return found[:10]
    if type_ == "ts":  # seconds since 1970; those of the domain are at midnight of the first days of 2020
        return f"2020-01-0{1 + round((float(found) - 1577836800) / 86400)}"
    return found.casefold().rstrip(" ") if isinstance(found, str) else found


def database(schema: Schema, rows: Rows) -> Database:
    references = tuple(
        ForeignKey(
            table.name,
            reference.columns,
            reference.parent,
            reference.parent_columns,
            table.master == reference.parent and reference == table.references[0],
        )
        for table in schema.tables
        for reference in table.references
    )
    values = {
        table.name: [
            {c.name: value(c.type, literal) for c, literal in zip(table.columns, row, strict=True)}
            for row in rows.get(table.name, ())
        ]
        for table in schema.tables
    }
    return Database({table.name: table.key for table in schema.tables}, values, references)


def place(table: Table, known: Database, key: tuple[Any, ...]) -> int:
    """The place of a row in its table, by its primary key as a slice gives it."""
    wanted = [stored(table.column(c).type, part) for c, part in zip(table.key, key, strict=True)]
    return next(i for i, row in enumerate(known.rows[table.name]) if [row[c] for c in table.key] == wanted)
