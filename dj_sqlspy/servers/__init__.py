"""Servers: everything that is particular to one kind of server, behind one interface.

`backend_of` chooses the `backend.Backend` of a connection. Its `catalog.Catalog` carries the `dialect.Dialect`, and its
`snapshot.Snapshot` sends the queries. `mysql` is for MySQL and MariaDB, `postgresql` for PostgreSQL. Rooms above write
no SQL of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .mysql.collations import NAMES
from .mysql.errors import DRIVER_ERRORS
from .mysql.private import (
    Flavor,
    Program,
    Server,
    cache_folder,
    find_server,
    private_server,
    require_server,
    root_programs,
    template,
)
from .postgresql.private import private_server as private_postgresql

if TYPE_CHECKING:
    from .backend import Backend
    from .snapshot import Snapshot


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
    "driver_errors",
    "find_server",
    "is_own_script",
    "private_postgresql",
    "private_server",
    "require_server",
    "root_programs",
    "snapshot_of",
    "template",
]
