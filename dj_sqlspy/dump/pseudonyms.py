"""Pseudonyms: keyed hashes in the place of values by which rows are named.

In: names of columns, a `Slice`. Out: for each its family, all columns that refer to it or that it refers to, and the
captured statements whose text can tell of a value. The key of the hash is in the environment, or random and forgotten.
Columns of CHAR and VARCHAR, of integers, and of BINARY(16), DataJoint's UUIDs, can have pseudonyms (see `hashes`). It
changes no row (see `paper.pseudonymous`).
"""

from __future__ import annotations

import os
import re
import secrets
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..display import count
from ..errors import LineageError, SliceError
from ..lineage import analyse
from ..lineage.columns import columns_beside_values, columns_shown, has_other_literal, literals_in
from ..names import shown_column, shown_place
from ..rules import PSEUDONYM
from ..servers import backend_of
from ..servers.backend import Backend
from ..servers.columns import INTEGER_TYPES, Column
from ..servers.dialect import Dialect
from ..servers.source import View
from ..servers.syntaxes import syntax_of
from ..servers.tables import Table
from ..shapes import lift
from ..slices import Slice
from .exclude import (
    Excluded,
    counted,
    find_columns,
    generated_from,
    may_read,
    not_apart,
    query_of,
    with_words,
    without_values,
)
from .hashes import INTEGER, TEXT, UUID, Form, form_of, range_of

SECRET = "DJ_SQLSPY_SECRET"
SECRET_FILE = "DJ_SQLSPY_SECRET_FILE"
FEWEST_BYTES = 16  # of the key
# Hexadecimal digits of a pseudonym: fewer would often be equal by accident, more tell nothing.
FEWEST_DIGITS, MOST_DIGITS = 8, 24


@dataclass(frozen=True)
class Family:
    """Columns that refer to each other, so that a value has one pseudonym in all of them.

    Attributes
    ----------
    name : str
        The column that was named.
    columns : tuple of (Table, str)
        Those of the slice's tables.
    form : Form
        What the pseudonyms look like.
    """

    name: str
    columns: tuple[tuple[Table, str], ...]
    form: Form


def read_secret() -> bytes | None:
    """The key of the hash, from the environment or the file that it names; None if there is none.

    Raises
    ------
    SliceError
        If it is short, or the file cannot be read.
    """
    found = os.environ.get(SECRET, "").encode()
    where = SECRET
    if not found and (path := os.environ.get(SECRET_FILE)):
        where = f"the file that {SECRET_FILE} names"
        try:
            found = Path(path).read_bytes().strip()
        except OSError as error:
            raise SliceError(f"Reading the key of pseudonyms from {path}: {error}.") from error
        if not found:
            raise SliceError(f"Reading the key of pseudonyms from {path}: the file is empty.")
    if found and len(found) < FEWEST_BYTES:
        raise SliceError(
            f"The key of pseudonyms in {where} has {len(found)} bytes. It needs at least {FEWEST_BYTES}, so that"
            " nobody can guess it: python -c 'import secrets; print(secrets.token_hex())' makes one."
        )
    return found or None


def random_secret() -> bytes:
    """A key that nobody knows."""
    return secrets.token_bytes(32)


# ---------------------------------------------------------------- which columns


def families(cut: Slice, names: Iterable[str], others: Iterable[Excluded] = ()) -> tuple[Family, ...]:
    """The columns that get pseudonyms together with the named ones.

    Parameters
    ----------
    cut : Slice
    names : iterable of str
        As of `exclude.exclude`.
    others : iterable of Excluded
        Columns whose contents are left out.

    Raises
    ------
    SliceError
        If there is no such column, or one of its family cannot have pseudonyms.
    """
    found: dict[frozenset[tuple[str, str]], Family] = {}
    excluded = {(one.table, one.column.lower()) for one in others}
    for name in names:
        for table, column in find_columns(cut, name, "Pseudonyms for"):
            members = _family(cut, (table.full_name, column.name.lower()))
            try:
                if members & excluded:
                    raise SliceError("its contents are left out or replaced")
                found.setdefault(members, _checked(cut, table, column.name, members))
            except SliceError as error:
                where = f"{table.full_name}.{table.dialect.quote(column.name)}"
                raise SliceError(f"Pseudonyms for {where}: {error}.") from error
    return tuple(found.values())


def _family(cut: Slice, first: tuple[str, str]) -> frozenset[tuple[str, str]]:
    """The columns that foreign keys connect, declared ones and virtual ones, up and down."""
    found, todo = {first}, [first]
    while todo:
        table, column = todo.pop()
        for fk in (*cut.catalog.parents(table), *cut.catalog.children(table)):
            for own, theirs in zip(fk.columns, fk.parent_columns, strict=True):
                pair = {(fk.child, own.lower()), (fk.parent, theirs.lower())}
                if (table, column) in pair:
                    todo += pair - found
                    found |= pair
    return frozenset(found)


def _checked(cut: Slice, first: Table, named: str, members: Collection[tuple[str, str]]) -> Family:
    columns = [
        (entry.table, entry.table.column(column).name)
        for entry in cut.tables.values()
        for table, column in sorted(members)
        if table == entry.name
    ]
    for table, name in columns:
        if refused := _why_not(cut, table, name):
            own = table.full_name == first.full_name and name == named
            where = "" if own else f" (here {table.full_name}.{table.dialect.quote(name)})"
            raise SliceError(f"{refused}{where}")
    where = f"{first.full_name}.{first.dialect.quote(named)}"
    return Family(
        where, tuple(columns), _form([table.column(name) for table, name in columns], first.dialect)
    )


def _form(columns: Sequence[Column], dialect: Dialect) -> Form:
    """What the pseudonyms of columns look like that refer to each other."""
    (kind, *others) = {_kind(column, dialect) for column in columns}
    if others:
        types = sorted({column.column_type for column in columns})
        raise SliceError(f"the columns that refer to each other are of different types: {', '.join(types)}")
    if kind == UUID:
        return Form(UUID)
    if kind == INTEGER:
        ranges = [range_of(column.data_type, column.column_type) for column in columns]
        return Form(INTEGER, least=max(least for least, _ in ranges), most=min(most for _, most in ranges))
    if len({(column.charset, column.collation) for column in columns}) > 1:
        raise SliceError("the columns that refer to each other have more than one character set or collation")
    lengths = [re.search(r"\((\d+)\)", column.column_type) for column in columns]
    # a CHAR has a length on each server; TEXT, which PostgreSQL has as a key, none
    room = min(int(length[1]) if length else MOST_DIGITS for length in lengths)
    if room < FEWEST_DIGITS:
        raise SliceError(f"a pseudonym has at least {FEWEST_DIGITS} characters, and it has room for {room}")
    return Form(TEXT, digits=min(MOST_DIGITS, room))


def _kind(column: Column, dialect: Dialect) -> str:
    """The kind of a column's pseudonyms; "" if it can have none."""
    if column.data_type in dialect.key_texts:
        return TEXT
    if column.data_type in INTEGER_TYPES - {"year"} and "zerofill" not in column.column_type.lower():
        return INTEGER
    return UUID if column.column_type.lower() == "binary(16)" else ""


def _why_not(cut: Slice, table: Table, name: str) -> str:
    """Why a column cannot have pseudonyms, or ""."""
    if refused := not_apart(table, name):
        return refused
    column = table.column(name)
    if table.is_view:
        return "it is a column of a view, which holds no rows; name the column of the table behind it"
    if table.name.startswith("~"):
        return "the table is DataJoint's own, which finds rows and files by it"
    if not _kind(column, table.dialect):
        return (
            f"it is of type {column.column_type}, and only CHAR, VARCHAR, integers and BINARY(16) can have pseudonyms."
            f" {_instead(cut, table, name)}"
        )
    if column.generated:
        return "it is generated from other columns"
    for other in table.columns:
        if generated_from(table, other, name):
            return f"the column {table.dialect.quote(other.name)} is generated from it"
    for fk in cut.catalog.hidden:
        if fk.child == table.full_name and name.lower() in map(str.lower, fk.columns):
            return f"it refers to {fk.parent}, which this account cannot see"
    return ""


def _instead(cut: Slice, table: Table, name: str) -> str:
    """What to do with a column of another type."""
    parents, children = cut.catalog.parents(table.full_name), cut.catalog.children(table.full_name)
    keys = {
        column.lower()
        for columns in (
            table.primary_key,
            *(fk.columns for fk in parents),
            *(fk.parent_columns for fk in children),
        )
        for column in columns
    }
    if name.lower() not in keys:
        return "Leave out its contents: replace=… (--replace) or exclude=… (--exclude)"
    where = "docs/semantics.md, Pseudonyms"
    return f"Give the key other values in a copy of the database, and run the analyses there ({where})"


# ---------------------------------------------------------------- statements that tell of values


def require_views(cut: Slice, views: Iterable[View], found: Sequence[Family]) -> None:
    """Raise if a view of the bundle compares a column with a value, since its definition is in the bundle.

    Raises
    ------
    SliceError
        It names the view, which cannot be analysed or does so.
    """
    columns = {(table.full_name, name.lower()) for family in found for table, name in family.columns}
    for view in views:
        try:
            query = analyse(f"SELECT * FROM {view.full_name}", cut.catalog).query
        except LineageError:
            query = None
        if query is None or not columns.isdisjoint(columns_beside_values(query)):
            what = "cannot be analysed" if query is None else "compares such a column with a value"
            raise SliceError(
                f"Pseudonyms for {found[0].name}: the view {view.full_name} {what}, and its definition would be in the"
                " bundle. Leave out the statements that read it: skip_statements=… (--skip-statements)."
            )


_NUMBER = re.compile(r"[-+]?[\d.]+(?:e[-+]?\d+)?", re.IGNORECASE)


def is_number(text: str) -> bool:
    """Whether a literal is a number.

    >>> is_number("-1.5e3"), is_number("rig 3")
    (True, False)
    """
    return _NUMBER.fullmatch(text) is not None


@dataclass(frozen=True)
class Readings:
    """What captured statements have to do with the families.

    Attributes
    ----------
    telling : frozenset of int
        Numbers of those whose text can tell of a value: it compares or combines a column with a value, holds a value
        as a literal, an alias or a comment, or may do so and cannot be analysed.
    words : frozenset of str
        Values that statements hold, in lower case.
    shown : mapping
        By number of the others, the columns of the result that are values of a family, by position.
    """

    telling: frozenset[int]
    words: frozenset[str]
    shown: Mapping[int, Mapping[int, Family]]


def readings(cut: Slice, found: Sequence[Family], connection: Any) -> Readings:
    """What the captured statements have to do with the families."""
    columns = {(table.full_name, name.lower()): family for family in found for table, name in family.columns}
    tables = {table for table, _ in columns}
    numbered = {table for (table, _), family in columns.items() if family.form.kind == INTEGER}
    numbers: set[int] = set()
    shown: dict[int, Mapping[int, Family]] = {}
    known: dict[Any, tuple[bool, Mapping[int, Family]]] = {}
    for report in cut.statements:
        template = lift(report.sql, cut.catalog.dialect.literals)[0]
        key = template, report.statement.database, report.statement.state, bool(report.fallback)
        if key not in known:
            query = query_of(cut, report)
            if query is None:
                known[key] = any(may_read(cut, template, report, *column) for column in columns), {}
            else:
                places = enumerate(columns_shown(query))
                # a literal that the tree lacks, since no result depends on it, can stand beside any column
                seen = literals_in(query)
                texts = backend_of(connection).texts_of(report.statement.sql).literals
                unseen = [text for text in texts if not is_number(text) and text not in seen]
                known[key] = (
                    not columns_beside_values(query).isdisjoint(columns)
                    or (bool(unseen) and not tables.isdisjoint(report.tables))
                    or (
                        not numbered.isdisjoint(report.tables)
                        and has_other_literal(
                            report.statement.sql,
                            report.session.modes,
                            literals_in(query),
                            syntax_of(cut.catalog.dialect),
                        )
                    ),
                    {place: columns[one] for place, each in places for one in each if one in columns},
                )
        tells, shows = known[key]
        if tells:
            numbers.add(report.statement.number)
        elif shows:
            shown[report.statement.number] = shows
    words: set[str] = set()
    # a number that is not beside such a column means something else, since small ones are in most statements
    named = [
        Excluded(table.full_name, name, "")
        for family in found
        if family.form.kind == TEXT
        for table, name in family.columns
    ]
    for one in with_words(cut, named, connection):
        numbers.update(one.held)
        words |= one.words
    return Readings(frozenset(numbers), frozenset(words), shown)


def note(manifest: dict[str, Any], found: Sequence[Family], read: Readings, backend: Backend) -> None:
    """Add the families to a manifest, and take values out of its statements and restrictions."""
    columns = [
        {"table": table.full_name, "column": name, **family.form.entry()}
        for family in found
        for table, name in family.columns
    ]
    manifest["pseudonyms"] = {"columns": columns, "statements": [], "shown": [], "held": []}
    names = {one["table"] for one in columns}
    for table in manifest["tables"]:
        if table["name"] in names and table["rows"]:
            table["restriction"] = None
    mark(manifest, read.telling)
    for entry in manifest["statements"]:
        if entry["number"] in read.telling:
            without_values(entry, read.words, backend)


def mark(manifest: dict[str, Any], numbers: Collection[int]) -> None:
    """Mark statements that cannot be compared because of the pseudonyms."""
    manifest["pseudonyms"]["statements"] = sorted({*manifest["pseudonyms"]["statements"], *numbers})
    for entry in manifest["statements"]:
        if entry["number"] in numbers:
            entry["marks"] = sorted({*entry["marks"], PSEUDONYM})
            entry.pop("digest", None)  # of true values


def show(manifest: dict[str, Any], numbers: Collection[int]) -> None:
    """Note statements whose results are equal but for the pseudonyms in them."""
    manifest["pseudonyms"]["shown"] = sorted(numbers)
    for entry in manifest["statements"]:
        if entry["number"] in numbers:
            entry.pop("digest", None)


def with_pseudonyms(manifest: Mapping[str, Any]) -> dict[str, dict[str, Form]]:
    """By table and column, what its pseudonyms look like."""
    found: dict[str, dict[str, Form]] = {}
    for one in (manifest.get("pseudonyms") or {}).get("columns", ()):
        found.setdefault(one["table"], {})[one["column"]] = form_of(one)
    return found


def words_of(manifest: Mapping[str, Any]) -> list[str]:
    """What a manifest says of pseudonyms, a line for each column and place.

    >>> column = {"table": "`lab`.`subject`", "column": "name", "digits": 16}
    >>> found = {"columns": [column], "statements": [2], "shown": [3], "held": []}
    >>> for line in words_of({"pseudonyms": found}): print(line)
    lab.Subject.name: pseudonyms of 16 hexadecimal digits
    1 statement (2) depends on the values or their order, and cannot be compared
    1 statement returned the same but for the pseudonyms in the result
    """
    found = manifest.get("pseudonyms")
    if not found:
        return []
    lines = [f"{shown_column(one['table'], one['column'])}: {form_of(one).words}" for one in found["columns"]]
    if numbers := found["statements"]:
        lines.append(
            f"{counted(numbers)} depend{'s' if len(numbers) == 1 else ''} on the values or their order, and cannot be"
            " compared"
        )
    if numbers := found["shown"]:
        lines.append(
            f"{count(len(numbers), 'statement')} returned the same but for the pseudonyms in the result"
        )
    for place in found["held"]:
        one = place["values"] == 1
        lines.append(
            f"{shown_place(place['where'])}: {place['values']:,} value{'' if one else 's'} that"
            f" ha{'s' if one else 've'} a pseudonym stand{'s' if one else ''} there, perhaps as another word"
        )
    return lines


# ---------------------------------------------------------------- where values stand

_WORD = re.compile(r"\w+")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b", re.IGNORECASE)
SHORTEST = 2  # characters: less tells nothing of a person
SHORTEST_NUMBER = 4  # digits: shorter ones are in most texts


class Values:
    """Looks for values in texts, as words, without regard to case.

    Numbers of few digits are not looked for.

    >>> sorted(Values(["Ada", "B-2", "x"], ["4711", "12"]).inside("ada's x; b-2. 4711 12"))
    ['4711', 'ada', 'b-2']
    """

    def __init__(self, values: Iterable[str], numbers: Iterable[str] = ()) -> None:
        folded = {value.casefold() for value in values if len(value) >= SHORTEST}
        self._numbers = {one for number in numbers if len(one := number.lstrip("-")) >= SHORTEST_NUMBER}
        self._by_word: dict[str, set[str]] = {}  # by the first word; "" for none
        for value in folded:
            first = _WORD.search(value)
            self._by_word.setdefault(first[0] if first else "", set()).add(value)

    def inside(self, text: str, numbers: bool = True) -> set[str]:
        """The values in a text, in lower case; perhaps without numbers, as in a file that has many."""
        folded = text.casefold()
        words = {"", *_WORD.findall(folded)}
        held = {
            one
            for word in words & self._by_word.keys()
            for one in self._by_word[word]
            if one == word or one in folded
        }
        return held | (words & self._numbers if numbers else set())


class Hashed:
    """Looks in texts for values of which only the pseudonyms are known, as words or as the whole text.

    >>> secret, form = b"a key of the lab, not of a reader", Form("text", digits=12)
    >>> sorted(Hashed(secret, {form: {form.pseudonym(secret, "Ada")}}).inside("Ada's note"))
    ['Ada']
    """

    def __init__(self, secret: bytes, known: Mapping[Form, Collection[str]]) -> None:
        self._secret = secret
        self._known = known
        self._looked: dict[str, bool] = {}

    def inside(self, text: str, numbers: bool = True) -> set[str]:
        """The values in a text, as they are written; perhaps without numbers, as in a file that has many."""
        words = {text, *_WORD.findall(text), *_UUID.findall(text)}
        return {
            word
            for word in words
            if len(word) >= SHORTEST and (numbers or not word.isdecimal()) and self._is_one(word)
        }

    def _is_one(self, word: str) -> bool:
        if word not in self._looked:
            self._looked[word] = any(self._has(word, form, known) for form, known in self._known.items())
        return self._looked[word]

    def _has(self, word: str, form: Form, known: Collection[str]) -> bool:
        if form.kind == INTEGER:
            if not (word.isascii() and word.isdecimal() and len(word) >= SHORTEST_NUMBER):
                return False
            return any(
                form.holds(one) and form.pseudonym(self._secret, one) in known for one in (word, f"-{word}")
            )
        if form.kind == UUID:
            if not _UUID.fullmatch(word):
                return False
            word = str(uuid.UUID(word))
        return form.pseudonym(self._secret, word) in known
