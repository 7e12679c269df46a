#!/usr/bin/env bash
# What the containers of compose.yaml run. To use it: docker compose up
#
# `server` makes a password before its first start, in a volume that only these containers have. `ready` says whether it
# answers. `load` loads dump.sql.gz with restore.sh, once (of PostgreSQL `into_database`). `notebook` installs the packages of the analyses and starts
# JupyterLab on a copy of the folder `code`. Nothing is written into this folder.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
state=${STATE:-/state}
work=${WORK:-/work}
jupyter=${JUPYTER:-/opt/jupyter}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

server() { # the server's program and its options
    if [[ ! -s $state/password ]]; then
        (umask 077 && od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n' >"$state/password.new")
        mv -- "$state/password.new" "$state/password"
    fi
    exec docker-entrypoint.sh "$@"
}

ready() { # program that asks the server; while the image prepares its files it does not listen here
    if [[ $1 == pg_isready ]]; then
        pg_isready --host=127.0.0.1 --port="${PORT:-5432}" --username=postgres
        return
    fi
    MYSQL_PWD=$(<"$state/password") "$1" --host=127.0.0.1 --port="${PORT:-3306}" --protocol=tcp --user=root ping
}

load() { # options of the client
    local sum
    sum=$(cksum <"$here/dump.sql.gz") || fail "There is no dump.sql.gz yet. Make it with dump.sh, where the laboratory's database is."
    if [[ -e $state/loaded ]]; then
        [[ $(<"$state/loaded") == "$sum" ]] || fail "Another dump.sql.gz was loaded here before. To begin again: docker compose down --volumes"
        printf '%s\n' "Loaded before."
        return
    fi
    MYSQL_PWD=$(<"$state/password") bash "$here/restore.sh" "$@" ||
        fail "To begin again: docker compose down --volumes"
    printf '%s\n' "$sum" >"$state/loaded"
}

# host, port, database, the SQL that makes it, and its settings, as name=value. Not every system has the order of texts of
# the source; restore.sh says what differs.
into_database() {
    local server=(--host="$1" --port="$2" --username="${PGUSER:-postgres}") database=$3 made=$4 setting
    shift 4
    PGPASSWORD=$(<"$state/password")
    export PGPASSWORD
    ask() { # SQL
        psql "${server[@]}" --dbname=postgres --no-psqlrc --quiet --no-align --tuples-only --command="$1"
    }
    if [[ $(ask "SELECT 1 FROM pg_database WHERE datname = '$database'") != 1 ]]; then
        if [[ ! $made ]] || ! ask "$made"; then
            ask "CREATE DATABASE $database"
        fi
        for setting; do
            ask "ALTER DATABASE $database SET ${setting%%=*} TO '${setting#*=}'" || printf 'Not set: %s\n' "$setting"
        done
    fi
    load "${server[@]}" --dbname="$database" --accept-other-values
}

install_packages() { # file
    local pin lacking=()
    python -m pip install --requirement "$1" && return
    printf '%s\n' "These packages cannot be installed together here, so one after the other."
    while IFS= read -r pin; do
        [[ -z $pin || $pin == '#'* ]] || python -m pip install --no-deps "$pin" || lacking+=("$pin")
    done <"$1"
    printf 'Not installed: %s\n' "${lacking[*]-}"
}

notebook() { # version of DataJoint, and the file with the packages of the analyses if there is one
    local pins=("datajoint==$1")
    if [[ ${2-} ]]; then
        install_packages "$here/$2"
        python -c 'import datajoint' 2>/dev/null && pins=()
    fi
    [[ ! ${pins[*]-} ]] || python -m pip install "${pins[@]}"
    [[ ${DJ_BACKEND-} != postgresql ]] || python -c 'import psycopg2' 2>/dev/null || python -m pip install psycopg2-binary
    python -m pip install ipykernel ${2:+--constraint "$here/$2"}
    # JupyterLab has an environment of its own, so that it changes no package of the analyses
    [[ -x $jupyter/bin/python ]] || python -m venv "$jupyter"
    "$jupyter/bin/python" -m pip install 'jupyterlab>=4,<5'
    python -m ipykernel install --prefix="$jupyter" --name=python3 --display-name='Python of the analyses'
    if [[ ! -e $work/bundle ]]; then
        [[ ! -d $here/code ]] || cp -r -- "$here/code/." "$work/"
        ln -s -- "$here" "$work/bundle"
    fi
    DJ_PASS=$(<"$state/password")
    export DJ_PASS
    if [[ ${DJ_USE_TLS-} == false ]]; then # DataJoint 0.14 reads no such variable
        printf '{"database.use_tls": false}\n' >"$HOME/.datajoint_config.json"
    fi
    cd -- "$work"
    exec "$jupyter/bin/jupyter" lab --allow-root --no-browser --ip="${ADDRESS:-0.0.0.0}" --port="$NOTEBOOK_PORT" \
        --ServerApp.port_retries=0 --ServerApp.root_dir="$work"
}

"$@"
