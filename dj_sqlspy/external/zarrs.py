"""Zarr: reads which other folders or files a Zarr folder leads to.

In: a file of a Zarr folder in its `Store`. Out: its links, as `Link` without targets: those that hdmf-zarr writes into
the attributes of groups (``zarr_link``), and references of attributes to objects elsewhere. Attributes are JSON, so no
package is needed. Contents of arrays are not read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from .file import File, Link, json_of
from .stores import Store

MARKS = (".zgroup", ".zarray", "zarr.json")  # one of them is in each of its folders
ATTRIBUTES = (".zattrs", "zarr.json")  # of the versions 2 and 3 of the format
LARGEST = 16 << 20  # bytes of attributes


def links_of(file: File, store: Store, folder: str) -> tuple[list[Link], str]:
    """The links in one of the files of a Zarr folder, and why these are not all of them ("" if they are)."""
    name = posixpath.basename(file.path)
    if name not in ATTRIBUTES:
        return [], ""
    if (file.size or 0) > LARGEST:
        return [], f"its attributes have more than {LARGEST >> 20} MiB"
    about = json_of(b"".join(store.chunks(file.path)))
    if not isinstance(about, dict):
        return [], "its attributes are no JSON"
    at = posixpath.dirname(file.path)[len(folder) :] or "/"
    attributes = about.get("attributes", {}) if name == "zarr.json" else about
    if posixpath.basename(at) == "external_file":
        return [], "it is an external_file, and paths in arrays of Zarr are not read"
    return list(_links(attributes, at, folder)), ""


def _links(attributes: Any, at: str, folder: str) -> Iterator[Link]:
    if not isinstance(attributes, dict):
        return
    links = attributes.get("zarr_link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and isinstance(link.get("source"), str) and link["source"] != ".":
            yield Link("zarr link", f"{at.rstrip('/')}/{link.get('name')}", link["source"], base=folder)
    for name, value in attributes.items():
        to = value.get("value") if isinstance(value, dict) and value.get("zarr_dtype") == "object" else None
        if isinstance(to, dict) and isinstance(to.get("source"), str) and to["source"] != ".":
            yield Link("zarr link", f"{at}:{name}", to["source"], base=folder)
