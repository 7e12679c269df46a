"""Result files: the rows of one result as CSV, Parquet and Excel files.

In: rows on disk (`Spool`), and what their columns are. Out: files beside each other whose names have one stem, and what
was found on the way: what a blob is in Parquet, which values stay bytes, and which file could not be made.

A CSV file is UTF-8 with a header (RFC 4180). Texts, dates and times are quoted, numbers are not; a NULL is an empty
field without quotes. Bytes of the fourth column are in ``STEM-4.npz``, and the field has the name in that archive:
``7.npy`` for an array that DataJoint's decoder finds, ``7.json`` for other values (`blobs`), whose arrays are
``7.1.npy`` and so on, ``7.bin`` for all else, unchanged. Parquet has lists, and their shapes in a column of its own,
where all values of a column are arrays of one type; else it has the bytes as they are stored, and a column with the
names in the archive.
"""

from __future__ import annotations

import contextlib
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..display import count
from ..errors import BundleError
from ..external.needed import declared_type
from ..replay.loaded import new_file
from ..servers.columns import Column
from ..servers.results import ResultColumn, in_lists
from .blobs import Decoded, decode, list_type, npy
from .columns import Kept, array, of_result
from .spool import Row, Spool
from .titles import distinct

CSV, PARQUET, XLSX = "csv", "parquet", "xlsx"


@dataclass(frozen=True)
class Shown:
    """A column of a result.

    Attributes
    ----------
    sent : ResultColumn
    name : str
        Different from those of the other columns, also in case.
    source : Column or None
        The column of a table that it shows unchanged.
    """

    sent: ResultColumn
    name: str
    source: Column | None

    @property
    def comment(self) -> str:
        """The comment of the column of a table, without a type of DataJoint; "" if there is none."""
        return self.kept().column.comment

    @property
    def type(self) -> str:
        """Its type in the table or in the result, and DataJoint's own type if that is another."""
        shown = self.kept().column.column_type
        own = "" if self.source is None else declared_type(self.source.comment)
        return f"{shown}, {own}" if own and own != shown.partition("(")[0] else shown

    def kept(self, without_date: int = 0) -> Kept:
        """How Parquet keeps it."""
        return of_result(self.sent, self.name, self.source, without_date)


def shown_columns(columns: Sequence[ResultColumn], sources: Sequence[Column | None]) -> list[Shown]:
    """The columns of a result, with distinct names."""
    names = distinct([column.name for column in columns])
    return [Shown(*one) for one in zip(columns, names, sources, strict=True)]


@dataclass(frozen=True)
class Made:
    """The files of a result.

    Attributes
    ----------
    formats : tuple of str
        Of the files with its rows.
    notes : tuple of (str, str)
        Columns that are not everywhere as they were sent, and what they are there.
    undecoded : tuple of (str, str)
        Columns with values that stay bytes, and how many these are.
    lacking : tuple of (str, str)
        Formats that were asked for and could not be made, and why.
    """

    formats: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]
    undecoded: tuple[tuple[str, str], ...]
    lacking: tuple[tuple[str, str], ...]


def write_result(
    folder: Path, stem: str, columns: Sequence[Shown], rows: Spool, formats: Sequence[str], scratch: Path
) -> Made:
    """Write the files of a result.

    Parameters
    ----------
    folder : Path
    stem : str
        Of the names of the files.
    columns : sequence of Shown
    rows : Spool
    formats : sequence of {"csv", "parquet", "xlsx"}
    scratch : Path
        A folder for temporary files on the same disk.
    """
    lacking: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        fields = [_field(one, folder / f"{stem}-{place}.npz", stack) for place, one in enumerate(columns, 1)]
        to_csv = _csv(folder / f"{stem}.csv", columns, fields, stack) if CSV in formats else None
        to_sheet = _Sheet(folder / f"{stem}.xlsx", columns, scratch, stack) if XLSX in formats else None
        for number, row in enumerate(rows, 1):
            texts = [
                None if value is None else one.text(value, number)
                for one, value in zip(fields, row, strict=True)
            ]
            if to_csv is not None:
                to_csv(texts)
            if to_sheet is not None:
                to_sheet.add(texts, fields)
        if to_sheet is not None and (why := to_sheet.close()):
            lacking[XLSX] = why
    notes = [note for one in fields for note in one.notes()]
    if PARQUET in formats:
        kept = [one for each in fields for one in each.kept()]
        notes += [(one.column.name, f"in Parquet: {one.note}") for one in kept if one.note]
        file = folder / f"{stem}.parquet"
        try:
            _write_parquet(file, stem, kept, _with_decoded(rows, fields))
        except BundleError as error:
            file.unlink()
            lacking[PARQUET] = str(error)
    undecoded = [(one.column.name, one.undecoded()) for one in fields if one.undecoded()]
    made = tuple(one for one in formats if one not in lacking)
    return Made(made, tuple(notes), tuple(undecoded), tuple(lacking.items()))


# ---------------------------------------------------------------- fields


@dataclass
class _Field:
    """A column while rows are written: the text of each value, and what was seen."""

    column: Shown
    show: Callable[[bytes], str]
    number: bool = False
    holds: Callable[[bytes], bool] | None = None
    without_date: int = 0

    def text(self, value: bytes, row: int) -> str:
        if self.holds is not None and not self.holds(value):
            self.without_date += 1
        return self.show(value)

    def kept(self) -> list[Kept]:
        """Its columns in Parquet."""
        return [self.column.kept(self.without_date)]

    def undecoded(self) -> str:
        return ""

    def notes(self) -> list[tuple[str, str]]:
        """What a reader of any file must know."""
        sent = self.column.sent.name
        return [(self.column.name, f"the query calls it {sent!r}")] if sent != self.column.name else []

    def parts(self, value: bytes | None, row: int) -> list[bytes | None]:
        """The values of its columns in Parquet."""
        return [value]


@dataclass
class _Blobs(_Field):
    """A column of bytes, whose values are in an archive."""

    path: Path = Path()
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    archive: zipfile.ZipFile | None = None
    endings: dict[int, str] = field(default_factory=dict)  # by number of the row, without arrays of one type
    rows: int = 0
    types: set[str] = field(default_factory=set)

    def text(self, value: bytes, row: int) -> str:
        found = decode(value)
        self.rows += 1
        kind = list_type(found.contents) if found.ending == "npy" else ""
        self.types.add(kind)
        if found.ending != "npy":
            self.endings[row] = found.ending
        if self.archive is None:
            opened = zipfile.ZipFile(self.stack.enter_context(new_file(self.path)), "w", zipfile.ZIP_DEFLATED)
            self.archive = self.stack.enter_context(opened)
        self.archive.writestr(self._member(row), found.file())
        for number, one in enumerate(found.arrays, 1):
            self.archive.writestr(f"{row}.{number}.npy", npy(one))
        return self._member(row)

    @property
    def _archive(self) -> str:
        """The end of the name of its archive, which is the same for all results with these columns."""
        return f"…-{self.path.stem.rpartition('-')[2]}.npz"

    def _member(self, row: int) -> str:
        return f"{row}.{self.endings.get(row, 'npy')}"

    @property
    def _items(self) -> str:
        """The type of the items of its arrays, if all are lists of one type in Parquet."""
        return next(iter(self.types)) if len(self.types) == 1 else ""

    @property
    def _as_stored(self) -> int:
        return sum(ending == "bin" for ending in self.endings.values())

    def kept(self) -> list[Kept]:
        name, own = self.column.name, self.column.kept()
        if self._items:
            shape = f"{name} shape"
            note = f"arrays of {self._items}, flat in C order; their shapes are in {shape!r}"
            declared = own.column.column_type
            return [
                array(name, declared, self.column.comment, self._items, note),
                array(shape, "bigint", f"the shape of {name}", "int64", ""),
            ]
        if self.rows == self._as_stored:
            return [own]
        member = Column(
            f"{name} decoded", "longtext", "longtext", True, None, "", comment=f"where {name} is decoded"
        )
        note = f"the bytes as they are stored; '{name} decoded' has the names in {self._archive}"
        return [
            Kept(own.column, "bytes", "binary", "BLOB", note),
            Kept(member, "text", "string", "VARCHAR"),
        ]

    def undecoded(self) -> str:
        return f"{self._as_stored:,} of {count(self.rows, 'value')}" if self._as_stored else ""

    def notes(self) -> list[tuple[str, str]]:
        held = [(self.column.name, f"its values are in {self._archive}")] if self.rows else []
        return super().notes() + held

    def parts(self, value: bytes | None, row: int) -> list[bytes | None]:
        if self._items:
            if value is None:
                return [None, None]
            found: Decoded = decode(value)
            shape = np.array(found.contents.shape, np.int64)
            return [found.contents.tobytes(), shape.tobytes()]
        if self.rows == self._as_stored:
            return [value]
        return [value, None if value is None else self._member(row).encode()]


def _field(column: Shown, archive: Path, stack: contextlib.ExitStack) -> _Field:
    kept = column.kept()
    form = kept.form
    if column.sent.kind == "number":
        return _Field(column, bytes.decode, number=True, holds=kept.holds)
    if form == "bits":
        return _Field(column, lambda value: str(int.from_bytes(value, "big")), number=True)
    if form == "uuid":
        return _Field(column, lambda value: str(uuid.UUID(bytes=value)))
    if form == "boolean":
        return _Field(column, lambda value: "true" if value == b"t" else "false")
    if column.sent.kind == "text":
        return _Field(column, lambda value: value.decode("utf-8", "surrogateescape"), holds=kept.holds)
    return _Blobs(column, bytes.decode, path=archive, stack=stack)


# ---------------------------------------------------------------- files


def _csv(
    path: Path, columns: Sequence[Shown], fields: Sequence[_Field], stack: contextlib.ExitStack
) -> Callable[[Sequence[str | None]], None]:
    """What writes a row into a new CSV file."""
    file = stack.enter_context(new_file(path))
    file.write(",".join(_quoted(column.name) for column in columns).encode() + b"\r\n")

    def add(texts: Sequence[str | None]) -> None:
        shown = [
            "" if text is None else text if one.number else _quoted(text)
            for one, text in zip(fields, texts, strict=True)
        ]
        file.write(",".join(shown).encode("utf-8", "surrogateescape") + b"\r\n")

    return add


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


class _Sheet:
    """An Excel file, until Excel cannot hold something."""

    def __init__(
        self, path: Path, columns: Sequence[Shown], scratch: Path, stack: contextlib.ExitStack
    ) -> None:
        from . import excel

        self._excel, self._path, self._why = excel, path, ""
        self._sheet: Any = None
        file = stack.enter_context(new_file(path))
        try:
            self._sheet = excel.Sheet(file, scratch, [column.name for column in columns])
        except excel.NotHeld as error:
            self._why = str(error)

    def add(self, texts: Sequence[str | None], fields: Sequence[_Field]) -> None:
        if self._why:
            return
        cells = [
            self._excel.number(text, one.column.sent.digits is not None)
            if one.number and text is not None
            else text
            for one, text in zip(fields, texts, strict=True)
        ]
        try:
            self._sheet.add(cells)
        except self._excel.NotHeld as error:
            self._why = str(error)

    def close(self) -> str:
        """End the file; why there is none, "" if there is one."""
        try:
            if self._sheet is not None:
                self._sheet.close()
        except self._excel.NotHeld as error:
            self._why = self._why or str(error)
        if self._why:
            self._path.unlink()
        return self._why


def _write_parquet(path: Path, what: str, kept: Sequence[Kept], rows: Iterator[Row]) -> None:
    from . import parquet

    schema = parquet.schema_of(kept, {})
    new_file(path).close()
    with parquet.Writer(path, schema, parquet.long_names(kept)) as writer:
        for batch in parquet.batches(what, in_lists(rows, parquet.BATCH_BYTES), kept, schema):
            writer.add(batch)


def _with_decoded(rows: Spool, fields: Sequence[_Field]) -> Iterator[Row]:
    """The rows as Parquet has them."""
    for number, row in enumerate(rows, 1):
        yield [part for one, value in zip(fields, row, strict=True) for part in one.parts(value, number)]
