#!/usr/bin/env bash
# DataJoint's query cache gives the rows of one server to a connection with another.
#
# Guess: a cached result belongs to the server that it came from.
# Seen: the file's name is a hash of the name given to set_query_cache, the statement and its arguments. Host,
#   port and account are not in it. With the same folder in `query_cache`, a copy of the database returns
#   what the original did when it was cached, rows that it does not have and another count. Without the cache, or
#   with another name for it on each server, the rows are its own. Neither an error nor a warning.
# Versions: DataJoint 0.14.10 and 2.3.5, PyMySQL 1.2.4, MariaDB 10.11.19, MySQL 9.7.4.
# Why it matters: to see whether a loaded dump gives the same figure, one sets another host and runs the
#   notebook again. With a cache it gives the same figure from any dump, an empty one as well.
# Source: none found. DataJoint's issue 550 (December 2018) made the cache, for work without a server.
. "$(dirname "$0")/common.sh"
environments "old datajoint==0.14.10 pymysql==1.2.4" "new datajoint==2.3.5 pymysql==1.2.4"
server mariadb
server mysql

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

port, kind, folder = sys.argv[1:]
dj = datajoint_at(port)
two = dj.__version__.startswith("2")
print("DataJoint", dj.__version__, "on", dj.conn().query("select version()").fetchone()[0], file=sys.stderr)
schema = dj.Schema("lab_new" if two else "lab_old")
line = "2.3" if two else "0.14"
dj.config["query_cache"] = folder


@schema
class Unit(dj.Manual):
    definition = """
    unit : int
    ---
    rate : int
    """


def rows():
    found = Unit.to_dicts() if two else Unit.fetch(as_dict=True)
    return sorted((row["unit"], row["rate"]) for row in found)


if kind == "original":
    Unit.insert([(1, 10), (2, 20), (3, 30)])
else:
    Unit.insert([(1, 10), (2, 99)])
print(line, f"{kind}:", rows())
dj.conn().set_query_cache("figure 1")
print(line, f"{kind}, with the cache:", rows(), "and a count of", len(Unit()))
dj.conn().set_query_cache(f"figure 1 of the {kind}")
print(line, f"{kind}, with a name of its own:", rows(), "and a count of", len(Unit()))
END
for environment in old new; do
    mkdir "$work/$environment-cache"
    see "$work/$environment/bin/python" "$work/try.py" "${ports[mariadb]}" original "$work/$environment-cache"
    see "$work/$environment/bin/python" "$work/try.py" "${ports[mysql]}" copy "$work/$environment-cache"
done
compare <<'END'
0.14 original: [(1, 10), (2, 20), (3, 30)]
0.14 original, with the cache: [(1, 10), (2, 20), (3, 30)] and a count of 3
0.14 original, with a name of its own: [(1, 10), (2, 20), (3, 30)] and a count of 3
0.14 copy: [(1, 10), (2, 99)]
0.14 copy, with the cache: [(1, 10), (2, 20), (3, 30)] and a count of 3
0.14 copy, with a name of its own: [(1, 10), (2, 99)] and a count of 2
2.3 original: [(1, 10), (2, 20), (3, 30)]
2.3 original, with the cache: [(1, 10), (2, 20), (3, 30)] and a count of 3
2.3 original, with a name of its own: [(1, 10), (2, 20), (3, 30)] and a count of 3
2.3 copy: [(1, 10), (2, 99)]
2.3 copy, with the cache: [(1, 10), (2, 20), (3, 30)] and a count of 3
2.3 copy, with a name of its own: [(1, 10), (2, 99)] and a count of 2
END
