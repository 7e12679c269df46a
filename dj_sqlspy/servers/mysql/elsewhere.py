"""Elsewhere: translates a table's definition for a server of the other flavor.

In: a `Translated`. Out: the same, in the other flavor's form. What matters only for writing (a default, a constraint)
may be left out, with a note. What a result could depend on is kept or refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from ...names import split_full_name
from .collations import NAMES, becomes
from .definition import ColumnDefinition, KeyDefinition, Tokens, name_of, text_of, tokens_of
from .dialect import MYSQL
from .translated import (
    BY_SETTINGS,
    CHANGING,
    NO_INDEX,
    ONLY_MARIADB,
    Translated,
    calls_of,
    clause_of,
    parent_of,
    value_of,
    with_clause,
    without,
)

_ONE_SERVERS = (
    *("STORAGE", "COLUMN_FORMAT", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"),  # MySQL
    *("COMPRESSED", "REF_SYSTEM_ID"),  # MariaDB
)


def change_types(work: Translated) -> None:
    """Use the other flavor's names of types, without options of storage."""

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        if column.get("SRID") is not None and work.target == "mariadb":
            work.notes.append(
                f"{work.named(column.name)}: MariaDB does not hold it to its SRID, and computes on a plane"
            )
            column = without(column, "SRID")
        type_ = "geometrycollection" if column.type.lower() == "geomcollection" else column.type
        return without(replace(column, type=type_), *_ONE_SERVERS)

    work.each_column(changed)


def _plain_strings(tokens: Tokens) -> Tokens:
    """Remove MySQL's introducers before strings, since MariaDB garbles such strings in generated columns."""
    out = []
    for place, token in enumerate(tokens):
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        if token.word == "_UTF8MB4" and following is not None and following.text[0] == "'":
            continue
        out.append(token)
    return tuple(out)


def change_texts(work: Translated) -> None:
    """Strings in expressions as MariaDB reads them."""
    if work.target != "mariadb":
        return

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        return replace(
            column, clauses=tuple(c._replace(tokens=_plain_strings(c.tokens)) for c in column.clauses)
        )

    work.each_column(changed)
    work.keep_keys(
        lambda key: replace(key, parts=tuple(map(_plain_strings, key.parts))) if key.kind == "CHECK" else key
    )


_LITERAL = re.compile(r"(?:NULL|[-+]?[\d.]+(?:e[-+]?\d+)?|0x[0-9a-f]*|[bx]?'.*')", re.IGNORECASE | re.DOTALL)
_NEED_PARENTHESES = (
    "blob",
    "text",
    "json",
    "geometry",
    "point",
    "linestring",
    "polygon",
    "geometrycollection",
)


def change_defaults(work: Translated) -> None:
    """Rewrite defaults: MySQL wants expressions in parentheses and has no sequences."""

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        default = column.get("DEFAULT")
        if default is None or work.target != "mysql":
            return column
        value = value_of(default)
        type_ = _type_of(column)
        if "nextval" in calls_of(default.tokens):
            work.notes.append(
                f"{work.named(column.name)}: without its default {value}, MySQL has no sequences"
            )
            return without(column, "DEFAULT")
        literal = _LITERAL.fullmatch(value) is not None
        time = type_ in ("timestamp", "datetime") and set(calls_of(default.tokens)) == {"current_timestamp"}
        wants = literal and value.upper() != "NULL" and type_.endswith(_NEED_PARENTHESES)
        if wants or not (literal or time or value.startswith("(")):
            return with_clause(column, clause_of("DEFAULT", f"DEFAULT ({value})"))
        return column

    work.each_column(changed)


def change_checks(work: Translated) -> None:
    """Rewrite CHECKs: in MySQL their names are unique per schema, and MariaDB enforces all of them."""
    moved: list[KeyDefinition] = []

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        check = column.get("CHECK")
        if check is None or work.target != "mysql":
            return column
        moved.append(
            KeyDefinition("CHECK", "", (check.tokens[2:-1],))
        )  # which may be about other columns, too
        return without(column, "CHECK")

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

    refused, flavor = (CHANGING, "MySQL") if work.target == "mysql" else (BY_SETTINGS, "MariaDB")

    def allowed(key: KeyDefinition) -> KeyDefinition | None:
        calls = refused & {call for part in key.parts for call in calls_of(part)}
        if key.kind != "CHECK" or not calls:
            return key
        what = f"CHECK ({', '.join(map(text_of, key.parts))})"
        work.notes.append(
            f"{work.table.full_name}: without the constraint {what}, which {flavor} does not take"
        )
        return None

    work.each_column(changed)
    work.keep_keys(named)
    work.definition = replace(work.definition, keys=(*work.definition.keys, *moved))
    work.keep_keys(allowed)


def change_keys(work: Translated) -> None:
    """Leave out indexes that the other flavor does not have; no result depends on them."""
    long = {
        column.name for column in work.definition.columns if column.type.lower().endswith(("blob", "text"))
    }

    def changed(key: KeyDefinition) -> KeyDefinition | None:
        if key.kind in NO_INDEX:
            return key
        what = _without(work, key)
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
        longest = 1000 if work.definition.options.get("ENGINE") == "MyISAM" else 3072
        if "HASH" in [token.word for token in key.rest] and _bytes_of(work, key) > longest:
            work.notes.append(f"{what} on more than {longest} bytes, which MySQL does not have")
            return None
        whole = {name_of(part[0]) for part in key.parts if len(part) == 1}
        if "UNIQUE" in key.kind and whole & long:
            work.notes.append(f"{what} on whole texts or blobs, which MySQL does not have")
            return None
        return replace(key, rest=_index_options(key.rest))

    work.keep_keys(changed)


def _bytes_of(work: Translated, key: KeyDefinition) -> int:
    """The most bytes that the texts of an index have."""
    columns = {column.name: column for column in work.table.columns}
    indexed = [columns[name_of(part[0])] for part in key.parts if name_of(part[0]) in columns]
    return sum(
        int(re.findall(r"\d+", column.column_type)[0]) * _BYTES.get(column.charset or "binary", 4)
        for column in indexed
        if column.data_type.endswith(("char", "binary"))
    )


# Of a character. All other character sets have more.
_BYTES = {"binary": 1, "ascii": 1, "latin1": 1}


def _index_options(rest: Tokens) -> Tokens:
    """The comment among the options of an index."""
    words = [token.word for token in rest]
    if "COMMENT" not in words:
        return ()
    start = words.index("COMMENT")
    return rest[start : start + 2]


def forget_periods(work: Translated) -> None:
    """Leave out application-time periods, which in MySQL are just two columns."""
    periods = {key.name: key.columns for key in work.definition.keys if key.kind == "PERIOD FOR"}
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


def change_invisible(work: Translated) -> None:
    """Give invisible NOT NULL columns the default that MariaDB requires."""

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        needs = column.get("INVISIBLE") and column.get("NOT NULL") and not column.get("DEFAULT")
        if work.target != "mariadb" or not needs or column.get("AUTO_INCREMENT"):
            return column
        if column.get("GENERATED ALWAYS AS"):
            return column
        type_ = _type_of(column)
        numeric = type_.endswith("int") or type_ in ("decimal", "float", "double", "bit", "year")
        if not numeric and not type_.endswith(("char", "binary", "text", "blob")):
            work.refused.append(f"{work.named(column.name)}: INVISIBLE and NOT NULL without a default")
            return column
        default = "0" if numeric else "''"
        work.notes.append(f"{work.named(column.name)}: INVISIBLE and NOT NULL, gets the default {default}")
        return replace(column, clauses=(*column.clauses, clause_of("DEFAULT", f"DEFAULT {default}")))

    work.each_column(changed)


def change_stored(work: Translated) -> None:
    """Make columns VIRTUAL, and leave out indexes of them, if a setting of the session can change their values.

    MariaDB does not store such columns. No result depends on where a value is computed.
    """
    changing = _by_settings(work) if work.target == "mariadb" else set[str]()
    if not changing:
        return
    doubtful = "generated from what a setting of the session can change"
    needed = _in_foreign_keys(work) | _named_in([work.definition.partitions])
    needed |= _named_in(
        part for key in work.definition.keys if key.kind == "PRIMARY KEY" for part in key.parts
    )
    work.refused += [f"{work.named(name)}: {doubtful}, and in a key" for name in sorted(changing & needed)]

    def kept(key: KeyDefinition) -> KeyDefinition | None:
        if key.kind in (*NO_INDEX, "PRIMARY KEY") or _named_in(key.parts).isdisjoint(changing):
            return key
        work.notes.append(f"{_without(work, key)} on a column {doubtful}")
        return None

    def changed(column: ColumnDefinition) -> ColumnDefinition:
        if column.name not in changing or not column.get("STORED"):
            return column
        work.notes.append(f"{work.named(column.name)}: VIRTUAL, {doubtful}")
        clauses = (clause_of("VIRTUAL", "VIRTUAL") if c.kind == "STORED" else c for c in column.clauses)
        return replace(column, clauses=tuple(clauses))

    work.keep_keys(kept)
    work.each_column(changed)


def _by_settings(work: Translated) -> set[str]:
    """The generated columns whose values a setting of the session can change, or perhaps.

    Times can be rounded or cut off, and a CHAR can have its spaces or not.
    """
    generated = [
        (one, clause) for one in work.definition.columns if (clause := one.get("GENERATED ALWAYS AS"))
    ]
    found: set[str] = set()
    changing = {one.name for one in work.definition.columns if _type_of(one) == "char"}
    while True:
        more = {
            one.name
            for one, clause in generated
            if _type_of(one) in _TIMES
            or BY_SETTINGS.intersection(calls_of(clause.tokens))
            or not _TIMES.isdisjoint(token.text.lower() for token in clause.tokens)
            or not _named_in([clause.tokens]).isdisjoint(changing | found)
        }
        if more <= found:
            return found
        found |= more


_TIMES = frozenset({"datetime", "time", "timestamp"})


def _type_of(column: ColumnDefinition) -> str:
    return column.type.split("(")[0].lower()


def _in_foreign_keys(work: Translated) -> set[str]:
    """The columns of a table that refer, or to which a table of the dump refers."""
    found = {name for key in work.definition.keys if key.refers_to is not None for name in key.columns}
    for table, definition in work.definitions.items():
        for schema, name, columns in filter(None, (key.refers_to for key in definition.keys)):
            if MYSQL.full_name(schema or split_full_name(table)[0], name) == work.table.full_name:
                found.update(columns)
    return found


def change_generated(work: Translated) -> None:
    """Rewrite generated columns.

    In MariaDB they are never NOT NULL. Its dumps contain their values, which MySQL refuses to load. So in MySQL they
    are plain columns during the load; afterwards they become generated, and get their keys.
    """
    if work.target == "mysql":
        _settle_generated(work)
    names: dict[str, str] = {}
    place = "FIRST"
    for column in work.definition.columns:
        if column.get("GENERATED ALWAYS AS") is not None:
            names[column.name] = place
        place = f"AFTER {MYSQL.quote(column.name)}"
    if work.target == "mariadb":
        work.each_column(lambda c: without(c, "NOT NULL") if c.name in names else c)
        return
    keys = work.definition.keys
    later = [key for key in keys if _mentions(key, names) or _refers_to_generated(work, key)]
    again = [column for column in work.definition.columns if column.name in names]
    work.finish += [f"DROP COLUMN {MYSQL.quote(column.name)}" for column in again]
    work.finish += [f"ADD COLUMN {column} {names[column.name]}" for column in again]
    work.finish += [f"ADD {key}" for key in later]
    work.keep_keys(lambda key: None if key in later else key)
    work.each_column(
        lambda column: (
            without(column, "GENERATED ALWAYS AS", "STORED", "VIRTUAL", "PERSISTENT", "INVISIBLE")
            if column.name in names
            else column
        )
    )


def _settle_generated(work: Translated) -> None:
    """Make columns that MySQL does not generate plain, and those of foreign keys STORED; refuse what can change."""
    if not any(column.get("GENERATED ALWAYS AS") for column in work.definition.columns):
        return
    auto = {column.name for column in work.definition.columns if column.get("AUTO_INCREMENT")}
    of_keys = _in_foreign_keys(work)

    def settled(column: ColumnDefinition) -> ColumnDefinition:
        expression = column.get("GENERATED ALWAYS AS")
        if expression is None:
            return column
        calls = CHANGING & set(calls_of(expression.tokens))
        if calls:
            work.refused.append(f"{work.named(column.name)}: generated by {', '.join(sorted(calls))}")
        if auto & {name_of(token) for token in expression.tokens if token.text[0] == "`"}:
            work.notes.append(
                f"{work.named(column.name)}: plain, MySQL generates nothing from AUTO_INCREMENT"
            )
            return without(column, "GENERATED ALWAYS AS", "STORED", "VIRTUAL", "PERSISTENT")
        if column.name in of_keys and column.get("VIRTUAL"):
            work.notes.append(f"{work.named(column.name)}: STORED, since a foreign key uses it")
            kept = tuple(clause_of("STORED", "STORED") if c.kind == "VIRTUAL" else c for c in column.clauses)
            return replace(column, clauses=kept)
        return column

    work.each_column(settled)


def _refers_to_generated(work: Translated, key: KeyDefinition) -> bool:
    parent, columns = parent_of(work, key)
    made_later = {c.name for c in parent.columns if c.get("GENERATED ALWAYS AS")} if parent else set()
    return not made_later.isdisjoint(columns)


def _mentions(key: KeyDefinition, names: Collection[str]) -> bool:
    return not _named_in(key.parts).isdisjoint(names)


def _named_in(parts: Iterable[Tokens]) -> set[str]:
    """The names that stand in quotes in some texts."""
    return {name_of(token) for part in parts for token in part if token.text[0] == "`"}


def _without(work: Translated, key: KeyDefinition) -> str:
    return (
        f"{work.table.full_name}: without the {'constraint' if 'UNIQUE' in key.kind else 'index'} {key.name}"
    )


def change_options(work: Translated) -> None:
    """Keep the table options and partitions that both flavors have."""
    known = ("ENGINE", "DEFAULT CHARSET", "COLLATE", "COMMENT")
    options = {k: v for k, v in work.definition.options.items() if k in known}
    collation = work.table.collation or ""
    if not becomes(collation, work.source, work.target):  # each column names its own
        options = {k: v for k, v in options.items() if k not in ("DEFAULT CHARSET", "COLLATE")}
    partitions = work.definition.partitions
    words = [token.word for token in partitions]
    if "DEFAULT" in words or "INTERVAL" in words:
        partitions = ()
        work.notes.append(f"{work.table.full_name}: without its partitions")
    work.definition = replace(work.definition, options=options, partitions=partitions)


def check_collations(work: Translated) -> None:
    """Refuse collations without an equivalent, and note those that are only nearly equal."""
    for column in work.table.columns:
        if column.collation is None or column.data_type in ONLY_MARIADB:
            continue
        others = becomes(column.collation, work.source, work.target)
        what = f"{work.named(column.name)}: the collation {column.collation}"
        if not others:
            work.refused.append(
                f"{what}, of which {NAMES[work.target]} has none that finds the same texts equal"
            )
