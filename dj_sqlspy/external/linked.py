"""Linked: follows the links in files to the files that they need.

In: the files of a slice, as `look` found them, and their `Stores`. Out: the same files with their links, and the files
that these lead to, at any distance, each with the rows that need it. It copies nothing.

A link is followed only into a store of the configuration, and never through a symbolic link that leaves them all. Where
it leads is what HDF5, NWB and hdmf-zarr make of it: a relative path starts from the folder of the file (for Zarr, from
the Zarr folder itself); an absolute path to an HDF5 file that is not there means a file of that name beside the file
with the link (H5Pset_elink_prefix). HDF5 looks for raw storage in the working directory of the program, unless told
otherwise; here it is beside the file.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from . import hdf5, zarrs
from .file import File, Link, Row
from .look import Wanted, is_inside, look
from .stores import Stores

WORKERS = 8
DEPTH = 32  # files in a row
FILES = 1_000_000  # that only links lead to

# contents of DataJoint's own making, in which no library looks for links
PLAIN = ("blob", "hash", "npy")

_Object = tuple[tuple[str, str], str]  # store and path of a file, and an object in it


@dataclass
class _Known:
    """All files, by place, and the members of folders."""

    stores: Stores
    files: dict[tuple[str, str], File] = field(default_factory=dict)
    members: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
    zarrs: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # folders in a folder that Zarr made

    @cached_property
    def folders(self) -> dict[str, _Folder]:
        """Asked for only if there is a link, since the disk of another store may be slow or away."""
        return _located(self.stores)

    def add(self, file: File) -> None:
        place = file.store, file.path
        if place in self.files:
            return
        self.files[place] = file
        if file.folder is not None:
            folder = file.store, file.folder
            self.members.setdefault(folder, []).append(place)
            if posixpath.basename(file.path) in zarrs.MARKS:
                self.zarrs.setdefault(folder, set()).add(posixpath.dirname(file.path))

    def at(self, place: tuple[str, str]) -> list[File]:
        """The file at a place, or the files of the folder."""
        if place in self.files:
            return [self.files[place]]
        return [self.files[one] for one in self.members.get(place, ())]

    def zarr(self, file: File) -> str | None:
        """The Zarr folder with a file."""
        marked = self.zarrs.get((file.store, file.folder or ""), ())
        above = [parent.as_posix() for parent in PurePosixPath(file.path).parents] if marked else ()
        return min((path for path in above if path in marked), key=len, default=None)


def follow(files: Iterable[File], stores: Stores) -> list[File]:
    """The files with their links, and those that these lead to, by store and path."""
    known = _Known(stores)
    for file in files:
        known.add(file)
    waiting = [file for file in known.files.values() if _can_lead(file)]
    started, depth = len(known.files), 0
    with hdf5.Readers() as readers, ThreadPoolExecutor(WORKERS) as pool:
        while waiting:
            found: list[File] = []
            read = list(pool.map(lambda file: _read(file, known, readers), waiting))
            for file, (links, unread) in zip(waiting, read, strict=True):
                if not links and not unread:
                    continue
                aimed = tuple(_aimed(link, file, known.folders, stores) for link in links)
                known.files[file.store, file.path] = replace(file, links=aimed, unread=unread)
                for link in aimed:
                    if known.at(link.target or _nowhere(link, file)):
                        continue
                    if depth == DEPTH or len(known.files) > started + FILES:
                        note = f"what it leads to was not looked for: more than {DEPTH} files in a row, or {FILES:,}"
                        known.files[file.store, file.path] = replace(file, links=aimed, unread=note)
                        break
                    for one in _looked(link, file, stores):
                        known.add(one)
                        found.append(one)
            waiting, depth = [file for file in found if _can_lead(file)], depth + 1
        _give_rows(known)
        _find_broken(known, readers)
    return [known.files[place] for place in sorted(known.files)]


# ---------------------------------------------------------------- which links


def _place(file: File, stores: Stores) -> hdf5.Place:
    store = stores[file.store]
    if file.state == "ok" and file.size is not None:
        return hdf5.Place(store, file.path, file.size)
    stat = store.stat(file.path)
    return hdf5.Place(store, file.path, stat.size if stat else 0)


def _can_lead(file: File) -> bool:
    return file.is_there and file.kind not in PLAIN


def _read(file: File, known: _Known, readers: hdf5.Readers) -> tuple[list[Link], str]:
    """The links in a file, with no target yet, and why they are not all."""
    try:
        zarr = known.zarr(file)
        if zarr is not None:
            return zarrs.links_of(file, known.stores[file.store], zarr)
        place = _place(file, known.stores)
        if not hdf5.is_hdf5(place):
            return [], ""
        links, unread = readers.links_of(place)
        return [one for link in links for one in _blocks(link, place)], unread
    except Exception as error:  # of the store, and what it stands on
        return [], f"it cannot be read: {error}"


def _blocks(link: Link, place: hdf5.Place) -> Iterator[Link]:
    """The sources of a virtual dataset whose name counts: ``part-%b.h5`` stands for part-0.h5, part-1.h5, …"""
    if link.kind != "virtual dataset":
        yield link
        return
    if "%" in link.inside:
        link = replace(link, inside="")
    pieces = [piece.replace("%b", "{block}") for piece in link.text.split("%%")]
    if not any("{block}" in piece for piece in pieces):
        yield replace(link, text="%".join(pieces))
        return
    for number in range(hdf5.LINKS):
        text = "%".join(pieces).replace("{block}", str(number))
        path = posixpath.normpath(posixpath.join(link.base, text))
        if number and (not is_inside(path) or place.store.stat(path) is None):
            return
        yield replace(link, text=text)


# ---------------------------------------------------------------- where they lead


@dataclass(frozen=True)
class _Folder:
    """The location of a store on the local disk, as configured and without symbolic links."""

    path: Path
    real: Path


def _located(stores: Stores) -> dict[str, _Folder]:
    return {
        name: _Folder(Path(os.path.normpath(path.absolute())), Path(os.path.realpath(path)))
        for name, path in stores.folders().items()
    }


def _aimed(link: Link, file: File, folders: Mapping[str, _Folder], stores: Stores) -> Link:
    """The link with its target, if that is in a store."""
    if "://" in link.text or "\0" in link.text or not link.text:
        return link
    own = folders.get(file.store)
    tried = [link.text]
    if os.path.isabs(link.text) and link.kind in ("external link", "virtual dataset"):
        tried.append(posixpath.basename(link.text))
    if own is None:  # a bucket has no symbolic links, and nothing outside
        paths = [posixpath.normpath(posixpath.join(link.base, text)) for text in tried]
        inside = next((path for path in paths if is_inside(path) and path != "."), None)
        return link if inside is None else replace(link, target=(file.store, inside))
    for text in tried:
        if os.path.lexists(own.path / link.base / text):
            return replace(link, target=_in_store(own.path / link.base / text, file.store, folders))
    found = [_in_store(own.path / link.base / text, file.store, folders) for text in tried]
    return replace(link, target=next(filter(None, found), None))


def _in_store(path: Path, first: str, folders: Mapping[str, _Folder]) -> tuple[str, str] | None:
    """The store and the path in it of a path on the local disk; None if it leads out of all of them."""
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(folder.real) for folder in folders.values()):
        return None
    names = [first, *sorted(folders, key=lambda name: -len(folders[name].real.parts))]
    # the name under which the link sees it, if that is the same file; else the file's own
    seen = Path(os.path.normpath(path))
    places = [(seen, {name: folder.path for name, folder in folders.items()})]
    if os.path.realpath(seen) != str(real):
        places = []
    places.append((real, {name: folder.real for name, folder in folders.items()}))
    for place, roots in places:
        for name in names:
            if place != roots[name] and place.is_relative_to(roots[name]):
                return name, place.relative_to(roots[name]).as_posix()
    return None


def _nowhere(link: Link, file: File) -> tuple[str, str]:
    """The place that stands in the list for a target in no store."""
    return file.store, posixpath.normpath(posixpath.join(link.base, link.text)) if link.text else "?"


def _looked(link: Link, file: File, stores: Stores) -> list[File]:
    """The file or the files of the folder that a link leads to, as they are in the store."""
    store, path = link.target or _nowhere(link, file)
    told = f"{link.at} of {file.name} leads to it ({link.kind} {link.text!r})"
    if link.target is None:
        note = f"{told}, and it is in no store of the configuration; it is not looked at and not copied"
        return [File(store, path, "link", state="outside", note=note)]
    if not _is_kind(link, store, path, stores):  # a link to a folder must not bring all of its files
        return [File(store, path, "link", state="missing", note=f"it is not in the store; {told}")]
    found = look(Wanted(store, (path,), "link"), stores, "size")
    return [one if one.state == "ok" else replace(one, note=f"{one.note}; {told}") for one in found]


def _is_kind(link: Link, store: str, path: str, stores: Stores) -> bool:
    """Whether a target is what its link leads to, a file or a Zarr folder, as far as the store can be asked."""
    names = [f"{path}/{mark}" for mark in zarrs.MARKS] if link.kind == "zarr link" else [path]
    try:
        return any(stores[store].stat(name) is not None for name in names)
    except Exception:  # `look` says what is wrong with the store
        return True


# ---------------------------------------------------------------- what follows for the files


def _give_rows(known: _Known) -> None:
    """Each file gets the rows of the files that lead to it, and their names."""
    rows: dict[tuple[str, str], dict[Row, None]] = {}

    def rows_of(file: File) -> dict[Row, None]:
        return rows.setdefault((file.store, file.path), dict.fromkeys(file.needed_by))

    sources: dict[tuple[str, str], dict[str, None]] = {}
    waiting = [place for place, file in known.files.items() if file.links]
    while waiting:
        place = waiting.pop()
        file = known.files[place]
        for link in file.links:
            for target in known.at(link.target or _nowhere(link, file)):
                to = target.store, target.path
                if to == place:
                    continue
                sources.setdefault(to, {})[file.name] = None
                before = len(rows_of(target))
                rows_of(target).update(rows_of(file))
                if len(rows_of(target)) > before and target.links:
                    waiting.append(to)
    for place, names in sources.items():
        file, linked = known.files[place], tuple(sorted(names))
        known.files[place] = replace(file, needed_by=tuple(rows[place]), linked_from=linked)


def _find_broken(known: _Known, readers: hdf5.Readers) -> None:
    """Mark files with a link to an object that is not in the file which it leads to, or in a circle."""
    links = [
        (place, link, (link.target, link.inside))
        for place, file in known.files.items()
        for link in file.links
        if link.inside and link.target is not None and file.state == "ok"
    ]
    why = _why_lost(known, {key for _, _, key in links}, readers)
    for place, link, key in links:
        file = known.files[place]
        if key in why and file.state == "ok":
            note = f"{link.at} leads to no data ({link.kind} {link.text!r}, {link.inside}): {why[key]}"
            known.files[place] = replace(file, state="broken", note=note)


def _why_lost(known: _Known, wanted: Iterable[_Object], readers: hdf5.Readers) -> dict[_Object, str]:
    """Why there are no data behind links to objects in files; without those where there are, or the file is missing."""
    lost: dict[_Object, str] = {}
    ways = {start: start for start in wanted}  # where the way from each has come to
    for _ in range(hdf5.HOPS):
        in_file: dict[tuple[str, str], dict[_Object, str]] = {}
        for start, (place, inside) in ways.items():
            in_file.setdefault(place, {})[start] = inside
        ways = {}
        for place, starts in in_file.items():
            file = known.files.get(place)
            if file is None or not file.is_there or file.unread:
                continue
            try:
                found = readers.lost(_place(file, known.stores), starts.values())
            except Exception as error:  # `hdf5.Unread`, or of the store and what it stands on
                lost |= dict.fromkeys(starts, f"{file.name}: {error}")
                continue
            targets = {(link.at, link.text): link.target for link in file.links}
            for start, inside in starts.items():
                end = found[inside]
                if isinstance(end, str):
                    lost[start] = f"{end} ({file.name})"
                elif end is not None:
                    target = targets.get((end.at, end.text))
                    if target is not None:  # else it is in the list by itself, as outside
                        ways[start] = target, end.inside
    return lost | dict.fromkeys(ways, f"its links lead in a circle, or through more than {hdf5.HOPS} files")
