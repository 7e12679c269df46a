# ---- Options, and the server's client ---------------------------------------------------------------------------

name_mark='`'
first=() # options that the client wants before all others
jobs=auto # of dump.sh
engine=mysqldump
skip= # whether restore.sh leaves out views and functions that the server refuses
take_option() {
    case $1 in
        --jobs | --engine) lacking=$1 ;;
        --jobs=*) jobs=${1#*=} ;;
        --engine=*) engine=${1#*=} ;;
        --skip-refused) skip=yes ;;
        --defaults-file=* | --defaults-extra-file=* | --defaults-group-suffix=* | --login-path=* | --no-defaults)
            first+=("$1") ;;
        -p | --password) ask=yes ;;
        -p* | --pass*=*)
            fail "a password on the command line can be read by every user of this machine." \
                "Give -p alone to be asked for it, or put it into an option file: --defaults-extra-file=FILE" ;;
        *) options+=("$1") ;;
    esac
}

@common@

# A value in the syntax of option files.
option_value() {
    local escape='\' quote='"' value=$1
    value=${value//"$escape"/"$escape$escape"}
    value=${value//"$quote"/"$escape$quote"}
    printf '"%s"' "$value"
}

if [[ $ask ]]; then
    read_password -p "Put it into an option file that only you can read: --defaults-extra-file=FILE" client.cnf
    how=--defaults-extra-file
    others=()
    for option in ${first[@]+"${first[@]}"}; do
        case $option in
            --defaults-file=* | --defaults-extra-file=*)
                how=${option%%=*}
                given=${option#*=}
                [[ $given == /* ]] || given=$PWD/$given
                printf '!include %s\n' "$given" >&9 ;;
            --no-defaults) how=--defaults-file ;;
            *) others+=("$option") ;;
        esac
    done
    printf '[client]\npassword=%s\n' "$(option_value "$password")" >&9
    first=("$how=$login" ${others[@]+"${others[@]}"})
    unset password
fi

# Run a program of the client: the user's options, then ours.
client() {
    local program=$1
    shift
    "$program" ${first[@]+"${first[@]}"} ${options[@]+"${options[@]}"} --default-character-set=utf8mb4 "$@"
}

# SQL on standard input; rows on standard output, with tabs between columns. Arguments: more options of the client.
query() {
    client "$mysql" --batch --skip-column-names --binary-mode --max-allowed-packet=1G "$@" # no commands of the client's
}

# Use the first client that reaches the server. MySQL's and MariaDB's do not support all ways to log in of the other.
programs=(mysql mariadb)
[[ -z ${MYSQL:-} ]] || programs=("$MYSQL")
mysql=
version=
for program in "${programs[@]}"; do
    command -v -- "$program" >/dev/null || continue
    mysql=$program
    answered=yes
    ask | query >"$work/answer" 2>"$work/error" || answered=
    IFS= read -r version <"$work/answer" && break
    cat -- "$work/error" >>"$work/errors"
done
[[ $mysql ]] || fail "found none of: ${programs[*]}. Install the client of MySQL or MariaDB, or name it: MYSQL=/path/to/mysql"
if [[ -z $version ]]; then
    sort -u -- "$work/errors" >&2
    fail "cannot reach the server, or it refuses, as the client says above. Give its address and account as options, such as --host=HOST --port=PORT --user=NAME -p; for a server without TLS also --skip-ssl (MariaDB's client) or --ssl-mode=DISABLED (MySQL's)"
fi
cat -- "$work/error" >&2
[[ $answered ]] || exit 1
case $version in
    *MariaDB*) flavor=MariaDB ;;
    *) flavor=MySQL ;;
esac
