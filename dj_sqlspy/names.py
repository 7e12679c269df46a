"""Names of tables, as DataJoint and people write them.

In: names of schemas and tables. Out: full names and their parts, the tier and class behind a name, the table that a
user means. It asks no server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from .errors import SliceError


def quoted(name: str, mark: str) -> str:
    """An identifier in quotation marks; marks inside it are doubled.

    >>> quoted("a`b", "`"), quoted("session", '"')
    ('`a``b`', '"session"')
    """
    if "\0" in name or not name:
        raise ValueError(f"an SQL identifier cannot be empty or hold a NUL character: {name!r}")
    return mark + name.replace(mark, mark * 2) + mark


def split_full_name(name: str) -> tuple[str, str]:
    """Schema and table of a full name.

    >>> split_full_name("`lab`.`#species`"), split_full_name("`lab`.`ends with ```"), split_full_name('"lab"."a""b"')
    (('lab', '#species'), ('lab', 'ends with `'), ('lab', 'a"b'))
    """
    match = _FULL.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not of the form `schema`.`table`")
    if name[0] == '"':
        return match[3].replace('""', '"'), match[4].replace('""', '"')
    return match[1].replace("``", "`"), match[2].replace("``", "`")


_FULL = re.compile(r'`((?:[^`]|``)+)`\.`((?:[^`]|``)+)`|"((?:[^"]|"")+)"\."((?:[^"]|"")+)"')

_COLUMN = re.compile(rf'(?P<table>{_FULL.pattern})\.(?P<column>`(?:[^`]|``)+`|"(?:[^"]|"")+")')


def split_restricted(text: str) -> tuple[str, str | None]:
    """Split ``TABLE: restriction`` into the table name and the restriction.

    >>> split_restricted("lab.Session: project = 'a:b'"), split_restricted("`lab`.`a:b`: x=1")
    (('lab.Session', "project = 'a:b'"), ('`lab`.`a:b`', 'x=1'))
    >>> split_restricted(" lab.Session ")
    ('lab.Session', None)
    """
    quoted_name = _FULL.match(text.strip())
    end = quoted_name.end() if quoted_name else 0
    name, _, restriction = text.strip()[end:].partition(":")
    return (text.strip()[:end] + name).strip(), restriction.strip() or None


def listed(given: Any) -> list[Any]:
    """An argument as a list: a single text or table becomes a list of one.

    >>> listed("lab.session.note"), listed(("a", "b")), listed({"table_name": "`lab`.`session`"})
    (['lab.session.note'], ['a', 'b'], [{'table_name': '`lab`.`session`'}])
    """
    alone = isinstance(given, (str, Mapping)) or hasattr(given, "make_sql") or not isinstance(given, Iterable)
    return [given] if alone else list(given)


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


def shown_name(name: str) -> str:
    """A full table name as a person reads and types it.

    >>> shown_name("`lab`.`#probe_type__electrode`")
    'lab.ProbeType.Electrode'
    """
    schema, table = split_full_name(name)
    return f"{schema}.{class_name(table)}"


def shown_column(table: str, column: str) -> str:
    """A column as a person reads and types it, from the full name of its table.

    >>> shown_column("`lab`.`#probe_type__electrode`", "x_coord"), shown_column("`lab`.`subject`", "is it?")
    ('lab.ProbeType.Electrode.x_coord', 'lab.Subject.`is it?`')
    """
    if not re.fullmatch(r"\w+", column):
        column = "`" + column.replace("`", "``") + "`"  # not `quoted`: a stranger's bundle may name anything
    return f"{shown_name(table)}.{column}"


def split_column(place: str) -> tuple[str, str] | None:
    """The full name of a table, and a column of it; None if a place is something else.

    >>> split_column("`lab`.`subject`.`name`"), split_column("code/fig.py")
    (('`lab`.`subject`', 'name'), None)
    >>> split_column('"lab"."subject"."a.""b"')
    ('"lab"."subject"', 'a."b')
    """
    match = _COLUMN.fullmatch(place)
    if match is None:
        return None
    mark = match["column"][0]
    return match["table"], match["column"][1:-1].replace(mark * 2, mark)


def shown_place(place: str) -> str:
    """A place as a person reads it: a column by the name of its class, anything else as it is.

    >>> shown_place("`lab`.`subject`.`name`"), shown_place("code/fig.py")
    ('lab.Subject.name', 'code/fig.py')
    """
    column = split_column(place)
    return shown_column(*column) if column else place


def find_table(names: Iterable[str], text: str, where: str = "of the slice") -> str:
    """The full name of the table that a user means.

    >>> names = ["`lab`.`subject`", "`lab`.`_ephys__unit`"]
    >>> [find_table(names, t) for t in ("`lab`.`subject`", "lab.subject", "Subject", "lab.Ephys.Unit")]
    ['`lab`.`subject`', '`lab`.`subject`', '`lab`.`subject`', '`lab`.`_ephys__unit`']
    >>> find_table(names, "Subjects")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    dj_sqlspy.errors.SliceError: 'Subjects' names no table of the slice. Do you mean lab.Subject? ...

    Raises
    ------
    SliceError
        If no table has this name, or several have.
    """
    spellings = {name: _spellings(name) for name in names}
    found = [name for name, known in spellings.items() if text in known]
    if len(found) == 1:
        return found[0]
    if found:
        what = f"several tables: {', '.join(found)}."
    else:
        near = {each.lower(): known[-1] for known in spellings.values() for each in known}
        close = dict.fromkeys(near[each] for each in get_close_matches(text.lower(), near))
        what = f"no table {where}." + (f" Do you mean {' or '.join(close)}?" if close else "")
    raise SliceError(f"{text!r} names {what} Name it as `schema`.`table` or schema.ClassName.")


def _spellings(name: str) -> tuple[str, ...]:
    """How a table can be named, by its full name; the last one is for messages."""
    schema, table = split_full_name(name)
    return name, table, class_name(table), f"{schema}.{table}", f"{schema}.{class_name(table)}"
