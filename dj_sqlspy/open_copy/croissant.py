"""Croissant: ``croissant.json``, which describes an open copy to catalogues and tools of machine learning.

In: the files of a copy as ``datapackage.json`` names them. Out: Croissant 1.0 (Akhtar et al., 2024), which is
schema.org in JSON-LD with files, tables and columns; and, of a folder of somebody else, where it says otherwise than
``datapackage.json``. Validators accept a wrong checksum and a missing file.

Its validator knows no type for bytes and durations, and refuses a column without one that it knows. So they have two:
``sc:Text``, and ``xsd:hexBinary`` or ``sc:Duration``. Foreign keys are not there: it cannot read a table that has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..bundle.reading import read_json

FILE = "croissant.json"
_SCHEMA = "croissant-1"
# As the specification of Croissant 1.0 has it: tools compare it word for word. The last name is ours.
_TERMS = (
    "citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes isLiveDataset"
    " jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source"
    " subField transform"
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _TERMS.split()},
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_TYPES: dict[str, str | list[str]] = {
    **{f"int{width}": f"cr:Int{width}" for width in (8, 16, 32, 64)},
    **{f"uint{width}": f"cr:UInt{width}" for width in (8, 16, 32, 64)},
    "bool": "sc:Boolean",
    "float": "cr:Float32",
    "double": "cr:Float64",
    "string": "sc:Text",
    "date32[day]": "sc:Date",
    "duration[us]": ["sc:Text", "sc:Duration"],
    "binary": ["sc:Text", "xsd:hexBinary"],
    "extension<arrow.uuid>": "sc:Text",
}


def croissant(about: Mapping[str, Any], resources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The contents of ``croissant.json``.

    Parameters
    ----------
    about : mapping
        Of the data set: ``name``, ``description`` and what else schema.org has for one.
    resources : sequence of mapping
        Files and tables as in ``datapackage.json``.
    """
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **about,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": one["name"],
                "name": one["path"],
                "description": one.get("description") or one.get("title") or one["path"],
                "contentUrl": one["path"],
                "contentSize": f"{one['size']} B",
                "encodingFormat": _FORMATS.get(one["mediatype"], one["mediatype"]),
                "sha256": one["hash"].removeprefix("sha256:"),
            }
            for one in resources
        ],
        "recordSet": [_records(one) for one in resources if "schema" in one],
    }


# the name that Croissant's tools read Parquet by
_FORMATS = {"application/vnd.apache.parquet": "application/x-parquet"}


def _records(one: Mapping[str, Any]) -> dict[str, Any]:
    identifier, schema = f"rows-{one['name']}", one["schema"]
    found = {
        "@type": "cr:RecordSet",
        "@id": identifier,
        "name": one.get("title", one["name"]),
        "description": one.get("description") or one.get("title") or one["name"],
    }
    if schema.get("primaryKey"):
        found["key"] = [{"@id": _field(identifier, name)} for name in schema["primaryKey"]]
    return {**found, "field": [_column(identifier, one["name"], field) for field in schema["fields"]]}


def _field(records: str, name: str) -> str:
    return f"{records}/{quote(name, safe='')}"


def _column(records: str, file: str, field: Mapping[str, Any]) -> dict[str, Any]:
    kind, repeated = field["arrowType"], False
    if kind.startswith("list<"):  # "list<element: double>"
        kind, repeated = kind.removesuffix(">").rpartition(": ")[2], True
    found = {
        "@type": "cr:Field",
        "@id": _field(records, field["name"]),
        "name": field["name"],
        "description": "; ".join(filter(None, (field.get("description"), field.get("note"))))
        or field["name"],
        "dataType": _type(kind),
        "source": {"fileObject": {"@id": file}, "extract": {"column": field["name"]}},
    }
    if repeated:
        found["repeated"] = True
    return found


def _type(arrow: str) -> str | list[str]:
    """
    >>> _type("uint16"), _type("decimal128(10, 2)"), _type("timestamp[us, tz=UTC]"), _type("struct<a: int64>")
    ('cr:UInt16', 'sc:Float', 'sc:DateTime', 'sc:Text')
    """
    if arrow.startswith("decimal"):
        return "sc:Float"
    return "sc:DateTime" if arrow.startswith("timestamp") else _TYPES.get(arrow, "sc:Text")


def apart(folder: Path, resources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Where the ``croissant.json`` of a folder says otherwise than its ``datapackage.json``, in words."""
    found = read_json(folder / FILE, _SCHEMA)
    if found is None:
        return
    described = {one["contentUrl"]: (one["sha256"], one["contentSize"]) for one in found["distribution"]}
    paths = {one["@id"]: one["contentUrl"] for one in found["distribution"]}
    columns = {
        paths.get(records["field"][0]["source"]["fileObject"]["@id"], ""): [
            (field["source"]["extract"]["column"], paths.get(field["source"]["fileObject"]["@id"]))
            for field in records["field"]
        ]
        for records in found["recordSet"]
    }
    for one in resources:
        path = one["path"]
        if path == FILE:
            continue
        if path not in described:
            yield f"it does not name {path}"
        elif described[path] != (one["hash"].removeprefix("sha256:"), f"{one['size']} B"):
            yield f"it has another checksum or size of {path}"
        if "schema" in one and columns.get(path) != [
            (field["name"], path) for field in one["schema"]["fields"]
        ]:
            yield f"it has other columns of {path}"
    more = sorted(described.keys() - {one["path"] for one in resources})
    yield from (f"it names {path}, and datapackage.json does not" for path in more)
