#!/usr/bin/env bash
# MySQL 9.7 drops USING when it stores a view: CHAR(77 USING utf8mb4) in a view is bytes, not a
#   case-insensitive text.
#
# Guess: a view returns what its SELECT returns.
# Seen: SHOW CREATE VIEW has char(77), the column is VARBINARY, PyMySQL returns bytes, and `= 'm'` is
#   false where the SELECT says true. MariaDB keeps USING.
# Versions: MySQL 9.7.4, MariaDB 10.11.19.
# Why it matters: a dump carries the changed text to every reader. The view is not what its author wrote,
#   so reading rows through the view and through its SELECT gives two different slices.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment plain pymysql==1.2.4
server mariadb && export MARIADB=$port
server mysql && export MYSQL=$port

cat >"$work/try.py" <<'END'
from common import ask, servers

for name, cursor in servers().items():
    for statement in ("CREATE DATABASE lab", "USE lab", "CREATE TABLE t (id INT, code INT)", "INSERT INTO t VALUES (1, 77)"):
        cursor.execute(statement)
    select = "SELECT id, CHAR(code USING utf8mb4) AS sex FROM t"
    cursor.execute(f"CREATE VIEW v AS {select}")
    cursor.execute("SHOW CREATE VIEW v")
    print(name, "shows", cursor.fetchone()[1].partition(" AS ")[2])
    print(name, "the SELECT:", ask(cursor, select), ask(cursor, f"SELECT COUNT(*) FROM ({select}) AS s WHERE sex = 'm'"))
    print(name, "the view:", ask(cursor, "SELECT * FROM v"), ask(cursor, "SELECT COUNT(*) FROM v WHERE sex = 'm'"))
END
see "$work/plain/bin/python" "$work/try.py"
compare <<'END'
MariaDB 10.11 shows select `t`.`id` AS `id`,char(`t`.`code` using utf8mb4) AS `sex` from `t`
MariaDB 10.11 the SELECT: [(1, 'M')] [(1,)]
MariaDB 10.11 the view: [(1, 'M')] [(1,)]
MySQL 9.7 shows select `t`.`id` AS `id`,char(`t`.`code`) AS `sex` from `t`
MySQL 9.7 the SELECT: [(1, 'M')] [(1,)]
MySQL 9.7 the view: [(1, b'M')] [(0,)]
END
