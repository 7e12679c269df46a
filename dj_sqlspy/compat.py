"""Compat: every difference between DataJoint 0.14 and 2.x in one place.

In: the installed DataJoint. Out: the same few functions on both lines. Only this module and `spy.patches` look at the
version of DataJoint.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import datajoint
import datajoint.blob
import datajoint.connection
import numpy as np

from .errors import SliceError

DATAJOINT_VERSION: str = datajoint.__version__
IS_V2: bool = int(DATAJOINT_VERSION.split(".")[0]) >= 2


def backend_of(connection: Any) -> str:
    """The kind of a DataJoint connection's server: ``mysql`` (also for MariaDB) or ``postgresql``."""
    adapter = getattr(connection, "adapter", None)
    return "mysql" if adapter is None else str(adapter.backend)


def open_connection() -> Any:
    """``dj.conn()`` if it is open, else None. Calling ``dj.conn()`` could ask the user for a password."""
    if IS_V2:
        found = datajoint.instance._singleton_connection
        if found is not None:
            return found
    return getattr(datajoint.connection.conn, "connection", None)


def second_connection(connection: Any) -> Any:
    """A second DataJoint connection with the same account, to declare tables outside of a transaction."""
    info = connection.conn_info
    options = {} if IS_V2 else {"init_fun": connection.init_fun}
    # else the settings say which kind of server it is
    if "backend" in inspect.signature(datajoint.Connection).parameters:
        options = {"backend": backend_of(connection), "database_name": info.get("database_name")}
    return datajoint.Connection(
        *(info["host"], info["user"], info["passwd"], info["port"]),
        use_tls=info.get("ssl_input"),
        **options,
    )


def bind_schema(name: str, connection: Any) -> Any:
    """The decorator that declares tables in a schema."""
    return (datajoint.Schema if IS_V2 else datajoint.schema)(name, connection=connection)


def columns(expression: Any, *names: str) -> list[list[Any]]:
    """The values of attributes, a list for each."""
    return [list((expression.to_arrays if IS_V2 else expression.fetch)(name)) for name in names]


def packed(contents: bytes) -> bytes:
    """Bytes as a compressed DataJoint blob: 0.14 fetches the same bytes from a ``longblob``."""
    packed: bytes = datajoint.blob.pack(contents, compress=True)
    return packed


def unpacked(contents: bytes, limit: int) -> bytes:
    """Inverse of `packed`, for a blob from an untrusted source: only bytes, and at most ``limit`` of them.

    Raises
    ------
    ValueError
        If it is something else.
    """
    head = len(_BYTES[0]) + 8  # and the number of bytes
    contents = _inflated(contents, limit, head)
    known = contents.startswith(_BYTES) and len(contents) >= head
    if not known or int.from_bytes(contents[head - 8 : head], "little") != len(contents) - head:
        raise ValueError("it is not a complete blob of bytes")
    return contents[head:]


def decoded(contents: bytes, limit: int) -> Any:
    """What DataJoint's decoder finds in a blob from an untrusted source, which has at most ``limit`` bytes.

    Raises
    ------
    ValueError
        If it finds nothing, or what it would find can be much larger than the blob.
    """
    contents = _inflated(contents, limit)
    if not contents.startswith(_BLOBS):
        raise ValueError("it is no blob")
    try:
        return _Decoder().unpack(contents)
    except _UNREADABLE as error:
        raise ValueError(f"it cannot be decoded: {error}") from error


def _inflated(contents: bytes, limit: int, head: int = 0) -> bytes:
    """A blob without its compression, with at most ``limit`` bytes after its head."""
    if contents.startswith(_COMPRESSED):
        start = len(_COMPRESSED) + 8
        size = int.from_bytes(contents[len(_COMPRESSED) : start], "little")
        inflating = zlib.decompressobj()
        try:
            contents = inflating.decompress(contents[start:], head + limit + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if len(contents) <= head + limit and not (inflating.eof and len(contents) == size):
            raise ValueError("it is not a complete blob")
    if len(contents) > head + limit:
        raise ValueError(f"it has more than the {limit:,} bytes that are allowed")
    return contents


class _Decoder(datajoint.blob.Blob):  # type: ignore[misc]  # which has no types
    """DataJoint's decoder, which reads no byte twice and makes no array that is much larger than the blob."""

    def read_zero_terminated_string(self) -> str:
        if self._blob.find(b"\0", self._pos) < 0:  # DataJoint would go on at the beginning
            raise ValueError("a name in it has no end")
        return str(super().read_zero_terminated_string())

    def read_recarray(self) -> Any:  # DataJoint repeats a field to the length of the first
        names = [self.read_zero_terminated_string() for _ in range(self.read_value("uint32"))]
        arrays = [self.read_blob() for _ in names]
        return np.rec.fromarrays(arrays, formats=[array.dtype for array in arrays], names=names)


# How DataJoint's blobs begin: compressed ones, all others, and bytes, by the version of the format.
_COMPRESSED = b"ZL123\0"
_BLOBS = (b"mYm\0", b"dj0\0")
BLOB_HEADS = (_COMPRESSED, *_BLOBS)
_BYTES = tuple(protocol + b"\6" for protocol in _BLOBS)

# What the decoder raises on bytes that only look like a blob.
_UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    datajoint.DataJointError,
)


def as_expression(item: Any, connection: Any) -> Any:
    """A query expression from a table, an expression, or a dict with ``table_name``."""
    if isinstance(item, Mapping):
        if "table_name" not in item:
            raise SliceError(f"Picking a slice: the dict {dict(item)!r} lacks 'table_name'.")
        table = datajoint.FreeTable(connection or datajoint.conn(), item["table_name"])
        return _restricted(table, item.get("restriction", True))
    expression = item() if inspect.isclass(item) else item
    if not hasattr(expression, "make_sql"):
        raise SliceError(
            f"Picking a slice: {item!r} is neither a table, nor a query expression, nor a dict with 'table_name' "
            "and 'restriction'."
        )
    return expression


def _restricted(table: Any, restriction: Any) -> Any:
    """``table & restriction``; the error for a column that it does not have lists those that it has."""
    names = table.heading.names  # asks the server
    try:
        return table & restriction
    except datajoint.errors.DataJointError as error:
        raise SliceError(
            f"Restricting {table.full_table_name} by {restriction!r}: {error} Its columns are {', '.join(names)}."
        ) from error


def sql_of(expression: Any) -> str:
    """The SELECT of an expression as the driver sends it (DataJoint doubles ``%`` for it)."""
    text: str = expression.make_sql() % ()
    return text


def spark_decoder(codec: str, limit: int) -> Callable[[bytes], Any]:
    """What decodes the bytes of a codec's column into values of Spark's types (``datajoint.SparkAdapter``, since 2.3).

    Raises
    ------
    ValueError
        If there is no such codec, it has no ``to_spark``, or its values are not bytes in the database.
    """
    if not hasattr(datajoint, "SparkAdapter"):
        raise ValueError(f"DataJoint {DATAJOINT_VERSION} has no SparkAdapter; version 2.3 has it")
    try:
        kind, chain, store = datajoint.codecs.resolve_dtype(f"<{codec}>")
    except datajoint.DataJointError as error:
        raise ValueError(str(error)) from error
    if not isinstance(chain[0], datajoint.SparkAdapter):
        raise ValueError(f"the codec <{codec}> has no to_spark")
    if store is not None or kind not in ("bytes", "longblob"):
        raise ValueError(f"the codec <{codec}> does not keep bytes in the database")

    def decode(contents: bytes) -> Any:
        value: Any = contents
        for one in reversed(chain):
            value = decoded(value, limit) if one.name == "blob" else one.decode(value, key=None)
        return chain[0].to_spark(value, key=None)

    return decode
