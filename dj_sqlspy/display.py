"""Display: small texts, and tables for a terminal and a notebook.

In: numbers, texts, rows of cells. Out: text for a person. Text is escaped for HTML, and control characters are written
out for a terminal.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from markupsafe import Markup

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

# DataJoint's colours of the tiers: for drawings, and for names in a terminal
COLOURS = {
    "manual": ("#00c000", "green"),
    "lookup": ("#808080", "default"),
    "imported": ("#5050c0", "blue"),
    "computed": ("#d04040", "red"),
    "hidden": ("#b09000", "yellow"),
}
SQL_SHOWN = 200
# How many of a list are named; the others are counted.
SHOWN = 10

T = TypeVar("T")

# Control characters except newline and tab, line separators, direction marks and surrogates.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)

_STYLE = "text-align:left;padding:2px 12px 2px 0"
_NUMBER = "text-align:right;padding:2px 12px 2px 0;font-variant-numeric:tabular-nums"


def visible(text: str) -> str:
    r"""The text with its control characters, except newlines and tabs, written out.

    >>> print(visible("a\x1b[31m\r\nb\u202e"))
    a\x1b[31m
    b\u202e
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return _HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def size_text(count: float) -> str:
    """A number of bytes in words.

    >>> size_text(512), size_text(2048), size_text(5_000_000)
    ('512 B', '2.0 KB', '4.8 MB')
    """
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GB"


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "table"), count(1200, "table")
    ('1 table', '1,200 tables')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def one_line(text: str, length: int = SQL_SHOWN) -> str:
    """A text on one line, cut at the end if it is too long."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= length else f"{line[:length]} …"


def short(sql: str, length: int = 160) -> str:
    """A statement on one line, cut in the middle if it is too long."""
    line = visible(" ".join(sql.split()))
    return line if len(line) <= length else f"{line[: length * 2 // 3]} … {line[-length // 3 :]}"


def first(items: Sequence[T], text: Callable[[T], str] = str, most: int = SHOWN) -> list[str]:
    """The texts of the first items, and how many more there are.

    >>> first([1, 2], most=2), first([1, 2, 3, 4], most=2)
    (['1', '2'], ['1', '2', 'and 2 more'])
    """
    more = [f"and {len(items) - most:,} more"] if len(items) > most else []
    return [*map(text, items[:most]), *more]


def time_text(when: datetime | None) -> str:
    """A time in the local time zone."""
    return "" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M}"


def numbers_text(numbers: Sequence[int], most: int = SHOWN) -> str:
    """The first of some numbers, and whether there are more.

    >>> numbers_text([1, 2]), numbers_text([1, 2, 3], most=2)
    ('1, 2', '1, 2, …')
    """
    return ", ".join(map(str, numbers[:most])) + (", …" if len(numbers) > most else "")


@dataclass(frozen=True)
class Visible:
    """A rich renderable whose control characters are written out, so that no terminal obeys them."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        for segment in console.render(self.inner, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def as_text(lines: Iterable[RenderableType], width: int = 100) -> str:
    """What a terminal of some width would show, without colours."""
    out = io.StringIO()
    # imported here: the capture, which every analysis imports, does not need rich
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, width=width, color_system=None, legacy_windows=False)
    for line in lines:
        console.print(Visible(line), soft_wrap=isinstance(line, Text))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def html_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = (1, 2)
) -> Markup:
    """An HTML table; cells are escaped unless they are `Markup`."""

    def cells(tag: str, texts: Sequence[str]) -> Markup:
        cell = Markup(f'<{tag} style="{{}}">{{}}</{tag}>')
        styles = (_NUMBER if i in numbers else _STYLE for i in range(len(texts)))
        return Markup("").join(cell.format(style, text) for style, text in zip(styles, texts, strict=True))

    body = Markup("").join(Markup("<tr>{}</tr>").format(cells("td", row)) for row in rows)
    table = Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>")
    return table.format(cells("th", headings), body)
