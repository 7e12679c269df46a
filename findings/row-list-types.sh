#!/usr/bin/env bash
# (a, b) IN ((1.5, 1)) finds a = 2 in MySQL, and in MariaDB a two-digit year is none in it.
#
# Guess: (a, b) IN ((x, y), …) is what the manuals say, a = x AND b = y OR …, whatever the types.
# Seen: in MySQL a literal is compared as the type of its column: 1.5 is rounded to 2 for an INT, and 19 is
#   not 2019 for a YEAR; MariaDB differs for YEAR alone. Integers, decimals, texts and dates are alike.
# Versions: MariaDB 10.11.19 and 11.8.9, MySQL 9.7.4.
# Why it matters: servers take seconds to minutes for an OR of 20,000 keys of two columns, as DataJoint sends
#   it, and 0.1 to 0.4 s for the same keys in a list. Only types that are alike may be written so.
. "$(dirname "$0")/common.sh"
environment plain pymysql==1.2.4
all_servers

cat >"$work/try.py" <<'END'
from common import ask, servers

for name, cursor in servers().items():
    cursor.execute("CREATE DATABASE lab")
    cursor.execute("CREATE TABLE lab.t (i INT, d DECIMAL(5, 2), y YEAR, s VARCHAR(9), b INT)")
    cursor.execute("INSERT INTO lab.t VALUES (2, 1.5, 2019, 'a', 1)")
    for column, literal in (("i", "1.5"), ("i", "2"), ("d", "1.50"), ("y", "19"), ("s", "'A '")):
        equal, rows = f"{column} = {literal} AND b = 1", f"({literal}, 1), ({literal}, 2)"
        ((alone, listed),) = ask(cursor, f"SELECT {equal}, ({column}, b) IN ({rows}) FROM lab.t")
        print(f"{name}: {column}, {literal}: alone {alone}, in a list {listed}")
END
see "$work/plain/bin/python" "$work/try.py"
compare <<'END'
MariaDB 10.11: i, 1.5: alone 0, in a list 0
MariaDB 10.11: i, 2: alone 1, in a list 1
MariaDB 10.11: d, 1.50: alone 1, in a list 1
MariaDB 10.11: y, 19: alone 1, in a list 0
MariaDB 10.11: s, 'A ': alone 1, in a list 1
MariaDB 11.8: i, 1.5: alone 0, in a list 0
MariaDB 11.8: i, 2: alone 1, in a list 1
MariaDB 11.8: d, 1.50: alone 1, in a list 1
MariaDB 11.8: y, 19: alone 1, in a list 0
MariaDB 11.8: s, 'A ': alone 1, in a list 1
MySQL 9.7: i, 1.5: alone 0, in a list 1
MySQL 9.7: i, 2: alone 1, in a list 1
MySQL 9.7: d, 1.50: alone 1, in a list 1
MySQL 9.7: y, 19: alone 1, in a list 0
MySQL 9.7: s, 'A ': alone 0, in a list 0
END
