"""Random statements in random sessions, on several servers and on values that change: the promise holds.

Each statement is captured on a connection of its own that has set what a session can set, with the digest of what it
returned; it is replayed on the loaded slice behind the same texts. Then a value of the source is changed. A statement
has drifted if it returns other rows now, which this module reads for itself.

Statements of two servers, under one or another name of theirs, make no slice: the error lists each server with its
statements. Those of one server do.

`SQLSPY_RANDOM_SETS` says how many sets to try (25 by default), `SQLSPY_RANDOM_SEED` where to start.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import datajoint as dj
import pymysql
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from dj_sqlspy.errors import SliceError
from dj_sqlspy.journal import Statement
from dj_sqlspy.slices import make_slice
from tests.random_schema import Choices, Schema, random_rows
from tests.test_lineage_random import SCHEMAS, expected, make_case
from tests.trial import Bench, Captured, Outcome, random_sets, totals_of

pytestmark = pytest.mark.line("2.x")  # nothing here depends on it

SETS = int(os.environ.get("SQLSPY_RANDOM_SETS", "25"))
SEED = int(os.environ.get("SQLSPY_RANDOM_SEED", "1"))

MODES = (
    *("PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES", "HIGH_NOT_PRECEDENCE", "NO_UNSIGNED_SUBTRACTION"),
    *("PAD_CHAR_TO_FULL_LENGTH", "ANSI_QUOTES", "REAL_AS_FLOAT", "IGNORE_SPACE"),
)
TEXTS = (
    "SET time_zone = '+05:30'",
    "SET SESSION time_zone = '-03:00', group_concat_max_len = 6",
    "SET @@session.div_precision_increment = 1",
    "SET default_week_format = 3",
    "SET lc_time_names = 'de_DE'",
    "SET collation_connection = 'utf8mb4_bin'",
    "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
    "SET sql_mode = ''",
    "SET sql_mode = (SELECT REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', ''))",
    "SET sql_mode = DEFAULT",
    "SET sql_select_limit = 2",
    "SET @number := 2, @text = 'a'",
    "SET autocommit = 1",
)

# Keys are compared without it, so a statement in such a session brings its tables whole.
PADDED = "the sql_mode PAD_CHAR_TO_FULL_LENGTH"


def random_state(choices: Choices) -> tuple[str, ...]:
    """What a connection sends before a statement; often nothing."""
    texts = [choices.one(TEXTS) for _ in range(choices.upto(2))]
    if choices.chance(40):
        texts.append(f"SET sql_mode = CONCAT(@@sql_mode, ',{choices.one(MODES)}')")
    return tuple(texts)


def captured(
    bench: Bench,
    schema: Schema,
    statements: Sequence[str],
    choices: Choices,
    outcome: Outcome,
    names: Sequence[str] = ("",),
) -> list[Captured]:
    """The statements that the server takes, each in a session of its own that calls the server by one of its names."""
    found: list[Captured] = []
    database = bench.names(schema, False)["A"]
    for template in statements:
        # all is drawn before the server is asked, which may answer otherwise the next time
        state, sql, name = random_state(choices), bench.text(schema, template), choices.one(names)
        try:
            rows, noted = bench.rows_in(state, database, sql)
        except pymysql.MySQLError as error:
            outcome.counts[f"refused {error.args[0]}"] += 1
            continue
        assert noted is not None
        statement = Statement(
            *(sql, len(rows)),
            number=len(found) + 1,
            database=database,
            state=state,
            digest=noted.digest,
            columns=noted.columns,
            server=name,
        )
        found.append((statement, template, rows))
    return found


def change_a_value(bench: Bench, schema: Schema, choices: Choices) -> bool:
    """Give a column that no key holds another value in all rows of a table; False where the server takes none."""
    table = choices.one(schema.tables)
    keys = {
        *table.key,
        *table.unique,
        *(name for reference in table.references for name in reference.columns),
    }
    keys |= {
        name
        for other in schema.tables
        for r in other.references
        if r.parent == table.name
        for name in r.parent_columns
    }
    columns = [column for column in table.columns if column.name not in keys and column.kind in "it"]
    if not columns:
        return False
    column = choices.one(columns)
    value = choices.one(["3", "0", "1"] if column.kind == "i" else ["'b'", "'A'", "''"])
    try:
        bench.cursor.execute(bench.text(schema, f"UPDATE {table.full} SET `{column.name}` = {value}"))
    except pymysql.MySQLError:
        return False
    return True


def judge_drift(bench: Bench, schema: Schema, statements: list[Captured], outcome: Outcome) -> None:
    """Whether a statement has drifted is what its rows say."""
    cut = make_slice([statement for statement, _, _ in statements], bench.slicer)
    reports = {report.statement.number: report for report in cut.statements}
    for statement, template, then in statements:
        report = reports[statement.number]
        if report.marks or report.unsent:
            outcome.counts["drift not told"] += 1
            continue
        now = bench.rows_in(statement.state, statement.database, statement.sql).rows
        changed = Counter(map(tuple, now)) != Counter(map(tuple, then))
        outcome.counts[f"drift {changed}"] += 1
        assert report.drifted == changed, (
            f"{report.change!r}, {changed}:\n{statement.state}\n{template}\n{then}\n{now}"
        )


def test_sessions_and_drift(bench: Bench, server: Any) -> None:
    totals: Counter[str] = Counter()
    start = time.time()

    @random_sets(SETS, SEED)
    @given(st.randoms(use_true_random=False), st.integers(0, SCHEMAS - 1))
    def trial(source: random.Random, number: int) -> None:
        case = make_case(source, number + SCHEMAS * (SEED * 1000 + 500), server.flavor)
        choices = Choices(source)
        bench.fill(case.schema, case.rows)
        outcome = Outcome()
        statements = captured(bench, case.schema, case.statements, choices, outcome)
        note(f"{case!r}\n{[statement.state for statement, _, _ in statements]}")
        cut = bench.judge(case.schema, statements, outcome, case.parts)
        if cut is not None and change_a_value(bench, case.schema, choices):
            judge_drift(bench, case.schema, statements, outcome)
        totals.update(outcome.counts)
        for reason, statement in outcome.fallbacks:
            known = PADDED if PADDED in reason else expected(reason)
            totals[f"fall-back: {known}"] += 1
            assert known, f"an unexpected fall-back ({reason}) for\n{statement}"

    trial()
    totals_of(totals, start)
    assert totals["drift True"] and totals["drift False"] and totals["equal"]


TUNNEL = "lab-tunnel:3399"  # another name of the first server


def names_of(server: Any) -> tuple[str, ...]:
    return f"127.0.0.1:{server.port}", f"localhost:{server.port}", f"LocalHost:{server.port}"


def test_several_servers(
    bench: Bench, server: Any, clean_scratch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each server has the same tables with rows of its own; what was read on one says nothing of the other."""
    monkeypatch.setenv("DJ_SQLSPY_SAME_SERVER", f"{TUNNEL} 127.0.0.1:{server.port}")
    totals: Counter[str] = Counter()
    start = time.time()
    there = Bench(clean_scratch, "rnd")
    connections = [
        dj.Connection("127.0.0.1", each.user, each.password, port=each.port, use_tls=False)
        for each in (server, clean_scratch)
    ]

    @random_sets(SETS, SEED)
    @given(st.randoms(use_true_random=False), st.integers(0, SCHEMAS - 1))
    def trial(source: random.Random, number: int) -> None:
        case = make_case(source, number + SCHEMAS * (SEED * 1000 + 700), server.flavor)
        choices, schema, outcome = Choices(source), case.schema, Outcome()
        note(repr(case))
        bench.fill(schema, case.rows)
        there.fill(schema, random_rows(choices, schema))
        sides = [[], []]  # type: list[list[str]]
        for template in case.statements:
            sides[choices.upto(1)].append(template)
        found = [
            captured(bench, schema, sides[0], choices, outcome, (*names_of(server), TUNNEL)),
            captured(there, schema, sides[1], choices, outcome, names_of(clean_scratch)),
        ]
        for here, one, connection, other in zip(
            (bench, there), found, connections, reversed(found), strict=True
        ):
            if one and other:
                numbered = [
                    statement._replace(number=place)
                    for place, (statement, _, _) in enumerate([*one, *other], start=1)
                ]
                with pytest.raises(SliceError) as refused:
                    make_slice(numbered, here.slicer, dj_connection=connection)
                told = str(refused.value)
                for name in {statement.server for statement in numbered}:
                    members = [statement.number for statement in numbered if statement.server == name]
                    line = next(
                        line for line in told.splitlines() if line.startswith(f"    {name}: {len(members)} ")
                    )
                    assert all(f"{place} (" in line for place in members[:3])
                outcome.counts["two servers, refused"] += 1
            if one:
                here.judge(schema, one, outcome, case.parts, dj_connection=connection)
        totals.update(outcome.counts)

    try:
        trial()
    finally:
        there.close()
        for connection in connections:
            connection.close()
    totals_of(totals, start)
    assert totals["two servers, refused"] and totals["equal"]
