"""Shared schema: declares the tables of the shared log with DataJoint.

In: a connection and the name of a schema. Out: `ExportSelection` and `Export`, declared there. Their methods for users
come from `shared_tables`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import datajoint

from .. import compat
from ..errors import SpyError
from ..servers import backend_of, driver_errors
from ..spy.session import paused

SELECTION = "export_selection"
STATEMENT = "export_selection__statement"
# All tables with rows about one export, children before parents.
OF_EXPORT = ("export_selection__file", "export_selection__table", STATEMENT, SELECTION)
OF_RESULT = ("__export__file", "__export__table", "__export")
TABLES = frozenset(OF_EXPORT + OF_RESULT)

# longest restriction in one row, in characters and bytes; a longer one takes several rows
RESTRICTION = 12_000

TABLE_PART = """
-> master
table_id : {int}
---
table_name : varchar(160)         # full, quoted
restriction : varchar({restriction})      # of several of one table, each selects some of its rows
"""
FILE_PART = """
-> master
file_id : {int}
---
store : varchar(100)              # its name in DataJoint's configuration
file_path : varchar(2000)         # on this machine, or the address in the store
"""


class NoMethods:
    """For tables that are only declared and not used."""


def declare(
    connection: Any, schema: str, selection: type = NoMethods, export: type = NoMethods
) -> SimpleNamespace:
    """The tables of the shared log; missing ones are declared (`shared_tables.tables`).

    ``selection`` and ``export`` are base classes with the methods of `ExportSelection` and `Export`.
    """
    backend = backend_of(connection)
    there = backend.table_names(connection, schema)
    try:
        with _quiet(), paused():
            bind, types = compat.bind_schema(schema, connection), backend.log_types
            declared = _declared(bind, types, selection, export)
            if not there >= TABLES:
                backend.settle_columns(connection, schema, TABLES)
    except (datajoint.DataJointError, *driver_errors()) as error:
        first, others = backend.log_rights(schema)
        raise SpyError(
            f"Declaring the tables of the shared log in the schema {schema!r}: {error} The account that does it first "
            f"needs {first}; all others {others}."
        ) from error
    return declared


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the advice of DataJoint 2.x on types that 0.14 does not know, and on MariaDB."""
    level = datajoint.logger.level
    datajoint.logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        datajoint.logger.setLevel(level)


def _declared(bind: Any, types: Mapping[str, str], selection: type, export: type) -> SimpleNamespace:
    table_part = TABLE_PART.format(**types, restriction=RESTRICTION)
    file_part = FILE_PART.format(**types)

    @bind
    class ExportSelection(selection, datajoint.Manual):
        definition = """
        # the newest run of each analysis of each paper
        export_id : {number}
        ---
        paper_id : varchar(240)
        analysis_id : varchar(240)
        version : varchar(64)             # of dj-sqlspy
        user : varchar(120)               # the account that stored it
        time : datetime                   # when it started, UTC
        run : varchar(300)
        unique index (paper_id, analysis_id)
        """.format(**types)

        class Statement(datajoint.Part):
            definition = """
            # journals (see docs/capture.md) in compressed blocks of whole lines
            -> master
            journal : varchar(80)             # one for each process
            start : {bigint}                  # byte of the journal
            ---
            size : {int}                      # bytes, before they are compressed
            statements : {int}
            contents : {bytes}
            """.format(**types)

        class Table(datajoint.Part):
            definition = "# what it read, before the cascade" + table_part

        class File(datajoint.Part):
            definition = "# files that its rows need" + file_part

    @bind
    class Export(export, datajoint.Computed):
        definition = """
        # the slice of each paper, under the newest of its exports
        -> ExportSelection
        ---
        paper_id : varchar(240)
        """

        class Table(datajoint.Part):
            definition = table_part

        class File(datajoint.Part):
            definition = file_part

    return SimpleNamespace(ExportSelection=ExportSelection, Export=Export)
