#!/usr/bin/env bash
# @title@
#
# Loads dump.sql.gz, which is beside this script, into a MySQL or MariaDB server, and checks what was loaded: the number
# of rows of every table, and that every foreign key finds its row. Usage:
#
#     bash restore.sh --host=HOST --port=PORT --user=NAME -p
#     bash restore.sh --defaults-extra-file=FILE
#
# --file=FILE loads another file. All other options are handed to mysql as they are. The environment variable MYSQL
# names this program where it is not to be found by itself.
#
# Nothing is loaded if the server holds a table of the slice already; no table that was there is ever changed.
# shellcheck disable=SC2016,SC1003 # names in backticks and backslashes are SQL's
set -euo pipefail
export LC_ALL=C
umask 077

# ---- The slice ----------------------------------------------------------------------------------------------

# Tables: schema, table, number of rows.
tables() {
@tables@
}

# Views: schema, view.
views() {
@views@
}

# Foreign keys: table, name, table that it refers to, and the rows of the first that find none in the second.
foreign_keys() {
@foreign_keys@
}

# Generated columns of a dump from MariaDB: schema, table, column, how MySQL gets it, what MySQL must understand for it.
generated_columns() {
@generated@
}

# Collations of the columns.
collations='@collations@'
# Columns that only MariaDB can load.
only_mariadb=@only_mariadb@

usage() {
    sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p;}' "$0"
}

@client@
# ---- What is checked before -----------------------------------------------------------------------------------

[[ $jobs == 1 && $engine == mysqldump ]] || fail "--jobs and --engine are options of dump.sh only."
[[ -r $file ]] || fail "there is no $file. Make it with dump.sh, or name it: --file=FILE"
same_bytes() { # as dump.sh has written
    [[ -r $file.cksum && $(cksum <"$file") == "$(<"$file.cksum")" ]]
}
is_whole() {
    local last
    last=$(gzip -dc -- "$file" | tail -n 1) && [[ $last == '-- The slice ends here.' ]]
}
same_bytes || is_whole || fail "$file is damaged. Copy or make it again."

literal() { # a name as an SQL string (under sql_mode NO_BACKSLASH_ESCAPES)
    local tick="'"
    printf "'%s'" "${1//$tick/$tick$tick}"
}

by_name() { # SQL on standard input that holds literals
    { printf "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';\n" && cat; } | query
}

before= # what SQL puts before a name
name_sql="'\`', REPLACE(table_schema, '\`', '\`\`'), '\`.\`', REPLACE(table_name, '\`', '\`\`'), '\`'"
present_sql() { # schema, table
    printf 'SELECT CONCAT(%s) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s;\n' \
        "$before$name_sql" "$(literal "$1")" "$(literal "$2")"
}

present() { # the tables and views of the slice that are on the server
    { tables present_sql && views present_sql; } | by_name
}

absent_schema_sql() {
    printf 'SELECT CONCAT(%s) FROM DUAL WHERE NOT EXISTS (%s WHERE schema_name = %s);\n' \
        "$(literal "$(quoted "$1")")" 'SELECT 1 FROM information_schema.schemata' "$(literal "$1")"
}

present >"$work/present"
if [[ -s $work/present ]]; then
    printf '%s\n' "${0##*/}: the server already holds these tables of the slice:" >&2
    sed 's/^/    /' "$work/present" >&2
    fail "nothing was loaded or changed. Load into another server, or remove these tables first."
fi
tables absent_schema_sql | by_name | sort -u >"$work/new_schemas"

# ---- Between MySQL and MariaDB ----------------------------------------------------------------------------------

if [[ $flavor == MySQL && $only_mariadb ]]; then
    fail "MySQL cannot load these columns of a dump from MariaDB, so load into a MariaDB server: $only_mariadb"
fi

not_understood() { # schema, table, column, change, probe
    printf '%s;\n' "$5" | query >/dev/null 2>&1 || printf '    %s.%s %s\n' "$(quoted "$1")" "$(quoted "$2")" "$3"
}

# MariaDB's dumps hold values for generated columns, which MySQL refuses: they are plain while they are loaded. MariaDB
# garbles a text in such a column whose character set MySQL has put before it.
: >"$work/plain"
[[ $flavor == MySQL ]] || printf '%s\n' "/^  .* GENERATED ALWAYS AS /s/_utf8mb4'/'/g" >"$work/plain"
if [[ $flavor == MySQL && $(generated_columns echo) ]]; then
    generated_columns not_understood >"$work/strange"
    if [[ -s $work/strange ]]; then
        printf '%s\n' "${0##*/}: MySQL does not understand how MariaDB generates these columns:" >&2
        cat -- "$work/strange" >&2
        fail "nothing was loaded. Load into a MariaDB server."
    fi
    plain='  `([^`]|``)+` [a-z]+(\([0-9,]+\))?[a-z ]*( CHARACTER SET [a-z0-9_]+)?( COLLATE [a-z0-9_]+)?'
    printf '%s\n' "s/^($plain) GENERATED ALWAYS AS .*[^,](,?)\$/\\1\\6/" >"$work/plain"
fi

change_sql() { # schema, table, column, change
    printf 'ALTER TABLE %s.%s %s;\n' "$(quoted "$1")" "$(quoted "$2")" "$4"
}

generate() {
    [[ $flavor == MySQL && -s $work/plain ]] || return 0
    { printf "SET SESSION sql_mode = '', FOREIGN_KEY_CHECKS = 0;\n" && generated_columns change_sql; } |
        sed -E -f "$work/translation" | query
}

knows_collation() {
    printf "SELECT CONVERT('' USING %s) COLLATE %s;\n" "${1%%_*}" "$1" | query >/dev/null 2>&1
}

: >"$work/translation"
for collation in $collations; do
    if [[ $collation == binary ]] || knows_collation "$collation"; then continue; fi
    case $flavor:$collation in # the nearest that the server has: same strength, same padding
        MariaDB:utf8mb4_0900_ai_ci) near=utf8mb4_unicode_520_nopad_ci ;;
        MariaDB:utf8mb4_0900_bin) near=utf8mb4_nopad_bin ;;
        MariaDB:utf8mb4_0900_as_ci) near=utf8mb4_uca1400_nopad_as_ci ;;
        MariaDB:utf8mb4_0900_as_cs) near=utf8mb4_uca1400_nopad_as_cs ;;
        MySQL:utf8mb4_uca1400_ai_ci | MySQL:utf8mb4_*_nopad_ci) near=utf8mb4_0900_ai_ci ;;
        MySQL:utf8mb4_uca1400_as_ci) near=utf8mb4_0900_as_ci ;;
        MySQL:utf8mb4_uca1400_as_cs) near=utf8mb4_0900_as_cs ;;
        MySQL:utf8mb4_nopad_bin) near=utf8mb4_0900_bin ;;
        *) near= ;;
    esac
    if [[ -z $near ]] || ! knows_collation "$near"; then
        fail "this server ($version) has neither the collation $collation nor one like it. Nothing was loaded."
    fi
    printf '%s\n' "${0##*/}: this server ($version) has no $collation; text gets $near" >&2
    printf '/^(  `|\\) ENGINE=|CREATE |SET collation)/s/%s/%s/g\n' "$collation" "$near" >>"$work/translation" # not in rows
done

translate() {
    if [[ -s $work/translation || -s $work/plain ]]; then sed -E -f "$work/plain" -f "$work/translation"; else cat; fi
}

# ---- Load -------------------------------------------------------------------------------------------------------

# Every part of the dump turns foreign key checks off for itself, so that cycles and rows that refer to later ones load.
load() {
    gzip -dc -- "$file" | translate |
        client "$mysql" --batch --binary-mode --local-infile=0 --max-allowed-packet=1G
}

explain() {
    {
        printf '\n%s\n' "${0##*/}: the load stopped half-way; what the client says is above."
        printf '%s\n' '"Got a packet bigger" or "server has gone away" mean that a row is larger than the server takes:' \
            'set its max_allowed_packet to 1G. Tables that were there before have not been changed.'
        before="IF(table_type = 'VIEW', 'DROP VIEW ', 'DROP TABLE '), "
        if present >"$work/present" 2>/dev/null; then
            printf '%s\n' 'To try again, first remove what was loaded:'
            printf '    SET FOREIGN_KEY_CHECKS = 0;\n'
            sed -e 's/^/    /' -e 's/$/;/' "$work/present"
            sed -e 's/^/    DROP DATABASE IF EXISTS /' -e 's/$/;/' "$work/new_schemas"
        else
            printf '%s\n' 'The server does not answer now, so what was loaded cannot be told.'
        fi
    } >&2
    exit 1
}

load || explain
generate || explain

# ---- What is checked after --------------------------------------------------------------------------------------

rows_sql() { # schema, table, rows
    local name
    name=$(quoted "$1").$(quoted "$2")
    printf 'SELECT CONCAT(%s, COUNT(*), %s) FROM %s HAVING COUNT(*) <> %d;\n' \
        "$(literal "$name: ")" "$(literal " rows instead of $3")" "$name" "$3"
}

orphans_sql() { # table, foreign key, table it refers to, rows
    printf 'SELECT CONCAT(%s, COUNT(*), %s) FROM %s HAVING COUNT(*) <> 0;\n' \
        "$(literal "$1: ")" "$(literal " rows whose foreign key $2 finds no row in $3")" "$4"
}

{ tables rows_sql && foreign_keys orphans_sql; } | by_name >"$work/faults"
if [[ -s $work/faults ]]; then
    printf '%s\n' "${0##*/}: loaded, but not as it should be:" >&2
    sed 's/^/    /' "$work/faults" >&2
    exit 1
fi
printf '%s\n' "Loaded: @summary@. All rows are there, and every foreign key finds its row."
