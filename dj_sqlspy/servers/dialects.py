"""Dialects: the `Dialect` of a flavor."""

from __future__ import annotations

from .dialect import Dialect
from .mysql.dialect import MYSQL


def dialect_of(flavor: str) -> Dialect:
    """How servers of this flavor write SQL.

    >>> dialect_of("mariadb").name, dialect_of("postgresql").name
    ('mysql', 'postgresql')
    """
    if flavor == "postgresql":
        from .postgresql.dialect import POSTGRESQL

        return POSTGRESQL
    return MYSQL
