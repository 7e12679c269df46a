"""Definition: parses the output of SHOW CREATE TABLE into parts that can be changed, and writes it back.

In: the text. Out: a `Definition`: columns with their clauses, keys and constraints with their parts, options of the
table, partitions. It parses what MySQL and MariaDB print, which is less than what they accept. The contents of version
comments (``/*!80023 INVISIBLE */``) are read as ordinary text. It asks no server, and does not know which definitions a
server accepts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from .dialect import MYSQL


class Token(NamedTuple):
    """A word, a name in backticks, a string or a mark, with the space before it."""

    space: str
    text: str

    @property
    def word(self) -> str:
        """A word in capitals; a name, string or mark unchanged."""
        return self.text if self.text[0] in "`'\"" else self.text.upper()


Tokens = tuple[Token, ...]

# In this order: start or end of a version comment, name, string, word or number, any other mark.
_TOKEN = re.compile(
    r"(?P<space>\s*)(?:(?P<open>/\*M?!\d*)|(?P<close>\*/)|(?P<text>`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|[\w$]+|\S))",
    re.DOTALL,
)


class Clause(NamedTuple):
    """A clause of a column, identified by its first words: ``DEFAULT``, ``NOT NULL``, ``GENERATED`` …"""

    kind: str
    tokens: Tokens

    @property
    def text(self) -> str:
        return text_of(self.tokens)


@dataclass(frozen=True)
class ColumnDefinition:
    """A column: its name, its type (with length and UNSIGNED) and its clauses in order."""

    name: str
    type: str
    clauses: tuple[Clause, ...]

    def get(self, kind: str) -> Clause | None:
        """The clause of a kind."""
        return next((clause for clause in self.clauses if clause.kind == kind), None)

    def __str__(self) -> str:
        return " ".join([MYSQL.quote(self.name), self.type, *(clause.text for clause in self.clauses)])


@dataclass(frozen=True)
class KeyDefinition:
    """A key, constraint or period: ``kind`` (``UNIQUE KEY``, ``FOREIGN KEY``, ``CHECK`` …), name, the parts in
    parentheses and the rest."""

    kind: str
    name: str
    parts: tuple[Tokens, ...]
    rest: Tokens = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The column names with which parts start."""
        return tuple(name_of(part[0]) for part in self.parts if part[0].text[0] == "`")

    @property
    def refers_to(self) -> tuple[str, str, tuple[str, ...]] | None:
        """Schema ("" if not given), table and columns that a foreign key refers to."""
        if not self.rest or self.rest[0].word != "REFERENCES":
            return None
        opening = next(i for i, token in enumerate(self.rest) if token.text == "(")
        names = [name_of(token) for token in self.rest[1:opening] if token.text != "."]
        closing = _closing(self.rest, opening)
        columns = [name_of(token) for token in self.rest[opening + 1 : closing - 1] if token.text != ","]
        return (names[0] if len(names) > 1 else ""), names[-1], tuple(columns)

    def __str__(self) -> str:
        named = f" {MYSQL.quote(self.name)}" if self.name else ""
        head = (
            f"CONSTRAINT{named} {self.kind}" if self.kind in _CONSTRAINTS and named else f"{self.kind}{named}"
        )
        rest = text_of(self.rest)
        return f"{head} ({','.join(map(text_of, self.parts))})" + (f" {rest}" if rest else "")


_CONSTRAINTS = ("FOREIGN KEY", "CHECK")


@dataclass(frozen=True)
class Definition:
    """A table: its name, columns, keys and constraints, options by name, and partitions."""

    name: str
    columns: tuple[ColumnDefinition, ...]
    keys: tuple[KeyDefinition, ...]
    options: dict[str, str]
    partitions: Tokens = ()

    def __str__(self) -> str:
        items = ",\n".join(f"  {item}" for item in (*self.columns, *self.keys))
        options = "".join(f" {name}={value}" if value else f" {name}" for name, value in self.options.items())
        partitions = f"\n{text_of(self.partitions)}" if self.partitions else ""
        return f"CREATE TABLE {MYSQL.quote(self.name)} (\n{items}\n){options}{partitions}"


def tokens_of(text: str) -> Tokens:
    r"""The tokens of a text, including those in version comments.

    >>> [token.text for token in tokens_of("`a``b` int /*!80023 INVISIBLE */ DEFAULT 'it\\'s'")]
    ['`a``b`', 'int', 'INVISIBLE', 'DEFAULT', "'it\\'s'"]
    """
    found: list[Token] = []
    space = ""
    for match in _TOKEN.finditer(text):
        space += match["space"]
        if match["text"]:
            found.append(Token(space, match["text"]))
            space = ""
        elif found:
            space = " "  # start or end of a version comment
    return tuple(found)


def text_of(tokens: Sequence[Token]) -> str:
    """Tokens as text."""
    return "".join(token.space + token.text for token in tokens)[len(tokens[0].space) :] if tokens else ""


def name_of(token: Token) -> str:
    """The name in a token with backticks; a word unchanged.

    >>> name_of(Token("", "`a``b`"))
    'a`b'
    """
    return token.text[1:-1].replace("``", "`") if token.text[0] == "`" else token.text


def parse_definition(text: str) -> Definition:
    """Parse the output of SHOW CREATE TABLE.

    Raises
    ------
    ValueError
        If it cannot be parsed.

    Examples
    --------
    >>> table = parse_definition('''CREATE TABLE `t` (
    ...   `id` int NOT NULL,
    ...   `h` int DEFAULT NULL /*!80023 INVISIBLE */,
    ...   PRIMARY KEY (`id`)
    ... ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin''')
    >>> [clause.kind for clause in table.columns[1].clauses], table.keys[0].columns, table.options["ENGINE"]
    (['DEFAULT', 'INVISIBLE'], ('id',), 'InnoDB')
    >>> print(table)
    CREATE TABLE `t` (
      `id` int NOT NULL,
      `h` int DEFAULT NULL INVISIBLE,
      PRIMARY KEY (`id`)
    ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
    """
    tokens = tokens_of(text)
    opening = next((i for i, token in enumerate(tokens) if token.text == "("), 0)
    if [token.word for token in tokens[:2]] != ["CREATE", "TABLE"] or opening != 3:
        raise ValueError(f"no CREATE TABLE: {text[:60]!r}")
    closing = _closing(tokens, opening)
    columns: list[ColumnDefinition] = []
    keys: list[KeyDefinition] = []
    for item in _split(tokens[opening + 1 : closing - 1]):
        if item[0].text[0] == "`":
            columns.append(_column(item))
        else:
            keys.append(_key(item))
    rest = tokens[closing:]
    words = [token.word for token in rest]
    start = next(
        (i for i in range(len(rest)) if words[i : i + 2] == ["PARTITION", "BY"]),
        len(rest),
    )
    return Definition(name_of(tokens[2]), tuple(columns), tuple(keys), _options(rest[:start]), rest[start:])


def _closing(tokens: Sequence[Token], start: int) -> int:
    """The index after the parenthesis that closes the one at ``start``."""
    depth = 0
    for place in range(start, len(tokens)):
        depth += (tokens[place].text == "(") - (tokens[place].text == ")")
        if depth == 0:
            return place + 1
    raise ValueError(f"a parenthesis is not closed: {text_of(tokens)[:60]!r}")


def _split(tokens: Tokens) -> Iterator[Tokens]:
    """The parts between top-level commas."""
    depth = start = 0
    for place, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.text == ",":
            yield tokens[start:place]
            start = place + 1
    if start < len(tokens):
        yield tokens[start:]


# Clauses of columns whose kind has several words. The kind of other clauses is their first word.
_WORDS = (
    ("NOT", "NULL"),
    ("CHARACTER", "SET"),
    ("ON", "UPDATE"),
    ("WITHOUT", "SYSTEM", "VERSIONING"),
    ("WITH", "SYSTEM", "VERSIONING"),
    ("GENERATED", "ALWAYS", "AS"),
)
# Clauses of one word with nothing after it.
_ALONE = frozenset(
    ["NULL", "AUTO_INCREMENT", "INVISIBLE", "VISIBLE", "STORED", "VIRTUAL", "PERSISTENT", "COMPRESSED"]
)


def _column(tokens: Tokens) -> ColumnDefinition:
    place = 2
    if place < len(tokens) and tokens[place].text == "(":
        place = _closing(tokens, place)
    while place < len(tokens) and tokens[place].word in ("UNSIGNED", "ZEROFILL", "SIGNED"):
        place += 1
    type_ = text_of(tokens[1:place])
    clauses: list[Clause] = []
    while place < len(tokens):
        words = tuple(token.word for token in tokens[place : place + 3])
        kind = next((known for known in _WORDS if words[: len(known)] == known), words[:1])
        end = place + len(kind)
        if kind == ("GENERATED", "ALWAYS", "AS"):
            end = _closing(tokens, end) if tokens[end].text == "(" else end + 2  # AS ROW START
        elif kind == ("NOT", "NULL") or kind[0] in _ALONE or kind[0] in ("WITHOUT", "WITH"):
            pass
        elif end < len(tokens):
            end = _value_end(tokens, end)
        clauses.append(Clause(" ".join(kind), tokens[place:end]))
        place = end
    return ColumnDefinition(name_of(tokens[0]), type_, tuple(clauses))


def _value_end(tokens: Tokens, place: int) -> int:
    """The index after a value: a literal (with a sign or an introducer), a call, or an expression in parentheses."""
    if tokens[place].text in "=-+":
        place += 1
    if tokens[place].text == "(":
        return _closing(tokens, place)
    following = tokens[place + 1] if place + 1 < len(tokens) else None
    if following is not None and following.text == "(" and not following.space:
        return _closing(tokens, place + 1)
    if following is not None and following.text[0] == "'" and not following.space:
        return place + 2  # x'ff', b'1', _utf8mb4'text'
    if following is not None and following.text == ".":  # a number
        return place + 3
    return place + 1


def _key(tokens: Tokens) -> KeyDefinition:
    opening = next(place for place, token in enumerate(tokens) if token.text == "(")
    closing = _closing(tokens, opening)
    before = tokens[:opening]
    name = next((name_of(token) for token in before if token.text[0] == "`"), "")
    kind = " ".join(token.word for token in before if token.text[0] != "`" and token.word != "CONSTRAINT")
    parts = (
        tuple(_split(tokens[opening + 1 : closing - 1]))
        if kind != "CHECK"
        else (tokens[opening + 1 : closing - 1],)
    )
    return KeyDefinition(kind, name, parts, tokens[closing:])


def _options(tokens: Tokens) -> dict[str, str]:
    """Options such as ``ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='x'`` by name; some have no value."""
    found: dict[str, str] = {}
    waiting: list[Token] = []
    place = 0
    while place < len(tokens):
        if place + 1 < len(tokens) and tokens[place + 1].text == "=":
            end = _value_end(tokens, place + 2)
            name = " ".join([*(token.text for token in waiting), tokens[place].text])
            found[name] = text_of(tokens[place + 2 : end])
            waiting, place = [], end
        else:
            waiting.append(tokens[place])
            place += 1
    if waiting:
        found[" ".join(token.text for token in waiting)] = ""
    return found


# ---------------------------------------------------------------- values and comments


def values_in(tokens: Tokens) -> tuple[str, ...]:
    """The strings and numbers among tokens."""
    found = (value_of(token.text) for token in tokens if token.text[0] == "'" or token.text[0].isdigit())
    return tuple(dict.fromkeys(found))


def value_of(literal: str) -> str:
    """The value of a literal in a definition."""
    if literal[0] != "'":
        return literal
    return literal[1:-1].replace("''", "'").replace("\\\\", "\\")


def beside_type(comment: str) -> str:
    """A column's comment without the type that DataJoint stores in it.

    >>> beside_type(":uuid:of the rig"), beside_type("a: b")
    ('of the rig', 'a: b')
    """
    return comment[len(_type_in(comment)) :]


def _type_in(comment: str) -> str:
    type_, colon, _ = comment[1:].partition(":")
    return f":{type_}:" if comment.startswith(":") and colon else ""


def _comment_places(tokens: Tokens) -> Iterator[tuple[int, int]]:
    """Where a comment of a key or a partition begins and ends."""
    for place, token in enumerate(tokens):
        if token.word == "COMMENT":
            yield place, place + (3 if tokens[place + 1].text == "=" else 2)


def uncommented(tokens: Tokens) -> Tokens:
    """Tokens of a key or of partitions without comments."""
    gone = {place for start, end in _comment_places(tokens) for place in range(start, end)}
    return tuple(token for place, token in enumerate(tokens) if place not in gone)


def comments_of(definition: Definition) -> tuple[str, ...]:
    """The comments of a table, its columns, keys and partitions, without the types that DataJoint stores in them.

    >>> table = "CREATE TABLE `t` (`a` int COMMENT ':uuid:rig', KEY `k` (`a`) COMMENT 'of Bob') COMMENT='of Ada'"
    >>> comments_of(parse_definition(table))
    ('of Ada', 'rig', 'of Bob')
    """
    found = [value_of(definition.options["COMMENT"])] if "COMMENT" in definition.options else []
    clauses = [clause for column in definition.columns for clause in column.clauses]
    found += [beside_type(values_in(clause.tokens)[0]) for clause in clauses if clause.kind == "COMMENT"]
    for tokens in (*(key.rest for key in definition.keys), definition.partitions):
        found += [value_of(tokens[end - 1].text) for _, end in _comment_places(tokens)]
    return tuple(filter(None, dict.fromkeys(found)))


def without_comments(definition: Definition) -> Definition:
    """A definition without comments, except for the types that DataJoint stores in them.

    >>> table = "CREATE TABLE `t` (`a` int COMMENT ':uuid:rig', KEY `k` (`a`) COMMENT 'of Bob') COMMENT='of Ada'"
    >>> print(without_comments(parse_definition(table)))
    CREATE TABLE `t` (
      `a` int COMMENT ':uuid:',
      KEY `k` (`a`)
    )
    """

    def kept(clauses: tuple[Clause, ...]) -> Iterator[Clause]:
        for clause in clauses:
            type_ = _type_in(values_in(clause.tokens)[0]) if clause.kind == "COMMENT" else ""
            if type_:
                literal = clause.tokens[-1]._replace(text="'" + type_.replace("'", "''") + "'")
                yield clause._replace(tokens=(*clause.tokens[:-1], literal))
            elif clause.kind != "COMMENT":
                yield clause

    columns = tuple(replace(column, clauses=tuple(kept(column.clauses))) for column in definition.columns)
    keys = tuple(replace(key, rest=uncommented(key.rest)) for key in definition.keys)
    options = {name: value for name, value in definition.options.items() if name != "COMMENT"}
    partitions = uncommented(definition.partitions)
    return replace(definition, columns=columns, keys=keys, options=options, partitions=partitions)


# ---------------------------------------------------------------- views

# Functions inside MySQL that its text of a view WITH ROLLUP shows, although no server can call them.
_ROLLUP = ("rollup_group_item", "rollup_sum_switcher")


def without_rollup_calls(view: str) -> str:
    """The definition of a view without MySQL's inner functions for ROLLUP; each becomes its first argument.

    >>> without_rollup_calls("select rollup_group_item(`t`.`a`,0) AS `a`,rollup_sum_switcher(sum(`t`.`b`)) AS `s`")
    'select `t`.`a` AS `a`,sum(`t`.`b`) AS `s`'
    """
    if not any(name in view for name in _ROLLUP):
        return view
    kept: list[Token] = []
    inner: list[bool] = []  # for each open parenthesis, whether it is that of such a function
    behind = False  # whether the first argument of one of these has ended
    for token in tokens_of(view):
        if token.text == "(":
            inner.append(bool(kept) and kept[-1].text in _ROLLUP and not behind)
            if inner[-1]:
                space = kept.pop().space
                kept.append(Token(space, ""))
                continue
        elif token.text == ")" and inner.pop():
            behind = False
            continue
        elif token.text == "," and inner and inner[-1]:
            behind = True
        if not behind:
            kept.append(token)
    return text_of(kept)
