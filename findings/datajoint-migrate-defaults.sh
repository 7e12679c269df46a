#!/usr/bin/env bash
# `datajoint.migrate.migrate_columns` takes defaults and AUTO_INCREMENT away.
#
# Guess: the first step of the move from DataJoint 0.14 to 2 changes comments of columns and nothing else, as it says.
# Seen: it sends MODIFY COLUMN with the type, NOT NULL and the comment, so each column that gets a label loses its default
#   and its AUTO_INCREMENT. On MySQL `n=0 : int` has no default afterwards, and a row without it, or without the
#   counted key, is refused. On MariaDB that happens to floats only: integers are int(11) there, which is
#   none of the types that it looks for, so they get no label at all, while the report says that all is done (status
#   "migrated" for each column that it names). A second run changes nothing. There is neither a warning nor an error.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: it is run once on a lab's whole schema, and scripts that insert fail afterwards; the default is
#   written down nowhere but in the code of the pipeline.
# Source: the source of datajoint.migrate, read before; none found that says it.
. "$(dirname "$0")/common.sh"
environments "old datajoint==0.14.10 pymysql==1.2.4" "new datajoint==2.3.5 pymysql==1.2.4"
server mariadb
server mysql

cat >"$work/declare.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1])


@dj.Schema("lab")
class Session(dj.Manual):
    definition = """
    session : int auto_increment
    ---
    trials = 0 : int
    gain = 1.5 : float
    note = "" : varchar(20)
    """


Session.insert1({"note": "from 0.14"})
END
cat >"$work/migrate.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1])
from datajoint.migrate import migrate_columns  # noqa: E402 - it warns when it is imported

line = sys.argv[2] + ","
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
SQL = """SELECT column_name, column_default, extra, column_comment FROM information_schema.columns
    WHERE table_schema = 'lab' AND table_name = 'session' AND column_name <> 'note' ORDER BY ordinal_position"""


def columns(when):
    for name, default, extra, comment in dj.conn().query(SQL).fetchall():
        print(line, when, name, f"default {default}", extra or "-", comment or "-")


schema = dj.Schema("lab")
columns("before:")
done = migrate_columns(schema, dry_run=False)
print(line, "reports:", sorted((column["column"], column["status"]) for column in done["details"]))
columns("after:")
session = dj.VirtualModule("lab_after", "lab").Session
for row in ({"note": "after"}, {"session": 2, "note": "after"}, {"session": 3, "trials": 1, "gain": 1.0}):
    try:
        session.insert1(row)
        print(line, "inserts", row)
    except dj.DataJointError as error:
        print(line, "refuses", row, "-", str(error))
END
for kind in mariadb mysql; do
    at=${ports[$kind]}
    "$work/old/bin/python" "$work/declare.py" "$at"
    see "$work/new/bin/python" "$work/migrate.py" "$at" $kind
done
compare <<'END'
mariadb, before: session default None auto_increment -
mariadb, before: trials default 0 - -
mariadb, before: gain default 1.5 - -
mariadb, reports: [('gain', 'migrated')]
mariadb, after: session default None auto_increment -
mariadb, after: trials default 0 - -
mariadb, after: gain default None - :float32:
mariadb, refuses {'note': 'after'} - Field 'gain' doesn't have a default value
mariadb, refuses {'session': 2, 'note': 'after'} - Field 'gain' doesn't have a default value
mariadb, inserts {'session': 3, 'trials': 1, 'gain': 1.0}
mysql, before: session default None auto_increment -
mysql, before: trials default 0 - -
mysql, before: gain default 1.5 - -
mysql, reports: [('gain', 'migrated'), ('session', 'migrated'), ('trials', 'migrated')]
mysql, after: session default None - :int32:
mysql, after: trials default None - :int32:
mysql, after: gain default None - :float32:
mysql, refuses {'note': 'after'} - Field 'session' doesn't have a default value
mysql, refuses {'session': 2, 'note': 'after'} - Field 'trials' doesn't have a default value
mysql, inserts {'session': 3, 'trials': 1, 'gain': 1.0}
END
