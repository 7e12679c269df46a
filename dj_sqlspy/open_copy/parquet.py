"""Parquet: rows of a table or a result as record batches and as a Parquet file.

In: rows as the server sends them, and how each column is kept. Out: record batches of half a megabyte, and a file with
row groups of about 8 MB. No more than one row group is in memory. Field metadata have the server's type, the comment,
what is not kept, and numpy's type of the items of an array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import BundleError
from ..servers.mysql.packets import Block, Spans
from .columns import Kept

# That Python holds as rows; of more, the allocator gives memory back and asks for it again.
BATCH_BYTES = 512 << 10
GROUP_BYTES = 8 << 20  # of a row group; larger groups need more memory and no less time
# After which a page ends if it has a megabyte; a row group has 8 MB at most, so no page has more.
PAGE_ROWS = 512
TOGETHER = 2048  # rows that DuckDB reads and writes together
_LONG = frozenset({"text", "mediumtext", "longtext", "json", "jsonb", "xml"})

# Bytes of a column that are compressed to see whether it is worth it, and how many it must have at least.
_SAMPLE, _SAMPLE_LEAST = 1 << 18, 1 << 12

Row = Sequence["bytes | None"]


def arrow_type(one: Kept) -> pa.DataType:
    """The type of a column in Parquet."""
    if one.form == "decimal":
        digits, places = one.arrow.removeprefix("decimal128(").rstrip(")").split(",")
        return pa.decimal128(int(digits), int(places))
    if one.form == "array":
        return pa.list_(pa.from_numpy_dtype(_items(one)))
    made = {
        "date32": pa.date32,
        "timestamp[us]": lambda: pa.timestamp("us"),
        "timestamp[us, UTC]": lambda: pa.timestamp("us", tz="UTC"),
        "duration[us]": lambda: pa.duration("us"),
        "time64[us]": lambda: pa.time64("us"),
        "double": pa.float64,
        "uuid": pa.uuid,
    }.get(one.arrow)
    return made() if made is not None else pa.type_for_alias(one.arrow)


def _items(one: Kept) -> np.dtype[Any]:
    """The type of the items of an array.

    >>> _items(Kept(None, "array", "list<float32>", ""))
    dtype('float32')
    """
    return np.dtype(one.arrow.removeprefix("list<").rstrip(">"))


def schema_of(columns: Sequence[Kept], about: Mapping[str, str]) -> pa.Schema:
    """The schema of a table's file: its columns, then the texts of what is no date."""
    fields = [field_of(one) for one in columns]
    taken = {one.column.name.lower() for one in columns}
    for one in columns:
        if one.text_beside:
            name = f"{one.column.name} as stored"
            while name.lower() in taken:
                name += "_"
            taken.add(name.lower())
            fields.append(
                pa.field(
                    name, pa.string(), metadata={"comment": f"{one.column.name} where it is {one.beside}"}
                )
            )
    return pa.schema(fields, metadata=dict(about))


def field_of(one: Kept) -> pa.Field:
    """A column with what is to know of it."""
    return pa.field(one.column.name, arrow_type(one), metadata=_about(one))


def _about(one: Kept) -> dict[str, str]:
    found = {"type": one.column.column_type, "comment": one.column.comment, "note": one.note}
    if one.form == "array":
        found["dtype"] = _items(one).str
    return {name: text for name, text in found.items() if text}


class Writer:
    """Writes record batches of a table into a file, in row groups of `GROUP_BYTES`.

    Columns of long values have no dictionary and no smallest and largest value: both hold values in memory once more,
    which takes six times as long as the rest for values of 16 MB. Nor are those compressed whose first values do not
    become smaller, such as blobs that DataJoint has compressed: trying takes as long as reading them.
    """

    def __init__(self, path: Path, schema: pa.Schema, long: Iterable[str]) -> None:
        self._schema, self._long = schema, set(long)
        self._out = pa.OSFile(str(path), "wb")  # a file of Python's gets each value once more as bytes
        self._writer: Any = None
        self._held: list[pa.RecordBatch] = []

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        with self._out:
            try:
                self._write()
            finally:
                (self._writer or self._opened(self._schema.empty_table())).close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Write further rows."""
        self._held.append(batch)
        if sum(one.nbytes for one in self._held) >= GROUP_BYTES:
            self._write()

    def _write(self) -> None:
        if self._held:
            group = pa.Table.from_batches(self._held)
            self._held.clear()
            if self._writer is None:
                self._writer = self._opened(group)
            self._writer.write_table(group, row_group_size=group.num_rows)

    def _opened(self, first: pa.Table) -> Any:
        short = [name for name in self._schema.names if name not in self._long]
        dense = {name for name in self._long if not _is_compressible(first.column(name))}
        return pq.ParquetWriter(
            self._out,
            self._schema,
            compression={name: "none" if name in dense else "zstd" for name in self._schema.names},
            use_dictionary=short,
            write_statistics=short,
            write_batch_size=PAGE_ROWS,
        )


def long_names(columns: Iterable[Kept]) -> Iterator[str]:
    """The names of the columns whose values may be long."""
    for one in columns:
        if one.form in ("bytes", "array") or one.column.data_type in _LONG:
            yield one.column.name


def _is_compressible(column: pa.ChunkedArray) -> bool:
    """Whether its first values become smaller by a twentieth or more.

    >>> _is_compressible(pa.chunked_array([pa.array([bytes(9999)])]))
    True
    >>> _is_compressible(pa.chunked_array([pa.array([np.random.default_rng(1).bytes(9999)])]))
    False
    """
    for chunk in column.chunks:
        data = chunk.buffers()[-1]
        if data is not None and data.size >= _SAMPLE_LEAST:
            sample = data.slice(0, min(data.size, _SAMPLE))
            return bool(len(pa.compress(sample, codec="zstd", asbytes=True)) < 0.95 * sample.size)
    return True


def batches(
    table: str, parts: Iterable[Sequence[Row] | Block], columns: Sequence[Kept], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """A record batch for each list of rows, or block of them.

    Raises
    ------
    BundleError
        If a value is not of its column's type.
    """
    for part in parts:
        yield _batch(table, part, columns, schema)


@dataclass
class Sizes:
    """How many bytes of each column lie close together, which DuckDB has in memory at once.

    Attributes
    ----------
    largest : list of int
        By column, the most bytes in `TOGETHER` rows.

    Examples
    --------
    >>> sizes = Sizes()
    >>> for rows in (1000, 1500, 3000):
    ...     sizes.add(pa.record_batch({"b": pa.array([b"12"] * rows, pa.binary()), "n": pa.array([1] * rows)}))
    >>> sizes.largest
    [4096, 0]
    """

    largest: list[int] = field(default_factory=list)
    _open: list[int] = field(default_factory=list)  # bytes in the rows that are not `TOGETHER` yet
    _rows: int = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Count further rows."""
        if not self.largest:
            self.largest, self._open = [0] * batch.num_columns, [0] * batch.num_columns
        parts = (np.arange(batch.num_rows) + self._rows % TOGETHER) // TOGETHER
        self._rows += batch.num_rows
        for place, column in enumerate(batch.columns):
            if pa.types.is_binary(column.type) or pa.types.is_string(column.type):
                lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
                sums = np.bincount(parts, weights=lengths)
                sums[0] += self._open[place]
                self.largest[place] = max(self.largest[place], int(sums.max()))
                self._open[place] = int(sums[-1]) if self._rows % TOGETHER else 0


def _batch(table: str, part: Sequence[Row] | Block, columns: Sequence[Kept], schema: pa.Schema) -> Any:
    if isinstance(part, Block):
        sent: Iterable[Any] = (_of_block(part.data, spans) for spans in part.columns(len(columns)))
    else:
        sent = map(_bytes, zip(*part, strict=True))
    arrays, beside = [], []
    for one, values in zip(columns, sent, strict=True):
        try:
            if one.text_beside and one.holds is not None:
                others = pa.array(
                    [value is not None and not one.holds(value) for value in values.to_pylist()]
                )
                beside.append(pc.if_else(others, values, None).cast(pa.string()))
                values = pc.if_else(others, None, values)
            arrays.append(_array(one, values))
        except (pa.ArrowInvalid, ValueError) as error:
            raise BundleError(
                f"Writing {table} as Parquet: a value of {one.column.name} is no {one.column.column_type}: {error}."
                " Leave the column out of the bundle (--exclude), and tell dj-sqlspy's authors."
            ) from error
    return pa.RecordBatch.from_arrays([*arrays, *beside], schema=schema)


def _of_block(data: Any, spans: Spans) -> Any:
    """An Arrow array of bytes that lie in memory; of one value that is not copied."""
    count = len(spans.starts)
    ends = np.empty(2 * count, np.int32)
    ends[::2], ends[1::2] = spans.starts, spans.starts + spans.sizes
    # each value, and between them what is between them
    held = pa.Array.from_buffers(pa.binary(), 2 * count - 1, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    if count == 1 and spans.nulls is None:
        return held
    return held.take(pa.array(np.arange(0, 2 * count, 2, dtype=np.int32), mask=spans.nulls))


def _bytes(values: Sequence[bytes | None]) -> Any:
    """An Arrow array of bytes; of one value that is not copied."""
    if None in values:
        return pa.array(values, pa.binary())
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, values), np.int32, len(values)), out=ends[1:])  # type: ignore[arg-type]
    data = values[0] if len(values) == 1 else b"".join(values)  # type: ignore[arg-type]
    return pa.Array.from_buffers(pa.binary(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(data)])


def _each(values: Any, made: Callable[[bytes], Any]) -> list[Any]:
    return [None if value is None else made(value) for value in values.to_pylist()]


def _array(one: Kept, values: Any) -> Any:
    """An Arrow array, of an array of the bytes that the server sends."""
    kind = arrow_type(one)
    if one.form == "bytes":
        return values
    if one.form == "uuid":
        return pa.ExtensionArray.from_storage(kind, values.cast(pa.binary(16)))
    if one.form == "array":
        return lists(one, values.to_pylist())
    if one.form == "bits":
        return pa.array(_each(values, lambda value: int.from_bytes(value, "big")), kind)
    if one.form in ("time", "clock"):
        return pa.array(_each(values, _microseconds), kind)
    if one.form == "boolean":
        return pa.array(_each(values, b"t".__eq__), kind)
    texts = values.cast(pa.string())  # which checks that it is UTF-8
    if one.form == "datetime":  # the zone that is meant is UTC, which only PostgreSQL's texts say
        if one.arrow.endswith("UTC]"):
            texts = pc.replace_substring(texts, "+00", "")
        return texts.cast(pa.timestamp("us")).cast(pa.int64()).cast(kind)
    return texts if one.form == "text" else texts.cast(kind)


def lists(one: Kept, values: Sequence[bytes | None]) -> Any:
    """An Arrow array of lists, from the bytes of their items."""
    kind = _items(one)
    sizes = [0 if value is None else len(value) // kind.itemsize for value in values]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    items = pa.array(np.frombuffer(b"".join(filter(None, values)), kind))
    nulls = pa.array([value is None for value in values])
    return pa.ListArray.from_arrays(pa.array(starts), items, mask=nulls)


def _microseconds(value: bytes) -> int:
    """
    >>> _microseconds(b"-838:59:59.5"), _microseconds(b"00:00:00.000001")
    (-3020399500000, 1)
    """
    hours, minutes, seconds = value.lstrip(b"-").split(b":")
    whole, _, fraction = seconds.partition(b".")
    total = (int(hours) * 60 + int(minutes)) * 60 + int(whole)
    total = total * 1_000_000 + int(fraction.ljust(6, b"0") or 0)
    return -total if value.startswith(b"-") else total
