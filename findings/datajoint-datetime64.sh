#!/usr/bin/env bash
# A restriction by numpy.datetime64 is arithmetic to DataJoint: day 2020-01-02 is the number 2017; and a
#   DataFrame with a time in it is no restriction.
#
# Guess: a date restricts like a date, however it is held; a DataFrame restricts like the list of its
#   rows, since both lines take DataFrames.
# Seen: `Session & {"day": np.datetime64("2020-01-02")}` is sent without quotes, as day=2020-01-02, which
#   the server computes. It selects nothing, and `Session - {…}` everything, without an error. With a time
#   of day, and so for each DataFrame that has one (pandas holds times as datetime64), it is a syntax
#   error, also for the frame that DataJoint itself made. The list of dicts of the same frame works.
# Versions: DataJoint 0.14.10 and 2.3.5, numpy 2.4.6, pandas 3.1.1, MariaDB 10.11.19.
# Why it matters: the slice of such an analysis is empty, because that is what was sent, but its owner
#   thinks that the export lost the rows. Sessions of the Elements have a time in their key.
# Source: none found. https://docs.datajoint.com names DataFrames among what restricts a table.
. "$(dirname "$0")/common.sh"
environment old datajoint==0.14.10 pymysql==1.2.4 numpy==2.4.6 pandas==3.1.1
environment new datajoint==2.3.5 pymysql==1.2.4 numpy==2.4.6 pandas==3.1.1
server mariadb

cat >"$work/try.py" <<'END'
import datetime, sys

import numpy as np
import pandas as pd
from common import datajoint_at

dj = datajoint_at(sys.argv[1])
two = dj.__version__.startswith("2")
print("DataJoint", dj.__version__, "numpy", np.__version__, "pandas", pd.__version__, file=sys.stderr)
schema = dj.Schema("lab_new" if two else "lab_old")
line = "2.3" if two else "0.14"


@schema
class Session(dj.Manual):
    definition = """
    day : date
    start : datetime
    ---
    note : varchar(10)
    """


Session.insert([(datetime.date(2020, 1, day), datetime.datetime(2020, 1, day, 10), "x") for day in (1, 2, 3)])
frame = (Session().to_pandas() if two else Session.fetch(format="frame")).reset_index()[["day", "start"]]
day = {"day": np.datetime64("2020-01-02")}
print(line, "sends", (Session & day).make_sql().partition("WHERE")[2].strip())
for label, restricted in (
    ("& a date", lambda: Session & {"day": datetime.date(2020, 1, 2)}),
    ("& a datetime64", lambda: Session & day),
    ("- a datetime64", lambda: Session - day),
    ("& the dicts of a frame", lambda: Session & frame.to_dict("records")),
    ("& the frame", lambda: Session & frame),
):
    try:
        print(f"{line} Session {label}: {len(restricted())} of 3")
    except dj.errors.QuerySyntaxError as error:
        print(f"{line} Session {label}: {type(error).__name__}")
END
see "$work/old/bin/python" "$work/try.py" "$port"
see "$work/new/bin/python" "$work/try.py" "$port"
compare <<'END'
0.14 sends ( (`day`=2020-01-02))
0.14 Session & a date: 1 of 3
0.14 Session & a datetime64: 0 of 3
0.14 Session - a datetime64: 3 of 3
0.14 Session & the dicts of a frame: 3 of 3
0.14 Session & the frame: QuerySyntaxError
2.3 sends ( (`day`=2020-01-02))
2.3 Session & a date: 1 of 3
2.3 Session & a datetime64: 0 of 3
2.3 Session - a datetime64: 3 of 3
2.3 Session & the dicts of a frame: 3 of 3
2.3 Session & the frame: QuerySyntaxError
END
