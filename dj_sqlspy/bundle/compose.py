"""Compose: ``compose.yaml``, with which Docker Compose starts a server with the slice and a notebook.

In: a manifest. Out: the texts of ``compose.yaml`` and of ``compose.sh``, which its containers run. All that the first
names is in the manifest: versions of the server, of Python and of DataJoint, and the name of the paper.

- The server listens on a network that only these containers are on, and no port of it is published. It makes a random
  password before its first start, in a volume. An empty one would do among containers, but on Linux every user of the
  machine reaches them.
- The notebook is published at 127.0.0.1 only. JupyterLab makes its own token and prints it.
- The folder of the bundle is read only there, so its files stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from ..servers import options_like
from .environment import PIP_FILES
from .guide import COMPOSE_FILE, COMPOSE_SCRIPT, container_name, datajoint_of, image_of

# The server's program and the one that asks it, in the official images.
_PROGRAMS = {"mysql": ("mysqld", "mysqladmin"), "mariadb": ("mariadbd", "mariadb-admin")}
# Text is utf8mb4 as on a private server (`servers.mysql.private`); a row may be as large as a dump's.
_OPTIONS = ("--character-set-server=utf8mb4", "--max-allowed-packet=1G", "--skip-log-bin")

_HEAD = """\
# docker compose up                starts a server, loads the data into it, and prints the address of a notebook
# docker compose down --volumes    removes all of it again
#
# If there is no image of just this version: SERVER_TAG=… or PYTHON_TAG=…; if the port is taken: NOTEBOOK_PORT=…
"""


def compose_texts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """``compose.yaml`` and ``compose.sh``, by name; none if there is no image for the server, or it is PostgreSQL.

    JSON is YAML, so no name of the manifest can become anything but a text.
    """
    image = image_of(manifest, exact=True)
    if image is None or manifest["server"]["flavor"] not in _PROGRAMS:
        return {}
    script = resources.files(__package__).joinpath("pages").joinpath(COMPOSE_SCRIPT)
    body = json.dumps(_compose(manifest, *image.split(":")), indent=2)
    return {COMPOSE_FILE: f"{_HEAD}{body}\n", COMPOSE_SCRIPT: script.read_text(encoding="utf-8")}


def _compose(manifest: Mapping[str, Any], flavor: str, tag: str) -> dict[str, Any]:
    server, ping = _PROGRAMS[flavor]
    image = f"{flavor}:${{SERVER_TAG:-{tag}}}"
    run = ["bash", f"/bundle/{COMPOSE_SCRIPT}"]
    bundle = {"type": "bind", "source": ".", "target": "/bundle", "read_only": True}
    state = {"type": "volume", "source": "state", "target": "/state"}
    own = {**state, "read_only": True}
    python, packages = _python(manifest)
    port = "${NOTEBOOK_PORT:-8888}"
    # a MariaDB before 11.4 has no TLS, and nobody else is on this network
    plain = {"DJ_USE_TLS": "false"} if flavor == "mariadb" else {}
    return {
        "name": container_name(manifest)[:40].strip("-"),
        "services": {
            "server": {
                "image": image,
                "entrypoint": [*run, "server"],
                "command": [server, *_OPTIONS, *_settings(manifest)],
                "environment": {f"{flavor.upper()}_ROOT_PASSWORD_FILE": "/state/password"},
                "volumes": [bundle, state, {"type": "volume", "source": "data", "target": "/var/lib/mysql"}],
                "networks": ["database"],
                "healthcheck": {
                    "test": ["CMD", *run, "ready", ping],
                    "interval": "2s",
                    "timeout": "10s",
                    "retries": 150,
                },
            },
            "load": {
                "image": image,
                "entrypoint": run,
                "command": ["load", "--host=server", "--port=3306"],
                "volumes": [bundle, state],
                "networks": ["database"],
                "depends_on": {"server": {"condition": "service_healthy"}},
            },
            "notebook": {
                "image": f"python:${{PYTHON_TAG:-{python}}}",
                "entrypoint": run,
                "command": ["notebook", datajoint_of(manifest), *packages],
                "environment": {
                    "DJ_HOST": "server",
                    "DJ_PORT": "3306",
                    "DJ_USER": "root",
                    "NOTEBOOK_PORT": port,
                    **plain,
                },
                "volumes": [bundle, own, {"type": "volume", "source": "work", "target": "/work"}],
                "networks": ["database", "default"],
                "ports": [f"127.0.0.1:{port}:{port}"],
                "depends_on": {"load": {"condition": "service_completed_successfully"}},
            },
        },
        "volumes": {"data": {}, "state": {}, "work": {}},
        "networks": {"database": {"internal": True}, "default": {}},  # podman-compose wants both
    }


def _settings(manifest: Mapping[str, Any]) -> list[str]:
    """Options for what statements depend on, as the source has it."""
    about = manifest["server"]
    zone = str(about.get("time_zone", ""))
    zones = [f"--default-time-zone={zone}"] if re.fullmatch(r"[+-]\d\d:\d\d", zone) else []
    return [*options_like(about), *zones]


def _python(manifest: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The version of Python, and the file of packages, of the last environment with DataJoint."""
    version, files = str(manifest["versions"]["python"]), list[str]()
    for entry, file in zip(manifest["environments"], PIP_FILES, strict=False):
        if "datajoint" in entry["packages"]:
            version, files = str(entry["python"]), [file]
    found = re.match(r"3\.\d+(\.\d+)?((a|b|rc)\d+)?", version, re.ASCII)
    return (found[0] if found else "3", files)
