#!/usr/bin/env bash
# With pandas 3, one missing value in an inserted DataFrame makes other integers of its column wrong, or a text 'NaN'.
#
# Guess: a missing value of a DataFrame becomes NULL, whatever the type of its column, and the others stay as they are.
# Seen: DataJoint uses to_records(), which makes floats of pandas' Int64 as soon as a value is missing. So on MySQL and
#   MariaDB 9007199254740993 is stored as 9007199254740992, and a time in nanoseconds is another one; PostgreSQL refuses
#   it. In pandas 3 a column of texts has nan for a missing one: on PostgreSQL the text 'NaN' is stored, so
#   `name IS NULL` finds nothing; MySQL and MariaDB refuse it. Without a missing value, with polars, and with rows as
#   dicts, all is right.
# Versions: DataJoint 2.3.5, pandas 3.1.1, polars 2.1.0, PyMySQL 1.2.4, psycopg2-binary 2.9.13, MariaDB 10.11.19,
#   MySQL 9.7.4, PostgreSQL 15.18.
# Why it matters: times in nanoseconds and hashes of 64 bits are such integers. Who converts to Int64 just to keep them
#   exact loses digits, neither with an error nor with a warning.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 pymysql==1.2.4 psycopg2-binary==2.9.13 pandas==3.1.1 polars==2.1.0
server mariadb
server mysql
server postgresql

cat >"$work/try.py" <<'END'
import sys

import pandas
import polars
from common import datajoint_at

dj = datajoint_at(sys.argv[1], sys.argv[2])
print("DataJoint", dj.__version__, "pandas", pandas.__version__, "polars", polars.__version__, "on",
      dj.conn().query("select version()").fetchone()[0], file=sys.stderr)  # fmt: skip
schema = dj.Schema("lab")


@schema
class Event(dj.Manual):
    definition = """
    event : int32
    ---
    name = null : varchar(20)
    stamp = null : int64
    """


BIG, NANOSECONDS = 2**53 + 1, 1_767_225_600_123_456_789


def insert(what, rows, column):
    try:
        Event.insert(rows)
        print(f"{sys.argv[3]}, {what}:", [row[column] for row in Event.to_dicts(order_by="event")])
        print(f"{sys.argv[3]}, {what}, NULL:", len(Event & {column: None}))
    except Exception as error:
        print(f"{sys.argv[3]}, {what}: {type(error).__name__}")
    Event.delete_quick()


whole, some = [BIG, NANOSECONDS], [BIG, NANOSECONDS, None]
insert("Int64", pandas.DataFrame({"event": [1, 2], "stamp": pandas.array(whole, dtype="Int64")}), "stamp")
insert("Int64, one missing", pandas.DataFrame({"event": [1, 2, 3], "stamp": pandas.array(some, dtype="Int64")}), "stamp")
insert("polars, one missing", polars.DataFrame({"event": [1, 2, 3], "stamp": some}), "stamp")
insert("dicts, one missing", [{"event": n, "stamp": stamp} for n, stamp in enumerate(some, 1)], "stamp")
insert("texts", pandas.DataFrame({"event": [1, 2], "name": ["cue", "lick"]}), "name")
insert("texts, one missing", pandas.DataFrame({"event": [1, 2], "name": ["cue", None]}), "name")
insert("texts of polars, one missing", polars.DataFrame({"event": [1, 2], "name": ["cue", None]}), "name")
END
see "$work/new/bin/python" -W ignore "$work/try.py" "${ports[mariadb]}" mysql MariaDB
see "$work/new/bin/python" -W ignore "$work/try.py" "${ports[mysql]}" mysql MySQL
see "$work/new/bin/python" -W ignore "$work/try.py" "${ports[postgresql]}" postgresql PostgreSQL
compare <<'END'
MariaDB, Int64: [9007199254740993, 1767225600123456789]
MariaDB, Int64, NULL: 0
MariaDB, Int64, one missing: [9007199254740992, 1767225600123456800, None]
MariaDB, Int64, one missing, NULL: 1
MariaDB, polars, one missing: [9007199254740993, 1767225600123456789, None]
MariaDB, polars, one missing, NULL: 1
MariaDB, dicts, one missing: [9007199254740993, 1767225600123456789, None]
MariaDB, dicts, one missing, NULL: 1
MariaDB, texts: ['cue', 'lick']
MariaDB, texts, NULL: 0
MariaDB, texts, one missing: ProgrammingError
MariaDB, texts of polars, one missing: ['cue', None]
MariaDB, texts of polars, one missing, NULL: 1
MySQL, Int64: [9007199254740993, 1767225600123456789]
MySQL, Int64, NULL: 0
MySQL, Int64, one missing: [9007199254740992, 1767225600123456800, None]
MySQL, Int64, one missing, NULL: 1
MySQL, polars, one missing: [9007199254740993, 1767225600123456789, None]
MySQL, polars, one missing, NULL: 1
MySQL, dicts, one missing: [9007199254740993, 1767225600123456789, None]
MySQL, dicts, one missing, NULL: 1
MySQL, texts: ['cue', 'lick']
MySQL, texts, NULL: 0
MySQL, texts, one missing: ProgrammingError
MySQL, texts of polars, one missing: ['cue', None]
MySQL, texts of polars, one missing, NULL: 1
PostgreSQL, Int64: [9007199254740993, 1767225600123456789]
PostgreSQL, Int64, NULL: 0
PostgreSQL, Int64, one missing: InvalidTextRepresentation
PostgreSQL, polars, one missing: [9007199254740993, 1767225600123456789, None]
PostgreSQL, polars, one missing, NULL: 1
PostgreSQL, dicts, one missing: [9007199254740993, 1767225600123456789, None]
PostgreSQL, dicts, one missing, NULL: 1
PostgreSQL, texts: ['cue', 'lick']
PostgreSQL, texts, NULL: 0
PostgreSQL, texts, one missing: ['cue', 'NaN']
PostgreSQL, texts, one missing, NULL: 0
PostgreSQL, texts of polars, one missing: ['cue', None]
PostgreSQL, texts of polars, one missing, NULL: 1
END
