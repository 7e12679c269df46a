#!/usr/bin/env bash
# On MariaDB 11.8 two populate() of one table lose results: insert(skip_duplicates=True) in make() is
#   error 1020 there.
#
# Guess: as on MariaDB 10.11 and MySQL: the row that another worker inserted meanwhile is skipped.
#   (innodb_snapshot_isolation is on since 11.6.2 and known for UPDATEs of a row that was read.)
# Seen: make() runs in a transaction with a snapshot. If another worker inserts the row of a lookup table
#   meanwhile, INSERT … ON DUPLICATE KEY UPDATE of it fails with "Record has changed since last read", and
#   that key has no result. An INSERT also fails if its parent row was changed meanwhile, in any column. The
#   message then names the table of the INSERT, in which nobody changed anything.
# Versions: DataJoint 0.14.10 and 2.3.5, MariaDB 10.11.19 and 11.8.9 (MySQL 9.7.4 is like 10.11).
# Why it matters: after a lab upgrades its server, results are missing from a table. Analyses and their
#   slices pass every check, with fewer rows. If several people insert into a table (a shared log, for
#   example), retry 1020 like a deadlock.
# Source: MDEV-35124 turned innodb_snapshot_isolation on; other applications report 1020 since November
#   2024 (magento2 issue 41047), none for the parent of an INSERT, nor for DataJoint.
. "$(dirname "$0")/common.sh"
environment old datajoint==0.14.10 pymysql==1.2.4 numpy==2.4.6
environment new datajoint==2.3.5 pymysql==1.2.4 numpy==2.4.6
server mariadb && before=$port
server mariadb-trixie && after=$port

cat >"$work/try.py" <<'END'
import sys

from common import datajoint_at

dj = datajoint_at(sys.argv[1])
line = "2.3" if dj.__version__.startswith("2") else "0.14"
other = dj.Connection("127.0.0.1", "tester", "tester", port=int(sys.argv[1]), use_tls=False)  # the other worker
(version,) = dj.conn().query("SELECT VERSION()").fetchone()
print("DataJoint", dj.__version__, version, file=sys.stderr)
schema = dj.Schema("lab_" + line.replace(".", ""))


@schema
class Kind(dj.Lookup):
    definition = """
    kind : varchar(20)
    """


@schema
class Session(dj.Manual):
    definition = """
    session : int
    ---
    note : varchar(20)
    """


@schema
class Shape(dj.Computed):
    definition = """
    -> Session
    ---
    -> Kind
    """

    def make(self, key):
        (Session & key).fetch1("note")
        other.query(f"INSERT INTO `{schema.database}`.`#kind` VALUES ('slow')")
        Kind.insert1({"kind": "slow"}, skip_duplicates=True)
        self.insert1({**key, "kind": "slow"})


@schema
class Length(dj.Computed):
    definition = """
    -> Session
    """

    def make(self, key):
        note = (Session & key).fetch1("note")
        other.query(f"UPDATE `{schema.database}`.session SET note = '{note}, checked'")
        self.insert1(key)


Session.insert1((1, "good"))
for table in (Shape, Length):
    errors = table.populate(suppress_errors=True)["error_list"]
    print(f"{line} on {version[:5].rstrip('.')}: {table.__name__}: {len(table())} of 1 results", *(message for _, message in errors))
END
for environment in old new; do
    see "$work/$environment/bin/python" "$work/try.py" "$before"
    see "$work/$environment/bin/python" "$work/try.py" "$after"
done
compare <<'END'
0.14 on 10.11: Shape: 1 of 1 results
0.14 on 10.11: Length: 1 of 1 results
0.14 on 11.8: Shape: 0 of 1 results OperationalError: (1020, "Record has changed since last read in table '#kind'; try restarting transaction")
0.14 on 11.8: Length: 0 of 1 results OperationalError: (1020, "Record has changed since last read in table '__length'; try restarting transaction")
2.3 on 10.11: Shape: 1 of 1 results
2.3 on 10.11: Length: 1 of 1 results
2.3 on 11.8: Shape: 0 of 1 results OperationalError: (1020, "Record has changed since last read in table '#kind'; try restarting transaction")
2.3 on 11.8: Length: 0 of 1 results OperationalError: (1020, "Record has changed since last read in table '__length'; try restarting transaction")
END
