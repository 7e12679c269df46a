"""File: one file behind rows of a slice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the slice that needs a file. ``dict(row.key)`` is its primary key, for `Slice.why`."""

    table: str
    column: str
    key: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A place in a file that leads to another file.

    Attributes
    ----------
    kind : str
        ``external link``, ``virtual dataset``, ``raw storage`` (HDF5), ``external_file`` (NWB) or ``zarr link``.
    at : str
        The object in the file.
    text : str
        The path as the file says it.
    inside : str
        The object that is meant in the other file; "" if it is none of HDF5's.
    base : str
        The folder that a relative path starts from, relative to the store.
    target : (str, str) or None
        Store and path of the file or folder; None if it is in no configured store.
    """

    kind: str
    at: str
    text: str
    inside: str = ""
    base: str = ""
    target: tuple[str, str] | None = None


@dataclass(frozen=True)
class File:
    """A file behind rows of the slice.

    Attributes
    ----------
    store : str
        Name of the store in DataJoint's configuration.
    path : str
        Path relative to the store's location.
    kind : str
        ``blob``, ``attach``, ``filepath``, ``hash``, ``npy``, ``object``, or the name of a lab's own codec;
        ``link`` if only another file leads to it.
    size : int or None
        Bytes according to the database, or else to the store; None if neither knows.
    checksum : str or None
        ``md5:`` and 32 hexadecimal digits, from the database; None if DataJoint stores none.
    state : str
        ``ok``; ``missing``; ``changed``: its size, or (if contents were read) its checksum, differs from the
        database; ``outside``: its path leads out of the store; ``unreachable``: its store cannot be reached;
        ``broken``: a link in it leads to no data.
    needed_by : tuple of Row
    note : str
        What is wrong if the state is not ``ok``.
    hashed_before : bytes
        Bytes that are hashed before the contents (0.14 also hashes the name of an attachment).
    folder : str or None
        The folder with this file, if the row refers to a folder.
    version : str
        A mark of the file in its store that changes when it is written again.
    links : tuple of Link
        Where it leads to other files.
    linked_from : tuple of str
        ``STORE/PATH`` of the files that lead to it.
    unread : str
        Why links in it were not looked for, or not all; "" if they were, or if it is of a kind without links.
    """

    store: str
    path: str
    kind: str
    size: int | None = None
    checksum: str | None = None
    state: str = "ok"
    needed_by: tuple[Row, ...] = field(default=(), repr=False)
    note: str = ""
    hashed_before: bytes = field(default=b"", repr=False)
    folder: str | None = None
    version: str = field(default="", repr=False)
    links: tuple[Link, ...] = field(default=(), repr=False)
    linked_from: tuple[str, ...] = ()
    unread: str = ""

    @property
    def name(self) -> str:
        """``STORE/PATH``, which is also its place in a copy; of a place outside of all stores its whole path."""
        return self.path if self.path.startswith("/") else f"{self.store}/{self.path}"

    @property
    def is_there(self) -> bool:
        """Whether it can be read and copied."""
        return self.state in ("ok", "changed", "broken")


def digest_of(chunks: Iterable[bytes], before: bytes = b"") -> str:
    """The MD5 checksum of contents, in the form of `File.checksum`.

    >>> digest_of([b"abc"])
    'md5:900150983cd24fb0d6963f7d28e17f72'
    """
    md5 = hashlib.md5(before, usedforsecurity=False)
    for chunk in chunks:
        md5.update(chunk)
    return f"md5:{md5.hexdigest()}"


def total(files: Iterable[File]) -> int:
    """Total size of files in bytes."""
    return sum(file.size or 0 for file in files)


def json_of(stored: Any) -> Any:
    """The JSON value in a column or file; None for anything else, such as a codec's text or bytes."""
    try:
        return json.loads(stored)
    except (TypeError, ValueError):
        return None
