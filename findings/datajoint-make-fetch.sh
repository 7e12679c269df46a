#!/usr/bin/env bash
# make_fetch may return an Arrow table, but then a change of the data during make_compute goes unnoticed.
#
# Guess: DataJoint computes again what make_fetch returns, and an error tells if it is not the same, whatever its type.
# Seen: the two are compared by deepdiff's DeepHash. It sees nothing of a pyarrow table (all are alike), so a result is
#   stored that was computed from rows that are no longer there. A structured array, which `fetch()` of 0.14 and
#   `to_arrays()` of 2.3 return, is a ValueError each time, changed or not, so populate never succeeds; bytes that are not UTF-8 are a
#   UnicodeDecodeError. Lists of dicts, plain arrays, DataFrames of pandas and polars are right.
# Versions: DataJoint 0.14.10 and 2.3.5, deepdiff 9.1.0, pyarrow 26.0.1, pandas 3.1.1, polars 2.1.0, numpy 2.4.6,
#   MariaDB 10.11.19.
# Why it matters: to have this check is what the three-part make is for. `to_arrow` is new in 2.x; a large table is what
#   one fetches with it.
# Source: Spyglass's issue 1504 (December 2025) has an error for objects that cannot be hashed. None found for tables.
. "$(dirname "$0")/common.sh"
environments "old datajoint==0.14.10 pymysql==1.2.4 deepdiff==9.1.0 numpy==2.4.6 setuptools" \
    "new datajoint==2.3.5 pymysql==1.2.4 deepdiff==9.1.0 pyarrow==26.0.1 pandas==3.1.1 polars==2.1.0 numpy==2.4.6"
server mariadb

cat >"$work/try.py" <<'END'
import sys

import deepdiff
import pymysql
from common import datajoint_at

dj = datajoint_at(sys.argv[1])
two = dj.__version__.startswith("2")
print("DataJoint", dj.__version__, "deepdiff", deepdiff.__version__, file=sys.stderr)
schema = dj.Schema("lab_new" if two else "lab_old")


@schema
class Trial(dj.Manual):
    definition = """
    session : int
    trial : int
    ---
    delay : double
    code : blob
    """ if not two else """
    session : int32
    trial : int32
    ---
    delay : float64
    code : <blob>
    """


@schema
class Session(dj.Manual):
    definition = "session : int" if not two else "session : int32"


KINDS = {
    "a structured array": lambda q: q.to_arrays() if two else q.fetch(),
    "an array": lambda q: q.to_arrays("delay") if two else q.fetch("delay"),
    "dicts": lambda q: q.to_dicts() if two else q.fetch(as_dict=True),
    "bytes": lambda q: b"\xff" + bytes([len(q)]),
}
if two:
    KINDS |= {"pandas": lambda q: q.to_pandas(), "polars": lambda q: q.to_polars(), "Arrow": lambda q: q.to_arrow()}
Session.insert1((1,))
Trial.insert([(1, n, n + 0.5, n) for n in range(3)])
other = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="tester", password="tester", autocommit=True)
number = 0
for kind, fetch in KINDS.items():
    for changed in (False, True):

        def make_fetch(self, key, fetch=fetch):
            return (fetch((Trial & key).proj("delay")),)

        def make_compute(self, key, data, changed=changed):
            if changed:
                other.cursor().execute(f"UPDATE {Trial.full_table_name} SET delay = delay + 1")
            return (1,)

        def make_insert(self, key, result):
            self.insert1({**key, "result": result})

        number += 1
        parts = {"make_fetch": make_fetch, "make_compute": make_compute, "make_insert": make_insert}
        table = schema(type("Result" + chr(64 + number), (dj.Computed,), {
            "definition": f"-> Session\n---\nresult : {'int32' if two else 'int'}", **parts}))  # fmt: skip
        done = table.populate(suppress_errors=True)
        errors = [str(error[1]).split("(")[0][:60] for error in done["error_list"]]
        print("2.3" if two else "0.14", kind, "changed:" if changed else "unchanged:", errors or "stored")
END
see "$work/old/bin/python" -W ignore "$work/try.py" "${ports[mariadb]}"
see "$work/new/bin/python" -W ignore "$work/try.py" "${ports[mariadb]}"
compare <<'END'
0.14 a structured array unchanged: ["ValueError: memoryview: hashing is restricted to formats 'B'"]
0.14 a structured array changed: ["ValueError: memoryview: hashing is restricted to formats 'B'"]
0.14 an array unchanged: stored
0.14 an array changed: ['DataJointError: Referential integrity failed! The `make_fetc']
0.14 dicts unchanged: stored
0.14 dicts changed: ['DataJointError: Referential integrity failed! The `make_fetc']
0.14 bytes unchanged: ["UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in "]
0.14 bytes changed: ["UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in "]
2.3 a structured array unchanged: ["ValueError: memoryview: hashing is restricted to formats 'B'"]
2.3 a structured array changed: ["ValueError: memoryview: hashing is restricted to formats 'B'"]
2.3 an array unchanged: stored
2.3 an array changed: ['DataJointError: Referential integrity failed! The `make_fetc']
2.3 dicts unchanged: stored
2.3 dicts changed: ['DataJointError: Referential integrity failed! The `make_fetc']
2.3 bytes unchanged: ["UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in "]
2.3 bytes changed: ["UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in "]
2.3 pandas unchanged: stored
2.3 pandas changed: ['DataJointError: Referential integrity failed! The `make_fetc']
2.3 polars unchanged: stored
2.3 polars changed: ['DataJointError: Referential integrity failed! The `make_fetc']
2.3 Arrow unchanged: stored
2.3 Arrow changed: stored
END
