"""Options: a user's choices for a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import SliceError
from ..servers.tables import ForeignKey

PARTS = ("all", "referenced")


@dataclass(frozen=True)
class Bound:
    """The rows of ``table`` (full name) that may leave the lab: those that the SELECT ``sql`` reads."""

    table: str
    sql: str


@dataclass(frozen=True)
class Options:
    """The choices for a slice.

    Attributes
    ----------
    parts : {"all", "referenced"}
        Whether a master brings all of its parts.
    strict : bool
        Raise if a statement cannot be analysed, instead of exporting its whole tables.
    closed : bool
        False leaves out the cascade, so that the slice has only rows that statements read.
    down : bool
        Also take all rows that refer to rows that were read, and so on.
    virtual : tuple of ForeignKey
        References that the database does not declare.
    only : tuple of Bound
        Bounds of the slice. Rows of a bounded table that no bound names, and all their descendants, are left out, and
        so is everything that only they need.
    skip_statements : sequence of int
        Numbers of statements to leave out.
    guard : tuple of Bound
        Raise if the slice has rows outside of these bounds.
    """

    parts: str = "all"
    strict: bool = False
    closed: bool = True
    down: bool = False
    virtual: tuple[ForeignKey, ...] = ()
    only: tuple[Bound, ...] = ()
    guard: tuple[Bound, ...] = ()
    skip_statements: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.parts not in PARTS:
            raise SliceError(f"parts must be {' or '.join(map(repr, PARTS))}, not {self.parts!r}.")
