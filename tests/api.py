"""docs/reference.md: every public name and every command, from the docstrings and from the parser of the command line.

In: the package. Out: `page`, the text of docs/reference.md. Docstrings are numpydoc; what they say is put into
Markdown, and nothing is added.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

import dj_sqlspy as sqlspy
from dj_sqlspy import errors
from dj_sqlspy.bundle import about, privacy
from dj_sqlspy.cli.main import _parser
from dj_sqlspy.external import File, Row, copies
from dj_sqlspy.external.stores import Stores
from dj_sqlspy.journal import Statement
from dj_sqlspy.journal.runs import Analysis
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.replay.verify import Verification
from dj_sqlspy.servers.tables import ForeignKey
from dj_sqlspy.slices import Slice, StatementReport, TableSlice

SECTIONS: Sequence[tuple[str, Sequence[tuple[str, Any]]]] = (
    (
        "Capture",
        [
            (f"sqlspy.{name}", getattr(sqlspy, name))
            for name in ("export", "start_export", "stop_export", "paused")
        ]
        + [("Session", sqlspy.Session), ("Statement", Statement)],
    ),
    (
        "Papers and slices",
        [
            *((f"sqlspy.{name}", getattr(sqlspy, name)) for name in ("papers", "Paper")),
            ("Analysis", Analysis),
            ("sqlspy.slice", sqlspy.slice),
            ("Slice", Slice),
            ("TableSlice", TableSlice),
            ("StatementReport", StatementReport),
            ("ForeignKey", ForeignKey),
        ],
    ),
    (
        "Bundles",
        [
            ("Bundle", Bundle),
            ("sqlspy.check_open_copy", sqlspy.check_open_copy),
            ("Verification", Verification),
            ("Inspection", privacy.Inspection),
            ("Finding", privacy.Finding),
        ],
    ),
    (
        "Files",
        [
            ("File", File),
            ("Row", Row),
            ("dj_sqlspy.files.copies.copy_files", copies.copy_files),
            ("Copied", copies.Copied),
            ("dj_sqlspy.files.copies.file_list", copies.file_list),
            ("dj_sqlspy.files.stores.Stores", Stores),
        ],
    ),
)
HEADINGS = ("Parameters", "Returns", "Yields", "Raises", "Attributes", "Examples", "Notes")


def page() -> str:
    """The text of docs/reference.md."""
    parts = [
        "# Reference\n\nMade from the docstrings by `tests/api.py`; a test keeps it current. `sqlspy` is `dj_sqlspy`."
        " The tables\nof a log that several people share, `Export` and `ExportSelection`, are in"
        " [capture.md](capture.md) and\n[coming-from-spyglass.md](coming-from-spyglass.md).\n"
    ]
    for title, members in SECTIONS:
        parts.append(f"## {title}\n")
        for name, member in members:
            parts += _entry(name, member)
    parts.append("## Errors\n\n" + "".join(_errors()))
    parts.append(f"## What is said of the paper\n\n{_text(inspect.getdoc(about) or '')}")
    parts.append("## Commands\n")
    parts += _commands()
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _entry(name: str, member: Any) -> Iterator[str]:
    if not inspect.isclass(member):
        yield f"### `{name}{_signature(member)}`\n\n{_doc(member)}"
        return
    made = name.startswith(("sqlspy.", "dj_sqlspy.")) or name == "Bundle"  # others are handed out
    yield f"### `{name}{_signature(member) if made else ''}`\n\n{_doc(member)}"
    for key, value in vars(member).items():
        if key.startswith("_"):
            continue
        if isinstance(value, property) or type(value).__name__ == "cached_property":
            function = value.fget if isinstance(value, property) else value.func  # type: ignore[attr-defined]
            kind = f": {_annotation(inspect.signature(function).return_annotation)}"
            yield f"#### `{_short(name)}.{key}{kind}`\n\n{_doc(function)}"
        elif inspect.isfunction(value) and value.__doc__:
            yield f"#### `{_short(name)}.{key}{_signature(value)}`\n\n{_doc(value)}"


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _annotation(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "__name__", str(value))


def _signature(member: Any) -> str:
    try:
        signature = inspect.signature(member)
    except (TypeError, ValueError):
        return ""
    shown = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    text = str(inspect.Signature(shown))
    returns = signature.return_annotation
    if inspect.isclass(member) or returns in (inspect.Signature.empty, None, "None"):
        return text
    return f"{text} -> {_annotation(returns)}"


def _doc(member: Any) -> str:
    lines = (inspect.getdoc(member) or "").splitlines()
    sections: list[tuple[str, list[str]]] = [("", [])]
    for number, line in enumerate(lines):
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if line in HEADINGS and re.fullmatch("-+", below):
            sections.append((line, []))
        elif not (re.fullmatch("-+", line) and sections[-1][0] and not sections[-1][1]):
            sections[-1][1].append(line)
    parts = []
    for heading, body in sections:
        text = "\n".join(body).strip("\n")
        if not text:
            continue
        if heading == "Examples":
            text = f"```text\n{re.sub(r'  # doctest: .*', '', text)}\n```"
        elif heading and heading != "Notes":
            text = _listed(text)
        else:
            text = _text(text)
        parts.append(f"*{heading}*\n\n{text}" if heading else text)
    return "\n\n".join(parts)


def _listed(text: str) -> str:
    """A list of parameters or the like: ``name : type``, then what it is, further in."""
    out: list[str] = []
    for line in text.splitlines():
        if line and not line.startswith(" "):
            name, _, kind = line.partition(" : ")
            out.append(f"- **`{name}`**" + (f" ({_marks(kind)})" if kind else ""))
        elif line.strip():
            said = "`**: " in out[-1] or "): " in out[-1]
            out[-1] += ("\n  " if said else ": ") + _marks(line.strip())
    return "\n".join(out)


def _text(text: str) -> str:
    """Paragraphs; tables and what is set in are shown as they stand."""
    parts = []
    for paragraph in text.split("\n\n"):
        if re.search(r"^={3,}", paragraph, re.MULTILINE) or all(
            line.startswith(" ") for line in paragraph.splitlines()
        ):
            parts.append(f"```text\n{inspect.cleandoc(paragraph)}\n```")
        else:
            parts.append(_marks(paragraph.replace("::", ":") if paragraph.endswith("::") else paragraph))
    return "\n\n".join(parts)


def _marks(text: str) -> str:
    """Double backticks of numpydoc as single ones, but around backticks."""
    return re.sub(r"``(.+?)``(?!`)", lambda m: f"`` {m[1]} ``" if "`" in m[1] else f"`{m[1]}`", text)


def _errors() -> Iterator[str]:
    for name, member in vars(errors).items():
        if inspect.isclass(member) and issubclass(member, errors.SpyError):
            first = (inspect.getdoc(member) or "").split("\n\n")[0]
            yield f"- `{name}`: {_marks(' '.join(first.split()))}\n"


def _commands() -> Iterator[str]:
    parser = _parser()
    yield f"`dj-sqlspy [--home DIR] COMMAND …`: {parser.description}\n"
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        shown = [action for action in command._actions if action.dest != "help"]
        places = [a for a in shown if not a.option_strings]
        options = ["[options]"] if len(places) < len(shown) else []
        behind = ["[OPTIONS OF THE CLIENT]"] if command.get_default("for_client") else []
        usage = " ".join([name, *options, *map(_place, places), *behind])
        yield f"### `dj-sqlspy {usage}`\n\n{_sentence(command.description or '')}\n"
        lines = [f"- `{_option(action)}`: {action.help}" for action in shown if action.help]
        if lines:
            yield "\n".join(lines) + "\n"


def _place(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest.upper())
    if action.nargs == argparse.REMAINDER:
        return f"[{name} …]" if name != "PROGRAM" else f"{name} …"
    return {"?": f"[{name}]", "+": f"{name} …"}.get(str(action.nargs), name)


def _option(action: argparse.Action) -> str:
    if not action.option_strings:
        return _place(action)
    value = ""
    if action.choices is not None:
        value = " {" + ",".join(map(str, action.choices)) + "}"
    elif action.nargs != 0:
        value = f" {action.metavar or action.dest.upper()}"
    return ", ".join(action.option_strings) + value


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
