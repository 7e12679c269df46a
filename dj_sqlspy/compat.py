"""Compat: every difference between DataJoint 0.14 and 2.x, and every patch of DataJoint, in one place.

In: whichever DataJoint is installed. Out: the same few functions on both lines. No other module asks for the
version of DataJoint. It does not record anything: what a patch sees goes to `spy`.
"""

from __future__ import annotations

import ssl
from typing import Any

import datajoint
import pymysql

from .errors import SpyError

DATAJOINT_VERSION: str = datajoint.__version__
IS_V2: bool = int(DATAJOINT_VERSION.split(".")[0]) >= 2

# What both lines set on each connection (datajoint.connection in 0.14, adapters.mysql in 2.x).
SQL_MODE = (
    "NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY"
)

# What conn_info holds beside arguments of pymysql.connect.
_NOT_PYMYSQL = frozenset({"ssl_input", "host_input", "database_name", "ssl", "passwd"})


def raw_connection(dj_connection: Any = None, **overrides: Any) -> Any:
    """Open a new PyMySQL connection to the server of a DataJoint connection.

    Same host, port, user, password, TLS and sql_mode as DataJoint's own; autocommit on, charset utf8mb4. The
    spy does not see what runs on it.

    Parameters
    ----------
    dj_connection : datajoint.Connection, optional
        Default: ``dj.conn()``.
    **overrides
        Arguments of ``pymysql.connect`` that replace the above.

    Raises
    ------
    SpyError
        If the DataJoint connection is not to a MySQL or MariaDB server.
    pymysql.Error
        If the server cannot be reached.
    """
    connection = datajoint.conn() if dj_connection is None else dj_connection
    adapter = getattr(connection, "adapter", None)
    if adapter is not None and adapter.backend != "mysql":
        raise SpyError(
            f"Connecting to {connection.conn_info['host']}: dj-sqlspy works with MySQL and MariaDB, and this is a "
            f"DataJoint connection with the backend {adapter.backend!r}."
        )
    info = connection.conn_info
    arguments: dict[str, Any] = {key: value for key, value in info.items() if key not in _NOT_PYMYSQL}
    arguments |= {"password": info["passwd"], "autocommit": True, "charset": "utf8mb4", "sql_mode": SQL_MODE}
    if getattr(connection, "init_fun", None):  # only 0.14 has one
        arguments["init_command"] = connection.init_fun
    arguments |= _tls(connection)
    return pymysql.connect(**{**arguments, **overrides})


def _tls(connection: Any) -> dict[str, Any]:
    """The TLS arguments of pymysql.connect that give what the DataJoint connection really has.

    DataJoint falls back to a connection without TLS where its setting is None and the server has none; so the
    open connection is looked at, and not the setting alone.
    """
    asked = connection.conn_info.get("ssl_input")
    if asked is False:
        return {"ssl_disabled": True}
    if isinstance(asked, dict):
        return {"ssl": asked}
    socket = getattr(connection._conn, "_sock", None)
    if socket is None and asked is None:
        return {}  # closed: PyMySQL's own preference, TLS where the server has it
    if socket is None or isinstance(socket, ssl.SSLSocket):
        return {"ssl": {"ssl": {}}}  # a dict that is not empty: TLS without a named CA
    return {"ssl_disabled": True}
