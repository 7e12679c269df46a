"""Digests: digests of a slice's rows and results, with which a reader can check them without the source.

In: a manifest, and a server with the loaded slice. Out: for the author ``digests.json``, written after a replay has
found the slice equal to the source; for a reader the same digests, to compare with it. They have their own file because
``manifest.json`` says what was exported and never changes, while digests come later, belong to one ``dump.sql.gz``, and
are replaced as a whole. They reveal accidents, not forgery: whoever can change the dump can change them too. This
module neither loads a slice nor knows the source.

Format, version 1. An object with

==================  =================================================================================
format              "dj-sqlspy digests"
format_version      1
created             when, ISO 8601 in UTC
dump                size and sha256 of the dump.sql.gz that was loaded
server              flavor and version of the server that it was loaded into
session             settings of the session in which the statements ran (SET SESSION name = value)
tables              name, columns, forms, rows, digest
statements          sql_sha256 (of the statement's text, UTF-8, after the texts that its connection had
                    set, each with a line feed), numbers (in the manifest), columns, forms, rows, digest,
                    ordered_digest (null unless the statement orders its rows); without statements that
                    read an excluded column
==================  =================================================================================

How to compute a digest:

1. Values are the text that the server sends, in UTF-8 (``SET NAMES utf8mb4``): ``-12``, ``0.50``,
   ``2024-05-01 12:00:00``; for binary columns the bytes. Then, by the form of its column, a value that is not NULL is
   ``text``   as it was sent;
   ``float``  as C's ``printf`` writes it: ``%.16e`` in a table (all digits of a DOUBLE), ``%.11e`` in the result of a
              statement (the last digits of a sum depend on the order of its terms); zero has no sign;
   ``json``   parsed and written in ASCII without blanks, keys sorted by code points, the last of equal keys; numbers
              that are not 64-bit integers with ``%.16e``.
2. A row is the concatenation of its values in the order of ``columns``: ``n`` for NULL, else ``v``, the number of bytes
   in decimal, ``:`` and the bytes. Its digest is the SHA-256 of that. So ``(12, NULL)`` is ``v2:12n``.
3. ``digest`` is the sum of the digests of all rows, as big-endian integers, modulo 2^256, in 64 hexadecimal digits. The
   order of rows does not matter, and duplicates count. ``ordered_digest`` is the SHA-256 of the concatenated digests of
   the rows.

Tables are read with ``SET SESSION time_zone = '+00:00', sql_mode = ''``, without generated columns, and FLOAT columns
times ``1e0``, since the servers print a FLOAT with six digits only. Statements run with the settings in ``session``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import atomic
from ..bundle.folder import DIGESTS_FILE, BundleFolder
from ..bundle.manifest import FILE, Replayed, now, replayable
from ..bundle.reading import read_json, sha256_of
from ..errors import BundleError
from ..names import split_full_name
from ..servers import Server, backend_of
from ..servers.backend import Backend, Replayer
from ..servers.catalog import Catalog
from ..servers.results import ALL_DIGITS, RESULT_DIGITS, Digest
from ..servers.snapshot import ConnectionLost, Interrupted, Refused
from ..servers.tables import Table

FORMAT = "dj-sqlspy digests"
FORMAT_VERSION = 1

FORM_OF_DATA_TYPE = {"float": "float", "double": "float", "json": "json"}


def held_tables(manifest: Mapping[str, Any]) -> list[str]:
    """Names of the tables with rows in a bundle."""
    return [table["name"] for table in (*manifest["tables"], *manifest["lineage_tables"])]


def read_catalog(loaded: Any, manifest: Mapping[str, Any]) -> Catalog:
    """The catalog of the server with the loaded bundle."""
    schemas = dict.fromkeys(split_full_name(name)[0] for name in held_tables(manifest))
    return backend_of(loaded).read_catalog(loaded, schemas)


def table_columns(table: Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of a table that its digest covers, and their forms."""
    stored = [column for column in table.columns if not column.generated]
    forms = tuple(FORM_OF_DATA_TYPE.get(column.data_type, "text") for column in stored)
    return tuple(column.name for column in stored), forms


def table_digest(
    connection: Any,
    name: str,
    columns: Sequence[str],
    forms: Sequence[str],
    condition: str = "TRUE",
    contents: Mapping[str, str] | None = None,
) -> Digest:
    """Digest the rows of a table. The session must be set by ``reading_tables``.

    ``contents`` is SQL to read instead of excluded columns.
    """
    instead, backend = contents or {}, backend_of(connection)
    # 1e0 times a DOUBLE is the same number, so FLOAT and DOUBLE need no distinction
    words = [
        instead.get(c, backend.dialect.quote(c)) + (" * 1e0" if form == "float" else "")
        for c, form in zip(columns, forms, strict=True)
    ]
    sql = f"SELECT {', '.join(words)} FROM {name} WHERE {condition}"
    return backend.digest(connection, sql, ALL_DIGITS, forms)


def measure_tables(
    loaded: Any, catalog: Catalog, manifest: Mapping[str, Any], recorded: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """The ``tables`` of a loaded slice, with recorded columns and forms if there are any."""
    backend_of(loaded).reading_tables(loaded)
    known = {entry["name"]: entry for entry in (recorded or {}).get("tables", ())}
    out: list[dict[str, Any]] = []
    for name in held_tables(manifest):
        table = catalog.tables.get(name)
        if table is None or table.is_view:
            continue
        columns, forms = table_columns(table)
        if name in known and {c.lower() for c in known[name]["columns"]} == {c.lower() for c in columns}:
            columns, forms = tuple(known[name]["columns"]), tuple(known[name]["forms"])
        found = table_digest(loaded, name, columns, forms)
        out.append(
            {
                "name": name,
                "columns": columns,
                "forms": forms,
                "rows": found.rows,
                "digest": hexadecimal(found),
            }
        )
    return out


def measure_statements(
    loaded: Any,
    manifest: Mapping[str, Any],
    recorded: Mapping[str, Any] | None,
    progress: Callable[[int, int], None] | None = None,
    instead: Mapping[int, Mapping[int, Mapping[bytes, bytes]]] | None = None,
) -> list[dict[str, Any]]:
    """The ``statements`` of a loaded slice. Those that fail have ``error`` instead of a digest.

    Then ``unknown`` says whether this kind of server does not know something in the statement. ``instead`` has, by the
    number of a statement and the position of a column of its result, values that count as others.
    """
    known = {entry["sql_sha256"]: entry for entry in (recorded or {}).get("statements", ())}
    groups = replayable(manifest)
    out: list[dict[str, Any]] = []
    backend = backend_of(loaded)
    with contextlib.ExitStack() as stack:
        stack.enter_context(backend.one_moment(loaded))
        replayer = stack.enter_context(contextlib.closing(backend.replayer(loaded)))
        for one, entries in groups.items():
            others = (instead or {}).get(entries[0]["number"])
            out.append(_measured(replayer, loaded, one, entries, known, others))
            if progress is not None:
                progress(len(out), len(groups))
    return out


def _measured(
    replayer: Replayer,
    loaded: Any,
    one: Replayed,
    entries: Sequence[Mapping[str, Any]],
    known: Mapping[str, Any],
    instead: Mapping[int, Mapping[bytes, bytes]] | None,
) -> dict[str, Any]:
    name = text_digest(one)
    about: dict[str, Any] = {"sql_sha256": name, "numbers": [entry["number"] for entry in entries]}
    try:
        forms = known.get(name, {}).get("forms")
        found = replayer.digest(
            loaded, one.sql, one.state, own=one.own, digits=RESULT_DIGITS, forms=forms, instead=instead
        )
    except ConnectionLost as error:
        raise BundleError(
            f"Running statement {about['numbers'][0]}: the server is gone ({error})."
        ) from error
    except (Refused, Interrupted) as error:
        return {**about, "error": str(error), "unknown": error.lacking}
    ordered = found.ordered.hex() if all(entry["ordered"] for entry in entries) else None
    about |= {"columns": found.columns, "forms": found.forms, "rows": found.rows}
    about |= {"digest": hexadecimal(found), "ordered_digest": ordered, "received": found.received}
    return about


def text_digest(one: Replayed) -> str:
    """SHA-256 of a statement's text after what its connection had set, each on its own line."""
    text = "\n".join((*one.state, one.sql))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def hexadecimal(found: Digest) -> str:
    """The order-insensitive digest of a result as text."""
    return f"{found.multiset:064x}"


def file_digest(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    return {"size": path.stat().st_size, "sha256": sha256_of(path)}


def read_digests(folder: Path) -> dict[str, Any] | None:
    """``digests.json`` of the bundle in a folder, or None if there is none.

    Raises
    ------
    BundleError
        If it cannot be read, or does not have the right form.
    """
    path = folder / DIGESTS_FILE
    found = read_json(path, "digests-1")
    if found is not None and any(
        len(entry["columns"]) != len(entry["forms"]) for entry in (*found["tables"], *found["statements"])
    ):
        raise BundleError(f"Reading {path}: columns and their forms are not as many. Get the bundle again.")
    return found


def session_of(
    manifest: Mapping[str, Any], recorded: Mapping[str, Any] | None, backend: Backend
) -> dict[str, str]:
    """The session settings in which a loaded bundle returns what the source did."""
    if recorded is not None:
        return dict(recorded["session"])
    return {name: manifest["server"][name] for name in backend.session_settings if name in manifest["server"]}


def write_digests(
    bundle: BundleFolder,
    dump: Mapping[str, Any],
    server: Server,
    loaded: Any,
    catalog: Catalog,
    session: Mapping[str, str],
) -> None:
    """Measure a bundle that is loaded into a server, and write its ``digests.json`` whole or not at all.

    ``loaded`` is a connection whose results are bytes.
    """
    tables = measure_tables(loaded, catalog, bundle.manifest, None)
    backend_of(loaded).set_session(loaded, session)
    statements = measure_statements(loaded, bundle.manifest, None)
    found = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": now(),
        "dump": dict(dump),
        "server": {"flavor": server.flavor, "version": server.version},
        "session": dict(session),
        "tables": tables,
        "statements": [
            {k: v for k, v in one.items() if k != "received"} for one in statements if "error" not in one
        ],
    }
    atomic.write_beside(bundle.path / DIGESTS_FILE, json.dumps(found, indent=1) + "\n", FILE)
