"""Analysis: runs one statement through all passes.

In: the text of one captured SELECT and the `Catalog`. Out: its `Lineage`. A statement that cannot be analysed falls
back to all rows of every table that it names, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlglot import exp

from ..errors import LineageError
from ..servers.catalog import Catalog
from ..servers.expressions import Expr, NotARead, Read, Syntax, Unsupported, nesting, table_names, written
from ..servers.session import PLAIN, Session
from ..servers.syntaxes import syntax_of
from ..servers.tables import Table
from ..shapes import fill
from .derivation import along, one_behind_each, rows_behind, rows_behind_all
from .generate import to_sql
from .inside import narrowed
from .keylists import with_key_lists
from .lasting import UnknownVariable, require_known, require_lasting, require_restored
from .levels import Levels, Texts
from .names import named_tables, qualify, through_views
from .order import determined, marks_in, marks_of
from .predicates import (
    demanded_occurrences,
    from_occurrences,
    only_compares,
    predicates,
    standalone,
    whole_tables,
)
from .rejection import witnesses
from .resolve import resolve
from .simplify import simplify
from .tree import Base, Block, Output, Query, Union, column, is_plain, occurrences, sources
from .witness import Witness, in_session


@dataclass(frozen=True)
class Together:
    """One query for the keys of several leaves.

    Attributes
    ----------
    sql : str
        It can return a key several times.
    tables : tuple of Table
        The tables of these leaves, in the order in which each row of the answer has their keys.
    """

    sql: str
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Leaf:
    """Rows of one table that a statement's result depends on.

    Attributes
    ----------
    table : Table
    sql : str or None
        A query for their keys. None: all rows.
    keys : tuple of array or None
        The keys in the cascade's form, if they are already known.
    inside : str or None
        With bounds, a query for the keys that the statement would need if only the rows inside existed.
    session : Session
        Session for the queries.
    together : Together or None
        A query that also returns the keys of other leaves; those of leaves with the same one stand side by side.
    along : tuple of int or None
        If ``sql`` is the query of the last leaf before it that has none: the places of these keys in its columns.
    columns : tuple of str
        The names of these columns.
    """

    table: Table
    sql: str | None
    keys: tuple[Any, ...] | None = field(default=None, repr=False, compare=False)
    inside: str | None = field(default=None, repr=False, compare=False)
    session: Session = field(default=PLAIN, repr=False, compare=False)
    together: Together | None = field(default=None, repr=False, compare=False)
    along: tuple[int, ...] | None = None
    columns: tuple[str, ...] = ()

    @property
    def own_sql(self) -> str | None:
        """A query for these keys and nothing else."""
        if self.along is None:
            return self.sql
        dialect = self.table.dialect
        return f"SELECT {dialect.columns(self.columns)} FROM ({self.sql}) AS {dialect.quote('rows~')}"


@dataclass(frozen=True)
class Lineage:
    """What one statement needs.

    Attributes
    ----------
    sql : str
        The part that reads: the text itself, or the SELECT of INSERT … SELECT; "" if it reads nothing.
    leaves, witnesses : tuple
        Queries for keys, and rules.
    tables : tuple of Table
        Every base table that the statement names, also through views and CTEs.
    marks : frozenset of str
        Why its result could change by itself: ``now``, ``rand``, ``session``, ``variable``, ``limit``, ``place``.
    ordered : bool
        True if ORDER BY is total.
    fallback : str or None
        Why it was not analysed. Then the leaves are whole tables.
    query : Query or None
        The resolved tree; None for a fall-back.
    order : tuple of int
        Where the literal for each marker stands in a binding, if ``query`` has markers.
    binding : tuple of str
        The literals for these markers (`filled`).
    own : bool
        True if ``sql`` is the text as captured. False if it is a part of it, or the schemas of USE were added.
    answers : bool
        True if ``sql`` returns what the statement returns (False for INSERT … SELECT).
    unsent : str
        Why ``sql`` may not be sent to a server again, or "".
    accepted : bool
        True if a server that takes the statement certainly takes the queries for its rows.
    listed : bool
        True if ``query`` has a list of keys where the statement has a long OR (`keylists`).
    exists : bool
        True for ``SELECT EXISTS (…)`` that certainly returns 1 if there are keys of the first leaf.
    """

    sql: str
    leaves: tuple[Leaf, ...]
    witnesses: tuple[Witness, ...] = ()
    tables: tuple[Table, ...] = ()
    marks: frozenset[str] = frozenset()
    ordered: bool = False
    fallback: str | None = None
    query: Query | None = None
    order: tuple[int, ...] = ()
    binding: tuple[str, ...] = ()
    own: bool = True
    answers: bool = True
    unsent: str = ""
    accepted: bool = False
    listed: bool = False
    exists: bool = False


@nesting()
def analyse(
    sql: str,
    catalog: Catalog,
    *,
    kind: str = "data",
    default_schema: str | None = None,
    inside: Mapping[str, str] = MappingProxyType({}),
    session: Session = PLAIN,
    texts: Texts | None = None,
) -> Lineage:
    """The lineage of one statement.

    Parameters
    ----------
    sql : str
        The statement as the server received it.
    catalog : Catalog
        Has every table that the statement names.
    kind : str
        "exists" needs one witness row of ``SELECT EXISTS (…)``; any other kind needs all rows.
    default_schema : str, optional
        Schema of unqualified table names.
    inside : mapping, optional
        For bounded tables, by full name, SQL that replaces the table in FROM. If a statement reads one, its leaves and
        rules have a second form for a database with only these rows.
    session : Session, optional
        Session in which it was sent.
    texts : Texts, optional
        It may have the parsed text.

    >>> from dj_sqlspy.lineage.example import CATALOG
    >>> for leaf in analyse("SELECT x FROM s.a NATURAL JOIN s.b WHERE y > 3", CATALOG).leaves:
    ...     print(leaf.table.name, leaf.sql.replace("`", ""))
    a SELECT DISTINCT t1.id AS t1.0 FROM s.a AS t1 JOIN s.b AS t2 ON (t1.id = t2.id) WHERE (t2.y > 3)
    b SELECT DISTINCT t2.id AS t2.0, t2.n AS t2.1 FROM s.a AS t1 JOIN s.b AS t2 ON (t1.id = t2.id) WHERE (t2.y > 3)

    Raises
    ------
    LineageError
        If it is unknown what the statement needs, or no slice can contain it. The message is about the statement only.
    """
    require_restored(session)
    syntax, read = syntax_of(catalog.dialect), None
    try:
        read = syntax.read_of(
            sql,
            session.modes,
            lambda schema, name: catalog.reads_only(schema or default_schema or "", name),
            None if texts is None else texts.parsed(sql, session.modes),
        )
        if read.query is None:
            return Lineage("", ())
        require_lasting(read.query, session, default_schema)
        require_known(read.query, session)
        syntax.require_known(read.query, default_schema)
        if session.limit is not None and read.answers and read.query.args.get("limit") is None:
            # sql_select_limit applies to a SELECT without LIMIT
            read.query.set("limit", exp.Limit(expression=exp.Literal.number(session.limit)))
        query = simplify(resolve(read.query, catalog, default_schema))
        text, own = _text(sql, read, default_schema, syntax)
        found = _of_query(query, table_names(read.query), catalog, kind, default_schema, inside, session)
        return replace(found, sql=text, own=own, answers=read.answers)
    except (Unsupported, NotImplementedError) as error:
        return _whole_tables(sql, catalog, error, default_schema, session, read)


@nesting()
def analyse_levels(
    sql: str, levels: Levels, kind: str, inside: Mapping[str, str] = MappingProxyType({})
) -> Lineage | None:
    """As `analyse`, for a statement with `levels`; None for one without them, or which falls back."""
    try:
        found = levels.of(sql)
    except (LineageError, Unsupported, NotImplementedError):
        return None  # `analyse` tells why
    if found is None:
        return None
    query, names, numbers = found
    lineage = _of_query(query, names, levels.catalog, kind, None, inside, levels.session)
    return replace(lineage, sql=sql, order=tuple(numbers))


def filled(lineage: Lineage, sql: str, binding: tuple[str, ...]) -> Lineage:
    """The lineage of a statement, from that of its shape with markers (`shapes.Shape.marked`)."""

    literals = tuple(binding[number] for number in lineage.order)

    @cache
    def text(marked: str) -> str:
        return fill(marked, literals)

    def of_rule(rule: Witness) -> Witness:
        return replace(
            rule,
            asks=tuple((text(asked), columns) for asked, columns in rule.asks),
            group_sql=text(rule.group_sql),
            inside=None if rule.inside is None else of_rule(rule.inside),
        )

    def of_leaf(leaf: Leaf) -> Leaf:
        own, inside = (None if each is None else text(each) for each in (leaf.sql, leaf.inside))
        together = leaf.together and replace(leaf.together, sql=text(leaf.together.sql))
        return Leaf(leaf.table, own, leaf.keys, inside, leaf.session, together, leaf.along, leaf.columns)

    return replace(
        lineage,
        sql=sql,
        binding=literals,
        # a literal can be the name of a column, in which its ` would end the name
        accepted=lineage.accepted and not any("`" in literal for literal in literals),
        leaves=tuple(map(of_leaf, lineage.leaves)),
        witnesses=tuple(map(of_rule, lineage.witnesses)),
    )


# A server joins 61 tables at most; the tables of a query occur twice in one of its rules.
_FEW = 25


def _of_query(
    query: Query,
    names: Iterable[tuple[str | None, str]],
    catalog: Catalog,
    kind: str,
    default_schema: str | None,
    inside: Mapping[str, str],
    session: Session,
) -> Lineage:
    """The lineage of a resolved query, from a statement that has these names of tables."""
    sent, query = query, with_key_lists(query, session)
    demanded = first_row(query) if kind == "exists" else query
    tables = _tables(query, names, catalog, default_schema)
    bounded = any(table.full_name in inside for table in tables)
    leaves, rules = tuple(_leaves(demanded, bounded)), witnesses(demanded)
    if bounded:
        leaves, rules = _with_those_inside(leaves, rules, narrowed(demanded, inside))
    marks = _not_set(marks_of(query), session)
    return Lineage(
        "",
        leaves if session == PLAIN else tuple(replace(leaf, session=session) for leaf in leaves),
        tuple(in_session(rule, session) for rule in rules),
        tables,
        marks,
        determined(demanded),
        query=query,
        accepted=not bounded and len(query.aliases) <= _FEW and only_compares(query),
        listed=query is not sent,
        exists=not bounded and not marks and _is_told(_tested(query), leaves),
    )


def _not_set(marks: frozenset[str], session: Session) -> frozenset[str]:
    """Marks without that of variables if the session sets all that it uses."""
    return marks - {"variable"} if session.texts else marks


def _leaves(query: Query, bounded: bool = False) -> Iterator[Leaf]:
    alone = tuple(standalone(query))
    # SELECT EXISTS (SELECT … LIMIT 1) needs no more than the query inside
    known = {base.alias for each in alone for base in demanded_occurrences(each)}
    for root in (query, *alone):
        for branch in _branches(root):
            bases: Sequence[Base] = demanded_occurrences(branch)
            if isinstance(branch, Block) and branch.tree is None:
                bases = [base for base in bases if base.alias not in known]
            if len(bases) > 1 and one_behind_each(branch):
                yield from (not bounded and _along(branch)) or _together(branch, bases)
            else:
                yield from (
                    Leaf(base.table, to_sql(rows_behind(branch, base), base.table.dialect)) for base in bases
                )
    for table in whole_tables(query):
        yield Leaf(table, None)


def _along(query: Block) -> list[Leaf]:
    """Leaves whose keys are those of one table, or parts of them; none if there is one of which they are not."""
    found = along(query)
    if found is None:
        return []
    base, others = found
    rows = rows_behind(query, base)
    sql, names = to_sql(rows, base.table.dialect), rows.names
    return [
        Leaf(base.table, sql),
        *(
            Leaf(each.base.table, sql, along=each.places, columns=tuple(names[i] for i in each.places))
            for each in others
        ),
    ]


def _together(query: Block, bases: Sequence[Base]) -> Iterator[Leaf]:
    """Leaves whose keys one query returns."""
    rows = rows_behind_all(query, bases)
    together = Together(to_sql(rows, bases[0].table.dialect), tuple(base.table for base in bases))
    names = iter(rows.names)
    for base in bases:
        dialect = base.table.dialect
        own, alias = dialect.columns(next(names) for _ in base.table.key), dialect.quote("rows~")
        yield Leaf(base.table, f"SELECT DISTINCT {own} FROM ({together.sql}) AS {alias}", together=together)


def _with_those_inside(
    leaves: Iterable[Leaf], rules: Iterable[Witness], narrow: Query
) -> tuple[tuple[Leaf, ...], tuple[Witness, ...]]:
    """Leaves and rules, each with its second form for the rows inside."""
    return (
        tuple(
            replace(leaf, inside=other.sql, together=None)
            for leaf, other in zip(leaves, _leaves(narrow, True), strict=True)
        ),
        tuple(replace(rule, inside=other) for rule, other in zip(rules, witnesses(narrow), strict=True)),
    )


def _branches(query: Query) -> Iterator[Query]:
    if isinstance(query, Union) and query.adds_up:
        for branch in query.branches:
            yield from _branches(branch)
    else:
        yield query


def _tables(
    query: Query, names: Iterable[tuple[str | None, str]], catalog: Catalog, default_schema: str | None
) -> tuple[Table, ...]:
    """The tables that it reads, and those of unused CTEs, which a server may need too."""
    named = [found.table for found in through_views(names, catalog, default_schema)]
    tables = [base.table for base in occurrences(query)]
    tables += [table for table in named if table is not None and not table.is_view]
    return tuple({table.full_name: table for table in tables}.values())


def _text(sql: str, read: Read, default_schema: str | None, syntax: Syntax) -> tuple[str, bool]:
    """The reading part of a statement with the schemas of USE, and whether it is the text as captured."""
    assert read.query is not None
    qualified = qualify(read.query, default_schema)
    if read.own and not qualified:
        return sql, True
    return written(read.query, syntax), False


# ---------------------------------------------------------------- SELECT EXISTS (…)


def first_row(query: Query) -> Query:
    """For ``SELECT EXISTS (q)``, the query for the first row of q by key. Any other query stays as it is.

    >>> from dj_sqlspy.lineage.example import show, tree
    >>> show(first_row(tree("SELECT EXISTS (SELECT x FROM a WHERE x > 3)")))
    SELECT t1.id AS k1 FROM s.a AS t1 WHERE (t1.x > 3) ORDER BY t1.id ASC LIMIT 1
    """
    tested = _tested(query)
    if tested is None:
        return query
    if tested.limit is not None or (isinstance(tested, Block) and tested.rollup):
        return tested  # MariaDB does not order rows of ROLLUP; its last row depends on all rows anyway
    if isinstance(tested, Union):
        return replace(tested, limit=1)
    if is_plain(tested) and all(isinstance(source, Base) for source in sources(tested.tree)):
        keys: list[Expr] = [
            column(base.alias, name) for base in from_occurrences(tested.tree) for name in base.table.key
        ]
        # the outputs do not matter, and the rows of its subqueries are those of equal outputs
        tested = replace(tested, outputs=tuple(Output(f"k~{i}", key.copy()) for i, key in enumerate(keys)))
    elif tested.group:
        keys = [key.copy() for key in tested.group]
    elif any(predicates(output.expr) for output in tested.outputs):
        return tested  # its subqueries would occur twice
    else:
        keys = [output.expr.copy() for output in tested.outputs]
    order = tuple(exp.Ordered(this=key, desc=False, nulls_first=True) for key in keys)
    return replace(tested, order=order, limit=1, offset=0, distinct=False)


def _is_told(tested: Query | None, leaves: Sequence[Leaf]) -> bool:
    """True if a key of the first leaf is one behind a row of the query in EXISTS."""
    return (
        isinstance(tested, Block)
        and isinstance(tested.tree, Base)
        and bool(leaves)
        and leaves[0].table is tested.tree.table
        and tested.group is None
        and not tested.windowed
        and tested.limit != 0
        and not tested.offset
    )


def _tested(query: Query) -> Query | None:
    """The query that ``SELECT EXISTS (…)`` tests."""
    if not isinstance(query, Block) or query.tree is not None or len(query.outputs) != 1:
        return None
    expression = query.outputs[0].expr
    found = predicates(expression)
    return found[0].query if len(found) == 1 and isinstance(expression, exp.Exists) else None


# ---------------------------------------------------------------- what cannot be analysed


def _whole_tables(
    sql: str,
    catalog: Catalog,
    error: Exception,
    default_schema: str | None,
    session: Session,
    read: Read | None,
) -> Lineage:
    """The fall-back: all rows of the tables that a statement names."""
    tables: dict[str, Table] = {}
    parsed = read is not None and read.query is not None
    syntax = syntax_of(catalog.dialect)
    names = named_tables(sql, modes=session.modes, syntax=syntax, default_schema=default_schema)
    for schema, name, table, _, guessed in through_views(names, catalog, default_schema):
        if table is not None:
            if not table.is_view:
                tables[table.full_name] = table
        elif (schema or "").lower() in catalog.dialect.system_schemas:
            raise LineageError(f"it reads `{schema}`.`{name}`, which describes the server and is in no slice")
        elif (
            parsed and not guessed
        ) or schema is None:  # else found by tokens only, as alias.column would be
            raise LineageError(
                f"`{schema or default_schema or '?'}`.`{name}` is not in the database. It may have been dropped or "
                "renamed since the analysis ran"
            )
    if not tables and not parsed:
        raise LineageError(f"no table can be told from it: {error}")
    about = (tuple(Leaf(table, None) for table in tables.values()), (), tuple(tables.values()))
    if read is None or read.query is None:
        why = "" if isinstance(error, NotARead) else "what cannot be parsed is not sent: "
        return Lineage(sql, *about, fallback=str(error), answers=False, unsent=f"{why}{error}")
    text, own = _text(sql, read, default_schema, syntax)
    unsent = str(error) if isinstance(error, UnknownVariable) else ""
    marks = _not_set(marks_in(read.query, syntax), session)
    return Lineage(text, *about, marks, fallback=str(error), own=own, answers=read.answers, unsent=unsent)
