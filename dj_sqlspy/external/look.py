"""Look: checks whether a file is in its store and unchanged.

In: the database's description of a file or folder, and the `Stores`. Out: the file, or the files of the folder, as
`File`. It copies nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..errors import FilesError
from .file import File, Row, digest_of, json_of, total
from .stores import Stat, Store, Stores


@dataclass
class Wanted:
    """The database's description of one file or folder."""

    store: str
    paths: tuple[str, ...]  # possible places; the first that exists counts
    kind: str
    size: int | None = None
    checksum: str | None = None
    hashed_before: bytes = b""
    is_folder: bool = False
    rows: list[Row] = field(default_factory=list)
    note: str = ""


def look(wanted: Wanted, stores: Stores, check: str) -> list[File]:
    """The file, or the files of the folder, as they are in the store now."""
    file = File(
        wanted.store,
        wanted.paths[0],
        wanted.kind,
        wanted.size,
        wanted.checksum,
        needed_by=tuple(wanted.rows),
        hashed_before=wanted.hashed_before,
    )
    if wanted.note:
        return [replace(file, state="unreachable", note=wanted.note)]
    if not all(map(is_inside, wanted.paths)):
        note = "its path leads out of the store, so a copy of the store would not contain it"
        return [replace(file, state="outside", note=note)]
    try:
        store = stores[wanted.store]
        for path in wanted.paths:
            stat = None if wanted.is_folder else store.stat(path)
            if stat is not None:
                return [_compared(replace(file, path=path), stat, store, check)]
        members = _whole(file, list(_members(file, store, check)))
    except FilesError as error:
        return [replace(file, state="unreachable", note=str(error))]
    except Exception as error:  # of the disk, minio, fsspec and what these stand on
        note = f"looking at {wanted.paths[0]} in the store {wanted.store!r}: {error}"
        return [replace(file, state="unreachable", note=note)]
    return members or [replace(file, state="missing", note="it is not in the store")]


def is_inside(path: str) -> bool:
    """Whether a path stays inside of its store.

    >>> is_inside("a/b.nwb"), is_inside("../b.nwb"), is_inside("/etc/passwd"), is_inside("c:\\\\b")
    (True, False, False, False)
    """
    parts = re.split(r"[/\\]", path)
    return bool(path) and parts[0] != "" and ".." not in parts and not re.match(r"\w:", path)


def _compared(file: File, stat: Stat, store: Store, check: str) -> File:
    found = replace(file, size=stat.size if file.size is None else file.size, version=stat.version)
    if file.size not in (None, stat.size):
        note = f"it has {stat.size:,} bytes, and the database says {file.size:,}"
        return replace(found, state="changed", note=note)
    if check == "contents" and file.checksum is not None:
        digest = digest_of(store.chunks(file.path), file.hashed_before)
        if digest != file.checksum:
            note = f"its checksum is {digest}, and the database says {file.checksum}"
            return replace(found, state="changed", note=note)
    return found


def _members(folder: File, store: Store, check: str) -> Iterator[File]:
    """The files of a folder, and the list of files and sizes that DataJoint stores beside it."""
    sidecar = f"{folder.path}.manifest.json"
    listed: dict[str, int] = {}
    stat = store.stat(sidecar)
    if stat is not None:
        about = json_of(b"".join(store.chunks(sidecar)))
        files = about.get("files", []) if isinstance(about, dict) else []
        listed = {f"{folder.path}/{one['path']}": int(one["size"]) for one in files}
        own = replace(folder, path=sidecar, size=None, checksum=None, folder=folder.path)
        yield _compared(own, stat, store, check)
    for path, stat in store.walk(folder.path):
        member = replace(folder, path=path, size=listed.pop(path, None), checksum=None, folder=folder.path)
        yield _compared(member, stat, store, check)
    for path, size in listed.items():
        note = "the list of the folder's files has it, and it is not in the store"
        yield replace(folder, path=path, size=size, state="missing", note=note, folder=folder.path)


def _whole(folder: File, members: list[File]) -> list[File]:
    """The files of a folder, after a comparison with the folder's size in the database."""
    contents = [file for file in members if file.path != f"{folder.path}.manifest.json"]
    if folder.size is None or total(contents) == folder.size or any(f.state != "ok" for f in contents):
        return members if contents else []
    note = f"its folder has {total(contents):,} bytes, and the database says {folder.size:,}"
    return [replace(f, state="changed", note=note) if f in contents else f for f in members]
