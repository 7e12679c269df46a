"""Single: copies one file of a store into a folder, or puts a file of the folder at a second place.

In: a `File` and its store. Out: the file, under its name only after it was read completely and its checksum agreed with
the database. A partial copy is continued. On the same disk a copy shares its blocks with the original if the file
system can (reflink); otherwise it is a hard link.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ..errors import FilesError
from .file import File
from .stores import LocalStore, Store, Stores
from .sums import Ledger

PARTIAL = ".partial-"
_JUST_COPIED = "somebody else has just copied it into this folder; try again"
_FICLONE = 0x40049409  # ioctl of Linux: share the blocks of another file until one of them is written


def place_of(folder: Path, file: File) -> Path:
    return folder / file.store / file.path


def copy_one(
    file: File, folder: Path, stores: Stores, link: bool, done: str | None, told: Callable[[int], None]
) -> tuple[str, str]:
    """Copy one file. Returns how it was done, and its SHA-256.

    Raises
    ------
    FilesError
    """
    place = place_of(folder, file)
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


def copy_again(folder: Path, file: File, name: str, ledger: Ledger, link: bool) -> bool:
    """Put a file of the copy at a second place, unless another file is there; False if there is nothing to note."""
    original, place = place_of(folder, file), folder / name
    if (
        ledger.seconds.get(name) == ledger.places[file.name]
        and place.is_file()
        and place.stat().st_size == original.stat().st_size
    ):
        return False
    if os.path.lexists(place) and name not in ledger.seconds:
        if place.is_file() and filecmp.cmp(original, place, shallow=False):
            return name not in ledger.places  # a run that was killed could not note it
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
    if sha256 != ledger.places[file.name]:
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
