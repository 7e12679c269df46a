"""Shared schema: declares the tables of the shared log with DataJoint.

In: a connection and the name of a schema. Out: `ExportSelection` and `Export`, declared there. Their methods for users
come from `shared_tables`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import datajoint

from .. import compat
from ..errors import SpyError
from ..servers import backend_of
from ..spy.session import paused

SELECTION = "export_selection"
STATEMENT = "export_selection__statement"
# All tables with rows about one export, children before parents.
OF_EXPORT = ("export_selection__file", "export_selection__table", STATEMENT, SELECTION)
OF_RESULT = ("__export__file", "__export__table", "__export")
TABLES = frozenset(OF_EXPORT + OF_RESULT)

# longest restriction in one row, in characters and bytes; a longer one takes several rows
RESTRICTION = 12_000

TABLE_PART = f"""
-> master
table_id : int
---
table_name : varchar(160)         # full, with backticks
restriction : varchar({RESTRICTION})      # of several of one table, each selects some of its rows
"""
FILE_PART = """
-> master
file_id : int
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
            declared = _declared(compat.bind_schema(schema, connection), selection, export)
            if not there >= TABLES:
                backend.settle_columns(connection, schema, TABLES)
    except datajoint.DataJointError as error:
        raise SpyError(
            f"Declaring the tables of the shared log in the schema {schema!r}: {error} The account that does it first "
            f"needs GRANT CREATE, ALTER, REFERENCES, SELECT, INSERT, UPDATE, DELETE ON "
            f"{backend.dialect.quote(schema)}.*; all others SELECT, INSERT, DELETE."
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


def _declared(bind: Any, selection: type, export: type) -> SimpleNamespace:
    @bind
    class ExportSelection(selection, datajoint.Manual):
        definition = """
        # the newest run of each analysis of each paper
        export_id : int auto_increment
        ---
        paper_id : varchar(240)
        analysis_id : varchar(240)
        version : varchar(64)             # of dj-sqlspy
        user : varchar(120)               # the account that stored it
        time : datetime                   # when it started, UTC
        run : varchar(300)
        unique index (paper_id, analysis_id)
        """

        class Statement(datajoint.Part):
            definition = """
            # journals (see docs/capture.md) in compressed blocks of whole lines
            -> master
            journal : varchar(80)             # one for each process
            start : bigint                    # byte of the journal
            ---
            size : int                        # bytes, before they are compressed
            statements : int
            contents : longblob
            """

        class Table(datajoint.Part):
            definition = "# what it read, before the cascade" + TABLE_PART

        class File(datajoint.Part):
            definition = "# files that its rows need" + FILE_PART

    @bind
    class Export(export, datajoint.Computed):
        definition = """
        # the slice of each paper, under the newest of its exports
        -> ExportSelection
        ---
        paper_id : varchar(240)
        """

        class Table(datajoint.Part):
            definition = TABLE_PART

        class File(datajoint.Part):
            definition = FILE_PART

    return SimpleNamespace(ExportSelection=ExportSelection, Export=Export)
