"""Writer: the file to which one process appends for one run.

In: statements with their row counts. Out: lines in the format of `journal`. It knows neither SQL nor DataJoint.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import platform
import secrets
import socket
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from ..servers.results import Column
from ..version import __version__
from . import environment, programs
from .places import INCOMPLETE, SUFFIX, analysis_folder, make_folder, new_run_name, run_to_append
from .statement import MYSQL

FORMAT = 2

# Of another file of a run, the bytes that tell its environment, and the number of files that are asked.
_FIRST_LINES, _ASKED = 8192, 8

logger = logging.getLogger("dj_sqlspy")
_json = json.JSONEncoder(separators=(",", ":")).encode  # all in ASCII
_text = json.encoder.encode_basestring_ascii


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return str(os.getuid())


# Faults of this process' runs, by folder. They are also kept here since the disk may refuse even a mark.
failures: dict[Path, str] = {}


# The digest of a result, and its columns (`Statement`).
Received = tuple[str, tuple[Column, ...]]
# Number and rows ("failed" for none) of a statement; its digest and the number of its columns' definition.
Ended = tuple[int, int | str] | tuple[int, int | str, str, int]


class Journal:
    """The file to which one process appends for one run.

    The first record creates it, so a process that reads nothing leaves no file. `start` creates it at once.

    Parameters
    ----------
    home : Path
        Where journals live.
    paper, analysis : str
    policies : mapping of kind to policy
        Stored in the header.
    run : str, optional
        Join this run; default: a new one.
    append : str or bool
        Add to a run as an independent process (`run_to_append`).
    """

    def __init__(
        self,
        home: Path,
        paper: str,
        analysis: str,
        policies: Mapping[str, str],
        run: str | None = None,
        append: str | bool = False,
    ) -> None:
        self.home = home
        self.paper = paper
        self.analysis = analysis
        self.policies = dict(policies)
        self.process = "joined" if run else "first"
        if append and run is None:
            with suppress(OSError):  # it cannot be written either, which `start` reports
                run = run_to_append(home, paper, analysis, append)
        self._alone = run is None  # it starts its run
        self.folder = analysis_folder(home, paper, analysis) / (
            run or new_run_name(analysis_folder(home, paper, analysis))
        )
        self.path: Path | None = None
        self.problem: str | None = None
        self._descriptor: int | None = None
        self._inode = 0
        self._number = 0
        self._around: tuple[Any, str, str] = (None, "", "")
        self._ended: list[Ended] = []  # results of earlier statements for the next record
        self._defined: dict[Any, int] = {}  # numbers of values that are defined
        self._servers: dict[str, str] = {}  # versions that are noted
        self._environment = ""  # the digest of what is noted
        self._broken = False
        self._cut_off = False  # the last write failed, perhaps within a line
        self._lock = threading.RLock()  # a signal handler may read from the database too

    def start(self) -> None:
        """Create the file now. A fault is noted, not raised."""
        try:
            if not self._broken:
                self._open()
        except OSError as error:
            self.fault(f"the journal cannot be created in {self.folder}: {error}", broken=True)

    def statement(
        self,
        sql: str,
        rows: int | None,
        kind: str,
        server: str,
        transaction: int,
        database: str = "",
        sessions: Sequence[int] = (0,),
        has_ended: bool = True,
        state: tuple[str, ...] = (),
        received: Received | None = None,
    ) -> int:
        """Append a statement that was just sent or has just ended.

        Parameters
        ----------
        sql, rows, kind, server, transaction, database, state
            As of `Statement`.
        sessions : sequence of int
            Numbers of the sessions of this journal that received it.
        has_ended : bool
            False: ``rows`` is not known yet, and `ended` or `failed` will follow.
        received : (digest, columns), optional
            As of `Statement`, if it has ended.

        Returns
        -------
        int
            Its number, for `ended` and `failed`; 0 if nothing can be written any more.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if self._broken:
            return 0
        if self._descriptor is None:
            self._open()
        # JSON by hand, with the common parts cached, because this runs for each statement.
        about = kind, server, transaction, database, sessions, state
        around = self._around
        if around[0] != about:
            number = self._define(state) if state else 0
            around = self._around = (about, *_around(*about[:-1], number))
        body = f"{around[1]}{_text(sql)}{around[2]}"
        if has_ended:
            told = f',"digest":"{received[0]}","columns":{self._define(received[1])}' if received else ""
            body = f',"rows":{"null" if rows is None else rows}{told}{body}'
        with self._lock:  # numbers in the order of the file
            self._number = number = self._number + 1
            before = ""
            if self._ended:
                before, self._ended = f'"before":{_pairs(self._ended)},', []
            self._append(f'{{"number":{number},{before}"time":{time.time()!r}{body}')
        return number

    def server(self, name: str, version: str, kind: str = MYSQL) -> None:
        """Note the version and the kind of a server, once.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if self._servers.get(name) == version or self._broken:
            return
        with self._lock:
            if self._descriptor is None:
                self._open()
            told = {} if kind == MYSQL else {"kind": kind}
            self._append(_json({"server": name, "version": version, **told}))
            self._servers[name] = version

    def ended(self, number: int, rows: int, received: Received | None = None) -> None:
        """Note the result of a statement for the next record.

        A pool may kill its workers at any time, so a worker writes its last result at once.

        Raises
        ------
        OSError
            If a value to which it refers cannot be written.
        """
        with self._lock:
            if received is None:
                self._ended.append((number, rows))
            else:
                self._ended.append((number, rows, received[0], self._define(received[1])))
            if self.process != "first":
                with suppress(OSError):  # at worst the number of rows is missing
                    self.flush()

    def failed(self, number: int) -> None:
        """Take back a statement that was sent and has no result.

        Raises
        ------
        OSError
            If that cannot be written.
        """
        with self._lock:
            self._ended.append((number, "failed"))
            self.flush()

    def flush(self) -> None:
        """Write the results that are not yet written.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        with self._lock:
            if self._ended and self._descriptor is not None and not self._broken:
                ended, self._ended = self._ended, []
                self._append(f'{{"ended":{_pairs(ended)}}}')

    def fault(self, reason: str, broken: bool = False) -> None:
        """Mark the run as incomplete, on disk and in memory, and warn once. Raises nothing.

        Parameters
        ----------
        reason : str
        broken : bool
            True if nothing more can be written to this file.
        """
        first, self.problem = self.problem is None, self.problem or reason
        failures.setdefault(self.folder, reason)
        self._broken = self._broken or broken
        if first:
            try:
                self._append(_json({"fault": reason, "time": time.time()}))
            except OSError:
                self._broken = True
                self._rename()
            message = (
                f"The export of {self.paper!r}, {self.analysis!r} is incomplete: {reason}. Your analysis "
                f"goes on; fix this and run it again."
            )
            logger.error(message)
            with suppress(Warning):  # raised if the analysis turns warnings into errors
                warnings.warn(message, RuntimeWarning, stacklevel=2)

    def end(self, error: str | None = None) -> None:
        """Write the last record and close the file. Raises nothing: all statements are already written."""
        if self._descriptor is None:
            return
        try:
            if not self._broken:
                self.flush()
                told = []
                if self.process == "first":  # packages may have been installed since
                    told = [*self._environment_record(), _json({"modules": environment.modules()})]
                self._append(*told, _json({"end": time.time(), "error": error}))
        except OSError as failure:
            self.fault(f"the end of the journal could not be written: {failure}", broken=True)
        self._close()

    def forked(self) -> None:
        """In a forked child, leave the parent's file. The child's first read creates its own."""
        self._lock = threading.RLock()  # another thread of the parent may have held it
        self._close()
        self.path, self._number, self._ended, self.process = None, 0, [], "fork"
        self._defined, self._around = {}, (None, "", "")
        self._servers, self._environment, self._alone = {}, "", False

    def _open(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                return
            make_folder(self.folder)
            # before there is a file, since it can take a while, in which somebody presses Ctrl-C
            program, code = programs.current(), None
            if self.process == "first":
                code = environment.code_state()
            environment.current()
            path = self.folder / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            self.path, self._descriptor, self._inode = path, descriptor, os.fstat(descriptor).st_ino
            now = time.time()
            header = {
                "format": FORMAT,
                **versions(),
                "paper": self.paper,
                "analysis": self.analysis,
                "run": self.folder.name,
                "process": self.process,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "user": _user(),
                "time": now,
                "started": datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds"),
                "policies": self.policies,
            }
            if program is not None:
                header["program"] = program
            if code is not None:
                header["git"] = code
            self._append(_json(header), *self._environment_record())

    def _environment_record(self) -> list[str]:
        """The environment of this process if it is new, in full if no other file of the run seems to have it."""
        found = environment.current()
        if found is None or found.digest == self._environment:
            return []
        self._environment = found.digest
        known = any(environment.is_in(lines, found.digest) for lines in self._others())
        return [_json({"environment": found.digest}) if known else found.record]

    def _others(self) -> Iterator[bytes]:
        """The first lines of some other files of the run."""
        if self._alone:
            return
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in islice((each for each in entries if each.name.endswith(SUFFIX)), _ASKED):
                if self.path is not None and entry.name != self.path.name:
                    with open(entry.path, "rb") as file:
                        yield file.read(_FIRST_LINES)

    def _define(self, value: tuple[Any, ...]) -> int:
        """The number of a value in this file, which is written once."""
        number = self._defined.get(value)
        if number is None:
            with self._lock:
                number = len(self._defined) + 1
                self._append(f'{{"define":{number},"value":{_json(value)}}}')
                self._defined[value] = number
        return number

    def _append(self, *records: str) -> None:
        descriptor = self._descriptor
        if descriptor is None or self.path is None:
            raise FileNotFoundError("no journal is open")
        links = self._links()
        if links is None:  # the analysis closed it, as daemons do; another file may have this number now
            descriptor = self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        elif links == 0:
            raise FileNotFoundError(f"the journal {self.path} was deleted while it was written")
        line = b"".join(map(_line, records))
        if self._cut_off:
            line = b"\n" + line
        self._cut_off = True
        written = os.write(descriptor, line)
        if written != len(line):
            raise OSError(f"{written} of {len(line)} bytes could be written; the disk may be full")
        self._cut_off = False

    def _links(self) -> int | None:
        """The number of names of the open file; None if the descriptor is not the journal's any more."""
        try:
            state = os.fstat(self._descriptor if self._descriptor is not None else -1)
        except OSError:
            return None
        return state.st_nlink if state.st_ino == self._inode else None

    def _close(self) -> None:
        if self._links() is not None and self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _rename(self) -> None:
        """Mark a file of this run by renaming it, which needs no disk space."""
        try:
            path = self.path or next(iter(sorted(self.folder.glob("*" + SUFFIX))))
            self.path = path.rename(path.with_suffix(INCOMPLETE))
        except (OSError, StopIteration) as error:
            logger.error("The run in %s could not be marked as incomplete on disk: %s", self.folder, error)


def _pairs(ended: Sequence[Ended]) -> str:
    if len(ended) == 1 and len(ended[0]) == 4:  # nearly always
        number, rows, digest, columns = ended[0]
        return f'[[{number},{rows},"{digest}",{columns}]]'
    return _json(ended)


def _around(
    kind: str, server: str, transaction: int, database: str, sessions: Sequence[int], state: int
) -> tuple[str, str]:
    """The parts of a statement's record before and after its SQL."""
    before = f',"kind":"{kind}","server":{_text(server)},"transaction":{transaction},"sql":'
    after = f',"database":{_text(database)}' if database else ""
    if sessions != (0,):
        after += f',"sessions":{list(sessions)}'
    if state:
        after += f',"state":{state}'
    return before, after + "}"


def versions() -> dict[str, str]:
    """Versions of the programs that write a journal."""
    datajoint = getattr(sys.modules.get("datajoint"), "__version__", "")
    return {"dj_sqlspy": __version__, "datajoint": datajoint, "python": platform.python_version()}


def journal_line(record: Mapping[str, Any]) -> bytes:
    """A record as a line of a journal."""
    return _line(_json(record))


def _line(record: str) -> bytes:
    body = record.encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(body), body)
