"""Accounts with exact grants: what they can do, and which grants they are told to ask for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.errors import CatalogError, SpyError
from dj_sqlspy.servers import Server
from dj_sqlspy.slices import Slice

# up.site <- up.room <- lab.session <- lab.session__trial, lab.note -> private.person; a view of a view in `views`
SETUP = """
CREATE TABLE {up}.site (site INT PRIMARY KEY);
CREATE TABLE {up}.room (room INT PRIMARY KEY, site INT, FOREIGN KEY (site) REFERENCES {up}.site (site));
CREATE TABLE {private}.person (person INT PRIMARY KEY);
CREATE TABLE {lab}.session (session INT PRIMARY KEY, room INT, FOREIGN KEY (room) REFERENCES {up}.room (room));
CREATE TABLE {lab}.session__trial (session INT, trial INT, PRIMARY KEY (session, trial),
 FOREIGN KEY (session) REFERENCES {lab}.session (session));
CREATE TABLE {lab}.note (note INT PRIMARY KEY, person INT,
 FOREIGN KEY (person) REFERENCES {private}.person (person));
CREATE VIEW {views}.first AS SELECT session, room FROM {lab}.session WHERE session < 3;
CREATE VIEW {views}.second AS SELECT session FROM {views}.first;
INSERT INTO {up}.site VALUES (1), (2);
INSERT INTO {up}.room VALUES (1, 1), (2, 2), (3, NULL);
INSERT INTO {private}.person VALUES (1);
INSERT INTO {lab}.session VALUES (1, 1), (2, 2), (3, 3), (4, NULL);
INSERT INTO {lab}.session__trial VALUES (1, 1), (1, 2), (3, 1);
INSERT INTO {lab}.note VALUES (1, 1)
"""
SESSIONS = "SELECT * FROM {lab}.session WHERE session = 1"
VIEW = "SELECT * FROM {views}.second WHERE session = 2"
NOTES = "SELECT * FROM {lab}.note"


@pytest.fixture
def lab(prefix: str, dj_conn: Any, home: Path) -> Iterator[SimpleNamespace]:
    """Schemas with an ancestor in another one, and statements that were captured by an account that may all."""
    names = {name: f"`{prefix}{name}`" for name in ("up", "lab", "private", "views")}
    for name in names.values():
        dj_conn.query(f"CREATE DATABASE {name}")
    for statement in SETUP.format(**names).split(";\n"):
        dj_conn.query(statement)

    def capture(*statements: str) -> None:
        with sqlspy.export("paper", "fig"):
            for statement in statements:
                dj_conn.query(statement.format(**names)).fetchall()

    yield SimpleNamespace(**names, capture=capture)


def connect(account: Server) -> Any:
    use_tls = None if account.flavor == "mysql" else False  # as DataJoint 0.14 has to be told
    return dj.Connection(account.host, account.user, account.password, port=account.port, use_tls=use_tls)


def held(cut: Slice) -> dict[str, set[Any]]:
    return {name: cut.keys(name) for name in cut.tables}


def asked_for(paper: sqlspy.Paper, folder: Path, **options: Any) -> list[str]:
    """The grants that `write` asks for; it has written nothing."""
    with pytest.raises(CatalogError) as refused:
        paper.write(folder, **options)
    assert not folder.exists()
    return re.findall(r"GRANT (.+) TO '\w+'@'%'; ", str(refused.value))


def grant(server: Server, account: Server, grants: list[str]) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        for each in grants:
            cursor.execute(f"GRANT {each} TO '{account.user}'@'%'")


def test_an_account_that_may_only_select(
    lab: SimpleNamespace, account: Callable[..., Server], tmp_path: Path
) -> None:
    """From the capture to the comparison with the source, it needs SELECT on what is read and stood on."""
    reader = account("reader", f"SELECT ON {lab.up}.*", f"SELECT ON {lab.lab}.*")
    connection = connect(reader)
    with sqlspy.export("paper", "fig"):
        connection.query(SESSIONS.format(lab=lab.lab)).fetchall()
    paper = sqlspy.Paper("paper", connection=connection)
    bundle = paper.write(tmp_path / "bundle")
    bundle.dump(source=connection)
    report = bundle.verify(source=connection)
    assert report.equal and report.from_source
    assert held(paper.slice()) == held(sqlspy.Paper("paper").slice())


def test_missing_grants_are_listed_at_once_and_suffice(
    lab: SimpleNamespace, server: Server, account: Callable[..., Server], tmp_path: Path
) -> None:
    """The slice needs the grants listed, no more, and no grant for what it does not touch."""
    lab.capture(SESSIONS, VIEW)
    narrow = account("narrow", f"SELECT ON {lab.lab}.*")
    paper = sqlspy.Paper("paper", connection=connect(narrow))
    asked = asked_for(paper, tmp_path / "bundle")
    assert sorted(asked) == [f"SELECT ON {lab.up}.*", f"SELECT ON {lab.views}.*"]
    grant(server, narrow, asked)
    # the definitions of the views can be asked for only now
    asked = asked_for(paper, tmp_path / "bundle")
    assert asked == [f"SHOW VIEW ON {lab.views}.`second`"]
    grant(server, narrow, asked)
    asked = asked_for(paper, tmp_path / "bundle")
    assert asked == [f"SHOW VIEW ON {lab.views}.`first`"]
    grant(server, narrow, asked)
    bundle = paper.write(tmp_path / "bundle")  # although lab.note refers to a table that stays hidden
    bundle.dump(source=paper.connection)
    assert held(paper.slice()) == held(sqlspy.Paper("paper").slice())


def test_grants_on_single_tables_and_columns(
    lab: SimpleNamespace, server: Server, account: Callable[..., Server], tmp_path: Path
) -> None:
    lab.capture(SESSIONS, NOTES)
    narrow = account(
        "narrow",
        f"SELECT (session) ON {lab.lab}.session",
        f"SELECT ON {lab.lab}.session__trial",
        f"SELECT ON {lab.up}.room",
    )
    paper = sqlspy.Paper("paper", connection=connect(narrow))
    first = asked_for(paper, tmp_path / "bundle")
    assert sorted(first) == [f"SELECT ON {lab.lab}.`note`", f"SELECT ON {lab.lab}.`session`"]
    grant(server, narrow, first)
    # the server tells the foreign keys of these two now
    second = asked_for(paper, tmp_path / "bundle")
    assert sorted(second) == [f"SELECT ON {lab.private}.*", f"SELECT ON {lab.up}.`site`"]
    grant(server, narrow, second)
    assert held(paper.slice()) == held(sqlspy.Paper("paper").slice())
    assert len(paper.leaves()) == 2


def test_a_preview_needs_what_was_read_only(lab: SimpleNamespace, account: Callable[..., Server]) -> None:
    lab.capture(SESSIONS)
    narrow = account("narrow", f"SELECT ON {lab.lab}.session")
    paper = sqlspy.Paper("paper", connection=connect(narrow))
    assert [len(table) for table in paper.leaves()] == [1]
    with pytest.raises(CatalogError, match=r"session` refers to .*room`"):
        paper.slice()


def test_descendants_are_those_that_the_account_sees(
    lab: SimpleNamespace, account: Callable[..., Server]
) -> None:
    narrow = account("narrow", f"SELECT ON {lab.up}.*")
    room = dj.FreeTable(connect(narrow), f"{lab.up}.`room`") & "room = 1"
    assert held(sqlspy.slice([room], down=True)) == {f"{lab.up}.`room`": {(1,)}, f"{lab.up}.`site`": {(1,)}}
    wide = account("wide", f"SELECT ON {lab.up}.*", f"SELECT ON {lab.lab}.session")
    room = dj.FreeTable(connect(wide), f"{lab.up}.`room`") & "room = 1"
    assert held(sqlspy.slice([room], down=True))[f"{lab.lab}.`session`"] == {(1,)}


def test_a_table_that_was_dropped_is_no_missing_grant(
    lab: SimpleNamespace, dj_conn: Any, account: Callable[..., Server], tmp_path: Path
) -> None:
    lab.capture(NOTES)
    dj_conn.query(f"DROP TABLE {lab.lab}.note")
    reader = account("reader", f"SELECT ON {lab.lab}.*")
    with pytest.raises(SpyError, match="dropped or renamed"):
        sqlspy.Paper("paper", connection=connect(reader)).write(tmp_path / "bundle")
