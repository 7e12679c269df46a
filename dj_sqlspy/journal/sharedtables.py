"""Shared tables: the shared log as DataJoint tables, to query, restrict and delete like any other.

In: ``sqlspy.schema``, or a connection and the name of a schema. Out: `ExportSelection` and `Export`, declared
there. What is in `ExportSelection.Statement` comes and goes through `sharedlog`; what a Spyglass user calls on
these tables is done by `spy` and `Paper`.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import datajoint

from .. import compat, settings, spy
from ..errors import FilesError, SpyError
from ..sql import full_name, quote, string_literal
from . import sharedlog

if TYPE_CHECKING:
    from ..paper import Paper

# characters of a restriction, and bytes: a table with a longer one has several rows
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


def __getattr__(name: str) -> Any:
    """``ExportSelection`` and ``Export`` in the schema of ``sqlspy.schema``, of ``dj.conn()``."""
    if name not in ("ExportSelection", "Export"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(tables(datajoint.conn()), name)


def tables(connection: Any, schema: str | None = None) -> SimpleNamespace:
    """The tables of the shared log; what is not there yet is declared.

    Parameters
    ----------
    connection : datajoint.Connection
    schema : str, optional
        Default: ``sqlspy.schema``.

    Returns
    -------
    SimpleNamespace
        With ``ExportSelection`` and ``Export``.

    Raises
    ------
    SpyError
        If there is no such setting, or the account may not declare tables.
    """
    schema = schema or settings.get("schema")
    if schema is None:
        raise SpyError('The tables of the shared log need the setting dj.config["sqlspy.schema"].')
    known: dict[str, SimpleNamespace] = connection.__dict__.setdefault("_dj_sqlspy_tables", {})
    if schema not in known:
        query = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
        before = [connection.query(query, (schema, name)).fetchone()[0] for name in sorted(sharedlog.TABLES)]
        try:
            with _quiet(), spy.paused():
                known[schema] = _declared(compat.bind_schema(schema, connection))
                if not all(before):
                    _settle_columns(connection, schema)
        except datajoint.DataJointError as error:
            raise SpyError(
                f"Declaring the tables of the shared log in the schema {schema!r}: {error} The account that does it "
                f"first needs GRANT CREATE, ALTER, REFERENCES, SELECT, INSERT, UPDATE, DELETE ON {quote(schema)}.*; "
                "all others SELECT, INSERT, DELETE."
            ) from error
    return known[schema]


@contextmanager
def _quiet() -> Iterator[None]:
    """DataJoint 2.x has advice on types that 0.14 does not know, and on MariaDB."""
    level = datajoint.logger.level
    datajoint.logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        datajoint.logger.setLevel(level)


def _settle_columns(connection: Any, schema: str) -> None:
    """Let names differ in case and accents, and let both lines of DataJoint read the tables.

    The types of texts cannot name a collation in a definition; 2.x puts them into comments that 0.14 refuses.
    """
    found = connection.query(
        "SELECT table_name, column_name, column_type, data_type, column_comment FROM information_schema.columns"
        " WHERE table_schema = %s AND data_type IN ('varchar', 'datetime', 'bigint', 'int', 'longblob')"
        " AND column_name <> 'export_id'",
        (schema,),
    ).fetchall()
    changes: dict[str, list[str]] = {}
    for table, column, type_, kind, comment in found:
        if table in sharedlog.TABLES:
            text = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if kind == "varchar" else ""
            comment = string_literal(re.sub(r"^:[^:]*:", "", comment))
            changes.setdefault(table, []).append(
                f"MODIFY {quote(column)} {type_}{text} NOT NULL COMMENT {comment}"
            )
    for table, columns in changes.items():
        connection.query(f"ALTER TABLE {full_name(schema, table)} {', '.join(columns)}")


def table_rows(paper: Paper, closed: bool) -> list[dict[str, Any]]:
    """Rows for a part `Table`: of the slice, or (not closed) of what was read."""
    cut = paper.slice() if closed else paper.preview()
    found = [(name, part) for name, t in cut.tables.items() for part in t.conditions(RESTRICTION)]
    return [
        {"table_id": number, "table_name": name, "restriction": restriction}
        for number, (name, restriction) in enumerate(found)
    ]


def file_rows(paper: Paper) -> list[dict[str, Any]]:
    """Rows for a part `File`."""
    from ..files.stores import Stores

    stores = Stores(paper.connection)
    rows = []
    for number, file in enumerate(paper.files()):
        address = file.path
        with suppress(FilesError):  # a store that is not configured here
            address = stores[file.store].address(file.path)
        rows.append({"file_id": number, "store": file.store, "file_path": address})
    return rows


def describe(paper: Paper, analysis: str) -> None:
    """Fill `ExportSelection.Table` and `ExportSelection.File` of an analysis anew."""
    selection = tables(paper.connection).ExportSelection
    with spy.paused():
        named = selection & {"paper_id": paper.name, "analysis_id": analysis}
        key = {"export_id": int(named.fetch1("export_id"))}
        alone = paper.only(analysis)
        for part, rows in (
            (selection.Table, table_rows(alone, closed=False)),
            (selection.File, file_rows(alone)),
        ):
            (part & key).delete_quick()
            part.insert([{**key, **row} for row in rows])


def _paper(selection: Any, key: Mapping[str, Any]) -> Paper:
    """The paper that a key and the restrictions of the table name, with those of its analyses."""
    from ..paper import Paper

    if not selection.restriction and set(key) <= {"paper_id", "analysis_id"} and "paper_id" in key:
        only = [key["analysis_id"]] if "analysis_id" in key else None  # perhaps not stored yet
        return Paper(key["paper_id"], connection=selection.connection, analyses=only)
    with spy.paused():
        papers, analyses = compat.columns(selection & dict(key), "paper_id", "analysis_id")
    if len(set(papers)) != 1:
        raise SpyError(
            f"{dict(key)} names {len(set(papers))} papers of the shared log. Name one, as in paper_id=…."
        )
    return Paper(papers[0], connection=selection.connection, analyses=analyses)


def _declared(bind: Any) -> SimpleNamespace:
    @bind
    class ExportSelection(datajoint.Manual):
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

        def start_export(self, paper_id: str, analysis_id: str, **options: Any) -> None:
            """Start to capture (`dj_sqlspy.start_export`)."""
            spy.start_export(paper_id, analysis_id, **options)

        def stop_export(self) -> None:
            """End what `start_export` started, and fill `Table` and `File` of it."""
            ended = spy.stop_export()
            ended.as_paper(self.connection).share()

        def preview_tables(self, **key: Any) -> list[Any]:
            """Restricted FreeTables of what was read, before the cascade (`Paper.leaves`).

            ``paper_id=…``, and ``analysis_id=…`` or ``export_id=…`` where not all analyses of a paper are meant.
            """
            return _paper(self, key).leaves()

        def show_all_tables(self, **key: Any) -> list[Any]:
            """Restricted FreeTables of the slice, parents first (`Paper.slice`)."""
            return _paper(self, key).slice().free_tables()

        def list_file_paths(self, key: Mapping[str, Any], as_dict: bool = True) -> list[Any]:
            """The files that rows of the slice need (`Paper.files`): dicts with ``file_path``, or the paths."""
            paths = sorted({row["file_path"] for row in file_rows(_paper(self, key))})
            return [{"file_path": path} for path in paths] if as_dict else list(paths)

    @bind
    class Export(datajoint.Computed):
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

        @property
        def key_source(self) -> Any:
            newest: dict[str, int] = {}
            for paper, number in zip(
                *compat.columns(ExportSelection(), "paper_id", "export_id"), strict=True
            ):
                newest[paper] = max(int(number), newest.get(paper, 0))
            return ExportSelection() & [{"export_id": number} for number in newest.values()]

        def populate_paper(self, paper_id: str | Mapping[str, Any]) -> None:
            """Compute the slice of a paper anew: of all of its analyses, and of the database as it is now."""
            from ..paper import Paper

            name = paper_id if isinstance(paper_id, str) else paper_id["paper_id"]
            Paper(name, connection=self.connection).share(describe=False)
            newest = self.key_source & {"paper_id": name}
            if not newest:
                raise SpyError(f"Nothing of the paper {name!r} is in the shared log {self.database!r}.")
            self._forget(name)
            self.populate(newest.proj())

        def _forget(self, paper_id: str) -> None:
            """Only the newest export of a paper counts."""
            (numbers,) = compat.columns(Export() & {"paper_id": paper_id}, "export_id")
            for table in (self.File(), self.Table(), Export()):
                (table & [{"export_id": number} for number in numbers]).delete_quick()

        def make(self, key: dict[str, Any]) -> None:
            from ..paper import Paper

            name = (ExportSelection() & key).fetch1("paper_id")
            paper = Paper(name, connection=self.connection)
            self._forget(name)
            self.insert1({**key, "paper_id": name})
            self.Table.insert([{**key, **row} for row in table_rows(paper, closed=True)])
            self.File.insert([{**key, **row} for row in file_rows(paper)])

    return SimpleNamespace(ExportSelection=ExportSelection, Export=Export)
