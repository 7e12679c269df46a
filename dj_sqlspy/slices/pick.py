"""Pick: slices of hand-picked rows, without anything captured.

In: DataJoint expressions. Out: the closed `Slice` of the rows behind them. Each expression counts as the statement that
DataJoint would send to fetch it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..compat import as_expression, sql_of
from ..errors import SliceError
from ..journal import Statement
from ..names import listed
from ..servers.tables import ForeignKey
from ..settings import declared_references
from ..spy.session import paused
from .making import make_slice, on_server
from .slice import Slice


def slice(
    items: Iterable[Any],
    *,
    down: bool = False,
    parts: str = "all",
    strict: bool = False,
    virtual: Iterable[str | ForeignKey] = (),
    connection: Any = None,
    progress: Callable[[str, int], None] | None = None,
) -> Slice:
    """The slice of hand-picked rows.

    Parameters
    ----------
    items : iterable
        Tables or query expressions, restricted or not (``Session & "subject='a'"``, ``Session * Trial``), or dicts
        with ``table_name`` (full, as DataJoint's ``full_table_name``) and ``restriction``.
    down : bool
        Also take all rows that refer to these, and so on. The rows that any row refers to always come along.
    parts : {"all", "referenced"}
        Whether a master brings all of its parts.
    strict : bool
        Raise if an expression cannot be analysed, instead of taking its whole tables.
    virtual : iterable of str or ForeignKey
        References that the database does not declare as foreign keys (`virtual_fks.reference`), in addition to
        ``dj.config["sqlspy.references"]``.
    connection : datajoint.Connection, optional
        Default: that of the first expression, else ``dj.conn()``.
    progress : callable, optional
        Called with the name of the step and the number of parts that were done just now.

    Returns
    -------
    Slice

    Raises
    ------
    SliceError
        If an item is neither an expression nor such a dict.

    Examples
    --------
    >>> import dj_sqlspy as sqlspy
    >>> cut = sqlspy.slice([Session & "subject='a'", Trial & "trial < 3"])  # doctest: +SKIP
    """
    given = listed(items)
    if not given:
        raise SliceError("Picking a slice: no table was given.")
    expressions = [as_expression(item, connection) for item in given]
    dj_connection = connection or expressions[0].connection
    with paused():
        statements = [
            Statement(sql_of(expression), number=number)
            for number, expression in enumerate(expressions, start=1)
        ]
    foreign_keys = declared_references(virtual)
    return on_server(
        dj_connection,
        lambda raw: make_slice(
            statements,
            raw,
            down=down,
            parts=parts,
            strict=strict,
            virtual=foreign_keys,
            progress=progress,
            dj_connection=dj_connection,
        ),
    )
