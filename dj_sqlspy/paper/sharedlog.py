"""Shared log: stores sessions in the database, for papers of several people on several machines.

In: journals of this home, and ``sqlspy.schema``. Out: their lines in the tables of that schema (`sharedschema`
declares them), and back, as journals that `runs` reads. Without the setting it does nothing. It sends plain SQL
on connections of its own, which the spy does not see, and looks into no statement.

A run is stored under (paper, analysis). Its name is its time and random digits, or what independent processes gave it
(``append="…"``). A newer run replaces the stored one, whoever stored it. Its files are stored as they are,
in compressed blocks of whole lines, each under the name of the file and the byte where it starts. So a process
can add what is new of any file at any time, and nothing is stored twice. A run that was stored is marked in its
folder. It no longer counts once it was deleted or replaced in the shared log.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import datajoint

from .. import compat, guarded, settings
from ..errors import JournalError, SpyError
from ..journal import (
    INCOMPLETE,
    SUFFIX,
    encode_name,
    journal_line,
    make_folder,
    run_folders,
    run_order,
    versions,
)
from ..journal.runs import has_failed
from ..servers import backend_of, server_name
from ..servers.snapshot import ConnectionLost, Interrupted, Refused, closed_after
from ..spy.session import Session, paused
from .sharedschema import OF_EXPORT, OF_RESULT, SELECTION, STATEMENT, TABLES, declare

BLOCK = 1 << 20  # bytes of a journal in one block, before they are compressed
LARGEST_BLOCK = 64 << 20  # largest possible block, since its last line may be long
LARGEST = 4 << 30  # bytes of the journals of one paper
BATCH = 8  # blocks in one INSERT
MARK = "shared"  # the file in the folder of a run that says which shared logs have it
SECONDS = 30  # time limit of the server's answers
LOCK_SECONDS = 20
PAUSES = (0.1, 0.3, 1.0)  # seconds to wait where another process was in the way

logger = logging.getLogger("dj_sqlspy")

T = TypeVar("T")


class Log(NamedTuple):
    """A connection to the server of a shared log, and the names of its tables."""

    connection: Any
    server: str
    schema: str
    user: str

    @property
    def name(self) -> str:
        """A name that distinguishes it from other shared logs."""
        return f"{self.server}/{self.schema}"

    def table(self, name: str) -> str:
        """The full name of one of its tables."""
        return backend_of(self.connection).dialect.full_name(self.schema, name)

    def rows(self, sql: str, *arguments: Any) -> Sequence[tuple[Any, ...]]:
        """What a query returns."""
        with backend_of(self.connection).told(), self.connection.cursor() as cursor:
            cursor.execute(sql, arguments)
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return found


@contextmanager
def opened(dj_connection: Any = None) -> Iterator[Log | None]:
    """The shared log of ``sqlspy.schema`` on the server of a DataJoint connection; None without the setting.

    Raises
    ------
    JournalError
        If the server refuses something. The message says what to do.
    """
    schema = settings.get("schema")
    if schema is None:
        yield None
        return
    dj_connection = dj_connection or datajoint.conn()
    backend, user = backend_of(dj_connection), str(dj_connection.conn_info["user"])
    try:
        with backend.told(), closed_after(backend.connect(dj_connection, seconds=SECONDS)) as connection:
            yield Log(connection, server_name(dj_connection), schema, user)
    except (Refused, Interrupted, ConnectionLost) as error:
        advice = "Try again, or unset sqlspy.schema to go on with the journals of this machine."
        if isinstance(error, Refused) and error.denied:
            first, others = backend.log_rights(schema)
            advice = (
                f"Ask for {others}. Where its tables are not there yet, let an account store something first that has: "
                f"{first}."
            )
        raise JournalError(f"The shared log in the schema {schema!r}: {error}. {advice}") from error


# --- which run of an analysis counts ------------------------------------------------------------------------


def identity(run: str) -> str:
    """The part of a run's name that identifies it on every machine.

    >>> identity("000003-20260102T030405678901-ab12"), identity("000001-20260102T030405678901-ab12+4711")
    ('20260102T030405678901-ab12', '+4711')
    """
    _, label, name = run.partition("+")
    return label + name if name else run.partition("-")[2]


def is_newer(run: Path, other: str) -> bool:
    """Whether a run of this home came after another: by number if both are here, else by time."""
    here = {identity(folder.name): run_order(folder.name)[0] for folder in run_folders(run.parent)}
    if identity(other) in here:
        return run_order(run.name)[0] > here[identity(other)]
    return run.name.partition("-")[2] > other.partition("-")[2]


def is_marked(run: Path, log: str) -> bool:
    """Whether a shared log had this run."""
    try:
        return log in (run / MARK).read_text().splitlines()
    except OSError:
        return False


def _mark(run: Path, log: str) -> None:
    if not is_marked(run, log):
        with (
            suppress(OSError),
            (run / MARK).open("a") as file,
        ):  # one that cannot be written is known by its time
            file.write(log + "\n")


# --- storing ------------------------------------------------------------------------------------------------


def after_session(ended: Session) -> None:
    """Store a session in the shared log, if there is one. Raises nothing, since the journal has the session."""
    try:
        if settings.get("schema") is None:
            return
        connection = compat.open_connection() or ended.connection
        if connection is None:
            logger.info("%r is not in the shared log: this process is not connected to a database.", ended)
            return
        first = ended.journal.process == "first"
        store(
            ended.journal.folder,
            ended.paper,
            ended.analysis,
            connection,
            own=None if first else ended.journal.path,
            replace="new" if first else "older",
        )
    except Exception as error:  # whatever it is, the analysis goes on
        logger.warning(
            "%r was captured, and is not in the shared log yet: %s Store it with: dj-sqlspy share %s",
            *(ended, error, ended.paper),
        )


def store(
    run: Path,
    paper: str,
    analysis: str,
    connection: Any = None,
    *,
    own: Path | None = None,
    replace: str = "older",
    revive: bool = True,
) -> bool:
    """Store what the shared log lacks of a run of this home, unless it replaced that run.

    Parameters
    ----------
    run : Path
        Its folder.
    paper, analysis : str
    connection : datajoint.Connection, optional
        To the server of the log; default ``dj.conn()``.
    own : Path, optional
        Only this file of it.
    replace : {"older", "new", "any"}
        Which run of the analysis it may replace in the log. "older": one that started earlier, by the machines'
        clocks. "new": any, if the log never had this run, as for a session that ends now. "any": any. A failed run
        replaces none, except with "any".
    revive : bool
        Store it even if it was deleted from the log.

    Returns
    -------
    bool
        Whether this run now counts in the log.

    Raises
    ------
    JournalError
        If the server refuses it.
    """
    files = [path for path in sorted(run.iterdir()) if path.suffix in (SUFFIX, INCOMPLETE)]
    if replace != "any" and has_failed(run):
        replace = "none"
    if own is not None:
        files = [path for path in files if path.stem == own.stem]
    with opened(connection) as log:
        if log is None:
            raise SpyError('Sharing a log needs the setting dj.config["sqlspy.schema"], and it is not set.')
        if not files:
            return False
        _declare(log, connection or datajoint.conn())

        def put(log: Log) -> bool:
            export_id = _entry(log, run, paper, analysis, replace, revive)
            if export_id is not None:
                for file in files:
                    _append(log, export_id, file)
            return export_id is not None

        with _alone(log, paper, analysis):
            stored = _in_one_transaction(log, put)
        if stored:
            _mark(run, log.name)
        return stored


def _declare(log: Log, connection: Any) -> None:
    """Declare the tables, unless they are there; one process does it, and the others wait for it."""
    with _alone(log):
        if not backend_of(connection).table_names(log.connection, log.schema) >= TABLES:
            with paused(), closing(compat.second_connection(connection)) as own:
                declare(own, log.schema)


@contextmanager
def _alone(log: Log, *names: str) -> Iterator[None]:
    """Be the only process that does something to an analysis, or to the schema, in this block."""
    name = hashlib.sha256(json.dumps([log.schema, *names]).encode()).hexdigest()[:40]
    with backend_of(log.connection).locked(log.connection, f"dj-sqlspy {name}", LOCK_SECONDS) as got:
        if not got:
            what = " ".join(names) or f"the schema {log.schema}"
            raise JournalError(f"Another process has been storing {what} for {LOCK_SECONDS} seconds.")
        yield


def _in_one_transaction(log: Log, work: Callable[[Log], T]) -> T:
    """Do something to the log; again where another process was in its way, as in a deadlock."""
    for pause in PAUSES:
        try:
            return _tried(log, work)
        except (Interrupted, ConnectionLost, Refused) as error:
            if isinstance(error, Refused) and not error.conflict:
                raise
            time.sleep(random.uniform(pause / 2, pause))
    return _tried(log, work)


def _tried(log: Log, work: Callable[[Log], T]) -> T:
    with backend_of(log.connection).transaction(log.connection):
        return work(log)


def _entry(log: Log, run: Path, paper: str, analysis: str, replace: str, revive: bool) -> int | None:
    """The number of the run in the log; None if it does not belong there (see `store`)."""
    selection = log.table(SELECTION)
    found = log.rows(
        f"SELECT export_id, run FROM {selection} WHERE paper_id = %s AND analysis_id = %s", paper, analysis
    )
    for export_id, other in found:
        if identity(other) == identity(run.name):
            return int(export_id)
        if replace == "none" or not (
            replace == "any" or (replace == "new" and not is_marked(run, log.name)) or is_newer(run, other)
        ):
            return None
        _delete(log, paper, [export_id])
    if not found and not revive and is_marked(run, log.name):
        return None
    started = run.name.split("-")[1][: len("20260102T030405")]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.strptime(started, "%Y%m%dT%H%M%S"))
    row = {
        "paper_id": paper,
        "analysis_id": analysis,
        "version": versions()["dj_sqlspy"],
        "user": log.user,
        "time": when,
        "run": run.name,
    }
    return backend_of(log.connection).insert_numbered(log.connection, selection, row, "export_id")


def _append(log: Log, export_id: int, file: Path) -> None:
    """Store the complete lines of a file that the log lacks."""
    statement = log.table(STATEMENT)
    ((have,),) = log.rows(
        f"SELECT COALESCE(MAX(start + size), 0) FROM {statement} WHERE export_id = %s AND journal = %s",
        *(export_id, file.stem),
    )
    rows = []
    insert = (
        f"INSERT INTO {statement} (export_id, journal, start, size, statements, contents)"
        " VALUES (%s, %s, %s, %s, %s, %s)"
    )
    with log.connection.cursor() as cursor:
        for start, lines in _blocks(file, int(have)):
            if len(lines) > LARGEST_BLOCK:
                raise JournalError(
                    f"A statement in {file} has {len(lines) >> 20} MiB, and a shared log takes {LARGEST_BLOCK >> 20}."
                )
            # JSON escapes quotes, so these texts cannot occur in a statement
            count = lines.count(b' {"number":') - lines.count(b',"failed"]')
            rows.append((export_id, file.stem, start, len(lines), count, compat.packed(lines)))
            if len(rows) == BATCH:
                cursor.executemany(insert, rows)
                rows = []
        if rows:
            cursor.executemany(insert, rows)


def _blocks(file: Path, start: int) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as source:
        source.seek(start)
        while True:
            lines = source.read(BLOCK)
            lines += source.readline() if not lines.endswith(b"\n") else b""
            lines = lines[: lines.rfind(b"\n") + 1]  # the last may be written just now
            if not lines:
                break
            yield start, lines
            start += len(lines)
    if file.suffix == INCOMPLETE:  # its name says so here, a record says so there
        yield start, journal_line({"fault": "a statement could not be recorded", "time": time.time()})


# --- deleting -----------------------------------------------------------------------------------------------


def _delete(log: Log, paper: str, export_ids: Iterable[int]) -> None:
    """Delete exports, and what was computed for their paper."""
    of_paper = log.rows(f"SELECT export_id FROM {log.table(SELECTION)} WHERE paper_id = %s", paper)
    for tables, numbers in ((OF_RESULT, [number for (number,) in of_paper]), (OF_EXPORT, list(export_ids))):
        for name in tables:
            for number in numbers:
                with log.connection.cursor() as cursor:
                    cursor.execute(f"DELETE FROM {log.table(name)} WHERE export_id = %s", (number,))


def forget(paper: str, analysis: str | None = None, connection: Any = None) -> int:
    """Delete one or all analyses of a paper from the shared log. Returns the number that were there.

    Raises
    ------
    JournalError
        If the server refuses it.
    """
    with opened(connection) as log:
        if log is None:
            return 0
        entries = [entry for entry in _listed(log, paper) if analysis in (None, entry.analysis)]
        with ExitStack() as stack:
            for name in sorted(entry.analysis for entry in entries):
                stack.enter_context(_alone(log, paper, name))

            def delete(log: Log) -> None:
                _delete(log, paper, [entry.export_id for entry in entries])

            if entries:
                _in_one_transaction(log, delete)
        return len(entries)


# --- what is said of an export beside its statements --------------------------------------------------------


def entry_of(paper: str, analysis: str, connection: Any = None) -> Entry | None:
    """What the log has of an analysis now; None if it has nothing of it."""
    with opened(connection) as log:
        found = [] if log is None else _listed(log, paper)
        return next((entry for entry in found if entry.analysis == analysis), None)


def describe(
    entry: Entry, paper: str, parts: Mapping[str, Sequence[Mapping[str, Any]]], connection: Any = None
) -> bool:
    """Fill parts of an export anew, unless it was changed since ``entry`` was read: who did that describes it.

    Parameters
    ----------
    entry : Entry
    paper : str
    parts : mapping
        For each table, its rows: values by column, all with the same columns.
    connection : datajoint.Connection, optional
        To the server of the log; default ``dj.conn()``.

    Returns
    -------
    bool
        Whether they were filled.

    Raises
    ------
    JournalError
        If the server refuses it.
    """

    def fill(log: Log) -> bool:
        if entry not in _listed(log, paper):
            return False
        dialect = backend_of(log.connection).dialect
        for name, rows in parts.items():
            with log.connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {log.table(name)} WHERE export_id = %s", (entry.export_id,))
                if rows:
                    columns = dialect.columns(rows[0])
                    cursor.executemany(
                        f"INSERT INTO {log.table(name)} (export_id, {columns})"
                        f" VALUES ({', '.join(['%s'] * (len(rows[0]) + 1))})",
                        [(entry.export_id, *row.values()) for row in rows],
                    )
        return True

    with opened(connection) as log:
        if log is None:
            return False
        with _alone(log, paper, entry.analysis):
            return _in_one_transaction(log, fill)


# --- reading ------------------------------------------------------------------------------------------------


# As `journal` gives them.
_RUN = re.compile(r"\d{6,}-\d{8}T\d{12}-[0-9a-f]{4}(\+[\w.~%-]{1,240})?", re.ASCII)
_JOURNAL = re.compile(r"\d+-[0-9a-f]{8}")


class Entry(NamedTuple):
    """A run in the shared log, and the stored bytes of each of its files."""

    export_id: int
    analysis: str
    run: str
    sizes: tuple[tuple[str, int], ...]


def papers(connection: Any = None) -> list[str]:
    """The papers in the shared log."""
    with opened(connection) as log:
        if log is None:
            return []
        with _nothing_yet():
            return [name for (name,) in log.rows(f"SELECT DISTINCT paper_id FROM {log.table(SELECTION)}")]
        return []


@contextmanager
def _nothing_yet() -> Iterator[None]:
    """In a block, accept that an unused log has no tables."""
    try:
        yield
    except Refused as error:
        if not error.missing:
            raise


def _listed(log: Log, paper: str) -> list[Entry]:
    found: Sequence[tuple[Any, ...]] = ()
    with _nothing_yet():
        found = log.rows(
            f"SELECT export_id, analysis_id, run, journal, SUM(size)"
            f" FROM {log.table(SELECTION)} LEFT JOIN {log.table(STATEMENT)} USING (export_id)"
            " WHERE paper_id = %s GROUP BY export_id, analysis_id, run, journal ORDER BY 1, 4",
            paper,
        )
    sizes: dict[tuple[int, str, str], list[tuple[str, int]]] = {}
    for export_id, analysis, run, journal, size in found:
        files = sizes.setdefault((export_id, analysis, run), [])
        if journal is not None:
            files.append((journal, int(size)))
    return [Entry(*key, tuple(files)) for key, files in sizes.items()]


def _require_plain(entries: Iterable[Entry], paper: str) -> None:
    """Check what anyone with an account may have written: raise for invalid names of files, and for large sizes."""
    total = 0
    for entry in entries:
        names = [name for name, _ in entry.sizes]
        if not _RUN.fullmatch(entry.run) or not all(map(_JOURNAL.fullmatch, names)):
            raise JournalError(
                f"The shared log has the run {entry.run!r} of {paper!r}, {entry.analysis!r}, with the journals"
                f" {names!r}, and not all of these are names that dj-sqlspy gives. Ask who stored it, and delete it:"
                f" dj-sqlspy forget {paper} {entry.analysis}"
            )
        total += sum(size for _, size in entry.sizes)
    if total > LARGEST:
        raise JournalError(
            f"The shared log has {total >> 30} GiB of journals for {paper!r}, and dj-sqlspy reads up to"
            f" {LARGEST >> 30}. Delete what is not needed: dj-sqlspy forget {paper} ANALYSIS"
        )


class Reader:
    """The shared log of one paper, as journals in a temporary folder; read again if it has changed."""

    def __init__(self, paper: str) -> None:
        self.paper = paper
        self._folder: guarded.Folder | None = None
        self._read: list[Entry] = []

    def combined(self, local: Mapping[str, Path], connection: Callable[[], Any]) -> list[tuple[Path, ...]]:
        """For each analysis, the folders with files of the run that counts, this home's folder first.

        Parameters
        ----------
        local : mapping
            The newest run of each analysis in this home, by its encoded name.
        connection : callable
            Returns the DataJoint connection to the server of the log. Called only with ``sqlspy.schema``.

        Raises
        ------
        JournalError
            If the shared log cannot be read.
        """
        if settings.get("schema") is None:
            return [(run,) for run in local.values()]
        with opened(connection()) as log:
            assert log is not None
            with backend_of(log.connection).one_moment(log.connection):  # others store meanwhile
                fetched = self._fetched(log)
            there = {encode_name(entry.analysis): entry for entry in fetched}
            chosen: list[tuple[Path, ...]] = []
            for name in sorted({*local, *there}):
                run, entry = local.get(name), there.get(name)
                marked = run is not None and is_marked(run, log.name)
                if entry is None:
                    chosen += [(run,)] if run is not None and not marked else []
                elif run is not None and identity(run.name) == identity(entry.run):
                    chosen.append((run, self._place(entry)))
                elif run is not None and not marked and is_newer(run, entry.run) and not has_failed(run):
                    chosen.append((run,))
                else:
                    chosen.append((self._place(entry),))
            return chosen

    def _place(self, entry: Entry) -> Path:
        assert self._folder is not None
        return Path(self._folder.path, encode_name(self.paper), encode_name(entry.analysis), entry.run)

    def _fetched(self, log: Log) -> list[Entry]:
        entries = _listed(log, self.paper)
        if entries != self._read:
            _require_plain(entries, self.paper)
            self._folder = guarded.Folder()
            for entry in entries:
                make_folder(self._place(entry))
                for journal, _ in entry.sizes:
                    _fetch(log, entry.export_id, journal, self._place(entry) / f"{journal}{SUFFIX}")
            self._read = entries
        return entries


def _fetch(log: Log, export_id: int, journal: str, path: Path) -> None:
    """Write a file from its blocks. For a missing block it writes a line that `runs` reports."""
    blocks = backend_of(log.connection).stream(
        log.connection,
        f"SELECT start, size, contents FROM {log.table(STATEMENT)} WHERE export_id = %s AND journal = %s ORDER BY 1",
        (export_id, journal),
    )
    with path.open("wb") as out:
        end = 0
        for start, size, contents in blocks:
            if start > end:
                out.write(b"a block of the shared log is missing\n")
            try:
                lines = compat.unpacked(contents, min(int(size), LARGEST_BLOCK))
            except ValueError as error:
                raise JournalError(f"A block of {journal} in the shared log is damaged: {error}.") from error
            out.write(lines)
            end = start + len(lines)
