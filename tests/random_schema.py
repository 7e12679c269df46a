"""Random schemas and contents.

In: a `Choices`. Out: a `Schema` (tables with composite keys, renamed, nullable and self-referring foreign keys,
parts, parts that refer to other masters, tables without a primary key, unique keys that are referred to, views
on views, two database schemas) and rows for it, small, with NULLs and ties. `create_sql` and `insert_sql` say it
in SQL; the names of the two database schemas stand there as ``SCHEMA_A`` and ``SCHEMA_B``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")

# For each type: its declaration, its class (values of one class can be compared) and a domain of literals in
# which equal positions are equal values. Texts have two spellings that the collation finds equal.
DOMAIN: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "int": ("int", "i", ("0", "1", "2", "3", "4")),
    "big": ("bigint unsigned", "u", ("0", "1", "2", "3", "18446744073709551615")),
    "dec": ("decimal(6,2)", "i", ("0.00", "1.00", "1.50", "3.00", "4.25")),
    "txt": ("varchar(12)", "t", ("'a'", "'b'", "'c'", "'d'", "'it''s'")),
    "day": ("date", "d", tuple(f"'2020-01-0{i}'" for i in range(1, 6))),
    "ts": ("timestamp(3)", "d", tuple(f"'2020-01-0{i} 00:00:00.000'" for i in range(1, 6))),
    "flt": ("float", "f", ("0", "0.2", "0.3", "1.5", "2")),
    "bin": ("binary(3)", "x", ("X'000000'", "X'000127'", "X'5C2260'", "X'FF00FF'", "X'414141'")),
    "enm": ("enum('p','q','r','s','t')", "e", ("'p'", "'q'", "'r'", "'s'", "'t'")),
    "jsn": ("json", "j", ("'[]'", "'[1]'", "'[1, 2]'", "'[2, 2]'", "'[null, 3]'")),
    # in fixed examples only
    "bit": ("bit(8)", "b", ("b'0'", "b'1'", "b'110000'", "b'1100001'", "b'11111111'")),
}
KEY_TYPES = ("int",) * 12 + ("txt",) * 4 + ("day", "ts", "dec", "bin", "enm", "flt", "big")
TYPES = ("int",) * 8 + ("txt",) * 3 + ("day", "ts", "dec", "flt", "enm", "jsn", "bin", "big")
NAMES = {
    type_: tuple(f"{letter}{i}" for i in (1, 2, 3))
    for type_, letter in zip(DOMAIN, "xupsdtfbejo", strict=True)
}


# Of `features`, what changes the definition of a table and no result: what stands among its columns, or behind them.
EXTRAS = (
    "`unseen` INT INVISIBLE DEFAULT 7",
    "`made` INT AS (1 + 1) VIRTUAL INVISIBLE",
    "`stored` VARCHAR(30) CHARACTER SET utf8mb4 AS (CONCAT('it''s \\\\', 1)) STORED INVISIBLE",
    "`said` VARCHAR(20) DEFAULT (UPPER('it''s')) INVISIBLE, KEY `by said` (`said`)",
    "`place` POINT INVISIBLE",
    "`one``s` BIT(9) DEFAULT b'101' INVISIBLE COMMENT 'it''s \\\\ 100 %'",
    "`since` TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3) INVISIBLE",
    "CHECK (1 < 2)",
    "CHECK ('it''s' <> 'x\\\\')",
    "ROW_FORMAT=REDUNDANT",
    "COMMENT='it''s \\\\ `x` 😀'",
    "STATS_PERSISTENT=0",
    "/*M!100300 WITH SYSTEM VERSIONING */",
)


class Choices:
    """Choices from a `random.Random`, such that one drawn by hypothesis shrinks to what is simple."""

    def __init__(self, source: random.Random) -> None:
        self.source = source

    def upto(self, most: int) -> int:
        return self.source.randint(0, most)

    def chance(self, percent: int) -> bool:
        return self.source.randint(0, 99) >= 100 - percent

    def one(self, options: Sequence[T]) -> T:
        return options[self.source.randint(0, len(options) - 1)]

    def some(self, options: Sequence[T], least: int = 1) -> list[T]:
        left, chosen = list(options), []
        for _ in range(least + self.upto(max(0, len(left) - least))):
            chosen.append(left.pop(self.upto(len(left) - 1)))
        return chosen


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    nullable: bool = False

    @property
    def kind(self) -> str:
        """The class of its values: i (numbers), t (texts), d (dates) …"""
        return DOMAIN[self.type][1]


@dataclass(frozen=True)
class Reference:
    """A foreign key: columns, and the parent's name and columns."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    name: str
    database: str  # "A" or "B"
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    references: tuple[Reference, ...] = ()
    unique: tuple[str, ...] = ()
    master: str | None = None
    extras: tuple[str, ...] = ()  # what `*` does not show, and options

    @property
    def full(self) -> str:
        return f"`SCHEMA_{self.database}`.`{self.name}`"

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class View:
    name: str
    columns: tuple[Column, ...]
    sql: str

    @property
    def full(self) -> str:
        return f"`SCHEMA_A`.`{self.name}`"


@dataclass(frozen=True)
class Schema:
    tables: tuple[Table, ...]
    views: tuple[View, ...] = ()
    routines: tuple[str, ...] = ()  # statements that create stored functions and procedures

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)


Rows = dict[str, list[tuple[str, ...]]]  # by table, SQL literals in the order of its columns


# ---------------------------------------------------------------- schemas


def random_schema(choices: Choices) -> Schema:
    """A schema of two to seven tables."""
    tables: list[Table] = []
    for number in range(2 + choices.upto(3)):
        master = _table(choices, tables, f"m{number}", None)
        tables.append(master)
    for number in range(choices.upto(3)):
        # of the first masters; `_table` lets parts refer to any master, which closes cycles through parts
        master = choices.one(tables[:2])
        if master.key and master.master is None:
            tables.append(_table(choices, tables, f"{master.name}__p{number}", master))
    if choices.chance(25):
        tables.append(_without_key(choices, tables))
    views = tuple(_views(choices, tables))
    with_extras = [
        replace(table, extras=tuple(choices.some(EXTRAS))) if choices.chance(35) else table
        for table in tables
    ]
    return Schema(tuple(with_extras), views)


def _table(choices: Choices, tables: Sequence[Table], name: str, master: Table | None) -> Table:
    columns: list[Column] = []
    references: list[Reference] = []
    parents = [table for table in tables if table.key]

    def refer(parent: Table, in_key: bool, renamed: bool) -> None:
        target = parent.key
        if parent.unique and not in_key and choices.chance(50):
            target = parent.unique
        nullable = not in_key and choices.chance(70)
        names = [f"{c}_{len(references)}" if renamed else c for c in target]
        have = {c.name: c for c in columns}
        if any(
            n in have and (have[n].type != parent.column(c).type or not in_key)
            for n, c in zip(names, target, strict=True)
        ):
            names = [f"{c}_{len(references)}" for c in target]
        for n, c in zip(names, target, strict=True):
            if n not in {column.name for column in columns}:
                columns.append(Column(n, parent.column(c).type, nullable))
        references.append(Reference(tuple(names), parent.name, tuple(target)))

    if master is not None:
        refer(master, True, choices.chance(15))
    elif parents and choices.chance(40):
        refer(choices.one(parents), True, choices.chance(25))
        if choices.chance(20):
            refer(choices.one(parents), True, choices.chance(40))
    if master is not None or not columns or choices.chance(50):
        for _ in range(1 + choices.chance(20)):
            type_ = choices.one(KEY_TYPES)
            free = [
                n
                for n in (*(("id", "k") if type_ == "int" else ()), *NAMES[type_])
                if n not in _names(columns)
            ]
            columns.append(Column(choices.one(free), type_))
    key = tuple(_names(columns))
    for _ in range(choices.upto(2)):
        if parents and choices.chance(60):
            refer(choices.one(parents), False, choices.chance(50))
    if choices.chance(20):  # refers to itself
        references.append(Reference(tuple(f"{c}_up" for c in key), name, key))
        have = {column.name: column for column in columns}
        columns += [Column(f"{c}_up", have[c].type, True) for c in key]
    for _ in range(1 + choices.upto(2)):
        type_ = choices.one(TYPES)
        free = [n for n in NAMES[type_] if n not in _names(columns)]
        if free:
            columns.append(Column(choices.one(free), type_, choices.chance(70)))
    unique: tuple[str, ...] = ()
    if choices.chance(15) and "nr" not in _names(columns):
        columns.append(Column("nr", "int", choices.chance(50)))
        unique = ("nr",)
    database = master.database if master is not None else "B" if choices.chance(15) else "A"
    return Table(name, database, tuple(columns), key, tuple(references), unique, master and master.name)


def _names(columns: Sequence[Column]) -> list[str]:
    return [column.name for column in columns]


def _without_key(choices: Choices, tables: Sequence[Table]) -> Table:
    """As made by hand: no primary key, rows can be there twice."""
    parent = choices.one([table for table in tables if table.key])
    columns = [Column(c, parent.column(c).type, True) for c in parent.key]
    reference = Reference(parent.key, parent.name, parent.key)
    columns += [Column(n, t, True) for n, t in (("x3", "int"), ("s3", "txt")) if n not in _names(columns)]
    return Table("bare", "A", tuple(columns), (), (reference,) if choices.chance(60) else ())


def _views(choices: Choices, tables: Sequence[Table]) -> Iterator[View]:
    if choices.chance(40):
        table = choices.one(tables)
        shown = [c for c in table.columns if c.kind != "j"]
        condition = f" WHERE {shown[-1].name} IS NOT NULL" if choices.chance(50) else ""
        names = ", ".join(f"`{c.name}`" for c in shown)
        yield View("v1", tuple(shown), f"SELECT {names} FROM {table.full}{condition}")
        if choices.chance(60):
            first = shown[0]
            columns = (first, Column("n", "int"))
            sql = f"SELECT `{first.name}`, COUNT(*) AS `n` FROM `SCHEMA_A`.`v1` GROUP BY `{first.name}`"
            yield View("v2", columns, sql)


def create_sql(schema: Schema) -> list[str]:
    """Statements that create the tables and views."""
    out = []
    for table in schema.tables:
        lines = [
            f"`{c.name}` {DOMAIN[c.type][0]}{' CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci' * (c.kind == 't')}"
            f" {'NULL DEFAULT NULL' if c.nullable else 'NOT NULL'}"
            + (" DEFAULT '2020-01-01 00:00:00'" if c.type == "ts" and not c.nullable else "")
            for c in table.columns
        ]
        if table.key:
            lines.append(f"PRIMARY KEY ({', '.join(f'`{c}`' for c in table.key)})")
        if table.unique:
            lines.append(f"UNIQUE KEY ({', '.join(f'`{c}`' for c in table.unique)})")
        for reference in table.references:
            parent = schema.table(reference.parent)
            lines.append(
                f"FOREIGN KEY ({', '.join(f'`{c}`' for c in reference.columns)}) REFERENCES {parent.full}"
                f" ({', '.join(f'`{c}`' for c in reference.parent_columns)})"
            )
        lines += [extra for extra in table.extras if extra.startswith(("`", "CHECK"))]
        options = " ".join(extra for extra in table.extras if extra not in lines)
        out.append(f"CREATE TABLE {table.full} ({', '.join(lines)}) ENGINE=InnoDB {options}")
    out += [f"CREATE VIEW {view.full} AS {view.sql}" for view in schema.views]
    return [*out, *schema.routines]


# ---------------------------------------------------------------- contents


def random_rows(choices: Choices, schema: Schema) -> Rows:
    """Up to six rows a table that meet every key, as positions in the domains, then as literals."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table in schema.tables:
        rows: list[dict[str, Any]] = []
        found[table.name] = rows
        for _ in range(choices.upto(6)):
            row = _row(choices, table, found)
            if row is None:
                continue
            if any(
                _same(row, other, names) for other in rows for names in (table.key, table.unique) if names
            ):
                continue
            rows.append(row)
    return {
        table.name: [
            tuple(_literal(choices, table, column, row[column.name]) for column in table.columns)
            for row in found[table.name]
        ]
        for table in schema.tables
    }


def _same(row: dict[str, Any], other: dict[str, Any], names: Sequence[str]) -> bool:
    return all(row[n] is not None and row[n] == other[n] for n in names)


def _row(choices: Choices, table: Table, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any] | None:
    row: dict[str, Any] = {}
    for reference in table.references:
        nullable = [c for c in reference.columns if table.column(c).nullable and c not in row]
        parents = found[reference.parent]
        fitting = [
            parent
            for parent in parents
            if all(
                parent[p] is not None and row.get(c, parent[p]) == parent[p]
                for c, p in zip(reference.columns, reference.parent_columns, strict=True)
            )
        ]
        if fitting and not (nullable and choices.chance(25)):
            parent = choices.one(fitting)
            row.update(
                {c: parent[p] for c, p in zip(reference.columns, reference.parent_columns, strict=True)}
            )
        elif nullable:
            row.update(dict.fromkeys(nullable))
            row.update({c: choices.upto(4) for c in reference.columns if c not in row})
        else:
            return None
    for column in table.columns:
        if column.name not in row:
            row[column.name] = None if column.nullable and choices.chance(25) else choices.upto(4)
    return row


def _literal(choices: Choices, table: Table, column: Column, value: int | None) -> str:
    if value is None:
        return "NULL"
    text = DOMAIN[column.type][2][value]
    # another spelling of the same value, as far as the collation is concerned; MySQL keeps the sign of a zero
    if column.kind == "t" and choices.chance(20):
        return choices.one([text.upper(), f"{text[:-1]} '"])
    return "'-0'" if column.kind == "f" and text == "0" and choices.chance(50) else text


def insert_sql(schema: Schema, rows: Rows) -> list[str]:
    """Statements that fill the tables."""
    return [
        f"INSERT INTO {table.full} VALUES {', '.join('(' + ', '.join(row) + ')' for row in rows[table.name])}"
        for table in schema.tables
        if rows[table.name]
    ]
