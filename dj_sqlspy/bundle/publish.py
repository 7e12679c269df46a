"""Publish: what a bundle holds for its readers beside the rows.

In: the manifest of a bundle, a connection to the source, the files behind the slice. Out: additions to the
manifest, and the texts of the files that are made from it (`FILES`). They are made again from ``manifest.json``,
``replay.json`` and ``inspection.json`` whenever one of these changes, also by a reader who has nothing but the
bundle.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import atomic
from ..sql import full_name
from . import environment
from .about import read_about
from .crate import CRATE_FILE, crate_text, is_available
from .guide import FORMATS, README_FILE, readme_text
from .report import report_html

if TYPE_CHECKING:
    from ..files import File
    from ..replay import ReplayReport
    from ..slices import Slice

REPLAY_FILE = "replay.json"
INSPECTION_FILE = "inspection.json"
REPORT_FILE = "report.html"
FILES = frozenset(
    {
        *(README_FILE, REPORT_FILE, REPLAY_FILE, INSPECTION_FILE, CRATE_FILE),
        *(environment.PIP_FILE, environment.CONDA_FILE),
    }
)


def complete(
    manifest: dict[str, Any],
    cut: Slice,
    connection: Any,
    files: Sequence[File],
    about: str | Path | Mapping[str, Any] | None = None,
) -> None:
    """Add to a manifest what the database says of its tables, the files behind the slice, and the environment.

    Parameters
    ----------
    manifest : dict
    cut : Slice
    connection : pymysql connection
        To the source.
    files : sequence of File
        Behind the slice.
    about : path or mapping, optional
        What the lab says of its paper (see `about`).
    """
    manifest["about"] = read_about(about)
    manifest["environment"] = environment.environment()
    comments, columns = _dictionary(cut, connection)
    for table in manifest["tables"]:
        table["comment"] = comments.get(table["name"], "")
        table["columns"] = columns.get(table["name"], [])
    # no note: it can name a folder or a host of the lab
    manifest["files"] = [
        {
            "store": file.store,
            "path": file.path,
            "kind": file.kind,
            "size": file.size,
            "checksum": file.checksum,
            "state": file.state,
            "columns": sorted({f"{row.table}.`{row.column}`" for row in file.needed_by}),
            "rows": len(file.needed_by),
        }
        for file in files
    ]


def _dictionary(cut: Slice, connection: Any) -> tuple[dict[str, str], dict[str, list[dict[str, Any]]]]:
    """Comments of tables, and the columns of each, as the database has them."""
    schemas = sorted({entry.table.schema for entry in cut.tables.values()})
    marks = ", ".join(["%s"] * len(schemas))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema, table_name, table_comment FROM information_schema.tables"
            f" WHERE table_schema IN ({marks})",
            schemas,
        )
        comments = {full_name(schema, name): comment for schema, name, comment in cursor.fetchall()}
        cursor.execute(
            "SELECT table_schema, table_name, column_name, column_type, is_nullable, column_comment"
            f" FROM information_schema.columns WHERE table_schema IN ({marks})"
            " ORDER BY table_schema, table_name, ordinal_position",
            schemas,
        )
        columns: dict[str, list[dict[str, Any]]] = {}
        for schema, name, column, kind, nullable, comment in cursor.fetchall():
            about = {"name": column, "type": kind, "nullable": nullable == "YES", "comment": comment}
            columns.setdefault(full_name(schema, name), []).append(about)
    return comments, columns


def texts(
    manifest: Mapping[str, Any], replay: Mapping[str, Any] | None = None, folder: Path | None = None
) -> dict[str, str]:
    """The files that are made from a manifest, by name.

    Parameters
    ----------
    manifest : mapping
    replay : mapping, optional
        What ``replay.json`` holds.
    folder : Path, optional
        Of the bundle, if it is there already: for what is in it beside these files.
    """
    inspection = None if folder is None else _read(folder / INSPECTION_FILE)
    out = {REPORT_FILE: report_html(manifest, replay, inspection)}
    if manifest.get("environment"):
        out |= environment.texts(manifest["environment"])
    names = {"manifest.json", "dump.sh", "restore.sh", README_FILE, *out}
    sizes: dict[str, int | None] = dict.fromkeys(names)
    if folder is not None:
        sizes |= {name: (folder / name).stat().st_size for name in FORMATS if (folder / name).exists()}
    shown = {*sizes, CRATE_FILE} if is_available() else set(sizes)
    out[README_FILE] = readme_text(manifest, shown, replay)
    sizes |= {name: len(text.encode()) for name, text in out.items()}
    crate = crate_text(manifest, sizes, folder)
    if crate is not None:
        out[CRATE_FILE] = crate
    return out


def read_replay(folder: Path) -> dict[str, Any] | None:
    """What the last replay of the bundle in a folder gave; None if there was none."""
    return _read(folder / REPLAY_FILE)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def record(folder: Path, manifest: Mapping[str, Any], report: ReplayReport) -> None:
    """Write what a replay gave into the folder of its bundle, and make the texts again.

    No row is written, also not of those that differ.
    """
    replay = {
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "equal": report.equal,
        "structure": list(getattr(report, "structure", ())),
        "tables": [
            {"name": table.name, "message": table.message}
            for table in getattr(report, "different_tables", ())
        ],
        "statements": [
            {
                "numbers": list(result.numbers),
                "state": result.state,
                "source_rows": result.source_rows,
                "slice_rows": result.slice_rows,
                "missing": result.missing,
                "extra": result.extra,
                "message": result.message,
            }
            for result in report.statements
        ],
        "keys": [
            {
                "child": key.child,
                "name": key.name,
                "parent": key.parent,
                "orphans": key.orphans,
                "lost": key.lost,
            }
            for key in report.keys
        ],
    }
    atomic.write(folder / REPLAY_FILE, json.dumps(replay, indent=1) + "\n")
    refresh(folder, manifest)


def refresh(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Make the texts of a bundle again."""
    for name, text in texts(manifest, read_replay(folder), folder).items():
        atomic.write(folder / name, text)
