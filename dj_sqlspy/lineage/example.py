"""Example: the catalog and functions for examples in docstrings.

In: SQL on the tables ``a``, ``b`` and ``c`` and the view ``big`` of the schema ``s``. Out: its tree, and a tree's SQL.
"""

from __future__ import annotations

import textwrap

from sqlglot import exp

from ..servers.catalog import Catalog
from ..servers.columns import Column
from ..servers.mysql.dialect import MYSQL
from ..servers.mysql.syntax import Exact, parse
from ..servers.tables import Table
from .generate import to_sql
from .resolve import resolve
from .simplify import simplify
from .tree import Block, Query


def _table(name: str, key: str, *others: str, view_sql: str | None = None) -> Table:
    columns = tuple(
        Column(column, "varchar" if column == "t" else "int", "int", column in others, None, "")
        for column in (*key.split(), *others)
    )
    return Table("s", name, columns, tuple(key.split()), view_sql=view_sql)


_TABLES = (
    _table("a", "id", "x", "t"),
    _table("b", "id n", "y"),
    _table("c", "id", "x"),
    _table("big", "", "id", "x", view_sql="SELECT id, x FROM s.a WHERE x > 15"),
)
CATALOG = Catalog({table.full_name: table for table in _TABLES}, ())


def resolved(sql: str) -> Block:
    """The tree of a SELECT before `simplify.PASSES`."""
    query = resolve(parse(sql), CATALOG, "s")
    assert isinstance(query, Block)
    return query


def tree(sql: str) -> Block:
    """The tree of a SELECT."""
    query = simplify(resolved(sql))
    assert isinstance(query, Block)
    return query


def show(query: Query) -> None:
    """Print the SQL of a tree without backticks. Aliases from passes are numbered from 1."""
    text = parse(to_sql(query, MYSQL))
    numbers: dict[str, int] = {}
    for node in text.find_all(exp.Identifier, bfs=False):
        alias, dot, rest = node.name.partition(".")
        letter, _, number = alias.partition("~")
        if number:
            node.set("this", f"{letter}{numbers.setdefault(alias, len(numbers) + 1)}{dot}{rest}")
    print(textwrap.fill(text.sql(dialect=Exact).replace("`", ""), 96))
