"""Dandisets: a program of its own, which asks DANDI's tools about NWB files, and lets them lay these out.

In: requests on a socket, which is its standard output. Out: answers as JSON. The packages dandi and nwbinspector are
imported here and nowhere else; nothing of dj_sqlspy is. They ask no server.

=========================  ==================================================================================
``inspect`` PATH           what nwbinspector says, with DANDI's configuration, and without what `dandi validate` says
                           by pynwb's validator; and the ids in the file
``change`` PATH, VALUES    writes fields of the subject and the ``object_id``; what was there before
``metadata`` PATH          what `dandi organize` reads: ids, and the media files that it takes along
``names`` PATHS            the places that `dandi organize` gives files, in order
``organize`` PATHS, TO     `dandi organize`, which moves the files
``validate`` FOLDER        what `dandi validate` says of a folder that has become a dandiset
=========================  ==================================================================================
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_ROWS: dict[str, dict[str, Any]] = {}  # what `dandi organize` reads of a file, by its path

SUBJECT = "general/subject"
DESCRIPTION = "dandiset.yaml"


def main(connection: Connection) -> None:
    """Answer requests until the other side hangs up."""
    warnings.simplefilter("ignore")
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        try:
            answer = {"answer": _TASKS[request.pop("task")](**request)}
        except Exception as error:  # of packages that have no class of their own
            answer = {"error": f"{type(error).__name__}: {error}"}
        connection.send_bytes(json.dumps(answer).encode())


def _inspect(path: str) -> dict[str, Any]:
    from nwbinspector import inspect_nwbfile, load_config

    said = [
        {
            "severity": one.importance.name,
            "id": one.check_function_name,
            "message": one.message.strip().split("\n")[-1],  # of a traceback, what it says
            "where": one.location or "",
        }
        for one in inspect_nwbfile(nwbfile_path=path, config=load_config("dandi"), skip_validate=True)
        if one is not None
    ]
    return {"said": said, **_ids(path)}


def _ids(path: str) -> dict[str, str]:
    import h5py

    with h5py.File(path, "r") as file:
        found = {"object_id": str(file.attrs.get("object_id", ""))}
        for name in ("subject_id", "sex", "species", "age"):
            found[name] = _string(file, f"{SUBJECT}/{name}")
        found["session_id"] = _string(file, "general/session_id")
        found["subject"] = "yes" if SUBJECT in file else ""
    return found


def _string(file: Any, at: str) -> str:
    value = file[at][()] if at in file else b""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _change(path: str, values: dict[str, str]) -> dict[str, str]:
    import h5py

    before = _ids(path)
    with h5py.File(path, "r+") as file:
        for name, value in values.items():
            if name == "object_id":
                file.attrs["object_id"] = value
                continue
            with contextlib.suppress(KeyError):
                del file[SUBJECT][name]
            file[SUBJECT].create_dataset(name, data=value, dtype=h5py.string_dtype())
    return {name: before[name] for name in values}


def _metadata(path: str) -> dict[str, Any]:
    from dandi.metadata.nwb import get_metadata
    from dandi.organize import filter_invalid_metadata_rows

    _ROWS[path] = found = {**(get_metadata(path) or {}), "path": path}
    valid, _ = filter_invalid_metadata_rows([found])
    media = [str(name) for one in found.get("external_file_objects", ()) for name in one["external_files"]]
    return {"valid": bool(valid), "media": media}


def _names(paths: list[str]) -> list[str]:
    from dandi.organize import create_unique_filenames_from_metadata

    for path in paths:
        if path not in _ROWS:  # this program was started anew
            _metadata(path)
    rows = [_ROWS[path] for path in paths]
    named = {row["path"]: row["dandi_path"] for row in create_unique_filenames_from_metadata(rows)}
    return [named[path] for path in paths]


def _organize(paths: list[str], to: str) -> None:
    from dandi.organize import CopyMode, FileOperationMode, organize

    organize(
        paths,
        to,
        files_mode=FileOperationMode.MOVE,
        media_files_mode=CopyMode.MOVE,
        update_external_file_paths=True,
        jobs=1,
    )


def _validate(folder: str) -> list[dict[str, str]]:
    from dandi.validate._core import validate  # which its package says to import from here

    description = Path(folder, DESCRIPTION)  # without one, no place in the folder is a right one
    description.write_text("identifier: '000000'\nname: being checked\ndescription: being checked\n")
    try:
        return [
            {
                "severity": one.severity.name if one.severity else "",
                "id": one.id,
                "message": (one.message or "").strip().split("\n")[-1],
                "path": os.path.relpath(one.path, folder) if one.path else "",
            }
            for one in validate(folder)
            if one.path != description
        ]
    finally:
        description.unlink()


_TASKS: dict[str, Callable[..., Any]] = {
    "inspect": _inspect,
    "change": _change,
    "metadata": _metadata,
    "names": _names,
    "organize": _organize,
    "validate": _validate,
}


if __name__ == "__main__":
    os.environ |= {"DANDI_NO_ET": "1", "DANDI_CACHE": "ignore", "HDF5_USE_FILE_LOCKING": "FALSE"}
    connection = Connection(os.dup(1))
    os.dup2(2, 1)  # what a library prints is no answer
    main(connection)
