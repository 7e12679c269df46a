"""Environment: the Python environment of the process that writes the bundle.

In: the process. Out: a dict for the manifest (`environment`), and from it the texts of files for pip and conda. The
only program that it runs is git. It records no path, address, or name of a machine or person.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PIP_FILE = "requirements.txt"
CONDA_FILE = "environment.yml"


def environment(folder: str | Path | None = None) -> dict[str, Any]:
    """The environment of this process.

    Parameters
    ----------
    folder : path, optional
        Folder of the analysis' code, for git; default: the current one.

    Returns
    -------
    dict
        ``python``, ``implementation``, ``system``, ``packages`` (name to version), ``conda`` (list of ``name``,
        ``version``, ``build``, ``channel``; None outside of conda), ``git`` (``commit``, ``dirty``; None outside of
        a repository).
    """
    packages = {
        dist.metadata["Name"]: dist.version for dist in metadata.distributions() if dist.metadata["Name"]
    }
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
        "conda": _conda(),
        "git": git_state(Path(folder or ".")),
    }


def _conda() -> list[dict[str, str]] | None:
    """The packages of Python's conda environment, from conda's own records."""
    notes = Path(sys.prefix, "conda-meta")
    if not notes.is_dir():
        return None
    found = []
    for note in sorted(notes.glob("*.json")):
        about = json.loads(note.read_text(encoding="utf-8"))
        # a channel can be an address with a token in it; its name is the last part
        channel = str(about.get("channel", "")).rstrip("/").split("/")
        named = [part for part in channel if part and part != about.get("subdir")]
        found.append(
            {
                "name": str(about["name"]),
                "version": str(about["version"]),
                "build": str(about.get("build", "")),
                "channel": named[-1] if named else "",
            }
        )
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """The checked-out commit, and whether a tracked file has changed since."""
    commands = (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    said = []
    for command in commands:
        try:
            ended = subprocess.run(
                ["git", *command],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=60,
                env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if ended.returncode:
            return None
        said.append(ended.stdout.strip())
    return {"commit": said[0], "dirty": bool(said[1])}


def texts(about: Mapping[str, Any]) -> dict[str, str]:
    """Files with which pip and conda install the environment, by name. No value can add a line to them."""
    head = [f"# {about['implementation']} {about['python']} on {about['system']}"]
    if about["git"]:
        dirty = ", with changes that were not committed" if about["git"]["dirty"] else ""
        head.append(f"# the code was at git commit {about['git']['commit']}{dirty}")
    lines = [*head, *(f"{name}=={version}" for name, version in about["packages"].items())]
    out = {PIP_FILE: _text(lines)}
    if about["conda"] is not None:
        channels = dict.fromkeys(
            one["channel"] for one in about["conda"] if one["channel"] not in ("", "pypi")
        )
        wanted = [one for one in about["conda"] if one["channel"] != "pypi"]
        yml = [*head, "channels:", *(f"  - {json.dumps(name)}" for name in channels), "dependencies:"]
        yml += [f"  - {json.dumps('='.join(filter(None, _spec(one))))}" for one in wanted]
        out[CONDA_FILE] = _text(yml)
    return out


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{' '.join(line.splitlines())}\n" for line in lines)


def _spec(one: Mapping[str, str]) -> tuple[str, ...]:
    return one["name"], one["version"], one["build"]
