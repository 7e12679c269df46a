"""File: one file behind rows of a slice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the slice that needs a file. ``dict(row.key)`` is its primary key, as `Slice.why` takes it."""

    table: str
    column: str
    key: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class File:
    """A file behind rows of the slice.

    Attributes
    ----------
    store : str
        Name of the store in DataJoint's configuration.
    path : str
        In the store, below its location.
    kind : str
        ``blob``, ``attach``, ``filepath``, ``hash``, ``npy``, ``object``, or the name of a lab's own codec.
    size : int or None
        Bytes: as the database says, else as the store says; None if neither does.
    checksum : str or None
        ``md5:`` and 32 hexadecimal digits, as the database says; None where DataJoint keeps none.
    state : str
        ``ok``; ``missing``; ``changed``: it has another size, or (where contents were read) another checksum
        than the database says; ``outside``: its path leads out of the store; ``unreachable``: its store is.
    needed_by : tuple of Row
    note : str
        What is wrong if the state is not ``ok``.
    hashed_before : bytes
        What the checksum takes in before the contents (0.14 hashes the name of an attachment, too).
    folder : str or None
        The folder that it is a part of, where the row refers to a folder.
    version : str
        Of the file in its store: another once it was written again.
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


def digest_of(chunks: Iterable[bytes], before: bytes = b"") -> str:
    """The MD5 checksum of contents, as `File.checksum` has it.

    >>> digest_of([b"abc"])
    'md5:900150983cd24fb0d6963f7d28e17f72'
    """
    md5 = hashlib.md5(before, usedforsecurity=False)
    for chunk in chunks:
        md5.update(chunk)
    return f"md5:{md5.hexdigest()}"


def total(files: Iterable[File]) -> int:
    """Bytes of all files together."""
    return sum(file.size or 0 for file in files)


def json_of(stored: Any) -> Any:
    """What a column or a file holds as JSON; None where it holds none, as text or bytes of a codec."""
    try:
        return json.loads(stored)
    except (TypeError, ValueError):
        return None
