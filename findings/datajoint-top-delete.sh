#!/usr/bin/env bash
# `(Session & dj.Top(1)).delete()` deletes all sessions, with all of their trials.
#
# Guess: one session and its trials, or an error.
# Seen: DataJoint 0.14.10 sends the DELETE without Top's ORDER BY and LIMIT. `len`, fetch and the preview have
#   one row, delete() and delete_quick() take every row that the other conditions allow, and the cascade takes
#   their children. 2.3.5 deletes the one row. With safemode on, the log has the numbers of rows before it asks;
#   with safemode off there is neither an error nor a warning.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19.
# Why it matters: "delete the newest run" deletes all runs.
# Source: none found. The docstring calls Top "a restriction to the top entities of a query".
. "$(dirname "$0")/common.sh"
environment old datajoint==0.14.10 pymysql==1.2.4
environment new datajoint==2.3.5 pymysql==1.2.4
server mariadb

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1])
dj.config["safemode"] = False
two = dj.__version__.startswith("2")
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema("lab_new" if two else "lab_old")
line = "2.3" if two else "0.14"


@schema
class Session(dj.Manual):
    definition = """
    session : int
    ---
    day : date
    """


@schema
class Trial(dj.Manual):
    definition = """
    -> Session
    trial : int
    """


def left(what):
    Session.insert([(s, f"2026-01-0{s}") for s in range(1, 6)])
    Trial.insert([(s, t) for s in range(1, 6) for t in range(2)])
    newest = Session & dj.Top(1, "day DESC")
    counted = len(what(newest))
    what(newest).delete()
    found = [int(s) for s in (Session.to_arrays("session") if two else Session.fetch("session"))]
    trials = len(Trial())
    Trial.delete_quick()
    Session.delete_quick()
    return f"len {counted}; left: sessions {sorted(found)} and {trials} of 10 trials"


print(line, "newest.delete():", left(lambda newest: newest))
print(line, "(Session & 'session > 2' & Top).delete():", left(lambda newest: Session & "session > 2" & dj.Top(1, "day DESC")))
print(line, "(Trial & Top).delete():", left(lambda newest: Trial & dj.Top(1)))
Session.insert([(s, f"2026-01-0{s}") for s in range(1, 6)])
(Session & dj.Top(1)).delete_quick()
print(line, "(Session & Top).delete_quick(): left", len(Session()), "of 5")
END
see "$work/old/bin/python" "$work/try.py" "$port"
see "$work/new/bin/python" "$work/try.py" "$port"
compare <<'END'
0.14 newest.delete(): len 1; left: sessions [] and 0 of 10 trials
0.14 (Session & 'session > 2' & Top).delete(): len 1; left: sessions [1, 2] and 4 of 10 trials
0.14 (Trial & Top).delete(): len 1; left: sessions [1, 2, 3, 4, 5] and 0 of 10 trials
0.14 (Session & Top).delete_quick(): left 0 of 5
2.3 newest.delete(): len 1; left: sessions [1, 2, 3, 4] and 8 of 10 trials
2.3 (Session & 'session > 2' & Top).delete(): len 1; left: sessions [1, 2, 3, 4] and 8 of 10 trials
2.3 (Trial & Top).delete(): len 1; left: sessions [1, 2, 3, 4, 5] and 9 of 10 trials
2.3 (Session & Top).delete_quick(): left 4 of 5
END
