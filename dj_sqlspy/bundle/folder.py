"""Folder: writes the folder of a bundle, and runs the scripts in it.

The folder has

==================  =============================================================================
``manifest.json``   what is in the slice, and its origin (see `manifest`)
``dump.sh``         reads the slice from the source into ``dump.sql.gz``; not with pseudonyms
``restore.sh``      loads that into another server and checks it
``dump.sql.gz``     the rows, after `Bundle.dump` or ``dump.sh``
``….cksum``         its POSIX checksum, which makes ``restore.sh`` faster
``digests.json``    digests for a comparison without the source, after `Bundle.verify`
``README.md``       for the reader of the paper (see `guide`); others of `texts.FILES` for archives
``code/``           the scripts and notebooks of the analyses, if requested (see `code`)
``source-data/``    what each analysis received as tables, if requested (see `open_copy.sourcedata`)
``compose.yaml``    a server with the rows and a notebook, with ``compose.sh`` (see `compose`)
``report.html``     all of this on one page (see `report`)
``replay.json``     the outcome of the last `Bundle.verify`
``first-rows.json`` what the report shows of tables and results, after `Bundle.verify`
``inspection.json`` where the last `Bundle.inspect` found something
==================  =============================================================================

It appears whole or not at all. No password is ever written into the folder or put on a command line.
"""

from __future__ import annotations

import contextlib
import getpass
import gzip
import hashlib
import os
import shutil
import subprocess
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from .. import atomic, guarded, servers, settings
from ..display import count, visible
from ..errors import BundleError
from ..external.sums import SUMS, read_sums
from ..journal import make_folder
from ..progress import shown
from ..servers import Server, backend_of, is_own_script
from ..servers.clients import Client, client_of
from ..version import __version__
from . import texts
from .code import FOLDER
from .guide import DUMP_FILE, SOURCE_DATA
from .manifest import FILE, read_manifest, schemas_of
from .reading import LARGEST, read_bytes, require_regular
from .render import total_of

DIGESTS_FILE = "digests.json"
FILES = texts.FILES | {
    FILE,
    "dump.sh",
    "restore.sh",
    DUMP_FILE,
    f"{DUMP_FILE}.cksum",
    DIGESTS_FILE,
}


# What stays free on the disk of a private server: these bytes, or of a small disk this part.
KEPT_FREE, KEPT_PART = 1 << 30, 1 / 20


@dataclass(frozen=True, repr=False)
class BundleFolder:
    """The folder of a bundle.

    Attributes
    ----------
    path : Path

    Raises
    ------
    BundleError
        If ``path`` is not such a folder, its manifest is not valid, or one of its files is a symbolic link or a special
        file.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        atomic.recover(self.path)
        code = [one["path"] for one in self.manifest["code"]]
        for folder in (self.path / FOLDER, self.path / SOURCE_DATA):
            if folder.is_symlink():
                raise BundleError(f"Reading {folder}: it is a symbolic link, and no folder of a bundle.")
        require_regular(self.path / name for name in (*sorted(FILES), *code, f"{SOURCE_DATA}/{SUMS}"))

    def __repr__(self) -> str:
        return visible(f"{type(self).__name__}({str(self.path)!r}): {'; '.join(self._about())}")

    def _repr_html_(self) -> str:
        lines = Markup("<br>").join(self._about())
        return Markup("<div><b>{}</b> {}<br>{}</div>").format(type(self).__name__, self.path, lines)

    def _about(self) -> list[str]:
        """Its contents, in words."""
        manifest, tables = self.manifest, self.manifest["tables"]
        rows, total = sum(table["rows"] for table in tables), total_of(t["total_rows"] for t in tables)
        of_total = "" if total is None else f" of {total:,}"
        found = [
            f"paper {manifest['paper']}" if manifest["paper"] else "rows picked by hand",
            f"{rows:,}{of_total} rows in {count(len(tables), 'table')}",
            count(len(manifest["statements"]), "statement"),
            "dumped" if self.dump_file.exists() else "not dumped yet",
        ]
        if manifest.get("unfinished"):
            found.append(f"NOT FINISHED: {', '.join(one['analysis'] for one in manifest['unfinished'])}")
        return found if manifest["complete"] else [*found, "INCOMPLETE"]

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The contents of ``manifest.json``."""
        manifest = read_manifest(self.path)
        if manifest is None:
            raise BundleError(f"Reading the bundle {self.path}: there is no manifest.json of a bundle in it.")
        return manifest

    @property
    def dump_file(self) -> Path:
        """The path of the dump, which exists after `dump`."""
        return self.path / DUMP_FILE

    def dump(
        self,
        options: Sequence[str] | None = None,
        *,
        source: Any = None,
        jobs: int | None = None,
        engine: str = "mysqldump",
    ) -> Path:
        """Run ``dump.sh``: read the slice from its source into ``dump.sql.gz``.

        Parameters
        ----------
        options : sequence of str, optional
            Options of the client, such as ``["--defaults-extra-file=lab.cnf"]``. Without them the server
            and the account are those of ``source``.
        source : datajoint.Connection, optional
            Default: ``dj.conn()``, if the bundle was written here and from that server. Not used with options.
        jobs : int, optional
            How many tables to read at once. It does not change the bytes of mysqldump's dump. Default: four for a slice
            of at most 20,000 rows, whose time goes into starting mysqldump; one for a larger slice.
        engine : "mysqldump" or "mydumper"
            The program that reads the rows. mydumper (1.0 or later) also reads parts of one table in parallel.

        Returns
        -------
        Path
            The dump.

        Raises
        ------
        BundleError
            If the script fails. The message has its output. Then there is no dump, or still the old one.
        """
        if self.manifest.get("pseudonyms") and not (self.path / "dump.sh").exists():
            raise BundleError(
                f"Dumping {self.path}: its keys are pseudonyms, so the dump was made when the bundle was written, and a"
                " dump.sh would name the true keys. Write the bundle again for a new dump."
            )
        if engine != "mysqldump":
            servers.require_supported(self.manifest["server"]["flavor"], f"dumping with {engine}")
        if jobs not in (None, 1):
            servers.require_supported(self.manifest["server"]["flavor"], "reading several tables at once")
        how = [] if jobs is None else [f"--jobs={jobs}"]
        how += [f"--engine={engine}"] if engine != "mysqldump" else []
        if options is not None:
            self._run("dump.sh", [*how, *options])
        else:
            written = written_from(self.path)
            if source is None and written is None:
                raise BundleError(
                    f"Dumping {self.path}: it was not written here, so the server of dj.config may not be its source."
                    " Read dump.sh, and name the server: dj-sqlspy dump DIR --host=HOST --user=NAME -p"
                )
            backend = backend_of(source)
            with (
                contextlib.closing(backend.connect(source)) as connection,
                backend.client_options(connection, backend.tls_options(source)) as own,
            ):
                if source is None and backend.address(connection) != written:
                    raise BundleError(
                        f"Dumping {self.path}: it was written from {written}, and dj.config names"
                        f" {backend.address(connection)}. Name it: dj-sqlspy dump DIR --host=HOST --user=NAME -p"
                    )
                self._run("dump.sh", [*how, *own])
        texts.refresh(self.path, self.manifest)
        return self.dump_file

    def restore(self, options: Sequence[str]) -> str:
        """Run ``restore.sh``: load the dump into a server and check it there.

        Parameters
        ----------
        options : sequence of str
            Options of the client with server and account; there is no default.

        Returns
        -------
        str
            The output of the script.

        Raises
        ------
        BundleError
            If the server already has a table of the slice, the account may not load it, or the server computes other
            values than the source (then nothing is changed), or loading fails.
        """
        return self._run("restore.sh", options)

    def load(self, connection: Any) -> list[str]:
        """Load the dump into a private server (`server_for`), without the views and functions that it refuses.

        Parameters
        ----------
        connection : connection of the driver

        Returns
        -------
        list of str
            Generated columns that have other values on this server than in the source, in words.

        Raises
        ------
        BundleError
            If loading fails.
        """
        _require_structure(self.dump_file)
        with backend_of(connection).client_options(connection) as options:
            said = self._run("restore.sh", [*options, *self._client.in_part, "--accept-other-values"])
        marked = "Other values: "
        return [line.removeprefix(marked) for line in said.splitlines() if line.startswith(marked)]

    def report(self) -> Path:
        """Make ``report.html`` again, and the other texts for readers; what the manifest says is not changed.

        Returns
        -------
        Path
            The report.
        """
        texts.refresh(self.path, self.manifest)
        return self.path / texts.REPORT_FILE

    def _run(self, script: str, options: Sequence[str]) -> str:
        ask, file = self._client.ask, self._client.file
        if any(option.startswith(self._client.given) and option != ask for option in options):
            raise BundleError(f"Running {script}: no password on a command line; use {file}.")
        text = read_bytes(self.path / script) or b""
        if not is_own_script(script, text.decode("utf-8", "replace")):
            raise BundleError(
                f"Running {self.path / script}: it is not what dj-sqlspy {__version__} would write, so it is not run."
                f" {self._written_by}If you have read it and trust it, run it yourself: bash {script} --help"
            )
        with contextlib.ExitStack() as stack:
            settings = dict(os.environ)
            if {ask, "--password"} & set(options):
                asked = stack.enter_context(guarded.secret(f"{_password(script, file)}\n"))
                settings["DJ_SQLSPY_PASSWORD_AT"] = str(asked)
            told = stack.enter_context(shown())  # shows the time; without it, the script shows its progress
            told(script, 0)
            process = stack.enter_context(
                guarded.started(
                    ["bash", str(self.path / script), *options],
                    env=settings,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                )
            )
            out, said = process.communicate()
        if process.returncode:
            why = said.strip().removeprefix(f"{script}: ") or f"it ended with code {process.returncode}"
            raise BundleError(f"Running {self.path / script}: {why}")
        return str(out).strip()

    @property
    def _client(self) -> Client:
        return client_of(self.manifest["server"]["flavor"])

    @property
    def _written_by(self) -> str:
        version = self.manifest["versions"]["dj-sqlspy"]
        if version == __version__:
            return "Somebody changed it since. "
        return f"The bundle says that dj-sqlspy {version!r} wrote it, which you can install. "


def _require_structure(dump: Path) -> None:
    """Raise if what stands before the rows of a dump, which ``restore.sh`` reads line by line, is too large."""
    left = LARGEST
    try:
        with gzip.open(dump) as file:
            while left > 0 and (line := file.readline(left)) not in (b"", b"-- Rows.\n"):
                left -= len(line)
    except (OSError, EOFError, zlib.error):
        return  # it is damaged, as restore.sh says
    if left <= 0:
        raise BundleError(
            f"Loading {dump}: its structure is larger than {LARGEST >> 20} MiB, and no bundle's is that large."
        )


def _password(script: str, file: str) -> str:
    """Ask for the password; the ``file`` is the other way to give it.

    The script has no terminal, because it must end with this process.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError as error:
        raise BundleError(
            f"Running {script}: there is no terminal to ask for a password at. Use {file}."
        ) from error
    return getpass.getpass("Password: ")


@contextlib.contextmanager
def server_for(manifest: Mapping[str, Any], *places: Path) -> Iterator[Server]:
    """A private server for a bundle, of the source's flavor if this machine has one.

    Its account has rights on the schemas of the bundle only. It reads names in statements like the source. A bundle of
    a few kilobytes can have rows and results of any size, so all that it does is ended before it has filled its disk
    or those of some other folders (`KEPT_FREE`), and a `BundleError` is raised.
    """
    with servers.private_like(manifest["server"]) as private:
        limited = private.limited_to(schemas_of(manifest))
        with _kept_free(limited, private.datadir, *places):
            yield limited


@contextlib.contextmanager
def _kept_free(server: Server, *places: Path) -> Iterator[None]:
    """In a block, end what the account does on a server when a disk is nearly full."""
    done, full = threading.Event(), list[Path]()

    def watch() -> None:
        while not done.wait(0.2):
            full.extend(filter(_nearly_full, places))
            if full:
                with (
                    contextlib.suppress(*servers.driver_errors()),  # it cannot be reached; soon again
                    contextlib.closing(server.connect()) as connection,
                ):
                    backend_of(connection).end_others(connection)

    def stopped() -> BundleError:
        return BundleError(
            f"Reading a bundle: the disk of {full[0]} is nearly full, so it was stopped. If you trust the bundle, use"
            " a larger disk (a private server has its data in TMPDIR)."
        )

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    except Exception as error:
        if full:
            raise stopped() from error
        raise
    finally:
        done.set()
        watching.join()
    if full:
        raise stopped()


def _nearly_full(place: Path) -> bool:
    disk = shutil.disk_usage(place)
    return disk.free < min(KEPT_FREE, disk.total * KEPT_PART)


def note_written(manifest: str | bytes, source: str) -> None:
    """Note in the home that a bundle is written here, and from which server. Bundles of others have no such note."""
    noted = _note_of(manifest if isinstance(manifest, bytes) else manifest.encode("utf-8", "surrogateescape"))
    make_folder(noted.parent)
    atomic.write(noted, f"{source}\n")


def written_from(path: Path) -> str | None:
    """The source of a bundle, if it was written with this home and its manifest has not changed."""
    try:
        return _note_of(read_bytes(path / FILE) or b"").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def _note_of(manifest: bytes) -> Path:
    return settings.home(None) / ".bundles" / hashlib.sha256(manifest).hexdigest()


def check_place(path: Path) -> None:
    """Raise if nothing can be written, or the folder has other contents than a bundle, which would be lost."""
    atomic.recover(path)
    if not path.exists() and not path.is_symlink():
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise BundleError(f"Writing {path}: no folder can be made in {above}. Choose another place.")
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
    for folder in {FOLDER, SOURCE_DATA} & present:
        if not (path / folder).is_dir() or (path / folder).is_symlink():
            continue
        if folder == FOLDER:
            ours = {one["path"] for one in (read_manifest(path) or {}).get("code", ())}
        else:
            sums = {*read_sums(path / folder / SUMS), SUMS}
            ours = {
                f"{folder}/{file.as_posix()}" for name in sums for file in (Path(name), *Path(name).parents)
            }
        there = {file.relative_to(path).as_posix() for file in (path / folder).rglob("*")}
        strange = (strange - {folder}) | (there - ours)
    if strange:
        names = ", ".join(sorted(strange))
        raise BundleError(
            f"Writing {path}: the bundle there would be replaced, and these in it are not dj-sqlspy's:"
            f" {names}. Move them, or choose another place."
        )
