#!/usr/bin/env bash
# PyMySQL's executemany of INSERT … RETURNING sends one statement a row and keeps the rows of the last
#   only.
#
# Guess: executemany joins the rows to one INSERT, as it does without RETURNING, and fetchall has all that
#   it returned.
# Seen: PyMySQL joins rows only if nothing or ON DUPLICATE KEY follows VALUES (…), so each row is a
#   separate statement. rowcount adds up to 3, fetchall has 1 row. lastrowid is None, also for execute.
#   DELETE … RETURNING works as expected.
# Versions: PyMySQL 1.2.4, MariaDB 10.11.19 (MySQL does not have RETURNING).
# Why it matters: a script that fills a table and notes the new keys notes only one. An export by these
#   keys leaves out the others. Statements that DataJoint sends as one query are not affected.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment plain pymysql==1.2.4
server mariadb && export MARIADB=$port

cat >"$work/try.py" <<'END'
from common import servers

for name, cursor in servers().items():
    for statement in ("CREATE DATABASE lab", "USE lab", "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)"):
        cursor.execute(statement)

    def asked():
        cursor.execute("SHOW SESSION STATUS LIKE 'Com_insert'")
        return int(cursor.fetchone()[1])

    for statement in ("INSERT INTO t (v) VALUES (%s)", "INSERT INTO t (v) VALUES (%s) RETURNING id"):
        before = asked()
        cursor.executemany(statement, [1, 2, 3])
        seen = f"rowcount {cursor.rowcount}, lastrowid {cursor.lastrowid}, fetched {list(cursor.fetchall())}"
        print(f"{name}: executemany {statement}: {asked() - before} statements, {seen}")
    cursor.execute("INSERT INTO t (v) VALUES (4), (5) RETURNING id")
    print(f"{name}: execute INSERT … RETURNING: lastrowid {cursor.lastrowid}, fetched {list(cursor.fetchall())}")
    cursor.execute("DELETE FROM t WHERE v = 1 RETURNING id")
    print(f"{name}: DELETE … RETURNING: fetched {list(cursor.fetchall())}")
END
see "$work/plain/bin/python" "$work/try.py"
compare <<'END'
MariaDB 10.11: executemany INSERT INTO t (v) VALUES (%s): 1 statements, rowcount 3, lastrowid 1, fetched []
MariaDB 10.11: executemany INSERT INTO t (v) VALUES (%s) RETURNING id: 3 statements, rowcount 3, lastrowid None, fetched [(6,)]
MariaDB 10.11: execute INSERT … RETURNING: lastrowid None, fetched [(7,), (8,)]
MariaDB 10.11: DELETE … RETURNING: fetched [(1,), (4,)]
END
