"""Backend: the interface to PostgreSQL for the rooms above. What is not there yet is refused by name."""

from __future__ import annotations

from typing import Any, NoReturn

from ...errors import SpyError
from . import (
    catalog,
    checksums,
    connect,
    contents,
    gate,
    literals,
    pseudonyms,
    results,
    scripts,
    session,
    sharing,
    stored,
    structure,
)
from .dialect import POSTGRESQL as DIALECT
from .replayer import PostgreSQLReplayer
from .snapshot import PostgreSQLSnapshot
from .told import told


def not_yet(feature: str) -> SpyError:
    """The error that something, in words, is not supported."""
    return SpyError(
        f"Using a PostgreSQL server: {feature} is not supported on PostgreSQL yet (docs/servers.md)."
    )


class PostgreSQLBackend:
    """The `Backend` of PostgreSQL, as far as it goes."""

    name = "postgresql"
    dialect = DIALECT
    long_lists = True

    address = staticmethod(connect.address)
    client_options = staticmethod(connect.client_options)
    tls_options = staticmethod(connect.tls_options)
    connect = staticmethod(connect.raw_connection)
    read_catalog = staticmethod(catalog.read_catalog)
    snapshot = PostgreSQLSnapshot
    told = staticmethod(told)

    read_source = staticmethod(structure.read_source)
    stored_functions = staticmethod(structure.stored_functions)
    unique_columns = staticmethod(stored.unique_columns)
    default_value = staticmethod(stored.default_value)
    stored_value = staticmethod(stored.stored_value)
    broken_check = staticmethod(stored.broken_check)
    texts_held = staticmethod(stored.texts_held)
    values_in = staticmethod(pseudonyms.values_in)
    replace_values = staticmethod(pseudonyms.replace_values)
    texts_in = staticmethod(contents.texts_in)
    holds = staticmethod(contents.holds)
    values_of = staticmethod(contents.values_of)
    matches = staticmethod(contents.matches)
    structure_texts = staticmethod(literals.structure_texts)
    texts_of = staticmethod(literals.texts_of)
    without_names = staticmethod(literals.without_names)
    longest_condition = staticmethod(scripts.longest_condition)
    with_checksums = staticmethod(checksums.with_checksums)
    computed = staticmethod(checksums.computed)
    dump_script = staticmethod(scripts.dump_script)
    restore_script = staticmethod(scripts.restore_script)
    require_condition = staticmethod(gate.require_condition)
    analyze = staticmethod(session.analyze)
    end_others = staticmethod(session.end_others)
    missing_tables = staticmethod(session.missing_tables)

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
    set_session = staticmethod(session.set_session)
    fixed_session = staticmethod(session.fixed_session)
    number = staticmethod(session.number)
    replayer = PostgreSQLReplayer
    digest = staticmethod(results.digest)
    difference = staticmethod(results.difference)

    @staticmethod
    def change_mark(connection: Any) -> object | None:
        """None: nothing tells of each change of the server."""
        return None

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise not_yet(name.replace("_", " "))


POSTGRESQL = PostgreSQLBackend()
