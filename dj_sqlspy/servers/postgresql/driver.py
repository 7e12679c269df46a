"""Driver: psycopg2, which DataJoint brings for PostgreSQL (``datajoint[postgres]``).

It is imported only where there is, or shall be, a connection to PostgreSQL.
"""

from __future__ import annotations

import sys
from typing import Any

from ...errors import ServerError


def driver() -> Any:
    """The module.

    Raises
    ------
    ServerError
        If it is not installed.
    """
    try:
        import psycopg2
        import psycopg2.extensions
    except ImportError as error:
        raise ServerError(
            f"Connecting to PostgreSQL: its driver is missing ({error}). Install it:"
            " pip install 'dj-sqlspy[postgresql]'."
        ) from error
    return psycopg2


def is_connection(connection: Any) -> bool:
    """Whether it is a connection of this driver."""
    module = sys.modules.get("psycopg2")
    return module is not None and isinstance(connection, module.extensions.connection)


def name_of(connection: Any) -> str:
    """The server of a DataJoint connection, which may be closed: host, port and database."""
    info, raw = connection.conn_info, connection._conn
    database = raw.info.dbname or driver().extensions.parse_dsn(raw.dsn).get("dbname", "")
    return f"{info['host']}:{info['port']}/{database}"


def errors() -> tuple[type[Exception], ...]:
    """The exceptions of the driver; none if it is not loaded."""
    module = sys.modules.get("psycopg2")
    return () if module is None else (module.Error,)
