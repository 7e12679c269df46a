"""State: restores the session of a statement from what its connection had sent before.

In: the texts that `spy.state` recorded. Out: a `Session` with the statements that restore it, or the reason why that is
impossible; and a `Keeper`, which sets these sessions on a connection. Each setting passes its own gate: it sets one
session variable that changes the meaning of statements, to a value that reads no table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pymysql.charset

from .. import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp

from ...display import one_line
from ..session import PLAIN, Session
from ..snapshot import Refused
from .dialect import DRIVER, MYSQL
from .functions import SERVER_FUNCTIONS
from .syntax import SYNTAX_MODES, Exact, Expr, Unsupported, function_name, statements_of
from .told import text_of, told

# Session variables that change what a statement returns. No others are restored.
MEANING = frozenset(
    """
block_encryption_mode character_set_client character_set_connection character_set_results collation_connection
cte_max_recursion_depth default_regex_flags default_week_format div_precision_increment group_concat_max_len
lc_time_names max_recursive_iterations max_sort_length old_mode sql_auto_is_null sql_mode sql_select_limit
system_versioning_asof time_zone timestamp windowing_use_high_precision
""".split()  # noqa: SIM905
)


@dataclass
class _Found:
    """What the texts so far have set."""

    settings: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    temporary: set[tuple[str | None, str]] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    encoding: str = "utf-8"

    def assigned(self, name: str, reason: str) -> None:
        """A user variable has a value that cannot be restored."""
        self.unknown[name.lower()] = reason
        self.variables.discard(name.lower())

    def may_be_assigned(self, reason: str) -> None:
        """Any user variable may have changed."""
        self.variables.clear()
        self.unknown.setdefault("*", reason)

    def is_set(self, name: str) -> None:
        """A user variable has the value of the last setting."""
        self.unknown.pop(name.lower(), None)
        self.variables.add(name.lower())

    def why_unknown(self, name: str) -> str | None:
        return Session(variables=frozenset(self.variables), unknown=self.unknown).why_unknown(name)


def read_session(texts: Sequence[str]) -> Session:
    """The session after these texts. `Keeper.complete` adds what only the server can tell.

    >>> read_session(["SET time_zone = '+02:00', autocommit = 0"]).settings
    ("SET SESSION time_zone = '+02:00'",)
    >>> read_session(["SELECT MAX(a) FROM t INTO @m"]).unknown
    {'m': 'it was assigned from a result'}
    """
    if not texts:
        return PLAIN
    found = _Found()
    for text in texts:
        try:
            for statement in statements_of(text):
                _read(statement, text, found)
        except Unsupported as error:
            head = text.split(None, 1)[0].upper() if text.split() else ""
            if head == "SET":
                found.problem = found.problem or f"{one_line(text, 80)}: {error}"
    return Session(
        tuple(texts),
        tuple(found.settings),
        names=frozenset(found.names),
        temporary=frozenset(found.temporary),
        variables=frozenset(found.variables),
        unknown=found.unknown,
        problem=found.problem,
        encoding=found.encoding,
    )


def _read(statement: Expr, text: str, found: _Found) -> None:
    if isinstance(statement, exp.Set):
        for item in statement.expressions:
            _read_item(item, text, found)
    elif isinstance(statement, exp.Create):
        _temporary(statement.find(exp.Table), found)
    elif isinstance(statement, exp.Drop):
        for table in statement.find_all(exp.Table):
            found.temporary -= {name for name in found.temporary if name[1] == table.name.lower()}
    elif isinstance(statement, exp.Query):
        for name in _assigned(statement):
            found.assigned(name, "it was assigned from a result")
    # CALL, PREPARE and EXECUTE can assign any variable, so those that are not set later are unknown
    elif isinstance(statement, exp.Command) and statement.name.upper() in ("CALL", "EXECUTE"):
        found.may_be_assigned(f"{one_line(text, 80)} may have assigned it")


def _temporary(table: exp.Table | None, found: _Found) -> None:
    if table is not None:
        found.temporary.add((table.db.lower() or None, table.name.lower()))


def _assigned(query: Expr) -> Iterator[str]:
    for into in query.find_all(exp.Into):
        yield from (parameter.name for parameter in into.find_all(exp.Parameter))
    for assignment in query.find_all(exp.PropertyEQ):
        yield from (parameter.name for parameter in [assignment.this] if isinstance(parameter, exp.Parameter))


def _read_item(item: Expr, text: str, found: _Found) -> None:
    kind = str(item.args.get("kind") or "").upper()
    if kind in ("NAMES", "CHARACTER SET"):
        charset, collation = item.this.name, item.args.get("collate")
        words = f"SET {kind} {Exact().generate(exp.Literal.string(charset))}"
        if collation is not None:
            words += f" COLLATE {Exact().generate(exp.Literal.string(collation.name))}"
        found.settings.append(words)
        found.names |= {"character_set_client", "character_set_results", "collation_connection"}
        if DRIVER in text:
            known = pymysql.charset.charset_by_name(charset)
            found.encoding = known.encoding if known is not None else found.encoding
        return
    target, value = item.this.this, item.this.expression
    if kind == "GLOBAL" or (isinstance(target, exp.SessionParameter) and target.args.get("kind") == "global"):
        return
    if isinstance(target, exp.Parameter):
        reason = _why_not(value, found)
        if reason:
            found.assigned(target.name, reason)
        else:
            found.settings.append(f"SET @{MYSQL.quote(target.name)} = {Exact().generate(value)}")
            found.is_set(target.name)
        return
    name = target.name.lower()
    if name not in MEANING:
        return
    reason = _why_not(value, found)
    if reason:
        found.problem = found.problem or f"{one_line(text, 80)}: {reason}"
    else:
        found.settings.append(f"SET SESSION {name} = {Exact().generate(value)}")
        found.names.add(name)


def _why_not(value: Expr, found: _Found) -> str:
    """Why a value cannot be restored, or ""."""
    for node in value.walk():
        if isinstance(node, exp.Table):
            return "it was set from a result"
        if isinstance(node, exp.Parameter) and (reason := found.why_unknown(node.name)):
            return reason
        if isinstance(node, (exp.PropertyEQ, exp.Command)):
            return "it does more than setting a value"
        name = function_name(node)
        if name is not None and name not in SERVER_FUNCTIONS:
            return f"the stored function {name.lower()} was called for it"
    return ""


# Words of sql_mode that are removed for rewritten queries, which are written for a session without them.
_NOT_REWRITTEN = SYNTAX_MODES | {"ONLY_FULL_GROUP_BY", "ANSI"}

# The servers' value for no limit.
_NO_LIMIT = (1 << 64) - 1


class Keeper:
    """Sets the sessions of statements, one after the other, on a connection.

    Parameters
    ----------
    connection : pymysql connection
        Its own settings are those of a statement without a session.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._now: tuple[Session, bool] | None = (PLAIN, False)
        self._own: dict[str, Any] = {}
        self._dirty: set[str] = set()  # user variables that were set
        self._sessions: dict[tuple[str, ...], Session] = {(): PLAIN}

    def session(self, texts: Sequence[str]) -> Session:
        """The session after these texts on this server."""
        key = tuple(texts)
        if key not in self._sessions:
            found = read_session(key)
            try:
                with told():
                    found = self.complete(found)
            except Refused as error:
                found = replace(found, problem=f"this server does not accept a setting: {error}")
            self._sessions[key] = found
        return self._sessions[key]

    def use(self, session: Session, *, rewritten: bool) -> None:
        """Set the session if it is not already set.

        Parameters
        ----------
        session : Session
        rewritten : bool
            For rewritten queries: without the modes that change how a text is parsed, in the character set of this
            connection, and without a limit of rows.
        """
        now = self._now
        if now is not None and now[0] is session and (now[1] == rewritten or not session.settings):
            return
        with self.connection.cursor() as cursor:
            if now is None or now[0].settings:
                self._restore(cursor)
            self._now = None  # until the server has accepted all settings
            if session.settings:
                if not self._own:
                    self._own = _variables(cursor)
                self._dirty |= session.variables
                for text in session.settings:
                    cursor.execute(text)
                if rewritten:
                    self._plainly(cursor)
        self._now = (session, rewritten)

    def complete(self, session: Session) -> Session:
        """The session with what the server reports after it is set."""
        if session.problem or not session.names & {"sql_mode", "sql_select_limit"}:
            return session
        self.use(session, rewritten=False)
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT @@sql_mode, @@sql_select_limit")
            mode, limit = map(text_of, cursor.fetchone())
        return replace(
            session,
            modes=frozenset(word for word in mode.upper().split(",") if word),
            limit=None if int(limit) >= _NO_LIMIT else int(limit),
        )

    def _restore(self, cursor: Any) -> None:
        known = {name: value for name, value in self._own.items() if value is not None}
        items = [f"SESSION {name} = %s" for name in known]
        items += [f"SESSION {name} = DEFAULT" for name in self._own if name not in known]
        cursor.execute(f"SET {', '.join(items)}", list(known.values()))
        if self._dirty:
            cursor.execute("SET " + ", ".join(f"@{MYSQL.quote(name)} = NULL" for name in sorted(self._dirty)))
            self._dirty.clear()

    def _plainly(self, cursor: Any) -> None:
        cursor.execute("SELECT @@sql_mode")
        words = [word for word in text_of(cursor.fetchone()[0]).split(",") if word]
        left = [word for word in words if word.upper() not in _NOT_REWRITTEN]
        cursor.execute(
            "SET SESSION sql_mode = %s, SESSION character_set_client = %s, SESSION character_set_results = %s,"
            f" SESSION sql_select_limit = {_NO_LIMIT}",
            (",".join(left), self._own["character_set_client"], self._own["character_set_results"]),
        )


def _variables(cursor: Any) -> dict[str, Any]:
    """This server's values of the variables that sessions set; None means the default."""
    marks = ", ".join(["%s"] * len(MEANING))
    cursor.execute(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({marks})", sorted(MEANING))
    found: dict[str, str | None] = {text_of(name): text_of(value) for name, value in cursor.fetchall()}
    # these hold a fixed time, or none
    found |= {name: None for name in ("timestamp", "system_versioning_asof") if name in found}
    # numbers and switches are shown as texts, but a server does not accept texts for them
    return {name: None if value is None else _typed(value) for name, value in found.items()}


def _typed(value: str) -> str | int:
    return {"ON": 1, "OFF": 0}.get(value, int(value) if value.isdecimal() else value)
