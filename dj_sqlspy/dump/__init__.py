"""Dump: a slice becomes the text of two shell scripts, ``dump.sh`` and ``restore.sh``.

In: a `Slice`, and a connection to its source for what is not in the slice itself (character sets of the
schemas, definitions of views, rows of DataJoint's ``~lineage``). Out: text. The fixed part of the scripts
stands in ``scripts/`` as one would read it; here the lists of the slice are written into it. Nothing here
runs a script, writes a file or knows a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..catalog import ForeignKey, Table
from ..errors import BundleError
from ..sql import columns as column_list
from ..sql import full_name, quote, split_full_name, string_literal
from .generated import Generated, generated_columns

if TYPE_CHECKING:
    from ..slices import Slice
    from .scratch import KeyTable

# Linux refuses a single argument of more than 128 KiB, wherever the limit of all arguments together is.
LONGEST_ARGUMENT = 128 * 1024 - 1

# DataJoint 2.x describes a schema's tables in this one: its structure, and the rows about exported tables.
LINEAGE_TABLE = "~lineage"

# What is noted of the session that the statements are replayed in.
SETTINGS = (
    "sql_mode",
    "time_zone",
    "system_time_zone",
    "character_set_server",
    "collation_connection",
    "group_concat_max_len",
    "lower_case_table_names",
)

# Types of columns that MariaDB has and MySQL does not.
ONLY_MARIADB = frozenset({"uuid", "inet4", "inet6", "xmltype"})


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as the source has it."""

    name: str
    charset: str
    collation: str


@dataclass(frozen=True, slots=True)
class View:
    """A view that a statement names; ``collation`` is that of the literals in its definition."""

    schema: str
    name: str
    collation: str
    definition: str

    @property
    def full_name(self) -> str:
        return full_name(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table that are dumped: ``conditions`` are disjoint and select ``rows`` rows together.

    ``contents`` is SQL that is selected in the place of a column, by its name.
    """

    table: Table
    rows: int
    conditions: tuple[str, ...]
    contents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """What the scripts need to know of the source beside the slice.

    Attributes
    ----------
    flavor : "mysql" or "mariadb"
    version : str
        As ``SELECT VERSION()`` says.
    schemas : tuple of Schema
        Those of the tables of the slice.
    lineage : tuple of Rows
        Rows of ``~lineage`` tables that are about tables of the slice.
    views : tuple of View
        Views that statements name, a view after those that it reads.
    left_out : tuple of str
        Views that statements name, but which read a table that is not in the slice.
    collations : tuple of str
        All that columns, tables and schemas of the slice have.
    generated : tuple of Generated
        Generated columns of MariaDB that MySQL can be given.
    """

    flavor: str
    version: str
    schemas: tuple[Schema, ...]
    lineage: tuple[Rows, ...] = ()
    views: tuple[View, ...] = ()
    left_out: tuple[str, ...] = ()
    collations: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    generated: tuple[Generated, ...] = ()


def read_source(connection: Any, cut: Slice) -> Source:
    """Read what the scripts need to know of the source.

    Parameters
    ----------
    connection : pymysql connection to the source
    cut : Slice

    Raises
    ------
    BundleError
        If a table of the slice refers to one that is not in it, or a view's definition cannot be read.
    """
    for name, entry in cut.tables.items():
        for fk in cut.catalog.parents(name):
            if fk.parent not in cut.tables and not fk.virtual and not entry.table.is_view:
                raise BundleError(
                    f"Writing the slice: {name} refers to {fk.parent} (`{fk.name}`), which is not in it."
                )
    names = sorted({entry.table.schema for entry in cut.tables.values() if not entry.table.is_view})
    if not names:
        raise BundleError("Writing the slice: it holds no table, so there is nothing to dump.")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT VERSION(), {', '.join(f'@@{name}' for name in SETTINGS)}")
        version, *settings = map(str, cursor.fetchone())
        marks = ", ".join(["%s"] * len(names))
        cursor.execute(
            "SELECT schema_name, default_character_set_name, default_collation_name"
            f" FROM information_schema.schemata WHERE schema_name IN ({marks}) ORDER BY 1",
            names,
        )
        schemas = tuple(Schema(*map(str, row)) for row in cursor.fetchall())
        lineage = _lineage_rows(cursor, cut, names)
        tables = [entry.table for entry in cut.tables.values()] + [rows.table for rows in lineage]
        cursor.execute(
            "SELECT table_schema, table_name, table_collation FROM information_schema.tables"
            f" WHERE table_schema IN ({marks}) AND table_collation IS NOT NULL",
            names,
        )
        held = {table.full_name for table in tables}
        collations = {str(c) for schema, table, c in cursor.fetchall() if full_name(schema, table) in held}
        collations |= {column.collation for table in tables for column in table.columns if column.collation}
        collations |= {schema.collation for schema in schemas}
        views, left_out = _views(cursor, cut)
        flavor = "mariadb" if "mariadb" in version.lower() else "mysql"
        generated = generated_columns(cursor, cut.tables.values()) if flavor == "mariadb" else ()
    collations |= {view.collation for view in views}
    return Source(
        flavor,
        version,
        schemas,
        lineage,
        views,
        left_out,
        tuple(sorted(collations)),
        dict(zip(SETTINGS, settings, strict=True)),
        generated,
    )


def dump_script(
    cut: Slice,
    source: Source,
    title: str,
    contents: Mapping[str, Mapping[str, str]] | None = None,
    keys: Sequence[KeyTable] = (),
) -> str:
    """The text of ``dump.sh``.

    Parameters
    ----------
    cut : Slice
    source : Source
    title : str
        In words what is dumped.
    contents : mapping, optional
        By full table name and column, SQL to select in the place of the column (see `exclude`).
    keys : sequence of KeyTable, optional
        Tables of keys that long restrictions were written into (see `scratch`).

    Raises
    ------
    BundleError
        If rows of a table cannot be told by conditions that fit into a command.
    """
    base = [entry for entry in cut.tables.values() if not entry.table.is_view]
    short = {one.table: one.condition for one in keys}
    parts = []
    for entry in base:
        instead = (contents or {}).get(entry.name, {})
        longest = _longest_condition(entry.table, instead)
        conditions = [short[entry.name]] if entry.name in short else entry.conditions(longest)
        parts.append(Rows(entry.table, entry.rows, tuple(conditions), instead))
    for part in parts:
        longest = _longest_condition(part.table, part.contents)
        too_long = [c for c in part.conditions if len(c.encode()) > longest]
        if too_long or bool(part.rows) != bool(part.conditions):
            raise BundleError(
                f"Writing dump.sh: the conditions for the {part.rows} rows of {part.table.full_name} cannot"
                f" be used ({len(part.conditions)} conditions, {len(too_long)} too long for one command)."
            )
    tables_by_schema: dict[str, list[str]] = {}
    for table in [*(part.table for part in parts), *(part.table for part in source.lineage)]:
        tables_by_schema.setdefault(table.schema, []).append(table.name)
    dumped = [part for part in (*parts, *source.lineage) if part.conditions]
    has_generated = any(column.generated for part in parts for column in part.table.columns)
    return _fill(
        "dump.sh",
        title=_one_line(title),
        schemas=_calls((schema.name, schema.charset, schema.collation) for schema in source.schemas),
        structure=_calls((schema, *names) for schema, names in tables_by_schema.items()),
        rows=_calls(_row_words(part) for part in dumped),
        views=_calls((view.schema, view.name, view.collation, view.definition) for view in source.views),
        generated="yes" if has_generated else "",
        scratch="".join(
            f"\n# The keys of {_one_line(one.table)} are in {_one_line(one.name)}, which can be dropped afterwards."
            for one in keys
        ),
        tables=str(len(dumped)),
        total=str(max(1, sum(part.rows for part in dumped))),
        summary=summary(cut),
    )


def restore_script(cut: Slice, source: Source, title: str) -> str:
    """The text of ``restore.sh``; ``title`` says in words what is loaded."""
    base = [entry for entry in cut.tables.values() if not entry.table.is_view]
    counts = [(entry.table.schema, entry.table.name, str(entry.rows)) for entry in base]
    counts += [(part.table.schema, part.table.name, str(part.rows)) for part in source.lineage]
    bridged = {(full_name(one.schema, one.table), one.column) for one in source.generated}
    only_mariadb = [
        f"{entry.name} {column.name} ({'generated' if column.generated else column.data_type})"
        for entry in base
        for column in entry.table.columns
        if column.data_type in ONLY_MARIADB
        or (column.generated and entry.rows and (entry.name, column.name) not in bridged)
    ]
    return _fill(
        "restore.sh",
        title=_one_line(title),
        tables=_calls(counts),
        views=_calls((view.schema, view.name) for view in source.views),
        foreign_keys=_calls((fk.child, fk.name, fk.parent, orphans(fk)) for fk in foreign_keys(cut)),
        collations=" ".join(source.collations),
        generated=_calls((g.schema, g.table, g.column, g.change, g.probe) for g in source.generated),
        only_mariadb=_shell_word(", ".join(only_mariadb) if source.flavor == "mariadb" else ""),
        summary=summary(cut),
    )


def foreign_keys(cut: Slice) -> list[ForeignKey]:
    """The foreign keys of the tables of the slice, without those that only configuration declares."""
    return [fk for name in cut.tables for fk in cut.catalog.parents(name) if not fk.virtual]


def orphans(fk: ForeignKey) -> str:
    """The rows that have no parent, as FROM and WHERE of a SELECT.

    A row with a NULL in one of the columns refers to nothing (MATCH SIMPLE, the only kind on both servers).

    >>> orphans(ForeignKey("f", "`s`.`b`", ("x",), "`s`.`a`", ("y",)))
    '`s`.`b` AS c LEFT JOIN `s`.`a` AS p ON p.`y` = c.`x` WHERE c.`x` IS NOT NULL AND p.`y` IS NULL'
    """
    pairs = list(zip(fk.columns, fk.parent_columns, strict=True))
    on = " AND ".join(f"p.{quote(parent)} = c.{quote(child)}" for child, parent in pairs)
    refers = " AND ".join(f"c.{quote(child)} IS NOT NULL" for child, _ in pairs)
    missing = f"p.{quote(fk.parent_columns[0])} IS NULL"
    return f"{fk.child} AS c LEFT JOIN {fk.parent} AS p ON {on} WHERE {refers} AND {missing}"


def summary(cut: Slice) -> str:
    """The size of a slice in words."""
    rows = sum(entry.rows for entry in cut.tables.values())
    return f"{len(cut.tables):,} tables, {rows:,} rows"


def _longest_condition(table: Table, contents: Mapping[str, str]) -> int:
    # what dump_rows in dump.sh puts around a condition, with each name written once more than it is
    words = f"{full_name(table.schema, table.name)}{_columns(table, contents)}{_key(table)}"
    around = len(words.encode()) + 256
    return LONGEST_ARGUMENT - around


def _row_words(part: Rows) -> tuple[str, ...]:
    table = part.table
    columns = _columns(table, part.contents)
    return (table.schema, table.name, str(part.rows), columns, _key(table), *part.conditions)


def _columns(table: Table, contents: Mapping[str, str]) -> str:
    """What to select: all, or every column by name, with FLOAT as DOUBLE and excluded contents replaced.

    Both servers print a FLOAT with six significant digits, so that 16777216 would come back as 16777200.
    Times a double 1 it is exactly the same number, and is printed with as many digits as it needs.
    Names with a backtick are written out since mydumper does not quote them.
    """
    if not contents and not any(c.data_type == "float" or "`" in c.name for c in table.columns):
        return "*"
    return ", ".join(
        contents.get(column.name, quote(column.name)) + (" * 1e0" if column.data_type == "float" else "")
        for column in table.columns
    )


def _key(table: Table) -> str:
    return column_list(table.key)


def _lineage_rows(cursor: Any, cut: Slice, schemas: Sequence[str]) -> tuple[Rows, ...]:
    out = []
    for schema in schemas:
        table = cut.catalog.tables.get(full_name(schema, LINEAGE_TABLE))
        if table is None or table.full_name in cut.tables:
            continue
        names = sorted(entry.table.name for entry in cut.tables.values() if entry.table.schema == schema)
        batches = [names[i : i + 500] for i in range(0, len(names), 500)]
        conditions = [f"`table_name` IN ({', '.join(map(string_literal, batch))})" for batch in batches]
        rows = []
        for condition in conditions:
            cursor.execute(f"SELECT COUNT(*) FROM {table.full_name} WHERE {condition}")
            rows.append(int(cursor.fetchone()[0]))
        kept = tuple(condition for condition, count in zip(conditions, rows, strict=True) if count)
        out.append(Rows(table, sum(rows), kept))
    return tuple(out)


def _views(cursor: Any, cut: Slice) -> tuple[tuple[View, ...], tuple[str, ...]]:
    """The views that statements name, directly or through another view, in the order to create them."""
    known = {name: table.view_sql for name, table in cut.catalog.tables.items() if table.view_sql is not None}
    if not known:
        return (), ()
    patterns = {name: _mention(name) for name in cut.catalog.tables}
    texts = [report.sql for report in cut.statements]
    views: dict[str, View] = {}
    left_out: list[str] = []

    def add(name: str) -> bool:
        if name in views:
            return True
        definition = known[name] or ""
        used = [other for other, pattern in patterns.items() if other != name and pattern.search(definition)]
        whole = all(add(other) if other in known else other in cut.tables for other in used)
        if not definition or not whole:
            left_out.append(name)
            return False
        schema, view = split_full_name(name)
        cursor.execute(
            "SELECT collation_connection FROM information_schema.views"
            " WHERE table_schema = %s AND table_name = %s",
            (schema, view),
        )
        views[name] = View(schema, view, str(cursor.fetchone()[0]), definition)
        return True

    for name in known:
        if any(patterns[name].search(text) for text in texts):
            add(name)
    return tuple(views.values()), tuple(dict.fromkeys(left_out))


def _mention(name: str) -> re.Pattern[str]:
    """Matches a table's name in SQL, quoted or not; one too many does no harm, since a view holds no row."""
    schema, table = split_full_name(name)
    one, other = re.escape(schema), re.escape(table)
    return re.compile(rf"(?<![\w`])(?:`{one}`|{one})\s*\.\s*(?:`{other}`|{other}(?!\w))", re.IGNORECASE)


def _calls(lines: Iterable[Sequence[str]]) -> str:
    """Lines of a shell function that calls its arguments with each list of words.

    >>> print(_calls([("lab", "#species"), ("lab", "session")]))
        "$@" 'lab' '#species'
        "$@" 'lab' 'session'
    """
    out = ['    "$@" ' + " ".join(map(_shell_word, words)) for words in lines]
    return "\n".join(out) or "    :"


def _shell_word(text: str) -> str:
    r"""A word that bash reads as it is, on one line.

    >>> print(_shell_word("`a` = $HOME"), _shell_word("it's\n"))
    '`a` = $HOME' $'it\'s\n'
    """
    if "'" not in text and text.isprintable():
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return "$'" + re.sub("[\x01-\x1f\x7f]", lambda match: f"\\{ord(match[0]):03o}", escaped) + "'"


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _fill(script: str, **values: str) -> str:
    """The script with its ``@words@`` replaced, in one pass: what is put in is not looked at again."""
    folder = resources.files(__package__).joinpath("scripts")
    text = folder.joinpath(script).read_text(encoding="utf-8")
    for part in ("client", "mydumper"):
        values[part] = folder.joinpath(f"{part}.sh").read_text(encoding="utf-8")
    values["version"] = __version__
    return re.sub(r"@([a-z_]+)@", lambda match: values[match[1]], text)
