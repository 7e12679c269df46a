"""Commands that capture, and commands for journals.

In: arguments. Out: a program that runs, or changed journals. A command is a thin layer over a function, and imports
what it needs itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..rules import POLICY_CHOICES

Add = Callable[[str, Callable[[argparse.Namespace], Any], str], argparse.ArgumentParser]


def add_commands(add: Add) -> None:
    """Add the commands to the parser; ``add`` takes a name, a function and a text."""
    run = add("run", _run, "run a script, a module (-m) or a notebook, and capture what it reads")
    run.allow_abbrev = False
    run.add_argument("--paper", help="default: the setting sqlspy.paper")
    run.add_argument(
        "--analysis", help="default: the setting sqlspy.analysis, else the name of the script or notebook"
    )
    run.add_argument("--append", action="store_true", help="add to what was captured before")
    run.add_argument(
        "--append-to",
        metavar="RUN",
        help="add to the run of this name, or start it: for independent processes, such as tasks of an array "
        "(default: replace what was captured before)",
    )
    for kind, choices in POLICY_CHOICES.items():
        run.add_argument(
            f"--{kind}",
            choices=choices,
            help=f"what statements of this kind export (default: the setting sqlspy.{kind}, else {choices[0]})",
        )
    run.add_argument("--kernel", metavar="NAME", help="for a notebook (default: the one that it names)")
    run.add_argument(
        "-m",
        dest="module",
        nargs=argparse.REMAINDER,
        help="run a module, as python -m does (default: PROGRAM)",
    )
    run.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="PROGRAM", help="script.py or notebook.ipynb, arguments"
    )
    merge = add("merge", _merge, "take over the journals of another home, as copied from another machine")
    merge.add_argument("source", metavar="DIR", help="the other home")
    share = add(
        "share", _share, "upload runs that the shared log (sqlspy.schema) does not have, and their tables"
    )
    share.add_argument("paper", metavar="PAPER")
    share.add_argument(
        "analysis", metavar="ANALYSIS", nargs="?", help="this one, also where the log has a newer"
    )
    recover = add("recover", _recover, "list the runs of an analysis, or let an earlier one count again")
    recover.add_argument("paper", metavar="PAPER")
    recover.add_argument("analysis", metavar="ANALYSIS")
    recover.add_argument(
        "--run", type=int, metavar="NUMBER", help="the run that is to count (default: list them)"
    )


def _run(options: argparse.Namespace) -> int:
    from .launch import run

    # argparse ends the arguments of an option at "--"; the rest is for the program
    return run(
        options.program if options.module is None else ["-m", *options.module, *options.program],
        paper=options.paper,
        analysis=options.analysis,
        home=options.home,
        append=options.append_to or options.append or None,
        kernel=options.kernel,
        **{kind: getattr(options, kind) for kind in POLICY_CHOICES},
    )


def _merge(options: argparse.Namespace) -> None:
    from ..journal.upkeep import merge
    from .terminal import print_table

    merged = merge(options.source, options.home)
    rows = [
        (each.paper, each.analysis, each.folder.name, each.files, "counts" if each.counts else "replaced")
        for each in merged
    ]
    print_table(("paper", "analysis", "run", "files copied", ""), rows, right=(3,))


def _share(options: argparse.Namespace) -> None:
    from .terminal import paper_of

    stored = paper_of(options).share(options.analysis)
    print(f"In the shared log: {', '.join(stored) if stored else 'nothing of this home'}.")


def _recover(options: argparse.Namespace) -> None:
    from ..display import time_text
    from ..journal.runs import newest_run
    from ..journal.upkeep import recover, runs_of
    from .terminal import print_table

    if options.run is not None:
        recover(options.paper, options.analysis, options.run, options.home)
    runs = runs_of(options.paper, options.analysis, options.home)
    counting = newest_run(runs[0].folder.parent)
    rows = [
        (
            str(int(run.folder.name.split("-")[0])),
            time_text(run.started),
            run.state,
            run.statements,
            "complete" if run.complete else "INCOMPLETE",
            "counts" if run.folder == counting else "does not count" if run is runs[-1] else "replaced",
        )
        for run in runs
    ]
    print_table(("run", "started", "state", "statements", "record", ""), rows, right=(0, 3))
