#!/usr/bin/env bash
# sqlglot, from PostgreSQL to PostgreSQL, turns INTERVAL '1 day 02:30' into INTERVAL '1 DAY', and '.5 day' into five days.
#
# Guess: parsed as PostgreSQL and written as PostgreSQL again, an interval is as long as it was.
# Seen: what follows a number and a unit is left out, if it is no such pair (`02:30`, `ago`); a number without a digit
#   before its point loses the point; the word behind the quotes comes into them, so that '1.5' HOUR, which PostgreSQL cuts
#   to an hour, is an hour and a half; INTERVAL(0) no longer rounds. Several pairs ('1 day 2 hours') and `::interval` are
#   right. Neither an error nor a warning.
# Versions: sqlglot 30.30.0, psycopg2-binary 2.9.13, PostgreSQL 15.18.
# Why it matters: PostgreSQL itself prints intervals as `1 day 02:30:00`, so they come into statements in this form. A tool
#   that sends sqlglot's text reads trials of another time.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment glot sqlglot==30.30.0 psycopg2-binary==2.9.13
server postgresql

cat >"$work/try.py" <<'END'
import sys

import psycopg2
import sqlglot

connection = psycopg2.connect(host="127.0.0.1", port=sys.argv[1], user="tester", dbname="postgres")
cursor = connection.cursor()
cursor.execute("SELECT version()")
print("sqlglot", sqlglot.__version__, "and", cursor.fetchone()[0], file=sys.stderr)


def length(interval):
    cursor.execute(f"SELECT ({interval})::text")
    return cursor.fetchone()[0]


for interval in (
    "INTERVAL '1 day 02:30'", "INTERVAL '1 day 02:30:00'", "INTERVAL '1 month 3 days 04:05:06'", "INTERVAL '2 hours ago'",
    "INTERVAL '.5 day'", "INTERVAL '1.5' HOUR", "INTERVAL(0) '1.7 seconds'",
    "INTERVAL '1 day 2 hours'", "INTERVAL '02:30'", "INTERVAL '1 2:30' DAY TO MINUTE", "'1 day 02:30'::interval",
):  # fmt: skip
    written = sqlglot.parse_one(f"SELECT {interval}", read="postgres").sql(dialect="postgres").removeprefix("SELECT ")
    was, now = length(interval), length(written)
    print(f"{interval} ({was}): {written}" + (f", which is {now}" if now != was else ""))
END
see "$work/glot/bin/python" "$work/try.py" "${ports[postgresql]}"
compare <<'END'
INTERVAL '1 day 02:30' (1 day 02:30:00): INTERVAL '1 DAY', which is 1 day
INTERVAL '1 day 02:30:00' (1 day 02:30:00): INTERVAL '1 DAY', which is 1 day
INTERVAL '1 month 3 days 04:05:06' (1 mon 3 days 04:05:06): INTERVAL '1 month 3 days 04:05:06'
INTERVAL '2 hours ago' (-02:00:00): INTERVAL '2 HOURS', which is 02:00:00
INTERVAL '.5 day' (12:00:00): INTERVAL '5 DAY', which is 5 days
INTERVAL '1.5' HOUR (01:00:00): INTERVAL '1.5 HOUR', which is 01:30:00
INTERVAL(0) '1.7 seconds' (00:00:02): INTERVAL '0' + INTERVAL '1.7 SECONDS', which is 00:00:01.7
INTERVAL '1 day 2 hours' (1 day 02:00:00): INTERVAL '1 day 2 hours'
INTERVAL '02:30' (02:30:00): INTERVAL '02:30'
INTERVAL '1 2:30' DAY TO MINUTE (1 day 02:30:00): INTERVAL '1 2:30' DAY TO MINUTE
'1 day 02:30'::interval (1 day 02:30:00): CAST('1 day 02:30' AS INTERVAL)
END
