"""State: the session of a statement, from what its connection had sent before.

In: the texts that `spy.state` kept. Out: a `Session`: statements that set the same again, or the reason why that
cannot be. Each passed a gate of its own: it sets one variable of the session, of those that change what a statement
means, to a value that no table is read for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pymysql.charset

from . import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp

from ..session import PLAIN, Session
from .functions import SERVER_FUNCTIONS
from .syntax import SYNTAX_MODES, Exact, Expr, Unsupported, function_name, statements_of

# What `spy.state` writes behind the character set that the driver was given.
DRIVER = "/* the driver */"

# Variables of a session that change what a statement returns. No other one is set again.
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
    """What was found in the texts so far."""

    settings: list[str] = field(default_factory=list)
    temporary: set[tuple[str | None, str]] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    encoding: str = "utf-8"

    def assigned(self, name: str, reason: str) -> None:
        """A user variable has a value that cannot be had."""
        self.unknown[name.lower()] = reason


def read_session(texts: Sequence[str]) -> Session:
    """The session that texts make, without the modes, which the server tells once they are set.

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
                found.problem = found.problem or f"{_short(text)}: {error}"
    return Session(
        tuple(texts),
        tuple(found.settings),
        frozenset(),
        frozenset(found.temporary),
        found.unknown,
        found.problem,
        found.encoding,
    )


def with_modes(session: Session, sql_mode: str) -> Session:
    """The session with the words of its sql_mode, as the server says them."""
    return replace(session, modes=frozenset(word for word in sql_mode.upper().split(",") if word))


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
    # CALL, PREPARE and EXECUTE can assign any variable: of those that are not set later nothing is known
    elif isinstance(statement, exp.Command) and statement.name.upper() in ("CALL", "EXECUTE"):
        found.unknown.setdefault("*", f"{_short(text)} may have assigned it")


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
            found.unknown.pop(target.name.lower(), None)
            found.settings.append(f"SET @{_identifier(target.name)} = {Exact().generate(value)}")
        return
    name = target.name.lower()
    if name not in MEANING:
        return
    reason = _why_not(value, found)
    if reason:
        found.problem = found.problem or f"{_short(text)}: {reason}"
    else:
        found.settings.append(f"SET SESSION {name} = {Exact().generate(value)}")


def _why_not(value: Expr, found: _Found) -> str:
    """Why a value cannot be had again, or ""."""
    for node in value.walk():
        if isinstance(node, exp.Table):
            return "it was set from a result"
        if isinstance(node, exp.Parameter) and node.name.lower() in found.unknown:
            return found.unknown[node.name.lower()]
        if isinstance(node, (exp.PropertyEQ, exp.Command)):
            return "it does more than set a value"
        name = function_name(node)
        if name is not None and name not in SERVER_FUNCTIONS:
            return f"the stored function {name.lower()} was called for it"
    return ""


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:80]} …"


class Keeper:
    """Gives a connection the session of one statement after the other.

    Parameters
    ----------
    connection : pymysql connection
        Whose own settings are those without a session.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._now: tuple[Session, bool] = (PLAIN, False)
        self._own: dict[str, Any] = {}

    def use(self, session: Session, *, rewritten: bool) -> None:
        """Set the session, if it is not set already.

        Parameters
        ----------
        session : Session
        rewritten : bool
            For queries that were written anew: those are read without the modes that change how a text is read, in the
            character set of this connection.
        """
        if self._now == (session, rewritten):
            return
        with self.connection.cursor() as cursor:
            if self._now[0].settings:
                self._restore(cursor)
            self._now = (PLAIN, False)
            if session.settings:
                if not self._own:
                    self._own = _variables(cursor)
                for text in session.settings:
                    cursor.execute(text)
                if rewritten:
                    self._plainly(cursor)
        self._now = (session, rewritten)

    def _restore(self, cursor: Any) -> None:
        names = ", ".join(f"SESSION {name} = %s" for name in self._own)
        cursor.execute(f"SET {names}", list(self._own.values()))

    def _plainly(self, cursor: Any) -> None:
        """Read texts as without a session: no such modes, and the client's own character set."""
        cursor.execute("SELECT @@sql_mode")
        words = [word for word in _text(cursor.fetchone()[0]).split(",") if word]
        left = [w for w in words if w.upper() not in SYNTAX_MODES | {"ONLY_FULL_GROUP_BY", "ANSI"}]
        charset = self._own["character_set_client"]
        results = self._own["character_set_results"]
        cursor.execute(
            "SET SESSION sql_mode = %s, SESSION character_set_client = %s, SESSION character_set_results = %s",
            (",".join(left), charset, results),
        )

    def modes(self) -> str:
        """The sql_mode that is set now."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT @@sql_mode")
            return _text(cursor.fetchone()[0])


def _variables(cursor: Any) -> dict[str, Any]:
    """The values of the variables that sessions set, as this server has them."""
    marks = ", ".join(["%s"] * len(MEANING))
    cursor.execute(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({marks})", sorted(MEANING))
    found = {_text(name): _text(value) for name, value in cursor.fetchall()}
    numbers = {name: int(value) if value.isdecimal() else value for name, value in found.items()}
    # shown as ON and OFF, or not to be set to what is shown
    numbers.pop("timestamp", None)
    return {
        name: {"ON": 1, "OFF": 0}.get(str(value), value) if name != "time_zone" else value
        for name, value in numbers.items()
    }


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
