"""Every construct of SELECT, each with an example on `small_lab`, and what is expected of it.

In: nothing. Out: `CONSTRUCTS`, and `page`, the text of docs/constructs.md. "exact": lineage names the rows that the
result depends on. "marked …": exact too, but the result can change by itself. Anything else is the reason for which
all rows of the tables that the statement names are exported; "-" where the server does not have the construct.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

EXACT = "exact"
NONE = "-"


@dataclass(frozen=True)
class Construct:
    section: str
    name: str
    example: str  # with lab as the name of the database schema
    mysql: str = EXACT
    mariadb: str = EXACT

    @property
    def postgresql(self) -> str:
        return ON_POSTGRESQL.get(self.name, EXACT)

    def expected(self, flavor: str) -> str:
        return {"mysql": self.mysql, "mariadb": self.mariadb, "postgresql": self.postgresql}[flavor]


def _section(title: str, *rows: tuple[str, ...]) -> Iterator[Construct]:
    for name, example, *expected in rows:
        if len(expected) == 1:
            expected = expected * 2
        yield Construct(title, name, example, *expected)


S = "lab.session AS s"
U = "lab.subject AS u"

CONSTRUCTS = (
    *_section(
        "Joins",
        ("JOIN … ON, any condition", f"SELECT * FROM {U} JOIN {S} ON u.subject = s.subject AND s.score > 5"),
        (
            "INNER JOIN, not equal",
            f"SELECT u.subject, s.session FROM {U} INNER JOIN {S} ON u.subject < s.subject",
        ),
        ("comma", f"SELECT u.species, s.day FROM {U}, {S} WHERE u.subject = s.subject"),
        (
            "comma with JOIN, which binds more",
            f"SELECT * FROM lab.probe AS p, {U} RIGHT JOIN {S} ON u.subject = s.subject AND u.weight > 22",
        ),
        ("JOIN … USING", "SELECT * FROM lab.subject JOIN lab.session USING (subject) WHERE score = 5"),
        ("NATURAL JOIN", "SELECT * FROM lab.subject NATURAL JOIN lab.session WHERE session = 2"),
        ("NATURAL LEFT JOIN", "SELECT * FROM lab.subject NATURAL LEFT JOIN lab.subject__note"),
        (
            "LEFT JOIN",
            f"SELECT u.subject, s.score FROM {U} LEFT JOIN {S} ON s.subject = u.subject AND s.score > 5",
        ),
        ("LEFT JOIN … IS NULL", f"SELECT u.* FROM {U} LEFT JOIN {S} USING (subject) WHERE s.session IS NULL"),
        ("RIGHT JOIN", f"SELECT u.subject, s.* FROM {S} RIGHT JOIN {U} ON s.subject = u.subject"),
        ("NATURAL RIGHT JOIN", "SELECT * FROM lab.subject__note NATURAL RIGHT JOIN lab.subject"),
        (
            "RIGHT JOIN … USING … IS NULL",
            f"SELECT u.* FROM {S} RIGHT JOIN {U} USING (subject) WHERE s.day IS NULL",
        ),
        ("CROSS JOIN", f"SELECT COUNT(*) FROM {U} CROSS JOIN lab.`#species` AS x WHERE x.legs = 2"),
        ("STRAIGHT_JOIN", f"SELECT u.subject FROM {U} STRAIGHT_JOIN {S} ON u.subject = s.subject"),
        ("self-join", "SELECT a.probe FROM lab.probe AS a JOIN lab.probe AS b ON a.follows = b.probe"),
        (
            "joins in parentheses",
            f"SELECT u.subject, s.day FROM {U} LEFT JOIN ({S} JOIN lab.probe AS p ON p.owner = s.subject)"
            " ON s.subject = u.subject",
        ),
        (
            "LATERAL",
            f"SELECT u.subject, d.best FROM {U}, LATERAL (SELECT MAX(score) AS best FROM {S}"
            " WHERE s.subject = u.subject) AS d",
            EXACT,
            NONE,
        ),
        (
            "LEFT JOIN LATERAL … LIMIT",
            f"SELECT u.subject, d.session FROM {U} LEFT JOIN LATERAL (SELECT s.session FROM {S}"
            " WHERE s.subject = u.subject ORDER BY s.session DESC LIMIT 1) AS d ON TRUE",
            EXACT,
            NONE,
        ),
        (
            "LATERAL first in parentheses of joined tables",
            f"SELECT u.subject FROM {U} JOIN (LATERAL (SELECT s.day FROM {S} WHERE s.subject = u.subject) AS d"
            " JOIN lab.probe AS p) ON p.owner = u.subject",
            EXACT,
            NONE,
        ),
    ),
    *_section(
        "Derived tables and CTEs",
        ("derived table", f"SELECT d.n FROM (SELECT subject, COUNT(*) AS n FROM {S} GROUP BY subject) AS d"),
        (
            "derived table in a derived table",
            "SELECT * FROM (SELECT subject FROM (SELECT * FROM lab.subject WHERE weight > 21) AS a) AS b",
        ),
        (
            "column names of a derived table",
            f"SELECT d.a FROM (SELECT subject, score FROM {S}) AS d (a, b) WHERE d.b = 5",
            EXACT,
            NONE,
        ),
        (
            "derived table that refers to the query around",
            f"SELECT u.subject FROM {U} WHERE EXISTS (SELECT 1 FROM (SELECT s.score FROM {S}"
            " WHERE s.subject = u.subject) AS d WHERE d.score > 6)",
            EXACT,
            NONE,
        ),
        (
            "CTE",
            f"WITH good AS (SELECT * FROM {S} WHERE score > 4) SELECT subject FROM good WHERE session = 1",
        ),
        (
            "CTE used twice, with column names",
            f"WITH g (who, n) AS (SELECT subject, score FROM {S}) SELECT a.who FROM g AS a JOIN g AS b"
            " ON a.n < b.n",
        ),
        (
            "CTE in a CTE, and in a subquery",
            f"WITH a AS (SELECT * FROM {S}), b AS (SELECT subject FROM a WHERE score > 5)"
            f" SELECT * FROM {U} WHERE u.subject IN (WITH c AS (SELECT owner FROM lab.probe) SELECT owner FROM c)"
            " AND EXISTS (SELECT 1 FROM b WHERE b.subject = u.subject)",
        ),
        (
            "recursive CTE (all rows of the tables in it)",
            "WITH RECURSIVE chain AS (SELECT probe FROM lab.probe WHERE follows IS NULL UNION ALL"
            " SELECT p.probe FROM lab.probe AS p JOIN chain AS c ON p.follows = c.probe)"
            f" SELECT u.subject FROM {U} JOIN chain ON chain.probe = u.subject",
        ),
        (
            "recursive CTE of numbers",
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4)"
            f" SELECT n.i, COUNT(s.session) FROM n LEFT JOIN {S} ON s.subject = n.i GROUP BY n.i",
        ),
    ),
    *_section(
        "Set operations",
        ("UNION", "SELECT subject FROM lab.session UNION SELECT owner FROM lab.probe"),
        ("UNION ALL", "SELECT subject FROM lab.session UNION ALL SELECT owner FROM lab.probe"),
        (
            "UNION ALL, then UNION",
            "SELECT subject FROM lab.session UNION ALL SELECT owner FROM lab.probe UNION SELECT 4",
        ),
        ("INTERSECT", "SELECT subject FROM lab.session INTERSECT SELECT owner FROM lab.probe"),
        ("INTERSECT ALL", "SELECT subject FROM lab.session INTERSECT ALL SELECT owner FROM lab.probe"),
        ("EXCEPT", "SELECT subject FROM lab.subject EXCEPT SELECT owner FROM lab.probe"),
        ("EXCEPT ALL", "SELECT subject FROM lab.session EXCEPT ALL SELECT owner FROM lab.probe"),
        (
            "EXCEPT of a number and a text",
            "SELECT subject FROM lab.subject EXCEPT SELECT text FROM lab.subject__note",
        ),
        (
            "precedence and parentheses",
            "(SELECT subject FROM lab.subject) EXCEPT ((SELECT owner FROM lab.probe) UNION"
            " (SELECT subject FROM lab.session WHERE score > 8))",
        ),
        (
            "ORDER BY and LIMIT over a set operation",
            "SELECT subject FROM lab.session UNION SELECT owner FROM lab.probe ORDER BY 1 DESC LIMIT 2",
        ),
        (
            "LIMIT in a branch",
            "(SELECT subject FROM lab.session ORDER BY subject, session LIMIT 2) UNION ALL"
            " (SELECT owner FROM lab.probe WHERE probe = 4)",
        ),
        (
            "set operation in EXISTS",
            "SELECT EXISTS(SELECT 5 FROM lab.probe INTERSECT SELECT score FROM lab.session)",
        ),
        (
            "EXCEPT, correlated",
            f"SELECT * FROM {U} WHERE EXISTS (SELECT s.subject FROM {S} WHERE s.subject = u.subject EXCEPT"
            " SELECT p.owner FROM lab.probe AS p)",
        ),
        (
            "EXCEPT ALL, correlated (all rows that it could read)",
            f"SELECT * FROM {U} WHERE NOT EXISTS (SELECT s.score FROM {S} WHERE s.subject = u.subject EXCEPT ALL"
            " SELECT p.owner FROM lab.probe AS p)",
        ),
        (
            "UNION … LIMIT, correlated",
            f"SELECT u.subject, (SELECT s.score FROM {S} WHERE s.subject = u.subject UNION SELECT p.probe"
            f" FROM lab.probe AS p WHERE p.owner = u.subject ORDER BY 1 LIMIT 1) AS least FROM {U}",
        ),
    ),
    *_section(
        "Subqueries in conditions",
        ("IN", f"SELECT * FROM {U} WHERE u.subject IN (SELECT subject FROM {S} WHERE score = 5)"),
        (
            "IN, correlated",
            f"SELECT * FROM {U} WHERE 5 IN (SELECT score FROM {S} WHERE s.subject = u.subject)",
        ),
        ("NOT IN", f"SELECT * FROM {U} WHERE u.subject NOT IN (SELECT subject FROM {S})"),
        ("NOT IN with NULLs", f"SELECT * FROM {U} WHERE u.subject NOT IN (SELECT owner FROM lab.probe)"),
        (
            "NOT IN, correlated",
            f"SELECT * FROM {U} WHERE 5 NOT IN (SELECT score FROM {S} WHERE s.subject = u.subject)",
        ),
        (
            "NOT over IN, under OR",
            f"SELECT * FROM {U} WHERE u.weight > 100 OR NOT (u.subject IN (SELECT subject FROM {S}))",
        ),
        ("= ANY", f"SELECT * FROM {U} WHERE u.subject = ANY (SELECT subject FROM {S} WHERE score > 5)"),
        ("< SOME", f"SELECT * FROM {U} WHERE u.subject < SOME (SELECT owner FROM lab.probe)"),
        (">= ALL", f"SELECT * FROM {S} WHERE s.score >= ALL (SELECT score FROM {S} WHERE score IS NOT NULL)"),
        ("<> ALL", f"SELECT * FROM {U} WHERE u.subject <> ALL (SELECT subject FROM {S})"),
        (
            "= ANY, correlated",
            f"SELECT * FROM {U} WHERE 5 = ANY (SELECT score FROM {S} WHERE s.subject = u.subject)",
        ),
        (
            "> ALL, correlated",
            f"SELECT * FROM {U} WHERE u.weight > ALL (SELECT score + 15 FROM {S} WHERE s.subject = u.subject)",
        ),
        ("EXISTS", f"SELECT * FROM {U} WHERE EXISTS (SELECT 1 FROM {S} WHERE s.subject = u.subject)"),
        ("EXISTS with LIMIT", "SELECT EXISTS(SELECT 1 FROM lab.session WHERE score > 5 LIMIT 1)"),
        ("EXISTS, not correlated", f"SELECT * FROM {U} WHERE EXISTS (SELECT 1 FROM {S} WHERE s.score = 7)"),
        ("NOT EXISTS", f"SELECT * FROM {U} WHERE NOT EXISTS (SELECT 1 FROM {S} WHERE s.subject = u.subject)"),
        (
            "NOT EXISTS, not correlated",
            f"SELECT * FROM {U} WHERE NOT EXISTS (SELECT 1 FROM {S} WHERE s.score = 7)",
        ),
        (
            "EXISTS with GROUP BY … HAVING",
            f"SELECT * FROM {U} WHERE EXISTS (SELECT s.subject FROM {S} WHERE s.subject = u.subject"
            " GROUP BY s.subject HAVING COUNT(*) > 1)",
        ),
        (
            "row constructor IN",
            f"SELECT * FROM {U} WHERE (u.subject, u.species) IN (SELECT owner, 'mouse' FROM lab.probe)",
        ),
        (
            "row constructor = ANY, <> ALL",
            f"SELECT * FROM {U} WHERE (u.subject, 1) = ANY (SELECT s.subject, s.session FROM {S})"
            " AND (u.subject, 2) <> ALL (SELECT t.subject, t.session FROM lab.session AS t)",
        ),
        (
            "row constructor NOT IN, with NULLs",
            f"SELECT * FROM {S} WHERE (s.subject, s.score) NOT IN (SELECT owner, follows + 4 FROM lab.probe)",
        ),
        ("row constructor, compared", f"SELECT * FROM {S} WHERE (s.subject, s.session) = (3, 1)"),
        (
            "row of a subquery",
            f"SELECT * FROM {S} WHERE (s.subject, s.session) = (SELECT MAX(subject), 1 FROM lab.session)",
        ),
        (
            "nested negation",
            f"SELECT * FROM {U} WHERE NOT EXISTS (SELECT 1 FROM {S} WHERE s.subject = u.subject AND NOT EXISTS"
            " (SELECT 1 FROM lab.probe AS p WHERE p.owner = s.subject))",
        ),
    ),
    *_section(
        "Scalar subqueries",
        (
            "in SELECT",
            f"SELECT u.subject, (SELECT MAX(score) FROM {S} WHERE s.subject = u.subject) AS m FROM {U}",
        ),
        ("in WHERE", f"SELECT * FROM {S} WHERE s.score > (SELECT AVG(score) FROM lab.session)"),
        (
            "in WHERE, correlated",
            f"SELECT * FROM {S} WHERE s.score = (SELECT MAX(t.score) FROM lab.session AS t"
            " WHERE t.subject = s.subject)",
        ),
        ("IN as a value", f"SELECT u.subject, u.subject IN (SELECT p.owner FROM lab.probe AS p) FROM {U}"),
        (
            "NOT EXISTS as a value",
            f"SELECT u.subject, NOT EXISTS (SELECT 1 FROM {S} WHERE s.subject = u.subject) FROM {U}",
        ),
        (
            "ALL as a value, below another SELECT",
            f"SELECT d.subject FROM (SELECT u.subject, u.subject < ALL (SELECT s.score FROM {S} WHERE s.session = 1)"
            f" AS few FROM {U}) AS d WHERE d.few IS NOT TRUE",
        ),
        (
            "NOT IN as a value by which is ordered",
            f"SELECT u.subject FROM {U} ORDER BY u.subject NOT IN (SELECT p.owner FROM lab.probe AS p), u.subject"
            " LIMIT 2",
        ),
        (
            "more than MIN, correlated",
            f"SELECT * FROM {S} WHERE s.score > (SELECT MIN(t.score) FROM lab.session AS t"
            " WHERE t.subject = s.subject)",
        ),
        (
            "in ON",
            f"SELECT u.subject, s.score FROM {U} LEFT JOIN {S} ON s.subject = u.subject AND s.score <"
            " (SELECT MAX(score) FROM lab.session)",
        ),
        (
            "in GROUP BY",
            f"SELECT COUNT(*) FROM {U} GROUP BY (SELECT COUNT(*) FROM {S} WHERE s.subject = u.subject)",
        ),
        (
            "in HAVING",
            f"SELECT s.subject FROM {S} GROUP BY s.subject HAVING COUNT(*) > (SELECT COUNT(*) FROM lab.probe"
            " WHERE owner = 1) - 1",
        ),
        (
            "in ORDER BY",
            f"SELECT u.subject FROM {U} ORDER BY (SELECT COUNT(*) FROM {S} WHERE s.subject = u.subject),"
            " u.subject LIMIT 2",
        ),
        (
            "in CASE",
            f"SELECT u.subject, CASE WHEN u.weight > (SELECT AVG(weight) FROM lab.subject) THEN 'big' END FROM {U}",
        ),
        ("compared with <=>", f"SELECT * FROM {S} WHERE s.score <=> (SELECT MIN(follows) FROM lab.probe)"),
        ("alone", "SELECT (SELECT COUNT(*) FROM lab.session), (SELECT MIN(probe) FROM lab.probe)"),
        (
            "in an aggregate",
            f"SELECT SUM((SELECT COUNT(*) FROM {S} WHERE s.subject = u.subject)) FROM {U} WHERE u.weight < 100",
        ),
        (
            "in a window",
            f"SELECT u.subject, RANK() OVER (ORDER BY (SELECT COUNT(*) FROM {S} WHERE s.subject = u.subject)) FROM {U}",
        ),
        (
            "with LIMIT, correlated",
            f"SELECT u.subject, (SELECT s.score FROM {S} WHERE s.subject = u.subject ORDER BY s.session DESC LIMIT 1)"
            f" AS latest FROM {U}",
        ),
    ),
    *_section(
        "Boolean logic",
        (
            "subquery under OR",
            f"SELECT * FROM {U} WHERE u.weight > 100 OR u.subject IN (SELECT owner FROM lab.probe)",
        ),
        (
            "subquery under NOT",
            f"SELECT * FROM {U} WHERE NOT (u.weight > 100 OR u.subject IN (SELECT subject FROM {S}))",
        ),
        (
            "subquery in CASE",
            f"SELECT * FROM {U} WHERE CASE WHEN EXISTS (SELECT 1 FROM {S} WHERE s.subject = u.subject) THEN 1"
            " ELSE u.weight > 20 END",
        ),
        ("subquery in IF()", f"SELECT IF(u.subject IN (SELECT owner FROM lab.probe), 'p', '-') FROM {U}"),
        (
            "XOR",
            f"SELECT * FROM {U} WHERE (u.weight > 21) XOR (u.subject NOT IN (SELECT subject FROM {S}))",
        ),
        (
            "IS TRUE, IS NOT FALSE, IS NULL",
            f"SELECT * FROM {U} WHERE (u.subject IN (SELECT owner FROM lab.probe)) IS NULL",
        ),
        ("&& || !", f"SELECT * FROM {U} WHERE ! (u.weight > 100 || u.species = 'rat') && u.dob IS NOT NULL"),
    ),
    *_section(
        "Groups",
        (
            "GROUP BY",
            f"SELECT s.subject, MAX(s.score), COUNT(*) FROM {S} WHERE s.session = 1 GROUP BY s.subject",
        ),
        (
            "GROUP BY expression, alias, position",
            f"SELECT MONTH(s.day) AS m, COUNT(*) FROM {S} GROUP BY m, 1",
        ),
        ("WITH ROLLUP", f"SELECT s.subject, SUM(s.score) FROM {S} GROUP BY s.subject WITH ROLLUP"),
        (
            "ROLLUP (…)",
            f"SELECT s.subject, s.session, SUM(s.score) FROM {S} GROUP BY ROLLUP (s.subject, s.session)",
            EXACT,
            NONE,
        ),
        (
            "GROUPING",
            f"SELECT s.subject, GROUPING(s.subject), SUM(s.score) FROM {S} GROUP BY s.subject WITH ROLLUP"
            " HAVING GROUPING(s.subject) = 1 OR SUM(s.score) > 6",
            EXACT,
            NONE,
        ),
        ("HAVING", f"SELECT s.subject FROM {S} GROUP BY s.subject HAVING SUM(s.score) > 5 AND s.subject < 3"),
        ("HAVING with an alias", f"SELECT s.subject, COUNT(*) AS n FROM {S} GROUP BY s.subject HAVING n > 1"),
        (
            "HAVING with an alias of a key",
            f"SELECT s.score % 4 AS q, COUNT(*) AS n FROM {S} GROUP BY q HAVING q > 0 AND q < n",
        ),
        ("HAVING without GROUP BY", f"SELECT s.subject, s.score + 1 AS x FROM {S} HAVING x > 6"),
        ("HAVING of an aggregate over all rows", f"SELECT COUNT(*) FROM {S} HAVING COUNT(*) > 100"),
        (
            "HAVING that rejects groups below another SELECT",
            f"SELECT COUNT(*) FROM (SELECT s.subject FROM {S} GROUP BY s.subject HAVING MAX(s.score) > 8) AS d",
        ),
        ("aggregate over all rows", f"SELECT COUNT(*), MIN(s.day), AVG(s.score) FROM {S} WHERE s.score > 5"),
        ("DISTINCT", f"SELECT DISTINCT s.subject FROM {S}"),
        ("COUNT(DISTINCT …)", f"SELECT COUNT(DISTINCT s.subject), COUNT(DISTINCT s.day, s.score) FROM {S}"),
        (
            "GROUP_CONCAT",
            f"SELECT GROUP_CONCAT(s.score ORDER BY s.score SEPARATOR '-') FROM {S} GROUP BY s.subject",
        ),
        (
            "aggregate of an aggregate",
            f"SELECT MAX(d.n) FROM (SELECT COUNT(*) AS n FROM {S} GROUP BY s.subject) AS d",
        ),
    ),
    *_section(
        "Window functions",
        (
            "PARTITION BY",
            f"SELECT s.subject, SUM(s.score) OVER (PARTITION BY s.subject) FROM {S} WHERE s.session = 1",
        ),
        ("ORDER BY", f"SELECT s.subject, RANK() OVER (ORDER BY s.score) FROM {S}"),
        (
            "frame",
            "SELECT SUM(s.score) OVER (ORDER BY s.subject, s.session"
            f" ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {S}",
        ),
        (
            "named window",
            f"SELECT MAX(s.score) OVER w, MIN(s.score) OVER w FROM {S} WINDOW w AS (PARTITION BY s.subject)",
        ),
        (
            "first of each group",
            f"SELECT d.subject FROM (SELECT s.*, ROW_NUMBER() OVER (PARTITION BY s.subject ORDER BY s.session) AS r"
            f" FROM {S}) AS d WHERE d.r = 1",
        ),
        ("over groups", f"SELECT s.subject, SUM(COUNT(*)) OVER () FROM {S} GROUP BY s.subject"),
    ),
    *_section(
        "ORDER BY and LIMIT",
        ("ORDER BY … LIMIT", f"SELECT * FROM {S} ORDER BY s.subject DESC, s.session LIMIT 2"),
        ("LIMIT … OFFSET", f"SELECT * FROM {S} ORDER BY s.subject, s.session LIMIT 2 OFFSET 1"),
        ("LIMIT offset, count", f"SELECT * FROM {S} ORDER BY s.subject, s.session LIMIT 1, 2"),
        (
            "LIMIT in a derived table",
            f"SELECT d.score FROM (SELECT * FROM {S} ORDER BY s.subject, s.session LIMIT 3) AS d WHERE d.score > 5",
        ),
        (
            "LIMIT in a CTE, and outside",
            f"WITH d AS (SELECT * FROM {S} ORDER BY s.subject, s.session LIMIT 4 OFFSET 1)"
            " SELECT d.score FROM d ORDER BY d.score DESC, d.subject, d.session LIMIT 2",
        ),
        ("LIMIT over groups", f"SELECT s.subject FROM {S} GROUP BY s.subject ORDER BY s.subject LIMIT 1"),
        ("LIMIT over DISTINCT", f"SELECT DISTINCT s.day FROM {S} ORDER BY s.day LIMIT 2"),
        (
            "FETCH FIRST",
            f"SELECT * FROM {S} ORDER BY s.subject, s.session FETCH FIRST 2 ROWS ONLY",
            NONE,
            EXACT,
        ),
        (
            "OFFSET … FETCH NEXT",
            f"SELECT * FROM {S} ORDER BY s.subject, s.session OFFSET 1 ROW FETCH NEXT ROW ONLY",
            NONE,
            EXACT,
        ),
        (
            "FETCH … WITH TIES",
            f"SELECT * FROM {S} ORDER BY s.score FETCH FIRST 2 ROWS WITH TIES",
            NONE,
            "FETCH … WITH TIES is not analysed",
        ),
        ("LIMIT without a total order", f"SELECT s.day FROM {S} ORDER BY s.score LIMIT 2", "marked limit"),
        ("ORDER BY alias, position, expression", f"SELECT s.score AS x FROM {S} ORDER BY -x, 1, s.day"),
    ),
    *_section(
        "Rows without a table, views",
        (
            "JSON_TABLE of a column",
            "SELECT p.probe, j.site FROM lab.probe AS p, JSON_TABLE(p.sites, '$[*]' COLUMNS (site INT PATH '$')) AS j"
            " WHERE j.site > 1",
        ),
        (
            "JSON_TABLE of a literal",
            f"SELECT u.* FROM {U} JOIN JSON_TABLE('[1, 4]', '$[*]' COLUMNS (n INT PATH '$')) AS j ON j.n = u.subject",
        ),
        (
            "LEFT JOIN JSON_TABLE",
            "SELECT p.probe, j.site FROM lab.probe AS p LEFT JOIN"
            " JSON_TABLE(p.sites, '$[*]' COLUMNS (site INT PATH '$')) AS j ON j.site < 3",
        ),
        (
            "VALUES ROW(…)",
            f"SELECT u.species, v.tag FROM {U} JOIN (VALUES ROW(1, 'a'), ROW(3, 'b')) AS v (n, tag) ON v.n = u.subject",
            EXACT,
            NONE,
        ),
        (
            "VALUES (…)",
            "WITH v (n, tag) AS (VALUES (1, 'a'), (3, 'b'))"
            f" SELECT u.species, v.tag FROM {U} JOIN v ON v.n = u.subject",
            NONE,
            EXACT,
        ),
        ("TABLE", "TABLE lab.session", EXACT, NONE),
        ("VALUES of subqueries", "VALUES ROW((SELECT MAX(s.score) FROM lab.session AS s), 1)", EXACT, NONE),
        (
            "(VALUES) of subqueries",
            "VALUES ((SELECT MAX(s.score) FROM lab.session AS s WHERE s.subject = 1), 1)",
            NONE,
            EXACT,
        ),
        (
            "VALUES of subqueries in FROM",
            "SELECT v.n FROM (VALUES ROW((SELECT s.score FROM lab.session AS s WHERE s.subject = 1"
            " ORDER BY s.session LIMIT 1)), ROW(3)) AS v (n) WHERE v.n > 1",
            EXACT,
            NONE,
        ),
        (
            "JSON_TABLE of a subquery",
            "SELECT j.site FROM JSON_TABLE((SELECT p.sites FROM lab.probe AS p WHERE p.probe = 1), '$[*]'"
            " COLUMNS (site INT PATH '$')) AS j",
            NONE,
            EXACT,
        ),
        (
            "brackets",
            f"SELECT u.subject, s.score FROM ({U} JOIN ({S} CROSS JOIN lab.`#species` AS k) ON s.subject = u.subject)"
            " WHERE k.species = u.species",
        ),
        ("SELECT without FROM, DUAL", "SELECT 1 + 1 AS two FROM DUAL"),
        ("view", "SELECT * FROM lab.adults WHERE species = 'mouse'"),
        ("view on a view", "SELECT n FROM lab.counted WHERE species = 'rat'"),
        (
            "view joined",
            f"SELECT a.subject, s.score FROM lab.adults AS a LEFT JOIN {S} ON s.subject = a.subject",
        ),
    ),
    *_section(
        "Locks, comments, hints",
        ("FOR UPDATE", f"SELECT * FROM {S} WHERE s.score = 5 FOR UPDATE"),
        ("FOR SHARE", f"SELECT * FROM {S} WHERE s.score = 5 FOR SHARE", EXACT, NONE),
        ("LOCK IN SHARE MODE", f"SELECT * FROM {S} WHERE s.score = 5 LOCK IN SHARE MODE"),
        ("FOR UPDATE SKIP LOCKED", f"SELECT * FROM {S} WHERE s.score = 5 FOR UPDATE SKIP LOCKED"),
        ("comments", f"SELECT /* the ; 'best' */ s.score -- of all\nFROM {S} # really\nWHERE s.score > 6"),
        ("executed comment", f"SELECT /*! STRAIGHT_JOIN */ s.score FROM {S} WHERE s.score > 6"),
        ("optimizer hint", f"SELECT /*+ NO_ICP(s) */ s.score FROM {S} WHERE s.score > 6"),
        ("index hint", f"SELECT s.score FROM {S} FORCE INDEX FOR JOIN (PRIMARY) WHERE s.subject = 1"),
        (
            "SQL_NO_CACHE, HIGH_PRIORITY",
            f"SELECT HIGH_PRIORITY SQL_NO_CACHE s.score FROM {S} WHERE s.subject = 1",
        ),
    ),
    *_section(
        "Names, types, collations",
        ("unquoted", "SELECT score FROM lab.session WHERE session.subject = 1"),
        ("schema.table.column", "SELECT lab.session.score FROM lab.session WHERE lab.session.subject = 1"),
        ("without a schema (after USE)", "SELECT score FROM session WHERE subject = 1"),
        ("columns in another case", "SELECT S.`SCORE`, S.Subject FROM lab.session AS S WHERE S.SUBJECT = 1"),
        ("# in a name", "SELECT `legs` FROM `lab`.`#species` WHERE species = 'bird'"),
        ("alias as a reserved word", "SELECT s.`score` AS `key` FROM lab.`session` AS s HAVING `key` = 5"),
        (
            "key = 1, an unquoted reserved word",
            "SELECT d.n FROM (SELECT probe AS `key`, owner AS n FROM lab.probe) AS d WHERE d.key=1",
        ),
        ("text without regard to case", f"SELECT u.subject FROM {U} WHERE u.species = 'MOUSE'"),
        ("COLLATE, BINARY", f"SELECT u.subject FROM {U} WHERE u.species COLLATE utf8mb4_bin = 'mouse'"),
        (
            "reference in another case",
            "SELECT x.legs FROM lab.`#species` AS x JOIN lab.subject AS u USING (species)",
        ),
        ("table without a primary key", "SELECT l.text FROM lab.log_by_hand AS l WHERE l.subject = 1"),
        ("INTERVAL, dates", f"SELECT * FROM {S} WHERE s.day + INTERVAL 1 DAY > DATE '2020-02-03'"),
        ("JSON ->", "SELECT p.sites->'$[0]' FROM lab.probe AS p WHERE p.sites->>'$[0]' = '1'", EXACT, NONE),
        ("LIKE, REGEXP", f"SELECT * FROM {U} WHERE u.species LIKE 'm%' OR u.species REGEXP '^r'"),
    ),
    *_section(
        "What can change by itself",
        ("NOW()", f"SELECT s.score FROM {S} WHERE s.day < NOW()", "marked now"),
        ("RAND()", f"SELECT s.score FROM {S} WHERE RAND() < 2", "marked rand"),
        ("UUID()", f"SELECT UUID() IS NOT NULL, s.score FROM {S}", "marked rand"),
        ("user variable", f"SELECT s.score FROM {S} WHERE s.score > IFNULL(@least, 0)", "marked variable"),
        ("CONNECTION_ID()", f"SELECT s.score FROM {S} WHERE CONNECTION_ID() > 0", "marked session"),
    ),
    *_section(
        "Not analysed",
        (
            "stored function",
            f"SELECT u.subject, lab.twice(u.subject) FROM {U}",
            "what the stored function lab.twice(u.subject) reads cannot be told from the statement",
        ),
        (
            "a text literal compared with a text column after an aggregate",
            f"SELECT u.subject FROM {U} WHERE u.species NOT IN (SELECT MAX('rat') FROM {S} GROUP BY s.subject)",
            "the server refuses the rewritten statement: Illegal mix of collations",
            EXACT,
        ),
    ),
    *_section(
        "PostgreSQL's own",
        (
            "FULL JOIN",
            f"SELECT u.subject, s.score FROM {U} FULL JOIN {S} ON s.subject = u.subject AND s.score > 5",
            NONE,
        ),
        (
            "FULL JOIN … USING",
            f"SELECT subject, n FROM {S} FULL JOIN lab.subject__note AS n USING (subject)",
            NONE,
        ),
        (
            "FULL JOIN … IS NULL",
            f"SELECT s.score FROM {U} FULL JOIN {S} ON s.score = u.subject WHERE u.subject IS NULL",
            NONE,
        ),
        (
            "DISTINCT ON",
            f"SELECT DISTINCT ON (s.subject) s.subject, s.score FROM {S} ORDER BY s.subject, s.session DESC",
            NONE,
        ),
        (
            "DISTINCT ON without a total order",
            f"SELECT DISTINCT ON (s.subject) s.day FROM {S} ORDER BY s.subject",
            NONE,
        ),
        (
            "FILTER",
            f"SELECT s.subject, COUNT(*) FILTER (WHERE s.score > 5) FROM {S} GROUP BY s.subject",
            NONE,
        ),
        (
            "FILTER with HAVING",
            f"SELECT s.subject FROM {S} GROUP BY s.subject HAVING COUNT(*) FILTER (WHERE s.score > 5) = 0",
            NONE,
        ),
        (
            "GROUP BY ROLLUP",
            f"SELECT s.subject, GROUPING(s.subject), COUNT(*) FROM {S} GROUP BY ROLLUP (s.subject, s.day)",
            EXACT,
            NONE,
        ),
        (
            "GROUP BY CUBE",
            f"SELECT s.subject, s.day, MAX(s.score) FROM {S} GROUP BY CUBE (s.subject, s.day)",
            NONE,
        ),
        (
            "GROUPING SETS",
            f"SELECT s.subject, s.day, COUNT(*) FROM {S} GROUP BY GROUPING SETS ((s.subject), (s.day), ())"
            " HAVING COUNT(*) > 1",
            NONE,
        ),
        ("GROUP BY (a, b)", f"SELECT s.subject, s.day FROM {S} GROUP BY (s.subject, s.day)", NONE),
        ("OFFSET without LIMIT", f"SELECT s.score FROM {S} ORDER BY s.subject, s.session OFFSET 2", NONE),
        (
            "NULLS FIRST",
            f"SELECT s.score FROM {S} ORDER BY s.score NULLS FIRST, s.subject, s.session LIMIT 2",
            NONE,
        ),
        (
            "generate_series",
            f"SELECT n, COUNT(s.score) FROM generate_series(1, 4) AS n LEFT JOIN {S} ON s.subject = n GROUP BY n",
            NONE,
        ),
        (
            "unnest of an array",
            f"SELECT u.species, v.n FROM {U} JOIN unnest(ARRAY[u.subject, 3]) AS v (n) ON v.n > 1",
            NONE,
        ),
        (
            "jsonb_array_elements of a column",
            "SELECT p.probe, e FROM lab.probe AS p, jsonb_array_elements(p.sites) AS e WHERE e > '1'",
            NONE,
        ),
        (
            "a function that returns rows in SELECT",
            f"SELECT s.subject, generate_series(1, s.session) FROM {S} WHERE s.score > 6",
            NONE,
        ),
        (
            "several functions that return rows in SELECT",
            f"SELECT s.*, unnest(ARRAY[s.session, s.score]) + 1, generate_series(1, s.session) FROM {S}"
            " WHERE s.session = 1 ORDER BY 2",
            NONE,
        ),
        (
            "GROUP BY a function that returns rows",
            "SELECT jsonb_array_elements(p.sites) AS e, COUNT(*) FROM lab.probe AS p GROUP BY e"
            " HAVING MIN(p.probe) = 1",
            NONE,
        ),
        (
            "NOT IN a function that returns rows",
            "SELECT * FROM lab.subject AS u WHERE u.subject NOT IN"
            f" (SELECT unnest(ARRAY[s.subject, s.session]) FROM {S} WHERE s.score = 5)",
            NONE,
        ),
        (
            "a function that returns rows, for each group",
            f"SELECT s.subject, unnest(array_agg(s.score)) FROM {S} GROUP BY s.subject",
            NONE,
        ),
        (
            "a function that returns rows, beside a window",
            f"SELECT generate_series(1, 2), RANK() OVER (ORDER BY s.score) FROM {S}",
            NONE,
        ),
        (
            "ROWS FROM",
            "SELECT p.probe, r.b FROM lab.probe AS p, ROWS FROM (jsonb_array_elements(p.sites),"
            " generate_series(1, p.probe)) WITH ORDINALITY AS r (a, b, c) WHERE r.c = 2",
            NONE,
        ),
        (
            "WITH ORDINALITY",
            "SELECT p.probe, e.o FROM lab.probe AS p, jsonb_array_elements(p.sites) WITH ORDINALITY AS e (v, o)",
            NONE,
        ),
        ("row values compared in order", f"SELECT * FROM {S} WHERE (s.subject, s.session) < (3, 2)"),
        (
            "arrays",
            f"SELECT (ARRAY[s.score, 0])[1] FROM {S} WHERE ARRAY[s.score] && ARRAY[5, 7]"
            " AND s.subject = ANY (ARRAY[1, 2])",
            NONE,
        ),
        (
            "JSON operators",
            "SELECT p.sites -> 0, p.sites #>> '{1}' FROM lab.probe AS p WHERE p.sites @> '[1]'",
            NONE,
        ),
        (
            "IS DISTINCT FROM",
            f"SELECT * FROM {S} WHERE s.score IS DISTINCT FROM (SELECT MIN(p.follows) FROM lab.probe AS p)",
            NONE,
        ),
        ("BETWEEN SYMMETRIC", f"SELECT s.score FROM {S} WHERE s.score BETWEEN SYMMETRIC 6 AND 4", NONE),
        ("casts", f"SELECT s.score::text, s.day::timestamp FROM {S} WHERE s.score::numeric(6,2) > 5", NONE),
        (
            "INTERVAL '…'",
            f"SELECT s.score FROM {S} WHERE s.day + INTERVAL '1 day 2 hours' > DATE '2020-02-03'",
            NONE,
        ),
        (
            "EXTRACT",
            f"SELECT EXTRACT(MONTH FROM s.day), COUNT(*) FROM {S} GROUP BY EXTRACT(MONTH FROM s.day)",
        ),
        (
            "string_agg … ORDER BY",
            f"SELECT string_agg(s.score::text, '-' ORDER BY s.score) FROM {S} GROUP BY s.subject",
            NONE,
        ),
        (
            "percentile_cont … WITHIN GROUP",
            f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s.score) FROM {S}",
            NONE,
        ),
        (
            "ILIKE, SIMILAR TO, ~",
            f"SELECT u.subject FROM {U} WHERE u.species ILIKE 'M%' OR u.species SIMILAR TO 'r%' OR u.species ~ '^b'",
            NONE,
        ),
        (
            "WITH … AS MATERIALIZED",
            f"WITH good AS MATERIALIZED (SELECT * FROM {S} WHERE score > 4) SELECT subject FROM good",
            NONE,
        ),
        ("TABLESAMPLE", "SELECT subject FROM lab.session TABLESAMPLE BERNOULLI (50) REPEATABLE (3)", NONE),
        ("ctid", f"SELECT s.subject FROM {S} WHERE s.ctid > '(0,2)' ORDER BY s.ctid", NONE),
        (
            "names for the columns of a table",
            "SELECT x.a, x.score FROM lab.session AS x (a, b) WHERE x.b = 1 AND day IS NOT NULL",
            NONE,
        ),
        (
            "names for the first columns of a CTE and of a derived table",
            f"WITH g (a) AS (SELECT subject, score FROM {S}) SELECT x.b FROM g AS x (b) JOIN"
            " (SELECT owner, probe FROM lab.probe) AS d (c) ON d.c = x.b AND d.probe < x.score",
            NONE,
        ),
        ("ONLY", "SELECT subject FROM ONLY lab.session WHERE score > 5", NONE),
        (
            "?, ?| and ?&",
            "SELECT p.probe FROM lab.probe AS p WHERE NOT p.sites ? 'x' OR p.sites ?& ARRAY['y']",
            NONE,
        ),
        ("@@", "SELECT p.probe FROM lab.probe AS p WHERE p.sites @@ '$[0] > 1'", NONE),
        (
            "a JSON operator in the argument of a function",
            "SELECT jsonb_typeof(p.sites -> 0) FROM lab.probe AS p WHERE p.probe < 3",
            NONE,
        ),
        (
            "ARRAY(SELECT …)",
            f"SELECT u.subject, ARRAY(SELECT s.score FROM {S} WHERE s.subject = u.subject ORDER BY 1) FROM {U}"
            f" WHERE NOT u.subject = ANY (ARRAY(SELECT p.owner FROM lab.probe AS p))",
            NONE,
        ),
        (
            "ranges",
            f"SELECT int4range(s.session, s.score) FROM {S} WHERE int4range(s.session, s.score) && '[6,9)'::int4range",
            NONE,
        ),
        (
            "arguments with names",
            f"SELECT s.day + make_interval(days => s.session) FROM {S} WHERE s.score = 5",
            NONE,
        ),
        (
            "EXCLUDE, GROUPS, named windows",
            f"SELECT s.subject, SUM(s.score) OVER (w ROWS 1 PRECEDING EXCLUDE CURRENT ROW), COUNT(*) OVER (ORDER BY"
            f" s.day GROUPS 1 PRECEDING) FROM {S} WINDOW w AS (PARTITION BY s.subject ORDER BY s.session)",
            NONE,
        ),
    ),
)
# What PostgreSQL makes of them; "exact", if they are not here.
ON_POSTGRESQL: dict[str, str] = {
    **dict.fromkeys(
        (
            "STRAIGHT_JOIN",
            "LATERAL first in parentheses of joined tables",
            "EXCEPT of a number and a text",
            "compared with <=>",
            "subquery in CASE",
            "subquery in IF()",
            "XOR",
            "&& || !",
            "GROUP BY expression, alias, position",
            "WITH ROLLUP",
            "GROUPING",
            "HAVING with an alias",
            "HAVING with an alias of a key",
            "HAVING without GROUP BY",
            "COUNT(DISTINCT …)",
            "GROUP_CONCAT",
            "LIMIT offset, count",
            "ORDER BY alias, position, expression",
            "JSON_TABLE of a column",
            "JSON_TABLE of a literal",
            "LEFT JOIN JSON_TABLE",
            "VALUES ROW(…)",
            "VALUES of subqueries",
            "VALUES of subqueries in FROM",
            "JSON_TABLE of a subquery",
            "SELECT without FROM, DUAL",
            "LOCK IN SHARE MODE",
            "comments",
            "index hint",
            "SQL_NO_CACHE, HIGH_PRIORITY",
            "without a schema (after USE)",
            "columns in another case",
            "alias as a reserved word",
            "COLLATE, BINARY",
            "INTERVAL, dates",
            "LIKE, REGEXP",
            "RAND()",
            "UUID()",
            "user variable",
            "CONNECTION_ID()",
            "stored function",
        ),
        NONE,
    ),
    "LIMIT without a total order": "marked limit",
    "NOW()": "marked now",
    "DISTINCT ON without a total order": "marked limit",
    "a function that returns rows, for each group": "a function that returns rows for each group is not analysed",
    "a function that returns rows, beside a window": "a function that returns rows beside a window function or",
    "TABLESAMPLE": "which rows TABLESAMPLE takes depends on where they are stored",
    "ctid": "ctid tells where a row is stored, or when, which is not the same in a copy",
}


def page() -> str:
    """Text of docs/constructs.md."""
    lines = [
        "# Constructs of SELECT",
        "",
        "`tests/test_constructs.py` (`test_postgresql_constructs.py`) runs, slices, loads and replays each statement",
        "below on MySQL, MariaDB and PostgreSQL, alone and with statements that bring further rows into the slice.",
        "This page is written from the same list. On PostgreSQL names stand in its own quotes.",
        "",
        "- **exact**: the slice holds the rows that the result depends on ([semantics](semantics.md)).",
        "- **marked**: exact, but the result can change by itself, so its replay is reported apart.",
        "- **all rows**: the statement is not analysed for the reason given; all rows of the tables that it names are",
        "  exported, and the report says so. With `strict=True` that is an error.",
        "- **-**: this server does not have it, or writes it in another way.",
        "",
    ]
    section = ""
    for each in CONSTRUCTS:
        if each.section != section:
            section = each.section
            lines += [f"## {section}", "", "| construct | example | MySQL | MariaDB | PostgreSQL |"]
            lines.append("|---|---|---|---|---|")
        name, example = (text.replace("|", "\\|").replace("\n", " ⏎ ") for text in (each.name, each.example))
        last = each is CONSTRUCTS[-1]
        shown = " | ".join(map(_shown, (each.mysql, each.mariadb, each.postgresql)))
        lines.append(f"| {name} | `` {example} `` | {shown} |")
        if last or CONSTRUCTS[CONSTRUCTS.index(each) + 1].section != section:
            lines.append("")
    return "\n".join(lines)


def _shown(expected: str) -> str:
    if expected in (EXACT, NONE) or expected.startswith("marked"):
        return expected
    return f"all rows: {expected}"
