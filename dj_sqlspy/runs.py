"""Runs: journals read back, and combined over the processes of a run and the analyses of a paper.

In: the folders that `journal` wrote. Out: statements in one order, and what is missing from the record. It
changes nothing on disk.
"""

from __future__ import annotations

import heapq
import json
import os
import socket
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .errors import JournalError
from .journal import FORMAT, INCOMPLETE, SUFFIX, Statement, failures, run_folders, run_order


@dataclass(frozen=True)
class JournalFile:
    """One file as read.

    Attributes
    ----------
    path : Path
    header : dict
        Empty where it is damaged.
    bodies : list of bytes
        The statement records, still JSON.
    end : dict or None
        The last record; None where the process was stopped before it.
    problems : list of str
        What is missing or may be.
    notes : list of str
        What is odd but loses nothing.
    size : int
        Bytes.
    """

    path: Path
    header: dict[str, Any]
    bodies: list[bytes]
    end: dict[str, Any] | None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    size: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that started the run."""
        return bool(self.header.get("process") == "first")

    @property
    def alive(self) -> bool:
        """Whether its process runs on this host now."""
        if self.end is not None or self.header.get("host") != socket.gethostname():
            return False
        try:
            os.kill(int(self.header["pid"]), 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def records(self) -> Iterator[dict[str, Any]]:
        """The statement records."""
        return map(json.loads, self.bodies)


def read_file(path: Path) -> JournalFile:
    """Read one file. Damaged lines are left out and reported.

    Raises
    ------
    JournalError
        If it was written in a newer format, or can't be read at all.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"Reading the journal {path}: {error}.") from error
    lines = data.split(b"\n")
    cut_off = lines.pop()  # what follows the last newline
    header: dict[str, Any] = {}
    end = None
    bodies: list[bytes] = []
    problems: list[str] = []
    notes: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        body = line[9:]
        if line[:9] != b"%08x " % zlib.crc32(body):
            problems.append(f"{path}: line {number} is damaged; a statement may be missing")
        elif body.startswith(b'{"number":'):
            bodies.append(body)
        elif body.startswith(b'{"format":'):
            header = json.loads(body)
            if header["format"] > FORMAT:
                raise JournalError(
                    f"Reading the journal {path}: dj-sqlspy {header.get('dj_sqlspy')} wrote it in format "
                    f"{header['format']}, and this dj-sqlspy reads formats up to {FORMAT}. Install a newer "
                    f"dj-sqlspy."
                )
        elif body.startswith(b'{"fault":'):
            problems.append(f"{path}: {json.loads(body)['fault']}")
        elif body.startswith(b'{"end":'):
            end = json.loads(body)
    if cut_off:
        notes.append(f"{path}: the last record is cut off; the process was stopped before it had the result")
    if not header and (lines or path.suffix == INCOMPLETE):
        problems.append(f"{path}: the header is missing, and with it the policies of the session")
    if path.suffix == INCOMPLETE and not problems:
        problems.append(
            f"{path}: a statement could not be recorded, as the disk was full or could not be written"
        )
    return JournalFile(path, header, bodies, end, problems, notes, len(data))


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


def read_run(folder: Path) -> Run:
    """Read all files of a run."""
    paths = [path for path in _files(folder) if path.suffix in (SUFFIX, INCOMPLETE)]
    return Run(folder, tuple(read_file(path) for path in paths), failures.get(folder))


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def newest_run(folder: Path) -> Path | None:
    """The run of an analysis that counts; also one of this process that could not be written."""
    names = {path.name for path in run_folders(folder)}
    names |= {path.name for path in failures if path.parent == folder}
    return folder / max(names, key=run_order) if names else None


def combine(runs: Iterable[Run], session: int | None = None) -> list[Statement]:
    """The statements of several runs and processes in one order, numbered from 1.

    Ordered by time; within one file by the order of the file, also where a clock went backwards.

    Parameters
    ----------
    runs : iterable of Run
    session : int, optional
        Only what this session of each run received (0: the one that started it). Default: everything.
    """
    streams = [
        _timed(file, run.analysis, session, position)
        for position, (run, file) in enumerate((run, file) for run in runs for file in run.files)
    ]
    transactions: dict[tuple[int, int], int] = {}
    out: list[Statement] = []
    for _, position, _, record, analysis in heapq.merge(*streams):
        transaction = record["transaction"]
        if transaction:
            transaction = transactions.setdefault((position, transaction), len(transactions) + 1)
        out.append(
            Statement(
                sql=record["sql"],
                rows=record["rows"],
                time=record["time"],
                kind=record["kind"],
                server=record["server"],
                transaction=transaction,
                analysis=analysis,
                number=len(out) + 1,
                database=record.get("database", ""),
            )
        )
    return out


def _timed(
    file: JournalFile, analysis: str, session: int | None, position: int
) -> Iterator[tuple[float, int, int, dict[str, Any], str]]:
    latest = 0.0
    wanted: Sequence[int]
    for record in file.records():
        wanted = record.get("sessions", (0,))
        if session is None or session in wanted:
            latest = max(latest, record["time"])
            yield latest, position, record["number"], record, analysis
