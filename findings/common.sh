# Shared functions of the scripts beside this file. It is sourced, not run.
#
# A script makes environments with `environment` or `environments` and servers with `server`, prints its observations
# with `see COMMAND…`, and ends with `compare`, which reads the earlier observations and exits 1 if they differ.
# Everything is in one temporary folder, which is deleted at the end; the servers are stopped. tests/machine.py
# finds or installs the servers. dj_sqlspy is not used.

set -euo pipefail

folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
export PYTHONPATH=$folder PYTHONDONTWRITEBYTECODE=1
pids=()
declare -A ports=() # of servers, by kind

cleanup() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT

# environment NAME REQUIREMENT… : a virtual environment; its interpreter is $work/NAME/bin/python
environment() {
    local name=$1
    shift
    if command -v uv >/dev/null; then # takes seconds where pip takes minutes
        uv venv -q --python python3 "$work/$name"
        uv pip install -q --python "$work/$name/bin/python" "$@" >&2
    else
        python3 -m venv "$work/$name"
        "$work/$name/bin/python" -m pip install -q --disable-pip-version-check "$@" >&2
    fi
}

# environments "NAME REQUIREMENT…"… : several at once
environments() {
    local one pid running=()
    for one in "$@"; do
        # shellcheck disable=SC2086
        environment $one &
        running+=($!)
    done
    for pid in "${running[@]}"; do
        wait "$pid"
    done
}

# The loader of a debootstrap root runs the root's programs with the root's libraries, so no chroot is needed.
# `become` takes the place of the shell, so that $! is the server itself; `in_root` comes back.
become() {
    local root=$1 program=$2
    shift 2
    local loader libraries
    loader=$(compgen -G "$root/usr/lib*/ld-linux-*.so.*" | head -n 1)
    libraries=$(compgen -G "$root/usr/lib/*-linux-gnu" | head -n 1)
    exec "$loader" --argv0 "$root/$program" --library-path "$libraries" "$root/$program" "$@"
}

in_root() {
    (become "$@")
}

# postgres PROGRAM…: a program of PostgreSQL with its user's rights, since it refuses the superuser's
postgres() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
    else
        "$@"
    fi
}

# server KIND: starts one of "mariadb" (this machine's), "mariadb-trixie" (11.8 on the day), "mysql" (9.7),
# "postgresql" (15; its database is postgres).
# $port, and from then on ${ports[KIND]}, is where it listens, for the account tester with the password tester.
server() {
    local kind=$1 data="$work/$1" log="$work/$1.log" root share options
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    options=(--no-defaults "--user=$(id -un)" "--datadir=$data")
    cat >"$work/accounts.sql" <<'END'
CREATE USER IF NOT EXISTS tester@'%' IDENTIFIED BY 'tester';
GRANT ALL ON *.* TO tester@'%' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS tester@localhost IDENTIFIED BY 'tester';
GRANT ALL ON *.* TO tester@localhost WITH GRANT OPTION;
END
    local listen=("--port=$port" --bind-address=127.0.0.1 "--socket=$work/$kind.sock" "--pid-file=$work/$kind.pid"
        "--init-file=$work/accounts.sql")
    case $kind in
    mariadb)
        local program
        program=$(python3 "$folder/../tests/machine.py" mariadb)
        mariadb-install-db "${options[@]}" --auth-root-authentication-method=normal --skip-test-db >"$log" 2>&1 || not_started "$log"
        "$program" "${options[@]}" "${listen[@]}" --character-set-server=utf8mb4 >>"$log" 2>&1 &
        ;;
    mariadb-*)
        root=$(python3 "$folder/../tests/machine.py" mariadb "${kind#mariadb-}")
        share="$root/usr/share/mariadb"
        options+=("--lc-messages-dir=$share" "--character-sets-dir=$share/charsets" "--plugin-dir=$root/usr/lib/mysql/plugin")
        mkdir "$data" "$data/mysql"
        {
            printf 'USE mysql;\nSET @auth_root_socket = NULL;\n' # one statement a line
            cat "$share/mariadb_system_tables.sql" "$share/mariadb_performance_tables.sql" "$share/mariadb_system_tables_data.sql"
        } | in_root "$root" usr/sbin/mariadbd "${options[@]}" --bootstrap >"$log" 2>&1 || not_started "$log"
        become "$root" usr/sbin/mariadbd "${options[@]}" "${listen[@]}" >>"$log" 2>&1 &
        ;;
    mysql)
        root=$(python3 "$folder/../tests/machine.py" mysql)
        options+=("--basedir=$root/usr" "--lc-messages-dir=$root/usr/share/mysql" "--character-sets-dir=$root/usr/share/mysql/charsets"
            "--plugin-dir=$root/usr/lib/mysql/plugin" --secure-file-priv=)
        in_root "$root" usr/sbin/mysqld "${options[@]}" --initialize-insecure >"$log" 2>&1 || not_started "$log"
        become "$root" usr/sbin/mysqld "${options[@]}" "${listen[@]}" --mysqlx=OFF >>"$log" 2>&1 &
        ;;
    postgresql)
        root=$(python3 "$folder/../tests/machine.py" postgresql)
        mkdir "$data"
        chmod 711 "$work"
        [ "$(id -u)" != 0 ] || chown postgres "$data"
        (cd / && postgres "$root/initdb" --username=tester --auth=trust --encoding=UTF8 --locale=C.UTF-8 "$data") >"$log" 2>&1 || not_started "$log"
        (cd / && postgres "$root/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 -c "unix_socket_directories=$data") >>"$log" 2>&1 &
        ;;
    esac
    pids+=($!)
    for _ in $(seq 240); do
        if { [ -S "$work/$kind.sock" ] || [ -S "$data/.s.PGSQL.$port" ]; } && (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            sleep 1 # the accounts are made last
            ports[$kind]=$port
            return
        fi
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.25
    done
    not_started "$log"
}

# all_servers: one of each kind; their ports are in MARIADB, MARIADB_11 and MYSQL, as common.py wants them
all_servers() {
    server mariadb && export MARIADB=$port
    server mariadb-trixie && export MARIADB_11=$port
    server mysql && export MYSQL=$port
}

not_started() {
    tail -n 20 "$1" >&2
    echo "no server: the end of its log is above" >&2
    exit 2
}

# see COMMAND… : runs it; what it prints is what was seen (versions go to standard error, and are not compared)
see() {
    "$@" | tee -a "$work/seen"
}

# compare <<…: what was seen before
compare() {
    cat >"$work/before"
    if diff -u --label "seen before" --label "seen now" "$work/before" "$work/seen"; then
        echo "as before"
    else
        echo "this has changed" >&2
        exit 1
    fi
}
