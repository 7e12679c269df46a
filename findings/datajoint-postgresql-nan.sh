#!/usr/bin/env bash
# A NaN that is inserted is NULL on MySQL and MariaDB, and the greatest of all numbers on PostgreSQL.
#
# Guess: DataJoint, which has one rule for NaN on insert (it becomes NULL), has it on each of its servers.
# Seen: on PostgreSQL the NaN stays. `weight > 2` then has its row, max() and avg() are NaN, count(weight) counts it,
#   `order_by="weight DESC"` begins with it (after the NULLs), `weight IS NULL` leaves it out, and
#   `& {"weight": nan}` is an error on both. There is no warning.
# Versions: DataJoint 2.3.5, psycopg2-binary 2.9.13, PostgreSQL 15.18; MariaDB 10.11.19 beside it.
# Why it matters: a missing measurement is NaN in numpy. After a move to PostgreSQL the same restriction keeps the rows
#   without a measurement, and each mean that has one is NaN.
# Source: PostgreSQL's manual says how it orders NaN; none found for DataJoint.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 pymysql==1.2.4 psycopg2-binary==2.9.13
server mariadb
server postgresql

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1], sys.argv[2])
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
line = sys.argv[2] + ":"


@dj.Schema("lab")
class Mouse(dj.Manual):
    definition = """
    mouse : int32
    ---
    weight = null : float64
    """


def mice(expression, **order):
    return [row["mouse"] for row in expression.to_dicts(**order)]


Mouse.insert([(1, 1.0), (2, float("nan")), (3, None), (4, 3.0)])
print(line, "as arrays", Mouse.to_arrays("weight", order_by="mouse").tolist())
print(line, "weight > 2:", mice(Mouse & "weight > 2", order_by="mouse"))
print(line, "weight IS NULL:", mice(Mouse & "weight IS NULL", order_by="mouse"))
print(line, "by weight DESC:", mice(Mouse, order_by="weight DESC, mouse"))
for what in ("max(weight)", "avg(weight)", "count(weight)"):
    print(line, what, dj.U().aggr(Mouse, found=what).to_dicts()[0]["found"])
try:
    print(line, "{'weight': nan}:", mice(Mouse & {"weight": float("nan")}))
except dj.DataJointError as error:
    print(line, "{'weight': nan}:", type(error).__name__, str(error).splitlines()[0])
END
see "$work/new/bin/python" "$work/try.py" "${ports[mariadb]}" mysql
see "$work/new/bin/python" "$work/try.py" "${ports[postgresql]}" postgresql
compare <<'END'
mysql: as arrays [1.0, None, None, 3.0]
mysql: weight > 2: [4]
mysql: weight IS NULL: [2, 3]
mysql: by weight DESC: [4, 1, 2, 3]
mysql: max(weight) 3.0
mysql: avg(weight) 2.0
mysql: count(weight) 2
mysql: {'weight': nan}: UnknownAttributeError Unknown column 'nan' in 'WHERE'
postgresql: as arrays [1.0, nan, None, 3.0]
postgresql: weight > 2: [2, 4]
postgresql: weight IS NULL: [3]
postgresql: by weight DESC: [3, 2, 4, 1]
postgresql: max(weight) nan
postgresql: avg(weight) nan
postgresql: count(weight) 3
postgresql: {'weight': nan}: UnknownAttributeError column "nan" does not exist
END
