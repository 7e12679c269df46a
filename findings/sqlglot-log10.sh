#!/usr/bin/env bash
# sqlglot turns LOG10(x) into LOG(10, x): LOG10(1000) is 3, LOG(10, 1000) is a little less.
#
# Guess: parsed as MySQL and written as MySQL again, a statement may look different, but returns the same
#   rows.
# Seen: LOG(10, x) is the quotient of two logarithms, so it is not exact for powers of ten: `LOG10(x) >= 3`
#   loses the row of 1000. LOG2(x) becomes LOG(2, x), which differs only on MySQL. LOG2 of MySQL and
#   MariaDB also differ in the last bit.
# Versions: sqlglot 30.30.0, MariaDB 10.11.19 and 11.8.9, MySQL 9.7.4.
# Why it matters: log-scaled thresholds (power, firing rate) are often powers of ten. A slice from
#   sqlglot's text lacks the row at the threshold. A replay that compares doubles bit by bit reports other
#   rows as changed.
# Source: sqlglot's pull request 3139 (March 2024) makes LOG10 and LOG2 a LOG of two arguments; it does not
#   mention that the value changes.
. "$(dirname "$0")/common.sh"
environment glot sqlglot==30.30.0 pymysql==1.2.4
all_servers

cat >"$work/try.py" <<'END'
import sqlglot
from common import ask, servers

for name, cursor in servers().items():
    for statement in ("CREATE DATABASE lab", "USE lab", "CREATE TABLE p (x DOUBLE)", "INSERT INTO p VALUES (10), (100), (1000), (10000)"):
        cursor.execute(statement)
    for statement in ("SELECT x FROM p WHERE LOG10(x) >= 3", "SELECT LOG10(5)", "SELECT x FROM p WHERE LOG2(x / 125) >= 3", "SELECT LOG2(3)"):
        again = sqlglot.parse_one(statement, read="mysql").sql("mysql")
        print(f"{name}: {statement}: {ask(cursor, statement)}; {again}: {ask(cursor, again)}")
END
see "$work/glot/bin/python" "$work/try.py"
compare <<'END'
MariaDB 10.11: SELECT x FROM p WHERE LOG10(x) >= 3: [(1000.0,), (10000.0,)]; SELECT x FROM p WHERE LOG(10, x) >= 3: [(10000.0,)]
MariaDB 10.11: SELECT LOG10(5): [(0.6989700043360189,)]; SELECT LOG(10, 5): [(0.6989700043360187,)]
MariaDB 10.11: SELECT x FROM p WHERE LOG2(x / 125) >= 3: [(1000.0,), (10000.0,)]; SELECT x FROM p WHERE LOG(2, x / 125) >= 3: [(1000.0,), (10000.0,)]
MariaDB 10.11: SELECT LOG2(3): [(1.5849625007211563,)]; SELECT LOG(2, 3): [(1.5849625007211563,)]
MariaDB 11.8: SELECT x FROM p WHERE LOG10(x) >= 3: [(1000.0,), (10000.0,)]; SELECT x FROM p WHERE LOG(10, x) >= 3: [(10000.0,)]
MariaDB 11.8: SELECT LOG10(5): [(0.6989700043360189,)]; SELECT LOG(10, 5): [(0.6989700043360187,)]
MariaDB 11.8: SELECT x FROM p WHERE LOG2(x / 125) >= 3: [(1000.0,), (10000.0,)]; SELECT x FROM p WHERE LOG(2, x / 125) >= 3: [(1000.0,), (10000.0,)]
MariaDB 11.8: SELECT LOG2(3): [(1.5849625007211563,)]; SELECT LOG(2, 3): [(1.5849625007211563,)]
MySQL 9.7: SELECT x FROM p WHERE LOG10(x) >= 3: [(1000.0,), (10000.0,)]; SELECT x FROM p WHERE LOG(10, x) >= 3: [(10000.0,)]
MySQL 9.7: SELECT LOG10(5): [(0.6989700043360189,)]; SELECT LOG(10, 5): [(0.6989700043360187,)]
MySQL 9.7: SELECT x FROM p WHERE LOG2(x / 125) >= 3: [(1000.0,), (10000.0,)]; SELECT x FROM p WHERE LOG(2, x / 125) >= 3: [(1000.0,), (10000.0,)]
MySQL 9.7: SELECT LOG2(3): [(1.584962500721156,)]; SELECT LOG(2, 3): [(1.5849625007211563,)]
END
