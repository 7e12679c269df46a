"""On a reader's machine: ``restore.sh`` with bash and the client alone, ``verify`` with the package alone."""

from __future__ import annotations

import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from dj_sqlspy import servers
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import Server
from tests.conftest import FLAVOR
from tests.lab import ROOT
from tests.test_dump import lab, options, rows
from tests.test_replay import trials
from tests.test_verify import bundle, published

__all__ = ["bundle", "lab", "published", "trials"]

# What every system has that has bash: coreutils, gzip, sed.
WITH_BASH = ("bash", "cat", "cksum", "dirname", "gzip", "mkdir", "mktemp", "rm", "sed", "sort", "tail")

# What Debian's mariadb-install-db, a script, calls for.
WITH_INSTALL_DB = (
    "sh",
    "awk",
    "basename",
    "chmod",
    "chown",
    "expr",
    "grep",
    "hostname",
    "id",
    "ls",
    "tr",
)
WITH_INSTALL_DB += ("my_print_defaults", "touch", "uname")


def programs(folder: Path, *names: str) -> Path:
    """A folder for PATH in which these programs are, and no others."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    return folder


def test_restore_needs_bash_and_the_client(
    published: Bundle, clean_scratch: Server, tmp_path: Path, trials: object
) -> None:
    client = "mysql" if FLAVOR == "mysql" else "mariadb"
    path = programs(tmp_path / "bin", *WITH_BASH, client)
    away = shutil.copytree(published.path, tmp_path / "reader" / "bundle")
    command = ["env", "-i", f"PATH={path}", "bash", "restore.sh", *options(clean_scratch)]
    ended = subprocess.run(command, cwd=away, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ended.returncode == 0, ended.stderr
    assert "All rows are there, and every foreign key finds its row." in ended.stdout and not ended.stderr
    assert len(rows(clean_scratch, f"SELECT * FROM `{trials.name}`.session__trial")) == 4  # type: ignore[attr-defined]


@pytest.mark.line("2.x")  # nothing here depends on it
@pytest.mark.slow
def test_verify_needs_the_package(published: Bundle, tmp_path: Path) -> None:
    """In a new environment that only ``pip install`` of the package has filled."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    install = [environment / "bin" / "python", "-m", "pip", "install", "-qq", "--no-compile"]
    subprocess.run([*install, "--disable-pip-version-check", "--retries", "10", ROOT], check=True)
    listed = subprocess.run([*install[:3], "list"], capture_output=True, text=True, check=True).stdout.lower()
    names = {line.split()[0] for line in listed.splitlines()}
    assert "dj-sqlspy" in names and names.isdisjoint(("pytest", "rocrate", "jsonschema"))
    server = servers.find_server(FLAVOR)  # type: ignore[arg-type]
    assert server is not None
    more = ("mysql", "sh") if FLAVOR == "mysql" else ("mariadb", "mariadb-install-db", *WITH_INSTALL_DB)
    path = programs(tmp_path / "bin", *WITH_BASH, *more)
    (path / server.path.name).symlink_to(server.path)
    (tmp_path / "home").mkdir()
    away = shutil.copytree(published.path, tmp_path / "reader" / "bundle")
    ended = subprocess.run(
        [
            "env",
            "-i",
            f"PATH={path}",
            f"HOME={tmp_path / 'home'}",
            environment / "bin" / "dj-sqlspy",
            "verify",
            "bundle",
        ],
        cwd=away.parent,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "equal: 5 distinct statements, 2 foreign keys, 0 orphans" in ended.stdout
