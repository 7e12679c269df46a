#!/usr/bin/env bash
# @title@
#
# Reads the rows that are listed under "The slice", and no others, into dump.sql.gz beside this script. It only
# reads. The account needs only SELECT on these tables. Usage:
#
#     bash dump.sh --host=HOST --port=PORT --user=NAME -p
#     bash dump.sh --defaults-extra-file=FILE
#
# --file=FILE names the dump. --jobs=N reads N tables at once, with the same result; without it small slices are read by
# several jobs. --engine=mydumper is for very large slices: mydumper reads one table in several pieces at once. All other
# options are passed to mysql and mysqldump. The environment variables MYSQL, MYSQLDUMP and MYDUMPER name these programs
# if they are not on PATH.
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

# Rows: schema, table, number of rows, columns, order (empty: the primary key), and one or more conditions that together
# select the rows, each row once. A table that is not listed has no row in the slice. Tables with the same condition
# stand together. Columns are `*`, or written out where a table has FLOAT columns (the server prints those with six
# digits only, and times 1e0, a DOUBLE, with all), VECTOR columns or names with a backtick (which mydumper does not know,
# or quote), or columns whose contents are left out: NULL, DEFAULT(…) or a value stands in their place. In a word that
# begins with $' a quote is written as \'.@scratch@
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

# The sql_mode in which the rows are loaded.
loading=NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES

usage() {
    sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p;}' "$0"
}

check_options() {
    [[ ! $skip && ! $accept ]] || fail "--skip-refused and --accept-other-values are options of restore.sh only."
    # starting mysqldump takes most of the time of small tables; of large ones each job would keep a second copy
    if [[ $jobs == auto ]]; then
        jobs=1
        [[ $engine != mysqldump ]] || ((@total@ > 20000)) || jobs=4
    fi
    [[ $jobs =~ ^[1-9][0-9]?$ ]] || fail "--jobs=$jobs: say how many tables to read at once, from 1 to 99."
    [[ $engine == mysqldump || $engine == mydumper ]] ||
        fail "--engine=$engine: there are mysqldump, which is the default, and mydumper."
}

# ---- Counting ---------------------------------------------------------------------------------------------------

# Rows are compared as mysqldump reads them: time stamps in UTC, no sql_mode, and all in one snapshot. The first line of
# the answer is the server's version.
ask() {
    printf "SELECT VERSION();\nSET SESSION sql_mode = '', time_zone = '+00:00';\n"
    printf 'START TRANSACTION WITH CONSISTENT SNAPSHOT;\n'
    number=0
    rows count_sql
}

sum_sql=()
sum_then=()
take_sum() {
    sum_sql+=("$1")
    sum_then+=("$2")
}
sums take_sum

count_sql() { # schema, table, rows, columns, order, conditions
    local condition
    full_name "$1" "$2"
    shift 5
    for condition in "$@"; do
        printf 'SELECT %d, COUNT(*), COALESCE(SUM(%s), 0) FROM %s WHERE %s;\n' \
            "$number" "${sum_sql[number]}" "$REPLY" "$condition"
    done
    number=$((number + 1))
}

compare() { # of the table with this number: schema, table, rows
    local found=${counted[number]:-0}
    full_name "$1" "$2"
    if [[ $found != "$3" ]]; then
        printf '    %s: %s rows in the slice, %s now\n' "$REPLY" "$3" "$found"
    elif [[ ${summed[number]:-0} != "${sum_then[number]}" ]]; then
        printf '    %s: other values in its %s rows\n' "$REPLY" "$3"
    fi
    number=$((number + 1))
}

check_counts() { # of the server's answer; $1: what to say if they differ
    local table rows sum
    counted=()
    summed=()
    {
        read -r # the version
        while IFS=$'\t' read -r table rows sum; do
            counted[table]=$((${counted[table]:-0} + rows))
            summed[table]=$((${summed[table]:-0} + sum))
        done
    } <"$work/answer"
    number=0
    rows compare >"$work/differences"
    if [[ -s $work/differences ]]; then
        printf '%s\n' "$1" >&2
        cat -- "$work/differences" >&2
        exit 1
    fi
}

@client@
check_counts "The database has changed since the slice was made. Make the slice again. The differences:"

workers=() # process groups that run beside this one
before_leaving() {
    local worker
    for worker in ${workers[@]+"${workers[@]}"}; do
        kill -KILL -- "-$worker" 2>/dev/null || continue # mydumper would ask whether it is meant
        wait "$worker" 2>/dev/null || continue
    done
}

# ---- Which mysqldump, and its options -----------------------------------------------------------------------

programs=(mysqldump mariadb-dump)
[[ $flavor == MySQL ]] || programs=(mariadb-dump mysqldump)
[[ -z ${MYSQLDUMP:-} ]] || programs=("$MYSQLDUMP")
mysqldump=
made_by=
for program in "${programs[@]}"; do
    command -v -- "$program" >/dev/null || continue
    told=$("$program" --no-defaults --help)
    case ${told%%$'\n'*} in
        *MariaDB*) maker=MariaDB ;;
        *) maker=MySQL ;;
    esac
    if [[ -z $mysqldump || $maker == "$flavor" ]]; then
        mysqldump=$program made_by=$maker help=$told
    fi
    [[ $made_by != "$flavor" ]] || break
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
    --compact --max-allowed-packet=1G
)
[[ $help != *--set-gtid-purged* ]] || dump_options+=(--set-gtid-purged=OFF)
[[ $help != *--no-data-med* ]] || dump_options+=(--skip-no-data-med) # rows of MERGE tables, too
[[ $help != *--column-statistics* ]] || dump_options+=(--column-statistics=0)

# ---- Reading ----------------------------------------------------------------------------------------------------

# Run a command for each part of the dump. A part is what one mysqldump reads, or several for small tables: `part` has
# for each of them the number of tables, their names, the number of further words, and these: schema, columns, order,
# conditions. Small tables that stand together and have the same condition are read by one. `reads`, `tables` and `sum`
# are the numbers of mysqldumps (three at most, so that all jobs have some), tables and rows in the part.
each_part() { # command
    names=() common=() part=()
    total=0 reads=0 tables=0 sum=0
    rows gather "$1"
    put "$1"
    send "$1"
}

put() { # command: what was gathered becomes a piece of the part
    ((${#names[@]} > 0)) || return 0
    if [[ $engine != mysqldump ]] || ((sum + total > 2000 || reads == 3)); then
        send "$1"
    fi
    reads=$((reads + 1))
    part+=("${#names[@]}" "${names[@]}" "${#common[@]}" "${common[@]}")
    tables=$((tables + ${#names[@]}))
    sum=$((sum + total))
}

send() { # command
    ((${#part[@]} == 0)) || "$1"
    part=()
    reads=0 tables=0 sum=0
}

gather() { # command; schema, table, rows, columns, order, conditions
    local then=$1 schema=$2 table=$3 rows=$4
    shift 4
    if [[ $engine == mysqldump && $# == 3 && ${#common[@]} == 4 && $1 == '*' && ! $2 ]] &&
        [[ $schema == "${common[0]}" && $1 == "${common[1]}" && $2 == "${common[2]}" && $3 == "${common[3]}" ]] &&
        ((total + rows <= 2000)); then
        names+=("$table")
        total=$((total + rows))
    else
        put "$then"
        names=("$table")
        total=$rows
        common=("$schema" "$@")
    fi
}

# MariaDB's mysqldump begins with a line that MySQL's client refuses.
without_first_line() {
    local start line
    if IFS= read -rN 12 start; then
        if [[ $start == '/*M!999999\-' ]]; then
            IFS= read -r line
        else
            printf %s "$start"
        fi
        exec cat
    fi
    printf %s "$start"
}

dump_part() {
    local at=0 number
    while ((at < ${#part[@]})); do
        number=${part[at]}
        names=("${part[@]:at+1:number}")
        at=$((at + number + 1))
        number=${part[at]}
        dump_rows "${part[@]:at+1:number}"
        at=$((at + number + 1))
    done
}

dump_rows() { # schema, columns, order, conditions
    local schema=$1 columns=$2 order=$3 sort=() condition
    shift 3
    [[ $order ]] || sort=(--order-by-primary)
    quote "$schema" && printf '\nUSE %s;\n' "$REPLY"
    quote "${names[0]}"
    for condition in "$@"; do
        condition="$condition${order:+ ORDER BY $order}"
        if [[ $columns != '*' ]]; then # mysqldump has no option for columns, but takes a UNION (LIMIT keeps its order)
            condition="SELECT $columns FROM $REPLY WHERE $condition LIMIT 18446744073709551615"
            condition="FALSE UNION ALL ($condition)"
        fi
        set -- "${dump_options[@]}" ${sort[@]+"${sort[@]}"} --no-create-info --where="$condition" -- "$schema" "${names[@]}"
        if [[ $made_by == MySQL ]]; then
            client "$mysqldump" "$@"
        else
            client "$mysqldump" "$@" | without_first_line
        fi
    done
}

# Each part is compressed separately. Concatenated gzip files are a gzip file, so parts can be made at the same time.
# Level 1 takes less than half the time of the default, and most rows are blobs, which DataJoint has already compressed.
compressed() {
    "$@" | gzip -n -1
}

head_of_dump() {
    structure
    # restore.sh looks for the first line; with the second one, dates are taken as they are stored
    printf "%s\nSET SESSION sql_mode = '%s', time_zone = '+00:00', foreign_key_checks = 0, sql_notes = 0;\n" '-- Rows.' "$loading"
    [[ $made_by != MySQL ]] || printf 'SET SESSION unique_checks = 0;\n' # MySQL loads indexes sooner so
}

tail_of_dump() {
    [[ $made_by != MySQL ]] || printf '\nSET SESSION unique_checks = 1;\n'
    printf '\nSET SESSION sql_notes = 1;\n-- The slice ends here.\n' # a dump that was cut between two parts is no damaged gzip file
}

# One line on a terminal, after two seconds: how many tables and rows are done.
tell() { # tables and rows that are done
    [[ -t 2 ]] || return 0
    printf '%d %d\n' "$1" "$2" >>"$work/done"
    ((SECONDS >= 2)) || return 0
    local count=0 sum=0 tables rows
    while read -r tables rows; do
        count=$((count + tables))
        sum=$((sum + rows))
    done <"$work/done"
    printf '\r%s: %d of @tables@ tables, %d of @total@ rows (%d %%) ' "${0##*/}" "$count" "$sum" "$((sum * 100 / @total@))" >&2
}

write_part() {
    if by_mydumper "${part[3]}" "${part[1]}"; then
        rows_of_mydumper "${part[3]}" "${part[1]}" "$sum"
    else
        compressed dump_part
    fi
    tell "$tables" "$sum"
}

dump() {
    compressed head_of_dump
    [[ $engine != mydumper ]] || run_mydumper
    if [[ $jobs == 1 ]]; then
        each_part write_part
    else
        rows_in_parallel
    fi
    rm -rf -- "$partial".part*
    compressed tail_of_dump
}

# Each worker goes through all of this and reads what no other worker has taken.
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
    number=0 ready=()
    each_part join_part
    join_ready
}

work_on_rows() {
    trap '[[ $? == 0 ]] || : >"$work/failed"' EXIT
    number=0
    each_part take_part
}

take_part() {
    number=$((number + 1))
    [[ ! -e $work/failed ]] || exit 1
    if mine "$work/part$number"; then
        write_part >"$partial.part$number"
    fi
}

mine() { # a file that only the first who asks can make
    local answer=0
    set -o noclobber
    { : >"$1"; } 2>/dev/null || answer=1
    set +o noclobber
    return "$answer"
}

join_part() {
    number=$((number + 1))
    ready+=("$partial.part$number")
    if ((sum > 2000 || ${#ready[@]} == 100)); then
        join_ready
    fi
}

join_ready() {
    ((${#ready[@]} > 0)) || return 0
    cat -- "${ready[@]}"
    rm -f -- "${ready[@]}"
    ready=()
}

@mydumper@
# ---- Dump -------------------------------------------------------------------------------------------------------

[[ $engine == mysqldump ]] || check_mydumper
partial=$(made mktemp "$(dirname -- "$file")/.dj-sqlspy-partial-XXXXXXXX") # a name that `dj-sqlspy write` knows
dump >"$partial"
[[ ! -t 2 ]] || printf '\r\033[K' >&2
ask | query >"$work/answer"
check_counts "The database changed while it was read. Run this script again, or make the slice again. The differences:"
cksum <"$partial" >"$partial.parts" # restore.sh is quicker with it, and takes a dump without it as well
chmod @mode@ -- "$partial" "$partial.parts"
mv -f -- "$partial.parts" "$file.cksum"
mv -f -- "$partial" "$file"
partial=
printf '%s\n' "$file: @summary@"
