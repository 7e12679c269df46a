"""Captured: what was captured for one paper.

In: the name of a paper, and the folder where journals live. Out: its analyses and statements, and whether they are
complete. It reads journals, and writes none. With the setting ``sqlspy.schema`` it also reads those of the shared log.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import datajoint

from .. import settings
from ..bundle.code import Code, code_of
from ..bundle.environment import Difference, differences, environments_of_runs
from ..display import count, time_text
from ..errors import JournalError
from ..journal import Statement, encode_name, failures, folders, run_folders
from ..journal.reading import Record
from ..journal.runs import Analysis, Run, combine, ended_before, newest_run, read_run
from ..names import listed
from ..shapes import Lifter, with_zeros
from ..spy import reads
from . import sharedlog

# What happened to an unfinished analysis, by its state.
HOW = {"failed": "failed", "interrupted": "was interrupted", "open": "is still running"}


class Captured:
    """The newest run of each analysis of a paper. The parameters are those of `Paper`."""

    def __init__(
        self,
        name: str,
        home: Any = None,
        connection: Any = None,
        analyses: str | Iterable[str] | None = None,
    ) -> None:
        self.name = name
        self.home = settings.home(home)
        self.folder = self.home / encode_name(name)
        self._connection = connection
        self._only = None if analyses is None else {encode_name(one) for one in listed(analyses)}
        self._read: tuple[object, list[Run]] = (None, [])
        self._held = False
        self._shared = sharedlog.Reader(name)
        # all analyses where only some were chosen: it reads for both
        self._whole = None if analyses is None else Captured(name, home, connection)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, home={str(self.home)!r})"

    @property
    def connection(self) -> Any:
        """The DataJoint connection to the server that the analyses read."""
        if self._connection is None:
            self._connection = datajoint.conn()
        return self._connection

    @property
    def captured_here(self) -> bool:
        """Whether this home has a run of it."""
        return bool(self.newest())

    @property
    def runs(self) -> list[Run]:
        """The newest run of each analysis; read again only if a file has changed."""
        if self._whole is not None:
            return [run for run in self._whole.runs if encode_name(run.analysis) in (self._only or ())]
        if self._held:
            return self._read[1]
        chosen = self._shared.combined(self.newest(), lambda: self.connection)
        places = [folder for run in chosen for folder in run if folder.is_dir()]
        files = [path for folder in places for path in sorted(folder.iterdir())]
        stats = [(path, state.st_size, state.st_mtime_ns) for path in files for state in [path.stat()]]
        siblings = [run_folders(run[0].parent) for run in chosen]
        state = (chosen, stats, siblings, dict(failures))
        if state != self._read[0]:
            self._read = (state, [read_run(*run) for run in chosen])
        return self._read[1]

    @contextmanager
    def read_once(self) -> Iterator[None]:
        """In a block, do not look for new records, which takes long where a home has thousands of analyses."""
        reader = self._whole or self
        _ = reader.runs
        reader._held = True
        try:
            yield
        finally:
            reader._held = False

    def newest(self) -> dict[str, Path]:
        """The newest run of each analysis in this home, by the encoded name of the analysis."""
        names = {path.name for path in folders(self.folder)}
        names |= {path.parent.name for path in failures if path.parent.parent == self.folder}
        newest = {
            name: newest_run(self.folder / name)
            for name in sorted(names if self._only is None else self._only)
        }
        return {name: folder for name, folder in newest.items() if folder is not None}

    @property
    def analyses(self) -> list[Analysis]:
        """The newest run of each analysis, by name.

        Raises
        ------
        JournalError
            If one was written by a newer dj-sqlspy.
        """
        return [Analysis.of(run) for run in self.runs]

    @property
    def statements(self) -> list[Statement]:
        """The statements of all kinds in order of time.

        They are numbered from 1 over all analyses of the paper, so that a number is the same whichever are chosen.

        Raises
        ------
        JournalError
            If one was written by a newer dj-sqlspy.
        """
        if self._whole is None:
            return combine(self.runs)
        return combine(self._whole.runs, analyses={unquote(name) for name in self._only or ()})

    @property
    def tables(self) -> dict[str, set[tuple[str, str]]]:
        """For each analysis, schema and name of the tables in the texts of its statements."""
        lifter = Lifter()  # so that the statements of a loop are one text
        return {
            run.analysis: {
                table
                for file in run.files
                for record in file.records()
                if record.kind != "metadata"
                for table in _tables(record, lifter)
            }
            for run in self.runs
        }

    @property
    def policies(self) -> dict[str, dict[str, str]]:
        """For each analysis, the policy of each kind of statement."""
        return {run.analysis: run.policies for run in self.runs}

    @property
    def problems(self) -> list[str]:
        """What is missing from the record of an analysis, and oddities that lose nothing."""
        return [line for run in self.runs for line in (*run.problems, *run.notes)]

    @property
    def missing(self) -> list[str]:
        """What is missing from the record."""
        return [line for run in self.runs for line in run.problems]

    @property
    def complete(self) -> bool:
        """Whether all that the analyses read is recorded."""
        return not self.missing

    @property
    def unfinished(self) -> list[Analysis]:
        """The analyses that failed, were interrupted, or are still running, so that their reads are not complete."""
        return [analysis for analysis in self.analyses if not analysis.finished]

    @property
    def code(self) -> list[Code]:
        """The known scripts and notebooks of the analyses (see `bundle.code`)."""
        return code_of(self.runs, self.home)

    @property
    def environments(self) -> list[dict[str, Any]]:
        """The distinct environments that the analyses ran in (see `bundle.environment.environments_of_runs`).

        Each has the versions of Python and of the packages, and the analyses that ran in it, with the git commit of
        their code and the versions of the servers that they read from. It is empty if none is on record.
        """
        return environments_of_runs(self.runs)

    @property
    def environment_differences(self) -> list[Difference]:
        """What was not the same in the environments of all analyses, such as the version of a package."""
        return differences(self.environments)

    def require_any(self) -> None:
        """Raise if there is nothing for a slice.

        Raises
        ------
        JournalError
            If nothing was captured, or a requested analysis was not.
        """
        there = {run.analysis for run in self.runs}
        lacking = sorted({unquote(name) for name in self._only or ()} - there)
        if lacking:
            known = [analysis.name for analysis in (self._whole or self).analyses]
            gone = [name for name in lacking if encode_name(name) not in self.newest()]
            if not gone:  # they were not there a moment ago
                raise JournalError(
                    f"Another process changes {', '.join(lacking)} of the paper {self.name!r} now. Nothing was done: "
                    "try again."
                )
            if known:
                raise JournalError(
                    f"The paper {self.name!r} has no analysis {', '.join(map(repr, gone))}; "
                    f"it has {', '.join(known)}."
                )
        if not there:
            others = ", ".join(unquote(path.name) for path in folders(self.home) if folders(path))
            raise JournalError(
                f"Nothing was captured for the paper {self.name!r} in {self.home}"
                + (f", which has {others}. " if others else ". ")
                + f"Run its analyses in `with sqlspy.export({self.name!r}, …)`, or name the right home (sqlspy.home, "
                "sqlspy.schema)."
            )

    def require_complete(self) -> None:
        """Raise if something is missing from the record, before a bundle is written.

        Raises
        ------
        JournalError
            The message says what is missing. Also raised if nothing was captured.
        """
        self.require_any()
        if not self.complete:
            raise JournalError(
                f"The record of the paper {self.name!r} is incomplete:\n  " + "\n  ".join(self.missing) + "\n"
                "Run these analyses again, or forget them."
            )

    def require_finished(self) -> None:
        """Raise if an analysis did not finish, before a bundle is written.

        Raises
        ------
        JournalError
            The message says what happened, and names an earlier run that ended, if there is one.
        """
        lines = []
        for analysis in self.unfinished:
            since = "" if analysis.started is None else f" since {time_text(analysis.started)}"
            lines.append(
                f"    {analysis.name} {HOW[analysis.state]}: {count(analysis.statements, 'statement')}{since}"
            )
            earlier = ended_before(analysis.folder)
            if earlier is not None:
                words = shlex.join(["dj-sqlspy", "recover", self.name, analysis.name, "--run", str(earlier)])
                lines.append(f"        An earlier run of it ended. To take that: {words}")
        if lines:
            raise JournalError(
                f"Not all analyses of the paper {self.name!r} came to their end, so rows may be missing:\n"
                + "\n".join(lines)
                + "\nRun them to their end (in a notebook: end the session), or write what they read so far with "
                "allow_unfinished=True (--allow-unfinished); the report says so first."
            )


def _tables(record: Record, lifter: Lifter) -> Collection[tuple[str, str]]:
    """Schema and name of the tables in the text of a statement."""
    if record.backend == "postgresql":
        from ..spy import postgresql

        return postgresql.tables(record.sql, record.database)
    return reads.tables(with_zeros(lifter.lift(record.sql)[0]), record.database)
