#!/usr/bin/env bash
# populate(reserve_jobs=True) never computes a key whose digits, written one after the other, are those of a
#   key that failed: (session 1, unit 23) stops (session 12, unit 3).
#
# Guess: each key is reserved, and fails, by itself.
# Seen: DataJoint 0.14.10 knows a job by the MD5 of the key's values, joined without anything between them:
#   `dj.hash.key_hash`. The failed key's entry in the jobs table holds for the other key too, so populate
#   skips that one, at each call, as long as the entry is there; error_list and the jobs table never name it.
#   Without reserve_jobs it is computed. 2.3.5, whose jobs have the key's own columns, computes it.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19.
# Why it matters: reserve_jobs is how labs populate in parallel, and some keys always fail. Results of good
#   recordings are missing, and nothing but the count of progress() says so. Of the 10000 keys of 100 sessions
#   with 100 units each, 1458 share their hash with another.
# Source: none found. DataJoint's issue 771 (April 2020) says that names of attributes are not in the hash.
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
class Unit(dj.Manual):
    definition = """
    session : int
    unit : int
    """


@schema
class Rate(dj.Computed):
    definition = """
    -> Unit
    ---
    rate : int
    """

    def make(self, key):
        if key["session"] == 1:
            raise ValueError("no spikes")
        self.insert1({**key, "rate": 5})


def keys(table):
    found = table.to_dicts() if two else table.fetch(as_dict=True)
    return sorted((row["session"], row["unit"]) for row in found)


def failed(report):
    return [(key["session"], key["unit"]) for key, error in report["error_list"]]


Unit.insert([(1, 23), (2, 1), (12, 3)])
for call in ("first", "second"):
    report = Rate.populate(reserve_jobs=True, suppress_errors=True)
    print(line, f"{call} populate with reserve_jobs: failed {failed(report)}; Rate has {keys(Rate())}")
jobs = Rate.jobs if two else schema.jobs
entries = jobs.to_dicts() if two else [row["key"] for row in jobs.fetch(as_dict=True)]
print(line, "jobs:", [(row["session"], row["unit"]) for row in entries])
print(line, "progress, remaining and total:", Rate.progress(display=False))
report = Rate.populate(suppress_errors=True)
print(line, f"populate without: failed {failed(report)}; Rate has {keys(Rate())}")
if not two:
    hashes = {}
    for session in range(1, 101):
        for unit in range(1, 101):
            hashes.setdefault(dj.key_hash({"session": session, "unit": unit}), []).append((session, unit))
    shared = [those for those in hashes.values() if len(those) > 1]
    print(line, f"100 sessions of 100 units: {sum(map(len, shared))} keys share a hash with another, as {shared[0]}")
END
see "$work/old/bin/python" "$work/try.py" "$port"
see "$work/new/bin/python" "$work/try.py" "$port"
compare <<'END'
0.14 first populate with reserve_jobs: failed [(1, 23)]; Rate has [(2, 1)]
0.14 second populate with reserve_jobs: failed []; Rate has [(2, 1)]
0.14 jobs: [(1, 23)]
0.14 progress, remaining and total: (2, 3)
0.14 populate without: failed [(1, 23)]; Rate has [(2, 1), (12, 3)]
0.14 100 sessions of 100 units: 1458 keys share a hash with another, as [(1, 11), (11, 1)]
2.3 first populate with reserve_jobs: failed [(1, 23)]; Rate has [(2, 1), (12, 3)]
2.3 second populate with reserve_jobs: failed []; Rate has [(2, 1), (12, 3)]
2.3 jobs: [(1, 23)]
2.3 progress, remaining and total: (1, 3)
2.3 populate without: failed [(1, 23)]; Rate has [(2, 1), (12, 3)]
END
