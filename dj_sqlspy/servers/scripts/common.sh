fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
file=$here/dump.sql.gz
partial=
options=() # of the client
ask=
accept= # whether restore.sh loads although this server computes other values
lacking= # an option whose value is the next word
for option in "$@"; do
    if [[ $lacking ]]; then
        option=$lacking=$option lacking=
    fi
    case $option in
        --help) usage && exit 0 ;;
        --file) lacking=$option ;;
        --file=*) file=${option#*=} ;;
        --accept-other-values) accept=yes ;;
        *) take_option "$option" ;;
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

# Ask for the password, once, and open the file in which it is handed on, and which only this user can read, as 9.
read_password() { # the option that asks for it, another way to give it, a name of the file
    [[ ${DJ_SQLSPY_PASSWORD_AT-} ]] || { : </dev/tty; } 2>/dev/null ||
        fail "$1 asks for the password, and there is no terminal to ask at." "$2"
    IFS= read -rsp 'Password: ' password <"${DJ_SQLSPY_PASSWORD_AT:-/dev/tty}"
    [[ ${DJ_SQLSPY_PASSWORD_AT-} ]] || printf '\n' >/dev/tty
    login=$work/$3
    exec 9<>"$login"
    if [[ -e /proc/$$/fd/9 ]]; then # it needs no name, and so is gone with this script, however that ends
        rm -f -- "$login"
        login=/proc/$$/fd/9
    fi
}

# What follows puts its result into REPLY, since a subshell for each of a thousand names takes seconds.
quote() { # an SQL name
    REPLY=$name_mark${1//$name_mark/$name_mark$name_mark}$name_mark
}

full_name() { # schema, table
    local schema
    quote "$1" && schema=$REPLY
    quote "$2" && REPLY=$schema.$REPLY
}
