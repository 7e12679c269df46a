"""Private: what private servers of all kinds have in common: their folders, their port and the life of their process.

In: a server program, and what makes its data directory, starts it and asks it. Out: a cached data directory, a running
process. It knows no kind of server.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .. import guarded
from ..errors import ServerError

START_SECONDS = 60.0
PORT_ATTEMPTS = 5
# The longest path of a socket: 103 bytes on macOS, 107 on Linux.
SOCKET_BYTES = 103 if sys.platform == "darwin" else 107

# What servers say of a port that is taken.
_TAKEN = ("Address already in use", "Do you already have another")

T = TypeVar("T")


class Program(Protocol):
    """A server program that can be started."""

    @property
    def path(self) -> Path: ...

    @property
    def flavor(self) -> str: ...

    @property
    def version(self) -> str: ...


def cache_folder() -> Path:
    """The folder of files that can be made again: ``$XDG_CACHE_HOME/dj-sqlspy``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dj-sqlspy"


@contextlib.contextmanager
def in_folder(start: Callable[[Path], AbstractContextManager[T]]) -> Iterator[T]:
    """Start a server in a temporary folder, and stop it and delete the folder at the end.

    Raises
    ------
    ServerError
        If the folder cannot be made.
    """
    owner = os.getpid()
    with contextlib.ExitStack() as stack:
        try:
            base = stack.enter_context(guarded.Folder())
        except OSError as error:
            raise ServerError(
                f"Starting a private server: {error}. Set TMPDIR to a folder that you can write to."
            ) from error
        server = stack.enter_context(start(base))
        try:
            yield server
        finally:
            if os.getpid() != owner:  # a forked child must not stop its parent's server
                stack.pop_all()


def made_once(program: Program, made_with: Sequence[str], make: Callable[[Path], None]) -> Path:
    """A data directory of a program, made once and cached.

    Parameters
    ----------
    program : Program
    made_with : sequence of str
        The options that it is made with.
    make : callable
        Makes ``data`` in a folder.

    Raises
    ------
    ServerError
        If it cannot be written.
    """
    identity = f"{program.path.resolve()} {program.version} {tuple(made_with)} {os.getuid()}"
    name = f"{program.flavor}-{program.version}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    place = cache_folder() / "templates" / name
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with guarded.Folder(place.parent) as work:
        make(work)
        with contextlib.suppress(OSError):  # another process was first; its template is the same
            (work / "data").rename(place)
    if not place.is_dir():
        raise ServerError(f"Making a data directory for {program.path}: {place} could not be written.")
    return place


def require_short(program: Program, path: Path, most: int = SOCKET_BYTES) -> None:
    """Raise `ServerError` if the path of a socket is longer than the system takes."""
    if len(os.fsencode(path)) > most:
        raise ServerError(
            f"Starting {program.path}: the path of its socket ({path}) would be longer than {most} bytes, which the"
            " system does not take. Set TMPDIR to a folder with a shorter path."
        )


@contextlib.contextmanager
def started(
    program: Program,
    log: Path,
    command: Callable[[int, str], Sequence[str]],
    ask: Callable[[int, str], T],
    errors: tuple[type[Exception], ...],
    **options: Any,
) -> Iterator[tuple[int, str, T]]:
    """Start on a free port. Another program can take the port meanwhile, so try several times.

    Parameters
    ----------
    program : Program
    log : Path
        The file for what it says.
    command : callable
        For a port and a password, the words that start it.
    ask : callable
        For a port and a password, what the server answers once it runs.
    errors : tuple of exceptions
        What `ask` raises before.
    **options
        Of `guarded.started`.

    Yields
    ------
    tuple of (port, password, answer)
    """
    for _ in range(PORT_ATTEMPTS):
        port, password = free_port(), secrets.token_hex(16)
        words = command(port, password)
        with (
            log.open("wb") as out,
            guarded.started(words, stdout=out, stderr=out, **options) as process,
        ):
            for answer in _answers(program, process, log, functools.partial(ask, port, password), errors):
                yield port, password, answer
                return
    raise ServerError(f"Starting {program.path}: its port was taken {PORT_ATTEMPTS} times.\n{end_of(log)}")


def _answers(
    program: Program,
    process: subprocess.Popen[bytes],
    log: Path,
    ask: Callable[[], T],
    errors: tuple[type[Exception], ...],
) -> list[T]:
    """Wait for the server. Returns what it answers; nothing if its port was taken."""
    deadline = time.monotonic() + START_SECONDS
    reason: Exception | None = None
    while time.monotonic() < deadline:
        if process.poll() is not None:
            if any(words in log.read_text(errors="replace") for words in _TAKEN):
                return []
            raise ServerError(
                f"Starting {program.path}: it ended with code {process.returncode}.\n{end_of(log)}"
            )
        try:
            return [ask()]
        except errors as error:
            reason = error
            time.sleep(0.02)
    raise ServerError(
        f"Starting {program.path}: it did not answer in {START_SECONDS:.0f} s ({reason}).\n{end_of(log)}"
    )


def free_port() -> int:
    """A port of this machine that no program has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_of(log: Path, lines: int = 60) -> str:
    """The end of what a server said."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.strip().splitlines()[-lines:]) or "(its log is empty)"
