"""Code: copies the scripts and notebooks of a paper into its bundle.

In: the headers of its journals. Out: the texts of the programs that these name, and no other files. Journals from
elsewhere (merged, or from a shared log) are not trusted, since they could name any file of this machine.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..journal.git import git_state
from ..journal.programs import NOTEBOOK
from ..journal.runs import Run
from ..journal.upkeep import is_own

FOLDER = "code"  # in a bundle
GIT_SECONDS = 30.0  # that git may take for a program's repository


@dataclass(frozen=True)
class Code:
    """A program in a bundle.

    Attributes
    ----------
    path : str
        Path in the bundle.
    text : bytes or None
        Its contents, for a notebook without outputs. None if the file does not exist any more.
    analyses : tuple of str
        Analyses that ran it.
    state : str
        ``as it ran``; ``changed`` since; ``unknown``: a notebook that was open while it was captured, or a file that
        the user named; ``missing``; ``elsewhere``: it was captured in another home, which is not trusted to name a file
        here.
    git : dict or None
        Present ``commit`` and ``dirty`` of its repository (see `journal.git`).
    """

    path: str
    text: bytes | None
    analyses: tuple[str, ...]
    state: str
    git: Mapping[str, Any] | None

    def about(self) -> dict[str, Any]:
        """Its entry in the manifest."""
        return {
            "path": self.path,
            "analyses": list(self.analyses),
            "size": None if self.text is None else len(self.text),
            "sha256": None if self.text is None else hashlib.sha256(self.text).hexdigest(),
            "state": self.state,
            "git": None if self.git is None else dict(self.git),
        }


def code_of(runs: Iterable[Run], home: Path, files: Iterable[str | os.PathLike[str]] = ()) -> list[Code]:
    """The distinct programs of a paper's runs, by name.

    Parameters
    ----------
    runs : iterable of Run
    home : Path
        This machine's home.
    files : iterable of path
        Further files that the user named. It is unknown whether they are as they ran.
    """
    named = {os.path.abspath(file) for file in files}
    noted: dict[str, dict[str, Any]] = {
        file: {"analyses": {}, "sums": {None}, "own": True} for file in sorted(named)
    }
    for run in runs:
        for file in run.files:
            program = file.header.get("program")
            if program and _name(program["path"]):
                known = noted.setdefault(program["path"], {"analyses": {}, "sums": set(), "own": True})
                known["analyses"][run.analysis] = None
                known["sums"].add(program["sha256"])
                known["own"] &= program["path"] in named or is_own(file.path, home)
    state_of = functools.cache(lambda folder: git_state(folder, GIT_SECONDS))
    found: list[Code] = []
    names: set[str] = set()
    for path, known in sorted(noted.items(), key=lambda item: (_name(item[0]), item[0])):
        name = _free_name(_name(path), names)
        names.add(name)
        text, state = _read(Path(path), known["sums"]) if known["own"] else (None, "elsewhere")
        git = None if text is None else state_of(Path(path).parent)
        found.append(Code(f"{FOLDER}/{name}", text, tuple(known["analyses"]), state, git))
    return found


def _name(path: object) -> str:
    """The name of a program in a bundle; "" if its path has no valid name.

    >>> _name("/lab/fig.py"), _name("/lab/..")
    ('fig.py', '')
    """
    name = os.path.basename(path) if isinstance(path, str) else ""
    return "" if name in (".", "..") or "\0" in name else name


def _free_name(name: str, taken: set[str]) -> str:
    """
    >>> _free_name("fig.py", {"fig.py", "fig-2.py"})
    'fig-3.py'
    """
    stem, dot, ending = name.rpartition(".")
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{stem}-{number}{dot}{ending}" if dot else f"{name}-{number}"
    return free


def _read(path: Path, sums: set[str | None]) -> tuple[bytes | None, str]:
    try:
        text = path.read_bytes() if path.is_file() else None
    except OSError:
        text = None
    if text is None:
        return None, "missing"
    if sums == {None}:
        state = "unknown"
    else:
        state = "as it ran" if sums - {None} == {hashlib.sha256(text).hexdigest()} else "changed"
    return (without_outputs(text) if path.suffix == NOTEBOOK else text), state


def without_outputs(text: bytes) -> bytes:
    """A notebook without outputs, which could contain rows that are not in the slice.

    >>> without_outputs(b'{"cells": [{"cell_type": "code", "source": "1", "outputs": ["1"]}]}')
    b'{"cells": [{"cell_type": "code", "source": "1", "outputs": [], "execution_count": null}]}'
    """
    notebook = json.loads(text)
    for cell in notebook.get("cells", ()):
        if cell.get("cell_type") == "code":
            cell["outputs"], cell["execution_count"] = [], None
    notebook.get("metadata", {}).pop("widgets", None)
    return json.dumps(notebook, ensure_ascii=False, indent=1 if b"\n" in text else None).encode()
