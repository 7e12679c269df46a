"""Lineage: statements as users write them, to the row; what is not analysed; marks; order.

The calls of DataJoint's operators are in `test_operators`, random statements in `test_lineage_random`.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import dj_sqlspy
from dj_sqlspy.errors import LineageError
from dj_sqlspy.journal import Statement
from dj_sqlspy.lineage import Lineage, analyse, named_tables
from dj_sqlspy.lineage.analysis import analyse_levels
from dj_sqlspy.lineage.generate import to_sql
from dj_sqlspy.lineage.levels import Levels
from dj_sqlspy.lineage.resolve import resolve
from dj_sqlspy.lineage.simplify import simplify
from dj_sqlspy.lineage.tree import occurrences
from dj_sqlspy.lineage.witness import KEYS
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.catalog import Catalog
from dj_sqlspy.servers.mysql.catalog import read_catalog
from dj_sqlspy.servers.mysql.dialect import MYSQL
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.servers.mysql.syntax import parse
from dj_sqlspy.servers.session import PLAIN, Session
from dj_sqlspy.slices import Slice, make_slice
from tests.conftest import drop_schemas
from tests.exported import Twin, keyed

# nothing here depends on the line of DataJoint
pytestmark = pytest.mark.line("2.x")

SCHEMA = "lineage_lab"
SETUP = """
CREATE DATABASE {s};
CREATE TABLE {s}.a (id INT PRIMARY KEY, x INT NULL, t VARCHAR(20) NULL);
CREATE TABLE {s}.b (id INT, n INT, y INT NULL, PRIMARY KEY (id, n));
CREATE TABLE {s}.c (id INT PRIMARY KEY, x INT NULL);
CREATE TABLE {s}.j (id INT PRIMARY KEY, doc JSON);
CREATE VIEW {s}.big AS SELECT id, x FROM {s}.a WHERE x > 15;
CREATE VIEW {s}.per_a (id, total) AS SELECT b.id, SUM(y) FROM {s}.b JOIN {s}.big ON big.id = b.id GROUP BY b.id;
INSERT INTO {s}.a VALUES (1, 10, 'one'), (2, 20, 'two'), (3, 30, 'three'), (4, NULL, NULL);
INSERT INTO {s}.b VALUES (1, 1, 5), (1, 2, 15), (2, 1, NULL), (2, 2, 25), (5, 1, 1);
INSERT INTO {s}.c VALUES (1, 10), (3, NULL), (7, 20);
INSERT INTO {s}.j VALUES (1, '[{"k": 1}, {"k": 2}]'), (2, '[]');
"""


def nested(levels: int, condition: str) -> str:
    """Semijoins as Spyglass and RestrGraph nest them: each table with itself by its key, then with the one before."""
    sql = f"SELECT id FROM {{s}}.a WHERE {condition}"
    for level in range(levels):
        table = "{s}." + "ac"[level % 2]
        sql = f"SELECT id FROM {table} WHERE ((id) in (SELECT id FROM {table} WHERE ((id) in ({sql}))))"
    return sql


@pytest.fixture(scope="module")
def made(server: Server) -> Iterator[str]:
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in SETUP.replace("{s}", SCHEMA).split(";\n"):
            if statement.strip():
                cursor.execute(statement)
    yield SCHEMA
    drop_schemas(server, [SCHEMA])


@pytest.fixture(scope="module")
def catalog(made: str, server: Server) -> Catalog:
    with server.connect() as connection:
        return read_catalog(connection, [made])


@pytest.fixture(scope="module")
def twin(made: str, server: Server) -> Iterator[Twin]:
    with server.connect() as connection:
        copy = Twin(connection, [made])
        with connection.cursor() as cursor:
            for name in ("big", "per_a"):
                cursor.execute(f"SHOW CREATE VIEW `{made}`.`{name}`")
                cursor.execute(copy.renamed(cursor.fetchone()[1]))
        yield copy
        copy.drop()


def cut(server: Server, *statements: str, database: str = "", **options: Any) -> Slice:
    texts = [statement.replace("{s}", f"`{SCHEMA}`") for statement in statements]
    captured = [Statement(sql=sql, number=number, database=database) for number, sql in enumerate(texts, 1)]
    with server.connect(conv=plain_decoders()) as connection:
        return make_slice(captured, connection, **options)


# A statement, and the rows of each table that it needs: "a: keys; b: keys". Several statements: one slice.
CASES: dict[str, tuple[str, str]] = {
    "projection": ("SELECT x + 1 FROM {s}.a WHERE id < 3", "a: 1 2"),
    "constant": ("SELECT 1, 'x', NULL", ""),
    "distinct": ("SELECT DISTINCT x > 15 FROM {s}.a WHERE id <> 3", "a: 1 2 4"),
    "group by expression": (
        "SELECT id % 2 AS odd, COUNT(*) FROM {s}.a GROUP BY odd HAVING MAX(x) > 25",
        "a: 1 3",
    ),
    "group by position": ("SELECT x > 15, COUNT(*) AS n FROM {s}.a GROUP BY 1 HAVING n = 2", "a: 2 3"),
    "rollup": ("SELECT id, SUM(y) FROM {s}.b WHERE id < 3 GROUP BY id WITH ROLLUP", "b: 1.1 1.2 2.1 2.2"),
    "aggregate of no rows": ("SELECT COUNT(*) FROM {s}.a WHERE x > 99", ""),
    "inner join": ("SELECT * FROM {s}.a JOIN {s}.b ON a.id = b.id WHERE y > 10", "a: 1 2; b: 1.2 2.2"),
    "comma join": ("SELECT a.id FROM {s}.a, {s}.b WHERE a.id = b.id AND b.n = 2", "a: 1 2; b: 1.2 2.2"),
    "using": ("SELECT id, y FROM {s}.a JOIN {s}.b USING (id) WHERE id = 2", "a: 2; b: 2.1 2.2"),
    # the columns in common are id and x
    "natural join": ("SELECT * FROM {s}.a NATURAL JOIN {s}.c", "a: 1; c: 1"),
    "left join": (
        "SELECT a.id, y FROM {s}.a LEFT JOIN {s}.b ON a.id = b.id AND n = 1",
        "a: 1 2 3 4; b: 1.1 2.1",
    ),
    "left join, unmatched": (
        "SELECT a.id FROM {s}.a LEFT JOIN {s}.b ON a.id = b.id WHERE b.id IS NULL",
        "a: 3 4",
    ),
    "left join, unmatched, with a matched row read elsewhere": (
        "SELECT a.id FROM {s}.a LEFT JOIN {s}.b ON a.id = b.id WHERE b.id IS NULL;;SELECT * FROM {s}.a WHERE id = 1",
        "a: 1 3 4; b: 1.1",
    ),
    "right join": (
        "SELECT b.id, x FROM {s}.a RIGHT JOIN {s}.b ON a.id = b.id AND n = 1 WHERE b.id > 1",
        "a: 2; b: 2.1 2.2 5.1",
    ),
    "self join": ("SELECT p.id FROM {s}.a p JOIN {s}.a q ON q.x = p.x + 10 WHERE p.id = 2", "a: 2 3"),
    "union": ("SELECT id FROM {s}.a WHERE x = 10 UNION SELECT id FROM {s}.c WHERE x = 20", "a: 1; c: 7"),
    "union all": (
        "SELECT id FROM {s}.a WHERE x = 10 UNION ALL SELECT id FROM {s}.c WHERE id = 1",
        "a: 1; c: 1",
    ),
    "union, ordered and limited": (
        "(SELECT id FROM {s}.a) UNION (SELECT id FROM {s}.c) ORDER BY id DESC LIMIT 2",
        "a: 4; c: 7",
    ),
    "intersect": ("SELECT id FROM {s}.a INTERSECT SELECT id FROM {s}.c", "a: 1 3; c: 1 3"),
    "except": ("SELECT id FROM {s}.a EXCEPT SELECT id FROM {s}.c", "a: 2 4"),
    "except, with a rejected row read elsewhere": (
        "SELECT id FROM {s}.a EXCEPT SELECT id FROM {s}.c;;SELECT x FROM {s}.a WHERE id = 3",
        "a: 2 3 4; c: 3",
    ),
    "in": ("SELECT * FROM {s}.a WHERE id IN (SELECT id FROM {s}.b WHERE y > 20)", "a: 2; b: 2.2"),
    "in, nested": (nested(14, "x > 5"), "a: 1 3; c: 1 3"),
    "in, nested, as a test": (f"SELECT EXISTS({nested(14, 'x > 5')} LIMIT 1)", "a: 1; c: 1"),
    "not in, nested": (f"SELECT x FROM {{s}}.a WHERE NOT (id IN ({nested(3, 'x > 15')}))", "a: 1 2 4"),
    "not in, nested, with a rejected row read elsewhere": (
        f"SELECT x FROM {{s}}.a WHERE NOT (id IN ({nested(4, 'x > 5')}));;SELECT x FROM {{s}}.a WHERE id = 1",
        "a: 1 2 4; c: 1",
    ),
    "in, of itself, its rows kept out by another table": (
        "SELECT x FROM {s}.a WHERE x > 15 AND id IN (SELECT id FROM {s}.a WHERE id NOT IN (SELECT id FROM {s}.c))"
        ";;SELECT x FROM {s}.a WHERE id = 1",
        "a: 1 2; c: 1",
    ),
    "in, of rows": ("SELECT * FROM {s}.a WHERE (id, x) IN (SELECT id, x FROM {s}.c)", "a: 1; c: 1"),
    "not in": ("SELECT * FROM {s}.a WHERE id NOT IN (SELECT id FROM {s}.b)", "a: 3 4"),
    # one NULL makes NOT IN unknown for every row: it must stay there for any row of a that is
    "not in, with NULL": ("SELECT * FROM {s}.a WHERE x NOT IN (SELECT x FROM {s}.c)", ""),
    "not in, with NULL, its rows read elsewhere": (
        "SELECT * FROM {s}.a WHERE x NOT IN (SELECT x FROM {s}.c);;SELECT * FROM {s}.a WHERE id = 3",
        "a: 3; c: 3",
    ),
    "exists": (
        "SELECT * FROM {s}.a WHERE EXISTS (SELECT 1 FROM {s}.b WHERE b.id = a.id AND y > 10)",
        "a: 1 2; b: 1.2 2.2",
    ),
    "not exists": ("SELECT * FROM {s}.a WHERE NOT EXISTS (SELECT 1 FROM {s}.b WHERE b.id = a.id)", "a: 3 4"),
    "any": ("SELECT id FROM {s}.a WHERE x > ANY (SELECT x FROM {s}.c WHERE id = 7)", "a: 3; c: 7"),
    "all": ("SELECT id FROM {s}.a WHERE x >= ALL (SELECT x FROM {s}.a WHERE x IS NOT NULL)", "a: 3"),
    "all, with a rejected row read elsewhere": (
        "SELECT id FROM {s}.a WHERE x >= ALL (SELECT y FROM {s}.b WHERE y > 0);;SELECT id FROM {s}.a WHERE id = 1",
        "a: 1 3; b: 1.2",
    ),
    "scalar subquery": (
        "SELECT id FROM {s}.a WHERE x > (SELECT AVG(y) FROM {s}.b WHERE id = 1)",
        "a: 2 3; b: 1.1 1.2",
    ),
    "correlated scalar subquery": (
        "SELECT id, (SELECT SUM(y) FROM {s}.b WHERE b.id = a.id) AS s FROM {s}.a WHERE id < 3",
        "a: 1 2; b: 1.1 1.2 2.1 2.2",
    ),
    "order and limit": ("SELECT id FROM {s}.a ORDER BY x DESC, id LIMIT 1 OFFSET 1", "a: 2 3"),
    "limit of rows with equal values, a subquery about one of them": (
        "SELECT 1 FROM {s}.a WHERE id IN ((SELECT id FROM {s}.c)"
        " UNION ALL (SELECT id FROM {s}.b WHERE b.id = a.id AND n = 1)) ORDER BY id LIMIT 1",
        "a: 1; b: 1.1; c: 1",
    ),
    "limit in a derived table": (
        "SELECT * FROM (SELECT id, x FROM {s}.a ORDER BY id LIMIT 2) d WHERE x > 15",
        "a: 1 2",
    ),
    "derived aggregate": (
        "SELECT a.id, m FROM {s}.a JOIN (SELECT id, MAX(y) m FROM {s}.b GROUP BY id) d"
        " ON d.id = a.id WHERE m > 20",
        "a: 2; b: 2.1 2.2",
    ),
    "cte": (
        "WITH big AS (SELECT id FROM {s}.a WHERE x > 15) SELECT b.* FROM {s}.b JOIN big ON big.id = b.id",
        "a: 2; b: 2.1 2.2",
    ),
    "cte used twice": (
        "WITH v AS (SELECT id, x FROM {s}.a) SELECT p.id FROM v p JOIN v q ON p.x = q.x - 20",
        "a: 1 3",
    ),
    "window": ("SELECT id, n, SUM(y) OVER (PARTITION BY id) FROM {s}.b WHERE id = 1", "b: 1.1 1.2"),
    "window, filtered": (
        "SELECT * FROM (SELECT id, n, ROW_NUMBER() OVER (PARTITION BY id ORDER BY n DESC) r FROM {s}.b) w"
        " WHERE r = 1 AND id = 2",
        "b: 2.1 2.2",
    ),
    "view": ("SELECT id FROM {s}.big WHERE id < 3", "a: 2"),
    "view of a view": ("SELECT * FROM {s}.per_a", "a: 2; b: 2.1 2.2"),
    "case": (
        "SELECT id FROM {s}.a WHERE CASE WHEN id IN (SELECT id FROM {s}.c) THEN x > 15 ELSE id = 2 END",
        "a: 2 3; c: 3",
    ),
    "values": ("SELECT a.id FROM {s}.a JOIN (SELECT 1 AS k UNION SELECT 3) v ON v.k = a.id", "a: 1 3"),
    "table": ("SELECT COUNT(*) FROM {s}.c", "c: 1 3 7"),
    "insert select": ("INSERT INTO {s}.elsewhere (id) SELECT id FROM {s}.a WHERE x = 10", "a: 1"),
    "replace select": ("REPLACE INTO {s}.elsewhere SELECT id FROM {s}.a WHERE x = 20", "a: 2"),
    "comments and hints": (
        "/* mine */ SELECT SQL_NO_CACHE id -- all\n FROM {s}.a USE INDEX (PRIMARY) # of them\n WHERE id = 4",
        "a: 4",
    ),
    "for update": ("SELECT id FROM {s}.a WHERE id = 2 FOR UPDATE", "a: 2"),
    "json_table": (
        "SELECT j.id, k FROM {s}.j, JSON_TABLE(doc, '$[*]' COLUMNS (k INT PATH '$.k')) AS t WHERE k = 2",
        "j: 1",
    ),
    "having on an alias that hides a column": (
        "SELECT id, SUM(y) AS n FROM {s}.b GROUP BY id HAVING n > 20",
        "b: 2.1 2.2",
    ),
    "group order limit": (
        "SELECT id, SUM(y) s FROM {s}.b GROUP BY id ORDER BY s DESC, id LIMIT 1",
        "b: 2.1 2.2",
    ),
}


# MySQL refuses a subquery in JSON_TABLE.
ON_MARIADB: dict[str, tuple[str, str]] = {
    "json_table of a subquery": (
        "SELECT k FROM JSON_TABLE((SELECT doc FROM {s}.j WHERE id = 1), '$[*]' COLUMNS (k INT PATH '$.k')) AS t",
        "j: 1",
    ),
    "json_table of a subquery about the row beside it, with a rejected row read elsewhere": (
        "SELECT a.id FROM {s}.a, JSON_TABLE(COALESCE((SELECT doc FROM {s}.j WHERE j.id = a.id), '[{\"k\": 9}]'),"
        " '$[*]' COLUMNS (k INT PATH '$.k')) AS t WHERE k = 9;;SELECT * FROM {s}.a WHERE id = 1",
        "a: 1 3 4; j: 1",
    ),
}


@pytest.mark.parametrize(
    "name", [*CASES, *(pytest.param(name, marks=pytest.mark.flavor("mariadb")) for name in ON_MARIADB)]
)
def test_rows_of_a_statement(name: str, server: Server, made: str, twin: Twin) -> None:
    text, wanted = {**CASES, **ON_MARIADB}[name]
    found = cut(server, *text.split(";;"))
    assert not found.fallbacks
    rows = {part.split(":")[0].strip(): keyed(part.split(":")[1]) for part in wanted.split(";") if part}
    assert {n.split("`")[3]: keys for n, keys in twin.load(found).items()} == rows
    assert not twin.differences(found)


@pytest.mark.flavor("mysql")
def test_rows_of_mysql_statements(server: Server, made: str, twin: Twin) -> None:
    """LATERAL, TABLE and VALUES ROW() are unknown to MariaDB."""
    for text, wanted in [
        (
            "SELECT a.id, l.y FROM {s}.a, LATERAL (SELECT y FROM {s}.b WHERE b.id = a.id ORDER BY n LIMIT 1) l"
            " WHERE a.id = 1",
            {"a": keyed("1"), "b": keyed("1.1")},
        ),
        ("TABLE {s}.c", {"c": keyed("1 3 7")}),
        ("SELECT a.id FROM {s}.a JOIN (VALUES ROW(1), ROW(2)) v (k) ON v.k = a.id", {"a": keyed("1 2")}),
    ]:
        found = cut(server, text)
        assert not found.fallbacks, text
        loaded = {n.split("`")[3]: keys for n, keys in twin.load(found).items()}
        # a limited LATERAL query counts with all rows that it could read
        assert all(keys <= loaded[name] for name, keys in wanted.items()), text
        assert not twin.differences(found)


# ---------------------------------------------------------------- what a statement's text means

# Written as one text; `; ` or the end of a line ends an expression.
EXPRESSIONS = """
x = 0x0A; x = 10.0; x & 0x02; b'1010' + 0; 0b1010 + 0; 'it''s'; "it's \\"x\\""; 'a\\\\b'; 'a\\%b\\_c'
'\\n\\t\\Z' = '\\n'; 'a' 'b'; t LIKE '%o%'; t LIKE 't\\_o'; t LIKE 't|%' ESCAPE '|'; t NOT LIKE '%o'
t REGEXP '^t'; t NOT REGEXP 'e$'; t RLIKE 'o'; t SOUNDS LIKE 'too'; BINARY t = 'ONE'; t = 'ONE'
t COLLATE utf8mb4_bin = 'ONE'; _utf8mb4'one' = t; _utf8mb4 X'6F6E65' = t; N'one' = t; x || id; x && id; x XOR id
x DIV 3; x MOD 3; x % 3; MOD(x, 3); x <=> NULL; NOT x = 10; !x = 10; - - x; +x; ~x & 255; x ^ 3; x | 1; x << 2
x >> 1; x IS NULL; x IS NOT NULL; x IS TRUE; x IS NOT TRUE; x IS UNKNOWN; ISNULL(x); x BETWEEN 10 AND 20
x NOT BETWEEN 10 AND 20; x IN (10, NULL); x NOT IN (10, 30); IF(x > 10, 'a', 'b'); IFNULL(x, 0); NULLIF(x, 10)
COALESCE(x, id); CASE x WHEN 10 THEN 'x' ELSE 'y' END; CASE WHEN x > 10 THEN 1 END; LOG10(1000); LOG10(1000) = 3
LOG2(8) = 3; LOG(x); LOG(10, 1000); LN(x); EXP(1); POW(x, 2); POWER(x, 0.5); SQRT(x); SIGN(x); ABS(-x)
CEIL(x / 3); CEILING(x / 3); FLOOR(x / 3); ROUND(x / 3, 2); TRUNCATE(x / 3, 1); GREATEST(x, 15); LEAST(x, 15)
CONV(x, 10, 2); BIN(x); HEX(x); HEX(t); UNHEX('41'); OCT(x); FORMAT(x, 2); CRC32(t); MD5(t); SHA1(t)
SHA2(t, 256); LENGTH(t); CHAR_LENGTH(t); OCTET_LENGTH(t); BIT_LENGTH(t); UPPER(t); UCASE(t); LOWER(t); LCASE(t)
ASCII(t); ORD(t); CHAR(65, 66); CHAR(65 USING utf8mb4); QUOTE(t); SPACE(2); STRCMP(t, 'two'); REVERSE(t)
REPEAT(t, 2); LEFT(t, 2); RIGHT(t, 2); SUBSTRING(t, 2); SUBSTRING(t, 2, 1); SUBSTRING(t FROM 2 FOR 1)
SUBSTR(t, -2); MID(t, 2, 1); SUBSTRING_INDEX(t, 'e', 1); LPAD(t, 5, '*'); RPAD(t, 5, '*'); TRIM(t)
TRIM(LEADING 't' FROM t); TRIM(BOTH 'o' FROM t); LTRIM(t); RTRIM(t); LOCATE('e', t); INSTR(t, 'e')
POSITION('e' IN t); FIELD(t, 'two', 'one'); FIND_IN_SET(t, 'a,one'); ELT(2, 'a', t); CONCAT(t, x)
CONCAT_WS('|', t, x); REPLACE(t, 'o', '0'); INSERT(t, 1, 1, 'X'); MAKE_SET(3, 'a', 'b'); CAST(x AS CHAR)
CAST(x AS SIGNED); CAST(x AS UNSIGNED); CAST(x AS UNSIGNED INTEGER); CAST(x AS DECIMAL(8,3)); CAST(x AS DOUBLE)
CAST(t AS BINARY); CAST('2020-01-02' AS DATE); CAST('2020-01-02 03:04:05.678' AS DATETIME(3))
CAST('10:00' AS TIME); CONVERT(x, SIGNED); CONVERT(t USING latin1); CAST(t AS CHAR CHARACTER SET latin1)
DATE '2020-01-31'; TIMESTAMP '2020-01-31 01:02:03.5'; TIME '10:11:12'; DATE '2020-01-31' + INTERVAL 1 MONTH
DATE_ADD('2020-01-31', INTERVAL x DAY); DATE_SUB('2020-01-31', INTERVAL 1 YEAR); ADDDATE('2020-01-31', 3)
ADDDATE('2020-01-31', INTERVAL 3 DAY); SUBDATE('2020-01-31', 3)
'2020-01-01 00:00:00' + INTERVAL '1:30' MINUTE_SECOND; '2020-01-01' - INTERVAL 1.5 SECOND
TIMESTAMPDIFF(SECOND, '2020-01-01', '2020-01-02'); TIMESTAMPDIFF(MONTH, '2020-01-01', '2021-01-02')
TIMESTAMPADD(MINUTE, 3, '2020-01-01'); DATEDIFF('2020-02-01', '2020-01-01'); TIMEDIFF('10:00:00', '09:00:01')
TO_DAYS('2020-01-01'); FROM_DAYS(737790); TO_SECONDS('2020-01-01'); MAKEDATE(2020, 31); MAKETIME(1, 2, 3)
LAST_DAY('2020-02-01'); EXTRACT(YEAR FROM '2020-03-04'); EXTRACT(DAY_HOUR FROM '2020-03-04 05:06')
YEAR('2020-03-04'); MONTH('2020-03-04'); DAY('2020-03-04'); DAYOFMONTH('2020-03-04'); DAYOFWEEK('2020-03-04')
DAYOFYEAR('2020-03-04'); WEEK('2020-03-04'); WEEK('2020-03-04', 1); WEEKDAY('2020-03-04')
WEEKOFYEAR('2020-03-04'); YEARWEEK('2020-03-04'); QUARTER('2020-03-04'); DAYNAME('2020-03-04')
MONTHNAME('2020-03-04'); HOUR('05:06:07'); MINUTE('05:06:07'); SECOND('05:06:07'); MICROSECOND('05:06:07.8')
DATE_FORMAT('2020-03-04 05:06:07', '%Y-%m-%d %H:%i:%s')
DATE_FORMAT('2020-03-04 15:06:07', '%M %e, %y %k %l %p %j %U %W %a %b %c %D %f %h %I %r %T %u %v %x %%')
STR_TO_DATE('04,3,2020', '%d,%m,%Y'); TIME_FORMAT('15:06:07', '%h %i'); FROM_UNIXTIME(0, '%Y')
UNIX_TIMESTAMP('2020-01-01'); FROM_UNIXTIME(86400); SEC_TO_TIME(3661); TIME_TO_SEC('01:01:01')
CONVERT_TZ('2020-01-01', '+00:00', '+01:00'); DATE('2020-03-04 05:06'); TIME('2020-03-04 05:06')
JSON_EXTRACT('{"a": {"b c": [1, 2]}}', '$.a."b c"[1]'); JSON_UNQUOTE(JSON_EXTRACT('{"a": "x"}', '$.a'))
JSON_VALUE('{"a": 3}', '$.a'); JSON_CONTAINS('[1, 2]', '1'); JSON_LENGTH('[1, 2]'); JSON_KEYS('{"a": 1}')
JSON_OBJECT('a', x); JSON_ARRAY(x, t); JSON_SET('{"a": 1}', '$.a', 2); JSON_TYPE('[1]')
JSON_SEARCH('["x"]', 'one', 'x'); JSON_VALID(t); (id, x) = (1, 10); ROW(id, x) IN ((1, 10), (2, 20))
(id, x) > (1, 5); x = 10 = 1; 1 < 2 < 3; 3 > 2 > 1; 7 DIV 2 * 2; 1 - 2 - 3; 2 * (3 + 4) % 5; -2 ^ 2
1e3 + .5 + 1.; x / 4; 1.10 + 2.205; TRUE + TRUE; INET_ATON('1.2.3.4'); BIT_COUNT(x); PI(); ATAN2(1, x)
INTERVAL(x, 5, 15, 25); RAND(id) < 2; '2020-01-01' + INTERVAL '1.5' HOUR; '2020-01-01' - INTERVAL -1.5 HOUR
DATE_ADD('2020-01-01', INTERVAL '1.5' DAY); TIMESTAMPADD(HOUR, '1.5', '2020-01-01'); INTERVAL 1 DAY + '2020-01-01'
'2020-01-01' + INTERVAL x | 1 DAY; '2020-01-01' + INTERVAL 1.5 HOUR; 1 + INTERVAL(x, 15, 25) * 2
CAST(CAST(0.1 AS FLOAT) AS REAL); CONVERT(CAST(0.1 AS FLOAT), REAL)
"""
AGGREGATES = """
COUNT(*); COUNT(x); COUNT(DISTINCT x); COUNT(DISTINCT x, t); SUM(x); AVG(x); MIN(t); MAX(x); SUM(DISTINCT x)
STD(x); STDDEV(x); STDDEV_POP(x); STDDEV_SAMP(x); VARIANCE(x); VAR_POP(x); VAR_SAMP(x); BIT_AND(x); BIT_OR(x)
BIT_XOR(x); GROUP_CONCAT(t ORDER BY id DESC SEPARATOR ';'); GROUP_CONCAT(DISTINCT t, x ORDER BY 1)
GROUP_CONCAT(DISTINCT LEFT('123', id - 1), SUBSTRING('123', id))
GROUP_CONCAT(t, x ORDER BY 2 DESC); GROUP_CONCAT(t ORDER BY id DESC LIMIT 1)
GROUP_CONCAT(t ORDER BY id SEPARATOR '/' LIMIT 1, 1); GROUP_CONCAT(t ORDER BY id SEPARATOR '/' LIMIT 1 OFFSET 1)
GROUP_CONCAT(x); JSON_ARRAYAGG(x); JSON_OBJECTAGG(id, x); MAX(x) - MIN(x) > 5; COUNT(IF(x > 10, 1, NULL))
SUM(CASE WHEN x > 10 THEN x END)
"""


@pytest.mark.parametrize("sort", ["rows", "groups"])
def test_expressions_keep_their_meaning(sort: str, catalog: Catalog, server: Server) -> None:
    """Parsed, resolved and written again, every expression has the value that it had, of the same type."""
    texts, tail = (EXPRESSIONS, "ORDER BY a.id") if sort == "rows" else (AGGREGATES, "GROUP BY x > 15")
    expressions = set(texts.strip().replace("\n", "; ").split("; "))
    wrong, refused = [], 0
    with server.connect(conv={}, use_unicode=False) as connection, connection.cursor() as cursor:
        for expression in expressions:
            text = f"SELECT {expression} AS v FROM `{SCHEMA}`.`a` {tail}"
            try:
                cursor.execute(text)
            except Exception:
                refused += 1  # it is the other server's
                continue
            wanted = cursor.fetchall(), cursor.description[0][1]
            rewritten = to_sql(simplify(resolve(parse(text), catalog)), MYSQL)
            try:
                cursor.execute(rewritten)
                if (cursor.fetchall(), cursor.description[0][1]) != wanted:
                    wrong.append(f"{expression}: {rewritten}")
            except Exception as error:
                wrong.append(f"{expression}: {error}")
    assert not wrong, "\n".join(wrong)
    assert refused <= 3


# ---------------------------------------------------------------- fall-backs, marks, order


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT lineage_lab.secret(x) FROM {s}.a", "stored function"),
        ("SELECT secret(x) FROM {s}.a WHERE id = 1", "the stored function secret may write"),
        ("SELECT * FROM {s}.a PROCEDURE ANALYSE(10)", ""),
        ("SELECT nonsense FROM {s}.a", "'nonsense'"),
        ("SELECT * FROM {s}.a LIMIT ?", "plain number"),
    ],
)
def test_what_is_not_analysed_falls_back_to_whole_tables(text: str, reason: str, catalog: Catalog) -> None:
    lineage = analyse(text.replace("{s}", f"`{SCHEMA}`"), catalog)
    assert lineage.fallback is not None and reason in lineage.fallback
    assert [(leaf.table.name, leaf.sql) for leaf in lineage.leaves] == [("a", None)]


def test_fallbacks_of_a_slice(server: Server, made: str) -> None:
    text = "SELECT id FROM {s}.a WHERE id = (SELECT MAX(id) FROM {s}.a) AND DEFAULT(x) IS NULL"
    found = cut(server, text)
    (report,) = found.fallbacks
    assert report.fallback and report.unsent  # it was not understood, so it is not sent again
    assert found.tables[f"`{made}`.`a`"].rows == 4
    assert found.tables[f"`{made}`.`a`"].reasons == {"all rows (statement not analysed)": 4}
    with pytest.raises(LineageError, match=r"Statement 1 cannot be analysed.*strict=True"):
        cut(server, text, strict=True)


def test_a_table_without_a_schema_in_a_text_that_cannot_be_parsed(server: Server, made: str) -> None:
    """It counts with all rows, as one with its schema does. A CTE and a column are none."""
    text = "WITH d AS (SELECT id FROM c) SELECT a.id, x FROM {s}.a, {OJ b LEFT JOIN d ON d.id = b.id} WHERE a.id = b.id"
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"USE {made}")
        cursor.execute(text.replace("{s}", made))
        assert cursor.fetchall() == ((1, 10), (1, 10), (2, 20), (2, 20))
    found = cut(server, text, database=made)
    assert {name: table.rows for name, table in found.tables.items()} == {
        f"`{made}`.`a`": 4,
        f"`{made}`.`b`": 5,
        f"`{made}`.`c`": 3,
    }


def test_tables_that_cannot_be_told(catalog: Catalog, server: Server, made: str) -> None:
    with pytest.raises(LineageError, match="no table can be told"):
        named_tables("SELECT FROM WHERE ((")
    with pytest.raises(LineageError, match="`gone` is not in the database"):
        cut(server, "SELECT * FROM {s}.gone")
    assert named_tables("SELECT * FROM lab.`#t` WHERE x IN (SELECT y FROM `o'ne`.`t``wo`)") == [
        ("lab", "#t"),
        ("o'ne", "t`wo"),
    ]


def lineage(catalog: Catalog, text: str) -> Lineage:
    found = analyse(text.replace("{s}", f"`{SCHEMA}`"), catalog)
    assert found.fallback is None, found.fallback
    return found


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("SELECT x FROM {s}.a WHERE id > 1", ""),
        ("SELECT NOW() FROM {s}.a", "now"),
        ("SELECT id FROM {s}.a WHERE CURDATE() > '2020-01-01' AND CURRENT_TIMESTAMP(3) > 0", "now"),
        ("SELECT id FROM {s}.a WHERE x < (SELECT UNIX_TIMESTAMP())", "now"),
        ("SELECT UNIX_TIMESTAMP('2020-01-01'), RAND(id) FROM {s}.a", ""),
        ("SELECT id FROM {s}.a ORDER BY RAND()", "rand"),
        ("SELECT RAND(3), id FROM {s}.a", "rand"),  # a sequence over the rows
        ("SELECT UUID(), CONNECTION_ID() FROM {s}.a", "rand session"),
        ("SELECT @n + 1, @@version FROM {s}.a", "session variable"),
        ("SELECT id FROM {s}.a LIMIT 2", "limit"),
        ("SELECT id FROM {s}.a ORDER BY x LIMIT 2", "limit"),
        ("SELECT id FROM {s}.a ORDER BY x, id LIMIT 2", ""),
        ("SELECT * FROM (SELECT x FROM {s}.a LIMIT 1) d", "limit"),
        ("SELECT COUNT(*) FROM {s}.a LIMIT 1", ""),
    ],
)
def test_marks(text: str, marks: str, catalog: Catalog) -> None:
    assert lineage(catalog, text).marks == set(marks.split())


@pytest.mark.parametrize(
    ("text", "ordered"),
    [
        ("SELECT * FROM {s}.a", False),
        ("SELECT * FROM {s}.a ORDER BY id", True),
        ("SELECT * FROM {s}.a ORDER BY x", False),
        ("SELECT * FROM {s}.a ORDER BY x DESC, id DESC", True),
        ("SELECT * FROM {s}.a ORDER BY id + 1", False),
        ("SELECT * FROM {s}.b ORDER BY n", False),
        ("SELECT * FROM {s}.b WHERE id = 1 ORDER BY n", True),
        ("SELECT * FROM {s}.b WHERE id = 1 OR n = 1 ORDER BY n", False),
        ("SELECT a.x, y FROM {s}.a JOIN {s}.b ON a.id = b.id ORDER BY b.id, n", True),
        ("SELECT a.x, y FROM {s}.a JOIN {s}.b ON a.id = b.id ORDER BY a.id, n", True),
        ("SELECT a.x, y FROM {s}.a JOIN {s}.b ON a.id = b.id ORDER BY a.id", False),
        ("SELECT * FROM {s}.a LEFT JOIN {s}.c ON a.id = c.id ORDER BY c.id", False),
        ("SELECT * FROM {s}.a LEFT JOIN {s}.c ON a.id = c.id ORDER BY a.id", True),
        ("SELECT id, COUNT(*) FROM {s}.b GROUP BY id ORDER BY id", True),
        ("SELECT id, COUNT(*) AS n FROM {s}.b GROUP BY id ORDER BY n", False),
        ("SELECT DISTINCT x FROM {s}.a ORDER BY x", True),
        ("SELECT COUNT(*) FROM {s}.a", True),
        ("SELECT id FROM {s}.a UNION SELECT id FROM {s}.c ORDER BY id", True),
        ("SELECT id FROM {s}.a UNION ALL SELECT id FROM {s}.c ORDER BY id", False),
        ("SELECT * FROM (SELECT id, x FROM {s}.a) d ORDER BY 1", True),
        ("SELECT * FROM (SELECT * FROM {s}.b ORDER BY id, n LIMIT 2) d ORDER BY d.n, d.id", True),
        ("SELECT * FROM (SELECT * FROM {s}.b ORDER BY id, n LIMIT 2) d ORDER BY d.n, d.y", False),
        ("SELECT * FROM (SELECT * FROM {s}.b WHERE id = 1 ORDER BY n LIMIT 2) d ORDER BY d.n", True),
        (
            "SELECT * FROM (SELECT a.x, b.* FROM {s}.a JOIN {s}.b USING (id) LIMIT 2) d ORDER BY d.id, d.n",
            True,
        ),
        ("SELECT * FROM (SELECT b.* FROM {s}.a JOIN {s}.b LIMIT 2) d ORDER BY d.id, d.n", False),
        ("SELECT EXISTS (SELECT 1 FROM {s}.a)", True),
    ],
)
def test_order(text: str, ordered: bool, catalog: Catalog) -> None:
    assert lineage(catalog, text).ordered is ordered


def test_what_reads_nothing(catalog: Catalog) -> None:
    for text in ("INSERT INTO x VALUES (1)", "SELECT 1", "SELECT 1 FROM DUAL"):
        found = analyse(text, catalog)
        assert (found.leaves, found.tables, found.fallback) == ((), (), None)


def test_insert_select_is_replayed_as_its_select(catalog: Catalog) -> None:
    found = lineage(
        catalog, "INSERT INTO other.t (id) SELECT id FROM {s}.a WHERE x = 10 ON DUPLICATE KEY UPDATE id = 1"
    )
    assert found.sql == "SELECT id FROM `lineage_lab`.a WHERE x = 10" and not found.own and not found.answers
    assert [table.name for table in found.tables] == ["a"]


def test_tables_that_are_only_named(catalog: Catalog) -> None:
    """A server may want to see a table that a statement names and reads no row of."""
    for sql in (
        f"WITH w AS (SELECT * FROM {SCHEMA}.b) SELECT * FROM {SCHEMA}.c",
        f"WITH RECURSIVE w AS (SELECT * FROM {SCHEMA}.b), r AS (SELECT x FROM {SCHEMA}.c UNION SELECT x FROM r)"
        " SELECT * FROM r",
    ):
        found = analyse(sql, catalog)
        assert {table.name for table in found.tables} == {"b", "c"}


# A condition on a, b or c, and whether it is merged: the semijoin of a table with itself is then its condition.
ITSELF = {
    "a WHERE id IN (SELECT id FROM {s}.a WHERE x > 15)": True,
    "a AS one WHERE one.id IN (SELECT two.id FROM {s}.a AS two WHERE two.x > one.id)": True,
    "b WHERE (n, id) IN (SELECT n, id FROM {s}.b WHERE id IN (SELECT id FROM {s}.c))": True,
    "a WHERE x = 3 OR id IN (SELECT id FROM {s}.a WHERE x > 15)": False,
    "a WHERE NOT (id IN (SELECT id FROM {s}.a WHERE x > 15))": False,
    "a WHERE x IN (SELECT x FROM {s}.a WHERE x > 15)": False,
    "a WHERE (id, x) IN (SELECT id, x FROM {s}.a WHERE id < 3)": False,
    "b WHERE id IN (SELECT id FROM {s}.b WHERE n > 1)": False,
    "b WHERE (id, n) IN (SELECT n, id FROM {s}.b WHERE n > 1)": False,
    "a WHERE id IN (SELECT id FROM {s}.a WHERE id NOT IN (SELECT id FROM {s}.c))": False,
    "a WHERE id IN (SELECT MIN(id) FROM {s}.a)": False,
    "a LEFT JOIN {s}.c USING (id) WHERE a.id IN (SELECT id FROM {s}.a WHERE x > 15)": False,
}


@pytest.mark.parametrize("text", ITSELF)
def test_a_semijoin_of_a_table_with_itself(text: str, catalog: Catalog) -> None:
    name = text[0]
    found = analyse(f"SELECT 1 FROM {{s}}.{text}".replace("{s}", SCHEMA), catalog)
    assert found.query is not None
    tables = [base.table.name for base in occurrences(found.query)]
    assert (tables.count(name) == 1) == ITSELF[text], to_sql(found.query, MYSQL)


def test_nested_semijoins_are_one_query(catalog: Catalog) -> None:
    """However deep they are: the key of the row at the top has those of all rows below."""
    text = f"SELECT EXISTS({nested(14, 'x > 5')} LIMIT 1)".replace("{s}", SCHEMA)
    found = analyse(text, catalog)
    assert found.fallback is None
    assert len(found.leaves) == 14
    (sql,) = {leaf.sql for leaf in found.leaves}
    assert sql is not None and len(sql) < len(text)
    assert [leaf.along for leaf in found.leaves] == [None, *[(0,)] * 13]
    assert {leaf.own_sql for leaf in found.leaves} == {
        sql,
        f"SELECT `{found.leaves[1].columns[0]}` FROM ({sql}) AS `rows~`",
    }


def test_levels_are_analysed_once(catalog: Catalog) -> None:
    """Statements that have a subquery in common share its tree; what it needs is as without."""
    levels = Levels(catalog, PLAIN)
    inner = nested(3, "x > 5").replace("{s}", SCHEMA)
    texts = [f"SELECT {name} FROM {SCHEMA}.c WHERE id IN ({inner})" for name in ("id", "x")]
    one, other = [tree for tree, _, _ in filter(None, map(levels.of, texts))]
    assert one is not other and one.children[0] is other.children[0]
    twice = f"WITH w AS ({texts[0]}) SELECT 1 FROM w JOIN w AS v ON w.id = v.id"
    for text in [*texts, twice, f"SELECT x FROM {SCHEMA}.a WHERE NOT (id IN ({inner})) AND id IN ({inner})"]:
        shared, whole = analyse_levels(text, levels, "data"), analyse(text, catalog)
        assert shared is not None
        assert [(leaf.table, leaf.along) for leaf in shared.leaves] == [
            (leaf.table, leaf.along) for leaf in whole.leaves
        ]
        assert len(shared.witnesses) == len(whole.witnesses)
        assert shared.query is not None and len(set(shared.query.aliases)) == len(shared.query.aliases)
        assert replace(shared, leaves=(), witnesses=(), query=None) == replace(
            whole, leaves=(), witnesses=(), query=None
        )


@pytest.mark.parametrize(
    "text",
    [
        "SELECT x FROM {s}.a WHERE id IN (SELECT id FROM c)",  # a CTE or a table: the text around it tells
        "SELECT x FROM {s}.a WHERE id IN (SELECT id FROM {s}.c WHERE c.x = a.x)",  # of the outer query
        "SELECT x FROM {s}.a WHERE id IN (SELECT id FROM {s}.c) -- IN (SELECT",
        "SELECT x FROM {s}.a WHERE id IN (SELECT id FROM {s}.c FOR UPDATE)",
        "SELECT x FROM {s}.a",
    ],
)
def test_no_levels(text: str, catalog: Catalog) -> None:
    assert analyse_levels(text.replace("{s}", SCHEMA), Levels(catalog, PLAIN), "data") is None


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (replace(PLAIN, problem="SET x = y: it was set from a result"), "session cannot be set again"),
        (replace(PLAIN, names=frozenset({"system_versioning_asof"})), "at another time"),
        (replace(PLAIN, temporary=frozenset({(SCHEMA, "c")})), "temporary table `c`"),
        (replace(PLAIN, modes=frozenset({"PAD_CHAR_TO_FULL_LENGTH"})), "PAD_CHAR_TO_FULL_LENGTH"),
        (replace(PLAIN, unknown={"*": "a procedure set it"}), "@least"),
        (replace(PLAIN, limit=3), ""),
    ],
)
def test_no_levels_in_a_session_that_is_gone(session: Session, reason: str, catalog: Catalog) -> None:
    """What `analyse` refuses is refused in levels too."""
    text = f"SELECT x FROM {SCHEMA}.a WHERE x > @least AND id IN (SELECT id FROM {SCHEMA}.c)"
    assert analyse_levels(text, Levels(catalog, session), "data") is None
    try:
        said = analyse(text, catalog, session=session).fallback or ""
    except LineageError as error:
        said = str(error)
    assert reason in said


def test_literals_that_are_names_of_columns(server: Server, made: str) -> None:
    """Statements of a shape are analysed without their literals, but a literal without an alias is a name too."""
    joined = "(SELECT id, 10 FROM {s}.a) AS d NATURAL LEFT JOIN (SELECT id, x AS `10` FROM {s}.c) AS e"
    common = f"SELECT d.id FROM {joined} WHERE e.id IS NULL AND d.id IN (SELECT id FROM {{s}}.a)"
    assert sorted(cut(server, common).keys(f"`{SCHEMA}`.`a`")) == [(2,), (3,), (4,)]
    quoted = "SELECT 'a`b', COUNT(*) FROM {s}.a WHERE id IN (SELECT id FROM {s}.c) GROUP BY x LIMIT 3"
    found = cut(server, quoted)
    assert not found.fallbacks and sorted(found.keys(f"`{SCHEMA}`.`a`")) == [(1,), (3,)]


def test_a_key_that_reads_like_a_place_in_a_query(server: Server, made: str) -> None:
    names = [f"{SCHEMA}.{name}" for name in ("k", "bad")]
    with server.connect() as connection, connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"CREATE TABLE {name} (id VARCHAR(30) PRIMARY KEY)")
            cursor.execute(f"INSERT INTO {name} VALUES ('`{KEYS}`'), ('z')")
        connection.commit()
        found = cut(
            server, "SELECT id FROM {s}.k WHERE id NOT IN (SELECT id FROM {s}.bad)", "SELECT * FROM {s}.k"
        )
        cursor.execute(f"DROP TABLE {', '.join(names)}")
    assert sorted(found.keys(f"`{SCHEMA}`.`bad`")) == [(f"`{KEYS}`",), ("z",)]


def test_exists_asks_for_one_witness(catalog: Catalog) -> None:
    (leaf,) = analyse(
        f"SELECT EXISTS(SELECT 1 FROM `{SCHEMA}`.`b` WHERE y > 1)", catalog, kind="exists"
    ).leaves
    assert "LIMIT 1" in (leaf.sql or "")
    (leaf,) = analyse(f"SELECT EXISTS(SELECT 1 FROM `{SCHEMA}`.`b` WHERE y > 1)", catalog).leaves
    assert "LIMIT" not in (leaf.sql or "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT 1 FROM {s}.`b` WHERE y > 1 LIMIT 1", True),
        ("SELECT 1 FROM {s}.`b` WHERE y > 1 LIMIT 1 OFFSET 1", False),
        ("SELECT 1 FROM {s}.`b` LIMIT 0", False),
        ("SELECT COUNT(*) FROM {s}.`b`", False),
        ("SELECT 1 FROM {s}.`b` WHERE RAND() < y", False),
        ("SELECT 1 FROM {s}.`b` UNION SELECT 2", False),
    ],
)
def test_whether_a_key_tells_that_something_exists(catalog: Catalog, text: str, told: bool) -> None:
    found = analyse(f"SELECT EXISTS({text})".replace("{s}", f"`{SCHEMA}`"), catalog, kind="exists")
    assert found.exists == told


# ---------------------------------------------------------------- examples in the documentation


@pytest.mark.parametrize("name", [m.name for m in pkgutil.walk_packages(dj_sqlspy.__path__, "dj_sqlspy.")])
def test_examples_in_docstrings(name: str) -> None:
    if not name.endswith("__main__"):
        assert doctest.testmod(importlib.import_module(name)).failed == 0
