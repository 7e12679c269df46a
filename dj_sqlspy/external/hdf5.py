"""HDF5: asks which other files an HDF5 file leads to.

In: a file in its `Store`. Out: its links, as `Link` without targets: external links, sources of virtual datasets, files
with raw data of datasets, and `ImageSeries.external_file` of NWB. A process of its own reads them (`inside`), since a
damaged file can crash HDF5, or keep it busy for ever. This process sends it the blocks that it asks for, so a store in
S3 works too, no lock keeps a laboratory from writing, and no other file is opened.

What is read is bounded, since anyone can write a small file that unfolds without end. h5py is in the extra ``files``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import posixpath
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from . import inside
from .apart import Ended, Program
from .file import Link
from .stores import Store

SIGNATURE = b"\x89HDF\r\n\x1a\n"
USER_BLOCKS = (0, *(512 << n for n in range(8)))  # where the format can begin

# What is read of one file at most. A recording with many thousands of datasets stays far below.
READ = 512 << 20  # bytes, without data
OBJECTS = 500_000  # names in groups
LINKS = 20_000
LEVELS = 200  # of groups in groups
PATHS = 1 << 20  # bytes of the paths in one external_file
SILENT = 120  # seconds in which the process asks for nothing and answers nothing
ANSWER = 64 << 20  # bytes

HOPS = 16  # links in a row that HDF5 follows (H5Pset_nlinks)

READERS = 2  # processes at most

Unread = inside.Unread


@dataclass(frozen=True)
class Place:
    """A file in its store."""

    store: Store
    path: str
    size: int


def is_hdf5(place: Place) -> bool:
    """Whether a file has the signature of HDF5."""
    size = min(place.size, USER_BLOCKS[-1] + len(SIGNATURE))
    start = place.store.read(place.path, 0, size) if size >= len(SIGNATURE) else b""
    return any(start.startswith(SIGNATURE, offset) for offset in USER_BLOCKS)


class Readers:
    """Processes that read HDF5 files, started when they are needed, and ended with the block."""

    def __init__(self) -> None:
        self._idle: list[_Reader] = []
        self._free = threading.BoundedSemaphore(READERS)

    def __enter__(self) -> Readers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            self._idle.pop().close()

    def links_of(self, place: Place) -> tuple[list[Link], str]:
        """The links in an HDF5 file, and why these are not all of them ("" if they are)."""
        try:
            answer = self._ask(place, {})
        except Unread as error:
            return [], str(error)
        return [_link(one, posixpath.dirname(place.path)) for one in answer["links"]], str(answer["unread"])

    def lost(self, place: Place, paths: Iterable[str]) -> dict[str, str | Link | None]:
        """What keeps HDF5 from finding objects in a file; None if one is there, a link if the way leads elsewhere.

        Raises
        ------
        Unread
        """
        answer = self._ask(place, {"paths": list(paths)})
        if answer["unread"]:
            raise Unread(answer["unread"])
        return {
            path: _link(end, "") if isinstance(end, list) else end for path, end in answer["lost"].items()
        }

    def _ask(self, place: Place, request: dict[str, Any]) -> dict[str, Any]:
        if importlib.util.find_spec("h5py") is None:
            raise Unread('h5py is not installed: pip install "dj-sqlspy[files]"')
        limits = {
            "READ": READ,
            "OBJECTS": OBJECTS,
            "LINKS": LINKS,
            "LEVELS": LEVELS,
            "PATHS": PATHS,
            "HOPS": HOPS,
        }
        with self._free:
            try:
                reader = self._idle.pop()
            except IndexError:
                reader = _Reader()
            try:
                answer = reader.ask(place, {"size": place.size, "limits": limits, **request})
            except BaseException:
                reader.close()
                raise
            self._idle.append(reader)
        return answer


def _link(told: list[str], base: str) -> Link:
    kind, at, text, inside_of = map(str, told)
    return Link(kind, at, text, inside_of, base)


class _Reader:
    """One process that reads HDF5 files, one after the other."""

    def __init__(self) -> None:
        self._program = Program(inside.__file__)
        self._ready = False

    def close(self) -> None:
        self._program.close()

    def ask(self, place: Place, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request, and blocks of the file until there is an answer."""
        if not self._ready:
            said = self._received()
            if said:
                raise Unread(str(said["unread"]))
            self._ready = True
        self._send(json.dumps(request).encode())
        while True:
            said = self._received()
            if "block" not in said:
                return said
            start = said["block"] * inside.BLOCK
            size = min(inside.BLOCK, place.size - start)
            if start < 0 or size <= 0:
                raise Unread("HDF5 looks for more than it has")
            self._send(place.store.read(place.path, start, size))

    def _send(self, data: bytes) -> None:
        with self._crashing():
            self._program.connection.send_bytes(data)

    def _received(self) -> dict[str, Any]:
        with self._crashing():
            if not self._program.connection.poll(SILENT):
                raise Unread(f"HDF5 did not come to an end with it in {SILENT} seconds")
            return dict(json.loads(self._program.connection.recv_bytes(ANSWER)))

    @contextlib.contextmanager
    def _crashing(self) -> Iterator[None]:
        try:
            with self._program.ending():
                yield
        except Ended as error:
            starting = f"{sys.executable} cannot be started to read it"
            raise Unread("HDF5 crashes on it" if self._ready else starting) from error
        except OSError as error:
            raise Unread(f"the process that reads it broke off: {error}") from error
