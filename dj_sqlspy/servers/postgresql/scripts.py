"""Scripts: ``dump.sh`` and ``restore.sh`` for a PostgreSQL source.

In: the rows of each table, and the `Source`. Out: text. The fixed part of each script is a file in ``scripts/``; this
module inserts the lists of the slice. It runs no script, writes no file and knows no password.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence

from ...version import __version__
from ..dialect import LIST_BYTES
from ..shellwords import calls, client_part, filled, fixed_part, form, one_line
from ..source import Computed, Demand, Rows, Source
from ..tables import ForeignKey, Table
from .checksums import row_checksum
from .dialect import POSTGRESQL
from .transaction import BEGIN, SET, SETTINGS


def longest_condition(table: Table, contents: Mapping[str, str]) -> int:
    """The longest condition on a table that dump.sh can use, in bytes. It is no argument of a command."""
    return LIST_BYTES


def dump_script(
    rows: Sequence[Rows],
    source: Source,
    title: str,
    summary: str,
    key_tables: Iterable[tuple[str, str]] = (),
    mode: int = 0o600,
) -> str:
    """The text of ``dump.sh``; the arguments are those of MySQL's, but there are no tables of keys."""
    (structure,) = source.structures
    before = [
        f"SET {name} = {POSTGRESQL.string(SETTINGS[name])};"
        for name in (
            "client_encoding",
            "standard_conforming_strings",
            "datestyle",
            "intervalstyle",
            "xmloption",
        )
    ]
    before += ["SET timezone = 'UTC';", "SET check_function_bodies = off;", "SET search_path = '';"]
    before += [f"CREATE SCHEMA IF NOT EXISTS {POSTGRESQL.quote(schema)};" for schema in _schemas(source)]
    before += [one.sql for one in structure.created]
    parts = [*rows, *source.lineage]
    names = _named(parts)
    return _fill(
        "dump.sh",
        title=one_line(title),
        before=_lines(before),
        after=_lines(structure.finish),
        rows=calls(_row_words(part) for part in parts if part.conditions),
        definitions=calls((*names[name], digest) for name, digest in source.definitions.items()),
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
    (structure,) = source.structures
    names = _named(rows)
    return _fill(
        "restore.sh",
        title=one_line(title),
        tables=calls(
            (part.table.schema, part.table.name, str(part.rows)) for part in (*rows, *source.lineage)
        ),
        schemas=calls((schema,) for schema in _schemas(source)),
        views=calls((view.schema, view.name) for view in source.views),
        types=calls((one.schema, one.name) for one in structure.created if one.kind == "TYPE"),
        foreign_keys=calls((*names[fk.child], fk.name) for fk in foreign_keys),
        computed=calls((*names[one.table], one.column, one.checksum, str(one.total)) for one in computed),
        demands=calls(map(_asked, structure.demands)),
        other_values=calls(map(_asked, structure.other_values)),
        notes=calls((note,) for note in structure.notes),
        version_of_source=source.version,
        summary=summary,
    )


def _named(parts: Iterable[Rows]) -> dict[str, tuple[str, str]]:
    """Schema and name of tables, by full name."""
    return {part.table.full_name: (part.table.schema, part.table.name) for part in parts}


def _schemas(source: Source) -> list[str]:
    """Schemas of the tables, views and types."""
    own = [schema.name for schema in source.schemas]
    own += [one.schema for one in source.structures[0].created if one.kind == "TYPE"]
    return list(dict.fromkeys(own))


def _asked(demand: Demand) -> tuple[str, str]:
    return demand.what, demand.query


def _lines(texts: Iterable[str]) -> str:
    """Texts of several lines, a line of the script each. A line break in a name or a text stays one."""
    return calls((line,) for text in texts for line in text.split("\n"))


def _row_words(part: Rows) -> tuple[str, ...]:
    table, contents = part.table, part.contents
    columns = [column.name for column in table.columns if not column.generated]
    read = [
        f"{contents[name]} AS {POSTGRESQL.quote(name)}" if name in contents else POSTGRESQL.quote(name)
        for name in columns
    ]
    checksum = ("0", "0") if part.checksum is None else (row_checksum(table, contents), str(part.checksum))
    # a row without a key is ordered by all columns as text, since not every type has an order
    order = POSTGRESQL.columns(table.primary_key) if table.primary_key else _all_as_text(columns)
    names = POSTGRESQL.columns(columns)
    return (
        table.schema,
        table.name,
        str(part.rows),
        *checksum,
        ", ".join(read),
        names,
        order,
        *part.conditions,
    )


def _all_as_text(columns: Sequence[str]) -> str:
    return f'ROW({POSTGRESQL.columns(columns)})::pg_catalog.text COLLATE "C"'


def _fixed() -> dict[str, str]:
    """What every script has alike."""
    return {
        "client": client_part(__package__),
        "definitions_sql": fixed_part(__package__, "definitions.sql").rstrip("\n"),
        "begin": f"{BEGIN}\n{SET}",
        "settings": SET,
    }


def _fill(script: str, **values: str) -> str:
    return filled(fixed_part(__package__, script), {**values, **_fixed(), "version": __version__})


# ---- scripts from an untrusted source --------------------------------------------------------------------------

# Patterns for the values of each ``@word@`` that is no list of quoted words.
_HOLES = {
    "title": ".*",
    "mode": "6(?:00|40|44)",
    "summary": r"[\w ,.]*",
    "version": r"[\w.+-]*",
    "version_of_source": r"[\w.:+~() -]*",
}


def is_own(script: str, text: str) -> bool:
    """Whether `dump_script` or `restore_script` of this version can have written a text.

    If so, only the package's fixed part runs, and its gaps contain only words and SQL.
    """
    return _form(script).fullmatch(text) is not None


@functools.cache
def _form(script: str) -> re.Pattern[str]:
    holes = _HOLES | {name: re.escape(text) for name, text in _fixed().items()}
    return form(fixed_part(__package__, script), holes)
