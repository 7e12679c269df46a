"""Lists: handles a condition on thousands of keys as one condition with a list of literals.

In: the tokens of a statement, or its expression. Out: tokens in which terms of OR, AND or IN (…) that differ in
literals only are merged into one term, and expressions in which a `Listed` represents these terms and writes all of
them. So a list of 100,000 keys is resolved, copied and walked as one condition. Other terms stay, in a tree of
logarithmic depth. The order of terms may change, since AND and OR are commutative.

A tokenizer in Python takes seconds for a list of megabytes. So `shortened` cuts like terms out of a long text first.
The rest is parsed, and `put_back` checks that what was cut out belongs to a list of terms of the same form.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import interpreted as interpreted  # before anything that imports sqlglot

# isort: split
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from .expressions import nodes_of

# Fewer terms are not merged.
FEWEST = 64

# Replacements of the literals in a term, as tokens and as SQL.
_MARKERS = {
    TokenType.NUMBER: ("8804{:012d}4088", "{}"),
    TokenType.STRING: ("8805{:012d}5088", "'{}'"),
    TokenType.HEX_STRING: ("8806{:012d}6088", "x'{}'"),
}
_NAMES = frozenset({TokenType.IDENTIFIER, TokenType.VAR})
# Tokens that terms may contain outside of parentheses. With these, AND and OR outside of parentheses join terms.
_OUTSIDE = _NAMES.union(
    _MARKERS,
    (TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.GT, TokenType.LTE, TokenType.GTE),
    (TokenType.NULLSAFE_EQ, TokenType.IS, TokenType.IN, TokenType.NOT, TokenType.LIKE, TokenType.EXISTS),
    (TokenType.DOT, TokenType.DASH, TokenType.NULL, TokenType.TRUE, TokenType.FALSE),
)
_JOINING = {TokenType.OR: "OR", TokenType.AND: "AND", TokenType.COMMA: ","}
_PARENTHESES = (TokenType.L_PAREN, TokenType.R_PAREN)
# Tokens that terms of a list may contain.
_INSIDE = (_OUTSIDE - {TokenType.EXISTS}).union(_JOINING, _PARENTHESES)
# Tokens that end a WHERE or HAVING, besides a closing parenthesis.
_ENDS = frozenset(
    (TokenType.GROUP_BY, TokenType.ORDER_BY, TokenType.HAVING, TokenType.LIMIT, TokenType.WINDOW)
).union((TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT, TokenType.SEMICOLON))
_CALL = "\0listed"  # cannot be the name of a function


class Listed(exp.Expression, exp.Condition):
    """Terms joined by one word: ``this`` is a term with markers for its literals; the rest is in its `Terms`."""

    arg_types = {"this": True, "terms": True}


@dataclass(frozen=True, eq=False)
class Terms:
    """The literals of the terms in a list, and the word that joins the terms.

    Attributes
    ----------
    word : {"OR", "AND", ","}
    markers : tuple of str
        SQL of the markers, in the order of the literals.
    literals : list of tuple of str
        SQL of the literals of each term.
    starts : tuple of int
        Where each term starts in the text.
    cut : tuple of (int, Cut)
        Further terms, which were cut out of the text, and the number of the term that comes after them.
    """

    word: str
    markers: tuple[str, ...]
    literals: list[tuple[str, ...]] = field(repr=False)
    starts: tuple[int, ...] = field(default=(), repr=False)
    cut: tuple[tuple[int, Cut], ...] = field(default=(), repr=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Terms:
        return self

    def written(self, term: str) -> str:
        """The SQL of all terms, from that of one term with markers.

        >>> Terms("OR", ("1", "2"), [("3", "'x'"), ("4", "'y'")]).written("a = 1 AND b = 2")
        "((a = 3 AND b = 'x') OR (a = 4 AND b = 'y'))"
        """
        if not self.markers:
            return term
        places = {marker: f"{{{number}}}" for number, marker in enumerate(self.markers)}
        pieces = re.split("(" + "|".join(map(re.escape, self.markers)) + ")", term)
        form = "".join([places.get(piece) or piece.replace("{", "{{").replace("}", "}}") for piece in pieces])
        between = ", " if self.word == "," else f") {self.word} ("
        every = [form.format(*row) for row in self.literals]
        for place, cut in reversed(self.cut):
            every[place:place] = cut.written(form, between)
        return between.join(every) if self.word == "," else f"(({between.join(every)}))"

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The literals of every term, in no particular order."""
        yield from self.literals
        for _, cut in self.cut:
            yield from cut.rows()


# ---------------------------------------------------------------- long texts

# A text of at least so many characters is shortened.
LONG = 5_000
# Terms that stay, so that they are merged.
_STAY = 2 * FEWEST
# What is between the parts of a term of OR.
_AND = re.compile(r"\s*AND\s*(?=\()", re.IGNORECASE)
# A longer term is not cut out.
_LONGEST_TERM = 1_000
# What precedes the second or a later term of a list, or the first one of IN (…).
_BEFORE_TERM = re.compile(r"\bIN\s*\(\s*|\)\s*(OR|AND)\s*(?=\()", re.IGNORECASE)
# Literals that are written alike everywhere: the first character of their marker, and a pattern.
_LITERALS = {
    "hexadecimal": ("x", r"[xX]'([0-9a-fA-F]*)'"),
    "single": ("'", r"""'([^'"\\\x00-\x1f\x7f]*)'"""),
    "double": ("'", r'''"([^'"\\\x00-\x1f\x7f]*)"'''),
    "number": ("8", r"(\d+(?:\.\d+)?)(?![\w.$@])"),
}
_QUOTED = {"x": "x'{}'", "'": "'{}'", "8": "{}"}  # their SQL, by that character
_PIECE = re.compile(
    "|".join(f"(?P<{name}>{pattern})" for name, (_, pattern) in _LITERALS.items())
    + r"|(?P<open>\()|(?P<close>\))|(?P<comma>,)|`[^`]*`|[A-Za-z_$][\w$]*|[ \n]+|[=<>!.-]+"
)


@dataclass(frozen=True, eq=False)
class Cut:
    """Terms that were cut out of a text.

    Attributes
    ----------
    start : int
        Where, in the shortened text, a term of the same form starts.
    word : {"OR", "AND", ","}
    kinds : str
        The first characters of the markers of a term's literals.
    term : re.Pattern
        Finds the terms; its groups are the literals, without quotes.
    text : str
    """

    start: int
    word: str
    kinds: str
    term: re.Pattern[str]
    text: str = field(repr=False)

    def written(self, form: str, between: str) -> Iterator[str]:
        """The terms in another form, thousands in each text."""
        rows = self.rows()
        while some := list(itertools.islice(rows, 10_000)):
            yield between.join([form.format(*row) for row in some])

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The SQL of the literals of each term."""
        quoted = [_QUOTED[kind] for kind in self.kinds]
        for term in self.term.finditer(self.text):
            yield tuple(map(str.format, quoted, term.groups()))


def shortened(sql: str) -> tuple[str, list[Cut]]:
    """A long text without most terms of its lists, and what was cut out.

    >>> text, (cut,) = shortened(f"SELECT * FROM t WHERE a IN ({', '.join(map(str, range(10_000)))})")
    >>> text[-20:], cut.text[:13], cut.text[-6:]
    ('125, 126, 127, 9999)', '128, 129, 130', '9998, ')
    """
    # elsewhere than in one SELECT, a part of the text may count as text
    if len(sql) < LONG or sql[:7].upper() != "SELECT " or ";" in sql:
        return sql, []
    kept: list[str] = []
    cuts: list[Cut] = []
    length = end = 0
    found = _BEFORE_TERM.search(sql)
    while found is not None:
        start = at = found.end()
        word = (found[1] or ",").upper()
        form = _form_at(sql, start, word)
        if form is not None:
            kinds, pattern = form
            term = re.compile(rf"{pattern}\s*(?:(?i:{word}))\s*")
            number, from_ = 0, start
            while (each := term.match(sql, at)) is not None:
                at = each.end()
                number += 1
                if number == _STAY:
                    from_ = at
            if number > 2 * _STAY:
                kept.append(sql[end:from_])
                cuts.append(Cut(length + start - end, word, kinds, term, sql[from_:at]))
                length += from_ - end
                end = at
        found = _BEFORE_TERM.search(sql, at)
    return "".join([*kept, sql[end:]]), cuts


def _form_at(sql: str, start: int, word: str) -> tuple[str, str] | None:
    """The literals of a term, by the first characters of their markers, and a pattern for terms of the same form."""
    kinds, pattern, at, depth = "", "", start, 0
    while at - start < _LONGEST_TERM:
        piece = _PIECE.match(sql, at)
        if piece is None:
            return None
        if depth == 0 and (piece["comma"] or piece["close"]):
            return (kinds, pattern) if word == "," and kinds else None
        at = piece.end()
        depth += bool(piece["open"]) - bool(piece["close"])
        name = next((name for name in _LITERALS if piece[name]), None)
        kind, literal = ("", re.escape(piece[0])) if name is None else _LITERALS[name]
        kinds += kind
        pattern += literal
        if depth == 0 and word != ",":
            # (a = 1) AND (b = 2) OR …: a term of OR may be several in parentheses
            further = _AND.match(sql, at) if word == "OR" else None
            if further is None:
                return (kinds, pattern) if kinds else None
            at = further.end()
            pattern += r"\s*(?i:AND)\s*"
    return None


def put_back(lists: Sequence[Terms], cuts: Sequence[Cut]) -> list[Terms] | None:
    """The lists of a shortened text with what was cut out; None if a part of that belongs to no list."""
    found = list(lists)
    for cut in cuts:
        for number, terms in enumerate(found):
            if (
                cut.start in terms.starts
                and terms.word == cut.word
                and "".join(marker[0] for marker in terms.markers) == cut.kinds
            ):
                place = terms.starts.index(cut.start) + _STAY
                found[number] = replace(terms, cut=(*terms.cut, (place, cut)))
                break
        else:
            return None
    return found


# ---------------------------------------------------------------- tokens


@dataclass
class _Group:
    """The contents of parentheses or of a WHERE: the tokens so far, and the places of AND, OR and commas."""

    kind: str  # "", "IN" or "WHERE"
    tokens: list[Token] = field(default_factory=list)
    joins: dict[str, list[int]] = field(default_factory=lambda: {"OR": [], "AND": [], ",": []})
    plain: bool = True

    def add(self, token: Token) -> None:
        word = _JOINING.get(token.token_type)
        if word is not None:
            self.joins[word].append(len(self.tokens))
        elif token.token_type not in _OUTSIDE:
            self.plain = False
        self.tokens.append(token)

    @property
    def word(self) -> str:
        """The word that joins its terms, or "" if there is no single one."""
        either, both, comma = (bool(self.joins[word]) for word in ("OR", "AND", ","))
        if not self.plain or comma != (self.kind == "IN") or (comma and (either or both)):
            return ""
        return "," if comma else "OR" if either else "AND"


def folded(tokens: Sequence[Token], quoted: Callable[[str], str]) -> tuple[Sequence[Token], list[Terms]]:
    """Tokens in which each list is a call with one of its terms, and the lists.

    Parameters
    ----------
    tokens : sequence of Token
    quoted : callable
        Writes a text as SQL.
    """
    if len(tokens) < 3 * FEWEST:
        return tokens, []
    lists: list[Terms] = []
    groups = [_Group("")]

    def close() -> None:
        group = groups.pop()
        groups[-1].tokens += _folded(group, lists, quoted)

    last: Token | None = None
    for token in tokens:
        type_ = token.token_type
        if groups[-1].kind == "WHERE" and (type_ in _ENDS or type_ == TokenType.R_PAREN):
            close()
        if type_ == TokenType.R_PAREN and len(groups) > 1:
            close()
            groups[-1].tokens.append(token)
        else:
            if type_ == TokenType.L_PAREN:
                groups[-1].tokens.append(token)
            else:
                groups[-1].add(token)
            if type_ == TokenType.L_PAREN:
                groups.append(_Group("IN" if last is not None and last.token_type == TokenType.IN else ""))
            elif type_ in (TokenType.WHERE, TokenType.HAVING):
                groups.append(_Group("WHERE"))
        last = token
    while len(groups) > 1:
        close()
    return groups[0].tokens, lists


def _folded(group: _Group, lists: list[Terms], quoted: Callable[[str], str]) -> list[Token]:
    """The tokens of a group, with like terms merged."""
    tokens, word = group.tokens, group.word
    joins = group.joins[word] if word else []
    if len(joins) + 1 < FEWEST:
        return tokens
    alike: dict[tuple[object, ...], list[Sequence[Token]]] = {}
    apart: list[Sequence[Token]] = []
    for start, end in zip([-1, *joins], [*joins, len(tokens)], strict=True):
        term = tokens[start + 1 : end]
        form = _form(term)
        if form is None:
            apart.append(term)
        else:
            alike.setdefault(form, []).append(term)
    terms: list[Sequence[Token]] = []
    for each in alike.values():
        if len(each) < FEWEST:
            terms += each
        else:
            terms.append(_listed(each, word, lists, quoted))
    found: list[Token] = []
    for joined in (*terms, *apart):
        if found:
            found.append(tokens[joins[0]])
        found += joined
    return found


def _form(term: Sequence[Token]) -> tuple[object, ...] | None:
    """The common form of like terms; None for a term that cannot be in a list."""
    form: list[object] = []
    last = None
    for token in term:
        type_ = token.token_type
        if type_ not in _INSIDE:
            return None
        if (type_ == TokenType.L_PAREN and last == TokenType.VAR) or (
            type_ == TokenType.STRING and (last == TokenType.STRING or last in _NAMES)
        ):
            return None  # a function, an introducer, or a text of two parts
        form.append(type_ if type_ in _MARKERS else token.text)
        last = type_
    return tuple(form) or None


def _listed(
    terms: Sequence[Sequence[Token]], word: str, lists: list[Terms], quoted: Callable[[str], str]
) -> list[Token]:
    """A call with the list's number and the first of its terms, with markers for the literals."""
    first = terms[0]
    places = [place for place, token in enumerate(first) if token.token_type in _MARKERS]
    found: list[Token] = list(first)
    markers = []
    for number, place in enumerate(places):
        text, written = _MARKERS[first[place].token_type]
        found[place] = _token(first[place], first[place].token_type, text.format(number))
        markers.append(written.format(text.format(number)))
    literals = [tuple([_literal(term[place], quoted) for place in places]) for term in terms]
    lists.append(Terms(word, tuple(markers), literals, tuple([term[0].start for term in terms])))
    at = first[0]
    return [
        _token(at, TokenType.VAR, _CALL),
        _token(at, TokenType.L_PAREN, "("),
        _token(at, TokenType.NUMBER, str(len(lists) - 1)),
        _token(at, TokenType.COMMA, ","),
        *found,
        _token(at, TokenType.R_PAREN, ")"),
    ]


def _token(at: Token, type_: TokenType, text: str) -> Token:
    return Token(type_, text, at.line, at.col, at.start, at.end)


def _literal(token: Token, quoted: Callable[[str], str]) -> str:
    if token.token_type == TokenType.NUMBER:
        return str(token.text)
    return quoted(token.text) if token.token_type == TokenType.STRING else f"x'{token.text}'"


# ---------------------------------------------------------------- expressions


def unfolded(statement: exp.Expr, lists: Sequence[Terms]) -> None:
    """Replace the calls of lists by `Listed`, and balance long chains of AND and OR; in place."""
    for call in nodes_of(statement, exp.Anonymous) if lists else ():
        if call.this == _CALL:
            number, term = call.expressions
            call.replace(Listed(this=term, terms=lists[int(number.this)]))
    for node in nodes_of(statement, exp.Connector):
        if isinstance(node, (exp.And, exp.Or)) and type(node.parent) is not type(node):
            terms = list(_terms(node))
            if len(terms) >= FEWEST:
                node.replace(_balanced(type(node), terms))


def _terms(chain: exp.Expr) -> Iterator[exp.Expr]:
    waiting = [chain]
    while waiting:
        node = waiting.pop()
        if type(node) is type(chain):
            waiting += [node.expression, node.this]
        else:
            yield node


def _balanced(kind: type[exp.Expr], terms: Sequence[exp.Expr]) -> exp.Expr:
    """Terms joined by AND or OR, as a balanced tree.

    >>> _balanced(exp.Or, [exp.column(name) for name in "abc"]).sql()
    'a OR b OR c'
    """
    found = list(terms)
    while len(found) > 1:
        pairs = zip(found[::2], found[1::2], strict=False)
        rest = found[-1:] if len(found) % 2 else []
        found = [kind(this=one, expression=other) for one, other in pairs] + rest
    return found[0]
