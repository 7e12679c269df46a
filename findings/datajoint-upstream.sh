#!/usr/bin/env bash
# Inside make(), `self.upstream[Recording]` of a table with two parents has no row at all.
#
# Guess (after a look at the source: it is what the documentation says): `self.upstream[T]` has the rows of T that belong
#   to the key; `dj.Diagram.trace(q)[T]` has the rows of T that a row of q refers to.
# Seen: `self.upstream` is the trace of `self & key`, and make() has not inserted that row yet. Where a parent's key has
#   all columns of the key, the condition is copied, and it works. Where the key comes from two parents (a recording and
#   a set of parameters), the parents are looked up from the row that is not there: 0 rows of each ancestor, and no error
#   but that of fetch1. When a condition is copied, trace has too much: with `subject = 1`, all sessions of subject 1.
#   With a condition on another column it is right, and so is trace after make().
# Versions: DataJoint 2.3.5, PyMySQL 1.2.4, psycopg2-binary 2.9.13, MariaDB 10.11.19, PostgreSQL 15.18.
# Why it matters: a recording and a set of parameters are the usual parents, and 2.3 recommends this way of reading. A
#   mean of the rows that are found is a mean of nothing; `len` is 0.
# Source: DataJoint's pull requests 1473 and 1499 (June and July 2026) make and change `self.upstream`. Issue
#   1481 has another limit, that of merge tables.
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


@schema
class Session(dj.Manual):
    definition = """
    subject : int32
    session : int32
    """


@schema
class Recording(dj.Manual):
    definition = """
    -> Session
    probe : int32
    """


@schema
class Parameters(dj.Lookup):
    definition = """
    parameters : int32
    ---
    cutoff : int32
    """
    contents = [(1, 10), (2, 20)]


def seen(self, key):
    found = {table.__name__: len(self.upstream[table]) for table in (Session, Recording)}
    print(f"{sys.argv[2]}, make of {type(self).__name__} {tuple(sorted(key.items()))}: upstream {found}")


@schema
class Spectrum(dj.Computed):
    definition = """
    -> Recording
    ---
    peak : int32
    """

    def make(self, key):
        seen(self, key)
        self.insert1({**key, "peak": 1})


@schema
class Clustering(dj.Computed):
    definition = """
    -> Recording
    -> Parameters
    ---
    clusters : int32
    """

    def make(self, key):
        seen(self, key)
        self.insert1({**key, "clusters": 1})


Session.insert([(subject, session) for subject in (1, 2) for session in (1, 2, 3)])
Recording.insert([(1, 1, 1), (2, 1, 1)])
Spectrum.populate("subject = 1")
Clustering.populate("subject = 1 AND parameters = 1")
for condition in ("subject = 1", "clusters = 1"):
    table = Clustering & condition
    trace = dj.Diagram.trace(table)
    counts = {t.__name__: len(trace[t]) for t in (Session, Recording, Parameters)}
    print(f"{sys.argv[2]}, trace of Clustering & {condition!r} ({len(table)} row): {counts}")
END
see "$work/new/bin/python" "$work/try.py" "${ports[mariadb]}" mysql
see "$work/new/bin/python" "$work/try.py" "${ports[postgresql]}" postgresql
compare <<'END'
mysql, make of Spectrum (('probe', 1), ('session', 1), ('subject', 1)): upstream {'Session': 1, 'Recording': 1}
mysql, make of Clustering (('parameters', 1), ('probe', 1), ('session', 1), ('subject', 1)): upstream {'Session': 0, 'Recording': 0}
mysql, trace of Clustering & 'subject = 1' (1 row): {'Session': 3, 'Recording': 1, 'Parameters': 1}
mysql, trace of Clustering & 'clusters = 1' (1 row): {'Session': 1, 'Recording': 1, 'Parameters': 1}
postgresql, make of Spectrum (('probe', 1), ('session', 1), ('subject', 1)): upstream {'Session': 1, 'Recording': 1}
postgresql, make of Clustering (('parameters', 1), ('probe', 1), ('session', 1), ('subject', 1)): upstream {'Session': 0, 'Recording': 0}
postgresql, trace of Clustering & 'subject = 1' (1 row): {'Session': 3, 'Recording': 1, 'Parameters': 1}
postgresql, trace of Clustering & 'clusters = 1' (1 row): {'Session': 1, 'Recording': 1, 'Parameters': 1}
END
