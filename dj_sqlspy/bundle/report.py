"""Report: one page that shows a bundle to a person.

In: the manifest of a bundle, the outcome of its last replay, the findings of its last inspection, and its first rows.
Out: the text of ``report.html``: notices, diagram, tables, statements, reasons, files, findings. This module chooses
the contents, ``templates/report.html.j2`` has the form. The page is self-contained, and readable without its script,
which only searches, sorts and highlights. Everything on it is in ``manifest.json``, ``replay.json``,
``first-rows.json`` and ``inspection.json``.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from markupsafe import Markup

from ..dump.exclude import contents
from ..dump.pseudonyms import with_pseudonyms
from ..names import tier_of
from ..rules import (
    EXCLUDED,
    LEFT_OUT,
    NOT_REPLAYED,
    NOT_SENT,
    PARENT,
    PART,
    PSEUDONYM,
    READ,
    ROUTINE,
    SKIPPED,
    WHOLE,
    WHOLE_INSIDE,
    WITHHELD,
)
from ..servers.dialect import Literals
from ..servers.dialects import dialect_of
from ..shapes import lift
from .diagram import draw
from .environment import commit_text, differences
from .firstrows import shown_results, shown_tables
from .manifest import not_replayable
from .render import known, render, rows, total_of, whole
from .tablename import Place, TableName

ALONG = (PARENT, PART)  # rules that bring rows which no statement has read
BINDINGS = 60  # statements of one shape that are shown one by one

# Explanations of the rules for a reader who does not know the documentation.
RULES = {
    READ: "The result of a captured statement depends on the row.",
    WHOLE: "A statement could not be analysed, so all rows of the tables that it names are here.",
    WHOLE_INSIDE: "A statement could not be analysed, so all rows of the tables that it names are here, but for those "
    "outside of a boundary.",
    PARENT: "Another row of the slice refers to it by a foreign key.",
    PART: "It is a part of a row of the slice: DataJoint keeps a master and its parts together.",
}
WITNESS = (
    "It keeps other rows out of a result, as in the source: without it a statement would return too many."
)

# Explanations of the marks: why the result of a statement can change by itself.
MARKS = {
    "now": "asks for the time",
    "rand": "asks for random numbers",
    "limit": "takes some of the rows, in an order that does not decide between all of them",
    "session": "asks for a value of its session",
    "variable": "asks for a variable of the server",
    "place": "depends on where its rows are stored",
}

# What a reader must know of statements with other marks.
NOTES = {
    EXCLUDED: "It reads a column whose contents are not here, and stands here without its values.",
    WITHHELD: "It stands here without its values, which can tell of what was left out.",
    PSEUDONYM: "It depends on values that have pseudonyms here, so it cannot be compared.",
    ROUTINE: "It calls a stored function that is not here, so it cannot be replayed.",
    SKIPPED: "The lab left it out: what it read is not here.",
}

Entry = Mapping[str, Any]


def report_html(
    manifest: Entry,
    replay: Entry | None = None,
    inspection: Entry | None = None,
    first_rows: Entry | None = None,
) -> str:
    """The page.

    Parameters
    ----------
    manifest : mapping
        The manifest of the bundle.
    replay : mapping, optional
        The contents of ``replay.json``, after a verification.
    inspection : mapping, optional
        The contents of ``inspection.json``, after an inspection.
    first_rows : mapping, optional
        The contents of ``first-rows.json``, after a verification.

    Raises
    ------
    BundleError
        If a number or the name of a table is not valid.
    """
    style, script = page_part("report.css"), page_part("report.js")
    tables = manifest["tables"]
    links = {table["name"]: f"#{TableName.of(table['name']).anchor}" for table in tables}
    return render(
        "report.html.j2",
        title=f"Data behind {manifest['paper']}" if manifest["paper"] else "A slice of a database",
        style=style,
        script=script,
        digest=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        manifest=manifest,
        replay=replay,
        inspection=inspection,
        head=_head(manifest, replay),
        notices=_notices(manifest, replay),
        diagram=draw(tables, manifest["foreign_keys"], ALONG, links=links),
        looked_at=first_rows,
        tables=list(_tables(manifest, first_rows)),
        groups=list(_groups(manifest, replay, first_rows)),
        reasons=_reasons(tables),
        files=_files(manifest.get("files") or ()),
        code=[one for one in manifest.get("code") or () if one["state"] != "missing"],
        named=TableName.of,
        place_of=Place.of,
        outcome=outcome,
        commit_text=commit_text,
        day=lambda moment: str(moment)[:10],
    )


@cache
def page_part(name: str) -> Markup:
    """A file of the package that stands in a page: its style, or its script."""
    return Markup(resources.files(__package__).joinpath("pages").joinpath(name).read_text(encoding="utf-8"))


# ---------------------------------------------------------------- parts of the page


def _head(manifest: Entry, replay: Entry | None) -> dict[str, Any]:
    tables, statements = manifest["tables"], manifest["statements"]
    here, total = sum(whole(table["rows"]) for table in tables), total_of(t["total_rows"] for t in tables)
    filled = sum(table["rows"] > 0 for table in tables)
    states = _states(replay)
    return {
        "analyses": list(dict.fromkeys(one["analysis"] for one in statements if one["analysis"])),
        "rows": here,
        "total": total,
        "share": here / total if total else 1.0,
        "filled": filled,
        "empty": len(tables) - filled,
        "equal": sum(states.get(one["number"], {}).get("state") == "equal" for one in statements),
        "excluded": len(not_replayable(manifest)),
        "orphans": sum(whole(key["orphans"]) for key in (replay or {}).get("keys", ())),
        "files": len(manifest.get("files") or ()),
        "size": _size(manifest.get("files") or ()),
    }


def _notices(manifest: Entry, replay: Entry | None) -> dict[str, Any]:
    """What a reader must know first. Empty entries need no notice."""
    statements = manifest["statements"]
    results = replay or {}
    marked = {one["number"] for one in statements if one["marks"]}
    marks: dict[str, list[int]] = {}
    for one in statements:
        for mark in sorted(set(one["marks"]) - NOT_REPLAYED - {LEFT_OUT}):
            marks.setdefault(mark, []).append(one["number"])
    files: dict[str, list[Entry]] = {}
    for file in manifest.get("files") or ():
        files.setdefault(file["state"], []).append(file)
        if file.get("unread"):
            files.setdefault("unread", []).append(file)
    return {
        "unfinished": manifest.get("unfinished") or (),
        "complete": manifest["complete"] is True,
        # different results of statements that should always give the same
        "different": [
            one
            for one in results.get("statements", ())
            if one["state"] != "equal" and not marked >= set(one["numbers"])
        ],
        "wrong": [
            *({"name": None, "message": text} for text in results.get("structure", ())),
            *results.get("tables", ()),
        ],
        "broken": [key for key in results.get("keys", ()) if key["orphans"] or key["lost"]],
        "files": files,  # by their state
        "fallbacks": [one for one in statements if one["fallback"]],
        "environments": differences(manifest["environments"]),
        "moved": [one for one in manifest.get("code") or () if one["state"] in ("changed", "missing")],
        "excluded": manifest.get("excluded") or (),
        "pseudonyms": manifest.get("pseudonyms"),
        "skipped": [one for one in statements if SKIPPED in one["marks"]],
        "unsent": [one for one in statements if NOT_SENT in one["marks"]],
        "cut": [one["number"] for one in statements if LEFT_OUT in one["marks"]],
        "marks": [{"what": MARKS.get(mark, mark), "numbers": numbers} for mark, numbers in marks.items()],
        "marked": len({number for numbers in marks.values() for number in numbers}),
    }


def _tables(manifest: Entry, first_rows: Entry | None) -> Iterator[Entry]:
    """Each table with its texts on the page."""
    looked = shown_tables(first_rows)
    readers = Counter(name for one in manifest["statements"] for name in one.get("tables") or ())
    masters = {key["child"]: key["parent"] for key in manifest["foreign_keys"] if key["part"]}
    left_out, hidden = contents(manifest), with_pseudonyms(manifest)
    for table in manifest["tables"]:
        name = TableName.of(table["name"])
        here, total = whole(table["rows"]), known(table["total_rows"])
        why = "; ".join(f"{rule}: {whole(count):,}" for rule, count in table["reasons"].items())
        yield {
            "rows": here,
            "total": total,
            "share": here / total if total else float(bool(here)),
            "restriction": table["restriction"],
            "comment": table.get("comment", ""),
            "columns": table.get("columns") or (),
            "key": table.get("primary_key") or (),
            "name": name,
            "tier": "part" if name.full in masters else tier_of(name.table),
            "why": why or "structure only",
            "master": masters.get(name.full),
            "readers": readers[name.full],
            "instead": left_out.get(name.full, {}),  # SQL that replaces excluded contents, by column
            "pseudonyms": hidden.get(name.full, {}),
            "first": looked.get(name.full),
        }


def _reasons(tables: Iterable[Entry]) -> list[dict[str, Any]]:
    found: dict[str, list[int]] = {}
    for table in tables:
        for rule, count in table["reasons"].items():
            found.setdefault(rule, []).append(whole(count))
    return [
        {"rule": rule, "rows": sum(counts), "tables": len(counts), "meaning": RULES.get(rule, WITNESS)}
        for rule, counts in sorted(found.items(), key=lambda item: -sum(item[1]))
    ]


def _files(files: Iterable[Entry]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for file in files:
        groups.setdefault((file["store"], file["kind"], file["state"]), []).append(file)
    return [
        {"store": store, "kind": kind, "state": state, "count": len(members), "size": _size(members)}
        for (store, kind, state), members in groups.items()
    ]


def _size(files: Iterable[Entry]) -> int:
    return sum(whole(file["size"] or 0) for file in files)


# ---------------------------------------------------------------- statements


def _groups(manifest: Entry, replay: Entry | None, first_rows: Entry | None) -> Iterator[Entry]:
    """Groups of statements that differ only in their values, with their texts on the page."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    literals = dialect_of(manifest["server"]["flavor"]).literals
    for one in manifest["statements"]:
        groups.setdefault((lift(one["sql"], literals)[0], one["analysis"], one["kind"]), []).append(one)
    states = _states(replay)
    looked = shown_results(first_rows, [[one["number"] for one in members] for members in groups.values()])
    for ((_, analysis, kind), members), shown in zip(groups.items(), looked, strict=True):
        first = members[0]
        now = [one["rows_then"] if one["rows_now"] is None else one["rows_now"] for one in members]
        tables = list(dict.fromkeys(name for one in members for name in one.get("tables") or ()))
        state, said = _state_of(members, states, replay is not None)
        yield {
            "number": whole(first["number"]),
            "count": len(members),
            "analysis": analysis,
            "kind": kind,
            "tables": tables,
            "labels": [TableName.of(name).label for name in tables],
            "marks": sorted({mark for one in members for mark in one["marks"]}),
            "fallback": any(one["fallback"] for one in members),
            "rows": [whole(count) for count in now if count is not None],
            "state": state,  # in a word
            "states": said,  # with counts, unless it is the same for all
            "sql": first["sql"],
            "gist": " ".join(first["sql"].split())[:300],
            "captured": first.get("captured", ""),
            "notes": _notes(members, states),
            "bindings": _bindings(members, literals) if len(members) > 1 else (),
            "first": shown,
            # for a long loop only those that the page names elsewhere
            "anchors": [
                whole(one["number"]) for i, one in enumerate(members) if i < BINDINGS or _is_odd(one, states)
            ],
        }


def _states(replay: Entry | None) -> dict[int, Entry]:
    """The replay result of each statement, by number."""
    return {number: one for one in (replay or {}).get("statements", ()) for number in one["numbers"]}


def _state_of(members: Sequence[Entry], states: Mapping[int, Entry], replayed: bool) -> tuple[str, str]:
    counts = Counter(states[one["number"]]["state"] for one in members if one["number"] in states)
    if "error" in counts:
        state = "error"
    elif not replayed or set(counts) == {"excluded"}:
        state = "not replayed"
    else:
        state = "equal" if set(counts) == {"equal"} else "differs"
    return state, ", ".join(f"{n:,} {name}" for name, n in counts.items()) if len(counts) > 1 else state


def _is_odd(statement: Entry, states: Mapping[int, Entry]) -> bool:
    """Whether the page names a statement elsewhere."""
    drifted = statement["rows_then"] != statement["rows_now"]
    other = states.get(statement["number"], {}).get("state", "equal") != "equal"
    return bool(statement["marks"] or statement["fallback"] or drifted or other)


def _notes(members: Sequence[Entry], states: Mapping[int, Entry]) -> list[str]:
    first = members[0]
    notes = [f"not analysed: {first['fallback']}"] if first["fallback"] else []
    notes += [note for mark, note in NOTES.items() if mark in first["marks"]]
    if NOT_SENT in first["marks"]:
        notes.append(f"It is not sent to a server again, so it is not replayed: {first['unsent']}.")
    for one in members:
        then, now = one["rows_then"], one["rows_now"]
        if then != now and None not in (then, now):
            notes.append(f"{whole(one['number'])}: {rows(then)} then, {rows(now)} now")
    for one in members:
        result = states.get(one["number"])
        if result is not None and result["state"] not in ("equal", "excluded"):
            notes.append(f"{whole(one['number'])}: {outcome(result)}")
    return notes


def _bindings(members: Sequence[Entry], literals: Literals) -> list[Entry]:
    return [
        {
            "number": whole(one["number"]),
            "literals": lift(one["sql"], literals)[1],
            "rows": [] if one["rows_now"] is None else [whole(one["rows_now"])],
        }
        for one in members[:BINDINGS]
    ]


def outcome(result: Entry) -> str:
    """The replay result of a statement if it was not equal."""
    if result["message"]:
        return str(result["message"])
    there, here = rows(result["source_rows"]), rows(result["slice_rows"])
    missing, extra = whole(result["missing"]), whole(result["extra"])
    return f"{there} in the source, {here} in the slice; {missing:,} missing, {extra:,} too many"
