"""Results: compares the results of one statement on two servers without holding them in memory.

In: connections whose results are bytes, exactly as the server sends them, so that no conversion hides a difference.
Out: a `Digest` of a result, and the rows of one result that are not in the other. A result is streamed. Its number of
rows and the sum of the digests of its rows are kept (a multiset hash: Clarke et al., 2003). If two of these differ,
both results are read again to find the rows, with 8 bytes of memory a row.

Two running servers are compared byte for byte. A digest that is stored, for servers of other versions or flavors, uses
values in a fixed form (`Forms`), which `replay.digests` defines.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from pymysql.charset import charset_by_id
from pymysql.constants import FIELD_TYPE, FLAG

from ..columns import INTEGER_TYPES
from ..results import ALL_DIGITS, Difference, Digest, Forms, ResultColumn
from . import wire
from .dialect import MYSQL
from .told import told

# How many differing rows are shown, and how many characters of a value.
ROWS_SHOWN = 5
VALUE_SHOWN = 40

# Modulus of the sum of the rows' SHA-256 digests.
MODULUS = 1 << 256

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

Row: TypeAlias = "tuple[bytes | None, ...]"
Counts: TypeAlias = "tuple[Any, Any]"  # distinct digests, sorted, and the number of times each occurs


def _stream(connection: Any, sql: str) -> Iterator[Any]:
    """Rows of a result as they arrive. The first item is its columns: pairs of name and type."""
    packets = _packets(connection, sql)
    yield tuple((field.name, field.type_code) for field in next(packets))
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
        self.fields = next(self._packets)
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
        self.received = wire.digest_text(total % wire.MODULUS)

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


def _names(columns: Sequence[tuple[str | bytes, int]]) -> tuple[str, ...]:
    return tuple(as_text(name) for name, _ in columns)


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
    result = Result(connection, sql, encoding)
    if forms is None:
        forms = [FORM_OF_TYPE.get(field.type_code, "text") for field in result.fields]
    fixed = {} if digits is None else _fixed(forms, digits)
    for place, others in (instead or {}).items():
        fixed[place] = functools.partial(_other, others)
    rows, total, ordered = 0, 0, hashlib.sha256()
    for row in result:
        if fixed:
            row = [_in_form(value, fixed.get(i)) for i, value in enumerate(row)]
        one = row_digest(row)
        rows += 1
        total += int.from_bytes(one, "big")
        ordered.update(one)
    names = tuple(field.name for field in result.fields)
    return Digest(names, rows, total % MODULUS, ordered.digest(), tuple(forms), result.received)


def row_digest(row: Sequence[bytes | None]) -> bytes:
    """SHA-256 of a row. A value is ``n`` if it is NULL, else ``v``, its length in bytes, ``:`` and its bytes.

    >>> row_digest([b"12", None]) == hashlib.sha256(b"v2:12n").digest()
    True
    """
    parts = []
    for value in row:
        if value is None:
            parts.append(b"n")
        else:
            parts += (b"v%d:" % len(value), value)
    return hashlib.sha256(b"".join(parts)).digest()


def _fixed(forms: Forms, digits: int) -> dict[int, Callable[[bytes], bytes]]:
    to_form = {"float": lambda value: float_form(value, digits), "json": json_form}
    return {i: to_form[form] for i, form in enumerate(forms) if form in to_form}


def _other(others: Mapping[bytes, bytes], value: bytes) -> bytes:
    return others.get(value, value)


def _in_form(value: bytes | None, to_form: Callable[[bytes], bytes] | None) -> bytes | None:
    return value if value is None or to_form is None else to_form(value)


def float_form(value: bytes, digits: int) -> bytes:
    """A float printed with ``%.{digits - 1}e``, zero without a sign.

    >>> float_form(b"1e22", 17), float_form(b"-0", 4)
    (b'1.0000000000000000e+22', b'0.000e+00')
    """
    return b"%.*e" % (digits - 1, float(value) + 0.0)


def json_form(value: bytes) -> bytes:
    """JSON with sorted keys and no blanks, in ASCII. Numbers that are not 64-bit integers are as in `float_form`.

    MySQL stores JSON parsed, MariaDB as written. Invalid JSON stays unchanged.

    >>> json_form(b'{"b": [1.50, 2], "a": "x"}')
    b'{"a":"x","b":[1.5000000000000000e+00,2]}'
    """
    try:
        return _json_text(json.loads(value, parse_int=_json_integer)).encode()
    except (ValueError, RecursionError):
        return value


def _json_integer(text: str) -> int | float:
    number = int(text) if len(text) <= 20 else 1 << 64
    return number if -(1 << 63) <= number < 1 << 64 else float(text)


def _json_text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_json_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json_text, value)) + "]"
    if isinstance(value, float):
        return float_form(str(value).encode(), ALL_DIGITS).decode()
    return json.dumps(value)


def difference(one: Any, other: Any, sql: str) -> tuple[Difference, Difference]:
    """For a statement, the rows that only the first and that only the second connection returns."""
    here, there = _counted(one, sql), _counted(other, sql)
    return _described(one, sql, _subtract(here, there)), _described(other, sql, _subtract(there, here))


def _short_digest(row: Row) -> int:
    return int.from_bytes(row_digest(row)[:8], "big")


def _counted(connection: Any, sql: str) -> Counts:
    rows = _stream(connection, sql)
    next(rows)
    return np.unique(np.fromiter(map(_short_digest, rows), dtype=np.uint64), return_counts=True)


def _subtract(one: Counts, other: Counts) -> dict[int, int]:
    """What occurs more often in the first than in the second. It needs memory only for differences."""
    digests, counts = one
    positions: Any = np.searchsorted(other[0], digests)
    positions[positions == len(other[0])] = 0
    found = other[0][positions] == digests if len(other[0]) else np.zeros(len(digests), bool)
    taken = np.where(found, other[1][positions] if len(other[1]) else 0, 0)
    left = counts - taken
    return {int(digest): int(count) for digest, count in zip(digests[left > 0], left[left > 0], strict=True)}


def _described(connection: Any, sql: str, wanted: Mapping[int, int]) -> Difference:
    if not wanted:
        return Difference(0, ())
    rows = _stream(connection, sql)
    columns = _names(next(rows))
    shown: list[str] = []
    left = dict(wanted)
    for row in rows:  # to the end, so that the connection can be used again
        key = _short_digest(row)
        if len(shown) < ROWS_SHOWN and left.get(key):
            left[key] -= 1
            shown.append(", ".join(f"{c}={as_text(v)}" for c, v in zip(columns, row, strict=True)))
    return Difference(sum(wanted.values()), tuple(shown))


def as_text(value: bytes | str | None) -> str:
    """A value as readable text; bytes that are not valid text in hexadecimal."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return value
    try:
        text = value.decode()
        text = text if text.isprintable() else "0x" + value.hex()
    except UnicodeDecodeError:
        text = "0x" + value.hex()
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}… ({len(value)} bytes)"
