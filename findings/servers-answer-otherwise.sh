#!/usr/bin/env bash
# From the same row and the same SELECT, MariaDB and MySQL compute different numbers, without a warning.
#
# Guess: plain functions of numbers and times that both servers have give the same value.
# Seen: EXTRACT(HOUR …) of a TIME over a day is the rest of the day on MariaDB and all hours on MySQL
#   (HOUR() is all hours on both); 8 / (4 / 3) is 6.0000 and 6.0002, since MySQL keeps four digits of 4 /
#   3; PERCENT_RANK() of MariaDB has ten digits; TIME_TO_SEC keeps or drops fractions; a subquery of no
#   table with LIMIT 0 has a row on MariaDB; a double below zero is 0 or 2^64 - 2 as UNSIGNED;
#   JSON_CONTAINS of a missing path is 0 or NULL. A default MySQL 9.7 does not have MD5() and SHA1(), but
#   SHA2().
# Versions: MariaDB 10.11.19 and 11.8.9 (alike), MySQL 9.7.4.
# Why it matters: if a bundle of one server is loaded into the other, these statements replay with
#   different results, although the rows are the same and none is missing.
# Source: the manuals of each server describe their own; MySQL's of 9.6 on the Legacy Hashing Component
#   for MD5 and SHA1.
. "$(dirname "$0")/common.sh"
environment plain pymysql==1.2.4
all_servers

cat >"$work/try.py" <<'END'
from common import ask, servers

EXPRESSIONS = [
    "HOUR(tm)", "EXTRACT(HOUR FROM tm)", "TIME_TO_SEC(tm)", "8 / (4 / n)", "8 * n / 4", "(SELECT 1 LIMIT 0) IS NULL", "(SELECT 1 FROM t LIMIT 0) IS NULL",
    "CAST(-1.5e0 AS UNSIGNED)", "CAST(-1.5 AS UNSIGNED)", """JSON_CONTAINS('{"a": 1}', '1', '$.b')""",
    "MD5('a')", "SHA1('a')", "LEFT(SHA2('a', 256), 8)",
]  # fmt: skip
found = servers()
answers = {}
for name, cursor in found.items():
    for statement in ("CREATE DATABASE lab", "USE lab", "CREATE TABLE t (n INT, tm TIME(1))", "INSERT INTO t VALUES (3, '27:00:00.5')"):
        cursor.execute(statement)
    for expression in EXPRESSIONS:
        answer = ask(cursor, f"SELECT {expression} FROM t")
        answers.setdefault(expression, {})[name] = answer if isinstance(answer, str) else str(answer[0][0])
    rank = ask(cursor, "SELECT PERCENT_RANK() OVER (ORDER BY x) FROM (SELECT 1 AS x UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) AS q")
    answers.setdefault("PERCENT_RANK() of the second of 4", {})[name] = str(rank[1][0])
for expression, by_server in answers.items():
    print(f"{expression}:", "; ".join(f"{name} {answer}" for name, answer in by_server.items()))
END
see "$work/plain/bin/python" "$work/try.py"
compare <<'END'
HOUR(tm): MariaDB 10.11 27; MariaDB 11.8 27; MySQL 9.7 27
EXTRACT(HOUR FROM tm): MariaDB 10.11 3; MariaDB 11.8 3; MySQL 9.7 27
TIME_TO_SEC(tm): MariaDB 10.11 97200.5; MariaDB 11.8 97200.5; MySQL 9.7 97200
8 / (4 / n): MariaDB 10.11 6.0000; MariaDB 11.8 6.0000; MySQL 9.7 6.0002
8 * n / 4: MariaDB 10.11 6.0000; MariaDB 11.8 6.0000; MySQL 9.7 6.0000
(SELECT 1 LIMIT 0) IS NULL: MariaDB 10.11 0; MariaDB 11.8 0; MySQL 9.7 1
(SELECT 1 FROM t LIMIT 0) IS NULL: MariaDB 10.11 1; MariaDB 11.8 1; MySQL 9.7 1
CAST(-1.5e0 AS UNSIGNED): MariaDB 10.11 0; MariaDB 11.8 0; MySQL 9.7 18446744073709551614
CAST(-1.5 AS UNSIGNED): MariaDB 10.11 0; MariaDB 11.8 0; MySQL 9.7 18446744073709551614
JSON_CONTAINS('{"a": 1}', '1', '$.b'): MariaDB 10.11 0; MariaDB 11.8 0; MySQL 9.7 None
MD5('a'): MariaDB 10.11 0cc175b9c0f1b6a831c399e269772661; MariaDB 11.8 0cc175b9c0f1b6a831c399e269772661; MySQL 9.7 error 1305: FUNCTION lab.MD5 does not exist…
SHA1('a'): MariaDB 10.11 86f7e437faa5a7fce15d1ddcb9eaeaea377667b8; MariaDB 11.8 86f7e437faa5a7fce15d1ddcb9eaeaea377667b8; MySQL 9.7 error 1305: FUNCTION lab.SHA1 does not exist…
LEFT(SHA2('a', 256), 8): MariaDB 10.11 ca978112; MariaDB 11.8 ca978112; MySQL 9.7 ca978112
PERCENT_RANK() of the second of 4: MariaDB 10.11 0.3333333333; MariaDB 11.8 0.3333333333; MySQL 9.7 0.3333333333333333
END
