"""Runs: reads journals, and combines the processes of a run and the analyses of a paper.

In: the folders of the journals. Out: statements in one order, and what is missing from the record. It changes nothing
on disk.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import unquote

from markupsafe import Markup

from ..display import count, time_text, visible
from ..gc_pause import gc_paused
from .environment import Environment
from .git import COMMIT
from .places import CHOSEN, INCOMPLETE, SUFFIX, run_folders, run_order
from .reading import JournalFile, Record, read_file
from .statement import Statement
from .writer import failures


@dataclass(frozen=True)
class Run:
    """One run of an analysis: the files of all its processes."""

    folder: Path
    files: tuple[JournalFile, ...]
    failure: str | None = None  # noted by this process, perhaps not on disk
    broken: tuple[Path, ...] = ()  # newer runs that failed and so do not count

    @property
    def paper(self) -> str:
        return unquote(self.folder.parent.parent.name)

    @property
    def analysis(self) -> str:
        return unquote(self.folder.parent.name)

    @property
    def problems(self) -> list[str]:
        """What is or may be missing from the record."""
        found = [problem for file in self.files for problem in file.problems]
        return found if found or self.failure is None else [f"{self.folder}: {self.failure}"]

    @property
    def notes(self) -> list[str]:
        """Oddities of the record that lose nothing."""
        numbers = [run_order(folder.name)[0] for folder in self.broken]
        return [
            *(note for file in self.files for note in file.notes),
            *(
                f"{self.analysis}: the newer run {number} failed, and does not count (dj-sqlspy recover "
                f"{quote(self.paper)} {quote(self.analysis)} --run {number} lets it count)"
                for number in numbers
            ),
        ]

    @property
    def environments(self) -> list[Environment]:
        """The distinct environments of its processes."""
        known = {name: full for file in self.files for name, full in file.environments.items()}
        used = dict.fromkeys(file.environment for file in sorted(self.files, key=lambda file: not file.first))
        return [known[name] for name in used if name is not None and name in known]

    @property
    def code_states(self) -> list[dict[str, Any]]:
        """The distinct states of the repositories that its programs were in: ``commit`` and ``dirty``."""
        found = [file.header["git"] for file in self.files if isinstance(file.header.get("git"), dict)]
        told = [
            {
                "commit": one["commit"],
                "dirty": one.get("dirty") if one.get("dirty") in (True, False) else None,
            }
            for one in found
            if COMMIT.fullmatch(str(one.get("commit")))
        ]
        return [one for number, one in enumerate(told) if one not in told[:number]]

    @property
    def modules(self) -> set[str] | None:
        """The modules that its first processes had imported in the end; None if that is not known of all of them."""
        told = [file.modules for file in self.files if file.first]
        return None if None in told else {name for names in told for name in names or ()}

    @property
    def server_versions(self) -> list[str]:
        """The distinct versions of the servers that it read from."""
        # replication wants MariaDB to tell another number first
        told = {version.removeprefix("5.5.5-") for file in self.files for version in file.servers.values()}
        return sorted(told - {""})

    @property
    def policies(self) -> dict[str, str]:
        """Kind to policy; empty if no header could be read."""
        headers = [file.header for file in sorted(self.files, key=lambda file: not file.first) if file.header]
        return dict(headers[0]["policies"]) if headers else {}


@dataclass(frozen=True, repr=False)
class Analysis:
    """The newest run of one analysis.

    Attributes
    ----------
    name : str
    state : str
        ``ended``; ``failed``: an exception of the analysis ended it; ``open``: it is running; ``interrupted``: its
        process was killed. In each case, what it had read is captured.
    started, ended : datetime or None
        UTC; None if the record is missing.
    statements : int
    processes : int
        Number of processes that read something.
    size : int
        Bytes of its journal.
    policies : dict
        Kind to policy.
    problems : list of str
        What could not be recorded, or was damaged later. If empty, the run is complete.
    notes : list of str
        Oddities that lose nothing.
    folder : Path
        The folder of the run.
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

    def __repr__(self) -> str:
        return visible(f"{self.name}: {', '.join(self._about())}")

    def _repr_html_(self) -> str:
        return Markup("<div><b>{}</b>: {}</div>").format(self.name, ", ".join(self._about()))

    def _about(self) -> list[str]:
        started = [] if self.started is None else [f"started {time_text(self.started)}"]
        record = "complete" if self.complete else "INCOMPLETE"
        return [self.state, count(self.statements, "statement"), *started, record]

    @property
    def finished(self) -> bool:
        """Whether the analysis has ended without failing."""
        return self.state == "ended"

    @classmethod
    def of(cls, run: Run) -> Analysis:
        """Describe a run."""
        starts = [file.header["time"] for file in run.files if file.header]
        state, ends = _how_it_ended(run.files)
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
    """Read all files of a run. If a copy of the run has a longer version of a file, read that one."""
    longest: dict[str, Path] = {}
    for path in (path for place in (folder, *copies) for path in _files(place)):
        if path.suffix in (SUFFIX, INCOMPLETE):
            known = longest.setdefault(path.stem, path)
            if path.stat().st_size > known.stat().st_size:
                longest[path.stem] = path
    newer = [other for other in run_folders(folder.parent) if run_order(other.name) > run_order(folder.name)]
    return Run(
        folder,
        tuple(read_file(longest[name]) for name in sorted(longest)),
        failures.get(folder),
        tuple(other for other in newer if has_failed(other)),
    )


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def newest_run(folder: Path) -> Path | None:
    """The run of an analysis that counts, which may be one that this process could not write.

    It is the newest one. A failed run does not replace one that ended, unless it was chosen (`upkeep.recover`).
    """
    names = {
        path.name for path in run_folders(folder) if any(path.iterdir())
    }  # one may wait for its processes
    names |= {path.name for path in failures if path.parent == folder}
    runs = [folder / name for name in sorted(names, key=run_order, reverse=True)]
    if len(runs) > 1 and has_failed(runs[0]) and not (runs[0] / CHOSEN).exists():
        for run in runs[1:]:
            if _state(run) == "ended":
                return run
    return runs[0] if runs else None


def ended_before(folder: Path) -> int | None:
    """The number of the newest earlier run of the same analysis that ended; None if there is none."""
    number = run_order(folder.name)
    before = [
        run for run in run_folders(folder.parent) if run_order(run.name) < number and _state(run) == "ended"
    ]
    return run_order(before[-1].name)[0] if before else None


def has_failed(folder: Path) -> bool:
    """Whether an exception of the analysis ended a run."""
    return _state(folder) == "failed"


def _state(folder: Path) -> str | None:
    """The state of a run from its files alone; None if it has no file."""
    files = [path for path in _files(folder) if path.suffix in (SUFFIX, INCOMPLETE)]
    return _state_of(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=1000)
def _state_of(files: tuple[tuple[Path, int, int], ...]) -> str | None:
    found = [read_file(path) for path, _, _ in files]
    return _how_it_ended(found)[0] if found else None


def _how_it_ended(files: Sequence[JournalFile]) -> tuple[str, list[float]]:
    """The state of a run, and the times when its processes ended."""
    firsts = [file for file in files if file.first] or list(files)
    ends = [file.end for file in firsts if file.end is not None]
    times = [end["end"] for end in ends]
    if len(ends) == len(firsts):
        return ("failed" if any(end["error"] for end in ends) else "ended"), times
    return ("open" if any(file.alive for file in firsts) else "interrupted"), times


@gc_paused()
def combine(
    runs: Iterable[Run], session: int | None = None, analyses: Collection[str] | None = None
) -> list[Statement]:
    """The statements of several runs and processes in one order, numbered from 1.

    They are ordered by time, and within one file by its order, even if a clock went backwards.

    Parameters
    ----------
    runs : iterable of Run
    session : int, optional
        Only statements of this session of each run (0: the one that started it). Default: all.
    analyses : collection of str, optional
        Return only statements of these. All are counted. Default: all.
    """
    transactions: dict[tuple[int, int], int] = {}
    out: list[Statement] = []
    make = Statement._make  # faster than the class
    files = [(file, run.analysis) for run in runs for file in run.files]
    for number, (analysis, position, fields) in enumerate(_in_order(files, session), start=1):
        _, time, rows, kind, server, transaction, sql, database, _, *more = fields
        if transaction:
            transaction = transactions.setdefault((position, transaction), len(transactions) + 1)
        if analyses is None or analysis in analyses:
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
