"""Shell words: lists of texts as words of a bash script.

In: texts, such as names and SQL. Out: lines of a shell function, in which nothing is expanded; and a pattern of such
lines, by which a script from a stranger is known to hold nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

WORD = r"(?:'[^'\n]*'|\$'(?:[^'\\\n]|\\['\\n]|\\[0-7]{3})*')"
CALLS = rf'(?:    :|    "\$@"(?: {WORD})+(?:\n    "\$@"(?: {WORD})+)*)'


def calls(lines: Iterable[Sequence[str]]) -> str:
    """Lines of a shell function that runs its arguments with each list of words.

    >>> print(calls([("lab", "#species"), ("lab", "session")]))
        "$@" 'lab' '#species'
        "$@" 'lab' 'session'
    """
    out = ['    "$@" ' + " ".join(map(shell_word, words)) for words in lines]
    return "\n".join(out) or "    :"


def shell_word(text: str) -> str:
    r"""A text as one bash word on one line.

    >>> print(shell_word("`a` = $HOME"), shell_word("it's\n"))
    '`a` = $HOME' $'it\'s\n'
    """
    if "'" not in text and text.isprintable():
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return "$'" + re.sub("[\x01-\x1f\x7f]", lambda match: f"\\{ord(match[0]):03o}", escaped) + "'"


def one_line(text: str) -> str:
    """A text for a comment of a script."""
    return "".join(character if character.isprintable() else " " for character in text)
