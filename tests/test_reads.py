"""Which statements read, told from their text."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest

from dj_sqlspy import names, settings
from dj_sqlspy.journal import places
from dj_sqlspy.servers.mysql import dialect
from dj_sqlspy.spy import postgresql, reads

pytestmark = pytest.mark.separately


@pytest.mark.parametrize("module", [reads, postgresql, places, settings, names, dialect])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "head"),
    [
        ("SELECT 1", "SELECT"),
        ("select(1)", "SELECT"),
        (" \n\t((SELECT 1) UNION (SELECT 2))", "SELECT"),
        ("/* c */ -- line\n # line\n/*+ hint */SELECT 1", "SELECT"),
        ("/*!50001 SELECT */ 1", "SELECT"),
        ("/*M!100100 SELECT */ 1", "SELECT"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "WITH"),
        ("TABLE t", "TABLE"),
        ("VALUES ROW(1)", "VALUES"),
        ("-- only a comment", ""),
        ("/* not closed", ""),
        ("", ""),
        ("((", ""),
    ],
)
def test_head(query: str, head: str) -> None:
    assert reads.head(query) == head


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("INSERT INTO a SELECT * FROM b", True),
        ("INSERT INTO a (x) (select * from b)", True),
        ("INSERT INTO a TABLE b", True),
        ("INSERT INTO a WITH c AS (SELECT 1) SELECT * FROM c", True),
        ("INSERT INTO a VALUES ((SELECT max(x) FROM b))", True),
        ("INSERT INTO a SET x = (SELECT 1)", True),
        ("INSERT INTO a VALUES ((TABLE b))", True),
        ("CREATE TABLE a AS TABLE b", True),
        ("CREATE TEMPORARY TABLE a TABLE b", True),
        ("SET @x = (TABLE b)", True),
        ("INSERT INTO a /*! SELECT 1 */", True),
        ("BEGIN NOT ATOMIC SELECT * FROM b; END", True),
        ("IF TRUE THEN SELECT * FROM b; END IF", True),
        ("INSERT INTO a VALUES ('SELECT", True),
        ("BEGIN", False),
        ("CREATE TABLE `table` (x int)", False),
        ("REPLACE INTO a VALUES ('SELECT')", False),
        ("REPLACE INTO a\nSELECT/**/1", True),
        ("CREATE TABLE a AS SELECT 1", True),
        ("INSERT INTO a VALUES (%s, %s)", False),
        ("INSERT INTO `select` (`table`) VALUES ('SELECT', \"it''s SELECT\", 'a\\'SELECT')", False),
        ("INSERT INTO a VALUES (1) /* SELECT */ -- SELECT", False),
        ("CREATE TABLE a (x int COMMENT 'SELECT one')", False),
        ("SET @selected = 1", False),
    ],
)
def test_reads_inside(query: str, expected: bool) -> None:
    assert reads.reads_inside(query) is expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT ROW_COUNT()",
        "SELECT connection_id()",
        "SELECT user()",
        "SELECT current_user",
        "SELECT @@version",
        "SELECT @@session.sql_mode, @@version;",
        "SELECT CURRENT_TIMESTAMP(3)",
        "SELECT CURRENT_TIMESTAMP(3) + INTERVAL -1 SECOND",
        "SELECT * FROM information_schema.tables WHERE table_schema IN ('a', 'b')",
        "SELECT a, b FROM INFORMATION_SCHEMA.COLUMNS AS c JOIN `information_schema`.`tables` USING (table_name)",
        "SELECT `id` FROM `s`.`~log`",
        'SELECT count(DISTINCT `table_name`,`key_hash`) FROM `s`.`~jobs` WHERE ( (`status`="error"))',
        "SELECT EXISTS(SELECT 1 FROM `s`.`~~experiment` WHERE ( (`subject_id`=10)))",
        "SELECT lineage FROM `s`.`~lineage` WHERE table_name = 'x' ORDER BY a, b LIMIT 1, 2",
        "SELECT User FROM mysql.user",
        "/* mine */ SELECT * FROM (information_schema.tables AS t JOIN `s`.`~log` AS l)",
        "(SELECT * FROM `s`.`~log`) UNION (SELECT * FROM `s`.`~jobs`)",
        "TABLE `s`.`~log`",
        "SELECT * FROM `s`.`~~t` WHERE path = 'C:\\\\data'",
        "SELECT COUNT(*) FROM `s`.`~log` FETCH FIRST 2 ROWS ONLY",
        "SELECT 1 FROM information_schema.tables GROUP BY a, b HAVING COUNT(*) > 1 ORDER BY c, d;",
    ],
)
def test_bookkeeping(sql: str) -> None:
    assert reads.is_bookkeeping(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM s.t",
        "SELECT a.f(1)",
        "SELECT @x := (SELECT max(a) FROM t)",
        "SELECT * FROM `s`.`~external_raw`",
        "SELECT * FROM `s`.`t` WHERE note = 'FROM `s`.`~log`'",
        'SELECT * FROM `s`.`t` WHERE note = "a \\" FROM information_schema.tables"',
        "SELECT * FROM `s`.`t` /* FROM information_schema.tables */",
        "SELECT * FROM `s`.`~jobs` JOIN `s`.`t` USING (a)",
        "SELECT * FROM `s`.`~jobs` x, `s`.`t` y",
        "SELECT * FROM `s`.`t` y, `s`.`~jobs` x",
        "SELECT * FROM `s`.`~jobs` STRAIGHT_JOIN `s`.`t`",
        "SELECT * FROM `s`.`t` WHERE id IN (SELECT id FROM `s`.`~~t`)",
        "SELECT * FROM `s`.`~~t` WHERE id IN (SELECT id FROM `s`.`t`)",
        "SELECT * FROM information_schema_of_mine.t",
        "SELECT * FROM `my_schema`.`system`",
        "SELECT tables FROM `information_schema`",
        "SELECT `~log` FROM `s`.`t`",
        # brackets
        "SELECT * FROM (`s`.`t` JOIN `s`.`~log` USING (a))",
        "SELECT * FROM (`s`.`~log` JOIN `s`.`t` USING (a))",
        "SELECT * FROM (`s`.`~log`, `s`.`t`)",
        "SELECT * FROM `s`.`~log`, (`s`.`t`)",
        "SELECT * FROM ((`s`.`~log` CROSS JOIN (`s`.`t`)))",
        "SELECT * FROM `s`.`~log` JOIN (SELECT * FROM (`s`.`t`)) x",
        "SELECT * FROM `s`.`~log`/**/,/**/`s`.`t`",
        "SELECT * FROM `s`.`~log` AS `x`, LATERAL (SELECT 1 FROM s.t) y",
        "SELECT * FROM {OJ `s`.`~log` LEFT OUTER JOIN `s`.`t` ON 1}",
        "SELECT * FROM `s`.`~log` USE INDEX FOR ORDER BY (a), `s`.`t`",
        # TABLE, VALUES, table functions, WITH, FETCH
        "SELECT * FROM `s`.`~log` WHERE a IN (TABLE s.t)",
        "SELECT * FROM `s`.`~log` UNION TABLE s.t",
        "SELECT * FROM `s`.`~log` UNION VALUES ROW((SELECT 1 FROM s.t))",
        "VALUES ((SELECT MAX(a) FROM `s`.`t`), (SELECT 1 FROM `s`.`~log`))",
        "SELECT * FROM `s`.`~log`, JSON_TABLE((SELECT a FROM s.t), '$' COLUMNS (x INT PATH '$')) j",
        "SELECT * FROM `s`.`~log` WHERE a = (SELECT 1 FROM s.t FETCH FIRST 1 ROWS ONLY)",
        "WITH `~log` AS (SELECT * FROM s.t) SELECT * FROM `~log`",
        "WITH x AS (SELECT * FROM s.t) SELECT * FROM `s`.`~log`",
        # comments, what the server runs of them, and how a text is read
        "/* `~log` */ SELECT * FROM s.t",
        "SELECT * FROM `s`.`~log` /*! , s.t */",
        "SELECT * FROM `s`.`~log` /*M! , s.t */",
        "SELECT * FROM `s`.`~log` WHERE a = '\\' AND b IN (SELECT b FROM s.t WHERE c = '\\')",
        "SELECT 1 FROM `s`.`~log` WHERE a = '\\' AND b IN (SELECT 1 FROM t) OR '",
        # functions that somebody stored, procedures, several statements
        "SELECT reads_t(a) FROM `s`.`~log`",
        "SELECT s.f(a) FROM `s`.`~log`",
        "SELECT * FROM `s`.`~log`; SELECT * FROM s.t",
        "SELECT * FROM `s`.`~log`; CALL p()",
        "CALL `s`.`p`('`~log`')",
        "HANDLER `s`.`~log` READ FIRST",
        "SELECT @x, @@version",
        "SELECT 1 + (SELECT 1)",
    ],
)
def test_not_bookkeeping(sql: str) -> None:
    assert not reads.is_bookkeeping(sql)


def test_corpus(corpus: list[Path]) -> None:
    """Every statement that DataJoint sends is taken for a read, and the books for books."""
    statements = [json.loads(line)["sql"] for path in corpus for line in path.read_text().splitlines()]
    assert len(statements) > 400
    assert {reads.head(sql) for sql in statements} <= reads.READS
    books = {sql for sql in statements if reads.is_bookkeeping(sql)}
    named = {sql for sql in statements if any(name in sql for name in ("`~jobs`", "`~log`", "`~~"))}
    mixed = {
        sql for sql in named if "not in (SELECT" in sql or "in (SELECT" in sql
    }  # the key source of populate
    assert named - mixed <= books
    assert all("`" not in sql for sql in books - named)


def test_corpus_of_postgresql() -> None:
    """As `test_corpus`, for what DataJoint sends to PostgreSQL."""
    (path,) = Path(__file__).with_name("corpus").joinpath("postgresql").glob("*.jsonl")
    found = [json.loads(line)["sql"] for line in path.read_text().splitlines()]
    statements = [sql.replace("%s", "'x'").replace("%%", "%") for sql in found]
    assert len(statements) > 300
    assert all(postgresql.reads_rows(postgresql.head(sql), sql, True) for sql in statements)
    books = {sql for sql in statements if postgresql.is_bookkeeping(sql)}
    named = {sql for sql in statements if any(mark in sql for mark in ('"~', "pg_", "information_schema."))}
    mixed = {sql for sql in named if "in (SELECT" in sql and '"~~' in sql}  # the key source of populate
    assert books == {sql for sql in named - mixed if 'FROM "pgx_' not in sql or '"~' in sql}
    assert all("information_schema" in s or "pg_" in s or '."~' in s for s in books)


def test_tables_are_told_without_the_values(corpus: list[Path]) -> None:
    """For DataJoint's own statements, and for texts in which a value or a comment looks like something else."""
    texts = {json.loads(line)["sql"] for path in corpus for line in path.read_text().splitlines()}
    odd = {
        "SELECT * FROM `t 1` JOIN t2 USING (a) WHERE b = 'it''s FROM x' AND c = 'FROM y' LIMIT 3",
        "SELECT a /* it's */ FROM `#t` WHERE b = '1' -- it's FROM x\n AND c = '2'",
        "SELECT \"it's\" FROM s.t, `s`.`t_2` WHERE x = 'FROM' AND y = 5",
        "SELECT a FROM t WHERE b = '\\' FROM x' AND c IN (SELECT d FROM u WHERE e = 'f')",
    }
    for sql in texts | odd:
        told = {name for name in reads.tables_of(reads.tokens_of(sql) or []) if name is not None}
        assert reads.tables(sql) == {(name.schema, name.table) for name in told}, sql
    assert len(texts) > 100
