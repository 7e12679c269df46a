"""Journal: the append-only record of captured statements; survives SIGKILL.

In: statements with their row counts. Out: one file a process and run, which `runs` reads back. It does not
know SQL and does not know DataJoint.

Format, version 1
-----------------
::

    HOME/<paper>/<analysis>/<run>/<pid>-<8 hex digits>.journal       (directories 0700, files 0600)

Paper and analysis are percent-encoded (`encode_name`). A run is one time that the analysis was run; its name
is ``<6 digits>-<UTC time to the microsecond>-<4 hex digits>``, where the first digits count the runs of this
analysis, so that the newest run is known even where a clock went backwards. The newest run of an analysis is the
one that counts. A run that independent processes add to under a name (``append="…"``) has ``+<name>`` at the end
of its own, percent-encoded.

Each process of a run appends to a file of its own. A line is ``<CRC-32, 8 hex digits> <JSON object in
ASCII>``, and is handed to the operating system with one write before the analysis gets the result of the
statement. So a process that is killed leaves at most one line cut off, the one whose result it had not yet
received. A statement may be written before it has ended; how many rows it returned then stands in a later record.
Which record a line is, is told by its first key:

``format``
    The header, the first line. ``format`` (int), ``dj_sqlspy``, ``datajoint``, ``python`` (versions),
    ``paper``, ``analysis``, ``run``, ``process`` ("first", "fork" or "joined"), ``pid``, ``host``, ``user``,
    ``time`` (seconds since the epoch), ``started`` (the same for people, UTC), ``policies`` (kind to policy),
    ``program`` (``path`` and ``sha256`` of the script or notebook; only where there is one, see `programs`).
``number``
    A statement. ``number`` (from 1 in each file), ``time`` (when it was sent or had ended), ``rows`` (int or null;
    only where it had ended), ``kind``, ``server`` ("host:port"), ``transaction`` (0 outside; else equal for
    statements of one transaction), ``sql``; ``database`` only where it is known; ``sessions`` (list of int) only
    where not the session that started the run received it; ``before`` only where statements before it have ended
    since the last record: a list of their numbers and rows.
``ended``
    Statements that have ended, as in ``before``; for those that failed, which do not count, "failed" is in the
    place of rows.
``fault``
    A statement could not be recorded, and why. The run is incomplete.
``end``
    The session ended: time, and ``error``: the type of the exception that ended it, or null.

Where a fault can't be written (a full disk), the file is renamed from ``.journal`` to ``.incomplete``.

History: 1, first version.
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
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

if sys.platform != "win32":
    import fcntl

from ..errors import SpyError
from . import programs

FORMAT = 1
SUFFIX = ".journal"
INCOMPLETE = ".incomplete"

logger = logging.getLogger("dj_sqlspy")
_json = json.JSONEncoder(separators=(",", ":")).encode  # all in ASCII
_text = json.encoder.encode_basestring_ascii


class Statement(NamedTuple):
    """One captured SELECT.

    Attributes
    ----------
    sql : str
        The statement as the server received it (arguments merged).
    rows : int or None
        Rows that it returned; None where the driver could not tell, or the process was killed before it could.
    time : float
        When it was sent or had ended, seconds since the epoch (UTC).
    kind : str
        ``data``, ``count``, ``exists``, ``preview`` or ``metadata``.
    server : str
        ``host:port`` of the connection it ran on.
    transaction : int
        0 outside a transaction, else a number that statements of one transaction share.
    analysis : str
        The analysis it belongs to.
    number : int
        Position in its session's order, from 1 (unique within a paper once combined).
    database : str
        The schema that names without one were looked up in (``USE schema``), where that is known; else empty.
    """

    sql: str
    rows: int | None = None
    time: float = 0.0
    kind: str = "data"
    server: str = ""
    transaction: int = 0
    analysis: str = ""
    number: int = 0
    database: str = ""


# --- names and folders --------------------------------------------------------------------------------------


def encode_name(name: str) -> str:
    """A paper's or analysis' name as the name of a folder.

    >>> encode_name("Fig. 2/ä")
    'Fig.%202%2F%C3%A4'
    >>> encode_name("..")
    '%2E.'

    Raises
    ------
    SpyError
        If the name is empty or too long for a file system.
    """
    if not isinstance(name, str) or not name:
        raise SpyError(f"A paper and an analysis need a name that is a string and not empty, not {name!r}.")
    try:
        encoded = quote(name, safe="")
    except UnicodeEncodeError as error:
        raise SpyError(f"The name {name!r} is not text that a file system can hold: {error}.") from error
    if encoded.startswith("."):  # neither hidden nor the folder above
        encoded = "%2E" + encoded[1:]
    if len(encoded) > 240:
        raise SpyError(
            f"The name {name[:40]!r}… is too long to name a folder ({len(encoded)} bytes of 240). Shorten it."
        )
    return encoded


def analysis_folder(home: Path, paper: str, analysis: str) -> Path:
    """Where the runs of an analysis are."""
    return home / encode_name(paper) / encode_name(analysis)


def folders(path: Path) -> list[Path]:
    """The folders in ``path``, by name; none where it does not exist."""
    try:
        return sorted(entry for entry in path.iterdir() if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def run_order(name: str) -> tuple[int, str]:
    """What the runs of an analysis are sorted by, from the name of their folder; negative where it is none."""
    count = name.split("-")[0]
    return (int(count) if count.isdigit() else -1), name


def run_folders(folder: Path) -> list[Path]:
    """The runs of an analysis, oldest first."""
    found = [entry for entry in folders(folder) if run_order(entry.name)[0] >= 0]
    return sorted(found, key=lambda entry: run_order(entry.name))


def _new_run_name(folder: Path) -> str:
    try:
        count = 1 + max([0, *(run_order(entry.name)[0] for entry in folder.iterdir())])
    except FileNotFoundError:
        count = 1
    except OSError:
        count = 999_999  # can't be listed, and likely not be written: `Journal.start` will say so; it is the newest
    now = datetime.now(timezone.utc)
    return f"{count:06d}-{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(2)}"  # microseconds: others may run it too


def run_to_append(home: Path, paper: str, analysis: str, name: str | bool) -> str:
    """The run that an independent process adds to; made where there is none.

    Parameters
    ----------
    home, paper, analysis
    name : str or True
        Of the run; True: the newest, whatever its name.

    Raises
    ------
    OSError
        If the folder can't be made or read.
    """
    folder = analysis_folder(home, paper, analysis)
    make_folder(folder)
    with _locked(folder / ".lock"):  # tasks of an array start at once
        names = [path.name for path in run_folders(folder)]
        if isinstance(name, str):
            names = [each for each in names if each.partition("+")[2] == encode_name(name)]
        if not names:
            names = [_new_run_name(folder) + (f"+{encode_name(name)}" if isinstance(name, str) else "")]
            make_folder(folder / names[0])
        return names[-1]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock in a file; on file systems that have none, go on without."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":
            with suppress(OSError):
                fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make ``path`` and what it lies in, for this user only (os.makedirs gives the mode to the last only)."""
    if not path.is_dir():
        make_folder(path.parent)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in a container
        return str(os.getuid())


# --- writing -----------------------------------------------------------------------------------------------

# Runs that this process could not record as it should, by folder: where even a mark on disk may be
# impossible.
failures: dict[Path, str] = {}


class Journal:
    """The file that one process appends to for one run.

    It is made when the first record needs it, so that a process that reads nothing leaves no file. `start`
    makes it at once.

    Parameters
    ----------
    home : Path
        Where journals live.
    paper, analysis : str
    policies : mapping of kind to policy
        Stored for those who read the journal.
    run : str, optional
        Join this run; default: a new one.
    append : str or bool
        Add to a run as a process of its own (`run_to_append`).
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
            with suppress(OSError):  # it can't be written either: `start` will say so
                run = run_to_append(home, paper, analysis, append)
        self.folder = analysis_folder(home, paper, analysis) / (
            run or _new_run_name(analysis_folder(home, paper, analysis))
        )
        self.path: Path | None = None
        self.problem: str | None = None
        self._descriptor: int | None = None
        self._inode = 0
        self._number = 0
        self._around: tuple[Any, str, str] = (None, "", "")
        self._ended: list[tuple[int, int | str]] = []  # what the next record says of those before it
        self._broken = False
        self._cut_off = False  # the last write failed, perhaps in the middle of a line
        self._lock = threading.RLock()  # a signal handler may read from the database too

    def start(self) -> None:
        """Make the file now; a fault is noted and not raised."""
        try:
            if not self._broken:
                self._open()
        except OSError as error:
            self.fault(f"the journal cannot be made in {self.folder}: {error}", broken=True)

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
    ) -> int:
        """Append a statement that has been sent or has ended now.

        Parameters
        ----------
        sql, rows, kind, server, transaction, database
            As of `Statement`.
        sessions : sequence of int
            The numbers of those sessions that write to this journal and received it.
        has_ended : bool
            False: ``rows`` is not known yet, and `ended` or `failed` will follow.

        Returns
        -------
        int
            Its number, for `ended` and `failed`; 0 where nothing can be written any more.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if self._broken:
            return 0
        if self._descriptor is None:
            self._open()
        # Written by hand, and what statements have in common once for them: this is paid for each statement.
        about = kind, server, transaction, database, sessions
        around = self._around
        if around[0] != about:
            around = self._around = (about, *_around(*about))
        body = f"{around[1]}{_text(sql)}{around[2]}"
        if has_ended:
            body = f',"rows":{"null" if rows is None else rows}{body}'
        with self._lock:  # numbers in the order of the file
            self._number = number = self._number + 1
            before = ""
            if self._ended:
                before, self._ended = f'"before":{_pairs(self._ended)},', []
            self._append(f'{{"number":{number},{before}"time":{time.time()!r}{body}')
        return number

    def ended(self, number: int, rows: int) -> None:
        """Note how many rows a statement returned; the next record will have it. Raises nothing.

        Pools end their workers without a word, and so what a worker did last is written at once.
        """
        with self._lock:
            self._ended.append((number, rows))
            if self.process != "first":
                with suppress(OSError):  # only the number would be missing
                    self.flush()

    def failed(self, number: int) -> None:
        """Take a statement back: it was sent, and has no result.

        Raises
        ------
        OSError
            If that cannot be written.
        """
        with self._lock:
            self._ended.append((number, "failed"))
            self.flush()

    def flush(self) -> None:
        """Write what is known of statements that have ended.

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
            True where nothing more can be written to this file.
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
                f"goes on; mend this and run it again."
            )
            logger.error(message)
            with suppress(Warning):  # raised where the analysis turns warnings into errors
                warnings.warn(message, RuntimeWarning, stacklevel=2)

    def end(self, error: str | None = None) -> None:
        """Write the last record and close. Raises nothing: all statements are there already."""
        if self._descriptor is None:
            return
        try:
            if not self._broken:
                self.flush()
                self._append(_json({"end": time.time(), "error": error}))
        except OSError as failure:
            self.fault(f"the end of the journal could not be written: {failure}", broken=True)
        self._close()

    def forked(self) -> None:
        """In the child of a fork: leave the parent's file; its own is made when it reads something."""
        self._lock = threading.RLock()  # another thread of the parent may have held it
        self._close()
        self.path, self._number, self._ended, self.process = None, 0, [], "fork"

    def _open(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                return
            make_folder(self.folder)
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
            program = programs.current()
            if program is not None:
                header["program"] = program
            self._append(_json(header))

    def _append(self, record: str) -> None:
        descriptor = self._descriptor
        if descriptor is None or self.path is None:
            raise FileNotFoundError("no journal is open")
        links = self._links()
        if (
            links is None
        ):  # the analysis closed it, as daemons close all; another file may have its number now
            descriptor = self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        elif links == 0:
            raise FileNotFoundError(f"the journal {self.path} was deleted while it was written")
        line = _line(record)
        if self._cut_off:
            line = b"\n" + line
        self._cut_off = True
        written = os.write(descriptor, line)
        if written != len(line):
            raise OSError(f"{written} of {len(line)} bytes could be written; the disk may be full")
        self._cut_off = False

    def _links(self) -> int | None:
        """How many names the open file has; None where the descriptor is not that of the journal any more."""
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
        """Mark a file of this run by its name, which needs no space on the disk."""
        try:
            path = self.path or next(iter(sorted(self.folder.glob("*" + SUFFIX))))
            self.path = path.rename(path.with_suffix(INCOMPLETE))
        except (OSError, StopIteration) as error:
            logger.error("The run in %s could not be marked as incomplete on disk: %s", self.folder, error)


def _pairs(ended: Sequence[tuple[int, int | str]]) -> str:
    if len(ended) == 1 and ended[0][1] != "failed":  # nearly always
        return f"[[{ended[0][0]},{ended[0][1]}]]"
    return _json(ended)


def _around(
    kind: str, server: str, transaction: int, database: str, sessions: Sequence[int]
) -> tuple[str, str]:
    """What stands before and behind the text of a statement in its record, up to its end."""
    before = f',"kind":"{kind}","server":{_text(server)},"transaction":{transaction},"sql":'
    after = f',"database":{_text(database)}' if database else ""
    if sessions != (0,):
        after += f',"sessions":{list(sessions)}'
    return before, after + "}"


def versions() -> dict[str, str]:
    """Versions of what wrote a journal."""
    from .. import __version__

    datajoint = getattr(sys.modules.get("datajoint"), "__version__", "")
    return {"dj_sqlspy": __version__, "datajoint": datajoint, "python": platform.python_version()}


def journal_line(record: Mapping[str, Any]) -> bytes:
    """A record as a line of a journal."""
    return _line(_json(record))


def _line(record: str) -> bytes:
    body = record.encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(body), body)
