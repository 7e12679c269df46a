"""Command line: ``dj-sqlspy``, a thin layer over the library: one command for each method.

In: arguments. Out: tables for a terminal, and an exit code: 0; 1 with the message of a `SpyError`; 2 for wrong
arguments, as in argparse. It has no logic of its own. Each command imports what it needs, so ``dj-sqlspy papers`` does
not import sqlglot.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..display import count, visible
from ..errors import SpyError
from ..rules import LEAVE_OUT, MODES
from ..version import __version__
from . import capture, publish
from .completion import complete


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the entry point of ``dj-sqlspy``.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        The exit code.
    """
    parser = _parser()
    complete(parser)
    if not (sys.argv[1:] if arguments is None else arguments):
        parser.print_help(sys.stderr)  # which lists the commands
        return 2
    options, rest = parser.parse_known_args(arguments)
    if rest and not options.for_client:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.options = rest
    try:
        from ..capture import install

        install()
        if options.home is not None and options.command_name not in _MAKES_HOME:
            _require_folder(options.home)
        return int(options.command(options) or 0)
    except SpyError as error:
        print(visible(f"dj-sqlspy: {error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dj-sqlspy: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the pipe has ended, such as `head`
        sys.stderr.close()
        return 1
    except Exception as error:
        told = _said_by_server(error)
        if told is None:
            raise
        print(visible(f"dj-sqlspy: {told}"), file=sys.stderr)
        return 1


# Groups of commands; for each command an example and the next step.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "capture": {
        "run": ("run --paper paper1 --analysis fig2 fig2.py", "show paper1"),
    },
    "look": {
        "papers": ("papers", "show paper1"),
        "show": ("show paper1 --statements", "slice paper1"),
        "preview": ("preview paper1 --analysis fig2", "slice paper1"),
        "slice": ("slice paper1 --only \"lab.Session: project='X'\"", "write paper1 -o exports/paper1"),
        "why": ("why paper1 lab.Session session=3", "slice paper1"),
        "recover": ("recover paper1 fig2", "recover paper1 fig2 --run 1"),
        "forget": ("forget paper1 fig2", "papers"),
        "demo": ("demo -o exports/demo", "run --paper paper1 fig2.py"),
    },
    "publish": {
        "write": ("write paper1 -o exports/paper1 --analysis fig2", "dump exports/paper1"),
        "files": ("files paper1 --copy exports/files", "verify exports/paper1"),
        "dump": ("dump exports/paper1", "verify exports/paper1"),
        "restore": ("restore exports/paper1 --host=127.0.0.1 --user=root -p", "verify exports/paper1"),
    },
    "check": {
        "verify": ("verify exports/paper1", "inspect exports/paper1"),
        "inspect": ("inspect exports/paper1 --fail-on findings", "report exports/paper1"),
        "source-data": ("source-data exports/paper1 -o exports/source-data", "report exports/paper1"),
        "open": ("open exports/paper1 -o exports/open", "source-data exports/paper1 -o exports/source-data"),
        "report": ("report exports/paper1", "inspect exports/paper1"),
    },
    "several machines": {
        "merge": ("merge copied/dj-sqlspy", "papers"),
        "share": ("share paper1", "show paper1"),
    },
}


def _groups() -> str:
    """The end of the help of ``dj-sqlspy``: the commands by purpose."""
    return "\n".join(f"{group + ':':18}{', '.join(commands)}" for group, commands in GROUPS.items())


def _ending(name: str) -> str:
    example, after = next(commands[name] for commands in GROUPS.values() if name in commands)
    return f"Example: dj-sqlspy {example}\nNext:    dj-sqlspy {after}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dj-sqlspy",
        description="Export exactly the rows that a DataJoint analysis stands on.",
        epilog=_groups(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # no abbreviations: options after the name of a script are not ours
    parser.allow_abbrev = False
    parser.add_argument("--version", action="version", version=f"dj-sqlspy {__version__}")
    parser.add_argument(
        "--home", help="where journals live (default: dj.config['sqlspy.home'], else the user's data folder)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], Any], text: str, for_client: bool = False
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=_ending(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=not for_client,
            add_help=not for_client,  # -h is an option of the clients
        )
        added.set_defaults(command=command, command_name=name, for_client=for_client)
        return added

    capture.add_commands(add)
    add("papers", _papers, "list the papers that something was captured for")
    show = add("show", _show, "list the analyses of a paper, and with --statements what they read")
    publish.add_paper(show)
    show.add_argument(
        "--statements", action="store_true", help="also list the statements, with their numbers in the paper"
    )
    forget = add("forget", _forget, "delete what was captured for a paper, or for one of its analyses")
    forget.add_argument("paper", metavar="PAPER")
    forget.add_argument("analysis", metavar="ANALYSIS", nargs="?")
    forget.add_argument("--yes", action="store_true", help="do not ask")
    write = add("write", _write, "write a paper's slice as a bundle: dump.sh, restore.sh, manifest.json")
    publish.add_slice_options(write)
    write.add_argument("-o", "--output", metavar="DIR", required=True, help="the folder to write")
    write.add_argument(
        "--accept-drift",
        action="store_true",
        help="write although statements return other numbers of rows now",
    )
    write.add_argument(
        "--about",
        metavar="FILE",
        help="JSON with title, authors, license, doi and others, for README.md and the metadata (default: none)",
    )
    publish.add_contents(
        write,
        "leave out the contents of a column, named as schema.table.column (may be given more than once;"
        " default: none)",
        "put this value in the place of the contents of a column (may be given more than once; default: none)",
    )
    write.add_argument(
        "--pseudonym",
        action="append",
        default=[],
        metavar="COLUMN",
        help="replace the values of a key, and of all columns that refer to it, by keyed hashes; the key of the hash is"
        " that of DJ_SQLSPY_SECRET, or random (may be given more than once; default: none)",
    )
    write.add_argument(
        "--leave-out",
        action="append",
        default=[],
        choices=LEAVE_OUT,
        help="what the bundle can do without: how many rows there are at the lab, comments, the environments of"
        " the analyses, the first rows in report.html, or the values of statements that tell of what was left out"
        " (may be given more than once; default: nothing)",
    )
    write.add_argument(
        "--with-code", action="store_true", help="copy the scripts and notebooks of the analyses into it"
    )
    write.add_argument(
        "--code",
        action="append",
        default=[],
        metavar="FILE",
        help="copy this script or notebook into it too (may be given more than once; default: none)",
    )
    write.add_argument("--allow-incomplete", action="store_true", help="write although the capture has gaps")
    write.add_argument(
        "--allow-unfinished",
        action="store_true",
        help="write although an analysis failed, was interrupted or is still running",
    )
    write.add_argument(
        "--mode",
        type=_mode,
        default=MODES[0],
        metavar="MODE",
        help="who can read the folder and its files: 700 you alone, 750 your group, 755 all (default: 700)",
    )
    write.add_argument(
        "--source-data",
        action="store_true",
        help="also dump the slice, and write what each analysis received as tables into DIR/source-data",
    )
    write.add_argument(
        "--scratch",
        metavar="SCHEMA",
        help="a schema of the source for tables of keys (default: dj.config['sqlspy.scratch'], none)",
    )
    verify = add(
        "verify",
        _verify,
        "load a bundle into a private server and compare with the source, or with the digests in the bundle; of an"
        " open copy, compare the files with its datapackage.json",
    )
    verify.add_argument("bundle", metavar="DIR")
    verify.add_argument("--alone", action="store_true", help="do not look for the source")
    verify.add_argument(
        "--source",
        action="store_true",
        help="the server of dj.config is the source; the default for bundles that were written here from it",
    )
    dump = _add_script(
        add("dump", _dump, "run a bundle's dump.sh (without options: on the server of dj.config)", True)
    )
    dump.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="how many tables are read at once (default: 4 for a slice of at most 20,000 rows, else 1)",
    )
    dump.add_argument(
        "--engine",
        choices=("mysqldump", "mydumper"),
        default="mysqldump",
        help="the program that reads the rows (default: mysqldump)",
    )
    _add_script(add("restore", _restore, "run a bundle's restore.sh", True))
    publish.add_commands(add)
    demo = add("demo", _demo, "export the slice behind a small pipeline, load it elsewhere and replay it")
    demo.add_argument("-o", "--output", metavar="DIR", help="keep the bundle there (default: delete it)")
    demo.add_argument(
        "--server",
        choices=("mysql", "mariadb", "postgresql"),
        help="the kind of the private server (default: MySQL or MariaDB, whichever is installed)",
    )
    return parser


def _mode(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a mode, such as 750") from None


def _add_script(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The arguments of a command that runs a script, and hands on to it what it does not know."""
    parser.usage = f"{parser.prog} DIR [options] [OPTIONS OF THE CLIENT]"
    parser.add_argument(
        "bundle",
        metavar="DIR",
        help="the bundle; behind it options of the client: --host=HOST --user=NAME -p",
    )
    parser.add_argument("--help", action="help", help="show this and end")
    return parser


# Commands that write journals and so create their folder.
_MAKES_HOME = ("run", "merge")


def _require_folder(home: str) -> None:
    if not os.path.isdir(os.path.expanduser(home)):
        raise SpyError(f"--home {home}: there is no such folder.")


def _said_by_server(error: Exception) -> str | None:
    """The message if a server cannot be reached or refuses the account; None for any other error."""
    import datajoint

    from ..servers import driver_errors

    if not isinstance(error, (*driver_errors(), datajoint.errors.DataJointError)):
        return None
    where = f"{datajoint.config['database.host']}:{datajoint.config['database.port']}"
    return f"The server of dj.config, {where}: {error.args[-1] if error.args else error}"


# --- commands ----------------------------------------------------------------------------------------------


def _papers(options: argparse.Namespace) -> None:
    from ..paper import papers
    from ..settings import get, home
    from .terminal import log_in, print_table

    if get("schema"):
        log_in()
    found = papers(options.home)
    if not found:
        print(f"Nothing was captured in {home(options.home)} yet.")
        return
    rows = []
    for paper in found:
        with paper.read_once():
            rows.append(_summary(paper))
    print_table(
        ("paper", "analyses", "statements", "tables", "size", "last run", "record"), rows, right=(1, 2, 3, 4)
    )


def _summary(paper: Any) -> tuple[str | int, ...]:
    from ..display import size_text, time_text

    analyses = paper.analyses
    starts = [analysis.started for analysis in analyses if analysis.started]
    return (
        paper.name,
        len(analyses),
        sum(analysis.statements for analysis in analyses),
        len(set().union(*paper.tables.values())),
        size_text(sum(analysis.size for analysis in analyses)),
        time_text(max(starts, default=None)),
        "complete" if paper.complete else "INCOMPLETE",
    )


def _show(options: argparse.Namespace) -> None:
    from .terminal import paper_of

    paper = paper_of(options, server=False)
    with paper.read_once():
        _print_paper(paper, options.statements)


def _print_paper(paper: Any, with_statements: bool) -> None:
    from ..display import size_text, time_text
    from .terminal import print_environments, print_table

    paper.require_any()
    tables = paper.tables
    rows = [
        (
            analysis.name,
            time_text(analysis.started),
            analysis.state,
            analysis.processes,
            analysis.statements,
            len(tables[analysis.name]),
            size_text(analysis.size),
            "complete" if analysis.complete else "INCOMPLETE",
        )
        for analysis in paper.analyses
    ]
    print_table(
        ("analysis", "started", "state", "processes", "statements", "tables", "size", "record"),
        rows,
        right=(3, 4, 5, 6),
    )
    statements = paper.statements
    servers = sorted({statement.server for statement in statements if statement.server})
    if with_statements:
        columns: dict[str, Callable[[Any], Any]] = {
            "#": lambda s: s.number,
            "analysis": lambda s: s.analysis,
            "server": lambda s: s.server,
            "kind": lambda s: s.kind,
            "rows": lambda s: "" if s.rows is None else s.rows,
            "statement": lambda s: s.sql,
        }
        if len(servers) < 2:
            del columns["server"]
        captured = [[value(s) for value in columns.values()] for s in statements]
        print_table(tuple(columns), captured, right=(0, tuple(columns).index("rows")))
    if servers:
        print(f"{'Server' if len(servers) == 1 else 'Servers'}: {visible(', '.join(servers))}")
    for problem in paper.problems:
        print(visible(problem))
    print_environments(paper.environments, [analysis.name for analysis in paper.analyses])


def _forget(options: argparse.Namespace) -> None:
    from ..settings import get
    from .terminal import agreed, paper_of

    paper = paper_of(options, server=False)
    lines = [] if options.yes else paper.forgettable(options.analysis)
    for line in lines:
        print(line)
    what = f"{options.analysis} of {paper.name}" if options.analysis else paper.name
    asks = lines or (get("schema") and not options.yes)
    if asks and not agreed(f"Delete what was captured for {what}?"):
        print("Nothing was deleted.")
        return
    for line in paper.forget(options.analysis):
        print(f"Deleted: {line}")


def _write(options: argparse.Namespace) -> None:
    from ..bundle.crate import CRATE_FILE
    from ..bundle.guide import SOURCE_DATA
    from ..dump.exclude import words
    from ..dump.pseudonyms import words_of
    from ..names import shown_name
    from .terminal import paper_of, print_environments, print_table

    paper = paper_of(options)
    bundle = paper.write(
        options.output,
        accept_drift=options.accept_drift,
        allow_incomplete=options.allow_incomplete,
        allow_unfinished=options.allow_unfinished,
        about=options.about,
        exclude=options.exclude,
        replace=publish.replacements(options),
        pseudonym=options.pseudonym,
        with_code=options.with_code,
        leave_out=options.leave_out,
        code=options.code,
        scratch=options.scratch,
        mode=options.mode,
        source_data=options.source_data,
        **publish.slice_options(options),
    )
    tables = [
        (
            shown_name(table["name"]),
            table["rows"],
            "" if table["total_rows"] is None else table["total_rows"],
            ", ".join(table["reasons"]),
        )
        for table in bundle.manifest["tables"]
    ]
    print_table(("table", "rows", "of", "why"), tables, right=(1, 2))
    for one in bundle.manifest["unfinished"]:
        print(f"NOT FINISHED: {one['analysis']} ({one['state']}, {count(one['statements'], 'statement')})")
    excluded = bundle.manifest["excluded"]
    for line in words(excluded):
        print(visible(f"Contents left out: {line}"))
    if any(one["statements"] for one in excluded):
        print("These statements cannot be replayed; the bundle has them without their values.")
    for line in words_of(bundle.manifest):
        print(visible(f"Pseudonyms: {line}"))
    for one in bundle.manifest["code"]:
        state = "as it is now, perhaps not as it ran" if one["state"] == "unknown" else one["state"]
        print(visible(f"Code: {one['path']} ({state})"))
    known = {name for one in bundle.manifest["code"] for name in one["analyses"]}
    for analysis in paper.analyses if options.with_code else ():
        if analysis.name not in known:
            print(
                f"Code: none of {analysis.name}; it ran in a console, or in a notebook under a program that does not "
                "tell its name, such as nbconvert. Name the file with --code FILE."
            )
    print_environments(bundle.manifest["environments"], [analysis.name for analysis in paper.analyses])
    files = bundle.manifest["files"]
    if files:
        print(
            f"Rows need {len(files):,} files outside of the database: dj-sqlspy files {options.paper} --copy DIR"
        )
    if not (bundle.path / CRATE_FILE).exists():
        print(f"Without {CRATE_FILE}, which describes the folder to archives. For it: pip install rocrate")
    if options.source_data:
        print(f"Source data: {bundle.path / SOURCE_DATA}: see README.md in it.")
    step = "verify" if bundle.dump_file.exists() else "dump"
    print(f"Written: {bundle.path}. Next: dj-sqlspy {step} {bundle.path}")


def _dump(options: argparse.Namespace) -> None:
    from ..paper.bundle import Bundle

    if not options.options:
        from .terminal import log_in

        log_in()
    bundle = Bundle(options.bundle)
    print(bundle.dump(options.options or None, jobs=options.jobs, engine=options.engine))


def _restore(options: argparse.Namespace) -> None:
    from ..paper.bundle import Bundle

    print(visible(Bundle(options.bundle).restore(options.options)))


def _verify(options: argparse.Namespace) -> int:
    from rich.console import Console

    from ..display import Visible, first
    from ..paper.bundle import Bundle, check_open_copy, is_open_copy

    if is_open_copy(options.bundle):
        found = check_open_copy(options.bundle)
        print(visible("\n".join(first(found)) or f"{options.bundle} is as its datapackage.json says."))
        return 1 if found else 0
    if not options.alone:
        from .terminal import log_in

        log_in(needed=False)
    source = None
    if options.source:
        import datajoint

        source = datajoint.conn()
    report = Bundle(options.bundle).verify(source, alone=options.alone)
    Console(soft_wrap=True).print(Visible(report), markup=False)
    return 0 if report.equal and report.complete else 1


def _demo(options: argparse.Namespace) -> int:
    from pathlib import Path

    from ..demo.run import run

    outcome = run(Path(options.output) if options.output else None, options.server)
    return 0 if outcome.good else 1
