#!/usr/bin/env bash
# A mean of -0.0 that DataJoint inserts into MySQL comes back from mysqldump as 0.0; MariaDB stores 0.0 at once.
#
# Guess: a DOUBLE is exact everywhere, since both dumps write all its digits; or the sign of a zero is
#   lost on both servers alike.
# Seen: MySQL keeps the sign and shows it. Its mysqldump writes -0, which is an integer in SQL, and the
#   loaded table has 0: arctan2 and any hash of the rows differ. mariadb-dump
#   writes the same. A CAST to JSON and back, or an INSERT … SELECT, keeps it. MariaDB stores no sign.
# Versions: DataJoint 2.3.5, numpy 2.4.6, MySQL and mysqldump 9.7.4, MariaDB and mariadb-dump 10.11.19.
# Why it matters: numpy rounds -0.3 to -0.0, so such values are common in tables of results, and whoever
#   compares a table with its restored backup byte by byte finds rows that differ.
# Source: none found.
. "$(dirname "$0")/common.sh"
environment new datajoint==2.3.5 numpy==2.4.6
server mariadb && export MARIADB=$port
server mysql && export MYSQL=$port
root=$(python3 "$folder/../tests/machine.py" mysql)
export MYSQL_PWD=tester

cat >"$work/insert.py" <<'END'
import sys

import numpy as np
from common import datajoint_at

dj = datajoint_at(sys.argv[1])
schema = dj.Schema("lab")


@schema
class Fit(dj.Manual):
    definition = """
    fit : int32
    ---
    slope : float64
    gain : float32
    """


if sys.argv[2:] == ["fill"]:
    Fit.insert1({"fit": 1, "slope": np.round(-0.3), "gain": np.float32(-0.0)})
(row,) = Fit.to_dicts()
print([str(float(row[name])) for name in ("slope", "gain")])
END
fit() { "$work/new/bin/python" -W ignore "$work/insert.py" "$@"; }
mysql() { in_root "$root" usr/bin/mysql --no-defaults --host=127.0.0.1 "--port=$MYSQL" --user=tester "$@"; }
mysqldump() { in_root "$root" usr/bin/mysqldump --no-defaults --host=127.0.0.1 "--port=$MYSQL" --user=tester --set-gtid-purged=OFF --skip-extended-insert --databases lab; }
dump_10() { mariadb-dump --no-defaults --skip-ssl --host=127.0.0.1 "--port=$MYSQL" --user=tester --skip-extended-insert --databases lab | grep -a -v 'sandbox mode'; }
values() { grep -a -o 'INTO `fit` VALUES (1,[^,]*,[^,]*' "$1"; }

mysql -N -e "SELECT VERSION()" >&2
see echo "MariaDB: $(fit "$MARIADB" fill)"
see echo "MySQL: $(fit "$MYSQL" fill)"
for client in mysqldump dump_10; do
    mysql -e "CREATE DATABASE kept; CREATE TABLE kept.fit AS SELECT * FROM lab.fit"
    $client >"$work/dump.sql"
    see echo "$client: $(values "$work/dump.sql")"
    mysql -e "DROP DATABASE lab" && mysql <"$work/dump.sql"
    see echo "loaded: $(fit "$MYSQL")"
    mysql -e "DELETE FROM lab.fit; INSERT INTO lab.fit SELECT * FROM kept.fit; DROP DATABASE kept"
    see echo "copied: $(fit "$MYSQL")"
done
see echo "as JSON: $(mysql -N -e "SELECT CAST(slope AS JSON) FROM lab.fit")"
compare <<'END'
MariaDB: ['0.0', '0.0']
MySQL: ['-0.0', '-0.0']
mysqldump: INTO `fit` VALUES (1,-0,-0);
loaded: ['0.0', '0.0']
copied: ['-0.0', '-0.0']
dump_10: INTO `fit` VALUES (1,-0,-0);
loaded: ['0.0', '0.0']
copied: ['-0.0', '-0.0']
as JSON: -0.0
END
