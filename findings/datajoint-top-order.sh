#!/usr/bin/env bash
# `dj.Top` chooses its rows after the projection that follows it, by the columns of the result.
#
# Guess: the two heaviest visits are chosen first, and `.proj(…)` or `dj.U(…) &` then works on these two.
# Seen: LIMIT and ORDER BY end the SELECT of the projection, so they see its columns. Where the projection
#   gives the name of the ordering column to something else, other rows come: `.proj(weight="100 - weight")`
#   returns the two lightest. Top's own order, KEY, becomes the new key. `dj.U("animal") & top` takes the
#   first animals of all visits, not the animals of the first visits; ordered by a column that is not in the
#   result, MariaDB does the same, and MySQL has error 3065. A new column with a new name is right. Apart from
#   3065 there is neither an error nor a warning.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: converting a unit, or negating a score, after choosing the best rows is usual, and so is to
#   ask which animals they are of; the figure shows others. `top & "TRUE"` before the projection is right.
# Source: none found. DataJoint's issue 914 (May 2021) has error 3065 for `order_by=` in fetch, where the
#   projection came first as well. In SQL, ORDER BY prefers a column of the result to one of the table.
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
class Visit(dj.Manual):
    definition = """
    animal : int
    visit : int
    ---
    weight : int
    """


def rows(expression, *columns):
    try:
        found = expression.to_dicts() if two else expression.fetch(as_dict=True)
    except Exception as error:
        return f"{type(error).__name__} {error.args[0]}"
    return sorted(tuple(int(row[column]) for column in columns) for row in found)


Visit.insert([(0, 0, 10), (0, 1, 12), (0, 2, 40), (0, 3, 30), (1, 0, 20), (1, 1, 25)])
top = Visit & dj.Top(2, "weight DESC")
first = Visit & dj.Top(2)
apart = top & "TRUE"
print(line, "sends for top.proj(weight)", top.proj(weight="100 - weight").make_sql())
print(line, "top:", rows(top, "animal", "visit", "weight"))
print(line, "top.proj(weight='100 - weight'):", rows(top.proj(weight="100 - weight"), "animal", "visit", "weight"))
print(line, "top.proj(left='100 - weight'):", rows(top.proj(left="100 - weight"), "animal", "visit", "left"))
print(line, "(top & 'TRUE').proj(weight=…):", rows(apart.proj(weight="100 - weight"), "animal", "visit", "weight"))
print(line, "dj.U('animal') & top:", rows(dj.U("animal") & top, "animal"))
print(line, "dj.U('animal') & (top & 'TRUE'):", rows(dj.U("animal") & apart, "animal"))
print(line, "first:", rows(first, "animal", "visit"))
print(line, "dj.U('animal') & first:", rows(dj.U("animal") & first, "animal"))
print(line, "dj.U('animal') & (first & 'TRUE'):", rows(dj.U("animal") & (first & "TRUE"), "animal"))
print(line, "first.proj(animal='visit', visit='animal'):", rows(first.proj(animal="visit", visit="animal"), "animal", "visit"))
END
for environment in old new; do
    see "$work/$environment/bin/python" "$work/try.py" "${ports[mariadb]}" MariaDB
    see "$work/$environment/bin/python" "$work/try.py" "${ports[mysql]}" MySQL
done
compare <<'END'
0.14 on MariaDB, sends for top.proj(weight) SELECT `animal`,`visit`,100 - weight as `weight` FROM `lab_old`.`visit` ORDER BY `weight` DESC LIMIT 2
0.14 on MariaDB, top: [(0, 2, 40), (0, 3, 30)]
0.14 on MariaDB, top.proj(weight='100 - weight'): [(0, 0, 90), (0, 1, 88)]
0.14 on MariaDB, top.proj(left='100 - weight'): [(0, 2, 60), (0, 3, 70)]
0.14 on MariaDB, (top & 'TRUE').proj(weight=…): [(0, 2, 60), (0, 3, 70)]
0.14 on MariaDB, dj.U('animal') & top: [(0,), (1,)]
0.14 on MariaDB, dj.U('animal') & (top & 'TRUE'): [(0,)]
0.14 on MariaDB, first: [(0, 0), (0, 1)]
0.14 on MariaDB, dj.U('animal') & first: [(0,), (1,)]
0.14 on MariaDB, dj.U('animal') & (first & 'TRUE'): [(0,)]
0.14 on MariaDB, first.proj(animal='visit', visit='animal'): [(0, 0), (1, 0)]
0.14 on MySQL, sends for top.proj(weight) SELECT `animal`,`visit`,100 - weight as `weight` FROM `lab_old`.`visit` ORDER BY `weight` DESC LIMIT 2
0.14 on MySQL, top: [(0, 2, 40), (0, 3, 30)]
0.14 on MySQL, top.proj(weight='100 - weight'): [(0, 0, 90), (0, 1, 88)]
0.14 on MySQL, top.proj(left='100 - weight'): [(0, 2, 60), (0, 3, 70)]
0.14 on MySQL, (top & 'TRUE').proj(weight=…): [(0, 2, 60), (0, 3, 70)]
0.14 on MySQL, dj.U('animal') & top: OperationalError 3065
0.14 on MySQL, dj.U('animal') & (top & 'TRUE'): [(0,)]
0.14 on MySQL, first: [(0, 0), (0, 1)]
0.14 on MySQL, dj.U('animal') & first: [(0,), (1,)]
0.14 on MySQL, dj.U('animal') & (first & 'TRUE'): [(0,)]
0.14 on MySQL, first.proj(animal='visit', visit='animal'): [(0, 0), (1, 0)]
2.3 on MariaDB, sends for top.proj(weight) SELECT `animal`,`visit`,100 - weight as `weight` FROM `lab_new`.`visit` ORDER BY `weight` DESC LIMIT 2
2.3 on MariaDB, top: [(0, 2, 40), (0, 3, 30)]
2.3 on MariaDB, top.proj(weight='100 - weight'): [(0, 0, 90), (0, 1, 88)]
2.3 on MariaDB, top.proj(left='100 - weight'): [(0, 2, 60), (0, 3, 70)]
2.3 on MariaDB, (top & 'TRUE').proj(weight=…): [(0, 2, 60), (0, 3, 70)]
2.3 on MariaDB, dj.U('animal') & top: [(0,), (1,)]
2.3 on MariaDB, dj.U('animal') & (top & 'TRUE'): [(0,)]
2.3 on MariaDB, first: [(0, 0), (0, 1)]
2.3 on MariaDB, dj.U('animal') & first: [(0,), (1,)]
2.3 on MariaDB, dj.U('animal') & (first & 'TRUE'): [(0,)]
2.3 on MariaDB, first.proj(animal='visit', visit='animal'): [(0, 0), (1, 0)]
2.3 on MySQL, sends for top.proj(weight) SELECT `animal`,`visit`,100 - weight as `weight` FROM `lab_new`.`visit` ORDER BY `weight` DESC LIMIT 2
2.3 on MySQL, top: [(0, 2, 40), (0, 3, 30)]
2.3 on MySQL, top.proj(weight='100 - weight'): [(0, 0, 90), (0, 1, 88)]
2.3 on MySQL, top.proj(left='100 - weight'): [(0, 2, 60), (0, 3, 70)]
2.3 on MySQL, (top & 'TRUE').proj(weight=…): [(0, 2, 60), (0, 3, 70)]
2.3 on MySQL, dj.U('animal') & top: OperationalError 3065
2.3 on MySQL, dj.U('animal') & (top & 'TRUE'): [(0,)]
2.3 on MySQL, first: [(0, 0), (0, 1)]
2.3 on MySQL, dj.U('animal') & first: [(0,), (1,)]
2.3 on MySQL, dj.U('animal') & (first & 'TRUE'): [(0,)]
2.3 on MySQL, first.proj(animal='visit', visit='animal'): [(0, 0), (1, 0)]
END
