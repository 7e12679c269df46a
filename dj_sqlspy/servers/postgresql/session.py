"""Session: gives the connections of a replay the settings that results can depend on.

In: psycopg2 connections to a source and to a database with the loaded slice. Out: the same settings on both, results as
the servers send them, one consistent snapshot on each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..snapshot import Refused
from .connect import return_texts
from .dialect import POSTGRESQL
from .told import told
from .transaction import BEGIN, SETTINGS

# Session settings that a result can depend on. They are copied from the source's session to the slice's.
SESSION = (
    "datestyle",
    "intervalstyle",
    "timezone",
    "bytea_output",
    "extra_float_digits",
    "search_path",
    "default_text_search_config",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "xmloption",
    "array_nulls",
    "transform_null_equals",
)

# Those of `SETTINGS` by which values are printed.
_PRINTED = ("timezone", "datestyle", "intervalstyle", "extra_float_digits", "bytea_output")


def match_sessions(source: Any, loaded: Any) -> list[str]:
    """Copy the session settings of the source to the slice. Returns those it refuses, in words."""
    return set_session(loaded, fixed_session(source))


def fixed_session(connection: Any) -> dict[str, str]:
    """The session settings. A time zone has a name that all servers know."""
    return settings_of(connection, SESSION)


def settings_of(connection: Any, names: Sequence[str]) -> dict[str, str]:
    """Some settings of a connection."""
    words = ", ".join(f"current_setting('{name}')" for name in names)
    with told(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {words}")
        return dict(zip(names, map(str, cursor.fetchone()), strict=True))


def set_session(connection: Any, settings: Mapping[str, str]) -> list[str]:
    """Restore recorded session settings. Returns those that this server does not know, in words."""
    refused = []
    with connection.cursor() as cursor:
        for name, value in settings.items():
            if name not in SESSION:  # a stranger's bundle sets nothing else
                continue
            try:
                with told():
                    cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
            except Refused as error:
                refused.append(f"{name} = {value}: {error}")
    return refused


@contextlib.contextmanager
def as_sent(connection: Any) -> Iterator[None]:
    """In a block, results of this connection are texts, exactly as the server sends them."""
    types = connection.string_types
    kept = dict(types)
    return_texts(connection)
    try:
        yield
    finally:
        types.clear()
        types.update(kept)


@contextlib.contextmanager
def one_moment(connection: Any) -> Iterator[None]:
    """In a block, read one consistent state of the database."""
    with told(), connection.cursor() as cursor:
        cursor.execute(BEGIN)
        cursor.execute("SELECT 1")  # the snapshot is that of the first query
    try:
        yield
    finally:
        if not connection.closed:
            with told(), connection.cursor() as cursor:
                cursor.execute("ROLLBACK")


def reading_tables(connection: Any) -> None:
    """Set the session as ``dump.sh`` does, as far as values are printed."""
    with told(), connection.cursor() as cursor:
        cursor.execute("".join(f"SET {name} = '{SETTINGS[name]}'; " for name in _PRINTED))


def number(connection: Any, sql: str) -> int:
    """The number that a query returns."""
    with told(), connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


def analyze(connection: Any, tables: Sequence[str]) -> None:
    """Make the statistics of tables that were just loaded, by which the server plans its queries."""
    if tables:
        with told(), connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {', '.join(tables)}")


def end_others(connection: Any) -> None:
    """End what the account's other connections are doing."""
    with told(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user"
            " AND pid <> pg_backend_pid()"
        )


def missing_tables(connection: Any, names: Sequence[str]) -> list[str]:
    """Full names of the tables and views that the account does not see."""
    texts = ", ".join(f"({POSTGRESQL.string(name)})" for name in names)
    with told(), connection.cursor() as cursor:
        # a name is a pair of quoted names, of which to_regclass needs no other parsing
        cursor.execute(f"SELECT name FROM (VALUES {texts}) AS t (name) WHERE to_regclass(name) IS NULL")
        return [str(name) for (name,) in cursor.fetchall()]
