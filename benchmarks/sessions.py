"""Sessions: what the ten thousandth run of a paper costs, and what its commands then take.

Baseline: the same after a hundred sessions. The analyses are run again and again, as they are while a paper is made.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time

from .measure import Figure, Place, in_process

ANALYSES = 10
FEW = 100
COMMANDS = (["papers"], ["show", "paper"], ["recover", "paper", "analysis 1"])


def run(place: Place) -> list[Figure]:
    sizes = [FEW, 1_000] if place.quick else [FEW, 1_000, 10_000]
    found = []
    few: dict[str, float] = {}
    for count in sizes:
        ours = in_process("sessions:pile", place, count=count)
        few = few or ours
        for what, seconds in ours.items():
            constant = what.startswith("open")
            goal = ("the same" if constant else "under 1 s") if count == sizes[-1] else ""
            met = (seconds <= 1.5 * few[what]) if constant else seconds < 1
            work = f"{count:,} sessions of {ANALYSES} analyses"
            found.append(Figure(what, work, few[what], seconds, goal, met if goal else None, size=count))
    return found


def pile(place: Place, count: int) -> dict[str, float]:
    """Seconds of the last sessions, and of the commands after them."""
    from dj_sqlspy import export
    from dj_sqlspy.cli import main

    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as home:
        times = []
        for number in range(count):
            start = time.perf_counter()
            with export("paper", f"analysis {number % ANALYSES}", home=home) as session:
                session.journal.statement("SELECT * FROM `lab`.`trial` WHERE n = 1", 1, "data", "lab:3306", 0)
            times.append(time.perf_counter() - start)
        found["open and close a session"] = statistics.median(times[-50:])
        for words in COMMANDS:
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                if main(["--home", home, *words]):
                    raise RuntimeError(f"{words} failed")
            found[words[0]] = time.perf_counter() - start
    return found
