"""Scripts: ``dump.sh`` and ``restore.sh`` for a MySQL or MariaDB source.

In: the rows of each table, and the `Source`. Out: text. The fixed part of each script is a file in ``scripts/``; this
module inserts the lists of the slice. It runs no script, writes no file and knows no password.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from ...version import __version__
from ..columns import FLOAT_TYPES, Column
from ..shellwords import CALLS, calls, client_part, filled, fixed_part, form, one_line
from ..source import Computed, Demand, Rows, Schema, Source, Structure, Thing
from ..tables import ForeignKey, Table, orphans
from .checksums import row_checksum
from .collations import NAMES
from .dialect import MYSQL

# Linux refuses a single argument longer than 128 KiB.
LONGEST_ARGUMENT = 128 * 1024 - 1


def longest_condition(table: Table, contents: Mapping[str, str]) -> int:
    """The longest condition on a table that dump.sh can use, in bytes."""
    # the text that dump_rows in dump.sh adds to a condition, with a margin: each name counts once more than needed
    floats = frozenset(column.name for column in table.columns if column.data_type in FLOAT_TYPES)
    columns = _columns(Rows(table, 0, (), contents, negative_zeros=floats))
    words = f"{table.full_name}{columns}{_key(table)}"
    around = len(words.encode()) + 256
    return LONGEST_ARGUMENT - around


def dump_script(
    rows: Sequence[Rows],
    source: Source,
    title: str,
    summary: str,
    key_tables: Iterable[tuple[str, str]] = (),
    mode: int = 0o600,
) -> str:
    """The text of ``dump.sh``.

    Parameters
    ----------
    rows : sequence of Rows
        For all base tables of the slice. Some may have no rows.
    source : Source
    title, summary : str
        What is dumped, and how much, in words.
    key_tables : iterable of (table, table of its keys), optional
        Tables of keys that replace long restrictions.
    mode : int
        Permissions of the dump.
    """
    dumped = _together([part for part in (*rows, *source.lineage) if part.conditions])
    columns = [column for part in rows for column in part.table.columns]
    has_generated = any(column.generated for column in columns)
    has_vectors = any(column.data_type == "vector" for column in columns)
    return _fill(
        "dump.sh",
        title=one_line(title),
        structure=_structure_text(source.structures[0], source.schemas),
        rows=calls(_row_words(part) for part in dumped),
        sums=calls(_sum_words(part) for part in dumped),
        generated="yes" if has_generated else "",
        vectors="yes" if has_vectors else "",
        scratch="".join(
            f"\n# The keys of {one_line(table)} are in {one_line(name)}, which can be dropped afterwards."
            for table, name in key_tables
        ),
        tables=str(len(dumped)),
        total=str(max(1, sum(part.rows for part in dumped))),
        summary=summary,
        mode=f"{mode:o}",
    )


def restore_script(
    rows: Sequence[Rows],
    source: Source,
    foreign_keys: Iterable[ForeignKey],
    title: str,
    summary: str,
    computed: Sequence[Computed] = (),
) -> str:
    """The text of ``restore.sh``; the arguments are those of `dump_script`, and the sums of generated columns."""
    counts = [(part.table.schema, part.table.name, str(part.rows)) for part in (*rows, *source.lineage)]
    own, other = source.structures
    return _fill(
        "restore.sh",
        title=one_line(title),
        tables=calls(counts),
        schemas=calls((schema.name,) for schema in source.schemas),
        views=calls((one.schema, one.name) for one in own.created if one.kind in ("VIEW", "SEQUENCE")),
        functions=calls((one.schema, one.name, one.traits) for one in own.created if one.kind == "FUNCTION"),
        needs=calls([_named(one.thing), *map(_named, one.needs)] for one in own.created if one.needs),
        foreign_keys=calls((fk.child, fk.name, fk.parent, orphans(fk, MYSQL)) for fk in foreign_keys),
        computed=calls(
            [
                table,
                *(
                    word
                    for one in columns
                    for word in (MYSQL.quote(one.column), one.checksum, str(one.total))
                ),
            ]
            for table, columns in itertools.groupby(computed, lambda one: one.table)
        ),
        source=NAMES[source.flavor],
        other=NAMES[other.flavor],
        version_of_source=source.version,
        demands="\n\n".join(_demands(structure) for structure in source.structures),
        structure="" if other.refused else _structure_text(other, source.schemas),
        finish="" if other.refused else _finish_text(other),
        summary=summary,
    )


def _demands(structure: Structure) -> str:
    """Shell functions with what servers of a flavor must support, and what is changed for them."""
    name = NAMES[structure.flavor]
    asked = [*map(Demand, structure.refused), *structure.demands]
    demands = [[what, query, *([_named(of)] if of else [])] for what, query, of in asked]
    collations = [words for words in structure.collations if len(words) > 1]
    parts = {
        f"demands_of_{name}": calls(demands),
        f"values_of_{name}": calls((what, query) for what, query, _ in structure.other_values),
        f"collations_of_{name}": calls(collations),
        f"notes_of_{name}": calls((note,) for note in structure.notes),
    }
    return "\n".join(f"{function}() {{\n{calls}\n}}" for function, calls in parts.items())


def _structure_text(structure: Structure, schemas: Iterable[Schema]) -> str:
    """Statements that create the parts of a structure, each between comments with its name."""
    known = {words[0] for words in structure.collations if len(words) > 1}
    lines = [
        "SET NAMES utf8mb4;",
        "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', FOREIGN_KEY_CHECKS = 0;",
    ]
    for schema in schemas:
        text = f" DEFAULT CHARACTER SET {schema.charset} DEFAULT COLLATE {schema.collation}"
        name = MYSQL.quote(schema.name)
        lines.append(f"CREATE DATABASE IF NOT EXISTS {name}{text if schema.collation in known else ''};")
    for one in structure.created:
        thing = _named(one.thing)
        sql = f"DELIMITER ;;\n{one.sql};;\nDELIMITER ;" if one.kind == "FUNCTION" else f"{one.sql};"
        before = [f"{setting};" for setting in one.before]
        lines += [f"-- begin {thing}", f"USE {MYSQL.quote(one.schema)};", *before, sql, f"-- made {thing}"]
    return "\n".join(lines)


def _named(thing: Thing) -> str:
    """The name of what is created, as it stands in the comments before and after that."""
    return MYSQL.string(f"{thing.kind} {MYSQL.full_name(thing.schema, thing.name)}")


def _finish_text(structure: Structure) -> str:
    settings = "SET SESSION sql_mode = '', FOREIGN_KEY_CHECKS = 0;"
    return "\n".join([settings, *(f"{sql};" for sql in structure.finish)]) if structure.finish else ""


def _together(parts: Sequence[Rows]) -> list[Rows]:
    """Tables of a schema with the same condition next to each other, since one mysqldump can read them."""
    same: dict[tuple[str, tuple[str, ...]], list[Rows]] = {}
    for part in parts:
        same.setdefault((part.table.schema, part.conditions), []).append(part)
    return [part for each in same.values() for part in each]


def _row_words(part: Rows) -> tuple[str, ...]:
    table = part.table
    columns = _columns(part)
    order = "" if columns == "*" and table.primary_key else _key(table)
    return (table.schema, table.name, str(part.rows), columns, order, *part.conditions)


def _sum_words(part: Rows) -> tuple[str, str]:
    if part.checksum is None:
        return "0", "0"
    return row_checksum(part.table, part.contents), str(part.checksum)


def _columns(part: Rows) -> str:
    """The select list: ``*``, or every column by name, with FLOAT as DOUBLE and excluded contents replaced.

    Both servers print a FLOAT with six significant digits, so 16777216 would become 16777200. Multiplied by a double 1
    it is exactly the same number, printed with all digits. MySQL's mysqldump writes a negative zero as the integer -0,
    which is loaded as 0. As JSON, a column with one is written as text, with all digits and the sign. In a UNION,
    MariaDB turns a time that is none (30 February) into zero, but not its text. Names with a backtick are written out
    because mydumper does not quote them, and tables with a VECTOR because it does not know that type.
    """
    columns, contents = part.table.columns, part.contents
    plain = not contents and not part.negative_zeros
    if plain and not any(c.data_type in ("float", "vector") or "`" in c.name for c in columns):
        return "*"
    return ", ".join(_selected(column, part) for column in columns)


def _selected(column: Column, part: Rows) -> str:
    value = part.contents.get(column.name, MYSQL.quote(column.name))
    value += " * 1e0" if column.data_type == "float" else ""
    if column.data_type in ("date", "datetime"):
        return f"CAST({value} AS CHAR)"
    return f"CAST(CAST({value} AS JSON) AS CHAR)" if column.name in part.negative_zeros else value


def _key(table: Table) -> str:
    return MYSQL.columns(table.key)


def _fill(script: str, **values: str) -> str:
    return filled(fixed_part(__package__, script), {**values, **_fixed(), "version": __version__})


def _fixed() -> dict[str, str]:
    """What every script has alike."""
    return {"client": client_part(__package__), "mydumper": fixed_part(__package__, "mydumper.sh")}


# ---- scripts from an untrusted source --------------------------------------------------------------------------

_LISTS = r"\w+_of_(?:MySQL|MariaDB)\(\) \{\n" + CALLS + r"\n\}"


def _lines_before(end: str) -> str:
    """A pattern of lines before the line ``end``."""
    return rf"(?!{re.escape(end)}\n).*(?:\n(?!{re.escape(end)}\n).*)*"


# Patterns for the values of each ``@word@`` that is no list of quoted words: SQL that is only printed, or plain text.
_HOLES = {
    "title": ".*",
    "mode": "6(?:00|40|44)",
    "structure": _lines_before("-- Rows."),
    "finish": _lines_before("-- Finished."),
    "demands": rf"{_LISTS}(?:\n+{_LISTS})*",
    "source": "(?:MySQL|MariaDB)",
    "other": "(?:MySQL|MariaDB)",
    "generated": "(?:yes)?",
    "vectors": "(?:yes)?",
    "scratch": r"(?:\n#.*)*",
    "total": r"\d+",
    "summary": r"[\w ,.]*",
    "version": r"[\w.+-]*",
    "version_of_source": r"[\w.:+~ -]*",
}


def is_own(script: str, text: str) -> bool:
    """Whether `dump_script` or `restore_script` of this version can have written a text.

    If so, only the package's fixed part runs, and its gaps contain only words and SQL.

    Parameters
    ----------
    script : str
        ``dump.sh`` or ``restore.sh``.
    text : str
    """
    return _form(script).fullmatch(text) is not None


@functools.cache
def _form(script: str) -> re.Pattern[str]:
    holes = _HOLES | {name: re.escape(text) for name, text in _fixed().items()}
    if script == "dump.sh":
        holes["tables"] = r"\d+"
    return form(fixed_part(__package__, script), holes)
