"""Tables: base tables, views and foreign keys, as the server's own catalog describes them.

In: rows of the catalog. Out: `Table` and `ForeignKey`. A table carries the dialect of its names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .columns import Column
from .dialect import Dialect
from .mysql.dialect import MYSQL


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: ``columns`` of ``child`` refer to ``parent_columns`` of ``parent`` (full table names)."""

    name: str
    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    virtual: bool = False


def orphans(fk: ForeignKey, dialect: Dialect) -> str:
    """FROM and WHERE of a SELECT of the rows without a parent.

    A row with a NULL in one of the columns has no parent to look for (MATCH SIMPLE, the only kind that all servers
    have). An outer join would be wrong, since MySQL's date 0000-00-00 IS NULL.

    >>> print(orphans(ForeignKey("f", "`s`.`b`", ("x",), "`s`.`a`", ("y",)), MYSQL))
    `s`.`b` AS `c` WHERE `c`.`x` IS NOT NULL AND NOT EXISTS (SELECT 1 FROM `s`.`a` AS `p` WHERE `c`.`x` = `p`.`y`)
    """
    child, parent = dialect.quote("c"), dialect.quote("p")
    on = dialect.equal(fk.columns, "c", fk.parent_columns, "p")
    refers = " AND ".join(f"{dialect.columns([column], 'c')} IS NOT NULL" for column in fk.columns)
    missing = f"NOT EXISTS (SELECT 1 FROM {fk.parent} AS {parent} WHERE {on})"
    return f"{fk.child} AS {child} WHERE {refers} AND {missing}"


@dataclass(frozen=True)
class Table:
    """A base table or a view. If the `Catalog` was read without columns, they are read on first use."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    engine: str | None = None
    view_sql: str | None = None
    comment: str = ""
    collation: str | None = None
    dialect: Dialect = field(default=MYSQL, repr=False, compare=False)
    refused: str = ""  # what it is, if no slice can hold its rows

    @classmethod
    def without_columns(cls, read: Callable[[str], None], **fields: Any) -> Table:
        """A table whose columns are read later by ``read(schema)``."""
        table = cls.__new__(cls)
        table.__dict__.update({"dialect": MYSQL, "refused": "", **fields}, _read=read)
        return table

    def __getattr__(self, name: str) -> Any:
        read = self.__dict__.get("_read")
        if name != "columns" or read is None:
            raise AttributeError(name)
        read(self.schema)
        return self.__dict__["columns"]

    @cached_property
    def full_name(self) -> str:
        return self.dialect.full_name(self.schema, self.name)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by lower-case name; both servers ignore case in column names."""
        return {column.name.lower(): column for column in self.columns}

    def column(self, name: str) -> Column:
        return self.by_name[name.lower()]

    @property
    def is_view(self) -> bool:
        return self.view_sql is not None

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row: the primary key, or all columns if there is none."""
        return self.primary_key or tuple(column.name for column in self.columns)
