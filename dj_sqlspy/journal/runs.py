"""Runs: journals read back, and combined over the processes of a run and the analyses of a paper.

In: the folders that `journal` wrote. Out: statements in one order, and what is missing from the record. It
changes nothing on disk.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..gc_pause import gc_paused
from .places import INCOMPLETE, SUFFIX, run_folders, run_order
from .reading import JournalFile, Record, read_file
from .statement import Statement
from .writer import failures


@dataclass(frozen=True)
class Run:
    """One run of an analysis: the files of all its processes."""

    folder: Path
    files: tuple[JournalFile, ...]
    failure: str | None = None  # noted in this process, perhaps not on disk

    @property
    def paper(self) -> str:
        return unquote(self.folder.parent.parent.name)

    @property
    def analysis(self) -> str:
        return unquote(self.folder.parent.name)

    @property
    def problems(self) -> list[str]:
        """What is missing from the record, or may be."""
        found = [problem for file in self.files for problem in file.problems]
        return found if found or self.failure is None else [f"{self.folder}: {self.failure}"]

    @property
    def notes(self) -> list[str]:
        return [note for file in self.files for note in file.notes]

    @property
    def policies(self) -> dict[str, str]:
        """Kind to policy; empty where no header could be read."""
        headers = [file.header for file in sorted(self.files, key=lambda file: not file.first) if file.header]
        return dict(headers[0]["policies"]) if headers else {}


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


def read_run(folder: Path, *copies: Path) -> Run:
    """Read all files of a run; where a copy of it has more of a file, from there."""
    longest: dict[str, Path] = {}
    for path in (path for place in (folder, *copies) for path in _files(place)):
        if path.suffix in (SUFFIX, INCOMPLETE):
            known = longest.setdefault(path.stem, path)
            if path.stat().st_size > known.stat().st_size:
                longest[path.stem] = path
    return Run(folder, tuple(read_file(longest[name]) for name in sorted(longest)), failures.get(folder))


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def newest_run(folder: Path) -> Path | None:
    """The run of an analysis that counts; also one of this process that could not be written."""
    filled = (path.name for path in reversed(run_folders(folder)) if any(path.iterdir()))
    names = {name for name in (next(filled, None),) if name is not None}  # one may wait for its processes
    names |= {path.name for path in failures if path.parent == folder}
    return folder / max(names, key=run_order) if names else None


@gc_paused()
def combine(runs: Iterable[Run], session: int | None = None) -> list[Statement]:
    """The statements of several runs and processes in one order, numbered from 1.

    Ordered by time; within one file by the order of the file, also where a clock went backwards.

    Parameters
    ----------
    runs : iterable of Run
    session : int, optional
        Only what this session of each run received (0: the one that started it). Default: everything.
    """
    transactions: dict[tuple[int, int], int] = {}
    out: list[Statement] = []
    make = Statement._make  # which is quicker than the class
    files = [(file, run.analysis) for run in runs for file in run.files]
    for analysis, position, fields in _in_order(files, session):
        _, time, rows, kind, server, transaction, sql, database, _, *more = fields
        if transaction:
            transaction = transactions.setdefault((position, transaction), len(transactions) + 1)
        number = len(out) + 1
        out.append(make((sql, rows, time, kind, server, transaction, analysis, number, database, *more)))
    return out


def _in_order(
    files: Sequence[tuple[JournalFile, str]], session: int | None
) -> Iterator[tuple[str, int, list[Any]]]:
    if len(files) == 1 and session is None:
        ((file, analysis),) = files
        for fields in file.fields():
            yield analysis, 0, fields
        return
    streams = [_timed(file, session, position) for position, (file, _) in enumerate(files)]
    for _, position, _, fields in heapq.merge(*streams):
        yield files[position][1], position, fields


_SESSIONS = Record._fields.index("sessions")


def _timed(
    file: JournalFile, session: int | None, position: int
) -> Iterator[tuple[float, int, int, list[Any]]]:
    latest = 0.0
    for fields in file.fields():
        number, time, sessions = fields[0], fields[1], fields[_SESSIONS]
        if session is None or session in sessions:
            latest = max(latest, time)
            yield latest, position, number, fields
