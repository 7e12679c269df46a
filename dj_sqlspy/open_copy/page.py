"""Page: what an open copy has, to look at without any program but a browser.

In: the manifest of a bundle, what was copied, and first rows (`firstrows`). Out: the text of ``report.html``. It has no
script, and asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..bundle.firstrows import shown_results, shown_tables
from ..bundle.guide import title_of
from ..bundle.render import render
from ..bundle.report import page_part
from ..bundle.tablename import TableName
from ..servers.dialects import dialect_of
from ..shapes import lift
from .result import DATABASE_FILE, CopiedStatement, OpenCopy

Entry = Mapping[str, Any]


def page_html(manifest: Entry, copy: OpenCopy, first_rows: Entry | None) -> str:
    """The page of an open copy; without first rows (None) it has everything else."""
    return render(
        "open-copy.html.j2",
        title=title_of(manifest),
        style=page_part("report.css"),
        copy=copy,
        file=DATABASE_FILE,
        rows=first_rows,
        tables=list(_tables(manifest, copy, shown_tables(first_rows))),
        groups=list(_groups(manifest, copy.statements, first_rows)),
    )


def _tables(manifest: Entry, copy: OpenCopy, looked: Mapping[str, Entry]) -> Iterator[Entry]:
    known = {one["name"]: one for one in manifest["tables"]}
    for copied in copy.tables:
        about, notes = known[copied.name], dict(copied.notes)
        yield {
            "name": TableName.of(copied.name),
            "copied": copied,
            "comment": about["comment"],
            "columns": [
                {
                    **column,
                    "key": column["name"] in about["primary_key"],
                    "note": notes.get(column["name"], ""),
                }
                for column in about["columns"]
            ],
            "first": looked.get(copied.name),
        }


def _groups(
    manifest: Entry, statements: Sequence[CopiedStatement], first_rows: Entry | None
) -> Iterator[Entry]:
    """Groups of statements that differ only in their values, as the report of a bundle has them."""
    literals = dialect_of(manifest["server"]["flavor"]).literals
    groups: dict[tuple[str, str, str], list[CopiedStatement]] = {}
    for one in statements:
        groups.setdefault((lift(one.sql, literals)[0], one.analysis, one.kind), []).append(one)
    numbers = [[number for one in members for number in one.numbers] for members in groups.values()]
    for members, shown in zip(groups.values(), shown_results(first_rows, numbers), strict=True):
        first = members[0]
        yield {
            "number": first.numbers[0],
            "count": sum(one.count for one in members),
            "views": sum(one.count for one in members if one.view),
            "analysis": first.analysis,
            "kind": first.kind,
            "rows": [one.rows for one in members if one.rows is not None],
            "sql": first.sql,
            "gist": " ".join(first.sql.split())[:300],
            "view": first.view,
            "cautions": first.cautions,
            "why_not": next((one.why_not for one in members if one.why_not), ""),
            "first": shown,
        }
