#!/usr/bin/env bash
# MySQL 9.7 prints REGEXP and JSON_VALUE of a view in a form that MariaDB does not know. The same SELECT
#   runs on both.
#
# Guess: a view made of what both servers take can be carried from one to the other as SHOW CREATE VIEW,
#   and so a dump, shows it.
# Seen: REGEXP is shown as regexp_like(…), which MariaDB does not have up to 11.8; JSON_VALUE(j, '$.a')
#   has `returning char(512)`, which is no SQL there. The other way, MariaDB shows JSON_PRETTY, which both
#   have, as json_detailed(…). In each case CREATE VIEW fails, and with it the load of a dump. INTERSECT
#   and windows are carried.
# Versions: MySQL 9.7.4, MariaDB 10.11.19 and 11.8.9.
# Why it matters: labs have views such as "sessions whose name matches". A bundle with one loads only on
#   MySQL, although nothing in the view looks special.
# Source: MySQL's manual says that REGEXP is a synonym of REGEXP_LIKE(), but not what that means for dumps.
. "$(dirname "$0")/common.sh"
environment plain pymysql==1.2.4
all_servers

cat >"$work/try.py" <<'END'
from common import ask, servers

SELECTS = [
    "SELECT name FROM t WHERE name REGEXP '^a'", "SELECT JSON_VALUE(j, '$.a') AS v FROM t", "SELECT JSON_PRETTY('1') AS v",
    "SELECT name FROM t INTERSECT SELECT 'ada'", "SELECT SUM(id) OVER (ORDER BY id) AS v FROM t",
]  # fmt: skip
found = servers()
for cursor in found.values():
    for statement in (
        "CREATE DATABASE lab CHARACTER SET utf8mb4", "USE lab", "CREATE TABLE t (id INT, name VARCHAR(10), j JSON)",
        """INSERT INTO t VALUES (1, 'ada', '{"a": 1}'), (2, 'bob', '{"a": 2}')""",
    ):  # fmt: skip
        cursor.execute(statement)
for here, cursor in found.items():
    for select in SELECTS:
        cursor.execute(f"CREATE OR REPLACE VIEW v AS {select}")
        cursor.execute("SHOW CREATE VIEW v")
        shown = cursor.fetchone()[1].partition(" AS ")[2]
        rows = ask(cursor, "SELECT * FROM v")
        for there, other in found.items():
            if there == here:
                continue
            by_hand, carried = ask(other, select), ask(other, f"CREATE OR REPLACE VIEW carried AS {shown}")
            if isinstance(carried, str):
                print(f"{here} -> {there}: {select}: by hand {by_hand == rows}; as {shown}: {carried}")
            elif ask(other, "SELECT * FROM carried") != rows:
                print(f"{here} -> {there}: {select}: other rows")
END
see "$work/plain/bin/python" "$work/try.py"
compare <<'END'
MariaDB 10.11 -> MySQL 9.7: SELECT JSON_PRETTY('1') AS v: by hand True; as select json_detailed('1') AS `v`: error 1305: FUNCTION lab.json_detailed does not exist…
MariaDB 11.8 -> MySQL 9.7: SELECT JSON_PRETTY('1') AS v: by hand True; as select json_detailed('1') AS `v`: error 1305: FUNCTION lab.json_detailed does not exist…
MySQL 9.7 -> MariaDB 10.11: SELECT name FROM t WHERE name REGEXP '^a': by hand True; as select `t`.`name` AS `name` from `t` where regexp_like(`t`.`name`,'^a'): error 1305: FUNCTION lab.regexp_like does not exist…
MySQL 9.7 -> MariaDB 11.8: SELECT name FROM t WHERE name REGEXP '^a': by hand True; as select `t`.`name` AS `name` from `t` where regexp_like(`t`.`name`,'^a'): error 1305: FUNCTION lab.regexp_like does not exist…
MySQL 9.7 -> MariaDB 10.11: SELECT JSON_VALUE(j, '$.a') AS v FROM t: by hand True; as select json_value(`t`.`j`, '$.a' returning char(512)) AS `v` from `t`: error 1064: You have an error in your SQL syntax; check t…
MySQL 9.7 -> MariaDB 11.8: SELECT JSON_VALUE(j, '$.a') AS v FROM t: by hand True; as select json_value(`t`.`j`, '$.a' returning char(512)) AS `v` from `t`: error 1064: You have an error in your SQL syntax; check t…
END
