#!/usr/bin/env bash
# DataJoint 2.3.5 cannot insert <blob@store> or <attach@store> into MariaDB, and each try leaves a file in
#   the store.
#
# Guess: all codecs that keep a file in a store put the same JSON into the database, so they all work on
#   MariaDB or none.
# Seen: <npy@>, <object@>, <hash@>, <filepath@>, json, <blob> and <attach> work. <blob@> and <attach@>,
#   which go through <hash@>, end in "TypeError: dict can not be used as parameter" of PyMySQL, after the
#   file was written; nothing removes it. On MySQL they work; and a row that was inserted there and copied
#   into MariaDB is read as usual, also under another name.
# Versions: DataJoint 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19 (11.8.9 by hand), MySQL 9.7.4.
# Why it matters: a slice of a MySQL lab can be loaded into MariaDB and read there, but the reader cannot
#   add rows. A lab on MariaDB has files in its store that no row names, and publishing "all files in the
#   store" would include them.
# Source: none found. 2.3.5 warns that MariaDB is not officially supported.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 pymysql==1.2.4 numpy==2.4.6
server mariadb
maria=$port
server mysql
mysql=$port

cat >"$work/try.py" <<'END'
import logging, sys, warnings
from pathlib import Path

warnings.simplefilter("ignore")
import datajoint as dj
import numpy as np

dj.logger.setLevel(logging.CRITICAL)
maria, mysql, work = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
dj.config["safemode"] = False
codecs = ["npy@main", "object@main", "hash@main", "filepath@main", "blob@main", "attach@main", "blob", "attach"]
tables = {}
for server, port in (("MySQL", mysql), ("MariaDB", maria)):
    store = work / server
    store.mkdir()
    picture = store / "picture.bin"
    picture.write_text("x")
    values = [np.arange(3), picture, b"ab", "picture.bin", [1, 2], picture, [1, 2], picture]
    dj.config.stores = {"default": "main", "main": {"protocol": "file", "location": str(store)}}
    connection = dj.Connection("127.0.0.1", "tester", "tester", port=port, use_tls=False)
    print("DataJoint", dj.__version__, connection.query("SELECT VERSION()").fetchone()[0], file=sys.stderr)
    schema = dj.Schema("lab", connection=connection)
    for number, (codec, value) in enumerate(zip(codecs, values)):
        table = schema(type(f"T{number}", (dj.Manual,), {"definition": f"id : int32\n---\nv : <{codec}>\n"}))
        tables[server, codec] = table
        try:
            table.insert1({"id": 1, "v": value})
            print(f"{server} <{codec}>: inserted")
        except TypeError as error:
            print(f"{server} <{codec}>: TypeError: {error}")
    rows = sum(len(tables[server, codec]()) for codec in codecs if "@" in codec and not codec.startswith("filepath"))
    files = sum(1 for path in store.rglob("*") if path.is_file() and path != picture)
    print(f"{server}: {rows} rows with a file of their own, {files} files")
dj.config.stores = {"default": "main", "main": {"protocol": "file", "location": str(work / "MySQL")}}
for codec in ("blob@main", "attach@main"):
    there, here = tables["MySQL", codec], tables["MariaDB", codec]
    (text,) = there.connection.query(f"SELECT v FROM {there.full_table_name}").fetchone()
    here.connection.query(f"INSERT INTO {here.full_table_name} VALUES (1, %s)", (text,))
    print(f"copied into MariaDB, <{codec}>:", here.fetch1("v"), here.proj(other="v").to_dicts()[0]["other"])
END
(cd "$work" && see new/bin/python try.py "$maria" "$mysql" "$work")
compare <<'END'
MySQL <npy@main>: inserted
MySQL <object@main>: inserted
MySQL <hash@main>: inserted
MySQL <filepath@main>: inserted
MySQL <blob@main>: inserted
MySQL <attach@main>: inserted
MySQL <blob>: inserted
MySQL <attach>: inserted
MySQL: 5 rows with a file of their own, 5 files
MariaDB <npy@main>: inserted
MariaDB <object@main>: inserted
MariaDB <hash@main>: inserted
MariaDB <filepath@main>: inserted
MariaDB <blob@main>: TypeError: dict can not be used as parameter
MariaDB <attach@main>: TypeError: dict can not be used as parameter
MariaDB <blob>: inserted
MariaDB <attach>: inserted
MariaDB: 3 rows with a file of their own, 5 files
copied into MariaDB, <blob@main>: [1, 2] [1, 2]
copied into MariaDB, <attach@main>: picture.bin picture.bin
END
