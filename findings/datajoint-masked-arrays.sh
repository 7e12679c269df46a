#!/usr/bin/env bash
# DataJoint stores a numpy masked array without its mask: <npy@> returns the masked values, a blob 999999.
#
# Guess: an error, as for other arrays that a codec cannot hold; or the same from each codec.
# Seen: no error and no warning. <npy@> of 2.3.5 returns the data without the mask, so the masked values
#   are back. <blob> of 2.3.5, and longblob of 0.14.10, return numpy's fill value 999999 (1e20 for floats)
#   instead. Both are plain arrays.
# Versions: DataJoint 0.14.10 and 2.3.5, numpy 2.4.6, MariaDB 10.11.19.
# Why it matters: labs mask artifacts in traces before they store them. A mean over the fetched array
#   counts them, and a figure from a slice shows values that were never measured, although every statement
#   returns the same rows.
# Source: none found.
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
if two:
    dj.config.stores = {"default": "main", "main": {"protocol": "file", "location": sys.argv[2]}}
print("DataJoint", dj.__version__, "numpy", np.__version__, dj.conn().query("SELECT VERSION()").fetchone()[0], file=sys.stderr)
schema = dj.Schema("lab_new" if two else "lab_old")
line, *kinds = ("2.3", "<npy@main>", "<blob>") if two else ("0.14", "longblob")
for number, kind in enumerate(kinds):
    table = schema(type(f"Trace{number}", (dj.Manual,), {"definition": f"trace : int\n---\nv : {kind}\n"}))
    for trace, values in enumerate(([1, 2, 3], [0.5, 1.5, 2.5])):
        table.insert1({"trace": trace, "v": np.ma.array(values, mask=[False, True, False])})
        fetched = (table & {"trace": trace}).fetch1("v")
        fetched = fetched.load() if hasattr(fetched, "load") else fetched
        print(f"{line} {kind}: {values} without the second: {type(fetched).__name__} {fetched.tolist()}, mean {fetched.mean():.6g}")
END
mkdir "$work/store"
see "$work/old/bin/python" "$work/try.py" "$port" "$work/store"
see "$work/new/bin/python" "$work/try.py" "$port" "$work/store"
compare <<'END'
0.14 longblob: [1, 2, 3] without the second: ndarray [1, 999999, 3], mean 333334
0.14 longblob: [0.5, 1.5, 2.5] without the second: ndarray [0.5, 1e+20, 2.5], mean 3.33333e+19
2.3 <npy@main>: [1, 2, 3] without the second: ndarray [1, 2, 3], mean 2
2.3 <npy@main>: [0.5, 1.5, 2.5] without the second: ndarray [0.5, 1.5, 2.5], mean 1.5
2.3 <blob>: [1, 2, 3] without the second: ndarray [1, 999999, 3], mean 333334
2.3 <blob>: [0.5, 1.5, 2.5] without the second: ndarray [0.5, 1e+20, 2.5], mean 3.33333e+19
END
