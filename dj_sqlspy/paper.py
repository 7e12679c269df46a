"""Paper: all analyses that were captured for one paper.

In: the name of a paper, and the folder where journals live. Out: its analyses and statements, whether they
are complete, and from them what follows in the data's way: leaves, slice, bundle. It reads and forgets
journals; it writes none. With the setting ``sqlspy.schema`` it takes those of the shared log for its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from . import settings
from .collector import held_off
from .errors import JournalError, SpyError
from .journal import Statement, encode_name, failures, folders, sharedlog
from .journal.programs import code_of
from .journal.runs import Run, combine, newest_run, read_run
from .progress import counting
from .spy import reads, session

if TYPE_CHECKING:
    from .bundle import Bundle
    from .cascade.plan import Plan
    from .catalog import ForeignKey
    from .files import File
    from .journal.programs import Code
    from .slices import Slice

T = TypeVar("T")


@dataclass(frozen=True)
class Analysis:
    """The newest run of one analysis.

    Attributes
    ----------
    name : str
    state : str
        ``ended``; ``failed``: by an exception of the analysis; ``open``: it is running; ``interrupted``: its
        process was killed. What it had read is captured in each case.
    started, ended : datetime or None
        UTC; None where the record of it is missing.
    statements : int
    processes : int
        That read something.
    size : int
        Bytes of its journal.
    policies : dict
        Kind to policy, of the session.
    problems : list of str
        What could not be recorded, or was damaged since. It is complete where there is none.
    notes : list of str
        What is odd but loses nothing.
    folder : Path
        Where the run is.
    """

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    statements: int
    processes: int
    size: int
    policies: dict[str, str]
    problems: list[str]
    notes: list[str]
    folder: Path

    @property
    def complete(self) -> bool:
        return not self.problems

    @classmethod
    def of(cls, run: Run) -> Analysis:
        """Describe a run."""
        firsts = [file for file in run.files if file.first] or list(run.files)
        starts = [file.header["time"] for file in run.files if file.header]
        ends = [file.end["end"] for file in firsts if file.end is not None]
        errors = [file.end["error"] for file in firsts if file.end is not None]
        if len(ends) == len(firsts):
            state = "failed" if any(errors) else "ended"
        else:
            state = "open" if any(file.alive for file in firsts) else "interrupted"
        return cls(
            name=run.analysis,
            state=state,
            started=_when(min(starts, default=None)),
            ended=_when(max(ends)) if state in ("ended", "failed") and ends else None,
            statements=sum(file.statements for file in run.files),
            processes=len(run.files),
            size=sum(file.size for file in run.files),
            policies=run.policies,
            problems=run.problems,
            notes=run.notes,
            folder=run.folder,
        )


def _when(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


class Paper:
    """All analyses captured for a paper.

    Parameters
    ----------
    name : str
    home : path, optional
        Where journals live; default `settings.home`.
    connection : datajoint.Connection, optional
        To the server that the analyses read; default ``dj.conn()``.
    analyses : iterable of str, optional
        Only these; default: all of the paper.
    """

    def __init__(
        self,
        name: str,
        home: Any = None,
        connection: Any = None,
        analyses: Iterable[str] | None = None,
    ) -> None:
        self.name = name
        self.home = settings.home(home)
        self.folder = self.home / encode_name(name)
        self._connection = connection
        self._only = None if analyses is None else {encode_name(analysis) for analysis in analyses}
        self._read: tuple[object, list[Run]] = (None, [])
        self._shared = sharedlog.Reader(name)

    def __repr__(self) -> str:
        return f"Paper({self.name!r}, home={str(self.home)!r})"

    def _repr_html_(self) -> str:
        from .display import paper_html

        return paper_html(self)

    @property
    def connection(self) -> Any:
        """The DataJoint connection to the server that the analyses read."""
        if self._connection is None:
            import datajoint

            self._connection = datajoint.conn()
        return self._connection

    @property
    def captured_here(self) -> bool:
        """Whether this home has a run of it."""
        return bool(self._newest())

    @property
    def _runs(self) -> list[Run]:
        """The newest run of each analysis; read again only where a file has changed."""
        chosen = self._shared.combined(self._newest(), lambda: self.connection, self._only)
        places = [folder for run in chosen for folder in run if folder.is_dir()]
        files = [path for folder in places for path in sorted(folder.iterdir())]
        stats = [(path, state.st_size, state.st_mtime_ns) for path in files for state in [path.stat()]]
        state = (chosen, stats, dict(failures))
        if state != self._read[0]:
            self._read = (state, [read_run(*run) for run in chosen])
        return self._read[1]

    def _newest(self) -> dict[str, Path]:
        """The newest run of each analysis in this home, by the encoded name of the analysis."""
        names = {path.name for path in folders(self.folder)}
        names |= {path.parent.name for path in failures if path.parent.parent == self.folder}
        newest = {
            name: newest_run(self.folder / name)
            for name in sorted(names if self._only is None else self._only)
        }
        return {name: folder for name, folder in newest.items() if folder is not None}

    def only(self, *analyses: str) -> Paper:
        """The same paper with these analyses only."""
        return Paper(self.name, self.home, self._connection, analyses)

    @property
    def analyses(self) -> list[Analysis]:
        """The newest run of each analysis, by name.

        Raises
        ------
        JournalError
            If one was written by a newer dj-sqlspy.
        """
        return [Analysis.of(run) for run in self._runs]

    @property
    def statements(self) -> list[Statement]:
        """The statements of all analyses in order of time, numbered from 1; of every kind.

        Raises
        ------
        JournalError
            If one was written by a newer dj-sqlspy.
        """
        return combine(self._runs)

    @property
    def tables(self) -> dict[str, set[tuple[str, str]]]:
        """For each analysis, schema and name of the tables that its statements name, told from their text."""
        return {
            run.analysis: {
                table
                for file in run.files
                for record in file.records()
                if record.kind != "metadata"
                for table in reads.tables(record.sql, record.database)
            }
            for run in self._runs
        }

    @property
    def policies(self) -> dict[str, dict[str, str]]:
        """For each analysis, how each kind of its statements is exported."""
        return {run.analysis: run.policies for run in self._runs}

    @property
    def problems(self) -> list[str]:
        """What is missing from the record of an analysis, and what is odd about it but loses nothing."""
        return [line for run in self._runs for line in (*run.problems, *run.notes)]

    @property
    def complete(self) -> bool:
        """Whether all that the analyses read is recorded."""
        return not any(run.problems for run in self._runs)

    @property
    def code(self) -> list[Code]:
        """The scripts and notebooks of the analyses, as far as they are known (see `programs`)."""
        return code_of(self._runs)

    def require_complete(self) -> None:
        """Raise where something is missing from the record: whoever writes a bundle calls this.

        Raises
        ------
        JournalError
            With what is missing; also if nothing was captured at all.
        """
        if not self._runs:
            raise JournalError(
                f"Nothing was captured for the paper {self.name!r} in {self.home}. Run its analyses in "
                f"`with sqlspy.export({self.name!r}, …)`, or name the right home (sqlspy.home, sqlspy.schema)."
            )
        missing = [line for run in self._runs for line in run.problems]
        if missing:
            raise JournalError(
                f"The record of the paper {self.name!r} is incomplete:\n  " + "\n  ".join(missing) + "\n"
                "Run these analyses again, or forget them."
            )

    # ---------------------------------------------------------------- leaves, slice, bundle

    def slice(
        self,
        *,
        parts: str = "all",
        strict: bool = False,
        virtual: Iterable[str | ForeignKey] = (),
        only: Iterable[Any] = (),
        guard: Iterable[Any] = (),
        progress: Callable[[str, int], None] | None = None,
    ) -> Slice:
        """The exact rows that the paper needs, of the database as it is now.

        Parameters
        ----------
        parts : {"all", "referenced"}
            Whether a master brings all of its parts.
        strict : bool
            Raise where a statement cannot be analysed, instead of exporting its tables whole.
        virtual : iterable of str or catalog.ForeignKey
            References that the database does not declare as foreign keys (`references.reference`), beside those of
            ``dj.config["sqlspy.references"]``.
        only : iterable of restricted tables, optional
            Keep the slice inside of them (``[Session & "project='X'"]``): other rows of these tables, and all that
            descends from such rows, are left out, and the statements that would need them are marked ``left-out``.
        guard : iterable of restricted tables, optional
            Refuse where such a row is in the slice, with the reason that it is there.
        progress : callable, optional
            Called with what is being done and how much of it was done now. Default: shown after two seconds, in a
            terminal or a notebook.

        Raises
        ------
        JournalError
            If nothing was captured.
        LineageError, CatalogError, SliceError
        """
        from .references import declared
        from .slices.bounds import bounds_of

        return self._make(
            True,
            parts=parts,
            strict=strict,
            virtual=declared(virtual),
            only=bounds_of(only),
            guard=bounds_of(guard),
            progress=progress,
        )

    def preview(self) -> Slice:
        """What the statements read, before the cascade: a slice to look at."""
        return self._make(False)

    def leaves(self) -> list[Any]:
        """Restricted ``dj.FreeTable`` objects of the rows that the statements read, before the cascade."""
        return self.preview().free_tables()

    def plan(
        self,
        *,
        parts: str = "all",
        virtual: Iterable[str | ForeignKey] = (),
        only: Iterable[Any] = (),
        guard: Iterable[Any] = (),
    ) -> Plan:
        """What `slice` will ask of the server, in which order; the arguments are its own.

        No row is read for it, only the catalog.
        """
        from .references import declared
        from .slices import make_plan
        from .slices.bounds import bounds_of

        self._require_any()
        statements, policies = self.statements, self.policies
        return self._asking(
            lambda connection: make_plan(
                statements,
                connection,
                parts=parts,
                policies=policies,
                virtual=declared(virtual),
                only=bounds_of(only),
                guard=bounds_of(guard),
            )
        )

    @held_off()
    def _make(self, closed: bool, **options: Any) -> Slice:
        from .slices import make_slice

        self._require_any()
        statements, policies = self.statements, self.policies
        return self._asking(
            lambda connection: make_slice(
                statements,
                connection,
                closed=closed,
                policies=policies,
                dj_connection=self.connection,
                **options,
            ),
        )

    def _require_any(self) -> None:
        if not self._runs:
            self.require_complete()

    def _asking(self, work: Callable[[Any], T]) -> T:
        """Work on a connection of its own to the server that the analyses read."""
        from . import compat
        from .cascade import plain_decoders, reconnecting

        return reconnecting(lambda: compat.raw_connection(self.connection, conv=plain_decoders()), work)

    def files(
        self,
        *,
        check: str = "size",
        exclude: Iterable[str] = (),
        progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> list[File]:
        """The files outside of the database that rows of the slice need (`files.files_of`).

        Parameters
        ----------
        check : {"size", "contents"}
            Whether files are only looked for, or also read to compare their checksums.
        exclude : iterable of str, optional
            Columns whose contents are left out, as of `write`: their files are not needed.
        progress : callable, optional
            Called with the number of files looked at, and of all.
        **options
            Of `slice`.
        """
        from . import compat
        from .dump import exclude as excluding
        from .files import files_of
        from .files.stores import Stores

        cut = self.slice(**options)
        connection = compat.raw_connection(self.connection)
        try:
            left_out = excluding.exclude(cut, exclude, connection)
            with counting("files looked at", progress) as told:
                files = files_of(cut, connection, Stores(self.connection), check=check, progress=told)
            return excluding.needed_files(files, left_out)
        finally:
            connection.close()

    def write(
        self,
        path: Any,
        *,
        accept_drift: bool = False,
        about: Any = None,
        exclude: Iterable[str] = (),
        with_code: bool = False,
        scratch: str | None = None,
        **options: Any,
    ) -> Bundle:
        """Make the slice and write the bundle for it.

        Parameters
        ----------
        path : path
            The folder to write; it appears whole or not at all.
        accept_drift : bool
            Write although statements return another number of rows now than when they were captured.
        about : path or dict, optional
            Title, authors, license and others of the paper, for README.md and the metadata (see `about`).
        exclude : iterable of str, optional
            Columns whose contents are left out (```schema`.`table`.column``): NULL or the default stands in their
            place. Statements that read them cannot be replayed, and are in the bundle without their values.
        with_code : bool
            Copy the scripts and notebooks of the analyses into the bundle, notebooks without their outputs.
        scratch : str, optional
            A schema of the source where tables of keys can be made, so that a million scattered rows are one short
            command in dump.sh and not hundreds. Default: ``dj.config["sqlspy.scratch"]``, none.
        **options
            Of `slice`.

        Raises
        ------
        JournalError
            If the record of an analysis is incomplete.
        BundleError
            If the folder holds something else, or the database has drifted.
        SliceError
            If the structure does not allow to leave out the contents of a column.
        """
        from .bundle import write_bundle

        self.require_complete()
        cut = self.slice(**options)
        return write_bundle(
            cut,
            Path(path),
            paper=self,
            accept_drift=accept_drift,
            about=about,
            exclude=exclude,
            with_code=with_code,
            scratch=scratch,
        )

    def share(self, analysis: str | None = None, *, describe: bool = True) -> list[str]:
        """Store in the shared log what it lacks of the runs of this home, as of a process that was killed.

        Parameters
        ----------
        analysis : str, optional
            Only this one, and also where the log has a newer run or had it deleted. Default: those that are newer
            than what the log has.
        describe : bool
            Fill the parts `Table` and `File` of `ExportSelection` too, which takes as long as a slice.

        Returns
        -------
        list of str
            The analyses of which the log has the run of this home now.

        Raises
        ------
        SpyError
            If ``sqlspy.schema`` is not set, or the server refuses it.
        """
        stored = []
        for folder in self._newest().values():
            name = unquote(folder.parent.name)
            forced = analysis is not None
            if analysis in (None, name) and sharedlog.store(
                folder, self.name, name, self.connection, replace="any" if forced else "older", revive=forced
            ):
                stored.append(name)
        if describe:
            from .journal.sharedtables import describe as fill

            for name in stored:
                fill(self, name)
        return stored

    def forget(self, analysis: str | None = None) -> None:
        """Delete what was captured: all runs of one analysis, or of the whole paper; also from the shared log.

        Raises
        ------
        SpyError
            If a session of it is open in this process, or there is no such analysis.
        JournalError
            If its files can't be deleted.
        """
        for each in session.open_sessions:
            if (each.home, each.paper) == (self.home, self.name) and analysis in (None, each.analysis):
                raise SpyError(f"{each!r} is open: end it before you forget it.")
        folder = self.folder if analysis is None else self.folder / encode_name(analysis)
        noted = [path for path in failures if folder in path.parents]
        shared = settings.get("schema") and sharedlog.forget(self.name, analysis, self.connection)
        if not folder.is_dir() and not noted and not shared:
            what = (
                f"the paper {self.name!r}"
                if analysis is None
                else f"the analysis {analysis!r} of {self.name!r}"
            )
            raise SpyError(f"There is nothing to forget: {what} was never captured in {self.home}.")
        try:
            if folder.is_dir():
                shutil.rmtree(folder)
            if self.folder.is_dir() and not folders(self.folder):
                self.folder.rmdir()
        except OSError as error:
            raise JournalError(f"Forgetting {folder}: {error}.") from error
        for path in noted:
            del failures[path]


def papers(home: Any = None) -> list[Paper]:
    """All papers that something was captured for, by name."""
    folder = settings.home(home)
    names = {unquote(path.name) for path in folders(folder) if folders(path)}
    return [Paper(name, home=folder) for name in sorted(names | set(sharedlog.papers()))]
