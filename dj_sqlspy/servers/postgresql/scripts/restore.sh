#!/usr/bin/env bash
# @title@
#
# Loads dump.sql.gz, which is beside this script, into a database of PostgreSQL, and checks it: the number of rows of
# every table, and that the server has checked every foreign key. Usage:
#
#     bash restore.sh --host=HOST --port=PORT --username=NAME --dbname=DATABASE -W
#     bash restore.sh --dbname=service=NAME
#
# --file=FILE loads another file. -W asks for the password; without it, psql takes it from ~/.pgpass, PGPASSFILE or a
# service file. --accept-other-values loads also if this database sorts and compares texts otherwise than the source, or
# computes other values in generated columns, and says which. No other options are passed to psql. The environment
# variable PSQL names psql if it is not on PATH.
#
# First it checks that the database can hold all of the dump, that the account may load it, and that no table, view or
# type of the slice is there. All is loaded in one transaction: if anything fails, nothing of the dump stays. What was
# there is never changed. Load a stranger's dump with an account that is no superuser.
# shellcheck disable=SC2016,SC1003 # words in single quotes are SQL's
[ -n "${BASH_VERSION-}" ] || { echo "$0: run me with bash: bash $0" >&2; exit 2; }
set -euo pipefail
export LC_ALL=C
umask 077

# ---- The slice ----------------------------------------------------------------------------------------------

# Tables: schema, table, number of rows.
tables() {
@tables@
}

# Schemas of these, and of views and types.
schemas() {
@schemas@
}

# Views and types: schema, name.
views() {
@views@
}
types() {
@types@
}

# Foreign keys: schema, table, name.
foreign_keys() {
@foreign_keys@
}

# Generated columns: schema, table, column, the checksum of a value as SQL, and the sum in the source.
computed() {
@computed@
}

# What the server must be, and a query that then returns a row.
demands() {
@demands@
}

# How the server must sort, compare and compute to return the same, and a query that then returns a row.
other_values() {
@other_values@
}

# What is changed or left out.
notes() {
@notes@
}

usage() {
    sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p;}' "$0"
}

check_options() { :; }

@client@
# ---- What is checked before ---------------------------------------------------------------------------------

end='-- The slice ends here.'
[[ -r $file ]] || fail "there is no $file. Make it with dump.sh, or name it: --file=FILE"
is_whole() {
    local last
    last=$(gzip -dc -- "$file" | tail -n 1) && [[ $last == "$end" ]]
}
is_whole || fail "$file is damaged. Copy or make it again."
help=$("$psql" --help=commands)
[[ $help == *'\restrict'* ]] ||
    fail "$psql runs commands of this machine that somebody may have hidden in a dump." \
        "Take a newer one (13.22, 14.19, 15.14, 16.10, 17.6 or later), or name it: PSQL=/path/to/psql"

checks_sql() {
    cat <<'-- End.'
@begin@
-- End.
    printf "SELECT 'PostgreSQL ' || pg_catalog.current_setting('server_version');\n"
    demands demand_sql missing
    printf "SELECT E'denied\\\\tthis account may not create schemas in the database ' || pg_catalog.current_database()
        WHERE NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE');\n"
    schemas schema_sql
    tables present_sql pg_class rel ''
    views present_sql pg_class rel ''
    types present_sql pg_type typ 'the type '
    other_values demand_sql other
}

demand_sql() { # kind, what, query
    literal "$1"$'\t'"$2"
    printf 'SELECT %s WHERE NOT EXISTS (%s);\n' "$REPLY" "$3"
}

schema_sql() { # schema
    local message
    literal $'denied\tthis account may not create tables in the schema '"$1" && message=$REPLY
    literal "$1"
    printf "SELECT %s FROM pg_catalog.pg_namespace WHERE nspname = %s AND NOT pg_catalog.has_schema_privilege(oid, 'CREATE, USAGE');\n" \
        "$message" "$REPLY"
}

present_sql() { # a catalog and the beginning of its names, what they name; schema, name
    local message schema
    full_name "$4" "$5"
    literal $'present\t'"$3$REPLY" && message=$REPLY
    literal "$4" && schema=$REPLY
    literal "$5"
    printf 'SELECT %s FROM pg_catalog.%s AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.%snamespace' "$message" "$1" "$2"
    printf ' WHERE n.nspname = %s AND c.%sname = %s;\n' "$schema" "$2" "$REPLY"
}

checks_sql | client >"$work/answer" || fail "cannot ask the server, as psql says above. Give its address, the account and the database as options, such as --host=HOST --port=PORT --username=NAME --dbname=DATABASE -W"
IFS= read -r version <"$work/answer"
said() { # kind: its lines of the answer
    sed -n "s/^$1	/    /p" "$work/answer" >"$work/$1"
    [[ -s $work/$1 ]]
}
if said missing; then
    printf '%s\n' "${0##*/}: this server ($version) has not all that the dump asks for:" >&2
    cat -- "$work/missing" >&2
    fail "nothing was loaded or changed. Load into a server like the source: PostgreSQL @version_of_source@"
fi
if said denied; then
    printf '%s\n' "${0##*/}: this account may not load the dump into this database:" >&2
    cat -- "$work/denied" >&2
    fail "nothing was loaded or changed. Use an account with these rights, or another database."
fi
if said present; then
    printf '%s\n' "${0##*/}: this database has already" >&2
    cat -- "$work/present" >&2
    fail "nothing was loaded or changed. Load into another database, such as a new one: createdb NAME"
fi
if said other && [[ ! $accept ]]; then
    printf '%s\n' "${0##*/}: this database can return other results than the source:" >&2
    cat -- "$work/other" >&2
    fail "nothing was loaded or changed. Load into a database like the source, which CREATE DATABASE makes with
TEMPLATE template0 and these names, or into this one: --accept-other-values"
fi
notes printf '    %s\n' >"$work/notes"
if [[ -s $work/notes ]]; then
    printf '%s\n' "${0##*/}: what is not as in the source:" >&2
    cat -- "$work/notes" >&2
fi

# ---- Load, and what is checked after, in one transaction ----------------------------------------------------

# No line of the dump is a command of psql, of which some run commands of this machine. Without COMMIT nothing stays.
load_sql() {
    printf '%s %s\n' '\restrict' "$key"
    printf 'BEGIN;\n'
    gzip -dc -- "$file" || return
    printf 'SET LOCAL search_path = %s;\n' "''"
    printf 'SET LOCAL row_security = off;\n'
    cat <<'-- End.'
@settings@
-- End.
    printf "SELECT pg_catalog.set_config('dj_sqlspy.faults', '', true);\n"
    tables rows_sql
    foreign_keys key_sql
    computed computed_sql
    printf "DO \$\$ BEGIN IF pg_catalog.current_setting('dj_sqlspy.faults') <> '' THEN
        RAISE EXCEPTION 'loaded, but not as it should be:%%', pg_catalog.current_setting('dj_sqlspy.faults');
        END IF; END \$\$;\n"
    printf 'COMMIT;\n'
    printf "SELECT 'committed';\n"
}

fault_sql() { # a text as SQL, and FROM and WHERE that return a row if something is wrong
    printf "SELECT pg_catalog.set_config('dj_sqlspy.faults', pg_catalog.current_setting('dj_sqlspy.faults') || E'\\\\n    ' || %s, true) %s;\n" \
        "$1" "$2"
}

rows_sql() { # schema, table, rows
    local table
    full_name "$1" "$2" && table=$REPLY
    literal "$table: "
    fault_sql "$REPLY || n || ' rows instead of $3'" "FROM (SELECT pg_catalog.count(*) AS n FROM $table) AS c WHERE n <> $3"
}

key_sql() { # schema, table, name
    local table schema name message
    full_name "$1" "$2"
    literal "$REPLY: the foreign key $3 is not there, or not checked" && message=$REPLY
    literal "$1" && schema=$REPLY
    literal "$2" && table=$REPLY
    literal "$3" && name=$REPLY
    fault_sql "$message" "WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint AS k
        JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE k.contype = 'f' AND k.convalidated AND k.conname = $name AND c.relname = $table AND n.nspname = $schema)"
}

computed_sql() { # schema, table, column, checksum, sum
    local table message
    full_name "$1" "$2" && table=$REPLY
    quote "$3"
    literal "$table $REPLY: generated, with other values on this server than in the source" && message=$REPLY
    if [[ $accept ]]; then
        literal 'Other values: '
        printf 'SELECT %s || %s FROM %s HAVING COALESCE(pg_catalog.sum(%s), 0) <> %s;\n' \
            "$REPLY" "$message" "$table" "$4" "$5"
    else
        fault_sql "$message" "FROM (SELECT pg_catalog.sum($4) AS n FROM $table) AS c WHERE COALESCE(n, 0) <> $5"
    fi
}

key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
status=0
load_sql | client >"$work/loaded" || status=$?
if [[ $status != 0 || $(tail -n 1 "$work/loaded") != committed ]]; then
    fail "the load failed; what psql says is above. All was one transaction, so nothing of the dump is in the database,
unless the connection was lost at its very end. Then look there before you try again."
fi
printf '%s\n' "Loaded: @summary@. All rows are there, and the server has checked every foreign key."
sed -n '/^Other values: /p' "$work/loaded"
sed 's/^ */Other values: /' "$work/other"
