"""compose.yaml: valid, and each command of it run here as in the containers, without Docker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML  # check-jsonschema brings it

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


def test_its_commands(published: Bundle, clean_scratch: Server, tmp_path: Path) -> None:
    assert is_valid(published.path / "compose.yaml")
    script = published.path / "compose.sh"
    services = parsed((published.path / "compose.yaml").read_text())["services"]
    assert services["server"]["image"] == services["load"]["image"]
    version = published.manifest["server"]["version"]
    flavor, tag = services["server"]["image"].split(":")
    assert flavor == clean_scratch.flavor and re.match(rf"{re.escape(tag)}(?![\d.])", version)
    (port,) = services["notebook"]["ports"]
    assert port == "127.0.0.1:8888:8888" and all("ports" not in services[one] for one in ("server", "load"))

    (tmp_path / "state").mkdir()
    here = {**os.environ, "STATE": str(tmp_path / "state"), "PORT": str(clean_scratch.port)}

    def run(command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        assert command[:2] == ["bash", "/bundle/compose.sh"]
        return subprocess.run(["bash", script, *command[2:]], env=here | more, capture_output=True, text=True)

    # the image's own script is not here; the server says whether it knows the options that it is given
    program = find_server(clean_scratch.flavor)
    assert program is not None
    entrypoint = tmp_path / "bin" / "docker-entrypoint.sh"
    entrypoint.parent.mkdir()
    entrypoint.write_text('#!/usr/bin/env bash\nshift\nexec "$SERVER" --no-defaults "$@" --verbose --help\n')
    entrypoint.chmod(0o700)
    server = services["server"]
    path = f"{entrypoint.parent}{os.pathsep}{os.environ['PATH']}"
    for _ in range(2):
        ended = run([*server["entrypoint"], *server["command"]], PATH=path, SERVER=str(program.path))
        assert ended.returncode == 0 and "1073741824" in ended.stdout, ended.stderr
        password = tmp_path / "state" / "password"
        first = password.read_text()
        assert re.fullmatch("[0-9a-f]{48}", first) and password.stat().st_mode & 0o777 == 0o600

    password.write_text(clean_scratch.password)
    ready, load = server["healthcheck"]["test"][1:], services["load"]
    assert run(ready).returncode == 0
    assert run(ready, PORT="1").returncode != 0
    options = [f"--host={clean_scratch.host}", f"--port={clean_scratch.port}", *no_tls(clean_scratch)]
    assert load["command"][1:] == ["--host=server", "--port=3306"]
    command = [*load["entrypoint"], load["command"][0], *options]
    for said in ("All rows are there", "Loaded before."):
        ended = run(command)
        assert ended.returncode == 0 and said in ended.stdout, ended.stderr
    shutil.copy(published.path / "manifest.json", published.dump_file)
    ended = run(command)
    assert ended.returncode == 1 and "docker compose down --volumes" in ended.stderr
    published.dump_file.unlink()
    assert "There is no dump.sql.gz yet" in run(command).stderr


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
    assert is_valid(*files)
    files[0].write_text(files[0].read_text().replace('"ports"', '"port"'))
    assert not is_valid(files[0])
    assert compose_texts({**MANIFEST, "server": {**MANIFEST["server"], "version": "unknown"}}) == {}
