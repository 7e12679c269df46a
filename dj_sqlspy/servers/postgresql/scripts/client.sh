# ---- Options, and the server's client ---------------------------------------------------------------------------

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

# Whether it names a password file.
has_passfile() {
    [[ ${1,,} =~ (^|[[:space:]])passfile[[:space:]]*= || ${1,,} == postgres*://*[?\&]passfile=* ]]
}

name_mark='"'
take_option() {
    case $1 in
        -h | --host) lacking=--host ;;
        -p | --port) lacking=--port ;;
        -U | --username | --user) lacking=--username ;;
        -d | --dbname) lacking=--dbname ;;
        --jobs) lacking=$1 ;;
        --jobs=1) ;;
        --jobs=*) fail "$1: on PostgreSQL one table is read after the other." ;;
        --host=* | --port=* | --username=* | --no-password) options+=("$1") ;;
        -w) options+=(--no-password) ;;
        --user=*) options+=("--username=${1#*=}") ;;
        --dbname=*)
            ! has_password "${1#*=}" ||
                fail "a password on the command line can be read by every user of this machine." \
                    "Give -W to be asked for it, or put it into a password file: ~/.pgpass"
            ! has_passfile "${1#*=}" || unset PGPASSWORD # which libpq prefers to a password file
            options+=("$1") ;;
        -W | --password) ask=yes ;;
        --password=*)
            fail "a password on the command line can be read by every user of this machine." \
                "Give -W alone to be asked for it, or put it into a password file: ~/.pgpass" ;;
        *) fail "there is no option $1. See: bash ${0##*/} --help" ;;
    esac
}

@common@

psql=${PSQL:-psql}
command -v -- "$psql" >/dev/null ||
    fail "found no $psql. Install the client of PostgreSQL, or name it: PSQL=/path/to/psql"

if [[ $ask ]]; then
    read_password -W "Put it into a password file that only you can read: ~/.pgpass" password
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

literal() { # an SQL text, with standard_conforming_strings, into REPLY
    local mark="'"
    REPLY=$mark${1//$mark/$mark$mark}$mark
}
