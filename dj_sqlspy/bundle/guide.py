"""Guide: the README.md of a bundle, for the reader of the paper, who has none of our software.

In: the manifest, what the last replay gave, the names of the files in the bundle. Out: Markdown. What it tells a
reader to run is run by the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..display import size_text
from ..names import split_full_name
from ..rules import LEFT_OUT

README_FILE = "README.md"
DUMP_FILE = "dump.sql.gz"

# Each file of a bundle: what it is, and its media type.
FORMATS = {
    README_FILE: ("what this is and how to use it", "text/markdown"),
    "report.html": ("the slice to look at: diagram, tables, statements, and what to know first", "text/html"),
    DUMP_FILE: ("the rows, and the tables that they are in", "application/gzip"),
    f"{DUMP_FILE}.cksum": ("the size and checksum that restore.sh looks for", "text/plain"),
    "restore.sh": ("loads dump.sql.gz into a MySQL or MariaDB server, and checks it", "text/x-shellscript"),
    "dump.sh": ("made dump.sql.gz from the lab's database", "text/x-shellscript"),
    "manifest.json": ("all of this for programs: tables, statements, reasons, versions", "application/json"),
    "replay.json": ("what the captured statements returned from the loaded slice", "application/json"),
    "inspection.json": ("which columns may tell of people, machines or folders", "application/json"),
    "digests.json": ("checksums of tables and results, to check a loaded slice with", "application/json"),
    "ro-crate-metadata.json": ("this folder described for archives (RO-Crate)", "application/ld+json"),
    "requirements.txt": ("Python packages of the environment that this was written in", "text/plain"),
    "environment.yml": ("the same for conda", "application/yaml"),
}


def title_of(manifest: Mapping[str, Any]) -> str:
    """What the data set is called."""
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
        What ``replay.json`` holds.
    """
    present = [name for name in FORMATS if name in set(names) | {README_FILE, DUMP_FILE}]
    parts = [
        f"# {_line(title_of(manifest))}",
        _intro(manifest, replay),
        _contents(manifest, present),
        _load(manifest),
        _left_out(manifest),
        _datajoint(manifest),
        _files(manifest),
        _check(),
        _cite(manifest),
        _origin(manifest),
    ]
    text = "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()


def _intro(manifest: Mapping[str, Any], replay: Mapping[str, Any] | None) -> str:
    about = manifest.get("about") or {}
    rows, total = (sum(table[key] for table in manifest["tables"]) for key in ("rows", "total_rows"))
    statements = len(manifest["statements"])
    paragraphs = [_line(about["description"])] if about.get("description") else []
    paragraphs.append(
        f"This folder holds the part of a laboratory's database that the analyses of the paper read: {rows:,} of the"
        f" {total:,} rows of {len(manifest['tables']):,} tables. The database is a [DataJoint](https://datajoint.com)"
        f" pipeline in {_server(manifest)[0]}. While the analyses ran, each query that they sent was captured"
        f" ({statements:,} in all). The rows that a result depends on are here, and so are the rows that these refer"
        " to; no other row is."
    )
    if replay is not None and replay["equal"]:
        apart = sum(len(one["numbers"]) for one in replay["statements"] if one["state"] == "excluded")
        but = f" (but for {apart:,}, which read columns without contents)" if apart else ""
        paragraphs.append(
            f"This was checked on {str(replay['created'])[:10]}: loaded into an empty server, these rows gave the same"
            f" result for every captured query as the laboratory's database{but}, and every foreign key found its row."
        )
    paragraphs.append(
        "Open `report.html` in a browser to see which tables there are, what their columns mean, which queries were"
        " captured, and why each row is here."
    )
    return "\n\n".join(paragraphs)


def _contents(manifest: Mapping[str, Any], names: Iterable[str]) -> str:
    lines = [f"| `{name}` | {FORMATS[name][0]} |" for name in names]
    for one in manifest.get("code") or ():
        if one["state"] != "missing":
            what = f"code of {', '.join(map(_line, one['analyses']))}"
            changed = "; changed since it ran" if one["state"] == "changed" else ""
            lines.append(f"| `{one['path']}` | {what}{changed} |")
    rows = "\n".join(lines)
    return f"## What is in this folder\n\n| file | |\n|---|---|\n{rows}"


def _server(manifest: Mapping[str, Any]) -> tuple[str, str]:
    """What people call the server that the data come from, and its version without the packager's part."""
    server = manifest["server"]
    name = {"mysql": "MySQL", "mariadb": "MariaDB"}.get(server["flavor"], str(server["flavor"]))
    numbers = re.match(r"\d+(\.\d+)*", server["version"])
    return name, numbers[0] if numbers else str(server["version"])


def _image(manifest: Mapping[str, Any]) -> str:
    """The official Docker image that is closest to the server that the data come from."""
    server = manifest["server"]
    numbers = re.match(r"(\d+)\.(\d+)", server["version"])
    return f"{server['flavor']}:{numbers[1]}.{numbers[2]}" if numbers else str(server["flavor"])


def container_name(manifest: Mapping[str, Any]) -> str:
    """A name for a container, from the paper's.

    >>> container_name({"paper": "Place cells, 2024"})
    'place-cells-2024'
    """
    return re.sub(r"[^a-z0-9]+", "-", (manifest["paper"] or "slice").lower()).strip("-") or "slice"


def _load(manifest: Mapping[str, Any]) -> str:
    name, image = container_name(manifest), _image(manifest)
    flavor = manifest["server"]["flavor"]
    variable = "MARIADB_ROOT_PASSWORD" if flavor == "mariadb" else "MYSQL_ROOT_PASSWORD"
    return f"""## Load it

You need bash and a MySQL or MariaDB server. Into one that you have (MySQL 8 or later, MariaDB 10.6 or later), with its
client program installed; it asks for the password:

```bash
bash restore.sh --host=127.0.0.1 --port=3306 --user=root -p
```

Or into a new one, with nothing but Docker installed. The first command starts a server, which takes half a minute until
it answers; the second loads the data. Only programs on your machine can reach it.

```bash
docker run --name {name} -e {variable}=simple -p 127.0.0.1:3306:3306 -v "$PWD":/bundle:ro -d {image}
docker exec -e MYSQL_PWD=simple {name} bash /bundle/restore.sh --user=root
```

`restore.sh` changes nothing that is there: it stops if the server already holds one of these tables. When it has
loaded the data it counts the rows of each table and looks for foreign keys without a row."""


def _left_out(manifest: Mapping[str, Any]) -> str:
    excluded = manifest.get("excluded") or []
    cut = [str(one["number"]) for one in manifest["statements"] if LEFT_OUT in one["marks"]]
    bounded = f"""

The laboratory keeps rows outside of a boundary to itself, and all that descends from them. Queries that need such rows
can give other results here: in `manifest.json` those with the number {", ".join(cut)}."""
    if not excluded:
        return f"## What was left out{bounded}" if cut else ""
    rows = "\n".join(
        f"| `{one['table'].replace('`', '')}.{one['column']}` | {_line(one['value'])} |" for one in excluded
    )
    return f"""## What was left out

The laboratory left out the contents of these columns. The queries that read them cannot be run again here; they are
in `manifest.json` with `?` in the place of values.

| column | in its place |
|---|---|
{rows}{bounded if cut else ""}"""


def _datajoint(manifest: Mapping[str, Any]) -> str:
    version = str(manifest["versions"]["datajoint"])
    schemas = [schema["name"] for schema in manifest["schemas"]]
    names = [re.sub(r"\W", "_", schema) for schema in schemas]
    modules = "\n".join(
        f'{name} = dj.VirtualModule("{name}", {json.dumps(schema)})'
        for name, schema in zip(names, schemas, strict=True)
    )
    example = ""
    for table in manifest["tables"]:
        schema, short = split_full_name(table["name"])
        if table["rows"] and schema in schemas and re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", short):
            cls = "".join(word.capitalize() for word in short.split("_"))
            example = f"\nprint({names[schemas.index(schema)]}.{cls}())"
            break
    return f"""## Use it with DataJoint

The analyses ran with DataJoint {version} (`pip install "datajoint=={version}"`). The tables can be used without the
code of the pipeline:

```python
import datajoint as dj

dj.config["database.host"] = "127.0.0.1"
dj.config["database.user"] = "root"
dj.config["database.password"] = "simple"

{modules}{example}
```

If you have the code of the pipeline, point `dj.config` to your server in the same way, and import it as usual."""


def _files(manifest: Mapping[str, Any]) -> str:
    files = manifest.get("files") or []
    if not files:
        return ""
    size = size_text(sum(file["size"] or 0 for file in files))
    stores = ", ".join(f"`{name}`" for name in sorted({file["store"] for file in files}))
    return f"""## Files outside of the database

Rows of these tables need {len(files):,} files ({size}) that DataJoint keeps in stores: {stores}.
They are not in `dump.sql.gz`. If they came with it, in a folder with a `stores.json`, tell DataJoint where that is:

```python
import json
from pathlib import Path

folder = Path("files").resolve()
stores = json.loads((folder / "stores.json").read_text())
for spec in stores.values():
    if isinstance(spec, dict):
        spec.update({{key: str(folder / spec[key]) for key in ("location", "stage") if key in spec}})
dj.config["stores"] = stores
```

`sha256sum --check SHA256SUMS` in that folder tells whether all of them are whole."""


def _check() -> str:
    return """## Check it

```bash
pip install dj-sqlspy
dj-sqlspy verify .
```

loads the data into a server of its own, and compares the tables and the result of each captured query with what they
were at the laboratory. A MySQL or MariaDB server program has to be installed (Debian: `apt-get install
mariadb-server`); it needs no configuration, and what runs on your machine is left alone."""


def _cite(manifest: Mapping[str, Any]) -> str:
    about = manifest.get("about") or {}
    lines = []
    if about.get("authors"):
        people = [
            f"[{_line(a['name'])}](https://orcid.org/{a['orcid']})" if a.get("orcid") else _line(a["name"])
            for a in about["authors"]
        ]
        lines.append(f"Authors: {', '.join(people)}.")
    if about.get("citation"):
        lines.append(f"Please cite: {_line(about['citation'])}")
    if about.get("doi"):
        lines.append(f"Paper: <https://doi.org/{about['doi']}>")
    elif about.get("url"):
        lines.append(f"Paper: <{about['url']}>")
    if about.get("license"):
        lines.append(f"License of the data: {_line(about['license'])}.")
    if not lines:
        lines = ["Please cite the paper that these data belong to."]
    return "## Cite it\n\n" + "\n\n".join(lines)


def _origin(manifest: Mapping[str, Any]) -> str:
    versions = manifest["versions"]
    about = manifest.get("environment") or {}
    lines = [
        f"Written {str(manifest['created'])[:10]} by [dj-sqlspy](https://pypi.org/project/dj-sqlspy/)"
        f" {versions['dj-sqlspy']}, from a {' '.join(_server(manifest))} server, with Python {versions['python']} and"
        f" DataJoint {versions['datajoint']}."
    ]
    if about.get("git"):
        dirty = ", with changes that were not committed" if about["git"]["dirty"] else ""
        lines.append(
            f"The folder that it was written from was a git repository at commit `{about['git']['commit']}`{dirty}."
        )
    if not manifest["complete"]:
        lines.append(
            "**The capture has gaps: rows that the analyses read may be missing.** See `report.html`."
        )
    return "## Where it comes from\n\n" + "\n".join(lines)


def _line(text: str) -> str:
    """One line, in which no character means anything to Markdown or HTML.

    >>> _line("a_b <i>*x*</i>")
    'a\\\\_b &lt;i&gt;\\\\*x\\\\*&lt;/i&gt;'
    """
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]#|])", r"\\\1", text)
