"""Shapes: statements with their literals lifted out.

In: captured statements. Out: `Shape` objects. A shape groups the statements that differ in literals only, and keeps
the literals of each (its binding). A loop of 100,000 ``fetch1`` is one shape with 100,000 bindings, so its lineage is
computed once. Lifting works on tokens, without a parser and without the catalog.

`Shape.marked` writes a shape with markers in place of its literals. It is analysed in this form, and `fill` puts any
binding into the outcome. A marker is a unique literal of the same type as the literal that it replaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from .journal import Statement
from .servers.dialect import Literals
from .servers.mysql.dialect import MYSQL

# The literals of a statement, as written there.
Binding: TypeAlias = "tuple[str, ...]"

# After one of these words a number can be a position or a limit, not a value.
_POSITIONS = re.compile(r"\b(?:BY|LIMIT|OFFSET|RETURNING|ROWS|RANGE)\b|->", re.IGNORECASE)
# The text before a JSON path: an operator or a comma, then perhaps a character set.
_BEFORE_PATH = re.compile(r"(?:->>?|\$|,)\s*(?:_\w+\s*)?$")

# Aliases that DataJoint numbers per process, so each statement of a loop has a different one.
_DERIVED = re.compile(r"\)\s*(?:as\s*)?$", re.IGNORECASE)

_MARKER = "771{:014d}177"  # 20 digits, an even number, as hexadecimal literals need
_MARKED = re.compile(r"(?:[xX]'771(\d{14})177')|(?:'771(\d{14})177')|(?:771(\d{14})177)")


def lift(sql: str, kind: Literals = MYSQL.literals) -> tuple[str, tuple[str, ...]]:
    """Split a statement into its template and its literals.

    Aliases that DataJoint numbers are renumbered from 0.

    >>> lift("SELECT * FROM `t1` WHERE a=3 AND b IN ('x', \\"y\\") LIMIT 5")
    ('SELECT * FROM `t1` WHERE a=\\x00n AND b IN (\\x00s, \\x00s) LIMIT 5', ('3', "'x'", '"y"'))
    >>> lift("SELECT * FROM (SELECT `a` FROM `t`) as `$3f`")[0]
    'SELECT * FROM (SELECT `a` FROM `t`) as `$0`'
    >>> from dj_sqlspy.servers.postgresql.dialect import POSTGRESQL
    >>> lift('SELECT * FROM (SELECT "a" FROM "t" WHERE b = 3 AND c = 4) as "$3f"', POSTGRESQL.literals)
    ('SELECT * FROM (SELECT "a" FROM "t" WHERE b = \\x00n AND c = \\x00n) as "$0"', ('3', '4'))
    """
    parts = kind.tokens.split(sql)
    literals: list[str] = []
    numbered: list[int] = []
    positions = False
    for index in range(1, len(parts), 2):
        token = parts[index]
        first = token[0]
        if first == kind.quote:
            if token[1:2] in ("$", "_") and kind.numbered.fullmatch(token):
                numbered.append(index)
            continue
        if first in "/#" or token.startswith("--"):
            continue
        if not positions and _POSITIONS.search(parts[index - 1]):
            positions = True
        if first in "'\"eE":
            if "$" in token[:3] and _BEFORE_PATH.search(parts[index - 1]):
                continue  # a JSON path is part of the statement, not a value
            mark = "\0s"
        elif first in "xX" or token.startswith("0x"):
            mark = "\0x"
        elif positions:
            continue
        else:
            mark = "\0n"
        literals.append(token)
        parts[index] = mark
    if numbered:
        _renumber(parts, numbered, kind)
    return "".join(parts), tuple(literals)


def with_zeros(template: str) -> str:
    """A statement that names the same tables as all with a template: with 0 for each literal.

    >>> with_zeros(lift("SELECT a1 FROM `t 1` WHERE b = 15 AND c = 'it' -- it's 2")[0])
    "SELECT a1 FROM `t 1` WHERE b = 0 AND c = 0 -- it's 2"
    """
    return re.sub("\0[snx]", "0", template)


def is_moded(state: Iterable[str]) -> bool:
    """Whether the sql_mode of a statement may change which tokens are literals."""
    return any("sql_mode" in text.lower() for text in state)


def without_literals(sql: str, state: Iterable[str] = (), kind: Literals = MYSQL.literals) -> str:
    """The statement with question marks for literals and without comments, so that it reveals no value.

    ``state`` is what its connection had set (`Statement.state`). A text whose literals are not told apart is "?".

    >>> without_literals("SELECT `a` FROM t WHERE b = 'x' GROUP BY `a` HAVING `a` > 3 LIMIT 5 -- y")
    'SELECT `a` FROM t WHERE b = ? GROUP BY `a` HAVING `a` > ? LIMIT ? '
    >>> from dj_sqlspy.servers.postgresql.dialect import POSTGRESQL
    >>> without_literals('SELECT "a" FROM t WHERE b = 3', kind=POSTGRESQL.literals)
    'SELECT "a" FROM t WHERE b = ?'
    >>> without_literals("SELECT a FROM t WHERE b = $$x$$", kind=POSTGRESQL.literals)
    '?'
    >>> without_literals("SELECT a1 FROM t2 WHERE b IN (4_711, 0x12_67, .5e-3, U&'x')", kind=POSTGRESQL.literals)
    'SELECT a1 FROM t2 WHERE b IN (?, ?, ?, U&?)'
    """
    if is_moded(state) or not kind.lifts(sql):
        return "?"
    parts = kind.tokens.split(sql)
    for index in range(1, len(parts), 2):
        token = parts[index]
        if token[0] != kind.quote:
            parts[index] = "" if token[0] in "/#" or token.startswith("--") else "?"
    if any(
        quote in part for part in parts[::2] for quote in "'\"`"
    ):  # it was not told apart what is a literal
        return "?"
    return "".join(parts)


def _renumber(parts: list[str], numbered: Sequence[int], kind: Literals) -> None:
    """Number aliases in order of appearance, if all belong to derived tables and so are not the user's names."""
    names = {parts[index]: "" for index in numbered}
    if not _all_derived(parts, numbered):
        return
    for count, name in enumerate(names):
        prefix = re.sub(kind.numbered, r"\1", name)
        names[name] = f"{kind.quote}{prefix}{count:x}{kind.quote}"
    for index in numbered:
        parts[index] = names[parts[index]]


def _all_derived(parts: Sequence[str], numbered: Sequence[int]) -> bool:
    names = {parts[index] for index in numbered}
    return names == {parts[index] for index in numbered if _DERIVED.search(parts[index - 1])}


@dataclass
class Shape:
    """Statements of one kind that differ in literals only.

    Attributes
    ----------
    template : str
        The text with its literals lifted out.
    kind : str
    database : str
        The schema of names without one.
    state : tuple of str
        What their connections had set (`Statement.state`).
    bindings : dict of tuple of str to list of Statement
        Statements by their literals (SQL text), in order of first appearance.
    """

    template: str
    kind: str
    database: str = ""
    state: tuple[str, ...] = ()
    bindings: dict[tuple[str, ...], list[Statement]] = field(default_factory=dict)

    @cached_property
    def marked(self) -> str:
        """The statement with a marker for each literal that differs between bindings."""
        parts = re.split("\0([snx])", self.template)
        text = [parts[0]]
        every = list(zip(*self.bindings, strict=True)) if len(self.bindings) > 1 else []
        for number, (kind, rest) in enumerate(zip(parts[1::2], parts[2::2], strict=True)):
            marker = _MARKER.format(number)
            if every and every[number].count(every[number][0]) == len(every[number]):
                text.append(every[number][0])
            else:
                text.append({"s": f"'{marker}'", "n": marker, "x": f"X'{marker}'"}[kind])
            text.append(rest)
        return "".join(text)

    @property
    def first(self) -> Statement:
        return next(iter(self.bindings.values()))[0]

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(s.number for members in self.bindings.values() for s in members)


# Characters of a statement that is not lifted. To lift a text of megabytes takes a second and ten times its memory.
_LONG = 100_000


def group(
    statements: Iterable[Statement],
    kind_of: Callable[[Statement], str] = lambda statement: statement.kind,
    literals: Literals = MYSQL.literals,
) -> list[Shape]:
    """Group statements of one kind into shapes, in order of first appearance.

    A statement whose sql_mode may change its literals (`is_moded`) is not lifted, nor is one with a long list of
    literals, which hardly another statement has.
    """
    shapes: dict[tuple[str, str, str, tuple[str, ...]], Shape] = {}
    lifter = Lifter(literals)
    for statement in statements:
        sql = statement.sql
        apart = len(sql) > _LONG or is_moded(statement.state) or not literals.lifts(sql)
        template, binding = (statement.sql, ()) if apart else lifter.lift(statement.sql)
        key = (template, kind_of(statement), statement.database, statement.state)
        shape = shapes.get(key)
        if shape is None:
            shape = shapes[key] = Shape(*key)
        members = shape.bindings.get(binding)
        if members is None:
            shape.bindings[binding] = [statement]
        else:
            members.append(statement)
    return list(shapes.values())


# A template becomes a regular expression once _OFTEN statements have it, if it has few literals. Compiling one takes
# about as long as lifting a hundred statements.
_OFTEN = 16
_FEW = 24
# Characters after a literal that fix where it ends.
_ENDS = re.compile(r"[),;\s<>=*/%&|^!+-]")
_PATTERNS = {
    "\0n": r"((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)",
    "\0x": r"([xX]'[0-9a-fA-F]*'|0x[0-9a-fA-F]+)",
}


@dataclass(frozen=True, slots=True)
class _Known:
    """A template, the pattern that matches its statements, and the groups that are literals and aliases."""

    template: str
    match: Callable[[str], re.Match[str] | None]
    literals: tuple[int, ...]
    aliases: tuple[int, ...]


class Lifter:
    """Lifts many statements. For a frequent template it needs one match of a regular expression."""

    def __init__(self, literals: Literals = MYSQL.literals) -> None:
        self._literals = literals
        self._seen: dict[str, int] = {}
        # by the text before the first "=", which tells most templates apart
        self._known: dict[str, list[_Known]] = {}

    def lift(self, sql: str) -> tuple[str, tuple[str, ...]]:
        """As the function `lift`."""
        head = sql.partition("=")[0]
        for known in self._known.get(head, ()):
            match = known.match(sql)
            if match is not None:
                if not known.aliases:
                    return known.template, match.groups()
                # two uses of one alias make another template than two different aliases
                if len({match[i] for i in known.aliases}) == len(known.aliases):
                    return known.template, tuple([match[i] for i in known.literals])
        template, binding = lift(sql, self._literals)
        if binding and len(binding) <= _FEW:
            count = self._seen[template] = self._seen.get(template, 0) + 1
            if count == _OFTEN and (new := _known(template, self._literals)) is not None:
                self._known.setdefault(head, []).append(new)
        return template, binding


def _known(template: str, kind: Literals = MYSQL.literals) -> _Known | None:
    """The pattern that matches a statement exactly if `lift` gives this template for it.

    None if a literal could end at more than one place.

    >>> _known(lift("SELECT 1 = 'x'")[0]).match("SELECT 25 = 'y'").groups()
    ('25', "'y'")
    """
    parts = kind.tokens.split(template)
    numbered = [i for i in range(1, len(parts), 2) if kind.numbered.fullmatch(parts[i])]
    renumbered = _all_derived(parts, numbered)
    pieces = kind.pieces.split(template)
    text: list[str] = []
    literals: list[int] = []
    aliases: dict[str, int] = {}
    for index, piece in enumerate(pieces):
        group = len(literals) + len(aliases) + 1
        if index % 2 == 0 or (piece[0] == kind.quote and not renumbered):
            text.append(re.escape(piece))
        elif piece[0] == kind.quote:
            if piece in aliases:
                text.append(rf"(?:\{aliases[piece]})")
            else:
                aliases[piece] = group
                prefix = re.sub(kind.numbered, r"\1", piece)
                text.append(rf"({kind.quote}{re.escape(prefix)}[0-9a-f]+{kind.quote})")
        else:
            before, after = pieces[index - 1], pieces[index + 1]
            last = index + 2 == len(pieces)
            if not before or not (_ENDS.match(after) or (last and not after)):
                return None
            literals.append(group)
            text.append(kind.string if piece == "\0s" else _PATTERNS[piece])
    pattern = re.compile("".join(text), re.DOTALL)
    return _Known(template, pattern.fullmatch, tuple(literals), tuple(aliases.values()))


def markers(text: str) -> list[int]:
    """The numbers of all markers in a text, in order, with repeats."""
    return [int(a or b or c) for a, b, c in _MARKED.findall(text)]


def renumbered(text: str, number: Callable[[int], int]) -> str:
    """A text with other numbers for its markers.

    >>> one, other = (f"a = {_MARKER.format(number)}" for number in (3, 8))
    >>> renumbered(one, {3: 8}.__getitem__) == other
    True
    """

    def other(match: re.Match[str]) -> str:
        old = match[1] or match[2] or match[3]
        return match[0].replace(_MARKER.format(int(old)), _MARKER.format(number(int(old))))

    return _MARKED.sub(other, text)


def fill(text: str, binding: Sequence[str]) -> str:
    """Replace the markers of a text by the literals of a binding."""
    return _MARKED.sub(lambda match: binding[int(match[1] or match[2] or match[3])], text)
