"""Bounds: what a user gives to keep a slice inside of some rows.

In: restricted DataJoint tables. Out: `Bound`s. Which rows lie inside of them is told by `cascade.inside`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..cascade.options import Bound
from ..compat import as_expression, sql_of
from ..errors import SliceError


def bounds_of(items: Iterable[Any]) -> tuple[Bound, ...]:
    """Bounds from restricted DataJoint tables, such as ``Session & "project='X'"``.

    Raises
    ------
    SliceError
        For anything that is not a table, restricted or not.
    """
    found = []
    for item in items:
        table = as_expression(item, None)
        name = getattr(table, "full_table_name", None)
        if not isinstance(name, str):
            raise SliceError(
                f"Bounding a slice: {item!r} is not a restricted table but a computed expression. Give the table "
                "whose rows bound the slice, with the expression as its restriction: `Session & expression`."
            )
        found.append(Bound(name, sql_of(table)))
    return tuple(found)
