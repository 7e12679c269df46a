"""SQL text: the one place that quotes identifiers and writes literals.

In: names and values. Out: SQL text that means the same on MySQL and MariaDB whatever the value holds.
It does not parse and does not talk to a server.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


def quote(name: str) -> str:
    """Quote one identifier.

    >>> quote("session")
    '`session`'
    >>> quote("a`b")
    '`a``b`'
    """
    if "\0" in name or not name:
        raise ValueError(f"an SQL identifier cannot be empty or hold a NUL character: {name!r}")
    return "`" + name.replace("`", "``") + "`"


@lru_cache(maxsize=10_000)
def full_name(schema: str, table: str) -> str:
    """Quoted, schema-qualified table name, as DataJoint's ``full_table_name``.

    >>> full_name("lab", "#species")
    '`lab`.`#species`'
    """
    return f"{quote(schema)}.{quote(table)}"


def split_full_name(name: str) -> tuple[str, str]:
    """Inverse of `full_name`.

    >>> split_full_name("`lab`.`#species`")
    ('lab', '#species')
    """
    schema, separator, table = name.strip("`").replace("``", "\0").partition("`.`")
    if not separator:
        raise ValueError(f"{name!r} is not of the form `schema`.`table`")
    return schema.replace("\0", "`"), table.replace("\0", "`")


def columns(names: Iterable[str], alias: str | None = None) -> str:
    """Comma-separated quoted column names.

    >>> columns(["a", "b"])
    '`a`, `b`'
    >>> columns(["a"], "t0")
    '`t0`.`a`'
    """
    prefix = f"{quote(alias)}." if alias else ""
    return ", ".join(prefix + quote(name) for name in names)


def string_literal(value: str) -> str:
    r"""A string literal that holds under every ``sql_mode`` and survives a shell file.

    Printable ASCII without backslash stays readable; anything else is written as the hexadecimal
    bytes of its UTF-8 form with an introducer, so neither NO_BACKSLASH_ESCAPES nor the charset of the
    client matters.

    >>> string_literal("it's")
    "'it''s'"
    >>> string_literal("a\\b")
    "_utf8mb4 X'615C62'"
    """
    if value.isascii() and value.isprintable() and "\\" not in value:
        return "'" + value.replace("'", "''") + "'"
    return f"_utf8mb4 {bytes_literal(value.encode())}"


def bytes_literal(value: bytes) -> str:
    """A binary string literal.

    >>> bytes_literal(b"\\x00a")
    "X'0061'"
    """
    return f"X'{value.hex().upper()}'"


def short(sql: str, length: int = 160) -> str:
    """A statement on one line, cut in the middle where it is long."""
    line = " ".join(sql.split())
    return line if len(line) <= length else f"{line[: length * 2 // 3]} … {line[-length // 3 :]}"
