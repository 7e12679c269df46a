"""Features of tables, views and functions that labs' schemas have, one or two tables each.

In: nothing. Out: `FEATURES`, each with the servers that have it, the statements that make it and rows for it, and
statements that read it. ``T`` stands for its table, ``SCHEMA`` for the schema of all. `test_features` takes each from
every server to every other.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.kinds import MYSQL, NEW, OLD

MARIADB = (OLD, NEW)
ALL = (OLD, NEW, MYSQL)


@dataclass(frozen=True)
class Feature:
    """Something that a schema can have.

    Attributes
    ----------
    name : str
    servers : tuple of str
        Those that have it.
    made : tuple of str
        Statements that make it, and rows.
    reads : tuple of str
        Statements whose results must be the same everywhere.
    collation : bool
        Whether it is one, so that it counts what that becomes.
    """

    name: str
    servers: tuple[str, ...]
    made: tuple[str, ...]
    reads: tuple[str, ...] = ("SELECT * FROM T",)
    collation: bool = False


_TO_A_PART = (
    "CREATE TABLE T (a INT, b INT, PRIMARY KEY (a, b))",
    "CREATE TABLE T_child (c INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES T (a))",
    "INSERT INTO T VALUES (1, 1), (1, 2)",
    "INSERT INTO T_child VALUES (1, 1)",
)

_NAMING = ("SELECT id, SCHEMA.T_same('é') AS a, SCHEMA.T_same('e') AS b FROM T", "SELECT id FROM T_found")


def _naming(collation: str) -> tuple[str, ...]:
    """A function and a view with a collation that no column has."""
    return (
        "CREATE TABLE T (id INT PRIMARY KEY, x VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)",
        "INSERT INTO T VALUES (1, 'é'), (2, 'e'), (3, 'é ')",
        f"CREATE FUNCTION SCHEMA.T_same(x VARCHAR(9) CHARACTER SET utf8mb4 COLLATE {collation}) RETURNS INT"
        " DETERMINISTIC NO SQL RETURN x = 'É'",
        f"CREATE VIEW T_found AS SELECT id FROM T WHERE x COLLATE {collation} = 'É'",
    )


FEATURES: tuple[Feature, ...] = (
    # ------------------------------------------------------------ types
    Feature(
        "numbers, times and bytes",
        ALL,
        (
            "CREATE TABLE T (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, a TINYINT, b SMALLINT(5)"
            " UNSIGNED ZEROFILL,"
            " c DECIMAL(20, 6), d DOUBLE, e FLOAT, f BIT(9), g YEAR, h DATE, i DATETIME(6), j TIME(3), k"
            " BINARY(4),"
            " l VARBINARY(9), m LONGBLOB, n BOOLEAN, o TIMESTAMP(3) NULL)",
            "INSERT INTO T VALUES (18446744073709551615, -128, 42, -12345678901234.567891, 1e-300,"
            " 16777216, b'100000001',"
            " 2024, '2024-02-29', '9999-12-31 23:59:59.999999', '-838:59:58.999', X'00', X'FF00',"
            " X'005C27', TRUE,"
            " '2038-01-19 03:14:07.999')",
        ),
        ("SELECT id, a, b, c, d, e * 1e0, f + 0, g, h, i, j, HEX(k), HEX(l), HEX(m), n, o FROM T",),
    ),
    Feature(
        "DECIMAL with more than 30 decimals",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, d DECIMAL(65, 38))",
            "INSERT INTO T VALUES (1, 1.5)",
        ),
    ),
    Feature(
        "enumerations, sets and JSON",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, e ENUM('it''s', 'b\\\\c', 'ä😀'), s SET('x', 'y', 'z')"
            " DEFAULT 'x', j JSON)",
            "INSERT INTO T VALUES (1, 'it''s', 'x,z', '{\"a\": [1, 2.5, \"é\"]}'), (2, 'b\\\\c', '', NULL)",
        ),
        ("SELECT * FROM T WHERE e <> 'x'", "SELECT id FROM T WHERE JSON_EXTRACT(j, '$.a[1]') = 2.5"),
    ),
    Feature(
        "UUID",
        MARIADB,
        (
            "CREATE TABLE T (u UUID PRIMARY KEY)",
            "INSERT INTO T VALUES ('123e4567-e89b-12d3-a456-426655440000')",
        ),
    ),
    Feature(
        "INET4 and INET6",
        MARIADB,
        (
            "CREATE TABLE T (i INET6 PRIMARY KEY, j INET4)",
            "INSERT INTO T VALUES ('2001:db8::1', '127.0.0.1')",
        ),
    ),
    Feature(
        "VECTOR",
        (NEW, MYSQL),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, v VECTOR(2) NOT NULL)",
            "INSERT INTO T VALUES (1, X'0000803F000000C0')",
        ),
        ("SELECT id, HEX(v) FROM T",),
    ),
    Feature(
        "vector index",
        (NEW,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, v VECTOR(2) NOT NULL, VECTOR INDEX (v))",
            "INSERT INTO T VALUES (1, X'0000803F000000C0')",
        ),
        ("SELECT id, HEX(v) FROM T",),
    ),
    Feature(
        "points and polygons",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, p POINT NOT NULL, g GEOMETRYCOLLECTION, SPATIAL KEY (p))",
            "INSERT INTO T VALUES (1, POINT(1, 2.5), ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1))'))",
        ),
        ("SELECT id, ST_AsText(p), ST_AsText(g), ST_SRID(p), HEX(ST_AsBinary(p)) FROM T",),
    ),
    Feature(
        "SRID of a column",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, p POINT NOT NULL SRID 3857)",
            "INSERT INTO T VALUES (1, ST_GeomFromText('POINT(1 2)', 3857))",
        ),
        ("SELECT id, ST_X(p), ST_SRID(p) FROM T",),
    ),
    Feature(
        "places on the globe (SRID 4326)",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, p POINT NOT NULL, q GEOMETRY)",
            "INSERT INTO T VALUES (1, ST_GeomFromText('POINT(10 50)', 4326), POINT(1, 2))",
        ),
        ("SELECT id, ST_AsText(p), ST_SRID(p), ST_X(q) FROM T",),
    ),
    Feature(
        "TIMESTAMP after 2038",
        (NEW,),
        ("CREATE TABLE T (t TIMESTAMP PRIMARY KEY)", "INSERT INTO T VALUES ('2100-01-01')"),
        ("SELECT UNIX_TIMESTAMP(t) FROM T",),
    ),
    Feature(
        "zero dates in keys and references",
        ALL,
        (
            "SET SESSION sql_mode = ''",
            "CREATE TABLE T (d DATE PRIMARY KEY, t DATETIME NOT NULL DEFAULT '0000-00-00 00:00:00')",
            "CREATE TABLE T_child (c INT PRIMARY KEY, d DATE NOT NULL, FOREIGN KEY (d) REFERENCES T (d))",
            "INSERT INTO T (d) VALUES ('0000-00-00'), ('2024-01-00'), ('2024-01-01'), ('2025-05-05')",
            "INSERT INTO T_child VALUES (1, '0000-00-00'), (2, '2024-01-00'), (3, '2024-01-01')",
        ),
        ("SELECT * FROM T_child WHERE c < 3", "SELECT d FROM T WHERE d < '2024-01-01' AND t < '2000-01-01'"),
    ),
    # ------------------------------------------------------------ collations
    Feature(
        "the server's own collation",
        ALL,
        (
            "CREATE TABLE T (name VARCHAR(20) PRIMARY KEY, UNIQUE KEY (name))",
            "CREATE TABLE T_child (id INT PRIMARY KEY, name VARCHAR(20), FOREIGN KEY (name) REFERENCES T"
            " (name))",
            "INSERT INTO T VALUES ('a'), ('Ä b'), ('ß'), ('😀'), ('z')",
            "INSERT INTO T_child VALUES (1, 'A'), (2, 'ä B'), (3, '😀')",
        ),
        (
            "SELECT * FROM T_child JOIN T USING (name) WHERE id < 3",
            "SELECT name FROM T WHERE name = 'a '",
            "SELECT name FROM T WHERE name IN ('A', 'SS')",
            "SELECT name FROM T WHERE name NOT IN (SELECT name FROM T_child)",
        ),
        collation=True,
    ),
    Feature(
        "collations that all have",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, a VARCHAR(9) COLLATE utf8mb4_bin, b VARCHAR(9) CHARACTER"
            " SET latin1,"
            " c CHAR(9) CHARACTER SET ascii COLLATE ascii_bin, d TEXT CHARACTER SET utf8mb3, e VARCHAR(9)"
            " COLLATE"
            " utf8mb4_unicode_ci, f VARCHAR(9) COLLATE utf8mb4_swedish_ci, UNIQUE (a)) DEFAULT CHARSET latin1",
            "INSERT INTO T VALUES (1, 'a', 'é', 'x', 'ü', 'É', 'ö'), (2, 'A', 'E', 'X', 'u', 'e', 'o')",
        ),
        ("SELECT * FROM T WHERE a = 'a'", "SELECT id FROM T WHERE b = 'e' AND e = 'e' AND d = 'U'"),
    ),
    Feature(
        "utf8mb4_uca1400_ai_ci",
        MARIADB,
        (
            "CREATE TABLE T (name VARCHAR(9) COLLATE utf8mb4_uca1400_ai_ci PRIMARY KEY)",
            "INSERT INTO T VALUES ('a'), ('É')",
        ),
        ("SELECT name FROM T WHERE name = 'A '", "SELECT name FROM T WHERE name = 'e'"),
        collation=True,
    ),
    Feature(
        "utf8mb4_uca1400_as_cs",
        MARIADB,
        (
            "CREATE TABLE T (name VARCHAR(9) COLLATE utf8mb4_uca1400_as_cs PRIMARY KEY)",
            "INSERT INTO T VALUES ('a'), ('A')",
        ),
        collation=True,
    ),
    Feature(
        "utf8mb4_uca1400_nopad_as_cs",
        MARIADB,
        (
            "CREATE TABLE T (name VARCHAR(9) COLLATE utf8mb4_uca1400_nopad_as_cs PRIMARY KEY)",
            "INSERT INTO T VALUES ('a'), ('A'), ('a ')",
        ),
        ("SELECT name FROM T WHERE name = 'a'",),
        collation=True,
    ),
    Feature(
        "utf8mb4_0900_as_cs",
        (MYSQL,),
        (
            "CREATE TABLE T (name VARCHAR(9) COLLATE utf8mb4_0900_as_cs PRIMARY KEY)",
            "INSERT INTO T VALUES ('a'), ('A'), ('a ')",
        ),
        ("SELECT name FROM T WHERE name = 'a'",),
        collation=True,
    ),
    Feature(
        "utf8mb4_es_0900_ai_ci",
        (MYSQL,),
        (
            "CREATE TABLE T (name VARCHAR(9) COLLATE utf8mb4_es_0900_ai_ci PRIMARY KEY)",
            "INSERT INTO T VALUES ('n'), ('ñ')",
        ),
        ("SELECT name FROM T WHERE name = 'Ñ'",),
        collation=True,
    ),
    Feature(
        "utf8mb4_sv_0900_ai_ci",
        (MYSQL,),
        (
            "CREATE TABLE T (name VARCHAR(9) COLLATE utf8mb4_sv_0900_ai_ci PRIMARY KEY)",
            "INSERT INTO T VALUES ('o'), ('ö')",
        ),
        collation=True,
    ),
    # ------------------------------------------------------------ columns
    Feature(
        "INVISIBLE columns",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, a INT, k INT NOT NULL DEFAULT 3 INVISIBLE)",
            "INSERT INTO T (id, a, k) VALUES (1, 2, 7), (2, 3, 8)",
        ),
        ("SELECT * FROM T", "SELECT id, k FROM T WHERE k = 8"),
    ),
    Feature(
        "INVISIBLE and NOT NULL without a default",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, a INT, k VARCHAR(9) NOT NULL INVISIBLE)",
            "INSERT INTO T (id, a, k) VALUES (1, 2, 'x')",
        ),
        ("SELECT * FROM T", "SELECT id, k FROM T"),
    ),
    Feature(
        "generated invisible primary key",
        (MYSQL,),
        (
            "SET SESSION sql_generate_invisible_primary_key = ON",
            "CREATE TABLE T (a INT)",
            "SET SESSION sql_generate_invisible_primary_key = OFF",
            "INSERT INTO T (a) VALUES (1), (1), (2)",
        ),
        ("SELECT * FROM T", "SELECT my_row_id, a FROM T WHERE a = 2"),
    ),
    Feature(
        "generated columns",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, a VARCHAR(20), s VARCHAR(60) AS (CONCAT(a, 'it''s \\\\"
            ' "é" ;\')) STORED,'
            " v INT AS (id * 2) VIRTUAL COMMENT 'it''s', w INT AS (v + 1) VIRTUAL, UNIQUE KEY (v), KEY (s,"
            " a), last INT)",
            "INSERT INTO T (id, a, last) VALUES (1, 'x', 5), (2, NULL, 6)",
        ),
        ("SELECT * FROM T", "SELECT id FROM T WHERE v = 4"),
    ),
    Feature(
        "generated columns with NOT NULL",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, v INT AS (id * 2) STORED NOT NULL, w INT AS (id * 3)"
            " VIRTUAL NOT NULL)",
            "INSERT INTO T (id) VALUES (1), (2)",
        ),
    ),
    Feature(
        "generated columns that are referred to",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, v INT AS (id * 2) STORED, UNIQUE KEY (v))",
            "CREATE TABLE T_child (c INT PRIMARY KEY, v INT, FOREIGN KEY (v) REFERENCES T (v))",
            "INSERT INTO T (id) VALUES (1), (2)",
            "INSERT INTO T_child VALUES (1, 2), (2, NULL)",
        ),
        ("SELECT * FROM T_child", "SELECT * FROM T JOIN T_child USING (v)"),
    ),
    Feature(
        "generated by what changes",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, d DATETIME, v INT AS (DATEDIFF(NOW(), d) > 0) VIRTUAL)",
            "INSERT INTO T (id, d) VALUES (1, '2020-01-01')",
        ),
    ),
    Feature(
        "generated with other values on the other kind of server",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, d DOUBLE, t DATETIME(3), s VARCHAR(9), j VARCHAR(9) AS (JSON_ARRAY(d))"
            " STORED, k DATETIME AS (t) VIRTUAL, m VARCHAR(9) AS (UPPER(s)) STORED, n JSON AS (JSON_ARRAY(d)))",
            "INSERT INTO T (id, d, t, s) VALUES (1, 2, '2024-01-01 00:00:00.700', 'é'), (2, NULL, NULL, NULL)",
        ),
    ),
    Feature(
        "generated from AUTO_INCREMENT",
        MARIADB,
        (
            "CREATE TABLE T (id INT AUTO_INCREMENT PRIMARY KEY, v INT AS (id + 1) VIRTUAL COMMENT 'it''s', w INT AS"
            " (v * 2) VIRTUAL, x INT AS (id + 2) VIRTUAL INVISIBLE, last INT)",
            "INSERT INTO T (id, last) VALUES (1, 7), (2, 8)",
        ),
        ("SELECT * FROM T", "SELECT x, w FROM T WHERE v = 3"),
    ),
    Feature(
        "foreign keys of virtual columns",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, v INT AS (id + 1) VIRTUAL, UNIQUE KEY (v))",
            "CREATE TABLE T_child (c INT PRIMARY KEY, v INT AS (c) VIRTUAL, w INT, KEY (v), FOREIGN KEY (v) REFERENCES"
            " T (id), FOREIGN KEY (w) REFERENCES T (v))",
            "INSERT INTO T (id) VALUES (1), (2)",
            "INSERT INTO T_child (c, w) VALUES (1, 2)",
        ),
        ("SELECT * FROM T_child",),
    ),
    Feature(
        "generated by a function that MySQL does not have",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, b VARCHAR(9) AS (NVL2(id, 'x', 'y')) STORED)",
            "INSERT INTO T (id) VALUES (1)",
        ),
    ),
    Feature(
        "generated by a function that MariaDB does not have",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, b INT AS (REGEXP_LIKE(id, '1')) STORED)",
            "INSERT INTO T (id) VALUES (1)",
        ),
    ),
    Feature(
        "generated from what a setting of the session can change",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, c CHAR(5), d DATETIME(6), u VARCHAR(9) AS (CONCAT(c, 'x')) STORED"
            " NOT NULL, w VARCHAR(20) AS (DATE_FORMAT(d, '%W')) STORED, t TIME AS (TIME(d)) STORED, v VARCHAR(9) AS"
            " (CONCAT(u, 'y')) STORED, n INT AS (LENGTH(c)) VIRTUAL, k INT AS (YEAR(d)) STORED, KEY (k), UNIQUE"
            " KEY (u), KEY (n, id), CHECK (DATE_FORMAT(d, '%Y') > '1'))",
            "INSERT INTO T (id, c, d) VALUES (1, 'a ', '2024-05-01 12:34:56'), (2, '', NULL)",
        ),
        ("SELECT * FROM T", "SELECT id FROM T WHERE w = 'Wednesday' AND k = 2024"),
    ),
    Feature(
        "generated from what a setting of the session can change, in a key",
        (MYSQL,),
        (
            "CREATE TABLE T (c CHAR(5), u VARCHAR(9) AS (CONCAT(c, 'x')) STORED PRIMARY KEY)",
            "INSERT INTO T (c) VALUES ('a')",
        ),
    ),
    Feature(
        "defaults of texts and blobs",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, t TEXT DEFAULT ('it''s\\n\\\\'), j JSON DEFAULT ('[1]'), b"
            " BLOB DEFAULT (X'FF'),"
            " v VARBINARY(9) DEFAULT X'FF00', c VARCHAR(9) DEFAULT 'é''x')",
            "INSERT INTO T (id) VALUES (1)",
        ),
        ("SELECT id, t, j, HEX(b), HEX(v), c FROM T",),
    ),
    Feature(
        "expressions as defaults",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, u VARCHAR(36) DEFAULT (UUID()), n INT DEFAULT (1 + 2), d"
            " DATE DEFAULT"
            " (CURDATE()), c VARCHAR(9) DEFAULT (UPPER('it''s')), t DATETIME(3) DEFAULT"
            " CURRENT_TIMESTAMP(3) ON UPDATE"
            " CURRENT_TIMESTAMP(3))",
            "INSERT INTO T (id) VALUES (1)",
        ),
    ),
    Feature(
        "defaults from a sequence",
        MARIADB,
        (
            "CREATE SEQUENCE SCHEMA.numbers START WITH 100",
            "CREATE TABLE T (id INT NOT NULL DEFAULT NEXTVAL(SCHEMA.numbers) PRIMARY KEY, x INT)",
            "INSERT INTO T (x) VALUES (1), (2)",
        ),
        ("SELECT * FROM T WHERE x = 2",),
    ),
    Feature(
        "compressed columns",
        MARIADB,
        ("CREATE TABLE T (id INT PRIMARY KEY, t TEXT COMPRESSED)", "INSERT INTO T VALUES (1, 'x')"),
    ),
    # ------------------------------------------------------------ constraints and indexes
    Feature(
        "CHECK constraints",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, a INT CHECK (a > 0), t VARCHAR(20), CONSTRAINT T_text CHECK"
            " (t <> 'it''s \\\\ \"' AND a < 100), CHECK (LENGTH(t) < 15))".replace("T_text", "text_of_T"),
            "CREATE TABLE T_other (id INT PRIMARY KEY CHECK (id > 0), CHECK (id < 9))",
            "INSERT INTO T VALUES (1, 2, 'x')",
            "INSERT INTO T_other VALUES (1)",
        ),
        ("SELECT * FROM T", "SELECT * FROM T_other"),
    ),
    Feature(
        "CHECK of a column about another",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, a INT CHECK (a > id))",
            "INSERT INTO T VALUES (1, 2)",
        ),
    ),
    Feature(
        "CHECK by what changes",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, d DATETIME CHECK (UNIX_TIMESTAMP(d) > id), CHECK (UNIX_TIMESTAMP(d)"
            " > 0))",
            "INSERT INTO T VALUES (1, '2020-01-01')",
        ),
    ),
    Feature(
        "CHECK … NOT ENFORCED",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, CONSTRAINT low CHECK (id < 0) NOT ENFORCED)",
            "INSERT INTO T VALUES (1)",
        ),
    ),
    Feature(
        "foreign keys to a part of a key",
        MARIADB,
        _TO_A_PART,
        ("SELECT * FROM T_child",),
    ),
    Feature(
        "foreign keys to a part of a key (with restrict_fk_on_non_standard_key off)",
        (MYSQL,),
        (
            "SET SESSION restrict_fk_on_non_standard_key = OFF",
            *_TO_A_PART,
        ),
        ("SELECT * FROM T_child",),
    ),
    Feature(
        "indexes on expressions",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, t VARCHAR(20), KEY low ((LOWER(t))), UNIQUE KEY next ((id"
            " + 1), t))",
            "INSERT INTO T VALUES (1, 'X')",
        ),
        ("SELECT * FROM T WHERE LOWER(t) = 'x'",),
    ),
    Feature(
        "prefixes, order and full text",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, t TEXT, n INT, KEY (t(9)), KEY down (n DESC) COMMENT"
            " 'it''s', FULLTEXT KEY (t))",
            "INSERT INTO T VALUES (1, 'some words', 2)",
        ),
    ),
    Feature(
        "an index that is not used",
        MARIADB,
        ("CREATE TABLE T (id INT PRIMARY KEY, n INT, KEY (n) IGNORED)", "INSERT INTO T VALUES (1, 2)"),
    ),
    Feature(
        "an index that is not used (INVISIBLE)",
        (MYSQL,),
        ("CREATE TABLE T (id INT PRIMARY KEY, n INT, KEY (n) INVISIBLE)", "INSERT INTO T VALUES (1, 2)"),
    ),
    Feature(
        "UNIQUE on whole texts",
        MARIADB,
        ("CREATE TABLE T (id INT PRIMARY KEY, t TEXT, UNIQUE KEY (t))", "INSERT INTO T VALUES (1, 'x')"),
    ),
    Feature(
        "UNIQUE on more bytes than MySQL's keys have",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, t VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, b"
            " VARCHAR(9), UNIQUE KEY (t), UNIQUE KEY (b) USING HASH)",
            "CREATE TABLE T_myisam (t VARCHAR(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, UNIQUE KEY (t))"
            " ENGINE=MyISAM",
            "INSERT INTO T VALUES (1, 'x', 'y')",
            "INSERT INTO T_myisam VALUES ('x')",
        ),
        ("SELECT * FROM T", "SELECT * FROM T_myisam"),
    ),
    Feature(
        "names that need quotes",
        ALL,
        (
            "CREATE TABLE T (`it's` INT PRIMARY KEY, `a``b` INT COMMENT 'it''s; \\\\ ä', `$x %s` INT, `ä 中`"
            " INT, KEY `k``'` (`a``b`))"
            " COMMENT 'a \"table\"; it''s'",
            "INSERT INTO T VALUES (1, 2, 3, 4)",
        ),
    ),
    # ------------------------------------------------------------ time
    Feature(
        "SYSTEM VERSIONING",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, x INT) WITH SYSTEM VERSIONING",
            "CREATE TABLE T_child (c INT PRIMARY KEY, id INT NOT NULL, FOREIGN KEY (id) REFERENCES T (id))",
            "INSERT INTO T VALUES (1, 10), (2, 20), (3, 30)",
            "UPDATE T SET x = x + 1",
            "DELETE FROM T WHERE id = 3",
            "INSERT INTO T_child VALUES (1, 1), (2, 2)",
        ),
        ("SELECT * FROM T", "SELECT * FROM T_child WHERE c = 1", "SELECT COUNT(*) FROM T"),
    ),
    Feature(
        "SYSTEM VERSIONING with columns of its own and partitions",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, x INT, y INT WITHOUT SYSTEM VERSIONING, s TIMESTAMP(6)"
            " GENERATED ALWAYS AS"
            " ROW START, e TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH"
            " SYSTEM VERSIONING"
            " PARTITION BY SYSTEM_TIME (PARTITION h HISTORY, PARTITION c CURRENT)",
            "INSERT INTO T (id, x) VALUES (1, 10), (2, 20)",
            "UPDATE T SET x = x + 1",
        ),
        ("SELECT * FROM T", "SELECT id FROM T WHERE x = 11"),
    ),
    Feature(
        "PERIOD and WITHOUT OVERLAPS",
        MARIADB,
        (
            "CREATE TABLE T (id INT, s DATE, e DATE, x INT, PERIOD FOR valid (s, e), PRIMARY KEY (id, valid"
            " WITHOUT OVERLAPS))",
            "CREATE TABLE T_other (id INT, s DATE, e DATE, PERIOD FOR valid (s, e), UNIQUE KEY u (id, valid"
            " WITHOUT OVERLAPS))",
            "INSERT INTO T VALUES (1, '2024-01-01', '2024-02-01', 1), (1, '2024-02-01', '2024-03-01', 2)",
            "INSERT INTO T_other VALUES (1, '2024-01-01', '2024-02-01')",
        ),
        ("SELECT * FROM T WHERE x = 2", "SELECT * FROM T_other"),
    ),
    # ------------------------------------------------------------ storage
    Feature(
        "row formats",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, t TEXT) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4",
            "CREATE TABLE T_other (id INT PRIMARY KEY) ROW_FORMAT=REDUNDANT STATS_PERSISTENT=1",
            "INSERT INTO T VALUES (1, 'x')",
            "INSERT INTO T_other VALUES (1)",
        ),
        ("SELECT * FROM T", "SELECT * FROM T_other"),
    ),
    Feature(
        "MyISAM, MEMORY and CSV",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY) ENGINE=MyISAM",
            "CREATE TABLE T_memory (id INT PRIMARY KEY) ENGINE=MEMORY",
            "CREATE TABLE T_csv (id INT NOT NULL) ENGINE=CSV",
            "INSERT INTO T VALUES (1)",
            "INSERT INTO T_memory VALUES (1)",
            "INSERT INTO T_csv VALUES (1), (1)",
        ),
        ("SELECT * FROM T", "SELECT * FROM T_memory", "SELECT * FROM T_csv"),
    ),
    Feature("Aria", MARIADB, ("CREATE TABLE T (id INT PRIMARY KEY) ENGINE=Aria", "INSERT INTO T VALUES (1)")),
    Feature("ARCHIVE", (MYSQL,), ("CREATE TABLE T (id INT) ENGINE=ARCHIVE", "INSERT INTO T VALUES (1)")),
    Feature(
        "MERGE",
        ALL,
        (
            "CREATE TABLE T_one (id INT, KEY (id)) ENGINE=MyISAM",
            "CREATE TABLE T_two (id INT, KEY (id)) ENGINE=MyISAM",
            "INSERT INTO T_one VALUES (1)",
            "INSERT INTO T_two VALUES (2)",
            "CREATE TABLE T (id INT, KEY (id)) ENGINE=MERGE UNION=(T_one, T_two)",
        ),
    ),
    Feature(
        "partitions",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, x INT) PARTITION BY RANGE (id) (PARTITION low VALUES LESS"
            " THAN (10) COMMENT"
            " 'it''s', PARTITION high VALUES LESS THAN MAXVALUE)",
            "CREATE TABLE T_hash (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3",
            "CREATE TABLE T_list (id INT, s VARCHAR(9), PRIMARY KEY (id, s)) PARTITION BY LIST COLUMNS (s)"
            " (PARTITION a VALUES IN"
            " ('x', 'it''s'))",
            "INSERT INTO T VALUES (1, 1), (100, 2)",
            "INSERT INTO T_hash VALUES (1), (2)",
            "INSERT INTO T_list VALUES (1, 'it''s')",
        ),
        ("SELECT * FROM T", "SELECT * FROM T_hash", "SELECT * FROM T_list"),
    ),
    Feature(
        "partitions of MyISAM and MEMORY",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY) ENGINE=MyISAM PARTITION BY HASH (id) PARTITIONS 2",
            "CREATE TABLE T_memory (id INT PRIMARY KEY) ENGINE=MEMORY PARTITION BY HASH (id) PARTITIONS 2",
            "INSERT INTO T VALUES (1), (2)",
            "INSERT INTO T_memory VALUES (1), (2)",
        ),
        ("SELECT * FROM T", "SELECT * FROM T_memory"),
    ),
    Feature(
        "a partition for all other values",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY) PARTITION BY LIST (id) (PARTITION a VALUES IN (1),"
            " PARTITION b DEFAULT)",
            "INSERT INTO T VALUES (1), (2)",
        ),
    ),
    # ------------------------------------------------------------ views and functions
    Feature(
        "views",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, x VARCHAR(20))",
            "INSERT INTO T VALUES (1, 'it''s'), (2, 'é \\\\')",
            "CREATE VIEW T_named (k, `it's`) AS SELECT id, x FROM T WHERE x <> 'é'",
            "CREATE DATABASE SCHEMA_views",
            "CREATE VIEW SCHEMA_views.T_above AS SELECT k, CONCAT(`it's`, ' \\\\ é'), 1 + 1, NULL FROM T_named",
        ),
        ("SELECT `it's` FROM T_named WHERE k = 1", "SELECT * FROM SCHEMA_views.T_above"),
    ),
    Feature(
        "views with functions that MySQL does not have",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, x VARCHAR(20), j JSON)",
            "INSERT INTO T VALUES (1, 'it''s', '{}'), (2, 'b', NULL)",
            "CREATE VIEW T_md5 AS SELECT id, MD5(x) AS d FROM T WHERE NVL2(x, 1, 0)",
            "CREATE VIEW T_detailed AS SELECT id, JSON_DETAILED(j) AS d FROM T",
        ),
        ("SELECT d FROM T_md5 WHERE id = 1", "SELECT * FROM T_detailed"),
    ),
    Feature(
        "views with functions that MariaDB does not have",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, x VARCHAR(20), j JSON)",
            "INSERT INTO T VALUES (1, 'it''s', '{\"a\": [1, 2]}'), (2, 'b', '{}')",
            "CREATE VIEW T_searched AS SELECT id FROM T WHERE x REGEXP '^i'",
            "CREATE VIEW T_value AS SELECT id, JSON_VALUE(j, '$.a[0]' RETURNING SIGNED) AS v FROM T",
        ),
        ("SELECT id FROM T_searched", "SELECT v FROM T_value WHERE v = 1"),
    ),
    Feature(
        "views with functions that only MariaDB 11.8 has",
        (NEW,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, j JSON)",
            "INSERT INTO T VALUES (1, '[1, 2]'), (2, NULL)",
            "CREATE VIEW T_common AS SELECT id, JSON_ARRAY_INTERSECT(j, '[2, 3]') AS c FROM T",
        ),
        ("SELECT c FROM T_common WHERE id = 1",),
    ),
    Feature(
        "generated by a function that only MariaDB 11.8 has",
        (NEW,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, j JSON, c JSON AS (JSON_ARRAY_INTERSECT(j, '[2, 3]')))",
            "INSERT INTO T (id, j) VALUES (1, '[1, 2]'), (2, NULL)",
        ),
    ),
    Feature(
        "CHECK and defaults with functions that MySQL does not have",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, x VARCHAR(40) DEFAULT MD5('x'), CHECK (SHA1(x) <> 'x'))",
            "INSERT INTO T (id) VALUES (1)",
        ),
    ),
    Feature(
        "CHECK with functions that MariaDB does not have",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, x VARCHAR(40) DEFAULT (BIN_TO_UUID(X'00112233445566778899AABBCCDDEE00'"
            ")), CHECK (x RLIKE '^0'))",
            "INSERT INTO T (id) VALUES (1)",
        ),
    ),
    Feature(
        "views WITH ROLLUP",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, kind VARCHAR(20), x INT)",
            "INSERT INTO T VALUES (1, 'it''s', 1), (2, 'it''s', 2), (3, 'b', 4)",
            "CREATE VIEW T_sums AS SELECT CONCAT(kind, 'rollup_group_item(') AS k, x + 1 AS y, SUM(x) * 2 AS s,"
            " COUNT(*) AS n FROM T GROUP BY kind, x + 1 WITH ROLLUP",
        ),
        ("SELECT * FROM T_sums",),
    ),
    Feature(
        "views WITH ROLLUP and GROUPING()",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY, kind VARCHAR(20), x INT)",
            "INSERT INTO T VALUES (1, 'a', 1), (2, 'a', 2), (3, 'b', 4)",
            "CREATE VIEW T_sums AS SELECT kind, GROUPING(kind) AS g, SUM(x) AS s FROM T GROUP BY kind WITH ROLLUP",
        ),
        ("SELECT * FROM T_sums",),
    ),
    Feature(
        "views that search texts",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY, x TEXT, FULLTEXT (x))",
            "INSERT INTO T VALUES (1, 'apple pear'), (2, 'apple plum'), (3, 'kiwi')",
            "CREATE VIEW T_found AS SELECT id, MATCH (x) AGAINST ('+apple' IN BOOLEAN MODE) AS s FROM T"
            " WHERE MATCH (x) AGAINST ('apple pear')",
        ),
        ("SELECT id FROM T_found WHERE s > 0",),
    ),
    Feature(
        "a stored function that reads no table",
        ALL,
        (
            "CREATE TABLE T (id INT PRIMARY KEY)",
            "INSERT INTO T VALUES (1), (2)",
            "CREATE FUNCTION SCHEMA.twice(x INT) RETURNS INT DETERMINISTIC NO SQL BEGIN DECLARE y INT; SET"
            " y = x * 2; RETURN y; END",
            "CREATE VIEW T_twice AS SELECT id, SCHEMA.twice(id) AS t FROM T",
        ),
        ("SELECT id, SCHEMA.twice(id) AS t FROM T", "SELECT t FROM T_twice WHERE id = 2"),
    ),
    Feature(
        "a stored function in words that MySQL does not have",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY)",
            "INSERT INTO T VALUES (1), (2)",
            "CREATE FUNCTION SCHEMA.T_sum(x INT) RETURNS INT DETERMINISTIC NO SQL BEGIN DECLARE y INT DEFAULT 0;"
            " FOR i IN 1..x DO SET y = y + i; END FOR; RETURN y; END",
            "CREATE VIEW T_sums AS SELECT id, SCHEMA.T_sum(id) AS s FROM T",
        ),
        ("SELECT id, SCHEMA.T_sum(id) AS s FROM T", "SELECT s FROM T_sums WHERE id = 2"),
    ),
    Feature(
        "a stored function in words that MariaDB does not have",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY)",
            "INSERT INTO T VALUES (1), (2)",
            "CREATE FUNCTION SCHEMA.T_in(x INT) RETURNS INT DETERMINISTIC NO SQL RETURN x MEMBER OF ('[2, 3]')",
            "CREATE VIEW T_found AS SELECT id, SCHEMA.T_in(id) AS s FROM T",
        ),
        ("SELECT id, SCHEMA.T_in(id) AS s FROM T", "SELECT s FROM T_found WHERE id = 2"),
    ),
    Feature(
        "views and functions that name a collation of MariaDB",
        MARIADB,
        _naming("utf8mb4_uca1400_nopad_as_ci"),
        _NAMING,
        collation=True,
    ),
    Feature(
        "views and functions that name a collation of MySQL",
        (MYSQL,),
        _naming("utf8mb4_0900_as_ci"),
        _NAMING,
        collation=True,
    ),
    Feature(
        "views and functions that name a collation that MySQL does not have",
        MARIADB,
        _naming("utf8mb4_uca1400_as_cs"),
        _NAMING,
        collation=True,
    ),
    Feature(
        "a stored function that calls what MySQL does not have",
        MARIADB,
        (
            "CREATE TABLE T (id INT PRIMARY KEY)",
            "INSERT INTO T VALUES (1), (2)",
            "CREATE FUNCTION SCHEMA.T_named(x INT) RETURNS VARCHAR(9) DETERMINISTIC NO SQL BEGIN DECLARE y"
            " VARCHAR(9) DEFAULT 'b'; RETURN NVL2(x, CONCAT('a', y), y); END",
        ),
        ("SELECT id, SCHEMA.T_named(id) AS t FROM T",),
    ),
    Feature(
        "a stored function that calls what MariaDB does not have",
        (MYSQL,),
        (
            "CREATE TABLE T (id INT PRIMARY KEY)",
            "INSERT INTO T VALUES (1), (2)",
            "CREATE FUNCTION SCHEMA.T_named(x INT) RETURNS VARCHAR(40) DETERMINISTIC NO SQL BEGIN DECLARE y"
            " BINARY(16) DEFAULT X'00112233445566778899AABBCCDDEEFF'; RETURN IF(x = 1, BIN_TO_UUID(y), 'none'); END",
        ),
        ("SELECT id, SCHEMA.T_named(id) AS t FROM T",),
    ),
)
