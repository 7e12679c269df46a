"""A bundle to look at: every tier, parts, a table for its structure only, and something of each kind of warning.

In: a server, a prefix for schema names, a folder. Out: a `Bundle`. Names, comments and values hold what would be
markup if it were not escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from datajoint import blob

from dj_sqlspy.journal import Statement
from dj_sqlspy.paper.bundle import Bundle, write_bundle
from dj_sqlspy.servers import Server
from dj_sqlspy.servers.mysql.snapshot import plain_decoders
from dj_sqlspy.slices import Slice, make_slice

EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;"

TRACE = blob.pack(np.sin(np.arange(3000) / 200).reshape(3, 1000)).hex()

TABLES = f"""
CREATE DATABASE lab
CREATE TABLE lab.`#species` (species VARCHAR(16) PRIMARY KEY) COMMENT 'evil'
CREATE TABLE lab.rig (rig INT PRIMARY KEY) COMMENT 'where it was measured'
CREATE TABLE lab.subject (subject VARCHAR(8) PRIMARY KEY COMMENT 'evil', species VARCHAR(16) NOT NULL,
    rig INT NULL, FOREIGN KEY (species) REFERENCES lab.`#species` (species), FOREIGN KEY (rig) REFERENCES lab.rig (rig))
CREATE TABLE lab.subject__line (subject VARCHAR(8), line INT, PRIMARY KEY (subject, line),
    FOREIGN KEY (subject) REFERENCES lab.subject (subject))
CREATE TABLE lab._recording (subject VARCHAR(8), n INT, x FLOAT, trace LONGBLOB, PRIMARY KEY (subject, n),
    FOREIGN KEY (subject) REFERENCES lab.subject (subject))
CREATE TABLE lab.__spikes (subject VARCHAR(8), n INT, rate FLOAT, PRIMARY KEY (subject, n),
    FOREIGN KEY (subject, n) REFERENCES lab._recording (subject, n))
CREATE TABLE lab.`odd <b>"name"` (id INT PRIMARY KEY)
INSERT INTO lab.`#species` VALUES ('mouse'), ('rat')
INSERT INTO lab.rig VALUES (1)
INSERT INTO lab.subject VALUES ('a', 'mouse', NULL), ('b', 'rat', NULL), ('c', 'mouse', NULL)
INSERT INTO lab.subject__line VALUES ('a', 1), ('a', 2), ('b', 1)
INSERT INTO lab._recording SELECT subject, n, n, 0x{TRACE} FROM lab.subject,
    (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6) AS t
INSERT INTO lab.__spikes SELECT subject, n, n FROM lab._recording
INSERT INTO lab.`odd <b>"name"` VALUES (1), (2)
"""

STATEMENTS = [
    *(f"SELECT * FROM lab._recording WHERE subject = 'a' AND n = {n}" for n in (1, 2, 3)),
    "SELECT subject, avg(rate) AS rate FROM lab.__spikes WHERE subject = 'a' GROUP BY subject",
    f"SELECT species FROM lab.`#species` WHERE species <> {chr(39)}{EVIL.replace(chr(39), chr(39) * 2)}{chr(39)}",
    "SELECT subject, NOW() AS now FROM lab.subject WHERE subject = 'a'",
    'SELECT * FROM lab.`odd <b>"name"` WHERE id = lab.twice(1) / 2',
]


def make_cut(server: Server, prefix: str, statements: Sequence[str] = ()) -> Slice:
    """The slice of some statements; without them of `STATEMENTS`, on tables that are made."""
    name = f"`{prefix}lab`"

    def named(sql: str) -> str:
        return sql.replace("lab.", f"{name}.").replace("DATABASE lab", f"DATABASE {name}")

    if not statements:
        statements = [named(sql) for sql in STATEMENTS]
        with server.connect() as connection, connection.cursor() as cursor:
            for statement in TABLES.replace("\n    ", " ").strip().splitlines():
                values = (EVIL,) if "'evil'" in statement else None
                cursor.execute(named(statement).replace("'evil'", "%s"), values)
            cursor.execute(named("CREATE FUNCTION lab.twice(a INT) RETURNS INT DETERMINISTIC RETURN 2 * a"))
    captured = [
        Statement(sql=sql, number=number, analysis="fig <1>", kind="data", rows=1)
        for number, sql in enumerate(statements, 1)
    ]
    with server.connect(conv=plain_decoders()) as opened:
        return make_slice(captured, opened)


def make_bundle(server: Server, prefix: str, path: Path) -> Bundle:
    """The bundle of it, written but neither dumped nor verified."""
    cut = make_cut(server, prefix)
    with server.connect() as opened:
        return write_bundle(cut, path, connection=opened, accept_drift=True)
