"""Apart: asks a program in a process of its own, one request after the other.

In: a script, which is run with this Python and its packages. Out: its answers as JSON. What it does to itself, as a
library in C that crashes on a damaged file, it does not do to the user's process, and it ends with that.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from .. import guarded

# The user's sys.path, without what runs at the start of other processes: a folder of the moment, .pth files.
_PROGRAM = """
import json, runpy, sys
sys.path[:] = json.loads(sys.argv[1])
runpy.run_path(sys.argv[2], run_name="__main__")
"""


class Ended(Exception):
    """The program ended without an answer."""


class Program:
    """A running script, whose standard output is a socket to here.

    Parameters
    ----------
    script : str
    """

    def __init__(self, script: str) -> None:
        ours, theirs = socket.socketpair()
        path = [os.path.abspath(place) for place in sys.path if place]
        with contextlib.ExitStack() as stack, theirs:
            self.connection = stack.enter_context(Connection(ours.detach()))
            self._process = stack.enter_context(
                guarded.started(
                    [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(path), script],
                    ending="KILL",
                    stdout=theirs,  # which nothing but the process keeps open, so its end is seen
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                )
            )
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request, and wait for the answer.

        Raises
        ------
        Ended
        """
        with self.ending():
            self.connection.send_bytes(json.dumps(request).encode())
            return dict(json.loads(self.connection.recv_bytes()))

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Its end as an error."""
        try:
            yield
        except (EOFError, ConnectionError) as error:
            raise Ended("it ended without an answer") from error
