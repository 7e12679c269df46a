"""Bundle: writes a bundle from a slice, and checks it.

In: a `Slice` and its paper. Out: the folder (see `bundle.folder`), and the results of its verification and inspection.
It does not decide what is in the slice.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import atomic, servers, settings
from ..bundle import texts
from ..bundle.code import code_of
from ..bundle.environment import own_environment
from ..bundle.firstrows import FIRST_ROWS_FILE
from ..bundle.folder import BundleFolder, check_place, note_written
from ..bundle.guide import SOURCE_DATA
from ..bundle.manifest import FILE, make_manifest, manifest_text
from ..bundle.privacy import Inspection, inspect_bundle, record
from ..cascade.leaves import StatementReport
from ..display import first, short
from ..dump import dump_script, functions, read_source, restore_script, summary
from ..dump import exclude as excluding
from ..dump.keytables import key_tables
from ..errors import BundleError
from ..external import files_of
from ..external.stores import Stores
from ..journal.runs import Analysis
from ..open_copy.firstrows import first_rows
from ..open_copy.result import PACKAGE_FILE, OpenCopy, require_extra
from ..open_copy.sourcedata import SourceData, not_made, write_source_data
from ..progress import counting
from ..replay.digests import read_digests
from ..replay.verify import Verification, record_replay, verify
from ..rules import LEAVE_OUT, MODES
from ..servers import NAMES, backend_of
from ..servers.catalog import Catalog
from ..servers.source import Source
from ..slices import Slice
from . import pseudonymous
from .captured import Captured

logger = logging.getLogger("dj_sqlspy")


@dataclass(frozen=True, repr=False)
class Bundle(BundleFolder):
    """A bundle in a folder.

    Attributes
    ----------
    path : Path

    Raises
    ------
    BundleError
        If ``path`` is not such a folder.
    """

    def verify(
        self, source: Any = None, progress: Callable[[int, int], None] | None = None, *, alone: bool = False
    ) -> Verification:
        """Load the bundle into a private server and check structure, rows, foreign keys and captured statements.

        If the source can be reached, the slice is compared with it, and ``digests.json`` is written into the bundle.
        Otherwise it is compared with these digests. With the source, the first rows of tables and results are also
        written into ``first-rows.json`` for ``report.html``, unless the bundle was written without
        (``leave_out=["first-rows"]``).

        Parameters
        ----------
        source : datajoint.Connection, optional
            Default: ``dj.conn()``, if the bundle was written here and from that server.
        progress : callable, optional
            Called with the number of statements done, and the total. Default: shown after two seconds, in a terminal
            or a notebook.
        alone : bool
            Do not look for a source, as for a reader who has only the bundle.

        Raises
        ------
        BundleError
            If dumping or loading fails.
        ServerError
            If there is no program for a private server.
        """
        found: list[dict[str, Any]] = []

        def look(loaded: Any, catalog: Catalog) -> None:
            found.append(first_rows(loaded, catalog, self.manifest, read_digests(self.path)))

        with counting("statements replayed", progress) as told:
            report = verify(
                self, source, told, alone=alone, look=look if self.manifest.get("first_rows") else None
            )
        if report.from_source:  # a reader's copy stays as it is
            for rows in found:
                text = json.dumps(rows, ensure_ascii=False) + "\n"
                atomic.write_beside(self.path / FIRST_ROWS_FILE, text, FILE)
            record_replay(self.path, self.manifest, report)
        return report

    def source_data(
        self,
        path: str | Path,
        progress: Callable[[int, int], None] | None = None,
        *,
        formats: str | Iterable[str] = (),
    ) -> list[SourceData]:
        """Write what each analysis received as tables, as journals ask for the source data of a figure.

        The statements run on a private server that has nothing but the loaded slice. For each analysis there are files
        for each of its distinct data statements, with the statement beside them; ``README.md`` says whether the
        analysis received these rows, and what the columns mean. Arrays are lists in Parquet, and in ``.npz`` files.

        Parameters
        ----------
        path : path
            A folder that does not exist or is empty.
        progress : callable, optional
            Called with the number of statements done, and the total.
        formats : str or iterable of str, optional
            Of "csv", "parquet" (needs the extra ``open``) and "xlsx" (needs the extra ``excel``). Default: CSV, and
            Parquet if pyarrow is installed. A result that Excel cannot hold has no such file; `SourceData` says why.

        Returns
        -------
        list of SourceData

        Raises
        ------
        BundleError
            If there is no dump, it does not load, the folder has files, or a package is missing.
        ServerError
            If there is no program for a private server.
        """
        with counting("statements written", progress) as told:
            made = write_source_data(self, Path(path), told, formats=formats)
        if Path(path).absolute() == (self.path / SOURCE_DATA).absolute():
            texts.refresh(self.path, self.manifest)
        return made

    def open_copy(
        self,
        path: str | Path,
        progress: Callable[[int, int], None] | None = None,
        *,
        codecs: Iterable[str] = (),
    ) -> OpenCopy:
        """Write the slice in formats that open without a server; ``dj-sqlspy open`` does it.

        The folder has a Parquet file for each table, and a DuckDB database ``slice.duckdb`` with the tables, their
        comments, and a view for each captured SELECT that DuckDB answers as the server does. Each was compared, on a
        private server that has nothing but the loaded slice. Blobs are there as bytes, and decoded beside, as lists or
        ``.npy`` and ``.json``. ``README.md`` says how to open them, and what could not be kept or decoded. It needs the
        packages of the extra ``open``.

        Parameters
        ----------
        path : path
            A folder that does not exist or is empty.
        progress : callable, optional
            Called with the number of tables and statements done, and the total.
        codecs : iterable of str, optional
            Names of codecs of DataJoint 2.3 or later with a ``to_spark`` (plugins) that decode their columns. They run
            on the bytes of the bundle, so name only those that you would trust with them.

        Raises
        ------
        BundleError
            If a package is missing, there is no dump, it does not load, or the folder has files.
        ServerError
            If there is no program for a private server.
        """
        require_extra(f"Writing an open copy into {path}")
        from ..open_copy.writing import write_open_copy

        with counting("tables and statements copied", progress) as told:
            return write_open_copy(self, Path(path), told, codecs)

    def inspect(self, progress: Callable[[int, int], None] | None = None) -> Inspection:
        """Look for what the bundle reveals about people, machines, folders and rows that are not in it.

        The dump is loaded into a private server. ``report.html`` notes where something was found, and in how many
        values and rows. Only the returned object has the values.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of columns done, and the total.

        Raises
        ------
        BundleError
            If there is no dump, it does not load, or the folder cannot be written to.
        ServerError
            If there is no program for a private server.
        """
        found = inspect_bundle(self, progress)
        record(self, found)
        return found


def is_open_copy(path: str | Path) -> bool:
    """Whether a folder is an open copy (`Bundle.open_copy`), and no bundle."""
    return (Path(path) / PACKAGE_FILE).exists() and not (Path(path) / FILE).exists()


def check_open_copy(path: str | Path) -> list[str]:
    """Compare an open copy (`Bundle.open_copy`) with its ``datapackage.json``; ``dj-sqlspy verify`` does it.

    Files, sizes, checksums, and the columns and rows of the Parquet files are compared. It needs the packages of the
    extra ``open``, and no server.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of str
        What differs. It is empty if nothing does.

    Raises
    ------
    BundleError
        If a package is missing, or there is no valid ``datapackage.json``.
    """
    require_extra(f"Checking {path}")
    from ..open_copy.package import check

    return check(Path(path))


def dumped(bundle: Bundle, connection: Any) -> Bundle:
    """A bundle that was just written, with its dump."""
    if not bundle.dump_file.exists():  # with pseudonyms, it is there already
        bundle.dump(source=connection)
    return bundle


def add_source_data(bundle: Bundle, connection: Any) -> None:
    """Dump a bundle that was just written, write its source data into it, and warn of what is not there."""
    for text in not_made(dumped(bundle, connection).source_data(bundle.path / SOURCE_DATA)):
        logger.warning("Source data: %s", text)


@dataclass(frozen=True)
class Writing:
    """The choices for writing a bundle. `Paper.write` says what each is.

    ``with_code`` needs a paper.

    Raises
    ------
    BundleError
        If something in ``leave_out`` cannot be left out, or the bundle cannot have these permissions.
    """

    accept_drift: bool = False
    allow_incomplete: bool = False
    allow_unfinished: bool = False
    about: str | Path | Mapping[str, Any] | None = None
    exclude: Sequence[str] = ()
    replace: Mapping[str, Any] = field(default_factory=dict)
    pseudonym: Sequence[str] = ()
    with_code: bool = False
    code: Sequence[str | Path] = ()
    scratch: str | None = None
    leave_out: Collection[str] = ()
    mode: int = 0o700

    def __post_init__(self) -> None:
        if unknown := sorted({*self.leave_out} - {*LEAVE_OUT}):
            raise BundleError(f"Leaving out {', '.join(unknown)}: what can be is {', '.join(LEAVE_OUT)}.")
        if self.mode not in MODES:
            raise BundleError(
                f"A bundle with the mode {self.mode:o}: it can have {', '.join(f'{mode:o}' for mode in MODES)}, that is"
                " for you alone, for the group to read, or for all to read."
            )


def write_bundle(
    cut: Slice, path: str | Path, *, paper: Captured | None = None, connection: Any = None, **options: Any
) -> Bundle:
    """Write the folder for a slice.

    Parameters
    ----------
    cut : Slice
    path : path
        A folder that does not exist, is empty, or is an older bundle, which is replaced.
    paper : Paper, optional
        The paper of the slice.
    connection : connection of the driver, optional
        To the source. Default: a new one from ``paper.connection`` or ``dj.conn()``.
    **options
        Of `Writing`.

    Raises
    ------
    BundleError
        If the capture was incomplete, the database has drifted, or ``path`` is something else.
    JournalError
        If an analysis did not finish.
    SliceError
        If the contents of a column cannot be left out, or it cannot have pseudonyms.
    """
    path, chosen = Path(path), Writing(**options)
    require_files(chosen.code)
    if paper is not None and not cut.statements:
        raise BundleError(f"Writing {path}: {_nothing_exported(paper)}")
    if cut.drifted and not chosen.accept_drift:
        raise BundleError(_drift_message(path, cut.drifted))
    if paper is not None and not paper.complete and not chosen.allow_incomplete:
        problems = "".join(f"\n    {problem}" for problem in paper.problems)
        raise BundleError(
            f"Writing {path}: the capture of paper {paper.name!r} is incomplete, so the slice may lack rows"
            f" that the analysis read:{problems}\nRun the analysis again, or write it all the same with"
            " allow_incomplete=True (--allow-incomplete); the manifest says so then."
        )
    if paper is not None and not chosen.allow_unfinished:
        paper.require_finished()
    check_place(path)
    dj_connection = None if paper is None else paper.connection
    with contextlib.ExitStack() as stack:
        if connection is None:
            opened = backend_of(dj_connection).connect(dj_connection)
            connection = stack.enter_context(contextlib.closing(opened))
        if chosen.scratch and backend_of(connection).long_lists:
            raise BundleError(
                f"Writing {path}: tables of keys in {chosen.scratch} (scratch) are of no use on"
                f" {NAMES[backend_of(connection).name]}, where one command takes keys of any number. Leave it out."
            )
        contents = _contents(cut, paper, dj_connection, connection, chosen)
        try:  # before the bundle, so that a kill cannot leave a bundle without the note
            note_written(contents["manifest.json"], backend_of(connection).address(connection))
        except OSError as error:
            logger.warning(
                "It cannot be noted that %s is written here, so name its source later: %s", path, error
            )
        try:
            atomic.write_folder(path, contents, chosen.mode)
        except OSError as error:
            raise BundleError(f"Writing {path}: {error}. Nothing was written.") from error
    return Bundle(path)


def _contents(
    cut: Slice, paper: Captured | None, dj_connection: Any, connection: Any, chosen: Writing
) -> dict[str, str | bytes]:
    """The files of a bundle, by name."""
    comments = "comments" not in chosen.leave_out
    source = read_source(connection, cut, comments)
    name = None if paper is None else paper.name
    # paths below the home tell who the author is, and nothing to a reader
    problems = [] if paper is None else [line.replace(f"{paper.home}{os.sep}", "") for line in paper.problems]
    manifest = make_manifest(cut, source, name, problems, comments, totals="totals" not in chosen.leave_out)
    manifest["first_rows"] = "first-rows" not in chosen.leave_out
    manifest["complete"] = paper is None or paper.complete
    manifest["unfinished"] = [] if paper is None else [_about(analysis) for analysis in paper.unfinished]
    left_out = excluding.exclude(cut, chosen.exclude, connection, chosen.replace)
    want = pseudonymous.wanted(cut, source, chosen.pseudonym, left_out, connection)
    excluding.note(manifest, left_out, "values" in chosen.leave_out, backend_of(connection))
    if held := sorted({number for one in manifest["excluded"] for number in one["held"]}):
        logger.warning(
            "%d statements hold a value of a column that is excluded (%s). The bundle has them without their values"
            ' with leave_out=["values"] (--leave-out values).',
            len(held),
            ", ".join(first(held)),
        )
    other_server = _other_server(source)
    if other_server:
        logger.warning(other_server)
    calling = functions.note(manifest, cut, source.functions_left_out)
    for (schema, function), why in source.functions_left_out.items():
        logger.warning("The bundle does not have the stored function %s.%s: %s.", schema, function, why)
    if calling:
        logger.warning("%d statements need such functions, and cannot be replayed.", len(calling))
    with counting("files looked at") as told:
        files = files_of(cut, connection, Stores(dj_connection), progress=told)
    environments: list[dict[str, Any]] = []
    if "environment" not in chosen.leave_out:
        environments = ([] if paper is None else paper.environments) or own_environment()
    texts.complete(manifest, excluding.needed_files(files, left_out), chosen.about, environments)
    runs = paper.runs if chosen.with_code and paper is not None else ()
    code = code_of(runs, settings.home(None) if paper is None else paper.home, chosen.code)
    manifest["code"] = [one.about() for one in code]
    schema = chosen.scratch or settings.get("scratch")
    keys = key_tables(cut, schema, connection) if schema and not backend_of(connection).long_lists else []
    mode = chosen.mode & 0o666
    title = f"The slice of the database behind {name or '(hand-picked)'}: {summary(cut)}."
    written: dict[str, str | bytes] = {
        "dump.sh": dump_script(
            cut, source, f"Dump. {title}", excluding.contents(manifest), connection, keys, mode
        ),
        "restore.sh": restore_script(cut, source, f"Restore. {title}", connection),
        "manifest.json": manifest_text(manifest),
        **texts.texts(manifest),
        **{one.path: one.text for one in code if one.text is not None},
    }
    if want is None:
        return written
    tls = backend_of(connection).tls_options(dj_connection)
    return pseudonymous.published(
        written, manifest, cut, source, want, connection, tls, title, summary(cut), chosen.mode
    )


def _other_server(source: Source) -> str:
    """What verify cannot do because this machine has no server program of the source's flavor, or ""."""
    flavor = source.flavor
    if servers.find_program(flavor) is not None:
        return ""
    found = servers.find_stand_in(flavor)
    need = f"Put the server program of {NAMES[flavor]} on PATH, or verify on another machine"
    if found is None:
        return (
            f"verify loads the slice into a private server, and this machine has no program for one. {need}."
        )
    refused = [what for each in source.structures if each.flavor == found.flavor for what in each.refused]
    if refused:
        return (
            f"verify will need a {NAMES[flavor]}, since no {NAMES[found.flavor]} can hold this slice:"
            f" {'; '.join(first(refused))}. {need}."
        )
    return (
        f"verify will take {NAMES[found.flavor]} {found.version}, which is what this machine has, and say what it"
        f" cannot compare there. To compare all: {need[0].lower()}{need[1:]}."
    )


def require_files(code: Sequence[str | Path]) -> None:
    """Raise if a script or notebook to copy does not exist."""
    for file in code:
        if not Path(file).is_file():
            raise BundleError(f"Copying code into a bundle: there is no file {file}.")


def _about(analysis: Analysis) -> dict[str, Any]:
    """The manifest's entry of an analysis that did not finish."""
    return {
        "analysis": analysis.name,
        "state": analysis.state,
        "statements": analysis.statements,
        "started": None if analysis.started is None else analysis.started.isoformat(timespec="seconds"),
    }


def _nothing_exported(paper: Captured) -> str:
    """Why a paper's slice has no statement."""
    kinds = Counter(statement.kind for statement in paper.statements)
    seen = ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items()))
    message = f"nothing that the analyses of paper {paper.name!r} read is exported. Their statements: {seen or 'none'}."
    if kinds["preview"]:
        message += (
            " Displays of tables (preview) export no rows by default. To export what was displayed, run the analysis"
            f' again with sqlspy.export({paper.name!r}, …, preview="rows"), or run --preview rows.'
        )
    return message


def _drift_message(path: Path, drift: Sequence[StatementReport]) -> str:
    lines = first(drift, lambda report: f"{report.statement.where}: {report.change}: {short(report.sql)}")
    return (
        f"Writing {path}: the database has changed since the analysis ran; {len(drift)} of its statements"
        " return something else now:\n"
        + "".join(f"    {line}\n" for line in lines)
        + "Run the analysis again, or write what they return"
        " now with accept_drift=True (--accept-drift); the manifest names these statements then."
    )
