"""Captured: what was captured for one paper.

In: the name of a paper, and the folder where journals live. Out: its analyses and statements, and whether they are
complete. It reads journals, and writes none. With the setting ``sqlspy.schema`` it takes those of the shared log for
its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datajoint

from .. import settings
from ..bundle.code import Code, code_of
from ..errors import JournalError
from ..journal import Statement, encode_name, failures, folders
from ..journal.runs import Analysis, Run, combine, newest_run, read_run
from ..spy import reads
from . import sharedlog


class Captured:
    """The newest run of each analysis of a paper.

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
        """The newest run of each analysis; read again only where a file has changed."""
        chosen = self._shared.combined(self.newest(), lambda: self.connection, self._only)
        places = [folder for run in chosen for folder in run if folder.is_dir()]
        files = [path for folder in places for path in sorted(folder.iterdir())]
        stats = [(path, state.st_size, state.st_mtime_ns) for path in files for state in [path.stat()]]
        state = (chosen, stats, dict(failures))
        if state != self._read[0]:
            self._read = (state, [read_run(*run) for run in chosen])
        return self._read[1]

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
        """The statements of all analyses in order of time, numbered from 1; of every kind.

        Raises
        ------
        JournalError
            If one was written by a newer dj-sqlspy.
        """
        return combine(self.runs)

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
            for run in self.runs
        }

    @property
    def policies(self) -> dict[str, dict[str, str]]:
        """For each analysis, how each kind of its statements is exported."""
        return {run.analysis: run.policies for run in self.runs}

    @property
    def problems(self) -> list[str]:
        """What is missing from the record of an analysis, and what is odd about it but loses nothing."""
        return [line for run in self.runs for line in (*run.problems, *run.notes)]

    @property
    def complete(self) -> bool:
        """Whether all that the analyses read is recorded."""
        return not any(run.problems for run in self.runs)

    @property
    def code(self) -> list[Code]:
        """The scripts and notebooks of the analyses, as far as they are known (see `bundle.code`)."""
        return code_of(self.runs, self.home)

    def require_complete(self) -> None:
        """Raise where something is missing from the record: whoever writes a bundle calls this.

        Raises
        ------
        JournalError
            With what is missing; also if nothing was captured at all.
        """
        if not self.runs:
            raise JournalError(
                f"Nothing was captured for the paper {self.name!r} in {self.home}. Run its analyses in "
                f"`with sqlspy.export({self.name!r}, …)`, or name the right home (sqlspy.home, sqlspy.schema)."
            )
        missing = [line for run in self.runs for line in run.problems]
        if missing:
            raise JournalError(
                f"The record of the paper {self.name!r} is incomplete:\n  " + "\n  ".join(missing) + "\n"
                "Run these analyses again, or forget them."
            )
