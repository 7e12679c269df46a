"""Decoded: the values of a column of blobs as a Parquet file beside that of its table, which keeps the bytes.

In: the Parquet file of a table, and a column of bytes in it. Out: a file with a row for each row of the table in the
same order, with the primary key; and what was found. Arrays of one type are lists (flat in C order) with a column of
shapes. If a column has anything else, its file has names in an archive (``.npz``) beside it: ``7.npy`` for the array of
the seventh row, ``7.json`` for another value (`blobs`), whose arrays are ``7.1.npy`` and so on. Values of a codec with
``to_spark`` (DataJoint 2.3) are of the types that it gives. A value that is not decoded is NULL there.

The file is read by row groups of 8 MB. Nobody knows what all values are before the last one: the file is begun as
lists, and begun again with an archive where that does not do.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .. import compat
from ..errors import BundleError
from ..replay.loaded import new_file
from ..servers.columns import Column
from . import parquet
from .blobs import Decoded, decode, list_type, npy
from .columns import Kept, array
from .result import DecodedColumn
from .titles import distinct

_BLOBS = frozenset({"tinyblob", "blob", "mediumblob", "longblob", "bytea"})
DECODING = 1  # of the forms that are described above, and of JSON in `blobs`
_HELD = 8 << 20  # bytes of decoded values in memory

Value = Any


class _OtherType(Exception):
    """Not all values are arrays of the type of the first."""


def is_blob(one: Kept) -> bool:
    """Whether DataJoint may have put a blob into a column."""
    return one.form == "bytes" and one.column.data_type in _BLOBS


@dataclass
class Seen:
    """What was seen of a column of blobs.

    Attributes
    ----------
    values : int
        Number of those that are not NULL.
    decodable : bool
        True if one of them begins as DataJoint's blobs do.
    """

    values: int = 0
    decodable: bool = False

    def add(self, column: Any) -> None:
        """Look at further values."""
        self.values += len(column) - column.null_count
        self.decodable = self.decodable or any(
            pc.any(pc.starts_with(column, pattern=head)).as_py() for head in compat.BLOB_HEADS
        )


def maker() -> str:
    """What decodes, with its version."""
    return f"DataJoint {compat.DATAJOINT_VERSION}, decoding {DECODING}"


def write_decoded(
    table: Path,
    stem: Path,
    keys: Sequence[str],
    one: Kept,
    as_spark: Callable[[bytes], Any] | None = None,
) -> DecodedColumn:
    """Write the decoded values of a column.

    Parameters
    ----------
    table : Path
        The Parquet file of the table.
    stem : Path
        The file to write, without its ending.
    keys : sequence of str
        Columns that are repeated in it.
    one : Kept
        The column.
    as_spark : callable, optional
        Decodes a value of a codec (`compat.spark_decoder`).

    Raises
    ------
    BundleError
        If a codec fails.
    """
    with pq.ParquetFile(table) as file:
        reading = _Reading(file, keys, one)
        if as_spark is not None:
            return _as_spark(reading, stem, as_spark)
        items = next((_items(value) for _, values in reading.groups() for value in values if value), "")
        try:
            if items:
                return _as_lists(reading, stem, items)
        except _OtherType:
            stem.with_name(f"{stem.name}.parquet").unlink()
        return _as_files(reading, stem)


class _Reading:
    """A column of blobs in the Parquet file of its table."""

    def __init__(self, file: Any, keys: Sequence[str], one: Kept) -> None:
        self.name, self.comment, self.type = one.column.name, one.column.comment, one.column.column_type
        self._file, self._keys = file, list(keys)
        self.key_fields = [file.schema_arrow.field(name) for name in keys]
        self.values = self.undecoded = 0

    def groups(self) -> Iterator[tuple[pa.Table, list[bytes | None]]]:
        """The keys and the values of each row group; values are counted anew."""
        self.values = self.undecoded = 0
        for number in range(self._file.num_row_groups):
            found = self._file.read_row_group(number, columns=[*self._keys, self.name], use_threads=False)
            yield found.select(self._keys), found.column(self.name).to_pylist()

    def parts(self, decoder: Callable[[bytes], tuple[Value, int]]) -> Iterator[tuple[Any, list[Value]]]:
        """The keys and the decoded values of some neighbouring rows, of which no more than `_HELD` are in memory.

        The decoder returns a value and its size, and counts those that it does not decode.
        """
        for keys, values in self.groups():
            start, size, held = 0, 0, list[Value]()
            for value in values:
                if value is None:
                    held.append(None)
                else:
                    self.values += 1
                    found, bytes_of = decoder(value)
                    held.append(found)
                    size += bytes_of
                if size >= _HELD:
                    yield keys.slice(start, len(held)), held
                    start, size, held = start + len(held), 0, []
            if held:
                yield keys.slice(start, len(held)), held

    def found(self, path: str, what: str) -> DecodedColumn:
        return DecodedColumn(self.name, path, what, self.values, self.undecoded)

    def write(
        self,
        path: Path,
        fields: Sequence[pa.Field],
        parts: Iterator[tuple[Any, list[Value]]],
        arrays: Callable[[list[Value]], list[Any]],
    ) -> None:
        """Write a file with the keys and further fields; ``arrays`` makes theirs of some values."""
        together = [*self.key_fields, *fields]
        names = distinct([field.name for field in together])
        schema = pa.schema(
            [field.with_name(name) for field, name in zip(together, names, strict=True)],
            metadata={"decoded": f"{self.name}, by {maker()}"},
        )
        new_file(path).close()
        with parquet.Writer(path, schema, names[len(self.key_fields) :]) as out:
            for keys, values in parts:
                columns = [column.combine_chunks() for column in keys.columns]
                out.add(pa.RecordBatch.from_arrays([*columns, *arrays(values)], schema=schema))


def _items(value: bytes) -> str:
    found = decode(value)
    return list_type(found.contents) if found.ending == "npy" else ""


def _as_lists(reading: _Reading, stem: Path, items: str) -> DecodedColumn:
    shape = f"{reading.name} shape"
    what = f"arrays of {items}, flat in C order; their shapes are in {shape!r}"
    kept = (
        array(reading.name, reading.type, reading.comment, items, what),
        array(shape, "bigint", f"the shape of {reading.name}", "int64", ""),
    )
    path = stem.with_name(f"{stem.name}.parquet")

    def decoded(value: bytes) -> tuple[Value, int]:
        found: Decoded = decode(value)
        if found.ending != "npy" or list_type(found.contents) != items:
            raise _OtherType
        return (
            found.contents.tobytes(),
            np.array(found.contents.shape, np.int64).tobytes(),
        ), found.contents.nbytes

    def arrays(values: list[Value]) -> list[Any]:
        return [
            parquet.lists(one, [None if value is None else value[place] for value in values])
            for place, one in enumerate(kept)
        ]

    reading.write(path, [parquet.field_of(one) for one in kept], reading.parts(decoded), arrays)
    return reading.found(path.name, what)


def _as_files(reading: _Reading, stem: Path) -> DecodedColumn:
    path, archive = (stem.with_name(f"{stem.name}.{ending}") for ending in ("parquet", "npz"))
    name = Column(
        f"{reading.name} decoded",
        "longtext",
        "longtext",
        True,
        None,
        "",
        comment=f"of {reading.name}, in {archive.name}",
    )
    with contextlib.ExitStack() as stack:
        out = zipfile.ZipFile(stack.enter_context(new_file(archive)), "w", zipfile.ZIP_DEFLATED)
        stack.enter_context(out)
        rows = 0

        def decoded(value: bytes) -> tuple[Value, int]:
            found = decode(value)
            if found.ending == "bin":
                reading.undecoded += 1
                return None, 0
            contents = found.file()
            return (found.ending, contents, found.arrays), len(contents) + sum(
                one.nbytes for one in found.arrays
            )

        def arrays(values: list[Value]) -> list[Any]:
            nonlocal rows
            names: list[str | None] = []
            for number, value in enumerate(values, rows + 1):
                if value is None:
                    names.append(None)
                    continue
                ending, contents, inner = value
                names.append(f"{number}.{ending}")
                out.writestr(f"{number}.{ending}", contents)
                for place, one in enumerate(inner, 1):
                    out.writestr(f"{number}.{place}.npy", npy(one))
            rows += len(values)
            return [pa.array(names, pa.string())]

        kept = Kept(name, "text", "string", "VARCHAR")
        reading.write(path, [parquet.field_of(kept)], reading.parts(decoded), arrays)
    if reading.undecoded == reading.values:
        path.unlink()
        archive.unlink()
        return reading.found("", "")
    return reading.found(path.name, f"names of arrays (.npy) and of other values (.json) in {archive.name}")


def _as_spark(reading: _Reading, stem: Path, as_spark: Callable[[bytes], Any]) -> DecodedColumn:
    path = stem.with_name(f"{stem.name}.parquet")

    def decoded(value: bytes) -> tuple[Value, int]:
        try:
            return as_spark(value), len(value)
        except Exception as error:  # anything can be in a codec
            raise BundleError(
                f"Decoding {reading.name} with its codec: {type(error).__name__}: {error}. Leave out --codec."
            ) from error

    try:
        kinds = [pa.schema([("value", pa.infer_type(values))]) for _, values in reading.parts(decoded)]
        kind = pa.unify_schemas(kinds, promote_options="permissive").field(0).type if kinds else pa.null()
        field = pa.field(reading.name, kind, metadata={"comment": reading.comment, "type": reading.type})
        reading.write(path, [field], reading.parts(decoded), lambda values: [pa.array(values, kind)])
    except pa.ArrowException as error:
        raise BundleError(
            f"Decoding {reading.name} with its codec: what its to_spark gives has no one type: {error}. Leave out"
            " --codec."
        ) from error
    return reading.found(path.name, f"{kind}, by the codec's to_spark")
