"""Environment: what the analyses of a paper ran in, and where that differs.

In: the runs of a paper. Out: entries for the manifest (`environments_of_runs`), their differences (`differences`), and
from the entries the texts of files for pip and conda (`texts`), one for each distinct environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from ..display import count, first
from ..journal import environment
from ..journal.runs import Run

MOST = 9  # environments with files of their own
PIP_FILES = ("requirements.txt", *(f"requirements-{number}.txt" for number in range(2, MOST + 1)))
CONDA_FILES = ("environment.yml", *(f"environment-{number}.yml" for number in range(2, MOST + 1)))
NAMED = 3  # analyses that are named with a version
FEW = 2  # differences that fit on a line

# A package and its version, as installers take them: nothing that pip reads as an option or an address.
_PIN = re.compile(r"[A-Za-z0-9][\w.-]*==[\w.!+-]+", re.ASCII)

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """Something that was not the same for all analyses.

    Attributes
    ----------
    what : str
        The name of a package, ``Python``, ``system``, ``server`` or ``git commit``.
    values : dict
        For each version the analyses that had it.
    imported : bool
        False for a package that none of them has imported.
    """

    what: str
    values: Mapping[str, tuple[str, ...]]
    imported: bool = True

    def __str__(self) -> str:
        return f"{self.what} {self.versions}"

    @property
    def versions(self) -> str:
        """The versions, each with its analyses."""
        return ", ".join(
            f"{value} ({', '.join(first(names, most=NAMED))})" for value, names in self.values.items()
        )


def environments_of_runs(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The distinct environments of a paper's analyses, as entries of the manifest.

    Returns
    -------
    list of dict
        ``python``, ``implementation``, ``system``, ``packages`` (name to version), ``own`` (names of packages that came
        from a folder or a repository), ``conda`` (list of ``name``, ``version``, ``build``, ``channel``; None without
        conda), ``analyses`` (``name``, ``git``: list of ``commit`` and ``dirty``, ``servers``: their versions,
        ``imported``: names of packages; None if it is not known, or they all ran in one environment).
    """
    runs = list(runs)
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for one in run.environments:
            entry = found.setdefault(one.digest, _entry(one.about))
            entry["analyses"].append(
                {
                    "name": run.analysis,
                    "git": run.code_states,
                    "servers": run.server_versions,
                    "imported": None,
                }
            )
    modules = {run.analysis: run.modules for run in runs}
    for entry in found.values() if len(found) > 1 else ():
        for analysis in entry["analyses"]:
            analysis["imported"] = _imported(entry["packages"], modules[analysis["name"]])
    return list(found.values())


def _imported(packages: Iterable[str], modules: Collection[str] | None) -> list[str] | None:
    """The packages that modules came from, as far as names and the packages of this process tell."""
    if modules is None:
        return None
    here = _packages_here()
    names = {plain_name(name) for module in modules for name in (module, *here.get(module, ()))}
    return [name for name in packages if plain_name(name) in names]


@cache
def _packages_here() -> Mapping[str, list[str]]:
    """The packages of this process, by module; it takes a third of a second."""
    return metadata.packages_distributions()


def own_environment() -> list[dict[str, Any]]:
    """The environment of this process, for a slice whose analyses have none on record."""
    found, code = environment.current(), environment.code_state()
    if found is None:
        return []
    analysis = {"name": None, "git": [code] if code else [], "servers": [], "imported": None}
    return [_entry(found.about) | {"analyses": [analysis]}]


def _entry(about: Entry) -> dict[str, Any]:
    conda = about.get("conda")
    return {
        **{name: about[name] for name in ("python", "implementation", "system")},
        "packages": dict(about["packages"]),
        "own": list(about.get("own", ())),
        "conda": None if conda is None else [dict(zip(_CONDA, one, strict=True)) for one in conda],
        "analyses": [],
    }


_CONDA = ("name", "version", "build", "channel")


def differences(entries: Sequence[Entry]) -> list[Difference]:
    """What was not the same for all analyses: Python, system, server and commit, packages that were imported, others.

    Parameters
    ----------
    entries : sequence of mapping
        From `environments_of_runs`.
    """
    names: dict[str, str] = {}  # how a package is written, by its plain name
    for entry in entries:
        for package in (*entry["packages"], *(f"{name} (conda)" for name in _only_conda(entry))):
            names.setdefault(plain_name(package), package)
    found = {what: dict[str, dict[str, None]]() for what in (*_FIRST, *sorted(names))}
    for entry in entries:
        for analysis in entry["analyses"]:
            for what, value in _facts(entry, analysis, names):
                found[what].setdefault(value, {})[analysis["name"] or "the bundle"] = None
    told = [analysis["imported"] for entry in entries for analysis in entry["analyses"]]
    used = None if None in told else {plain_name(name) for imported in told for name in imported}
    different = [
        Difference(
            names.get(what, what),
            {value: tuple(having) for value, having in values.items()},
            used is None or what in _FIRST or what in used,
        )
        for what, values in found.items()
        if len(values) > 1
    ]
    return sorted(different, key=lambda one: not one.imported)


_FIRST = ("Python", "system", "server", "git commit")


def _facts(entry: Entry, analysis: Entry, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    yield "Python", f"{entry['implementation']} {entry['python']}".removeprefix("CPython ")
    yield "system", entry["system"]
    for version in analysis["servers"]:
        yield "server", version
    for state in analysis["git"]:
        yield "git commit", commit_text(state)
    there = {plain_name(name): version for name, version in entry["packages"].items()}
    there |= {plain_name(f"{name} (conda)"): version for name, version in _only_conda(entry).items()}
    for name in names:
        yield name, there.get(name, "not installed")


def commit_text(state: Entry) -> str:
    """A commit, and what is known of changes since.

    >>> commit_text({"commit": "0123456789abcdef", "dirty": True})
    '0123456789ab and changes'
    """
    return str(state["commit"])[:12] + (" and changes" if state["dirty"] else "")


def plain_name(package: str) -> str:
    """The name by which installers know a package, however it is written.

    >>> plain_name("Typing_Extensions")
    'typing-extensions'
    """
    return re.sub(r"[-_.]+", "-", package).lower()


def _only_conda(entry: Entry) -> dict[str, str]:
    """Packages that Python does not know, such as a library."""
    known = set(map(plain_name, entry["packages"])) | {"python"}
    return {
        one["name"]: one["version"] for one in entry["conda"] or () if plain_name(one["name"]) not in known
    }


def summary(entries: Sequence[Entry], analyses: Iterable[str], found: Sequence[Difference]) -> list[str]:
    """In a line or two, how the environments of analyses differ, and which are not on record; none if all are equal."""
    lines = []
    recorded = {analysis["name"] for entry in entries for analysis in entry["analyses"]}
    lacking = [name for name in analyses if name not in recorded]
    used = [one for one in found if one.imported]
    others = f"{count(len(found) - len(used), 'difference')} in packages that they did not import"
    said = [count(len(used), "difference")] if len(used) > FEW else list(map(str, used))
    if found:
        said += [others] * (len(found) > len(used))
        lines.append(f"The analyses did not run in the same environment: {'; '.join(said)}.")
    if recorded and lacking:
        lines.append(f"The environment is not on record of {', '.join(first(lacking))}.")
    return lines


def texts(entries: Iterable[Entry]) -> dict[str, str]:
    """Files with which pip and conda install the environments, by name. No value can add a line to them."""
    out = {}
    for entry, pip_file, conda_file in zip(entries, PIP_FILES, CONDA_FILES, strict=False):
        head = _comments(entry)
        pins = {name: f"{name}=={version}" for name, version in entry["packages"].items()}
        # an index has no such package, or one of somebody else
        other = {name for name, pin in pins.items() if name in entry["own"] or not _PIN.fullmatch(pin)}
        out[pip_file] = _text(
            [
                *head,
                *(f"# not from an index: {pin}" for name, pin in pins.items() if name in other),
                *(pin for name, pin in pins.items() if name not in other),
            ]
        )
        if entry["conda"] is not None:
            wanted = [one for one in entry["conda"] if one["channel"] != "pypi"]
            channels = dict.fromkeys(one["channel"] for one in wanted if one["channel"])
            yml = [*head, "channels:", *(f"  - {json.dumps(name)}" for name in channels), "dependencies:"]
            yml += [f"  - {json.dumps('='.join(filter(None, _spec(one))))}" for one in wanted]
            out[conda_file] = _text(yml)
    return out


def _comments(entry: Entry) -> list[str]:
    names = [one["name"] for one in entry["analyses"]]
    known = [name for name in names if name is not None]
    whose = f"of {', '.join(known)}" if known else "that the bundle was written in"
    head = [
        f"# the environment {whose}",
        f"# {entry['implementation']} {entry['python']} on {entry['system']}",
    ]
    for one in entry["analyses"]:
        code = "the code" if one["name"] is None else f"the code of {one['name']}"
        head += [f"# {code} was at git commit {state['commit']}{_changes(state)}" for state in one["git"]]
    return head


def _changes(state: Entry) -> str:
    return ", with changes that were not committed" if state["dirty"] else ""


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{' '.join(line.splitlines())}\n" for line in lines)


def _spec(one: Mapping[str, str]) -> tuple[str, ...]:
    return one["name"], one["version"], one["build"]
