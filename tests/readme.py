"""The commands and programs of README.md and of docs/, with the output that stands under them.

In: a page. Out: its examples, and whether what they print is what the page says. A line or a part of a line
that is ``…`` there stands for any text; seconds and runs of spaces are not compared. Only the standard library
is used.

    make demo | tee log; python3 tests/readme.py log "make demo"
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"

# Blocks of a page that are run; those whose output is compared. All others only show something.
RUN = ("console", "bash", "python", "ipython")
CHECKED = ("console", "python", "ipython")
SHOWN = ("text", "json", "ini", "sql", "yaml")


@dataclass(frozen=True)
class Example:
    """A command or a Python program, and what it prints."""

    language: str  # one of RUN, or "file" for a Python block that is a file
    source: str
    output: str


def examples(text: str) -> list[Example]:
    """All examples: ``$ commands`` of console blocks; python blocks, each with the text block that follows it."""
    found: list[Example] = []
    followed = None  # where the last block ends, if a text block behind it is its output
    for block in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        language, body = block.groups()
        if language == "console":
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                found.append(Example(language, command, output))
        elif language == "python" and re.match(r"# \S+\.py$", body, re.MULTILINE):
            found.append(Example("file", body, ""))
        elif language in RUN:
            found.append(Example(language, body, ""))
        elif language == "text" and followed is not None and not text[followed : block.start()].strip():
            found[-1] = Example(found[-1].language, found[-1].source, body)
        followed = block.end() if language in ("python", "ipython") else None
    return found


def example(command: str) -> Example:
    """The example of README.md with this command."""
    return next(e for e in examples(README.read_text(encoding="utf-8")) if e.source == command)


def differs(expected: str, printed: str) -> str | None:
    """None if the text is as expected; else the first line of README.md that is not found, and where."""
    lines = [_plain(line) for line in printed.strip().splitlines()]
    position, anywhere = 0, False
    for line in map(_plain, expected.strip().splitlines()):
        if line == "…":
            anywhere = True
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        places = range(position, len(lines) if anywhere else min(position + 1, len(lines)))
        place = next((p for p in places if pattern.fullmatch(lines[p])), None)
        if place is None:
            got = "\n".join(lines[position : position + 5]) or "(nothing more)"
            return f"README.md says:\n{line}\nand there came:\n{got}"
        position, anywhere = place + 1, False
    if position < len(lines) and not anywhere:
        return "README.md says nothing more, and there came:\n" + "\n".join(lines[position : position + 5])
    return None


def _plain(line: str) -> str:
    line = re.sub(r"\b\d+(\.\d+)?(?= s\b)|(?<=[a-z] )\d+\.\d$|(?<=[a-z] )\d+\.\d(?=,)", "N", line)
    return re.sub(r"\s+", " ", line).strip()


def main(arguments: Sequence[str]) -> int:
    """Compare a log with what README.md says under a command."""
    log, command = arguments
    problem = differs(example(command).output, Path(log).read_text(encoding="utf-8"))
    print(problem or f"README.md shows what `{command}` prints.")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
