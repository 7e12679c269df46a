#!/usr/bin/env bash
# sqlglot turns GROUP_CONCAT(DISTINCT a, b) into that of joined texts, where (1, 23) and (12, 3) are one, and REAL into FLOAT.
#
# Guess: parsed as MySQL and written as MySQL again, a statement may look different, but returns the same values.
# Seen: GROUP_CONCAT(DISTINCT a, b) is written with DISTINCT CONCAT(a, b): pairs that differ and look alike when joined are
#   listed once. With ORDER BY 2, or LIMIT (MariaDB), it is an error of the server. CAST(x AS REAL), on MySQL a DOUBLE, is
#   written as FLOAT, so that 0.1 is shown as 0.1, but no longer equal to the DOUBLE.
# Versions: sqlglot 30.30.0, MariaDB 10.11.19 and 11.8.9, MySQL 9.7.4.
# Why it matters: a list of pairs (probe, channel) of a session is made like this. The counts of a tool that sends sqlglot's
#   text are too small.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment glot sqlglot==30.30.0 pymysql==1.2.4
all_servers

cat >"$work/try.py" <<'END'
import sys

import sqlglot
from common import ask, servers

print("sqlglot", sqlglot.__version__, file=sys.stderr)
PAIRS = "FROM (SELECT 1 AS probe, 23 AS channel UNION ALL SELECT 12, 3 UNION ALL SELECT 12, 3) AS pairs"
found = servers()
for statement in (
    f"SELECT GROUP_CONCAT(DISTINCT probe, channel) {PAIRS}", f"SELECT GROUP_CONCAT(probe, channel ORDER BY 2) {PAIRS}",
    f"SELECT GROUP_CONCAT(probe ORDER BY channel LIMIT 1) {PAIRS}", "SELECT CAST(0.1 AS REAL) = 0.1e0",
):  # fmt: skip
    written = sqlglot.parse_one(statement, read="mysql").sql(dialect="mysql")
    print(statement.split(" FROM")[0], "becomes", written.split(" FROM")[0])
    for name, cursor in found.items():
        before, after = (ask(cursor, text) for text in (statement, written))
        before, after = (each if isinstance(each, str) else each[0][0] for each in (before, after))
        print(f"    {name}: {before}" + (f", then {after}" if after != before else ""))
END
see "$work/glot/bin/python" "$work/try.py"
compare <<'END'
SELECT GROUP_CONCAT(DISTINCT probe, channel) becomes SELECT GROUP_CONCAT(DISTINCT CONCAT(probe, channel) SEPARATOR ',')
    MariaDB 10.11: 123,123, then 123
    MariaDB 11.8: 123,123, then 123
    MySQL 9.7: 123,123, then 123
SELECT GROUP_CONCAT(probe, channel ORDER BY 2) becomes SELECT GROUP_CONCAT(CONCAT(probe, channel) ORDER BY 2 SEPARATOR ',')
    MariaDB 10.11: 123,123,123, then error 1054: Unknown column '2' in 'ORDER BY'…
    MariaDB 11.8: 123,123,123, then error 1054: Unknown column '2' in 'ORDER BY'…
    MySQL 9.7: 123,123,123, then error 1054: Unknown column '2' in 'order clause'…
SELECT GROUP_CONCAT(probe ORDER BY channel LIMIT 1) becomes SELECT GROUP_CONCAT(probe ORDER BY channel LIMIT 1 SEPARATOR ',')
    MariaDB 10.11: 12, then error 1064: You have an error in your SQL syntax; check t…
    MariaDB 11.8: 12, then error 1064: You have an error in your SQL syntax; check t…
    MySQL 9.7: error 1064: You have an error in your SQL syntax; check t…
SELECT CAST(0.1 AS REAL) = 0.1e0 becomes SELECT CAST(0.1 AS FLOAT) = 0.1e0
    MariaDB 10.11: error 1064: You have an error in your SQL syntax; check t…, then 0
    MariaDB 11.8: error 1064: You have an error in your SQL syntax; check t…, then 0
    MySQL 9.7: 1, then 0
END
