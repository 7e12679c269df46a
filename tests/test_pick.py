"""Hand-picked slices, their algebra, and bounds: exact rows, written out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.errors import SliceError
from dj_sqlspy.slices import Slice

from .lab import V2, rows


@pytest.fixture
def projects(prefix: str, dj_conn: Any) -> SimpleNamespace:
    """Two projects of two sessions each; trials of each session; a probe of another schema, shared by all."""
    schema = (dj.Schema if V2 else dj.schema)(f"{prefix}lab", connection=dj_conn)
    probes = (dj.Schema if V2 else dj.schema)(f"{prefix}probes", connection=dj_conn)

    @probes
    class Probe(dj.Lookup):
        definition = """
        probe : int
        """
        contents = [(1,), (2,), (3,)]

    @schema
    class Session(dj.Manual):
        definition = """
        session : int
        ---
        project : varchar(8)
        """

        class Member(dj.Part):
            definition = """
            -> master
            member : int
            """

    @schema
    class Trial(dj.Manual):
        definition = """
        -> Session
        trial : int
        ---
        -> Probe
        """

    @schema
    class Pair(dj.Manual):
        definition = """
        pair : int
        ---
        -> Trial.proj(first="session", first_trial="trial")
        -> Trial.proj(second="session", second_trial="trial")
        """

    Session.insert([(1, "X"), (2, "X"), (3, "Y"), (4, "Y")])
    Session.Member.insert([(1, 1), (3, 1)])
    Trial.insert([(s, t, t) for s in (1, 2, 3, 4) for t in (1, 2)])
    Pair.insert([(1, 1, 1, 2, 1), (2, 1, 2, 3, 1)])
    return SimpleNamespace(Session=Session, Trial=Trial, Pair=Pair, Probe=Probe, schema=schema)


def held(cut: Slice) -> dict[str, set[Any]]:
    """Keys by bare table name, without tables that have no row; keys of one column without their tuple."""
    return {
        table.table.name: {key[0] if len(key) == 1 else key for key in cut.keys(name)}
        for name, table in cut.tables.items()
        if table.rows
    }


def test_picked_rows_come_with_what_they_refer_to(projects: SimpleNamespace) -> None:
    assert held(sqlspy.slice([projects.Trial & "session=3" & "trial=2"])) == {
        "trial": {(3, 2)},
        "session": {3},
        "session__member": {(3, 1)},
        "#probe": {2},
    }
    assert held(sqlspy.slice(projects.Trial & "session=3" & "trial=2", parts="referenced")) == {
        "trial": {(3, 2)},
        "session": {3},
        "#probe": {2},
    }


def test_tables_free_tables_and_dicts_pick_alike(projects: SimpleNamespace, dj_conn: Any) -> None:
    name = projects.Session.full_table_name
    picked = [
        sqlspy.slice([projects.Session & "project='Y'"]),
        sqlspy.slice([dj.FreeTable(dj_conn, name) & "project like 'Y%'"]),
        sqlspy.slice([{"table_name": name, "restriction": {"project": "Y"}}]),
    ]
    assert [held(cut) for cut in picked] == [{"session": {3, 4}, "session__member": {(3, 1)}}] * 3


def test_descendants(projects: SimpleNamespace) -> None:
    assert held(sqlspy.slice([projects.Session & "session=3"], down=True)) == {
        "session": {1, 3},  # session 1 for trial (1, 2), to which pair 2 refers
        "session__member": {(1, 1), (3, 1)},
        "trial": {(1, 2), (3, 1), (3, 2)},
        "pair": {2},
        "#probe": {1, 2},
    }


def test_algebra(projects: SimpleNamespace) -> None:
    x = sqlspy.slice([projects.Session & "project='X'"], parts="referenced")
    second = sqlspy.slice([projects.Trial & "session=2"])
    assert held(x + second) == {
        "session": {1, 2},
        "session__member": {(1, 1)},
        "trial": {(2, 1), (2, 2)},
        "#probe": {1, 2},
    }
    assert held(x & second) == {"session": {2}}
    assert held(x - second) == {"session": {1}}
    # what a row refers to stays, also where it is taken away
    assert held(second - x) == {"session": {2}, "trial": {(2, 1), (2, 2)}, "#probe": {1, 2}}


def test_only_leaves_out_what_descends_from_other_rows(projects: SimpleNamespace, home: Any) -> None:
    with sqlspy.export("paper", "all"):
        rows(projects.Pair * projects.Trial.proj(first="session", first_trial="trial"))
        rows(projects.Session & "session=1")
    paper = sqlspy.Paper("paper")
    cut = paper.slice(only=[projects.Session & "project='X'"])
    assert held(cut) == {
        "pair": {1},  # pair 2 refers to a trial of session 3
        "trial": {(1, 1), (2, 1)},  # trial (1, 2) is read with pair 2 only
        "session": {1, 2},
        "session__member": {(1, 1)},
        "#probe": {1},
    }
    assert {name.split("`")[3]: count for name, count in cut.left_out.items()} == {"trial": 1, "pair": 1}
    assert [sorted(report.marks) for report in cut.statements] == [["left-out"], []]


@pytest.mark.slow
def test_a_bundle_that_only_keeps_inside(projects: SimpleNamespace, home: Any, tmp_path: Path) -> None:
    """It loads, the statements that lack nothing replay, and the others are named and not compared."""
    with sqlspy.export("paper", "all"):
        rows(projects.Pair * projects.Trial.proj(first="session", first_trial="trial"))
        rows(projects.Session & "session=1")
    paper = sqlspy.Paper("paper")
    refused = tmp_path / "refused"
    with pytest.raises(SliceError, match="outside of the guard"):
        paper.write(refused, guard=[projects.Session & "project='X'"])
    assert not refused.exists()
    bundle = paper.write(tmp_path / "bundle", only=[projects.Session & "project='X'"])
    assert [s["marks"] for s in bundle.manifest["statements"]] == [["left-out"], []]
    report = bundle.verify()
    assert report.equal
    found = {
        result.numbers: (result.state, result.source_rows, result.slice_rows) for result in report.statements
    }
    assert found == {(1,): ("differs", 2, 1), (2,): ("equal", 1, 1)}
    guide = (bundle.path / "README.md").read_text()
    assert "can give other results here: in `manifest.json` those with the number 1.\n" in guide


def test_guard_refuses_with_the_reason(projects: SimpleNamespace, home: Any) -> None:
    with sqlspy.export("paper", "all"):
        rows(projects.Pair())
    paper = sqlspy.Paper("paper")
    with pytest.raises(SliceError, match=r"lie outside of the guard") as refused:
        paper.slice(guard=[projects.Session & "project='X'"])
    assert "(session=3)" in str(refused.value)
    assert "read by a statement (statement 1: SELECT" in str(refused.value)
    assert held(paper.slice(guard=[projects.Session])) == held(paper.slice())


def test_only_what_bounds_is_accepted(projects: SimpleNamespace, home: Any) -> None:
    with sqlspy.export("paper", "all"):
        rows(projects.Pair())
    with pytest.raises(SliceError, match="not a restricted table"):
        sqlspy.Paper("paper").slice(only=[projects.Session * projects.Trial])
    with pytest.raises(SliceError, match="neither a table"):
        sqlspy.slice([3])
    with pytest.raises(SliceError, match="no table was given"):
        sqlspy.slice([])
