#!/usr/bin/env bash
# `datajoint.migrate.migrate_external` loses the paths of blob@store, and fetch then returns no arrays.
#
# Guess: after its two steps ("migrated", "finalized") DataJoint 2 reads what 0.14 had stored, or one of the steps fails.
# Seen: 0.14 keeps a path in ~external_… for filepath@ only; that of a blob or an attachment follows from its hash. The
#   migration takes the path of each, so "url" is null in all rows, which are counted as migrated. The new comment is
#   ":blob@main:", which DataJoint 2 does not take for its codec <blob@main>. Fetch returns {"url": null, …}, a text on
#   MariaDB and a dict on MySQL, and a required attribute has become an optional one. check_store_configuration finds nothing; verify_external_integrity
#   ends with a TypeError, before and after. The files and the old columns (…_v1) are still there.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: it is the way for large data from 0.14 to 2; every report says that it went well. DataJoint 2.3 is
#   said to be the last that has it.
# Source: the source of datajoint.migrate, read before; none found that says it.
. "$(dirname "$0")/common.sh"
environments "old datajoint==0.14.10 pymysql==1.2.4" "new datajoint==2.3.5 pymysql==1.2.4"
server mariadb
server mysql

cat >"$work/declare.py" <<'END'
import sys
from pathlib import Path

import numpy as np
from common import datajoint_at

dj = datajoint_at(sys.argv[1])
store = Path(sys.argv[2])
store.mkdir()
dj.config["stores"] = {"main": {"protocol": "file", "location": str(store)}}


@dj.Schema("lab")
class Trace(dj.Manual):
    definition = """
    trace : int
    ---
    signal : blob@main
    notes : attach@main
    """


notes = store.parent / "notes.txt"
notes.write_text("a note\n")
Trace.insert1({"trace": 1, "signal": np.arange(4.0), "notes": str(notes)})
print("0.14 stores", Trace.fetch1("signal"), file=sys.stderr)
END
cat >"$work/migrate.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1])
dj.config["stores"] = {"main": {"protocol": "file", "location": sys.argv[2]}, "default": "main"}
from datajoint import migrate  # noqa: E402 - it warns when it is imported

line = sys.argv[3] + ","
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema("lab")
checked = migrate.check_store_configuration(schema)
print(line, "stores:", checked["details"][0]["status"], checked["stores_missing"], checked["stores_unreachable"])
try:
    print(line, "integrity:", migrate.verify_external_integrity(schema))
except Exception as error:
    print(line, "integrity:", type(error).__name__)
for step in ({}, {"finalize": True}):
    done = migrate.migrate_external(schema, dry_run=False, **step)
    for column in sorted(done["details"], key=lambda one: one["column"]):
        print(line, column["column"], column["status"], column["rows"])
trace = dj.VirtualModule("lab_after", "lab").Trace
row, described = trace.to_dicts()[0], trace.describe().splitlines()
for name in ("signal", "notes"):
    print(line, name, "is", type(row[name]).__name__, "with url", None if any(part in str(row[name]) for part in ('"url": null', "'url': None")) else "set")
    print(line, "declared as", " ".join(next(text for text in described if text.startswith(name + "=")).split()))
END
for kind in mariadb mysql; do
    at=${ports[$kind]}
    "$work/old/bin/python" "$work/declare.py" "$at" "$work/store-$kind"
    see "$work/new/bin/python" "$work/migrate.py" "$at" "$work/store-$kind" $kind
done
compare <<'END'
mariadb, stores: configured [] []
mariadb, integrity: TypeError
mariadb, notes migrated 1
mariadb, signal migrated 1
mariadb, notes finalized 0
mariadb, signal finalized 0
mariadb, signal is str with url None
mariadb, declared as signal=null : blob@main
mariadb, notes is str with url None
mariadb, declared as notes=null : attach@main
mysql, stores: configured [] []
mysql, integrity: TypeError
mysql, notes migrated 1
mysql, signal migrated 1
mysql, notes finalized 0
mysql, signal finalized 0
mysql, signal is dict with url None
mysql, declared as signal=null : blob@main
mysql, notes is dict with url None
mysql, declared as notes=null : attach@main
END
