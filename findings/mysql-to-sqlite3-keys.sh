#!/usr/bin/env bash
# mysql2sqlite transfers only one of several rows whose keys are large numbers, and exits with 0.
#
# Guess: keys are kept, or it stops with an error.
# Seen: SQLite's BIGINT has 63 bits and its DECIMAL is a double, so a BIGINT UNSIGNED from 2^63 on and a DECIMAL
#   of more than 15 digits become REAL. Keys that are then equal are one row: the rows are sent with INSERT OR
#   IGNORE, and the log says "Done!". A query for a lost key finds the row that was kept, with its unit. Bytes that
#   are UTF-8 by chance become TEXT, others of the same column stay BLOB (VARBINARY and BIT here): SQLite compares
#   the two as never equal.
# Versions: mysql-to-sqlite3 2.6.1, PyMySQL 1.2.4, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: 64-bit hashes and time stamps in nanoseconds are keys of acquisition systems. A copy for a
#   reader without a server has fewer rows, and nothing says so.
# Source: none found for this program. SQLite documents its affinities.
. "$(dirname "$0")/common.sh"
environment copy mysql-to-sqlite3==2.6.1 pymysql==1.2.4
server mariadb && export MARIADB=$port
server mysql && export MYSQL=$port

cat >"$work/try.py" <<'END'
import os
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from common import NAMES, servers

print("mysql-to-sqlite3", version("mysql-to-sqlite3"), file=sys.stderr)
program = Path(sys.executable).with_name("mysql2sqlite")
for name, cursor in servers().items():
    variable = next(variable for variable in NAMES if NAMES[variable] == name)
    for statement in (
        "CREATE DATABASE lab", "USE lab",
        "CREATE TABLE spike (hash BIGINT UNSIGNED PRIMARY KEY, unit INT)",
        "INSERT INTO spike VALUES (7, 0), (18446744073709551613, 1), (18446744073709551614, 2), (18446744073709551615, 3)",
        "CREATE TABLE stamp (at DECIMAL(20,9) PRIMARY KEY, unit INT)",
        "INSERT INTO stamp VALUES (1700000000.000000001, 1), (1700000000.000000002, 2)",
        "CREATE TABLE code (code VARBINARY(4) PRIMARY KEY, flags BIT(10))",
        "INSERT INTO code VALUES (x'6162', b'1'), (x'ff00', b'10000000')",
    ):  # fmt: skip
        cursor.execute(statement)
    file = Path(sys.argv[1]) / f"{variable}.db"
    command = [program, "-f", file, "-d", "lab", "-u", "tester", "--mysql-password", "tester", "-h", "127.0.0.1"]
    done = subprocess.run([*command, "-P", os.environ[variable]], capture_output=True, text=True)
    said = done.stdout.strip().splitlines()[-1].split()[-1]
    print(f"{name}: exit code {done.returncode}, {said}")
    lite = sqlite3.connect(file)
    for table in ("spike", "stamp", "code"):
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
        rows = lite.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        print(f"{name}: {table}: {len(rows)} of {cursor.fetchone()[0]} rows, {rows}")
    print(f"{name}: unit of the hash …615:", lite.execute("SELECT unit FROM spike WHERE hash = 18446744073709551615").fetchall())
    print(f"{name}: code = x'6162':", lite.execute("SELECT COUNT(*) FROM code WHERE code = x'6162'").fetchone()[0], "rows")
END
see "$work/copy/bin/python" "$work/try.py" "$work"
compare <<'END'
MariaDB 10.11: exit code 0, Done!
MariaDB 10.11: spike: 2 of 4 rows, [(7, 0), (1.8446744073709552e+19, 1)]
MariaDB 10.11: stamp: 1 of 2 rows, [(1700000000, 1)]
MariaDB 10.11: code: 2 of 2 rows, [('ab', '\x00\x01'), (b'\xff\x00', b'\x00\x80')]
MariaDB 10.11: unit of the hash …615: [(1,)]
MariaDB 10.11: code = x'6162': 0 rows
MySQL 9.7: exit code 0, Done!
MySQL 9.7: spike: 2 of 4 rows, [(7, 0), (1.8446744073709552e+19, 1)]
MySQL 9.7: stamp: 1 of 2 rows, [(1700000000, 1)]
MySQL 9.7: code: 2 of 2 rows, [('ab', '\x00\x01'), (b'\xff\x00', b'\x00\x80')]
MySQL 9.7: unit of the hash …615: [(1,)]
MySQL 9.7: code = x'6162': 0 rows
END
