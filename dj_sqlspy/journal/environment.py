"""Environment: the Python environment that an analysis runs in, noted at its capture.

In: the captured process. Out: an `Environment` for its journal, and the state of its code's repository. It reads the
records of packages on ``sys.path`` and those of conda, again only if one of these folders has changed, and asks git. It
records no path, address, or name of a machine or person.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from . import programs
from .git import GitState, git_state

CONDA = "conda-meta"  # the folder of conda's records in an environment
_HEAD = 4096  # bytes of such a record that have its channel: the names in it are in order
_PLATFORMS = ("noarch", "linux-", "osx-", "win-", "freebsd-", "emscripten-", "wasi-", "zos-")
SHARE = 100  # asking takes at most a hundredth of the time of a program that opens session after session

logger = logging.getLogger("dj_sqlspy")

T = TypeVar("T")


class Environment(NamedTuple):
    """The environment of a process.

    Attributes
    ----------
    digest : str
        The same for the same environment.
    about : dict
        ``python``, ``implementation``, ``system``, ``packages`` (name to version), ``own`` (names of packages that were
        installed from a folder or a repository), ``conda`` (lists of name, version, build, channel; only with conda).
    record : str
        Both, as a record of a journal.
    """

    digest: str
    about: Mapping[str, Any]
    record: str = ""


# When each question may be asked again, what was unchanged since (if that is known), and the answer.
_answers: dict[object, tuple[float, object, Any]] = {}


def _kept(question: object, ask: Callable[[], T], mark: Callable[[], object] = lambda: None) -> T:
    """The answer to a question, which is asked again only after a hundred times the time that it took.

    Nor is it asked as long as the mark is the same.
    """
    until, known, value = _answers.get(question, (0.0, None, None))
    begun = time.monotonic()
    if question in _answers and begun < until:
        return value  # type: ignore[no-any-return]
    now = mark()
    if now is None or now != known:
        value = ask()
    ended = time.monotonic()
    _answers[question] = ended + SHARE * (ended - begun), now, value
    return value  # type: ignore[no-any-return]


def current() -> Environment | None:
    """The environment of this process; None if it cannot be read. Raises nothing."""
    try:
        conda = Path(sys.prefix, CONDA)
        return _kept("packages", lambda: _read(conda), lambda: [*map(_changed, (*sys.path, conda))])
    except Exception as error:  # of a finder of the analysis, or a damaged package: the analysis goes on
        logger.info("The environment of the analysis is not recorded: %s: %s", type(error).__name__, error)
        return None


def _changed(path: Any) -> tuple[Any, int | None]:
    try:
        return path, os.stat(path or ".").st_mtime_ns
    except (OSError, ValueError):
        return path, None


def _read(conda: Path) -> Environment:
    packages: dict[str, str] = {}
    own = []
    for distribution in metadata.distributions():
        name, version = _named(distribution)
        if name and version and name not in packages:  # the first one is imported
            packages[name] = version
            if _is_own(distribution):
                own.append(name)
    about: dict[str, Any] = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
        "own": sorted(own, key=str.lower),
    }
    if conda.is_dir():
        about["conda"] = list(_conda(conda))
    text = json.dumps(about, separators=(",", ":"))
    digest = sha256(text.encode()).hexdigest()[:32]
    return Environment(digest, about, f"{_head(digest)}{text}}}")


def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    """Name and version. Reading all the headers, as ``distribution.metadata`` does, takes ten times as long."""
    text = _text(distribution, "METADATA") or _text(distribution, "PKG-INFO")
    found: dict[str, str] = {}
    for line in text.partition("\n\n")[0].splitlines():  # the description follows
        key, _, value = line.partition(":")
        if key in ("Name", "Version"):
            found.setdefault(key, value.strip())
            if len(found) == 2:
                break
    return found.get("Name", ""), found.get("Version", "")


def _is_own(distribution: metadata.Distribution) -> bool:
    """Whether it came from a folder, a file or a repository, so that an index has no such package, or another one."""
    return bool(_text(distribution, "direct_url.json")) and (
        _text(distribution, "INSTALLER").strip() != "conda"  # which builds packages in such a folder
    )


def _text(distribution: metadata.Distribution, name: str) -> str:
    try:
        return distribution.read_text(name) or ""
    except (OSError, ValueError):  # a damaged package
        return ""


def _conda(folder: Path) -> Iterator[list[str]]:
    """The packages of conda's environment, from the names of its records (name-version-build)."""
    for note in sorted(folder.glob("*.json")):
        parts = note.stem.rsplit("-", 2)
        if len(parts) == 3:
            yield [*parts, _channel(note)]


def _channel(note: Path) -> str:
    """The name of the channel that a package came from; "" if the head of its record does not say it."""
    with suppress(OSError, ValueError), note.open("rb") as file:
        head = file.read(_HEAD + 1)
        if len(head) <= _HEAD:
            return _name_of(str(json.loads(head).get("channel", "")))
        for line in map(str.strip, head.decode("utf-8", "replace").splitlines()):
            if line.startswith('"channel":'):  # one line, which conda's writers indent
                return _name_of(str(json.loads("{" + line.rstrip(",") + "}")["channel"]))
    return ""


def _name_of(channel: str) -> str:
    """The name of a channel, whose address can have a token in it.

    >>> _name_of("https://conda.anaconda.org/t/a1b2/conda-forge/linux-64"), _name_of("pkgs/main"), _name_of("https://lab")
    ('conda-forge', 'pkgs/main', '')
    """
    path = urlsplit(channel).path if "://" in channel else channel
    parts = [part for part in path.split("/") if part]
    if parts and parts[-1].startswith(_PLATFORMS):
        parts.pop()
    return "/".join(parts[-2:] if parts[-2:-1] == ["pkgs"] else parts[-1:])


def modules() -> list[str]:
    """The names of the modules that this process has imported, without their submodules and Python's own."""
    return _kept("modules", _imported, lambda: len(sys.modules))


def _imported() -> list[str]:
    names = {name.partition(".")[0] for name in list(sys.modules)}
    return sorted(names - sys.stdlib_module_names - {"__main__", "__mp_main__"})


def code_state() -> GitState | None:
    """The state of the repository with this process' program, or with its current folder. Raises nothing."""
    try:
        program = programs.current()
        folder = Path.cwd() if program is None else Path(program["path"]).parent
        return _kept(folder, lambda: git_state(folder))
    except Exception as error:
        logger.info("The commit of the code is not recorded: %s: %s", type(error).__name__, error)
        return None


def _head(digest: str) -> str:
    return f'{{"environment":"{digest}","about":'


def is_in(first_lines: bytes, digest: str) -> bool:
    """Whether the first lines of a journal have the environment with this digest in full."""
    return _head(digest).encode() in first_lines


def of_record(record: Mapping[str, Any]) -> Environment | None:
    """What a record of a journal says, if it has the form that `Environment` says."""
    digest, about = record.get("environment"), record.get("about")
    if not isinstance(digest, str) or not isinstance(about, dict):
        return None
    texts = ("python", "implementation", "system")
    packages, own, conda = about.get("packages"), about.get("own", []), about.get("conda")
    good = (
        all(isinstance(about.get(name), str) for name in texts)
        and isinstance(packages, dict)
        and all(isinstance(text, str) for text in packages.values())
        and _are_texts(own)
        and (conda is None or (isinstance(conda, list) and all(_are_texts(one, 4) for one in conda)))
    )
    return Environment(digest, about) if good else None


def _are_texts(value: Any, count: int | None = None) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(text, str) for text in value)
        and (count is None or len(value) == count)
    )
