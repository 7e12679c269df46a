#!/usr/bin/env bash
# @title@
#
# Loads dump.sql.gz, which is beside this script, into a MySQL or MariaDB server, and checks it: the number of rows of
# every table, and that every foreign key has its row. Usage:
#
#     bash restore.sh --host=HOST --port=PORT --user=NAME -p
#     bash restore.sh --defaults-extra-file=FILE
#
# --file=FILE loads another file. --skip-refused loads all but the views and functions that this server refuses, such as
# those that call a function of the source's kind of server. --accept-other-values loads also if this server computes
# other values than the source (generated columns, coordinates on the globe), and says which. All other options are
# passed to mysql. The environment variable MYSQL names this program if it is not on PATH.
#
# First it checks that the server can load all of the dump, that the account may, and that no table, view or function of
# the slice is there. If not, or if the load fails later, nothing of the dump stays. What was there is never changed.
# shellcheck disable=SC2016,SC1003 # names in backticks and backslashes are SQL's
[ -n "${BASH_VERSION-}" ] || { echo "$0: run me with bash: bash $0" >&2; exit 2; }
set -euo pipefail
export LC_ALL=C
umask 077

# ---- The slice ----------------------------------------------------------------------------------------------

# Tables: schema, table, number of rows.
tables() {
@tables@
}

# Schemas of these, and of views and sequences.
schemas() {
@schemas@
}

# Views and sequences: schema, name.
views() {
@views@
}

# Functions: schema, name, and whether they are deterministic and read data.
functions() {
@functions@
}

# What views and functions need: each with the views and functions that it reads or calls.
needs() {
@needs@
}

# Foreign keys: table, name, parent table, and the rows of the table without a parent.
foreign_keys() {
@foreign_keys@
}

# Generated columns: table, then for each column its name, the checksum of a value as SQL, and the sum in the source.
computed() {
@computed@
}

# For each kind of server: what it must support, a query that then returns a row (none: it never does), and the view or
# function that --skip-refused leaves out without it; values that are other ones there, unless a query returns a row;
# collations and their replacements, the best first; what is changed or left out.
@demands@

# The dump's own tables are those of a @source@. For a @other@ they are these.
structure_of_@other@() {
    cat <<'-- Rows.'
@structure@
-- Rows.
}

# Statements to run there after the rows are loaded.
finish_of_@other@() {
    cat <<'-- Finished.'
@finish@
-- Finished.
}

usage() {
    sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p;}' "$0"
}

check_options() {
    [[ $jobs == auto && $engine == mysqldump ]] || fail "--jobs and --engine are options of dump.sh only."
}

ask() { # the first line of the answer is the server's version
    printf 'SELECT VERSION();\n'
}

@client@
# ---- What is checked before -----------------------------------------------------------------------------------

[[ -r $file ]] || fail "there is no $file. Make it with dump.sh, or name it: --file=FILE"
same_bytes() { # as dump.sh has written
    [[ -r $file.cksum && $(cksum <"$file") == "$(<"$file.cksum")" ]]
}
is_whole() {
    local last
    last=$(gzip -dc -- "$file" | tail -c 25) && [[ $last == $'\n-- The slice ends here.' ]]
}
same_bytes || is_whole || fail "$file is damaged. Copy or make it again."

literal() { # a name as an SQL string, into REPLY
    local tick="'" escape='\' text
    text=${1//"$escape"/"$escape$escape"}
    REPLY=$tick${text//$tick/$tick$tick}$tick
}

called() { # literals of a schema and of what it has, into `schema` and `name`
    literal "$1" && schema=$REPLY
    literal "$2" && name=$REPLY
}

# SQL with literals on standard input. Without backslashes as escapes, MySQL could not open tables with some generated
# columns.
by_name() { # options of the client
    { printf "SET SESSION sql_mode = '';\n" && cat; } | query "$@"
}

name_sql="'\`', REPLACE(table_schema, '\`', '\`\`'), '\`.\`', REPLACE(table_name, '\`', '\`\`'), '\`'"
present_sql() { # schema, table
    local schema name
    called "$1" "$2"
    printf 'SELECT CONCAT(%s) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s;\n' \
        "$name_sql" "$schema" "$name"
}

present_function_sql() { # schema, function
    local schema name
    called "$1" "$2"
    full_name "$1" "$2" && literal "the function $REPLY"
    printf "SELECT %s FROM information_schema.routines
        WHERE routine_type = 'FUNCTION' AND routine_schema = %s AND routine_name = %s;\n" "$REPLY" "$schema" "$name"
}

present() { # what the slice makes and the server already has
    { tables present_sql && views present_sql && functions present_function_sql; } | by_name
}

schema_sql() { # schema
    literal "$1"
    printf 'SELECT %d FROM information_schema.schemata WHERE schema_name = %s;\n' "$number" "$REPLY"
    number=$((number + 1))
}

absent_schema() { # schema
    [[ ${there[number]-} ]] || printf '%s\n' "$1"
    number=$((number + 1))
}

present >"$work/present"
if [[ -s $work/present ]]; then
    printf '%s\n' "${0##*/}: the server already holds these parts of the slice:" >&2
    sed 's/^/    /' "$work/present" >&2
    fail "nothing was loaded or changed. Load into another server, or remove them first."
fi
number=0
schemas schema_sql | by_name >"$work/schemas"
there=()
while read -r number; do
    there[number]=yes
done <"$work/schemas"
number=0
schemas absent_schema >"$work/new_schemas"

check_demand() { # what, query, view or function
    local missing=
    if [[ $2 ]]; then # in a schema, or a MySQL would not name the function that it does not have
        { printf 'USE information_schema;\n%s;\n' "$2" | sed -E -f "$work/adapt" | by_name >"$work/answer" 2>"$work/said"; } ||
            missing=$(sed -n 's/^ERROR 1305 .*: \(FUNCTION \)information_schema\.\(.*\)/ (\1\2)/p' "$work/said")
        [[ ! -s $work/answer ]] || return 0
        # it takes no functions where it was asked, and says so of those that it understands
        [[ $2 != *$'\nCREATE '* ]] || ! grep -q '^ERROR 1044 ' -- "$work/said" || return 0
    fi
    if [[ ${3-} ]]; then
        refused+=$3$'\n'
        printf '%s%s\n' "$1" "$missing" >>"$work/left_out"
    else
        printf '%s%s\n' "$1" "$missing"
    fi
}

is_refused() { # view or function
    [[ $refused == *$'\n'"$1"$'\n'* ]]
}

check_needs() { # view or function, what it reads or calls
    local thing=$1 other
    shift
    for other in "$@"; do
        if is_refused "$other" && ! is_refused "$thing"; then
            refused+=$thing$'\n'
            printf '%s, which needs %s\n' "$thing" "$other" >>"$work/left_out"
        fi
    done
}

# The first of a collation and its replacements that the server has.
choose_collation() {
    local collation=$1 name found
    shift
    for name in "$@"; do
        found=$(printf "SELECT CONVERT('' USING %s) COLLATE %s IS NULL;\n" "${name%%_*}" "$name" | query 2>/dev/null) || continue
        [[ $found ]] || continue
        [[ $name == "$collation" ]] || printf '%s %s\n' "$collation" "$name" >>"$work/collations"
        return
    done
    printf 'the collation %s, or one that finds the same texts equal\n' "$collation"
}

: >"$work/collations"
"collations_of_$flavor" choose_collation >"$work/other_collations"
# The names of collations become others wherever they stand in what creates tables and views, or asks about them.
while read -r collation name; do
    printf 's/(^|[^a-z0-9_])%s([^a-z0-9_]|$)/\\1%s\\2/g\n' "$collation" "$name"
done <"$work/collations" >"$work/adapt"
refused=$'\n' # views and functions, a line each
: >"$work/left_out"
"demands_of_$flavor" check_demand >"$work/missing"
cat -- "$work/other_collations" >>"$work/missing"
needs check_needs
without=
if [[ -s $work/left_out && ! $skip ]]; then
    cat -- "$work/left_out" >>"$work/missing"
    without=", or without these views and functions: --skip-refused"
fi
if [[ -s $work/missing ]]; then
    printf '%s\n' "${0##*/}: this server ($flavor $version) has not all that the dump asks for:" >&2
    sed 's/^/    /' "$work/missing" >&2
    fail "nothing was loaded or changed. Load into a server like the source: @version_of_source@$without"
fi

# Statements that the account may send only if it may load the slice. None of them can do anything: a column is there
# twice, a table becomes itself, no row is selected, a comment is too long.
rights_sql() { # schema
    local schema table=asked word refers= makes_views= makes_functions=
    quote "$1" && schema=$REPLY
    own_table() { [[ $1 != "$word" || $table != asked ]] || table=$2; }
    own_parent() { [[ $3 != "$schema".* ]] || refers=yes; }
    own_view() { [[ $1 != "$word" ]] || makes_views=yes; }
    own_function() { # as its text says, or a server that writes a log of changes would refuse it
        [[ $1 == "$word" ]] || return 0
        makes_functions=yes
        quote "$2"
        printf "CREATE FUNCTION %s.%s() RETURNS INT %s COMMENT '%65536s' RETURN 1;\n" "$schema" "$REPLY" "$3" ''
    }
    word=$1
    tables own_table
    foreign_keys own_parent
    views own_view
    full_name "$1" "$table" && table=$REPLY
    printf "SET SESSION FOREIGN_KEY_CHECKS = 0, sql_mode = 'STRICT_ALL_TABLES';\n"
    printf 'CREATE TABLE %s (a INT, a INT);\n' "$table"
    [[ ! $refers ]] || printf 'CREATE TABLE %s (a INT, a INT, FOREIGN KEY (a) REFERENCES %s (a));\n' "$table" "$table"
    printf 'RENAME TABLE %s TO %s;\n' "$table" "$table"
    printf 'SELECT 1 FROM %s WHERE FALSE;\nINSERT INTO %s SELECT 1 FROM %s WHERE FALSE;\n' "$table" "$table" "$table"
    [[ ! $makes_views ]] || printf 'CREATE VIEW %s AS SELECT 1 AS a, 1 AS a;\n' "$table"
    functions own_function
    # in a schema that is not there yet, MariaDB would not say it itself
    if [[ $flavor == MariaDB && $makes_functions && $'\n'$(<"$work/new_schemas")$'\n' == *$'\n'"$1"$'\n'* ]]; then
        printf '%s;\n' "$log_sql"
    fi
}
log_sql="SELECT 'no SUPER privilege, the server writes a log of changes, and log_bin_trust_function_creators is OFF'
    FROM DUAL WHERE @@log_bin AND NOT @@log_bin_trust_function_creators AND CURRENT_ROLE() IS NULL AND NOT EXISTS
    (SELECT 1 FROM information_schema.user_privileges WHERE privilege_type = 'SUPER'
    AND REPLACE(grantee, '\'', '') = CURRENT_USER())"

rights_of_schema() { # schema: what asks for them, after its name
    quote "$1" && literal "in $REPLY"
    printf 'SELECT %s;\n' "$REPLY"
    rights_sql "$1"
}

# Of the errors, those that say what the account may not, or that nobody may write.
denied='s/^ERROR (1044|1142|1227|1290|1418|1419|1836) \([^)]*\) at line [0-9]+: /denied /p; s/^no SUPER/denied &/p'
# ALTER is asked with DROP. It is needed only where columns become generated after the load.
without_alter='/^denied ALTER command/d; s/, ALTER command/ command/'
[[ $flavor == @source@ || ! $(finish_of_@other@) ]] || without_alter=
# one client for all schemas, which prints errors where they belong among the answers
schemas rights_of_schema | by_name --force --unbuffered >"$work/answer" 2>&1 || true
sed -nE "/^in /p; $denied" "$work/answer" | sed -E "$without_alter" | while IFS= read -r line; do
    if [[ $line == 'in '* ]]; then
        name=${line#in }
    else
        printf '%s: %s\n' "$name" "${line#denied }"
    fi
done | sort -u >"$work/denied"
if [[ -s $work/denied ]]; then
    printf '%s\n' "${0##*/}: this account may not load the dump into this server:" >&2
    sed 's/^/    /' "$work/denied" >&2
    fail "nothing was loaded or changed. Use an account with these rights, or another server."
fi

: >"$work/other_values"
check_value() { # what, query
    [[ $2 && $(printf '%s;\n' "$2" | by_name 2>/dev/null) ]] || printf '%s\n' "$1" >>"$work/other_values"
}
"values_of_$flavor" check_value
if [[ -s $work/other_values && ! $accept ]]; then
    printf '%s\n' "${0##*/}: this server ($flavor $version) computes other values than the source:" >&2
    sed 's/^/    /' "$work/other_values" >&2
    fail "nothing was loaded or changed. Load into a server like the source: @version_of_source@, or with what this
one computes: --accept-other-values"
fi
{
    "notes_of_$flavor" printf '%s\n'
    cat -- "$work/other_values"
    sed 's/^/left out: /' "$work/left_out"
    while read -r collation name; do
        printf 'the collation %s becomes %s\n' "$collation" "$name"
    done <"$work/collations"
} >"$work/notes"
if [[ -s $work/notes ]]; then
    printf '%s\n' "${0##*/}: what is not as in the source:" >&2
    sed 's/^/    /' "$work/notes" >&2
fi

# ---- Load -------------------------------------------------------------------------------------------------------

# The client prints what it has created.
printf '%s\n' "s/^-- (begin|made) ('.*'|_utf8mb4 X'[0-9A-F]*')\$/SELECT CONCAT('\\1 ', \\2);/" >>"$work/adapt"

structure_of_dump() { # the lines up to the rows
    local line
    while IFS= read -r line && [[ $line != '-- Rows.' ]]; do
        printf '%s\n' "$line"
    done
}

without_refused() { # the structure on standard input, without the views and functions that the server refuses
    local line skipping=
    while IFS= read -r line; do
        [[ $line != '-- begin '* ]] || ! is_refused "${line#-- begin }" || skipping=yes
        [[ $skipping ]] || printf '%s\n' "$line"
        [[ $line != '-- made '* ]] || skipping=
    done
}

# Every part of the dump turns foreign key checks off, so that cycles and references to later rows load.
statements() {
    gzip -dc -- "$file" | {
        if [[ $flavor == @source@ ]]; then
            structure_of_dump | without_refused | sed -E -f "$work/adapt"
            cat
        else
            structure_of_dump >/dev/null
            structure_of_@other@ | without_refused | sed -E -f "$work/adapt"
            cat
            finish_of_@other@ | sed -E -f "$work/adapt"
        fi
    }
}

load() {
    local status=0
    statements | query --unbuffered --local-infile=0 >"$work/made" 2>"$work/said" || status=$?
    sed 's/^\(.\{500\}\).*/\1/' "$work/said" >&2 # a client may repeat a whole statement
    return "$status"
}

# Remove what was created and nothing else: what the client has printed, and new schemas that are empty.
undo_sql() {
    local word thing last=
    printf 'SET SESSION FOREIGN_KEY_CHECKS = 0;\n'
    while read -r word thing; do
        printf -v thing %b "$thing" # the client has escaped newlines and backslashes
        case $word in
            begin) last=$thing ;;
            made) last= && printf 'DROP %s;\n' "$thing" ;;
        esac
    done <"$work/made"
    # what the client was creating when it was stopped
    [[ ! $last || $stopped -lt 128 ]] || printf 'DROP %s IF EXISTS %s;\n' "${last%% *}" "${last#* }"
}

empty_schema_sql() { # schemas, one a line
    local schema name
    while IFS= read -r schema; do
        quote "$schema" && called "$schema" "$REPLY"
        printf "SELECT CONCAT('DROP DATABASE ', %s, ';') FROM information_schema.schemata WHERE schema_name = %s AND NOT EXISTS
            (SELECT 1 FROM information_schema.tables WHERE table_schema = schema_name);\n" \
            "$name" "$schema"
    done
}

undo() {
    undo_sql | query && empty_schema_sql <"$work/new_schemas" | by_name --raw | query
}

stopped=0
loading=
give_up() { # why
    to_the_end
    printf '\n%s: %s\n' "${0##*/}" "$1" >&2
    if undo; then
        printf '%s\n' 'What was loaded has been removed again; what was there before has not been changed.' >&2
    else
        printf '%s\n' 'What was loaded could not be removed. To try again, first remove it:' >&2
        { undo_sql && sed 's/`/``/g; s/.*/DROP DATABASE IF EXISTS `&`;/' "$work/new_schemas"; } | sed 's/^/    /' >&2
    fi
    loading=
}

before_leaving() { # status
    if [[ $loading ]]; then
        stopped=$1
        give_up "stopped while it was loading."
    fi
}

loading=yes
load || stopped=$?
if [[ $stopped != 0 ]]; then
    thing=$(sed -n '$s/^begin //p' "$work/made")
    give_up "the load failed${thing:+ at $thing}; what the client says is above.
\"Got a packet bigger\" or \"server has gone away\" mean that a row is larger than the server takes: set its
max_allowed_packet to 1G."
    exit 1
fi

# ---- What is checked after --------------------------------------------------------------------------------------

rows_sql() { # schema, table, rows
    local table note
    full_name "$1" "$2" && table=$REPLY
    literal " rows instead of $3" && note=$REPLY
    literal "$table: "
    printf 'SELECT CONCAT(%s, COUNT(*), %s) FROM %s HAVING COUNT(*) <> %d;\n' "$REPLY" "$note" "$table" "$3"
}

orphans_sql() { # table, foreign key, table it refers to, rows
    local note
    literal " rows whose foreign key $2 finds no row in $3" && note=$REPLY
    literal "$1: "
    printf 'SELECT CONCAT(%s, COUNT(*), %s) FROM %s HAVING COUNT(*) <> 0;\n' "$REPLY" "$note" "$4"
}

{ tables rows_sql && foreign_keys orphans_sql; } | by_name >"$work/faults"
if [[ -s $work/faults ]]; then
    sed 's/^/    /' "$work/faults" >&2
    give_up "loaded, but not as it should be; what is wrong is above."
    exit 1
fi

computed_sql() { # table, then for each generated column: name, the checksum of a value as SQL, the sum in the source
    local table=$1 sql=
    shift
    while (($#)); do
        literal "$table $1"
        sql+="${sql:+, }IF(COALESCE(SUM($2), 0) = $3, NULL, $REPLY)"
        shift 3
    done
    printf 'SELECT %s FROM %s;\n' "$sql" "$table"
}

{ printf "SET SESSION time_zone = '+00:00';\n" && computed computed_sql; } | by_name | sed $'s/\t/\\\n/g' |
    sed '/^NULL$/d; s/$/: generated, with other values on this server than in the source/' >"$work/computed"
if [[ -s $work/computed ]]; then
    sed 's/^/    /' "$work/computed" >&2
    if [[ ! $accept ]]; then
        give_up "loaded, but this server ($flavor $version) computes other values; what is wrong is above.
Load into a server like the source: @version_of_source@, or with what this one computes: --accept-other-values"
        exit 1
    fi
fi
loading=
printf '%s\n' "Loaded: @summary@. All rows are there, and every foreign key finds its row."
sed 's/^/Left out: /' "$work/left_out"
sed 's/^/Other values: /' "$work/computed"
