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
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from ..servers import database_like, options_like
from .environment import PIP_FILES
from .guide import COMPOSE_FILE, COMPOSE_SCRIPT, container_name, datajoint_of, image_of

_HEAD = """\
# docker compose up                starts a server, loads the data into it, and prints the address of a notebook
# docker compose down --volumes    removes all of it again
#
# If there is no image of just this version: SERVER_TAG=… or PYTHON_TAG=…; if the port is taken: NOTEBOOK_PORT=…
"""


@dataclass(frozen=True)
class _Words:
    """What differs between the official images of servers.

    Attributes
    ----------
    command : list of str
        The server's program and its options.
    environment : dict
        Of the server.
    data : str
        Where its data are.
    ready : str
        The program that asks whether it answers.
    load : list of str
        The part of ``compose.sh`` that loads, with its arguments.
    port : str
    user : str
    notebook : dict
        More of the environment of the notebook, for DataJoint.
    """

    command: list[str]
    environment: dict[str, str]
    data: str
    ready: str
    load: list[str]
    port: str
    user: str
    notebook: dict[str, str] = field(default_factory=dict)


def compose_texts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """``compose.yaml`` and ``compose.sh``, by name; none if there is no image for the server.

    JSON is YAML, so no name of the manifest can become anything but a text.
    """
    words = _words(manifest["server"])
    # every release of a version of PostgreSQL reads the same files, and its psql must be a late one
    image = image_of(manifest, exact=manifest["server"]["flavor"] != "postgresql")
    if words is None or image is None:
        return {}
    script = resources.files(__package__).joinpath("pages").joinpath(COMPOSE_SCRIPT)
    body = json.dumps(_compose(manifest, words, *image.split(":")), indent=2)
    return {COMPOSE_FILE: f"{_HEAD}{body}\n", COMPOSE_SCRIPT: script.read_text(encoding="utf-8")}


def _compose(manifest: Mapping[str, Any], words: _Words, name: str, tag: str) -> dict[str, Any]:
    image = f"{name}:${{SERVER_TAG:-{tag}}}"
    run = ["bash", f"/bundle/{COMPOSE_SCRIPT}"]
    bundle = {"type": "bind", "source": ".", "target": "/bundle", "read_only": True}
    state = {"type": "volume", "source": "state", "target": "/state"}
    own = {**state, "read_only": True}
    python, packages = _python(manifest)
    port = "${NOTEBOOK_PORT:-8888}"
    return {
        "name": container_name(manifest)[:40].strip("-"),
        "services": {
            "server": {
                "image": image,
                "entrypoint": [*run, "server"],
                "command": words.command,
                "environment": words.environment,
                "volumes": [bundle, state, {"type": "volume", "source": "data", "target": words.data}],
                "networks": ["database"],
                "healthcheck": {
                    "test": ["CMD", *run, "ready", words.ready],
                    "interval": "2s",
                    "timeout": "10s",
                    "retries": 150,
                },
            },
            "load": {
                "image": image,
                "entrypoint": run,
                "command": words.load,
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
                    "DJ_PORT": words.port,
                    "DJ_USER": words.user,
                    "NOTEBOOK_PORT": port,
                    **words.notebook,
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


def _words(server: Mapping[str, Any]) -> _Words | None:
    """What differs for a source, as a manifest describes it."""
    flavor = server["flavor"]
    return _postgresql(server) if flavor == "postgresql" else _mysql(server) if flavor in _PROGRAMS else None


# The server's program and the one that asks it.
_PROGRAMS = {"mysql": ("mysqld", "mysqladmin"), "mariadb": ("mariadbd", "mariadb-admin")}
# Text is utf8mb4 as on a private server (`servers.mysql.private`); a row may be as large as a dump's.
_OPTIONS = ("--character-set-server=utf8mb4", "--max-allowed-packet=1G", "--skip-log-bin")
# A MariaDB before 11.4 has no TLS, nor has PostgreSQL's image, and nobody else is on this network.
_NO_TLS = {"DJ_USE_TLS": "false"}


def _mysql(server: Mapping[str, Any]) -> _Words:
    flavor = server["flavor"]
    program, ready = _PROGRAMS[flavor]
    zone = str(server.get("time_zone", ""))
    zones = [f"--default-time-zone={zone}"] if re.fullmatch(r"[+-]\d\d:\d\d", zone) else []
    return _Words(
        command=[program, *_OPTIONS, *options_like(server), *zones],
        environment={f"{flavor.upper()}_ROOT_PASSWORD_FILE": "/state/password"},
        data="/var/lib/mysql",
        ready=ready,
        load=["load", "--host=server", "--port=3306", "--user=root"],
        port="3306",
        user="root",
        notebook=_NO_TLS if flavor == "mariadb" else {},
    )


# Names of locales, of collations of ICU, and values of settings; what else stands in SQL that makes a database is ours.
_NAME = re.compile(r"[\w.@+/=;, -]+", re.ASCII)


def _postgresql(server: Mapping[str, Any]) -> _Words:
    plain = {key: str(value) for key, value in server.items() if _NAME.fullmatch(str(value))}
    name, made, settings = database_like(plain)
    return _Words(
        command=["postgres"],
        # where images of all versions can have it: that of 18 and later have another place than those before
        environment={"POSTGRES_PASSWORD_FILE": "/state/password", "PGDATA": "/data/postgresql"},
        data="/data",
        ready="pg_isready",
        load=["into_database", "server", "5432", name, made, *map("=".join, settings.items())],
        port="5432",
        user="postgres",
        notebook={"DJ_BACKEND": "postgresql", "DJ_DATABASE_NAME": name, **_NO_TLS},
    )


def _python(manifest: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The version of Python, and the file of packages, of the last environment with DataJoint."""
    version, files = str(manifest["versions"]["python"]), list[str]()
    for entry, file in zip(manifest["environments"], PIP_FILES, strict=False):
        if "datajoint" in entry["packages"]:
            version, files = str(entry["python"]), [file]
    found = re.match(r"3\.\d+(\.\d+)?((a|b|rc)\d+)?", version, re.ASCII)
    return (found[0] if found else "3", files)
