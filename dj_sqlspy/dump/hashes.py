"""Hashes: what stands in the place of a value that has a pseudonym.

In: the key of the hash and a value, as text. Out: its pseudonym, as text. For a text it is the beginning of the
HMAC-SHA-256, in hexadecimal digits. For a UUID it is a UUID of the HMAC's first bytes. For an integer it is another
integer of the column's range: a keyed permutation, so that no two have one pseudonym, however small the range is. It
reads no table.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TEXT, INTEGER, UUID = "text", "integer", "uuid"
_ROUNDS = 10  # of the permutation, as in FF1
_BYTES = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "integer": 4, "bigint": 8}


@dataclass(frozen=True)
class Form:
    """What the pseudonyms of a family look like.

    Attributes
    ----------
    kind : str
        ``"text"``, ``"integer"`` or ``"uuid"``.
    digits : int
        Hexadecimal digits, of a text.
    least, most : int
        The integers that all columns can hold.
    """

    kind: str
    digits: int = 0
    least: int = 0
    most: int = 0

    def pseudonym(self, secret: bytes, value: str) -> str:
        """What stands in the place of a value.

        >>> secret = b"a key of the lab, not of a reader"
        >>> Form("text", digits=12).pseudonym(secret, "Ada")
        'be762d6e32d3'
        >>> sorted(int(Form("integer", least=-8, most=7).pseudonym(secret, str(n))) for n in range(-8, 8))
        [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7]
        """
        if self.kind == INTEGER:
            number = int(value)
            if number < 0:  # a negative number stays one
                return str(-1 - _permuted(secret, -1 - number, -self.least))
            return str(_permuted(secret, number, self.most + 1))
        digest = hmac.new(secret, value.encode(), hashlib.sha256)
        if self.kind == UUID:
            return str(uuid.UUID(bytes=digest.digest()[:16], version=4))
        return digest.hexdigest()[: self.digits]

    def holds(self, value: str) -> bool:
        """Whether all columns of the family can hold a value."""
        return self.kind != INTEGER or self.least <= int(value) <= self.most

    def sent(self, value: str) -> tuple[bytes, ...]:
        """A value as servers send it: a UUID as bytes, or as a text where it is a type (PostgreSQL)."""
        return (uuid.UUID(value).bytes, value.encode()) if self.kind == UUID else (value.encode(),)

    def entry(self) -> dict[str, Any]:
        """What the manifest says of it."""
        if self.kind == TEXT:
            return {"digits": self.digits}
        return {"range": [self.least, self.most]} if self.kind == INTEGER else {"uuid": True}

    @property
    def words(self) -> str:
        """It in words.

        >>> Form("text", digits=16).words, Form("integer", least=0, most=255).words
        ('pseudonyms of 16 hexadecimal digits', 'pseudonyms from 0 to 255')
        """
        if self.kind == TEXT:
            return f"pseudonyms of {self.digits} hexadecimal digits"
        return (
            f"pseudonyms from {self.least} to {self.most}" if self.kind == INTEGER else "UUIDs as pseudonyms"
        )


def form_of(entry: Mapping[str, Any]) -> Form:
    """The form that a manifest tells of."""
    if "range" in entry:
        return Form(INTEGER, least=entry["range"][0], most=entry["range"][1])
    return Form(UUID) if entry.get("uuid") else Form(TEXT, digits=entry["digits"])


def range_of(data_type: str, column_type: str) -> tuple[int, int]:
    """The least and the greatest integer that a column holds.

    >>> range_of("tinyint", "tinyint(3) unsigned"), range_of("smallint", "smallint")
    ((0, 255), (-32768, 32767))
    """
    values = 1 << 8 * _BYTES[data_type]
    return (0, values - 1) if "unsigned" in column_type.lower() else (-values // 2, values // 2 - 1)


def _permuted(secret: bytes, value: int, size: int) -> int:
    """Another one of the numbers below ``size``, no two of which become the same.

    A Feistel network as in FF1 (NIST SP 800-38G), with HMAC-SHA-256 as its round function. It permutes a power of two,
    so a result that is too large goes through it again until it is not (Black and Rogaway, "Ciphers with arbitrary
    finite domains", 2002).
    """
    bits = max(1, (size - 1).bit_length())
    low, high = bits // 2, bits - bits // 2
    while True:
        left, right, width, other = value >> low, value & (1 << low) - 1, high, low
        for number in range(_ROUNDS):
            text = b"%d:%d:%d:%d" % (size, number, other, right)
            hashed = int.from_bytes(hmac.digest(secret, text, "sha256"), "big")
            left, right, width, other = right, (left + hashed) & (1 << width) - 1, other, width
        value = left << low | right
        if value < size:
            return value
