"""Lineage: which rows of which base tables the result of a statement depends on.

In: the text of one captured SELECT and the `Catalog`. Out: a `Lineage`: for each occurrence of a base table a
query for the primary keys of the rows that it needs (`Leaf`), rules for rows that keep others rejected
(`witness.Witness`), and marks. It runs no query. In the order of the data's way:

    syntax (text -> expression)  ->  resolve (expression -> tree)
        ->  demand (tree -> keys of the rows read)
        ->  witness (tree -> rules for rejected rows)
        ->  order (does the statement determine its result, and its order?)

A statement that cannot be analysed falls back to all rows of every table that it names, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..servers.mysql import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.dialects.mysql import MySQL

from ..errors import LineageError
from ..servers.catalog import Catalog
from ..servers.mysql.syntax import (
    Exact,
    Expr,
    UnknownTable,
    Unsupported,
    parse,
    select_of,
    table_names,
)
from ..servers.tables import Table
from .demand import demanded_occurrences, from_occurrences, is_plain, predicates, rows_behind
from .order import determined, marks_of
from .resolve import resolve
from .simplify import simplify
from .tree import Base, Block, Output, Query, Union, column, occurrences, to_sql
from .witness import Witness, standalone, witnesses

BOOKKEEPING = ("~lineage", "~log", "~jobs")


@dataclass(frozen=True)
class Leaf:
    """Rows of one table that a statement's result depends on.

    Attributes
    ----------
    table : Table
    sql : str or None
        Returns their keys. None: all rows.
    keys : tuple of array or None
        The keys, where they are known already (`cascade.keysets.Columns`).
    """

    table: Table
    sql: str | None
    keys: tuple[Any, ...] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Lineage:
    """What one statement needs.

    Attributes
    ----------
    sql : str
        The SELECT itself (of INSERT … SELECT, its SELECT); "" for a statement that reads nothing.
    leaves, witnesses : tuple
        Queries for keys, and rules.
    tables : tuple of Table
        Every base table that the statement names, through views and CTEs.
    marks : frozenset of str
        Why its result could change by itself: ``now``, ``rand``, ``session``, ``variable``, ``limit``.
    ordered : bool
        True if the statement orders its result totally.
    fallback : str or None
        Why it was not analysed; then the leaves are whole tables.
    query : Query or None
        The resolved tree, None for a fall-back.
    reads_whole : bool
        True if ``sql`` is the whole statement (False for INSERT … SELECT).
    qualified : bool
        True if ``sql`` names schemas that the statement left to USE.
    """

    sql: str
    leaves: tuple[Leaf, ...]
    witnesses: tuple[Witness, ...] = ()
    tables: tuple[Table, ...] = ()
    marks: frozenset[str] = frozenset()
    ordered: bool = False
    fallback: str | None = None
    query: Query | None = None
    reads_whole: bool = True
    qualified: bool = False


def named_tables(sql: str, guess: bool = True) -> list[tuple[str | None, str]]:
    """(schema or None, name) of each table that a statement names (of INSERT … SELECT, that its SELECT names).

    With ``guess``, of a statement that cannot be parsed every ``x.y`` counts as one, columns with an alias too.

    >>> named_tables("SELECT * FROM `lab`.`#species` JOIN lab.subject USING (species)")
    [('lab', '#species'), ('lab', 'subject')]

    Raises
    ------
    LineageError
        If the statement cannot be parsed.
    """
    names: list[tuple[str | None, str]] = []
    try:
        statement = parse(sql)
        names = table_names(statement)  # if it is not known what it reads by, all that it names
        select = select_of(statement)
        return [] if select is None else table_names(select)
    except Unsupported as error:
        names = names or (_names_by_tokens(sql) if guess else [])
        if names:
            return names
        raise LineageError(
            f"Finding the tables of a captured statement failed: {error}. No table can be told from it, so what it "
            f"read cannot be exported. Forget the analysis or run it without this statement:\n{sql[:500]}"
        ) from error


def _names_by_tokens(sql: str) -> list[tuple[str | None, str]]:
    """Schema-qualified names in a text that does not parse: two names joined by a dot."""
    try:
        tokens = MySQL().tokenize(sql)
    except Exception:  # the tokenizer itself gives up: there is nothing to find
        return []
    names: dict[tuple[str | None, str], None] = {}
    for first, dot, second in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if dot.text == "." and first.text != ".":
            names[(first.text, second.text)] = None
    return list(names)


def analyse(
    sql: str,
    catalog: Catalog,
    *,
    kind: str = "data",
    default_schema: str | None = None,
) -> Lineage:
    """The lineage of one statement.

    Parameters
    ----------
    sql : str
        The statement as the server received it.
    catalog : Catalog
        Has every table that the statement names.
    kind : str
        "exists" asks for one witness row of ``SELECT EXISTS (…)``; any other for all rows.
    default_schema : str, optional
        Schema of unqualified table names.

    Raises
    ------
    LineageError
        If not even the tables of the statement can be told.
    """
    select = None
    try:
        statement = parse(sql)
        select = select_of(statement)
        if select is None:
            return Lineage("", ())
        resolved = query = simplify(resolve(select, catalog, default_schema))
        if kind == "exists":
            query = _one_witness(query)
        unknown = marks_of(resolved)
        leaves = tuple(_leaves(query))
        rules = tuple(witnesses(query)) + tuple(
            rule for inner in standalone(query) for rule in witnesses(inner) if inner is not query
        )
        # also those that it reads no row of (of a CTE that it does not use): a server may want to see them
        tables = [base.table for base in occurrences(query)]
        tables += [t for _, _, t in _through_views(table_names(select), catalog, default_schema) if t]
        whole, qualified = select is statement, _qualify(select, default_schema)
        return Lineage(
            sql if whole and not qualified else select.sql(dialect=Exact, comments=False),
            leaves,
            _each_once(rules),
            tuple({table.full_name: table for table in tables}.values()),
            unknown,
            determined(query),
            None,
            resolved,
            whole,
            qualified,
        )
    except (Unsupported, NotImplementedError) as error:
        return _whole_tables(sql, catalog, str(error), default_schema, select)


def _each_once(rules: tuple[Witness, ...]) -> tuple[Witness, ...]:
    return tuple({(rule.asks, rule.group_sql): rule for rule in rules}.values())


def _leaves(query: Query) -> Iterator[Leaf]:
    for root in (query, *standalone(query)):
        for branch in _branches(root):
            for base in demanded_occurrences(branch):
                yield Leaf(base.table, to_sql(rows_behind(branch, base.alias)))
    for table in {base.table.full_name: base.table for base in occurrences(query) if base.whole}.values():
        yield Leaf(table, None)


def _branches(query: Query) -> Iterator[Query]:
    if isinstance(query, Union) and query.adds_up:
        for branch in query.branches:
            yield from _branches(branch)
    else:
        yield query


def _one_witness(query: Query) -> Query:
    """``SELECT EXISTS (q)`` demands one row of q: the first one by key.

    A statement of another form keeps its meaning.
    """
    if not (isinstance(query, Block) and query.tree is None and len(query.outputs) == 1):
        return query
    found = list(predicates(query.outputs[0].expr))
    if len(found) != 1 or not isinstance(query.outputs[0].expr, exp.Exists):
        return query
    inner = found[0].query
    if isinstance(inner, Block) and inner.rollup:
        return inner  # which MariaDB does not order; all rows stand behind its last row anyway
    if isinstance(inner, Union) or inner.limit is not None:
        return replace(inner, limit=1) if inner.limit is None else inner
    keys: list[Expr]
    if is_plain(inner) and _direct(inner):
        keys = [column(base.alias, name) for base in from_occurrences(inner.tree) for name in base.table.key]
        # what it shows does not matter, and the rows of its subqueries are those of equal outputs
        inner = replace(inner, outputs=tuple(Output(f"k~{i}", key.copy()) for i, key in enumerate(keys)))
    elif inner.group and not is_plain(inner):
        keys = [e.copy() for e in inner.group]
    elif any(True for output in inner.outputs for _ in predicates(output.expr)):
        return inner  # its subqueries would stand there twice
    else:
        keys = [output.expr.copy() for output in inner.outputs]
    order = tuple(exp.Ordered(this=key, desc=False, nulls_first=True) for key in keys)
    return replace(inner, order=order, limit=1, offset=0, distinct=False)


def _direct(block: Block) -> bool:
    from .tree import sources

    return all(isinstance(source, Base) for source in sources(block.tree))


def _whole_tables(
    sql: str, catalog: Catalog, reason: str, default_schema: str | None, select: exp.Expr | None
) -> Lineage:
    tables: dict[str, Table] = {}
    for schema, name, table in _through_views(named_tables(sql), catalog, default_schema):
        if table is None:
            if select is None and schema is not None:
                continue  # found by tokens only: alias.column looks the same
            raise LineageError(
                f"Looking up the tables of a captured statement: `{schema or '?'}`.`{name}` is not in the "
                f"database. It may have been dropped or renamed since the analysis ran:\n{sql[:500]}"
            )
        tables[table.full_name] = table
    if not tables and select is None:
        raise LineageError(
            f"Finding the tables of a captured statement failed ({reason}). What it read cannot be exported. "
            f"Forget the analysis or run it without this statement:\n{sql[:500]}"
        )
    whole = sql.lstrip("( \n\t").upper().startswith(("SELECT", "WITH", "VALUES", "TABLE"))
    qualified = select is not None and _qualify(select, default_schema)
    text = sql if select is None or (whole and not qualified) else select.sql(dialect=Exact, comments=False)
    return Lineage(
        text,
        tuple(Leaf(table, None) for table in tables.values()),
        (),
        tuple(tables.values()),
        fallback=reason,
        reads_whole=whole,
        qualified=qualified,
    )


def _through_views(
    names: Sequence[tuple[str | None, str]], catalog: Catalog, default_schema: str | None
) -> Iterator[tuple[str | None, str, Table | None]]:
    """Schema, name and table of each base table that is named, itself or by a view; None if it is not there."""
    pending = [(schema, name, default_schema) for schema, name in names]
    seen: set[str] = set()
    while pending:
        schema, name, within = pending.pop()
        table = catalog.find(schema, name, within)
        if table is None or not table.is_view:
            yield schema, name, table
        elif table.full_name not in seen:
            seen.add(table.full_name)
            pending += [(*inner, table.schema) for inner in named_tables(table.view_sql or "")]


def _qualify(select: exp.Expr, schema: str | None) -> bool:
    """Put the schema of USE before names without one, in place; whether there were any."""
    if schema is None:
        return False
    names = {name for found, name in table_names(select) if found is None}
    for table in list(select.find_all(exp.Table)):
        if isinstance(table.this, exp.Identifier) and not table.db and table.name in names:
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.Identifier(this=table.name, quoted=True)))
            table.set("db", exp.Identifier(this=schema, quoted=True))
    return bool(names)


__all__ = ["Leaf", "Lineage", "UnknownTable", "Witness", "analyse", "named_tables"]
