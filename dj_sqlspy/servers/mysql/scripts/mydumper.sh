# ---- mydumper, where --engine=mydumper asks for it --------------------------------------------------------------

# mydumper reads the tables with a single condition, each in several pieces; mysqldump reads the others. Its files of
# rows become the table's part of the dump, which restore.sh loads like any other.
check_mydumper() {
    local told help words get="Install mydumper 1.0 or later, or name it: MYDUMPER=/path/to/mydumper"
    mydumper=${MYDUMPER:-mydumper}
    command -v -- "$mydumper" >/dev/null || fail "found no $mydumper. $get"
    told=$("$mydumper" --version)
    [[ $told =~ ^mydumper\ v?([0-9]+)\. && ${BASH_REMATCH[1]} -ge 1 ]] ||
        fail "$mydumper (${told%%,*}) is not mydumper 1.0: older ones cannot restrict rows, or fail now and then. $get"
    encrypted=$(printf "SHOW SESSION STATUS LIKE 'Ssl_cipher';\n" | query)
    encrypted=${encrypted#*$'\t'}
    explains=$(printf "SHOW VARIABLES LIKE 'explain_format';\n" | query)
    words="$("$mysql" ${first[@]+"${first[@]}"} --print-defaults) ${options[*]-}"
    help=$(client "$mysql" --help)
    if [[ $encrypted && (${words^^} == *SSL-MODE*VERIFY* || $help =~ ssl-verify-server-cert\ +TRUE) ]]; then
        fail "the server's certificate is to be verified, which cannot be handed on to mydumper. Leave out" \
            "--engine=mydumper, or do not ask for it: --skip-ssl-verify-server-cert (MariaDB's client)," \
            "--ssl-mode=REQUIRED (MySQL's)"
    fi
}

# mydumper takes the login from an option file only, and knows few of mysql's options.
mydumper_login() {
    local option given files=(/etc/my.cnf /etc/mysql/my.cnf "$HOME/.my.cnf") name=
    for option in ${first[@]+"${first[@]}"}; do
        given=${option#*=}
        [[ $given == /* ]] || given=$PWD/$given
        case $option in
            --defaults-file=*) files=("$given") ;;
            --defaults-extra-file=*) files+=("$given") ;;
            --no-defaults) files=() ;;
            *) fail "mydumper does not know $option. Put the address and account into a file: --defaults-file=FILE" ;;
        esac
    done
    printf '[client]\n'
    for given in ${files[@]+"${files[@]}"}; do
        [[ ! -r $given ]] || printf '!include %s\n' "$given"
    done
    printf '[client]\n' # the last value counts
    for option in ${options[@]+"${options[@]}"}; do
        if [[ $name ]]; then
            printf '%s=%s\n' "$name" "$(option_value "$option")"
            name=
            continue
        fi
        case $option in
            --host=* | --port=* | --user=* | --socket=* | --protocol=*)
                option=${option#--}
                printf '%s=%s\n' "${option%%=*}" "$(option_value "${option#*=}")" ;;
            -h | --host) name=host ;;
            -P | --port) name=port ;;
            -u | --user) name=user ;;
            -S | --socket) name=socket ;;
            -h*) printf 'host=%s\n' "$(option_value "${option#-h}")" ;;
            -P*) printf 'port=%s\n' "$(option_value "${option#-P}")" ;;
            -u*) printf 'user=%s\n' "$(option_value "${option#-u}")" ;;
            -S*) printf 'socket=%s\n' "$(option_value "${option#-S}")" ;;
            --skip-ssl | --ssl-mode=DISABLED | --ssl-mode=PREFERRED | --ssl-mode=REQUIRED | --ssl) ;;
            *) fail "mydumper does not know $option. Put it into the [client] section of a file: --defaults-file=FILE" ;;
        esac
    done
}

# A piece has 100 values of the first key column at first, and grows while one takes less than a second. Files of tables
# with unusual names are named mydumper_N.
mydumper_table() { # schema, table, rows, columns, key, conditions
    [[ $# == 6 && $4 == '*' && $1 != *[^A-Za-z0-9_-]* && $2 != *[^A-Za-z0-9_#~-]* && $2 != mydumper_* ]] || return 0
    [[ $6 != *[[:cntrl:]]* ]] || return 0
    printf '[`%s`.`%s`]\nwhere=(%s)\n' "$1" "$2" "$6" >&3
    printf 'rows=1:100:0\n' >&3
    printf '%s%s.%s' "$comma" "$1" "$2"
    comma=,
}

# mydumper ignores the exit code of a compressor, and waits forever for one that has ended.
compress_part() {
    gzip -n -1 || kill -KILL "$PPID"
}

# Text is read and written as the server's bytes, but conditions are UTF-8. mydumper understands only the traditional
# table of EXPLAIN, and cannot read the version of a MySQL that is not Oracle's build.
run_mydumper() {
    local comma='' tables threads=$((jobs > 2 ? jobs : 2)) served line name=
    {
        printf '[mydumper_session_variables]\n%s\n' "SQL_MODE=''"
        printf '%s=utf8mb4\n' character_set_client character_set_connection
        [[ ! $explains ]] || printf "explain_format='TRADITIONAL'\n"
    } >"$work/tables.cnf"
    tables=$(rows mydumper_table 3>>"$work/tables.cnf")
    [[ $tables ]] || return 0
    ((${#tables} < 131000)) || fail "--engine=mydumper: there are too many tables. Leave it out."
    printf '%s' "$tables" | tr , '\n' >"$work/asked"
    mydumper_login >"$work/mydumper.cnf"
    export -f compress_part
    served=$flavor-${version%%[!0-9.]*}
    parts=$partial.part0
    set -m # a process group, which `leave` can end
    "$mydumper" --defaults-file="$work/mydumper.cnf" --defaults-extra-file="$work/tables.cnf" --tables-list="$tables" \
        --outputdir="$parts" --threads="$threads" --server-version="$served" ${encrypted:+--ssl-mode=REQUIRED} \
        --no-schemas --complete-insert --sync-thread-lock-mode=NO_LOCK --skip-ddl-locks --ignore-errors=1227 \
        --exec-per-thread="bash -c compress_part" --exec-per-thread-extension=.gz \
        </dev/null >"$work/mydumper.log" 2>&1 &
    workers=($!)
    set +m
    wait_for_mydumper ||
        { cat -- "$work/mydumper.log" >&2 && fail "mydumper failed; what it says is above."; }
    workers=()
    while IFS= read -r line; do # it tells of each table the name of its files, its own, and how many rows were read
        case $line in
            '[`'*'`.`'*'`]') name=${line#'[`'} && name=${name%'`]'} && name="${name%%'`'*} ${name##*'`'}" ;;
            real_table_name=*) name="$name ${line#*=}" ;;
            'rows = '*) printf '%s %s\n' "$name" "${line#*= }" ;;
        esac
    done <"$parts/metadata" >"$work/by_mydumper"
}

wait_for_mydumper() {
    local size
    while [[ -t 2 ]] && kill -0 "${workers[0]}" 2>/dev/null; do
        sleep 1
        size=$(du -sk -- "$parts" 2>/dev/null) || continue
        printf '\r%s: mydumper, %d MB written ' "${0##*/}" "$((${size%%[!0-9]*} / 1024))" >&2
    done
    wait "${workers[0]}"
}

by_mydumper() { # schema, table: whether mydumper was asked for its rows
    [[ -e $work/asked ]] && grep -qxF -e "$1.$2" -- "$work/asked"
}

rows_of_mydumper() { # schema, table, rows
    local schema file table rows
    while read -r schema file table rows; do
        [[ $schema == "$1" && $table == "$2" ]] || continue
        full_name "$1" "$2"
        [[ $rows == "$3" ]] || fail "mydumper read $rows rows of $REPLY, and there are $3 in the slice." \
            "Make the dump without --engine=mydumper."
        quote "$1" && compressed printf '\nUSE %s;\n' "$REPLY"
        cat -- "$parts/$schema.$file".[0-9]*.sql.gz
        rm -f -- "$parts/$schema.$file".[0-9]*.sql.gz
        return
    done <"$work/by_mydumper"
    full_name "$1" "$2"
    fail "mydumper did not read $REPLY. Make the dump without --engine=mydumper."
}
