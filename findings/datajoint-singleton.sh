#!/usr/bin/env bash
# A table without a primary key, new in DataJoint 2.x as a singleton, can be filled and read; len(), update1 and a foreign
#   key to it are syntax errors of the server.
#
# Guess: a singleton does what other tables do, with at most one row; what it cannot do is an error of DataJoint.
# Seen: DataJoint gives it a hidden key `_singleton` and writes statements about the visible one, which has no columns:
#   COUNT(DISTINCT ), REFERENCES settings (), ON CONFLICT (). So len(), update1 and a foreign key are errors, keys() on
#   MariaDB, and insert1 with skip_duplicates (an IndexError on MariaDB). fetch1, joins, restrictions and delete work.
#   On PostgreSQL replace=True is a syntax error for any table.
# Versions: DataJoint 2.3.5, PyMySQL 1.2.4, psycopg2-binary 2.9.13, MariaDB 10.11.19, PostgreSQL 15.18.
# Why it matters: the one row of a lab's settings looks like what it is made for. Results cannot refer to it, and a change
#   is only possible with replace=True (MariaDB) or as delete and insert.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 pymysql==1.2.4 psycopg2-binary==2.9.13
server mariadb
server postgresql

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

_, name, port, backend = sys.argv
dj = datajoint_at(port, backend)
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema("lab")


@schema
class Settings(dj.Manual):
    definition = """
    # one row
    ---
    rate : float64
    """


@schema
class Session(dj.Manual):
    definition = """
    session : int32
    """


def refer():
    class Result(dj.Manual):
        definition = """
        -> Session
        -> Settings
        """

    schema(Result, context={"Session": Session, "Settings": Settings})


Session.insert([(1,), (2,)])
for what, do in {
    "insert1": lambda: Settings.insert1({"rate": 1.5}),
    "insert1 of a second row": lambda: Settings.insert1({"rate": 2.5}),
    "insert1 with skip_duplicates": lambda: Settings.insert1({"rate": 2.5}, skip_duplicates=True),
    "insert1 with replace": lambda: Settings.insert1({"rate": 3.5}, replace=True),
    "fetch1": lambda: Settings.fetch1(),
    "to_dicts": lambda: Settings.to_dicts(),
    "keys": lambda: Settings.keys(),
    "len": lambda: len(Settings()),
    "bool": lambda: bool(Settings()),
    "len of a join": lambda: len(Session * Settings),
    "rows of a join": lambda: (Session * Settings).proj().to_dicts(),
    "rows restricted by it": lambda: (Session & (Settings & "rate > 9")).to_dicts(),
    "update1": lambda: Settings.update1({"rate": 4.5}),
    "a foreign key to it": refer,
    "delete": lambda: Settings.delete(prompt=False),
    "delete_quick": lambda: Settings.delete_quick(),
    "rows at the end": lambda: Settings.to_dicts(),
}.items():
    try:
        print(f"{name}: {what}: {do()}")
    except Exception as error:
        print(f"{name}: {what}: {type(error).__name__}")
END
see "$work/new/bin/python" "$work/try.py" MariaDB "${ports[mariadb]}" mysql
see "$work/new/bin/python" "$work/try.py" PostgreSQL "${ports[postgresql]}" postgresql
compare <<'END'
MariaDB: insert1: None
MariaDB: insert1 of a second row: DuplicateError
MariaDB: insert1 with skip_duplicates: IndexError
MariaDB: insert1 with replace: None
MariaDB: fetch1: {'rate': 3.5}
MariaDB: to_dicts: [{'rate': 3.5}]
MariaDB: keys: QuerySyntaxError
MariaDB: len: QuerySyntaxError
MariaDB: bool: True
MariaDB: len of a join: 2
MariaDB: rows of a join: [{'session': 1}, {'session': 2}]
MariaDB: rows restricted by it: []
MariaDB: update1: QuerySyntaxError
MariaDB: a foreign key to it: QuerySyntaxError
MariaDB: delete: 1
MariaDB: delete_quick: None
MariaDB: rows at the end: []
PostgreSQL: insert1: None
PostgreSQL: insert1 of a second row: DuplicateError
PostgreSQL: insert1 with skip_duplicates: QuerySyntaxError
PostgreSQL: insert1 with replace: QuerySyntaxError
PostgreSQL: fetch1: {'rate': 1.5}
PostgreSQL: to_dicts: [{'rate': 1.5}]
PostgreSQL: keys: [{}]
PostgreSQL: len: QuerySyntaxError
PostgreSQL: bool: True
PostgreSQL: len of a join: 2
PostgreSQL: rows of a join: [{'session': 1}, {'session': 2}]
PostgreSQL: rows restricted by it: []
PostgreSQL: update1: QuerySyntaxError
PostgreSQL: a foreign key to it: QuerySyntaxError
PostgreSQL: delete: 1
PostgreSQL: delete_quick: None
PostgreSQL: rows at the end: []
END
