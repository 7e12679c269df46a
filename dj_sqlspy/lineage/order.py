"""Order: does a statement determine its result, and the order of it?

In: a resolved `Query`. Out: marks for what can change by itself, and whether ORDER BY is total (by closure of
functional dependencies: Armstrong, IFIP 1974: keys determine rows, equalities carry over).
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.dialects.mysql import MySQL

from ..servers.mysql.syntax import Expr
from .tree import (
    Base,
    Block,
    Derived,
    Join,
    Opaque,
    Query,
    Tree,
    Union,
    block_expressions,
    children,
    conjuncts,
    joins,
    sources,
    tree_aliases,
)

# Functions whose value changes by itself, by the mark that they give.
_CHANGING = {
    "now": "NOW CURRENT_TIMESTAMP CURRENT_DATE CURRENT_TIME CURDATE CURTIME LOCALTIME LOCALTIMESTAMP SYSDATE "
    "UNIX_TIMESTAMP UTC_DATE UTC_TIME UTC_TIMESTAMP CURRENTTIMESTAMP CURRENTDATE CURRENTTIME CURRENTDATETIME",
    "rand": "RAND UUID UUID_SHORT RANDOM_BYTES UUID_V4 UUID_V7 SYS_GUID",
    "session": "CONNECTION_ID USER CURRENT_USER SESSION_USER SYSTEM_USER FOUND_ROWS ROW_COUNT LAST_INSERT_ID "
    "VERSION DATABASE SCHEMA CURRENT_ROLE GET_LOCK RELEASE_LOCK IS_FREE_LOCK IS_USED_LOCK SLEEP BENCHMARK "
    "LOAD_FILE LASTVAL NEXTVAL CURRENTUSER SESSIONUSER",
}
_MARKS = {name: mark for mark, names in _CHANGING.items() for name in names.split()}


def marks_of(query: Query) -> frozenset[str]:
    """Why the result of a query could change although no row that it reads does."""
    return frozenset(_marks(query))


def _marks(query: Query) -> Iterator[str]:
    if query.limit is not None and not determined(query):
        yield "limit"
    expressions = list(block_expressions(query) if isinstance(query, Block) else query.order)
    if isinstance(query, Block):
        expressions += [
            s.hidden for s in sources(query.tree) if isinstance(s, Opaque) and s.hidden is not None
        ]
    for expression in expressions:
        for node in expression.walk():
            if isinstance(node, (exp.Parameter, exp.SessionParameter)):
                yield "variable" if isinstance(node, exp.Parameter) else "session"
            elif isinstance(node, exp.Func):
                yield from _mark(node)
    for child in children(query):
        yield from _marks(child)


def _mark(node: exp.Func) -> Iterator[str]:
    name = str(node.this).upper() if isinstance(node, exp.Anonymous) else node.sql_name().upper()
    if name == "UNIX_TIMESTAMP" and node.expressions:
        return  # with an argument it is a function of it
    if name == "RAND" and node.find(exp.Column) is not None:
        return  # a constant starts a sequence over the rows, a column gives each row its own number
    plain = name.replace("_", "")
    mark = _MARKS.get(name) or next((m for n, m in _MARKS.items() if n.replace("_", "") == plain), None)
    if mark is not None:
        yield mark


def changes(node: Expr) -> bool:
    """True where the value of a call, placeholder or variable may change from call to call."""
    if isinstance(node, exp.Anonymous):
        # what sqlglot has no name for may be a stored function
        return str(node.this).upper() not in MySQL.Parser.FUNCTIONS or any(True for _ in _mark(node))
    return isinstance(node, (exp.Placeholder, exp.Parameter, exp.SessionParameter))


def determined(query: Query) -> bool:
    """True if ORDER BY leaves no choice (or there is at most one row).

    Collations that find different texts equal do no harm: keys are unique under the same collation.
    """
    if isinstance(query, Union):
        ordered = {_plain(e).name.lower() for e in query.order if isinstance(_plain(e), exp.Column)}
        return query.distinct and {name.lower() for name in query.names} <= ordered
    if query.tree is None or (query.group == () and not query.rollup):
        return True
    known = {_id(node) for e in query.order if isinstance(node := _plain(e), exp.Column)}
    known |= _constants(query)
    known = closure(known, query)
    if query.group is not None:
        return not query.rollup and all(
            isinstance(_bare(key), exp.Column) and _id(_bare(key)) in known for key in query.group
        )
    if query.distinct and all(
        isinstance(_bare(o.expr), exp.Column) and _id(_bare(o.expr)) in known for o in query.outputs
    ):
        return True
    return all(_identity(source) is not None and _identity(source) <= known for source in sources(query.tree))  # type: ignore[operator]


def _plain(ordered: Expr) -> Expr:
    return _bare(ordered.this if isinstance(ordered, exp.Ordered) else ordered)


def _bare(expression: Expr) -> Expr:
    while isinstance(expression, exp.Paren):
        expression = expression.this
    return expression


def _id(node: Expr) -> tuple[str, str]:
    return node.table, node.name.lower()  # type: ignore[attr-defined]


def _constants(block: Block) -> set[tuple[str, str]]:
    """Columns that equal a constant, or a column of a query around this one, which is as constant to it."""
    own = tree_aliases(block.tree)
    found = set()
    for condition in block.where:
        for part in conjuncts(condition):
            if isinstance(part, exp.EQ):
                for one, other in ((part.this, part.expression), (part.expression, part.this)):
                    if (
                        isinstance(_bare(one), exp.Column)
                        and _id(_bare(one))[0] in own
                        and other.find(exp.Placeholder) is None
                        and all(node.table not in own for node in other.find_all(exp.Column))
                    ):
                        found.add(_id(_bare(one)))
    return found


def _identity(source: Base | Derived | Opaque) -> set[tuple[str, str]] | None:
    """Columns that tell the rows of a source apart, or None where none do."""
    if isinstance(source, Base):
        return {(source.alias, name.lower()) for name in source.table.primary_key} or None
    if isinstance(source, Opaque):
        return None
    names = _identifying_outputs(source.query)
    return None if names is None else {(source.alias, name.lower()) for name in names}


def _identifying_outputs(query: Query) -> set[str] | None:
    if isinstance(query, Union):
        return set(query.names) if query.distinct else None
    if query.distinct:
        return set(query.names)
    if query.group == () or query.tree is None:
        return set()
    shown = {_id(_bare(o.expr)): o.name for o in query.outputs if isinstance(_bare(o.expr), exp.Column)}
    if query.group is not None:
        ids = {_id(_bare(key)) for key in query.group if isinstance(_bare(key), exp.Column)}
        complete = len(ids) == len(query.group) and not query.rollup
        return {shown[i] for i in ids} if complete and ids <= set(shown) else None
    constants = _constants(query)
    wanted: set[tuple[str, str]] = set()
    for source in sources(query.tree):
        identity = _identity(source)
        if identity is None:
            return None
        wanted |= identity
    # as few as will do, so that an ORDER BY around it that names them is seen to be total
    for ids in ((wanted - constants) & set(shown), set(shown)):
        if wanted <= closure(ids | constants, query):
            return {shown[i] for i in ids}
    return None


def column_ids(expression: Expr, alone: bool = False) -> set[tuple[str, str]]:
    """The columns of an expression; with ``alone``, only of one that is nothing but a column."""
    if alone:
        bare = _bare(expression)
        return {_id(bare)} if isinstance(bare, exp.Column) else set()
    return {_id(node) for node in expression.find_all(exp.Column)}


def closure(known: set[tuple[str, str]], block: Block) -> set[tuple[str, str]]:
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


def _columns(source: Tree) -> set[tuple[str, str]]:
    if isinstance(source, Base):
        return {(source.alias, c.name.lower()) for c in source.table.columns}
    if isinstance(source, Derived):
        return {(source.alias, name.lower()) for name in source.query.names}
    return set()


def _equalities(block: Block) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    conditions: list[tuple[Expr, Join | None]] = [(condition, None) for condition in block.where]
    conditions += [
        (condition, join if join.left_outer else None) for join in joins(block.tree) for condition in join.on
    ]
    for condition, join in conditions:
        for part in conjuncts(condition):
            if isinstance(part, exp.EQ):
                one, other = _bare(part.this), _bare(part.expression)
                if isinstance(one, exp.Column) and isinstance(other, exp.Column):
                    # in a LEFT JOIN only the kept side determines the other: an unmatched NULL tells nothing
                    supplied = {source.alias for source in sources(join.right)} if join is not None else set()
                    if join is None or one.table not in supplied:
                        yield _id(one), _id(other)
                    if join is None or other.table not in supplied:
                        yield _id(other), _id(one)


__all__ = ["changes", "closure", "column_ids", "determined", "marks_of"]
