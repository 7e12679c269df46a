"""Shell words: bash scripts, and lists of texts as words of them.

In: texts, such as names and SQL, and the file with the fixed part of a script. Out: the script, with lines of shell
functions in which nothing is expanded; and a pattern of such scripts, by which one from a stranger is known to hold
nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

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


# ---------------------------------------------------------------- scripts

_HOLE = re.compile("@([a-z_]+)@")


def fixed_part(package: str, name: str) -> str:
    """A file in the folder ``scripts`` of a package."""
    return resources.files(package).joinpath("scripts").joinpath(name).read_text(encoding="utf-8")


def client_part(package: str) -> str:
    """The part of a package's scripts with their options and the client of its servers."""
    assert __package__ is not None
    return filled(
        fixed_part(package, "client.sh"), {"common": fixed_part(__package__, "common.sh").rstrip("\n")}
    )


def filled(text: str, values: Mapping[str, str]) -> str:
    """A script with its ``@words@`` replaced in one pass, so inserted text is not replaced again."""
    return _HOLE.sub(lambda match: values[match[1]], text)


def form(text: str, holes: Mapping[str, str]) -> re.Pattern[str]:
    """The pattern of a script, with a pattern for each ``@word@`` that is no list of quoted words."""
    parts = _HOLE.split(text)
    return re.compile(
        "".join(holes.get(part, CALLS) if i % 2 else re.escape(part) for i, part in enumerate(parts))
    )
