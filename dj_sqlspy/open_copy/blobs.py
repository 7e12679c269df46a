"""Blobs: what DataJoint's decoder finds in bytes, in forms that open without DataJoint.

In: a value of bytes, from an untrusted source. Out: an array, JSON, or the bytes unchanged. Nothing is unpickled, and
what a value would unpack to is bounded (`compat.decoded`).
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, Literal, NamedTuple

import numpy as np

from .. import compat

# A larger value of a blob is not decoded, since a few kilobytes can unpack to any number of bytes.
LARGEST = 256 << 20  # bytes

Ending = Literal["npy", "json", "bin"]


class Decoded(NamedTuple):
    """A value of bytes, decoded if that loses nothing.

    Attributes
    ----------
    ending : {"npy", "json", "bin"}
        Of a file with the value: an array, another value that JSON holds unchanged, or the bytes as they are.
    contents : numpy.ndarray or bytes
        The array, or the contents of the file.
    """

    ending: Ending
    contents: Any

    def file(self) -> bytes:
        """The contents of a file with the value."""
        if self.ending != "npy":
            return bytes(self.contents)
        out = BytesIO()
        np.save(out, self.contents, allow_pickle=False)
        return out.getvalue()


def decode(value: bytes) -> Decoded:
    """The value as an array or JSON if that loses nothing, else as it is."""
    try:
        found = compat.decoded(value, LARGEST)
        if isinstance(found, np.ndarray) and not found.dtype.hasobject:
            return Decoded("npy", found)
        text = json.dumps(found, allow_nan=False)
        if json.loads(text) == found and not isinstance(found, tuple):
            return Decoded("json", text.encode())
    except (TypeError, ValueError, RecursionError, MemoryError):
        return Decoded("bin", value)
    return Decoded("bin", value)


def list_type(array: Any) -> str:
    """The type of the values of an array in a list of Parquet, by numpy's name; "" if it has none.

    >>> [list_type(np.zeros(1, kind)) for kind in ("f4", "?", "u8", "c8", "S3", ">i4", "M8[s]")]
    ['float32', 'bool', 'uint64', '', '', '', '']
    """
    kind = array.dtype
    held = kind.isnative and kind.names is None and kind.kind in "biuf" and kind.itemsize <= 8
    return str(kind.name) if held and kind.name != "float16" else ""
