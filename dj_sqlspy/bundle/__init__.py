"""Bundle: the folder that a lab publishes, and the running of the scripts in it.

In: a `Slice` and the `Paper` that it was made for. Out: a folder with

==================  =============================================================================
``manifest.json``   what is in the slice and where it comes from (see `manifest`)
``dump.sh``         reads the slice from the source into ``dump.sql.gz``
``restore.sh``      loads that into another server and checks it
``dump.sql.gz``     the rows, once `Bundle.dump` or ``dump.sh`` was run
``….cksum``         its POSIX checksum, with which ``restore.sh`` is quicker
``digests.json``    what to compare with where there is no source, once `Bundle.verify` was run
``README.md``       for the reader of the paper (see `guide`); others of `publish.FILES` for archives
``code/``           the scripts and notebooks of the analyses, if asked for (see `programs`)
``report.html``     all of this for a person to look at (see `report`)
``replay.json``     what the last `Bundle.verify` gave
``inspection.json`` where the last `Bundle.inspect` found something
==================  =============================================================================

The folder appears whole or not at all. It does not decide what is in the slice, and no password is ever
written into the folder or handed over on a command line.
"""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .. import __version__, atomic, compat, settings
from ..dump import dump_script, read_source, restore_script, summary
from ..dump import exclude as excluding
from ..dump.scratch import key_tables
from ..errors import BundleError
from ..files import files_of
from ..files.stores import Stores
from ..journal.programs import FOLDER
from ..progress import counting, shown
from ..sql import short
from . import publish
from .manifest import FORMAT_VERSION, make_manifest, manifest_text, read_manifest

if TYPE_CHECKING:
    from ..paper import Paper
    from ..replay.verify import Verification
    from ..slices import Slice, StatementReport
    from .privacy import Inspection

DUMP_FILE = "dump.sql.gz"
DIGESTS_FILE = "digests.json"
FILES = publish.FILES | {
    "manifest.json",
    "dump.sh",
    "restore.sh",
    DUMP_FILE,
    f"{DUMP_FILE}.cksum",
    DIGESTS_FILE,
}

# How many statements an error message or a table shows before it only counts the others.
SHOWN = 10


@dataclass(frozen=True)
class Bundle:
    """A folder that `write_bundle` wrote.

    Attributes
    ----------
    path : Path

    Raises
    ------
    BundleError
        If ``path`` is not such a folder.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if self.manifest.get("format_version") != FORMAT_VERSION:
            raise BundleError(
                f"Reading the bundle {self.path}: its format version is"
                f" {self.manifest.get('format_version')}, and dj-sqlspy {__version__} reads {FORMAT_VERSION}."
                " Use the dj-sqlspy that wrote it, or a newer one."
            )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What ``manifest.json`` says."""
        manifest = read_manifest(self.path)
        if manifest is None:
            raise BundleError(f"Reading the bundle {self.path}: there is no manifest.json of a bundle in it.")
        return manifest

    @property
    def dump_file(self) -> Path:
        """Where the rows are once they were dumped."""
        return self.path / DUMP_FILE

    def dump(
        self,
        options: Sequence[str] | None = None,
        *,
        source: Any = None,
        jobs: int = 1,
        engine: str = "mysqldump",
    ) -> Path:
        """Run ``dump.sh``: read the slice from its source into ``dump.sql.gz``.

        Parameters
        ----------
        options : sequence of str, optional
            Options of the client, such as ``["--defaults-extra-file=lab.cnf"]``. Without them the server
            and the account are those of ``source``.
        source : datajoint.Connection, optional
            Default: ``dj.conn()``. Not used where there are options.
        jobs : int
            How many tables to read at once. The dump of mysqldump has the same bytes whatever this is.
        engine : "mysqldump" or "mydumper"
            What reads the rows. mydumper (1.0 or later) also reads one table in several pieces at once.

        Returns
        -------
        Path
            The dump.

        Raises
        ------
        BundleError
            If the script fails; what it said is in the message. No dump is there then, or the old one still
            is.
        """
        how = [f"--jobs={jobs}", f"--engine={engine}"]
        if options is not None:
            self._run("dump.sh", [*how, *options])
        else:
            with (
                contextlib.closing(compat.raw_connection(source)) as connection,
                client_options(connection, compat.tls_options(source)) as own,
            ):
                self._run("dump.sh", [*how, *own])
        publish.refresh(self.path, self.manifest)
        return self.dump_file

    def restore(self, options: Sequence[str]) -> str:
        """Run ``restore.sh``: load the dump into a server and check it there.

        Parameters
        ----------
        options : sequence of str
            Options of the client that say which server and account: there is no default.

        Returns
        -------
        str
            What the script said.

        Raises
        ------
        BundleError
            If the server already holds a table of the slice (nothing is changed then), or loading fails.
        """
        return self._run("restore.sh", options)

    def verify(
        self, source: Any = None, progress: Callable[[int, int], None] | None = None, *, alone: bool = False
    ) -> Verification:
        """Load the bundle into a private server and check structure, rows, foreign keys and captured statements.

        Where the source can be reached, it is compared with that, and ``digests.json`` is left in the bundle;
        elsewhere with these digests.

        Parameters
        ----------
        source : datajoint.Connection, optional
            Default: ``dj.conn()``, if that is set up and its server holds the tables.
        progress : callable, optional
            Called with the number of statements done, and of all. Default: shown after two seconds, in a terminal
            or a notebook.
        alone : bool
            Do not look for a source: what a reader does who has the bundle and no more.

        Raises
        ------
        BundleError
            If dumping or loading fails.
        ServerError
            If there is no program for a private server.
        """
        from ..replay.verify import verify  # it stands after bundle in the way of the data

        with counting("statements replayed", progress) as told:
            report = verify(self, source, told, alone=alone)
        if report.from_source:  # a reader's copy stays as it is
            publish.record(self.path, self.manifest, report)
        return report

    def inspect(self, progress: Callable[[int, int], None] | None = None) -> Inspection:
        """Look for what the bundle tells of people, machines and folders, before it is published.

        The dump is loaded into a private server. Where something was found, and in how many values and rows, is
        noted in ``report.html``; the values are only in what is returned.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of columns looked at, and of all.

        Raises
        ------
        BundleError
            If there is no dump, it does not load, or the folder cannot be written to.
        ServerError
            If there is no program for a private server.
        """
        from .privacy import inspect_bundle, record

        found = inspect_bundle(self, progress)
        record(self, found)
        return found

    def _run(self, script: str, options: Sequence[str]) -> str:
        if any(option.startswith(("--password=", "-p")) and option != "-p" for option in options):
            raise BundleError(
                f"Running {script}: no password on a command line; use --defaults-extra-file=FILE."
            )
        with shown() as told:  # how long it takes; in a terminal of its own the script says how far it is
            told(script, 0)
            ended = subprocess.run(
                ["bash", str(self.path / script), *options],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
            )
        if ended.returncode:
            raise BundleError(
                f"Running {self.path / script}: it ended with code {ended.returncode}.\n"
                f"{ended.stderr.strip()}"
            )
        return ended.stdout.strip()


def write_bundle(
    cut: Slice,
    path: str | Path,
    *,
    paper: Paper | None = None,
    connection: Any = None,
    accept_drift: bool = False,
    allow_incomplete: bool = False,
    about: str | Path | Mapping[str, Any] | None = None,
    exclude: Iterable[str] = (),
    with_code: bool = False,
    scratch: str | None = None,
) -> Bundle:
    """Write the folder for a slice.

    Parameters
    ----------
    cut : Slice
    path : path
        A folder that is not there yet, is empty, or is an older bundle (which is replaced).
    paper : Paper, optional
        What the slice was made for.
    connection : pymysql connection, optional
        To the source. Default: a new one from ``paper.connection`` or ``dj.conn()``.
    accept_drift : bool
        Write even if statements return another number of rows now than when they were captured.
    allow_incomplete : bool
        Write even if the capture missed statements.
    about : path or mapping, optional
        What the lab says of the paper: title, authors, license and others (see `about`).
    exclude : iterable of str, optional
        Columns whose contents are left out, as ```schema`.`table`.column`` (see `exclude`).
    with_code : bool
        Copy the scripts and notebooks of the analyses (see `programs`); it needs a paper.
    scratch : str, optional
        A schema of the source for tables of keys (see `scratch`). Default: ``dj.config["sqlspy.scratch"]``, none.

    Raises
    ------
    BundleError
        If the capture was incomplete, the database has drifted, or ``path`` is something else.
    SliceError
        If the contents of a column cannot be left out.
    """
    path = Path(path)
    drift = cut.drifted
    if drift and not accept_drift:
        raise BundleError(_drift_message(path, drift))
    if paper is not None and not paper.complete and not allow_incomplete:
        problems = "".join(f"\n    {problem}" for problem in paper.problems)
        raise BundleError(
            f"Writing {path}: the capture of paper {paper.name!r} is incomplete, so the slice may lack rows"
            f" that the analysis read:{problems}\nRun the analysis again, or write it all the same with"
            " allow_incomplete=True (--allow-incomplete); the manifest says so then."
        )
    _check_place(path)
    opened = None
    if connection is None:
        connection = opened = compat.raw_connection(None if paper is None else paper.connection)
    try:
        source = read_source(connection, cut)
        manifest = make_manifest(cut, source, paper)
        left_out = excluding.exclude(cut, exclude, connection)
        excluding.note(manifest, left_out)
        stores = Stores(None if paper is None else paper.connection)
        with counting("files looked at") as told:
            files = files_of(cut, connection, stores, progress=told)
        files = excluding.needed_files(files, left_out)
        publish.complete(manifest, cut, connection, files, about)
        code = paper.code if with_code and paper is not None else []
        manifest["code"] = [one.about() for one in code]
        schema = scratch or settings.get("scratch")
        keys = key_tables(cut, schema, connection) if schema else []
    finally:
        if opened is not None:
            opened.close()
    name = paper.name if paper is not None else "(hand-picked)"
    title = f"The slice of the database behind {name}: {summary(cut)}."
    texts: dict[str, str | bytes] = {
        "dump.sh": dump_script(cut, source, f"Dump. {title}", excluding.contents(manifest), keys),
        "restore.sh": restore_script(cut, source, f"Restore. {title}"),
        "manifest.json": manifest_text(manifest),
        **publish.texts(manifest),
        **{one.path: one.text for one in code if one.text is not None},
    }
    try:
        atomic.write_folder(path, texts)
    except OSError as error:
        raise BundleError(f"Writing {path}: {error}. Nothing was written.") from error
    return Bundle(path)


@contextlib.contextmanager
def client_options(connection: Any, tls: Mapping[str, Any] = MappingProxyType({})) -> Iterator[list[str]]:
    """Options with which a client program reaches the server of a pymysql connection, as the same account.

    The password is in an option file that only this user can read and that is gone after the block.

    Parameters
    ----------
    connection : pymysql connection
    tls : mapping
        What the connection was told of certificates, in PyMySQL's words: ``ca``, ``capath``, ``cert``, ``key``,
        ``check_hostname``, ``verify_mode``.

    Yields
    ------
    list of str
    """
    lines = {"user": _text(connection.user), "password": _text(connection.password)}
    if connection.unix_socket:
        lines |= {"socket": _text(connection.unix_socket), "protocol": "SOCKET"}
    else:
        lines |= {"host": _text(connection.host), "port": str(connection.port), "protocol": "TCP"}
    encrypted = isinstance(getattr(connection, "_sock", None), ssl.SSLSocket)
    text = "[client]\n" + "".join(f"{key}={_option_value(value)}\n" for key, value in lines.items())
    # MySQL's clients take TLS where the server has it; MariaDB's have to be told, up to version 11.3 to use
    # it and from then on to do without.
    text += "[client-mariadb]\n" + ("ssl\n" if encrypted else "skip-ssl\n")
    text += _tls_options(tls) if encrypted else ""
    with tempfile.TemporaryDirectory(prefix="dj-sqlspy-") as folder:  # made with mode 0700
        file = Path(folder, "client.cnf")
        atomic.write(file, text)
        yield [f"--defaults-file={file}"]


def _tls_options(tls: Mapping[str, Any]) -> str:
    """Lines of an option file, below MariaDB's own. A server is verified where PyMySQL does so by the same words."""
    verified = bool(tls.get("ca") or tls.get("capath")) and tls.get("verify_mode") not in _UNVERIFIED
    named = verified and tls.get("check_hostname", True)
    mode = "VERIFY_IDENTITY" if named else "VERIFY_CA" if verified else "REQUIRED"
    lines = [f"{'' if named else 'skip-'}ssl-verify-server-cert", "[client]", f"loose-ssl-mode={mode}"]
    lines += [f"ssl-{word}={_option_value(str(tls[word]))}" for word in _FILES_OF_TLS if tls.get(word)]
    return "\n".join(lines) + "\n"


_FILES_OF_TLS = ("ca", "capath", "cert", "key")
_UNVERIFIED = (False, ssl.CERT_NONE, "none", "0", "no", "false")


def _option_value(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(value: Any) -> str:
    # a password need not be UTF-8: its bytes go into the file as they are
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value or "")


def _drift_message(path: Path, drift: Sequence[StatementReport]) -> str:
    lines = [
        f"    {report.rows_then} rows then, {report.rows_now} now: {short(report.sql)}"
        for report in drift[:SHOWN]
    ]
    if len(drift) > SHOWN:
        lines.append(f"    and {len(drift) - SHOWN} more")
    return (
        f"Writing {path}: the database has changed since the analysis ran; {len(drift)} of its statements"
        " return another number of rows now:\n"
        + "\n".join(lines)
        + "\nRun the analysis again, or write what they return"
        " now with accept_drift=True (--accept-drift); the manifest names these statements then."
    )


def _check_place(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if path.is_symlink() or not path.is_dir():
        raise BundleError(f"Writing {path}: it is not a folder. Choose another place.")
    present = {entry.name for entry in path.iterdir() if not entry.name.startswith(atomic.PARTIAL)}
    if present and read_manifest(path) is None:
        raise BundleError(
            f"Writing {path}: the folder is neither empty nor a bundle, and is left as it is. Choose another"
            " place."
        )
    strange = present - FILES
    if FOLDER in present and (path / FOLDER).is_dir():
        ours = {one["path"] for one in (read_manifest(path) or {}).get("code", ())}
        there = {file.relative_to(path).as_posix() for file in (path / FOLDER).rglob("*")}
        strange = (strange - {FOLDER}) | (there - ours)
    if strange:
        names = ", ".join(sorted(strange))
        raise BundleError(
            f"Writing {path}: the bundle there would be replaced, and these in it are not dj-sqlspy's:"
            f" {names}. Move them, or choose another place."
        )
