"""Excel: rows as a sheet of a workbook.

In: names of columns, and rows of texts and numbers. Out: an ``.xlsx`` file, or `NotHeld` where Excel cannot hold them.
No more than one row is in memory. Texts stay texts, whatever they begin with. It needs the extra ``excel``
(XlsxWriter).

An exact number with more digits than Excel keeps, and any that is too large or too small for it, is a text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError, FileSizeError

MOST_ROWS, MOST_COLUMNS, MOST_CHARACTERS = (
    1_048_576,
    16_384,
    32_767,
)  # Microsoft, "Excel specifications and limits"
MOST_DIGITS = 15
_SMALLEST, _LARGEST = 2.2251e-308, 9.99999999999999e307


class NotHeld(Exception):
    """Excel cannot hold something; the text says what."""


class Sheet:
    """A sheet that is written row by row.

    Parameters
    ----------
    file : binary file
    folder : Path
        For temporary files.
    names : sequence of str
        Of the columns.

    Raises
    ------
    NotHeld
    """

    def __init__(self, file: BinaryIO, folder: Path, names: Sequence[str]) -> None:
        if len(names) > MOST_COLUMNS:
            raise NotHeld(f"it has {len(names):,} columns, and a sheet has {MOST_COLUMNS:,}")
        options = {"constant_memory": True, "tmpdir": str(folder)}
        self._book = xlsxwriter.Workbook(file, options)
        self._sheet = self._book.add_worksheet("rows")
        self._names, self._next = names, 0
        self.add(names)

    def add(self, cells: Sequence[Any]) -> None:
        """Write a row: numbers, texts, and None for an empty cell."""
        if self._next == MOST_ROWS:
            raise NotHeld(
                f"it has more than {MOST_ROWS - 1:,} rows, and a sheet has {MOST_ROWS:,} with the names"
            )
        for place, cell in enumerate(cells):
            if isinstance(cell, float):
                self._sheet.write_number(self._next, place, cell)
            elif cell is not None:
                if why := _not_held(cell):
                    where = (
                        f"row {self._next} of {self._names[place]}" if self._next else "the name of a column"
                    )
                    raise NotHeld(f"{where} has {why}")
                self._sheet.write_string(self._next, place, cell)
        self._next += 1

    def close(self) -> None:
        """Write the file."""
        try:
            self._book.close()
        except FileSizeError as error:
            raise NotHeld("it has more than 4 GB") from error
        except FileCreateError as error:
            raise OSError(str(error)) from error


def number(text: str, is_float: bool) -> str | float:
    """A number as Excel can hold it: a text where it would lose digits.

    >>> number("2.50", False), number("9007199254740993", False), number("1e308", True), number("0", True)
    (2.5, '9007199254740993', '1e308', 0.0)
    """
    value = float(text)
    if value and not _SMALLEST <= abs(value) <= _LARGEST:
        return text
    digits = text.lstrip("-").replace(".", "").lstrip("0")
    return value if is_float or len(digits) <= MOST_DIGITS else text


def _not_held(text: str) -> str:
    """What of a text Excel cannot hold; "" if nothing.

    >>> _not_held("=1+1\\n"), _not_held("a\\0")
    ('', 'the control character U+0000')
    """
    if len(text) > MOST_CHARACTERS // 2:  # else it has fewer units of UTF-16
        size = len(text.encode("utf-16-le", "surrogatepass")) // 2
        if size > MOST_CHARACTERS:
            return f"{size:,} characters, and a cell has {MOST_CHARACTERS:,}"
    if text.isprintable():
        return ""
    for one in text:
        if one in "\t\n":
            continue
        kind = unicodedata.category(one)
        if kind == "Cc":
            return f"the control character U+{ord(one):04X}"
        if kind == "Cs" or one in "\ufffe\uffff":
            return f"U+{ord(one):04X}, which is no character of a text"
    return ""
