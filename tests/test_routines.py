"""Views and stored functions: those that statements need come along, and those that cannot are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dj_sqlspy.errors import BundleError
from dj_sqlspy.rules import ROUTINE
from dj_sqlspy.servers import Server
from tests.conftest import drop_schemas, user_schemas
from tests.test_dump import bundle_of, cut, dumped_and_loaded, options, rows, same
from tests.test_verify import as_text

pytestmark = pytest.mark.line("2.x")  # nothing here depends on it

SCHEMAS = ["calls_lab", "calls_views"]

MADE = (
    "CREATE DATABASE calls_lab",
    "CREATE DATABASE calls_views",  # with no table of its own
    "CREATE TABLE calls_lab.t (id INT PRIMARY KEY, x INT)",
    "INSERT INTO calls_lab.t VALUES (1, 10), (2, 20), (3, 30)",
    "CREATE FUNCTION calls_lab.twice(n INT) RETURNS INT DETERMINISTIC NO SQL RETURN 2 * n",
    "CREATE FUNCTION calls_lab.four_times(n INT) RETURNS INT DETERMINISTIC NO SQL RETURN calls_lab.twice(2 * n)",
    "CREATE FUNCTION calls_lab.largest() RETURNS INT READS SQL DATA RETURN (SELECT MAX(x) FROM calls_lab.t)",
    "CREATE VIEW calls_views.named (k, y) AS SELECT id, calls_lab.four_times(x) FROM calls_lab.t WHERE id < 3",
    "CREATE VIEW calls_lab.of_view AS SELECT y AS z FROM calls_views.named",
    "CREATE VIEW calls_views.share (k, part) AS SELECT id, x / calls_lab.largest() FROM calls_lab.t",
)
KEPT = ("SELECT y FROM calls_views.named WHERE k = 2", "SELECT * FROM calls_lab.of_view")
NOT_KEPT = ("SELECT part FROM calls_views.share", "SELECT id FROM calls_lab.t WHERE x = calls_lab.largest()")


@pytest.fixture
def calls(server: Server, dj_conn: Any) -> Iterator[None]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL log_bin_trust_function_creators = ON")
        for statement in MADE:
            cursor.execute(statement)
    yield
    drop_schemas(server, SCHEMAS)


@pytest.mark.usefixtures("calls")
def test_views_and_functions_come_along(server: Server, clean_scratch: Server, tmp_path: Path) -> None:
    """With the names of their columns, whatever schema they are in, each after those that it reads."""
    bundle = bundle_of(server, tmp_path / "b", *KEPT)
    bundle.dump(options(server))
    bundle.restore(options(clean_scratch))
    same(server, clean_scratch, *KEPT, "SELECT * FROM calls_views.named")
    made = rows(
        clean_scratch,
        "SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'calls_lab'",
    )
    assert made == [(b"four_times",), (b"twice",)]


@pytest.mark.usefixtures("calls")
def test_a_function_that_is_there_stays(server: Server, clean_scratch: Server, tmp_path: Path) -> None:
    """A function of the reader's own is named before anything is loaded."""
    bundle = bundle_of(server, tmp_path / "b", *KEPT)
    bundle.dump(options(server))
    with clean_scratch.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL log_bin_trust_function_creators = ON")
        cursor.execute("CREATE DATABASE calls_lab")
        cursor.execute("CREATE FUNCTION calls_lab.twice() RETURNS INT DETERMINISTIC NO SQL RETURN 7")
    with pytest.raises(
        BundleError, match=r"already holds.*\n *the function `calls_lab`\.`twice`\n.*nothing was"
    ):
        bundle.restore(options(clean_scratch))
    assert rows(clean_scratch, "SELECT calls_lab.twice()") == [(b"7",)]
    assert rows(clean_scratch, "SHOW TABLES FROM calls_lab") == []
    assert "calls_views" not in user_schemas(clean_scratch)


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("name", ["calls_lab.twice", "calls_lab.largest"])
def test_a_function_that_the_account_may_only_call(
    name: str,
    server: Server,
    account: Callable[..., Server],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its text is not seen, so the statement is told to be one that cannot be replayed."""
    reader = account("caller", "SELECT ON calls_lab.*", "EXECUTE ON calls_lab.*")
    argument = "" if name.endswith("largest") else "x"
    read = f"SELECT id, {name}({argument}) FROM calls_lab.t WHERE id = 1"
    bundle = bundle_of(reader, tmp_path / "b", read, "SELECT id FROM calls_lab.t WHERE id = 2")
    assert f"does not have the stored function {name}: the account does not see its text" in caplog.text
    assert [ROUTINE in entry["marks"] for entry in bundle.manifest["statements"]] == [True, False]
    bundle.dump(options(server))
    report = bundle.verify()
    assert [result.state for result in report.statements] == ["equal", "excluded"], as_text(report)


@pytest.mark.usefixtures("calls")
def test_what_a_function_is_missing_for_is_named(
    server: Server, clean_scratch: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A function that reads a table stays; so does a view that calls it, and statements that need either are told."""
    bundle = bundle_of(server, tmp_path / "b", *KEPT, *NOT_KEPT)
    assert "does not have the stored function calls_lab.largest" in caplog.text
    assert "2 statements need such functions" in caplog.text
    marked = [entry["number"] for entry in bundle.manifest["statements"] if ROUTINE in entry["marks"]]
    assert marked == [3, 4]
    bundle.dump(options(server))
    bundle.restore(options(clean_scratch))
    same(server, clean_scratch, *KEPT)
    views = rows(
        clean_scratch, "SELECT table_name FROM information_schema.views WHERE table_schema LIKE 'calls%'"
    )
    assert views == [(b"named",), (b"of_view",)]
    report = bundle.verify()
    assert report.equal, as_text(report)
    assert [result.state for result in report.statements] == ["equal", "equal", "excluded", "excluded"]


SEARCHED = (
    "CREATE DATABASE calls_lab",
    "CREATE TABLE calls_lab.t (id INT PRIMARY KEY, x TEXT, n INT, FULLTEXT (x))",
    "CREATE TABLE calls_lab.other (id INT PRIMARY KEY)",
    "INSERT INTO calls_lab.t VALUES (1, 'apple pear', 1), (2, 'apple plum', 1), (3, 'cherry pie', 2), (4, 'kiwi', 2)",
    "INSERT INTO calls_lab.other VALUES (1), (2), (3)",
    "CREATE VIEW calls_lab.found (k, score) AS SELECT a.id, MATCH (a.x) AGAINST ('+apple' IN BOOLEAN MODE)"
    " FROM calls_lab.t a WHERE MATCH (a.x) AGAINST ('apple')",
)
# definitions that the servers print and sqlglot does not parse
UNREAD = {
    "mysql": "CREATE VIEW calls_lab.unread AS SELECT a.id, WEIGHT_STRING(a.n AS CHAR(3)) AS z FROM calls_lab.t a",
    "mariadb": "CREATE VIEW calls_lab.unread AS SELECT a.n AS id, e.z AS z FROM calls_lab.t a,"
    " JSON_TABLE('[{}]', '$[*]' COLUMNS (z INT PATH '$.z' DEFAULT '1' ON EMPTY)) AS e",
}


@pytest.fixture
def searched(server: Server, dj_conn: Any) -> Iterator[None]:
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in (*SEARCHED, UNREAD[server.flavor]):
            cursor.execute(statement)
    yield
    drop_schemas(server, SCHEMAS)


@pytest.mark.usefixtures("searched")
def test_a_view_that_searches_texts(server: Server, clean_scratch: Server, tmp_path: Path) -> None:
    """Relevance depends on all rows of its table: these come, those of the others do not."""
    reads = (
        "SELECT k FROM calls_lab.found WHERE k < 2",
        "SELECT k, score FROM calls_lab.found JOIN calls_lab.other ON k = other.id WHERE k = 1",
    )
    sliced = cut(server, *reads)
    assert not sliced.fallbacks
    assert {name: entry.rows for name, entry in sliced.tables.items()} == {
        "`calls_lab`.`t`": 4,
        "`calls_lab`.`other`": 1,
    }
    bundle = dumped_and_loaded(server, clean_scratch, tmp_path / "b", *reads)
    same(server, clean_scratch, *reads, "SELECT * FROM calls_lab.found")
    assert bundle.verify().equal


@pytest.mark.usefixtures("searched")
def test_a_view_that_cannot_be_parsed(
    server: Server, clean_scratch: Server, account: Callable[..., Server], tmp_path: Path
) -> None:
    """Statements that read it fall back to all rows of its tables, whose names are told from the others."""
    reads = (
        "SELECT z FROM calls_lab.unread AS u WHERE u.id = 1",
        "SELECT id FROM calls_lab.other WHERE id = 2",
    )
    sliced = cut(account("reader", "SELECT, SHOW VIEW ON `calls_lab`.*"), *reads)
    assert [report.statement.number for report in sliced.fallbacks] == [1]
    assert sliced.fallbacks[0].fallback.startswith("sqlglot cannot parse it")
    assert {name: entry.rows for name, entry in sliced.tables.items()} == {
        "`calls_lab`.`t`": 4,
        "`calls_lab`.`other`": 1,
    }
    bundle = dumped_and_loaded(server, clean_scratch, tmp_path / "b", *reads)
    same(server, clean_scratch, *reads, "SELECT * FROM calls_lab.unread")
    assert bundle.verify().equal


def test_a_view_of_a_json_table(server: Server, dj_conn: Any, clean_scratch: Server, tmp_path: Path) -> None:
    """A table without a name stands among those that the view reads."""
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in (
            "CREATE DATABASE calls_lab",
            "CREATE TABLE calls_lab.t (id INT PRIMARY KEY, j JSON)",
            """INSERT INTO calls_lab.t VALUES (1, '[{"a": 1}, {"a": 2}]'), (2, '[]'), (3, '[{"a": 3}]')""",
            "CREATE VIEW calls_lab.each_a AS SELECT id, a FROM calls_lab.t,"
            " JSON_TABLE(j, '$[*]' COLUMNS (a INT PATH '$.a')) AS e",
        ):
            cursor.execute(statement)
    try:
        reads = ("SELECT a FROM calls_lab.each_a WHERE id < 3",)
        bundle = dumped_and_loaded(server, clean_scratch, tmp_path / "b", *reads)
        same(server, clean_scratch, *reads)
        assert len(rows(clean_scratch, reads[0])) == 2 and bundle.verify().equal
    finally:
        drop_schemas(server, SCHEMAS)


def test_a_view_with_a_character_of_four_bytes(
    server: Server, dj_conn: Any, clean_scratch: Server, tmp_path: Path
) -> None:
    """information_schema prints it as question marks, which are found in other rows."""
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in (
            "CREATE DATABASE calls_lab",
            "CREATE TABLE calls_lab.t (id INT PRIMARY KEY, x VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)",
            "INSERT INTO calls_lab.t VALUES (1, 'a 😀'), (2, 'a ?'), (3, 'a ????'), (4, 'b')",
            "CREATE VIEW calls_lab.smiles (k, `it's AS (x`) AS SELECT id, '😀?' FROM calls_lab.t WHERE x = 'a 😀'"
            " WITH CASCADED CHECK OPTION",
        ):
            cursor.execute(statement)
    try:
        reads = ("SELECT * FROM calls_lab.smiles", "SELECT `it's AS (x` FROM calls_lab.smiles WHERE k = 1")
        sliced = cut(server, *reads)
        assert sliced.keys("`calls_lab`.`t`") == {(1,)} and not sliced.fallbacks
        dumped_and_loaded(server, clean_scratch, tmp_path / "b", *reads)
        same(server, clean_scratch, *reads)
        assert len(rows(clean_scratch, reads[0])) == 1
    finally:
        drop_schemas(server, SCHEMAS)
