"""Files: what lies outside of the database and belongs to the rows of a slice.

In: a `Slice`, a connection to its source, and the `Stores` of DataJoint's configuration. Out: a list of `File`:
where each file is, how large it is and what its checksum should be, the rows that need it, and whether it is
there and unchanged. It copies nothing (see `copies`) and reads no row beside those of the slice.

DataJoint 0.14 (``blob@store``, ``attach@store``, ``filepath@store``) keeps a row about each file in a table
``~external_<store>`` that the column refers to by a foreign key; these tables are ordinary tables of the slice.
DataJoint 2.x (``<blob@>``, ``<attach@>``, ``<filepath@>``, ``<npy@>``, ``<object@>`` and codecs of a lab's own)
keeps JSON in the column itself. Both are read by what the database holds, whichever line runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..catalog import Table
from ..errors import FilesError
from ..sql import columns as column_list
from ..sql import full_name
from .stores import Stat, Store, Stores, paths_of

if TYPE_CHECKING:
    from ..slices import Slice, TableSlice

EXTERNAL = "~external_"  # name of a table in which DataJoint 0.14 keeps a row about each file of a store
CONDITION_BYTES = 400_000
WORKERS = 8

# The type that a column was declared with opens its comment: ":blob@raw:" (0.14), ":<blob@raw>:" (2.x).
_DECLARED = re.compile(r":(<?)([\w.]+)(@\w*)?>?:")


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


@dataclass
class _Wanted:
    """What the database says of one file or folder, before the store was looked at."""

    store: str
    paths: tuple[str, ...]  # where it can be, the first that is there counts
    kind: str
    size: int | None = None
    checksum: str | None = None
    hashed_before: bytes = b""
    is_folder: bool = False
    rows: list[Row] = field(default_factory=list)
    note: str = ""


def files_of(
    cut: Slice,
    connection: Any,
    stores: Stores | None = None,
    *,
    check: str = "size",
    progress: Callable[[int, int], None] | None = None,
) -> list[File]:
    """The files behind the rows of a slice, by store and path.

    Parameters
    ----------
    cut : Slice
    connection : pymysql connection
        To the source.
    stores : Stores, optional
        Default: those of ``dj.config``.
    check : {"size", "contents"}
        Whether files are only looked for, or also read to compare their checksums.
    progress : callable, optional
        Called with the number of files and folders looked at, and of all.

    Raises
    ------
    FilesError
        If ``check`` is something else, or a column holds what DataJoint does not write.
    """
    if check not in ("size", "contents"):
        raise FilesError(f'Listing files: check is "size" or "contents", not {check!r}.')
    stores = stores or Stores()
    wanted = [*_external(cut, connection, stores), *_described(cut, connection, stores)]
    found: list[File] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for done, files in enumerate(pool.map(lambda one: _look(one, stores, check), wanted), 1):
            found += files
            if progress is not None:
                progress(done, len(wanted))
    return _merged(found)


def _merged(files: Iterable[File]) -> list[File]:
    """One entry for each file, also where rows of several tables or schemas refer to it."""
    by_place: dict[tuple[str, str], File] = {}
    for file in files:
        place = (file.store, file.path)
        known = by_place.setdefault(place, file)
        if known is file:
            continue
        sums = {one.checksum for one in (known, file) if one.checksum is not None}
        kept = replace(known, needed_by=known.needed_by + file.needed_by)
        if known.checksum is None or (known.state == "ok" and file.state != "ok"):
            kept = replace(file, needed_by=kept.needed_by, checksum=file.checksum or known.checksum)
        if len(sums) > 1 and kept.state == "ok":
            note = f"the database says two different checksums of it: {', '.join(sorted(sums))}"
            kept = replace(kept, state="changed", note=note)
        by_place[place] = kept
    return [by_place[place] for place in sorted(by_place)]


def digest_of(chunks: Iterable[bytes], before: bytes = b"") -> str:
    """The MD5 checksum of contents, as `File.checksum` has it.

    >>> digest_of([b"abc"])
    'md5:900150983cd24fb0d6963f7d28e17f72'
    """
    md5 = hashlib.md5(before, usedforsecurity=False)
    for chunk in chunks:
        md5.update(chunk)
    return f"md5:{md5.hexdigest()}"


# ---------------------------------------------------------------- what the database says


def _read(connection: Any, entry: TableSlice, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Columns of the rows of a table that are in the slice."""
    for condition in entry.conditions(CONDITION_BYTES):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {column_list(columns)} FROM {entry.name} WHERE {condition}")
            yield from cursor.fetchall()


def _key(table: Table, values: Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(zip(table.key, values, strict=True))


def _external(cut: Slice, connection: Any, stores: Stores) -> Iterator[_Wanted]:
    """Files of DataJoint 0.14, from the ``~external_*`` tables of the slice."""
    comments = _comments(cut, connection)
    for name, entry in cut.tables.items():
        table = entry.table
        if not table.name.startswith(EXTERNAL) or not entry.rows or "hash" not in table.by_name:
            continue
        store = table.name[len(EXTERNAL) :]
        rows, declared = _references(cut, connection, name, comments)
        columns = ("hash", "size", "attachment_name", "filepath", "contents_hash")
        for value, size, attachment, filepath, contents in _read(connection, entry, columns):
            digest = uuid.UUID(bytes=value).hex
            kinds = declared.get(value, set())
            wanted = _Wanted(store, (), "blob", int(size), f"md5:{digest}", rows=rows.get(value, []))
            if attachment is not None:
                wanted.kind, wanted.hashed_before = "attach", attachment.encode() + b"\0"
            elif filepath is not None and "blob" not in kinds:
                wanted.kind = "filepath"
                wanted.checksum = f"md5:{uuid.UUID(bytes=contents).hex}" if contents else None
            try:
                opened = stores[store]
            except FilesError as error:
                wanted.paths, wanted.note = (filepath or digest,), str(error)
                yield wanted
                continue
            if wanted.kind == "filepath":
                wanted.paths = (filepath,)
            else:
                suffix = f".{attachment}" if wanted.kind == "attach" else ""
                wanted.paths = (opened.hash_path(table.schema, digest, suffix),)
                if filepath is not None:  # blobs migrated from DataJoint 0.11 stay where they were
                    wanted.paths += (filepath,)
            yield wanted


def _references(
    cut: Slice, connection: Any, external: str, comments: dict[tuple[str, str], str]
) -> tuple[dict[bytes, list[Row]], dict[bytes, set[str]]]:
    """Rows of the slice by the hash in an ``~external_*`` table that they refer to, and what these are declared as."""
    rows: dict[bytes, list[Row]] = {}
    declared: dict[bytes, set[str]] = {}
    for name, entry in cut.tables.items():
        for fk in cut.catalog.parents(name):
            if fk.parent != external or fk.parent_columns != ("hash",) or not entry.rows:
                continue
            column = fk.columns[0]
            match = _DECLARED.match(comments.get((name, column), ""))
            for *key, value in _read(connection, entry, (*entry.table.key, column)):
                if value is not None:
                    rows.setdefault(value, []).append(Row(name, column, _key(entry.table, key)))
                    if match:
                        declared.setdefault(value, set()).add(match[2])
    return rows, declared


def _described(cut: Slice, connection: Any, stores: Stores) -> Iterator[_Wanted]:
    """Files of DataJoint 2.x, from the JSON in the columns of the slice's tables."""
    wanted: dict[tuple[str | None, str], _Wanted] = {}
    for (name, column), comment in _comments(cut, connection).items():
        entry = cut.tables[name]
        match = _DECLARED.match(comment)
        described = entry.table.column(column).data_type in ("json", "longtext")
        if match is None or not match[1] or not described or not entry.rows:
            continue
        codec = f"<{match[2]}{match[3] or ''}>"
        for *key, stored in _read(connection, entry, (*entry.table.key, column)):
            if stored is None:
                continue
            value = _json(stored)
            for path, store in paths_of(codec, value):
                row = Row(name, column, _key(entry.table, key))
                one = wanted.get((store, path))
                if one is None:
                    one = wanted[store, path] = _from_json(path, store, match[2], value, stores)
                one.rows.append(row)
    yield from wanted.values()


def _json(stored: Any) -> Any:
    try:
        return json.loads(stored)
    except (TypeError, ValueError):
        return None  # in-table text or bytes of a codec: no file


def _from_json(path: str, store: str | None, kind: str, value: Any, stores: Stores) -> _Wanted:
    # the size and the hash are of the value's own path, not of others that a codec may add
    about = value if isinstance(value, dict) and value.get("path") == path else {}
    size, digest = about.get("size"), about.get("hash")
    wanted = _Wanted("", (path,), kind, size if isinstance(size, int) else None)
    wanted.checksum = _md5_of_base32(digest) if isinstance(digest, str) else None
    wanted.is_folder = bool(about.get("is_dir"))
    try:
        wanted.store = stores.name(store)
    except FilesError as error:
        wanted.store, wanted.note = "default", str(error)
    return wanted


def _md5_of_base32(text: str) -> str | None:
    """The checksum that DataJoint 2.x writes as 26 characters.

    >>> _md5_of_base32("saavbgb42jh3bvuwh56sryl7oi")
    'md5:900150983cd24fb0d6963f7d28e17f72'
    """
    if not re.fullmatch(r"[a-z2-7]{26}", text):
        return None
    return "md5:" + base64.b32decode(text.upper() + "=" * 6).hex()


def _comments(cut: Slice, connection: Any) -> dict[tuple[str, str], str]:
    """Comments of columns that were declared with a type of DataJoint's own."""
    schemas = sorted({entry.table.schema for entry in cut.tables.values()})
    marks = ", ".join(["%s"] * len(schemas))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema, table_name, column_name, column_comment FROM information_schema.columns"
            f" WHERE table_schema IN ({marks}) AND column_comment LIKE ':%%:%%'"
            " ORDER BY table_schema, table_name, ordinal_position",
            schemas,
        )
        found = cursor.fetchall()
    named = ((full_name(schema, table), column, comment) for schema, table, column, comment in found)
    return {(name, column): comment for name, column, comment in named if name in cut.tables}


# ---------------------------------------------------------------- what the store says


def _look(wanted: _Wanted, stores: Stores, check: str) -> list[File]:
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
        note = "its path leads out of the store, where a copy of the store would not have it"
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
    """Whether a path stays in the store that it starts from.

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
    """The files of a folder, and what DataJoint keeps beside it: a list of them with their sizes."""
    sidecar = f"{folder.path}.manifest.json"
    listed: dict[str, int] = {}
    stat = store.stat(sidecar)
    if stat is not None:
        about = _json(b"".join(store.chunks(sidecar)))
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
    """The files of a folder, compared with the size that the database says the folder has."""
    contents = [file for file in members if file.path != f"{folder.path}.manifest.json"]
    if folder.size is None or total(contents) == folder.size or any(f.state != "ok" for f in contents):
        return members if contents else []
    note = f"its folder has {total(contents):,} bytes, and the database says {folder.size:,}"
    return [replace(f, state="changed", note=note) if f in contents else f for f in members]


def total(files: Iterable[File]) -> int:
    """Bytes of all files together."""
    return sum(file.size or 0 for file in files)
