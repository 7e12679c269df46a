"""Stores: reads the file stores in DataJoint's configuration, on both of its lines.

In: ``dj.config["stores"]``. Out: for a path in a store its size, its contents in chunks, the files below it. It opens
stores with DataJoint's own code and clients (0.14: ``external.py`` and minio; 2.x: ``storage.py`` and fsspec), so a
path means the same here as in DataJoint. It never writes into a store, and does not know which files a slice needs.
"""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import datajoint
from datajoint.errors import DataJointError

from ..compat import IS_V2
from ..errors import FilesError

CHUNK = 1 << 20

DEFAULT_SUBFOLDING = (2, 2)  # of DataJoint 0.14

# Settings that the configuration of a copy needs: how paths below the location are built. They contain no host,
# bucket, folder of the lab or secret.
LAYOUT = (
    *("subfolding", "hash_prefix", "schema_prefix", "filepath_prefix", "partition_pattern", "token_length"),
)


@dataclass(frozen=True, slots=True)
class Stat:
    """A file in its store now. ``version`` changes when the file is written again."""

    size: int
    version: str


class Store(ABC):
    """A configured store. Paths are relative to its location, with ``/`` between folders."""

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        self.name = name
        self.spec = spec

    @abstractmethod
    def stat(self, path: str) -> Stat | None:
        """The file at ``path``, or None if there is no file (there may be a folder)."""

    @abstractmethod
    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        """The files below a folder, at any depth."""

    @abstractmethod
    def chunks(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """The contents of a file from byte ``offset`` on."""

    @abstractmethod
    def read(self, path: str, offset: int, size: int) -> bytes:
        """``size`` bytes of a file, which has as many behind ``offset``."""

    @abstractmethod
    def address(self, path: str = "") -> str:
        """The address for other programs: a path on the local disk, or a URL such as ``s3://bucket/key``."""

    def local(self, path: str) -> Path | None:
        """The path of the file on the local disk, if it is there."""
        return None

    def hash_path(self, schema: str, hexadecimal: str, suffix: str = "") -> str:
        """The path that DataJoint 0.14 derives from a hash (``ExternalTable._make_uuid_path``).

        >>> LocalStore("raw", {"protocol": "file", "location": "."}).hash_path("lab", "0123456789", ".a.txt")
        'lab/01/23/0123456789.a.txt'
        """
        folds, rest = [], hexadecimal
        for length in self.spec.get("subfolding") or DEFAULT_SUBFOLDING:
            folds.append(rest[:length].lower())
            rest = rest[length:]
        return str(PurePosixPath(schema, *folds, hexadecimal).with_suffix(suffix))

    @property
    def layout(self) -> dict[str, Any]:
        """The settings with which another store has the same paths below its location."""
        return {key: self.spec[key] for key in LAYOUT if self.spec.get(key) is not None}


class LocalStore(Store):
    """A folder of a disk."""

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        super().__init__(name, spec)
        self.location = Path(spec["location"])
        if not self.location.is_dir():
            raise FilesError(
                f"Opening the store {name!r}: its folder {self.location} is not there. Mount it, or correct"
                f' dj.config["stores"]["{name}"]["location"].'
            )

    def local(self, path: str) -> Path:
        return self.location / path

    def stat(self, path: str) -> Stat | None:
        place = self.local(path)
        return self._stat(place) if place.is_file() else None

    @staticmethod
    def _stat(place: Path) -> Stat:
        found = place.stat()
        return Stat(found.st_size, str(found.st_mtime_ns))

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        top = self.local(path)
        for place in sorted(top.rglob("*")):
            if place.is_file():
                yield f"{path}/{place.relative_to(top).as_posix()}", self._stat(place)

    def chunks(self, path: str, offset: int = 0) -> Iterator[bytes]:
        with self.local(path).open("rb") as file:
            file.seek(offset)
            while chunk := file.read(CHUNK):
                yield chunk

    def read(self, path: str, offset: int, size: int) -> bytes:
        with self.local(path).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def address(self, path: str = "") -> str:
        return str(self.local(path))


class MinioStore(Store):
    """A bucket, as DataJoint 0.14 reads it."""

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        from datajoint.s3 import Folder

        super().__init__(name, spec)
        self._folder = Folder(**spec)
        self.bucket = spec["bucket"]

    def _key(self, path: str) -> str:
        from datajoint.external import ExternalTable

        # it only uses the table's store configuration
        return str(ExternalTable._make_external_filepath(SimpleNamespace(spec=self.spec), path))

    def stat(self, path: str) -> Stat | None:
        found = self._folder.stat(self._key(path))
        return None if found is None else Stat(found.size, str(found.etag))

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        top = self._key(path) + "/"
        for found in self._folder.client.list_objects(self.bucket, top, recursive=True):
            if not found.is_dir:
                yield f"{path}/{found.object_name[len(top) :]}", Stat(found.size, str(found.etag))

    def chunks(self, path: str, offset: int = 0) -> Iterator[bytes]:
        response = self._folder.client.get_object(self.bucket, self._key(path), offset=offset)
        try:
            yield from response.stream(CHUNK)
        finally:
            response.close()
            response.release_conn()

    def read(self, path: str, offset: int, size: int) -> bytes:
        response = self._folder.client.get_object(self.bucket, self._key(path), offset=offset, length=size)
        try:
            return bytes(response.read())
        finally:
            response.close()
            response.release_conn()

    def address(self, path: str = "") -> str:
        return f"s3://{self.bucket}/{self._key(path)}".rstrip("/.")


class FsspecStore(Store):
    """A store that DataJoint 2.x reaches through fsspec, other than a local disk."""

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        from datajoint.storage import StorageBackend

        super().__init__(name, spec)
        self._backend = StorageBackend(spec)
        self._fs = self._backend.fs
        # fsspec caches lists of names; read them again
        self._fs.invalidate_cache()

    def stat(self, path: str) -> Stat | None:
        try:
            return self._stat(self._fs.info(self._backend._full_path(path)))
        except FileNotFoundError:
            return None

    @staticmethod
    def _stat(info: Mapping[str, Any]) -> Stat | None:
        if info.get("type") != "file":
            return None
        marks = (info.get(key) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified"))
        return Stat(int(info["size"]), str(next((mark for mark in marks if mark), "")))

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        top = self._backend._full_path(path)
        found: Mapping[str, Mapping[str, Any]] = self._fs.find(top, detail=True)
        for name in sorted(found):
            stat = self._stat(found[name])
            if stat is not None and name.startswith(f"{top}/"):
                yield f"{path}/{name[len(top) + 1 :]}", stat

    def chunks(self, path: str, offset: int = 0) -> Iterator[bytes]:
        with self._fs.open(self._backend._full_path(path), "rb", cache_type="readahead") as file:
            file.seek(offset)
            while chunk := file.read(CHUNK):
                yield chunk

    def read(self, path: str, offset: int, size: int) -> bytes:
        return bytes(self._fs.cat_file(self._backend._full_path(path), start=offset, end=offset + size))

    def address(self, path: str = "") -> str:
        return str(self._backend.get_url(path)).rstrip("/")


class Stores:
    """The stores of a DataJoint configuration, each opened on first use.

    Parameters
    ----------
    connection : datajoint.Connection, optional
        The connection with the configuration; default ``dj.config``. Only DataJoint 2.x has one per connection.
    """

    def __init__(self, connection: Any = None) -> None:
        self._config = getattr(connection, "_config", None) or datajoint.config
        self._opened: dict[str, Store | FilesError] = {}
        self._lock = threading.Lock()

    def name(self, name: str | None) -> str:
        """The name of a store; for None or "", that of the default store.

        Raises
        ------
        FilesError
            If there is no default.
        """
        if not name:
            with contextlib.suppress(KeyError):
                name = self._config["stores"]["default"]
        if not name:
            raise FilesError(
                'Looking for a file in the default store: none is configured; set dj.config["stores.default"].'
            )
        return str(name)

    def folders(self) -> dict[str, Path]:
        """The locations of the configured stores on the local disk, by name; without those that are not there."""
        found = {}
        stores = self._config.get("stores", None) or {}
        for name, spec in stores.items():
            if not isinstance(spec, Mapping) or str(spec.get("protocol")).lower() != "file":
                continue
            with contextlib.suppress(FilesError):
                store = self[name]
                if isinstance(store, LocalStore):
                    found[name] = store.location
        return found

    def is_default(self, name: str) -> bool:
        """Whether a store is the default one."""
        stores = self._config.get("stores", None) or {}
        return bool(stores.get("default") == name)

    def __getitem__(self, name: str) -> Store:
        """Open a store.

        Raises
        ------
        FilesError
            If it is not configured, or cannot be reached.
        """
        with self._lock:
            if name not in self._opened:
                try:
                    self._opened[name] = self._open(name)
                except FilesError as error:
                    self._opened[name] = error
                except Exception as error:  # from DataJoint, minio, fsspec or their libraries
                    self._opened[name] = FilesError(f"Opening the store {name!r}: {error}")
            found = self._opened[name]
        if isinstance(found, FilesError):
            raise found
        return found

    def _open(self, name: str) -> Store:
        try:
            spec = dict(self._config.get_store_spec(name))
        except DataJointError as error:
            raise FilesError(
                f"Opening the store {name!r}: {error}. Configure it as the pipeline does, in"
                f' dj.config["stores"]["{name}"].'
            ) from error
        if str(spec["protocol"]).lower() == "file":
            return LocalStore(name, spec)
        return FsspecStore(name, spec) if IS_V2 else MinioStore(name, spec)


def paths_of(codec: str, stored: Any) -> list[tuple[str, str | None]]:
    """The paths, each with its store, in a codec's stored value (2.x).

    A codec that is registered in this process tells its paths. For others DataJoint's usual form is assumed.
    """
    from datajoint.codecs import Codec, lookup_codec  # only 2.x has it

    try:
        known, _ = lookup_codec(codec)
    except DataJointError:
        return list(Codec.referenced_paths(None, stored))
    return list(known.referenced_paths(stored))
