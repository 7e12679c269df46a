"""Completion: the Tab key in a shell, where argcomplete is installed.

In: the parser, and what is typed so far. Out: the words that can follow, on argcomplete's way to the shell. Papers,
analyses and tables are those of the journals in the home. It asks no server, and loads DataJoint only if no home is
given, since a file of DataJoint's can name one.
"""

from __future__ import annotations

import argparse
import os
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

MOST = 20_000  # statements of one process whose tables are looked up


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end, where it asks."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            if action.dest in _COMPLETERS:
                action.completer = _COMPLETERS[action.dest]
    argcomplete.autocomplete(parser)


def _papers(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The papers of the home."""
    from ..journal import folders

    return [unquote(path.name) for path in folders(_home(parsed_args))]


def _analyses(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The analyses of the paper that is typed."""
    return [unquote(path.name) for path in _folders(parsed_args)]


def _tables(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The tables that statements of the typed paper and analyses name, as they are printed."""
    from ..journal import encode_name
    from ..journal.runs import newest_run, read_run
    from ..names import class_name
    from ..spy.reads import tables

    chosen = [encode_name(name) for name in parsed_args.analysis or ()]
    runs = [newest_run(folder) for folder in _folders(parsed_args) if not chosen or folder.name in chosen]
    files = [file for run in runs if run is not None for file in read_run(run).files]
    records = [record for file in files for record in islice(file.records(), MOST)]
    found = {name for one in records if one.kind != "metadata" for name in tables(one.sql, one.database)}
    return sorted(f"{schema}.{class_name(table)}" for schema, table in found if schema)


_COMPLETERS = {"paper": _papers, "analysis": _analyses, "table": _tables}


def _folders(typed: argparse.Namespace) -> list[Path]:
    """The folders of the analyses of the paper that is typed."""
    from ..journal import encode_name, folders

    return folders(_home(typed) / encode_name(typed.paper))


def _home(typed: argparse.Namespace) -> Path:
    from .. import settings
    from ..capture import install

    given = typed.home or os.environ.get(settings.variable("home"))
    if given is None:  # a file of DataJoint's can say it
        install()
    return settings.home(given)
