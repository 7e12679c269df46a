#!/usr/bin/env bash
# Inside a transaction of DataJoint, and so inside `make`, PostgreSQL shows what others commit in the meantime.
#
# Guess: a transaction of DataJoint sees one state of the database, on each server.
# Seen: on MySQL and MariaDB it begins WITH CONSISTENT SNAPSHOT; on PostgreSQL with BEGIN alone, whose default level is
#   READ COMMITTED. A `make` that counts the trials of a session and then fetches them gets 2 and then 3, and stores
#   both; on MariaDB it stores 2 and 2. There is neither an error nor a warning.
# Versions: DataJoint 2.3.5, psycopg2-binary 2.9.13, PostgreSQL 15.18; MariaDB 10.11.19 beside it.
# Why it matters: a computed row whose values are of two states of its inputs, while others still insert.
# Source: the source of DataJoint's adapters, read before; none found that says what follows.
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
sent = []


@schema
class Session(dj.Manual):
    definition = "session : int32"


@schema
class Trial(dj.Manual):
    definition = """
    -> Session
    trial : int32
    """


def insert_elsewhere(trial):
    """What another process does: a connection of its own, which commits at once."""
    other = dj.Connection("127.0.0.1", "tester", "tester", port=int(sys.argv[1]), use_tls=False)
    other.query(f"INSERT INTO lab.trial (session, trial) VALUES (1, {trial})")
    other.close()


@schema
class Summary(dj.Computed):
    definition = """
    -> Session
    ---
    counted : int32
    fetched : int32
    """

    def make(self, key):
        counted = len(Trial & key)
        insert_elsewhere(counted + 1)
        fetched = len((Trial & key).to_dicts())
        self.insert1({**key, "counted": counted, "fetched": fetched})


Session.insert1((1,))
Trial.insert([(1, 1), (1, 2)])
query = dj.conn().query
dj.conn().query = lambda text, *args, **options: (sent.append(text), query(text, *args, **options))[1]
Summary.populate()
print(sys.argv[2], "begins with:", next(text for text in sent if "BEGIN" in text or "START" in text))
print(sys.argv[2], "stores", Summary.to_dicts(), "and there are", len(Trial()))
END
see "$work/new/bin/python" "$work/try.py" "${ports[mariadb]}" mysql
see "$work/new/bin/python" "$work/try.py" "${ports[postgresql]}" postgresql
compare <<'END'
mysql begins with: START TRANSACTION WITH CONSISTENT SNAPSHOT
mysql stores [{'session': 1, 'counted': 2, 'fetched': 2}] and there are 3
postgresql begins with: BEGIN
postgresql stores [{'session': 1, 'counted': 2, 'fetched': 3}] and there are 3
END
