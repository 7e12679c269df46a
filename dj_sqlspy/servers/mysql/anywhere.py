"""Anywhere: changes and checks of a table's definition that every target needs, also one like the source.

In: a `Translated`. Out: the same, without what belongs to the lab's machine (folders, engines that read other tables,
the history of rows), and with what the target must support.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from .collations import Flavor
from .definition import ColumnDefinition, KeyDefinition, Token, Tokens, name_of, text_of
from .dialect import MYSQL
from .translated import (
    NO_INDEX,
    ONLY_MARIADB,
    UNIQUE_KEYS,
    Translated,
    calls_of,
    clause_of,
    is_row_time,
    parent_of,
    value_of,
    with_clause,
    without,
)

# Options that say where and how the lab's server stores a table, or how many rows it had.
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


def leave_places(work: Translated) -> None:
    """Remove what belongs to the lab's machine: folders, tablespaces, encryption, the next AUTO_INCREMENT value."""
    kept = {k: v for k, v in work.definition.options.items() if k.upper() not in _OF_THE_MACHINE}
    partitions = list(work.definition.partitions)
    for place, token in enumerate(partitions[:-3]):
        if token.word in ("DATA", "INDEX") and partitions[place + 1].word == "DIRECTORY":
            partitions[place : place + 4] = [Token("", "")] * 4
    kept_partitions = tuple(token for token in partitions if token.text)
    work.definition = replace(work.definition, options=kept, partitions=kept_partitions)


# Engines that store their own rows, and the flavors that have them.
_ENGINES: dict[str, tuple[Flavor, ...]] = {
    "InnoDB": ("mysql", "mariadb"),
    "MyISAM": ("mysql", "mariadb"),
    "MEMORY": ("mysql", "mariadb"),
    "Aria": ("mariadb",),
    "CSV": ("mysql", "mariadb"),
    "ARCHIVE": ("mysql",),
}


def choose_engine(work: Translated) -> None:
    """Use an engine that stores its own rows; the others (MERGE, FEDERATED, CONNECT …) read other tables."""
    engine = work.definition.options.get("ENGINE", "InnoDB")
    kept = work.target in _ENGINES.get(engine, ()) or (engine == "ARCHIVE" and not work.elsewhere)
    if work.elsewhere and work.target == "mysql" and work.definition.partitions:  # only InnoDB has them
        kept = engine == "InnoDB"
    if kept:
        if engine not in ("InnoDB", "MyISAM", "MEMORY"):
            work.demands.append(
                (
                    f"{work.table.full_name}: the engine {engine}",
                    "SELECT 1 FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT')"
                    f" AND engine = {MYSQL.string(engine)}",
                )
            )
        return
    if work.source == "mysql" and engine in ("MRG_MyISAM", "FEDERATED"):
        work.refused.append(f"{work.table.full_name}: the engine {engine}, of which mysqldump writes no rows")
    # engines like MyISAM allow keys that InnoDB does not
    other = "MyISAM" if engine in ("Aria", "MRG_MyISAM") and not work.definition.partitions else "InnoDB"
    options = {
        k: v for k, v in work.definition.options.items() if k in ("DEFAULT CHARSET", "COLLATE", "COMMENT")
    }
    work.definition = replace(work.definition, options={"ENGINE": other, **options})
    work.notes.append(f"{work.table.full_name}: the engine {engine} becomes {other}")


def write_bytes(work: Translated) -> None:
    """Write byte defaults in hexadecimal: MariaDB before 11 prints the raw bytes, which are not valid text."""

    def written(column: ColumnDefinition) -> ColumnDefinition:
        default = column.get("DEFAULT")
        if default is None or not any("\udc80" <= character <= "\udcff" for character in default.text):
            return column
        value = _unescaped(value_of(default)[1:-1]).encode("utf-8", "surrogateescape")
        return with_clause(column, clause_of("DEFAULT", f"DEFAULT {MYSQL.bytes(value)}"))

    work.each_column(written)


def _unescaped(text: str) -> str:
    r"""The value of a string literal, given without its quotes.

    >>> _unescaped("it''s\\n\\\\ \\0")
    "it's\n\\ \x00"
    """
    special = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
    return re.sub(
        r"\\(.)|''", lambda match: special.get(match[1], match[1]) if match[1] else "'", text, flags=re.DOTALL
    )


def forget_history(work: Translated) -> None:
    """Keep the current rows of a table with SYSTEM VERSIONING. Its period columns become plain columns."""
    options = dict(work.definition.options)
    if options.pop("WITH SYSTEM VERSIONING", None) is None and not any(
        column.get("WITH SYSTEM VERSIONING") for column in work.definition.columns
    ):
        return
    work.notes.append(f"{work.table.full_name}: SYSTEM VERSIONING, of which only the current rows are dumped")
    rows = [column for column in work.definition.columns if is_row_time(column)]
    if not rows and not work.elsewhere:
        return
    times = {column.name for column in rows}

    def plain(column: ColumnDefinition) -> ColumnDefinition:
        if column.name in times:
            now = f"current_timestamp{column.type[9:]}" if column.type.startswith("timestamp") else "0"
            kept = [clause for clause in column.clauses if clause.kind in ("INVISIBLE", "COMMENT")]
            own = (clause_of("NOT NULL", "NOT NULL"), clause_of("DEFAULT", f"DEFAULT {now}"))
            column = replace(column, clauses=(*own, *kept))
        return without(column, "WITH SYSTEM VERSIONING", "WITHOUT SYSTEM VERSIONING")

    def unversioned(key: KeyDefinition) -> KeyDefinition | None:
        if key.kind == "PERIOD FOR SYSTEM_TIME":
            return None
        if key.kind in (
            "PRIMARY KEY",
            "UNIQUE KEY",
        ):  # to which the server has added the end of the row's time
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


def name_collations(work: Translated) -> None:
    """Name the collation of each character set, since its default differs between servers."""
    collations = {column.name: column.collation for column in work.table.columns}

    def explicit(column: ColumnDefinition) -> ColumnDefinition:
        charset, collation = column.get("CHARACTER SET"), collations.get(column.name)
        if charset is None or column.get("COLLATE") is not None or collation is None:
            return column
        named = clause_of("COLLATE", f"COLLATE {collation}")
        clauses = [
            clause for each in column.clauses for clause in ((each, named) if each is charset else (each,))
        ]
        return replace(column, clauses=tuple(clauses))

    work.each_column(explicit)
    options = work.definition.options
    if "DEFAULT CHARSET" in options and "COLLATE" not in options and work.table.collation:
        work.definition = replace(work.definition, options={**options, "COLLATE": work.table.collation})


def check_texts(work: Translated) -> None:
    """Refuse expressions with four-byte characters: MySQL prints them as ``????``, so they are lost."""
    if work.source != "mysql":
        return
    for column in work.definition.columns:
        for clause in column.clauses:
            if clause.kind in ("GENERATED ALWAYS AS", "DEFAULT") and "????" in clause.text:
                work.refused.append(
                    f"{work.named(column.name)}: {clause.text}, of which MySQL prints no emoji"
                )
    for key in work.definition.keys:
        text = ", ".join(map(text_of, key.parts))
        if key.kind not in NO_INDEX[:1] and "????" in text:
            work.refused.append(
                f"{work.table.full_name}: {key.kind} ({text}), of which MySQL prints no emoji"
            )


# What every version has, or is demanded by itself.
_PLAIN = frozenset({"current_timestamp", "now", "nextval", "json_valid"})


def ask_expressions(work: Translated) -> None:
    """Expressions of columns, constraints and indexes, each asked about unless it is plain."""

    def ask(what: str, tokens: Tokens) -> None:
        if not set(calls_of(tokens)) <= _PLAIN:
            text = text_of(tokens)
            work.ask(f"{what} {text}", text)

    for column in work.definition.columns:
        if is_row_time(column):
            continue
        for kind, what in (("GENERATED ALWAYS AS", "expression"), ("DEFAULT", "default"), ("CHECK", "CHECK")):
            clause = column.get(kind)
            if clause is not None:
                ask(f"{work.named(column.name)}: its {what}", clause.tokens[len(kind.split()) :])
    for key in work.definition.keys:
        for part in key.parts:
            if key.kind == "CHECK":
                ask(f"{work.table.full_name}: the constraint CHECK", (Token("", "("), *part, Token("", ")")))
            elif key.kind not in NO_INDEX and part[0].text == "(":
                ask(f"{work.table.full_name}: the index {key.name} on", part)


# ---------------------------------------------------------------- types

_VECTORS: Mapping[Flavor, str] = {
    "mysql": "SELECT STRING_TO_VECTOR('[1]')",
    "mariadb": "SELECT VEC_FromText('[1]')",
}


def check_types(work: Translated) -> None:
    """Demand that the target knows the types."""
    for column in work.definition.columns:
        type_ = column.type.split("(")[0].lower()
        what = f"{work.named(column.name)}: the type {type_.upper()}"
        if type_ in ONLY_MARIADB and work.target == "mysql":
            work.refused.append(what)
        elif type_ in ONLY_MARIADB:
            work.demands.append((what, ONLY_MARIADB[type_]))
        elif type_ == "vector":
            work.demands.append((what, _VECTORS[work.target]))
        elif type_ == "decimal" and work.target == "mysql" and int(re.findall(r"\d+", column.type)[-1]) > 30:
            work.refused.append(f"{work.named(column.name)}: {column.type}, of which MySQL has 30 decimals")


def check_references(work: Translated) -> None:
    """Foreign keys to columns that are no unique key, which MySQL from 8.4 on accepts only with a setting."""
    if work.target != "mysql":
        return
    for key in work.definition.keys:
        parent, columns = parent_of(work, key)
        if parent is None or columns in {other.columns for other in parent.keys if other.kind in UNIQUE_KEYS}:
            continue
        what = (
            f"{work.table.full_name}: the foreign key {MYSQL.quote(key.name)} to columns of {MYSQL.quote(parent.name)}"
            " that are no unique key, for which the account must be able to switch restrict_fk_on_non_standard_key off"
        )
        off = "/*!80400 SET SESSION restrict_fk_on_non_standard_key = OFF */"
        work.demands.append((what, f"{off}; SELECT 1"))
        work.before.append(off)


def ask_for_keys(work: Translated) -> None:
    """Tables that are created without a primary key, which a setting of MySQL forbids."""
    if work.target == "mysql" and not any(key.kind == "PRIMARY KEY" for key in work.definition.keys):
        work.demands.append(
            (
                f"{work.table.full_name}: a table without a primary key, which sql_require_primary_key forbids",
                "SELECT 1 /*!80013 FROM DUAL WHERE @@sql_require_primary_key = 0 */"
                " /*!80030 OR @@sql_generate_invisible_primary_key = 1 */",
            )
        )


def find_sequences(work: Translated) -> None:
    """Find the sequences that defaults use."""
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
