"""Git: the commit of a program's repository, and whether files in it have changed since.

In: a folder. Out: a `GitState`, within a limited time. It runs git, and nothing else: none of the programs that a
repository can name in its configuration (file system monitors, filters, hooks), no network, and no prompt. It records
no path, branch, author or address of a remote.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

SECONDS = 1.0  # for all questions about one folder
COMMIT = re.compile("[0-9a-f]{40,64}")

# Variables of git that are the user's own. Others, as in a hook, are about another repository.
_KEPT = ("GIT_CEILING_DIRECTORIES", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM")
_QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    # a partial clone would fetch what it lacks; the second is for versions that do not know the first
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
}
# What a repository can name to be run. These go before its configuration.
_SAFE = (
    "core.fsmonitor=",
    f"core.hooksPath={os.devnull}",
    "safe.bareRepository=explicit",
)


class GitState(TypedDict):
    """The checked-out commit, and whether a tracked file has changed since (None: it could not be told)."""

    commit: str
    dirty: bool | None


def git_state(folder: Path, seconds: float = SECONDS) -> GitState | None:
    """The state of the repository of a folder.

    Changes inside of submodules do not count. If only files that go through a filter of git seem to have changed, it is
    not told whether they have, since the filter is a program.

    Parameters
    ----------
    folder : Path
    seconds : float
        The time that git may take. If it is over, the answers until then count.

    Returns
    -------
    GitState or None
        None without a repository, a commit, or git, and where git refuses a repository of another user.
    """
    git = shutil.which("git")
    if git is None or not os.path.isabs(git) or not _is_in_repository(folder):
        return None
    asking = _Asking(git, folder, time.monotonic() + seconds)
    commit = (asking.said("rev-parse", "--verify", "HEAD") or b"").decode("ascii", "replace").strip()
    if not COMMIT.fullmatch(commit):
        return None
    return {"commit": commit, "dirty": _dirty(asking)}


def _is_in_repository(folder: Path) -> bool:
    """Whether a folder or one above has a ``.git``, so that git is not started for nothing."""
    try:
        place = folder.resolve()
        return any(os.path.lexists(each / ".git") for each in (place, *place.parents))
    except (OSError, RuntimeError):  # the folder is gone, or a loop of links
        return False


class _Asking:
    """Asks git about one folder."""

    def __init__(self, git: str, folder: Path, until: float) -> None:
        self.git, self.folder, self.until = git, folder, until
        own = {name: text for name, text in os.environ.items() if name in _KEPT or name[:4] != "GIT_"}
        self.variables = own | _QUIET

    def said(
        self, *command: str, options: Iterable[str] = (), given: bytes = b"", good: Sequence[int] = (0,)
    ) -> bytes | None:
        """What git prints; None if it fails or there is no time left."""
        words = [word for option in (*_SAFE, *options) for word in ("-c", option)]
        if time.monotonic() >= self.until:
            return None
        try:
            process = subprocess.Popen(
                [self.git, "-C", str(self.folder), *words, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self.variables,
                start_new_session=True,  # without a terminal to ask at, and not interrupted with the analysis
            )
        except (OSError, ValueError):
            return None
        try:
            said, _ = process.communicate(given, timeout=max(self.until - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                process.kill()
                with suppress(
                    subprocess.TimeoutExpired
                ):  # it hangs, as in a network file system that is gone
                    process.communicate(timeout=0.1)
        return said if process.returncode in good else None


def _dirty(asking: _Asking) -> bool | None:
    named = asking.said("config", "-z", "--name-only", "--get-regexp", r"^filter\.", good=(0, 1))
    if named is None:
        return None
    # filter.NAME.clean; a name can have points
    filters = {os.fsdecode(key).partition(".")[2].rpartition(".")[0] for key in named.split(b"\0") if key} - {
        ""
    }
    if any("=" in name for name in filters):  # it could not be switched off
        return None
    off = [f"filter.{name}.{what}" for name in filters for what in ("clean=", "process=", "required=false")]
    # the first line is about the branch, so that silence is no answer
    told = asking.said(
        *("status", "--porcelain", "-z", "--branch", "--no-ahead-behind", "--no-renames"),
        *("--untracked-files=no", "--ignore-submodules=dirty"),
        options=off,
    )
    if not told:
        return None
    changes = [line for line in told.split(b"\0") if line and not line.startswith(b"## ")]
    if not changes or not filters:
        return bool(changes)
    if any(not change.startswith(b" M ") for change in changes):
        return True
    paths = b"".join(change[3:] + b"\0" for change in changes)
    filtered = asking.said("check-attr", "-z", "--stdin", "filter", given=paths)
    if filtered is None:
        return None
    values = filtered.split(b"\0")[2::3]  # of path, attribute, value
    return True if any(os.fsdecode(value) not in filters for value in values) else None
