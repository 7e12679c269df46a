#!/usr/bin/env bash
# sqlglot's optimizer compares texts itself, with case and trailing spaces, in every dialect.
#
# Guess: simplify(…, dialect="mysql") leaves a comparison of two texts to the server, or compares as MySQL
#   does ('Mouse' = 'mouse').
# Seen: 'Mouse' = 'mouse' becomes FALSE, 'b' > 'Z' is dropped as true, and CONCAT('a', 'b') = 'AB' FALSE;
#   the servers say the opposite. 'a' = 'a ' becomes FALSE, which MariaDB's default collation says is true
#   and MySQL's false. And `i = 3 = 1`, to both servers (i = 3) = 1, becomes i = FALSE.
# Versions: sqlglot 30.30.0, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: a restriction by a constant of proj(), `proj(kind="'Mouse'") & "kind = 'mouse'"`, becomes
#   such a comparison when subqueries are merged. A tool that optimizes first then finds no rows behind the
#   result.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment glot sqlglot==30.30.0 pymysql==1.2.4
server mariadb && export MARIADB=$port
server mysql && export MYSQL=$port

cat >"$work/try.py" <<'END'
import sqlglot
from common import ask, servers
from sqlglot.optimizer.simplify import simplify

for name, cursor in servers().items():
    for statement in ("CREATE DATABASE lab", "USE lab", "CREATE TABLE t (i INT)", "INSERT INTO t VALUES (3), (5)"):
        cursor.execute(statement)
    for condition in ("'Mouse' = 'mouse'", "'b' > 'Z'", "CONCAT('a', 'b') = 'AB'", "'a' = 'a '", "i = 3 = 1"):
        statement = f"SELECT i FROM t WHERE {condition}"
        again = simplify(sqlglot.parse_one(statement, read="mysql"), dialect="mysql").sql("mysql")
        print(f"{name}: {condition}: {len(ask(cursor, statement))} rows; {again}: {len(ask(cursor, again))} rows")
END
see "$work/glot/bin/python" "$work/try.py"
compare <<'END'
MariaDB 10.11: 'Mouse' = 'mouse': 2 rows; SELECT i FROM t WHERE FALSE: 0 rows
MariaDB 10.11: 'b' > 'Z': 0 rows; SELECT i FROM t: 2 rows
MariaDB 10.11: CONCAT('a', 'b') = 'AB': 2 rows; SELECT i FROM t WHERE FALSE: 0 rows
MariaDB 10.11: 'a' = 'a ': 2 rows; SELECT i FROM t WHERE FALSE: 0 rows
MariaDB 10.11: i = 3 = 1: 1 rows; SELECT i FROM t WHERE i = FALSE: 0 rows
MySQL 9.7: 'Mouse' = 'mouse': 2 rows; SELECT i FROM t WHERE FALSE: 0 rows
MySQL 9.7: 'b' > 'Z': 0 rows; SELECT i FROM t: 2 rows
MySQL 9.7: CONCAT('a', 'b') = 'AB': 2 rows; SELECT i FROM t WHERE FALSE: 0 rows
MySQL 9.7: 'a' = 'a ': 0 rows; SELECT i FROM t WHERE FALSE: 0 rows
MySQL 9.7: i = 3 = 1: 1 rows; SELECT i FROM t WHERE i = FALSE: 0 rows
END
