#!/usr/bin/env bash
# `Table - key` with a key of two columns removes far more than the row of the key.
#
# Guess: `-` is the complement of `&`, for a dict as for a list of dicts: 8 of 9 rows stay.
# Seen: the condition that is sent is NOT  (`a`=1)AND(`b`=1): NOT holds for the first column only, so what
#   stays are the rows with another a AND the same b, 2 of 9. `Table - [key]` and `Table - "a=1 and b=1"`
#   keep 8. A row of numpy and an AndList of texts behave like the dict. There is neither an error nor a
#   warning.
# Versions: DataJoint 0.14.10 and 2.3.5, numpy 2.4.6, MariaDB 10.11.19.
# Why it matters: "all but this session" is how outliers are left out of a figure. The slice has the rows
#   that were read, which are not those that the author meant; with a key of one column all is well.
# Source: none found. https://docs.datajoint.com calls `-` the complement of `&`, for a dict as well.
. "$(dirname "$0")/common.sh"
environment old datajoint==0.14.10 pymysql==1.2.4 numpy==2.4.6
environment new datajoint==2.3.5 pymysql==1.2.4 numpy==2.4.6
server mariadb

cat >"$work/try.py" <<'END'
import sys

import numpy as np
from common import datajoint_at

dj = datajoint_at(sys.argv[1])
two = dj.__version__.startswith("2")
print("DataJoint", dj.__version__, "numpy", np.__version__, file=sys.stderr)
schema = dj.Schema("lab_new" if two else "lab_old")
line = "2.3" if two else "0.14"


@schema
class Trial(dj.Manual):
    definition = """
    a : int
    b : int
    """


Trial.insert((a, b) for a in range(3) for b in range(3))
key = {"a": 1, "b": 1}
record = np.rec.array([(1, 1)], names=("a", "b"))[0]
print(line, "sends", " ".join((Trial - key).make_sql().partition("WHERE")[2].split()))
for label, restricted in (
    ("& a dict", Trial & key),
    ("- a dict", Trial - key),
    ("- a dict of one column", Trial - {"a": 1}),
    ("- a list of the dict", Trial - [key]),
    ("- a text", Trial - "a=1 and b=1"),
    ("- an AndList", Trial - dj.AndList(["a=1", "b=1"])),
    ("- a row of numpy", Trial - record),
):
    print(f"{line} Trial {label}: {len(restricted)} of 9")
END
see "$work/old/bin/python" "$work/try.py" "$port"
see "$work/new/bin/python" "$work/try.py" "$port"
compare <<'END'
0.14 sends (NOT (`a`=1)AND(`b`=1))
0.14 Trial & a dict: 1 of 9
0.14 Trial - a dict: 2 of 9
0.14 Trial - a dict of one column: 6 of 9
0.14 Trial - a list of the dict: 8 of 9
0.14 Trial - a text: 8 of 9
0.14 Trial - an AndList: 2 of 9
0.14 Trial - a row of numpy: 2 of 9
2.3 sends (NOT (`a`=1)AND(`b`=1))
2.3 Trial & a dict: 1 of 9
2.3 Trial - a dict: 2 of 9
2.3 Trial - a dict of one column: 6 of 9
2.3 Trial - a list of the dict: 8 of 9
2.3 Trial - a text: 8 of 9
2.3 Trial - an AndList: 2 of 9
2.3 Trial - a row of numpy: 2 of 9
END
