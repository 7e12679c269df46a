"""Backend: the interface to MySQL and MariaDB for the rooms above."""

from __future__ import annotations

from typing import Any

from . import (
    catalog,
    checksums,
    connect,
    contents,
    gate,
    literals,
    pseudonyms,
    results,
    routines,
    scripts,
    session,
    sharing,
    stored,
    structure,
)
from .dialect import MYSQL as DIALECT
from .replayer import MySQLReplayer
from .snapshot import MySQLSnapshot, plain_decoders, told


class MySQLBackend:
    """The `Backend` of MySQL and MariaDB."""

    name = "mysql"
    dialect = DIALECT
    long_lists = False

    client_options = staticmethod(connect.client_options)
    tls_options = staticmethod(connect.tls_options)
    read_source = staticmethod(structure.read_source)
    stored_functions = staticmethod(routines.stored_functions)
    unique_columns = staticmethod(structure.unique_columns)
    default_value = staticmethod(stored.default_value)
    stored_value = staticmethod(stored.stored_value)
    texts_held = staticmethod(stored.texts_held)
    broken_check = staticmethod(stored.broken_check)
    values_in = staticmethod(pseudonyms.values_in)
    replace_values = staticmethod(pseudonyms.replace_values)
    holds = staticmethod(contents.holds)
    values_of = staticmethod(contents.values_of)
    matches = staticmethod(contents.matches)
    texts_in = staticmethod(pseudonyms.texts_in)
    fill_key_table = staticmethod(structure.fill_key_table)
    longest_condition = staticmethod(scripts.longest_condition)
    with_checksums = staticmethod(checksums.with_checksums)
    computed = staticmethod(checksums.computed)
    dump_script = staticmethod(scripts.dump_script)
    restore_script = staticmethod(scripts.restore_script)
    require_condition = staticmethod(gate.require_condition)
    analyze = staticmethod(session.analyze)
    read_catalog = staticmethod(catalog.read_catalog)
    told = staticmethod(told)
    end_others = staticmethod(session.end_others)
    missing_tables = staticmethod(structure.missing_tables)
    texts_of = staticmethod(literals.texts_of)
    without_names = staticmethod(literals.without_names)
    structure_texts = staticmethod(literals.structure_texts)

    log_types = sharing.TYPES
    log_rights = staticmethod(sharing.rights)
    table_names = staticmethod(sharing.table_names)
    settle_columns = staticmethod(sharing.settle_columns)
    locked = staticmethod(sharing.locked)
    transaction = staticmethod(sharing.transaction)
    insert_numbered = staticmethod(sharing.insert_numbered)
    stream = staticmethod(sharing.stream)

    session_settings = session.SESSION
    as_sent = staticmethod(session.as_sent)
    match_sessions = staticmethod(session.match_sessions)
    one_moment = staticmethod(session.one_moment)
    reading_tables = staticmethod(session.reading_tables)
    change_mark = staticmethod(session.change_mark)
    set_session = staticmethod(session.set_session)
    fixed_session = staticmethod(session.fixed_session)
    number = staticmethod(session.number)
    snapshot = MySQLSnapshot
    replayer = MySQLReplayer
    digest = staticmethod(results.digest)
    difference = staticmethod(results.difference)

    @staticmethod
    def address(connection: Any) -> str:
        return f"{connection.host}:{connection.port}"

    @staticmethod
    def connect(
        dj_connection: Any = None, *, plain: bool = False, seconds: int | None = None, **overrides: Any
    ) -> Any:
        if plain:
            overrides = {"conv": plain_decoders(), **overrides}
        if seconds is not None:
            overrides |= {
                "connect_timeout": min(seconds, 10),
                "read_timeout": seconds,
                "write_timeout": seconds,
            }
        return connect.raw_connection(dj_connection, **overrides)


MYSQL = MySQLBackend()
