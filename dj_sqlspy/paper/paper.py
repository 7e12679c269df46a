"""Paper: all captured analyses of one paper, and its leaves, slice and bundle."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .. import guarded, settings
from ..display import count
from ..errors import JournalError, SpyError
from ..gc_pause import gc_paused
from ..journal import encode_name, failures, folders, run_folders
from ..journal.runs import Analysis, read_run
from ..names import listed
from ..progress import counting
from ..spy import session
from . import sharedlog
from .captured import Captured

if TYPE_CHECKING:
    from ..cascade.plan import Plan
    from ..external import File
    from ..external.dandi import DandiCopies
    from ..open_copy.sourcedata import SourceData
    from ..servers.tables import ForeignKey
    from ..slices import Slice
    from .bundle import Bundle

logger = logging.getLogger("dj_sqlspy")


# Marks of statements that can read other rows each time (`Lineage.marks`).
_BY_THEMSELVES = frozenset({"now", "rand", "session"})


@dataclass(frozen=True)
class _Kept:
    """The last slice of a paper, and what it was made from. ``mark`` was read before its snapshot."""

    records: object
    mark: object | None
    options: Mapping[str, Any]
    cut: Slice

    def still_holds(self, records: object, mark: object | None, options: Mapping[str, Any]) -> bool:
        """Whether the slice would be the same now: the same records and choices, and no change on the server.

        Statements and bounds that tell the time, for example, can mean other rows although nothing has changed. What
        bounds are made of is known only when they are evaluated, so a slice with bounds is always made again.
        """
        engines = {table.engine for table in self.cut.catalog.tables.values() if not table.is_view}
        return (
            mark is not None
            and mark == self.mark
            and records is self.records
            and options == self.options
            and not (options["only"] or options["guard"])
            and engines <= {"InnoDB"}
            and all(report.marks.isdisjoint(_BY_THEMSELVES) for report in self.cut.statements)
        )


class Paper(Captured):
    """All analyses captured for a paper.

    Parameters
    ----------
    name : str
    home : path, optional
        Where journals live; default `settings.home`.
    connection : datajoint.Connection, optional
        Connection to the server that the analyses read; default ``dj.conn()``.
    analyses : str or iterable of str, optional
        Only these analyses; default: all.
    """

    _kept: _Kept | None = None

    def _repr_html_(self) -> str:
        from .show import paper_html

        return paper_html(self)

    def of(self, *analyses: str) -> Paper:
        """The same paper with these analyses only."""
        return Paper(self.name, self.home, self._connection, analyses)

    only = of  # its name before bounds (``only=``) took the word

    # ---------------------------------------------------------------- leaves, slice, bundle

    def slice(
        self,
        *,
        parts: str = "all",
        strict: bool = False,
        virtual: str | Iterable[str | ForeignKey] = (),
        only: Any = (),
        guard: Any = (),
        skip_statements: int | Iterable[int] = (),
        progress: Callable[[str, int], None] | None = None,
    ) -> Slice:
        """The exact rows of the present database that the paper needs.

        Parameters
        ----------
        parts : {"all", "referenced"}
            Whether a master brings all of its parts.
        strict : bool
            Raise if a statement cannot be analysed, instead of exporting its whole tables.
        virtual : str, ForeignKey, or iterable of these
            References that the database does not declare as foreign keys (`virtual_fks.reference`), in addition to
            ``dj.config["sqlspy.references"]``.
        only : restricted table, str, or iterable of these, optional
            Bounds of the slice (``Session & "project='X'"``, or as text ``"lab.Session: project='X'"``). Other rows of
            these tables, and all their descendants, are outside. No row is in the slice because of a row outside.
            Statements that need a row outside are marked ``left-out``.
        guard : restricted table, str, or iterable of these, optional
            Raise if the slice has a row outside of these bounds, and say why it is there.
        skip_statements : int or iterable of int, optional
            Numbers of statements to leave out because they cannot be exported. A number is the same whichever analyses
            are chosen. The report says so first.
        progress : callable, optional
            Called with the name of the step and the number of parts that were done just now. Default: shown after two
            seconds, in a terminal or a notebook.

        Raises
        ------
        JournalError
            If nothing was captured.
        LineageError, CatalogError, SliceError
        """
        return self._make(
            progress,
            parts=parts,
            strict=strict,
            skip_statements=_numbers(skip_statements),
            **self._chosen(virtual, only, guard),
        )

    def preview(self, *, only: Any = (), guard: Any = ()) -> Slice:
        """The rows that the statements read, before the cascade, as a slice to look at.

        Parameters
        ----------
        only, guard
            As of `slice`.
        """
        return self._make(None, closed=False, **self._chosen((), only, guard))

    def leaves(self) -> list[Any]:
        """Restricted ``dj.FreeTable`` objects of the rows that the statements read, before the cascade."""
        return self.preview().free_tables()

    def plan(
        self,
        *,
        parts: str = "all",
        virtual: str | Iterable[str | ForeignKey] = (),
        only: Any = (),
        guard: Any = (),
        skip_statements: int | Iterable[int] = (),
    ) -> Plan:
        """The queries that `slice` will send, in order. The arguments are those of `slice`.

        It reads only the catalog, and no rows.
        """
        from ..slices import make_plan
        from ..slices.making import on_server

        self.require_any()
        statements, policies = self.statements, self.policies
        options = self._chosen(virtual, only, guard) | {"skip_statements": _numbers(skip_statements)}
        return on_server(
            self.connection,
            lambda raw: make_plan(statements, raw, policies=policies, parts=parts, **options),
        )

    @gc_paused()
    def _make(self, progress: Callable[[str, int], None] | None, **options: Any) -> Slice:
        from ..servers import backend_of
        from ..slices import make_slice
        from ..slices.making import on_server

        self.require_any()
        if not self.complete:
            logger.warning(
                "The record of the paper %r is incomplete, so rows that the analysis read may be missing:\n  %s",
                self.name,
                "\n  ".join(self.missing),
            )
        records = (self._whole or self).runs  # the same list until a record changes; so it is read first
        statements, policies = self.statements, self.policies

        def made(raw: Any) -> Slice:
            mark = backend_of(raw).change_mark(raw)
            if self._kept is not None and self._kept.still_holds(records, mark, options):
                return self._kept.cut
            cut = make_slice(
                statements,
                raw,
                policies=policies,
                progress=progress,
                dj_connection=self.connection,
                **options,
            )
            self._kept = _Kept(records, mark, options, cut)
            return cut

        return on_server(self.connection, made)

    def _chosen(self, virtual: Any, only: Any, guard: Any) -> dict[str, Any]:
        """Options of a slice from a user's arguments."""
        from ..slices.bounds import bounds_of

        bounds = [bounds_of(given, self.connection if listed(given) else None) for given in (only, guard)]
        return {"virtual": settings.declared_references(virtual), "only": bounds[0], "guard": bounds[1]}

    def files(
        self,
        *,
        check: str = "size",
        exclude: str | Iterable[str] = (),
        replace: Mapping[str, Any] | None = None,
        progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> list[File]:
        """The files outside of the database that rows of the slice need (`external.files_of`), also by links in files.

        Parameters
        ----------
        check : {"size", "contents"}
            Whether to compare only sizes, or also to read the files and compare their checksums.
        exclude : str or iterable of str, optional
            Columns whose contents are left out, as of `write`, so that their files are not needed.
        replace : mapping, optional
            Columns with the value that replaces their contents, as of `write`. Their files are not needed either.
        progress : callable, optional
            Called with the number of files done, and the total.
        **options
            Of `slice`.
        """
        from ..dump import exclude as excluding
        from ..external import files_of
        from ..external.stores import Stores
        from ..servers import backend_of

        cut = self.slice(**options)
        with contextlib.closing(backend_of(self.connection).connect(self.connection)) as connection:
            left_out = excluding.exclude(cut, listed(exclude), connection, replace)
            with counting("files looked at", progress) as told:
                files = files_of(cut, connection, Stores(self.connection), check=check, progress=told)
            return excluding.needed_files(files, left_out)

    def dandi(
        self,
        path: Any,
        *,
        fix: str | Iterable[str] = (),
        store: str | None = None,
        progress: Callable[[int], None] | None = None,
        **options: Any,
    ) -> DandiCopies:
        """Lay copies of the NWB files out as `dandi organize` does, with all linked data in them (`external.dandi`).

        The result says for each file what DANDI requires and the copy lacks, and what nwbinspector and `dandi validate`
        say of it. The lab's files are only read. It needs ``pip install "dj-sqlspy[dandi]"``, and no network.

        Parameters
        ----------
        path : path
            A new folder.
        fix : str or iterable of str, optional
            What to change in the copies where it is missing or not in DANDI's form: ``sex=F``, ``age=P90D``,
            ``species=Mus musculus``; for one subject ``rat1.age=P90D``; ``sex`` or ``species`` alone translates known
            words (Male, Rat); ``object-ids`` gives files that share an ``object_id`` new ones.
        store : str, optional
            Only files of this store, with what these lead to in others.
        progress : callable, optional
            Called with the number of bytes just read.
        **options
            Of `files`.

        Raises
        ------
        FilesError
            If the folder is there, a package is missing, or a fix is unknown.
        """
        from ..external.dandi import dandi_copies
        from ..external.stores import Stores

        files = self.files(**options)
        return dandi_copies(
            files, path, Stores(self.connection), fix=listed(fix), store=store, progress=progress
        )

    def write(
        self,
        path: Any,
        *,
        accept_drift: bool = False,
        about: Any = None,
        exclude: str | Iterable[str] = (),
        replace: Mapping[str, Any] | None = None,
        pseudonym: str | Iterable[str] = (),
        with_code: bool = False,
        code: str | Iterable[str | Path] = (),
        scratch: str | None = None,
        leave_out: Collection[str] = (),
        allow_incomplete: bool = False,
        allow_unfinished: bool = False,
        mode: int = 0o700,
        source_data: bool = False,
        **options: Any,
    ) -> Bundle:
        """Make the slice and write the bundle for it.

        Parameters
        ----------
        path : path
            The folder to write; it appears whole or not at all.
        accept_drift : bool
            Write although results of statements have changed since they were captured.
        about : path or dict, optional
            Title, authors, license and others of the paper, for README.md and the metadata (see `about`).
        exclude : str or iterable of str, optional
            Columns whose contents are left out (```schema`.`table`.column``): NULL or the default stands in their
            place. Statements that read them cannot be replayed, and are in the bundle without their values. ``*._prov``
            is that column of every table that has it, ``*._job_*`` all whose names start so.
        replace : mapping, optional
            By such a name, the value that stands in the place of the contents of a column, also where it is NOT NULL.
            It is told in the bundle; statements that read the column are treated as those of ``exclude``.
        pseudonym : str or iterable of str, optional
            Columns of CHAR, VARCHAR, integers or BINARY(16) (a UUID), such as a key that names a person. Keyed hashes
            replace their values, the same in all columns that refer to each other. The key of the hash is in the
            environment variable ``DJ_SQLSPY_SECRET``, or in the file that ``DJ_SQLSPY_SECRET_FILE`` names, so that
            another bundle has the same pseudonyms; else it is random, and forgotten. A private server makes the
            pseudonyms and the dump now, and the bundle has no dump.sh, which would name the true values. Statements
            that show a value, compare it with a literal or depend on the order of values cannot be compared.
        with_code : bool
            Copy the scripts and notebooks of the analyses into the bundle, notebooks without their outputs.
        code : path or iterable of path, optional
            Further scripts and notebooks to copy, such as one whose name Jupyter did not tell.
        scratch : str, optional
            A schema of the source for tables of keys, so that a million scattered rows need one short command in
            dump.sh instead of hundreds. Default: ``dj.config["sqlspy.scratch"]``, none.
        leave_out : collection of {"totals", "comments", "values", "environment", "first-rows"}, optional
            What to leave out: how many rows the tables have at the lab; comments of tables, columns, keys and
            partitions (except the types that DataJoint stores there); the values of statements that need rows outside
            of bounds or contain a value of an excluded column (these statements then cannot be replayed); the
            environments of the analyses: their packages, the git commit of their code; the first rows of tables and
            results that ``verify`` puts into ``report.html``.
        allow_incomplete : bool
            Write although the capture has gaps; the manifest and the report say so.
        allow_unfinished : bool
            Write although an analysis failed, was interrupted, or is still running; the report says so first.
        mode : {0o700, 0o750, 0o755}
            Permissions of the folder: for you alone, also for your group to read, or for all. Its files have the same,
            and only its scripts can be run.
        source_data : bool
            Also dump the slice, and write the source data of each analysis into the folder ``source-data`` of the
            bundle (`Bundle.source_data`).
        **options
            Of `slice`.

        Raises
        ------
        JournalError
            If the record of an analysis is incomplete, or an analysis did not finish.
        BundleError
            If the folder holds something else, or the database has drifted.
        SliceError
            If the contents of a column cannot be left out, a column cannot hold a value, or cannot have pseudonyms.
        ServerError
            If there is to be source data, and there is no program for a private server.
        """
        from ..bundle.folder import check_place
        from ..servers import backend_of, require_program
        from .bundle import add_source_data, require_files, write_bundle

        check_place(Path(path))
        if source_data:
            require_program(backend_of(self.connection).name)
        require_files(listed(code))
        if allow_incomplete:
            self.require_any()
        else:
            self.require_complete()
        if not allow_unfinished:
            self.require_finished()
        cut = self.slice(**options)
        bundle = write_bundle(
            cut,
            Path(path),
            paper=self,
            accept_drift=accept_drift,
            allow_incomplete=allow_incomplete,
            allow_unfinished=allow_unfinished,
            about=about,
            exclude=listed(exclude),
            replace=replace or {},
            pseudonym=listed(pseudonym),
            with_code=with_code,
            code=listed(code),
            scratch=scratch,
            leave_out=leave_out,
            mode=mode,
        )
        if source_data:
            add_source_data(bundle, self.connection)
        return bundle

    def source_data(
        self,
        path: Any,
        *,
        formats: str | Iterable[str] = (),
        progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> list[SourceData]:
        """Write what each analysis received as tables (`Bundle.source_data`), without keeping a bundle.

        Parameters
        ----------
        path : path
            A folder that does not exist or is empty.
        formats : str or iterable of str, optional
            Of "csv", "parquet" and "xlsx". Default: CSV, and Parquet if pyarrow is installed.
        progress : callable, optional
            Called with the number of statements done, and the total.
        **options
            Of `write` and `slice`: what is left out of the bundle is not in the source data.

        Returns
        -------
        list of SourceData

        Raises
        ------
        BundleError, JournalError, SliceError
            As of `write`; or if the folder has files, or a package is missing.
        ServerError
            If there is no program for a private server.
        """
        from ..open_copy.sourcedata import chosen_formats
        from ..replay.loaded import require_free
        from ..servers import backend_of, require_program
        from .bundle import dumped

        doing = f"Writing source data into {path}"
        require_free(doing, Path(path))  # before the work
        chosen = chosen_formats(doing, formats)
        require_program(backend_of(self.connection).name)
        with guarded.Folder() as place:  # which a killed process does not leave
            bundle = self.write(place / "bundle", **options)
            return dumped(bundle, self.connection).source_data(path, progress, formats=chosen)

    def share(self, analysis: str | None = None, *, describe: bool = True) -> list[str]:
        """Upload the runs of this home that the shared log does not have, such as that of a killed process.

        Parameters
        ----------
        analysis : str, optional
            Only this one, even if the log has a newer run or this one was deleted there. Default: all that are newer
            than in the log.
        describe : bool
            Also fill the parts `Table` and `File` of `ExportSelection`, which takes as long as a slice.

        Returns
        -------
        list of str
            The analyses whose run in the log is now that of this home.

        Raises
        ------
        SpyError
            If ``sqlspy.schema`` is not set, or the server refuses it.
        """
        stored = []
        for folder in self.newest().values():
            name = unquote(folder.parent.name)
            forced = analysis is not None
            if analysis in (None, name) and sharedlog.store(
                folder, self.name, name, self.connection, replace="any" if forced else "older", revive=forced
            ):
                stored.append(name)
        if describe:
            from .describe import parts_of

            for name in stored:
                entry = sharedlog.entry_of(self.name, name, self.connection)
                if entry is not None:  # else another process has deleted it
                    alone = self.only(name)
                    parts = parts_of(alone.preview(), alone.files(), self.connection)
                    sharedlog.describe(entry, self.name, parts, self.connection)
        return stored

    def forget(self, analysis: str | None = None) -> list[str]:
        """Delete all runs of one analysis or of the whole paper, also from the shared log.

        Returns
        -------
        list of str
            What was deleted, a line for each analysis.

        Raises
        ------
        SpyError
            If a run of it is open in any process on this machine, or there is no such analysis.
        JournalError
            If its files cannot be deleted.
        """
        for each in session.open_sessions:
            if (each.home, each.paper) == (self.home, self.name) and analysis in (None, each.analysis):
                raise SpyError(f"{each!r} is open: end it before you forget it.")
        folder = self.folder if analysis is None else self.folder / encode_name(analysis)
        found = self.forgettable(analysis)
        noted = [path for path in failures if folder in path.parents]
        shared = settings.get("schema") and sharedlog.forget(self.name, analysis, self.connection)
        if not folder.is_dir() and not noted and not shared:
            what = (
                f"the paper {self.name!r}"
                if analysis is None
                else f"the analysis {analysis!r} of {self.name!r}"
            )
            names = ", ".join(unquote(path.name) for path in folders(self.folder))
            known = f" It has {names}." if analysis is not None and names else ""
            raise SpyError(f"There is nothing to forget: {what} was never captured in {self.home}.{known}")
        if shared:
            found.append(f"{count(shared, 'run')} in the shared log {settings.get('schema')}")
        try:
            if folder.is_dir():
                shutil.rmtree(folder)
            if self.folder.is_dir() and not folders(self.folder):
                self.folder.rmdir()
        except OSError as error:
            raise JournalError(f"Forgetting {folder}: {error}.") from error
        for path in noted:
            del failures[path]
        return found

    def forgettable(self, analysis: str | None = None) -> list[str]:
        """What `forget` would delete in this home, a line for each analysis.

        Raises
        ------
        SpyError
            If a run of it is open.
        """
        chosen = folders(self.folder) if analysis is None else [self.folder / encode_name(analysis)]
        lines = []
        for folder in chosen:
            name = unquote(folder.name)
            try:
                runs = [Analysis.of(read_run(run)) for run in run_folders(folder) if any(run.iterdir())]
            except JournalError as error:  # written by a newer dj-sqlspy; it can still be deleted
                lines.append(f"{name}: {error}")
                continue
            if any(run.state == "open" for run in runs):
                raise SpyError(
                    f"The analysis {name!r} of {self.name!r} is running now: end it before you forget it."
                )
            if runs:
                statements = count(sum(run.statements for run in runs), "statement")
                lines.append(f"{name}: {count(len(runs), 'run')}, {statements}")
        return lines


def papers(home: Any = None) -> list[Paper]:
    """All papers with captured analyses, by name."""
    folder = settings.home(home)
    names = {unquote(path.name) for path in folders(folder) if folders(path)}
    return [Paper(name, home=folder) for name in sorted(names | set(sharedlog.papers()))]


def _numbers(given: int | Iterable[int]) -> tuple[int, ...]:
    """One number, or several."""
    return (given,) if isinstance(given, int) else tuple(given)
