#!/usr/bin/env bash
# to_polars() of DataJoint 2.3 cuts the decimals off: a trace of 0.5, 1.5, 2.5 after a hundred traces of integers is 0, 1, 2.
#
# Guess: the values that to_dicts(), to_pandas() and to_arrow() have; or an error where a column has several types.
# Seen: polars takes the types from the first 100 rows. Later arrays and lists of a <blob> column lose their decimals if
#   those were integers; a dict, of a blob or a json column, also loses each key that none of the 100 had. Neither an error
#   nor a warning. A plain column that is NULL in the first 100 rows is an error, and so is a text among numbers.
#   to_dicts(), to_pandas() and to_arrow() are right.
# Versions: DataJoint 2.3.5, polars 2.1.0, pyarrow 26.0.1, pandas 3.1.1, numpy 2.4.6, PyMySQL 1.2.4, MariaDB 10.11.19.
# Why it matters: raw counts and filtered traces in one column are usual, and a json column gets new keys over the years. A
#   threshold below 1 finds nothing in the later sessions, while the first hundred, which one looks at, are right.
# Source: infer_schema_length is in polars' documentation. None found for DataJoint, which does not pass it.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 polars==2.1.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6 pymysql==1.2.4
server mariadb

cat >"$work/try.py" <<'END'
import sys

import numpy as np
from common import datajoint_at

dj = datajoint_at(sys.argv[1])
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema("lab")


@schema
class Recording(dj.Manual):
    definition = """
    recording : int32
    ---
    trace : <blob>
    list : <blob>
    dict : <blob>
    info : json
    remark = null : varchar(20)
    """


def row(number, trace, values, info, remark=None):
    return {"recording": number, "trace": trace, "list": values, "dict": info, "info": info, "remark": remark}


for first in (99, 100):
    Recording.delete_quick()
    Recording.insert(row(n, np.arange(3), [1, 2], {"gain": 1}) for n in range(first))
    Recording.insert1(row(first, np.arange(3) + 0.5, [0.5, 1.5], {"gain": 0.5, "filter": "low"}, "late"))
    for column in ("trace", "list", "dict", "info", "remark"):
        table = Recording.proj(column)
        try:
            polars = table.to_polars()[column].to_list()[-1]
        except Exception as error:
            polars = f"{type(error).__name__}"
        others = [table.to_dicts()[-1][column], table.to_pandas()[column].iloc[-1], table.to_arrow()[column].to_pylist()[-1]]
        others = [each.tolist() if isinstance(each, np.ndarray) else each for each in others]
        assert others[0] == others[1] == others[2], others
        print(f"{first} rows of integers, then {column} {others[0]}: in polars {polars}")
END
see "$work/new/bin/python" "$work/try.py" "${ports[mariadb]}"
compare <<'END'
99 rows of integers, then trace [0.5, 1.5, 2.5]: in polars [0.5, 1.5, 2.5]
99 rows of integers, then list [0.5, 1.5]: in polars [0.5, 1.5]
99 rows of integers, then dict {'gain': 0.5, 'filter': 'low'}: in polars {'gain': 0.5, 'filter': 'low'}
99 rows of integers, then info {'gain': 0.5, 'filter': 'low'}: in polars {'gain': 0.5, 'filter': 'low'}
99 rows of integers, then remark late: in polars late
100 rows of integers, then trace [0.5, 1.5, 2.5]: in polars [0, 1, 2]
100 rows of integers, then list [0.5, 1.5]: in polars [0, 1]
100 rows of integers, then dict {'gain': 0.5, 'filter': 'low'}: in polars {'gain': 0}
100 rows of integers, then info {'gain': 0.5, 'filter': 'low'}: in polars {'gain': 0}
100 rows of integers, then remark late: in polars ComputeError
END
