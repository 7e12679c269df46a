"""Manifest: a bundle's description of itself, ``manifest.json``.

In: a `Slice`, its `Source`, and the name of the paper. Out: JSON text; it also reads the file of a bundle. The manifest
has everything that a replay needs, so a bundle can be verified without the `Slice`. It has no password. Digests of
tables and results are in ``digests.json`` (see `replay.digests`), because they are known only after a replay.

Format, version 1. An object with

==================  =================================================================================
format              "dj-sqlspy bundle"
format_version      1
paper               its name (null: the slice was picked by hand)
complete, problems  whether all that the analyses read is on record, and what is not
unfinished          analyses that did not finish: analysis, state ("failed", "interrupted", "open"),
                    statements, started
created             when, ISO 8601 in UTC
versions            of dj-sqlspy and the packages that it uses
environments        what the analyses ran in, each once (see `environment`): python, implementation, system,
                    packages, own, conda, analyses; of a slice picked by hand, that of the process that wrote it
server              flavor, version and settings of the source
parts               "all" if a master brings all of its parts, "inside" if bounds keep some of them
                    out, else "referenced"
schemas             name, charset, collation
tables              parents first: name, rows in the slice, total_rows in the database (null: left out),
                    restriction (SQL; null: it would name values that have pseudonyms), reasons (rows by
                    rule), primary_key, comment, and columns with name, type, nullable, comment
lineage_tables      DataJoint's ``~lineage`` tables: name, rows about tables of the slice
views               name and definition of those that statements read
views_left_out      names of views that read tables outside of the slice
foreign_keys        name, child, columns, parent, parent_columns; part: the child is a part of it
statements          number, analysis, kind, sql (to replay), captured (if different), rows_then,
                    rows_now, ordered, marks, fallback, tables; optional: time (when it ran, seconds
                    since 1970 in UTC), state (what its connection had set before, in order), digest (of
                    the rows that the analysis received; `servers.mysql.wire`), unsent (why it is not sent
                    to a server again; marked "not-sent", or "skipped" if the lab left it out)
drift               number, then, now (rows), change: statements whose results have changed since they
                    were captured
excluded            columns whose contents were left out: table, column, value (SQL for what replaces them:
                    NULL, the default, or a literal that the lab chose), statements (numbers of those that
                    read it), held (numbers of others that contain a value of it). Statements marked
                    "excluded" or "withheld" have "?" in place of values, and are not replayed; nor are
                    those marked "routine", which call a stored function that is not in the bundle
pseudonyms          optional: columns whose values are keyed hashes (table, column; digits, range or uuid: what they
                    look like), statements (numbers of
                    those that depend on the values or their order, marked "pseudonym" and not replayed),
                    shown (numbers of those that return the same but for pseudonyms; not compared with the source),
                    held (where: a column or file, values: how many true values stand there)
code                scripts and notebooks in the bundle: path, analyses, size, sha256, state, git
files               outside of the database: store, path in it, kind, size, checksum, state, columns that
                    need it, and their number of rows; ``linked_from``: files that lead to it; ``unread``: its links
                    were not looked for
first_rows          whether `verify` may write ``first-rows.json`` (see `firstrows`); if missing, it may not
==================  =================================================================================
"""

from __future__ import annotations

import datetime
import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from .. import compat
from ..cascade.leaves import StatementReport
from ..dump import foreign_keys
from ..errors import BundleError
from ..rules import NOT_REPLAYED, SKIPPED
from ..servers.dialect import Literals
from ..servers.dialects import dialect_of
from ..servers.source import Source
from ..shapes import without_literals
from ..slices import Slice
from ..slices.where import servers_of
from ..version import __version__
from .reading import parse, read_bytes, require_schema

FORMAT = "dj-sqlspy bundle"
FORMAT_VERSION = 1
FILE = "manifest.json"
SCHEMA = "manifest-1"


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """The text of ``manifest.json``."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    # lone surrogates: bytes in a statement that are not UTF-8 (PyMySQL's binary literals)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def now() -> str:
    """The time of writing, for a file of a bundle."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of the bundle in a folder, or None if there is none.

    Raises
    ------
    BundleError
        If it cannot be read, has another version, or does not match its JSON Schema.
    """
    file = path / FILE
    contents = read_bytes(file)
    if contents is None:
        return None
    manifest = parse(file, contents)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return None
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise BundleError(
            f"Reading the bundle {path}: its format version is {version!r}, and dj-sqlspy {__version__} reads"
            f" {FORMAT_VERSION}. Use the dj-sqlspy that wrote it, or a newer one."
        )
    server = manifest.get("server")
    flavor = server.get("flavor") if isinstance(server, dict) else None
    require_schema(file, manifest, SCHEMA, dialect_of(flavor or "").literals.quote)
    names = {table["name"] for table in manifest["tables"]}
    for entry in manifest["foreign_keys"]:
        if not {entry["child"], entry["parent"]} <= names or len(entry["columns"]) != len(
            entry["parent_columns"]
        ):
            raise BundleError(
                f"Reading {file}: the foreign key {entry['name']!r} does not fit the tables in it."
            )
    columns = {(table["name"], one["name"]) for table in manifest["tables"] for one in table["columns"]}
    for entry in (manifest.get("pseudonyms") or {}).get("columns", ()):
        if (entry["table"], entry["column"]) not in columns:
            raise BundleError(f"Reading {file}: it tells of pseudonyms in a column that no table in it has.")
    return manifest


def schemas_of(manifest: Mapping[str, Any]) -> list[str]:
    """The database schemas of a bundle."""
    return [schema["name"] for schema in manifest["schemas"]]


class Replayed(NamedTuple):
    """The key of statements that are replayed together, once.

    Attributes
    ----------
    sql : str
    state : tuple of str
        What their connections had set before.
    own : bool
        True if the text is as captured.
    """

    sql: str
    state: tuple[str, ...] = ()
    own: bool = True


def replayable(manifest: Mapping[str, Any]) -> dict[Replayed, list[Mapping[str, Any]]]:
    """The statements that can be replayed because they need nothing that was left out."""
    groups: dict[Replayed, list[Mapping[str, Any]]] = {}
    for entry in manifest["statements"]:
        if NOT_REPLAYED.isdisjoint(entry["marks"]):
            one = Replayed(entry["sql"], tuple(entry.get("state", ())), "captured" not in entry)
            groups.setdefault(one, []).append(entry)
    return groups


def not_replayable(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The other statements."""
    return [entry for entry in manifest["statements"] if not NOT_REPLAYED.isdisjoint(entry["marks"])]


def make_manifest(
    cut: Slice,
    source: Source,
    paper: str | None,
    problems: Sequence[str],
    comments: bool = True,
    totals: bool = True,
) -> dict[str, Any]:
    """The manifest of a slice, to which `texts.complete` adds.

    Parameters
    ----------
    cut : Slice
    source : Source
    paper : str or None
        Its name.
    problems : sequence of str
        What is missing from its record, and oddities.
    comments, totals : bool
        Whether to include comments of tables and columns, and numbers of rows in the database.
    """
    masters = cut.catalog.masters
    servers = sorted(servers_of(report.statement for report in cut.statements))
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "paper": paper,
        "complete": True,
        "problems": list(problems),
        "unfinished": [],
        "created": now(),
        "versions": {
            "dj-sqlspy": __version__,
            "python": platform.python_version(),
            "datajoint": compat.DATAJOINT_VERSION,
            **{name: metadata.version(name) for name in ("pymysql", "sqlglot", "networkx")},
        },
        "server": {
            "flavor": source.flavor,
            "version": source.version,
            **source.settings,
            **({"names": ", ".join(servers)} if len(servers) > 1 else {}),
        },
        "parts": "inside" if cut.parts == "all" and cut.left_out.keys() & masters.keys() else cut.parts,
        "schemas": [asdict(schema) for schema in source.schemas],
        "tables": [
            {
                "name": name,
                "rows": entry.rows,
                "total_rows": entry.total_rows if totals else None,
                "restriction": entry.restriction,
                "reasons": dict(entry.reasons),
                "primary_key": list(entry.table.primary_key),
                "comment": entry.table.comment if comments else "",
                "columns": [
                    {
                        "name": column.name,
                        "type": column.column_type,
                        "nullable": column.nullable,
                        "comment": column.comment if comments else "",
                    }
                    for column in entry.table.columns
                ],
            }
            for name, entry in cut.tables.items()
        ],
        "lineage_tables": [{"name": part.table.full_name, "rows": part.rows} for part in source.lineage],
        "views": [{"name": view.full_name, "definition": view.definition} for view in source.views],
        "views_left_out": list(source.views_left_out),
        "foreign_keys": [
            {
                "name": fk.name,
                "child": fk.child,
                "columns": list(fk.columns),
                "parent": fk.parent,
                "parent_columns": list(fk.parent_columns),
                "part": masters.get(fk.child) == fk,
            }
            for fk in foreign_keys(cut)
        ],
        "statements": [_statement(report, cut.catalog.dialect.literals) for report in cut.statements],
        "drift": [
            {
                "number": report.statement.number,
                "then": report.rows_then,
                "now": report.rows_now,
                "change": report.change,
            }
            for report in cut.drifted
        ],
    }


def _statement(report: StatementReport, kind: Literals) -> dict[str, Any]:
    entry = {
        "number": report.statement.number,
        "analysis": report.statement.analysis,
        "kind": report.statement.kind,
        "sql": report.sql,
        "rows_then": report.rows_then,
        "rows_now": report.rows_now,
        "ordered": report.ordered,
        "marks": sorted(report.marks),
        "fallback": report.fallback,
        "tables": list(report.tables),
    }
    if SKIPPED in report.marks:  # the bundle has neither the statement nor its values
        return entry | {
            "sql": without_literals(report.sql, report.statement.state, kind),
            "unsent": report.unsent,
        }
    if report.statement.sql != report.sql:
        entry["captured"] = report.statement.sql
    if report.statement.time:
        entry["time"] = report.statement.time
    if report.statement.state:
        entry["state"] = list(report.statement.state)
    if report.statement.digest is not None and report.own:
        entry["digest"] = report.statement.digest
    if report.unsent:
        entry["unsent"] = report.unsent
    return entry
