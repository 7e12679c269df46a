"""Results: what a statement returned, small enough to keep and to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Forms: TypeAlias = "Sequence[str]"  # for each column: "text", "float" or "json"

# Significant digits that tell every DOUBLE from its neighbours.
ALL_DIGITS = 17

# Significant digits of a float in the result of a statement, where another server or a later day must give the same.
RESULT_DIGITS = 12


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
    """

    columns: tuple[str, ...]
    rows: int
    multiset: int
    ordered: bytes
    forms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """Rows of one result that another lacks: how many (duplicates counted), and some of them as text."""

    rows: int
    shown: tuple[str, ...]
