"""Crate: ``ro-crate-metadata.json``, by which archives and search engines know what a bundle is.

In: a manifest, and the names of the files that are in the bundle. Out: the text of the file (RO-Crate;
Soiland-Reyes et al., 2022), or None where the library that writes it (rocrate, of the extra ``publish``) is not
installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .guide import DUMP_FILE, FORMATS, title_of

CRATE_FILE = "ro-crate-metadata.json"
NOTEBOOK_FORMAT = "application/x-ipynb+json"
SPDX = "https://spdx.org/licenses/"


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
        Files of the bundle, each with its bytes if that is known.
    folder : Path, optional
        Where they are, for the checksum of the dump.
    """
    if not is_available():
        return None
    from rocrate.model.contextentity import ContextEntity
    from rocrate.model.person import Person
    from rocrate.rocrate import ROCrate

    about = manifest.get("about") or {}
    crate = ROCrate()
    crate.name = title_of(manifest)
    crate.description = about.get("description") or _description(manifest)
    crate.datePublished = str(manifest["created"])
    words = about.get("keywords") or ["DataJoint", "MySQL", "vertical slice of a database"]
    crate.keywords = words if len(words) > 1 else words[0]
    root: Any = crate.root_dataset
    if about.get("license"):
        link = about["license"] if "://" in about["license"] else f"{SPDX}{about['license']}"
        texts = {
            "@type": "CreativeWork",
            "name": about["license"],
            "description": f"License: {about['license']}",
        }
        crate.license = crate.add(ContextEntity(crate, link, properties=texts))
    else:
        crate.license = "All rights reserved: the authors have not named a license for this data set."
    people = []
    for number, author in enumerate(about.get("authors", ()), 1):
        link = f"https://orcid.org/{author['orcid']}" if author.get("orcid") else f"#author-{number}"
        texts = {"name": author["name"]}
        if author.get("affiliation"):
            place = {"@type": "Organization", "name": author["affiliation"]}
            texts["affiliation"] = crate.add(ContextEntity(crate, f"#affiliation-{number}", properties=place))
        people.append(crate.add(Person(crate, link, texts)))
    if people:
        root["author"] = people
    if about.get("citation"):
        root["creditText"] = about["citation"]
    if about.get("doi") or about.get("url"):
        link = f"https://doi.org/{about['doi']}" if about.get("doi") else about["url"]
        texts = {"@type": "ScholarlyArticle", "name": about.get("title") or manifest["paper"] or "The paper"}
        root["citation"] = crate.add(ContextEntity(crate, link, properties=texts))
    for name in sorted(sizes.keys() - {CRATE_FILE}):
        what, kind = FORMATS[name]
        texts = {"name": name, "description": what, "encodingFormat": kind}
        if sizes[name] is not None:
            texts["contentSize"] = str(sizes[name])
        if folder is not None and name == DUMP_FILE:
            texts["sha256"] = _sha256(folder / name)
        crate.add_file(None, dest_path=name, properties=texts)
    code = [one for one in manifest.get("code") or () if one["state"] != "missing"]
    if code:
        language = {"@type": "ComputerLanguage", "name": "Python", "url": "https://www.python.org"}
        language["version"] = manifest["versions"]["python"]
        python = crate.add(ContextEntity(crate, "#python", properties=language))
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
    software = {
        "@type": "SoftwareApplication",
        "name": "dj-sqlspy",
        "version": manifest["versions"]["dj-sqlspy"],
        "url": "https://pypi.org/project/dj-sqlspy/",
    }
    tool = crate.add(ContextEntity(crate, "#dj-sqlspy", properties=software))
    made = {
        "@type": "CreateAction",
        "name": "Export of the slice",
        "instrument": tool,
        "endTime": str(manifest["created"]),
        "result": root,
    }
    root["mentions"] = crate.add(ContextEntity(crate, "#export", properties=made))
    graph = crate.metadata.generate()
    return json.dumps(graph, indent=1, ensure_ascii=False) + "\n"


def _description(manifest: Mapping[str, Any]) -> str:
    rows = sum(table["rows"] for table in manifest["tables"])
    return (
        f"A slice of a DataJoint database: the {rows:,} rows of {len(manifest['tables']):,} tables that the analyses "
        f"of the paper read, and that these rows stand on, with {len(manifest['statements']):,} captured statements "
        f"that return the same rows from it as from the source."
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
