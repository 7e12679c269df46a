# ---- Options, and the server's client ---------------------------------------------------------------------------

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Whether the value of --dbname, a connection string, has a password: password=…, or //user:password@host.
has_password() {
    local value=${1,,} user
    case $value in
        postgres://* | postgresql://*)
            user=${value#*://}
            user=${user%%/*}
            [[ $user == *:*@* || $value == *[?\&]password=* || $value == *[?\&]sslpassword=* ]] ;;
        *) [[ $value =~ (^|[[:space:]])(ssl)?password[[:space:]]*= ]] ;;
    esac
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
file=$here/dump.sql.gz
partial=
options=() # of psql
ask=
accept= # whether restore.sh loads although this server computes other values
lacking= # an option whose value is the next word
for option in "$@"; do
    if [[ $lacking ]]; then
        option=$lacking=$option lacking=
    fi
    case $option in
        -h | --host) lacking=--host ;;
        -p | --port) lacking=--port ;;
        -U | --username | --user) lacking=--username ;;
        -d | --dbname) lacking=--dbname ;;
        --jobs | --file) lacking=$option ;;
        --help) usage && exit 0 ;;
        --jobs=1) ;;
        --jobs=*) fail "$option: on PostgreSQL one table is read after the other." ;;
        --file=*) file=${option#*=} ;;
        --accept-other-values) accept=yes ;;
        --host=* | --port=* | --username=* | --no-password) options+=("$option") ;;
        -w) options+=(--no-password) ;;
        --user=*) options+=("--username=${option#*=}") ;;
        --dbname=*)
            ! has_password "${option#*=}" ||
                fail "a password on the command line can be read by every user of this machine." \
                    "Give -W to be asked for it, or put it into a password file: ~/.pgpass"
            options+=("$option") ;;
        -W | --password) ask=yes ;;
        --password=*)
            fail "a password on the command line can be read by every user of this machine." \
                "Give -W alone to be asked for it, or put it into a password file: ~/.pgpass" ;;
        *) fail "there is no option $option. See: bash ${0##*/} --help" ;;
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
    to_the_end
    before_leaving "$1"
    [[ -z $work ]] || rm -rf -- "$work"
    if [[ $partial ]]; then
        rm -f -- "$partial"
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
trap 'stop 141' PIPE
trap 'stop 143' TERM

made() { # a command that makes a file or folder and prints its name; a signal waits until it is known
    trap '' HUP INT TERM
    "$@"
}
work=$(made mktemp -d "${TMPDIR:-/tmp}/dj-sqlspy.XXXXXXXX")

psql=${PSQL:-psql}
command -v -- "$psql" >/dev/null ||
    fail "found no $psql. Install the client of PostgreSQL, or name it: PSQL=/path/to/psql"

if [[ $ask ]]; then # asked for once, here, and handed on in a password file that only this user can read
    [[ ${DJ_SQLSPY_PASSWORD_AT-} ]] || { : </dev/tty; } 2>/dev/null ||
        fail "-W asks for the password, and there is no terminal to ask at." \
            "Put it into a password file that only you can read: ~/.pgpass"
    IFS= read -rsp 'Password: ' password <"${DJ_SQLSPY_PASSWORD_AT:-/dev/tty}"
    [[ ${DJ_SQLSPY_PASSWORD_AT-} ]] || printf '\n' >/dev/tty
    login=$work/password
    exec 9<>"$login"
    if [[ -e /proc/$$/fd/9 ]]; then # it needs no name, and so is gone with this script, however that ends
        rm -f -- "$login"
        login=/proc/$$/fd/9
    fi
    escape='\'
    password=${password//"$escape"/"$escape$escape"}
    printf '*:*:*:*:%s\n' "${password//:/"$escape":}" >&9
    export PGPASSFILE=$login
    unset password PGPASSWORD
    options+=(--no-password)
fi

# Run psql: SQL on standard input, rows on standard output. It stops at the first error.
client() {
    "$psql" --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --set=VERBOSITY=terse \
        ${options[@]+"${options[@]}"}
}

# What follows puts its result into REPLY, since a subshell for each of a thousand names takes seconds.
quote() { # an SQL name
    local mark='"'
    REPLY=$mark${1//$mark/$mark$mark}$mark
}

full_name() { # schema, table
    local schema
    quote "$1" && schema=$REPLY
    quote "$2" && REPLY=$schema.$REPLY
}

literal() { # an SQL text, with standard_conforming_strings
    local mark="'"
    REPLY=$mark${1//$mark/$mark$mark}$mark
}
