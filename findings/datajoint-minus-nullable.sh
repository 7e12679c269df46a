#!/usr/bin/env bash
# `Session - Probe` is empty as soon as one row of Probe has no session.
#
# Guess: the sessions to which no probe refers; a probe without a session does not matter.
# Seen: it is sent as NOT IN (SELECT …) of the foreign key's column, which is true for no row if one is NULL.
#   With `[nullable]` in the definition, all rows are gone, on both lines and both servers, and the sessions
#   without a probe cannot be told from none. `Probe - Session` drops the probe without session, too.
#   `& "session IS NOT NULL"` on the right side gives the rows. Neither an error nor a warning.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: "which of these has no … yet" is the common use of `-`, and `[nullable]` a documented
#   option; the result says that all is done.
# Source: none found for DataJoint. That NOT IN does so with a NULL is SQL.
. "$(dirname "$0")/common.sh"
environments "old datajoint==0.14.10 pymysql==1.2.4" "new datajoint==2.3.5 pymysql==1.2.4"
server mariadb
server mysql

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1])
two = dj.__version__.startswith("2")
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema("lab_new" if two else "lab_old")
line = f"{'2.3' if two else '0.14'} on {sys.argv[2]},"


@schema
class Session(dj.Manual):
    definition = """
    session : int
    """


@schema
class Probe(dj.Manual):
    definition = """
    probe : int
    ---
    -> [nullable] Session
    """


def rows(expression, column):
    found = expression.to_dicts() if two else expression.fetch(as_dict=True)
    return sorted(row[column] for row in found)


Session.insert([(1,), (2,), (3,)])
Probe.insert([(10, 1), (11, 2)])
print(line, "Session - Probe:", rows(Session - Probe, "session"))
Probe.insert1((12, None))
print(line, "with a probe without session:", rows(Session - Probe, "session"))
print(line, "Session & Probe:", rows(Session & Probe, "session"))
print(line, "Session - [Probe]:", rows(Session - [Probe], "session"))
print(line, "Session - Probe.proj('session'):", rows(Session - Probe.proj("session"), "session"))
print(line, "Session - (Probe & 'session IS NOT NULL'):", rows(Session - (Probe & "session IS NOT NULL"), "session"))
print(line, "Probe - Session:", rows(Probe - Session, "probe"))
END
for environment in old new; do
    see "$work/$environment/bin/python" "$work/try.py" "${ports[mariadb]}" MariaDB
    see "$work/$environment/bin/python" "$work/try.py" "${ports[mysql]}" MySQL
done
compare <<'END'
0.14 on MariaDB, Session - Probe: [3]
0.14 on MariaDB, with a probe without session: []
0.14 on MariaDB, Session & Probe: [1, 2]
0.14 on MariaDB, Session - [Probe]: []
0.14 on MariaDB, Session - Probe.proj('session'): []
0.14 on MariaDB, Session - (Probe & 'session IS NOT NULL'): [3]
0.14 on MariaDB, Probe - Session: []
0.14 on MySQL, Session - Probe: [3]
0.14 on MySQL, with a probe without session: []
0.14 on MySQL, Session & Probe: [1, 2]
0.14 on MySQL, Session - [Probe]: []
0.14 on MySQL, Session - Probe.proj('session'): []
0.14 on MySQL, Session - (Probe & 'session IS NOT NULL'): [3]
0.14 on MySQL, Probe - Session: []
2.3 on MariaDB, Session - Probe: [3]
2.3 on MariaDB, with a probe without session: []
2.3 on MariaDB, Session & Probe: [1, 2]
2.3 on MariaDB, Session - [Probe]: []
2.3 on MariaDB, Session - Probe.proj('session'): []
2.3 on MariaDB, Session - (Probe & 'session IS NOT NULL'): [3]
2.3 on MariaDB, Probe - Session: []
2.3 on MySQL, Session - Probe: [3]
2.3 on MySQL, with a probe without session: []
2.3 on MySQL, Session & Probe: [1, 2]
2.3 on MySQL, Session - [Probe]: []
2.3 on MySQL, Session - Probe.proj('session'): []
2.3 on MySQL, Session - (Probe & 'session IS NOT NULL'): [3]
2.3 on MySQL, Probe - Session: []
END
