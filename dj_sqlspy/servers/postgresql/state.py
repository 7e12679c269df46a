"""State: restores the session of a statement from what its connection had sent before, as `mysql.state` does.

In: the texts that the spy recorded. Out: a `Session` with the settings that restore it, or the reason why that is
impossible; and a `Keeper`, which sets these sessions on a connection. A text is never sent: each setting is read from
it, passes a list of those that are followed, and is set by ``set_config`` to a value that is a literal. A setting under
which rewritten queries would compare or print otherwise is not followed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...display import one_line
from ..expressions import Unsupported
from ..session import PLAIN, Session
from ..snapshot import Refused
from .driver import driver
from .syntax import tokens_of
from .told import told

# isort: split
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

# Settings that a result can depend on and that are set again, whatever their value.
_FOLLOWED = frozenset(
    {
        "timezone",
        "lc_monetary",
        "lc_numeric",
        "lc_time",
        "default_text_search_config",
        "xmlbinary",
        "xmloption",
    }
)
# Settings that are followed with values for which keys are printed and texts are read as without them.
_ORDERS = ("MDY", "DMY", "YMD", "US", "EURO", "EUROPEAN", "NONEURO", "NONEUROPEAN")
PRINTED: Mapping[str, Callable[[str], bool]] = {
    "intervalstyle": lambda value: value.lower() == "postgres",
    "bytea_output": lambda value: value.lower() == "hex",
    "extra_float_digits": lambda value: value in ("1", "2", "3"),  # shortest exact, from PostgreSQL 12 on
}
_AS_EVER: Mapping[str, Callable[[str], bool]] = {
    **PRINTED,
    "standard_conforming_strings": lambda value: value.lower() in ("on", "true", "yes", "1"),
    "transform_null_equals": lambda value: value.lower() in ("off", "false", "no", "0"),
    "array_nulls": lambda value: value.lower() in ("on", "true", "yes", "1"),
}
# Settings that change how a server answers, and never what. Tables without a schema are not looked for by a
# search_path of several schemas, and a driver reads any encoding.
_WITHOUT_MEANING = frozenset(
    """
search_path client_encoding seq_page_cost random_page_cost cpu_tuple_cost cpu_index_tuple_cost cpu_operator_cost
parallel_setup_cost parallel_tuple_cost effective_cache_size jit geqo default_statistics_target cursor_tuple_fraction
from_collapse_limit join_collapse_limit plan_cache_mode constraint_exclusion hash_mem_multiplier
max_parallel_workers_per_gather max_parallel_workers default_transaction_isolation default_transaction_read_only
default_transaction_deferrable row_security check_function_bodies escape_string_warning
""".split()  # noqa: SIM905
)

_TEXTS = frozenset({TokenType.STRING, TokenType.IDENTIFIER})


@dataclass
class _Found:
    """What the texts so far have set."""

    settings: dict[str, str] = field(default_factory=dict)
    temporary: set[tuple[str | None, str]] = field(default_factory=set)
    problem: str = ""


def read_session(texts: Sequence[str]) -> Session:
    """The session after these texts.

    >>> read_session(["SET TIME ZONE 'Asia/Tokyo'", "SET datestyle TO iso, dmy"]).settings
    ('timezone=Asia/Tokyo', 'datestyle=ISO, DMY')
    >>> read_session(["SET DateStyle = 'German'"]).problem
    "SET DateStyle = 'German': dates and times are printed in another form"
    >>> read_session(["SET ROLE ann"]).problem
    'SET ROLE ann: this setting is not followed on PostgreSQL'
    """
    if not texts:
        return PLAIN
    found = _Found()
    for text in texts:
        try:
            reason = _read(tokens_of(text), found)
        except Unsupported as error:
            reason = str(error)
        if reason and not found.problem:
            found.problem = f"{one_line(text, 80)}: {reason}"
    return Session(
        tuple(texts),
        tuple(f"{name}={value}" for name, value in found.settings.items()),
        names=frozenset(found.settings),
        temporary=frozenset(found.temporary),
        problem=found.problem,
    )


def _read(tokens: Sequence[Token], found: _Found) -> str:
    """Read a text into ``found``; why its session cannot be set again, or ""."""
    words = [_word(token) for token in tokens]
    if words[-1:] == [";"]:
        words = words[:-1]
    if words[:1] == ["CREATE"]:
        return _made(tokens, words, found)
    if words[:2] == ["DROP", "TABLE"]:
        # a text of several names or statements would be read in part
        return (
            "" if len(words) <= 5 and _dropped(tokens, words, found) else "it is not followed what it drops"
        )
    if words[1:3] == ["PG_CATALOG", "."]:
        words, tokens = [words[0], *words[3:]], [tokens[0], *tokens[3:]]
    if words[:3] == ["SELECT", "SET_CONFIG", "("] and words[4::2] == [",", ",", ")"] and len(words) == 9:
        return _set(str(tokens[3].text).lower(), tokens[5:6], found)
    if words[:1] != ["SET"] or ";" in words:
        return "what it sets is not followed on PostgreSQL"
    place = 2 if words[1:2] in (["SESSION"], ["LOCAL"]) else 1
    if words[place : place + 2] == ["TIME", "ZONE"]:
        name, values = "timezone", tokens[place + 2 : len(words)]
    elif words[place : place + 1] in (["SCHEMA"], ["NAMES"]):
        name = "search_path" if words[place] == "SCHEMA" else "client_encoding"
        values = tokens[place + 1 : len(words)]
    elif words[place + 1 : place + 2] in (["TO"], ["="]):
        name, values = str(tokens[place].text).lower(), tokens[place + 2 : len(words)]
    else:
        return "this setting is not followed on PostgreSQL"
    return _set(name, values, found)


def _word(token: Token) -> str:
    return "" if token.token_type in _TEXTS else str(token.text).upper()


def _set(name: str, tokens: Sequence[Token], found: _Found) -> str:
    if name == "search_path" and any("pg_catalog" in str(token.text).lower() for token in tokens):
        return "functions of a user may stand before the server's own"
    if name in _WITHOUT_MEANING or name.startswith("enable_"):
        return ""
    values = [str(token.text) for token in tokens]
    if name == "datestyle":
        return _date_style([word for value in values for word in value.replace(",", " ").split()], found)
    signed = len(values) == 2 and values[0] in ("-", "+")
    if len(values) != 1 and not signed:
        return "its value is not followed"
    value = "".join(values)
    if name in _AS_EVER:
        return "" if _AS_EVER[name](value) else "with this value texts are read or printed in another form"
    if name not in _FOLLOWED:
        return "this setting is not followed on PostgreSQL"
    if name == "timezone" and not signed and _word(tokens[0]) in ("LOCAL", "DEFAULT"):
        return "its value is not followed"
    found.settings[name] = value
    return ""


def _date_style(words: Sequence[str], found: _Found) -> str:
    """DateStyle has a form of printing, of which only ISO is followed, and an order of day, month and year."""
    orders = [word.upper() for word in words if word.upper() in _ORDERS]
    if len(orders) + sum(word.upper() == "ISO" for word in words) < len(words):
        return "dates and times are printed in another form"
    if orders:
        found.settings["datestyle"] = f"ISO, {orders[-1]}"
    return ""


def _made(tokens: Sequence[Token], words: Sequence[str], found: _Found) -> str:
    """CREATE TEMPORARY TABLE."""
    place = next((i for i, word in enumerate(words[:5]) if word in ("TABLE", "VIEW", "SEQUENCE")), 0)
    if words[place + 1 : place + 4] == ["IF", "NOT", "EXISTS"]:
        place += 3
    name = tokens[place + 1 : place + 4]
    if not place or not name:
        return "it is not followed what it creates"
    last = name[2] if len(name) == 3 and name[1].text == "." else name[0]
    found.temporary.add((None, str(last.text).lower()))
    return ""


def _dropped(tokens: Sequence[Token], words: Sequence[str], found: _Found) -> bool:
    """DROP TABLE of one table without its schema; whether it is that."""
    rest = tokens[4 if words[2:4] == ["IF", "EXISTS"] else 2 : len(words)]
    if len(rest) != 1:
        return False
    found.temporary.discard((None, str(rest[0].text).lower()))
    return True


class Keeper:
    """Sets the sessions of statements, one after the other, on a connection.

    Parameters
    ----------
    connection : psycopg2 connection
        Its own settings are those of a statement without a session.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._now: tuple[str, ...] | None = ()  # settings; None: not known
        self._own: dict[str, str] = {}  # of settings that were changed
        self._sessions: dict[tuple[str, ...], Session] = {(): PLAIN}

    def session(self, texts: Sequence[str]) -> Session:
        """The session after these texts."""
        key = tuple(texts)
        if key not in self._sessions:
            self._sessions[key] = read_session(key)
        return self._sessions[key]

    def use(self, session: Session) -> None:
        """Set the session if it is not already set.

        Raises
        ------
        Refused
            If this server does not accept a setting.
        """
        if self._now == session.settings:
            return
        wanted = dict(text.split("=", 1) for text in session.settings)
        with told(), self.connection.cursor() as cursor:
            for name in wanted.keys() - self._own.keys():
                cursor.execute("SELECT current_setting(%s)", (name,))
                self._own[name] = str(cursor.fetchone()[0])
            self._now = None  # until the server has accepted all settings
            with self._whole(cursor):
                for name, value in {**self._own, **wanted}.items():
                    cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        self._now = session.settings

    def forget(self) -> None:
        """The settings may have gone with a transaction."""
        self._now = None

    @contextlib.contextmanager
    def _whole(self, cursor: Any) -> Iterator[None]:
        """In a block, settings are all made or none, and a transaction goes on."""
        extensions = driver().extensions
        inside = self.connection.info.transaction_status != extensions.TRANSACTION_STATUS_IDLE
        if not inside:
            yield
            return
        cursor.execute("SAVEPOINT dj_sqlspy_session")
        try:
            yield
        except driver().Error as error:
            if self.connection.info.transaction_status == extensions.TRANSACTION_STATUS_INERROR:
                cursor.execute("ROLLBACK TO SAVEPOINT dj_sqlspy_session")
            raise Refused(
                f"this server does not accept a setting of its session: {str(error).splitlines()[0]}",
                unknown=True,
            ) from error
        cursor.execute("RELEASE SAVEPOINT dj_sqlspy_session")
