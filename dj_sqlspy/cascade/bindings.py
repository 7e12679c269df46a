"""Bindings: separates the results of a loop's statements after one query has returned all of them.

In: the literals of a statement, and its captured result. Out: the beginning of its rows in the common answer
(`batch.Batch.answers`), and whether the result is the same as then. It uses a literal only if servers certainly print
its value exactly so; a statement with any other literal needs its own query. It sends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..journal import Statement
from ..lineage.batch import Batch
from ..servers.results import Answer, digest_text, length_encoded
from ..servers.tables import Table
from ..shapes import Binding
from .keysets import Coder, Columns

# Digits that always fit into a 64-bit integer.
_DIGITS = 18


@dataclass(frozen=True)
class Expected:
    """The captured result of the statements of a binding.

    Attributes
    ----------
    first : bytes
        The beginning of their rows.
    rows : int
    digest : str or None
    """

    first: bytes
    rows: int
    digest: str | None

    def agrees(self, found: tuple[int, int] | None, empty: Answer | None) -> bool:
        """Whether the result is the same now.

        Parameters
        ----------
        found : (int, int) or None
            The number of their rows now, and the sum of the rows' hashes.
        empty : Answer or None
            The result of a statement that finds no row, unless it is empty.
        """
        now = sent(found, empty, ())
        return self.rows == now.rows and self.digest in (None, now.digest)


def sent(
    found: tuple[int, int] | None, empty: Answer | None, columns: Sequence[tuple[str, int, int]]
) -> Answer:
    """The answer to a binding."""
    if found is None and empty is not None:
        return empty
    rows, total = found or (0, 0)
    return Answer(rows, digest_text(total), tuple(columns))


def expected(binding: Binding, found: Batch, members: Sequence[Statement]) -> Expected | None:
    """The captured result of a binding; None if it, or the beginning of its rows, is unknown."""
    rows, digest = members[0].rows, members[0].digest
    if rows is None or any((s.rows, s.digest) != (rows, digest) for s in members):
        return None
    values = [printed(binding[place]) for place in found.order]
    if None in values:
        return None
    return Expected(b"".join(map(length_encoded, values)), rows, digest)


def printed(literal: str) -> bytes | None:
    """A literal as a server prints it from a column of its type; None if that is not certain.

    >>> printed("12"), printed("'it''s'"), printed("X'00ff'"), printed("'a\\\\b'")
    (b'12', b"it's", b'\\x00\\xff', None)
    """
    if literal[0] in "'\"":
        quote, inner = literal[0], literal[1:-1]
        return None if "\\" in inner else inner.replace(quote * 2, quote).encode("utf-8", "surrogateescape")
    if literal[0] in "xX":
        return bytes.fromhex(literal[2:-1]) if len(literal) % 2 else None
    return None if literal.startswith("0x") else literal.encode()


def keys_of(bindings: Sequence[Binding], point: Sequence[int], table: Table, coder: Coder) -> Columns | None:
    """The primary keys in the bindings of a loop; None if only the server can tell one of them."""
    columns = [[binding[place] for binding in bindings] for place in point]
    if not bindings or not all(map(_told, columns)):
        return None
    return coder.read(table, list(zip(*columns, strict=True)))


def _told(texts: Sequence[str]) -> bool:
    """Whether all texts are integers in the form of both Python and the server."""
    together = "".join(texts)
    return together.isascii() and together.isdecimal() and max(map(len, texts)) <= _DIGITS
