"""Reading: the JSON files of a bundle, which anyone may have written.

In: a path in the folder of a bundle. Out: what the file holds, once it has the form that its JSON Schema says
(``schemas/``); else an error. It follows no symbolic link, opens nothing but regular files, and reads none that is
larger than any bundle has. What the values mean is not looked at here.
"""

from __future__ import annotations

import functools
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
                    f"Reading {path}: it is larger than {LARGEST >> 20} MiB, which none of a bundle is."
                )
            return file.read(LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BundleError(f"Reading {path}: {error}. Get the bundle again.") from error


def require_regular(paths: Iterable[Path]) -> None:
    """Raise where one of these is there and is not a regular file, such as a symbolic link or a named pipe.

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
    """The value of a text of JSON.

    Raises
    ------
    BundleError
        If it is none, or too deep.
    """
    try:
        return json.loads(contents.decode("utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise BundleError(f"Reading {path}: it is nested too deep.") from None
    except ValueError as error:
        raise BundleError(f"Reading {path}: it is not JSON ({error}). Get the bundle again.") from error


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number")


def require_schema(path: Path, value: Any, schema: str) -> None:
    """Raise unless a value has the form that a schema says.

    Parameters
    ----------
    path : Path
        Where it was read, for the message.
    value : object
    schema : str
        Its name in ``schemas/``, without ``.schema.json``.

    Raises
    ------
    BundleError
    """
    try:
        _validator(schema)(value)
    except fastjsonschema.JsonSchemaValueException as error:
        raise BundleError(
            f"Reading {path}: it has not the form that dj-sqlspy writes: {error.message[:500]}. Get the bundle again."
        ) from error


@functools.cache
def _validator(schema: str) -> Callable[[Any], Any]:
    folder = resources.files(__package__).joinpath("schemas")
    text = folder.joinpath(f"{schema}.schema.json").read_text(encoding="utf-8")
    validator: Callable[[Any], Any] = fastjsonschema.compile(json.loads(text))
    return validator


def read_json(path: Path, schema: str) -> dict[str, Any] | None:
    """What a file of JSON holds, or None if there is none.

    Raises
    ------
    BundleError
        If it cannot be read, or has not the form that ``schema`` says.
    """
    contents = read_bytes(path)
    if contents is None:
        return None
    value = parse(path, contents)
    require_schema(path, value, schema)
    found: dict[str, Any] = value
    return found
