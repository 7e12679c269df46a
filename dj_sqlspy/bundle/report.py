"""Report: one page that shows a bundle to a person.

In: the manifest of a bundle, what its last replay gave, and what the last look for personal data found. Out: the
text of ``report.html``: what to know first, the diagram, the tables, the statements, the reasons, the files, what
looks personal. The page holds all that it needs, asks for nothing from elsewhere, and reads well without its
script, which only searches, sorts and highlights. Every text of the database or of a statement is escaped. It
decides nothing: all that it says is in ``manifest.json``, ``replay.json`` and ``inspection.json``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from ..display import size_text
from ..dump.exclude import contents
from ..names import class_name, split_full_name, tier_of
from ..rules import EXCLUDED, LEFT_OUT, PARENT, PART, READ, WHOLE
from ..shapes import lift
from .diagram import draw

ALONG = (PARENT, PART)  # rules whose rows came along, without a statement that read them
BINDINGS = 60  # statements of one shape that are shown one by one

# What each rule means, for a reader who has not seen the documentation.
RULES = {
    READ: "The result of a captured statement depends on the row.",
    WHOLE: "A statement could not be analysed, so all rows of the tables that it names are here.",
    PARENT: "Another row of the slice refers to it by a foreign key.",
    PART: "It is a part of a row of the slice: DataJoint keeps a master and its parts together.",
}
WITNESS = (
    "It keeps other rows out of a result, as in the source: without it a statement would return too many."
)

MARKS = {
    "now": "asks for the time",
    "rand": "asks for random numbers",
    "limit": "takes some of the rows, in an order that does not decide between all of them",
    "session": "asks for a value of its session",
    "variable": "asks for a variable of the server",
}

FILE_STATES = {
    "missing": ("is not in its store", "are not in their stores"),
    "changed": ("is not as the database says", "are not as the database says"),
    "outside": ("has a path that leads out of its store", "have paths that lead out of their stores"),
    "unreachable": (
        "was not looked at: its store could not be reached",
        "were not looked at: their stores could not be reached",
    ),
}


def report_html(
    manifest: Mapping[str, Any],
    replay: Mapping[str, Any] | None = None,
    inspection: Mapping[str, Any] | None = None,
) -> str:
    """The page.

    Parameters
    ----------
    manifest : mapping
        Of the bundle.
    replay : mapping, optional
        What ``replay.json`` holds, once the bundle was verified.
    inspection : mapping, optional
        What ``inspection.json`` holds, once the bundle was looked through for personal data.
    """
    style, script = _page("report.css"), _page("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    title = f"Data behind {manifest['paper']}" if manifest["paper"] else "A slice of a database"
    body = "\n".join(
        [
            _head(title, manifest, replay),
            _warnings(manifest, replay),
            _diagram(manifest),
            _tables(manifest),
            _statements(manifest, replay),
            _reasons(manifest),
            _files(manifest),
            _privacy(inspection),
            _about(manifest, replay),
        ]
    )
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""
    # a statement may hold bytes that are no text: they are shown, not written
    return text.encode("utf-8", "backslashreplace").decode()


def _page(name: str) -> str:
    return resources.files(__package__).joinpath("pages").joinpath(name).read_text(encoding="utf-8")


# ---------------------------------------------------------------- what to know first


def _head(title: str, manifest: Mapping[str, Any], replay: Mapping[str, Any] | None) -> str:
    tables, statements = manifest["tables"], manifest["statements"]
    rows, total = sum(t["rows"] for t in tables), sum(t["total_rows"] for t in tables)
    filled = sum(t["rows"] > 0 for t in tables)
    analyses = list(dict.fromkeys(s["analysis"] for s in statements if s["analysis"]))
    read = f" that {_and([f'<b>{escape(a)}</b>' for a in analyses])} read" if analyses else ""
    empty = len(tables) - filled
    structure = f", {empty:,} more for their structure" if empty else ""
    tiles = [
        (f"{rows:,}", f"rows, of {total:,} in these tables", rows / total if total else 1.0),
        (f"{filled:,}", f"tables with rows{structure}", None),
        (f"{len(statements):,}", _replayed(statements, replay), None),
        (f"{len(manifest['foreign_keys']):,}", _keys(replay), None),
    ]
    files = manifest.get("files") or []
    if files:
        size = size_text(sum(file["size"] or 0 for file in files))
        tiles.append((f"{len(files):,}", f"files outside of the database, {size}", None))
    shown = "".join(
        f'<div class="tile"><b>{number}</b><span>{text}</span>{_meter(share)}</div>'
        for number, text, share in tiles
    )
    created = escape(str(manifest["created"])[:10])
    return f"""<header>
<p class="kind">Slice of a DataJoint database · {created}</p>
<h1>{escape(title)}</h1>
<p class="lead">These are the rows{read}, and the rows that they stand on: no other row left the lab's database.</p>
<div class="tiles">{shown}</div>
<nav><a href="#warnings">To know first</a> <a href="#diagram">Diagram</a> <a href="#tables">Tables</a>
<a href="#statements">Statements</a> <a href="#reasons">Reasons</a>
{'<a href="#files">Files</a>' if files else ""} <a href="#privacy">Privacy</a> <a href="#about">About</a></nav>
</header>"""


def _meter(share: float | None) -> str:
    return "" if share is None else f'<i class="meter"><i style="width:{100 * share:.1f}%"></i></i>'


def _replayed(statements: Sequence[Mapping[str, Any]], replay: Mapping[str, Any] | None) -> str:
    if replay is None:
        return "statements, not replayed yet"
    states = _states(replay)
    equal = sum(states.get(s["number"], {}).get("state") == "equal" for s in statements)
    excluded = sum(EXCLUDED in s["marks"] for s in statements)
    apart = f", {excluded:,} not replayed" if excluded else ""
    return f"statements, {'all' if equal == len(statements) else f'{equal:,}'} equal when replayed{apart}"


def _keys(replay: Mapping[str, Any] | None) -> str:
    if replay is None:
        return "foreign keys"
    orphans = sum(key["orphans"] for key in replay["keys"])
    return f"foreign keys, {orphans:,} orphans"


def _states(replay: Mapping[str, Any] | None) -> dict[int, Mapping[str, Any]]:
    """The result of the replay of each statement, by its number."""
    if replay is None:
        return {}
    return {number: result for result in replay["statements"] for number in result["numbers"]}


def _warnings(manifest: Mapping[str, Any], replay: Mapping[str, Any] | None) -> str:
    items = [*_errors(manifest, replay), *_cautions(manifest), *_notes(manifest, replay)]
    good = '<p class="good">Nothing to warn about.</p>'
    summary = "" if any(level != "note" for level, _, _ in items) else good
    shown = "".join(
        f'<li class="{level}"><b>{headline}</b>{f"<div>{text}</div>" if text else ""}</li>'
        for level, headline, text in items
    )
    return (
        f'<section id="warnings"><h2>To know first</h2>{summary}<ul class="warnings">{shown}</ul></section>'
    )


_Item = tuple[str, str, str]


def _errors(manifest: Mapping[str, Any], replay: Mapping[str, Any] | None) -> Iterable[_Item]:
    if not manifest["complete"]:
        problems = _list(escape(problem) for problem in manifest["problems"])
        yield "error", "The capture has gaps: the slice may lack rows that the analysis read.", problems
    if replay is not None:
        marked = {s["number"] for s in manifest["statements"] if s["marks"]}
        bad = [r for r in replay["statements"] if r["state"] != "equal" and not marked >= set(r["numbers"])]
        if bad:
            lines = _list(f"{_links(r['numbers'])}: {escape(_outcome(r))}" for r in bad)
            yield (
                "error",
                f"{_count(len(bad), 'statement gave', 'statements gave')} another result when replayed.",
                lines,
            )
        wrong = [escape(text) for text in replay.get("structure", ())]
        wrong += [f"{_table(t['name'])}: {escape(t['message'])}" for t in replay.get("tables", ())]
        if wrong:
            yield "error", "The loaded slice is not what the manifest says.", _list(wrong)
        broken = [k for k in replay["keys"] if k["orphans"] or k["lost"]]
        if broken:
            lines = _list(
                f"{_table(k['child'])}: {k['orphans']:,} rows find no row of {_table(k['parent'])},"
                f" {k['lost']:,} rows of masters in the slice are missing"
                for k in broken
            )
            yield "error", "Foreign keys or parts are not whole.", lines
    files = manifest.get("files") or []
    for state in ("missing", "changed"):
        bad_files = [file for file in files if file["state"] == state]
        if bad_files:
            yield "error", _files_are(bad_files, state), _list(_file_name(file) for file in bad_files)


def _cautions(manifest: Mapping[str, Any]) -> Iterable[_Item]:
    fallen = [s for s in manifest["statements"] if s["fallback"]]
    if fallen:
        lines = _list(f"{_links([s['number']])}: {escape(s['fallback'])}" for s in fallen)
        headline = _count(len(fallen), "statement was", "statements were")
        yield "caution", f"{headline} not analysed: all rows of the tables named there are here.", lines
    if manifest["drift"]:
        lines = _list(
            f"{_links([d['number']])}: {_rows(d['then'])} then, {_rows(d['now'])} now"
            for d in manifest["drift"]
        )
        yield "caution", "The database changed between the analysis and this export.", lines
    if manifest["views_left_out"]:
        views = _list(f"<code>{escape(view)}</code>" for view in manifest["views_left_out"])
        yield "caution", "These views are not here: they also read tables that are not in the slice.", views
    moved = [one for one in manifest.get("code") or () if one["state"] in ("changed", "missing")]
    if moved:
        lines = _list(
            f"<code>{escape(one['path'])}</code>: "
            + ("changed since it ran" if one["state"] == "changed" else "not found any more")
            for one in moved
        )
        yield "caution", "Code of the analyses is not here as it ran.", lines
    excluded = manifest.get("excluded") or []
    if excluded:
        lines = _list(
            f"{_table(one['table'])} <code>{escape(one['column'])}</code>: {escape(one['value'])}"
            + (f"; read by {_links(one['statements'])}" if one["statements"] else "")
            for one in excluded
        )
        headline = _count(len(excluded), "column is", "columns are")
        yield (
            "caution",
            f"{headline} here without contents: statements that read them cannot be replayed.",
            lines,
        )
    cut = [s["number"] for s in manifest["statements"] if LEFT_OUT in s["marks"]]
    if cut:
        headline = _count(len(cut), "statement needs", "statements need")
        yield "caution", f"{headline} rows that were left out, and can give another result.", _links(cut)
    files = manifest.get("files") or []
    for state in ("outside", "unreachable"):
        bad_files = [file for file in files if file["state"] == state]
        if bad_files:
            yield "caution", _files_are(bad_files, state), _list(_file_name(file) for file in bad_files)


def _notes(manifest: Mapping[str, Any], replay: Mapping[str, Any] | None) -> Iterable[_Item]:
    marks: dict[str, list[int]] = {}
    for statement in manifest["statements"]:
        for mark in set(statement["marks"]) - {EXCLUDED, LEFT_OUT}:
            marks.setdefault(mark, []).append(statement["number"])
    if marks:
        lines = _list(
            f"{escape(MARKS.get(mark, mark))}: {_links(numbers)}" for mark, numbers in marks.items()
        )
        count = len({number for numbers in marks.values() for number in numbers})
        headline = _count(count, "statement can", "statements can")
        yield "note", f"{headline} give another result each time.", lines
    if replay is None:
        verify = (
            "<code>dj-sqlspy verify</code> loads the slice into a private server and compares every result."
        )
        yield "note", "The statements were not replayed yet.", verify


def _files_are(files: Sequence[Mapping[str, Any]], state: str) -> str:
    one, many = FILE_STATES[state]
    return f"{_count(len(files), f'file {one}', f'files {many}')}."


def _file_name(file: Mapping[str, Any]) -> str:
    return f"<code>{escape(file['store'])}/{escape(file['path'])}</code>"


def _outcome(result: Mapping[str, Any]) -> str:
    if result["message"]:
        return str(result["message"])
    rows = f"{_rows(result['source_rows'])} in the source, {_rows(result['slice_rows'])} in the slice"
    return f"{rows}; {result['missing']:,} missing, {result['extra']:,} too many"


# ---------------------------------------------------------------- diagram and tables


def _diagram(manifest: Mapping[str, Any]) -> str:
    tables = manifest["tables"]
    links = {table["name"]: f"#{_anchor(table['name'])}" for table in tables}
    svg = draw(tables, manifest["foreign_keys"], ALONG, links=links)
    tiers = (("manual", "Manual"), ("lookup", "Lookup"), ("imported", "Imported"), ("computed", "Computed"))
    states = (("read", "read by a statement"), ("along", "came along"), ("empty", "structure only"))
    legend = "".join(f'<span class="key {name}">{text}</span>' for name, text in tiers)
    legend += "".join(f'<span class="key state {name}">{text}</span>' for name, text in states)
    return f"""<section id="diagram"><h2>Diagram</h2>
<p class="legend">{legend}</p>
<p class="hint">A line leads down from a table to what refers to it: thick where the reference is the whole primary
key, thin where it is part of it, dashed where it is secondary. Numbers are rows here of rows in the database.</p>
<p class="zoom"><button type="button" aria-pressed="false">Fit to the width</button></p>
<div class="canvas" tabindex="0" aria-label="Diagram, can be scrolled">{svg}</div></section>"""


def _anchor(name: str) -> str:
    return "t-" + hashlib.sha256(name.encode()).hexdigest()[:10]


def _table(name: str) -> str:
    """A link to what the page says of a table, by the name of its class."""
    schema, table = split_full_name(name)
    return (
        f'<a href="#{_anchor(name)}" title="{escape(name)}">{escape(schema)}.{escape(class_name(table))}</a>'
    )


def _tables(manifest: Mapping[str, Any]) -> str:
    readers: dict[str, int] = {}
    for statement in manifest["statements"]:
        for name in statement.get("tables") or ():
            readers[name] = readers.get(name, 0) + 1
    masters = {fk["child"]: fk["parent"] for fk in manifest["foreign_keys"] if fk["part"]}
    left_out = contents(manifest)
    rows = "\n".join(
        _table_row(table, readers, masters, left_out.get(table["name"], {})) for table in manifest["tables"]
    )
    return f"""<section id="tables"><h2>Tables</h2>
{_tools("tables", "name, column, reason")}
<div class="head" data-for="tables"><button data-sort="name">Table</button>
<button data-sort="rows">Rows here</button><button data-sort="share">of rows in all</button>
<button data-sort="why">Why they are here</button></div>
<div class="list tables" id="list-tables">{rows}</div></section>"""


def _table_row(
    table: Mapping[str, Any],
    readers: Mapping[str, int],
    masters: Mapping[str, str],
    instead: Mapping[str, str],
) -> str:
    name = table["name"]
    schema, short = split_full_name(name)
    tier = "part" if name in masters else tier_of(short)
    share = table["rows"] / table["total_rows"] if table["total_rows"] else 0.0
    why = "; ".join(f"{rule}: {count:,}" for rule, count in table["reasons"].items())
    why = why or "structure only"
    state = "empty" if not table["rows"] else ""
    label = class_name(short)
    comment = table.get("comment") or ""
    return f"""<details id="{_anchor(name)}" class="{state}" data-name="{escape(f"{schema}.{label}".lower())}"
 data-rows="{table["rows"]}" data-share="{share:.6f}" data-why="{escape(why)}">
<summary><span class="what"><i class="tier {tier}" title="{tier}"></i><b>{escape(label).replace(".", ".<wbr>")}</b>
<small>{escape(schema)}</small></span>
<span class="number">{table["rows"]:,}</span>
<span class="share"><b>{table["rows"]:,}</b>{_meter(share) if table["rows"] else ""}
<small>{table["total_rows"]:,}</small></span>
<span class="why">{escape(why)}</span></summary>
<div class="more">{f"<p>{escape(comment)}</p>" if comment else ""}
<p><code>{escape(name)}</code>, {tier}{f" of {_table(masters[name])}" if name in masters else ""};
read by {_count(readers[name], "statement", "statements") if name in readers else "no statement"}.</p>
{_columns(table, instead)}
{_restriction(table["restriction"])}</div></details>"""


def _restriction(condition: str) -> str:
    if condition in ("TRUE", "FALSE"):
        return f"<p>{'All' if condition == 'TRUE' else 'None'} of its rows are here.</p>"
    return f"<p>The rows here are those where</p><pre>{escape(_cut(condition, 3000))}</pre>"


def _instead(value: str | None) -> str:
    return "" if value is None else f' <i class="flag caution">contents left out: {escape(value)}</i>'


def _columns(table: Mapping[str, Any], instead: Mapping[str, str]) -> str:
    columns = table.get("columns")
    if not columns:
        return ""
    key = set(table.get("primary_key") or ())
    rows = "".join(
        f"<tr{' class=key' if c['name'] in key else ''}><td><code>{escape(c['name'])}</code></td>"
        f"<td><code>{escape(c['type'])}</code></td><td>{escape(c['comment'])}"
        f"{_instead(instead.get(c['name']))}</td></tr>"
        for c in columns
    )
    return (
        "<div class=scroll><table><thead><tr><th>column</th><th>type</th><th>meaning</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


# ---------------------------------------------------------------- statements


def _statements(manifest: Mapping[str, Any], replay: Mapping[str, Any] | None) -> str:
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for statement in manifest["statements"]:
        template = lift(statement["sql"])[0]
        groups.setdefault((template, statement["analysis"], statement["kind"]), []).append(statement)
    states = _states(replay)
    rows = "\n".join(_statement_row(members, states, replay is not None) for members in groups.values())
    same = ""
    if len(groups) < len(manifest["statements"]):
        same = '<p class="hint">Statements that differ only in their values stand together.</p>'
    return f"""<section id="statements"><h2>Statements</h2>{same}
{_tools("statements", "SQL, table, analysis")}
<div class="head" data-for="statements"><button data-sort="first">Number</button>
<button data-sort="analysis">Analysis</button><button data-sort="name">Reads</button>
<button data-sort="rows">Rows</button><button data-sort="state">Replay</button></div>
<div class="list statements" id="list-statements">{rows}</div></section>"""


def _statement_row(
    members: Sequence[Mapping[str, Any]], states: Mapping[int, Mapping[str, Any]], replayed: bool
) -> str:
    first = members[0]
    found = [states[m["number"]]["state"] for m in members if m["number"] in states]
    counts = {state: found.count(state) for state in dict.fromkeys(found)}
    if not replayed or set(counts) == {"excluded"}:
        state = "not replayed"
    else:
        state = "equal" if set(counts) == {"equal"} else "differs"
    if "error" in counts:
        state = "error"
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items()) if len(counts) > 1 else state
    flags = "".join(
        f'<i class="flag {kind}">{escape(text)}</i>'
        for kind, text in (
            *(("caution", "not analysed") for _ in members[:1] if any(m["fallback"] for m in members)),
            *(("note", mark) for mark in sorted({mark for m in members for mark in m["marks"]})),
        )
    )
    then = [m["rows_now"] if m["rows_now"] is not None else m["rows_then"] for m in members]
    known = [count for count in then if count is not None]
    unit = "row" if set(known) == {1} else "rows"
    tables = list(dict.fromkeys(name for m in members for name in m.get("tables") or ()))
    short = [class_name(split_full_name(name)[1]) for name in tables]
    numbers = (
        f"{first['number']}"
        if len(members) == 1
        else f"{first['number']} <small>&times; {len(members):,}</small>"
    )
    # of a long loop only those that something leads to
    named = [m for i, m in enumerate(members) if i < BINDINGS or _is_odd(m, states)]
    anchors = "".join(f'<a id="s-{m["number"]}"></a>' for m in named)
    return f"""<details data-first="{first["number"]}" data-analysis="{escape(first["analysis"].lower())}"
 data-name="{escape(" ".join(short).lower())}" data-rows="{sum(known)}" data-state="{state}">
<summary><span class="number">{anchors}{numbers}</span>
<span class="from"><b>{escape(first["analysis"])}</b><small>{escape(first["kind"])}</small></span>
<span class="reads"><span>{escape(", ".join(short)) or "&ndash;"} {flags}</span>
<code class="gist">{escape(" ".join(first["sql"].split())[:300])}</code></span>
<span class="number rows" data-unit="{unit}">{_range(known)}</span>
<span class="state {state.split()[0]}">{escape(said)}</span></summary>
<div class="more"><pre class="sql">{escape(_cut(first["sql"], 6000))}</pre>
{_captured(first)}{f"<p>Reads {_and([_table(name) for name in tables])}.</p>" if tables else ""}
{_said(members, states)}{_bindings(members)}</div></details>"""


def _is_odd(statement: Mapping[str, Any], states: Mapping[int, Mapping[str, Any]]) -> bool:
    """Whether the page names a statement elsewhere."""
    drifted = statement["rows_then"] != statement["rows_now"]
    other = states.get(statement["number"], {}).get("state", "equal") != "equal"
    return bool(statement["marks"] or statement["fallback"] or drifted or other)


def _captured(statement: Mapping[str, Any]) -> str:
    if "captured" not in statement:
        return ""
    return f'<p>It was sent as</p><pre class="sql">{escape(_cut(statement["captured"], 6000))}</pre>'


def _said(members: Sequence[Mapping[str, Any]], states: Mapping[int, Mapping[str, Any]]) -> str:
    lines = [f"not analysed: {escape(m['fallback'])}" for m in members[:1] if m["fallback"]]
    if EXCLUDED in members[0]["marks"]:
        lines.append("It reads a column whose contents are not here, and stands here without its values.")
    drifted = [
        m for m in members if m["rows_then"] != m["rows_now"] and None not in (m["rows_then"], m["rows_now"])
    ]
    lines += [
        f"{m['number']}: {_rows(m['rows_then'])} then, {_rows(m['rows_now'])} now" for m in drifted[:BINDINGS]
    ]
    for member in members:
        result = states.get(member["number"])
        if result is not None and result["state"] not in ("equal", "excluded"):
            lines.append(f"{member['number']}: {escape(_outcome(result))}")
    return _list(lines[:BINDINGS]) if lines else ""


def _bindings(members: Sequence[Mapping[str, Any]]) -> str:
    if len(members) == 1:
        return ""
    lines = "".join(
        f"<tr><td>{m['number']}</td><td><code>{escape(_cut(', '.join(lift(m['sql'])[1]), 300))}</code></td>"
        f"<td>{_range([] if m['rows_now'] is None else [m['rows_now']])}</td></tr>"
        for m in members[:BINDINGS]
    )
    more = f"<p>and {len(members) - BINDINGS:,} more, in manifest.json</p>" if len(members) > BINDINGS else ""
    return (
        "<div class=scroll><table><thead><tr><th>number</th><th>values</th><th>rows</th></tr></thead>"
        f"<tbody>{lines}</tbody></table></div>{more}"
    )


# ---------------------------------------------------------------- reasons, files, about


def _reasons(manifest: Mapping[str, Any]) -> str:
    counts: dict[str, list[int]] = {}
    for table in manifest["tables"]:
        for rule, rows in table["reasons"].items():
            known = counts.setdefault(rule, [0, 0])
            known[0] += rows
            known[1] += 1
    rows = "".join(
        f'<tr><td>{escape(rule)}</td><td class="number">{count:,}</td><td class="number">{tables:,}</td>'
        f"<td>{escape(RULES.get(rule, WITNESS))}</td></tr>"
        for rule, (count, tables) in sorted(counts.items(), key=lambda item: -item[1][0])
    )
    return f"""<section id="reasons"><h2>Reasons</h2>
<p class="hint">Each row is here because of a rule; it is counted under the first one that brought it.</p>
{_grid(("rule", "rows", "tables", "what it means"), rows, numbers=(1, 2))}</section>"""


def _files(manifest: Mapping[str, Any]) -> str:
    files = manifest.get("files") or []
    if not files:
        return ""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for file in files:
        groups.setdefault((file["store"], file["kind"], file["state"]), []).append(file)
    rows = "".join(
        f"<tr><td>{escape(store)}</td><td>{escape(kind)}</td><td>{escape(state)}</td>"
        f'<td class="number">{len(members):,}</td>'
        f'<td class="number">{size_text(sum(m["size"] or 0 for m in members))}</td></tr>'
        for (store, kind, state), members in groups.items()
    )
    return f"""<section id="files"><h2>Files</h2>
<p class="hint">Rows of the slice need files that lie outside of the database. They are not in the dump;
<code>dj-sqlspy files --copy</code> collects them. manifest.json names each one.</p>
{_grid(("store", "kind", "state", "files", "size"), rows, numbers=(3, 4))}</section>"""


def _privacy(inspection: Mapping[str, Any] | None) -> str:
    if inspection is None:
        return """<section id="privacy"><h2>Privacy</h2>
<p class="hint">Nobody has looked yet for what this tells of people, machines and folders;
<code>dj-sqlspy inspect</code> does.</p></section>"""
    findings = inspection["findings"]
    rows = "".join(
        f"<tr><td>{_where(one['where'])}</td><td>{escape(one['what'])}</td>"
        f'<td class="number">{one["values"]:,}</td>'
        f'<td class="number">{"" if one["rows"] is None else format(one["rows"], ",")}</td></tr>'
        for one in findings
    )
    table = _grid(("where", "looks like", "values", "rows"), rows, numbers=(2, 3))
    day = escape(str(inspection["created"])[:10])
    hints = [
        f"{_count(inspection['columns'], 'column', 'columns')} of text, and the texts of this folder, were looked"
        f" through on {day} for what looks as if it told of a person, a machine or a folder:"
        f" {_count(len(findings), 'finding', 'findings')}. What is personal, a person has to decide.",
    ]
    for key, what in (
        ("unread", "Not looked into, since they hold bytes"),
        ("cut", "Looked at in part, since they hold very many values"),
    ):
        if inspection[key]:
            hints.append(f"{what}: {_and([_where(where) for where in inspection[key]])}.")
    before, *after = (f'<p class="hint">{hint}</p>' for hint in hints)
    return f"""<section id="privacy"><h2>Privacy</h2>
{before}{table if findings else ""}{"".join(after)}</section>"""


def _where(where: str) -> str:
    """A column, after a link to its table; or a file of the bundle."""
    table, dot, column = where.rpartition(".`")
    if not dot or not where.startswith("`"):
        return f"<code>{escape(where)}</code>"
    return f"{_table(table)} <code>{escape(column.removesuffix('`').replace('``', '`'))}</code>"


def _about(manifest: Mapping[str, Any], replay: Mapping[str, Any] | None) -> str:
    server, versions = manifest["server"], manifest["versions"]
    facts = [
        ("Source", f"{server['flavor']} {server['version']}, {server.get('character_set_server', '')}"),
        ("Schemas", ", ".join(f"{s['name']} ({s['collation']})" for s in manifest["schemas"])),
        (
            "Parts",
            "a master brings all of its parts"
            if manifest["parts"] == "all"
            else "only parts that are needed",
        ),
        ("Made with", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("Created", manifest["created"]),
    ]
    code = [one for one in manifest.get("code") or () if one["state"] != "missing"]
    if code:
        facts.append(("Code", ", ".join(_code(one) for one in code)))
    if replay is not None:
        facts.append(("Replayed", replay["created"]))
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(text))}</dd>" for name, text in facts)
    return f"""<section id="about"><h2>About</h2><dl>{rows}</dl>
<p class="hint">This page was made from manifest.json by dj-sqlspy; <code>dj-sqlspy report</code> makes it again.</p>
</section>"""


def _code(one: Mapping[str, Any]) -> str:
    git = (
        f" (git {one['git']['commit'][:12]}{', changed' if one['git']['dirty'] else ''})"
        if one["git"]
        else ""
    )
    return f"{one['path']}{git}"


# ---------------------------------------------------------------- small texts


def _tools(name: str, what: str) -> str:
    return (
        f'<p class="tools"><input type="search" data-for="{name}" placeholder="Search: {what}"'
        f' aria-label="Search {name}"><output data-for="{name}"></output></p>'
    )


def _grid(headings: Sequence[str], rows: str, numbers: Sequence[int] = ()) -> str:
    """A table; its rows are HTML already."""
    cells = "".join(
        f"<th{' class=number' if place in numbers else ''}>{escape(heading)}</th>"
        for place, heading in enumerate(headings)
    )
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>'


def _links(numbers: Sequence[int], most: int = 12) -> str:
    shown = ", ".join(f'<a href="#s-{number}">{number}</a>' for number in numbers[:most])
    more = f" and {len(numbers) - most:,} more" if len(numbers) > most else ""
    return f"{'statement' if len(numbers) == 1 else 'statements'} {shown}{more}"


def _list(lines: Iterable[str], most: int = 20) -> str:
    shown = list(lines)
    more = f"<li>and {len(shown) - most:,} more</li>" if len(shown) > most else ""
    return f"<ul>{''.join(f'<li>{line}</li>' for line in shown[:most])}{more}</ul>"


def _and(texts: Sequence[str]) -> str:
    """
    >>> _and(["a"]), _and(["a", "b"]), _and(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _rows(count: int | None) -> str:
    return "unknown rows" if count is None else _count(count, "row", "rows")


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return "&ndash;"
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,}&ndash;{high:,}"


def _cut(text: str, length: int) -> str:
    """A text with its middle left out where it is long."""
    if len(text) <= length:
        return text
    return (
        f"{text[: length * 2 // 3]} … ({len(text) - length:,} characters left out) … {text[-length // 3 :]}"
    )
