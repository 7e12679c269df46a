"""Order: tells whether a statement determines its result and its order.

In: a resolved `Query`. Out: marks for what can change by itself, and whether ORDER BY is total. That is the closure of
functional dependencies (Armstrong, IFIP 1974): keys determine rows, equalities carry over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from sqlglot import exp
from sqlglot.dialects.mysql import MySQL

from ..servers.expressions import Expr, Syntax, nodes, nodes_of
from .tree import (
    Base,
    Block,
    Derived,
    Opaque,
    Query,
    Source,
    Union,
    children,
    conjuncts,
    expressions_of,
    joins,
    query_of,
    remembered,
    sources,
    tree_aliases,
)

ColumnId: TypeAlias = tuple[str, str]  # alias of its source, and name in lower case

# Functions whose value changes by itself, by mark.
_CHANGING = {
    "now": "NOW CURRENT_TIMESTAMP CURRENT_DATE CURRENT_TIME CURRENTDATETIME CURDATE CURTIME LOCALTIME LOCALTIMESTAMP "
    "SYSDATE UNIX_TIMESTAMP UTC_DATE UTC_TIME UTC_TIMESTAMP "
    "AGE CLOCK_TIMESTAMP STATEMENT_TIMESTAMP TIMEOFDAY TRANSACTION_TIMESTAMP",
    "rand": "RAND UUID UUID_SHORT RANDOM_BYTES UUID_V4 UUID_V7 SYS_GUID GEN_RANDOM_UUID RANDOM RANDOM_NORMAL",
    "session": "CONNECTION_ID USER CURRENT_USER SESSION_USER SYSTEM_USER FOUND_ROWS ROW_COUNT LAST_INSERT_ID "
    "VERSION DATABASE SCHEMA CURRENT_ROLE GET_LOCK RELEASE_LOCK IS_FREE_LOCK IS_USED_LOCK SLEEP BENCHMARK "
    "LOAD_FILE LASTVAL NEXTVAL "
    "CURRENT_CATALOG CURRENT_DATABASE CURRENT_SCHEMA CURRENT_SCHEMAS CURRENT_SETTING",
}
# sqlglot names some without underscores
_MARKS = {name.replace("_", ""): mark for mark, names in _CHANGING.items() for name in names.split()}

# Functions whose value depends on their arguments only, but for the marked ones.
_STEADY = frozenset(MySQL.Parser.FUNCTIONS) | {"JSONB_EXTRACT_PATH", "JSONB_EXTRACT_PATH_TEXT"}


@remembered
def marks_of(query: Query) -> frozenset[str]:
    """Why the result of a query could change although its rows do not."""
    return _inside(query) | {"limit"} if _chooses(query) else _inside(query)


@remembered
def _inside(query: Query) -> frozenset[str]:
    """The marks of a query but for that of its own LIMIT, which does not matter in EXISTS."""
    found = set[str]()
    expressions = list(expressions_of(query))
    if isinstance(query, Block):
        expressions += [
            s.hidden for s in sources(query.tree) if isinstance(s, Opaque) and s.hidden is not None
        ]
    found |= {mark for each in expressions for node in nodes(each) if (mark := _mark(node)) is not None}
    tested = {
        id(query_of(node.this)) for each in expressions for node in nodes_of(each, exp.Exists) if node.this
    }
    return frozenset(found).union(
        *(_inside(each) if id(each) in tested else marks_of(each) for each in children(query))
    )


def marks_in(statement: Expr, syntax: Syntax) -> frozenset[str]:
    """The marks of a parsed statement that is not analysed, but for that of LIMIT."""
    found = {mark for node in nodes(statement) if (mark := _mark(node)) is not None}
    if any(
        isinstance(node, exp.TableSample)
        or (isinstance(node, exp.Column) and node.name.lower() in syntax.places)
        for node in nodes(statement)
    ):
        found.add("place")
    return frozenset(found)


def _chooses(query: Query) -> bool:
    """True if it has only some of the rows that it could have as well."""
    if isinstance(query, Block) and (query.picks or (query.ties and not query.offset)):
        return query.picks
    return query.limit is not None and not determined(query)


def _mark(node: Expr) -> str | None:
    if isinstance(node, (exp.Parameter, exp.SessionParameter)):
        return "variable" if isinstance(node, exp.Parameter) else "session"
    if not isinstance(node, exp.Func):
        return None
    name = str(node.this).upper() if isinstance(node, exp.Anonymous) else node.sql_name().upper()
    if name == "UNIX_TIMESTAMP" and node.expressions:
        return None  # with an argument it depends only on that
    if name == "RAND" and node.find(exp.Column) is not None:
        return None  # with a column, a row determines its number; with a constant, the order of rows does
    return _MARKS.get(name.replace("_", ""))


def changes(node: Expr) -> bool:
    """True if the value of a call, placeholder or variable may change from call to call."""
    if isinstance(node, exp.Anonymous):
        # a function that sqlglot does not know may be a stored function
        return str(node.this).upper() not in _STEADY or _mark(node) is not None
    return isinstance(node, (exp.Placeholder, exp.Parameter, exp.SessionParameter))


def determined(query: Query) -> bool:
    """True if ORDER BY leaves no choice (or there is at most one row).

    >>> from dj_sqlspy.lineage.example import tree
    >>> [determined(tree(f"SELECT x FROM a ORDER BY {key}")) for key in ("x", "id")]
    [False, True]

    Texts that are different and compare equal do no harm, since keys are unique under the same collation.
    """
    if isinstance(query, Union):
        ordered = {key[1] for e in query.order if (key := column_id(e)) is not None}
        return query.distinct and {name.lower() for name in query.names} <= ordered
    if query.tree is None or (query.group == () and not query.rollup):
        return True
    ordered_by = {key for e in query.order if (key := column_id(e)) is not None}
    known = closure(ordered_by | _constants(query), query)
    if query.group is not None:
        return not query.rollup and all(column_id(key) in known for key in query.group)
    if query.distinct and all(column_id(output.expr) in known for output in query.outputs):
        return True
    identities = [_identity(source) for source in sources(query.tree)]
    return all(identity is not None and identity <= known for identity in identities)


def column_id(expression: Expr) -> ColumnId | None:
    """Source and name of an expression that is just a column; None for any other."""
    if isinstance(expression, exp.Ordered):
        expression = expression.this
    bare = expression.unnest()
    return (bare.table, bare.name.lower()) if isinstance(bare, exp.Column) else None


def column_ids(expression: Expr) -> set[ColumnId]:
    """Source and name of each column of an expression."""
    return {(node.table, node.name.lower()) for node in nodes_of(expression, exp.Column)}


def closure(known: set[ColumnId], block: Block) -> set[ColumnId]:
    """The columns that the ``known`` ones determine in the rows of a block."""
    equal = list(_equalities(block))
    while True:
        new = {b for a, b in equal if a in known} - known
        for source in sources(block.tree):
            identity = _identity(source)
            if identity is not None and identity <= known:
                new |= _columns(source) - known
        if not new:
            return known
        known = known | new


def _columns(source: Source) -> set[ColumnId]:
    if isinstance(source, Base):
        return {(source.alias, c.name.lower()) for c in source.table.columns}
    if isinstance(source, Derived):
        return {(source.alias, name.lower()) for name in source.query.names}
    return set()


def _identity(source: Source) -> set[ColumnId] | None:
    """Columns that identify the rows of a source, or None."""
    if isinstance(source, Base):
        return {(source.alias, name.lower()) for name in source.table.primary_key} or None
    names = _identifying_outputs(source.query) if isinstance(source, Derived) else None
    return None if names is None else {(source.alias, name.lower()) for name in names}


def _identifying_outputs(query: Query) -> set[str] | None:
    if query.distinct:
        return set(query.names)
    if isinstance(query, Union):
        return None
    if query.group == () or query.tree is None:
        return set()
    shown = {key: output.name for output in query.outputs if (key := column_id(output.expr)) is not None}
    if query.group is not None:
        keys = {column_id(key) for key in query.group}
        complete = len(keys) == len(query.group) and not query.rollup
        return {shown[key] for key in keys if key is not None} if complete and keys <= set(shown) else None
    constants = _constants(query)
    wanted: set[ColumnId] = set()
    for source in sources(query.tree):
        identity = _identity(source)
        if identity is None:
            return None
        wanted |= identity
    # as few as possible, so that an outer ORDER BY by them is recognised as total
    for ids in ((wanted - constants) & set(shown), set(shown)):
        if wanted <= closure(ids | constants, query):
            return {shown[i] for i in ids}
    return None


def _constants(block: Block) -> set[ColumnId]:
    """Columns that equal a constant, or a column of an outer query, which is constant here."""
    own = tree_aliases(block.tree)
    return {
        key
        for one, other in _equal_sides(block.where)
        if (key := column_id(one)) is not None
        and key[0] in own
        and other.find(exp.Placeholder) is None
        and not any(node.table in own for node in nodes_of(other, exp.Column))
    }


def _equalities(block: Block) -> Iterator[tuple[ColumnId, ColumnId]]:
    """Pairs of equal columns of which the first determines the second."""
    conditions: list[tuple[tuple[Expr, ...], frozenset[str]]] = [(block.where, frozenset())]
    conditions += [
        # in a LEFT JOIN only the kept side determines the other, which may be NULL for lack of a match
        (join.on, tree_aliases(join.right) if join.left_outer else frozenset())
        for join in joins(block.tree)
    ]
    for on, filled in conditions:
        for one, other in _equal_sides(on):
            first, second = column_id(one), column_id(other)
            if first is not None and second is not None and first[0] not in filled:
                yield first, second


def _equal_sides(conditions: Iterable[Expr]) -> Iterator[tuple[Expr, Expr]]:
    """Both sides of each equation among the conditions, in both orders."""
    for condition in conditions:
        for part in conjuncts(condition):
            if isinstance(part, exp.EQ):
                yield part.this, part.expression
                yield part.expression, part.this
