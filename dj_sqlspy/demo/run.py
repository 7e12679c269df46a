"""``dj-sqlspy demo``: the small laboratory, a paper's analysis, and its slice.

In: nothing, or the folder for the bundle. Out: the table that `show` prints. It runs on a private server if there is a
program for one. Otherwise it uses the server of ``dj.config``, in schemas with its own prefix, which it removes again.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import datajoint as dj

from .. import servers
from ..capture import export
from ..compat import IS_V2
from ..errors import ServerError
from ..paper import Paper
from ..servers import backend_of
from ..slices import Slice
from .analysis import PAPER, analyse
from .pipeline import Pipeline, declare, fill
from .show import Outcome, Steps, connect, row_counts, show, tell_places

HOW_TO_GET_ONE = (
    "There is no MySQL or MariaDB server program on this machine. Get one (Debian, Ubuntu: apt-get install"
    " mariadb-server; macOS: brew install mariadb; conda: conda install -c conda-forge mysql-server), and the demo"
    " runs on a private server of its own"
)


def run(folder: Path | None = None, server: str | None = None) -> Outcome:
    """Run the demonstration.

    Parameters
    ----------
    folder : path, optional
        A folder to keep the bundle in, with the open copy beside it; by default both are deleted at the end.
    server : {"mysql", "mariadb", "postgresql"}, optional
        The kind of the private server. Default: MySQL or MariaDB, whichever this machine has.

    Raises
    ------
    ServerError
        If there is neither a server program nor a server in ``dj.config``, or none of the kind that was asked for.
    """
    _require(server)
    steps = Steps()
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dj-sqlspy-demo-")))
        private = server is not None or servers.find_server() is not None
        with steps("start a server" if private else "connect"):
            connection = stack.enter_context(_private(server) if private else _configured())
        # on a server with other schemas, a prefix that none of them has
        prefix = "demo_" if private else f"sqlspy_demo_{secrets.token_hex(4)}_"
        stack.enter_context(_removed(connection, prefix))
        with steps("declare and fill"):
            lab = declare(connection, prefix)
            fill(lab)
        print("\nThe analysis, inside of sqlspy.export:\n")
        with steps("analysis"), export("memory-paper", "figure-1", home=home):
            analyse(lab)
        print()
        with contextlib.closing(backend_of(connection).connect(connection)) as raw:
            totals = row_counts(raw, prefix)
        paper = Paper("memory-paper", home=home, connection=connection)
        outcome = show(
            paper,
            folder or home / "bundle",
            totals,
            lambda cut: _rows_of_others(cut, lab),
            steps,
            replay=private,
        )
        if not private:
            print(f"\n{HOW_TO_GET_ONE}, with a second one to replay on.")
        if folder is not None:
            tell_places(outcome)
    return outcome


def _rows_of_others(cut: Slice, lab: Pipeline) -> int:
    """The number of rows of the slice that belong to an animal or project of another paper."""
    projects = (lab.Project - PAPER).proj()
    animals = (lab.Animal - PAPER).proj()
    count = 0
    for table in cut.free_tables():
        others = animals if "animal" in table.heading.names else projects
        if set(others.heading.names) & set(table.heading.names):
            count += len(table & others)
    return count


def _require(server: str | None) -> None:
    """Raise `ServerError` unless a server of the kind that was asked for can be started."""
    if server is None:
        return
    if server not in servers.NAMES:
        raise ServerError(
            f"Starting a {server} server: there is no such kind, but {', '.join(servers.NAMES)}."
        )
    if server == "postgresql" and not IS_V2:
        raise ServerError(
            f"Running the demo on PostgreSQL: DataJoint {dj.__version__} does not work with it. Install DataJoint 2.x:"
            ' pip install "datajoint>=2" "dj-sqlspy[postgresql]".'
        )
    if server == "postgresql":
        servers.require_program(server)
    elif servers.find_program(server) is None:
        raise ServerError(
            f"Starting a private server: there is no program of {servers.NAMES[server]} on this machine. Put one on"
            " PATH, or choose another with --server."
        )


@contextlib.contextmanager
def _private(flavor: str | None) -> Iterator[Any]:
    if flavor == "postgresql":
        with servers.private_postgresql() as server:
            yield connect(server)
        return
    with servers.private_server(cast("servers.Flavor | None", flavor)) as server:
        yield connect(server)


@contextlib.contextmanager
def _configured() -> Iterator[Any]:
    if not dj.config["database.user"] or dj.config["database.password"] is None:
        raise ServerError(f"{HOW_TO_GET_ONE}. Or set a server in dj.config that you may make schemas on.")
    print(f"No server program here: using {dj.config['database.host']}, in schemas that are removed again.")
    yield dj.conn()


@contextlib.contextmanager
def _removed(connection: Any, prefix: str) -> Iterator[None]:
    """Drop the schemas with the prefix at the end, also after an error."""
    try:
        yield
    finally:
        backend = backend_of(connection)
        on_postgresql = backend.name == "postgresql"
        with contextlib.closing(backend.connect(connection)) as raw, raw.cursor() as cursor:
            if not on_postgresql:
                cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
            cursor.execute(
                "SELECT schema_name FROM information_schema.schemata WHERE LEFT(schema_name, %s) = %s",
                (len(prefix), prefix),
            )
            for (name,) in cursor.fetchall():
                name = backend.dialect.quote(name)
                cursor.execute(f"DROP SCHEMA {name} CASCADE" if on_postgresql else f"DROP DATABASE {name}")
