"""Completion: the Tab key in a shell, where argcomplete is installed.

In: the parser, and what is typed so far. Out: the words that can follow, on argcomplete's way to the shell. Papers and
analyses are those of the home; no server is asked.
"""

from __future__ import annotations

import argparse
import os
from typing import Any
from urllib.parse import unquote

# Arguments that name something in the home.
_HOME = ("paper", "analysis")


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end, where it asks."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            if action.dest in _HOME:
                action.completer = _names
    argcomplete.autocomplete(parser)


def _names(prefix: str, action: argparse.Action, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The papers of the home, or the analyses of the paper that is typed."""
    from .. import settings
    from ..capture import install
    from ..journal import encode_name, folders

    given = parsed_args.home or os.environ.get(settings.variable("home"))
    if given is None:  # a file of DataJoint's can say it
        install()
    folder = settings.home(given)
    if action.dest == "analysis":
        folder = folder / encode_name(parsed_args.paper)
    return [unquote(path.name) for path in folders(folder)]
