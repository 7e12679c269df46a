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
    """The choices for a slice. `Paper.slice` says what each is, and `dj_sqlspy.slice` what ``down`` is.

    ``closed`` False leaves out the cascade, so that the slice has only rows that statements read.
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
