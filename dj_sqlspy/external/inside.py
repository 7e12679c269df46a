"""Inside: a program of its own, which reads the links in HDF5 files with h5py.

In: requests of `hdf5` on a socket, which is its standard output. Out: answers as JSON. HDF5 is a library in C that a
damaged file can crash or keep busy for ever, so it runs in this process and not in the user's. It opens no file at all:
blocks of the file that it looks into come over the socket. Only h5py's low-level calls are used, which follow nothing,
and no data are read but the paths in NWB's ``external_file`` and `ExternalImage`. Nothing of dj_sqlspy is imported.

=========================================  ==========================================================
``{}``, or ``{"unread": "…"}``             first of all: h5py is there, or why not
``{"size": …, "limits": {…}}``             a request: all links of a file of this size
the same with ``"paths": […]``             what keeps HDF5 from finding these objects in the file
``{"block": n}``                           a question: the answer is the block, as bytes
``{"links": […], "unread": "…"}``          an answer: kind, object, path, object in it; why not all
``{"lost": {…}, "unread": "…"}``           an answer: by path a text, a link, or null
=========================================  ==========================================================
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import posixpath
from collections import OrderedDict
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

BLOCK = 1 << 16
CACHED = 256  # blocks
MEMORY = 4 << 30  # bytes, for what a damaged file says of itself

Found = tuple[str, str, str, str]  # kind of link, object, path, object in it


class Unread(Exception):
    """Links cannot be looked for in a file, or not in all of it."""


def main(connection: Connection) -> None:
    """Answer requests until the other side hangs up."""
    try:
        import h5py
    except Exception as error:  # a package that does not fit to another one
        connection.send_bytes(json.dumps({"unread": f"h5py cannot be used: {error}"}).encode())
        return
    bound()
    connection.send_bytes(b"{}")
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        answer: dict[str, Any] = {"links": [], "lost": {}, "unread": ""}
        limits = request["limits"]
        try:
            file = h5py.File(_Blocks(connection, request["size"], limits["READ"]), "r")
            try:
                root = h5py.h5g.open(file.id, b"/")
                for path in request.get("paths", ()):
                    answer["lost"][path] = _lost(root, path, limits)
                for link in () if "paths" in request else _walk(root, limits):
                    answer["links"].append(link)
                    if len(answer["links"]) >= limits["LINKS"]:
                        raise Unread(f"it has more than {limits['LINKS']:,} links")
            finally:
                file.close()
        except Unread as error:
            answer["unread"] = str(error)
        except Exception as error:  # h5py has no class of its own
            answer["unread"] = f"it cannot be read as HDF5: {error}"
        connection.send_bytes(json.dumps(answer).encode())


def bound() -> None:
    """Bound the memory, and leave no image of it behind after a crash."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _lost(root: Any, path: str, limits: dict[str, int]) -> str | Found | None:
    """What keeps HDF5 from finding an object; None if it is there, a link if the way goes on in another file."""
    import h5py

    for _ in range(limits["HOPS"]):
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
                return "external link", at, file, posixpath.join(inside, rest)
            group = h5py.h5o.open(group, raw)
        else:
            return None
    return f"its links lead in a circle, or through more than {limits['HOPS']} names"


def _walk(root: Any, limits: dict[str, int]) -> Iterator[Found]:
    """Every link below a group, each group once."""
    import h5py

    waiting: list[tuple[Any, bytes, str, int]] = [(root, b".", "", 0)]
    seen: set[tuple[int, int]] = set()
    objects = 0
    while waiting:
        parent, own, at, level = waiting.pop()
        there = h5py.h5o.open(parent, own)
        if isinstance(there, h5py.h5d.DatasetID):
            yield from _of_dataset(there, at)
            named = posixpath.basename(at) == "external_file" and h5py.h5a.exists(parent, b"neurodata_type")
            if named or _is_external_image(there):
                yield from _external_files(there, at, limits)
        if not isinstance(there, h5py.h5g.GroupID):
            continue
        about = h5py.h5o.get_info(there)
        if (about.fileno, about.addr) in seen:  # a group has several names
            continue
        seen.add((about.fileno, about.addr))
        members: list[tuple[bytes, int]] = []

        def add(
            name: bytes,
            info: Any,
            members: list[tuple[bytes, int]] = members,
            left: int = limits["OBJECTS"] - objects,
        ) -> bool | None:
            members.append((name, info.type))
            return True if len(members) > left else None  # anything but None ends it

        there.links.iterate(add, info=True)
        objects += len(members)
        if objects > limits["OBJECTS"]:
            raise Unread(f"it has more than {limits['OBJECTS']:,} objects")
        if level >= limits["LEVELS"]:
            raise Unread(f"its groups are more than {limits['LEVELS']} deep")
        for raw, kind in members:
            name = f"{at}/{_text(raw)}"
            if kind == h5py.h5l.TYPE_HARD:
                waiting.append((there, raw, name, level + 1))
            elif kind == h5py.h5l.TYPE_EXTERNAL:
                file, inside = map(_text, there.links.get_val(raw))
                yield "external link", name, file, inside
            elif kind != h5py.h5l.TYPE_SOFT:
                raise Unread(f"{name} is a link of a kind that a program defined itself")


def _of_dataset(dataset: Any, at: str) -> Iterator[Found]:
    """Files with the data of a dataset. Its shape is not asked for: HDF5 would open the sources to know it."""
    import h5py

    about = dataset.get_create_plist()
    if about.get_layout() == h5py.h5d.VIRTUAL:
        told = set()
        for number in range(about.get_virtual_count()):
            source = about.get_virtual_filename(number), about.get_virtual_dsetname(number)
            if source[0] != "." and source not in told:
                told.add(source)
                yield "virtual dataset", at, *source
    for number in range(about.get_external_count()):
        yield "raw storage", at, _text(about.get_external(number)[0]), ""


def _is_external_image(dataset: Any) -> bool:
    """Whether a dataset is an `ExternalImage` of NWB, which holds the path of a picture."""
    import h5py

    if not isinstance(dataset.get_type(), h5py.h5t.TypeStringID):
        return False
    attributes = h5py.AttributeManager(h5py.Dataset(dataset))
    kind = attributes.get("neurodata_type")
    return isinstance(kind, str) and kind == "ExternalImage"


def _external_files(dataset: Any, at: str, limits: dict[str, int]) -> Iterator[Found]:
    """The paths in `ImageSeries.external_file` or `ExternalImage`, unless they are elsewhere or unfold without end."""
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
    if (
        max(cells, 1) * kind.get_size() > limits["PATHS"]
        or dataset.get_space().get_simple_extent_npoints() > limits["LINKS"]
    ):
        raise Unread(f"{at} has too many paths")
    values = h5py.Dataset(dataset)
    left = limits["PATHS"]
    for index in range(values.size or 0):
        if len(values.shape) > 1:
            raise Unread(f"{at} has paths in {len(values.shape)} dimensions")
        value = values[index] if values.shape else values[()]
        left -= len(value)
        if left < 0:
            raise Unread(f"{at} has too many paths")
        yield "external_file", at, _text(value.rstrip(b"\0")), ""


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class _Blocks(io.RawIOBase):
    """The file at the other side of the socket as a file of Python; only so many bytes of it are read."""

    def __init__(self, connection: Connection, size: int, most: int) -> None:
        self._connection, self._size = connection, size
        self._at = 0
        self._most = self._left = most
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._at < self._size:
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
            self._left -= min(BLOCK, self._size - number * BLOCK)
            if self._left < 0:
                raise Unread(f"more than {self._most >> 20} MiB would have to be read of it")
            self._connection.send_bytes(json.dumps({"block": number}).encode())
            self._blocks[number] = self._connection.recv_bytes()
            if len(self._blocks) > CACHED:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


if __name__ == "__main__":
    connection = Connection(os.dup(1))
    os.dup2(2, 1)  # what a library prints is no answer
    main(connection)
