"""Levels: statements as nested subqueries, each of which is resolved once for all statements that have it.

In: the text of a statement. Out: its tree, as from `resolve` and `simplify`. Each ``IN (SELECT …)`` in a text becomes a
`Level` of its own, and the text around it names it. Levels with equal text and equal levels inside are one object, with
one tree. So of ``A & (B & (C & …))`` only what no statement before had is parsed and resolved, and no walk goes deeper
than one level. A statement for which this is not the same as to resolve it as a whole has no levels: with comments,
tables without a schema, subqueries that refer to the outer query, or derived tables with literals as names of columns.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..servers.catalog import Catalog
from ..servers.expressions import Expr, Read, Syntax, Unsupported, table_names
from ..servers.mysql.syntax import SYNTAX_MODES
from ..servers.session import Session
from ..servers.syntaxes import MYSQL_SYNTAX, syntax_of
from ..shapes import markers, renumbered
from .lasting import require_known, require_lasting, require_restored
from .resolve import require_shallow, resolve
from .rewrite import apart
from .simplify import repeats, simplify
from .tree import Derived, Query, all_sources

Name: TypeAlias = "tuple[str | None, str]"  # schema, if there is one, and table

# The name of a level in the text around it.
_NAME = "LEVEL~{}"
# Quoted names and strings; the start of a level; parentheses; comments, and what sqlglot may take for one.
_TOKENS = re.compile(
    r"""`[^`]*` | '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*"
    | (?<![\w$@.`])(IN\s*\(\s*)(?=SELECT\b) | (\() | (\)) | (/\*|--|\#|\{|;)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_START = re.compile(r"\bIN\s*\(\s*SELECT\b", re.IGNORECASE)
# More levels are not nested in one another.
_DEEPEST = 60
# The length of all texts whose expressions are kept together: expressions take about a hundred times as much memory.
_ROOM = 1 << 18


@dataclass(eq=False)
class Level:
    """A query: its text, in which ``SELECT `LEVEL~i` `` stands for the i-th level inside of it."""

    text: str
    inner: tuple[Level, ...]
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        self.depth = 1 + max((level.depth for level in self.inner), default=0)

    @property
    def every(self) -> list[Level]:
        """This level and all inside of it, each once, inner ones first."""
        return self.without({})

    def without(self, known: Container[Level]) -> list[Level]:
        """As `every`, but without those that are known, and all inside of them."""
        found: dict[Level, None] = {}
        waiting = [self]
        while waiting:
            level = waiting.pop()
            if level not in known:
                found.pop(level, None)  # after all around it
                found[level] = None
                waiting += level.inner
        return list(found)[::-1]


class Texts:
    """Splits texts into levels, and parses texts that are read twice: for the tables that they name, and analysed."""

    def __init__(self, syntax: Syntax = MYSQL_SYNTAX) -> None:
        self.syntax = syntax
        self._levels: dict[tuple[str, tuple[int, ...]], Level] = {}
        self._split: dict[str, tuple[Level, list[int]] | None] = {}
        self._parsed: dict[tuple[str, frozenset[str]], Expr] = {}
        self._room = _ROOM

    def parse(self, text: str, modes: Collection[str] = ()) -> Expr:
        """The expression of a text, which is kept for `parsed` while there is room."""
        found = self.syntax.parse(text, modes)
        key = (text, frozenset(modes))
        if key not in self._parsed and len(text) <= self._room:
            self._parsed[key] = found
            self._room -= len(text)
        return found

    def parsed(self, text: str, modes: Collection[str] = ()) -> Expr | None:
        """The expression of a text if it is kept. It is not kept any longer, so that it can be changed."""
        found = self._parsed.pop((text, frozenset(modes)), None)
        if found is not None:
            self._room += len(text)
        return found

    def split(self, sql: str, modes: Collection[str] = ()) -> tuple[Level, list[int]] | None:
        """The outermost level of a text; None if it has no others, or may not be split.

        Markers (`shapes.Shape.marked`) get new numbers, and the list has the old ones: inner levels come first, so that
        levels have the same numbers whatever is around them.

        >>> level, _ = Texts().split("SELECT x FROM s.a WHERE id IN (SELECT id FROM s.b) AND x IN (SELECT id FROM s.b)")
        >>> level.text, level.inner[0].text, level.inner[0] is level.inner[1]
        ('SELECT x FROM s.a WHERE id IN (SELECT `LEVEL~0`) AND x IN (SELECT `LEVEL~1`)', 'SELECT id FROM s.b', True)
        """
        if (
            not self.syntax.merges_levels
            or SYNTAX_MODES.intersection(modes)
            or "LEVEL~" in sql
            or _START.search(sql) is None
        ):
            return None
        if sql not in self._split:
            self._split[sql] = self._levels_of(sql)
        return self._split[sql]

    def _levels_of(self, sql: str) -> tuple[Level, list[int]] | None:
        numbers: list[int] = []

        def number(old: int) -> int:
            numbers.append(old)
            return len(numbers) - 1

        def level_of(text: str, inner: Sequence[Level]) -> Level:
            return self._level(renumbered(text, number), inner)

        pieces: list[str] = []
        inner: list[Level] = []
        around: list[tuple[list[str], list[Level]]] = []
        opened: list[bool] = []  # for each open parenthesis, whether a level began there
        at = 0
        for token in _TOKENS.finditer(sql):
            if token.lastindex == 1:
                pieces.append(sql[at : token.end()])
                around.append((pieces, inner))
                pieces, inner, at = [], [], token.end()
                opened.append(True)
            elif token.lastindex == 2:
                opened.append(False)
            elif token.lastindex == 3:
                if not opened:
                    return None
                if opened.pop():
                    pieces.append(sql[at : token.start()])
                    level = level_of("".join(pieces), inner)
                    pieces, inner = around.pop()
                    pieces.append(f"SELECT `{_NAME.format(len(inner))}`")
                    inner.append(level)
                    at = token.start()
            elif token.lastindex == 4:
                return None
        if opened or not inner:
            return None
        pieces.append(sql[at:])
        whole = level_of("".join(pieces), inner)
        return (whole, numbers) if whole.depth <= _DEEPEST else None

    def _level(self, text: str, inner: Sequence[Level]) -> Level:
        key = (text, tuple(map(id, inner)))
        if key not in self._levels:
            self._levels[key] = Level(text, tuple(inner))
        return self._levels[key]


class Levels:
    """The trees of the statements of one session.

    Parameters
    ----------
    catalog : Catalog
    session : Session
    texts : Texts, optional
        May be shared with other sessions, and with `names.NamesOf`.
    """

    def __init__(self, catalog: Catalog, session: Session, texts: Texts | None = None) -> None:
        self.catalog, self.session = catalog, session
        self.syntax = syntax_of(catalog.dialect)
        self.texts = texts or Texts(self.syntax)
        self._reads: dict[str, tuple[Expr, dict[Name, None]]] = {}  # by text, parsed and its names
        self._queries: dict[Level, Query] = {}
        self._names: dict[Level, dict[Name, None]] = {}
        self._repeat: set[Level] = set()  # levels that are the same with their text once more around them
        self._numbers = itertools.count(1)

    def of(self, sql: str) -> tuple[Query, list[Name], list[int]] | None:
        """The tree of a statement, all tables that it names, and the old numbers of its markers in their new order.

        None for one without levels.

        Raises
        ------
        Unsupported, LineageError
            If it cannot be analysed in levels.
        """
        require_restored(self.session)
        if self.session.limit is not None:
            return None
        found = self.texts.split(sql, self.session.modes)
        if found is None:
            return None
        level, numbers = found
        for each in level.without(self._queries):
            self._query(each)
        return self._queries[level], list(self._names[level]), numbers

    def _read(self, level: Level) -> tuple[Expr, dict[Name, None]]:
        """The parsed text of a level, if it passes the gate as it is, and the tables that it names."""
        if level.text not in self._reads:
            modes, parsed = self.session.modes, self.texts.parsed(level.text, self.session.modes)
            read: Read = self.syntax.read_of(level.text, modes, self.catalog.reads_only, parsed)
            if read.query is None or not read.own or not read.answers:
                raise Unsupported("it does more than read")
            require_shallow(read.query)
            names = dict.fromkeys(table_names(read.query))
            if any(schema is None for schema, _ in names):
                raise Unsupported("a table in it has no schema")
            require_lasting(read.query, self.session)
            require_known(read.query, self.session)
            self._reads[level.text] = (read.query, names)
        return self._reads[level.text]

    def _query(self, level: Level) -> None:
        names = dict(self._read(level)[1])
        for inner in level.inner:
            names.update(self._names[inner])
        self._names[level] = names
        if level.inner and level.inner[0] in self._repeat and level.inner[0].text == level.text:
            self._queries[level] = self._queries[level.inner[0]]
            self._repeat.add(level)
            return
        held: dict[str, Query] = {}
        aliases: set[str] = set()
        for number, inner in enumerate(level.inner):
            query = self._queries[inner]
            if not aliases.isdisjoint(query.aliases):  # a level that occurs twice
                query = apart(query, self._alias)
            aliases.update(query.aliases)
            held[_NAME.format(number)] = query
        found = resolve(self._read(level)[0], self.catalog, None, held, self._alias)
        shown = (source.query.names for source in all_sources(found) if isinstance(source, Derived))
        if any(map(markers, itertools.chain.from_iterable(shown))):
            raise Unsupported("a column of a derived table has a literal as its name")
        if repeats(found):
            self._repeat.add(level)
        self._queries[level] = simplify(found)

    def _alias(self) -> str:
        return f"t{next(self._numbers)}"
