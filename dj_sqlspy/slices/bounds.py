"""Bounds: keep a slice inside of the rows that a user gives.

In: restricted DataJoint tables, or texts such as ``lab.Session: project='X'``. Out: `Bound`s. `cascade.inside` tells
which rows are inside of them.
"""

from __future__ import annotations

from typing import Any

import datajoint

from ..cascade.options import Bound
from ..compat import as_expression, sql_of
from ..errors import SliceError
from ..names import find_table, listed, split_full_name, split_restricted
from ..servers import backend_of
from ..spy.session import paused


def bounds_of(items: Any, connection: Any = None) -> tuple[Bound, ...]:
    """Bounds from restricted DataJoint tables, such as ``Session & "project='X'"``, or from texts.

    Parameters
    ----------
    items : restricted table, str, or iterable of these
        A text is the name of a table, with its schema, and a restriction in SQL: ``lab.Session: project='X'``.
    connection : datajoint.Connection, optional
        For tables that are named by texts; default ``dj.conn()``.

    Raises
    ------
    SliceError
        For anything that is not a table, restricted or not.
    """
    found = []
    for item in listed(items):
        table = as_expression(_named(item, connection) if isinstance(item, str) else item, connection)
        name = getattr(table, "full_table_name", None)
        if not isinstance(name, str):
            raise SliceError(
                f"Bounding a slice: {item!r} is not a restricted table but a computed expression. Give the table "
                "whose rows bound the slice, with the expression as its restriction: `Session & expression`."
            )
        found.append(Bound(name, sql_of(table)))
    return tuple(found)


def _named(text: str, connection: Any) -> dict[str, Any]:
    """The table and the restriction in a text."""
    name, restriction = split_restricted(text)
    schema, dot, _ = name.partition(".")
    if name.startswith(("`", '"')):
        try:
            schema, _ = split_full_name(name)
        except ValueError:
            dot = ""
    elif restriction is None and " " in name:
        dot = ""
    if not dot:
        raise SliceError(
            f"Bounding a slice: {text!r} is not of the form schema.Table: restriction, "
            "such as lab.Session: project='X'."
        )
    backend = backend_of(connection)
    connection = connection or datajoint.conn()
    with paused():
        tables = backend.table_names(connection, schema)
    full_name = find_table(
        [backend.dialect.full_name(schema, table) for table in tables], name, f"in the schema {schema!r}"
    )
    return {"table_name": full_name, "restriction": True if restriction is None else restriction}
