"""Source data: the results that each analysis received, as files, which journals ask for beside each figure.

In: a bundle with its dump. Out: a folder with a subfolder for each analysis, and in it a CSV file for each of its
distinct data statements, in the order in which they first ran. The statements run on a private server that holds
nothing but the loaded slice. Each result is compared with the digest of what the analysis received.

A file ``03-trial.csv`` is UTF-8 with a header (RFC 4180). Texts, dates and times are quoted, numbers are not; a NULL is
an empty field without quotes. ``03-trial.sql`` has the statement. Bytes of the fourth column are in
``03-trial-4.npz``, and the field has the name in that archive: ``7.npy`` for an array that DataJoint's decoder finds,
``7.json`` for other values that JSON holds unchanged, ``7.bin`` for all else, unchanged. A UUID of DataJoint is a text.
"""

from __future__ import annotations

import contextlib
import json
import re
import uuid
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .. import atomic, compat
from ..bundle.folder import BundleFolder
from ..bundle.manifest import Replayed, replayable
from ..bundle.render import render
from ..errors import BundleError
from ..external.needed import declared_type
from ..journal import encode_name
from ..names import split_full_name
from ..rules import NOT_REPLAYED
from ..servers import backend_of
from ..servers.backend import Replayer
from ..servers.results import ResultColumn
from ..servers.snapshot import ConnectionLost, Interrupted, Refused
from .digests import read_digests, session_of
from .loaded import loaded_slice, new_file, new_folder
from .statements import as_received, why_apart

# A larger value of a blob is not decoded, since a few kilobytes can unpack to any number of bytes.
LARGEST = 256 << 20  # bytes

TITLE_BYTES = 100  # of the names of tables in a file's name; a file system takes 255 bytes in all


@dataclass(frozen=True)
class SourceData:
    """The result of one statement as a file.

    Attributes
    ----------
    analysis : str
    numbers : tuple of int
        The captured statements with this text.
    path : str
        Below the folder; "" if there is no file.
    columns : tuple of ResultColumn
    comments : tuple of str
        Of the columns of the database that these show.
    rows : int
    received : bool or None
        True if these are the rows that the analysis received; None if it has no digest.
    note : str
        Why these can be other rows; "" if nothing is known.
    why_not : str
        Why there is no file.
    """

    analysis: str
    numbers: tuple[int, ...]
    path: str = ""
    columns: tuple[ResultColumn, ...] = ()
    comments: tuple[str, ...] = ()
    rows: int = 0
    received: bool | None = None
    note: str = ""
    why_not: str = ""

    @property
    def as_received(self) -> str:
        """Whether these are the rows that the analysis received, in words."""
        words = {True: "yes", False: "no", None: "not known"}[self.received]
        return words if self.received or not self.note else f"{words}: {self.note}"


def write_source_data(
    bundle: BundleFolder, path: Path, progress: Callable[[int, int], None] | None = None
) -> list[SourceData]:
    """Write the results of a bundle's data statements into a new folder.

    Parameters
    ----------
    bundle : BundleFolder
    path : Path
        A folder that does not exist or is empty.
    progress : callable, optional
        Called with the number of statements done, and the total.

    Raises
    ------
    BundleError
        If there is no dump, it does not load, or ``path`` is not empty.
    ServerError
        If there is no program for a private server.
    """
    manifest = bundle.manifest
    recorded = read_digests(bundle.path)
    made: list[SourceData] = []
    with contextlib.ExitStack() as stack:
        fresh = stack.enter_context(new_folder(f"Writing source data into {path}", bundle, path))
        loaded = stack.enter_context(loaded_slice(bundle, fresh))
        backend = backend_of(loaded)
        stack.enter_context(backend.as_sent(loaded))
        backend.set_session(loaded, session_of(manifest, recorded, backend))
        stack.enter_context(backend.one_moment(loaded))
        replayer = stack.enter_context(contextlib.closing(backend.replayer(loaded)))
        wanted = _by_analysis(manifest)
        writer = _Writer(replayer, loaded, fresh, manifest, max(2, len(str(len(wanted)))))
        for analysis, one, entries in wanted:
            made.append(writer.write(analysis, one, entries))
            if progress is not None:
                progress(len(made), len(wanted))
        made += _left_out(manifest)
        text = render("source-data.md.j2", paper=manifest["paper"], made=made)
        atomic.write(fresh / "README.md", text)
    return made


def _by_analysis(
    manifest: Mapping[str, Any],
) -> list[tuple[str, Replayed, list[Mapping[str, Any]]]]:
    """For each analysis, its distinct data statements in the order in which they first ran."""
    found: dict[tuple[str, Replayed], list[Mapping[str, Any]]] = {}
    for one, entries in replayable(manifest).items():
        for entry in entries:
            if entry["kind"] == "data":
                found.setdefault((entry["analysis"], one), []).append(entry)
    ordered = sorted(found.items(), key=lambda item: (item[0][0], item[1][0]["number"]))
    return [(analysis, one, entries) for (analysis, one), entries in ordered]


def _left_out(manifest: Mapping[str, Any]) -> list[SourceData]:
    """The data statements that cannot run on the slice, and why."""
    return [
        SourceData(entry["analysis"], (entry["number"],), why_not=why_apart(entry["marks"]))
        for entry in manifest["statements"]
        if entry["kind"] == "data" and not NOT_REPLAYED.isdisjoint(entry["marks"])
    ]


class _Writer:
    """Writes the results of statements below a folder."""

    def __init__(
        self, replayer: Replayer, loaded: Any, folder: Path, manifest: Mapping[str, Any], digits: int
    ) -> None:
        self._replayer, self._loaded, self._folder = replayer, loaded, folder
        self._digits = digits  # of the numbers in names, so that these are in the order of the numbers
        self._comments = {
            (table["name"], column["name"]): column["comment"]
            for table in manifest["tables"]
            for column in table["columns"]
        }
        self._drifted = {entry["number"] for entry in manifest["drift"]}
        self._written: dict[str, int] = {}  # number of files of an analysis

    def write(self, analysis: str, one: Replayed, entries: Sequence[Mapping[str, Any]]) -> SourceData:
        about = SourceData(analysis, tuple(entry["number"] for entry in entries))
        folder = self._folder / encode_name(analysis)
        number = self._written.get(analysis, 0) + 1
        stem = f"{number:0{self._digits}d}-{title_of(entries[0]['tables'])}"
        try:
            result = self._replayer.result(self._loaded, one.sql, one.state, own=one.own)
            columns = result.columns
            comments = tuple(self._comments.get((column.table, column.column), "") for column in columns)
            folder.mkdir(mode=0o700, exist_ok=True)
            count = _write_rows(folder, stem, columns, comments, result)
        except ConnectionLost as error:
            raise BundleError(
                f"Running statement {about.numbers[0]}: the server is gone ({error})."
            ) from error
        except (Refused, Interrupted) as error:
            for file in folder.glob(f"{stem}*"):  # it can fail at any row
                file.unlink()
            return replace(about, why_not=f"this server does not run it: {error}")
        self._written[analysis] = number
        atomic.write(folder / f"{stem}.sql", "".join(f"{text};\n" for text in (*one.state, one.sql)))
        return replace(
            about,
            path=f"{encode_name(analysis)}/{stem}.csv",
            columns=columns,
            comments=comments,
            rows=count,
            received=as_received(entries, result.received),
            note=self._note(entries),
        )

    def _note(self, entries: Sequence[Mapping[str, Any]]) -> str:
        """Why these statements can return other rows than the analysis received."""
        if not self._drifted.isdisjoint(entry["number"] for entry in entries):
            return "the database had changed since"
        return why_apart({mark for entry in entries for mark in entry["marks"]})


def title_of(tables: Sequence[str]) -> str:
    """A part of a name from the names of tables.

    >>> title_of(["`lab`.`_spike__unit`", "`lab`.`#task`"])
    'spike__unit-task'
    """
    words = [re.sub(r"\W+", "_", split_full_name(table)[1]).strip("_") for table in tables[:3]]
    return "-".join(filter(None, words)).encode()[:TITLE_BYTES].decode(errors="ignore") or "result"


def _write_rows(
    folder: Path,
    stem: str,
    columns: Sequence[ResultColumn],
    comments: Sequence[str],
    rows: Iterable[Sequence[bytes | None]],
) -> int:
    count = 0
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(new_file(folder / f"{stem}.csv"))
        forms = [
            _form(column, comment, folder, f"{stem}-{index}", stack)
            for index, (column, comment) in enumerate(zip(columns, comments, strict=True), 1)
        ]
        file.write(",".join(_quoted(column.name) for column in columns).encode() + b"\r\n")
        for row in rows:
            count += 1
            fields = ["" if v is None else form(v, count) for form, v in zip(forms, row, strict=True)]
            file.write(",".join(fields).encode("utf-8", "surrogateescape") + b"\r\n")
    return count


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _form(
    column: ResultColumn, comment: str, folder: Path, stem: str, stack: contextlib.ExitStack
) -> Callable[[bytes, int], str]:
    """What makes a field of a value and the number of its row."""
    if column.kind == "number":
        return lambda value, row: value.decode()
    if column.kind == "bits":
        return lambda value, row: str(int.from_bytes(value, "big"))
    if column.kind == "text":
        return lambda value, row: _quoted(value.decode("utf-8", "surrogateescape"))
    held: list[zipfile.ZipFile] = []

    def keep(value: bytes, row: int) -> str:
        if not held:
            file = stack.enter_context(new_file(folder / f"{stem}.npz"))
            held.append(stack.enter_context(zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)))
        ending, contents = _decoded(value)
        held[0].writestr(f"{row}.{ending}", contents)
        return _quoted(f"{row}.{ending}")

    if declared_type(comment) == "uuid":
        return lambda value, row: (
            _quoted(str(uuid.UUID(bytes=value))) if len(value) == 16 else keep(value, row)
        )
    return keep


def _decoded(value: bytes) -> tuple[str, bytes]:
    """The ending of a file, and its contents: the value as an array or JSON if that loses nothing, else as it is."""
    try:
        found = compat.decoded(value, LARGEST)
        if isinstance(found, np.ndarray) and not found.dtype.hasobject:
            out = BytesIO()
            np.save(out, found, allow_pickle=False)
            return "npy", out.getvalue()
        text = json.dumps(found, allow_nan=False)
        if json.loads(text) == found and not isinstance(found, tuple):
            return "json", text.encode()
    except (TypeError, ValueError, RecursionError, MemoryError):
        return "bin", value
    return "bin", value
