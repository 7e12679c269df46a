"""Needed: finds the files that belong to the rows of a slice.

In: a `Slice`, a connection to its source, and the `Stores` of DataJoint's configuration. Out: a list of `File`: the
place, size and expected checksum of each file, the rows that need it, and whether it exists and is unchanged. It copies
nothing (see `copies`) and reads only rows of the slice.

DataJoint 0.14 (``blob@store``, ``attach@store``, ``filepath@store``) stores a row about each file in a table
``~external_<store>``, to which the column refers by a foreign key. These tables are ordinary tables of the slice.
DataJoint 2.x (``<blob@>``, ``<attach@>``, ``<filepath@>``, ``<npy@>``, ``<object@>`` and a lab's own codecs) stores
JSON in the column itself. The contents of the database decide which is read, not the line of DataJoint that runs.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ..errors import FilesError
from ..servers.dialect import LIST_BYTES
from ..servers.tables import Table
from ..slices import Slice, TableSlice
from .file import File, Row, json_of
from .linked import follow
from .look import Wanted, look
from .stores import Stores, paths_of

EXTERNAL = "~external_"  # prefix of tables in which DataJoint 0.14 stores a row about each file of a store
WORKERS = 8

# A column's comment starts with its declared type: ":blob@raw:" (0.14), ":<blob@raw>:" (2.x).
_DECLARED = re.compile(r":(<?)([\w.]+)(@\w*)?>?:")


def files_of(
    cut: Slice,
    connection: Any,
    stores: Stores | None = None,
    *,
    check: str = "size",
    progress: Callable[[int, int], None] | None = None,
) -> list[File]:
    """The files behind the rows of a slice, and those that links in these lead to, by store and path.

    Parameters
    ----------
    cut : Slice
    connection : connection of the driver
        To the source.
    stores : Stores, optional
        Default: those of ``dj.config``.
    check : {"size", "contents"}
        Whether to compare only sizes, or also to read the files and compare their checksums.
    progress : callable, optional
        Called with the number of files and folders done, and the total.

    Raises
    ------
    FilesError
        If ``check`` is something else, or a column contains what DataJoint would not write.
    """
    if check not in ("size", "contents"):
        raise FilesError(f'Listing files: check is "size" or "contents", not {check!r}.')
    stores = stores or Stores()
    wanted = [*_external(cut, connection, stores), *_described(cut, connection, stores)]
    found: list[File] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for done, files in enumerate(pool.map(lambda one: look(one, stores, check), wanted), 1):
            found += files
            if progress is not None:
                progress(done, len(wanted))
    return follow(_merged(found), stores)


def _merged(files: Iterable[File]) -> list[File]:
    """One entry for each file, even if rows of several tables or schemas refer to it."""
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


# ---------------------------------------------------------------- what the database says


def _read(connection: Any, entry: TableSlice, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Columns of a table's rows in the slice."""
    for condition in entry.conditions(LIST_BYTES):
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {entry.table.dialect.columns(columns)} FROM {entry.name} WHERE {condition}"
            )
            yield from cursor.fetchall()


def _key(table: Table, values: Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(zip(table.key, values, strict=True))


def _external(cut: Slice, connection: Any, stores: Stores) -> Iterator[Wanted]:
    """Files of DataJoint 0.14, from the ``~external_*`` tables of the slice."""
    kinds_of = {(name, column): match[2] for name, column, match in _declared(cut)}
    for name, entry in cut.tables.items():
        table = entry.table
        if not table.name.startswith(EXTERNAL) or not entry.rows or "hash" not in table.by_name:
            continue
        store = table.name[len(EXTERNAL) :]
        rows, declared = _references(cut, connection, name, kinds_of)
        columns = ("hash", "size", "attachment_name", "filepath", "contents_hash")
        for value, size, attachment, filepath, contents in _read(connection, entry, columns):
            digest = uuid.UUID(bytes=value).hex
            kinds = declared.get(value, set())
            wanted = Wanted(store, (), "blob", int(size), f"md5:{digest}", rows=rows.get(value, []))
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
                if filepath is not None:  # blobs migrated from DataJoint 0.11 keep their old path
                    wanted.paths += (filepath,)
            yield wanted


def _references(
    cut: Slice, connection: Any, external: str, kinds_of: dict[tuple[str, str], str]
) -> tuple[dict[bytes, list[Row]], dict[bytes, set[str]]]:
    """For each hash in an ``~external_*`` table, the rows of the slice that refer to it, and their declared types."""
    rows: dict[bytes, list[Row]] = {}
    declared: dict[bytes, set[str]] = {}
    for name, entry in cut.tables.items():
        for fk in cut.catalog.parents(name):
            if fk.parent != external or fk.parent_columns != ("hash",) or not entry.rows:
                continue
            column = fk.columns[0]
            kind = kinds_of.get((name, column))
            for *key, value in _read(connection, entry, (*entry.table.key, column)):
                if value is not None:
                    rows.setdefault(value, []).append(Row(name, column, _key(entry.table, key)))
                    if kind:
                        declared.setdefault(value, set()).add(kind)
    return rows, declared


def _described(cut: Slice, connection: Any, stores: Stores) -> Iterator[Wanted]:
    """Files of DataJoint 2.x, from the JSON in the columns of the slice's tables."""
    wanted: dict[tuple[str | None, str], Wanted] = {}
    for name, column, match in _declared(cut):
        entry = cut.tables[name]
        described = entry.table.column(column).data_type in ("json", "longtext")
        if not match[1] or not described or not entry.rows:
            continue
        codec = f"<{match[2]}{match[3] or ''}>"
        for *key, stored in _read(connection, entry, (*entry.table.key, column)):
            if stored is None:
                continue
            value = json_of(stored)
            for path, store in paths_of(codec, value):
                row = Row(name, column, _key(entry.table, key))
                one = wanted.get((store, path))
                if one is None:
                    one = wanted[store, path] = _from_json(path, store, match[2], value, stores)
                one.rows.append(row)
    yield from wanted.values()


def _from_json(path: str, store: str | None, kind: str, value: Any, stores: Stores) -> Wanted:
    # size and hash belong to the value's own path, not to others that a codec may add
    about = value if isinstance(value, dict) and value.get("path") == path else {}
    size, digest = about.get("size"), about.get("hash")
    wanted = Wanted("", (path,), kind, size if isinstance(size, int) else None)
    wanted.checksum = _md5_of_base32(digest) if isinstance(digest, str) else None
    wanted.is_folder = bool(about.get("is_dir"))
    try:
        wanted.store = stores.name(store)
    except FilesError as error:
        wanted.store, wanted.note = "default", str(error)
    return wanted


def _md5_of_base32(text: str) -> str | None:
    """The checksum in DataJoint 2.x's form of 26 characters.

    >>> _md5_of_base32("saavbgb42jh3bvuwh56sryl7oi")
    'md5:900150983cd24fb0d6963f7d28e17f72'
    """
    if not re.fullmatch(r"[a-z2-7]{26}", text):
        return None
    return "md5:" + base64.b32decode(text.upper() + "=" * 6).hex()


def declared_type(comment: str) -> str:
    """The type of DataJoint's own that a column was declared with, by its comment; "" if it has none.

    >>> declared_type(":uuid:by whom"), declared_type(":<blob@raw>:"), declared_type("12:30")
    ('uuid', 'blob', '')
    """
    match = _DECLARED.match(comment)
    return match[2] if match else ""


def _declared(cut: Slice) -> Iterator[tuple[str, str, re.Match[str]]]:
    """Table, column and declaration of the columns with one of DataJoint's own types."""
    for name, entry in cut.tables.items():
        for column in entry.table.columns:
            match = _DECLARED.match(column.comment)
            if match is not None:
                yield name, column.name, match
