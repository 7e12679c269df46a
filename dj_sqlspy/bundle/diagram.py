"""Diagram: draws the tables of a slice in DataJoint's style, as SVG.

In: the tables and foreign keys of a bundle's manifest. Out: an SVG element. Tiers have DataJoint's colours and shapes
(manual: green box, lookup: grey box, imported: blue, computed: red, with round ends). Parts are in the box of their
master. An edge leads down from a parent to a child: thick if it is the child's whole primary key, thin if it is a part
of it, dashed if it is secondary. Colours are CSS classes, so the page chooses between light and dark.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ..names import tier_of
from .layout import lay_out
from .render import known, render, whole
from .tablename import TableName

NAME_SIZE, INFO_SIZE = 12.5, 10.0
HEAD = 40.0  # height of a table
PART = 17.0  # height of the line of a part
MARGIN = 6.0
WIDTH = 1160.0  # largest width of a row of boxes, in pixels


@dataclass(frozen=True)
class Box:
    """A table and its parts."""

    name: str
    tier: str
    label: str
    schema: str
    rows: int
    total: int | None
    read: bool
    parts: tuple[Box, ...] = ()

    @property
    def classes(self) -> str:
        """Names of CSS classes."""
        state = "read" if self.read else "along" if self.rows else "empty"
        return f"table {self.tier} {state}"

    @property
    def counts(self) -> str:
        """Its numbers of rows, in words."""
        if not self.rows:
            return "structure only"
        if self.total is None:
            return f"{self.rows:,} row{'' if self.rows == 1 else 's'}"
        return f"{self.rows:,} of {self.total:,}"

    @property
    def share(self) -> float:
        """The share of the database's rows that are here; 1 if unknown."""
        return self.rows / max(self.total or 0, self.rows, 1)

    @property
    def why(self) -> str:
        """Why it is in the slice, in words."""
        if self.read:
            return "read by a statement"
        return "came along" if self.rows else "only its structure is needed"

    @property
    def width(self) -> float:
        """What the box needs."""
        texts = [1.1 * text_width(self.label, NAME_SIZE), text_width(self.info, INFO_SIZE)]
        texts += [text_width(f"{part.label}  {part.counts}", INFO_SIZE) + 18 for part in self.parts]
        return max(86.0, *texts) + 22

    @property
    def height(self) -> float:
        """What the box needs."""
        return HEAD + (len(self.parts) * PART + 6 if self.parts else 0)

    @property
    def info(self) -> str:
        """The line below the name."""
        return f"{self.schema} · {self.counts}"


def text_width(text: str, size: float) -> float:
    """The approximate width of a text in a sans-serif font, in the unit of its size."""
    narrow, wide = sum(text.count(c) for c in "fijlrtI.,:;'|! ()[]·"), sum(text.count(c) for c in "mwMW@%")
    capitals = sum(character.isupper() for character in text)
    return size * (0.62 * (len(text) - narrow - wide) + 0.37 * narrow + 0.95 * wide + 0.1 * capitals)


def boxes_of(
    tables: Sequence[Mapping[str, Any]], foreign_keys: Sequence[Mapping[str, Any]], along: Sequence[str]
) -> list[Box]:
    """The tables as boxes, each part in the box of its master.

    Parameters
    ----------
    tables, foreign_keys : sequence of mapping
        From a manifest.
    along : sequence of str
        Rules that brought rows which no statement had read.
    """
    names = {table["name"] for table in tables}
    masters = {key["child"]: key["parent"] for key in foreign_keys if key["part"]}
    parts: dict[str, list[Box]] = {}

    def box_of(table: Mapping[str, Any], master: str | None) -> Box:
        name = TableName.of(table["name"])
        return Box(
            name.full,
            tier_of(name.table),
            name.label if master is None else name.label.partition(".")[2] or name.label,
            name.schema,
            whole(table["rows"]),
            known(table["total_rows"]),
            any(rule not in along for rule in table["reasons"]),
            () if master else tuple(parts.get(name.full, ())),
        )

    above = {table["name"]: _master(table["name"], masters, names) for table in tables}
    for table in tables:
        master = above[table["name"]]
        if master is not None:
            parts.setdefault(master, []).append(box_of(table, master))
    return [box_of(table, None) for table in tables if above[table["name"]] is None]


def _master(name: str, masters: Mapping[str, str], names: set[str]) -> str | None:
    """The master in whose box a part is drawn; for a part of a part, the master of both."""
    passed = [name]
    while passed[-1] in masters and masters[passed[-1]] not in passed:
        passed.append(masters[passed[-1]])
    return passed[-1] if len(passed) > 1 and passed[-1] in names and passed[-1] not in masters else None


def draw(
    tables: Sequence[Mapping[str, Any]],
    foreign_keys: Sequence[Mapping[str, Any]],
    along: Sequence[str],
    *,
    links: Mapping[str, str] | None = None,
) -> Markup:
    """The SVG element.

    Parameters
    ----------
    tables, foreign_keys, along
        As of `boxes_of`.
    links : mapping, optional
        Targets of links, by full table name.
    """
    boxes = boxes_of(tables, foreign_keys, along)
    number = {member.name: i for i, box in enumerate(boxes) for member in (box, *box.parts)}
    keys = {table["name"]: set(table.get("primary_key") or ()) for table in tables}
    kinds: dict[tuple[int, int], str] = {}
    for fk in foreign_keys:
        if fk["child"] in number and fk["parent"] in number:
            pair = number[fk["parent"]], number[fk["child"]]
            if pair[0] != pair[1]:
                kinds[pair] = min(kinds.get(pair, "secondary"), _kind(fk, keys), key=_STRENGTH.index)
    layout = lay_out([(box.width, box.height) for box in boxes], kinds, WIDTH)
    text = render(
        "diagram.svg.j2",
        margin=MARGIN,
        width=layout.width + 2 * MARGIN,
        height=layout.height + 2 * MARGIN,
        head=HEAD,
        line=PART,
        edges=[(*pair, kind, _path(layout.routes[pair])) for pair, kind in kinds.items()],
        boxes=list(zip(boxes, layout.places, strict=True)),
        links=links or {},
    )
    return Markup(text)


_STRENGTH = ("whole", "primary", "secondary")


def _kind(fk: Mapping[str, Any], keys: Mapping[str, set[str]]) -> str:
    key, columns = keys[fk["child"]], set(fk["columns"])
    if not key or not columns <= key:
        return "secondary" if key else "primary"
    return "whole" if columns == key else "primary"


def _path(points: Sequence[tuple[float, float]]) -> str:
    out = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (x1, y1) in itertools.pairwise(points):
        if abs(x - x1) < 0.5:
            out.append(f"L{x1:.1f} {y1:.1f}")
        else:
            middle = (y + y1) / 2
            out.append(f"C{x:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    return "".join(out)
