"""Session: gives the connections of a replay the settings that results can depend on.

In: PyMySQL connections to a source and to a server with the loaded slice. Out: the same settings on both, results as
the servers send them, one consistent snapshot on each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pymysql

from ..snapshot import Refused
from .collations import Flavor, becomes, is_near
from .dialect import MYSQL
from .snapshot import begin, told

# Session settings that a result can depend on. They are copied from the source's session to the slice's.
SESSION = (
    "sql_mode",
    "collation_connection",
    "group_concat_max_len",
    "div_precision_increment",
    "default_week_format",
    "lc_time_names",
)


def match_sessions(source: Any, loaded: Any) -> list[str]:
    """Copy the session settings of the source to the slice. Returns those it refuses, in words."""
    with source.cursor() as ask, loaded.cursor() as tell:
        refused = set_session(loaded, _settings(ask, SESSION))
        zones = "SELECT @@SESSION.time_zone, @@system_time_zone, TIMEDIFF(NOW(), UTC_TIMESTAMP())"
        ask.execute(zones)
        zone, system, offset = (value.decode() for value in ask.fetchone())
        tell.execute(zones)
        same_system = tell.fetchone()[1].decode() == system
        fixed = _zone(offset)
        if zone == "SYSTEM" and not same_system:
            zone = fixed
        try:
            tell.execute(f"SET SESSION time_zone = {loaded.escape(zone)}")
        except pymysql.MySQLError:  # the server has no named time zones
            tell.execute(f"SET SESSION time_zone = {loaded.escape(fixed)}")
    return refused


@contextlib.contextmanager
def as_sent(connection: Any) -> Iterator[None]:
    """In a block, results of this connection are bytes, exactly as the server sends them."""
    kept = connection.decoders, connection.use_unicode
    connection.decoders, connection.use_unicode = {}, False
    try:
        yield
    finally:
        connection.decoders, connection.use_unicode = kept


@contextlib.contextmanager
def one_moment(connection: Any) -> Iterator[None]:
    """In a block, read one consistent state of the database."""
    with connection.cursor() as cursor:
        begin(cursor)
    try:
        yield
    finally:
        if connection.open:
            connection.rollback()


@contextlib.contextmanager
def in_utc(connection: Any, sql_mode: str = "") -> Iterator[None]:
    """In a block, times are in UTC, and the sql_mode is this one: mysqldump reads without any."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@SESSION.time_zone, @@SESSION.sql_mode")
        before = cursor.fetchone()
        cursor.execute("SET SESSION time_zone = '+00:00', sql_mode = %s", (sql_mode,))
        try:
            yield
        finally:
            if connection.open:
                cursor.execute("SET SESSION time_zone = %s, sql_mode = %s", before)


# Counters that every account may read. Each commit to InnoDB changes at once the first on MariaDB, the second on MySQL
# (where the first does not exist, and its likes lag behind). MariaDB keeps views, functions and grants elsewhere, so
# statements that change these are counted as well.
_CHANGES = """
SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_lsn_current', 'Innodb_log_write_requests')
OR Variable_name RLIKE '^Com_(alter|create|drop|grant|rename|revoke)'
"""


def change_mark(connection: Any) -> tuple[tuple[str, str], ...] | None:
    """A value that is another one after each change of an InnoDB table, a definition or a grant on the server.

    It can also be another one although nothing changed. None if the server does not have the counter.
    """
    with told(), connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        (version,) = cursor.fetchone()
        counter = "Innodb_lsn_current" if "MariaDB" in version else "Innodb_log_write_requests"
        cursor.execute(_CHANGES)
        found = tuple((str(name), str(value)) for name, value in cursor.fetchall())
    return found if counter in dict(found) else None


def reading_tables(connection: Any) -> None:
    """Set the session as mysqldump does."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = '+00:00', sql_mode = ''")


def set_session(connection: Any, settings: Mapping[str, str]) -> list[str]:
    """Restore recorded session settings. Returns those that this server does not know, in words.

    An unknown collation is replaced by an equal one.
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
                cursor.execute(f"SET SESSION sql_mode = {cursor.connection.escape(known)}")
    return refused


def _refusal(cursor: Any, name: str, value: str) -> str:
    """Change a setting. Returns why the server refuses it, or ""."""
    words = value if value.isdigit() else cursor.connection.escape(value)
    try:
        cursor.execute(f"SET SESSION {MYSQL.quote(name)} = {words}")
    except pymysql.MySQLError as error:
        return str(error.args[-1])
    return ""


def _equals(collation: str) -> Iterator[str]:
    """Equal collations of the other flavor."""
    pairs: tuple[tuple[Flavor, Flavor], ...] = (("mysql", "mariadb"), ("mariadb", "mysql"))
    for source, target in pairs:
        for other in becomes(collation, source, target):
            if not is_near(collation, other):
                yield other


def _known_modes(cursor: Any, modes: str) -> str:
    """The words of an sql_mode that this server knows."""
    known = []
    for mode in modes.split(","):
        try:
            cursor.execute(f"SET SESSION sql_mode = '{mode}'")
            known.append(mode)
        except pymysql.MySQLError:  # the caller reports it
            continue
    return ",".join(known)


def fixed_session(loaded: Any) -> dict[str, str]:
    """The session settings, with an offset instead of a time zone that another machine may not know."""
    with loaded.cursor() as cursor:
        session = _settings(cursor, (*SESSION, "time_zone"))
        cursor.execute("SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP())")
        return {**session, "time_zone": _zone(cursor.fetchone()[0].decode())}


def _settings(cursor: Any, names: Sequence[str]) -> dict[str, str]:
    """Settings of a session whose results are bytes."""
    cursor.execute("SELECT " + ", ".join(f"@@SESSION.{name}" for name in names))
    return {name: value.decode() for name, value in zip(names, cursor.fetchone(), strict=True)}


def _zone(offset: str) -> str:
    """A time zone, from its offset with seconds."""
    hours = offset.rpartition(":")[0]
    return hours if hours.startswith("-") else f"+{hours}"


def number(connection: Any, sql: str) -> int:
    """The number that a query returns."""
    with told(), connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


def analyze(connection: Any, tables: Sequence[str]) -> None:
    """Make the statistics of tables that were just loaded, by which the server plans its queries."""
    if tables:
        with told(), connection.cursor() as cursor:
            cursor.execute(f"ANALYZE NO_WRITE_TO_BINLOG TABLE {', '.join(tables)}")
            cursor.fetchall()


def end_others(connection: Any) -> None:
    """End what the account's other connections are doing. For that it needs no privilege."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()")
        for (number,) in cursor.fetchall():
            with contextlib.suppress(Refused), told():  # it has ended
                cursor.execute(f"KILL {int(number)}")
