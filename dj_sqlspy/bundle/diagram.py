"""Diagram: the tables of a slice as DataJoint draws them, as SVG.

In: the tables and foreign keys of a bundle's manifest. Out: text of an SVG element. Tiers have DataJoint's colours
and shapes (manual: green box, lookup: grey box, imported: blue, computed: red, with round ends), parts stand below
their master, an edge leads down from a table to what refers to it: thick where it is the whole primary key, thin
where it is a part of it, dashed where it is secondary. Colours are classes, so that the page decides between light
and dark. It decides nothing about the slice.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ..names import class_name, split_full_name, tier_of
from .layout import lay_out

NAME_SIZE, INFO_SIZE = 12.5, 10.0
HEAD = 40.0  # height of a table
PART = 17.0  # height of the line of a part
MARGIN = 6.0
# DataJoint's prefixes of table names, longest first


@dataclass
class Box:
    """A table, and the parts that it is master of."""

    name: str
    tier: str
    label: str
    schema: str
    rows: int
    total: int
    read: bool
    parts: list[Box] = field(default_factory=list)

    @property
    def classes(self) -> str:
        """Names of CSS classes."""
        state = "read" if self.read else "along" if self.rows else "empty"
        return f"table {self.tier} {state}"

    @property
    def counts(self) -> str:
        """The rows of it, in words."""
        if not self.rows:
            return "structure only"
        return f"{self.rows:,} of {self.total:,}"

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
    """About how wide a text is in a sans-serif font, in the unit of its size."""
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
        Of a manifest.
    along : sequence of str
        Names of the rules whose rows came along, without a statement that read them.
    """
    boxes: dict[str, Box] = {}
    for table in tables:
        schema, name = split_full_name(table["name"])
        read = any(rule not in along for rule in table["reasons"])
        boxes[table["name"]] = Box(
            table["name"], tier_of(name), class_name(name), schema, table["rows"], table["total_rows"], read
        )
    masters = {fk["child"]: fk["parent"] for fk in foreign_keys if fk["part"]}
    out = []
    for name, box in boxes.items():
        master = masters.get(name)
        while master in masters:  # a part of a part stands with it in the box of the master of both
            master = masters[master]
        if master is None or master not in boxes:
            out.append(box)
        else:
            box.label = box.label.partition(".")[2] or box.label
            boxes[master].parts.append(box)
    return out


def draw(
    tables: Sequence[Mapping[str, Any]],
    foreign_keys: Sequence[Mapping[str, Any]],
    along: Sequence[str],
    *,
    width: float = 1160.0,
    links: Mapping[str, str] | None = None,
) -> str:
    """The SVG element.

    Parameters
    ----------
    tables, foreign_keys : sequence of mapping
        Of a manifest.
    along : sequence of str
        Names of the rules whose rows came along.
    width : float
        That a row of boxes should not exceed, in pixels.
    links : mapping, optional
        For full table names, where a click leads to.
    """
    boxes = boxes_of(tables, foreign_keys, along)
    number = {}
    for index, box in enumerate(boxes):
        for member in (box, *box.parts):
            number[member.name] = index
    keys = {table["name"]: set(table.get("primary_key") or ()) for table in tables}
    kinds: dict[tuple[int, int], str] = {}
    for fk in foreign_keys:
        if fk["child"] in number and fk["parent"] in number:
            pair = number[fk["parent"]], number[fk["child"]]
            if pair[0] != pair[1]:
                kinds[pair] = min(kinds.get(pair, "secondary"), _kind(fk, keys), key=_STRENGTH.index)
    layout = lay_out([(box.width, box.height) for box in boxes], kinds, width)
    wide, high = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    parts = [
        f'<svg class="diagram" viewBox="{-MARGIN:g} {-MARGIN:g} {wide:.0f} {high:.0f}" width="{wide:.0f}"'
        f' height="{high:.0f}" style="min-width:{0.8 * wide:.0f}px" role="img"'
        ' aria-label="Diagram of the tables of the slice">'
    ]
    for (upper, lower), kind in kinds.items():
        path = _path(layout.routes[upper, lower])
        parts.append(f'<path class="edge {kind}" data-from="{upper}" data-to="{lower}" d="{path}"/>')
    for index, (box, (x, y)) in enumerate(zip(boxes, layout.places, strict=True)):
        parts.append(_box(index, box, x, y, links or {}))
    parts.append("</svg>")
    return "\n".join(parts)


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


def _box(index: int, box: Box, x: float, y: float, links: Mapping[str, str]) -> str:
    w, h, middle = box.width, box.height, box.width / 2
    out = [f'<g class="box" data-box="{index}" transform="translate({x:.1f} {y:.1f})">']
    if box.parts:
        out.append(f'<rect class="parts" width="{w:.1f}" height="{h:.1f}" rx="6"/>')
    round_end = {"computed": HEAD / 2, "imported": HEAD / 2, "manual": 3, "hidden": 3, "lookup": 0}[box.tier]
    out += [
        _open(box, links),
        f'<rect class="head" width="{w:.1f}" height="{HEAD:g}" rx="{round_end:g}"/>',
        _share(box, 12, HEAD - 5, w - 24),
        f'<text class="name" x="{middle:.1f}" y="16" text-anchor="middle">{escape(box.label)}</text>',
        f'<text class="info" x="{middle:.1f}" y="29.5" text-anchor="middle">{escape(box.info)}</text></a>',
    ]
    for line, part in enumerate(box.parts):
        top = HEAD + 3 + line * PART
        out += [
            _open(part, links),
            f'<rect class="line" x="1" y="{top:.1f}" width="{w - 2:.1f}" height="{PART:g}"/>',
            f'<circle class="dot" cx="9" cy="{top + PART / 2:.1f}" r="2.6"/>',
            f'<text class="part" x="17" y="{top + 12:.1f}">{escape(part.label)}</text>',
            f'<text class="info" x="{w - 8:.1f}" y="{top + 12:.1f}" text-anchor="end">{part.counts}</text></a>',
        ]
    out.append("</g>")
    return "".join(out)


def _open(box: Box, links: Mapping[str, str]) -> str:
    why = {True: "read by a statement", False: "came along" if box.rows else "only its structure is needed"}
    title = f"{box.name}\n{box.tier}, {box.counts}; {why[box.read]}"
    href = f' href="{escape(links[box.name])}"' if box.name in links else ""
    return f'<a class="{box.classes}"{href}><title>{escape(title)}</title>'


def _share(box: Box, x: float, y: float, width: float) -> str:
    """A bar of the rows exported of the rows in all."""
    if not box.rows:
        return ""
    filled = max(1.5, width * box.rows / max(box.total, box.rows))
    return (
        f'<rect class="track" x="{x:g}" y="{y:g}" width="{width:.1f}" height="2"/>'
        f'<rect class="fill" x="{x:g}" y="{y:g}" width="{filled:.1f}" height="2"/>'
    )
