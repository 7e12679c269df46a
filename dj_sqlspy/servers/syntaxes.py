"""Syntaxes: the `Syntax` of a dialect."""

from __future__ import annotations

from .dialect import Dialect
from .expressions import Syntax
from .mysql.reading import MYSQL_SYNTAX as MYSQL_SYNTAX


def syntax_of(dialect: Dialect) -> Syntax:
    """How statements for a server of this dialect are parsed, checked and written."""
    if dialect.name == "postgresql":
        from .postgresql.reading import POSTGRESQL_SYNTAX

        return POSTGRESQL_SYNTAX
    return MYSQL_SYNTAX
