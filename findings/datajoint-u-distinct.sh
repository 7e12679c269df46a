#!/usr/bin/env bash
# `dj.U("animal", "day") & Visit` shows four days, but what is joined or aggregated is six visits.
#
# Guess: the combinations are a table of their own, so `Animal.aggr(days, n="count(day)")` counts days, and
#   the length of a join is the number of rows that are fetched.
# Seen: DISTINCT is kept when the combinations are fetched, counted, restricted or projected, and lost when
#   they are joined or aggregated: their rows are those of Visit again. So `aggr` counts visits, an average is
#   weighted by them, and a join has rows with the same key; `len` of the join, which counts keys, says 8 where
#   12 rows come. `days & "TRUE"` does not help; `dj.Top(None, …)` and `& "TRUE"` after it do. There is neither
#   an error nor a warning.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19.
# Why it matters: "recording days per animal" is a usual column of a table, and has the number of recordings.
#   The slice has the rows that were read, so a replay agrees with the wrong figure. `count(distinct day)` on
#   Visit itself is right.
# Source: none found for aggr and joins. DataJoint's issue 228 (July 2016, closed) has the same loss in the
#   fetch of single attributes; that is right here.
. "$(dirname "$0")/common.sh"
environment old datajoint==0.14.10 pymysql==1.2.4
environment new datajoint==2.3.5 pymysql==1.2.4
server mariadb

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1])
two = dj.__version__.startswith("2")
print("DataJoint", dj.__version__, file=sys.stderr)
schema = dj.Schema("lab_new" if two else "lab_old")
line = "2.3" if two else "0.14"


@schema
class Animal(dj.Manual):
    definition = """
    animal : int
    """


@schema
class Rig(dj.Manual):
    definition = """
    rig : int
    """


@schema
class Visit(dj.Manual):
    definition = """
    -> Animal
    visit : int
    ---
    day : int
    """


def rows(expression, *columns):
    found = expression.to_dicts() if two else expression.fetch(as_dict=True)
    return [tuple(float(row[column]) if "mean" in column else int(row[column]) for column in columns) for row in found]


Animal.insert([(0,), (1,)])
Rig.insert([(0,), (1,)])
Visit.insert([(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 2), (1, 0, 1), (1, 1, 3)])
days = dj.U("animal", "day") & Visit
again = days & "TRUE"
apart = days & dj.Top(None) & "TRUE"
print(line, "sends for Animal.aggr(days, …)", Animal.aggr(days, n="count(day)").make_sql())
print(line, "days:", rows(days, "animal", "day"), "of length", len(days))
print(line, "days & 'day < 2':", rows(days & "day < 2", "animal", "day"))
print(line, "days.proj(next):", rows(days.proj(next="day + 1"), "animal", "day", "next"))
for label, expression in (("days", days), ("days & 'TRUE'", again), ("days & dj.Top(None) & 'TRUE'", apart)):
    print(f"{line} Animal.aggr({label}):", rows(Animal.aggr(expression, n="count(day)"), "animal", "n"))
    print(f"{line} dj.U().aggr({label}):", rows(dj.U().aggr(expression, n="count(*)", mean="avg(day)"), "n", "mean"))
    joined = expression * Rig
    print(f"{line} ({label}) * Rig: {len(rows(joined, 'animal', 'day', 'rig'))} rows, length {len(joined)}")
print(line, "count(distinct day):", rows(Animal.aggr(Visit, n="count(distinct day)"), "animal", "n"))
END
see "$work/old/bin/python" "$work/try.py" "$port"
see "$work/new/bin/python" "$work/try.py" "$port"
compare <<'END'
0.14 sends for Animal.aggr(days, …) SELECT `animal`,count(day) as `n` FROM `lab_old`.`animal` NATURAL JOIN `lab_old`.`visit` GROUP BY `animal`
0.14 days: [(0, 1), (0, 2), (1, 1), (1, 3)] of length 4
0.14 days & 'day < 2': [(0, 1), (1, 1)]
0.14 days.proj(next): [(0, 1, 2), (0, 2, 3), (1, 1, 2), (1, 3, 4)]
0.14 Animal.aggr(days): [(0, 4), (1, 2)]
0.14 dj.U().aggr(days): [(6, 1.5)]
0.14 (days) * Rig: 12 rows, length 8
0.14 Animal.aggr(days & 'TRUE'): [(0, 4), (1, 2)]
0.14 dj.U().aggr(days & 'TRUE'): [(6, 1.5)]
0.14 (days & 'TRUE') * Rig: 12 rows, length 8
0.14 Animal.aggr(days & dj.Top(None) & 'TRUE'): [(0, 2), (1, 2)]
0.14 dj.U().aggr(days & dj.Top(None) & 'TRUE'): [(4, 1.75)]
0.14 (days & dj.Top(None) & 'TRUE') * Rig: 8 rows, length 8
0.14 count(distinct day): [(0, 2), (1, 2)]
2.3 sends for Animal.aggr(days, …) SELECT `animal`,count(day) as `n` FROM `lab_new`.`animal` LEFT JOIN `lab_new`.`visit` USING (`animal`) GROUP BY `animal`
2.3 days: [(0, 1), (0, 2), (1, 1), (1, 3)] of length 4
2.3 days & 'day < 2': [(0, 1), (1, 1)]
2.3 days.proj(next): [(0, 1, 2), (0, 2, 3), (1, 1, 2), (1, 3, 4)]
2.3 Animal.aggr(days): [(0, 4), (1, 2)]
2.3 dj.U().aggr(days): [(6, 1.5)]
2.3 (days) * Rig: 12 rows, length 8
2.3 Animal.aggr(days & 'TRUE'): [(0, 4), (1, 2)]
2.3 dj.U().aggr(days & 'TRUE'): [(6, 1.5)]
2.3 (days & 'TRUE') * Rig: 12 rows, length 8
2.3 Animal.aggr(days & dj.Top(None) & 'TRUE'): [(0, 2), (1, 2)]
2.3 dj.U().aggr(days & dj.Top(None) & 'TRUE'): [(4, 1.75)]
2.3 (days & dj.Top(None) & 'TRUE') * Rig: 8 rows, length 8
2.3 count(distinct day): [(0, 2), (1, 2)]
END
