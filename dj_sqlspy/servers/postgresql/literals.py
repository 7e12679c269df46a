"""Literals: values, names and comments in statements, which may reveal something private.

In: the text of a statement. Out: the values, names and comments in it (`texts`).
"""

from __future__ import annotations

from collections.abc import Collection

from .. import texts
from ..source import Texts
from .syntax import tokens_of

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
