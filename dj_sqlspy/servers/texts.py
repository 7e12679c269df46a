"""Texts: the values, names and comments in an SQL text, from its tokens.

In: a text, and how a kind of server reads it. Out: `Texts`, which may reveal something private. A text that cannot be
read is a value as a whole. A person decides whether one of them is private (`bundle.privacy`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from .expressions import Unsupported
from .source import Texts

# isort: split
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

TokensOf: TypeAlias = Callable[[str], "list[Token]"]

# Defaults that reveal nothing.
PLAIN = frozenset({"", "0", "1", "0.0", "1.0"})

# Parts of names and comments that hint at a secret.
_SECRET_WORDS = ("password", "passwd", "passphrase", "pwd", "secret", "token", "api_key", "apikey")

_NAMES = frozenset({TokenType.VAR, TokenType.IDENTIFIER})


def texts_of(
    sql: str, tokens_of: TokensOf, literals: Collection[TokenType], secret_functions: Collection[str]
) -> Texts:
    """The literals, names, comments and possible secrets in an SQL text.

    Parameters
    ----------
    sql : str
    tokens_of : callable
        The tokens of a text. Raises `Unsupported`.
    literals : collection of TokenType
        Types of tokens that are values.
    secret_functions : collection of str
        Functions that take a password or a key, in upper case.
    """
    try:
        tokens = tokens_of(sql)
    except Unsupported:
        return Texts((sql,), (), (), ())
    comments = tuple(dict.fromkeys(text.strip() for token in tokens for text in token.comments))
    values = tuple(dict.fromkeys(token.text for token in tokens if token.token_type in literals))
    names = tuple(dict.fromkeys(token.text for token in tokens if token.token_type in _NAMES))
    secrets = _secrets(tokens, names if values else (), comments, secret_functions)
    return Texts(values, names, comments, tuple(dict.fromkeys(secrets)))


def _secrets(
    tokens: Sequence[Token], names: Iterable[str], comments: Iterable[str], functions: Collection[str]
) -> Iterator[str]:
    for token, following in pairwise(tokens):
        if token.text.upper() in functions and following.token_type == TokenType.L_PAREN:
            yield token.text.upper()
    for text in (*comments, *names):
        if any(word in text.lower() for word in _SECRET_WORDS):
            yield text


def without_names(sql: str, names: Collection[str], tokens_of: TokensOf) -> str:
    """The text with question marks in place of these names (given in lower case)."""
    try:
        tokens = tokens_of(sql)
    except Unsupported:
        return "?"
    parts, place = [], 0
    for token in tokens:
        if token.token_type in _NAMES and token.text.lower() in names:
            parts += [sql[place : token.start], "?"]
            place = token.end + 1
    return "".join([*parts, sql[place:]])
