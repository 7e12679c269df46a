"""Routines: stored functions that statements and views call, if a slice can hold them.

In: a cursor on the source, and names. Out: for each function the statement that creates it, or the reason why a slice
cannot have it. A slice takes only functions that compute from their arguments alone, since rows that a function reads
may not be in the slice. The text of the function decides, because NO SQL and READS SQL DATA are mere declarations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from .. import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from ..snapshot import Refused
from ..source import Created, Thing
from .dialect import MYSQL
from .functions import SERVER_FUNCTIONS
from .gate import ReadsOnly
from .probes import collations_named
from .syntax import Exact, Unsupported, parse, tokens_of
from .told import text_of, told

Name = tuple[str, str]

# Words of statements that read, write or have unknown effects.
_NOT_ALONE = frozenset(
    """
SELECT INSERT UPDATE DELETE REPLACE TRUNCATE CALL EXECUTE PREPARE HANDLER LOAD TABLE CREATE DROP ALTER LOCK NEXTVAL
SETVAL GET_LOCK SLEEP
""".split()  # noqa: SIM905
)

# Words of sql_mode that both servers know.
_MODES = frozenset(
    """
ANSI_QUOTES PIPES_AS_CONCAT NO_BACKSLASH_ESCAPES HIGH_NOT_PRECEDENCE IGNORE_SPACE NO_UNSIGNED_SUBTRACTION
STRICT_TRANS_TABLES STRICT_ALL_TABLES ERROR_FOR_DIVISION_BY_ZERO NO_ZERO_DATE NO_ZERO_IN_DATE
""".split()  # noqa: SIM905
)


def reads_only(connection: Any) -> ReadsOnly:
    """A function that tells whether a stored function is known to only read; it asks the server once for each.

    A function without a schema counts as known if all functions of its name are.
    """

    @cache
    def known(schema: str, name: str) -> bool:
        with told(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT routine_schema, routine_name, sql_data_access FROM information_schema.routines"
                " WHERE routine_type = 'FUNCTION' AND routine_name = %s AND %s IN ('', routine_schema)",
                (name, schema),
            )
            found = [tuple(map(text_of, row)) for row in cursor.fetchall()]
            return bool(found) and all(
                access in ("NO SQL", "READS SQL DATA")
                or isinstance(stored_functions(connection, [(of, function)])[of, function], Created)
                for of, function, access in found
            )

    return known


def stored_functions(connection: Any, names: Iterable[Name]) -> dict[Name, Created | str]:
    """The statement that creates each function, or why a slice cannot have it. Functions follow those that they call.

    Parameters
    ----------
    connection : pymysql connection to the source
    names : iterable of (schema, name)
        For names that the account does not see or that are no stored functions, the result is a reason.
    """
    found: dict[Name, Created | str] = {}
    with connection.cursor() as cursor:
        for name in names:
            _add(cursor, name, found, ())
    return found


def _add(cursor: Any, name: Name, found: dict[Name, Created | str], above: tuple[Name, ...]) -> None:
    if name in found:
        return
    schema, function = name
    text, modes, collation = _shown(cursor, schema, function)
    if text is None:
        found[name] = (
            "the account does not see its text; ask for GRANT SHOW_ROUTINE (MySQL) or SHOW CREATE ROUTINE"
        )
        return
    try:
        tokens = tokens_of(text, modes & {"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"})
    except Unsupported as error:
        found[name] = str(error)
        return
    start = next(i for i, token in enumerate(tokens) if token.text.upper() == "FUNCTION")
    words = [token.text.upper() for token in tokens]
    following = [*words[1:], ""]
    if words[start - 1] == "AGGREGATE":
        found[name] = "it computes over groups of rows"
        return
    for word, after in zip(words[start + 1 :], following[start + 1 :], strict=True):
        if word in _NOT_ALONE and not (after == "(" and word in SERVER_FUNCTIONS - {"NEXTVAL", "SETVAL"}):
            found[name] = f"it does more than compute with its arguments ({word})"
            return
    own = {(token.text, i) for i, token in enumerate(tokens) if i > start + 1 and following[i] == "("}
    others = _of_schema(cursor, schema, [text for text, _ in own if text.upper() not in SERVER_FUNCTIONS])
    for other in others:
        if other == name or other in above:
            found[name] = "it calls itself"
            return
        _add(cursor, other, found, (*above, name))
        if isinstance(found[other], str):
            found[name] = f"it calls {MYSQL.full_name(*other)}: {found[other]}"
            return
    settings = (
        f"SET SESSION sql_mode = '{','.join(sorted(modes & _MODES))}', collation_connection = {collation}"
    )
    sql = f"CREATE {text[tokens[start].start :]}"
    needs = tuple(Thing("FUNCTION", *other) for other in others)
    calls = tuple(
        _calls(
            text,
            tokens[start + 2 :],
            modes & {"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"},
            {other.lower() for _, other in others},
        )
    )
    collations = (collation, *collations_named(tokens))
    traits = _traits(cursor, schema, function)
    found[name] = Created("FUNCTION", schema, function, sql, (settings,), needs, calls, collations, traits)


def _calls(text: str, tokens: Sequence[Token], modes: set[str], stored: Collection[str]) -> Iterator[str]:
    """The calls in the body of a function, with NULL for its variables and for calls of stored functions.

    Types with a length look like calls; no server answers these.

    >>> text = "RETURN NVL2(z, LEFT(twice(u), 3), 'x')"
    >>> list(_calls(text, tokens_of(text), set(), {"twice"}))
    ["NVL2(NULL, LEFT(NULL, 3), 'x')", 'LEFT(NULL, 3)']
    """
    for place, token in enumerate(tokens[1:]):
        if token.token_type != TokenType.L_PAREN:
            continue
        start = place - 2 if place > 1 and tokens[place - 1].token_type == TokenType.DOT else place
        try:
            query = parse(f"SELECT {text[tokens[start].start : _closing(tokens, place + 1).end + 1]}", modes)
        except Unsupported:
            continue
        for node in list(query.find_all(exp.Column, exp.Anonymous)):
            if isinstance(node, exp.Column) or node.name.lower() in stored:
                whole = node.parent if isinstance(node.parent, exp.Dot) else node
                whole.replace(exp.Null())
        call = query.expressions[0]
        if isinstance(call, (exp.Func, exp.Dot)) and not query.find(exp.Parameter, exp.SessionParameter):
            yield call.sql(dialect=Exact, comments=False)


def _closing(tokens: Sequence[Token], opening: int) -> Token:
    """The token with the parenthesis that closes another; the last one if none does."""
    depth = 0
    for token in tokens[opening:]:
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if depth == 0:
            return token
    return tokens[-1]


def _shown(cursor: Any, schema: str, name: str) -> tuple[str | None, set[str], str]:
    """The text of a function, the words of its sql_mode, and its collation."""
    try:
        with told():
            cursor.execute(f"SHOW CREATE FUNCTION {MYSQL.full_name(schema, name)}")
            _, modes, text, _, collation, _ = cursor.fetchone()
    except Refused:
        return None, set(), ""
    return None if text is None else text_of(text), set(text_of(modes).split(",")), text_of(collation)


def _traits(cursor: Any, schema: str, name: str) -> str:
    """Whether a function is deterministic, and what it reads, as in its definition."""
    cursor.execute(
        "SELECT IF(is_deterministic = 'YES', 'DETERMINISTIC', 'NOT DETERMINISTIC'), sql_data_access"
        " FROM information_schema.routines WHERE routine_type = 'FUNCTION' AND routine_schema = %s"
        " AND routine_name = %s",
        (schema, name),
    )
    return " ".join(map(text_of, cursor.fetchone()))


def _of_schema(cursor: Any, schema: str, names: Sequence[str]) -> list[Name]:
    """The names that are functions of a schema."""
    if not names:
        return []
    cursor.execute(
        "SELECT routine_schema, routine_name FROM information_schema.routines WHERE routine_type = 'FUNCTION'"
        f" AND routine_schema = %s AND routine_name IN ({', '.join(['%s'] * len(names))})",
        [schema, *names],
    )
    return [(text_of(a), text_of(b)) for a, b in cursor.fetchall()]
