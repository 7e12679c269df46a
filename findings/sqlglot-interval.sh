#!/usr/bin/env bash
# sqlglot turns INTERVAL 1.5 HOUR into INTERVAL '1.5' HOUR, which is an hour less to MySQL and MariaDB.
#
# Guess: parsed as MySQL and written as MySQL again, a statement may look different, but returns the same
#   rows.
# Seen: both servers round a number before HOUR, DAY, MINUTE, … (1.5 hours are 2) and cut off a text at
#   the point ('1.5' hours are 1; '0.5' days are none). sqlglot puts every number of an INTERVAL in
#   quotes, so the result changes without an error. With SECOND both mean the same. TIMESTAMPADD(HOUR,
#   0.5, t) is written without quotes, but what SHOW CREATE VIEW makes of it is not.
# Versions: sqlglot 30.30.0, MariaDB 10.11.19 and 11.8.9, MySQL 9.7.4.
# Why it matters: `start + INTERVAL 1.5 HOUR` is a common restriction of trials and sessions. A tool that
#   sends sqlglot's text selects other rows than the analysis read.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment glot sqlglot==30.30.0 pymysql==1.2.4
all_servers

cat >"$work/try.py" <<'END'
import sqlglot
from common import ask, servers

EXPRESSIONS = [
    "t + INTERVAL 1.5 HOUR", "t - INTERVAL 0.5 DAY", "DATE_ADD(t, INTERVAL 2.5 WEEK)", "t + INTERVAL 1.5 SECOND", "TIMESTAMPADD(HOUR, 0.5, t)",
]  # fmt: skip


def show(rows):
    return rows if isinstance(rows, str) else rows[0][0].isoformat(" ")


for name, cursor in servers().items():
    for statement in ("CREATE DATABASE lab", "USE lab", "CREATE TABLE s (t DATETIME(1))", "INSERT INTO s VALUES ('2020-01-02 03:00:00')"):
        cursor.execute(statement)
    for expression in EXPRESSIONS:
        again = sqlglot.parse_one(f"SELECT {expression} FROM s", read="mysql").sql("mysql")
        print(f"{name}: {expression}: {show(ask(cursor, f'SELECT {expression} FROM s'))}; {again}: {show(ask(cursor, again))}")
    cursor.execute("CREATE VIEW v AS SELECT TIMESTAMPADD(HOUR, 0.5, t) AS x FROM s")
    cursor.execute("SHOW CREATE VIEW v")
    body = cursor.fetchone()[1].partition(" AS ")[2]
    again = sqlglot.parse_one(body, read="mysql").sql("mysql")
    print(f"{name}: the view: {show(ask(cursor, 'SELECT x FROM v'))}; through sqlglot: {show(ask(cursor, again))}")
END
see "$work/glot/bin/python" "$work/try.py"
compare <<'END'
MariaDB 10.11: t + INTERVAL 1.5 HOUR: 2020-01-02 05:00:00; SELECT t + INTERVAL '1.5' HOUR FROM s: 2020-01-02 04:00:00
MariaDB 10.11: t - INTERVAL 0.5 DAY: 2020-01-01 03:00:00; SELECT t - INTERVAL '0.5' DAY FROM s: 2020-01-02 03:00:00
MariaDB 10.11: DATE_ADD(t, INTERVAL 2.5 WEEK): 2020-01-23 03:00:00; SELECT DATE_ADD(t, INTERVAL '2.5' WEEK) FROM s: 2020-01-16 03:00:00
MariaDB 10.11: t + INTERVAL 1.5 SECOND: 2020-01-02 03:00:01.500000; SELECT t + INTERVAL '1.5' SECOND FROM s: 2020-01-02 03:00:01.500000
MariaDB 10.11: TIMESTAMPADD(HOUR, 0.5, t): 2020-01-02 04:00:00; SELECT DATE_ADD(t, INTERVAL 0.5 HOUR) FROM s: 2020-01-02 04:00:00
MariaDB 10.11: the view: 2020-01-02 04:00:00; through sqlglot: 2020-01-02 03:00:00
MariaDB 11.8: t + INTERVAL 1.5 HOUR: 2020-01-02 05:00:00; SELECT t + INTERVAL '1.5' HOUR FROM s: 2020-01-02 04:00:00
MariaDB 11.8: t - INTERVAL 0.5 DAY: 2020-01-01 03:00:00; SELECT t - INTERVAL '0.5' DAY FROM s: 2020-01-02 03:00:00
MariaDB 11.8: DATE_ADD(t, INTERVAL 2.5 WEEK): 2020-01-23 03:00:00; SELECT DATE_ADD(t, INTERVAL '2.5' WEEK) FROM s: 2020-01-16 03:00:00
MariaDB 11.8: t + INTERVAL 1.5 SECOND: 2020-01-02 03:00:01.500000; SELECT t + INTERVAL '1.5' SECOND FROM s: 2020-01-02 03:00:01.500000
MariaDB 11.8: TIMESTAMPADD(HOUR, 0.5, t): 2020-01-02 04:00:00; SELECT DATE_ADD(t, INTERVAL 0.5 HOUR) FROM s: 2020-01-02 04:00:00
MariaDB 11.8: the view: 2020-01-02 04:00:00; through sqlglot: 2020-01-02 03:00:00
MySQL 9.7: t + INTERVAL 1.5 HOUR: 2020-01-02 05:00:00; SELECT t + INTERVAL '1.5' HOUR FROM s: 2020-01-02 04:00:00
MySQL 9.7: t - INTERVAL 0.5 DAY: 2020-01-01 03:00:00; SELECT t - INTERVAL '0.5' DAY FROM s: 2020-01-02 03:00:00
MySQL 9.7: DATE_ADD(t, INTERVAL 2.5 WEEK): 2020-01-23 03:00:00; SELECT DATE_ADD(t, INTERVAL '2.5' WEEK) FROM s: 2020-01-16 03:00:00
MySQL 9.7: t + INTERVAL 1.5 SECOND: 2020-01-02 03:00:01.500000; SELECT t + INTERVAL '1.5' SECOND FROM s: 2020-01-02 03:00:01.500000
MySQL 9.7: TIMESTAMPADD(HOUR, 0.5, t): 2020-01-02 04:00:00; SELECT DATE_ADD(t, INTERVAL 0.5 HOUR) FROM s: 2020-01-02 04:00:00
MySQL 9.7: the view: 2020-01-02 04:00:00; through sqlglot: 2020-01-02 03:00:00
END
