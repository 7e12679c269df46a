"""Results of statements, summed up so that they can be kept and compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ..names import split_full_name

Forms: TypeAlias = "Sequence[str]"  # for each column: "text", "float" or "json"

# Significant digits that distinguish all DOUBLE values.
ALL_DIGITS = 17

# Significant digits of a float that other servers and later runs must reproduce.
RESULT_DIGITS = 12


# Digests of results are sums modulo this number.
MODULUS = 1 << 64

# MySQL's text protocol: bytes of a length that has several, by the byte before it; what NULL is instead of a length.
LENGTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}
NULL = 0xFB

VALUE_BYTES = 16  # that a value takes in memory besides its own bytes

# Name, type (its number in the protocol) and number of decimals of a column.
Column: TypeAlias = "tuple[str, int, int]"


def names_of(columns: Iterable[Column]) -> tuple[str, ...]:
    """The names of columns."""
    return tuple(name for name, _, _ in columns)


class ResultColumn(NamedTuple):
    """A column of a result that is read as sent.

    Attributes
    ----------
    name : str
    kind : {"text", "number", "bits", "bytes"}
        What its values are; dates and times are text.
    table, column : str
        The full name of the table and the name of the column that it shows unchanged; empty if the server names none.
    decimals : int or None
        Digits after the point of an exact number, and of the seconds of a time; None for all else.
    digits : int or None
        Significant digits of a float; None for all else.
    declared : str
        A type of a column that holds these values, as a column is declared: ``decimal(12,2)``.
    encoding : str
        Of texts, by Python's name.
    dialect : str
        The name of the dialect that ``declared`` is in.
    """

    name: str
    kind: str
    table: str
    column: str
    decimals: int | None = None
    digits: int | None = None
    declared: str = ""
    encoding: str = "utf-8"
    dialect: str = "mysql"

    @property
    def origin(self) -> str:
        """Schema, table and column that it shows unchanged; "" if the server names none."""
        return ".".join((*split_full_name(self.table), self.column)) if self.table else ""


class Answer(NamedTuple):
    """A server's answer to a query.

    Attributes
    ----------
    rows : int
    digest : str or None
        None if only the rows were counted.
    columns : tuple of (name, type, decimals)
    """

    rows: int
    digest: str | None
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its columns."""
        return names_of(self.columns)


class Received(NamedTuple):
    """Digest and columns of a result.

    Attributes
    ----------
    digest : str
        16 hexadecimal digits.
    columns : tuple of (name, type, decimals)
    """

    digest: str
    columns: tuple[Column, ...]


# For each beginning of rows (their first values, as sent): the number of rows, and the sum of the hashes of the rest.
Sums: TypeAlias = "dict[bytes, tuple[int, int]]"


@dataclass(frozen=True)
class Digest:
    """The digest of a result.

    Attributes
    ----------
    columns : tuple of str
    rows : int
    multiset : int
        Sum of the digests of the rows, which does not depend on their order.
    ordered : bytes
        Digest of the rows in their order.
    forms : tuple of str
        What the columns contain.
    received : str
        The digest that the capture makes while an analysis reads (`mysql.wire`).
    """

    columns: tuple[str, ...]
    rows: int
    multiset: int
    ordered: bytes
    forms: tuple[str, ...] = ()
    received: str = ""


@dataclass(frozen=True)
class Difference:
    """Rows of one result that are not in another: their number, duplicates included, and some of them as text."""

    rows: int
    shown: tuple[str, ...]


def in_lists(rows: Iterable[Sequence[bytes | None]], size: int) -> Iterator[list[Sequence[bytes | None]]]:
    """Rows in lists of about ``size`` bytes.

    >>> [len(rows) for rows in in_lists([[b"a" * 84]] * 5, 200)]
    [2, 2, 1]
    """
    held: list[Sequence[bytes | None]] = []
    total = 0
    for row in rows:
        held.append(row)
        total += VALUE_BYTES * len(row) + sum(map(len, filter(None, row)))
        if total >= size:
            yield held
            held, total = [], 0
    if held:
        yield held


def digest_text(total: int) -> str:
    """The digest of a result as text: the sum of the hashes of its rows, modulo 2**64, as 16 hexadecimal digits."""
    return f"{total % MODULUS:016x}"


def length_encoded(value: bytes | None) -> bytes:
    """A value as MySQL's text protocol sends it: after its length, as a length-encoded integer; 0xFB for NULL.

    >>> length_encoded(b"ab"), length_encoded(b"a" * 300)[:4], length_encoded(None)
    (b'\\x02ab', b'\\xfc,\\x01a', b'\\xfb')
    """
    if value is None:
        return bytes((NULL,))
    size = len(value)
    if size < NULL:
        return bytes((size,)) + value
    for mark, width in LENGTHS.items():
        if size < 1 << 8 * width:
            return bytes((mark,)) + size.to_bytes(width, "little") + value
    raise ValueError(f"a value of {size} bytes")
