"""Connect: connections to the PostgreSQL of a DataJoint connection, for this package and for client programs.

In: a DataJoint connection. Out: a separate psycopg2 connection, or options that connect a client program to the same
database with the same account. No password appears in an argument list.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import datajoint

from ... import guarded
from ...errors import ServerError
from .driver import driver, is_connection

# How often the server looks whether this process is still there, while it works on a query. By default it goes on with
# the query of a process that was killed.
CHECK_SECONDS = 5


def raw_connection(
    dj_connection: Any = None, *, plain: bool = False, seconds: int | None = None, **overrides: Any
) -> Any:
    """Open a new psycopg2 connection to the database of a DataJoint connection, autocommit on.

    The spy does not see what runs on it.

    Parameters
    ----------
    dj_connection : datajoint.Connection or open psycopg2 connection, optional
        Default: ``dj.conn()``.
    plain : bool
        It returns values as texts, as the server prints them.
    seconds : int, optional
        Time limit of each statement, and of a network that does not answer.
    **overrides
        Arguments of ``psycopg2.connect`` that replace those of the connection.

    Raises
    ------
    psycopg2.Error
        If the server cannot be reached.
    """
    connection = datajoint.conn() if dj_connection is None else dj_connection
    raw = connection if is_connection(connection) else connection._conn
    # what its maker gave; the rest comes from the environment again, as it did for that one
    arguments = driver().extensions.parse_dsn(raw.dsn)
    arguments.pop("password", None)  # it reads xxx
    if seconds is not None:
        arguments |= {"connect_timeout": min(seconds, 10), "tcp_user_timeout": seconds * 1000}
    arguments |= {"password": _password(connection, raw), **overrides}
    opened = driver().connect(**{name: value for name, value in arguments.items() if value is not None})
    opened.autocommit = True
    with opened.cursor() as cursor:
        if seconds is not None:
            cursor.execute(f"SET statement_timeout = '{seconds}s'")
        with contextlib.suppress(driver().Error):  # a server on Windows cannot
            cursor.execute(f"SET client_connection_check_interval = '{CHECK_SECONDS}s'")
    if plain:
        return_texts(opened)
    return opened


def return_texts(connection: Any) -> None:
    """Make a connection return all values as texts, as the server prints them."""
    extensions = driver().extensions
    kinds = tuple(extensions.string_types)
    extensions.register_type(extensions.new_type(kinds, "DJ_SQLSPY_TEXT", _unchanged), connection)


def _unchanged(value: str | None, _: Any) -> str | None:
    return value


def _password(connection: Any, raw: Any) -> str | None:
    """The password of a connection; None if it had none, or from a file or the environment."""
    if connection is raw:
        return str(raw.info.password) if raw.info.password else None
    given = connection.conn_info.get("passwd")
    return None if given is None else str(given)


def address(connection: Any) -> str:
    """Host and port of the server of a psycopg2 connection."""
    found = driver().extensions.parse_dsn(connection.dsn)
    if connection.closed:
        return f"{found.get('host', 'localhost')}:{found.get('port', 5432)}"
    return f"{found.get('host') or connection.info.host}:{connection.info.port}"


@contextlib.contextmanager
def client_options(connection: Any, tls: Mapping[str, Any] = MappingProxyType({})) -> Iterator[list[str]]:
    """Options that connect ``psql`` and ``pg_dump`` to the database of a psycopg2 connection with the same account.

    The password is in a password file in memory that only this user can read (`guarded.secret`).

    Parameters
    ----------
    connection : psycopg2 connection
    tls : mapping
        Parameters of libpq that replace those of the connection (`tls_options`).

    Yields
    ------
    list of str
    """
    words = {**driver().extensions.parse_dsn(connection.dsn), **tls}
    words.pop("password", None)
    if "sslpassword" in words:
        raise ServerError(
            f"Connecting a client program to {address(connection)}: the connection has an sslpassword, which every user"
            " of this machine could read among the arguments of the program. Use a client key without one, in a file"
            " that only you can read."
        )
    password = _password(connection, connection)
    if password is None:  # it came from a file or the environment, or there is none
        yield [_database_option(words)]
        return
    if "\n" in password or "\r" in password:
        raise ServerError(
            f"Connecting a client program to {address(connection)}: the password contains a line break, which no "
            "password file of PostgreSQL can hold. Change it."
        )
    line = ":".join(["*", "*", "*", "*", password.replace("\\", "\\\\").replace(":", "\\:")])
    with guarded.secret(f"{line}\n") as file:
        yield [_database_option({**words, "passfile": str(file)})]


def environment(options: Sequence[str]) -> dict[str, str]:
    """The environment of a client program with `client_options`.

    It has no PGPASSWORD if they name a password file: libpq prefers the variable.
    """
    parse = driver().extensions.parse_dsn
    words = [parse(option.partition("=")[2]) for option in options]
    return {
        name: value
        for name, value in os.environ.items()
        if name != "PGPASSWORD" or not any("passfile" in each for each in words)
    }


def _database_option(words: Mapping[str, Any]) -> str:
    return f"--dbname={driver().extensions.make_dsn(**words)}"


def tls_options(dj_connection: Any = None) -> dict[str, Any]:
    """The TLS settings of a DataJoint connection as libpq names them. They stand in its driver's connection."""
    connection = datajoint.conn() if dj_connection is None else dj_connection
    raw = connection if is_connection(connection) else connection._conn
    found = driver().extensions.parse_dsn(raw.dsn)
    return {name: value for name, value in found.items() if name.startswith("ssl")}
