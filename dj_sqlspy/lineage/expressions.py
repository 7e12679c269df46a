"""Expressions: resolves the names in a scalar expression.

In: an expression of a parsed statement and its `Place`. Out: a copy in which each column names its source, and each
subquery is a placeholder with a resolved `Query`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp

from ..servers.expressions import Expr, Syntax, Unsupported, copied, written
from .rewrite import with_new_aliases
from .scope import Place, Scope, distinct_names
from .tree import is_aggregate, subquery

Lookup = Callable[[str], "Expr | None"]

# sqlglot reads EXISTS ((SELECT …) UNION (SELECT …)) as the call of a function
_QUANTIFIERS = {"EXISTS": exp.Exists, "ANY": exp.Any, "SOME": exp.Any, "ALL": exp.All}


def expression(node: Expr, place: Place, before: Lookup | None = None, after: Lookup | None = None) -> Expr:
    """A copy of an expression with resolved columns and subqueries as placeholders.

    Names outside of aggregates are looked up with ``before``, then in the FROM clause, then with ``after``.

    Raises
    ------
    Unsupported
        For an unknown column, or a call of a stored function.
    """

    syntax = place.syntax

    def visit(item: Any, in_aggregate: bool) -> Any:
        if isinstance(item, list):
            return [visit(element, in_aggregate) for element in item]
        if not isinstance(item, exp.Expr):
            return item
        if isinstance(item, exp.Column):
            if isinstance(item.this, exp.Star):
                return item.copy()
            return _column(item, place, None if in_aggregate else before, after)
        if isinstance(item, exp.Subquery) and not isinstance(item.this, (exp.Query, exp.Table)):
            return visit(item.this, in_aggregate)
        if isinstance(item, (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)):
            return subquery(distinct_names(place.query(item)))
        if isinstance(item, exp.Anonymous) and str(item.this).upper() in _QUANTIFIERS:
            return _QUANTIFIERS[str(item.this).upper()](this=visit(item.expressions[0], in_aggregate))
        if isinstance(item, exp.Window):
            item = _window(item, place.windows)
        columns = syntax.columns_of(item)
        if columns is None:
            _refuse_stored(item, syntax)
        aggregate = in_aggregate or is_aggregate(item)
        made = type(item)(**{key: visit(value, aggregate) for key, value in item.args.items()})
        if columns is None:
            return made
        if len(columns) > 1:
            raise Unsupported(f"the row of {written(item, syntax)} as one value is not analysed")
        return place.scope.set_column(made, place.alias)

    result: Expr = visit(node, False)
    return result


def _column(item: exp.Column, place: Place, before: Lookup | None, after: Lookup | None) -> Expr:
    name, table = item.name, item.table or None
    found = before(name) if before is not None and table is None else None
    scope: Scope | None = place.scope
    while found is None and scope is not None:
        found = scope.lookup(name, table)
        if found is not None and item.db and scope.schemas.get((table or "").lower(), item.db) != item.db:
            raise Unsupported(f"column {written(item, place.syntax)} names another schema than its table")
        if found is None and scope is place.scope and table is None and after is not None:
            found = after(name)
        scope = scope.parent
    if found is None and name.lower() in place.syntax.places:
        raise Unsupported(f"{name} tells where a row is stored, or when, which is not the same in a copy")
    if found is None:
        raise Unsupported(
            f"column {written(item, place.syntax)!r} is in none of the tables that it could refer to"
        )
    if isinstance(found, exp.Column):
        return copied(found)
    own = with_new_aliases(found, place.alias)
    return own if isinstance(own, (exp.Literal, exp.Func)) else exp.Paren(this=own)


def _refuse_stored(item: Expr, syntax: Syntax) -> None:
    """Raise for a call of a stored function, since the statement does not tell what it reads."""
    if isinstance(item, exp.Dot):
        raise Unsupported(
            f"what the stored function {written(item, syntax)} reads cannot be told from the statement"
        )
    if isinstance(item, exp.Anonymous) and str(item.this).upper() not in syntax.functions:
        raise Unsupported(
            f"{item.this} is no function of the server's own, and what a stored one reads cannot be told from the "
            "statement"
        )


def _window(item: exp.Window, windows: Mapping[str, Expr]) -> exp.Window:
    """A window with the named window that it refers to filled in."""
    named = item.args.get("alias")
    if named is None:
        return item
    definition = windows.get(named.name.lower())
    if definition is None:
        raise Unsupported(f"the window {named.name!r} is not defined")
    merged: exp.Window = item.copy()
    merged.set("alias", None)
    for argument in ("partition_by", "order", "spec"):
        if merged.args.get(argument) is None and definition.args.get(argument) is not None:
            value = definition.args[argument]
            merged.set(argument, [v.copy() for v in value] if isinstance(value, list) else value.copy())
    if definition.args.get("alias") is not None:
        merged.set("alias", definition.args["alias"].copy())
        return _window(merged, windows)
    return merged
