"""Atomic: files and folders that appear whole or not at all.

In: a path, and what is to stand there. Out: nothing. A reader of the path sees all of the old contents or all of the
new ones, also when the writer is killed. Nothing is synchronised with the disk: a power cut can still lose a file.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

# How names begin of what is being written. A killed process can leave such a file or folder behind.
PARTIAL = ".dj-sqlspy-partial-"

_CURRENT_FOLDER, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def write(path: Path, contents: str | bytes, mode: int = 0o600) -> None:
    """Write a file. A symbolic link in its place is replaced, and not followed.

    Parameters
    ----------
    path : Path
    contents : str or bytes
        Text is written as UTF-8. Bytes that Python decoded with ``surrogateescape`` go out as they came.
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


def write_folder(path: Path, files: Mapping[str, str | bytes]) -> None:
    """Write a folder, in the place of one that may be there. Folders above it are made.

    Linux exchanges the two folders in one step. Where that does not work (other systems, some network file systems)
    there is a moment between two renames when neither is in its place; the old one is beside it then.

    Parameters
    ----------
    path : Path
    files : mapping of str to str or bytes
        Contents by name; a name can have a folder before it. Scripts (``.sh``) can be executed.

    Raises
    ------
    OSError
        If it cannot be written. What was there before is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=path.parent))  # mode 0700
    try:
        for name, contents in files.items():
            (fresh / name).parent.mkdir(mode=0o700, exist_ok=True)
            write(fresh / name, contents, 0o700 if name.endswith(".sh") else 0o600)
        if not path.exists():
            fresh.rename(path)
        elif not _exchange(fresh, path):
            _replace(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # after an exchange, this is the old one


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the system cannot do that."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)  # glibc 2.28
    if rename is None:
        return False
    places = (_CURRENT_FOLDER, os.fsencode(one), _CURRENT_FOLDER, os.fsencode(other))
    return bool(rename(*places, _EXCHANGE) == 0)


def _replace(fresh: Path, path: Path) -> None:
    old = fresh.with_name(f"{fresh.name}-old")
    path.rename(old)
    try:
        fresh.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)
