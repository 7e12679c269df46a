"""Notebook: ``%sqlspy`` and ``%%sqlspy`` for IPython and Jupyter, after ``%load_ext dj_sqlspy``.

In: the line and the cell. Out: an export session around the cell, or one that is open over many cells. It
records nothing itself.

    %%sqlspy PAPER ANALYSIS        capture this cell
    %sqlspy start PAPER ANALYSIS   capture all cells from here
    %sqlspy stop                   … to here
    %sqlspy                        what is open
"""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NoReturn

from .. import capture
from ..display import count
from ..errors import SpyError
from ..rules import POLICIES
from ..spy import session

USAGE = "%%sqlspy PAPER ANALYSIS around a cell, or %sqlspy start PAPER ANALYSIS, %sqlspy stop"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SpyError(f"%sqlspy: {message}. Use {USAGE}, with the options --append, --append-to, --home and "
                       + ", ".join(f"--{kind}" for kind in POLICIES) + ".")  # fmt: skip


def _options(words: list[str]) -> dict[str, Any]:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("paper", nargs="?")
    parser.add_argument("analysis", nargs="?")
    parser.add_argument("--home")
    parser.add_argument("--append", action="store_true", default=None)
    parser.add_argument("--append-to", dest="append")
    for kind in POLICIES:
        parser.add_argument(f"--{kind}")
    return vars(parser.parse_args(words))


def load(shell: Any) -> None:
    """Register the magics with an IPython shell (``%load_ext dj_sqlspy`` calls this)."""

    def sqlspy(line: str, cell: str | None = None) -> None:
        __tracebackhide__ = True  # so that the traceback of an error starts in the cell
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise SpyError(f"%sqlspy {line}: {error}.") from error
        if cell is not None:
            with capture.export(**_options(words)):
                _run(shell, cell)
        elif words[:1] == ["start"]:
            print(capture.start_export(**_options(words[1:])))
        elif words == ["stop"]:
            ended = capture.stop_export()
            print(f"{ended!r}: {count(len(ended.statements), 'statement')}")
        elif not words:
            for each in session.open_sessions:
                print(f"{each!r}: {count(len(each.statements), 'statement')}")
            if not session.open_sessions:
                print(f"No export session is open. {USAGE}.")
        else:
            raise SpyError(f"%sqlspy {line}: not known. Use {USAGE}.")

    sqlspy.__doc__ = __doc__
    shell.register_magic_function(sqlspy, "line_cell", "sqlspy")


def _run(shell: Any, cell: str) -> None:
    """Run a cell and raise its error, which the outer cell then shows once."""
    __tracebackhide__ = True
    shown = ("showtraceback", "showsyntaxerror")
    for name in shown:
        setattr(shell, name, lambda *args, **options: None)
    try:
        result = shell.run_cell(cell)
    finally:
        for name in shown:
            delattr(shell, name)
    result.raise_error()
