#!/usr/bin/env bash
# On PostgreSQL `TIMESTAMPDIFF(SECOND, start, stop)` in a projection is never more than 60.
#
# Guess: DataJoint, which translates MySQL's functions for PostgreSQL, translates this one to the same number, or the server
#   refuses it.
# Seen: it becomes EXTRACT(SECOND FROM AGE(stop, start))::int, the seconds that are left after the whole minutes: 90 seconds
#   are 30, two hours in minutes are 0, 26 hours are 2. The cast rounds where MySQL cuts: 59.6 seconds are 60. A DAY is
#   counted from midnight: from 23:00 to 01:00 is 1, not 0. A week and a quarter are errors. Only `proj` and `aggr`
#   translate: in a restriction the function is an error.
# Versions: DataJoint 2.3.5, psycopg2-binary 2.9.13, PostgreSQL 15.18; MariaDB 10.11.19 beside it.
# Why it matters: durations of sessions and trials are computed with it, and each answer looks like one.
# Source: the source of DataJoint's adapter, read before (its tests try years only); none found that says it.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 pymysql==1.2.4 psycopg2-binary==2.9.13
server mariadb
server postgresql

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1], sys.argv[2])
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)


@dj.Schema("lab")
class Session(dj.Manual):
    definition = """
    session : int32
    ---
    start : datetime(6)
    stop : datetime(6)
    """


DAY = "2026-03-01"
Session.insert([
    (1, f"{DAY} 10:00:00", f"{DAY} 10:01:30"),
    (2, f"{DAY} 10:00:00", f"{DAY} 12:00:00"),
    (3, f"{DAY} 10:00:00", "2026-03-02 12:00:00"),
    (4, f"{DAY} 10:00:00", f"{DAY} 10:00:59.6"),
    (5, f"{DAY} 23:00:00", "2026-03-02 01:00:00"),
])  # fmt: skip
for unit in ("SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "WEEK"):
    long = Session.proj(long=f"TIMESTAMPDIFF({unit}, start, stop)")
    try:
        print(sys.argv[2], unit, [row["long"] for row in long.to_dicts(order_by="session")])
    except Exception as error:
        print(sys.argv[2], unit, type(error).__name__, str(error).splitlines()[0][:60])
longest = dj.U().aggr(Session, longest="max(TIMESTAMPDIFF(SECOND, start, stop))")
print(sys.argv[2], "the longest, in seconds:", longest.to_dicts()[0]["longest"])
try:
    print(sys.argv[2], "longer than 80 s:", len(Session & "TIMESTAMPDIFF(SECOND, start, stop) > 80"))
except Exception as error:
    print(sys.argv[2], "longer than 80 s:", type(error).__name__)
END
see "$work/new/bin/python" "$work/try.py" "${ports[mariadb]}" mysql
see "$work/new/bin/python" "$work/try.py" "${ports[postgresql]}" postgresql
compare <<'END'
mysql SECOND [90, 7200, 93600, 59, 7200]
mysql MINUTE [1, 120, 1560, 0, 120]
mysql HOUR [0, 2, 26, 0, 2]
mysql DAY [0, 0, 1, 0, 0]
mysql MONTH [0, 0, 0, 0, 0]
mysql WEEK [0, 0, 0, 0, 0]
mysql the longest, in seconds: 93600
mysql longer than 80 s: 4
postgresql SECOND [30, 0, 0, 60, 0]
postgresql MINUTE [1, 0, 0, 0, 0]
postgresql HOUR [0, 2, 2, 0, 2]
postgresql DAY [0, 0, 1, 0, 1]
postgresql MONTH [0, 0, 0, 0, 0]
postgresql WEEK FeatureNotSupported unit "week" not supported for type interval
postgresql the longest, in seconds: 60
postgresql longer than 80 s: UnknownAttributeError
END
