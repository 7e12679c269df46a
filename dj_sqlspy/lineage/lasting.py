"""Lasting: refuses what is gone with the connection of a statement: its settings, tables, variables, old rows.

In: a parsed statement, or a level of one, and the session in which it was sent. Out: nothing, or an error. It looks at
no table of the catalog.
"""

from __future__ import annotations

from sqlglot import exp

from ..errors import LineageError
from ..servers.expressions import Expr, Unsupported, nodes, nodes_of
from ..servers.session import PADDED, Session


class UnknownVariable(Unsupported):
    """A statement uses something that only its own connection had."""


def require_restored(session: Session) -> None:
    """Raise if a session cannot be set again."""
    if session.problem:
        raise LineageError(f"its session cannot be set again: {session.problem}")


def require_lasting(query: Expr, session: Session, default_schema: str | None = None) -> None:
    """Raise if a statement reads what no slice can contain: temporary tables, old versions of rows."""
    for table in nodes_of(query, exp.Table):
        if isinstance(table.this, exp.Identifier) and session.is_temporary(
            (table.db or default_schema or "").lower() or None, table.name
        ):
            raise LineageError(
                f"it reads the temporary table `{table.name}`, which is gone with the connection that made it"
            )
        if table.args.get("version") is not None:
            raise LineageError(
                f"it reads rows of `{table.name}` as they were at another time (FOR SYSTEM_TIME), and a slice has those"
                " of now"
            )
    if "system_versioning_asof" in session.names:
        raise LineageError(
            "it reads rows as they were at another time (system_versioning_asof), and a slice has those of now"
        )


def require_known(query: Expr, session: Session) -> None:
    """Raise if a statement uses a user variable whose value cannot be restored."""
    for variable in nodes_of(query, exp.Parameter):
        why = session.why_unknown(variable.name)
        if why is not None:
            raise UnknownVariable(f"the value of its variable @{variable.name} is not known: {why}")
    if PADDED in session.modes:
        raise Unsupported(f"its session had the sql_mode {PADDED}, which keys are not compared under")
    if session.printed and any(map(_makes_texts, nodes(query))):
        raise Unsupported(
            f"it turns values into texts, and by default these are printed with {session.printed}"
        )


# Functions of which a value is one of their arguments, a number or a condition.
_NO_TEXTS = (
    *(exp.Connector, exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Coalesce, exp.Nullif, exp.Exists),
    *(exp.Case, exp.If, exp.Any, exp.All, exp.Extract, exp.Array),
)
# Types of which no value is a text, or has one in it.
_NO_TEXT = exp.DataType.NUMERIC_TYPES | exp.DataType.TEMPORAL_TYPES
_NO_TEXT |= {exp.DType.BOOLEAN, exp.DType.INTERVAL, exp.DType.UUID, exp.DType.VARBINARY}


def _makes_texts(node: Expr) -> bool:
    """Whether a value can become a text in an operator or a function."""
    if isinstance(node, exp.Cast):
        return node.to.this not in _NO_TEXT
    return isinstance(node, (exp.DPipe, exp.Func)) and not isinstance(node, _NO_TEXTS)
