#!/usr/bin/env bash
# NOT IN (… INTERSECT …) rejects every row where one branch has a NULL that the intersection does not have.
#
# Guess: a subquery of IN is made, and compared with; so it does not matter whether INTERSECT or EXCEPT
#   stands in it by itself or in a derived table.
# Seen: the comparison is put into each branch. 0 IN (a INTERSECT b) is NULL where a has a NULL and b has
#   none, even where b is empty, and NOT IN loses its rows; EXCEPT of a table with itself likewise. The
#   same set operation in a derived table gives 0, and all rows. MySQL is right where the empty branch
#   stands first.
# Versions: MariaDB 10.11.19 and 11.8.9 (alike), MySQL 9.7.4.
# Why it matters: the result depends on rows that are not in the set operation's own result. A slice that
#   holds what the statement needs replays it rightly, to another answer than the lab's.
. "$(dirname "$0")/common.sh"
environment plain pymysql==1.2.4
all_servers

cat >"$work/try.py" <<'END'
from common import ask, servers

SETS = {
    "nulls INTERSECT others": "SELECT n FROM nulls INTERSECT SELECT n FROM others",
    "nulls INTERSECT nothing": "SELECT n FROM nulls INTERSECT SELECT n FROM nothing",
    "nothing INTERSECT nulls": "SELECT n FROM nothing INTERSECT SELECT n FROM nulls",
    "nulls EXCEPT nulls": "SELECT n FROM nulls EXCEPT SELECT n FROM nulls",
}
TABLES = {"nulls": "(NULL), (3)", "others": "(1), (2)", "nothing": ""}
found = servers()
for cursor in found.values():
    cursor.execute("CREATE DATABASE lab")
    cursor.execute("USE lab")
    for table, rows in TABLES.items():
        cursor.execute(f"CREATE TABLE {table} (n INT)")
        if rows:
            cursor.execute(f"INSERT INTO {table} VALUES {rows}")
for what, query in SETS.items():
    for form in (query, f"SELECT n FROM ({query}) AS derived"):
        print(what + ", in a derived table" * (form != query))
        for name, cursor in found.items():
            ((value,),) = ask(cursor, f"SELECT 0 IN ({form})")
            kept = ask(cursor, f"SELECT n FROM others WHERE n NOT IN ({form})")
            print(f"    {name}: 0 IN is {value}, NOT IN keeps {len(kept)} of 2 rows")
END
see "$work/plain/bin/python" "$work/try.py"
compare <<'END'
nulls INTERSECT others
    MariaDB 10.11: 0 IN is None, NOT IN keeps 0 of 2 rows
    MariaDB 11.8: 0 IN is None, NOT IN keeps 0 of 2 rows
    MySQL 9.7: 0 IN is None, NOT IN keeps 0 of 2 rows
nulls INTERSECT others, in a derived table
    MariaDB 10.11: 0 IN is 0, NOT IN keeps 2 of 2 rows
    MariaDB 11.8: 0 IN is 0, NOT IN keeps 2 of 2 rows
    MySQL 9.7: 0 IN is 0, NOT IN keeps 2 of 2 rows
nulls INTERSECT nothing
    MariaDB 10.11: 0 IN is None, NOT IN keeps 0 of 2 rows
    MariaDB 11.8: 0 IN is None, NOT IN keeps 0 of 2 rows
    MySQL 9.7: 0 IN is None, NOT IN keeps 0 of 2 rows
nulls INTERSECT nothing, in a derived table
    MariaDB 10.11: 0 IN is 0, NOT IN keeps 2 of 2 rows
    MariaDB 11.8: 0 IN is 0, NOT IN keeps 2 of 2 rows
    MySQL 9.7: 0 IN is 0, NOT IN keeps 2 of 2 rows
nothing INTERSECT nulls
    MariaDB 10.11: 0 IN is None, NOT IN keeps 0 of 2 rows
    MariaDB 11.8: 0 IN is None, NOT IN keeps 0 of 2 rows
    MySQL 9.7: 0 IN is 0, NOT IN keeps 2 of 2 rows
nothing INTERSECT nulls, in a derived table
    MariaDB 10.11: 0 IN is 0, NOT IN keeps 2 of 2 rows
    MariaDB 11.8: 0 IN is 0, NOT IN keeps 2 of 2 rows
    MySQL 9.7: 0 IN is 0, NOT IN keeps 2 of 2 rows
nulls EXCEPT nulls
    MariaDB 10.11: 0 IN is None, NOT IN keeps 0 of 2 rows
    MariaDB 11.8: 0 IN is None, NOT IN keeps 0 of 2 rows
    MySQL 9.7: 0 IN is None, NOT IN keeps 0 of 2 rows
nulls EXCEPT nulls, in a derived table
    MariaDB 10.11: 0 IN is 0, NOT IN keeps 2 of 2 rows
    MariaDB 11.8: 0 IN is 0, NOT IN keeps 2 of 2 rows
    MySQL 9.7: 0 IN is 0, NOT IN keeps 2 of 2 rows
END
