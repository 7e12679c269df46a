"""Answers: whether DuckDB's answer is the server's.

In: the columns and rows of the server's answer as it sent them, and rows as DuckDB returns them. Out: for both an
`Answer`, and how two of them differ. A value is compared as the server prints it; a float with the digits that other
servers and later runs reproduce (`RESULT_DIGITS`), or with the six that a server shows of a FLOAT. Only sums of hashes
are held.
"""

from __future__ import annotations

import datetime
import decimal
import hashlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import xxhash

from ..display import first
from ..servers.postgresql.dialect import POSTGRESQL, ZONED
from ..servers.results import RESULT_DIGITS, ResultColumn

_MODULUS = 1 << 256


class Answer(NamedTuple):
    """Rows, summed up.

    Attributes
    ----------
    rows : int
    multiset : int
        Does not depend on their order.
    ordered : bytes
        Depends on it.
    columns : tuple of int
        Of each column alone; does not depend on the order.
    """

    rows: int
    multiset: int
    ordered: bytes
    columns: tuple[int, ...]


def as_sent(columns: Sequence[ResultColumn], rows: Iterable[Sequence[bytes | None]]) -> Answer:
    """The answer of a server."""
    return _summed([_sent_form(column) for column in columns], rows)


def as_returned(columns: Sequence[ResultColumn], rows: Iterable[Sequence[Any]]) -> Answer:
    """The answer of DuckDB to a statement for which the server returned these columns."""
    return _summed([_returned_form(column) for column in columns], rows)


def difference(columns: Sequence[ResultColumn], sent: Answer, returned: Answer, in_order: bool) -> str:
    """How DuckDB's answer differs from the server's; "" if it does not."""
    if returned.rows > sent.rows:  # and no more of them were read
        return f"DuckDB returns more rows than the server, which returns {sent.rows:,}"
    if sent.rows != returned.rows:
        return f"DuckDB returns {returned.rows:,} rows, the server {sent.rows:,}"
    if sent.multiset != returned.multiset:
        pairs = zip(columns, sent.columns, returned.columns, strict=True)
        names = [column.name for column, one, other in pairs if one != other]
        return (
            f"DuckDB returns other values of {', '.join(first(names))}"
            if names
            else "DuckDB returns other rows"
        )
    return "DuckDB returns the rows in another order" if in_order and sent.ordered != returned.ordered else ""


def _summed(forms: Sequence[Callable[[Any], str | bytes]], rows: Iterable[Sequence[Any]]) -> Answer:
    count, total, ordered, each = 0, 0, hashlib.sha256(), [0] * len(forms)
    for row in rows:
        shown = [None if value is None else form(value) for form, value in zip(forms, row, strict=True)]
        values = [repr(value).encode("utf-8", "surrogatepass") for value in shown]
        one = hashlib.sha256(b",".join(values)).digest()
        count += 1
        total += int.from_bytes(one, "big")
        ordered.update(one)
        for place, value in enumerate(values):
            each[place] += xxhash.xxh3_64_intdigest(value)
    return Answer(count, total % _MODULUS, ordered.digest(), tuple(each))


def _sent_form(column: ResultColumn) -> Callable[[bytes], str | bytes]:
    if column.kind == "bytes":
        return bytes
    if column.kind == "bits":
        return lambda value: str(int.from_bytes(value, "big"))
    if column.kind == "text":
        return lambda value: value.decode(column.encoding, "surrogateescape")
    digits = _digits(column)
    if digits is not None:
        return lambda value: _float(float(value), digits)
    return lambda value: _exact(value.decode())


def _digits(column: ResultColumn) -> int | None:
    """Significant digits of a float that count; None for what is no float."""
    return None if column.digits is None else min(column.digits, RESULT_DIGITS)


def _float(value: float, digits: int) -> str:
    return f"{value + 0.0:.{digits - 1}e}"


def _exact(text: str) -> str:
    """A number without zeros that say nothing.

    >>> _exact("2.500"), _exact("0012"), _exact("-0.10"), _exact("0.0"), _exact("-0")
    ('2.5', '12', '-0.1', '0', '0')
    """
    sign = "-" * text.startswith("-")
    whole, _, places = text.lstrip("-").partition(".")
    whole, places = whole.lstrip("0") or "0", places.rstrip("0")
    found = f"{whole}.{places}" if places else whole
    return found if found == "0" else sign + found


def _returned_form(column: ResultColumn) -> Callable[[Any], str | bytes]:
    number, digits = column.kind in ("number", "bits"), _digits(column)
    zone = "+00" * (column.declared == ZONED)  # of PostgreSQL, read in UTC

    def form(value: Any) -> str | bytes:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        if isinstance(value, uuid.UUID):
            return value.bytes
        if isinstance(value, bool) and column.declared == "boolean":
            return "t" if value else "f"
        if number and isinstance(value, (int, float, decimal.Decimal)):
            if digits is not None:
                return _float(float(value), digits)
            if isinstance(value, float):
                return f"{value!r}, a float"  # the server's is exact
            return _exact(f"{value:f}" if isinstance(value, decimal.Decimal) else str(int(value)))
        if isinstance(value, str):
            return value if column.kind == "text" else f"{value!r}, a text"
        if isinstance(value, datetime.datetime):
            day = f"{value.date().isoformat()} "
            return _with_fraction(f"{value:%H:%M:%S}", value.microsecond, column, day) + zone
        if isinstance(value, datetime.time):
            return _with_fraction(f"{value:%H:%M:%S}", value.microsecond, column)
        if isinstance(value, datetime.timedelta):
            return _time(value, column)
        if isinstance(value, datetime.date):
            return value.isoformat()
        return f"{value!r}, a {type(value).__name__}"

    return form


def _time(value: datetime.timedelta, column: ResultColumn) -> str:
    """A duration as servers print it.

    >>> _time(datetime.timedelta(hours=-30, seconds=-1), ResultColumn("t", "text", "", "", decimals=0))
    '-30:00:01'
    """
    sign = "-" * (value < datetime.timedelta(0))
    value = abs(value)
    minutes, seconds = divmod(value.days * 86400 + value.seconds, 60)
    text = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
    return _with_fraction(text, value.microseconds, column)


def _with_fraction(text: str, microseconds: int, column: ResultColumn, before: str = "") -> str:
    places = 6 if column.decimals is None or column.decimals > 6 else column.decimals
    fraction = f"{microseconds:06d}"
    if column.dialect == POSTGRESQL.name:  # which prints no zeros at the end
        fraction = fraction.rstrip("0")
        return f"{before}{text}{'.' * bool(fraction)}{fraction}"
    if fraction[places:].strip("0"):
        places = 6  # the server's has no such digits
    return f"{before}{text}.{fraction[:places]}" if places else f"{before}{text}"
