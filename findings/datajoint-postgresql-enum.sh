#!/usr/bin/env bash
# On PostgreSQL an enum can be sorted in the order of another table's enum.
#
# Guess: `order_by`, `dj.Top`, comparisons and max() of an enum follow the order of its own declaration, as ORDER BY
#   does on MySQL.
# Seen: DataJoint names the type of an enum by a hash of its sorted values, so in one schema ('low', 'mid', 'high') and
#   ('high', 'mid', 'low') are one type, with the order of the table that was declared first. `describe()` still
#   says the declared order, since the comment of the column has it. dj.Top(1, order_by="grade") has another row. If
#   the tables are declared in the other order, the results are exchanged. There is neither an error nor a
#   warning.
# Versions: DataJoint 2.3.5, psycopg2-binary 2.9.13, PostgreSQL 15.18; MariaDB 10.11.19 beside it.
# Why it matters: the same script gives another best unit on another server, or after the tables were made anew.
# Source: that lists of the same values share a type was seen before, in DataJoint's source; what follows, nowhere.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 pymysql==1.2.4 psycopg2-binary==2.9.13
server mariadb
server postgresql

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1], sys.argv[2])
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
ORDERS = {"Unit": "enum('low', 'mid', 'high')", "Probe": "enum('high', 'mid', 'low')"}


def look(schema, names):
    """Declare both tables in an order, and say what each sorts as."""
    for name in names:
        definition = f"number : int32\n---\ngrade : {ORDERS[name]}"
        table = dj.Schema(schema)(type(name, (dj.Manual,), {"definition": definition}))
        table.insert([(1, "low"), (2, "mid"), (3, "high")])
        first = (table & dj.Top(1, order_by="grade")).to_dicts()[0]["grade"]
        said = table.describe().split("enum")[1].split(")")[0]
        print(f"{sys.argv[2]}, {schema}: {name} says {said}),", [r["grade"] for r in table.to_dicts(order_by="grade")],
              "the first is", first)  # fmt: skip


look("unit_first", ["Unit", "Probe"])
look("probe_first", ["Probe", "Unit"])
END
see "$work/new/bin/python" "$work/try.py" "${ports[mariadb]}" mysql
see "$work/new/bin/python" "$work/try.py" "${ports[postgresql]}" postgresql
compare <<'END'
mysql, unit_first: Unit says ('low', 'mid', 'high'), ['low', 'mid', 'high'] the first is low
mysql, unit_first: Probe says ('high', 'mid', 'low'), ['high', 'mid', 'low'] the first is high
mysql, probe_first: Probe says ('high', 'mid', 'low'), ['high', 'mid', 'low'] the first is high
mysql, probe_first: Unit says ('low', 'mid', 'high'), ['low', 'mid', 'high'] the first is low
postgresql, unit_first: Unit says ('low', 'mid', 'high'), ['low', 'mid', 'high'] the first is low
postgresql, unit_first: Probe says ('high', 'mid', 'low'), ['low', 'mid', 'high'] the first is low
postgresql, probe_first: Probe says ('high', 'mid', 'low'), ['high', 'mid', 'low'] the first is high
postgresql, probe_first: Unit says ('low', 'mid', 'high'), ['high', 'mid', 'low'] the first is high
END
