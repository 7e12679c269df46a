"""Collations: what a collation of one server becomes on the other, so that texts stay equal and in order.

In: the name of a collation and two flavors. Out: names to take on the other, the best first. A collation becomes
another only if both pad texts alike (``'a' = 'a '`` or not), and tell case and accents alike; for language rules they
must agree on the words of ``tests/test_collations.py``, which compares every collation of real servers. It asks no
server: which of the names a server has, `restore.sh` finds out.
"""

from __future__ import annotations

from typing import Literal

Flavor = Literal["mysql", "mariadb"]

NAMES: dict[str, str] = {"mysql": "MySQL", "mariadb": "MariaDB"}

# UCA 9.0 of MySQL and UCA 14.0 of MariaDB with the rules of a language, where both find the same texts equal and sort
# the same. Of the others (Swedish, Danish, Latvian …) they do not, although MariaDB has MySQL's names from 11.4 on.
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
# Of these only without accents and case.
_ROUGHLY: dict[str, str] = {"de_pb": "german2", "tr": "turkish", "vi": "vietnamese"}
# Of these not at all.
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
    """Collations of MySQL, each with the one of MariaDB that it equals."""
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

# UCA 5.2 is the nearest that MySQL has of a UCA that pads, and MariaDB before 10.10 of one that does not. It finds the
# same letters equal, but for these.
NEARLY = "but for soft hyphens and a Ukrainian letter (U+0456, U+0457), and sorts symbols otherwise"
_UNICODE_520 = "unicode_520_ci"

# Names that both have, and that do not mean the same.
_UNLIKE = frozenset({"big5_chinese_ci"})

_CROATIAN = "croatian_mysql561_ci"  # MariaDB's name of MySQL's croatian_ci


def becomes(collation: str, source: Flavor, target: Flavor) -> tuple[str, ...]:
    """What a collation becomes on a server of a flavor: names, the best first; none if it would lose its meaning.

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
    """What an older MariaDB has in the place of a collation."""
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
    """Whether a collation and what it becomes agree but for the characters of `NEARLY`.

    >>> is_near("utf8mb4_uca1400_ai_ci", "utf8mb4_unicode_520_ci"), is_near("utf8mb4_bin", "utf8mb4_bin")
    (True, False)
    """
    return collation != other and "unicode_520" in collation + other
