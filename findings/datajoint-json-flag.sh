#!/usr/bin/env bash
# On MySQL `{"info.good": True}` finds no row, and `{"info.good": False}` finds the good ones as well.
#
# Guess: a restriction by a path of a json column compares as Python does.
# Seen: the condition is json_value(…)=True. MySQL's JSON_VALUE returns the text 'true' or 'false', which as a
#   number is 0: neither equals True, and both equal False. The text "true" finds the good rows. JSON_VALUE
#   returns at most 512 characters, and NULL for more: a longer text is None after proj, and a restriction by
#   it finds no row. On MariaDB, whose JSON_VALUE returns 1 and 0, DataJoint 2.3.5 has the rows that Python
#   has, and the text "true" finds none; 0.14 has no json there. On both a name equals False. There is
#   neither an error nor a warning.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: flags such as "good" or "curated" are what a json column holds. `- {"info.bad": True}`
#   excludes nothing; the same lines give another figure on each server.
# Source: none found for DataJoint. MySQL's manual says VARCHAR(512) of JSON_VALUE, MariaDB's nothing of 1 and 0.
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
class Unit(dj.Manual):
    definition = """
    unit : int
    ---
    info : json
    """


def rows(expression, column="unit"):
    found = expression.to_dicts() if two else expression.fetch(as_dict=True)
    return [row[column] for row in sorted(found, key=lambda row: row["unit"])]


note = "a" * 600
Unit.insert([(1, {"good": True, "name": "ada"}), (2, {"good": False, "name": "bob"}), (3, {"good": True, "note": note})])
print(line, "sends", " ".join((Unit & {"info.good": True}).make_sql().partition("WHERE")[2].split()))
print(line, "good True:", rows(Unit & {"info.good": True}))
print(line, "good False:", rows(Unit & {"info.good": False}))
print(line, "good True in a list:", rows(Unit & [{"info.good": True}]))
print(line, "- [good True]:", rows(Unit - [{"info.good": True}]))
print(line, "good 'true':", rows(Unit & {"info.good": "true"}))
print(line, "name False:", rows(Unit & {"info.name": False}))
print(line, "proj of good:", rows(Unit.proj(good="info.good"), "good"))
print(line, "a note of 600 characters:", rows(Unit & {"info.note": note}))
print(line, "proj of note, length:", [value and len(value) for value in rows(Unit.proj(note="info.note"), "note")])
END
for environment in old new; do
    see "$work/$environment/bin/python" "$work/try.py" "${ports[mysql]}" MySQL
done
see "$work/new/bin/python" "$work/try.py" "${ports[mariadb]}" MariaDB
compare <<'END'
0.14 on MySQL, sends ( (json_value(`info`, _utf8mb4'$.good')=True))
0.14 on MySQL, good True: []
0.14 on MySQL, good False: [1, 2, 3]
0.14 on MySQL, good True in a list: []
0.14 on MySQL, - [good True]: [1, 2, 3]
0.14 on MySQL, good 'true': [1, 3]
0.14 on MySQL, name False: [1, 2]
0.14 on MySQL, proj of good: ['true', 'false', 'true']
0.14 on MySQL, a note of 600 characters: []
0.14 on MySQL, proj of note, length: [None, None, None]
2.3 on MySQL, sends ( (json_value(`info`, _utf8mb4'$.good')=True))
2.3 on MySQL, good True: []
2.3 on MySQL, good False: [1, 2, 3]
2.3 on MySQL, good True in a list: []
2.3 on MySQL, - [good True]: [1, 2, 3]
2.3 on MySQL, good 'true': [1, 3]
2.3 on MySQL, name False: [1, 2]
2.3 on MySQL, proj of good: ['true', 'false', 'true']
2.3 on MySQL, a note of 600 characters: []
2.3 on MySQL, proj of note, length: [None, None, None]
2.3 on MariaDB, sends ( (json_value(`info`, _utf8mb4'$.good')=True))
2.3 on MariaDB, good True: [1, 3]
2.3 on MariaDB, good False: [2]
2.3 on MariaDB, good True in a list: [1, 3]
2.3 on MariaDB, - [good True]: [2]
2.3 on MariaDB, good 'true': []
2.3 on MariaDB, name False: [1, 2]
2.3 on MariaDB, proj of good: ['1', '0', '1']
2.3 on MariaDB, a note of 600 characters: [3]
2.3 on MariaDB, proj of note, length: [None, None, 600]
END
