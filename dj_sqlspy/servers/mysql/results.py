"""Results: compares the results of one statement on two servers without holding them in memory.

In: connections whose results are bytes, exactly as the server sends them, so that no conversion hides a difference.
Out: a `Digest` of a result, and the rows of one result that are not in the other (`multisets`). A result is streamed.

Two running servers are compared byte for byte. A digest that is stored, for servers of other versions or flavors, uses
values in a fixed form (`Forms`), which `replay.digests` defines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymysql.charset import charset_by_id
from pymysql.constants import FIELD_TYPE, FLAG

from ..columns import INTEGER_TYPES
from ..multisets import as_text, difference_of, digest_of
from ..results import ALL_DIGITS, Difference, Digest, Forms, ResultColumn, digest_text
from . import wire
from .dialect import MYSQL
from .told import told

# Forms of columns by the type that the server sends with a result. All others are "text", unchanged.
FORM_OF_TYPE = {FIELD_TYPE.FLOAT: "float", FIELD_TYPE.DOUBLE: "float", FIELD_TYPE.JSON: "json"}

_NUMBERS = {
    FIELD_TYPE.TINY,
    FIELD_TYPE.SHORT,
    FIELD_TYPE.INT24,
    FIELD_TYPE.LONG,
    FIELD_TYPE.LONGLONG,
    FIELD_TYPE.YEAR,
    FIELD_TYPE.FLOAT,
    FIELD_TYPE.DOUBLE,
    FIELD_TYPE.DECIMAL,
    FIELD_TYPE.NEWDECIMAL,
}
_DECLARED = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
    FIELD_TYPE.YEAR: "year",
    FIELD_TYPE.FLOAT: "float",
    FIELD_TYPE.DOUBLE: "double",
    FIELD_TYPE.DECIMAL: "decimal",
    FIELD_TYPE.NEWDECIMAL: "decimal",
    FIELD_TYPE.BIT: "bit",
    FIELD_TYPE.DATE: "date",
    FIELD_TYPE.NEWDATE: "date",
    FIELD_TYPE.TIME: "time",
    FIELD_TYPE.DATETIME: "datetime",
    FIELD_TYPE.TIMESTAMP: "timestamp",
    FIELD_TYPE.JSON: "json",
    FIELD_TYPE.GEOMETRY: "geometry",
    242: "vector",  # which PyMySQL does not know
}
_DIGITS = {FIELD_TYPE.FLOAT: 6, FIELD_TYPE.DOUBLE: ALL_DIGITS}  # significant ones that are sent
_TIMES = {
    FIELD_TYPE.DATE,
    FIELD_TYPE.NEWDATE,
    FIELD_TYPE.TIME,
    FIELD_TYPE.DATETIME,
    FIELD_TYPE.TIMESTAMP,
}
_TEXTS = _TIMES | {FIELD_TYPE.JSON}  # whatever their character set
_BINARY = 63  # the character set of bytes


def _stream(connection: Any, sql: str) -> Iterator[Any]:
    """Rows of a result as they arrive. The first item is the names of its columns."""
    packets = _packets(connection, sql)
    yield tuple(as_text(field.name) for field in next(packets))
    yield from map(wire.values_of, packets)


def _packets(connection: Any, sql: str, encoding: str = "utf-8") -> Iterator[Any]:
    """The fields of a result, then its rows as sent."""
    with told():
        # older PyMySQL writes bytes that are not valid text as lone surrogates
        yield from wire.stream(connection, sql.encode(encoding, "surrogateescape"))


class Result:
    """The result of a statement that was sent: its rows as they arrive, as sent (bytes or None).

    Attributes
    ----------
    fields : sequence
        PyMySQL's descriptions of its columns.
    received : str
        The digest that the capture makes while an analysis reads (`wire`), once all rows were read.
    """

    def __init__(self, connection: Any, sql: str, encoding: str = "utf-8") -> None:
        self._packets = _packets(connection, sql, encoding)
        self.fields: Sequence[Any] = next(self._packets)
        self.received = ""

    @property
    def columns(self) -> tuple[ResultColumn, ...]:
        """What its columns are."""
        return tuple(map(_column, self.fields))

    def __iter__(self) -> Iterator[Sequence[bytes | None]]:
        total, hashed = 0, wire.row_hash(self.fields)
        for packet in self._packets:
            total += hashed(packet)
            yield wire.values_of(packet)
        self.received = digest_text(total)

    def chunks(self, size: int, each: int) -> Iterator[list[Sequence[bytes | None]]]:
        """Its rows in lists of about ``size`` bytes, where a value takes ``each`` besides its own; without the digest.

        Values of more than 64 KB are views.
        """
        held: list[Sequence[bytes | None]] = []
        total, row, values_of = 0, each * len(self.fields), wire.values_of
        for packet in self._packets:
            held.append(values_of(packet, False))
            total += row + len(packet)
            if total >= size:
                yield held
                held, total = [], 0
        if held:
            yield held


def _column(field: Any) -> ResultColumn:
    table = MYSQL.full_name(field.db.decode(), field.org_table) if field.db and field.org_table else ""
    digits = _DIGITS.get(field.type_code)
    exact = field.type_code in _NUMBERS | _TIMES and digits is None
    return ResultColumn(
        field.name,
        _kind(field),
        table,
        field.org_name if table else "",
        field.scale if exact else None,
        digits,
        _declared(field),
        _encoding(field),
    )


def _kind(field: Any) -> str:
    if field.type_code in _NUMBERS:
        return "number"
    if field.type_code == FIELD_TYPE.BIT:
        return "bits"
    return "bytes" if field.charsetnr == _BINARY and field.type_code not in _TEXTS else "text"


def _declared(field: Any) -> str:
    """A type that holds the values of a result's column."""
    name = _DECLARED.get(field.type_code)
    if name == "decimal":
        signs = (0 if field.flags & FLAG.UNSIGNED else 1) + (1 if field.scale else 0)
        return f"decimal({field.length - signs},{field.scale})"
    if name is not None:
        words = ((FLAG.UNSIGNED, " unsigned"), (FLAG.ZEROFILL, " zerofill"))
        return name + "".join(word for flag, word in words if name in INTEGER_TYPES and field.flags & flag)
    if field.flags & (FLAG.ENUM | FLAG.SET):
        return "enum" if field.flags & FLAG.ENUM else "set"
    if _kind(field) == "bytes":
        return f"binary({field.length})" if field.type_code == FIELD_TYPE.STRING else "longblob"
    return "longtext"


def _encoding(field: Any) -> str:
    """The encoding of a column's texts; that of bytes, and of times and JSON, is UTF-8."""
    if _kind(field) != "text" or field.charsetnr == _BINARY:
        return "utf-8"
    try:
        found = charset_by_id(field.charsetnr).encoding
    except KeyError:  # a collation that the driver does not know; newer ones are of utf8mb4
        return "utf-8"
    return "utf-8" if found == "utf8" else str(found)


def digest(
    connection: Any,
    sql: str,
    digits: int | None = None,
    forms: Forms | None = None,
    encoding: str = "utf-8",
    instead: Mapping[int, Mapping[bytes, bytes]] | None = None,
) -> Digest:
    """Run a statement and digest its result.

    Parameters
    ----------
    connection : pymysql connection
        Its results must be bytes.
    sql : str
    digits : int, optional
        First convert values to their fixed form, floats with this many significant digits. Default: as sent.
    forms : sequence of str, optional
        Forms of the columns. Default: from the types that the server sends.
    encoding : str
        Encoding in which the text is sent.
    instead : mapping, optional
        By position of a column, values that count as others.
    """
    return digest_of(Result(connection, sql, encoding), FORM_OF_TYPE, digits, forms, instead)


def difference(one: Any, other: Any, sql: str) -> tuple[Difference, Difference]:
    """For a statement, the rows that only the first and that only the second connection returns."""
    return difference_of(lambda: _stream(one, sql), lambda: _stream(other, sql))
