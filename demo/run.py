"""``make demo``: a paper's analysis of a public pipeline, unchanged, and the slice of the database behind it.

It starts a private server, declares the tables of the DataJoint Elements there, fills in three projects, and runs the
analysis inside ``sqlspy.export``. It writes and dumps the slice, loads it into a second private server, and replays
every captured statement there. It prints a table at the end; exit code 0 means that all results were equal.
"""

from __future__ import annotations

import contextlib
import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import dj_sqlspy as sqlspy
from dj_sqlspy.demo.show import Steps, beside, connect, row_counts, show, tell_places
from dj_sqlspy.servers import private_server

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent / "exports" / "demo"


def rows_of_others(cut: Any) -> int:
    """Rows of the slice that belong to a session, an animal or a project that is not the paper's."""
    from demo.analysis import PAPER
    from demo.elements_pipeline import lab, session, subject

    others = (lab.Project - PAPER).proj()
    sessions = session.Session.proj() & (session.ProjectSession & others)
    animals = (subject.Subject & sessions).proj()
    count = 0
    for table in cut.free_tables():
        names = set(table.heading.names)
        if {"subject", "session_datetime"} <= names:
            count += len(table & sessions)
        elif "subject" in names:
            count += len(table & animals)
        elif "project" in names:
            count += len(table & others)
    return count


def main() -> int:
    """Run the demonstration; returns the exit code."""
    steps = Steps()
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        with steps("start a server"):
            server = stack.enter_context(private_server())
        connect(server)
        with steps("declare DataJoint Elements"):
            from demo import elements_pipeline  # noqa: F401 - importing it declares the tables
        with steps("fill in three projects"):
            from demo.fill import fill

            fill()

        print("\nThe analysis, inside of sqlspy.export:\n")
        with steps("analysis"), sqlspy.export("place-cells", "figures", home=home):
            runpy.run_path(str(HERE / "analysis.py"), run_name="__main__")
        print()

        with server.connect() as connection:
            totals = row_counts(connection, "demo_")
        for folder in (BUNDLE, beside(BUNDLE)):
            shutil.rmtree(folder, ignore_errors=True)
        outcome = show(sqlspy.Paper("place-cells", home=home), BUNDLE, totals, rows_of_others, steps)
        tell_places(outcome)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
