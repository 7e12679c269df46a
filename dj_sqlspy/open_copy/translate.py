"""Translate: a captured SELECT as DuckDB's SQL.

In: its text, and the tables of the copy. Out: a `Translation`, or `Untranslated` with the reason. sqlglot writes it,
and that it does so proves nothing: many functions have another meaning under the same name. So `database` runs each and
compares. What is known to differ is named from the tree (`cautions`), also if these rows do not show it. A function
that is not known to be the same counts as different.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ..display import one_line
from ..servers.catalog import Catalog
from ..servers.expressions import Expr, Unsupported, nesting
from ..servers.syntaxes import syntax_of
from ..servers.tables import Table
from .columns import Kept

# Schema and name of a table in DuckDB.
Relation: TypeAlias = "tuple[str, str]"

# By name in lower case, the columns of the tables of a statement. Which of them an expression means is not resolved.
Columns: TypeAlias = "dict[str, list[Kept]]"

# Functions and operators that give the same for all values that both have.
_SAME: tuple[type[Expr], ...] = (
    exp.Abs,
    exp.And,
    exp.Case,
    exp.Coalesce,
    exp.Count,
    exp.Exists,
    exp.If,
    exp.Max,
    exp.Min,
    exp.Nullif,
    exp.Or,
    exp.Sum,
)
# Operators with a name of their own in the list of cautions.
_OTHERWISE: Mapping[type[Expr], str] = {
    exp.Div: "/: other digits",
    exp.Mod: "%: NULL or an error for zero",
    exp.RegexpLike: "REGEXP: another language of patterns, and case counts",
    exp.BitwiseNot: "~: 64 bits without a sign on the server",
    exp.BitwiseXor: "^: 64 bits without a sign on the server",
    exp.BitwiseLeftShift: "<<: 64 bits without a sign on the server",
    exp.BitwiseRightShift: ">>: 64 bits without a sign on the server",
    exp.Interval: "dates with intervals: another type",
    exp.Cast: "CAST: other texts and roundings",
    exp.Avg: "AVG: other digits",
    exp.Round: "ROUND: a DOUBLE with .5",
}
# Those of PostgreSQL. Of the others that have another meaning on MySQL, it has DuckDB's.
_OTHERWISE_ON_POSTGRESQL: Mapping[type[Expr], str] = {
    exp.Div: "/: a whole number of integers, and other digits",
    exp.RegexpLike: "~: another language of patterns",
    exp.RegexpILike: "~*: another language of patterns",
    exp.BitwiseLeftShift: "<<: as many bits as the type has on the server",
    exp.Interval: "dates with intervals: another type",
    exp.Cast: "CAST: other texts and roundings",
    exp.Avg: "AVG: other digits",
    exp.Round: "ROUND: a DOUBLE with .5",
}
# What sqlglot raises for a text that it cannot read or write.
_UNABLE = (SqlglotError, ValueError, TypeError, AttributeError, LookupError, RecursionError)
_COMPARING = (exp.Ordered, exp.Max, exp.Min, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between)
_DATED = ("date", "datetime", "time", "clock")


class Untranslated(Exception):
    """A statement that DuckDB cannot run; the message says why."""


@dataclass(frozen=True)
class Translation:
    """A statement in DuckDB's SQL, and what in it is known to differ."""

    sql: str
    cautions: tuple[str, ...]


@dataclass(frozen=True)
class Copied:
    """The tables of the copy.

    Attributes
    ----------
    catalog : Catalog
        Of the server with the loaded slice.
    relations : mapping of str to Relation
        By full name of the table.
    columns : mapping of str to sequence of Kept
        By full name of the table.
    """

    catalog: Catalog
    relations: Mapping[str, Relation]
    columns: Mapping[str, Sequence[Kept]]


@nesting()
def translate(sql: str, modes: Collection[str], copied: Copied) -> Translation:
    """A SELECT as DuckDB's SQL.

    Parameters
    ----------
    sql : str
    modes : collection of str
        Words of sql_mode that change how it is parsed.
    copied : Copied

    Raises
    ------
    Untranslated
    """
    syntax = syntax_of(copied.catalog.dialect)
    here = "postgres" if syntax.exact_names else "mysql"
    try:
        # first as the server reads it, since sqlglot knows neither modes nor all that servers take for a name
        plain = syntax.written().generate(syntax.parse(sql, modes))
        tree = sqlglot.parse_one(plain, read=here)
    except (Unsupported, *_UNABLE) as error:
        raise Untranslated(f"sqlglot cannot read it: {one_line(str(error), 200)}") from error
    for kind in (exp.Parameter, exp.SessionParameter):
        if (found := tree.find(kind)) is not None:
            raise Untranslated(f"it reads the variable {found.sql(here)}")
    _cross_where_nothing_is_common(tree, copied)
    tables = _rename(tree, copied, here)
    columns: Columns = {}
    for table in tables:
        for one in copied.columns[table.full_name]:
            columns.setdefault(one.column.name.lower(), []).append(one)
    otherwise = _OTHERWISE_ON_POSTGRESQL if syntax.exact_names else _OTHERWISE
    cautions = tuple(dict.fromkeys(_cautions(tree, columns, otherwise)))
    tree = _same_meaning(tree, columns)
    try:
        text = tree.sql("duckdb", identify=True, unsupported_level=sqlglot.ErrorLevel.RAISE)
    except _UNABLE as error:
        raise Untranslated(f"sqlglot cannot write it: {one_line(str(error), 200)}") from error
    return Translation(text, cautions)


def _rename(tree: Expr, copied: Copied, here: str) -> list[Table]:
    """Name the tables as in the copy; the tables that the statement names."""
    found = []
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for node in tree.find_all(exp.Table):
        if not isinstance(node.this, exp.Identifier):
            raise Untranslated(f"it reads from {node.this.sql(here)}")
        if not node.db and (node.name.lower() in ctes or (node.name.lower() == "dual" and here == "mysql")):
            continue
        table = copied.catalog.find(node.db or None, node.name)
        relation = None if table is None else copied.relations.get(table.full_name)
        if table is None or relation is None:
            what = "view" if table is not None and table.is_view else "table"
            raise Untranslated(f"the {what} {node.sql(here, comments=False)} is not in slice.duckdb")
        if not node.alias:  # columns may name the table
            node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name, quoted=True)))
        for place, name in zip(("db", "this"), relation, strict=True):
            node.set(place, exp.to_identifier(name, quoted=True))
        found.append(table)
    for column in tree.find_all(exp.Column):
        column.set("db", None)  # its table's alias is enough
    return found


def _same_meaning(tree: Expr, columns: Columns) -> Expr:
    """Write out what the servers do unasked."""

    def changed(node: Expr) -> Expr:
        if isinstance(node, (exp.Like, exp.ILike)) and not isinstance(node.parent, exp.Escape):
            return exp.Escape(this=node, expression=exp.Literal.string("\\"))
        if isinstance(node, exp.HexString):
            return _bytes(node.this.zfill(len(node.this) + len(node.this) % 2), node, columns)
        if (
            isinstance(node, exp.Literal)
            and node.is_string
            and (digits := _bytes_in(node, columns)) is not None
        ):
            return exp.Anonymous(this="unhex", expressions=[exp.Literal.string(digits)])
        if isinstance(node, exp.Introducer):  # the character set of a literal, or bytes
            text: Expr = node.expression
            if str(node.this).lower() != "_binary" or not isinstance(text, exp.Literal):
                return text
            return _bytes(text.this.encode("utf-8", "surrogateescape").hex(), node, columns)
        return node

    for select in tree.find_all(exp.Select):
        _group_in_full(select)
    made: Expr = tree.transform(changed)
    return made


def _bytes(digits: str, node: Expr, columns: Columns) -> Expr:
    """A literal of bytes; beside a column of UUIDs, a UUID."""
    if len(digits) == 32 and _beside(node, columns, "uuid"):
        return exp.cast(exp.Literal.string(digits), "uuid", dialect="duckdb")
    return exp.Anonymous(this="unhex", expressions=[exp.Literal.string(digits)])


def _bytes_in(node: exp.Literal, columns: Columns) -> str | None:
    r"""The digits of a text that PostgreSQL takes for bytes: beside a column of them, or cast to them."""
    value = node.parent if isinstance(node.parent, exp.Cast) else node
    if not node.this.startswith("\\x") or not _beside(value, columns, "bytes", of="bytea"):
        return None
    return str(node.this[2:])


def _group_in_full(select: exp.Select) -> None:
    """Of a column that is not in GROUP BY, take the first value of a group, as DataJoint's ``aggr`` means it.

    >>> tree = sqlglot.parse_one("SELECT a, b, COUNT(c) FROM t GROUP BY a")
    >>> _group_in_full(tree)
    >>> tree.sql()
    'SELECT a, FIRST(b) AS b, COUNT(c) FROM t GROUP BY a'
    """
    group = select.args.get("group")
    if group is None or not all(isinstance(node, exp.Column) for node in group.expressions):
        return
    names = {node.name.lower() for node in group.expressions}
    for item in list(select.expressions):
        inner = item.this if isinstance(item, exp.Alias) else item
        bare = isinstance(inner, exp.Column) and not isinstance(inner.this, exp.Star)
        if bare and not {inner.name.lower(), item.alias_or_name.lower()} & names:
            item.replace(
                exp.alias_(exp.First(this=inner.copy()), item.alias_or_name, quoted=inner.this.quoted)
            )


def _cross_where_nothing_is_common(tree: Expr, copied: Copied) -> None:
    """Write a NATURAL JOIN of tables without a common column as CROSS JOIN, which it is on the servers."""
    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        if select.args.get("from_") is None:
            continue
        left = _names_in(select.args["from_"].this, copied)
        for join in joins:
            right = _names_in(join.this, copied)
            if left is None or right is None:
                break
            if join.method.upper() == "NATURAL" and not join.side and not left & right:
                join.set("method", None)
                join.set("kind", "CROSS")
            left |= right


def _names_in(source: Expr, copied: Copied) -> set[str] | None:
    """The names of the columns that a table or a derived table shows; None if they are not known."""
    if isinstance(source, exp.Table) and not source.args.get("joins"):
        table = copied.catalog.find(source.db or None, source.name)
        return None if table is None else {one.name.lower() for one in table.columns if not one.invisible}
    if isinstance(source, exp.Subquery) and isinstance(source.this, exp.Select):
        names = source.this.named_selects
        return None if "*" in names else {name.lower() for name in names}
    return None


def _beside(node: Expr, columns: Columns, form: str, of: str = "") -> bool:
    """Whether a literal is compared with a column that is kept so, and of a type if one is named."""
    above = node.parent
    while isinstance(above, (exp.Paren, exp.Tuple)):
        above = above.parent
    return above is not None and any(_is(column, columns, form, of) for column in above.find_all(exp.Column))


def _is(column: exp.Column, columns: Columns, form: str, of: str) -> bool:
    found = columns.get(column.name.lower(), ())
    return any(one.form == form and of in ("", one.column.data_type) for one in found)


def _cautions(tree: Expr, columns: Columns, otherwise: Mapping[type[Expr], str]) -> Iterator[str]:
    """What in a statement is known to differ between the servers and DuckDB, or not known to be the same."""
    for node in tree.walk():
        other = next((words for kind, words in otherwise.items() if isinstance(node, kind)), None)
        if other is not None:
            yield other
        elif isinstance(node, exp.Func) and not isinstance(node, _SAME):
            name = node.this if isinstance(node, exp.Anonymous) else node.sql_name()
            yield f"{name.upper()}(): not known to be the same"
        elif isinstance(node, exp.Column):
            yield from _of_column(node, columns)


def _of_column(node: exp.Column, columns: Columns) -> Iterator[str]:
    above = node.parent
    while isinstance(above, exp.Paren):
        above = above.parent
    for one in columns.get(node.name.lower(), ()):
        if one.changed:
            yield f"{one.column.name}: {one.note}"
        if isinstance(above, (exp.Add, exp.Sub, exp.Mul, exp.Neg)) and one.form in _DATED:
            yield "calculating with dates and times"
        if isinstance(above, _COMPARING) and one.column.data_type in ("enum", "set"):
            yield "ENUM, SET: in the order of their members on the server"
        elif isinstance(above, _COMPARING) and one.form == "text" and (one.column.folds or one.by_locale):
            yield "order of texts: by the server's collation"
