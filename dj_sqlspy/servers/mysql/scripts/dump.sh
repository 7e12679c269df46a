#!/usr/bin/env bash
# @title@
#
# Reads the rows that are listed under "The slice", and no others, into dump.sql.gz beside this script. It only
# reads. The account needs only SELECT on these tables. Usage:
#
#     bash dump.sh --host=HOST --port=PORT --user=NAME -p
#     bash dump.sh --defaults-extra-file=FILE
#
# --file=FILE names the dump. --jobs=N reads N tables at once, with the same result. --engine=mydumper is for very large
# slices: mydumper reads one table in several pieces at once. All other options are passed to mysql and mysqldump. The
# environment variables MYSQL, MYSQLDUMP and MYDUMPER name these programs if they are not on PATH.
#
# The rows of each table are counted before and after, and checksums of their values compared. If the rows of the slice
# have changed, there is no dump. The output appears when it is complete, or not at all.
# shellcheck disable=SC2016,SC1003 # names in backticks and backslashes are SQL's
[ -n "${BASH_VERSION-}" ] || { echo "$0: run me with bash: bash $0" >&2; exit 2; }
set -euo pipefail
export LC_ALL=C
umask 077

# ---- The slice ----------------------------------------------------------------------------------------------

# Schemas, tables, functions and views, each after those that it needs. Comments name what is created, for restore.sh.
structure() {
    cat <<'-- Rows.'
@structure@
-- Rows.
}

# Rows, parents first: schema, table, number of rows, columns, key, and one or more conditions that together select
# the rows, each row once. A table that is not listed has no row in the slice. Columns are `*`, or written out where
# a table has FLOAT columns (the server prints those with six digits only, and times 1e0, a DOUBLE, with all), VECTOR
# columns or names with a backtick (which mydumper does not know, or quote), or columns whose contents are left out: NULL,
# DEFAULT(…) or a value stands in their place. In a word that begins with $' a quote is written as \'.@scratch@
rows() {
@rows@
}

# For each table above: the checksum of a row as SQL, and the sum over the slice's rows, which reveals changed values.
sums() {
@sums@
}

# Not empty if a table has generated columns, or columns of the type VECTOR.
has_generated=@generated@
has_vectors=@vectors@

usage() {
    sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p;}' "$0"
}

@client@
# ---- Which mysqldump, and its options -----------------------------------------------------------------------

programs=(mysqldump mariadb-dump)
[[ $flavor == MySQL ]] || programs=(mariadb-dump mysqldump)
[[ -z ${MYSQLDUMP:-} ]] || programs=("$MYSQLDUMP")
mysqldump=
made_by=
for program in "${programs[@]}"; do
    command -v -- "$program" >/dev/null || continue
    case $("$program" --version) in
        *MariaDB*) maker=MariaDB ;;
        *) maker=MySQL ;;
    esac
    if [[ -z $mysqldump ]] || [[ $maker == "$flavor" && $made_by != "$flavor" ]]; then
        mysqldump=$program
        made_by=$maker
    fi
done
[[ $mysqldump ]] ||
    fail "found none of: ${programs[*]}. Install the client of $flavor, or name it: MYSQLDUMP=/path/to/mysqldump"
if [[ $flavor == MySQL && $made_by == MariaDB ]]; then
    get="Install MySQL's mysqldump, or name it: MYSQLDUMP=/path/to/mysqldump"
    [[ ! $has_generated ]] ||
        fail "$mysqldump is MariaDB's, and writes values for generated columns, which MySQL refuses. $get"
    [[ ! $has_vectors ]] ||
        fail "$mysqldump is MariaDB's, and writes a VECTOR of MySQL as a text, which would not come back. $get"
fi

dump_options=(
    --opt --single-transaction --skip-lock-tables --quote-names --complete-insert --hex-blob --tz-utc
    --no-tablespaces --skip-triggers --skip-routines --skip-events
    --skip-add-drop-table --skip-add-locks --skip-disable-keys --skip-comments --max-allowed-packet=1G
)
help=$("$mysqldump" --no-defaults --help)
[[ $help != *--set-gtid-purged* ]] || dump_options+=(--set-gtid-purged=OFF)
[[ $help != *--no-data-med* ]] || dump_options+=(--skip-no-data-med) # rows of MERGE tables, too
[[ $help != *--column-statistics* ]] || dump_options+=(--column-statistics=0)

# ---- What is done ---------------------------------------------------------------------------------------------

# Rows are compared as mysqldump reads them: time stamps in UTC, no sql_mode, and all in one snapshot.
count_all() {
    {
        printf "SET SESSION sql_mode = '', time_zone = '+00:00';\nSTART TRANSACTION WITH CONSISTENT SNAPSHOT;\n"
        rows count_sql
    } | query
}

sum_sql=()
sum_then=()
take_sum() {
    sum_sql+=("$1")
    sum_then+=("$2")
}
sums take_sum

number=0
count_sql() {
    local name
    name=$(quoted "$1").$(quoted "$2")
    shift 5
    local condition
    for condition in "$@"; do
        printf 'SELECT %d, COUNT(*), COALESCE(SUM(%s), 0) FROM %s WHERE %s;\n' \
            "$number" "${sum_sql[number]}" "$name" "$condition"
    done
    number=$((number + 1))
}

compare() { # of the table with this number: schema, table, rows
    local found=${counted[number]:-0}
    if [[ $found != "$3" ]]; then
        printf '    %s.%s: %s rows in the slice, %s now\n' "$(quoted "$1")" "$(quoted "$2")" "$3" "$found"
    elif [[ ${summed[number]:-0} != "${sum_then[number]}" ]]; then
        printf '    %s.%s: other values in its %s rows\n' "$(quoted "$1")" "$(quoted "$2")" "$3"
    fi
    number=$((number + 1))
}

check_counts() { # $1: what to say if they differ
    local table rows sum
    count_all >"$work/counts"
    counted=()
    summed=()
    while IFS=$'\t' read -r table rows sum; do
        counted[table]=$((${counted[table]:-0} + rows))
        summed[table]=$((${summed[table]:-0} + sum))
    done <"$work/counts"
    number=0
    rows compare >"$work/differences"
    number=0
    if [[ -s $work/differences ]]; then
        printf '%s\n' "$1" >&2
        cat -- "$work/differences" >&2
        exit 1
    fi
}

# MariaDB's mysqldump starts with a line that MySQL's client refuses; without it both read the dump.
without_sandbox_line() {
    local line
    IFS= read -r line || true
    [[ $line == '/*M!999999\-'* ]] || printf '%s\n' "$line"
    cat
}

dump_rows() { # schema, table, rows, columns, key, conditions
    local schema=$1 table=$2 columns=$4 key=$5 condition
    shift 5
    printf '\nUSE %s;\n' "$(quoted "$schema")"
    for condition in "$@"; do
        condition="$condition ORDER BY $key"
        if [[ $columns != '*' ]]; then # mysqldump has no option for columns, but takes a UNION (LIMIT keeps its order)
            condition="SELECT $columns FROM $(quoted "$table") WHERE $condition LIMIT 18446744073709551615"
            condition="FALSE UNION ALL ($condition)"
        fi
        client "$mysqldump" "${dump_options[@]}" --no-create-info --where="$condition" -- "$schema" "$table" |
            without_sandbox_line
    done
}

# Each table is compressed separately. Concatenated gzip files are a gzip file, so parts can be made at the same time.
# Level 1 takes less than half the time of the default, and most rows are blobs, which DataJoint has already compressed.
compressed() {
    "$@" | gzip -n -1
}

head_of_dump() {
    structure
    printf '%s\n' '-- Rows.' # restore.sh looks for this line
}

tail_of_dump() {
    printf '\n-- The slice ends here.\n' # a dump that was cut between two parts is no damaged gzip file
}

# One line on a terminal, after two seconds: how many tables and rows are done.
tell() { # rows of a table that is done
    [[ -t 2 ]] || return 0
    printf '%d\n' "$1" >>"$work/done"
    ((SECONDS >= 2)) || return 0
    local count=0 sum=0 number
    while read -r number; do
        count=$((count + 1))
        sum=$((sum + number))
    done <"$work/done"
    printf '\r%s: %d of @tables@ tables, %d of @total@ rows (%d %%) ' "${0##*/}" "$count" "$sum" "$((sum * 100 / @total@))" >&2
}

dump_table() {
    if by_mydumper "$1" "$2"; then
        rows_of_mydumper "$@"
    else
        compressed dump_rows "$@"
    fi
    tell "$3"
}

dump() {
    compressed head_of_dump
    [[ $engine != mydumper ]] || run_mydumper
    if [[ $jobs == 1 ]]; then
        rows dump_table
    else
        rows_in_parallel
    fi
    rm -rf -- "$partial".part*
    compressed tail_of_dump
}

# Each worker goes through all tables and reads those that no other worker has taken.
rows_in_parallel() {
    local worker
    set -m # each worker is a process group, so that `leave` can end it with its mysqldump
    for ((worker = 0; worker < jobs; worker++)); do
        work_on_rows </dev/null &
        workers+=($!)
    done
    set +m
    for worker in "${workers[@]}"; do
        wait "$worker"
    done
    workers=()
    number=0
    rows join_part
    number=0
}

work_on_rows() {
    trap '[[ $? == 0 ]] || : >"$work/failed"' EXIT
    number=0
    rows take_part
}

take_part() {
    number=$((number + 1))
    [[ ! -e $work/failed ]] || exit 1
    if mkdir -- "$work/part$number" 2>/dev/null; then
        dump_table "$@" >"$partial.part$number"
    fi
}

join_part() {
    number=$((number + 1))
    cat -- "$partial.part$number"
    rm -f -- "$partial.part$number"
}

@mydumper@
# ---- Dump -------------------------------------------------------------------------------------------------------

[[ ! $skip && ! $accept ]] || fail "--skip-refused and --accept-other-values are options of restore.sh only."
[[ $jobs =~ ^[1-9][0-9]?$ ]] || fail "--jobs=$jobs: say how many tables to read at once, from 1 to 99."
[[ $engine == mysqldump ]] || check_mydumper
check_counts "The database has changed since the slice was made. Make the slice again. The differences:"
partial=$(made mktemp "$(dirname -- "$file")/.dj-sqlspy-partial-XXXXXXXX") # a name that `dj-sqlspy write` knows
dump >"$partial"
[[ ! -t 2 ]] || printf '\r\033[K' >&2
check_counts "The database changed while it was read. Run this script again, or make the slice again. The differences:"
cksum <"$partial" >"$partial.parts" # restore.sh is quicker with it, and takes a dump without it as well
chmod @mode@ -- "$partial" "$partial.parts"
mv -f -- "$partial.parts" "$file.cksum"
mv -f -- "$partial" "$file"
partial=
printf '%s\n' "$file: @summary@"
