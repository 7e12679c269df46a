# ---- Options, and the server's client ---------------------------------------------------------------------------

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
file=$here/dump.sql.gz
partial=
first=()   # options that the client wants before all others
options=() # all others
ask=
jobs=1
engine=mysqldump
skip= # whether restore.sh leaves out views and functions that the server refuses
accept= # whether it loads although this server computes other values
workers=() # process groups that run beside this one
lacking=   # an option whose value is the next word
for option in "$@"; do
    if [[ $lacking ]]; then
        option=$lacking=$option lacking=
    fi
    case $option in
        --jobs | --engine | --file) lacking=$option ;;
        --help) usage && exit 0 ;;
        --jobs=*) jobs=${option#*=} ;;
        --engine=*) engine=${option#*=} ;;
        --skip-refused) skip=yes ;;
        --accept-other-values) accept=yes ;;
        --file=*) file=${option#*=} ;;
        --defaults-file=* | --defaults-extra-file=* | --defaults-group-suffix=* | --login-path=* | --no-defaults)
            first+=("$option") ;;
        -p | --password) ask=yes ;;
        -p* | --pass*=*)
            fail "a password on the command line can be read by every user of this machine." \
                "Give -p alone to be asked for it, or put it into an option file: --defaults-extra-file=FILE" ;;
        *) options+=("$option") ;;
    esac
done
[[ -z $lacking ]] || fail "$lacking needs a value."
check_options

work=
before_leaving() { :; }
to_the_end() { # from here on no signal ends this script or its commands, nor that nobody reads what they say
    trap '' HUP INT TERM PIPE
    set +e
}
leave() { # status
    local worker
    to_the_end
    before_leaving "$1"
    for worker in ${workers[@]+"${workers[@]}"}; do
        kill -KILL -- "-$worker" 2>/dev/null || continue # mydumper would ask whether it is meant
        wait "$worker" 2>/dev/null || continue
    done
    [[ -z $work ]] || rm -rf -- "$work"
    if [[ $partial ]]; then
        rm -rf -- "$partial" "$partial".part*
        [[ $1 == 0 ]] || printf '%s\n' "${0##*/}: stopped; nothing was written." >&2
    fi
}
stop() { # status; all of `leave`, also where it has begun: `exit` would not call it again
    leave "$1"
    trap - EXIT
    exit "$1"
}
trap 'leave $?' EXIT
trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 141' PIPE # bash itself says which of its commands a signal has ended, perhaps to nobody
trap 'stop 143' TERM

made() { # a command that makes a file or folder and prints its name; a signal waits until it is known
    trap '' HUP INT TERM
    "$@"
}
work=$(made mktemp -d "${TMPDIR:-/tmp}/dj-sqlspy.XXXXXXXX")

# A value in the syntax of option files.
option_value() {
    local escape='\' quote='"' value=$1
    value=${value//"$escape"/"$escape$escape"}
    value=${value//"$quote"/"$escape$quote"}
    printf '"%s"' "$value"
}

if [[ $ask ]]; then # asked for once, here, and handed on in an option file that only this user can read
    [[ ${DJ_SQLSPY_PASSWORD_AT-} ]] || { : </dev/tty; } 2>/dev/null ||
        fail "-p asks for the password, and there is no terminal to ask at." \
            "Put it into an option file that only you can read: --defaults-extra-file=FILE"
    IFS= read -rsp 'Password: ' password <"${DJ_SQLSPY_PASSWORD_AT:-/dev/tty}"
    [[ ${DJ_SQLSPY_PASSWORD_AT-} ]] || printf '\n' >/dev/tty
    login=$work/client.cnf
    exec 9<>"$login"
    if [[ -e /proc/$$/fd/9 ]]; then # it needs no name, and so is gone with this script, however that ends
        rm -f -- "$login"
        login=/proc/$$/fd/9
    fi
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

# What follows puts its result into REPLY, since a subshell for each of a thousand names takes seconds.
quote() { # an SQL name
    local tick='`'
    REPLY=$tick${1//$tick/$tick$tick}$tick
}

full_name() { # schema, table
    local schema
    quote "$1" && schema=$REPLY
    quote "$2" && REPLY=$schema.$REPLY
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
