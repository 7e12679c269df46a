"""Generated columns of a dump from MariaDB, for MySQL.

In: the slice and a cursor on its source, a MariaDB. Out: for each generated column of a table with rows that MySQL can
be given, how. MariaDB's dumps hold values for generated columns, which MySQL refuses: restore.sh loads them into
plain columns, and then has MySQL generate them. It changes no dump.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..source import Generated
from ..tables import Table
from .dialect import MYSQL

_DEFINITION = re.compile(r"  (`(?:[^`]|``)+`) (.*?) GENERATED ALWAYS AS \(")


def generated_columns(cursor: Any, tables: Iterable[Table]) -> tuple[Generated, ...]:
    """The generated columns of tables with rows that MySQL can be given.

    A stored one is changed in place, which keeps its indexes. A virtual one MySQL can only drop and add again; where
    it has an index, it is left out. So is one of type ENUM or SET, and one with a text that MySQL 9.7 refuses to have
    changed (with an escape, or a character of four bytes).
    """
    found: list[Generated] = []
    for table in tables:
        if not any(column.generated for column in table.columns):
            continue
        cursor.execute(
            "SELECT DISTINCT column_name FROM information_schema.statistics"
            " WHERE table_schema = %s AND table_name = %s",
            (table.schema, table.name),
        )
        indexed = {MYSQL.quote(str(name)) for (name,) in cursor.fetchall()}
        nulls = ", ".join(f"NULL AS {MYSQL.quote(column.name)}" for column in table.columns)
        place = "FIRST"
        for line in _definition(cursor, table.full_name).split("\n"):
            if not line.startswith("  `"):
                continue
            before, definition = place, line.removesuffix(",")
            name = re.match(r"  (`(?:[^`]|``)+`)", line)
            place = f"AFTER {name[1]}" if name else place
            match = _DEFINITION.match(definition)
            if match is None or "'" in match[2]:
                continue
            expression = _enclosed(definition, match.end() - 1)
            stored = definition[match.end() - 1 + len(expression) :].lstrip().startswith("STORED")
            if (match[1] in indexed and not stored) or "\\" in expression or max(expression) > "\uffff":
                continue
            if any("\udc80" <= character <= "\udcff" for character in definition):  # bytes that are no text
                continue
            # the definition is on a line of its own, as in a dump: restore.sh translates collations there
            change = (
                f"MODIFY COLUMN\n{definition}"
                if stored
                else f"DROP COLUMN {match[1]}, ADD COLUMN\n{definition} {before}"
            )
            probe = f"SELECT {expression} FROM (SELECT {nulls}) AS t"
            column = match[1][1:-1].replace("``", "`")
            found.append(Generated(table.schema, table.name, column, change, probe))
    return tuple(found)


def _definition(cursor: Any, name: str) -> str:
    """The CREATE TABLE of a table, where information_schema holds no character of four bytes.

    The default of a column of bytes stands in it as it is, so the driver must not decode it.
    """
    connection = cursor.connection
    before, connection.use_unicode = connection.use_unicode, False
    try:
        cursor.execute(f"SHOW CREATE TABLE {name}")
        return bytes(cursor.fetchone()[1]).decode("utf-8", "surrogateescape")
    finally:
        connection.use_unicode = before


def _enclosed(text: str, start: int) -> str:
    r"""What stands in the parentheses that open at ``start``, with them.

    >>> _enclosed(r"AS (f('\\ \' )', (`a)`))) STORED COMMENT 'x)'", 3)
    "(f('\\\\ \\' )', (`a)`)))"
    """
    depth, position = 0, start
    while position < len(text):
        character = text[position]
        if character in "'`\"":
            position += 1
            while text[position] != character:
                position += 2 if text[position] == "\\" and character != "`" else 1
        depth += (character == "(") - (character == ")")
        position += 1
        if not depth:
            break
    return text[start:position]
