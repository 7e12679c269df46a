#!/usr/bin/env bash
# mariadb-dump 10.11 writes a VECTOR column of MySQL 9.7 as text in spite of --hex-blob, and MySQL refuses
#   the dump.
#
# Guess: --hex-blob writes all binary types as digits, VECTOR too; or the client says that it does not
#   know the type.
# Seen: exit code 0, no warning, and raw bytes in quotes. Loading that into the same MySQL ends in error
#   6136, "Value of type 'string, size: 12' cannot be converted to 'vector' type". mysqldump 9.7 and
#   mariadb-dump 11.8 write 0x…, which loads.
# Versions: mariadb-dump 10.11.19 and 11.8.9, mysqldump and MySQL 9.7.4.
# Why it matters: Debian 12 has no other client, so `mysqldump` is this one. Only the reader finds out that
#   the dump is broken.
# Source: none found.
. "$(dirname "$0")/common.sh"
server mysql
root=$(python3 "$folder/../tests/machine.py" mysql)
trixie=$(python3 "$folder/../tests/machine.py" mariadb trixie)
account=(--host=127.0.0.1 "--port=$port" --user=tester)
export MYSQL_PWD=tester

mysql() { in_root "$root" usr/bin/mysql --no-defaults "${account[@]}" "$@"; }
mysqldump() { in_root "$root" usr/bin/mysqldump --no-defaults "${account[@]}" --set-gtid-purged=OFF --single-transaction "$@"; }
dump_10() { mariadb-dump --no-defaults --skip-ssl "${account[@]}" "$@"; }
dump_11() { in_root "$trixie" usr/bin/mariadb-dump --no-defaults --skip-ssl "${account[@]}" "$@"; }

mariadb-dump --version >&2
mysql -e "SELECT VERSION(); CREATE DATABASE lab; USE lab; CREATE TABLE t (id INT PRIMARY KEY, v VECTOR(3)); INSERT INTO t VALUES (1, TO_VECTOR('[1, 2, -3.5]'))" >&2
try() {
    local code=0
    "$1" --hex-blob lab t >"$work/dump.sql" || code=$?
    echo "$1: exit code $code, digits in the dump: $(grep -c -a '0x0000803F' "$work/dump.sql" || true)"
    mysql -e "DROP DATABASE IF EXISTS loaded; CREATE DATABASE loaded"
    # the first line of MariaDB's, which MySQL's client does not know, is left out
    grep -a -v 'sandbox mode' "$work/dump.sql" | mysql loaded 2>"$work/error" || grep -o "ERROR.*" "$work/error" | sed "s/ at line [0-9]*//"
    echo "$1: loaded $(mysql -N -e "SELECT COUNT(*) FROM loaded.t") of 1"
}
for client in dump_10 dump_11 mysqldump; do
    see try $client
done
compare <<'END'
dump_10: exit code 0, digits in the dump: 0
ERROR 6136 (HY000): Value of type 'string, size: 12' cannot be converted to 'vector' type.
dump_10: loaded 0 of 1
dump_11: exit code 0, digits in the dump: 1
dump_11: loaded 1 of 1
mysqldump: exit code 0, digits in the dump: 1
mysqldump: loaded 1 of 1
END
