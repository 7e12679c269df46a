#!/usr/bin/env bash
# The garbage collector of DataJoint 2.3 deletes the files of rows that were copied to another schema, and those of
#   tables that its account does not see.
#
# Guess (from its docstrings: "any subset of the schemas sharing a store may be collected safely", and deletion is
#   refused after scan errors): it deletes only files to which no row refers.
# Seen: Curated.insert(Trace & "ok") copies rows on the server, with the paths of their files, which have the name of
#   the first schema in them. Once the rows of Trace are deleted, GarbageCollector(first schema) deletes the files of
#   Curated's rows too; with both schemas given it keeps them. A server lists only tables to which an account has
#   rights: the files of the other tables are deleted. The report has 0 errors and no scan_errors, and no
#   warning is logged.
# Versions: DataJoint 2.3.5, numpy 2.4.6, MariaDB 10.11.19.
# Why it matters: files are gone for good, the rows stay, and the next fetch says MissingExternalFile. To copy good
#   rows to a schema of their own is usual before data are shared.
# Source: issues 1442 and 1469 (2026, mended) were other ways to the same; 1445 and 1478 are open. None found for these.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 pymysql==1.2.4 numpy==2.4.6
server mariadb

cat >"$work/try.py" <<'END'
import pathlib
import sys

import numpy as np
from common import datajoint_at

dj = datajoint_at(sys.argv[1])
dj.logger.setLevel("WARNING")
store = pathlib.Path(sys.argv[2])
if len(sys.argv) > 3:
    dj.config["database.user"] = sys.argv[3]
dj.config.stores = {"default": "main", "main": {"protocol": "file", "location": str(store)}}
dj.config["safemode"] = False
raw = dj.Schema("lab_raw")


def collected(*schemas, **options):
    report = dj.gc.GarbageCollector(*schemas, store="main").collect(**options)
    kept = ("schema_paths_referenced", "schema_paths_orphaned", "schema_paths_deleted", "errors", "scan_errors")
    return {name: report[name] for name in kept}


if len(sys.argv) > 3:
    print("by an account that does not see Spare:", collected(raw, dry_run=False))
    sys.exit()
print("DataJoint", dj.__version__, "numpy", np.__version__, dj.conn().query("SELECT VERSION()").fetchone()[0], file=sys.stderr)
good = dj.Schema("lab_good")
definition = "trace : int32\n---\nok : int32\na : <npy@main>\n"
Trace = raw(type("Trace", (dj.Manual,), {"definition": definition}))
Curated = good(type("Curated", (dj.Manual,), {"definition": definition}))
Spare = raw(type("Spare", (dj.Manual,), {"definition": definition}))


def readable(table):
    def read(key):
        try:
            return (table & key).fetch1("a").load().tolist()
        except dj.errors.MissingExternalFile:
            return "MissingExternalFile"

    return {key["trace"]: read(key) for key in table.keys()}


Trace.insert({"trace": trace, "ok": trace % 2, "a": np.arange(2) + trace} for trace in range(4))
Curated.insert(Trace & "ok")
print("Curated:", readable(Curated))
Trace.delete()
print("both schemas, dry run:", collected(raw, good))
print("first schema:", collected(raw, dry_run=False))
print("Curated:", readable(Curated))

Spare.insert({"trace": trace, "ok": 1, "a": np.arange(2) + trace} for trace in range(2))
print("Spare:", readable(Spare))
for statement in (
    "CREATE USER reader@'%%' IDENTIFIED BY 'tester'", "CREATE USER reader@localhost IDENTIFIED BY 'tester'",
    "GRANT SELECT ON lab_raw.trace TO reader@'%%'", "GRANT SELECT ON lab_raw.trace TO reader@localhost",
):  # fmt: skip
    dj.conn().query(statement)
END
cat >"$work/after.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1])
dj.config.stores = {"default": "main", "main": {"protocol": "file", "location": sys.argv[2]}}
spare = dj.FreeTable(dj.conn(), "lab_raw.spare")
for key in spare.keys():
    try:
        print(key, (spare & key).fetch1("a").load().tolist())
    except dj.errors.MissingExternalFile:
        print(key, "MissingExternalFile")
END
mkdir "$work/store"
see "$work/new/bin/python" "$work/try.py" "$port" "$work/store"
see "$work/new/bin/python" "$work/try.py" "$port" "$work/store" reader
see "$work/new/bin/python" "$work/after.py" "$port" "$work/store"
compare <<'END'
Curated: {1: [1, 2], 3: [3, 4]}
both schemas, dry run: {'schema_paths_referenced': 2, 'schema_paths_orphaned': 2, 'schema_paths_deleted': 0, 'errors': 0, 'scan_errors': []}
first schema: {'schema_paths_referenced': 0, 'schema_paths_orphaned': 4, 'schema_paths_deleted': 4, 'errors': 0, 'scan_errors': []}
Curated: {1: 'MissingExternalFile', 3: 'MissingExternalFile'}
Spare: {0: [0, 1], 1: [1, 2]}
by an account that does not see Spare: {'schema_paths_referenced': 0, 'schema_paths_orphaned': 2, 'schema_paths_deleted': 2, 'errors': 0, 'scan_errors': []}
{'trace': 0} MissingExternalFile
{'trace': 1} MissingExternalFile
END
