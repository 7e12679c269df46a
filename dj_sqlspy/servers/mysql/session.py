"""Session: the settings of a connection that a result can depend on, and how statements are replayed in them.

In: PyMySQL connections to a source and to a server that a slice was loaded into. Out: the same settings on both,
results as the servers send them, one consistent snapshot on each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from .collations import Flavor, becomes, is_near
from .dialect import MYSQL
from .snapshot import begin, told

# Settings of a session that a result can depend on; the slice's session gets those of the source's.
SESSION = (
    "sql_mode",
    "collation_connection",
    "group_concat_max_len",
    "div_precision_increment",
    "default_week_format",
    "lc_time_names",
)


def match_sessions(source: Any, loaded: Any) -> list[str]:
    """Give the session on the slice the settings of that on the source; those that it does not take, in words."""
    with source.cursor() as ask, loaded.cursor() as tell:
        ask.execute("SELECT " + ", ".join(f"@@SESSION.{name}" for name in SESSION))
        values = (value.decode() for value in ask.fetchone())
        refused = set_session(loaded, dict(zip(SESSION, values, strict=True)))
        zones = "SELECT @@SESSION.time_zone, @@system_time_zone, TIMEDIFF(NOW(), UTC_TIMESTAMP())"
        ask.execute(zones)
        zone, system, offset = (value.decode() for value in ask.fetchone())
        tell.execute(zones)
        same_system = tell.fetchone()[1].decode() == system
        hours = offset[: offset.rindex(":")]
        fixed = hours if hours.startswith("-") else f"+{hours}"
        if zone == "SYSTEM" and not same_system:
            zone = fixed
        try:
            tell.execute(f"SET SESSION time_zone = {_quoted(zone)}")
        except pymysql.MySQLError:  # the server has no table of named time zones
            tell.execute(f"SET SESSION time_zone = {_quoted(fixed)}")
    return refused


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextlib.contextmanager
def as_sent(connection: Any) -> Iterator[None]:
    """Results of this connection as bytes, just as the server sends them."""
    kept = connection.decoders, connection.use_unicode
    connection.decoders, connection.use_unicode = {}, False
    try:
        yield
    finally:
        connection.decoders, connection.use_unicode = kept


@contextlib.contextmanager
def one_moment(connection: Any) -> Iterator[None]:
    """Read from one moment of the database in this block."""
    with connection.cursor() as cursor:
        begin(cursor)
    try:
        yield
    finally:
        connection.rollback()


def reading_tables(connection: Any) -> None:
    """Set the session as mysqldump does."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = '+00:00', sql_mode = ''")


def set_session(connection: Any, settings: Mapping[str, str]) -> list[str]:
    """Set the session as it was recorded; the settings that this server does not know, in words.

    A collation that it does not know becomes the one that finds the same texts equal.
    """
    refused = []
    with connection.cursor() as cursor:
        for name, value in settings.items():
            reason = _refusal(cursor, name, value)
            if reason and not (
                name == "collation_connection"
                and any(not _refusal(cursor, name, other) for other in _equals(value))
            ):
                refused.append(f"{name} = {value}: {reason}")
            if reason and name == "sql_mode":
                known = _known_modes(cursor, value)
                cursor.execute(f"SET SESSION sql_mode = {_quoted(known)}")
    return refused


def _refusal(cursor: Any, name: str, value: str) -> str:
    """Set a setting; why the server does not take it, or nothing."""
    words = value if value.isdigit() else _quoted(value)
    try:
        cursor.execute(f"SET SESSION {MYSQL.quote(name)} = {words}")
    except pymysql.MySQLError as error:
        return str(error.args[-1])
    return ""


def _equals(collation: str) -> Iterator[str]:
    """Collations of the other flavor that equal one."""
    pairs: tuple[tuple[Flavor, Flavor], ...] = (("mysql", "mariadb"), ("mariadb", "mysql"))
    for source, target in pairs:
        for other in becomes(collation, source, target):
            if not is_near(collation, other):
                yield other


def _known_modes(cursor: Any, modes: str) -> str:
    """Those of the words of an sql_mode that this server knows."""
    known = []
    for mode in modes.split(","):
        try:
            cursor.execute(f"SET SESSION sql_mode = '{mode}'")
            known.append(mode)
        except pymysql.MySQLError:  # said by the caller
            continue
    return ",".join(known)


def fixed_session(loaded: Any) -> dict[str, str]:
    """The settings of the session, with the offset in the place of a time zone that another machine may not know."""
    with loaded.cursor() as cursor:
        names = (*SESSION, "time_zone")
        cursor.execute("SELECT " + ", ".join(f"@@SESSION.{name}" for name in names))
        session = {name: value.decode() for name, value in zip(names, cursor.fetchone(), strict=True)}
        cursor.execute("SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP())")
        hours = cursor.fetchone()[0].decode().rpartition(":")[0]
    return {**session, "time_zone": hours if hours.startswith("-") else f"+{hours}"}


def number(connection: Any, sql: str) -> int:
    """The number that a query returns."""
    with told(), connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


@contextlib.contextmanager
def locked(connection: Any, name: str, seconds: int) -> Iterator[bool]:
    """Hold a lock of the server's in this block; gives whether this connection got it."""
    with told(), connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, %s)", (name, seconds))
        got = cursor.fetchone()[0] == 1
    try:
        yield got
    finally:
        if got and connection.open:
            with told(), connection.cursor() as cursor:
                cursor.execute("SELECT RELEASE_LOCK(%s)", (name,))


def stream(connection: Any, sql: str, arguments: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of a query as they arrive."""
    with told(), connection.cursor(SSCursor) as cursor:
        cursor.execute(sql, arguments)
        yield from cursor
