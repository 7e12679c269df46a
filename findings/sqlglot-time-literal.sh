#!/usr/bin/env bash
# sqlglot turns TIME '10:11:12.5' into CAST('10:11:12.5' AS TIME), which drops the half second on MariaDB
#   and rounds it up on MySQL.
#
# Guess: parsed as MySQL and written as MySQL again, a statement may look different, but returns the same
#   rows; and if not, both servers agree.
# Seen: the literal keeps its fraction, CAST AS TIME does not. So a row at 10:11:12.5 is not found any more,
#   and the two servers name different seconds. TIMESTAMP literals keep theirs, because sqlglot writes a
#   call of TIMESTAMP().
# Versions: sqlglot 30.30.0, MariaDB 10.11.19 and 11.8.9, MySQL 9.7.4.
# Why it matters: trial tables are often restricted by event times with fractions. The SQL stays valid and
#   finds nothing.
# Source: none found. Rounding in MariaDB's and MySQL's manuals: TIME_ROUND_FRACTIONAL,
#   TIME_TRUNCATE_FRACTIONAL.
. "$(dirname "$0")/common.sh"
environment glot sqlglot==30.30.0 pymysql==1.2.4
all_servers

cat >"$work/try.py" <<'END'
import sqlglot
from common import ask, servers

for name, cursor in servers().items():
    for statement in ("CREATE DATABASE lab", "USE lab", "CREATE TABLE e (t TIME(1), d DATETIME(1))", "INSERT INTO e VALUES ('10:11:12.5', '2020-01-02 10:11:12.5')"):
        cursor.execute(statement)
    for statement in (
        "SELECT COUNT(*) FROM e WHERE t = TIME '10:11:12.5'",
        "SELECT CAST(TIME '10:11:12.5' AS CHAR)",
        "SELECT COUNT(*) FROM e WHERE d = TIMESTAMP '2020-01-02 10:11:12.5'",
    ):
        again = sqlglot.parse_one(statement, read="mysql").sql("mysql")
        print(f"{name}: {statement}: {ask(cursor, statement)[0][0]}; {again}: {ask(cursor, again)[0][0]}")
END
see "$work/glot/bin/python" "$work/try.py"
compare <<'END'
MariaDB 10.11: SELECT COUNT(*) FROM e WHERE t = TIME '10:11:12.5': 1; SELECT COUNT(*) FROM e WHERE t = CAST('10:11:12.5' AS TIME): 0
MariaDB 10.11: SELECT CAST(TIME '10:11:12.5' AS CHAR): 10:11:12.5; SELECT CAST(CAST('10:11:12.5' AS TIME) AS CHAR): 10:11:12
MariaDB 10.11: SELECT COUNT(*) FROM e WHERE d = TIMESTAMP '2020-01-02 10:11:12.5': 1; SELECT COUNT(*) FROM e WHERE d = TIMESTAMP('2020-01-02 10:11:12.5'): 1
MariaDB 11.8: SELECT COUNT(*) FROM e WHERE t = TIME '10:11:12.5': 1; SELECT COUNT(*) FROM e WHERE t = CAST('10:11:12.5' AS TIME): 0
MariaDB 11.8: SELECT CAST(TIME '10:11:12.5' AS CHAR): 10:11:12.5; SELECT CAST(CAST('10:11:12.5' AS TIME) AS CHAR): 10:11:12
MariaDB 11.8: SELECT COUNT(*) FROM e WHERE d = TIMESTAMP '2020-01-02 10:11:12.5': 1; SELECT COUNT(*) FROM e WHERE d = TIMESTAMP('2020-01-02 10:11:12.5'): 1
MySQL 9.7: SELECT COUNT(*) FROM e WHERE t = TIME '10:11:12.5': 1; SELECT COUNT(*) FROM e WHERE t = CAST('10:11:12.5' AS TIME): 0
MySQL 9.7: SELECT CAST(TIME '10:11:12.5' AS CHAR): 10:11:12.5; SELECT CAST(CAST('10:11:12.5' AS TIME) AS CHAR): 10:11:13
MySQL 9.7: SELECT COUNT(*) FROM e WHERE d = TIMESTAMP '2020-01-02 10:11:12.5': 1; SELECT COUNT(*) FROM e WHERE d = TIMESTAMP('2020-01-02 10:11:12.5'): 1
END
