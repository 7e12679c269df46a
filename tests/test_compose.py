"""compose.yaml: valid, and each command of it run here as in the containers, without Docker."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest
from ruamel.yaml import YAML  # check-jsonschema brings it

import dj_sqlspy as sqlspy
from dj_sqlspy.bundle.compose import compose_texts
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import Server, find_server
from tests.conftest import no_tls
from tests.test_markup import MANIFEST, everywhere
from tests.test_publish import bundle, published

pytestmark = pytest.mark.separately

__all__ = ["bundle", "published"]


def parsed(text: str) -> dict[str, Any]:
    """What Compose reads, with the defaults of its variables."""
    return dict(YAML(typ="safe", pure=True).load(re.sub(r"\$\{\w+:-([\w.]+)\}", r"\1", text)))


def is_valid(*files: Path) -> bool:
    ended = subprocess.run(["check-jsonschema", "--builtin-schema", "vendor.compose-spec", *files])
    return ended.returncode == 0


class Containers:
    """Commands of a bundle's compose.yaml, run here on a server of the tests."""

    def __init__(self, bundle: Bundle, server: Any, folder: Path) -> None:
        assert is_valid(bundle.path / "compose.yaml")
        self.script = bundle.path / "compose.sh"
        self.services = parsed((bundle.path / "compose.yaml").read_text())["services"]
        (port,) = self.services["notebook"]["ports"]
        assert port == "127.0.0.1:8888:8888"
        assert all("ports" not in self.services[one] for one in ("server", "load"))
        assert self.services["server"]["image"] == self.services["load"]["image"]
        self.password = folder / "state" / "password"
        self.password.parent.mkdir()
        self.environment = {**os.environ, "STATE": str(self.password.parent), "PORT": str(server.port)}

    def run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        assert command[:2] == ["bash", "/bundle/compose.sh"]
        return subprocess.run(
            ["bash", self.script, *command[2:]],
            env=self.environment | more,
            capture_output=True,
            text=True,
        )

    def start(self, program: str, folder: Path, options: str) -> str:
        """What the server says of its options, twice; the image's own script is not here."""
        entrypoint = folder / "bin" / "docker-entrypoint.sh"
        entrypoint.parent.mkdir()
        entrypoint.write_text(f'#!/usr/bin/env bash\nshift\nexec "$SERVER" {options}\n')
        entrypoint.chmod(0o700)
        server = self.services["server"]
        path = f"{entrypoint.parent}{os.pathsep}{os.environ['PATH']}"
        made = set()
        for _ in range(2):
            ended = self.run([*server["entrypoint"], *server["command"]], PATH=path, SERVER=program)
            assert ended.returncode == 0, ended.stderr
            made.add(self.password.read_text())
            assert self.password.stat().st_mode & 0o777 == 0o600
        assert len(made) == 1 and re.fullmatch("[0-9a-f]{48}", made.pop())
        return ended.stdout

    def load(self, bundle: Bundle, command: list[str], **more: str) -> None:
        """Load, load again, and what is said where it cannot be."""
        for said in ("All rows are there", "Loaded before."):
            ended = self.run(command, **more)
            assert ended.returncode == 0 and said in ended.stdout, ended.stderr
        shutil.copy(bundle.path / "manifest.json", bundle.dump_file)
        ended = self.run(command, **more)
        assert ended.returncode == 1 and "docker compose down --volumes" in ended.stderr
        bundle.dump_file.unlink()
        assert "There is no dump.sql.gz yet" in self.run(command, **more).stderr


def test_its_commands(published: Bundle, clean_scratch: Server, tmp_path: Path) -> None:
    there = Containers(published, clean_scratch, tmp_path)
    version = published.manifest["server"]["version"]
    flavor, tag = there.services["server"]["image"].split(":")
    assert flavor == clean_scratch.flavor and re.match(rf"{re.escape(tag)}(?![\d.])", version)
    program = find_server(clean_scratch.flavor)
    assert program is not None
    assert "1073741824" in there.start(str(program.path), tmp_path, '--no-defaults "$@" --verbose --help')
    there.password.write_text(clean_scratch.password)
    ready, load = there.services["server"]["healthcheck"]["test"][1:], there.services["load"]
    assert there.run(ready).returncode == 0
    assert there.run(ready, PORT="1").returncode != 0
    options = [f"--host={clean_scratch.host}", f"--port={clean_scratch.port}", *no_tls(clean_scratch)]
    assert load["command"][1:] == ["--host=server", "--port=3306", "--user=root"]
    there.load(published, [*load["entrypoint"], load["command"][0], *options, "--user=root"])


@pytest.mark.line("2.x")
@pytest.mark.flavor("postgresql")
def test_its_commands_on_postgresql(scratch: Any, dj_conn: Any, prefix: str, tmp_path: Path) -> None:
    @dj.Schema(f"{prefix}lab", connection=dj_conn)
    class Mouse(dj.Manual):
        definition = "mouse : int32\n---\nname : varchar(20)"

    Mouse.insert([(1, "ä"), (2, "b")])
    with sqlspy.export("paper", "fig", home=tmp_path / "home"):
        (Mouse & "mouse = 1").to_dicts()
    bundle = sqlspy.Paper("paper", home=tmp_path / "home").write(tmp_path / "bundle")
    bundle.dump()
    assert "docker compose up" in (bundle.path / "README.md").read_text()
    there = Containers(bundle, scratch, tmp_path)
    assert there.services["server"]["image"] == f"postgres:{scratch.version.partition('.')[0]}"
    there.start(str(scratch.programs / "postgres"), tmp_path, '"$@" --describe-config')
    there.password.write_text(scratch.password)
    path = f"{scratch.programs}{os.pathsep}{os.environ['PATH']}"
    ready, load = there.services["server"]["healthcheck"]["test"][1:], there.services["load"]
    assert there.run(ready, PATH=path).returncode == 0
    assert there.run(ready, PATH=path, PORT="1").returncode != 0
    what, server, port, name, made, *settings = load["command"]
    assert (what, server, port, name, settings[0]) == (
        "into_database",
        "server",
        "5432",
        "slice",
        "timezone=UTC",
    )
    # a collation and a setting that this system does not have
    made_so, settings = (
        made.replace("C.UTF-8", "xx_XX.UTF-8"),
        ["timezone=none such", "timezone=Asia/Tokyo", *settings[1:]],
    )
    command = [what, scratch.host, str(scratch.port), name, made_so, *settings]
    with contextlib.closing(scratch.connect()) as connection, connection.cursor() as cursor:
        try:
            there.load(bundle, [*load["entrypoint"], *command], PGUSER=scratch.user)
            with contextlib.closing(scratch.connect(dbname=name)) as slice_, slice_.cursor() as reading:
                reading.execute(f"SELECT name, current_setting('timezone') FROM {Mouse.full_table_name}")
                assert reading.fetchall() == [("ä", "Asia/Tokyo")]
            cursor.execute(f"DROP DATABASE {name}")
            cursor.execute(made)  # this one the system has
        finally:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.mark.line("2.x")
@pytest.mark.flavor("mysql")
def test_no_name_becomes_more_than_a_name(tmp_path: Path) -> None:
    plain = parsed(compose_texts(MANIFEST)["compose.yaml"])
    files = []
    for number, evil in enumerate(("$(id)", "${HOME}", '"\n  evil:', "a: &b [", "# x", "\x85- --rm")):
        manifest = everywhere(evil)["manifest"]
        manifest = {
            **manifest,
            "paper": evil,
            "versions": {**MANIFEST["versions"], "python": f"3.11.2{evil}"},
            "server": {**MANIFEST["server"], "time_zone": evil},
        }
        manifest["environments"] = [{**one, "python": evil} for one in MANIFEST["environments"]]
        text = compose_texts(manifest)["compose.yaml"]
        assert set(re.findall(r"\$\{?(\w*)", text)) == {"SERVER_TAG", "PYTHON_TAG", "NOTEBOOK_PORT"}
        found = parsed(text)
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", found.pop("name"))
        image = found["services"]["notebook"].pop("image")
        assert image in ("python:3", "python:3.11.2")
        expected = json.loads(json.dumps({name: one for name, one in plain.items() if name != "name"}))
        del expected["services"]["notebook"]["image"]
        assert found == expected
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text)
    for evil in ("$(id)", "x'; DROP DATABASE lab --", "$HOME"):
        given = {"flavor": "postgresql", "version": "15.18", "database_provider": "c", "timezone": evil}
        given |= {"database_collate": evil, "database_ctype": "C"}
        text = compose_texts({**MANIFEST, "server": given})["compose.yaml"]
        assert parsed(text)["services"]["load"]["command"] == [
            "into_database",
            "server",
            "5432",
            "slice",
            "",
        ]
        files.append(tmp_path / f"{len(files)}.yaml")
        files[-1].write_text(text)
    assert is_valid(*files)
    files[0].write_text(files[0].read_text().replace('"ports"', '"port"'))
    assert not is_valid(files[0])
    assert compose_texts({**MANIFEST, "server": {**MANIFEST["server"], "version": "unknown"}}) == {}
