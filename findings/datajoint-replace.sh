#!/usr/bin/env bash
# insert(replace=True) changes a row under its results on MySQL 9.7, is refused on MariaDB, and deletes another row that has
#   the same unique value.
#
# Guess: a row to which others refer cannot be replaced, on any server, since DataJoint's foreign keys do not let it be
#   deleted; and only the row with the same primary key is replaced or, with skip_duplicates, skipped.
# Seen: DataJoint sends REPLACE. MySQL 9.7 updates in place, and what was computed from the old row stays as it is; MariaDB
#   deletes and inserts, so that it is error 1451 there, and with ON DELETE CASCADE (SQL, not DataJoint) the child rows are
#   gone, which on MySQL they are not. With a `unique index`, REPLACE deletes the other row that has the value, and
#   skip_duplicates leaves out a new row, without a warning. On PostgreSQL replace=True is a syntax error.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, psycopg2-binary 2.9.13, MariaDB 10.11.19, MySQL 9.7.4,
#   PostgreSQL 15.18.
# Why it matters: replace=True is used to mend a parameter. A result and the parameters beside it no longer belong together,
#   and a subject disappears because a new one got its nickname. In a slice both look intact.
# Source: MySQL's manual says of REPLACE that it deletes and inserts, and of unique indexes that several rows can be deleted.
#   None found for DataJoint.
. "$(dirname "$0")/common.sh"
environments "old datajoint==0.14.10 pymysql==1.2.4" \
    "new datajoint==2.3.5 pymysql==1.2.4 psycopg2-binary==2.9.13"
server mariadb
server mysql
server postgresql

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

_, name, port, backend = sys.argv
dj = datajoint_at(port, backend)
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema(f"lab{dj.__version__[:1]}")
about = f"{dj.__version__} on {name}:"


@schema
class Subject(dj.Manual):
    definition = """
    subject : int
    ---
    nickname : varchar(20)
    weight : int
    unique index (nickname)
    """


@schema
class Result(dj.Manual):
    definition = """
    -> Subject
    ---
    doubled : int
    """


def rows(table):
    return sorted(tuple(row.values()) for row in (table.fetch(as_dict=True) if dj.__version__ < "2" else table.to_dicts()))


def tried(what, *args, **kwargs):
    try:
        Subject.insert1(*args, **kwargs)
        print(about, f"{what}: {rows(Subject())} {rows(Result())}")
    except Exception as error:
        print(about, f"{what}: {type(error).__name__}")


Subject.insert([(1, "Ada", 20), (2, "Bob", 25), (3, "Cleo", 30)])
Result.insert1((1, 40))
tried("replace=True of a row with a result", (1, "Ada", 21), replace=True)
tried("skip_duplicates of a new row with a nickname that is there", (4, "Bob", 28), skip_duplicates=True)
tried("replace=True of a new row with a nickname that is there", (5, "Cleo", 31), replace=True)
END
for line in old new; do
    see "$work/$line/bin/python" "$work/try.py" MariaDB "${ports[mariadb]}" mysql
    see "$work/$line/bin/python" "$work/try.py" MySQL "${ports[mysql]}" mysql
done
see "$work/new/bin/python" "$work/try.py" PostgreSQL "${ports[postgresql]}" postgresql

cat >"$work/cascade.py" <<'END'
import sys

import pymysql

for name, port in zip(("MariaDB", "MySQL"), sys.argv[1:]):
    cursor = pymysql.connect(host="127.0.0.1", port=int(port), user="tester", password="tester", autocommit=True).cursor()
    for statement in (
        "CREATE DATABASE other", "USE other", "CREATE TABLE parent (id INT PRIMARY KEY, x INT)",
        "CREATE TABLE child (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES parent (id) ON DELETE CASCADE)",
        "INSERT INTO parent VALUES (1, 1)", "INSERT INTO child VALUES (1)", "REPLACE INTO parent VALUES (1, 2)", "SELECT * FROM child",
    ):  # fmt: skip
        cursor.execute(statement)
    print(f"REPLACE on {name} with ON DELETE CASCADE: child rows {list(cursor.fetchall())}")
END
see "$work/new/bin/python" "$work/cascade.py" "${ports[mariadb]}" "${ports[mysql]}"
compare <<'END'
0.14.10 on MariaDB: replace=True of a row with a result: IntegrityError
0.14.10 on MariaDB: skip_duplicates of a new row with a nickname that is there: [(1, 'Ada', 20), (2, 'Bob', 25), (3, 'Cleo', 30)] [(1, 40)]
0.14.10 on MariaDB: replace=True of a new row with a nickname that is there: [(1, 'Ada', 20), (2, 'Bob', 25), (5, 'Cleo', 31)] [(1, 40)]
0.14.10 on MySQL: replace=True of a row with a result: [(1, 'Ada', 21), (2, 'Bob', 25), (3, 'Cleo', 30)] [(1, 40)]
0.14.10 on MySQL: skip_duplicates of a new row with a nickname that is there: [(1, 'Ada', 21), (2, 'Bob', 25), (3, 'Cleo', 30)] [(1, 40)]
0.14.10 on MySQL: replace=True of a new row with a nickname that is there: [(1, 'Ada', 21), (2, 'Bob', 25), (5, 'Cleo', 31)] [(1, 40)]
2.3.5 on MariaDB: replace=True of a row with a result: IntegrityError
2.3.5 on MariaDB: skip_duplicates of a new row with a nickname that is there: [(1, 'Ada', 20), (2, 'Bob', 25), (3, 'Cleo', 30)] [(1, 40)]
2.3.5 on MariaDB: replace=True of a new row with a nickname that is there: [(1, 'Ada', 20), (2, 'Bob', 25), (5, 'Cleo', 31)] [(1, 40)]
2.3.5 on MySQL: replace=True of a row with a result: [(1, 'Ada', 21), (2, 'Bob', 25), (3, 'Cleo', 30)] [(1, 40)]
2.3.5 on MySQL: skip_duplicates of a new row with a nickname that is there: [(1, 'Ada', 21), (2, 'Bob', 25), (3, 'Cleo', 30)] [(1, 40)]
2.3.5 on MySQL: replace=True of a new row with a nickname that is there: [(1, 'Ada', 21), (2, 'Bob', 25), (5, 'Cleo', 31)] [(1, 40)]
2.3.5 on PostgreSQL: replace=True of a row with a result: QuerySyntaxError
2.3.5 on PostgreSQL: skip_duplicates of a new row with a nickname that is there: DuplicateError
2.3.5 on PostgreSQL: replace=True of a new row with a nickname that is there: QuerySyntaxError
REPLACE on MariaDB with ON DELETE CASCADE: child rows []
REPLACE on MySQL with ON DELETE CASCADE: child rows [(1,)]
END
