"""Collations: the equivalent of a collation on the other server, so that comparisons and order stay the same.

In: the name of a collation and two flavors. Out: equivalents on the other flavor, the best first. Equivalents agree on
padding (``'a' = 'a '`` or not), case and accents. For rules of languages they also agree on the words of
``tests/test_collations.py``, which compares all collations on real servers. It asks no server: `restore.sh` finds out
which of the names a server has.
"""

from __future__ import annotations

from typing import Literal

Flavor = Literal["mysql", "mariadb"]

NAMES: dict[str, str] = {"mysql": "MySQL", "mariadb": "MariaDB"}

# Languages for which UCA 9.0 of MySQL and UCA 14.0 of MariaDB find the same texts equal and sort them alike. They do
# not for other languages (Swedish, Danish, Latvian …), although MariaDB from 11.4 on has MySQL's names.
_LANGUAGES: dict[str, str] = {
    "cs": "czech",
    "eo": "esperanto",
    "es": "spanish",
    "es_trad": "spanish2",
    "et": "estonian",
    "hu": "hungarian",
    "pl": "polish",
    "ro": "romanian",
}
# Languages for which they agree only if accents and case are ignored.
_ROUGHLY: dict[str, str] = {"de_pb": "german2", "tr": "turkish", "vi": "vietnamese"}
# Languages for which they do not agree.
_OTHERS: dict[str, str] = {
    "da": "danish",
    "hr": "croatian",
    "is": "icelandic",
    "la": "roman",
    "lt": "lithuanian",
    "lv": "latvian",
    "sk": "slovak",
    "sl": "slovenian",
    "sv": "swedish",
}


def _pairs() -> list[tuple[str, str]]:
    """Pairs of equal collations: MySQL's, MariaDB's."""
    out = [("utf8mb4_0900_bin", "utf8mb4_nopad_bin")]
    for strength in ("ai_ci", "as_ci", "as_cs"):
        out.append((f"utf8mb4_0900_{strength}", f"utf8mb4_uca1400_nopad_{strength}"))
    for strength in ("ai_ci", "as_cs"):
        languages = _LANGUAGES | (_ROUGHLY if strength == "ai_ci" else {})
        for code, language in languages.items():
            out.append((f"utf8mb4_{code}_0900_{strength}", f"utf8mb4_uca1400_{language}_nopad_{strength}"))
    return out


_TO_MARIADB = dict(_pairs())
_TO_MYSQL = {maria: mysql for mysql, maria in _pairs()}

# For a padding UCA collation, UCA 5.2 is the nearest in MySQL. For one that does not pad, it is the nearest in MariaDB
# before 10.10. The same letters are equal in it, except for these.
NEARLY = "but for soft hyphens and a Ukrainian letter (U+0456, U+0457), and sorts symbols otherwise"
_UNICODE_520 = "unicode_520_ci"

# Names that both have with different meanings.
_UNLIKE = frozenset({"big5_chinese_ci"})

_CROATIAN = "croatian_mysql561_ci"  # MariaDB's name of MySQL's croatian_ci


def becomes(collation: str, source: Flavor, target: Flavor) -> tuple[str, ...]:
    """Equivalents of a collation on another flavor, the best first; none if there is no equal one.

    >>> becomes("utf8mb4_0900_ai_ci", "mysql", "mariadb")
    ('utf8mb4_0900_ai_ci', 'utf8mb4_uca1400_nopad_ai_ci', 'utf8mb4_unicode_520_nopad_ci')
    >>> becomes("utf8mb4_uca1400_ai_ci", "mariadb", "mysql")
    ('utf8mb4_unicode_520_ci',)
    >>> becomes("utf8mb4_uca1400_as_cs", "mariadb", "mysql")
    ()
    """
    if source == target:
        return (collation, *(_older(collation) if source == "mariadb" else ()))
    charset, _, kind = collation.partition("_")
    if target == "mariadb":
        if collation in _TO_MARIADB:
            near = ("utf8mb4_unicode_520_nopad_ci",) if kind == "0900_ai_ci" else ()
            return (collation, _TO_MARIADB[collation], *near)
        known = "_0900_" not in collation and charset != "gb18030" and collation != "utf8mb3_tolower_ci"
        return (collation,) if known and collation not in _UNLIKE else ()
    if collation in _TO_MYSQL:
        return (_TO_MYSQL[collation],)
    if kind == "uca1400_ai_ci":
        return (f"{charset}_{_UNICODE_520}",)
    if collation == "utf8mb4_unicode_520_nopad_ci":
        return ("utf8mb4_0900_ai_ci",)
    if kind == _CROATIAN:
        return (f"{charset}_croatian_ci",)
    if "_0900_" in collation:
        return (collation,) if collation in _TO_MARIADB else ()
    known = not any(word in kind for word in ("nopad", "1400", "thai_520_w2", "myanmar"))
    return (collation,) if known and collation not in _UNLIKE else ()


def _older(collation: str) -> tuple[str, ...]:
    """The equivalent of a collation in older MariaDB versions."""
    charset, _, kind = collation.partition("_")
    if kind in ("uca1400_ai_ci", "uca1400_nopad_ai_ci"):
        return (f"{charset}_unicode_520_{'nopad_' if 'nopad' in kind else ''}ci",)
    if "_0900_" in collation:  # MariaDB's own rules under MySQL's name
        language, _, strength = kind.rpartition("0900_")
        word = (_LANGUAGES | _ROUGHLY | _OTHERS).get(language.rstrip("_"), "")
        own = f"utf8mb4_uca1400_{word}_nopad_{strength}"
        return (_TO_MARIADB.get(collation, own),) if word or collation in _TO_MARIADB else ()
    return ()


def is_near(collation: str, other: str) -> bool:
    """Whether a collation and its equivalent differ only in the characters of `NEARLY`.

    >>> is_near("utf8mb4_uca1400_ai_ci", "utf8mb4_unicode_520_ci"), is_near("utf8mb4_bin", "utf8mb4_bin")
    (True, False)
    """
    return collation != other and "unicode_520" in collation + other
