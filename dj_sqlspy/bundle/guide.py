"""Guide: the README.md of a bundle, for readers of the paper without our software.

In: the manifest, the outcome of the last replay, the names of the files in the bundle. Out: Markdown. This module
chooses the contents, ``templates/README.md.j2`` has the wording. The tests run the commands of the page.
"""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import BundleError
from ..rules import LEFT_OUT
from ..servers import NAMES
from ..servers.clients import client_of
from .about import TEXTS, orcid_link, paper_link
from .environment import CONDA_FILES, PIP_FILES
from .firstrows import FIRST_ROWS_FILE
from .render import render, total_of, whole
from .tablename import TableName

README_FILE = "README.md"
DUMP_FILE = "dump.sql.gz"
SOURCE_DATA = "source-data"
COMPOSE_FILE = "compose.yaml"
COMPOSE_SCRIPT = "compose.sh"

# For each file of a bundle, a description and its media type; of a folder, "".
FORMATS = {
    README_FILE: ("what this is and how to use it", "text/markdown"),
    "report.html": ("the slice to look at: diagram, tables, statements, and what to know first", "text/html"),
    DUMP_FILE: ("the rows, and the tables that they are in", "application/gzip"),
    f"{DUMP_FILE}.cksum": ("the size and checksum that restore.sh looks for", "text/plain"),
    f"{SOURCE_DATA}/": ("what each analysis received, as tables that open without a server", ""),
    "restore.sh": ("loads dump.sql.gz into a server, and checks it", "text/x-shellscript"),
    COMPOSE_FILE: ("starts a server with the rows and a notebook: docker compose up", "application/yaml"),
    COMPOSE_SCRIPT: ("what the containers of compose.yaml run", "text/x-shellscript"),
    "dump.sh": ("made dump.sql.gz from the lab's database", "text/x-shellscript"),
    "manifest.json": ("all of this for programs: tables, statements, reasons, versions", "application/json"),
    "replay.json": ("what the captured statements returned from the loaded slice", "application/json"),
    FIRST_ROWS_FILE: ("the first rows of tables and results, as report.html shows them", "application/json"),
    "inspection.json": ("which columns may tell of people, machines or folders", "application/json"),
    "digests.json": ("checksums of tables and results, to check a loaded slice with", "application/json"),
    "ro-crate-metadata.json": ("this folder described for archives (RO-Crate)", "application/ld+json"),
    **dict.fromkeys(
        PIP_FILES, ("Python packages of the environment of the analyses named in it", "text/plain")
    ),
    **dict.fromkeys(CONDA_FILES, ("the same for conda", "application/yaml")),
}


def title_of(manifest: Mapping[str, Any]) -> str:
    """The title of the data set."""
    about = manifest.get("about") or {}
    if about.get("title"):
        return f"Data behind “{about['title']}”"
    return f"Data behind {manifest['paper']}" if manifest["paper"] else "A slice of a DataJoint database"


def readme_text(
    manifest: Mapping[str, Any], names: Iterable[str], replay: Mapping[str, Any] | None = None
) -> str:
    """The text of README.md.

    Parameters
    ----------
    manifest : mapping
    names : iterable of str
        Files of the bundle.
    replay : mapping, optional
        The contents of ``replay.json``.

    Raises
    ------
    BundleError
        If a number, table, version or kind of server is not valid.
    """
    present = set(names) | {README_FILE, DUMP_FILE}
    datajoint = datajoint_of(manifest)
    about = {**dict.fromkeys(TEXTS), "authors": [], **(manifest.get("about") or {})}
    tables, files = manifest["tables"], manifest.get("files") or []
    checked = replay is not None and replay["equal"] is True
    results = replay["statements"] if replay is not None else ()
    modules = {schema["name"]: _variable(schema["name"]) for schema in manifest["schemas"]}
    return render(
        "README.md.j2",
        title=title_of(manifest),
        manifest=manifest,
        about=about,
        paper=paper_link(about),
        orcid_link=orcid_link,
        rows=sum(whole(table["rows"]) for table in tables),
        total=total_of(table["total_rows"] for table in tables),
        server=_server(manifest),
        checked=str(replay["created"])[:10] if replay is not None and checked else "",
        apart=sum(len(one["numbers"]) for one in results if one["state"] == "excluded"),
        unlike=sum(len(one["numbers"]) for one in results if one["state"] == "differs"),
        alike=any(one["state"] == "equal" for one in results),
        contents=[(name, what) for name, (what, _) in FORMATS.items() if name in present],
        compose=COMPOSE_FILE in present,
        code=[one for one in manifest.get("code") or () if one["state"] != "missing"],
        first_rows=FIRST_ROWS_FILE in present,
        container=container_name(manifest),
        excluded=manifest.get("excluded") or (),
        pseudonyms=manifest.get("pseudonyms"),
        cut=[one["number"] for one in manifest["statements"] if LEFT_OUT in one["marks"]],
        datajoint=datajoint,
        modules=[(name, _literal(schema)) for schema, name in modules.items()],
        example=_example(tables, modules),
        files=files,
        size=sum(whole(file["size"] or 0) for file in files),
        stores=sorted({file["store"] for file in files}),
        filepaths=datajoint.startswith("0.") and any(file.get("kind") == "filepath" for file in files),
        written=str(manifest["created"])[:10],
        ran=list(_ran(manifest)),
    )


def datajoint_of(manifest: Mapping[str, Any]) -> str:
    """The version of DataJoint of the last analysis that tells it, else of the process that wrote the bundle."""
    for entry in reversed(manifest["environments"]):
        if "datajoint" in entry["packages"]:
            return _version(entry["packages"]["datajoint"])
    return _version(manifest["versions"]["datajoint"])


def _ran(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What each environment is, in words of the page."""
    for entry, file in itertools.zip_longest(manifest["environments"], PIP_FILES):
        if entry is not None:
            states = [state for one in entry["analyses"] for state in one["git"]]
            yield {
                "names": [one["name"] for one in entry["analyses"] if one["name"] is not None],
                "python": f"{entry['implementation']} {entry['python']}",
                "packages": len(entry["packages"]),
                "file": file,
                "git": [state for number, state in enumerate(states) if state not in states[:number]],
            }


def _server(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The source server: its name, its version without the packager's suffix, the closest official Docker image, and
    the variable with which that image takes the password.
    """
    flavor, version = manifest["server"]["flavor"], str(manifest["server"]["version"])
    if flavor not in NAMES:
        raise BundleError(f"Making the README of a bundle: {flavor!r:.60} is none of {', '.join(NAMES)}.")
    numbers = _NUMBERS.match(version)
    return {
        "flavor": flavor,
        "name": NAMES[flavor],
        "version": numbers[0] if numbers else version,
        "image": image_of(manifest) or str(flavor),
        "password": client_of(flavor).password,
    }


_NUMBERS = re.compile(r"(\d+(?:\.\d+)?)(?:\.\d+)*", re.ASCII)


def image_of(manifest: Mapping[str, Any], exact: bool = False) -> str | None:
    """The official Docker image of the source server's version, or ``exact``ly of its release; None if it tells none.

    >>> server = {"flavor": "mariadb", "version": "10.11.6-MariaDB-0+deb12u1"}
    >>> image_of({"server": server}), image_of({"server": server}, exact=True)
    ('mariadb:10.11', 'mariadb:10.11.6')
    """
    flavor, numbers = manifest["server"]["flavor"], _NUMBERS.match(str(manifest["server"]["version"]))
    if flavor not in NAMES or not numbers:
        return None
    client = client_of(flavor)
    tag = numbers[0] if exact else ".".join(numbers[1].split(".")[: client.numbers])
    return f"{client.image}:{tag}"


def container_name(manifest: Mapping[str, Any]) -> str:
    """A name for a container, from the name of the paper.

    >>> container_name({"paper": "Place cells, 2024"})
    'place-cells-2024'
    """
    return re.sub(r"[^a-z0-9]+", "-", (manifest["paper"] or "slice").lower()).strip("-") or "slice"


def _version(text: Any) -> str:
    """A version of a Python package, checked because it is used in a command."""
    if not isinstance(text, str) or not re.fullmatch(r"[\w.!+-]+", text, re.ASCII):
        raise BundleError(f"Making the README of a bundle: {text!r:.60} is no version.")
    return text


def _variable(schema: str) -> str:
    """A Python variable name for a schema.

    >>> _variable("lab-ephys"), _variable("2024")
    ('lab_ephys', 'schema_2024')
    """
    name = re.sub(r"\W", "_", schema, flags=re.ASCII)
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"schema_{name}"


def _literal(text: str) -> str:
    """A Python string literal, with double quotes if possible.

    >>> _literal("lab"), _literal("grün")
    ('"lab"', "'gr\\\\xfcn'")
    """
    return f'"{text}"' if re.fullmatch(r"[\w-]+", text, re.ASCII) else ascii(text)


def _example(tables: Iterable[Mapping[str, Any]], modules: Mapping[str, str]) -> str:
    """The Python name of a table with rows; "" if none has a plain name."""
    for table in tables:
        name = TableName.of(table["name"])
        plain = re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name.table)
        if table["rows"] and name.schema in modules and plain:
            return f"{modules[name.schema]}.{name.label}"
    return ""
