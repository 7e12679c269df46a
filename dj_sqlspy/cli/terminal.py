"""Terminal: questions and tables of the command line.

In: the results of commands, and a ``dj.config`` that may lack an account. Out: tables as wide as the terminal, and
questions.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import datajoint
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import settings
from ..display import one_line, visible
from ..errors import SpyError
from ..paper import Paper

# Longest text of one cell, in characters.
_LONGEST = 1 << 20
# Shortest heading of numbers in a narrow terminal.
_SHORTEST = 5
# Differences of environments that are named.
_DIFFERENCES = 20


def log_in(needed: bool = True) -> None:
    """Ask on the terminal for the parts of an account that ``dj.config`` lacks, and set them there.

    Parameters
    ----------
    needed : bool
        Whether it is an error if there is no terminal, or the user is unknown.

    Raises
    ------
    SpyError
        If there is neither an account nor a terminal.
    """
    host = datajoint.config["database.host"]
    missing = [name for name in ("user", "password") if datajoint.config[f"database.{name}"] is None]
    if not missing or (not needed and "user" in missing):
        return
    if not sys.stdin.isatty():
        if needed:
            raise SpyError(
                f"Connecting to {host}: dj.config has no {' and no '.join(missing)}. Set them there, or as DJ_USER and "
                "DJ_PASS in the environment, or run this in a terminal to be asked."
            )
        return
    if "user" in missing:
        datajoint.config["database.user"] = input(f"User at {host}: ")
    user = datajoint.config["database.user"]
    if "password" in missing:
        datajoint.config["database.password"] = getpass.getpass(f"Password of {user} at {host}: ")


def agreed(question: str) -> bool:
    """Ask on the terminal whether to go on.

    Raises
    ------
    SpyError
        If there is no terminal.
    """
    if not sys.stdin.isatty():
        raise SpyError(f"{question} There is no terminal to ask at: say --yes.")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def paper_of(options: argparse.Namespace, server: bool = True) -> Paper:
    """The named paper. With ``server``, ask for a missing account."""
    paper = Paper(options.paper, home=options.home, analyses=getattr(options, "analysis", None))
    if settings.get("schema") or (server and paper.captured_here):
        log_in()
    return paper


def print_environments(entries: Sequence[Mapping[str, Any]], analyses: Iterable[str]) -> None:
    """Say where the environments of a paper's analyses differ, if they do."""
    from ..bundle.environment import FEW, differences, summary

    found = differences(entries)
    for line in summary(entries, analyses, found):
        print(visible(line))
    rows = [(one.what, one.versions) for one in found if one.imported]
    if len(rows) > FEW:
        print_table(("what", "versions"), rows[:_DIFFERENCES])
        if len(rows) > _DIFFERENCES:
            print(f"and {len(rows) - _DIFFERENCES:,} more: Paper.environment_differences has all")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[int] = ()) -> None:
    """Print a table as wide as the terminal: statements are cut, and other text takes several lines."""
    console = Console()
    texts = [
        [f"{cell:,}" if isinstance(cell, int) else one_line(str(cell), _LONGEST) for cell in row]
        for row in rows
    ]
    if not console.is_terminal:  # where nothing is cut, and thousands of rows are soon written
        print("\n".join(_lines(headings, texts, right)))
        return
    if "statement" in headings:
        place = headings.index("statement")
        others = [p for p in range(len(headings)) if p != place]
        widths = [max(len(headings[p]), *(len(row[p]) for row in texts)) for p in others] if texts else []
        room = console.width - sum(widths) - 2 * len(headings)
        for row in texts:
            row[place] = one_line(row[place], max(room - 2, 20))
    columns = list(zip(headings, *texts, strict=True))
    widths = [max(Text(text).cell_len for text in column) for column in columns]
    gap = 2
    if console.is_terminal and sum(widths) + gap * len(widths) > console.width:
        gap = 1
        widths = _narrowed(columns, right, console.width - gap * len(widths))
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for position, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        number = position in right
        short = f"{heading[: width - 1]}." if number and width < len(heading) else heading
        table.add_column(short, justify="right" if number else "left", overflow="fold", width=width)
    for row in texts:
        table.add_row(*map(Text, row))
    console.print(table)


def _lines(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> Iterator[str]:
    """The lines that rich would print for a table, which takes it 3 seconds for 1,000 rows.

    >>> list(_lines(("name", "rows"), [("a", "12")], right=(1,)))
    ['name  rows', 'a       12']
    """
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    for place in right if rows else ():
        edges = (place == 0) + (place == len(headings) - 1)  # rich adds a space to numbers there
        widths[place] = max(widths[place], edges + max(len(row[place]) for row in rows))
    for line in (headings, *rows):
        cells = zip(line, widths, range(len(line)), strict=True)
        yield "  ".join(
            " " * (width - cell_len(text)) + text if place in right else set_cell_size(text, width)
            for text, width, place in cells
        )


def _narrowed(columns: Sequence[Sequence[str]], right: Sequence[int], room: int) -> list[int]:
    """Widths of columns that have some room together; the first text of each column is its heading.

    >>> _narrowed([("table", "a table"), ("processes", "1"), ("record", "complete")], [1], 18)
    [5, 5, 8]
    """
    # what shrinks first: texts of several words, headings of numbers, words, statements
    stages: list[list[int]] = [[], [], [], []]
    widths = []
    for position, (heading, *cells) in enumerate(columns):
        words, *others = [[Text(word).cell_len for word in text.split()] or [0] for text in (heading, *cells)]
        whole = [Text(text).cell_len for text in (heading, *cells)]
        width, word = max(whole), max(words)
        if position in right:
            least = max([min(word, _SHORTEST), *whole[1:]])
            floors = [width, least, least, least]
        elif heading == "statement":
            floors = [width, width, width, word]
        else:
            longest = max(map(max, (words, *others)))
            floors = [longest, longest, word, word]
        widths.append(width)
        for stage, floor in zip(stages, floors, strict=True):
            stage.append(floor)
    for stage in stages:
        while sum(widths) > room and (wide := [p for p, width in enumerate(widths) if width > stage[p]]):
            widths[max(wide, key=widths.__getitem__)] -= 1
    return widths
