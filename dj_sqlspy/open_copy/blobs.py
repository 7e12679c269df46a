"""Blobs: what DataJoint's decoder finds in bytes, in forms that open without DataJoint.

In: a value of bytes, from an untrusted source. Out: an array, JSON, or the bytes unchanged. Nothing is unpickled, and
what a value would unpack to is bounded (`compat.decoded`).

JSON has an object with one key for each value that it does not know:

==================================  ==============================================================
``{"@array": 1}``                   the first array in the value, a file of its own
``{"@tuple": […]}``, ``@set``
``{"@dict": [[key, value], …]}``    a dict whose keys are not all texts, or begin with ``@``
``{"@bytes": "…"}``                 Base64
``{"@float": "nan"}``               also ``inf`` and ``-inf``
``{"@complex": [real, imaginary]}``
``{"@decimal": "1.50"}``            also ``@uuid``, ``@datetime``, ``@date`` and ``@time`` (ISO 8601)
``{"@cell": […], "shape": […]}``    an array of objects (a cell of MATLAB), flat in C order
``{"@struct": [[name, …], …]}``     an array with fields of objects (a struct of MATLAB): an array or a cell for each
==================================  ==============================================================
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import uuid
from collections.abc import Callable
from io import BytesIO
from typing import Any, Literal, NamedTuple

import numpy as np

from .. import compat

# A larger value of a blob is not decoded, since a few kilobytes can unpack to any number of bytes.
LARGEST = 256 << 20  # bytes
MOST_ARRAYS = 10_000  # in one value, each of which is a file
MOST_ITEMS = 1 << 24  # of an array that is a list in Parquet; writing one takes 20 bytes of memory for each

Ending = Literal["npy", "json", "bin"]


class Decoded(NamedTuple):
    """A value of bytes, decoded if that loses nothing.

    Attributes
    ----------
    ending : {"npy", "json", "bin"}
        Of a file with the value: an array, another value as JSON, or the bytes as they are.
    contents : numpy.ndarray or bytes
        The array, or the contents of the file.
    arrays : tuple of numpy.ndarray
        Those that JSON refers to.
    """

    ending: Ending
    contents: Any
    arrays: tuple[Any, ...] = ()

    def file(self) -> bytes:
        """The contents of a file with the value."""
        return npy(self.contents) if self.ending == "npy" else bytes(self.contents)


def npy(array: Any) -> bytes:
    """The contents of a file that `numpy.load` reads."""
    out = BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def decode(value: bytes) -> Decoded:
    """The value as an array or JSON if that loses nothing, else as it is."""
    try:
        found = compat.decoded(value, LARGEST)
        if isinstance(found, np.generic) and not isinstance(found, _AS_PYTHON):
            found = np.asarray(found)
        if isinstance(found, np.ndarray) and not found.dtype.hasobject:
            return Decoded("npy", found)
        arrays: list[Any] = []
        text = json.dumps(_plain(found, arrays), allow_nan=False)
        return Decoded("json", text.encode(), tuple(arrays))
    except (TypeError, ValueError, RecursionError, MemoryError):
        return Decoded("bin", value)


def list_type(array: Any) -> str:
    """The type of the values of an array in a list of Parquet, by numpy's name; "" if it has none.

    >>> [list_type(np.zeros(1, kind)) for kind in ("f4", "?", "u8", "c8", "S3", ">i4", "M8[s]")]
    ['float32', 'bool', 'uint64', '', '', '', '']
    """
    kind = array.dtype
    held = (
        array.size <= MOST_ITEMS
        and kind.isnative
        and kind.names is None
        and kind.kind in "biuf"
        and kind.itemsize <= 8
    )
    return str(kind.name) if held and kind.name != "float16" else ""


_AS_PYTHON = (np.bool_, np.int64, np.float64)  # numbers that are the same in Python

_TEXTS: dict[type, tuple[str, Callable[[Any], str]]] = {
    decimal.Decimal: ("@decimal", str),
    uuid.UUID: ("@uuid", str),
    datetime.datetime: ("@datetime", datetime.datetime.isoformat),
    datetime.date: ("@date", datetime.date.isoformat),
    datetime.time: ("@time", datetime.time.isoformat),
    bytes: ("@bytes", lambda value: base64.b64encode(value).decode()),
}


def _plain(value: Any, arrays: list[Any]) -> Any:
    """A value as JSON has it; its arrays are added to a list.

    >>> _plain({"a": (1, float("inf")), "b": {2: None}}, [])
    {'a': {'@tuple': [1, {'@float': 'inf'}]}, 'b': {'@dict': [[2, None]]}}

    Raises
    ------
    TypeError
        If it has something else in it than DataJoint decodes.
    ValueError
        If it has too many arrays.
    """
    if isinstance(value, np.ndarray):
        return _array(value, arrays)
    if isinstance(value, _AS_PYTHON):
        value = value.item()
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"@float": str(value)}
    if type(value) is complex:
        return {"@complex": [_plain(value.real, arrays), _plain(value.imag, arrays)]}
    if type(value) in _TEXTS:
        name, text = _TEXTS[type(value)]
        return {name: text(value)}
    if isinstance(value, np.generic):  # the type of which JSON does not keep
        return _array(np.asarray(value), arrays)
    if isinstance(value, dict):
        pairs = [(key, _plain(item, arrays)) for key, item in value.items()]
        if all(type(key) is str and not key.startswith("@") for key, _ in pairs):
            return dict(pairs)
        return {"@dict": [[_plain(key, arrays), item] for key, item in pairs]}
    if isinstance(value, list):
        return [_plain(item, arrays) for item in value]
    if isinstance(value, (tuple, set)):
        name = "@tuple" if isinstance(value, tuple) else "@set"
        return {name: [_plain(item, arrays) for item in value]}
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def _array(value: Any, arrays: list[Any]) -> Any:
    if not value.dtype.hasobject:
        if len(arrays) == MOST_ARRAYS:
            raise ValueError(f"it has more than {MOST_ARRAYS:,} arrays")
        arrays.append(value)
        return {"@array": len(arrays)}
    if value.dtype.names is not None:
        return {"@struct": [[name, _array(np.asarray(value[name]), arrays)] for name in value.dtype.names]}
    return {"@cell": [_plain(item, arrays) for item in value.ravel()], "shape": list(value.shape)}
