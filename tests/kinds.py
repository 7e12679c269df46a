"""Servers of three kinds with the defaults of their own: MariaDB 10.11, MariaDB 11.8 and MySQL 9.

In: the name of a kind. Out: a running private server, and the folder of its client programs. A MariaDB that this
machine does not have comes from another Debian, as MySQL does (`machine`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dj_sqlspy import servers
from dj_sqlspy.servers import Server
from tests.conftest import MACHINE, MYSQL_ROOT

OLD, NEW, MYSQL = "MariaDB 10.11", "MariaDB 11.8", "MySQL 9.7"
KINDS = (OLD, NEW, MYSQL)
_SUITES = {OLD: "bookworm", NEW: "trixie"}


@dataclass(frozen=True)
class Kind:
    """A server of a kind, and the folder of its programs."""

    server: Server
    programs: Path

    @contextlib.contextmanager
    def first_on_path(self) -> Iterator[None]:
        """Have its programs found before all others, in a block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{self.programs}{os.pathsep}{os.environ['PATH']}")
            yield

    @property
    def options(self) -> list[str]:
        """Options for clients."""
        return [f"--defaults-file={self.server.defaults_file()}"]


def _root(kind: str) -> Path | None:
    """The folder with the system of a kind; None where this machine's own is of that kind."""
    if kind == MYSQL:
        return MYSQL_ROOT
    own = servers.find_server("mariadb")
    if own is not None and kind.endswith(f" {'.'.join(own.version.split('.')[:2])}"):
        return None
    command = [sys.executable, str(MACHINE), "mariadb", _SUITES[kind]]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


@contextlib.contextmanager
def programs_first(kind: str) -> Iterator[None]:
    """Have the programs of a kind found before all others, in a block."""
    root = _root(kind)
    programs = servers.root_programs(root) if root else Path(shutil.which("mariadb-dump") or "").parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        yield


@contextlib.contextmanager
def running(kind: str) -> Iterator[Kind]:
    """A server of a kind, with its own defaults, as long as the block lasts."""
    root = _root(kind)
    flavor = "mysql" if kind == MYSQL else "mariadb"
    with servers.private_server(flavor, root=root, own_defaults=True) as server:  # type: ignore[arg-type]
        own = Path(shutil.which("mariadb-dump") or "").parent
        yield Kind(server, servers.root_programs(root) if root else own)
