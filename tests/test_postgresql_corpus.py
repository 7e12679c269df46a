"""The corpus of PostgreSQL: each recorded statement of DataJoint 2.3 is sliced and replayed, or refused by name.

The tables behind it are gone. `test_corpus.tables_of` tells their columns; the types and values are those of what the
statements compare the columns with, so that conditions are met and missed.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlglot import exp

from dj_sqlspy.journal import Statement
from dj_sqlspy.servers.postgresql.dialect import POSTGRESQL
from dj_sqlspy.servers.postgresql.reading import POSTGRESQL_SYNTAX
from dj_sqlspy.servers.postgresql.syntax import Arrow, DoubleArrow, parse
from dj_sqlspy.slices import Slice, make_slice
from tests.test_corpus import kind, tables_of
from tests.trial import answer
from tests.trial_postgresql import PostgreSQLBench

# DataJoint 0.14 has no PostgreSQL
pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("postgresql")]

TESTS = Path(__file__).resolve().parent
COMPARED = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Between, exp.Like)


def statements() -> list[str]:
    """All texts, as the server gets them; those with arguments ask about the catalog."""
    files = (TESTS.parent.parent / "shared" / "postgresql", TESTS / "corpus" / "postgresql")
    folder = next(each for each in files if each.is_dir())
    lines = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    texts = [line["sql"].replace("%%", "%") for line in lines if not line["args"]]
    return [text for text in texts if "information_schema" not in text and "pg_" not in text]


def family(schema: str) -> str:
    """What the schemas of one pipeline have in common."""
    return schema.partition("_")[0]


def values_of(texts: list[str]) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """By family and name of a column its type, and literals that statements compare it with."""
    found: dict[tuple[str, str], list[exp.Literal]] = {}
    types: dict[tuple[str, str], str] = {}
    for text in texts:
        tree = parse(text)
        own = next((family(table.db) for table in tree.find_all(exp.Table) if table.db), "")
        for node in tree.walk():
            names = list(dict.fromkeys((own, part.name) for part in node.find_all(exp.Column)))
            if len(names) != 1 or node.find(exp.Query) is not None:
                continue
            if isinstance(node, COMPARED) and node.find(exp.Boolean) is not None:
                types[names[0]] = "boolean"
            elif (
                isinstance(node, COMPARED)
                and node.find(exp.Anonymous, exp.AggFunc, Arrow, DoubleArrow) is None
            ):
                found.setdefault(names[0], []).extend(node.find_all(exp.Literal))
            elif isinstance(node, (exp.Sum, exp.Avg, exp.Mul)) and isinstance(node.this, exp.Column):
                types[names[0]] = "double precision"
            elif isinstance(node, (Arrow, DoubleArrow)) or "json" in function_name(node):
                types[names[0]] = "jsonb"
    out = {}
    for name in {*found, *types}:
        literals = found.get(name, [])
        texts_ = [each for each in literals if each.is_string]
        type_ = types.get(name) or ("text" if 2 * len(texts_) >= len(literals) else "double precision")
        own = [
            POSTGRESQL.string(each.this) if type_ == "text" else each.this
            for each in literals
            if each.is_string == (type_ == "text") and type_ in ("text", "double precision")
        ]
        out[name] = (type_, list(dict.fromkeys(own)))
    return out


def function_name(node: Any) -> str:
    return str(node.this).lower() if isinstance(node, exp.Anonymous) else ""


def made(texts: list[str], bench: PostgreSQLBench) -> list[tuple[str, str]]:
    """Create the tables of some statements, three rows in each, whose values meet and miss each other; and twins."""
    known, cursor = values_of(texts), bench.cursor
    tables = tables_of(texts, POSTGRESQL_SYNTAX)
    for schema in sorted({schema for schema, _ in tables}):
        bench.make_schema(schema)
        bench.make_schema(f"{schema}_twin")
    for number, ((schema, table), columns) in enumerate(tables.items()):
        names = list(columns or ["id"])
        about = [known.get((family(schema), name), ("text", [])) for name in names]
        declared = [
            f"{POSTGRESQL.quote(name)} {type_}" for name, (type_, _) in zip(names, about, strict=True)
        ]
        declared.append(f"PRIMARY KEY ({POSTGRESQL.quote(names[0])})")
        name = POSTGRESQL.full_name(schema, table)
        cursor.execute(f"CREATE TABLE {name} ({', '.join(declared)})")
        cursor.execute(
            f"CREATE TABLE {POSTGRESQL.full_name(f'{schema}_twin', table)} (LIKE {name} INCLUDING ALL)"
        )
        for row in range(3):
            values = []
            for place, (type_, own) in enumerate(about):
                literals = list(dict.fromkeys(own + USUAL[type_]))[:3]
                values.append(literals[(row + place * number) % len(literals)])
            cursor.execute(f"INSERT INTO {name} VALUES ({', '.join(values)}) ON CONFLICT DO NOTHING")
    return list(tables)


USUAL = {
    "text": ["'0'", "'1'", "'2'"],
    "double precision": ["0", "1", "2"],
    "boolean": ["true", "false"],
    "jsonb": ["'{\"x\": 1}'", "NULL", "'[1]'"],
}


class Corpus(NamedTuple):
    """The tables on a server with their twins, and the statements that the server takes there.

    ``refused`` has its word about the others.
    """

    bench: PostgreSQLBench
    tables: list[tuple[str, str]]
    captured: list[tuple[Statement, Any]]
    refused: dict[str, str]

    def twin(self, text: str) -> str:
        for schema in {schema for schema, _ in self.tables}:
            text = re.sub(rf'(?<![\w.])("?){schema}\1\.', rf'"{schema}_twin".', text)
        return text

    def load(self, cut: Slice) -> None:
        names = ", ".join(POSTGRESQL.full_name(f"{schema}_twin", table) for schema, table in self.tables)
        self.bench.cursor.execute(f"TRUNCATE {names}")
        for name, table in cut.tables.items():
            for condition in table.conditions(100_000):
                self.bench.cursor.execute(
                    f"INSERT INTO {self.twin(name)} SELECT * FROM {name} WHERE {condition}"
                )

    def differences(self, cut: Slice) -> list[str]:
        """The statements of a slice that its rows do not answer alike."""
        self.load(cut)
        reports = {report.statement.number: report for report in cut.statements}
        wrong = []
        for statement, rows in self.captured:
            report = reports.get(statement.number)
            if report is not None and not report.marks:
                again = self.bench.rows(self.twin(statement.sql))
                if answer(rows, report.ordered) != answer(again, report.ordered):
                    wrong.append(statement.sql)
        return wrong


@pytest.fixture(scope="module")
def corpus(server: Any) -> Iterator[Corpus]:
    texts = statements()
    with contextlib.closing(PostgreSQLBench(server, "corpus")) as bench:
        tables = made(texts, bench)
        captured, refused = [], {}
        for number, text in enumerate(texts, 1):
            try:
                rows = bench.rows(text)
                captured.append((Statement(text, len(rows), kind=kind(text), number=number), rows))
            except bench.error as error:
                refused[text] = str(error)
        yield Corpus(bench, tables, captured, refused)
        for schema in {schema for schema, _ in tables}:
            for name in (schema, f"{schema}_twin"):
                bench.drop_schema(name)


# Statements whose tables are guessed wrongly.
REFUSED = ("is ambiguous", "text <= timestamp with time zone", "integer = text")


def test_one_slice_of_all(corpus: Corpus) -> None:
    assert all(any(word in error for word in REFUSED) for error in corpus.refused.values()), corpus.refused
    cut = make_slice([statement for statement, _ in corpus.captured], corpus.bench.slicer)
    assert {report.sql: report.fallback for report in cut.fallbacks} == {}
    assert [report.sql for report in cut.drifted] == []
    assert corpus.differences(cut) == []
    assert len(corpus.captured) >= 340


@pytest.mark.slow
def test_each_statement_alone_from_its_slice(corpus: Corpus) -> None:
    wrong, marks = [], Counter[str]()
    for statement, _ in corpus.captured:
        cut = make_slice([statement], corpus.bench.slicer)
        marks.update(mark for report in cut.statements for mark in report.marks)
        wrong += corpus.differences(cut)
    print(len(corpus.captured), dict(marks))
    assert wrong == []
