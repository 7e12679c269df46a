"""Pseudonymous: the files of a bundle whose keys are pseudonyms.

In: the files of a bundle with its true values, the families of columns, the key of the hash, and the source. Out: the
files to publish, with the dump. A private server does it in between: it loads the true slice, which is compared with
the source, replaces the values, and is dumped. So the key is sent to no server, and neither the order of rows nor a
condition of ``dump.sh`` tells of a value: the bundle has no ``dump.sh``. Each statement is run before and after.
One that returns something else afterwards, but for pseudonyms in columns of the result, computes with values or depends
on their order, and is marked. True values are
only in the private server's folder, which is deleted with it.
"""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import atomic, servers
from ..bundle import texts
from ..bundle.folder import BundleFolder, server_for
from ..bundle.guide import DUMP_FILE
from ..bundle.manifest import manifest_text
from ..dump import pseudonyms
from ..dump.exclude import Excluded, without_values
from ..dump.hashes import INTEGER, UUID
from ..dump.pseudonyms import Family, Readings, Values, is_number
from ..errors import BundleError, SliceError
from ..replay.digests import file_digest, measure_statements, measure_tables, read_catalog, write_digests
from ..replay.statements import check_keys
from ..replay.verify import tables_on_source
from ..servers import NAMES, Server, backend_of
from ..servers.snapshot import Refused
from ..servers.source import Rows, Source
from ..slices import Slice

logger = logging.getLogger("dj_sqlspy")


@dataclass(frozen=True)
class Wanted:
    """What gets pseudonyms.

    Attributes
    ----------
    families : tuple of Family
    secret : bytes
        The key of the hash.
    read : Readings
        What captured statements have to do with them.
    """

    families: tuple[Family, ...]
    secret: bytes = field(repr=False)
    read: Readings


def wanted(
    cut: Slice, source: Source, names: Iterable[str], others: Iterable[Excluded], connection: Any
) -> Wanted | None:
    """What gets pseudonyms if these columns are named; None for none.

    Raises
    ------
    SliceError
        If a column cannot have pseudonyms, or the key is no good.
    """
    families = pseudonyms.families(cut, names, others)
    if not families:
        return None
    pseudonyms.require_views(cut, source.views, families)
    return Wanted(
        families,
        pseudonyms.read_secret() or pseudonyms.random_secret(),
        pseudonyms.readings(cut, families, connection),
    )


def published(
    contents: Mapping[str, str | bytes],
    true: Mapping[str, Any],
    cut: Slice,
    source: Source,
    want: Wanted,
    connection: Any,
    tls: Mapping[str, Any],
    title: str,
    summary: str,
    mode: int,
) -> dict[str, str | bytes]:
    """The files to publish.

    Parameters
    ----------
    contents : mapping
        The files of the bundle with its true values, by name.
    true : mapping
        Its manifest.
    cut : Slice
    source : Source
    want : Wanted
    connection : connection of the driver, to the source
    tls : mapping
        Its TLS settings, for client programs.
    title, summary : str
        What is dumped, in words.
    mode : int
        Permissions of the folder.

    Raises
    ------
    SliceError
        If a column cannot have pseudonyms.
    BundleError
        If the dump does not load or is not equal to the source.
    ServerError
        If there is no program for a private server of the source's flavor.
    """
    flavor = source.flavor
    if servers.find_program(flavor) is None:
        raise BundleError(
            f"Writing a bundle with pseudonyms: they are made in a private server of {NAMES[flavor]}, and this machine"
            " has no program for one. Put it on PATH, or write on another machine."
        )
    manifest = copy.deepcopy(dict(true))
    backend = backend_of(connection)
    pseudonyms.note(manifest, want.families, want.read, backend)
    with contextlib.ExitStack() as stack:
        private = stack.enter_context(server_for(true))
        place = private.datadir.parent  # goes with the server, also if this process is killed
        loaded = stack.enter_context(contextlib.closing(private.connect()))
        options = stack.enter_context(backend.client_options(loaded))
        atomic.write_folder(place / "true", contents)
        _load(BundleFolder(place / "true"), connection, tls, options)
        backend.analyze(loaded, [table["name"] for table in true["tables"]])
        session = _compare(true, connection, loaded)
        found = _replace(manifest, cut, want, private, loaded, session)
        script = _script(cut, source, private, title, summary, mode)
        files = {name: text for name, text in contents.items() if name in ("restore.sh", *_code(true))}
        # the structure has no rows, so what stands there is of a default, a condition, a comment
        texts_of_structure = "\n".join(
            text
            for one in source.structures[:1]
            for text in (*(created.sql for created in one.created), *one.finish)
        )
        told = {**files, DUMP_FILE: texts_of_structure, "manifest.json": manifest_text(manifest)}
        _note_places(manifest, found, told)
        files |= {"dump.sh": script, "manifest.json": manifest_text(manifest), **texts.texts(manifest)}
        atomic.write_folder(place / "published", files, mode)
        folder = BundleFolder(place / "published")
        folder.dump(options)
        with backend.as_sent(loaded):
            read = read_catalog(loaded, manifest)
            write_digests(folder, file_digest(folder.dump_file), private, loaded, read, session)
        (folder.path / "dump.sh").unlink()
        texts.refresh(folder.path, manifest)
        return {
            path.relative_to(folder.path).as_posix(): path.read_bytes()
            for path in sorted(folder.path.rglob("*"))
            if path.is_file()
        }


def _load(folder: BundleFolder, connection: Any, tls: Mapping[str, Any], options: Sequence[str]) -> None:
    """Dump the true slice from its source, and load it."""
    with backend_of(connection).client_options(connection, tls) as own:
        folder.dump(own)
    folder.restore(options)


@contextlib.contextmanager
def _kept(connection: Any) -> Iterator[None]:
    """In a block, results are bytes as the server sends them; afterwards the session is as it was."""
    backend = backend_of(connection)
    with backend.as_sent(connection):
        before = backend.fixed_session(connection)
        try:
            yield
        finally:
            backend.set_session(connection, before)


def _compare(true: Mapping[str, Any], source: Any, loaded: Any) -> dict[str, str]:
    """Raise unless the loaded slice is the source's. Returns the session in which statements run."""
    backend = backend_of(loaded)
    with _kept(source), backend.as_sent(loaded):
        backend.match_sessions(source, loaded)
        session = backend.fixed_session(loaded)
        measured = measure_tables(loaded, read_catalog(loaded, true), true, None)
        tables, unchecked = tables_on_source(measured, source, true)
        keys = list(check_keys(true, source, loaded))
    for what in unchecked:
        logger.warning("Not compared before the values were replaced: %s", what)
    wrong = [f"{table.name}: {table.message}" for table in tables if table.state == "differs"]
    wrong += [f"{key.child}: rows whose {key.name} finds no row" for key in keys if key.orphans]
    wrong += [f"{key.child}: parts of masters in the slice are missing" for key in keys if key.lost]
    if wrong:
        raise BundleError(
            "Writing a bundle with pseudonyms: the slice is not the source's: " + "; ".join(wrong)
        )
    return session


def _replace(
    manifest: dict[str, Any],
    cut: Slice,
    want: Wanted,
    private: Server,
    loaded: Any,
    session: Mapping[str, str],
) -> Values:
    """Replace the values in the private server, and mark the statements that return something else afterwards.

    Returns what looks for the true values.
    """
    backend = backend_of(loaded)
    given: dict[str, dict[str, str]] = {}
    values: set[str] = set()
    integers: set[str] = set()
    with contextlib.closing(private.connect()) as connection:
        for family in want.families:
            own = backend.values_in(connection, family.columns)
            if outside := [value for value in own if not family.form.holds(value)]:
                raise SliceError(
                    f"Pseudonyms for {family.name}: {len(outside):,} of its {len(own):,} values are not from"
                    f" {family.form.least} to {family.form.most}, which all columns that refer to each other can hold."
                )
            if family.form.kind == INTEGER:
                integers |= own
            else:
                # UUIDs are written with hyphens and without
                values |= own | (
                    {value.replace("-", "") for value in own} if family.form.kind == UUID else set()
                )
            given[family.name] = {value: family.form.pseudonym(want.secret, value) for value in own}
        before = _results(manifest, loaded, session, _instead(want, given))
        for family in want.families:
            try:
                backend.replace_values(connection, family.columns, given[family.name])
            except Refused as error:
                raise SliceError(f"Pseudonyms for {family.name}: {error}.") from error
        places: dict[str, set[str]] = {}
        found = Values(values, integers)
        hidden = {
            (table.full_name, name.lower()) for family in want.families for table, name in family.columns
        }
        for entry in cut.tables.values():
            if entry.table.is_view or not entry.rows:
                continue
            without = frozenset(name for table, name in hidden if table == entry.name)
            for name, text in backend.texts_in(connection, entry.table, without):
                if inside := found.inside(text):
                    places.setdefault(f"{entry.name}.{entry.table.dialect.quote(name)}", set()).update(inside)
    manifest["pseudonyms"]["held"] = [
        {"where": where, "values": len(inside)} for where, inside in sorted(places.items())
    ]
    with backend.as_sent(loaded):
        orphans = [key.child for key in check_keys(manifest, None, loaded) if key.orphans]
    if orphans:
        raise BundleError(
            f"Writing a bundle with pseudonyms: rows of {', '.join(orphans)} lost their parents."
        )
    after = _results(manifest, loaded, session)
    other = {number for number, result in before.items() if after[number] != result}
    pseudonyms.mark(manifest, other)
    holding = {
        entry["number"]
        for entry in manifest["statements"]
        if any(found.inside(text, numbers=not is_number(text)) for text in _literals(entry, backend))
    }
    for entry in manifest["statements"]:
        if entry["number"] in holding:
            without_values(entry, want.read.words, backend)
    pseudonyms.mark(manifest, holding)
    pseudonyms.show(manifest, want.read.shown.keys() & before.keys() - other - holding)
    return found


def _instead(
    want: Wanted, given: Mapping[str, Mapping[str, str]]
) -> dict[int, dict[int, dict[bytes, bytes]]]:
    """By statement and position in its result, the pseudonyms of values as the server sends them."""
    forms = {family.name: family.form for family in want.families}
    sent = {
        name: {forms[name].sent(value): forms[name].sent(now) for value, now in each.items()}
        for name, each in given.items()
    }
    return {
        number: {place: sent[family.name] for place, family in places.items()}
        for number, places in want.read.shown.items()
    }


def _literals(entry: Mapping[str, Any], backend: Any) -> Iterator[str]:
    for text in (entry["sql"], entry.get("captured", ""), *entry.get("state", ())):
        found = backend.texts_of(text)
        yield from (*found.literals, *found.comments)


def _results(
    manifest: Mapping[str, Any],
    loaded: Any,
    session: Mapping[str, str],
    instead: Mapping[int, Mapping[int, Mapping[bytes, bytes]]] | None = None,
) -> dict[int, Any]:
    """What each statement that can be replayed returns now, by number, with some values counted as others."""
    backend = backend_of(loaded)
    with backend.as_sent(loaded):
        backend.set_session(loaded, session)
        measured = measure_statements(loaded, manifest, None, instead=instead)
    return {
        number: {name: value for name, value in one.items() if name not in ("numbers", "received")}
        for one in measured
        for number in one["numbers"]
    }


def _script(cut: Slice, source: Source, private: Server, title: str, summary: str, mode: int) -> str:
    """The ``dump.sh`` of the private server, which has the rows of the slice and no others."""
    parts = [
        Rows(entry.table, entry.rows, ("TRUE",) if entry.rows else ())
        for entry in cut.tables.values()
        if not entry.table.is_view
    ]
    with contextlib.closing(private.connect()) as connection:
        backend = backend_of(connection)
        checked = backend.with_checksums(connection, parts)
        # of DataJoint's own tables the private server has nothing but these rows, too
        lineage = tuple(replace(part, conditions=("TRUE",)) for part in source.lineage if part.conditions)
        return backend.dump_script(
            checked, replace(source, lineage=lineage), title, summary, (), mode & 0o666
        )


def _code(manifest: Mapping[str, Any]) -> list[str]:
    return [one["path"] for one in manifest["code"]]


def _note_places(manifest: dict[str, Any], found: Values, files: Mapping[str, str | bytes]) -> None:
    """Note in the manifest which files hold a true value, perhaps as another word, and warn."""
    for name, contents in files.items():
        text = contents if isinstance(contents, str) else contents.decode("utf-8", "replace")
        # the project's own texts have numbers of rows and bytes
        if inside := found.inside(text, numbers=name in _code(manifest)):
            manifest["pseudonyms"]["held"].append({"where": name, "values": len(inside)})
    for place in manifest["pseudonyms"]["held"]:
        logger.warning(
            "Values that have pseudonyms stand in %s of the bundle too (%d), perhaps as other words. Read it before you"
            " publish it.",
            place["where"],
            place["values"],
        )
