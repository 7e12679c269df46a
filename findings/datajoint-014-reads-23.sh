#!/usr/bin/env bash
# DataJoint 0.14.10 cannot open a table that DataJoint 2.3.5 declared, even if it knows the types.
#
# Guess: 0.14 has int, varchar and json itself, and columns with an underscore are hidden from it, so it
#   opens a table of these, and only <blob> is an error.
# Seen: "Unknown attribute type" for varchar(30) and for float64. 2.3 writes its name of a type into the
#   comment (`:varchar(30):`), and 0.14 knows only the few types that it writes there itself. Keys alone
#   cannot be read either. One hidden column is enough: after add_job_metadata_columns of 2.3, 0.14 cannot
#   open a table that it declared itself. Only a table of native types with a plain comment opens.
# Versions: DataJoint 0.14.10 and 2.3.5, MariaDB 10.11.19 (the comments are the same on MySQL 9.7.4).
# Why it matters: a slice of a 2.3 pipeline is loaded with its comments. A reader on 0.14 (Spyglass, the
#   Elements) can read it with SQL only. A lab that adds 2.3's hidden columns shuts out its own 0.14 users.
# Source: none found; the migration guide of 2.x is about the other direction.
. "$(dirname "$0")/common.sh"
environment old datajoint==0.14.10 pymysql==1.2.4 numpy==2.4.6
environment new datajoint==2.3.5 pymysql==1.2.4 numpy==2.4.6
server mariadb
export port

cat >"$work/connect.py" <<'END'
import os, sys

from common import datajoint_at

dj = datajoint_at(os.environ["port"])
dj.config["safemode"] = False
print("DataJoint", dj.__version__, dj.conn().query("SELECT VERSION()").fetchone()[0], file=sys.stderr)
END

cat >"$work/declare_new.py" <<'END'
from connect import dj

schema = dj.Schema("lab")
dj.config.provenance.capture = True


@schema
class Animal(dj.Manual):
    definition = """
    animal : int
    ---
    name : varchar(30)
    """


@schema
class Rate(dj.Lookup):
    definition = """
    rate : int
    ---
    value : float64
    """


@schema
class Entry(dj.Manual):  # only native types, and the hidden _prov
    definition = """
    entry : int
    ---
    weight : double
    """


@schema
class Plain(dj.Lookup):  # only native types
    definition = """
    plain : int
    ---
    weight : double
    """
END

cat >"$work/declare_old.py" <<'END'
from connect import dj

schema = dj.schema("oldlab")


@schema
class Session(dj.Manual):
    definition = """
    session : int
    ---
    note : varchar(30)
    """


@schema
class Result(dj.Computed):
    definition = """
    -> Session
    ---
    result : double
    """

    def make(self, key):
        self.insert1(dict(key, result=1))


Session.insert([(1, "a"), (2, "b")])
Result.populate()
print("0.14 on its own table:", len(Result()), "rows")
END

cat >"$work/hide.py" <<'END'
from connect import dj
from datajoint import migrate

migrate.add_job_metadata_columns(dj.Schema("oldlab"), dry_run=False)
END

cat >"$work/read_old.py" <<'END'
import sys

from connect import dj

module = dj.VirtualModule("it", sys.argv[1])
for name in sys.argv[2:]:
    try:
        print(f"0.14 opens {name}:", len(getattr(module, name)().fetch("KEY")), "rows")
    except dj.DataJointError as error:
        print(f"0.14 opens {name}:", error)
END

(cd "$work" && new/bin/python declare_new.py)
(cd "$work" && see old/bin/python read_old.py lab Animal Rate Entry Plain)
(cd "$work" && see old/bin/python declare_old.py)
(cd "$work" && new/bin/python hide.py >&2)
(cd "$work" && see old/bin/python read_old.py oldlab Session Result)
compare <<'END'
0.14 opens Animal: Unknown attribute type `varchar(30)`
0.14 opens Rate: Unknown attribute type `float64`
0.14 opens Entry: Unknown attribute type `json`
0.14 opens Plain: 0 rows
0.14 on its own table: 2 rows
0.14 opens Session: 2 rows
0.14 opens Result: Unknown attribute type `datetime(3)`
END
