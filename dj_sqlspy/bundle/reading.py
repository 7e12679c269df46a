"""Reading: reads the JSON files of a bundle, which can come from an untrusted source.

In: a path in the folder of a bundle. Out: the contents of the file if they match its JSON Schema (``schemas/``), else
an error. It follows no symbolic links, opens only regular files, and refuses files larger than any bundle needs. It
does not check the meaning of values.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import fastjsonschema

from ..errors import BundleError

LARGEST = 512 << 20  # bytes
_DIGITS = 20  # of a whole number: servers count with 64 bits


def read_bytes(path: Path) -> bytes | None:
    """The contents of a regular file, or None if there is none.

    Raises
    ------
    BundleError
        If it is something else, too large, or cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        require_regular([path])
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_size > LARGEST:
                raise BundleError(
                    f"Reading {path}: it is larger than {LARGEST >> 20} MiB, and no file of a bundle is that large."
                )
            return file.read(LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BundleError(f"Reading {path}: {error}. Get the bundle again.") from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, which may be large."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def require_regular(paths: Iterable[Path]) -> None:
    """Raise if one of these exists and is not a regular file, but for example a symbolic link or a named pipe.

    Raises
    ------
    BundleError
    """
    for path in paths:
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISREG(mode):
            raise BundleError(
                f"Reading {path}: it is {_kind(mode)}, and a bundle has only regular files. Do not use this bundle, or"
                " get it again from where it was published."
            )


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a folder" if stat.S_ISDIR(mode) else "a special file"


def parse(path: Path, contents: bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    BundleError
        If it is not JSON, or nested too deeply.
    """
    try:
        value = json.loads(contents.decode("utf-8"), parse_constant=_refuse, parse_int=_whole)
        if b"\\u" in contents:  # such a text can have half a character, which is written nowhere
            json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
        return value
    except RecursionError:
        raise BundleError(f"Reading {path}: it is nested too deep.") from None
    except ValueError as error:
        raise BundleError(f"Reading {path}: it is not JSON ({error}). Get the bundle again.") from error


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"{text[:_DIGITS]}… is too large a number")
    return int(text)


# The pattern of a full table name in the schema of a manifest, which is sent to a server.
_NAME = "^`([^`]|``)+`\\.`([^`]|``)+`$"


def require_schema(path: Path, value: Any, schema: str, mark: str = "`") -> None:
    """Raise unless a value matches a schema.

    Parameters
    ----------
    path : Path
        The file of the value, for the message.
    value : object
    schema : str
        Name of the schema in ``schemas/``, without ``.schema.json``.
    mark : str
        The quotation mark of table names in a manifest.

    Raises
    ------
    BundleError
    """
    try:
        _validator(schema, mark)(value)
    except fastjsonschema.JsonSchemaValueException as error:
        raise BundleError(
            f"Reading {path}: it does not have the form that dj-sqlspy writes: {error.message[:500]}. "
            "Get the bundle again."
        ) from error


@functools.cache
def _validator(schema: str, mark: str) -> Callable[[Any], Any]:
    folder = resources.files(__package__).joinpath("schemas")
    text = folder.joinpath(f"{schema}.schema.json").read_text(encoding="utf-8")
    # another mark would end a name where it is no mark for the server
    text = text.replace(json.dumps(_NAME), json.dumps(_NAME.replace("`", mark)))
    validator: Callable[[Any], Any] = fastjsonschema.compile(json.loads(text))
    return validator


def read_json(path: Path, schema: str) -> dict[str, Any] | None:
    """The value in a JSON file, or None if there is no file.

    Raises
    ------
    BundleError
        If it cannot be read, or does not match ``schema``.
    """
    contents = read_bytes(path)
    if contents is None:
        return None
    value = parse(path, contents)
    require_schema(path, value, schema)
    found: dict[str, Any] = value
    return found
