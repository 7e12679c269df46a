"""Package: ``datapackage.json``, which describes the files of an open copy for programs, and the check of a folder.

In: the manifest, and the files of a new folder. Out: ``datapackage.json`` (Frictionless Data Package), and, of a folder
of somebody else, in which points it is not what that file says. It reads no value.

Validators accept a wrong checksum of a Parquet file, so the check is our own: files, sizes, checksums, columns, rows.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .. import atomic
from ..bundle.about import license_link, orcid_link, paper_link, web_link
from ..bundle.crate import CRATE_FILE, crate_of
from ..bundle.guide import title_of
from ..bundle.reading import read_json, sha256_of
from ..errors import BundleError
from ..servers.tables import Table
from .columns import Kept
from .croissant import FILE as CROISSANT_FILE
from .croissant import apart, croissant
from .result import PACKAGE_FILE, CopiedTable, DecodedColumn
from .titles import distinct

PARQUET = "application/vnd.apache.parquet"
_SCHEMA = "datapackage-1"

# What a type of Arrow is in the package. "any" is what its validator has no type for: bytes, UUIDs, durations.
_TYPES = {pa.date32(): "date", pa.string(): "string", pa.float64(): "number"}


def describe(
    folder: Path,
    manifest: Mapping[str, Any],
    tables: Sequence[tuple[CopiedTable, Table, Sequence[Kept]]],
    others: Mapping[str, tuple[str, str]],
) -> None:
    """Write ``datapackage.json``, and ``ro-crate-metadata.json`` where the library for it is installed.

    Parameters
    ----------
    folder : Path
        With all files that are named.
    manifest : mapping
    tables : sequence of (CopiedTable, Table, sequence of Kept)
        As they were written.
    others : mapping
        Of each further file its description and media type.
    """
    files = [copied.path.rpartition("/")[2].removesuffix(".parquet") for copied, _, _ in tables]
    names = dict(zip((copied.name for copied, _, _ in tables), distinct(map(_plain, files)), strict=True))
    nullable = {
        copied.name: {one.column.name for one in columns if one.column.nullable}
        for copied, _, columns in tables
    }
    keys: dict[str, list[dict[str, Any]]] = {}
    for key in manifest["foreign_keys"]:
        child, parent = key["child"], key["parent"]
        # a NULL that is a number is NaN to frictionless, and no key refers to that
        if child in names and parent in names and nullable[child].isdisjoint(key["columns"]):
            to = {"resource": "" if child == parent else names[parent], "fields": key["parent_columns"]}
            keys.setdefault(child, []).append({"fields": key["columns"], "reference": to})
    resources = []
    for copied, table, _ in tables:
        written = pq.read_schema(folder / copied.path)
        schema: dict[str, Any] = {
            "fields": [_field(field, nullable[copied.name]) for field in written],
            "missingValues": [],  # an empty text is a value
        }
        if table.primary_key:
            schema["primaryKey"] = list(table.primary_key)
        if copied.name in keys:
            schema["foreignKeys"] = keys[copied.name]
        about: dict[str, Any] = {
            "title": copied.name,
            "description": table.comment or None,
            "format": "parquet",
        }
        about |= {"rows": copied.rows, "profile": "tabular-data-resource", "schema": schema}
        resources.append(_resource(names[copied.name], folder, copied.path, PARQUET, about))
        for one in copied.decoded:
            if one.path:
                resources += _decoded(folder, one, copied.name)
    for number, (path, (what, kind)) in enumerate(others.items(), 1):
        resources.append(_resource(f"file-{number}", folder, path, kind, {"description": what}))
    described = json.dumps(croissant(_schema_org(manifest), resources), indent=1, ensure_ascii=False)
    atomic.write(folder / CROISSANT_FILE, described + "\n")
    what = "the files, tables and columns for tools of machine learning (Croissant)"
    resources.append(
        _resource("croissant", folder, CROISSANT_FILE, "application/ld+json", {"description": what})
    )
    package = {**_about(manifest), "resources": resources}
    atomic.write(folder / PACKAGE_FILE, json.dumps(package, indent=1, ensure_ascii=False) + "\n")
    _write_crate(folder, manifest, resources)


def _decoded(folder: Path, one: DecodedColumn, table: str) -> Iterator[dict[str, Any]]:
    """The files with the decoded values of a column."""
    name = _plain(f"decoded-{one.path.rpartition('/')[2].removesuffix('.parquet')}")
    with pq.ParquetFile(folder / one.path) as file:
        schema = {"fields": [_field(field, {one.column}) for field in file.schema_arrow], "missingValues": []}
        rows = file.metadata.num_rows
    about = {
        "title": f"{one.column} of {table}, decoded",
        "description": one.what,
        "format": "parquet",
        "rows": rows,
        "profile": "tabular-data-resource",
        "schema": schema,
    }
    yield _resource(name, folder, one.path, PARQUET, about)
    archive = one.path.removesuffix("parquet") + "npz"
    if (folder / archive).exists():
        what = f"arrays and other values of {one.column} of {table}, by name"
        yield _resource(f"{name}.npz", folder, archive, "application/zip", {"description": what})


def _write_crate(folder: Path, manifest: Mapping[str, Any], resources: Sequence[Mapping[str, Any]]) -> None:
    files = {
        one["path"]: {
            "description": one.get("description") or one.get("title") or one["name"],
            "encodingFormat": one["mediatype"],
            "contentSize": str(one["size"]),
            "sha256": one["hash"].removeprefix("sha256:"),
        }
        for one in resources
    }
    files[PACKAGE_FILE] = {
        "description": "the files, columns and keys for programs (Frictionless Data Package)",
        "encodingFormat": "application/json",
        "contentSize": str((folder / PACKAGE_FILE).stat().st_size),
        "sha256": sha256_of(folder / PACKAGE_FILE),
    }
    when = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    text = crate_of(manifest, files, "Open copy of the slice", when)
    if text is not None:
        atomic.write(folder / CRATE_FILE, text)


def _about(manifest: Mapping[str, Any]) -> dict[str, Any]:
    about = manifest.get("about") or {}
    found: dict[str, Any] = {
        "profile": "data-package",
        "name": _plain(manifest["paper"] or "slice"),
        "title": title_of(manifest),
        "description": about.get("description"),
        "created": str(manifest["created"]),
        "keywords": about.get("keywords"),
    }
    if terms := about.get("license"):
        link = web_link(terms)
        found["licenses"] = [{"path": link} if link else {"name": terms}]
    found["contributors"] = [
        {
            name: text
            for name, text in (
                ("title", author["name"]),
                ("path", orcid_link(author)),
                ("organization", author.get("affiliation")),
            )
            if text
        }
        for author in about.get("authors") or ()
    ]
    if link := paper_link(about):
        found["sources"] = [{"title": about.get("title") or "The paper", "path": link}]
    return {name: value for name, value in found.items() if value}


def _schema_org(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What schema.org has for a data set."""
    about = manifest.get("about") or {}
    authors = [
        {
            "@type": "sc:Person",
            "name": author["name"],
            **({"url": link} if (link := orcid_link(author)) else {}),
        }
        for author in about.get("authors") or ()
    ]
    found: dict[str, Any] = {
        "name": title_of(manifest),
        "description": about.get("description") or title_of(manifest),
        "datePublished": str(manifest["created"]),
        "license": license_link(about),
        "url": paper_link(about),
        "citeAs": about.get("citation"),
        "keywords": about.get("keywords"),
        "creator": authors,
    }
    return {name: value for name, value in found.items() if value}


def _resource(name: str, folder: Path, path: str, kind: str, about: Mapping[str, Any]) -> dict[str, Any]:
    said = {text: value for text, value in about.items() if value is not None}
    # not "bytes": frictionless counts none of a Parquet file, and then calls each number wrong
    size = (folder / path).stat().st_size
    checksum = f"sha256:{sha256_of(folder / path)}"
    return {"name": name, "path": path, "mediatype": kind, **said, "size": size, "hash": checksum}


def _field(field: pa.Field, nullable: set[str]) -> dict[str, str]:
    """
    >>> _field(pa.field("n", pa.int32(), metadata={"type": "int"}), set())
    {'name': 'n', 'type': 'integer', 'arrowType': 'int32', 'sqlType': 'int'}
    """
    kind = _TYPES.get(field.type, "any")
    if pa.types.is_integer(field.type):
        # frictionless reads integers beside NULL as floats, which are no integers to it
        kind = "number" if field.name in nullable else "integer"
    elif pa.types.is_decimal(field.type):
        kind = "number"
    elif pa.types.is_timestamp(field.type):
        kind = "datetime"
    said = {name.decode(): text.decode() for name, text in (field.metadata or {}).items()}
    found = {
        "name": field.name,
        "type": kind,
        "description": said.get("comment"),
        "arrowType": str(field.type),
    }
    found |= {"sqlType": said.get("type"), "note": said.get("note")}
    return {name: text for name, text in found.items() if text}


def _plain(name: str) -> str:
    """A name as Frictionless allows it: small letters, digits, dots and dashes.

    >>> _plain("lab.#Animal x")
    'lab.-animal-x'
    """
    return re.sub(r"[^-a-z0-9._]", "-", name.lower()) or "-"


# ---------------------------------------------------------------- the check


def check(folder: Path) -> list[str]:
    """In which points a folder is not the open copy that its ``datapackage.json`` describes, in words.

    Raises
    ------
    BundleError
        If there is no such file, or it is not valid.
    """
    package = read_json(folder / PACKAGE_FILE, _SCHEMA)
    if package is None:
        raise BundleError(f"Checking {folder}: there is no {PACKAGE_FILE}, so it is no open copy.")
    listed = {one["path"]: one for one in package["resources"]}
    found = [] if len(listed) == len(package["resources"]) else [f"{PACKAGE_FILE}: a file is named twice"]
    for file, resource in listed.items():
        found += [f"{file}: {what}" for what in _apart(folder, file, resource)]
    if CROISSANT_FILE in listed and (folder / CROISSANT_FILE).is_file():
        found += [f"{CROISSANT_FILE}: {what}" for what in apart(folder, package["resources"])]
    ours = {
        *listed,
        *(part for file in listed if (part := file.rpartition("/")[0])),
        PACKAGE_FILE,
        CRATE_FILE,
    }
    there = {one.relative_to(folder).as_posix() for one in folder.rglob("*")}
    return found + [f"{file}: {PACKAGE_FILE} does not name it" for file in sorted(there - ours)]


def _apart(folder: Path, file: str, resource: Mapping[str, Any]) -> Iterator[str]:
    path = folder / file
    if any(one.is_symlink() for one in (path, path.parent)) or (path.exists() and not path.is_file()):
        yield "it is no regular file"
    elif not path.exists():
        yield "it is missing"
    elif (size := path.stat().st_size) != resource["size"]:
        yield f"it has {size:,} bytes, not {resource['size']:,}"
    elif f"sha256:{sha256_of(path)}" != resource["hash"]:
        yield "its contents have changed: it has another SHA-256"
    elif "schema" in resource:
        yield from _other_columns(path, resource)


def _other_columns(path: Path, resource: Mapping[str, Any]) -> Iterator[str]:
    try:
        with pq.ParquetFile(path) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        yield f"it cannot be read as Parquet: {error}"
        return
    if rows != resource["rows"]:
        yield f"it has {rows:,} rows, not {resource['rows']:,}"
    columns = [(field.name, str(field.type)) for field in schema]
    named = [(field["name"], field["arrowType"]) for field in resource["schema"]["fields"]]
    if columns != named:
        other = [name for name, _ in sorted({*columns} ^ {*named})] or ["their order"]
        yield f"it has other columns: {', '.join(dict.fromkeys(other))}"
