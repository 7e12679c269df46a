"""Upkeep: merges journals from another machine, and deletes or recovers older runs.

In: folders of journals. Out: the same records in another place or order. It changes no record.

Which runs stay
---------------
When a run of an analysis ends, `prune` deletes older ones. These stay: the run that counts and the `KEPT` runs before
it, which `recover` can make count again; the newest run that ended without an error and is complete; runs that a
process may still write; and runs of this process' sessions. So an analysis has about a dozen runs at most.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import atomic, settings
from ..errors import JournalError
from .places import CHOSEN, INCOMPLETE, SUFFIX, analysis_folder, folders, make_folder, run_folders, run_order
from .reading import is_alive, is_of_here
from .runs import Analysis, newest_run, read_run

KEPT = 10
PRUNED_AT_ONCE = 100  # so that a session ends quickly even after very many runs have piled up
FORGOTTEN = 30 * 86_400  # seconds without a record after which a process on another machine counts as gone
_PRUNED = ".pruned-"  # prefix of a run that is being deleted
MERGED = "merged"  # the file in a run's folder with the names of its files from elsewhere


def prune(folder: Path, held: Collection[Path] = (), newest_is_good: bool = False) -> int:
    """Delete runs of an analysis that are not needed any more (see above). Returns how many.

    Parameters
    ----------
    folder : Path
        Folder of the analysis.
    held : collection of Path
        Runs that stay in any case.
    newest_is_good : bool
        Whether the newest run is known to have ended without an error and to be complete.

    Raises
    ------
    OSError
        If one cannot be deleted.
    """
    runs = run_folders(folder)
    old = runs[: -KEPT - 1]
    if not old:
        return 0
    good = None if newest_is_good else next(filter(_is_good, reversed(runs)), None)
    count = 0
    for run in old:
        if count == PRUNED_AT_ONCE:
            break
        if run == good or run in held or any(map(_may_grow, filter(_is_journal, run.iterdir()))):
            continue
        run.rename(run.with_name(f"{_PRUNED}{run.name}"))  # in one step, so that nobody finds half of it
        count += 1
    for leaving in folder.glob(f"{_PRUNED}*"):  # also those that a killed process left
        shutil.rmtree(leaving, ignore_errors=True)
    return count


def _is_good(run: Path) -> bool:
    found = Analysis.of(read_run(run))
    return found.state == "ended" and found.complete and found.processes > 0


def _may_grow(file: Path) -> bool:
    """Whether a process may still add to a file. It reads only the first and last lines."""
    with file.open("rb") as journal:
        first = journal.readline()
        journal.seek(max(0, os.fstat(journal.fileno()).st_size - 4096))
        last = journal.read().rstrip(b"\n").rpartition(b"\n")[2]
        idle = time.time() - os.fstat(journal.fileno()).st_mtime
    if last[9:].startswith(b'{"end":'):
        return False
    try:
        header = json.loads(first[9:])
    except ValueError:  # it is damaged
        header = {}
    return is_alive(header) if is_of_here(header) else idle < FORGOTTEN


@dataclass(frozen=True)
class Merged:
    """The outcome of merging one run of another home.

    Attributes
    ----------
    paper, analysis : str
    folder : Path
        Its folder now.
    files : int
        Number of files that were copied; 0 if all existed.
    counts : bool
        Whether it is the run of the analysis that counts.
    """

    paper: str
    analysis: str
    folder: Path
    files: int
    counts: bool


def merge(source: str | os.PathLike[str], home: str | os.PathLike[str] | None = None) -> list[Merged]:
    """Copy the journals of another home, such as one from another machine.

    The run of an analysis that started last, by the machines' clocks, counts. Runs with the same ``append`` name become
    one run. Merging again copies what is new.

    Parameters
    ----------
    source : path
        The other home; it stays as it is.
    home : path, optional
        Default: `settings.home`.

    Raises
    ------
    JournalError
        If there is no journal, a newer dj-sqlspy wrote one, or a file cannot be copied, is not a regular file, or
        differs from the one of the same name here. Runs that were merged before stay.
    """
    place, source = settings.home(home), settings.home(source)
    merged = []
    for run in _all_runs(source):
        target = _target(run, place / run.parent.parent.name / run.parent.name)
        try:
            make_folder(target)
            copied = sum(
                _copy(file, target / file.name) for file in sorted(run.iterdir()) if _is_journal(file)
            )
        except OSError as error:
            raise JournalError(f"Merging {run} into {target}: {error}.") from error
        found = read_run(target)
        merged.append((found, target, copied))
    if not merged:
        raise JournalError(
            f"Merging {source}: there is no journal in it. Name the folder that papers are in."
        )
    return [
        Merged(run.paper, run.analysis, target, copied, newest_run(target.parent) == target)
        for run, target, copied in merged
    ]


def is_own(file: Path, home: Path) -> bool:
    """Whether a capture in this home wrote a file of a journal, so that it was neither merged nor fetched."""
    return home in file.parents and file.stem not in _merged(file.parent)


def _merged(run: Path) -> list[str]:
    """The names of a run's files that came from elsewhere."""
    try:
        return (run / MERGED).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _is_journal(path: Path) -> bool:
    return path.suffix in (SUFFIX, INCOMPLETE)


def _all_runs(home: Path) -> Iterator[Path]:
    for paper in _real_folders(home):
        for analysis in _real_folders(paper):
            for run in run_folders(analysis):
                if any(map(_is_journal, _real(run).iterdir())):
                    yield run


def _real_folders(path: Path) -> Iterator[Path]:
    return map(_real, folders(path))


def _real(path: Path) -> Path:
    """A folder or file of another home. A link to something elsewhere on this machine is refused."""
    mode = path.lstat().st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise JournalError(
            f"Merging {path}: it is a symbolic link or a special file, and a home has only folders and regular files."
            " Nothing of this run was merged."
        )
    return path


def _target(run: Path, analysis: Path) -> Path:
    """The folder for a run of another home: the one of an earlier merge, or else a new one."""
    here = run_folders(analysis)
    _, _, label = run.name.partition("+")
    for known in here:
        if known.name.partition("-")[2] == run.name.partition("-")[2]:  # merged before
            return known
        if label and known.name.partition("+")[2] == label:
            return known
    if not here:
        return analysis / run.name
    last = max(run_order(known.name)[0] for known in here)
    newer = _started(run) > max(map(_started, here))
    return analysis / f"{last + 1 if newer else 0:06d}-{run.name.partition('-')[2]}"


def _started(run: Path) -> float:
    return min((file.header["time"] for file in read_run(run).files if file.header), default=0.0)


def _copy(file: Path, target: Path) -> int:
    """Copy a regular file that only grows. Returns 1 if there was something to copy."""
    new = _real(file).read_bytes()
    old = target.read_bytes() if target.exists() else None
    if old is not None and old.startswith(new):
        return 0
    if old is not None and not new.startswith(old):
        raise JournalError(
            f"Merging {file}: {target} has the same name and other contents. One of them is damaged: move the "
            "wrong one away, and merge again."
        )
    atomic.write(
        target.parent / MERGED, "".join(f"{name}\n" for name in [*_merged(target.parent), target.stem])
    )
    atomic.write(target, new)
    return 1


def runs_of(paper: str, analysis: str, home: str | os.PathLike[str] | None = None) -> list[Analysis]:
    """All runs of an analysis on disk, oldest first. `newest_run` tells which of them counts.

    Raises
    ------
    JournalError
        If there is none.
    """
    folder = analysis_folder(settings.home(home), paper, analysis)
    found = [
        Analysis.of(read_run(run)) for run in run_folders(folder) if any(map(_is_journal, run.iterdir()))
    ]
    if not found:
        raise JournalError(
            f"The analysis {analysis!r} of {paper!r} was never captured in {settings.home(home)}."
        )
    return found


def recover(paper: str, analysis: str, run: int, home: str | os.PathLike[str] | None = None) -> Analysis:
    """Make a run of an analysis count again that was replaced by a newer one or failed.

    Parameters
    ----------
    paper, analysis, home
    run : int
        Its number: the first digits of the name of its folder.

    Raises
    ------
    JournalError
        If there is no such run, a run of the analysis is open, or its folder cannot be renamed.
    """
    known = runs_of(paper, analysis, home)
    numbers = {run_order(each.folder.name)[0]: each for each in known}
    if run not in numbers:
        there = ", ".join(map(str, numbers))
        raise JournalError(
            f"Recovering run {run} of {paper!r}, {analysis!r}: there is none; there are {there}."
        )
    if any(each.state == "open" for each in known):
        raise JournalError(
            f"Recovering run {run} of {paper!r}, {analysis!r}: it is running now. Let it end first."
        )
    moved = numbers[run].folder
    name = f"{max(numbers) + 1:06d}-{moved.name.partition('-')[2]}"
    try:
        if numbers[run].state == "failed":
            (moved / CHOSEN).touch(mode=0o600)
        if run != max(numbers):
            moved = moved.rename(moved.with_name(name))
    except OSError as error:
        raise JournalError(f"Recovering {moved}: {error}.") from error
    return Analysis.of(read_run(moved))
