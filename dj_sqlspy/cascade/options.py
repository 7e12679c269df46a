"""Options: what a user chooses of a slice."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SliceError
from ..servers.tables import ForeignKey

PARTS = ("all", "referenced")


@dataclass(frozen=True)
class Bound:
    """Rows of ``table`` (full name) that may leave: those that the SELECT ``sql`` reads."""

    table: str
    sql: str


@dataclass(frozen=True)
class Options:
    """What is chosen of a slice.

    Attributes
    ----------
    parts : {"all", "referenced"}
        Whether a master brings all of its parts.
    strict : bool
        Raise where a statement cannot be analysed, instead of exporting its tables whole.
    closed : bool
        False leaves out the cascade: only the rows that statements read.
    down : bool
        Take also all rows that refer to rows that were read, and so on down.
    virtual : tuple of ForeignKey
        References that the database does not declare.
    only : tuple of Bound
        Keep the slice inside of them: rows of the bounded tables that these do not name, and all that descends from
        such rows, are outside, and so is what would be there for their sake.
    guard : tuple of Bound
        Refuse where rows outside of these are in the slice.
    """

    parts: str = "all"
    strict: bool = False
    closed: bool = True
    down: bool = False
    virtual: tuple[ForeignKey, ...] = ()
    only: tuple[Bound, ...] = ()
    guard: tuple[Bound, ...] = ()

    def __post_init__(self) -> None:
        if self.parts not in PARTS:
            raise SliceError(f"parts must be {' or '.join(map(repr, PARTS))}, not {self.parts!r}.")
