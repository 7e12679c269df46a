"""Names: how tables are named, as DataJoint and people do.

In: names of schemas and tables. Out: full names and back, the tier and the class that a name tells, the table that a
person means. It asks no server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import SliceError


def quoted(name: str, mark: str) -> str:
    """An identifier between quotation marks, which it may hold.

    >>> quoted("a`b", "`"), quoted("session", '"')
    ('`a``b`', '"session"')
    """
    if "\0" in name or not name:
        raise ValueError(f"an SQL identifier cannot be empty or hold a NUL character: {name!r}")
    return mark + name.replace(mark, mark * 2) + mark


def split_full_name(name: str) -> tuple[str, str]:
    """Schema and table of a full name.

    >>> split_full_name("`lab`.`#species`"), split_full_name("`lab`.`ends with ```")
    (('lab', '#species'), ('lab', 'ends with `'))
    """
    match = _FULL.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not of the form `schema`.`table`")
    return match[1].replace("``", "`"), match[2].replace("``", "`")


_FULL = re.compile(r"`((?:[^`]|``)+)`\.`((?:[^`]|``)+)`")

_TIERS = (("__", "computed"), ("_", "imported"), ("#", "lookup"), ("~", "hidden"))


def tier_of(table: str) -> str:
    """The tier of a table, from its name without the schema.

    >>> tier_of("session"), tier_of("#species"), tier_of("_ephys"), tier_of("__psth"), tier_of("~external_raw")
    ('manual', 'lookup', 'imported', 'computed', 'hidden')
    """
    return next((tier for prefix, tier in _TIERS if table.startswith(prefix)), "manual")


def class_name(table: str) -> str:
    """The name of a table's class in Python, from its name without the schema.

    >>> class_name("#probe_type__electrode"), class_name("__psth"), class_name("~external_raw")
    ('ProbeType.Electrode', 'Psth', '~external_raw')
    """
    if table.startswith("~") or not re.fullmatch(r"[#\w]+", table):
        return table  # not a name that DataJoint gives to a class
    words = re.split(r"(?<=\w)__(?=\w)", table.lstrip("#_~"))
    return ".".join(re.sub(r"(?:^|[_\W])+([a-zA-Z0-9])", lambda m: m[1].upper(), word) for word in words)


def find_table(names: Iterable[str], text: str) -> str:
    """The full name of the table that a person means.

    >>> names = ["`lab`.`subject`", "`lab`.`_ephys__unit`"]
    >>> [find_table(names, t) for t in ("`lab`.`subject`", "lab.subject", "Subject", "lab.Ephys.Unit")]
    ['`lab`.`subject`', '`lab`.`subject`', '`lab`.`subject`', '`lab`.`_ephys__unit`']

    Raises
    ------
    SliceError
        If no table has this name, or several have.
    """
    found = []
    for name in names:
        schema, table = split_full_name(name)
        known = {name, table, class_name(table)}
        if text in known | {f"{schema}.{table}", f"{schema}.{class_name(table)}"}:
            found.append(name)
    if len(found) != 1:
        what = f"several tables: {', '.join(found)}" if found else "no table of the slice"
        raise SliceError(f"{text!r} names {what}. Name it as `schema`.`table` or schema.ClassName.")
    return found[0]
