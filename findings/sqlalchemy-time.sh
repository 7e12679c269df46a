#!/usr/bin/env bash
# SQLAlchemy reads a TIME of -01:00:00 as 23:00, and one of 27:00:00 as 03:00, if it knows that the column is TIME.
#
# Guess: a timedelta, as PyMySQL makes of it, or an error.
# Seen: the type TIME, declared or reflected, makes a time of day of it: days are dropped, and a negative duration
#   is counted back from midnight. So pandas.read_sql_table and every select() on a table have the wrong
#   value, and read_sql_query of the same column, which knows no type, has the right one. A comparison is done
#   by the server: `WHERE t < '00:00:00'` returns the row, with 23:00. Written back, the wrong value stays in the
#   database. Neither an error nor a warning.
# Versions: SQLAlchemy 2.1.9, PyMySQL 1.2.4, pandas 3.1.1, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: in DataJoint tables TIME is a duration (fetch returns timedelta), such as that of a cue before
#   the reward. Who reads a loaded slice as a table of SQLAlchemy has others.
# Source: a comment on StarRocks' pull request 77259 (August 2026) says so of SQLAlchemy's type.
. "$(dirname "$0")/common.sh"
environment frames sqlalchemy==2.1.9 pandas==3.1.1 pymysql==1.2.4
server mariadb && export MARIADB=$port
server mysql && export MYSQL=$port

cat >"$work/try.py" <<'END'
import os
import sys

import pandas
import sqlalchemy
from common import NAMES, servers

print("SQLAlchemy", sqlalchemy.__version__, "pandas", pandas.__version__, file=sys.stderr)
for name, cursor in servers().items():
    variable = next(variable for variable in NAMES if NAMES[variable] == name)
    for statement in (
        "CREATE DATABASE lab", "USE lab", "CREATE TABLE cue (cue INT PRIMARY KEY, t TIME(1))",
        "INSERT INTO cue VALUES (1, '01:00:00'), (2, '-01:00:00.5'), (3, '27:00:00')",
    ):  # fmt: skip
        cursor.execute(statement)
    engine = sqlalchemy.create_engine(f"mysql+pymysql://tester:tester@127.0.0.1:{os.environ[variable]}/lab")
    print(f"{name}: read_sql_query:", [str(t) for t in pandas.read_sql_query("SELECT t FROM cue ORDER BY cue", engine)["t"]])
    print(f"{name}: read_sql_table:", [str(t) for t in pandas.read_sql_table("cue", engine).sort_values("cue")["t"]])
    cue = sqlalchemy.Table("cue", sqlalchemy.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        rows = [(number, str(t)) for number, t in connection.execute(sqlalchemy.select(cue).order_by(cue.c.cue))]
        print(f"{name}: select:", rows)
        early = connection.execute(sqlalchemy.select(cue).where(cue.c.t < "00:00:00")).fetchall()
        print(f"{name}: where t < 0:", [(number, str(t)) for number, t in early])
        for number, t in connection.execute(sqlalchemy.select(cue)).fetchall():
            connection.execute(cue.update().where(cue.c.cue == number).values(t=t))
    cursor.execute("SELECT t FROM cue ORDER BY cue")
    print(f"{name}: written back:", [str(t) for (t,) in cursor.fetchall()])
END
see "$work/frames/bin/python" "$work/try.py"
compare <<'END'
MariaDB 10.11: read_sql_query: ['0 days 01:00:00', '-1 days +22:59:59.500000', '1 days 03:00:00']
MariaDB 10.11: read_sql_table: ['01:00:00', '22:59:59.500000', '03:00:00']
MariaDB 10.11: select: [(1, '01:00:00'), (2, '22:59:59.500000'), (3, '03:00:00')]
MariaDB 10.11: where t < 0: [(2, '22:59:59.500000')]
MariaDB 10.11: written back: ['1:00:00', '22:59:59.500000', '3:00:00']
MySQL 9.7: read_sql_query: ['0 days 01:00:00', '-1 days +22:59:59.500000', '1 days 03:00:00']
MySQL 9.7: read_sql_table: ['01:00:00', '22:59:59.500000', '03:00:00']
MySQL 9.7: select: [(1, '01:00:00'), (2, '22:59:59.500000'), (3, '03:00:00')]
MySQL 9.7: where t < 0: [(2, '22:59:59.500000')]
MySQL 9.7: written back: ['1:00:00', '22:59:59.500000', '3:00:00']
END
