"""Pick: slices of hand-picked rows, without anything captured.

In: DataJoint expressions. Out: the `Slice` of the rows behind them, closed as a paper's is. Each expression counts
as the statement that DataJoint would send to fetch it, so that all that holds for statements holds for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .. import compat
from ..cascade import plain_decoders, reconnecting
from ..errors import SliceError
from ..journal import Statement
from ..references import declared
from ..spy import paused
from . import make_slice, only_keys

if TYPE_CHECKING:
    from ..catalog import ForeignKey
    from . import Slice


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
        Take also all rows that refer to these, and so on down. What any row refers to always comes along.
    parts : {"all", "referenced"}
        Whether a master brings all of its parts.
    strict : bool
        Raise where an expression cannot be analysed, instead of taking its tables whole.
    virtual : iterable of str or catalog.ForeignKey
        References that the database does not declare as foreign keys (`references.reference`), beside those of
        ``dj.config["sqlspy.references"]``.
    connection : datajoint.Connection, optional
        Default: that of the first expression, else ``dj.conn()``.
    progress : callable, optional
        Called with what is being done and how much of it was done now.

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
    given = [items] if isinstance(items, Mapping) or hasattr(items, "make_sql") else list(items)
    if not given:
        raise SliceError("Picking a slice: no table was given.")
    expressions = [as_expression(item, connection) for item in given]
    dj_connection = connection or expressions[0].connection
    with paused():
        statements = [
            Statement(sql_of(expression), number=number)
            for number, expression in enumerate(expressions, start=1)
        ]
    foreign_keys = declared(virtual)
    return _on_server(
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


def _on_server(dj_connection: Any, work: Callable[[Any], Slice]) -> Slice:
    return reconnecting(lambda: compat.raw_connection(dj_connection, conv=plain_decoders()), work)


def as_expression(item: Any, connection: Any) -> Any:
    """A query expression from one item of `slice`."""
    import datajoint

    if isinstance(item, Mapping):
        if "table_name" not in item:
            raise SliceError(f"Picking a slice: the dict {dict(item)!r} lacks 'table_name'.")
        table = datajoint.FreeTable(connection or datajoint.conn(), item["table_name"])
        return table & item.get("restriction", True)
    expression = item() if inspect.isclass(item) else item
    if not hasattr(expression, "make_sql"):
        raise SliceError(
            f"Picking a slice: {item!r} is neither a table, nor a query expression, nor a dict with 'table_name' "
            "and 'restriction'."
        )
    return expression


def sql_of(expression: Any) -> str:
    """The SELECT of an expression as the driver sends it (DataJoint doubles ``%`` for it)."""
    text: str = expression.make_sql() % ()
    return text


def union(one: Slice, other: Slice) -> Slice:
    """The rows of two slices, and what their statements need together (``one + other``)."""
    statements = [
        report.statement._replace(number=number)
        for number, report in enumerate((*one.statements, *other.statements), start=1)
    ]
    parts = "all" if "all" in (one.parts, other.parts) else "referenced"
    also = {name: one.keys(name) | other.keys(name) for name in {*one.tables, *other.tables}}
    return _on_server(
        one.connection,
        lambda raw: make_slice(statements, raw, parts=parts, also=also, dj_connection=one.connection),
    )


def rows_of(cut: Slice, keys: Mapping[str, Iterable[Any]]) -> Slice:
    """Given rows of a slice, and what they refer to (``one & other``, ``one - other``)."""
    return _on_server(cut.connection, lambda raw: only_keys(cut, keys, raw))
