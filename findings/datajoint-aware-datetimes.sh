#!/usr/bin/env bash
# DataJoint stores one instant at 12:00 if it is a datetime with a time zone and at 17:00 if it comes in a DataFrame,
#   and on MySQL the value that was inserted finds no row.
#
# Guess: the time zone is dropped, or converted, or refused; the same for each way in, and what was inserted is found.
# Seen: PyMySQL drops the zone of a datetime (12:00-05:00 is 12:00), DataJoint sends pandas' Timestamps, and so the
#   cells of a DataFrame, and texts with the offset, which MySQL converts to the zone of the session (17:00, UTC
#   here), and MariaDB refuses (error 1292). So two rows of one session are made under MySQL. Restrictions have the
#   offset in both, so on MySQL & {"start": start} with the datetime that was just inserted finds nothing; MariaDB
#   ignores the offset there. In a blob the zone is dropped. Neither an error nor a warning.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, pandas 3.1.1, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: session_start_time of an NWB file always has a zone. Sessions are off by the offset of the lab, "not
#   there yet" when they are, and are inserted twice.
# Source: PyMySQL's issue 219 (2014) for the dropped zone; none found for DataJoint.
. "$(dirname "$0")/common.sh"
environment old datajoint==0.14.10 pymysql==1.2.4 numpy==2.4.6 pandas==3.1.1
environment new datajoint==2.3.5 pymysql==1.2.4 numpy==2.4.6 pandas==3.1.1
server mariadb && export MARIADB=$port
server mysql && export MYSQL=$port

cat >"$work/try.py" <<'END'
import os
import sys
from datetime import datetime, timedelta, timezone

import pandas
import pymysql
from common import NAMES, datajoint_at

variable = sys.argv[1]
dj = datajoint_at(os.environ[variable])
two = dj.__version__.startswith("2")
connection = dj.conn()
print("DataJoint", dj.__version__, "pandas", pandas.__version__, connection.query("SELECT VERSION()").fetchone()[0], file=sys.stderr)
connection.query("SET time_zone = '+00:00'")
schema = dj.Schema("lab_new" if two else "lab_old")
definition = f"start : datetime\nway : varchar(20)\n---\nnote : {'<blob>' if two else 'longblob'}\n"
Session = schema(type("Session", (dj.Manual,), {"definition": definition}))
start = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=-5)))
label = f"{NAMES[variable]}, DataJoint {dj.__version__}"
for way, value in {"datetime": start, "Timestamp": pandas.Timestamp(start), "text": start.isoformat(), "DataFrame": start}.items():
    try:
        if way == "DataFrame":
            Session.insert(pandas.DataFrame({"start": [start], "way": [way], "note": [start]}))
        else:
            Session.insert1({"start": value, "way": way, "note": start})
    except pymysql.MySQLError as error:
        print(f"{label}: {way}: error {error.args[0]}")
        continue
    row = (Session & {"way": way}).fetch1()
    print(f"{label}: {way}: {row['start']}; found with {{'start': start}}: {len(Session & {'start': start, 'way': way})}; in a blob {row['note']}")
END
for variable in MARIADB MYSQL; do
    see "$work/old/bin/python" -W ignore "$work/try.py" $variable
    see "$work/new/bin/python" -W ignore "$work/try.py" $variable
done
compare <<'END'
MariaDB 10.11, DataJoint 0.14.10: datetime: 2026-01-01 12:00:00; found with {'start': start}: 1; in a blob 2026-01-01 12:00:00
MariaDB 10.11, DataJoint 0.14.10: Timestamp: error 1292
MariaDB 10.11, DataJoint 0.14.10: text: error 1292
MariaDB 10.11, DataJoint 0.14.10: DataFrame: error 1292
MariaDB 10.11, DataJoint 2.3.5: datetime: 2026-01-01 12:00:00; found with {'start': start}: 1; in a blob 2026-01-01 12:00:00
MariaDB 10.11, DataJoint 2.3.5: Timestamp: error 1292
MariaDB 10.11, DataJoint 2.3.5: text: error 1292
MariaDB 10.11, DataJoint 2.3.5: DataFrame: error 1292
MySQL 9.7, DataJoint 0.14.10: datetime: 2026-01-01 12:00:00; found with {'start': start}: 0; in a blob 2026-01-01 12:00:00
MySQL 9.7, DataJoint 0.14.10: Timestamp: 2026-01-01 17:00:00; found with {'start': start}: 1; in a blob 2026-01-01 12:00:00
MySQL 9.7, DataJoint 0.14.10: text: 2026-01-01 17:00:00; found with {'start': start}: 1; in a blob 2026-01-01 12:00:00
MySQL 9.7, DataJoint 0.14.10: DataFrame: 2026-01-01 17:00:00; found with {'start': start}: 1; in a blob 2026-01-01 12:00:00
MySQL 9.7, DataJoint 2.3.5: datetime: 2026-01-01 12:00:00; found with {'start': start}: 0; in a blob 2026-01-01 12:00:00
MySQL 9.7, DataJoint 2.3.5: Timestamp: 2026-01-01 17:00:00; found with {'start': start}: 1; in a blob 2026-01-01 12:00:00
MySQL 9.7, DataJoint 2.3.5: text: 2026-01-01 17:00:00; found with {'start': start}: 1; in a blob 2026-01-01 12:00:00
MySQL 9.7, DataJoint 2.3.5: DataFrame: 2026-01-01 17:00:00; found with {'start': start}: 1; in a blob 2026-01-01 12:00:00
END
