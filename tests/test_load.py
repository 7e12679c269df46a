"""Many processes at once into one home and one shared log: every statement is there, exactly once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from tests.lab import make_lab, start_script

PROCESSES, STATEMENTS = 32, 10_000

CODE = """
    import dj_sqlspy as sqlspy
    host, port, user, password, name = json.loads(os.environ["LAB_SERVER"])
    processes, statements = json.loads(os.environ["LOAD"])
    reader, writer = os.pipe()
    children = []
    for process in range(processes):
        child = os.fork()
        if not child:
            os.close(writer)
            connection = dj.Connection(host, user, password, port=port, use_tls=False)
            os.read(reader, 1)  # until all are ready
            with sqlspy.export("paper", "fig", append="load") as opened:
                for number in range(statements):
                    found = connection.query(
                        f"SELECT {process * statements + number} AS n FROM `{name}`.subject WHERE subject = 1"
                    ).fetchall()
                    assert found == ((process * statements + number,),)
                assert opened.journal.problem is None
            os._exit(0)
        children.append(child)
    os.close(reader)
    os.close(writer)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * processes
"""


@pytest.fixture
def lab(prefix: str, dj_conn: Any, home: Path) -> SimpleNamespace:
    return make_lab(prefix + "lab", dj_conn)


@pytest.mark.slow
@pytest.mark.line("2.x")
@pytest.mark.flavor("mariadb")
def test_many_processes_at_once(
    lab: SimpleNamespace, server: Any, prefix: str, home: Path, tmp_path: Path
) -> None:
    """Independent processes make one run, and each stores what it has in the shared log when it ends."""
    told = {"DJ_SQLSPY_SCHEMA": f"{prefix}log", "LOAD": json.dumps((PROCESSES, STATEMENTS))}
    process = start_script(CODE, server, lab.name, home, tmp_path, environment=told)
    _, err = process.communicate(timeout=1200)
    assert process.returncode == 0 and "Error" not in err, err
    expected = range(PROCESSES * STATEMENTS)

    def check(paper: sqlspy.Paper) -> None:
        (analysis,) = paper.analyses
        assert (analysis.processes, analysis.state, analysis.problems) == (PROCESSES, "ended", [])
        numbers = Counter(int(statement.sql.split()[1]) for statement in paper.statements)
        assert numbers.total() == len(expected) and numbers.keys() == set(expected)

    check(sqlspy.Paper("paper"))
    dj.config["sqlspy.schema"] = f"{prefix}log"
    try:
        check(sqlspy.Paper("paper", home=tmp_path / "elsewhere"))
        check(sqlspy.Paper("paper"))  # both together are not twice as many
    finally:
        dj.config["sqlspy.schema"] = None
        dj.conn().__dict__.pop("_dj_sqlspy_tables", None)
