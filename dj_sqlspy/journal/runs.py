"""Runs: journals read back, and combined over the processes of a run and the analyses of a paper.

In: the folders that `journal` wrote. Out: statements in one order, and what is missing from the record. It
changes nothing on disk.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import re
import socket
import sys
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from ..errors import JournalError
from ..gc_pause import gc_paused
from .places import INCOMPLETE, SUFFIX, run_folders, run_order
from .statement import Statement
from .writer import FORMAT, failures


@dataclass(frozen=True)
class JournalFile:
    """One file as read.

    Attributes
    ----------
    path : Path
    header : dict
        Empty where it is damaged.
    lines : int
        Whole lines, as many as were there when it was read.
    statements : int
        Of these, the statements that are not damaged and did not fail.
    damaged : frozenset of int
        Lines to leave out, counted from 1.
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
    lines: int
    statements: int
    damaged: frozenset[int]
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

    def records(self) -> Iterator[Record]:
        """The statements, read again from the file.

        No more are held in memory than had been sent when the first of them ended: one for each thread that reads.

        Raises
        ------
        JournalError
            If the file can't be read any more.
        """
        return map(Record._make, self.fields())

    def fields(self) -> Iterator[list[Any]]:
        """`records`, each as the list of its fields, which is quicker made."""
        # those whose rows a later record has, and those behind them; and what that record says
        waiting: deque[list[Any]] = deque()
        ended: dict[int, int | str] = {}
        damaged = self.damaged
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(itertools.islice(file, self.lines), 1):
                    if damaged and number in damaged:
                        continue
                    if line.startswith(_STATEMENT, 9):
                        fields, before = _statement(line)
                        if len(before) == len(waiting) == 1 and before[0][0] == waiting[0][_NUMBER]:
                            first = waiting.popleft()  # nearly always: one thread reads
                            first[_ROWS] = before[0][1]
                            yield first
                        else:
                            ended.update(before)
                        waiting.append(fields)
                        if len(waiting) == 1 and fields[_ROWS] == _AWAITED:
                            continue
                    elif line.startswith(_ENDED, 9):
                        ended.update(json.loads(line[9:])["ended"])
                    while waiting and (waiting[0][_ROWS] != _AWAITED or waiting[0][_NUMBER] in ended):
                        yield from _with_rows(waiting.popleft(), ended)
        except OSError as error:
            raise JournalError(f"Reading the journal {self.path}: {error}.") from error
        while waiting:
            yield from _with_rows(waiting.popleft(), ended)


class Record(NamedTuple):
    """A statement as a journal has it (`journal`, Format)."""

    number: int
    time: float
    rows: int | None
    kind: str
    server: str
    transaction: int
    sql: str
    database: str = ""
    sessions: tuple[int, ...] = (0,)


_STATEMENT = b'{"number":'
_ENDED = b'{"ended":'
_FAILED = "failed"
_AWAITED = -2  # in the place of rows: another record has them

# The part of a statement before its text where JSON escapes no character, as in nearly all. What a statement shares
# with others, here and behind its text, is one piece, and read once.
_HEAD = re.compile(
    r'\{"number":(\d+)(?:,"before":\[\[(\d+),(-?\d+)\]\])?,"time":([\d.e+-]+)(?:,"rows":(-?\d+|null))?,("kind":[^\\]*)'
)
_NAMES = ("kind", "server", "database")
_NUMBER, _ROWS = Record._fields.index("number"), Record._fields.index("rows")


@lru_cache(maxsize=1000)
def _before_text(piece: str) -> tuple[str, str, int]:
    fields = json.loads(f"{{{piece}}}")
    return sys.intern(fields["kind"]), sys.intern(fields["server"]), fields["transaction"]


@lru_cache(maxsize=1000)
def _behind_text(piece: str) -> tuple[str, tuple[int, ...]]:
    fields = json.loads("{" + piece.lstrip(","))
    return sys.intern(fields.get("database", "")), tuple(fields.get("sessions", (0,)))


def _statement(line: bytes) -> tuple[list[Any], Sequence[tuple[int, int | str]]]:
    """The fields of a `Record`, and what the line says of statements before it."""
    text = line.decode("ascii")
    head, _, tail = text.partition(',"sql":"')
    match = _HEAD.fullmatch(head, 9) if "\\" not in tail else None
    if match is None:
        found = json.loads(text[9:])
        before = found.pop("before", ())
        sessions = tuple(found.pop("sessions", (0,)))
        found.update({name: sys.intern(found[name]) for name in _NAMES if name in found})
        return list(Record(**{"rows": _AWAITED, **found}, sessions=sessions)), before
    number, earlier, its_rows, time, rows, piece = match.groups()
    kind, server, transaction = _before_text(piece)
    sql, _, piece = tail.partition('"')
    database, sessions = _behind_text(piece)
    return [
        int(number),
        float(time),
        _AWAITED if rows is None else None if rows == "null" else int(rows),
        kind,
        server,
        transaction,
        sql,
        database,
        sessions,
    ], () if earlier is None else ((int(earlier), int(its_rows)),)


def _with_rows(fields: list[Any], ended: dict[int, int | str]) -> Iterator[list[Any]]:
    """The statement with the number of its rows as far as it is known; nothing if it failed."""
    if fields[_ROWS] == _AWAITED:
        fields[_ROWS] = ended.pop(fields[_NUMBER], None)
    if fields[_ROWS] != _FAILED:
        yield fields


def read_file(path: Path) -> JournalFile:
    """Read one file. Damaged lines are left out and reported.

    Raises
    ------
    JournalError
        If it was written in a newer format, or can't be read at all.
    """
    header: dict[str, Any] = {}
    end = None
    size = lines = statements = 0
    cut_off = False  # something follows the last newline
    damaged = set()
    problems: list[str] = []
    notes: list[str] = []
    try:
        with path.open("rb") as file:
            for line in file:
                size += len(line)
                if not line.endswith(b"\n"):
                    cut_off = True
                    break
                lines += 1
                if line == b"\n":
                    continue
                body = line[9:-1]
                if line[:9] != b"%08x " % zlib.crc32(body):
                    problems.append(f"{path}: line {lines} is damaged; a statement may be missing")
                    damaged.add(lines)
                elif body.startswith(_STATEMENT):
                    statements += 1
                elif body.startswith(_ENDED):
                    statements -= sum(rows == _FAILED for _, rows in json.loads(body)["ended"])
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
    except OSError as error:
        raise JournalError(f"Reading the journal {path}: {error}.") from error
    if cut_off:
        notes.append(f"{path}: the last record is cut off; the process was stopped before it had the result")
    if not header and (lines or path.suffix == INCOMPLETE):
        problems.append(f"{path}: the header is missing, and with it the policies of the session")
    if path.suffix == INCOMPLETE and not problems:
        problems.append(
            f"{path}: a statement could not be recorded, as the disk was full or could not be written"
        )
    return JournalFile(path, header, lines, statements, frozenset(damaged), end, problems, notes, size)


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
    names = {
        path.name for path in run_folders(folder) if any(path.iterdir())
    }  # one may wait for its processes
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
        _, time, rows, kind, server, transaction, sql, database, _ = fields
        if transaction:
            transaction = transactions.setdefault((position, transaction), len(transactions) + 1)
        number = len(out) + 1
        out.append(make((sql, rows, time, kind, server, transaction, analysis, number, database)))
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


def _timed(
    file: JournalFile, session: int | None, position: int
) -> Iterator[tuple[float, int, int, list[Any]]]:
    latest = 0.0
    for fields in file.fields():
        number, time, *_, sessions = fields
        if session is None or session in sessions:
            latest = max(latest, time)
            yield latest, position, number, fields
