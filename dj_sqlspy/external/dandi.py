"""DANDI: lays copies of NWB files out as the archive DANDI wants them, and says what its tools say of them.

In: a list of `File` with their links, and their `Stores`. Out: a new folder with

==========================  ======================================================================================
``sub-…/sub-…_ses-….nwb``   a copy of each NWB file, at the place that `dandi organize` gives it; media files beside
``copies.json``             for each copy: the file that it is of, checksums, what was changed, what the tools say
==========================  ======================================================================================

Data that links in a file lead to are in its copy (`whole`), since DANDI takes no file with links to others. What DANDI
requires and a file lacks is told, and changed in the copy only where ``fix`` says so. The lab's files are read, and
nothing else. The folder appears whole or not at all, and needs no network; to send it is left to `dandi upload`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import guarded
from ..display import count, first, visible
from ..errors import FilesError
from . import dandisets, whole, zarrs
from .apart import Ended, Program
from .copies import copy_files
from .file import File
from .stores import CHUNK, Stores
from .sums import SUMS, read_sums

TOOLS = ("h5py", "pynwb", "nwbinspector", "dandi")
LIST = "copies.json"
LONGEST = 255  # bytes of a name, of the common file systems
OBJECT_IDS = "object-ids"

# Fields of the subject, with the words for them that are known to mean something else to DANDI.
FIELDS: dict[str, dict[str, str]] = {
    "sex": {"male": "M", "female": "F", "unknown": "U", "other": "O"},
    "species": {"mouse": "Mus musculus", "rat": "Rattus norvegicus", "human": "Homo sapiens"},
    "age": {},
}
_REQUIRED = ("CRITICAL", "ERROR", "PYNWB_VALIDATION")


@dataclass(frozen=True)
class Said:
    """What a tool says of a copy.

    Attributes
    ----------
    tool : str
        ``nwbinspector`` or ``dandi validate``.
    severity : str
        In the tool's own words. With nwbinspector ``CRITICAL`` is what DANDI requires.
    id, message, where : str
        The check, what it says, and the object in the file.
    """

    tool: str
    severity: str
    id: str
    message: str
    where: str = ""

    @property
    def is_error(self) -> bool:
        """Whether DANDI refuses the file for it."""
        return self.severity in _REQUIRED


@dataclass(frozen=True)
class DandiCopy:
    """A copy of one NWB file, or why there is none.

    Attributes
    ----------
    file : str
        ``STORE/PATH`` of the original.
    path : str
        Its place in the folder; "" if it was refused.
    refused : str
        Why there is no copy.
    missing : tuple of str
        What DANDI requires and the copy lacks.
    told : tuple of str
        What else to know: a name that several files share, fixes that did not apply.
    changed : tuple of str
        What `fix` changed.
    said : tuple of Said
    compared : int
        Datasets that were compared with the original; 0 if the copy is the original, byte for byte but for `changed`.
    sha256, original_sha256 : str
    """

    file: str
    path: str = ""
    refused: str = ""
    missing: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    said: tuple[Said, ...] = field(default=(), repr=False)
    compared: int = 0
    sha256: str = ""
    original_sha256: str = ""

    @property
    def valid(self) -> bool:
        """Whether it is there, and DANDI's tools find nothing that it requires to be otherwise."""
        return not (self.refused or self.missing or any(one.is_error for one in self.said))

    def __str__(self) -> str:
        if self.refused:
            return f"{self.file}: refused: {self.refused}"
        lines = [f"{self.file} -> {self.path}"]
        lines += [f"    missing: {text}" for text in self.missing]
        lines += [f"    changed: {text}" for text in self.changed]
        lines += [f"    {text}" for text in self.told]
        hidden = ("BEST_PRACTICE_SUGGESTION", "HINT", "INFO")
        more = [one for one in self.said if one.message not in self.missing]
        shown = [one for one in more if one.severity not in hidden]
        lines += [
            f"    {one.tool}: {one.severity}: {one.message} ({one.id}{f', {one.where}' if one.where else ''})"
            for one in shown
        ]
        if len(shown) < len(more):
            lines.append(f"    and {count(len(more) - len(shown), 'suggestion')} in {LIST}")
        return "\n".join(lines)


@dataclass(frozen=True)
class DandiCopies:
    """The result of laying files out.

    Attributes
    ----------
    folder : Path
    copies : tuple of DandiCopy
    left_out : tuple of (str, str)
        ``STORE/PATH`` of other files of the slice, each with the reason.
    """

    folder: Path
    copies: tuple[DandiCopy, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def valid(self) -> bool:
        """True if there is a copy of each NWB file, and DANDI's tools find nothing that it requires in them."""
        return all(copy.valid for copy in self.copies)

    def __str__(self) -> str:
        made = sum(bool(copy.path) for copy in self.copies)
        lines = [str(copy) for copy in self.copies]
        reasons: dict[str, list[str]] = {}
        for name, why in self.left_out:
            reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            lines += [
                f"{count(len(names), 'file')} left out: {why}",
                *(f"    {name}" for name in first(names)),
            ]
        if not self.copies:
            lines.append("No row of the slice needs an NWB file, so nothing was laid out.")
            return visible("\n".join(lines))
        valid, all_of_them = sum(copy.valid for copy in self.copies), count(len(self.copies), "NWB file")
        lines.append(
            f"{self.folder}: {made} of {all_of_them} laid out, {valid} with all that DANDI requires"
            if made
            else f"{self.folder} was not made: {made} of {all_of_them} can be laid out"
        )
        return visible("\n".join(lines))


def dandi_copies(
    files: Sequence[File],
    folder: str | Path,
    stores: Stores | None = None,
    *,
    fix: Iterable[str] = (),
    store: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> DandiCopies:
    """Lay copies of NWB files out as `dandi organize` does, and say what DANDI's tools say of them.

    Parameters
    ----------
    files : sequence of File
        From `files_of`, with those that links lead to.
    folder : path
        A new folder.
    stores : Stores, optional
        Default: those of ``dj.config``.
    fix : iterable of str
        What to change in the copies, where nwbinspector finds that it is missing or not in DANDI's form:
        ``sex=F``, ``age=P90D``, ``species=Mus musculus``, for one subject ``rat1.age=P90D``; ``sex`` or ``species``
        alone translates known words (Male, Rat); ``object-ids`` gives all but the first of the files that share one
        a new ``object_id``.
    store : str, optional
        Only NWB files of this store.
    progress : callable, optional
        Called with the number of bytes just read from stores.

    Raises
    ------
    FilesError
        If a tool is not installed, the folder is there, or a fix is unknown.
    """
    lacking = [name for name in TOOLS if importlib.util.find_spec(name) is None]
    if lacking:
        raise FilesError(
            f'Laying files out for DANDI: {", ".join(lacking)} not installed: pip install "dj-sqlspy[dandi]"'
        )
    fixes = [_fix(text) for text in fix]
    folder, stores = Path(folder).absolute(), stores or Stores()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FilesError(
                f"Laying files out for DANDI in {folder}: it is there already. Name a new folder."
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            guarded.Folder(folder.parent) as work,
            _Apart(whole.__file__) as copier,
            _Apart(dandisets.__file__) as tools,
        ):
            layout = _Layout(files, store, work, stores, copier, tools)
            layout.make(progress)
            layout.inspect(fixes)
            layout.lay_out()
            if any(copy.path for copy in layout.copies.values()):
                os.rename(layout.result, folder)  # over an empty folder too
    except OSError as error:
        raise FilesError(f"Laying files out for DANDI in {folder}: {error}") from error
    return DandiCopies(folder, tuple(layout.copies.values()), tuple(layout.left_out))


@dataclass(frozen=True)
class _Fix:
    field: str
    value: str = ""
    subject: str = ""


def _fix(text: str) -> _Fix:
    """What one text of ``fix`` says.

    >>> _fix("rat.1.age=P90D")
    _Fix(field='age', value='P90D', subject='rat.1')
    """
    name, _, value = text.partition("=")
    subject, _, field_name = name.rpartition(".")
    known = field_name in FIELDS or (text == OBJECT_IDS)
    if not known or not (value or FIELDS.get(field_name) or text == OBJECT_IDS):
        raise FilesError(
            f"Laying files out for DANDI: no fix is {text!r}. Fixes are sex, sex=F, species, species=NAME, age=P90D,"
            f" with a subject before it where it is for one (rat1.age=P90D), and {OBJECT_IDS}."
        )
    return _Fix(field_name, value, subject)


class _Apart:
    """A program that is started anew where a file has ended it."""

    def __init__(self, script: str) -> None:
        self._script = script
        self._program: Program | None = None

    def __enter__(self) -> _Apart:
        return self

    def __exit__(self, *error: object) -> None:
        if self._program is not None:
            self._program.close()
            self._program = None

    def ask(self, **request: Any) -> dict[str, Any]:
        """As of `Program.ask`."""
        if self._program is None:
            self._program = Program(self._script)
        try:
            return self._program.ask(**request)
        except BaseException:
            self.__exit__()
            raise


class _Refused(Exception):
    """A file cannot be laid out."""


class _Layout:
    """Copies on their way: made of files, inspected, laid out."""

    def __init__(
        self,
        files: Sequence[File],
        store: str | None,
        work: Path,
        stores: Stores,
        copier: _Apart,
        tools: _Apart,
    ) -> None:
        self._known = {(file.store, file.path): file for file in files}
        self._stores, self._copier, self._tools = stores, copier, tools
        self._staged, self._made, self.result = work / "files", work / "made", work / "dandiset"
        self.copies: dict[str, DandiCopy] = {}
        self.left_out: list[tuple[str, str]] = []
        self._files: list[File] = []
        zarr = {file.folder for file in files if file.folder and os.path.basename(file.path) in zarrs.MARKS}
        for file in files:
            if store and file.store != store:
                continue
            if file.folder in zarr:
                why = "in a Zarr folder, which is not laid out; see `dandi organize`"
            elif not file.path.lower().endswith(".nwb"):
                why = "not an NWB file; media files are laid out with the files that lead to them"
            elif file.kind == "link":
                why = "only other files lead to it, and their copies have the data"
            else:
                self._files.append(file)
                self.copies[file.name] = DandiCopy(file.name)
                continue
            self.left_out.append((file.name, why))
        self._numbers = {file.name: number for number, file in enumerate(self._files)}

    def _place(self, file: File) -> Path:
        return self._made / f"{self._numbers[file.name]:06}.nwb"

    def _going(self) -> list[File]:
        """The files that were not refused."""
        return [file for file in self._files if not self.copies[file.name].refused]

    def _note(self, file: File, **changes: Any) -> None:
        self.copies[file.name] = replace(self.copies[file.name], **changes)

    def _each(self, step: Callable[[File], None], files: Iterable[File] | None = None) -> None:
        """Do a step for each file, and note those that it refuses."""
        for file in list(self._going() if files is None else files):
            try:
                step(file)
            except _Refused as error:
                self._note(file, refused=str(error))
            except Ended as error:
                self._note(file, refused=f"a library crashes on it: {error}")

    # ------------------------------------------------------------ copies

    def make(self, progress: Callable[[int], None] | None) -> None:
        """Copies of the files, with all data that links in them lead to."""
        wanted: dict[tuple[str, str], File] = {}
        self._each(lambda file: wanted.update({(one.store, one.path): one for one in self._reached(file)}))
        # media files get places of their own
        staged = [
            replace(file, links=tuple(link for link in file.links if link.kind != "external_file"))
            for file in wanted.values()
        ]
        copied = copy_files(staged, self._staged, self._stores, progress=progress)
        self._failed = {file.name: reason for file, reason in copied.failed}
        self._sums = read_sums(self._staged / SUMS)
        self._made.mkdir()
        self._each(self._make_one)

    def _reached(self, file: File) -> Iterator[File]:
        """A file and all that it leads to."""
        waiting, seen = [file], {(file.store, file.path)}
        while waiting:
            one = waiting.pop()
            if one.state != "ok" or one.unread:
                raise _Refused(f"{one.name}: {one.note or one.unread}")
            yield one
            for link in one.links:
                if link.kind == "external_file" and "://" in link.text:
                    continue
                target = self._known.get(link.target) if link.target else None
                if target is None:
                    raise _Refused(f"{link.at} of {one.name} leads to {link.text!r}, which is in no store")
                if (target.store, target.path) not in seen:
                    seen.add((target.store, target.path))
                    waiting.append(target)

    def _make_one(self, file: File) -> None:
        for one in self._reached(file):
            if one.name in self._failed:
                raise _Refused(f"{one.name}: {self._failed[one.name]}")
        source, place = self._staged / file.name, self._place(file)
        self._note(file, original_sha256=self._sums[file.name])
        request: dict[str, Any] = {"copy": str(place), "media": self._media(file, place)}
        if any(link.kind != "external_file" for link in file.links):
            request |= {"source": str(source), "top": str(self._staged)}
        else:
            _own(source, place)
        if "source" in request or request["media"]:
            answer = self._copier.ask(**request)
            if "refused" in answer:
                raise _Refused(answer["refused"])
            brought = answer.get("brought")
            told = (f"linked data need {', '.join(first(brought))} of their own file too",) if brought else ()
            self._note(file, compared=answer.get("datasets", 0), told=told)

    def _media(self, file: File, place: Path) -> dict[str, dict[str, str]]:
        """Own copies of the media files that a file leads to, and the names for them in its copy."""
        names: dict[str, dict[str, str]] = {}
        for number, link in enumerate(file.links):
            if link.kind != "external_file" or link.target is None:
                continue
            media = self._known[link.target]
            name = f"{place.stem}-media/{number}/{os.path.basename(media.path)}"
            to = self._made / name
            to.parent.mkdir(parents=True)
            _own(self._staged / media.name, to)
            names.setdefault(link.at, {})[link.text] = name
        return names

    # ------------------------------------------------------------ what DANDI requires

    def _ask(self, task: str, **request: Any) -> Any:
        answer = self._tools.ask(task=task, **request)
        if "error" in answer:
            raise _Refused(f"{task} of DANDI's tools: {answer['error']}")
        return answer["answer"]

    def inspect(self, fixes: Sequence[_Fix]) -> None:
        """What nwbinspector says, before and after what is to be changed."""
        self._about: dict[str, dict[str, Any]] = {}
        self._each(self._inspect_one)
        owners: dict[str, str] = {}
        for file in self._going():
            about = self._about[file.name]
            owner = owners.setdefault(about["object_id"], file.name)
            values = self._changes(file, fixes)
            if owner != file.name and any(fix.field == OBJECT_IDS for fix in fixes):
                values["object_id"] = str(uuid.uuid4())
            if values:
                self._each(partial(self._change, values), [file])
        self._sharing: dict[str, list[str]] = {}
        for file in self._going():
            self._sharing.setdefault(self._about[file.name]["object_id"], []).append(file.name)
        self._each(self._say_what_is_missing)

    def _inspect_one(self, file: File) -> None:
        self._about[file.name] = self._ask("inspect", path=str(self._place(file)))

    def _changes(self, file: File, fixes: Sequence[_Fix]) -> dict[str, str]:
        """The new values for the fields of the subject that nwbinspector complains of."""
        about, values = self._about[file.name], dict[str, str]()
        wrong = [one["id"] for one in about["said"] if one["severity"] == "CRITICAL"]
        for name, words in FIELDS.items():
            if not about["subject"] or not any(_is_about(check, name) for check in wrong):
                continue
            said = [fix for fix in fixes if fix.field == name and fix.subject in ("", about["subject_id"])]
            word = words.get(about[name].strip().lower(), "") if said else ""
            own = [fix.value for fix in said if fix.subject and fix.value]
            given = own or [fix.value for fix in said if fix.value]
            value = given[-1] if own else word or (given[-1] if given else "")
            if value:
                values[name] = value
        return values

    def _change(self, values: Mapping[str, str], file: File) -> None:
        before = self._ask("change", path=str(self._place(file)), values=values)
        self._note(
            file,
            changed=tuple(f"{name}: {before[name] or 'nothing'} -> {new}" for name, new in values.items()),
        )
        self._inspect_one(file)

    def _say_what_is_missing(self, file: File) -> None:
        about = self._about[file.name]
        said = tuple(Said("nwbinspector", **one) for one in about["said"])
        missing = [one.message for one in said if one.severity == "CRITICAL"]
        same = [name for name in self._sharing[about["object_id"]] if name != file.name]
        if same:
            missing.append(
                f"an object_id of its own: {', '.join(first(same))} has the same (fix: {OBJECT_IDS})"
            )
        self._note(file, said=said, missing=tuple(missing))

    # ------------------------------------------------------------ places

    def lay_out(self) -> None:
        """Give each copy its place, and say what `dandi validate` says of them there."""
        self._each(self._readable)
        self._tell_shared_names()
        self._told_apart: dict[tuple[str, ...], str] = {}
        self._each(self._twin)
        files, names = self._named()
        if not files:
            return
        inodes = {self._place(file).stat().st_ino: file for file in files}
        self.result.mkdir()
        try:
            self._ask("organize", paths=[str(self._place(file)) for file in files], to=str(self.result))
            said = self._ask("validate", folder=str(self.result))
        except (Ended, _Refused) as error:
            raise FilesError(f"Laying files out for DANDI: {error}") from error
        for path in sorted(self.result.rglob("*.nwb")):
            file, name = inodes[path.stat().st_ino], path.relative_to(self.result).as_posix()
            if names[file.name] != name:
                raise FilesError(
                    f"Laying files out for DANDI: {file.name} came to {name}, not {names[file.name]}."
                )
            own = self.copies[file.name]
            known = {(one.id, one.message) for one in own.said}
            more = tuple(
                Said("dandi validate", one["severity"], one["id"], one["message"])
                for one in said
                if one["path"] == name and (one["id"].removeprefix("NWBI."), one["message"]) not in known
            )
            self._note(file, path=name, said=own.said + more, sha256=_sha256(path))
        about = [asdict(copy) for copy in self.copies.values()]
        (self.result / LIST).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")

    def _readable(self, file: File) -> None:
        about = self._ask("metadata", path=str(self._place(file)))
        if not about["valid"]:
            raise _Refused("it has no subject_id, by which DANDI lays files out")
        media = self._made / f"{self._place(file).stem}-media"
        own = {path.relative_to(self._made).as_posix() for path in media.rglob("*") if path.is_file()}
        lost = sorted(own - set(about["media"]))
        if lost:
            raise _Refused(
                f"dandi organize would not take along {os.path.basename(lost[0])}, which it leads to"
            )

    def _tell_shared_names(self) -> None:
        """Tell of files with the same subject and session, which dandi tells apart by other marks."""
        sessions: dict[tuple[str, str], list[File]] = {}
        for file in self._going():
            about = self._about[file.name]
            sessions.setdefault((about["subject_id"], about["session_id"]), []).append(file)
        for (subject, session), files in sessions.items():
            for file in files if len(files) > 1 else ():
                others = ", ".join(first([one.name for one in files if one != file]))
                what = f"session {session}" if session else "no session_id"
                told = f"the same subject {subject} and {what} as {others}"
                self._note(file, told=(*self.copies[file.name].told, told))

    def _twin(self, file: File) -> None:
        """Refuse a file that nothing tells from an earlier one."""
        about = self._about[file.name]
        key = tuple(about[name] for name in ("object_id", "subject_id", "session_id"))
        known = self._told_apart.setdefault(key, file.name)
        if known != file.name:
            raise _Refused(
                f"{known} has the same object_id, subject and session, so nothing tells them apart"
                f" (fix: {OBJECT_IDS})"
            )

    def _named(self) -> tuple[list[File], dict[str, str]]:
        """The files with a place that any file system and DANDI can take, and these places."""
        while files := self._going():
            try:
                places = self._ask("names", paths=[str(self._place(file)) for file in files])
            except (Ended, _Refused) as error:
                raise FilesError(f"Laying files out for DANDI: {error}") from error
            names = dict(zip((file.name for file in files), places, strict=True))
            subjects = {
                names[file.name].split("/")[0]: self._about[file.name]["subject_id"] for file in files
            }
            odd = False
            for file in files:
                name, subject = names[file.name], self._about[file.name]["subject_id"]
                why = _why_not(name)
                first_one = subjects[name.split("/")[0]]
                if first_one != subject:
                    why = f"the subjects {subject!r} and {first_one!r} would share the folder {name.split('/')[0]}"
                if why:
                    odd = True
                    self._note(file, refused=why)
            if not odd:
                return files, names
        return [], {}


def _is_about(check: str, name: str) -> bool:
    return check.startswith(f"check_subject_{name}") or (
        name == "age" and check == "check_subject_proper_age_range"
    )


def _why_not(place: str) -> str:
    """Why a place in a dandiset is none; "" if it is.

    >>> _why_not("sub-1/sub-1.nwb"), _why_not("sub-1/../x.nwb")
    ('', "its name would be 'sub-1/../x.nwb'")
    """
    parts = place.split("/")
    fine = len(parts) == 2 and all(part.startswith("sub-") and part.isprintable() for part in parts)
    if fine and max(len(os.fsencode(part)) for part in parts) > LONGEST:
        return f"its name would be longer than {LONGEST} bytes"
    return "" if fine else f"its name would be {place!r}"


def _own(source: Path, place: Path) -> None:
    """A file of its own with the contents of another one, which may be the lab's by another name."""
    if source.stat().st_nlink == 1:
        os.link(source, place)
    else:
        shutil.copyfile(source, place)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
