"""Reading: one file of a journal, as statements and problems.

In: a file that `writer` wrote. Out: a `JournalFile`. It changes nothing on disk.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import JournalError
from ..servers.results import Column
from .environment import Environment, of_record
from .places import INCOMPLETE
from .statement import MYSQL
from .writer import FORMAT


@dataclass
class JournalFile:
    """One file as read.

    Attributes
    ----------
    path : Path
    header : dict
        Empty if it is damaged.
    lines : int
        Number of complete lines when the file was read.
    statements : int
        Number of statements that are not damaged and did not fail.
    damaged : set of int
        Lines to leave out, counted from 1.
    end : dict or None
        The last record; None if the process was stopped before it.
    problems : list of str
        What is or may be missing.
    notes : list of str
        Oddities that lose nothing.
    size : int
        Bytes.
    defined : dict
        Values to which records refer by number.
    environment : str or None
        The digest of the environment of its process.
    environments : dict
        Those that are here in full, by digest.
    servers : dict
        Versions of servers, by name.
    kinds : dict
        DataJoint's names of their kinds, by name, of those that are neither MySQL nor MariaDB.
    modules : tuple of str or None
        What its process had imported in the end.
    """

    path: Path
    header: dict[str, Any] = field(default_factory=dict)
    lines: int = 0
    statements: int = 0
    damaged: set[int] = field(default_factory=set)
    end: dict[str, Any] | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    size: int = 0
    defined: dict[int, Any] = field(default_factory=dict)
    environment: str | None = None
    environments: dict[str, Environment] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] | None = None
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> bool:
        """Whether this is the process that started the run."""
        return bool(self.header.get("process") == "first")

    @property
    def alive(self) -> bool:
        """Whether its process runs on this host now."""
        return self.end is None and is_of_here(self.header) and is_alive(self.header)

    def records(self) -> Iterator[Record]:
        """The statements, read again from the file.

        It holds only statements that wait for their result: about one for each thread that reads.

        Raises
        ------
        JournalError
            If the file cannot be read any more.
        """
        return map(Record._make, self.fields())

    def fields(self) -> Iterator[list[Any]]:
        """`records` as lists of fields, which are faster to build."""
        # statements that wait for a later record with their result, and those after them; then these results
        waiting: deque[list[Any]] = deque()
        ended: dict[int, Sequence[Any]] = {}
        damaged, defined = self.damaged, _Defined(self)
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(itertools.islice(file, self.lines), 1):
                    if damaged and number in damaged:
                        continue
                    if line.startswith(_STATEMENT, 9):
                        fields, before = _statement(line, defined)
                        if len(before) == len(waiting) == 1 and before[0][0] == waiting[0][_NUMBER]:
                            first = waiting.popleft()  # nearly always, since mostly one thread reads
                            if _settled(first, before[0], defined):
                                yield first
                        else:
                            ended.update((one[0], one) for one in before)
                        waiting.append(fields)
                        if len(waiting) == 1 and fields[_ROWS] == _AWAITED:
                            continue
                    elif line.startswith(_ENDED, 9):
                        ended.update((one[0], one) for one in json.loads(line[9:])["ended"])
                    while waiting and (waiting[0][_ROWS] != _AWAITED or waiting[0][_NUMBER] in ended):
                        first = waiting.popleft()
                        if _settled(first, ended.pop(first[_NUMBER], None), defined):
                            yield first
        except OSError as error:
            raise JournalError(f"Reading the journal {self.path}: {error}.") from error
        for fields in waiting:
            if _settled(fields, ended.get(fields[_NUMBER]), defined):
                yield fields


def is_of_here(header: Mapping[str, Any]) -> bool:
    """Whether a process on this machine wrote a file."""
    return bool(header.get("host") == socket.gethostname())


def is_alive(header: Mapping[str, Any]) -> bool:
    """Whether the process that wrote a file runs on this machine now."""
    try:
        os.kill(int(header["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Defined:
    """The values of the numbers that a file defines."""

    def __init__(self, file: JournalFile) -> None:
        self.kinds = file.kinds
        self.states = {0: ()} | {n: tuple(v) for n, v in file.defined.items() if _is_state(v)}
        self.columns = {n: tuple(map(tuple, v)) for n, v in file.defined.items() if not _is_state(v)}


def _is_state(value: Sequence[Any]) -> bool:
    return all(isinstance(each, str) for each in value)


class Record(NamedTuple):
    """A statement in a journal (`journal`, Format)."""

    number: int
    time: float
    rows: int | None
    kind: str
    server: str
    transaction: int
    sql: str
    database: str = ""
    sessions: tuple[int, ...] = (0,)
    state: tuple[str, ...] = ()
    digest: str | None = None
    columns: tuple[Column, ...] = ()
    backend: str = MYSQL


_STATEMENT = b'{"number":'

_ENDED = b'{"ended":'

_FAILED = "failed"

_AWAITED = -2  # instead of rows, which a later record has

# The part of a statement's record before its SQL, if it contains no JSON escapes, as nearly always. The parts before
# and after the SQL that are the same in many records are parsed once.
_HEAD = re.compile(
    r'\{"number":(\d+)(?:,"before":\[\[(\d+),(-?\d+)(?:,"([0-9a-f]+)",(\d+))?\]\])?,"time":([\d.e+-]+)'
    r'(?:,"rows":(-?\d+|null)(?:,"digest":"([0-9a-f]+)","columns":(\d+))?)?,("kind":[^\\]*)'
)
_NAMES = ("kind", "server", "database")

_NUMBER, _ROWS, _DIGEST, _COLUMNS = map(Record._fields.index, ("number", "rows", "digest", "columns"))


@lru_cache(maxsize=1000)
def _before_text(piece: str) -> tuple[str, str, int]:
    fields = json.loads(f"{{{piece}}}")
    return sys.intern(fields["kind"]), sys.intern(fields["server"]), fields["transaction"]


@lru_cache(maxsize=1000)
def _behind_text(piece: str) -> tuple[str, tuple[int, ...], int]:
    fields = json.loads("{" + piece.lstrip(","))
    database, sessions = fields.get("database", ""), fields.get("sessions", (0,))
    return sys.intern(database), tuple(sessions), fields.get("state", 0)


def _statement(line: bytes, defined: _Defined) -> tuple[list[Any], Sequence[Sequence[Any]]]:
    """The fields of a `Record`, and the line's results of earlier statements."""
    text = line.decode("ascii")
    head, _, tail = text.partition(',"sql":"')
    match = _HEAD.fullmatch(head, 9) if "\\" not in tail else None
    if match is None:
        found = json.loads(text[9:])
        before = found.pop("before", ())
        found.update({name: sys.intern(found[name]) for name in _NAMES if name in found})
        found["sessions"] = tuple(found.get("sessions", (0,)))
        found["state"] = defined.states.get(found.get("state", 0), ())
        found["columns"] = defined.columns.get(found.get("columns", 0), ())
        found["backend"] = defined.kinds.get(found.get("server", ""), MYSQL)
        return list(Record(**{"rows": _AWAITED, **found})), before
    number, earlier, its_rows, its_digest, its_columns, time, rows, digest, columns, piece = match.groups()
    kind, server, transaction = _before_text(piece)
    sql, _, piece = tail.partition('"')
    database, sessions, state = _behind_text(piece)
    fields = [
        int(number),
        float(time),
        _AWAITED if rows is None else None if rows == "null" else int(rows),
        kind,
        server,
        transaction,
        sql,
        database,
        sessions,
        defined.states.get(state, ()) if state else (),
        digest,
        defined.columns.get(int(columns), ()) if digest else (),
        defined.kinds.get(server, MYSQL) if defined.kinds else MYSQL,
    ]
    if earlier is None:
        return fields, ()
    if its_digest is None:
        return fields, ((int(earlier), int(its_rows)),)
    return fields, ((int(earlier), int(its_rows), its_digest, int(its_columns)),)


def _settled(fields: list[Any], ended: Sequence[Any] | None, defined: _Defined) -> bool:
    """Add the known result to a statement. Returns whether it has one and did not fail."""
    if fields[_ROWS] == _AWAITED:
        fields[_ROWS] = ended[1] if ended else None
        if ended and len(ended) > 2:
            fields[_DIGEST], fields[_COLUMNS] = ended[2], defined.columns.get(ended[3], ())
    return bool(fields[_ROWS] != _FAILED)


def read_file(path: Path) -> JournalFile:
    """Read one file. Damaged lines are left out and reported.

    Raises
    ------
    JournalError
        If it has a newer format, or cannot be read at all.
    """
    found = JournalFile(path)
    cut_off = False  # there is text after the last newline
    try:
        with path.open("rb") as file:
            for line in file:
                found.size += len(line)
                if not line.endswith(b"\n"):
                    cut_off = True
                    break
                found.lines += 1
                body = line[9:-1]
                if line == b"\n":
                    continue
                if line[:9] != b"%08x " % zlib.crc32(body):
                    found.problems.append(
                        f"{path}: line {found.lines} is damaged; a statement may be missing"
                    )
                    found.damaged.add(found.lines)
                elif body.startswith(_STATEMENT):  # not parsed here: nearly all lines are statements
                    found.statements += 1
                else:
                    record = json.loads(body)
                    take = _TAKE.get(next(iter(record)))
                    if take is not None:
                        take(found, record)
    except OSError as error:
        raise JournalError(f"Reading the journal {path}: {error}.") from error
    if cut_off:
        found.notes.append(
            f"{path}: the last record is cut off; the process was stopped before it had the result"
        )
    if not found.header and (found.lines or path.suffix == INCOMPLETE):
        found.problems.append(f"{path}: the header is missing, and with it the policies of the session")
    if path.suffix == INCOMPLETE and not found.problems:
        found.problems.append(
            f"{path}: a statement could not be recorded, as the disk was full or could not be written"
        )
    return found


def _take_header(file: JournalFile, record: dict[str, Any]) -> None:
    if record["format"] > FORMAT:
        raise JournalError(
            f"Reading the journal {file.path}: dj-sqlspy {record.get('dj_sqlspy')} wrote it in format "
            f"{record['format']}, and this dj-sqlspy reads formats up to {FORMAT}. Install a newer dj-sqlspy."
        )
    file.header = record


def _take_ended(file: JournalFile, record: dict[str, Any]) -> None:
    file.statements -= sum(one[1] == _FAILED for one in record["ended"])


def _take_definition(file: JournalFile, record: dict[str, Any]) -> None:
    file.defined[record["define"]] = record["value"]


def _take_environment(file: JournalFile, record: dict[str, Any]) -> None:
    file.environment = str(record["environment"])
    full = of_record(record)
    if full is not None:
        file.environments[file.environment] = full


def _take_modules(file: JournalFile, record: dict[str, Any]) -> None:
    file.modules = tuple(map(str, record["modules"]))


def _take_server(file: JournalFile, record: dict[str, Any]) -> None:
    name = str(record["server"])
    file.servers[name] = str(record["version"])
    if "kind" in record:
        file.kinds[name] = str(record["kind"])


def _take_fault(file: JournalFile, record: dict[str, Any]) -> None:
    file.problems.append(f"{file.path}: {record['fault']}")


def _take_end(file: JournalFile, record: dict[str, Any]) -> None:
    file.end = record


# What is done with a record that is no statement, by its first key.
_TAKE: Mapping[str, Callable[[JournalFile, dict[str, Any]], None]] = {
    "format": _take_header,
    "ended": _take_ended,
    "define": _take_definition,
    "environment": _take_environment,
    "modules": _take_modules,
    "server": _take_server,
    "fault": _take_fault,
    "end": _take_end,
}
