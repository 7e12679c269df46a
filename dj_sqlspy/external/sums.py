"""Sums: ``SHA256SUMS``, the checksums of the files in a folder, as ``sha256sum --check`` reads them.

In: names of files and their SHA-256. Out: the file, and what it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from .. import atomic

SUMS = "SHA256SUMS"
# Marks before a name, which ``sha256sum`` takes for its two modes, and checks alike. Second places: see `placing`.
PLACE, SECOND = " ", "*"

_NONE: Mapping[str, str] = MappingProxyType({})


def sum_line(name: str, sha256: str, mark: str = PLACE) -> str:
    r"""A line as ``sha256sum`` writes it.

    >>> sum_line("raw/a", "00"), sum_line("a\nb", "00"), sum_line("raw/a", "00", SECOND)
    ('00  raw/a\n', '\\00  a\\nb\n', '00 *raw/a\n')
    """
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{sha256} {mark}{escaped}\n"


def read_sums(path: Path, mark: str = PLACE) -> dict[str, str]:
    """The checksums in a file with a mark, by name; none if there is no regular file."""
    sums = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
            match = re.fullmatch(r"(\\?)([0-9a-f]{64}) ([ *])(.+)", line)
            if match and match[3] == mark:  # the last line may be incomplete
                name = match[4]
                if match[1]:
                    name = re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), name)
                sums[name] = match[2]
    return sums


def write_sums(path: Path, folder: Path, sums: Mapping[str, str], second: Mapping[str, str] = _NONE) -> None:
    """Write the checksums of those files that are in a folder; those in ``second`` with that mark."""
    lines = [
        sum_line(name, second[name], SECOND) if name in second else sum_line(name, sums[name])
        for name in sorted({*sums, *second})
        if (folder / name).is_file()
    ]
    atomic.write(path, "".join(lines))


class Ledger:
    """``SHA256SUMS`` of a folder that files are being copied into: each is noted as soon as it is there.

    Attributes
    ----------
    places, seconds : dict of str to str
        Checksums by name, at a file's own place and at second ones, those of earlier runs included.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / SUMS
        self.places = read_sums(self._path)
        self.seconds = {
            name: sha256 for name, sha256 in read_sums(self._path, SECOND).items() if name not in self.places
        }
        self._fresh: dict[str, dict[str, str]] = {PLACE: {}, SECOND: {}}  # noted in this run
        self._file = self._path.open("a", encoding="utf-8", errors="surrogateescape")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def note(self, name: str, sha256: str, mark: str = PLACE) -> None:
        """Note a file that is there now."""
        (self.places if mark == PLACE else self.seconds)[name] = sha256
        self._fresh[mark][name] = sha256
        self._file.write(sum_line(name, sha256, mark))
        self._file.flush()

    def rewrite(self) -> None:
        """Write the list again, each file once, with what another program has added meanwhile."""
        places, seconds = (read_sums(self._path, mark) | fresh for mark, fresh in self._fresh.items())
        for name in seconds.keys() & places:
            del (places if name in self._fresh[SECOND] else seconds)[name]
        write_sums(self._path, self._folder, places, seconds)
