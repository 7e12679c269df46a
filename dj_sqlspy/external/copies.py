"""Copies: copies the files of a slice into a folder that DataJoint can use as its stores.

In: a list of `File` and their `Stores`. Out: a folder with

=================  ==============================================================================
``STORE/PATH``     each file, at the path that it has in its store
``SHA256SUMS``     a checksum of each file, as ``sha256sum --check`` reads it; second places with ``*``
``stores.json``    for ``dj.config["stores"]``, with locations relative to the folder
=================  ==============================================================================

A file gets its name only after it was read completely and its checksum agreed with the database. Files that were copied
before are not copied again, and a partial copy is continued. On the same disk a copy shares its blocks with the
original if the file system can (reflink); otherwise it is a hard link.

Files are copied as they are. Where a link in one leads to another place than that of its target, as an absolute path
does, the target is put there too (see `placing`).
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import json
import os
import re
import secrets
import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .. import atomic
from ..display import first, visible
from ..errors import FilesError
from .file import File
from .placing import second_places
from .stores import LocalStore, Store, Stores
from .sums import PLACE, SECOND, SUMS, read_sums, sum_line, write_sums

CONFIGURATION = "stores.json"
PARTIAL = ".partial-"
WORKERS = 4
_JUST_COPIED = "somebody else has just copied it into this folder; try again"
_FICLONE = 0x40049409  # ioctl of Linux: share the blocks of another file until one of them is written
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
    stopped, ended = threading.Event(), threading.Condition()
    running = 0

    def copy_one(file: File, done: str | None) -> tuple[str, str]:
        nonlocal running
        with ended:
            if stopped.is_set():
                raise FilesError("it was interrupted")
            running += 1
        try:
            return _copy_one(file, folder, stores, link, done, told)
        finally:
            with ended:
                running -= 1
                ended.notify_all()

    def told(count: int) -> None:
        if stopped.is_set():
            raise FilesError("it was interrupted")
        if progress is not None:
            progress(count)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = read_sums(folder / SUMS)
        again = {
            name: sha256 for name, sha256 in read_sums(folder / SUMS, SECOND).items() if name not in done
        }
        sums = (folder / SUMS).open("a", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise FilesError(f"Copying files into {folder}: {error}") from error
    counts = {"copied": 0, "linked": 0, "kept": 0}
    failed: list[tuple[File, str]] = []
    fresh: dict[str, dict[str, str]] = {PLACE: {}, SECOND: {}}  # checksums of what this run put there
    size = 0

    def noted(name: str, sha256: str, mark: str = PLACE) -> None:
        fresh[mark][name] = sha256
        sums.write(sum_line(name, sha256, mark))
        sums.flush()

    with sums, ThreadPoolExecutor(WORKERS) as pool:
        queue: dict[Future[tuple[str, str]], File] = {}

        def finish(futures: Iterable[Future[tuple[str, str]]]) -> None:
            nonlocal size
            for future in futures:
                file = queue.pop(future)
                try:
                    how, sha256 = future.result()
                except FilesError as error:
                    failed.append((file, str(error)))
                    continue
                counts[how] += 1
                size += _place(folder, file).stat().st_size
                if how != "kept":
                    done[file.name] = sha256
                    noted(file.name, sha256)
                    if again.get(file.name, sha256) != sha256:
                        failed.append(
                            (file, "it replaced another file, to which links of an earlier copy lead")
                        )

        try:
            for file in files:
                if file.state not in ("ok", "changed"):
                    failed.append((file, file.note))
                    if not file.is_there:
                        continue
                queue[pool.submit(copy_one, file, done.get(file.name))] = file
                if len(queue) >= 4 * WORKERS:  # so that the memory does not fill with waiting files
                    finish(wait(queue, return_when=FIRST_COMPLETED).done)
            finish(wait(queue).done)
        except BaseException:
            stopped.set()  # files that have begun end with what is being read, and no other one begins
            pool.shutdown(wait=False, cancel_futures=True)
            with ended:  # a pool does not wait for a thread during whose start Ctrl-C came
                ended.wait_for(lambda: running == 0)
            raise
        second, lost = second_places(files, (SUMS, CONFIGURATION))
        failed += lost
        also = []
        for name, file in second.items():
            try:
                if file.name in done:
                    if _place_again(folder, file, name, done, again, link):
                        noted(name, done[file.name], SECOND)
                    also.append(name)
            except (FilesError, OSError) as error:
                failed.append((file, f"putting it at {name} too, where a link leads: {error}"))
    # another program may have added to it
    first_places, seconds = (read_sums(folder / SUMS, mark) | fresh[mark] for mark in (PLACE, SECOND))
    for name in seconds.keys() & first_places:
        del (first_places if name in fresh[SECOND] else seconds)[name]
    write_sums(folder / SUMS, folder, first_places, seconds)
    _write_configuration(folder / CONFIGURATION, files, stores)
    return Copied(folder, **counts, bytes=size, failed=tuple(failed), also=tuple(also))


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


# ---------------------------------------------------------------- one file


def _place(folder: Path, file: File) -> Path:
    return folder / file.store / file.path


def _copy_one(
    file: File, folder: Path, stores: Stores, link: bool, done: str | None, told: Callable[[int], None]
) -> tuple[str, str]:
    """Copy one file. Returns how it was done, and its SHA-256.

    Raises
    ------
    FilesError
    """
    place = _place(folder, file)
    try:
        if done is not None and place.is_file() and place.stat().st_size == file.size:
            told(file.size or 0)
            return "kept", done
        place.parent.mkdir(parents=True, exist_ok=True)
        return _fetch(file, stores[file.store], file.path, place, link, told)
    except FilesError:
        raise
    except Exception as error:  # from the disk, minio, fsspec or their libraries
        raise FilesError(f"copying it: {error}") from error


def _fetch(
    file: File, store: Store, path: str, place: Path, link: bool, told: Callable[[int], None]
) -> tuple[str, str]:
    stat = store.stat(path)
    if stat is None:
        raise FilesError("it is not in the store")
    if file.size is not None and stat.size != file.size:
        raise FilesError(f"it has {stat.size:,} bytes, and the database says {file.size:,}")
    mark = hashlib.sha256(f"{stat.size} {stat.version}".encode()).hexdigest()[:8]
    partial = place.with_name(f"{PARTIAL}{mark}-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:12]}")
    digests = _Digests(file.hashed_before)
    original = store.local(path)
    if link and original is not None and not partial.exists():
        with _shared(original, place) as shared:
            if shared is not None:
                for chunk in store.chunks(path):
                    digests.add(chunk)
                    told(len(chunk))
                wrong = _compare(file, stat.size, digests, shared.stat().st_size)
                if wrong:
                    raise FilesError(wrong)
                os.replace(shared, place)
                return "linked", digests.sha256.hexdigest()
    with partial.open("ab+") as out:
        _lock(out, partial)
        out.seek(0)
        while chunk := out.read(1 << 20):
            digests.add(chunk)
            told(len(chunk))
        for chunk in store.chunks(path, digests.bytes):
            out.write(chunk)
            digests.add(chunk)
            told(len(chunk))
        out.flush()
        os.fsync(out.fileno())
        written = os.fstat(out.fileno()).st_size
    wrong = _compare(file, stat.size, digests, written)
    if wrong:
        partial.unlink(missing_ok=True)
        raise FilesError(wrong)
    try:
        os.replace(partial, place)
    except FileNotFoundError:  # between the end of the lock and now
        raise FilesError(_JUST_COPIED) from None
    return "copied", digests.sha256.hexdigest()


def _lock(out: IO[bytes], partial: Path) -> None:
    """Keep other copies from writing to a partial copy, where the file system can."""
    with contextlib.suppress(ImportError):  # Windows lacks it
        import fcntl

        try:
            fcntl.flock(out.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FilesError("somebody else is copying it into this folder; try again later") from None
        except OSError:
            return  # some network file systems have no locks; the size is compared at the end
        if not partial.exists() or not os.path.samestat(os.fstat(out.fileno()), partial.stat()):
            raise FilesError(_JUST_COPIED)


def _compare(file: File, size: int, digests: _Digests, written: int) -> str:
    if digests.bytes != size:
        return f"it changed while it was copied: {digests.bytes:,} bytes were read of {size:,}"
    if written != size:
        return f"somebody else wrote to its copy, which has {written:,} bytes instead of {size:,}"
    if file.checksum is not None and digests.md5 != file.checksum:
        return f"its checksum is {digests.md5}, and the database says {file.checksum}"
    return ""


def _place_again(
    folder: Path, file: File, name: str, done: Mapping[str, str], again: Mapping[str, str], link: bool
) -> bool:
    """Put a file of the copy at a second place, unless another file is there; False if there is nothing to note.

    ``done`` has the checksums of files at their own places, also of earlier copies; ``again`` those of second places.
    """
    original, place = _place(folder, file), folder / name
    if (
        again.get(name) == done[file.name]
        and place.is_file()
        and place.stat().st_size == original.stat().st_size
    ):
        return False
    if os.path.lexists(place) and name not in again:
        if place.is_file() and filecmp.cmp(original, place, shallow=False):
            return name not in done  # a run that was killed could not note it
        raise FilesError("there is another file")
    place.parent.mkdir(parents=True, exist_ok=True)
    if link:
        with _shared(original, place) as shared:
            if shared is not None:
                os.replace(shared, place)
                return True
    _, sha256 = _fetch(
        file, LocalStore("copy", {"location": folder}), file.name, place, False, lambda _: None
    )
    if sha256 != done[file.name]:
        raise FilesError(f"{original} has changed since it was copied")
    return True


class _Digests:
    def __init__(self, before: bytes) -> None:
        self._md5 = hashlib.md5(before, usedforsecurity=False)
        self.sha256 = hashlib.sha256()
        self.bytes = 0

    def add(self, chunk: bytes) -> None:
        self._md5.update(chunk)
        self.sha256.update(chunk)
        self.bytes += len(chunk)

    @property
    def md5(self) -> str:
        return f"md5:{self._md5.hexdigest()}"


@contextlib.contextmanager
def _shared(original: Path, place: Path) -> Iterator[Path | None]:
    """A reflink or a hard link of a file, to be moved to ``place``; None if disks or file systems do not allow it.

    Its name is its own, so that no other program takes it for a partial copy and writes to the original.
    """
    path = place.with_name(f"{PARTIAL}{secrets.token_hex(8)}")
    try:
        yield path if _share(original, path) else None
    finally:
        path.unlink(missing_ok=True)  # also after the move: renaming one hard link to another does nothing


def _share(original: Path, place: Path) -> bool:
    original = original.resolve()  # a hard link to a symbolic link would be a symbolic link
    with contextlib.suppress(ImportError):  # Windows has neither
        import fcntl

        try:
            with original.open("rb") as source, place.open("xb") as out:
                fcntl.ioctl(out.fileno(), _FICLONE, source.fileno())
            return True
        except OSError:
            place.unlink(missing_ok=True)
    try:
        os.link(original, place)
    except OSError:
        return False
    return True


# ---------------------------------------------------------------- what is beside the files


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
