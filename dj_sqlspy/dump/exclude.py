"""Exclude: columns whose contents stay at the lab, although their rows are in the slice.

In: names of columns, some with a value; a `Slice`; a connection to its source. Out: for each column, the SQL that
``dump.sh`` selects instead of its contents (NULL, the default, or the value), and the captured statements whose result
depends on the contents. Such a statement cannot be replayed. Its text can contain what is left out (``WHERE name =
'Ada'``), so the bundle has it without its values. Other statements can contain it too (``'Ada'`` as the value of
another column, or an alias): the source is asked which, and they are named. Columns of keys are refused. The rows of
the slice stay the same.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..cascade.leaves import StatementReport
from ..display import count, numbers_text
from ..errors import LineageError, SliceError
from ..external.file import File
from ..lineage import analyse
from ..lineage.columns import columns_read
from ..lineage.tree import Query
from ..names import find_table, shown_column
from ..rules import EXCLUDED, LEFT_OUT, WITHHELD
from ..servers import backend_of
from ..servers.backend import Backend
from ..servers.columns import Column
from ..servers.dialect import LIST_BYTES
from ..servers.expressions import Unsupported
from ..servers.snapshot import Refused
from ..servers.syntaxes import syntax_of
from ..servers.tables import Table
from ..shapes import lift, without_literals
from ..slices import Slice

_NAME = re.compile(
    r"(?P<table>.+)\.(?:`(?P<quoted>(?:[^`]|``)+)`|\"(?P<double>(?:[^\"]|\"\")+)\"|(?P<plain>[^`\".]+))",
    re.DOTALL,
)
_ALL_COLUMNS = re.compile(r"(?<!\()\s*\*|\bnatural\b", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Excluded:
    """A column without its contents.

    Attributes
    ----------
    table, column : str
        Full table name; name of the column.
    value : str
        SQL for what each row has in its place: ``NULL``, the default, or a value.
    statements : tuple of int
        Numbers of the captured statements whose result depends on the contents.
    held : tuple of int
        Numbers of the others that hold one of the contents as a value, an alias or a comment.
    words : frozenset of str
        Contents that statements hold, in lower case. They are written nowhere.
    """

    table: str
    column: str
    value: str
    statements: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    words: frozenset[str] = frozenset()


def exclude(
    cut: Slice, names: Iterable[str], connection: Any, values: Mapping[str, Any] | None = None
) -> tuple[Excluded, ...]:
    """What to put in the place of the contents of columns.

    Parameters
    ----------
    cut : Slice
    names : iterable of str
        ```schema`.`table`.column``, also ``schema.table.column`` or ``schema.ClassName.column``. ``*.column`` is that
        column of every table that has it, and ``*._job_*`` each one whose name starts so.
    connection : connection of the driver
        To the source.
    values : mapping, optional
        By name of another column, the value that stands in the place of its contents in each row: a text as the server
        takes it, a number, a date; bytes, a UUID, or a text such as ``0x00ff`` for a column of bytes.

    Raises
    ------
    SliceError
        If there is no such column, the structure does not allow to leave out its contents, or the column cannot hold
        the value.
    """
    found: dict[tuple[str, str], Excluded] = {}
    named = [("Excluding", name, None) for name in names]
    named += [("Replacing", name, value) for name, value in (values or {}).items()]
    for doing, name, given in named:
        replacing = doing == "Replacing"
        for table, column in find_columns(cut, name, doing):
            key = table.full_name, column.name
            try:
                if replacing and key in found:
                    raise SliceError("it is named twice")
                if refused := _why_not(cut, table, column, connection, replacing):
                    raise SliceError(refused)
                value = _given(column, given, connection) if replacing else _default(column, connection)
            except SliceError as error:
                where = f"{table.full_name}.{table.dialect.quote(column.name)}"
                raise SliceError(f"{doing} {where}: {error}.") from error
            found[key] = Excluded(*key, value)
    _require_checks(cut, found.values(), connection)
    readers = _readers(cut, found)
    read = [replace(one, statements=tuple(readers[key])) for key, one in found.items()]
    return with_words(cut, read, connection)


def note(manifest: dict[str, Any], excluded: Sequence[Excluded], withhold: bool, backend: Backend) -> None:
    """Add the columns to a manifest, and mark the statements that depend on them; these lose their values.

    Parameters
    ----------
    manifest : dict
    excluded : sequence of Excluded
    withhold : bool
        Whether statements that need rows outside of bounds, or hold contents of a column, lose their values too.
    backend : Backend
        Of the source.
    """
    manifest["excluded"] = [
        {
            "table": one.table,
            "column": one.column,
            "value": one.value,
            "statements": list(one.statements),
            "held": [] if withhold else list(one.held),
        }
        for one in excluded
    ]
    readers = {number for one in excluded for number in one.statements}
    holders = {number for one in excluded for number in one.held}
    words = frozenset().union(*(one.words for one in excluded))
    for entry in manifest["statements"]:
        if entry["number"] in readers:
            mark = EXCLUDED
        elif withhold and (entry["number"] in holders or LEFT_OUT in entry["marks"]):
            mark = WITHHELD
        else:
            continue
        without_values(entry, words, backend)
        entry["marks"] = sorted({*entry["marks"], mark})


def without_values(entry: dict[str, Any], words: frozenset[str], backend: Backend) -> None:
    """Take the values out of a manifest's statement, and these words (in lower case) out of its names."""
    sql = backend.without_names(entry["sql"], words) if words else entry["sql"]
    entry["sql"] = without_literals(sql, entry.get("state", ()), backend.dialect.literals)
    for told in ("captured", "state", "digest"):
        entry.pop(told, None)
    if entry["fallback"]:
        entry["fallback"] = "it could not be analysed (the reason may quote a value, and is left out)"
    if "unsent" in entry:
        entry["unsent"] = "the reason may quote a value, and is left out"


def contents(manifest: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By table and column, the SQL that stands in the place of the contents."""
    return _by_table((one["table"], one["column"], one["value"]) for one in manifest.get("excluded", ()))


def _by_table(places: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    out: dict[str, dict[str, str]] = {}
    for table, column, value in places:
        out.setdefault(table, {})[column] = value
    return out


def needed_files(files: Iterable[File], excluded: Sequence[Excluded]) -> list[File]:
    """The files that rows need also without the contents of these columns."""
    left_out = {(one.table, one.column) for one in excluded}
    kept = []
    for file in files:
        rows = tuple(row for row in file.needed_by if (row.table, row.column) not in left_out)
        if rows:
            kept.append(replace(file, needed_by=rows))
    return kept


# ---------------------------------------------------------------- which column, and whether it can be


def find_columns(cut: Slice, name: str, doing: str) -> list[tuple[Table, Column]]:
    """The columns that a name means; ``doing`` is for the message of an error."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise SliceError(f"{doing} {name!r}: name a column as `schema`.`table`.column.")
    wanted = (
        match["plain"] or (match["quoted"] or "").replace("``", "`") or match["double"].replace('""', '"')
    ).lower()
    if match["table"] == "*":
        tables = [entry.table for entry in cut.tables.values() if not entry.table.is_view]
        found = [
            (table, column)
            for table in tables
            for column in table.columns
            if column.name.lower() == wanted
            or (wanted.endswith("*") and column.name.lower().startswith(wanted[:-1]))
        ]
        if not found:
            raise SliceError(f"{doing} {name!r}: no table of the slice has such a column.")
        for table in tables:
            _require_apart(table, [column for one, column in found if one is table], f"{doing} {name!r}")
        return found
    table = cut.tables[find_table(cut.tables, match["table"])].table
    column = table.by_name.get(wanted)
    if column is None:
        known = ", ".join(one.name for one in table.columns)
        raise SliceError(f"{doing} {name!r}: {table.full_name} has no column {wanted!r}; it has {known}.")
    _require_apart(table, [column], f"{doing} {name!r}")
    return [(table, column)]


def _require_apart(table: Table, columns: Iterable[Column], doing: str) -> None:
    for column in columns:
        if refused := not_apart(table, column.name):
            raise SliceError(f"{doing}: {refused}.")


def not_apart(table: Table, name: str) -> str:
    """Why a column cannot be told by its name, or "": only PostgreSQL tells upper and lower case apart."""
    if sum(other.name.lower() == name.lower() for other in table.columns) == 1:
        return ""
    return (
        f"{table.full_name} has columns whose names differ in upper and lower case only ({name}), and they cannot be"
        " told apart here. Rename one in the database"
    )


def _why_not(cut: Slice, table: Table, column: Column, connection: Any, replacing: bool) -> str:
    """Why the contents of a column cannot be left out; "" if they can."""
    name, quote = column.name.lower(), table.dialect.quote
    if table.is_view:
        return "it is a column of a view, which holds no rows; exclude the column of the table behind it"
    if table.name.startswith("~"):
        return "the table is DataJoint's own, which finds rows and files by it"
    if not table.primary_key:
        return "the table has no primary key, so that its rows are named by all of their columns"
    if name in (one.lower() for one in table.primary_key):
        return "it is part of the primary key"
    if column.generated:
        return "it is generated from other columns; exclude those"
    for fk in cut.catalog.foreign_keys:
        if (fk.child == table.full_name and name in map(str.lower, fk.columns)) or (
            fk.parent == table.full_name and name in map(str.lower, fk.parent_columns)
        ):
            return f"it is part of the foreign key {quote(fk.name)} of {fk.child} to {fk.parent}"
    for index, on in backend_of(connection).unique_columns(connection, table):
        if name == on.lower() or quote(name) in on.lower():
            if replacing and cut.tables[table.full_name].rows <= 1:
                continue
            more = ", so that no two rows can have one value" if replacing else ""
            return f"it is part of the unique key {quote(index)}{more}"
    for other in table.columns:
        if generated_from(table, other, name):
            return f"the column {quote(other.name)} is generated from it"
    return ""


def generated_from(table: Table, column: Column, name: str) -> bool:
    """Whether a column is generated from another one of its table."""
    if not column.generation:
        return False
    syntax = syntax_of(table.dialect)
    try:
        tokens = syntax.tokens_of(column.generation)
    except Unsupported:
        return True
    return any(syntax.name_of(token).lower() == name.lower() for token in tokens)


def _given(column: Column, value: Any, connection: Any) -> str:
    """SQL for a value, as the column holds it."""
    if value is None:
        raise SliceError("None is no value to put there; exclude the column, and NULL stands in its place")
    data = _bytes_of(value) if column.binary else str(int(value) if isinstance(value, bool) else value)
    try:
        if isinstance(value, bytes) and not column.binary:
            raise Refused("it holds no bytes")
        return backend_of(connection).stored_value(connection, column, data)
    except Refused as error:
        what = f"{value!r} is no value for a column of type {column.column_type}"
        raise SliceError(f"{what}: {error}") from error


def _bytes_of(value: Any) -> bytes:
    """What a column of bytes gets for bytes, a UUID, or a text: ``0x…``, a UUID, or else the text in UTF-8.

    >>> _bytes_of("0x00ff"), _bytes_of("no"), _bytes_of(uuid.UUID(int=1)) == _bytes_of(str(uuid.UUID(int=1)))
    (b'\\x00\\xff', b'no', True)
    """
    if isinstance(value, bytes):
        return value
    text = str(value)
    if re.fullmatch(r"0x(?:[0-9a-f]{2})*", text, re.IGNORECASE):
        return bytes.fromhex(text[2:])
    return uuid.UUID(text).bytes if _UUID.fullmatch(text) else text.encode()


def _require_checks(cut: Slice, excluded: Iterable[Excluded], connection: Any) -> None:
    """Raise if rows would break a CHECK of their table, and so would not load."""
    for name, instead in _by_table((one.table, one.column, one.value) for one in excluded).items():
        entry = cut.tables[name]
        broken = backend_of(connection).broken_check(
            connection, entry.table, instead, entry.conditions(LIST_BYTES)
        )
        if broken is not None:
            what = ", ".join(f"{column} = {value}" for column, value in instead.items())
            raise SliceError(
                f"Leaving out contents of {name}: with {what} the CHECK {entry.table.dialect.quote(broken[0])} does not"
                f" hold for {broken[1]:,} of its {entry.rows:,} rows, which then do not load."
            )


def _default(column: Column, connection: Any) -> str:
    """SQL for what stands in the place of the contents of a column if no value was given."""
    value = "NULL" if column.nullable else backend_of(connection).default_value(connection, column)
    if value is None:
        raise SliceError(
            "it is NOT NULL and has no default that could stand in its place. Put a value there with replace={…}"
            " (--replace NAME=VALUE), take rows without it with only=…, or make it nullable in the database"
        )
    return value


# ---------------------------------------------------------------- statements that read it


def _readers(cut: Slice, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[int]]:
    """Numbers of the statements whose result depends on the contents of each column."""
    found: dict[tuple[str, str], list[int]] = {key: [] for key in wanted}
    known: dict[tuple[str, str, tuple[str, ...], bool], set[tuple[str, str]] | None] = {}
    tables = {table for table, _ in found}
    for report in cut.statements:
        if tables.isdisjoint(report.tables):
            continue
        template = lift(report.sql, cut.catalog.dialect.literals)[0]
        key = template, report.statement.database, report.statement.state, bool(report.fallback)
        if key not in known:
            known[key] = _columns_of(cut, report)
        read = known[key]
        for (table, column), numbers in found.items():
            if (
                (table, column.lower()) in read
                if read is not None
                else may_read(cut, template, report, table, column)
            ):
                numbers.append(report.statement.number)
    return found


def _columns_of(cut: Slice, report: StatementReport) -> set[tuple[str, str]] | None:
    """The columns that a statement reads; None if unknown."""
    query = query_of(cut, report)
    return None if query is None else columns_read(query)


def query_of(cut: Slice, report: StatementReport) -> Query | None:
    """The query tree of a statement, if it was analysed."""
    if report.fallback:
        return None
    try:
        lineage = analyse(
            report.statement.sql,
            cut.catalog,
            default_schema=report.statement.database or None,
            session=report.session,
        )
    except LineageError:
        return None
    return lineage.query


def may_read(cut: Slice, template: str, report: StatementReport, table: str, column: str) -> bool:
    """Whether a statement that is not analysed may read a column: it names it, or all columns.

    In PostgreSQL the name of a table can stand for all of its columns, too.
    """
    if table not in report.tables:
        return False
    if cut.catalog.dialect.whole_rows:
        return True
    names = re.compile(rf"(?<!\w){re.escape(column)}(?!\w)", re.IGNORECASE)
    return bool(names.search(template) or _ALL_COLUMNS.search(template))


# ---------------------------------------------------------------- statements that hold it

SHORTEST = 2  # characters: less tells nothing of a person


def with_words(cut: Slice, columns: Sequence[Excluded], connection: Any) -> tuple[Excluded, ...]:
    """Which statements hold contents of the columns, of any of their rows."""
    backend = backend_of(connection)
    names = {name.lower() for table in cut.catalog.tables.values() for name in (table.schema, table.name)}
    names |= {column.name.lower() for each in cut.tables.values() for column in each.table.columns}
    texts: dict[int, set[str]] = {}
    for report in cut.statements if columns else ():
        # what its connection had set stands in the manifest as well
        found = backend.texts_of("; ".join((*report.statement.state, report.statement.sql)))
        inside = {word for comment in found.comments for word in (comment, *comment.split())}
        aliases = {name for name in found.names if name.lower() not in names}
        each = {text.lower() for text in (*found.literals, *aliases, *inside) if len(text) >= SHORTEST}
        texts[report.statement.number] = each
    return tuple(_with_words(cut, one, texts, connection) for one in columns)


def _with_words(cut: Slice, one: Excluded, texts: Mapping[int, set[str]], connection: Any) -> Excluded:
    table = cut.tables[one.table].table
    asked = set().union(*texts.values())
    there = backend_of(connection).texts_held(connection, table, table.column(one.column), asked)
    held = [number for number, each in texts.items() if each & there and number not in one.statements]
    return replace(one, held=tuple(held), words=frozenset(there))


def words(excluded: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the manifest says of excluded columns, a line for each.

    >>> words([{"table": "`lab`.`subject`", "column": "name", "value": "NULL", "statements": [3, 4], "held": [7]}])
    ['lab.Subject.name: NULL; read by 2 statements (3, 4), and 1 statement (7) holds a value of it']
    """
    lines = []
    for one in excluded:
        read = f"read by {counted(one['statements'])}" if one["statements"] else "read by no statement"
        if held := one["held"]:
            read += f", and {counted(held)} hold{'s' if len(held) == 1 else ''} a value of it"
        lines.append(f"{shown_column(one['table'], one['column'])}: {one['value']}; {read}")
    return lines


def counted(numbers: Sequence[int]) -> str:
    """How many statements, and the numbers of the first."""
    return f"{count(len(numbers), 'statement')} ({numbers_text(numbers, 12)})"
