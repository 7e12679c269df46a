#!/usr/bin/env bash
# On PostgreSQL a restriction by a text with a backslash finds no row, or another one, which `delete` then deletes.
#
# Guess: `Table & {"path": value}` finds the row that has this value, on each server.
# Seen: DataJoint doubles backslashes in the text of a condition, which MariaDB takes back and PostgreSQL does not
#   (standard_conforming_strings). A text with one backslash finds nothing, or the row that has two in its place; `-`
#   excludes that one, or nothing. `& key`, of a key that was just fetched, is the same, so update1 changes the other row, and
#   delete deletes it. There is neither an error nor a warning. Insert is right, and on MariaDB all is.
# Versions: DataJoint 2.3.5, PyMySQL 1.2.4, psycopg2-binary 2.9.13, MariaDB 10.11.19, PostgreSQL 15.18.
# Why it matters: paths of acquisition computers with Windows are keys and attributes, with one backslash and,
#   from JSON or another program, with two. `Files - {"path": bad}` keeps the bad file.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 pymysql==1.2.4 psycopg2-binary==2.9.13
server mariadb
server postgresql

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1], sys.argv[2])
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema("lab")
line = f"{sys.argv[2]},"


@schema
class File(dj.Manual):
    definition = r"""
    path : varchar(60)
    ---
    size : int32
    """


ONE, TWO = r"D:\rec\one", "D:\\\\rec\\\\one"
File.insert([(ONE, 1), (TWO, 2), ("/rec/one", 3)])
print(line, "stored:", File.to_dicts(order_by="size"))
print(line, "& one backslash:", [row["size"] for row in (File & {"path": ONE}).to_dicts()])
print(line, "- one backslash:", [row["size"] for row in (File - {"path": ONE}).to_dicts(order_by="size")])
print(line, "& two backslashes:", [row["size"] for row in (File & {"path": TWO}).to_dicts()])
print(line, "each by its key:", [len(File & key) for key in File.keys(order_by="size")])
try:
    File.update1({"path": ONE, "size": 10})
    print(line, "update1:", [row["size"] for row in File.to_dicts(order_by="size")])
except Exception as error:
    print(line, "update1:", type(error).__name__)
(File & {"path": ONE}).delete(prompt=False)
print(line, "after delete:", [row["path"] for row in File.to_dicts(order_by="size")])
END
see "$work/new/bin/python" "$work/try.py" "${ports[mariadb]}" mysql
see "$work/new/bin/python" "$work/try.py" "${ports[postgresql]}" postgresql
compare <<'END'
mysql, stored: [{'path': 'D:\\rec\\one', 'size': 1}, {'path': 'D:\\\\rec\\\\one', 'size': 2}, {'path': '/rec/one', 'size': 3}]
mysql, & one backslash: [1]
mysql, - one backslash: [2, 3]
mysql, & two backslashes: [2]
mysql, each by its key: [1, 1, 1]
mysql, update1: [2, 3, 10]
mysql, after delete: ['D:\\\\rec\\\\one', '/rec/one']
postgresql, stored: [{'path': 'D:\\rec\\one', 'size': 1}, {'path': 'D:\\\\rec\\\\one', 'size': 2}, {'path': '/rec/one', 'size': 3}]
postgresql, & one backslash: [2]
postgresql, - one backslash: [1, 3]
postgresql, & two backslashes: []
postgresql, each by its key: [1, 0, 1]
postgresql, update1: [1, 3, 10]
postgresql, after delete: ['D:\\rec\\one', '/rec/one']
END
