"""Guarded: programs, folders and secrets that end with this process, even if it is killed.

In: a command or a text. Out: a running program, a folder, or a path from which the text can be read. A shell waits for
a line on a pipe that only this process holds. End of file without that line means that this process is gone, and the
shell cleans up. So the user's process needs no signal handler.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# The command replaces the first shell. The second shell waits beside it, in the same session. After TERM the command
# has a minute to clean up. QUIT is sent again: what a shell starts in the background ignores it, and so does a server
# that has just begun.
_LIFELINE = """
ending=$1
shift
exec 3<&0
(
    read -r _ <&3 && exit
    trap '' TERM
    kill -"$ending" 0
    seconds=0
    while kill -0 "$$" && [ "$seconds" -lt 60 ]; do
        sleep 1
        seconds=$((seconds + 1))
        [ "$ending" != QUIT ] || kill -QUIT 0
    done
    kill -KILL 0
) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
"""

# The guardian makes the folder itself, so there is no moment without it. A server that was killed at the same time may
# still write into its folder.
_GUARDIAN = """
trap '' PIPE
mkdir -m 700 -- "$1" || exit
echo made
exec >/dev/null 2>&1
read -r _ && exit
tries=0
while [ -e "$1" ] && [ "$tries" -lt 50 ]; do rm -rf -- "$1"; sleep 0.2; tries=$((tries + 1)); done
"""


@contextlib.contextmanager
def started(
    command: Sequence[Any], *, ending: str = "TERM", **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a program, and end it with the block or with this process, whichever comes first.

    Parameters
    ----------
    command : sequence
    ending : "TERM", "QUIT" or "KILL"
        The signal for it and its children, unless it has ended by itself. After TERM and QUIT it has a minute.
    **options
        Of `subprocess.Popen`. The program runs in a new session with an empty standard input.
    """
    reading, writing = os.pipe()
    words = ["/bin/sh", "-c", _LIFELINE, "dj-sqlspy-lifeline", ending, *command]
    try:
        process = subprocess.Popen(words, stdin=reading, start_new_session=True, **options)
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    owner = os.getpid()
    try:
        yield process
    finally:
        if os.getpid() == owner:  # a forked child that leaves the block must not end its parent's program
            if process.poll() is not None:
                with contextlib.suppress(BrokenPipeError):  # nobody waits any more
                    os.write(writing, b"ended\n")
            os.close(writing)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
            process.wait()


class Folder:
    """A temporary folder of this user alone, deleted at the end of a block, with this object, or with this process.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, place: Path | None = None) -> None:
        self.path = Path(place or tempfile.gettempdir()).absolute() / f"dj-sqlspy-{secrets.token_urlsafe(6)}"
        guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARDIAN, "dj-sqlspy-guardian", str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )
        assert guard.stdout is not None
        with guard.stdout:
            said = guard.stdout.read()
        if said != b"made\n":
            guard.communicate()
            raise OSError(f"Making the folder {self.path}: {said.decode(errors='replace').strip()}")
        self._finalizer = weakref.finalize(self, _delete, self.path, guard, os.getpid())

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *error: object) -> None:
        self.delete()

    def delete(self) -> None:
        """Delete it now."""
        self._finalizer()


def _delete(path: Path, guard: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() == owner:  # not a forked child
        shutil.rmtree(path, ignore_errors=True)
        guard.communicate(b"deleted\n")


@contextlib.contextmanager
def secret(text: str) -> Iterator[Path]:
    """A path at which programs of this user can read a text, any number of times.

    On Linux it is memory of this process, never on a disk; elsewhere a file in a `Folder`.

    Parameters
    ----------
    text : str
        Bytes that Python decoded with ``surrogateescape`` are written unchanged.
    """
    data = text.encode("utf-8", "surrogateescape")
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("dj-sqlspy"), "wb", buffering=0) as memory:
            os.fchmod(memory.fileno(), 0o600)  # clients refuse an option file that others can write
            memory.write(data)
            yield Path(f"/proc/{os.getpid()}/fd/{memory.fileno()}")
    else:
        with Folder() as folder:
            path = folder / "secret"
            path.touch(0o600)
            path.write_bytes(data)
            yield path
