"""Verify: loads a bundle into a private server and checks all of it, for its author or a reader.

In: a bundle, and its source if that can be reached. Out: a `Verification`. It checks the structure, the rows of the
tables, the foreign keys and the captured statements on the loaded slice. For the author it compares with the source and
records digests of the results (see `digests`). For a reader it compares with these digests, and says what it could not
check. It changes nothing on the source.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import datajoint
from rich.console import RenderableType
from rich.text import Text

from .. import atomic, servers
from ..bundle.folder import DIGESTS_FILE, BundleFolder, server_for, written_from
from ..bundle.manifest import FILE, now, replayable
from ..bundle.texts import REPLAY_FILE, refresh
from ..compat import open_connection
from ..display import count, first
from ..dump.exclude import contents, words
from ..dump.pseudonyms import with_pseudonyms, words_of
from ..errors import BundleError
from ..names import split_full_name
from ..servers import backend_of
from ..servers.catalog import Catalog
from ..servers.snapshot import Refused
from .digests import (
    file_digest,
    hexadecimal,
    measure_statements,
    measure_tables,
    read_catalog,
    read_digests,
    session_of,
    table_digest,
    text_digest,
    write_digests,
)
from .statements import (
    ReplayReport,
    StatementResult,
    as_received,
    check_keys,
    not_replayed,
    received_note,
    replay,
    timed,
)
from .structure import structure

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TableResult:
    """The rows of a table of the loaded slice.

    Attributes
    ----------
    name : str
    rows : int
        Number of rows in the loaded slice.
    state : str
        ``equal``, ``differs``, or ``unchecked``: only the number of rows can be compared.
    message : str
        What is different.
    """

    name: str
    rows: int
    state: str
    message: str = ""


@dataclass(frozen=True, repr=False)
class Verification(ReplayReport):
    """The outcome of `verify`: a `ReplayReport`, and the other checks.

    Attributes
    ----------
    compared : tuple of str
        What it was compared with: ``the source``, ``digests.json``.
    structure : tuple of str
        Tables, columns and keys that differ from the manifest, and generated columns with other values.
    tables : tuple of TableResult
    unchecked : tuple of str
        What could not be checked, and why.
    notes : tuple of str
        Further remarks.
    """

    compared: tuple[str, ...] = ()
    structure: tuple[str, ...] = ()
    tables: tuple[TableResult, ...] = ()
    unchecked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    title: ClassVar[str] = "Statements on the loaded slice"

    @property
    def equal(self) -> bool:
        """True if everything that could be checked is equal."""
        return super().equal and not self.structure and not self.different_tables

    @property
    def complete(self) -> bool:
        """True if everything could be checked."""
        return not self.unchecked

    @property
    def from_source(self) -> bool:
        """True if it was compared with the source."""
        return "the source" in self.compared

    @property
    def different_tables(self) -> list[TableResult]:
        return [table for table in self.tables if table.state == "differs"]

    def _renderables(self) -> Iterator[RenderableType]:
        yield from super()._renderables()
        problems = [*self.structure, *(f"{table.name}: {table.message}" for table in self.different_tables)]
        yield from map(Text, (*first(problems), *self.notes))
        for text in self.unchecked:
            yield Text(f"NOT CHECKED: {text}")

    def _verdict(self) -> str:
        if self.equal and not self.complete:
            return "no difference found, but NOT ALL WAS CHECKED"
        return super()._verdict()

    def _measure(self) -> str:
        own = [table for table in self.tables if split_full_name(table.name)[1].startswith("~")]
        rows = sum(table.rows for table in self.tables if table not in own)
        tables = f"{count(len(self.tables) - len(own), 'table')} with {count(rows, 'row')}"
        if own:
            tables += f" and {len(own)} of DataJoint's own"
        with_what = " and ".join(self.compared) or "the manifest alone"
        return f"{super()._measure()}, {tables}, compared with {with_what}"


def verify(
    bundle: BundleFolder,
    source: Any = None,
    progress: Progress | None = None,
    *,
    alone: bool = False,
    look: Callable[[Any, Catalog], None] | None = None,
) -> Verification:
    """Load a bundle into a private server and check it (`Bundle.verify`).

    If it has no dump yet and the source can be reached, the source is dumped first. With the source, ``look`` is called
    at last, with a connection to the loaded slice and its catalog.
    """
    manifest = bundle.manifest
    servers.require_program(manifest["server"]["flavor"])  # raise before the dump is made
    seconds: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        opened, why_not = (None, "it was not asked for") if alone else find_source(source, bundle)
        if opened is not None:
            stack.enter_context(contextlib.closing(opened))
        if not bundle.dump_file.exists():
            if opened is None:
                raise BundleError(
                    f"Verifying {bundle.path}: there is no {bundle.dump_file.name} in it, and no source to make it"
                    f" from: {why_not}. Get the whole bundle, or run dump.sh first."
                )
            with timed(seconds, "dump"):
                bundle.dump(source=source)
        if opened is not None and written_from(bundle.path) is None:
            _require_conditions(bundle, opened)
        dump = file_digest(bundle.dump_file)
        recorded = read_digests(bundle.path)
        with timed(seconds, "start a server"):
            private = stack.enter_context(server_for(manifest))
            loaded = stack.enter_context(contextlib.closing(private.connect()))
        with timed(seconds, "restore"):
            other_values = bundle.load(loaded)
            backend_of(loaded).analyze(loaded, [table["name"] for table in manifest["tables"]])
        views = [view["name"] for view in manifest["views"]]
        lacking = backend_of(loaded).missing_tables(loaded, views) if views else []
        alike = _series(private.version) == _series(manifest["server"]["version"]) and not lacking
        catalog = read_catalog(loaded, manifest)
        told = [f"Contents left out: {line}" for line in words(manifest.get("excluded", ()))]
        told += [f"Pseudonyms: {line}" for line in words_of(manifest)]
        if recorded is not None and recorded["dump"] != dump:
            if opened is not None:
                recorded = None  # of an older dump
            else:
                told.append(
                    f"{bundle.dump_file.name} is not the file that {DIGESTS_FILE} was made from (size or SHA-256)."
                )
        stack.enter_context(backend_of(loaded).as_sent(loaded))
        report = Verification(
            (), (), seconds, structure=(*structure(manifest, catalog), *other_values), notes=tuple(told)
        )
        more = []
        if opened is None:
            report = _alone(report, manifest, catalog, loaded, recorded, why_not, progress, alike)
            if recorded is not None and not alone and written_from(bundle.path) is not None:
                more.append(f"Compared with {DIGESTS_FILE}, not with the source: {why_not}.")
        else:
            report = _with_source(report, bundle, catalog, opened, loaded, recorded, progress, alike)
        more += received_note(manifest, report.statements)
        if not alike:
            ran = manifest["server"]["version"]
            more.append(f"The source ran on {ran}, and this was checked on {private.version}.")
        unchecked = (*report.unchecked, *(f"the view {name}, which this server refuses" for name in lacking))
        report = replace(report, notes=(*report.notes, *more), unchecked=unchecked)
        if opened is not None and recorded is None and report.equal:
            with timed(seconds, "digests"):
                session = backend_of(loaded).fixed_session(loaded)
                write_digests(bundle, dump, private, loaded, catalog, session)
        if opened is not None and look is not None:
            look(loaded, catalog)
    return report


def _require_conditions(bundle: BundleFolder, source: Any) -> None:
    """Raise if the source would be sent more than conditions from a stranger's manifest."""
    for table in bundle.manifest["tables"]:
        if table["restriction"] is None:
            continue
        try:
            backend_of(source).require_condition(table["restriction"])
        except Refused as error:
            raise BundleError(
                f"Verifying {bundle.path}: the restriction of {table['name']} in its manifest is not sent to the"
                f" source: {error}. Verify it without the source, or get the bundle again."
            ) from error


def find_source(source: Any, bundle: BundleFolder) -> tuple[Any, str]:
    """A new connection to the source of a bundle, or None and the reason.

    It never asks for a password. Unless the user names a server, a bundle must have been written here from that server:
    a stranger's bundle must not choose where its statements are sent. A server that only contains what ``restore.sh``
    loaded is not a source.
    """
    if source is not None:
        return backend_of(source).connect(source), ""
    written = written_from(bundle.path)
    if written is None:
        return (
            None,
            "the bundle was not written here, and no source was named (--source, verify(source=dj.conn()))",
        )
    account = datajoint.config["database.user"], datajoint.config["database.password"]
    if None in account and open_connection() is None:
        return None, "dj.config names no account on a server"
    try:
        opened = backend_of().connect()
    except (*servers.driver_errors(), datajoint.DataJointError, OSError) as error:
        return None, f"the server of dj.config cannot be reached ({error.args[-1] if error.args else error})"
    address = backend_of(opened).address(opened)
    if address != written:
        why_not = f"the bundle was written from {written}, and dj.config names {address}"
    else:
        why_not = _no_source(opened, bundle.manifest)
    if why_not:
        opened.close()
        return None, why_not
    return opened, ""


def _no_source(opened: Any, manifest: Mapping[str, Any]) -> str:
    backend = backend_of(opened)
    names = [table["name"] for table in manifest["tables"]]
    missing = backend.missing_tables(opened, names)
    if missing:
        return f"the server of dj.config has no {missing[0]} that the account can see"
    cut = [table for table in manifest["tables"] if _is_cut(table)]
    if cut:
        smallest = min(cut, key=lambda table: table["total_rows"] or table["rows"])
        if backend.number(opened, f"SELECT COUNT(*) FROM {smallest['name']}") == smallest["rows"]:
            return (
                f"the server of dj.config holds a loaded slice, not the source (rows of {smallest['name']})"
            )
    return ""


def _is_cut(table: Mapping[str, Any]) -> bool:
    """Whether the slice certainly lacks rows of a table."""
    if table["total_rows"] is None:
        return table["restriction"] not in ("TRUE", "FALSE")
    return bool(table["rows"] < table["total_rows"])


def _series(version: str) -> tuple[bool, list[str]]:
    """The flavor and the first two numbers of a version, within which all servers know the same SQL."""
    return "MariaDB" in version, version.split(".")[:2]


# ---------------------------------------------------------------- the author's side


def _with_source(
    report: Verification,
    bundle: BundleFolder,
    catalog: Catalog,
    source: Any,
    loaded: Any,
    recorded: Mapping[str, Any] | None,
    progress: Progress | None,
    alike: bool,
) -> Verification:
    seconds: dict[str, float] = dict(report.seconds)
    with timed(seconds, "replay"):
        replayed = replay(bundle.manifest, source, loaded, progress, alike=alike)
    statements = replayed.statements
    unchecked = _unknown(statements)
    compared = ["the source"]
    backend = backend_of(loaded)
    session = backend.fixed_session(loaded)
    with timed(seconds, "tables"), backend.as_sent(source):
        measured = measure_tables(loaded, catalog, bundle.manifest, recorded)
        backend.reading_tables(source)
        tables, more = tables_on_source(measured, source, bundle.manifest)
        unchecked += more
        hidden = with_pseudonyms(bundle.manifest)
        showing = [result for result in statements if result.state == "unchecked" and not result.message]
        if recorded is None and showing:
            unchecked.append(
                f"the results of {len(showing)} statements, which show pseudonyms: {DIGESTS_FILE} says nothing of this"
                " dump"
            )
        if recorded is None:
            unchecked += [
                f"the rows of {table.name}, which have pseudonyms: {DIGESTS_FILE} says nothing of this dump"
                for table in tables
                if table.name in hidden and table.rows
            ]
    if recorded is not None:
        compared.append(DIGESTS_FILE)
        old = _against_digests(measured, recorded)
        tables = [
            b if a.state != "differs" and (b.state == "differs" or b.name in hidden) else a
            for a, b in zip(tables, old, strict=True)
        ]
        with timed(seconds, "digests"):
            backend.set_session(loaded, recorded["session"])
            again = _statement_results(bundle.manifest, loaded, recorded, alike)
        backend.set_session(loaded, session)
        message = f"equal to the source, but not to {DIGESTS_FILE}"
        statements = tuple(
            b
            if a in showing
            else replace(a, state="differs", message=message)
            if (a.state, b.state) == ("equal", "differs")
            else a
            for a, b in zip(statements, again, strict=True)
        )
    return replace(
        report,
        statements=statements,
        keys=replayed.keys,
        seconds=seconds,
        compared=tuple(compared),
        tables=tuple(tables),
        unchecked=tuple(unchecked),
        notes=(*report.notes, *_settings(replayed.not_taken)),
    )


def tables_on_source(
    measured: Sequence[Mapping[str, Any]], source: Any, manifest: Mapping[str, Any]
) -> tuple[list[TableResult], list[str]]:
    """Compare measured tables of a loaded slice with the source, whose session becomes that of a dump.

    Returns
    -------
    tables : list of TableResult
        ``unchecked`` are DataJoint's own descriptions of the tables, and tables whose restriction is not told.
    unchecked : list of str
        What the source refused.
    """
    tables: list[TableResult] = []
    unchecked = []
    backend = backend_of(source)
    backend.reading_tables(source)
    restrictions = {table["name"]: table["restriction"] for table in manifest["tables"]}
    instead, hidden = contents(manifest), with_pseudonyms(manifest)
    with backend.one_moment(source):
        for entry in measured:
            restriction = restrictions.get(entry["name"])
            if restriction is None:
                if entry["name"] in restrictions and entry["name"] not in hidden:
                    unchecked.append(f"the rows of {entry['name']}: the manifest does not say which they are")
                tables.append(TableResult(entry["name"], entry["rows"], "unchecked"))
                continue
            try:
                there = table_digest(
                    source,
                    entry["name"],
                    entry["columns"],
                    entry["forms"],
                    restriction,
                    instead.get(entry["name"]),
                )
            except Refused as error:
                unchecked.append(f"the rows of {entry['name']} against the source: {error}")
                tables.append(TableResult(entry["name"], entry["rows"], "unchecked"))
                continue
            tables.append(_compared(entry, there.rows, hexadecimal(there), "on the source"))
    return tables, unchecked


def _unknown(statements: Iterable[StatementResult]) -> list[str]:
    """Statements that a private server of another flavor or version cannot run, in words."""
    return [
        f"the result of statement {', '.join(first(result.numbers))}, which this server does not know:"
        f" {result.message}"
        for result in statements
        if result.state == "unchecked" and result.message
    ]


def _settings(not_taken: Iterable[str]) -> list[str]:
    return [f"This server does not take the setting {text}" for text in not_taken]


# ---------------------------------------------------------------- the reader's side


def _alone(
    report: Verification,
    manifest: Mapping[str, Any],
    catalog: Catalog,
    loaded: Any,
    recorded: Mapping[str, Any] | None,
    why_not: str,
    progress: Progress | None,
    alike: bool,
) -> Verification:
    seconds: dict[str, float] = dict(report.seconds)
    backend = backend_of(loaded)
    with timed(seconds, "tables"):
        measured = measure_tables(loaded, catalog, manifest, recorded)
    unchecked = []
    if recorded is None:
        rows = {table["name"]: table["rows"] for table in (*manifest["tables"], *manifest["lineage_tables"])}
        tables = [_compared(entry, rows[entry["name"]], None, "in the manifest") for entry in measured]
        known = any("digest" in statement for statement in manifest["statements"])  # of its capture
        looked = "structure, numbers of rows and foreign keys"
        looked += ", and what the analysis received," if known else ""
        unchecked.append(
            f"the contents of the rows{'' if known else ' and of the results'}. The bundle has no {DIGESTS_FILE}, which"
            f" `dj-sqlspy verify` leaves in it where the source can be reached; and there is no source here: {why_not}."
            f" Only {looked} were looked at."
        )
    else:
        tables = _against_digests(measured, recorded)
    refused = backend.set_session(loaded, session_of(manifest, recorded, backend))
    with timed(seconds, "statements"):
        statements = _statement_results(manifest, loaded, recorded, alike, progress)
    unchecked += _unknown(statements)
    new = [result for result in statements if result.state == "unchecked" and not result.message]
    if recorded is not None and new:
        unchecked.append(f"the results of {len(new)} statements, of which {DIGESTS_FILE} says nothing")
    return replace(
        report,
        statements=tuple(statements),
        keys=tuple(check_keys(manifest, None, loaded)),
        seconds=seconds,
        compared=() if recorded is None else (f"{DIGESTS_FILE} of {recorded['created']}",),
        tables=tuple(tables),
        unchecked=tuple(unchecked),
        notes=(*report.notes, *_settings(refused)),
    )


def _against_digests(measured: Sequence[Mapping[str, Any]], recorded: Mapping[str, Any]) -> list[TableResult]:
    known = {entry["name"]: entry for entry in recorded["tables"]}
    return [
        _compared(entry, known[entry["name"]]["rows"], known[entry["name"]]["digest"], f"in {DIGESTS_FILE}")
        if entry["name"] in known
        else TableResult(entry["name"], entry["rows"], "differs", f"{DIGESTS_FILE} does not name it")
        for entry in measured
    ]


def _compared(entry: Mapping[str, Any], rows: int, digest: str | None, where: str) -> TableResult:
    """A measured table, compared with these rows; without their digest only their number counts."""
    state, message = "unchecked" if digest is None else "equal", ""
    if entry["rows"] != rows:
        state, message = "differs", f"{entry['rows']} rows on the slice, {rows} {where}"
    elif digest is not None and entry["digest"] != digest:
        state, message = "differs", f"as many rows on the slice as {where} ({rows}), but not the same"
    return TableResult(entry["name"], entry["rows"], state, message)


def _statement_results(
    manifest: Mapping[str, Any],
    loaded: Any,
    recorded: Mapping[str, Any] | None,
    alike: bool,
    progress: Progress | None = None,
) -> list[StatementResult]:
    known = {entry["sql_sha256"]: entry for entry in (recorded or {}).get("statements", ())}
    found = measure_statements(loaded, manifest, recorded, progress)
    results = [
        _statement_result(
            replace(
                StatementResult.about(one.sql, entries),
                received=as_received(entries, measured.get("received", "")),
            ),
            entries[0]["rows_now"],
            measured,
            known.get(text_digest(one)),
            alike,
        )
        for (one, entries), measured in zip(replayable(manifest).items(), found, strict=True)
    ]
    return results + not_replayed(manifest)


def _statement_result(
    about: StatementResult,
    rows_now: int | None,
    found: Mapping[str, Any],
    known: Mapping[str, Any] | None,
    alike: bool,
) -> StatementResult:
    if "error" in found:
        state = "unchecked" if found["unknown"] and not alike else "error"
        return replace(about, state=state, message=f"error on the slice: {found['error']}")
    wanted = rows_now if known is None else known["rows"]
    about = replace(about, source_rows=wanted, slice_rows=found["rows"])
    if wanted is not None and wanted != found["rows"]:
        return replace(about, state="differs", message="another number of rows")
    if known is None:
        return about if about.received else replace(about, state="unchecked")
    if list(found["columns"]) != known["columns"]:
        columns = f"{', '.join(found['columns'])} instead of {', '.join(known['columns'])}"
        return replace(about, state="differs", message=f"other columns: {columns}")
    if found["digest"] != known["digest"]:
        return replace(about, state="differs", message="as many rows, but not the same")
    if found["ordered_digest"] != known["ordered_digest"] and None not in (
        found["ordered_digest"],
        known["ordered_digest"],
    ):
        return replace(about, state="differs", message="the same rows in another order")
    return about


def record_replay(folder: Path, manifest: Mapping[str, Any], report: ReplayReport) -> None:
    """Write the outcome of a replay into the folder of its bundle, and write its texts again.

    No rows are written, not even those that differ.
    """
    replay = {
        "created": now(),
        "equal": report.equal,
        "structure": list(getattr(report, "structure", ())),
        "tables": [
            {"name": table.name, "message": table.message}
            for table in getattr(report, "different_tables", ())
        ],
        "statements": [
            {
                "numbers": list(result.numbers),
                "state": result.state,
                "source_rows": result.source_rows,
                "slice_rows": result.slice_rows,
                "missing": result.missing,
                "extra": result.extra,
                "message": result.message,
            }
            for result in report.statements
        ],
        "keys": [
            {
                "child": key.child,
                "name": key.name,
                "parent": key.parent,
                "orphans": key.orphans,
                "lost": key.lost,
            }
            for key in report.keys
        ],
    }
    atomic.write_beside(folder / REPLAY_FILE, json.dumps(replay, indent=1) + "\n", FILE)
    refresh(folder, manifest)
