"""Placing: where a reader of a copy looks for the files that others lead to.

In: a list of `File` with their links. Out: for each link that would not find its file at the place which this has in
its store, a second place; and the links for which there is none. It touches no file.

No file is changed for that: a rewritten link would give the file another checksum than the one in the database. Second
places are inside of the copy, whatever a link says.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence

from .file import File, Link
from .look import is_inside

LIMIT = 10_000  # second places


def second_places(
    files: Iterable[File], reserved: Sequence[str] = ()
) -> tuple[dict[str, File], list[tuple[File, str]]]:
    """Second places in a copy, each with the file to put there, and the files with links that lead nowhere.

    Parameters
    ----------
    files : iterable of File
        Those to copy. Each has its own place, ``STORE/PATH``, where no other file may be, even if it is missing.
    reserved : sequence of str
        Names at the top of the copy that no file can have.

    Returns
    -------
    places : dict of str to File
    failed : list of (File, str)
    """
    taken = {file.name: file for file in files}
    there = {(file.store, file.path): file for file in taken.values() if file.is_there}
    folders: dict[tuple[str, str], list[File]] = {}
    for file in there.values():
        if file.folder is not None:
            folders.setdefault((file.store, file.folder), []).append(file)
    second: dict[str, File] = {}
    failed: list[tuple[File, str]] = []
    waiting = [(file.name, file) for file in there.values() if file.links]
    while waiting:
        place, file = waiting.pop()
        for link in file.links:
            target = link.target
            if target is None:  # it is in the list by itself, as outside
                continue
            members = [there[target]] if target in there else folders.get(target, [])
            wanted = _where(link, place, file) if members else ""
            if wanted is None:
                where = f"{target[0]}/{target[1]}"
                failed.append((file, f"{link.at} leads to {link.text!r}, and in a copy that is not {where}"))
                continue
            for member in members:
                to = wanted + member.path[len(target[1]) :]
                if (
                    taken.get(to, member) is not member
                    or to.split("/")[0] in reserved
                    or len(second) >= LIMIT
                ):
                    why = "is another file" if to in taken else "is no place for it"
                    failed.append((file, f"{link.at} leads to {to} in the copy, which {why}"))
                elif to not in taken:
                    taken[to] = second[to] = member
                    if member.links:
                        waiting.append((to, member))
    return second, failed


def _where(link: Link, place: str, file: File) -> str | None:
    """Where a reader looks for the target of a link in the file at ``place``; None if outside of the copy.

    >>> file = File("raw", "day/X_.nwb", "filepath")
    >>> link = Link("external link", "/data", "../X.nwb", base="day")
    >>> _where(link, "raw/day/X_.nwb", file), _where(link, "X_.nwb", file)
    ('raw/X.nwb', None)
    """
    base = posixpath.join(
        posixpath.dirname(place), posixpath.relpath(link.base or ".", posixpath.dirname(file.path) or ".")
    )
    text = link.text
    if os.path.isabs(text):
        if link.kind not in ("external link", "virtual dataset"):
            return None
        text = posixpath.basename(text)
    found = posixpath.normpath(posixpath.join(base, text))
    return found if is_inside(found) and "/" in found else None
