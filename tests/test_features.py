"""Each feature of schemas, from every server to every other, as docs/servers.md says; all have their own defaults."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.errors import BundleError
from dj_sqlspy.paper.bundle import Bundle
from tests.conftest import drop_schemas, user_schemas
from tests.features import FEATURES, Feature
from tests.kinds import KINDS, MYSQL, Kind, running

# In the cells with MySQL both flavors are there.
pytestmark = [pytest.mark.slow, pytest.mark.flavor("mysql")]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "servers.md"
SCHEMA = "features"
CROSSINGS = [(source, target) for source in KINDS for target in KINDS]


def written(feature: Feature, text: str) -> str:
    """A statement of a feature, with the names of its table and of the schema."""
    table = f"f{FEATURES.index(feature):02d}"
    return re.sub(r"(?<!\w)T(?=\b|_)", table, text.replace("SCHEMA", SCHEMA)).replace(
        "text_of_T", f"text_of_{table}"
    )


@dataclass
class Crossing:
    """What became of the features of a source on a target.

    Attributes
    ----------
    said : dict
        For features that are refused or translated, the words for it.
    refused, translated : set of names
    different : list of str
        Reads with other results, and definitions that are not the source's though nothing was said.
    left : list of str
        Schemas that were there after a restore that refused.
    """

    said: dict[str, list[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    translated: set[str] = field(default_factory=set)
    different: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def outcome(self, feature: Feature, source: str) -> str:
        if source not in feature.servers:
            return "–"
        if feature.name in self.refused:
            return "refused"
        return "translated" if feature.name in self.translated else "exact"


class Source:
    """A server with all features that it has, and bundles of them."""

    def __init__(self, kind: str, at: Kind, place: Path) -> None:
        self.kind, self.at, self.place = kind, at, place
        self.features = [feature for feature in FEATURES if kind in feature.servers]
        server = at.server
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {SCHEMA}")
            cursor.execute(f"USE {SCHEMA}")
            for feature in self.features:
                cursor.execute("SET SESSION time_zone = '+00:00', sql_mode = DEFAULT")
                for statement in feature.made:
                    cursor.execute(written(feature, statement))
        self.connection = dj.Connection(
            server.host, server.user, server.password, port=server.port, use_tls=None if server.tls else False
        )
        self.connection.query(f"USE {SCHEMA}")
        for feature in self.features:
            with sqlspy.export("features", feature.name):
                for read in feature.reads:
                    self.connection.query(written(feature, read)).fetchall()
        self.bundles: dict[frozenset[str], Bundle | set[str]] = {}
        self.said = ""

    def bundle(self, without: frozenset[str]) -> Bundle | set[str]:
        """The bundle of all features but these, dumped; or the names of those that no server could load."""
        if without not in self.bundles:
            names = [feature.name for feature in self.features if feature.name not in without]
            paper = sqlspy.Paper("features", analyses=names, connection=self.connection)
            try:
                bundle = paper.write(self.place / f"{self.kind} {len(self.bundles)}".replace(" ", "_"))
                bundle.dump(self.at.options)
                self.bundles[without] = bundle
            except BundleError as error:
                self.bundles[without] = set(self.named(str(error)))
                self.said = str(error)
        return self.bundles[without]

    def named(self, text: str) -> Iterator[str]:
        """The features whose tables a text names."""
        for feature in self.features:
            if re.search(rf"`{re.escape(written(feature, 'T'))}(_\w+)?`", text):
                yield feature.name


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Crossing]:
    """All crossings. Each target is emptied after each."""
    place = tmp_path_factory.mktemp("crossings")
    found = {}
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        targets = {kind: stack.enter_context(running(kind)) for kind in KINDS}
        for name in KINDS:
            patch.setenv("DJ_SQLSPY_HOME", str(place / f"home of {name}"))
            with running(name) as at:
                source = Source(name, at, place)
                for target in KINDS:
                    found[name, target] = cross(source, targets[target], name == target)
    return found


def cross(source: Source, target: Kind, alike: bool) -> Crossing:
    """Load what a target takes, with the programs of each, and compare."""
    out = Crossing()
    while True:
        with source.at.first_on_path():
            bundle = source.bundle(frozenset(out.refused))
        if isinstance(bundle, set):
            assert bundle and not bundle & out.refused, source.said
            note(out, source, source.said.replace(", `", "\n`").splitlines(), out.refused)
            continue
        with target.first_on_path():
            command = ["bash", str(bundle.path / "restore.sh"), *target.options]
            ended = subprocess.run(command, capture_output=True, text=True, errors="replace")
        said = ended.stderr
        if ended.returncode == 0:
            break
        lines = said.splitlines()
        if "loaded, but" in said:  # what is told before is not why
            assert "has been removed again" in said, said
            lines = [line for line in lines if "generated, with other values" in line]
        out.left += user_schemas(target.server)
        before = set(out.refused)
        note(out, source, lines, out.refused)
        assert out.refused > before, said
    kept = [feature for feature in source.features if feature.name not in out.refused]
    lines = [line for line in said.splitlines() if line.startswith("    ")]
    note(out, source, lines, out.translated)
    changed = dict(re.findall(r"the collation (\w+) becomes (\w+)", said))
    compare(out, source, target, kept, changed, alike)
    drop_schemas(target.server, user_schemas(target.server))
    return out


def note(out: Crossing, source: Source, lines: list[str], names: set[str]) -> None:
    """Add the features whose tables some lines name to a set, and the lines to what is said of them."""
    for line in lines:
        for name in source.named(line):
            names.add(name)
            text = re.sub(r"`features`\.", "", line.strip())
            if text not in out.said.setdefault(name, []):
                out.said[name].append(text)


def compare(
    out: Crossing,
    source: Source,
    target: Kind,
    features: list[Feature],
    changed: Mapping[str, str],
    alike: bool,
) -> None:
    with (
        source.at.server.connect(conv={}, use_unicode=False) as one,
        target.server.connect(conv={}, use_unicode=False) as other,
    ):
        cursors = [one.cursor(), other.cursor()]
        for cursor in cursors:
            cursor.execute(f"USE {SCHEMA}")
            cursor.execute("SET SESSION time_zone = '+00:00'")

        def both(sql: str) -> list[Any]:
            results = []
            for cursor in cursors:
                cursor.execute(sql)
                results.append(sorted(cursor.fetchall(), key=repr))
            return results

        for feature in features:
            for read in feature.reads:
                there, here = both(written(feature, read))
                if there != here:
                    out.different.append(f"{feature.name}: {read}\n    {there}\n    {here}")
            tables = re.findall(r"CREATE TABLE (T\w*) ", " ".join(feature.made))
            names = [
                name for name in (written(feature, table) for table in tables) if loaded(cursors[1], name)
            ]
            for there, here in (both(f"SHOW CREATE TABLE {name}") for name in names):
                texts = f"{there[0][1].decode(errors='replace')} {' '.join(feature.made)}"
                named = [name for name in changed if name in texts]
                if feature.collation and named:
                    out.translated.add(feature.name)
                    out.said.setdefault(feature.name, []).extend(f"{n} becomes {changed[n]}" for n in named)
                if alike and feature.name not in out.translated and plain(there) != plain(here):
                    out.different.append(f"{feature.name}\n{there[0][1].decode()}\n{here[0][1].decode()}")


def loaded(cursor: Any, table: str) -> bool:
    cursor.execute(f"SHOW TABLES LIKE '{table}'")
    return bool(cursor.fetchall())


def plain(definition: list[tuple[bytes, ...]]) -> bytes:
    return re.sub(rb" AUTO_INCREMENT=\d+", b"", definition[0][1])


@pytest.mark.parametrize(("source", "target"), CROSSINGS)
def test_crossing(crossed: dict[tuple[str, str], Crossing], source: str, target: str) -> None:
    """What is loaded gives the same results; what is refused leaves nothing; a server like the source refuses nothing
    but what nobody can dump."""
    found = crossed[source, target]
    assert not found.different, "\n".join(found.different)
    assert not found.left
    if source == target:
        assert found.refused == ({"MERGE"} if source == MYSQL else set())
    assert all(found.said[name] for name in found.refused | found.translated)


def page(crossed: Mapping[tuple[str, str], Crossing]) -> str:
    short = {
        kind: kind.replace("MariaDB ", "MariaDB&nbsp;").replace("MySQL ", "MySQL&nbsp;") for kind in KINDS
    }
    heads = [f"{short[source]} → {short[target]}" for source, target in CROSSINGS]
    lines = [HEAD, f"| feature | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for feature in FEATURES:
        cells = [crossed[pair].outcome(feature, pair[0]) for pair in CROSSINGS]
        lines.append(f"| {feature.name} | {' | '.join(cells)} |")
    lines.append(WORDS)
    for feature in FEATURES:
        texts: dict[str, dict[str, None]] = {}
        for (source, target), found in crossed.items():
            for text in found.said.get(feature.name, ()):
                text = text.replace(f"`{written(feature, 'T')}", "`t")
                texts.setdefault(text, {})[f"{source} → {target}"] = None
        if texts:
            lines.append(f"- **{feature.name}**")
            lines += [f"    - {text} ({'; '.join(pairs)})" for text, pairs in texts.items()]
    by_hand = PAGE.read_text().partition(POSTGRESQL)
    return "\n".join(lines) + "\n" + "".join(by_hand[1:])


HEAD = """# Servers

Where a bundle from one server is loaded into another, this is what becomes of the features that a schema can have. The
table is written by `tests/test_features.py`, which makes each feature on each server (with the defaults of its own),
writes, dumps, loads it into each, and compares the results of statements.

- **exact**: it is there as it was. Between MySQL and MariaDB that leaves out how rows are stored: row formats,
  compressed columns, indexes that are not used.
- **translated**: what statements return is the same; `restore.sh` says what is not as in the source.
- **refused**: `restore.sh` names it before anything is loaded, other values of generated columns after the load. With
  `--skip-refused` it loads the rest without refused views and functions. `MERGE` of MySQL is refused when the bundle is
  written.
- –: the source does not have it.

A generated column is computed again where it is loaded. Some expressions have another value on the other kind of
server: a time with a fraction that becomes a DATETIME is cut by MariaDB and rounded by MySQL, a DOUBLE in
`JSON_ARRAY` is `2` or `2.0`. `restore.sh` compares these values with the source's after the load. If they differ, it
names the column and removes what it loaded. With `--accept-other-values` the slice stays; so it does for places on
the globe (SRID 4326), of which `ST_X` and `ST_AsText` take the coordinates in another order. `verify` names such
columns, too. Of a column of MySQL's type JSON only the lengths are compared.

Functions in a statement can print other texts on the other kind of server: `ST_AsText` of a MULTIPOINT is
`MULTIPOINT((0 0),(1 1))` in MySQL and `MULTIPOINT(0 0,1 1)` in MariaDB, and of integers `STD` and `VAR_SAMP` have all
digits in MySQL and four decimals in MariaDB. `verify` compares the results of the captured statements.
"""

WORDS = """
## What is said
"""

POSTGRESQL = "\n## PostgreSQL"


def test_the_page(crossed: dict[tuple[str, str], Crossing]) -> None:
    """docs/servers.md is what was found; SQLSPY_WRITE_DOCS=1 writes it."""
    text = page(crossed)
    if os.environ.get("SQLSPY_WRITE_DOCS"):
        PAGE.write_text(text)
    assert text == PAGE.read_text()
