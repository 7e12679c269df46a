#!/usr/bin/env bash
# @title@
#
# Reads the rows that are listed under "The slice", and no others, into dump.sql.gz beside this script. It only
# reads. The account needs only SELECT on these tables, and USAGE on their schemas. Usage:
#
#     bash dump.sh --host=HOST --port=PORT --username=NAME --dbname=DATABASE -W
#     bash dump.sh --dbname=service=NAME
#
# --file=FILE names the dump. -W asks for the password; without it, psql takes it from ~/.pgpass, PGPASSFILE or a service
# file. No other options are passed to psql. The environment variable PSQL names psql if it is not on PATH.
#
# All is read in one snapshot of the database. The rows of each table are counted, and checksums of their values and the
# definitions of the tables compared. If the rows of the slice have changed, there is no dump. The output appears when it
# is complete, or not at all.
# shellcheck disable=SC2016,SC1003 # words in single quotes are SQL's
[ -n "${BASH_VERSION-}" ] || { echo "$0: run me with bash: bash $0" >&2; exit 2; }
set -euo pipefail
export LC_ALL=C
umask 077

# ---- The slice ----------------------------------------------------------------------------------------------

# Lines of SQL that create schemas, types and tables; and what is created after the rows, so that the server checks
# them: keys, indexes, foreign keys, views.
before_rows() {
@before@
}
after_rows() {
@after@
}

# Rows: schema, table, number of rows, checksum of a row as SQL, the sum over the slice's rows, columns to read, columns
# to write, order, and one or more conditions that together select the rows, each row once. A table that is not listed
# has no row in the slice. What stands in the place of a column that is left out is among the columns to read. In a word
# that begins with $' a quote is written as \'.
rows() {
@rows@
}

# For each table: schema, table, and a digest of its definition.
definitions() {
@definitions@
}

usage() {
    sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p;}' "$0"
}

check_options() {
    [[ ! $accept ]] || fail "--accept-other-values is an option of restore.sh only."
}

@client@
# ---- What is asked of the server ----------------------------------------------------------------------------

# Differences go to a file; after them psql stops, or goes on to the rows. What stands between the rows is selected, too.
sql() {
    cat <<'-- End.'
@begin@
-- End.
    printf '%s\n' '\o | cat >"$DJ_SQLSPY_DIFFERENCES"'
    definitions_sql
    rows count_sql
    printf '%s\n' '\o' '\set differs `[ -s "$DJ_SQLSPY_DIFFERENCES" ] && echo yes || echo no`' '\if :differs' '\q' '\endif'
    before_rows print_sql
    print_sql '' && print_sql '-- Rows.'
    rows copy_sql
    after_rows print_sql
    print_sql '-- The slice ends here.'
    printf 'COMMIT;\n'
}

definitions_sql() {
    local mark=
    printf 'WITH asked (schema, name, digest) AS (VALUES\n'
    definition() {
        local schema name
        literal "$1" && schema=$REPLY
        literal "$2" && name=$REPLY
        literal "$3"
        printf '%s(%s, %s, %s)\n' "$mark" "$schema" "$name" "$REPLY"
        mark=,
    }
    definitions definition
    printf ')\nSELECT pg_catalog.format('"'    %%I.%%I: another definition'"', schema, name) FROM (\n'
    cat <<'-- End.'
@definitions_sql@
-- End.
    printf ') AS compared WHERE found IS DISTINCT FROM digest;\n'
}

count_sql() { # schema, table, rows, checksum, sum, columns to read, columns to write, order, conditions
    local table name rows=$3 checksum=$4 sum=$5 condition union=
    full_name "$1" "$2" && table=$REPLY
    literal "    $table: " && name=$REPLY
    shift 8
    printf 'SELECT %s || CASE WHEN rows <> %s' "$name" "$rows"
    printf " THEN '%s rows in the slice, ' || rows || ' now' ELSE 'other values in its %s rows' END\n" "$rows" "$rows"
    printf 'FROM (SELECT pg_catalog.sum(rows) AS rows, pg_catalog.sum(total) AS total FROM (\n'
    for condition in "$@"; do
        printf '%sSELECT pg_catalog.count(*) AS rows, COALESCE(pg_catalog.sum(%s), 0) AS total FROM %s WHERE %s\n' \
            "$union" "$checksum" "$table" "$condition"
        union='UNION ALL '
    done
    printf ') AS parts) AS counted WHERE rows <> %s OR total <> %s;\n' "$rows" "$sum"
}

print_sql() { # a line of the dump
    literal "$1"
    printf 'SELECT %s;\n' "$REPLY"
}

copy_sql() { # as count_sql
    local table columns=$6 names=$7 order=$8 condition
    full_name "$1" "$2" && table=$REPLY
    shift 8
    print_sql ''
    print_sql "COPY $table ($names) FROM stdin;"
    for condition in "$@"; do
        printf 'COPY (SELECT %s FROM %s WHERE %s ORDER BY %s) TO STDOUT;\n' "$columns" "$table" "$condition" "$order"
    done
    print_sql '\.'
}

# ---- Reading ------------------------------------------------------------------------------------------------

export DJ_SQLSPY_DIFFERENCES=$work/differences
: >"$DJ_SQLSPY_DIFFERENCES"
partial=$(made mktemp "$(dirname -- "$file")/.dj-sqlspy-partial-XXXXXXXX") # a name that `dj-sqlspy write` knows
status=0
sql | client | gzip -n >"$partial" || status=$?
if [[ -s $DJ_SQLSPY_DIFFERENCES ]]; then
    printf '%s\n' "The database has changed since the slice was made. Make the slice again. The differences:" >&2
    cat -- "$DJ_SQLSPY_DIFFERENCES" >&2
    exit 1
fi
[[ $status == 0 ]] ||
    fail "psql could not read all, as it says above. Give the server's address, the account and the database as options, such as --host=HOST --port=PORT --username=NAME --dbname=DATABASE -W"
[[ $(gzip -dc -- "$partial" | tail -n 1) == '-- The slice ends here.' ]] || fail "the dump is not complete."

chmod @mode@ -- "$partial"
rm -f -- "$file.cksum" # of the dump before
mv -f -- "$partial" "$file"
partial=
printf '%s\n' "$file: @summary@"
