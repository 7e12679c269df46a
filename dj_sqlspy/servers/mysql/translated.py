"""Translated: a table's definition during translation, with notes on what was changed.

In: a `Definition` and its target. Out: the same, changed by passes (`anywhere`, `elsewhere`) that note what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ..tables import Table
from .collations import Flavor
from .definition import (
    Clause,
    ColumnDefinition,
    Definition,
    KeyDefinition,
    Tokens,
    name_of,
    text_of,
    tokens_of,
)
from .dialect import MYSQL
from .probes import of_expression


@dataclass
class Translated:
    """A definition during translation, and the notes of the passes.

    Attributes
    ----------
    definition : Definition
    table : Table
    source, target : "mysql" or "mariadb"
    definitions : mapping
        The source's definitions of all tables, by full name.
    taken : set of str
        Names of constraints that are already used in this schema.
    before : list of str
        Statements to run before the table is created.
    finish : list of str
        Actions of an ALTER TABLE after the rows are loaded.
    notes, refused : list of str
    demands, asked : list of (what, SELECT that a target must answer with a row)
        Those asked are probes of expressions.
    sequences : list of str
        Full names of sequences that defaults need.
    """

    definition: Definition
    table: Table
    source: Flavor
    target: Flavor
    definitions: Mapping[str, Definition]
    taken: set[str]
    before: list[str] = field(default_factory=list)
    finish: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    demands: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    sequences: list[str] = field(default_factory=list)

    @property
    def elsewhere(self) -> bool:
        """Whether the target is of the other flavor."""
        return self.source != self.target

    def named(self, column: str) -> str:
        """The name of a column with its table, for messages."""
        return f"{self.table.full_name} {MYSQL.quote(column)}"

    def each_column(self, change: Callable[[ColumnDefinition], ColumnDefinition]) -> None:
        """Change each column."""
        columns = tuple(map(change, self.definition.columns))
        self.definition = replace(self.definition, columns=columns)

    def keep_keys(self, change: Callable[[KeyDefinition], KeyDefinition | None]) -> None:
        """Change each key; None leaves it out."""
        keys = tuple(changed for key in self.definition.keys if (changed := change(key)) is not None)
        self.definition = replace(self.definition, keys=keys)

    def ask(self, what: str, expression: str) -> None:
        """Demand that the target understands an expression over columns of the table."""
        self.asked.append((what, of_expression(expression, self.table.columns, self.target)))


# ---------------------------------------------------------------- parts of a definition


def without(column: ColumnDefinition, *kinds: str) -> ColumnDefinition:
    """The column without its clauses of these kinds."""
    return replace(column, clauses=tuple(c for c in column.clauses if c.kind not in kinds))


def clause_of(kind: str, text: str) -> Clause:
    """A clause with this text."""
    return Clause(kind, tokens_of(text))


def with_clause(column: ColumnDefinition, clause: Clause) -> ColumnDefinition:
    """The column with a clause that replaces the one of its kind."""
    return replace(column, clauses=tuple(clause if c.kind == clause.kind else c for c in column.clauses))


def value_of(clause: Clause) -> str:
    """The text after the words of a clause."""
    return text_of(clause.tokens[len(clause.kind.split()) :])


def calls_of(tokens: Tokens) -> Iterator[str]:
    """Names of functions that an expression calls, in lower case."""
    for one, following in pairwise(tokens):
        if following.text == "(" and one.text[0] not in "'(,":
            yield name_of(one).lower()


UNIQUE_KEYS = ("PRIMARY KEY", "UNIQUE KEY")


def parent_of(work: Translated, key: KeyDefinition) -> tuple[Definition | None, tuple[str, ...]]:
    """The source's definition of the table that a foreign key refers to, and the columns; None for another key."""
    if key.refers_to is None:
        return None, ()
    schema, name, columns = key.refers_to
    return work.definitions.get(MYSQL.full_name(schema or work.table.schema, name)), columns


# Functions with another value at another time, or for another account. MariaDB takes them in virtual columns (one also
# in a CHECK), and MySQL does not.
CHANGING = frozenset(
    """
current_role current_timestamp current_user curdate curtime connection_id database now rand random_bytes schema
session_user sysdate system_user unix_timestamp user utc_date utc_time utc_timestamp uuid uuid_short version
""".split()  # noqa: SIM905
)


# Functions whose value a setting of the session can change, such as the language of names of days. MariaDB has them
# in no CHECK, and stores nothing that is computed with them.
BY_SETTINGS = frozenset(
    "aes_decrypt aes_encrypt date_format dayname from_unixtime monthname week".split()  # noqa: SIM905
)


def is_row_time(column: ColumnDefinition) -> bool:
    """Whether a column has the start or end of its row's time in a table with SYSTEM VERSIONING."""
    generated = column.get("GENERATED ALWAYS AS")
    return generated is not None and [t.word for t in generated.tokens[3:4]] == ["ROW"]


# Kinds among the keys of a definition that are no indexes.
NO_INDEX = ("FOREIGN KEY", "CHECK", "PERIOD FOR", "PERIOD FOR SYSTEM_TIME")

# Types that only MariaDB has, each with a query that versions with the type can run.
ONLY_MARIADB: dict[str, str] = {
    "uuid": "SELECT CAST('00000000-0000-0000-0000-000000000000' AS UUID)",
    "inet4": "SELECT CAST('127.0.0.1' AS INET4)",
    "inet6": "SELECT CAST('::1' AS INET6)",
    "xmltype": "SELECT CAST('<a/>' AS XMLTYPE)",
}
