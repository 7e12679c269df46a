"""Shapes: statements with their literals lifted out.

In: captured statements. Out: `Shape` objects, each the statements that differ in literals only, with the literals
of each (its bindings). A loop of a hundred thousand ``fetch1`` is one shape with a hundred thousand bindings, so
lineage is compiled once for it. Lifting is lexical and never parses; it does not know the catalog.

A shape can be written with markers in place of its literals (`Shape.marked`), analysed, and the outcome filled in
with any binding (`fill`). A marker is a literal of the same type as what it stands for, and unlike any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from .journal import Statement

# Tokens that lifting has to tell apart: what may hold quotes or digits that are no literals (comments, quoted
# identifiers), and literals. MySQL 9 reference manual, sections 11.1 (literals), 11.7 (comments).
_TOKENS = re.compile(
    r"""(
      /\*.*?\*/ | --[ \t][^\n]*\n? | \#[^\n]*\n?         # comments
    | `(?:[^`]|``)*`                                     # quoted identifier
    | (?<![\w$])[xX]'[0-9a-fA-F]*' | (?<![\w$])0x[0-9a-fA-F]+(?![\w$])
    | '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*"        # strings
    | (?<![\w$.@`])(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w$`])  # numbers
    )""",
    re.VERBOSE | re.DOTALL,
)
# From here on a number can be a position or a limit, which is no value.
_POSITIONS = re.compile(r"\b(?:BY|LIMIT|OFFSET|RETURNING|ROWS|RANGE)\b|->", re.IGNORECASE)

_MARKER = "771{:014d}177"  # 20 digits: as bytes, a whole number of them
_MARKED = re.compile(r"(?:[xX]'771(\d{14})177')|(?:'771(\d{14})177')|(?:771(\d{14})177)")


def lift(sql: str) -> tuple[str, tuple[str, ...]]:
    """Split a statement into its template and its literals.

    >>> lift("SELECT * FROM `t1` WHERE a=3 AND b IN ('x', \\"y\\") LIMIT 5")
    ("SELECT * FROM `t1` WHERE a=\\x00n AND b IN (\\x00s, \\x00s) LIMIT 5", ('3', "'x'", '"y"'))
    """
    parts = _TOKENS.split(sql)
    literals: list[str] = []
    positions = False
    for index in range(1, len(parts), 2):
        token = parts[index]
        first = token[0]
        if first in "`/#" or token.startswith("--"):
            continue
        if not positions and _POSITIONS.search(parts[index - 1]):
            positions = True
        if first in "'\"":
            if parts[index - 1].rstrip().endswith(("->", "$", ",")) and "$" in token[:3]:
                continue  # a JSON path is part of the statement, not a value
            kind = "\0s"
        elif first in "xX" or token.startswith("0x"):
            kind = "\0x"
        elif positions:
            continue
        else:
            kind = "\0n"
        literals.append(token)
        parts[index] = kind
    return "".join(parts), tuple(literals)


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
    bindings : dict of tuple of str to list of Statement
        The statements by their literals, as SQL text, in order of first appearance.
    """

    template: str
    kind: str
    database: str = ""
    bindings: dict[tuple[str, ...], list[Statement]] = field(default_factory=dict)

    @property
    def marked(self) -> str:
        """The statement with a marker for each literal."""
        parts = re.split("\0([snx])", self.template)
        text = [parts[0]]
        for number, (kind, rest) in enumerate(zip(parts[1::2], parts[2::2], strict=True)):
            marker = _MARKER.format(number)
            text.append({"s": f"'{marker}'", "n": marker, "x": f"X'{marker}'"}[kind])
            text.append(rest)
        return "".join(text)

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(s.number for members in self.bindings.values() for s in members)


def group(
    statements: Iterable[Statement], kind_of: Callable[[Statement], str] = lambda statement: statement.kind
) -> list[Shape]:
    """Group statements of one kind into shapes, in order of first appearance."""
    shapes: dict[tuple[str, str, str], Shape] = {}
    lifted: dict[str, tuple[str, tuple[str, ...]]] = {}
    for statement in statements:
        found = lifted.get(statement.sql)
        if found is None:
            found = lifted[statement.sql] = lift(statement.sql)
        template, binding = found
        kind = kind_of(statement)
        key = (template, kind, statement.database)
        shape = shapes.get(key)
        if shape is None:
            shape = shapes[key] = Shape(*key)
        shape.bindings.setdefault(binding, []).append(statement)
    return list(shapes.values())


def markers(text: str) -> list[int]:
    """The numbers of the markers in a text, in its order, each as often as it stands there."""
    return [int(a or b or c) for a, b, c in _MARKED.findall(text)]


def fill(text: str, binding: Sequence[str]) -> str:
    """Put the literals of a binding in the place of the markers of a text."""
    return _MARKED.sub(lambda match: binding[int(match[1] or match[2] or match[3])], text)
