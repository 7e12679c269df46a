"""Atomic: files and folders that appear whole or not at all.

In: a path and its new contents. Out: nothing. A reader of the path sees all of the old contents or all of the new ones,
even if the writer is killed. Nothing is synchronised with the disk: a power cut can still lose a file.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

if sys.platform != "win32":
    import fcntl

# Prefix of files and folders that are being written. A killed process can leave one behind.
PARTIAL = ".dj-sqlspy-partial-"

# Prefix of a folder that is being replaced.
_OLD = f"{PARTIAL}old-"

_CURRENT_FOLDER, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def write(path: Path, contents: str | bytes, mode: int = 0o600) -> None:
    """Write a file. A symbolic link at the path is replaced, not followed.

    Parameters
    ----------
    path : Path
    contents : str or bytes
        Text is written as UTF-8. Bytes that Python decoded with ``surrogateescape`` are written unchanged.
    mode : int
        Permissions of the file.

    Raises
    ------
    OSError
        If it cannot be written. What was there before is there still.
    """
    data = contents if isinstance(contents, bytes) else contents.encode("utf-8", "surrogateescape")
    descriptor, fresh = tempfile.mkstemp(prefix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            os.fchmod(descriptor, mode)
            out.write(data)
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise


def write_beside(path: Path, contents: str | bytes, neighbour: str) -> None:
    """Write a file with the permissions of another file of its folder. Who may read a script (``.sh``) may run it."""
    mode = (path.parent / neighbour).stat().st_mode & 0o666
    write(path, contents, mode | (mode & 0o444) >> 2 if path.suffix == ".sh" else mode)


def write_folder(path: Path, files: Mapping[str, str | bytes], mode: int = 0o700) -> None:
    """Write a folder, and replace the one at the path if there is one. Parent folders are created.

    Linux exchanges the two folders in one step. Other systems and some network file systems need two renames. Between
    them neither folder is at the path; if the process is killed there, `recover` puts the old one back. What killed
    processes left in the parent folder is deleted.

    Parameters
    ----------
    path : Path
    files : mapping of str to str or bytes
        Contents by name; a name may start with a subfolder. Scripts (``.sh``) are made executable.
    mode : int
        Permissions of the folder and all in it.

    Raises
    ------
    OSError
        If it cannot be written. What was there before is there still.
    """
    with making_folder(path, mode) as fresh:
        for name, contents in files.items():
            if not (fresh / name).parent.exists():
                (fresh / name).parent.mkdir()
                (fresh / name).parent.chmod(mode)
            write(fresh / name, contents, mode if name.endswith(".sh") else mode & 0o666)


@contextlib.contextmanager
def making_folder(path: Path, mode: int = 0o700) -> Iterator[Path]:
    """A new folder to write into, which is at the path after the block, as of `write_folder`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    recover(path)
    _delete_abandoned(path.parent)
    with _fresh_folder(path.parent) as fresh:
        yield fresh
        fresh.chmod(mode)
        if not path.exists():
            fresh.rename(path)
        elif not _exchange(fresh, path):
            _replace(fresh, path)


def recover(path: Path) -> None:
    """Put back a folder that `write_folder` had moved away when it was killed."""
    if not path.exists():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            _place_of_old(path).rename(path)


def _place_of_old(path: Path) -> Path:
    return path.with_name(f"{_OLD}{path.name}")


@contextlib.contextmanager
def _fresh_folder(place: Path) -> Iterator[Path]:
    """A new folder, locked while this process writes it. Whatever is at its path at the end is deleted."""
    while True:
        fresh = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=place))  # mode 0700
        lock = os.open(fresh, os.O_RDONLY)
        _try_lock(lock)
        if fresh.exists():  # else another process deleted it as abandoned before the lock
            break
        os.close(lock)
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # after an exchange, this is the old one
        os.close(lock)


def _delete_abandoned(place: Path) -> None:
    for folder in place.glob(f"{PARTIAL}*"):
        if folder.name.startswith(_OLD) or folder.is_symlink() or not folder.is_dir():
            continue
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:  # another process is deleting it, or it is another user's
            continue
        try:
            if _try_lock(lock):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _try_lock(descriptor: int) -> bool:
    """Lock an open folder. False if another process holds the lock, or the file system has no such locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False if the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)  # glibc 2.28
    if rename is None:
        return False
    places = (_CURRENT_FOLDER, os.fsencode(one), _CURRENT_FOLDER, os.fsencode(other))
    return bool(rename(*places, _EXCHANGE) == 0)


def _replace(fresh: Path, path: Path) -> None:
    old = _place_of_old(path)
    shutil.rmtree(old, ignore_errors=True)  # left by a process that was killed here
    path.rename(old)
    try:
        fresh.rename(path)
    except OSError:
        recover(path)
        raise
    shutil.rmtree(old)
