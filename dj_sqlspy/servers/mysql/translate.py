"""Translate: a table's definition as a MySQL or a MariaDB takes it.

In: a `Definition` as the source prints it, the `Table` of the catalog, and the flavor of a target. Out: a `Translated`:
the text of CREATE TABLE, what has to be done once the rows are there, and in words what is said of it: what became
something else, what the target must know, and what it cannot be given at all. Each pass changes one thing. What only
matters to those who write to a table (a default, a constraint that the rows meet) may be left out and is said; what
a result could depend on is kept, or refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..tables import Table
from .collations import NEARLY, Flavor, becomes, is_near
from .definition import (
    Clause,
    ColumnDefinition,
    Definition,
    KeyDefinition,
    Token,
    Tokens,
    name_of,
    text_of,
    tokens_of,
)
from .dialect import MYSQL

NAMES: Mapping[Flavor, str] = {"mysql": "MySQL", "mariadb": "MariaDB"}


@dataclass
class Work:
    """A definition on its way through the passes, and what is said of it meanwhile.

    Attributes
    ----------
    definition : Definition
    table : Table
    source, target : "mysql" or "mariadb"
    unique_keys : mapping
        For each table, the lists of columns that its primary and unique keys have.
    taken : set of str
        Names of constraints that tables of this schema have already.
    before : list of str
        Statements to run before the table is made.
    finish : list of str
        What ALTER TABLE does once the rows are there.
    notes, refused : list of str
    demands : list of (what, SELECT that a target must answer with a row)
    sequences : list of str
        Full names of those that defaults need.
    """

    definition: Definition
    table: Table
    source: Flavor
    target: Flavor
    unique_keys: Mapping[str, Collection[tuple[str, ...]]]
    taken: set[str]
    before: list[str] = field(default_factory=list)
    finish: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    demands: list[tuple[str, str]] = field(default_factory=list)
    sequences: list[str] = field(default_factory=list)

    @property
    def elsewhere(self) -> bool:
        """Whether the target is of the other flavor."""
        return self.source != self.target

    def named(self, column: str) -> str:
        """A column with its table, for messages."""
        return f"{self.table.full_name} {MYSQL.quote(column)}"

    def each_column(self, change: Callable[[ColumnDefinition], ColumnDefinition]) -> None:
        columns = tuple(map(change, self.definition.columns))
        self.definition = replace(self.definition, columns=columns)

    def keep_keys(self, change: Callable[[KeyDefinition], KeyDefinition | None]) -> None:
        """Change keys; those that become None are left out."""
        keys = tuple(changed for key in self.definition.keys if (changed := change(key)) is not None)
        self.definition = replace(self.definition, keys=keys)

    def probe(self, what: str, expression: str) -> None:
        """Demand that the target understands an expression over columns of the table."""
        nulls = ", ".join(f"NULL AS {MYSQL.quote(column.name)}" for column in self.definition.columns)
        self.demands.append((what, f"SELECT 1 FROM (SELECT {expression} FROM (SELECT {nulls}) AS t) AS u"))


def translate(
    definition: Definition,
    table: Table,
    source: Flavor,
    target: Flavor,
    unique_keys: Mapping[str, Collection[tuple[str, ...]]],
    taken: set[str],
) -> Work:
    """A definition for a server of a flavor; the arguments are those of `Work`."""
    work = Work(definition, table, source, target, unique_keys, taken)
    for each in (*_ALWAYS, *(_ELSEWHERE if work.elsewhere else ()), *_LAST):
        each(work)
    return work


# ---------------------------------------------------------------- clauses


def _without(column: ColumnDefinition, *kinds: str) -> ColumnDefinition:
    return replace(column, clauses=tuple(c for c in column.clauses if c.kind not in kinds))


def _clause(kind: str, text: str) -> Clause:
    return Clause(kind, tokens_of(text))


def _set(column: ColumnDefinition, clause: Clause) -> ColumnDefinition:
    """The column with a clause in the place of the one of its kind."""
    return replace(column, clauses=tuple(clause if c.kind == clause.kind else c for c in column.clauses))


def _value(clause: Clause) -> str:
    """What follows the words of a clause."""
    return text_of(clause.tokens[len(clause.kind.split()) :])


def _calls(tokens: Tokens) -> Iterable[str]:
    """Names of functions that an expression calls, in lower case."""
    for one, following in zip(tokens, tokens[1:], strict=False):
        if following.text == "(" and one.text[0] not in "'(,":
            yield name_of(one).lower()


# ---------------------------------------------------------------- on any server

# Options that say where the lab's server keeps a table, or how many rows it had.
_OF_THE_MACHINE = (
    "AUTO_INCREMENT",
    "DATA DIRECTORY",
    "INDEX DIRECTORY",
    "TABLESPACE",
    "CONNECTION",
    "ENCRYPTION",
    "SECONDARY_ENGINE",
    "AUTOEXTEND_SIZE",
    "`ENCRYPTED`",
    "`ENCRYPTION_KEY_ID`",
    "UNION",
    "INSERT_METHOD",
)


def _leave_places(work: Work) -> None:
    """Nothing of the lab's machine: folders, tablespaces, encryption, the next AUTO_INCREMENT value."""
    kept = {k: v for k, v in work.definition.options.items() if k.upper() not in _OF_THE_MACHINE}
    partitions = list(work.definition.partitions)
    for place, token in enumerate(partitions[:-3]):
        if token.word in ("DATA", "INDEX") and partitions[place + 1].word == "DIRECTORY":
            partitions[place : place + 4] = [Token("", "")] * 4
    kept_partitions = tuple(token for token in partitions if token.text)
    work.definition = replace(work.definition, options=kept, partitions=kept_partitions)


# Engines that hold their own rows, and where they are.
_ENGINES: dict[str, tuple[Flavor, ...]] = {
    "InnoDB": ("mysql", "mariadb"),
    "MyISAM": ("mysql", "mariadb"),
    "MEMORY": ("mysql", "mariadb"),
    "Aria": ("mariadb",),
    "CSV": ("mysql", "mariadb"),
    "ARCHIVE": ("mysql",),
}


def _choose_engine(work: Work) -> None:
    """An engine that holds rows of its own; the others (MERGE, FEDERATED, CONNECT …) read those of other tables."""
    engine = work.definition.options.get("ENGINE", "InnoDB")
    if work.target in _ENGINES.get(engine, ()) or (engine == "ARCHIVE" and not work.elsewhere):
        if engine not in ("InnoDB", "MyISAM", "MEMORY"):
            work.demands.append(
                (
                    f"{work.table.full_name}: the engine {engine}",
                    "SELECT 1 FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT')"
                    f" AND engine = {MYSQL.string(engine)}",
                )
            )
        return
    # those of MyISAM's kind take keys that InnoDB does not
    other = "MyISAM" if engine in ("Aria", "MRG_MyISAM") and not work.definition.partitions else "InnoDB"
    options = {k: v for k, v in work.definition.options.items() if k in ("DEFAULT CHARSET", "COLLATE", "COMMENT")}
    work.definition = replace(work.definition, options={"ENGINE": other, **options})
    work.notes.append(f"{work.table.full_name}: the engine {engine} becomes {other}")


def _write_bytes(work: Work) -> None:
    """Defaults of bytes in digits: MariaDB before 11 prints them as they are, which is no text."""

    def written(column: ColumnDefinition) -> ColumnDefinition:
        default = column.get("DEFAULT")
        if default is None or not any("\udc80" <= character <= "\udcff" for character in default.text):
            return column
        value = _unescaped(_value(default)[1:-1]).encode("utf-8", "surrogateescape")
        return _set(column, _clause("DEFAULT", f"DEFAULT {MYSQL.bytes(value)}"))

    work.each_column(written)


def _unescaped(text: str) -> str:
    r"""What a string in SQL stands for.

    >>> _unescaped("it''s\\n\\\\ \\0")
    "it's\n\\ \x00"
    """
    special = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
    return re.sub(
        r"\\(.)|''", lambda match: special.get(match[1], match[1]) if match[1] else "'", text, flags=re.DOTALL
    )


def _forget_history(work: Work) -> None:
    """Of a table with SYSTEM VERSIONING the current rows; its own columns of time are plain ones, to keep values."""
    options = dict(work.definition.options)
    if options.pop("WITH SYSTEM VERSIONING", None) is None and not any(
        column.get("WITH SYSTEM VERSIONING") for column in work.definition.columns
    ):
        return
    work.notes.append(f"{work.table.full_name}: SYSTEM VERSIONING, of which only the current rows are dumped")
    rows = [column for column in work.definition.columns if _is_row_time(column)]
    if not rows and not work.elsewhere:
        return
    times = {column.name for column in rows}

    def plain(column: ColumnDefinition) -> ColumnDefinition:
        if column.name in times:
            now = f"current_timestamp{column.type[9:]}" if column.type.startswith("timestamp") else "0"
            kept = [clause for clause in column.clauses if clause.kind in ("INVISIBLE", "COMMENT")]
            own = (_clause("NOT NULL", "NOT NULL"), _clause("DEFAULT", f"DEFAULT {now}"))
            column = replace(column, clauses=(*own, *kept))
        return _without(column, "WITH SYSTEM VERSIONING", "WITHOUT SYSTEM VERSIONING")

    def unversioned(key: KeyDefinition) -> KeyDefinition | None:
        if key.kind == "PERIOD FOR SYSTEM_TIME":
            return None
        if key.kind in ("PRIMARY KEY", "UNIQUE KEY"):  # to which the server has added the end of the row's time
            return replace(key, parts=tuple(part for part in key.parts if name_of(part[0]) not in times))
        return key

    work.each_column(plain)
    work.keep_keys(unversioned)
    by_time = "SYSTEM_TIME" in [token.word for token in work.definition.partitions]
    work.definition = replace(
        work.definition, options=options, partitions=() if by_time else work.definition.partitions
    )
    if rows:
        work.notes[-1] += "; its columns of time keep their values and are plain ones"


def _is_row_time(column: ColumnDefinition) -> bool:
    generated = column.get("GENERATED ALWAYS AS")
    return generated is not None and [t.word for t in generated.tokens[3:4]] == ["ROW"]


def _name_collations(work: Work) -> None:
    """Each character set with its collation: alone it means another one on another server."""
    collations = {column.name: column.collation for column in work.table.columns}

    def explicit(column: ColumnDefinition) -> ColumnDefinition:
        charset, collation = column.get("CHARACTER SET"), collations.get(column.name)
        if charset is None or column.get("COLLATE") is not None or collation is None:
            return column
        named = _clause("COLLATE", f"COLLATE {collation}")
        clauses = [clause for each in column.clauses for clause in ((each, named) if each is charset else (each,))]
        return replace(column, clauses=tuple(clauses))

    work.each_column(explicit)
    options = work.definition.options
    if "DEFAULT CHARSET" in options and "COLLATE" not in options and work.table.collation:
        work.definition = replace(work.definition, options={**options, "COLLATE": work.table.collation})


def _check_texts(work: Work) -> None:
    """MySQL prints a character of four bytes in an expression as ``????``, so that nobody can make it again."""
    if work.source != "mysql":
        return
    for column in work.definition.columns:
        for clause in column.clauses:
            if clause.kind in ("GENERATED ALWAYS AS", "DEFAULT") and "????" in clause.text:
                work.refused.append(f"{work.named(column.name)}: {clause.text}, of which MySQL prints no emoji")
    for key in work.definition.keys:
        text = ", ".join(map(text_of, key.parts))
        if key.kind not in _NO_INDEX[:1] and "????" in text:
            work.refused.append(f"{work.table.full_name}: {key.kind} ({text}), of which MySQL prints no emoji")


# ---------------------------------------------------------------- types

# Types that only MariaDB has, each with a query that a version which has it answers.
_ONLY_MARIADB: dict[str, str] = {
    "uuid": "SELECT CAST('00000000-0000-0000-0000-000000000000' AS UUID)",
    "inet4": "SELECT CAST('127.0.0.1' AS INET4)",
    "inet6": "SELECT CAST('::1' AS INET6)",
    "xmltype": "SELECT CAST('<a/>' AS XMLTYPE)",
}
_VECTORS: Mapping[Flavor, str] = {
    "mysql": "SELECT STRING_TO_VECTOR('[1]')",
    "mariadb": "SELECT VEC_FromText('[1]')",
}


def _check_types(work: Work) -> None:
    """Types that a target must know."""
    for column in work.definition.columns:
        type_ = column.type.split("(")[0].lower()
        what = f"{work.named(column.name)}: the type {type_.upper()}"
        if type_ in _ONLY_MARIADB and work.target == "mysql":
            work.refused.append(what)
        elif type_ in _ONLY_MARIADB:
            work.demands.append((what, _ONLY_MARIADB[type_]))
        elif type_ == "vector":
            work.demands.append((what, _VECTORS[work.target]))


def _check_references(work: Work) -> None:
    """Foreign keys to columns that are no unique key, which MySQL takes from 8.4 on only where it is told to."""
    for key in work.definition.keys:
        refers = key.refers_to
        if refers is None or work.target != "mysql":
            continue
        schema, name, columns = refers
        parent = MYSQL.full_name(schema or work.table.schema, name)
        if columns not in work.unique_keys.get(parent, (columns,)):
            what = (
                f"{work.table.full_name}: the foreign key {MYSQL.quote(key.name)} to columns of {parent} that are no"
                " unique key, for which the account must be able to switch restrict_fk_on_non_standard_key off"
            )
            off = "/*!80400 SET SESSION restrict_fk_on_non_standard_key = OFF */"
            work.demands.append((what, f"{off}; SELECT 1"))
            work.before.append(off)


# ---------------------------------------------------------------- on a server of the other flavor

_ONE_SERVERS = (
    *("STORAGE", "COLUMN_FORMAT", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"),  # MySQL
    *("COMPRESSED", "REF_SYSTEM_ID"),  # MariaDB
)


def _change_types(work: Work) -> None:
    """What a type is called there, without how it is stored."""

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        if column.get("SRID") is not None and work.target == "mariadb":
            work.notes.append(
                f"{work.named(column.name)}: MariaDB does not hold it to its SRID, and computes on a plane whatever it is"
            )
            column = _without(column, "SRID")
        type_ = "geometrycollection" if column.type.lower() == "geomcollection" else column.type
        return _without(replace(column, type=type_), *_ONE_SERVERS)

    work.each_column(changed)


def _plain_strings(tokens: Tokens) -> Tokens:
    """Without the character set that MySQL prints before a string: MariaDB garbles such a text in a generated column."""
    out = []
    for place, token in enumerate(tokens):
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        if token.word == "_UTF8MB4" and following is not None and following.text[0] == "'":
            continue
        out.append(token)
    return tuple(out)


def _change_expressions(work: Work) -> None:
    """Expressions of defaults, generated columns and constraints, each asked about unless it is plain."""

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        if work.target == "mariadb":
            clauses = tuple(c._replace(tokens=_plain_strings(c.tokens)) for c in column.clauses)
            column = replace(column, clauses=clauses)
        for kind in ("GENERATED ALWAYS AS", "DEFAULT"):
            clause = column.get(kind)
            if clause is None or _is_row_time(column):
                continue
            if kind == "DEFAULT" and not set(_calls(clause.tokens)) - _TIMES - {"nextval"}:
                continue
            what = "default" if kind == "DEFAULT" else "expression"
            work.probe(f"{work.named(column.name)}: its {what} {_value(clause)}", _value(clause))
        return column

    def checked(key: KeyDefinition) -> KeyDefinition:
        if key.kind != "CHECK":
            return key
        if work.target == "mariadb":
            key = replace(key, parts=tuple(map(_plain_strings, key.parts)))
        calls = {call for part in key.parts for call in _calls(part)}
        if calls - {"json_valid"}:
            text = ", ".join(map(text_of, key.parts))
            work.probe(f"{work.table.full_name}: the constraint CHECK ({text})", text)
        return key

    work.each_column(changed)
    work.keep_keys(checked)


_TIMES = frozenset({"current_timestamp", "now"})
_LITERAL = re.compile(r"(?:NULL|[-+]?[\d.]+(?:e[-+]?\d+)?|0x[0-9a-f]*|[bx]?'.*')", re.IGNORECASE | re.DOTALL)
_NEED_PARENTHESES = ("blob", "text", "json", "geometry", "point", "linestring", "polygon", "geometrycollection")


def _change_defaults(work: Work) -> None:
    """MySQL wants expressions in parentheses, and knows no sequences."""

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        default = column.get("DEFAULT")
        if default is None or work.target != "mysql":
            return column
        value = _value(default)
        type_ = column.type.split("(")[0].lower()
        if "nextval" in _calls(default.tokens):
            work.notes.append(f"{work.named(column.name)}: without its default {value}, MySQL has no sequences")
            return _without(column, "DEFAULT")
        literal = _LITERAL.fullmatch(value) is not None
        time = type_ in ("timestamp", "datetime") and set(_calls(default.tokens)) == {"current_timestamp"}
        wants = literal and value.upper() != "NULL" and type_.endswith(_NEED_PARENTHESES)
        if wants or not (literal or time or value.startswith("(")):
            return _set(column, _clause("DEFAULT", f"DEFAULT ({value})"))
        return column

    work.each_column(changed)


def _find_sequences(work: Work) -> None:
    """The sequences that defaults take their values from."""
    for column in work.definition.columns:
        default = column.get("DEFAULT")
        if default is None or work.target != "mariadb":
            continue
        tokens = default.tokens
        for place, token in enumerate(tokens):
            if token.word == "NEXTVAL" and tokens[place + 1].text == "(":
                names = [name_of(t) for t in tokens[place + 2 : place + 5] if t.text[0] == "`"]
                schema, name = names if len(names) == 2 else (work.table.schema, names[0])
                work.sequences.append(MYSQL.full_name(schema, name))


def _change_checks(work: Work) -> None:
    """Constraints by the rules of the other: names are a schema's in MySQL, and MariaDB enforces all."""
    moved: list[KeyDefinition] = []

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        check = column.get("CHECK")
        if check is None or work.target != "mysql":
            return column
        moved.append(KeyDefinition("CHECK", "", (check.tokens[2:-1],)))  # which may be about other columns, too
        return _without(column, "CHECK")

    def named(key: KeyDefinition) -> KeyDefinition | None:
        if key.kind != "CHECK":
            return key
        if work.target == "mariadb":
            if [token.word for token in key.rest] == ["NOT", "ENFORCED"]:
                work.notes.append(
                    f"{work.table.full_name}: without the constraint {MYSQL.quote(key.name)}, which is NOT ENFORCED"
                )
                return None
            return key
        if key.name.lower() in work.taken or key.name.startswith("CONSTRAINT_"):
            return replace(key, name="")
        work.taken.add(key.name.lower())
        return key

    work.each_column(changed)
    work.keep_keys(named)
    work.definition = replace(work.definition, keys=(*work.definition.keys, *moved))


def _change_keys(work: Work) -> None:
    """Indexes that the other has; those that it has not are left out, since no result depends on them."""
    long = {
        column.name for column in work.definition.columns if column.type.lower().endswith(("blob", "text"))
    }

    def changed(key: KeyDefinition) -> KeyDefinition | None:
        if key.kind in _NO_INDEX:
            return key
        what = f"{work.table.full_name}: without the {'constraint' if 'UNIQUE' in key.kind else 'index'} {key.name}"
        words = [token.word for part in key.parts for token in part]
        if any(part[0].text == "(" for part in key.parts):
            work.notes.append(f"{what} on an expression, which MariaDB does not have")
            return None
        if "OVERLAPS" in words and key.kind != "PRIMARY KEY":
            work.notes.append(f"{what} WITHOUT OVERLAPS, which MySQL does not have")
            return None
        if key.kind == "VECTOR KEY":
            work.notes.append(f"{what} of vectors, which MySQL does not have")
            return None
        whole = {name_of(part[0]) for part in key.parts if len(part) == 1}
        if "UNIQUE" in key.kind and whole & long:
            work.notes.append(f"{what} on whole texts or blobs, which MySQL does not have")
            return None
        return replace(key, rest=_index_options(key.rest))

    work.keep_keys(changed)


_NO_INDEX = ("FOREIGN KEY", "CHECK", "PERIOD FOR", "PERIOD FOR SYSTEM_TIME")


def _index_options(rest: Tokens) -> Tokens:
    """Of what follows an index, its comment."""
    words = [token.word for token in rest]
    if "COMMENT" not in words:
        return ()
    start = words.index("COMMENT")
    return rest[start : start + 2]


def _forget_periods(work: Work) -> None:
    """Periods of application time are two columns to MySQL."""
    periods = {
        key.name: key.columns for key in work.definition.keys if key.kind == "PERIOD FOR"
    }
    if not periods or work.target != "mysql":
        return

    def changed(key: KeyDefinition) -> KeyDefinition | None:
        if key.kind == "PERIOD FOR":
            return None
        if key.kind != "PRIMARY KEY":
            return key
        parts: list[Tokens] = []
        for part in key.parts:
            start_and_end = periods.get(name_of(part[0]), ())
            # the catalog names the end first
            parts += [tokens_of(MYSQL.quote(name)) for name in reversed(start_and_end)] or [part]
        return replace(key, parts=tuple(parts))

    work.keep_keys(changed)
    work.notes.append(f"{work.table.full_name}: the period {', '.join(periods)} becomes two plain columns")


def _change_invisible(work: Work) -> None:
    """MariaDB wants a default for an invisible column that takes no NULL."""

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        needs = column.get("INVISIBLE") and column.get("NOT NULL") and not column.get("DEFAULT")
        if work.target != "mariadb" or not needs or column.get("AUTO_INCREMENT"):
            return column
        if column.get("GENERATED ALWAYS AS"):
            return column
        type_ = column.type.split("(")[0].lower()
        numeric = type_.endswith("int") or type_ in ("decimal", "float", "double", "bit", "year")
        if not numeric and not type_.endswith(("char", "binary", "text", "blob")):
            work.refused.append(f"{work.named(column.name)}: INVISIBLE and NOT NULL without a default")
            return column
        default = "0" if numeric else "''"
        work.notes.append(f"{work.named(column.name)}: INVISIBLE and NOT NULL, gets the default {default}")
        return replace(column, clauses=(*column.clauses, _clause("DEFAULT", f"DEFAULT {default}")))

    work.each_column(changed)


def _change_generated(work: Work) -> None:
    """Generated columns by the rules of the other.

    MariaDB's never are NOT NULL. Its dumps hold values for them, which MySQL refuses: there they are plain columns
    while rows are loaded, and are then made again as what they are, with the keys that they are part of.
    """
    names: dict[str, str] = {}
    place = "FIRST"
    for column in work.definition.columns:
        if column.get("GENERATED ALWAYS AS") is not None:
            names[column.name] = place
        place = f"AFTER {MYSQL.quote(column.name)}"
    if not names:
        return
    if work.target == "mariadb":
        work.each_column(lambda c: _without(c, "NOT NULL") if c.name in names else c)
        return
    later = [key for key in work.definition.keys if key.kind != "CHECK" and names.keys() & set(key.columns)]
    later += [key for key in work.definition.keys if key.kind == "CHECK" and _mentions(key, names)]
    again = [column for column in work.definition.columns if column.name in names]
    work.finish += [f"DROP COLUMN {MYSQL.quote(column.name)}" for column in again]
    work.finish += [f"ADD COLUMN {column} {names[column.name]}" for column in again]
    work.finish += [f"ADD {key}" for key in later]
    work.keep_keys(lambda key: None if key in later else key)
    work.each_column(
        lambda column: _without(column, "GENERATED ALWAYS AS", "STORED", "VIRTUAL", "PERSISTENT", "INVISIBLE")
        if column.name in names
        else column
    )


def _mentions(key: KeyDefinition, names: Collection[str]) -> bool:
    return any(
        token.text[0] == "`" and name_of(token) in names for part in key.parts for token in part
    )


def _change_options(work: Work) -> None:
    """Of the options of a table those that both have, and partitions that both have."""
    known = ("ENGINE", "DEFAULT CHARSET", "COLLATE", "COMMENT")
    options = {k: v for k, v in work.definition.options.items() if k in known}
    collation = work.table.collation or ""
    if not becomes(collation, work.source, work.target):  # each column has one of its own
        options = {k: v for k, v in options.items() if k not in ("DEFAULT CHARSET", "COLLATE")}
    partitions = work.definition.partitions
    words = [token.word for token in partitions]
    if "DEFAULT" in words or "INTERVAL" in words:
        partitions = ()
        work.notes.append(f"{work.table.full_name}: without its partitions")
    work.definition = replace(work.definition, options=options, partitions=partitions)


def _check_collations(work: Work) -> None:
    """Collations that mean the same there, or nearly."""
    for column in work.table.columns:
        if column.collation is None or column.data_type in _ONLY_MARIADB:
            continue
        others = becomes(column.collation, work.source, work.target)
        what = f"{work.named(column.name)}: the collation {column.collation}"
        if not others:
            work.refused.append(f"{what}, of which {NAMES[work.target]} has none that finds the same texts equal")
        elif is_near(column.collation, others[0]):
            work.notes.append(f"{what} becomes {others[0]}, {NEARLY}")


Pass = Callable[[Work], None]

_ALWAYS: Sequence[Pass] = (
    _leave_places,
    _forget_history,
    _choose_engine,
    _write_bytes,
    _name_collations,
    _find_sequences,
    _check_texts,
)
_ELSEWHERE: Sequence[Pass] = (
    _change_types,
    _change_defaults,
    _change_checks,
    _change_expressions,
    _change_keys,
    _forget_periods,
    _change_invisible,
    _change_options,
    _change_generated,
    _check_collations,
)
_LAST: Sequence[Pass] = (_check_types, _check_references)
