"""Literals: values, names and comments in structure and statements, which may reveal something private.

In: a connection to a server that holds a slice, or the text of a statement. Out: the values, names and comments in it,
with their places. A person decides whether one of them is private (`bundle.privacy`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import Any

from ...names import split_full_name
from .. import texts
from ..source import Texts
from .definition import Definition, Tokens, comments_of, name_of, uncommented, values_in
from .definition import tokens_of as definition_tokens
from .dialect import MYSQL
from .structure import read_definition
from .syntax import LITERALS, tokens_of

# Functions that take a password or a key.
_SECRET_FUNCTIONS = frozenset(
    """
AES_DECRYPT AES_ENCRYPT DECODE DES_DECRYPT DES_ENCRYPT ENCODE ENCRYPT OLD_PASSWORD PASSWORD
""".split()  # noqa: SIM905
)

# ---------------------------------------------------------------- statements


def texts_of(sql: str) -> Texts:
    r"""The literals, names, comments and possible secrets in an SQL text.

    >>> texts_of("SELECT a AS `Ada` FROM t WHERE b = 'it''s' /* rig 3 */ AND c > 2")
    Texts(literals=("it's", '2'), names=('a', 'Ada', 't', 'b', 'c'), comments=('rig 3',), secrets=())
    >>> texts_of("SELECT AES_DECRYPT(x, 'k') FROM t").secrets, texts_of("SELECT 1 -- password: k").secrets
    (('AES_DECRYPT',), ('password: k',))
    """
    return texts.texts_of(sql, tokens_of, LITERALS, _SECRET_FUNCTIONS)


def without_names(sql: str, names: Collection[str]) -> str:
    """The text with question marks in place of these names (given in lower case).

    >>> without_names("SELECT x AS `Ada` FROM t ORDER BY Ada", {"ada"})
    'SELECT x AS ? FROM t ORDER BY ?'
    """
    return texts.without_names(sql, names, tokens_of)


# ---------------------------------------------------------------- structure


def structure_texts(connection: Any, tables: Iterable[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Texts in the structure of tables: where each is, what it is, and its values.

    Parameters
    ----------
    connection : pymysql connection
        To a server that holds a slice and nothing else.
    tables : iterable of str
        Full names of the base tables of the slice.
    """
    schemas = []
    with connection.cursor() as cursor:
        for table in tables:
            schemas.append(split_full_name(table)[0])
            yield from _in_definition(table, read_definition(cursor, table))
        for schema in dict.fromkeys(schemas):
            yield from _in_views(cursor, schema)
            yield from _in_functions(cursor, schema)


def _in_definition(table: str, definition: Definition) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for column in definition.columns:
        place = f"{table}.{MYSQL.quote(column.name)}"
        if column.type.split("(")[0].lower() in ("enum", "set"):
            yield place, "values of a type", values_in(definition_tokens(column.type))
        for clause in column.clauses:
            values = values_in(clause.tokens)
            if clause.kind == "DEFAULT" and (told := tuple(v for v in values if v not in texts.PLAIN)):
                yield place, "default", told
            elif clause.kind in ("CHECK", "GENERATED ALWAYS AS") and values:
                yield place, "condition" if clause.kind == "CHECK" else "generated column", values
    if comments := comments_of(definition):
        yield table, "comments", comments
    for key in definition.keys:
        for part in key.parts:
            values = values_in(part)
            if key.kind == "CHECK" and values:
                yield table, "condition", values
            elif part[0].text == "(" and values:  # the key of an expression, as of a generated column
                yield table, "generated column", values
    if definition.partitions:
        yield table, "partitions", _of_partitions(uncommented(definition.partitions))


def _of_partitions(tokens: Tokens) -> tuple[str, ...]:
    """Values of partitions, and their names."""
    named = (
        name_of(following)
        for token, following in pairwise(tokens)
        if token.word in ("PARTITION", "SUBPARTITION") and following.word != "BY"
    )
    return tuple(dict.fromkeys([*named, *values_in(tokens)]))


def _in_views(cursor: Any, schema: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    cursor.execute(
        "SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = %s", (schema,)
    )
    for name, text in cursor.fetchall():
        if values := texts_of(str(text)).literals:
            yield MYSQL.full_name(schema, name), "view", values


def _in_functions(cursor: Any, schema: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    cursor.execute(
        "SELECT routine_name, routine_definition FROM information_schema.routines WHERE routine_schema = %s",
        (schema,),
    )
    for name, text in cursor.fetchall():
        found = texts_of(str(text))
        if values := (*found.literals, *found.comments):
            yield MYSQL.full_name(schema, name), "stored function", values
