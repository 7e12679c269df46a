"""Show: a paper in a notebook."""

from __future__ import annotations

from markupsafe import Markup

from ..display import html_table, time_text
from .captured import Captured


def paper_html(paper: Captured) -> str:
    """A paper for a notebook: its analyses."""
    rows = [
        (
            analysis.name,
            analysis.state,
            f"{analysis.statements:,}",
            time_text(analysis.started),
            "complete" if analysis.complete else Markup("<b>incomplete</b>"),
        )
        for analysis in paper.analyses
    ]
    headings = ("analysis", "state", "statements", "started", "record")
    table = (
        html_table(headings, rows, numbers=(2,)) if rows else Markup("<div>Nothing was captured yet.</div>")
    )
    problems = Markup("").join(Markup("<div>{}</div>").format(problem) for problem in paper.problems)
    return Markup("<div><b>{}</b>{}{}</div>").format(paper.name, table, problems)
