"""Names: the tables that a statement names, and those behind the views among them.

In: the text of a statement, or names from one, and the `Catalog`. Out: names. It resolves no column, so it also serves
statements that are not analysed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlglot import exp
from sqlglot.dialects.mysql import MySQL

from ..errors import LineageError
from ..servers.catalog import Catalog
from ..servers.mysql.syntax import Expr, Unsupported, parse, select_of, table_names
from ..servers.tables import Table

Name = tuple[str | None, str]  # schema, if the statement names one, and table


def named_tables(sql: str, guess: bool = True) -> list[Name]:
    """(schema or None, name) of each table that a statement names (of INSERT … SELECT, that its SELECT names).

    With ``guess``, every ``x.y`` in a statement that cannot be parsed counts as a table, also where it is a column.

    >>> named_tables("SELECT * FROM `lab`.`#species` JOIN lab.subject USING (species)")
    [('lab', '#species'), ('lab', 'subject')]

    Raises
    ------
    LineageError
        If the statement cannot be parsed.
    """
    names: list[Name] = []
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


def _names_by_tokens(sql: str) -> list[Name]:
    """Schema-qualified names in a text that does not parse: two names joined by a dot."""
    try:
        tokens = MySQL().tokenize(sql)
    except Exception:  # the tokenizer itself gives up: there is nothing to find
        return []
    names: dict[Name, None] = {}
    for first, dot, second in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if dot.text == "." and first.text != ".":
            names[(first.text, second.text)] = None
    return list(names)


class Named(NamedTuple):
    """A table or view that is named.

    Attributes
    ----------
    schema : str or None
        None where the name stands without one.
    name : str
    table : Table or None
        None if the catalog does not have it.
    view : Table or None
        The view that names it; None if a statement does.
    """

    schema: str | None
    name: str
    table: Table | None
    view: Table | None


def through_views(
    names: Iterable[Name], catalog: Catalog, default_schema: str | None = None, partial: bool = False
) -> Iterator[Named]:
    """All tables and views that are named, also by views. What a view names comes before the view, which comes once.

    Parameters
    ----------
    names : iterable of (schema or None, name)
    catalog : Catalog
    default_schema : str, optional
        Schema of names without one. Within a view it is the view's own.
    partial : bool
        Leave out what a view names where that cannot be told.

    >>> from dj_sqlspy.lineage.example import CATALOG
    >>> [(found.name, found.view and found.view.name) for found in through_views([("s", "big")], CATALOG)]
    [('a', 'big'), ('big', None)]
    >>> hidden = Catalog({"`s`.`v`": Table("s", "v", (), (), view_sql="")}, ())
    >>> [found.name for found in through_views([("s", "v")], hidden, partial=True)]
    ['v']

    Raises
    ------
    LineageError
        If it cannot be told what a view names, unless ``partial``.
    """
    seen: set[str] = set()

    def walk(names: Iterable[Name], default_schema: str | None, view: Table | None) -> Iterator[Named]:
        for schema, name in names:
            table = catalog.find(schema, name, default_schema)
            if table is not None and table.is_view:
                if table.full_name in seen:
                    continue
                seen.add(table.full_name)
                yield from walk(_names_in(table, partial), table.schema, table)
            yield Named(schema, name, table, view)

    return walk(names, default_schema, None)


def _names_in(view: Table, partial: bool) -> list[Name]:
    try:
        return named_tables(view.view_sql or "")
    except LineageError:
        if partial:
            return []
        raise


def qualify(select: Expr, schema: str | None) -> bool:
    """Put the schema of USE before the names without one, in place. Returns whether there were any."""
    if schema is None:
        return False
    names = {name for found, name in table_names(select) if found is None}
    for table in list(select.find_all(exp.Table)):
        if isinstance(table.this, exp.Identifier) and not table.db and table.name in names:
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.Identifier(this=table.name, quoted=True)))
            table.set("db", exp.Identifier(this=schema, quoted=True))
    return bool(names)
