"""The analysis of a paper on one project of the small laboratory: ordinary DataJoint without dj-sqlspy.

In: the `Pipeline`. Out: numbers on standard output, and rows of the computed table ``Response``.
"""

from __future__ import annotations

from typing import Any

import datajoint as dj
import numpy as np

from .pipeline import Pipeline

PAPER = {"project": "memory"}


def rows(expression: Any, **options: Any) -> list[dict[str, Any]]:
    """Rows as dictionaries; ``fetch(as_dict=True)`` of 0.14 is ``to_dicts()`` in 2.x."""
    if hasattr(expression, "to_dicts"):
        return list(expression.to_dicts(**options))
    return list(expression.fetch(as_dict=True, **options))


def analyse(lab: Pipeline) -> None:
    """Run the analysis."""
    sessions = lab.Session * lab.Animal & PAPER
    usable = sessions - lab.Exclusion
    print(f"{len(usable)} usable sessions of {len(sessions)}")

    trials = lab.Session.Trial & usable.proj()
    hits = (lab.Session & usable.proj()).aggr(trials & "outcome = 'hit'", hits="count(*)")
    for row in rows(hits, order_by="animal, session_date", limit=3):
        print("{animal}  {session_date}  {hits} hits".format(**row))
    print("outcomes:", sorted(row["outcome"] for row in rows(dj.U("outcome") & trials)))

    amplitudes = []
    for key in rows(usable.proj()):
        sex = (lab.Animal & key).fetch1("sex")
        traces = [row["trace"] for row in rows(lab.Session.Trial & key & "trial <= 3")]
        amplitudes.append((sex, float(np.mean([trace.std() for trace in traces]))))
    for sex in ("F", "M"):
        print(f"{sex}: mean amplitude {np.mean([a for s, a in amplitudes if s == sex]):.3f}")

    lab.Response.populate(trials.proj(), {"threshold_id": 2})
    crossings = sum(row["crossings"] for row in rows(lab.Response & trials.proj()))
    print(f"{crossings} crossings of the upper threshold")
