"""Connect: connections to the server of a DataJoint connection, for this package and for client programs.

In: a DataJoint connection. Out: a separate PyMySQL connection, or options that connect a client program to the same
server with the same account. No password appears in an argument list.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import datajoint
import pymysql

from ... import guarded

# Both lines set it on each connection (datajoint.connection in 0.14, adapters.mysql in 2.x).
SQL_MODE = (
    "NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY"
)

# Entries of conn_info that are not arguments of pymysql.connect.
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
    pymysql.Error
        If the server cannot be reached.
    """
    connection = datajoint.conn() if dj_connection is None else dj_connection
    info = connection.conn_info
    arguments: dict[str, Any] = {key: value for key, value in info.items() if key not in _NOT_PYMYSQL}
    arguments |= {"password": info["passwd"], "autocommit": True, "charset": "utf8mb4", "sql_mode": SQL_MODE}
    if getattr(connection, "init_fun", None):  # only 0.14 has one
        arguments["init_command"] = connection.init_fun
    arguments |= _tls(connection)
    return pymysql.connect(**{**arguments, **overrides})


def _tls(connection: Any) -> dict[str, Any]:
    """The arguments of pymysql.connect for the TLS that a DataJoint connection really has.

    With the setting None, DataJoint falls back to a connection without TLS if the server has none, and with False it
    lets PyMySQL use TLS. So this looks at the open connection, not at the setting alone.
    """
    asked = connection.conn_info.get("ssl_input")
    if isinstance(asked, dict):
        return {"ssl": asked}
    socket = getattr(connection._conn, "_sock", None)
    if socket is None and not asked:
        return {}  # closed: PyMySQL's default, which is TLS if the server has it
    if socket is None or isinstance(socket, ssl.SSLSocket):
        return {"ssl": {"ssl": {}}}  # a dict that is not empty: TLS without a named CA
    return {"ssl_disabled": True}


def tls_options(dj_connection: Any = None) -> dict[str, Any]:
    """The TLS settings of a DataJoint connection as PyMySQL names them (``ca``, ``cert``, ``key`` …), often none."""
    connection = datajoint.conn() if dj_connection is None else dj_connection
    asked = connection.conn_info.get("ssl_input")
    return dict(asked) if isinstance(asked, dict) else {}


@contextlib.contextmanager
def client_options(connection: Any, tls: Mapping[str, Any] = MappingProxyType({})) -> Iterator[list[str]]:
    """Options that connect a client program to the server of a pymysql connection with the same account.

    The password is in an option file in memory that only this user can read (`guarded.secret`).

    Parameters
    ----------
    connection : pymysql connection
    tls : mapping
        TLS settings of the connection as PyMySQL names them: ``ca``, ``capath``, ``cert``, ``key``,
        ``check_hostname``, ``verify_mode``.

    Yields
    ------
    list of str
    """
    lines = {"user": _text(connection.user), "password": _text(connection.password)}
    if connection.unix_socket:
        lines |= {"socket": _text(connection.unix_socket), "protocol": "SOCKET"}
    else:
        lines |= {"host": _text(connection.host), "port": str(connection.port), "protocol": "TCP"}
    encrypted = isinstance(getattr(connection, "_sock", None), ssl.SSLSocket)
    text = "[client]\n" + "".join(f"{key}={_option_value(value)}\n" for key, value in lines.items())
    # MySQL's clients use TLS if the server has it. MariaDB's must be told: up to 11.3 to use it, later not to use it.
    text += "[client-mariadb]\n" + ("ssl\n" if encrypted else "skip-ssl\n")
    text += _tls_options(tls) if encrypted else ""
    with guarded.secret(text) as file:
        yield [f"--defaults-file={file}"]


def _tls_options(tls: Mapping[str, Any]) -> str:
    """Lines of an option file, after those for MariaDB. The server is verified if PyMySQL would verify it."""
    verified = bool(tls.get("ca") or tls.get("capath")) and tls.get("verify_mode") not in _UNVERIFIED
    named = verified and tls.get("check_hostname", True)
    mode = "VERIFY_IDENTITY" if named else "VERIFY_CA" if verified else "REQUIRED"
    lines = [f"{'' if named else 'skip-'}ssl-verify-server-cert", "[client]", f"loose-ssl-mode={mode}"]
    lines += [f"ssl-{word}={_option_value(str(tls[word]))}" for word in _FILES_OF_TLS if tls.get(word)]
    return "\n".join(lines) + "\n"


_FILES_OF_TLS = ("ca", "capath", "cert", "key")

_UNVERIFIED = (False, ssl.CERT_NONE, "none", "0", "no", "false")


def _option_value(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(value: Any) -> str:
    # a password need not be UTF-8; its bytes are written unchanged
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value or "")
