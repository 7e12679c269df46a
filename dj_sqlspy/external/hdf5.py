"""HDF5: reads which other files an HDF5 file leads to.

In: a `File` in its `Store`. Out: its links, as `Link` without targets: external links, sources of virtual datasets,
files with raw data of datasets, and `ImageSeries.external_file` of NWB. It opens no other file: only h5py's low-level
calls are used, which follow nothing, and no data are read but the paths in ``external_file``.

The file is read through the `Store`, so a store in S3 works too, and no lock keeps a laboratory from writing. What is
read is bounded, since anyone can write a small file that unfolds without end. h5py is in the extra ``files``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import posixpath
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .file import Link
from .stores import Store

SIGNATURE = b"\x89HDF\r\n\x1a\n"
USER_BLOCKS = (0, *(512 << n for n in range(8)))  # where the format can begin
BLOCK = 1 << 16
CACHED = 256  # blocks

# What is read of one file at most. A recording with many thousands of datasets stays far below.
READ = 512 << 20  # bytes, without data
OBJECTS = 500_000  # names in groups
LINKS = 20_000
LEVELS = 200  # of groups in groups
PATHS = 1 << 20  # bytes of the paths in one external_file

HOPS = 16  # links in a row that HDF5 follows (H5Pset_nlinks)


class Unread(Exception):
    """Links cannot be looked for in a file, or not in all of it."""


@dataclass(frozen=True)
class Place:
    """A file in its store."""

    store: Store
    path: str
    size: int

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)


def is_hdf5(place: Place) -> bool:
    """Whether a file has the signature of HDF5."""
    size = min(place.size, USER_BLOCKS[-1] + len(SIGNATURE))
    start = place.store.read(place.path, 0, size) if size >= len(SIGNATURE) else b""
    return any(start.startswith(SIGNATURE, offset) for offset in USER_BLOCKS)


def links_of(place: Place) -> tuple[list[Link], str]:
    """The links in an HDF5 file, and why these are not all of them ("" if they are)."""
    found: list[Link] = []
    try:
        with _opened(place) as root:
            for link in _walk(root, place.folder):
                found.append(link)
                if len(found) >= LINKS:
                    raise Unread(f"it has more than {LINKS:,} links")
    except Unread as error:
        return found, str(error)
    return found, ""


def lost(place: Place, paths: Iterable[str]) -> dict[str, str | Link | None]:
    """What keeps HDF5 from finding objects in a file; None if one is there, a link if the way goes on in another file.

    Raises
    ------
    Unread
    """
    with _opened(place) as root:
        return {path: _lost(root, path) for path in paths}


def _lost(root: Any, path: str) -> str | Link | None:
    import h5py

    for _ in range(HOPS):
        group, at = root, ""
        names = [name for name in path.split("/") if name not in ("", ".")]
        for number, name in enumerate(names):
            raw = _bytes(name)
            if not isinstance(group, h5py.h5g.GroupID) or not group.links.exists(raw):
                return f"there is no {at}/{name} in it"
            kind = group.links.get_info(raw).type
            rest = "/".join(names[number + 1 :])
            if kind == h5py.h5l.TYPE_SOFT:
                path = posixpath.join(at or "/", _text(group.links.get_val(raw)), rest)
                break
            at = f"{at}/{name}"
            if kind == h5py.h5l.TYPE_EXTERNAL:
                file, inside = map(_text, group.links.get_val(raw))
                return Link("external link", at, file, posixpath.join(inside, rest))
            group = h5py.h5o.open(group, raw)
        else:
            return None
    return f"its links lead in a circle, or through more than {HOPS} names"


# ---------------------------------------------------------------- inside of a file


def _walk(root: Any, folder: str) -> Iterator[Link]:
    """Every link below a group, each group once."""
    import h5py

    waiting: list[tuple[Any, bytes, str, int]] = [(root, b".", "", 0)]
    seen: set[tuple[int, int]] = set()
    objects = 0
    while waiting:
        parent, own, at, level = waiting.pop()
        there = h5py.h5o.open(parent, own)
        if isinstance(there, h5py.h5d.DatasetID):
            yield from _of_dataset(there, at, folder)
            if posixpath.basename(at) == "external_file" and h5py.h5a.exists(parent, b"neurodata_type"):
                yield from _external_files(there, at, folder)
        if not isinstance(there, h5py.h5g.GroupID):
            continue
        about = h5py.h5o.get_info(there)
        if (about.fileno, about.addr) in seen:  # a group has several names
            continue
        seen.add((about.fileno, about.addr))
        members: list[tuple[bytes, int]] = []

        def add(
            name: bytes, info: Any, members: list[tuple[bytes, int]] = members, left: int = OBJECTS - objects
        ) -> bool | None:
            members.append((name, info.type))
            return True if len(members) > left else None  # anything but None ends it

        there.links.iterate(add, info=True)
        objects += len(members)
        if objects > OBJECTS:
            raise Unread(f"it has more than {OBJECTS:,} objects")
        if level >= LEVELS:
            raise Unread(f"its groups are more than {LEVELS} deep")
        for raw, kind in members:
            name = f"{at}/{_text(raw)}"
            if kind == h5py.h5l.TYPE_HARD:
                waiting.append((there, raw, name, level + 1))
            elif kind == h5py.h5l.TYPE_EXTERNAL:
                file, inside = map(_text, there.links.get_val(raw))
                yield Link("external link", name, file, inside, folder)
            elif kind != h5py.h5l.TYPE_SOFT:
                raise Unread(f"{name} is a link of a kind that a program defined itself")


def _of_dataset(dataset: Any, at: str, folder: str) -> Iterator[Link]:
    """Files with the data of a dataset. Its shape is not asked for: HDF5 would open the sources to know it."""
    import h5py

    about = dataset.get_create_plist()
    if about.get_layout() == h5py.h5d.VIRTUAL:
        told = set()
        for number in range(about.get_virtual_count()):
            source = about.get_virtual_filename(number), about.get_virtual_dsetname(number)
            if source[0] != "." and source not in told:
                told.add(source)
                yield Link("virtual dataset", at, *source, folder)
    for number in range(about.get_external_count()):
        yield Link("raw storage", at, _text(about.get_external(number)[0]), "", folder)


def _external_files(dataset: Any, at: str, folder: str) -> Iterator[Link]:
    """The paths in `ImageSeries.external_file`, unless these data themselves are elsewhere or unfold without end."""
    import h5py

    about = dataset.get_create_plist()
    kind = dataset.get_type()
    if not isinstance(kind, h5py.h5t.TypeStringID):
        return
    if about.get_layout() == h5py.h5d.VIRTUAL or about.get_external_count():
        raise Unread(f"{at} has its paths in another file")
    held = about.get_chunk() if about.get_layout() == h5py.h5d.CHUNKED else ()
    cells = 1
    for length in held:
        cells *= length
    if max(cells, 1) * kind.get_size() > PATHS or dataset.get_space().get_simple_extent_npoints() > LINKS:
        raise Unread(f"{at} has too many paths")
    values = h5py.Dataset(dataset)
    left = PATHS
    for index in range(values.size or 0):
        if len(values.shape) > 1:
            raise Unread(f"{at} has paths in {len(values.shape)} dimensions")
        value = values[index] if values.shape else values[()]
        left -= len(value)
        if left < 0:
            raise Unread(f"{at} has too many paths")
        yield Link("external_file", at, _text(value.rstrip(b"\0")), "", folder)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# ---------------------------------------------------------------- reading


class _Blocks(io.RawIOBase):
    """A file in a store as a file of Python, read in blocks and not further than `READ`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._at = 0
        self._left = READ
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._place.size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._at < self._place.size:
            number, offset = divmod(self._at, BLOCK)
            piece = self._block(number)[offset : offset + len(view) - done]
            if not piece:
                break
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._at += len(piece)
        return done

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * BLOCK
            size = min(BLOCK, self._place.size - start)
            self._left -= size
            if self._left < 0:
                raise Unread(f"more than {READ >> 20} MiB would have to be read of it")
            self._blocks[number] = self._place.store.read(self._place.path, start, size)
            if len(self._blocks) > CACHED:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


@contextlib.contextmanager
def _opened(place: Place) -> Iterator[Any]:
    """The root group of a file. It is closed in any case: h5py crashes at the end of a process that left one open."""
    if importlib.util.find_spec("h5py") is None:
        raise Unread('h5py is not installed: pip install "dj-sqlspy[files]"')
    import h5py

    try:
        file = h5py.File(_Blocks(place), "r")
        try:
            yield h5py.h5g.open(file.id, b"/")
        finally:
            file.close()
    except Unread:
        raise
    except Exception as error:  # of h5py, which has no class of its own, and of the store
        raise Unread(f"it cannot be read as HDF5: {error}") from error
