"""Every collation of each server becomes one that finds the same words equal and sorts them alike, or none."""

# ruff: noqa: RUF001 - words look alike on purpose

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dj_sqlspy.servers.mysql.collations import NEARLY, becomes, is_near
from tests.kinds import KINDS, MYSQL, running

# nothing here depends on the line of DataJoint; in the cells with MySQL both flavors are there
pytestmark = [pytest.mark.slow, pytest.mark.flavor("mysql"), pytest.mark.line("2.x")]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "collations.md"

# Case, accents, spaces at the end, what languages sort apart, other scripts, what looks alike, symbols, emoji.
WORDS = (
    *(
        "",
        "a",
        "a ",
        "a\t",
        "A",
        "á",
        "à",
        "Á",
        "a\u0301",
        "â",
        "ä",
        "å",
        "Å",
        "aa",
        "ae",
        "æ",
        "Æ",
        "b",
        "B",
    ),
    *("c", "ch", "cz", "ç", "č", "d", "ð", "đ", "dz", "e", "é", "ê", "E", "f", "ﬁ", "fi", "g", "gy", "h"),
    *("i", "I", "ı", "İ", "í", "ij", "j", "k", "l", "ll", "lz", "ł", "m", "n", "nz", "ñ", "ň"),
    *("o", "ö", "oe", "œ", "ø", "ő", "p", "q", "r", "rz", "ř", "s", "ss", "ß", "ẞ", "sz", "š", "ş"),
    *("t", "th", "þ", "u", "ü", "ue", "ű", "v", "w", "x", "y", "ý", "z", "ž"),
    *("0", "1", "10", "2", "²", "½", "-", "_", "a-b", "ab", "a b", "co-op", "coop", "!", "@"),
    *("α", "ά", "Α", "σ", "ς", "б", "Б", "й", "и", "ї", "і", "ё", "е", "א", "ب"),
    *(
        "あ",
        "ア",
        "ぁ",
        "ァ",
        "が",
        "か",
        "Ａ",
        "ａ",
        "ｱ",
        "ー",
        "中",
        "文",
        "一",
        "가",
        "나",
        "ไ",
        "ก",
        "เก",
    ),
    *(
        "😀",
        "😁",
        "𝐀",
        "𝒜",
        "𐐀",
        "𐐨",
        "\u200b",
        "a\u200b",
        "\u00ad",
        "Ωhm",
        "™",
        "tm",
        "①",
        "Ⅳ",
        "iv",
        "ﬀ",
        "ff",
    ),
    *("ŉ", "ʼn"),
)
# MySQL's UCA sorts Korean before Chinese, and MariaDB's after it.
KOREAN = frozenset("가나")


@dataclass(frozen=True)
class Behaviour:
    """How a collation sees the words that its character set has: their ranks, by their places in `WORDS`."""

    charset: str
    ranks: Mapping[int, int]

    @property
    def equal(self) -> frozenset[frozenset[int]]:
        """The words that are equal to each other."""
        groups = defaultdict(set)
        for word, rank in self.ranks.items():
            groups[rank].add(word)
        return frozenset(map(frozenset, groups.values()))

    @property
    def order(self) -> list[int]:
        """The words in order, those that are equal as they stand in `WORDS`."""
        kept = (word for word in self.ranks if WORDS[word] not in KOREAN)
        return sorted(kept, key=lambda word: (self.ranks[word], word))


def behaviours(server: Any, flavor: str) -> Iterator[tuple[str, Behaviour]]:
    """Every collation of a server, by name."""
    if flavor == "mysql":
        names = "SELECT collation_name, character_set_name FROM information_schema.collations"
    else:
        names = (
            "SELECT full_collation_name, character_set_name"
            " FROM information_schema.collation_character_set_applicability WHERE character_set_name IS NOT NULL"
        )
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE words CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        cursor.execute("CREATE TABLE words.words (place INT PRIMARY KEY, word VARCHAR(20))")
        cursor.executemany("INSERT INTO words.words VALUES (%s, %s)", list(enumerate(WORDS)))
        cursor.execute(names)
        for collation, charset in cursor.fetchall():
            if collation == "binary":
                continue
            text = f"CONVERT(word USING {charset})"
            cursor.execute(
                f"SELECT place, DENSE_RANK() OVER (ORDER BY {text} COLLATE {collation}) FROM words.words"
                f" WHERE CONVERT({text} USING utf8mb4) = BINARY word ORDER BY place"
            )
            yield collation, Behaviour(charset, dict(cursor.fetchall()))


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, Behaviour]]:
    """For each server, each of its collations."""
    with contextlib.ExitStack() as stack:
        servers = {kind: stack.enter_context(running(kind)).server for kind in KINDS}
        return {kind: dict(behaviours(server, server.flavor)) for kind, server in servers.items()}


def flavor(kind: str) -> Any:
    return "mysql" if kind == MYSQL else "mariadb"


def chosen(collation: str, source: str, target: str, there: Mapping[str, Behaviour]) -> str | None:
    """What `restore.sh` takes: the first that the target has."""
    return next((name for name in becomes(collation, flavor(source), flavor(target)) if name in there), None)


@pytest.mark.parametrize(("source", "target"), [(a, b) for a in KINDS for b in KINDS])
def test_words_are_equal_and_in_order(
    known: dict[str, dict[str, Behaviour]], source: str, target: str
) -> None:
    count = 0
    for collation, here in known[source].items():
        name = chosen(collation, source, target, known[target])
        if name is None:
            assert source != target
            continue
        there = known[target][name]
        assert there.charset == here.charset
        if flavor(source) == flavor(target) and name == collation:
            if collation.startswith("big5_chinese"):
                continue  # of which MariaDB has corrected the order
            assert there == here, collation
        elif is_near(collation, name):
            # what NEARLY says: soft hyphens and two letters that only some find equal, and the order of symbols
            apart = {word for group in here.equal ^ there.equal for word in group}
            assert {WORDS[word] for word in apart} <= {"", "\u200b", "\u00ad", "і", "ї"}, (collation, name)
            letters = [word for word in here.order if WORDS[word].isalpha() and word not in apart]
            same = [word for word in there.order if word in letters]
            assert [word for word in letters if WORDS[word].isascii()] == [
                w for w in same if WORDS[w].isascii()
            ]
        else:
            assert (there.equal, there.order) == (here.equal, here.order), (collation, name)
        count += 1
    assert count > 200


def test_a_name_alone_says_nothing(known: dict[str, dict[str, Behaviour]]) -> None:
    """Some collations of MariaDB 11.8 with MySQL's names find other words equal, so they have no equivalent."""
    differ = {
        name
        for name, there in known["MariaDB 11.8"].items()
        if name in known[MYSQL] and there.equal != known[MYSQL][name].equal
    }
    assert "utf8mb4_sv_0900_ai_ci" in differ
    for name in differ:
        assert not becomes(name, "mysql", "mariadb") and not becomes(name, "mariadb", "mysql")


def test_the_page(known: dict[str, dict[str, Behaviour]]) -> None:
    """docs/collations.md is what was found; SQLSPY_WRITE_DOCS=1 writes it."""
    text = page(known)
    if os.environ.get("SQLSPY_WRITE_DOCS"):
        PAGE.write_text(text)
    assert text == PAGE.read_text()


def page(known: dict[str, dict[str, Behaviour]]) -> str:
    lines = [HEAD]
    for source in KINDS:
        for target in KINDS:
            if source == target:
                continue
            same, others, none = 0, [], defaultdict(list)
            for collation, here in sorted(known[source].items()):
                name = chosen(collation, source, target, known[target])
                if name == collation:
                    same += 1
                elif name is not None:
                    why = (
                        f"alike {NEARLY}"
                        if is_near(collation, name)
                        else "finds the same words equal, in the same order"
                    )
                    others.append(f"| {collation} | {name} | {why} |")
                else:
                    none[family(collation)].append(
                        (collation, why_not(collation, here, source, target, known[target]))
                    )
            lines.append(f"\n## From {source} to {target}\n\n{same} collations stay what they are.")
            if others:
                lines.append("\n| collation | becomes | which |\n|---|---|---|")
                lines += others
            if none:
                lines.append("\n| refused | how many | why |\n|---|---|---|")
                lines += [
                    f"| {name} | {len(members)} | {members[0][1]} |" for name, members in sorted(none.items())
                ]
    return "\n".join(lines) + "\n"


def family(collation: str) -> str:
    """A name with … where only the character set or the language differs among collations of the same kind."""
    if "_0900_" in collation:
        return collation
    name = re.sub(r"uca1400_([a-z0-9]+_)?((nopad_)?a[is]_c[is])$", r"uca1400_…\2", collation)
    return re.sub(r"^[a-z0-9]+_(.*_)?(nopad_bin|nopad_ci|uca1400_….*)$", r"…_\2", name)


def why_not(collation: str, here: Behaviour, source: str, target: str, there: Mapping[str, Behaviour]) -> str:
    """Why no collation of the target is alike."""
    of_charset = {name: one for name, one in there.items() if one.charset == here.charset}
    if not of_charset:
        return f"{target} does not have the character set {here.charset}"
    alike = [name for name, one in of_charset.items() if one.equal == here.equal]
    if not alike:
        nearest = collation if collation in of_charset else None
        if nearest is None:
            return f"{target} has none that finds the same words equal"
        groups = sorted(of_charset[nearest].equal - here.equal, key=len)
        words = " = ".join(f"'{WORDS[word]}'" for word in sorted(groups[-1]))
        return f"the collation of this name on {target} finds other words equal ({words})"
    in_order = [name for name in alike if of_charset[name].order == here.order]
    if not in_order:
        return f"{target} has none that sorts the same words alike"
    return f"it is not known to be one of {target}'s, though it is on these words ({in_order[0]})"


HEAD = f"""# Collations

The collation of a column decides which texts are equal, and how they are sorted. If a server does not have a
collation, or has one of the same name with another meaning, `restore.sh` uses one with the same padding (`'a' = 'a
'` or not) and the same treatment of case and accents, and says so. If there is none, it refuses the bundle before
anything is loaded. This page is written by `tests/test_collations.py`, which compares every collation of each
server on {len(WORDS)} words: which are equal, and their order. Korean is left out of the order, because MySQL's
newer collations sort it before Chinese, and MariaDB's after it.
"""
