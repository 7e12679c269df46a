"""Probes: queries that a server answers only if it takes an expression, or the definition of a view.

In: columns, and a text in SQL. Out: a query that answers with one row. It makes nothing and reads no table: in the
place of each stands a derived table with columns of the same types and no rows. So a server can be asked whether it
has the functions and the grammar of a definition before its tables are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from .. import interpreted as interpreted  # before anything that imports sqlglot
from ..catalog import Catalog
from ..columns import BINARY_TYPES, INTEGER_TYPES, TEXT_TYPES, Column
from ..expressions import functions_called
from ..source import Created, Thing
from ..tables import Table

# isort: split
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from .collations import Flavor
from .dialect import MYSQL
from .functions import SERVER_FUNCTIONS
from .syntax import Exact, Unsupported, identifier, parse

_VALUES = {
    "decimal": "0.0",
    "float": "0e0",
    "double": "0e0",
    "bit": "b'0'",
    "date": "CAST('2000-01-01' AS DATE)",
    "datetime": "CAST('2000-01-01' AS DATETIME(6))",
    "timestamp": "CAST('2000-01-01' AS DATETIME(6))",
    "time": "CAST('00:00:00' AS TIME(6))",
    "uuid": "CAST('00000000-0000-0000-0000-000000000000' AS UUID)",
    "inet4": "CAST('0.0.0.0' AS INET4)",
    "inet6": "CAST('::' AS INET6)",
    **dict.fromkeys(("geometry", "point"), "ST_GeomFromText('POINT(0 0)')"),
    "linestring": "ST_GeomFromText('LINESTRING(0 0, 1 1)')",
    "polygon": "ST_GeomFromText('POLYGON((0 0, 0 1, 1 1, 0 0))')",
}
_VALUES_OF: dict[Flavor, dict[str, str]] = {
    "mysql": {"json": "CAST('0' AS JSON)", "vector": "STRING_TO_VECTOR('[1]')"},
    "mariadb": {"json": "CONVERT('0' USING utf8mb4)", "vector": "VEC_FromText('[1]')"},
}


def no_rows(columns: Iterable[Column], target: Flavor) -> str:
    """A SELECT of columns of these names and types, and of no rows.

    >>> print(no_rows([Column("a", "int", "int", True, None, "")], "mysql"))
    SELECT 0 AS `a` LIMIT 0
    """
    shown = ", ".join(f"{_value(column, target)} AS {MYSQL.quote(column.name)}" for column in columns)
    return f"SELECT {shown} LIMIT 0"


def _value(column: Column, target: Flavor) -> str:
    if column.data_type in TEXT_TYPES:
        return f"CONVERT('' USING {column.charset or 'utf8mb4'})"
    if column.data_type in INTEGER_TYPES:
        return "0"
    value = _VALUES.get(column.data_type) or _VALUES_OF[target].get(column.data_type)
    return value or ("CAST('' AS BINARY)" if column.data_type in BINARY_TYPES else "NULL")


def of_expression(expression: str, columns: Iterable[Column], target: Flavor) -> str:
    """Asks whether a server takes an expression over the columns of a table."""
    rows = no_rows(columns, target)
    return f"SELECT COUNT(*) FROM (SELECT {expression} AS e FROM ({rows}) AS t) AS u WHERE FALSE"


def of_call(call: str) -> str:
    """Asks whether a server has a function, by a call with constant arguments."""
    return f"SELECT COUNT(*) FROM (SELECT {call} AS e) AS t WHERE FALSE"


def of_function(function: Created) -> str:
    """Asks whether a server takes the text of a function. It makes none.

    information_schema, where the demands of restore.sh are sent, takes no functions. A server says so (error 1044) only
    of a text that it understands.
    """
    settings = "".join(f"{setting};\n" for setting in function.before)
    return f"{settings}DELIMITER ;;\n{function.sql};;\nDELIMITER ;"


def collations_named(tokens: Iterable[Token]) -> tuple[str, ...]:
    """The collations that a text names, without those of MariaDB that fit any character set.

    >>> from dj_sqlspy.servers.mysql.syntax import tokens_of
    >>> collations_named(tokens_of("SELECT 'collate' AS a, b COLLATE utf8mb4_bin, c COLLATE uca1400_ai_ci"))
    ('utf8mb4_bin',)
    """
    names = [
        following.text
        for token, following in pairwise(tokens)
        if token.token_type == TokenType.COLLATE and following.token_type in _NAMES
    ]
    return tuple(dict.fromkeys(name for name in names if not name.startswith("uca1400_")))


_NAMES = (TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING)


def called(sql: str, schema: str | None) -> set[tuple[str, str]]:
    """Schema and name of each stored function that a statement calls. The default schema is ``schema``.

    >>> called("SELECT lab.twice(x), UPPER(y), thrice(x) FROM t", "own") == {("lab", "twice"), ("own", "thrice")}
    True
    """
    try:
        return functions_called(parse(sql), schema, SERVER_FUNCTIONS)
    except Unsupported:  # lineage has reported it
        return set()


def reads(view: Table, catalog: Catalog, functions: Iterable[Created]) -> tuple[Thing, ...]:
    """The views that a view reads, and those of some functions that it calls."""
    try:
        query = parse(view.view_sql or "")
    except Unsupported:  # of which lineage has told already
        return ()
    tables = [table for table in query.find_all(exp.Table) if table.name]  # a JSON_TABLE has none
    names = {(table.db or None, table.name) for table in tables}
    found = [catalog.find(schema, name, view.schema) for schema, name in sorted(names, key=repr)]
    views = [Thing("VIEW", one.schema, one.name) for one in found if one is not None and one.is_view]
    calls = functions_called(query, view.schema, SERVER_FUNCTIONS)
    return (*views, *(one.thing for one in functions if (one.schema, one.name) in calls))


def of_view(view: Table, catalog: Catalog, target: Flavor) -> str | None:
    """Asks whether a server takes the definition of a view; None if it cannot be parsed.

    MATCH … AGAINST, which wants an index, and stored functions, which are not there yet, are left out.
    """
    try:
        query = parse(view.view_sql or "")
    except Unsupported:  # of which lineage has told already
        return None
    ctes = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in list(query.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier) or (not table.db and table.name.lower() in ctes):
            continue
        found = catalog.find(table.db or None, table.name, view.schema)
        if found is None:
            return None
        shown = table.args.get("alias") or exp.TableAlias(this=_alias(table.db, table.name))
        kept = {"alias": shown, "joins": table.args.get("joins"), "laterals": table.args.get("laterals")}
        rows = exp.Var(this=f"({no_rows(found.columns, target)})")
        table.replace(exp.Table(this=rows, **{name: part for name, part in kept.items() if part}))
    for column in list(query.find_all(exp.Column)):
        if column.db:
            column.replace(exp.Column(this=column.this, table=_alias(column.db, column.table)))
    for match in list(query.find_all(exp.MatchAgainst)):
        match.replace(exp.Literal.number("0e0"))
    for call in list(query.find_all(exp.Anonymous)):
        if isinstance(call.parent, exp.Dot):
            call.parent.replace(exp.Null())
        elif call.name.upper() not in SERVER_FUNCTIONS:
            call.replace(exp.Null())
    names = MYSQL.columns(column.name for column in view.columns)
    text = query.sql(dialect=Exact, comments=False)
    return f"WITH v ({names}) AS ({text}) SELECT COUNT(*) FROM v WHERE FALSE"


def _alias(schema: str, table: str) -> exp.Identifier:
    return identifier(f"{schema}.{table}")
