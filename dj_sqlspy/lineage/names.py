"""Names: the tables that a statement names, and those behind its views.

In: the text of a statement, or names from one, and the `Catalog`. Out: names. It resolves no column, so it also works
for statements that cannot be analysed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from sqlglot import exp

from ..errors import LineageError
from ..servers.catalog import Catalog
from ..servers.expressions import Expr, Syntax, Unsupported, identifier, nodes_of, table_names
from ..servers.syntaxes import MYSQL_SYNTAX, syntax_of
from ..servers.tables import Table
from .levels import Texts

Name = tuple[str | None, str]  # schema, if the statement names one, and table


def named_tables(
    sql: str,
    guess: bool = True,
    modes: Collection[str] = (),
    syntax: Syntax = MYSQL_SYNTAX,
    default_schema: str | None = None,
    parse: Callable[[str, Collection[str]], Expr] | None = None,
) -> list[Name]:
    """(schema or None, name) of each table that a statement reads (for INSERT … SELECT, in its SELECT).

    With ``guess``, every ``x.y`` in a statement that cannot be parsed counts as a table, although it may be a column,
    and so does a name in a place where a table of ``default_schema`` can stand. ``parse`` is that of the syntax, unless
    another one is given.

    >>> named_tables("SELECT * FROM `lab`.`#species` JOIN lab.subject USING (species)")
    [('lab', '#species'), ('lab', 'subject')]
    >>> named_tables("SELECT * FROM lab.subject JOIN rig LIMIT ROWS EXAMINED 9", default_schema="setup")
    [('lab', 'subject'), ('setup', 'rig')]

    Raises
    ------
    LineageError
        If the statement cannot be parsed.
    """
    names: list[Name] = []
    try:
        statement = (parse or syntax.parse)(sql, modes)
        names = table_names(statement)  # all names, if the reading part is unknown
        query = syntax.query_of(statement, modes)
        return [] if query is None else table_names(query)
    except Unsupported as error:
        names = names or (_names_by_tokens(sql, modes, syntax, default_schema) if guess else [])
        if names:
            return names
        raise LineageError(f"no table can be told from it: {error}") from error


class NamesOf:
    """Finds the tables that many statements name. Subqueries that they have in common are parsed once.

    Parameters
    ----------
    texts : Texts, optional
        It keeps what is parsed, for `analysis.analyse`.
    """

    def __init__(self, texts: Texts | None = None) -> None:
        self._texts = texts or Texts()
        self._known: dict[tuple[str, frozenset[str]], list[Name]] = {}

    def of(self, sql: str, modes: Collection[str] = ()) -> list[Name]:
        """As `named_tables` without ``guess``.

        >>> NamesOf().of("SELECT x FROM s.a WHERE x IN (SELECT x FROM s.b WHERE x IN (SELECT x FROM s.a))")
        [('s', 'a'), ('s', 'b')]
        """
        names: dict[Name, None] = {}
        split = self._texts.split(sql, modes)
        for each in () if split is None else split[0].every:
            names.update(dict.fromkeys(self._of_text(each.text, modes)))
        if not names or any(
            schema is None for schema, _ in names
        ):  # it could be a CTE of the query around it
            return self._named(sql, modes)
        return list(names)

    def _named(self, text: str, modes: Collection[str]) -> list[Name]:
        texts = self._texts
        return named_tables(text, guess=False, modes=modes, syntax=texts.syntax, parse=texts.parse)

    def _of_text(self, text: str, modes: Collection[str]) -> list[Name]:
        key = (text, frozenset(modes))
        if key not in self._known:
            try:
                self._known[key] = self._named(text, modes)
            except LineageError:
                self._known[key] = [(None, "")]
        return self._known[key]


def names_or_guesses(
    sql: str, syntax: Syntax = MYSQL_SYNTAX, default_schema: str | None = None
) -> tuple[list[Name], bool]:
    """The names of `named_tables`, and whether they are guessed because the statement cannot be parsed.

    Raises
    ------
    LineageError
        If not even its tokens can be read.
    """
    try:
        return named_tables(sql, guess=False, syntax=syntax), False
    except LineageError:
        return named_tables(sql, syntax=syntax, default_schema=default_schema), True


def _names_by_tokens(
    sql: str, modes: Collection[str], syntax: Syntax, default_schema: str | None
) -> list[Name]:
    """Names in a text that cannot be parsed: two with a dot between them, and those without a schema."""
    try:
        tokens = syntax.tokens_of(sql, modes)
    except Unsupported:  # not even the tokenizer can read it
        return []
    alone = syntax.without_schema(tokens, default_schema)
    names: dict[Name, None] = {}
    texts = ["", *(syntax.name_of(token) for token in tokens)]
    for before, first, dot, second in zip(texts, texts[1:], texts[2:], texts[3:], strict=False):
        if dot == "." and "." not in (before, first):  # of a.b.c, which is a column, a.b is the table
            names[(first, second)] = None
    if default_schema is not None:
        names.update(dict.fromkeys((default_schema, name) for name in alone))
    return list(names)


class Named(NamedTuple):
    """A named table or view.

    Attributes
    ----------
    schema : str or None
        None if not given.
    name : str
    table : Table or None
        None if the catalog does not have it.
    view : Table or None
        The view that names it; None if a statement does.
    guessed : bool
        True if the view cannot be parsed: then it may be no table, but a column of one.
    """

    schema: str | None
    name: str
    table: Table | None
    view: Table | None
    guessed: bool = False


def through_views(
    names: Iterable[Name], catalog: Catalog, default_schema: str | None = None
) -> Iterator[Named]:
    """All tables and views that are named, also by views. A view comes once, after what it names.

    Parameters
    ----------
    names : iterable of (schema or None, name)
    catalog : Catalog
    default_schema : str, optional
        Schema of names without one. Within a view it is the view's own.

    >>> from dj_sqlspy.lineage.example import CATALOG
    >>> [(found.name, found.view and found.view.name) for found in through_views([("s", "big")], CATALOG)]
    [('a', 'big'), ('big', None)]

    Raises
    ------
    LineageError
        If it is unknown what a view names.
    """
    seen: set[str] = set()

    def walk(
        names: Iterable[Name], default_schema: str | None, view: Table | None, guessed: bool
    ) -> Iterator[Named]:
        for schema, name in names:
            table = catalog.find(schema, name, default_schema)
            if table is not None and table.is_view:
                if table.full_name in seen:
                    continue
                seen.add(table.full_name)
                inner, guesses = names_or_guesses(table.view_sql or "", syntax_of(catalog.dialect))
                yield from walk(inner, table.schema, table, guesses)
            yield Named(schema, name, table, view, guessed)

    return walk(names, default_schema, None, False)


def qualify(select: Expr, schema: str | None) -> bool:
    """Add the schema of USE to names without one, in place. Returns whether there were any."""
    if schema is None:
        return False
    names = {name for found, name in table_names(select) if found is None}
    for table in nodes_of(select, exp.Table):
        if isinstance(table.this, exp.Identifier) and not table.db and table.name in names:
            if not table.alias:
                table.set("alias", exp.TableAlias(this=identifier(table.name)))
            table.set("db", identifier(schema))
    return bool(names)
