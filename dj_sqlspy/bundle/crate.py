"""Crate: ``ro-crate-metadata.json``, which describes a bundle to archives and search engines.

In: a manifest, and the names of the files in the bundle. Out: the text of the file (RO-Crate; Soiland-Reyes et al.,
2022), or None if the library for it (rocrate, in the extra ``publish``) is not installed.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..external.sums import SUMS, read_sums
from ..servers import NAMES
from .about import license_link, orcid_link, paper_link
from .guide import DUMP_FILE, FORMATS, SOURCE_DATA, title_of
from .reading import sha256_of

CRATE_FILE = "ro-crate-metadata.json"
NOTEBOOK_FORMAT = "application/x-ipynb+json"
# By the ending of a file of source data, what it is, and its media type.
_SOURCE_FORMATS = {
    SUMS: ("checksums of the files of source data", "text/plain"),
    "csv": ("the rows of a result", "text/csv"),
    "md": ("what the results are", "text/markdown"),
    "npz": ("arrays and other bytes of a column of a result", "application/zip"),
    "parquet": ("the rows of a result, with their types", "application/vnd.apache.parquet"),
    "sql": ("the query of a result", "application/sql"),
    "xlsx": (
        "the rows of a result, for Excel",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
}


def is_available() -> bool:
    """Whether the library is installed."""
    return importlib.util.find_spec("rocrate") is not None


def crate_text(
    manifest: Mapping[str, Any], sizes: Mapping[str, int | None], folder: Path | None = None
) -> str | None:
    """The text of ``ro-crate-metadata.json``.

    Parameters
    ----------
    manifest : mapping
    sizes : mapping of str to int or None
        Files of the bundle, with their sizes in bytes if known.
    folder : Path, optional
        Folder of the bundle, for the checksum of the dump.
    """
    files = {}
    for name in sorted(sizes.keys() - {CRATE_FILE, f"{SOURCE_DATA}/"}):
        what, kind = FORMATS[name]
        files[name] = {"description": what, "encodingFormat": kind}
        if sizes[name] is not None:
            files[name]["contentSize"] = str(sizes[name])
        if folder is not None and name == DUMP_FILE:
            files[name]["sha256"] = sha256_of(folder / name)
    code = [one for one in manifest.get("code") or () if one["state"] != "missing"]
    source_data = folder / SOURCE_DATA if folder is not None and f"{SOURCE_DATA}/" in sizes else None
    return crate_of(manifest, files, "Export of the slice", str(manifest["created"]), code, source_data)


def crate_of(
    manifest: Mapping[str, Any],
    files: Mapping[str, Mapping[str, str]],
    made: str,
    when: str,
    code: Sequence[Mapping[str, Any]] = (),
    source_data: Path | None = None,
) -> str | None:
    """The text of ``ro-crate-metadata.json`` of a folder with data of a bundle; None without the library.

    Parameters
    ----------
    manifest : mapping
        Of the bundle.
    files : mapping
        What is said about each file, by its path in the folder.
    made, when : str
        How the folder came about, and the time in ISO 8601.
    code : sequence of mapping
        Scripts and notebooks in it, as the manifest has them.
    source_data : Path, optional
        The folder of source data in it.
    """
    if not is_available():
        return None
    from rocrate.rocrate import ROCrate

    crate = ROCrate()
    _describe(crate, manifest)
    for name, texts in files.items():
        crate.add_file(None, dest_path=name, properties={"name": name, **texts})
    if source_data is not None:
        _add_source_data(crate, source_data)
    if code:
        _add_code(crate, code, manifest["versions"]["python"])
    software = {
        "@type": "SoftwareApplication",
        "name": "dj-sqlspy",
        "version": manifest["versions"]["dj-sqlspy"],
        "url": "https://pypi.org/project/dj-sqlspy/",
    }
    action = {
        "@type": "CreateAction",
        "name": made,
        "instrument": _add(crate, "#dj-sqlspy", software),
        "endTime": when,
        "result": crate.root_dataset,
    }
    crate.root_dataset["mentions"] = _add(crate, "#export", action)
    return json.dumps(crate.metadata.generate(), indent=1, ensure_ascii=False) + "\n"


def _add_source_data(crate: Any, folder: Path) -> None:
    """Describe a folder of source data, by its list of checksums."""
    name = f"{SOURCE_DATA}/"
    what, _ = FORMATS[name]
    made = crate.add_dataset(None, dest_path=name, properties={"name": name, "description": what})
    sums = read_sums(folder / SUMS)
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_symlink()}
    for path in sorted({*sums, SUMS} & there):
        ending = path.rpartition(".")[2]
        if ending not in _SOURCE_FORMATS or not (folder / path).is_file():
            continue
        about, kind = _SOURCE_FORMATS[ending]
        texts = {"name": path, "description": about, "encodingFormat": kind}
        if path in sums:
            texts["sha256"] = sums[path]
        texts["contentSize"] = str((folder / path).stat().st_size)
        made.append_to("hasPart", crate.add_file(None, dest_path=f"{name}{path}", properties=texts))


def _add(crate: Any, identifier: str, properties: Mapping[str, Any]) -> Any:
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties=dict(properties)))


def _describe(crate: Any, manifest: Mapping[str, Any]) -> None:
    """Describe the data set, its authors and its paper."""
    about = manifest.get("about") or {}
    crate.name = title_of(manifest)
    crate.description = about.get("description") or _description(manifest)
    crate.datePublished = str(manifest["created"])
    server = NAMES[manifest["server"]["flavor"]]
    words = about.get("keywords") or ["DataJoint", server, "vertical slice of a database"]
    crate.keywords = words if len(words) > 1 else words[0]
    if link := license_link(about):
        terms = about["license"]
        texts = {"@type": "CreativeWork", "name": terms, "description": f"License: {terms}"}
        crate.license = _add(crate, link, texts)
    else:
        crate.license = "All rights reserved: the authors have not named a license for this data set."
    if about.get("authors"):
        crate.root_dataset["author"] = [
            _person(crate, number, author) for number, author in enumerate(about["authors"], 1)
        ]
    if about.get("citation"):
        crate.root_dataset["creditText"] = about["citation"]
    if about.get("doi") or about.get("url"):
        name = about.get("title") or manifest["paper"] or "The paper"
        texts = {"@type": "ScholarlyArticle", "name": name}
        crate.root_dataset["citation"] = _add(crate, paper_link(about) or "#paper", texts)


def _person(crate: Any, number: int, author: Mapping[str, Any]) -> Any:
    from rocrate.model.person import Person

    texts = {"name": author["name"]}
    if author.get("affiliation"):
        place = {"@type": "Organization", "name": author["affiliation"]}
        texts["affiliation"] = _add(crate, f"#affiliation-{number}", place)
    return crate.add(Person(crate, orcid_link(author) or f"#author-{number}", texts))


def _add_code(crate: Any, code: Iterable[Mapping[str, Any]], version: str) -> None:
    language = {"@type": "ComputerLanguage", "name": "Python", "url": "https://www.python.org"}
    python = _add(crate, "#python", {**language, "version": version})
    for one in code:
        texts = {
            "@type": ["File", "SoftwareSourceCode"],
            "name": one["path"],
            "description": f"The code of the analyses {', '.join(one['analyses'])}",
            "encodingFormat": NOTEBOOK_FORMAT if one["path"].endswith(".ipynb") else "text/x-python",
            "programmingLanguage": python,
            "contentSize": str(one["size"]),
            "sha256": one["sha256"],
        }
        if one["git"]:
            texts["version"] = one["git"]["commit"] + ("-dirty" if one["git"]["dirty"] else "")
        crate.add_file(None, dest_path=one["path"], properties=texts)


def _description(manifest: Mapping[str, Any]) -> str:
    rows = sum(table["rows"] for table in manifest["tables"])
    return (
        f"A slice of a DataJoint database: the {rows:,} rows of {len(manifest['tables']):,} tables that the analyses "
        f"of the paper read, and the rows that these refer to, with {len(manifest['statements']):,} captured "
        f"statements that return the same rows from it as from the source."
    )
