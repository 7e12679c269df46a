"""Privacy: finds what a bundle reveals about people, machines, folders and rows outside of it.

In: a bundle with its dump. Out: `Finding` objects: columns and files with e-mail addresses, names, paths, addresses of
machines, dates of birth, and free text that a person must read; values in structure and statements, which can be about
rows that stayed at the lab. It loads the dump into a private server and looks at the distinct values and the structure.
It only points out what may be private; a person decides. `record` writes the places and numbers of findings into the
bundle for the report, but no values.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import atomic
from ..display import numbers_text, one_line
from ..dump.exclude import contents
from ..dump.hashes import INTEGER, UUID, Form
from ..dump.pseudonyms import Hashed, is_number, read_secret, with_pseudonyms
from ..errors import BundleError
from ..progress import counting
from ..rules import LEFT_OUT
from ..servers import backend_of
from ..servers.backend import Backend
from .firstrows import FIRST_ROWS_FILE, texts_of
from .folder import FILES, BundleFolder, server_for
from .guide import DUMP_FILE
from .manifest import FILE, now, schemas_of
from .reading import read_bytes
from .texts import INSPECTION_FILE, read_first_rows, refresh

EXAMPLES = 3
EXAMPLE_LENGTH = 80
VALUES = 200_000  # distinct values of a column that are looked at
LONG_TEXT = 60  # characters from which on a value counts as text, not as a label

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")
_PATH = re.compile(
    r"(?:^|[\s\"'=(,;{])(?:/(?:home|Users|mnt|media|data\d*|nas|net|srv|stor\w*|vol\w*|scratch|labs?|tmp|var|opt|root)"
    r"/[^\s\"']+|[A-Za-z]:[\\/][^\s\"']+|~/[^\s\"']+)"
)
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*://[^\s\"']+|\\\\[\w.-]+\\[^\s\"']+|(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
    r"|\b[\w-]+(?:\.[\w-]+)+\.(?:edu|org|com|net|local|lan|internal|gov|de|uk|fr|ch|nl|jp|cn|ca|au)\b"
)
_PHONE = re.compile(r"(?<![\w.])\+\d[\d\s()/-]{7,}\d(?![\w.])")
_PERSON = re.compile(
    r"^(?:(?:Dr|Prof|Mr|Ms|Mrs)\.? )?[A-ZÀ-Þ][a-zß-ÿ'\u2019-]+(?: [A-ZÀ-Þ]\.?| (?:van|von|de|der|den|la|el|bin))*"
    r" [A-ZÀ-Þ][\w'\u2019-]+$"
)
_SECRET = re.compile(
    r"(?:password|passwd|passphrase|pwd|secret|api_?key|access_?token)\w*[\"'\])]*\s*(?:=>?|:)\s*[^\s=]+",
    re.IGNORECASE,
)
# patterns of values, in order
_TELLS: Sequence[tuple[str, re.Pattern[str]]] = (
    ("e-mail address", _EMAIL),
    ("path", _PATH),
    ("address of a machine", _ADDRESS),
    ("telephone number", _PHONE),
)
_TELLS_IN_TEXT = (*_TELLS, ("secret", _SECRET))  # in SQL a tokenizer finds secrets
# patterns of column names
_COLUMNS: Sequence[tuple[str, re.Pattern[str]]] = (
    ("hidden column", re.compile(r"^_")),  # DataJoint stores there who made a row, and where
    ("secret", re.compile(r"(?:^|_)(?:password|passwd|passphrase|pwd|secret|token)(?:_|$)", re.IGNORECASE)),
    (
        "person",
        re.compile(
            r"(?:^|_)(?:user|username|login|full_?name|first_?name|last_?name|sur_?name|nick_?name|person|people|author"
            r"|owner|experimenter|experimenters|surgeon|operator|investigator|technician|member|contact|patient"
            r"|initials|e?mail)(?:_|$)",
            re.IGNORECASE,
        ),
    ),
    ("date of birth", re.compile(r"(?:^|_)(?:dob|birth\w*|date_of_birth)(?:_|$)", re.IGNORECASE)),
    (
        "identifier of a person or machine",
        re.compile(
            r"(?:^|_)(?:orcid|ssn|mrn|passport|host|hostname|ip|mac|serial_number)(?:_|$)", re.IGNORECASE
        ),
    ),
)


@dataclass(frozen=True)
class Finding:
    """Something that may reveal a person, a machine, a folder, or a row that is not in the bundle.

    Attributes
    ----------
    where : str
        Full table name and column; a table, view or function; or a file of the bundle and a place in it.
    what : str
        In values: ``e-mail address``, ``path``, ``address of a machine``, ``telephone number``, ``person``,
        ``date of birth``, ``identifier of a person or machine``, ``free text``, ``secret``, ``hidden column``,
        ``contents that were to be left out`` (the column holds something else than the manifest says),
        ``values without a pseudonym``, ``values that have pseudonyms elsewhere`` (a true value stands there, perhaps as
        another word). In
        structure: ``values of a type``, ``default``, ``condition``, ``generated column``, ``comments``,
        ``partitions``, ``view``, ``stored function``. In statements: ``values, about rows left out``,
        ``values, of an excluded column``, ``secret``, ``comment``. ``rows at the lab``: the bundle has their numbers.
        In environments: ``package of a folder or repository``, ``git commit``.
    values : int
        Number of distinct values.
    rows : int or None
        Number of rows with one of them; None in a file.
    examples : tuple of str
        Some of the values.
    """

    where: str
    what: str
    values: int
    rows: int | None
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """The result of `inspect_bundle`.

    Attributes
    ----------
    findings : tuple of Finding
    columns : int
        Number of text columns that were looked at.
    unread : tuple of str
        Columns of bytes, which were not looked at.
    cut : tuple of str
        Columns with too many distinct values to look at all.
    """

    findings: tuple[Finding, ...]
    columns: int
    unread: tuple[str, ...]
    cut: tuple[str, ...] = ()


def inspect_bundle(bundle: BundleFolder, progress: Callable[[int, int], None] | None = None) -> Inspection:
    """Load a bundle into a private server and look at its texts (`Bundle.inspect`)."""
    manifest = bundle.manifest
    with server_for(manifest) as private, contextlib.closing(private.connect()) as connection:
        bundle.load(connection)
        with counting("columns looked at", progress) as told:
            found = inspect_tables(connection, manifest, told)
        findings = [*found.findings, *_files(bundle), *_structure(connection, manifest)]
        findings += [*_pseudonyms(bundle, connection), *_statements(manifest, backend_of(connection))]
    return Inspection((*findings, *_totals(manifest)), found.columns, found.unread, found.cut)


def inspect_tables(
    connection: Any, manifest: Mapping[str, Any], progress: Callable[[int, int], None] | None = None
) -> Inspection:
    """Look at the texts in a server with the loaded slice."""
    texts, unread, backend = [], [], backend_of(connection)
    quote = backend.dialect.quote
    instead = contents(manifest)
    for table in manifest["tables"]:
        for column in table["columns"] if table["rows"] else ():
            held = backend.holds(column["type"])
            if held == "text" or _named(column["name"]):
                texts.append((table["name"], column["name"], column["type"]))
            elif held == "bytes":
                unread.append(f"{table['name']}.{quote(column['name'])}")
    findings: list[Finding] = []
    cut = []
    for done, (table, name, type_) in enumerate(texts, 1):
        where = f"{table}.{quote(name)}"
        # what stands in the place of contents tells nothing of them
        left_out = instead.get(table, {}).get(name)
        values = list(backend.values_of(connection, table, name, type_, left_out, VALUES + 1))
        if len(values) > VALUES:
            cut.append(where)
        if left_out is not None and values:
            findings.append(_finding(where, "contents that were to be left out", values))
        findings += _column(where, name, values)
        if progress is not None:
            progress(done, len(texts))
    return Inspection(tuple(findings), len(texts), tuple(unread), tuple(cut))


def record(bundle: BundleFolder, found: Inspection) -> None:
    """Write the places of findings into the folder of a bundle, and write its texts again.

    Raises
    ------
    BundleError
        If the folder cannot be written to.
    """
    about = {
        "created": now(),
        "columns": found.columns,
        "findings": [
            {"where": one.where, "what": one.what, "values": one.values, "rows": one.rows}
            for one in found.findings
        ],
        "unread": list(found.unread),
        "cut": list(found.cut),
    }
    try:
        text = json.dumps(about, indent=1) + "\n"
        atomic.write_beside(bundle.path / INSPECTION_FILE, text, FILE)
        refresh(bundle.path, bundle.manifest)
    except OSError as error:
        raise BundleError(f"Writing what was found into {bundle.path}: {error}") from error


def _named(column: str) -> str | None:
    return next((what for what, pattern in _COLUMNS if pattern.search(column)), None)


def _column(where: str, name: str, values: Sequence[tuple[str, int]]) -> Iterator[Finding]:
    values = [(text, count) for text, count in values if text.strip()]
    if not values:
        return
    named = _named(name)
    if named is not None:
        yield _finding(where, named, values)
    told: set[str] = set()
    for what, pattern in _TELLS_IN_TEXT:
        matches = [(text, count) for text, count in values if pattern.search(text)]
        if matches:
            told |= {text for text, _ in matches}
            if named is None or what != "e-mail address":
                yield _finding(where, what, matches)
    people = [(text, count) for text, count in values if _PERSON.match(text)]
    if named is None and len(people) * 2 > len(values):
        yield _finding(where, "person", people)
    long = [
        (text, count) for text, count in values if len(text) > LONG_TEXT and text not in told and " " in text
    ]
    if long:
        yield _finding(where, "free text", long)


def _finding(where: str, what: str, values: Sequence[tuple[str, int]]) -> Finding:
    found = _in_text(where, what, [text for text, _ in values])
    return replace(found, rows=sum(count for _, count in values))


def _in_text(where: str, what: str, values: Sequence[str]) -> Finding:
    """A finding in a file or a definition, which has no rows."""
    examples = tuple(one_line(text, EXAMPLE_LENGTH) for text in values[:EXAMPLES])
    return Finding(where, what, len(values), None, examples)


def _files(bundle: BundleFolder) -> Iterator[Finding]:
    """Findings in the bundle's own texts: values in captured statements, paths of files."""
    manifest = bundle.manifest
    statements = [s.get("captured", s["sql"]) for s in manifest["statements"]]
    yield from _texts("manifest.json: statements", statements)
    yield from _texts("manifest.json: problems", manifest["problems"])
    if "names" in manifest["server"]:
        where = "manifest.json: server"
        names = manifest["server"]["names"].split(", ")
        yield _finding(where, "address of a machine", [(name, 1) for name in names])
    yield from _texts("manifest.json: comments", _comments(manifest))
    yield from told_of(manifest["environments"])
    for one in manifest.get("code") or ():
        if one["state"] != "missing":
            yield from _texts(one["path"], [_text_of(bundle.path / one["path"])], _TELLS_IN_TEXT)
    rows = read_first_rows(bundle.path)
    if rows is not None:  # what the report shows of blobs, and what statements compute
        yield from _texts(FIRST_ROWS_FILE, texts_of(rows), _TELLS_IN_TEXT)
    paths = [f"{file['store']}/{file['path']}" for file in manifest.get("files") or ()]
    if paths:
        where = "manifest.json: files"
        yield _in_text(where, "path", list(dict.fromkeys(paths)))
        yield from _texts(where, paths)  # such as the name of a host in a path


def told_of(entries: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """What environments tell: packages that a lab made itself, commits of its code, and odd versions and channels."""
    where = "manifest.json: environments"
    for what, values in (
        ("package of a folder or repository", [name for entry in entries for name in entry["own"]]),
        (
            "git commit",
            [state["commit"] for entry in entries for one in entry["analyses"] for state in one["git"]],
        ),
    ):
        if values:
            yield _in_text(where, what, list(dict.fromkeys(values)))
    for entry in entries:
        conda = entry["conda"] or ()
        texts = [f"{name} {version}" for name, version in entry["packages"].items()]
        yield from _texts(where, [*texts, *(one["channel"] for one in conda)])


def _text_of(path: Path) -> str:
    return (read_bytes(path) or b"").decode("utf-8", "replace")


def _comments(manifest: Mapping[str, Any]) -> Iterator[str]:
    for table in manifest["tables"]:
        yield table["comment"]
        yield from (column["comment"] for column in table["columns"])


def _texts(
    where: str, texts: Iterable[str], tells: Sequence[tuple[str, re.Pattern[str]]] = _TELLS
) -> Iterator[Finding]:
    found: dict[str, dict[str, None]] = {}
    for text in texts:
        for what, pattern in tells:
            for match in pattern.finditer(text):
                found.setdefault(what, {})[match[0].strip(" \"'=(,;{")] = None
    for what, values in found.items():
        yield _in_text(where, what, list(values))


def _structure(connection: Any, manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Values in definitions of tables, views and functions, which can be about rows that are not here."""
    views = {view["name"] for view in manifest["views"]} | set(manifest["views_left_out"])
    tables = [table["name"] for table in manifest["tables"] if table["name"] not in views]
    for where, what, values in backend_of(connection).structure_texts(connection, tables):
        yield _in_text(where, what, values)


def _pseudonyms(bundle: BundleFolder, connection: Any) -> Iterator[Finding]:
    """Values that are no pseudonyms, and places that hold values which have some."""
    manifest, backend = bundle.manifest, backend_of(connection)
    quote, number = backend.dialect.quote, backend.number
    for table, columns in with_pseudonyms(manifest).items():
        for name, form in columns.items():
            other = f"FROM {table} WHERE NOT ({_is_pseudonym(quote(name), form, backend)})"
            if rows := number(connection, f"SELECT COUNT(*) {other}"):
                values = number(connection, f"SELECT COUNT(DISTINCT {quote(name)}) {other}")
                yield Finding(f"{table}.{quote(name)}", "values without a pseudonym", values, rows, ())
    held = {place["where"]: place["values"] for place in (manifest.get("pseudonyms") or {}).get("held", ())}
    held |= {where: len(values) for where, values in _true_values(bundle, connection).items()}
    for where, number_of_values in held.items():
        yield Finding(where, "values that have pseudonyms elsewhere", number_of_values, None, ())


def _is_pseudonym(column: str, form: Form, backend: Backend) -> str:
    """SQL for whether a value looks like a pseudonym. Each integer of the range does."""
    if form.kind == INTEGER:
        return f"{column} BETWEEN {form.least} AND {form.most}"
    if form.kind == UUID:  # of version 4, as the standard numbers them
        return backend.matches(column, "^[0-9A-F]{12}4[0-9A-F]{3}[89AB]", True)
    return backend.matches(column, f"^[0-9a-f]{{{form.digits}}}$", False)


def _true_values(bundle: BundleFolder, connection: Any) -> dict[str, set[str]]:
    """By column or file, the values whose pseudonyms are in the bundle; none without the key of the hash."""
    secret, columns = read_secret(), with_pseudonyms(bundle.manifest)
    if secret is None or not columns:
        return {}
    backend = backend_of(connection)
    known: dict[Form, set[str]] = {}
    found: dict[str, set[str]] = {}
    tables = backend.read_catalog(connection, schemas_of(bundle.manifest)).tables
    for table, each in columns.items():
        for name, form in each.items():
            known.setdefault(form, set()).update(backend.values_in(connection, [(tables[table], name)]))
    look = Hashed(secret, known)
    for one in bundle.manifest["tables"]:
        without = frozenset(name.lower() for name in columns.get(one["name"], ()))
        if one["rows"] and not tables[one["name"]].is_view:
            for name, text in backend.texts_in(connection, tables[one["name"]], without):
                if inside := look.inside(text):
                    found.setdefault(f"{one['name']}.{backend.dialect.quote(name)}", set()).update(inside)
    code = {one["path"] for one in bundle.manifest["code"]}
    for name in sorted({*FILES, *code} - {DUMP_FILE}):
        if inside := look.inside(_text_of(bundle.path / name), numbers=name in code):
            found[name] = inside
    for statement in bundle.manifest["statements"]:
        literals = backend.texts_of("; ".join((*statement.get("state", ()), statement["sql"]))).literals
        if inside := {each for text in literals for each in look.inside(text, numbers=not is_number(text))}:
            found.setdefault(FILE, set()).update(inside)
    return found


def _statements(manifest: Mapping[str, Any], backend: Backend) -> Iterator[Finding]:
    """Values in statements about rows or contents that were left out, and secrets and comments."""
    held = {number for one in manifest["excluded"] for number in one["held"]}
    found: dict[str, tuple[list[int], dict[str, None]]] = {}
    for one in manifest["statements"]:
        texts = backend.texts_of(one.get("captured", one["sql"]))
        stated = backend.texts_of("; ".join(one.get("state", ())))
        told = {
            "secret": (*texts.secrets, *stated.secrets),
            "values, about rows left out": (
                (*texts.literals, *stated.literals) if LEFT_OUT in one["marks"] else ()
            ),
            "values, of an excluded column": (
                (*stated.literals, *texts.literals, *texts.names, *texts.comments)
                if one["number"] in held
                else ()
            ),
            "comment": texts.comments,
        }
        for what, values in told.items():
            if values:
                numbers, every = found.setdefault(what, ([], {}))
                numbers.append(one["number"])
                every.update(dict.fromkeys(values))
    for what, (numbers, every) in found.items():
        where = f"manifest.json: statement{'' if len(numbers) == 1 else 's'} {numbers_text(numbers)}"
        yield _in_text(where, what, list(every))


def _totals(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Numbers of rows that are not here."""
    more = [table for table in manifest["tables"] if (table["total_rows"] or 0) > table["rows"]]
    if more:
        examples = tuple(f"{table['name']}: {table['total_rows']:,}" for table in more[:EXAMPLES])
        yield Finding("manifest.json: tables", "rows at the lab", len(more), None, examples)
