"""Servers: everything that is particular to one kind of server, behind one interface.

`backend_of` chooses the `backend.Backend` of a connection. Its `catalog.Catalog` carries the `dialect.Dialect`, and its
`snapshot.Snapshot` sends the queries. `mysql` is for MySQL and MariaDB, `postgresql` for PostgreSQL. Rooms above write
no SQL of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .mysql.collations import NAMES as _MYSQL_NAMES
from .mysql.errors import DRIVER_ERRORS
from .mysql.private import (
    Flavor,
    Program,
    Server,
    find_server,
    private_server,
    require_server,
    root_programs,
    template,
)
from .private import cache_folder

if TYPE_CHECKING:
    from .backend import Backend
    from .snapshot import Snapshot


# The names of flavors, as people write them.
NAMES: dict[str, str] = {**_MYSQL_NAMES, "postgresql": "PostgreSQL"}


def require_supported(flavor: str, feature: str) -> None:
    """Raise `SpyError` if servers of a flavor cannot be used for something yet, in words."""
    if flavor == "postgresql":
        from .postgresql.backend import not_yet

        raise not_yet(feature)


def find_program(flavor: str) -> Any:
    """The server program of a flavor, or None."""
    if flavor == "postgresql":
        from .postgresql import private

        return private.find_server()
    return find_server(cast("Flavor", flavor))


def find_stand_in(flavor: str) -> Program | None:
    """The program of another flavor that can load a bundle of this one, or None: MySQL and MariaDB do so."""
    return None if flavor == "postgresql" else find_server()


def server_name(connection: Any) -> str:
    """The server of a DataJoint connection, in the form of `Statement.server`."""
    from ..compat import backend_of as kind_of
    from .postgresql.driver import name_of

    if kind_of(connection) == "postgresql":
        return name_of(connection)
    info = connection.conn_info
    return f"{info['host']}:{info['port']}"


def require_program(flavor: str) -> Any:
    """The program of a private server for a source of a flavor: MySQL and MariaDB stand in for each other.

    Raises
    ------
    ServerError
        If there is none.
    """
    if flavor == "postgresql":
        from .postgresql import private

        return private.require_server()
    return find_server(cast("Flavor", flavor)) or require_server()


def options_like(recorded: Mapping[str, Any]) -> list[str]:
    """Options with which a MySQL or MariaDB server reads names as a source does, as a manifest describes that."""
    folds = str(recorded.get("lower_case_table_names", "0")) != "0"
    return ["--lower-case-table-names=1"] if folds else []


def database_like(recorded: Mapping[str, str]) -> tuple[str, str, dict[str, str]]:
    """A PostgreSQL database for a slice: name, SQL that makes it like a source, settings (`postgresql.database`)."""
    from .postgresql import database

    settings = {name: recorded[name] for name in database.SETTINGS if name in recorded}
    return database.NAME, database.created_like(recorded), settings


def private_postgresql(options: Sequence[str] = ()) -> contextlib.AbstractContextManager[Any]:
    """A private PostgreSQL (`postgresql.private.private_server`)."""
    from .postgresql.private import private_server

    return private_server(options)


@contextlib.contextmanager
def private_like(recorded: Mapping[str, Any]) -> Iterator[Any]:
    """A private server like a source, as a manifest describes that: of its flavor if this machine has one.

    It reads names, and sorts and compares texts, as the source does, as far as this machine can.

    Parameters
    ----------
    recorded : mapping
        The ``server`` of a manifest.
    """
    flavor = recorded["flavor"]
    if flavor == "postgresql":
        from .postgresql.database import like_source

        with private_postgresql() as private:
            yield like_source(private, recorded)
        return
    options = options_like(recorded)
    with private_server(flavor if find_server(flavor) else None, options=options) as found:
        yield found


def backend_of(connection: Any = None) -> Backend:
    """The backend of a connection of DataJoint (None: ``dj.conn()``), or of a driver.

    Raises
    ------
    SpyError
        If the server is of a kind that is not supported.
    """
    # imported here: the spy does not need it, and it takes a third of a second
    import datajoint

    from ..compat import backend_of as kind_of
    from ..errors import SpyError
    from .mysql.backend import MYSQL
    from .postgresql.driver import is_connection

    found = datajoint.conn() if connection is None else connection
    kind = "postgresql" if is_connection(found) else kind_of(found)
    if kind == "postgresql":
        from .postgresql.backend import POSTGRESQL

        return cast("Backend", POSTGRESQL)  # it refuses by name what it has not
    if kind != MYSQL.name:
        raise SpyError(
            f"Connecting to {found.conn_info['host']}: dj-sqlspy works with MySQL, MariaDB and PostgreSQL, and this "
            f"is a DataJoint connection with the backend {kind!r}."
        )
    return MYSQL


def driver_errors() -> tuple[type[Exception], ...]:
    """The exceptions of the drivers that are loaded."""
    from .postgresql import driver

    return (*DRIVER_ERRORS, *driver.errors())


def snapshot_of(connection: Any) -> Snapshot:
    """A snapshot on a connection of a driver that returns values as the server prints them."""
    return backend_of(connection).snapshot(connection)


def is_own_script(name: str, text: str) -> bool:
    """Whether this version can have written a ``dump.sh`` or ``restore.sh`` for a source of any kind."""
    from .mysql import scripts as mysql
    from .postgresql import scripts as postgresql

    return mysql.is_own(name, text) or postgresql.is_own(name, text)


__all__ = [
    "NAMES",
    "Flavor",
    "Program",
    "Server",
    "backend_of",
    "cache_folder",
    "database_like",
    "driver_errors",
    "find_program",
    "find_server",
    "find_stand_in",
    "is_own_script",
    "options_like",
    "private_like",
    "private_postgresql",
    "private_server",
    "require_program",
    "require_server",
    "require_supported",
    "root_programs",
    "server_name",
    "snapshot_of",
    "template",
]
