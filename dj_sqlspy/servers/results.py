"""Results: what a statement returned, small enough to keep and to compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Forms: TypeAlias = "Sequence[str]"  # for each column: "text", "float" or "json"

# Significant digits that tell every DOUBLE from its neighbours.
ALL_DIGITS = 17

# Significant digits of a float in the result of a statement, where another server or a later day must give the same.
RESULT_DIGITS = 12


# Name, type (a number of the protocol) and number of decimals of a column.
Column: TypeAlias = "tuple[str, int, int]"


def names_of(columns: Iterable[Column]) -> tuple[str, ...]:
    """The names of columns."""
    return tuple(name for name, _, _ in columns)


class Answer(NamedTuple):
    """What a server answers a query.

    Attributes
    ----------
    rows : int
    digest : str or None
        None where only the rows were counted.
    columns : tuple of (name, type, decimals)
    """

    rows: int
    digest: str | None
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Those of its columns."""
        return names_of(self.columns)


# By the first values of rows, as they are sent: how many rows begin so, and the sum of the hashes of what follows.
Sums: TypeAlias = "dict[bytes, tuple[int, int]]"


@dataclass(frozen=True)
class Digest:
    """A result, small.

    Attributes
    ----------
    columns : tuple of str
    rows : int
    multiset : int
        Sum of the digests of the rows: the same for the same rows in any order.
    ordered : bytes
        Digest of the rows in their order.
    forms : tuple of str
        What the columns hold.
    received : str
        As the digest of what an analysis received (`mysql.wire`).
    """

    columns: tuple[str, ...]
    rows: int
    multiset: int
    ordered: bytes
    forms: tuple[str, ...] = ()
    received: str = ""


@dataclass(frozen=True)
class Difference:
    """Rows of one result that another lacks: how many (duplicates counted), and some of them as text."""

    rows: int
    shown: tuple[str, ...]
