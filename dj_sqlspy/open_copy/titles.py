"""Titles: names of files and columns that are made from other names.

In: names. Out: names that a file system, or a table, can have beside each other. It makes no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..errors import SpyError
from ..journal import encode_name
from ..names import split_full_name

TITLE_BYTES = 100  # of the names of tables in a file's name; a file system takes 255 bytes in all


def title_of(tables: Sequence[str]) -> str:
    """A part of a name from the names of tables.

    >>> title_of(["`lab`.`_spike__unit`", "`lab`.`#task`"])
    'spike__unit-task'
    """
    words = [re.sub(r"\W+", "_", split_full_name(table)[1]).strip("_") for table in tables[:3]]
    return "-".join(filter(None, words)).encode()[:TITLE_BYTES].decode(errors="ignore") or "result"


def file_name(name: str) -> str:
    """A name of a file or folder from that of a table or an analysis, which can be empty, or too long for one.

    >>> file_name("fig/1"), file_name(""), file_name("ab" * 200)
    ('fig%2F1', '_', 'abababababababababab')
    """
    try:
        return encode_name(name)
    except SpyError:
        return encode_name(name[:20] or "_")


def distinct(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The names, changed where one differs only in case from an earlier one or from one that is taken.

    Some file systems, and DuckDB, do not tell cases apart.

    >>> distinct(["a", "A", "b", ""], taken=["B"])
    ['a', 'A_2', 'b_2', '_']
    >>> distinct(["a", "A", "a_2"])
    ['a', 'A_3', 'a_2']
    """
    names = list(names)
    given = {name.lower() for name in names}
    known = {name.lower() for name in taken}
    numbers: dict[str, int] = {}  # the last one that a name was given
    found = []
    for name in names:
        one, number = name or "_", numbers.get(name.lower(), 1)
        while one.lower() in known or (number > 1 and one.lower() in given):
            number += 1
            one = f"{name}_{number}"
        numbers[name.lower()] = number
        known.add(one.lower())
        found.append(one)
    return found
