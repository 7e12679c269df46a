"""Shared tables: the shared log as DataJoint tables, to query, restrict and delete like any other.

In: ``sqlspy.schema``, or a connection and the name of a schema. Out: `ExportSelection` and `Export`, declared there.
`paper.sharedlog` reads and writes `ExportSelection.Statement`. The methods that Spyglass users know call `capture` and
`Paper`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import datajoint

from . import capture, compat, settings
from .errors import SpyError
from .paper import Paper
from .paper.describe import file_rows, table_rows
from .paper.sharedschema import declare
from .spy.session import paused


def __getattr__(name: str) -> Any:
    """``ExportSelection`` and ``Export`` in the schema of ``sqlspy.schema``, of ``dj.conn()``."""
    if name not in ("ExportSelection", "Export"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(tables(datajoint.conn()), name)


def tables(connection: Any, schema: str | None = None) -> SimpleNamespace:
    """The tables of the shared log; missing ones are declared.

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
        known[schema] = declare(connection, schema, _Selection, _Export)
    return known[schema]


def _paper(selection: Any, key: Mapping[str, Any]) -> Paper:
    """The paper and analyses that a key and the restrictions of the table select."""
    if not selection.restriction and set(key) <= {"paper_id", "analysis_id"} and "paper_id" in key:
        only = [key["analysis_id"]] if "analysis_id" in key else None  # perhaps not stored yet
        return Paper(key["paper_id"], connection=selection.connection, analyses=only)
    with paused():
        papers, analyses = compat.columns(selection & dict(key), "paper_id", "analysis_id")
    if len(set(papers)) != 1:
        raise SpyError(
            f"{dict(key)} names {len(set(papers))} papers of the shared log. Name one, as in paper_id=…."
        )
    return Paper(papers[0], connection=selection.connection, analyses=analyses)


class _Selection:
    """What users call on `ExportSelection`."""

    connection: Any

    def start_export(self, paper_id: str, analysis_id: str, **options: Any) -> None:
        """Start to capture (`capture.start_export`)."""
        capture.start_export(paper_id, analysis_id, **options)

    def stop_export(self) -> None:
        """End what `start_export` started, and fill `Table` and `File` of it."""
        ended = capture.stop_export()
        ended.as_paper(self.connection).share()

    def preview_tables(self, **key: Any) -> list[Any]:
        """Restricted FreeTables that were read, before the cascade (`Paper.leaves`).

        ``paper_id=…``, and ``analysis_id=…`` or ``export_id=…`` where not all analyses of a paper are meant.
        """
        return _paper(self, key).leaves()

    def show_all_tables(self, **key: Any) -> list[Any]:
        """Restricted FreeTables of the slice, parents first (`Paper.slice`)."""
        return _paper(self, key).slice().free_tables()

    def list_file_paths(self, key: Mapping[str, Any], as_dict: bool = True) -> list[Any]:
        """The files that rows of the slice need (`Paper.files`): dicts with ``file_path``, or the paths."""
        paper = _paper(self, key)
        paths = sorted({row["file_path"] for row in file_rows(paper.files(), paper.connection)})
        return [{"file_path": path} for path in paths] if as_dict else list(paths)


class _Export:
    """What users call on `Export`, and what it computes."""

    __and__: Any
    connection: Any
    database: str
    Table: Any
    File: Any
    insert1: Any
    populate: Any

    def _selection(self) -> Any:
        return tables(self.connection, self.database).ExportSelection()

    @property
    def key_source(self) -> Any:
        newest: dict[str, int] = {}
        for paper, number in zip(*compat.columns(self._selection(), "paper_id", "export_id"), strict=True):
            newest[paper] = max(int(number), newest.get(paper, 0))
        return self._selection() & [{"export_id": number} for number in newest.values()]

    def populate_paper(self, paper_id: str | Mapping[str, Any]) -> None:
        """Compute the slice of a paper again, from all of its analyses and the present database."""
        name = paper_id if isinstance(paper_id, str) else paper_id["paper_id"]
        Paper(name, connection=self.connection).share(describe=False)
        newest = self.key_source & {"paper_id": name}
        if not newest:
            raise SpyError(f"Nothing of the paper {name!r} is in the shared log {self.database!r}.")
        self._forget(name)
        self.populate(newest.proj())

    def _forget(self, paper_id: str) -> None:
        """Only the newest export of a paper counts."""
        (numbers,) = compat.columns(type(self)() & {"paper_id": paper_id}, "export_id")
        for table in (self.File(), self.Table(), type(self)()):
            (table & [{"export_id": number} for number in numbers]).delete_quick()

    def make(self, key: dict[str, Any]) -> None:
        name = (self._selection() & key).fetch1("paper_id")
        paper = Paper(name, connection=self.connection)
        self._forget(name)
        self.insert1({**key, "paper_id": name})
        self.Table.insert([{**key, **row} for row in table_rows(paper.slice())])
        self.File.insert([{**key, **row} for row in file_rows(paper.files(), self.connection)])
