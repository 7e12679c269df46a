#!/usr/bin/env bash
# `Session & {"session": [1, 2]}` is session 0, and so is {"session": []}; on MariaDB delete() deletes it.
#
# Guess: sessions 1 and 2; or an error, as for a tuple, a set, an array and a Series.
# Seen: DataJoint sends session='[1, 2]', a text. For a column of numbers MySQL and MariaDB make a number of it, which is 0,
#   whatever the list has. `-` leaves out session 0 alone. Neither an error nor a warning; delete() is one on MySQL. On
#   PostgreSQL, and for a tuple, it is an error. A list around dicts, [{"session": 1}, {"session": 2}], and "session in (1, 2)" are right.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, psycopg2-binary 2.9.13, MariaDB 10.11.19, MySQL 9.7.4,
#   PostgreSQL 15.18.
# Why it matters: it is how pandas, Django and SQLAlchemy choose several. Numbers from 0 are usual for trials, probes and sets
#   of parameters: one row comes, so that nobody notices, and it is another than asked for.
# Source: none found.
. "$(dirname "$0")/common.sh"
environments "old datajoint==0.14.10 pymysql==1.2.4 numpy==2.4.6" \
    "new datajoint==2.3.5 pymysql==1.2.4 psycopg2-binary==2.9.13 numpy==2.4.6"
server mariadb
server mysql
server postgresql

cat >"$work/try.py" <<'END'
import sys

import numpy as np
from common import datajoint_at

_, name, port, backend = sys.argv
dj = datajoint_at(port, backend)
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema(f"lab{dj.__version__[:1]}")


@schema
class Session(dj.Manual):
    definition = """
    session : int
    """


def rows(table):
    return sorted(row["session"] for row in (table.fetch(as_dict=True) if dj.__version__ < "2" else table.to_dicts()))


def tried(do):
    try:
        return do()
    except Exception as error:
        return type(error).__name__


Session.insert([(0,), (1,), (2,)])
for value in ([1, 2], [2], [], (1, 2), np.array([1, 2])):
    key = {"session": value}
    print(f"{dj.__version__} on {name}: & {key} {tried(lambda: rows(Session & key))}, - {tried(lambda: rows(Session - key))}")
options = {"safemode": False} if dj.__version__ < "2" else {"prompt": False}
tried(lambda: (Session & {"session": [1, 2]}).delete(**options))
print(f"{dj.__version__} on {name}: after delete() of {{'session': [1, 2]}} {rows(Session())}")
END
for line in old new; do
    see "$work/$line/bin/python" "$work/try.py" MariaDB "${ports[mariadb]}" mysql
    see "$work/$line/bin/python" "$work/try.py" MySQL "${ports[mysql]}" mysql
done
see "$work/new/bin/python" "$work/try.py" PostgreSQL "${ports[postgresql]}" postgresql
compare <<'END'
0.14.10 on MariaDB: & {'session': [1, 2]} [0], - [1, 2]
0.14.10 on MariaDB: & {'session': [2]} [0], - [1, 2]
0.14.10 on MariaDB: & {'session': []} [0], - [1, 2]
0.14.10 on MariaDB: & {'session': (1, 2)} OperationalError, - OperationalError
0.14.10 on MariaDB: & {'session': array([1, 2])} QuerySyntaxError, - QuerySyntaxError
0.14.10 on MariaDB: after delete() of {'session': [1, 2]} [1, 2]
0.14.10 on MySQL: & {'session': [1, 2]} [0], - [1, 2]
0.14.10 on MySQL: & {'session': [2]} [0], - [1, 2]
0.14.10 on MySQL: & {'session': []} [0], - [1, 2]
0.14.10 on MySQL: & {'session': (1, 2)} OperationalError, - OperationalError
0.14.10 on MySQL: & {'session': array([1, 2])} QuerySyntaxError, - QuerySyntaxError
0.14.10 on MySQL: after delete() of {'session': [1, 2]} [0, 1, 2]
2.3.5 on MariaDB: & {'session': [1, 2]} [0], - [1, 2]
2.3.5 on MariaDB: & {'session': [2]} [0], - [1, 2]
2.3.5 on MariaDB: & {'session': []} [0], - [1, 2]
2.3.5 on MariaDB: & {'session': (1, 2)} OperationalError, - OperationalError
2.3.5 on MariaDB: & {'session': array([1, 2])} QuerySyntaxError, - QuerySyntaxError
2.3.5 on MariaDB: after delete() of {'session': [1, 2]} [1, 2]
2.3.5 on MySQL: & {'session': [1, 2]} [0], - [1, 2]
2.3.5 on MySQL: & {'session': [2]} [0], - [1, 2]
2.3.5 on MySQL: & {'session': []} [0], - [1, 2]
2.3.5 on MySQL: & {'session': (1, 2)} OperationalError, - OperationalError
2.3.5 on MySQL: & {'session': array([1, 2])} QuerySyntaxError, - QuerySyntaxError
2.3.5 on MySQL: after delete() of {'session': [1, 2]} [0, 1, 2]
2.3.5 on PostgreSQL: & {'session': [1, 2]} InvalidTextRepresentation, - InvalidTextRepresentation
2.3.5 on PostgreSQL: & {'session': [2]} InvalidTextRepresentation, - InvalidTextRepresentation
2.3.5 on PostgreSQL: & {'session': []} InvalidTextRepresentation, - InvalidTextRepresentation
2.3.5 on PostgreSQL: & {'session': (1, 2)} UndefinedFunction, - UndefinedFunction
2.3.5 on PostgreSQL: & {'session': array([1, 2])} QuerySyntaxError, - QuerySyntaxError
2.3.5 on PostgreSQL: after delete() of {'session': [1, 2]} [0, 1, 2]
END
