#!/usr/bin/env bash
# `Session.proj(animal="animla")` is a projection without `animal`, and the join that follows pairs everything.
#
# Guess: an error that names `animla`, as `proj("animla")` has one.
# Seen: a single word, in parentheses or not, is taken as a column's name, and one that is no column is dropped,
#   in proj and in aggr. The join on the column that is not there is a cross join (2.3 writes CROSS JOIN, 0.14
#   a NATURAL JOIN without common columns), and `-` leaves nothing. So it goes with a capital
#   letter, `proj(a="Animal")`, which the server would take, and with expressions of one word, `TRUE` or
#   `current_date`. Neither an error nor a warning.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19.
# Why it matters: renaming before a join is how DataJoint chooses what to join on; one wrong letter gives every
#   session to every animal, and the mean of a group becomes that of all.
# Source: none found. DataJoint's issue 982 (January 2022) is about columns that have capitals themselves.
. "$(dirname "$0")/common.sh"
environment old datajoint==0.14.10 pymysql==1.2.4
environment new datajoint==2.3.5 pymysql==1.2.4
server mariadb

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1])
two = dj.__version__.startswith("2")
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema("lab_new" if two else "lab_old")
line = "2.3" if two else "0.14"


@schema
class Mouse(dj.Manual):
    definition = """
    mouse : int
    """


@schema
class Session(dj.Manual):
    definition = """
    session : int
    ---
    -> Mouse.proj(animal="mouse")
    """


Mouse.insert([(1,), (2,), (3,)])
Session.insert([(10, 1), (11, 1), (12, 2)])


def columns(expression):
    try:
        return expression().heading.names
    except dj.DataJointError as error:
        return f"error {str(error)[:32]}"


print(line, "proj('animla'):", columns(lambda: Session.proj("animla")))
for text in ("animal", "animla", "Animal", "TRUE", "current_date", "1", "(animla)"):
    print(line, f"proj(mouse={text!r}):", columns(lambda: Session.proj(mouse=text)))
print(line, "Mouse.aggr(…, n='animla'):", columns(lambda: Mouse.aggr(Session.proj(mouse="animal"), n="animla")))
for text in ("animal", "animla"):
    session = Session.proj(mouse=text)
    print(line, f"with {text!r}: the join of 3 sessions with Mouse has {len(session * Mouse)} rows, Mouse - them {len(Mouse - session)}")
print(line, "sends FROM", (Session.proj(mouse="animla") * Mouse).make_sql().partition(" FROM ")[2])
END
see "$work/old/bin/python" "$work/try.py" "$port"
see "$work/new/bin/python" "$work/try.py" "$port"
compare <<'END'
0.14 proj('animla'): error Attribute `animla` not found.
0.14 proj(mouse='animal'): ['session', 'mouse']
0.14 proj(mouse='animla'): ['session']
0.14 proj(mouse='Animal'): ['session']
0.14 proj(mouse='TRUE'): ['session']
0.14 proj(mouse='current_date'): ['session']
0.14 proj(mouse='1'): ['session', 'mouse']
0.14 proj(mouse='(animla)'): ['session']
0.14 Mouse.aggr(…, n='animla'): ['mouse']
0.14 with 'animal': the join of 3 sessions with Mouse has 3 rows, Mouse - them 1
0.14 with 'animla': the join of 3 sessions with Mouse has 9 rows, Mouse - them 0
0.14 sends FROM `lab_old`.`session` NATURAL JOIN `lab_old`.`mouse`
2.3 proj('animla'): error Attribute `animla` not found.
2.3 proj(mouse='animal'): ['session', 'mouse']
2.3 proj(mouse='animla'): ['session']
2.3 proj(mouse='Animal'): ['session']
2.3 proj(mouse='TRUE'): ['session']
2.3 proj(mouse='current_date'): ['session']
2.3 proj(mouse='1'): ['session', 'mouse']
2.3 proj(mouse='(animla)'): ['session']
2.3 Mouse.aggr(…, n='animla'): ['mouse']
2.3 with 'animal': the join of 3 sessions with Mouse has 3 rows, Mouse - them 1
2.3 with 'animla': the join of 3 sessions with Mouse has 9 rows, Mouse - them 0
2.3 sends FROM `lab_new`.`session` CROSS JOIN `lab_new`.`mouse`
END
