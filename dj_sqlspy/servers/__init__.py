"""Servers: all that is one server's own, behind one seam.

`backend_of` chooses the `backend.Backend` of a connection. What it reads is handed on: a `catalog.Catalog` knows its
`dialect.Dialect`, a `snapshot.Snapshot` asks. `mysql` is MySQL and MariaDB; no room above spells their SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    # not above: the spy needs none of this, and it is a third of a second to import
    import datajoint

    from ..compat import backend_of as kind_of
    from ..errors import SpyError
    from .mysql.backend import MYSQL

    found = datajoint.conn() if connection is None else connection
    kind = kind_of(found)
    if kind != MYSQL.name:
        raise SpyError(
            f"Connecting to {found.conn_info['host']}: dj-sqlspy works with MySQL and MariaDB, and this "
            f"is a DataJoint connection with the backend {kind!r}."
        )
    return MYSQL


def snapshot_of(connection: Any) -> Snapshot:
    """A snapshot to enter, on a connection of a driver that leaves values as the server prints them."""
    return backend_of(connection).snapshot(connection)


def is_own_script(name: str, text: str) -> bool:
    """Whether a ``dump.sh`` or ``restore.sh`` is one that this version writes for some server (`mysql.scripts`)."""
    from .mysql.scripts import is_own

    return is_own(name, text)


__all__ = [
    "DRIVER_ERRORS",
    "NAMES",
    "Flavor",
    "Program",
    "Server",
    "backend_of",
    "cache_folder",
    "find_server",
    "is_own_script",
    "private_server",
    "require_server",
    "root_programs",
    "snapshot_of",
    "template",
]
