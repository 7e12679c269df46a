"""Literals: values, names and comments in structure and statements, which may reveal something private.

In: a connection to a database that holds a slice, or the text of a statement. Out: the values, names and comments in
it, with their places.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from .. import texts
from ..source import Texts
from .dialect import POSTGRESQL
from .objects import FIRST_OWN
from .syntax import tokens_of
from .transaction import reading

# isort: split
from sqlglot.tokens import TokenType  # type: ignore[attr-defined]

# `tokens_of` makes strings of the other kinds.
LITERALS = frozenset(
    {
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.HEX_STRING,
        TokenType.BIT_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.UNICODE_STRING,
    }
)

# Functions of pgcrypto that take a password or a key.
_SECRET_FUNCTIONS = frozenset(
    """
CRYPT DECRYPT DECRYPT_IV DEARMOR ENCRYPT ENCRYPT_IV HMAC PGP_PUB_DECRYPT PGP_PUB_DECRYPT_BYTEA PGP_PUB_ENCRYPT
PGP_PUB_ENCRYPT_BYTEA PGP_SYM_DECRYPT PGP_SYM_DECRYPT_BYTEA PGP_SYM_ENCRYPT PGP_SYM_ENCRYPT_BYTEA
""".split()  # noqa: SIM905
)


def texts_of(sql: str) -> Texts:
    r"""The literals, names, comments and possible secrets in an SQL text.

    >>> texts_of("SELECT a AS \"Ada\" FROM t WHERE b = E'it\\'s' AND d = $x$ it $x$ /* rig 3 */ AND c > 2")
    Texts(literals=("it's", ' it ', '2'), names=('a', 'Ada', 't', 'b', 'd', 'c'), comments=('rig 3',), secrets=())
    >>> texts_of("SELECT crypt(x, 'k') FROM t").secrets, texts_of("SELECT 1 -- password: k").secrets
    (('CRYPT',), ('password: k',))
    """
    return texts.texts_of(sql, tokens_of, LITERALS, _SECRET_FUNCTIONS)


def without_names(sql: str, names: Collection[str]) -> str:
    """The text with question marks in place of these names (given in lower case).

    >>> without_names('SELECT x AS "Ada" FROM t ORDER BY Ada', {"ada"})
    'SELECT x AS ? FROM t ORDER BY ?'
    """
    return texts.without_names(sql, names, tokens_of)


# ---------------------------------------------------------------- structure

# Schema, table and column (NULL: of the table), what it is, and the SQL of an expression.
_EXPRESSIONS = f"""
SELECT n.nspname, c.relname, a.attname,
    CASE WHEN a.attgenerated <> '' THEN 'generated column' ELSE 'default' END, pg_get_expr(d.adbin, d.adrelid)
FROM pg_attrdef AS d JOIN pg_class AS c ON c.oid = d.adrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.adnum
WHERE c.oid >= {FIRST_OWN} AND pg_get_expr(d.adbin, d.adrelid) NOT LIKE 'nextval(%::regclass)'
UNION ALL
SELECT n.nspname, COALESCE(c.relname, t.typname), NULL, 'condition', pg_get_expr(k.conbin, k.conrelid)
FROM pg_constraint AS k JOIN pg_namespace AS n ON n.oid = k.connamespace
LEFT JOIN pg_class AS c ON c.oid = k.conrelid LEFT JOIN pg_type AS t ON t.oid = k.contypid
WHERE k.contype = 'c' AND k.oid >= {FIRST_OWN}
UNION ALL
SELECT n.nspname, c.relname, NULL, 'generated column', pg_get_expr(i.indexprs, i.indrelid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indexprs IS NOT NULL AND c.oid >= {FIRST_OWN}
UNION ALL
SELECT n.nspname, c.relname, NULL, 'condition', pg_get_expr(i.indpred, i.indrelid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indpred IS NOT NULL AND c.oid >= {FIRST_OWN}
UNION ALL
SELECT n.nspname, c.relname, NULL, 'view', pg_get_viewdef(c.oid)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND c.oid >= {FIRST_OWN}
UNION ALL
SELECT n.nspname, p.proname, NULL, 'stored function', COALESCE(pg_get_function_sqlbody(p.oid), p.prosrc)
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE p.oid >= {FIRST_OWN}
"""

_LABELS = f"""
SELECT n.nspname, c.relname, a.attname, e.enumlabel
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_type AS t ON t.oid = a.atttypid JOIN pg_enum AS e ON e.enumtypid IN (t.oid, t.typelem)
WHERE c.relkind IN ('r', 'p') AND c.oid >= {FIRST_OWN} ORDER BY 1, 2, a.attnum, e.enumsortorder
"""

# DataJoint's type of a column stands before its comment, between colons.
_COMMENTS = f"""
SELECT COALESCE(format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""')), o.identity),
    CASE WHEN d.objsubid > 0 THEN regexp_replace(d.description, '^:[^:]*:', '') ELSE d.description END
FROM pg_description AS d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, 0) AS o
LEFT JOIN (pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace)
    ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
WHERE d.objoid >= {FIRST_OWN} ORDER BY 1, d.objsubid
"""


def structure_texts(connection: Any, tables: Iterable[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Texts in the structure of a database: where each is, what it is, and its values.

    Parameters
    ----------
    connection : psycopg2 connection
        To a database that holds a slice and nothing else: whatever is in it is looked at.
    tables : iterable of str
        Not used.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    with reading(connection) as cursor:
        cursor.execute(_LABELS)
        for schema, table, column, label in cursor.fetchall():
            found.setdefault((_place(schema, table, column), "values of a type"), {})[label] = None
        cursor.execute(_EXPRESSIONS)
        for schema, table, column, what, sql in cursor.fetchall():
            texts_in_it = texts_of(str(sql))
            values = [*texts_in_it.literals, *(texts_in_it.comments if what == "stored function" else ())]
            told = [value for value in values if what != "default" or value not in texts.PLAIN]
            if told:
                found.setdefault((_place(schema, table, column), what), {}).update(dict.fromkeys(told))
        cursor.execute(_COMMENTS)
        for place, comment in cursor.fetchall():
            if comment:
                found.setdefault((str(place), "comments"), {})[str(comment)] = None
    for (where, what), each in found.items():
        yield where, what, tuple(each)


def _place(schema: str, table: str, column: str | None) -> str:
    name = POSTGRESQL.full_name(schema, table)
    return name if column is None else f"{name}.{POSTGRESQL.quote(column)}"
