"""Copies: copies the files of a slice into a folder that DataJoint can use as its stores.

In: a list of `File` and their `Stores`. Out: a folder with

=================  ==============================================================================
``STORE/PATH``     each file, at the path that it has in its store
``SHA256SUMS``     a checksum of each file, as ``sha256sum --check`` reads it; second places with ``*``
``stores.json``    for ``dj.config["stores"]``, with locations relative to the folder
=================  ==============================================================================

Files that were copied before are not copied again. How one is copied: see `single`.

Files are copied as they are. Where a link in one leads to another place than that of its target, as an absolute path
does, the target is put there too (see `placing`).
"""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import atomic
from ..display import first, visible
from ..errors import FilesError
from .file import File
from .placing import second_places
from .single import copy_again, copy_one, place_of
from .stores import Stores
from .sums import SECOND, SUMS, Ledger

CONFIGURATION = "stores.json"
WORKERS = 4
LISTS = ("rsync", "rclone", "s5cmd")


@dataclass(frozen=True)
class Copied:
    """The result of copying.

    Attributes
    ----------
    folder : Path
    copied, linked, kept : int
        Number of files that were copied, that share the contents of their original, and that existed before.
    bytes : int
        Size of all files in the copy.
    failed : tuple of (File, str)
        Files that are not in the copy, or whose links lead to no data in it, each with the reason.
    also : tuple of str
        Places at which a file is once more, because a link in another one leads there.
    """

    folder: Path
    copied: int
    linked: int
    kept: int
    bytes: int
    failed: tuple[tuple[File, str], ...] = ()
    also: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """True if no file is missing, and no link leads nowhere."""
        return not self.failed

    def __str__(self) -> str:
        there = f"{self.copied} copied, {self.linked} linked, {self.kept} already there"
        lines = [f"{self.folder}: {there}, {len(self.failed)} failed"]
        lines += [f"    {file.name}: {reason}" for file, reason in self.failed]
        if self.also:
            lines += ["Links in files lead to these places, so a file is there once more:"]
            lines += [f"    {name}" for name in first(self.also)]
        return visible("\n".join(lines))


def copy_files(
    files: Sequence[File],
    folder: str | Path,
    stores: Stores | None = None,
    *,
    link: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Copied:
    """Copy files into a folder for each store, verified by their checksums.

    Parameters
    ----------
    files : sequence of File
        From `files_of`. Those that are not in their store are reported as failed.
    folder : path
        It is created if needed. Files of earlier copies stay.
    stores : Stores, optional
        Default: those of ``dj.config``.
    link : bool
        Share blocks or make hard links for files on the same disk. A program that changes a hard link in place changes
        the original too.
    progress : callable, optional
        Called with the number of bytes just done, also of files that need not be read.

    Returns
    -------
    Copied

    Raises
    ------
    FilesError
        If the folder cannot be written to.
    """
    folder = Path(folder)
    stores = stores or Stores()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ledger = Ledger(folder)
    except OSError as error:
        raise FilesError(f"Copying files into {folder}: {error}") from error
    counts = {"copied": 0, "linked": 0, "kept": 0}
    failed: list[tuple[File, str]] = []
    also: list[str] = []
    size = 0

    def wanted() -> Iterator[tuple[File, str | None]]:
        for file in files:
            if file.state not in ("ok", "changed"):
                failed.append((file, file.note))
                if not file.is_there:
                    continue
            yield file, ledger.places.get(file.name)

    with ledger:
        with _Workers(folder, stores, link, progress) as workers:
            for file, copying in workers.copies(wanted()):
                try:
                    how, sha256 = copying.result()
                except FilesError as error:
                    failed.append((file, str(error)))
                    continue
                counts[how] += 1
                size += place_of(folder, file).stat().st_size
                if how != "kept":
                    ledger.note(file.name, sha256)
                    if ledger.seconds.get(file.name, sha256) != sha256:
                        failed.append(
                            (file, "it replaced another file, to which links of an earlier copy lead")
                        )
        second, lost = second_places(files, (SUMS, CONFIGURATION))
        failed += lost
        for name, file in second.items():
            try:
                if file.name in ledger.places:
                    if copy_again(folder, file, name, ledger, link):
                        ledger.note(name, ledger.places[file.name], SECOND)
                    also.append(name)
            except (FilesError, OSError) as error:
                failed.append((file, f"putting it at {name} too, where a link leads: {error}"))
    ledger.rewrite()
    _write_configuration(folder / CONFIGURATION, files, stores)
    return Copied(folder, **counts, bytes=size, failed=tuple(failed), also=tuple(also))


class _Workers:
    """Threads that copy files, several at a time.

    Ctrl-C ends those that have begun with what is being read, and no other one begins.
    """

    def __init__(
        self, folder: Path, stores: Stores, link: bool, progress: Callable[[int], None] | None
    ) -> None:
        self._folder, self._stores, self._link, self._progress = folder, stores, link, progress
        self._pool = ThreadPoolExecutor(WORKERS)
        self._copying: dict[Future[tuple[str, str]], File] = {}
        self._stopped, self._ended, self._running = threading.Event(), threading.Condition(), 0

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is not None:
            self._stopped.set()
            self._pool.shutdown(wait=False, cancel_futures=True)
            with self._ended:  # a pool does not wait for a thread during whose start Ctrl-C came
                self._ended.wait_for(lambda: self._running == 0)
        self._pool.shutdown()

    def copies(
        self, files: Iterable[tuple[File, str | None]]
    ) -> Iterator[tuple[File, Future[tuple[str, str]]]]:
        """Each file with what `copy_one` returned or raised, in the order in which they end."""
        for file, known in files:
            self._copying[self._pool.submit(self._copy, file, known)] = file
            if len(self._copying) >= 4 * WORKERS:  # so that the memory does not fill with waiting files
                yield from self._those(wait(self._copying, return_when=FIRST_COMPLETED).done)
        yield from self._those(wait(self._copying).done)

    def _those(
        self, ended: Iterable[Future[tuple[str, str]]]
    ) -> Iterator[tuple[File, Future[tuple[str, str]]]]:
        for copying in ended:
            yield self._copying.pop(copying), copying

    def _copy(self, file: File, known: str | None) -> tuple[str, str]:
        with self._ended:
            self._refuse_if_stopped()
            self._running += 1
        try:
            return copy_one(file, self._folder, self._stores, self._link, known, self._told)
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify_all()

    def _told(self, count: int) -> None:
        self._refuse_if_stopped()
        if self._progress is not None:
            self._progress(count)

    def _refuse_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise FilesError("it was interrupted")


def file_list(files: Sequence[File], program: str, stores: Stores, target: str = "files") -> str:
    """A list of files as input of a copy program.

    ========  ==================================================================================
    rsync     ``rsync -a --files-from=LIST LOCATION/ TARGET/STORE/``; files of one store
    rclone    ``rclone copy --files-from-raw LIST REMOTE:BUCKET/LOCATION TARGET/STORE``; files of one store
    s5cmd     ``s5cmd run LIST``; files of any S3 stores
    ========  ==================================================================================

    Parameters
    ----------
    files : sequence of File
    program : {"rsync", "rclone", "s5cmd"}
    stores : Stores
    target : str
        The target folder of s5cmd.

    Raises
    ------
    FilesError
        If the program is unknown, or cannot copy these files.
    """
    if program not in LISTS:
        raise FilesError(f"Listing files for {program!r}: the programs are {', '.join(LISTS)}.")
    there = [file for file in files if file.is_there]
    odd = next((file for file in there if re.search(r"[\r\n]", file.path)), None)
    if odd is not None:
        raise FilesError(f"Listing files for {program}: it can't take the newline in {odd.path!r}.")
    names = sorted({file.store for file in there})
    if program == "s5cmd":
        local = [name for name in names if not stores[name].address().startswith("s3://")]
        if local:
            raise FilesError(f"Listing files for s5cmd: it reads S3, and not the store {local[0]!r}.")
        lines = [
            f"cp --raw {shlex.quote(stores[file.store].address(file.path))} {shlex.quote(f'{target}/{file.name}')}"
            for file in there
        ]
    else:
        if len(names) > 1:
            raise FilesError(
                f"Listing files for {program}: a list is of one store, and these are in {', '.join(names)};"
                " choose one (--store NAME)."
            )
        # rsync reads a line that starts with # or ; as a comment
        lines = [f"./{file.path}" if program == "rsync" else file.path for file in there]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def _write_configuration(path: Path, files: Sequence[File], stores: Stores) -> None:
    about = configuration(files, stores)
    if path.exists():  # another run copied other stores
        about = {**json.loads(path.read_text(encoding="utf-8")), **about}
    atomic.write(path, json.dumps(about, indent=1) + "\n")


def configuration(files: Sequence[File], stores: Stores) -> dict[str, Any]:
    """``dj.config["stores"]`` for a copy, with locations relative to its folder."""
    about: dict[str, Any] = {}
    for name in sorted({file.store for file in files}):
        try:
            layout = stores[name].layout
        except FilesError:
            layout = {}
        about[name] = {"protocol": "file", "location": name, **layout}
        if any(file.kind == "filepath" and file.store == name for file in files):
            about[name]["stage"] = name  # DataJoint 0.14 copies a file here when it fetches its path
        if stores.is_default(name):
            about["default"] = name
    return about
