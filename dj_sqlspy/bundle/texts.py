"""Texts: the files for readers of a bundle.

In: the manifest of a bundle, the files behind the slice. Out: additions to the manifest, and the texts of the files
that are made from it (`FILES`). They are written again when ``manifest.json``, ``replay.json``, ``first-rows.json`` or
``inspection.json`` changes, also by a reader who has only the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .. import atomic
from ..external import File
from . import environment
from .about import read_about
from .compose import compose_texts
from .crate import CRATE_FILE, crate_text, is_available
from .firstrows import FIRST_ROWS_FILE, SCHEMA
from .guide import COMPOSE_FILE, COMPOSE_SCRIPT, FORMATS, README_FILE, SOURCE_DATA, readme_text
from .manifest import FILE
from .reading import read_json
from .report import report_html

REPLAY_FILE = "replay.json"
INSPECTION_FILE = "inspection.json"
REPORT_FILE = "report.html"
FILES = frozenset(
    {
        *(README_FILE, REPORT_FILE, REPLAY_FILE, INSPECTION_FILE, FIRST_ROWS_FILE, CRATE_FILE),
        *(COMPOSE_FILE, COMPOSE_SCRIPT),
        *(*environment.PIP_FILES, *environment.CONDA_FILES),
    }
)


def complete(
    manifest: dict[str, Any],
    files: Sequence[File],
    about: str | Path | Mapping[str, Any] | None = None,
    environments: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Add the files behind the slice, the lab's description of the paper, and the environments to a manifest.

    Parameters
    ----------
    manifest : dict
    files : sequence of File
        Files behind the slice.
    about : path or mapping, optional
        The lab's description of the paper (see `about`).
    environments : sequence of mapping
        What its analyses ran in (see `environment`).
    """
    manifest["about"] = read_about(about)
    manifest["environments"] = list(environments)
    # without notes, which can name a folder or a host of the lab
    manifest["files"] = [
        {
            "store": file.store,
            "path": _path(file),
            "kind": file.kind,
            "size": file.size,
            "checksum": file.checksum,
            "state": file.state,
            "columns": sorted({f"{row.table}.`{row.column}`" for row in file.needed_by}),
            "rows": len(file.needed_by),
            **({"linked_from": list(file.linked_from)} if file.linked_from else {}),
            **({"unread": True} if file.unread else {}),
        }
        for file in files
    ]


def _path(file: File) -> str:
    """The path in the store; of one that a link names outside of it only the name, not the lab's folders."""
    return PurePosixPath(file.path).name if file.kind == "link" and file.state == "outside" else file.path


def texts(
    manifest: Mapping[str, Any], replay: Mapping[str, Any] | None = None, folder: Path | None = None
) -> dict[str, str]:
    """The files that are made from a manifest, by name.

    Parameters
    ----------
    manifest : mapping
    replay : mapping, optional
        The contents of ``replay.json``.
    folder : Path, optional
        Folder of the bundle, if it exists, for its other files.
    """
    inspection = None if folder is None else read_json(folder / INSPECTION_FILE, "inspection-1")
    first_rows = None if folder is None else read_first_rows(folder)
    out = {REPORT_FILE: report_html(manifest, replay, inspection, first_rows)}
    out |= environment.texts(manifest["environments"])
    out |= compose_texts(manifest)
    names = {"manifest.json", "restore.sh", README_FILE, *out}
    names |= set() if manifest.get("pseudonyms") else {"dump.sh"}
    sizes: dict[str, int | None] = dict.fromkeys(names)
    if folder is not None:
        sizes |= {name: (folder / name).stat().st_size for name in FORMATS if (folder / name).is_file()}
        if (folder / SOURCE_DATA).is_dir():
            sizes[f"{SOURCE_DATA}/"] = None
    shown = {*sizes, CRATE_FILE} if is_available() else set(sizes)
    out[README_FILE] = readme_text(manifest, shown, replay)
    sizes |= {name: len(text.encode()) for name, text in out.items()}
    crate = crate_text(manifest, sizes, folder)
    if crate is not None:
        out[CRATE_FILE] = crate
    return out


def read_replay(folder: Path) -> dict[str, Any] | None:
    """The outcome of a bundle's last replay; None if there was none."""
    return read_json(folder / REPLAY_FILE, "replay-1")


def read_first_rows(folder: Path) -> dict[str, Any] | None:
    """The first rows of a bundle's tables and results; None if they were not looked at."""
    return read_json(folder / FIRST_ROWS_FILE, SCHEMA)


def refresh(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the texts of a bundle again."""
    for name, text in texts(manifest, read_replay(folder), folder).items():
        atomic.write_beside(folder / name, text, FILE)
