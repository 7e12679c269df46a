"""Places: the folders of journals, and the names of runs.

In: the names of a paper and an analysis. Out: paths. It reads no journal.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

if sys.platform != "win32":
    import fcntl

from ..errors import SpyError

SUFFIX = ".journal"
INCOMPLETE = ".incomplete"
CHOSEN = "chosen"  # the file that marks a failed run as counting nevertheless


def encode_name(name: str) -> str:
    """The folder name of a paper or an analysis.

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
    if encoded.startswith("."):  # neither hidden nor the parent folder
        encoded = "%2E" + encoded[1:]
    if len(encoded) > 240:
        raise SpyError(
            f"The name {name[:40]!r}… is too long to name a folder ({len(encoded)} bytes of 240). Shorten it."
        )
    return encoded


def analysis_folder(home: Path, paper: str, analysis: str) -> Path:
    """The folder of an analysis' runs."""
    return home / encode_name(paper) / encode_name(analysis)


def folders(path: Path) -> list[Path]:
    """The folders in ``path``, by name; none if it does not exist."""
    try:
        with os.scandir(path) as entries:
            return [path / name for name in sorted(entry.name for entry in entries if entry.is_dir())]
    except (FileNotFoundError, NotADirectoryError):
        return []


def run_order(name: str) -> tuple[int, str]:
    """The sort key of a run, from its folder's name; negative if that is not the name of a run."""
    count = name.split("-")[0]
    return (int(count) if count.isdigit() else -1), name


def run_folders(folder: Path) -> list[Path]:
    """The runs of an analysis, oldest first."""
    found = [entry for entry in folders(folder) if run_order(entry.name)[0] >= 0]
    return sorted(found, key=lambda entry: run_order(entry.name))


def new_run_name(folder: Path) -> str:
    try:
        count = 1 + max([0, *(run_order(entry.name)[0] for entry in folder.iterdir())])
    except FileNotFoundError:
        count = 1
    except OSError:
        count = 999_999  # cannot be listed and probably not written, which `Journal.start` reports; sorts as newest
    now = datetime.now(timezone.utc)
    return (
        f"{count:06d}-{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(2)}"  # microseconds: others may start one too
    )


def run_to_append(home: Path, paper: str, analysis: str, name: str | bool) -> str:
    """The run to which an independent process adds. It is created if it does not exist.

    Parameters
    ----------
    home, paper, analysis
    name : str or True
        Name of the run. True: the newest run, whatever its name.

    Raises
    ------
    OSError
        If the folder cannot be created or read.
    """
    folder = analysis_folder(home, paper, analysis)
    make_folder(folder)
    with _locked(folder / ".lock"):  # tasks of an array start at the same time
        names = [path.name for path in run_folders(folder)]
        if isinstance(name, str):
            names = [each for each in names if each.partition("+")[2] == encode_name(name)]
        if not names:
            names = [new_run_name(folder) + (f"+{encode_name(name)}" if isinstance(name, str) else "")]
            make_folder(folder / names[0])
        return names[-1]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock a file; on file systems without locks, go on without."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":
            with suppress(OSError):
                fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Create ``path`` and its parents for this user only. os.makedirs would set the mode of the last one only."""
    if not path.is_dir():
        make_folder(path.parent)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
