"""Loaded: a bundle in a private server, and a new folder for what is made of it.

In: a bundle with its dump, and a path. Out: a connection to a server that has nothing but the loaded slice, and a
folder that appears whole or not at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .. import atomic, servers
from ..bundle.folder import BundleFolder, server_for
from ..errors import BundleError
from ..servers import backend_of


@contextlib.contextmanager
def new_folder(doing: str, bundle: BundleFolder, path: Path, mode: int = 0o700) -> Iterator[Path]:
    """A folder to write into, which is at the path after the block.

    Raises
    ------
    BundleError
        If the path is not free, it cannot be written, or the bundle has no dump.
    ServerError
        If there is no program for a private server.
    """
    require_free(doing, path)
    if not bundle.dump_file.exists():
        raise BundleError(
            f"{doing}: there is no {bundle.dump_file}. Make it first: dj-sqlspy dump {bundle.path}"
        )
    servers.require_program(bundle.manifest["server"]["flavor"])
    try:
        with atomic.making_folder(path, mode) as fresh:
            yield fresh
    except OSError as error:
        raise BundleError(f"{doing}: {error}. Nothing was written.") from error


def require_free(doing: str, path: Path) -> None:
    """Raise `BundleError` unless a path is free, or an empty folder."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BundleError(f"{doing}: it exists. Name another folder, or remove this one.")


def new_file(path: Path) -> BinaryIO:
    """A file that is not there yet, for its owner alone."""
    path.touch(0o600, exist_ok=False)
    return path.open("wb")


@contextlib.contextmanager
def loaded_slice(bundle: BundleFolder, beside: Path) -> Iterator[Any]:
    """A connection to a private server with the loaded bundle.

    What is written ``beside`` ends before it fills its disk (`server_for`).

    Raises
    ------
    BundleError
        If it does not load.
    """
    with (
        server_for(bundle.manifest, beside) as private,
        contextlib.closing(private.connect()) as loaded,
    ):
        bundle.load(loaded)
        backend_of(loaded).analyze(loaded, [table["name"] for table in bundle.manifest["tables"]])
        yield loaded
