"""About: the lab's description of the paper, for a bundle's README and metadata.

In: a JSON file or a mapping. Out: the same, checked. All entries are optional::

    {
      "title": "Place cells remember", "description": "…", "license": "CC-BY-4.0",
      "authors": [{"name": "Ada Lovelace", "orcid": "0000-0002-1825-0097", "affiliation": "…"}],
      "doi": "10.1000/xyz", "url": "https://…", "citation": "Lovelace A (1843) …", "keywords": ["…"]
    }

``doi`` and ``url`` are the paper's. ``license`` is that of the data: an SPDX identifier or a URL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ..errors import BundleError

TEXTS = ("title", "description", "license", "doi", "url", "citation")
AUTHOR = ("name", "orcid", "affiliation")

_SPDX = "https://spdx.org/licenses/"
_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]", re.ASCII)
_DOI = re.compile(r"10\.\d{4,9}/\S+", re.ASCII)
_ADDRESS = re.compile(r"[!#-;=?-\[\]_a-z~]+", re.IGNORECASE | re.ASCII)  # no space, quote, backslash, < or >


def read_about(source: str | Path | Mapping[str, Any] | None) -> dict[str, Any]:
    """The description, checked.

    Raises
    ------
    BundleError
        If the file cannot be read, or an entry is unknown or not valid.
    """
    if source is None:
        return {}
    found: Any = source
    if not isinstance(source, Mapping):
        try:
            found = json.loads(Path(source).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"Reading the description of the paper in {source}: {error}") from error
    said: dict[str, Any] = dict(found) if isinstance(found, Mapping) else {"": found}
    for name, value in said.items():
        if name in TEXTS:
            good = isinstance(value, str)
        elif name == "keywords":
            good = isinstance(value, list) and all(isinstance(word, str) for word in value)
        elif name == "authors":
            good = isinstance(value, list) and all(map(_is_author, value))
        else:
            known = ", ".join((*TEXTS, "keywords", "authors"))
            raise BundleError(f"The description of the paper has an entry {name!r}; there are {known}.")
        if not good:
            raise BundleError(
                f"The description of the paper has for {name!r} {value!r}; see dj_sqlspy.bundle.about."
            )
    if "doi" in said:
        said["doi"] = re.sub(
            r"^(https?://(dx\.)?doi\.org/|doi:)", "", said["doi"].strip(), flags=re.IGNORECASE
        )
    return said


def _is_author(value: Any) -> bool:
    if not isinstance(value, dict) or "name" not in value or not value.keys() <= set(AUTHOR):
        return False
    if not all(isinstance(text, str) for text in value.values()):
        return False
    return "orcid" not in value or orcid_link(value) is not None


def orcid_link(author: Mapping[str, Any]) -> str | None:
    """The ORCID address of an author; None without a valid identifier."""
    found = str(author.get("orcid"))
    return f"https://orcid.org/{found}" if _ORCID.fullmatch(found) else None


def paper_link(about: Mapping[str, Any]) -> str | None:
    """The web address of the paper, from its DOI or else its URL.

    >>> paper_link({"doi": "10.1000/x<1>"}), paper_link({"url": "javascript:alert(1)"})
    ('https://doi.org/10.1000/x%3C1%3E', None)
    """
    doi = about.get("doi")
    if doi:
        return f"https://doi.org/{quote(doi, safe='/:;()')}" if _DOI.fullmatch(doi) else None
    return web_link(about.get("url"))


def license_link(about: Mapping[str, Any]) -> str | None:
    """The web address of the license of the data; None without a license.

    >>> license_link({"license": "CC0-1.0"}), license_link({"license": "https://lab.org/terms"}), license_link({})
    ('https://spdx.org/licenses/CC0-1.0', 'https://lab.org/terms', None)
    """
    terms = about.get("license")
    return (web_link(terms) or f"{_SPDX}{terms}") if terms else None


def web_link(text: str | None) -> str | None:
    """The text if it is a web address, else None.

    >>> web_link("https://lab.org/data?x=1"), web_link("https://"), web_link("file:///etc")
    ('https://lab.org/data?x=1', None, None)
    """
    if text is None or not _ADDRESS.fullmatch(text):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.hostname else None
