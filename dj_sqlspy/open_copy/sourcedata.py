"""Source data: the results that each analysis received, as files, which journals ask for beside each figure.

In: a bundle with its dump. Out: a folder with a subfolder for each analysis, and in it the files (`resultfiles`) of
each of its distinct data statements, in the order in which they first ran: ``03-trial.csv``, ``03-trial.parquet``, and
``03-trial.sql`` with the statement. A ``README.md`` in each says what the columns mean, and whether the analysis
received these rows. ``SHA256SUMS`` names all files. The statements run on a private server that holds nothing but the
loaded slice. Each result is compared with the digest of what the analysis received.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import atomic
from ..bundle.folder import BundleFolder
from ..bundle.manifest import Replayed, not_replayable, replayable
from ..bundle.reading import sha256_of
from ..bundle.render import render
from ..display import first
from ..errors import BundleError
from ..external.sums import SUMS, write_sums
from ..names import listed
from ..replay.digests import read_catalog, read_digests, session_of
from ..replay.loaded import loaded_slice, new_folder
from ..replay.statements import as_received, why_apart
from ..servers import backend_of
from ..servers.backend import Replayer
from ..servers.catalog import Catalog
from ..servers.snapshot import ConnectionLost, Interrupted, Refused
from .columns import source_of
from .result import lacks, require_extra
from .resultfiles import CSV, PARQUET, XLSX, Shown, shown_columns, write_result
from .spool import Spool
from .titles import distinct, file_name, title_of

logger = logging.getLogger("dj_sqlspy")

README_FILE = "README.md"

# What files of a format need: packages, and the extra with them.
NEEDS = {CSV: ((), ""), PARQUET: (("pyarrow",), "open"), XLSX: (("xlsxwriter",), "excel")}


@dataclass(frozen=True)
class SourceData:
    """The result of one statement as files.

    Attributes
    ----------
    analysis : str
    numbers : tuple of int
        The captured statements with this text.
    path : str
        Of its files, below the folder and without their ending; "" if there is none.
    formats : tuple of str
        The endings of the files with its rows.
    columns : tuple of Shown
    rows : int
    ordered : bool
        True if the statement orders its rows totally, so that the files have them in the order of the analysis.
    digest : str
        Of these rows, as the capture makes it.
    received : bool or None
        True if these are the rows that the analysis received; None if it has no digest.
    note : str
        Why these can be other rows; "" if nothing is known.
    notes : tuple of (str, str)
        Columns that are not everywhere as they were sent, and what they are there.
    undecoded : tuple of (str, str)
        Columns of bytes with values that DataJoint does not decode, or that have no other form, and how many.
    lacking : tuple of (str, str)
        Formats that were asked for and could not be made, and why.
    why_not : str
        Why there is no file.
    """

    analysis: str
    numbers: tuple[int, ...]
    path: str = ""
    formats: tuple[str, ...] = ()
    columns: tuple[Shown, ...] = ()
    rows: int = 0
    ordered: bool = False
    digest: str = ""
    received: bool | None = None
    note: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    undecoded: tuple[tuple[str, str], ...] = ()
    lacking: tuple[tuple[str, str], ...] = ()
    why_not: str = ""

    @property
    def stem(self) -> str:
        """The name of its files, without their ending."""
        return self.path.rpartition("/")[2]

    @property
    def as_received(self) -> str:
        """Whether these are the rows that the analysis received, in words."""
        words = {True: "yes", False: "no", None: "not known"}[self.received]
        return words if self.received or not self.note else f"{words}: {self.note}"


def not_made(made: Iterable[SourceData]) -> list[str]:
    """What is not in the files, or not decoded there, in words."""
    made = list(made)
    parts = {
        "Bytes that stay as they are stored": [
            f"{one.path}: {column}, {many}" for one in made for column, many in one.undecoded
        ],
        "Could not be made": [f"{one.path}.{form}: {why}" for one in made for form, why in one.lacking],
        "Without a file": [
            f"Statement {one.numbers[0]} of {one.analysis}: {one.why_not}" for one in made if one.why_not
        ],
    }
    return ["\n".join([f"{heading}:", *first(lines)]) for heading, lines in parts.items() if lines]


def chosen_formats(doing: str, formats: str | Iterable[str]) -> tuple[str, ...]:
    """The formats to write. None given: CSV, and Parquet if its package is installed.

    Raises
    ------
    BundleError
        If one is not known, or its package is missing.
    """
    wanted = listed(formats)
    if not wanted:
        if missing := lacks(*NEEDS[PARQUET]):
            logger.warning("Source data without Parquet files, which need %s", missing)
            return (CSV,)
        return (CSV, PARQUET)
    if unknown := [one for one in wanted if one not in NEEDS]:
        raise BundleError(f"{doing}: there is no format {unknown[0]!r}, but {', '.join(NEEDS)}.")
    for one in wanted:
        require_extra(f"{doing} as {one}", *NEEDS[one])
    return tuple(one for one in NEEDS if one in wanted)


def write_source_data(
    bundle: BundleFolder,
    path: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    formats: str | Iterable[str] = (),
) -> list[SourceData]:
    """Write the results of a bundle's data statements into a new folder (`Bundle.source_data`)."""
    doing = f"Writing source data into {path}"
    chosen = chosen_formats(doing, formats)
    manifest = bundle.manifest
    recorded = read_digests(bundle.path)
    wanted, left_out = _by_analysis(manifest), _left_out(manifest)
    analyses = sorted({analysis for analysis, _, _ in wanted} | {one.analysis for one in left_out})
    names = distinct(map(file_name, analyses), (README_FILE, SUMS))
    folders = dict(zip(analyses, names, strict=True))
    inside = path.absolute().parent == bundle.path.absolute()
    mode = bundle.path.stat().st_mode & 0o777 if inside else 0o700
    made: list[SourceData] = []
    with contextlib.ExitStack() as stack:
        fresh = stack.enter_context(new_folder(doing, bundle, path, mode))
        loaded = stack.enter_context(loaded_slice(bundle, fresh))
        backend = backend_of(loaded)
        catalog = read_catalog(loaded, manifest)
        stack.enter_context(backend.as_sent(loaded))
        backend.set_session(loaded, session_of(manifest, recorded, backend))
        stack.enter_context(backend.one_moment(loaded))
        replayer = stack.enter_context(contextlib.closing(backend.replayer(loaded)))
        for name in folders.values():
            (fresh / name).mkdir(mode=0o700)
        writer = _Writer(replayer, loaded, fresh, folders, manifest, catalog, chosen, len(wanted))
        for analysis, one, entries in wanted:
            made.append(writer.write(analysis, one, entries))
            if progress is not None:
                progress(len(made), len(wanted))
        made += left_out
        _write_texts(fresh, manifest, folders, made, chosen)
        files = [file for file in fresh.rglob("*") if file.is_file()]
        sums = {file.relative_to(fresh).as_posix(): sha256_of(file) for file in files}
        write_sums(fresh / SUMS, fresh, sums)
        for file in fresh.rglob("*"):
            file.chmod(mode if file.is_dir() else mode & 0o666)
    return made


def _by_analysis(
    manifest: Mapping[str, Any],
) -> list[tuple[str, Replayed, list[Mapping[str, Any]]]]:
    """For each analysis, its distinct data statements in the order in which they first ran."""
    found: dict[tuple[str, Replayed], list[Mapping[str, Any]]] = {}
    for one, entries in replayable(manifest).items():
        for entry in entries:
            if entry["kind"] == "data":
                found.setdefault((entry["analysis"], one), []).append(entry)
    ordered = sorted(found.items(), key=lambda item: (item[0][0], item[1][0]["number"]))
    return [(analysis, one, entries) for (analysis, one), entries in ordered]


def _left_out(manifest: Mapping[str, Any]) -> list[SourceData]:
    """The data statements that cannot run on the slice, and why."""
    return [
        SourceData(entry["analysis"], (entry["number"],), why_not=why_apart(entry["marks"]))
        for entry in not_replayable(manifest)
        if entry["kind"] == "data"
    ]


class _Writer:
    """Writes the results of statements below a folder."""

    def __init__(
        self,
        replayer: Replayer,
        loaded: Any,
        folder: Path,
        folders: Mapping[str, str],
        manifest: Mapping[str, Any],
        catalog: Catalog,
        formats: Sequence[str],
        statements: int,
    ) -> None:
        self._replayer, self._loaded, self._folder, self._folders = replayer, loaded, folder, folders
        self._catalog, self._formats = catalog, formats
        self._digits = max(2, len(str(statements)))  # so that the names are in the order of the numbers
        self._drifted = {entry["number"] for entry in manifest["drift"]}
        self._shown = set((manifest.get("pseudonyms") or {}).get("shown", ()))
        self._written: dict[str, int] = {}  # number of results of an analysis

    def write(self, analysis: str, one: Replayed, entries: Sequence[Mapping[str, Any]]) -> SourceData:
        about = SourceData(analysis, tuple(entry["number"] for entry in entries))
        folder = self._folder / self._folders[analysis]
        number = self._written.get(analysis, 0) + 1
        stem = f"{number:0{self._digits}d}-{title_of(entries[0]['tables'])}"
        with (
            tempfile.TemporaryDirectory(prefix=atomic.PARTIAL, dir=self._folder) as scratch,
            tempfile.TemporaryFile(dir=scratch) as file,
        ):
            try:
                result = self._replayer.result(self._loaded, one.sql, one.state, own=one.own)
                sent = result.columns
                rows = Spool(file, sent, result)
            except ConnectionLost as error:
                raise BundleError(
                    f"Running statement {about.numbers[0]}: the server is gone ({error})."
                ) from error
            except (Refused, Interrupted) as error:
                return replace(about, why_not=f"this server does not run it: {error}")
            columns = shown_columns(sent, [source_of(self._catalog, column) for column in sent])
            made = write_result(folder, stem, columns, rows, self._formats, Path(scratch))
        self._written[analysis] = number
        atomic.write(folder / f"{stem}.sql", "".join(f"{text};\n" for text in (*one.state, one.sql)))
        return replace(
            about,
            path=f"{folder.name}/{stem}",
            formats=made.formats,
            columns=tuple(columns),
            rows=rows.rows,
            ordered=all(entry["ordered"] for entry in entries),
            digest=result.received,
            received=as_received(entries, result.received),
            note=self._note(entries),
            notes=made.notes,
            undecoded=made.undecoded,
            lacking=made.lacking,
        )

    def _note(self, entries: Sequence[Mapping[str, Any]]) -> str:
        """Why these statements can return other rows than the analysis received."""
        if not self._drifted.isdisjoint(entry["number"] for entry in entries):
            return "the database had changed since"
        if not self._shown.isdisjoint(entry["number"] for entry in entries):
            return "has pseudonyms"
        return why_apart({mark for entry in entries for mark in entry["marks"]})


def _write_texts(
    folder: Path,
    manifest: Mapping[str, Any],
    folders: Mapping[str, str],
    made: Sequence[SourceData],
    formats: Sequence[str],
) -> None:
    """Write ``README.md`` of the folder and of each analysis."""
    by_analysis = {name: [one for one in made if one.analysis == name] for name in folders}
    paper = manifest["paper"]
    example = next((one for one in made if one.formats), None)
    text = render(
        "source-data.md.j2",
        paper=paper,
        folders=folders,
        made=by_analysis,
        formats=formats,
        example=example,
    )
    atomic.write(folder / README_FILE, text)
    for name, place in folders.items():
        text = render(
            "source-data-analysis.md.j2",
            paper=paper,
            analysis=name,
            made=by_analysis[name],
            groups=_with_equal_columns(by_analysis[name]),
        )
        atomic.write(folder / place / README_FILE, text)


def _with_equal_columns(made: Iterable[SourceData]) -> list[list[SourceData]]:
    """The results with files, those together that have the same columns."""
    groups: dict[object, list[SourceData]] = {}
    for one in made:
        if one.path:
            groups.setdefault((one.columns, one.notes), []).append(one)
    return list(groups.values())
