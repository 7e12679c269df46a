"""Columns: how a column of the server is kept in Parquet and in DuckDB, and what cannot be kept.

In: a column of the catalog, or of a result. Out: a `Kept`: how it is read from the server, its type in DuckDB, and in
words what is not kept.

DuckDB's integers are all BIGINT, because both servers calculate with 64 bits; Parquet has the declared widths. A FLOAT
is read as ``f * 1e0``, since servers print it with six digits. A TIMESTAMP is in UTC.
"""

from __future__ import annotations

from dataclasses import replace

from ..external.needed import declared_type
from ..servers.catalog import Catalog
from ..servers.columns import INTEGER_TYPES, TEXT_TYPES, Column
from ..servers.mysql.definition import beside_type
from ..servers.results import ResultColumn
from . import postgresql
from .kept import MOST_DIGITS, beside_note, is_date
from .kept import Kept as Kept

_WIDTHS = {"tinyint": 8, "smallint": 16, "year": 16, "mediumint": 32, "bigint": 64}  # any other integer: 32
_PLACES = frozenset(
    {"point", "linestring", "polygon", "geometry", "multipoint", "multilinestring", "multipolygon"}
    | {"geometrycollection", "geomcollection"}
)
_DATES = {
    "date": ("date", "DATE"),
    "datetime": ("datetime", "TIMESTAMP"),
    "timestamp": ("datetime", "TIMESTAMP"),
}


def kept(column: Column, without_date: int, kind: str, dialect: str = "mysql") -> Kept:
    """How a column is kept.

    Parameters
    ----------
    column : Column
    without_date : int
        Number of its values that Parquet's type does not have, such as those that are no date of the calendar.
    kind : str
        What the server sends: the ``kind`` of a `ResultColumn`, for types that are not known here.
    dialect : str
        The name of the server's.

    Examples
    --------
    >>> def of(type, **more):
    ...     one = Column("c", type.partition("(")[0].split()[0], type, True, more.pop("collation", None), "", **more)
    ...     found = kept(one, 0, "text")
    ...     return found.arrow, found.duckdb, found.note
    >>> of("int(10) unsigned"), of("decimal(10,2)")
    (('uint32', 'BIGINT', ''), ('decimal128(10, 2)', 'DECIMAL(10, 2)', ''))
    >>> of("decimal(65,30)")
    ('string', 'VARCHAR', 'DECIMAL with more than 38 digits, as text')
    >>> of("varchar(8)", collation="utf8mb4_0900_ai_ci")
    ('string', 'VARCHAR COLLATE NOCASE.NOACCENT', '')
    >>> of("binary(16)", comment=":uuid:of the session")
    ('uuid', 'UUID', '')
    """
    if dialect == postgresql.NAME:
        return postgresql.kept(column, without_date)
    name, declared = column.data_type, column.column_type.lower()
    if name in INTEGER_TYPES:
        unsigned = "unsigned" in declared.split() or name == "year"
        width = _WIDTHS.get(name, 32)
        arrow = "int16" if name == "year" else f"{'u' * unsigned}int{width}"
        note = "ZEROFILL: without the leading zeros" if "zerofill" in declared.split() else ""
        return Kept(column, "integer", arrow, "UBIGINT" if arrow == "uint64" else "BIGINT", note)
    if name in ("decimal", "numeric"):
        digits, places = _sizes(declared)
        if digits > MOST_DIGITS:
            note = f"DECIMAL with more than {MOST_DIGITS} digits, as text"
            return Kept(column, "text", "string", "VARCHAR", note)
        return Kept(column, "decimal", f"decimal128({digits}, {places})", f"DECIMAL({digits}, {places})")
    if name in ("float", "double", "real"):
        note = "FLOAT: exact, while servers show 6 digits" if name == "float" else ""
        return Kept(column, "float", "double", "DOUBLE", note)
    if name in _DATES:
        form, duckdb = _DATES[name]
        arrow = (
            "date32" if name == "date" else "timestamp[us, UTC]" if name == "timestamp" else "timestamp[us]"
        )
        notes = ["in UTC"] * (name == "timestamp")
        if without_date:
            notes.append(beside_note(without_date, "without a date"))
        beside = bool(without_date)
        return Kept(column, form, arrow, duckdb, "; ".join(notes), beside, holds=is_date)  # type: ignore[arg-type]
    if name == "time":
        return Kept(column, "time", "duration[us]", "INTERVAL", "TIME: a duration; DuckDB reads it as BIGINT")
    if name == "bit":
        return Kept(column, "bits", "uint64", "UBIGINT", "BIT: an integer")
    if declared == "binary(16)" and declared_type(column.comment) == "uuid":
        return Kept(column, "uuid", "uuid", "UUID")
    if name in TEXT_TYPES or name == "json" or kind == "text":
        note = f"{name.upper()}: text" if name in ("enum", "set") else ""
        return Kept(column, "text", "string", f"VARCHAR{_collate(column)}", note)
    note = "the server's bytes: an SRID of 4 bytes, then WKB" if name in _PLACES else ""
    return Kept(column, "bytes", "binary", "BLOB", note or ("the server's bytes" if name == "vector" else ""))


def of_result(column: ResultColumn, name: str, source: Column | None, without_date: int) -> Kept:
    """How a column of a result is kept.

    Parameters
    ----------
    column : ResultColumn
    name : str
        Its name, different from those of the others.
    source : Column, optional
        The column of a table that it shows unchanged.
    without_date : int
        Number of its values that Parquet's type does not have.

    Examples
    --------
    >>> found = of_result(ResultColumn("n", "number", "", "", declared="decimal(32,0)"), "n", None, 0)
    >>> found.arrow, found.column.column_type
    ('decimal128(32, 0)', 'decimal(32,0)')
    >>> found = of_result(ResultColumn("at", "text", "", "", declared="timestamp"), "at", None, 0)
    >>> found.arrow, found.note
    ('timestamp[us]', 'in the time zone of the session that asked')
    """
    if column.dialect == postgresql.NAME:
        return postgresql.of_result(column, name, source, without_date)
    declared = column.declared
    words = ""
    if declared == "timestamp":
        declared, words = "datetime", "in the time zone of the session that asked"
    data_type = declared.partition("(")[0].split()[0]
    comment = "" if source is None else source.comment
    sent = Column(name, data_type, declared, True, None, "", comment=comment)
    found = kept(sent, without_date, column.kind)
    if declared == "float":
        words = "FLOAT: the 6 digits that the server shows"
    elif data_type not in ("enum", "set"):  # whose note says nothing here
        words = "; ".join(filter(None, (words, found.note)))
    shown = column.declared if source is None else source.column_type
    return replace(found, column=sent._replace(column_type=shown, comment=beside_type(comment)), note=words)


def source_of(catalog: Catalog, column: ResultColumn) -> Column | None:
    """The column of a table of the slice that a column of a result shows unchanged."""
    table = catalog.tables.get(column.table)
    if table is None:
        return None
    # PostgreSQL tells cases apart
    exact = next((one for one in table.columns if one.name == column.column), None)
    return exact or table.by_name.get(column.column.lower())


def array(name: str, declared: str, comment: str, items: str, note: str) -> Kept:
    """A column of lists of items of one type, by numpy's name of it."""
    data_type = declared.partition("(")[0].split()[0]
    return Kept(
        Column(name, data_type, declared, True, None, "", comment=comment),
        "array",
        f"list<{items}>",
        "",
        note,
    )


def _sizes(declared: str) -> tuple[int, int]:
    """
    >>> _sizes("decimal(10,2) unsigned"), _sizes("decimal(5)"), _sizes("decimal")
    ((10, 2), (5, 0), (10, 0))
    """
    _, _, rest = declared.partition("(")
    sizes = [int(part) for part in rest.partition(")")[0].split(",") if part.strip()]
    return sizes[0] if sizes else 10, sizes[1] if len(sizes) > 1 else 0


def _collate(column: Column) -> str:
    """DuckDB's collation that finds the same texts equal."""
    if column.collation is None or not column.folds:
        return ""
    words = column.collation.split("_")
    if "cs" in words:
        return ""  # case and accents count
    return " COLLATE NOCASE" if "as" in words else " COLLATE NOCASE.NOACCENT"
