"""Notices: what a reader of a bundle has to know first.

In: a manifest, and what its last replay gave. Out: `Notices`, which the page `report` puts into words. Errors say that
something is not as the bundle says, cautions what a reader could take for granted and should not, notes what is
as it should be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..dump.exclude import EXCLUDED
from ..slices import LEFT_OUT

Entries = Sequence[Mapping[str, Any]]

MARKS = {
    "now": "asks for the time",
    "rand": "asks for random numbers",
    "limit": "takes some of the rows, in an order that does not decide between all of them",
    "session": "asks for a value of its session",
    "variable": "asks for a variable of the server",
}


@dataclass(frozen=True)
class Notices:
    """What to know first. What is empty is as it should be.

    Attributes
    ----------
    complete : bool
        Whether all that the analyses read is on record.
    different : entries
        Results of the replay that differ, of statements that should give the same each time.
    wrong : entries
        What is in the loaded slice and not in the manifest or the other way; ``name`` of a table, or None.
    broken : entries
        Foreign keys with orphans or with lost parts.
    files : mapping of str to entries
        Files of the slice, by their state.
    fallbacks : entries
        Statements that were not analysed.
    moved : entries
        Code that is not as it ran.
    excluded : entries
        Columns without contents.
    cut : sequence of int
        Statements that need rows which were left out.
    marks : entries
        Why results can change by themselves (``what``), and the statements.
    """

    complete: bool
    different: Entries
    wrong: Entries
    broken: Entries
    files: Mapping[str, Entries]
    fallbacks: Entries
    moved: Entries
    excluded: Entries
    cut: Sequence[int]
    marks: Entries

    @property
    def marked(self) -> int:
        """How many statements have a mark."""
        return len({number for one in self.marks for number in one["numbers"]})


def notices_of(manifest: Mapping[str, Any], replay: Mapping[str, Any] | None) -> Notices:
    """What to know first of a bundle."""
    statements: Entries = manifest["statements"]
    different, wrong, broken = _replayed(statements, replay or {})
    files: dict[str, list[Mapping[str, Any]]] = {}
    for file in manifest.get("files") or ():
        files.setdefault(file["state"], []).append(file)
    marks: dict[str, list[int]] = {}
    for statement in statements:
        for mark in sorted(set(statement["marks"]) - {EXCLUDED, LEFT_OUT}):
            marks.setdefault(mark, []).append(statement["number"])
    return Notices(
        complete=manifest["complete"] is True,
        different=different,
        wrong=wrong,
        broken=broken,
        files=files,
        fallbacks=[one for one in statements if one["fallback"]],
        moved=[one for one in manifest.get("code") or () if one["state"] in ("changed", "missing")],
        excluded=manifest.get("excluded") or (),
        cut=[one["number"] for one in statements if LEFT_OUT in one["marks"]],
        marks=[{"what": MARKS.get(mark, mark), "numbers": numbers} for mark, numbers in marks.items()],
    )


def _replayed(statements: Entries, replay: Mapping[str, Any]) -> tuple[Entries, Entries, Entries]:
    marked = {one["number"] for one in statements if one["marks"]}
    different = [
        one
        for one in replay.get("statements", ())
        if one["state"] != "equal" and not marked >= set(one["numbers"])
    ]
    wrong = [{"name": None, "message": text} for text in replay.get("structure", ())]
    broken = [key for key in replay.get("keys", ()) if key["orphans"] or key["lost"]]
    return different, [*wrong, *replay.get("tables", ())], broken
