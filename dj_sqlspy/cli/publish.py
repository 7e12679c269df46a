"""Commands for slices, files, inspections and reports.

In: arguments. Out: tables for a terminal. As in `cli`, a command is a thin layer over a method, and imports what it
needs itself.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..display import Visible, visible
from ..errors import SliceError
from ..names import find_table, shown_place

if TYPE_CHECKING:
    from ..external import File
    from ..servers.columns import Column
    from ..servers.tables import Table
    from ..slices import Slice

Add = Callable[[str, Callable[[argparse.Namespace], Any], str], argparse.ArgumentParser]

FILES_SHOWN = 30  # files that are named; further ones are only counted


def add_commands(add: Add) -> None:
    """Add the commands to the parser; ``add`` takes a name, a function and a text."""
    files = add(
        "files", _files, "list or copy the files that lie outside of the database and belong to a paper"
    )
    add_slice_options(files)
    files.add_argument(
        "--copy",
        metavar="DIR",
        help="copy them there, so that a loaded pipeline finds them (default: only list)",
    )
    files.add_argument("--no-link", action="store_true", help="copy, and make no hard links")
    files.add_argument(
        "--list", metavar="PROGRAM", help="write a list for rsync, rclone or s5cmd (default: a table)"
    )
    add_contents(
        files,
        "without the files of a column whose contents are left out, as for `write` (default: none)",
        "without the files of a column that has this value in its place, as for `write` (default: none)",
    )
    files.add_argument("--store", metavar="NAME", help="only files of this store (default: all)")
    files.add_argument("--all", action="store_true", help="name every file")
    files.add_argument(
        "--check",
        choices=("size", "contents"),
        default="size",
        help="look for files and their sizes, or read them and compare checksums (default: size)",
    )
    cut = add("slice", _slice, "show the rows that a paper needs, table by table, and write nothing")
    add_slice_options(cut)
    cut.add_argument(
        "--plan", action="store_true", help="print what would be asked of the server, and read no row"
    )
    preview = add("preview", _preview, "show what the analyses read, table by table, before the cascade")
    add_paper(preview)
    _add_bounds(preview)
    why = add("why", _why, "tell why a row is in the slice of a paper")
    add_slice_options(why)
    why.add_argument("table", metavar="TABLE", help="`schema`.`table`, schema.table or schema.ClassName")
    why.add_argument("key", metavar="COLUMN=VALUE", nargs="+", help="the primary key of the row")
    look = add(
        "inspect",
        _inspect,
        "tell what a bundle reveals of people, machines, folders, and rows that are not in it",
    )
    look.add_argument("bundle", metavar="DIR")
    look.add_argument(
        "--fail-on",
        choices=("nothing", "findings"),
        default="nothing",
        help="exit with code 1 where something was found, as for cron (default: nothing)",
    )
    data = add(
        "source-data",
        _source_data,
        "write what each analysis received as CSV, Parquet or Excel files, from a bundle with its dump",
    )
    data.add_argument(
        "--format",
        action="append",
        default=[],
        dest="formats",
        choices=("csv", "parquet", "xlsx"),
        help="files to write (may be given more than once; default: csv, and parquet if pyarrow is installed)",
    )
    copy = add(
        "open",
        _open,
        "write a bundle's tables as Parquet files and as a DuckDB database, which open without a server",
    )
    for command in (data, copy):
        command.add_argument("bundle", metavar="DIR")
        command.add_argument(
            "-o", "--output", metavar="DIR", required=True, help="a new folder for the files"
        )
    copy.add_argument(
        "--codec",
        dest="codecs",
        action="append",
        default=[],
        metavar="NAME",
        help="decode the columns of this codec of DataJoint, a plugin with to_spark; it runs on the"
        " bundle's bytes (default: none)",
    )
    report = add("report", _report, "make a bundle's report.html again from its manifest.json")
    report.add_argument("bundle", metavar="DIR")


def add_paper(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for a paper and its analyses."""
    parser.add_argument("paper", metavar="PAPER")
    parser.add_argument(
        "--analysis",
        action="append",
        metavar="NAME",
        help="only this analysis (may be given more than once; default: all)",
    )


def add_slice_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for a paper and the options of `Paper.slice`."""
    add_paper(parser)
    parser.add_argument(
        "--parts",
        choices=("all", "referenced"),
        default="all",
        help="whether a master brings all of its parts (default: all)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail where a statement cannot be analysed, and export no whole table",
    )
    parser.add_argument(
        "--virtual",
        action="append",
        default=[],
        metavar="REFERENCE",
        help="a reference that the database does not declare: 'lab.session (rig) -> lab.rig (rig)'"
        " (default: those of the setting)",
    )
    _add_bounds(parser)
    parser.add_argument(
        "--skip-statements",
        type=_numbers,
        default=(),
        metavar="N,M",
        help="leave out statements that cannot be exported, by their numbers in `show --statements`; the report says so"
        " first (default: none)",
    )


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers, such as 3,5") from None


def add_contents(parser: argparse.ArgumentParser, exclude: str, replace: str) -> None:
    """Add the arguments for columns whose contents are left out or replaced, with these texts."""
    parser.add_argument("--exclude", action="append", default=[], metavar="COLUMN", help=exclude)
    parser.add_argument(
        "--replace", type=_name_and_value, action="append", default=[], metavar="COLUMN=VALUE", help=replace
    )


def _name_and_value(text: str) -> tuple[str, str]:
    """The name of a column and a value, of a text ``schema.table.column=VALUE``.

    >>> _name_and_value("lab.subject.name=a=b")
    ('lab.subject.name', 'a=b')
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form schema.table.column=VALUE")
    return name, value


def replacements(options: argparse.Namespace) -> dict[str, str]:
    """What ``--replace`` was given, by name.

    Raises
    ------
    SliceError
        If a name was given twice.
    """
    found = dict(options.replace)
    if len(found) < len(options.replace):
        raise SliceError("--replace names a column twice.")
    return found


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    for name, text in (
        ("--only", "keep the slice inside of these rows: 'schema.Table: restriction'"),
        ("--guard", "refuse where a row outside of these is in the slice: 'schema.Table: restriction'"),
    ):
        parser.add_argument(
            name,
            action="append",
            default=[],
            metavar="ROWS",
            help=f"{text} (may be given more than once; default: none)",
        )


def slice_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options of `Paper.slice`, from those of `add_slice_options`."""
    return {
        name: getattr(options, name)
        for name in ("parts", "strict", "virtual", "only", "guard", "skip_statements")
    }


def _slice(options: argparse.Namespace) -> None:
    from .terminal import paper_of, print_environments

    paper, chosen = paper_of(options), slice_options(options)
    if options.plan:
        del chosen["strict"]  # it matters only when statements are analysed on the server
        print(paper.plan(**chosen))
        return
    _print_slice(paper.slice(**chosen))
    print_environments(paper.environments, [analysis.name for analysis in paper.analyses])


def _preview(options: argparse.Namespace) -> None:
    from .terminal import paper_of

    _print_slice(paper_of(options).preview(only=options.only, guard=options.guard))


def _print_slice(cut: Slice) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 200
    for line in cut.lines():
        console.print(Visible(line))


def _why(options: argparse.Namespace) -> None:
    from .terminal import paper_of

    wrong = [pair for pair in options.key if "=" not in pair]
    if wrong:
        raise SliceError(f"A primary key is given as COLUMN=VALUE, not as {wrong[0]!r}.")
    cut = paper_of(options).slice(**slice_options(options))
    name = find_table(cut.tables, options.table)
    key = key_of(cut.tables[name].table, dict(pair.split("=", 1) for pair in options.key))
    for line in cut.why(name, key):
        print(visible(line))


def key_of(table: Table, texts: Mapping[str, str]) -> dict[str, Any]:
    """A primary key from typed texts of its values.

    Raises
    ------
    SliceError
        If a name is not a column of the primary key, or a value has the wrong type.
    """
    out: dict[str, Any] = {}
    for name, text in texts.items():
        column = table.by_name.get(name.lower())
        if column is None or name.lower() not in map(str.lower, table.primary_key):
            raise SliceError(
                f"{table.full_name} has no {name} in its primary key; that is {', '.join(table.primary_key)}."
            )
        try:
            out[name] = _value_of(column, text)
        except ValueError:
            raise SliceError(
                f"{name}={text}: that is no value for a column of type {column.column_type}."
            ) from None
    return out


def _value_of(column: Column, text: str) -> Any:
    from ..servers.keys import from_python

    if column.binary:
        with contextlib.suppress(ValueError):
            return uuid.UUID(text)
        return bytes.fromhex(text.removeprefix("0x"))
    from_python(column, text)  # of the type of the column
    return text


def _inspect(options: argparse.Namespace) -> int:
    from ..paper.bundle import Bundle
    from .terminal import print_table

    found = Bundle(options.bundle).inspect()
    rows = [
        (
            shown_place(one.where),
            one.what,
            one.values,
            "" if one.rows is None else one.rows,
            "; ".join(one.examples),
        )
        for one in found.findings
    ]
    if rows:
        print_table(("where", "looks like", "values", "rows", "for example"), rows, right=(2, 3))
    print(
        f"{len(rows)} findings in {found.columns:,} columns of text, the structure, and the texts of the bundle."
    )
    if found.unread:
        print(visible(f"Not looked into, since they hold bytes: {', '.join(map(shown_place, found.unread))}"))
    if found.cut:
        places = ", ".join(map(shown_place, found.cut))
        print(visible(f"Looked at in part, since they hold very many values: {places}"))
    return 1 if found.findings and options.fail_on == "findings" else 0


def _source_data(options: argparse.Namespace) -> int:
    from ..open_copy.sourcedata import not_made
    from ..paper.bundle import Bundle
    from .terminal import print_table

    made = Bundle(options.bundle).source_data(options.output, formats=options.formats)
    files = [
        (one.analysis, one.stem, ", ".join(one.formats), one.rows, one.as_received)
        for one in made
        if one.path
    ]
    print_table(("analysis", "files", "formats", "rows", "as received"), files[:FILES_SHOWN], right=(3,))
    if len(files) > FILES_SHOWN:
        print(f"and {len(files) - FILES_SHOWN:,} more")
    for text in not_made(made):
        print(visible(text))
    print(visible(f"{options.output}: see README.md in it."))
    return 1 if any(one.lacking or (one.received is False and not one.note) for one in made) else 0


def _open(options: argparse.Namespace) -> None:
    from ..display import count, first
    from ..paper.bundle import Bundle

    made = Bundle(options.bundle).open_copy(options.output, codecs=options.codecs)
    rows = sum(table.rows for table in made.tables)
    print(f"{count(len(made.tables), 'table')} with {count(rows, 'row')}")
    total = sum(one.count for one in made.statements)
    print(f"{made.equal:,} of {count(total, 'statement')} have a view that DuckDB answers as the server does")
    lacking = [
        f"Statement {one.numbers[0]} of {one.analysis}: {one.why_not}"
        for one in made.statements
        if not one.view
    ]
    if lacking:
        print(visible("\n".join(["Without a view:", *first(lacking)])))
    bytes_only = [
        f"{table.name} {one.column}: {one.undecoded:,} of {count(one.values, 'value')}"
        for table in made.tables
        for one in table.decoded
        if one.undecoded
    ]
    if bytes_only:
        print(visible("\n".join(["Not decoded, so only as bytes:", *first(bytes_only)])))
    print(visible(f"{options.output}: see README.md in it."))


def _report(options: argparse.Namespace) -> None:
    from ..paper.bundle import Bundle

    print(Bundle(options.bundle).report())


def _files(options: argparse.Namespace) -> int:
    from ..external import total
    from ..external.copies import copy_files, file_list
    from ..external.placing import second_places
    from ..external.stores import Stores
    from .terminal import paper_of

    paper = paper_of(options)
    files = paper.files(
        check=options.check, exclude=options.exclude, replace=replacements(options), **slice_options(options)
    )
    if options.store:
        files = [file for file in files if file.store == options.store]
    stores = Stores(paper.connection)
    if options.list:
        print(file_list(files, options.list, stores, options.copy or "files"), end="")
        second, lost = second_places(files)
        for name in [*second, *(file.name for file, _ in lost)]:
            print(visible(f"not in the list: {name}, where a link leads"), file=sys.stderr)
        return 0
    _show_files(files, options.all)
    if options.copy:
        size = total(file for file in files if file.is_there)
        with _progress("copying", size) as count:
            copied = copy_files(files, Path(options.copy), stores, link=not options.no_link, progress=count)
        print(copied)
        return 0 if copied.complete and not any(file.unread for file in files) else 1
    return 0 if all(file.state == "ok" and not file.unread for file in files) else 1


def _show_files(files: list[File], all_of_them: bool) -> None:
    from ..display import count, first, size_text
    from ..external import total
    from .terminal import print_table

    groups: dict[tuple[str, str, str], list[File]] = {}
    for file in files:
        groups.setdefault((file.store, file.kind, file.state), []).append(file)
    rows = [
        (store, kind, state, len(members), size_text(total(members)))
        for (store, kind, state), members in groups.items()
    ]
    if not rows:
        print("No row of the slice needs a file.")
        return
    print_table(("store", "kind", "state", "files", "size"), rows, right=(3, 4))
    named = files if all_of_them else [file for file in files if file.state != "ok"]
    shown = named if all_of_them else named[:FILES_SHOWN]
    if shown:
        print_table(
            ("file", "size", "state", "rows", "what is wrong"),
            [
                (
                    file.name,
                    "" if file.size is None else size_text(file.size),
                    file.state,
                    len(file.needed_by),
                    file.note,
                )
                for file in shown
            ],
            right=(1, 3),
        )
    if len(named) > len(shown):
        print(f"and {len(named) - len(shown)} more (--all names every file)")
    unread: dict[str, list[str]] = {}
    for file in files:
        if file.unread:
            unread.setdefault(file.unread, []).append(file.name)
    for why, names in unread.items():
        print(visible(f"{count(len(names), 'file')} not looked into for links to other files: {why}"))
        print(visible("\n".join(f"    {name}" for name in first(names))))


@contextlib.contextmanager
def _progress(text: str, size: int) -> Iterator[Callable[[int], Any]]:
    """A bar for bytes on the standard error if that is a terminal. Yields a function that advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    shown = sys.stderr.isatty()
    with Progress("{task.description}", *columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(text, total=size)
        yield lambda count: bar.advance(task, count)
