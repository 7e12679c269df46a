"""Bindings: what tells the results of a loop's statements apart where they are asked for together.

In: the literals of a statement, and what it returned. Out: how the rows of its result begin in the answer to all
(`batch.Batch.answers`), and whether they are what they were. A literal counts only if servers surely print the value
as it stands there; a statement with another one is asked for alone. It asks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..journal import Statement
from ..lineage.batch import Batch
from ..servers.mysql.wire import digest_text, first_values
from ..servers.results import Answer
from ..servers.tables import Table
from ..shapes import Binding
from .keysets import Coder, Columns

# Digits that a 64-bit integer surely has room for.
_DIGITS = 18


@dataclass(frozen=True)
class Expected:
    """What the statements of a binding returned.

    Attributes
    ----------
    first : bytes
        How rows of theirs begin.
    rows : int
    digest : str or None
    """

    first: bytes
    rows: int
    digest: str | None

    def agrees(self, found: tuple[int, int] | None, empty: Answer | None) -> bool:
        """Whether they return the same now.

        Parameters
        ----------
        found : (int, int) or None
            Their rows now, and the sum of the rows' hashes.
        empty : Answer or None
            What a statement returns that finds no row, if that is not nothing.
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
    """What the statements of a binding returned; None if that is not known, or how their rows begin."""
    rows, digest = members[0].rows, members[0].digest
    if rows is None or any((s.rows, s.digest) != (rows, digest) for s in members):
        return None
    values = [printed(binding[place]) for place in found.order]
    if None in values:
        return None
    return Expected(first_values([value for value in values if value is not None]), rows, digest)


def printed(literal: str) -> bytes | None:
    """A literal as a server prints it from a column of its type; None where that is not sure.

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
    """The primary keys that bindings of a loop are; None where that of one of them takes the server to tell."""
    columns = [[binding[place] for binding in bindings] for place in point]
    if not bindings or not all(map(_told, columns)):
        return None
    return coder.read(table, list(zip(*columns, strict=True)))


def _told(texts: Sequence[str]) -> bool:
    """Whether all of these are integers as Python and the server write them."""
    together = "".join(texts)
    return together.isascii() and together.isdecimal() and max(map(len, texts)) <= _DIGITS
